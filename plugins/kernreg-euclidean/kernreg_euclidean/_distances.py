"""Squared distances by the product formula, with its rounding error under control (NumPy).

``|x - y|^2 = |x|^2 + |y|^2 - 2 x.y`` is one matrix product, but its error is of the size
``eps (|x|^2 + |y|^2)`` however close x and y are. So the data is centred, and every tile is checked:
where that error could be seen in the kernel's value, given its slope there, or the distance itself
is lost in it (near-coincident pairs), the distance is computed again by difference, pair by pair;
where that concerns many pairs, the whole tile is computed at the next level:

float32 product -> float64 product -> float64 differences.

Of few features, float32 differences cost less than looking at every tile: they are taken where the rounding
of the scaled data itself cannot be seen in the kernel, and float64 products elsewhere.
"""

from __future__ import annotations

import math
import threading
from functools import cached_property
from typing import Any

import numpy as np

from kernreg_core.arrays import is_sparse

from ._rounding import Level, Slope, differences_do
from ._sparse import SparseProduct
from ._tiles import STRIP, Scratch

#: Tiles with more unresolved pairs than one in this many go to the next level as a whole.
FEW = 48

#: Up to this many features float32 differences cost less than a product and its check.
FEW_FEATURES = 4

#: Up to this many differences (n m d) they are simply formed: faster than preparing a product, and exact.
SMALL = 1 << 16


