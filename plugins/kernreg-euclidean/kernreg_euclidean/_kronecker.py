"""Kronecker products of small matrices: products by one axis after the other, solutions by eigenvectors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import kernreg_core as kr

from ._grids import step_of
from ._toeplitz import ToeplitzProduct, difference_table, not_positive

#: From so many points on an axis of equal steps products go through the FFT.
_FFT = 512
#: Above so many points on another axis its matrix is not kept.
_DENSE = 4096

#: Products of one factor with a matrix of as many rows.
Factor = Callable[[np.ndarray], np.ndarray]


def along(T: np.ndarray, axis: int, factor: Factor) -> np.ndarray:
    """`factor` applied to every line of `T` along `axis`."""
    front = np.moveaxis(T, axis, 0)
    found = factor(np.ascontiguousarray(front).reshape(front.shape[0], -1))
    return np.moveaxis(found.reshape(-1, *front.shape[1:]), 0, axis)


class KroneckerProduct:
    """Products with c (K_1 x K_2 x ... x K_d), the Gram matrix of a product kernel between two grids.

    Parameters
    ----------
    scale : float
        c.
    kernels : list of kernels
        One for each coordinate.
    left, right : list of ndarray
        The axes of the grids; the same list twice for one grid.
    """

    def __init__(self, scale: float, kernels: list[Any], left: list[np.ndarray], right: list[np.ndarray]) -> None:
        self._scale = scale
        self._shape = [len(axis) for axis in right]
        self._rows = math.prod(len(axis) for axis in left)
        same = left is right
        self._factors = [
            _factor(kernel, a, None if same else b) for kernel, a, b in zip(kernels, left, right, strict=True)
        ]

    def multiply(self, V: np.ndarray) -> np.ndarray:
        """The product with V, shape (m, p), in O(m (n_1 + ... + n_d) p)."""
        T = V.reshape(*self._shape, V.shape[1])
        for axis, factor in enumerate(self._factors):
            T = along(T, axis, factor)
        return self._scale * np.ascontiguousarray(T).reshape(self._rows, V.shape[1])


def _factor(kernel: Any, a: np.ndarray, b: np.ndarray | None) -> Factor:
    a = a.astype(np.float64)
    if b is None and len(a) >= _FFT and step_of(a) is not None and "stationary" in kr.capabilities(kernel):
        return ToeplitzProduct(difference_table(kernel, [a])).multiply
    left = a[:, None]
    right = left if b is None else b.astype(np.float64)[:, None]
    if max(len(left), len(right)) > _DENSE:
        return lambda V: np.asarray(kr.matvec(kernel, left, V, None if b is None else right))
    K = np.asarray(kernel(left) if b is None else kernel(left, right))
    return lambda V: K @ V


class KroneckerSystem:
    """c (K_1 x ... x K_d) by eigenvalues and eigenvectors of its factors: O(sum n_i^3) once, O(n sum n_i) a solution.

    Parameters
    ----------
    scale : float
        c, at least 0.
    kernels : list of kernels
        Positive semi-definite, one for each coordinate.
    axes : list of ndarray
    """

    def __init__(self, scale: float, kernels: list[Any], axes: list[np.ndarray]) -> None:
        self._shape = [len(axis) for axis in axes]
        self._vectors, values = [], np.array([scale])
        for kernel, axis in zip(kernels, axes, strict=True):
            w, Q = np.linalg.eigh(np.asarray(kernel(axis.astype(np.float64)[:, None])))
            self._vectors.append(Q)
            values = (values[:, None] * np.maximum(w, 0.0)).ravel()  # negative by rounding only
        self._values = values

    def _shifted(self, noise: float) -> np.ndarray:
        shifted = self._values + noise
        if not shifted.min() > max(self._shape) * np.finfo(np.float64).eps * shifted.max():
            raise not_positive()
        return shifted

    def solve(self, B: np.ndarray, noise: float) -> np.ndarray:
        """(K + noise I)^-1 B, shape (n, p)."""
        shifted = self._shifted(noise)
        T = B.reshape(*self._shape, B.shape[1])
        for axis, Q in enumerate(self._vectors):
            T = along(T, axis, Q.T.__matmul__)
        T = (np.ascontiguousarray(T).reshape(B.shape) / shifted[:, None]).reshape(*self._shape, B.shape[1])
        for axis, Q in enumerate(self._vectors):
            T = along(T, axis, Q.__matmul__)
        return np.ascontiguousarray(T).reshape(B.shape)

    def logdet(self, noise: float) -> float:
        """log det(K + noise I)."""
        return float(np.log(self._shifted(noise)).sum())
