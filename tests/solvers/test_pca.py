"""Kernel PCA against scikit-learn's, against PCA, and against the definition of its components."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.decomposition import KernelPCA as Peer
from sklearn.exceptions import ConvergenceWarning
from solver_kernels import WORDS, Gauss, Indefinite, Letters, Spectrum, Whitened

import kernreg_core as kr
from kernreg_core.errors import InputError, KernregWarning, ParameterError
from kernreg_core.threads import pinned_blas
from kernreg_solvers import KernelPCA, NotFittedError
from kernreg_solvers.gram_product import GramProduct


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small matrices, for which the threads of BLAS only wait for each other on a busy machine."""
    with pinned_blas():
        yield


@pytest.fixture
def X() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((80, 5)) * [3, 2, 1, 0.5, 0.2]


@pytest.fixture
def new() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((20, 5))


@pytest.mark.parametrize("q", [3, 80, None])
def test_agrees_with_scikit_learn_up_to_signs(X: np.ndarray, new: np.ndarray, q: int | None) -> None:
    peer = Peer(q, kernel="rbf", gamma=0.5 / 4, eigen_solver="dense").fit(X)
    mine = KernelPCA(n_components=q, kernel=Gauss(lengthscale=2.0)).fit(X)
    shown = min(20, mine.eigenvalues_.size)
    assert_allclose(mine.eigenvalues_[:shown], peer.eigenvalues_[:shown], rtol=1e-9)
    assert_allclose(np.abs(mine.transform(new))[:, :shown], np.abs(peer.transform(new))[:, :shown], atol=1e-7)
    assert_allclose(mine.fit_transform(X), mine.transform(X), atol=1e-7)


def test_the_linear_kernel_is_pca(X: np.ndarray, new: np.ndarray) -> None:
    peer = PCA().fit(X)
    mine = KernelPCA().fit(X)
    assert mine.eigenvalues_.shape == (5,)
    assert_allclose(mine.eigenvalues_ / 79, peer.explained_variance_, rtol=1e-10)
    assert_allclose(mine.explained_variance_ratio_, peer.explained_variance_ratio_, rtol=1e-10)
    assert_allclose(np.abs(mine.transform(new)), np.abs(peer.transform(new)), atol=1e-9)


@pytest.mark.parametrize("width", [0.7, 3.0, 20.0])
def test_subspace_equals_dense(width: float) -> None:
    X = load_digits().data[:600] / 16
    kernel = Gauss(lengthscale=width)
    dense = KernelPCA(n_components=8, kernel=kernel, eigen_solver="dense").fit(X)
    subspace = KernelPCA(n_components=8, kernel=kernel, eigen_solver="subspace").fit(X)
    automatic = KernelPCA(n_components=8, kernel=kernel).fit(X)
    assert_allclose(subspace.eigenvalues_, dense.eigenvalues_, rtol=1e-10)
    assert_allclose(subspace.eigenvectors_, dense.eigenvectors_, atol=1e-6)
    assert_allclose(subspace.explained_variance_ratio_, dense.explained_variance_ratio_, rtol=1e-10)
    assert np.array_equal(automatic.eigenvectors_, subspace.eigenvectors_)
    assert dense.n_iter_ == 1 < subspace.n_iter_


def test_signs_and_values_are_repeatable(X: np.ndarray) -> None:
    first, second = (KernelPCA(n_components=3, kernel=Gauss(), eigen_solver="subspace").fit(X) for _ in range(2))
    assert np.array_equal(first.eigenvectors_, second.eigenvectors_)
    largest = np.abs(first.eigenvectors_).argmax(axis=0)
    assert (first.eigenvectors_[largest, np.arange(3)] > 0).all()
    other = KernelPCA(n_components=3, kernel=Gauss(), eigen_solver="subspace", random_state=7).fit(X)
    assert_allclose(other.eigenvectors_, first.eigenvectors_, atol=1e-7)


