"""A small working example of each entry with random features, (kernel, X): see ``Card.example``."""

from __future__ import annotations

import numpy as np

from .examples import points
from .matern import Matern
from .positive_features import PositiveFeatures
from .random_fourier import RandomFourier
from .tensor_sketch import TensorSketch


def random_fourier() -> tuple[RandomFourier, np.ndarray]:
    """Orthogonal features of a Matern kernel."""
    return RandomFourier(kernel=Matern(lengthscale=2.0), n_features=64, coupling="orthogonal", rng=0), points()


def positive_features() -> tuple[PositiveFeatures, np.ndarray]:
    """Simplex features of a Gaussian kernel, within a length scale of the origin."""
    return PositiveFeatures(lengthscale=3.0, n_features=64, rng=0), points()


def tensor_sketch() -> tuple[TensorSketch, np.ndarray]:
    """Sketch of a quadratic kernel."""
    return TensorSketch(degree=2, n_features=64, rng=0), points()
