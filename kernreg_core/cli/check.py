"""``kernreg check``: test that entries keep what their cards declare."""

from __future__ import annotations

import sys
import time
from argparse import Namespace
from collections import Counter

from ..errors import ParameterError
from ..listing import text_table
from ..testing import Report, Result, check
from . import OK, PROBLEM
from .output import print_json, terminal_width, wrapped


def run(options: Namespace) -> int:
    """Run the checks; exit code 1 where a law is broken or nothing ran."""
    start = time.perf_counter()
    results: list[Result] = []
    with _Progress(options.json) as progress:
        for name in options.names or [None]:
            results += check(name, plugin=options.plugin, only=options.only, on_result=progress.show)
    if not results:
        raise ParameterError("check: no installed entry matches; kernreg list shows them")
    report = Report(results)
    seconds = time.perf_counter() - start
    if options.json:
        print_json({**report.to_dict(), "seconds": seconds})
    else:
        _print(report, options.all, seconds)
    return OK if report.passed else PROBLEM


class _Progress:
    """A line on stderr that says what runs, where somebody looks."""

    def __init__(self, silent: bool) -> None:
        isatty = getattr(sys.stderr, "isatty", None)
        self._on = not silent and bool(isatty and isatty())
        self._done = 0

    def show(self, result: Result) -> None:
        self._done += 1
        if self._on:
            print(f"\r\x1b[K{self._done} checks, {result.entry} {result.check}", end="", file=sys.stderr, flush=True)

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._on and self._done:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _print(report: Report, everything: bool, seconds: float) -> None:
    rows = []
    for entry in dict.fromkeys(result.entry for result in report):
        own = [result for result in report if result.entry == entry]
        counts = Counter(result.status for result in own)
        bad = sum(not result.good for result in own)
        rows.append(
            (
                *(entry, str(len(own)), str(counts["passed"]), str(bad)),
                *(str(counts["expected failure"]), str(counts["not run"]), f"{sum(r.seconds for r in own):.1f}"),
            )
        )
    columns = ("entry", "checks", "passed", "failed", "expected failures", "not run", "s")
    print(text_table(columns, rows, terminal_width()))
    shown = list(report) if everything else [result for result in report if result.status != "passed"]
    for result in shown:
        text = f"{result.status}: {result.entry} {result.check}"
        print(wrapped(f"{text}: {' '.join(result.message.split())}" if result.message else text, "", "  "))
    print(f"{report.summary()}, {seconds:.1f} s")
