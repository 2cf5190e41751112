"""The cards: kernreg_core and the standard library only."""

from kernreg_core import Card, Reference, hookimpl


@hookimpl
def kernreg_cards():
    """Return one card for each entry."""
    return [
        Card(
            name="acme.triangle",
            kind="kernel",
            domain="vectors",
            summary="Triangle kernel on numbers, max(0, 1 - |x - y| / lengthscale).",
            capabilities=frozenset({"symmetric", "psd", "normalized", "stationary"}),
            references=(Reference(title="Remarks on characteristic functions", authors=("G. Pólya",), year=1949),),
            parameters={"lengthscale": "where the kernel reaches zero, positive"},
        ),
        Card(
            name="acme.clash",
            kind="kernel",
            domain="vectors",
            summary="A kernel whose name acme-conflict offers too.",
        ),
    ]
