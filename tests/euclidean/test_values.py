"""Values of every kernel: against its definition, scikit-learn and GPyTorch; exact symmetry and diagonal."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from euclidean_cases import NAMES, SLOW, data, dense_formula, items, kernels
from hypothesis import given
from hypothesis import strategies as st

import kernreg_euclidean as ke


@pytest.mark.parametrize("name", NAMES)
def test_values_follow_the_definition(name: str) -> None:
    for n, m, d in ((40, 30, 3), (1, 1, 3), (150, 7, 3)):
        kernel = kernels(d)[name]
        X, Y = items(name, n, d), items(name, m, d, seed=1)
        reference = dense_formula(kernel)
        scale = max(1.0, np.abs(reference(X, Y)).max())
        np.testing.assert_allclose(kernel(X, Y), reference(X, Y), rtol=0, atol=1e-13 * scale)
        scale = max(1.0, np.abs(reference(X, X)).max())
        np.testing.assert_allclose(kernel(X), reference(X, X), rtol=0, atol=1e-13 * scale)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_symmetry_and_diagonal_are_exact(name: str, dtype: Any) -> None:
    kernel = kernels(4)[name]
    X = items(name, 80 if name in SLOW else 333, 4, dtype=dtype)
    X[17] = X[5]
    K = kernel(X)
    assert K.dtype == dtype
    assert np.array_equal(K, K.T)
    assert np.array_equal(K.diagonal(), kernel.diag(X))
    if "normalized" in kernel.capabilities:
        assert (K.diagonal() == 1).all()
        assert K.max() <= 1
        assert kernel(X, X.copy()).max() <= 1
        assert K[5, 17] >= 1 - 4 * np.finfo(dtype).eps
    if "psd" in kernel.capabilities:
        values = np.linalg.eigvalsh(K.astype(np.float64))
        assert values[0] >= -(1e-5 if dtype == np.float32 else 1e-12) * values[-1]


def test_tanh_is_not_psd() -> None:
    assert "psd" not in ke.Tanh().capabilities
    assert np.linalg.eigvalsh(ke.Tanh(gamma=1.0, coef0=-1.0)(data(30, 3)))[0] < -1e-3


@pytest.mark.parametrize("d", [1, 2, 7, 20])
def test_agrees_with_scikit_learn(d: int) -> None:
    pairwise = pytest.importorskip("sklearn.metrics.pairwise")
    gp = pytest.importorskip("sklearn.gaussian_process.kernels")
    X, Y = data(300, d), data(200, d, seed=1)
    scale = math.sqrt(d)
    ard = np.linspace(0.5, 2.0, d)
    pairs = [
        (ke.RBF(lengthscale=scale), lambda a, b: pairwise.rbf_kernel(a, b, gamma=0.5 / d)),
        (ke.RBF(lengthscale=ard), gp.RBF(ard)),
        (ke.Laplace(lengthscale=d), lambda a, b: pairwise.laplacian_kernel(a, b, gamma=1 / d)),
        *[(ke.Matern(order=nu, lengthscale=ard), gp.Matern(ard, nu=nu)) for nu in (0.5, 1.5, 2.5, math.inf, 1.7)],
        (ke.RationalQuadratic(shape=0.7, lengthscale=scale), gp.RationalQuadratic(scale, 0.7)),
        (ke.Linear(), pairwise.linear_kernel),
        (ke.Polynomial(degree=4, gamma=0.2, coef0=0.5), lambda a, b: pairwise.polynomial_kernel(a, b, 4, 0.2, 0.5)),
        (ke.Tanh(), pairwise.sigmoid_kernel),
        (ke.Cosine(), pairwise.cosine_similarity),
        (ke.ChiSquared(gamma=0.4), lambda a, b: pairwise.chi2_kernel(a, b, gamma=0.4)),
    ]
    if d == 1:
        pairs.append((ke.Periodic(period=0.7, lengthscale=1.3), gp.ExpSineSquared(1.3, 0.7)))
    for kernel, reference in pairs:
        A, B = (np.abs(X), np.abs(Y)) if isinstance(kernel, ke.ChiSquared) else (X, Y)
        expected = reference(A, B)
        error = np.abs(kernel(A, B) - expected).max() / max(1.0, np.abs(expected).max())
        assert error < 1e-12, (kernel, error)
        expected = reference(A, A)
        assert np.abs(kernel(A) - expected).max() / max(1.0, np.abs(expected).max()) < 1e-12, kernel


def test_agrees_with_gpytorch() -> None:
    torch = pytest.importorskip("torch")
    gk = pytest.importorskip("gpytorch").kernels
    X, Y = data(120, 5), data(90, 5, seed=1)
    ard = np.linspace(0.7, 2.0, 5)

    def peer(kernel: Any, **values: Any) -> np.ndarray:
        kernel = kernel.double()
        for name, value in values.items():
            setattr(kernel, name, torch.as_tensor(value, dtype=torch.float64))
        with torch.no_grad():
            return kernel(torch.from_numpy(X), torch.from_numpy(Y)).to_dense().numpy()

    pairs = [
        (ke.RBF(lengthscale=ard), peer(gk.RBFKernel(ard_num_dims=5), lengthscale=ard)),
        *[
            (ke.Matern(order=nu, lengthscale=ard), peer(gk.MaternKernel(nu=nu, ard_num_dims=5), lengthscale=ard))
            for nu in (0.5, 1.5, 2.5)
        ],
        (ke.RationalQuadratic(shape=0.7, lengthscale=1.5), peer(gk.RQKernel(), lengthscale=1.5, alpha=0.7)),
        (ke.Periodic(period=1.7, lengthscale=1.2), peer(gk.PeriodicKernel(), lengthscale=1.2**2, period_length=1.7)),
        (2.5 * ke.Linear(), peer(gk.LinearKernel(), variance=2.5)),
        (ke.Polynomial(degree=3, gamma=1.0, coef0=0.4), peer(gk.PolynomialKernel(power=3), offset=0.4)),
    ]
    for kernel, expected in pairs:
        error = np.abs(kernel(X, Y) - expected).max() / max(1.0, np.abs(expected).max())
        assert error < 1e-12, (kernel, error)


@pytest.mark.parametrize("d", [1, 2])
def test_spectral_mixture_agrees_with_gpytorch(d: int) -> None:
    """GPyTorch multiplies mixtures over features: expanded, a mixture of Q^d products."""
    torch = pytest.importorskip("torch")
    gk = pytest.importorskip("gpytorch").kernels
    X, Y = data(60, d), data(50, d, seed=1)
    w = np.array([0.3, 0.9])
    m, s = np.linspace(0.05, 0.3, 2 * d).reshape(2, d), np.linspace(0.02, 0.1, 2 * d).reshape(2, d)
    peer = gk.SpectralMixtureKernel(num_mixtures=2, ard_num_dims=d).double()
    for name, value in (("mixture_weights", w), ("mixture_means", m[:, None, :]), ("mixture_scales", s[:, None, :])):
        setattr(peer, name, torch.as_tensor(value))
    with torch.no_grad():
        expected = peer(torch.from_numpy(X), torch.from_numpy(Y)).to_dense().numpy()
    choices = np.stack(np.meshgrid(*[[0, 1]] * d), -1).reshape(-1, d)
    kernel = ke.SpectralMixture(
        weights=w[choices].prod(1), means=m[choices, np.arange(d)], scales=s[choices, np.arange(d)]
    )
    np.testing.assert_allclose(kernel(X, Y), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", [0.1, 0.5, 1.0, 2.0, 7.5, 40.0, 120.0, 300.0])
def test_matern_of_any_order(order: float) -> None:
    mpmath = pytest.importorskip("mpmath")
    radii = np.concatenate([[0.0], np.geomspace(1e-12, 40.0, 40)])
    values = ke.Matern(order=order)(np.zeros((1, 1)), radii[:, None])[0]
    with mpmath.workdps(60):
        nu = mpmath.mpf(order)
        for r, value in zip(radii[1:], values[1:], strict=True):
            a = mpmath.sqrt(2 * nu) * mpmath.mpf(r)
            expected = 2 ** (1 - nu) / mpmath.gamma(nu) * a**nu * mpmath.besselk(nu, a)
            assert abs(value - float(expected)) < 2e-12, (r, value, float(expected))
    assert values[0] == 1


def test_infinite_order_is_the_rbf_kernel() -> None:
    X = data(50, 3)
    assert np.array_equal(ke.Matern(order=math.inf, lengthscale=0.8)(X), ke.RBF(lengthscale=0.8)(X))


def test_cosine_and_arc_cosine_of_zero_rows() -> None:
    X = np.array([[0.0, 0.0], [3.0, 4.0]])
    assert np.array_equal(ke.Cosine()(X), [[0, 0], [0, 1]])
    assert np.array_equal(ke.ArcCosine(order=0)(X), [[0.5, 0.5], [0.5, 1.0]])
    np.testing.assert_allclose(ke.ArcCosine(order=1)(X), [[0, 0], [0, 25]], atol=1e-14)
    huge = np.array([[1e200, 1e200], [1e-200, 0.0]])
    np.testing.assert_allclose(ke.Cosine()(huge), [[1, 0.5**0.5], [0.5**0.5, 1]])


def test_arc_cosine_is_the_expectation_over_random_units() -> None:
    X = data(6, 3)
    w = np.random.default_rng(1).standard_normal((400_000, 3))
    for order in (0, 1, 2):
        units = np.heaviside(w @ X.T, 0.5) * np.maximum(w @ X.T, 0) ** order
        samples = 2 * units[:, :, None] * units[:, None, :]
        error = np.abs(samples.mean(0) - ke.ArcCosine(order=order)(X))
        assert (error <= 5 * samples.std(0) / np.sqrt(len(w)) + 1e-12).all()


def test_chi_squared_ignores_empty_bins() -> None:
    X = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 2.0], [0.0, 0.0, 0.0]])
    padded = np.hstack([X, np.zeros((3, 4))])
    assert np.array_equal(ke.ChiSquared()(X), ke.ChiSquared()(padded))
    assert ke.ChiSquared()(X)[2, 2] == 1


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 6), st.floats(0.05, 20.0), st.integers(0, 100))
def test_stationary_kernels_do_not_see_a_shift(n: int, m: int, d: int, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    X, Y = rng.standard_normal((n, d)), rng.standard_normal((m, d))
    shift = rng.integers(-1000, 1000, d).astype(float)
    for kernel in (ke.RBF(lengthscale=scale), ke.Laplace(lengthscale=scale), ke.Matern(order=0.5, lengthscale=scale)):
        # the shifted data is itself rounded, to about 1e-13 in each coordinate
        np.testing.assert_allclose(kernel(X + shift, Y + shift), kernel(X, Y), atol=1e-12 * (1 + d / scale))


def test_float64_values_where_everything_underflows() -> None:
    X = np.array([[0.0], [1e3], [1e160], [-1e160]])
    decaying = [ke.RBF(), ke.Laplace(), ke.Matern(), ke.Matern(order=0.5)]
    with np.errstate(all="raise"):
        for kernel in (*decaying, ke.InverseMultiquadric(), ke.RationalQuadratic()):
            K = kernel(X)
            assert np.isfinite(K).all()
            assert (K.diagonal() == 1).all()
            assert K[2, 3] < 1e-100
    assert np.array_equal(ke.RBF()(X), np.eye(4))
