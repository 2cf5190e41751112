"""Monomials of d variables: the explicit feature maps of polynomial and ANOVA kernels."""

from __future__ import annotations

import math
import sys
from itertools import combinations, combinations_with_replacement
from typing import Any

import numpy as np

from kernreg_core.arrays import is_torch
from kernreg_core.errors import InputError

#: Explicit features beyond this many columns cost more than the Gram matrix they replace.
MOST_FEATURES = 65_536


def _check_count(count: int, d: int, degree: int) -> None:
    if count > MOST_FEATURES:
        raise InputError(
            f"X: expected data whose explicit features have at most {MOST_FEATURES:,} columns, got {d} features, which "
            f"make {count:,} at degree {degree}: use the Gram matrix, a lower degree or fewer features"
        )


def monomial_count(d: int, degree: int, *, homogeneous: bool) -> int:
    """How many :func:`monomials` there are."""
    return math.comb(d + degree - homogeneous, degree)


def monomials(d: int, degree: int, *, homogeneous: bool) -> tuple[np.ndarray, np.ndarray]:
    """The monomials of `degree` in d + 1 variables, the last of them a constant.

    Parameters
    ----------
    d, degree : int
    homogeneous : bool
        Leave out those with the constant.

    Returns
    -------
    columns : ndarray of int, shape (D, degree)
        The factors of each; d is the constant.
    weights : ndarray, shape (D,)
        Square roots of the multinomial coefficients.
    """
    variables = d if homogeneous else d + 1
    count = monomial_count(d, degree, homogeneous=homogeneous)
    _check_count(count, d, degree)
    columns = np.array(list(combinations_with_replacement(range(variables), degree)), dtype=np.intp)
    weights = np.empty(count)
    for row, factors in enumerate(columns):
        _, times = np.unique(factors, return_counts=True)
        coefficient = math.factorial(degree)
        for repeated in times:
            coefficient //= math.factorial(int(repeated))
        weights[row] = math.sqrt(coefficient)
    return columns, weights


def subsets(d: int, degree: int) -> np.ndarray:
    """All sets of `degree` different columns out of d, shape (C(d, degree), degree)."""
    count = math.comb(d, degree)
    _check_count(count, d, degree)
    return np.array(list(combinations(range(d), degree)), dtype=np.intp).reshape(count, degree)


def monomial_features(X: Any, offset: Any, columns: np.ndarray, weights: np.ndarray | None) -> Any:
    """The monomials of the rows of `X`, with sqrt(offset) as a last variable, times `weights`.

    Returns
    -------
    array, shape (n, D)
    """
    if is_torch(X):
        constant = X.new_ones((X.shape[0], 1)) * offset**0.5
        X = sys.modules["torch"].cat([X, constant], 1)
    else:
        X = np.concatenate([X, np.full((X.shape[0], 1), float(offset) ** 0.5, X.dtype)], axis=1)
    found = X[:, columns[:, 0]]
    for factor in range(1, columns.shape[1]):
        found = found * X[:, columns[:, factor]]
    if weights is None:
        return found
    return found * (found.new_tensor(weights) if is_torch(found) else weights.astype(found.dtype))
