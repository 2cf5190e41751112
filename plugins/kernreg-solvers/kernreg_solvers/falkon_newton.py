r"""Logistic losses over the span of centres: Newton steps, each by preconditioned conjugate gradients.

In the orthonormal coordinates u of :mod:`.falkon_span`, in which f(x_i) = phi_i^T u and |f| = |u|, with h the second
derivative of the loss in the logits, a step solves

.. math:: (\Phi^T h\, \Phi + \alpha)\, \delta = \Phi^T w (y - p) - \alpha u,

and Falkon's preconditioner does for it what it does for least squares: its sample's rows are weighted by p (1 - p).
A penalty alpha that is small beside the loss makes the first steps long and useless, so that the penalty is lowered to
it step by step, each step starting where the last one ended.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernreg_core.progress import Progress

from .falkon_span import CentreRows, ItemRows, Moments, Preconditioner, Rows, Span, draw_rows, sample_size
from .line import step_length
from .losses import Loss
from .mixin import as_numpy
from .nystrom_features import all_finite
from .operator import KernelOperator

#: The factor by which the penalty is lowered at first, and at most.
_LOWERED, _LEAST_LOWERED = 0.1, 1e-3
#: Relative residual of a step on the way, and steps of conjugate gradients at most.
_ROUGH, _MOST = 0.1, 500
#: Newton steps that a fit usually takes, which all use one sample of rows.
_USUAL = 10
#: A share of p (1 - p) below this is raised to it.
_FLOOR = 1e-12
#: Newton steps without a smaller gradient after which what is left of it is rounding.
_PATIENCE = 3


@dataclass
class Point:
    """Coordinates (m, k) and intercepts (k,): of a function, a direction or a gradient."""

    U: np.ndarray
    b: np.ndarray

    def plus(self, length: float, other: Point) -> Point:
        """The point `length` times `other` away."""
        return Point(self.U + length * other.U, self.b + length * other.b)

    def inner(self, other: Point) -> float:
        """The inner product."""
        return float(np.vdot(self.U, other.U)) + float(self.b @ other.b)


class LogisticLoss:
    """loss(f + b) + alpha/2 sum_c |f_c|^2 over the span of the centres.

    Parameters
    ----------
    operator : KernelOperator
        k(X, Z).
    span : Span
    loss : Loss
    intercept : bool
    """

    def __init__(self, operator: KernelOperator, span: Span, loss: Loss, intercept: bool) -> None:
        self.operator, self.span, self.loss, self.intercept = operator, span, loss, intercept
        self.total = float(loss.weights.sum())
        self.passes = 0

    def start(self) -> Point:
        """Zero, and the intercepts that are best with it."""
        k = self.loss.Y.shape[1]
        b = np.zeros(k)
        if self.intercept:
            shares = (self.loss.weights * self.loss.Y).sum(axis=0) / self.total
            b = np.log(shares / (1.0 - shares)) if k == 1 else np.log(shares) - np.log(shares).mean()
        return Point(np.zeros((self.span.size, k)), b)

    def descent(self, at: Point) -> tuple[np.ndarray, Point]:
        """Logits F (n, k), and the negative gradient of the loss there: one pass over the rows."""
        F = np.empty_like(self.loss.Y)

        def pull(rows: slice, values: np.ndarray) -> np.ndarray:
            F[rows] = values
            return self.loss.part(rows).residual(values)

        return F, self._pass(at, pull)

    def hessian(self, P: np.ndarray, along: Point) -> tuple[np.ndarray, Point]:
        """The logits of a direction (n, k), and the loss's second derivative at probabilities P times it: one pass."""
        G = np.empty_like(P)

        def pull(rows: slice, values: np.ndarray) -> np.ndarray:
            G[rows] = values
            return self.loss.part(rows).hessian(P[rows], values)

        return G, self._pass(along, pull)

    def _pass(self, at: Point, pull: Any) -> Point:
        """sum_i phi_i g_i^T and sum_i g_i, for g = pull(rows, values of the function `at` there)."""
        A = self.operator.operand(self.span.coefficients(at.U))

        def body(rows: slice, K: Any) -> np.ndarray:
            g = pull(rows, as_numpy(K @ A) + at.b)
            return np.vstack([as_numpy(K.T @ self.operator.operand(g)), g.sum(axis=0)])

        self.passes += 1
        found = all_finite(self.operator.reduce(body, (len(at.U) + 1, len(at.b))), self.operator.kernel)
        return Point(self.span.whiten(found[:-1]), found[-1] if self.intercept else np.zeros_like(at.b))


