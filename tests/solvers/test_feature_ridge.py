"""Ridge regression on features against scikit-learn's Ridge, and against kernel ridge regression on their products."""

from __future__ import annotations

import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV
from solver_kernels import WORDS, Gauss, Landmarks, Spectrum, Vocabulary, Waves

import kernreg_core as kr
from kernreg_core.errors import InputError, KernregWarning, ParameterError
from kernreg_solvers import FeatureRidge, KernelRidge, NotFittedError
from kernreg_solvers.moments import Moments

LENGTHS = np.array([float(len(word)) for word in WORDS])


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((150, 3)) + 2.0
    return X, np.sin(X[:, 0]) + 0.2 * rng.standard_normal(150) + 4.0, rng.integers(0, 4, 150).astype(float)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("batch_size", [None, 7, 150])
@pytest.mark.parametrize("n_features", [40, 200])  # 200 columns of 150 rows: solved from the Gram matrix
def test_it_is_ridge_on_the_features(
    data: tuple[np.ndarray, ...], intercept: bool, batch_size: int | None, n_features: int
) -> None:
    X, y, w = data
    kernel = Waves(n_features=n_features)
    for weights in (None, w):
        model = FeatureRidge(kernel=kernel, alpha=0.3, fit_intercept=intercept, batch_size=batch_size)
        model.fit(X, y, weights)
        peer = Ridge(alpha=0.3, fit_intercept=intercept, solver="svd").fit(kernel.features(X), y, weights)
        assert_allclose(model.coef_, peer.coef_, rtol=1e-7, atol=1e-9)
        assert model.intercept_ == pytest.approx(peer.intercept_, rel=1e-9)
        assert_allclose(model.predict(X), peer.predict(kernel.features(X)), rtol=1e-9)
        assert (model.n_columns_, model.n_samples_seen_) == (n_features, 150)


def test_several_targets_with_a_penalty_each(data: tuple[np.ndarray, ...]) -> None:
    X, y, w = data
    Y, alphas = np.column_stack([y, -y, y**2]), np.array([0.1, 5.0, 0.1])
    for n_features in (30, 200):
        kernel = Waves(n_features=n_features)
        model = FeatureRidge(kernel=kernel, alpha=alphas, fit_intercept=True).fit(X, Y, w)
        peer = Ridge(alpha=alphas, solver="svd").fit(kernel.features(X), Y, w)
        assert model.coef_.shape == (n_features, 3)
        assert_allclose(model.predict(X), peer.predict(kernel.features(X)), rtol=1e-8)
        assert model.alpha_.tolist() == alphas.tolist()


def test_the_linear_kernel_s_features_are_the_items(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    model = FeatureRidge(alpha=0.7).fit(X, y)
    assert_allclose(model.coef_, Ridge(alpha=0.7, fit_intercept=False).fit(X, y).coef_, rtol=1e-9)
    assert_allclose(model.predict(X), KernelRidge(alpha=0.7).fit(X, y).predict(X), rtol=1e-8)
    rows = sparse.csr_array(np.where(X < 2, 0.0, X))
    for intercept in (False, True):
        thin = FeatureRidge(alpha=0.7, fit_intercept=intercept, batch_size=40).fit(rows, y)
        full = FeatureRidge(alpha=0.7, fit_intercept=intercept).fit(rows.toarray(), y)
        assert_allclose(thin.coef_, full.coef_, rtol=1e-9)
        assert_allclose(thin.predict(rows), full.predict(rows.toarray()), rtol=1e-9)


def test_an_integer_weight_counts_as_repeated_rows(data: tuple[np.ndarray, ...]) -> None:
    X, y, w = data
    for n_features in (30, 700):
        model = FeatureRidge(kernel=Waves(n_features=n_features), alpha=0.3, fit_intercept=True)
        weighted = clone(model).fit(X, y, w).predict(X)
        repeated = clone(model).fit(X.repeat(w.astype(int), axis=0), y.repeat(w.astype(int))).predict(X)
        assert_allclose(weighted, repeated, rtol=1e-8)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [False, True])
