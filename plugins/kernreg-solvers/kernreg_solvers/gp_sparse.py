"""The collapsed variational bound of Titsias (2009), its gradient and its posterior, streamed over rows.

Only (m, m) matrices and blocks of rows are ever held. Rows are whitened, F = K_nm L^-T with L L^T = K_mm, before their
products are summed: whitened afterwards, the rounding of K_mn K_nm would be magnified by the condition of K_mm.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import lapack

from kernreg_core.arrays import is_torch
from kernreg_core.errors import InputError
from kernreg_core.threads import pinned_blas

from .gp_exact import factorise, inverse_in_place, solve
from .gp_pull import diagonal_values
from .hyperparameters import HyperParameters
from .linalg import blas_threads
from .mixin import _gram as gram_of
from .mixin import as_numpy, count
from .operator import KernelOperator

#: Added to K_mm, relative to the mean of its diagonal. It makes inducing values noisy, which keeps the bound a bound.
JITTER = 1e-8
#: Rows that are converted to float64 at a time, and entries of a block that is differentiated.
_ROWS, _BLOCK = 1 << 16, 1 << 21


class Data(NamedTuple):
    """Items, targets (n, t) and weights (n,) or None."""

    X: Any
    Y: np.ndarray
    weights: np.ndarray | None

    @property
    def total(self) -> float:
        """The sum of the weights."""
        return float(len(self.Y) if self.weights is None else self.weights.sum())


class Statistics(NamedTuple):
    """What one pass over the rows gives, at one kernel and set of inducing items.

    ``L`` (m, m), lower triangle; ``W`` = L^-T; ``jitter``; and, D being the diagonal matrix of the weights, ``Phi`` =
    F^T D F (m, m); ``g`` = F^T D [Y, 1], (m, t + 1); ``S`` = [Y, 1]^T D [Y, 1]; ``trace`` = sum_i D_ii k(x_i, x_i).
    """

    L: np.ndarray
    W: np.ndarray
    jitter: float
    Phi: np.ndarray
    g: np.ndarray
    S: np.ndarray
    trace: float


class Bound(NamedTuple):
    """The bound at a noise.

    ``value``; ``LB``, the factor of B = I + Phi / noise in its lower triangle; ``b`` = B^-1 F^T W (y - mean) / noise,
    (m, t); ``mean`` (t,); ``squares``, the sum of w_i |y_i - mean - k_i b|^2.
    """

    value: float
    LB: np.ndarray
    b: np.ndarray
    mean: np.ndarray
    squares: float


def wide(X: Any) -> Any:
    """Rows of numbers in float64; other items as they are."""
    if is_torch(X):
        return X.double()
    if isinstance(X, np.ndarray) and X.dtype.kind == "f":
        return np.asarray(X, dtype=np.float64)
    return X


def parts(X: Any, size: int = 0) -> Iterator[tuple[slice, Any]]:
    """(rows, X[rows] in float64), `size` rows at a time; by default as many as need no large copy."""
    n = count(X)
    if not size:
        dtype = getattr(X, "dtype", None)
        size = n if dtype is None or wide(X[:1]).dtype == dtype else _ROWS
    for start in range(0, n, size):
        rows = slice(start, min(start + size, n))
        yield rows, wide(X if size >= n else X[rows])


def factor_inducing(kernel: Any, Z: Any) -> tuple[np.ndarray, float]:
    """Factor of K_mm + jitter I in the lower triangle, and the jitter."""
    K = np.array(as_numpy(gram_of(kernel, Z)), dtype=np.float64, order="C")
    if not np.isfinite(K).all():
        raise InputError(f"kernel: {kernel!r} gave NaN or infinite values for the inducing items")
    base = JITTER * max(float(K.diagonal().mean()), float(np.finfo(np.float64).tiny))
    return K, base + factorise(K, base)


def inverse_transposed(L: np.ndarray) -> np.ndarray:
    """L^-T of a factor in the lower triangle of `L`."""
    return np.triu(lapack.dtrtri(L.T, lower=0)[0])


def statistics(kernel: Any, data: Data, Z: Any) -> Statistics:
    """One pass over the rows: O(n m^2) time."""
    m = count(Z)
    with blas_threads(m):
        L, jitter = factor_inducing(kernel, Z)
        W = inverse_transposed(L)
    T = np.column_stack([data.Y, np.ones(len(data.Y))])
    sums, trace = np.zeros((m, m + T.shape[1])), 0.0
    for rows, X in parts(data.X):
        part = None if data.weights is None else data.weights[rows]
        with pinned_blas():  # the products have threads of their own
            sums += _whitened_products(KernelOperator(kernel, X, Z), W, T[rows], part)
        diagonal = diagonal_values(kernel, X)
        trace += float(diagonal.sum() if part is None else diagonal @ part)
    weighted = T if data.weights is None else T * data.weights[:, None]
    return Statistics(L, W, jitter, 0.5 * (sums[:, :m] + sums[:, :m].T), sums[:, m:], T.T @ weighted, trace)


def _whitened_products(
    operator: KernelOperator, W: np.ndarray, T: np.ndarray, weights: np.ndarray | None
) -> np.ndarray:
    """[F^T D F, F^T D T] over the operator's rows, F = K W."""
    m = W.shape[0]
    W_, roots = operator.operand(W), None if weights is None else np.sqrt(weights)[:, None]

    def body(rows: slice, K: Any) -> Any:
        F, right = K @ W_, operator.operand(T[rows])
        if roots is not None:
            root = operator.operand(roots[rows])
            F, right = F * root, right * root
        if is_torch(F):
            return sys.modules["torch"].cat([F.mT @ F, F.mT @ right], 1)
        return np.concatenate([F.T @ F, F.T @ right], axis=1)

    return operator.reduce(body, (m, m + T.shape[1]))


