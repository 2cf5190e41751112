"""Random Fourier features: their law, couplings, samplers, accuracy, and all that the wrapped kernel keeps."""

from __future__ import annotations

import functools
import math
import pickle
from typing import Any

import numpy as np
import pytest
from euclidean_cases import data, kernels

import kernreg_core as kr
import kernreg_euclidean as ke
from kernreg_core.errors import InputError, ParameterError
from kernreg_euclidean import _waves
from kernreg_euclidean._frequencies import COUPLINGS, DenseRows, StructuredRows, _cancelled, _haar

X, Y = 0.7 * data(6, 3), 0.7 * data(5, 3, seed=1)
STATIONARY = [name for name, kernel in kernels().items() if "stationary" in kernel.capabilities]
MIXTURES = [name for name in STATIONARY if hasattr(kernels()[name], "spectral_scale")]
COMPOSITE = 2.0 * ke.RBF() * ke.Laplace(lengthscale=3.0) + ke.Matern() ** 2


def estimates(make: Any, seeds: int) -> np.ndarray:
    """features(X) features(Y)^H for kernels ``make(seed)``, shape (seeds, n, m)."""
    found = []
    for seed in range(seeds):
        kernel = make(seed)
        found.append(kernel.features(X) @ kernel.features(Y).conj().T)
    return np.stack(found)


def assert_unbiased(make: Any, seeds: int = 100, sigmas: float = 5.0) -> None:
    drawn = estimates(make, seeds)
    error = np.abs(drawn.mean(0) - make(0)(X, Y))
    allowed = sigmas * np.sqrt((np.abs(drawn - drawn.mean(0)) ** 2).mean(0) / seeds) + 1e-12
    assert (error <= np.maximum(allowed, 0.2 * allowed.max())).all(), (error / allowed).max()


# the law of the estimate


@pytest.mark.parametrize(("name", "width"), [*((name, 33) for name in STATIONARY), ("rbf", 32), ("matern52", 1)])
def test_unbiased_for_every_stationary_kernel(name: str, width: int) -> None:
    assert_unbiased(lambda seed: ke.RandomFourier(kernel=kernels()[name], n_features=width, rng=seed))


@pytest.mark.parametrize("kernel", [COMPOSITE, kr.normalize(3.0 * ke.RBF()), 2.0 * ke.SpectralMixture()], ids=repr)
def test_unbiased_for_composites(kernel: Any) -> None:
    assert_unbiased(lambda seed: ke.RandomFourier(kernel=kernel, n_features=32, rng=seed))


def test_error_falls_as_the_inverse_root() -> None:
    K = ke.RBF()(X, Y)
    errors = [
        np.sqrt(((estimates(lambda s, D=D: ke.RandomFourier(n_features=D, rng=s), 60) - K) ** 2).mean())
        for D in (16, 256, 4096)
    ]
    assert 3.3 < errors[0] / errors[1] < 4.8
    assert 3.3 < errors[1] / errors[2] < 4.8