def test_a_precomputed_matrix_gives_the_same(X: np.ndarray, new: np.ndarray) -> None:
    kernel = Gauss(lengthscale=2.0)
    K, before = kernel(X), kernel(X)
    given = KernelPCA(n_components=4, kernel="precomputed").fit(K)
    computed = KernelPCA(n_components=4, kernel=kernel).fit(X)
    assert_allclose(given.transform(kernel(new, X)), computed.transform(new), atol=1e-12)
    assert np.array_equal(K, before)


def test_components_are_centred_and_uncorrelated(X: np.ndarray) -> None:
    scores = KernelPCA(n_components=6, kernel=Gauss()).fit_transform(X)
    assert_allclose(scores.mean(axis=0), 0, atol=1e-12)
    gram = scores.T @ scores
    assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-10)


def test_zero_eigenvalues(X: np.ndarray, new: np.ndarray) -> None:
    flat = np.hstack([X[:, :2], X[:, :2]])
    assert KernelPCA().fit(flat).eigenvalues_.shape == (2,)
    kept = KernelPCA(n_components=4).fit(flat)
    assert kept.transform(flat).shape == (80, 4)
    assert_allclose(kept.transform(flat)[:, 2:], 0)
    assert KernelPCA(n_components=4, remove_zero_eig=True).fit_transform(flat).shape == (80, 2)
    assert KernelPCA(n_components=1).fit(np.ones((5, 3))).eigenvalues_.tolist() == [0.0]


def test_pre_images(X: np.ndarray) -> None:
    mine = KernelPCA(n_components=5, kernel=Gauss(lengthscale=4.0), fit_inverse_transform=True, alpha=1e-4).fit(X)
    peer = Peer(5, kernel="rbf", gamma=0.5 / 16, fit_inverse_transform=True, alpha=1e-4, eigen_solver="dense").fit(X)
    back = mine.inverse_transform(mine.transform(X))
    assert_allclose(back, peer.inverse_transform(peer.transform(X)), atol=1e-6)
    assert np.abs(back - X).mean() < np.abs(X - X.mean(axis=0)).mean() / 4
    with pytest.raises(InputError, match="expected finite components"):
        mine.inverse_transform(np.full((2, 5), np.nan))
    with pytest.raises(InputError, match=r"expected components of shape \(n, 5\)"):
        mine.inverse_transform(X[:, :4])
    with pytest.raises(NotFittedError, match="fit_inverse_transform=True"):
        KernelPCA().fit(X).inverse_transform(X)
    with pytest.raises(ParameterError, match="fit_inverse_transform.*precomputed"):
        KernelPCA(kernel="precomputed", fit_inverse_transform=True).fit(X @ X.T)


@pytest.mark.parametrize("solver", ["auto", "nystrom"])
def test_pre_images_of_tensors(X: np.ndarray, solver: str) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")

    class TorchOnly(Gauss):
        def evaluate(self, X: object, Y: object) -> object:
            assert isinstance(X, torch.Tensor)
            return super().evaluate(X, Y)

    options = {"n_components": 5, "fit_inverse_transform": True, "eigen_solver": solver, "alpha": 0.1}
    expected = KernelPCA(kernel=Gauss(lengthscale=4.0), **options).fit(X)
    mine = KernelPCA(kernel=TorchOnly(lengthscale=4.0), **options).fit(torch.tensor(X))
    back = mine.inverse_transform(mine.transform(torch.tensor(X)))
    assert_allclose(back, expected.inverse_transform(expected.transform(X)), atol=1e-7)


def test_feature_names_out_and_set_output(X: np.ndarray) -> None:
    model = KernelPCA(n_components=2).fit(X)
    assert model.get_feature_names_out().tolist() == ["kernelpca0", "kernelpca1"]


def test_an_indefinite_kernel_is_said(X: np.ndarray) -> None:
    with pytest.warns(KernregWarning, match="not positive semi-definite"):
        model = KernelPCA(kernel=Indefinite()).fit(X)
    assert (model.eigenvalues_ > 0).all()
    with pytest.warns(KernregWarning):
        KernelPCA(n_components=80, kernel=Indefinite()).fit(X)


