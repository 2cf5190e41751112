"""The choice among ridge solvers: each branch with invented speeds, and real fits with tiny budgets."""

from __future__ import annotations

import math
import pickle
import time
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from solver_kernels import WORDS, Gauss, Landmarks, Letters, Spectrum, Vocabulary, Waves

import kernreg_core as kr
from kernreg_core.errors import InputError, KernregWarning, ParameterError
from kernreg_solvers import AutoKernelRidge, EigenPro2, FeatureRidge, KernelRidge, KernelRidgeCG, NotFittedError, costs
from kernreg_solvers.costs import Machine, Speeds
from kernreg_solvers.options import Option, Problem, choose, options, readable_seconds

LENGTHS = np.array([float(len(word)) for word in WORDS])
#: 10^10 operations a second, 10^8 kernel values a second, eigenvalues n / k^2.
FAST = Machine(1e10, 2e10, 1e10)
GIGABYTE = 1e9


def problem(n: int, **changes: Any) -> Problem:
    known: dict[str, Any] = {
        "n": n,
        "targets": 1,
        "alpha": 1.0,
        "method": "",
        "weighted": False,
        "intercept": False,
        "stored": False,
        "features": "",
        "nystrom": False,
        "memory": 16 * GIGABYTE,
    }
    return Problem(**{**known, **changes})


def speeds(n: int, *, pair: float = 1e-8, row: float = 0.0, columns: int = 0) -> Speeds:
    return Speeds(FAST, pair, row, columns, n / np.arange(1.0, 1001.0) ** 2)


def choice(p: Problem, s: Speeds, seconds: float | None = 60.0, exact: bool = False) -> tuple[str, bool]:
    option, reason, within = choose(options(p, s), p.n, p.memory, seconds, exact)
    assert option.solver in reason
    assert f"{p.n:,} items" in reason
    return option.solver, within


def test_the_factorisation_while_it_is_cheap_then_iterations_then_centres() -> None:
    assert choice(problem(1_000), speeds(1_000)) == ("solver.krr", True)
    # 2.7e13 / 3 operations take ten minutes; ten products of 9e8 pairs a minute
    assert choice(problem(30_000, memory=8 * GIGABYTE), speeds(30_000), 120.0) == ("solver.krr_cg", True)
    assert choice(problem(1_000_000), speeds(1_000_000), 3600.0) == ("solver.falkon", True)
    assert choice(problem(1_000_000), speeds(1_000_000), None)[0] == "solver.krr_cg"
    assert choice(problem(1_000_000), speeds(1_000_000), 3600.0, exact=True) == ("solver.krr_cg", False)


def test_memory_rules_out_the_matrix() -> None:
    assert choice(problem(20_000, memory=1 * GIGABYTE), speeds(20_000), None)[0] == "solver.krr_cg"
    tight = problem(20_000, memory=3e8)
    assert choice(tight, speeds(20_000), None)[0] in ("solver.krr_cg", "solver.falkon")
    option, reason, within = choose(options(problem(20_000, memory=1.0), speeds(20_000)), 20_000, 1.0, None, False)
    assert not within
    assert "nothing is within 1 B" in reason
    assert option.solver == "solver.krr_cg"
    assert option.bytes < 2e8


def test_features_that_are_exact_and_features_that_are_not() -> None:
    n, s = 100_000, speeds(100_000, row=1e-6, columns=50)
    assert choice(problem(n, features="exact"), s) == ("solver.feature_ridge", True)
    assert choice(problem(n, features="random"), s) == ("solver.feature_ridge", True)
    # exact solvers come first where they are within the budgets
    assert choice(problem(2_000, features="random"), speeds(2_000, row=1e-9, columns=2))[0] != "solver.feature_ridge"
    assert choice(problem(9_000, features="random"), speeds(9_000, row=1e-9, columns=2))[0] == "solver.krr_cg"
    assert choice(problem(9_000, features="exact"), speeds(9_000, row=1e-9, columns=2))[0] == "solver.feature_ridge"
    assert choice(problem(n, features="random"), s, exact=True)[0] == "solver.krr_cg"