def test_features_are_cosines_and_sines_of_the_drawn_frequencies() -> None:
    """The formula of the docstring, with frequencies that spectral_sample draws from the same stream."""
    scale = np.array([0.5, 1.0, 2.0])
    for width in (6, 7):
        rng = np.random.default_rng([11, 3])
        W = ke.RBF().spectral_sample(-(-width // 2), 3, rng) / scale
        phase = X @ W.T
        pairs = width // 2
        columns = [np.cos(phase[:, :pairs]), np.sin(phase[:, :pairs])]
        if width % 2:
            columns.append(np.cos(phase[:, -1:] + rng.uniform(0, 2 * np.pi)))
        expected = np.hstack(columns) * math.sqrt(2 * 5.0 / width)
        kernel = ke.RandomFourier(kernel=5.0 * ke.RBF(lengthscale=scale), n_features=width, rng=11)
        np.testing.assert_allclose(kernel.features(X), expected, rtol=0, atol=1e-14)
        np.testing.assert_allclose(kernel.features(X.astype(np.float32)), expected, rtol=0, atol=2e-6)


class Foreign:
    """Somebody else's stationary kernel, without a base class: prod_k cos(x_k - y_k), of frequencies 1 and -1."""

    capabilities = ("symmetric", "psd", "stationary", "normalized")

    def __call__(self, X: Any, Y: Any = None) -> Any:
        return np.cos(X[:, None] - (X if Y is None else Y)[None]).prod(-1)

    def spectral_sample(self, n: int, d: int, rng: Any = None) -> Any:
        return np.random.default_rng(rng).integers(0, 2, (n, d)) * 2 - 1


class Flat(Foreign):
    """One that draws frequencies of the wrong shape."""

    def spectral_sample(self, n: int, d: int, rng: Any = None) -> Any:
        return super().spectral_sample(n, d, rng)[:, 0]


class Turning(kr.BaseKernel):
    """exp(i sum(x - y)) exp(-|x - y|^2 / 2): stationary with complex values."""

    capabilities = frozenset({"symmetric", "psd", "stationary", "complex", "normalized"})

    def evaluate(self, X: Any, Y: Any) -> Any:
        D = X[:, None] - Y[None]
        return np.exp(1j * D.sum(-1) - 0.5 * (D**2).sum(-1)).astype(np.result_type(X, np.complex64))

    def spectral_sample(self, n: int, d: int, rng: Any = None) -> Any:
        return 1.0 + np.random.default_rng(rng).standard_normal((n, d))


def test_kernels_of_third_parties() -> None:
    assert_unbiased(lambda seed: ke.RandomFourier(kernel=Foreign(), n_features=32, rng=seed))
    kernel = ke.RandomFourier(kernel=Foreign(), n_features=32, rng=0)
    np.testing.assert_array_equal(kernel(X, Y), Foreign()(X, Y))
    assert kernel.capabilities == {*Foreign.capabilities, "random_features"}
    assert not hasattr(kernel, "diag")
    assert not hasattr(kernel, "into")


def test_complex_kernels_have_complex_features() -> None:
    assert_unbiased(lambda seed: ke.RandomFourier(kernel=Turning(), n_features=32, rng=seed))
    kernel = ke.RandomFourier(kernel=Turning(), n_features=7, rng=0)
    F = kernel.features(X)
    assert F.dtype == np.complex128
    assert F.shape == (6, 7)
    np.testing.assert_allclose(np.abs(F), 7**-0.5, rtol=1e-14)
    single = kernel.features(X.astype(np.float32))
    assert single.dtype == np.complex64
    np.testing.assert_allclose(single, F, atol=2e-6)


# couplings


@pytest.mark.parametrize("name", MIXTURES)
@pytest.mark.parametrize("coupling", ["orthogonal", "structured", "simplex"])
def test_coupled_features_are_unbiased(name: str, coupling: str) -> None:
    assert_unbiased(
        lambda seed: ke.RandomFourier(kernel=kernels()[name], n_features=16, coupling=coupling, rng=seed), seeds=150
    )


@pytest.mark.parametrize("coupling", ["orthogonal", "simplex", "structured"])
def test_coupled_features_err_less(coupling: str) -> None:
    """In 16 dimensions by about 0.55 (0.6 for the structured ones); of independent features the ratio is 1."""
    Z = data(40, 16)
    K, errors = ke.RBF(lengthscale=4.0)(Z), {}
    for c in ("iid", coupling):
        squares = []
        for seed in range(15):
            kernel = ke.RandomFourier(kernel=ke.RBF(lengthscale=4.0), n_features=256, coupling=c, rng=seed)
            F = kernel.features(Z)
            squares.append(((F @ F.T - K) ** 2).mean())
        errors[c] = math.sqrt(np.mean(squares))
    assert errors[coupling] < 0.75 * errors["iid"]


@pytest.mark.parametrize("coupling", list(COUPLINGS))
def test_rows_are_standard_normal(coupling: str) -> None:
    """Means, covariances and fourth moments of the rows, over 400 draws of 10 rows in 5 dimensions."""
    eye = np.eye(5)
    W = np.stack([_as_matrix(COUPLINGS[coupling](10, 5, np.random.default_rng(s)), eye) for s in range(400)])
    W = W.reshape(-1, 5)
    assert np.abs(W.mean(0)).max() < 5 / math.sqrt(len(W)) * 1.5  # rows of a block are not independent
    np.testing.assert_allclose(W.T @ W / len(W), eye, atol=0.12)
    np.testing.assert_allclose((W**4).mean(0), 3.0, atol=0.5)
    squares = (W**2).sum(1)
    assert abs(squares.mean() - 5) < 0.2
    assert abs(squares.var() - 10) < 1.5  # chi squared with 5 degrees of freedom


def _as_matrix(rows: Any, eye: np.ndarray) -> np.ndarray:
    out = np.empty((len(eye), len(rows)))
    rows.projection(1.0, np.float64)(eye, out)
    return out.T


def test_geometry_of_the_couplings() -> None:
    rng, eye = np.random.default_rng(0), np.eye(20)

    def cosines(coupling: str, n: int, d: int) -> np.ndarray:
        W = _as_matrix(COUPLINGS[coupling](n, d, rng), np.eye(d))
        W /= np.linalg.norm(W, axis=1, keepdims=True)
        return W @ W.T

    np.testing.assert_allclose(cosines("orthogonal", 20, 20), eye, atol=1e-12)
    simplex = (1 + 1 / 19) * eye - 1 / 19
    np.testing.assert_allclose(cosines("simplex", 20, 20), simplex, atol=1e-12)
    W = _as_matrix(COUPLINGS["structured"](64, 64, rng), np.eye(64))
    np.testing.assert_allclose(W @ W.T, np.diag((W**2).sum(1)), atol=1e-11)
    for n in (40, 47, 41):  # two blocks, and a part of one
        W = _as_matrix(COUPLINGS["simplex_plus"](n, 20, rng), eye)
        sums = np.add.reduceat(W, np.arange(0, n, 20))
        assert np.linalg.norm(sums[:2], axis=1).max() < 1e-8
        if n == 47:
            assert np.linalg.norm(sums[2]) < 1e-8
    # one long row among short ones cannot be cancelled: the others lie against it
    long = _cancelled(np.array([[[10.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 2.0]]]))[0]
    assert abs(np.linalg.norm(long.sum(0)) - 7.0) < 1e-5
    np.testing.assert_allclose(np.linalg.norm(long, axis=1), [10.0, 1.0, 2.0])
    assert len(COUPLINGS["simplex_plus"](3, 1, rng)) == 3


def test_structured_rows_in_low_dimension_are_haar() -> None:
    """Signs in place of the blocks would have rows of equal entries; and beyond one block three rounds are needed.

    The fourth moment of an entry of a Haar matrix is 3 / (p (p + 2)). By the recursion of the docstring one round of
    blocks of 16 in 32 dimensions falls short by 2 * 16 / (34 * 18) = 5.2 %.
    """
    p, draws, rng = 32, 3000, np.random.default_rng(0)
    first = np.eye(p)[:1]

    def fourth(rounds: int) -> float:
        found = np.empty((1, p * draws))
        rows = StructuredRows(
            _haar(draws * rounds * 2, 16, rng).reshape(draws, rounds, 2, 16, 16), np.ones(p * draws), p
        )
        rows.projection(1.0, np.float64)(first, found)
        return float((found**4).mean() * p * (p + 2) / 3)

    assert abs(fourth(1) - (1 - 32 / (34 * 18))) < 0.02
    assert abs(fourth(3) - 1) < 0.02
    for d in (1, 2, 3, 16):
        assert isinstance(COUPLINGS["structured"](40, d, rng), DenseRows)
    assert isinstance(COUPLINGS["structured"](40, 17, rng), StructuredRows)


@pytest.mark.parametrize("d", [17, 50, 300])
@pytest.mark.parametrize("n", [10, 64, 700])
def test_structured_rows_project_as_their_matrix(n: int, d: int) -> None:
    rows = COUPLINGS["structured"](n, d, np.random.default_rng(1))
    factor = np.linspace(0.5, 2.0, d)
    W, Z = _as_matrix(rows, np.eye(d)), data(4, d)
    assert W.shape == (n, d)
    out = np.empty((4, n))
    rows.times(np.arange(1.0, n + 1)).projection(factor, np.float64)(Z, out)
    np.testing.assert_allclose(out, (Z * factor) @ W.T * np.arange(1.0, n + 1), rtol=0, atol=1e-10 * n)
    assert np.abs(W).max() <= rows.reach(1.0)
    assert np.linalg.norm(W, axis=1).max() <= rows.longest() + 1e-12


# samplers


class Lattice:
    """A rank-1 lattice: points that are the same each time, and count how many were drawn."""

    def __init__(self, d: int) -> None:
        self.d, self.drawn = d, 0

    def sample(self, n: int) -> np.ndarray:
        start, self.drawn = self.drawn, self.drawn + n
        return (np.arange(start, start + n)[:, None] * np.sqrt([2, 3, 5, 7, 11])[: self.d]) % 1.0


def _engines() -> dict[str, Any]:
    qmc = pytest.importorskip("scipy.stats.qmc")
    return {
        "sobol": qmc.Sobol,
        "halton": qmc.Halton,
        "latin": qmc.LatinHypercube,
        "factory": lambda d, seed: qmc.Halton(d=d, seed=seed),
        "plain factory": Lattice,
        "instance": Lattice(3),
        "engine": qmc.Halton(d=3, seed=0),
        # these take a seed and make no use of it; the first point is 0
        "unscrambled sobol": functools.partial(qmc.Sobol, scramble=False),
        "unscrambled halton": functools.partial(qmc.Halton, scramble=False),
    }


@pytest.mark.parametrize(
    "which",
    [
        "sobol",
        "halton",
        "latin",
        "factory",
        "plain factory",
        "instance",
        "engine",
        "unscrambled sobol",
        "unscrambled halton",
    ],
)
def test_features_from_samplers_are_unbiased_and_err_less(which: str) -> None:
    sampler = _engines()[which]

    def make(seed: int) -> Any:
        return ke.RandomFourier(n_features=100, sampler=sampler, rng=seed)

    assert_unbiased(make)
    K = ke.RBF()(X, Y)
    iid = estimates(lambda seed: ke.RandomFourier(n_features=100, rng=seed), 60) - K
    assert ((estimates(make, 60) - K) ** 2).mean() < 0.6 * (iid**2).mean()


@pytest.mark.parametrize("name", STATIONARY)
def test_samplers_serve_every_kernel(name: str) -> None:
    qmc = pytest.importorskip("scipy.stats.qmc")
    assert_unbiased(
        lambda seed: ke.RandomFourier(kernel=kernels()[name], n_features=32, sampler=qmc.Halton, rng=seed), seeds=60
    )


def test_samplers_serve_composites() -> None:
    qmc = pytest.importorskip("scipy.stats.qmc")
    assert_unbiased(
        lambda seed: ke.RandomFourier(kernel=COMPOSITE, n_features=32, sampler=qmc.Halton, rng=seed), seeds=60
    )


def test_a_sampler_given_as_an_object_is_copied_and_not_advanced() -> None:
    sampler = Lattice(3)
    first = ke.RandomFourier(n_features=8, sampler=sampler, rng=0).features(X)
    assert sampler.drawn == 0
    np.testing.assert_array_equal(ke.RandomFourier(n_features=8, sampler=sampler, rng=0).features(X), first)
    assert not np.allclose(ke.RandomFourier(n_features=8, sampler=sampler, rng=1).features(X), first)


def test_a_sampler_by_name() -> None:
    class Uniform(kr.Parametrized):
        def __init__(self, d: Any, *, rng: Any = None) -> None:
            self.d, self.rng = d, rng

        def sample(self, n: int) -> np.ndarray:
            return np.random.default_rng(self.rng).random((n, self.d))

    kr.register(Uniform, name="me.uniform", kind="sampler")
    try:
        assert_unbiased(
            lambda seed: ke.RandomFourier(kernel=ke.Matern(), n_features=32, sampler="me.uniform", rng=seed)
        )
    finally:
        kr.unregister("me.uniform")


def _grid(m: int, n: int) -> np.ndarray:
    axes = np.meshgrid(*[(np.arange(n) + 0.5) / n] * m, indexing="ij")
    return np.stack([axis.ravel() for axis in axes], -1)


@pytest.mark.parametrize(
    ("kernel", "tolerance"),
    [
        (ke.RBF(lengthscale=0.7), 2e-4),
        (ke.Laplace(lengthscale=1.5), 2e-3),
        (ke.Matern(order=0.8), 4e-3),
        (ke.Matern(order=math.inf), 2e-4),
        (ke.RationalQuadratic(shape=0.5), 2e-3),
        (ke.InverseMultiquadric(exponent=1.5), 2e-3),
        (ke.Periodic(period=3.0, lengthscale=0.6), 1e-3),
        (ke.Periodic(period=3.0, lengthscale=5.0), 1e-3),
        (ke.SpectralMixture(weights=[1.0, 3.0], means=[0.0, 0.4], scales=[0.3, 0.05]), 3e-3),
        (ke.RBF() * ke.Laplace() + 2.0 * ke.RBF(lengthscale=3.0), 0.03),
    ],
    ids=repr,
)
def test_inverse_laws_on_a_grid(kernel: Any, tolerance: float) -> None:
    """The mean of cos(w t) over a regular grid of the cube is k(t) / k(0): an integral by the midpoint rule."""
    m, inverse = kernel.spectral_inverse(1)
    w = inverse(_grid(m, {1: 20_000, 2: 400, 3: 60}[m]))
    t = np.linspace(0.0, 2.5, 9)
    expected = kernel(np.zeros((1, 1)), t[:, None])[0] / kernel(np.zeros((1, 1)))[0, 0]
    np.testing.assert_allclose(np.cos(w * t).mean(0), expected, atol=tolerance)
    assert np.abs(np.sin(w * t).mean(0)).max() < 10 * tolerance


def test_harmonics_of_a_very_short_periodic_kernel_are_normal() -> None:
    """Var J = c = 1 / l^2, on either side of the change from sums to the normal law."""
    u = (np.arange(20_000) + 0.5) / 20_000
    for lengthscale in (2e-3, 5e-4):
        m, inverse = ke.Periodic(lengthscale=lengthscale).spectral_inverse(1)
        J = inverse(u[:, None])[:, 0] / (2 * np.pi)
        assert m == 1
        np.testing.assert_allclose(J, np.rint(J), rtol=1e-12)
        assert abs(J.std() * lengthscale - 1) < 1e-3
        assert abs(J.mean()) < 1e-3 * J.std()


# accuracy


@pytest.mark.parametrize("size", [1.0, 1e2, 1e4, 1e6, 1e10, 1e14])
def test_double_waves_are_accurate_to_a_few_ulp(size: float) -> None:
    """Against NumPy's extended precision, at products whose turns are split off exactly."""
    if np.finfo(np.longdouble).eps > 1e-18:
        pytest.skip("no extended precision on this platform")
    U = np.random.default_rng(0).uniform(-size, size, (64, 50))
    out = np.empty((64, 100))
    _waves._double(U.copy(), _waves._table() * 1.0, out, _waves.Scratch())
    angle = np.fmod(U, _waves.TABLE).astype(np.longdouble) * (8 * np.arctan(np.longdouble(1)) / _waves.TABLE)
    assert np.abs(out[:, :50] - np.cos(angle)).max() < 5e-16
    assert np.abs(out[:, 50:] - np.sin(angle)).max() < 5e-16


def test_phases_of_every_size() -> None:
    """float64 features are as accurate as their products; huge data neither warn nor leave [-1, 1]."""
    kernel = ke.RandomFourier(n_features=40, rng=0)
    W = kernel._draw(_unit(kernel), 3)[0].rows
    for size in (1e-200, 1.0, 1e3, 1e6):
        phase = (size * X) @ W.T
        expected = np.hstack([np.cos(phase), np.sin(phase)]) * math.sqrt(2 / 40)
        np.testing.assert_allclose(kernel.features(size * X), expected, rtol=0, atol=1e-14 + 2e-15 * size)
    for size in (1e16, 1e30, 1e150):
        F = kernel.features(size * X)
        assert np.abs(F).max() <= math.sqrt(2 / 40) * (1 + 1e-15)
        np.testing.assert_allclose((F * F).sum(1), 1.0, rtol=1e-14)
    large = (1e7 * X).astype(np.float32)  # products too large for float32 are computed in float64
    np.testing.assert_allclose(kernel.features(large), kernel.features(large.astype(np.float64)), atol=1e-7)
    with pytest.raises(InputError, match="overflow"):
        ke.RandomFourier(kernel=ke.RBF(lengthscale=1e-10), rng=0).features(1e300 * X)


@pytest.mark.parametrize(("far", "d"), [(1e4, 1), (2e5, 1), (1e4, 20)])
def test_single_precision_far_from_the_origin(far: float, d: int) -> None:
    """Phases of float32 numbers are as large as the data: rounded to float32 they would be off by up to 0.05."""
    items = (far + np.random.default_rng(0).standard_normal((10, d))).astype(np.float32)
    kernel = ke.RandomFourier(kernel=ke.RBF(lengthscale=d**0.5), n_features=65, rng=0)
    expected = kernel.features(items.astype(np.float64))
    found = kernel.features(items)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7)
    torch = pytest.importorskip("torch", reason="torch is not installed")
    gradients = []
    for dtype in (torch.float32, torch.float64):
        T = torch.tensor(items, dtype=dtype, requires_grad=True)
        F = kernel.features(T)
        assert F.dtype == dtype
        np.testing.assert_allclose(F.detach().numpy(), expected, rtol=0, atol=1e-6)
        gradients.append(torch.autograd.grad(F.sum(), T)[0].double())
    np.testing.assert_allclose(*gradients, atol=1e-6 * float(gradients[1].abs().max()))


def _unit(kernel: Any) -> Any:
    from kernreg_euclidean.random_fourier import _Unit

    return _Unit(kernel._exact())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("width", [64, 65])
def test_features_do_not_depend_on_blocks_or_threads(dtype: Any, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    Z = data(5000, 8, dtype=dtype)
    kernel = ke.RandomFourier(n_features=width, coupling="orthogonal", rng=0)
    found = []
    for threads, sizes in (("1", _waves._BLOCK), ("2", _waves._BLOCK), ("2", {8: (1, 1000), 4: (1, 1000)})):
        monkeypatch.setenv("KERNREG_NUM_THREADS", threads)
        monkeypatch.setattr(_waves, "_BLOCK", sizes)
        found.append(kernel.features(Z))
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=0, atol=20 * np.finfo(dtype).eps)
    monkeypatch.setattr(_waves, "_BLOCK", {8: (64, 64), 4: (64, 64)})
    np.testing.assert_allclose(kernel.features(Z[:70]), found[0][:70], rtol=0, atol=20 * np.finfo(dtype).eps)


# what the kernel keeps


def test_everything_but_features_is_the_kernels_own() -> None:
    for kernel in (None, ke.Matern(order=0.5), ke.Matern(), ke.Laplace(), COMPOSITE):
        inner = ke.RBF() if kernel is None else kernel
        wrapped = ke.RandomFourier(kernel=kernel, rng=0)
        np.testing.assert_array_equal(wrapped(X, Y), inner(X, Y))
        np.testing.assert_array_equal(wrapped(X), inner(X))
        np.testing.assert_array_equal(kr.gram(wrapped, X, tile=4), kr.gram(inner, X, tile=4))
        assert wrapped(X.astype(np.float32)).dtype == np.float32
        assert wrapped.capabilities == (inner.capabilities - {"features"}) | {"random_features"}
        for name in ("diag", "grad_x", "grad_y", "grad_xy", "grad_xy_trace", "matvec", "spectral_sample"):
            assert hasattr(wrapped, name) is hasattr(inner, name), (inner, name)
        if "gradients" in inner.capabilities:
            np.testing.assert_array_equal(wrapped.grad_x(X, Y), inner.grad_x(X, Y))
            np.testing.assert_array_equal(wrapped.grad_y(X, Y), inner.grad_y(X, Y))
            np.testing.assert_array_equal(wrapped.grad_xy(X, Y), inner.grad_xy(X, Y))
        if "matvec" in inner.capabilities:
            np.testing.assert_array_equal(wrapped.matvec(X, np.ones(5), Y), inner.matvec(X, np.ones(5), Y))
        np.testing.assert_array_equal(wrapped.diag(X), inner.diag(X))
    assert ke.RandomFourier(kernel=ke.RandomFourier(rng=1), n_features=8, rng=0).features(X).shape == (6, 8)


def test_features_are_drawn_once_and_follow_the_parameters() -> None:
    kernel = ke.RandomFourier(kernel=ke.Matern(order=1.5), n_features=10, rng=3)
    F = kernel.features(X)
    kernel.features(X[:, :2])
    np.testing.assert_array_equal(kernel.features(X), F)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(kernel)).features(X), F)
    np.testing.assert_array_equal(kr.clone(kernel).features(X), F)
    # the frequencies of another length scale are the same ones, divided by it
    kernel.set_params(kernel__lengthscale=2.0)
    np.testing.assert_allclose(kernel.features(2.0 * X), F, rtol=0, atol=1e-14)
    kernel.kernel.lengthscale = 4.0
    np.testing.assert_allclose(kernel.features(4.0 * X), F, rtol=0, atol=1e-14)
    kernel.kernel.order = 2.5  # set behind its back, and noticed
    fresh = ke.RandomFourier(kernel=ke.Matern(order=2.5, lengthscale=4.0), n_features=10, rng=3)
    np.testing.assert_array_equal(kernel.features(X), fresh.features(X))
    for params in ({"n_features": 12}, {"coupling": "simplex"}, {"rng": 4}):
        changed = kr.clone(fresh).set_params(**params)
        assert changed.features(X).shape[1] == changed.n_features
        assert not np.array_equal(changed.features(X)[:, :10], fresh.features(X))
    assert not np.array_equal(ke.RandomFourier(rng=None).features(X), ke.RandomFourier(rng=None).features(X))


