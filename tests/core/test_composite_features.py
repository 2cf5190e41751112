"""Composites of kernels with random features, with spectral laws, and with parts that are fitted."""

from __future__ import annotations

import pickle
from statistics import NormalDist

import numpy as np
import pytest
from sample_kernels import Dot, Rbf

import kernreg_core as kr
from kernreg_core import Normalized, Power, Product, Scaled, Sum, normalize
from kernreg_core.params import entropy

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((6, 3)), RNG.standard_normal((4, 3))


class Waves(Rbf):
    """The RBF kernel with random Fourier features and its spectral law."""

    capabilities = Rbf.capabilities - {"gradients"} | {"random_features"}
    grad_x = grad_y = grad_xy = None

    def __init__(self, *, lengthscale=1.0, n_features=32, rng=None):
        self.lengthscale = lengthscale
        self.n_features = n_features
        self.rng = rng

    def features(self, X, basis=None):
        X, _ = self.check_items(X)
        rng = np.random.default_rng([entropy(self), X.shape[1]])
        phase = X @ self.spectral_sample(self.n_features // 2, X.shape[1], rng).T
        return np.hstack([np.cos(phase), np.sin(phase)]) * (2 / self.n_features) ** 0.5

    def spectral_sample(self, n, d, rng=None):
        return np.random.default_rng(rng).standard_normal((n, d)) / self.lengthscale

    def spectral_inverse(self, d):
        quantile = np.vectorize(NormalDist().inv_cdf, otypes=[float])
        return d, lambda U: quantile(U) / self.lengthscale


def estimated(kernel):
    return kernel.features(X) @ kernel.features(Y).T


def assert_unbiased(make, seeds=400):
    """The mean over seeds is k(X, Y) within 5 standard errors, for every pair."""
    drawn = np.stack([estimated(make(seed)) for seed in range(seeds)])
    errors = np.abs(drawn.mean(0) - make(0)(X, Y))
    assert (errors <= 5 * drawn.std(0) / seeds**0.5 + 1e-12).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda s: Waves(rng=s) + Waves(lengthscale=2.0, rng=s),
        lambda s: Waves(rng=s) + Dot(offset=1.0),
        lambda s: Waves(rng=2 * s, n_features=8) * Waves(lengthscale=2.0, rng=2 * s + 1, n_features=8),
        lambda s: Waves(rng=s) * Dot(offset=1.0),
        lambda s: 3 * Waves(rng=s),
        lambda s: Waves(rng=s) ** 1,
        lambda s: normalize(2 * Waves(rng=s) + Dot(offset=1.0)),
        lambda s: normalize(Waves(rng=2 * s) + Dot()) * (0.5 * Waves(rng=2 * s + 1)),
    ],
)
def test_random_features_of_composites_are_unbiased(make):
    kernel = make(0)
    assert "random_features" in kernel.capabilities
    assert "features" not in kernel.capabilities
    assert_unbiased(make)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(kernel)).features(X), kernel.features(X))


def test_their_number_of_columns():
    a, b = Waves(n_features=8, rng=0), Waves(n_features=4, rng=1)
    for kernel, width in ((a + b, 12), (a * b, 32), (2 * a, 8), (a**1, 8), (normalize(a), 8), (2 * (a + b) * a, None)):
        if width is not None:
            assert kernel.n_features == kernel.features(X).shape[1] == width
    for kernel in (a + Dot(), a * Dot(), Dot() + Dot(), Dot() * 2.0, a**2, Rbf() + a):
        assert not hasattr(kernel, "n_features")
    assert (a + Dot()).features(X).shape == (6, 8 + 4)
    with pytest.raises(kr.InputError, match=r"256 x 512 features has 131,072 columns, more than 65,536"):
        (Waves(n_features=256, rng=0) * Waves(n_features=512, rng=1)).features(X)


