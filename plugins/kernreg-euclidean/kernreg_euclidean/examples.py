"""A small working example of each entry, (kernel, X): see ``Card.example``."""

from __future__ import annotations

import numpy as np

from .anova import Anova
from .arc_cosine import ArcCosine
from .chi_squared import ChiSquared
from .cosine import Cosine
from .demonstration import demo as demo
from .laplace import Laplace
from .linear import Linear
from .matern import Matern
from .periodic import Periodic
from .polynomial import Polynomial, Tanh
from .rational import InverseMultiquadric, RationalQuadratic
from .rbf import RBF
from .spectral_mixture import SpectralMixture


def points(n: int = 12, d: int = 3) -> np.ndarray:
    """Standard normal points, the same each time, shape (n, d)."""
    return np.random.default_rng(0).standard_normal((n, d))


def rbf() -> tuple[RBF, np.ndarray]:
    """An RBF kernel with a length scale for each feature."""
    return RBF(lengthscale=[1.0, 2.0, 0.5]), points()


def laplace() -> tuple[Laplace, np.ndarray]:
    """A Laplace kernel."""
    return Laplace(lengthscale=2.0), points()


def matern() -> tuple[Matern, np.ndarray]:
    """A Matern kernel of order 5/2."""
    return Matern(lengthscale=1.5), points()


def rational_quadratic() -> tuple[RationalQuadratic, np.ndarray]:
    """A rational quadratic kernel with heavy tails."""
    return RationalQuadratic(shape=0.5), points()


def periodic() -> tuple[Periodic, np.ndarray]:
    """A kernel of period 2 in every feature."""
    return Periodic(period=2.0), points()


def linear() -> tuple[Linear, np.ndarray]:
    """The linear kernel."""
    return Linear(), points()


def polynomial() -> tuple[Polynomial, np.ndarray]:
    """A cubic kernel."""
    return Polynomial(degree=3), points()


def tanh() -> tuple[Tanh, np.ndarray]:
    """A sigmoid kernel."""
    return Tanh(coef0=-0.5), points()


def cosine() -> tuple[Cosine, np.ndarray]:
    """Cosine similarity."""
    return Cosine(), points()


def arc_cosine() -> tuple[ArcCosine, np.ndarray]:
    """The kernel of an infinitely wide ReLU layer."""
    return ArcCosine(order=1), points()


def inverse_multiquadric() -> tuple[InverseMultiquadric, np.ndarray]:
    """An inverse multiquadric kernel."""
    return InverseMultiquadric(lengthscale=2.0), points()


def chi_squared() -> tuple[ChiSquared, np.ndarray]:
    """A chi-squared kernel on histograms."""
    histograms = np.abs(points(12, 6))
    return ChiSquared(), histograms / histograms.sum(axis=1, keepdims=True)


def anova() -> tuple[Anova, np.ndarray]:
    """Pairwise interactions of features."""
    return Anova(degree=2), points()


def spectral_mixture() -> tuple[SpectralMixture, np.ndarray]:
    """Two frequencies of equal weight."""
    return SpectralMixture(weights=[0.5, 0.5], means=[0.1, 0.5], scales=[0.1, 0.05]), points()
