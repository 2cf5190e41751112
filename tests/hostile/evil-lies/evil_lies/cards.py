"""Cards that lie."""

from kernreg_core import Card, hookimpl


@hookimpl
def kernreg_cards():
    """Return three cards that each claim too much."""
    return [
        Card(name="evil.boasts", kind="kernel", domain="vectors", capabilities={"diag", "features"}),
        Card(name="evil.differs", kind="kernel", domain="vectors", capabilities={"symmetric", "psd"}),
        Card(name="evil.hollow", kind="kernel", domain="vectors", capabilities={"matvec"}),
    ]
