"""Kernel k-means."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, ClusterMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if

from kernreg_core.arrays import describe
from kernreg_core.errors import KernregWarning, ParameterError

from .feature_space import FeatureMatrix, FeatureSpaceMixin, Similarities, check_clusters, is_whole
from .gram_product import diagonal
from .krr import checked_weights
from .linalg import blas_threads
from .mixin import count
from .resolve import is_precomputed


def _knows_norms(estimator: Any) -> bool:
    """A matrix k(X_new, X) does not say what k(x, x) is, which distances need."""
    return not is_precomputed(estimator.kernel)


class KernelKMeans(  # type: ignore[call-arg]
    FeatureSpaceMixin,
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    ClusterMixin,  # type: ignore[misc]
    BaseEstimator,  # type: ignore[misc]
    auto_wrap_output_keys=None,  # a wrapped method is there even where it does not hold
):
    r"""k-means in the space of a kernel, on items of any domain.

    Finds clusters with the least weighted sum of squared distances to their means,

    .. math:: \sum_c \sum_{i \in c} w_i \|\phi(x_i) - \mu_c\|^2
       = \sum_i w_i k(x_i, x_i) - \sum_c \frac1{s_c} \sum_{i, j \in c} w_i w_j k(x_i, x_j), \qquad
       \mu_c = \frac1{s_c} \sum_{i \in c} w_i \phi(x_i), \quad s_c = \sum_{i \in c} w_i,

    by Lloyd's iteration, of which each step lowers it, from seeds of k-means++.

    Parameters
    ----------
    n_clusters : int
        At least 1, at most n_samples.
    kernel : None, kernel, callable, str
        As in :class:`KernelRidge`; None is the linear kernel, which makes this ordinary k-means.
    init : {'k-means++', 'random'} or array_like of int, shape (n_samples,)
        Items far from each other as first means, any items, or first labels.
    n_init : 'auto' or int
        Runs, of which the best is kept; 'auto' is 1 for 'k-means++' and for labels, 10 for 'random'.
    max_iter : int
        Steps of one run.
    tol : float
        At least 0. A run stops when the sum falls by less than this fraction of itself; 0: when no label changes.
    method : {'auto', 'exact', 'matvec', 'nystrom'}
        'exact' keeps the Gram matrix; 'matvec' evaluates it anew at each step, in O(n) memory, only for items that
        have moved; 'nystrom' takes features of centres, (n_samples, n_centers) numbers, and is ordinary k-means on
        them. 'auto' is 'exact' where the matrix fits in `memory_budget`, else 'nystrom'.
    n_centers, centers, selector
        Of 'nystrom': how many centres (10 sqrt(n_samples) by default), the centres themselves, or how they are picked.
    memory_budget : int, optional
        Bytes that a Gram matrix may take; four fifths of what is available by default.
    random_state : int, RandomState or None
        Draws seeds and centres.

    Attributes
    ----------
    labels_ : ndarray of int32, shape (n_samples,)
        Cluster of each training item: of the nearest mean.
    inertia_ : float
        The weighted sum of squared distances to these means.
    n_iter_ : int
        Steps of the best run.
    dual_coef_ : ndarray, shape (n_samples, n_clusters), or (n_centers_, n_clusters) with 'nystrom'
        c, with which the inner products of x with the means are k(x, X_fit_) c, or k(x, centers_) c.
    squared_norms_ : ndarray, shape (n_clusters,)
        Of the means.
    method_ : str
    centers_, center_indices_, n_centers_
        With 'nystrom'.
    kernel_, X_fit_, n_samples_fit_, n_features_in_, feature_names_in_
        As in :class:`KernelRidge`; X_fit_ is None with 'nystrom'.

    Raises
    ------
    ParameterError
        From ``fit``: a parameter is out of its range, or no kernel.
    InputError
        From ``fit`` and ``predict``: as in :class:`KernelRidge`, or fewer items than clusters.
    NotFittedError
        From ``predict`` before ``fit``.

    Warns
    -----
    ConvergenceWarning
        If the best run reached `max_iter`, or fewer than `n_clusters` items are distinct for the kernel.
    KernregWarning
        If a step raised the sum: the kernel is not positive semi-definite.

    Notes
    -----
    A cluster that loses its last item gets the one that is farthest from its mean. With ``kernel='precomputed'`` there
    is ``predict`` and no ``transform`` or ``score``, which would need k(x, x) of new items. Weighted kernel k-means
    of D^-1 A D^-1 + shift D^-1, with the degrees as weights, minimises normalised cuts of the graph A [2]_.

    References
    ----------
    .. [1] M. Girolami, "Mercer kernel-based clustering in feature space", IEEE Transactions on Neural Networks 13,
       2002. doi:10.1109/TNN.2002.1000150
    .. [2] I. Dhillon, Y. Guan and B. Kulis, "Kernel k-means, spectral clustering and normalized cuts", KDD 2004.
       doi:10.1145/1014052.1014118
    .. [3] D. Arthur and S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.

    Examples
    --------
    Two rings, which no hyperplane separates:

    >>> import numpy as np
    >>> from kernreg_solvers import KernelKMeans
    >>> angle = np.arange(24) * np.pi / 12
    >>> ring = np.column_stack([np.cos(angle), np.sin(angle)])
    >>> def squares(X, Y):
    ...     return (X**2).sum(1)[:, None] * (Y**2).sum(1)
    >>> model = KernelKMeans(n_clusters=2, kernel=squares).fit(np.vstack([ring, 2 * ring]))
    >>> [len(set(model.labels_[:24])), len(set(model.labels_[24:])), len(set(model.labels_))]
    [1, 1, 2]
    >>> bool(model.predict([[0.0, 1.1]])[0] == model.labels_[0])
    True
    """

    _result = "labels_"

    def __init__(
        self,
        *,
        n_clusters: int = 8,
        kernel: Any = None,
        init: Any = "k-means++",
        n_init: Any = "auto",
        max_iter: int = 300,
        tol: float = 1e-6,
        method: str = "auto",
        n_centers: int | None = None,
        centers: Any = None,
        selector: Any = None,
        memory_budget: int | None = None,
        random_state: Any = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.kernel = kernel
        self.init = init
        self.n_init = n_init
        self.max_iter = max_iter
        self.tol = tol
        self.method = method
        self.n_centers = n_centers
        self.centers = centers
        self.selector = selector
        self.memory_budget = memory_budget
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:
        """Find the clusters of `X`.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or a list of items, or a Gram matrix
        y : ignored
            It is passed on to a kernel that has to be fitted.
        sample_weight : float or array_like, shape (n_samples,), optional
            At least 0; an integer counts as that many equal items.

        Returns
        -------
        self
        """
        self._check_parameters()
        X, _ = self._fit_data(X)
        n = count(X)
        k = check_clusters(self.n_clusters, n)
        weights = checked_weights(sample_weight, n)
        weights = np.ones(n) if weights is None else weights
        first = self._first_labels(n, k)
        space = self._similarities(X, y)
        rng = check_random_state(self.random_state)
        lloyd = _Lloyd(space, weights, k, float(self.tol), int(self.max_iter))
        runs = self._runs(first)
        with blas_threads(n):
            found = [
                lloyd.run(lloyd.nearest_seed(rng, careful=self.init == "k-means++") if first is None else first)
                for _ in range(runs)
            ]
        best = min(found, key=lambda run: run.inertia)
        self._tell(best, k)
        self._keep(best, space)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The cluster whose mean is nearest, of each item.

        Parameters
        ----------
        X : array_like, shape (n, n_features), or a list of items, or k(X, X_train)

        Returns
        -------
        ndarray of int32, shape (n,)
        """
        return np.asarray(self._relative(self._new_data(X)).argmin(axis=1).astype(np.int32))

    @available_if(_knows_norms)  # type: ignore[untyped-decorator]
    def transform(self, X: Any) -> np.ndarray:
        """Distances to the means in the kernel's space, shape (n, n_clusters).

        With 'nystrom' those of the items' projections on the span of the centres.
        """
        return np.asarray(np.sqrt(self._squared(self._new_data(X))))

    @available_if(_knows_norms)  # type: ignore[untyped-decorator]
    def fit_transform(self, X: Any, y: Any = None, sample_weight: Any = None) -> np.ndarray:
        """Fit, and give the distances of the training items."""
        return np.asarray(self.fit(X, y, sample_weight=sample_weight).transform(X))

    @available_if(_knows_norms)  # type: ignore[untyped-decorator]
    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """Minus the weighted sum of squared distances to the nearest means."""
        X = self._new_data(X)
        weights = checked_weights(sample_weight, count(X))
        nearest = self._squared(X).min(axis=1)
        return -float(nearest.sum() if weights is None else weights @ nearest)

    def _squared(self, X: Any) -> np.ndarray:
        """Squared distances of checked items."""
        if self.method_ == "nystrom":
            F = self._new_products(X, self._basis)
            norms = np.einsum("ij,ij->i", F, F)
        else:
            norms = diagonal(self.kernel_, X)
        return np.asarray(np.maximum(self._relative(X) + norms[:, None], 0.0))

    def _relative(self, X: Any) -> np.ndarray:
        """Squared distances less k(x, x)."""
        return np.asarray(self.squared_norms_ - 2.0 * self._new_products(X, self.dual_coef_))

    @property
    def _n_features_out(self) -> int:
        return int(self.squared_norms_.shape[0])

    def _check_parameters(self) -> None:
        self._check_method()
        if not is_whole(self.max_iter, 1):
            raise ParameterError(f"max_iter: expected a whole number at least 1, got {self.max_iter!r}")
        if not isinstance(self.tol, numbers.Real) or not math.isfinite(self.tol) or self.tol < 0:
            raise ParameterError(f"tol: expected a finite number at least 0, got {self.tol!r}")
        if not (isinstance(self.n_init, str) and self.n_init == "auto") and not is_whole(self.n_init, 1):
            raise ParameterError(f"n_init: expected 'auto' or a whole number at least 1, got {self.n_init!r}")

    def _first_labels(self, n: int, k: int) -> np.ndarray | None:
        """Labels given as `init`, checked; None for seeds."""
        if isinstance(self.init, str):
            if self.init not in ("k-means++", "random"):
                raise ParameterError(f"init: expected 'k-means++', 'random' or labels, got {self.init!r}")
            return None
        labels = np.asarray(self.init)
        if labels.shape != (n,) or labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= k:
            raise ParameterError(
                f"init: expected {n} labels from 0 to {k - 1}, one for each item, got {describe(self.init)}"
            )
        return labels.astype(np.int32)

    def _runs(self, first: np.ndarray | None) -> int:
        if first is not None:
            return 1
        if isinstance(self.n_init, str):
            return 10 if self.init == "random" else 1
        return int(self.n_init)

    def _tell(self, run: _Run, k: int) -> None:
        if run.rose:
            warnings.warn(
                "kernel: a step of k-means raised the sum of squares, so the kernel is not positive semi-definite on "
                "these items and the iteration was stopped: a positive definite kernel, or a constant added to the "
                "diagonal of the matrix, silences this",
                KernregWarning,
                stacklevel=3,
            )
        elif not run.converged:
            warnings.warn(
                f"KernelKMeans: labels still changed after {run.n_iter} steps, the last of which lowered the sum by "
                f"{run.fall:.3g} of itself: raise max_iter or tol",
                ConvergenceWarning,
                stacklevel=3,
            )
        filled = len(np.unique(run.labels))
        if filled < k:
            warnings.warn(
                f"KernelKMeans: {filled} clusters were found where n_clusters={k}: for the kernel no more items are "
                "distinct; ask for fewer clusters to silence this",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _keep(self, run: _Run, space: Similarities) -> None:
        self.squared_norms_ = run.squared_norms
        if isinstance(space, FeatureMatrix):
            self._basis = space.features.M
            self.dual_coef_ = self._basis @ (space.F.T @ run.means)
        else:
            self.__dict__.pop("_basis", None)
            self.dual_coef_ = run.means
        self.inertia_, self.n_iter_ = run.inertia, run.n_iter
        self.labels_ = run.labels


class _Run(NamedTuple):
    """Where an iteration ended."""

    labels: np.ndarray  #: of the nearest means
    means: np.ndarray  #: (n, k): coefficients of the means on the items
    squared_norms: np.ndarray  #: (k,)
    inertia: float
    n_iter: int
    converged: bool
    fall: float
    rose: bool


class _Lloyd:
    """Lloyd's iteration on inner products alone."""

    def __init__(self, space: Similarities, weights: np.ndarray, k: int, tol: float, max_iter: int) -> None:
        self.space, self.weights, self.k = space, weights, k
        self.tol, self.max_iter = tol, max_iter
        self.n = len(weights)
        self.total = float(weights @ space.diag)

    # -- seeds ------------------------------------------------------------------------------

    def nearest_seed(self, rng: np.random.RandomState, careful: bool) -> np.ndarray:
        """Labels of the nearest of k items: each drawn by its distance to those before it, the best of a few draws."""
        probability = self.weights / self.weights.sum()
        draws = 2 + int(math.log(self.k)) if careful else 1
        distances = np.full(self.n, np.inf)
        labels = np.zeros(self.n, np.int32)
        for number in range(self.k):
            if number and careful:
                mass = self.weights * distances
                if not mass.sum() > 0:
                    break  # every item is a seed already
                probability = mass / mass.sum()
            candidates = rng.choice(self.n, draws if number else 1, p=probability)
            found = self._distances_to(candidates)
            sums = self.weights @ np.minimum(found, distances[:, None])
            best = found[:, int(sums.argmin())]
            nearer = best < distances
            labels[nearer] = number
            distances = np.minimum(best, distances)
        return labels

    def _distances_to(self, items: np.ndarray) -> np.ndarray:
        diag = self.space.diag
        return np.maximum(diag[:, None] + diag[items] - 2.0 * self.space.columns(items), 0.0)

    # -- steps ------------------------------------------------------------------------------

    def run(self, labels: np.ndarray) -> _Run:
        """From labels to labels that stay."""
        labels = labels.copy()
        sums = self.space.times(self._indicator(labels))  # (n, k): inner products with s_c mu_c
        last, step = np.inf, 0
        while True:
            step += 1
            self._fill_empty(labels, sums)
            relative, norms, inertia = self._distances(labels, sums)
            nearest, moved = self._assigned(labels, relative)
            rose = inertia > last + 1e-7 * abs(self.total)
            fall = (last - inertia) / abs(last) if np.isfinite(last) and last != 0 else 1.0
            converged = not len(moved) or fall <= self.tol
            if rose or converged or step == self.max_iter:
                break
            sums = self._after(sums, labels, nearest, moved)
            labels, last = nearest, inertia
        return self._finished(labels, nearest, relative, norms, (step, converged and not rose, fall, rose))

    def _sizes(self, labels: np.ndarray) -> np.ndarray:
        return np.bincount(labels, self.weights, self.k)

    def _indicator(self, labels: np.ndarray, divisor: np.ndarray | None = None) -> np.ndarray:
        """W Z, shape (n, k): weights in the columns of the labels, divided by the sizes where these are given."""
        found = np.zeros((self.n, self.k))
        found[np.arange(self.n), labels] = self.weights if divisor is None else self.weights / divisor[labels]
        return found

    def _distances(self, labels: np.ndarray, sums: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        """Squared distances to the means less k(x, x), (n, k), squared norms of the means, the objective."""
        sizes = self._sizes(labels)
        within = np.bincount(labels, self.weights * sums[np.arange(self.n), labels], self.k)
        filled = sizes > 0
        safe = np.where(filled, sizes, 1.0)
        norms = np.where(filled, within / safe**2, np.inf)
        return norms - 2.0 * (sums / safe), norms, self.total - float((within / safe).sum())

    def _assigned(self, labels: np.ndarray, relative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels of the nearest means, and which items moved: only to where it is nearer by more than rounding."""
        nearest = relative.argmin(axis=1).astype(np.int32)
        rows = np.arange(self.n)
        own = relative[rows, labels]
        stays = ~(relative[rows, nearest] < own - 1e-12 * (np.abs(own) + np.abs(self.space.diag)))
        nearest[stays] = labels[stays]
        return nearest, np.flatnonzero(nearest != labels)

    def _after(self, sums: np.ndarray, labels: np.ndarray, nearest: np.ndarray, moved: np.ndarray) -> np.ndarray:
        """The sums after items have moved: from those items alone, where they are few."""
        if 2 * len(moved) > self.n:
            return self.space.times(self._indicator(nearest))
        change = np.zeros((len(moved), self.k))
        rows = np.arange(len(moved))
        change[rows, nearest[moved]] = self.weights[moved]
        change[rows, labels[moved]] = -self.weights[moved]
        return sums + self.space.columns(moved, change)

    def _fill_empty(self, labels: np.ndarray, sums: np.ndarray) -> None:
        """Give every empty cluster the item that is farthest from its mean, in place."""
        for empty in np.flatnonzero(self._sizes(labels) == 0):
            relative, _, _ = self._distances(labels, sums)
            far = self.weights * (relative[np.arange(self.n), labels] + self.space.diag)
            item = int(far.argmax())
            if not far[item] > 1e-12 * self.weights[item] * abs(self.space.diag[item]):
                return  # every item is its own mean
            column = self.weights[item] * self.space.columns(np.array([item]))[:, 0]
            sums[:, labels[item]] -= column
            sums[:, empty] += column
            labels[item] = empty

    def _finished(
        self,
        labels: np.ndarray,
        nearest: np.ndarray,
        relative: np.ndarray,
        norms: np.ndarray,
        story: tuple[int, bool, float, bool],
    ) -> _Run:
        """Means of `labels`, labels of the nearest means; clusters without items last, as copies of the first."""
        sizes = self._sizes(labels)
        order = np.argsort(sizes == 0, kind="stable")
        place = np.argsort(order)
        means = self._indicator(labels, np.where(sizes > 0, sizes, 1.0))[:, order]
        norms = norms[order]
        empty = int((sizes == 0).sum())
        if empty:
            means[:, -empty:], norms[-empty:] = means[:, :1], norms[0]
        inertia = float(self.weights @ (self.space.diag + relative[np.arange(self.n), nearest]))
        return _Run(place[nearest].astype(np.int32), means, norms, max(inertia, 0.0), *story)