def bound(found: Statistics, noise: float, mean: float | None, total: float) -> Bound:
    r"""The bound summed over targets, from the statistics of one pass: O(m^3).

    .. math:: \log N(y \mid m, Q + \sigma^2 W^{-1}) - \frac{1}{2 \sigma^2} \mathrm{tr}\, W (K_{nn} - Q), \qquad
        Q = K_{nm} K_{mm}^{-1} K_{mn}

    Parameters
    ----------
    found : Statistics
    noise : float, above 0
    mean : float or None
        None is the constant of the largest bound.
    total : float
        Sum of the weights: whole ones count as equal rows, as in the exact likelihood.
    """
    t = found.g.shape[1] - 1
    B = found.Phi / noise
    factorise(B, 1.0)
    solved = solve(B, found.g) / noise
    inner = (found.S - found.g.T @ solved) / noise  # [y, 1]^T (Q + noise / W)^-1 [y, 1]
    inner = 0.5 * (inner + inner.T)
    means = inner[:t, t] / inner[t, t] if mean is None else np.full(t, mean)
    shift = np.vstack([np.eye(t), -means])  # [y, 1] shift = y - mean
    b = solved @ shift
    quadratic = float(np.einsum("ij,ik,kj->", shift, inner, shift))
    lost = max(found.trace - float(np.trace(found.Phi)), 0.0)
    value = -0.5 * quadratic - t * float(np.log(B.diagonal()).sum()) - 0.5 * t * lost / noise
    value -= 0.5 * t * total * math.log(2.0 * math.pi * noise)
    g = found.g @ shift
    squares = float(np.einsum("ij,ik,kj->", shift, found.S, shift) - 2.0 * np.vdot(g, b) + np.vdot(b, found.Phi @ b))
    return Bound(value, B, b, means, max(squares, 0.0))


