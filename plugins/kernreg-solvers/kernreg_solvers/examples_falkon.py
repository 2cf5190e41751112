"""Small working examples of Falkon and logistic Falkon, see ``Card.example``."""

from __future__ import annotations

import numpy as np

from .falkon import Falkon
from .logistic_falkon import LogisticFalkon


def falkon() -> tuple[Falkon, np.ndarray, np.ndarray]:
    """Falkon on all points as centres, with points and targets to fit it to.

    Examples
    --------
    >>> model, X, y = falkon()
    >>> round(model.fit(X, y).score(X, y), 2)
    0.98
    """
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3))
    y = X @ np.array([2.0, -1.0, 0.5]) + 0.4 * rng.standard_normal(40)
    return Falkon(n_centers=len(X), alpha=0.1, tol=1e-10, random_state=0), X, y


def logistic_falkon() -> tuple[LogisticFalkon, np.ndarray, np.ndarray]:
    """Logistic Falkon on all points as centres, with points of three classes.

    Examples
    --------
    >>> model, X, y = logistic_falkon()
    >>> model.fit(X, y).predict(X[:3]).tolist() == y[:3].tolist()
    True
    """
    rng = np.random.default_rng(0)
    X = rng.standard_normal((45, 2)) + np.repeat([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]], 15, axis=0)
    return LogisticFalkon(n_centers=len(X), alpha=0.1, tol=1e-9, random_state=0), X, np.repeat(["a", "b", "c"], 15)
