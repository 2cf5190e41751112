"""Inner products in tiles, dense and sparse: the engine of the dot-product kernels (NumPy)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kernreg_core.arrays import is_sparse

from ._ops import InPlace
from ._sparse import SparseProduct
from ._tiles import Scratch, Tiles


def squared_norms(X: Any) -> np.ndarray:
    """|x|^2 of every row, accumulated in float64, shape (n,)."""
    if is_sparse(X):
        wide = X.astype(np.float64)
        return np.asarray(wide.multiply(wide).sum(axis=1)).ravel()
    return np.einsum("ij,ij->i", X, X, dtype=np.float64)


def product_tiles(
    X: Any,
    Y: Any,
    dtype: Any,
    formula: Callable[[InPlace, np.ndarray], np.ndarray] | None,
    *,
    scale: float = 1.0,
    offset: float = 0.0,
    diagonal: np.ndarray | None = None,
) -> Tiles:
    """The tiles of ``formula(scale * X Y^T + offset)``.

    Parameters
    ----------
    X, Y : ndarray or sparse array, shapes (n, d) and (m, d)
        `Y` is `X` for a symmetric matrix.
    dtype : dtype
        Of the tiles.
    formula : callable, optional
        ``formula(f, g)`` in place on a tile g.
    scale, offset : float
    diagonal : ndarray of shape (n,), optional
        The diagonal of a symmetric matrix.
    """
    sparse = SparseProduct(X, Y) if is_sparse(X) or is_sparse(Y) else None
    product = sparse or _dense_product(X, Y, dtype, scale, offset)

    def tile(rows: slice, cols: slice, values: np.ndarray, scratch: Scratch) -> None:
        product(rows, cols, values)
        if sparse is not None and scale != 1.0:
            values *= scale
        if sparse is not None and offset != 0.0:
            values += offset
        if formula is not None:
            formula(InPlace(scratch), values)

    shape, work = (X.shape[0], Y.shape[0]), X.shape[1] + 4
    return Tiles(shape, tile, Y is X, work, diagonal=diagonal, prepare=None if sparse is None else sparse.prepare)


def _dense_product(
    X: np.ndarray, Y: np.ndarray, dtype: Any, scale: float, offset: float
) -> Callable[[slice, slice, np.ndarray], None]:
    """The product with the scale in one factor and the offset as one more column: no pass over the result."""
    A = X.astype(dtype, copy=False) if scale == 1.0 else np.multiply(X, scale, dtype=dtype)
    d = X.shape[1]
    if offset:
        A = np.concatenate([A, np.full((A.shape[0], 1), offset, dtype)], axis=1)
    B = np.ones((d + bool(offset), Y.shape[0]), dtype)
    B[:d] = Y.T

    def product(rows: slice, cols: slice, values: np.ndarray) -> None:
        np.matmul(A[rows], B[:, cols], out=values)

    return product
