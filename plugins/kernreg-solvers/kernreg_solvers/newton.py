r"""Newton directions for penalised logistic losses, by Cholesky factorisations of size n.

With W the second derivative of the loss in the logits, the step solves

.. math:: (W K + \alpha) \delta + W (1 \otimes \delta_b) = r, \qquad 1^T (C + \delta) = 0,

without ever inverting K: it may be singular. The first step is computed for C + delta at once, from the
logits alone: it leaves no trace of what an earlier method put into K's null space. For k classes the
block structure of W leaves k + 1 factorisations of size n instead of one of size n k.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import blas, lapack

from .penalised import Direction, IndefiniteError, Problem, State

#: Second derivatives below this share of a weight are raised to it: they are divided by.
_LEAST = 1e-12


class BinaryNewton:
    """Two classes: one factorisation of alpha I + S K S, with S the square root of w p (1 - p).

    References
    ----------
    .. [1] C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning", 2006,
       algorithm 3.1 (with alpha = 1 and no intercept).
    """

    trusted = True

    def __init__(self, problem: Problem) -> None:
        self._buffer = np.empty_like(problem.K)
        self._first = True

    def direction(self, state: State) -> Direction:
        """The Newton step."""
        problem = state.problem
        F = state.KC + state.b
        weights, p = problem.loss.weights, problem.loss.probabilities(F)
        s = np.sqrt(weights * np.maximum(p * (1.0 - p), _LEAST))
        whole, self._first = self._first, False
        factor = _factor(problem, s[:, 0], self._buffer)
        target = s * F + problem.loss.residual(F) / s if whole else s * state.KR
        solved = lapack.dpotrs(factor, np.column_stack([target, s]), lower=0)[0]
        found = s * solved[:, :1]
        if not whole:
            found = (state.R - found) / problem.alpha
        b = np.zeros(1)
        if problem.fit_intercept:
            edge = s * solved[:, 1:]
            total = float(edge.sum())
            if total > 0.0:
                b[0] = float(found.sum() + (0.0 if whole else state.C.sum())) / total
                found -= b[0] * edge
        return _step(state, found, b, whole)


class SoftmaxNewton:
    """k classes: W is block-diagonal minus a term of rank n, so k + 1 factorisations suffice.

    Keeps k inverses of size n x n.

    References
    ----------
    .. [1] C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning", 2006,
       algorithm 3.3 (with alpha = 1 and no intercept).
    """

    trusted = True

    def __init__(self, problem: Problem, k: int) -> None:
        n = problem.K.shape[0]
        self._first = True
        self._inverses = np.empty((k, n, n))
        self._sum = np.empty((n, n))

    def direction(self, state: State) -> Direction:
        """The Newton step; classes sum to zero in it."""
        problem = state.problem
        k = state.C.shape[1]
        F = state.KC + state.b
        weights, p = problem.loss.weights, np.maximum(problem.loss.probabilities(F), _LEAST)
        whole, self._first = self._first, False
        target = F + problem.loss.residual(F) / (weights * p) if whole else state.KR
        correction = self._corrections(problem, np.sqrt(weights * p), target)
        found = correction[:, :, 0].T
        if not whole:
            found = (state.R - found) / problem.alpha
        b = np.zeros(k)
        if problem.fit_intercept:
            # moving all intercepts alike changes nothing: the least-norm solution leaves that out
            edge = correction[:, :, 1:].sum(axis=1)
            total = found.sum(axis=0) + (0.0 if whole else state.C.sum(axis=0))
            b = np.linalg.lstsq(edge, total, rcond=1e-12)[0]
            b -= b.mean()
            found = found - np.einsum("cnj,j->nc", correction[:, :, 1:], b)
        return _step(state, found - found.mean(axis=1, keepdims=True), b, whole)

    def _corrections(self, problem: Problem, roots: np.ndarray, target: np.ndarray) -> np.ndarray:
        """(K + alpha W^-1)^-1 applied to `target` (n, k) and to the ones of each class: shape (k, n, 1 + k)."""
        n, k = target.shape
        self._sum[...] = 0.0
        images = np.empty((k, n, 2))
        for c in range(k):
            inverse = self._inverse(problem, roots[:, c], c)
            self._sum += inverse
            images[c] = _symmetric_times(inverse, np.column_stack([target[:, c], np.ones(n)]))
        shared = self._solve_sum(np.column_stack([images[:, :, 0].sum(axis=0), images[:, :, 1].T]))
        found = np.empty((k, n, 1 + k))
        for c in range(k):
            found[c] = -_symmetric_times(self._inverses[c], shared)
            found[c][:, 0] += images[c, :, 0]
            found[c][:, 1 + c] += images[c, :, 1]
        return found

    def _inverse(self, problem: Problem, s: np.ndarray, c: int) -> np.ndarray:
        """S (alpha I + S K S)^-1 S in the lower triangle of the c-th block."""
        block = self._inverses[c]
        factor = _factor(problem, s, block)
        inverse, info = lapack.dpotri(factor, lower=0, overwrite_c=1)
        if info != 0:
            raise IndefiniteError
        if not np.shares_memory(inverse, block):
            block[...] = inverse.T
        block *= s[:, None]
        block *= s
        return np.asarray(block)

    def _solve_sum(self, right: np.ndarray) -> np.ndarray:
        """(sum of the inverses)^-1 `right`; a jitter covers classes whose probabilities underflow."""
        n = self._sum.shape[0]
        jitter = 4 * float(np.finfo(np.float64).eps) * float(self._sum.diagonal().max())
        self._sum.flat[:: n + 1] += jitter
        factor, info = lapack.dpotrf(self._sum.T, lower=0, clean=0, overwrite_a=1)
        if info != 0:
            raise IndefiniteError
        return np.asarray(lapack.dpotrs(factor, right, lower=0)[0])


def _step(state: State, found: np.ndarray, b: np.ndarray, whole: bool) -> Direction:
    """The direction to `found`, a whole new point, or along it."""
    image = state.problem.times(found)
    return Direction(found - state.C, image - state.KC, b - state.b) if whole else Direction(found, image, b)


def _factor(problem: Problem, s: np.ndarray, buffer: np.ndarray) -> np.ndarray:
    """Cholesky factor of alpha I + S K S in the lower triangle of `buffer` (as the upper of its transpose)."""
    np.multiply(problem.K, s[:, None], out=buffer)
    buffer *= s
    buffer.flat[:: buffer.shape[0] + 1] += problem.alpha
    factor, info = lapack.dpotrf(buffer.T, lower=0, clean=0, overwrite_a=1)
    if info != 0:
        raise IndefiniteError
    return np.asarray(factor)


def _symmetric_times(A: np.ndarray, B: np.ndarray) -> np.ndarray:
    """`A` `B` for a symmetric `A` of which the lower triangle is valid."""
    return np.asarray(blas.dsymm(1.0, A.T, np.asfortranarray(B), lower=0))