def test_a_penalty_that_is_chosen_needs_a_closed_form() -> None:
    for method in ("loo", "gcv"):
        small = problem(1_000, alpha=None, method=method)
        assert choice(small, speeds(1_000)) == ("solver.krr", True)
        large = problem(100_000, alpha=None, method=method, nystrom=True)
        assert choice(large, speeds(100_000), 900.0)[0] in ("solver.feature_ridge", "solver.falkon")
        alone = problem(100_000, alpha=None, method=method)
        found = {option.solver: option.obstacle for option in options(alone, speeds(100_000))}
        assert found["solver.krr_cg"] == "has no closed form that chooses alpha"
        assert found["solver.feature_ridge"] == "the kernel has no features"
        assert not found["solver.krr"]
        if method == "gcv":
            assert choice(alone, speeds(100_000), 900.0) == ("solver.falkon", True)
        else:
            assert found["solver.falkon"] == "has no closed form that chooses alpha"
            assert choice(alone, speeds(100_000), 900.0) == ("solver.krr", False)


def test_interpolation() -> None:
    n = 60_000
    assert choice(problem(n, alpha=0.0), speeds(n), 7200.0) == ("solver.eigenpro2", True)
    assert choice(problem(500, alpha=0.0), speeds(500)) == ("solver.krr", True)
    for name, word in (("weighted", "has no weights"), ("intercept", "has no intercept")):
        found = {o.solver: o.obstacle for o in options(problem(n, alpha=0.0, **{name: True}), speeds(n))}
        assert found["solver.eigenpro2"] == word
        assert found["solver.krr_cg"] == "needs alpha above 0"
    assert {o.solver: o.obstacle for o in options(problem(n), speeds(n))}["solver.eigenpro2"] == "has no penalty"
    # not where some targets have one
    assert choice(problem(n, alpha=0.0, mixed=True), speeds(n), 7200.0) == ("solver.krr", False)


def test_a_matrix_that_is_given() -> None:
    found = {o.solver: o.obstacle for o in options(problem(5_000, stored=True), speeds(5_000, pair=0.0))}
    assert found["solver.falkon"] == found["solver.feature_ridge"] == "evaluates the kernel itself, not a matrix"
    assert not found["solver.krr"] + found["solver.krr_cg"]


def test_predictions_are_counts_over_speeds() -> None:
    s = speeds(10_000)
    cost = costs.dual(10_000, 1, 1.0, s)
    # alpha 1 against a largest eigenvalue of 10^4: the factor is made in float32, at twice the speed
    assert cost.seconds == pytest.approx(1e12 / 3 / 2e10 / costs._CHOLESKY + costs._HALF, rel=0.05)
    assert costs.dual(10_000, 1, 1e-4, s).seconds > 1.9 * cost.seconds - 1.0
    assert 8e8 <= cost.bytes <= 1e9
    more = costs.conjugate_gradients(40_000, 1, 1.0, 1e-6, 1e9, speeds(40_000))
    less = costs.conjugate_gradients(20_000, 1, 1.0, 1e-6, 1e9, s)
    assert 3.5 < more.seconds / less.seconds < 5.0
    twice = s._replace(halves=True)
    assert costs.conjugate_gradients(20_000, 1, 1.0, 1e-6, 1e9, twice).seconds < 0.7 * less.seconds
    one, two = (costs.features(n, 1, "", 1e-6, 500, FAST).seconds for n in (100_000, 200_000))
    assert two == pytest.approx(2 * one, rel=0.01)
    assert costs.features(1_000, 1, "", 1e-6, 5_000, FAST).bytes < costs.features(9_000, 1, "", 1e-6, 5_000, FAST).bytes
    assert costs.iterations(1_000, 50, 1.0, 1e-6, s.spectrum) == math.ceil(
        0.5 * math.sqrt(1 + 10_000 / 51**2) * math.log(2e6)
    )


def test_speeds_are_measured_on_a_sample() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((3000, 2))
    seen: list[int] = []

    class Counted(Gauss):
        def evaluate(self, X: Any, Y: Any) -> Any:
            seen.append(len(X) * len(Y))
            return super().evaluate(X, Y)

    found = costs.measure(Counted(), X, np.random.RandomState(0), features=False)
    assert max(seen) <= 1024**2
    assert 1e-11 < found.pair < 1e-5
    assert found.machine == costs.machine(costs.num_threads())
    # the whole matrix's largest eigenvalue, from a part of it
    part = Gauss()(X[:600])
    assert found.spectrum[0] == pytest.approx(5 * np.linalg.eigvalsh(part)[-1], rel=0.2)
    matrix = costs.measure_matrix(part, np.random.RandomState(0))
    assert matrix.pair == 0.0
    assert matrix.spectrum[0] == pytest.approx(np.linalg.eigvalsh(part)[-1], rel=0.1)


