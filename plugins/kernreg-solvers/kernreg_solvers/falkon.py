"""Falkon: kernel ridge regression on centres, for as many rows as there are."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from kernreg_core.arrays import is_prepared
from kernreg_core.errors import KernregWarning, ParameterError
from kernreg_core.progress import Progress
from kernreg_core.threads import pinned_blas

from .centers import CentersMixin, take
from .falkon_ridge import ATTAINED, Found, LeastSquares, Sample, solve, solve_gcv
from .falkon_span import Span
from .krr import checked_weights, of_targets
from .mixin import count
from .operator import KernelOperator, is_float32
from .penalty import checked_penalty

#: Bytes where `memory_budget` is None: the same on every machine, so that the bits are too.
BUDGET = 1 << 30
#: The rounding of float32 kernel values, and the share of the residual beyond which it is seen.
_SINGLE, _SEEN = float(np.finfo(np.float32).eps), 0.1
#: A jitter matters from this fraction of the penalty's own scale.
_MATTERS = 1e-3


class FalkonMixin(CentersMixin):
    """What Falkon's regression and classification share: parameters, products with k(X, centres), predictions."""

    memory_budget: int | None
    tol: float
    max_iter: int
    _in_float64 = False

    def _check_numbers(self) -> None:
        if not isinstance(self.tol, numbers.Real) or isinstance(self.tol, bool) or not 0 < self.tol < 1:
            raise ParameterError(f"tol: expected a number above 0 and below 1, got {self.tol!r}")
        for name, value in (("max_iter", self.max_iter), ("memory_budget", self.memory_budget)):
            if name == "memory_budget" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < (name == "max_iter"):
                raise ParameterError(f"{name}: expected a whole number, got {value!r}")

    def _operator(self, X: Any, keep: int = 0) -> KernelOperator:
        """k(X, centers_), its products in float64."""
        in_float64 = self._in_float64 or not is_float32(self.centers_)
        return KernelOperator(self.kernel_, X, self.centers_, wide=True, in_float64=in_float64, keep=keep)

    def _budget(self) -> int:
        return BUDGET if self.memory_budget is None else int(self.memory_budget)

    def _picker(self, X: Any) -> Callable[[np.ndarray], KernelOperator] | None:
        """k(X[index], centers_) of an index; None where no items can be picked."""
        return None if is_prepared(X) else lambda index: self._operator(take(X, index))

    def _uniform_centres(self, weights: np.ndarray | None) -> np.ndarray | None:
        """The centres as rows of X, where they are a uniform sample of rows of equal weight."""
        return self.center_indices_ if self.selector is None and weights is None else None

    def _rows_seed(self) -> int:
        """Seeds the draw of the preconditioner's rows."""
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _single_is_seen(self, X: Any, A: np.ndarray, errors: np.ndarray, span: Span) -> bool:
        """Whether the rounding of float32 kernel values in f is seen beside `errors` (t,), the errors of the fit."""
        if not is_float32(X):
            return False
        values = math.sqrt(float(span.squares.mean())) * np.linalg.norm(np.sqrt(span.squares)[:, None] * A, axis=0)
        return bool((_SINGLE * values > _SEEN * errors).any())

    def _say_jitter(self, span: Span, total: float, alpha: float) -> None:
        """Warn where the jitter is part of the problem, and no longer small beside the penalty."""
        if not span.exact and span.jitter > _MATTERS * alpha * span.size / total:
            warnings.warn(
                f"kernel: k(Z, Z) of the centres is positive definite only with jitter_={span.jitter:.2g} added to its "
                f"diagonal, which shows at alpha={alpha:g}: raise alpha, or take a kernel whose values are positive "
                "semi-definite to more digits",
                KernregWarning,
                stacklevel=4,
            )


