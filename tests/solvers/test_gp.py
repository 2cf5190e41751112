"""Exact Gaussian process regression against conditioning by hand, SciPy's density, scikit-learn and GPyTorch."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor as Peer
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from solver_kernels import WORDS, Gauss, Indefinite, Letters, Spectrum, Unusable, Whitened

import kernreg_core as kr
from kernreg_core.errors import InputError, KernregWarning, ParameterError
from kernreg_solvers import GaussianProcessRegressor, NotFittedError, claims_gaussian
from kernreg_solvers.gp_exact import draw, factorise, inverse_diagonal, solve, whiten

RNG = np.random.default_rng(0)
X = RNG.uniform(-2, 2, (40, 2))
Y = np.sin(2 * X[:, 0]) + X[:, 1] + 0.1 * RNG.standard_normal(40)
NEW = RNG.uniform(-2, 2, (11, 2))
KERNEL = 2.0 * Gauss(lengthscale=0.8)


def by_hand(noise: Any, y: np.ndarray = Y, new: np.ndarray = NEW, mean: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Mean and covariance of f at `new` by a general solver, from k(X, X) + noise."""
    A = KERNEL(X) + noise * np.eye(len(X))
    cross = KERNEL(new, X)
    return mean + cross @ np.linalg.solve(A, y - mean), KERNEL(new) - cross @ np.linalg.solve(A, cross.T)


def fixed(**options: Any) -> GaussianProcessRegressor:
    return GaussianProcessRegressor(**{"kernel": KERNEL, "noise": 0.05, "optimizer": None, **options})


# -- the posterior --------------------------------------------------------------------------


def test_posterior_is_the_conditioned_normal() -> None:
    model = fixed().fit(X, Y)
    mean, covariance = by_hand(0.05)
    assert_allclose(model.predict(NEW), mean, rtol=1e-10)
    found, std = model.predict(NEW, return_std=True)
    assert_allclose(found, mean, rtol=1e-10)
    assert_allclose(std**2, np.diag(covariance), rtol=1e-9)
    assert_allclose(model.predict(NEW, return_cov=True)[1], covariance, rtol=1e-9, atol=1e-12)
    assert_allclose(model.predict(NEW, return_std=True, include_noise=True)[1] ** 2, np.diag(covariance) + 0.05)
    noisy = model.predict(NEW, return_cov=True, include_noise=True)[1]
    assert_allclose(noisy, covariance + 0.05 * np.eye(11), rtol=1e-9, atol=1e-12)
    assert_allclose(model.L_ @ model.L_.T, KERNEL(X) + 0.05 * np.eye(40), atol=1e-12)
    assert not np.triu(model.L_, 1).any()


def test_the_likelihood_is_scipys() -> None:
    model = fixed().fit(X, Y)
    exact = multivariate_normal(np.zeros(40), KERNEL(X) + 0.05 * np.eye(40)).logpdf(Y)
    assert model.log_marginal_likelihood_value_ == pytest.approx(exact, rel=1e-10)
    assert model.log_marginal_likelihood() == model.log_marginal_likelihood_value_
    theta = model.theta_ + np.array([0.3, -0.2, 0.5])  # log of length scale, variance, noise
    assert model.theta_names_ == ["kernel__lengthscale", "variance", "noise"]
    K = 2.0 * np.exp(-0.2) * Gauss(lengthscale=0.8 * np.exp(0.3))(X) + 0.05 * np.exp(0.5) * np.eye(40)
    assert model.log_marginal_likelihood(theta) == pytest.approx(multivariate_normal(np.zeros(40), K).logpdf(Y))
    # looking elsewhere leaves the model where it was
    assert model.kernel_.kernel.lengthscale == 0.8
    assert_allclose(model.predict(NEW), by_hand(0.05)[0], rtol=1e-10)