# -- fits -----------------------------------------------------------------------------------


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((120, 3))
    return X, np.sin(X[:, 0]) + 0.1 * rng.standard_normal(120) + 2.0


def test_a_small_problem_is_factored(data: tuple[np.ndarray, ...]) -> None:
    X, y = data
    w = np.random.default_rng(0).uniform(0.5, 2.0, 120)
    model = AutoKernelRidge(kernel=Gauss(), alpha=0.1, fit_intercept=True, random_state=0).fit(X, y, w)
    assert model.choice_ == "solver.krr"
    assert isinstance(model.estimator_, KernelRidge)
    expected = KernelRidge(kernel=Gauss(), alpha=0.1, fit_intercept=True).fit(X, y, w)
    assert_allclose(model.predict(X), expected.predict(X), rtol=1e-12)
    assert model.alpha_ == 0.1
    assert isinstance(model.kernel_, Gauss)
    assert "solver.krr: " in model.reason_
    assert "exact, and within" in model.reason_
    assert [option.solver for option in model.plan_] == [
        "solver.krr",
        "solver.krr_cg",
        "solver.feature_ridge",
        "solver.falkon",
        "solver.eigenpro2",
    ]
    assert all(option.seconds >= 0 and option.bytes > 0 for option in model.plan_ if not option.obstacle)


@pytest.mark.parametrize("method", ["loo", "gcv"])
def test_a_chosen_penalty(data: tuple[np.ndarray, ...], method: str) -> None:
    X, y = data
    model = AutoKernelRidge(kernel=Gauss(), alpha=method, random_state=0).fit(X, np.column_stack([y, -y]))
    assert model.choice_ == "solver.krr"
    expected = KernelRidge(kernel=Gauss(), alpha=method).fit(X, np.column_stack([y, -y]))
    assert_allclose(model.alpha_, expected.alpha_)
    assert_allclose(model.predict(X), expected.predict(X), rtol=1e-10)


def _forced(monkeypatch: pytest.MonkeyPatch, solver: str) -> None:
    """Only that solver has no obstacle."""
    from kernreg_solvers import auto_krr

    real = auto_krr.options

    def only(p: Problem, s: Speeds) -> tuple[Option, ...]:
        return tuple(o if o.solver == solver else o._replace(obstacle="not in this test") for o in real(p, s))

    monkeypatch.setattr(auto_krr, "options", only)


