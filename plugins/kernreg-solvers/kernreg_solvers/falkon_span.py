r"""The span of m centres in a kernel's space, in orthonormal coordinates, and Falkon's preconditioner there.

A function f = sum_j a_j k(., z_j) has the coordinates u = L^T a, with L L^T = k(Z, Z), and then |f| = |u|. The row
:math:`\phi_i = L^{-1} k(Z, x_i)` gives f(x_i) = phi_i^T u, so that least squares over the span is an ordinary ridge
regression on these rows. Its normal matrix is estimated from some of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
from scipy.linalg import blas, lapack

import kernreg_core as kr
from kernreg_core.arrays import describe
from kernreg_core.errors import InputError
from kernreg_core.threads import pinned_blas

from .linalg import blas_threads, psd_cholesky
from .mixin import as_numpy
from .operator import KernelOperator, widened

_EPS = float(np.finfo(np.float64).eps)
#: Jitter at most, as a fraction of the mean of k(z, z); of a matrix that was rounded to float32 on its way.
_MOST, _MOST_SINGLE = 1e-6, 1e-4
#: Jitters up to this many times the unit of rounding, times m, are rounding.
_ROUNDING = 1e3
#: Rows that are whitened at a time.
_ROWS = 512
#: Multiply-adds that take the time of one kernel value: what the choice of the sample's size weighs up.
_KERNEL = 60.0
#: Columns of a solution that BLAS's threads are worth.
_COLUMNS = 16
#: Rows of the sample, in numbers of centres.
_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
#: With this power of (effective dimension / rows) the error of conjugate gradients falls per step, as measured.
_RATE = 0.45


class Span:
    """Coordinates in the span of the centres.

    Parameters
    ----------
    kernel : kernel
        Positive semi-definite.
    Z : array, tensor or sequence, m items
        float32 is taken as float64.

    Attributes
    ----------
    L : ndarray, shape (m, m)
        Lower Cholesky factor of k(Z, Z) + jitter I.
    jitter : float
        The least that makes it possible: 0 where the centres are well apart.
    exact : bool
        Whether the jitter is rounding.
    squares : ndarray, shape (m,)
        The diagonal of k(Z, Z).

    Raises
    ------
    InputError
        If k(Z, Z) is not symmetric and positive semi-definite, not finite, or all zero.
    """

    def __init__(self, kernel: Any, Z: Any) -> None:
        given = as_numpy(kr.gram(kernel, widened(Z), progress=False))
        if given.ndim != 2 or given.dtype.kind not in "fiub" or not np.isfinite(given).all():
            raise InputError(
                f"kernel: {kernel!r} gave {describe(given)} of the centres, with NaN or infinite values among them or "
                "no real numbers: scale the data, or change the kernel's parameters"
            )
        single = given.dtype == np.float32
        M = np.asarray(given, dtype=np.float64)
        self.size = len(M)
        scale = float(np.abs(np.diagonal(M)).max())
        if "symmetric" not in kr.capabilities(kernel) and np.abs(M - M.T).max() > 1e-5 * max(scale, np.abs(M).max()):
            raise InputError("kernel: expected a symmetric kernel, got one whose k(Z, Z) differs from its transpose")
        if scale == 0.0:
            raise InputError("kernel: k(z, z) is zero at every centre, so that every function is: choose others")
        with blas_threads(self.size):
            factor = psd_cholesky(M, most=_MOST_SINGLE if single else _MOST)
        if factor is None:
            raise InputError(
                f"kernel: k(Z, Z) of the {self.size} centres has the eigenvalue {np.linalg.eigvalsh(M)[0]:.3g}, its "
                f"largest diagonal entry being {scale:.3g}: Falkon takes a positive semi-definite kernel "
                "(KernelRidge solves with others, too)"
            )
        self.L, self.jitter = factor
        self.squares = np.maximum(np.diagonal(M), 0.0)
        self.exact = self.jitter <= _ROUNDING * self.size * _EPS * float(self.squares.mean())

    def whiten(self, R: np.ndarray) -> np.ndarray:
        """L^-1 R: of sums over rows, sum_i k(Z, x_i) r_i^T, to those of phi_i r_i^T."""
        with _threads_for(R):
            return np.asarray(lapack.dtrtrs(self.L, R, lower=1)[0]).reshape(R.shape)

    def coefficients(self, U: np.ndarray) -> np.ndarray:
        """L^-T U: of coordinates to coefficients."""
        with _threads_for(U):
            return np.asarray(lapack.dtrtrs(self.L, U, lower=1, trans=1)[0]).reshape(U.shape)


class CentreRows:
    """The rows of the centres themselves, where they are drawn from the items: phi_j is row j of L.

    Attributes
    ----------
    index : ndarray, shape (m,)
        Which items they are.
    """

    def __init__(self, span: Span, index: np.ndarray) -> None:
        self._L = span.L
        self.index = index

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Parts of the rows, without their columns of zeros at the end."""
        for first in range(0, len(self._L), _ROWS):
            rows = slice(first, min(first + _ROWS, len(self._L)))
            yield rows, self._L[rows, : rows.stop]


