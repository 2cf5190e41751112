"""Positive random features of the Gaussian kernel, and their mean squared error in closed form."""

from __future__ import annotations

import math
import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from euclidean_cases import data

import kernreg_core as kr
import kernreg_euclidean as ke
from kernreg_core.errors import InputError, ParameterError
from kernreg_euclidean import positive_features
from kernreg_euclidean._frequencies import COUPLINGS
from kernreg_euclidean.positive_mse import conformity, positive_mse

X, Y = 0.25 * data(6, 4), 0.25 * data(5, 4, seed=1)


@pytest.mark.parametrize("coupling", [None, *COUPLINGS])
def test_unbiased(coupling: Any) -> None:
    """Within 5 standard errors of the exact kernel, over 150 draws of 20 features; d = 4 and 20 columns."""
    for A, B in ((X, Y), (0.1 * data(3, 20), 0.1 * data(2, 20, seed=1))):
        drawn = []
        for seed in range(150):
            k = ke.PositiveFeatures(lengthscale=1.2, n_features=20, coupling=coupling, rng=seed)
            drawn.append(k.features(A) @ k.features(B).T)
        errors = np.abs(np.mean(drawn, 0) - ke.RBF(lengthscale=1.2)(A, B))
        assert (errors <= 5 * np.std(drawn, 0) / math.sqrt(len(drawn))).all()


def test_unbiased_within_four_standard_errors_up_to_length_one() -> None:
    """The check of the catalogue's row: |x + y| <= 1, where the tails are light enough to say."""
    x = np.full((1, 6), 0.5 / 6**0.5)
    for coupling in ("iid", "orthogonal", "simplex", "simplex_plus"):
        F = ke.PositiveFeatures(n_features=6 * 5000, coupling=coupling, rng=0).features(x)
        blocks = (F * F).reshape(5000, 6).sum(1) * 5000
        assert abs(blocks.mean() - 1) <= 4 * blocks.std() / math.sqrt(5000)


def test_formula() -> None:
    """D^-1/2 exp(w . x / l - |x / l|^2) for the rows w that the coupling draws from the object's stream."""
    scale = np.array([0.5, 1.0, 2.0, 1.5])
    for coupling, n in (("iid", 7), ("simplex", 9)):
        W = COUPLINGS[coupling](n, 4, np.random.default_rng([3, 4])).rows
        Z = X / scale
        expected = np.exp(Z @ W.T - (Z**2).sum(1)[:, None]) / math.sqrt(n)
        kernel = ke.PositiveFeatures(lengthscale=scale, n_features=n, coupling=coupling, rng=3)
        np.testing.assert_allclose(kernel.features(X), expected, rtol=1e-13)
        single = kernel.features(X.astype(np.float32))
        assert single.dtype == np.float32
        np.testing.assert_allclose(single, expected, rtol=1e-5)


def test_measured_errors_are_the_closed_form_and_fall_in_order() -> None:
    """Blocks of 6 in 6 dimensions at |x + y| = 0.7, and a part of a block: 40,000 features show the variance to 3 %."""
    d, x = 6, np.full((1, 6), 0.35 / 6**0.5)
    found = {}
    for m in (6, 4):
        for coupling in ("iid", "orthogonal", "simplex"):
            rows = COUPLINGS[coupling](d * 7000, d, np.random.default_rng(0)).rows.reshape(7000, d, d)[:, :m]
            values = np.exp(2.0 * (rows @ x[0]) - 2.0 * (x @ x.T)).mean(1)
            found[coupling, m] = float(np.mean((values - 1.0) ** 2))
            exact = positive_mse(x, n_features=m, coupling=coupling)[0, 0]
            assert abs(found[coupling, m] / exact - 1) < 0.12, (coupling, m)
    assert found["simplex", 6] < 0.5 * found["orthogonal", 6] < 0.5 * found["iid", 6]
    plus = COUPLINGS["simplex_plus"](d * 7000, d, np.random.default_rng(0)).rows.reshape(7000, d, d)
    assert np.mean((np.exp(2.0 * (plus @ x[0]) - 2.0 * (x @ x.T)).mean(1) - 1.0) ** 2) < found["simplex", 6]


def test_ratios_of_the_catalogue() -> None:
    """Row 81, by quadrature in d = 6: simplex over orthogonal errors at |x + y| = 0.5, 1, 1.5, 2."""
    for v, ratio in ((0.5, 0.178), (1.0, 0.500), (1.5, 0.843), (2.0, 0.976)):
        x = np.zeros((1, 6))
        x[0, 2] = v / 2
        errors = {c: positive_mse(x, n_features=6, coupling=c)[0, 0] for c in ("iid", "orthogonal", "simplex")}
        assert abs(errors["simplex"] / errors["orthogonal"] - ratio) < 6e-4
        assert errors["orthogonal"] < errors["iid"]