@pytest.mark.parametrize("mean", ["zero", "constant", 0.7])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_of_the_likelihood(mean: Any, weighted: bool) -> None:
    weights = RNG.integers(1, 4, 40) if weighted else None
    model = fixed(mean=mean).fit(X, np.column_stack([Y, X[:, 0]]), sample_weight=weights)
    theta = model.theta_ + 0.2
    _, gradient = model.log_marginal_likelihood(theta, eval_gradient=True)
    h = 1e-5
    for j, step in enumerate(h * np.eye(3)):
        above, below = model.log_marginal_likelihood(theta + step), model.log_marginal_likelihood(theta - step)
        assert gradient[j] == pytest.approx((above - below) / (2 * h), rel=1e-6, abs=1e-5)


def test_a_constant_mean_is_the_most_likely_one() -> None:
    model = fixed(mean="constant").fit(X, Y + 5.0)
    normal = multivariate_normal(cov=KERNEL(X) + 0.05 * np.eye(40))
    near = [normal.logpdf(Y + 5.0 - model.mean_ - d) for d in (-1e-3, 0.0, 1e-3)]
    assert near[1] == max(near)
    assert model.log_marginal_likelihood_value_ == pytest.approx(near[1])
    assert_allclose(model.predict(NEW), by_hand(0.05, Y + 5.0, mean=model.mean_)[0], rtol=1e-9)
    assert_allclose(fixed(mean=5.0).fit(X, Y + 5.0).predict(NEW), by_hand(0.05)[0] + 5.0, rtol=1e-9)


def test_targets_in_columns_are_independent() -> None:
    both = np.column_stack([Y, -3.0 * X[:, 0]])
    model = fixed(mean="constant").fit(X, both)
    single = [fixed(mean="constant").fit(X, y) for y in both.T]
    mean, std = model.predict(NEW, return_std=True)
    assert std.shape == mean.shape == (11, 2)
    assert model.predict(NEW, return_cov=True)[1].shape == (11, 11, 2)
    for t, one in enumerate(single):
        assert_allclose(mean[:, t], one.predict(NEW), rtol=1e-9)
        assert_allclose(std[:, t], one.predict(NEW, return_std=True)[1])
        assert model.mean_[t] == pytest.approx(one.mean_)
    total = sum(one.log_marginal_likelihood_value_ for one in single)
    assert model.log_marginal_likelihood_value_ == pytest.approx(total)
    assert model.sample_y(NEW, 3).shape == (11, 2, 3)


def test_a_whole_weight_is_a_repetition_in_the_likelihood_too() -> None:
    weights = RNG.integers(0, 4, 40)
    rows = np.repeat(np.arange(40), weights)
    # equal targets say that there is no noise: it ends on its bound
    options = {"kernel": KERNEL, "mean": "constant", "bounds": {"noise": (1e-3, 1.0)}}
    given = GaussianProcessRegressor(**options).fit(X, Y, sample_weight=weights)
    repeated = GaussianProcessRegressor(**options).fit(X[rows], Y[rows])
    assert given.n_samples_fit_ == (weights > 0).sum()
    assert given.log_marginal_likelihood_value_ == pytest.approx(repeated.log_marginal_likelihood_value_, rel=1e-8)
    for left, right in zip(given.predict(NEW, return_std=True), repeated.predict(NEW, return_std=True), strict=True):
        assert_allclose(left, right, rtol=1e-3, atol=1e-4)  # the optimum is flat
    held = fixed().fit(X, Y, sample_weight=weights)
    assert_allclose(held.predict(NEW), fixed().fit(X[rows], Y[rows]).predict(NEW), rtol=1e-7)


def test_leave_one_out_is_refitting_without_each() -> None:
    model = fixed(mean=0.3).fit(X, Y)
    mean, std = model.leave_one_out(return_std=True)
    assert_allclose(mean, model.leave_one_out())
    for i in (0, 7, 39):
        kept = np.arange(40) != i
        one, spread = fixed(mean=0.3).fit(X[kept], Y[kept]).predict(X[[i]], return_std=True, include_noise=True)
        assert mean[i] == pytest.approx(one[0], rel=1e-8)
        assert std[i] == pytest.approx(spread[0], rel=1e-8)
    assert fixed().fit(X, np.column_stack([Y, Y])).leave_one_out(return_std=True)[1].shape == (40, 2)


