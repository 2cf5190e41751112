"""torch: the values of NumPy, gradients to X, Y and parameters, finite at distance 0."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from euclidean_cases import NAMES, data, items, kernels

import kernreg_euclidean as ke
from kernreg_core.errors import InputError

torch = pytest.importorskip("torch")

#: Kernels with a kink where x = y (or, for order 0, where x and y are parallel): no second derivatives there.
KINKED = {"laplace", "laplace_ard", "matern12", "matern_0.8", "arc_cosine_0"}


def tensor(name: str, n: int, d: int = 3, seed: int = 0, grad: bool = False) -> Any:
    return torch.from_numpy(items(name, n, d, seed)).requires_grad_(grad)


@pytest.mark.parametrize("name", NAMES)
def test_same_values_as_numpy(name: str) -> None:
    kernel = kernels()[name]
    x, y = items(name, 40), items(name, 30, seed=1)
    x[7] = x[2]
    y[3] = x[2]
    X, Y = torch.from_numpy(x), torch.from_numpy(y)
    scale = max(1.0, float(np.abs(kernel(x)).max()))
    assert np.array_equal(kernel(X, Y).numpy(), kernel(x, y)), "without gradients the same code runs"
    for grad in (False, True):
        A, B = X.clone().requires_grad_(grad), Y.clone().requires_grad_(grad)
        K = kernel(A)
        assert K.requires_grad == grad
        assert torch.equal(K, K.T)
        np.testing.assert_allclose(K.detach().numpy(), kernel(x), rtol=0, atol=1e-13 * scale)
        np.testing.assert_allclose(kernel(A, B).detach().numpy(), kernel(x, y), rtol=0, atol=1e-13 * scale)
        np.testing.assert_allclose(kernel.diag(A).detach().numpy(), kernel.diag(x), rtol=0, atol=1e-13 * scale)
        if "features" in kernel.capabilities:
            found = kernel.features(A).detach().numpy()
            np.testing.assert_allclose(found, kernel.features(x), rtol=0, atol=1e-13 * scale)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_dtype_is_kept(name: str, dtype: Any) -> None:
    kernel = kernels()[name]
    for grad in (False, True):
        X = tensor(name, 10).to(dtype).requires_grad_(grad)
        K = kernel(X)
        assert K.dtype == dtype
        reference = kernel(X.detach().double())
        coarse = {torch.float16: 2e-3, torch.bfloat16: 2e-2, torch.float32: 2e-6, torch.float64: 1e-12}[dtype]
        scale = float(reference.abs().max())
        np.testing.assert_allclose(K.detach().double(), reference, rtol=coarse, atol=coarse * scale)
        assert kernel.diag(X).dtype == dtype


@pytest.mark.parametrize("name", NAMES)
def test_gradcheck(name: str) -> None:
    kernel = kernels()[name]
    X, Y = tensor(name, 5, grad=True), tensor(name, 4, seed=1, grad=True)
    assert torch.autograd.gradcheck(kernel, (X, Y))
    assert torch.autograd.gradgradcheck(kernel, (X, Y))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [9, 400])
def test_gradients_are_finite_at_distance_zero(name: str, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = kernels()[name]
    n = 60 if name.startswith(("anova", "matern_")) else n
    if n == 400:
        monkeypatch.setattr("kernreg_euclidean._torch.DIRECT", 1000)  # the product formula, in torch too
    X = tensor(name, n)
    X[3] = X[1]
    X = X.clone().requires_grad_()
    weights = torch.from_numpy(data(n, n, seed=3))
    (first,) = torch.autograd.grad((weights * kernel(X)).sum(), X, create_graph=True)
    assert torch.isfinite(first).all()
    if first.requires_grad:
        (second,) = torch.autograd.grad(first.sum(), X)
        assert torch.isfinite(second).all()
    if "normalized" in kernel.capabilities and "stationary" in kernel.capabilities:
        one = X[:1].detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(kernel(one, one.detach()).sum(), one)
        assert not gradient.any(), "a maximum, or the middle of a kink"


@pytest.mark.parametrize("name", [name for name in NAMES if "gradients" in kernels()[name].capabilities])
def test_second_derivatives_at_distance_zero(name: str) -> None:
    """Autograd's d^2 k / dx dy where x = y is the closed form, which is compared with differences elsewhere."""
    kernel = kernels()[name]
    x = tensor(name, 1, grad=True)
    y = x.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(kernel(x, y).sum(), x, create_graph=True)
    rows = [torch.autograd.grad(g, y, retain_graph=True)[0][0] for g in gradient[0]]
    np.testing.assert_allclose(torch.stack(rows).numpy(), kernel.grad_xy(x, y)[0, 0].detach().numpy(), atol=1e-12)


