"""Which kernels are products of kernels of single coordinates, and what these are."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kernreg_core.composites import Power, Product, Scaled

from . import _parameters
from .laplace import Laplace
from .matern import Matern
from .periodic import Periodic
from .rbf import RBF
from .spectral_mixture import SpectralMixture


def coordinate_kernels(kernel: Any, d: int) -> tuple[float, list[Any]] | None:
    r"""The factors of a kernel that is a product over coordinates.

    .. math:: k(x, y) = c \prod_{i=1}^d k_i(x_i, y_i)

    Parameters
    ----------
    kernel : kernel
        RBF, Laplace, periodic, a spectral mixture of one component, and multiples, products and whole powers of such;
        any kernel where d = 1.
    d : int
        Coordinates.

    Returns
    -------
    (c, [k_1, ..., k_d]), or None
        None where the kernel is not known to be such a product.
    """
    if d == 1:
        return 1.0, [kernel]
    if isinstance(kernel, Scaled):
        inner = coordinate_kernels(kernel.kernel, d)
        return inner and (_parameters.number("variance", kernel.variance) * inner[0], inner[1])
    if isinstance(kernel, Power):
        return _power(kernel, d)
    if isinstance(kernel, Product):
        parts = [coordinate_kernels(part, d) for part in kernel.parts()]
        found = [part for part in parts if part is not None]
        if len(found) < len(parts):
            return None
        return math.prod(c for c, _ in found), [Product(*(factors[i] for _, factors in found)) for i in range(d)]
    return _single(kernel, d)


def _power(kernel: Power, d: int) -> tuple[float, list[Any]] | None:
    exponent = _parameters.number("exponent", kernel.exponent, above=0.0)
    inner = coordinate_kernels(kernel.kernel, d)
    if inner is None or exponent != int(exponent):
        return None
    return inner[0] ** int(exponent), [Power(kernel=factor, exponent=int(exponent)) for factor in inner[1]]


def _each(name: str, value: Any, d: int) -> list[float]:
    return np.broadcast_to(_parameters.lengthscale(name, value, d), d).tolist()


def _single(kernel: Any, d: int) -> tuple[float, list[Any]] | None:
    """The factors of a kernel that is no composite; a subclass may be another kernel, so the class itself is asked."""
    if type(kernel) is RBF or (type(kernel) is Matern and kernel.order == math.inf):
        return 1.0, [RBF(lengthscale=length) for length in _each("lengthscale", kernel.lengthscale, d)]
    if type(kernel) is Laplace:
        return 1.0, [Laplace(lengthscale=length) for length in _each("lengthscale", kernel.lengthscale, d)]
    if type(kernel) is Periodic:
        pairs = zip(_each("period", kernel.period, d), _each("lengthscale", kernel.lengthscale, d), strict=True)
        return 1.0, [Periodic(period=period, lengthscale=length) for period, length in pairs]
    if type(kernel) is SpectralMixture:
        weights, means, scales = kernel._components(d)
        if len(weights) > 1:
            return None
        return float(weights[0]), [
            SpectralMixture(weights=[1.0], means=[mean], scales=[scale])
            for mean, scale in zip(means[0].tolist(), scales[0].tolist(), strict=True)
        ]
    return None
