"""Spectral laws: where the frequencies of stationary kernels come from, at random or from points of the unit cube.

A frequency w of a kernel has ``k(x, y) = k(0) E[cos(w . (x - y))]``. ``spectral_sample(n, d, rng)`` draws some;
``spectral_inverse(d)`` gives the same law as a map of the unit cube, which quasi-Monte Carlo needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _parameters

#: ``spectral_inverse(d)``: coordinates m, and the map from points (n, m) to frequencies (n, d).
Inverse = tuple[int, Callable[[np.ndarray], np.ndarray]]
#: The least uniform number that is used: 0 would be an infinite quantile.
LEAST = 2.0**-54


class GaussianMixture:
    """A spectral law that is a scale mixture of Gaussians: w = s z / lengthscale, z normal, s > 0 independent of z.

    Every kernel that is a function of the distance in all dimensions has such a law (Schoenberg 1938). A subclass
    writes :meth:`spectral_scale`.
    """

    lengthscale: Any
    #: The parameter that divides the frequencies.
    spectral_unit = "lengthscale"

    def spectral_scale(self, u: np.ndarray) -> np.ndarray:
        """The scales s of Gaussian frequencies, as a function of uniform numbers.

        A frequency is ``s z / lengthscale`` with z standard normal, which may be coupled with others (orthogonal,
        simplex): its law does not change.

        Parameters
        ----------
        u : ndarray
            In (0, 1).

        Returns
        -------
        ndarray, shape of `u`
            1 for the Gaussian kernel.
        """
        return np.ones_like(u)

    def _has_one_scale(self) -> bool:
        """Whether s is 1: a frequency then needs no uniform number for it."""
        return type(self).spectral_scale is GaussianMixture.spectral_scale

    def spectral_sample(self, n: int, d: int, rng: Any = None) -> np.ndarray:
        """`n` angular frequencies w with ``k(x, y) = E[cos(w . (x - y))]``: normal, of random scale.

        Parameters
        ----------
        n, d : int
            Frequencies, and features of the data.
        rng : int, numpy Generator or None

        Returns
        -------
        ndarray, shape (n, d)
        """
        rng = np.random.default_rng(rng)
        lengthscale = _parameters.lengthscale("lengthscale", self.lengthscale, d)
        normal = rng.standard_normal((n, d))
        if not self._has_one_scale():
            normal *= self.spectral_scale(np.maximum(rng.random(n), LEAST))[:, None]
        return normal / lengthscale

    def spectral_inverse(self, d: int) -> Inverse:
        """The map that turns uniform points into frequencies: normal quantiles, and one of the scale.

        Parameters
        ----------
        d : int
            Features of the data.

        Returns
        -------
        m : int
            Coordinates of a point: d, and one for the scale where it is not 1.
        inverse : callable
            Takes points of the open unit cube, (n, m), to frequencies, (n, d).
        """
        lengthscale = _parameters.lengthscale("lengthscale", self.lengthscale, d)
        one_scale = self._has_one_scale()

        def inverse(U: np.ndarray) -> np.ndarray:
            normal = normal_quantile(U[:, :d])
            return normal / lengthscale if one_scale else normal * self.spectral_scale(U[:, d])[:, None] / lengthscale

        return d if one_scale else d + 1, inverse


def normal_quantile(u: np.ndarray) -> np.ndarray:
    """Standard normal quantiles of numbers in (0, 1)."""
    from scipy.special import ndtri

    found: np.ndarray = ndtri(u)
    return found


def gamma_quantile(shape: float, u: np.ndarray) -> np.ndarray:
    """Quantiles of the gamma distribution with that shape and scale 1."""
    from scipy.special import gammaincinv

    found: np.ndarray = gammaincinv(shape, u)
    return found


def cauchy_quantile(u: np.ndarray) -> np.ndarray:
    """Standard Cauchy quantiles of numbers in (0, 1), accurate in both tails."""
    # the cotangent of the distance to the nearer end: tan(pi (u - 1/2)) loses the digits of small u
    return np.where(u < 0.5, -1.0, 1.0) / np.tan(math.pi * np.minimum(u, 1.0 - u))


#: Beyond this mean square the harmonics of a periodic kernel are normal to 7 digits.
LARGEST_SKELLAM = 1e6


def skellam_quantile(variance: float, u: np.ndarray) -> np.ndarray:
    """Quantiles of the difference of two Poisson variables of mean ``variance / 2``: whole numbers.

    Their probabilities are ``exp(-c) I_j(c)`` with c the variance, and are summed up to the tails where they vanish.
    """
    if variance > LARGEST_SKELLAM:
        return np.rint(math.sqrt(variance) * normal_quantile(u))
    from scipy.special import ive

    reach = math.ceil(9.0 * math.sqrt(variance) + 40.0)  # tails beyond are below 1e-17
    j = np.arange(reach + 1)
    upper = ive(j, variance)
    # the law is symmetric: summed from the tails inwards, small probabilities keep their digits
    tail = np.cumsum(upper[::-1])[::-1]
    lower = np.minimum(u, 1.0 - u)
    # P(J >= j) = tail[j]: the harmonic is the number of j >= 1 whose tail exceeds the smaller end
    found = np.searchsorted(-tail[1:], -lower, side="left").astype(np.float64)
    return np.where(u < 0.5, -found, found)
