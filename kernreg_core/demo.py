"""What ``kernreg demo`` runs: each plugin's hook ``kernreg_demo()`` returns a list of :class:`Demo` objects.

A plugin adds its line without any change here: it returns a :class:`ClassificationDemo`, or a subclass of :class:`Demo`
whose ``run`` writes to a :class:`Report`. NumPy is imported when a demo runs, and not before.
"""

from __future__ import annotations

import math
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

from .errors import InputError, KernregError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

#: Parameters of a kernel: given, or computed from the data X (a median heuristic, say).
Parameters = Mapping[str, Any] | Callable[[Any], Mapping[str, Any]]
#: (X_train, y_train, X_test, seed) -> predicted labels of X_test.
Baseline = Callable[[Any, Any, Any, int], "ArrayLike"]


_TILE = 1024
_FIGURES = ("gram_seconds", "cv_seconds", "accuracy", "std")


class Panel(NamedTuple):
    """Gram matrices of one task for the figure: ``labels`` (n,) sort the rows, ``matrices`` are (n, n) by kernel."""

    title: str
    labels: NDArray[Any]
    matrices: dict[str, NDArray[Any]]
    class_names: tuple[str, ...] = ()


class Report:
    """Where demos write: lines and tables as text, results as data, Gram matrices for the figure.

    Parameters
    ----------
    seed : int
        Fixes folds and samples; a demo passes it to whatever is random.
    stream : file, optional
        Receives the text; None writes none.
    progress : bool, optional
        Whether a line on stderr says what is being computed; None: where stderr is a terminal.

    Attributes
    ----------
    sections : list of dict
        One for each demo: plugin, title, status ("ok", "skipped", "failed"), seconds, and what it recorded.
    panels : list of Panel
    """

    def __init__(self, *, seed: int = 0, stream: TextIO | None = None, progress: bool | None = None) -> None:
        self.seed = seed
        self.stream = stream
        self.progress = sys.stderr.isatty() if progress is None else progress
        self._has_status = False
        self.sections: list[dict[str, Any]] = []
        self.panels: list[Panel] = []

    def status(self, text: str) -> None:
        """Show what is being computed, on one line that the next call of anything here replaces."""
        if self.progress:
            print(f"\r\x1b[2K  {text}", end="", file=sys.stderr, flush=True)
            self._has_status = bool(text)

    def line(self, text: str = "") -> None:
        """Write one line."""
        if self._has_status:
            self.status("")
            print("\r", end="", file=sys.stderr, flush=True)
        if self.stream is not None:
            print(text, file=self.stream, flush=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Write an aligned table, indented by two."""
        from .listing import text_table

        for line in text_table(columns, list(rows)).splitlines():
            self.line("  " + line)

    def record(self, **results: Any) -> None:
        """Add results, made of JSON's types, to the current section."""
        if not self.sections:
            raise InputError("record: no demo is running; start it with kernreg_core.demo.run_demo.")
        self.sections[-1].update(results)

    def matrices(
        self, title: str, labels: ArrayLike, matrices: Mapping[str, Any], class_names: Iterable[str] = ()
    ) -> None:
        """Add Gram matrices (n, n), by kernel, to the figure; their rows are sorted by ``labels`` (n,)."""
        import numpy as np

        labels = np.asarray(labels)
        for label, matrix in matrices.items():
            if matrix.shape != (len(labels), len(labels)):
                raise InputError(f"matrices: {label!r} has shape {matrix.shape} for {len(labels)} labels.")
        self.panels.append(Panel(title, labels, dict(matrices), tuple(class_names)))


class Demo:
    """One part of ``kernreg demo``. A subclass gives ``run``.

    Parameters
    ----------
    title : str
        One line: the task and its data.

    Examples
    --------
    >>> import sys
    >>> class Count(Demo):
    ...     def run(self, report):
    ...         report.line(f"  counted {2 + 2}")
    ...         report.record(count=2 + 2)
    >>> report = Report(stream=sys.stdout)
    >>> section = run_demo(Count("counting"), "acme", report)
    <BLANKLINE>
    counting (acme)
      counted 4
    >>> section["status"], section["count"]
    ('ok', 4)
    """

    def __init__(self, title: str) -> None:
        self.title = title

    def run(self, report: Report) -> None:
        """Do the work: write lines, record results. An ``ImportError`` or a plugin that is absent skips the demo."""
        raise NotImplementedError(f"{type(self).__name__} must override run(self, report)")


def run_demo(demo: Demo, plugin: str, report: Report) -> dict[str, Any]:
    """Run one demo; what it raises becomes its section's status and error, and the next one goes on."""
    from .errors import UnknownNameError

    section: dict[str, Any] = {"plugin": plugin, "title": demo.title, "status": "ok"}
    report.sections.append(section)
    report.line()
    report.line(f"{demo.title} ({plugin})")
    start = time.perf_counter()
    try:
        demo.run(report)
    except (ImportError, UnknownNameError) as error:
        section.update(status="skipped", error=str(error))
        report.line(f"  skipped: {error}")
    except KernregError as error:
        section.update(status="failed", error=str(error))
        report.line(f"  failed: {error}")
    except Exception as error:  # a plugin's demo is foreign code: one that breaks must not hide the others
        section.update(status="failed", error=f"{type(error).__name__}: {error}")
        report.line(f"  failed: {type(error).__name__}: {error}")
    section["seconds"] = time.perf_counter() - start
    return section


class ClassificationDemo(Demo):
    """Cross-validated accuracy of several kernels on one task, plain baselines beside them.

    Each kernel is created by name; its Gram matrix on all rows is computed once by ``kr.gram``, and folds cut from it,
    divided by the mean of its diagonal so that one penalty suits all, train ``solver.kernel_logistic`` with
    ``kernel="precomputed"``. Where kernreg-solvers is not installed, the Gram matrices are computed all the same and
    the accuracies are left out.

    Parameters
    ----------
    title : str
    load : callable () -> (X, y) or (X, y, class_names)
        X is anything of length n that a list of n indices selects from: an array, or a list; y has shape (n,).
        A scaling that ``load`` does on all rows must not look at y.
    kernels : mapping of label to (name, parameters)
        ``parameters`` is a mapping, or a function of X that returns one.
    baselines : mapping of label to callable (X_train, y_train, X_test, seed) -> labels, optional
        The share of the most frequent class is always added.
    note : str
        What a reader must know about the data: how it was scaled, how length scales were chosen.
    solver : mapping
        Further parameters of ``solver.kernel_logistic``.
    folds : int
    """

    def __init__(
        self,
        title: str,
        *,
        load: Callable[[], tuple[Any, ...]],
        kernels: Mapping[str, tuple[str, Parameters]],
        baselines: Mapping[str, Baseline] | None = None,
        note: str = "",
        solver: Mapping[str, Any] | None = None,
        folds: int = 5,
    ) -> None:
        super().__init__(title)
        self.load = load
        self.kernels = kernels
        self.baselines = dict(baselines or {})
        self.note = note
        self.solver = dict(solver or {})
        self.folds = folds

    def run(self, report: Report) -> None:
        """Compute, cross-validate, print the table and record it."""
        import numpy as np

        X, y, *names = self.load()
        y = np.asarray(y)
        folds = list(stratified_folds(y, self.folds, report.seed))
        report.line(f"  {len(y)} items, {len(np.unique(y))} classes; {self.folds} stratified folds, seed {report.seed}")
        for text in textwrap.wrap(self.note, 98):
            report.line(f"  {text}")
        matrices, rows = self._kernel_rows(X, y, folds, report)
        for label, predict in {**self.baselines, "majority class": _majority}.items():
            scores = [
                _accuracy(y[test], predict(_take(X, train), y[train], _take(X, test), report.seed))
                for train, test in folds
            ]
            rows.append({"label": label, "baseline": True, **_mean_and_std(scores)})
        report.table(
            ["kernel or baseline", "Gram s", "CV s", "accuracy", "std"],
            [
                [row["label"], *(_cell(row, key) for key in ("gram_seconds", "cv_seconds", "accuracy", "std"))]
                for row in rows
            ],
        )
        report.record(items=len(y), folds=self.folds, seed=report.seed, note=self.note, results=rows)
        report.matrices(self.title, y, matrices, *names)

    def _kernel_rows(
        self, X: Any, y: NDArray[Any], folds: list[tuple[Any, Any]], report: Report
    ) -> tuple[dict[str, NDArray[Any]], list[dict[str, Any]]]:
        from ._gram import gram as compute_gram
        from .api import create
        from .errors import UnknownNameError

        with_solver = True
        matrices, rows = {}, []
        for label, (name, parameters) in self.kernels.items():
            kernel = create(name, **(parameters(X) if callable(parameters) else parameters))
            start = time.perf_counter()
            gram = matrices[label] = compute_gram(kernel, X, tile=_TILE, progress=partial(_say_tile, report, label))
            row: dict[str, Any] = {"label": label, "kernel": repr(kernel), "gram_seconds": time.perf_counter() - start}
            rows.append(row)
            if not with_solver:
                continue
            try:
                scores, row["cv_seconds"] = self._scores(gram, y, folds, partial(_say_fold, report, label))
                row.update(_mean_and_std(scores))
            except UnknownNameError as error:
                with_solver = False
                report.line(f"  no accuracies of kernels: {error}")
        return matrices, rows

    def _scores(
        self, gram: NDArray[Any], y: NDArray[Any], folds: list[tuple[Any, Any]], say: Callable[[int, int], None]
    ) -> tuple[list[float], float]:
        import numpy as np

        from .api import create
        from .threads import run_parallel

        scores = [math.nan] * len(folds)
        start = time.perf_counter()
        gram = gram / gram.diagonal().mean()
        models = [create("solver.kernel_logistic", kernel="precomputed", **self.solver) for _ in folds]

        def score(index: int) -> None:
            train, test = folds[index]
            models[index].fit(gram[np.ix_(train, train)], y[train])
            scores[index] = _accuracy(y[test], models[index].predict(gram[np.ix_(test, train)]))
            say(sum(not math.isnan(found) for found in scores), len(folds))

        run_parallel(score, range(len(folds)))  # one BLAS thread for each fold, which also fixes the last bits
        return scores, time.perf_counter() - start


def stratified_folds(y: ArrayLike, n_folds: int, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield (train, test) indices of ``n_folds`` folds; each class is spread over them as evenly as possible.

    Examples
    --------
    >>> [test.tolist() for _, test in stratified_folds([0, 0, 1, 1], 2, seed=0)]
    [[0, 2], [1, 3]]
    """
    import numpy as np

    y = np.asarray(y)
    _, classes, counts = np.unique(y, return_inverse=True, return_counts=True)
    if n_folds < 2 or counts.min() < n_folds:
        raise InputError(f"n_folds={n_folds}: each fold needs a member of each class, the smallest has {counts.min()}.")
    rng = np.random.default_rng(seed)
    fold = np.empty(len(y), dtype=np.int64)
    dealt = 0  # goes on from class to class, so that the folds have equal sizes
    for label in range(len(counts)):
        members = rng.permutation(np.flatnonzero(classes == label))
        fold[members] = (dealt + np.arange(len(members))) % n_folds
        dealt += len(members)
    for k in range(n_folds):
        yield np.flatnonzero(fold != k), np.flatnonzero(fold == k)


def median_distance(X: ArrayLike, seed: int = 0, *, p: float = 2, rows: int = 500) -> float:
    """Median distance of two of at most ``rows`` sampled rows of X (n, d): the usual first length scale.

    ``p`` is the norm's: 2 Euclidean, 1 Manhattan.

    Examples
    --------
    >>> median_distance([[0.0, 0.0], [3.0, 4.0]]), median_distance([[0.0, 0.0], [3.0, 4.0]], p=1)
    (5.0, 7.0)
    """
    import numpy as np

    X = np.asarray(X, dtype=np.float64)
    if X.ndim != 2 or len(X) < 2:
        raise InputError(f"X: expected shape (n, d) with n of at least 2, got {X.shape}.")
    if len(X) > rows:
        X = X[np.random.default_rng(seed).choice(len(X), rows, replace=False)]
    distances = [np.linalg.norm(X[i + 1 :] - X[i], ord=p, axis=1) for i in range(len(X) - 1)]
    return float(np.median(np.concatenate(distances)))


def _say_tile(report: Report, label: str, done: int, total: int) -> None:
    report.status(f"{label}: Gram matrix, tile {done} of {total}")


def _say_fold(report: Report, label: str, done: int, total: int) -> None:
    report.status(f"{label}: fold {done} of {total}")


def _majority(X_train: Any, y_train: NDArray[Any], X_test: Any, seed: int) -> NDArray[Any]:
    import numpy as np

    values, counts = np.unique(y_train, return_counts=True)
    return np.full(len(X_test), values[counts.argmax()])


def _accuracy(truth: NDArray[Any], predicted: Any) -> float:
    import numpy as np

    return float(np.mean(truth == np.asarray(predicted)))


def _mean_and_std(scores: list[float]) -> dict[str, Any]:
    import numpy as np

    return {"accuracy": float(np.mean(scores)), "std": float(np.std(scores)), "scores": scores}


def _take(X: Any, indices: NDArray[Any]) -> Any:
    return X[indices] if hasattr(X, "shape") else [X[i] for i in indices]


def _cell(row: Mapping[str, Any], key: str) -> str:
    return f"{row[key]:.3f}" if key in row else "-"
