"""A card without texts."""

from kernreg_core import Card, hookimpl


@hookimpl
def kernreg_cards():
    """Return a card on which find(text=...) would fail."""
    return [Card(name="evil.fields", kind="kernel", summary=None, references=("a paper",), parameters={"a": 1})]
