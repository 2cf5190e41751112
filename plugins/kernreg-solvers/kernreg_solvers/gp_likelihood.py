"""The marginal likelihood of an exact Gaussian process as a function of theta, with its gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .gp_exact import evidence, evidence_derivative, factorise
from .hyperparameters import HyperParameters
from .linalg import blas_threads


class MarginalLikelihood:
    """log p(y | theta) and its gradient.

    Parameters
    ----------
    space : HyperParameters
        With the extra parameter ``noise``.
    gram : callable
        kernel -> k(X, X), (n, n) float64 in C order, to overwrite.
    X : items
    Y : ndarray, shape (n, t)
    mean : float or None
        None is the most likely constant, at each theta.
    weights : ndarray, shape (n,), or None

    Notes
    -----
    With A = K + noise / W and G the derivative of the likelihood by A, the gradient by a parameter p of the kernel is
    sum(G * dK/dp), which the space computes; the mean needs no derivative, being optimal itself.
    """

    def __init__(
        self,
        space: HyperParameters,
        gram: Callable[[Any], np.ndarray],
        X: Any,
        Y: np.ndarray,
        mean: Any,
        weights: np.ndarray | None,
    ) -> None:
        self.space, self.gram, self.X, self.Y = space, gram, X, Y
        self.mean, self.weights = mean, weights

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """(value, gradient), shape (p,); LinAlgError where the matrix is not positive definite."""
        noise = self.space.extra(theta)["noise"]
        with blas_threads(len(self.Y)):
            K = self.gram(self.space.at(theta))
            shift = noise if self.weights is None else noise / self.weights
            factorise(K, shift)
            found = evidence(K, self.Y, self.mean, noise, self.weights)
            G = evidence_derivative(K, found.coef)
            gradient = self._gradient(theta, G, found.coef, found.mean, shift, noise)
        return found.value, gradient

    def _gradient(
        self, theta: np.ndarray, G: np.ndarray, coef: np.ndarray, mean: np.ndarray, shift: Any, noise: float
    ) -> np.ndarray:
        n, t = self.Y.shape
        of_noise = float((G.diagonal() * shift).sum())
        # <G, A> in closed form: A's inverse is in G
        inner = 0.5 * (float(np.vdot(coef, self.Y - mean)) - n * t) - of_noise
        gradient = self.space.pull(theta, G, self.X, inner=inner)
        where = self.space.where("noise")
        if where is not None:
            lost = 0.0 if self.weights is None else 0.5 * t * float((self.weights - 1.0).sum())
            gradient[where] = of_noise - lost
        return gradient

    def loss(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Minus the likelihood."""
        value, gradient = self(theta)
        return -value, -gradient
