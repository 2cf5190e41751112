"""Tensor sketch of the polynomial kernel."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest
from euclidean_cases import data

import kernreg_core as kr
import kernreg_euclidean as ke
from kernreg_core.errors import InputError, ParameterError
from kernreg_euclidean import tensor_sketch

X, Y = data(6, 5) / 5**0.5, data(4, 5, seed=1) / 5**0.5
CASES = [
    {"degree": 1, "gamma": 0.7},
    {"degree": 2, "gamma": 1.0, "coef0": 0.0},
    {"degree": 3, "gamma": None, "coef0": 0.5},
    {"degree": 4, "gamma": 0.5},
]


@pytest.mark.parametrize("params", CASES, ids=str)
@pytest.mark.parametrize("width", [64, 33, 2, 1])
def test_unbiased(params: dict[str, Any], width: int) -> None:
    drawn = []
    for seed in range(200):
        kernel = ke.TensorSketch(n_features=width, rng=seed, **params)
        F = kernel.features(X)
        assert F.shape == (6, width)
        drawn.append(F @ kernel.features(Y).T)
    error = np.abs(np.mean(drawn, 0) - ke.Polynomial(**params)(X, Y))
    assert (error <= 5 * np.std(drawn, 0) / math.sqrt(200) + 1e-12).all()


def reference(kernel: Any, Z: np.ndarray) -> np.ndarray:
    """Count sketches written out, an FFT of each, and the inverse FFT of their product: as in the paper."""
    p, D, d = kernel.degree, kernel.n_features, Z.shape[1]
    rng = np.random.default_rng([kernel.rng, d])
    bins, signs = rng.integers(0, D, size=(p, d + 1)), rng.integers(0, 2, size=(p, d + 1)) * 2.0 - 1.0
    gamma = 1.0 / d if kernel.gamma is None else kernel.gamma
    A = np.hstack([math.sqrt(gamma) * Z, np.full((len(Z), 1), math.sqrt(kernel.coef0))])
    product = np.ones((len(Z), D), complex)
    for j in range(p):
        sketch = np.zeros((len(Z), D))
        for i in range(d + 1):
            sketch[:, bins[j, i]] += signs[j, i] * A[:, i]
        product *= np.fft.fft(sketch, axis=1)
    return np.fft.ifft(product, axis=1).real


@pytest.mark.parametrize("params", CASES, ids=str)
@pytest.mark.parametrize("width", [64, 31])
def test_products_are_those_of_the_paper(params: dict[str, Any], width: int) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    kernel = ke.TensorSketch(n_features=width, rng=5, **params)
    expected = reference(kernel, X) @ reference(kernel, Y).T
    F, G = kernel.features(X), kernel.features(Y)
    np.testing.assert_allclose(F @ G.T, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(kernel.features(sparse.csr_array(X)), F, rtol=0, atol=1e-13)
    single = kernel.features(X.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, F, rtol=0, atol=1e-5)


def test_many_columns_take_the_way_through_the_fft(monkeypatch: pytest.MonkeyPatch) -> None:
    Z = data(30, tensor_sketch._FEW_COLUMNS + 3) / 8
    kernel = ke.TensorSketch(n_features=40, rng=0)
    F = kernel.features(Z)
    np.testing.assert_allclose(F @ F.T, reference(kernel, Z) @ reference(kernel, Z).T, rtol=0, atol=1e-12)
    monkeypatch.setattr(tensor_sketch, "_FEW_COLUMNS", 1000)
    np.testing.assert_allclose(kernel.features(Z), F, rtol=0, atol=1e-13)


def test_error_falls_as_the_inverse_root_and_stays_below_the_bound() -> None:
    """Variance at most (2 + 3^p) / D (|x~| |y~|)^2p."""
    Z = data(8, 20)
    Z /= np.linalg.norm(Z, axis=1, keepdims=True)
    for degree in (2, 3):
        K, errors = ke.Polynomial(degree=degree, gamma=1.0)(Z), []
        for D in (64, 1024):
            squares = []
            for seed in range(60):
                F = ke.TensorSketch(degree=degree, gamma=1.0, n_features=D, rng=seed).features(Z)
                squares.append((F @ F.T - K) ** 2)
            errors.append(math.sqrt(np.mean(squares)))
            assert np.mean(squares) <= (2 + 3**degree) / D * 2.0 ** (2 * degree)
        assert 3.0 < errors[0] / errors[1] < 5.2


def test_the_kernel_is_the_exact_polynomial() -> None:
    kernel, exact = ke.TensorSketch(degree=2, rng=0), ke.Polynomial(degree=2)
    np.testing.assert_array_equal(kernel(X, Y), exact(X, Y))
    np.testing.assert_array_equal(kernel.grad_x(X, Y), exact.grad_x(X, Y))
    assert kernel.capabilities == (exact.capabilities - {"features"}) | {"random_features"}
    indefinite = ke.TensorSketch(coef0=-1.0)
    assert not {"features", "random_features", "psd"} & indefinite.capabilities
    assert not hasattr(indefinite, "features")


def test_draws() -> None:
    kernel = ke.TensorSketch(n_features=16, rng=2)
    F = kernel.features(X)
    kernel.features(X[:, :2])
    np.testing.assert_array_equal(kernel.features(X), F)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(kernel)).features(X), F)
    np.testing.assert_array_equal(kr.clone(kernel).features(X), F)
    np.testing.assert_allclose(kernel.features(X[:1]), F[:1], rtol=0, atol=1e-14)
    assert not np.array_equal(kr.clone(kernel).set_params(rng=3).features(X), F)
    assert kernel.set_params(n_features=20, degree=2).features(X).shape == (6, 20)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_and_threads(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Z = data(3000, 8, dtype=dtype)
    kernel = ke.TensorSketch(n_features=50, rng=0)
    monkeypatch.setenv("KERNREG_NUM_THREADS", "1")
    F = kernel.features(Z)
    monkeypatch.setenv("KERNREG_NUM_THREADS", "2")
    monkeypatch.setattr(tensor_sketch, "_BLOCK", (100, 1000))
    np.testing.assert_allclose(kernel.features(Z), F, rtol=0, atol=50 * np.finfo(dtype).eps * np.abs(F).max())


def test_very_wide_sparse_rows_cost_what_they_hold() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    rows = sparse.random_array((40, 200_000), density=1e-4, format="csr", rng=np.random.default_rng(0))
    kernel = ke.TensorSketch(degree=2, gamma=1.0, n_features=256, rng=0)
    F = kernel.features(rows)
    assert F.shape == (40, 256)
    K = kernel(rows)
    assert np.abs(F @ F.T - K).max() < K.max()


def test_tensors() -> None:
    torch = pytest.importorskip("torch")
    T = torch.tensor(X, requires_grad=True)
    gamma = torch.tensor(0.6, dtype=torch.float64, requires_grad=True)
    coef0 = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    for width in (8, 7):
        plain = ke.TensorSketch(gamma=0.6, coef0=0.8, n_features=width, rng=0)
        expected = plain.features(X)
        assert np.array_equal(plain.features(T.detach()).numpy(), expected)

        def features(x: Any, g: Any, c: Any, width: int = width) -> Any:
            return ke.TensorSketch(gamma=g, coef0=c, n_features=width, rng=0).features(x)

        np.testing.assert_allclose(features(T, gamma, coef0).detach().numpy(), expected, rtol=0, atol=1e-13)
        assert torch.autograd.gradcheck(features, (T, gamma, coef0))
    assert ke.TensorSketch(n_features=8, rng=0).features(T.half()).dtype == torch.float16


def test_bad_input() -> None:
    for params, message in (
        ({"n_features": 0}, "n_features: expected an integer of at least 1"),
        ({"degree": 0}, "degree: expected an integer of at least 1"),
        ({"gamma": -1.0}, "gamma: expected a finite number > 0"),
        ({"rng": 1.5}, "rng: expected an int"),
    ):
        with pytest.raises(ParameterError, match=message):
            ke.TensorSketch(**params).features(X)
    with pytest.raises(InputError, match="X: "):
        ke.TensorSketch().features(X[0])