class DenseRows:
    """Rows of two arrays, ready for scaled squared distances ``s = sum_k (x_k - y_k)^2 / l_k^2``.

    Parameters
    ----------
    X, Y : ndarray, shapes (n, d) and (m, d)
        float32 or float64.
    lengthscale : float or ndarray of shape (d,)
    factor : float
        Tiles are filled with ``factor * s``.
    """

    def __init__(self, X: np.ndarray, Y: np.ndarray, lengthscale: Any, factor: float) -> None:
        self.X, self.Y, self.factor = X, Y, factor
        self.same = Y is X
        self.shape = (X.shape[0], Y.shape[0])
        self.prepare = None
        self.lengthscale = lengthscale
        self.d = X.shape[1]
        self._lock = threading.Lock()
        self._factors: dict[Any, tuple[np.ndarray, np.ndarray]] = {}
        self._mean = X.mean(axis=0, dtype=np.float64)
        self._scale = math.sqrt(2.0 * abs(factor)) / np.asarray(lengthscale, np.float64)

    @cached_property
    def norms(self) -> tuple[np.ndarray, np.ndarray]:
        """|x|^2 and |y|^2, centred and scaled so that they are in units of s."""
        hx = self._squared(self._scaled(self.X))
        return hx, hx if self.same else self._squared(self._scaled(self.Y))

    def _scaled(self, X: np.ndarray) -> np.ndarray:
        Z = np.subtract(X, self._mean, dtype=np.float64)
        return np.multiply(Z, self._scale, out=Z)

    def _squared(self, Z: np.ndarray) -> np.ndarray:
        return _row_norms(Z) / (2.0 * abs(self.factor))

    def _operands(self, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
        """The two factors of the product, the norms folded in as two more columns."""
        with self._lock:
            if dtype not in self._factors:
                self._factors[dtype] = self._make_operands(dtype)
            return self._factors[dtype]

    def _make_operands(self, dtype: Any) -> tuple[np.ndarray, np.ndarray]:
        d, sign = self.d, math.copysign(1.0, self.factor)
        A = np.empty((self.X.shape[0], d + 2), dtype)
        B = np.empty((d + 2, self.Y.shape[0]), dtype)
        Z = self._scaled(self.X).astype(dtype, copy=False)
        W = Z if self.same else self._scaled(self.Y).astype(dtype, copy=False)
        # norms of the rounded rows: the formula then holds for points that are slightly displaced
        np.multiply(Z, -sign, out=A[:, :d], casting="same_kind")
        B[:d] = W.T
        hz = 0.5 * sign * _row_norms(Z)
        A[:, d], A[:, d + 1] = hz, 1.0
        B[d], B[d + 1] = 1.0, hz if self.same else 0.5 * sign * _row_norms(W)
        return A, B

    def product(self, rows: slice, cols: slice, tile: np.ndarray) -> None:
        """``tile = factor * s`` by the product formula, in the tile's precision."""
        A, B = self._operands(tile.dtype)
        np.matmul(A[rows], B[:, cols], out=tile)

    @cached_property
    def _features(self) -> tuple[np.ndarray, np.ndarray]:
        """Factors (d, n, 2) and (d, 2, m) of the differences of each feature of the scaled data, in float32.

        ``[x, 1] [1, -y]^T`` is x - y to the last bit, and twice as fast as subtracting a row from a column.
        """
        A = np.ones((self.d, self.X.shape[0], 2), np.float32)
        B = np.ones((self.d, 2, self.Y.shape[0]), np.float32)
        A[:, :, 0] = self._scaled(self.X).T
        B[:, 1] = -A[:, :, 0] if self.same else -self._scaled(self.Y).T
        return A, B

    def by_feature(self, rows: slice, cols: slice, tile: np.ndarray, scratch: Scratch) -> None:
        """``tile = factor * s`` by difference in float32, one feature after the other."""
        A, B = self._features
        D = scratch.get("difference", tile.shape, tile.dtype)
        for k in range(self.d):
            np.matmul(A[k, rows], B[k, :, cols], out=D)
            if k == 0:
                np.multiply(D, D, out=tile)
            else:
                np.multiply(D, D, out=D)
                np.add(tile, D, out=tile)
        # the data is scaled by the root of twice the factor, for the product's sake
        np.multiply(tile, math.copysign(0.5, self.factor), out=tile)

    def pairs(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """S of the pairs (X[i], Y[j]), by difference in float64."""
        s = np.empty(len(i))
        step = max(1, (1 << 16) // self.d)
        for first in range(0, len(i), step):
            part = slice(first, first + step)
            D = np.subtract(self.X[i[part]], self.Y[j[part]], dtype=np.float64)
            D /= self.lengthscale
            np.einsum("ij,ij->i", D, D, out=s[part])
        return s

    @cached_property
    def _wide(self) -> tuple[np.ndarray, np.ndarray]:
        X = self.X.astype(np.float64, copy=False)
        return X, X if self.same else self.Y.astype(np.float64, copy=False)

    def differences(self, rows: slice, cols: slice, tile: np.ndarray) -> None:
        """``tile = factor * s`` by difference, in float64."""
        from scipy.spatial.distance import cdist

        if not tile.flags.c_contiguous:  # cdist writes nothing else
            block = np.empty(tile.shape)
            self.differences(rows, cols, block)
            tile[...] = block
            return
        X, Y = self._wide
        if np.ndim(self.lengthscale):
            cdist(X[rows], Y[cols], "sqeuclidean", out=tile, w=np.asarray(self.lengthscale, np.float64) ** -2.0)
            tile *= self.factor
        else:
            cdist(X[rows], Y[cols], "sqeuclidean", out=tile)
            tile *= self.factor / self.lengthscale**2


def _row_norms(Z: np.ndarray) -> np.ndarray:
    wide = Z.astype(np.float64, copy=False)
    return np.einsum("ij,ij->i", wide, wide)


class SparseRows:
    """As :class:`DenseRows` for scipy CSR rows: not centred, always in float64.

    Centring would fill the zeros; the check of every tile catches what that costs.
    """

    def __init__(self, X: Any, Y: Any, lengthscale: Any, factor: float) -> None:
        import scipy.sparse as sp

        self.factor, self.d = factor, X.shape[1]
        self.same = Y is X
        inverse = 1.0 / np.asarray(lengthscale, np.float64)
        wide = [sp.csr_array(A, dtype=np.float64) for A in ((X,) if self.same else (X, Y))]
        scaled = [sp.csr_array(A.multiply(np.atleast_2d(inverse))) for A in wide]
        self.X, self.Y = scaled[0], scaled[-1]
        self.shape = (X.shape[0], Y.shape[0])
        self._inner = SparseProduct(self.X, self.Y)
        self.prepare = self._inner.prepare
        self.norms = tuple(np.asarray(A.multiply(A).sum(axis=1)).ravel() for A in (self.X, self.Y))

    def product(self, rows: slice, cols: slice, tile: np.ndarray) -> None:
        """``tile = factor * s`` by the product formula, in float64."""
        hx, hy = self.norms
        self._inner(rows, cols, tile)
        tile *= -2.0
        tile += hx[rows, None]
        tile += hy[cols]
        tile *= self.factor

    def pairs(self, i: np.ndarray, j: np.ndarray) -> np.ndarray:
        """S of the pairs (X[i], Y[j]), by difference."""
        step = 4096
        parts = []
        for first in range(0, len(i), step):
            D = self.X[i[first : first + step]] - self.Y[j[first : first + step]]
            parts.append(np.asarray(D.multiply(D).sum(axis=1)).ravel())
        return np.concatenate(parts)

    def differences(self, rows: slice, cols: slice, tile: np.ndarray) -> None:
        """``tile = factor * s`` by difference."""
        i, j = np.divmod(np.arange(tile.size), tile.shape[1])
        tile[...] = (self.factor * self.pairs(i + rows.start, j + cols.start)).reshape(tile.shape)


def make_rows(X: Any, Y: Any, lengthscale: Any, factor: float) -> DenseRows | SparseRows:
    """The rows of `X` and `Y`, dense or (where either is sparse) sparse."""
    if is_sparse(X) or is_sparse(Y):
        return SparseRows(X, Y, lengthscale, factor)
    return DenseRows(X, Y, lengthscale, factor)


class DistanceTiles:
    """Fills tiles with ``factor * s``, right to the tolerance of the output's dtype.

    Parameters
    ----------
    rows : DenseRows or SparseRows
    slope : callable
        ``|dk/ds|`` of the kernel that the distances are for.
    dtype : dtype
        float32 or float64, of the output.
    """

    def __init__(self, rows: DenseRows | SparseRows, slope: Slope, dtype: Any) -> None:
        self._rows = rows
        self._dtype = np.dtype(dtype)
        self._small = isinstance(rows, DenseRows) and rows.X.size * rows.Y.shape[0] <= SMALL
        # distances beyond it overflow, and infinity times the zero it becomes would be NaN
        self._farthest = 1e37 if self._dtype == np.float32 else 1e300
        #: no distance s is larger
        self.farthest = math.inf
        if self._small:
            return
        hx, hy = rows.norms
        self._narrow = self._dtype == np.float32 and isinstance(rows, DenseRows)
        self._levels: dict[Any, Level] = {}
        self._slope = slope
        self._overflows = not abs(rows.factor) * 4.0 * float(max(hx.max(), hy.max())) < self._farthest
        few = self._narrow and rows.d <= FEW_FEATURES
        self._by_feature = few and not self._overflows and differences_do(slope, hx, hy, self._dtype)
        self._narrow = self._narrow and not few
        self._level(np.dtype(np.float32 if self._narrow else np.float64))
        self.farthest = 1.01 * (math.sqrt(float(hx.max())) + math.sqrt(float(hy.max()))) ** 2

    def _level(self, product: np.dtype[Any]) -> Level:
        """Thresholds for products in that precision; two threads may both make them, which does no harm."""
        found = self._levels.get(product)
        if found is None:
            hx, hy = self._rows.norms
            found = self._levels[product] = Level(self._slope, product, self._dtype, self._rows.d, hx, hy)
        return found

    def fill(self, rows: slice, cols: slice, tile: np.ndarray, scratch: Scratch) -> float:
        """Fill `tile` and return a lower bound of the distances s in it (the diagonal left out).

        On the diagonal the tile holds an arbitrary distance that is far from every threshold: the
        caller overwrites the kernel's value there.
        """
        if self._small and isinstance(self._rows, DenseRows):
            return self._directly(self._rows, rows, cols, tile)
        if self._by_feature and isinstance(self._rows, DenseRows):
            self._rows.by_feature(rows, cols, tile, scratch)
            return 0.0  # a pass over the values, which is what a bound would cost
        if self._narrow:
            nearest = self._attempt(rows, cols, tile, scratch, final=False)
            if nearest is not None:
                return nearest
        if tile.dtype == np.float64:
            return self._exact(rows, cols, tile, scratch)
        return self._in_float64(rows, cols, tile, scratch)

    def _directly(self, rows: DenseRows, r: slice, c: slice, tile: np.ndarray) -> float:
        """By difference, all pairs at once."""
        D = np.subtract(rows.X[r, None, :], rows.Y[None, c, :], dtype=np.float64)
        D /= rows.lengthscale
        s = np.einsum("ijk,ijk->ij", D, D)
        np.minimum(s, self._farthest / abs(rows.factor), out=s)
        np.multiply(s, rows.factor, out=tile, casting="same_kind")
        return 0.0

    def _in_float64(self, rows: slice, cols: slice, tile: np.ndarray, scratch: Scratch) -> float:
        """Fill a float32 `tile` by float64 strips that stay in cache."""
        nearest = math.inf
        for first in range(0, tile.shape[1], STRIP):
            strip = tile[:, first : first + STRIP]
            part = slice(cols.start + first, cols.start + first + strip.shape[1])
            wide = scratch.get("wide", strip.shape, np.float64)
            nearest = min(nearest, self._exact(rows, part, wide, scratch))
            np.copyto(strip, wide, casting="same_kind")
        return nearest

    def _exact(self, rows: slice, cols: slice, tile: np.ndarray, scratch: Scratch) -> float:
        nearest = self._attempt(rows, cols, tile, scratch, final=True)
        return 0.0 if nearest is None else nearest

    def _attempt(self, rows: slice, cols: slice, tile: np.ndarray, scratch: Scratch, *, final: bool) -> float | None:
        """One level: the product, then what it could not resolve. None where the next level must do."""
        factor = self._rows.factor
        self._rows.product(rows, cols, tile)
        self._limit(tile)
        self._hide_diagonal(rows, cols, tile)
        by_row = (tile.max(axis=1) if factor < 0 else tile.min(axis=1)) / factor
        level = self._level(tile.dtype)
        # not "less than", so that NaN, which is an overflow, counts as unresolved
        doubtful = np.flatnonzero(~(by_row >= level.by_row[rows]))
        if not len(doubtful):
            return float(by_row.min())
        i, j = level.unresolved(tile, factor, doubtful, rows.start, cols)
        if self._rows.same:
            apart = i + rows.start != j + cols.start
            i, j = i[apart], j[apart]
        if len(i) * FEW > tile.size:
            if not final:
                return None
            self._rows.differences(rows, cols, tile)
            self._limit(tile)
            self._hide_diagonal(rows, cols, tile)
            return 0.0
        nearest = float(by_row.min())
        if len(i):
            s = self._rows.pairs(i + rows.start, j + cols.start)
            nearest = min(nearest, float(s.min()))
            tile[i, j] = self._limit(factor * s)
        return nearest if nearest > 0.0 else 0.0

    def _limit(self, values: np.ndarray) -> np.ndarray:
        """No distance beyond the farthest, in place; a pass over `values` only where data is that large."""
        if self._overflows:
            np.clip(values, -self._farthest, self._farthest, out=values)
        return values

    def _hide_diagonal(self, rows: slice, cols: slice, tile: np.ndarray) -> None:
        """Put an arbitrary distance, far from every threshold, where an item of X meets itself."""
        first, last = max(rows.start, cols.start), min(rows.stop, cols.stop)
        if self._rows.same and first < last:
            own = np.arange(first, last)
            tile[own - rows.start, own - cols.start] = 400.0 * self._rows.factor
