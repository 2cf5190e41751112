"""Nystrom features: the formula, its bounds, dependent landmarks, every domain, precision, tensors and composites."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest
from landmark_cases import WORDS, Counting, Letters, PreparedLetters, Wave, rare

import kernreg_core as kr
from kernreg_core.errors import InputError, NotFittedError, ParameterError
from kernreg_euclidean import (
    RBF,
    KMeansLandmarks,
    Linear,
    Matern,
    Nystrom,
    PivotedCholesky,
    Polynomial,
    Tanh,
    UniformLandmarks,
)


def data(n: int = 60, d: int = 3, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def projected(kernel, X, Z, Y):
    """k(X, Z) k(Z, Z)^-1 k(Z, Y), by a general solver."""
    return kernel(X, Z) @ np.linalg.solve(kernel(Z), kernel(Z, Y))


# -- the formula -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kernel", [RBF(lengthscale=1.2), Matern(order=0.5), 2 * RBF() + 0.5 * RBF(lengthscale=3.0)], ids=repr
)
def test_values_are_the_projection_on_the_landmarks(kernel) -> None:
    X, Y = data(), data(25, seed=1)
    k = Nystrom(kernel=kernel, n_features=15, rng=0).fit(X)
    Z = X[k.indices_]
    assert np.array_equal(k.landmarks_, Z)
    assert k.features(X).shape == (60, 15)
    assert np.allclose(k(X, Y), projected(kernel, X, Z, Y), atol=1e-10)
    assert np.allclose(k(X), projected(kernel, X, Z, X), atol=1e-10)
    assert np.allclose(k.features(X) @ k.features(Y).T, k(X, Y), atol=1e-12)
    assert np.allclose(k.diag(Y), np.diag(k(Y)), atol=1e-12)
    assert np.allclose(k(Z, Y), kernel(Z, Y), atol=1e-10)  # exact where one side is a landmark


def test_all_items_as_landmarks_leave_nothing() -> None:
    X = data()
    k = Nystrom(kernel=Matern(order=0.5), n_features=1000, rng=0).fit(X)
    assert len(k.landmarks_) == 60
    assert np.abs(k(X) - Matern(order=0.5)(X)).max() < 1e-10
    assert k.error_estimate(X).error < 1e-12


def test_many_rows_more_columns_than_a_block() -> None:
    """Past the sizes at which panels and blocks of columns are cut: 2,100 rows, 130 landmarks."""
    X = data(2100, 6)
    k = Nystrom(kernel=RBF(lengthscale=1.5), n_features=130, rng=0).fit(X)
    expected = projected(RBF(lengthscale=1.5), X, k.landmarks_, X)
    assert np.abs(k(X) - expected).max() < 1e-10
    assert np.allclose(k.features(X)[:700], k.features(X[:700]), atol=1e-12)


def test_the_residual_is_positive_and_bounds_every_error() -> None:
    X, kernel = rare(), RBF()
    k = Nystrom(kernel=kernel, n_features=12, selector="kmeans", rng=0).fit(X)
    R = kernel(X) - k(X)
    assert np.linalg.eigvalsh(R).min() > -1e-10
    e = k.residual(X)
    assert np.allclose(e, np.diag(R), atol=1e-12)
    assert (np.abs(R) <= np.sqrt(np.outer(e, e)) + 1e-10).all()
    found = k.error_estimate(X)
    assert found.error == pytest.approx(np.trace(R) / 80)
    assert np.linalg.norm(R, 2) / 80 <= found.error + 1e-12


def test_the_standard_error_is_that_of_samples() -> None:
    """Of 200 samples of 50 items: the spread of the estimates, and what each says of it."""
    X = 2.0 * data(4000, 2)
    kernel = Linear() + 5 * RBF()  # k(x, x) varies
    k = Nystrom(kernel=kernel, n_features=8, rng=0).fit(X[:500])
    whole = k.error_estimate(X).error
    found = [k.error_estimate(X[i * 20 : i * 20 + 50]) for i in range(190)]
    errors, stated = np.array([f.error for f in found]), np.array([f.standard_error for f in found])
    assert abs(errors.mean() - whole) < 0.1 * whole
    assert errors.std() == pytest.approx(stated.mean(), rel=0.2)
    assert np.isnan(k.error_estimate(X[:1]).standard_error)


def test_kernel_values_are_asked_for_once() -> None:
    X, kernel = data(200), Counting()
    k = Nystrom(kernel=kernel, n_features=10, rng=0).fit(X)
    k.features(X)
    kernel._count = 0
    k.features(X)
    assert kernel._count == 200 * 10
    kernel._count = 0
    k.matvec(X, np.ones(200))
    assert kernel._count == 2 * 200 * 10
    kernel._count = 0
    kr.gram(k, X, tile=20, progress=False)  # features are prepared once, not for each tile
    assert kernel._count == 200 * 10


# -- landmarks ---------------------------------------------------------------------------------


def test_dependent_landmarks_are_dropped() -> None:
    """A linear kernel in three dimensions has three independent landmarks, and is then exact; so are repeats."""
    X = data()
    k = Nystrom(kernel=Linear(), n_features=20, rng=0).fit(X)
    assert len(k.landmarks_) == len(k.indices_) == 3
    assert np.array_equal(k.landmarks_, X[k.indices_])
    assert np.allclose(k(X), X @ X.T, atol=1e-9)
    repeated = np.repeat(X[:8], 3, axis=0)
    k = Nystrom(kernel=RBF(), n_features=24, rng=0).fit(repeated)
    assert len(k.landmarks_) == 8
    assert np.allclose(k(repeated), RBF()(repeated), atol=1e-9)
    assert k.jitter_ == 0.0


def test_landmarks_of_very_different_sizes_are_all_kept() -> None:
    X = np.diag([1e-6, 1.0, 1e6])
    k = Nystrom(kernel=Linear(), landmarks=X).fit(X)
    assert len(k.landmarks_) == 3
    assert np.allclose(k(X), X @ X.T, rtol=1e-9)
    assert len(Nystrom(kernel=Linear(), landmarks=np.diag([0.0, 1.0])).fit(X[:, :2]).landmarks_) == 1


def test_nearly_dependent_landmarks_give_no_noise() -> None:
    """A smooth kernel on 300 points of a line has rank 10 or so to rounding."""
    X = np.linspace(0.0, 1.0, 300)[:, None]
    k = Nystrom(kernel=RBF(lengthscale=0.7), n_features=100, rng=0).fit(X)
    assert 5 < len(k.landmarks_) < 20
    assert np.abs(k(X) - RBF(lengthscale=0.7)(X)).max() < 1e-8


@pytest.mark.parametrize(
    "selector",
    [
        "uniform",
        "kmeans",
        "leverage",
        "pivoted_cholesky",
        "euclidean.pivoted_cholesky",
        PivotedCholesky(block=3),
        KMeansLandmarks(kernel=RBF()),
    ],
    ids=repr,
)
def test_every_selector(selector) -> None:
    X = rare()
    k = Nystrom(kernel=RBF(), n_features=15, selector=selector, rng=3).fit(X)
    assert np.array_equal(k.landmarks_, X[k.indices_])
    if isinstance(selector, str) and selector != "uniform":
        assert k.selector_.kernel is k.kernel
    again = Nystrom(kernel=RBF(), n_features=15, selector=selector, rng=3).fit(X)
    assert np.array_equal(again.indices_, k.indices_)
    other = Nystrom(kernel=RBF(), n_features=15, selector=selector, rng=4).fit(X)
    assert not np.array_equal(other.indices_, k.indices_)
    if selector != "uniform":
        assert len(set(range(74, 80)) & set(k.indices_.tolist())) >= 3  # of the six points that stand alone


def test_a_selector_is_not_changed_and_keeps_its_own_seed() -> None:
    X, mine = rare(), UniformLandmarks(rng=7)
    k = Nystrom(n_features=5, selector=mine, rng=0).fit(X)
    assert np.array_equal(k.indices_, mine.select(X, 5))
    open_ = PivotedCholesky()
    found = Nystrom(kernel=RBF(lengthscale=3.0), n_features=5, selector=open_, rng=0).fit(X)
    assert (open_.kernel, open_.rng) == (None, None)
    assert found.selector_.kernel is found.kernel
    assert 0 < found.selector_.trace_error_ < 1


def test_a_foreign_selector() -> None:
    class First:
        def select(self, X, n):
            return np.arange(n)

    assert Nystrom(n_features=4, selector=First()).fit(data()).indices_.tolist() == [0, 1, 2, 3]


def test_given_landmarks() -> None:
    X, Z = data(), data(7, seed=2)
    k = Nystrom(landmarks=Z).fit(X)
    assert k.indices_ is None
    assert k.selector_ is None
    assert np.allclose(k(X), projected(RBF(), X, Z, X), atol=1e-9)
    Z[:] = 0.0  # what was given may be changed afterwards
    assert k.landmarks_.any()


@pytest.mark.parametrize(
    ("parameters", "error", "words"),
    [
        ({"n_features": 0}, ParameterError, "n_features"),
        ({"n_features": 2.5}, ParameterError, "n_features"),
        ({"kernel": 3}, ParameterError, "kernel"),
        ({"kernel": RBF}, ParameterError, "kernel"),
        ({"selector": 3}, ParameterError, "selector"),
        ({"selector": UniformLandmarks}, ParameterError, "selector"),
        ({"selector": "euclidean.rbf"}, ParameterError, "selector"),
        ({"selector": "nonsense"}, ValueError, "nonsense"),
        ({"landmarks": np.ones((2, 5))}, ParameterError, "lengthscale"),
        ({"landmarks": np.array([[np.nan, 0, 0]])}, InputError, "landmarks: .*NaN"),
        ({"landmarks": np.ones((2, 2)), "kernel": None}, InputError, "landmarks: expected 3 features, as X has"),
    ],
)
def test_bad_parameters_are_refused_by_fit(parameters, error, words) -> None:
    k = Nystrom(**{"kernel": RBF(lengthscale=[1.0, 1.0, 1.0]), **parameters})
    with pytest.raises(error, match=words):
        k.fit(data())


def test_bad_items_are_refused() -> None:
    k = Nystrom(n_features=4, rng=0)
    for call in (k, k.features, k.diag, k.prepare, k.residual, k.error_estimate, lambda X: k.matvec(X, np.ones(60))):
        with pytest.raises(NotFittedError, match="fit"):
            call(data())
    with pytest.raises(NotFittedError):
        _ = k.jitter_
    k.fit(data())
    with pytest.raises(InputError, match="expected 3 features, as the landmarks have"):
        k.features(np.ones((5, 2)))
    with pytest.raises(InputError, match="V: expected shape"):
        k.matvec(data(), np.ones(59))
    with pytest.raises(InputError, match="V: expected numbers"):
        k.matvec(data(), np.array(["a"] * 60))
    with pytest.raises(InputError, match="V: .*NaN"):
        k.matvec(k.prepare(data()), np.full(60, np.nan))
    with pytest.raises(InputError, match="features of them"):
        k.fit(k.prepare(data()))
    with pytest.raises(InputError, match="NaN"):
        k.fit(np.full((3, 2), np.nan))


def test_what_is_not_positive_semi_definite_is_refused() -> None:
    def swap(X, Y=None):
        return 1.0 - np.equal(X, (X if Y is None else Y).T)

    for kernel in (Tanh(gamma=2.0, coef0=-1.0), -1.0 * RBF(), Polynomial(coef0=-5.0)):
        with pytest.raises(InputError, match="positive semi-definite"):
            Nystrom(kernel=kernel, n_features=30, rng=0).fit(data())
    with pytest.raises(InputError, match="nothing to factorise"):
        Nystrom(kernel=swap).fit(np.arange(3.0)[:, None])
    with pytest.raises(InputError, match="nothing to factorise"):
        Nystrom(kernel=Linear()).fit(np.zeros((3, 2)))


# -- after fit ---------------------------------------------------------------------------------


def test_changed_parameters_show_at_once() -> None:
    X, scales = data(), np.array([1.0, 2.0, 3.0])
    k = Nystrom(kernel=RBF(), n_features=9, rng=0).fit(X)
    Z = k.landmarks_
    k(X)
    k.set_params(kernel__lengthscale=2.0)
    assert np.allclose(k(X), projected(RBF(lengthscale=2.0), X, Z, X), atol=1e-9)
    k.kernel.lengthscale = 0.7
    assert np.allclose(k(X), projected(RBF(lengthscale=0.7), X, Z, X), atol=1e-9)
    k.kernel = RBF(lengthscale=scales)
    k(X)
    scales[0] = 0.5
    assert np.allclose(k(X), projected(RBF(lengthscale=[0.5, 2.0, 3.0]), X, Z, X), atol=1e-9)


def test_jitter_where_changed_parameters_make_landmarks_dependent() -> None:
    X = np.linspace(0.0, 1.0, 50)[:, None]
    k = Nystrom(kernel=RBF(lengthscale=0.02), n_features=30, rng=0).fit(X)
    assert k.jitter_ == 0.0
    k.kernel.lengthscale = 5.0
    assert 0 < k.jitter_ <= 1e-8
    assert np.abs(k(X) - RBF(lengthscale=5.0)(X)).max() < 1e-4
    k.kernel.lengthscale = 0.02
    assert k.jitter_ == 0.0


def test_pickle_clone_and_composites() -> None:
    X, Y = data(), data(9, seed=5)
    k = Nystrom(kernel=Matern(), n_features=8, selector="kmeans", rng=0).fit(X)
    assert np.array_equal(pickle.loads(pickle.dumps(k)).features(Y), k.features(Y))
    with pytest.raises(NotFittedError):
        kr.clone(k)(X)
    total = 2 * Nystrom(kernel=Matern(), n_features=8, rng=0) + RBF() * Nystrom(n_features=5, rng=1)
    assert "fitted" in total.capabilities
    total.fit(X)
    a, b = Nystrom(kernel=Matern(), n_features=8, rng=0).fit(X), Nystrom(n_features=5, rng=1).fit(X)
    assert np.allclose(total(X, Y), 2 * a(X, Y) + RBF()(X, Y) * b(X, Y))
    nested = Nystrom(kernel=Nystrom(n_features=20, rng=0), n_features=6, rng=1).fit(X)
    assert np.allclose(nested(X), projected(nested.kernel, X, nested.landmarks_, X), atol=1e-8)


def test_it_works_inside_a_solver() -> None:
    solvers = pytest.importorskip("kernreg_solvers", reason="kernreg-solvers is not installed")
    X, y = data(), data()[:, 0] ** 2
    model = solvers.KernelRidge(kernel=Nystrom(n_features=10, rng=0), alpha=0.3).fit(X, y)
    k = Nystrom(n_features=10, rng=0).fit(X)
    expected = k(data(5, seed=3), X) @ np.linalg.solve(k(X) + 0.3 * np.eye(60), y)
    assert np.allclose(model.predict(data(5, seed=3)), expected)
    assert "landmarks_" not in vars(model.kernel)  # the clone was fitted


# -- domains -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [Letters(), PreparedLetters()], ids=repr)
@pytest.mark.parametrize("selector", ["uniform", "kmeans", "leverage", "pivoted_cholesky"])
def test_strings_and_prepared_items(kernel, selector) -> None:
    k = Nystrom(kernel=kernel, n_features=6, selector=selector, rng=0).fit(WORDS)
    Z = [WORDS[i] for i in k.indices_]
    expected = projected(Letters(), WORDS, Z, WORDS)
    assert np.allclose(k(WORDS), expected)
    assert np.allclose(k.diag(WORDS), np.diag(expected))
    assert np.allclose(k.matvec(WORDS, np.arange(10.0)), expected @ np.arange(10.0))
    P = k.prepare(WORDS)
    assert np.allclose(k(P[2:5], P), expected[2:5])
    assert np.allclose(k.matvec(P[2:5], np.arange(10.0), P), expected[2:5] @ np.arange(10.0))
    assert np.allclose(kr.gram(k, WORDS, tile=4, progress=False), expected)
    if kernel.capabilities >= {"prepare"}:  # what the kernel itself has prepared is taken too
        prepared = kernel.prepare(WORDS)
        again = Nystrom(kernel=kernel, n_features=6, selector=selector, rng=0).fit(prepared)
        assert np.array_equal(again.indices_, k.indices_)
        assert np.allclose(again.features(prepared), k.features(WORDS))
        assert np.allclose(again.matvec(prepared, np.ones(10)), expected.sum(axis=1))


def test_a_plain_function_and_sparse_rows() -> None:
    X = data()

    def dot(A, B=None):
        return (1 + A @ (A if B is None else B).T) ** 2

    k = Nystrom(kernel=dot, n_features=6, rng=0).fit(X)
    assert np.allclose(k(X), projected(dot, X, k.landmarks_, X))
    assert k.domain == ""
    sparse = pytest.importorskip("scipy.sparse")
    S = sparse.csr_array(np.where(np.abs(X) > 0.7, X, 0.0))
    k = Nystrom(n_features=6, rng=0).fit(S)
    assert np.allclose(k(S), projected(RBF(), S.toarray(), k.landmarks_.toarray(), S.toarray()))


def test_complex_values() -> None:
    X, Y = np.linspace(0, 5, 20)[:, None], np.linspace(0.1, 4, 7)[:, None]
    k = Nystrom(kernel=Wave(), n_features=6, rng=0).fit(X)
    assert "complex" in k.capabilities
    expected = projected(Wave(), X, k.landmarks_, Y)
    assert np.allclose(k(X, Y), expected)
    assert np.allclose(k.features(X) @ k.features(Y).conj().T, expected)
    assert np.allclose(k.matvec(X, np.arange(7.0) + 1j, Y), expected @ (np.arange(7.0) + 1j))
    assert np.array_equal(k(X), k(X).conj().T)


def test_matrix_values_and_two_roles_are_refused() -> None:
    class Roles(kr.BaseKernel):
        capabilities = frozenset({"asymmetric"})

    with pytest.raises(ParameterError, match="symmetric"):
        Nystrom(kernel=Roles()).fit(data())


# -- products with vectors, precision ----------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_with_vectors(dtype) -> None:
    X, Y = data(90).astype(dtype), data(40, seed=1).astype(dtype)
    k = Nystrom(kernel=Matern(order=1.5), n_features=20, rng=0).fit(X)
    tolerance = 1e-4 if dtype == np.float32 else 1e-10
    for V in (np.linspace(-1, 1, 40), np.random.default_rng(0).standard_normal((40, 3))):
        found = k.matvec(X, V.astype(dtype), Y)
        assert found.dtype == dtype
        assert np.allclose(found, k(X.astype(float), Y.astype(float)) @ V, atol=tolerance)
    assert np.allclose(k.matvec(Y, np.arange(40)), k(Y.astype(float)) @ np.arange(40), atol=40 * tolerance)


@pytest.mark.parametrize("lengthscale", [0.5, 5.0])
def test_single_precision_is_kept_and_enough(lengthscale) -> None:
    """With a long length scale the factor asks for double precision: its smallest diagonal entry is about 1e-4."""
    X = data(400)
    kernel = RBF(lengthscale=lengthscale)
    k = Nystrom(kernel=kernel, n_features=60, rng=0).fit(X)
    single = k.features(X.astype(np.float32))
    assert single.dtype == np.float32
    assert k(X.astype(np.float32)).dtype == np.float32
    assert np.abs(single @ single.T - k(X)).max() < 2e-5
    fitted = Nystrom(kernel=kernel, n_features=60, rng=0).fit(X.astype(np.float32))
    assert fitted.landmarks_.dtype == np.float32
    assert np.abs(fitted(X) - k(X)).max() < 2e-5


def test_the_error_estimate_of_single_precision_items_is_not_rounding() -> None:
    """What 40 of 60 landmarks leave, from the definition in float64: below what float32 features can tell."""
    X, kernel = data(60).astype(np.float32), RBF(lengthscale=5.0)
    k = Nystrom(kernel=kernel, n_features=40, selector="pivoted_cholesky", rng=0).fit(X)
    wide = X.astype(np.float64)
    cross = kernel(wide, wide[k.indices_])
    left = kernel(wide) - cross @ np.linalg.solve(kernel(wide[k.indices_]), cross.T)
    true = float(np.trace(left)) / 60
    assert true < 1e-6
    assert k.error_estimate(X).error == pytest.approx(true, rel=1e-3)


def test_the_same_bits_on_any_number_of_threads(monkeypatch) -> None:
    X = data(1500, 4)
    k = Nystrom(n_features=100, rng=0).fit(X)
    found = []
    for threads in ("1", "2"):
        monkeypatch.setenv("KERNREG_NUM_THREADS", threads)
        found.append(k.features(X))
    assert np.array_equal(*found)


# -- tensors -----------------------------------------------------------------------------------


def test_tensors_and_their_gradients() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    X, Y = data(), data(6, seed=1)
    k = Nystrom(kernel=RBF(lengthscale=1.5), n_features=8, rng=0).fit(X)
    T = torch.tensor(Y, requires_grad=True)
    assert np.allclose(k.features(T).detach().numpy(), k.features(Y), atol=1e-12)
    assert torch.autograd.gradcheck(k.features, T)
    assert torch.autograd.gradcheck(lambda t: k(t, torch.tensor(X[:4])), T)
    assert torch.autograd.gradcheck(lambda t: k.diag(t), T)
    assert np.allclose(k.matvec(torch.tensor(X), torch.ones(60, dtype=torch.float64)).numpy(), k(X).sum(axis=1))
    fitted = Nystrom(kernel=RBF(lengthscale=1.5), n_features=8, rng=0).fit(torch.tensor(X))
    assert isinstance(fitted.landmarks_, torch.Tensor)
    assert np.allclose(fitted(Y), k(Y), atol=1e-12)
    assert fitted(torch.tensor(Y).float()).dtype == torch.float32
    with pytest.raises(InputError, match="V: expected a torch tensor, as X is"):
        k.matvec(torch.tensor(X), np.ones(60))
    P = k.prepare(torch.tensor(X))
    assert np.allclose(k(P[:3], P).numpy(), k(X[:3], X))
    for dtype in (torch.float64, torch.float32, torch.int64):
        assert np.allclose(k.matvec(P, torch.ones(60, dtype=dtype)).numpy(), k(X).sum(axis=1))
    with pytest.raises(InputError, match="V: expected a torch tensor, as X is"):
        k.matvec(P, np.ones(60))


def test_gradients_reach_parameters_of_the_kernel() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    X = torch.tensor(data())
    k = Nystrom(kernel=RBF(lengthscale=1.5), n_features=8, rng=0).fit(X)

    def total(value):
        return k.set_params(kernel__lengthscale=value)(X[:9]).square().sum()

    leaf = torch.tensor(1.5, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(total(leaf), leaf)
    with torch.no_grad():
        difference = (total(1.5 + 1e-6) - total(1.5 - 1e-6)) / 2e-6
    assert float(gradient) == pytest.approx(float(difference), rel=1e-6)


def test_single_precision_tensors() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    X = data(300)
    k = Nystrom(kernel=RBF(lengthscale=5.0), n_features=60, rng=0).fit(X)
    F = k.features(torch.tensor(X).float())
    assert F.dtype == torch.float32
    assert np.abs((F @ F.T).numpy() - k(X)).max() < 2e-5
    assert k.features(torch.tensor(X).half()).dtype == torch.float16
    assert np.abs(k.matvec(torch.tensor(X).float(), torch.ones(300)).numpy() - k(X).sum(axis=1)).max() < 1e-2


def test_nothing_warns() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        k = Nystrom(n_features=5, rng=0).fit(data())
        k(data())
        k.error_estimate(data())
