"""The kernel behind ``kernel=None``: the plain inner product."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernreg_core import BaseKernel
from kernreg_core.arrays import is_sparse


class LinearKernel(BaseKernel):
    """k(x, y) = x . y: what a solver uses where no kernel is given.

    It is no entry; with other plugins installed ``euclidean.linear`` has a variance and an offset.

    Examples
    --------
    >>> import numpy as np
    >>> LinearKernel()(np.array([[1.0, 2.0], [0.0, 3.0]]))
    array([[5., 6.],
           [6., 9.]])
    """

    domain = "vectors"
    capabilities = frozenset({"symmetric", "psd", "diag", "features", "matvec", "differentiable"})
    accepts_sparse = True

    def __init__(self) -> None:
        """Take no parameters."""

    def evaluate(self, X: Any, Y: Any) -> Any:
        """X Y^T, shape (n, m), dense."""
        if is_sparse(X) or is_sparse(Y):
            product = X @ Y.T
            return product.toarray() if is_sparse(product) else np.asarray(product)
        return X @ Y.T

    def diag(self, X: Any) -> Any:
        """|x|^2 of each row, shape (n,)."""
        X, _ = self.check_items(X)
        if is_sparse(X):
            return np.asarray(X.multiply(X).sum(axis=1)).ravel()
        return (X * X).sum(-1)

    def features(self, X: Any, basis: Any = None) -> Any:
        """`X` itself, shape (n, d): a fixed map, which ignores `basis`."""
        X, _ = self.check_items(X)
        return X

    def matvec(self, X: Any, V: Any, Y: Any = None) -> Any:
        """k(X, Y) V = X (Y^T V), shape (n,) or (n, p), in O(n d p)."""
        X, Y = self.check_items(X, Y)
        return X @ (Y.T @ V)
