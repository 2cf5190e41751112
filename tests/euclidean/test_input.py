"""Bad input and bad parameters; what a user passes stays as it was; sparse rows; parameters as objects."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from euclidean_cases import NAMES, data, items, kernels

import kernreg_core as kr
import kernreg_euclidean as ke
from kernreg_core.errors import InputError, ParameterError

BAD_ITEMS = {
    "nan": ([[1.0, np.nan, 0.0]], "NaN"),
    "infinity": ([[1.0, np.inf, 0.0]], "infinit"),
    "empty": (np.empty((0, 3)), "empty"),
    "no_features": (np.empty((3, 0)), "empty"),
    "flat": (np.ones(3), "rank"),
    "cube": (np.ones((2, 2, 3)), "rank"),
    "strings": ([["a", "b", "c"]], "strings"),
    "objects": ([[object(), 1, 2]], "objects"),
    "complex": (np.ones((2, 3)) * 1j, "real"),
    "ragged": ([[1.0, 2.0], [3.0]], "array"),
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", list(BAD_ITEMS))
def test_bad_items(name: str, bad: str) -> None:
    kernel = kernels()[name]
    wrong, word = BAD_ITEMS[bad]
    good = items(name, 4)
    with pytest.raises(InputError, match=f"X.*{word}"):
        kernel(wrong)
    with pytest.raises(InputError, match=f"Y.*{word}"):
        kernel(good, wrong)
    with pytest.raises(InputError, match=word):
        kernel.diag(wrong)


@pytest.mark.parametrize("name", NAMES)
def test_unequal_feature_counts(name: str) -> None:
    kernel = kernels()[name]
    with pytest.raises(InputError, match=r"feature counts.*\(4, 3\).*\(5, 4\)"):
        kernel(items(name, 4, 3), items(name, 5, 4))


def test_chi_squared_refuses_negative_numbers() -> None:
    X = np.abs(data(4, 3))
    for A, B, name in ((-X, X, "X"), (X, -X, "Y")):
        with pytest.raises(InputError, match=f"{name}: expected non-negative"):
            ke.ChiSquared()(A, B)


BAD_SCALES: list[Any] = [0.0, -1.0, np.nan, np.inf, 1e-200, 1j, "1", None, True, object()]
BAD_SCALES += [[1.0, 2.0], [1.0, -1.0, 1.0], [[1.0, 1.0, 1.0]]]
SCALED = {
    "rbf": ke.RBF,
    "laplace": ke.Laplace,
    "matern": ke.Matern,
    "rational_quadratic": ke.RationalQuadratic,
    "inverse_multiquadric": ke.InverseMultiquadric,
    "periodic": ke.Periodic,
}


@pytest.mark.parametrize("name", list(SCALED))
@pytest.mark.parametrize("bad", BAD_SCALES, ids=lambda bad: type(bad).__name__ if type(bad) is object else repr(bad))
def test_bad_length_scales(name: str, bad: Any) -> None:
    kernel = SCALED[name](lengthscale=bad)
    with pytest.raises(ParameterError, match="lengthscale: expected"):
        kernel(data(4, 3))
    with pytest.raises(ParameterError, match="lengthscale: expected"):
        kernel.diag(data(4, 3))


def test_the_message_says_what_came_and_what_to_do() -> None:
    with pytest.raises(ParameterError, match="got 2 numbers for 3 features: pass one number, or 3 of them"):
        ke.RBF(lengthscale=[1.0, 2.0])(data(4, 3))


@pytest.mark.parametrize(
    ("kernel", "name"),
    [
        (ke.Matern(order=0), "order"),
        (ke.Matern(order=-1.5), "order"),
        (ke.Matern(order=np.nan), "order"),
        (ke.Matern(order=1e6), "order"),
        (ke.Matern(order="5/2"), "order"),
        (ke.RationalQuadratic(shape=0.0), "shape"),
        (ke.RationalQuadratic(shape=[1.0]), "shape"),
        (ke.InverseMultiquadric(exponent=-0.5), "exponent"),
        (ke.Periodic(period=0.0), "period"),
        (ke.Periodic(period=[1.0, 2.0]), "period"),
        (ke.Polynomial(degree=0), "degree"),
        (ke.Polynomial(degree=2.5), "degree"),
        (ke.Polynomial(gamma=0.0), "gamma"),
        (ke.Polynomial(coef0=np.inf), "coef0"),
        (ke.Tanh(gamma=-1.0), "gamma"),
        (ke.Tanh(coef0="a"), "coef0"),
        (ke.ArcCosine(order=3), "order"),
        (ke.ArcCosine(order=1.0), "order"),
        (ke.ArcCosine(weight_variance=0.0), "weight_variance"),
        (ke.ArcCosine(bias_variance=-1.0), "bias_variance"),
        (ke.Anova(degree=0), "degree"),
        (ke.Anova(degree=4), "degree"),
        (ke.ChiSquared(gamma=0.0), "gamma"),
        (ke.SpectralMixture(weights=[]), "weights"),
        (ke.SpectralMixture(weights=[-1.0]), "weights"),
        (ke.SpectralMixture(weights=1.0), "weights"),
        (ke.SpectralMixture(means=[0.1, 0.2]), "means"),
        (ke.SpectralMixture(means=[[0.1, 0.2]]), "means"),
        (ke.SpectralMixture(scales=[0.0]), "scales"),
        (ke.SpectralMixture(scales=["a"]), "scales"),
    ],
    ids=repr,
)
def test_bad_parameters(kernel: Any, name: str) -> None:
    with pytest.raises(ParameterError, match=f"{name}: expected"):
        kernel(np.abs(data(4, 3)))


def test_arguments_are_keyword_only_and_unknown_ones_are_errors() -> None:
    with pytest.raises(TypeError):
        ke.RBF(1.0)  # type: ignore[misc]
    with pytest.raises(TypeError):
        ke.RBF(gamma=1.0)  # type: ignore[call-arg]
    with pytest.raises(ParameterError, match="no parameter 'gamma'"):
        ke.RBF().set_params(gamma=1.0)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_mutated(name: str) -> None:
    kernel = kernels()[name]
    X, Y = items(name, 30), items(name, 20, seed=1)
    before = X.copy(), Y.copy(), repr(kernel)
    X.setflags(write=False)
    Y.setflags(write=False)
    kernel(X)
    kernel(X, Y)
    kernel.diag(X)
    if "features" in kernel.capabilities:
        kernel.features(X)
    if "gradients" in kernel.capabilities:
        kernel.grad_x(X, Y)
        kernel.grad_xy(X)
    assert np.array_equal(X, before[0])
    assert np.array_equal(Y, before[1])
    assert repr(kernel) == before[2]


def test_parameters_are_stored_untouched() -> None:
    scale = np.array([1.0, 2.0, 3.0])
    kernel = ke.RBF(lengthscale=scale)
    kernel(data(5, 3))
    assert kernel.lengthscale is scale
    assert scale.tolist() == [1.0, 2.0, 3.0]
    integer = ke.RBF(lengthscale=2)
    integer(data(5, 3))
    assert integer.lengthscale == 2
    assert type(integer.lengthscale) is int


@pytest.mark.parametrize("name", NAMES)
def test_round_trips(name: str) -> None:
    kernel = kernels()[name]
    X = items(name, 12)
    K = kernel(X)
    typed = eval(repr(kernel), {**{n: getattr(ke, n) for n in ke.__all__}, "np": np})
    for copy in (typed, kr.clone(kernel), pickle.loads(pickle.dumps(kernel)), type(kernel)(**kernel.get_params())):
        assert np.array_equal(copy(X), K)
        assert copy.capabilities == kernel.capabilities
    assert set(kernel.get_params()) == set(type(kernel)().get_params())


@pytest.mark.parametrize("name", NAMES)
def test_layouts_and_other_numbers(name: str) -> None:
    kernel = kernels()[name]
    X = items(name, 20)
    K = kernel(X)
    for other in (np.asfortranarray(X), np.repeat(X, 2, axis=0)[::2], X.tolist()):
        np.testing.assert_allclose(kernel(other), K, rtol=1e-13, atol=1e-13)
    whole = np.abs(np.rint(X * 3)).astype(np.int32)
    assert kernel(whole).dtype == np.float64
    np.testing.assert_array_equal(kernel(whole), kernel(whole.astype(float)))
    mixed = kernel(X.astype(np.float32), X)
    assert mixed.dtype == np.float64


def test_numpy_scalars_do_not_widen_float32() -> None:
    X = data(10, 3, dtype=np.float32)
    for kernel in (
        ke.RBF(lengthscale=np.float64(2.0)),
        ke.RBF(lengthscale=np.ones(3)),
        ke.Matern(lengthscale=np.array(2.0)),
        ke.Polynomial(gamma=np.float64(0.3)),
        ke.RationalQuadratic(shape=np.float64(2.0)),
    ):
        assert kernel(X).dtype == np.float32
        assert kernel.grad_xy(X).dtype == np.float32
        assert kernel.grad_x(X, X[:3]).dtype == np.float32
        assert kernel.grad_xy_trace(X).dtype == np.float32
        assert kernel.diag(X).dtype == np.float32
        assert np.array_equal(kernel(X).diagonal(), kernel.diag(X))


SPARSE = ["rbf", "rbf_ard", "linear", "polynomial", "polynomial_5", "polynomial_homogeneous", "cosine"]


@pytest.mark.parametrize("name", NAMES)
def test_sparse_rows(name: str) -> None:
    sp = pytest.importorskip("scipy.sparse")
    d = 7
    kernel = kernels(d)[name]
    X, Y = items(name, 50, d), items(name, 30, d, seed=1)
    X[np.abs(X) < 0.8] = 0
    Y[np.abs(Y) < 0.8] = 0
    X[4] = 0
    Y[2] = X[9]
    if name not in SPARSE:
        with pytest.raises(InputError, match="toarray"):
            kernel(sp.csr_array(X))
        return
    before = sp.csr_array(X)
    for make in (sp.csr_array, sp.csr_matrix, sp.csc_array, sp.coo_array):
        for dtype, tolerance in ((np.float64, 1e-13), (np.float32, 1e-6)):
            A, B = make(X.astype(dtype)), make(Y.astype(dtype))
            scale = np.abs(kernel(X)).max()
            K = kernel(A)
            assert K.dtype == dtype
            assert np.array_equal(K, K.T)
            np.testing.assert_allclose(K, kernel(X), rtol=0, atol=tolerance * scale)
            np.testing.assert_allclose(kernel(A, B), kernel(X, Y), rtol=0, atol=tolerance * scale)
            np.testing.assert_allclose(kernel(A, Y.astype(dtype)), kernel(X, Y), rtol=0, atol=tolerance * scale)
            np.testing.assert_allclose(kernel.diag(A), kernel.diag(X), rtol=0, atol=tolerance * scale)
    matrix = sp.csr_array(X)
    kernel(matrix)
    assert np.array_equal(matrix.toarray(), before.toarray())
    if "gradients" in kernel.capabilities:
        with pytest.raises(InputError, match="toarray"):
            kernel.grad_x(matrix)


def test_no_warning_where_nothing_is_wrong() -> None:
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        for name, kernel in kernels().items():
            kernel(items(name, 30) * 30)
            kernel(items(name, 30), items(name, 10) * 100)
