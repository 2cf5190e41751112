"""Pivoted Cholesky of :mod:`kernreg_core.numeric`: one column of the matrix at a time, or a block of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._linalg import Array, count, floating, generator, square
from .errors import InputError

#: A function from an int to a column, or from an array of b ints to b columns.
Columns = Callable[[Any], ArrayLike]


def pivoted_cholesky(
    diagonal: ArrayLike | None,
    columns: ArrayLike | Columns,
    rank: int,
    *,
    tol: float = 1e-10,
    method: str = "greedy",
    rng: int | np.random.Generator | None = None,
    block: int = 1,
    entries: Callable[[NDArray[np.int64]], ArrayLike] | None = None,
) -> tuple[Array, NDArray[np.int64]]:
    r"""Partial Cholesky factor of a positive semi-definite matrix from its diagonal and a few columns.

    .. math:: K \approx L L^H, \qquad K_{:, p} = (L L^H)_{:, p} \text{ at the pivots } p

    The next pivot is the largest entry of the residual's diagonal (``greedy``) or drawn with probability in
    proportion to it (``random``: RPCholesky). Time O(n r^2), memory O(n r), and r columns of K.

    Parameters
    ----------
    diagonal : array_like, shape (n,), or None
        Diagonal of K; None where ``columns`` is the matrix.
    columns : array_like, shape (n, n), or callable
        K, or the function that returns its columns: int -> (n,), or, with a ``block`` above 1, an array of b
        integers -> (n, b).
    rank : int, at least 1
        Largest number of columns.
    tol : float, at least 0
        Ends when trace(K - L L^H) <= tol trace(K).
    method : "greedy" or "random"
    rng : int, numpy.random.Generator or None
        Used by ``random`` alone.
    block : int, at least 1
        Pivots that are proposed together, so that columns are asked for, and eliminated, many at a time. Proposals
        that would not have been the next pivot are turned down, so the law of the pivots (``random``), and the
        pivots themselves (``greedy``), are those of ``block=1``; the draws of a seed are not.
    entries : callable (b,) -> (b, b), optional
        The entries of K between some items. With it whole columns are asked for pivots only; without it for every
        proposal. Not used with ``block=1``.

    Returns
    -------
    L : ndarray, shape (n, r), r <= rank
    pivots : ndarray of int, shape (r,)

    Raises
    ------
    InputError
        If K is found not to be positive semi-definite, or an argument is not of its shape or range.

    References
    ----------
    Harbrecht, Peters and Schneider, "On the low-rank approximation by the pivoted Cholesky decomposition", 2012,
    doi:10.1016/j.apnum.2011.10.001. Chen et al., "Randomly pivoted Cholesky", 2022, arXiv:2207.06503. Epperly, Tropp
    and Webber, "Embrace rejection: kernel matrix approximation by accelerated randomly pivoted Cholesky", 2024,
    arXiv:2410.03969 (blocks).

    Examples
    --------
    >>> L, pivots = pivoted_cholesky(None, [[4.0, 2.0], [2.0, 5.0]], rank=2)
    >>> pivots, (L @ L.T).round(12)
    (array([1, 0]), array([[4., 2.], [2., 5.]]))
    """
    rank, block, rng = count("rank", rank, 1), count("block", block, 1), generator(rng)
    if method not in ("greedy", "random") or not tol >= 0:
        raise InputError(f"method={method!r} must be 'greedy' or 'random', and tol={tol!r} at least 0.")
    if not callable(columns):
        matrix = square("columns", columns)
        diagonal = matrix.diagonal() if diagonal is None else diagonal
        columns, entries = _columns_of(matrix, block), lambda index: matrix[np.ix_(index, index)]
    elif diagonal is None:
        raise InputError("diagonal=None is possible only where columns is the matrix itself.")
    d = floating("diagonal", diagonal).real.copy()
    if d.ndim != 1 or not d.size:
        raise InputError(f"diagonal has shape {d.shape}; (n,) with n >= 1 was expected.")
    partial = _Partial(d, min(rank, d.size), tol)
    while not partial.finished():
        size = min(block, partial.rank - partial.r)
        chosen, bound = _proposals(partial.d, size, method, rng)
        partial.extend(chosen, bound, columns, entries if block > 1 else None, method, rng)
    return partial.factor[: partial.r].T, partial.pivots


def _columns_of(matrix: Array, block: int) -> Columns:
    return matrix.T.__getitem__ if block == 1 else lambda index: matrix[:, index]


def _proposals(d: Array, size: int, method: str, rng: np.random.Generator) -> tuple[NDArray[np.int64], float]:
    """Candidates for the next pivots, and the largest residual among the other items."""
    if method == "random":
        weights = d.astype(np.float64)  # Generator.choice refuses sums that are 1 in single precision only
        return rng.choice(d.size, size, p=weights / weights.sum()), 0.0
    if size == 1:
        return np.array([d.argmax()]), 0.0
    order = np.argsort(-d, kind="stable")[: size + 1]  # of equal ones the first, as argmax has it
    return np.sort(order[:size]), float(d[order[size]]) if order.size > size else 0.0


class _Partial:
    """The factor so far, as rows of L^T, and the diagonal `d` of what it leaves."""

    def __init__(self, d: Array, rank: int, tol: float) -> None:
        self.d, self.rank = d, rank
        self.enough = max(tol * float(d.sum()), 0.0)
        self.slack = math.sqrt(np.finfo(d.dtype).eps) * abs(float(d.max()))
        self.factor: Array = np.zeros((0, d.size), dtype=d.dtype)
        self.pivots: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    @property
    def r(self) -> int:
        return int(self.pivots.size)

    def finished(self) -> bool:
        """Whether the rank or the tolerance is reached; the residual's diagonal is checked and clipped on the way."""
        d = self.d
        if d.min() < -self.slack:
            raise InputError(f"columns is not positive semi-definite: a residual of {d.min():.3g} is on its diagonal.")
        np.maximum(d, 0, out=d)
        d[self.pivots] = 0
        return self.r == self.rank or float(d.sum()) <= self.enough

    def extend(
        self,
        chosen: NDArray[np.int64],
        bound: float,
        columns: Columns,
        entries: Callable[[NDArray[np.int64]], ArrayLike] | None,
        method: str,
        rng: np.random.Generator,
    ) -> None:
        """Eliminate those of the `chosen` items that are accepted as pivots."""
        if chosen.size == 1:
            kept, root = chosen, np.sqrt(self.d[chosen])[:, None]
            rows = self._rows(columns(int(chosen[0])) if entries is None else columns(chosen), kept)
        else:
            found = self._columns(columns(chosen), chosen) if entries is None else None
            square = found[chosen] if found is not None else self._square(entries, chosen)  # type: ignore[arg-type]
            known = self.factor[: self.r, chosen]
            where, root = _accepted(square - known.T @ known.conj(), chosen, self.d[chosen], bound, method, rng)
            kept = chosen[where]
            rows = self._rows(columns(kept) if found is None else found[:, where], kept)
        if kept.size > 1:
            rows = np.linalg.solve(root.conj(), np.eye(kept.size, dtype=root.dtype)) @ rows
        else:
            rows /= root
        self._append(rows, kept)

    def _columns(self, values: ArrayLike, index: NDArray[np.int64]) -> Array:
        """`values` as the (n, b) columns of K at `index`."""
        array = floating("columns", values)
        if array.ndim == 1 and index.size == 1:
            array = array[:, None]
        if array.shape != (self.d.size, index.size):
            which = int(index[0]) if index.size == 1 else f"{index.size} items"
            raise InputError(f"columns({which}) has shape {array.shape}; ({self.d.size}, {index.size}) was expected.")
        return array

    def _square(self, entries: Callable[[NDArray[np.int64]], ArrayLike], index: NDArray[np.int64]) -> Array:
        array = floating("entries", entries(index))
        if array.shape != (index.size, index.size):
            raise InputError(f"entries of {index.size} items has shape {array.shape}; a square matrix was expected.")
        return array

    def _rows(self, values: ArrayLike, index: NDArray[np.int64]) -> Array:
        """The residual's columns at `index`, as rows (b, n)."""
        known = self.factor[: self.r]
        residual: Array = self._columns(values, index).T - known[:, index].conj().T @ known
        return residual

    def _append(self, rows: Array, kept: NDArray[np.int64]) -> None:
        """Take over as many of the new rows as the tolerance asks for."""
        rows[:, self.pivots] = 0
        for i in range(1, kept.size):
            rows[i, kept[:i]] = 0
        squares = (rows * rows.conj()).real
        if kept.size > 1:  # no more columns than one at a time would have given
            left = np.maximum(self.d, 0).sum() - squares.sum(axis=1).cumsum()
            enough = np.flatnonzero(left <= self.enough)
            if enough.size:
                rows, kept, squares = (part[: enough[0] + 1] for part in (rows, kept, squares))
        start, stop = self.r, self.r + kept.size
        if stop > self.factor.shape[0]:  # grow by doubling: rank may be far above what tol needs
            room = min(max(8, self.factor.shape[0], kept.size), self.rank - start)
            more = np.zeros((room, self.d.size), np.result_type(rows, self.factor))
            self.factor = np.concatenate([self.factor, more])
        self.factor[start:stop] = rows
        self.d -= squares.sum(axis=0)
        self.pivots = np.append(self.pivots, kept)


