"""What a ridge solver will take: measured speeds of the machine and the kernel, times counted operations.

Every prediction is a count of kernel values and of multiply-adds, each divided by a speed measured on a sample just
before; the constants that are no counts are named and were calibrated on one machine. Expect a factor of two.
"""

from __future__ import annotations

import math
import time
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

import kernreg_core as kr
from kernreg_core.arrays import is_prepared
from kernreg_core.errors import InputError
from kernreg_core.threads import num_threads, pinned_blas

from .centers import MOST, PER_ROOT
from .centers import take as taken
from .krr_cg import PER_ROOT as RANK_PER_ROOT
from .mixin import as_numpy, count

#: Seconds for which a kernel's values are timed, at least; and the most items on a side.
_LONG_ENOUGH, _SAMPLE = 0.01, 1024
#: Items whose eigenvalues are taken for those of all.
_SPECTRUM = 400
#: Part of the values that a symmetric Gram matrix takes: half, and its mirroring.
_HALF = 0.6
#: An eigendecomposition takes as long as so many n^3 operations in products (calibrated: 2 cores, n to 5,000).
_EIGEN = 11.0
#: A Cholesky factorisation runs at this part of a product's speed (calibrated: n = 5,000).
_CHOLESKY = 0.7
#: Penalties below this part of the largest eigenvalue are not solved from a factor in float32.
_SINGLE = 1e-6
#: Iterations of Falkon and epochs of EigenPro 2 that are counted.
_FALKON_ITERATIONS, _EPOCHS = 20, 20
#: Bytes beside the matrices: blocks, items that are copied.
_BLOCKS = 1 << 26


class Machine(NamedTuple):
    """Operations (a multiply and an add are two) and bytes for each second."""

    double: float
    single: float
    bandwidth: float


class Speeds(NamedTuple):
    """The machine's, and what one value of the kernel and one row of its features take.

    ``spectrum`` are the largest eigenvalues of k(X, X), descending, as a sample lets them expect; ``halves`` says that
    the kernel has a product of its own, which needs half of the values.
    """

    machine: Machine
    pair: float
    row: float
    columns: int
    spectrum: np.ndarray
    halves: bool = False


class Cost(NamedTuple):
    """Predicted seconds, and bytes at the peak."""

    seconds: float
    bytes: float


@lru_cache(4)
def machine(threads: int) -> Machine:
    """Measured once for each number of threads, in some 50 ms."""
    rates = []
    for dtype in (np.float64, np.float32):
        A = np.full((640, 640), 0.5, dtype)
        A @ A
        rates.append(2 * 640**3 / _shortest(lambda A=A: A @ A))
    v = np.ones(1 << 22)
    return Machine(rates[0], rates[1], v.nbytes / _shortest(lambda: v.sum()))


def _shortest(run: Any, at_most: float = 0.1) -> float:
    """The shortest of up to seven runs, within some seconds: others on the machine lengthen single runs at random."""
    found, spent = math.inf, 0.0
    for _ in range(7):
        start = time.perf_counter()
        run()
        elapsed = time.perf_counter() - start
        found, spent = min(found, elapsed), spent + elapsed
        if spent >= at_most:
            break
    return max(found, 1e-9)


