"""What the tests of landmarks and Nystrom features share: kernels of other domains, and data with rare clusters."""

from __future__ import annotations

from typing import Any

import numpy as np

import kernreg_core as kr


class Letters(kr.BaseKernel):
    """The inner product of letter counts, plus one where two strings are equal: a kernel on strings."""

    domain = "sequences"
    capabilities = frozenset({"symmetric", "psd"})

    def __init__(self, *, letters: str = "abcd") -> None:
        self.letters = letters

    def evaluate(self, X: Any, Y: Any) -> np.ndarray:
        A, B = (np.array([[x.count(c) for c in self.letters] for x in side], float) for side in (X, Y))
        return A @ B.T + np.array([[float(x == y) for y in Y] for x in X])


class _Counts:
    __kernreg_prepared__ = True

    def __init__(self, words: list[str]) -> None:
        self.words = words

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, index: slice) -> _Counts:
        assert isinstance(index, slice)  # more than slices is not asked of prepared items
        return _Counts(self.words[index])


class PreparedLetters(Letters):
    """The same, of items that are prepared first."""

    capabilities = frozenset({"symmetric", "psd", "prepare"})

    def prepare(self, X: Any) -> _Counts:
        return X if isinstance(X, _Counts) else _Counts(list(X))

    def evaluate(self, X: Any, Y: Any) -> np.ndarray:
        return super().evaluate(self.prepare(X).words, self.prepare(Y).words)


class Wave(kr.BaseKernel):
    """exp(i w (x - y)) times a Gaussian: complex values, Hermitian, positive definite."""

    domain = "vectors"
    capabilities = frozenset({"symmetric", "psd", "complex"})

    def evaluate(self, X: Any, Y: Any) -> np.ndarray:
        difference = X[:, None, 0] - Y[None, :, 0]
        return np.exp(1j * difference - 0.5 * difference**2)


class Counting(kr.BaseKernel):
    """A Gaussian kernel that counts the values it is asked for."""

    domain = "vectors"
    capabilities = frozenset({"symmetric", "psd", "stationary"})

    def __init__(self) -> None:
        self._count = 0

    def evaluate(self, X: Any, Y: Any) -> np.ndarray:
        self._count += len(X) * len(Y)
        return np.exp(-0.5 * ((X[:, None, :] - Y[None, :, :]) ** 2).sum(-1))


WORDS = ["abba", "baab", "abcabc", "ccc", "a", "bca", "abba", "ddd", "dad", "cab"]


def rare(n: int = 80, seed: int = 0) -> np.ndarray:
    """A cluster of n - 6 points and six points far from it and from each other."""
    rng = np.random.default_rng(seed)
    far = 8.0 * np.array([[1, 0], [0, 1], [-1, 0], [0, -1], [2, 2], [-2, 2]])
    return np.concatenate([0.5 * rng.standard_normal((n - 6, 2)), far])
