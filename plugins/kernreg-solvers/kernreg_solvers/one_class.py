"""The one-class support vector machine."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import OneClassSVM

from kernreg_core.arrays import is_prepared
from kernreg_core.errors import ParameterError

from .centers import take
from .krr import checked_weights
from .mixin import KernelMixin, count
from .nystrom_features import not_finite
from .operator import KernelOperator


class OneClassClassifier(KernelMixin, OutlierMixin, BaseEstimator):  # type: ignore[misc]
    r"""The one-class support vector machine: where most of the data lie, on items of any domain.

    Finds the hyperplane of a kernel's space that parts the items from the origin with the largest margin,

    .. math:: \min_{f, \rho, \xi \ge 0} \tfrac12 \|f\|^2 - \rho + \frac1{\nu n} \sum_i \xi_i, \qquad
       f(x_i) \ge \rho - \xi_i, \qquad f(x) = \frac1{\nu n} \sum_i a_i\, k(x, x_i), \quad 0 \le a_i \le 1,

    by scikit-learn's libsvm on the Gram matrix. Items with f(x) below rho are outliers: at most the fraction nu of
    the training items; the items with a_i > 0, on which alone f depends, are at least that many.

    Parameters
    ----------
    kernel : None, kernel, callable, str
        As in :class:`KernelRidge`; a Gaussian kernel is the usual one.
    nu : float
        Above 0 and below 1; at 1 every item is at its bound, and libsvm has no offset.
    tol : float
        Above 0: violation of the optimality conditions at which libsvm stops.
    shrinking : bool
        Whether it leaves variables out that seem to stay where they are.
    cache_size : float
        Of its kernel cache, in MB.
    max_iter : int
        Iterations at most, or -1.

    Attributes
    ----------
    support_ : ndarray of int32, shape (n_support,)
        Rows of the items with a_i > 0.
    support_items_ : array, list or None
        These items, all that is kept of `X`; None with 'precomputed'.
    dual_coef_ : ndarray, shape (1, n_support)
        a_i, as in scikit-learn's ``OneClassSVM``, whose problem is this one times nu n.
    offset_ : float
        nu n rho; decision_function is score_samples less offset_.
    n_iter_ : int
    kernel_, n_samples_fit_, n_features_in_, feature_names_in_
        As in :class:`KernelRidge`.

    Raises
    ------
    ParameterError
        From ``fit``: a parameter is out of its range, or no kernel.
    InputError
        From ``fit`` and the answers: as in :class:`KernelRidge`.
    NotFittedError
        From the answers before ``fit``.

    Warns
    -----
    ConvergenceWarning
        If libsvm reached `max_iter`; it tells by how much the conditions are violated.

    References
    ----------
    .. [1] B. Schölkopf, J. Platt, J. Shawe-Taylor, A. Smola and R. Williamson, "Estimating the support of a
       high-dimensional distribution", Neural Computation 13, 2001. doi:10.1162/089976601750264965

    Examples
    --------
    Strings with few letters in common with the others:

    >>> import numpy as np
    >>> from kernreg_solvers import OneClassClassifier
    >>> def common(X, Y):
    ...     return np.array([[len(set(x) & set(y)) / len(set(x) | set(y)) for y in Y] for x in X])
    >>> model = OneClassClassifier(kernel=common, nu=0.2).fit(["abc", "abd", "acd", "abcd", "bcd"])
    >>> model.predict(["bad", "xyz"])
    array([ 1, -1])
    """

    _result = "dual_coef_"

    def __init__(
        self,
        *,
        kernel: Any = None,
        nu: float = 0.5,
        tol: float = 1e-3,
        shrinking: bool = True,
        cache_size: float = 200,
        max_iter: int = -1,
    ) -> None:
        self.kernel = kernel
        self.nu = nu
        self.tol = tol
        self.shrinking = shrinking
        self.cache_size = cache_size
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Find where `X` lies.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or a list of items, or a Gram matrix
        y : ignored
            It is passed on to a kernel that has to be fitted.
        sample_weight : float or array_like, shape (n_samples,), optional
            At least 0; scales the bound 1 of each a_i.

        Returns
        -------
        self
        """
        self._check_parameters()
        X, _ = self._fit_data(X)
        weights = checked_weights(sample_weight, count(X))
        K = self._training_gram(X, y)
        machine = OneClassSVM(
            kernel="precomputed",
            nu=float(self.nu),
            tol=float(self.tol),
            shrinking=bool(self.shrinking),
            cache_size=float(self.cache_size),
            max_iter=int(self.max_iter),
        )
        machine.random_state = 0  # libsvm draws nothing here, and the global state is left alone
        counted = np.arange(len(K)) if weights is None else np.flatnonzero(weights)
        if weights is not None and len(counted) < len(K):  # libsvm's support would count among these
            K, weights = K[np.ix_(counted, counted)], weights[counted]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # ours says what to change
            machine.fit(K, sample_weight=weights)
        if machine.fit_status_:
            residual = _violation(K, machine, weights)
            warnings.warn(
                f"OneClassClassifier: libsvm stopped after max_iter={self.max_iter} iterations, where the optimality "
                f"conditions are violated by {residual:.2g}, above tol={self.tol:g}: raise max_iter or tol",
                ConvergenceWarning,
                stacklevel=2,
            )
        self.support_ = counted[machine.support_].astype(np.int32)
        self.support_items_, self._columns = self._kept_items(X)
        self.X_fit_ = self._items = None
        self.offset_ = float(machine.offset_[0])
        self.n_iter_ = int(machine.n_iter_)
        self.dual_coef_ = np.asarray(machine.dual_coef_)
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """sum_i a_i k(x, x_i) of each item, shape (n,): the larger, the more like the training items.

        Parameters
        ----------
        X : array_like, shape (n, n_features), or a list of items, or k(X, X_train)
        """
        X = self._new_data(X)
        if self._layout_fit == "precomputed":
            return np.asarray(self._float_gram(X)[:, self.support_] @ self.dual_coef_[0])
        coefficients = np.zeros(count(self.support_items_))
        coefficients[self._columns] = self.dual_coef_[0]
        found = KernelOperator(self.kernel_, X, self.support_items_).times(coefficients)
        if not np.isfinite(found).all():
            raise not_finite(self.kernel_)
        return found

    def decision_function(self, X: Any) -> np.ndarray:
        """``score_samples`` less ``offset_``, shape (n,): negative for outliers."""
        return np.asarray(self.score_samples(X) - self.offset_)

    def predict(self, X: Any) -> np.ndarray:
        """1 for each item where the data lie, -1 for outliers, shape (n,)."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

    def _kept_items(self, X: Any) -> tuple[Any, Any]:
        """The support items, and where dual_coef_ belongs among what is kept."""
        if self._layout_fit == "precomputed":
            return None, None
        if is_prepared(X):  # it can be cut, and nothing picked from it
            return X, self.support_
        return take(X, self.support_), slice(None)

    def _check_parameters(self) -> None:
        def is_number(value: Any) -> bool:
            return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)

        if not is_number(self.nu) or not 0 < self.nu < 1:
            raise ParameterError(f"nu: expected a number above 0 and below 1, got {self.nu!r}")
        for name in ("tol", "cache_size"):
            if not is_number(getattr(self, name)) or getattr(self, name) <= 0:
                raise ParameterError(f"{name}: expected a finite number above 0, got {getattr(self, name)!r}")
        if not isinstance(self.max_iter, numbers.Integral) or (self.max_iter != -1 and self.max_iter < 1):
            raise ParameterError(f"max_iter: expected a whole number at least 1, or -1, got {self.max_iter!r}")


def _violation(K: np.ndarray, machine: OneClassSVM, weights: np.ndarray | None) -> float:
    """Of the optimality conditions, as libsvm has it: f(x_i) <= rho where a_i > 0, >= rho where a_i can grow."""
    a = np.zeros(len(K))
    a[machine.support_] = machine.dual_coef_[0]
    f, bound = K @ a, (np.ones(len(K)) if weights is None else weights)
    high, low = f[a > 0], f[a < bound]
    return float(high.max() - low.min()) if high.size and low.size else 0.0
