"""Nothing at all in the place of a list."""

from kernreg_core import hookimpl


@hookimpl
def kernreg_cards():
    """Return nothing."""
