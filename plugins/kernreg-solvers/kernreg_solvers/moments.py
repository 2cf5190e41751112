r"""Sums over rows that ridge regression on explicit features needs: :math:`Z^T W Z`, :math:`Z^T W Y` and the means.

In float64 whatever the features are: in float32 the normal matrix of some thousand rows is not positive definite, and
a small penalty is lost in its rounding.
"""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np

from kernreg_core.arrays import is_sparse, is_torch
from kernreg_core.memory import guard_memory
from kernreg_core.threads import run_parallel

from .linalg import mirror_down
from .mixin import as_numpy

_TILE = 384


class NormalEquations(NamedTuple):
    """A = Z^T W Z, B = Z^T W Y and the sums of w y^2, of Z and Y as they are or centred on their weighted means."""

    A: np.ndarray
    B: np.ndarray
    squares: np.ndarray
    z_mean: np.ndarray
    y_mean: np.ndarray


class Moments:
    """The sums, block by block of rows, in any number of calls.

    Parameters
    ----------
    n_columns, n_targets : int
    centred : bool
        Whether the means are wanted, for an intercept. Dense rows are then taken relative to those of the first
        block, which keeps digits that a large offset would cost.

    Attributes
    ----------
    n : int
        Rows of positive weight.
    total : float
        Sum of the weights.
    """

    def __init__(self, n_columns: int, n_targets: int, centred: bool) -> None:
        guard_memory((n_columns, n_columns), np.float64, what="the normal matrix of the features")
        self.centred, self.n, self.total = centred, 0, 0.0
        self._A: Any = np.zeros((n_columns, n_columns))  # the upper triangle, by tiles
        self._B = np.zeros((n_columns, n_targets))
        self._squares = np.zeros(n_targets)
        self._sum_z, self._sum_y = np.zeros(n_columns), np.zeros(n_targets)
        self._origin: tuple[Any, np.ndarray] | None = None

    def add(self, Z: Any, Y: np.ndarray, weights: np.ndarray | None = None) -> None:
        """Add rows: `Z` a NumPy array, CSR matrix or tensor (n, D), `Y` (n, t) and `weights` (n,) in float64."""
        if weights is not None and not weights.all():
            kept = np.flatnonzero(weights)
            if not len(kept):
                return
            Z, Y, weights = Z[kept], Y[kept], weights[kept]
        self.n += len(Y)
        self.total += float(len(Y)) if weights is None else float(weights.sum())
        Z = _in_float64(Z)
        if self.centred:
            if self._origin is None:
                self._origin = _origin(Z), Y.mean(axis=0)
            z0, y0 = self._origin
            Z, Y = (Z if z0 is None else Z - z0), Y - y0
        if weights is not None:
            roots = np.sqrt(weights)
            self._sum_z += _column_sums(_scaled(Z, weights))
            self._sum_y += weights @ Y
            Z, Y = _scaled(Z, roots), Y * roots[:, None]
        else:
            self._sum_z += _column_sums(Z)
            self._sum_y += Y.sum(axis=0)
        self._squares += np.square(Y).sum(axis=0)
        self._B += _products(Z, Y)
        self._add_square(Z)

    def _add_square(self, Z: Any) -> None:
        """A += Z^T Z."""
        if is_sparse(Z):
            found = (Z.T @ Z).tocoo()
            self._A[found.row, found.col] += found.data
        elif is_torch(Z):
            if not is_torch(self._A):
                self._A = sys.modules["torch"].as_tensor(self._A, device=Z.device)
            self._A += Z.T @ Z
        else:
            _add_by_tiles(self._A, Z)

    def equations(self) -> NormalEquations:
        """What has been summed so far; copies."""
        A = self._A.cpu().numpy().copy() if is_torch(self._A) else self._A.copy()
        mirror_down(A)
        B, squares = self._B.copy(), self._squares.copy()
        z_mean, y_mean = np.zeros(len(A)), np.zeros(len(squares))
        if self.centred:
            z_mean, y_mean = self._sum_z / self.total, self._sum_y / self.total
            for start in range(0, len(A), _TILE):
                rows = slice(start, start + _TILE)
                A[rows] -= np.outer(z_mean[rows], self._sum_z)
            B -= np.outer(z_mean, self._sum_y)
            squares = np.maximum(squares - y_mean * self._sum_y, 0.0)
            z0, y0 = self._origin if self._origin is not None else (None, 0.0)
            z_mean, y_mean = z_mean + (0.0 if z0 is None else as_numpy(z0)), y_mean + y0
        return NormalEquations(A, B, squares, z_mean, y_mean)


def _add_by_tiles(A: np.ndarray, Z: np.ndarray) -> None:
    """The upper triangle of A += Z^T Z, tile by tile on several threads, so that no second A is needed."""
    D = Z.shape[1]
    edges = [slice(s, min(s + _TILE, D)) for s in range(0, D, _TILE)]

    def tile(pair: tuple[slice, slice]) -> None:
        rows, columns = pair
        A[rows, columns] += Z[:, rows].T @ Z[:, columns]

    run_parallel(tile, [(rows, columns) for i, rows in enumerate(edges) for columns in edges[i:]])


def _in_float64(Z: Any) -> Any:
    if is_torch(Z):
        return Z.detach().double()
    return Z.tocsr().astype(np.float64, copy=False) if is_sparse(Z) else np.asarray(Z, dtype=np.float64)


def _origin(Z: Any) -> Any:
    """A point near the rows; None for sparse ones, which would fill up."""
    return None if is_sparse(Z) else Z.mean(0)


def _scaled(Z: Any, factors: np.ndarray) -> Any:
    """The rows of `Z` times `factors`."""
    if is_sparse(Z):
        return Z.multiply(factors[:, None]).tocsr()
    if is_torch(Z):
        return Z * sys.modules["torch"].as_tensor(factors, device=Z.device)[:, None]
    return Z * factors[:, None]


def _products(Z: Any, Y: np.ndarray) -> np.ndarray:
    """Z^T Y."""
    if is_torch(Z):
        Y = sys.modules["torch"].as_tensor(np.ascontiguousarray(Y), device=Z.device)
    return np.asarray(as_numpy(Z.T @ Y))


def _column_sums(Z: Any) -> np.ndarray:
    return np.asarray(as_numpy(Z.sum(0)), dtype=np.float64).ravel()