def test_each_number_of_columns_has_frequencies_of_its_own() -> None:
    kernel = ke.RandomFourier(n_features=6, rng=0)
    first = kernel.features(X)
    for d in range(1, 9):
        assert kernel.features(data(3, d)).shape == (3, 6)
    np.testing.assert_array_equal(kernel.features(X), first)
    assert len(kernel._cache["draws"]) <= 4


def test_sparse_rows() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    Z = data(50, 30) * (np.random.default_rng(0).random((50, 30)) < 0.2)
    for coupling in ("iid", "structured"):
        kernel = ke.RandomFourier(kernel=ke.RBF(lengthscale=list(np.linspace(1, 2, 30))), coupling=coupling, rng=0)
        for dtype, tolerance in ((np.float64, 1e-14), (np.float32, 1e-6)):
            rows = sparse.csr_array(Z.astype(dtype))
            F = kernel.features(rows)
            assert F.dtype == dtype
            np.testing.assert_allclose(F, kernel.features(Z.astype(dtype)), rtol=0, atol=tolerance)
    with pytest.raises(InputError, match="toarray"):
        ke.RandomFourier(kernel=ke.Laplace()).features(sparse.csr_array(Z))


def test_one_item_and_duplicates() -> None:
    kernel = ke.RandomFourier(n_features=11, rng=0)
    F = kernel.features(np.vstack([X, X[:1]]))
    np.testing.assert_allclose(F[-1], F[0], rtol=0, atol=1e-15)
    np.testing.assert_allclose(kernel.features(X[:1]), F[:1], rtol=0, atol=1e-14)
    np.testing.assert_allclose((kernel.features(X)[:, :10] ** 2).sum(1), 10 / 11, rtol=1e-14)


