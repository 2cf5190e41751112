"""Claims measured again: ``verify`` runs the experiment behind each statement of a paper, and says what came out.

A measure is a function ``measure(rng: int) -> Measurement | float`` inside the card's own distribution. The same seed
gives the same bits. Nothing here evaluates a string: a measure is loaded through the registry, or not at all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from numbers import Integral, Real
from typing import Any, overload

from ._card import Card, Claim, Reference
from .discovery import guarded, shown
from .errors import ParameterError
from .listing import _terminal_width, text_table
from .registry import _INSTALLED_AS, _is_paper, registry

PASS, FAIL, NOT_RUN = "PASS", "FAIL", "NOT RUN"

#: Claims that state a higher cost, in seconds, are left out by ``fast``.
FAST = 10.0
_SLOWER, _GRACE = 3.0, 5.0  # a measurement is slow beyond _SLOWER * cost + _GRACE seconds
_COLUMNS = ("entry", "claim", "measured", "threshold", "baseline", "verdict", "seconds")
_CLAIM = _COLUMNS.index("claim")


@dataclass(frozen=True)
class Measurement:
    """What a measure returns; a plain number will do where there is no more to say.

    Parameters
    ----------
    value : float
        The figure that is compared with the claim's threshold.
    baseline : float, optional
        The same figure of what the paper compares with, measured in the same run.
    baseline_name : str
    details : dict
        Further figures: numbers, texts, and lists of them.
    """

    value: float
    baseline: float | None = None
    baseline_name: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came out for one claim.

    Parameters
    ----------
    entry, plugin, version : str
        The entry's name, and the distribution that it comes from.
    statement : str
        What the paper says.
    paper : Reference
    measured : float or None
        None where nothing was measured, or what came was no number.
    threshold : float
    direction : {'>=', '<='}
    baseline : float or None
    baseline_name : str
    verdict : {'PASS', 'FAIL', 'NOT RUN'}
    reason : str
        Why it failed, was not run, or was slow.
    seconds, cost : float
        What it took, and what the claim says it takes.
    details : dict
    """

    entry: str
    plugin: str
    version: str
    statement: str
    paper: Reference
    threshold: float
    direction: str
    cost: float
    verdict: str
    measured: float | None = None
    baseline: float | None = None
    baseline_name: str = ""
    reason: str = ""
    seconds: float = 0.0
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The verdict as JSON-ready data; a number that is not finite is its text."""
        paper = {name: getattr(self.paper, name) for name in ("title", "year", "arxiv", "doi", "url")}
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {**_plain(found), "paper": {name: value for name, value in paper.items() if value}}

    def _cells(self) -> tuple[str, ...]:
        seconds = "-" if self.verdict == NOT_RUN else f"{self.seconds:.1f}"
        baseline = _figure(self.baseline)
        return (
            self.entry,
            " ".join(self.statement.split()),
            _figure(self.measured),
            f"{self.direction} {self.threshold:.4g}",
            f"{baseline} ({self.baseline_name})" if self.baseline_name else baseline,
            self.verdict,
            seconds,
        )


class Verification(Sequence[Verdict]):
    """What :func:`verify` returns: verdicts in a row that print as a table.

    Attributes
    ----------
    rng : int
        The seed of every measurement.
    fast : bool
        Whether claims of more than ten seconds were left out.
    """

    def __init__(self, verdicts: Iterable[Verdict], *, rng: int = 0, fast: bool = False) -> None:
        self._verdicts = tuple(verdicts)
        self.rng = rng
        self.fast = fast

    def __len__(self) -> int:
        return len(self._verdicts)

    @overload
    def __getitem__(self, index: int) -> Verdict: ...
    @overload
    def __getitem__(self, index: slice) -> Verification: ...
    def __getitem__(self, index: int | slice) -> Verdict | Verification:
        found = self._verdicts[index]
        return Verification(found, rng=self.rng, fast=self.fast) if isinstance(found, tuple) else found

    @property
    def passed(self) -> bool:
        """Whether no claim failed; those that were not run are neither passed nor failed."""
        return not self.counts[FAIL]

    @property
    def counts(self) -> dict[str, int]:
        """How many passed, failed and were not run."""
        return {word: sum(found.verdict == word for found in self) for word in (PASS, FAIL, NOT_RUN)}

    def summary(self) -> str:
        """The counts on one line."""
        if not self:
            return "no claims found"
        counts = ", ".join(f"{count} {word}" for word, count in self.counts.items())
        return f"{len(self)} {'claim' if len(self) == 1 else 'claims'}: {counts}"

    def notes(self) -> list[str]:
        """One line for each claim with a reason: why it failed, was not run, or was slow."""
        return [f"{found.verdict}  {found.entry}: {found.statement}: {found.reason}" for found in self if found.reason]

    def table(self, width: int | None = None) -> str:
        """The verdicts as plain text; statements are folded to make it `width` columns wide (None: one line each)."""
        return _folded(_COLUMNS, [found._cells() for found in self], _CLAIM, width)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-ready data, with the versions that it was measured with."""
        counts = {word.lower().replace(" ", "_"): count for word, count in self.counts.items()}
        return {
            "passed": self.passed,
            "counts": counts,
            "rng": self.rng,
            "fast": self.fast,
            "versions": _versions(),
            "claims": [found.to_dict() for found in self],
        }

    def __repr__(self) -> str:
        if not self:
            return self.summary()
        return "\n".join([self.table(_terminal_width()), *self.notes(), self.summary()])

    def _repr_html_(self) -> str:
        from html import escape

        def row(cells: Sequence[str], tag: str) -> str:
            inner = "".join(f"<{tag} style='text-align:left'>{escape(cell)}</{tag}>" for cell in cells)
            return f"<tr>{inner}</tr>"

        body = "".join(row(found._cells(), "td") for found in self)
        after = "".join(f"<p>{escape(line)}</p>" for line in [*self.notes(), self.summary()])
        return f"<table><thead>{row(_COLUMNS, 'th')}</thead><tbody>{body}</tbody></table>{after}"