@dataclass
class Solution:
    """Where the minimisation ended.

    Attributes
    ----------
    A, b : ndarray, shapes (m, k) and (k,)
    n_iter, n_passes : int
        Newton steps, and passes over the rows.
    decrement : float
        Root of (gradient^T Hessian^-1 gradient / sum w): the error of the logits that is left.
    gradient_norm : float
        Norm of the gradient of the mean objective, in the kernel's space.
    """

    A: np.ndarray
    b: np.ndarray
    n_iter: int
    n_passes: int
    decrement: float
    gradient_norm: float


class HessianSample:
    """The rows that the preconditioners are made of: the centres where these are uniform, and as many more as pay.

    Parameters
    ----------
    problem : LogisticLoss
    weights : ndarray, shape (n,), optional
        Of the items; None where they are equal.
    centres : ndarray of int, shape (m,), optional
        Which items the centres are, where they were drawn uniformly from items of equal weight.
    pick : callable (index) -> KernelOperator, optional
        k(X[index], Z); None where no items can be picked.
    seed : int
    """

    def __init__(
        self, problem: LogisticLoss, weights: np.ndarray | None, centres: np.ndarray | None, pick: Any, seed: int
    ) -> None:
        self._problem, self._weights, self._pick = problem, weights, pick
        self._rng = np.random.RandomState(seed)
        self.n, self.m = problem.operator.shape
        self._rows: Rows
        if centres is not None:
            self._rows = CentreRows(problem.span, centres)
        else:
            self.take(self.m)

    @property
    def complete(self) -> bool:
        """Whether it has all rows."""
        return isinstance(self._rows.index, range)

    def take(self, size: int) -> None:
        """Have `size` rows, or all, in memory."""
        problem = self._problem
        if self._pick is None or size >= self.n:
            self._rows = ItemRows(problem.span, problem.operator, range(self.n))
            return
        index = draw_rows(self.n, size, self._weights, self._rng)
        self._rows = ItemRows(problem.span, self._pick(index), index, keep=True)

    def preconditioner(self, P: np.ndarray, alpha: float) -> BlockPreconditioner:
        """One for the Hessian where the probabilities are P (n, k)."""
        problem = self._problem
        curvature = np.maximum(P * (1.0 - P), _FLOOR)
        totals = (problem.loss.weights * curvature).sum(axis=0)
        index = slice(None) if self.complete else np.asarray(self._rows.index)
        shares = curvature[index]
        if self.complete and self._weights is not None:
            shares = shares * self._weights[:, None]
        return BlockPreconditioner(
            [
                Preconditioner(Moments(self.m).add(self._rows, shares[:, c]), float(total), alpha, problem.intercept)
                for c, total in enumerate(totals)
            ]
        )


class BlockPreconditioner:
    """One for each class, which leaves the sums over classes at zero: a move of all logits alike changes nothing."""

    def __init__(self, blocks: list[Preconditioner]) -> None:
        self._blocks = blocks

    def __call__(self, R: Point) -> Point:
        """Nearly the inverse of the Hessian, times R."""
        parts = [block(R.U[:, [c]], R.b[[c]]) for c, block in enumerate(self._blocks)]
        U, b = np.column_stack([U for U, _ in parts]), np.concatenate([b for _, b in parts])
        return Point(U, b) if len(parts) == 1 else Point(U - U.mean(axis=1, keepdims=True), b - b.mean())

    def norm(self, R: Point) -> float:
        """Root of R^T P^-1 R."""
        return math.sqrt(max(R.inner(self(R)), 0.0))

    def effective_dimension(self) -> float:
        """The largest of all classes."""
        return max(block.effective_dimension() for block in self._blocks)