def test_an_unfinished_subspace_is_said_with_its_residual() -> None:
    X = np.random.default_rng(0).standard_normal((300, 30))
    kernel = Gauss(lengthscale=3.0)
    with pytest.warns(ConvergenceWarning, match="after 2 products.*eigen_solver='dense'") as told:
        model = KernelPCA(n_components=4, kernel=kernel, eigen_solver="subspace", max_iter=2).fit(X)
    K = kernel(X) - kernel(X).mean(axis=0)
    U, values = model.eigenvectors_, model.eigenvalues_
    residual = np.linalg.norm((K - K.mean(axis=1)[:, None]) @ U - U * values, axis=0).max() / values[0]
    assert f"is {residual:.2g}, above tol=1e-10" in str(told[0].message)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"n_components": 0}, "n_components: expected a whole number at least 1"),
        ({"n_components": 2.5}, "n_components"),
        ({"n_components": 81}, "n_components: expected at most the number of items, 80"),
        ({"eigen_solver": "arpack"}, "eigen_solver: expected one of 'auto', .*'matvec', 'nystrom', got 'arpack'"),
        ({"memory_budget": 0}, "memory_budget: expected a whole number of bytes"),
        ({"n_centers": 0, "eigen_solver": "nystrom"}, "n_centers: expected a whole number at least 1"),
        ({"eigen_solver": "matvec", "kernel": "precomputed"}, "eigen_solver: 'matvec' evaluates the kernel"),
        ({"tol": 0.0}, "tol: expected a finite number above 0"),
        ({"alpha": -1.0}, "alpha: expected a finite number above 0"),
        ({"max_iter": 0}, "max_iter"),
    ],
)
def test_bad_parameters(X: np.ndarray, parameters: dict[str, object], match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        KernelPCA(**parameters).fit(X)


# -- without the matrix -----------------------------------------------------------------------


@pytest.mark.parametrize("tol", [1e-4, 1e-8, 1e-11])
def test_products_give_what_the_matrix_gives(X: np.ndarray, new: np.ndarray, tol: float) -> None:
    kernel = Gauss(lengthscale=2.0)
    dense = KernelPCA(n_components=4, kernel=kernel, eigen_solver="dense").fit(X)
    mine = KernelPCA(n_components=4, kernel=kernel, eigen_solver="matvec", tol=tol).fit(X)
    # residual tol: eigenvalues to its square, vectors to tol over the gap; float32 first, where tol allows no more
    assert_allclose(mine.eigenvalues_, dense.eigenvalues_, rtol=max(3e-7 if tol > 1e-6 else 0, tol, 1e-13))
    assert_allclose(mine.transform(new), dense.transform(new), atol=100 * tol)
    assert_allclose(mine.explained_variance_ratio_, dense.explained_variance_ratio_, rtol=1e-6)
    residual = mine.fit_transform(X) - mine.transform(X)
    assert np.abs(residual).max() < 100 * tol
    assert mine.eigen_solver_ == "matvec"


@pytest.mark.parametrize("kernel", [Spectrum(), Letters(), Letters() + Spectrum()])
def test_products_of_any_kernel(kernel: kr.BaseKernel) -> None:
    dense = KernelPCA(n_components=3, kernel=kernel).fit(WORDS)
    mine = KernelPCA(n_components=3, kernel=kernel, eigen_solver="matvec").fit(WORDS)
    assert_allclose(mine.eigenvalues_, dense.eigenvalues_, atol=1e-9)
    assert_allclose(mine.transform(WORDS) ** 2, dense.transform(WORDS) ** 2, atol=1e-6)


def test_tiles_rows_and_own_products_agree() -> None:
    class Filling(Gauss):
        def into(self, X: np.ndarray, Y: np.ndarray, out: np.ndarray) -> None:
            out[...] = self.evaluate(X, Y)

    class Multiplying(Gauss):
        capabilities = Gauss.capabilities | {"matvec"}
        asked: list[str] = []

        def matvec(self, X: np.ndarray, V: np.ndarray, Y: object = None) -> np.ndarray:
            self.asked.append(str(X.dtype))
            return self.evaluate(X, X) @ V

    X = np.random.default_rng(0).standard_normal((1500, 3))
    V = np.random.default_rng(1).standard_normal((1500, 2))
    expected = Gauss()(X) @ V
    for kernel in (Gauss(), Filling(), Multiplying(), lambda A, B: Gauss()(A, B)):
        assert_allclose(GramProduct(kernel, X)(V), expected, atol=1e-9)
    assert Multiplying.asked == ["float64"]
    rough = GramProduct(Multiplying(), X).rough()
    assert rough is not None
    assert_allclose(rough(V), expected, atol=1e-2)
    assert Multiplying.asked[1] == "float32"
    assert GramProduct(Gauss(), X + 1e6).rough() is None  # float32 would not tell them apart
    assert GramProduct(Spectrum(), WORDS).rough() is None


def test_float32_items_stay_so(X: np.ndarray) -> None:
    kernel = Gauss(lengthscale=2.0)
    expected = KernelPCA(n_components=3, kernel=kernel, eigen_solver="dense").fit(X).eigenvalues_
    for solver in ("matvec", "nystrom"):
        mine = KernelPCA(n_components=3, kernel=kernel, eigen_solver=solver, n_centers=80).fit(X.astype(np.float32))
        assert_allclose(mine.eigenvalues_, expected, rtol=1e-4)
        kept = mine.X_fit_ if solver == "matvec" else mine.centers_
        assert kept.dtype == np.float32


def test_the_budget_decides() -> None:
    X = np.random.default_rng(0).standard_normal((400, 2))
    kernel = Gauss(lengthscale=2.0)
    assert KernelPCA(n_components=2, kernel=kernel, memory_budget=2 * 10**6).fit(X).eigen_solver_ == "subspace"
    assert KernelPCA(n_components=2, kernel=kernel, memory_budget=10**6).fit(X).eigen_solver_ == "matvec"
    with pytest.raises(InputError, match="1.28 MB, more than the 1 MB.*n_components to at most 20"):
        KernelPCA(kernel=kernel, memory_budget=10**6).fit(X)
    # a matrix that is there already is no question of memory
    assert KernelPCA(n_components=2, kernel="precomputed", memory_budget=10).fit(kernel(X)).eigen_solver_ == "subspace"


# -- centres ----------------------------------------------------------------------------------


def test_all_items_as_centres_give_the_exact_components(X: np.ndarray, new: np.ndarray) -> None:
    kernel = Gauss(lengthscale=2.0)
    dense = KernelPCA(n_components=6, kernel=kernel).fit(X)
    mine = KernelPCA(n_components=6, kernel=kernel, eigen_solver="nystrom", centers=X).fit(X)
    assert_allclose(mine.eigenvalues_, dense.eigenvalues_, rtol=1e-9)
    assert_allclose(mine.explained_variance_ratio_, dense.explained_variance_ratio_, rtol=1e-9)
    assert_allclose(np.abs(mine.transform(new)), np.abs(dense.transform(new)), atol=1e-7)
    assert mine.center_indices_ is None
    assert not hasattr(mine, "eigenvectors_")


def test_centres_bound_from_below_and_improve(X: np.ndarray) -> None:
    kernel = Gauss(lengthscale=2.0)
    exact = KernelPCA(n_components=4, kernel=kernel).fit(X).eigenvalues_
    gaps = []
    for m in (10, 30, 60):
        model = KernelPCA(n_components=4, kernel=kernel, eigen_solver="nystrom", n_centers=m).fit(X)
        # the variance of a projection is at most that of the whole
        assert (model.eigenvalues_ <= exact * (1 + 1e-12)).all()
        gaps.append(1 - model.eigenvalues_.sum() / exact.sum())
        assert model.dual_coef_.shape == (m, 4)
        assert model.X_fit_ is None
        scores = model.transform(X)
        assert_allclose(scores.mean(axis=0), 0, atol=1e-10)
        assert_allclose(scores.T @ scores, np.diag(model.eigenvalues_), atol=1e-9)
    assert gaps[0] > gaps[1] > gaps[2]


def test_many_centres_and_few_components_take_products(monkeypatch: pytest.MonkeyPatch, X: np.ndarray) -> None:
    options = {"n_components": 3, "kernel": Gauss(lengthscale=2.0), "eigen_solver": "nystrom", "n_centers": 60}
    multiplied = KernelPCA(**options).fit(X)
    monkeypatch.setattr("kernreg_solvers.components._MULTIPLIED", 8)
    products = KernelPCA(**options).fit(X)
    assert products.n_iter_ > multiplied.n_iter_ == 1
    assert_allclose(products.eigenvalues_, multiplied.eigenvalues_, rtol=1e-9)
    assert_allclose(products.dual_coef_, multiplied.dual_coef_, atol=1e-5)


def test_more_components_than_the_centres_span(X: np.ndarray) -> None:
    doubled = np.repeat(X[:4], 3, axis=0)
    options = {"kernel": Gauss(), "eigen_solver": "nystrom", "centers": doubled, "n_components": 9}
    model = KernelPCA(**options).fit(X)
    assert model.eigenvalues_.shape == (9,)
    assert (model.eigenvalues_[4:] == 0).all()
    assert (model.transform(X)[:, 4:] == 0).all()
    assert KernelPCA(remove_zero_eig=True, **options).fit_transform(X).shape == (80, 4)


def test_centres_of_strings_and_fitted_kernels(X: np.ndarray) -> None:
    model = KernelPCA(n_components=2, kernel=Spectrum(), eigen_solver="nystrom", n_centers=6).fit(WORDS)
    assert len(model.centers_) == 6
    assert model.transform(["abab"]).shape == (1, 2)
    scaled = KernelPCA(n_components=2, kernel=Whitened(), eigen_solver="nystrom", n_centers=20).fit(X)
    assert_allclose(scaled.kernel_.scale_, X.std(axis=0))
    expected = KernelPCA(n_components=2, kernel=Whitened()).fit(X)
    assert_allclose(scaled.eigenvalues_, expected.eigenvalues_, rtol=1e-9)  # five dimensions: 20 points span them


def test_an_indefinite_kernel_has_no_centres(X: np.ndarray) -> None:
    with pytest.raises(InputError, match="takes a positive semi-definite kernel"):
        KernelPCA(n_components=2, kernel=Indefinite(), eigen_solver="nystrom").fit(X)


@pytest.mark.parametrize("solver", ["matvec", "nystrom"])
def test_pre_images_on_centres(X: np.ndarray, solver: str) -> None:
    options = {"n_components": 5, "kernel": Gauss(lengthscale=4.0), "fit_inverse_transform": True, "alpha": 1e-4}
    exact = KernelPCA(**options).fit(X)
    mine = KernelPCA(eigen_solver=solver, n_centers=80, **options).fit(X)
    assert_allclose(mine.inverse_transform(mine.transform(X)), exact.inverse_transform(exact.transform(X)), atol=1e-3)
    small = KernelPCA(eigen_solver=solver, n_centers=25, **options).fit(X)
    back = small.inverse_transform(small.transform(X))
    assert np.abs(back - X).mean() < np.abs(X - X.mean(axis=0)).mean() / 3
    assert len(small._pre_images.centers) == 25


def test_a_later_fit_leaves_nothing_of_an_earlier_one(X: np.ndarray) -> None:
    model = KernelPCA(n_components=2, kernel=Gauss(), eigen_solver="nystrom", n_centers=9, fit_inverse_transform=True)
    model.fit(X)
    model.set_params(eigen_solver="auto", fit_inverse_transform=False).fit(X)
    assert not hasattr(model, "centers_")
    assert model.transform(X).shape == (80, 2)
    with pytest.raises(NotFittedError, match="fit_inverse_transform"):
        model.inverse_transform(model.transform(X))


def test_a_large_mean_does_not_cost_digits() -> None:
    X = np.random.default_rng(0).standard_normal((450, 6)) * np.arange(6, 0, -1) + 1e4
    dense = KernelPCA(n_components=3, eigen_solver="dense").fit(X)
    mine = KernelPCA(n_components=3, eigen_solver="subspace").fit(X)
    assert_allclose(mine.eigenvalues_, dense.eigenvalues_, rtol=1e-7)


@pytest.mark.parametrize("solver", ["matvec", "nystrom"])
def test_what_no_matrix_shows_is_refused_too(X: np.ndarray, solver: str) -> None:
    def lopsided(A: np.ndarray, B: np.ndarray) -> np.ndarray:
        return A @ B.T + A[:, :1] - 3 * B[:, 0]

    def overflowing(A: np.ndarray, B: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return np.exp(500 * (A @ B.T))

    with pytest.raises(InputError, match="kernel: expected a symmetric kernel"):
        KernelPCA(n_components=2, kernel=lopsided, eigen_solver=solver).fit(X)
    with pytest.raises(InputError, match="infinite values"):
        KernelPCA(n_components=2, kernel=overflowing, eigen_solver=solver).fit(X)


def test_values_beyond_float32_are_computed_in_float64() -> None:
    class Large(Gauss):
        def evaluate(self, X: np.ndarray, Y: np.ndarray) -> np.ndarray:
            with np.errstate(over="ignore"):
                return super().evaluate(X, Y) * np.asarray(1e60, X.dtype)

    X = np.random.default_rng(0).standard_normal((60, 3))
    found = KernelPCA(n_components=2, kernel=Large(), eigen_solver="matvec").fit(X)
    expected = KernelPCA(n_components=2, kernel=Gauss()).fit(X)
    assert_allclose(found.eigenvalues_, 1e60 * expected.eigenvalues_, rtol=1e-9)


def test_few_values_beyond_float32_are_found_in_the_products() -> None:
    class Lying(Gauss):  # it says that it is normalised, and its large values are not among those of a few items
        def evaluate(self, X: np.ndarray, Y: np.ndarray) -> np.ndarray:
            with np.errstate(over="ignore"):
                left, right = (np.where(Z[:, 0] > 50, np.asarray(1e30, Z.dtype), 1) for Z in (X, Y))
                return super().evaluate(X, Y) * (left[:, None] * right)

    X = np.random.default_rng(0).standard_normal((1100, 3))
    X[np.setdiff1d(np.arange(1100), np.random.RandomState(0).choice(1100, 1000, replace=False))[0], 0] = 100.0
    found = KernelPCA(n_components=2, kernel=Lying(), eigen_solver="matvec", max_iter=20, tol=1e-6).fit(X)
    assert_allclose(found.eigenvalues_[0], 1e60 * (1 - 1 / 1100), rtol=1e-9)


@pytest.mark.parametrize("size", [1e-200, 1e200])
@pytest.mark.parametrize("solver", ["dense", "subspace", "matvec", "nystrom"])
def test_the_scale_of_a_kernel_does_not_matter(X: np.ndarray, size: float, solver: str) -> None:
    def scaled(A: np.ndarray, B: np.ndarray) -> np.ndarray:
        return size * np.asarray(Gauss(lengthscale=2.0)(A, B))

    expected = KernelPCA(n_components=3, kernel=Gauss(lengthscale=2.0)).fit(X)
    found = KernelPCA(n_components=3, kernel=scaled, eigen_solver=solver, centers=X).fit(X)
    assert_allclose(found.eigenvalues_ / size, expected.eigenvalues_, rtol=1e-8)
    assert_allclose(np.abs(found.transform(X)) / np.sqrt(size), np.abs(expected.transform(X)), atol=1e-6)


def test_values_and_sums_beyond_float64_are_refused(X: np.ndarray) -> None:
    class Infinite(Gauss):
        def evaluate(self, X: np.ndarray, Y: np.ndarray) -> np.ndarray:
            return np.where((X[:, :1] > 3) & (Y[:, 0] > 3), np.inf, -1e308)

    for solver in ("dense", "subspace"):
        with pytest.raises(InputError, match="X: sums of kernel values are beyond float64"):
            KernelPCA(n_components=2, kernel="precomputed", eigen_solver=solver).fit(np.full((8, 8), 1e308))
        with pytest.raises(InputError, match="gave NaN or infinite values"):
            KernelPCA(n_components=2, kernel=Infinite(), eigen_solver=solver).fit(X)
