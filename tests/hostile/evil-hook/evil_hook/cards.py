"""A hook that wants arguments nobody passes, and one that does not exist."""

from kernreg_core import hookimpl


@hookimpl
def kernreg_a_hook_that_does_not_exist():
    """Do nothing."""


@hookimpl
def kernreg_cards(registry, colour):
    """Return nothing useful."""
    return [registry, colour]