@pytest.mark.parametrize("n_samples", [0, -1, 1.5, True])
def test_a_number_of_samples_that_is_none(n_samples: Any) -> None:
    with pytest.raises(ParameterError, match="n_samples: expected a whole number at least 1, got"):
        fixed().fit(X, Y).sample_y(NEW, n_samples)


def test_samples_have_the_posteriors_moments_and_repeat() -> None:
    model = fixed().fit(X, Y)
    drawn = model.sample_y(NEW, 40_000, random_state=1)
    mean, covariance = by_hand(0.05)
    assert drawn.shape == (11, 40_000)
    # standard errors: sd / 200, and of a covariance about sqrt(2) / 200 of the variances
    assert np.abs(drawn.mean(1) - mean).max() < 5 * np.sqrt(np.diag(covariance)).max() / 200
    assert np.abs(np.cov(drawn) - covariance).max() < 0.04 * np.diag(covariance).max()
    assert_allclose(model.sample_y(NEW, 2), model.sample_y(NEW, 2, random_state=0), rtol=0)
    assert not np.allclose(model.sample_y(NEW, 2), model.sample_y(NEW, 2, random_state=1))
    twice = model.sample_y(np.vstack([NEW, NEW]), 3)  # a singular covariance
    assert_allclose(twice[:11], twice[11:], atol=1e-6)


def test_predictions_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    many = RNG.uniform(-2, 2, (300, 2))
    model = fixed().fit(X, Y)
    whole = model.predict(many, return_std=True)
    monkeypatch.setattr("kernreg_solvers.gp._BLOCK", 100)
    for left, right in zip(model.predict(many, return_std=True), whole, strict=True):
        assert_allclose(left, right, rtol=1e-12)


# -- learning -------------------------------------------------------------------------------


def test_agrees_with_scikit_learn_fixed_and_learnt() -> None:
    peer_kernel = ConstantKernel(2.0, (1e-3, 1e3)) * RBF(0.8, (1e-2, 1e2)) + WhiteKernel(0.05, (1e-5, 10.0))
    bounds = {"variance": (1e-3, 1e3), "lengthscale": (1e-2, 1e2), "noise": (1e-5, 10.0)}
    for optimizer, theirs in ((None, None), ("likelihood", "fmin_l_bfgs_b")):
        peer = Peer(peer_kernel, alpha=0.0, optimizer=theirs).fit(X, Y)
        model = fixed(optimizer=optimizer, bounds=bounds).fit(X, Y)
        likelihood = peer.log_marginal_likelihood_value_
        assert model.log_marginal_likelihood_value_ == pytest.approx(likelihood, abs=1e-6)
        mean, std = peer.predict(NEW, return_std=True)  # with its white noise
        assert_allclose(model.predict(NEW), mean, rtol=1e-4)
        assert_allclose(model.predict(NEW, return_std=True, include_noise=True)[1], std, rtol=1e-4)


def test_agrees_with_gpytorch() -> None:
    torch = pytest.importorskip("torch", reason="GPyTorch is on torch")
    gpytorch = pytest.importorskip("gpytorch", reason="compared with GPyTorch")

    class Exact(gpytorch.models.ExactGP):  # type: ignore[misc]
        def __init__(self, x: Any, y: Any, likelihood: Any) -> None:
            super().__init__(x, y, likelihood)
            self.mean_module = gpytorch.means.ZeroMean()
            self.covar_module = gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel())
            self.covar_module.outputscale = 2.0
            self.covar_module.base_kernel.lengthscale = 0.8

        def forward(self, x: Any) -> Any:
            return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of GPyTorch's own
        likelihood = gpytorch.likelihoods.GaussianLikelihood()
        peer = Exact(torch.as_tensor(X), torch.as_tensor(Y), likelihood).double()
        likelihood.noise = 0.05
        log_likelihood = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, peer)
        value = 40 * float(log_likelihood(peer(torch.as_tensor(X)), torch.as_tensor(Y)))
        peer.eval()
        likelihood.eval()
        found = peer(torch.as_tensor(NEW))
    model = fixed().fit(X, Y)
    assert model.log_marginal_likelihood_value_ == pytest.approx(value, rel=1e-6)
    mean, std = model.predict(NEW, return_std=True)
    assert_allclose(mean, found.mean.detach().numpy(), rtol=1e-6)
    assert_allclose(std, found.stddev.detach().numpy(), rtol=1e-6)


