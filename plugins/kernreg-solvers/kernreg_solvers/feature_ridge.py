"""Ridge regression on a kernel's explicit or random features, in one pass over the rows."""

from __future__ import annotations

import numbers
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin

import kernreg_core as kr
from kernreg_core.arrays import describe, is_sparse, is_torch
from kernreg_core.errors import InputError, ParameterError
from kernreg_core.progress import Progress
from kernreg_core.threads import pinned_blas

from .krr import checked_weights, of_targets
from .linalg import blas_threads
from .mixin import KernelMixin, as_numpy, count
from .moments import Moments, NormalEquations
from .penalty import METHODS, PrimalPath, checked_penalty
from .primal import DualFeatures, Solution, host_rows, solve_equations, times
from .resolve import domain_of, is_precomputed, resolve

#: Bytes of a block of features in float64, and the fewest and most rows that it has.
_BLOCK, _FEWEST, _MOST = 1 << 25, 256, 1 << 14
#: Bytes of sums that are kept where nobody says.
_KEPT = 1 << 23
#: Points for each decade at which leave-one-out errors are summed.
_PER_DECADE = 16
#: Errors that are in memory at a time.
_ERRORS = 1 << 22


class FeatureRidge(KernelMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    r"""Ridge regression on the features of a kernel: time linear in the rows, memory independent of them.

    For a kernel with features :math:`\varphi(x)` of D columns, exact or random, the minimiser of

    .. math:: \sum_i w_i (y_i - \varphi(x_i)^T \beta - b)^2 + \alpha |\beta|^2

    from :math:`Z^T W Z` and :math:`Z^T W y`, summed in blocks of rows: n D matrix entries are never in memory, and X
    may be a file. It is :class:`KernelRidge` with :math:`k(x, y) = \varphi(x)^T \varphi(y)`; where D > n it is solved
    as that. ``partial_fit`` goes on with more rows.

    Parameters
    ----------
    kernel : None, kernel, str
        One with the capability ``features`` or ``random_features``. None: the linear kernel, whose features are X. On
        vectors ``kr.create('euclidean.random_fourier', kernel=k)`` and ``kr.create('euclidean.nystrom', kernel=k)``
        give features to a kernel that has none. A kernel with the capability ``fitted`` is fitted to the items (of
        ``partial_fit``: to the first ones). On other domains than vectors columns come from the items of ``fit``
        (the first ones), so that an open vocabulary does not grow.
    alpha : float, array_like of shape (n_targets,), 'gcv' or 'loo'
        Ridge penalty, at least 0; one for all targets or one for each. ``'gcv'`` and ``'loo'`` choose it for each
        target in closed form: generalised cross-validation from the sums alone, leave-one-out by a second pass
        through the rows for their leverages, at 16 penalties for each decade.
    fit_intercept : bool
        Whether an intercept, which is not penalised, is fitted.
    batch_size : int, optional
        Rows of a block; by default such that its features take 32 MB. It changes nothing but memory and time.
    keep_normal : bool, optional
        Whether ``fit`` keeps the sums, 8 D^2 bytes (where D > n the features and their products), so that
        :meth:`refit` and ``partial_fit`` may follow. None: where they take no more than 8 MB.
    progress : bool, callable or None
        Shows the blocks; see :func:`kernreg_core.gram`.

    Attributes
    ----------
    coef_ : ndarray, shape (n_columns,) or (n_columns, n_targets)
        :math:`\beta`, in float64.
    intercept_ : float or ndarray, shape (n_targets,)
        b; 0.0 without an intercept.
    alpha_ : float or ndarray, shape (n_targets,)
        The penalty of each target, given or chosen.
    gcv_error_, loo_error_ : float or ndarray, shape (n_targets,)
        The mean squared error at ``alpha_`` by the method that chose it, and only then. A weight is the precision of
        its item here, which is left out as a whole.
    n_columns_ : int
        D.
    n_samples_seen_ : int
        Rows, of all calls of ``partial_fit``.
    kernel_ : kernel
        The clone that was used, fitted where it has to be.
    basis_ : list or None
        The items that give the columns, on other domains than vectors.
    n_features_in_, feature_names_in_ : int, ndarray
        Where `X` has columns, and names for them.

    Raises
    ------
    ParameterError
        From ``fit``: `kernel` has no features, or another parameter is out of its range; from ``partial_fit``:
        ``alpha='loo'``; from :meth:`refit`: the sums were not kept.
    InputError
        From ``fit``, ``partial_fit`` and ``predict``: NaN, infinity, an empty `X`, unequal lengths, other columns than
        before.
    NotFittedError
        From ``predict`` before ``fit``.

    Warns
    -----
    KernregWarning
        If the normal matrix plus alpha is singular to working precision: the least-squares solution of least norm is
        taken.

    Notes
    -----
    Features of any precision are summed in float64. The condition number of the normal matrix is that of the features
    squared: a penalty below :math:`10^{-15}` of its largest eigenvalue is lost. With an intercept rows are taken
    relative to the mean of the first block. A tensor's features are summed on its device. After ``partial_fit``
    coefficients are computed when they are first asked for, in O(D^3).

    References
    ----------
    .. [1] A. Rahimi and B. Recht, "Random features for large-scale kernel machines", NeurIPS 2007.
    .. [2] G. H. Golub, M. Heath and G. Wahba, "Generalized cross-validation as a method for choosing a good ridge
       parameter", Technometrics 21, 1979.

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_solvers import FeatureRidge
    >>> X = np.random.default_rng(0).standard_normal((500, 3))
    >>> y = X @ [1.0, -2.0, 0.5] + 3.0
    >>> model = FeatureRidge(alpha=1e-6, fit_intercept=True)
    >>> for part in (slice(0, 200), slice(200, 500)):
    ...     model = model.partial_fit(X[part], y[part])
    >>> model.coef_.round(3), round(model.intercept_, 3), model.n_samples_seen_
    (array([ 1. , -2. ,  0.5]), 3.0, 500)
    """

    _result = "n_samples_seen_"
    _keeps = (np.float64, np.float32)
    _sums: Moments | None
    _dual: DualFeatures | None

    def __init__(
        self,
        *,
        kernel: Any = None,
        alpha: Any = 1.0,
        fit_intercept: bool = False,
        batch_size: int | None = None,
        keep_normal: bool | None = None,
        progress: bool | Callable[[int, int], object] | None = None,
    ) -> None:
        self.kernel = kernel
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.batch_size = batch_size
        self.keep_normal = keep_normal
        self.progress = progress

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to items and targets.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or a list of items
            May be memory-mapped: it is read in blocks.
        y : array_like, shape (n_samples,) or (n_samples, n_targets)
        sample_weight : float or array_like, shape (n_samples,), optional
            At least 0; an integer counts as that many equal rows (but for the choice of a penalty).

        Returns
        -------
        self
        """
        X, Y, weights = self._first(X, y, sample_weight)
        alpha = checked_penalty(self.alpha, Y.shape[1], METHODS)
        if self.n_columns_ > len(Y):
            self._sums = None
            keep = self._keeps_sums(8 * len(Y) * (len(Y) + self.n_columns_))
            self._dual = DualFeatures(host_rows(self._features(X)), Y, weights, own=keep)
            self._take(self._dual.solve(alpha, self.fit_intercept, keep=keep, stacklevel=3))
        else:
            self._dual, keep = None, self._keeps_sums(8 * self.n_columns_**2)
            self._sums = Moments(self.n_columns_, Y.shape[1], self.fit_intercept)
            with self._bar(X, passes=2 if isinstance(alpha, str) and alpha == "loo" else 1) as bar:
                self._add(self._sums, X, Y, weights, bar)
                self._take(self._solved(alpha, stacklevel=3, data=(X, Y, weights), bar=bar))
        self.n_samples_seen_ = len(Y)
        if not keep:
            self._sums = self._dual = None
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Go on with more rows; the first call is as ``fit``, and settles the columns.

        Parameters
        ----------
        X, y, sample_weight
            As for ``fit``.

        Returns
        -------
        self
        """
        if isinstance(self.alpha, str) and self.alpha == "loo":
            raise ParameterError(
                "alpha: partial_fit cannot see rows again, as leave-one-out has to: take 'gcv', or a number"
            )
        if self._result not in self.__dict__:
            X, Y, weights = self._first(X, y, sample_weight)
            checked_penalty(self.alpha, Y.shape[1], ("gcv",))
            self._sums, self._dual = Moments(self.n_columns_, Y.shape[1], self.fit_intercept), None
            seen = 0
        else:
            X, Y, weights = self._next(X, y, sample_weight)
            seen = self.n_samples_seen_
        if self._dual is not None:
            self._sums, self._dual = self._dual.moments(self.fit_intercept), None
        if self._sums is None:
            raise ParameterError("keep_normal: fit kept no sums to go on from: set keep_normal=True, or start anew")
        with self._bar(X) as bar:
            self._add(self._sums, X, Y, weights, bar)
        self.n_samples_seen_ = seen + len(Y)
        self._forget_solution()
        return self

    def refit(self, alpha: Any) -> Self:
        """The solution for another penalty, without the data: O(D^3), or O(n^3) where D > n.

        Parameters
        ----------
        alpha : float, array_like of shape (n_targets,) or 'gcv'
            Becomes the parameter `alpha`.

        Returns
        -------
        self
        """
        self._check_fitted()
        if self._sums is None and self._dual is None:
            raise ParameterError("keep_normal: fit kept no sums to solve again: set keep_normal=True before fit")
        given = checked_penalty(alpha, len(np.atleast_1d(self.alpha_)), METHODS if self._sums is None else ("gcv",))
        found = (
            self._solved(given, stacklevel=3)
            if self._dual is None
            else self._dual.solve(given, self.fit_intercept, keep=True, stacklevel=3)
        )
        self.alpha = alpha
        self._take(found)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The features of each item times the coefficients, plus b, in blocks.

        Parameters
        ----------
        X : array_like, shape (n, n_features), or a list of items

        Returns
        -------
        ndarray, shape (n,) or (n, n_targets)
        """
        X = self._new_data(X)
        coefficients, intercept = self.coef_, self.intercept_
        found = [as_numpy(times(Z, coefficients)) for _, Z in self._blocks(X, None)]
        return np.asarray(np.concatenate(found) + intercept)

    # -- what is computed when it is asked for ------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name in _SOLUTION and self.__dict__.get("_sums") is not None and self._result in self.__dict__:
            if not self._has_solution():
                alpha = checked_penalty(self.alpha, self._n_targets, ("gcv",))
                self._take(self._solved(alpha, stacklevel=3))
            if name in self.__dict__:
                return self.__dict__[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def _has_solution(self) -> bool:
        return "coef_" in self.__dict__

    def _keeps_sums(self, size: int) -> bool:
        return size <= _KEPT if self.keep_normal is None else bool(self.keep_normal)

    def _forget_solution(self) -> None:
        for name in _SOLUTION:
            self.__dict__.pop(name, None)

    def _take(self, found: Solution) -> None:
        """Set the attributes that a solution consists of."""
        self._forget_solution()
        like = np.empty(0) if self._one_target else np.empty((0, 1))
        self.alpha_ = of_targets(np.array(found.alphas), like)
        if found.method is not None:
            setattr(self, f"{found.method}_error_", of_targets(found.errors, like))
        self.intercept_ = of_targets(found.intercepts, like) if self.fit_intercept or self._one_target else 0.0
        self.coef_ = found.coefficients.ravel() if self._one_target else found.coefficients

    # -- rows ---------------------------------------------------------------------------------

    def _first(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, np.ndarray, np.ndarray | None]:
        """Checked data of the first call; sets the kernel, the basis and the number of columns."""
        for name in (self._result, "n_columns_", *_SOLUTION):
            self.__dict__.pop(name, None)
        self._check_parameters()
        X, y = self._fit_data(X, y, multi_output=True, y_numeric=True)
        if "fitted" in kr.capabilities(self.kernel_):
            self.kernel_.fit(X, y)
        self._one_target = np.ndim(y) == 1
        Y = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        self._n_targets = Y.shape[1]
        self.basis_ = (list(X) if isinstance(X, (list, tuple)) else X) if self._layout_fit == "items" else None
        self._needs_sparse = False
        first = self._features(X[:1])
        self._needs_sparse = is_sparse(first)
        self.n_columns_ = int(first.shape[1])
        return X, Y, checked_weights(sample_weight, len(Y))

    def _next(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, np.ndarray, np.ndarray | None]:
        """Checked data of a later call."""
        X = self._new_data(X)
        y = as_numpy(y)
        try:
            Y = np.asarray(y, dtype=np.float64)
        except (TypeError, ValueError):
            raise InputError(f"y: expected numbers, got {describe(y)}") from None
        if Y.shape[:1] != (count(X),) or Y.reshape(len(Y), -1).shape[1] != self._n_targets or Y.ndim > 2:
            raise InputError(
                f"y: expected {count(X)} rows of {self._n_targets} target(s), as in the first call, got {describe(y)}"
            )
        if not np.isfinite(Y).all():
            raise InputError("y: expected finite numbers, got NaN or infinity among them: drop those rows")
        return X, Y.reshape(len(Y), -1), checked_weights(sample_weight, len(Y))

    def _check_parameters(self) -> None:
        size = self.batch_size
        if size is not None and (isinstance(size, bool) or not isinstance(size, numbers.Integral) or size < 1):
            raise ParameterError(f"batch_size: expected a whole number at least 1, or None, got {size!r}")
        if is_precomputed(self.kernel):
            raise ParameterError(
                "kernel: FeatureRidge computes features of items, so it takes no 'precomputed' matrix: use solver.krr"
            )
        kernel = resolve(self.kernel)
        if not kr.capabilities(kernel) & {"features", "random_features"}:
            ways = (
                f"kr.create('euclidean.random_fourier', kernel={kernel!r}) or "
                f"kr.create('euclidean.nystrom', kernel={kernel!r}) has them"
                if domain_of(kernel) == "vectors"
                else "kr.create('euclidean.nystrom', kernel=...) has them, for any kernel"
            )
            raise ParameterError(f"kernel: expected one with features, got {kernel!r}, which has none: {ways}")

    def _features(self, X: Any) -> Any:
        """Features of some rows, checked."""
        Z = self.kernel_.features(X) if self.basis_ is None else self.kernel_.features(X, basis=self.basis_)
        if not (is_torch(Z) or is_sparse(Z)):
            Z = np.asarray(Z)
        if Z.ndim != 2 or Z.shape[0] != count(X) or (hasattr(Z, "dtype") and "complex" in str(Z.dtype)):
            raise ParameterError(
                f"kernel: expected real features (n, D) of {count(X)} items, got {describe(Z)} from {self.kernel_!r}"
            )
        if Z.shape[1] != self.__dict__.get("n_columns_", Z.shape[1]):
            raise InputError(
                f"X: gives {Z.shape[1]} features where the first items gave {self.n_columns_}: the kernel's columns "
                "depend on the items; fix them by the kernel's parameters"
            )
        values = Z.data if is_sparse(Z) else Z
        if not bool(np.isfinite(as_numpy(values.sum()))):
            raise InputError(f"kernel: {self.kernel_!r} gave features that are NaN or infinite: scale the data")
        return Z

    def _height(self, n: int) -> int:
        if self.batch_size is not None:
            return int(self.batch_size)
        if self._needs_sparse:
            return max(n, 1) if self._layout_fit == "items" else _MOST
        return max(_FEWEST, min(_MOST, _BLOCK // (8 * self.n_columns_)))

    def _bar(self, X: Any, passes: int = 1) -> Progress:
        n = count(X)
        return Progress(passes * -(-n // self._height(n)), self.progress, what="rows", unit="block")

    def _blocks(self, X: Any, bar: Progress | None) -> Iterator[tuple[slice, Any]]:
        """Features of one block of rows after the other."""
        n = count(X)
        height = self._height(n)
        for start in range(0, n, height):
            rows = slice(start, min(start + height, n))
            part = X if (start, rows.stop) == (0, n) else X[rows]
            yield rows, self._features(part)
            if bar is not None:
                bar.advance()

    # -- solving ------------------------------------------------------------------------------

    def _add(self, sums: Moments, X: Any, Y: np.ndarray, weights: np.ndarray | None, bar: Progress) -> None:
        """Add the rows' features to the sums: on threads of our own, beside which BLAS's would spin on."""
        with pinned_blas():
            for rows, Z in self._blocks(X, bar):
                sums.add(Z, Y[rows], None if weights is None else weights[rows])

    def _solved(
        self,
        alpha: np.ndarray | str,
        stacklevel: int,
        data: tuple[Any, np.ndarray, np.ndarray | None] | None = None,
        bar: Progress | None = None,
    ) -> Solution:
        """From the sums; leave-one-out needs the data too."""
        sums = self._sums
        assert sums is not None
        equations = sums.equations()
        with blas_threads(len(equations.A)):
            if isinstance(alpha, str):
                path = PrimalPath(equations.A, equations.B, equations.squares, sums.n, sums.total, self.fit_intercept)
                if alpha == "gcv":
                    alphas, errors = path.choose()
                else:
                    assert data is not None
                    alphas, errors = self._leave_one_out(path, equations, data, bar)
                coefficients, method = path.solve(alphas), alpha
            else:
                alphas, errors, method = alpha, None, None
                coefficients = solve_equations(equations, alpha, stacklevel + 1)
        intercepts = equations.y_mean - equations.z_mean @ coefficients
        return Solution(coefficients, intercepts, np.asarray(alphas), errors, method)

    def _leave_one_out(
        self,
        path: PrimalPath,
        equations: NormalEquations,
        data: tuple[Any, np.ndarray, np.ndarray | None],
        bar: Progress | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The penalty of least error for each target, and the error, by a pass for the leverages."""
        X, Y, weights = data
        low, high = path.range
        alphas = np.geomspace(low, high, max(2, round(_PER_DECADE * np.log10(high / low)) + 1))
        sums = np.zeros((len(alphas), Y.shape[1]))
        step = max(1, _ERRORS // (len(alphas) * Y.shape[1]))
        for rows, Z in self._blocks(X, bar):
            Z = as_numpy(Z)
            for start in range(0, len(Y[rows]), step):
                part = slice(start, start + step)
                Q = times(Z[part], path.vectors) - equations.z_mean @ path.vectors
                w = None if weights is None else weights[rows][part]
                sums += path.left_out(Q, Y[rows][part] - equations.y_mean, w, alphas)
        best = sums.argmin(axis=0)
        return alphas[best], sums[best, np.arange(Y.shape[1])] / path.total


#: Attributes that a solution consists of.
_SOLUTION = ("coef_", "intercept_", "alpha_", "gcv_error_", "loo_error_")
