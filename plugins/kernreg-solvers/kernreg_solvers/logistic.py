"""Kernel logistic classification."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning

from kernreg_core.errors import InputError, ParameterError

from .linalg import blas_threads
from .logits import LogitMixin
from .losses import Loss, loss_of
from .mixin import KernelMixin
from .newton import BinaryNewton, SoftmaxNewton
from .penalised import IndefiniteError, Outcome, Problem, QuasiNewton, State, Strategy, minimise

_SOLVERS = ("auto", "newton", "lbfgs")
#: Bytes that the inverses of a multinomial Newton step may take under solver='auto'.
_NEWTON_BYTES = 2**30


class KernelLogisticClassifier(LogitMixin, KernelMixin, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    r"""Logistic regression in the space of a kernel, on items of any domain; two classes or more.

    Minimises, over functions :math:`f_c(x) = \sum_i a_{ic} k(x, x_i)` and intercepts :math:`b_c`,

    .. math:: \sum_i w_i \log \frac{\sum_c \exp(f_c(x_i) + b_c)}{\exp(f_{y_i}(x_i) + b_{y_i})}
              + \frac{\alpha}{2} \sum_c \|f_c\|^2,

    which with a linear kernel is scikit-learn's ``LogisticRegression(C=1/alpha)``. Two classes have one
    function, the logit of the second. Unlike a support vector machine it gives probabilities by itself.

    Parameters
    ----------
    kernel : None, kernel, callable, str
        As in :class:`KernelRidge`; None is the linear kernel.
    alpha : float
        Penalty, above 0.
    fit_intercept : bool
        Whether there is an intercept, which is not penalised.
    class_weight : dict, 'balanced' or None
        Weight of each class, multiplied with `sample_weight`. 'balanced' gives every class the
        same total weight.
    solver : {'auto', 'newton', 'lbfgs'}
        'lbfgs' takes a product with the Gram matrix per iteration, 'newton' factorises it (for k
        classes, k + 1 times, keeping k matrices). 'auto' goes with 'lbfgs' and, where that is slow,
        on with 'newton' if the memory allows.
    tol : float
        Above 0. Stops when the gradient proves that no logit is farther than `tol` from the
        optimum's: sqrt(max k(x, x)) |gradient| / alpha <= tol, the norm that of the kernel's space.
    max_iter : int
        Iterations of either kind.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
    dual_coef_ : ndarray, shape (n_samples,) or (n_samples, n_classes)
        a; of the second class where there are two.
    intercept_ : float or ndarray, shape (n_classes,)
        b; of several classes they sum to zero.
    n_iter_ : int
        Iterations taken.
    gap_ : float
        The bound on the logits' error that was reached.
    kernel_, X_fit_, n_samples_fit_, n_features_in_, feature_names_in_
        As in :class:`KernelRidge`.

    Raises
    ------
    ParameterError
        From ``fit``: a parameter is out of its range, or `kernel` is no kernel that can be used.
    InputError
        From ``fit``: as in :class:`KernelRidge`; a single class, a class without weight; a Gram matrix
        that is not positive semi-definite, for which the objective has no minimum.
    NotFittedError
        From ``predict`` before ``fit``.

    Warns
    -----
    ConvergenceWarning
        If `max_iter` iterations were not enough.

    References
    ----------
    .. [1] J. Zhu and T. Hastie, "Kernel logistic regression and the import vector machine",
       Journal of Computational and Graphical Statistics 14, 2005. doi:10.1198/106186005X25619

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_solvers import KernelLogisticClassifier
    >>> X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> model = KernelLogisticClassifier(alpha=0.1).fit(X, ["no", "no", "yes", "yes"])
    >>> model.predict([[-3.0], [0.5]]).tolist()
    ['no', 'yes']
    >>> model.predict_proba([[0.0]]).round(6)
    array([[0.5, 0.5]])
    """

    _result = "dual_coef_"

    def __init__(
        self,
        *,
        kernel: Any = None,
        alpha: float = 1.0,
        fit_intercept: bool = True,
        class_weight: Any = None,
        solver: str = "auto",
        tol: float = 1e-6,
        max_iter: int = 1000,
    ) -> None:
        self.kernel = kernel
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.solver = solver
        self.tol = tol
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to items and their classes.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or a list of items, or a Gram matrix
        y : array_like, shape (n_samples,)
            Classes, as numbers or strings.
        sample_weight : float or array_like, shape (n_samples,), optional
            At least 0; an integer counts as that many equal rows.

        Returns
        -------
        self
        """
        self._check_parameters()
        X, y = self._fit_data(X, y)
        codes, weights = self._fit_classes(y, sample_weight)
        K = self._training_gram(X, y)
        # a sample without weight has no coefficient: leaving it out keeps all weights positive
        used = np.flatnonzero(weights > 0)
        if len(used) < len(weights):
            K, codes, weights = np.ascontiguousarray(K[np.ix_(used, used)]), codes[used], weights[used]
        with blas_threads(len(K)):
            state, outcome = self._minimise(K, loss_of(codes, weights, len(self.classes_)))
        coefficients = np.zeros((self.n_samples_fit_, state.C.shape[1]))
        coefficients[used] = state.C
        binary = len(self.classes_) == 2
        self.dual_coef_ = coefficients[:, 0] if binary else coefficients
        self.intercept_: Any = float(state.b[0]) if binary else state.b - state.b.mean()
        self.n_iter_, self.gap_ = outcome.n_iter, state.bound
        if not outcome.converged:
            warnings.warn(
                f"KernelLogisticClassifier: after {outcome.n_iter} iterations logits may be off by {state.bound:.2g}, "
                f"above tol={self.tol:g}: raise max_iter, tol or alpha, or set solver='newton'",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits: of the second class, shape (n,), or of each class, shape (n, n_classes)."""
        X = self._new_data(X)
        return np.asarray(self._cross_matvec(X, self.dual_coef_) + self.intercept_)

    def _check_parameters(self) -> None:
        for name in ("alpha", "tol"):
            value = getattr(self, name)
            if not isinstance(value, numbers.Real) or isinstance(value, bool) or not math.isfinite(value) or value <= 0:
                raise ParameterError(f"{name}: expected a finite number above 0, got {value!r}")
        if self.solver not in _SOLVERS:
            raise ParameterError(f"solver: expected one of {', '.join(map(repr, _SOLVERS))}, got {self.solver!r}")
        if not isinstance(self.max_iter, numbers.Integral) or self.max_iter < 1:
            raise ParameterError(f"max_iter: expected a whole number at least 1, got {self.max_iter!r}")

    def _minimise(self, K: np.ndarray, loss: Loss) -> tuple[State, Outcome]:
        problem = Problem(K, loss, float(self.alpha), bool(self.fit_intercept))
        n, k = loss.Y.shape
        max_iter = int(self.max_iter)

        def newton() -> Strategy:
            return BinaryNewton(problem) if k == 1 else SoftmaxNewton(problem, k)

        try:
            state = State(problem, k)
            if self.solver == "newton":
                return state, minimise(state, newton(), tol=self.tol, max_iter=max_iter)
            affordable = self.solver == "auto" and 8 * n * n * (1 if k == 1 else k + 1) <= _NEWTON_BYTES
            patience = min(max_iter, _patience(n, k)) if affordable else max_iter
            outcome = minimise(state, QuasiNewton(), tol=self.tol, max_iter=patience)
            # the gradient may be lost in rounding before it proves anything: Newton steps reach further
            if state.bound <= self.tol or not affordable or outcome.n_iter >= max_iter:
                return state, outcome
            last = minimise(state, newton(), tol=self.tol, max_iter=max_iter - outcome.n_iter)
            if not last.converged and outcome.n_iter + last.n_iter < max_iter:
                # what rounding has left in K's null space is in the way: start again without it
                state = State(problem, k)
                last = minimise(state, newton(), tol=self.tol, max_iter=max_iter - outcome.n_iter)
            return state, Outcome(outcome.n_iter + last.n_iter, last.converged)
        except IndefiniteError:
            raise InputError(
                f"kernel: the Gram matrix of these items is not positive semi-definite (alpha={self.alpha!r}), so that "
                "the objective has no minimum: take a positive definite kernel, or fit kernel='precomputed' to "
                "kernreg_core.numeric.nearest_psd(K); raise alpha if only rounding is in the way"
            ) from None


def _patience(n: int, k: int) -> int:
    """Quasi-Newton iterations that cost about as much as six Newton steps."""
    return max(30, min(300, n // 8 if k == 1 else n))
