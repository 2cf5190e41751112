"""matvec: k(X, Y) V against products with matrices from the kernels' definitions, at every border of the tiles."""

from __future__ import annotations

import itertools
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from euclidean_cases import NAMES, SLOW, data, dense_formula, items, kernels

import kernreg_core as kr
import kernreg_euclidean as ke
from kernreg_core.errors import InputError
from kernreg_euclidean import _factors, _multiply

SPARSE = [name for name in NAMES if kernels()[name].accepts_sparse]
#: Products by explicit features whatever the size.
EXPLICIT = {"linear", "cosine"}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of 16 x 32 and blocks of 16 rows, on two threads: every path at a small size."""
    monkeypatch.setenv("KERNREG_NUM_THREADS", "2")
    for name in ("TILE", "WORKSPACE", "SHARED_TILE", "SHARED_WORKSPACE"):
        monkeypatch.setattr(_multiply, name, 1 << 12)
    for name in ("WIDTH", "SHARED_WIDTH"):
        monkeypatch.setattr(_multiply, name, 32)
    for name, value in {"BLOCK_ROWS": 16, "TURNS": 1, "SERIAL_WORK": 0}.items():
        monkeypatch.setattr(_multiply, name, value)
    monkeypatch.setattr(_factors, "BLOCK", 64)
    monkeypatch.setattr(_factors, "LEAST_ROWS", 7)
    monkeypatch.setattr(_factors, "SERIAL_WORK", 0)


def near(found: Any, K: np.ndarray, V: np.ndarray, relative: float) -> None:
    """`found` is K V, to a fraction of what was summed."""
    assert found.shape == (len(K), *V.shape[1:])
    allowed = relative * (np.abs(K) @ np.abs(V)).max(initial=0.0)
    np.testing.assert_allclose(found, K @ V, rtol=0, atol=allowed)


def tolerance(dtype: Any) -> float:
    return 2e-6 if dtype == np.float32 else 1e-12


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", NAMES)
def test_every_kernel(name: str, dtype: Any, threads: int, tiny: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERNREG_NUM_THREADS", str(threads))
    kernel = kernels()[name]
    X, Y = items(name, 147, dtype=dtype), items(name, 101, seed=1, dtype=dtype)
    X[31], X[140], Y[3] = X[2], X[64], X[100]
    formula = dense_formula(kernel)
    for left, right in ((X, None), (X, Y), (Y, X)):
        K = formula(left, left if right is None else right)
        if name == "cosine":
            assert np.isfinite(K).all()
        for shape in ((K.shape[1],), (K.shape[1], 1), (K.shape[1], 3)):
            V = np.random.default_rng(2).standard_normal(shape).astype(dtype)
            found = kernel.matvec(left, V, right)
            assert found.dtype == dtype
            near(found, K, V.astype(np.float64), tolerance(dtype))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in EXPLICIT])
def test_every_tile_serves_twice_and_the_diagonal_is_exact(name: str, tiny: None) -> None:
    """With V = I the product is the matrix: symmetric to the last bit, its diagonal the kernel's."""
    kernel = kernels()[name]
    X = items(name, 141)
    X[77] = X[5]
    X += 10.0
    calls = []
    tiles = kernel._tiles(X, X, X.dtype)
    function = tiles.function

    def counted(rows: slice, cols: slice, *rest: Any) -> None:
        calls.append((rows, cols))
        function(rows, cols, *rest)

    K = _multiply.multiply(replace(tiles, function=counted), np.eye(141), X.dtype)
    assert np.array_equal(K, K.T)
    assert np.array_equal(K.diagonal(), kernel.diag(X))
    times = np.zeros((141, 141), int)
    for rows, cols in calls:
        times[rows, cols] += 1
    assert times.max() == 1
    assert ((times + times.T)[~np.eye(141, dtype=bool)] >= 1).all()
    assert times.sum() < 0.6 * 141**2


@pytest.mark.parametrize("count", range(1, 12))
def test_rounds_of_pairs(count: int) -> None:
    blocks = [slice(i, i + 1) for i in range(count)]
    rounds = [[(a.start, b.start) for a, b in pairs] for pairs in _multiply._rounds(blocks)]
    for pairs in rounds[:-1]:
        players = list(itertools.chain.from_iterable(pairs))
        assert len(set(players)) == len(players), "no two threads add to the same rows"
    assert sorted(itertools.chain.from_iterable(rounds)) == [(i, j) for i in range(count) for j in range(i, count)]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", ["rbf", "matern52", "laplace", "arc_cosine_1", "linear", "polynomial"])
