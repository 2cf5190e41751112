"""Sparse Gaussian process regression: against the exact model, the bound written out densely, and differences."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.utils.estimator_checks import parametrize_with_checks
from solver_kernels import WORDS, Gauss, Indefinite, Letters, Spectrum

import kernreg_core as kr
from kernreg_core.errors import InputError, MissingDependencyError, ParameterError
from kernreg_solvers import GaussianProcessRegressor, NotFittedError, SparseGaussianProcessRegressor, claims_gaussian
from kernreg_solvers.gp_sparse import JITTER, CollapsedLikelihood, Data
from kernreg_solvers.hyperparameters import HyperParameters

RNG = np.random.default_rng(0)
X = RNG.uniform(-2, 2, (80, 2))
Y = np.sin(2 * X[:, 0]) + X[:, 1] + 0.1 * RNG.standard_normal(80)
NEW = RNG.uniform(-2, 2, (11, 2))
KERNEL = 2.0 * Gauss(lengthscale=0.8)
Z = X[:15]
NOISE = 0.05


def fixed(**options: Any) -> SparseGaussianProcessRegressor:
    return SparseGaussianProcessRegressor(
        **{"kernel": KERNEL, "noise": NOISE, "optimizer": None, "centers": Z, **options}
    )


def dense(y: np.ndarray = Y, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean, covariance and bound by n x n matrices: the formulas of the paper, with none of the code's shortcuts."""
    w = np.ones(80) if weights is None else weights
    Kmm, Kmn = KERNEL(Z) + JITTER * 2.0 * np.eye(15), KERNEL(Z, X)
    Q = Kmn.T @ np.linalg.solve(Kmm, Kmn)
    bound = multivariate_normal(np.zeros(80), Q + np.diag(NOISE / w)).logpdf(y) - (w * (2.0 - np.diag(Q))).sum() / (
        2 * NOISE
    )
    sigma = np.linalg.inv(Kmm + (Kmn * w) @ Kmn.T / NOISE)
    cross = KERNEL(NEW, Z)
    mean = cross @ sigma @ Kmn @ (w * y) / NOISE
    covariance = KERNEL(NEW) - cross @ np.linalg.solve(Kmm, cross.T) + cross @ sigma @ cross.T
    return mean, covariance, bound


# -- the posterior and the bound ------------------------------------------------------------


def test_posterior_and_bound_are_the_papers() -> None:
    model = fixed().fit(X, Y)
    mean, covariance, bound = dense()
    assert model.lower_bound_ == pytest.approx(bound, rel=1e-8)
    found, std = model.predict(NEW, return_std=True)
    assert_allclose(found, mean, rtol=1e-7)
    assert_allclose(model.predict(NEW), mean, rtol=1e-7)
    assert_allclose(std**2, np.diag(covariance), rtol=1e-6)
    assert_allclose(model.predict(NEW, return_cov=True)[1], covariance, rtol=1e-6, atol=1e-8)
    noisy = model.predict(NEW, return_std=True, include_noise=True)[1]
    assert_allclose(noisy**2, np.diag(covariance) + NOISE, rtol=1e-6)
    assert_allclose(model.L_ @ model.L_.T, KERNEL(Z) + model.jitter_ * np.eye(15), atol=1e-12)
    assert model.jitter_ == pytest.approx(2 * JITTER)


def test_all_items_inducing_is_the_exact_model() -> None:
    exact = GaussianProcessRegressor(kernel=KERNEL, noise=NOISE, mean="constant", optimizer=None).fit(X, Y)
    model = fixed(centers=None, n_centers=80, mean="constant").fit(X, Y)
    assert model.lower_bound_ == pytest.approx(exact.log_marginal_likelihood_value_, abs=1e-4)
    assert model.lower_bound_ <= exact.log_marginal_likelihood_value_
    assert model.mean_ == pytest.approx(exact.mean_, rel=1e-6)
    for found, expected in zip(model.predict(NEW, return_cov=True), exact.predict(NEW, return_cov=True), strict=True):
        assert_allclose(found, expected, atol=1e-5)
    options = {"kernel": KERNEL, "noise": NOISE, "mean": "constant"}
    learnt = SparseGaussianProcessRegressor(**options, n_centers=80).fit(X, Y)
    whole = GaussianProcessRegressor(**options).fit(X, Y)
    assert learnt.lower_bound_ == pytest.approx(whole.log_marginal_likelihood_value_, abs=1e-3)
    assert_allclose(learnt.theta_, whole.theta_, atol=1e-3)