def measure(kernel: Any, X: Any, rng: np.random.RandomState, *, features: bool) -> Speeds:
    """Time a kernel, fitted where it has to be, on a few items of `X`."""
    n = count(X)
    size = min(n, 8)
    order = rng.permutation(n)
    while True:
        # two objects with the same items: of one the kernel would compute half of the values
        some, again = (X[:size] if is_prepared(X) else taken(X, order[:size]) for _ in range(2))
        start = time.perf_counter()
        K = kernel(some, again)
        elapsed = max(time.perf_counter() - start, 1e-9)
        if elapsed >= _LONG_ENOUGH:  # again, without the page faults of the first time and what came between
            elapsed = min(elapsed, _shortest(lambda some=some, again=again: kernel(some, again), 10 * _LONG_ENOUGH))
        if elapsed >= _LONG_ENOUGH or size >= min(n, _SAMPLE):
            break
        size = min(4 * size, n, _SAMPLE)
    if elapsed < _LONG_ENOUGH:
        elapsed = min(elapsed, _shortest(lambda: kernel(some, again)))
    row, columns = 0.0, 0
    if features:
        Z, row = _features(kernel, some)
        columns, row = int(Z.shape[1]), row / size
    halves = {"matvec", "symmetric"} <= kr.capabilities(kernel)
    return Speeds(machine(num_threads()), elapsed / size**2, row, columns, _spectrum(as_numpy(K), n), halves)


def measure_matrix(K: np.ndarray, rng: np.random.RandomState) -> Speeds:
    """For a Gram matrix that is there: nothing to evaluate, and a part of it for the spectrum."""
    n = len(K)
    some = rng.permutation(n)[:_SPECTRUM]
    return Speeds(machine(num_threads()), 0.0, 0.0, 0, _spectrum(K[np.ix_(some, some)], n))


def _spectrum(part: Any, n: int) -> np.ndarray:
    """Eigenvalues that a matrix of size `n` can be expected to have, from a random part of it."""
    part = np.asarray(part[:_SPECTRUM, :_SPECTRUM], dtype=np.float64)
    if not np.isfinite(part).all():
        raise InputError(
            "kernel: gave NaN or infinite values for these items: scale the data, or change its parameters"
        )
    with pinned_blas():  # its threads wait for each other on a busy machine, for a hundred times as long
        values: np.ndarray = np.linalg.eigvalsh(part)[::-1] * (n / len(part))
    return np.maximum(values, 0.0)


def _features(kernel: Any, some: Any) -> tuple[Any, float]:
    """Features of some items, and the seconds they take."""
    try:
        kernel.features(some)
        start = time.perf_counter()
        Z = kernel.features(some)
    except TypeError:
        start = time.perf_counter()
        Z = kernel.features(some, basis=some)
    return Z, max(time.perf_counter() - start, 1e-9)


def dual(n: int, targets: int, alpha: float | None, speeds: Speeds) -> Cost:
    """``solver.krr``: the Gram matrix and a factorisation, or, with alpha None, an eigendecomposition."""
    fast = speeds.machine
    gram = _HALF * n * n * speeds.pair
    if alpha is None:
        return Cost(gram + _EIGEN * n**3 / fast.double, 24.0 * n * n + _BLOCKS)
    largest = float(speeds.spectrum[0])
    rate = fast.single if n >= 1000 and alpha > _SINGLE * largest else fast.double
    return Cost(gram + n**3 / 3 / (_CHOLESKY * rate) + 20 * n * n * targets / fast.double, 8.0 * n * n + _BLOCKS)


def iterations(n: int, rank: int, alpha: float, tol: float, spectrum: np.ndarray) -> int:
    r"""Conjugate gradients' bound, :math:`\tfrac12 \sqrt\kappa \ln(2 / tol)`, kappa by the first eigenvalue left."""
    left = eigenvalue(spectrum, rank)
    return max(2, math.ceil(0.5 * math.sqrt(1.0 + left / alpha) * math.log(2.0 / tol)))


