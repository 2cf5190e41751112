"""Falkon against the normal equations on its centres, and its parts against dense formulas."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from falkon_cases import NOT_KEPT, moments_of, span_of
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from solver_kernels import WORDS, Gauss, Indefinite, Letters, Spectrum, Whitened

import kernreg_core as kr
from kernreg_core.claims import FAST, claims_of
from kernreg_core.errors import InputError, KernregWarning, ParameterError
from kernreg_solvers import EigenPro3, Falkon, KernelRidge, NotFittedError, claims_falkon, falkon_ridge
from kernreg_solvers.falkon_span import CentreRows, Moments, Preconditioner, Span, draw_rows, sample_size

LENGTHS = np.array([float(len(word)) for word in WORDS])


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 3))
    return X, np.sin(X[:, 0]) + 0.1 * rng.standard_normal(300) + 5.0, rng.integers(0, 4, 300).astype(float)


def dense(X: np.ndarray, Z: np.ndarray, y: np.ndarray, alpha: float, w: np.ndarray, intercept: bool) -> np.ndarray:
    """Predictions of the minimiser, by the normal equations with an intercept as a column of ones."""
    K, penalty = Gauss()(X, Z), alpha * Gauss()(Z, Z)
    if intercept:
        K = np.column_stack([K, np.ones(len(X))])
        penalty = np.pad(penalty, (0, 1))
    return K @ np.linalg.solve(K.T @ (w[:, None] * K) + penalty, K.T @ (w * y))


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("budget", [None, NOT_KEPT])
def test_it_is_the_solution_of_the_normal_equations(
    data: tuple[np.ndarray, ...], intercept: bool, weighted: bool, budget: int | None
) -> None:
    X, y, w = data
    weights = w if weighted else np.ones(300)
    model = Falkon(
        kernel=Gauss(),
        alpha=0.05,
        n_centers=25,
        fit_intercept=intercept,
        tol=1e-10,
        memory_budget=budget,
        random_state=0,
    ).fit(X, y, w if weighted else None)
    assert model.n_centers_ == len(model.centers_) == 25
    assert np.array_equal(model.centers_, X[model.center_indices_])
    assert_allclose(model.predict(X), dense(X, model.centers_, y, 0.05, weights, intercept), rtol=1e-7)
    assert model.residual_ <= 1e-10
    # the residual is that of the normal equations, in the norm of their exact inverse, to which P is near
    K = Gauss()(X, model.centers_)
    gradient = (
        K.T @ (weights * (y - K @ model.dual_coef_ - model.intercept_))
        - 0.05 * Gauss()(model.centers_) @ model.dual_coef_
    )
    assert np.abs(gradient).max() < 1e-6 * np.abs(K.T @ (weights * y)).max()


def test_with_all_items_as_centres_it_is_kernel_ridge_regression(data: tuple[np.ndarray, ...]) -> None:
    X, y, w = data
    for intercept in (False, True):
        exact = KernelRidge(kernel=Gauss(lengthscale=0.5), alpha=0.5, fit_intercept=intercept).fit(X, y, w)
        model = Falkon(
            kernel=Gauss(lengthscale=0.5), alpha=0.5, n_centers=300, fit_intercept=intercept, tol=1e-9, random_state=0
        ).fit(X, y, w)
        assert_allclose(model.predict(X), exact.predict(X), rtol=1e-7)


def test_several_targets_with_a_penalty_each(data: tuple[np.ndarray, ...]) -> None:
    X, y, w = data
    Y, alphas = np.column_stack([y, y**2, -y, 0 * y]), [0.1, 3.0, 0.1, 0.1]
    model = Falkon(kernel=Gauss(), alpha=alphas, n_centers=20, tol=1e-10, random_state=0).fit(X, Y, w)
    for t, alpha in enumerate(alphas):
        assert_allclose(
            model.predict(X)[:, t], dense(X, model.centers_, Y[:, t], alpha, w, False), rtol=1e-6, atol=1e-9
        )
    assert model.dual_coef_.shape == (20, 4)
    assert (model.dual_coef_[:, 3] == 0).all()


def test_generalised_cross_validation_chooses_the_penalty(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    Y = np.column_stack([y, np.random.default_rng(1).standard_normal(300)])
    model = Falkon(kernel=Gauss(), alpha="gcv", n_centers=20, fit_intercept=True, random_state=0).fit(X, Y)
    Z = model.centers_

    def gcv(t: int, alpha: float) -> float:
        # n |(I - S) y|^2 / tr(I - S)^2, S the matrix that takes targets to predictions
        S = np.column_stack([dense(X, Z, e, alpha, np.ones(300), True) for e in np.eye(300)])
        rest = np.eye(300) - S
        return float(300 * np.sum((rest @ Y[:, t]) ** 2) / np.trace(rest) ** 2)

    for t in range(2):
        alpha = model.alpha_[t]
        assert model.gcv_error_[t] == pytest.approx(gcv(t, alpha), rel=1e-5)
        assert gcv(t, alpha) <= min(gcv(t, alpha * 1.5), gcv(t, alpha / 1.5)) * (1 + 1e-6)
        expected = dense(X, Z, Y[:, t], alpha, np.ones(300), True)
        assert_allclose(model.predict(X)[:, t], expected, rtol=1e-5, atol=1e-6)
    doubled = clone(model).set_params(centers=Z).fit(X, Y, np.full(300, 2.0))
    assert_allclose(doubled.alpha_, 2 * model.alpha_, rtol=1e-4)
    assert_allclose(doubled.predict(X), model.predict(X), rtol=1e-5, atol=1e-6)


def test_an_integer_weight_counts_as_repeated_rows(data: tuple[np.ndarray, ...]) -> None:
    X, y, w = data
    model = Falkon(kernel=Gauss(), alpha=0.3, centers=X[:20], fit_intercept=True, tol=1e-11, random_state=0)
    weighted = clone(model).fit(X, y, w).predict(X)
    repeated = clone(model).fit(X.repeat(w.astype(int), axis=0), y.repeat(w.astype(int))).predict(X)
    assert_allclose(weighted, repeated, rtol=1e-8)


# -- the parts ------------------------------------------------------------------------------


def test_coordinates_are_orthonormal(data: tuple[np.ndarray, ...]) -> None:
    X, _, w = data
    span, operator, phi = span_of(Gauss(), X, X[:20])
    A = np.random.default_rng(0).standard_normal((20, 2))
    U = span.L.T @ A
    assert_allclose(span.coefficients(U), A, rtol=1e-8)
    assert_allclose(phi @ U, Gauss()(X, X[:20]) @ A, rtol=1e-9, atol=1e-9)  # f(x_i) = phi_i^T u
    assert (U * U).sum(axis=0) == pytest.approx(np.einsum("it,ij,jt->t", A, Gauss()(X[:20]), A))  # |f| = |u|
    assert_allclose(span.whiten(Gauss()(X[:20], X) @ w), phi.T @ w, rtol=1e-8)
    moments = moments_of(span, operator, 300, w)
    assert_allclose(np.tril(moments.square), np.tril(phi.T @ (w[:, None] * phi)), rtol=1e-8, atol=1e-8)
    assert_allclose(moments.first, phi.T @ w, rtol=1e-9, atol=1e-9)
    assert moments.total == w.sum()
    # the rows of the centres are those of L
    own = Moments(20).add(CentreRows(span, np.arange(20)), w[:20])
    assert_allclose(np.tril(own.square), np.tril(span.L.T @ (w[:20, None] * span.L)), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("intercept", [False, True])
def test_the_preconditioner_of_all_rows_is_the_inverse(data: tuple[np.ndarray, ...], intercept: bool) -> None:
    X, _, w = data
    span, operator, _ = span_of(Gauss(), X, X[:15])
    P = Preconditioner(moments_of(span, operator, 300, w), float(w.sum()), 0.7, intercept)
    K = Gauss()(X, X[:15])
    H = K.T @ (w[:, None] * K) + 0.7 * Gauss()(X[:15])
    R, r = np.random.default_rng(0).standard_normal((15, 2)), np.array([1.0, -2.0])
    if intercept:
        edge = K.T @ w
        full = np.linalg.solve(np.block([[H, edge[:, None]], [edge[None], np.array([[w.sum()]])]]), np.vstack([R, r]))
    else:
        full = np.vstack([np.linalg.solve(H, R), np.zeros(2)])
    U, b = P(span.whiten(R), r)
    assert_allclose(span.coefficients(U), full[:-1], rtol=1e-6)
    assert_allclose(b, full[-1], rtol=1e-7)
    # tr C (C + alpha)^-1, estimated from eight random signs
    C = np.linalg.solve(span.L, np.linalg.solve(span.L, K.T @ (w[:, None] * K)).T)
    C -= intercept * np.outer(*[np.linalg.solve(span.L, K.T @ w)] * 2) / w.sum()
    assert P.effective_dimension() == pytest.approx(np.trace(np.linalg.solve(C + 0.7 * np.eye(15), C)), rel=0.15)


def test_more_rows_are_taken_where_they_save_passes() -> None:
    assert sample_size(10**6, 1000, 100.0, 1e-6) < 10**6
    assert sample_size(10**5, 1000, 900.0, 1e-6) > sample_size(10**5, 1000, 50.0, 1e-6) > 1000
    # fewer where passes cost little, or the normal matrix is formed often
    assert sample_size(10**5, 1000, 300.0, 1e-6) > sample_size(10**5, 1000, 300.0, 1e-6, kept=1.0)
    assert sample_size(10**5, 1000, 300.0, 1e-6, kept=1.0) > sample_size(10**5, 1000, 300.0, 1e-6, kept=1.0, rounds=10)
    assert sample_size(1200, 1000, 900.0, 1e-6) == 1200  # all rows: the direct solution
    weights = np.array([0.0, 3.0, 0.0, 1.0])
    index = draw_rows(4, 4000, weights, np.random.RandomState(0))
    assert set(index) == {1, 3}
    assert (index == 1).mean() == pytest.approx(0.75, abs=0.03)
    assert (np.diff(index) >= 0).all()


def test_a_sample_that_proves_too_small_grows() -> None:
    # a small penalty and a rough kernel: rows of the centres alone make a poor preconditioner
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4000, 6))
    y = rng.standard_normal(4000)
    model = Falkon(kernel=Gauss(lengthscale=1.0), alpha=1e-4, n_centers=150, tol=1e-8, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, y)
    K = Gauss()(X, model.centers_)
    expected = K @ np.linalg.solve(K.T @ K + 1e-4 * Gauss()(model.centers_), K.T @ y)
    assert_allclose(model.predict(X), expected, atol=1e-6)
    assert model.n_iter_ < 100


# -- domains, libraries, dtypes ---------------------------------------------------------------


@pytest.mark.parametrize("kernel", [Spectrum(), Letters(), Letters() + Spectrum()])
def test_lists_of_strings(kernel: Any) -> None:
    model = Falkon(kernel=kernel, alpha=0.5, n_centers=12, tol=1e-10, random_state=0).fit(WORDS, LENGTHS)
    exact = KernelRidge(kernel=kernel, alpha=0.5).fit(WORDS, LENGTHS).predict(WORDS)
    assert_allclose(model.predict(WORDS), exact, rtol=1e-6)
    assert isinstance(model.centers_, list)
    assert sorted(model.centers_) == sorted(WORDS)
    few = clone(model).set_params(n_centers=4).fit(WORDS, LENGTHS)
    given = clone(model).set_params(centers=few.centers_).fit(WORDS, LENGTHS)
    assert given.center_indices_ is None
    assert_allclose(given.predict(WORDS[:3]), few.predict(WORDS)[:3], rtol=1e-7)


class Fixed:
    """A selector that gives what it is told."""

    def __init__(self, index: list[int]) -> None:
        self.index = index

    def select(self, X: Any, n: int) -> np.ndarray:
        return np.array(self.index)


def test_a_selector_picks_the_centres(data: tuple[np.ndarray, ...]) -> None:
    class First:
        """The first items, and what it was given."""

        def __init__(self, *, kernel: Any = None, rng: Any = None) -> None:
            self.kernel, self.rng = kernel, rng

        def get_params(self, deep: bool = True) -> dict[str, Any]:
            return {"kernel": self.kernel, "rng": self.rng}

        def set_params(self, **params: Any) -> First:
            self.__dict__.update(params)
            return self

        def select(self, X: Any, n: int) -> np.ndarray:
            assert isinstance(self.kernel, Gauss)
            assert isinstance(self.rng, int)
            return np.arange(n)

    X, y, w = data
    model = Falkon(kernel=Gauss(), n_centers=9, selector=First(), tol=1e-10, random_state=0).fit(X, y, w)
    assert np.array_equal(model.center_indices_, np.arange(9))
    assert_allclose(model.predict(X), dense(X, X[:9], y, 1.0, w, False), rtol=1e-7)
    for outside in ([0, 300], [-1, 3]):
        with pytest.raises(InputError, match="selector: expected indices of the 300 items"):
            Falkon(kernel=Gauss(), selector=Fixed(outside)).fit(X, y)
    with pytest.raises(ParameterError, match="selector: expected a selector with select"):
        Falkon(kernel=Gauss(), selector=3).fit(X, y)


def test_a_kernel_that_has_to_be_fitted(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    model = Falkon(kernel=Whitened(), n_centers=40, tol=1e-9, random_state=0).fit(X, y)
    assert_allclose(model.predict(X), KernelRidge(kernel=Whitened()).fit(X, y).predict(X), rtol=1e-6, atol=1e-6)


def test_a_file_is_read_in_blocks(data: tuple[np.ndarray, ...], tmp_path: Any) -> None:
    X, y, _ = data
    for dtype in (np.float64, np.float32):
        np.save(tmp_path / "X.npy", X.astype(dtype))
        mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
        model = Falkon(kernel=Gauss(), n_centers=20, memory_budget=NOT_KEPT, random_state=0).fit(mapped, y)
        assert model.centers_.dtype == dtype
        assert_allclose(
            model.predict(mapped), dense(X, X[model.center_indices_], y, 1.0, np.ones(300), False), rtol=1e-4
        )


def test_float32_is_left_where_its_rounding_is_seen(data: tuple[np.ndarray, ...]) -> None:
    X, _, _ = data
    X = X.astype(np.float32)
    y = np.sin(X[:, 0].astype(float))  # without noise
    smooth = Falkon(kernel=Gauss(lengthscale=3.0), alpha=1e-9, n_centers=60, max_iter=1000, random_state=0).fit(X, y)
    double = clone(smooth).fit(X.astype(float), y)
    assert_allclose(smooth.predict(X), double.predict(X.astype(float)), atol=1e-6)
    assert np.sqrt(np.mean((smooth.predict(X) - y) ** 2)) < 1e-2
    assert smooth._in_float64
    noisy = Falkon(kernel=Gauss(), n_centers=20, random_state=0).fit(
        X, y + np.random.default_rng(0).standard_normal(300)
    )
    assert not noisy._in_float64


def test_tensors(data: tuple[np.ndarray, ...]) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    X, y, w = data
    model = Falkon(kernel=Gauss(), alpha=0.1, n_centers=20, fit_intercept=True, tol=1e-10, random_state=0)
    exact = clone(model).fit(X, y, w).predict(X)
    for budget in (None, NOT_KEPT):
        found = (
            clone(model).set_params(memory_budget=budget).fit(torch.tensor(X, requires_grad=True), torch.tensor(y), w)
        )
        assert isinstance(found.centers_, torch.Tensor)
        assert isinstance(found.dual_coef_, np.ndarray)
        for new in (torch.tensor(X), X):
            assert isinstance(found.predict(new), np.ndarray)
            assert_allclose(found.predict(new), exact, rtol=1e-7)
    single = clone(model).set_params(tol=1e-6).fit(torch.tensor(X, dtype=torch.float32), y, w)
    assert_allclose(single.predict(torch.tensor(X, dtype=torch.float32)), exact, rtol=1e-3)


def test_inside_scikit_learn_s_tools(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    model = make_pipeline(StandardScaler(), Falkon(kernel=Gauss(), n_centers=30, fit_intercept=True, random_state=0))
    search = GridSearchCV(model, {"falkon__kernel__lengthscale": [0.01, 1.0], "falkon__alpha": [0.1]}, cv=3).fit(X, y)
    assert search.best_params_["falkon__kernel__lengthscale"] == 1.0
    fitted = search.best_estimator_[-1]
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict(X), fitted.predict(X))
    with pytest.raises(NotFittedError):
        clone(fitted).predict(X)


def test_the_same_seed_gives_the_same_bits(data: tuple[np.ndarray, ...]) -> None:
    X, y, w = data
    fits = [Falkon(kernel=Gauss(), n_centers=10, random_state=seed).fit(X, y, w).dual_coef_ for seed in (1, 1, 2)]
    assert np.array_equal(fits[0], fits[1])
    assert not np.array_equal(fits[0], fits[2])


# -- what goes wrong ------------------------------------------------------------------------


def test_no_convergence_is_said_with_the_residual(
    data: tuple[np.ndarray, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    X, y, _ = data
    monkeypatch.setattr(
        falkon_ridge, "sample_size", lambda *a, **k: 0
    )  # the preconditioner has the centres' rows alone
    with pytest.warns(
        ConvergenceWarning, match=r"after 1 steps the relative residual at .*, above tol=1e-09"
    ) as caught:
        model = Falkon(kernel=Gauss(), n_centers=20, tol=1e-9, max_iter=1, random_state=0).fit(X, y)
    assert caught[0].filename == __file__
    assert model.residual_ > 1e-9


def test_repeated_centres_and_indefinite_kernels(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    twice = Falkon(kernel=Gauss(), centers=np.vstack([X[:10], X[:10]]), tol=1e-8, random_state=0).fit(X, y)
    once = Falkon(kernel=Gauss(), centers=X[:10], tol=1e-8, random_state=0).fit(X, y)
    assert 0.0 < twice.jitter_ < 1e-10
    assert once.jitter_ == 0.0
    assert_allclose(twice.predict(X), once.predict(X), rtol=1e-6)
    with pytest.raises(InputError, match=r"eigenvalue -.*Falkon takes a positive semi-definite kernel"):
        Falkon(kernel=Indefinite(), n_centers=30, random_state=0).fit(X, y)

    def slightly(X: Any, Y: Any) -> np.ndarray:
        K = Gauss()(X, Y)
        return K - 3e-8 * np.eye(20) if len(X) == 20 == len(Y) else K

    with pytest.warns(KernregWarning, match="positive definite only with jitter_"):
        model = Falkon(kernel=slightly, centers=np.vstack([X[:10], X[:10]]), alpha=1e-7, random_state=0).fit(X, y)
    assert 1e-8 < model.jitter_ < 1e-6


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alpha": 0.0}, "alpha: expected numbers above 0"),
        ({"alpha": "loo"}, "alpha: expected a number at least 0, or 'gcv', got 'loo'"),
        ({"n_centers": 0}, "n_centers: expected a whole number at least 1"),
        ({"centers": np.ones((3, 2))}, "centers: expected items of 3 features"),
        ({"max_iter": 0}, "max_iter: expected a whole number"),
        ({"memory_budget": -1}, "memory_budget: expected a whole number"),
        ({"tol": 1.0}, "tol: expected a number above 0 and below 1"),
        ({"kernel": "precomputed"}, "takes no 'precomputed' matrix"),
        ({"progress": 3}, "progress"),
    ],
)
def test_bad_parameters(data: tuple[np.ndarray, ...], parameters: dict[str, Any], message: str) -> None:
    X, y, _ = data
    with pytest.raises(ParameterError, match=message):
        Falkon(**{"kernel": Gauss(), **parameters}).fit(X, y)


def test_bad_input(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    for bad in ((X[:5], y), (X, np.where(y > 5, np.nan, y)), (X * np.nan, y)):
        with pytest.raises(InputError):
            Falkon(kernel=Gauss()).fit(*bad)
    with pytest.raises(InputError, match="NaN or infinite"):
        Falkon(kernel=lambda X, Y: np.full((len(X), len(Y)), np.inf)).fit(X, y)
    with pytest.raises(InputError, match="zero at every centre"):
        Falkon().fit(np.zeros((5, 2)), y[:5])
    model = Falkon(kernel=Gauss(), n_centers=5, random_state=0).fit(X, y)
    with pytest.raises(InputError):
        model.predict(X[:, :2])


def test_given_centres_are_copied_and_checked(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    for solver in (Falkon, EigenPro3):
        Z = X[:20].copy()
        model = solver(kernel=Gauss(), centers=Z, random_state=0).fit(X, y)
        before = model.predict(X)
        Z[:] = 0.0
        assert np.array_equal(model.predict(X), before)
        words = WORDS[:4]
        listed = solver(kernel=Spectrum(), centers=words, random_state=0).fit(WORDS, LENGTHS)
        words.clear()
        assert listed.predict(WORDS).shape == LENGTHS.shape
        rows = sparse.csr_matrix(np.where(X > 0, X, 0.0))
        dense_ = solver(centers=rows[:3].toarray(), random_state=0).fit(rows.toarray(), y)
        for centers in (rows[:3], rows[:3].toarray()):
            assert_allclose(
                solver(centers=centers, random_state=0).fit(rows, y).predict(rows), dense_.predict(rows.toarray())
            )
        for bad in (X[:3] * np.nan, "abc", [["a", "b", "c"]], X[0], X[:0], 5):
            with pytest.raises(ParameterError, match="centers: expected"):
                solver(kernel=Gauss(), centers=bad).fit(X, y)
        for bad in ("abc", [], 5):
            with pytest.raises(ParameterError, match="centers: expected items as in X"):
                solver(kernel=Spectrum(), centers=bad).fit(WORDS, LENGTHS)


def test_values_that_are_not_finite_at_some_items_are_refused(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data

    def broken(X: Any, Y: Any) -> np.ndarray:
        return np.where(X[:, :1] > 1.5, np.nan, Gauss()(X, Y))

    good = X[:, 0] <= 1.5
    for alpha in (1.0, "gcv"):
        model = Falkon(kernel=broken, alpha=alpha, centers=X[good][:10], random_state=0)
        with pytest.raises(InputError, match="gave NaN or infinite values for these items"):
            model.fit(X, y)
        model.fit(X[good], y[good])
        with pytest.raises(InputError, match="gave NaN or infinite values for these items"):
            model.predict(X)


def test_a_model_of_float64_takes_float32_rows_as_float64(data: tuple[np.ndarray, ...]) -> None:
    X, _, _ = data
    X = X.astype(np.float32)
    y = np.sin(X[:, 0].astype(float))
    # coefficients of 1e5 and more: their products with values in float32 would be off by hundredths
    model = Falkon(kernel=Gauss(lengthscale=3.0), alpha=1e-9, n_centers=60, max_iter=1000, random_state=0)
    model.fit(X.astype(float), y)
    assert np.abs(model.dual_coef_).max() > 1e5
    assert_allclose(model.predict(X), model.predict(X.astype(float)), atol=1e-9)


def test_one_item_and_constant_targets(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    model = Falkon(kernel=Gauss(), random_state=0)
    assert clone(model).fit(X[:1], y[:1]).predict(X[:1])[0] == pytest.approx(y[0] / 2)
    constant = clone(model).set_params(fit_intercept=True).fit(X, np.full(300, 3.0))
    assert_allclose(constant.predict(X), 3.0, rtol=1e-9)
    assert (clone(model).fit(X, np.zeros(300)).predict(X) == 0).all()


def test_progress_is_counted(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    seen: list[tuple[int, int]] = []
    model = Falkon(
        kernel=Gauss(),
        alpha=1e-2,
        n_centers=20,
        random_state=0,
        progress=lambda done, total: seen.append((done, total)),
    ).fit(X, y)
    assert seen == [(i + 1, 300) for i in range(model.n_iter_)]


def test_kernels_of_the_euclidean_plugin(data: tuple[np.ndarray, ...]) -> None:
    X, y, w = data
    try:
        kernel = kr.create("euclidean.rbf")
        selector = kr.create("euclidean.pivoted_cholesky")
    except kr.KernregError:
        pytest.skip("kernreg-euclidean is not installed")
    model = Falkon(kernel=kernel, n_centers=20, tol=1e-10, selector=selector, random_state=0).fit(X, y, w)
    assert_allclose(model.predict(X), dense(X, model.centers_, y, 1.0, w, False), rtol=1e-6)
    named = Falkon(
        kernel="euclidean.rbf", n_centers=20, tol=1e-10, selector="euclidean.pivoted_cholesky", random_state=0
    )
    assert_allclose(named.fit(X, y, w).predict(X), model.predict(X), rtol=1e-6)


# -- claims ---------------------------------------------------------------------------------


def test_claims_are_the_catalogue_s_and_can_fail() -> None:
    claims = {claim.measure.partition(":")[2]: claim for _, claim in claims_of(["solver.falkon"])}
    assert {name: (claim.threshold, claim.direction) for name, claim in claims.items()} == {
        "accuracy_of_root_n_centers": (1.05, "<="),
        "steps_to_the_solution": (20.0, "<="),
        "dense_solution": (1e-5, "<="),
        "rate_on_centers": (0.08, "<="),
    }
    for name, claim in claims.items():
        assert claim.cost <= FAST
        doc = getattr(claims_falkon, name).__doc__
        assert "Baseline" in doc
        assert "ours" in doc or "catalogue" in doc
    assert claims_falkon.error_ratio(1, n_centers=10)[0] > 1.05
    assert claims_falkon.plain_steps(1) > 20
    assert claims_falkon.dense_difference(1, tol=0.5) > 1e-5
    X, _, _ = claims_falkon.smooth_data(0, 20)
    assert_allclose(claims_falkon.gauss(X, X, 2.0), Gauss(lengthscale=2.0)(X), rtol=1e-10)


def test_the_span_refuses_an_asymmetric_matrix(data: tuple[np.ndarray, ...]) -> None:
    X, _, _ = data
    with pytest.raises(InputError, match="expected a symmetric kernel"):
        Span(lambda X, Y: Gauss()(X, Y + 0.1), X[:10])
