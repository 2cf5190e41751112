"""Cholesky factorisation in place, by blocks, in float32 or float64: as fast as LAPACK's, on threads of our own."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from scipy.linalg import lapack

from kernreg_core.threads import pinned_blas, run_parallel

_BLOCK = 256


class BlockFactor:
    """Lower Cholesky factor of K + alpha I in the memory of `K`'s strict lower triangle, on threads of our own.

    Blocks on the diagonal are kept apart, so that `K`'s upper triangle and diagonal stay as they are. In float32 row i
    of the factor takes the first half of the bytes left of its block. LAPACK's routine on the threads of OpenBLAS is
    no alternative for large matrices: with two threads it crashes above some 16,000 rows (OpenBLAS issue 2562; seen in
    version 0.3.30), and NumPy's and SciPy's OpenBLAS wait for each other's threads.

    Parameters
    ----------
    K : ndarray, shape (n, n), float64, C order
        Only the upper triangle is read; the strict lower one is overwritten.
    alpha : float
    dtype : dtype
        float32 or float64, of the factor.

    Attributes
    ----------
    complete : bool
        Whether the factor exists in that precision.
    """

    def __init__(self, K: np.ndarray, alpha: float, dtype: Any = np.float32) -> None:
        n = K.shape[0]
        self._dtype = np.dtype(dtype)
        self._L = K.view(self._dtype)  # in float32 it has twice the columns
        self._potrf: Any = lapack.get_lapack_funcs("potrf", dtype=self._dtype)
        self._trtrs: Any = lapack.get_lapack_funcs("trtrs", dtype=self._dtype)
        self._trtri: Any = lapack.get_lapack_funcs("trtri", dtype=self._dtype)
        self._blocks = [slice(s, min(s + _BLOCK, n)) for s in range(0, n, _BLOCK)]
        self._corners: list[np.ndarray] = []
        panel, product = np.empty(_BLOCK * n, self._dtype), np.empty(_BLOCK * n, self._dtype)
        with pinned_blas():
            self.complete = all(self._factor_columns(K, alpha, block, panel, product) for block in self._blocks)

    def _factor_columns(
        self, K: np.ndarray, alpha: float, block: slice, panel: np.ndarray, product: np.ndarray
    ) -> bool:
        """The columns `block` of the factor; False where the matrix is not positive definite in this precision."""
        L, s, e, n = self._L, block.start, block.stop, K.shape[0]
        rest = panel[: (n - s) * (e - s)].reshape(n - s, e - s)  # rows s to n of these columns
        parts = _parts(n - s)

        def update(part: slice) -> None:
            rows = slice(s + part.start, s + part.stop)
            with np.errstate(all="ignore"):  # what overflows shows as a corner that cannot be factored
                rest[part] = K[s:e, rows].T
                if part.start == 0:
                    rest.flat[: (e - s) ** 2 : e - s + 1] += self._dtype.type(alpha)
                if s:
                    out = product[part.start * (e - s) : part.stop * (e - s)].reshape(-1, e - s)
                    rest[part] -= np.matmul(L[rows, :s], L[s:e, :s].T, out=out)

        run_parallel(update, parts)
        corner, info = self._potrf(rest[: e - s].T, lower=0, clean=1)
        if info or not np.isfinite(corner).all():
            return False
        self._corners.append(corner)
        # a product with its inverse, because SciPy's triangular solver keeps other threads of this process waiting
        inverse = self._trtri(corner, lower=0)[0] if e < n else corner

        def finish(part: slice) -> None:
            below = slice(max(part.start, e - s), part.stop)
            if below.start < below.stop:
                # rows X of the factor: X R = rows of the panel, R the upper corner
                np.matmul(rest[below], inverse, out=L[s + below.start : s + below.stop, s:e])

        run_parallel(finish, parts)
        return True

    def put_corners(self) -> None:
        """Write the blocks on the diagonal into `K` as well (float64): its lower triangle is then the whole factor."""
        for block, corner in zip(self._blocks, self._corners, strict=True):
            below = np.tril_indices(len(corner))
            self._L[block, block][below] = corner.T[below]

    def solve(self, B: np.ndarray) -> np.ndarray:
        """(L L^T)^-1 B, shape (n, k), computed in the factor's precision."""
        L = self._L
        x = B.astype(self._dtype)
        pairs = list(zip(self._blocks, self._corners, strict=True))
        for block, corner in pairs:
            if block.start:
                x[block] -= L[block, : block.start] @ x[: block.start]
            x[block] = self._trtrs(corner, x[block], lower=0, trans=1)[0]
        for block, corner in reversed(pairs):
            x[block] = self._trtrs(corner, x[block], lower=0, trans=0)[0]
            if block.start:
                x[: block.start] -= L[block, : block.start].T @ x[block]
        return x.astype(np.float64)


def _parts(size: int, least: int = 256, most: int = 8) -> list[slice]:
    """`size` rows cut into equal parts, few enough for products at full speed; the same for any number of threads."""
    count = max(1, min(most, size // least))
    edges = [size * i // count for i in range(count + 1)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]
