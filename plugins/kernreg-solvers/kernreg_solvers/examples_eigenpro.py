"""Small working examples of EigenPro 2 and 3, see ``Card.example``."""

from __future__ import annotations

import numpy as np

from .eigenpro2 import EigenPro2
from .eigenpro3 import EigenPro3


def eigenpro2() -> tuple[EigenPro2, np.ndarray, np.ndarray]:
    """EigenPro 2, with points and targets to fit it to.

    Examples
    --------
    >>> model, X, y = eigenpro2()
    >>> round(model.fit(X, y).score(X, y), 2)
    0.98
    """
    return EigenPro2(n_epochs=30, random_state=0), *_line()


def eigenpro3() -> tuple[EigenPro3, np.ndarray, np.ndarray]:
    """EigenPro 3 with ten centres, and points and targets to fit it to.

    Examples
    --------
    >>> model, X, y = eigenpro3()
    >>> round(model.fit(X, y).score(X, y), 2)
    0.98
    """
    return EigenPro3(n_centers=10, n_epochs=30, random_state=0), *_line()


def _line() -> tuple[np.ndarray, np.ndarray]:
    """Forty points with three coordinates, and a line through them with some noise."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3))
    return X, X @ np.array([2.0, -1.0, 0.5]) + 0.4 * rng.standard_normal(40)
