"""A card of somebody else's entry."""

from kernreg_core import Card, hookimpl


@hookimpl
def kernreg_cards():
    """Return a card that speaks of acme-cards."""
    return [Card(name="acme.triangle", kind="kernel", summary="Mine now.", domain="vectors")]
