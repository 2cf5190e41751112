"""One thread at a time loads a plugin, and no thread waits for ever to do so.

A plugin's code may start a thread that calls ``find`` and wait for it. That thread must not wait in turn for the plugin
to be loaded: it gives up where the loading thread is itself waiting for a thread, and answers without those cards.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

#: Seconds of waiting for a thread that is itself seen to wait for another.
STUCK = 1.0
#: Seconds of waiting for a thread that is busy.
PATIENCE = 60.0
_turns: dict[str, int] = {}


def take_turn(key: str) -> bool:
    """Wait until no other thread loads `key`; False where it is not to be waited for, or is this thread itself."""
    me = threading.get_ident()
    if _turns.get(key) == me:
        return False

    def holder() -> int | None:
        found = _turns.setdefault(key, me)  # one step under the interpreter's lock
        if found not in sys._current_frames():  # it stayed behind in a fork
            found = _turns[key] = me
        return None if found == me else found

    return _wait_while(holder)


def end_turn(key: str) -> None:
    """Let the next thread load `key`."""
    _turns.pop(key, None)


def may_import(name: str) -> bool:
    """Wait while another thread imports the module `name`; False where it is not to be waited for, or is this one."""
    return not _half_imported(name) or _wait_while(lambda: _importer(name))


def _wait_while(holder: Callable[[], int | None]) -> bool:
    me = threading.get_ident()
    start = moving = time.monotonic()
    while (thread := holder()) is not None:
        now = time.monotonic()
        if not _waits_for_a_thread(thread):
            moving = now
        if thread == me or now - moving > STUCK or now - start > PATIENCE:
            return False
        time.sleep(0.01)
    return True


def _waits_for_a_thread(thread: int) -> bool:
    """Whether a thread stands in ``join``, an event, a queue, a future's ``result``, an import's lock, or here."""
    frame = sys._current_frames().get(thread)
    if frame is None:
        return False
    module = frame.f_globals.get("__name__")
    return module in ("threading", __name__) or (module == "importlib._bootstrap" and frame.f_code.co_name == "acquire")


def _half_imported(name: str) -> list[str]:
    """`name` and the packages above it, those of them whose import has begun and not ended."""
    parts = name.split(".")
    names = [".".join(parts[: i + 1]) for i in range(len(parts))]
    return [name for name in names if getattr(_spec(name), "_initializing", False)]


def _spec(name: str) -> object:
    return getattr(sys.modules.get(name), "__spec__", None)


def _importer(name: str) -> int | None:
    """The thread that runs the body of the half-imported module, or of a package above it in another thread."""
    half = set(_half_imported(name))
    frames = sys._current_frames() if half else {}
    mine = frames.pop(threading.get_ident(), None)
    if _runs_body(mine, {name}):
        return threading.get_ident()
    if _runs_body(mine, half):
        return None
    return next((thread for thread, frame in frames.items() if _runs_body(frame, half)), None)


def _runs_body(frame: FrameType | None, modules: set[str]) -> bool:
    while frame is not None:
        if frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") in modules:
            return True
        frame = frame.f_back
    return False
