"""Small kernels that the tests define on the core alone, so that the plugin is tested without any other."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from scipy import sparse

import kernreg_core as kr
from kernreg_core.arrays import is_torch


class Gauss(kr.BaseKernel):
    """exp(-|x - y|^2 / (2 l^2)); NumPy and torch."""

    domain = "vectors"
    capabilities = frozenset({"symmetric", "psd", "normalized", "stationary", "differentiable"})

    def __init__(self, *, lengthscale: float = 1.0) -> None:
        self.lengthscale = lengthscale

    def evaluate(self, X: Any, Y: Any) -> Any:
        squared = (X * X).sum(-1)[:, None] + (Y * Y).sum(-1)[None, :] - 2 * X @ Y.T
        squared = squared.clamp(min=0) if is_torch(squared) else np.maximum(squared, 0)
        scaled = squared / (-2 * self.lengthscale**2)
        return scaled.exp() if is_torch(scaled) else np.exp(scaled)


class Spectrum(kr.BaseKernel):
    """Counts common substrings of one length, normalised."""

    domain = "sequences"
    capabilities = frozenset({"symmetric", "psd", "normalized"})

    def __init__(self, *, order: int = 2) -> None:
        self.order = order

    def evaluate(self, X: Any, Y: Any) -> Any:
        left, right = ([self._counts(item) for item in side] for side in (X, Y))
        K = np.array([[sum(a[part] * b[part] for part in a) for b in right] for a in left], dtype=float)
        norms = [np.sqrt([sum(c * c for c in counts.values()) for counts in side]) for side in (left, right)]
        return K / norms[0][:, None] / norms[1][None, :]

    def _counts(self, item: str) -> Counter[str]:
        return Counter(item[i : i + self.order] for i in range(len(item) - self.order + 1))


class Block(list):  # type: ignore[type-arg]
    """A prepared side: letters as sets."""

    __kernreg_prepared__ = True

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return Block(found) if isinstance(index, slice) else found


class Letters(kr.BaseKernel):
    """Common letters; prepares sets and refuses to prepare them twice."""

    domain = "sequences"
    capabilities = frozenset({"symmetric", "psd", "prepare"})
    prepared: list[int] = []

    def __init__(self, *, weight: float = 1.0) -> None:
        self.weight = weight

    def prepare(self, X: Any) -> Block:
        if isinstance(X, Block):
            raise TypeError("prepared already")
        self.prepared.append(len(X))
        return Block(set(item) for item in X)

    def evaluate(self, X: Any, Y: Any) -> Any:
        return np.array([[self.weight * len(set(x) & set(y)) for y in Y] for x in X], dtype=float)


class Whitened(kr.BaseKernel):
    """Inner product of columns scaled by what ``fit`` saw."""

    domain = "vectors"
    capabilities = frozenset({"symmetric", "psd", "fitted"})

    def fit(self, X: Any, y: Any = None) -> Whitened:
        self.scale_ = np.asarray(X).std(axis=0)
        self.saw_y_ = y is not None
        return self

    def __init__(self, *, power: float = 1.0) -> None:
        self.power = power

    def evaluate(self, X: Any, Y: Any) -> Any:
        if not hasattr(self, "scale_"):
            raise kr.NotFittedError("Whitened: call fit first")
        return (X / self.scale_**self.power) @ (Y / self.scale_**self.power).T


class Indefinite(kr.BaseKernel):
    """tanh(x . y - 1): symmetric, not positive semi-definite."""

    domain = "vectors"
    capabilities = frozenset({"symmetric"})

    def evaluate(self, X: Any, Y: Any) -> Any:
        return np.tanh(X @ Y.T - 1.0)


class Unusable(kr.BaseKernel):
    """Declares whatever capability it is given."""

    domain = "vectors"

    def __init__(self, *, capability: str = "asymmetric") -> None:
        self.capability = capability

    @property
    def capabilities(self) -> frozenset[str]:  # type: ignore[override]
        return frozenset({self.capability})

    def evaluate(self, X: Any, Y: Any) -> Any:
        return X @ Y.T


class Waves(kr.BaseKernel):
    """Random Fourier features of the Gaussian kernel."""

    domain = "vectors"
    capabilities = frozenset({"symmetric", "psd", "random_features"})

    def __init__(self, *, n_features: int = 40, rng: int = 0) -> None:
        self.n_features = n_features
        self.rng = rng

    def evaluate(self, X: Any, Y: Any) -> Any:
        return Gauss().evaluate(X, Y)

    def features(self, X: Any, basis: Any = None) -> Any:
        X, _ = self.check_items(X)
        rng = np.random.default_rng(self.rng)
        W, shift = rng.standard_normal((X.shape[1], self.n_features)), rng.uniform(0, 6.3, self.n_features)
        if is_torch(X):
            return (X @ X.new_tensor(W) + X.new_tensor(shift)).cos()
        return np.cos(X @ W.astype(X.dtype) + shift.astype(X.dtype))


class Vocabulary(kr.BaseKernel):
    """Counts of substrings of two letters; columns come from what is in the basis."""

    domain = "sequences"
    capabilities = frozenset({"symmetric", "psd", "features"})

    def evaluate(self, X: Any, Y: Any) -> Any:
        return (self.features(X, basis=Y) @ self.features(Y, basis=Y).T).toarray()

    def features(self, X: Any, basis: Any = None) -> Any:
        known = sorted({part for word in (X if basis is None else basis) for part in _parts(word)})
        place = {part: i for i, part in enumerate(known)}
        rows = np.zeros((len(X), len(known)))
        for i, word in enumerate(X):
            for part, number in _parts(word).items():
                if part in place:
                    rows[i, place[part]] = number
        return sparse.csr_array(rows)


class Landmarks(kr.BaseKernel):
    """Values at the first items that ``fit`` saw."""

    domain = "vectors"
    capabilities = frozenset({"symmetric", "psd", "features", "fitted"})

    def fit(self, X: Any, y: Any = None) -> Landmarks:
        self.landmarks_ = np.array(X[:5])
        return self

    def evaluate(self, X: Any, Y: Any) -> Any:
        return self.features(X) @ self.features(Y).T

    def features(self, X: Any, basis: Any = None) -> Any:
        return Gauss()(X, self.landmarks_)


def _parts(word: str) -> Counter[str]:
    return Counter(word[i : i + 2] for i in range(len(word) - 1))


WORDS = ["abab", "babab", "aabb", "abba", "xyxy", "yxyx", "xxyy", "xyyx", "ababa", "bab", "yxy", "xyx"]
KINDS = ["ab", "ab", "ab", "ab", "xy", "xy", "xy", "xy", "ab", "ab", "xy", "xy"]