@pytest.mark.parametrize("d", [2, 3, 6, 30])
@pytest.mark.parametrize("v", [0.3, 1.0, 3.0])
def test_conformity_by_its_series(d: int, v: float) -> None:
    """Reid et al.'s series with E |w1 + w2|^2k by quadrature over both norms, in place of the closed form."""
    chi = pytest.importorskip("scipy.stats").chi
    nodes, weights = np.polynomial.legendre.leggauss(300)
    r = (nodes + 1) / 2 * (math.sqrt(d) + 9)
    p = chi.pdf(r, d) * weights / 2 * (math.sqrt(d) + 9)
    for coupling, c in (("orthogonal", 0.0), ("simplex", -1.0 / (d - 1))):
        R2 = r[:, None] ** 2 + r**2 + 2 * c * r[:, None] * r
        total, k, term = 0.0, 0, 1.0
        while term > 1e-16 * total or k < 3:
            moment = float(p @ (R2**k) @ p)
            term = moment * math.exp(
                math.lgamma(d / 2) + 2 * k * math.log(v / 2) - math.lgamma(k + 1) - math.lgamma(k + d / 2)
            )
            total, k = total + term, k + 1
        assert abs(conformity(v, d, coupling) / total - 1) < 1e-11
    assert conformity(v, d, "iid") == pytest.approx(math.exp(v * v), rel=1e-14)


def test_closed_form_of_many_pairs() -> None:
    found = positive_mse(X, Y, n_features=10, coupling="orthogonal", lengthscale=2.0)
    one = positive_mse(X[1:2] / 2, Y[2:3] / 2, n_features=10, coupling="orthogonal")
    np.testing.assert_allclose(found[1, 2], one[0, 0], rtol=1e-13)
    np.testing.assert_allclose(positive_mse(X, n_features=3), positive_mse(X, X, n_features=3))
    # twice the blocks, half the error; one feature is no pair; one column is no block
    np.testing.assert_allclose(positive_mse(X, n_features=8), 2 * positive_mse(X, n_features=16))
    for coupling in ("orthogonal", "simplex"):
        np.testing.assert_allclose(
            positive_mse(X, n_features=1, coupling=coupling), positive_mse(X, n_features=1, coupling="iid")
        )
        np.testing.assert_allclose(
            positive_mse(X[:, :1], n_features=5, coupling=coupling),
            positive_mse(X[:, :1], n_features=5, coupling="iid"),
        )
    # far out it overflows to infinity, without a warning, and never to NaN
    far = positive_mse(100 * X, n_features=8)
    assert not np.isnan(far).any()
    assert np.isinf(far).any()
    np.testing.assert_allclose(conformity(np.array([0.5, 1.0]), 3, "simplex")[1], conformity(1.0, 3, "simplex"))
    for bad in ({"coupling": "structured"}, {"n_features": 0}, {"lengthscale": -1.0}):
        with pytest.raises(ParameterError, match=next(iter(bad))):
            positive_mse(X, **{"n_features": 4, **bad})
    with pytest.raises(InputError, match="unequal|equal feature counts"):
        positive_mse(X, Y[:, :2], n_features=4)


def test_the_kernel_is_the_exact_rbf_kernel() -> None:
    kernel, exact = ke.PositiveFeatures(lengthscale=0.8, rng=0), ke.RBF(lengthscale=0.8)
    np.testing.assert_array_equal(kernel(X, Y), exact(X, Y))
    np.testing.assert_array_equal(kernel.grad_xy(X, Y), exact.grad_xy(X, Y))
    assert kernel.capabilities == exact.capabilities | {"random_features"}
    assert kernel.features(X).shape == (6, 1024)
    assert (kernel.features(X) > 0).all()


def test_draws() -> None:
    kernel = ke.PositiveFeatures(n_features=9, rng=2)
    F = kernel.features(X)
    kernel.features(X[:, :2])
    np.testing.assert_array_equal(kernel.features(X), F)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(kernel)).features(X), F)
    np.testing.assert_array_equal(ke.PositiveFeatures(n_features=9, coupling="simplex", rng=2).features(X), F)
    np.testing.assert_allclose(kernel.set_params(lengthscale=3.0).features(3.0 * X), F, rtol=1e-12)
    for params in ({"n_features": 10}, {"coupling": "orthogonal"}, {"rng": 3}):
        assert not np.array_equal(kr.clone(kernel).set_params(**params).features(3.0 * X)[:, :9], F)


