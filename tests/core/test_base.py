"""BaseKernel: bad input is refused with a message that helps, good input is kept as it is."""

from __future__ import annotations

import numpy as np
import pytest
from sample_kernels import Blocks, Dot, Filled, Letters, Phase, Prepared, Rbf

import kernreg_core as kr
from kernreg_core.base import mirror_upper

X = np.random.default_rng(0).standard_normal((7, 3))


class OtherLibrary:
    """What arrays of other libraries show."""

    def __dlpack__(self):
        raise AssertionError("must not be read")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.array([[0.0, np.nan]]), r"X: expected finite numbers, got 1 .*X\[0, 1\] = nan: drop or impute"),
        (np.array([[np.inf, 0.0], [0.0, -np.inf]]), r"got 2 that are NaN or infinite"),
        (np.empty((0, 3)), "at least one item.*empty"),
        (np.empty((3, 0)), "at least one item and one feature"),
        ([], "expected rank 2"),
        (np.ones(3), r"expected rank 2, \(n, d\), got .*X.reshape\(-1, 1\).*scikit-learn's pairwise callables"),
        (np.ones((2, 2, 2)), "expected rank 2"),
        (3.0, "expected rank 2"),
        ("text", "X: expected an array .* of numbers, got str 'text'"),
        ([["a", "b"]], "got strings"),
        (np.array([[object()]]), "got objects"),
        (None, "got objects"),
        ([[1.0, 2.0], [3.0]], "which is no array"),
        (np.array([["2020-01-01"]], dtype="datetime64[D]"), "got dates"),
        (np.array([[1j]]), "expected real numbers"),
        (np.ma.masked_array([[1.0]], [[True]]), "masked array.*filled"),
        ((row for row in X), "no length: pass list"),
        (OtherLibrary(), "expected a NumPy array or torch tensor"),
    ],
)
@pytest.mark.parametrize("side", ["X", "Y"])
def test_bad_input(bad, message, side):
    if bad is None and side == "Y":
        return  # Y=None is X
    arguments = (bad,) if side == "X" else (X, bad)
    message = (
        message if side == "X" else message.replace("X:", "Y:").replace(r"X\[", r"Y\[").replace("X.resh", "Y.resh")
    )
    with pytest.raises(kr.InputError, match=message) as raised:
        Rbf()(*arguments)
    assert isinstance(raised.value, ValueError)
    assert str(raised.value).startswith(side)


def test_large_finite_numbers_are_no_infinity():
    Rbf().check_items(np.full((3, 3), 1e308))  # their sum overflows


def test_unequal_feature_counts():
    with pytest.raises(
        kr.InputError, match=r"X and Y: expected equal feature counts, got X with \(3,\) and Y with \(2,\)"
    ):
        Rbf()(X, X[:, :2])


def test_sparse_rows_only_where_the_kernel_takes_them():
    sparse = pytest.importorskip("scipy.sparse", reason="scipy is not installed")
    rows = sparse.csr_array(X)
    np.testing.assert_allclose(Dot()(rows), X @ X.T, atol=1e-14)
    with pytest.raises(kr.InputError, match=r"takes no sparse matrix; pass X.toarray\(\)"):
        Rbf()(rows)
    with pytest.raises(kr.InputError, match="NaN or infinity"):
        Dot()(sparse.csr_array(np.array([[np.nan, 1.0]])))


def test_a_data_frame_is_converted():
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    np.testing.assert_array_equal(Rbf()(frame), Rbf()(X))
    with pytest.raises(kr.InputError, match="objects|strings"):
        Rbf()(frame.assign(c="text"))


@pytest.mark.parametrize(
    ("bad", "message"),
    [("abc", r"expected a list of sequences, got one str 'abc': pass \[X\]"), ([], "empty"), (5, "pass a list"),
     ({"a": 1}, "pass a list"), ({"a"}, "pass a list|sorted"), (iter(["a"]), "pass a list")],
)  # fmt: skip
def test_bad_collections(bad, message):
    with pytest.raises(kr.InputError, match=message):
        Letters()(bad)


@pytest.mark.parametrize("given", [X.tolist(), X.astype(np.float16), (X * 10).astype(int), X > 0, np.asfortranarray(X)])
def test_numbers_of_any_kind_become_float64(given):
    assert Rbf()(given).dtype == np.float64
    np.testing.assert_array_equal(Rbf()(given), Rbf()(np.array(given, dtype=np.float64)))


@pytest.mark.parametrize("kernel", [Rbf(lengthscale=2.0), Filled(lengthscale=2.0)])
def test_float32_is_kept_and_mixing_gives_float64(kernel):
    small = X.astype(np.float32)
    assert kernel(small).dtype == np.float32
    assert kernel(small, X).dtype == np.float64
    assert kernel.result_dtype(small) == np.float32


def test_nothing_is_mutated():
    frozen = X.copy()
    frozen.flags.writeable = False
    Rbf()(frozen, frozen[:2])
    np.testing.assert_array_equal(frozen, X)


@pytest.mark.parametrize("same", [lambda X: (X,), lambda X: (X, X), lambda X: (X, None)])
def test_exact_symmetry_where_both_sides_are_one(same):
    class Wobbly(Rbf):
        def evaluate(self, X, Y):
            return super().evaluate(X, Y) + 1e-12 * np.arange(len(X) * len(Y)).reshape(len(X), -1)

    K = Wobbly()(*same(X))
    np.testing.assert_array_equal(K, K.T)


def test_a_kernel_with_into_is_filled_in_place():
    before = Filled.calls
    np.testing.assert_array_equal(Filled()(X), Rbf()(X))
    assert Filled.calls == before + 1


