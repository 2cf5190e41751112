"""What a run of checks gives: results as data, and a table of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, overload

from ..listing import text_table

#: Status -> what it means.
STATUSES = {
    "passed": "the law holds",
    "failed": "the law is broken",
    "expected failure": "the law is broken, as was said, with a reason",
    "unexpected pass": "said to fail, and passes: take it off the list",
    "not run": "what it needs is absent here",
}
_BAD = ("failed", "unexpected pass")


@dataclass(frozen=True)
class Result:
    """One check of one subject.

    Attributes
    ----------
    entry, check, capability : str
    status : str
        One of :data:`STATUSES`.
    message : str
        What was found, or the reason.
    seconds : float
    """

    entry: str
    check: str
    capability: str
    status: str
    message: str = ""
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether the result leaves the run passed."""
        return self.status not in _BAD


class Report(Sequence[Result]):
    """The results of a run, in order; prints as a table of what did not pass, and counts."""

    def __init__(self, results: Sequence[Result]) -> None:
        self._results = tuple(results)

    def __len__(self) -> int:
        return len(self._results)

    @overload
    def __getitem__(self, index: int) -> Result: ...
    @overload
    def __getitem__(self, index: slice) -> Report: ...
    def __getitem__(self, index: int | slice) -> Result | Report:
        return Report(self._results[index]) if isinstance(index, slice) else self._results[index]

    @property
    def passed(self) -> bool:
        """Whether something ran and nothing failed."""
        return any(result.status == "passed" for result in self) and all(result.good for result in self)

    @property
    def counts(self) -> dict[str, int]:
        """How many results have each status."""
        found = Counter(result.status for result in self)
        return {status: found[status] for status in STATUSES}

    @property
    def failures(self) -> Report:
        """The results that are not good."""
        return Report([result for result in self if not result.good])

    def summary(self) -> str:
        """The counts in a line."""
        said = ", ".join(f"{count} {status}" for status, count in self.counts.items() if count)
        return f"{len(self)} checks of {len({r.entry for r in self})} entries: {said or 'nothing ran'}"

    def table(self, width: int | None = None, *, everything: bool = False) -> str:
        """What did not pass, or with `everything` each check, as plain text."""
        chosen = [r for r in self if everything or r.status != "passed"]
        rows = [(r.entry, r.check, r.status, " ".join(r.message.split())) for r in chosen]
        return text_table(("entry", "check", "status", "message"), rows, width) if rows else ""

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-ready data."""
        return {"passed": self.passed, "counts": self.counts, "results": [asdict(result) for result in self]}

    def __repr__(self) -> str:
        return "\n".join(filter(None, [self.table(), self.summary()]))
