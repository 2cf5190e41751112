"""Inner products of scipy sparse rows in tiles."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import Any

import numpy as np

from kernreg_core.arrays import is_sparse


class SparseProduct:
    """Tiles of X Y^T where either side is sparse.

    Parameters
    ----------
    X, Y : ndarray or CSR array, shapes (n, d) and (m, d)
    """

    def __init__(self, X: Any, Y: Any) -> None:
        self._X, self._Y = X, Y
        self._local = threading.local()

    @cached_property
    def _transposed(self) -> Any:
        return _columns(self._Y)

    def prepare(self, cols: slice) -> None:
        """Get ready for many tiles of the calling thread that lie within these columns."""
        self._local.columns = cols.start, cols.stop, _columns(self._Y[cols])

    def __call__(self, rows: slice, cols: slice, tile: np.ndarray) -> None:
        """``tile = X[rows] Y[cols]^T``."""
        start, stop, block = getattr(self._local, "columns", (0, 0, None))
        if start <= cols.start and cols.stop <= stop:
            panel = self._X[rows] @ block
        else:
            start, panel = 0, self._panel(rows)
        part = panel[:, cols.start - start : cols.stop - start]
        tile[...] = part.toarray() if is_sparse(part) else part

    def _panel(self, rows: slice) -> Any:
        """All columns of these rows, kept for the next tile: cutting the second factor costs more than its product."""
        key, panel = getattr(self._local, "panel", (None, None))
        if key != (rows.start, rows.stop):
            panel = self._X[rows] @ self._transposed
            self._local.panel = (rows.start, rows.stop), panel
        return panel


def _columns(Y: Any) -> Any:
    """Y^T, stored row by row."""
    return Y.T.tocsr() if is_sparse(Y) else np.ascontiguousarray(Y.T)