def test_the_bound_rises_with_inducing_items() -> None:
    values = [fixed(centers=X[:m]).fit(X, Y).lower_bound_ for m in (2, 5, 10, 20, 40)]
    exact = GaussianProcessRegressor(kernel=KERNEL, noise=NOISE, optimizer=None).fit(X, Y)
    assert values == sorted(values)
    assert values[-1] < exact.log_marginal_likelihood_value_


def test_weights_and_columns() -> None:
    weights = RNG.integers(1, 4, 80).astype(float)
    mean, covariance, bound = dense(weights=weights)
    model = fixed().fit(X, Y, sample_weight=weights)
    # a whole weight counts as equal rows: the constant of the likelihood of repetitions
    constant = -0.5 * ((weights - 1) * np.log(2 * np.pi * NOISE) + np.log(weights)).sum()
    assert model.lower_bound_ == pytest.approx(bound + constant, rel=1e-8)
    assert_allclose(model.predict(NEW), mean, rtol=1e-7)
    assert_allclose(model.predict(NEW, return_std=True)[1] ** 2, np.diag(covariance), rtol=1e-6)
    rows = np.repeat(np.arange(80), weights.astype(int))
    repeated = fixed().fit(X[rows], Y[rows])
    assert repeated.lower_bound_ == pytest.approx(model.lower_bound_, rel=1e-9)
    some = weights * (np.arange(80) % 2)
    half = fixed().fit(X[1::2], Y[1::2], sample_weight=weights[1::2])
    assert_allclose(fixed().fit(X, Y, sample_weight=some).predict(NEW), half.predict(NEW), rtol=1e-9)
    both = fixed(mean="constant").fit(X, np.column_stack([Y, X[:, 0] + 5.0]))
    single = [fixed(mean="constant").fit(X, y) for y in (Y, X[:, 0] + 5.0)]
    assert_allclose(both.predict(NEW), np.column_stack([one.predict(NEW) for one in single]), rtol=1e-8)
    assert both.lower_bound_ == pytest.approx(sum(one.lower_bound_ for one in single))
    assert both.predict(NEW, return_std=True)[1].shape == (11, 2)
    assert both.predict(NEW, return_cov=True)[1].shape == (11, 11, 2)
    assert both.sample_y(NEW, 3).shape == (11, 2, 3)
    assert_allclose(both.mean_, [one.mean_ for one in single])


def test_samples_have_the_posteriors_moments() -> None:
    mean, covariance, _ = dense()
    drawn = fixed().fit(X, Y).sample_y(NEW, 20_000, random_state=1)
    assert np.abs(drawn.mean(1) - mean).max() < 5 * np.sqrt(np.diag(covariance).max() / 20_000)
    assert np.abs(np.cov(drawn) - covariance).max() < 0.05 * np.diag(covariance).max()


def test_standardised_targets_as_in_the_exact_model() -> None:
    targets = np.column_stack([100.0 + 30.0 * Y, 2.0 - 0.5 * Y**2])
    options = {"kernel": KERNEL, "noise": NOISE, "optimizer": None, "normalize_y": True, "mean": "constant"}
    for y in (targets, targets[:, 0]):
        sparse = SparseGaussianProcessRegressor(centers=X, **options).fit(X, y)
        exact = GaussianProcessRegressor(**options).fit(X, y)
        for more in ({"return_std": True}, {"return_cov": True}, {"return_std": True, "include_noise": True}):
            for found, expected in zip(sparse.predict(NEW, **more), exact.predict(NEW, **more), strict=True):
                assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
        assert_allclose(sparse.sample_y(NEW, 2), exact.sample_y(NEW, 2), atol=0.1)
        assert_allclose(sparse.mean_, exact.mean_, rtol=1e-5)
        assert sparse.lower_bound_ == pytest.approx(exact.log_marginal_likelihood_value_, rel=1e-4)
        assert_allclose(sparse.y_std_, y.std(axis=0))


