"""Makes a subject of a sound kernel with some members replaced."""

from __future__ import annotations

from sound import points

from kernreg_core.testing import subject_from


def wrong(kernel, X=None, *, made=None, capabilities=None, **members):
    """The subject of an object of a subclass of `kernel` with these `members`; `made` changes the object."""
    if capabilities is not None:
        members["capabilities"] = frozenset(capabilities)
    obj = type(f"Wrong{kernel.__name__}", (kernel,), members)() if members else kernel()
    if made is not None:
        obj = made(obj)
    return subject_from(obj, points() if X is None else X)
