"""Sound samplers, selectors and solvers pass their laws, and none of these laws goes untried."""

from __future__ import annotations

import numpy as np
import pytest
from sound_solvers import Farthest, RandomSubset, Ridge, Weyl
from test_sound_round_trips import laws_of

import kernreg_core as kr
from kernreg_core.testing import Report, Subject, check, parametrize_with_checks
from kernreg_core.testing._checks import all_checks, checks_of
from kernreg_core.testing.laws import samplers, selectors, solvers

LAWS = {kind: laws_of(module) for kind, module in (("sampler", samplers), ("selector", selectors), ("solver", solvers))}
RNG = np.random.default_rng(1)
X = RNG.standard_normal((20, 3))
Y = X @ np.array([1.0, -2.0, 0.5]) + 0.1 * RNG.standard_normal(20)


class Draws(Weyl):
    """A sampler that is told nothing of its seed."""

    def __init__(self, d=2, *, rng=None):
        super().__init__(d, rng=rng)


class Engine:
    """A foreign sampler around an engine of scipy."""

    def __init__(self, engine):
        self.engine = engine

    def sample(self, n):
        return self.engine.random(n)

    def reset(self):
        self.engine.reset()
        return self

    def fast_forward(self, n):
        self.engine.fast_forward(n)
        return self


class WithReplacement(RandomSubset):
    """Draws with replacement, and says so."""

    replace = True

    def select(self, X, n):
        super().select(X, min(n, len(X)))
        self.weights_ = np.full(n, 1.0)
        return np.random.default_rng(0).integers(len(X), size=n)


class Moments:
    """A test without predictions: its results are numbers."""

    def fit(self, X, y):
        self.statistic_ = float(np.abs(X.mean(axis=0)).max() + np.mean(y))
        self.pvalue_ = 0.5
        return self


class Quadrature:
    """Integrates a function."""

    def fit(self, integrand):
        self.integral_ = float(np.mean(integrand(np.linspace(0.0, 1.0, 5))))
        return self


class Components:
    """Principal components, foreign, without targets."""

    def fit(self, X, y=None):
        if not np.isfinite(X).all():
            raise ValueError("NaN")
        self.mean_ = X.mean(axis=0)
        self.components_ = np.linalg.svd(X - self.mean_)[2][:2]
        return self

    def transform(self, X):
        if not hasattr(self, "mean_"):
            raise kr.NotFittedError("not fitted")
        if not np.isfinite(X).all():
            raise ValueError("NaN")
        return np.stack([self.components_ @ (x - self.mean_) for x in X])


def failures(reports: list[Report]) -> str:
    return "\n".join(f"{r.entry} {r.check}: {r.message}" for report in reports for r in report.failures)


def tried(reports: list[Report]) -> set[str]:
    return {result.check for report in reports for result in report if result.status == "passed"}


def sampler_reports() -> list[Report]:
    kr.register(Weyl, name="sound.weyl", kind="sampler", tags=["quasi_monte_carlo"])
    try:
        reports = [
            check("sound.weyl"),
            check(Subject("Draws", "sampler", Draws)),
            check(Weyl(rng=np.random.default_rng(0)), kind="sampler"),
        ]
    finally:
        kr.unregister("sound.weyl")
    qmc = pytest.importorskip("scipy.stats").qmc
    for engine in (qmc.Halton(2, rng=0), qmc.Halton(2, scramble=False), qmc.Sobol(3, rng=0)):
        reports.append(check(Engine(engine)))
    return reports


def test_sound_samplers():
    reports = sampler_reports()
    assert not failures(reports)
    assert not LAWS["sampler"] - tried(reports)


def test_sound_selectors():
    kr.register(RandomSubset, name="sound.subset")
    try:
        reports = [
            check("sound.subset"),
            check(RandomSubset(scale=2.0), X),
            check(Farthest(), X),
            check(WithReplacement(), X),
            check(Subject("unseeded", "selector", lambda: RandomSubset(rng=None), X=X)),
        ]
    finally:
        kr.unregister("sound.subset")
    assert not failures(reports)
    assert not LAWS["selector"] - tried(reports)


def test_sound_solvers():
    kr.register(Ridge, name="sound.ridge", tags=["regression"])
    try:
        reports = [
            check("sound.ridge"),
            check(Ridge(kernel=solvers.Gauss(width=1.0), alpha=0.1), X, Y),
            check(Ridge(kernel=solvers.letters), ["ab", "abc", "ca", "dd"], np.arange(4.0), kind="solver"),
            check(Components(), X),
            check(Moments(), X, Y, kind="solver"),
            check(Quadrature(), np.square, kind="solver"),
        ]
    finally:
        kr.unregister("sound.ridge")
    assert not failures(reports)
    assert not LAWS["solver"] - tried(reports)


@pytest.mark.parametrize(
    ("module", "name", "params"),
    [
        ("linear_model", "Ridge", {}),
        ("kernel_ridge", "KernelRidge", {"kernel": "rbf"}),
        ("svm", "SVC", {"kernel": "linear"}),
        ("neighbors", "KernelDensity", {}),
        ("decomposition", "PCA", {"n_components": 2}),
    ],
)
def test_estimators_of_scikit_learn_pass_the_kits_own_laws(module, name, params):
    found = pytest.importorskip(f"sklearn.{module}")
    own = {check.name for check in all_checks()}
    y = np.where(Y > 0, "a", "b") if name == "SVC" else Y
    report = check(getattr(found, name)(**params), X, y, kind="solver", only=own)
    assert not failures([report])
    assert report.counts["passed"] > 20


def test_checks_of_scikit_learn_are_run_and_named():
    linear = pytest.importorskip("sklearn.linear_model")
    report = check(linear.LinearRegression(), X, Y, kind="solver", only="sklearn_*")
    assert not failures([report])
    names = [result.check for result in report]
    assert len(set(names)) == len(names) > 30
    assert "sklearn_check_estimator_cloneable" in names
    assert "sklearn_check_no_attributes_set_in_init" in names


def test_checks_of_scikit_learn_find_what_is_wrong():
    linear = pytest.importorskip("sklearn.linear_model")

    class SetsInInit(linear.LinearRegression):
        def __init__(self, fit_intercept=True):
            super().__init__(fit_intercept=fit_intercept)
            self.count = 0

    report = check(SetsInInit(), X, Y, kind="solver", only="sklearn_check_no_attributes_set_in_init")
    assert not report.passed


def test_what_is_no_estimator_has_no_checks_of_scikit_learn():
    names = [check.name for check in checks_of(Subject("Ridge", "solver", Ridge, X=X, y=Y))]
    assert names
    assert not [name for name in names if name.startswith("sklearn_check_")]


def test_expected_failures_of_scikit_learns_checks_are_strict():
    linear = pytest.importorskip("sklearn.linear_model")
    name = "sklearn_check_estimator_cloneable"
    report = check(linear.LinearRegression(), X, Y, kind="solver", only=name, expected_failures={name: "a guess"})
    assert report[0].status == "unexpected pass"


@parametrize_with_checks(RandomSubset(), X)
def test_selectors_go_through_pytest(subject, check):
    check(subject)
