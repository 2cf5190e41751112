"""Sleeps."""

import time

from kernreg_core import Card, hookimpl

time.sleep(5)


@hookimpl
def kernreg_cards():
    """Return the card."""
    return [Card(name="evil.sleeps", kind="kernel", summary="Sleeps.", domain="vectors")]
