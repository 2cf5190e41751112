r"""Minimising loss(K C + b) + alpha/2 tr(C^T K C) over coefficients C, (n, k), and intercepts b, (k,).

One loop, which measures convergence and searches along a line; the direction comes from a
strategy: limited-memory quasi-Newton (here) or Newton (``newton``). Inner products of functions
are <f_C, f_D> = tr(C^T K D), so nothing is worse conditioned than the problem itself.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from scipy.linalg import blas

from .line import step_length
from .losses import Loss

_EPS = float(np.finfo(np.float64).eps)
#: A matrix that was rounded to float32 on its way is indefinite by this much of its trace, and no more.
_ROUNDED = 1e-6


class IndefiniteError(Exception):
    """The Gram matrix has a direction of negative square."""


class Direction(NamedTuple):
    """A step: of the coefficients, its image under K, and of the intercepts."""

    C: np.ndarray
    KC: np.ndarray
    b: np.ndarray


@dataclass
class Problem:
    """What is minimised.

    Attributes
    ----------
    K : ndarray, shape (n, n), float64, C order, symmetric
    loss : Loss
    alpha : float
    fit_intercept : bool
    scale : float
        Mean of k(x, x): an intercept counts as a feature of this square.
    """

    K: np.ndarray
    loss: Loss
    alpha: float
    fit_intercept: bool

    def __post_init__(self) -> None:
        diagonal = self.K.diagonal()
        self.scale = max(float(diagonal.mean()), np.finfo(np.float64).tiny)
        self.reach = float(np.sqrt(max(float(diagonal.max()), 0.0)))
        self.trace = max(float(diagonal.sum()), 0.0)

    def times(self, C: np.ndarray) -> np.ndarray:
        """K `C`, shape (n, k). K is symmetric: one column needs half of it, and several are faster from the left."""
        if C.shape[1] == 1:
            return np.asarray(blas.dsymv(1.0, self.K.T, C[:, 0]))[:, None]
        return np.ascontiguousarray((np.ascontiguousarray(C.T) @ self.K).T)

    def square(self, C: np.ndarray, KC: np.ndarray) -> float:
        """|f|^2 = tr(C^T K C), at least 0.

        Raises
        ------
        IndefiniteError
            If it is negative beyond what rounding explains.
        """
        found = float(np.vdot(C, KC))
        if found < -_ROUNDED * self.trace * float(np.vdot(C, C)):
            raise IndefiniteError
        return max(found, 0.0)


class State:
    """A point (C, b) with K C, the descent direction R = w (y - p) - alpha C, and K R."""

    def __init__(self, problem: Problem, k: int) -> None:
        n = problem.K.shape[0]
        self.problem = problem
        self.C = np.zeros((n, k))
        self.KC = np.zeros((n, k))
        self.b = np.zeros(k)
        self.refresh()

    def refresh(self) -> None:
        """Recompute what depends on the point."""
        problem = self.problem
        pull = problem.loss.residual(self.KC + self.b)
        self.R = pull - problem.alpha * self.C
        self.KR = problem.times(self.R)
        self.pull_b = pull.sum(axis=0) if problem.fit_intercept else np.zeros_like(self.b)
        square = problem.square(self.R, self.KR)
        #: norm of the gradient in the kernel's space (times the line of the intercepts)
        self.gradient_norm = float(np.sqrt(square + problem.scale * float(self.pull_b @ self.pull_b)))

    @property
    def bound(self) -> float:
        """No logit of any item as large as the training items is farther than this from the optimum's.

        The penalty makes the objective alpha-strongly convex in f: |f - f*| <= |gradient| / alpha, and
        |f(x) - f*(x)| <= sqrt(k(x, x)) |f - f*|, at the intercept reached.
        """
        return self.problem.reach * self.gradient_norm / self.problem.alpha

    @property
    def floor(self) -> float:
        """What of ``gradient_norm`` is rounding: of R, and of R^T K R where most of R is in K's null space."""
        root = float(np.sqrt(self.problem.trace))
        weights = float(np.linalg.norm(self.problem.loss.weights))
        terms = 1.0 + self.problem.scale * float(np.abs(self.C).sum(axis=0).max())
        return root * (4 * _EPS * weights * terms + float(np.sqrt(_EPS)) * float(np.linalg.norm(self.R)))

    def move(self, step: float, d: Direction) -> None:
        """Go `step` times along `d`."""
        self.C = self.C + step * d.C
        self.KC = self.KC + step * d.KC
        self.b = self.b + step * d.b


class Strategy(Protocol):
    """Chooses directions.

    Attributes
    ----------
    trusted : bool
        Whether a full step is right near the optimum, whatever rounding makes of the slope.
    """

    trusted: bool

    def direction(self, state: State) -> Direction:
        """The step to try at `state`."""
        ...


class Outcome(NamedTuple):
    """How a minimisation ended."""

    n_iter: int
    converged: bool