def _accepted(
    residual: Array,
    chosen: NDArray[np.int64],
    before: Array,
    bound: float,
    method: str,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int64], Array]:
    """Which proposals become pivots, in order, and the Cholesky factor (t, t) of the residual between them.

    Parameters
    ----------
    residual : ndarray, shape (b, b)
        Between the proposals; overwritten.
    chosen : ndarray of int, shape (b,)
        The proposals; random ones may occur more than once.
    before : ndarray, shape (b,)
        Its diagonal as it was when they were proposed.
    bound : float
        Of ``greedy``: no other item has a larger residual.
    """
    size = before.size
    thresholds = rng.random(size) * before if method == "random" else np.empty(0)
    kept: list[int] = []
    root = np.zeros((size, size), dtype=residual.dtype)
    for step in range(size):
        left = residual.diagonal().real
        i = step if method == "random" else int((left if kept else before).argmax())
        # the first proposal is a pivot by construction; a residual that fell since then is drawn less often
        if kept and (left[i] <= thresholds[i] if method == "random" else left[i] <= bound):
            if method == "random":
                continue
            break
        # the first residual was known before; computed anew it may differ by rounding, and even be negative
        pivot = float(left[i] if kept else before[i])
        column = residual[:, i] / math.sqrt(pivot)
        column[i] = math.sqrt(pivot)
        root[:, len(kept)] = column
        residual -= np.outer(column, column.conj())
        same = chosen == chosen[i]
        residual[same], residual[:, same] = 0, 0
        kept.append(i)
    where = np.array(kept, dtype=np.int64)
    return where, np.tril(root[where, : where.size])