def test_learning_finds_what_made_the_data() -> None:
    x = np.linspace(0, 20, 200)[:, None]
    truth = np.linalg.cholesky(4.0 * Gauss()(x) + 0.09 * np.eye(200))
    y = truth @ np.random.default_rng(0).standard_normal(200)
    model = GaussianProcessRegressor(kernel=1.0 * Gauss(lengthscale=3.0), noise=1.0).fit(x, y)
    assert model.noise_ == pytest.approx(0.09, rel=0.3)
    assert model.kernel_.kernel.lengthscale == pytest.approx(1.0, rel=0.3)
    assert 0.5 < model.kernel_.variance / 4.0 < 2.5
    assert model.at_bounds_ == []
    start = GaussianProcessRegressor(kernel=1.0 * Gauss(lengthscale=3.0), noise=1.0, optimizer=None).fit(x, y)
    assert model.log_marginal_likelihood_value_ > start.log_marginal_likelihood_value_ + 10
    _, gradient = model.log_marginal_likelihood(model.theta_, eval_gradient=True)
    assert np.abs(gradient).max() < 1e-2


def test_what_is_learnt_can_be_chosen() -> None:
    model = GaussianProcessRegressor(kernel=KERNEL, noise=0.05, parameters=["lengthscale"]).fit(X, Y)
    assert model.theta_names_ == ["kernel__lengthscale"]
    assert (model.noise_, model.kernel_.variance) == (0.05, 2.0)
    assert model.kernel_.kernel.lengthscale != 0.8
    bounds = {"noise": "fixed", "variance": (1.9, 2.1)}
    model = GaussianProcessRegressor(kernel=KERNEL, noise=0.05, bounds=bounds).fit(X, Y)
    assert model.noise_ == 0.05
    assert 1.9 <= model.kernel_.variance <= 2.1
    assert model.at_bounds_ == ["variance"]
    assert_allclose(np.exp(model.bounds_[1]), [1.9, 2.1])
    all_fixed = GaussianProcessRegressor(kernel=KERNEL, noise=0.05, bounds="fixed").fit(X, Y)
    assert_allclose(all_fixed.predict(NEW), fixed().fit(X, Y).predict(NEW), rtol=0)
    assert KERNEL.kernel.lengthscale == 0.8  # the user's own


def test_restarts_leave_a_poor_optimum_and_repeat() -> None:
    x = np.linspace(0, 10, 40)[:, None]
    y = np.sin(3 * x[:, 0]) + 0.1 * np.random.default_rng(0).standard_normal(40)
    options = {"kernel": 1.0 * Gauss(lengthscale=30.0), "noise": 1.0}
    stuck = GaussianProcessRegressor(**options).fit(x, y)
    found, again = (GaussianProcessRegressor(**options, n_restarts=6, random_state=3).fit(x, y) for _ in range(2))
    assert found.log_marginal_likelihood_value_ > stuck.log_marginal_likelihood_value_ + 10
    assert_allclose(found.theta_, again.theta_, rtol=0)
    assert found.n_iter_ > stuck.n_iter_


def test_a_search_cut_short_says_so() -> None:
    with pytest.warns(ConvergenceWarning, match=r"the gradient of the likelihood is still .* raise max_iter=1"):
        GaussianProcessRegressor(kernel=1.0 * Gauss(lengthscale=3.0), noise=1.0, max_iter=1).fit(X, Y)


def test_inside_scikit_learns_tools() -> None:
    scores = cross_val_score(
        make_pipeline(StandardScaler(), GaussianProcessRegressor(kernel=1.0 * Gauss())), X, Y, cv=3
    )
    assert scores.mean() > 0.8
    search = GridSearchCV(fixed(), {"kernel__kernel__lengthscale": [0.01, 0.8], "noise": [0.05, 50.0]}, cv=3).fit(X, Y)
    assert search.best_params_ == {"kernel__kernel__lengthscale": 0.8, "noise": 0.05}
    model = GaussianProcessRegressor(kernel=KERNEL).fit(X, Y)
    again = pickle.loads(pickle.dumps(model))
    assert_allclose(again.predict(NEW), model.predict(NEW), rtol=0)
    assert again.log_marginal_likelihood(model.theta_) == model.log_marginal_likelihood(model.theta_)
    assert not hasattr(clone(model), "L_")


