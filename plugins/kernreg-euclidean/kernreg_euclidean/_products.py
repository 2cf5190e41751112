"""Inner products in tiles, dense and sparse: the engine of the dot-product kernels (NumPy)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kernreg_core.arrays import is_sparse

from ._ops import InPlace
from ._tiles import Scratch, fill


def squared_norms(X: Any) -> np.ndarray:
    """|x|^2 of every row, accumulated in float64, shape (n,)."""
    if is_sparse(X):
        wide = X.astype(np.float64)
        return np.asarray(wide.multiply(wide).sum(axis=1)).ravel()
    return np.einsum("ij,ij->i", X, X, dtype=np.float64)


def fill_products(
    X: Any,
    Y: Any,
    out: np.ndarray,
    formula: Callable[[InPlace, np.ndarray], np.ndarray] | None,
    *,
    scale: float = 1.0,
    offset: float = 0.0,
    diagonal: np.ndarray | None = None,
) -> None:
    """``out = formula(scale * X Y^T + offset)``, tile by tile.

    Parameters
    ----------
    X, Y : ndarray or sparse array, shapes (n, d) and (m, d)
        `Y` is `X` for a symmetric matrix.
    out : ndarray, shape (n, m)
    formula : callable, optional
        ``formula(f, g)`` in place on a tile g.
    scale, offset : float
    diagonal : ndarray of shape (n,), optional
        The diagonal of a symmetric matrix.
    """
    product = _sparse_product(X, Y) if is_sparse(X) or is_sparse(Y) else _dense_product(X, Y, out.dtype, scale, offset)
    dense = not (is_sparse(X) or is_sparse(Y))

    def tile(rows: slice, cols: slice, values: np.ndarray, scratch: Scratch) -> None:
        product(rows, cols, values)
        if not dense and scale != 1.0:
            values *= scale
        if not dense and offset != 0.0:
            values += offset
        if formula is not None:
            formula(InPlace(scratch), values)

    fill(out, tile, symmetric=Y is X, work=X.shape[1] + 4, diagonal=diagonal)


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


def _sparse_product(X: Any, Y: Any) -> Callable[[slice, slice, np.ndarray], None]:
    transposed = Y.T.tocsr() if is_sparse(Y) else np.ascontiguousarray(Y.T)

    def product(rows: slice, cols: slice, values: np.ndarray) -> None:
        # all columns at once: cutting columns of a CSR matrix costs more than a panel's product
        panel = X[rows] @ transposed
        values[...] = (panel.toarray() if is_sparse(panel) else panel)[:, cols]

    return product
