"""The exponent of a learning curve on curves whose exponent is known, and Mercer bases against their kernels."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.stats import linregress
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from solver_kernels import WORDS, Spectrum

from kernreg_core.errors import InputError, KernregWarning, ParameterError
from kernreg_solvers import (
    KernelRidge,
    LearningRate,
    MercerBasis,
    fourier_basis,
    mercer_coefficients,
    power_function,
    power_norm,
    sine_basis,
)


class Curve(BaseEstimator):
    """Predicts a constant that is n^(-rate / 2) off zero, times a factor that its items decide."""

    def __init__(self, *, rate: float = 0.7, alpha: float = 1.0) -> None:
        self.rate = rate
        self.alpha = alpha

    def fit(self, X: Any, y: Any) -> Curve:
        wobble = 1.0 + 0.1 * np.sin(1e6 * float(np.asarray(y, dtype=float).sum()))
        self.off_ = self.alpha * wobble * len(y) ** (-self.rate / 2)
        return self

    def predict(self, X: Any) -> np.ndarray:
        return np.full(len(X), self.off_)


def zero(X: Any) -> np.ndarray:
    return np.zeros(len(X))


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((900, 2))
    return X, rng.standard_normal(900)


def test_a_known_exponent_is_found(data: tuple[np.ndarray, ...]) -> None:
    X, y = data
    rate = LearningRate(estimator=Curve(), sizes=[20, 40, 80, 160], repeats=4, truth=zero, random_state=0).fit(X, y)
    assert rate.slope_ == pytest.approx(0.7, abs=0.08)
    assert rate.slope_interval_[0] < 0.7 < rate.slope_interval_[1]
    assert rate.slope_interval_[1] - rate.slope_interval_[0] < 0.5
    assert rate.errors_.shape == (4, 4)
    assert rate.sizes_.tolist() == [20, 40, 80, 160]
    assert rate.constant_ == pytest.approx(1.0, rel=0.3)
    assert rate.theory_ is rate.alphas_ is None
    # the exponent of the mean error, by another regression
    again = linregress(np.log(rate.sizes_), np.log(rate.errors_.mean(axis=0)))
    assert rate.slope_ == pytest.approx(-again.slope, rel=1e-9)


def test_the_interval_is_the_jackknife_s_or_the_regression_s(data: tuple[np.ndarray, ...]) -> None:
    X, y = data
    rate = LearningRate(estimator=Curve(), sizes=[20, 40, 80], repeats=3, truth=zero, random_state=0).fit(X, y)
    left = [
        -linregress(np.log(rate.sizes_), np.log(np.delete(rate.errors_, r, axis=0).mean(axis=0))).slope
        for r in range(3)
    ]
    reach = 4.302652729911275 * np.sqrt(2 / 3 * np.square(left - np.mean(left)).sum())  # Student's t, 2 degrees, 95 %
    assert_allclose(rate.slope_interval_, [rate.slope_ - reach, rate.slope_ + reach], rtol=1e-9)
    single = LearningRate(estimator=Curve(), sizes=[20, 40, 80], repeats=1, truth=zero, random_state=0).fit(X, y)
    line = linregress(np.log(single.sizes_), np.log(single.errors_[0]))
    reach = 12.706204736432095 * line.stderr  # 1 degree of freedom
    assert_allclose(single.slope_interval_, [single.slope_ - reach, single.slope_ + reach], rtol=1e-6)
    two = LearningRate(estimator=Curve(), sizes=[20, 40], repeats=1, truth=zero, random_state=0).fit(X, y)
    assert two.slope_interval_.tolist() == [-np.inf, np.inf]
    wide = clone(rate).set_params(confidence=0.5).fit(X, y)
    assert wide.slope_interval_[0] > rate.slope_interval_[0]


def test_repeats_have_no_item_in_common_where_that_is_possible(data: tuple[np.ndarray, ...]) -> None:
    X, y = data
    seen: list[frozenset[float]] = []

    class Spy(Curve):
        def fit(self, X: Any, y: Any) -> Curve:
            seen.append(frozenset(y.tolist()))
            return super().fit(X, y)

    LearningRate(estimator=Spy(), sizes=[50, 200], repeats=3, random_state=0).fit(X, y)
    largest = seen[1::2]
    assert not largest[0] & largest[1]
    assert not largest[1] & largest[2]
    assert all(small < large for small, large in zip(seen[::2], largest, strict=True))
    seen.clear()
    LearningRate(estimator=Spy(), sizes=[50, 600], repeats=3, random_state=0).fit(X, y)
    assert seen[1] != seen[3]


def test_held_out_targets_and_their_noise() -> None:
    rng = np.random.default_rng(1)
    X = rng.standard_normal((6000, 5))
    y = X @ np.ones(5) + rng.standard_normal(6000)
    measure = LearningRate(
        estimator=Ridge(alpha=1e-3), sizes=[20, 50, 100, 200], repeats=10, test_size=0.5, random_state=0
    )
    # linear regression on d coordinates: the excess error is d / (n - d - 1)
    flat = clone(measure).fit(X, y).slope_
    right = clone(measure).set_params(noise=1.0).fit(X, y).slope_
    sizes = np.array([20, 50, 100, 200])
    expected = -np.polyfit(np.log(sizes), np.log(5 / (sizes - 6)), 1)[0]
    assert right == pytest.approx(expected, abs=0.25)
    assert flat < 0.3 < right
    with pytest.raises(InputError, match="noise: the error of held-out targets falls below 2.0 at n="):
        clone(measure).set_params(noise=2.0).fit(X, y)


def test_penalties_follow_the_size(data: tuple[np.ndarray, ...]) -> None:
    X, y = data
    rate = LearningRate(
        estimator=Curve(rate=0.0), sizes=[10, 40], repeats=2, penalty=lambda n: n**-0.5, truth=zero, random_state=0
    ).fit(X, y)
    assert_allclose(rate.alphas_, [10**-0.5, 40**-0.5])
    assert rate.slope_ == pytest.approx(1.0, abs=0.2)
    best = LearningRate(
        estimator=Curve(), sizes=[10, 40], penalty="optimal", source=0.4, decay=2.0, gamma=0.0, truth=zero
    ).fit(X, y)
    assert_allclose(best.alphas_, np.array([10, 40]) ** (1 - 2 / 1.8))
    assert best.theory_ == pytest.approx(0.8 / 1.8)
    inside = LearningRate(
        estimator=make_pipeline(StandardScaler(), Ridge()),
        sizes=[10, 40],
        penalty=lambda n: 1.0,
        parameter="ridge__alpha",
        random_state=0,
    ).fit(X, y)
    assert np.isfinite(inside.slope_)


def test_the_rate_of_ridge_regression_in_a_power_space() -> None:
    # n lambda with lambda = n^(-beta / (s beta + 1)), and errors in [H]^g as integrals over the basis
    basis = sine_basis()
    truth = power_function(0.8, basis, n_terms=500)
    rng = np.random.default_rng(0)
    X = rng.random((3000, 1))
    y = truth(X) + 0.3 * rng.standard_normal(3000)
    measure = LearningRate(
        estimator=KernelRidge(kernel=lambda A, B: np.minimum(A, B.T)),
        sizes=[50, 100, 200, 400],
        repeats=5,
        penalty="optimal",
        truth=truth,
        basis=basis,
        n_terms=150,
        source=0.8,
        decay=2.0,
        random_state=0,
    )
    found = {}
    for gamma in (0.0, 0.3):
        rate = clone(measure).set_params(gamma=gamma).fit(X, y)
        assert rate.theory_ == pytest.approx((0.8 - gamma) * 2 / 2.6)
        assert rate.slope_ == pytest.approx(rate.theory_, abs=0.2)
        found[gamma] = rate
    assert (found[0.3].errors_ > found[0.0].errors_).all()
    assert found[0.3].slope_ < found[0.0].slope_


def test_lists_tensors_and_pickles(data: tuple[np.ndarray, ...]) -> None:
    words = [word + other for word in WORDS for other in WORDS]
    lengths = [float(len(word)) for word in words]
    rate = LearningRate(estimator=KernelRidge(kernel=Spectrum()), repeats=2, random_state=0).fit(words, lengths)
    assert np.isfinite(rate.slope_)
    assert len(rate.sizes_) == 5
    assert rate.sizes_[-1] == 108  # three quarters of 144 are left to train on
    again = pickle.loads(pickle.dumps(rate))
    assert np.array_equal(again.errors_, rate.errors_)
    torch = pytest.importorskip("torch", reason="torch is not installed")
    X, y = data
    plain = LearningRate(sizes=[20, 80], repeats=2, random_state=0).fit(X, y)
    tensor = LearningRate(sizes=[20, 80], repeats=2, random_state=0).fit(torch.tensor(X), torch.tensor(y))
    assert_allclose(tensor.errors_, plain.errors_, rtol=1e-8)


def test_the_same_seed_gives_the_same_bits(data: tuple[np.ndarray, ...]) -> None:
    X, y = data
    first, again, other = (
        LearningRate(repeats=2, random_state=seed).fit(X[:100], y[:100]).errors_ for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_an_error_of_zero_has_no_exponent(data: tuple[np.ndarray, ...]) -> None:
    X = data[0][:60]
    with pytest.warns(KernregWarning, match="exactly zero at n=.*slope_ is NaN"):
        rate = LearningRate(random_state=0).fit(X, np.zeros(60))
    assert np.isnan(rate.slope_)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"sizes": [10]}, ParameterError, "sizes: expected two or more different"),
        ({"sizes": [0, 10]}, ParameterError, "sizes: expected two or more different"),
        ({"sizes": [1.5, 10]}, ParameterError, "sizes: expected two or more different"),
        ({"sizes": "all"}, ParameterError, "sizes: expected whole numbers"),
        ({"sizes": [10, 900]}, InputError, "X: expected 900 items to train on"),
        ({"repeats": 0}, ParameterError, "repeats: expected a whole number at least 1"),
        ({"penalty": 1.0}, ParameterError, "penalty: expected a callable, 'optimal' or None"),
        ({"penalty": "optimal"}, ParameterError, "'optimal' takes source and decay"),
        ({"truth": 1.0}, ParameterError, "truth: expected a callable or None"),
        ({"truth": lambda X: 3.0}, ParameterError, "truth: expected one number for each of"),
        ({"truth": lambda X: np.ones((len(X), 2))}, ParameterError, "truth: expected one number for each of"),
        ({"penalty": float, "parameter": "krr__alpha"}, ParameterError, "parameter: 'krr__alpha' cannot be set"),
        ({"basis": "sine"}, ParameterError, "basis: expected a MercerBasis"),
        ({"basis": sine_basis()}, ParameterError, "basis: errors are integrals against the truth"),
        ({"gamma": 0.5}, ParameterError, "gamma: 0.5 takes the kernel's basis"),
        ({"gamma": -1}, ParameterError, "gamma: expected a number at least 0"),
        ({"noise": -1}, ParameterError, "noise: expected a number at least 0"),
        ({"source": 0.0}, ParameterError, "source: expected a number above 0"),
        ({"test_size": 1.0}, ParameterError, "test_size: expected a number between 0 and 1"),
        ({"confidence": 95}, ParameterError, "confidence: expected a number between 0 and 1"),
    ],
)
def test_bad_parameters(
    data: tuple[np.ndarray, ...], parameters: dict[str, Any], error: type[Exception], message: str
) -> None:
    X, y = data
    with pytest.raises(error, match=message):
        LearningRate(**parameters).fit(X, y)


def test_a_truth_in_a_column_is_the_same_truth(data: tuple[np.ndarray, ...]) -> None:
    X, y = data
    rate = LearningRate(truth=zero, sizes=(20, 40), repeats=1, random_state=0).fit(X, y)
    column = clone(rate).set_params(truth=lambda X: zero(X)[:, None]).fit(X, y)
    assert np.array_equal(column.errors_, rate.errors_)


def test_bad_input(data: tuple[np.ndarray, ...]) -> None:
    X, y = data
    for bad in ((X[:5], y), (X * np.nan, y), (X, y * np.nan), (X, None), (X[:1], y[:1]), ([], [])):
        with pytest.raises(InputError):
            LearningRate().fit(*bad)


# -- Mercer bases ----------------------------------------------------------------------------


@pytest.mark.parametrize("basis", [sine_basis(), fourier_basis(3.0)])
def test_functions_are_orthonormal(basis: MercerBasis) -> None:
    k = np.arange(1, 8)
    for i in k:
        for j in k:
            inner, _ = quad(
                lambda x, i=i, j=j: float(np.prod(basis.functions(np.array([[x]]), np.array([i, j])))), 0, 1, limit=200
            )
            assert inner == pytest.approx(float(i == j), abs=1e-8)


def test_values_and_functions_are_those_of_the_kernel() -> None:
    # int min(x, y) e(y) dy = lambda e(x)
    basis = sine_basis()
    for k in (1, 2, 5):
        for x in (0.2, 0.7):
            image, _ = quad(
                lambda t, k=k, x=x: min(x, t) * basis.functions(np.array([[t]]), np.array([k]))[0, 0], 0, 1, points=[x]
            )
            expected = basis.values(np.array([k]))[0] * basis.functions(np.array([[x]]), np.array([k]))[0, 0]
            assert image == pytest.approx(expected, rel=1e-6)
    # the sum over the periodic basis with beta = 2 is 1 + 2 sum cos(2 pi j u) / j^2 = 1 + 2 pi^2 B_2(u)
    periodic, x, k = fourier_basis(2.0), np.array([[0.1], [0.45]]), np.arange(1, 20001)
    e = periodic.functions(x, k)
    u = 0.35
    assert (e[0] * periodic.values(k)) @ e[1] == pytest.approx(1 + 2 * np.pi**2 * (u * u - u + 1 / 6), abs=1e-4)


def test_a_power_function_has_the_coefficients_of_its_source() -> None:
    f = power_function(0.4, sine_basis(), n_terms=200)
    assert_allclose(f.coefficients, np.arange(1.0, 201.0) ** -0.9)
    steep = power_function(0.5, fourier_basis(4.0), n_terms=10)
    assert_allclose(steep.coefficients, np.arange(1.0, 11.0) ** -1.5)
    x = np.array([[0.3]])
    value = sum(k**-0.9 * np.sqrt(2) * np.sin((k - 0.5) * np.pi * 0.3) for k in range(1, 201))
    assert f(x)[0] == pytest.approx(value, rel=1e-10)
    # many items and terms, in pieces
    long = power_function(0.4, sine_basis(), n_terms=2500)
    X = np.random.default_rng(0).random((9000, 1))
    assert_allclose(long(X)[[0, -1]], [long(X[:1])[0], long(X[-1:])[0]], rtol=1e-12)


def test_the_sobolev_norm_is_that_of_the_derivative() -> None:
    # |f|^2 in the space of min(x, y) is the integral of f'^2, for f with f(0) = 0: here 4/3 for x^2
    norm = power_norm(lambda X: np.asarray(X)[:, 0] ** 2, sine_basis(), 1.0, n_terms=500, n_points=8000)
    assert norm**2 == pytest.approx(4 / 3, rel=5e-3)
    assert power_norm(lambda X: np.asarray(X)[:, 0] ** 2, sine_basis()) ** 2 == pytest.approx(1 / 5, rel=1e-3)
    f = power_function(0.6, sine_basis(), n_terms=100)
    expected = np.sum(sine_basis().values(np.arange(1, 101)) ** -0.3 * f.coefficients**2)
    for given in (f, f.coefficients, lambda X: f(X)):
        assert power_norm(given, sine_basis(), 0.3, n_terms=100) ** 2 == pytest.approx(expected, rel=1e-8)


def test_coefficients_come_back() -> None:
    basis = fourier_basis(2.0)
    f = power_function(0.5, basis, n_terms=60)
    found = mercer_coefficients(lambda X: f(X), basis, n_terms=80)
    assert_allclose(found, np.append(f.coefficients, np.zeros(20)), atol=1e-12)
    assert np.array_equal(mercer_coefficients(f, basis, n_terms=80), np.append(f.coefficients, np.zeros(20)))


def test_bad_bases() -> None:
    for call, message in (
        (lambda: fourier_basis(1.0), "decay: expected a number above 1"),
        (lambda: power_function(0.0, sine_basis()), "source: expected a number above 0"),
        (lambda: power_function(0.4, "sine"), "basis: expected a MercerBasis"),
        (lambda: power_function(0.4, sine_basis(), n_terms=0), "expected whole numbers at least 1"),
        (lambda: power_norm(zero, sine_basis(), -0.1), "gamma: expected a number at least 0"),
        (lambda: mercer_coefficients(lambda X: 1.0, sine_basis()), "f: expected one number for each"),
    ):
        with pytest.raises(ParameterError, match=message):
            call()
