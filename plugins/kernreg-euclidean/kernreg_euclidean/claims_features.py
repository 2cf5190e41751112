"""Measures of the claims on the cards of random features; ``kernreg verify`` runs them.

Each takes a seed and returns a figure with its baseline beside it. The inner functions take what is compared as an
argument, so that tests can show that something wrong misses the threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from kernreg_core.claims import Measurement

from .claims import WIDTHS, _root_n
from .polynomial import Polynomial
from .positive_features import PositiveFeatures
from .positive_mse import positive_mse
from .random_fourier import RandomFourier
from .rbf import RBF
from .tensor_sketch import TensorSketch


def root_mean_squared_error(make: Callable[[int], Any], X: np.ndarray, seeds: range) -> float:
    """Of ``features`` as estimates of the kernel on all pairs of different rows, over objects with these seeds."""
    K, pairs, squares = make(seeds[0])(X), np.triu_indices(len(X), 1), []
    for seed in seeds:
        F = make(seed).features(X)
        squares.append(np.mean((F @ F.T - K)[pairs] ** 2))
    return math.sqrt(np.mean(squares))


def _seeds(rng: int, part: int, count: int) -> range:
    return range((3 * rng + part) * count, (3 * rng + part + 1) * count)


def orthogonal_features(rng: int) -> Measurement:
    """Yu et al. 2016: orthogonal frequencies have a smaller error than independent ones.

    Measured: root mean squared error of 256 orthogonal Fourier features of the Gaussian kernel over that of 256
    independent ones, on 60 normal points in 16 dimensions, length scale 16^(1/2), 20 draws each. Baseline: independent
    ones with other seeds, divided likewise. The paper states that the error is smaller; the threshold of 0.7 is ours.
    """
    X = np.random.default_rng(rng).standard_normal((60, 16))

    def error(coupling: str, part: int) -> float:
        def make(seed: int) -> RandomFourier:
            return RandomFourier(kernel=RBF(lengthscale=4.0), n_features=256, coupling=coupling, rng=seed)

        return root_mean_squared_error(make, X, _seeds(rng, part, 20))

    iid = error("iid", 0)
    return Measurement(error("orthogonal", 1) / iid, error("iid", 2) / iid, "independent again", {"error": iid})


def quasi_monte_carlo_features(rng: int) -> Measurement:
    """Avron et al. 2016: low-discrepancy frequencies have a smaller error than random ones.

    Measured: root mean squared error of 256 Fourier features whose frequencies are scrambled Halton points, over that
    of 256 independent ones, on 60 normal points in 4 dimensions, length scale 2, 20 draws each. Baseline: independent
    ones with other seeds, divided likewise. The paper states that the error is smaller; the threshold of 0.8 is ours.
    """
    from scipy.stats.qmc import Halton

    X = np.random.default_rng(rng).standard_normal((60, 4))

    def error(sampler: Any, part: int) -> float:
        def make(seed: int) -> RandomFourier:
            return RandomFourier(kernel=RBF(lengthscale=2.0), n_features=256, sampler=sampler, rng=seed)

        return root_mean_squared_error(make, X, _seeds(rng, part, 20))

    iid = error(None, 0)
    return Measurement(error(Halton, 1) / iid, error(None, 2) / iid, "independent again", {"error": iid})


#: Dimension in which positive features are measured, and independent blocks of that many features.
_DIMENSION, _BLOCKS = 6, 20_000


def block_errors(coupling: str, lengths: tuple[float, ...], rng: int) -> list[float]:
    """Mean squared error of one block of d positive features at pairs x = y with |x + y| of these lengths."""
    d = _DIMENSION
    direction = np.full(d, d**-0.5)
    X = 0.5 * np.asarray(lengths)[:, None] * direction
    F = PositiveFeatures(n_features=d * _BLOCKS, coupling=coupling, rng=rng).features(X)
    # each block of d features, scaled up, is an estimate of its own
    estimates = (F * F).reshape(len(X), _BLOCKS, d).sum(-1) * _BLOCKS
    return [float(np.mean((row - 1.0) ** 2)) for row in estimates]


def simplex_features(rng: int) -> Measurement:
    """Reid et al. 2023: mean squared errors of simplex < orthogonal < independent features.

    Measured: the larger of the ratios simplex over orthogonal and orthogonal over independent, for blocks of 6 features
    in 6 dimensions at |x + y| = 1/2 and 1, 20,000 blocks each. Baseline: independent features with another seed over
    independent ones. Threshold 1, the paper's: the errors stand in that order.
    """
    lengths = (0.5, 1.0)
    errors = {c: np.array(block_errors(c, lengths, rng)) for c in ("iid", "orthogonal", "simplex")}
    again = np.array(block_errors("iid", lengths, rng + 1))
    ratios = [errors["simplex"] / errors["orthogonal"], errors["orthogonal"] / errors["iid"]]
    details = {name: values.tolist() for name, values in errors.items()}
    worst = float(np.max(ratios))
    return Measurement(worst, float((again / errors["iid"]).max()), "independent over independent", details)


def simplex_everywhere(rng: int) -> Measurement:
    """Reid et al. 2023: the order holds for every x and y, by the mean squared error in closed form.

    Computed: the largest ratio, simplex over orthogonal and orthogonal over independent, of d features in d = 2 to 64
    dimensions at |x + y| from 0.1 to 2; exact, so the seed plays no part. Baseline: orthogonal over simplex, the other
    way round. Threshold 1, the paper's.
    """
    worst, reverse = 0.0, 0.0
    for d in (2, 3, 6, 16, 64):
        for v in np.linspace(0.1, 2.0, 20):
            x = np.zeros((1, d))
            x[0, 0] = 0.5 * v
            iid, orthogonal, simplex = (
                float(positive_mse(x, n_features=d, coupling=c)[0, 0]) for c in ("iid", "orthogonal", "simplex")
            )
            worst = max(worst, simplex / orthogonal, orthogonal / iid)
            reverse = max(reverse, orthogonal / simplex)
    return Measurement(worst, reverse, "orthogonal over simplex")


def sketch_errors(sketched: Callable[[int, int], Any], exact: Any, rng: int, repeats: int = 40) -> list[float]:
    """Root mean squared error against `exact` of ``sketched(width, seed)`` on points of length 1, for each width."""
    X = np.random.default_rng(rng).standard_normal((60, 20))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    K, pairs, errors = exact(X), np.triu_indices(len(X), 1), []
    for width in WIDTHS:
        squares = []
        for seed in range(rng * repeats, (rng + 1) * repeats):
            F = sketched(width, seed).features(X)
            squares.append(np.mean((F @ F.T - K)[pairs] ** 2))
        errors.append(math.sqrt(np.mean(squares)))
    return errors


def tensor_sketch_rate(rng: int) -> Measurement:
    """Pham and Pagh 2013: the variance of the estimate falls like 1 / D.

    Measured: distance from -1/2 of the exponent with which the root mean squared error falls over D = 64 to 4096,
    degree 3, on 60 points of length 1 in 20 dimensions, 40 draws for each D. Baseline: the same sketches judged
    against the kernel of degree 2. The exponent is the paper's, the tolerance of 0.1 ours.
    """

    def sketched(width: int, seed: int) -> TensorSketch:
        return TensorSketch(degree=3, gamma=1.0, n_features=width, rng=seed)

    other = sketch_errors(sketched, Polynomial(degree=2, gamma=1.0), rng)
    return _root_n(sketch_errors(sketched, Polynomial(degree=3, gamma=1.0), rng), other, "against degree 2")
