"""The penalty by leave-one-out and by generalised cross-validation, and the factor in float32 that a fit refines.

Truth comes from fits without the item that is left out, from hat matrices formed column by column, and from residuals
in more than float64's precision; never from the closed forms themselves.
"""

from __future__ import annotations

import math
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize_scalar
from sklearn.base import clone
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import GridSearchCV
from solver_kernels import WORDS, Gauss, Indefinite, Spectrum

from kernreg_core.errors import InputError, KernregWarning, ParameterError
from kernreg_solvers import Falkon, FeatureRidge, KernelRidge
from kernreg_solvers.blocked import BlockFactor
from kernreg_solvers.dual import solve_dual
from kernreg_solvers.linalg import ShiftedSystem
from kernreg_solvers.mixed import LEAST, RefinedSolver, largest_eigenvalue, upper_times
from kernreg_solvers.penalty import DualPath, PrimalPath, checked_penalty, minimise

COLUMN = np.array([0])


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((40, 3))
    y = np.sin(X[:, 0]) + 0.3 * rng.standard_normal(40) + 2.0
    return X, y, rng.uniform(0.2, 3.0, 40)


def left_out(X: np.ndarray, y: np.ndarray, w: np.ndarray, alpha: float, intercept: bool) -> float:
    """By n refits without the item."""
    squares = 0.0
    for i in range(len(y)):
        rest = np.arange(len(y)) != i
        model = KernelRidge(kernel=Gauss(), alpha=alpha, fit_intercept=intercept).fit(X[rest], y[rest], w[rest])
        squares += w[i] * (y[i] - model.predict(X[i : i + 1])[0]) ** 2
    return squares / w.sum()


def gcv(X: np.ndarray, y: np.ndarray, w: np.ndarray, alpha: float, intercept: bool) -> float:
    """By the hat matrix, a column of which is the fit to a unit vector."""
    model = KernelRidge(kernel=Gauss(), alpha=alpha, fit_intercept=intercept)
    H = model.fit(X, np.eye(len(y)), w).predict(X)
    n = len(y)
    return float((w @ (y - H @ y) ** 2) / w.sum() / (1.0 - np.trace(H) / n) ** 2)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [1e-4, 0.3, 20.0])