class CollapsedLikelihood:
    """The bound and its gradient, as a function of theta and, where they are learnt, of the inducing items.

    Parameters
    ----------
    space : HyperParameters
        With the extra parameter ``noise``.
    data : Data
    Z : inducing items, m of them, in float64
    mean : float or None
    moving : bool
        Whether theta is followed by the inducing items, (m d,), in units of `unit`.
    unit : ndarray, shape (d,)

    Notes
    -----
    With P = K_nm, s the noise, Sigma = K_mm + P^T W P / s and beta = Sigma^-1 P^T W (y - m) / s the bound's derivative
    is W ((y - m - P beta) beta^T + P (K_mm^-1 - Sigma^-1)) / s by P and (2 K_mm^-1 - Sigma^-1 - beta beta^T -
    K_mm^-1 Sigma K_mm^-1) / 2 by K_mm, for one target; a second pass over the rows contracts it with the kernel's own.
    """

    def __init__(
        self, space: HyperParameters, data: Data, Z: Any, mean: float | None, moving: bool = False, unit: Any = 1.0
    ) -> None:
        self.space, self.data, self.Z, self.mean, self.moving, self.unit = space, data, Z, mean, moving, unit
        self._last: tuple[np.ndarray, Statistics] | None = None

    def on(self, data: Data, Z: Any, moving: bool) -> CollapsedLikelihood:
        """The same on other data and inducing items."""
        return CollapsedLikelihood(self.space, data, Z, self.mean, moving, self.unit)

    def items(self, theta: np.ndarray) -> Any:
        """The inducing items of an extended theta."""
        if not self.moving:
            return self.Z
        values = theta[len(self.space.theta) :].reshape(tuple(self.Z.shape)) * self.unit
        return self.Z.new_tensor(values) if is_torch(self.Z) else values

    def extended(self, theta: np.ndarray) -> np.ndarray:
        """theta, followed by the inducing items where they move."""
        return np.concatenate([theta, (as_numpy(self.Z) / self.unit).ravel()]) if self.moving else theta

    def statistics(self, theta: np.ndarray) -> Statistics:
        """Those at theta; computed once where only the noise changes."""
        noise = self.space.where("noise")
        key = theta.copy() if noise is None else np.delete(theta, noise)
        kernel = self.space.at(theta[: len(self.space.theta)])
        if self._last is None or not np.array_equal(key, self._last[0]):
            self._last = key, statistics(kernel, self.data, self.items(theta))
        return self._last[1]

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """(value, gradient)."""
        own = theta[: len(self.space.theta)]
        noise, t = self.space.extra(own)["noise"], self.data.Y.shape[1]
        found = self.statistics(theta)
        m = len(found.L)
        with blas_threads(m):
            at = bound(found, noise, self.mean, self.data.total)
            inverse = inverse_in_place(at.LB.copy())
        gradient = np.zeros(len(theta))
        if self.moving or self.space.inside:
            gradient = self._of_kernel(theta, found, at, inverse, noise)
        where = self.space.where("noise")
        if where is not None:
            lost = max(found.trace - float(np.trace(found.Phi)), 0.0)
            free = m - float(np.trace(inverse)) - self.data.total
            gradient[where] = 0.5 * (t * free + (at.squares + t * lost) / noise)
        return at.value, gradient

    def _of_kernel(
        self, theta: np.ndarray, found: Statistics, at: Bound, inverse: np.ndarray, noise: float
    ) -> np.ndarray:
        """The second pass."""
        space, data, Z = self.space, self.data, self.items(theta)
        own, t, m = theta[: len(space.theta)], data.Y.shape[1], len(found.L)
        W, eye = found.W, np.eye(m)
        beta = W @ at.b
        between = W @ (eye - inverse) @ W.T
        of_inducing = -0.5 * (t * (W @ (found.Phi / noise + inverse - eye) @ W.T) + beta @ beta.T)
        of_inducing += JITTER * float(np.trace(of_inducing)) / m * eye  # the jitter follows the diagonal
        of_items = np.zeros(tuple(Z.shape)) if self.moving else None
        gradient = self._pulled(own, of_inducing, Z, None, of_items)
        weights = np.ones(len(data.Y)) if data.weights is None else data.weights
        for rows, X in parts(data.X):
            gradient += space.pull_diagonal(own, (-0.5 * t / noise) * weights[rows], X)
        for rows, X in parts(data.X, max(64, _BLOCK // m)):
            P = np.asarray(as_numpy(gram_of(space.at(own), X, Z)), dtype=np.float64)
            G = (data.Y[rows] - at.mean - P @ beta) @ beta.T
            G += t * (P @ between)
            G *= weights[rows, None] / noise
            gradient += self._pulled(own, G, X, Z, of_items, float(np.vdot(G, P)))
        return gradient if of_items is None else np.concatenate([gradient, (of_items * self.unit).ravel()])

    def _pulled(
        self, theta: np.ndarray, G: np.ndarray, X: Any, Y: Any, of_items: np.ndarray | None, inner: float | None = None
    ) -> np.ndarray:
        if of_items is None:
            return self.space.pull(theta, G, X, Y, inner=inner)
        gradient, moved = self.space.pull_items(theta, G, X, Y)
        of_items += moved
        return gradient

    def loss(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus the bound."""
        value, gradient = self(theta)
        return -value, -gradient