class ItemRows:
    """The rows of some items.

    Parameters
    ----------
    span : Span
    operator : KernelOperator
        k(X, Z) of these items, or of all.
    index : sequence of int, s
        Which items they are.
    keep : bool
        Whether to keep the rows in memory from the first time on.
    """

    def __init__(
        self, span: Span, operator: KernelOperator, index: Sequence[int] | np.ndarray, keep: bool = False
    ) -> None:
        self._span, self._operator, self._keep = span, operator, keep
        self._kept: list[tuple[slice, np.ndarray]] = []
        self.index = index

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Parts of the rows, each in memory of its own."""
        if self._kept:
            yield from self._kept
            return
        made = []
        for first in range(0, len(self.index), _ROWS):
            rows = slice(first, min(first + _ROWS, len(self.index)))
            K = np.array(self._operator.values(rows), dtype=np.float64, order="C", copy=None)
            phi = blas.dtrsm(1.0, self._span.L, K.T, side=0, lower=1, overwrite_b=1).T
            if self._keep:
                made.append((rows, phi))
            yield rows, phi
        self._kept = made


Rows = CentreRows | ItemRows


class Moments:
    """Sums over rows phi: S = sum_j c_j phi_j phi_j^T (lower triangle), s = sum_j c_j phi_j, and sum_j c_j."""

    def __init__(self, size: int) -> None:
        self.square = np.zeros((size, size), order="F")
        self.first = np.zeros(size)
        self.total = 0.0

    def add(self, rows: Rows, weights: np.ndarray | None = None) -> Moments:
        """Add those of `rows`, with weights (s,) at least 0; 1 by default. Returns itself."""
        with blas_threads(len(self.square)):
            for part, phi in rows.blocks():
                width = phi.shape[1]
                if weights is None:
                    scaled, own = phi, np.ones(len(phi))
                else:
                    own = weights[part]
                    scaled = phi * np.sqrt(own)[:, None]
                corner = self.square[:width, :width]
                if width == len(self.square):
                    self.square = blas.dsyrk(1.0, scaled.T, beta=1.0, c=self.square, lower=1, overwrite_c=1)
                else:
                    corner += blas.dsyrk(1.0, scaled.T, lower=1)
                self.first[:width] += own @ phi
                self.total += float(own.sum())
        return self

    def covariance(self, total: float, intercept: bool) -> np.ndarray:
        """The normal matrix of rows whose weights sum to `total`, centred where there is an intercept; a new array."""
        found = self.square * (total / self.total)
        if intercept:
            mean = self.first / self.total
            found -= total * np.multiply.outer(mean, mean)
        return found


class Preconditioner:
    r"""The inverse of the normal matrix that a sample of rows gives, for coordinates and intercept together.

    With C the centred normal matrix and mu the mean of the rows, in the coordinates u = L^T a and b,

    .. math:: P = \begin{pmatrix} C + w \mu \mu^T + \alpha I & w \mu \\ w \mu^T & w \end{pmatrix}.

    For rows that are the centres, all of weight n / m, this is the preconditioner of Rudi et al., and A below theirs.

    Parameters
    ----------
    moments : Moments
        Of the sample.
    total : float
        w, the sum of the weights of all rows.
    alpha : float
        Above 0.
    intercept : bool
    """

    def __init__(self, moments: Moments, total: float, alpha: float, intercept: bool) -> None:
        self._total, self._alpha = total, alpha
        C = moments.covariance(total, intercept)
        C.flat[:: len(C) + 1] += alpha
        with blas_threads(len(C)):
            self._A, info = lapack.dpotrf(C, lower=1, clean=0, overwrite_a=1)
            if info:  # alpha is lost in rounding: the iterations do with a little more
                C = moments.covariance(total, False)
                C.flat[:: len(C) + 1] += alpha + _EPS * len(C) * float(np.diagonal(C).max())
                self._A, info = lapack.dpotrf(C, lower=1, clean=0, overwrite_a=1)
        if info:
            raise InputError(f"alpha: {alpha:g} is lost in the rounding of the normal matrix: take a larger one")
        self._mean = moments.first / moments.total if intercept else None

    def __call__(self, R: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """P^-1 of sums in coordinates `R`, shape (m, t), and of the intercepts' `r`, shape (t,)."""
        centred = R if self._mean is None else R - np.multiply.outer(self._mean, r)
        with _threads_for(R):
            U = lapack.dpotrs(self._A, centred, lower=1)[0]
        return U, np.zeros(len(r)) if self._mean is None else r / self._total - self._mean @ U

    def effective_dimension(self) -> float:
        """tr C (C + alpha I)^-1, from eight random signs."""
        size = len(self._A)
        signs = np.random.RandomState(0).choice([-1.0, 1.0], (size, 8))
        with blas_threads(size):
            solved = lapack.dtrtrs(self._A, signs, lower=1)[0]
        return max(1.0, size - self._alpha * float(np.square(solved).sum()) / 8)


