r"""What EigenPro 2 and 3 share: a descent in a kernel's space, preconditioned by the data's leading eigenfunctions.

With :math:`\Gamma = \frac1n \sum_i k(x_i, \cdot) \otimes k(x_i, \cdot)`, its eigenvalues
:math:`\lambda_1 \ge \lambda_2 \ge \dots` and eigenfunctions :math:`\psi_i` of norm 1, estimated on a subsample,

.. math:: P = I - \sum_{i \le q} \Bigl(1 - \frac{\lambda_{q+1}}{\lambda_i}\Bigr)\, \psi_i \otimes \psi_i

makes the q largest eigenvalues of :math:`P \Gamma` equal to :math:`\lambda_{q+1}`. A batch of m items moves f by
:math:`-\frac{\eta}{m} P \sum_b (f(x_b) - y_b)\, k(x_b, \cdot)`. With :math:`\beta = \max_x k_P(x, x)`,
:math:`k_P(x, z) = \langle k(x, \cdot), P k(z, \cdot) \rangle`, the step
:math:`\eta = m / (\beta + (m - 1) \lambda_{q+1})` is the best constant one, and up to
:math:`m = \beta / \lambda_{q+1}` items a batch makes as much progress as so many single items: the larger q, the
larger the batches that pay.
"""

from __future__ import annotations

import math
import numbers
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.linalg import solve_triangular
from scipy.sparse.linalg import eigsh

import kernreg_core as kr
from kernreg_core.arrays import describe, is_torch
from kernreg_core.errors import InputError, ParameterError
from kernreg_core.threads import num_threads, pinned_blas, run_parallel

from .eigenpro_blocks import copied, in_float64, picked
from .linalg import Eigenpairs, dense_eigenpairs, mirror_down, psd_cholesky
from .mixin import _check_symmetric

#: Items on which the spectrum is estimated, by default: a fifth of all, within these bounds; where a value of the
#: kernel is expensive, FEW.
LEAST_SUBSAMPLES, MOST_SUBSAMPLES, FEW = 1000, 2000, 200
#: Items on which beta and the largest eigenvalue of the preconditioned kernel are measured.
FRESH = 1000
#: Bytes of ``memory_budget=None``. A fixed number: the batch, and so the result, must not depend on the machine.
BUDGET = 1 << 30
#: Eigenpairs and items of a batch at most where no accelerator wants more, steps of an epoch at least, and the
#: batch below which the cost of a call shows.
MOST_PAIRS, MOST_ROWS, LEAST_STEPS, LEAST_ROWS = 400, 1024, 8, 128
#: Rows or columns that a thread takes at a time, and the size from which BLAS has threads of its own. On smaller
#: matrices its threads wait for each other, on a busy machine many times as long as they work.
PART, THREADED = 256, 4000
#: Eigenvalues below this fraction of the largest are rounding.
ROUNDING = 1e-12
#: A descent diverges when its squared residuals exceed those of f = 0, and those it began with, by this factor.
DIVERGED = 10.0
#: Steps between two copies of coefficients to go back to, and how often the step may be halved.
KEEP_EVERY, HALVINGS = 16, 30


# -- the preconditioner, the batch and the step -------------------------------------------------------


class Functions(NamedTuple):
    """Eigenfunctions psi_i = sum_j V_ji k(., z_j) of norm 1 for i <= r, and r + 1 (or 0) eigenvalues, descending."""

    values: np.ndarray
    V: np.ndarray


def functions_of_items(K: np.ndarray, most: int) -> Functions:
    """Of the covariance of s items, from their matrix K(X_s, X_s): l_i = sigma_i / s and V_i = e_i / sqrt(sigma_i)."""
    s = len(K)
    found = _leading(K.copy(), most + 1)
    keep = found.values > ROUNDING * s * max(found.values[0], 0.0)
    values, vectors = found.values[keep], found.vectors[:, keep]
    return Functions(values / s, (vectors / np.sqrt(values))[:, : max(len(values) - 1, 0)])


