"""Logistic Falkon: kernel logistic classification on centres, for as many rows as there are."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning

from kernreg_core.errors import ParameterError
from kernreg_core.progress import Progress
from kernreg_core.threads import pinned_blas

from .falkon import FalkonMixin, unless_one
from .falkon_newton import HessianSample, LogisticLoss, Solution, minimise
from .falkon_ridge import ATTAINED
from .falkon_span import Span
from .logits import LogitMixin
from .losses import Loss, loss_of

#: The error of a logit that rounding may make: thousandths of a probability's error, at most.
_LOGIT = 1e-2


class LogisticFalkon(LogitMixin, FalkonMixin, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    r"""Kernel logistic classification on m centres, by Newton steps of Falkon's: time linear in the rows.

    Over the functions :math:`f_c(x) = \sum_{j=1}^m a_{jc}\, k(x, z_j)` and intercepts :math:`b_c`, it minimises

    .. math:: \sum_i w_i \log \frac{\sum_c \exp(f_c(x_i) + b_c)}{\exp(f_{y_i}(x_i) + b_{y_i})}
              + \frac{\alpha}{2} \sum_c \|f_c\|^2, \qquad \|f_c\|^2 = a_c^T k(Z, Z)\, a_c.

    Two classes have one function, the logit of the second. With all items as centres it is
    :class:`KernelLogisticClassifier`. Rows are read in blocks, and k(X, Z) is never in memory beyond `memory_budget`.

    Parameters
    ----------
    kernel : None, kernel, callable, str
        Positive semi-definite. As in :class:`KernelLogisticClassifier`, but for 'precomputed'; None is the linear
        kernel.
    alpha : float
        Penalty, above 0: n lambda of the papers, whose objective is the mean loss.
    n_centers : int, optional
        m, at most n. By default ten times the root of n, and at most 4000.
    centers : items, optional
        The centres themselves; `n_centers` and `selector` are then not looked at.
    selector : selector or str, optional
        What picks the centres, ``select(X, n_centers)``; None picks uniformly.
    fit_intercept : bool
        Whether there is an intercept, which is not penalised.
    class_weight : dict, 'balanced' or None
        Weight of each class, multiplied with `sample_weight`. 'balanced' gives every class the same total weight.
    tol : float
        Above 0, below 1. It stops where the Newton decrement says that the logits' error, its square averaged with
        weights w p (1 - p), is at most this.
    max_iter : int
        Newton steps at most.
    memory_budget : int, optional
        Bytes; 1 GiB by default. As many of the n m kernel values as fit are kept instead of being computed in each
        pass. It changes time and memory, and the result by rounding.
    random_state : int, RandomState or None
        Picks the centres, and the rows that the preconditioner is made of.
    progress : bool, callable or None
        Shows the Newton steps; see :func:`kernreg_core.gram`.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
    dual_coef_ : ndarray, shape (n_centers,) or (n_centers, n_classes)
        a, in float64; of the second class where there are two.
    intercept_ : float or ndarray, shape (n_classes,)
        b; of several classes they sum to zero. 0 without an intercept.
    centers_ : array or list
        Z.
    center_indices_ : ndarray of int or None
        Their rows in `X`; None where they were given.
    n_centers_ : int
        m.
    n_iter_ : int
        Newton steps taken.
    n_passes_ : int
        Passes over the rows: one for each Newton step, and one for each step of conjugate gradients in it.
    decrement_ : float
        The error of the logits that `tol` bounds, as reached.
    gradient_norm_ : float
        Norm, in the kernel's space, of the gradient of the objective divided by the sum of all weights.
    jitter_ : float
        What was added to the diagonal of k(Z, Z) to factor it, in the norm above too.
    kernel_, n_features_in_, feature_names_in_
        As in :class:`KernelLogisticClassifier`.

    Raises
    ------
    ParameterError
        From ``fit``: a parameter is out of its range; `kernel` is no kernel, or 'precomputed'.
    InputError
        From ``fit``: as in :class:`KernelRidge`; a single class, a class without weight; k(Z, Z) is not positive
        semi-definite.
    NotFittedError
        From ``predict`` before ``fit``.

    Warns
    -----
    ConvergenceWarning
        If `max_iter` Newton steps were not enough, or rounding keeps the decrement above both `tol` and 1e-4.
    KernregWarning
        If k(Z, Z) is so far from positive semi-definite that what is added to its diagonal shows in the result.

    Notes
    -----
    The penalty is lowered to alpha as in [1]_, one Newton step at each, by a factor that follows from how far the last
    step could be gone. The linear systems are solved by conjugate gradients with the preconditioner of
    :class:`Falkon`, its rows weighted by the second derivatives p (1 - p), one factor of size m for each class. All
    classes are solved together, coupled as the softmax couples them. The logits of all rows are kept, n_classes numbers
    for each row (one for two classes).

    References
    ----------
    .. [1] U. Marteau-Ferey, F. Bach and A. Rudi, "Globally convergent Newton methods for ill-conditioned generalized
       self-concordant losses", NeurIPS 2019, arXiv:1907.01771.
    .. [2] G. Grosso, N. Lai, M. Letizia, J. Pazzini, M. Rando, L. Rosasco, A. Wulzer and M. Zanetti, "Fast kernel
       methods for Data Quality Monitoring as a goodness-of-fit test", 2023, arXiv:2303.05413.

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_solvers import LogisticFalkon
    >>> X = np.random.default_rng(0).uniform(-2, 2, (2000, 2))
    >>> y = np.where((X**2).sum(axis=1) < 2, "in", "out")
    >>> def gauss(X, Y):
    ...     return np.exp(-((X[:, None] - Y) ** 2).sum(-1))
    >>> model = LogisticFalkon(kernel=gauss, alpha=0.01, n_centers=100, random_state=0).fit(X, y)
    >>> model.predict([[0.0, 0.5], [1.9, 1.9]]).tolist()
    ['in', 'out']
    >>> model.score(X, y) > 0.99, model.gradient_norm_ < 1e-6
    (True, True)
    """

    _result = "dual_coef_"

    def __init__(
        self,
        *,
        kernel: Any = None,
        alpha: float = 1.0,
        n_centers: int | None = None,
        centers: Any = None,
        selector: Any = None,
        fit_intercept: bool = True,
        class_weight: Any = None,
        tol: float = 1e-6,
        max_iter: int = 100,
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
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.memory_budget = memory_budget
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to items and their classes.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or a list of items
            Read in blocks, and not copied: it may be memory-mapped.
        y : array_like, shape (n_samples,)
            Classes, as numbers or strings.
        sample_weight : float or array_like, shape (n_samples,), optional
            At least 0; an integer counts as that many equal rows.

        Returns
        -------
        self
        """
        self._check_numbers()
        self._check_alpha()
        X, y = self._fit_rows(X, y)
        codes, weights = self._fit_classes(y, sample_weight)
        loss = loss_of(codes, weights, len(self.classes_))
        seed = self._rows_seed()
        span = Span(self.kernel_, self._choose_centers(X))
        self._in_float64 = False
        found = self._solve(X, loss, unless_one(weights), span, seed)
        if self._single_is_seen(X, found.A, np.full(found.A.shape[1], _LOGIT), span):
            self._in_float64 = True
            found = self._solve(X, loss, unless_one(weights), span, seed)
        binary = len(self.classes_) == 2
        self.jitter_, self.n_iter_, self.n_passes_ = span.jitter, found.n_iter, found.n_passes
        self.decrement_, self.gradient_norm_ = found.decrement, found.gradient_norm
        self.intercept_: Any = float(found.b[0]) if binary else found.b
        self.dual_coef_: np.ndarray = found.A[:, 0] if binary else found.A
        self._say(span, float(weights.sum()))
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits: of the second class, shape (n,), or of each class, shape (n, n_classes)."""
        self._check_fitted()
        return np.asarray(self._on_centers(X, self.dual_coef_) + self.intercept_)

    def _check_alpha(self) -> None:
        alpha = self.alpha
        if not isinstance(alpha, numbers.Real) or isinstance(alpha, bool) or not 0 < alpha < math.inf:
            raise ParameterError(f"alpha: expected a finite number above 0, got {alpha!r}")

    def _solve(self, X: Any, loss: Loss, weights: np.ndarray | None, span: Span, seed: int) -> Solution:
        problem = LogisticLoss(self._operator(X, keep=self._budget()), span, loss, bool(self.fit_intercept))
        sample = HessianSample(problem, weights, self._uniform_centres(weights), self._picker(X), seed)
        max_iter = int(self.max_iter)
        # the passes have threads of their own: BLAS's would spin on beside them
        with Progress(max_iter, self.progress, what="logistic Falkon", unit="step") as bar, pinned_blas():
            return minimise(problem, sample, float(self.alpha), tol=float(self.tol), max_iter=max_iter, bar=bar)

    def _say(self, span: Span, total: float) -> None:
        """Warn of what did not come out as asked."""
        self._say_jitter(span, total, float(self.alpha))
        most = self.n_iter_ >= self.max_iter
        if self.decrement_ <= max(self.tol, 0.0 if most else ATTAINED):
            return
        what, way = (
            (f"after {self.n_iter_} Newton steps", "raise max_iter, tol or alpha")
            if most
            else ("rounding keeps", "raise alpha, or take a kernel that is less smooth, or float64")
        )
        warnings.warn(
            f"LogisticFalkon: {what} the error of the logits at {self.decrement_:.2g}, above tol={self.tol:g}: {way}",
            ConvergenceWarning,
            stacklevel=3,
        )
