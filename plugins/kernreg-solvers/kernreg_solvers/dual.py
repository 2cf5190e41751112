"""Ridge regression from a Gram matrix: weights, intercept, a penalty for each target, given or chosen."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from kernreg_core.errors import KernregWarning

from .linalg import ShiftedSystem, blas_threads
from .mixed import RefinedSolver
from .penalty import DualPath


class DualSolution(NamedTuple):
    """Coefficients (n, t), intercepts (t,), penalties (t,), and errors (t,) where the penalties were chosen."""

    coefficients: np.ndarray
    intercepts: np.ndarray
    alphas: np.ndarray
    errors: np.ndarray | None


def solve_dual(
    K: np.ndarray,
    Y: np.ndarray,
    alpha: np.ndarray | str,
    *,
    weights: np.ndarray | None = None,
    intercept: bool = False,
    definite: bool = False,
    stacklevel: int = 2,
) -> DualSolution:
    r"""Minimise :math:`\sum_i w_i |y_i - (K c)_i - b|^2 + \alpha c^T K c` for each column of `Y`.

    Parameters
    ----------
    K : ndarray, shape (n, n), float64, C order, symmetric
        Overwritten.
    Y : ndarray, shape (n, t), float64
    alpha : ndarray, shape (t,), or str
        Penalties, or the method that chooses them: 'loo', 'gcv'.
    weights : ndarray, shape (n,), optional
        At least 0, one of them positive.
    intercept : bool
    definite : bool
        Whether `K` is known to be positive semi-definite up to rounding.
    stacklevel : int
        Of a warning; 2 points at the caller.

    Warns
    -----
    KernregWarning
        If K + alpha W^-1 is not positive definite: the solution is then the least-squares one of least norm.
    """
    n, kept = len(K), None
    if weights is not None and not weights.all() and (isinstance(alpha, str) or not alpha.all()):
        # what has no weight is not there to be left out, and without a penalty its row of zeros is singular
        kept = np.flatnonzero(weights)
        K, Y, weights = np.ascontiguousarray(K[np.ix_(kept, kept)]), Y[kept], weights[kept]
    roots = None if weights is None else np.sqrt(weights)
    if roots is not None:
        K *= roots[:, None]
        K *= roots
        Y = Y * roots[:, None]
    with blas_threads(len(K)):
        if isinstance(alpha, str):
            path = DualPath(K, Y, roots, intercept)
            alphas, errors = path.choose(alpha)
            coefficients, intercepts = path.solve(alphas)
        else:
            alphas, errors = alpha, None
            border = (np.ones(len(K)) if roots is None else roots) if intercept else None
            coefficients, intercepts = _solve_given(K, Y, alphas, border, definite, stacklevel + 1)
    if roots is not None:
        coefficients *= roots[:, None]
    if kept is not None:
        full = np.zeros((n, Y.shape[1]))
        full[kept] = coefficients
        coefficients = full
    return DualSolution(coefficients, intercepts, alphas, errors)


def _solve_given(
    K: np.ndarray, Y: np.ndarray, alphas: np.ndarray, border: np.ndarray | None, definite: bool, stacklevel: int
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and intercepts, one factorisation for each distinct penalty."""
    coefficients, intercepts = np.empty_like(Y), np.zeros(Y.shape[1])
    distinct, refined = np.unique(alphas), RefinedSolver(K)
    for number, alpha in enumerate(distinct):
        columns, last = alphas == alpha, number == len(distinct) - 1
        right = Y[:, columns] if border is None else np.column_stack([Y[:, columns], border])
        null = None
        found = refined.solve(float(alpha), right)
        if found is None:
            refined.restore()
            system = ShiftedSystem(K if last else K.copy(), float(alpha), definite)
            warn_singular(system, stacklevel + 1)
            found = system.solve(right)
            null = None if border is None else system.null_part(border)
        if border is None:
            coefficients[:, columns] = found
            continue
        # the intercept makes the weighted residuals, which are alpha c, sum to zero; where
        # K + alpha I is singular they lie in its null space, which no coefficient reaches
        edge = found[:, -1]
        if null is None:
            intercepts[columns] = (border @ found[:, :-1]) / (border @ edge)
        else:
            intercepts[columns] = (null @ Y[:, columns]) / (null @ border)
        coefficients[:, columns] = found[:, :-1] - edge[:, None] * intercepts[columns]
    return coefficients, intercepts


def warn_singular(system: ShiftedSystem, stacklevel: int, matrix: str = "Gram matrix") -> None:
    """Say that the system had no Cholesky factor, why, and what silences this."""
    values = system.eigenvalues
    if values is None:
        return
    n, smallest, largest = len(values), float(values[0]), float(np.abs(values).max())
    if smallest < -n * np.finfo(np.float64).eps * largest:
        what = f"has the eigenvalue {smallest:.3g}, so the kernel is not positive semi-definite on these items"
        way = f"take alpha above {-smallest:.3g}, or a positive definite kernel, to have a minimum"
    else:
        what = f"plus alpha is singular to working precision (rank {system.rank} of {n})"
        way = f"take alpha above {n * np.finfo(np.float64).eps * largest:.1g} to silence this"
    warnings.warn(
        f"alpha={system.alpha:g}: the {matrix} {what}; the least-squares solution of least norm is taken: {way}",
        KernregWarning,
        stacklevel=stacklevel,
    )
