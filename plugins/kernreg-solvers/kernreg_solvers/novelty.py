"""Novelty scores in the space of a kernel."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.linalg import solve_triangular
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import check_random_state

import kernreg_core as kr
from kernreg_core.errors import InputError, ParameterError

from .components import Components, from_centers, from_gram
from .feature_space import FeatureSpaceMixin, is_whole
from .gram_product import diagonal
from .linalg import blas_threads, centre_in_place, psd_cholesky
from .mixin import as_numpy, count
from .nystrom_features import NystromFeatures, not_finite
from .operator import KernelOperator, widened
from .resolve import is_precomputed, probe

_CRITERIA = ("reconstruction", "power", "mahalanobis", "mean")


class KernelNovelty(FeatureSpaceMixin, OutlierMixin, BaseEstimator):  # type: ignore[misc]
    r"""How unlike the training items an item is, measured in the space of a kernel, for items of any domain.

    With :math:`\tilde\phi(x) = \phi(x) - \frac1n \sum_i \phi(x_i)`, the novelty of x is one of

    .. math::
       \text{reconstruction:} &\quad \|\tilde\phi(x)\|^2 - \sum_{j \le q} \langle \tilde\phi(x), v_j \rangle^2 \\
       \text{power:} &\quad k(x, x) - k_x^T (K + \alpha I)^{-1} k_x \\
       \text{mahalanobis:} &\quad \tilde\phi(x)^T
          \Bigl(\sum_i \tilde\phi(x_i) \tilde\phi(x_i)^T + \alpha I\Bigr)^{-1} \tilde\phi(x) \\
       \text{mean:} &\quad \|\tilde\phi(x)\|^2

    : the part outside of the q leading kernel principal components v_j [1]_; the regularised power function, which is
    the posterior variance of a Gaussian process with noise alpha; the Mahalanobis distance; the distance from the
    mean, which for a normalised kernel orders items as a Parzen window does.

    Parameters
    ----------
    kernel : None, kernel, callable, str
        As in :class:`KernelRidge`; not 'precomputed', which does not say what k(x, x) of a new item is.
    criterion : {'reconstruction', 'power', 'mahalanobis', 'mean'}
    n_components : int
        q, for 'reconstruction'; the rank or n_samples where that is less.
    alpha : float
        For 'power' and 'mahalanobis', above 0.
    contamination : float
        In (0, 0.5]: fraction of the training items that ``predict`` calls outliers.
    method : {'auto', 'exact', 'nystrom'}
        'exact' takes all items, a Gram matrix in memory; 'nystrom' the projections on the span of centres, in
        O(n_centers^2) memory, keeping the exact k(x, x): what is outside of that span is novel. 'auto' is 'exact' where
        the matrix fits in `memory_budget`.
    n_centers, centers, selector
        Of 'nystrom': how many centres (10 sqrt(n_samples) by default), the centres themselves, or how they are picked.
    memory_budget : int, optional
        Bytes that a Gram matrix may take; four fifths of what is available by default.
    random_state : int, RandomState or None
        Draws centres and the start of iterations.

    Attributes
    ----------
    offset_ : float
        Threshold of score_samples.
    method_ : str
    eigenvalues_ : ndarray, shape (n_components,)
        Of the centred Gram matrix, for 'reconstruction'.
    jitter_ : float
        What had to be added to alpha for 'power' and 'mahalanobis' to be computed; 0 as a rule.
    centers_, center_indices_, n_centers_
        With 'nystrom'.
    kernel_, X_fit_, n_samples_fit_, n_features_in_, feature_names_in_
        As in :class:`KernelRidge`; X_fit_ is None with 'nystrom'.

    Raises
    ------
    ParameterError
        From ``fit``: a parameter is out of its range, no kernel, or 'precomputed'.
    InputError
        From ``fit`` and the answers: as in :class:`KernelRidge`, or a kernel that is not positive semi-definite.
    NotFittedError
        From the answers before ``fit``.

    References
    ----------
    .. [1] H. Hoffmann, "Kernel PCA for novelty detection", Pattern Recognition 40, 2007.
       doi:10.1016/j.patcog.2006.07.009
    .. [2] H. Wendland, "Scattered Data Approximation", Cambridge University Press, 2004 (the power function).

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_solvers import KernelNovelty
    >>> def gauss(X, Y):
    ...     return np.exp(-0.5 * ((X[:, None] - Y[None]) ** 2).sum(-1))
    >>> angle = np.arange(20) * np.pi / 10
    >>> ring = 2 * np.column_stack([np.cos(angle), np.sin(angle)])
    >>> model = KernelNovelty(kernel=gauss, n_components=8).fit(ring)
    >>> inside, on = model.score_samples([[0.0, 0.0], [2.0, 0.0]])
    >>> bool(inside < on)
    True
    >>> model.predict([[0.0, 0.0]])
    array([-1])
    """

    _result = "offset_"

    def __init__(
        self,
        *,
        kernel: Any = None,
        criterion: str = "reconstruction",
        n_components: int = 16,
        alpha: float = 1e-3,
        contamination: float = 0.1,
        method: str = "auto",
        n_centers: int | None = None,
        centers: Any = None,
        selector: Any = None,
        memory_budget: int | None = None,
        random_state: Any = 0,
    ) -> None:
        self.kernel = kernel
        self.criterion = criterion
        self.n_components = n_components
        self.alpha = alpha
        self.contamination = contamination
        self.method = method
        self.n_centers = n_centers
        self.centers = centers
        self.selector = selector
        self.memory_budget = memory_budget
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn what `X` is like.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or a list of items
        y : ignored
            It is passed on to a kernel that has to be fitted.

        Returns
        -------
        self
        """
        self._check_parameters()
        X, _ = self._fit_data(X)
        for stale in ("centers_", "center_indices_", "n_centers_", "eigenvalues_", "jitter_"):
            self.__dict__.pop(stale, None)
        self.method_ = self._chosen_method(count(X))
        if self.method_ == "exact":
            X = widened(X)  # a tensor; rows are float64
        self._form = self._from_centers(X, y) if self.method_ == "nystrom" else self._from_all(X, y)
        novelty, lowest = self._novelty(X)
        if lowest < -1e-6:
            raise InputError(
                f"kernel: squared distances of the training items go down to {lowest:.3g} of the largest k(x, x), so "
                "the kernel is not positive semi-definite: take one that is"
            )
        self.offset_ = float(np.quantile(-novelty, self.contamination))
        return self

    def score_samples(self, X: Any) -> np.ndarray:
        """Minus the novelty of each item, shape (n,): the larger, the more like the training items.

        Parameters
        ----------
        X : array_like, shape (n, n_features), or a list of items
        """
        return -self._novelty(self._new_data(X))[0]

    def decision_function(self, X: Any) -> np.ndarray:
        """``score_samples`` less ``offset_``, shape (n,): negative for outliers."""
        return np.asarray(self.score_samples(X) - self.offset_)

    def predict(self, X: Any) -> np.ndarray:
        """1 for each item like the training items, -1 for outliers, shape (n,)."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

    # -- parameters -------------------------------------------------------------------------

    def _check_parameters(self) -> None:
        if self.criterion not in _CRITERIA:
            raise ParameterError(
                f"criterion: expected one of {', '.join(map(repr, _CRITERIA))}, got {self.criterion!r}"
            )
        if is_precomputed(self.kernel):
            raise ParameterError(
                "kernel: the novelty of a new item takes k(x, x), which a 'precomputed' matrix k(X_new, X) does not "
                "hold: pass the kernel itself, or use OneClassClassifier"
            )
        if self.method == "matvec":
            raise ParameterError("method: expected one of 'auto', 'exact', 'nystrom', got 'matvec'")
        self._check_method()
        if not is_whole(self.n_components, 1):
            raise ParameterError(f"n_components: expected a whole number at least 1, got {self.n_components!r}")
        for name, most in (("alpha", math.inf), ("contamination", 0.5)):
            value = getattr(self, name)
            if not isinstance(value, numbers.Real) or not math.isfinite(value) or not 0 < float(value) <= most:
                limit = "" if math.isinf(most) else f" and at most {most:g}"
                raise ParameterError(f"{name}: expected a finite number above 0{limit}, got {value!r}")

    # -- the form ---------------------------------------------------------------------------

    def _novelty(self, X: Any) -> tuple[np.ndarray, float]:
        """Of checked items, at least 0, in blocks; and the least before that, relative to the largest k(x, x)."""
        form = self._form
        norms = diagonal(self.kernel_, X, in_float64=True)
        found = norms + form.constant
        # what is left of float32 values would be their rounding
        operator = KernelOperator(self.kernel_, X, form.items, in_float64=True)
        directions = operator.operand(np.column_stack([form.linear, form.directions]))

        def body(rows: slice, K: Any) -> None:
            values = np.asarray(as_numpy(K @ directions), dtype=np.float64)
            inside = values[:, 1:] - form.shift
            found[rows] += values[:, 0] - np.einsum("ij,ij->i", inside, inside)

        operator.each(body)
        if not np.isfinite(found).all():
            raise not_finite(self.kernel_)
        return np.asarray(form.scale * np.maximum(found, 0.0)), float(found.min() / max(np.abs(norms).max(), 1e-300))

    def _from_all(self, X: Any, y: Any) -> _Form:
        """The form on all items."""
        K = self._training_gram(X, y)
        n = len(K)
        if self.criterion == "power":
            return _Form(self._items, np.zeros(n), self._inverse_factor(K), np.zeros(n), 0.0, 1.0)
        means = K.mean(axis=1)
        linear, mean = np.full(n, -2.0 / n), float(means.mean())
        if self.criterion == "mean":
            return _Form(self._items, linear, np.zeros((n, 0)), np.zeros(0), mean, 1.0)
        if self.criterion == "mahalanobis":
            centre_in_place(K)
            directions = self._inverse_factor(K)
            directions -= directions.mean(axis=0)
            return _Form(self._items, linear, directions, means @ directions, mean, 1.0 / float(self.alpha))
        parts = self._leading(K, X, y)
        values, roots = self._principal(parts, n)
        directions = parts.found.vectors * roots
        directions -= directions.mean(axis=0)
        self.eigenvalues_ = values
        return _Form(self._items, linear, directions, means @ directions, mean, 1.0)

    def _leading(self, K: np.ndarray, X: Any, y: Any) -> Components:
        """The principal components of the centred matrix; `K` is overwritten."""
        n = len(K)
        q = min(int(self.n_components), n)
        options: dict[str, Any] = {"tol": 1e-8, "max_iter": 200, "rng": check_random_state(self.random_state)}
        with blas_threads(n):
            if n >= 400 and 20 * q <= n:
                parts = from_gram(K, q, "subspace", **options)
                if parts.found.converged:
                    return parts
                K = self._training_gram(X, y)
            return from_gram(K, q, "dense", **options)

    def _from_centers(self, X: Any, y: Any) -> _Form:
        """The form on centres, with the exact k(x, x) of every item."""
        if "fitted" in kr.capabilities(self.kernel_):
            self.kernel_.fit(X, y)
        probe(self.kernel_, X)
        n = count(X)
        self.X_fit_, self.n_samples_fit_ = None, n
        features = NystromFeatures(self.kernel_, self._choose_centers(X), in_float64=True)
        M, alpha = features.M, float(self.alpha)
        if self.criterion == "reconstruction":
            rng = check_random_state(self.random_state)
            with blas_threads(features.rank):
                parts = from_centers(features, X, int(self.n_components), tol=1e-8, max_iter=200, rng=rng)
            self.eigenvalues_, roots = self._principal(parts, n)
            V = parts.found.vectors * (roots > 0)
            mean = parts.means
        else:
            second, first = features.moments(X)
            mean = first[:, 0] / n
            if self.criterion == "mahalanobis":
                second -= n * np.outer(mean, mean)
            values, vectors = np.linalg.eigh(second)
            values = np.maximum(values, 0.0)
            V = vectors * np.sqrt(values / (values + alpha)) if self.criterion != "mean" else vectors[:, :0]
        self.jitter_ = 0.0
        if self.criterion == "power":
            return _Form(self.centers_, np.zeros(len(M)), M @ V, np.zeros(V.shape[1]), 0.0, 1.0)
        scale = 1.0 / alpha if self.criterion == "mahalanobis" else 1.0
        return _Form(self.centers_, -2.0 * (M @ mean), M @ V, mean @ V, float(mean @ mean), scale)

    def _principal(self, parts: Components, n: int) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues without what is zero to rounding, and one over their roots, 0 where they are 0."""
        values = parts.found.values.copy()
        values[values <= max(n * np.finfo(np.float64).eps, 1e-12) * float(np.abs(values).max())] = 0.0
        return values, np.where(values > 0, 1.0 / np.sqrt(np.where(values > 0, values, 1.0)), 0.0)

    def _inverse_factor(self, K: np.ndarray) -> np.ndarray:
        """D with D D^T = (K + alpha I)^-1; `K` is overwritten."""
        K.flat[:: len(K) + 1] += float(self.alpha)
        with blas_threads(len(K)):
            factor = psd_cholesky(K)
            if factor is None:
                raise InputError(
                    f"kernel: the Gram matrix plus alpha={self.alpha:g} is not positive definite: take a positive "
                    "semi-definite kernel, or a larger alpha"
                )
            self.jitter_ = factor.jitter
            inverse = solve_triangular(factor.L, np.eye(len(K)), lower=True, overwrite_b=True, check_finite=False)
        return np.ascontiguousarray(inverse.T)


@dataclass
class _Form:
    """scale (k(x, x) + constant + linear^T k_x - |directions^T k_x - shift|^2), with k_x = k(items, x)."""

    items: Any
    linear: np.ndarray
    directions: np.ndarray
    shift: np.ndarray
    constant: float
    scale: float
