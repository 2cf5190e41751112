"""The page of what has been verified: tables made from the recorded run ``docs/verified.json``."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any


def verified_table(path: Path) -> str:
    """Return reStructuredText: a summary of the recorded run, and a table for each paper."""
    run = json.loads(path.read_text(encoding="utf-8"))
    count = {word: run["counts"][word] for word in ("pass", "fail", "not_run")}
    versions = ", ".join(f"{name} {version}" for name, version in run["versions"].items())
    lines = [
        f"The recorded run, with seed {run['rng']}: {len(run['claims'])} claims, {count['pass']} passed, "
        f"{count['fail']} failed, {count['not_run']} not run. It was made with {_plain(versions)}.",
        "",
    ]
    papers: dict[str, list[dict[str, Any]]] = {}
    for claim in run["claims"]:
        papers.setdefault(_paper(claim["paper"]), []).append(claim)
    for paper, claims in papers.items():
        rows = "".join(_row(claim) for claim in claims)
        head = _cells(["entry", "claim", "measured", "holds where", "baseline", "verdict", "seconds"])
        lines += [paper, "", ".. list-table::", "   :header-rows: 1", "   :widths: 17 33 10 10 14 8 8", "", head + rows]
    return "\n".join(lines)


def _row(claim: dict[str, Any]) -> str:
    baseline = _figure(claim["baseline"])
    if claim["baseline_name"]:
        baseline += f" ({claim['baseline_name']})"
    statement = _plain(claim["statement"])
    if claim["reason"]:
        statement += f" *{_plain(claim['reason'])}*"
    return _cells(
        [
            f":doc:`{claim['entry']} <entries/{claim['entry']}>`",
            statement,
            _figure(claim["measured"]),
            f"{claim['direction']} {claim['threshold']:g}",
            _plain(baseline),
            f"**{claim['verdict']}**",
            f"{claim['seconds']:.1f}",
        ]
    )


def _cells(cells: list[str]) -> str:
    return "".join(f"   {'* -' if column == 0 else '  -'} {cell}\n" for column, cell in enumerate(cells))


def _figure(value: float | str | None) -> str:
    return f"{value:.3g}" if isinstance(value, (int, float)) else value or "none"


def _paper(paper: dict[str, Any]) -> str:
    links = [
        f"`arXiv:{paper['arxiv']} <https://arxiv.org/abs/{paper['arxiv']}>`__" if "arxiv" in paper else "",
        f"`doi:{paper['doi']} <https://doi.org/{paper['doi']}>`__" if "doi" in paper else "",
    ]
    return ", ".join([f"*{_plain(paper['title'])}*", str(paper.get("year", "")), *filter(None, links)])


def _plain(text: str) -> str:
    """Escape what reStructuredText would read as markup."""
    return re.sub(r"([\\*_|`])", r"\\\1", text)