def test_each_solver_is_made_and_answers(data: tuple[np.ndarray, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = data
    exact = KernelRidge(kernel=Gauss(), alpha=0.1).fit(X, y).predict(X)
    for solver, kind in (("solver.krr", KernelRidge), ("solver.krr_cg", KernelRidgeCG)):
        with monkeypatch.context() as patch:
            _forced(patch, solver)
            model = AutoKernelRidge(kernel=Gauss(), alpha=0.1, random_state=0).fit(X, y)
            assert isinstance(model.estimator_, kind)
            assert model.choice_ == solver
            assert_allclose(model.predict(X), exact, rtol=1e-4)
    with monkeypatch.context() as patch:
        _forced(patch, "solver.feature_ridge")
        for kernel in (Waves(), Landmarks()):
            model = AutoKernelRidge(kernel=kernel, alpha=0.1, random_state=0).fit(X, y)
            assert isinstance(model.estimator_, FeatureRidge)
            assert_allclose(model.predict(X), FeatureRidge(kernel=kernel, alpha=0.1).fit(X, y).predict(X), rtol=1e-10)
        words = AutoKernelRidge(kernel=Vocabulary(), alpha=0.5, random_state=0).fit(WORDS, LENGTHS)
        assert_allclose(
            words.predict(WORDS), KernelRidge(kernel=Vocabulary(), alpha=0.5).fit(WORDS, LENGTHS).predict(WORDS)
        )
    with monkeypatch.context() as patch:
        _forced(patch, "solver.eigenpro2")
        model = AutoKernelRidge(kernel=Gauss(), alpha=0.0, random_state=0).fit(X, y)
        assert isinstance(model.estimator_, EigenPro2)
        assert model.score(X, y) > 0.9


def test_the_penalty_is_one_for_each_target(data: tuple[np.ndarray, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = data
    Y = np.column_stack([y, -y])
    model = AutoKernelRidge(kernel=Gauss(), random_state=0)
    for solver in ("solver.krr", "solver.krr_cg", "solver.falkon"):
        with monkeypatch.context() as patch:
            _forced(patch, solver)
            for alpha in (0.5, [0.5]):
                assert model.set_params(alpha=alpha).fit(X, y).alpha_ == 0.5
                assert np.array_equal(model.fit(X, Y).alpha_, [0.5, 0.5])
            assert np.array_equal(model.set_params(alpha=[0.5, 2.0]).fit(X, Y).alpha_, [0.5, 2.0])
    with monkeypatch.context() as patch:
        _forced(patch, "solver.eigenpro2")
        assert model.set_params(alpha=0.0).fit(X, y).alpha_ == 0.0
        with pytest.raises(ParameterError, match="alpha: no solver can do this"):
            model.set_params(alpha=[0.0, 1.0]).fit(X, Y)  # eigenpro2 would leave the second one out


def test_falkon(data: tuple[np.ndarray, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = data
    _forced(monkeypatch, "solver.falkon")
    model = AutoKernelRidge(kernel=Gauss(), alpha=0.1, fit_intercept=True, random_state=0).fit(X, y)
    assert model.choice_ == "solver.falkon"
    assert type(model.estimator_).__name__ == "Falkon"
    # 110 centres of 120 items
    expected = KernelRidge(kernel=Gauss(), alpha=0.1, fit_intercept=True).fit(X, y).predict(X)
    assert np.abs(model.predict(X) - expected).max() < 0.1
    chosen = AutoKernelRidge(kernel=Gauss(), alpha="gcv", fit_intercept=True, random_state=0).fit(X, y)
    exact = KernelRidge(kernel=Gauss(), alpha="gcv", fit_intercept=True).fit(X, y)
    assert np.abs(chosen.predict(X) - exact.predict(X)).max() < 0.1
    assert chosen.alpha_ == chosen.estimator_.alpha_


def test_nystrom_features_where_a_penalty_is_to_be_chosen(
    data: tuple[np.ndarray, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y = data
    try:
        kernel = kr.create("euclidean.rbf", lengthscale=1.5)
    except kr.KernregError:
        pytest.skip("kernreg-euclidean is not installed")
    _forced(monkeypatch, "solver.feature_ridge")
    model = AutoKernelRidge(kernel=kernel, alpha="gcv", fit_intercept=True, random_state=0).fit(X, y)
    assert isinstance(model.estimator_, FeatureRidge)
    assert model.estimator_.n_columns_ == 110
    exact = KernelRidge(kernel=kernel, alpha="gcv", fit_intercept=True).fit(X, y)
    assert np.abs(model.predict(X) - exact.predict(X)).max() < 0.1
    named = AutoKernelRidge(kernel="euclidean.rbf", alpha="loo", random_state=0).fit(X, y)
    assert named.choice_ == "solver.feature_ridge"
    assert named.score(X, y) > 0.8
    with pytest.raises(ParameterError, match="no solver can do this: .*the kernel has no features"):
        AutoKernelRidge(kernel=lambda A, B: kernel(A, B), alpha="loo", random_state=0).fit(X, y)


def test_budgets_that_nothing_meets_are_said(data: tuple[np.ndarray, ...]) -> None:
    X, y = data
    with pytest.warns(KernregWarning, match=r"nothing is within 1 B and 60 s.*raise memory_budget or time_budget") as w:
        model = AutoKernelRidge(kernel=Gauss(), memory_budget=1, random_state=0).fit(X, y)
    assert w[0].filename == __file__
    assert np.isfinite(model.predict(X)).all()
    with pytest.warns(KernregWarning, match="nothing is within"):
        AutoKernelRidge(kernel=Gauss(), time_budget=1e-9, exact=True, random_state=0).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        AutoKernelRidge(kernel=Gauss(), time_budget=None, random_state=0).fit(X, y)


def test_lists_prepared_items_matrices_and_searches(data: tuple[np.ndarray, ...]) -> None:
    X, y = data
    for kernel in (Spectrum(), Letters()):
        model = AutoKernelRidge(kernel=kernel, alpha=0.5, random_state=0).fit(WORDS, LENGTHS)
        expected = KernelRidge(kernel=kernel, alpha=0.5).fit(WORDS, LENGTHS).predict(WORDS)
        assert_allclose(model.predict(WORDS), expected, rtol=1e-5)
    block = Letters().prepare(WORDS)
    assert_allclose(
        AutoKernelRidge(kernel=Letters(), alpha=0.5).fit(block, LENGTHS).predict(block), expected, rtol=1e-5
    )
    K = Spectrum()(WORDS)
    given = AutoKernelRidge(kernel="precomputed", alpha=0.5, random_state=0).fit(K, LENGTHS)
    expected = KernelRidge(kernel=Spectrum(), alpha=0.5).fit(WORDS, LENGTHS).predict(WORDS)
    assert_allclose(given.predict(K), expected, rtol=1e-5)
    search = GridSearchCV(AutoKernelRidge(kernel=Gauss(), alpha=0.1), {"kernel__lengthscale": [1e-3, 1.0]}, cv=3)
    assert search.fit(X, y).best_params_ == {"kernel__lengthscale": 1.0}
    again = pickle.loads(pickle.dumps(search.best_estimator_))
    assert np.array_equal(again.predict(X), search.predict(X))
    assert again.plan_[0].solver == "solver.krr"


def test_tensors(data: tuple[np.ndarray, ...]) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    X, y = data
    model = AutoKernelRidge(kernel=Gauss(), alpha=0.1, random_state=0).fit(torch.tensor(X), torch.tensor(y))
    assert_allclose(model.predict(torch.tensor(X)), KernelRidge(kernel=Gauss(), alpha=0.1).fit(X, y).predict(X))
    assert isinstance(model.predict(X), np.ndarray)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"memory_budget": 0}, "memory_budget: expected a whole number of bytes"),
        ({"memory_budget": 1e9}, "memory_budget: expected a whole number of bytes"),
        ({"time_budget": 0.0}, "time_budget: expected a number of seconds above 0"),
        ({"time_budget": "1 min"}, "time_budget: expected a number of seconds above 0"),
        ({"alpha": "best"}, "or 'loo', or 'gcv', got 'best'"),
        ({"alpha": -1}, "alpha: expected finite numbers at least 0"),
        ({"kernel": 3}, "kernel: expected a kernel object"),
    ],
)
def test_bad_parameters(data: tuple[np.ndarray, ...], parameters: dict[str, Any], message: str) -> None:
    X, y = data
    with pytest.raises(ParameterError, match=message):
        AutoKernelRidge(**parameters).fit(X, y)


def test_bad_input(data: tuple[np.ndarray, ...]) -> None:
    X, y = data
    for bad in ((X[:5], y), (X * np.nan, y), (X, y * np.nan)):
        with pytest.raises(InputError):
            AutoKernelRidge().fit(*bad)
    with pytest.raises(InputError, match="NaN or infinite"):
        AutoKernelRidge(kernel=lambda X, Y: np.full((len(X), len(Y)), np.nan)).fit(X, y)
    with pytest.raises(NotFittedError):
        AutoKernelRidge().predict(X)
    model = AutoKernelRidge(kernel=Gauss()).fit(X, y)
    with pytest.raises(ValueError, match="features"):
        model.predict(X[:, :2])
    assert not hasattr(clone(model), "choice_")


def test_one_item() -> None:
    model = AutoKernelRidge(kernel=Gauss(), alpha=1.0).fit([[0.0, 1.0]], [4.0])
    assert model.predict([[0.0, 1.0]])[0] == pytest.approx(2.0)


def test_times_are_said_as_people_say_them() -> None:
    assert [readable_seconds(s) for s in (1.0, 600.0, 3e5)] == ["1 s", "10 min", "3.5 days"]


def test_a_stall_in_one_call_is_no_speed() -> None:
    calls = []

    def stalls(X: Any, Y: Any) -> np.ndarray:
        calls.append(len(X))
        if len(calls) == 1:
            time.sleep(0.05)
        return np.exp(-((X[:, None] - Y) ** 2).sum(-1))

    X = np.random.default_rng(0).standard_normal((2000, 2))
    speeds = costs.measure(stalls, X, np.random.RandomState(0), features=False)
    assert speeds.pair < 0.05 / 64 / 50  # what the first call would say, for its 64 pairs
    assert max(calls) > 8


def test_eigenvalues_beyond_the_sample_follow_a_power_law() -> None:
    spectrum = 7.0 * np.arange(1, 401) ** -2.0
    spectrum[300:] *= 0.01  # the end of a sample's spectrum is too small
    assert costs.eigenvalue(spectrum, 10) == spectrum[10]
    assert costs.eigenvalue(spectrum, 1000) == pytest.approx(7.0 * 1001**-2.0, rel=0.02)
    assert costs.eigenvalue(np.zeros(400), 300) == 0.0
    assert costs.eigenvalue(np.array([3.0, 2.0]), 5) == 2.0