def test_exact_parts_alone_have_exact_features():
    for kernel in (Dot() + Dot(), Dot() * Dot(), 2 * Dot(), Dot() ** 2, normalize(Dot(offset=1.0))):
        assert {"features"} == {"features", "random_features"} & kernel.capabilities
    for kernel in (Rbf() + Waves(), Rbf() * Waves(), -1.0 * Waves()):
        assert not {"features", "random_features"} & kernel.capabilities
        assert not hasattr(kernel, "features")


def test_a_product_needs_factors_that_draw_independently():
    a = Waves(rng=3)
    dependent = [
        a * a,
        Waves(rng=3) * Waves(lengthscale=2.0, rng=3),
        (a + Dot()) * (2 * Waves(rng=3)),
        a * Dot() * normalize(a),
        Product(a, Foreign(3)),
    ]
    for kernel in dependent:
        assert "random_features" not in kernel.capabilities
        with pytest.raises(AttributeError, match="give each factor an rng of its own"):
            kernel.features(X)
    # without a seed every object draws its own; one generator gives every object another integer
    rng = np.random.default_rng(0)
    for kernel in (Waves() * Waves(), Waves(rng=rng) * Waves(rng=rng), Product(a, Foreign(4)), Waves(rng=0) * Dot()):
        assert "random_features" in kernel.capabilities
    copies = kr.clone(Product(Waves(), Waves()))
    assert "random_features" in copies.capabilities


class Foreign:
    """Another library's random features."""

    capabilities = ("symmetric", "psd", "random_features")
    n_features = 4

    def __init__(self, rng):
        self.rng = rng

    def __call__(self, X, Y=None):
        return Rbf()(X, X if Y is None else Y)

    def features(self, X, basis=None):
        return np.ones((len(X), 4)) / 2


def test_the_bias_that_this_avoids():
    """E[F^2] = k^2 + variance: the square of one estimate is no estimate of the square."""
    drawn = np.stack([estimated(Waves(rng=seed, n_features=8)) for seed in range(400)])
    bias = (drawn**2).mean(0) - Waves()(X, Y) ** 2
    assert bias.mean() > 10 * (drawn**2).std() / (400 * bias.size) ** 0.5
    with pytest.raises(AttributeError, match="a power of one random estimate is biased"):
        (Waves() ** 2).features(X)


def test_an_rng_that_is_none_is_refused_by_the_features():
    kernel = Waves(rng="seed") * Waves(rng=0)
    with pytest.raises(kr.ParameterError, match="rng: expected an int"):
        kernel.features(X)


SPECTRA = [
    Waves() + 2 * Waves(lengthscale=3.0),
    Waves() * Waves(lengthscale=2.0),
    Waves(lengthscale=2.0) ** 3,
    0.25 * Waves(),
    normalize(3 * Waves() + Waves(lengthscale=0.5) * Waves()),
]


def assert_frequencies(kernel, w):
    """The mean of cos(w . (x - y)) is k(x, y) / k(0) within 5 standard errors."""
    waves = np.cos((X[:, None] - Y[None]) @ w.T)
    expected = kernel(X, Y) / kernel(np.zeros((1, 3)))
    assert (np.abs(waves.mean(-1) - expected) <= 5 * waves.std(-1) / len(w) ** 0.5).all()


@pytest.mark.parametrize("kernel", SPECTRA, ids=repr)
def test_frequencies_of_stationary_composites(kernel):
    assert_frequencies(kernel, kernel.spectral_sample(20_000, 3, 0))
    m, inverse = kernel.spectral_inverse(3)
    assert_frequencies(kernel, inverse(np.random.default_rng(1).uniform(1e-12, 1, (20_000, m))))
    np.testing.assert_array_equal(kernel.spectral_sample(5, 3, 7), kernel.spectral_sample(5, 3, 7))
    rng = np.random.default_rng(7)
    assert not np.array_equal(kernel.spectral_sample(5, 3, rng), kernel.spectral_sample(5, 3, rng))