# -- items of any kind ----------------------------------------------------------------------


def test_lists_of_strings_and_kernels_that_prepare() -> None:
    lengths = np.array([float(len(word)) for word in WORDS])
    for kernel, names in ((1.0 * Spectrum(), ["variance", "noise"]), (Letters(weight=2.0), ["weight", "noise"])):
        model = GaussianProcessRegressor(kernel=kernel, mean="constant").fit(WORDS, lengths)
        assert model.theta_names_ == names
        mean, std = model.predict(["abab", "xyxyxy"], return_std=True)
        K = model.kernel_(WORDS) + model.noise_ * np.eye(len(WORDS))
        cross = model.kernel_(["abab", "xyxyxy"], WORDS)
        expected = model.mean_ + cross @ np.linalg.solve(K, lengths - model.mean_)
        assert_allclose(mean, expected, rtol=1e-8)
        assert (std > 0).all()
        assert model.sample_y(["abab"], 2).shape == (1, 2)


def test_a_gram_matrix_needs_the_prior_for_variances() -> None:
    model = fixed(kernel="precomputed").fit(KERNEL(X), Y)
    cross, (mean, covariance) = KERNEL(NEW, X), by_hand(0.05)
    assert_allclose(model.predict(cross), mean, rtol=1e-10)
    before = cross.copy()
    found, std = model.predict(cross, return_std=True, prior=2.0 * np.ones(11))
    assert_allclose(cross, before, rtol=0)
    assert_allclose(std**2, np.diag(covariance), rtol=1e-9)
    assert_allclose(found, mean, rtol=1e-10)
    assert_allclose(model.predict(cross, return_cov=True, prior=KERNEL(NEW))[1], covariance, rtol=1e-9, atol=1e-12)
    for options in ({"return_std": True}, {"return_cov": True}):
        with pytest.raises(ParameterError, match="prior: with kernel='precomputed' expected"):
            model.predict(cross, **options)
    with pytest.raises(InputError, match=r"prior: expected finite numbers of shape \(11,\)"):
        model.predict(cross, return_std=True, prior=np.ones(3))
    with pytest.raises(ParameterError, match="prior: it is only for"):
        fixed().fit(X, Y).predict(NEW, return_std=True, prior=np.ones(11))
    weights = np.ones(40)
    weights[:5] = 0
    assert_allclose(fixed(kernel="precomputed").fit(KERNEL(X), Y, weights).predict(cross),
                    fixed().fit(X[5:], Y[5:]).predict(NEW), rtol=1e-9)  # fmt: skip
    learnt = GaussianProcessRegressor(kernel="precomputed").fit(KERNEL(X), Y)
    assert learnt.theta_names_ == ["noise"]
    assert learnt.log_marginal_likelihood(learnt.theta_) == pytest.approx(
        learnt.log_marginal_likelihood_value_, abs=1e-7
    )


def test_tensors_go_in_and_arrays_come_out() -> None:
    torch = pytest.importorskip("torch", reason="tensors are torch's")
    for dtype, tol in ((torch.float64, 1e-6), (torch.float32, 2e-2)):
        items, new = torch.as_tensor(X, dtype=dtype), torch.as_tensor(NEW, dtype=dtype)
        model = GaussianProcessRegressor(kernel=KERNEL, noise=0.05).fit(items, torch.as_tensor(Y))
        expected = GaussianProcessRegressor(kernel=KERNEL, noise=0.05).fit(X, Y)
        assert model.log_marginal_likelihood_value_ == pytest.approx(expected.log_marginal_likelihood_value_, abs=tol)
        for found, wanted in zip(
            model.predict(new, return_std=True), expected.predict(NEW, return_std=True), strict=True
        ):
            assert isinstance(found, np.ndarray)
            assert_allclose(found, wanted, rtol=10 * tol, atol=10 * tol)


