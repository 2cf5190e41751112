"""Which structure the Gram matrix of a kernel has on some points, and what multiplies and solves with it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import kernreg_core as kr
from kernreg_core.composites import Sum
from kernreg_core.errors import KernregWarning
from kernreg_core.memory import guard_memory
from kernreg_core.numeric import pcg

from ._coordinates import coordinate_kernels
from ._grids import axes_of, step_of
from ._kronecker import KroneckerProduct, KroneckerSystem
from ._preconditioners import preconditioner
from ._toeplitz import ToeplitzProduct, ToeplitzSystem, block_logdet, difference_table, not_positive

#: Residual of iterative solutions, relative to the matrix and the solution: what is aimed at, and what is worth a word.
_TOLERANCE, _UNCONVERGED = 1e-15, 1e-11
#: Of one run of conjugate gradients, relative to its right-hand side; its iterations; and how many runs.
_ROUND, _ITERATIONS, _ROUNDS = 1e-7, 5000, 6


class SumOfProducts:
    def __init__(self, parts: Sequence[Any]) -> None:
        self._parts = parts

    def multiply(self, V: np.ndarray) -> Any:
        return sum(part.multiply(V) for part in self._parts)


def product_on(kernel: Any, X: np.ndarray, Y: np.ndarray) -> Any:
    """An object with ``multiply(V)`` for k(X, Y), or None where there is no structure, or values are complex."""
    if "complex" in kr.capabilities(kernel):
        return None
    left = axes_of(X)
    right = left if Y is X else axes_of(Y)
    return None if left is None or right is None else _between(kernel, left, right)


def _between(kernel: Any, left: list[np.ndarray], right: list[np.ndarray]) -> Any:
    even = left is right and all(step_of(axis) is not None for axis in left)
    if _is_toeplitz(kernel, left) and left is right and sum(len(axis) > 1 for axis in left) <= 1:
        return ToeplitzProduct(difference_table(kernel, left))
    if sum(max(len(a), len(b)) > 1 for a, b in zip(left, right, strict=True)) > 1:
        factors = coordinate_kernels(kernel, len(left))
        if factors is not None:
            return KroneckerProduct(*factors, left, right)
        if isinstance(kernel, Sum) and not (even and "stationary" in kr.capabilities(kernel)):
            parts = [_between(part, left, right) for part in kernel.parts()]
            return None if any(part is None for part in parts) else SumOfProducts(parts)
        if left is right and _is_toeplitz(kernel, left):
            return ToeplitzProduct(difference_table(kernel, left))
    return None


def _is_toeplitz(kernel: Any, axes: list[np.ndarray]) -> bool:
    return "stationary" in kr.capabilities(kernel) and all(step_of(axis) is not None for axis in axes)


def system_on(kernel: Any, X: np.ndarray, warn: Callable[[str], None]) -> Any:
    """What solves with k(X) + noise I: by structure, or by Cholesky with a word about what was missing."""
    axes = axes_of(X)
    if axes is None:
        warn("X is no grid (all combinations of some axes, the last coordinate running fastest)")
        return _Dense(kernel, X)
    lines = sum(len(axis) > 1 for axis in axes)
    even = all(step_of(axis) is not None for axis in axes)
    if lines <= 1 and even:
        return _Line(difference_table(kernel, axes))
    if lines > 1:
        factors = coordinate_kernels(kernel, len(axes))
        if factors is not None:
            return KroneckerSystem(*factors, axes)
        if even:
            return _Even(difference_table(kernel, axes))
    warn(
        "X has only one axis, whose steps are not equal"
        if lines <= 1
        else f"X is a grid of unequal steps, and {kernel!r} is not known to be a product over coordinates"
    )
    return _Dense(kernel, X)


class _Line:
    """Points of equal steps on a line; the factorisation for the last noise is kept."""

    def __init__(self, table: np.ndarray) -> None:
        flat = table.ravel()
        self._column = flat[len(flat) // 2 :]
        self._last: tuple[float, ToeplitzSystem] | None = None

    def _factorised(self, noise: float) -> ToeplitzSystem:
        last = self._last
        if last is None or last[0] != noise:
            column = self._column.copy()
            column[0] += noise
            self._last = last = (noise, ToeplitzSystem(column))
        return last[1]

    def solve(self, B: np.ndarray, noise: float) -> np.ndarray:
        return self._factorised(noise).solve(B)

    def logdet(self, noise: float) -> float:
        return self._factorised(noise).logdet


class _Even:
    """A grid of equal steps in several dimensions, and a kernel that is no product over them."""

    def __init__(self, table: np.ndarray) -> None:
        self._table = table
        self._product = ToeplitzProduct(table)

    def _noisy(self, noise: float) -> np.ndarray:
        table = self._table.copy()
        table[tuple(size // 2 for size in table.shape)] += noise
        return table

    def solve(self, B: np.ndarray, noise: float) -> np.ndarray:
        """Conjugate gradients, started anew on the residual until that is rounding beside K and the solution."""
        inverse, X, R, error = preconditioner(self._table, noise), np.zeros_like(B), B, np.inf
        size = noise + float(ToeplitzProduct(np.abs(self._table)).multiply(np.ones((len(B), 1))).max())
        for _ in range(_ROUNDS):
            D, result = pcg(
                lambda V: self._product.multiply(V) + noise * V,
                R,
                preconditioner=inverse,
                tol=_ROUND,
                max_iterations=_ITERATIONS,
            )
            if error == np.inf and result.breakdown.any():
                raise not_positive()
            new = X + D
            left = B - self._product.multiply(new) - noise * new
            scale = size * np.abs(new).max(axis=0) + np.abs(B).max(axis=0)
            now = float((np.abs(left).max(axis=0) / np.where(scale > 0, scale, 1.0)).max())
            if not now < 0.5 * error:
                break
            X, R, error = new, left, now
            if error <= _TOLERANCE:
                break
        if error > _UNCONVERGED:
            warnings.warn(
                f"conjugate gradients stopped at a residual of {error:.2g}, relative to K and the solution: a larger "
                "noise makes them converge",
                KernregWarning,
                stacklevel=4,
            )
        return X

    def logdet(self, noise: float) -> float:
        shape = [(size + 1) // 2 for size in self._table.shape]
        n, longest = int(np.prod(shape)), max(shape)
        guard_memory((6, n, n // longest), np.float64)  # rows of blocks, and what they become
        return block_logdet(self._noisy(noise))


class _Dense:
    """No structure: a Cholesky factorisation."""

    def __init__(self, kernel: Any, X: np.ndarray) -> None:
        guard_memory((len(X), len(X)), np.float64)
        self._kernel, self._X = kernel, X.astype(np.float64)

    def _factor(self, noise: float) -> np.ndarray:
        from scipy.linalg import LinAlgError, cholesky

        K = np.asarray(self._kernel(self._X), np.float64)
        K[np.diag_indices_from(K)] += noise
        try:
            return np.asarray(cholesky(K, lower=True, overwrite_a=True, check_finite=False))
        except LinAlgError:
            raise not_positive() from None

    def solve(self, B: np.ndarray, noise: float) -> np.ndarray:
        from scipy.linalg import cho_solve

        return np.asarray(cho_solve((self._factor(noise), True), B, check_finite=False))

    def logdet(self, noise: float) -> float:
        return 2.0 * float(np.log(self._factor(noise).diagonal()).sum())
