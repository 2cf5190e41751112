"""Small samplers, selectors and solvers that keep every law; mutants are made of them."""

from __future__ import annotations

import copy
import operator

import numpy as np

import kernreg_core as kr
from kernreg_core.errors import InputError, NotFittedError, ParameterError
from kernreg_core.params import Parametrized, entropy


class Weyl(Parametrized):
    """Multiples of irrational numbers, shifted at random.

    Parameters
    ----------
    d : int
        The dimension.
    rng : int, Generator or None
        Draws the shift.
    """

    def __init__(self, d=2, *, rng=0):
        self.d = d
        self.rng = rng

    def sample(self, n):
        n = operator.index(n)
        if n < 0:
            raise InputError(f"n: expected at least 0, got {n}")
        start = self.__dict__.setdefault("_next", 0)
        self._next = start + n
        return self.points(np.arange(start, start + n))

    def points(self, index):
        steps = np.sqrt(np.array([2.0, 3.0, 5.0, 7.0, 11.0][: self.d])) % 1.0
        return ((index[:, None] + 1.0) * steps + self.shift()) % 1.0

    def shift(self):
        return np.random.default_rng(entropy(self)).random(self.d)

    def reset(self):
        self._next = 0
        return self

    def fast_forward(self, n):
        self._next = self.__dict__.get("_next", 0) + n
        return self


class RandomSubset(Parametrized):
    """A random subset of the items, each with the weight len(X) / n.

    Parameters
    ----------
    rng : int, Generator or None
    scale : float
        Of the weights.
    """

    def __init__(self, *, rng=0, scale=1.0):
        self.rng = rng
        self.scale = scale

    def select(self, X, n):
        n = operator.index(n)
        if not 0 < n <= len(X):
            raise InputError(f"n: expected from 1 to {len(X)}, got {n}")
        self.weights_ = np.full(n, self.scale * len(X) / n)
        return np.random.default_rng(entropy(self)).permutation(len(X))[:n]


def farthest(X):
    """Indices that begin with the item farthest from the mean, then the farthest from those chosen."""
    distances = ((X - X.mean(axis=0)) ** 2).sum(1)
    chosen = [int(distances.argmax())]
    distances = ((X - X[chosen[0]]) ** 2).sum(1)
    while len(chosen) < len(X):
        distances[chosen] = -1.0
        chosen.append(int(distances.argmax()))
        distances = np.minimum(distances, ((X - X[chosen[-1]]) ** 2).sum(1))
    return np.array(chosen)


class Farthest:
    """A selector without a base class, without parameters, without weights."""

    def select(self, X, n):
        return farthest(X)[:n]


def _dot(X, Y):
    return np.asarray(X) @ np.asarray(Y).T


class Ridge(Parametrized):
    """Kernel ridge regression without scikit-learn.

    Parameters
    ----------
    kernel : None, kernel, function or 'precomputed'
    alpha : float
    """

    def __init__(self, *, kernel=None, alpha=0.5):
        self.kernel = kernel
        self.alpha = alpha

    def resolved(self):
        if self.kernel is None:
            return _dot
        if self.kernel == "precomputed":
            return lambda X, Y: X
        if not callable(self.kernel) or isinstance(self.kernel, type):
            raise ParameterError(f"kernel: got {self.kernel!r}")
        return copy.deepcopy(self.kernel)

    def checked(self, X):
        if isinstance(X, np.ndarray) and not np.isfinite(X).all():
            raise InputError("X: NaN or infinity")
        return X.copy() if isinstance(X, np.ndarray) else list(X)

    def fit(self, X, y):
        self._k = self.resolved()
        if len(X) != len(y):
            raise InputError("X and y: unequal lengths")
        self.X_fit_ = self.checked(X)
        self.dual_coef_ = np.linalg.solve(self._k(self.X_fit_, self.X_fit_) + self.alpha * np.eye(len(X)), y)
        return self

    def __getstate__(self):
        return {key: value for key, value in super().__getstate__().items() if key != "_k"}

    def predict(self, X):
        if not hasattr(self, "dual_coef_"):
            raise NotFittedError("Ridge is not fitted")
        if "_k" not in self.__dict__:
            self._k = self.resolved()
        # one row at a time, so that the bits do not depend on the batch
        return np.array(
            [float(self._k(self.checked(X[i : i + 1]), self.X_fit_)[0] @ self.dual_coef_) for i in range(len(X))]
        )


class Linear(kr.BaseKernel):
    """k(x, y) = s x . y.

    Parameters
    ----------
    scale : float
        s.

    Examples
    --------
    >>> Linear(scale=2.0)([[1.0, 2.0]])
    array([[10.]])
    """

    domain = "vectors"
    capabilities = frozenset({"symmetric", "psd", "diag"})

    def __init__(self, *, scale=1.0):
        self.scale = scale

    def evaluate(self, X, Y):
        return self.scale * X @ Y.T

    def diag(self, X):
        X, _ = self.check_items(X)
        return self.scale * (X * X).sum(-1)