# torch


@pytest.mark.parametrize("coupling", ["iid", "structured"])
def test_tensors_have_the_features_of_arrays(coupling: str) -> None:
    torch = pytest.importorskip("torch")
    Z = data(7, 20)
    T = torch.from_numpy(Z)
    for width in (16, 17):
        kernel = ke.RandomFourier(kernel=2.0 * ke.RBF(lengthscale=3.0), n_features=width, coupling=coupling, rng=0)
        expected = kernel.features(Z)
        assert np.array_equal(kernel.features(T).numpy(), expected), "without gradients the same code runs"
        F = kernel.features(T.clone().requires_grad_())
        assert F.requires_grad
        np.testing.assert_allclose(F.detach().numpy(), expected, rtol=0, atol=1e-13)
        for dtype in (torch.float32, torch.float16, torch.bfloat16):
            half = kernel.features(T.to(dtype))
            assert half.dtype == dtype
            np.testing.assert_allclose(half.double().numpy(), expected, atol=0.05 if dtype != torch.float32 else 1e-5)


def test_gradients_reach_items_length_scale_and_factor() -> None:
    torch = pytest.importorskip("torch")
    factor = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    # structured: a block of 16 and one coordinate more
    for inner, coupling, d in ((ke.Matern, "structured", 17), (ke.RBF, "iid", 3), (ke.Laplace, "iid", 3)):
        T = torch.tensor(data(2, d), requires_grad=True)
        scale = torch.linspace(1.0, 2.0, d, dtype=torch.float64, requires_grad=True)

        def features(x: Any, l: Any, v: Any, inner: Any = inner, coupling: str = coupling) -> Any:  # noqa: E741
            kernel = ke.RandomFourier(kernel=v * inner(lengthscale=l), n_features=5, coupling=coupling, rng=0)
            return kernel.features(x)

        assert torch.autograd.gradcheck(features, (T, scale, factor))
        plain = ke.RandomFourier(
            kernel=2.0 * inner(lengthscale=scale.detach().numpy()), n_features=5, coupling=coupling, rng=0
        )
        np.testing.assert_allclose(
            features(T, scale, factor).detach().numpy(), plain.features(T.detach().numpy()), atol=1e-13
        )
    period = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    found = ke.RandomFourier(kernel=ke.Periodic(period=period), n_features=8, rng=0).features(T.detach())
    assert torch.autograd.grad(found.sum(), period)[0].abs() > 0


