"""The two descents: EigenPro 2 on the items themselves, EigenPro 3 on centres, projected after each step."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import cho_solve, solve_triangular

from kernreg_core.arrays import is_torch
from kernreg_core.errors import KernregWarning

from .centers import take
from .eigenpro_blocks import Arrays, Blocks, batches, copied, in_float64, mean_square, on_host, picked
from .eigenpro_core import (
    Functions,
    Guard,
    Options,
    factor_threads,
    factored,
    fresh_items,
    functions_of_centers,
    functions_of_items,
    is_expensive,
    plan,
)
from .mixin import count
from .operator import KernelOperator

#: k(X, Y) of a few items as a matrix in float64; k(X, X) where Y is not given.
Matrix = Callable[..., np.ndarray]

#: Epochs of EigenPro 2 that an inexact projection takes, and the relative residual at which it stops earlier.
PROJECTION_EPOCHS, PROJECTION_TOL = 2, 1e-6
#: How far beyond the batch the spectrum is flattened (see ``plan``), in the descent and in an inexact projection, whose
#: two epochs have to reach its small eigenvalues.
PAYS, PROJECTION_PAYS = 2, 4
#: The coefficients are the mean over all steps, step t weighted as t^DECAY: about the last ninth of them.
DECAY = 8
#: Items on which eigenfunctions on centres are estimated, for each centre, and values of the kernel that this may take.
PER_CENTER, MOST_VALUES = 5, 10**7


class Interpolation:
    """Coefficients a with k(Z, Z) a = Y, epoch by epoch: EigenPro 2.

    Parameters
    ----------
    kernel : kernel
        Fitted where it has to be.
    Z : array, tensor or sequence, n items
    options : Options
    matrix : callable
    rng : numpy.random.RandomState
        Draws the subsample and the order of the batches.
    pays : int
        See :func:`plan`.

    Attributes
    ----------
    plan : Plan
    guard : Guard
    """

    def __init__(
        self, kernel: Any, Z: Any, options: Options, matrix: Matrix, rng: np.random.RandomState, pays: int = 1
    ) -> None:
        self._items, self._rng, self.arrays = Z, rng, Arrays(Z)
        self.n = n = count(Z)
        s = options.subsample(kernel, n)
        chosen = picked(n, s, rng)
        most = options.most_rows(n, n, 1, self.arrays.accelerator)
        part = take(Z, chosen)
        K = matrix(part)
        factored(K, kernel)
        functions = functions_of_items(K, options.most_pairs(s, s == n, most))
        if s < n:
            fresh = take(Z, fresh_items(kernel, n, rng))
            self.plan = plan(functions, matrix(part, fresh), matrix(fresh), options, most, pays)
        else:
            self.plan = plan(functions, K, K, options, most, pays)
        self.guard = Guard(self.plan, options.step_size is not None)
        self._W, self._chosen = self.arrays.array(self.plan.W), self.arrays.index(chosen)
        self._blocks = Blocks(kernel, Z, options.budget)

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        return math.ceil(self.n / self.plan.batch)

    def epoch(self, A: Any, Y: Any, done: Callable[[], None] = lambda: None) -> tuple[Any, float]:
        """Go once through the items; the coefficients, and the mean squared residual met on the way.

        Parameters
        ----------
        A, Y : array or tensor in float64, shape (n, c)
            `A` is overwritten.
        done : callable
            Called after each batch.
        """
        total, guard = 0.0, self.guard
        with _threads(self.arrays):
            for part in batches(self.n, self.plan.batch, self._rng):
                rows = self.arrays.index(part)
                targets = Y[rows]
                G, pull = self._blocks.residual(take(self._items, part), targets, A, self._chosen)
                loss, size = mean_square(G), mean_square(targets)
                if guard.accepts(loss, size, len(part)):
                    guard.keep(A)
                    A[rows] -= guard.rate * G
                    A[self._chosen] += guard.rate * (self._W @ (self._W.T @ pull))
                else:
                    A, loss = guard.back("EigenPro 2"), size
                total += loss * len(part)
                done()
        return A, total / self.n

    def values(self, X: Any, A: Any) -> Any:
        """k(X, Z) A of other items."""
        return self._blocks.times(X, A)


# -- projections: K(Z, Z)^-1 h ------------------------------------------------------------------------


class ExactProjection:
    """By a Cholesky factor of K(Z, Z)."""

    def __init__(self, L: np.ndarray, arrays: Arrays) -> None:
        self._L = arrays.array(L)

    def __call__(self, h: Any) -> Any:
        """K(Z, Z)^-1 `h`."""
        if is_torch(h):
            return sys.modules["torch"].cholesky_solve(h, self._L)
        return cho_solve((self._L, True), h, check_finite=False)


class InexactProjection:
    """By some epochs of EigenPro 2 on the centres: roughly, and without a matrix of p^2 numbers."""

    def __init__(self, kernel: Any, Z: Any, options: Options, matrix: Matrix, rng: np.random.RandomState) -> None:
        own = Options(memory_budget=options.memory_budget)
        self._descent = Interpolation(kernel, Z, own, matrix, rng, PROJECTION_PAYS)

    def __call__(self, h: Any) -> Any:
        """K(Z, Z)^-1 `h`, roughly."""
        descent = self._descent
        descent.guard.restart()
        A, goal = descent.arrays.zeros(tuple(h.shape)), PROJECTION_TOL**2 * mean_square(h)
        for _ in range(PROJECTION_EPOCHS):
            A, loss = descent.epoch(A, h)
            if loss <= goal:
                break
        return A


# -- EigenPro 3 ---------------------------------------------------------------------------------------


class Source(NamedTuple):
    """Where eigenfunctions live: items S, their places among the centres (None: they are others), and what was added
    to the diagonal of K(S, S).
    """

    functions: Functions
    items: Any
    chosen: np.ndarray | None
    jitter: float


class Descent:
    """Coefficients on centres, moved by one batch after the other.

    Parameters
    ----------
    kernel : kernel
    X : items
        What the spectrum is estimated on.
    Z : items, p
        Centres.
    options : Options
    matrix : callable
    rng : numpy.random.RandomState
    exact : bool
        How it is projected.
    on_centers : bool
        Where the eigenfunctions live.

    Attributes
    ----------
    plan : Plan
    guard : Guard
    jitter : float
        What the exact projection added to the diagonal.
    """

    def __init__(
        self,
        kernel: Any,
        X: Any,
        Z: Any,
        options: Options,
        matrix: Matrix,
        rng: np.random.RandomState,
        *,
        exact: bool,
        on_centers: bool,
    ) -> None:
        self.arrays, self.p, self._rng = Arrays(Z), count(Z), rng
        self._blocks = Blocks(kernel, Z, options.budget)
        self.jitter, L = 0.0, None
        if exact:
            L, self.jitter = factored(matrix(Z), kernel, _floor(Z))
            self._project: Callable[[Any], Any] = ExactProjection(L, self.arrays)
        else:
            self._project = InexactProjection(kernel, Z, options, matrix, rng)
        n = count(X)
        most = options.most_rows(n, self.p, self.p, self.arrays.accelerator)
        if on_centers:
            source = self._on_centers(kernel, X, Z, options, matrix, most, L)
        else:
            source = self._on_items(kernel, X, options, matrix, most)
        fresh = take(X, fresh_items(kernel, n, rng))
        if on_centers and L is not None:
            # of k(x, .) only what the projection leaves moves the model: far less where the centres are few
            with factor_threads(self.p):
                T = solve_triangular(L, matrix(Z, fresh), lower=True, check_finite=False)
                K = T.T @ T
        else:
            K = matrix(fresh)
        self.plan = plan(source.functions, matrix(source.items, fresh), K, options, most, PAYS)
        self.guard = Guard(self.plan, options.step_size is not None)
        # K(Z, S) W, and for S among the centres what their projection makes of it
        image = KernelOperator(kernel, in_float64(Z), in_float64(source.items)).times(self.plan.W)
        if source.chosen is not None:
            image[source.chosen] += source.jitter * self.plan.W
        self._W, self._image = self.arrays.array(self.plan.W), self.arrays.array(image)
        self._chosen = None if source.chosen is None else self.arrays.index(source.chosen)
        self._sampled = Blocks(kernel, source.items, options.budget) if source.chosen is None else None

    def _on_centers(
        self, kernel: Any, X: Any, Z: Any, options: Options, matrix: Matrix, most: int, L: np.ndarray | None
    ) -> Source:
        """Of the covariance within the span of the centres, or of some where there are many."""
        n = count(X)
        s = options.subsample(kernel, n)
        chosen = picked(self.p, s, self._rng)
        if options.n_subsamples is None and not is_expensive(kernel):
            s = min(n, max(s, min(PER_CENTER * len(chosen), MOST_VALUES // len(chosen))))
        sample, part, jitter = take(X, picked(n, s, self._rng)), take(Z, chosen), self.jitter
        if L is None or len(chosen) < self.p:
            L, jitter = factored(matrix(part), kernel, _floor(Z))
        pairs = min(options.most_pairs(s, s == n, most), len(chosen))
        return Source(functions_of_centers(L, matrix(part, sample), pairs), part, chosen, jitter)

    def _on_items(self, kernel: Any, X: Any, options: Options, matrix: Matrix, most: int) -> Source:
        """Of the covariance of a subsample of the items, as in the paper."""
        n = count(X)
        s = options.subsample(kernel, n)
        sample = take(X, picked(n, s, self._rng))
        K = matrix(sample)
        factored(K, kernel)
        return Source(functions_of_items(K, options.most_pairs(s, s == n, most)), sample, None, 0.0)

    def start(self, A: np.ndarray) -> None:
        """Begin at these coefficients, shape (p, c)."""
        self._A = self.arrays.array(A)
        self._mean, self._steps = copied(self._A), 0

    @property
    def coefficients(self) -> np.ndarray:
        """The averaged coefficients, shape (p, c)."""
        return on_host(copied(self._mean))

    def step(self, X: Any, Y: Any) -> float:
        """Move by one batch; its mean squared residual before."""
        guard = self.guard
        G, h = self._blocks.residual(X, Y, self._A)
        loss, size = mean_square(G), mean_square(Y)
        if not guard.accepts(loss, size, len(Y)):
            self._A = guard.back("EigenPro 3")
            self._mean, self._steps = copied(self._A), 0
            return size
        guard.keep(self._A)
        met = h[self._chosen] if self._sampled is None else self._sampled.adjoint(X, G)
        self._A = self._A - guard.rate * self._project(h - self._image @ (self._W.T @ met))
        self._steps += 1
        self._mean = self._mean + (DECAY + 1) / (self._steps + DECAY) * (self._A - self._mean)
        return loss

    def epoch(self, X: Any, y: np.ndarray, done: Callable[[], None]) -> float:
        """Go once through items and targets, (n, c); the mean squared residual met on the way."""
        total, n = 0.0, count(X)
        with _threads(self.arrays, self.p):
            for part in batches(n, self.plan.batch, self._rng):
                total += self.step(take(X, part), self.arrays.array(y[part])) * len(part)
                done()
        return total / n


def _threads(arrays: Arrays, p: int = 0) -> AbstractContextManager[None]:
    """A context for an epoch: blocks have threads of their own."""
    return nullcontext() if arrays.on_tensors else factor_threads(p)


def _floor(Z: Any) -> float:
    """What the diagonal needs for the rounding of the blocks, as a fraction of it: nothing in float64.

    Rounded blocks are off by about eps sqrt(p) in norm. Much more slows the descent, less lets coefficients grow until
    their sums are rounding: a tenth of it was the best of what was measured on smooth kernels.
    """
    dtype = getattr(Z, "dtype", None)
    if is_torch(Z):
        eps = sys.modules["torch"].finfo(dtype).eps if Z.is_floating_point() else 0.0
    else:
        eps = float(np.finfo(dtype).eps) if isinstance(dtype, np.dtype) and dtype.kind == "f" else 0.0
    return 0.0 if eps < 1e-12 else float(0.1 * eps * math.sqrt(count(Z)))


def warn_of_halvings(solver: str, guard: Guard) -> None:
    """Say that the automatic step was too long."""
    if guard.halvings:
        warnings.warn(
            f"{solver}: the descent diverged with the step that the subsample suggests, which was halved "
            f"{guard.halvings} time(s) to {guard.step:.3g}: some items have a far larger k(x, x) than the subsample's: "
            "raise n_subsamples, or pass a smaller step_size to silence this",
            KernregWarning,
            stacklevel=4,
        )
