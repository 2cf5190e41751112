"""Sparse variational Gaussian process regression."""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils import check_random_state

from kernreg_core.arrays import is_sparse, is_torch
from kernreg_core.errors import InputError, MissingDependencyError, ParameterError
from kernreg_core.progress import Progress

from .centers import CentersMixin, take
from .gp_common import checked_mean, checked_noise, checked_variances, indefinite, learnt_space, search, warn_short
from .gp_exact import lower_in_place, whiten
from .gp_likelihood import MarginalLikelihood
from .gp_pull import diagonal_values, no_autograd
from .gp_scale import ScaledTargets
from .gp_sparse import CollapsedLikelihood, Data, bound, parts, statistics, wide
from .gp_start import best_start
from .krr import checked_weights
from .linalg import blas_threads
from .mixin import _gram as gram_of
from .mixin import as_numpy, count
from .operator import KernelOperator

#: Inducing items by default.
DEFAULT = 500
#: Rows on which the search begins, at least: the parameters of many rows are near those of a part of them.
_FIRST_ROWS = 5000
#: Rows, spread evenly, on which two starts are compared.
_START_ROWS = 300
#: Entries of a block of k(X_new, Z) in ``predict``.
_BLOCK = 1 << 21


class SparseGaussianProcessRegressor(ScaledTargets, CentersMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    r"""Gaussian process regression on m inducing items z, for many rows: O(n m^2) time, O(m^2) memory.

    The posterior of the exact model is approximated by the best one, in Kullback-Leibler divergence,
    that knows f through its values at the inducing items alone. Its evidence bounds the exact one
    from below [1]_:

    .. math:: \log N(y \mid m, Q + \sigma^2 I) - \frac{1}{2 \sigma^2} \sum_i (k(x_i, x_i) - Q_{ii}), \qquad
        Q = K_{nm} K_{mm}^{-1} K_{mn},

    and the kernel's numeric parameters, :math:`\sigma^2` and, if asked for, the inducing items are
    those of the largest bound. With all items inducing it is the exact model.

    Parameters
    ----------
    kernel : None, kernel, callable, str
        None: the linear kernel. A kernel object, or any callable ``(X, Y) -> (n, m)`` matrix; or
        the name of an entry, created with its defaults. Never changed; where the search starts.
    noise : float
        sigma^2, above 0; where the search starts. Learnt as ``"noise"``, unless it is fixed.
    mean : {"zero", "constant"} or float
        m: 0; the constant of the largest bound; or a given number.
    normalize_y : bool
        As in :class:`~kernreg_solvers.gp.GaussianProcessRegressor`: targets are centred and divided
        by their standard deviation for the fit, and `noise` and variances count in that unit.
    n_centers : int, optional
        Number of inducing items, at most n; 500 by default.
    centers : array_like or list of items, optional
        The inducing items themselves.
    selector : None, selector, str
        Picks them from X: None uniformly; else an object with ``select(X, n)`` or an entry's name,
        seeded by `random_state` and given this kernel where it has none of its own.
    optimizer : {"likelihood", None}
        "likelihood" maximises the bound. None keeps all as it is.
    parameters, bounds
        Names to learn and their bounds, as in
        :class:`~kernreg_solvers.gp.GaussianProcessRegressor`; the noise is by default at least 1e-6
        times the mean square of y - m, far above the jitter of K_mm.
    optimise_inducing : bool
        Whether the inducing items are moved too, on vectors: by PyTorch, through a kernel with the
        capability ``differentiable``.
    n_restarts, max_iter : int
        Further starts of the search, and iterations of each at most. Restarts draw parameters and
        keep the inducing items.
    random_state : int, RandomState or None
        Draws the inducing items and the restarts.
    progress : bool, callable or None
        A bar over evaluations of the bound: None shows one on a terminal.

    Attributes
    ----------
    centers_, center_indices_, n_centers_
        The inducing items, their rows in X (None where they were given or moved) and their number.
    kernel_ : kernel
        The clone with the parameters found.
    noise_, mean_ : float
        sigma^2 (with `normalize_y` in the unit of the fit: times ``y_std_**2`` in that of y), and m
        in units of y; ``mean_`` has shape (n_targets,) where y has columns.
    y_mean_, y_std_ : float or ndarray, shape (n_targets,)
        What was subtracted from y, and what it was divided by: 0 and 1 without `normalize_y`.
    theta_, theta_names_, bounds_, at_bounds_
        Logarithms of what was learnt, their names, their bounds, and names of those on a bound.
    lower_bound_ : float
        The bound reached, summed over targets; with `normalize_y`, of the targets in the unit of the
        fit.
    dual_coef_ : ndarray, shape (m,) or (m, n_targets)
        Of the posterior mean, in units of y: m + k(x, Z) dual_coef_.
    L_, LB_ : ndarray, shape (m, m)
        Lower triangular: K_mm + ``jitter_`` I = L L^T, and I + L^-1 K_mn K_nm L^-T / noise.
    jitter_ : float
        Added to K_mm: 1e-8 of its mean diagonal entry, or more where that is not enough.
    n_iter_ : int
        Evaluations of the bound, at least 1.
    n_features_in_, feature_names_in_
        Where `X` has columns, and names for them.

    Raises
    ------
    ParameterError
        From ``fit``: a parameter is not what it should be; 'precomputed', which has no items.
    InputError
        From ``fit`` and ``predict``, as in
        :class:`~kernreg_solvers.gp.GaussianProcessRegressor`; the kernel is not positive
        semi-definite on the inducing items.
    NotFittedError
        From all methods before ``fit``.

    Warns
    -----
    ConvergenceWarning
        If the search ended before it converged, or with a length scale on its lower bound.

    Notes
    -----
    The search begins at the kernel's parameters and at `noise`, or, where these explain y worse than
    independent noise would, at ones from the data, as in
    :class:`~kernreg_solvers.gp.GaussianProcessRegressor`; both are judged by the exact likelihood
    of at most 300 rows.

    A pass goes over the rows in blocks, so that X may be memory-mapped; float32 rows are kept as
    they are and computed with in float64 block by block, since K_mm is singular in float32. Rows
    are whitened before their products are summed, which costs a second product and keeps small
    noises accurate. An evaluation with its gradient takes two passes; where only the noise is
    learnt, one pass serves all. Where there are more than 10,000 rows, and more than 40 for each
    inducing item, the search begins on a random part of them and ends on all.

    References
    ----------
    .. [1] M. Titsias, "Variational learning of inducing variables in sparse Gaussian processes",
       AISTATS 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_solvers import SparseGaussianProcessRegressor
    >>> X = np.linspace(0.0, 1.0, 1000)[:, None]
    >>> model = SparseGaussianProcessRegressor(n_centers=2, noise=0.01, random_state=0).fit(X, 2 * X[:, 0])
    >>> mean, std = model.predict([[0.5]], return_std=True)
    >>> bool(abs(mean[0] - 1.0) < 1e-3), bool(std[0] < 1e-2)
    (True, True)
    """

    _result = "dual_coef_"

    def __init__(
        self,
        *,
        kernel: Any = None,
        noise: float = 0.1,
        mean: Any = "zero",
        normalize_y: bool = False,
        n_centers: int | None = None,
        centers: Any = None,
        selector: Any = None,
        optimizer: str | None = "likelihood",
        parameters: Any = None,
        bounds: Any = None,
        optimise_inducing: bool = False,
        n_restarts: int = 0,
        max_iter: int = 200,
        random_state: Any = None,
        progress: Any = None,
    ) -> None:
        self.kernel = kernel
        self.noise = noise
        self.mean = mean
        self.normalize_y = normalize_y
        self.n_centers = n_centers
        self.centers = centers
        self.selector = selector
        self.optimizer = optimizer
        self.parameters = parameters
        self.bounds = bounds
        self.optimise_inducing = optimise_inducing
        self.n_restarts = n_restarts
        self.max_iter = max_iter
        self.random_state = random_state
        self.progress = progress

    # -- fit --------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to items and targets.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or a list of items
            May be memory-mapped; it is not copied.
        y : array_like, shape (n_samples,) or (n_samples, n_targets)
        sample_weight : float or array_like, shape (n_samples,), optional
            At least 0: the precision of each target, relative to the others.

        Returns
        -------
        self
        """
        noise, mean = checked_noise(self.noise), checked_mean(self.mean)
        if noise == 0.0:
            raise ParameterError("noise: expected a number above 0 for a sparse model, got 0: take 1e-6 times var(y)")
        if self.optimizer not in ("likelihood", None):
            raise ParameterError(f"optimizer: expected 'likelihood' or None, got {self.optimizer!r}")
        X, y = self._fit_rows(X, y, multi_output=True, y_numeric=True)
        weights = checked_weights(sample_weight, len(y))
        if weights is not None and not (weights > 0).all():
            used = np.flatnonzero(weights > 0)
            X, y, weights = take(X, used), y[used], weights[used]
        self.n_samples_fit_ = count(X)
        Z = wide(self._distinct_centers(X))
        single = np.ndim(y) == 1
        Y, mean = self._scale(np.asarray(y, dtype=np.float64).reshape(len(y), -1), weights, mean, single)
        likelihood = self._learn(Data(X, Y, weights), Z, noise, mean)
        self._condition(likelihood, single=single)
        return self

    def _distinct_centers(self, X: Any) -> Any:
        """The inducing items without repeated rows of numbers, which would add nothing but a singular K_mm."""
        Z = self._choose_centers(X)
        rows = Z.toarray() if is_sparse(Z) else as_numpy(Z)
        if not (isinstance(rows, np.ndarray) and rows.ndim == 2):
            return Z
        first = np.unique(rows, axis=0, return_index=True)[1]
        if len(first) < len(rows):
            kept = np.sort(first)
            self.centers_, self.n_centers_ = take(Z, kept), len(kept)
            self.center_indices_ = None if self.center_indices_ is None else self.center_indices_[kept]
        return self.centers_

    def _count_centers(self, n: int) -> int:
        return min(n, DEFAULT) if self.n_centers is None else super()._count_centers(n)

    def _learn(self, data: Data, Z: Any, noise: float, mean: Any) -> CollapsedLikelihood:
        """The likelihood, its space and items at the largest bound."""
        space = learnt_space(self, data.X, data.Y, noise, mean, weights=data.weights, least=1e-6)
        moving = bool(self.optimise_inducing) and self.optimizer is not None
        unit = self._unit(data.X, Z) if moving else 1.0
        self.n_iter_, self.theta_ = 1, (space.theta if self.optimizer else space.given).copy()
        if self.optimizer and (len(space.theta) or moving):
            self.theta_, Z = self._search(CollapsedLikelihood(space, data, Z, mean, unit=unit), moving)
            if moving:
                self.centers_, self.center_indices_ = Z, None
            self.kernel_ = copy.deepcopy(space.at(self.theta_))
            noise = space.extra(self.theta_)["noise"]
            warn_short(self, space, self.theta_)
        self.theta_names_, self.bounds_ = list(space.labels), space.bounds
        self.at_bounds_ = space.at_bounds(self.theta_) if self.optimizer else []
        self.noise_ = noise
        return CollapsedLikelihood(space, data, Z, mean)

    def _search(self, likelihood: CollapsedLikelihood, moving: bool) -> tuple[np.ndarray, Any]:
        """Theta and inducing items of the largest bound.

        First, from all starts, on a part of the rows where they are many, then on all. Inducing items move from where
        the search with those at rest has ended. That may be pure noise, where nothing moves them; so they also move at
        the parameters of the start, and then with these. The better one counts: no lower than with items at rest.
        """
        data, Z = likelihood.data, likelihood.Z
        n, few = len(data.Y), max(_FIRST_ROWS, 20 * count(Z))
        part = data
        if n > 2 * few:
            rows = np.sort(check_random_state(self.random_state).choice(n, few, replace=False))
            part = Data(take(data.X, rows), data.Y[rows], None if data.weights is None else data.weights[rows])
        total = (self.n_restarts + 1 + 3 * moving + (part is not data)) * self.max_iter
        first, self.n_iter_ = self._start(likelihood), 0
        with Progress(total, self.progress, what="bound", unit="pass") as bar:
            only = part is data and not moving
            found = self._stage(likelihood.on(part, Z, False), first, bar, self.n_restarts, quiet=not only)
            if moving:
                after = self._stage(likelihood.on(part, Z, True), found[1], bar, quiet=part is not data)
                items = self._stage(likelihood.on(part, Z, True), first, bar, held=True, quiet=True)[2]
                afresh = self._stage(likelihood.on(part, items, True), first, bar, quiet=True)
                found = max(found, after, afresh, key=lambda ended: ended[0])
            if part is not data:
                found = self._stage(likelihood.on(data, found[2], moving), found[1], bar)
        return found[1], found[2]

    def _start(self, likelihood: CollapsedLikelihood) -> np.ndarray:
        """The better start by the exact likelihood of a few rows: the bound would blame it for the inducing items."""
        data, space = likelihood.data, likelihood.space
        rows = np.unique(np.linspace(0, len(data.Y) - 1, _START_ROWS).astype(int))
        few = Data(wide(take(data.X, rows)), data.Y[rows], None if data.weights is None else data.weights[rows])
        exact = MarginalLikelihood(
            space, lambda kernel: self._float_gram(gram_of(kernel, few.X), own=True), few.X, few.Y, likelihood.mean,
            few.weights,
        )  # fmt: skip
        return best_start(space, exact.loss, few.X, few.Y, likelihood.mean, few.weights).theta

    def _stage(
        self,
        stage: CollapsedLikelihood,
        theta: np.ndarray,
        bar: Progress,
        n_restarts: int = 0,
        *,
        held: bool = False,
        quiet: bool = False,
    ) -> tuple[float, np.ndarray, Any]:
        """The largest bound of one search, and its theta and inducing items; with `held` theta stays."""

        def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
            found = stage.loss(theta)
            bar.advance()
            return found

        start = stage.extended(theta)
        away = start[len(theta) :]  # inducing items stay within ten deviations of where they were
        own = np.column_stack([theta, theta]) if held else stage.space.bounds
        box = np.concatenate([own, np.column_stack([away - 10.0, away + 10.0])])
        best = search(self, loss, start, box, len(stage.data.Y), quiet=quiet, n_restarts=n_restarts)
        self.n_iter_ += best.n_evaluations
        return -best.value, best.theta[: len(theta)], stage.items(best.theta)

    def _unit(self, X: Any, Z: Any) -> np.ndarray:
        """Deviations of the features, the unit in which inducing items move."""
        if not ((isinstance(Z, np.ndarray) or is_torch(Z)) and Z.ndim == 2):
            raise ParameterError("optimise_inducing: expected False for items that are no vectors, got True")
        reason = no_autograd(self.kernel_, Z)
        if reason:
            error = MissingDependencyError if "torch" in reason else ParameterError
            raise error(f"optimise_inducing: expected False, since items are moved by autograd, got True: {reason}")
        sample = np.asarray(as_numpy(X[:: max(1, count(X) // 10_000)]), dtype=np.float64)
        deviation = sample.std(axis=0)
        return np.where(deviation > 0, deviation, 1.0)

    def _condition(self, likelihood: CollapsedLikelihood, single: bool) -> None:
        """The posterior at the parameters found."""
        data, Z = likelihood.data, likelihood.Z
        try:
            found = statistics(self.kernel_, data, Z)
        except np.linalg.LinAlgError:
            raise InputError(indefinite("K_mm of the inducing items", "")) from None
        with blas_threads(len(found.L)):
            at = bound(found, self.noise_, likelihood.mean, data.total)
            coef = found.W @ at.b
        self._inducing = Z
        self.lower_bound_, self.jitter_ = at.value, found.jitter
        self.L_, self.LB_ = lower_in_place(found.L), lower_in_place(at.LB)
        self._keep_coefficients(coef, at.mean, single)

    # -- the posterior ----------------------------------------------------------------------

    def predict(
        self, X: Any, return_std: bool = False, return_cov: bool = False, *, include_noise: bool = False
    ) -> Any:
        """Mean of f + m at each item, and where asked for its standard deviation or covariance.

        Parameters
        ----------
        X : array_like, shape (n, n_features), or a list of items
        return_std, return_cov : bool
            At most one of them.
        include_noise : bool
            Whether the deviation or covariance is that of a new target, noise included, rather than
            of f.

        Returns
        -------
        mean : ndarray, shape (n,) or (n, n_targets)
        std : ndarray, the same shape
            Never negative; where asked for.
        cov : ndarray, shape (n, n) or (n, n, n_targets)
            Where asked for.
        """
        if return_std and return_cov:
            raise ParameterError("return_std, return_cov: expected at most one of them, got both")
        X = self._new_data(X)
        if return_cov:
            mean, covariance = self._joint(X)
            if include_noise:
                covariance.flat[:: len(covariance) + 1] += self.noise_
            return mean, self._for_targets(covariance, 2)
        if not return_std:
            found = [KernelOperator(self.kernel_, rows, self._inducing).times(self.dual_coef_) for _, rows in parts(X)]
            return np.concatenate(found) + self.mean_
        mean, variance = self._marginal(X)
        return mean, self._for_targets(np.sqrt(variance + self.noise_ if include_noise else variance))

    def sample_y(self, X: Any, n_samples: int = 1, random_state: Any = 0) -> np.ndarray:
        """Draw functions f + m from the posterior, at all items jointly.

        Parameters
        ----------
        X : array_like, shape (n, n_features), or a list of items
        n_samples : int
        random_state : int, RandomState or None
            0 by default, as in scikit-learn: the same functions each time.

        Returns
        -------
        ndarray, shape (n, n_samples) or (n, n_targets, n_samples)
        """
        mean, covariance = self._joint(self._new_data(X))
        return self._drawn(mean, covariance, n_samples, check_random_state(random_state))

    def _marginal(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Means, and variances of f (n,), by blocks."""
        means, found = [], np.empty(count(X))
        with blas_threads(self.n_centers_):
            for rows, part in parts(X, max(64, _BLOCK // self.n_centers_)):
                K, prior = self._cross(part), diagonal_values(self.kernel_, part)
                means.append(K @ self.dual_coef_ + self.mean_)
                white = whiten(self.L_, K)
                left = prior - np.einsum("ij,ij->i", white, white)
                inner = whiten(self.LB_, white)
                found[rows] = checked_variances(left, prior, self.kernel_) + np.einsum("ij,ij->i", inner, inner)
        return np.concatenate(means), found

    def _joint(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Means, and the covariance of f (n, n)."""
        X = wide(X)
        K = self._cross(X)
        mean = K @ self.dual_coef_ + self.mean_
        prior = np.asarray(as_numpy(gram_of(self.kernel_, X)), dtype=np.float64)
        with blas_threads(self.n_centers_):
            white = whiten(self.L_, K)
            left = prior - white @ white.T
            left.flat[:: len(left) + 1] = checked_variances(left.diagonal(), prior.diagonal(), self.kernel_)
            inner = whiten(self.LB_, white)
        return np.asarray(mean), np.asarray(left + inner @ inner.T)

    def _cross(self, X: Any) -> np.ndarray:
        """k(X, Z) in float64, ours to overwrite."""
        return self._float_gram(gram_of(self.kernel_, X, self._inducing), own=True)
