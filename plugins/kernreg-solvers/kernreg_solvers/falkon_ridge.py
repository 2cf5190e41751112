"""Least squares over the span of centres: by conjugate gradients, a pass over the rows each, or in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernreg_core.progress import Progress

from .falkon_span import CentreRows, ItemRows, Moments, Preconditioner, Span, draw_rows, sample_size
from .linalg import blas_threads
from .mixin import as_numpy
from .nystrom_features import all_finite
from .operator import KernelOperator
from .penalty import PrimalPath

#: A residual that rounding keeps above the tolerance counts as reached up to this.
ATTAINED = 1e-4
#: Steps after which the rate of convergence is looked at, and steps to go beyond which it is too slow.
_LOOK, _SLOW = 12, 24
#: Times that a closed solution is corrected, at most.
_REFINEMENTS = 8
#: Factor by which a sample that proves too small grows.
_GROWTH = 4


@dataclass
class Found:
    """A solution.

    Attributes
    ----------
    A, b : ndarray, shapes (m, t) and (t,)
    errors : ndarray, shape (t,)
        Roots of the mean squared errors of the fit.
    n_iter : int
        Steps, of the system that took most.
    residual : float
        The largest relative one.
    """

    A: np.ndarray
    b: np.ndarray
    errors: np.ndarray
    n_iter: int = 0
    residual: float = 0.0

    @classmethod
    def empty(cls, m: int, t: int) -> Found:
        """Zeros."""
        return cls(np.zeros((m, t)), np.zeros(t), np.zeros(t))

    def put(self, columns: np.ndarray, part: Found) -> None:
        """Take the solution of some targets."""
        self.A[:, columns], self.b[columns], self.errors[columns] = part.A, part.b, part.errors
        self.n_iter, self.residual = max(self.n_iter, part.n_iter), max(self.residual, part.residual)


class LeastSquares:
    """sum_i w_i (y_i - phi_i^T u - b)^2 + alpha |u|^2, of several targets, in the coordinates of the span.

    Parameters
    ----------
    operator : KernelOperator
        k(X, Z).
    span : Span
    Y : ndarray, shape (n, t)
    weights : ndarray, shape (n,), optional
    intercept : bool
    alpha : float
    """

    def __init__(
        self,
        operator: KernelOperator,
        span: Span,
        Y: np.ndarray,
        weights: np.ndarray | None,
        intercept: bool,
        alpha: float = 0.0,
    ) -> None:
        self.operator, self.span, self.Y, self.weights = operator, span, Y, weights
        self.alpha, self.intercept = alpha, intercept
        self.total = float(len(Y)) if weights is None else float(weights.sum())

    def of(self, columns: np.ndarray, alpha: float) -> LeastSquares:
        """The problem of some targets, with their penalty."""
        Y = self.Y if len(columns) == self.Y.shape[1] else self.Y[:, columns]
        return LeastSquares(self.operator, self.span, Y, self.weights, self.intercept, alpha)

    def gradient(self, U: np.ndarray, b: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Half the negative gradient in coordinates (m, t) and intercepts (t,), and the squared errors: one pass."""
        A_ = self.operator.operand(self.span.coefficients(U))

        def body(rows: slice, K: Any) -> np.ndarray:
            errors = self.Y[rows][:, columns] - as_numpy(K @ A_) - b
            pull = self._weighted(rows, errors)
            return np.vstack(
                [as_numpy(K.T @ self.operator.operand(pull)), pull.sum(axis=0), (pull * errors).sum(axis=0)]
            )

        found = all_finite(self.operator.reduce(body, (len(U) + 2, len(columns))), self.operator.kernel)
        return self.span.whiten(found[:-2]) - self.alpha * U, self.free(found[-2]), found[-1]

    def times(self, U: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Half the Hessian times directions, shapes (m, t) and (t,): one pass."""
        A_ = self.operator.operand(self.span.coefficients(U))

        def body(rows: slice, K: Any) -> np.ndarray:
            pull = self._weighted(rows, as_numpy(K @ A_) + b)
            return np.vstack([as_numpy(K.T @ self.operator.operand(pull)), pull.sum(axis=0)])

        found = self.operator.reduce(body, (len(U) + 1, len(b)))
        return self.span.whiten(found[:-1]) + self.alpha * U, self.free(found[-1])

    def _weighted(self, rows: slice, values: np.ndarray) -> np.ndarray:
        return values if self.weights is None else values * self.weights[rows][:, None]

    def free(self, b: np.ndarray) -> np.ndarray:
        """`b`, zero where there is no intercept."""
        return b if self.intercept else np.zeros_like(b)


class Sample:
    """The rows that the preconditioner is made of: as many as pay, and more where they prove too few.

    Parameters
    ----------
    operator : KernelOperator
        k(X, Z).
    span : Span
    weights : ndarray, shape (n,), optional
    centres : ndarray of int, shape (m,), optional
        Which items the centres are, where they were drawn uniformly from items of equal weight.
    pick : callable (index) -> KernelOperator
        k(X[index], Z).
    seed : int
    """

    def __init__(
        self,
        operator: KernelOperator,
        span: Span,
        weights: np.ndarray | None,
        centres: np.ndarray | None,
        pick: Any,
        seed: int,
    ) -> None:
        self._operator, self._span, self._weights = operator, span, weights
        self._pick, self._rng = pick, np.random.RandomState(seed)
        self.n, self.m = operator.shape
        self.moments = Moments(self.m)
        self.size = 0
        if centres is not None and self.m < self.n:
            self.moments.add(CentreRows(span, centres))
            self.size = self.m

    @property
    def complete(self) -> bool:
        """Whether it has all rows."""
        return self.size >= self.n

    def grow(self, size: int) -> None:
        """Have `size` rows, or all."""
        if self._pick is None or size >= self.n:
            self.moments = Moments(self.m).add(ItemRows(self._span, self._operator, range(self.n)), self._weights)
            self.size = self.n
            return
        index = draw_rows(self.n, size - self.size, self._weights, self._rng)
        self.moments.add(ItemRows(self._span, self._pick(index), index))
        self.size = size


def solve(problem: LeastSquares, sample: Sample, *, tol: float, max_iter: int, bar: Progress) -> Found:
    """Minimise: relative residual in the preconditioner's norm at most `tol`, as rounding allows.

    Parameters
    ----------
    problem : LeastSquares
    sample : Sample
        Grows.
    tol : float
    max_iter : int
    bar : Progress

    Returns
    -------
    Found
    """
    m, t = problem.span.size, problem.Y.shape[1]
    U, b, all_ = np.zeros((m, t)), np.zeros(t), np.arange(t)
    P = _first_preconditioner(problem, sample, tol)
    start = problem.gradient(U, b, all_)
    squares = start[2]
    norms = _norms(P, start[0], start[1])
    n_iter, residuals = 0, np.where(norms > 0.0, 1.0, 0.0)
    open_ = np.flatnonzero(norms > 0.0)
    R, r = start[0][:, open_], start[1][open_]
    while len(open_) and n_iter < max_iter:
        steps, slow = _descend(problem, P, U, b, R, r, open_, norms, tol, max_iter - n_iter, not sample.complete, bar)
        n_iter += steps
        R, r, squares[open_] = problem.gradient(U[:, open_], b[open_], open_)
        if slow:
            sample.grow(_GROWTH * sample.size)
            P = _preconditioner(problem, sample)
            norms = _norms(P, start[0], start[1])
        before, residuals[open_] = residuals[open_], _norms(P, R, r) / norms[open_]
        keep = (residuals[open_] > tol) & (slow | (residuals[open_] < 0.5 * before))
        open_, R, r = open_[keep], R[:, keep], r[keep]
    errors = np.sqrt(np.maximum(squares, 0.0) / problem.total)
    return Found(problem.span.coefficients(U), b, errors, n_iter, float(residuals.max(initial=0.0)))


def solve_gcv(problem: LeastSquares, sample: Sample, tol: float) -> tuple[Found, np.ndarray, np.ndarray]:
    """The penalties of least generalised cross-validation error, the errors, and the solution.

    Parameters
    ----------
    problem : LeastSquares
        Its penalty is not looked at.
    sample : Sample
        Grows to all rows.
    tol : float
        Relative residual, to which the solution of the eigendecomposition is refined.

    Returns
    -------
    Found, alphas (t,), errors (t,)
    """
    span, w, all_ = problem.span, problem.weights, np.arange(problem.Y.shape[1])
    U = np.zeros((span.size, len(all_)))
    b = np.average(problem.Y, axis=0, weights=w) if problem.intercept else np.zeros(len(all_))
    R, r, squares = problem.gradient(U, b, all_)
    sample.grow(sample.n)
    n = sample.n if w is None else int(np.count_nonzero(w))
    C = sample.moments.covariance(problem.total, problem.intercept)
    mean = sample.moments.first / sample.moments.total * problem.intercept
    with blas_threads(span.size):
        removed = problem.total * float(mean @ mean)
        path = PrimalPath(C.T, R, squares, n, problem.total, problem.intercept, removed)
        choice = path.choose()
    shifted, norms, last, n_iter = path.values[:, None] + choice.alphas, None, np.inf, 0
    while True:
        pull = path.vectors.T @ (R - np.multiply.outer(mean, r))
        found = np.sqrt((np.square(pull) / shifted).sum(axis=0) + np.square(r) / problem.total)
        norms = np.maximum(found, np.finfo(np.float64).tiny) if norms is None else norms
        residual = float((found / norms).max())
        if residual <= tol or residual > 0.5 * last or n_iter >= _REFINEMENTS:
            break
        step = path.vectors @ (pull / shifted)
        U, b, last, n_iter = U + step, b + problem.free(r / problem.total - mean @ step), residual, n_iter + 1
        R, r, squares = problem.gradient(U, b, all_)
        R -= choice.alphas * U
    errors = np.sqrt(squares / problem.total)
    return Found(span.coefficients(U), b, errors, n_iter, residual), choice.alphas, choice.errors


def _first_preconditioner(problem: LeastSquares, sample: Sample, tol: float) -> Preconditioner:
    if sample.size < sample.m:
        sample.grow(sample.m)
    P = _preconditioner(problem, sample)
    if sample.complete:
        return P
    wanted = sample_size(sample.n, sample.m, P.effective_dimension(), tol, kept=problem.operator.kept)
    if wanted <= sample.size:
        return P
    sample.grow(wanted)
    return _preconditioner(problem, sample)


def _preconditioner(problem: LeastSquares, sample: Sample) -> Preconditioner:
    return Preconditioner(sample.moments, problem.total, problem.alpha, problem.intercept)


def _norms(P: Preconditioner, R: np.ndarray, r: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(_inner(*P(R, r), R, r), 0.0))


def _inner(A: np.ndarray, a: np.ndarray, B: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(np.einsum("ij,ij->j", A, B) + a * b)


def _descend(
    problem: LeastSquares,
    P: Preconditioner,
    U: np.ndarray,
    b: np.ndarray,
    R: np.ndarray,
    r: np.ndarray,
    columns: np.ndarray,
    norms: np.ndarray,
    tol: float,
    max_iter: int,
    grows: bool,
    bar: Progress,
) -> tuple[int, bool]:
    """Conjugate gradients for these columns of U and b, in place: steps, and whether it stopped because it is slow."""
    Z, z = P(R, r)
    D, d, rho = Z, z, _inner(Z, z, R, r)
    history: list[float] = []
    for step in range(1, max_iter + 1):
        HD, Hd = problem.times(D, d)
        curvature = _inner(D, d, HD, Hd)
        good = (curvature > 0.0) & (rho > 0.0)
        lengths = np.where(good, rho / np.where(good, curvature, 1.0), 0.0)
        U[:, columns] += lengths * D
        b[columns] += lengths * d
        R, r = R - lengths * HD, r - lengths * Hd
        Z, z = P(R, r)
        rho, old = _inner(Z, z, R, r), rho
        residuals = np.sqrt(np.maximum(rho, 0.0)) / norms[columns]
        history.append(float(residuals.max()))
        bar.advance()
        going = good & (residuals > 0.9 * tol)
        if not going.any():
            return step, False
        if grows and _is_slow(history, tol):
            return step, True
        ratio = rho / np.where(old > 0.0, old, 1.0)
        D, d = Z + ratio * D, z + ratio * d
        if not going.all():
            columns, rho = columns[going], rho[going]
            D, d, R, r = D[:, going], d[going], R[:, going], r[going]
    return max_iter, False


def _is_slow(history: list[float], tol: float) -> bool:
    """Whether many more steps are needed at the rate of the last ones."""
    if len(history) < _LOOK:
        return False
    rate = (history[-1] / history[-_LOOK]) ** (1.0 / (_LOOK - 1))
    return rate >= 1.0 or math.log(tol / history[-1]) / math.log(rate) > _SLOW