def test_a_hopeless_start_is_replaced_by_one_from_the_data() -> None:
    y = 500.0 + 300.0 * Y
    bounds = {"lengthscale": (1e-3, 1e3)}
    start = {"kernel": 1.0 * Gauss(lengthscale=0.01), "mean": "constant", "bounds": bounds}
    model = SparseGaussianProcessRegressor(centers=Z, **start).fit(X, y)
    assert model.score(X, y) > 0.9
    assert model.at_bounds_ == []


# -- gradients ------------------------------------------------------------------------------


@pytest.mark.parametrize("mean", [0.0, None])
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_of_the_bound(mean: float | None, weighted: bool) -> None:
    weights = RNG.integers(1, 4, 80).astype(float) if weighted else None
    data = Data(X, np.column_stack([Y, X[:, 0]]), weights)
    kernel = 2.0 * Gauss(lengthscale=0.8) + 0.5 * Letter()
    space = HyperParameters(kernel, X, extra={"noise": NOISE})
    bound = CollapsedLikelihood(space, data, Z, mean)
    theta = space.theta + 0.1
    _, gradient = bound(theta)
    h = 1e-5
    for j, step in enumerate(h * np.eye(len(theta))):
        expected = (bound(theta + step)[0] - bound(theta - step)[0]) / (2 * h)
        assert gradient[j] == pytest.approx(expected, rel=1e-5, abs=1e-4)


def test_gradients_of_the_bound_where_a_variance_is_one() -> None:
    # there the scaled kernel is normalized, and the trace term moves with the variance all the same
    space = HyperParameters(1.0 * Gauss(lengthscale=0.8), X, extra={"noise": NOISE})
    bound = CollapsedLikelihood(space, Data(X, Y[:, None], None), Z, 0.0)
    gradient = bound(space.theta)[1]
    step = 1e-5 * np.eye(3)[1]
    expected = (bound(space.theta + step)[0] - bound(space.theta - step)[0]) / 2e-5
    assert gradient[1] == pytest.approx(expected, rel=1e-5)


class Letter(kr.BaseKernel):
    """(1 + x.y)^2 / scale: its diagonal is no constant."""

    capabilities = frozenset({"symmetric", "psd"})

    def __init__(self, *, scale: float = 3.0) -> None:
        self.scale = scale

    def evaluate(self, X: Any, Y: Any) -> Any:
        return (1.0 + X @ Y.T) ** 2 / self.scale


def test_gradients_by_the_inducing_items() -> None:
    pytest.importorskip("torch", reason="they are torch's")
    space = HyperParameters(KERNEL, X, extra={"noise": NOISE})
    bound = CollapsedLikelihood(space, Data(X, Y[:, None], None), Z[:4], 0.0, True, np.array([1.0, 2.0]))
    theta = bound.extended(space.theta)
    assert_allclose(bound.items(theta), Z[:4])
    _, gradient = bound(theta)
    h = 1e-5
    for j, step in enumerate(h * np.eye(len(theta))):
        expected = (bound(theta + step)[0] - bound(theta - step)[0]) / (2 * h)
        assert gradient[j] == pytest.approx(expected, rel=1e-4, abs=1e-3)


def test_where_only_the_noise_is_learnt_one_pass_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    passes = []
    inner = CollapsedLikelihood.statistics
    monkeypatch.setattr("kernreg_solvers.gp_sparse.statistics", counted(passes))
    model = SparseGaussianProcessRegressor(kernel=KERNEL, noise=1.0, centers=Z, parameters=["noise"]).fit(X, Y)
    assert model.n_iter_ > 3
    assert len(passes) == 1
    assert inner is CollapsedLikelihood.statistics


def counted(passes: list[int]) -> Any:
    from kernreg_solvers.gp_sparse import statistics

    def once(*arguments: Any) -> Any:
        passes.append(1)
        return statistics(*arguments)

    return once


# -- learning -------------------------------------------------------------------------------


def test_learning_raises_the_bound_and_can_be_chosen() -> None:
    start = fixed(noise=1.0).fit(X, Y)
    model = fixed(noise=1.0, optimizer="likelihood").fit(X, Y)
    assert model.lower_bound_ > start.lower_bound_ + 10
    assert model.theta_names_ == ["kernel__lengthscale", "variance", "noise"]
    assert_allclose(np.exp(model.theta_[2]), model.noise_)
    held = fixed(noise=0.3, optimizer="likelihood", bounds={"noise": "fixed"}).fit(X, Y)
    assert held.noise_ == 0.3
    again = fixed(noise=1.0, optimizer="likelihood").fit(X, Y)
    assert_allclose(again.theta_, model.theta_, rtol=0)
    assert KERNEL.kernel.lengthscale == 0.8


