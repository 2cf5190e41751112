"""Measures of the claims on the cards of Gaussian processes; ``kernreg verify`` runs them.

Each takes a seed and returns a figure with its baseline beside it. The inner functions take what is compared as an
argument, so that tests can show that a wrong one misses the threshold.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import kernreg_core as kr
from kernreg_core.claims import Measurement
from kernreg_core.threads import pinned_blas

from .gp import GaussianProcessRegressor
from .gp_classifier import GaussianProcessClassifier
from .kernels import LinearKernel
from .sparse_gp import SparseGaussianProcessRegressor


def exponential(X: Any, Y: Any) -> np.ndarray:
    """exp(-|x - y|) on the line, whose Gram matrices are well conditioned."""
    return np.exp(-np.abs(np.asarray(X) - np.asarray(Y).T))


class Smooth(kr.BaseKernel):
    """exp(-|x - y|^2 / (2 l^2)), on this plugin alone."""

    capabilities = frozenset({"symmetric", "psd", "normalized", "stationary"})

    def __init__(self, *, lengthscale: float = 1.0) -> None:
        self.lengthscale = lengthscale

    def evaluate(self, X: Any, Y: Any) -> np.ndarray:
        """k(X, Y)."""
        squared = (X * X).sum(1)[:, None] + (Y * Y).sum(1) - 2.0 * X @ Y.T
        return np.asarray(np.exp(-0.5 * np.maximum(squared, 0.0) / self.lengthscale**2))


# -- exact regression -----------------------------------------------------------------------


def conditioning_error(noise: float, rng: int) -> float:
    """Largest difference between ``solver.gp`` with that noise and conditioning the joint normal of noise 0.3."""
    generator = np.random.default_rng(rng)
    X, new = generator.uniform(0, 10, (60, 1)), generator.uniform(0, 10, (20, 1))
    y = generator.standard_normal(60)
    both = np.vstack([X, new])
    joint = exponential(both, both)
    joint[np.arange(60), np.arange(60)] += 0.3
    # the conditional in the joint precision P: covariance P_22^-1, mean -P_22^-1 P_21 y
    precision = np.linalg.inv(joint)
    covariance = np.linalg.inv(precision[60:, 60:])
    mean = -covariance @ precision[60:, :60] @ y
    model = GaussianProcessRegressor(kernel=exponential, noise=noise, optimizer=None).fit(X, y)
    found, spread = model.predict(new, return_cov=True)
    return float(max(np.abs(found - mean).max(), np.abs(spread - covariance).max()))


def conditioning(rng: int) -> Measurement:
    """Rasmussen and Williams 2006, section 2.2: the prediction is the joint normal distribution, conditioned on y.

    Measured: largest absolute difference of means and covariances from those read off the inverse of the joint
    covariance of 60 targets and 20 new values. Baseline: the same for a noise that is 1 % larger. Threshold 1e-10,
    ours: an identity up to rounding.
    """
    return Measurement(conditioning_error(0.3, rng), conditioning_error(0.303, rng), "noise 1 % larger")


@pinned_blas()  # many small matrices
def coverage(change: Callable[[Any], Any], rng: int, draws: int = 12, n: int = 80) -> float:
    """How far the 95 % intervals of new targets are from covering 95 % of them, on functions drawn from the prior.

    `change` takes a fitted model and gives the one that is asked.
    """
    generator, inside = np.random.default_rng(rng), []
    for _ in range(draws):
        x = generator.uniform(0, 10, (n + 200, 1))
        K = 4.0 * Smooth(lengthscale=0.7)(x)
        y = np.linalg.cholesky(K + 0.1 * np.eye(len(x))) @ generator.standard_normal(len(x))
        model = GaussianProcessRegressor(kernel=1.0 * Smooth(), noise=1.0).fit(x[:n], y[:n])
        mean, std = change(model).predict(x[n:], return_std=True, include_noise=True)
        inside.append(np.abs(y[n:] - mean) <= 1.959963984540054 * std)
    return float(abs(np.mean(inside) - 0.95))


def with_longer_scale(model: Any) -> Any:
    """The model with three times the length scale that was learnt."""
    kernel = model.kernel_.variance * Smooth(lengthscale=3.0 * model.kernel_.kernel.lengthscale)
    return GaussianProcessRegressor(kernel=kernel, noise=model.noise_, optimizer=None).fit(model.X_fit_, model.y_fit_)


def learnt_intervals(rng: int) -> Measurement:
    """Rasmussen and Williams 2006, section 5.4.1: the marginal likelihood finds parameters that predict well.

    Measured: distance from 0.95 of the fraction of new targets inside their 95 % intervals, variance, length scale and
    noise learnt from 80 targets from a poor start; 12 functions drawn from the prior, 200 new targets each. Baseline:
    three times the length scale learnt. Threshold 0.02, ours.
    """
    return Measurement(coverage(lambda model: model, rng), coverage(with_longer_scale, rng), "length scale times 3")


# -- sparse regression ----------------------------------------------------------------------


def _wave(rng: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(rng)
    x = np.sort(generator.uniform(0, 10, n))[:, None]
    return x, np.sin(x[:, 0]) + 0.5 * np.sin(3.0 * x[:, 0]) + 0.2 * generator.standard_normal(n)


SIZES = (5, 10, 15, 20, 25, 30, 40, 50)


@pinned_blas()
def bounds(rng: int, n: int = 300) -> tuple[np.ndarray, np.ndarray, float]:
    """The bound on nested inducing points, the likelihood that lacks its trace term, and the exact likelihood."""
    x, y = _wave(rng, n)
    kernel, order = 1.0 * Smooth(lengthscale=0.7), np.random.default_rng(rng).permutation(n)
    exact = GaussianProcessRegressor(kernel=kernel, noise=0.04, optimizer=None).fit(x, y)
    found, without = [], []
    for m in SIZES:
        model = SparseGaussianProcessRegressor(kernel=kernel, noise=0.04, optimizer=None, centers=x[order[:m]]).fit(
            x, y
        )
        white = np.linalg.solve(model.L_, kernel(x[order[:m]], x))
        found.append(model.lower_bound_)
        without.append(model.lower_bound_ + (n - np.square(white).sum()) / 0.08)
    return np.array(found), np.array(without), exact.log_marginal_likelihood_value_


def excess(values: np.ndarray, exact: float) -> float:
    """By how much values exceed the exact one, or fall from one to the next: 0 or less for a bound that tightens."""
    return float(max((values - exact).max(), (values[:-1] - values[1:]).max()))


def bound_from_below(rng: int) -> Measurement:
    """Titsias 2009, section 3: the bound is below the log marginal likelihood and rises with each inducing point.

    Measured: the largest excess over the exact likelihood, or fall when points are added, over nested sets of 5 to 50
    inducing points, 300 noisy values of a sum of waves. Baseline: the likelihood of the projected process, which lacks
    the trace term and is no bound. Threshold 1e-6, ours: no excess up to rounding.
    """
    found, without, exact = bounds(rng)
    details = {"m": list(SIZES), "gap": (exact - found).tolist()}
    return Measurement(excess(found, exact), excess(without, exact), "projected process", details)


@pinned_blas()
def posterior_errors(rng: int, n: int = 1000, m: int = 30, repeats: int = 5) -> tuple[float, float]:
    """Root mean squared distance from the exact posterior mean: of the sparse model, and of m of the data."""
    errors = []
    for number in range(repeats):
        x, y = _wave(rng + number, n)
        grid, kernel = np.linspace(0.2, 9.8, 300)[:, None], 1.0 * Smooth(lengthscale=0.7)
        exact = GaussianProcessRegressor(kernel=kernel, noise=0.04, optimizer=None).fit(x, y).predict(grid)
        sparse = SparseGaussianProcessRegressor(
            kernel=kernel, noise=0.04, optimizer=None, n_centers=m, random_state=(rng + number) % 2**32
        ).fit(x, y)
        part = sparse.center_indices_
        subset = GaussianProcessRegressor(kernel=kernel, noise=0.04, optimizer=None).fit(x[part], y[part])
        errors.append([np.square(model.predict(grid) - exact).mean() for model in (sparse, subset)])
    sparse_error, subset_error = np.sqrt(np.mean(errors, axis=0))
    return float(sparse_error), float(subset_error)


def better_than_subset(rng: int) -> Measurement:
    """Titsias 2009, section 5: with the inducing points a sparse model is near the exact one; their data alone are not.

    Measured: root mean squared distance of the posterior mean from the exact one, 30 inducing points picked uniformly
    among 1000, divided by that of an exact model on those 30 data, five draws. Baseline: 1, that model. Threshold 0.1,
    ours.
    """
    sparse, subset = posterior_errors(rng)
    return Measurement(sparse / subset, 1.0, "the same 30 data", {"sparse": sparse, "subset": subset})


# -- classification -------------------------------------------------------------------------


@pinned_blas()
def cancer_losses(rng: int, kernel: Any = None, halves: int = 2) -> tuple[float, float, float]:
    """Mean log loss of ``solver.gp_classifier``, of logistic regression and of class frequencies on bundled data."""
    from sklearn.datasets import load_breast_cancer
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.model_selection import GridSearchCV

    X, y = load_breast_cancer(return_X_y=True)
    generator, losses = np.random.default_rng(rng), []
    for _ in range(halves):
        order = generator.permutation(len(y))
        train, test = order[:200], order[200:]
        Z = (X - X[train].mean(0)) / X[train].std(0)
        start = 0.1 * LinearKernel() + 1.0 * Smooth(lengthscale=10.0) if kernel is None else kernel
        model = GaussianProcessClassifier(kernel=start).fit(Z[train], y[train])
        plain = GridSearchCV(LogisticRegression(), {"C": [0.01, 0.1, 1.0, 10.0]}, scoring="neg_log_loss", cv=5)
        plain.fit(Z[train], y[train])
        frequencies = np.bincount(y[train]) / len(train)
        losses.append(
            [
                log_loss(y[test], model.predict_proba(Z[test])),
                log_loss(y[test], plain.predict_proba(Z[test])),
                log_loss(y[test], np.tile(frequencies, (len(test), 1))),
            ]
        )
    mine, logistic, none = np.mean(losses, axis=0).tolist()
    return mine, logistic, none


def laplace_against_logistic(rng: int) -> Measurement:
    """Williams and Barber 1998, section 5: Gaussian process classifiers are among the best methods on small data.

    Measured: log loss, minus that of logistic regression whose penalty is chosen by cross-validation, on scikit-learn's
    breast cancer data, 200 of 569 to train, two draws; the parameters of a linear plus a Gaussian kernel learnt by the
    approximate marginal likelihood, without cross-validation. Baseline: class frequencies, minus the same. Threshold
    0.03, ours: the paper's data are not bundled.
    """
    mine, logistic, none = cancer_losses(rng)
    return Measurement(mine - logistic, none - logistic, "class frequencies", {"mine": mine, "logistic": logistic})


@pinned_blas()
def drawn_losses(rng: int, draws: int = 12, n: int = 150) -> tuple[float, float, float]:
    """Mean log losses on classes drawn from the prior: classifier's, cubic logistic regression's, true."""
    from scipy.special import expit
    from sklearn.linear_model import LogisticRegression

    generator, losses = np.random.default_rng(rng), []
    for _ in range(draws):
        x = generator.uniform(-6, 6, (n + 400, 1))
        latent = np.linalg.cholesky(9.0 * Smooth()(x) + 1e-8 * np.eye(len(x))) @ generator.standard_normal(len(x))
        y = (generator.random(len(x)) < expit(latent)).astype(int)
        if len(np.unique(y[:n])) < 2:
            continue
        model = GaussianProcessClassifier(kernel=1.0 * Smooth(lengthscale=2.0)).fit(x[:n], y[:n])
        powers = np.hstack([x, x**2, x**3])
        cubic = LogisticRegression(C=1.0, max_iter=1000).fit(powers[:n], y[:n])
        found = model.predict_proba(x[n:])[:, 1], cubic.predict_proba(powers[n:])[:, 1], expit(latent[n:])
        losses.append([_log_loss(y[n:], p) for p in found])
    mine, plain, true = np.mean(losses, axis=0).tolist()
    return mine, plain, true


def _log_loss(y: np.ndarray, p: np.ndarray) -> float:
    return float(-np.mean(np.log(np.where(y == 1, p, 1.0 - p))))


def near_the_truth(rng: int) -> Measurement:
    """Rasmussen and Williams 2006, sections 3.4 and 5.5: learnt from classes, probabilities are near the true ones.

    Measured: mean log loss minus that of the true probabilities, 12 latent functions drawn from the prior, 150 classes
    to train and 400 to test, variance and length scale learnt. Baseline: a cubic logistic regression, minus the same.
    Threshold 0.08, ours.
    """
    mine, plain, true = drawn_losses(rng)
    return Measurement(mine - true, plain - true, "cubic logistic regression", {"mine": mine, "true": true})