def test_rows_in_several_calls_are_rows_in_one(data: tuple[np.ndarray, ...], weighted: bool, intercept: bool) -> None:
    X, y, w = data
    model = FeatureRidge(kernel=Waves(), alpha="gcv", fit_intercept=intercept)
    for part in (slice(0, 20), slice(20, 90), slice(90, 150)):
        model.partial_fit(X[part], y[part], w[part] if weighted else None)
        assert model.n_samples_seen_ == part.stop
        model.predict(X)  # asked for in between, and forgotten by the next call
    once = FeatureRidge(kernel=Waves(), alpha="gcv", fit_intercept=intercept).fit(X, y, w if weighted else None)
    assert_allclose(model.predict(X), once.predict(X), rtol=1e-7)
    assert model.gcv_error_ == pytest.approx(once.gcv_error_, rel=1e-8)
    assert model.alpha_ == pytest.approx(once.alpha_, rel=1e-3)
    # a fit starts anew
    assert np.array_equal(model.fit(X, y, w if weighted else None).coef_, once.coef_)


@pytest.mark.parametrize("method", ["gcv", "loo"])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("n_features", [40, 200])
def test_penalties_are_those_of_the_dual(
    data: tuple[np.ndarray, ...], method: str, intercept: bool, n_features: int
) -> None:
    X, y, w = data
    kernel = Waves(n_features=n_features)
    F = kernel.features(X)
    dual = KernelRidge(kernel="precomputed", alpha=method, fit_intercept=intercept).fit(F @ F.T, y, w)
    model = FeatureRidge(kernel=kernel, alpha=method, fit_intercept=intercept, batch_size=64).fit(X, y, w)
    name = f"{method}_error_"
    # leave-one-out takes points of a grid in the primal, a continuum in the dual
    grid = method == "loo" and n_features == 40
    assert model.alpha_ == pytest.approx(dual.alpha_, rel=0.16 if grid else 1e-2)
    assert getattr(dual, name) <= getattr(model, name) * (1 + 1e-8)
    assert getattr(model, name) == pytest.approx(getattr(dual, name), rel=1e-3 if grid else 1e-7)
    given = FeatureRidge(kernel=kernel, alpha=model.alpha_, fit_intercept=intercept).fit(X, y, w)
    assert_allclose(model.predict(X), given.predict(X), rtol=1e-7)
    assert not hasattr(given, name)


