"""Measures of the claims on the cards of what learns a kernel; ``kernreg verify`` runs them."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.gaussian_process.kernels import RBF

from kernreg_core.claims import Measurement
from kernreg_core.composites import Scaled, Sum
from kernreg_core.threads import pinned_blas

from .bridge_from import FromSklearn
from .krr import KernelRidge
from .learning import AlignmentLearner, CrossValidationLearner


class _Feature:
    """The RBF kernel of one feature: a base kernel of the combination."""

    capabilities = frozenset({"symmetric", "psd"})

    def __init__(self, index: int) -> None:
        self.index = index

    def __call__(self, X: Any, Y: Any) -> np.ndarray:
        k = self.index
        return np.exp(-0.5 * np.square(np.subtract.outer(np.asarray(X)[:, k], np.asarray(Y)[:, k])))


def _combination(d: int) -> Sum:
    return Sum(*(Scaled(kernel=_Feature(k), variance=1.0 / d) for k in range(d)))


@pinned_blas()
def combination_errors(rng: int, d: int = 12, learn: bool = True) -> dict[str, float]:
    """Test errors of kernel ridge regression on a combination of one kernel for each of d features, 5 draws.

    Three of the features decide the class, the others are noise.
    """
    errors: dict[str, list[float]] = {"uniform": [], "aligned": []}
    for draw in range(5):
        generator = np.random.default_rng([rng, draw])
        X = generator.standard_normal((1100, d))
        truth = np.sin(2.0 * X[:, 0]) + np.abs(X[:, 1]) - 0.8 + 0.5 * X[:, 2]
        y = np.where(truth + 0.3 * generator.standard_normal(len(X)) > 0, 1.0, -1.0)
        train, test = slice(0, 100), slice(100, None)
        uniform = _combination(d)
        learner = AlignmentLearner(kernel=uniform, target="classes", bounds={"variance": (1e-4, 10.0)})
        aligned = learner.fit(X[train], y[train]).kernel_ if learn else uniform
        for label, kernel in (("uniform", uniform), ("aligned", aligned)):
            model = KernelRidge(kernel=kernel, alpha="loo", fit_intercept=True).fit(X[train], y[train])
            errors[label].append(float(np.mean(np.sign(model.predict(X[test])) != y[test])))
    return {label: float(np.mean(found)) for label, found in errors.items()}


def aligned_against_uniform(rng: int) -> Measurement:
    """Cortes et al. 2012, section 5: combinations learnt by centred alignment outperform the uniform combination.

    Measured: test error of kernel ridge regression (penalty by leave-one-out) with weights that maximise the centred
    alignment, divided by that with uniform weights, on classes decided by three of twelve features, 100 training and
    1000 test items, mean over five draws (the paper's UCI data are not bundled). Baseline: the uniform combination, 1
    by definition. Threshold 0.9, ours: the paper's tables show improvements, and state no common figure.
    """
    errors = combination_errors(rng)
    return Measurement(errors["aligned"] / errors["uniform"], 1.0, "uniform combination", {"errors": errors})


@pinned_blas()
def leave_one_out_difference(rng: int, n: int = 40) -> float:
    """Largest relative difference between the closed form and n fits, each without one item."""
    generator = np.random.default_rng(rng)
    X = generator.standard_normal((n, 2))
    y = np.sin(2.0 * X[:, 0]) + 0.2 * generator.standard_normal(n)
    y -= y.mean()  # so that both centre alike
    learner = CrossValidationLearner(kernel=FromSklearn(kernel=RBF(1.0)), alpha=0.3, max_iter=1, bounds="fixed")
    K = RBF(1.0)(X)
    closed = learner._derivative(K, y[:, None], {"alpha": 0.3})[0]
    squares = []
    for i in range(n):
        rest = np.arange(n) != i
        model = KernelRidge(kernel="precomputed", alpha=0.3).fit(K[np.ix_(rest, rest)], y[rest])
        squares.append(float(model.predict(K[i : i + 1, rest])[0] - y[i]) ** 2)
    return abs(closed / float(np.mean(squares)) - 1.0)


@pinned_blas()
def leave_one_out_by_fits(rng: int) -> Measurement:
    """Allen 1974: the prediction sum of squares needs no second fit.

    Measured: relative difference between the leave-one-out error that ``solver.cross_validation`` minimises and the
    mean over 40 fits, each without one item. Baseline: the training error in its place. Threshold 1e-8, ours: an
    identity up to rounding.
    """
    generator = np.random.default_rng(rng)
    X = generator.standard_normal((40, 2))
    y = np.sin(2.0 * X[:, 0]) + 0.2 * generator.standard_normal(40)
    y -= y.mean()
    K = RBF(1.0)(X)
    fitted = KernelRidge(kernel="precomputed", alpha=0.3).fit(K, y).predict(K)
    errors = [
        KernelRidge(kernel="precomputed", alpha=0.3)
        .fit(np.delete(np.delete(K, i, 0), i, 1), np.delete(y, i))
        .predict(np.delete(K[i : i + 1], i, 1))[0]
        - y[i]
        for i in range(40)
    ]
    training = abs(float(np.mean((fitted - y) ** 2)) / float(np.mean(np.square(errors))) - 1.0)
    return Measurement(leave_one_out_difference(rng), training, "training error")