def test_float32_rows_are_computed_in_float64() -> None:
    single = fixed(noise=1e-6).fit(X.astype(np.float32), Y.astype(np.float32))
    double = fixed(noise=1e-6).fit(X.astype(np.float32).astype(float), Y.astype(np.float32).astype(float))
    assert_allclose(single.predict(NEW), double.predict(NEW), rtol=1e-9)
    assert single.jitter_ == 0.0


def test_kernels_that_are_fitted_and_plain_functions() -> None:
    model = GaussianProcessRegressor(kernel=Whitened(power=1.0)).fit(X, Y)
    assert model.kernel_.saw_y_
    assert_allclose(model.kernel_.scale_, X.std(axis=0))
    dot = fixed(kernel=lambda A, B: np.asarray(A) @ np.asarray(B).T).fit(X, Y)
    assert_allclose(dot.predict(NEW), fixed(kernel=None).fit(X, Y).predict(NEW), rtol=1e-10)


# -- hard cases -----------------------------------------------------------------------------


def test_one_point_and_constant_targets() -> None:
    mean, std = fixed(noise=0.5).fit(X[:1], Y[:1]).predict(X[:1], return_std=True)
    assert mean[0] == pytest.approx(Y[0] * 2.0 / 2.5)
    assert std[0] ** 2 == pytest.approx(2.0 - 4.0 / 2.5)
    learnt = GaussianProcessRegressor(kernel=1.0 * Gauss()).fit(X[:1], Y[:1])
    assert np.isfinite(learnt.log_marginal_likelihood_value_)
    for mean_option in ("zero", "constant"):
        model = GaussianProcessRegressor(kernel=1.0 * Gauss(), mean=mean_option).fit(X, np.full(40, 3.0))
        assert_allclose(model.predict(NEW), 3.0, atol=0.05)
    assert np.isfinite(GaussianProcessRegressor(kernel=1.0 * Gauss()).fit(X, np.zeros(40)).predict(NEW)).all()


def test_repeated_items_without_noise_get_a_jitter_that_is_told() -> None:
    twice, y = np.vstack([X, X]), np.concatenate([Y, Y])
    with pytest.warns(KernregWarning, match=r"noise=0 is too small .* a jitter of .* was added"):
        model = fixed(noise=0.0).fit(twice, y)
    assert 0 < model.jitter_ < 1e-8
    assert_allclose(model.L_ @ model.L_.T, KERNEL(twice) + model.jitter_ * np.eye(80), atol=1e-12)
    mean, std = model.predict(X, return_std=True)
    assert_allclose(mean, Y, atol=1e-3)
    assert (std >= 0).all()
    assert model.theta_names_ == ["kernel__lengthscale", "variance"]  # a noise of 0 is not learnt
    fixed(noise=0.0, kernel=2.0 * Gauss(lengthscale=0.1), bounds={"noise": "fixed"}).fit(X, Y)  # nor is it unknown
    # the search's warning says what helps
    with (
        pytest.warns(ConvergenceWarning, match=r"raise noise, which is 0, or raise max_iter=1"),
        pytest.warns(KernregWarning, match="A larger noise silences this"),
    ):
        GaussianProcessRegressor(kernel=KERNEL, noise=0.0, max_iter=1).fit(twice, y)


def test_weights_without_noise_change_nothing_but_zeros() -> None:
    weights = np.arange(40) % 4.0
    kernel = 2.0 * Gauss(lengthscale=0.1)
    found = fixed(noise=0.0, kernel=kernel).fit(X, Y, sample_weight=weights)
    expected = fixed(noise=0.0, kernel=kernel).fit(X[weights > 0], Y[weights > 0])
    assert_allclose(found.predict(NEW), expected.predict(NEW))
    assert found.log_marginal_likelihood_value_ == pytest.approx(expected.log_marginal_likelihood_value_)
    assert found.log_marginal_likelihood(found.theta_) == pytest.approx(expected.log_marginal_likelihood_value_)


