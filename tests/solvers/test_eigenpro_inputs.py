"""EigenPro 2 and 3 on what users have: files, libraries, domains, bad input and corners."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from eigenpro_cases import SOLVERS, Laplace, Recording, direct, made, relative
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from solver_kernels import WORDS, Gauss, Indefinite, Letters, Spectrum, Whitened

import kernreg_core as kr
from kernreg_core.errors import InputError, ParameterError
from kernreg_solvers import EigenPro2, EigenPro3, NotFittedError

# -- memory, libraries, domains ------------------------------------------------------------------------


def test_blocks_are_batches_and_a_file_is_not_copied(tmp_path: Any) -> None:
    n, p = 6000, 30
    X, y = made(n)
    np.save(tmp_path / "X.npy", X.astype(np.float32))
    on_disk = np.load(tmp_path / "X.npy", mmap_mode="r")
    kernel = Recording()
    kernel.shapes.clear()
    model = EigenPro3(kernel=kernel, n_centers=p, n_epochs=2, n_subsamples=200, batch_size=128, random_state=0)
    model.fit(on_disk, y)
    model.predict(on_disk[:100])
    assert max(rows * columns for rows, columns in kernel.shapes) <= 1000**2  # the fresh items' own matrix
    assert max(rows for rows, columns in kernel.shapes if columns == p) <= 1000 < n
    # each epoch evaluates n p values, and the rest does not grow with n
    assert 2 * n * p <= sum(rows * columns for rows, columns in kernel.shapes) < 2 * n * p + 1300**2
    assert not any(isinstance(value, np.ndarray) and value.size >= n for value in vars(model).values())
    assert model.centers_.dtype == np.float32
    again = clone(model).set_params(kernel=Laplace()).fit(X.astype(np.float32), y)
    assert_allclose(model.predict(X), again.predict(X), rtol=1e-6)


def test_float32_is_close_to_float64() -> None:
    X, y = made(400)
    for solver, options in ((EigenPro2, {}), (EigenPro3, {"n_centers": 40})):
        # a smooth kernel, whose matrices are singular in float32
        wide = solver(kernel=Gauss(lengthscale=3.0), random_state=0, n_epochs=10, **options)
        expected = wide.fit(X, y).predict(X)
        # new items in float32 of a model in float64 are taken as float64
        assert relative(wide.predict(X.astype(np.float32)), expected) < 1e-6
        single = wide.fit(X.astype(np.float32), y)
        assert single.dual_coef_.dtype == np.float64
        assert relative(single.predict(X.astype(np.float32)), expected) < 2e-2
        assert single.predict(X).dtype == np.float64
    assert single.jitter_ > 0


def test_tensors_give_what_arrays_give() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    X, y = made(200)
    for model in (
        EigenPro2(kernel=Laplace(), n_epochs=4, random_state=0),
        EigenPro3(kernel=Laplace(), n_centers=30, n_epochs=4, random_state=0),
        EigenPro3(kernel=Laplace(), n_centers=30, n_epochs=2, random_state=0, eigenfunctions="items"),
        EigenPro3(kernel=Laplace(), n_centers=30, n_epochs=2, random_state=0, projection="inexact"),
        # blocks of one row each
        EigenPro3(kernel=Laplace(), n_centers=30, n_epochs=1, batch_size=9, random_state=0, memory_budget=500),
    ):
        expected = clone(model).fit(X, y)
        found = model.fit(torch.tensor(X, requires_grad=True), torch.tensor(y))
        assert isinstance(found.dual_coef_, np.ndarray)
        assert_allclose(found.dual_coef_, expected.dual_coef_, rtol=1e-6, atol=1e-9)
        assert_allclose(found.predict(torch.tensor(X)), expected.predict(X), rtol=1e-6, atol=1e-9)
        assert_allclose(found.predict(X), expected.predict(X), rtol=1e-6, atol=1e-9)
        assert_allclose(found.predict(torch.tensor(X, dtype=torch.float32)), expected.predict(X), rtol=1e-4, atol=1e-5)
        single = clone(model).fit(torch.tensor(X, dtype=torch.float32), y)
        assert relative(single.predict(torch.tensor(X, dtype=torch.float32)), expected.predict(X)) < 1e-3
    streamed = EigenPro3(kernel=Laplace(), n_centers=30, random_state=0)
    assert streamed.partial_fit(torch.tensor(X), y).partial_fit(torch.tensor(X), y).n_iter_ == 2
    assert isinstance(streamed.centers_, torch.Tensor)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("kernel", [Spectrum(), Letters()])
def test_lists_of_strings(solver: Any, kernel: Any) -> None:
    lengths = np.array([float(len(word)) for word in WORDS])
    # the kernels' matrices are singular: the limit is the best fit, not an interpolant
    model = solver(kernel=kernel, n_epochs=300, random_state=0).fit(WORDS, lengths)
    K = kernel(WORDS)
    centers = K if solver is EigenPro2 else K[:, model.center_indices_]
    assert relative(model.predict(WORDS), centers @ direct(centers, lengths)) < 0.05
    assert not hasattr(model, "n_features_in_")
    assert_allclose(model.predict(WORDS[:3]), model.predict(tuple(WORDS))[:3], rtol=1e-9)


def test_a_gram_matrix_and_sparse_rows_give_what_the_items_give() -> None:
    from scipy import sparse

    X, y = made(100)
    expected = EigenPro2(kernel=Laplace(), n_epochs=3, random_state=0, early_stopping=True).fit(X, y)
    given = clone(expected).set_params(kernel="precomputed").fit(Laplace()(X), y)
    assert_allclose(given.dual_coef_, expected.dual_coef_, rtol=1e-7, atol=1e-10)
    assert_allclose(given.predict(Laplace()(X[:5], X)), expected.predict(X[:5]), rtol=1e-9)
    with pytest.raises(ParameterError, match="EigenPro3 evaluates the kernel between items and centres"):
        EigenPro3(kernel="precomputed").fit(Laplace()(X), y)
    rows = np.where(np.abs(X) > 0.5, X, 0.0)
    for model in (EigenPro2(random_state=0), EigenPro3(n_centers=10, random_state=0)):
        dense = clone(model).fit(rows, y).predict(rows)
        for kind in (sparse.csr_array, sparse.csc_array):
            assert_allclose(model.fit(kind(rows), y).predict(kind(rows)), dense, rtol=1e-8, atol=1e-10)


def test_a_kernel_that_has_to_be_fitted_and_one_by_name() -> None:
    X, y = made(80)
    for model in (EigenPro2(kernel=Whitened(), random_state=0), EigenPro3(kernel=Whitened(), random_state=0)):
        assert_allclose(model.fit(X, y).kernel_.scale_, X.std(axis=0))
        assert not hasattr(model.kernel, "scale_")
    kr.register(Laplace, name="tests.laplace_of_eigenpro", domain="vectors")
    try:
        assert isinstance(EigenPro2(kernel="tests.laplace_of_eigenpro", n_epochs=1).fit(X, y).kernel_, Laplace)
    finally:
        kr.unregister("tests.laplace_of_eigenpro")


def test_few_values_of_an_expensive_kernel_are_taken_for_the_spectrum() -> None:
    n, p = 1500, 20
    X, y = made(n)

    class Expensive(Recording):
        pair_cost = "high"

    for model, epoch in ((EigenPro2(kernel=Expensive(), n_epochs=1, random_state=0), n * n),
                         (EigenPro3(kernel=Expensive(), n_centers=p, n_epochs=1, random_state=0), n * p)):  # fmt: skip
        Recording.shapes.clear()
        model.fit(X, y)
        assert 0 < sum(rows * columns for rows, columns in Recording.shapes) - epoch < 3.1 * 200**2


# -- bad input ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", SOLVERS)
def test_kernels_that_cannot_be_descended(solver: Any) -> None:
    X, y = made(60)
    with pytest.raises(InputError, match="not positive semi-definite on these items.*KernelRidge"):
        solver(kernel=Indefinite()).fit(X, y)
    with pytest.raises(InputError, match="NaN or infinite values"):
        solver(kernel=lambda A, B: np.full((len(A), len(B)), np.nan)).fit(X, y)
    with pytest.raises(InputError, match="expected a symmetric kernel"):
        solver(kernel=lambda A, B: A @ np.triu(np.ones((3, 3))) @ B.T).fit(X, y)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"n_epochs": 0}, "n_epochs: expected a whole number at least 1, got int 0"),
        ({"n_epochs": 2.0}, "n_epochs: expected a whole number at least 1, got float 2.0"),
        ({"n_subsamples": True}, "n_subsamples: expected a whole number at least 1, or None"),
        ({"n_eigenpairs": -1}, "n_eigenpairs: expected a whole number at least 0, or None"),
        ({"n_eigenpairs": 60}, "n_eigenpairs: expected fewer than the 60 items"),
        ({"n_eigenpairs": 9, "n_subsamples": 9}, "raise n_subsamples"),
        ({"batch_size": 0}, "batch_size: expected a whole number at least 1, or None"),
        ({"step_size": 0.0}, "step_size: expected a finite number above 0, or None, got float 0.0"),
        ({"step_size": np.inf}, "step_size: expected a finite number above 0"),
        ({"tol": -1.0}, "tol: expected a finite number above 0, or None, got float -1.0"),
        ({"memory_budget": "1 GB"}, "memory_budget: expected a whole number at least 1, or None, got str '1 GB'"),
    ],
)
def test_bad_parameters(solver: Any, options: dict[str, Any], match: str) -> None:
    X, y = made(60)
    with pytest.raises(ParameterError, match=match):
        solver(**options).fit(X, y)


def test_bad_parameters_of_eigenpro3() -> None:
    X, y = made(60)
    for options, match in (
        ({"projection": "near"}, "projection: expected one of 'auto', 'exact', 'inexact', got 'near'"),
        ({"eigenfunctions": "data"}, "eigenfunctions: expected one of 'centers', 'items', got 'data'"),
        ({"n_centers": 0}, "n_centers: expected a whole number at least 1"),
        ({"centers": np.ones((4, 2))}, "centers: expected items of 3 features"),
        ({"selector": 3}, "selector: expected a selector"),
    ):
        with pytest.raises(ParameterError, match=match):
            EigenPro3(**options).fit(X, y)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_fit_that_failed_leaves_no_half_of_an_earlier_one(solver: Any) -> None:
    X, y = made(40)
    model = solver(random_state=0).fit(X, y)
    for bad in (np.where(y > 0, np.nan, y), y[:-1], None):
        with pytest.raises(ValueError, match="NaN|inconsistent|requires y"):
            model.fit(X, bad)
    with pytest.raises(NotFittedError):
        model.predict(X)


# -- corners ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", SOLVERS)
def test_one_item_equal_items_and_zeros(solver: Any) -> None:
    one = solver(kernel=Laplace(), n_epochs=60, random_state=0).fit([[1.0, 2.0]], [3.0])
    assert_allclose(one.predict([[1.0, 2.0]]), [3.0], rtol=1e-6)
    # equal items with unequal targets: their mean, whatever the multiplicity of the centres
    X, y = np.repeat([[0.0], [10.0]], 20, axis=0), np.tile([1.0, 3.0], 20)
    model = solver(kernel=Laplace(), n_epochs=50, random_state=0).fit(X, y)
    assert_allclose(model.predict([[0.0], [10.0]]), [2.0, 2.0], rtol=0.05)
    zero = solver(kernel=Laplace(), random_state=0, tol=0.1).fit(X, np.zeros(40))
    assert (zero.dual_coef_ == 0).all()
    assert zero.n_iter_ == 1
    nothing = solver(random_state=0).fit(np.zeros((10, 2)), np.ones(10))  # k(x, y) = 0
    assert_allclose(nothing.predict(np.ones((3, 2))), 0.0, atol=1e-12)
    # fewer dimensions than eigenpairs were asked for: the rank less one
    flat = solver(n_eigenpairs=20, n_epochs=200, random_state=0).fit(made(50)[0], made(50)[0] @ np.ones(3))
    assert flat.n_eigenpairs_ == 2
    assert_allclose(flat.predict(np.eye(3)), np.ones(3), rtol=1e-3)


def test_equal_centres_are_factored_with_a_jitter_that_is_reported() -> None:
    X, y = made(300)
    Z = np.repeat(X[:15], 2, axis=0)
    model = EigenPro3(kernel=Laplace(), centers=Z, n_epochs=30, random_state=0).fit(X, y)
    assert 0 < model.jitter_ < 1e-6
    K = Laplace()(X, Z)
    assert np.mean((model.predict(X) - y) ** 2) < 1.03 * np.mean((K @ direct(K, y) - y) ** 2)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_batch_of_more_than_all_items_is_all_of_them(solver: Any) -> None:
    X, y = made(50)
    assert solver(kernel=Laplace(), n_epochs=1, batch_size=500, random_state=0).fit(X, y).batch_size_ == 50


def test_the_budget_decides_on_the_projection() -> None:
    X, y = made(200)
    for budget, expected in ((16 * 30**2, "exact"), (16 * 30**2 - 1, "inexact")):
        model = EigenPro3(kernel=Laplace(), n_centers=30, n_epochs=1, memory_budget=budget, random_state=0)
        assert model.fit(X, y).projection_ == expected
        assert model.set_params(projection="exact").fit(X, y).projection_ == "exact"


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_same_seed_gives_the_same_bits(solver: Any) -> None:
    X, y = made(150)
    first, again = (solver(kernel=Laplace(), n_epochs=3, random_state=5).fit(X, y).dual_coef_ for _ in range(2))
    assert np.array_equal(first, again)
    other = solver(kernel=Laplace(), n_epochs=3, random_state=6).fit(X, y).dual_coef_
    assert not np.allclose(first, other)


@pytest.mark.parametrize("solver", SOLVERS)
def test_targets_do_not_see_each_other(solver: Any) -> None:
    X, y = made(100)
    both = solver(kernel=Laplace(), n_epochs=3, random_state=0).fit(X, np.stack([y, 1 - y], axis=1))
    alone = clone(both).fit(X, 1 - y)
    assert both.dual_coef_.shape == (*alone.dual_coef_.shape, 2)
    assert_allclose(both.dual_coef_[:, 1], alone.dual_coef_, rtol=1e-9, atol=1e-12)
    assert both.predict(X).shape == (100, 2)


@pytest.mark.parametrize("solver", SOLVERS)
def test_threads_change_rounding_only(solver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        kernel = kr.create("euclidean.laplace", lengthscale=4.0)  # a kernel that fills blocks on threads
    except kr.UnknownNameError:
        pytest.skip("kernreg-euclidean is not installed")
    X, y = made(400)
    found = []
    for threads in ("1", "2", "2"):
        monkeypatch.setenv("KERNREG_NUM_THREADS", threads)
        found.append(solver(kernel=kernel, n_epochs=2, batch_size=200, random_state=0).fit(X, y).dual_coef_)
    assert np.array_equal(found[1], found[2])
    assert_allclose(found[0], found[1], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
def test_searches_and_pipelines(solver: Any) -> None:
    X, y = made(120)
    search = GridSearchCV(
        solver(kernel=Gauss(), random_state=0), {"kernel__lengthscale": [0.01, 1.0], "n_epochs": [5]}, cv=3
    ).fit(X, y)
    assert search.best_params_["kernel__lengthscale"] == 1.0
    assert make_pipeline(StandardScaler(), search.best_estimator_).fit(100 * X, y).score(100 * X, y) > 0.5


def test_a_selector_picks_the_centres() -> None:
    class First:
        def select(self, X: Any, n: int) -> np.ndarray:
            return np.arange(n)

    X, y = made(60)
    model = EigenPro3(n_centers=7, selector=First(), random_state=0).fit(X, y)
    assert model.center_indices_.tolist() == list(range(7))


def test_the_subsample_is_not_the_centres() -> None:
    # one seed for both would draw the same items twice, and the eigenvalues would look larger than they are
    X, y = made(1200)
    K = Laplace()(X)
    model = EigenPro3(kernel=Laplace(), n_centers=300, n_subsamples=300, n_eigenpairs=60, n_epochs=1, random_state=0)
    model.fit(X, y)
    index = model.center_indices_
    root = np.linalg.inv(np.linalg.cholesky(K[np.ix_(index, index)])) @ K[index]
    exact = np.linalg.eigvalsh(root @ root.T / 1200)[::-1][60]
    own = np.linalg.eigvalsh(K[np.ix_(index, index)])[::-1][60] / 300
    assert abs(model.eigenvalues_[60] / exact - 1) < 0.25 < abs(own / exact - 1)