def test_the_same_bits_at_the_default_tiles(name: str, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel, X = kernels(4)[name], items(name, 2309, 4, dtype=dtype)
    Y = X[:1201] + dtype(0.1)
    V, W = data(2309, 2, seed=1, dtype=dtype), data(1201, 1, seed=2, dtype=dtype)[:, 0]
    formula, some = dense_formula(kernel), slice(5, None, 37)
    K, L = formula(X[some], X), formula(X[some], Y)
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("KERNREG_NUM_THREADS", threads)
        first, second = kernel.matvec(X, V), kernel.matvec(X, W, Y)
        near(first[some], K, V.astype(np.float64), tolerance(dtype))
        near(second[some], L, W.astype(np.float64), tolerance(dtype))
        assert np.array_equal(kernel.matvec(X, V), first)
        assert np.array_equal(kernel.matvec(X, W, Y), second)


PEAK = """
import tracemalloc
import numpy as np
import kernreg_euclidean as ke
kernel, X = ke.RBF(lengthscale=4.5), np.random.default_rng(0).standard_normal((20_000, 20)).astype({dtype!r})
v = np.ones(len(X), X.dtype)
kernel.matvec(X, v)
tracemalloc.start()
kernel.matvec(X, v)
print(tracemalloc.get_traced_memory()[1])
"""


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_no_matrix_is_formed(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 MB for 20,000 rows of 20 features and two threads, where the matrix has 3.2 GB; V's columns come on top."""
    monkeypatch.setenv("KERNREG_NUM_THREADS", "2")
    # in a process of its own: what other tests left running here would be counted, too
    code = PEAK.format(dtype=np.dtype(dtype).name)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120)
    assert int(done.stdout) < 20e6
    kernel, X = ke.RBF(lengthscale=4.5), data(20_000, 20, dtype=dtype)
    found = kernel.matvec(X, np.ones(len(X), dtype))
    rows = [0, 7, 10_001, 19_999]
    expected = dense_formula(kernel)(X[rows], X).sum(axis=1)
    np.testing.assert_allclose(found[rows], expected, rtol=tolerance(dtype))


@pytest.mark.parametrize("name", ["rbf", "anova", "arc_cosine_2", "spectral_mixture", "laplace"])
def test_a_million_rows(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few columns for many rows and the other way round: memory for rows, not for pairs."""
    monkeypatch.setenv("KERNREG_NUM_THREADS", "2")
    kernel, X = kernels()[name], np.tile(items(name, 1000), (1000 if name == "rbf" else 60, 1))
    Y = items(name, 17, seed=1)
    v, w = np.ones(len(X)), np.arange(17.0)
    K = dense_formula(kernel)(X[:1000], Y)
    tracemalloc.start()
    try:
        down, across = kernel.matvec(X, w, Y), kernel.matvec(Y, v, X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * X.nbytes + 16e6
    near(down[-1000:], K, w, 1e-12)
    near(across, K.T * (len(X) // 1000), np.ones(1000), 1e-11)


@pytest.mark.parametrize(("offset", "dtype", "relative"), [(1e5, np.float64, 1e-10), (100.0, np.float32, 2e-6)])
@pytest.mark.parametrize(
    "name", ["rbf", "rbf_ard", "matern12", "matern52", "rational_quadratic", "laplace", "periodic"]
)
def test_data_far_from_the_origin(name: str, offset: float, dtype: Any, relative: float, tiny: None) -> None:
    kernel = kernels()[name]
    X, Y = (data(n, 3, seed).astype(dtype) + dtype(offset) for seed, n in enumerate((150, 90)))
    V = data(150, 2, seed=3, dtype=dtype)
    formula = dense_formula(kernel)
    near(kernel.matvec(X, V), formula(X, X), V.astype(float), relative)
    near(kernel.matvec(Y, V, X), formula(Y, X), V.astype(float), relative)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", SPARSE)
def test_sparse_rows(name: str, dtype: Any, tiny: None) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    kernel = kernels(40)[name]
    X, Y = (sparse.random_array((n, 40), density=0.2, rng=n, format="csr", dtype=dtype) for n in (130, 90))
    x, y = X.toarray(), Y.toarray()
    x[:, 0] += dtype(0.5)  # no row of zeros, which has no cosine by the formula
    y[:, 0] += dtype(0.5)
    X, Y = sparse.csr_array(x), sparse.csr_array(y)
    V, W = data(130, 2, dtype=dtype), data(90, 1, seed=1, dtype=dtype)[:, 0]
    formula = dense_formula(kernel)
    for left, right, columns in ((X, None, V), (Y, X, V), (X, Y, W), (x, Y, W), (X, y, W)):
        a = left if isinstance(left, np.ndarray) else left.toarray()
        b = a if right is None else right if isinstance(right, np.ndarray) else right.toarray()
        found = kernel.matvec(left, columns, right)
        assert type(found) is np.ndarray
        assert found.dtype == dtype
        near(found, formula(a, b), columns.astype(float), tolerance(dtype))


@pytest.mark.parametrize("cost", [0.0, 1e9])
@pytest.mark.parametrize("name", ["polynomial", "polynomial_5", "polynomial_homogeneous", "anova", "anova_3"])
def test_products_by_features_and_by_tiles(name: str, cost: float, tiny: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_factors, "FEATURE_COST", cost)
    kernel, X, Y = kernels(5)[name], data(120, 5), data(77, 5, seed=1)
    if not cost:
        monkeypatch.setattr(kernel, "_tiles", None)
    V = data(77, 3, seed=2)
    near(kernel.matvec(X, V, Y), dense_formula(kernel)(X, Y), V, 1e-13)
    near(kernel.matvec(Y, V), dense_formula(kernel)(Y, Y), V, 1e-13)


def test_features_are_used_where_they_pay() -> None:
    X, few = np.zeros((20_000, 20)), np.zeros((500, 20))
    assert ke.Polynomial(degree=2)._factors(X, X) is not None
    assert ke.Polynomial(degree=2)._factors(few, X) is None
    assert ke.Polynomial(degree=2, coef0=-1.0)._factors(X, X) is None
    assert ke.Polynomial(degree=9)._factors(X, X) is None
    assert ke.Anova(degree=2)._factors(X, X) is not None
    v = np.ones(300_000)
    long = np.ones((300_000, 2))
    assert (ke.Linear().matvec(long, v) == 600_000).all()
    np.testing.assert_allclose(ke.Cosine().matvec(long, v), 300_000, rtol=1e-11)


VECTORS = {
    "int": (np.arange(60) - 30, np.float64),
    "bool": (np.arange(60) % 3 == 0, np.float32),
    "float16": (np.linspace(-1, 1, 60).astype(np.float16), np.float32),
    "float32": (np.linspace(-1, 1, 60, dtype=np.float32), np.float32),
    "float64": (np.linspace(-1, 1, 60), np.float64),
    "longdouble": (np.linspace(-1, 1, 60).astype(np.longdouble), np.longdouble),
    "complex64": (np.exp(1j * np.arange(60)).astype(np.complex64), np.complex64),
    "complex128": (np.exp(1j * np.arange(120)).reshape(60, 2), np.complex128),
    "list": (list(range(60)), np.float64),
    "columns of a larger array": (np.linspace(-1, 1, 600).reshape(60, 10)[:, ::4], np.float64),
    "Fortran order": (np.asfortranarray(np.linspace(-1, 1, 180).reshape(60, 3)), np.float64),
    "no columns": (np.zeros((60, 0)), np.float64),
}


@pytest.mark.parametrize("name", ["rbf", "linear"])
@pytest.mark.parametrize("case", VECTORS)
def test_what_v_may_be(case: str, name: str, tiny: None) -> None:
    """Of float32 rows: the result has the dtype to which NumPy promotes float32 and V's, and float64's digits."""
    V, dtype = VECTORS[case]
    X, kernel = items(name, 60, dtype=np.float32), kernels()[name]
    K = dense_formula(kernel)(X, X)
    found = kernel.matvec(X, V)
    assert found.dtype == dtype
    near(found, K, np.asarray(V).astype(complex if np.dtype(dtype).kind == "c" else float), 2e-6)
    if dtype == np.float64 and case != "no columns":  # V keeps its digits: the float32 matrix is what is multiplied
        exact = kernel(X).astype(np.float64) @ V if name == "rbf" else K @ V
        np.testing.assert_allclose(found, exact, rtol=0, atol=1e-12 * np.abs(K).sum(1).max() * np.abs(V).max())


def test_sums_of_float32_are_in_float64(tiny: None) -> None:
    """2^24 + 1 = 2^24 in float32: what each tile adds would be lost."""
    X, Y, V = (np.zeros(shape, np.float32) for shape in ((4, 2), (70_000, 2), 70_000))
    V[0], V[2000:62_000:600] = 2.0**24, 1.0
    found = ke.RBF().matvec(X, V, Y)
    assert found.dtype == np.float32
    assert (found == 2.0**24 + 100).all()


@pytest.mark.parametrize(
    ("V", "message"),
    [
        (
            np.ones(11),
            r"V: expected shape \(12,\) or \(12, p\), one row for each item of Y, got numpy.ndarray of shape",
        ),
        (np.ones((12, 2, 2)), "V: expected shape"),
        (1.0, "V: expected shape"),
        (["a"] * 12, "V: expected numbers"),
        (np.array([None] * 12), "V: expected numbers"),
        ([[1.0], [2.0, 3.0]], "V: expected numbers"),
        (np.full(12, np.nan), "V: expected finite numbers, got 12 that are NaN or infinite"),
        (np.full((12, 2), -np.inf), "V: expected finite numbers"),
        (np.full(12, complex(0, np.nan)), "V: expected finite numbers"),
        (np.ma.masked_array(np.ones(12)), "V: expected a plain array, got a masked one"),
    ],
)
@pytest.mark.parametrize("name", ["rbf", "linear", "anova"])
def test_bad_vectors(name: str, V: Any, message: str) -> None:
    kernel = kernels()[name]
    with pytest.raises(InputError, match=message):
        kernel.matvec(data(12, 3), V)
    with pytest.raises(InputError, match=message):
        kernel.matvec(data(5, 3), V, data(12, 3))


def test_bad_vectors_of_other_libraries() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(InputError, match=r"V: expected a dense array, got .*: pass V.toarray\(\)"):
        ke.RBF().matvec(data(4, 2), sparse.csr_array(np.eye(4)))
    with pytest.raises(InputError, match="X: expected numbers"):
        ke.RBF().matvec(np.array([["a"]]), np.ones(1))


@pytest.mark.parametrize("name", sorted(set(NAMES) - SLOW))
def test_one_row_and_rows_that_are_all_the_same(name: str) -> None:
    kernel = kernels()[name]
    X = items(name, 1)
    np.testing.assert_allclose(kernel.matvec(X, [2.0]), 2.0 * kernel.diag(X), rtol=1e-14)
    many = np.repeat(X, 90, axis=0)
    expected = 90 * kernel.diag(many) if name != "arc_cosine_0" else 90 * np.ones(90)
    np.testing.assert_allclose(kernel.matvec(many, np.ones(90)), expected, rtol=1e-12)


def test_of_sums_and_products_of_kernels() -> None:
    X, V = data(70, 3), data(70, 2, seed=1)
    total = 2.0 * ke.RBF() + ke.Linear()
    assert "matvec" in total.capabilities
    near(total.matvec(X, V), 2 * dense_formula(ke.RBF())(X, X) + X @ X.T, V, 1e-13)
    product = ke.RBF() * ke.Matern(order=1.5)
    near(kr.matvec(product, X, V), dense_formula(ke.RBF())(X, X) * dense_formula(ke.Matern(order=1.5))(X, X), V, 1e-12)


def tensors() -> Any:
    return pytest.importorskip("torch", reason="torch is not installed")


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiles of tensors of 2 x 32: gradients go through many."""
    monkeypatch.setattr("kernreg_euclidean._torch.TILE", 64)


@pytest.mark.parametrize("name", NAMES)
def test_tensors(name: str, small_tiles: None) -> None:
    torch, kernel = tensors(), kernels()[name]
    x, y, v, w = items(name, 7), items(name, 35, seed=1), data(7, 2, seed=2), data(35, 1, seed=3)[:, 0]
    x[3] = x[5]
    X, Y, V, W = map(torch.from_numpy, (x, y, v, w))
    assert np.array_equal(kernel.matvec(X, V).numpy(), kernel.matvec(x, v)), "without gradients the same code runs"
    assert np.array_equal(kernel.matvec(X, W, Y).numpy(), kernel.matvec(x, w, y))
    learnt = X.clone().requires_grad_()
    found = kernel.matvec(learnt, V)
    assert found.requires_grad
    near(found.detach().numpy(), kernel(x), v, 1e-13)
    near(kernel.matvec(X, W.clone().requires_grad_(), Y).detach().numpy(), kernel(x, y), w, 1e-13)
    for dtype in (torch.float32, torch.bfloat16):
        coarse = kernel.matvec(learnt.to(dtype), V.to(dtype))
        assert coarse.dtype == dtype
        expected = kernel(learnt.to(dtype).double().detach().numpy())
        near(
            coarse.detach().double().numpy(),
            expected,
            V.to(dtype).double().numpy(),
            1e-5 if dtype == torch.float32 else 1e-2,
        )


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"matern_0.8", "matern_3.3"}))
def test_gradients_of_tensors(name: str, small_tiles: None) -> None:
    """Tile by tile as through the whole matrix: to X (also where it is Y), Y and V; X shares a point with Y."""
    torch, kernel = tensors(), kernels()[name]
    X, Y = torch.from_numpy(items(name, 5)).requires_grad_(), torch.from_numpy(items(name, 37, seed=1)).requires_grad_()
    with torch.no_grad():
        Y[2] = X[1]
    V, W = (torch.from_numpy(data(n, 2, seed=n)).requires_grad_() for n in (5, 37))
    weights = torch.from_numpy(data(5, 2, seed=4))

    def gradients(value: Any, *inputs: Any) -> Any:
        return torch.autograd.grad((weights * value).sum(), inputs)

    for ours, theirs in (
        (gradients(kernel.matvec(X, V), X, V), gradients(kernel(X, X.view_as(X)) @ V, X, V)),
        (gradients(kernel.matvec(X, W, Y), X, Y, W), gradients(kernel(X, Y) @ W, X, Y, W)),
    ):
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


