"""Logistic Falkon against kernel logistic classification and dense Newton steps; its parts by finite differences."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from falkon_cases import NOT_KEPT, span_of
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from solver_kernels import KINDS, WORDS, Gauss, Letters, Spectrum

from kernreg_core.claims import FAST, claims_of
from kernreg_core.errors import InputError, ParameterError
from kernreg_core.progress import Progress
from kernreg_solvers import KernelLogisticClassifier, LogisticFalkon, NotFittedError, claims_falkon, falkon_newton
from kernreg_solvers.falkon_newton import HessianSample, LogisticLoss, Point
from kernreg_solvers.line import step_length
from kernreg_solvers.losses import loss_of


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, classes 0 to 3, and whole weights."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((240, 3))
    score = np.sin(2 * X[:, 0]) + X[:, 1] + 0.5 * rng.standard_normal(240)
    return X, np.digitize(score, np.quantile(score, [0.25, 0.5, 0.75])), rng.integers(0, 4, 240).astype(float)


def classes(y: np.ndarray, k: int) -> np.ndarray:
    return y * k // 4


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_with_all_items_as_centres_it_is_kernel_logistic_classification(
    data: tuple[np.ndarray, ...], k: int, intercept: bool, weighted: bool
) -> None:
    X, y, w = data
    weights = w if weighted else None
    model = LogisticFalkon(
        kernel=Gauss(),
        alpha=0.1,
        n_centers=240,
        fit_intercept=intercept,
        class_weight="balanced",
        tol=1e-9,
        random_state=0,
    ).fit(X, classes(y, k), weights)
    full = KernelLogisticClassifier(
        kernel=Gauss(), alpha=0.1, fit_intercept=intercept, class_weight="balanced", tol=1e-9
    ).fit(X, classes(y, k), weights)
    assert_allclose(model.decision_function(X), full.decision_function(X), atol=1e-6)
    assert_allclose(model.intercept_, full.intercept_, atol=1e-6)
    assert_allclose(model.predict_proba(X), full.predict_proba(X), atol=1e-7)
    assert np.array_equal(model.predict(X), full.predict(X))
    assert model.gradient_norm_ <= 1e-9


@pytest.mark.parametrize("k", [2, 3])
def test_on_few_centres_it_is_the_minimum(data: tuple[np.ndarray, ...], k: int) -> None:
    X, y, w = data
    y = classes(y, k)
    model = LogisticFalkon(kernel=Gauss(), alpha=0.3, n_centers=8, tol=1e-9, random_state=0).fit(X, y, w)
    K, Kz = Gauss()(X, model.centers_), Gauss()(model.centers_)

    def objective(parameters: np.ndarray) -> float:
        # the formula of the docstring, two classes with the logits 0 and f
        A, b = parameters[:-1], parameters[-1]
        F = K @ A + b
        F = np.column_stack([np.zeros(240), F]) if k == 2 else F
        return float(w @ (logsumexp(F, axis=1) - F[np.arange(240), y])) + 0.15 * float(np.sum(A * (Kz @ A)))

    found = np.vstack([model.dual_coef_.reshape(8, -1), np.atleast_2d(model.intercept_)])
    best = minimize(lambda p: objective(p.reshape(found.shape).squeeze()), np.zeros(found.size), method="BFGS").fun
    assert objective(found.squeeze()) <= best + 1e-8 * abs(best)
    if k == 3:
        assert_allclose(found.sum(axis=1), 0, atol=1e-8)
    # the reported gradient is that of the mean objective, in the kernel's space
    assert model.gradient_norm_ <= 1e-9


def test_the_linear_kernel_gives_scikit_learn_s_logistic_regression(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    for k in (2, 4):
        model = LogisticFalkon(alpha=2.0, n_centers=50, tol=1e-9, random_state=0).fit(X, classes(y, k))
        plain = LogisticRegression(C=0.5, tol=1e-10, max_iter=10_000).fit(X, classes(y, k))
        assert_allclose(model.predict_proba(X), plain.predict_proba(X), atol=1e-6)


def test_an_ill_conditioned_problem_is_solved(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    for k in (2, 4):
        model = LogisticFalkon(kernel=Gauss(), alpha=1e-5, n_centers=100, random_state=0).fit(X, classes(y, k))
        assert model.gradient_norm_ <= 1e-6
        assert model.decrement_ <= 1e-6
        assert model.n_iter_ <= 30
        assert np.abs(model.decision_function(X)).max() > 10


def test_an_integer_weight_counts_as_repeated_rows(data: tuple[np.ndarray, ...]) -> None:
    X, y, w = data
    model = LogisticFalkon(kernel=Gauss(), alpha=0.3, centers=X[:20], tol=1e-9, random_state=0)
    weighted = clone(model).fit(X, y, w).predict_proba(X)
    repeated = clone(model).fit(X.repeat(w.astype(int), axis=0), y.repeat(w.astype(int))).predict_proba(X)
    assert_allclose(weighted, repeated, atol=1e-7)


# -- the parts ------------------------------------------------------------------------------


@pytest.fixture(params=[2, 3])
def problem(data: tuple[np.ndarray, ...], request: pytest.FixtureRequest) -> tuple[LogisticLoss, np.ndarray]:
    X, y, w = data
    k: int = request.param
    span, operator, phi = span_of(Gauss(), X, X[:10])
    return LogisticLoss(operator, span, loss_of(classes(y, k), w + 0.5, k), True), phi


def somewhere(problem: LogisticLoss, seed: int) -> Point:
    rng = np.random.default_rng(seed)
    k = problem.loss.Y.shape[1]
    return Point(rng.standard_normal((10, k)), rng.standard_normal(k))


def test_gradient_and_hessian_are_derivatives(problem: tuple[LogisticLoss, np.ndarray]) -> None:
    loss, phi = problem
    at, along, other, t = somewhere(loss, 0), somewhere(loss, 1), somewhere(loss, 2), 1e-5
    F, descent = loss.descent(at)
    assert_allclose(F, phi @ at.U + at.b, rtol=1e-8, atol=1e-8)

    def value(step: float) -> float:
        there = at.plus(step, along)
        return loss.loss.value(phi @ there.U + there.b)

    assert -descent.inner(along) == pytest.approx((value(t) - value(-t)) / (2 * t), rel=1e-6)
    G, HD = loss.hessian(loss.loss.probabilities(F), along)
    assert_allclose(G, phi @ along.U + along.b, rtol=1e-8, atol=1e-8)
    up, down = (loss.descent(at.plus(step, along))[1] for step in (t, -t))
    assert HD.inner(other) == pytest.approx((down.inner(other) - up.inner(other)) / (2 * t), rel=1e-5)
    assert loss.passes == 4


def test_the_start_is_best_without_coefficients(problem: tuple[LogisticLoss, np.ndarray]) -> None:
    loss, _ = problem
    start = loss.start()
    assert (start.U == 0).all()
    assert_allclose(loss.descent(start)[1].b, 0, atol=1e-10)
    loss.intercept = False
    assert (loss.start().b == 0).all()
    assert (loss.descent(start)[1].b == 0).all()


def test_the_preconditioner_of_all_rows_is_the_inverse_for_two_classes(data: tuple[np.ndarray, ...]) -> None:
    X, y, w = data
    span, operator, _ = span_of(Gauss(), X, X[:10])
    loss = LogisticLoss(operator, span, loss_of(classes(y, 2), w, 2), True)
    P = loss.loss.probabilities(loss.descent(somewhere(loss, 0))[0])
    sample = HessianSample(loss, w, None, None, 0)  # no items to pick from: all rows
    assert sample.complete
    R = somewhere(loss, 3)
    Z = sample.preconditioner(P, 0.2)(R)
    _, back = loss.hessian(P, Z)
    back.U += 0.2 * Z.U
    assert_allclose(back.U, R.U, rtol=1e-6, atol=1e-8)
    assert_allclose(back.b, R.b, rtol=1e-6)


def test_of_several_classes_the_preconditioner_moves_no_logits_alike(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    span, operator, _ = span_of(Gauss(), X, X[:10])
    loss = LogisticLoss(operator, span, loss_of(y, np.ones(240), 4), True)
    P = loss.loss.probabilities(np.zeros((240, 4)))
    sample = HessianSample(loss, None, np.arange(10), None, 0)
    precondition = sample.preconditioner(P, 0.5)
    R = somewhere(loss, 0)
    R.U -= R.U.mean(axis=1, keepdims=True)
    R.b -= R.b.mean()
    Z = precondition(R)
    assert_allclose(Z.U.sum(axis=1), 0, atol=1e-10)
    assert Z.b.sum() == pytest.approx(0, abs=1e-10)
    assert precondition.norm(R) ** 2 == pytest.approx(R.inner(Z))
    assert 1.0 <= precondition.effective_dimension() <= 10.0


def test_steps_on_a_line() -> None:
    def parabola(best: float) -> float:
        return step_length(lambda t: 0.5 * t * t - best * t, lambda t: t - best, 1.0, False)

    for best in (0.01, 1.0, 37.0):
        assert abs(parabola(best) - best) <= 0.5 * best + 1e-9
    assert parabola(-1.0) == 0.0
    assert step_length(lambda t: 0.0, lambda t: -1e-12, 1.0, True) == 1.0
    # exp grows beyond what numbers hold
    assert 0 < step_length(lambda t: np.exp(9 * t) - 1000 * t - 1, lambda t: 9 * np.exp(9 * t) - 1000, 1.0, False) < 1


def test_the_penalty_is_lowered_step_by_step(data: tuple[np.ndarray, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    X, y, _ = data
    seen: list[float] = []
    real = falkon_newton._direction

    def watched(*args: Any) -> Any:
        seen.append(args[4])
        return real(*args)

    monkeypatch.setattr(falkon_newton, "_direction", watched)
    model = LogisticFalkon(kernel=Gauss(), alpha=1e-3, n_centers=30, random_state=0).fit(X, classes(y, 2))
    assert len(seen) == model.n_iter_
    assert seen[0] > 1.0
    assert seen[-1] == 1e-3
    assert (np.diff(seen) <= 0).all()
    assert len(set(seen)) >= 3


def test_more_rows_are_taken_where_they_pay(data: tuple[np.ndarray, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    X, y, w = data
    fits = {}
    for wanted in (0, 60, 240):
        monkeypatch.setattr(falkon_newton, "sample_size", lambda *a, size=wanted, **k: size)
        fits[wanted] = LogisticFalkon(
            kernel=Gauss(), alpha=1e-3, n_centers=30, tol=1e-9, random_state=0
        ).fit(X, classes(y, 2), w)  # fmt: skip
        assert_allclose(fits[wanted].predict_proba(X), fits[0].predict_proba(X), atol=1e-7)
    assert fits[240].n_passes_ < fits[60].n_passes_ < fits[0].n_passes_


# -- domains, libraries, dtypes ---------------------------------------------------------------


@pytest.mark.parametrize("kernel", [Spectrum(), Letters(), Letters() + Spectrum()])
def test_lists_of_strings(kernel: Any) -> None:
    model = LogisticFalkon(kernel=kernel, alpha=0.5, n_centers=12, tol=1e-9, random_state=0).fit(WORDS, KINDS)
    full = KernelLogisticClassifier(kernel=kernel, alpha=0.5, tol=1e-9).fit(WORDS, KINDS)
    assert_allclose(model.predict_proba(WORDS), full.predict_proba(WORDS), atol=1e-6)
    assert model.classes_.tolist() == ["ab", "xy"]
    assert isinstance(model.centers_, list)


def test_files_float32_and_budgets(data: tuple[np.ndarray, ...], tmp_path: Any) -> None:
    X, y, _ = data
    model = LogisticFalkon(kernel=Gauss(), alpha=0.1, n_centers=20, random_state=0)
    exact = clone(model).fit(X, y).predict_proba(X)
    for dtype in (np.float64, np.float32):
        np.save(tmp_path / "X.npy", X.astype(dtype))
        mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
        found = clone(model).set_params(memory_budget=NOT_KEPT).fit(mapped, y)
        assert found.centers_.dtype == dtype
        assert_allclose(found.predict_proba(mapped), exact, atol=1e-9 if dtype is np.float64 else 1e-4)
    smooth = clone(model).set_params(kernel=Gauss(lengthscale=4.0), alpha=1e-8, n_centers=60)
    assert smooth.fit(X.astype(np.float32), y)._in_float64
    assert_allclose(smooth.predict_proba(X.astype(np.float32)), smooth.fit(X, y).predict_proba(X), atol=0.02)


def test_tensors(data: tuple[np.ndarray, ...]) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    X, y, w = data
    model = LogisticFalkon(kernel=Gauss(), alpha=0.1, n_centers=20, tol=1e-8, random_state=0)
    exact = clone(model).fit(X, y, w).predict_proba(X)
    found = clone(model).fit(torch.tensor(X, requires_grad=True), torch.tensor(y), w)
    assert isinstance(found.dual_coef_, np.ndarray)
    for new in (torch.tensor(X), X):
        assert_allclose(found.predict_proba(new), exact, atol=1e-7)
    single = clone(model).set_params(tol=1e-5).fit(torch.tensor(X, dtype=torch.float32), y, w)
    assert_allclose(single.predict_proba(torch.tensor(X, dtype=torch.float32)), exact, atol=1e-3)


def test_inside_scikit_learn_s_tools(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    model = make_pipeline(StandardScaler(), LogisticFalkon(kernel=Gauss(), n_centers=30, alpha=0.1, random_state=0))
    search = GridSearchCV(model, {"logisticfalkon__kernel__lengthscale": [0.01, 1.0]}, cv=3).fit(X, y)
    assert search.best_params_ == {"logisticfalkon__kernel__lengthscale": 1.0}
    fitted = search.best_estimator_[-1]
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert_allclose(np.exp(fitted.predict_log_proba(X)), fitted.predict_proba(X), rtol=1e-12)
    with pytest.raises(NotFittedError):
        clone(fitted).predict(X)


def test_the_same_seed_gives_the_same_bits(data: tuple[np.ndarray, ...]) -> None:
    X, y, w = data
    fits = [
        LogisticFalkon(kernel=Gauss(), n_centers=10, random_state=seed).fit(X, y, w).dual_coef_ for seed in (1, 1, 2)
    ]
    assert np.array_equal(fits[0], fits[1])
    assert not np.array_equal(fits[0], fits[2])


# -- what goes wrong ------------------------------------------------------------------------


def test_separable_classes_have_a_minimum_all_the_same() -> None:
    X = np.array([[-2.0], [-1.0], [1.0], [2.0]])
    model = LogisticFalkon(alpha=1e-6, random_state=0).fit(X, [0, 0, 1, 1])
    assert model.gradient_norm_ < 1e-6
    assert model.score(X, [0, 0, 1, 1]) == 1.0
    full = KernelLogisticClassifier(alpha=1e-6, solver="newton").fit(X, [0, 0, 1, 1])
    assert_allclose(model.decision_function(X), full.decision_function(X), rtol=1e-3)


def test_no_convergence_is_said(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    with pytest.warns(ConvergenceWarning, match=r"after 2 Newton steps the error of the logits at") as caught:
        model = LogisticFalkon(kernel=Gauss(), alpha=1e-3, n_centers=20, max_iter=2, random_state=0).fit(X, y)
    assert caught[0].filename == __file__
    assert model.n_iter_ == 2
    assert model.decrement_ > 1e-3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alpha": 0.0}, "alpha: expected a finite number above 0, got 0.0"),
        ({"alpha": np.inf}, "alpha: expected a finite number above 0"),
        ({"alpha": "gcv"}, "alpha: expected a finite number above 0"),
        ({"class_weight": {0: -1.0}}, "class_weight: expected finite numbers at least 0"),
        ({"n_centers": 2.5}, "n_centers: expected a whole number"),
        ({"max_iter": 0}, "max_iter: expected a whole number"),
        ({"tol": 0.0}, "tol: expected a number above 0"),
        ({"kernel": "precomputed"}, "takes no 'precomputed' matrix"),
    ],
)
def test_bad_parameters(data: tuple[np.ndarray, ...], parameters: dict[str, Any], message: str) -> None:
    X, y, _ = data
    with pytest.raises(ParameterError, match=message):
        LogisticFalkon(**{"kernel": Gauss(), **parameters}).fit(X, y)


def test_bad_input(data: tuple[np.ndarray, ...]) -> None:
    X, y, w = data
    with pytest.raises(InputError, match="expected at least 2 classes, got 1 class"):
        LogisticFalkon(kernel=Gauss()).fit(X, np.zeros(240))
    with pytest.raises(InputError, match="zero total weight"):
        LogisticFalkon(kernel=Gauss()).fit(X, y, np.where(y == 2, 0.0, w))
    with pytest.raises(ValueError, match="label type"):
        LogisticFalkon(kernel=Gauss()).fit(X, X[:, 0])
    with pytest.raises(InputError):
        LogisticFalkon(kernel=Gauss()).fit(X * np.nan, y)
    with pytest.raises(InputError):
        LogisticFalkon(kernel=Gauss()).fit(X[:5], y)


def test_values_that_are_not_finite_at_some_items_are_refused(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data

    def broken(X: Any, Y: Any) -> np.ndarray:
        return np.where(X[:, :1] > 1.5, np.nan, Gauss()(X, Y))

    good = X[:, 0] <= 1.5
    model = LogisticFalkon(kernel=broken, centers=X[good][:10], random_state=0)
    with pytest.raises(InputError, match="gave NaN or infinite values for these items"):
        model.fit(X, y)
    model.fit(X[good], y[good])
    with pytest.raises(InputError, match="gave NaN or infinite values for these items"):
        model.predict_proba(X)


def test_progress_is_counted(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    seen: list[tuple[int, int]] = []
    model = LogisticFalkon(
        kernel=Gauss(), n_centers=20, random_state=0, progress=lambda done, total: seen.append((done, total))
    ).fit(X, y)
    assert seen == [(i + 1, 100) for i in range(model.n_iter_)]
    with Progress(3, False) as bar:
        assert bar.done == 0


# -- claims ---------------------------------------------------------------------------------


def test_claims_are_the_catalogue_s_and_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    claims = {claim.measure.partition(":")[2]: claim for _, claim in claims_of(["solver.logistic_falkon"])}
    assert {name: (claim.threshold, claim.direction) for name, claim in claims.items()} == {
        "likelihood_ratio_power": (0.9, ">="),
        "likelihood_ratio_level": (0.035, "<="),
        "logistic_gradient": (1e-6, "<="),
        "full_logistic": (1e-5, "<="),
    }
    assert (claims_falkon.REFERENCE, claims_falkon.EXPECTED, claims_falkon.BUMP) == (4000, 400, 40)
    assert (claims_falkon.CENTERS, claims_falkon.LENGTHSCALE, claims_falkon.NULLS) == (40, 0.3, 200)
    for name, claim in claims.items():
        assert claim.cost <= FAST
        doc = getattr(claims_falkon, name).__doc__
        assert "Baseline" in doc
        assert "ours" in doc or "catalogue" in doc

    def count(reference: np.ndarray, data: np.ndarray, seed: int) -> float:
        return float(len(data))  # knows nothing of where the bump is: no test of the shape

    assert claims_falkon.power(1, count) < 0.9
    assert claims_falkon.classes_difference(1, 10) > 1e-5
    X, y = claims_falkon.two_classes(1)
    assert claims_falkon.start_gradient(X, y) > 1e-3


def test_the_statistic_is_the_likelihood_ratio_of_the_learnt_density() -> None:
    rng = np.random.default_rng(0)
    reference = rng.exponential(size=4000)
    alike = claims_falkon.likelihood_ratio(reference, rng.exponential(size=400), 0)
    bump = np.append(rng.exponential(size=400), rng.normal(2.5, 0.1, 40))
    assert 0 < alike < 45 < claims_falkon.likelihood_ratio(reference, bump, 0)
