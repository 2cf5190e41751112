"""A card that would have the core run what is not the plugin's own."""

from kernreg_core import Card, Claim, Reference, hookimpl

PAPER = Reference(title="On Reaching Outside", authors=("E. Vil",), year=1999)


@hookimpl
def kernreg_cards():
    """Return a card whose example and measure stand elsewhere."""
    claim = Claim(paper=PAPER, statement="It reaches.", measure="os:getpid", threshold=1.0, direction=">=", cost=0.1)
    return [
        Card(
            name="evil.outside",
            kind="kernel",
            domain="vectors",
            summary="Reaches outside.",
            references=(PAPER,),
            example="os:getcwd",
            claims=(claim,),
        )
    ]
