"""Kernel ridge regression."""

from __future__ import annotations

import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import _check_sample_weight

from kernreg_core.arrays import describe
from kernreg_core.errors import InputError, KernregWarning, ParameterError

from .linalg import ShiftedSystem, blas_threads
from .mixin import KernelMixin, as_numpy


class KernelRidge(KernelMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    r"""Ridge regression in the space of a kernel, on items of any domain.

    Finds the function f in the kernel's space, and the intercept b where there is one, that
    minimise

    .. math:: \sum_i w_i (y_i - f(x_i) - b)^2 + \alpha \|f\|^2, \qquad f(x) = \sum_i c_i\, k(x, x_i),

    by one Cholesky factorisation of :math:`K + \alpha W^{-1}`, in the memory of K itself.

    Parameters
    ----------
    kernel : None, kernel, callable, str
        None: the linear kernel. A kernel object, or any callable ``(X, Y) -> (n, m)`` matrix; the
        name of an entry, created with its defaults; or ``'precomputed'``: `X` is the matrix
        k(X, X) in ``fit`` and k(X_new, X_train) in ``predict``. The object itself is never
        changed: ``fit`` works on a clone.
    alpha : float or array_like, shape (n_targets,)
        Ridge penalty, at least 0; one for all targets or one for each. 0 interpolates.
    fit_intercept : bool
        Whether an intercept, which is not penalised, is fitted. False, as in scikit-learn's
        ``KernelRidge``; centre y, or set it, where the kernel has no constant part.

    Attributes
    ----------
    dual_coef_ : ndarray, shape (n_samples,) or (n_samples, n_targets)
        c.
    intercept_ : float or ndarray, shape (n_targets,)
        b; 0.0 without an intercept.
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
        negative, not finite, or of another length than the targets.
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
    system is solved in float64 whatever the dtype of `X`. A torch tensor is handed to the kernel
    as it is, on its device; coefficients and predictions are NumPy arrays.

    References
    ----------
    .. [1] C. Saunders, A. Gammerman and V. Vovk, "Ridge regression learning algorithm in dual
       variables", ICML 1998.

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_solvers import KernelRidge
    >>> X = np.array([[0.0], [1.0], [2.0]])
    >>> model = KernelRidge(alpha=1e-6, fit_intercept=True).fit(X, [1.0, 3.0, 5.0])
    >>> model.predict([[3.0]]).round(3)
    array([7.])

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
        targets = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        alphas = self._checked_alpha(targets.shape[1])
        root = _root_weights(sample_weight, len(targets))
        K = self._training_gram(X, y)
        if root is not None:
            K *= root[:, None]
            K *= root
        border = (np.ones(len(targets)) if root is None else root) if self.fit_intercept else None
        scaled = targets if root is None else targets * root[:, None]
        with blas_threads(len(K)):
            coefficients, intercept = self._solve(K, scaled, alphas, border)
        if root is not None:
            coefficients *= root[:, None]
        if np.ndim(y) == 1:
            self.dual_coef_: np.ndarray = coefficients.ravel()
            self.intercept_: Any = float(intercept[0])
        else:
            self.dual_coef_ = coefficients
            self.intercept_ = intercept if self.fit_intercept else 0.0
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

    def _checked_alpha(self, n_targets: int) -> np.ndarray:
        """One penalty for each target."""
        try:
            alpha = np.asarray(as_numpy(self.alpha), dtype=np.float64)
        except (TypeError, ValueError):
            raise ParameterError(
                f"alpha: expected a number at least 0, or one for each target, got {describe(self.alpha)}"
            ) from None
        if not np.isfinite(alpha).all() or (alpha < 0).any():
            raise ParameterError(
                f"alpha: expected finite numbers at least 0, got {self.alpha!r}: 0 interpolates, larger values smooth"
            )
        if alpha.ndim > 1 or (alpha.ndim == 1 and alpha.size not in (1, n_targets)):
            raise ParameterError(
                f"alpha: expected one number, or {n_targets}, one for each target, got {describe(alpha)}"
            )
        return np.broadcast_to(alpha.ravel(), (n_targets,))

    def _solve(
        self, K: np.ndarray, Y: np.ndarray, alphas: np.ndarray, border: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (n, t) and intercepts (t,); `K` is overwritten."""
        coefficients, intercept = np.empty_like(Y), np.zeros(Y.shape[1])
        distinct = np.unique(alphas)
        for number, alpha in enumerate(distinct):
            columns = alphas == alpha
            last = number == len(distinct) - 1
            system = ShiftedSystem(K if last else K.copy(), float(alpha))
            if system.eigenvalues is not None:
                self._warn(system)
            if border is None:
                coefficients[:, columns] = system.solve(Y[:, columns])
                continue
            # the intercept makes the weighted residuals, which are alpha c, sum to zero; where
            # K + alpha I is singular they lie in its null space, which no coefficient reaches
            found = system.solve(np.column_stack([Y[:, columns], border]))
            edge, null = found[:, -1], system.null_part(border)
            if null is None:
                intercept[columns] = (border @ found[:, :-1]) / (border @ edge)
            else:
                intercept[columns] = (null @ Y[:, columns]) / (null @ border)
            coefficients[:, columns] = found[:, :-1] - edge[:, None] * intercept[columns]
        return coefficients, intercept

    def _warn(self, system: ShiftedSystem) -> None:
        values = system.eigenvalues
        if values is None:
            return
        n, smallest, largest = len(values), float(values[0]), float(np.abs(values).max())
        if smallest < -n * np.finfo(np.float64).eps * largest:
            what = f"has the eigenvalue {smallest:.3g}, so the kernel is not positive semi-definite on these items"
            way = f"take alpha above {-smallest:.3g}, or a positive definite kernel, to have a minimum"
        else:
            what = f"plus alpha is singular to working precision (rank {system.rank} of {n})"
            way = f"take alpha above {n * np.finfo(np.float64).eps * largest:.1g} to silence this"
        warnings.warn(
            f"alpha={system.alpha:g}: the Gram matrix {what}; the least-squares solution of least norm is taken: {way}",
            KernregWarning,
            stacklevel=4,
        )


def _root_weights(sample_weight: Any, n: int) -> np.ndarray | None:
    """Square roots of the checked weights, None where all are 1."""
    weights = checked_weights(sample_weight, n)
    return None if weights is None else np.sqrt(weights)


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
