"""Rational kernels: rational quadratic and inverse multiquadric, both mixtures of RBF kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ._parameters import number
from ._radial import Profile, RadialKernel
from ._spectra import gamma_quantile


def _power_profile(factor: Any, exponent: Any) -> Profile:
    """phi(s) = (1 + factor s) ** -exponent."""

    def power(xp: Any, s: Any, times: int) -> Any:
        return xp.exp(-(exponent + times) * xp.log1p(factor * s))

    return Profile(
        factor=factor,
        formula=lambda f, g: f.exp(f.mul(f.log1p(g), -exponent)),
        first=lambda xp, s: (-exponent * factor) * power(xp, s, 1),
        second=lambda xp, s: (exponent * (exponent + 1.0) * factor * factor) * power(xp, s, 2),
    )


class RationalQuadratic(RadialKernel):
    r"""Rational quadratic kernel: RBF kernels of all length scales, mixed by a gamma distribution.

    .. math:: k(x, y) = \Big(1 + \frac{1}{2a} \sum_k \frac{(x_k - y_k)^2}{l_k^2}\Big)^{-a}

    Parameters
    ----------
    shape : float, default 1.0
        a > 0, the shape of the gamma distribution that mixes the inverse squared length scales:
        small is a wide mixture with heavy tails, infinity the RBF kernel. (``alpha`` in most texts;
        in kernreg that name is the ridge penalty.)
    lengthscale : float or array of shape (d,), default 1.0
        l, in the units of X: one for all features, or one for each (ARD). Positive.

    Raises
    ------
    ParameterError
        At call, if a parameter is not positive or `lengthscale` has the wrong length.

    Notes
    -----
    ``shape`` is ``alpha`` of scikit-learn's ``gaussian_process.kernels.RationalQuadratic`` and of
    GPyTorch's ``RQKernel``; the length scale is the same in all three.

    References
    ----------
    C. E. Rasmussen and C. K. I. Williams, Gaussian Processes for Machine Learning, MIT Press 2006,
    section 4.2.1.

    Examples
    --------
    >>> import numpy as np
    >>> RationalQuadratic(shape=0.5)(np.array([[0.0], [1.0]])).round(6)
    array([[1.      , 0.707107],
           [0.707107, 1.      ]])
    """

    def __init__(self, *, shape: Any = 1.0, lengthscale: Any = 1.0) -> None:
        self.shape = shape
        self.lengthscale = lengthscale

    def check_parameters(self, X: Any) -> None:
        """Raise ParameterError unless ``shape`` is positive and ``lengthscale`` fits the columns of `X`."""
        super().check_parameters(X)
        number("shape", self.shape, above=0.0)

    def _profile(self, parameter: Callable[[str], Any]) -> Profile:
        shape = parameter("shape")
        return _power_profile(0.5 / shape, shape)

    def spectral_scale(self, u: np.ndarray) -> np.ndarray:
        """The scales of Gaussian frequencies: the root of a gamma variable of mean 1 and shape a.

        Parameters
        ----------
        u : ndarray
            In (0, 1).

        Returns
        -------
        ndarray, shape of `u`
        """
        shape = number("shape", self.shape, above=0.0)
        return np.sqrt(gamma_quantile(shape, u) / shape)


class InverseMultiquadric(RadialKernel):
    r"""Inverse multiquadric kernel, whose slow decay makes Stein discrepancies detect non-convergence.

    .. math:: k(x, y) = \Big(1 + \sum_k \frac{(x_k - y_k)^2}{l_k^2}\Big)^{-b}

    Parameters
    ----------
    exponent : float, default 0.5
        b > 0. Stein discrepancies want b in (0, 1).
    lengthscale : float or array of shape (d,), default 1.0
        l, in the units of X: one for all features, or one for each (ARD). Positive.

    Raises
    ------
    ParameterError
        At call, if a parameter is not positive or `lengthscale` has the wrong length.

    Notes
    -----
    The form ``(c^2 + |x - y|^2) ** -b`` is ``c ** (-2 * b) * InverseMultiquadric(exponent=b, lengthscale=c)``.
    It is ``RationalQuadratic(shape=b)`` with the length scale divided by ``(2 * b) ** 0.5``;
    scikit-learn's and GPyTorch's rational quadratic kernels translate accordingly.

    References
    ----------
    C. A. Micchelli, Interpolation of scattered data, Constructive Approximation 1986; J. Gorham and
    L. Mackey, Measuring Sample Quality with Kernels, ICML 2017 (arXiv:1703.01717).

    Examples
    --------
    >>> import numpy as np
    >>> InverseMultiquadric()(np.array([[0.0], [1.0]])).round(6)
    array([[1.      , 0.707107],
           [0.707107, 1.      ]])
    >>> InverseMultiquadric().grad_xy_trace(np.zeros((1, 3)))
    array([[3.]])
    """

    def __init__(self, *, exponent: Any = 0.5, lengthscale: Any = 1.0) -> None:
        self.exponent = exponent
        self.lengthscale = lengthscale

    def check_parameters(self, X: Any) -> None:
        """Raise ParameterError unless ``exponent`` is positive and ``lengthscale`` fits the columns of `X`."""
        super().check_parameters(X)
        number("exponent", self.exponent, above=0.0)

    def _profile(self, parameter: Callable[[str], Any]) -> Profile:
        return _power_profile(1.0, parameter("exponent"))

    def spectral_scale(self, u: np.ndarray) -> np.ndarray:
        """The scales of Gaussian frequencies: the root of twice a gamma variable of shape b.

        Parameters
        ----------
        u : ndarray
            In (0, 1).

        Returns
        -------
        ndarray, shape of `u`
        """
        return np.sqrt(2.0 * gamma_quantile(number("exponent", self.exponent, above=0.0), u))
