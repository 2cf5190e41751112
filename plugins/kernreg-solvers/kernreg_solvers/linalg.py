"""Symmetric linear systems and eigenproblems of Gram matrices: in place, in float64, by LAPACK.

Nothing here knows about estimators or kernels.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import eigh, lapack

from kernreg_core.threads import num_threads, pinned_blas

_BLOCK = 256
#: Below this size threads cost more than they give: they wait for each other, the more so on a busy machine.
_SMALL = 400


def blas_threads(n: int) -> AbstractContextManager[None]:
    """A context for work on an (n, n) matrix: BLAS on one thread where `n` is small or KERNREG_NUM_THREADS says so."""
    return pinned_blas() if n < _SMALL or num_threads() == 1 else nullcontext()


class ShiftedSystem:
    """(K + alpha I) x = b, with K factored in its own memory.

    Cholesky in one triangle of `K`; where that fails (`K` + alpha I is not positive definite, or is
    singular to working precision) `K` is restored from its other triangle and an
    eigendecomposition gives the solution of least norm among those of least squares.

    Parameters
    ----------
    K : ndarray, shape (n, n), float64, C order, symmetric
        Overwritten.
    alpha : float

    Attributes
    ----------
    eigenvalues : ndarray, shape (n,), or None
        Of `K`, ascending, where Cholesky failed.
    rank : int
        Of K + alpha I, to working precision.
    """

    def __init__(self, K: np.ndarray, alpha: float) -> None:
        self.alpha = alpha
        self.rank = K.shape[0]
        self.eigenvalues: np.ndarray | None = None
        diagonal = K.diagonal().copy()
        K.flat[:: K.shape[0] + 1] += alpha
        norm = max(float(np.abs(K[:, i : i + _BLOCK]).sum(axis=0).max()) for i in range(0, K.shape[1], _BLOCK))
        # the upper triangle of K.T, which is Fortran-ordered, is the lower one of K
        self._factor, info = lapack.dpotrf(K.T, lower=0, clean=0, overwrite_a=1)
        if info == 0:
            rcond, _ = lapack.dpocon(self._factor, norm, uplo="U")
            if rcond >= np.finfo(np.float64).eps:
                return
        mirror_down(K)
        K.flat[:: K.shape[0] + 1] = diagonal
        self.eigenvalues, self._vectors = eigh(K.T, overwrite_a=True, check_finite=False)
        shifted = self.eigenvalues + alpha
        cutoff = K.shape[0] * np.finfo(np.float64).eps * max(float(np.abs(shifted).max()), np.finfo(np.float64).tiny)
        keep = np.abs(shifted) > cutoff
        self.rank = int(keep.sum())
        self._inverse = np.where(keep, 1.0 / np.where(keep, shifted, 1.0), 0.0)

    def solve(self, B: np.ndarray) -> np.ndarray:
        """x for each column of `B`, shape (n, k)."""
        if self.eigenvalues is None:
            return np.asarray(lapack.dpotrs(self._factor, B, lower=0)[0])
        return np.asarray(self._vectors @ (self._inverse[:, None] * (self._vectors.T @ B)))

    def null_part(self, b: np.ndarray) -> np.ndarray | None:
        """What of the vector `b` K + alpha I maps to zero; None where that is nothing."""
        if self.rank == len(b):
            return None
        range_of = self._vectors[:, self._inverse != 0]
        part = b - range_of @ (range_of.T @ b)
        return part if np.linalg.norm(part) > 1e-8 * np.linalg.norm(b) else None


def mirror_down(K: np.ndarray) -> None:
    """Copy the strict upper triangle of `K` into its lower one, by blocks, leaving the diagonal."""
    n = K.shape[0]
    for start in range(0, n, _BLOCK):
        stop = min(start + _BLOCK, n)
        corner = K[start:stop, start:stop]
        lower = np.tril_indices(stop - start, -1)
        corner[lower] = corner.T[lower]
        K[stop:, start:stop] = K[start:stop, stop:].T


def centre_in_place(K: np.ndarray) -> tuple[np.ndarray, float]:
    """H K H with H = I - 11^T/n, in `K`'s memory; returns the row means and the mean of all.

    Parameters
    ----------
    K : ndarray, shape (n, n), symmetric
    """
    means = K.mean(axis=1)
    total = float(means.mean())
    # one symmetric expression for both triangles: (a + b) is exactly (b + a)
    for start in range(0, K.shape[0], _BLOCK):
        rows = slice(start, start + _BLOCK)
        K[rows] -= (means[rows, None] + means[None, :]) - total
    return means, total


class Eigenpairs(NamedTuple):
    """The largest eigenvalues, descending, (q,), their vectors, (n, q), and how they were found."""

    values: np.ndarray
    vectors: np.ndarray
    n_iter: int
    converged: bool


def dense_eigenpairs(K: np.ndarray, q: int) -> Eigenpairs:
    """The `q` largest eigenpairs of the symmetric `K` by a full reduction; overwrites `K`."""
    n = K.shape[0]
    if q == n:
        values, vectors = eigh(K.T, overwrite_a=True, check_finite=False, driver="evd")
    else:
        values, vectors = eigh(K.T, overwrite_a=True, check_finite=False, subset_by_index=[n - q, n - 1])
    return Eigenpairs(values[::-1].copy(), np.ascontiguousarray(vectors[:, ::-1]), 1, True)


def subspace_eigenpairs(K: np.ndarray, q: int, *, tol: float, max_iter: int, rng: Any) -> Eigenpairs:
    """The `q` largest (algebraic) eigenpairs by a block Krylov subspace with thick restarts.

    Each step multiplies `K` by the residuals of the pairs that have not converged and takes the
    best pairs of the enlarged subspace (Rayleigh-Ritz). A block costs one pass over `K`, like a
    single vector. `K` is only read.

    Parameters
    ----------
    K : ndarray, shape (n, n), symmetric
    q : int
        Much smaller than n.
    tol : float
        A pair has converged when |K u - l u| <= tol * max |l|.
    max_iter : int
        Products of `K` with a block.
    rng : numpy.random.RandomState
        Draws the first block.

    References
    ----------
    .. [1] C. Musco and C. Musco, "Randomized block Krylov methods for stronger and faster
       approximate singular value decomposition", NeurIPS 2015.
    """
    n = K.shape[0]
    size = min(n, q + max(4, q // 4))
    limit = min(n, max(12 * size, 160))
    basis = np.empty((n, limit), order="F")
    image = np.empty((n, limit), order="F")
    small = np.zeros((limit, limit))
    block = np.linalg.qr(rng.standard_normal((n, size)))[0]
    used, taken = 0, 0
    values, vectors, converged = np.zeros(q), np.zeros((n, q)), False
    while taken < max_iter:
        taken += 1
        width = block.shape[1]
        fresh = slice(used, used + width)
        used += width
        basis[:, fresh] = block
        image[:, fresh] = (basis[:, fresh].T @ K).T  # K is symmetric, and rows times K is the faster product
        Q, W = basis[:, :used], image[:, :used]
        small[:used, fresh] = Q.T @ image[:, fresh]
        small[fresh, :used] = small[:used, fresh].T
        theta, Y = np.linalg.eigh(small[:used, :used])
        theta, Y = theta[::-1], Y[:, ::-1]
        top = min(size, used)
        ritz, ritz_image = Q @ Y[:, :top], W @ Y[:, :top]
        residual = ritz_image - ritz * theta[:top]
        open_pairs = np.linalg.norm(residual, axis=0) > tol * max(abs(theta[0]), abs(theta[-1]))
        values, vectors = theta[:q], ritz[:, :q]
        converged = not open_pairs[:q].any()
        if converged:
            break
        if used + size > limit:
            # thick restart: what is known of the leading pairs is kept
            basis[:, :top], image[:, :top] = ritz, ritz_image
            small[:top, :top] = np.diag(theta[:top])
            used = top
        block = _orthogonal_to(basis[:, :used], residual[:, open_pairs])
        if block.shape[1] == 0:
            break  # an invariant subspace: no residual is left above rounding
    return Eigenpairs(values, vectors, taken, bool(converged))


def _orthogonal_to(Q: np.ndarray, block: np.ndarray) -> np.ndarray:
    """An orthonormal basis of what `block` adds to the span of `Q`; columns that add nothing are dropped."""
    block = block / np.maximum(np.linalg.norm(block, axis=0), np.finfo(np.float64).tiny)
    for _ in range(2):  # twice is enough: the second pass removes what rounding left
        block = block - Q @ (Q.T @ block)
    left, strength, _ = np.linalg.svd(block, full_matrices=False)
    kept = left[:, strength > 1e-10]
    kept = kept - Q @ (Q.T @ kept)
    return np.linalg.qr(kept)[0]


def fix_signs(vectors: np.ndarray) -> np.ndarray:
    """Each column with its entry of largest magnitude made positive, in place: signs are arbitrary otherwise."""
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.sign(vectors[largest, np.arange(vectors.shape[1])])
    vectors *= np.where(signs == 0, 1.0, signs)
    return vectors
