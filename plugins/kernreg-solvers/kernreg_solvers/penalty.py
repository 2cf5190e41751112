r"""The penalty of ridge regression: checked, or chosen in closed form by one eigendecomposition.

Leave-one-out (Allen's PRESS) and generalised cross-validation (Golub, Heath and Wahba) as functions of alpha, exactly
and without a second fit. With S the root of the weights, :math:`\tilde K = S K S`, :math:`\tilde y = S y`, s = S 1,
and :math:`M = \tilde K + \alpha I`, the weighted coefficients are :math:`\tilde c = P \tilde y` with

.. math:: P = M^{-1}, \qquad\text{or}\qquad P = M^{-1} - \frac{M^{-1} s s^T M^{-1}}{s^T M^{-1} s}

where an intercept is fitted, which carries no penalty; residuals are :math:`\alpha \tilde c`, and

.. math::
    \mathrm{LOO}(\alpha) = \frac{1}{\sum_i w_i} \sum_i \Big(\frac{\tilde c_i}{P_{ii}}\Big)^2, \qquad
    \mathrm{GCV}(\alpha) = \frac{n^2}{\sum_i w_i}\, \frac{|\tilde c|^2}{(\operatorname{tr} P)^2}.

An item is left out with all its weight: a weight is the precision of one observation here, not a number of copies.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import eigh

from kernreg_core.arrays import describe
from kernreg_core.errors import InputError, ParameterError

from .mixin import as_numpy

#: What `alpha` may be besides numbers.
METHODS = ("loo", "gcv")
#: Points for each decade of the first grid, and of each grid between two neighbours of its best point.
_PER_DECADE, _FINE = 4, 33
#: The search ends this many times above the largest eigenvalue: the fit is then all but zero.
_ABOVE = 1e3
#: Eigenvalues below this are zero: squares of their inverses would overflow.
_LEAST = 1e-100
_BLOCK = 512
#: Coefficients that are in memory at a time: 128 MB.
_MOST = 1 << 24

#: (alphas (g,), columns (t,)) -> errors (g, t)
Curve = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Choice(NamedTuple):
    """A penalty for each target, and its error there."""

    alphas: np.ndarray
    errors: np.ndarray


def checked_penalty(alpha: Any, n_targets: int, methods: tuple[str, ...] = ()) -> np.ndarray | str:
    """One penalty for each target, or the name of one of `methods`.

    Raises
    ------
    ParameterError
    """
    or_method = "".join(f", or {method!r}" for method in methods)
    if isinstance(alpha, str):
        if alpha in methods:
            return alpha
        raise ParameterError(f"alpha: expected a number at least 0{or_method}, got {alpha!r}")
    try:
        found = np.asarray(as_numpy(alpha), dtype=np.float64)
    except (TypeError, ValueError):
        raise ParameterError(
            f"alpha: expected a number at least 0, or one for each target{or_method}, got {describe(alpha)}"
        ) from None
    if not np.isfinite(found).all() or (found < 0).any():
        raise ParameterError(
            f"alpha: expected finite numbers at least 0, got {alpha!r}: 0 interpolates, larger values smooth"
        )
    if found.ndim > 1 or (found.ndim == 1 and found.size not in (1, n_targets)):
        raise ParameterError(f"alpha: expected one number, or {n_targets}, one for each target, got {describe(alpha)}")
    return np.broadcast_to(found.ravel(), (n_targets,))


def minimise(curve: Curve, n_targets: int, low: float, high: float) -> Choice:
    """The penalty of least error for each target: a grid on a log scale, then finer ones around its best point.

    Parameters
    ----------
    curve : callable (alphas (g,), columns (t,)) -> (g, t)
    n_targets : int
    low, high : float
        Above 0. An end may be the answer: `low` where every penalty is too large, `high` where there is no signal.
    """
    count = max(2, math.ceil(_PER_DECADE * math.log10(high / low)) + 1)
    grid = np.geomspace(low, high, count)
    values = curve(grid, np.arange(n_targets))
    alphas, errors = np.empty(n_targets), np.empty(n_targets)
    for t in range(n_targets):
        points, found = grid, values[:, t]
        for _ in range(3):
            best = int(np.argmin(found))
            left, right = points[max(best - 1, 0)], points[min(best + 1, len(points) - 1)]
            if right <= left * (1.0 + 1e-9):
                break
            points = np.geomspace(left, right, _FINE)
            found = curve(points, np.array([t]))[:, 0]
        best = int(np.argmin(found))
        alphas[t], errors[t] = points[best], found[best]
    return Choice(alphas, errors)


class DualPath:
    """Ridge solutions and their errors for every penalty, from one eigendecomposition of the Gram matrix.

    Parameters
    ----------
    K : ndarray, shape (n, n), float64, symmetric
        Overwritten.
    Y : ndarray, shape (n, t)
    roots : ndarray, shape (n,), optional
        Roots of weights, all positive, with which `K` and `Y` are multiplied already.
    intercept : bool
    """

    def __init__(self, K: np.ndarray, Y: np.ndarray, roots: np.ndarray | None = None, intercept: bool = False) -> None:
        n = len(K)
        if intercept and n < 2:
            raise InputError(
                "X: expected at least 2 items to choose alpha beside an intercept, got 1 sample: give a number"
            )
        self.n, self.n_targets = Y.shape
        self.total = float(n) if roots is None else float(np.square(roots).sum())
        values, self.vectors = eigh(K.T, overwrite_a=True, check_finite=False, driver="evd")
        # what is rounding counts as zero: beside the least penalties a sum of many such values would show
        rounding = n * float(np.finfo(np.float64).eps) * float(np.abs(values).max())
        self.values = np.where(np.abs(values) > rounding, values, 0.0)
        self._targets = self.vectors.T @ Y
        border = (np.ones(n) if roots is None else roots) if intercept else None
        self._edge = None if border is None else self.vectors.T @ border

    @property
    def range(self) -> tuple[float, float]:
        """Where a penalty is looked for: above rounding, and above what a negative eigenvalue needs."""
        largest = max(float(np.abs(self.values).max()), _LEAST)
        rounding = self.n * float(np.finfo(np.float64).eps) * largest
        low = max(rounding, -1.01 * float(self.values[0]))
        return low, max(_ABOVE * largest, 10.0 * low)

    def choose(self, method: str) -> Choice:
        """The penalty of least leave-one-out (``'loo'``) or generalised cross-validation (``'gcv'``) error."""
        return minimise(getattr(self, method), self.n_targets, *self.range)

    def gcv(self, alphas: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Generalised cross-validation errors, shape (g, t): no pass over the eigenvectors."""
        D = 1.0 / (self.values[:, None] + alphas)
        squares = np.empty((len(alphas), len(columns)))
        for g, d in enumerate(D.T):
            squares[g] = np.square(self._coordinates(d, columns)).sum(axis=0)
        trace = D.sum(axis=0)
        if self._edge is not None:
            z = np.square(self._edge)
            trace -= (z @ np.square(D)) / (z @ D)
        return np.asarray(self.n**2 / self.total * squares / np.square(trace)[:, None])

    def loo(self, alphas: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Leave-one-out mean squared errors, shape (g, t)."""
        if len(columns) > 1 and self.n * len(alphas) * len(columns) > _MOST:
            return np.hstack([self.loo(alphas, half) for half in np.array_split(columns, 2)])
        D = 1.0 / (self.values[:, None] + alphas)
        duals = np.stack([self._coordinates(d, columns) for d in D.T], axis=1).reshape(self.n, -1)
        sums = np.zeros((len(alphas), len(columns)))
        edges, strength = None, np.ones(len(alphas))
        if self._edge is not None:
            edges, strength = self._edge[:, None] * D, np.square(self._edge) @ D
        for start in range(0, self.n, _BLOCK):
            U = self.vectors[start : start + _BLOCK]
            diagonal = np.square(U) @ D
            if edges is not None:
                diagonal -= np.square(U @ edges) / strength
            c = (U @ duals).reshape(len(U), len(alphas), len(columns))
            with np.errstate(divide="ignore", invalid="ignore"):
                left_out = c / diagonal[:, :, None]
            sums += np.square(np.where(diagonal[:, :, None] > 0, left_out, np.inf)).sum(axis=0)
        return sums / self.total

    def solve(self, alphas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (n, t), still to be multiplied with the roots of the weights, and intercepts (t,)."""
        C, b = np.empty((self.n, self.n_targets)), np.zeros(self.n_targets)
        for t, alpha in enumerate(alphas):
            d = 1.0 / (self.values + alpha)
            column = np.array([t])
            C[:, t] = self.vectors @ self._coordinates(d, column)[:, 0]
            b[t] = self._intercepts(d, column)[0]
        return C, b

    def _coordinates(self, d: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Coefficients in the eigenbasis, shape (n, t)."""
        right = self._targets[:, columns]
        if self._edge is not None:
            right = right - self._edge[:, None] * self._intercepts(d, columns)
        return np.asarray(d[:, None] * right)

    def _intercepts(self, d: np.ndarray, columns: np.ndarray) -> np.ndarray:
        if self._edge is None:
            return np.zeros(len(columns))
        weighted = self._edge * d
        return np.asarray((weighted @ self._targets[:, columns]) / (weighted @ self._edge))


class PrimalPath:
    r"""The same from the normal matrix of explicit features Z: :math:`A = Z^T W Z`, :math:`B = Z^T W Y`.

    With an intercept Z and Y are centred on their weighted means. An item's leverage is
    :math:`w_i (z_i^T (A + \alpha I)^{-1} z_i + 1 / \sum_j w_j)`, without the last term where there is no intercept.

    Parameters
    ----------
    A : ndarray, shape (D, D), float64
        Overwritten.
    B : ndarray, shape (D, t)
    squares : ndarray, shape (t,)
        Sums of w y^2, y centred where there is an intercept.
    n : int
        Items of positive weight.
    total : float
        Sum of their weights.
    intercept : bool
    removed : float
        The size of what centring has subtracted from `A`, whose rounding is left in it.
    """

    def __init__(
        self,
        A: np.ndarray,
        B: np.ndarray,
        squares: np.ndarray,
        n: int,
        total: float,
        intercept: bool,
        removed: float = 0.0,
    ) -> None:
        if intercept and n < 2:
            raise InputError(
                "X: expected at least 2 items to choose alpha beside an intercept, got 1 sample: give a number"
            )
        self.n, self.total, self.intercept, self.n_targets = n, total, intercept, B.shape[1]
        values, self.vectors = eigh(A.T, overwrite_a=True, check_finite=False, driver="evd")
        self._rounding = max(len(values), n) * float(np.finfo(np.float64).eps) * (max(float(values[-1]), 0.0) + removed)
        # what is rounding counts as zero: of hundreds of such directions some would seem to explain a few targets
        large = values > self._rounding
        self.values = np.where(large, values, 0.0)
        self._targets, self._squares = np.where(large[:, None], self.vectors.T @ B, 0.0), squares

    @property
    def range(self) -> tuple[float, float]:
        """Where a penalty is looked for: above the rounding of the normal matrix."""
        low = max(self._rounding, max(len(self.values), self.n) * float(np.finfo(np.float64).eps) * _LEAST)
        return low, max(_ABOVE * float(self.values[-1]), 10.0 * low)

    def choose(self) -> Choice:
        """The penalty of least generalised cross-validation error."""
        return minimise(self.gcv, self.n_targets, *self.range)

    def gcv(self, alphas: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Generalised cross-validation errors, shape (g, t)."""
        eps, squares, large = float(np.finfo(np.float64).eps), self._squares[columns], self.values > 0.0
        # what is left of each direction's part of the targets; with as many columns as items that is nearly nothing,
        # and so is the freedom: differences of the sums would be rounding, whose quotient has minima of its own
        left = alphas / (self.values[:, None] + alphas)
        parts = np.square(self._targets[large][:, columns]) / self.values[large, None]
        rest = np.maximum(squares - parts.sum(axis=0), 0.0) + np.square(left[large]).T @ parts
        # not known better than the rounding of the sum of squares
        rest = np.maximum(rest, eps * squares)
        freedom = np.maximum(self.n - self.intercept - len(left) + left.sum(axis=0), eps * self.n)
        return np.asarray(self.n**2 / self.total * rest / np.square(freedom)[:, None])

    def left_out(self, Q: np.ndarray, Y: np.ndarray, weights: np.ndarray | None, alphas: np.ndarray) -> np.ndarray:
        """Sums over rows of w (y_i - f_{-i}(x_i))^2, shape (g, t), of Q = Z V; with an intercept all is centred."""
        D = 1.0 / (self.values[:, None] + alphas)
        leverage = np.square(Q) @ D + (1.0 / self.total if self.intercept else 0.0)
        if weights is not None:
            leverage *= weights[:, None]
        fitted = Q @ (D[:, :, None] * self._targets[:, None, :]).reshape(len(D), -1)
        rest = Y[:, None, :] - fitted.reshape(len(Q), len(alphas), -1)
        with np.errstate(divide="ignore", invalid="ignore"):
            errors = np.where(leverage[:, :, None] < 1.0, rest / (1.0 - leverage[:, :, None]), np.inf)
        squares = np.square(errors)
        return np.asarray(squares.sum(axis=0) if weights is None else np.tensordot(weights, squares, 1))

    def solve(self, alphas: np.ndarray) -> np.ndarray:
        """Coefficients, shape (D, t)."""
        return np.asarray(self.vectors @ (self._targets / (self.values[:, None] + alphas)))