class Falkon(FalkonMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    r"""Kernel ridge regression on m centres, by preconditioned conjugate gradients: time linear in the rows.

    Over the functions :math:`f(x) = \sum_{j=1}^m a_j\, k(x, z_j)` and the intercept b, where there is one, it minimises

    .. math:: \sum_i w_i (y_i - f(x_i) - b)^2 + \alpha \|f\|^2, \qquad \|f\|^2 = a^T k(Z, Z)\, a.

    Each step is one pass over the rows, in blocks that are used and forgotten: n x m kernel values are never in memory
    unless `memory_budget` allows it, and X may be a file. With all items as centres it is :class:`KernelRidge`.

    Parameters
    ----------
    kernel : None, kernel, callable, str
        Positive semi-definite. As in :class:`KernelRidge`, but for 'precomputed'; None is the linear kernel.
    alpha : float, array_like of shape (n_targets,) or 'gcv'
        Ridge penalty, above 0: n lambda of the papers. One for all targets or one for each (targets of one penalty
        are solved together). ``'gcv'`` chooses it for each target by generalised cross-validation in closed form,
        from the normal matrix of all rows, in n m^2 operations.
    n_centers : int, optional
        m, at most n. By default ten times the root of n, and at most 4000.
    centers : items, optional
        The centres themselves; `n_centers` and `selector` are then not looked at.
    selector : selector or str, optional
        What picks the centres, ``select(X, n_centers)``; None picks uniformly.
    fit_intercept : bool
        Whether an intercept, which is not penalised, is fitted.
    tol : float
        Above 0, below 1. It stops where the residual of the normal equations is this fraction of their right-hand
        side, in the preconditioner's norm: nearly the relative error of f in the norm of the objective.
    max_iter : int
        Steps at most, in each of the systems that different penalties make.
    memory_budget : int, optional
        Bytes; 1 GiB by default. As many of the n m kernel values as fit are kept from the first pass on instead of
        being computed in each. It changes time and memory, and the result by rounding.
    random_state : int, RandomState or None
        Picks the centres, and the rows that the preconditioner is made of.
    progress : bool, callable or None
        Shows the steps; see :func:`kernreg_core.gram`.

    Attributes
    ----------
    dual_coef_ : ndarray, shape (n_centers,) or (n_centers, n_targets)
        a, in float64.
    intercept_ : float or ndarray, shape (n_targets,)
        b; 0.0 without an intercept.
    centers_ : array or list
        Z.
    center_indices_ : ndarray of int or None
        Their rows in `X`; None where they were given.
    n_centers_ : int
        m.
    alpha_ : float or ndarray, shape (n_targets,)
        The penalty of each target, given or chosen.
    gcv_error_ : float or ndarray, shape (n_targets,)
        With ``alpha='gcv'``: the generalised cross-validation error, an estimate of the mean squared error.
    n_iter_ : int
        Steps taken; with ``alpha='gcv'`` the closed solution and corrections of it.
    residual_ : float
        The relative residual that was reached, computed anew and not by recurrence; the largest of all targets.
    jitter_ : float
        What was added to the diagonal of k(Z, Z) to factor it, in the norm above too; 0 where the centres are well
        apart.
    kernel_, n_features_in_, feature_names_in_
        As in :class:`KernelRidge`.

    Raises
    ------
    ParameterError
        From ``fit``: a parameter is out of its range; `kernel` is no kernel, or 'precomputed'.
    InputError
        From ``fit`` and ``predict``: NaN, infinity, an empty `X`, unequal lengths, other columns than in ``fit``;
        k(Z, Z) is not positive semi-definite.
    NotFittedError
        From ``predict`` before ``fit``.

    Warns
    -----
    ConvergenceWarning
        If `max_iter` steps do not reach `tol`, or rounding keeps the residual above both `tol` and 1e-4.
    KernregWarning
        If k(Z, Z) is so far from positive semi-definite that what is added to its diagonal shows in the result.

    Notes
    -----
    The preconditioner is the normal matrix of a sample of rows, in orthonormal coordinates of the centres' span. For
    the centres themselves as the sample it is that of [1]_; more rows are taken where they save more passes than they
    cost, up to all, which is the direct solution. Where centres were chosen by a selector or given, or rows have
    weights, rows are drawn from all by their weights.

    Coefficients, sums and products are float64. float32 rows have float32 kernel values, which err by 1e-7; where that
    is seen beside the residuals (of smooth kernels with small penalties, whose coefficients are large) fit starts again
    with float64 values, of fit and of ``predict``. A model of float64 rows takes float32 ones as float64.

    References
    ----------
    .. [1] A. Rudi, L. Carratino and L. Rosasco, "FALKON: an optimal large scale kernel method", NeurIPS 2017,
       arXiv:1705.10958.
    .. [2] G. H. Golub, M. Heath and G. Wahba, "Generalized cross-validation as a method for choosing a good ridge
       parameter", Technometrics 21, 1979.

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_solvers import Falkon, KernelRidge
    >>> X = np.random.default_rng(0).uniform(-1, 1, (1000, 2))
    >>> y = np.sin(3 * X[:, 0]) + X[:, 1] ** 2
    >>> def gauss(X, Y):
    ...     return np.exp(-2 * ((X[:, None] - Y) ** 2).sum(-1))
    >>> model = Falkon(kernel=gauss, alpha=0.01, n_centers=100, random_state=0).fit(X, y)
    >>> model.n_centers_, model.residual_ <= model.tol
    (100, True)
    >>> exact = KernelRidge(kernel=gauss, alpha=0.01).fit(X, y)
    >>> bool(np.abs(model.predict(X) - exact.predict(X)).max() < 0.01)
    True
    """

    _result = "dual_coef_"

    def __init__(
        self,
        *,
        kernel: Any = None,
        alpha: Any = 1.0,
        n_centers: int | None = None,
        centers: Any = None,
        selector: Any = None,
        fit_intercept: bool = False,
        tol: float = 1e-6,
        max_iter: int = 300,
        memory_budget: int | None = None,
        random_state: Any = None,
        progress: bool | Callable[[int, int], object] | None = None,
    ) -> None:
        self.kernel = kernel
        self.alpha = alpha
        self.n_centers = n_centers
        self.centers = centers
        self.selector = selector
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.memory_budget = memory_budget
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to items and targets.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or a list of items
            Read in blocks, and not copied: it may be memory-mapped.
        y : array_like, shape (n_samples,) or (n_samples, n_targets)
        sample_weight : float or array_like, shape (n_samples,), optional
            At least 0; an integer counts as that many equal rows.

        Returns
        -------
        self
        """
        self._check_numbers()
        X, y = self._fit_rows(X, y, multi_output=True, y_numeric=True)
        Y = np.asarray(y, dtype=np.float64).reshape(count(X), -1)
        alphas = checked_penalty(self.alpha, Y.shape[1], ("gcv",))
        if not isinstance(alphas, str) and not (alphas > 0.0).all():
            raise ParameterError(
                f"alpha: expected numbers above 0, got {self.alpha!r}: without a penalty take EigenPro3, or a small one"
            )
        weights = unless_one(checked_weights(sample_weight, len(Y)))
        seed = self._rows_seed()
        span = Span(self.kernel_, self._choose_centers(X))
        self._in_float64 = False
        found, alphas, errors = self._solve(X, Y, weights, alphas, span, seed)
        if self._single_is_seen(X, found.A, found.errors, span):
            self._in_float64 = True
            found, alphas, errors = self._solve(X, Y, weights, alphas, span, seed)
        self.alpha_, self.jitter_ = of_targets(alphas, y), span.jitter
        self.__dict__.pop("gcv_error_", None)
        if errors is not None:
            self.gcv_error_ = of_targets(errors, y)
        self.n_iter_, self.residual_ = found.n_iter, found.residual
        self.intercept_: Any = of_targets(found.b, y) if self.fit_intercept or np.ndim(y) == 1 else 0.0
        self.dual_coef_: np.ndarray = found.A.ravel() if np.ndim(y) == 1 else found.A
        self._say(span, float(alphas.min()), len(Y) if weights is None else float(weights.sum()))
        return self

    def predict(self, X: Any) -> np.ndarray:
        """f(x) + b of each item, in blocks.

        Parameters
        ----------
        X : array_like, shape (n, n_features), or a list of items

        Returns
        -------
        ndarray, shape (n,) or (n, n_targets)
        """
        self._check_fitted()
        return np.asarray(self._on_centers(X, self.dual_coef_) + self.intercept_)

    def _solve(
        self,
        X: Any,
        Y: np.ndarray,
        weights: np.ndarray | None,
        alphas: np.ndarray | str,
        span: Span,
        seed: int,
    ) -> tuple[Found, np.ndarray, np.ndarray | None]:
        """The solution of all targets, their penalties and, where these were chosen, their errors."""
        with pinned_blas():  # the passes have threads of their own: BLAS's would spin on beside them
            return self._solved(X, Y, weights, alphas, span, seed)

    def _solved(
        self,
        X: Any,
        Y: np.ndarray,
        weights: np.ndarray | None,
        alphas: np.ndarray | str,
        span: Span,
        seed: int,
    ) -> tuple[Found, np.ndarray, np.ndarray | None]:
        operator = self._operator(X, keep=self._budget())
        sample = Sample(operator, span, weights, self._uniform_centres(weights), self._picker(X), seed)
        problem = LeastSquares(operator, span, Y, weights, bool(self.fit_intercept))
        if isinstance(alphas, str):
            return solve_gcv(problem, sample, self.tol)
        found = Found.empty(span.size, Y.shape[1])
        distinct = np.unique(alphas)
        with Progress(len(distinct) * self.max_iter, self.progress, what="Falkon", unit="step") as bar:
            for alpha in distinct:
                columns = np.flatnonzero(alphas == alpha)
                part = problem.of(columns, float(alpha))
                found.put(columns, solve(part, sample, tol=self.tol, max_iter=int(self.max_iter), bar=bar))
        return found, np.array(alphas), None

    def _say(self, span: Span, alpha: float, total: float) -> None:
        """Warn of what did not come out as asked."""
        self._say_jitter(span, total, alpha)
        if self.residual_ <= max(self.tol, 0.0 if self.n_iter_ >= self.max_iter else ATTAINED):
            return
        what, way = (
            (f"after {self.n_iter_} steps", "raise max_iter, tol or alpha")
            if self.n_iter_ >= self.max_iter
            else ("rounding keeps", "raise alpha, or take a kernel that is less smooth, or float64")
        )
        warnings.warn(
            f"Falkon: {what} the relative residual at {self.residual_:.2g}, above tol={self.tol:g}: {way}",
            ConvergenceWarning,
            stacklevel=3,
        )


def unless_one(weights: np.ndarray | None) -> np.ndarray | None:
    """The weights, None where all are 1."""
    return None if weights is None or (weights == 1.0).all() else weights
