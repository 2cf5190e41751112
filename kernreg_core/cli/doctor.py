"""``kernreg doctor``: what is installed, what is wrong with it and how to cure it, and what loading each plugin costs.

Code of a plugin runs in an interpreter of its own and never in this one, so that a plugin which ends its process, hangs
or replaces parts of the core is named like any other.
"""

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
from ..discovery import NOT_LOADED, Plugin
from ..listing import text_table
from ..registry import registry
from . import OK, PROBLEM
from .findings import SLOW, Finding, conflicts, of_failure, of_metadata, of_probe
from .output import print_json, wrapped
from .probe import MARK

_LIBRARIES = (
    *("numpy", "pluggy", "array-api-compat", "tqdm", "threadpoolctl"),
    *("scipy", "scikit-learn", "networkx", "torch", "pennylane", "matplotlib"),
)


def run(options: Namespace) -> int:
    """Examine and report; exit code 1 where there is a problem. Warnings alone leave it at 0."""
    report = examine(objects=not options.quick, timeout=options.timeout)
    if options.json:
        print_json(report)
    else:
        _print(report)
    return PROBLEM if report["problems"] else OK


def examine(*, objects: bool = True, timeout: float = 60.0) -> dict[str, Any]:
    """Everything that ``kernreg doctor --json`` prints.

    ``problems`` and ``warnings`` are lists of sentences; ``findings`` has each with its plugin and its cure.
    """
    plugins = registry.plugins(load=False)
    report: dict[str, Any] = {
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": platform.platform(),
        "kernreg_core": __version__,
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "environment": {name: value for name, value in sorted(os.environ.items()) if name.startswith("KERNREG_")},
        "plugins": [],
    }
    findings: list[Finding] = []
    for plugin in plugins:
        entry = plugin.to_dict()
        if plugin.status != "disabled":  # who has disabled it needs no cure
            findings += of_metadata(plugin)
        if plugin.status == NOT_LOADED:
            findings += _measured(plugin, entry, objects, timeout)
        report["plugins"].append(entry)
    findings += conflicts(plugins)
    report["problems"] = [finding.sentence() for finding in findings if finding.is_problem]
    report["warnings"] = [finding.sentence() for finding in findings if not finding.is_problem]
    report["findings"] = [finding._asdict() for finding in findings]
    return report


def _measured(plugin: Plugin, entry: dict[str, Any], objects: bool, timeout: float) -> list[Finding]:
    """Load one plugin in a fresh interpreter; what that says of it goes into its `entry` of the report."""
    answer, failure = probe(plugin.name, objects=objects, timeout=timeout, alone=True)
    if not failure and (answer["faults"] or answer["seconds"] > SLOW):
        # an example may need another plugin, and the first import may have compiled the modules
        again, lost = probe(plugin.name, objects=bool(answer["faults"]), timeout=timeout, alone=False)
        if not lost:
            answer |= {"faults": again["faults"], "seconds": min(answer["seconds"], again["seconds"])}
    if failure:
        entry |= {"status": "broken", "error": failure, "measured": {"error": failure}}
        return [of_failure(plugin, failure)]
    entry |= {key: answer[key] for key in ("status", "error", "cards", "seconds")}
    entry["measured"] = {key: answer[key] for key in ("seconds", "heavy", "printed")}
    return list(of_probe(plugin, answer))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def probe(plugin: str, *, objects: bool, timeout: float, alone: bool = False) -> tuple[dict[str, Any], str]:
    """(answer of :mod:`.probe` in a fresh interpreter, what went wrong); `alone`: no other plugin may load there."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    if alone:  # else one that asks the registry would be blamed for what another does
        environment["KERNREG_PLUGINS"] = plugin
    environment.pop("KERNREG_STRICT", None)  # the probe reports every failure, it does not stop at the first
    command = [sys.executable, "-P", "-c", "from kernreg_core.cli.probe import main; main()"]
    request = json.dumps({"plugin": plugin, "objects": objects})
    try:
        done = subprocess.run(
            command, input=request, capture_output=True, text=True, errors="replace", timeout=timeout, env=environment,
            check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {}, f"did not load within {timeout:g} s (--timeout)"
    _, mark, answer = done.stdout.partition(MARK)
    if not mark:
        last = done.stderr.strip().splitlines()[-1:] or ["no output"]
        return {}, f"ended its interpreter with exit code {done.returncode}: {last[0]}"
    result: dict[str, Any] = json.loads(answer)
    return result, result.get("unseen", "")


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
    for heading, is_problem in (("problems", True), ("warnings", False)):
        findings = [Finding(**found) for found in report["findings"] if found["is_problem"] == is_problem]
        if findings:
            print(f"\n{heading}")
        for finding in findings:
            print(wrapped(finding.sentence(), "  - ", "    "))
            print(wrapped(f"cure: {finding.cure}", "    ", "      "))
    if not report["problems"]:
        print(f"\nno problem found in {len(rows)} plugin{'s' * (len(rows) != 1)}")


def _figures(plugin: dict[str, Any]) -> tuple[str, str]:
    measured = plugin.get("measured", {})
    if "seconds" not in measured:
        return "-", "not measured"
    return f"{1000 * measured['seconds']:.1f}", ", ".join(measured["heavy"]) or "none"
