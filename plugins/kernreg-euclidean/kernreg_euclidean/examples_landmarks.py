"""A small working example of each selector of landmarks, of Nystrom features and of a kernel on a grid."""

from __future__ import annotations

import numpy as np

from .grid import Grid, grid_points
from .landmarks import KMeansLandmarks, UniformLandmarks
from .leverage import LeverageLandmarks
from .nystrom import Nystrom
from .pivoted import PivotedCholesky
from .rbf import RBF


def clusters(n: int = 30) -> np.ndarray:
    """Points of two clusters and two outliers, the same each time, shape (n, 2)."""
    rng = np.random.default_rng(0)
    X = 0.4 * rng.standard_normal((n, 2))
    X[n // 2 :, 0] += 4.0
    X[:2] = [[9.0, 0.0], [0.0, -9.0]]
    return X


def uniform_landmarks() -> tuple[UniformLandmarks, np.ndarray]:
    """A uniform choice."""
    return UniformLandmarks(rng=0), clusters()


def kmeans_landmarks() -> tuple[KMeansLandmarks, np.ndarray]:
    """k-means++ in the feature space of the Gaussian kernel."""
    return KMeansLandmarks(kernel=RBF(lengthscale=2.0), rng=0), clusters()


def leverage_landmarks() -> tuple[LeverageLandmarks, np.ndarray]:
    """Leverage scores at a penalty of 0.1."""
    return LeverageLandmarks(kernel=RBF(lengthscale=2.0), alpha=0.1, rng=0), clusters()


def pivoted_cholesky() -> tuple[PivotedCholesky, np.ndarray]:
    """Randomly pivoted Cholesky."""
    return PivotedCholesky(kernel=RBF(lengthscale=2.0), rng=0), clusters()


def nystrom() -> tuple[Nystrom, np.ndarray]:
    """Six features of a Gaussian kernel, fitted."""
    X = np.random.default_rng(0).standard_normal((12, 3))
    return Nystrom(kernel=RBF(lengthscale=1.5), n_features=6, rng=0).fit(X), X


def grid() -> tuple[Grid, np.ndarray]:
    """A Gaussian kernel on a grid of 5 times 8 points."""
    return Grid(kernel=RBF(lengthscale=0.6)), grid_points(np.linspace(0.0, 2.0, 5), np.linspace(-1.0, 1.0, 8) ** 3)
