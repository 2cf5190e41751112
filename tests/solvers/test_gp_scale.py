"""The scale of the targets of Gaussian processes, and where the search for their parameters begins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.spatial.distance import pdist
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor as Peer
from sklearn.gaussian_process.kernels import RBF
from solver_kernels import Gauss

from kernreg_core.errors import ParameterError
from kernreg_solvers import GaussianProcessRegressor
from kernreg_solvers.gp_likelihood import MarginalLikelihood
from kernreg_solvers.gp_start import from_data
from kernreg_solvers.hyperparameters import HyperParameters

RNG = np.random.default_rng(0)
X = RNG.uniform(-2, 2, (40, 2))
Y = np.sin(2 * X[:, 0]) + X[:, 1] + 0.1 * RNG.standard_normal(40)
NEW = RNG.uniform(-2, 2, (11, 2))
KERNEL = 2.0 * Gauss(lengthscale=0.8)


def fixed(**options: Any) -> GaussianProcessRegressor:
    return GaussianProcessRegressor(**{"kernel": KERNEL, "noise": 0.05, "optimizer": None, **options})


def far(n: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Targets of a deviation of some hundreds, around 500."""
    rng = np.random.default_rng(3)
    Z = rng.standard_normal((n, 3))
    return Z, 500.0 + 300.0 * (np.sin(Z[:, 0]) + Z[:, 1]) + 20.0 * rng.standard_normal(n)


@pytest.mark.parametrize("columns", [1, 2])
def test_standardised_targets_as_in_scikit_learn(columns: int) -> None:
    y = 100.0 + 30.0 * Y if columns == 1 else np.column_stack([100.0 + 30.0 * Y, 2.0 - 0.5 * Y**2])
    ours = fixed(normalize_y=True).fit(X, y)
    peer = Peer(2.0 * RBF(0.8), alpha=0.05, optimizer=None, normalize_y=True).fit(X, y)
    for options in ({"return_std": True}, {"return_cov": True}):
        for found, expected in zip(ours.predict(NEW, **options), peer.predict(NEW, **options), strict=True):
            assert_allclose(found, expected, rtol=1e-6, atol=1e-8)
    assert ours.log_marginal_likelihood_value_ == pytest.approx(peer.log_marginal_likelihood_value_, rel=1e-9)
    assert ours.log_marginal_likelihood(ours.theta_) == pytest.approx(peer.log_marginal_likelihood_value_, rel=1e-9)
    assert_allclose(ours.y_std_, y.std(axis=0))
    # noise counts in the unit of the fit: in that of y it is 0.05 std^2
    of_f, of_y = (ours.predict(NEW, return_std=True, include_noise=noisy)[1] for noisy in (False, True))
    assert_allclose(of_y**2 - of_f**2, np.broadcast_to(0.05 * y.std(axis=0) ** 2, of_f.shape))
    drawn = ours.sample_y(NEW, 4000)
    assert_allclose(drawn.mean(axis=-1), ours.predict(NEW), atol=0.1 * y.std())
    assert_allclose(drawn.std(axis=-1), of_f, rtol=0.1)


def test_standardised_targets_have_no_unit() -> None:
    first, second = (
        GaussianProcessRegressor(kernel=1.0 * Gauss(), mean="constant", normalize_y=True).fit(X, y)
        for y in (Y, 7.0 - 1e3 * Y)
    )
    assert_allclose(second.theta_, first.theta_, atol=1e-4)
    assert_allclose(second.predict(NEW), 7.0 - 1e3 * first.predict(NEW), rtol=1e-4)
    (left, spread), (right, narrow) = second.leave_one_out(True), first.leave_one_out(True)
    assert_allclose(left, 7.0 - 1e3 * right, atol=1.0)
    assert_allclose(spread, 1e3 * narrow, rtol=1e-3)


