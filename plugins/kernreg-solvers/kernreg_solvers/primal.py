"""Ridge regression on features whose sums, or whose Gram matrix, are there."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from kernreg_core.arrays import is_sparse, is_torch
from kernreg_core.memory import guard_memory

from .dual import solve_dual, warn_singular
from .linalg import ShiftedSystem
from .mixin import as_numpy
from .moments import Moments, NormalEquations


class Solution(NamedTuple):
    """Coefficients (D, t), intercepts (t,), penalties (t,); errors (t,) and the method that chose, or None."""

    coefficients: np.ndarray
    intercepts: np.ndarray
    alphas: np.ndarray
    errors: np.ndarray | None
    method: str | None


class DualFeatures:
    """More columns than rows: the Gram matrix of the features takes the normal matrix's place.

    Parameters
    ----------
    Z : ndarray or csr matrix, shape (n, D), float64
    Y : ndarray, shape (n, t)
    weights : ndarray, shape (n,), optional
    own : bool
        Whether to copy these three, for later solutions: features may be the user's own rows.
    """

    def __init__(self, Z: Any, Y: np.ndarray, weights: np.ndarray | None, own: bool = False) -> None:
        guard_memory((len(Y), len(Y)), np.float64, what="the Gram matrix of the features")
        if own:
            Z, Y, weights = Z.copy(), Y.copy(), None if weights is None else weights.copy()
        self._Z, self._Y, self._weights = Z, Y, weights
        K = Z @ Z.T
        self._K = np.ascontiguousarray(K.toarray() if is_sparse(K) else K)

    def moments(self, centred: bool) -> Moments:
        """The sums of the same rows."""
        found = Moments(self._Z.shape[1], self._Y.shape[1], centred)
        found.add(self._Z, self._Y, self._weights)
        return found

    def solve(self, alpha: np.ndarray | str, intercept: bool, *, keep: bool, stacklevel: int) -> Solution:
        K = self._K.copy() if keep else self._K
        found = solve_dual(
            K, self._Y, alpha, weights=self._weights, intercept=intercept, definite=True, stacklevel=stacklevel + 1
        )
        coefficients = np.asarray(self._Z.T @ found.coefficients)
        method = alpha if isinstance(alpha, str) else None
        return Solution(coefficients, found.intercepts, found.alphas, found.errors, method)


def host_rows(Z: Any) -> Any:
    """Features on the host in float64."""
    Z = as_numpy(Z)
    return Z.tocsr().astype(np.float64, copy=False) if is_sparse(Z) else np.asarray(Z, dtype=np.float64)


def times(Z: Any, V: np.ndarray) -> Any:
    """Z V, where Z lives."""
    if is_torch(Z):
        return Z.double() @ Z.new_tensor(V, dtype=Z.double().dtype)
    return np.asarray(Z @ V)


def solve_equations(equations: NormalEquations, alphas: np.ndarray, stacklevel: int) -> np.ndarray:
    """Coefficients for given penalties, one factorisation for each distinct one; overwrites the equations."""
    coefficients = np.empty_like(equations.B)
    distinct = np.unique(alphas)
    for number, alpha in enumerate(distinct):
        columns = alphas == alpha
        A = equations.A if number == len(distinct) - 1 else equations.A.copy()
        system = ShiftedSystem(A, float(alpha), definite=True)
        warn_singular(system, stacklevel + 1, "normal matrix of the features")
        coefficients[:, columns] = system.solve(equations.B[:, columns])
    return coefficients