def _threads_for(R: np.ndarray) -> AbstractContextManager[None]:
    """BLAS's threads for solutions of many columns alone: they spin on for a while, beside the pass that follows."""
    return blas_threads(len(R)) if R.ndim == 2 and R.shape[1] > _COLUMNS else pinned_blas()


def sample_size(n: int, m: int, dimension: float, tol: float, *, rounds: int = 1, kept: float = 0.0) -> int:
    """Rows with which all work is least: whitening them, and the passes over all rows that are then needed.

    Parameters
    ----------
    n, m : int
        Rows and centres.
    dimension : float
        The effective dimension.
    tol : float
        Of conjugate gradients.
    rounds : int
        How often the normal matrix is formed.
    kept : float
        The fraction of kernel values that need not be computed again.
    """
    one_pass = n * m * (_KERNEL * (1.0 - kept) + 12.0)
    best, least = n, n * m * m * (0.5 + 0.5 * rounds) + 3 * one_pass
    for factor in _SIZES:
        s = factor * m
        if s >= n:
            break
        steps = max(2.0, math.log(tol) / (_RATE * math.log(min(dimension / s, 0.9))))
        work = s * m * m * (0.5 + 0.5 * rounds) + s * m * _KERNEL + steps * one_pass
        if work < least:
            best, least = s, work
    return best


def draw_rows(n: int, size: int, weights: np.ndarray | None, rng: np.random.RandomState) -> np.ndarray:
    """`size` of `n` rows, drawn with their weights as probabilities, ascending."""
    if weights is None:
        return np.sort(rng.randint(0, n, size))
    summed = np.cumsum(weights)
    return np.minimum(np.searchsorted(summed, np.sort(rng.uniform(0.0, summed[-1], size)), side="right"), n - 1)
