"""A card with text that a terminal cannot show, or should not."""

from kernreg_core import Card, hookimpl


@hookimpl
def kernreg_cards():
    """Return the card."""
    summary = "Half a pair \ud800, \x1b[2J wiped,\nand a second line."
    return [Card(name="evil.writes", kind="kernel", summary=summary, domain="vectors")]