def verify(
    name: str | None = None,
    *,
    plugin: str | None = None,
    paper: str | None = None,
    fast: bool = False,
    rng: int = 0,
    progress: bool | Callable[[int, int], object] | None = None,
) -> Verification:
    """Measure the claims of entries again.

    Parameters
    ----------
    name : str, optional
        A name or a shell pattern such as ``"euclidean.*"``; every entry by default.
    plugin : str, optional
        Only the entries of this distribution.
    paper : str, optional
        arXiv id, DOI, or words of the title of the paper that states the claim.
    fast : bool
        Run only claims whose stated cost is at most 10 s; the others are NOT RUN.
    rng : int
        Seed of every measurement, at least 0.
    progress : bool, callable or None
        None shows a bar if stderr is a terminal; a callable gets (done, total).

    Returns
    -------
    Verification
        One verdict for each claim, in the order of the entries' names. A measure that raises, or
        returns no finite number, FAILs; one that needs what is absent is NOT RUN.

    Raises
    ------
    UnknownNameError
        If `name` is no pattern and nobody offers it.
    ParameterError
        If `rng` is no integer of at least 0.

    Examples
    --------
    >>> import kernreg_core as kr
    >>> kr.verify("core.sum")
    no claims found
    """
    return measure(claims_of([name], plugin=plugin, paper=paper), fast=fast, rng=rng, progress=progress)


def claims_of(
    names: Sequence[str | None], *, plugin: str | None = None, paper: str | None = None
) -> list[tuple[Card, Claim]]:
    """The claims of the entries that fit any of `names` (None: all), with the entry's card; each once.

    Raises
    ------
    UnknownNameError
        If one of `names` is no pattern and nobody offers it.
    """
    cards: dict[tuple[str, str], Card] = {}
    for name in names or [None]:
        found = registry.find(name, plugin=plugin)
        if not found and name is not None and not any(character in name for character in "*?["):
            registry.card(name, plugin=plugin)  # says what is near, after looking for what was just installed
            found = registry.find(name, plugin=plugin)
        cards.update({(card.name, card.plugin): card for card in found})
    return [
        (card, claim)
        for _, card in sorted(cards.items())
        for claim in card.claims
        if not paper or _is_paper(paper, claim.paper)
    ]


def measure(
    claims: Sequence[tuple[Card, Claim]],
    *,
    fast: bool = False,
    rng: int = 0,
    progress: bool | Callable[[int, int], object] | None = None,
) -> Verification:
    """Run these claims one after the other; see :func:`verify`."""
    if not isinstance(rng, Integral) or isinstance(rng, bool) or rng < 0:
        raise ParameterError(f"rng: expected an integer of at least 0, got {rng!r}")
    if not claims:
        return Verification([], rng=int(rng), fast=fast)
    from .progress import Progress

    verdicts = []
    with Progress(len(claims), progress, what="Claims", unit="claim") as bar:
        for card, claim in claims:
            verdicts.append(_verdict(card, claim, int(rng), fast))
            bar.advance()
    return Verification(verdicts, rng=int(rng), fast=fast)


