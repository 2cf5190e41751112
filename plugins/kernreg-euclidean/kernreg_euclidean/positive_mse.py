r"""The mean squared error of positive features of the Gaussian kernel, in closed form.

With w_1, ..., w_m standard normal, the estimate of ``k(x, y) = exp(-|x - y|^2 / 2)`` by positive features is
``exp(-|x|^2 - |y|^2)`` times the mean of ``exp(w_i . v)``, v = x + y. Its mean squared error depends on how the w_i are
coupled through one number for each pair of them, the conformity ``rho = E exp((w_i + w_j) . v)`` of Reid et al. 2023:
the smaller the better.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kernreg_core.arrays import check_array, check_pair
from kernreg_core.errors import ParameterError

from . import _parameters
from ._frequencies import check_coupling

#: Couplings whose conformity is known in closed form, up to one integral.
_KNOWN = ("iid", "orthogonal", "simplex")
#: Gauss-Legendre nodes for the angle between the norms, whose law is narrow and smooth: more change nothing.
_NODES = 64


def conformity(v: Any, d: int, coupling: str) -> Any:
    r"""rho = E exp((w_1 + w_2) . v) of two standard normal vectors in one block.

    .. math::
        \rho = \sum_k \frac{\Gamma(d/2)\, |v|^{2k}}{4^k\, k!\, \Gamma(k + d/2)}\, E |w_1 + w_2|^{2k}

    which is :math:`e^{|v|^2}` for independent ones, :math:`{}_1F_1(d; d/2; |v|^2 / 2)` for orthogonal ones, and for two
    corners of a simplex the mean of :math:`{}_1F_1(d; d/2; |v|^2 (1 - T/(d-1)) / 2)` over T = 2 sqrt(B (1 - B)), B of
    the law Beta(d/2, d/2): the share of one squared norm in the sum of both.

    Parameters
    ----------
    v : float or array
        Length of x + y in length scales.
    d : int
        Dimension, at least 1. In one dimension a block has one vector, and rho is that of independent ones.
    coupling : {'iid', 'orthogonal', 'simplex'}

    Returns
    -------
    float or ndarray, shape of `v`
        Infinite where it overflows.

    Raises
    ------
    ParameterError
        If `d` or `coupling` is none of these.

    References
    ----------
    I. Reid et al., Simplex Random Features, ICML 2023 (arXiv:2301.13856).

    Examples
    --------
    >>> [round(conformity(1.0, 6, c), 4) for c in ("iid", "orthogonal", "simplex")]
    [2.7183, 2.5796, 2.1818]
    """
    lengths = np.asarray(v, np.float64)
    with np.errstate(over="ignore"):
        found = _scaled_conformity(lengths**2, np.zeros_like(lengths), d, coupling)
    return float(found) if found.ndim == 0 else found


def _scaled_conformity(squared: np.ndarray, decay: np.ndarray, d: Any, coupling: Any) -> np.ndarray:
    """The conformity times exp(-decay), which may be finite where the conformity is not."""
    d = _parameters.integer("d", d, minimum=1)
    check_coupling(coupling, _KNOWN)
    if coupling == "iid" or d == 1:
        return np.asarray(np.exp(squared - decay))
    if coupling == "orthogonal":
        return np.asarray(_kummer(0.5 * squared, decay, d))
    # B = cos^2 a makes T = sin 2a, whose density is sin^(d-1) of the angle b = 2a in [0, pi]
    half = min(0.5 * math.pi, 9.0 / math.sqrt(d - 1))
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    sines = np.sin(0.5 * math.pi + half * nodes)
    density = weights * sines ** (d - 1)
    density /= density.sum()
    total = np.zeros_like(squared)
    for sine, share in zip(sines, density, strict=True):
        total = total + share * _kummer(0.5 * squared * (1.0 - sine / (d - 1)), decay, d)
    return np.asarray(total)


def _kummer(z: np.ndarray, decay: np.ndarray, d: int) -> Any:
    """1F1(d; d/2; z) exp(-decay), by Kummer's transformation, which takes the exponential growth out of the series."""
    from scipy.special import hyp1f1

    return hyp1f1(-0.5 * d, 0.5 * d, -z) * np.exp(z - decay)


def positive_mse(
    X: Any, Y: Any = None, *, n_features: int, coupling: str = "simplex", lengthscale: Any = 1.0
) -> np.ndarray:
    r"""Mean squared error of ``PositiveFeatures`` as an estimate of the Gaussian kernel, for all pairs.

    .. math::
        e^{-2|x|^2 - 2|y|^2} \Big[ \frac{e^{2 v^2} - e^{v^2}}{m} + \frac{c}{m^2} (\rho - e^{v^2}) \Big],
        \qquad v = |x + y|

    with m features, c ordered pairs of them that share a block of d, and rho their :func:`conformity`; x and y in
    length scales. The estimate is unbiased, so that this is its variance.

    Parameters
    ----------
    X : array, shape (n, d)
    Y : array, shape (k, d), optional
        `X` by default.
    n_features : int
        m.
    coupling : {'iid', 'orthogonal', 'simplex'}, default 'simplex'
    lengthscale : float or array of shape (d,), default 1.0

    Returns
    -------
    ndarray of float64, shape (n, k)
        Infinite where it overflows.

    Raises
    ------
    InputError, ParameterError

    References
    ----------
    I. Reid et al., Simplex Random Features, ICML 2023 (arXiv:2301.13856).

    Examples
    --------
    >>> import numpy as np
    >>> x = np.full((1, 6), 0.5 / 6**0.5)
    >>> errors = [positive_mse(x, n_features=6, coupling=c)[0, 0] for c in ("iid", "orthogonal", "simplex")]
    >>> [round(float(e), 3) for e in errors]
    [0.286, 0.244, 0.122]
    """
    X = check_array(X, "X")
    Y = X if Y is None else check_array(Y, "Y")
    X, Y = check_pair(X, Y)
    m, d = _parameters.integer("n_features", n_features, minimum=1), X.shape[1]
    if coupling not in _KNOWN:
        raise ParameterError(
            f"coupling: expected one of {', '.join(map(repr, _KNOWN))}, got {coupling!r}: of others no closed form "
            "is known"
        )
    scale = _parameters.lengthscale("lengthscale", lengthscale, d)
    X, Y = X.astype(np.float64) / scale, Y.astype(np.float64) / scale
    norms = (X * X).sum(1)[:, None] + (Y * Y).sum(1)
    squared = np.maximum(norms + 2.0 * (X @ Y.T), 0.0)
    full, rest = divmod(m, d)
    pairs = full * d * (d - 1) + rest * (rest - 1)
    with np.errstate(over="ignore"):
        independent = np.exp(squared - 2.0 * norms)
        found = (np.exp(2.0 * (squared - norms)) - independent) / m
        if pairs and coupling != "iid":
            found += pairs / m**2 * (_scaled_conformity(squared, 2.0 * norms, d, coupling) - independent)
    return np.asarray(found)
