"""Ridge regression by conjugate gradients against the factorisation, and its preconditioner against a dense inverse."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from solver_kernels import WORDS, Gauss, Indefinite, Letters, Spectrum, Whitened

import kernreg_core as kr
from kernreg_core.errors import InputError, ParameterError
from kernreg_solvers import KernelRidge, KernelRidgeCG, NotFittedError
from kernreg_solvers.preconditioner import LowRankPlusDiagonal, partial_factor
from kernreg_solvers.symmetric import GramInMemory, GramOfItems

NOT_KEPT = 1  #: a budget in which no Gram matrix fits
LENGTHS = np.array([float(len(word)) for word in WORDS])


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((80, 3))
    return X, np.sin(X[:, 0]) + 0.1 * rng.standard_normal(80) + 5.0, rng.integers(0, 4, 80).astype(float)


class Multiplies(Gauss):
    """A kernel with a product of its own, which counts how often it is asked."""

    capabilities = Gauss.capabilities | {"matvec"}
    asked: list[int] = []

    def matvec(self, X: Any, V: Any, Y: Any = None) -> Any:
        self.asked.append(len(V))
        return self(X, X if Y is None else Y) @ V


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("preconditioner", ["random", "greedy", None])
@pytest.mark.parametrize("budget", [None, NOT_KEPT])
def test_it_is_the_factorisation_s_answer(
    data: tuple[np.ndarray, ...], intercept: bool, preconditioner: str | None, budget: int | None
) -> None:
    X, y, w = data
    exact = KernelRidge(kernel=Gauss(), alpha=0.05, fit_intercept=intercept).fit(X, y, w)
    model = KernelRidgeCG(
        kernel=Gauss(),
        alpha=0.05,
        fit_intercept=intercept,
        preconditioner=preconditioner,
        tol=1e-11,
        memory_budget=budget,
        random_state=0,
        rank=20,
    ).fit(X, y, w)
    assert_allclose(model.predict(X), exact.predict(X), rtol=1e-8)
    assert_allclose(model.dual_coef_, exact.dual_coef_, atol=1e-7)
    assert model.intercept_ == pytest.approx(exact.intercept_, rel=1e-9)
    assert model.residual_ <= 1e-11
    assert model.rank_ == (0 if preconditioner is None else 20)
    assert (model.dual_coef_[w == 0] == 0).all()


def test_several_targets_with_a_penalty_each(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    Y, alphas = np.column_stack([y, y**2, -y]), [0.1, 3.0, 0.1]
    model = KernelRidgeCG(kernel=Gauss(), alpha=alphas, fit_intercept=True, tol=1e-10, random_state=0).fit(X, Y)
    exact = KernelRidge(kernel=Gauss(), alpha=alphas, fit_intercept=True).fit(X, Y)
    assert_allclose(model.predict(X), exact.predict(X), rtol=1e-7)
    assert_allclose(model.intercept_, exact.intercept_, rtol=1e-8)


def test_an_integer_weight_counts_as_repeated_rows(data: tuple[np.ndarray, ...]) -> None:
    X, y, w = data
    model = KernelRidgeCG(kernel=Gauss(), alpha=0.3, fit_intercept=True, tol=1e-11, random_state=0)
    weighted = clone(model).fit(X, y, w).predict(X)
    repeated = clone(model).fit(X.repeat(w.astype(int), axis=0), y.repeat(w.astype(int))).predict(X)
    assert_allclose(weighted, repeated, rtol=1e-8)


def test_the_preconditioner_is_the_inverse_that_it_says() -> None:
    rng = np.random.default_rng(0)
    F, s, R = rng.standard_normal((30, 4)), rng.uniform(0.5, 2.0, 30), rng.standard_normal((30, 2))
    P = F @ F.T + 0.3 * np.eye(30)
    assert_allclose(LowRankPlusDiagonal(F, 0.3)(R), np.linalg.solve(P, R), rtol=1e-9, atol=1e-12)
    # with a border: solution and multiplier of the bordered system
    bordered = np.block([[P, s[:, None]], [s[None], np.zeros((1, 1))]])
    expected = np.linalg.solve(bordered, np.vstack([R, np.zeros((1, 2))]))[:30]
    found = LowRankPlusDiagonal(F, 0.3, s)(R)
    assert_allclose(found, expected, rtol=1e-8, atol=1e-11)
    assert_allclose(s @ found, 0, atol=1e-12)


def test_a_full_factor_solves_at_once_and_any_factor_saves_iterations(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    iterations = {}
    for rank in (None, 80, 30, 5):
        model = KernelRidgeCG(kernel=Gauss(lengthscale=2.0), alpha=1e-3, random_state=0, tol=1e-8)
        model.set_params(preconditioner=None) if rank is None else model.set_params(rank=rank)
        iterations[rank] = model.fit(X, y).n_iter_
    assert iterations[80] <= 2
    assert iterations[80] < iterations[30] < iterations[5] < iterations[None]


@pytest.mark.parametrize("method", ["random", "greedy"])
def test_a_partial_factor_is_the_matrix_on_its_pivots(data: tuple[np.ndarray, ...], method: str) -> None:
    X, _, w = data
    kernel, roots = Gauss(lengthscale=2.0), np.sqrt(w)
    K = kernel(X)
    for scale in (None, roots):
        weighted = K if scale is None else K * np.outer(scale, scale)
        items = GramOfItems(kernel, X, X, scale)
        kept = GramInMemory(K.copy(), scale)
        V = np.random.default_rng(0).standard_normal((80, 2))
        for gram in (items, kept):
            assert_allclose(gram.times(V), weighted @ V, rtol=1e-10, atol=1e-10)
            assert_allclose(gram.diagonal(), weighted.diagonal())
            assert_allclose(gram.columns(np.array([7, 3])), weighted[:, [7, 3]])
            assert_allclose(gram.columns(4), weighted[:, 4])
            assert_allclose(gram.entries(np.array([7, 3])), weighted[np.ix_([7, 3], [7, 3])])
            F = partial_factor(gram, 40, method, 0)
            assert np.linalg.norm(weighted - F @ F.T) < 1e-2 * np.linalg.norm(weighted)


def test_the_kernel_s_own_product_is_used(data: tuple[np.ndarray, ...]) -> None:
    X, y, w = data
    Multiplies.asked.clear()
    model = KernelRidgeCG(kernel=Multiplies(), fit_intercept=True, tol=1e-10, memory_budget=NOT_KEPT, random_state=0)
    model.fit(X, y, w)
    # one product for each iteration, one for the true residual, one for the intercept
    assert model.n_iter_ + 2 <= len(Multiplies.asked) <= model.n_iter_ + 4
    expected = KernelRidge(kernel=Gauss(), fit_intercept=True).fit(X, y, w)
    assert_allclose(model.predict(X), expected.predict(X), rtol=1e-8)


def test_lists_prepared_items_and_matrices() -> None:
    for kernel in (Spectrum(), Letters(), Letters() + Spectrum()):
        exact = KernelRidge(kernel=kernel, alpha=0.5).fit(WORDS, LENGTHS).predict(WORDS)
        for budget in (None, NOT_KEPT):
            model = KernelRidgeCG(kernel=kernel, alpha=0.5, tol=1e-10, memory_budget=budget, random_state=0, rank=8)
            assert_allclose(model.fit(WORDS, LENGTHS).predict(WORDS), exact, rtol=1e-8)
            assert_allclose(model.predict(WORDS[:2]), exact[:2], rtol=1e-8)
    block = Letters().prepare(WORDS)
    model = KernelRidgeCG(kernel=Letters(), alpha=0.5, tol=1e-10, memory_budget=NOT_KEPT, random_state=0, rank=8)
    exact = KernelRidge(kernel=Letters(), alpha=0.5).fit(WORDS, LENGTHS).predict(WORDS)
    assert_allclose(model.fit(block, LENGTHS).predict(block), exact, rtol=1e-8)
    K = Spectrum()(WORDS)
    given = KernelRidgeCG(kernel="precomputed", alpha=0.5, tol=1e-10, random_state=0).fit(K, LENGTHS)
    assert_allclose(given.predict(K), KernelRidge(kernel=Spectrum(), alpha=0.5).fit(WORDS, LENGTHS).predict(WORDS))
    assert given.kernel_ is given.X_fit_ is None


def test_a_kernel_that_has_to_be_fitted(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    for budget in (None, NOT_KEPT):
        model = KernelRidgeCG(kernel=Whitened(), tol=1e-10, memory_budget=budget, random_state=0).fit(X, y)
        assert_allclose(model.predict(X), KernelRidge(kernel=Whitened()).fit(X, y).predict(X), rtol=1e-7)


def test_a_file_is_not_copied_and_float32_is_computed_in_float64(data: tuple[np.ndarray, ...], tmp_path: Any) -> None:
    X, y, _ = data
    for dtype in (np.float64, np.float32):
        np.save(tmp_path / "X.npy", X.astype(dtype))
        mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
        model = KernelRidgeCG(kernel=Gauss(), tol=1e-10, memory_budget=NOT_KEPT, random_state=0).fit(mapped, y)
        assert (dtype is np.float64) == np.shares_memory(model.X_fit_, mapped)
        exact = KernelRidge(kernel=Gauss()).fit(X.astype(dtype), y)
        assert_allclose(model.predict(mapped), exact.predict(mapped), rtol=1e-7)
    changed = X.copy()
    model = KernelRidgeCG(kernel=Gauss(), memory_budget=NOT_KEPT, random_state=0).fit(changed, y)
    before = model.predict(X)
    changed += 1.0
    assert np.array_equal(model.predict(X), before)


def test_tensors(data: tuple[np.ndarray, ...]) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    X, y, w = data
    exact = KernelRidge(kernel=Gauss(), fit_intercept=True).fit(X, y, w).predict(X)
    for kernel in (Gauss(), Multiplies()):
        for budget in (None, NOT_KEPT):
            model = KernelRidgeCG(
                kernel=kernel, fit_intercept=True, tol=1e-10, memory_budget=budget, random_state=0
            ).fit(torch.tensor(X), torch.tensor(y), w)
            assert isinstance(model.X_fit_, torch.Tensor)
            for new in (torch.tensor(X), X):
                found = model.predict(new)
                assert isinstance(found, np.ndarray)
                assert_allclose(found, exact, rtol=1e-8)
    single = KernelRidgeCG(kernel=Gauss(), memory_budget=NOT_KEPT, tol=1e-10, random_state=0)
    single.fit(torch.tensor(X, dtype=torch.float32), y)
    assert single.X_fit_.dtype == torch.float64
    assert single.residual_ <= 1e-10
    assert single.predict(torch.tensor(X, dtype=torch.float32)).shape == (80,)


def test_inside_scikit_learn_s_tools(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    model = make_pipeline(StandardScaler(), KernelRidgeCG(kernel=Gauss(), fit_intercept=True, random_state=0))
    grid = {"kernelridgecg__kernel__lengthscale": [0.01, 1.0], "kernelridgecg__alpha": [0.1]}
    search = GridSearchCV(model, grid, cv=3).fit(X, y)
    assert search.best_params_["kernelridgecg__kernel__lengthscale"] == 1.0
    fitted = search.best_estimator_[-1]
    again = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(again.predict(X), fitted.predict(X))
    with pytest.raises(NotFittedError):
        clone(fitted).predict(X)


def test_the_same_seed_gives_the_same_bits(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    first, second, other = (
        KernelRidgeCG(kernel=Gauss(), alpha=1e-3, random_state=seed, rank=10).fit(X, y).dual_coef_ for seed in (1, 1, 2)
    )
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_no_convergence_is_said_with_the_residual(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    with pytest.warns(ConvergenceWarning, match=r"residual is .* after 2 iterations.*take a preconditioner") as caught:
        model = KernelRidgeCG(kernel=Gauss(), alpha=1e-3, preconditioner=None, max_iter=2).fit(X, y)
    assert caught[0].filename == __file__
    K = Gauss()(X)
    true = np.linalg.norm(y - K @ model.dual_coef_ - 1e-3 * model.dual_coef_) / np.linalg.norm(y)
    assert model.residual_ == pytest.approx(true, rel=1e-6)
    assert model.n_iter_ == 2
    with pytest.warns(ConvergenceWarning, match=r"raise rank \(now 3\)"):
        KernelRidgeCG(kernel=Gauss(), alpha=1e-3, rank=3, random_state=0, max_iter=1).fit(X, y)


def test_an_indefinite_kernel_is_refused_where_it_has_no_minimum(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    smallest = np.linalg.eigvalsh(Indefinite()(X))[0]
    with pytest.raises(InputError, match="not positive semi-definite on these items, which pivoted Cholesky needs"):
        KernelRidgeCG(kernel=Indefinite(), alpha=0.1, random_state=0).fit(X, y)
    with pytest.raises(InputError, match="not positive definite on these items with alpha=0.1"):
        KernelRidgeCG(kernel=Indefinite(), alpha=0.1, preconditioner=None).fit(X, y)
    alpha = 1.5 * -smallest
    model = KernelRidgeCG(kernel=Indefinite(), alpha=alpha, preconditioner=None, tol=1e-10).fit(X, y)
    assert_allclose(model.predict(X), KernelRidge(kernel=Indefinite(), alpha=alpha).fit(X, y).predict(X), rtol=1e-6)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alpha": 0.0}, "alpha: expected numbers above 0"),
        ({"alpha": "loo"}, "alpha: expected a number at least 0, got 'loo'"),
        ({"preconditioner": "jacobi"}, "preconditioner: expected 'random', 'greedy' or None"),
        ({"rank": 0}, "rank: expected a whole number at least 1, got 0"),
        ({"max_iter": 1.5}, "max_iter: expected a whole number"),
        ({"max_iter": None}, "max_iter: expected a whole number"),
        ({"memory_budget": True}, "memory_budget: expected a whole number"),
        ({"tol": 0.0}, "tol: expected a number between 0 and 1"),
        ({"progress": 3}, "progress"),
    ],
)
def test_bad_parameters(data: tuple[np.ndarray, ...], parameters: dict[str, Any], message: str) -> None:
    X, y, _ = data
    with pytest.raises(ParameterError, match=message):
        KernelRidgeCG(kernel=Gauss(), **parameters).fit(X, y)


def test_bad_input(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    for bad in ((X[:5], y), (X, np.where(y > 5, np.nan, y)), (X * np.nan, y)):
        with pytest.raises(InputError):
            KernelRidgeCG(kernel=Gauss()).fit(*bad)

    def endless(X: Any, Y: Any) -> np.ndarray:
        return np.full((len(X), len(Y)), np.inf)

    for budget in (None, NOT_KEPT):
        with pytest.raises(InputError, match="NaN or infinite"):
            KernelRidgeCG(kernel=endless, memory_budget=budget).fit(X, y)

    def broken(X: Any, Y: Any) -> np.ndarray:
        return np.where(X[:, :1] > 100.0, np.nan, Gauss()(X, Y))

    model = KernelRidgeCG(kernel=broken, random_state=0).fit(X, y)
    with pytest.raises(InputError, match="gave NaN or infinite values for these items"):
        model.predict(X + 200.0)


def test_one_item_repeated_items_and_constant_targets(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    for budget in (None, NOT_KEPT):
        model = KernelRidgeCG(kernel=Gauss(), alpha=1.0, memory_budget=budget, random_state=0)
        assert clone(model).fit(X[:1], y[:1]).predict(X[:1])[0] == pytest.approx(y[0] / 2)
        assert clone(model).set_params(fit_intercept=True).fit(X[:1], y[:1]).predict(X)[5] == pytest.approx(y[0])
        twice = clone(model).set_params(tol=1e-10).fit(np.vstack([X, X]), np.append(y, y))
        assert_allclose(
            twice.predict(X), KernelRidge(kernel=Gauss(), alpha=0.5).fit(X, y).predict(X), rtol=1e-7, atol=1e-8
        )
        constant = clone(model).set_params(fit_intercept=True).fit(X, np.full(80, 3.0))
        assert_allclose(constant.predict(X), 3.0)
        assert (constant.dual_coef_ == 0).all()
        zero = clone(model).fit(X, np.zeros(80))
        assert (zero.predict(X) == 0).all()


def test_progress_is_counted(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    seen: list[tuple[int, int]] = []
    model = KernelRidgeCG(
        kernel=Gauss(), alpha=1e-2, random_state=0, progress=lambda done, total: seen.append((done, total))
    ).fit(X, y)
    assert seen == [(i + 1, 1000) for i in range(model.n_iter_)]
    seen.clear()
    model.set_params(alpha=[1e-2, 1.0], max_iter=100).fit(X, np.column_stack([y, y]))
    assert seen == [(i + 1, 200) for i in range(len(seen))]
    assert len(seen) > model.n_iter_


def test_a_kernel_that_prepares_tensors_and_has_a_product(data: tuple[np.ndarray, ...]) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    X, y, _ = data
    try:
        kernel = kr.create("euclidean.nystrom", kernel=kr.create("euclidean.rbf"), n_features=15, rng=0)
    except kr.KernregError:
        pytest.skip("kernreg-euclidean is not installed")
    exact = KernelRidge(kernel=kernel).fit(X, y).predict(X)
    for items in (X, torch.tensor(X)):
        assert_allclose(KernelRidge(kernel=kernel).fit(items, y).predict(items), exact, rtol=1e-9)
        for budget in (None, NOT_KEPT):
            model = KernelRidgeCG(kernel=kernel, tol=1e-11, memory_budget=budget, random_state=0).fit(items, y)
            assert_allclose(model.predict(items), exact, rtol=1e-8)


def test_sparse_rows() -> None:
    from scipy import sparse

    rng = np.random.default_rng(0)
    X = sparse.csr_array(np.maximum(rng.standard_normal((60, 8)), 0))
    y = rng.standard_normal(60)
    for budget in (None, NOT_KEPT):
        model = KernelRidgeCG(tol=1e-11, memory_budget=budget, random_state=0).fit(X, y)
        assert_allclose(model.predict(X), KernelRidge().fit(X, y).predict(X), rtol=1e-7, atol=1e-9)


def test_kernels_of_the_euclidean_plugin(data: tuple[np.ndarray, ...]) -> None:
    X, y, w = data
    try:
        kernel = kr.create("euclidean.matern", lengthscale=2.0)
    except kr.KernregError:
        pytest.skip("kernreg-euclidean is not installed")
    exact = KernelRidge(kernel=kernel, alpha=0.1).fit(X, y, w).predict(X)
    model = KernelRidgeCG(kernel=kernel, alpha=0.1, tol=1e-10, memory_budget=NOT_KEPT, random_state=0).fit(X, y, w)
    assert_allclose(model.predict(X), exact, rtol=1e-8)
