"""Which kernel? Registered kernels of the data's domain, tried within a budget beside plain baselines."""

from __future__ import annotations

import math
import numbers
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from textwrap import shorten
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.utils import check_random_state

import kernreg_core as kr
from kernreg_core.arrays import describe, is_sparse, is_torch
from kernreg_core.errors import InputError, KernregError, ParameterError
from kernreg_core.listing import text_table
from kernreg_core.progress import Progress
from kernreg_core.vocabulary import DOMAINS

from .alignment import holds_numbers, targets_of
from .bridge_from import FromSklearn
from .centers import take
from .heuristics import median_heuristic
from .kernels import LinearKernel
from .krr import KernelRidge
from .mixin import KernelMixin, as_numpy, count

#: What a kernel may not be to be tried: these need more than items and defaults, or are no plain Gram matrix.
_LEFT_OUT = frozenset(
    {"asymmetric", "complex", "matrix_valued", "operator", "stochastic", "fitted", "random_features", "trainable"}
)
#: Entries that the baselines on vectors are.
_BASELINES = frozenset({"euclidean.linear", "euclidean.rbf"})
#: Length scales that the best kernels are tried with, as multiples of the median distance.
_MULTIPLES = (0.25, 0.5, 2.0, 4.0)
#: How many kernels are tried with other length scales.
_REFINED = 3
#: What a candidate's attempt may raise without ending the search.
_FAILURES = (KernregError, ValueError, TypeError, ArithmeticError, RuntimeError, MemoryError, ImportError)