PARAMETERS = [
    (ke.RBF, {"lengthscale": [1.3]}),
    (ke.RBF, {"lengthscale": [0.7, 1.0, 2.0]}),
    (ke.Laplace, {"lengthscale": [0.7, 1.0, 2.0]}),
    (ke.Matern, {"lengthscale": [0.7, 1.0, 2.0]}),
    (ke.RationalQuadratic, {"shape": [0.7], "lengthscale": [1.2]}),
    (ke.InverseMultiquadric, {"exponent": [0.7], "lengthscale": [1.2]}),
    (ke.Periodic, {"period": [2.3], "lengthscale": [0.7, 1.0, 2.0]}),
    (ke.Polynomial, {"gamma": [0.4], "coef0": [0.5]}),
    (ke.Tanh, {"gamma": [0.4], "coef0": [0.5]}),
    (ke.ArcCosine, {"weight_variance": [0.8], "bias_variance": [0.3]}),
    (ke.SpectralMixture, {"weights": [[0.4, 0.6]], "means": [[0.1, 0.3]], "scales": [[0.1, 0.2]]}),
    (ke.ChiSquared, {"gamma": [0.7]}),
]


@pytest.mark.parametrize(("kind", "values"), PARAMETERS, ids=lambda value: getattr(value, "__name__", ""))
def test_gradients_to_parameters(kind: Any, values: dict[str, Any]) -> None:
    tensors = []
    for value in values.values():
        plain = value[0] if len(value) == 1 else value
        tensors.append(torch.tensor(plain, dtype=torch.float64, requires_grad=True))
    X = torch.from_numpy(np.abs(data(5, 3)))
    Y = torch.from_numpy(np.abs(data(4, 3, seed=1)))

    def evaluate(*given: Any) -> Any:
        kernel = kind(**dict(zip(values, given, strict=True)))
        return kernel(X, Y)

    assert torch.autograd.gradcheck(evaluate, tuple(tensors))
    kernel = kind(**dict(zip(values, tensors, strict=True)))
    K = kernel(X)
    assert K.requires_grad
    with torch.no_grad():
        assert torch.allclose(kernel(X), K, atol=1e-13)
    # a NumPy call takes the tensor's value
    np.testing.assert_allclose(kernel(X.numpy()), K.detach().numpy(), atol=1e-13)
    # and so do other dtypes
    assert kernel(X.float()).dtype == torch.float32


@pytest.mark.parametrize(
    "name", ["rbf", "rbf_ard", "matern12", "matern32", "matern52", "rational_quadratic", "periodic"]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_functional_distances_at_offsets_and_near_pairs(name: str, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The torch code with gradients is as accurate as the NumPy code."""
    monkeypatch.setattr("kernreg_euclidean._torch.DIRECT", 5000)
    kernel = kernels(6)[name]
    tolerance = 1e-6 if dtype == torch.float32 else 1e-12
    for offset, far in ((0.0, 0.0), (1e3, 0.0), (0.0, 1e4)):
        x = data(80, 6) + offset
        x[40:] += far
        x[5] = x[4] + 1e-6
        x[50] = x[4]
        X = torch.from_numpy(x).to(dtype)
        exact = kernel(X.double().numpy())
        K = kernel(X.clone().requires_grad_())
        assert K.max() <= 1
        np.testing.assert_allclose(K.detach().double().numpy(), exact, rtol=0, atol=tolerance)


def test_gradients_agree_between_the_two_distance_formulas(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = torch.from_numpy(data(50, 50, seed=2))
    for kernel in (ke.RBF(), ke.Matern(order=0.5), ke.Matern(), ke.RationalQuadratic()):
        gradients = []
        for limit in (1 << 22, 10):
            monkeypatch.setattr("kernreg_euclidean._torch.DIRECT", limit)
            X = tensor("rbf", 50, 7, grad=True)
            (gradient,) = torch.autograd.grad((weights * kernel(X)).sum(), X)
            gradients.append(gradient)
        assert torch.allclose(*gradients, atol=1e-11)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # torch's own, on its first forward mode
def test_what_autograd_must_see_is_not_taken_to_numpy() -> None:
    kernel = ke.RBF()
    x = tensor("rbf", 4)

    def total(z: Any) -> Any:
        return kernel(z, x).sum()

    expected = kernel.grad_x(x, x).sum(1)
    assert torch.allclose(torch.func.grad(total)(x), expected)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x.clone(), torch.ones_like(x))
        tangent = torch.autograd.forward_ad.unpack_dual(total(dual)).tangent
    assert tangent is not None
    assert torch.allclose(tangent, expected.sum())


def test_matern_on_a_training_loop() -> None:
    """A length scale learnt by gradient descent on the marginal likelihood moves towards the one that made the data."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 10, (120, 1))
    y = np.linalg.cholesky(ke.Matern(order=1.5, lengthscale=1.5)(x) + 1e-4 * np.eye(120)) @ rng.standard_normal(120)
    X, target = torch.from_numpy(x), torch.from_numpy(y)
    log_scale = torch.tensor(math.log(0.4), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([log_scale], lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        K = ke.Matern(order=1.5, lengthscale=log_scale.exp())(X) + 1e-4 * torch.eye(120)
        L = torch.linalg.cholesky(K)
        a = torch.cholesky_solve(target[:, None], L)
        loss = 0.5 * target @ a[:, 0] + L.diagonal().log().sum()
        loss.backward()
        optimizer.step()
    assert 1.0 < math.exp(log_scale.item()) < 2.3


def test_mixed_libraries_are_refused() -> None:
    with pytest.raises(InputError, match="one library"):
        ke.RBF()(torch.ones(2, 2), np.ones((2, 2)))
