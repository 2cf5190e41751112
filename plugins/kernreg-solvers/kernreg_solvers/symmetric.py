"""S k(X, X) S as a linear map, S the roots of weights: in memory where it fits, block by block where it does not.

What conjugate gradients and their preconditioner ask of a Gram matrix: products, the diagonal, a few columns.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

import kernreg_core as kr
from kernreg_core._parts import on_torch
from kernreg_core.arrays import is_prepared, is_torch
from kernreg_core.errors import InputError

from .centers import take
from .gp_pull import diagonal_values
from .linalg import blas_threads
from .mixin import as_numpy, count
from .operator import KernelOperator
from .resolve import Prepared


class GramInMemory:
    """S K S of a matrix K that is there.

    Parameters
    ----------
    K : ndarray, shape (n, n), float64, symmetric
        Overwritten.
    roots : ndarray, shape (n,), optional
    """

    def __init__(self, K: np.ndarray, roots: np.ndarray | None = None) -> None:
        self._K = K
        if roots is not None:
            K *= roots[:, None]
            K *= roots

    def times(self, V: np.ndarray) -> np.ndarray:
        """The product with `V`, shape (n, t)."""
        with blas_threads(len(self._K)):
            return np.asarray(self._K @ V)

    def diagonal(self) -> np.ndarray:
        """Shape (n,)."""
        return self._K.diagonal().copy()

    def columns(self, index: Any) -> np.ndarray:
        """Shape (n, b); of an int (n,)."""
        return np.asarray(self._K[:, index])

    def entries(self, index: np.ndarray) -> np.ndarray:
        """Between the items `index`, shape (b, b)."""
        return np.asarray(self._K[np.ix_(index, index)])


class GramOfItems:
    """S k(X, X) S, never in memory: the kernel's own ``matvec`` where it has one, blocks of rows elsewhere.

    Parameters
    ----------
    kernel : kernel
    X : array, tensor or list
        The items as they came.
    items : array, tensor or prepared items
        The same, prepared where the kernel prepares.
    roots : ndarray, shape (n,), optional
    """

    def __init__(self, kernel: Any, X: Any, items: Any, roots: np.ndarray | None = None) -> None:
        self._kernel, self._X, self._items = kernel, X, items
        self._roots = roots
        self._own = "matvec" in kr.capabilities(kernel) and not is_prepared(X)
        self._operator = None if self._own else KernelOperator(kernel, items, items)
        self._engine = Prepared(kernel) if is_prepared(items) else kernel

    def times(self, V: np.ndarray) -> np.ndarray:
        """The product with `V`, shape (n, t)."""
        right = V if self._roots is None else V * self._roots[:, None]
        if self._operator is not None:
            found = self._operator.times(right)
        else:
            if is_torch(self._X):
                right = sys.modules["torch"].as_tensor(right, dtype=self._X.dtype, device=self._X.device)
            found = np.asarray(as_numpy(kr.matvec(self._kernel, self._X, right)), dtype=np.float64)
        return found if self._roots is None else found * self._roots[:, None]

    def diagonal(self) -> np.ndarray:
        """Shape (n,)."""
        own = "diag" in kr.capabilities(self._kernel)
        found = diagonal_values(self._kernel, self._X) if own else diagonal_values(self._engine, self._items)
        if not np.isfinite(found).all():
            raise InputError("kernel: gave NaN or infinite values of k(x, x): scale the data, or change its parameters")
        return found if self._roots is None else found * np.square(self._roots)

    def columns(self, index: Any) -> np.ndarray:
        """Shape (n, b); of an int (n,)."""
        if np.ndim(index) == 0:
            return self.columns(np.array([int(index)]))[:, 0]
        found = self._values(self._items, self._some(index))
        return found if self._roots is None else found * self._roots[:, None] * self._roots[index]

    def entries(self, index: np.ndarray) -> np.ndarray:
        """Between the items `index`, shape (b, b)."""
        some = self._some(index)
        found = self._values(some, some)
        return found if self._roots is None else found * self._roots[index, None] * self._roots[index]

    def _some(self, index: np.ndarray) -> Any:
        """The items `index`, prepared where all are."""
        if is_prepared(self._X):
            return _OneByOne(self._items[int(i) : int(i) + 1] for i in index)
        found = take(self._X, index)
        return self._kernel.prepare(found) if is_prepared(self._items) else found

    def _values(self, left: Any, right: Any) -> np.ndarray:
        if isinstance(left, _OneByOne):
            return np.vstack([self._values(one, right) for one in left])
        if isinstance(right, _OneByOne):
            return np.hstack([self._values(left, one) for one in right])
        dtype = None if on_torch(left) else np.float64
        return np.asarray(as_numpy(kr.gram(self._engine, left, right, dtype=dtype, progress=False)), dtype=np.float64)


class _OneByOne(list[Any]):
    """Prepared items, each on its own: of what was prepared by the caller only slices can be had."""


def stored_bytes(X: Any) -> int:
    """Bytes of k(X, X) in float64."""
    return 8 * count(X) ** 2