class KernelSuggestion(KernelMixin, BaseEstimator):  # type: ignore[misc]
    r"""Tries the registered kernels of a domain on a task and reports them, best first, beside baselines.

    Each kernel is created with its defaults, its length scale set to the median distance of the items, and its Gram
    matrix on at most `max_items` items computed once. Ridge regression with the penalty of least leave-one-out error
    (on one column for each class, where y holds classes) is cross-validated on it. What time is left goes to other
    length scales of the best kernels. The best one is then fitted to all items.

    Parameters
    ----------
    kernels : list of str or kernel, or dict of label to kernel, optional
        Candidates: entries' names or kernel objects, which are taken as they are. By default every installed entry of
        the domain that needs nothing but items.
    domain : str, optional
        Where it cannot be told from `X`: arrays are ``vectors``, texts ``sequences``, NetworkX graphs ``graphs``.
    target : {'auto', 'classes', 'numbers'}
        What y holds. 'auto' takes texts, truth values and whole numbers in one column as classes.
    time_budget : float
        Seconds after which no new candidate is started; the baselines are always tried.
    max_items : int
        Items that the comparison looks at, drawn at random where there are more.
    cv : int
        Folds.
    refine : bool
        Whether other length scales are tried.
    random_state : int, RandomState or None
        Draws items and folds.
    progress : bool or callable, optional
        As in :func:`kernreg_core.gram`.

    Attributes
    ----------
    kernel_ : kernel
        The best one, a copy.
    best_ : str
        Its label.
    results_ : list of dict
        ``label, kernel, score, std, seconds, baseline, error``, best first; what failed or was not reached comes last,
        with the reason in ``error``.
    estimator_ : KernelRidge
        Fitted to all items with the best kernel.
    classes_ : ndarray
        Where y holds classes.
    table_ : str
        The results as text.

    Raises
    ------
    ParameterError
        From ``fit``: a parameter is out of its range, or the domain cannot be told.
    InputError
        From ``fit`` and ``predict``: as in :class:`KernelRidge`; one class, or fewer items than folds.

    Notes
    -----
    The score is R2, averaged over targets, or accuracy. The best of many scores is optimistic: judge it on data that
    this has not seen.

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_solvers import KernelSuggestion
    >>> X = np.random.default_rng(0).standard_normal((60, 2))
    >>> y = np.where(X[:, 0] * X[:, 1] > 0, "same", "different")
    >>> found = KernelSuggestion(kernels=[], refine=False).fit(X, y)
    >>> found.best_, [row["label"] for row in found.results_]
    ('baseline: RBF', ['baseline: RBF', 'baseline: linear', 'baseline: most frequent'])
    """

    _result = "results_"
    #: the kernel is what is looked for; KernelMixin asks for it when X is validated
    kernel: Any = None

    def __init__(
        self,
        *,
        kernels: Any = None,
        domain: str | None = None,
        target: str = "auto",
        time_budget: float = 60.0,
        max_items: int = 1000,
        cv: int = 3,
        refine: bool = True,
        random_state: Any = 0,
        progress: Any = None,
    ) -> None:
        self.kernels = kernels
        self.domain = domain
        self.target = target
        self.time_budget = time_budget
        self.max_items = max_items
        self.cv = cv
        self.refine = refine
        self.random_state = random_state
        self.progress = progress

    def set_params(self, **params: Any) -> Self:
        """Set parameters; returns self."""
        return BaseEstimator.set_params(self, **params)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = False
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Compare the kernels, and fit the best one.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or a list of items
        y : array_like, shape (n_samples,) or (n_samples, n_targets)

        Returns
        -------
        self
        """
        start = time.perf_counter()
        self._check()
        self.__dict__.pop("results_", None)
        domain = self._domain_of(X)
        X, y = self._fit_items(X, y, domain)
        task = _Task(X, y, self)
        candidates = list(self._candidates(domain, task))
        rows = self._tried(task, candidates, start)
        rows.sort(key=lambda row: (row["error"] != "", -row["score"]))
        # where nothing beats the constant the model is that of the best kernel
        best = next((row["kernel"] for row in rows if row["kernel"] is not None), None)
        if best is None:
            raise _nothing(domain, rows)
        self.best_, self.kernel_, self.classes_ = rows[0]["label"], kr.clone(best), task.classes
        self.estimator_ = _ridge(self.kernel_).fit(X, task.all_targets)
        self.results_ = rows
        return self

    @property
    def table_(self) -> str:
        """The results as text, best first; of errors the beginning."""
        self._check_fitted()
        return text_table(
            ["kernel", self._score_name(), "std", "seconds", "note"], [_cells(row) for row in self.results_]
        )

    def _score_name(self) -> str:
        return "R2" if self.classes_ is None else "accuracy"

    def predict(self, X: Any) -> np.ndarray:
        """Targets, or classes, of the best kernel's model, shape (n,) or (n, n_targets)."""
        self._check_fitted()
        found = self.estimator_.predict(X)
        return found if self.classes_ is None else np.asarray(self.classes_[_codes(found)])

    def score(self, X: Any, y: Any) -> float:
        """R2, or accuracy where y holds classes."""
        found, truth = self.predict(X), np.asarray(as_numpy(y))
        if self.classes_ is not None:
            return float(np.mean(found == truth.ravel()))
        return _r2(truth.reshape(len(truth), -1), found.reshape(len(found), -1))

    # -- the data ---------------------------------------------------------------------------

    def _check(self) -> None:
        for name, least in (("max_items", 4), ("cv", 2)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
                raise ParameterError(f"{name}: expected a whole number at least {least}, got {value!r}")
        value = self.time_budget
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not value >= 0:
            raise ParameterError(f"time_budget: expected seconds, at least 0, got {value!r}")
        if self.domain is not None and self.domain not in DOMAINS:
            raise ParameterError(f"domain: expected one of {', '.join(DOMAINS)}, got {self.domain!r}")

    def _domain_of(self, X: Any) -> str:
        if self.domain is not None:
            return self.domain
        if hasattr(X, "iloc") or is_torch(X) or is_sparse(X) or isinstance(X, np.ndarray):
            return "vectors"
        first = X[0] if isinstance(X, (list, tuple)) and len(X) else None
        if isinstance(first, str):
            return "sequences"
        networkx = sys.modules.get("networkx")
        if networkx is not None and isinstance(first, networkx.Graph):
            return "graphs"
        if first is None or isinstance(first, (list, tuple, np.ndarray, numbers.Real)):
            return "vectors"
        raise ParameterError(
            f"domain: cannot tell what {describe(X)} of {describe(first)} holds: pass domain=, one of "
            + ", ".join(DOMAINS)
        )

    def _fit_items(self, X: Any, y: Any, domain: str) -> tuple[Any, Any]:
        self._vectors = domain == "vectors"
        return self._fit_data(X, y, multi_output=True)

    def _layout(self, kernel: Any, X: Any) -> str:
        return "items" if not self._vectors else "tensor" if is_torch(X) else "vectors"

    def _sparse_formats(self) -> Any:
        return False

    # -- candidates -------------------------------------------------------------------------

    def _candidates(self, domain: str, task: _Task) -> Iterator[tuple[str, Callable[[], Any], bool]]:
        """(label, what makes the kernel, whether it is a baseline)."""
        if domain == "vectors":
            yield "baseline: linear", LinearKernel, True
            yield "baseline: RBF", partial(_rbf, task.X), True
        if self.kernels is None:
            for card in kr.find(kind="kernel", domain=domain):
                if self._is_tried(card):
                    yield card.name, partial(_created, card.name, task.X), False
            return
        given = self.kernels if isinstance(self.kernels, dict) else {_label(k): k for k in self.kernels}
        for label, kernel in given.items():
            if isinstance(kernel, str):
                yield label, partial(_created, kernel, task.X), False
            else:
                yield label, partial(kr.clone, kernel), False

    @staticmethod
    def _is_tried(card: kr.Card) -> bool:
        """Whether an entry is a candidate: no baseline already, and not made of another kernel."""
        known = card.name in _BASELINES or "kernel" in card.parameters
        return not known and not _LEFT_OUT & card.capabilities and "symmetric" in card.capabilities

    def _tried(self, task: _Task, candidates: list[Any], start: float) -> list[dict[str, Any]]:
        rows = [task.constant()]
        with Progress(len(candidates), self.progress, what="kernels", unit="kernel") as bar:
            for label, make, baseline in candidates:
                if not baseline and time.perf_counter() - start > self.time_budget:
                    rows.append(_row(label, None, baseline, error="not tried: the time budget was used up"))
                else:
                    rows.append(task.attempt(label, make, baseline))
                bar.advance()
        if self.refine:
            best = sorted((r for r in rows if _has_length(r["kernel"])), key=lambda r: -r["score"])[:_REFINED]
            for row, multiple in ((row, multiple) for row in best for multiple in _MULTIPLES):
                if time.perf_counter() - start > self.time_budget:
                    break
                rows.append(
                    task.attempt(
                        f"{row['label']}, {multiple:g} times the length scale",
                        partial(_stretched, row["kernel"], multiple),
                        row["baseline"],
                    )
                )
        return rows


class _Task:
    """A sample of the items, its folds, and the cross-validated score of a Gram matrix."""

    def __init__(self, X: Any, y: Any, options: KernelSuggestion) -> None:
        array = np.asarray(as_numpy(y))
        whole = targets_of(array, options.target)
        numeric = holds_numbers(array, options.target)
        self.classes = None if numeric else np.unique(array)
        if self.classes is not None:
            if len(self.classes) < 2:
                raise InputError(f"y: expected at least 2 classes, got 1 class, {self.classes.tolist()[0]!r}")
            whole = np.eye(len(self.classes))[np.unique(array, return_inverse=True)[1].ravel()]
        self.all_targets = whole[:, 0] if numeric and array.ndim == 1 else whole
        random_state = check_random_state(options.random_state)
        n = count(X)
        if n < 2 * options.cv:
            raise InputError(f"X: expected at least {2 * options.cv} items for cv={options.cv} folds, got {n}")
        chosen = np.arange(n)
        if n > options.max_items:
            chosen = np.sort(random_state.choice(n, int(options.max_items), replace=False))
        self.X = X if n == len(chosen) else take(X, chosen)
        self.Y = whole[chosen]
        self.folds = self._split(int(options.cv), random_state)

    def _split(self, cv: int, random_state: np.random.RandomState) -> list[tuple[np.ndarray, np.ndarray]]:
        rows = np.zeros((len(self.Y), 1))
        if self.classes is not None and _counts(self.Y).min() >= cv:
            codes = self.Y.argmax(axis=1)
            return list(StratifiedKFold(cv, shuffle=True, random_state=random_state).split(rows, codes))
        return list(KFold(cv, shuffle=True, random_state=random_state).split(rows))

    def constant(self) -> dict[str, Any]:
        """The baseline without a kernel: the mean, or the most frequent class."""
        label = "baseline: mean" if self.classes is None else "baseline: most frequent"
        scores = []
        for train, test in self.folds:
            scores.append(self._score(test, np.tile(self.Y[train].mean(axis=0), (len(test), 1))))
        return _row(label, None, True, scores)

    def attempt(self, label: str, make: Callable[[], Any], baseline: bool) -> dict[str, Any]:
        """The row of one kernel; what it raises becomes the row's error."""
        start = time.perf_counter()
        try:
            kernel = make()
            K = np.asarray(as_numpy(kr.gram(kernel, self.X, progress=False)), dtype=np.float64)
            scores = self._scores(K)
        except _FAILURES as error:
            first = str(error).strip().splitlines()
            return _row(label, None, baseline, error=first[0] if first else type(error).__name__)
        return _row(label, kernel, baseline, scores, time.perf_counter() - start)

    def _scores(self, K: np.ndarray) -> list[float]:
        if not np.isfinite(K).all():
            raise InputError("the Gram matrix has values that are not finite")
        size = float(K.diagonal().mean())
        K = K / size if size > 0 else K
        found = []
        for train, test in self.folds:
            model = _ridge("precomputed").fit(K[np.ix_(train, train)], self.Y[train])
            found.append(self._score(test, model.predict(K[np.ix_(test, train)])))
        return found

    def _score(self, test: np.ndarray, found: np.ndarray) -> float:
        found = found.reshape(len(test), -1)
        if self.classes is None:
            return _r2(self.Y[test], found)
        return float(np.mean(self.Y[test].argmax(axis=1) == _codes(found)))


def _nothing(domain: str, rows: list[dict[str, Any]]) -> KernregError:
    """What to say where no kernel could be tried."""
    failed = [row for row in rows if row["error"]]
    if failed:
        return InputError(f"kernels: none could be tried on these items; {failed[0]['label']}: {failed[0]['error']}")
    return ParameterError(
        f"kernels: no installed entry on {domain} can be tried: install a plugin that has some, or pass kernels=, "
        "a list of kernels or names"
    )


def _ridge(kernel: Any) -> KernelRidge:
    return KernelRidge(kernel=kernel, alpha="loo", fit_intercept=True)


def _rbf(X: Any) -> Any:
    """The RBF kernel at the median distance: the registered one, or scikit-learn's."""
    try:
        return median_heuristic(kr.create("euclidean.rbf"), X)
    except KernregError:
        from sklearn.gaussian_process.kernels import RBF

        return median_heuristic(FromSklearn(kernel=RBF()), X)


def _created(name: str, X: Any) -> Any:
    """The entry with its defaults, at the median distance where it has a length scale."""
    kernel = kr.create(name)
    return median_heuristic(kernel, X) if _has_length(kernel) and hasattr(X, "ndim") else kernel


def _lengths(kernel: Any) -> list[str]:
    if kernel is None or not hasattr(kernel, "get_params"):
        return []
    params = kernel.get_params()
    return [
        name
        for name in params
        if name.rpartition("__")[2] in ("lengthscale", "length_scale")
        and not hasattr(params.get(name.rpartition("__")[0], kernel), "period")
    ]


def _has_length(kernel: Any) -> bool:
    return bool(_lengths(kernel))


def _stretched(kernel: Any, multiple: float) -> Any:
    found = kr.clone(kernel)
    params = found.get_params()
    return found.set_params(**{name: params[name] * multiple for name in _lengths(found)})


def _label(kernel: Any) -> str:
    return kernel if isinstance(kernel, str) else repr(kernel)


def _cells(row: dict[str, Any]) -> list[str]:
    if row["error"]:
        return [row["label"], "-", "-", f"{row['seconds']:.2f}", shorten(row["error"], 60, placeholder=" ...")]
    return [row["label"], f"{row['score']:.3f}", f"{row['std']:.3f}", f"{row['seconds']:.2f}", ""]


def _codes(found: np.ndarray) -> np.ndarray:
    return np.asarray(found.argmax(axis=1))


def _counts(Y: np.ndarray) -> np.ndarray:
    return np.asarray(Y.sum(axis=0))


def _r2(truth: np.ndarray, found: np.ndarray) -> float:
    """R2 averaged over targets; of a constant target 1 where it is met and 0 elsewhere, as scikit-learn has it."""
    from sklearn.metrics import r2_score

    return float(r2_score(truth, found))


def _row(
    label: str,
    kernel: Any,
    baseline: bool,
    scores: list[float] | None = None,
    seconds: float = 0.0,
    error: str = "",
) -> dict[str, Any]:
    return {
        "label": label,
        "kernel": kernel,
        "score": float(np.mean(scores)) if scores else -math.inf,
        "std": float(np.std(scores)) if scores else math.nan,
        "seconds": seconds,
        "baseline": baseline,
        "error": error,
    }