def test_moving_inducing_items_raises_the_bound() -> None:
    pytest.importorskip("torch", reason="they are moved by torch")
    x = np.linspace(0, 10, 60)[:, None]
    y = np.sin(2 * x[:, 0]) + 0.1 * np.random.default_rng(0).standard_normal(60)
    crowded = np.linspace(4.0, 6.0, 9)[:, None]
    options = {"optimizer": "likelihood", "centers": crowded, "bounds": {"noise": (1e-3, 1.0)}, "max_iter": 60}
    still = fixed(**options).fit(x, y)
    moved = fixed(**options, optimise_inducing=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        moved.fit(x, y)
    assert moved.lower_bound_ > still.lower_bound_ + 20
    assert moved.n_iter_ > still.n_iter_
    assert moved.center_indices_ is None
    assert moved.centers_.shape == (9, 1)
    assert np.ptp(moved.centers_) > 6


def test_many_rows_begin_with_a_part_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    inner = CollapsedLikelihood.loss

    def loss(self: CollapsedLikelihood, theta: np.ndarray) -> Any:
        sizes.append(len(self.data.Y))
        return inner(self, theta)

    monkeypatch.setattr(CollapsedLikelihood, "loss", loss)
    whole = fixed(optimizer="likelihood", centers=Z[:3]).fit(X, Y)
    assert set(sizes) == {80}
    monkeypatch.setattr("kernreg_solvers.sparse_gp._FIRST_ROWS", 30)
    sizes.clear()
    staged = fixed(optimizer="likelihood", centers=Z[:1], random_state=0).fit(X, Y)
    assert sizes[0] == 30
    assert sizes[-1] == 80
    monkeypatch.undo()
    assert staged.n_iter_ == len(sizes)
    direct = fixed(optimizer="likelihood", centers=Z[:1]).fit(X, Y)
    assert staged.lower_bound_ == pytest.approx(direct.lower_bound_, abs=1e-3)
    assert whole.n_centers_ == 3


def test_progress_is_told() -> None:
    seen: list[tuple[int, int]] = []
    model = fixed(optimizer="likelihood", progress=lambda done, total: seen.append((done, total))).fit(X, Y)
    assert len(seen) == model.n_iter_
    assert seen[-1] == (model.n_iter_, 200)


# -- items of any kind ----------------------------------------------------------------------


def test_inducing_items_are_picked_and_not_repeated() -> None:
    model = SparseGaussianProcessRegressor(kernel=KERNEL, optimizer=None, n_centers=20, random_state=0).fit(X, Y)
    assert_allclose(model.centers_, X[model.center_indices_])
    assert model.n_centers_ == 20
    twice = np.vstack([X[:10], X[:10]])
    model = SparseGaussianProcessRegressor(kernel=KERNEL, optimizer=None).fit(twice, np.r_[Y[:10], Y[:10]])
    assert model.n_centers_ == 10
    assert_allclose(model.centers_, X[:10])
    assert SparseGaussianProcessRegressor(optimizer=None).fit(np.zeros((3, 2)), np.arange(3.0)).n_centers_ == 1

    class First:
        def select(self, X: Any, n: int) -> Any:
            return np.arange(n)

    chosen = fixed(centers=None, n_centers=15, selector=First()).fit(X, Y)
    assert_allclose(chosen.predict(NEW), fixed().fit(X, Y).predict(NEW), rtol=1e-9)
    default = RNG.standard_normal((700, 1))
    assert SparseGaussianProcessRegressor(optimizer=None).fit(default, default[:, 0]).n_centers_ == 500


def test_float32_memory_mapped_rows_are_computed_in_float64(tmp_path: Path) -> None:
    rows, noise = X.astype(np.float32), 1e-4
    mapped = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, rows.shape)
    mapped[:] = rows
    single = fixed(noise=noise, centers=None, n_centers=40, random_state=0).fit(mapped, Y.astype(np.float32))
    double = fixed(noise=noise, centers=None, n_centers=40, random_state=0).fit(
        rows.astype(float), Y.astype(np.float32).astype(float)
    )
    assert single.lower_bound_ == pytest.approx(double.lower_bound_, rel=1e-9)
    assert single.predict(NEW.astype(np.float32)).dtype == np.float64
    assert_allclose(single.predict(rows[:9]), double.predict(rows[:9].astype(float)), rtol=1e-7)
    # a diagonal that is no constant is not rounded to float32 either
    bent = {"kernel": 1.0 * Letter(), "noise": noise, "centers": Z}
    narrow, broad = fixed(**bent).fit(rows, Y), fixed(**bent).fit(rows.astype(float), Y)
    assert narrow.lower_bound_ == pytest.approx(broad.lower_bound_, rel=1e-9)
    learnt = fixed(optimizer="likelihood").fit(rows, Y)
    assert_allclose(learnt.theta_, fixed(optimizer="likelihood").fit(rows.astype(float), Y).theta_, atol=1e-4)


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fixed(optimizer="likelihood", max_iter=3)
    pieces = clone(whole)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        whole.fit(X, Y)
        for name, size in (("gp_sparse._ROWS", 16), ("gp_sparse._BLOCK", 200), ("sparse_gp._BLOCK", 64)):
            monkeypatch.setattr(f"kernreg_solvers.{name}", size)
        pieces.fit(X.astype(np.float32), Y)
        pieces = clone(whole).fit(X, Y)
    assert_allclose(pieces.theta_, whole.theta_, rtol=1e-8)
    for found, expected in zip(pieces.predict(X, return_std=True), whole.predict(X, return_std=True), strict=True):
        assert_allclose(found, expected, rtol=1e-8)


