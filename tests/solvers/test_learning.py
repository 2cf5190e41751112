"""Alignment, the learners' gradients and optima, trained kernels, length scales from the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from solver_kernels import WORDS, Gauss, Indefinite, Spectrum, Unusable

import kernreg_core as kr
from kernreg_core.errors import InputError, ParameterError
from kernreg_solvers import (
    AlignmentLearner,
    CrossValidationLearner,
    KernelRidge,
    LikelihoodLearner,
    align,
    median_heuristic,
    median_lengthscale,
)
from kernreg_solvers.alignment import Alignment, targets_of


def wave(n: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 2))
    return X, np.sin(2.0 * X[:, 0]) + 0.1 * rng.standard_normal(n)


# -- align ----------------------------------------------------------------------------------


def test_alignment_is_the_cosine_of_centred_matrices() -> None:
    X, y = wave(9)
    K, H = Gauss()(X), np.eye(9) - 1 / 9
    C, T = H @ K @ H, H @ np.outer(y, y) @ H
    assert align(K, y) == pytest.approx((C * T).sum() / np.linalg.norm(C) / np.linalg.norm(T), rel=1e-12)
    plain = (K * np.outer(y, y)).sum() / np.linalg.norm(K) / np.linalg.norm(np.outer(y, y))
    assert align(K, y, centered=False) == pytest.approx(plain, rel=1e-12)


def test_alignment_ignores_scale_and_constants_and_is_one_for_the_targets_own_matrix() -> None:
    X, y = wave(9)
    K = Gauss()(X)
    assert align(3.0 * K + 5.0, y) == pytest.approx(align(K, y), rel=1e-10)
    assert align(K, 7.0 * y + 2.0) == pytest.approx(align(K, y), rel=1e-10)
    labels = np.array(list("aabbbccab"))
    assert align(np.equal.outer(labels, labels).astype(float), labels) == pytest.approx(1.0)
    assert align(np.outer(y, y), y) == pytest.approx(1.0)
    assert align(np.ones((9, 9)), y) == 0.0
    assert align(K, np.ones(9)) == 0.0


def test_two_classes_are_one_column_and_several_one_each() -> None:
    np.testing.assert_array_equal(targets_of(["b", "a", "b"]), [[1.0], [-1.0], [1.0]])
    np.testing.assert_array_equal(targets_of([True, False]), [[1.0], [-1.0]])
    np.testing.assert_array_equal(targets_of([3, 1, 2]), np.eye(3)[[2, 0, 1]])
    np.testing.assert_array_equal(targets_of([3.0, 1.0]), [[3.0], [1.0]])
    np.testing.assert_array_equal(targets_of([3, 1], "numbers"), [[3.0], [1.0]])
    np.testing.assert_array_equal(targets_of([3.0, 1.0], "classes"), [[1.0], [-1.0]])
    for column in (["a", "b", "a"], [5, 7, 5]):  # one column of classes, as scikit-learn's frames have it
        np.testing.assert_array_equal(targets_of(np.array(column)[:, None]), targets_of(np.array(column)))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: align(np.ones((2, 3)), [0, 1]), InputError, "square"),
        (lambda: align(np.eye(3), [0, 1]), InputError, "expected 3 targets"),
        (lambda: align(np.full((2, 2), np.nan), [0, 1]), InputError, "NaN"),
        (lambda: align(np.eye(2), [np.nan, 1.0]), InputError, "NaN"),
        (lambda: targets_of([0, 1], "labels"), ParameterError, "target"),
        (lambda: targets_of(np.eye(3), "classes"), InputError, r"one column of classes, got .*\(3, 3\)"),
    ],
)
def test_what_cannot_be_aligned_is_said(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()


# -- derivatives ----------------------------------------------------------------------------


def _slope(function: Any, K: np.ndarray, D: np.ndarray) -> float:
    h = 1e-5
    return float((function(K + h * D) - function(K - h * D)) / (2 * h))


@pytest.mark.parametrize("learner", [AlignmentLearner(), AlignmentLearner(centered=False), LikelihoodLearner(),
                                     CrossValidationLearner()])  # fmt: skip
@pytest.mark.parametrize("targets", [1, 2])
def test_the_derivative_by_the_matrix_is_that_of_the_loss(learner: Any, targets: int) -> None:
    X, y = wave(12)
    Y = np.column_stack([y, y**2])[:, :targets]
    K = Gauss()(X)
    D = np.random.default_rng(1).standard_normal((12, 12))
    D += D.T
    extra = {"noise": 0.3, "alpha": 0.3}
    value, G = learner._derivative(K, Y, extra)
    np.testing.assert_allclose(G, G.T, atol=1e-12)
    expected = _slope(lambda M: learner._derivative(M, Y, extra)[0], K, D)
    assert float((G * D).sum()) == pytest.approx(expected, rel=1e-6)
    assert np.isfinite(value)


def test_the_likelihood_is_the_normal_density() -> None:
    X, y = wave(8)
    y = y - y.mean()
    K = Gauss()(X)
    value, _ = LikelihoodLearner()._derivative(K, y[:, None], {"noise": 0.2})
    assert -value == pytest.approx(multivariate_normal(np.zeros(8), K + 0.2 * np.eye(8)).logpdf(y), rel=1e-10)


def test_the_leave_one_out_error_is_that_of_n_fits() -> None:
    X, y = wave(8)
    y = y - y.mean()
    K = Gauss()(X)
    value, _ = CrossValidationLearner()._derivative(K, y[:, None], {"alpha": 0.2})
    errors = []
    for i in range(8):
        rest = np.arange(8) != i
        c = np.linalg.solve(K[np.ix_(rest, rest)] + 0.2 * np.eye(7), y[rest])
        errors.append(K[i, rest] @ c - y[i])
    assert value == pytest.approx(np.mean(np.square(errors)), rel=1e-10)


# -- optima ---------------------------------------------------------------------------------


def test_alignment_finds_the_best_length_scale() -> None:
    X, y = wave(60)
    labels = np.where(y > 0, "up", "down")
    learner = AlignmentLearner(kernel=Gauss(lengthscale=0.1)).fit(X, labels)
    grid = np.exp(np.linspace(np.log(0.05), np.log(10), 400))
    best = max(align(Gauss(lengthscale=s)(X), labels) for s in grid)
    assert learner.objective_ == pytest.approx(best, abs=1e-4)
    assert learner.objective_ == pytest.approx(align(learner.kernel_(X), labels), rel=1e-10)
    assert learner.initial_objective_ == pytest.approx(align(Gauss(lengthscale=0.1)(X), labels), rel=1e-10)
    assert learner.score(X, labels) == pytest.approx(learner.objective_, rel=1e-10)
    assert learner.theta_names_ == ["lengthscale"]


def test_likelihood_and_leave_one_out_find_parameters_and_noise() -> None:
    X, y = wave(60)
    process = LikelihoodLearner(kernel=1.0 * Gauss(lengthscale=0.3), noise=1.0).fit(X, y)
    assert process.theta_names_ == ["kernel__lengthscale", "variance", "noise"]
    assert 0.003 < process.noise_ < 0.03  # the noise that was added has variance 0.01
    ridge = CrossValidationLearner(kernel=Gauss(lengthscale=0.1), alpha=1.0).fit(X, y)
    assert ridge.objective_ < 0.1 * ridge.initial_objective_
    assert ridge.score(X, y) == pytest.approx(-ridge.objective_, rel=1e-8)  # larger is better
    fresh, truth = wave(500, seed=1)
    for learner, alpha in ((process, process.noise_), (ridge, ridge.alpha_)):
        model = KernelRidge(kernel=learner.kernel_, alpha=alpha, fit_intercept=True).fit(X, y)
        assert model.score(fresh, truth) > 0.9


def test_weights_of_a_sum_are_learnt() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 2))
    labels = X[:, 0] > 0

    class Feature(kr.BaseKernel):
        capabilities = frozenset({"symmetric", "psd"})

        def __init__(self, *, index: int = 0) -> None:
            self.index = index

        def evaluate(self, X: Any, Y: Any) -> Any:
            return np.outer(X[:, self.index], Y[:, self.index])

    learner = AlignmentLearner(kernel=1.0 * Feature(index=0) + 1.0 * Feature(index=1)).fit(X, labels)
    params = learner.kernel_.get_params()
    assert params["k1__variance"] > 50 * params["k2__variance"]


def test_terms_without_weights_are_named() -> None:
    X, y = wave(30)
    narrow, broad = Gauss(lengthscale=0.5), Gauss(lengthscale=2.0)
    for kernel, names in (
        (narrow + broad, 2), (1.0 * narrow + 1.0 * broad, 0), (3.0 * (narrow + broad), 2), (narrow + 1.0 * broad, 1),
        (1.0 * narrow, 0),
    ):  # fmt: skip
        learner = AlignmentLearner(kernel=kernel, max_iter=100).fit(X, y)
        assert len(learner.unweighted_) == names
    assert AlignmentLearner(kernel=narrow + 1.0 * broad).fit(X, y).unweighted_ == ["Gauss(lengthscale=0.5)"]
    held = AlignmentLearner(kernel=1.0 * narrow + 1.0 * broad, parameters=["lengthscale"]).fit(X, y)
    assert len(held.unweighted_) == 2
    with pytest.raises(ParameterError, match=r"written 1.0 \* a \+ 1.0 \* b"):
        AlignmentLearner(kernel=Spectrum(order=1) + Spectrum(order=2)).fit(WORDS, np.arange(len(WORDS)) % 2)


@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_leave_one_out_is_learnt_along_the_ratio_alone(scale: float) -> None:
    X, y = wave(60)
    clean = scale * np.sin(X[:, 0])  # without noise the error falls as far as the penalty may
    learner = CrossValidationLearner(kernel=2.0 * Gauss(lengthscale=0.3)).fit(X, clean)
    assert learner.theta_names_ == ["kernel__lengthscale", "alpha"]
    assert learner.kernel_.variance == 2.0
    assert learner.alpha_ >= 2e-8 * (1 - 1e-9)  # 1e-8 k(x, x)
    # ridge regression solves there, without a warning, and makes the same errors
    centred = clean - clean.mean()
    model = KernelRidge(kernel=learner.kernel_, alpha=learner.alpha_).fit(X, centred)
    inverse = np.linalg.inv(learner.kernel_(X) + learner.alpha_ * np.eye(60))
    assert np.mean((model.dual_coef_ / inverse.diagonal()) ** 2) == pytest.approx(learner.objective_, rel=1e-3)
    # nothing depends on the scale of y
    once = CrossValidationLearner(kernel=2.0 * Gauss(lengthscale=0.3)).fit(X, y)
    other = CrossValidationLearner(kernel=2.0 * Gauss(lengthscale=0.3)).fit(X, scale * y)
    np.testing.assert_allclose(other.theta_, once.theta_, atol=1e-4)
    assert other.objective_ == pytest.approx(scale**2 * once.objective_, rel=1e-6)


def test_a_variance_is_learnt_where_it_is_asked_for_or_alpha_is_not() -> None:
    X, y = wave(30)
    kernel = 2.0 * Gauss()
    for options in ({"bounds": {"alpha": "fixed"}}, {"bounds": {"variance": (0.5, 5.0)}}, {"parameters": ["variance"]},
                    {"parameters": ["variance", "alpha"]}):  # fmt: skip
        assert "variance" in CrossValidationLearner(kernel=kernel, alpha=0.1, **options).fit(X, y).theta_names_
    assert CrossValidationLearner(kernel=kernel, parameters=["alpha"]).fit(X, y).theta_names_ == ["alpha"]
    assert CrossValidationLearner(kernel=3.0 * kernel).fit(X, y).theta_names_ == [
        "kernel__kernel__lengthscale", "alpha",
    ]  # fmt: skip


def test_the_likelihood_begins_at_the_data_where_the_start_is_hopeless() -> None:
    X, y = wave(60)
    learner = LikelihoodLearner(kernel=1.0 * Gauss(lengthscale=0.05)).fit(X, 1e3 * y)
    good = LikelihoodLearner(kernel=1e6 * Gauss(), noise=1e4).fit(X, 1e3 * y)
    assert learner.objective_ == pytest.approx(good.objective_, abs=1e-2)
    assert learner.initial_objective_ < -1e5


def test_bounds_parameters_and_samples_are_kept_to() -> None:
    X, y = wave(60)
    kernel = 1.0 * Gauss(lengthscale=0.3)
    fixed = LikelihoodLearner(kernel=kernel, bounds={"lengthscale": (0.2, 0.4), "variance": "fixed", "noise": "fixed"})
    fixed.fit(X, y)
    assert fixed.noise_ == 0.1
    assert fixed.kernel_.variance == 1.0
    assert fixed.at_bounds_ == ["kernel__lengthscale"]
    named = AlignmentLearner(kernel=kernel, parameters=["lengthscale"], max_items=20, random_state=3).fit(X, y)
    assert named.n_samples_fit_ == 20
    assert named.theta_names_ == ["kernel__lengthscale"]
    again = AlignmentLearner(kernel=kernel, parameters=["lengthscale"], max_items=20, random_state=3).fit(X, y)
    np.testing.assert_array_equal(again.theta_, named.theta_)
    assert kernel.kernel.lengthscale == 0.3


def test_words_and_tensors() -> None:
    labels = [word[0] in "ab" for word in WORDS]
    learner = CrossValidationLearner(kernel=1.0 * Spectrum(), bounds={"alpha": "fixed"}, alpha=0.1).fit(WORDS, labels)
    assert learner.objective_ < learner.initial_objective_
    torch = pytest.importorskip("torch", reason="torch is not installed")
    X, y = wave()
    a = AlignmentLearner(kernel=Gauss(lengthscale=0.3)).fit(torch.tensor(X), y)
    b = AlignmentLearner(kernel=Gauss(lengthscale=0.3)).fit(X, y)
    assert a.kernel_.lengthscale == pytest.approx(b.kernel_.lengthscale, rel=1e-3)


@pytest.mark.parametrize("learner", [AlignmentLearner, CrossValidationLearner, LikelihoodLearner])
def test_a_kernel_with_tensors_of_its_own_is_trained(learner: Any) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")

    class Linear(kr.BaseKernel):
        """x^T W W^T y with a W that is learnt."""

        capabilities = frozenset({"symmetric", "psd", "differentiable", "trainable"})

        def parameters(self) -> Any:
            if not hasattr(self, "W"):
                self.W = torch.nn.Parameter(torch.tensor([[1.0], [1.0]], dtype=torch.float64))
            return iter([self.W])

        def state_dict(self) -> dict[str, Any]:
            return {"W": next(self.parameters())}

        def load_state_dict(self, state: dict[str, Any]) -> None:
            self.W = torch.nn.Parameter(state["W"].clone())

        def evaluate(self, X: Any, Y: Any) -> Any:
            W = next(self.parameters())
            if isinstance(X, np.ndarray):
                return X @ (W @ W.T).detach().numpy() @ Y.T
            return X @ W @ W.T @ Y.T

    X, _ = wave(50)
    y = X[:, 0]
    found = learner(kernel=Linear(), max_iter=150).fit(X, y)
    better = found.objective_ - found.initial_objective_
    assert better < 0 if learner is CrossValidationLearner else better > 0
    W = found.kernel_.W.detach().numpy().ravel()
    assert abs(W[1]) < 0.5 * abs(W[0])  # only the first coordinate says anything
    assert found.score(X, y) == pytest.approx(
        -found.objective_ if learner is CrossValidationLearner else found.objective_, rel=1e-6
    )


@pytest.mark.parametrize("learner", [AlignmentLearner, CrossValidationLearner, LikelihoodLearner])
@pytest.mark.parametrize(
    ("options", "y", "error", "words"),
    [
        ({"kernel": "precomputed"}, [0.0, 1.0], ParameterError, "precomputed"),
        ({"kernel": Unusable()}, [0.0, 1.0], ParameterError, "asymmetric"),
        ({"kernel": Gauss(), "max_items": 1}, [0.0, 1.0], ParameterError, "max_items"),
        ({"kernel": Gauss(), "target": "words"}, [0.0, 1.0], ParameterError, "target"),
        ({"kernel": Gauss()}, [1.0, 1.0], InputError, "differ"),
        ({"kernel": Gauss()}, [1.0, np.nan], InputError, "NaN"),
        ({"kernel": Gauss(), "parameters": ["width"]}, [0.0, 1.0], ParameterError, "width"),
    ],
)
def test_bad_input_is_said(learner: Any, options: Any, y: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        learner(**options).fit(np.array([[0.0], [1.0]]), y)


def test_constant_features_and_indefinite_kernels_are_said() -> None:
    X, y = wave(12)
    with pytest.raises(InputError, match="kernel: the objective has no value on these items: the centred Gram"):
        AlignmentLearner(kernel=Gauss()).fit(np.ones((12, 2)), y)
    learnt = AlignmentLearner(kernel=Gauss()).fit(X, y)
    with pytest.raises(InputError, match="the objective has no value"):
        learnt.score(np.ones((12, 2)), y)
    for learner in (LikelihoodLearner, CrossValidationLearner):
        with pytest.raises(InputError, match=r"the objective has no value .* not positive semi-definite"):
            learner(kernel=9.0 * Indefinite()).fit(X, y)


@pytest.mark.parametrize("learner", [AlignmentLearner, CrossValidationLearner, LikelihoodLearner])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")  # the optimum is where it is refused
def test_a_kernel_that_refuses_a_length_is_turned_back_from(learner: Any) -> None:
    class Narrow(Gauss):
        def check_parameters(self, X: Any) -> None:
            if self.lengthscale > 0.5:
                raise ParameterError("lengthscale: at most 0.5")

    X, y = wave()
    found = learner(kernel=Narrow(lengthscale=0.2)).fit(X, y)
    assert 0.3 < found.kernel_.lengthscale <= 0.5
    with pytest.raises(ParameterError, match="at most 0.5"):
        learner(kernel=Narrow(lengthscale=0.6)).fit(X, y)


def test_further_bad_parameters() -> None:
    X, y = wave(5)
    with pytest.raises(ParameterError, match="no parameter that could be learnt"):
        AlignmentLearner().fit(X, y)
    for bad in (0.0, -1.0, float("nan"), "1"):
        with pytest.raises(ParameterError, match="alpha"):
            CrossValidationLearner(kernel=Gauss(), alpha=bad).fit(X, y)
        with pytest.raises(ParameterError, match="noise"):
            LikelihoodLearner(kernel=Gauss(), noise=bad).fit(X, y)


def test_the_alignment_of_nothing_has_no_derivative() -> None:
    with pytest.raises(np.linalg.LinAlgError):
        Alignment(np.ones((3, 1)), centered=True).value_and_derivative(np.ones((3, 3)))
    # what rounding leaves of a constant matrix has no direction either
    constant = np.full((7, 7), 0.1)
    constant[0, 0] += 1e-17
    with pytest.raises(np.linalg.LinAlgError):
        Alignment(np.arange(7.0)[:, None]).value_and_derivative(constant)


# -- length scales --------------------------------------------------------------------------


def test_the_median_is_that_of_all_pairs_that_differ() -> None:
    X = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0], [6.0, 8.0]])
    assert median_lengthscale(X) == 5.0  # 5, 10, 5, 10, 5 without the pair at distance 0
    assert median_lengthscale(X, p=1) == 7.0
    np.testing.assert_allclose(median_lengthscale(X, ard=True), np.array([3.0, 4.0]) * 2**0.5)
    assert median_lengthscale(np.ones((3, 2))) == 1.0
    many = np.random.default_rng(0).standard_normal((3000, 2))
    assert median_lengthscale(many) == median_lengthscale(many)
    assert median_lengthscale(many) == pytest.approx(2**0.5 * 1.18, rel=0.1)  # Rayleigh's median, twice the variance


def test_the_heuristic_reaches_every_length_and_no_other_number() -> None:
    X, _ = wave(30)
    kernel = 3.0 * Gauss() + Gauss(lengthscale=7.0)
    found = median_heuristic(kernel, X)
    width = median_lengthscale(X)
    assert found.get_params()["k1__kernel__lengthscale"] == found.get_params()["k2__lengthscale"] == width
    assert found.get_params()["k1__variance"] == 3.0
    assert kernel.get_params()["k2__lengthscale"] == 7.0
    ard = median_heuristic(Gauss(lengthscale=np.ones(2)), X)
    np.testing.assert_array_equal(ard.lengthscale, median_lengthscale(X, ard=True))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: median_lengthscale(np.ones(3)), InputError, "rank"),
        (lambda: median_lengthscale(np.ones((3, 1)), p=0.5), ParameterError, "p:"),
        (lambda: median_lengthscale(np.ones((3, 1)), max_items=1), ParameterError, "max_items"),
        (lambda: median_heuristic(Spectrum(), np.ones((3, 1))), ParameterError, "length scale"),
        (lambda: median_heuristic(lambda X, Y: X @ Y.T, np.ones((3, 1))), ParameterError, "parameters"),
        (lambda: median_heuristic(Gauss(lengthscale=np.ones(3)), np.ones((3, 2))), InputError, "3 features"),
    ],
)
def test_bad_lengths_are_said(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
