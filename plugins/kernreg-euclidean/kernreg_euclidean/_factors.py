"""k(X, Y) V through explicit features, F(X) (F(Y)^T V): no kernel value is computed (NumPy)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernreg_core.arrays import is_sparse
from kernreg_core.threads import run_parallel

from ._monomials import MOST_FEATURES
from ._tiles import SERIAL_WORK

#: Numbers in a block of features, 1 MB, and the least rows of one.
BLOCK, LEAST_ROWS = 1 << 17, 64
#: Sums of F(Y)^T V that are formed side by side, and the numbers they may hold in all.
PARTS, PART_NUMBERS = 16, 1 << 21
#: What a feature costs, per factor of its product, in kernel values.
FEATURE_COST = 4


@dataclass(frozen=True)
class Factors:
    """A kernel as an inner product of features that are cheap to form.

    Attributes
    ----------
    features : callable
        ``features(X)``, shape (n, width), of rows X: any block of rows gives the same.
    width : int
    """

    features: Callable[[Any], Any]
    width: int


def pays(width: int, degree: int, n: int, m: int) -> bool:
    """Whether `width` features, products of `degree` numbers each, cost less than the values of k(X, Y)."""
    return width <= MOST_FEATURES and FEATURE_COST * width * degree * (n + m) <= n * m


def multiply_factors(factors: Factors, X: Any, Y: Any, V: np.ndarray) -> np.ndarray:
    """``F(X) (F(Y)^T V)``.

    Parameters
    ----------
    X, Y : ndarray or CSR array, shapes (n, d) and (m, d)
    V : ndarray, shape (m,) or (m, p)
        float32 or float64; float32 only where X and Y are.

    Returns
    -------
    ndarray, shape (n,) or (n, p), float64
        The same bits for any number of threads.
    """
    if is_sparse(X) or is_sparse(Y):
        inner = np.asarray(factors.features(Y).T @ V.astype(np.float64, copy=False))
        return np.asarray(factors.features(X) @ inner)
    inner = _inner(factors, Y, V).astype(V.dtype, copy=False)
    out = np.empty((X.shape[0], *V.shape[1:]))

    def outer(rows: slice) -> None:
        out[rows] = factors.features(X[rows]).astype(V.dtype, copy=False) @ inner

    _run(outer, _blocks(X, factors), X.shape[0] * inner.size)
    return out


def _inner(factors: Factors, Y: np.ndarray, V: np.ndarray) -> np.ndarray:
    """F(Y)^T V: blocks of rows in `V`'s precision, their sums in float64 and in a fixed order."""
    shape = (factors.width, *V.shape[1:])
    blocks = _blocks(Y, factors)
    count = max(1, min(PARTS, len(blocks), PART_NUMBERS // max(1, int(np.prod(shape)))))
    parts = np.zeros((count, *shape))

    def part(which: int) -> None:
        for rows in blocks[which::count]:
            parts[which] += factors.features(Y[rows]).astype(V.dtype, copy=False).T @ V[rows]

    _run(part, range(count), Y.shape[0] * parts[0].size)
    return parts.sum(axis=0)


def _blocks(X: np.ndarray, factors: Factors) -> list[slice]:
    step = max(LEAST_ROWS, BLOCK // factors.width)
    return [slice(first, first + step) for first in range(0, X.shape[0], step)]


def _run(function: Callable[[Any], None], tasks: Any, work: int) -> None:
    if work > SERIAL_WORK:
        run_parallel(function, tasks)
        return
    for task in tasks:
        function(task)
