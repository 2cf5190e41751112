"""Kernel logistic classification against LogisticRegression on explicit features, and its optimality conditions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit, softmax
from sklearn.datasets import load_digits, load_iris, make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from solver_kernels import Gauss, Indefinite

from kernreg_core.errors import InputError
from kernreg_solvers import KernelLogisticClassifier, LinearKernel


def problem(n_classes: int, n: int = 150) -> tuple[np.ndarray, np.ndarray]:
    return make_classification(n, 8, n_informative=6, n_classes=n_classes, flip_y=0.1, random_state=0)


def peer(X: np.ndarray, y: np.ndarray, alpha: float, **fit: Any) -> LogisticRegression:
    return LogisticRegression(C=1 / alpha, tol=1e-12, max_iter=100_000, solver="newton-cg").fit(X, y, **fit)


@pytest.mark.parametrize("n_classes", [2, 4])
@pytest.mark.parametrize("alpha", [1e-3, 1.0, 100.0])
@pytest.mark.parametrize("solver", ["auto", "newton", "lbfgs"])
def test_the_linear_kernel_is_logistic_regression(n_classes: int, alpha: float, solver: str) -> None:
    X, y = problem(n_classes)
    other = peer(X, y, alpha)
    mine = KernelLogisticClassifier(alpha=alpha, solver=solver).fit(X, y)
    assert_allclose(mine.predict_proba(X), other.predict_proba(X), atol=1e-6)
    assert_allclose(mine.dual_coef_.T @ X, other.coef_ if n_classes > 2 else other.coef_[0], atol=1e-6)
    assert_allclose(mine.intercept_, other.intercept_ if n_classes > 2 else other.intercept_[0], atol=1e-6)
    assert mine.n_iter_ >= 1


@pytest.mark.parametrize("n_classes", [2, 3])
def test_without_intercept(n_classes: int) -> None:
    X, y = problem(n_classes)
    other = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-12, max_iter=10_000, solver="newton-cg").fit(X, y)
    for solver in ("newton", "lbfgs"):
        mine = KernelLogisticClassifier(fit_intercept=False, solver=solver).fit(X, y)
        assert_allclose(mine.predict_proba(X), other.predict_proba(X), atol=1e-6)
        assert_allclose(mine.intercept_, 0)


@pytest.mark.parametrize("solver", ["newton", "lbfgs", "auto"])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_gradient_vanishes_at_the_optimum(n_classes: int, solver: str) -> None:
    X, y = problem(n_classes)
    alpha, kernel = 0.05, Gauss(lengthscale=3.0)
    model = KernelLogisticClassifier(kernel=kernel, alpha=alpha, solver=solver, tol=1e-8).fit(X, y)
    K = kernel(X)
    logits = K @ model.dual_coef_ + model.intercept_
    if n_classes == 2:
        pull = (y == model.classes_[1]) - expit(logits)
    else:
        pull = np.eye(n_classes)[y] - softmax(logits, axis=1)
    gradient = K @ (alpha * model.dual_coef_ - pull)
    assert np.abs(gradient).max() < 1e-7
    assert np.abs(pull.sum(axis=0)).max() < 1e-7
    assert 0 <= model.gap_ <= 1e-8


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_reported_gap_bounds_the_error(n_classes: int) -> None:
    X, y = problem(n_classes)
    options: dict[str, Any] = {
        "kernel": Gauss(lengthscale=3.0),
        "alpha": 0.1,
        "solver": "lbfgs",
        "fit_intercept": False,
    }
    best = KernelLogisticClassifier(**{**options, "solver": "newton"}, tol=1e-10).fit(X, y)
    for tol in (1.0, 1e-1, 1e-3):
        model = KernelLogisticClassifier(**options, tol=tol).fit(X, y)
        error = np.abs(model.decision_function(X) - best.decision_function(X)).max()
        assert error <= model.gap_ <= tol


def test_probabilities() -> None:
    X, y = load_iris(return_X_y=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    model = KernelLogisticClassifier(kernel=Gauss(lengthscale=2.0), alpha=0.01).fit(X, names)
    p = model.predict_proba(X)
    assert p.shape == (150, 3)
    assert_allclose(p.sum(axis=1), 1, rtol=1e-14)
    assert_allclose(np.exp(model.predict_log_proba(X)), p, rtol=1e-12)
    assert (model.predict(X) == model.classes_[p.argmax(axis=1)]).all()
    assert model.score(X, names) > 0.97
    assert log_loss(names, p) < 0.1
    binary = KernelLogisticClassifier(alpha=1e-2).fit(X[:100], names[:100])
    assert_allclose(np.exp(binary.predict_log_proba(X)), binary.predict_proba(X), rtol=1e-12)
    far = binary.predict_log_proba(1e6 * X)
    assert np.isfinite(far).all()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_an_integer_weight_counts_as_repeated_rows(n_classes: int) -> None:
    X, y = problem(n_classes)
    weights = np.random.default_rng(0).integers(0, 4, len(y))
    model = KernelLogisticClassifier(kernel=Gauss(lengthscale=2.0), alpha=0.3, tol=1e-9)
    weighted = model.fit(X, y, sample_weight=weights)
    assert (weighted.dual_coef_[weights == 0] == 0).all()
    p = weighted.predict_proba(X)
    repeated = model.fit(X.repeat(weights, axis=0), y.repeat(weights)).predict_proba(X)
    assert_allclose(p, repeated, atol=1e-8)


def test_class_weights_agree_with_logistic_regression() -> None:
    X, y = problem(3)
    keep = (y != 0) | (np.arange(len(y)) % 5 == 0)
    X, y = X[keep], y[keep]
    for class_weight in ("balanced", {0: 3.0, 1: 0.5, 2: 1.0}):
        other = LogisticRegression(class_weight=class_weight, tol=1e-12, max_iter=10_000, solver="newton-cg").fit(X, y)
        mine = KernelLogisticClassifier(class_weight=class_weight).fit(X, y)
        assert_allclose(mine.predict_proba(X), other.predict_proba(X), atol=1e-6)


def test_a_precomputed_matrix_gives_the_same() -> None:
    X, y = problem(3)
    kernel = Gauss(lengthscale=2.0)
    K = kernel(X)
    given = KernelLogisticClassifier(kernel="precomputed").fit(K, y)
    computed = KernelLogisticClassifier(kernel=kernel).fit(X, y)
    assert_allclose(given.predict_proba(kernel(X[:9], X)), computed.predict_proba(X[:9]), rtol=1e-12)


@pytest.mark.parametrize("alpha", [1e-8, 1e-4])
def test_separable_classes_with_next_to_no_penalty(alpha: float) -> None:
    X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    model = KernelLogisticClassifier(alpha=alpha).fit(X, [0, 0, 1, 1])
    other = peer(X, np.array([0, 0, 1, 1]), alpha)
    assert (model.dual_coef_ @ X)[0] == pytest.approx(other.coef_[0, 0], rel=1e-5)


@pytest.mark.parametrize("solver", ["newton", "lbfgs", "auto"])
def test_digits(solver: str) -> None:
    X, y = load_digits(return_X_y=True)
    X, y = X[:500] / 16, y[:500]
    train = np.arange(500) % 2 == 0
    model = KernelLogisticClassifier(kernel=Gauss(lengthscale=2.0), alpha=1e-2, solver=solver).fit(X[train], y[train])
    assert model.score(X[~train], y[~train]) > 0.95


def test_variance_of_the_kernel_and_penalty_trade_off() -> None:
    X, y = problem(2)
    one = KernelLogisticClassifier(kernel=Gauss(lengthscale=2.0), alpha=0.1).fit(X, y)
    scaled = KernelLogisticClassifier(kernel=1e6 * Gauss(lengthscale=2.0), alpha=0.1 * 1e6).fit(X, y)
    assert_allclose(one.predict_proba(X), scaled.predict_proba(X), atol=1e-7)


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
def test_too_few_iterations_are_said(solver: str) -> None:
    X, y = problem(2)
    with pytest.warns(ConvergenceWarning, match="raise max_iter, tol or alpha"):
        KernelLogisticClassifier(max_iter=2, alpha=1e-3, solver=solver).fit(X, y)


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("solver", ["newton", "lbfgs", "auto"])
def test_an_indefinite_matrix_is_refused(solver: str, n_classes: int) -> None:
    X, y = problem(n_classes)
    with pytest.raises(InputError, match=r"not positive semi-definite.*nearest_psd"):
        KernelLogisticClassifier(kernel=Indefinite(), alpha=1e-3, solver=solver).fit(X, y)


def test_a_matrix_rounded_to_float32_is_taken() -> None:
    X, y = problem(2)
    K = LinearKernel()(X)
    for solver in ("newton", "auto"):
        rounded = KernelLogisticClassifier(kernel="precomputed", solver=solver).fit(K.astype(np.float32), y)
        exact = KernelLogisticClassifier(kernel="precomputed", solver=solver).fit(K, y)
        assert_allclose(rounded.predict_proba(K), exact.predict_proba(K), atol=1e-4)


def test_a_class_without_weight_is_refused() -> None:
    X, y = problem(3)
    with pytest.raises(InputError, match="class 2 has zero total weight"):
        KernelLogisticClassifier().fit(X, y, sample_weight=(y != 2).astype(float))
    with pytest.raises(InputError, match="at least 2 classes"):
        KernelLogisticClassifier().fit(X, np.zeros(len(X)))
