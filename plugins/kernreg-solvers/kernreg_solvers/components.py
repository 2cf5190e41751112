"""How kernel PCA finds its components: from a Gram matrix, from products with it, or from centres.

Each way gives :class:`Components`; nothing here knows about estimators.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import eigh

import kernreg_core as kr
from kernreg_core.arrays import is_prepared, length
from kernreg_core.errors import InputError
from kernreg_core.threads import pinned_blas

from .centers import take
from .gram_product import GramProduct, diagonal
from .krylov import krylov_eigenpairs
from .linalg import Eigenpairs, blas_threads, centre_in_place, dense_eigenpairs, rows_times
from .mixin import as_numpy
from .nystrom_features import NystromFeatures, not_finite, precision
from .operator import KernelOperator

#: Items in the small problem whose solution starts an iteration.
_COARSE_DENSE, _COARSE = 300, 1000
#: The mean of the Gram matrix may be this large, in units of its centred trace over n, for products to be centred
#: instead of the matrix: rounding grows with it.
_LARGE_MEAN = 10.0
#: Nystrom features of a higher rank are not multiplied out for a few components.
_MULTIPLIED = 1024
#: Relative residual that products of float32 items reach.
FLOAT32_TOL = 5e-6


@dataclass
class Components:
    """The leading eigenpairs of the centred operator.

    Attributes
    ----------
    found : Eigenpairs
        Of H K H; with centres, of the covariance of their features.
    trace : float
        Sum of all eigenvalues.
    means : ndarray, shape (n,)
        Row means of K; with centres, the mean feature.
    mean : float
        Of K.
    """

    found: Eigenpairs
    trace: float
    means: np.ndarray
    mean: float = 0.0


class CentredProduct:
    """Q -> Q H K H for rows Q, from V -> K V; the row means of K come with the first product.

    Parameters
    ----------
    times : GramProduct
        ``times(V)`` is K V for V of shape (n, b).

    Raises
    ------
    InputError
        When called, if the products are not finite.
    """

    def __init__(self, times: GramProduct) -> None:
        self._times, self._kernel = times, times.kernel
        self.means: np.ndarray | None = None

    def __call__(self, Q: np.ndarray) -> np.ndarray:
        """The images of the rows of `Q`, shape (b, n), of its dtype."""
        Q = Q - Q.mean(axis=1, dtype=np.float64)[:, None].astype(Q.dtype)
        if self.means is None:
            ones = np.full((1, Q.shape[1]), 1.0 / Q.shape[1], Q.dtype)
            images = self._times(np.concatenate([Q, ones]).T).T
            self.means, images = images[-1].astype(np.float64), images[:-1]
        else:
            images = self._times(Q.T).T
        images = np.ascontiguousarray(images, dtype=np.float64)
        if not np.isfinite(images).all():
            raise not_finite(self._kernel)
        images -= images.mean(axis=1)[:, None]
        return images.astype(Q.dtype, copy=False)


def block_width(n: int, q: int, extra: int) -> int:
    """Vectors of a block for `q` pairs: a few more converge faster."""
    return min(n, q + max(2, extra))


def coarse_block(corner: np.ndarray, width: int, rng: np.random.RandomState) -> np.ndarray:
    """Rows (width, m) near the leading eigenvectors of a centred small Gram matrix (m, m), each summing to zero."""
    block = rng.standard_normal((width, corner.shape[0]))
    for _ in range(3):
        block -= block.mean(axis=1)[:, None]
        block = np.linalg.qr((block @ corner).T)[0].T
    return np.asarray(block - block.mean(axis=1)[:, None])


def from_gram(
    K: np.ndarray, q: int, solver: str, *, tol: float, max_iter: int, rng: np.random.RandomState
) -> Components:
    """By a full reduction ('dense') or by a Krylov subspace ('subspace'); `K` is overwritten."""
    if solver == "dense":
        with np.errstate(over="ignore", invalid="ignore"):
            means, mean = centre_in_place(K)
        _check_means(means)
        trace = float(np.trace(K))
        return Components(dense_eigenpairs(K, q), trace, means, mean)
    with pinned_blas():  # its threads gain nothing here, see rows_times, and wait for each other
        return _from_subspace(K, q, tol, max_iter, rng)


def _check_means(means: np.ndarray) -> None:
    if not np.isfinite(means).all():
        raise InputError("X: sums of kernel values are beyond float64: divide the kernel, or the matrix, by a constant")


def _from_subspace(K: np.ndarray, q: int, tol: float, max_iter: int, rng: np.random.RandomState) -> Components:
    n = K.shape[0]
    with np.errstate(over="ignore", invalid="ignore"):
        means = K.mean(axis=1)
    _check_means(means)
    mean = float(means.mean())
    trace = float(np.trace(K)) - n * mean
    if n * abs(mean) > _LARGE_MEAN * abs(trace):
        centre_in_place(K)
    width = block_width(n, q, q // 5)
    chosen = np.sort(rng.choice(n, min(n, max(_COARSE_DENSE, 2 * width)), replace=False))
    rows = K[chosen]
    start = coarse_block(rows[:, chosen], min(width, len(chosen)), rng) @ rows

    def product(Q: np.ndarray) -> np.ndarray:
        # K is symmetric, and rows times K is the faster product
        images = rows_times(Q - Q.mean(axis=1)[:, None], K)
        images -= images.mean(axis=1)[:, None]
        return images

    found = krylov_eigenpairs(product, start - start.mean(axis=1)[:, None], q, tol=tol, max_iter=max_iter)
    return Components(found, trace, means, mean)


def from_products(kernel: Any, X: Any, q: int, *, tol: float, max_iter: int, rng: np.random.RandomState) -> Components:
    """By a Krylov subspace from products with k(X, X), which is never formed."""
    gram = GramProduct(kernel, X)
    sizes = diagonal(kernel, X)
    n = length(X)
    width = block_width(n, q, max(4, q))
    start, largest = _coarse_start(kernel, X, width, rng)
    # products and their sums have to stay within float32
    narrow = gram.rough() if 1e-12 < max(largest, float(np.abs(sizes).max())) < 1e12 else None
    exact = CentredProduct(gram)
    rough = None if narrow is None else CentredProduct(narrow)
    # the basis stays below 512 MB, or at three blocks
    limit = max(3 * width, min(160 + width, 2**29 // (8 * n)))
    if precision(X) > 1e-10:
        tol = max(tol, FLOAT32_TOL)
    # what overflows is seen in the products, which have threads of their own: BLAS's would spin on beside them
    with np.errstate(over="ignore", invalid="ignore"), pinned_blas():
        try:
            found = krylov_eigenpairs(exact, start, q, tol=tol, max_iter=max_iter, limit=limit, rough=rough)
        except InputError:
            if rough is None:
                raise
            rough = None  # what float32 does not hold float64 may
            found = krylov_eigenpairs(exact, start, q, tol=tol, max_iter=max_iter, limit=limit)
    means = exact.means if exact.means is not None or rough is None else rough.means
    assert means is not None  # there was a product
    mean = float(means.mean())
    return Components(found, float(sizes.sum()) - n * mean, means, mean)


def _coarse_start(kernel: Any, X: Any, width: int, rng: np.random.RandomState) -> tuple[np.ndarray, float]:
    """Rows (width, n) near the leading eigenvectors, from a few of the items, and these items' largest value."""
    n = length(X)
    if is_prepared(X):  # what prepare gave can be cut, and nothing picked from it
        return rng.standard_normal((width, n)), 0.0
    Z = take(X, np.sort(rng.choice(n, min(n, max(_COARSE, 2 * width)), replace=False)))
    corner = np.asarray(as_numpy(kr.gram(kernel, Z, progress=False)), dtype=np.float64)
    if not np.isfinite(corner).all():
        raise not_finite(kernel)
    largest = float(np.abs(corner).max())
    block = coarse_block(corner, width, rng)
    start = np.ascontiguousarray(KernelOperator(kernel, X, Z).times(block.T).T)
    return start - start.mean(axis=1)[:, None], largest


