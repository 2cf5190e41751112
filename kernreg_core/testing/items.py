"""What laws do with items of any domain: pick, join, compare, and values as NumPy arrays."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..arrays import is_sparse, is_torch, length
from .tolerances import scale_of, tolerance

__all__ = ["assert_close", "assert_same", "content", "in_kind", "join", "length", "take", "values"]


def take(X: Any, index: Sequence[int]) -> Any:
    """The items of `X` at these places, in the same kind of container."""
    if isinstance(X, (list, tuple)):
        return type(X)([X[i] for i in index])
    return X[list(index)]


def join(X: Any, Y: Any) -> Any:
    """The items of `X`, then those of `Y`."""
    if isinstance(X, (list, tuple)):
        return type(X)([*X, *Y])
    if is_torch(X):
        import torch

        return torch.cat([X, Y])
    return np.concatenate([X, Y])


def in_kind(X: np.ndarray, like: Any) -> Any:
    """`X` as an array of the library, dtype and device of `like`."""
    if is_torch(like):
        import torch

        return torch.from_numpy(X).to(like.dtype).to(like.device)
    return X.astype(like.dtype) if hasattr(like, "dtype") else X


def values(K: Any) -> np.ndarray:
    """Values of a kernel as a NumPy array: a tensor's without its graph, a sparse matrix's made dense."""
    if is_torch(K):
        K = K.detach().cpu()
        return np.asarray((K.resolve_conj() if K.is_complex() else K).numpy())
    return np.asarray(K.toarray() if is_sparse(K) else K)


def content(X: Any) -> bytes:
    """A copy of what `X` holds, to see later whether it was changed."""
    if isinstance(X, np.ndarray) and X.dtype != object:
        return repr((X.shape, str(X.dtype))).encode() + X.tobytes()
    if is_torch(X):
        return content(values(X))
    return pickle.dumps(X)


def assert_close(got: Any, expected: Any, what: str, *, factor: float = 1.0, kind: str = "value") -> None:
    """Assert that two arrays agree to the tolerance of their dtypes, relative to the largest magnitude."""
    a, b = values(got), values(expected)
    assert a.shape == b.shape, f"{what}: shape {a.shape}, expected {b.shape}"
    allowed = factor * getattr(tolerance(a, b), kind) * scale_of(a, b)
    assert np.isfinite(a).all() or not np.isfinite(b).all(), (
        f"{what}: {np.count_nonzero(~np.isfinite(a))} values not finite"
    )
    error = np.abs(a - b)
    error = float(np.nanmax(error)) if error.size else 0.0
    assert error <= allowed, f"{what}: they differ by {error:.3g}, {allowed:.3g} is allowed"


def assert_same(got: Any, expected: Any, what: str) -> None:
    """Assert that two arrays agree bit for bit."""
    a, b = values(got), values(expected)
    assert a.shape == b.shape, f"{what}: shape {a.shape}, expected {b.shape}"
    assert a.dtype == b.dtype, f"{what}: dtype {a.dtype}, expected {b.dtype}"
    assert np.array_equal(a, b, equal_nan=True), f"{what}: they differ by up to {float(np.nanmax(np.abs(a - b))):.3g}"
