"""Writes to standard output as it is imported, in its hook, below Python, from a thread and at exit."""

import atexit
import os
import sys
import threading

from kernreg_core import Card, hookimpl

print("EVIL at import")
os.write(1, b"EVIL by descriptor\n")
sys.__stdout__.write("EVIL behind sys.stdout\n")
sys.__stdout__.flush()
atexit.register(print, "EVIL at exit")
atexit.register(os.write, 1, b"EVIL by descriptor at exit\n")
threading.Timer(0.01, print, ["EVIL from a thread"]).start()


@hookimpl
def kernreg_cards():
    """Return the card."""
    print("EVIL in the hook")
    return [Card(name="evil.prints", kind="kernel", summary="Prints.", domain="vectors")]