def minimise(state: State, strategy: Strategy, *, tol: float, max_iter: int) -> Outcome:
    """Move `state` to the minimum.

    Parameters
    ----------
    state : State
        Changed.
    strategy : Strategy
    tol : float
        On :attr:`State.bound`.
    max_iter : int

    Returns
    -------
    Outcome
        Converged where the bound is at most `tol`, or the gradient is nothing but rounding.

    Raises
    ------
    IndefiniteError
        If K is not positive semi-definite.
    """
    best, since_best = np.inf, 0
    for iteration in range(1, max_iter + 1):
        if state.bound <= tol:
            return Outcome(iteration, True)
        # gradients may rise and fall on the way; no lower one for long is stagnation
        best, since_best = (state.gradient_norm, 0) if state.gradient_norm < best else (best, since_best + 1)
        if since_best >= (4 if strategy.trusted else 20):
            return Outcome(iteration, bool(state.gradient_norm <= state.floor))
        d = strategy.direction(state)
        step = line_search(state, d, strategy.trusted)
        if step == 0.0:
            return Outcome(iteration, bool(state.gradient_norm <= state.floor))
        state.move(step, d)
        if iteration % 25 == 0:
            state.KC = state.problem.times(state.C)  # the sum of many steps drifts
        state.refresh()
    return Outcome(max_iter, bool(state.bound <= tol or state.gradient_norm <= state.floor))


def line_search(state: State, d: Direction, trusted: bool) -> float:
    """A step along `d` with a smaller objective and a much smaller slope; 0 where there is none. Takes no product."""
    problem = state.problem
    F, G = state.KC + state.b, d.KC + d.b
    cross = float(np.vdot(d.C, state.KC))
    square = problem.square(d.C, d.KC)
    start = problem.loss.value(F)
    penalty = 0.5 * problem.alpha

    def rise(t: float) -> float:
        return problem.loss.value(F + t * G) - start + penalty * (2 * t * cross + t * t * square)

    def slope(t: float) -> float:
        # differences first, sums after: near the optimum the sums of loss and penalty cancel
        pull = problem.loss.residual(F + t * G)
        return -float(np.vdot(pull - problem.alpha * (state.C + t * d.C), d.KC)) - float(pull.sum(axis=0) @ d.b)

    return step_length(rise, slope, float((problem.loss.weights * (1.0 + np.abs(F))).sum()), trusted)


class QuasiNewton:
    """Limited-memory BFGS in the kernel's inner product: one product with K per iteration.

    Parameters
    ----------
    memory : int
        Pairs kept.

    References
    ----------
    .. [1] D. C. Liu and J. Nocedal, "On the limited memory BFGS method for large scale
       optimization", Mathematical Programming 45, 1989.
    """

    trusted = False

    def __init__(self, memory: int = 12) -> None:
        self._pairs: deque[tuple[Direction, Direction, float]] = deque(maxlen=memory)
        self._last: tuple[Direction, Direction] | None = None

    def direction(self, state: State) -> Direction:
        """Minus the inverse Hessian's estimate times the gradient."""
        problem = state.problem
        point = Direction(state.C, state.KC, state.b)
        ascent = Direction(-state.R, -state.KR, -problem.scale * state.pull_b)
        if self._last is not None:
            moved, turned = _minus(point, self._last[0]), _minus(ascent, self._last[1])
            curvature = _inner(problem, moved, turned)
            if curvature > 1e-14 * _inner(problem, moved, moved):
                self._pairs.append((moved, turned, curvature))
        self._last = (point, ascent)
        q, shares = ascent, []
        for moved, turned, curvature in reversed(self._pairs):
            share = _inner(problem, moved, q) / curvature
            shares.append(share)
            q = _minus(q, turned, share)
        if self._pairs:
            _, turned, curvature = self._pairs[-1]
            gamma = curvature / _inner(problem, turned, turned)
        else:
            gamma = self._first_length(state, ascent)
        q = Direction(gamma * q.C, gamma * q.KC, gamma * q.b)
        for (moved, turned, curvature), share in zip(self._pairs, reversed(shares), strict=True):
            q = _minus(q, moved, _inner(problem, turned, q) / curvature - share)
        return Direction(-q.C, -q.KC, -q.b)

    @staticmethod
    def _first_length(state: State, ascent: Direction) -> float:
        """The Newton step along the gradient."""
        problem = state.problem
        square = _inner(problem, ascent, ascent)
        along = problem.loss.curvature(state.KC + state.b, ascent.KC + ascent.b)
        along += problem.alpha * float(np.vdot(ascent.C, ascent.KC))
        return square / along if along > 0.0 else 1.0 / problem.alpha


def _inner(problem: Problem, x: Direction, y: Direction) -> float:
    return float(np.vdot(x.C, y.KC)) + float(x.b @ y.b) / problem.scale


def _minus(x: Direction, y: Direction, times: float = 1.0) -> Direction:
    return Direction(x.C - times * y.C, x.KC - times * y.KC, x.b - times * y.b)
