"""Numerical routines that several plugins need and that are no kernels.

:func:`fwht`, :func:`orthogonal_gaussian`, :func:`simplex_gaussian`, :func:`pcg`, :func:`pivoted_cholesky` and
:func:`nearest_psd`. NumPy alone is used, and no argument is ever modified, but for ``out``.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from ._linalg import Array, PCGResult, count, floating, generator, pcg, square
from ._pivoted import pivoted_cholesky
from .errors import InputError

__all__ = ["PCGResult", "fwht", "nearest_psd", "orthogonal_gaussian", "pcg", "pivoted_cholesky", "simplex_gaussian"]

_RADIX = 16  # one GEMM with H_16 replaces four passes over memory
_CHUNK = 1 << 16  # elements transformed together, so that the passes stay in cache


def fwht(x: ArrayLike, axis: int = -1, *, normalized: bool = False, out: Array | None = None) -> Array:
    r"""Fast Walsh-Hadamard transform along one axis, in O(n log n).

    .. math:: y_i = s \sum_{j=0}^{n-1} (-1)^{\langle i, j \rangle} x_j

    with :math:`\langle i, j \rangle` the number of common one bits (Hadamard or natural order),
    :math:`s = 1`, or :math:`s = 1 / \sqrt n` when normalized: then it is its own inverse.

    Parameters
    ----------
    x : array_like, shape (..., n, ...)
        ``n`` along ``axis`` is a power of two. float and complex dtypes are kept.
    axis : int
    normalized : bool
    out : ndarray, same shape and dtype as the result, C-contiguous, optional
        Receives the result; ``out=x`` transforms in place, with a work space of one block.

    Returns
    -------
    ndarray, shape of ``x``

    Raises
    ------
    InputError
        If ``n`` is no power of two, ``axis`` does not exist, ``x`` is not finite or ``out`` does
        not fit.

    References
    ----------
    Fino and Algazi, "Unified matrix treatment of the fast Walsh-Hadamard transform", 1976.

    Examples
    --------
    >>> fwht([1.0, 0.0, 2.0, 0.0])
    array([ 3.,  3., -1., -1.])
    """
    a = floating("x", x)
    if not -a.ndim <= axis < a.ndim:
        raise InputError(f"axis={axis} does not exist in x of shape {a.shape}.")
    n = a.shape[axis]
    if n < 1 or n & (n - 1):
        raise InputError(f"x has length {n} along axis {axis}; pad it with zeros to a power of 2.")
    if out is None:
        out = np.array(a, order="C")
    elif out.shape != a.shape or out.dtype != a.dtype or not out.flags.c_contiguous:
        raise InputError(f"out must be C-contiguous, of shape {a.shape} and dtype {a.dtype}.")
    elif out is not x:
        out[...] = a
    post = math.prod(a.shape[axis % a.ndim + 1 :])
    rows = out.reshape(-1, n * post) if out.size else out.reshape(0, 1)
    step = max(1, _CHUNK // (n * post)) if out.size else 1
    for start in range(0, rows.shape[0], step):
        _fwht_block(rows[start : start + step], n, post, normalized)
    return out


def _fwht_block(block: Array, n: int, post: int, normalized: bool) -> None:
    """Transform ``block``, (rows, n * post) and contiguous, in place: one pass for each digit."""
    source, target, done = block, np.empty_like(block), 1
    while done < n:
        b = min(_RADIX, n // done)
        h = np.ones((1, 1), dtype=block.real.dtype)
        while h.shape[0] < b:
            h = np.block([[h, h], [h, -h]])
        if normalized:
            h = h / math.sqrt(b)
        inner = done * post
        if inner == 1:
            np.matmul(source.reshape(-1, b), h, out=target.reshape(-1, b))
        else:
            shape = (-1, b, inner)
            np.matmul(h, source.reshape(shape), out=target.reshape(shape))
        source, target, done = target, source, done * b
    if source is not block:
        block[...] = source


def _haar_rows(blocks: int, k: int, d: int, rng: np.random.Generator) -> Array:
    """Return (blocks, k, d): the first k rows of Haar-distributed orthogonal matrices."""
    q, r = np.linalg.qr(rng.standard_normal((blocks, d, k)))
    signs = np.where(np.diagonal(r, axis1=1, axis2=2) < 0, -1.0, 1.0)  # QR alone is not Haar
    return np.swapaxes(q * signs[:, None, :], 1, 2)


def orthogonal_gaussian(n: int, d: int, rng: int | np.random.Generator | None = None) -> Array:
    r"""Gaussian directions that are orthogonal within each block of ``d`` rows.

    .. math:: W = D Q, \qquad Q \text{ Haar on } O(d), \quad D_{ii} \sim \chi_d

    Each row is exactly N(0, I_d); rows of one block are orthogonal, blocks are independent.

    Parameters
    ----------
    n : int, at least 0
        Rows.
    d : int, at least 1
        Columns.
    rng : int, numpy.random.Generator or None

    Returns
    -------
    ndarray of float64, shape (n, d)

    Raises
    ------
    InputError
        If ``n``, ``d`` or ``rng`` is not of its type or range.

    References
    ----------
    Yu et al., "Orthogonal Random Features", 2016, arXiv:1610.09072.

    Examples
    --------
    >>> W = orthogonal_gaussian(5, 3, rng=0)
    >>> W.shape, bool(abs(W[0] @ W[1]) < 1e-12)
    ((5, 3), True)
    """
    n, d, rng = count("n", n, 0), count("d", d, 1), generator(rng)
    full, rest = divmod(n, d)
    parts = [_haar_rows(full, d, d, rng).reshape(-1, d), _haar_rows(1, rest, d, rng)[0]]
    return np.concatenate(parts) * np.sqrt(rng.chisquare(d, size=(n, 1)))


def simplex_gaussian(n: int, d: int, rng: int | np.random.Generator | None = None) -> Array:
    r"""Gaussian directions that point to the corners of a simplex in each block of ``d`` rows.

    .. math:: w_i = D_{ii} \sqrt{\tfrac{d}{d - 1}} \Bigl(q_i - \tfrac1d \sum_j q_j\Bigr)

    with :math:`q_i` the rows of a Haar matrix and :math:`D_{ii} \sim \chi_d`. Each row is exactly
    N(0, I_d); the cosine of two rows of a block is -1 / (d - 1), the smallest that ``d`` rows can
    share. For d = 1, where there is no pair, rows are independent.

    Parameters and what is raised are those of :func:`orthogonal_gaussian`.

    Returns
    -------
    ndarray of float64, shape (n, d)

    References
    ----------
    Reid et al., "Simplex Random Features", 2023, arXiv:2301.13856.

    Examples
    --------
    >>> U = simplex_gaussian(3, 3, rng=0)
    >>> U /= np.linalg.norm(U, axis=1, keepdims=True)
    >>> (U @ U.T).round(12)[0]
    array([ 1. , -0.5, -0.5])
    """
    n, d, rng = count("n", n, 0), count("d", d, 1), generator(rng)
    q = _haar_rows(-(-n // d), d, d, rng)
    if d > 1:
        q = (q - q.mean(axis=1, keepdims=True)) * math.sqrt(d / (d - 1))
    return q.reshape(-1, d)[:n] * np.sqrt(rng.chisquare(d, size=(n, 1)))


def nearest_psd(matrix: ArrayLike, *, method: str = "clip") -> Array:
    r"""Positive semi-definite matrix near a Hermitian one, from its eigenvalues.

    .. math:: A = \tfrac12 (M + M^H) = V \Lambda V^H, \qquad B = V f(\Lambda) V^H

    ``clip``, :math:`f(\lambda) = \max(\lambda, 0)`, is the nearest one to M in the Frobenius norm (Higham);
    ``flip``, :math:`f(\lambda) = |\lambda|`, keeps the strength of negative directions; ``shift``,
    :math:`f(\lambda) = \lambda - \min(\lambda_{min}, 0)`, changes the diagonal alone.

    Parameters
    ----------
    matrix : array_like, shape (n, n)
        float or complex, whose dtype is kept; computed in double precision.
    method : "clip", "flip" or "shift"

    Returns
    -------
    ndarray, shape (n, n)
        Exactly Hermitian; positive semi-definite up to rounding. A itself where it is so already.

    Raises
    ------
    InputError
        If ``matrix`` is not square and finite, or ``method`` is another word.

    References
    ----------
    Higham, "Computing a nearest symmetric positive semidefinite matrix", 1988, doi:10.1016/0024-3795(88)90223-6.

    Examples
    --------
    >>> nearest_psd([[1.0, 2.0], [2.0, 1.0]]).round(12)
    array([[1.5, 1.5], [1.5, 1.5]])
    """
    if method not in ("clip", "flip", "shift"):
        raise InputError(f"method={method!r} must be 'clip', 'flip' or 'shift'.")
    given = square("matrix", matrix)
    a = given.astype(np.result_type(given, np.float64))
    a = a / 2 + a.conj().T / 2  # halves first: the sum could overflow
    values, vectors = np.linalg.eigh(a)
    if values[0] < 0:
        if method == "shift":
            a[np.diag_indices_from(a)] -= values[0]
        else:
            new = np.abs(values) if method == "flip" else np.maximum(values, 0)
            a = (vectors * new) @ vectors.conj().T
            a = a / 2 + a.conj().T / 2
    return a.astype(given.dtype)
