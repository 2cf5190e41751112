"""The factor of the landmarks' Gram matrix, and K L^-H for many rows of K: matrix products in cache, on all cores."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernreg_core.errors import InputError

#: Rows and columns of K that are worked on together: half a megabyte, and matrix products of a good shape.
ROWS = 512
_COLUMNS = 96
#: A landmark is dependent on the others where so little of k(z, z) is left, relative to it: kernels are evaluated to
#: about a hundredth of that, and what is divided by its root carries their errors.
DEPENDENT = {"float64": 1e-10, "float32": 1e-5}
#: Residuals beyond so many times that are no rounding: the matrix is not positive semi-definite.
_INDEFINITE = 100.0
#: Single precision is enough where the diagonal of the scaled factor is never below this.
_COARSE = 1.0 / 128.0


def precision(dtype: Any) -> str:
    """'float32' or 'float64', what values of `dtype` are accurate to."""
    return "float32" if np.dtype(dtype) in (np.dtype(np.float32), np.dtype(np.complex64)) else "float64"


def independent(K: np.ndarray, single: bool = False) -> tuple[np.ndarray, Whitening | None]:
    """Indices of rows of a positive semi-definite matrix that are independent and span the rest, to rounding.

    Parameters
    ----------
    K : ndarray, shape (m, m)
        float64 or complex128.
    single : bool
        Whether its values are accurate to single precision only.

    Returns
    -------
    kept : ndarray of int, shape (r,)
        All of them in their order where a Cholesky factorisation succeeds, else the pivots of a pivoted one.
    whitening : Whitening or None
        That of K, where all are kept.

    Raises
    ------
    InputError
        If the matrix is not positive semi-definite, or zero.
    """
    tol = DEPENDENT["float32" if single else "float64"]
    diagonal = K.diagonal().real
    if diagonal.min() < 0:
        raise _indefinite(f"k(z, z) = {diagonal.min():.3g} for a landmark z")
    positive = np.flatnonzero(diagonal > 0)
    if not positive.size:
        raise InputError("X: expected landmarks with k(z, z) > 0, got only some with k(z, z) = 0: nothing to factorise")
    C, _ = _scaled(K if positive.size == len(K) else K[np.ix_(positive, positive)])
    factor = _cholesky(C)
    if factor is not None and (factor.diagonal().real ** 2).min() > tol:
        kept = np.arange(positive.size)
        if kept.size == len(K):
            return kept, Whitening(K, factor)
    else:
        kept = _pivots(C, tol)
    zero = np.setdiff1d(np.arange(len(K)), positive)
    if zero.size and np.abs(K[zero]).max() > np.sqrt(tol) * diagonal.max():
        raise _indefinite("k(z, z) = 0 and k(z, y) not 0 for some landmarks y, z")
    return np.asarray(positive[kept]), None


def _indefinite(what: str) -> InputError:
    return InputError(
        f"kernel: expected one that is positive semi-definite on the landmarks, got {what}: Nystrom features exist for "
        "positive semi-definite kernels only; kernreg_core.numeric.nearest_psd repairs a matrix"
    )


def _cholesky(C: np.ndarray) -> np.ndarray | None:
    """The lower factor of a Hermitian matrix, None where it is not positive definite."""
    from scipy.linalg import get_lapack_funcs

    potrf: Any = get_lapack_funcs("potrf", (C,))
    factor, info = potrf(C.T, lower=0, clean=1)  # of the transpose, which lies in memory as LAPACK wants it
    return np.asarray(factor.T) if info == 0 else None


def _scaled(K: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`K` scaled to a unit diagonal, and the roots of its diagonal."""
    scale = np.sqrt(np.maximum(K.diagonal().real, np.finfo(np.float64).tiny))
    return (K if (scale == 1.0).all() else K / scale / scale[:, None]), scale


def _pivots(C: np.ndarray, tol: float) -> np.ndarray:
    """Pivots of a pivoted Cholesky factorisation of a matrix of unit diagonal, down to a residual of `tol`."""
    from scipy.linalg import get_lapack_funcs

    pstrf: Any = get_lapack_funcs("pstrf", (C,))
    factor, order, rank, _ = pstrf(C, tol=tol, lower=1)
    order = order - 1
    left = np.tril(factor)[rank:, :rank]
    dropped = order[rank:]
    residual = C[np.ix_(dropped, dropped)] - left @ left.conj().T
    if residual.size and np.abs(residual).max() > _INDEFINITE * tol:
        least = float(np.linalg.eigvalsh(residual)[0])
        raise _indefinite(f"an eigenvalue of about {least:.3g} relative to k(z, z)")
    return np.asarray(order[:rank])


class Whitening:
    """L of K = L L^H for the landmarks, and what is made of it.

    Parameters
    ----------
    K : ndarray, shape (m, m)
    scaled : ndarray, optional
        The Cholesky factor of K scaled to a unit diagonal, where it is known.

    Attributes
    ----------
    factor : ndarray, shape (m, m)
        L, lower triangular, float64 or complex128.
    jitter : float
        What had to be added to the diagonal of K, relative to its own entries; 0 as a rule.
    """

    def __init__(self, K: np.ndarray, scaled: np.ndarray | None = None) -> None:
        C, scale = _scaled(K)
        self.jitter = 0.0
        found = _cholesky(C) if scaled is None else scaled
        while found is None:
            self.jitter = 10.0 * self.jitter or 1e-12
            if self.jitter > 1e-4:
                raise _indefinite("a matrix that a jitter of 1e-4 does not make positive definite")
            found = _cholesky(C + self.jitter * np.eye(len(C)))
        diagonal = found.diagonal().real
        self.single = bool(diagonal.min() >= _COARSE * diagonal.max())
        self.factor = found if C is K else scale[:, None] * found
        self._weights: dict[Any, list[np.ndarray]] = {}

    def _steps(self, dtype: Any) -> list[np.ndarray]:
        """For each block of columns the matrix that makes it out of those before it and of itself.

        With F = K L^-H and blocks j: F_j = (K_j - F_<j L_j,<j^H) L_jj^-H, one product for [F_<j, K_j].
        """
        from scipy.linalg import solve_triangular

        found = self._weights.get(dtype)
        if found is None:
            found, L = [], self.factor
            for j in range(0, len(L), _COLUMNS):
                k = min(j + _COLUMNS, len(L))
                right = np.concatenate([-L[j:k, :j], np.eye(k - j)], axis=1)
                step = solve_triangular(L[j:k, j:k], right, lower=True).conj().T
                found.append(np.ascontiguousarray(step, dtype))
            self._weights[dtype] = found
        return found

    def apply(self, panel: np.ndarray) -> None:
        """K L^-H in place of K, for contiguous rows of it."""
        steps = self._steps(panel.dtype)
        block = np.empty(ROWS * min(_COLUMNS, len(self.factor)), panel.dtype)
        for start in range(0, len(panel), ROWS):
            rows = panel[start : start + ROWS]
            for i, step in enumerate(steps):
                j, k = i * _COLUMNS, i * _COLUMNS + step.shape[1]
                out = block[: len(rows) * (k - j)].reshape(len(rows), k - j)
                np.matmul(rows[:, :k], step, out=out)
                rows[:, j:k] = out

    def solve(self, B: np.ndarray) -> np.ndarray:
        """(L L^H)^-1 B."""
        from scipy.linalg import cho_solve

        return np.asarray(cho_solve((self.factor, True), B))
