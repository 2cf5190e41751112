"""Imports torch where there is one, else NumPy, and makes everybody wait for it."""

from kernreg_core import Card, hookimpl

try:
    import torch  # noqa: F401
except ImportError:
    import numpy as np  # noqa: F401


@hookimpl
def kernreg_cards():
    """Return the card."""
    return [Card(name="evil.heavy", kind="kernel", summary="Heavy.", domain="vectors")]
