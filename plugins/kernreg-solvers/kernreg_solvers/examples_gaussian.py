"""Small working examples of the Gaussian process models, see ``Card.example``."""

from __future__ import annotations

import numpy as np

from .gp import GaussianProcessRegressor
from .gp_classifier import GaussianProcessClassifier
from .sparse_gp import SparseGaussianProcessRegressor


def gp() -> tuple[GaussianProcessRegressor, np.ndarray, np.ndarray]:
    """A Gaussian process regression, with points and targets to fit it to.

    Examples
    --------
    >>> model, X, y = gp()
    >>> round(model.fit(X, y).score(X, y), 2)
    0.97
    """
    X, y = _line()
    return GaussianProcessRegressor(mean="constant"), X, y


def sparse_gp() -> tuple[SparseGaussianProcessRegressor, np.ndarray, np.ndarray]:
    """A sparse Gaussian process regression, with points and targets to fit it to.

    Examples
    --------
    >>> model, X, y = sparse_gp()
    >>> round(model.fit(X, y).score(X, y), 2)
    0.97
    """
    X, y = _line()
    bounds = {"noise": (1e-3, 10.0)}
    return SparseGaussianProcessRegressor(mean="constant", n_centers=20, bounds=bounds, random_state=0), X, y


def gp_classifier() -> tuple[GaussianProcessClassifier, np.ndarray, np.ndarray]:
    """A Gaussian process classifier, with points and classes to fit it to.

    Examples
    --------
    >>> model, X, y = gp_classifier()
    >>> model.fit(X, y).score(X, y)
    1.0
    """
    X, y = _line()
    return GaussianProcessClassifier(), X, np.where(y > 0, "above", "below")


def _line() -> tuple[np.ndarray, np.ndarray]:
    """Thirty points with three coordinates, and a line through them with some noise."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 3))
    return X, X @ np.array([2.0, -1.0, 0.5]) + 0.5 * rng.standard_normal(30)