def test_without_a_search_theta_is_the_kernels_own_wherever_bounds_are() -> None:
    model = fixed(bounds={"lengthscale": (3.0, 4.0), "noise": (1.0, 2.0)}).fit(X, Y)
    assert_allclose(np.exp(model.theta_), [0.8, 2.0, 0.05])
    assert model.log_marginal_likelihood(model.theta_) == pytest.approx(model.log_marginal_likelihood_value_)


def test_interpolation_and_variances_at_the_data() -> None:
    model = fixed(noise=0.0, kernel=2.0 * Gauss(lengthscale=0.3)).fit(X, Y)
    mean, std = model.predict(X, return_std=True)
    assert_allclose(mean, Y, rtol=1e-6)
    assert (std >= 0).all()
    assert std.max() < 1e-5


def test_kernels_that_are_no_covariance_are_refused() -> None:
    for kernel in (Indefinite(), lambda A, B: -np.asarray(A) @ np.asarray(B).T):
        for noise in (0.1, 1e3):  # a large noise would hide it
            with pytest.raises(InputError, match="not positive semi-definite on these items"):
                fixed(kernel=kernel, noise=noise).fit(X, Y)
    K = KERNEL(X)
    with pytest.raises(InputError, match="not positive semi-definite"):
        fixed(kernel="precomputed").fit(K - 0.5 * np.eye(40), Y)
    with pytest.raises(InputError, match="not positive semi-definite"):
        GaussianProcessRegressor(kernel=Indefinite()).fit(X, Y)
    for capability in ("asymmetric", "complex", "matrix_valued"):
        with pytest.raises(ParameterError, match=capability):
            fixed(kernel=Unusable(capability=capability)).fit(X, Y)
    # what training items do not show, new ones may
    cross = 3.0 * KERNEL(NEW, X)
    with pytest.raises(InputError, match="between training and new items"):
        fixed(kernel="precomputed").fit(K, Y).predict(cross, return_std=True, prior=2.0 * np.ones(11))


def test_a_kernel_that_fails_during_the_search_is_turned_back_from() -> None:
    class Narrow(Gauss):
        def check_parameters(self, X: Any) -> None:
            if self.lengthscale > 1.0:
                raise ParameterError("lengthscale: at most 1")

    with pytest.warns(ConvergenceWarning, match="narrow bounds"):
        model = GaussianProcessRegressor(kernel=1.0 * Narrow(lengthscale=0.5)).fit(X, Y)
    assert model.kernel_.kernel.lengthscale <= 1.0
    with pytest.raises(ParameterError, match="lengthscale: at most 1"):
        GaussianProcessRegressor(kernel=1.0 * Narrow(lengthscale=2.0)).fit(X, Y)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"noise": -1.0}, "noise: expected a finite number at least 0, a variance, got -1.0"),
        ({"noise": "auto"}, "noise: expected"),
        ({"noise": float("nan")}, "noise: expected"),
        ({"mean": "median"}, "mean: expected 'zero', 'constant' or a finite number, got 'median'"),
        ({"mean": None}, "mean: expected"),
        ({"optimizer": "adam"}, "optimizer: expected 'likelihood' or None, got 'adam'"),
        ({"n_restarts": -1}, "n_restarts: expected a whole number at least 0"),
        ({"max_iter": 0}, "max_iter: expected a whole number at least 1"),
        ({"parameters": ["breadth"]}, "parameters: 'breadth' is no positive parameter"),
        ({"bounds": {"breadth": (1, 2)}}, "bounds: 'breadth' is no positive parameter"),
        ({"bounds": {"noise": (2, 1)}}, "bounds: expected"),
        ({"kernel": 3}, "kernel: expected"),
        ({"kernel": lambda x, y: float(x[0] @ y[0])}, "matrix of shape"),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        GaussianProcessRegressor(**{"kernel": KERNEL, **parameters}).fit(X, Y)


