"""k(X, X) as a symmetric operator on blocks of vectors, for items whose Gram matrix would not fit in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

import kernreg_core as kr
from kernreg_core.arrays import is_prepared, is_torch, length

from .mixin import _check_symmetric, as_numpy
from .operator import KernelOperator, is_float32, widened
from .resolve import Prepared

#: Entries of a tile of a kernel that is called tile by tile.
_TILE = 1 << 20
#: Rows that are widened at a time.
_ROWS = 1 << 15
#: Items on which a kernel that does not say that it is symmetric is asked whether it is.
_PROBED = 128


class GramProduct:
    """V -> k(X, X) V, in float64 on the host whatever the library of the items.

    The kernel's own ``matvec`` where it has one; blocks of rows on all cores where it fills blocks in place; else
    tile by tile, where each tile of a symmetric kernel serves twice.

    Parameters
    ----------
    kernel : kernel
        Symmetric, real values.
    X : array, tensor or sequence, n items
        Neither copied nor changed.

    Raises
    ------
    InputError
        If the kernel is not symmetric on the first items.
    """

    def __init__(self, kernel: Any, X: Any) -> None:
        capabilities = kr.capabilities(kernel)
        self.kernel, self.X = kernel, X
        if "symmetric" not in capabilities:
            some = np.asarray(as_numpy(kr.gram(kernel, X[:_PROBED], progress=False)))
            if np.isfinite(some).all():  # else seen in the products
                _check_symmetric(some, "kernel")
        self._own = "matvec" in capabilities and not is_prepared(X)
        self._items, self._operator = X, None
        if self._own:
            return
        fills = isinstance(kernel, kr.BaseKernel) and callable(getattr(kernel, "into", None))
        if is_torch(X) or (fills and isinstance(X, np.ndarray)):
            self._operator = KernelOperator(kernel, X, X)
            return
        if "prepare" in capabilities:
            self._items = X if is_prepared(X) else kernel.prepare(X)
            self.kernel = Prepared(kernel)
        self._symmetric = "symmetric" in capabilities

    def __call__(self, V: np.ndarray) -> np.ndarray:
        """k(X, X) V, shape (n,) or (n, b)."""
        if self._operator is not None:
            return self._operator.times(V)
        return self._from_kernel(V) if self._own else self._by_tiles(V)

    def rough(self) -> GramProduct | None:
        """The same in float32, where the items are float64 rows and the kernel is kernreg's; else None."""
        X = self.X
        if not (isinstance(X, np.ndarray) and X.dtype == np.float64 and isinstance(self.kernel, kr.BaseKernel)):
            return None
        with np.errstate(over="ignore"):
            narrow = X.astype(np.float32)
        # items that float32 cannot tell apart, as far as that is cheap to see
        spread = np.abs(X - X.mean(axis=0)).max()
        if not np.isfinite(narrow).all() or np.abs(X).max() > 1e3 * spread:
            return None
        return GramProduct(self.kernel, narrow)

    def _from_kernel(self, V: np.ndarray) -> np.ndarray:
        V_: Any = np.ascontiguousarray(V)
        if is_torch(self.X):
            V_ = self.X.new_tensor(V_)
        elif isinstance(self.X, np.ndarray) and self.X.dtype == np.float32:
            V_ = V_.astype(np.float32, copy=False)
        return np.asarray(as_numpy(kr.matvec(self.kernel, self.X, V_)), dtype=np.float64)

    def _by_tiles(self, V: np.ndarray) -> np.ndarray:
        n = length(self._items)
        step = max(1, min(n, int(_TILE**0.5)))
        out = np.zeros((n, *V.shape[1:]))
        for i in range(0, n, step):
            rows, left = slice(i, min(i + step, n)), self._items[i : i + step]
            for j in range(i if self._symmetric else 0, n, step):
                cols = slice(j, min(j + step, n))
                K = self._tile(left, left if i == j else self._items[cols])
                out[rows] += K @ V[cols]
                if self._symmetric and i != j:
                    out[cols] += K.T @ V[rows]
        return out

    def _tile(self, left: Any, right: Any) -> np.ndarray:
        return np.asarray(as_numpy(self.kernel(left, right)), dtype=np.float64)


def diagonal(kernel: Any, X: Any, *, in_float64: bool = False) -> np.ndarray:
    """k(x, x) of each item, shape (n,), float64, without the matrix; of float32 items as float64 where asked for."""
    capabilities = kr.capabilities(kernel)
    if in_float64 and is_float32(X):
        parts = (widened(X[i : i + _ROWS]) for i in range(0, length(X), _ROWS))
        return np.concatenate([diagonal(kernel, part) for part in parts])
    if "diag" in capabilities and not is_prepared(X):
        return np.asarray(as_numpy(kernel.diag(X)), dtype=np.float64)
    if "normalized" in capabilities:
        return np.ones(length(X))
    if "prepare" in capabilities and not is_prepared(X):
        X = kernel.prepare(X)
    # a few items at a time: of a cheap kernel the calls cost more than the entries that are not needed
    step = 1 if getattr(kernel, "pair_cost", "low") == "high" else 16
    found = np.empty(length(X))
    for i in range(0, len(found), step):
        block = X[i : i + step]
        found[i : i + step] = np.diagonal(np.asarray(as_numpy(kernel(block, block)), dtype=np.float64))
    return found


def available(budget: int | None) -> float:
    """Bytes that a matrix may take: `budget`, or four fifths of the memory that there is; infinite if unknown."""
    if budget is not None:
        return float(budget)
    from kernreg_core.memory import available_memory

    found = available_memory()
    return np.inf if found is None else 0.8 * found