def _verdict(card: Card, claim: Claim, rng: int, fast: bool) -> Verdict:
    made = partial(
        Verdict,
        entry=card.name,
        plugin=card.plugin,
        version=card.version,
        statement=claim.statement,
        paper=claim.paper,
        threshold=float(claim.threshold),
        direction=claim.direction,
        cost=float(claim.cost),
    )
    if fast and claim.cost > FAST:
        return made(verdict=NOT_RUN, reason=f"takes about {claim.cost:g} s; fast runs claims of at most {FAST:g} s")
    if reason := "; ".join(filter(None, map(_absent, claim.needs))):
        return made(verdict=NOT_RUN, reason=reason)
    begin = time.perf_counter()
    found, problem = guarded(lambda: registry.resource(card, claim.measure)(rng))
    seconds = time.perf_counter() - begin
    result = found if isinstance(found, Measurement) else Measurement(found)  # type: ignore[arg-type]
    reasons = [shown(problem) if problem is not None else _shortfall(claim, result)]
    verdict = FAIL if reasons[0] else PASS
    if seconds > _SLOWER * claim.cost + _GRACE:
        reasons.append(f"slow: {seconds:.1f} s, and the claim says about {claim.cost:g} s")
    return made(
        verdict=verdict,
        measured=float(result.value) if _is_number(result.value) else None,
        baseline=float(result.baseline) if _is_number(result.baseline) else None,  # type: ignore[arg-type]
        baseline_name=str(result.baseline_name),
        reason="; ".join(filter(None, reasons)),
        seconds=seconds,
        details=dict(result.details),
    )


def _shortfall(claim: Claim, result: Measurement) -> str:
    """Why the claim fails, empty where it passes; a figure at the threshold passes."""
    value, baseline = result.value, result.baseline
    if not _is_number(value):
        return f"the measure returned {type(value).__name__}, expected a number or a Measurement"
    if not math.isfinite(value):
        return f"measured {float(value)}, which is no finite number"
    if baseline is not None and not _is_number(baseline):
        return f"the baseline is {type(baseline).__name__}, expected a number or None"
    holds = value >= claim.threshold if claim.direction == ">=" else value <= claim.threshold
    return "" if holds else f"measured {float(value):.6g}, claimed {claim.direction} {claim.threshold:g}"


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _absent(need: str) -> str:
    """What is absent of a need, and how to supply it; empty where it is there."""
    kind, _, what = need.partition(":")
    if kind == "hardware":
        return f"needs {what}, hardware that is never taken for present: its measure says how to run it there"
    if kind == "data":
        return _absent_data(what)
    return _absent_device(what) if kind == "device" else _absent_library(need)


def _absent_data(folder: str) -> str:
    import os

    root = os.environ.get("KERNREG_DATA", "")
    if root and os.path.isdir(os.path.join(root, folder)):
        return ""
    where = "KERNREG_DATA has no such folder" if root else "set KERNREG_DATA to the folder that has it"
    return f"needs the data {folder!r}: {where}"


def _absent_device(device: str) -> str:
    if absent := _absent_library("torch"):
        return absent
    from importlib import import_module

    torch, problem = guarded(lambda: import_module("torch"))
    if problem is not None:
        return f"needs torch, which could not be imported: {shown(problem)}"
    assert torch is not None
    there: bool = getattr(torch, device).is_available()
    return "" if there else f"needs the device {device!r}, which torch does not see on this machine"


def _absent_library(library: str) -> str:
    import sys
    from importlib.util import find_spec

    if sys.modules.get(library) is not None or find_spec(library) is not None:
        return ""
    return f"needs {library}, which is not installed: pip install {_INSTALLED_AS.get(library, library)}"


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _folded(columns: Sequence[str], rows: Sequence[Sequence[str]], folded: int, width: int | None) -> str:
    """A table whose column number `folded` takes the width that the others leave, on as many lines as it needs."""
    if width is not None:
        import textwrap

        others = [max(len(row[i]) for row in (columns, *rows)) for i in range(len(columns)) if i != folded]
        room = max(24, width - sum(others) - 2 * len(others))
        lines: list[list[str]] = []
        for row in rows:
            first, *more = textwrap.wrap(row[folded], room, break_on_hyphens=False) or [""]
            lines.append([*row[:folded], first, *row[folded + 1 :]])
            lines += [["" if i != folded else text for i in range(len(columns))] for text in more]
        rows = lines
    return text_table(columns, rows)  # nothing is cut: the verdict stands near the end of the line


def _versions() -> dict[str, str]:
    """Versions of Python and of the libraries that figures depend on, where they are installed."""
    import platform
    from importlib import metadata

    from ._version import __version__

    found = {"kernreg-core": __version__, "python": platform.python_version()}
    for library in ("numpy", "scipy", "scikit-learn", "torch"):
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    return found


def _plain(value: Any) -> Any:
    """`value` as JSON has it: what is not finite becomes its text, NumPy's scalars and arrays numbers and lists."""
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else str(value)
