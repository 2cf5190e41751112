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
    from .laplace import Laplace
    from .linear import Linear
    from .matern import Matern
    from .periodic import Periodic
    from .polynomial import Polynomial, Tanh
    from .rational import InverseMultiquadric, RationalQuadratic
    from .rbf import RBF
    from .spectral_mixture import SpectralMixture

_WHERE = {
    "Anova": "anova",
    "ArcCosine": "arc_cosine",
    "ChiSquared": "chi_squared",
    "Cosine": "cosine",
    "InverseMultiquadric": "rational",
    "Laplace": "laplace",
    "Linear": "linear",
    "Matern": "matern",
    "Periodic": "periodic",
    "Polynomial": "polynomial",
    "RBF": "rbf",
    "RationalQuadratic": "rational",
    "SpectralMixture": "spectral_mixture",
    "Tanh": "polynomial",
}

__all__ = [
    "RBF",
    "Anova",
    "ArcCosine",
    "ChiSquared",
    "Cosine",
    "InverseMultiquadric",
    "Laplace",
    "Linear",
    "Matern",
    "Periodic",
    "Polynomial",
    "RationalQuadratic",
    "SpectralMixture",
    "Tanh",
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
