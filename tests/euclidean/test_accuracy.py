"""Rounding: near-coincident pairs in high precision, float32 at offsets and in clusters, tiles, threads."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from euclidean_cases import NAMES, data, dense_formula, items, kernels
from hypothesis import given
from hypothesis import strategies as st

import kernreg_euclidean as ke
from kernreg_euclidean import _distances, _tiles

mpmath = pytest.importorskip("mpmath")


def precise(kernel: Any, x: np.ndarray, y: np.ndarray) -> float:
    """The kernel of two rows in 50 digits."""
    with mpmath.workdps(50):
        scale = np.broadcast_to(np.asarray(kernel.lengthscale, float), x.shape)
        numbers = [[mpmath.mpf(float(value)) for value in row] for row in (x, y, scale)]
        D = [(a - b) / c for a, b, c in zip(*numbers, strict=True)]
        if isinstance(kernel, ke.Laplace):
            return float(mpmath.exp(-sum(abs(t) for t in D)))
        s = sum(t * t for t in D)
        if isinstance(kernel, ke.RBF):
            return float(mpmath.exp(-s / 2))
        if isinstance(kernel, ke.RationalQuadratic):
            return float((1 + s / (2 * mpmath.mpf(kernel.shape))) ** -mpmath.mpf(kernel.shape))
        if isinstance(kernel, ke.InverseMultiquadric):
            return float((1 + s) ** -mpmath.mpf(kernel.exponent))
        nu = mpmath.mpf(kernel.order)
        a = mpmath.sqrt(2 * nu * s)
        return float(2 ** (1 - nu) / mpmath.gamma(nu) * a**nu * mpmath.besselk(nu, a)) if a else 1.0


def near_pairs(d: int, dtype: Any = np.float64, offset: float = 0.0) -> tuple[np.ndarray, np.ndarray, Any]:
    """Rows of `Y` that are within 1e-9 to 1e-1 of rows of `X`, among many others."""
    X = data(300, d) + offset
    Y = data(200, d, seed=1) + offset
    step = data(40, d, seed=2)
    step /= np.linalg.norm(step, axis=1, keepdims=True)
    Y[:40] = X[:40] + step * np.geomspace(1e-9, 1e-1, 40)[:, None]
    return X.astype(dtype), Y.astype(dtype), [(i, i) for i in range(40)]


RADIAL = {
    "rbf": lambda d: ke.RBF(lengthscale=math.sqrt(d)),
    "rbf_narrow": lambda d: ke.RBF(lengthscale=1e-2),
    "laplace": lambda d: ke.Laplace(lengthscale=float(d)),
    "laplace_ard": lambda d: ke.Laplace(lengthscale=np.linspace(0.5, 2, d)),
    "matern12": lambda d: ke.Matern(order=0.5),
    "matern12_narrow": lambda d: ke.Matern(order=0.5, lengthscale=0.1),
    "matern12_ard": lambda d: ke.Matern(order=0.5, lengthscale=np.linspace(0.5, 2, d)),
    "matern32": lambda d: ke.Matern(order=1.5),
    "matern52": lambda d: ke.Matern(order=2.5),
    "matern_0.3": lambda d: ke.Matern(order=0.3),
    "rational_quadratic": lambda d: ke.RationalQuadratic(lengthscale=0.5),
    "inverse_multiquadric": lambda d: ke.InverseMultiquadric(lengthscale=0.3),
}


@pytest.mark.parametrize("name", list(RADIAL))
@pytest.mark.parametrize("d", [1, 4, 30])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_near_coincident_pairs(name: str, d: int, offset: float) -> None:
    kernel = RADIAL[name](d)
    X, Y, pairs = near_pairs(d, offset=offset)
    K = kernel(X, Y)
    # rows of X and Y in one array: the symmetric code
    both = kernel(np.vstack([X, Y]))
    # an ARD length scale divides centred coordinates: an ulp of those is what remains (order 0.3: to the power 0.6)
    tolerance = 2e-13 if np.ndim(kernel.lengthscale) == 0 else 1e-12
    for i, j in pairs:
        expected = precise(kernel, X[i], Y[j])
        assert abs(K[i, j] - expected) < tolerance, (i, K[i, j], expected)
        assert abs(both[i, len(X) + j] - expected) < tolerance
        assert abs((1 - K[i, j]) - (1 - expected)) < tolerance


def test_the_product_formula_alone_would_fail() -> None:
    """The repair is what makes the test above pass: without it half the digits are gone."""
    X, Y, _ = near_pairs(4)
    s = (X**2).sum(1)[:, None] + (Y**2).sum(1)[None] - 2 * X @ Y.T
    naive = np.exp(-np.sqrt(np.maximum(s, 0)))
    assert abs(naive - ke.Matern(order=0.5)(X, Y)).max() > 1e-9


@given(st.integers(1, 12), st.floats(-6, 6), st.floats(-3, 3), st.integers(0, 1000))
def test_any_scale_any_offset(d: int, log_offset: float, log_scale: float, seed: int) -> None:
    """Matern-1/2 against differences, whatever the length scale and where the data lies; duplicates are exact."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((60, d)) + np.sign(log_offset) * 10 ** abs(log_offset)
    X[10] = X[3]
    kernel = ke.Matern(order=0.5, lengthscale=10**log_scale)
    K = kernel(X)
    np.testing.assert_allclose(K, dense_formula(kernel)(X, X), rtol=0, atol=5e-13)
    assert K[10, 3] == 1
    assert K.max() <= 1


