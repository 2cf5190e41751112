"""Measures of the claims on the cards of landmarks, Nystrom features and grids; ``kernreg verify`` runs them.

Each takes a seed and returns a figure with its baseline beside it. The inner functions take what is compared as an
argument, so that tests can show that something wrong misses the threshold. Matrices are small: one thread is fastest.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from kernreg_core.claims import Measurement
from kernreg_core.threads import single_threaded

from ._grids import grid_points
from .grid import Grid
from .landmarks import KMeansLandmarks, UniformLandmarks
from .laplace import Laplace
from .leverage import LeverageLandmarks, leverage_scores
from .linear import Linear
from .matern import Matern
from .nystrom import Nystrom
from .periodic import Periodic
from .pivoted import PivotedCholesky
from .rbf import RBF


def rare_clusters(rng: int, n: int = 500) -> np.ndarray:
    """One large cluster, ten clusters of five points each and ten points alone, in two dimensions, shuffled."""
    generator = np.random.default_rng(rng)
    centres = np.repeat(generator.uniform(-12.0, 12.0, (10, 2)), 5, axis=0)
    small = centres + 0.3 * generator.standard_normal((50, 2))
    alone = generator.uniform(-30.0, 30.0, (10, 2))
    large = 0.7 * generator.standard_normal((n - 60, 2))
    return generator.permutation(np.concatenate([large, small, alone]))


# -- k-means++ ---------------------------------------------------------------------------------


def seeding_cost(make: Callable[[int], Any], rng: int, repeats: int = 20) -> float:
    """Mean cost of 25 seeds, divided by that of the centres that the points were drawn around."""
    generator = np.random.default_rng(rng)
    centres = generator.uniform(0.0, 500.0, (25, 15))
    label = generator.integers(25, size=2000)
    X = centres[label] + generator.standard_normal((2000, 15))
    planted, costs = float(np.square(X - centres[label]).sum()), []
    for seed in range(repeats):
        Z = X[make(1000 * rng + seed).select(X, 25)]
        squared = np.square(X).sum(1)[:, None] - 2.0 * X @ Z.T + np.square(Z).sum(1)
        costs.append(float(squared.min(axis=1).sum()) / planted)
    return float(np.mean(costs))


@single_threaded()
def kmeans_seeding(rng: int) -> Measurement:
    """Arthur and Vassilvitskii 2007, theorem 1.1: the expected cost is at most 8 (ln k + 2) times the least there is.

    Measured: mean cost of 25 seeds, over twenty draws, divided by the cost of the centres that the 2,000 points in 15
    dimensions were drawn around (the paper's data set Norm-25), which is no less than the least. Baseline: seeds chosen
    uniformly, k-means' usual start. The threshold, 8 (ln 25 + 2), is the paper's.
    """
    ours = seeding_cost(lambda seed: KMeansLandmarks(kernel=Linear(), rng=seed), rng)
    other = seeding_cost(lambda seed: UniformLandmarks(rng=seed), rng)
    return Measurement(ours, other, "uniform seeds")


# -- leverage scores ---------------------------------------------------------------------------


def spectral_error(make: Callable[[float, int], Any], rng: int, repeats: int = 3) -> float:
    """The largest ``|K - K~|_2 / alpha`` over selections of 1.5 d log d landmarks, d the effective dimension."""
    X, kernel, alpha = rare_clusters(rng), RBF(lengthscale=1.0), 1.0
    K = kernel(X)
    d = float(leverage_scores(kernel, X, alpha, method="exact").sum())
    n, worst = math.ceil(1.5 * d * math.log(d)), 0.0
    for seed in range(repeats):
        landmarks = X[make(alpha, 1000 * rng + seed).select(X, n)]
        F = Nystrom(kernel=kernel, landmarks=landmarks).fit(X).features(X)
        worst = max(worst, float(np.linalg.eigvalsh(K - F @ F.T)[-1]) / alpha)
    return worst


@single_threaded()
def leverage_guarantee(rng: int) -> Measurement:
    """Musco and Musco 2017, theorem 3: with about d log d landmarks by leverage scores, |K - K~|_2 <= alpha.

    Measured: the largest |K - K~|_2 / alpha over three selections of 1.5 d log d landmarks, d the effective dimension,
    by the recursive algorithm, on 500 points with rare clusters and outliers. Baseline: as many landmarks chosen
    uniformly. Threshold 1, the paper's; the factor of d log d is ours.
    """
    kernel = RBF(lengthscale=1.0)
    ours = spectral_error(
        lambda alpha, seed: LeverageLandmarks(kernel=kernel, alpha=alpha, method="recursive", rng=seed), rng
    )
    other = spectral_error(lambda alpha, seed: UniformLandmarks(rng=seed), rng)
    return Measurement(ours, other, "uniform landmarks")


# -- randomly pivoted Cholesky -----------------------------------------------------------------


def trace_error(make: Callable[[int], Any], rng: int, n: int = 60, repeats: int = 8) -> float:
    """Mean relative error in trace norm of Nystrom approximations of a Gram matrix with rare clusters."""
    X, kernel = rare_clusters(rng), RBF(lengthscale=1.5)
    errors = []
    for seed in range(repeats):
        landmarks = X[make(1000 * rng + seed).select(X, n)]
        errors.append(Nystrom(kernel=kernel, landmarks=landmarks).fit(X).error_estimate(X).error)
    return float(np.mean(errors))


@single_threaded()
def rpcholesky_rare_clusters(rng: int) -> Measurement:
    """Chen et al. 2022, section 2.3: with rare clusters and outliers it errs far less than uniform sampling.

    Measured: error in trace norm of the Nystrom approximation on 60 landmarks of 500 points, ten clusters of five and
    ten outliers among them, divided by that of uniform landmarks, means over eight selections. Baseline: the greedy
    choice of pivots, divided likewise. Threshold 0.1, ours: in the paper's examples uniform sampling misses by more.
    """
    kernel = RBF(lengthscale=1.5)
    ours = trace_error(lambda seed: PivotedCholesky(kernel=kernel, rng=seed), rng)
    greedy = trace_error(lambda seed: PivotedCholesky(kernel=kernel, method="greedy"), rng, repeats=1)
    uniform = trace_error(lambda seed: UniformLandmarks(rng=seed), rng)
    details = {"error": ours, "error of greedy pivots": greedy, "error of uniform landmarks": uniform}
    return Measurement(ours / uniform, greedy / uniform, "greedy pivots", details)


def relative_to_best(make: Callable[[int], Any], rng: int) -> float:
    """Mean trace error with as many landmarks as the theorem asks for, divided by that of the best rank 30."""
    X, kernel, r = rare_clusters(rng), RBF(lengthscale=1.5), 30
    spectrum = np.linalg.eigvalsh(kernel(X))
    eta = float(spectrum[:-r].sum() / spectrum.sum())
    n = math.ceil(r + r * math.log(1.0 / eta))
    return trace_error(make, rng, n) / eta


@single_threaded()
def rpcholesky_guarantee(rng: int) -> Measurement:
    """Chen et al. 2022, theorem 2.3: k >= r / e + r log(1 / (e eta)) pivots give an expected error of (1 + e) eta.

    Measured: the mean error in trace norm over eight selections, divided by the error eta of the best approximation of
    rank r = 30, with as many pivots as e = 1 asks for, on 500 points with rare clusters. Baseline: uniform landmarks.
    The threshold, 1 + e = 2, is the paper's.
    """
    kernel = RBF(lengthscale=1.5)
    ours = relative_to_best(lambda seed: PivotedCholesky(kernel=kernel, rng=seed), rng)
    return Measurement(ours, relative_to_best(lambda seed: UniformLandmarks(rng=seed), rng), "uniform landmarks")


class WithoutRejection:
    """Blocks of pivots drawn from the residual's diagonal, all of them taken: what rejection improves."""

    def __init__(self, block: int, rng: int) -> None:
        self.block, self.rng = block, np.random.default_rng(rng)

    def select(self, X: np.ndarray, n: int) -> np.ndarray:
        kernel, chosen, left = RBF(lengthscale=1.5), np.empty(0, int), np.ones(len(X))
        while chosen.size < n:
            size = min(self.block, n - chosen.size)
            new = np.unique(self.rng.choice(len(X), size, p=left / left.sum()))
            chosen = np.concatenate([chosen, new])
            left = Nystrom(kernel=kernel, landmarks=X[chosen]).fit(X).residual(X)
            left[chosen] = 0.0
        return chosen


@single_threaded()
def rpcholesky_blocks(rng: int) -> Measurement:
    """Epperly, Tropp and Webber 2024: the block form with rejection has the law of one pivot at a time.

    Measured: how far the mean error of 30 pivots proposed 15 at a time is from that of pivots drawn one by one,
    relative to it, over 48 selections each. Baseline: the same blocks without rejection. Threshold 0.12, ours: about
    four standard errors of the difference.
    """
    kernel = RBF(lengthscale=1.5)
    single = trace_error(lambda seed: PivotedCholesky(kernel=kernel, block=1, rng=seed), rng, 30, 48)
    blocks = trace_error(lambda seed: PivotedCholesky(kernel=kernel, block=15, rng=seed), rng, 30, 48)
    without = trace_error(lambda seed: WithoutRejection(15, seed), rng, 30, 48)
    return Measurement(abs(blocks / single - 1.0), abs(without / single - 1.0), "blocks without rejection")


# -- Nystrom -----------------------------------------------------------------------------------


def regression_errors(rng: int, n: int = 1000, m: int = 150) -> tuple[float, float, float]:
    """Test errors of ridge regression: with the kernel, with its Nystrom approximation, and on the landmarks alone."""
    generator = np.random.default_rng(rng)
    kernel, alpha = RBF(lengthscale=1.5), 0.1

    def target(X: np.ndarray) -> np.ndarray:
        return np.asarray(np.sin(2.0 * X[:, 0]) + X[:, 1] * X[:, 2])

    X, new = generator.standard_normal((n, 3)), generator.standard_normal((500, 3))
    y = target(X) + 0.3 * generator.standard_normal(n)

    def error(k: Any, Z: np.ndarray, t: np.ndarray) -> float:
        prediction = k(new, Z) @ np.linalg.solve(k(Z) + alpha * np.eye(len(Z)), t)
        return float(np.sqrt(np.mean((prediction - target(new)) ** 2)))

    approximation = Nystrom(kernel=kernel, n_features=m, rng=rng).fit(X)
    chosen = approximation.indices_
    return error(kernel, X, y), error(approximation, X, y), error(kernel, X[chosen], y[chosen])


@single_threaded()
def nystrom_accuracy(rng: int) -> Measurement:
    """Williams and Seeger 2001: far fewer landmarks than items cost no significant accuracy.

    Measured: test error of kernel ridge regression with the approximation on 150 uniform landmarks of 1,000 items,
    divided by the error with the kernel itself, mean over three noisy samples. Baseline: the kernel fitted to the
    landmarks alone, divided likewise. Threshold 1.1, ours.
    """
    errors = np.array([regression_errors(3 * rng + i) for i in range(3)])
    ratios = (errors[:, 1:] / errors[:, :1]).mean(axis=0)
    return Measurement(float(ratios[0]), float(ratios[1]), "the landmarks alone")


# -- grids -------------------------------------------------------------------------------------


def system_error(
    kernel: Any, X: np.ndarray, rng: int, solve: Callable[[np.ndarray], np.ndarray] | None = None
) -> float:
    """The largest relative difference of solutions and log determinants from those of a Cholesky factorisation."""
    b = np.random.default_rng(rng).standard_normal((len(X), 2))
    structured, worst = Grid(kernel=kernel), 0.0
    for noise in (1e-2, 1.0):
        A = kernel(X) + noise * np.eye(len(X))
        exact, logdet = np.linalg.solve(A, b), np.linalg.slogdet(A)[1]
        found = structured.solve(X, b, noise) if solve is None else solve(b)
        worst = max(worst, float(np.abs(found - exact).max() / np.abs(exact).max()))
        if solve is None:
            worst = max(worst, abs(structured.logdet(X, noise) / logdet - 1.0))
    return worst


@single_threaded()
def kronecker_systems(rng: int) -> Measurement:
    """Saatci 2011, chapter 5: on a grid the eigenvectors of small factors give solutions and determinants exactly.

    Measured: the largest relative difference from a Cholesky factorisation of solutions and log determinants, for
    three product kernels on grids of unequal steps in two and three dimensions. Baseline: the diagonal of K in place
    of K. Threshold 1e-8, ours: an identity up to rounding times the condition number.
    """
    generator = np.random.default_rng(rng)
    plane = grid_points(np.sort(generator.uniform(0.0, 3.0, 15)), np.sort(generator.uniform(0.0, 3.0, 20)))
    space = grid_points(*(np.sort(generator.uniform(0.0, 3.0, n)) for n in (6, 7, 8)))
    cases: list[tuple[Any, np.ndarray]] = [
        (RBF(lengthscale=0.5), plane),
        (2.0 * RBF(lengthscale=[1.0, 0.5]) * Laplace(), plane),
        (Periodic(period=2.0) ** 2, space),
    ]
    worst = max(system_error(kernel, X, rng) for kernel, X in cases)
    return Measurement(worst, system_error(cases[0][0], plane, rng, lambda b: b), "the diagonal alone")


@single_threaded()
def toeplitz_systems(rng: int) -> Measurement:
    """Ammar and Gragg 1988: Toeplitz systems are solved from one column, in O(n log^2 n), as accurately as densely.

    Measured: the largest relative difference from a Cholesky factorisation of solutions and log determinants, for three
    stationary kernels on 700 points of equal steps, which takes the divide-and-conquer form. Baseline: the circulant
    matrix nearest to K, the usual approximation in O(n log n). Threshold 1e-8, ours.
    """
    from ._preconditioners import CirculantPreconditioner
    from ._toeplitz import difference_table

    axis = np.linspace(0.0, 5.0, 700)
    X = grid_points(axis)
    cases = [RBF(lengthscale=0.3), Matern(order=1.5, lengthscale=0.5), Periodic(period=1.7, lengthscale=0.5)]
    worst = max(system_error(kernel, X, rng) for kernel in cases)
    circulant = CirculantPreconditioner(difference_table(cases[0], [axis]), 1.0)
    return Measurement(worst, system_error(cases[0], X, rng, circulant), "the nearest circulant matrix")
