"""What the tests of this folder share: kernels, data, reference formulas."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import kernreg_euclidean as ke


def data(n: int, d: int, seed: int = 0, dtype: Any = np.float64) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d)).astype(dtype)


def kernels(d: int = 3) -> dict[str, Any]:
    """One or more of each entry; names are for test ids."""
    ard = list(np.linspace(0.6, 2.0, d))
    return {
        "rbf": ke.RBF(lengthscale=1.3),
        "rbf_ard": ke.RBF(lengthscale=ard),
        "laplace": ke.Laplace(lengthscale=2.0),
        "laplace_ard": ke.Laplace(lengthscale=ard),
        "matern12": ke.Matern(order=0.5),
        "matern32": ke.Matern(order=1.5, lengthscale=1.2),
        "matern52": ke.Matern(order=2.5, lengthscale=ard),
        "matern_inf": ke.Matern(order=math.inf),
        "matern_0.8": ke.Matern(order=0.8),
        "matern_1.2": ke.Matern(order=1.2),
        "matern_3.3": ke.Matern(order=3.3, lengthscale=1.5),
        "rational_quadratic": ke.RationalQuadratic(shape=0.7, lengthscale=1.4),
        "inverse_multiquadric": ke.InverseMultiquadric(lengthscale=1.1),
        "inverse_multiquadric_ard": ke.InverseMultiquadric(exponent=0.3, lengthscale=ard),
        "periodic": ke.Periodic(period=2.3, lengthscale=1.1),
        "periodic_ard": ke.Periodic(period=ard, lengthscale=ard),
        "linear": ke.Linear(),
        "polynomial": ke.Polynomial(),
        "polynomial_5": ke.Polynomial(degree=5, gamma=0.3, coef0=0.2),
        "polynomial_homogeneous": ke.Polynomial(degree=2, coef0=0.0),
        "tanh": ke.Tanh(coef0=-0.2),
        "cosine": ke.Cosine(),
        "arc_cosine_0": ke.ArcCosine(order=0),
        "arc_cosine_1": ke.ArcCosine(order=1, weight_variance=0.7, bias_variance=0.3),
        "arc_cosine_2": ke.ArcCosine(order=2, bias_variance=0.1),
        "anova": ke.Anova(),
        "anova_3": ke.Anova(degree=3),
        "spectral_mixture": ke.SpectralMixture(weights=[0.3, 0.7], means=[0.1, 0.4], scales=[0.1, 0.05]),
        "chi_squared": ke.ChiSquared(gamma=0.6),
    }


NAMES = list(kernels())
#: Kernels through Bessel functions.
SLOW = {"matern_0.8", "matern_1.2", "matern_3.3"}


def items(name: str, n: int, d: int = 3, seed: int = 0, dtype: Any = np.float64) -> np.ndarray:
    """Data that the kernel of that name takes."""
    X = data(n, d, seed, dtype)
    return np.abs(X) if name == "chi_squared" else X


def dense_formula(kernel: Any) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """k(X, Y) straight from the definition, by differences, in float64: an independent reference."""
    name = type(kernel).__name__

    def scaled(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x[:, None, :] - y[None, :, :]) / np.asarray(kernel.lengthscale, float)

    def radial(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (scaled(x, y) ** 2).sum(-1)

    def matern(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        from scipy.special import gamma, kv

        if kernel.order == math.inf:
            return np.exp(-0.5 * radial(x, y))
        a = np.sqrt(2 * kernel.order * radial(x, y))
        safe = np.where(a > 0, a, 1.0)
        value = 2 ** (1 - kernel.order) / gamma(kernel.order) * safe**kernel.order * kv(kernel.order, safe)
        return np.where(a > 0, value, 1.0)

    def periodic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        sine = np.sin(np.pi * (x[:, None, :] - y[None, :, :]) / np.asarray(kernel.period, float))
        return np.exp(-2 * (sine**2 / np.asarray(kernel.lengthscale, float) ** 2).sum(-1))

    def affine(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        gamma = 1 / x.shape[1] if kernel.gamma is None else kernel.gamma
        return gamma * (x @ y.T) + kernel.coef0

    def cosine(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return (x / np.linalg.norm(x, axis=1)[:, None]) @ (y / np.linalg.norm(y, axis=1)[:, None]).T

    def arc_cosine(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        u = np.hstack([np.sqrt(kernel.weight_variance) * x, np.full((len(x), 1), np.sqrt(kernel.bias_variance))])
        v = np.hstack([np.sqrt(kernel.weight_variance) * y, np.full((len(y), 1), np.sqrt(kernel.bias_variance))])
        a, b = np.linalg.norm(u, axis=1)[:, None], np.linalg.norm(v, axis=1)[None, :]
        uu, vv = (u / a)[:, None, :], (v / b.T)[None, :, :]
        t = 2 * np.arctan2(np.linalg.norm(uu - vv, axis=-1), np.linalg.norm(uu + vv, axis=-1))
        J = {
            0: np.pi - t,
            1: np.sin(t) + (np.pi - t) * np.cos(t),
            2: 3 * np.sin(t) * np.cos(t) + (np.pi - t) * (1 + 2 * np.cos(t) ** 2),
        }[kernel.order]
        return (a * b) ** kernel.order * J / np.pi

    def anova(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        from itertools import combinations

        product = x[:, None, :] * y[None, :, :]
        return sum(product[..., list(c)].prod(-1) for c in combinations(range(x.shape[1]), kernel.degree))

    def mixture(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        tau = x[:, None, :] - y[None, :, :]
        parts = zip(kernel.weights, kernel.means, kernel.scales, strict=True)
        return sum(
            w * (np.exp(-2 * np.pi**2 * tau**2 * s**2) * np.cos(2 * np.pi * tau * m)).prod(-1) for w, m, s in parts
        )

    def chi_squared(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        total = x[:, None, :] + y[None, :, :]
        ratio = (x[:, None, :] - y[None, :, :]) ** 2 / np.where(total > 0, total, 1)
        return np.exp(-kernel.gamma * ratio.sum(-1))

    formulas: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
        "RBF": lambda x, y: np.exp(-0.5 * radial(x, y)),
        "Laplace": lambda x, y: np.exp(-np.abs(scaled(x, y)).sum(-1)),
        "Matern": matern,
        "RationalQuadratic": lambda x, y: (1 + radial(x, y) / (2 * kernel.shape)) ** -kernel.shape,
        "InverseMultiquadric": lambda x, y: (1 + radial(x, y)) ** -kernel.exponent,
        "Periodic": periodic,
        "Linear": lambda x, y: x @ y.T,
        "Polynomial": lambda x, y: affine(x, y) ** kernel.degree,
        "Tanh": lambda x, y: np.tanh(affine(x, y)),
        "Cosine": cosine,
        "ArcCosine": arc_cosine,
        "Anova": anova,
        "SpectralMixture": mixture,
        "ChiSquared": chi_squared,
    }
    return lambda x, y: formulas[name](x.astype(np.float64), y.astype(np.float64))
