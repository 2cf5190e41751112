"""Gaussian process classification by Laplace's approximation."""

from __future__ import annotations

import copy
import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets

import kernreg_core as kr
from kernreg_core.errors import InputError, ParameterError

from .centers import take
from .gp_average import average_logistic, average_probit, average_softmax
from .gp_common import check_definite, indefinite, search
from .gp_exact import whiten
from .gp_laplace import LINKS, Mode, find_mode, mode_derivative
from .gp_pull import diagonal_values
from .gp_softmax import find_softmax_mode, softmax_derivative, softmax_latent
from .hyperparameters import HyperParameters
from .krr import checked_weights
from .linalg import blas_threads
from .mixin import KernelMixin, count
from .mixin import _gram as gram_of
from .resolve import is_precomputed, probe

#: Entries of a block of k(X_new, X).
_BLOCK = 1 << 21


class GaussianProcessClassifier(KernelMixin, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    r"""Gaussian process classification of two classes or more, on items of any domain.

    A latent function :math:`f \sim GP(0, k)` decides the probability of a class,
    :math:`p(y = \pm 1 \mid f) = g(y f)`; the posterior of its values at the training items is
    approximated by the normal distribution at its mode with the curvature there (Laplace). The
    kernel's numeric parameters are those of the largest approximate marginal likelihood, found with
    its gradient; the probability of a class at a new item is g averaged over the latent posterior.

    Parameters
    ----------
    kernel : None, kernel, callable, str
        None: the linear kernel. A kernel object, or any callable ``(X, Y) -> (n, m)`` matrix; or
        the name of an entry, created with its defaults. Never changed; where the search starts. Its
        variance is the scale of f: write ``4.0 * kernel`` to have one that can be learnt.
    likelihood : {"logistic", "probit"}
        g: the logistic function, or the normal distribution function.
    multi_class : {"one_vs_rest", "multinomial"}
        For more than two classes: a latent function for each class against the others, all with one
        kernel, whose marginal likelihoods are multiplied and whose probabilities are normalised; or
        one softmax of a latent function for each class, with their joint posterior ("logistic"
        only; takes about seven times as long).
    optimizer : {"likelihood", None}
        None keeps the kernel as it is.
    parameters : list of str, optional
        Names of the parameters to learn, full or their last part. All by default; see
        :class:`~kernreg_solvers.hyperparameters.HyperParameters`.
    bounds : mapping or "fixed", optional
        ``{name: (low, high)}`` or ``{name: "fixed"}`` of values; by default from the data.
    n_restarts, max_iter : int
        Further starts, log-uniform within the bounds, and iterations of the search from each.
    random_state : int, RandomState or None
        Draws the restarts.

    Attributes
    ----------
    classes_ : ndarray, shape (n_classes,)
    kernel_ : kernel
        The clone with the parameters found, fitted where it has to be.
    theta_, theta_names_, bounds_, at_bounds_
        Logarithms of what was learnt, their names, their bounds, and names of those on a bound.
    log_marginal_likelihood_value_ : float
        Laplace's approximation of log p(y | X), summed over classes with "one_vs_rest".
    dual_coef_ : ndarray, shape (n_samples,) or (n_samples, n_classes)
        K^-1 f at the mode: the latent mean at x is k(x, X) dual_coef_.
    n_iter_ : int
        Evaluations of the marginal likelihood, at least 1.
    X_fit_, n_samples_fit_, n_features_in_, feature_names_in_
        A copy of the training items and what they are.

    Raises
    ------
    ParameterError
        From ``fit``: `kernel` is no kernel, or is asymmetric, complex, matrix-valued or
        'precomputed', which lacks the variance of new items; another parameter is not what it
        should be.
    InputError
        From ``fit``: the kernel is not positive semi-definite on these items; one class; NaN,
        infinity, strings, an empty `X`, unequal lengths.
    NotFittedError
        From all methods before ``fit``.

    Warns
    -----
    ConvergenceWarning
        If the search, or the Newton steps at its end, ended before they converged.

    Notes
    -----
    Time O(n^3) for each class, memory two matrices (n, n) for each class. The logistic function is
    averaged exactly to twelve digits, being a mixture of normal distribution functions; the probit
    in closed form; the softmax over 1,024 quasi-random points, the same for all items.

    A weight multiplies the log likelihood of its item: a whole one counts as that many equal rows.

    References
    ----------
    .. [1] C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT
       Press 2006, algorithms 3.1 to 3.4 and 5.1.

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_solvers import GaussianProcessClassifier
    >>> X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    >>> model = GaussianProcessClassifier().fit(X, ["below", "below", "above", "above"])
    >>> model.predict([[-3.0], [0.5]]).tolist()
    ['below', 'above']
    >>> model.predict_proba([[0.0]])
    array([[0.5, 0.5]])
    """

    _result = "dual_coef_"

    def __init__(
        self,
        *,
        kernel: Any = None,
        likelihood: str = "logistic",
        multi_class: str = "one_vs_rest",
        optimizer: str | None = "likelihood",
        parameters: Any = None,
        bounds: Any = None,
        n_restarts: int = 0,
        max_iter: int = 200,
        random_state: Any = None,
    ) -> None:
        self.kernel = kernel
        self.likelihood = likelihood
        self.multi_class = multi_class
        self.optimizer = optimizer
        self.parameters = parameters
        self.bounds = bounds
        self.n_restarts = n_restarts
        self.max_iter = max_iter
        self.random_state = random_state

    # -- fit --------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to items and their classes.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or a list of items
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
        check_classification_targets(y)
        weights = checked_weights(sample_weight, len(y))
        if weights is not None and not (weights > 0).all():
            used = np.flatnonzero(weights > 0)
            X, y, weights = take(X, used), y[used], weights[used]
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(
                f"y: expected at least 2 classes, got 1 class, {self.classes_.tolist()[0]!r}: nothing to tell apart"
            )
        latent = self._latent(codes, weights)
        self._learn(X, y, latent)
        self._condition(X, y, latent)
        return self

    def _check_parameters(self) -> None:
        for name, allowed in (
            ("likelihood", ("logistic", "probit")),
            ("multi_class", ("one_vs_rest", "multinomial")),
            ("optimizer", ("likelihood", None)),
        ):
            if getattr(self, name) not in allowed:
                raise ParameterError(f"{name}: expected {allowed[0]!r} or {allowed[1]!r}, got {getattr(self, name)!r}")
        if self.multi_class == "multinomial" and self.likelihood == "probit":
            raise ParameterError("multi_class: 'multinomial' is a softmax, which is logistic: expected 'one_vs_rest'")
        if is_precomputed(self.kernel):
            raise ParameterError(
                "kernel: probabilities need k(x, x) of new items, which a 'precomputed' k(X_new, X_train) lacks: pass "
                "a kernel, for example lambda I, J: K[np.ix_(I.astype(int).ravel(), J.astype(int).ravel())] with row "
                "numbers as X"
            )

    def _latent(self, codes: np.ndarray, weights: np.ndarray | None) -> OneVsRest | Multinomial:
        n_classes = len(self.classes_)
        if n_classes > 2 and self.multi_class == "multinomial":
            return Multinomial(np.eye(n_classes)[codes], weights)
        columns = [1] if n_classes == 2 else range(n_classes)
        signs = np.column_stack([np.where(codes == c, 1.0, -1.0) for c in columns])
        return OneVsRest(signs, self.likelihood, weights)

    def _learn(self, X: Any, y: Any, latent: OneVsRest | Multinomial) -> None:
        """``kernel_`` with the parameters of the largest marginal likelihood."""
        space = HyperParameters(self.kernel_, X, parameters=self.parameters, bounds=self.bounds)
        kernel = space.at(space.theta) if self.optimizer else self.kernel_
        if "fitted" not in kr.capabilities(kernel):
            probe(kernel, X)
        self.n_iter_, self.theta_ = 1, (space.theta if self.optimizer else space.given).copy()

        def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
            K = self._float_gram(gram_of(space.at(theta), X), own=True)
            with blas_threads(len(K)):
                latent.find(K)
                G = latent.derivative(K)
            return -latent.value, -space.pull(theta, G, X, inner=float(np.vdot(G, K)))

        if self.optimizer and len(space.theta):
            found = search(self, loss, space.theta, space.bounds, count(X))
            self.theta_, self.n_iter_ = found.theta, found.n_evaluations
            self.kernel_ = copy.deepcopy(space.at(found.theta))
        self.theta_names_, self.bounds_ = list(space.labels), space.bounds
        self.at_bounds_ = space.at_bounds(self.theta_) if self.optimizer else []

    def _condition(self, X: Any, y: Any, latent: OneVsRest | Multinomial) -> None:
        """The latent posterior at the parameters found."""
        K = self._training_gram(X, y)
        with blas_threads(len(K)):
            if "psd" not in kr.capabilities(self.kernel_):
                check_definite(K)
            try:
                latent.find(K)
            except np.linalg.LinAlgError:
                raise InputError(indefinite("the Gram matrix", "")) from None
        if not latent.converged:
            warnings.warn(
                "GaussianProcessClassifier: Newton steps did not converge to the mode: scale the data, or lower the "
                "kernel's variance",
                ConvergenceWarning,
                stacklevel=3,
            )
        self._posterior = latent
        self.log_marginal_likelihood_value_ = latent.value
        self.dual_coef_ = latent.coefficients

    # -- probabilities ----------------------------------------------------------------------

    def latent_mean_and_variance(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of f at each item.

        Parameters
        ----------
        X : array_like, shape (n, n_features), or a list of items

        Returns
        -------
        mean, variance : ndarray, shape (n,), or (n, n_classes) where there are more than two classes
            Of the second of two classes, or of each class.
        """
        mean, spread = self._at(self._new_data(X))
        if spread.ndim == 3:
            spread = np.einsum("icc->ic", spread).copy()
        return (mean[:, 0], spread[:, 0]) if self.dual_coef_.ndim == 1 else (mean, spread)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each class, averaged over the latent posterior, shape (n, n_classes)."""
        mean, spread = self._at(self._new_data(X))
        if spread.ndim == 3:
            return average_softmax(mean, spread)
        average = average_logistic if self.likelihood == "logistic" else average_probit
        if mean.shape[1] == 1:
            # both from their own side, so that a small one keeps its digits
            return np.column_stack([average(-mean[:, 0], spread[:, 0]), average(mean[:, 0], spread[:, 0])])
        found = average(mean, spread)
        return np.asarray(found / found.sum(axis=1, keepdims=True))

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each item, shape (n,)."""
        codes = self.predict_proba(X).argmax(axis=1)  # first: it says where there was no fit
        return np.asarray(self.classes_[codes])

    def _at(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Latent means (n, C), and variances (n, C) or covariances (n, C, C), by blocks of items."""
        n = count(X)
        prior = diagonal_values(self.kernel_, X)
        step = max(64, _BLOCK // self.n_samples_fit_)
        found = []
        with blas_threads(self.n_samples_fit_):
            for start in range(0, n, step):
                rows = slice(start, start + step)
                K = np.require(self._cross_gram(X if n <= step else X[rows]), requirements=["C", "W"])
                found.append(self._posterior.latent(K, prior[rows]))
        return np.concatenate([mean for mean, _ in found]), np.concatenate([spread for _, spread in found])


class OneVsRest:
    """Binary models with one kernel: one for two classes, else one for each class.

    Parameters
    ----------
    signs : ndarray, shape (n, C)
    likelihood : {"logistic", "probit"}
    weights : ndarray, shape (n,), or None
    """

    def __init__(self, signs: np.ndarray, likelihood: str, weights: np.ndarray | None) -> None:
        self.signs, self.likelihood, self.weights = signs, likelihood, weights
        self.modes: list[Mode] = []

    def find(self, K: np.ndarray) -> None:
        """The modes, from those at the last parameters."""
        link = LINKS[self.likelihood]
        starts: list[Any] = [mode.a for mode in self.modes] or [None] * self.signs.shape[1]
        self.modes = [
            find_mode(K, np.ascontiguousarray(y), link, self.weights, start)
            for y, start in zip(self.signs.T, starts, strict=True)
        ]

    @property
    def value(self) -> float:
        """The approximate log marginal likelihood."""
        return float(sum(mode.value for mode in self.modes))

    @property
    def converged(self) -> bool:
        return all(mode.converged for mode in self.modes)

    @property
    def coefficients(self) -> np.ndarray:
        """K^-1 f, (n,) or (n, C)."""
        found = np.column_stack([mode.a for mode in self.modes])
        return found[:, 0] if found.shape[1] == 1 else found

    def derivative(self, K: np.ndarray) -> np.ndarray:
        """Of the value by K."""
        return np.asarray(sum(mode_derivative(K, mode) for mode in self.modes))

    def latent(self, rows: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means and variances, (b, C), at new items with k(X_new, X) = `rows`."""
        means, spreads = [], []
        for mode in self.modes:
            means.append(rows @ mode.a)
            white = whiten(mode.L, rows * mode.root)
            spreads.append(np.maximum(prior - np.einsum("ij,ij->i", white, white), 0.0))
        return np.column_stack(means), np.column_stack(spreads)


class Multinomial:
    """One softmax over a latent function for each class.

    Parameters
    ----------
    indicators : ndarray, shape (n, C)
    weights : ndarray, shape (n,), or None
    """

    def __init__(self, indicators: np.ndarray, weights: np.ndarray | None) -> None:
        self.indicators, self.weights = indicators, weights
        self.mode: Any = None

    def find(self, K: np.ndarray) -> None:
        """The mode, from that at the last parameters."""
        start = None if self.mode is None else self.mode.a
        self.mode = find_softmax_mode(K, self.indicators, self.weights, start)

    @property
    def value(self) -> float:
        """The approximate log marginal likelihood."""
        return float(self.mode.value)

    @property
    def converged(self) -> bool:
        return bool(self.mode.converged)

    @property
    def coefficients(self) -> np.ndarray:
        """K^-1 f, (n, C)."""
        return np.asarray(self.mode.a)

    def derivative(self, K: np.ndarray) -> np.ndarray:
        """Of the value by K."""
        return softmax_derivative(K, self.mode, self.weights)

    def latent(self, rows: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Means (b, C) and covariances (b, C, C) at new items with k(X_new, X) = `rows`."""
        return softmax_latent(self.mode, rows, prior)