def minimise(
    problem: LogisticLoss, sample: HessianSample, alpha: float, *, tol: float, max_iter: int, bar: Progress
) -> Solution:
    """Minimise: decrement at most `tol`, as rounding allows.

    Parameters
    ----------
    problem : LogisticLoss
    sample : HessianSample
        Grows.
    alpha : float
        Above 0.
    tol : float
    max_iter : int
        Newton steps at most.
    bar : Progress
    """
    point = problem.start()
    F, pull = problem.descent(point)
    penalty = _first_penalty(problem, pull, alpha)
    factor, best, n_iter, since = _LOWERED, _solution(problem, point, pull, np.inf, 0), 0, 0
    grows = True
    while True:
        last, P = penalty == alpha, problem.loss.probabilities(F)
        R = Point(pull.U - penalty * point.U, pull.b)
        precondition = sample.preconditioner(P, penalty)
        if last and grows and _enlarge(problem, sample, precondition, tol):
            precondition = sample.preconditioner(P, penalty)
        grows = grows and not last
        decrement = precondition.norm(R) / math.sqrt(problem.total)
        if last:
            since = 0 if decrement < 0.9 * best.decrement else since + 1
        if n_iter == max_iter or (last and decrement < best.decrement):
            best = _solution(problem, point, R, decrement, n_iter)
        if n_iter == max_iter or (last and (decrement <= tol or since >= _PATIENCE)):
            return best
        accuracy = max(0.5 * tol / decrement, min(_ROUGH, decrement)) if last else _ROUGH
        step, G = _direction(problem, precondition, P, R, penalty, accuracy)
        length = _length(problem, F, G, point, step, penalty)
        point, n_iter = point.plus(length, step), n_iter + 1
        F, pull = problem.descent(point)
        bar.advance()
        if not last:
            factor = max(factor * factor, _LEAST_LOWERED) if length == 1.0 else math.sqrt(factor)
            penalty = max(alpha, penalty * factor)


def _solution(problem: LogisticLoss, point: Point, R: Point, decrement: float, n_iter: int) -> Solution:
    size = float(problem.span.squares.mean())  # an intercept counts as a feature of this square
    gradient = math.sqrt(float(np.vdot(R.U, R.U)) + size * float(R.b @ R.b)) / problem.total
    A = problem.span.coefficients(point.U)
    return Solution(A, point.b - point.b.mean() * (len(point.b) > 1), n_iter, problem.passes, decrement, gradient)


def _first_penalty(problem: LogisticLoss, pull: Point, alpha: float) -> float:
    """With which the first step moves no logit by more than about 1: |f(x)| <= sqrt(k(x, x)) |gradient| / alpha."""
    return max(alpha, math.sqrt(float(problem.span.squares.max()) * float(np.vdot(pull.U, pull.U))))


def _enlarge(problem: LogisticLoss, sample: HessianSample, found: BlockPreconditioner, tol: float) -> bool:
    """Take the rows that pay, now that the penalty is the last one; whether there are more."""
    if sample.complete:
        return False
    kept = problem.operator.kept
    wanted = sample_size(sample.n, sample.m, found.effective_dimension(), tol, rounds=_USUAL, kept=kept)
    if wanted <= sample.m:
        return False
    sample.take(wanted)
    return True


def _direction(
    problem: LogisticLoss, precondition: BlockPreconditioner, P: np.ndarray, R: Point, alpha: float, accuracy: float
) -> tuple[Point, np.ndarray]:
    """The Newton step by conjugate gradients, to a relative residual in the preconditioner's norm; and its logits."""
    Z = precondition(R)
    rho = first = R.inner(Z)
    D, step, logits = Z, Point(np.zeros_like(R.U), np.zeros_like(R.b)), np.zeros_like(P)
    for _ in range(_MOST):
        G, HD = problem.hessian(P, D)
        HD.U += alpha * D.U
        curvature = D.inner(HD)
        if curvature <= 0.0:
            break
        length = rho / curvature
        step, R = step.plus(length, D), R.plus(-length, HD)
        G *= length
        logits += G
        Z = precondition(R)
        rho, old = R.inner(Z), rho
        if rho <= accuracy**2 * first:
            break
        D = Z.plus(rho / old, D)
    return step, logits


def _length(problem: LogisticLoss, F: np.ndarray, G: np.ndarray, at: Point, step: Point, alpha: float) -> float:
    """How far along the step, from the logits alone."""
    loss = problem.loss
    start, size = loss.value(F), float((loss.weights * (1.0 + np.abs(F))).sum())
    cross, square = float(np.vdot(at.U, step.U)), float(np.vdot(step.U, step.U))

    def rise(t: float) -> float:
        return loss.value(F + t * G) - start + 0.5 * alpha * (2 * t * cross + t * t * square)

    def slope(t: float) -> float:
        return alpha * (cross + t * square) - float(np.vdot(loss.residual(F + t * G), G))

    return step_length(rise, slope, size, trusted=True)