def test_complex_values_are_hermitian():
    K = Phase()(X)
    np.testing.assert_array_equal(K, K.conj().T)
    assert Phase().result_dtype(X.astype(np.float32)) == np.complex64


@pytest.mark.parametrize("n", [1, 2, 255, 256, 257, 600])
@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_mirroring(n, dtype):
    rng = np.random.default_rng(n)
    K = rng.standard_normal((n, n)).astype(dtype)
    if dtype is np.complex128:
        K += 1j * rng.standard_normal((n, n))
    expected = np.triu(K) + np.triu(K, 1).conj().T
    np.testing.assert_array_equal(mirror_upper(K), expected)


def test_too_large_is_refused_before_the_work(monkeypatch):
    monkeypatch.setattr("kernreg_core.memory.available_memory", lambda: 10**9)
    rows = np.ones((20_000, 1))
    with pytest.raises(
        kr.GramMemoryError, match=r"\(20000, 20000\) in float64 takes 3.2 GB, but only 1 GB.*kr.matvec"
    ) as raised:
        Rbf()(rows)
    assert isinstance(raised.value, MemoryError)
    with pytest.raises(kr.GramMemoryError):
        Filled()(rows)


def test_prepared_and_plain_sides_do_not_mix():
    kernel = Prepared()
    P = kernel.prepare(["a", "bb", "ccc"])
    np.testing.assert_array_equal(kernel(P[0:2], P), kernel(["a", "bb", "ccc"])[0:2])
    with pytest.raises(kr.InputError, match="prepare both, or neither"):
        kernel(P, ["a"])


def test_a_method_without_its_capability_is_absent():
    class Sometimes(Rbf):
        def __init__(self, *, exact=True):
            self.exact = exact

        @property
        def capabilities(self):
            return frozenset({"features"}) if self.exact else frozenset()

        @kr.provides("features")
        def features(self, X, basis=None):
            """What they are."""
            return X

    assert Sometimes().features(3) == 3
    assert not hasattr(Sometimes(exact=False), "features")
    with pytest.raises(AttributeError, match="lacks the capability 'features'"):
        Sometimes(exact=False).features  # noqa: B018
    assert Sometimes.features.__doc__ == "What they are."


def test_a_kernel_without_a_formula_says_so():
    class Empty(kr.BaseKernel):
        pass

    with pytest.raises(NotImplementedError, match="Empty defines no evaluate"):
        Empty()(X)


def test_torch_tensors_stay_tensors_with_gradients():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    T = torch.tensor(X, requires_grad=True)
    K = Rbf()(T)
    assert K.dtype == torch.float64
    assert torch.equal(K, K.T)
    np.testing.assert_allclose(K.detach().numpy(), Rbf()(X), atol=1e-15)
    assert torch.autograd.gradcheck(lambda X: Rbf()(X), T)
    assert Rbf()(T.float()).dtype == torch.float32
    assert Rbf()(torch.tensor([[1], [2]])).dtype == torch.float64
    with pytest.raises(kr.InputError, match="arrays of one library"):
        Rbf()(T, X)
    with pytest.raises(kr.InputError, match="nan"):
        Rbf()(torch.tensor([[float("nan")]]))


def test_a_formula_of_the_wrong_shape_names_its_kernel():
    class Flat(kr.BaseKernel):
        capabilities = frozenset({"symmetric"})

        def evaluate(self, X, Y):
            return np.ones(len(X))

    with pytest.raises(kr.InputError, match=r"Flat\(\): expected a Gram matrix of shape \(7, 7\).*got numpy.ndarray"):
        Flat()(X)


def test_items_that_are_returned_as_values_are_not_mirrored_in_place():
    class Given(kr.BaseKernel):
        capabilities = frozenset({"symmetric"})

        def evaluate(self, X, Y):
            return X if Y is X else X[:, : len(Y)]

    square = np.arange(16.0).reshape(4, 4)
    K = Given()(square)
    np.testing.assert_array_equal(K, K.T)
    np.testing.assert_array_equal(square, np.arange(16.0).reshape(4, 4))


def test_matrix_values_are_exactly_symmetric_as_one_large_matrix():
    class Wobbly(Blocks):
        def evaluate(self, X, Y):
            K = super().evaluate(X, Y)
            return K + 1e-12 * np.arange(K.size).reshape(K.shape)

    K = Wobbly()(X)
    np.testing.assert_array_equal(K, K.transpose(1, 0, 3, 2))
    np.testing.assert_array_equal(np.triu(K[..., 0, 1], 1), np.triu(Wobbly().evaluate(X, X)[..., 0, 1], 1))


@pytest.mark.parametrize("bad", [np.array(3.0), list, {1: 2}.keys()])
def test_what_has_no_items_is_no_collection(bad):
    with pytest.raises(kr.InputError, match="X: expected a list of sequences"):
        Letters()(bad)


def test_sparse_rows_are_no_list_of_items():
    sparse = pytest.importorskip("scipy.sparse", reason="scipy is not installed")
    with pytest.raises(kr.InputError, match="expected a list of sequences"):
        Letters()(sparse.csr_array(X))


def test_a_kernel_that_makes_numpy_of_tensors_refuses_them():
    torch = pytest.importorskip("torch")

    class OnNumpy(kr.BaseKernel):
        """x . y, in NumPy whatever comes."""

        def evaluate(self, X, Y):
            return np.asarray(X) @ np.asarray(Y).T

    with pytest.raises(kr.errors.InputError, match="does not take tensors"):
        OnNumpy()(torch.ones(3, 2))