def test_lists_of_strings() -> None:
    lengths = np.array([float(len(word)) for word in WORDS])
    for kernel in (1.0 * Spectrum(), Letters(weight=2.0)):
        model = SparseGaussianProcessRegressor(kernel=kernel, mean="constant", n_centers=6, random_state=0).fit(
            WORDS, lengths
        )
        mean, std = model.predict(["abab", "xyxyxy"], return_std=True)
        assert mean.shape == std.shape == (2,)
        assert (std > 0).all()
        exact = GaussianProcessRegressor(kernel=kernel, noise=0.1, optimizer=None).fit(WORDS, lengths)
        full = SparseGaussianProcessRegressor(kernel=kernel, noise=0.1, optimizer=None).fit(WORDS, lengths)
        assert_allclose(full.predict(WORDS), exact.predict(WORDS), atol=1e-5)
    with pytest.raises(ParameterError, match="optimise_inducing: expected False for items that are no vectors"):
        SparseGaussianProcessRegressor(kernel=1.0 * Spectrum(), optimise_inducing=True).fit(WORDS, lengths)


def test_tensors_go_in_and_arrays_come_out() -> None:
    torch = pytest.importorskip("torch", reason="tensors are torch's")
    expected = fixed(optimizer="likelihood").fit(X.astype(np.float32), Y)
    items = torch.as_tensor(X, dtype=torch.float32)
    model = fixed(optimizer="likelihood", centers=items[:15]).fit(items, torch.as_tensor(Y))
    assert_allclose(model.theta_, expected.theta_, atol=1e-3)
    for found, wanted in zip(model.predict(items, return_std=True), expected.predict(X, return_std=True), strict=True):
        assert isinstance(found, np.ndarray)
        assert_allclose(found, wanted, atol=1e-3)
    moved = fixed(optimizer="likelihood", centers=items[:4], optimise_inducing=True, max_iter=4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        moved.fit(items, Y)
    assert isinstance(moved.centers_, torch.Tensor)


def test_inside_scikit_learns_tools() -> None:
    search = GridSearchCV(
        SparseGaussianProcessRegressor(kernel=KERNEL, noise=NOISE, optimizer=None, n_centers=15, random_state=0),
        {"kernel__kernel__lengthscale": [0.01, 0.8]},
        cv=3,
    ).fit(X, Y)
    assert search.best_params_ == {"kernel__kernel__lengthscale": 0.8}
    model = fixed().fit(X, Y)
    again = pickle.loads(pickle.dumps(model))
    assert_allclose(again.predict(NEW, return_std=True)[1], model.predict(NEW, return_std=True)[1], rtol=0)
    assert_allclose(
        kr.create("solver.sparse_gp", **model.get_params(deep=False)).fit(X, Y).predict(NEW), model.predict(NEW)
    )


# -- hard cases -----------------------------------------------------------------------------


def test_one_item_constant_targets_and_tiny_noise() -> None:
    # one target of a normal distribution: learnt, its variance is y^2
    one = SparseGaussianProcessRegressor(kernel=1.0 * Gauss()).fit(X[:1], Y[:1])
    assert one.kernel_.variance + one.noise_ == pytest.approx(Y[0] ** 2, rel=1e-3)
    model = fixed(centers=None).fit(X[:1], Y[:1])
    assert model.predict(X[:1])[0] == pytest.approx(Y[0] * 2.0 / (2.0 + NOISE), rel=1e-6)
    flat = SparseGaussianProcessRegressor(kernel=1.0 * Gauss(), mean="constant").fit(X, np.full(80, 3.0))
    assert_allclose(flat.predict(NEW), 3.0, atol=1e-6)
    sharp = fixed(noise=1e-10, centers=None, n_centers=80).fit(X, Y)
    mean, std = sharp.predict(NEW, return_std=True)
    assert np.isfinite(mean).all()
    assert (std >= 0).all()


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"noise": 0.0}, "noise: expected a number above 0 for a sparse model"),
        ({"noise": -1.0}, "noise: expected"),
        ({"mean": "median"}, "mean: expected"),
        ({"optimizer": "adam"}, "optimizer: expected 'likelihood' or None"),
        ({"n_centers": 0, "centers": None}, "n_centers: expected"),
        ({"centers": np.ones((3, 5))}, "centers: expected items of 2 features"),
        ({"kernel": "precomputed"}, "takes no 'precomputed' matrix"),
        ({"bounds": {"breadth": (1, 2)}}, "bounds: 'breadth' is no positive parameter"),
        ({"progress": 3, "optimizer": "likelihood"}, "progress: expected"),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        fixed(**parameters).fit(X, Y)


