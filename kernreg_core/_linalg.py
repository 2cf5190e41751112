"""Input checks of :mod:`kernreg_core.numeric`, and its conjugate gradients, ``pcg``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError

Array = NDArray[Any]
Operator = Callable[[Array], ArrayLike]


def generator(rng: int | np.random.Generator | None) -> np.random.Generator:
    if rng is None or isinstance(rng, (int, np.integer, np.random.Generator)):
        try:
            return np.random.default_rng(rng)
        except ValueError as error:
            raise InputError(f"rng={rng!r}: an int must not be negative.") from error
    raise InputError(f"rng={rng!r} must be an int, a numpy.random.Generator or None.")


def count(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{name}={value!r} must be an integer of at least {least}.")
    return int(value)


def floating(name: str, value: ArrayLike) -> Array:
    """Return an array of float or complex numbers, all finite; other numbers become float64."""
    array = np.asarray(value)
    if array.dtype.kind not in "fc":
        if array.dtype.kind not in "biu":
            raise InputError(f"{name} must hold numbers, not dtype {array.dtype}.")
        array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise InputError(f"{name} holds NaN or infinity; remove or replace them first.")
    return array


def square(name: str, value: ArrayLike) -> Array:
    array = floating(name, value)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or not array.size:
        raise InputError(f"{name} has shape {array.shape}; a square (n, n) matrix was expected.")
    return array


class PCGResult(NamedTuple):
    """How a run of :func:`pcg` ended; one element for each right-hand side.

    ``iterations`` (int), ``residuals`` (true relative residual of the returned x), ``converged``
    (it is at most ``tol``) and ``breakdown`` (the matrix or the preconditioner showed a direction
    that is not positive, or a value that is not finite; x is the last good iterate).
    """

    iterations: NDArray[np.int64]
    residuals: Array
    converged: NDArray[np.bool_]
    breakdown: NDArray[np.bool_]


def pcg(
    matrix: ArrayLike | Operator,
    b: ArrayLike,
    *,
    preconditioner: Operator | None = None,
    x0: ArrayLike | None = None,
    tol: float = 1e-6,
    max_iterations: int | None = None,
    callback: Callable[[int, Array], object] | None = None,
) -> tuple[Array, PCGResult]:
    r"""Preconditioned conjugate gradients for a Hermitian positive (semi-)definite system.

    Solves :math:`A x = b` for each column of ``b`` at once; finished columns leave the block. A
    column ends when :math:`\|b - A x\| \le tol \|b\|`, verified with the true residual (where the
    recurrence has drifted from it, the column restarts as long as that still helps).

    Parameters
    ----------
    matrix : array_like, shape (n, n), or callable (n, s) -> (n, s)
        Hermitian; only its products are used.
    b : array_like, shape (n,) or (n, s)
    preconditioner : callable (n, s) -> (n, s), optional
        Applies an approximation of the inverse of ``matrix``; Hermitian positive definite.
    x0 : array_like, shape of ``b``, optional
        Start; zero by default.
    tol : float, positive
        Relative residual.
    max_iterations : int, at least 0, optional
        ``10 n`` by default.
    callback : callable (iteration, residuals (s,)), optional
        Called after each iteration with the relative residuals of the recurrence.

    Returns
    -------
    x : ndarray, shape of ``b``
    result : PCGResult

    Raises
    ------
    InputError
        If shapes do not agree, a value is not finite or ``tol`` is not positive. A matrix that
        turns out not to be positive is no error: see ``PCGResult.breakdown``.

    References
    ----------
    Golub and Van Loan, "Matrix Computations", 4th edition, section 11.5.

    Examples
    --------
    >>> x, result = pcg([[4.0, 1.0], [1.0, 3.0]], [1.0, 2.0], tol=1e-10)
    >>> x.round(6), int(result.iterations[0]), bool(result.converged[0])
    (array([0.090909, 0.636364]), 2, True)
    """
    rhs = floating("b", b)
    if rhs.ndim not in (1, 2) or not rhs.shape[0]:
        raise InputError(f"b has shape {rhs.shape}; (n,) or (n, s) with n >= 1 was expected.")
    if not tol > 0:
        raise InputError(f"tol={tol!r} must be positive.")
    n = rhs.shape[0]
    limit = 10 * n if max_iterations is None else count("max_iterations", max_iterations, 0)
    start = np.zeros_like(rhs) if x0 is None else floating("x0", x0)
    if start.shape != rhs.shape:
        raise InputError(f"x0 has shape {start.shape}; that of b, {rhs.shape}, was expected.")
    apply = matrix if callable(matrix) else square("matrix", matrix).__matmul__
    x, result = _pcg_block(
        lambda v: _product("matrix", apply, v),
        lambda v: v if preconditioner is None else _product("preconditioner", preconditioner, v),
        rhs.reshape(n, -1), start.reshape(n, -1), tol, limit, callback,
    )  # fmt: skip
    return x.reshape(rhs.shape), result


def _product(name: str, operator: Operator, v: Array) -> Array:
    try:
        result = np.asarray(operator(v))
    except ValueError as error:
        raise InputError(f"{name} could not be applied to a block of shape {v.shape}: {error}") from error
    if result.shape != v.shape:
        raise InputError(f"{name} returned shape {result.shape} for a block of shape {v.shape}; the same was expected.")
    finite = np.isfinite(result).all(axis=0)
    return result if finite.all() else np.where(finite, result, 0)  # zero shows as a breakdown below


def _inner(u: Array, v: Array) -> Array:
    """Return the real part of the inner product of each pair of columns."""
    inner: Array = np.einsum("ij,ij->j", u.conj(), v).real
    return inner


def _pcg_block(
    apply: Callable[[Array], Array],
    precondition: Callable[[Array], Array],
    b: Array,
    x: Array,
    tol: float,
    limit: int,
    callback: Callable[[int, Array], object] | None,
) -> tuple[Array, PCGResult]:
    size = np.linalg.norm(b, axis=0)
    iterations = np.zeros(b.shape[1], dtype=np.int64)
    breakdown = np.zeros(b.shape[1], dtype=bool)
    residuals = np.zeros(b.shape[1], dtype=size.dtype)
    x = np.where(size > 0, x, 0)  # b = 0 has the answer 0
    cols = np.flatnonzero(size > 0)
    r = b[:, cols] - apply(x[:, cols]) if x.any() else b[:, cols]
    residuals[cols] = verified = np.linalg.norm(r, axis=0) / size[cols]
    keep = residuals[cols] > tol
    cols, r, verified = cols[keep], r[:, keep], verified[keep]
    p, rz, step = np.zeros_like(r), np.ones(cols.size, dtype=size.dtype), 0
    while cols.size and step < limit:
        z = precondition(r)
        rz, old = _inner(r, z), rz
        p = z + p * (rz / old)
        q = apply(p)
        curvature = _inner(p, q)
        good = (rz > 0) & (curvature > 0)
        breakdown[cols[~good]] = True
        cols, r, p, rz, verified = cols[good], r[:, good], p[:, good], rz[good], verified[good]
        step += 1
        iterations[cols] = step
        alpha = rz / curvature[good]
        moved = p * alpha
        x = x.astype(np.result_type(x, moved), copy=False)
        x[:, cols] += moved
        r = r - q[:, good] * alpha
        residuals[cols] = np.linalg.norm(r, axis=0) / size[cols]
        if callback is not None:
            callback(step, residuals.copy())
        hit = residuals[cols] <= tol
        if hit.any():  # the recurrence says so: ask the true residual
            true = b[:, cols[hit]] - apply(x[:, cols[hit]])
            residuals[cols[hit]] = np.linalg.norm(true, axis=0) / size[cols[hit]]
            r[:, hit], p[:, hit] = true, 0
            keep = ~hit | ((residuals[cols] > tol) & (residuals[cols] < verified / 2))
            verified = np.where(hit, residuals[cols], verified)
            cols, r, p, rz, verified = cols[keep], r[:, keep], p[:, keep], rz[keep], verified[keep]
    open_ = np.flatnonzero(residuals > tol)
    if open_.size:
        residuals[open_] = np.linalg.norm(b[:, open_] - apply(x[:, open_]), axis=0) / size[open_]
    return x, PCGResult(iterations, residuals, residuals <= tol, breakdown)
