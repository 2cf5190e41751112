"""A small working example of each ridge solver, see ``Card.example``."""

from __future__ import annotations

import numpy as np

from .auto_krr import AutoKernelRidge
from .feature_ridge import FeatureRidge
from .krr_cg import KernelRidgeCG
from .learning_rate import LearningRate


def krr_cg() -> tuple[KernelRidgeCG, np.ndarray, np.ndarray]:
    """Ridge regression by conjugate gradients, with points and targets to fit it to.

    Examples
    --------
    >>> model, X, y = krr_cg()
    >>> round(model.fit(X, y).score(X, y), 2)
    0.97
    """
    return KernelRidgeCG(alpha=0.1, fit_intercept=True, tol=1e-10, random_state=0), *_line()


def feature_ridge() -> tuple[FeatureRidge, np.ndarray, np.ndarray]:
    """Ridge regression on features, here the items themselves.

    Examples
    --------
    >>> model, X, y = feature_ridge()
    >>> round(model.fit(X, y).score(X, y), 2)
    0.97
    """
    return FeatureRidge(alpha=0.1, fit_intercept=True), *_line()


def auto_krr() -> tuple[AutoKernelRidge, np.ndarray, np.ndarray]:
    """Ridge regression by whatever solver suits thirty points.

    Examples
    --------
    >>> model, X, y = auto_krr()
    >>> model.fit(X, y).choice_
    'solver.krr'
    """
    return AutoKernelRidge(alpha=0.1, fit_intercept=True, random_state=0), *_line()


def learning_rate() -> tuple[LearningRate, np.ndarray, np.ndarray]:
    """The learning rate of ridge regression on a line.

    Examples
    --------
    >>> diagnostic, X, y = learning_rate()
    >>> bool(diagnostic.fit(X, y).slope_ > 0.5)
    True
    """
    return LearningRate(sizes=[4, 8], repeats=2, random_state=0), *_line()


def _line() -> tuple[np.ndarray, np.ndarray]:
    """Thirty points with three coordinates, and a line through them with some noise."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 3))
    return X, X @ np.array([2.0, -1.0, 0.5]) + 0.5 * rng.standard_normal(30)