def test_a_mean_counts_in_the_unit_of_y_and_weights_repeat() -> None:
    # fixed at the same kernel and noise in units of y, nothing changes but the unit
    spread = Y.std()
    plain = fixed(kernel=2.0 * spread**2 * Gauss(lengthscale=0.8), noise=0.05 * spread**2, mean=0.7).fit(X, Y)
    scaled = fixed(mean=0.7, normalize_y=True).fit(X, Y)
    assert_allclose(scaled.predict(NEW), plain.predict(NEW), rtol=1e-8)
    assert scaled.mean_ == pytest.approx(0.7)
    assert fixed(normalize_y=True).fit(X, Y).mean_ == pytest.approx(Y.mean())
    weights = np.r_[np.full(10, 3), np.ones(30)].astype(int)
    weighted = fixed(normalize_y=True).fit(X, Y, sample_weight=weights)
    repeated = fixed(normalize_y=True).fit(np.repeat(X, weights, axis=0), np.repeat(Y, weights))
    assert_allclose(weighted.predict(NEW), repeated.predict(NEW), rtol=1e-8)
    constant = fixed(normalize_y=True).fit(X, np.full(40, 3.3))
    assert constant.y_std_ == 1.0
    assert_allclose(constant.predict(NEW), 3.3)
    with pytest.raises(ParameterError, match="normalize_y: expected True or False, got 'yes'"):
        fixed(normalize_y="yes").fit(X, Y)


def test_a_hopeless_start_is_replaced_by_one_from_the_data() -> None:
    Z, y = far()
    model = GaussianProcessRegressor(kernel=1.0 * Gauss(lengthscale=0.05), noise=0.1, mean="constant").fit(Z, y)
    assert model.at_bounds_ == []
    fresh, truth = far(200)
    assert model.score(fresh[60:], truth[60:]) > 0.9
    # what is fixed stays as it is
    bounds = {"variance": "fixed", "noise": (1e2, 1e3)}
    held = GaussianProcessRegressor(kernel=1e5 * Gauss(lengthscale=0.05), bounds=bounds, mean="constant").fit(Z, y)
    assert held.kernel_.variance == 1e5
    assert 1e2 <= held.noise_ <= 1e3


def test_the_start_from_the_data() -> None:
    Z, y = far()
    kernel = 2.0 * (1.0 * Gauss(lengthscale=0.05) + 3.0 * Gauss(lengthscale=9.0))
    space = HyperParameters(kernel, Z, y=y, extra={"noise": 0.1}, extra_bounds={"noise": (1e-9, 1e9)})
    found = dict(zip(space.labels, np.exp(from_data(space, Z, 400.0)), strict=True))
    assert found["noise"] == pytest.approx(40.0)
    assert found["kernel__k1__kernel__lengthscale"] == pytest.approx(np.median(pdist(Z)), rel=1e-6)
    # k(x, x) = variance (1 + 3): the outermost variance alone is moved, so that the weights keep their ratio
    assert found["variance"] == pytest.approx(100.0)
    assert (found["kernel__k1__variance"], found["kernel__k2__variance"]) == pytest.approx((1.0, 3.0))


def test_a_good_start_is_kept_and_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    inner = MarginalLikelihood.loss
    monkeypatch.setattr(MarginalLikelihood, "loss", lambda self, theta: seen.append(theta) or inner(self, theta))
    monkeypatch.setattr("kernreg_solvers.gp_start.from_data", lambda *_: pytest.fail("the start was good"))
    model = GaussianProcessRegressor(kernel=KERNEL, noise=0.05).fit(X, Y)
    assert len(seen) == model.n_iter_
    monkeypatch.undo()
    Z, y = far()
    monkeypatch.setattr(MarginalLikelihood, "loss", lambda self, theta: seen.append(theta) or inner(self, theta))
    seen.clear()
    model = GaussianProcessRegressor(kernel=1.0 * Gauss(), mean="constant").fit(Z, y)
    assert len(seen) == model.n_iter_  # one more than the search's own


def test_a_length_scale_on_its_lower_bound_is_told() -> None:
    noise = 100.0 * np.random.default_rng(1).standard_normal(40)
    model = GaussianProcessRegressor(kernel=1.0 * Gauss(), bounds={"noise": (1e-3, 1e-2)})
    with pytest.warns(ConvergenceWarning, match=r"kernel__lengthscale ended on its lower bound, 0\.\d+.*normalize_y"):
        model.fit(X, noise)
    assert "kernel__lengthscale" in model.at_bounds_