def functions_of_centers(L: np.ndarray, K: np.ndarray, most: int) -> Functions:
    """Of the covariance of t items within the span of s centres (Rayleigh-Ritz).

    Parameters
    ----------
    L : ndarray, shape (s, s)
        Cholesky factor of K(Z_s, Z_s).
    K : ndarray, shape (s, t)
        K(Z_s, X_t).
    """
    s, t = K.shape
    T, G = np.empty((s, t)), np.empty((s, s))

    def solve(columns: slice) -> None:
        T[:, columns] = solve_triangular(L, K[:, columns], lower=True, check_finite=False)

    def multiply(rows: slice) -> None:
        G[rows, rows.start :] = T[rows] @ T[rows.start :].T

    run_parallel(solve, [slice(i, i + PART) for i in range(0, t, PART)])
    run_parallel(multiply, [slice(i, i + PART) for i in range(0, s, PART)])
    mirror_down(G)
    found = _leading(G, min(t, most + 1))
    keep = found.values > ROUNDING * s * max(found.values[0], 0.0)
    values = found.values[keep] / t
    V = solve_triangular(L, found.vectors[:, keep], lower=True, trans="T", check_finite=False)
    return Functions(values, V[:, : max(len(values) - 1, 0)])


def _leading(K: np.ndarray, count: int) -> Eigenpairs:
    """The largest eigenpairs; overwrites `K`.

    On one thread: the reduction meets at every column, and waits there for a thread that has no core of its own.
    """
    with pinned_blas():
        return dense_eigenpairs(K, min(len(K), count))


class Plan(NamedTuple):
    """The preconditioner and the step.

    Attributes
    ----------
    W : ndarray, shape (s, q)
        Column i: sqrt(1 - l_{q+1} / l_i) times the coefficients of psi_i, so that P = I - sum_i w_i (x) w_i.
    eigenvalues : ndarray, shape (q + 1,)
    batch : int
    step : float
        eta, for batches of this size.
    beta, top : float
        Largest k_P(x, x) and largest eigenvalue of the covariance of k_P, as they were measured.
    """

    W: np.ndarray
    eigenvalues: np.ndarray
    batch: int
    step: float
    beta: float
    top: float


def plan(functions: Functions, K_sf: np.ndarray, K_ff: np.ndarray, options: Options, most: int, pays: int = 1) -> Plan:
    """Choose q, the batch and the step.

    q is the largest with beta_q / l_{q+1} <= pays * most: with `pays` 1 a batch of `most` items just makes as much
    progress as its items one by one; more of it makes the leading directions slower and the others faster.

    Parameters
    ----------
    functions : Functions
        On s items.
    K_sf, K_ff : ndarray, shapes (s, t) and (t, t)
        Between these and t fresh items, on which beta and the largest eigenvalue are measured: on the items
        themselves the eigenfunctions fit too well.
    options : Options
    most : int
        Items of a batch at most; exactly so many where the user gave a size.
    pays : int
    """
    with pinned_blas():
        return _planned(functions, K_sf, K_ff, options, most, pays)


def _planned(functions: Functions, K_sf: np.ndarray, K_ff: np.ndarray, options: Options, most: int, pays: int) -> Plan:
    values, V = functions
    if not len(values):  # k is zero on these items: whatever the step, f stays zero
        return Plan(np.zeros((len(K_sf), 0)), np.zeros(1), most, options.step_size or 1.0, 0.0, 0.0)
    critical = _betas(functions, K_sf, K_ff.diagonal()) / values
    if options.n_eigenpairs is None:
        q = int(np.flatnonzero(critical <= pays * most).max(initial=0))
    else:
        q = min(options.n_eigenpairs, len(values) - 1)
    W = V[:, :q] * np.sqrt(1.0 - values[q] / values[:q])
    beta, top = _measured(W, K_sf, K_ff)
    top = max(top, float(values[q]))
    batch = most if options.batch_size else min(most, max(LEAST_ROWS, math.floor(critical[q]) + 1))
    step = options.step_size or batch / (max(beta, top) + (batch - 1) * top)
    return Plan(W, values[: q + 1], batch, step, beta, top)


