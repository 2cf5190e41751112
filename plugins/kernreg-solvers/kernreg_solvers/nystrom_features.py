"""Nystrom features phi(x) = M^T k(Z, x) of centres Z, whose inner products stand for the kernel; in blocks of rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.linalg import eigh

import kernreg_core as kr
from kernreg_core.arrays import is_torch
from kernreg_core.errors import InputError

from .linalg import blas_threads
from .mixin import _check_symmetric, as_numpy
from .operator import KernelOperator, widened


class NystromFeatures:
    r"""The projection on the span of the centres in the kernel's space, in orthonormal coordinates.

    With :math:`k(Z, Z) = U S U^T` and :math:`M = U_r S_r^{-1/2}`, where r counts the eigenvalues above rounding,

    .. math:: \phi(x) = M^T k(Z, x), \qquad
       \phi(x)^T \phi(y) = k(x, Z)\, k(Z, Z)^+ k(Z, y) \approx k(x, y).

    Parameters
    ----------
    kernel : kernel
        Positive semi-definite; fitted where it has to be.
    Z : array, tensor or sequence, m items
    in_float64 : bool
        Whether float32 items are taken as float64, block by block, so that the features are exact to that.

    Attributes
    ----------
    M : ndarray, shape (m, r)
    rank : int
        r: below m where centres repeat each other to working precision.

    Raises
    ------
    InputError
        If k(Z, Z) is not positive semi-definite, or all zero.
    """

    def __init__(self, kernel: Any, Z: Any, *, in_float64: bool = False) -> None:
        self.in_float64 = in_float64
        self.kernel, self.Z = kernel, (widened(Z) if in_float64 else Z)
        Z = self.Z
        K = np.array(as_numpy(kr.gram(kernel, Z, progress=False)), dtype=np.float64)
        if not np.isfinite(K).all():
            raise not_finite(kernel)
        _check_symmetric(K, "kernel")
        with blas_threads(len(K)):
            values, vectors = eigh((K + K.T) / 2, overwrite_a=True, check_finite=False)
        top = float(values[-1])
        if values[0] < -1e-5 * abs(top) or top <= 0:
            raise InputError(
                f"kernel: k(Z, Z) of the {len(K)} centres has eigenvalues from {values[0]:.3g} to {top:.3g}: a Nystrom "
                "approximation takes a positive semi-definite kernel that is not zero; other ways take any matrix"
            )
        # what the entries' rounding can make of a zero
        kept = values > 4.0 * len(K) * precision(Z) * top
        self.M = vectors[:, kept] / np.sqrt(values[kept])
        self.rank = int(kept.sum())

    def operator(self, X: Any) -> KernelOperator:
        """k(X, Z) in blocks."""
        return KernelOperator(self.kernel, X, self.Z, in_float64=self.in_float64)

    def of(self, X: Any) -> np.ndarray:
        """phi of each item, shape (n, r)."""
        return self.operator(X).times(self.M)

    def moments(self, X: Any, targets: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """sum_i phi(x_i) phi(x_i)^T, (r, r), and sum_i phi(x_i) y_i^T, (r, t); y_i = 1 by default. One pass."""
        operator = self.operator(X)
        M = operator.operand(self.M)
        Y = np.ones((operator.shape[0], 1)) if targets is None else targets

        def body(rows: slice, K: Any) -> Any:
            F = as_numpy(K @ M).astype(np.float64, copy=False)
            return F.T @ np.hstack([F, Y[rows]])

        with np.errstate(invalid="ignore", over="ignore"):  # seen in the sums
            found = operator.reduce(body, (self.rank, self.rank + Y.shape[1]))
        if not np.isfinite(found).all():
            raise not_finite(self.kernel)
        return found[:, : self.rank], found[:, self.rank :]


def not_finite(kernel: Any) -> InputError:
    """The error of a kernel that gives NaN or infinity."""
    return InputError(
        f"kernel: {kernel!r} gave NaN or infinite values for these items: "
        "scale the data, or change the kernel's parameters"
    )


def all_finite(products: np.ndarray, kernel: Any) -> np.ndarray:
    """`products` with values of the kernel, unless NaN or infinity is among them.

    Raises
    ------
    InputError
    """
    if not np.isfinite(products).all():
        raise not_finite(kernel)
    return products


def precision(Z: Any) -> float:
    """Of a kernel's values on these items: the unit of rounding of their dtype, that of float64 for objects."""
    if is_torch(Z):
        return 2.0**-52 if Z.element_size() == 8 else 2.0**-23
    dtype = getattr(Z, "dtype", None)
    return float(np.finfo(dtype).eps) if dtype == np.float32 else float(np.finfo(np.float64).eps)
