"""Symmetric Toeplitz matrices and their d-dimensional kin: products by FFT, solutions and determinants.

The factorisation is Schur's algorithm, which finds the reflection coefficients of a positive definite Toeplitz matrix,
in the divide-and-conquer form of Ammar and Gragg; solutions come from the formula of Gohberg and Semencul, refined
with products until the residual is rounding.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from kernreg_core.errors import InputError
from kernreg_core.threads import num_threads

#: Steps of Schur's algorithm that are done one by one before polynomials are multiplied.
_LEAF = 192
#: Numbers that are transformed together.
_CHUNK = 1 << 22
_REFINEMENTS = 8


class ToeplitzProduct:
    """Products with ``A[i, j] = t(i - j)``, i and j places of a grid, by embedding in a circulant array.

    Parameters
    ----------
    table : ndarray, shape (2 n_1 - 1, ..., 2 n_d - 1)
        t at all differences of places, from -(n_k - 1) to n_k - 1 along each axis.
    """

    def __init__(self, table: np.ndarray) -> None:
        from scipy import fft

        self.shape = tuple((size + 1) // 2 for size in table.shape)
        self._axes = tuple(range(len(self.shape)))
        self._size = [fft.next_fast_len(size, real=True) for size in table.shape]
        padded = np.zeros(self._size)
        padded[tuple(slice(0, size) for size in table.shape)] = table
        # the difference 0 goes to place 0, the negative ones to the end
        padded = np.roll(padded, [-(n - 1) for n in self.shape], self._axes)
        self._spectrum = fft.rfftn(padded, axes=self._axes, workers=num_threads())

    def multiply(self, V: np.ndarray) -> np.ndarray:
        """A V, shape (n, p), for V of that shape, n the number of places; float64."""
        from scipy import fft

        n, p = V.shape
        out = np.empty((n, p))
        step = max(1, _CHUNK // math.prod(self._size))
        inside = tuple(slice(0, size) for size in self.shape)
        for first in range(0, p, step):
            part = V[:, first : first + step].reshape(*self.shape, -1)
            waves = fft.rfftn(part, self._size, axes=self._axes, workers=num_threads())
            waves *= self._spectrum[..., None]
            found = fft.irfftn(waves, self._size, axes=self._axes, workers=num_threads())
            out[:, first : first + step] = found[inside].reshape(n, -1)
        return out


class _Steps(NamedTuple):
    """Some steps of Schur's algorithm: prediction errors before each, and the first row (p, q) of their polynomials.

    A step with the coefficient c takes the series u, v to (u - c v) / z and v - c u. The matrix of m steps has the
    second row z^m (q(1/z), p(1/z)).
    """

    errors: np.ndarray
    p: np.ndarray
    q: np.ndarray
    last: float  #: the prediction error after them


def _one_by_one(u: np.ndarray, v: np.ndarray) -> _Steps:
    m = len(u)
    errors, p, q = np.empty(m), np.zeros(m + 1), np.zeros(m + 1)
    p[0] = 1.0
    last = 0.0
    for k in range(m):
        error = errors[k] = v[0]
        c = u[0] / error
        last = float(error - c * u[0])
        if not (error > 0 and last > 0):
            raise _NotPositive
        p[: k + 2], q[: k + 2] = p[: k + 2] - c * _moved(q, k), q[: k + 2] - c * _moved(p, k)
        u, v = u[1:] - c * v[1:], v[:-1] - c * u[:-1]
    return _Steps(errors, p, q, last)


def _moved(r: np.ndarray, k: int) -> np.ndarray:
    """z^k r(1/z), in k + 2 coefficients: the entry of the second row that belongs to r of the first."""
    out = np.zeros(k + 2)
    out[: k + 1] = r[k::-1]
    return out


class _NotPositive(ArithmeticError):
    """A prediction error is not positive: neither is the matrix."""


def _schur(u: np.ndarray, v: np.ndarray) -> _Steps:
    """As many steps as `u` and `v` have coefficients: half of them, the series moved on, and the other half."""
    from scipy import fft

    m = len(u)
    if m <= _LEAF:
        return _one_by_one(u, v)
    h = m // 2
    first = _schur(u[:h], v[:h])
    size = fft.next_fast_len(m + 1, real=True)  # products are longer, but what wraps around falls on what is dropped

    def waves(x: np.ndarray) -> np.ndarray:
        return np.asarray(fft.rfft(x, size))

    p, q, p_back, q_back = map(waves, (first.p, first.q, first.p[::-1], first.q[::-1]))
    U, V = waves(u), waves(v)
    second = _schur(fft.irfft(p * U + q * V, size)[h:m], fft.irfft(q_back * U + p_back * V, size)[h:m])
    P, Q = waves(second.p), waves(second.q)
    return _Steps(
        np.concatenate([first.errors, second.errors]),
        fft.irfft(P * p + Q * q_back, size)[: m + 1],
        fft.irfft(P * q + Q * p_back, size)[: m + 1],
        second.last,
    )


class ToeplitzSystem:
    """A symmetric positive definite Toeplitz matrix T, factorised in O(n log^2 n) time and O(n) memory.

    Parameters
    ----------
    column : ndarray, shape (n,)
        The first column of T.

    Raises
    ------
    InputError
        If T is not positive definite to working precision.
    """

    def __init__(self, column: np.ndarray) -> None:
        self.n = len(column)
        self._product = ToeplitzProduct(np.concatenate([column[:0:-1], column]))
        self._size = 2.0 * float(np.abs(column).sum())  # at least the largest row sum
        if not column[0] > 0:
            raise not_positive()
        try:
            self._factorise(column)
        except _NotPositive:
            raise not_positive() from None

    def _factorise(self, column: np.ndarray) -> None:
        from scipy import fft

        if self.n == 1:
            errors, self._error, predictor = np.empty(0), float(column[0]), np.ones(1)
        else:
            steps = _schur(column[1:], column[:-1])
            errors, self._error = steps.errors, steps.last
            predictor = steps.p[: self.n].copy()
            predictor[1:] += steps.q[: self.n - 1]
        self.logdet = float(np.log(errors).sum() + math.log(self._error))
        self._length = fft.next_fast_len(2 * self.n - 1, real=True)
        backward = np.concatenate([[0.0], predictor[:0:-1]])
        self._forward = fft.rfft(predictor, self._length)[:, None]
        self._backward = fft.rfft(backward, self._length)[:, None]

    def _inverse(self, B: np.ndarray) -> np.ndarray:
        """T^-1 B by Gohberg and Semencul: (L(a) L(a)^T - L(b) L(b)^T) / E with triangular Toeplitz matrices L."""
        from scipy import fft

        def back(waves: np.ndarray) -> np.ndarray:
            return np.asarray(fft.irfft(waves, self._length, axis=0)[: self.n])

        def forth(x: np.ndarray) -> np.ndarray:
            return np.asarray(fft.rfft(x, self._length, axis=0))

        waves = forth(B)
        x, y = back(self._forward.conj() * waves), back(self._backward.conj() * waves)
        return back(self._forward * forth(x) - self._backward * forth(y)) / self._error

    def solve(self, B: np.ndarray) -> np.ndarray:
        """T^-1 B, shape (n, p), to a residual of rounding.

        Raises
        ------
        InputError
            If T is so nearly singular that refinement does not get there.
        """
        step = max(1, _CHUNK // self._length)
        out = np.empty(B.shape)
        for first in range(0, B.shape[1], step):
            part = np.s_[:, first : first + step]
            out[part] = self._refined(B[part])
        return out

    def _refined(self, B: np.ndarray) -> np.ndarray:
        X = self._inverse(B)
        best, error = X, math.inf
        for _ in range(_REFINEMENTS):
            R = B - self._product.multiply(X)
            scale = self._size * np.abs(X).max(axis=0) + np.abs(B).max(axis=0)
            now = float((np.abs(R).max(axis=0) / np.where(scale > 0, scale, 1.0)).max())
            if not now < 0.5 * error:
                break
            best, error = X, now
            if now <= 4.0 * np.finfo(np.float64).eps:
                break
            X = X + self._inverse(R)
        if not error <= 1e-10:
            raise not_positive()
        return best


def not_positive() -> InputError:
    """The refusal of a matrix that noise on the diagonal does not make positive definite."""
    return InputError(
        "noise: expected K + noise I positive definite to working precision, got a matrix that is not: "
        "take a larger noise, or remove items that repeat"
    )


def block_logdet(table: np.ndarray) -> float:
    """log det of the symmetric positive definite matrix ``A[i, j] = t(i - j)`` of a grid, exactly.

    Schur's algorithm in blocks: along the longest axis the matrix is Toeplitz in blocks of p x p, p the product of the
    other axes. Time O(n^2 p) and memory O(n p), where Cholesky takes O(n^3) and O(n^2).

    Parameters
    ----------
    table : ndarray, shape (2 n_1 - 1, ..., 2 n_d - 1)
        As for :class:`ToeplitzProduct`; the noise is part of t(0).

    Raises
    ------
    InputError
        If the matrix is not positive definite to working precision.
    """
    table = np.moveaxis(table, int(np.argmax(table.shape)), 0)
    N, blocks = (table.shape[0] + 1) // 2, _blocks(table)
    p = blocks.shape[1]
    # u(j), v(j): what the forward and backward predictors of order k leave at lag j, for j above k and from k on
    U, V = _side_by_side(blocks[1:]), _side_by_side(blocks[: N - 1])
    ahead, total = blocks[0].copy(), 0.0
    for _ in range(N - 1):
        total += _logdet(ahead)
        delta, behind = U[:, :p].copy(), V[:, :p].copy()
        forward = np.linalg.solve(behind.T, delta.T).T
        backward = np.linalg.solve(ahead.T, delta).T
        ahead = ahead - forward @ delta.T
        U, V = U[:, p:] - forward @ V[:, p:], V[:, :-p] - backward @ U[:, :-p]
        U = np.ascontiguousarray(U)
    return total + _logdet(ahead)


def _side_by_side(blocks: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(blocks.transpose(1, 0, 2)).reshape(blocks.shape[1], -1)


def _blocks(table: np.ndarray) -> np.ndarray:
    """The blocks R_0, ..., R_(N-1), (N, p, p), of the lags 0 to N - 1 along the first axis."""
    shape = [(size + 1) // 2 for size in table.shape]
    if len(shape) == 1:
        return table[shape[0] - 1 :, None, None]
    places = np.indices(shape[1:]).reshape(len(shape) - 1, -1)
    lags = tuple(places[k][:, None] - places[k][None, :] + shape[k + 1] - 1 for k in range(len(shape) - 1))
    return np.asarray(table[shape[0] - 1 :][(slice(None), *lags)])


def _logdet(A: np.ndarray) -> float:
    try:
        return 2.0 * float(np.log(np.linalg.cholesky((A + A.T) / 2).diagonal()).sum())
    except np.linalg.LinAlgError:
        raise not_positive() from None


def difference_table(kernel: Any, axes: list[np.ndarray]) -> np.ndarray:
    """A stationary kernel at all differences of a grid with equal steps, shape (2 n_1 - 1, ..., 2 n_d - 1)."""
    from ._grids import grid_points, step_of

    steps = [(step_of(axis) or 0.0) * np.arange(1 - len(axis), len(axis)) for axis in axes]
    points = grid_points(*steps)
    values = np.asarray(kernel(points, np.zeros((1, len(axes)))), np.float64)
    return values.reshape([len(step) for step in steps])
