"""What ``kernreg doctor`` runs in a fresh interpreter for one plugin: one request on standard input, one answer out.

It loads the plugin's light modules and calls their hook as the registry does, measures that, says which heavy libraries
came with them and what was printed; with ``objects`` it compares the object behind each entry with its card as well.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from typing import Any

#: Libraries that a light module must not import.
HEAVY = ("jax", "matplotlib", "networkx", "numpy", "pandas", "pennylane", "scipy", "sklearn", "tensorflow", "torch")
#: Precedes the answer, so that an interpreter that ended early is seen to have given none.
MARK = "kernreg-probe:"


class Listener:
    """Takes the place of standard output, down to file descriptor 1, and keeps what is written there."""

    def __init__(self) -> None:
        from ..discovery import redirect

        with tempfile.TemporaryFile() as file:
            os.dup2(file.fileno(), 1)
        self._text = os.fdopen(os.dup(1), "w", errors="backslashreplace", buffering=1)
        sys.stdout = redirect.sink = self._text
        self._seen = 0

    def heard(self) -> str:
        """The beginning of what was written since the last call, on one line."""
        self._text.flush()
        size = os.fstat(1).st_size
        start, self._seen = self._seen, size
        found = os.pread(1, min(size - start, 200), start) if size > start else b""
        return " ".join(found.decode(errors="replace").split())[:80]


def main() -> None:
    """Answer the request ``{"plugin": name, "objects": bool}``."""
    request = json.load(sys.stdin)
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answer:
        found = measure(request["plugin"], objects=request["objects"], listener=Listener())
        answer.write(MARK + json.dumps(found))
    os._exit(0)  # what the plugin left to be done at exit, or a thread of its own, has no say any more


def measure(name: str, *, objects: bool, listener: Listener) -> dict[str, Any]:
    """The plugin's record, what loading its light modules took, brought and printed, and what its objects lack."""
    import pluggy

    from .. import discovery, hookspecs  # with all that every plugin finds loaded: it is not charged for that
    from .._classes import missing_library
    from ..listing import printable

    distribution, plugin = next(((d, p) for d, p in discovery.unloaded() if d.name == name), (None, None))
    if distribution is None or plugin is None:
        return {"unseen": "is not found by an interpreter of its own: what an import hook adds must stand on sys.path"}
    manager = pluggy.PluginManager("kernreg")
    manager.add_hookspecs(hookspecs)
    before = set(sys.modules)
    plugin = discovery.load(distribution, plugin, manager)
    heavy = [library for library in HEAVY if library in sys.modules and library not in before]
    printed = listener.heard()
    found: dict[str, Any] = {
        "status": plugin.status,
        "error": plugin.error,
        "library": missing_library(plugin.exception, discovery.own_packages(plugin)),
        "cards": len(plugin.cards),
        "seconds": plugin.seconds,
        "heavy": heavy,
        "printed": printed,
        "unprintable": [card.name for card in plugin.cards if "\\" in printable(card.summary.replace("\\", ""))],
        "faults": [],
    }
    if objects:
        from .objects import examine

        found["faults"] = [fault._asdict() for fault in examine(plugin)]
    return found
