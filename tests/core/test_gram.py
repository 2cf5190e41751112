"""Gram matrices in tiles: the same values however they are cut and wherever they are computed."""

from __future__ import annotations

import sys
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from sample_kernels import Blocks, Dot, Filled, Letters, Phase, Prepared, Queries, Rbf

import kernreg_core as kr
from kernreg_core.threads import num_threads

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((23, 3)), RNG.standard_normal((9, 3))
WORDS = ["kernel", "gram", "matrix", "tile", "a", "registry", "sampler"]


class Inline(Executor):
    """Runs at once, in this thread: an executor of another library."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


def dot(X, Y):
    return X @ Y.T


CASES = [
    (Rbf(), X), (Filled(lengthscale=2.0), X), (Queries(), X), (Phase(), X), (Blocks(), X), (dot, X),
    (Letters(), WORDS), (Prepared(), WORDS), (2 * Rbf() + Dot() ** 2, X), (2 * Prepared() + Letters(), WORDS),
]  # fmt: skip


@pytest.mark.parametrize("tile", [1, 4, 7, 22, 23, 1000, None])
@pytest.mark.parametrize(("kernel", "items"), CASES, ids=lambda case: getattr(case, "__name__", repr(case))[:20])
def test_values_do_not_depend_on_the_tile(kernel, items, tile):
    K = kr.gram(kernel, items, tile=tile)
    expected = kernel(items, items)
    np.testing.assert_allclose(K, expected, rtol=1e-14, atol=1e-14)
    assert K.dtype == expected.dtype
    if "symmetric" in kr.capabilities(kernel):
        transposed = np.swapaxes(K, 0, 1) if K.ndim == 2 else K.transpose(1, 0, 3, 2)
        np.testing.assert_array_equal(K, transposed.conj())
    np.testing.assert_allclose(kr.gram(kernel, items, items[:5], tile=tile), expected[:, :5], rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize(("kernel", "items"), CASES, ids=lambda case: getattr(case, "__name__", repr(case))[:20])
def test_executors_give_the_same(kernel, items):
    expected = kr.gram(kernel, items, tile=5)
    with ThreadPoolExecutor(3) as executor:
        np.testing.assert_array_equal(kr.gram(kernel, items, tile=5, executor=executor), expected)
    np.testing.assert_array_equal(kr.gram(kernel, items, tile=5, executor=Inline()), expected)


def test_processes_give_the_same():
    with ProcessPoolExecutor(
        2, mp_context=get_context("spawn" if sys.platform == "win32" else "forkserver")
    ) as executor:
        for kernel, items in [(Rbf(), X), (2 * Prepared() + Letters(), WORDS)]:
            np.testing.assert_array_equal(
                kr.gram(kernel, items, tile=6, executor=executor), kr.gram(kernel, items, tile=6)
            )
        with pytest.raises(Exception, match=r"pickle|local object") as raised:
            kr.gram(lambda X, Y: X @ Y.T, X, tile=6, executor=executor)
        assert any("rows 0:6" in note for note in raised.value.__notes__)
        assert any("no lambdas" in note for note in raised.value.__notes__)


def test_an_error_in_a_tile_says_where():
    def fails(X, Y):
        raise ZeroDivisionError("inside")

    with ThreadPoolExecutor(2) as executor, pytest.raises(ZeroDivisionError, match="inside") as raised:
        kr.gram(fails, X, tile=20, executor=executor)
    assert (
        raised.value.__notes__[0] == "in the tile of rows 0:20 and columns 0:20" or "rows" in raised.value.__notes__[0]
    )


def test_a_worker_uses_one_thread(monkeypatch):
    monkeypatch.setenv("KERNREG_NUM_THREADS", "8")
    seen = set()

    def kernel(X, Y):
        seen.add(num_threads())
        return X @ Y.T

    with ThreadPoolExecutor(2) as executor:
        kr.gram(kernel, X, tile=8, executor=executor)
    assert seen == {1}
    assert num_threads() == 8


def test_each_side_is_prepared_once():
    before = Prepared.calls
    kr.gram(Prepared(), WORDS, tile=2)
    assert Prepared.calls == before + 1
    kr.gram(Prepared(), WORDS, WORDS[:3], tile=2)
    assert Prepared.calls == before + 3


def test_only_half_is_computed_where_the_kernel_is_symmetric():
    sizes = []

    class Counted(Rbf):
        def evaluate(self, X, Y):
            sizes.append(len(X) * len(Y))
            return super().evaluate(X, Y)

    kr.gram(Counted(), X, tile=1)
    assert sum(sizes) == 23 * 24 // 2


def test_tiles_are_written_in_place():
    before = Filled.calls
    out = np.empty((23, 23))
    assert kr.gram(Filled(), X, out=out, tile=10) is out
    assert Filled.calls == before + 6
    np.testing.assert_allclose(out, Rbf()(X), rtol=1e-14)


def test_one_tile_of_a_kernel_is_the_result_without_a_copy():
    class Keeps(Rbf):
        def evaluate(self, X, Y):
            self.kept_ = super().evaluate(X, Y)
            return self.kept_

    kernel = Keeps()
    assert np.shares_memory(kr.gram(kernel, X, Y), kernel.kept_)
    assert not np.shares_memory(kr.gram(kernel, X, Y, dtype=np.float32), kernel.kept_)
    cached = np.ones((23, 9))
    assert not np.shares_memory(kr.gram(lambda X, Y: cached, X, Y), cached)  # a foreign kernel may keep its own


def test_out_may_be_a_memory_map(tmp_path):
    out = np.memmap(tmp_path / "gram.npy", mode="w+", shape=(23, 9), dtype=np.float32)
    assert kr.gram(Filled(), X, Y, out=out, tile=5) is out
    np.testing.assert_allclose(out, Rbf()(X, Y), rtol=1e-6)


def test_progress_counts_tiles_and_is_silent_without_a_terminal(capsys):
    calls = []
    kr.gram(Rbf(), X, tile=10, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 6) for i in range(1, 7)]
    kr.gram(Rbf(), X, tile=2)
    printed = capsys.readouterr()
    assert printed.out + printed.err == ""
    kr.gram(Rbf(), X, tile=2, progress=True)
    printed = capsys.readouterr()
    assert "Gram matrix" in printed.err
    assert printed.out == ""


def test_progress_shows_itself_in_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr("kernreg_core.progress._has_terminal", lambda: True)
    kr.gram(Rbf(), X, tile=30)  # one tile: nothing to show
    assert "Gram" not in capsys.readouterr().err


@pytest.mark.parametrize("dtype", [np.float32, "float64", np.complex128])
def test_the_dtype_can_be_chosen(dtype):
    K = kr.gram(Rbf(), X, dtype=dtype, tile=9)
    assert K.dtype == np.dtype(dtype)
    np.testing.assert_allclose(K, Rbf()(X), rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"kernel": "euclidean.rbf"}, kr.ParameterError, "got str 'euclidean.rbf': make one with kr.create"),
        ({"kernel": Rbf}, kr.ParameterError, "make one with kr.create"),
        ({"kernel": lambda x, y: float(x @ y.T)}, (kr.InputError, TypeError), None),
        ({"kernel": lambda X, Y: np.ones(3)}, kr.InputError, r"expected a Gram matrix of shape \(23, 23\)"),
        ({"kernel": Phase(), "dtype": float}, kr.InputError, "gives complex values"),
        ({"tile": 0}, kr.ParameterError, "tile: expected a positive integer, got int 0"),
        ({"tile": 2.5}, kr.ParameterError, "tile"),
        ({"tile": True}, kr.ParameterError, "tile"),
        ({"dtype": int}, kr.ParameterError, "dtype: expected a floating dtype, got int64"),
        ({"dtype": "nonsense"}, kr.ParameterError, "dtype: expected a NumPy dtype"),
        ({"executor": 2}, kr.ParameterError, "executor: expected a concurrent.futures.Executor, got int 2"),
        ({"progress": "yes"}, kr.ParameterError, "progress: expected True, False, None or a callable"),
        ({"out": np.empty((3, 3))}, kr.InputError, r"out: expected a floating NumPy array of shape \(23, 23\)"),
        ({"out": np.empty((23, 23), int)}, kr.InputError, "out: expected a floating"),
        ({"out": [[0.0]]}, kr.InputError, "out: expected"),
        ({"out": np.empty((23, 23)), "dtype": np.float32}, kr.InputError, "out: expected dtype float32"),
        ({"X": np.array([[np.nan, 0, 0]])}, kr.InputError, "X: expected finite"),
        ({"Y": np.ones((2, 2))}, kr.InputError, "equal feature counts"),
        ({"X": []}, kr.InputError, "X"),
    ],
)  # fmt: skip
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        kr.gram(**{"kernel": Rbf(), "X": X, **arguments})


def test_a_read_only_out_is_refused():
    out = np.empty((23, 23))
    out.flags.writeable = False
    with pytest.raises(kr.InputError, match="read-only"):
        kr.gram(Rbf(), X, out=out)


def test_what_would_not_fit_is_refused_and_an_own_array_is_not(monkeypatch):
    monkeypatch.setattr("kernreg_core.memory.available_memory", lambda: 10**8)
    rows = np.ones((5000, 1))
    with pytest.raises(kr.GramMemoryError, match="takes 200 MB, but only 100 MB"):
        kr.gram(Rbf(), rows)
    with pytest.raises(kr.GramMemoryError):
        kr.gram(dot, rows)
    out = np.empty((5000, 5000))
    assert kr.gram(dot, rows, out=out, tile=1000) is out


def test_nothing_is_mutated():
    frozen = X.copy()
    frozen.flags.writeable = False
    words = list(WORDS)
    kr.gram(Filled(), frozen, tile=4)
    kr.gram(Prepared(), words, tile=2)
    np.testing.assert_array_equal(frozen, X)
    assert words == WORDS


def test_matvec_tile_by_tile_and_the_kernels_own():
    V = RNG.standard_normal((9, 2))
    for kernel in (Rbf(), Dot(offset=1.0), Queries(), dot):
        np.testing.assert_allclose(kr.matvec(kernel, X, V, Y), kernel(X, Y) @ V, rtol=1e-12)
        np.testing.assert_allclose(kr.matvec(kernel, Y, V[:, 0]), kernel(Y, Y) @ V[:, 0], rtol=1e-12)
    with pytest.raises(kr.InputError, match=r"V: expected shape \(23,\) or \(23, p\)"):
        kr.matvec(Rbf(), X, V)


def test_matvec_of_many_rows_is_cut(monkeypatch):
    monkeypatch.setattr("kernreg_core._gram._TILE", {"low": 8, "high": 2})
    V = RNG.standard_normal(23)
    np.testing.assert_allclose(kr.matvec(Rbf(), X, V), Rbf()(X) @ V, rtol=1e-12)
    np.testing.assert_allclose(kr.matvec(Prepared(), WORDS, V[:7]), Prepared()(WORDS) @ V[:7], rtol=1e-12)


class Pairs(Rbf):
    """Remembers the shapes it was asked for."""

    def __init__(self, *, lengthscale=1.0):
        super().__init__(lengthscale=lengthscale)
        self.shapes = []

    def evaluate(self, X, Y):
        self.shapes.append((len(X), len(Y)))
        return super().evaluate(X, Y)


def test_a_product_uses_each_tile_of_a_symmetric_matrix_twice(monkeypatch):
    monkeypatch.setattr("kernreg_core._gram._PRODUCT_TILE", 8)
    V = RNG.standard_normal((23, 2))
    kernel = Pairs()
    np.testing.assert_allclose(kr.matvec(kernel, X, V), Rbf()(X) @ V, rtol=1e-12)
    assert sum(n * m for n, m in kernel.shapes) == 23 * 23 - (8 * 8 + 2 * 8 * 7)
    kernel = Pairs()
    np.testing.assert_allclose(kr.matvec(kernel, X, V, X.copy()), Rbf()(X) @ V, rtol=1e-12)
    assert sum(n * m for n, m in kernel.shapes) == 23 * 23


def test_tiles_of_a_product_are_small():
    long = np.linspace(0.0, 1.0, 1500)[:, None]
    kernel = Pairs()
    np.testing.assert_allclose(kr.matvec(kernel, long, long), Rbf()(long) @ long, rtol=1e-12)
    assert max(max(shape) for shape in kernel.shapes) == 1024


class Hermitian(kr.BaseKernel):
    """exp(i (x - y)) of the first features: equal to its conjugate transpose, not to its transpose."""

    capabilities = frozenset({"symmetric", "psd", "complex"})

    def evaluate(self, X, Y):
        if isinstance(X, np.ndarray):
            return np.exp(1j * (X[:, None, 0] - Y[None, :, 0]))
        return (1j * (X[:, None, 0] - Y[None, :, 0])).exp()


@pytest.mark.parametrize("tile", [5, 64])
def test_products_of_complex_values(monkeypatch, tile):
    monkeypatch.setattr("kernreg_core._gram._PRODUCT_TILE", tile)
    V = RNG.standard_normal((23, 2)) + 1j * RNG.standard_normal((23, 2))
    K = np.exp(1j * np.subtract.outer(X[:, 0], X[:, 0]))
    np.testing.assert_allclose(kr.matvec(Hermitian(), X, V), K @ V, atol=1e-12)
    np.testing.assert_allclose(kr.matvec(Hermitian(), X, V.real), K @ V.real, atol=1e-12)
    np.testing.assert_allclose(kr.matvec(Rbf(), X, V), Rbf()(X) @ V, atol=1e-12)
    torch = pytest.importorskip("torch", reason="torch is not installed")
    T, W = torch.tensor(X), torch.tensor(V)
    np.testing.assert_allclose(kr.matvec(Hermitian(), T, W).numpy(), K @ V, atol=1e-12)
    np.testing.assert_allclose(kr.matvec(Rbf(), T, W).numpy(), Rbf()(X) @ V, atol=1e-12)


def test_the_dtype_of_a_product_and_the_precision_of_its_sums(monkeypatch):
    monkeypatch.setattr("kernreg_core._gram._PRODUCT_TILE", 1)

    def ones(A, B):
        return np.ones((len(A), len(B)), np.float32)

    V = np.ones(23, np.float32)
    V[0] = 2.0**24  # in single precision nothing that is added to it counts
    assert kr.matvec(ones, X, V).dtype == np.float32
    assert (kr.matvec(ones, X, V) == 2.0**24 + 22).all()
    assert kr.matvec(ones, X, np.ones(23)).dtype == np.float64
    assert kr.matvec(lambda A, B: np.ones((len(A), len(B)), int), X, np.ones(23, int)).dtype == np.int64
    torch = pytest.importorskip("torch", reason="torch is not installed")
    T = torch.tensor(X, dtype=torch.float32)
    assert kr.matvec(Rbf(), T, torch.ones(23, dtype=torch.float64)).dtype == torch.float64
    assert kr.matvec(Rbf(), T, torch.ones(23, dtype=torch.int64)).dtype == torch.float32


def test_a_plan_says_what_a_run_takes():
    plan = kr.plan(Rbf(), X, tile=10)
    assert (plan.shape, plan.tiles, plan.bytes, plan.dtype) == ((23, 23), 6, 23 * 23 * 8, "float64")
    assert plan.pairs == 23 * 23 - (10 * 10 + 2 * 3 * 10)
    assert plan.fits
    small = kr.plan(Rbf(), X.astype(np.float32), Y.astype(np.float32))
    assert (small.bytes, small.dtype) == (23 * 9 * 4, "float32")

    class Costly(Letters):
        def plan(self, X, Y=None):
            return {"circuits": len(X)}

    assert kr.plan(Costly(), WORDS).extra == {"circuits": 7}
    assert "circuits: 7" in repr(kr.plan(Costly(), WORDS))


def test_torch_in_torch_out_with_gradients_through_tiles():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    T = torch.tensor(X, requires_grad=True)
    whole = kr.gram(Rbf(), T)
    tiled = kr.gram(Rbf(), T, tile=6)
    assert torch.equal(tiled, tiled.T)
    torch.testing.assert_close(tiled, whole, rtol=1e-14, atol=1e-14)
    weights = torch.tensor(RNG.standard_normal((23, 23)))
    (gradient,) = torch.autograd.grad((whole * weights).sum(), T)
    (by_tiles,) = torch.autograd.grad((tiled * weights).sum(), T)
    torch.testing.assert_close(by_tiles, gradient)
    with ThreadPoolExecutor(2) as executor:
        torch.testing.assert_close(kr.gram(Rbf(), T, T[:4], tile=6, executor=executor), whole[:, :4])
    assert kr.gram(Rbf(), T, dtype=torch.float32).dtype == torch.float32
    with pytest.raises(kr.InputError, match="out: is for NumPy"):
        kr.gram(Rbf(), T, out=np.empty((23, 23)))
    v = torch.ones(23, dtype=torch.float64)
    torch.testing.assert_close(kr.matvec(Rbf(), T, v), whole @ v)
    assert kr.plan(Rbf(), T).bytes == 23 * 23 * 8


class Uneven:
    """A foreign kernel that says it is symmetric and is so only nearly; `library` makes its rows."""

    capabilities = ("symmetric",)

    def __init__(self, arange=np.arange):
        self.arange = arange

    def __call__(self, X, Y=None, /):
        Y = X if Y is None else Y
        return X @ Y.T + 1e-13 * self.arange(len(X))[:, None]


@pytest.mark.parametrize("tile", [None, 6])
def test_a_foreign_symmetric_kernel_is_made_exactly_so(tile):
    K = kr.gram(Uneven(), X, tile=tile)
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_allclose(K, X @ X.T, atol=1e-11)
    torch = pytest.importorskip("torch", reason="torch is not installed")
    K = kr.gram(Uneven(torch.arange), torch.tensor(X), tile=tile)
    assert torch.equal(K, K.T)


def test_what_was_prepared_is_not_prepared_again():
    before = Prepared.calls
    P = Prepared().prepare(WORDS)
    np.testing.assert_array_equal(kr.gram(Prepared(), P, tile=2), Prepared()(WORDS))
    assert Prepared.calls == before + 1
    kernel = 2 * Prepared() + Letters()
    np.testing.assert_array_equal(kr.gram(kernel, kernel.prepare(WORDS), tile=3), kernel(WORDS))


def test_after_an_error_nobody_writes_into_the_callers_array():
    from time import sleep

    class Slow(Filled):
        def into(self, X, Y, out):
            if len(X) == 3:
                raise ZeroDivisionError
            sleep(0.1)
            out[...] = 7

    out = np.zeros((23, 23))
    with ThreadPoolExecutor(6) as executor:
        with pytest.raises(ZeroDivisionError):
            kr.gram(Slow(), X, tile=5, out=out, executor=executor)
        seen = out.copy()
        sleep(0.15)
        np.testing.assert_array_equal(out, seen)


def test_blas_is_given_back_after_workers_of_many_threads():
    threadpoolctl = pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")

    def limits():
        return [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]

    before = limits()
    for _ in range(5):
        with ThreadPoolExecutor(4) as executor:
            kr.gram(Rbf(), X, tile=3, executor=executor)
        assert limits() == before


def test_tensors_have_progress_dtype_and_shape_checks():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    T, calls = torch.tensor(X), []
    kr.gram(Rbf(), T, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(1, 1)]
    for arguments, error, message in [
        ({"dtype": np.float32}, kr.ParameterError, "expected a torch dtype for tensors"),
        ({"kernel": lambda X, Y: torch.ones(3)}, kr.InputError, r"expected a Gram matrix of shape \(23, 23\)"),
        ({"kernel": lambda X, Y: np.ones((23, 23))}, kr.InputError, "expected a tensor for tensors"),
        ({"progress": 3}, kr.ParameterError, "progress"),
    ]:
        with pytest.raises(error, match=message):
            kr.gram(**{"kernel": Rbf(), "X": T, **arguments})
    K = kr.gram(2 * Prepared() + Letters(), WORDS)
    assert isinstance(K, np.ndarray)
    blocks = kr.gram(lambda X, Y: (X @ Y.T)[..., None, None] * torch.eye(2), T.float(), tile=9)
    assert blocks.shape == (23, 23, 2, 2)


def test_an_out_with_a_rank_too_many_is_refused():
    with pytest.raises(kr.InputError, match=r"out: expected a floating NumPy array of shape \(23, 23\)"):
        kr.gram(Rbf(), X, out=np.empty((23, 23, 23)))
    out = np.empty((23, 23, 2, 2))
    assert kr.gram(Blocks(), X, out=out, tile=5) is out
    np.testing.assert_allclose(out, Blocks()(X), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(
    ("kernel", "V", "error", "message"),
    [
        (Dot, np.ones(23), kr.ParameterError, "got the class Dot"),
        ("a.b", np.ones(23), kr.ParameterError, "make one with kr.create"),
        (Rbf(), ["text"] * 23, kr.InputError, "V: expected numbers"),
        (Rbf(), np.ones((23, 1, 1)), kr.InputError, "V: expected shape"),
        (Rbf(), 3.0, kr.InputError, "V: expected shape"),
        (Rbf(), np.full(23, np.nan), kr.InputError, "V: expected finite numbers, got 23 that are NaN"),
        (Rbf(), np.full(23, 1j * np.inf), kr.InputError, "V: expected finite numbers"),
        (Rbf(), [[1.0], [2.0, 3.0]], kr.InputError, "V: expected numbers, got list of length 2, which is no array"),
        (Rbf(), np.ma.masked_equal(np.ones(23), 2), kr.InputError, "V: expected a plain array, got a masked one"),
        (Blocks(), np.ones(23), kr.InputError, "expected scalar values for a product"),
        (lambda X, Y: np.ones(3), np.ones(23), kr.InputError, "expected a Gram matrix"),
    ],
)
def test_bad_arguments_of_matvec(kernel, V, error, message):
    with pytest.raises(error, match=message):
        kr.matvec(kernel, X, V)


def test_an_executor_that_was_shut_down_says_so():
    executor = ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(RuntimeError, match="shutdown"):
        kr.gram(Rbf(), X, executor=executor)
