"""Symmetric linear systems and eigenproblems of Gram matrices: in place, in float64, by LAPACK.

Nothing here knows about estimators or kernels.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np
from scipy.linalg import eigh, lapack

from kernreg_core.threads import num_threads, pinned_blas, run_parallel

from .blocked import BlockFactor

_BLOCK = 256
#: Below this size threads cost more than they give: they wait for each other, the more so on a busy machine.
_SMALL = 400
#: Above this size LAPACK's Cholesky factorisation is not left to several BLAS threads.
_LARGE = 8192
#: Above this size nothing of LAPACK is: it crashes from some 16,000 rows on.
_CRASHES = 15_000
#: Multiplications below which a product is not spread over threads.
_WORK = 1 << 22


def blas_threads(n: int) -> AbstractContextManager[None]:
    """A context for work on an (n, n) matrix: BLAS on one thread where `n` is small or KERNREG_NUM_THREADS says so.

    Also where LAPACK's factorisation on several would crash, see :class:`~kernreg_solvers.blocked.BlockFactor`.
    """
    return pinned_blas() if n < _SMALL or n > _CRASHES or num_threads() == 1 else nullcontext()


def rows_times(Q: np.ndarray, K: np.ndarray) -> np.ndarray:
    """Q K for a few rows `Q`, (b, n), and a large `K`, (n, m): parts of the columns on threads of our own.

    BLAS's threads gain nothing on a matrix with so few rows.
    """
    m, threads = K.shape[1], num_threads()
    if threads == 1 or Q.shape[0] * K.size < _WORK:
        return np.asarray(Q @ K)
    out = np.empty((Q.shape[0], m), np.result_type(Q, K))
    step = -(-m // (2 * threads))

    def part(start: int) -> None:
        np.matmul(Q, K[:, start : start + step], out=out[:, start : start + step])

    run_parallel(part, range(0, m, step))
    return out


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
    definite : bool
        Whether `K` is known to be positive semi-definite up to rounding: then an `alpha` above rounding says that
        nothing is singular, and the condition number is not estimated (an eighth of the time of a factorisation).

    Attributes
    ----------
    eigenvalues : ndarray, shape (n,), or None
        Of `K`, ascending, where Cholesky failed.
    rank : int
        Of K + alpha I, to working precision.
    """

    def __init__(self, K: np.ndarray, alpha: float, definite: bool = False) -> None:
        self.alpha = alpha
        self.rank = K.shape[0]
        self.eigenvalues: np.ndarray | None = None
        diagonal = K.diagonal().copy()
        K.flat[:: K.shape[0] + 1] += alpha
        regular = definite and alpha > len(K) * np.finfo(np.float64).eps * float(diagonal.sum())
        norm = 1.0 if regular else _one_norm(K)
        self._factor, info = cholesky_in_place(K)
        if info == 0 and (regular or lapack.dpocon(self._factor, norm, uplo="U")[0] >= np.finfo(np.float64).eps):
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


def cholesky_in_place(K: np.ndarray) -> tuple[np.ndarray, int]:
    """LAPACK's upper factor of K.T in the lower triangle of `K`, and its ``info``: 0 where there is one.

    The strict upper triangle of `K` (C order) stays. On several threads large matrices are factored by
    :class:`~kernreg_solvers.blocked.BlockFactor`, which says why; 16,000 rows would do, half of that is safe.
    """
    if len(K) > _LARGE and num_threads() > 1:
        factor = BlockFactor(K, 0.0, np.float64)
        if not factor.complete:
            return K.T, 1
        factor.put_corners()
        return K.T, 0
    # the upper triangle of K.T, which is Fortran-ordered, is the lower one of K
    found, info = lapack.dpotrf(K.T, lower=0, clean=0, overwrite_a=1)
    return np.asarray(found), int(info)


def _one_norm(K: np.ndarray) -> float:
    """The largest sum of magnitudes of a column, block by block."""
    return max(float(np.abs(K[:, i : i + _BLOCK]).sum(axis=0).max()) for i in range(0, K.shape[1], _BLOCK))


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
    residual: float = 0.0  #: of the worst pair, relative to the largest value; 0 for a full reduction


def dense_eigenpairs(K: np.ndarray, q: int) -> Eigenpairs:
    """The `q` largest eigenpairs of the symmetric `K` by a full reduction; overwrites `K`."""
    n = K.shape[0]
    if q == n:
        values, vectors = eigh(K.T, overwrite_a=True, check_finite=False, driver="evd")
    else:
        values, vectors = eigh(K.T, overwrite_a=True, check_finite=False, subset_by_index=[n - q, n - 1])
    return Eigenpairs(values[::-1].copy(), np.ascontiguousarray(vectors[:, ::-1]), 1, True)


def fix_signs(vectors: np.ndarray) -> np.ndarray:
    """Each column with its entry of largest magnitude made positive, in place: signs are arbitrary otherwise."""
    largest = np.abs(vectors).argmax(axis=0)
    signs = np.sign(vectors[largest, np.arange(vectors.shape[1])])
    vectors *= np.where(signs == 0, 1.0, signs)
    return vectors


class Factor(NamedTuple):
    """L with L L^T = K + jitter I, lower triangular in Fortran order, and the jitter."""

    L: np.ndarray
    jitter: float


def psd_cholesky(K: np.ndarray, *, most: float = 1e-6) -> Factor | None:
    """Cholesky factor of a positive semi-definite `K`, with the least of a few jitters that makes it possible.

    Parameters
    ----------
    K : ndarray, shape (n, n), float64, symmetric
        Its memory is not changed.
    most : float
        Largest jitter, as a fraction of the mean diagonal entry; what needs more is no rounded positive
        semi-definite matrix.

    Returns
    -------
    Factor or None
        None where `most` was not enough.
    """
    n = K.shape[0]
    scale = max(float(np.trace(K)) / n, np.finfo(np.float64).tiny)
    fraction = 0.0
    while fraction <= most:
        A = np.array(K, order="F")
        A.flat[:: n + 1] += fraction * scale
        with blas_threads(n):
            L, info = lapack.dpotrf(A, lower=1, clean=1, overwrite_a=1)
        # a pivot that is all rounding makes a factor of no use
        if info == 0 and float(np.diagonal(L).min()) ** 2 > n * np.finfo(np.float64).eps * scale * 0.5:
            return Factor(np.asarray(L), fraction * scale)
        fraction = max(10.0 * fraction, n * float(np.finfo(np.float64).eps))
    return None
