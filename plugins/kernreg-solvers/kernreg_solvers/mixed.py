"""(K + alpha I) x = b to float64's accuracy from a Cholesky factor in float32: half the time, no more memory.

The factor stands in one triangle of K, the exact matrix in the other; residuals in float64 correct what float32
lost, as long as K + alpha I is not too ill-conditioned for that. Nothing here knows about estimators or kernels.
"""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import blas

from kernreg_core.threads import pinned_blas

from .blocked import BlockFactor
from .linalg import mirror_down

#: Below this size a factorisation in float64 takes no time worth saving.
LEAST = 1000
#: Largest eigenvalue over alpha beyond which float32 is not tried: each correction then gains less than a digit.
_HARDEST = 1e6
_ROUNDS = 30


def upper_times(K: np.ndarray, V: np.ndarray) -> np.ndarray:
    """K V of a symmetric `K`, C order, of which only the upper triangle is read; `V` of shape (n, k)."""
    if V.shape[1] <= 4:  # a product with one vector reads K once, at full bandwidth
        return np.column_stack([blas.dsymv(1.0, K.T, column, lower=1) for column in V.T])
    return np.asarray(blas.dsymm(1.0, K.T, V, lower=1))


def largest_eigenvalue(K: np.ndarray, steps: int = 5) -> float:
    """The largest |eigenvalue| of a symmetric `K` by a few steps of the power method: at most a little too small."""
    v = np.random.default_rng(0).standard_normal((K.shape[0], 1)) + 1.0
    size = 0.0
    for _ in range(steps):
        v /= max(float(np.linalg.norm(v)), np.finfo(np.float64).tiny)
        v = upper_times(K, v)
        size = float(np.linalg.norm(v))
    return size


class RefinedSolver:
    r"""Solves (K + alpha I) x = B to the backward error of a factorisation in float64, or says that it cannot.

    Iterative refinement: with x' = x + F(b - (K + alpha I) x), F the inverse by the factor in float32 and the
    residual in float64, the error falls by about :math:`2^{-24} \lambda_{max}(K) / \alpha` in each round. It ends at
    :math:`|r| \le \varepsilon (\lambda_{max} + \alpha) |x| + \varepsilon |b|`, or where a round gains nothing more.

    Parameters
    ----------
    K : ndarray, shape (n, n), float64, C order, symmetric
        Only the upper triangle is read; the strict lower one is overwritten until :meth:`restore`.

    References
    ----------
    .. [1] A. Buttari, J. Dongarra, J. Langou et al., "Mixed precision iterative refinement techniques for the
       solution of dense linear systems", International Journal of High Performance Computing Applications 21, 2007.
    """

    def __init__(self, K: np.ndarray) -> None:
        self._K = K
        self._scale: float | None = None
        self._intact = True

    def solve(self, alpha: float, B: np.ndarray) -> np.ndarray | None:
        """x, shape (n, k); None where K is small, the system too hard, or B too wide for this to pay."""
        n = len(self._K)
        if n < LEAST or B.shape[1] > n // 50 or not alpha > 0:
            return None
        # threads of our own: those of two BLAS libraries, NumPy's and SciPy's, would wait for each other
        with pinned_blas():
            if self._scale is None:
                self._scale = largest_eigenvalue(self._K)
            if not self._scale <= _HARDEST * alpha:  # NaN too
                return None
            self._intact = False
            factor = BlockFactor(self._K, alpha)
            return self._refined(factor, alpha, B, self._scale) if factor.complete else None

    def restore(self) -> None:
        """Make K's lower triangle again what it was."""
        if not self._intact:
            mirror_down(self._K)
            self._intact = True

    def _refined(self, factor: BlockFactor, alpha: float, B: np.ndarray, scale: float) -> np.ndarray | None:
        eps = float(np.finfo(np.float64).eps)
        x, r = np.zeros_like(B), B
        sizes = np.linalg.norm(B, axis=0)
        left, goal = np.full(B.shape[1], math.inf), sizes
        for _ in range(_ROUNDS):
            with np.errstate(all="ignore"):  # what is not finite is seen below
                moved = x + _scaled_solve(factor, r)
            rest = B - upper_times(self._K, moved) - alpha * moved
            now = np.linalg.norm(rest, axis=0)
            if not np.isfinite(now).all():
                return None
            better, gains = now < left, bool((now < 0.5 * left).any())
            x, r, left = np.where(better, moved, x), np.where(better, rest, r), np.where(better, now, left)
            goal = eps * ((scale + alpha) * np.linalg.norm(x, axis=0) + sizes)
            if (left <= goal).all() or not gains:
                break
        # the residual of a factorisation in float64 is no smaller than this
        return x if (left <= math.sqrt(len(B)) * goal).all() else None


def _scaled_solve(factor: BlockFactor, r: np.ndarray) -> np.ndarray:
    """The factor's solution for columns brought to size 1: small residuals would be subnormal in float32."""
    size = np.linalg.norm(r, axis=0)
    size[size == 0] = 1.0
    return factor.solve(r / size) * size