def test_complex_features_of_tensors() -> None:
    torch = pytest.importorskip("torch")

    class Both(Turning):
        capabilities = Turning.capabilities | {"differentiable", "diag"}

        def diag(self, X: Any) -> Any:
            return X[:, 0] * 0 + 1

    kernel = ke.RandomFourier(kernel=Both(), n_features=5, rng=0)
    T = torch.tensor(X, requires_grad=True)
    found = kernel.features(T)
    assert found.is_complex()
    np.testing.assert_allclose(found.detach().numpy(), kernel.features(X), atol=1e-14)


# bad input


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_features": 0}, "n_features: expected an integer of at least 1, got 0"),
        ({"n_features": 2.5}, "n_features: expected an integer"),
        ({"coupling": "haar"}, "coupling: expected one of 'iid', 'orthogonal', 'structured', 'simplex', got 'haar'"),
        ({"coupling": None}, "coupling: expected one of"),
        ({"kernel": ke.Linear()}, "kernel: expected a stationary kernel with spectral_sample"),
        ({"kernel": ke.RBF() + ke.Linear()}, "kernel: expected a stationary kernel"),
        ({"kernel": ke.RBF() ** 0.5}, "kernel: expected a stationary kernel"),
        ({"kernel": -1.0 * ke.RBF()}, "kernel: expected a stationary kernel"),
        ({"kernel": ke.RBF}, "kernel: expected a stationary kernel"),
        ({"kernel": 3}, "kernel: expected a stationary kernel"),
        ({"kernel": ke.RBF(lengthscale=-1.0)}, "lengthscale: expected a positive number"),
        ({"kernel": ke.Laplace(), "coupling": "orthogonal"}, "coupling: expected 'iid', got 'orthogonal'.*Laplace"),
        ({"kernel": COMPOSITE, "coupling": "simplex"}, "of a sum, couple the features of its terms"),
        ({"sampler": Lattice, "coupling": "simplex"}, "sampler: expected None beside coupling='simplex'"),
        ({"kernel": Foreign(), "sampler": Lattice}, "has only spectral_sample"),
        ({"kernel": Flat()}, r"frequencies are an array of shape \(512, 3\) of finite numbers, got"),
        ({"sampler": Lattice(4)}, "sampler: expected one of 3 dimensions, got .* of 4"),
        ({"sampler": 7}, "sampler: expected a sampler's name"),
        ({"sampler": lambda d, rng: 3}, "which makes int 3"),
        ({"sampler": np.random.default_rng(0)}, "which has no d"),
        (
            {"sampler": type("Outside", (Lattice,), {"sample": lambda self, n: np.full((n, self.d), 2.0)})},
            "from 2 to 2",
        ),
        ({"sampler": type("Short", (Lattice,), {"sample": lambda self, n: np.ones((1, 1))})}, "expected 512 points"),
        ({"rng": "seed"}, "rng: expected an int"),
    ],
    ids=repr,
)
def test_bad_parameters(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        ke.RandomFourier(**params).features(X)


def test_an_unknown_sampler_is_named() -> None:
    with pytest.raises(kr.UnknownNameError, match=r"me\.nothing"):
        ke.RandomFourier(sampler="me.nothing").features(X)
    with pytest.raises(ParameterError, match="sampler: expected a sampler's name"):
        ke.RandomFourier(sampler="euclidean.rbf").features(X)


def test_bad_items() -> None:
    kernel = ke.RandomFourier()
    for bad in (X[0], X[:0], np.array([[np.nan]]), [["a"]]):
        with pytest.raises(InputError, match="X: "):
            kernel.features(bad)