def test_leave_one_out_is_scikit_learn_s_at_its_points(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    Z = Waves().features(X)
    model = FeatureRidge(kernel=Waves(), alpha="loo", fit_intercept=True).fit(X, y)
    peer = RidgeCV(alphas=[model.alpha_], store_cv_results=True).fit(Z, y)
    assert model.loo_error_ == pytest.approx(peer.cv_results_.mean(), rel=1e-6)


def test_an_open_vocabulary_takes_the_columns_of_the_first_items() -> None:
    model = FeatureRidge(kernel=Vocabulary(), alpha=0.5).fit(WORDS, LENGTHS)
    exact = KernelRidge(kernel=Vocabulary(), alpha=0.5).fit(WORDS, LENGTHS)
    assert_allclose(model.predict(WORDS), exact.predict(WORDS), rtol=1e-9)
    assert_allclose(model.predict(["ab", "zz"]), exact.predict(["ab", "zz"]), rtol=1e-9, atol=1e-12)
    assert model.predict(["zz"])[0] == pytest.approx(0.0, abs=1e-12)
    many = FeatureRidge(kernel=Vocabulary(), alpha=0.5, batch_size=5).fit(5 * WORDS, 5 * LENGTHS.tolist())
    assert_allclose(many.predict(WORDS), KernelRidge(kernel=Vocabulary(), alpha=0.1).fit(WORDS, LENGTHS).predict(WORDS))
    later = FeatureRidge(kernel=Vocabulary(), alpha=0.5).partial_fit(WORDS[:4], LENGTHS[:4])
    columns = later.n_columns_
    later.partial_fit(WORDS[4:], LENGTHS[4:])
    assert later.n_columns_ == columns == len(later.coef_) == 4  # ab, ba, aa, bb
    assert later.predict(["xyxy"])[0] == pytest.approx(0.0, abs=1e-12)
    assert later.basis_ == WORDS[:4]


def test_a_kernel_that_has_to_be_fitted_is_fitted_to_the_first_items(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    kernel = Landmarks()
    model = FeatureRidge(kernel=kernel, alpha=0.1).partial_fit(X[:50], y[:50]).partial_fit(X[50:], y[50:])
    assert not hasattr(kernel, "landmarks_")
    assert np.array_equal(model.kernel_.landmarks_, X[:5])
    whole = FeatureRidge(kernel=kernel, alpha=0.1).fit(X, y)
    assert_allclose(model.predict(X), whole.predict(X), rtol=1e-8)
    assert clone(model).kernel is not kernel


def test_another_penalty_without_the_data(data: tuple[np.ndarray, ...]) -> None:
    X, y, w = data
    for n_features in (40, 200):
        model = FeatureRidge(kernel=Waves(n_features=n_features), keep_normal=True, fit_intercept=True).fit(X, y, w)
        for alpha in (0.01, 10.0, "gcv", 0.5):
            fresh = clone(model).set_params(alpha=alpha).fit(X, y, w)
            assert np.array_equal(model.refit(alpha).coef_, fresh.coef_)
            assert model.alpha == alpha
            assert model.alpha_ == fresh.alpha_
    with pytest.raises(ParameterError, match="fit kept no sums to solve again: set keep_normal=True"):
        FeatureRidge(keep_normal=False).fit(X, y).refit(2.0)
    with pytest.raises(ParameterError, match="fit kept no sums to go on from"):
        FeatureRidge(keep_normal=False).fit(X, y).partial_fit(X, y)
    with pytest.raises(NotFittedError):
        FeatureRidge().refit(1.0)
    for n_features in (40, 200):
        measure = FeatureRidge(kernel=Waves(n_features=n_features), fit_intercept=True)
        kept = clone(measure).fit(X, y, w).partial_fit(X, y)
        twice = clone(measure).fit(np.vstack([X, X]), np.append(y, y), np.append(w, np.ones(150)))
        assert_allclose(kept.predict(X), twice.predict(X), rtol=1e-8)
    large = FeatureRidge(kernel=Waves(n_features=1100)).fit(X, y)  # 8 MB are kept of themselves, and no more
    assert large.refit(2.0).alpha_ == 2.0
    with pytest.raises(ParameterError, match="kept no sums"):
        FeatureRidge(kernel=Waves(n_features=1100)).fit(X.repeat(10, axis=0), y.repeat(10)).refit(2.0)


def test_what_is_kept_is_a_copy(data: tuple[np.ndarray, ...]) -> None:
    _, y, w = data
    X = np.random.default_rng(1).standard_normal((150, 200))  # the linear kernel's features are these rows themselves
    given = [X.copy(), y.copy(), w.copy()]
    model = FeatureRidge(keep_normal=True, fit_intercept=True).fit(*given)
    for changed in given:
        changed[:] = 1.0
    expected = clone(model).set_params(alpha=3.0).fit(X, y, w)
    assert np.array_equal(model.refit(3.0).coef_, expected.coef_)
    assert model.intercept_ == expected.intercept_


def test_float32_features_are_summed_in_float64(data: tuple[np.ndarray, ...]) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((4000, 2)).astype(np.float32)
    y = np.sin(X[:, 0])
    kernel = Waves(n_features=100)  # far more than two coordinates fill: the normal matrix is singular in float32
    Z = kernel.features(X)
    assert Z.dtype == np.float32
    assert np.linalg.eigvalsh(Z.T @ Z)[0] < 0
    model = FeatureRidge(kernel=kernel, alpha=1e-5, batch_size=500).fit(X, y)
    wide = Z.astype(np.float64)
    expected = np.linalg.solve(wide.T @ wide + 1e-5 * np.eye(100), wide.T @ y)
    assert_allclose(wide @ model.coef_, wide @ expected, atol=1e-8)
    assert model.coef_.dtype == np.float64


def test_a_file_is_read_in_blocks(tmp_path: Any) -> None:
    rng = np.random.default_rng(0)
    n = 40_000
    X = rng.standard_normal((n, 2)).astype(np.float32)
    np.save(tmp_path / "X.npy", X)
    y = X[:, 0].astype(np.float64) ** 2
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    model = FeatureRidge(kernel=Waves(n_features=64), alpha=0.1, fit_intercept=True, batch_size=1000)
    tracemalloc.start()
    model.fit(mapped, y)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * n * 64 / 4  # a quarter of the features
    assert_allclose(model.predict(mapped[:50]), model.predict(X[:50]), rtol=1e-6)
    assert_allclose(model.coef_, clone(model).set_params(batch_size=None).fit(X, y).coef_, rtol=1e-5, atol=1e-6)


def test_a_large_offset_costs_no_digits(data: tuple[np.ndarray, ...]) -> None:
    X, y, w = data
    near = FeatureRidge(alpha=1e-3, fit_intercept=True).fit(X, y, w)
    far = FeatureRidge(alpha=1e-3, fit_intercept=True, batch_size=20).fit(X + 1e6, y + 1e6, w)
    assert_allclose(far.coef_, near.coef_, rtol=1e-8)
    assert far.predict(X[:3] + 1e6) - 1e6 == pytest.approx(near.predict(X[:3]), abs=1e-8)


def test_sums_are_what_they_say() -> None:
    rng = np.random.default_rng(0)
    Z, Y, w = rng.standard_normal((60, 500)), rng.standard_normal((60, 2)), rng.uniform(0, 2, 60)
    w[3] = 0.0
    for form in (np.asarray, sparse.csr_array, sparse.csr_matrix):
        for centred in (False, True):
            sums = Moments(500, 2, centred)
            for part in (slice(0, 25), slice(25, 60)):
                sums.add(form(Z[part]), Y[part], w[part])
            found = sums.equations()
            z, v = (w @ Z / w.sum(), w @ Y / w.sum()) if centred else (np.zeros(500), np.zeros(2))
            assert_allclose(found.A, (Z - z).T @ ((Z - z) * w[:, None]), atol=1e-10)
            assert_allclose(found.B, (Z - z).T @ ((Y - v) * w[:, None]), atol=1e-10)
            assert_allclose(found.squares, w @ (Y - v) ** 2, rtol=1e-10)
            assert_allclose(found.z_mean, z, atol=1e-12)
            assert (sums.n, sums.total) == (59, pytest.approx(w.sum()))


def test_tensors(data: tuple[np.ndarray, ...]) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    X, y, w = data
    for n_features in (30, 200):
        for alpha in (0.3, "loo"):
            model = FeatureRidge(kernel=Waves(n_features=n_features), alpha=alpha, fit_intercept=True, batch_size=40)
            expected = clone(model).fit(X, y, w)
            found = model.fit(torch.tensor(X, requires_grad=True), torch.tensor(y), w)
            assert_allclose(found.coef_, expected.coef_, rtol=1e-7, atol=1e-10)
            for new in (torch.tensor(X), X):
                assert isinstance(found.predict(new), np.ndarray)
                assert_allclose(found.predict(new), expected.predict(X), rtol=1e-8)
    model = FeatureRidge(kernel=Waves(), alpha=0.3).partial_fit(torch.tensor(X[:50]), y[:50])
    model.partial_fit(torch.tensor(X[50:]), y[50:])
    assert_allclose(model.coef_, FeatureRidge(kernel=Waves(), alpha=0.3).fit(X, y).coef_, rtol=1e-7, atol=1e-10)


def test_a_singular_normal_matrix_gives_least_squares_and_a_warning(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    twice = np.hstack([X, X])
    with pytest.warns(
        KernregWarning, match=r"normal matrix of the features plus alpha is singular.*rank 3 of 6"
    ) as all_:
        model = FeatureRidge(alpha=0.0, fit_intercept=True).fit(twice, y)
    assert all_[0].filename == __file__
    assert_allclose(model.predict(twice), LinearRegression().fit(X, y).predict(X), rtol=1e-8)


def test_inside_scikit_learn_s_tools_and_pickles(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    grid = {"kernel__n_features": [2, 60], "alpha": [0.1, 1e6]}
    search = GridSearchCV(FeatureRidge(kernel=Waves(), fit_intercept=True), grid, cv=3).fit(X, y)
    assert search.best_params_ == {"kernel__n_features": 60, "alpha": 0.1}
    model = FeatureRidge(kernel=Waves(), alpha="gcv").partial_fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict(X), model.predict(X))
    assert again.partial_fit(X, y).n_samples_seen_ == 300
    with pytest.raises(AttributeError, match="no attribute 'coef_'"):
        _ = FeatureRidge().coef_


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (Gauss(), r"has none: kr.create\('euclidean.random_fourier', kernel=Gauss\(\)\)"),
        (Spectrum(), r"has none: kr.create\('euclidean.nystrom', kernel=...\) has them, for any kernel"),
        (lambda X, Y: X @ Y.T, "expected one with features"),
        ("precomputed", "takes no 'precomputed' matrix: use solver.krr"),
    ],
)
def test_a_kernel_without_features_is_refused_with_a_way_out(
    data: tuple[np.ndarray, ...], kernel: Any, message: str
) -> None:
    X, y, _ = data
    with pytest.raises(ParameterError, match=message):
        FeatureRidge(kernel=kernel).fit(X, y)


def test_bad_input(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    for parameters, message in (
        ({"batch_size": 0}, "batch_size: expected a whole number"),
        ({"alpha": -1.0}, "alpha: expected finite numbers at least 0"),
        ({"alpha": "cv"}, "or 'loo', or 'gcv', got 'cv'"),
        ({"progress": 1}, "progress: expected"),
    ):
        with pytest.raises(ParameterError, match=message):
            FeatureRidge(**parameters).fit(X, y)
    with pytest.raises(ParameterError, match="partial_fit cannot see rows again"):
        FeatureRidge(alpha="loo").partial_fit(X, y)
    for bad in ((X[:5], y), (X, np.where(y > 4, np.nan, y)), (X * np.nan, y)):
        with pytest.raises(InputError):
            FeatureRidge().fit(*bad)
    model = FeatureRidge().partial_fit(X, y)
    for bad, message in (
        ((X[:, :2], y), "features"),
        ((X, y[:3]), "expected 150 rows of 1 target"),
        ((X, np.column_stack([y, y])), "rows of 1 target"),
        ((X, np.full(150, np.inf)), "y: expected finite numbers"),
        ((X, ["a"] * 150), "y: expected numbers"),
    ):
        with pytest.raises(InputError, match=message):
            model.partial_fit(*bad)

    class Drifting(Vocabulary):
        def features(self, X: Any, basis: Any = None) -> Any:
            return super().features(X)

    with pytest.raises(InputError, match="columns depend on the items"):
        FeatureRidge(kernel=Drifting()).partial_fit(WORDS[2:4], LENGTHS[2:4])
    with pytest.raises(InputError, match="at least 2 items"):
        FeatureRidge(alpha="gcv", fit_intercept=True).fit(X[:1], y[:1])


def test_one_item_and_constant_columns(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    one = FeatureRidge(alpha=1.0, fit_intercept=True).fit(X[:1], y[:1])
    assert one.predict(X[5:6])[0] == pytest.approx(y[0])
    flat = FeatureRidge(alpha=1.0, fit_intercept=True).fit(np.ones((20, 2)), np.arange(20.0))
    assert_allclose(flat.predict(np.ones((2, 2))), 9.5)


def test_progress_is_counted(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    seen: list[tuple[int, int]] = []
    FeatureRidge(alpha="loo", batch_size=60, progress=lambda *done: seen.append(done)).fit(X, y)  # type: ignore[arg-type]
    assert seen == [(i, 6) for i in range(1, 7)]


@pytest.mark.parametrize("name", ["euclidean.random_fourier", "euclidean.nystrom"])
def test_kernels_of_the_euclidean_plugin(data: tuple[np.ndarray, ...], name: str) -> None:
    X, y, _ = data
    try:
        kernel = kr.create(name, kernel=kr.create("euclidean.rbf", lengthscale=2.0), n_features=30, rng=0)
    except kr.KernregError:
        pytest.skip("kernreg-euclidean is not installed")
    model = FeatureRidge(kernel=kernel, alpha="gcv", fit_intercept=True).fit(X, y)
    assert model.score(X, y) > 0.8
    F = model.kernel_.features(X)
    assert_allclose(model.predict(X), Ridge(alpha=model.alpha_, solver="svd").fit(F, y).predict(F), rtol=1e-6)
