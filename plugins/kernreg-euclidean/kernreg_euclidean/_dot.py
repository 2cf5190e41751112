"""Kernels phi(x . y) of the inner product: their derivatives in x and y."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernreg_core.arrays import is_sparse, is_torch
from kernreg_core.base import provides
from kernreg_core.errors import InputError
from kernreg_core.memory import guard_memory

from ._vectors import VectorKernel


def _dense_gradient_items(kernel: VectorKernel, X: Any, Y: Any, rank: int) -> tuple[Any, Any]:
    X, Y = kernel.check_items(X, Y)
    if is_sparse(X) or is_sparse(Y):
        raise InputError("X: gradients expect dense rows, got a scipy sparse matrix: pass X.toarray()")
    if not is_torch(X):
        guard_memory((X.shape[0], Y.shape[0]) + (X.shape[1],) * rank, X.dtype)
    return X, Y


class DotProductKernel(VectorKernel):
    """k(x, y) = phi(x . y), given by ``_dot_derivative(G, order)``: phi and its derivatives at G = X Y^T."""

    accepts_sparse = True

    def _dot_derivative(self, G: Any, order: int, X: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no _dot_derivative")

    @provides("gradients")
    def grad_x(self, X: Any, Y: Any = None) -> Any:
        """d k(x, y) / dx for all pairs, shape (n, m, d)."""
        X, Y = _dense_gradient_items(self, X, Y, 1)
        return self._dot_derivative(X @ Y.T, 1, X)[:, :, None] * Y[None, :, :]

    @provides("gradients")
    def grad_y(self, X: Any, Y: Any = None) -> Any:
        """d k(x, y) / dy for all pairs, shape (n, m, d)."""
        X, Y = _dense_gradient_items(self, X, Y, 1)
        return self._dot_derivative(X @ Y.T, 1, X)[:, :, None] * X[:, None, :]

    @provides("gradients")
    def grad_xy(self, X: Any, Y: Any = None) -> Any:
        """d^2 k(x, y) / dx_a dy_b for all pairs, shape (n, m, d, d)."""
        X, Y = _dense_gradient_items(self, X, Y, 2)
        G = X @ Y.T
        d = X.shape[1]
        eye = X.new_ones(d).diag() if is_torch(X) else np.eye(d, dtype=X.dtype)
        outer = Y[None, :, :, None] * X[:, None, None, :]
        first = self._dot_derivative(G, 1, X)[:, :, None, None]
        return first * eye + self._dot_derivative(G, 2, X)[:, :, None, None] * outer

    @provides("gradients")
    def grad_xy_trace(self, X: Any, Y: Any = None) -> Any:
        """The trace sum_a d^2 k(x, y) / dx_a dy_a for all pairs, shape (n, m)."""
        X, Y = _dense_gradient_items(self, X, Y, 0)
        G = X @ Y.T
        return X.shape[1] * self._dot_derivative(G, 1, X) + G * self._dot_derivative(G, 2, X)
