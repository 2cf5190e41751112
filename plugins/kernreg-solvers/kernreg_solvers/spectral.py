"""Spectral clustering."""

from __future__ import annotations

import math
import numbers
import warnings
from contextlib import nullcontext
from typing import Any, NamedTuple, Self

import numpy as np
from scipy.linalg import eigh, qr
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from threadpoolctl import threadpool_limits

from kernreg_core.arrays import is_sparse
from kernreg_core.errors import InputError, KernregWarning, ParameterError
from kernreg_core.threads import pinned_blas

from .components import block_width
from .feature_space import FeatureMatrix, FeatureSpaceMixin, Products, StoredMatrix, check_clusters, is_whole
from .krylov import krylov_eigenpairs
from .linalg import Eigenpairs, blas_threads, dense_eigenpairs, fix_signs, rows_times
from .mixin import count
from .resolve import is_precomputed

_NORMALISATIONS = ("symmetric", "random_walk")
_ASSIGNERS = ("kmeans", "cluster_qr")
_NEGATIVE = ("clip", "refuse")
#: Coordinates below which k-means runs on one thread.
_SMALL = 1 << 16


class SpectralClustering(FeatureSpaceMixin, ClusterMixin, BaseEstimator):  # type: ignore[misc]
    r"""Clusters from the leading eigenvectors of a normalised similarity matrix, of items of any domain.

    With :math:`W_{ij} = k(x_i, x_j) \ge 0` and degrees :math:`D_{ii} = \sum_j W_{ij}`, the eigenvectors of

    .. math:: D^{-1/2} W D^{-1/2}\, u_j = \lambda_j u_j, \qquad \lambda_1 = 1 \ge \lambda_2 \ge \ldots

    (those of the normalised Laplacian, whose eigenvalues are :math:`1 - \lambda_j`) are the coordinates of the
    items, which k-means then parts: their rows scaled to length 1 [1]_, or the solutions :math:`D^{-1/2} u_j` of
    :math:`W v = \lambda D v` as they are [2]_.

    Parameters
    ----------
    n_clusters : int
        At least 1, at most n_samples.
    kernel : None, kernel, callable, str
        As in :class:`KernelRidge`, with values that are similarities: a Gaussian kernel is the usual one. None is the
        linear kernel. With 'precomputed', `X` is W.
    n_components : int, optional
        Eigenvectors; `n_clusters` by default.
    normalisation : {'symmetric', 'random_walk'}
        Rows of length 1, or the generalised eigenvectors.
    assign_labels : {'kmeans', 'cluster_qr'}
        k-means from ten draws, or the rotation that a pivoted QR decomposition of the coordinates gives [4]_, which
        draws nothing and takes as many components as clusters.
    negative : {'clip', 'refuse'}
        What is done with negative values: taken for no similarity, 0; or refused. ``clipped_`` says how many there
        were.
    method : {'auto', 'exact', 'matvec', 'nystrom'}
        'exact' keeps W; 'matvec' takes products with it, never formed; 'nystrom' the similarities of features of
        centres [3]_, in O(n_samples n_centers) memory. The last two take kernels without negative values alone.
        'auto' is 'exact' where W fits in `memory_budget`, else 'nystrom'.
    n_centers, centers, selector
        Of 'nystrom': how many centres (10 sqrt(n_samples) by default), the centres themselves, or how they are picked.
    tol : float
        Above 0. Residual of the eigenvectors at which an iteration stops.
    max_iter : int
        Products that it may take.
    memory_budget : int, optional
        Bytes that W may take; four fifths of what is available by default.
    random_state : int, RandomState or None
        Draws the start of the iteration, centres, and the starts of k-means.

    Attributes
    ----------
    labels_ : ndarray of int32, shape (n_samples,)
    embedding_ : ndarray, shape (n_samples, n_components)
        The coordinates that were parted.
    eigenvalues_ : ndarray, shape (n_components,)
        lambda, descending. As many are 1 as W has connected components.
    degrees_ : ndarray, shape (n_samples,)
    clipped_ : float
        Share of the values that were negative.
    method_ : str
    n_iter_ : int
        Products taken; 1 for a full reduction.
    centers_, center_indices_, n_centers_
        With 'nystrom'.
    kernel_, X_fit_, n_samples_fit_, n_features_in_, feature_names_in_
        As in :class:`KernelRidge`; X_fit_ is None with 'nystrom'.

    Raises
    ------
    ParameterError
        From ``fit``: a parameter is out of its range, or no kernel.
    InputError
        From ``fit`` and ``predict``: as in :class:`KernelRidge`, fewer items than clusters or components, or negative
        values where they are refused.
    NotFittedError
        From ``predict`` before ``fit``.

    Warns
    -----
    KernregWarning
        If items have no similarity to any centre, with 'nystrom': their coordinates are 0; or if eigenvalues are 0,
        so that fewer coordinates than were asked for tell items apart: the others are 0.
    ConvergenceWarning
        If the eigenvectors did not converge; it tells the residual.

    Notes
    -----
    The diagonal of W counts as it is; an item without any similarity, to itself neither, is a component by itself, as
    if it had degree 1. ``predict`` places new items by the same formula (Nystrom's extension): an item
    of the training set that has similarities gets its own coordinates.

    References
    ----------
    .. [1] A. Ng, M. Jordan and Y. Weiss, "On spectral clustering: analysis and an algorithm", NeurIPS 2001.
    .. [2] J. Shi and J. Malik, "Normalized cuts and image segmentation", IEEE Transactions on Pattern Analysis and
       Machine Intelligence 22, 2000. doi:10.1109/34.868688
    .. [3] C. Fowlkes, S. Belongie, F. Chung and J. Malik, "Spectral grouping using the Nyström method", IEEE
       Transactions on Pattern Analysis and Machine Intelligence 26, 2004. doi:10.1109/TPAMI.2004.1262185
    .. [4] A. Damle, V. Minden and L. Ying, "Simple, direct and efficient multi-way spectral clustering", Information
       and Inference 8, 2019. doi:10.1093/imaiai/iay008

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_solvers import SpectralClustering
    >>> def gauss(X, Y):
    ...     return np.exp(-8 * ((X[:, None] - Y[None]) ** 2).sum(-1))
    >>> angle = np.arange(40) * np.pi / 20
    >>> ring = np.column_stack([np.cos(angle), np.sin(angle)])
    >>> model = SpectralClustering(n_clusters=2, kernel=gauss).fit(np.vstack([ring, 2 * ring]))
    >>> [len(set(model.labels_[:40])), len(set(model.labels_[40:])), len(set(model.labels_))]
    [1, 1, 2]
    """

    _result = "labels_"

    def __init__(
        self,
        *,
        n_clusters: int = 8,
        kernel: Any = None,
        n_components: int | None = None,
        normalisation: str = "symmetric",
        assign_labels: str = "kmeans",
        negative: str = "clip",
        method: str = "auto",
        n_centers: int | None = None,
        centers: Any = None,
        selector: Any = None,
        tol: float = 1e-8,
        max_iter: int = 500,
        memory_budget: int | None = None,
        random_state: Any = 0,
    ) -> None:
        self.n_clusters = n_clusters
        self.kernel = kernel
        self.n_components = n_components
        self.normalisation = normalisation
        self.assign_labels = assign_labels
        self.negative = negative
        self.method = method
        self.n_centers = n_centers
        self.centers = centers
        self.selector = selector
        self.tol = tol
        self.max_iter = max_iter
        self.memory_budget = memory_budget
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the clusters of `X`.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or a list of items, or a matrix of similarities
        y : ignored
            It is passed on to a kernel that has to be fitted.

        Returns
        -------
        self
        """
        self._check_parameters()
        X, _ = self._fit_data(X)
        k, q = self._check_counts(count(X))
        if is_sparse(X) and is_precomputed(self.kernel):
            raise InputError("X: expected a dense matrix of similarities, got a sparse one: pass X.toarray()")
        space = self._similarities(X, y)
        graph = self._graph(space)
        self.degrees_ = graph.degrees
        parts = self._eigenvectors(graph, q)
        self._tell(parts)
        self.eigenvalues_, self.n_iter_ = parts.values, parts.n_iter
        # of a zero eigenvalue the vector is any in the null space, and says nothing about the items
        U = fix_signs(np.array(parts.vectors, order="C")) * ~_zero(parts.values)
        self._directions = self._extension(graph, U, parts.values)
        self.embedding_ = self._coordinates(U, graph.roots)
        self.labels_ = self._assign(k)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The cluster of each item, from its similarities to the training items.

        Parameters
        ----------
        X : array_like, shape (n, n_features), or a list of items, or similarities k(X, X_train)

        Returns
        -------
        ndarray of int32, shape (n,)
            That of an item without any similarity is arbitrary.
        """
        U, roots = self._placed(self._new_data(X))
        points = self._coordinates(U, roots)
        if self.assign_labels == "kmeans":
            return np.asarray(self._kmeans.predict(np.ascontiguousarray(points)), dtype=np.int32)
        return np.asarray(np.abs(points @ self._rotation).argmax(axis=1), dtype=np.int32)

    # -- parameters -------------------------------------------------------------------------

    def _check_parameters(self) -> None:
        self._check_method()
        for name, words in (
            ("normalisation", _NORMALISATIONS),
            ("assign_labels", _ASSIGNERS),
            ("negative", _NEGATIVE),
        ):
            if getattr(self, name) not in words:
                raise ParameterError(
                    f"{name}: expected one of {', '.join(map(repr, words))}, got {getattr(self, name)!r}"
                )
        if not is_whole(self.max_iter, 1):
            raise ParameterError(f"max_iter: expected a whole number at least 1, got {self.max_iter!r}")
        if not isinstance(self.tol, numbers.Real) or not math.isfinite(self.tol) or self.tol <= 0:
            raise ParameterError(f"tol: expected a finite number above 0, got {self.tol!r}")

    def _check_counts(self, n: int) -> tuple[int, int]:
        k = check_clusters(self.n_clusters, n)
        if self.n_components is None:
            return k, k
        if not is_whole(self.n_components, 1) or self.n_components > n:
            raise ParameterError(
                f"n_components: expected a whole number from 1 to the number of items, {n}, got {self.n_components!r}"
            )
        if self.assign_labels == "cluster_qr" and self.n_components != k:
            raise ParameterError(
                f"n_components: expected {k}, the number of clusters, with assign_labels='cluster_qr', got "
                f"{self.n_components!r}: leave it out, or take 'kmeans'"
            )
        return k, int(self.n_components)

    # -- the graph --------------------------------------------------------------------------

    def _graph(self, space: Any) -> _Graph:
        """Degrees, and what negative similarities call for."""
        self.clipped_ = 0.0
        if isinstance(space, StoredMatrix):
            negative = int((space.K < 0).sum())
            if negative and self.negative == "refuse":
                raise InputError(
                    f"kernel: expected similarities at least 0, got {negative} negative values, the smallest "
                    f"{float(space.K.min()):.3g}: take a kernel without them, or negative='clip'"
                )
            if negative:
                self.clipped_ = negative / space.K.size
                np.maximum(space.K, 0.0, out=space.K)
        elif isinstance(space, Products):
            some = np.linspace(0, self.n_samples_fit_ - 1, min(32, self.n_samples_fit_)).astype(int)
            self._refuse_negative(space.columns(some))
        degrees = space.times(np.ones((self.n_samples_fit_, 1)))[:, 0]
        if isinstance(space, FeatureMatrix):
            # of an approximation: an item is at least as similar to all as to itself
            degrees = np.maximum(degrees, space.diag)
            lost = int((degrees <= 0).sum())
            if lost:
                warnings.warn(
                    f"kernel: {lost} of {len(degrees)} items have no similarity to any centre, so their cluster is "
                    "arbitrary: take more centres, a wider kernel, or method='exact', to silence this",
                    KernregWarning,
                    stacklevel=3,
                )
            return _Graph(space, degrees, _inverse_roots(degrees), np.zeros(len(degrees)))
        alone = np.where(degrees > 0, 0.0, 1.0)
        return _Graph(space, degrees + alone, _inverse_roots(degrees + alone), alone)

    def _refuse_negative(self, values: np.ndarray) -> None:
        if values.size and float(values.min()) < 0:
            raise InputError(
                f"kernel: expected similarities at least 0 with method={self.method_!r}, which cannot clip them, got "
                f"{float(values.min()):.3g}: take a kernel without negative values, or method='exact'"
            )

    def _eigenvectors(self, graph: _Graph, q: int) -> Eigenpairs:
        """The `q` leading eigenpairs of D^-1/2 W D^-1/2."""
        n, space, roots = self.n_samples_fit_, graph.space, graph.roots
        if isinstance(space, FeatureMatrix):
            return self._from_features(space, roots, q)
        if isinstance(space, StoredMatrix):
            space.K *= roots[:, None]
            space.K *= roots
            space.K.flat[:: n + 1] += graph.alone
            if n < 400 or 20 * q > n:
                with blas_threads(n):
                    return dense_eigenpairs(space.K, q)

            def product(Q: np.ndarray) -> np.ndarray:
                return rows_times(Q, space.K)

        else:

            def product(Q: np.ndarray) -> np.ndarray:
                return np.ascontiguousarray((space.times((Q * roots).T) * roots[:, None]).T + Q * graph.alone)

        rng = check_random_state(self.random_state)
        start = rng.standard_normal((block_width(n, q, max(4, q)), n))
        tol, max_iter = float(self.tol), int(self.max_iter)
        # the threads of BLAS gain nothing on a stored matrix, see rows_times, and wait for each other
        with pinned_blas() if isinstance(space, StoredMatrix) else nullcontext():
            found = krylov_eigenpairs(product, start, q, tol=tol, max_iter=max_iter)
        if not found.converged and isinstance(space, StoredMatrix):
            return dense_eigenpairs(space.K, q)
        return found

    def _from_features(self, space: FeatureMatrix, roots: np.ndarray, q: int) -> Eigenpairs:
        """Of D^-1/2 F F^T D^-1/2, from the (r, r) matrix F^T D^-1 F."""
        scaled = space.F * roots[:, None]
        r = scaled.shape[1]
        if q > r:
            raise InputError(
                f"n_centers: the {self.n_centers_} centres span {r} dimensions, fewer than the {q} components that "
                "are asked for: take more centres, or, if the items have no more dimensions, fewer clusters"
            )
        with blas_threads(r):
            values, vectors = eigh(scaled.T @ scaled, subset_by_index=[r - q, r - 1])
        values, vectors = values[::-1].copy(), vectors[:, ::-1]
        safe = np.where(values > 0, values, 1.0)
        return Eigenpairs(values, scaled @ (vectors / np.sqrt(safe)), 1, True)

    def _tell(self, parts: Eigenpairs) -> None:
        if not parts.converged:
            warnings.warn(
                f"SpectralClustering: after {parts.n_iter} products the largest residual of the eigenvectors is "
                f"{parts.residual:.2g}, above tol={self.tol:g}: raise max_iter or tol",
                ConvergenceWarning,
                stacklevel=3,
            )
        zero = int(_zero(parts.values).sum())
        if zero:
            q = len(parts.values)
            warnings.warn(
                f"kernel: {zero} of the {q} leading eigenvalues of the normalised similarities are zero, so only "
                f"{q - zero} coordinates tell the items apart: a kernel of a higher rank on these items, or fewer "
                "clusters or components, silences this",
                KernregWarning,
                stacklevel=3,
            )

    # -- coordinates ------------------------------------------------------------------------

    def _extension(self, graph: _Graph, U: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Coefficients with which similarities to the training items, or centres, give degrees and eigenvectors."""
        zero = _zero(values)
        inverse = np.where(zero, 0.0, 1.0 / np.where(zero, 1.0, values))
        V = np.hstack([np.ones((len(U), 1)), U * graph.roots[:, None] * inverse])
        if isinstance(graph.space, FeatureMatrix):
            return np.asarray(graph.space.features.M @ (graph.space.F.T @ V))
        return V

    def _placed(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvectors at new items, and one over the root of their degrees."""
        if self.method_ == "exact":
            step = max(256, 2**23 // self.n_samples_fit_)
            blocks = [self._clipped(X[i : i + step]) @ self._directions for i in range(0, count(X), step)]
            found = np.concatenate(blocks)
        else:
            found = self._new_products(X, self._directions)
        roots = _inverse_roots(found[:, 0])
        return found[:, 1:] * roots[:, None], roots

    def _clipped(self, X: Any) -> np.ndarray:
        K = self._cross_gram(X)
        if self.negative == "refuse":
            self._refuse_negative(K)
        return np.maximum(K, 0.0)

    def _coordinates(self, U: np.ndarray, roots: np.ndarray) -> np.ndarray:
        """What is parted, from eigenvectors of the symmetric matrix."""
        if self.normalisation == "random_walk":
            return np.asarray(U * roots[:, None])
        lengths = np.linalg.norm(U, axis=1, keepdims=True)
        return np.asarray(U / np.where(lengths > 0, lengths, 1.0))

    def _assign(self, k: int) -> np.ndarray:
        for stale in ("_kmeans", "_rotation"):
            self.__dict__.pop(stale, None)
        points = np.ascontiguousarray(self.embedding_)
        if self.assign_labels == "kmeans":
            seed = check_random_state(self.random_state).randint(2**31 - 1)
            # of few points threads cost more than they give: they wait for each other
            calm = threadpool_limits(1, user_api="openmp") if points.size < _SMALL else nullcontext()
            with calm, warnings.catch_warnings():
                # fewer distinct points than clusters: seen in the labels
                warnings.simplefilter("ignore", ConvergenceWarning)
                self._kmeans = KMeans(k, n_init=10, random_state=seed).fit(points)
            return np.asarray(self._kmeans.labels_, dtype=np.int32)
        # as many items as clusters, far apart, and the rotation nearest to their coordinates
        _, pivots = qr(points.T, mode="r", pivoting=True, check_finite=False)
        left, _, right = np.linalg.svd(points[pivots[:k]].T)
        self._rotation = left @ right
        return np.asarray(np.abs(points @ self._rotation).argmax(axis=1), dtype=np.int32)


class _Graph(NamedTuple):
    """Similarities with their degrees."""

    space: Any
    degrees: np.ndarray
    roots: np.ndarray  #: 1 / sqrt(degree), 0 where that is 0
    alone: np.ndarray  #: 1 for an item without similarities, which gets one to itself


def _zero(values: np.ndarray) -> np.ndarray:
    """Which eigenvalues are zero to rounding, as seen from the first, which is 1."""
    return np.asarray(np.abs(values) <= 1e-12 * max(float(np.abs(values).max()), 1e-300))


def _inverse_roots(degrees: np.ndarray) -> np.ndarray:
    positive = degrees > 0
    return np.where(positive, 1.0 / np.sqrt(np.where(positive, degrees, 1.0)), 0.0)
