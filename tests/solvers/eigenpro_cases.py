"""Kernels and data that the tests of EigenPro share."""

from __future__ import annotations

from typing import Any

import numpy as np

import kernreg_core as kr
from kernreg_core.arrays import is_torch
from kernreg_solvers import EigenPro2, EigenPro3

SOLVERS = [EigenPro2, EigenPro3]


class Laplace(kr.BaseKernel):
    """exp(-|x - y|_2 / l): eigenvalues that fall slowly, so that its matrices are well conditioned. NumPy and torch."""

    domain = "vectors"
    capabilities = frozenset({"symmetric", "psd", "normalized", "stationary"})

    def __init__(self, *, lengthscale: float = 2.0) -> None:
        self.lengthscale = lengthscale

    def evaluate(self, X: Any, Y: Any) -> Any:
        squared = ((X[:, None, :] - Y[None, :, :]) ** 2).sum(-1)
        return (squared**0.5 / -self.lengthscale).exp() if is_torch(X) else np.exp(np.sqrt(squared) / -self.lengthscale)


class Recording(Laplace):
    """Remembers the shape of every block."""

    shapes: list[tuple[int, int]] = []

    def evaluate(self, X: Any, Y: Any) -> Any:
        self.shapes.append((len(X), len(Y)))
        return super().evaluate(X, Y)


def made(n: int = 240, d: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    return X, np.sin(2.0 * X[:, 0]) + X[:, 1] * X[:, 2]


def direct(K: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.linalg.lstsq(K, y, rcond=None)[0]


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))