def _betas(functions: Functions, K_sf: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
    """max_x k_P(x, x) for q = 0, 1, ... eigenfunctions."""
    values, V = functions
    squares = (V.T @ K_sf) ** 2
    left = diagonal - np.cumsum(squares, axis=0) + values[1:, None] * np.cumsum(squares / values[:-1, None], axis=0)
    return np.concatenate([[diagonal.max()], left.max(axis=1)])


def _measured(W: np.ndarray, K_sf: np.ndarray, K_ff: np.ndarray) -> tuple[float, float]:
    """Largest entry on the diagonal of k_P on fresh items, and largest eigenvalue of its covariance there."""
    B = W.T @ K_sf
    K = K_ff - B.T @ B
    t = len(K)
    beta = max(float(K.diagonal().max()), 0.0)
    # the eigenvalue alone is needed, and roughly: the flattened spectrum has no gap in which a vector could be found
    if t < 100:
        top = np.linalg.eigvalsh(K)[-1]
    else:
        start = np.random.RandomState(0).standard_normal(t)  # a constant one may lie in the null space
        top = eigsh(K, 1, tol=1e-2, v0=start, return_eigenvectors=False)[0]
    return beta, max(float(top), 0.0) / t


def is_expensive(kernel: Any) -> bool:
    """Whether a value of the kernel takes far more than a few microseconds."""
    return getattr(kernel, "pair_cost", "low") == "high"


def fresh_items(kernel: Any, n: int, rng: np.random.RandomState) -> np.ndarray:
    """Indices of the items that ``plan`` measures on."""
    return picked(n, min(n, FEW if is_expensive(kernel) else FRESH), rng)


# -- a descent that notices when it diverges ----------------------------------------------------------


class Guard:
    """Halves the step of a descent that diverges, and takes it back to where it was sound.

    Parameters
    ----------
    plan : Plan
    fixed : bool
        Whether the user chose the step, which is then not changed.

    Attributes
    ----------
    step : float
    halvings : int
    """

    def __init__(self, plan: Plan, fixed: bool) -> None:
        self.step, self.halvings = plan.step, 0
        self._plan, self._fixed = plan, fixed
        self.restart()

    def restart(self) -> None:
        """Forget the targets and the coefficients met so far, and keep the step."""
        self._scale = self._seen = self._first = 0.0
        self._kept: Any = None
        self._age = 0

    @property
    def rate(self) -> float:
        """eta / m."""
        return self.step / self._plan.batch

    def accepts(self, loss: float, target: float, size: int) -> bool:
        """Whether mean squared residuals `loss` of a batch are sound, its targets' mean square being `target`.

        They are if they are far above neither the targets' nor those of the first batch, met before any step: these
        are larger where the descent goes on from the solution of other targets.
        """
        self._seen += size
        self._scale += (target - self._scale) * size / self._seen
        if self._kept is None and math.isfinite(loss):
            self._first = loss
        return math.isfinite(loss) and loss <= DIVERGED * max(self._scale + target, self._first)

    def keep(self, A: Any) -> None:
        """Remember coefficients whose residuals are sound, now and then."""
        if self._kept is None or self._age >= KEEP_EVERY:
            self._kept, self._age = copied(A), 0
        self._age += 1

    def back(self, solver: str) -> Any:
        """Halve the step; the coefficients to go on from.

        Raises
        ------
        ParameterError
            If the step was given.
        InputError
            If it has been halved too often already, or nothing was sound from the beginning.
        """
        if self._kept is None:
            raise InputError(
                f"kernel: {solver} met values that are not finite at its first step: scale the data, or take another "
                "kernel"
            )
        if self._fixed:
            raise ParameterError(
                f"step_size: {solver} diverges with step_size={self.step:g} and batches of {self._plan.batch}: leave "
                "step_size=None, which halves it where it has to, or take less"
            )
        self.halvings += 1
        self.step /= 2.0
        if self.halvings > HALVINGS:
            raise InputError(
                f"kernel: {solver} diverges however small the step: the kernel is not positive semi-definite on these "
                "items, or its values are not finite: take another kernel, or scale the data"
            )
        self._age = 0
        return copied(self._kept)


# -- parameters ----------------------------------------------------------------------------------------


@dataclass
class Options:
    """The parameters that both solvers have, checked."""

    n_subsamples: int | None = None
    n_eigenpairs: int | None = None
    batch_size: int | None = None
    step_size: float | None = None
    memory_budget: int | None = None

    @property
    def budget(self) -> int:
        """Bytes."""
        return BUDGET if self.memory_budget is None else self.memory_budget

    def subsample(self, kernel: Any, n: int) -> int:
        """How many of `n` items the spectrum is estimated on."""
        default = FEW if is_expensive(kernel) else max(LEAST_SUBSAMPLES, min(MOST_SUBSAMPLES, n // 5))
        s = min(n, self.n_subsamples or default)
        if self.n_eigenpairs is not None and self.n_eigenpairs >= s:
            raise ParameterError(
                f"n_eigenpairs: expected fewer than the {s} items that they are estimated on, got {self.n_eigenpairs}: "
                "raise n_subsamples, or leave n_eigenpairs=None"
            )
        return s

    def most_rows(self, n: int, centers: int, least: int, accelerator: bool) -> int:
        """Items of a batch at most: what fits the budget, and at least LEAST_STEPS batches in an epoch of `n`."""
        if self.batch_size is not None:
            return min(self.batch_size, n)
        fits = self.budget // (16 * centers)
        if not accelerator:
            fits = min(fits, max(MOST_ROWS, least))
        return max(1, min(n, max(LEAST_STEPS, min(fits, n // LEAST_STEPS))))

    def most_pairs(self, s: int, whole: bool, most_rows: int) -> int:
        """Eigenpairs to look at: of a part of the items only the leading quarter is known well."""
        if self.n_eigenpairs is not None:
            return self.n_eigenpairs
        # sum l_i <= beta_0, so that beyond twice the batch no eigenvalue is large enough to matter
        return max(1, min(MOST_PAIRS, 2 * most_rows, s - 1 if whole else s // 4))


class EigenProMixin:
    """The parameters of both solvers, and matrices in float64."""

    kernel: Any
    kernel_: Any
    n_epochs: Any
    n_subsamples: Any
    n_eigenpairs: Any
    batch_size: Any
    step_size: Any
    memory_budget: Any
    tol: Any

    def _options(self) -> Options:
        whole(self.n_epochs, "n_epochs")
        if self.tol is not None:
            positive(self.tol, "tol")
        found = Options()
        for name in ("n_subsamples", "n_eigenpairs", "batch_size", "memory_budget"):
            value, least = getattr(self, name), 0 if name == "n_eigenpairs" else 1
            setattr(found, name, None if value is None else whole(value, name, least, ", or None"))
        if self.step_size is not None:
            found.step_size = positive(self.step_size, "step_size")
        return found

    def _matrix(self, X: Any, Y: Any = None) -> np.ndarray:
        """k(X, Y) of a few items, in float64."""
        X, Y = in_float64(X), None if Y is None else in_float64(Y)
        K = kr.gram(self.kernel_, X, Y, dtype=None if is_torch(X) else np.float64, progress=False)
        K = self._float_gram(K)  # type: ignore[attr-defined]
        if Y is None and "symmetric" not in kr.capabilities(self.kernel_):
            _check_symmetric(K, "kernel")
        return np.asarray(K)


def factor_threads(n: int) -> AbstractContextManager[None]:
    """A context for work on n x n factors."""
    return pinned_blas() if n < THREADED or num_threads() == 1 else nullcontext()


def factored(K: np.ndarray, kernel: Any, floor: float = 0.0) -> tuple[np.ndarray, float]:
    """Cholesky factor of `K` plus at least `floor` of its mean diagonal, and what was added to the diagonal.

    Raises
    ------
    InputError
        If `K` is not positive semi-definite.
    """
    if not K.any():
        return np.eye(len(K)), 0.0
    added = floor * max(float(np.trace(K)) / len(K), 0.0)
    with factor_threads(len(K)):
        found = psd_cholesky(K + added * np.eye(len(K)) if added else K, most=1e-5)
    if found is None:
        raise InputError(
            f"kernel: {kernel!r} is not positive semi-definite on these items, so that no descent converges: take a "
            "kernel that is, or KernelRidge, which says what it does of an indefinite matrix"
        )
    return found.L, found.jitter + added


def whole(value: Any, name: str, least: int = 1, more: str = "") -> int:
    """`value` if it is a whole number at least `least`, else a ParameterError."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ParameterError(f"{name}: expected a whole number at least {least}{more}, got {describe(value)}")
    return int(value)


def positive(value: Any, name: str) -> float:
    """`value` if it is a finite number above 0, else a ParameterError."""
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value <= 0:
        raise ParameterError(f"{name}: expected a finite number above 0, or None, got {describe(value)}")
    return float(value)
