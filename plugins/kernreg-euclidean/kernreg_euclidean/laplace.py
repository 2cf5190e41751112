"""The Laplace kernel, of the L1 distance."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernreg_core.base import provides

from . import _parameters
from ._ops import Functional, InPlace
from ._spectra import Inverse, cauchy_quantile
from ._tiles import STRIP, Scratch, Tiles
from ._torch import cityblock
from ._vectors import VectorKernel, generator, ones_like_rows


class Laplace(VectorKernel):
    r"""Laplace kernel: the exponential of the L1 (city block) distance.

    .. math:: k(x, y) = \exp\Big(-\sum_k \frac{|x_k - y_k|}{l_k}\Big)

    Parameters
    ----------
    lengthscale : float or array of shape (d,), default 1.0
        l, in the units of X: one for all features, or one for each (ARD). Positive.

    Raises
    ------
    ParameterError
        At call, if `lengthscale` is not positive or has another length than X has columns.

    See Also
    --------
    Matern : with ``order=0.5`` the exponential of the Euclidean distance.

    Notes
    -----
    scikit-learn's ``laplacian_kernel(X, Y, gamma)`` is ``Laplace(lengthscale=1 / gamma)``, also of the
    L1 distance. GPyTorch has no kernel of the L1 distance: its ``MaternKernel(nu=0.5)`` is
    ``Matern(order=0.5)``, which agrees with this one for a single feature only.

    Distances are sums of differences, in float64: no product formula, nothing to lose for close pairs.
    The kernel has a kink where two coordinates are equal; gradients are 0 in that coordinate there.

    References
    ----------
    A. Rahimi and B. Recht, Random Features for Large-Scale Kernel Machines, NeurIPS 2007.

    Examples
    --------
    >>> import numpy as np
    >>> Laplace(lengthscale=[1.0, 2.0])(np.array([[0.0, 0.0], [1.0, 2.0]])).round(6)
    array([[1.      , 0.135335],
           [0.135335, 1.      ]])
    """

    #: The parameter that divides the frequencies.
    spectral_unit = "lengthscale"
    capabilities = frozenset({"symmetric", "psd", "stationary", "normalized", "diag", "matvec", "differentiable"})

    def __init__(self, *, lengthscale: Any = 1.0) -> None:
        self.lengthscale = lengthscale

    def check_parameters(self, X: Any) -> None:
        """Raise ParameterError unless ``lengthscale`` fits the columns of `X`."""
        _parameters.lengthscale("lengthscale", self.lengthscale, X.shape[1])

    def _tiles(self, X: Any, Y: Any, dtype: Any) -> Tiles:
        from scipy.spatial.distance import cdist

        scale = _parameters.lengthscale("lengthscale", self.lengthscale, X.shape[1])
        same = Y is X
        # cdist computes in float64; rows divided by an ARD scale are centred first, which keeps their digits
        mean = X.mean(axis=0, dtype=np.float64) if np.ndim(scale) else 0.0
        unit = scale if np.ndim(scale) else 1.0
        A = np.ascontiguousarray(np.subtract(X, mean, dtype=np.float64) / unit)
        B = A if same else np.ascontiguousarray(np.subtract(Y, mean, dtype=np.float64) / unit)
        factor = -1.0 if np.ndim(scale) else -1.0 / scale

        def tile(r: slice, c: slice, values: np.ndarray, scratch: Scratch) -> None:
            if values.dtype == np.float64 and values.flags.c_contiguous:
                cdist(A[r], B[c], "cityblock", out=values)
                values *= factor
            else:
                for first in range(0, values.shape[1], STRIP):
                    strip = values[:, first : first + STRIP]
                    wide = scratch.get("wide", strip.shape, np.float64)
                    cdist(A[r], B[c.start + first : c.start + first + strip.shape[1]], "cityblock", out=wide)
                    np.multiply(wide, factor, out=strip, casting="same_kind")
            InPlace(scratch).exp(values)

        shape, work = (X.shape[0], Y.shape[0]), 4 * X.shape[1] + 8
        return Tiles(shape, tile, same, work, diagonal=1.0, buffered=True, buffers=int(dtype != np.float64))

    def _functional(self, X: Any, Y: Any) -> Any:
        f = Functional()
        return f.exp(f.neg(cityblock(X, Y, self._operand("lengthscale", X))))

    @provides("diag")
    def diag(self, X: Any) -> Any:
        """The diagonal of k(X), which is 1, shape (n,)."""
        X, _ = self.check_items(X)
        return ones_like_rows(X)

    def spectral_sample(self, n: int, d: int, rng: Any = None) -> np.ndarray:
        """`n` angular frequencies w with ``k(x, y) = E[cos(w . (x - y))]``: independent Cauchy.

        Parameters
        ----------
        n, d : int
            Frequencies, and features of the data.
        rng : int, numpy Generator or None

        Returns
        -------
        ndarray, shape (n, d)
        """
        scale = _parameters.lengthscale("lengthscale", self.lengthscale, d)
        return generator(rng).standard_cauchy((n, d)) / scale

    def spectral_inverse(self, d: int) -> Inverse:
        """The map that turns uniform points into frequencies: Cauchy quantiles.

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
        scale = _parameters.lengthscale("lengthscale", self.lengthscale, d)
        return d, lambda U: cauchy_quantile(U) / scale
