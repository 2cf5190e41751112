r"""Probabilities averaged over a normal latent value: the integral of a link function against N(mean, variance).

The probit integral is closed. The logistic function is a mixture of normal distribution functions, [1]_

.. math:: \frac{1}{1 + e^{-z}} = E_u\, \Phi\Bigl(\frac{z}{2u}\Bigr), \qquad u \sim \text{Kolmogorov},
    \quad p(u) = 8u \sum_{j \ge 1} (-1)^{j-1} j^2 e^{-2 j^2 u^2},

so that its integral is :math:`E_u\, \Phi(\mu / \sqrt{4 u^2 + v})` for any variance v: a smooth integral over u alone,
which Gauss-Legendre nodes give to 1e-12. The softmax of a normal vector is averaged over fixed quasi-random points.

References
----------
.. [1] D. F. Andrews and C. L. Mallows, "Scale mixtures of normal distributions", Journal of the Royal Statistical
   Society B 36, 1974.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.special import ndtr, ndtri, softmax

#: Points over which a softmax is averaged; errors are some 1e-3.
POINTS = 1024
_NODES = 64
_LOW, _HIGH = 0.14, 4.5  # less than 1e-16 of the Kolmogorov distribution lies outside


@cache
def _kolmogorov() -> tuple[np.ndarray, np.ndarray]:
    """Nodes u and weights of the mixture; the weights sum to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    u = 0.5 * (_HIGH - _LOW) * (nodes + 1.0) + _LOW
    j = np.arange(1, 40)[:, None]
    density = 8.0 * u * (np.where(j % 2, 1.0, -1.0) * j**2 * np.exp(-2.0 * j**2 * u**2)).sum(axis=0)
    mass = weights * np.maximum(density, 0.0)
    return u, mass / mass.sum()


def average_logistic(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """E sigmoid(z), z ~ N(mean, variance), elementwise.

    Examples
    --------
    >>> average_logistic(np.array([0.0, 2.0]), np.array([5.0, 0.0]))  # 1/2, and sigmoid(2)
    array([0.5       , 0.88079708])
    """
    u, mass = _kolmogorov()
    found = np.zeros(np.broadcast(mean, variance).shape)
    for node, weight in zip(u, mass, strict=True):
        found += weight * ndtr(mean / np.sqrt(4.0 * node**2 + variance))
    return found


def average_probit(mean: np.ndarray, variance: np.ndarray) -> np.ndarray:
    """E Phi(z), z ~ N(mean, variance): Phi(mean / sqrt(1 + variance))."""
    return np.asarray(ndtr(mean / np.sqrt(1.0 + variance)))


@cache
def _normal_points(dimension: int) -> np.ndarray:
    """Quasi-random standard normal points, (POINTS, dimension): the same in every process."""
    from scipy.stats import qmc

    points = qmc.Sobol(dimension, scramble=True, rng=np.random.default_rng(20060106)).random(POINTS)
    return np.asarray(ndtri(np.clip(points, 1e-12, 1.0 - 1e-12)))


def average_softmax(mean: np.ndarray, covariance: np.ndarray, block: int = 256) -> np.ndarray:
    """E softmax(z), z ~ N(mean_i, covariance_i), for each item.

    Parameters
    ----------
    mean : ndarray, shape (n, C)
    covariance : ndarray, shape (n, C, C)
    block : int
        Items at a time.

    Returns
    -------
    ndarray, shape (n, C)
        Rows sum to 1.
    """
    values, vectors = np.linalg.eigh(covariance)
    roots = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    points, found = _normal_points(mean.shape[1]), np.empty(mean.shape)
    for start in range(0, len(mean), block):
        rows = slice(start, start + block)
        z = mean[rows, None, :] + points @ np.swapaxes(roots[rows], 1, 2)
        found[rows] = softmax(z, axis=-1).mean(axis=1)
    return found