def test_closed_forms_equal_refits_and_hat_matrices(
    data: tuple[np.ndarray, ...], intercept: bool, weighted: bool, alpha: float
) -> None:
    X, y, w = data
    roots = np.sqrt(w) if weighted else None
    w = w if weighted else np.ones(40)
    scaled = np.sqrt(w)[:, None]
    path = DualPath(Gauss()(X) * scaled * scaled.T, y[:, None] * scaled, roots, intercept)
    alphas = np.array([alpha])
    assert path.loo(alphas, COLUMN)[0, 0] == pytest.approx(left_out(X, y, w, alpha, intercept), rel=1e-8)
    assert path.gcv(alphas, COLUMN)[0, 0] == pytest.approx(gcv(X, y, w, alpha, intercept), rel=1e-8)
    C, b = path.solve(alphas)
    model = KernelRidge(kernel=Gauss(), alpha=alpha, fit_intercept=intercept).fit(X, y, w)
    assert_allclose(C[:, 0] * scaled[:, 0], model.dual_coef_, rtol=1e-7, atol=1e-9)
    assert b[0] == pytest.approx(model.intercept_, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("method", ["loo", "gcv"])
@pytest.mark.parametrize("intercept", [False, True])
def test_the_penalty_is_the_minimum_of_its_curve(data: tuple[np.ndarray, ...], method: str, intercept: bool) -> None:
    X, y, w = (part[:25] for part in data)
    y = y + np.random.default_rng(5).standard_normal(25) - (0.0 if intercept else 2.0)  # not to be interpolated
    model = KernelRidge(kernel=Gauss(), alpha=method, fit_intercept=intercept).fit(X, y, w)
    truth = {"loo": left_out, "gcv": gcv}[method]
    error = getattr(model, f"{method}_error_")
    assert error == pytest.approx(truth(X, y, w, model.alpha_, intercept), rel=1e-7)
    # a search of its own, on the logarithm, around the grid's best point
    found = minimize_scalar(
        lambda u: truth(X, y, w, math.exp(u), intercept),
        bounds=(math.log(model.alpha_) - 1, math.log(model.alpha_) + 1),
        method="bounded",
        options={"xatol": 1e-3},
    )
    assert error <= found.fun * (1 + 1e-7)
    assert model.alpha_ == pytest.approx(math.exp(found.x), rel=0.02)
    assert min(truth(X, y, w, a, intercept) for a in np.geomspace(1e-6, 1e3, 10)) >= error * (1 - 1e-9)
    given = KernelRidge(kernel=Gauss(), alpha=model.alpha_, fit_intercept=intercept).fit(X, y, w)
    assert_allclose(model.predict(X), given.predict(X), rtol=1e-9)
    assert given.alpha_ == model.alpha_
    assert not hasattr(given, f"{method}_error_")


def test_each_target_has_its_own_penalty(data: tuple[np.ndarray, ...]) -> None:
    X, y, w = data
    noise = np.random.default_rng(1).standard_normal(40)
    Y = np.column_stack([y, 1e4 * noise, X[:, 0]])
    model = KernelRidge(kernel=Gauss(), alpha="loo", fit_intercept=True).fit(X, Y, w)
    assert model.alpha_.shape == model.loo_error_.shape == (3,)
    for t in range(3):
        alone = KernelRidge(kernel=Gauss(), alpha="loo", fit_intercept=True).fit(X, Y[:, t], w)
        assert model.alpha_[t] == pytest.approx(alone.alpha_, rel=1e-8)
        assert model.loo_error_[t] == pytest.approx(alone.loo_error_, rel=1e-8)
        assert_allclose(model.predict(X)[:, t], alone.predict(X), rtol=1e-7)
    # smooth without noise: next to no penalty; noise alone: a large one
    assert model.alpha_[2] < 0.1 * model.alpha_[0] < model.alpha_[1]


def test_many_targets_are_taken_in_parts(data: tuple[np.ndarray, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    X, _, _ = data
    Y, alphas = np.random.default_rng(0).standard_normal((40, 7)), np.array([0.1, 3.0])
    path = DualPath(Gauss()(X), Y, None, True)
    whole = path.loo(alphas, np.arange(7))
    monkeypatch.setattr("kernreg_solvers.penalty._MOST", 200)
    assert_allclose(path.loo(alphas, np.arange(7)), whole, rtol=1e-12)


def test_it_agrees_with_scikit_learn_on_its_grid(data: tuple[np.ndarray, ...]) -> None:
    X, y, w = data
    alphas = np.geomspace(1e-2, 1e2, 9)
    peer = RidgeCV(alphas=alphas, fit_intercept=False, store_cv_results=True).fit(X, y - 2, w)
    path = DualPath((X @ X.T) * np.sqrt(np.outer(w, w)), ((y - 2) * np.sqrt(w))[:, None], np.sqrt(w), False)
    # scikit-learn sums errors that carry their weight, as does path.loo
    assert_allclose(path.loo(alphas, COLUMN)[:, 0], peer.cv_results_.sum(axis=0) / w.sum(), rtol=1e-9)


def test_an_item_without_weight_is_not_there(data: tuple[np.ndarray, ...]) -> None:
    X, y, w = data
    w[::3] = 0.0
    kept = w > 0
    for method in ("loo", "gcv"):
        model = KernelRidge(kernel=Gauss(), alpha=method, fit_intercept=True)
        some = clone(model).fit(X, y, w)
        fewer = clone(model).fit(X[kept], y[kept], w[kept])
        assert some.alpha_ == pytest.approx(fewer.alpha_, rel=1e-12)
        assert (some.dual_coef_[~kept] == 0).all()
        assert_allclose(some.predict(X), fewer.predict(X), rtol=1e-12)


def test_scaling_the_weights_scales_the_penalty(data: tuple[np.ndarray, ...]) -> None:
    X, y, w = data
    one, ten = (KernelRidge(kernel=Gauss(), alpha="gcv").fit(X, y, s * w) for s in (1.0, 10.0))
    assert ten.alpha_ == pytest.approx(10.0 * one.alpha_, rel=1e-3)
    assert ten.gcv_error_ == pytest.approx(one.gcv_error_, rel=1e-8)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_primal_form_is_the_dual_one(data: tuple[np.ndarray, ...], intercept: bool, weighted: bool) -> None:
    X, y, w = data
    w = w if weighted else np.ones(40)
    roots = np.sqrt(w)
    alphas = np.array([1e-3, 0.5, 30.0])
    dual = DualPath((X @ X.T) * np.outer(roots, roots), (y * roots)[:, None], roots, intercept)
    Z, v = X, y
    if intercept:
        Z, v = X - w @ X / w.sum(), y - w @ y / w.sum()
    primal = PrimalPath((Z * w[:, None]).T @ Z, (Z.T @ (w * v))[:, None], np.array([w @ v**2]), 40, w.sum(), intercept)
    assert_allclose(primal.gcv(alphas, COLUMN), dual.gcv(alphas, COLUMN), rtol=1e-10)
    sums = primal.left_out(Z @ primal.vectors, v[:, None], w if weighted else None, alphas)
    assert_allclose(sums / w.sum(), dual.loo(alphas, COLUMN), rtol=1e-10)
    C, _ = dual.solve(alphas[:1])
    assert_allclose(primal.solve(alphas[:1]), X.T @ (C * roots[:, None]), rtol=1e-8)


def test_rounding_has_no_minimum_of_its_own() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 3))
    y = np.sin(2 * X[:, 0]) + X[:, 1] + 0.1 * rng.standard_normal(400)
    # three directions and 397 that are rounding; the curve from the singular values of X alone
    U, s, _ = np.linalg.svd(X, full_matrices=False)

    def gcv(alpha: float) -> float:
        left = alpha / (s**2 + alpha)
        rest = y - U @ (U.T @ y)
        return float(400 * (rest @ rest + (left * (U.T @ y)) @ (left * (U.T @ y))) / (397 + left.sum()) ** 2)

    grid = np.geomspace(1e-12, 1e4, 3201)
    best = grid[np.argmin([gcv(a) for a in grid])]
    assert 0.1 < best < 10.0
    for model in (
        KernelRidge(alpha="gcv"),
        FeatureRidge(alpha="gcv"),
        Falkon(alpha="gcv", n_centers=150, random_state=0),
    ):
        found = model.fit(X, y)
        assert found.alpha_ == pytest.approx(best, rel=0.02)
        assert found.gcv_error_ == pytest.approx(gcv(best), rel=1e-6)
    # as many columns as items: sums of squares and degrees of freedom are all but used up at small penalties
    K = np.exp(-np.sqrt(((X[:, None] - X) ** 2).sum(-1)))
    L = np.linalg.cholesky(K)
    alphas = np.geomspace(1e-10, 1.0, 11)
    primal = PrimalPath(L.T @ L, (L.T @ y)[:, None], np.array([y @ y]), 400, 400.0, False)
    found, exact = primal.gcv(alphas, COLUMN), DualPath(K.copy(), y[:, None]).gcv(alphas, COLUMN)
    assert_allclose(found[alphas > 1e-3], exact[alphas > 1e-3], rtol=1e-6)
    assert (found > exact * (1 - 1e-6)).all()  # never less than it is, so that no penalty wins by rounding


def test_a_kernel_that_is_zero_leaves_the_mean() -> None:
    X, y = np.zeros((30, 2)), np.arange(30.0)
    for method in ("gcv", "loo"):
        for solver in (KernelRidge, FeatureRidge):  # warnings are errors
            assert_allclose(solver(alpha=method, fit_intercept=True).fit(X, y).predict(X), 14.5)
            assert (solver(alpha=method).fit(X, y).predict(X) == 0).all()


def test_centring_leaves_the_rounding_of_what_it_removes() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 3))
    y = np.sin(2 * X[:, 0]) + X[:, 1] + 0.1 * rng.standard_normal(300)

    def wide(X: Any, Y: Any) -> np.ndarray:  # nearly constant: the means are most of it
        return np.exp(-((X[:, None] - Y) ** 2).sum(-1) / 18)

    exact = KernelRidge(kernel=wide, alpha="gcv", fit_intercept=True).fit(X, y)
    model = Falkon(kernel=wide, alpha="gcv", n_centers=300, fit_intercept=True, random_state=0).fit(X, y)
    assert model.alpha_ == pytest.approx(exact.alpha_, rel=0.05)
    assert model.gcv_error_ == pytest.approx(exact.gcv_error_, rel=1e-3)