def test_points_of_a_sampler() -> None:
    qmc = pytest.importorskip("scipy.stats.qmc")
    K = ke.RBF()(X, Y)
    errors = []
    for sampler, coupling in ((qmc.Halton, None), (None, "iid")):
        drawn = []
        for seed in range(60):
            k = ke.PositiveFeatures(n_features=200, coupling=coupling, sampler=sampler, rng=seed)
            drawn.append(k.features(X) @ k.features(Y).T)
        assert (np.abs(np.mean(drawn, 0) - K) <= 5 * np.std(drawn, 0) / math.sqrt(60)).all()
        errors.append(float(np.mean((np.array(drawn) - K) ** 2)))
    assert errors[0] < 0.3 * errors[1]
    with pytest.raises(ParameterError, match="sampler: expected None beside coupling='simplex'"):
        ke.PositiveFeatures(coupling="simplex", sampler=qmc.Halton).features(X)


def test_what_overflows_and_what_vanishes() -> None:
    # a feature is largest where x = l w / 2: exp(|w|^2 / 4), here beyond float32 and within float64
    d = 400
    W = COUPLINGS["iid"](3, d, np.random.default_rng([0, d])).rows
    x = 0.5 * W[:1]
    kernel = ke.PositiveFeatures(n_features=3, coupling="iid", rng=0)
    assert kernel.features(x).max() > 1e38
    with pytest.raises(InputError, match="finite in float32.*longer length scale"):
        kernel.features(x.astype(np.float32))
    # near enough, features tell items apart; far out all of them vanish, of which a warning tells
    far = np.vstack([np.full((1, 4), 30.0), X])
    with pytest.warns(kr.KernregWarning, match=r"1 item\(s\) lie so far from the origin"):
        F = ke.PositiveFeatures(n_features=16, rng=0).features(far)
    assert not F[0].any()
    assert F[1:].all()
    for distance in (1e100, 1e200):  # whose squares are not finite is as far
        with pytest.warns(kr.KernregWarning, match="so far from the origin") as told:
            assert not ke.PositiveFeatures(n_features=16, rng=0).features(distance * far[:1]).any()
        assert len(told) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ke.PositiveFeatures(n_features=16, rng=0).features(5.0 * X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_and_threads(dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    Z = 0.3 * data(3000, 8, dtype=dtype)
    kernel = ke.PositiveFeatures(n_features=50, rng=0)
    monkeypatch.setenv("KERNREG_NUM_THREADS", "1")
    F = kernel.features(Z)
    monkeypatch.setenv("KERNREG_NUM_THREADS", "2")
    monkeypatch.setattr(positive_features, "_BLOCK", (100, 1000))
    np.testing.assert_allclose(kernel.features(Z), F, rtol=50 * np.finfo(dtype).eps)


def test_sparse_rows() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    Z = 0.5 * data(20, 30) * (np.random.default_rng(0).random((20, 30)) < 0.2)
    for coupling in ("simplex", "structured"):
        kernel = ke.PositiveFeatures(lengthscale=list(np.linspace(1, 2, 30)), n_features=20, coupling=coupling, rng=0)
        np.testing.assert_allclose(kernel.features(sparse.csr_array(Z)), kernel.features(Z), rtol=1e-12)


def test_tensors() -> None:
    torch = pytest.importorskip("torch")
    Z = 0.3 * data(4, 20)
    T = torch.tensor(Z, requires_grad=True)
    scale = torch.linspace(1.0, 2.0, 20, dtype=torch.float64, requires_grad=True)
    for coupling in ("simplex", "structured"):
        plain = ke.PositiveFeatures(lengthscale=scale.detach().numpy(), n_features=5, coupling=coupling, rng=0)
        expected = plain.features(Z)
        assert np.array_equal(plain.features(T.detach()).numpy(), expected)

        def features(x: Any, l: Any, coupling: str = coupling) -> Any:  # noqa: E741
            return ke.PositiveFeatures(lengthscale=l, n_features=5, coupling=coupling, rng=0).features(x)

        np.testing.assert_allclose(features(T, scale).detach().numpy(), expected, rtol=1e-12)
        assert torch.autograd.gradcheck(features, (T, scale))
        assert plain.features(T.detach().half()).dtype == torch.float16
    x = torch.tensor(0.5 * COUPLINGS["iid"](3, 400, np.random.default_rng([0, 400])).rows[:1], requires_grad=True)
    with pytest.raises(InputError, match="finite in torch.float32"):
        ke.PositiveFeatures(n_features=3, coupling="iid", rng=0).features(x.float())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_features": 0}, "n_features: expected an integer of at least 1"),
        (
            {"coupling": "haar"},
            "coupling: expected one of 'iid', 'orthogonal', 'structured', 'simplex', 'simplex_plus'",
        ),
        ({"lengthscale": 0.0}, "lengthscale: expected a positive number"),
        ({"lengthscale": [1.0, 2.0]}, "2 numbers for 4 features"),
        ({"sampler": 3}, "sampler: expected a sampler's name"),
        ({"rng": -1}, "rng: expected a non-negative integer"),
    ],
)
def test_bad_parameters(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        ke.PositiveFeatures(**params).features(X)
