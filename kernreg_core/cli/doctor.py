"""``kernreg doctor``: what is installed, what is wrong with it, and what loading each plugin costs."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from argparse import Namespace
from importlib import metadata
from typing import Any

from .._version import __version__
from ..discovery import CORE, Plugin
from ..listing import text_table
from ..registry import registry
from ..vocabulary import FAMILIES
from . import OK, PROBLEM
from .output import print_json, wrapped
from .probe import MARK

#: Seconds of import after which a light module is called slow.
SLOW = 0.2
_LIBRARIES = (
    *("numpy", "pluggy", "array-api-compat", "tqdm", "threadpoolctl"),
    *("scipy", "scikit-learn", "networkx", "torch", "pennylane", "matplotlib"),
)


def run(options: Namespace) -> int:
    """Examine and report; exit code 1 where there is a problem. Warnings alone leave it at 0."""
    report = examine(deep=options.deep, timeout=options.timeout)
    if options.json:
        print_json(report)
    else:
        _print(report)
    return PROBLEM if report["problems"] else OK


def examine(*, deep: bool = False, timeout: float = 60.0) -> dict[str, Any]:
    """Everything that ``kernreg doctor --json`` prints: ``problems`` and ``warnings`` are lists of sentences."""
    plugins = registry.plugins()
    report: dict[str, Any] = {
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "kernreg_core": __version__,
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "environment": {name: value for name, value in sorted(os.environ.items()) if name.startswith("KERNREG_")},
        "plugins": [],
        "problems": [],
        "warnings": [],
    }
    for plugin in plugins:
        problems, warnings = _static(plugin)
        entry = plugin.to_dict()
        if plugin.status in ("ok", "broken"):
            measured, found, slow = _measured(plugin, deep, timeout)
            entry["measured"] = measured
            problems += found
            warnings += slow
        report["plugins"].append(entry)
        report["problems"] += [f"{plugin.name}: {text}" for text in problems]
        report["warnings"] += [f"{plugin.name}: {text}" for text in warnings]
    report["problems"] += _conflicts(plugins)
    return report


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _static(plugin: Plugin) -> tuple[list[str], list[str]]:
    """What the record itself says: (problems, warnings)."""
    problems = [f"{plugin.status}: {plugin.error}"] if plugin.status in ("broken", "incompatible") else []
    warnings = list(plugin.notes) if plugin.name != CORE else []
    foreign: dict[str, list[str]] = {}
    for entry in plugin.entries:
        owner = FAMILIES.get(entry.name.partition(".")[0])
        if owner is not None and owner != plugin.name:
            foreign.setdefault(owner, []).append(entry.name)
    for owner, names in foreign.items():
        warnings.append(
            f"offers {', '.join(names)}: names of that family come from {owner}; rename them to a family of your own"
        )
    return problems, warnings


def _conflicts(plugins: tuple[Plugin, ...]) -> list[str]:
    offers: dict[str, list[str]] = {}
    for plugin in plugins:
        if plugin.status in ("ok", "broken"):
            for entry in plugin.entries:
                offers.setdefault(entry.name, []).append(f"{plugin.name} {plugin.version}")
    return [
        f"{name} is offered by {' and '.join(owners)}: create needs plugin=, or disable one with KERNREG_DISABLE"
        for name, owners in sorted(offers.items())
        if len(owners) > 1
    ]


def _measured(plugin: Plugin, deep: bool, timeout: float) -> tuple[dict[str, Any], list[str], list[str]]:
    """Load one plugin in a fresh interpreter: (figures, problems, warnings)."""
    targets = {entry.name: entry.target for entry in plugin.entries} if deep else {}
    answer, failure = probe(list(plugin.modules), targets, timeout)
    if failure:
        return {"error": failure}, [failure], []
    problems, warnings = [], []
    if plugin.status == "ok":  # a broken one has said so already
        problems += [
            f"{module} fails in a fresh interpreter: {error}" for module, error in answer["module_errors"].items()
        ]
    problems += [f"{name} cannot be loaded: {error}" for name, error in answer["entry_errors"].items()]
    if answer["heavy"]:
        problems.append(
            f"its light module imports {', '.join(answer['heavy'])}, so that every list and find pays for it; "
            "import heavy libraries inside the module that needs them"
        )
    if answer["seconds"] > SLOW:
        warnings.append(
            f"its light module takes {1000 * answer['seconds']:.0f} ms to import; {1000 * SLOW:.0f} ms is the limit"
        )
    return answer, problems, warnings


def probe(modules: list[str], targets: dict[str, str], timeout: float) -> tuple[dict[str, Any], str]:
    """(answer of :mod:`.probe` in a fresh interpreter, what went wrong)."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    environment.pop("KERNREG_STRICT", None)  # the probe reports every failure, it does not stop at the first
    command = [sys.executable, "-P", "-c", "from kernreg_core.cli.probe import main; main()"]
    request = json.dumps({"modules": modules, "targets": targets})
    try:
        done = subprocess.run(
            command, input=request, capture_output=True, text=True, errors="replace", timeout=timeout, env=environment,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {}, f"did not load within {timeout:g} s (--timeout)"
    _, mark, answer = done.stdout.rpartition(MARK)
    if not mark:
        last = done.stderr.strip().splitlines()[-1:] or ["no output"]
        return {}, f"ended its interpreter with exit code {done.returncode}: {last[0]}"
    result: dict[str, Any] = json.loads(answer)
    return result, ""


def _print(report: dict[str, Any]) -> None:
    print(f"Python {report['python']} ({report['executable']})")
    print(report["platform"])
    print(f"kernreg-core {report['kernreg_core']}")
    print(wrapped(", ".join(f"{name} {version or '-'}" for name, version in report["libraries"].items()), "", "  "))
    for name, value in report["environment"].items():
        print(f"{name}={value}")
    rows = [
        (plugin["name"], plugin["version"], plugin["status"], str(len(plugin["entries"])), *_figures(plugin))
        for plugin in report["plugins"]
    ]
    print()
    print(text_table(("distribution", "version", "status", "entries", "import ms", "heavy libraries"), rows))
    for heading in ("problems", "warnings"):
        if report[heading]:
            print(f"\n{heading}")
            for text in report[heading]:
                print(wrapped(text, "  - ", "    "))
    if not report["problems"]:
        print(f"\nno problem found in {len(rows)} plugin{'s' * (len(rows) != 1)}")


def _figures(plugin: dict[str, Any]) -> tuple[str, str]:
    measured = plugin.get("measured", {})
    if "seconds" not in measured:
        return "-", "not measured"
    return f"{1000 * measured['seconds']:.1f}", ", ".join(measured["heavy"]) or "none"
