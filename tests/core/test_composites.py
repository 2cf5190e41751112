"""Sums, products, powers, scalings, normalisation: values, laws of what they can do, and their reprs."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import sample_kernels
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_kernels import Blocks, Dot, Letters, Phase, Prepared, Queries, Rbf

import kernreg_core as kr
from kernreg_core import Normalized, Power, Product, Scaled, Sum, normalize

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((6, 3)), RNG.standard_normal((4, 3))
A, B = Rbf(lengthscale=2.0), Dot(offset=1.0)
KA, KB = A(X, Y), B(X, Y)


@pytest.mark.parametrize(
    ("kernel", "value"),
    [
        (A + B, KA + KB),
        (A * B, KA * KB),
        (2 * A, 2 * KA),
        (A * 2.0, 2 * KA),
        (np.float64(2) * A, 2 * KA),
        (A**3, KA**3),
        (B**2, KB**2),
        (A + B + A, 2 * KA + KB),
        (A * B * A, KA * KB * KA),
        (sum([A, B, A]), 2 * KA + KB),
        (2 * A + B * (A + 3 * B), 2 * KA + KB * (KA + 3 * KB)),
        (A**0.5, KA**0.5),
        (-1.5 * A, -1.5 * KA),
        (normalize(B), KB / np.sqrt(np.outer((X * X).sum(1) + 1, (Y * Y).sum(1) + 1))),
    ],
)
def test_values(kernel, value):
    np.testing.assert_allclose(kernel(X, Y), value, rtol=1e-14)
    K = kernel(X)
    np.testing.assert_array_equal(K, K.T)
    assert kernel(X.astype(np.float32)).dtype == np.float32


def test_sums_and_products_are_flat_and_name_their_terms():
    total = (A + B) + (A + B)
    assert list(total.get_params(deep=False)) == ["k1", "k2", "k3", "k4"]
    assert total.set_params(k3__lengthscale=5.0).k3.lengthscale == 5.0
    assert len((A * B * (A + B)).parts()) == 3
    A.set_params(lengthscale=2.0)


EXPRESSIONS = st.recursive(
    st.sampled_from([A, B, Rbf()]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: pair[0] + pair[1]),
        st.tuples(inner, inner).map(lambda pair: pair[0] * pair[1]),
        st.tuples(st.sampled_from([2, 0.5, 1.0]), inner).map(lambda pair: pair[0] * pair[1]),
        st.tuples(inner, st.sampled_from([1, 2])).map(lambda pair: pair[0] ** pair[1]),
        inner.map(normalize),
    ),
    max_leaves=6,
)
NAMES = {"Rbf": Rbf, "Dot": Dot, "normalize": normalize, "Sum": Sum, "Product": Product}


@settings(max_examples=150)
@given(EXPRESSIONS)
def test_a_repr_typed_back_is_the_same_kernel(kernel):
    back = eval(repr(kernel), NAMES)
    assert repr(back) == repr(kernel)
    np.testing.assert_array_equal(back(X, Y), kernel(X, Y))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(kernel))(X, Y), kernel(X, Y))
    np.testing.assert_array_equal(kr.clone(kernel)(X, Y), kernel(X, Y))


@settings(max_examples=60)
@given(EXPRESSIONS)
def test_laws_of_what_a_composite_declares(kernel):
    has = kernel.capabilities
    K = kernel(X)
    scale = np.abs(K).max() + 1
    assert {"symmetric", "psd", "diag"} <= has
    assert np.linalg.eigvalsh(K)[0] >= -1e-12 * scale
    np.testing.assert_allclose(kernel.diag(X), np.diagonal(K), rtol=1e-12)
    if "normalized" in has:
        np.testing.assert_allclose(np.diagonal(K), 1, rtol=1e-12)
    if "stationary" in has:
        np.testing.assert_allclose(kernel(X + 3.0), K, atol=1e-10 * scale)
    if "features" in has and kernel.features(X[:1]).shape[1] < 2000:
        np.testing.assert_allclose(
            kernel.features(X, basis=X) @ kernel.features(Y, basis=X).T, kernel(X, Y), atol=1e-9 * scale
        )
    if "matvec" in has:
        V = np.ones((4, 2))
        np.testing.assert_allclose(kernel.matvec(X, V, Y), kernel(X, Y) @ V, atol=1e-10 * scale)
    if "gradients" in has:
        _check_gradients(kernel, scale)


def _check_gradients(kernel, scale, step=1e-5):
    gx, gy, gxy = kernel.grad_x(X, Y), kernel.grad_y(X, Y), kernel.grad_xy(X, Y)
    for a in range(3):
        e = step * np.eye(3)[a]
        numeric_x = (kernel(X + e, Y) - kernel(X - e, Y)) / (2 * step)
        numeric_y = (kernel(X, Y + e) - kernel(X, Y - e)) / (2 * step)
        bound = 1e-6 * max(scale, np.abs(gx).max(), np.abs(gy).max())
        np.testing.assert_allclose(gx[..., a], numeric_x, atol=bound)
        np.testing.assert_allclose(gy[..., a], numeric_y, atol=bound)
        numeric_xy = (kernel.grad_x(X, Y + e) - kernel.grad_x(X, Y - e)) / (2 * step)
        np.testing.assert_allclose(gxy[:, :, :, a], numeric_xy, atol=1e-6 * max(scale, np.abs(gxy).max()))


@pytest.mark.parametrize(
    ("kernel", "has", "lacks"),
    [
        (A + B, ["psd"], ["features", "normalized", "stationary", "matvec"]),
        (B + B, ["features", "matvec"], ["normalized"]),
        (A * A, ["normalized", "stationary"], ["features", "matvec"]),
        (B * B, ["features"], ["matvec", "cpd"]),
        (-1.0 * B, ["symmetric", "matvec"], ["psd", "features"]),
        (1.0 * A, ["normalized"], []),
        (2.0 * A, ["stationary"], ["normalized"]),
        (B**2, ["features", "psd", "gradients"], ["matvec"]),
        (B**1.5, ["symmetric"], ["psd", "features", "gradients"]),
        (normalize(B), ["normalized", "features", "psd"], ["gradients"]),
        (Phase() + Phase(), ["complex", "psd"], []),
        (Queries() + Queries(), ["asymmetric"], ["symmetric"]),
        (Prepared() + Letters(), ["prepare"], ["features"]),
    ],
)
def test_capabilities_follow_from_the_parts(kernel, has, lacks):
    assert set(has) <= kernel.capabilities
    assert not set(lacks) & kernel.capabilities
    members = {"features": "features", "matvec": "matvec", "gradients": "grad_x", "diag": "diag", "prepare": "prepare"}
    for capability, member in members.items():
        assert hasattr(kernel, member) is (capability in kernel.capabilities), member


def test_a_conditionally_positive_part_makes_no_such_product():
    class Distance(kr.BaseKernel):
        capabilities = frozenset({"symmetric", "cpd"})

        def evaluate(self, X, Y):
            return -((X[:, None] - Y[None]) ** 2).sum(-1)

    assert "cpd" in (Distance() + Distance()).capabilities
    assert "cpd" in (2 * Distance()).capabilities
    for kernel in (Distance() * Distance(), Distance() ** 2, -1 * Distance(), normalize(Distance())):
        assert not {"cpd", "psd"} & kernel.capabilities


def test_any_callable_instance_can_be_a_part():
    def dot(X, Y):
        return X @ Y.T

    for kernel in (A + dot, dot + A):
        np.testing.assert_allclose(kernel(X, Y), KA + X @ Y.T)
    np.testing.assert_allclose((A * dot)(X, Y), KA * (X @ Y.T))
    np.testing.assert_allclose(Sum(dot, dot)(X, Y), 2 * X @ Y.T)
    assert "psd" not in (A + dot).capabilities  # nobody knows


@pytest.mark.parametrize("other", [np.ones(3), "text", 1.0, True, Rbf, None, [A]])
def test_what_is_no_kernel_is_refused_by_the_operators(other):
    with pytest.raises(TypeError):
        A + other
    if not isinstance(other, float):
        with pytest.raises(TypeError):
            other * A


def test_domains_must_agree():
    with pytest.raises(kr.ParameterError, match="expected parts of one domain.*vectors.*sequences"):
        A + Letters()
    with pytest.raises(kr.ParameterError, match="expected parts of one domain"):
        Sum(k1=A, k2=Letters())(X)
    assert (Letters() * Letters()).domain == "sequences"
    assert (Letters() * Letters()).pair_cost == "high"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Scaled(kernel=A, variance=np.nan)(X), "variance: expected a finite number"),
        (lambda: Scaled(kernel=A, variance="2")(X), "variance"),
        (lambda: Power(kernel=A, exponent=0)(X), "exponent: expected a finite number above 0"),
        (lambda: Power(kernel=A, exponent=-1)(X), "exponent"),
        (lambda: Sum(k1=A, k3=B), "k1, k2, ... without a gap"),
        (lambda: Sum(), "got none"),
        (lambda: Sum(A, k1=B), "k1 given twice"),
        (lambda: Sum(A, 3)(X), "k2: expected a kernel"),
        (lambda: normalize(3), "kernel: expected a kernel"),
        (lambda: normalize(Rbf), "kernel: expected a kernel"),
    ],
)
def test_bad_parameters(make, message):
    with pytest.raises(kr.ParameterError, match=message):
        make()


def test_a_broken_power_of_negative_values_is_refused():
    with pytest.raises(kr.InputError, match="of a negative kernel value is no real number"):
        (Dot() ** 0.5)(X)


def test_a_part_of_the_wrong_shape_is_named():
    with pytest.raises(kr.InputError, match=r"expected a Gram matrix of shape \(6, 4\), got"):
        Sum(A, lambda X, Y: (X @ Y.T).T)(X, Y)


def test_items_without_a_norm_have_zero_rows():
    items = np.array([[1.0, 0.0], [0.0, 0.0], [3.0, 4.0]])
    kernel = normalize(Dot())
    with pytest.warns(kr.KernregWarning, match=r"1 item\(s\) have k\(x, x\) = 0"):
        K = kernel(items)
    np.testing.assert_allclose(K, [[1, 0, 0.6], [0, 0, 0], [0.6, 0, 1]])
    np.testing.assert_array_equal(kernel.diag(items), [1, 0, 1])
    np.testing.assert_allclose(kernel.features(items) @ kernel.features(items).T, K, atol=1e-15)


def test_a_negative_norm_is_refused():
    with pytest.raises(kr.InputError, match=r"expected k\(x, x\) >= 0.*at item 0"):
        normalize(-1 * Dot())(np.array([[2.0]]))


def test_a_normalised_diagonal_is_exact():
    K = normalize(B)(RNG.standard_normal((200, 5)) * 1e3)
    np.testing.assert_array_equal(np.diagonal(K), 1.0)


def test_an_open_vocabulary_takes_its_columns_from_the_basis():
    words, more = ["abc", "bca", "aab"], ["abx", "xyz"]
    for kernel in (Letters() + Letters(), Letters() * Letters(), Letters() ** 2, 2 * Letters()):
        left, right = kernel.features(words, basis=words), kernel.features(more, basis=words)
        np.testing.assert_allclose(left @ right.T, kernel(words, more))


def test_tensor_products_of_sparse_features():
    sparse = pytest.importorskip("scipy.sparse", reason="scipy is not installed")
    dense = RNG.standard_normal((20, 6)) * (RNG.random((20, 6)) < 0.4)
    rows = sparse.csr_array(dense)
    for kernel in (
        Dot(offset=2.0) * Dot(),
        Dot(offset=1.0) ** 3,
        Dot() + Dot(offset=1.0),
        normalize(Dot(offset=1.0)),
        2 * B,
    ):
        features = kernel.features(rows)
        assert sparse.issparse(features)
        np.testing.assert_allclose((features @ features.T).toarray(), kernel(dense), atol=1e-12)


def test_too_many_tensor_features_are_refused():
    with pytest.raises(kr.InputError, match=r"has 1,030,301 columns, more than 65,536"):
        (Dot() ** 3).features(np.ones((2, 100)))


def test_prepared_parts_are_sliced_together():
    words = ["a", "bb", "ccc", "dddd"]
    kernel = Prepared() + 2 * Prepared() * Letters()
    P = kernel.prepare(words)
    assert len(P) == 4
    np.testing.assert_array_equal(kernel(P[1:3], P), kernel(words)[1:3])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(P)).parts[0].values, P.parts[0].values)
    np.testing.assert_array_equal(kr.gram(kernel, words, tile=3), kernel(words))


def test_gradients_reach_tensors_and_a_tensor_variance():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    T = torch.tensor(X, requires_grad=True)
    variance = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    kernel = Scaled(kernel=sample_kernels.Rbf(), variance=variance) ** 2 + normalize(sample_kernels.Rbf())
    kernel(T).sum().backward()
    assert torch.isfinite(T.grad).all()
    np.testing.assert_allclose(variance.grad.item(), (2 * 2.0 * Rbf()(X) ** 2).sum(), rtol=1e-12)
    assert isinstance(Normalized(kernel=sample_kernels.Rbf())(T), torch.Tensor)


def test_a_running_total_never_overwrites_what_a_part_returned():
    cached = np.ones((6, 6))
    kernel = Sum(lambda X, Y: cached, lambda X, Y: cached, lambda X, Y: cached)
    np.testing.assert_array_equal(kernel(X), 3 * np.ones((6, 6)))
    np.testing.assert_array_equal(cached, np.ones((6, 6)))
    single = Sum(lambda X, Y: cached)
    single(X)[0, 0] = 9
    assert cached[0, 0] == 1


def test_a_scaled_kernel_is_filled_in_place_where_the_kernel_inside_is():
    X, Y = np.random.default_rng(0).standard_normal((7, 2)), np.ones((3, 2))
    inner = sample_kernels.Filled()
    out = np.empty((7, 3))
    (2.5 * inner).into(X, Y, out)
    np.testing.assert_allclose(out, 2.5 * inner(X, Y), rtol=1e-15)
    np.testing.assert_allclose((2.5 * inner)(X), 2.5 * inner(X), rtol=1e-15)
    assert (3 * (2.5 * inner))(X.astype(np.float32)).dtype == np.float32
    for plain in (2.5 * Rbf(), Scaled(kernel=lambda X, Y: X @ Y.T), 2.5 * Prepared()):
        assert not hasattr(plain, "into")
    with pytest.raises(kr.InputError, match="NaN"):
        (2.5 * inner)(X * np.nan)


def test_a_foreign_first_term_is_typed_back_as_a_call():
    def dot(X, Y):
        return X @ Y.T

    assert repr(dot + A).startswith("Sum(<function")  # dot + ... would be for dot to answer
    assert repr(A + dot).startswith("Rbf(lengthscale=2.0) + (<function")


def test_a_scaled_foreign_part_follows_the_domain_of_the_others():
    kernel = Scaled(kernel=lambda X, Y: X @ Y.T, variance=2.0) + A
    assert kernel.domain == A.domain == "vectors"
    np.testing.assert_allclose(kernel(X.tolist()), 2.0 * X @ X.T + A(X))


def test_what_is_positive_definite_is_so_conditionally_in_a_sum():
    class Distance(kr.BaseKernel):
        capabilities = frozenset({"symmetric", "cpd"})

        def evaluate(self, X, Y):
            return -((X[:, None] - Y[None]) ** 2).sum(-1)

    assert {"cpd"} == {"cpd", "psd"} & (Distance() + A).capabilities
    assert {"psd"} == {"cpd", "psd"} & (A + B).capabilities
    K = (Distance() + A)(X)
    centre = np.eye(len(X)) - 1 / len(X)
    assert np.linalg.eigvalsh(centre @ K @ centre)[0] > -1e-12


def test_prepared_sides_reach_every_method():
    class Doubled(Dot):
        """(2 x) . (2 y), doubled once."""

        capabilities = Dot.capabilities | {"prepare"}

        class Block(list):
            __kernreg_prepared__ = True

            def __getitem__(self, index):
                return type(self)(super().__getitem__(index))

        def prepare(self, X):
            return self.Block((2 * self.check_items(X)[0]).tolist())

        def rows(self, X):
            return np.array(X) if isinstance(X, self.Block) else 2 * np.asarray(X)

        def evaluate(self, X, Y):
            return self.rows(X) @ self.rows(Y).T

        def matvec(self, X, V, Y=None):
            return self.rows(X) @ (self.rows(X if Y is None else Y).T @ V)

        def diag(self, X):
            return (self.rows(X) ** 2).sum(1)

        def grad_x(self, X, Y=None):
            Y = self.rows(X if Y is None else Y)
            return np.broadcast_to(2 * Y[None], (len(X), *Y.shape))

        grad_y = grad_xy = grad_x

    V = RNG.standard_normal((4, 2))
    for kernel in (Doubled() + Doubled(), 2 * Doubled()):
        P, Q = kernel.prepare(X), kernel.prepare(Y)
        assert kernel.prepare(P) is P
        np.testing.assert_allclose(kernel.matvec(P, V, Q), kernel(X, Y) @ V)
        np.testing.assert_allclose(kr.matvec(kernel, P, V, Q), kernel(X, Y) @ V)
        np.testing.assert_allclose(kernel.diag(P), np.diagonal(kernel(X)))
        np.testing.assert_allclose(kernel.grad_x(P, Q), kernel.grad_x(X, Y))
        np.testing.assert_allclose(kr.gram(kernel, P, Q, tile=3), kernel(X, Y))


def test_float32_is_kept_beside_a_part_that_prepares():
    class Halved(Rbf):
        capabilities = Rbf.capabilities | {"prepare"}

        class Block:
            __kernreg_prepared__ = True

            def __init__(self, rows):
                self.rows = rows

            def __len__(self):
                return len(self.rows)

            def __getitem__(self, index):
                return type(self)(self.rows[index])

        def prepare(self, X):
            return self.Block(self.check_items(X)[0] / 2)

        def evaluate(self, X, Y):
            X, Y = (side.rows if isinstance(side, self.Block) else side / 2 for side in (X, Y))
            return super().evaluate(X, Y)

    small = X.astype(np.float32)
    for kernel in (Halved(), Halved() + A):
        K = kr.gram(kernel, small, tile=4)
        assert K.dtype == kernel(small).dtype == np.float32
        np.testing.assert_allclose(K, kernel(small), rtol=1e-6)


def test_matrix_valued_parts():
    Z = X[:, :2]
    K = Blocks()(Z)
    for kernel, value in ((2 * Blocks(), 2 * K), (Blocks() + Blocks(), 2 * K), (Blocks() * Blocks(), K * K)):
        assert "matrix_valued" in kernel.capabilities
        np.testing.assert_allclose(kr.gram(kernel, Z, tile=4), value, rtol=1e-12, atol=1e-12)
    with pytest.raises(kr.ParameterError, match="expected one with scalar values, got the matrix-valued"):
        normalize(Blocks())(Z)


def test_a_norm_is_asked_for_with_one_object_on_both_sides():
    class Noisy(kr.BaseKernel):
        """1, and 4 where both sides are one object."""

        def evaluate(self, X, Y):
            return np.ones((len(X), len(Y))) + 3 * np.eye(len(X), len(Y)) * (Y is X)

    np.testing.assert_allclose(normalize(Noisy())(X, Y), 0.25)


@pytest.mark.parametrize("bad", [None, [], np.empty((0, 2)), 3])
def test_foreign_parts_alone_still_get_items(bad):
    with pytest.raises(kr.InputError, match="X: expected"):
        Sum(lambda X, Y: X @ Y.T)(bad)


def test_plans_of_the_parts_are_added():
    class Costly(Letters):
        def plan(self, X, Y=None):
            return {"circuits": len(X), "device": "a"}

    kernel = normalize(Costly() + 2 * Costly() + Letters())
    assert kr.plan(kernel, ["a", "b", "c"]).extra == {"circuits": 6, "device": "a"}
    assert kr.plan(Letters() + Letters(), ["a"]).extra == {}


def test_gradients_of_a_power_are_finite_where_the_kernel_is_zero():
    zero = np.zeros((2, 3))
    for p in (1, 2, 3):
        kernel = Dot() ** p
        np.testing.assert_allclose(kernel.grad_x(zero, Y[:2]), Dot().grad_x(zero, Y[:2]) if p == 1 else 0)
        assert np.isfinite(kernel.grad_xy(zero, Y)).all()


def test_a_tensor_scales_and_keeps_its_gradient():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    variance = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    T = torch.tensor(X)
    for kernel in (variance * A, A * variance):
        (gradient,) = torch.autograd.grad(kernel(T).sum(), variance)
        np.testing.assert_allclose(gradient.item(), A(X).sum())
        assert "psd" in kernel.capabilities
        assert "variance=torch.tensor(3.0" in repr(kernel)
        np.testing.assert_allclose(kernel(X), 3 * A(X))
    with pytest.raises(TypeError):
        torch.ones(2) * A
    with pytest.raises(kr.ParameterError, match="variance: expected a finite number"):
        (torch.tensor(float("nan")) * A)(T)


def test_tensors_without_a_norm_warn_too():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    with pytest.warns(kr.KernregWarning, match=r"1 item\(s\) have k\(x, x\) = 0"):
        K = normalize(Dot())(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    assert K.tolist() == [[0, 0], [0, 1]]
    with pytest.raises(kr.InputError, match="at item 1"):
        normalize(Rbf() + -2 * Dot())(torch.tensor([[0.0], [2.0]]))
