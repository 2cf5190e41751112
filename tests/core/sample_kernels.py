"""Kernels that the core's tests compute with; the core ships none on vectors."""

from __future__ import annotations

import numpy as np

import kernreg_core as kr


class Rbf(kr.BaseKernel):
    """exp(-|x - y|^2 / (2 l^2)), by differences, for NumPy and torch."""

    capabilities = frozenset({"symmetric", "psd", "stationary", "normalized", "diag", "differentiable", "gradients"})

    def __init__(self, *, lengthscale=1.0):
        self.lengthscale = lengthscale

    def evaluate(self, X, Y):
        squared = ((X[:, None, :] - Y[None, :, :]) ** 2).sum(-1)
        exponent = -0.5 * squared / self.lengthscale**2
        return np.exp(exponent) if isinstance(X, np.ndarray) else exponent.exp()

    def diag(self, X):
        X, _ = self.check_items(X)
        return X[:, 0] * 0 + 1

    def grad_x(self, X, Y=None):
        Y = X if Y is None else Y
        return -(X[:, None] - Y[None]) / self.lengthscale**2 * self(X, Y)[..., None]

    def grad_y(self, X, Y=None):
        return -self.grad_x(X, Y)

    def grad_xy(self, X, Y=None):
        Y = X if Y is None else Y
        D = (X[:, None] - Y[None]) / self.lengthscale**2
        eye = np.eye(X.shape[1]) / self.lengthscale**2
        return (eye - D[..., :, None] * D[..., None, :]) * self(X, Y)[..., None, None]


class Dot(kr.BaseKernel):
    """x . y + offset, with features and a matrix-vector product."""

    capabilities = frozenset({"symmetric", "psd", "diag", "features", "matvec", "differentiable", "gradients"})
    accepts_sparse = True

    def __init__(self, *, offset=0.0):
        self.offset = offset

    def evaluate(self, X, Y):
        K = X @ Y.T
        return (K.toarray() if hasattr(K, "toarray") else K) + self.offset

    def diag(self, X):
        X, _ = self.check_items(X)
        return (X * X).sum(-1) + self.offset

    def features(self, X, basis=None):
        if hasattr(X, "tocsr"):
            from scipy import sparse

            return sparse.hstack([X, sparse.csr_array(np.full((X.shape[0], 1), self.offset**0.5))], format="csr")
        return np.hstack([X, np.full((len(X), 1), self.offset**0.5)])

    def matvec(self, X, V, Y=None):
        Y = X if Y is None else Y
        return X @ (Y.T @ V) + self.offset * V.sum(axis=0)

    def grad_x(self, X, Y=None):
        Y = X if Y is None else Y
        return np.broadcast_to(Y[None], (len(X), *Y.shape)).copy()

    def grad_y(self, X, Y=None):
        Y = X if Y is None else Y
        return np.broadcast_to(X[:, None], (len(X), *Y.shape)).copy()

    def grad_xy(self, X, Y=None):
        Y = X if Y is None else Y
        return np.broadcast_to(np.eye(X.shape[1]), (len(X), len(Y), X.shape[1], X.shape[1])).copy()


class Letters(kr.BaseKernel):
    """How often letters are shared: on strings, with a vocabulary from the basis."""

    domain = "sequences"
    capabilities = frozenset({"symmetric", "psd", "features"})
    pair_cost = "high"

    def evaluate(self, X, Y):
        return np.array([[float(sum(x.count(c) * y.count(c) for c in set(x))) for y in Y] for x in X])

    def features(self, X, basis=None):
        letters = sorted(set("".join(X if basis is None else basis)))
        return np.array([[float(x.count(c)) for c in letters] for x in X])


class Filled(Rbf):
    """The same, with ``into`` and a count of its calls."""

    calls = 0

    def into(self, X, Y, out):
        type(self).calls += 1
        out[...] = self.evaluate(X, Y)
        if Y is X:
            out[...] = np.triu(out) + np.triu(out, 1).T


class Prepared(kr.BaseKernel):
    """Squares items once; counts how often it prepares."""

    domain = "sequences"
    capabilities = frozenset({"symmetric", "psd", "prepare"})
    calls = 0

    class Block:
        __kernreg_prepared__ = True

        def __init__(self, values):
            self.values = values

        def __len__(self):
            return len(self.values)

        def __getitem__(self, index):
            return type(self)(self.values[index])

    def prepare(self, X):
        X, _ = self.check_items(X)
        type(self).calls += 1
        return self.Block(np.array([float(len(x)) for x in X]))

    def evaluate(self, X, Y):
        if not isinstance(X, self.Block):
            X, Y = self.Block(np.array([float(len(x)) for x in X])), self.Block(np.array([float(len(y)) for y in Y]))
        return np.outer(X.values, Y.values)


class Queries(kr.BaseKernel):
    """exp(x . y) plus the row's first feature: X and Y have different roles."""

    capabilities = frozenset({"asymmetric"})

    def evaluate(self, X, Y):
        return np.exp(X @ Y.T) + X[:, :1]


class Phase(kr.BaseKernel):
    """exp(i (x - y)): complex and Hermitian."""

    capabilities = frozenset({"symmetric", "psd", "complex"})

    def evaluate(self, X, Y):
        return np.exp(1j * (X[:, None, 0] - Y[None, :, 0]))


class Blocks(kr.BaseKernel):
    """Matrix-valued: (x . y) [[1, x0 - y0], [y0 - x0, 1]]."""

    capabilities = frozenset({"symmetric", "matrix_valued"})

    def evaluate(self, X, Y):
        difference = X[:, None, 0] - Y[None, :, 0]
        one = np.ones_like(difference)
        return (X @ Y.T)[..., None, None] * np.stack(
            [np.stack([one, difference], -1), np.stack([-difference, one], -1)], -2
        )


class Draws(kr.Parametrized):
    """Something with an rng."""

    def __init__(self, *, rng=None, scale=1.0):
        self.rng = rng
        self.scale = scale