CLOUD = {
    "rbf": ke.RBF(lengthscale=3.0),
    "rbf_wide": ke.RBF(lengthscale=30.0),
    "matern12": ke.Matern(order=0.5, lengthscale=3.0),
    "matern32": ke.Matern(order=1.5, lengthscale=3.0),
    "matern52": ke.Matern(order=2.5, lengthscale=3.0),
    "laplace": ke.Laplace(lengthscale=10.0),
    "rational_quadratic": ke.RationalQuadratic(lengthscale=3.0),
    "inverse_multiquadric": ke.InverseMultiquadric(lengthscale=3.0),
}


@pytest.mark.parametrize("name", list(CLOUD))
@pytest.mark.parametrize("offset", [0.0, 10.0, 100.0, 1e4])
@pytest.mark.parametrize("d", [2, 20])
def test_float32_at_any_offset(name: str, offset: float, d: int) -> None:
    kernel = CLOUD[name]
    X, Y, _ = near_pairs(d, np.float32, offset)
    for A, B in ((X, Y), (X, X)):
        K = kernel(A, B)
        assert K.dtype == np.float32
        assert K.max() <= 1
        assert np.abs(K - dense_formula(kernel)(A, B)).max() < 1e-6


@pytest.mark.parametrize("name", list(CLOUD))
@pytest.mark.parametrize("count", [2, 7])
@pytest.mark.parametrize("far", [100.0, 1e4, 1e6])
def test_float32_clusters_far_apart(name: str, count: int, far: float) -> None:
    kernel = CLOUD[name]
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((count, 20))
    centres *= far * 3.0 / np.linalg.norm(centres, axis=1, keepdims=True)
    X = (rng.standard_normal((500, 20)) + centres[rng.integers(0, count, 500)]).astype(np.float32)
    K = kernel(X)
    assert K.max() <= 1
    assert np.abs(K - dense_formula(kernel)(X, X)).max() < 1e-5
    K = kernel(X.astype(np.float64))
    assert np.abs(K - dense_formula(kernel)(X, X)).max() < 1e-12


def test_one_far_outlier_does_not_cost_the_others_their_digits() -> None:
    X = data(400, 20)
    X[7] = 1e9
    for dtype, tolerance in ((np.float32, 1e-6), (np.float64, 1e-12)):
        for kernel in CLOUD.values():
            A = X.astype(dtype)
            assert np.abs(kernel(A) - dense_formula(kernel)(A, A)).max() < tolerance