def test_coordinates_that_the_inverse_of_a_composite_needs():
    a = Waves()
    assert (a + a * a).spectral_inverse(3)[0] == 1 + 6
    assert (a**4).spectral_inverse(2)[0] == 8
    assert (2 * a).spectral_inverse(3)[0] == 3


def test_where_a_composite_has_no_frequencies():
    for kernel in (Waves() + Rbf(), Waves() * Dot(), Dot() + Dot(), -1.0 * Waves(), Waves() ** 0.5, normalize(Rbf())):
        for name in ("spectral_sample", "spectral_inverse"):
            assert not hasattr(kernel, name), (kernel, name)
    with pytest.raises(AttributeError, match=r"Rbf\(\) has none"):
        (Waves() + Rbf()).spectral_sample(3, 2)
    with pytest.raises(AttributeError, match="it is not psd"):
        (-1.0 * Waves()).spectral_sample(3, 2)


def test_a_part_of_no_weight_gives_no_frequency():
    kernel = 0.0 * Waves(lengthscale=1e-9) + Waves()
    assert np.abs(kernel.spectral_sample(1000, 3, 0)).max() < 10
    assert np.isfinite((0.0 * Waves() + 0.0 * Waves()).spectral_sample(5, 3, 0)).all()


class Spread(kr.BaseKernel):
    """Inner products of columns divided by their spread, which a fit finds."""

    capabilities = frozenset({"symmetric", "psd", "features", "fitted"})

    def __init__(self, *, power=1.0):
        self.power = power

    def fit(self, X, y=None):
        self.fits = getattr(self, "fits", 0) + 1
        self.seen = y
        self.scale_ = np.std(X, axis=0) ** self.power
        return self

    def evaluate(self, X, Y):
        return self.features(X) @ self.features(Y).T

    def features(self, X, basis=None):
        if not hasattr(self, "scale_"):
            raise kr.NotFittedError("call fit(X) first")
        return X / self.scale_


def test_a_composite_fits_the_parts_that_need_it():
    for make in (
        lambda k: k + Dot(),
        lambda k: Dot() * (2 * k),
        lambda k: normalize(k),
        lambda k: k**2,
        lambda k: k + 2 * (k * k),
    ):
        part = Spread()
        kernel = make(part)
        assert "fitted" in kernel.capabilities
        with pytest.raises(kr.NotFittedError):
            kernel(X)
        assert kernel.fit(X) is kernel
        expected = make(Spread().fit(X))
        np.testing.assert_allclose(kernel(X, Y), expected(X, Y), rtol=1e-14)
        assert not hasattr(kr.clone(kernel).parts()[0], "scale_")
        with pytest.raises(kr.NotFittedError):
            kr.clone(kernel)(X)
    assert not hasattr(Dot() + Dot(), "fit")


def test_targets_reach_the_parts_and_a_part_that_stands_twice_is_fitted_once():
    part, y = Spread(), np.arange(6.0)
    Sum(part, part, Scaled(kernel=Spread(), variance=2.0)).fit(X, y)
    assert part.fits == 1
    assert part.seen is y
    assert Power(kernel=part, exponent=2).fit(X).kernel.fits == 2
    assert Normalized(kernel=part).fit(X).kernel.seen is None


def test_tensors_keep_their_gradients_in_features_of_composites():
    torch = pytest.importorskip("torch", reason="torch is not installed")

    class Tensors(Waves):
        def features(self, X, basis=None):
            W = torch.tensor(np.random.default_rng(entropy(self)).standard_normal((4, 3)))
            return torch.cat([(X @ W.T).cos(), (X @ W.T).sin()], 1) / 2

    T = torch.tensor(X, requires_grad=True)
    kernel = normalize(2 * Tensors(rng=0)) + Tensors(rng=1) * Tensors(rng=2)
    found = kernel.features(T)
    assert found.shape == (6, 8 + 64)
    (gradient,) = torch.autograd.grad(found.square().mean(0).sum() + found.sum(), T)
    assert torch.isfinite(gradient).all()
    assert gradient.abs().sum() > 0
