"""Preconditioners for a kernel on a grid of equal steps: circulant, and of low rank."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from kernreg_core.numeric import pivoted_cholesky
from kernreg_core.threads import num_threads

#: Columns of a factor of low rank, and numbers in it: 128 MB. Of a few points it may be the whole factor.
_RANK = 512
_NUMBERS = 1 << 24
_FEW = 1024


def preconditioner(table: np.ndarray, noise: float) -> Callable[[np.ndarray], np.ndarray]:
    """What applies an approximate inverse of K + noise I to a block of vectors, (n, p) -> (n, p).

    A partial Cholesky factorisation, where few columns leave no more than the noise (smooth kernels); elsewhere (rough
    kernels, short length scales) the nearest circulant array.

    Parameters
    ----------
    table : ndarray, shape (2 n_1 - 1, ..., 2 n_d - 1)
        The kernel at all differences of the grid.
    noise : float
    """
    low = LowRankPreconditioner(table, noise) if noise > 0 and table.any() else None
    return low if low is not None and low.left <= noise else CirculantPreconditioner(table, noise)


class LowRankPreconditioner:
    """(F F^T + noise I)^-1 for F of a randomly pivoted Cholesky factorisation.

    Attributes
    ----------
    left : float
        The mean of the diagonal of K - F F^T.
    """

    def __init__(self, table: np.ndarray, noise: float) -> None:
        shape = [(size + 1) // 2 for size in table.shape]
        n = math.prod(shape)
        variance = float(table[tuple(size - 1 for size in shape)])

        def columns(index: np.ndarray) -> np.ndarray:
            places = zip(*np.unravel_index(index, shape), strict=True)
            windows = [
                tuple(slice(m - 1 - i, 2 * m - 1 - i) for m, i in zip(shape, place, strict=True)) for place in places
            ]
            return np.stack([table[window].ravel() for window in windows], axis=1)

        def entries(index: np.ndarray) -> np.ndarray:
            places = np.unravel_index(index, shape)
            return np.asarray(table[tuple(i[:, None] - i + m - 1 for i, m in zip(places, shape, strict=True))])

        rank = n if n <= _FEW else max(2, min(_RANK, _NUMBERS // n))
        F, _ = pivoted_cholesky(
            np.full(n, variance),
            columns,
            rank,
            tol=0.01 * noise / variance,
            method="random",
            rng=0,  # fixed: the solution does not depend on it
            block=64,
            entries=entries,
        )
        self.left = variance - float(np.einsum("ij,ij->", F, F)) / n
        self._factor, self._noise = F, noise
        inner = F.T @ F
        inner[np.diag_indices_from(inner)] += noise
        self._inner = np.linalg.inv(np.linalg.cholesky(inner))

    def __call__(self, V: np.ndarray) -> np.ndarray:
        """The inverse times V, shape (n, p)."""
        coefficients = self._inner.T @ (self._inner @ (self._factor.T @ V))
        return np.asarray((V - self._factor @ coefficients) / self._noise)


class CirculantPreconditioner:
    """The inverse of the circulant array nearest to a Toeplitz one in Frobenius norm: positive definite as that is.

    Parameters
    ----------
    table : ndarray, shape (2 n_1 - 1, ..., 2 n_d - 1)
        t at all differences of the grid.
    noise : float
    """

    def __init__(self, table: np.ndarray, noise: float) -> None:
        from scipy import fft

        for axis, size in enumerate(table.shape):
            n = (size + 1) // 2
            parts = np.moveaxis(table, axis, 0)
            share = (np.arange(n) / n).reshape(-1, *[1] * (table.ndim - 1))
            # c_j = ((n - j) t_j + j t_(j - n)) / n
            wrapped = np.concatenate([np.zeros_like(parts[:1]), parts[: n - 1]])
            table = np.moveaxis((1.0 - share) * parts[n - 1 :] + share * wrapped, 0, axis)
        self.shape = table.shape
        self._axes = tuple(range(table.ndim))
        eigenvalues = fft.rfftn(table, axes=self._axes).real + noise
        floor = 1e-14 * float(eigenvalues.max())
        self._inverse = 1.0 / np.maximum(eigenvalues, floor)

    def __call__(self, V: np.ndarray) -> np.ndarray:
        """The inverse times V, shape (n, p)."""
        from scipy import fft

        waves = fft.rfftn(V.reshape(*self.shape, -1), axes=self._axes, workers=num_threads())
        waves *= self._inverse[..., None]
        return np.asarray(fft.irfftn(waves, self.shape, axes=self._axes, workers=num_threads())).reshape(V.shape)
