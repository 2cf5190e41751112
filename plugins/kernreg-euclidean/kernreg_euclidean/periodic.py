"""The periodic kernel."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from kernreg_core.arrays import is_torch
from kernreg_core.base import provides

from . import _parameters
from ._distances import make_rows
from ._ops import Functional
from ._radial import radial_tiles
from ._spectra import Inverse, skellam_quantile
from ._tiles import Tiles
from ._torch import squared
from ._vectors import VectorKernel, generator, ones_like_rows
from .rbf import gaussian_profile


class Periodic(VectorKernel):
    r"""Periodic kernel: the RBF kernel of the points on a circle (for d features, on a torus).

    .. math:: k(x, y) = \exp\Big(-2 \sum_k \frac{\sin^2(\pi (x_k - y_k) / p_k)}{l_k^2}\Big)

    Parameters
    ----------
    period : float or array of shape (d,), default 1.0
        p, in the units of X. Positive.
    lengthscale : float or array of shape (d,), default 1.0
        l, without unit: relative to the diameter of the circle. Positive.

    Raises
    ------
    ParameterError
        At call, if a parameter is not positive or is a vector of the wrong length.

    Notes
    -----
    For one feature this is scikit-learn's ``ExpSineSquared(length_scale, periodicity)`` (for more it
    takes the sine of the Euclidean distance, which is not positive semi-definite), and GPyTorch's
    ``PeriodicKernel`` whose ``lengthscale`` is this one squared.

    References
    ----------
    D. J. C. MacKay, Introduction to Gaussian Processes, 1998.

    Examples
    --------
    >>> import numpy as np
    >>> Periodic(period=2.0)(np.array([[0.0], [1.0], [2.0]])).round(6)
    array([[1.      , 0.135335, 1.      ],
           [0.135335, 1.      , 0.135335],
           [1.      , 0.135335, 1.      ]])
    """

    #: The parameter that divides the frequencies.
    spectral_unit = "period"
    capabilities = frozenset({"symmetric", "psd", "stationary", "normalized", "diag", "matvec", "differentiable"})

    def __init__(self, *, period: Any = 1.0, lengthscale: Any = 1.0) -> None:
        self.period = period
        self.lengthscale = lengthscale

    def check_parameters(self, X: Any) -> None:
        """Raise ParameterError unless ``period`` and ``lengthscale`` fit the columns of `X`."""
        _parameters.lengthscale("period", self.period, X.shape[1])
        _parameters.lengthscale("lengthscale", self.lengthscale, X.shape[1])

    def _circle(self, xp: Any, X: Any, period: Any, lengthscale: Any) -> Any:
        """The points (cos, sin)(2 pi x / p) / l, shape (n, 2 d): their distance is the kernel's."""
        # fmod is exact: a large x loses no digit that it had
        angle = xp.fmod(X, period) * (2.0 * math.pi) / period
        parts = [xp.cos(angle) / lengthscale, xp.sin(angle) / lengthscale]
        return xp.concat(parts, 1) if is_torch(X) else np.concatenate(parts, axis=1)

    def _tiles(self, X: Any, Y: Any, dtype: Any) -> Tiles:
        d = X.shape[1]
        period = _parameters.lengthscale("period", self.period, d)
        scale = _parameters.lengthscale("lengthscale", self.lengthscale, d)
        A = self._circle(np, X.astype(np.float64, copy=False), period, scale)
        B = A if Y is X else self._circle(np, Y.astype(np.float64, copy=False), period, scale)
        profile = gaussian_profile()
        return radial_tiles(make_rows(A, B, 1.0, profile.factor), profile, dtype)

    def _functional(self, X: Any, Y: Any) -> Any:
        torch = sys.modules["torch"]
        # whole turns are counted in float64: a float32 period is wrong by many turns' worth of digits
        wide = X if X.device.type == "mps" else X.double()
        period, scale = self._operand("period", wide), self._operand("lengthscale", wide)
        A = self._circle(torch, wide, period, scale).to(X.dtype)
        B = A if Y is X else self._circle(torch, Y.to(wide.dtype), period, scale).to(X.dtype)
        profile = gaussian_profile()
        return profile.formula(Functional(), squared(A, B, 1.0, profile.slope) * profile.factor)

    @provides("diag")
    def diag(self, X: Any) -> Any:
        """The diagonal of k(X), which is 1, shape (n,)."""
        X, _ = self.check_items(X)
        return ones_like_rows(X)

    def spectral_sample(self, n: int, d: int, rng: Any = None) -> np.ndarray:
        """`n` angular frequencies w with ``k(x, y) = E[cos(w . (x - y))]``: multiples of 2 pi / p.

        The weights of the harmonics are ``exp(-c) I_j(c)`` with c = 1 / l^2, the Skellam
        distribution: the difference of two Poisson variables of mean c / 2.

        Parameters
        ----------
        n, d : int
            Frequencies, and features of the data.
        rng : int, numpy Generator or None

        Returns
        -------
        ndarray, shape (n, d)
        """
        rng = generator(rng)
        period = _parameters.lengthscale("period", self.period, d)
        scale = _parameters.lengthscale("lengthscale", self.lengthscale, d)
        mean = np.broadcast_to(0.5 / np.square(scale), (n, d))
        # numpy's Poisson overflows for huge means, where the difference is normal to all digits
        exact = np.minimum(mean, 1e9)
        harmonic = rng.poisson(exact).astype(np.float64) - rng.poisson(exact)
        harmonic = np.where(mean > 1e9, np.rint(np.sqrt(2.0 * mean) * rng.standard_normal((n, d))), harmonic)
        return harmonic * (2.0 * math.pi / np.asarray(period))

    def spectral_inverse(self, d: int) -> Inverse:
        """The map that turns uniform points into frequencies: Skellam quantiles times 2 pi / p.

        Parameters
        ----------
        d : int
            Features of the data, and coordinates of a point.

        Returns
        -------
        m : int
            d.
        inverse : callable
            Takes points of the open unit cube, (n, d), to frequencies, (n, d).
        """
        period = _parameters.lengthscale("period", self.period, d)
        scale = _parameters.lengthscale("lengthscale", self.lengthscale, d)
        variances = np.broadcast_to(np.square(scale) ** -1.0, (d,))

        def inverse(U: np.ndarray) -> np.ndarray:
            harmonic = np.stack([skellam_quantile(float(c), U[:, k]) for k, c in enumerate(variances)], axis=1)
            return harmonic * (2.0 * math.pi / np.asarray(period))

        return d, inverse
