"""Matern kernels of any order."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from kernreg_core.errors import ParameterError

from ._bessel import bessel_value, tensor_bessel
from ._parameters import number
from ._radial import Profile, RadialKernel
from ._spectra import gamma_quantile
from .rbf import gaussian_profile

#: Above it the kernel is the RBF kernel to four digits, and Bessel functions overflow everywhere.
LARGEST_ORDER = 300.0


def _safe_root(xp: Any, g: Any) -> Any:
    """sqrt(g) with gradient 0 at 0 (torch), and as it is (NumPy)."""
    positive = g > 0
    return xp.where(positive, xp.sqrt(xp.where(positive, g, 1.0)), 0.0)


def _half(f: Any, g: Any) -> Any:
    return f.exp(f.neg(f.sqrt(g)))


def _three_halves(f: Any, g: Any) -> Any:
    a = f.sqrt(g)
    decay = f.exp(f.neg(f.copy(a)))
    return f.mul(f.add(a, 1.0), decay)


def _five_halves(f: Any, g: Any) -> Any:
    a = f.copy_sqrt(g)
    polynomial = f.add(f.add(f.mul(g, 1.0 / 3.0), a), 1.0)
    return f.mul(polynomial, f.exp(f.neg(a)))


def _with_smooth_origin(formula: Callable[[Any, Any], Any], slope: float) -> Callable[[Any, Any], Any]:
    """`formula`, which goes through sqrt(g), given its true derivative `slope` at g = 0."""
    return lambda f, g: f.at_zero(formula, g, slope)


@cache
def _closed_profile(order: float) -> Profile:
    """Order 1/2, 3/2 or 5/2."""
    factor = 2.0 * order

    def root(xp: Any, s: Any) -> Any:
        return _safe_root(xp, factor * s)

    if order == 0.5:
        return Profile(
            factor=factor,
            formula=_half,
            first=lambda xp, s: _over_root(xp, s, -0.5 * xp.exp(-root(xp, s)), 1.0),
            second=lambda xp, s: _over_root(
                xp, s, 0.25 * xp.exp(-root(xp, s)) * (1.0 + _over_root(xp, s, 1.0, 1.0)), 2.0
            ),
        )
    if order == 1.5:
        return Profile(
            factor=factor,
            formula=_with_smooth_origin(_three_halves, -0.5),
            first=lambda xp, s: -1.5 * xp.exp(-root(xp, s)),
            second=lambda xp, s: _over_root(xp, 3.0 * s, 2.25 * xp.exp(-root(xp, s)), 1.0),
            passes=True,
        )
    return Profile(
        factor=factor,
        formula=_with_smooth_origin(_five_halves, -1.0 / 6.0),
        first=lambda xp, s: (-5.0 / 6.0) * (1.0 + root(xp, s)) * xp.exp(-root(xp, s)),
        second=lambda xp, s: (25.0 / 12.0) * xp.exp(-root(xp, s)),
        passes=True,
    )


def _over_root(xp: Any, s: Any, value: Any, power: float) -> Any:
    """``value / sqrt(s) ** power``, 0 where s = 0."""
    positive = s > 0
    return xp.where(positive, value / xp.where(positive, s, 1.0) ** (0.5 * power), 0.0)


def _bessel_profile(order: float) -> Profile:
    """Any order, through K_order. With M_v(g) = a^v K_v(a), a = sqrt(g): dM_v/dg = -M_(v-1) / 2."""
    factor = 2.0 * order

    def formula(f: Any, g: Any) -> Any:
        return f.bessel(g, order)

    def derivative(xp: Any, s: Any, times: int) -> Any:
        # the normalised function's derivative, phi = c_v M_v(2 v s), c_v = 2^(1-v) / Gamma(v)
        g = factor * s
        sign = (-order) ** times
        if xp is np:
            return sign * bessel_value(np.asarray(g), order, times)
        return sign * tensor_bessel(g, order, times)

    return Profile(
        factor=factor,
        formula=formula,
        first=lambda xp, s: derivative(xp, s, 1),
        second=lambda xp, s: derivative(xp, s, 2),
    )


class Matern(RadialKernel):
    r"""Matern kernel of order nu: sample functions are differentiable up to, not including, order nu.

    .. math::
        k(x, y) = \frac{2^{1-\nu}}{\Gamma(\nu)} a^\nu K_\nu(a), \qquad
        a = \sqrt{2\nu \sum_k (x_k - y_k)^2 / l_k^2}

    which is :math:`e^{-a}` for order 1/2, :math:`(1 + a) e^{-a}` for 3/2,
    :math:`(1 + a + a^2/3) e^{-a}` for 5/2, and the RBF kernel for infinite order.

    Parameters
    ----------
    order : float, default 2.5
        nu, in (0, 300] or ``math.inf``. 1/2, 3/2 and 5/2 are closed forms and fast; other orders
        use the Bessel function K (about 100 times slower).
    lengthscale : float or array of shape (d,), default 1.0
        l, in the units of X: one for all features, or one for each (ARD). Positive.

    Raises
    ------
    ParameterError
        At call, if a parameter is out of range or `lengthscale` has the wrong length.

    Notes
    -----
    Same length scale as scikit-learn's ``gaussian_process.kernels.Matern(length_scale, nu)`` and
    GPyTorch's ``MaternKernel(nu)``. In terms of a ``gamma`` in ``exp(-gamma |x - y|)``, order 1/2 has
    ``lengthscale = 1 / gamma``.

    The capability ``gradients`` needs an order above 1. Where x = y the gradient is 0, for orders up to 1/2
    too, where the kernel has a kink.

    References
    ----------
    M. L. Stein, Interpolation of Spatial Data, Springer 1999; C. E. Rasmussen and C. K. I. Williams,
    Gaussian Processes for Machine Learning, MIT Press 2006, section 4.2.1.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0], [1.0]])
    >>> Matern(order=1.5)(X).round(6)
    array([[1.      , 0.483358],
           [0.483358, 1.      ]])
    >>> "gradients" in Matern(order=0.5).capabilities
    False
    """

    def __init__(self, *, order: Any = 2.5, lengthscale: Any = 1.0) -> None:
        self.order = order
        self.lengthscale = lengthscale

    @property
    def capabilities(self) -> frozenset[str]:  # type: ignore[override]
        """Without ``gradients`` for orders up to 1, where second derivatives do not exist."""
        all_of_them = RadialKernel.capabilities
        try:
            return all_of_them if self._order() > 1 else all_of_them - {"gradients"}
        except ParameterError:
            return all_of_them - {"gradients"}

    def _order(self) -> float:
        order = number("order", self.order, above=0.0, infinite=True)
        if LARGEST_ORDER < order < math.inf:
            raise ParameterError(
                f"order: expected a number in (0, {LARGEST_ORDER:g}] or math.inf, got {self.order!r}: "
                "orders this high are the RBF kernel for all purposes, which math.inf gives"
            )
        return order

    def check_parameters(self, X: Any) -> None:
        """Raise ParameterError unless ``order`` is in range and ``lengthscale`` fits the columns of `X`."""
        super().check_parameters(X)
        self._order()

    def _profile(self, parameter: Callable[[str], Any]) -> Profile:
        order = self._order()  # a number even where it came as a tensor: no gradient flows to it
        if order == math.inf:
            return gaussian_profile()
        return _closed_profile(order) if order in (0.5, 1.5, 2.5) else _bessel_profile(order)

    def _has_one_scale(self) -> bool:
        return self._order() == math.inf

    def spectral_scale(self, u: np.ndarray) -> np.ndarray:
        """The scales of Gaussian frequencies: one over the root of a gamma variable of mean 1 and shape nu.

        Frequencies are Student's t with 2 nu degrees of freedom.

        Parameters
        ----------
        u : ndarray
            In (0, 1).

        Returns
        -------
        ndarray, shape of `u`
        """
        order = self._order()
        if order == math.inf:
            return np.ones_like(u)
        # of very small orders nearly all frequencies are infinite to a float: waves as good as white noise
        return np.sqrt(order / np.maximum(gamma_quantile(order, u), 1e-200))


__all__ = ["LARGEST_ORDER", "Matern"]