def test_no_signal_and_no_noise() -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((50, 2))
    noise = KernelRidge(kernel=Gauss(), alpha="gcv", fit_intercept=True).fit(X, rng.standard_normal(50))
    assert noise.alpha_ > 1.0
    constant = KernelRidge(kernel=Gauss(), alpha="loo", fit_intercept=True).fit(X, np.full(50, 3.0))
    assert_allclose(constant.predict(X), 3.0)
    exact = KernelRidge(alpha="loo", fit_intercept=True).fit(X, X @ [1.0, -2.0] + 1.0)
    assert_allclose(exact.predict(X), X @ [1.0, -2.0] + 1.0, rtol=1e-6)
    assert exact.loo_error_ < 1e-10


def test_few_items_and_repeated_ones(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    for method in ("loo", "gcv"):
        one = KernelRidge(kernel=Gauss(), alpha=method).fit(X[:1], y[:1])
        assert np.isfinite(one.predict(X)).all()
        two = KernelRidge(kernel=Gauss(), alpha=method, fit_intercept=True).fit(X[:2], y[:2])
        assert np.isfinite(two.predict(X)).all()
        with pytest.raises(InputError, match="at least 2 items"):
            KernelRidge(kernel=Gauss(), alpha=method, fit_intercept=True).fit(X[:1], y[:1])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            twice = KernelRidge(kernel=Gauss(), alpha=method).fit(np.vstack([X, X]), np.append(y, y))
        assert np.isfinite(twice.predict(X)).all()


def test_an_indefinite_kernel_is_searched_where_it_has_a_minimum(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    smallest = np.linalg.eigvalsh(Indefinite()(X))[0]
    model = KernelRidge(kernel=Indefinite(), alpha="loo").fit(X, y)
    assert model.alpha_ > -smallest > 0


def test_strings_matrices_and_searches(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    lengths = [float(len(word)) for word in WORDS]
    model = KernelRidge(kernel=Spectrum(), alpha="loo").fit(WORDS, lengths)
    given = KernelRidge(kernel="precomputed", alpha="loo").fit(Spectrum()(WORDS), lengths)
    assert model.alpha_ == given.alpha_ > 0
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict(WORDS), model.predict(WORDS))
    search = GridSearchCV(KernelRidge(kernel=Gauss()), {"alpha": ["loo", 1e4]}, cv=3).fit(X, y)
    assert search.best_params_ == {"alpha": "loo"}


@pytest.mark.parametrize("alpha", ["LOO", "", "cv"])
def test_another_word_is_refused(data: tuple[np.ndarray, ...], alpha: str) -> None:
    X, y, _ = data
    with pytest.raises(ParameterError, match=r"alpha: expected a number at least 0, or 'loo', or 'gcv', got"):
        KernelRidge(alpha=alpha).fit(X, y)


def test_penalties_are_checked() -> None:
    assert checked_penalty(2, 3).tolist() == [2.0, 2.0, 2.0]
    assert checked_penalty("gcv", 3, ("gcv",)) == "gcv"
    for wrong, message in (
        ("gcv", "got 'gcv'"),
        (-1.0, "at least 0"),
        (np.nan, "finite"),
        ([1.0, 2.0], "expected one number, or 3"),
        (object(), "got object"),
    ):
        with pytest.raises(ParameterError, match=message):
            checked_penalty(wrong, 3)


def test_a_minimum_between_points_of_the_grid_and_at_its_ends() -> None:
    def curve(alphas: np.ndarray, columns: np.ndarray) -> np.ndarray:
        targets = np.array([0.0123, 1e9, 1e-9])[columns]
        return np.square(np.log(alphas[:, None] / targets))

    found = minimise(curve, 3, 1e-6, 1e6)
    assert_allclose(found.alphas, [0.0123, 1e6, 1e-6], rtol=3e-4)


# -- the factor in float32 -------------------------------------------------------------------


def hard(n: int, d: int = 4, lengthscale: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    X = rng.standard_normal((n, d))
    return Gauss(lengthscale=lengthscale)(X), rng.standard_normal((n, 2))


def residual(K: np.ndarray, alpha: float, x: np.ndarray, B: np.ndarray) -> np.ndarray:
    """Backward error of each column, in extended precision where the machine has it."""
    wide = K.astype(np.longdouble)
    r = B - wide @ x.astype(np.longdouble) - alpha * x.astype(np.longdouble)
    size = float(np.linalg.norm(K)) + alpha
    return np.asarray(np.linalg.norm(r.astype(float), axis=0) / (size * np.linalg.norm(x, axis=0)))


@pytest.mark.parametrize("alpha", [10.0, 2e-3])
def test_refinement_reaches_the_residual_of_float64(alpha: float) -> None:
    n = LEAST + 37  # a last block that is not full
    K, B = hard(n)
    upper = np.triu(K)
    expected = ShiftedSystem(K.copy(), alpha).solve(B)
    solver, work = RefinedSolver(work_of := K.copy()), work_of
    x = solver.solve(alpha, B)
    assert x is not None
    assert (residual(K, alpha, x, B) <= 2 * residual(K, alpha, expected, B) + 1e-16).all()
    assert_allclose(x, expected, rtol=1e-7, atol=1e-9 * np.abs(expected).max())
    # the exact matrix stays in the upper triangle, and comes back
    assert np.array_equal(np.triu(work), upper)
    assert not np.array_equal(work, K)
    solver.restore()
    assert np.array_equal(work, K)


def test_what_float32_cannot_solve_is_left_to_float64() -> None:
    K, B = hard(LEAST)
    for alpha in (1e-9, 0.0):
        assert RefinedSolver(K).solve(alpha, B) is None
    assert RefinedSolver(K[:500, :500].copy()).solve(0.1, B[:500]) is None
    assert RefinedSolver(K).solve(0.1, np.zeros((LEAST, LEAST // 40))) is None
    # not positive definite, and not finite in float32
    shifted = K - 0.5 * np.eye(LEAST)
    assert RefinedSolver(shifted.copy()).solve(0.1, B) is None
    assert not BlockFactor(shifted.copy(), 0.1).complete
    assert RefinedSolver(K * 1e40).solve(1e40, B) is None
    solver = RefinedSolver(work := shifted.copy())
    assert solver.solve(0.1, B) is None
    solver.restore()
    assert np.array_equal(work, shifted)


@pytest.mark.parametrize("n", [1, 255, 256, 257, 700])
def test_a_factor_in_blocks_is_lapack_s(n: int) -> None:
    K, B = hard(n)
    before = K.copy()
    factor = BlockFactor(K, 0.3, np.float64)
    assert factor.complete
    assert np.array_equal(np.triu(K), np.triu(before))
    assert_allclose(factor.solve(B), np.linalg.solve(before + 0.3 * np.eye(n), B), rtol=1e-9, atol=1e-11)
    factor.put_corners()
    assert_allclose(np.tril(K), np.linalg.cholesky(before + 0.3 * np.eye(n)), rtol=1e-9, atol=1e-11)
    assert not BlockFactor(before - 2 * np.eye(n), 0.3, np.float64).complete


def test_large_matrices_are_not_left_to_threads_of_blas(monkeypatch: pytest.MonkeyPatch) -> None:
    K, B = hard(700)
    expected = ShiftedSystem(K.copy(), 0.3).solve(B)
    monkeypatch.setattr("kernreg_solvers.linalg._LARGE", 600)
    monkeypatch.setenv("KERNREG_NUM_THREADS", "2")
    monkeypatch.setattr("kernreg_solvers.linalg.lapack.dpotrf", None)
    for definite in (False, True):
        system = ShiftedSystem(K.copy(), 0.3, definite)
        assert system.eigenvalues is None
        assert_allclose(system.solve(B), expected, rtol=1e-9, atol=1e-11)
    indefinite = K - 0.5 * np.eye(700)
    system = ShiftedSystem(indefinite.copy(), 0.3)
    assert system.eigenvalues is not None
    assert_allclose((indefinite + 0.3 * np.eye(700)) @ system.solve(B), B, atol=1e-8)


def test_the_largest_eigenvalue_and_products_with_a_triangle() -> None:
    K, _ = hard(300)
    exact = float(np.linalg.eigvalsh(K)[-1])
    assert 0.5 * exact < largest_eigenvalue(K) <= exact * (1 + 1e-12)
    V = np.random.default_rng(0).standard_normal((300, 7))
    upper = np.triu(K)
    assert_allclose(upper_times(upper, V), K @ V, rtol=1e-12)
    assert_allclose(upper_times(upper, V[:, :2]), K @ V[:, :2], rtol=1e-12)


@pytest.mark.parametrize("intercept", [False, True])
def test_a_fit_of_many_rows_is_that_of_float64(intercept: bool) -> None:
    K, Y = hard(LEAST + 5)
    weights = np.random.default_rng(0).uniform(0.1, 2.0, len(K))
    for alphas in ([0.1, 0.1], [1e-6, 0.5]):
        found = solve_dual(K.copy(), Y, np.array(alphas), weights=weights, intercept=intercept)
        for t, alpha in enumerate(alphas):
            system = K + np.diag(alpha / weights)
            border = np.ones((len(K), int(intercept)))
            full = np.block([[system, border], [border.T, np.zeros((int(intercept),) * 2)]])
            exact = np.linalg.solve(full, np.append(Y[:, t], [0.0] * intercept))
            fitted = K @ found.coefficients[:, t] + found.intercepts[t]
            assert_allclose(fitted, K @ exact[: len(K)] + (exact[-1] if intercept else 0.0), rtol=1e-6, atol=1e-7)


def test_the_warning_of_a_large_indefinite_matrix_stays() -> None:
    K, Y = hard(LEAST)
    K -= 0.5 * np.eye(LEAST)
    with pytest.warns(KernregWarning, match="not positive semi-definite"):
        found = solve_dual(K.copy(), Y, np.full(2, 0.1))
    assert_allclose((K + 0.1 * np.eye(LEAST)) @ found.coefficients, Y, atol=1e-7)
