"""Kernel ridge regression."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import _check_sample_weight

import kernreg_core as kr
from kernreg_core.errors import InputError

from .dual import solve_dual
from .mixin import KernelMixin, as_numpy
from .penalty import METHODS, checked_penalty


class KernelRidge(KernelMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    r"""Ridge regression in the space of a kernel, on items of any domain.

    Finds the function f in the kernel's space, and the intercept b where there is one, that
    minimise

    .. math:: \sum_i w_i (y_i - f(x_i) - b)^2 + \alpha \|f\|^2, \qquad f(x) = \sum_i c_i\, k(x, x_i),

    by one Cholesky factorisation of :math:`K + \alpha W^{-1}`, in the memory of K itself; or, where
    the penalty is to be chosen, by one eigendecomposition of K.

    Parameters
    ----------
    kernel : None, kernel, callable, str
        None: the linear kernel. A kernel object, or any callable ``(X, Y) -> (n, m)`` matrix; the
        name of an entry, created with its defaults; or ``'precomputed'``: `X` is the matrix
        k(X, X) in ``fit`` and k(X_new, X_train) in ``predict``. The object itself is never
        changed: ``fit`` works on a clone.
    alpha : float, array_like of shape (n_targets,), 'loo' or 'gcv'
        Ridge penalty, at least 0; one for all targets or one for each. 0 interpolates. ``'loo'`` and
        ``'gcv'`` choose it, for each target on its own, where the error of leave-one-out or of
        generalised cross-validation is least: in closed form, exactly, on a continuous log scale
        (a grid over all that rounding allows, then finer ones around its best point).
    fit_intercept : bool
        Whether an intercept, which is not penalised, is fitted. False, as in scikit-learn's
        ``KernelRidge``; centre y, or set it, where the kernel has no constant part.

    Attributes
    ----------
    dual_coef_ : ndarray, shape (n_samples,) or (n_samples, n_targets)
        c.
    intercept_ : float or ndarray, shape (n_targets,)
        b; 0.0 without an intercept.
    alpha_ : float or ndarray, shape (n_targets,)
        The penalty of each target, given or chosen.
    loo_error_, gcv_error_ : float or ndarray, shape (n_targets,)
        The mean squared error at ``alpha_`` by the method that chose it, and only then. A weight is
        the precision of its item here, which is left out as a whole.
    kernel_ : kernel or None
        The clone that was used, fitted where the kernel has to be; None with 'precomputed'.
    X_fit_ : array or list or None
        A copy of the training items; None with 'precomputed'.
    n_samples_fit_ : int
        Their number.
    n_features_in_, feature_names_in_ : int, ndarray
        Where `X` has columns, and names for them.

    Raises
    ------
    ParameterError
        From ``fit``: `kernel` is no kernel, or is asymmetric, complex or matrix-valued; `alpha` is
        negative, not finite, of another length than the targets, or another word.
    InputError
        From ``fit`` and ``predict``: NaN, infinity, strings, an empty `X`, unequal lengths, other
        columns than in ``fit``.
    NotFittedError
        From ``predict`` before ``fit``.

    Warns
    -----
    KernregWarning
        If K + alpha W^-1 is not positive definite (a kernel that is not, or `alpha` too small for
        the precision of float64). The least-squares solution of least norm is then taken from an
        eigendecomposition; for an indefinite K it is a stationary point, no minimum.

    Notes
    -----
    On vectors `X` is validated as scikit-learn does; on other domains only its length is checked,
    and lists go through ``cross_val_score``, ``GridSearchCV`` and ``Pipeline`` as arrays do. The
    system is solved in float64 whatever the dtype of `X`: from 1000 items on by a factorisation in
    float32 whose solution is refined to the residual of one in float64, and by one in float64 where
    alpha is below a millionth of the largest eigenvalue or that residual is not reached. A torch
    tensor is handed to the kernel as it is, on its device; coefficients and predictions are NumPy
    arrays.

    The formulas of leave-one-out and generalised cross-validation, weights and intercept included,
    stand in :mod:`kernreg_solvers.penalty`. An eigendecomposition takes some ten times as long as a
    factorisation: for many rows see ``solver.feature_ridge``. Where the kernel is indefinite only
    penalties that have a minimum are searched.

    References
    ----------
    .. [1] C. Saunders, A. Gammerman and V. Vovk, "Ridge regression learning algorithm in dual
       variables", ICML 1998.
    .. [2] D. M. Allen, "The relationship between variable selection and data augmentation and a
       method for prediction", Technometrics 16, 1974.
    .. [3] G. H. Golub, M. Heath and G. Wahba, "Generalized cross-validation as a method for choosing
       a good ridge parameter", Technometrics 21, 1979.

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_solvers import KernelRidge
    >>> X = np.array([[0.0], [1.0], [2.0]])
    >>> model = KernelRidge(alpha=1e-6, fit_intercept=True).fit(X, [1.0, 3.0, 5.0])
    >>> model.predict([[3.0]]).round(3)
    array([7.])

    A penalty that is chosen:

    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((50, 3))
    >>> model = KernelRidge(alpha="loo").fit(X, X[:, 0] + 0.1 * rng.standard_normal(50))
    >>> 0.01 < model.alpha_ < 2.0, 0.005 < model.loo_error_ < 0.02
    (True, True)

    On strings, with a kernel that counts common letters:

    >>> def common(X, Y):
    ...     return np.array([[float(len(set(x) & set(y))) for y in Y] for x in X])
    >>> model = KernelRidge(kernel=common, alpha=0.1).fit(["ab", "cd", "ac"], [2.0, -2.0, 0.0])
    >>> bool(model.predict(["abb"])[0] > 1)
    True
    """

    _result = "dual_coef_"

    def __init__(self, *, kernel: Any = None, alpha: Any = 1.0, fit_intercept: bool = False) -> None:
        self.kernel = kernel
        self.alpha = alpha
        self.fit_intercept = fit_intercept

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to items and targets.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or a list of items, or a Gram matrix
        y : array_like, shape (n_samples,) or (n_samples, n_targets)
        sample_weight : float or array_like, shape (n_samples,), optional
            At least 0; an integer counts as that many equal rows.

        Returns
        -------
        self
        """
        X, y = self._fit_data(X, y, multi_output=True, y_numeric=True)
        for stale in ("loo_error_", "gcv_error_"):
            self.__dict__.pop(stale, None)
        targets = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        alpha = checked_penalty(self.alpha, targets.shape[1], METHODS)
        weights = checked_weights(sample_weight, len(targets))
        K = self._training_gram(X, y)
        found = solve_dual(
            K,
            targets,
            alpha,
            weights=weights,
            intercept=self.fit_intercept,
            definite=self.kernel_ is not None and "psd" in kr.capabilities(self.kernel_),
            stacklevel=3,
        )
        if isinstance(alpha, str):
            setattr(self, f"{alpha}_error_", of_targets(found.errors, y))
        self.alpha_: Any = of_targets(np.array(found.alphas), y)
        self.intercept_: Any = of_targets(found.intercepts, y) if self.fit_intercept or np.ndim(y) == 1 else 0.0
        self.dual_coef_: np.ndarray = found.coefficients.ravel() if np.ndim(y) == 1 else found.coefficients
        return self

    def predict(self, X: Any) -> np.ndarray:
        """f(x) + b of each item.

        Parameters
        ----------
        X : array_like, shape (n, n_features), or a list of items, or k(X, X_train)

        Returns
        -------
        ndarray, shape (n,) or (n, n_targets)
        """
        X = self._new_data(X)
        return np.asarray(self._cross_matvec(X, self.dual_coef_) + self.intercept_)


def of_targets(values: Any, y: Any) -> Any:
    """A number where there is one target, an array of one for each where `y` has columns."""
    return float(values[0]) if np.ndim(y) == 1 else values


def checked_weights(sample_weight: Any, n: int) -> np.ndarray | None:
    """Weights of `n` samples in float64, None where none were given.

    Raises
    ------
    InputError
        If they are no numbers, negative, all zero, or not `n`.
    """
    if sample_weight is None:
        return None
    try:
        weights = _check_sample_weight(as_numpy(sample_weight), np.empty((n, 1)), dtype=np.float64)
    except ValueError as error:
        raise InputError(f"sample_weight: {error}") from error
    if (weights < 0).any():
        raise InputError(f"sample_weight: expected numbers at least 0, got {float(weights.min()):g} among them")
    if not (weights > 0).any():
        raise InputError("sample_weight: every weight is zero: at least one has to be positive")
    return np.asarray(weights)