def from_centers(
    features: NystromFeatures, X: Any, q: int, *, tol: float, max_iter: int, rng: np.random.RandomState
) -> Components:
    """By the covariance of Nystrom features: multiplied out, or from products for a few components of many centres."""
    n, r = features.operator(X).shape[0], features.rank
    q = min(q, r)
    total = float(diagonal(features.kernel, X).sum())
    if r > _MULTIPLIED and 8 * q <= r:
        operator = features.operator(X)
        mean = features.M.T @ operator.adjoint(np.ones(n)) / n

        def product(Q: np.ndarray) -> np.ndarray:
            images = features.M.T @ operator.normal(features.M @ Q.T)
            return np.ascontiguousarray((images - np.outer(mean, n * (mean @ Q.T))).T)

        start = rng.standard_normal((block_width(r, q, max(4, q)), r))
        found = krylov_eigenpairs(product, start, q, tol=tol, max_iter=max_iter)
    else:
        second, first = features.moments(X)
        mean = first[:, 0] / n
        second -= n * np.outer(mean, mean)
        with blas_threads(r):
            values, vectors = eigh(second, overwrite_a=True, check_finite=False, subset_by_index=[r - q, r - 1])
        found = Eigenpairs(values[::-1].copy(), vectors[:, ::-1].copy(), 1, True)
    return Components(found, total - n * float(mean @ mean), mean, float(mean @ mean))
