"""Exact Gaussian process regression."""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils import check_random_state

import kernreg_core as kr
from kernreg_core.arrays import describe
from kernreg_core.errors import InputError, ParameterError

from .centers import take
from .gp_common import (
    check_definite,
    checked_mean,
    checked_noise,
    checked_variances,
    indefinite,
    learnt_space,
    search,
    warn_jitter,
    warn_short,
)
from .gp_exact import evidence, factorise, inverse_diagonal, lower_in_place, moments, whiten
from .gp_likelihood import MarginalLikelihood
from .gp_pull import diagonal_values
from .gp_scale import ScaledTargets
from .gp_start import best_start
from .krr import checked_weights
from .linalg import blas_threads
from .mixin import KernelMixin, as_numpy, count
from .mixin import _gram as gram_of
from .resolve import probe

#: Entries of a block of k(X_new, X) in ``predict``.
_BLOCK = 1 << 22


class GaussianProcessRegressor(ScaledTargets, KernelMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    r"""Gaussian process regression by one Cholesky factorisation, on items of any domain.

    .. math:: y_i = m + f(x_i) + \varepsilon_i, \qquad f \sim GP(0, k), \quad \varepsilon_i \sim N(0, \sigma^2),

    so that, with :math:`A = K + \sigma^2 I`, the posterior at x is normal with

    .. math:: m + k(x, X) A^{-1} (y - m), \qquad k(x, x) - k(x, X) A^{-1} k(X, x).

    The kernel's numeric parameters and :math:`\sigma^2` are those of the largest marginal likelihood
    p(y | X), found with its gradient.

    Parameters
    ----------
    kernel : None, kernel, callable, str
        None: the linear kernel. A kernel object, or any callable ``(X, Y) -> (n, m)`` matrix; the
        name of an entry, created with its defaults; or ``'precomputed'``: `X` is the matrix
        k(X, X) in ``fit`` and k(X_new, X_train) in ``predict``. The object itself is never changed.
        Its parameters are where the search starts. No kernel has a variance of its own: write
        ``variance * kernel``, as in ``1.0 * kernel``.
    noise : float
        sigma^2, the variance added to the diagonal, at least 0; where the search starts. It is
        learnt as ``"noise"``, unless `bounds` or `parameters` fix it, or it is 0.
    mean : {"zero", "constant"} or float
        m: 0; the constant that is most likely, found in closed form and then taken as known; or a
        given number.
    normalize_y : bool
        Whether targets are centred and divided by their standard deviation for the fit, each column
        by its own. `noise`, variances in front of the kernel, their bounds, and what is learnt of
        them count in that unit then, as in scikit-learn; a number given as `mean` in that of y. What
        ``predict``, ``sample_y`` and ``leave_one_out`` give is in units of y in any case.
    optimizer : {"likelihood", None}
        None keeps all parameters as they are.
    parameters : list of str, optional
        Names of the parameters to learn, full (``k1__lengthscale``) or their last part, and
        ``"noise"``. All by default; see :class:`~kernreg_solvers.hyperparameters.HyperParameters`
        for which these are.
    bounds : mapping or "fixed", optional
        ``{name: (low, high)}`` or ``{name: "fixed"}`` of values. By default from the scale of the
        data (see there); of the noise from 1e-8 to 100 times the mean square of y - m, and as far
        as `noise` with a factor of 10.
    n_restarts : int
        Further starts, log-uniform within the bounds.
    max_iter : int
        Iterations of the search from each start, at most.
    random_state : int, RandomState or None
        Draws the restarts.

    Attributes
    ----------
    kernel_ : kernel or None
        The clone with the parameters found, fitted where it has to be; None with 'precomputed'.
    noise_, mean_ : float
        sigma^2 (with `normalize_y` in the unit of the fit: times ``y_std_**2`` in that of y), and m
        in units of y; ``mean_`` has shape (n_targets,) where y has columns.
    y_mean_, y_std_ : float or ndarray, shape (n_targets,)
        What was subtracted from y, and what it was divided by: 0 and 1 without `normalize_y`.
    theta_ : ndarray, shape (p,)
        Logarithms of what was learnt, named by ``theta_names_``; ``bounds_``, shape (p, 2), are
        their bounds.
    log_marginal_likelihood_value_ : float
        log p(y | X), summed over targets; with `normalize_y`, of the targets in the unit of the fit,
        as in scikit-learn.
    dual_coef_ : ndarray, shape (n_samples,) or (n_samples, n_targets)
        A^-1 (y - m), in units of y.
    L_ : ndarray, shape (n_samples, n_samples)
        Lower triangular, L L^T = A + ``jitter_`` I.
    jitter_ : float
        What had to be added to A to factor it in float64; 0 in general.
    at_bounds_ : list of str
        Parameters that the search left on a bound.
    n_iter_ : int
        Evaluations of the marginal likelihood, at least 1.
    X_fit_, y_fit_, n_samples_fit_, n_features_in_, feature_names_in_
        A copy of the training items (None with 'precomputed') and of their targets, and what they
        are.

    Raises
    ------
    ParameterError
        From ``fit``: `kernel` is no kernel, or is asymmetric, complex or matrix-valued; another
        parameter is not what it should be; a name in `parameters` or `bounds` is unknown.
    InputError
        From ``fit``: the kernel is not positive semi-definite on these items; NaN, infinity,
        strings, an empty `X`, unequal lengths. From ``predict``: other columns than in ``fit``.
    NotFittedError
        From all methods before ``fit``. (scikit-learn's predicts from the prior there: its mean is
        m, its covariance ``kernel(X)``.)

    Warns
    -----
    ConvergenceWarning
        If the search ended before it converged; or with a length scale on its lower bound, where
        nothing but the variance of y has been learnt: scale y, or set `normalize_y`.
    KernregWarning
        If a jitter had to be added; ``jitter_`` says how much.

    Notes
    -----
    Time O(n^3), memory one matrix (n, n) of float64 (two more while parameters are learnt): up to n
    of about 5,000; beyond see ``solver.sparse_gp``. Targets in columns are independent, with one
    kernel and one noise. Gradients come from PyTorch or from differences of the kernel alone, see
    :meth:`~kernreg_solvers.hyperparameters.HyperParameters.pull`. A torch tensor is handed to the
    kernel as it is, on its device; the factorisation and all results are NumPy's.

    The search begins at the kernel's parameters and at `noise`. Where that explains y worse than
    independent noise of the variance of y would, one more likelihood is evaluated: with the median
    distance of items for length scales, a tenth of the mean square of y - m for the noise, and the
    rest of k(x, x) brought to it by the variances in front; it begins there if that likelihood is
    the higher one. Only what is learnt is moved, and within its bounds.

    A weight w_i says that the noise of y_i has variance noise / w_i; a whole one counts as that
    many equal rows, in the likelihood too. Without noise no weight but 0 changes anything.

    References
    ----------
    .. [1] C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT
       Press 2006, algorithm 2.1 and section 5.4.

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_solvers import GaussianProcessRegressor
    >>> X = np.array([[0.0], [1.0], [2.0]])
    >>> model = GaussianProcessRegressor(noise=0.1, mean="constant", optimizer=None)
    >>> mean, std = model.fit(X, [1.0, 3.0, 5.0]).predict([[1.0]], return_std=True)
    >>> mean.round(2), std.round(2)
    (array([3.]), array([0.14]))

    What is learnt, and the likelihood that it reaches:

    >>> x = np.linspace(0.0, 3.0, 20)[:, None]
    >>> y = 2.0 * x.ravel() + 0.1 * np.cos(50.0 * x.ravel())
    >>> model = GaussianProcessRegressor().fit(x, y)
    >>> model.theta_names_, round(model.noise_, 4), round(model.log_marginal_likelihood_value_, 1)
    (['noise'], 0.0054, 17.7)
    """

    _result = "dual_coef_"

    def __init__(
        self,
        *,
        kernel: Any = None,
        noise: float = 0.1,
        mean: Any = "zero",
        normalize_y: bool = False,
        optimizer: str | None = "likelihood",
        parameters: Any = None,
        bounds: Any = None,
        n_restarts: int = 0,
        max_iter: int = 200,
        random_state: Any = None,
    ) -> None:
        self.kernel = kernel
        self.noise = noise
        self.mean = mean
        self.normalize_y = normalize_y
        self.optimizer = optimizer
        self.parameters = parameters
        self.bounds = bounds
        self.n_restarts = n_restarts
        self.max_iter = max_iter
        self.random_state = random_state

    # -- fit --------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to items and targets.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or a list of items, or a Gram matrix
        y : array_like, shape (n_samples,) or (n_samples, n_targets)
        sample_weight : float or array_like, shape (n_samples,), optional
            At least 0: the precision of each target, relative to the others.

        Returns
        -------
        self
        """
        noise, mean = checked_noise(self.noise), checked_mean(self.mean)
        if self.optimizer not in ("likelihood", None):
            raise ParameterError(f"optimizer: expected 'likelihood' or None, got {self.optimizer!r}")
        X, y = self._fit_data(X, y, multi_output=True, y_numeric=True)
        X, y, weights = self._used_rows(X, y, sample_weight)
        self.y_fit_ = np.array(y, dtype=np.float64)
        self._weights = weights if noise else None
        Y, mean = self._scale(self.y_fit_.reshape(len(y), -1), weights, mean, np.ndim(y) == 1)
        self._space = learnt_space(self, X, Y, noise, mean, weights=self._weights)
        noise = self._learn(X, Y, noise, mean)
        self._condition(X, y, Y, noise, mean)
        return self

    def _used_rows(self, X: Any, y: Any, sample_weight: Any) -> tuple[Any, Any, np.ndarray | None]:
        """Items, targets and weights without those of weight 0; weights None where all are 1."""
        weights = checked_weights(sample_weight, len(y))
        self._columns: np.ndarray | None = None
        if weights is None or (weights > 0).all():
            return X, y, weights if weights is not None and (weights != 1).any() else None
        used = np.flatnonzero(weights > 0)
        if self._layout_fit == "precomputed":
            self._columns = used
            X = np.asarray(X)[np.ix_(used, used)]
        else:
            X = take(X, used)
        return X, y[used], weights[used]

    def _learn(self, X: Any, Y: np.ndarray, noise: float, mean: Any) -> float:
        """The noise, and the parameters of ``kernel_``, of the largest likelihood."""
        space = self._space
        kernel = space.at(space.theta) if self.optimizer else self.kernel_
        if kernel is not None and "fitted" not in kr.capabilities(kernel):
            probe(kernel, X)
        self.n_iter_, self.theta_ = 1, (space.theta if self.optimizer else space.given).copy()
        if self.optimizer and len(space.theta):
            likelihood = MarginalLikelihood(space, lambda k: self._plain_gram(k, X), X, Y, mean, self._weights)
            start = best_start(space, likelihood.loss, X, Y, mean, self._weights)
            found = search(self, start.loss, start.theta, space.bounds, len(Y))
            self.theta_, self.n_iter_ = found.theta, found.n_evaluations + start.extra
            warn_short(self, space, found.theta)
            self.kernel_ = copy.deepcopy(space.at(found.theta))
            noise = space.extra(found.theta)["noise"] if noise else 0.0
        self.theta_names_, self.bounds_ = list(space.labels), space.bounds
        self.at_bounds_ = space.at_bounds(self.theta_) if self.optimizer else []
        return noise

    def _plain_gram(self, kernel: Any, X: Any) -> np.ndarray:
        if kernel is None:
            return np.array(X, dtype=np.float64, order="C")
        return self._float_gram(gram_of(kernel, X), own=True)

    def _condition(self, X: Any, y: Any, Y: np.ndarray, noise: float, mean: Any) -> None:
        """The posterior at the parameters found."""
        K = self._training_gram(X, y)
        with blas_threads(len(K)):
            if self.kernel_ is None or "psd" not in kr.capabilities(self.kernel_):
                check_definite(K)
            try:
                self.jitter_ = factorise(K, noise if self._weights is None else noise / self._weights)
            except np.linalg.LinAlgError:
                raise InputError(indefinite(f"K + noise I with noise={noise:g}", "raise noise, or ")) from None
            found = evidence(K, Y, mean, noise, self._weights)
        if self.jitter_:
            warn_jitter(self.jitter_, noise)
        self.noise_ = noise
        self.log_marginal_likelihood_value_ = found.value
        self.L_ = lower_in_place(K)
        self._keep_coefficients(found.coef, found.mean, np.ndim(y) == 1)

    # -- the posterior ----------------------------------------------------------------------

    def predict(
        self,
        X: Any,
        return_std: bool = False,
        return_cov: bool = False,
        *,
        include_noise: bool = False,
        prior: Any = None,
    ) -> Any:
        """Mean of f + m at each item, and where asked for its standard deviation or covariance.

        Parameters
        ----------
        X : array_like, shape (n, n_features), or a list of items, or k(X, X_train)
        return_std, return_cov : bool
            At most one of them.
        include_noise : bool
            Whether the deviation or covariance is that of a new target, noise included, rather than
            of f.
        prior : array_like, shape (n,) or (n, n), optional
            With 'precomputed': k(x, x) of each item for `return_std`, k(X, X) for `return_cov`.

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
        X = self._new_items(X)
        if return_cov:
            mean, covariance = self._joint(X, prior)
            if include_noise:
                covariance.flat[:: len(covariance) + 1] += self.noise_
            return mean, self._for_targets(covariance, 2)
        if not return_std:
            return np.asarray(self._cross_matvec(X, self.dual_coef_) + self.mean_)
        mean, variance = self._marginal(X, prior)
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
        mean, covariance = self._joint(self._new_items(X), None)
        return self._drawn(mean, covariance, n_samples, check_random_state(random_state))

    def leave_one_out(self, return_std: bool = False) -> Any:
        """What each training target would be predicted as without it, in closed form, at the parameters and mean found.

        Parameters
        ----------
        return_std : bool

        Returns
        -------
        mean : ndarray, shape of y
        std : ndarray, shape of y
            Of the target, noise included; where asked for.

        Notes
        -----
        With c = A^-1 (y - m) the mean is y_i - c_i / (A^-1)_ii, the variance 1 / (A^-1)_ii (Rasmussen and Williams,
        section 5.4.2).
        """
        self._check_fitted()
        diagonal = inverse_diagonal(self.L_)
        gap = self.dual_coef_ / (diagonal if self.dual_coef_.ndim == 1 else diagonal[:, None])
        mean = self.y_fit_ - gap
        return (mean, self._for_targets(np.sqrt(1.0 / diagonal))) if return_std else mean

    def log_marginal_likelihood(self, theta: Any = None, eval_gradient: bool = False) -> Any:
        """log p(y | X) at other parameters.

        Parameters
        ----------
        theta : array_like, shape (p,), optional
            Logarithms, in the order of ``theta_names_``; those found by default.
        eval_gradient : bool

        Returns
        -------
        value : float
        gradient : ndarray, shape (p,)
            Where asked for.

        Raises
        ------
        numpy.linalg.LinAlgError
            If the matrix is not positive definite at this theta.
        """
        self._check_fitted()
        if theta is None and not eval_gradient:
            return self.log_marginal_likelihood_value_
        X = self.X_fit_
        if X is None:  # the Gram matrix was given; it is L L^T without the noise
            X = self.L_ @ self.L_.T
            X.flat[:: len(X) + 1] -= self.jitter_ + (
                self.noise_ if self._weights is None else self.noise_ / self._weights
            )
        Y = self._in_units(self.y_fit_.reshape(len(self.y_fit_), -1))
        mean = self._mean_in_units(checked_mean(self.mean))
        likelihood = MarginalLikelihood(self._space, lambda k: self._plain_gram(k, X), X, Y, mean, self._weights)
        value, gradient = likelihood(self.theta_ if theta is None else np.asarray(theta, dtype=np.float64))
        return (value, gradient) if eval_gradient else value

    def _new_items(self, X: Any) -> Any:
        X = self._new_data(X)
        return X if self._columns is None else np.ascontiguousarray(X[:, self._columns])

    def _marginal(self, X: Any, prior: Any) -> tuple[np.ndarray, np.ndarray]:
        """Means, and variances of f (n,), by blocks of items."""
        n = count(X)
        before = self._prior(X, prior, 1)
        means, found = [], np.empty(n)
        step = max(64, _BLOCK // self.n_samples_fit_)
        for start in range(0, n, step):
            rows = slice(start, start + step)
            K = self._owned_cross(X if n <= step else X[rows])
            mean, found[rows] = moments(self.L_, K, self.dual_coef_, before[rows])
            means.append(mean + self.mean_)
        return np.concatenate(means), checked_variances(found, before, self.kernel_)

    def _joint(self, X: Any, prior: Any) -> tuple[np.ndarray, np.ndarray]:
        """Means, and the covariance of f (n, n)."""
        before = self._prior(X, prior, 2)
        K = self._owned_cross(X)
        mean = K @ self.dual_coef_ + self.mean_
        with blas_threads(self.n_samples_fit_):
            white = whiten(self.L_, K)
            covariance = before - white @ white.T
        covariance.flat[:: len(covariance) + 1] = checked_variances(
            covariance.diagonal(), before.diagonal(), self.kernel_
        )
        return np.asarray(mean), np.asarray(covariance)

    def _owned_cross(self, X: Any) -> np.ndarray:
        K = self._cross_gram(X)
        return np.array(K) if self._layout_fit == "precomputed" else np.require(K, requirements=["C", "W"])

    def _prior(self, X: Any, prior: Any, rank: int) -> np.ndarray:
        """k(x, x) of each new item, or k(X, X)."""
        n = count(X)
        if self._layout_fit != "precomputed":
            if prior is not None:
                raise ParameterError("prior: it is only for kernel='precomputed': here the kernel gives it")
            return diagonal_values(self.kernel_, X) if rank == 1 else self._plain_gram(self.kernel_, X)
        shape = (n,) * rank
        if prior is None:
            raise ParameterError(
                f"prior: with kernel='precomputed' expected k(X, X) of the new items, {'its diagonal, ' * (rank == 1)}"
                f"shape {shape}, got None: k(X, X_train) does not tell their variance; pass prior=..."
            )
        found = np.array(as_numpy(prior), dtype=np.float64)
        if found.shape != shape or not np.isfinite(found).all():
            raise InputError(f"prior: expected finite numbers of shape {shape}, got {describe(prior)}")
        return found
