"""``kernreg demo``: what is installed, then each plugin's demonstration, then one figure."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .._metadata import normalized
from ..demo import Demo, Report, run_demo
from ..discovery import shown
from ..errors import InputError, UnknownNameError
from ..registry import registry
from . import OK, PROBLEM
from .output import print_json

_NO_MATPLOTLIB = "no figure: matplotlib is not installed (pip install matplotlib)"


def run(options: Namespace) -> int:
    """Run the demonstrations; exit code 1 where one failed. A demo whose library is absent is skipped and says so."""
    start = time.perf_counter()
    output = Path(options.output)
    if output.suffix.lower() != ".png" or not output.absolute().parent.is_dir():
        raise InputError(f"--output {options.output}: a path that ends in .png, in a folder that exists, was expected.")
    plugins = None if options.plugin is None else {normalized(name) for name in options.plugin}
    if plugins is not None and (unknown := plugins - {plugin.name for plugin in registry.plugins()}):
        raise UnknownNameError(
            f"--plugin: {', '.join(sorted(unknown))} is not installed; kernreg plugins lists what is."
        )
    report = Report(
        seed=options.seed, stream=None if options.json else sys.stdout, progress=False if options.json else None
    )
    inventory = _inventory(report)
    for plugin, demo, error in _demos(plugins):
        if demo is not None:
            run_demo(demo, plugin, report)
        else:
            report.sections.append({"plugin": plugin, "title": "kernreg_demo()", "status": "failed", "error": error})
            report.line(f"\n{plugin}: its demo could not be loaded: {error}")
    figure = _figure(report, output)
    seconds = time.perf_counter() - start
    report.line(f"{len(report.sections)} demos, {seconds:.0f} s")
    if options.json:
        print_json(
            {
                "installed": inventory,
                "seed": options.seed,
                "demos": report.sections,
                "figure": figure,
                "seconds": seconds,
            }
        )
    return PROBLEM if any(section["status"] == "failed" for section in report.sections) else OK


def _inventory(report: Report) -> list[dict[str, Any]]:
    """Count entries by plugin, kind and domain, and print the table."""
    counts: dict[tuple[str, str, str], int] = {}
    for card in registry.find():
        key = (f"{card.plugin} {card.version}".strip(), card.kind, card.domain or "any")
        counts[key] = counts.get(key, 0) + 1
    rows = [(*key, counts[key]) for key in sorted(counts)]
    report.line(f"{sum(counts.values())} entries installed (kernreg list names them)")
    report.table(("plugin", "kind", "domain", "entries"), rows)
    return [dict(zip(("plugin", "kind", "domain", "entries"), row, strict=True)) for row in rows]


def _demos(chosen: set[str] | None) -> Iterator[tuple[str, Demo | None, str]]:
    """Yield (plugin, demo, "") or (plugin, None, error)."""
    for plugin, demos, error in registry.call_hook("kernreg_demo"):
        if chosen is not None and plugin.name not in chosen:
            continue
        if error is not None:
            yield plugin.name, None, shown(error)
        elif not isinstance(demos, (list, tuple)) or not all(isinstance(demo, Demo) for demo in demos):
            yield plugin.name, None, "kernreg_demo() must return a list of kernreg_core.demo.Demo"
        else:
            yield from ((plugin.name, demo, "") for demo in demos)


def _figure(report: Report, output: Path) -> str | None:
    if not report.panels:
        return None
    report.line()
    try:
        from .figure import draw
    except ImportError:
        print(_NO_MATPLOTLIB, file=sys.stderr)
        return None
    existed = output.exists()
    draw(report.panels, output)
    path = str(output.absolute())
    report.line(f"figure: {path}{' (replaced)' if existed else ''}")
    return path
