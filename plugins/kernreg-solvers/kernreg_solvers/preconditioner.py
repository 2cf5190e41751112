r"""A low-rank approximation of a Gram matrix as a preconditioner, :math:`P = F F^T + \alpha I`, and its inverse."""

from __future__ import annotations

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from kernreg_core.errors import InputError
from kernreg_core.numeric import pivoted_cholesky

from .linalg import blas_threads
from .symmetric import GramInMemory, GramOfItems

#: Pivots that are chosen together: one pass of products for all of them.
_BLOCK = 64


def partial_factor(gram: GramInMemory | GramOfItems, rank: int, method: str, seed: int) -> np.ndarray:
    """F of shape (n, r), r <= `rank`, with F F^T near the Gram matrix, by pivoted Cholesky.

    Parameters
    ----------
    gram : GramInMemory or GramOfItems
    rank : int
    method : {'random', 'greedy'}
        How pivots are chosen.
    seed : int

    Raises
    ------
    InputError
        If the matrix is found not to be positive semi-definite.
    """
    block = min(_BLOCK, max(1, rank // 4))
    try:
        F, _ = pivoted_cholesky(
            gram.diagonal(),
            gram.columns,
            rank,
            tol=1e-14,
            method=method,
            rng=seed,
            block=block,
            entries=gram.entries if block > 1 else None,
        )
    except InputError as error:
        if "positive semi-definite" not in str(error):
            raise
        raise InputError(
            f"kernel: is not positive semi-definite on these items, which pivoted Cholesky needs ({error}): "
            "take preconditioner=None, or solver.krr, which says how large alpha has to be"
        ) from error
    return F


class LowRankPlusDiagonal:
    r"""Applies :math:`P^{-1} = (I - F (\alpha I + F^T F)^{-1} F^T) / \alpha`, in O(n r) for each column.

    On vectors orthogonal to `border` where there is one: the inverse of P restricted to them,
    :math:`P^{-1} - P^{-1} s s^T P^{-1} / (s^T P^{-1} s)`.

    Parameters
    ----------
    F : ndarray, shape (n, r)
    alpha : float
        Above 0.
    border : ndarray, shape (n,), optional
        s.
    """

    def __init__(self, F: np.ndarray, alpha: float, border: np.ndarray | None = None) -> None:
        self._F, self._alpha = F, alpha
        with blas_threads(len(F)):
            inner = F.T @ F
            inner.flat[:: F.shape[1] + 1] += alpha
            self._factor = cho_factor(inner, lower=True, overwrite_a=True, check_finite=False)
        self._border = border
        if border is not None:
            self._edge = self._inverse(border[:, None])
            self._strength = float(border @ self._edge[:, 0])

    def __call__(self, R: np.ndarray) -> np.ndarray:
        """The preconditioned columns of `R`, shape (n, t)."""
        found = self._inverse(R)
        return found if self._border is None else found - self._edge * (self._border @ found / self._strength)

    def _inverse(self, R: np.ndarray) -> np.ndarray:
        with blas_threads(len(self._F)):
            inner = cho_solve(self._factor, self._F.T @ R, check_finite=False)
            return np.asarray((R - self._F @ inner) / self._alpha)
