"""Small working examples of what learns or chooses a kernel, see ``Card.example``."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.gaussian_process.kernels import RBF, ExpSineSquared

from .bridge_from import FromSklearn
from .learning import AlignmentLearner, CrossValidationLearner, LikelihoodLearner
from .suggest import KernelSuggestion


def alignment() -> tuple[AlignmentLearner, np.ndarray, np.ndarray]:
    """A learner by alignment, with points and classes.

    Examples
    --------
    >>> learner, X, y = alignment()
    >>> learner.fit(X, y).objective_ > learner.initial_objective_
    True
    """
    X, y = _wave()
    return AlignmentLearner(kernel=_gauss(), max_iter=5), X, np.where(y > 0, "above", "below")


def likelihood() -> tuple[LikelihoodLearner, np.ndarray, np.ndarray]:
    """A learner by marginal likelihood, with points and targets.

    Examples
    --------
    >>> learner, X, y = likelihood()
    >>> learner.fit(X, y).objective_ > learner.initial_objective_
    True
    """
    return (LikelihoodLearner(noise=2.0), *_wave())


def cross_validation() -> tuple[CrossValidationLearner, np.ndarray, np.ndarray]:
    """A learner by leave-one-out error, with points and targets.

    Examples
    --------
    >>> learner, X, y = cross_validation()
    >>> learner.fit(X, y).objective_ < learner.initial_objective_
    True
    """
    return (CrossValidationLearner(alpha=0.1), *_wave())


def suggest() -> tuple[KernelSuggestion, np.ndarray, np.ndarray]:
    """A comparison of a periodic kernel, a narrow one and the baselines, with points on a line and a wave.

    Examples
    --------
    >>> suggestion, X, y = suggest()
    >>> suggestion.fit(X, y).best_
    'periodic'
    >>> best, second = (row["score"] for row in suggestion.results_[:2])
    >>> best > second + 0.1
    True
    """
    periodic = ExpSineSquared(length_scale=1.5, periodicity=2.5)
    kernels = {"periodic": FromSklearn(kernel=periodic), "narrow": FromSklearn(kernel=RBF(0.05))}
    rng = np.random.default_rng(0)
    x = rng.uniform(0.0, 12.0, 40)
    y = np.sin(2.0 * np.pi * x / 2.5) + 0.1 * rng.standard_normal(40)
    return KernelSuggestion(kernels=kernels, refine=False), x[:, None], y


def _gauss() -> Any:
    return FromSklearn(kernel=RBF(0.5))


def _wave() -> tuple[np.ndarray, np.ndarray]:
    """Thirty points with two coordinates, and a wave over the first with some noise."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 2))
    return X, np.sin(2.0 * X[:, 0]) + 0.1 * rng.standard_normal(30)
