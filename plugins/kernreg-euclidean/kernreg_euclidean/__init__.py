"""Kernels on vectors, in NumPy and torch: RBF, Matern, periodic, polynomial, arc-cosine and more.

Every class is imported when it is first used; importing the package imports neither NumPy nor SciPy.
No kernel has a variance in front: that is written ``variance * kernel``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .anova import Anova
    from .arc_cosine import ArcCosine
    from .chi_squared import ChiSquared
    from .cosine import Cosine
    from .grid import Grid
    from .landmarks import KMeansLandmarks, UniformLandmarks
    from .laplace import Laplace
    from .leverage import LeverageLandmarks
    from .linear import Linear
    from .matern import Matern
    from .nystrom import Nystrom
    from .periodic import Periodic
    from .pivoted import PivotedCholesky
    from .polynomial import Polynomial, Tanh
    from .positive_features import PositiveFeatures
    from .random_fourier import RandomFourier
    from .rational import InverseMultiquadric, RationalQuadratic
    from .rbf import RBF
    from .spectral_mixture import SpectralMixture
    from .tensor_sketch import TensorSketch

_WHERE = {
    "Anova": "anova",
    "ArcCosine": "arc_cosine",
    "ChiSquared": "chi_squared",
    "Cosine": "cosine",
    "Grid": "grid",
    "InverseMultiquadric": "rational",
    "KMeansLandmarks": "landmarks",
    "Laplace": "laplace",
    "LeverageLandmarks": "leverage",
    "Linear": "linear",
    "Matern": "matern",
    "Nystrom": "nystrom",
    "Periodic": "periodic",
    "PivotedCholesky": "pivoted",
    "Polynomial": "polynomial",
    "PositiveFeatures": "positive_features",
    "RBF": "rbf",
    "RandomFourier": "random_fourier",
    "RationalQuadratic": "rational",
    "SpectralMixture": "spectral_mixture",
    "Tanh": "polynomial",
    "TensorSketch": "tensor_sketch",
    "UniformLandmarks": "landmarks",
}

__all__ = [
    "Anova",
    "ArcCosine",
    "ChiSquared",
    "Cosine",
    "Grid",
    "InverseMultiquadric",
    "KMeansLandmarks",
    "Laplace",
    "LeverageLandmarks",
    "Linear",
    "Matern",
    "Nystrom",
    "Periodic",
    "PivotedCholesky",
    "Polynomial",
    "PositiveFeatures",
    "RBF",
    "RandomFourier",
    "RationalQuadratic",
    "SpectralMixture",
    "Tanh",
    "TensorSketch",
    "UniformLandmarks",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """The class `name`, from the module that defines it."""
        if name not in _WHERE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has: {', '.join(__all__)}")
        from importlib import import_module

        found = getattr(import_module(f".{_WHERE[name]}", __name__), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted(__all__)
