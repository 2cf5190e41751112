"""A small working example of each solver, see ``Card.example``."""

from __future__ import annotations

import numpy as np

from .krr import KernelRidge
from .logistic import KernelLogisticClassifier
from .pca import KernelPCA


def krr() -> tuple[KernelRidge, np.ndarray, np.ndarray]:
    """A kernel ridge regression, with points and targets to fit it to.

    Examples
    --------
    >>> model, X, y = krr()
    >>> round(model.fit(X, y).score(X, y), 2)
    0.97
    """
    X, y = _line()
    return KernelRidge(alpha=0.1, fit_intercept=True), X, y


def kernel_logistic() -> tuple[KernelLogisticClassifier, np.ndarray, np.ndarray]:
    """A kernel logistic classifier, with points and classes to fit it to.

    Examples
    --------
    >>> model, X, y = kernel_logistic()
    >>> model.fit(X, y).score(X, y)
    1.0
    """
    X, y = _line()
    return KernelLogisticClassifier(alpha=0.1), X, np.where(y > 0, "above", "below")


def kernel_pca() -> tuple[KernelPCA, np.ndarray]:
    """A kernel PCA, with points to find the components of.

    Examples
    --------
    >>> model, X = kernel_pca()
    >>> model.fit_transform(X).shape
    (30, 2)
    """
    return KernelPCA(n_components=2), _line()[0]


def _line() -> tuple[np.ndarray, np.ndarray]:
    """Thirty points with three coordinates, and a line through them with some noise."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 3))
    return X, X @ np.array([2.0, -1.0, 0.5]) + 0.5 * rng.standard_normal(30)
