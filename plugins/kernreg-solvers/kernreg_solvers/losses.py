"""Logistic losses of n samples as functions of their logits F, shape (n, k).

k is 1 for two classes (the logit of the second one) and the number of classes above that.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit, logsumexp, softmax


class BinaryLoss:
    """sum_i w_i (log(1 + exp(F_i)) - y_i F_i) with y in {0, 1}.

    Parameters
    ----------
    Y : ndarray, shape (n, 1)
        1 for the second class.
    weights : ndarray, shape (n,)
        Above 0.
    """

    def __init__(self, Y: np.ndarray, weights: np.ndarray) -> None:
        self.Y = Y
        self.weights = weights[:, None]

    def value(self, F: np.ndarray) -> float:
        """The loss."""
        return float((self.weights * (np.logaddexp(0.0, F) - self.Y * F)).sum())

    def probabilities(self, F: np.ndarray) -> np.ndarray:
        """p of the second class, shape (n, 1)."""
        return np.asarray(expit(F))

    def residual(self, F: np.ndarray) -> np.ndarray:
        """w (y - p), the negative gradient in F, shape (n, 1)."""
        return np.asarray(self.weights * (self.Y - expit(F)))

    def curvature(self, F: np.ndarray, D: np.ndarray) -> float:
        """Second derivative of the loss along `D`."""
        return float((self.hessian(expit(F), D) * D).sum())

    def hessian(self, p: np.ndarray, D: np.ndarray) -> np.ndarray:
        """Second derivative of the loss, where the probabilities are `p`, times `D`, shape (n, 1)."""
        return np.asarray(self.weights * p * (1.0 - p) * D)

    def part(self, rows: slice | np.ndarray) -> BinaryLoss:
        """The loss of some samples."""
        return BinaryLoss(self.Y[rows], self.weights[rows, 0])


class SoftmaxLoss:
    """sum_i w_i (log sum_c exp(F_ic) - F_i,y_i).

    Parameters
    ----------
    Y : ndarray, shape (n, k)
        One-hot.
    weights : ndarray, shape (n,)
        Above 0.
    """

    def __init__(self, Y: np.ndarray, weights: np.ndarray) -> None:
        self.Y = Y
        self.weights = weights[:, None]

    def value(self, F: np.ndarray) -> float:
        """The loss."""
        return float((self.weights[:, 0] * (logsumexp(F, axis=1) - (self.Y * F).sum(axis=1))).sum())

    def probabilities(self, F: np.ndarray) -> np.ndarray:
        """p of each class, shape (n, k)."""
        return np.asarray(softmax(F, axis=1))

    def residual(self, F: np.ndarray) -> np.ndarray:
        """w (y - p), the negative gradient in F, shape (n, k); rows sum to zero."""
        return np.asarray(self.weights * (self.Y - softmax(F, axis=1)))

    def curvature(self, F: np.ndarray, D: np.ndarray) -> float:
        """Second derivative of the loss along `D`."""
        return float((self.hessian(softmax(F, axis=1), D) * D).sum())

    def hessian(self, p: np.ndarray, D: np.ndarray) -> np.ndarray:
        """Second derivative of the loss, where the probabilities are `p`, times `D`, shape (n, k)."""
        pD = p * D
        return np.asarray(self.weights * (pD - p * pD.sum(axis=1, keepdims=True)))

    def part(self, rows: slice | np.ndarray) -> SoftmaxLoss:
        """The loss of some samples."""
        return SoftmaxLoss(self.Y[rows], self.weights[rows, 0])


Loss = BinaryLoss | SoftmaxLoss


def loss_of(codes: np.ndarray, weights: np.ndarray, n_classes: int) -> Loss:
    """The loss of classes 0, 1, ..., `n_classes` - 1."""
    if n_classes == 2:
        return BinaryLoss(codes[:, None].astype(np.float64), weights)
    return SoftmaxLoss(np.eye(n_classes)[codes], weights)
