"""What a descent by batches computes with: arrays where the items live, and products with k(batch, centres)."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

import kernreg_core as kr
from kernreg_core.arrays import is_torch, length
from kernreg_core.threads import num_threads

from .operator import KernelOperator

#: Rows of a block below which another thread costs more than it gives.
LEAST_BLOCK = 64


class Arrays:
    """Arrays where the items live: NumPy, or torch on their device; real numbers in float64.

    Parameters
    ----------
    items : array, tensor or sequence
    """

    def __init__(self, items: Any) -> None:
        self._like = items[:0].clone() if is_torch(items) else None

    @property
    def on_tensors(self) -> bool:
        """Whether they are torch's."""
        return self._like is not None

    @property
    def accelerator(self) -> bool:
        """Whether the items live on a device that wants large blocks."""
        return self._like is not None and self._like.device.type != "cpu"

    def array(self, x: Any) -> Any:
        """`x` in float64."""
        if self._like is None:
            return np.asarray(x, dtype=np.float64)
        torch = sys.modules["torch"]
        return torch.as_tensor(x, dtype=torch.float64, device=self._like.device)

    def index(self, x: np.ndarray) -> Any:
        """Integers to index with."""
        return x if self._like is None else sys.modules["torch"].as_tensor(x, device=self._like.device)

    def zeros(self, shape: tuple[int, ...]) -> Any:
        """Zeros in float64."""
        return self.array(np.zeros(shape))


def copied(A: Any) -> Any:
    """A copy in the same library."""
    return A.clone() if is_torch(A) else A.copy()


def on_host(A: Any) -> np.ndarray:
    """`A` as a NumPy array."""
    return A.cpu().numpy() if is_torch(A) else np.asarray(A)


def mean_square(A: Any) -> float:
    """The mean of the squared entries; infinite or NaN where a descent diverges, silently."""
    with np.errstate(over="ignore", invalid="ignore"):
        return float((A * A).mean())


def in_float64(X: Any) -> Any:
    """Items of float32 as float64, for the matrices that are factored; anything else as it is."""
    if is_torch(X):
        return X.double() if X.is_floating_point() else X
    return X.astype(np.float64) if getattr(X, "dtype", None) == np.float32 else X


class _Tiles(KernelOperator):
    """One batch in as few blocks as there are threads: each call of a kernel has a cost of its own."""

    def __init__(self, kernel: Any, X: Any, Z: Any) -> None:
        super().__init__(kernel, X, Z)
        # once: inside a worker num_threads is 1
        self._height = min(super().block, max(LEAST_BLOCK, -(-self.shape[0] // num_threads())))

    @property
    def block(self) -> int:
        return self._height


class Blocks:
    """Products with k(X, Z) for one batch X after the other; Z is prepared once.

    Parameters
    ----------
    kernel : kernel
    Z : array, tensor or sequence
        Centres.
    budget : int
        Bytes of a block on a device.
    """

    def __init__(self, kernel: Any, Z: Any, budget: int) -> None:
        self.kernel = kernel
        self.size = length(Z)
        self._tensor = is_torch(Z)
        self._prepares = "prepare" in kr.capabilities(kernel)
        self._right = kernel.prepare(Z) if self._prepares else Z
        self._rows = max(1, budget // (16 * self.size))

    def residual(self, X: Any, Y: Any, A: Any, columns: Any = None) -> tuple[Any, Any]:
        """G = k(X, Z) A - Y, shape (m, c), and k(X, Z)^T G, shape (p, c), or those of its rows: one evaluation.

        Parameters
        ----------
        X : items, m
        Y, A : array or tensor in float64, shapes (m, c) and (p, c)
        columns : integers, optional
            The wanted rows of the second product; all by default.
        """
        if self._tensor:
            return self._tensor_residual(X, Y, A, columns)
        K, G = _Tiles(self.kernel, X, self._right), np.empty_like(Y)
        with np.errstate(over="ignore"):
            A_ = K.operand(A)

        def body(rows: slice, block: Any) -> Any:
            with np.errstate(over="ignore", invalid="ignore"):
                G[rows] = block @ A_ - Y[rows]
                return (block if columns is None else block[:, columns]).T @ K.operand(G[rows])

        return G, K.reduce(body, (self.size if columns is None else len(columns), Y.shape[1]))

    def times(self, X: Any, A: Any) -> Any:
        """k(X, Z) A."""
        if not self._tensor:
            return KernelOperator(self.kernel, X, self._right).times(A)
        return sys.modules["torch"].cat([(K @ A.to(K.dtype)).double() for _, K in self._tensors(X)])

    def adjoint(self, X: Any, G: Any) -> Any:
        """k(X, Z)^T G."""
        if not self._tensor:
            return _Tiles(self.kernel, X, self._right).adjoint(G)
        return sum((K.T @ G[rows].to(K.dtype)).double() for rows, K in self._tensors(X))

    def _tensor_residual(self, X: Any, Y: Any, A: Any, columns: Any) -> tuple[Any, Any]:
        G, pull = Y.clone(), 0.0
        for rows, K in self._tensors(X):
            G[rows] = (K @ A.to(K.dtype)).double() - Y[rows]
            pull = pull + ((K if columns is None else K[:, columns]).T @ G[rows].to(K.dtype)).double()
        return G, pull

    def _tensors(self, X: Any) -> Iterator[tuple[slice, Any]]:
        left = self.kernel.prepare(X) if self._prepares else X
        for start in range(0, length(left), self._rows):
            rows = slice(start, start + self._rows)
            yield rows, self.kernel(left[rows], self._right).detach()


def batches(n: int, size: int, rng: np.random.RandomState) -> Iterator[np.ndarray]:
    """Indices of `n` items in a random order, in parts of nearly `size`, each ascending: a file is read forwards."""
    for part in np.array_split(rng.permutation(n), math.ceil(n / size)):
        yield np.sort(part)


def picked(n: int, size: int, rng: np.random.RandomState) -> np.ndarray:
    """`size` of `n` indices, ascending."""
    return np.arange(n) if size >= n else np.sort(rng.choice(n, size, replace=False))
