"""The linear algebra of exact Gaussian processes: factors in place, the marginal likelihood and its derivative.

Nothing here knows about estimators or kernels.
"""

from __future__ import annotations

import math
import numbers
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import blas, lapack

from kernreg_core.errors import ParameterError
from kernreg_core.threads import pinned_blas

from .linalg import blas_threads, cholesky_in_place, mirror_down

#: The largest jitter, as a fraction of the mean diagonal entry: what needs more is no rounded covariance.
MOST = 1e-6
_EPS = float(np.finfo(np.float64).eps)


def factorise(K: np.ndarray, shift: float | np.ndarray, *, most: float = MOST) -> float:
    """Cholesky factor of K + diag(shift) + jitter I in the lower triangle of `K`; returns the jitter.

    Parameters
    ----------
    K : ndarray, shape (n, n), float64, C order, symmetric
        Its lower triangle is overwritten, the upper one kept.
    shift : float or ndarray, shape (n,)
    most : float
        Largest jitter that is tried, as a fraction of the mean diagonal entry.

    Returns
    -------
    float
        0 where none was needed, else the least of a few that make the factor possible.

    Raises
    ------
    numpy.linalg.LinAlgError
        If `most` is not enough: the matrix is not positive definite.
    """
    n = len(K)
    diagonal = K.diagonal() + shift
    scale = float(diagonal.mean())
    fraction = 0.0
    while fraction <= most and scale > 0:
        K.flat[:: n + 1] = diagonal + fraction * scale
        factor, info = cholesky_in_place(K)
        if not np.shares_memory(factor, K):
            raise TypeError("factorise: K is not C-ordered")
        if info == 0 and float(K.diagonal().min()) ** 2 > 0.5 * n * _EPS * scale:
            return fraction * scale
        mirror_down(K)
        fraction = max(10.0 * fraction, n * _EPS)
    raise np.linalg.LinAlgError("the matrix is not positive definite")


def lower_in_place(L: np.ndarray, block: int = 256) -> np.ndarray:
    """`L` with zeros above its diagonal, in its own memory."""
    for start in range(0, len(L), block):
        stop = start + block
        corner = L[start:stop, start:stop]
        corner[...] = np.tril(corner)
        L[start:stop, stop:] = 0.0
    return L


def solve(L: np.ndarray, B: np.ndarray) -> np.ndarray:
    """(L L^T)^-1 B for a factor in the lower triangle of `L`; B of shape (n, k)."""
    return np.asarray(lapack.dpotrs(L.T, B, lower=0)[0])


def whiten(L: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """rows L^-T for a factor in the lower triangle of `L`, in place where `rows` (b, n) are C-ordered float64.

    Row i becomes L^-1 k_i: the sum of its squares is k_i^T (L L^T)^-1 k_i.
    """
    return np.asarray(blas.dtrsm(1.0, L.T, rows.T, lower=0, trans_a=1, overwrite_b=1)).T


def inverse_in_place(L: np.ndarray) -> np.ndarray:
    """(L L^T)^-1, all of it, in the memory of `L`."""
    lapack.dpotri(L.T, lower=0, overwrite_c=1)
    mirror_down(L.T)  # in L itself: from the lower triangle up
    return L


class Evidence(NamedTuple):
    """The marginal likelihood of targets: ``value``, coefficients A^-1 (y - mean), (n, t), and the means, (t,)."""

    value: float
    coef: np.ndarray
    mean: np.ndarray


def evidence(
    L: np.ndarray, Y: np.ndarray, mean: float | None, noise: float, weights: np.ndarray | None = None
) -> Evidence:
    r"""Log marginal likelihood, summed over targets.

    .. math:: -\tfrac12 (y - m)^T A^{-1} (y - m) - \tfrac12 \log|A| - \tfrac n2 \log 2\pi, \qquad
        A = K + \sigma^2 W^{-1}

    and, with weights, what makes a whole weight count as that many equal rows:
    :math:`-\sum_i \tfrac12 ((w_i - 1) \log 2 \pi \sigma^2 + \log w_i)`.

    Parameters
    ----------
    L : ndarray, shape (n, n)
        Factor of A in the lower triangle.
    Y : ndarray, shape (n, t)
    mean : float or None
        m; None is the most likely constant of each target.
    noise : float
        sigma^2, used with weights.
    weights : ndarray, shape (n,), optional
    """
    n, t = Y.shape
    if mean is None:
        solved = solve(L, np.column_stack([Y, np.ones(n)]))
        means = solved[:, :t].sum(axis=0) / solved[:, t].sum()
        coef = solved[:, :t] - solved[:, t:] * means
    else:
        means = np.full(t, mean)
        coef = solve(L, Y - means)
    value = -0.5 * float(np.vdot(Y - means, coef)) - t * float(np.log(L.diagonal()).sum())
    value -= 0.5 * n * t * math.log(2.0 * math.pi)
    if weights is not None:
        lost = float((weights - 1.0).sum())
        repeats = lost * math.log(2.0 * math.pi * noise) if lost else 0.0
        value -= 0.5 * t * (repeats + float(np.log(weights).sum()))
    return Evidence(value, coef, means)


def evidence_derivative(L: np.ndarray, coef: np.ndarray) -> np.ndarray:
    r"""The derivative of the marginal likelihood by A, in the memory of `L`.

    .. math:: \tfrac12 \Bigl(\sum_t \alpha_t \alpha_t^T - t A^{-1}\Bigr), \qquad \alpha_t = A^{-1} (y_t - m_t)
    """
    t = coef.shape[1]
    inverse = inverse_in_place(L)
    columns = np.asfortranarray(coef)
    found = blas.dgemm(0.5, columns, columns, beta=-0.5 * t, c=inverse.T, trans_b=1, overwrite_c=1)
    return np.asarray(found).T


def inverse_diagonal(L: np.ndarray) -> np.ndarray:
    """The diagonal of (L L^T)^-1, shape (n,)."""
    inverse, _ = lapack.dtrtri(L.T, lower=0)
    # (L^-T) is upper triangular in Fortran order: row i of it holds column i of L^-1
    upper = np.triu(inverse)
    return np.asarray(np.einsum("ij,ij->i", upper, upper))


def moments(L: np.ndarray, rows: np.ndarray, coef: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """rows coef, and prior - diag(rows A^-1 rows^T), shape (b,); overwrites `rows` (b, n)."""
    with pinned_blas():  # NumPy's threads would spin on beside SciPy's, which solve: each pool waits for the other
        mean = rows @ coef
    with blas_threads(len(L)):
        white = whiten(L, rows)
    return mean, np.asarray(prior - np.einsum("ij,ij->i", white, white))


def draw(mean: np.ndarray, covariance: np.ndarray, n_samples: int, random_state: Any) -> np.ndarray:
    """Samples of N(mean_t, covariance) for each target: shape (n, t, n_samples).

    A covariance that is singular to rounding is drawn from through its eigenvalues.
    """
    if isinstance(n_samples, bool) or not isinstance(n_samples, numbers.Integral) or n_samples < 1:
        raise ParameterError(f"n_samples: expected a whole number at least 1, got {n_samples!r}")
    n, t = mean.shape
    root = np.array(covariance, order="C")
    try:
        factorise(root, 0.0, most=0.0)
        root = np.tril(root)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(covariance)
        root = vectors * np.sqrt(np.maximum(values, 0.0))
    normal = random_state.standard_normal((n, t * n_samples))
    return np.asarray((root @ normal).reshape(n, t, n_samples) + mean[:, :, None])
