"""What kernels declare beyond their values: derivatives, features, spectral samples, cards."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from typing import Any

import numpy as np
import pytest
from euclidean_cases import NAMES, data, items, kernels

import kernreg_core as kr
import kernreg_euclidean as ke
from kernreg_core.errors import InputError
from kernreg_euclidean import cards

SMOOTH = [name for name in NAMES if "gradients" in kernels()[name].capabilities]


def difference_quotient(function: Any, x: np.ndarray, h: float = 1e-3) -> np.ndarray:
    """Derivative of an array-valued function by a fourth-order central difference, last axis the coordinate."""
    columns = []
    for a in range(len(x)):
        e = np.zeros(len(x))
        e[a] = h
        near, far = function(x + e) - function(x - e), function(x + 2 * e) - function(x - 2 * e)
        columns.append((8 * near - far) / (12 * h))
    return np.stack(columns, -1)


def test_which_kernels_have_gradients() -> None:
    families = ("rbf", "matern", "rational", "inverse", "linear", "polynomial")
    without = {"matern12", "matern_0.8"}
    assert set(SMOOTH) == {name for name in NAMES if name.startswith(families)} - without
    for name in ("matern12", "matern_0.8", "laplace"):
        assert not hasattr(kernels()[name], "grad_x")


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_follow_finite_differences(name: str) -> None:
    kernel = kernels()[name]
    X, Y = items(name, 4), items(name, 5, seed=1)
    gx, gy, gxy, trace = kernel.grad_x(X, Y), kernel.grad_y(X, Y), kernel.grad_xy(X, Y), kernel.grad_xy_trace(X, Y)
    assert gx.shape == gy.shape == (4, 5, 3)
    assert gxy.shape == (4, 5, 3, 3)
    for i in range(4):
        expected = difference_quotient(lambda x: kernel(x[None], Y)[0], X[i])
        np.testing.assert_allclose(gx[i], expected, rtol=1e-8, atol=1e-8)
    for j in range(5):
        np.testing.assert_allclose(
            gy[:, j], difference_quotient(lambda y: kernel(X, y[None])[:, 0], Y[j]), rtol=1e-8, atol=1e-8
        )
        expected = difference_quotient(lambda y: kernel.grad_x(X, y[None])[:, 0], Y[j])
        np.testing.assert_allclose(gxy[:, j], expected, rtol=1e-8, atol=1e-7)
    np.testing.assert_allclose(trace, np.trace(gxy, axis1=2, axis2=3), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients_where_points_coincide(name: str) -> None:
    kernel = kernels()[name]
    X = items(name, 6)
    X[4] = X[1]
    X[5] = X[2] + 1e-9
    for found in (kernel.grad_x(X), kernel.grad_y(X), kernel.grad_xy(X), kernel.grad_xy_trace(X)):
        assert np.isfinite(found).all()
    np.testing.assert_allclose(kernel.grad_xy_trace(X), np.trace(kernel.grad_xy(X), axis1=2, axis2=3), rtol=1e-9)
    if "stationary" in kernel.capabilities:
        assert not kernel.grad_x(X)[[0, 1, 4], [0, 4, 1]].any()
        # -2 phi'(0) / l^2 on the diagonal: positive definite
        assert (np.linalg.eigvalsh(kernel.grad_xy(X)[1, 4]) > 0).all()
    # derivatives of a positive definite kernel are one: the block matrix of all d^2 k / dx dy
    B = kernel.grad_xy(X[:5]).transpose(0, 2, 1, 3).reshape(15, 15)
    assert np.linalg.eigvalsh(0.5 * (B + B.T))[0] > -1e-10 * np.abs(B).max()


def test_trace_without_the_blocks_for_many_points() -> None:
    X = data(300, 8)
    ard = np.linspace(1, 3, 8)
    for kernel in (ke.RBF(lengthscale=2.0), ke.Matern(order=1.5, lengthscale=ard), ke.InverseMultiquadric()):
        np.testing.assert_allclose(
            kernel.grad_xy_trace(X), np.trace(kernel.grad_xy(X), axis1=2, axis2=3), rtol=1e-9, atol=1e-11
        )


@pytest.mark.parametrize("name", [name for name in NAMES if "features" in kernels()[name].capabilities])
def test_features_make_the_kernel(name: str) -> None:
    kernel = kernels(4)[name]
    X, Y = items(name, 20, 4), items(name, 15, 4, seed=1)
    F, G = kernel.features(X, basis=X), kernel.features(Y, basis=X)
    np.testing.assert_allclose(F @ G.T, kernel(X, Y), rtol=1e-12, atol=1e-12 * np.abs(kernel(X, Y)).max())
    assert F.dtype == X.dtype
    assert kernel.features(X.astype(np.float32)).dtype == np.float32


def test_features_that_are_too_many_or_do_not_exist() -> None:
    X = data(3, 400)
    with pytest.raises(InputError, match="65,536 columns, got 400 features, which make 10,827,401"):
        ke.Polynomial(degree=3).features(X)
    with pytest.raises(InputError, match="65,536"):
        ke.Anova(degree=3).features(X)
    assert not hasattr(ke.Polynomial(coef0=-1.0), "features")
    assert "psd" not in ke.Polynomial(coef0=-1.0).capabilities
    assert np.linalg.eigvalsh(ke.Polynomial(degree=1, coef0=-1.0)(data(20, 2)))[0] < -0.1


STATIONARY = [name for name in NAMES if "stationary" in kernels()[name].capabilities]


@pytest.mark.parametrize("name", STATIONARY)
def test_spectral_samples_reproduce_the_kernel(name: str) -> None:
    kernel = kernels()[name]
    n = 200_000
    w = kernel.spectral_sample(n, 3, np.random.default_rng(0))
    assert w.shape == (n, 3)
    X, Y = items(name, 6), items(name, 5, seed=1)
    tau = (X[:, None] - Y[None]).reshape(-1, 3)
    cosines = np.cos(w @ tau.T)
    expected = (kernel(X, Y) / kernel.diag(X)[0]).ravel()
    error = np.abs(cosines.mean(0) - expected)
    assert (error <= 5 * cosines.std(0) / np.sqrt(n)).all(), (error, 5 * cosines.std(0) / np.sqrt(n))
    assert np.abs(np.sin(w @ tau.T).mean(0)).max() < 5 / np.sqrt(n), "the spectral measure is symmetric"


def test_spectral_samples_follow_their_rng() -> None:
    for name in STATIONARY:
        kernel = kernels()[name]
        assert np.array_equal(kernel.spectral_sample(5, 3, 7), kernel.spectral_sample(5, 3, 7))
        assert not np.array_equal(kernel.spectral_sample(5, 3, 7), kernel.spectral_sample(5, 3, 8))
        rng = np.random.default_rng(7)
        assert not np.array_equal(kernel.spectral_sample(5, 3, rng), kernel.spectral_sample(5, 3, rng))
    huge = ke.Periodic(lengthscale=1e-6).spectral_sample(2000, 1, 0) / (2 * np.pi)
    assert abs(huge.std() / 1e6 - 1) < 0.1


def test_periodic_kernel_repeats() -> None:
    X = data(30, 2)
    kernel = ke.Periodic(period=[0.7, 3.0], lengthscale=0.8)
    np.testing.assert_allclose(kernel(X + np.array([0.7 * 5, -3.0 * 2])), kernel(X), atol=1e-12)
    far = np.array([[0.25], [2.0**40 + 0.25]])
    assert ke.Periodic()(far)[0, 1] == 1


def test_cards_say_what_the_classes_are() -> None:
    found = {card.name: card for card in cards.kernreg_cards() if card.kind == "kernel"}
    assert len(found) >= 17
    for name, card in found.items():
        module, _, function = card.example.partition(":")
        assert module.startswith("kernreg_euclidean.examples")
        assert function == name.partition(".")[2]
        kernel, X = getattr(import_module(module), function)()
        default = type(kernel)()
        assert card.capabilities == default.capabilities, name
        assert set(card.parameters) == set(default.get_params()), name
        assert card.domain == default.domain == "vectors"
        assert card.references
        assert all(reference.title for reference in card.references)
        K = kernel(X)
        assert K.shape == (len(X), len(X))


def test_every_capability_has_its_members() -> None:
    members = {
        "diag": ["diag"],
        "features": ["features"],
        "matvec": ["matvec"],
        "gradients": ["grad_x", "grad_y", "grad_xy", "grad_xy_trace"],
        "stationary": ["spectral_sample"],
    }
    for name, kernel in kernels().items():
        for capability, methods in members.items():
            for method in methods:
                assert hasattr(kernel, method) == (capability in kernel.capabilities), (name, method)


def test_importing_the_package_is_light() -> None:
    code = """
import sys
import kernreg_euclidean, kernreg_euclidean.cards
kernreg_euclidean.cards.kernreg_cards()
print([name for name in ("numpy", "scipy", "torch", "sklearn") if name in sys.modules])
import kernreg_euclidean.rbf
kernreg_euclidean.RBF()([[1.0], [2.0], [3.0]])
print([name for name in ("scipy", "torch", "sklearn") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "[]"]


def test_names_of_the_package() -> None:
    assert set(dir(ke)) == set(ke.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Gaussian'"):
        ke.Gaussian  # noqa: B018 - the attribute access is the test


def test_composites() -> None:
    X = data(20, 3)
    kernel = 2.0 * ke.RBF() + ke.Linear() * ke.Matern(order=1.5)
    np.testing.assert_allclose(kernel(X), 2 * ke.RBF()(X) + ke.Linear()(X) * ke.Matern(order=1.5)(X), rtol=1e-14)
    np.testing.assert_allclose(kr.normalize(ke.Polynomial())(X).diagonal(), 1.0, rtol=1e-15)
    assert np.array_equal(kr.gram(ke.RBF(), X, progress=False), ke.RBF()(X))
