"""Strings and dictionaries in the place of cards."""

from kernreg_core import hookimpl


@hookimpl
def kernreg_cards():
    """Return what is no list of cards."""
    return ["evil.strings", {"name": "evil.strings", "kind": "kernel"}]