def test_bad_input_and_use_before_fit() -> None:
    model = GaussianProcessRegressor(kernel=KERNEL)
    for method in (model.predict, model.sample_y):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            method(NEW)
    with pytest.raises(NotFittedError):
        model.leave_one_out()
    with pytest.raises(NotFittedError):
        model.log_marginal_likelihood()
    for bad_x, bad_y in ((X * np.nan, Y), (X, Y * np.nan), (X, Y[:-1]), (X[:0], Y[:0])):
        with pytest.raises(InputError):
            model.fit(bad_x, bad_y)
    fitted = fixed().fit(X, Y)
    with pytest.raises(ParameterError, match="at most one of them"):
        fitted.predict(NEW, return_std=True, return_cov=True)
    with pytest.raises(InputError):
        fitted.predict(NEW[:, :1])
    with pytest.raises(ParameterError, match="theta: expected 3 finite logarithms"):
        fitted.log_marginal_likelihood(np.zeros(2))
    with pytest.raises(InputError, match="sample_weight"):
        model.fit(X, Y, sample_weight=-np.ones(40))
    with pytest.raises(InputError):
        fitted.fit(X * np.nan, Y)
    with pytest.raises(NotFittedError):
        fitted.predict(NEW)


# -- linear algebra -------------------------------------------------------------------------


def test_factors_and_what_follows_from_them() -> None:
    A = RNG.standard_normal((30, 30))
    A = A @ A.T + np.eye(30)
    L = A.copy()
    assert factorise(L, 0.5) == 0.0
    shifted, B = A + 0.5 * np.eye(30), RNG.standard_normal((30, 2))
    assert_allclose(np.tril(L), np.linalg.cholesky(shifted), rtol=1e-9, atol=1e-12)
    assert_allclose(np.triu(L, 1), np.triu(A, 1))  # the other triangle is left
    assert_allclose(solve(L, B), np.linalg.solve(shifted, B), rtol=1e-9)
    rows = RNG.standard_normal((4, 30))
    assert_allclose(np.square(whiten(L, rows.copy())).sum(1), np.diag(rows @ np.linalg.solve(shifted, rows.T)))
    assert_allclose(inverse_diagonal(L), np.diag(np.linalg.inv(shifted)), rtol=1e-9)
    singular = np.ones((5, 5))
    assert 0 < factorise(singular, 0.0) < 1e-6
    with pytest.raises(np.linalg.LinAlgError):
        factorise(np.diag([1.0, -1e-3]), 0.0)
    with pytest.raises(np.linalg.LinAlgError):
        factorise(-np.eye(3), 0.0)
    flat = draw(np.ones((3, 1)), np.zeros((3, 3)), 2, np.random.RandomState(0))
    assert_allclose(flat, 1.0)


# -- scikit-learn's checks and the claims ---------------------------------------------------

_TRUNCATED = "the check truncates a Gram matrix to integers, or subtracts a constant, which makes it no covariance"


def _expected(estimator: Any) -> dict[str, str]:
    if not isinstance(estimator.kernel, str):
        return {}
    return {"check_estimators_dtypes": _TRUNCATED, "check_positive_only_tag_during_fit": _TRUNCATED}


@parametrize_with_checks(
    [GaussianProcessRegressor(kernel="precomputed"), GaussianProcessRegressor(kernel=1.0 * Gauss(lengthscale=2.0))],
    expected_failed_checks=_expected,
)
@pytest.mark.filterwarnings("ignore:.*ended on its lower bound")  # many of these targets are noise
def test_scikit_learn(estimator: Any, check: Any) -> None:
    if getattr(check, "func", check).__name__ == "check_array_api_input":
        pytest.skip("needs SCIPY_ARRAY_API=1 when scipy is first imported")
    check(estimator)


def test_claims_hold_and_can_fail() -> None:
    assert claims_gaussian.conditioning_error(0.3, 5) < 1e-10 < claims_gaussian.conditioning_error(0.3001, 5)
    first, again = (claims_gaussian.coverage(lambda model: model, 4, draws=4) for _ in range(2))
    assert first == again
    assert claims_gaussian.coverage(claims_gaussian.with_longer_scale, 4, draws=4) > 0.1


def test_the_registry_makes_it() -> None:
    model = kr.create("solver.gp", kernel=KERNEL, noise=0.05, optimizer=None).fit(X, Y)
    assert_allclose(model.predict(NEW), by_hand(0.05)[0], rtol=1e-9)
