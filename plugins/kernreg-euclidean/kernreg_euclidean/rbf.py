"""The Gaussian (RBF) kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._radial import Profile, RadialKernel


def gaussian_profile() -> Profile:
    """phi(s) = exp(-s / 2)."""
    return Profile(
        factor=-0.5,
        formula=lambda f, g: f.exp(g),
        first=lambda xp, s: -0.5 * xp.exp(-0.5 * s),
        second=lambda xp, s: 0.25 * xp.exp(-0.5 * s),
    )


class RBF(RadialKernel):
    r"""Gaussian kernel, also called radial basis function or squared exponential.

    .. math:: k(x, y) = \exp\Big(-\tfrac12 \sum_k \frac{(x_k - y_k)^2}{l_k^2}\Big)

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
    Matern : the same with a finite order of smoothness.

    Notes
    -----
    scikit-learn's ``rbf_kernel(X, Y, gamma)`` is ``RBF(lengthscale=(2 * gamma) ** -0.5)``; its
    ``gaussian_process.kernels.RBF(length_scale)`` and GPyTorch's ``RBFKernel`` have the same length
    scale. The variance in front of GPyTorch's ``ScaleKernel`` is written ``variance * RBF()``.

    Values are within 1e-12 (float64) or 1e-6 (float32) of the formula whatever the data's offset;
    rows may be scipy sparse.

    References
    ----------
    C. E. Rasmussen and C. K. I. Williams, Gaussian Processes for Machine Learning, MIT Press 2006,
    section 4.2.1.

    Examples
    --------
    >>> import numpy as np
    >>> k = RBF(lengthscale=2.0)
    >>> k(np.array([[0.0], [2.0]])).round(6)
    array([[1.      , 0.606531],
           [0.606531, 1.      ]])
    >>> k.grad_x([[0.0]], [[2.0]]).round(6)
    array([[[0.303265]]])
    """

    accepts_sparse = True

    def __init__(self, *, lengthscale: Any = 1.0) -> None:
        self.lengthscale = lengthscale

    def _profile(self, parameter: Callable[[str], Any]) -> Profile:
        return gaussian_profile()