def eigenvalue(spectrum: np.ndarray, index: int) -> float:
    """The eigenvalue of that index; beyond half of what the sample has, whose end is too small, by a power law."""
    half = len(spectrum) // 2
    if index <= half or half < 4:
        return float(spectrum[min(index, len(spectrum) - 1)])
    middle, quarter = float(spectrum[half]), float(spectrum[half // 2])
    if middle <= 0.0:
        return 0.0
    return middle * (half / index) ** (math.log(quarter / middle) / math.log(half / (half // 2)))


def conjugate_gradients(
    n: int, targets: int, alpha: float, tol: float, memory: float, speeds: Speeds, *, stored: bool = False
) -> Cost:
    """``solver.krr_cg`` with its default rank; K stays in memory where a quarter of `memory` holds it."""
    fast = speeds.machine
    rank = max(1, min(n, math.ceil(RANK_PER_ROOT * math.sqrt(n)), int(memory) // (64 * n)))
    steps = iterations(n, rank, alpha, tol, speeds.spectrum) + 2
    setup = n * rank * speeds.pair + 3 * n * rank**2 / fast.double
    apply = 4 * n * rank * targets / fast.double + 16 * n * rank / fast.bandwidth
    if stored or 8.0 * n * n <= memory / 4:
        product = 8 * n * n / fast.bandwidth + 2 * n * n * targets / fast.double
        return Cost(_HALF * n * n * speeds.pair + setup + steps * (apply + product), 8.0 * n * (n + 2 * rank) + _BLOCKS)
    values = _HALF if speeds.halves else 1.0
    product = values * n * n * speeds.pair + 2 * n * n * targets / fast.double
    return Cost(setup + steps * (apply + product), 16.0 * n * rank + _BLOCKS)


def features(n: int, targets: int, alpha: str | None, row: float, columns: int, fast: Machine) -> Cost:
    """``solver.feature_ridge``: one pass, two for leave-one-out, and the D x D system; n x n where D > n."""
    D, passes = columns, 2 if alpha == "loo" else 1
    if n < D:
        solve = _EIGEN * n**3 / fast.double if alpha else n**3 / 3 / (_CHOLESKY * fast.double)
        return Cost(n * row + 2 * n * n * D / fast.double + solve, 8.0 * n * (3 * n + D) + _BLOCKS)
    solve = _EIGEN * D**3 / fast.double if alpha else D**3 / 3 / (_CHOLESKY * fast.double)
    sums = n * (row + (1.2 * D * D + 2 * D * targets) / fast.double)
    return Cost(solve + passes * sums, 8.0 * D * (4 * D if alpha else 2 * D) + 2 * _BLOCKS)


def nystrom_row(columns: int, speeds: Speeds) -> float:
    """Seconds of a row of Nystrom features: values at the landmarks, and a triangular product."""
    return columns * speeds.pair + columns**2 / speeds.machine.double


def centres(n: int) -> int:
    """Falkon's centres by default."""
    return int(min(n, MOST, math.ceil(PER_ROOT * math.sqrt(n))))


def falkon(n: int, targets: int, method: str, speeds: Speeds) -> Cost:
    """``solver.falkon`` with its default centres; to choose alpha it takes the normal matrix of all rows."""
    m, fast = centres(n), speeds.machine
    if method:
        seconds = n * (m * speeds.pair + 2.2 * m * m / fast.double) + _EIGEN * m**3 / fast.double
        return Cost(seconds, 40.0 * m * m + _BLOCKS)
    step = n * m * speeds.pair + 4 * n * m * targets / fast.double
    return Cost(m * m * speeds.pair + m**3 / fast.double + _FALKON_ITERATIONS * step, 32.0 * m * m + _BLOCKS)


def descent(n: int, targets: int, speeds: Speeds) -> Cost:
    """``solver.eigenpro2``: epochs that evaluate all pairs."""
    step = n * n * (speeds.pair + 2 * targets / speeds.machine.double)
    return Cost(_EPOCHS * step, 32.0 * 2000**2 + 8.0 * n * targets + _BLOCKS)


def sampled_kernel(kernel: Any, X: Any, y: Any) -> Any:
    """A kernel to time: fitted, where it has to be, to at most a thousand items."""
    found = kr.clone(kernel) if hasattr(kernel, "get_params") else kernel
    if "fitted" in kr.capabilities(found):
        few = np.arange(min(count(X), 1000))
        found.fit(taken(X, few), y[few])
    return found
