"""What ``kernreg doctor`` runs in a fresh interpreter for one plugin: one request on standard input, one answer out.

It imports the plugin's light modules, measures that, and says which heavy libraries came with them; with ``targets`` it
imports the object behind each entry as well.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from importlib import import_module
from typing import Any

#: Libraries that a light module must not import.
HEAVY = ("jax", "matplotlib", "networkx", "numpy", "pandas", "pennylane", "scipy", "sklearn", "tensorflow", "torch")
#: Precedes the answer: a library may have written to the file descriptor below ``sys.stdout``.
MARK = "kernreg-probe:"


def main() -> None:
    """Answer the request ``{"modules": [...], "targets": {name: target}}``."""
    request = json.load(sys.stdin)
    answer = sys.stdout
    sys.stdout = sys.stderr  # what plugin code prints is no answer
    result = measure(request["modules"], request["targets"])
    print(MARK + json.dumps(result), file=answer, flush=True)


def measure(modules: list[str], targets: dict[str, str]) -> dict[str, Any]:
    """Import time of the light modules in seconds, the heavy libraries they brought, and what failed."""
    from ..discovery import guarded, shown  # with all that every plugin finds loaded: it is not charged for that

    before = set(sys.modules)
    errors_by_module: dict[str, str] = {}
    start = time.perf_counter()
    for target in modules:
        _, error = guarded(partial(import_module, target.partition(":")[0]))
        if error is not None:
            errors_by_module[target] = shown(error)
    seconds = time.perf_counter() - start
    heavy = [name for name in HEAVY if name in sys.modules and name not in before]
    errors_by_entry: dict[str, str] = {}
    for name, target in targets.items():
        _, error = guarded(partial(_object, target))
        if error is not None:
            errors_by_entry[name] = shown(error)
    return {"seconds": seconds, "heavy": heavy, "module_errors": errors_by_module, "entry_errors": errors_by_entry}


def _object(target: str) -> Any:
    module, _, path = target.partition(":")
    found: Any = import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    if not callable(found):
        raise TypeError(f"{target} is no class or function, but {type(found).__name__}")
    return found