def test_gradients_to_parameters_and_of_second_order(small_tiles: None) -> None:
    torch = tensors()
    X = torch.from_numpy(data(40, 3))
    V = torch.from_numpy(data(40, 1, seed=1)[:, 0])
    scale = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    kernel = ke.RBF(lengthscale=scale)
    (ours,) = torch.autograd.grad(V @ kernel.matvec(X, V), scale)
    (theirs,) = torch.autograd.grad(V @ kernel(X) @ V, scale)
    torch.testing.assert_close(ours, theirs)
    small = X[:4].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x, v: ke.Matern().matvec(x, v, X), (small, V.clone().requires_grad_()))
    assert torch.autograd.gradgradcheck(lambda x: ke.Matern().matvec(x, V, X), (small,))


def test_gradients_keep_no_matrix(monkeypatch: pytest.MonkeyPatch, small_tiles: None) -> None:
    """The backward pass evaluates each tile anew: what autograd holds between the passes grows with n + m."""
    torch = tensors()
    calls = []
    original = ke.RBF._functional

    def counted(self: Any, X: Any, Y: Any) -> Any:
        calls.append(len(X) * len(Y))
        return original(self, X, Y)

    monkeypatch.setattr(ke.RBF, "_functional", counted)
    X = torch.from_numpy(data(64, 2)).requires_grad_()
    value = ke.RBF().matvec(X, torch.ones(64, dtype=torch.float64)).sum()
    assert calls == [64] * 64
    value.backward()
    assert calls == [64] * 128
    weights = torch.zeros(64, dtype=torch.float64)
    with torch.no_grad():
        ke.RBF().matvec(X.to(torch.float16), weights)
    assert calls == [64] * 192, "no gradient, no second evaluation"