def test_many_duplicates() -> None:
    """Data with few distinct rows: whole tiles go to the difference formula."""
    X = np.random.default_rng(0).integers(0, 2, (500, 6)).astype(float) * 1e3
    for kernel in (ke.RBF(), ke.Matern(order=0.5), ke.Matern(lengthscale=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])):
        K = kernel(X)
        same = (X[:, None] == X[None]).all(-1)
        assert (K[same] == 1).all()
        assert np.abs(K - dense_formula(kernel)(X, X)).max() < 1e-12


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_level_of_the_distances_is_used(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cheap product where it is good enough, pairs and whole tiles by difference where it is not."""
    used: list[str] = []
    for name in ("product", "pairs", "differences"):
        original = getattr(_distances.DenseRows, name)

        def spy(self: Any, *arguments: Any, _name: str = name, _original: Any = original) -> Any:
            tag = f"{_name}:{arguments[-1].dtype}" if _name == "product" else _name
            used.append(tag)
            return _original(self, *arguments)

        monkeypatch.setattr(_distances.DenseRows, name, spy)
    X = data(200, 20, dtype=dtype)
    ke.RBF(lengthscale=4.5)(X)
    assert set(used) == {f"product:{np.dtype(dtype)}"}
    used.clear()
    near = np.vstack([X, X[:1] + dtype(1e-7)])
    ke.RBF(lengthscale=4.5)(near)
    assert "pairs" in used
    used.clear()
    ke.RBF(lengthscale=1.0)(np.vstack([X[:100] * 1e-3, X[100:] * 1e-3 + dtype(1e6 if dtype == np.float32 else 1e9)]))
    assert "differences" in used or "product:float64" in used
    if dtype == np.float64:
        assert "differences" in used


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_values_do_not_depend_on_tiles_and_threads(name: str, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = kernels(5)[name]
    X, Y = items(name, 130, 5, dtype=dtype), items(name, 90, 5, seed=1, dtype=dtype)
    monkeypatch.setenv("KERNREG_NUM_THREADS", "1")
    symmetric, plain = kernel(X), kernel(X, Y)
    scale = max(1.0, float(np.abs(symmetric).max()))
    tolerance = 16 * np.finfo(dtype).eps * scale if name not in CLOUD else 1e-6
    monkeypatch.setattr(_tiles, "SERIAL_WORK", 0)
    for height, width, threads in ((7, 40, 1), (64, 4096, 2), (16, 33, 3)):
        monkeypatch.setattr(_tiles, "COLUMN", height * np.dtype(dtype).itemsize)
        monkeypatch.setattr(_tiles, "MIRROR", 2 * height + 1)
        monkeypatch.setattr(_tiles, "WIDTH", max(width, 4 * height))
        monkeypatch.setenv("KERNREG_NUM_THREADS", str(threads))
        again = kernel(X)
        assert np.array_equal(again, again.T)
        np.testing.assert_allclose(again, symmetric, rtol=0, atol=tolerance)
        np.testing.assert_allclose(kernel(X, Y), plain, rtol=0, atol=tolerance)
        assert np.array_equal(kernel(X), again), "same grid, same thread count: the same bits"
    # rows of a larger call, and the same rows alone
    np.testing.assert_allclose(kernel(X[3:9], Y), plain[3:9], rtol=0, atol=tolerance)


def test_into_fills_strided_memory() -> None:
    X = data(100, 4)
    kernel = ke.Matern()
    big = np.full((100, 300), np.nan)
    kernel.into(X, X, big[:, 100:200])
    assert np.array_equal(big[:, 100:200], kernel(X))
    assert np.isnan(big[:, :100]).all()
    assert np.isnan(big[:, 200:]).all()
    half = np.empty((100, 100), np.float32)
    kernel.into(X, X, half)
    np.testing.assert_allclose(half, kernel(X), atol=1e-6)


def test_an_offset_does_not_cost_time_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """Centred, offset data needs nothing but the float32 product."""
    used: list[str] = []
    original = _distances.DenseRows.product

    def spy(self: Any, rows: slice, cols: slice, tile: np.ndarray) -> None:
        used.append(str(tile.dtype))
        original(self, rows, cols, tile)

    monkeypatch.setattr(_distances.DenseRows, "product", spy)
    ke.RBF(lengthscale=4.5)(data(200, 20, dtype=np.float32) + np.float32(1e4))
    assert set(used) == {"float32"}


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arc_cosine_of_nearly_parallel_rows(order: int, dtype: Any) -> None:
    """The angle of close directions, and of opposite ones: its cosine has lost half its digits."""
    mpmath = pytest.importorskip("mpmath")
    X = data(30, 4)
    Y = np.sign(data(30, 1, seed=2)) * X * 1.7 + data(30, 4, seed=1) * np.geomspace(1e-9, 1e-1, 30)[:, None]
    X, Y = X.astype(dtype), Y.astype(dtype)
    K = ke.ArcCosine(order=order)(X, Y)
    with mpmath.workdps(50):
        for i in range(30):
            x, y = ([mpmath.mpf(float(value)) for value in row] for row in (X[i], Y[i]))
            a, b = (mpmath.sqrt(sum(value**2 for value in row)) for row in (x, y))
            t = mpmath.acos(max(-1, min(1, sum(p * q for p, q in zip(x, y, strict=True)) / (a * b))))
            J = (
                mpmath.pi - t,
                mpmath.sin(t) + (mpmath.pi - t) * mpmath.cos(t),
                3 * mpmath.sin(t) * mpmath.cos(t) + (mpmath.pi - t) * (1 + 2 * mpmath.cos(t) ** 2),
            )[order]
            expected = float((a * b) ** order * J / mpmath.pi)
            tolerance = (3e-7 if dtype == np.float32 else 3e-13) * max(1.0, float((a * b) ** order))
            assert abs(K[i, i] - expected) < tolerance, (i, K[i, i], expected)
