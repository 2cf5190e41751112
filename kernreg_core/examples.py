"""A small working example of each of the core's entries; see ``Card.example``."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import BaseKernel
from .composites import Normalized, Power, Product, Scaled, Sum


class _Dot(BaseKernel):
    """k(x, y) = x . y + offset: the simplest part to build composites of."""

    domain = "vectors"
    capabilities = frozenset({"symmetric", "psd", "diag", "features", "differentiable"})

    def __init__(self, *, offset: float = 0.0) -> None:
        self.offset = offset

    def evaluate(self, X: Any, Y: Any) -> Any:
        return X @ Y.T + self.offset

    def diag(self, X: Any) -> Any:
        X, _ = self.check_items(X)
        return (X * X).sum(-1) + self.offset

    def features(self, X: Any, basis: Any = None) -> Any:
        X, _ = self.check_items(X)
        ones = X[:, :1] * 0 + self.offset**0.5
        if isinstance(X, np.ndarray):
            return np.hstack([X, ones])
        import torch

        return torch.cat([X, ones], dim=1)


def sum() -> tuple[Sum, np.ndarray]:
    """A sum of two kernels and points for it."""
    return Sum(_Dot(), _Dot(offset=1.0)), _points()


def product() -> tuple[Product, np.ndarray]:
    """A product of two kernels and points for it."""
    return Product(_Dot(), _Dot(offset=1.0)), _points()


def power() -> tuple[Power, np.ndarray]:
    """A squared kernel and points for it."""
    return Power(kernel=_Dot(offset=1.0), exponent=2), _points()


def scaled() -> tuple[Scaled, np.ndarray]:
    """A scaled kernel and points for it."""
    return Scaled(kernel=_Dot(), variance=2.0), _points()


def normalized() -> tuple[Normalized, np.ndarray]:
    """A normalised kernel and points for it."""
    return Normalized(kernel=_Dot(offset=1.0)), _points()


def _points() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((6, 2))