def test_dtypes_and_devices_of_tensors() -> None:
    torch = tensors()
    X = torch.from_numpy(data(20, 3)).float()
    K = ke.RBF()(X.double())
    for V in (torch.arange(20), torch.ones(20, dtype=torch.bool), torch.ones(20, dtype=torch.float16)):
        found = ke.RBF().matvec(X, V)
        assert found.dtype == torch.float32
        torch.testing.assert_close(found.double(), K @ V.double(), rtol=1e-5, atol=1e-4)
    assert ke.RBF().matvec(X, torch.ones(20, 2, dtype=torch.float64)).dtype == torch.float64
    assert ke.RBF().matvec(X.half(), torch.ones(20)).dtype == torch.float32
    V = torch.randn(20, 2, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    for W in (V, V.conj(), V[:, 0], V.requires_grad_()):
        found = ke.RBF().matvec(X.double(), W)
        assert found.dtype == torch.complex128
        torch.testing.assert_close(found, K.to(W.dtype) @ W)
    for V, message in (
        (np.ones(20), "V: expected a torch tensor, as X is"),
        (torch.ones(19), "V: expected shape"),
        (torch.ones(20, device="meta"), "V: expected X's device cpu, got meta"),
        (torch.full((20,), torch.nan), "V: expected finite numbers"),
        (torch.full((20,), 1j * torch.inf), "V: expected finite numbers"),
    ):
        with pytest.raises(InputError, match=message):
            ke.RBF().matvec(X, V)
    with pytest.raises(InputError, match=r"V: expected a NumPy array, as X is .*, got torch.Tensor"):
        ke.RBF().matvec(X.numpy(), torch.ones(20))
