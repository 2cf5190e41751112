"""VectorKernel: what every kernel of this plugin shares, and the way from torch to NumPy and back."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from kernreg_core import BaseKernel
from kernreg_core.arrays import float_dtype, is_torch

from . import _parameters
from ._torch import compute_dtype, host_view


class VectorKernel(BaseKernel):
    """A kernel on rows of an (n, d) array, in NumPy and torch.

    A subclass writes ``into(X, Y, out)`` for NumPy and ``_functional(X, Y)`` for torch. CPU tensors
    that need no gradient are computed by ``into``, on the tensor's own memory.
    """

    domain = "vectors"

    def into(self, X: Any, Y: Any, out: np.ndarray) -> None:
        """Fill `out`, shape (n, m), with k(X, Y) in place, for checked NumPy `X` and `Y`.

        Exactly symmetric where `Y` is `X`.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no into(X, Y, out)")

    def _functional(self, X: Any, Y: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no _functional(X, Y)")

    def evaluate(self, X: Any, Y: Any) -> Any:
        """k(X, Y), shape (n, m), of checked `X` and `Y`."""
        if not is_torch(X):
            out = np.empty((X.shape[0], Y.shape[0]), float_dtype(X))
            self.into(X, Y, out)
            return out
        parameters = [value for value in self.get_params(deep=False).values() if is_torch(value)]
        views = host_view(X, Y, *(value for value in parameters if value.requires_grad))
        if views is not None:
            x = views[0]
            out = np.empty((X.shape[0], Y.shape[0]), x.dtype)
            self.into(x, x if Y is X else views[1], out)
            return sys.modules["torch"].from_numpy(out)
        dtype = compute_dtype(X)
        x = X.to(dtype)
        return self._functional(x, x if Y is X else Y.to(dtype)).to(X.dtype)

    def _operand(self, name: str, X: Any) -> Any:
        """Parameter `name` for functional torch code: a float, or a tensor with its gradient."""
        return _parameters.operand(getattr(self, name), X)


def diagonal_of(values: np.ndarray, X: Any) -> np.ndarray:
    """Diagonal values in the dtype a NumPy Gram matrix of `X` has."""
    return values.astype(float_dtype(X), copy=False)


def ones_like_rows(X: Any, value: float = 1.0) -> Any:
    """A constant diagonal for `X`, in its library, dtype and device."""
    if is_torch(X):
        return X.new_full((X.shape[0],), value)
    return np.full(X.shape[0], value, float_dtype(X))


def generator(rng: Any) -> np.random.Generator:
    """`rng` (int, numpy Generator or None) as a Generator."""
    return np.random.default_rng(rng)