def test_bad_input_and_use_before_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotFittedError):
        fixed().predict(NEW)
    with pytest.raises(NotFittedError):
        fixed().sample_y(NEW)
    for bad_x, bad_y in ((X * np.nan, Y), (X, Y * np.nan), (X, Y[:-1])):
        with pytest.raises(InputError):
            fixed().fit(bad_x, bad_y)
    with pytest.raises(ParameterError, match="at most one"):
        fixed().fit(X, Y).predict(NEW, return_std=True, return_cov=True)
    with pytest.raises(InputError, match="not positive semi-definite"):
        fixed(kernel=Indefinite()).fit(X, Y)
    with pytest.raises(InputError, match="not positive semi-definite"):
        fixed(kernel=Indefinite(), optimizer="likelihood").fit(X, Y)
    with pytest.raises(ParameterError, match="optimise_inducing: .* is not differentiable"):
        fixed(kernel=1.0 * Letter(), optimizer="likelihood", optimise_inducing=True).fit(X, Y)
    monkeypatch.setattr("kernreg_solvers.gp_pull._has_torch", lambda: False)
    with pytest.raises(MissingDependencyError, match="optimise_inducing: .*torch"):
        fixed(optimizer="likelihood", optimise_inducing=True).fit(X, Y)


# -- scikit-learn's checks and the claims ---------------------------------------------------


@parametrize_with_checks(
    [
        SparseGaussianProcessRegressor(
            kernel=1.0 * Gauss(lengthscale=2.0), bounds={"noise": (1e-3, 10.0)}, random_state=0
        )
    ]
)
def test_scikit_learn(estimator: Any, check: Any) -> None:
    if getattr(check, "func", check).__name__ == "check_array_api_input":
        pytest.skip("needs SCIPY_ARRAY_API=1 when scipy is first imported")
    check(estimator)


def test_claims_hold_and_can_fail() -> None:
    found, without, exact = claims_gaussian.bounds(3)
    assert claims_gaussian.excess(found, exact) <= 0
    assert claims_gaussian.excess(without, exact) > 0.01
    assert claims_gaussian.excess(found[::-1], exact) > 0
    first, again = (claims_gaussian.posterior_errors(3, n=300, repeats=2) for _ in range(2))
    assert first == again
    assert first[0] < 0.3 * first[1]
