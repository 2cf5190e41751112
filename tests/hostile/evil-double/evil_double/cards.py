"""The same card twice."""

from kernreg_core import Card, hookimpl


@hookimpl
def kernreg_cards():
    """Return two cards of one entry."""
    return [Card(name="evil.double", kind="kernel", summary=summary) for summary in ("One.", "Two.")]
