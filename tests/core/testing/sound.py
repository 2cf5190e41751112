"""Small kernels that keep their laws: one or more for every capability. Mutants are made of them."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from statistics import NormalDist

import numpy as np
from sample_kernels import Dot as Dot
from sample_kernels import Rbf as Rbf

import kernreg_core as kr
from kernreg_core import normalize
from kernreg_core.params import entropy


def points(n=12, d=3):
    return np.random.default_rng(0).standard_normal((n, d))


def rbf(X, Y):
    return np.exp(-0.5 * ((X[:, None] - Y[None]) ** 2).sum(-1))


class Spectral(Rbf):
    """The RBF kernel with its spectral density."""

    def spectral_sample(self, n, d, rng=None):
        return np.random.default_rng(rng).standard_normal((n, d)) / self.lengthscale

    def spectral_inverse(self, d):
        quantile = np.vectorize(NormalDist().inv_cdf, otypes=[float])
        return d, lambda U: quantile(U) / self.lengthscale


class Foreign:
    """An RBF kernel without a base class."""

    capabilities = ("symmetric", "psd", "normalized", "stationary", "diag", "matvec")

    def __call__(self, X, Y=None):
        return rbf(X, X if Y is None else Y)

    def diag(self, X):
        return np.ones(len(X))

    def matvec(self, X, V, Y=None):
        Y = X if Y is None else Y
        if len(V) != len(Y):
            raise ValueError(f"V has {len(V)} rows, Y has {len(Y)}")
        return np.concatenate([rbf(X[i : i + 64], Y) @ V for i in range(0, len(X), 64)])


class Distance(kr.BaseKernel):
    """-|x - y|: conditionally positive definite."""

    capabilities = frozenset({"symmetric", "cpd", "stationary"})

    def evaluate(self, X, Y):
        return -np.sqrt(((X[:, None] - Y[None]) ** 2).sum(-1))


class Wave(kr.BaseKernel):
    """exp(i w . (x - y)) times an RBF kernel, for a fixed w: complex, Hermitian and stationary."""

    capabilities = frozenset({"symmetric", "psd", "complex", "normalized", "stationary", "diag", "matvec"})

    def evaluate(self, X, Y):
        D = X[:, None] - Y[None]
        return np.exp(1j * D.sum(-1)) * np.exp(-0.5 * (D**2).sum(-1))

    def diag(self, X):
        return np.ones(len(X))

    def matvec(self, X, V, Y=None):
        Y = X if Y is None else Y
        if len(V) != len(Y):
            raise ValueError(f"V has {len(V)} rows, Y has {len(Y)}")
        return np.concatenate([self.evaluate(X[i : i + 32], Y) @ V for i in range(0, len(X), 32)])

    def spectral_sample(self, n, d, rng=None):
        return 1.0 + np.random.default_rng(rng).standard_normal((n, d))


class Counts:
    """Counts of letters, for many strings: what Letters prepares."""

    __kernreg_prepared__ = True

    def __init__(self, rows):
        self.rows = rows

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return type(self)(self.rows[index])


class Letters(kr.BaseKernel):
    """How many pairs of letters two strings share; with an open vocabulary."""

    domain = "sequences"
    capabilities = frozenset({"symmetric", "psd", "prepare", "diag", "features"})

    def prepare(self, X):
        X, _ = self.check_items(X)
        return Counts([Counter(x) for x in X])

    def _rows(self, X):
        return X.rows if isinstance(X, Counts) else [Counter(x) for x in X]

    def evaluate(self, X, Y):
        right = self._rows(Y)
        return np.array([[float(sum(x[c] * y[c] for c in x)) for y in right] for x in self._rows(X)])

    def diag(self, X):
        return np.array([float(sum(v * v for v in x.values())) for x in self._rows(X)])

    def features(self, X, basis=None):
        letters = sorted(set().union(*self._rows(X if basis is None else basis)))
        return np.array([[float(x[c]) for c in letters] for x in self._rows(X)]).reshape(len(X), len(letters))


class SparseLetters(Letters):
    """The same with CSR features."""

    def features(self, X, basis=None):
        from scipy import sparse

        return sparse.csr_array(super().features(X, basis))


class RandomFourier(kr.BaseKernel):
    """The RBF kernel, with random Fourier features that estimate it."""

    capabilities = frozenset({"symmetric", "psd", "random_features"})

    def __init__(self, *, n_features=64, rng=None):
        self.n_features = n_features
        self.rng = rng

    def evaluate(self, X, Y):
        return rbf(X, Y)

    def features(self, X, basis=None):
        rng = np.random.default_rng([entropy(self), X.shape[1]])
        W = rng.standard_normal((X.shape[1], self.n_features))
        b = rng.uniform(0, 2 * np.pi, self.n_features)
        return np.cos(X @ W + b) * math.sqrt(2 / self.n_features)


class Estimated(RandomFourier):
    """The estimate itself: stochastic, with features of its own draw."""

    capabilities = frozenset({"symmetric", "psd", "stochastic", "features"})

    def evaluate(self, X, Y):
        return self.features(X) @ self.features(Y).T


class Shots(kr.BaseKernel):
    """An RBF value as the share of so many shots that hit; exact with shots=None."""

    capabilities = frozenset({"symmetric", "normalized", "stochastic"})

    def __init__(self, *, shots=200, rng=None):
        self.shots = shots
        self.rng = rng

    def stream(self, X, Y):
        content = hashlib.blake2b(X.tobytes() + Y.tobytes(), digest_size=8).digest()
        return np.random.default_rng([entropy(self), int.from_bytes(content, "big")])

    def evaluate(self, X, Y):
        p = rbf(X, Y)
        return p if self.shots is None else self.stream(X, Y).binomial(self.shots, p) / self.shots

    def standard_error(self, X, Y=None):
        p = rbf(X, X if Y is None else Y)
        return np.sqrt(p * (1 - p) / self.shots)


class Autoregressive(kr.BaseKernel):
    """exp(-|s - t| / 2) of times; on equal steps K is Toeplitz, and solved by Levinson's recursion."""

    capabilities = frozenset({"symmetric", "psd", "stationary", "solve"})

    def evaluate(self, X, Y):
        return np.exp(-np.abs(X - Y.T) / 2)

    def _levinson(self, X, b, noise):
        r = self.evaluate(X[:1], X)[0]
        r[0] += noise
        forward, error = np.array([1.0]), r[0]
        x, logdet = b[:1] / r[0], math.log(r[0])
        for n in range(1, len(r)):
            reflection = -(r[1 : n + 1][::-1] @ forward) / error
            padded = np.append(forward, 0.0)
            forward = padded + reflection * padded[::-1]
            error *= 1 - reflection**2
            logdet += math.log(error)
            gain = (b[n] - r[1 : n + 1][::-1] @ x) / error
            x = np.concatenate([x, np.zeros_like(b[:1])]) + np.multiply.outer(forward[::-1], gain)
        return x, logdet

    def solve(self, X, b, noise):
        return self._levinson(X, b, noise)[0]

    def logdet(self, X, noise):
        return self._levinson(X, np.zeros(len(X)), noise)[1]


def times():
    return np.arange(12.0)[:, None]


class Attention(kr.BaseKernel):
    """exp(q . k - |k|^2): X are queries, Y are keys."""

    capabilities = frozenset({"asymmetric"})

    def evaluate(self, X, Y):
        return np.exp(X @ Y.T - (Y * Y).sum(-1))


class Bilinear(kr.BaseKernel):
    """x^T A y."""

    capabilities = frozenset({"asymmetric", "features", "matvec"})
    roles = ("source", "target")

    A = np.random.default_rng(7).standard_normal((3, 3))

    def evaluate(self, X, Y):
        return X @ self.A @ Y.T

    def features_left(self, X):
        return X @ self.A

    def features_right(self, Y):
        return Y

    def matvec(self, X, V, Y=None):
        return X @ (self.A @ ((X if Y is None else Y).T @ V))


class DivergenceFree(kr.BaseKernel):
    """Fields without divergence: [(d - 1 - r^2) I + r r^T] exp(-r^2 / 2), r = x - y."""

    capabilities = frozenset({"symmetric", "psd", "stationary", "matrix_valued", "diag"})

    def evaluate(self, X, Y):
        D = X[:, None] - Y[None]
        squared = (D**2).sum(-1)[..., None, None]
        d = X.shape[1]
        return ((d - 1 - squared) * np.eye(d) + D[..., :, None] * D[..., None, :]) * np.exp(-squared / 2)

    def diag(self, X):
        d = X.shape[1]
        return np.broadcast_to((d - 1) * np.eye(d), (len(X), d, d)).copy()


class Standardised(kr.BaseKernel):
    """RBF of data with unit spread, once the spread is known."""

    capabilities = frozenset({"symmetric", "psd", "normalized", "fitted"})

    def __init__(self, *, lengthscale=1.0):
        self.lengthscale = lengthscale

    def fit(self, X, y=None):
        self.scale_ = X.std(axis=0) + 0.1
        return self

    def evaluate(self, X, Y):
        if not hasattr(self, "scale_"):
            raise kr.NotFittedError(f"{self!r}: call fit(X) first")
        return rbf(X / self.scale_ / self.lengthscale, Y / self.scale_ / self.lengthscale)


class ArcCosine(kr.BaseKernel):
    """The arc-cosine kernel of order 1, a function of inner products."""

    capabilities = frozenset({"symmetric", "psd", "gram_map"})

    def evaluate(self, X, Y):
        return self.from_gram(X @ X.T, X @ Y.T, Y @ Y.T)

    def from_gram(self, Kxx, Kxy=None, Kyy=None):
        alone = Kxy is None
        a = np.sqrt(np.diagonal(Kxx))
        b = a if alone else np.sqrt(np.diagonal(Kyy))
        norms = a[:, None] * b
        cosine = np.clip((Kxx if alone else Kxy) / np.where(norms > 0, norms, 1), -1, 1)
        angle = np.arccos(cosine)
        return norms * (np.sin(angle) + (np.pi - angle) * cosine) / np.pi


class Squared(kr.BaseKernel):
    """The square of a kernel: acts on that kernel's Gram matrices."""

    capabilities = frozenset({"symmetric", "psd", "gram_map"})

    def __init__(self, *, kernel=None):
        self.kernel = kernel

    def evaluate(self, X, Y):
        return self.kernel(X, Y) ** 2

    def from_gram(self, Kxx, Kxy=None, Kyy=None):
        return (Kxx if Kxy is None else Kxy) ** 2


class Convolution(kr.BaseKernel):
    """Circular convolution with three taps."""

    capabilities = frozenset({"operator"})
    taps = (0.5, 1.0, -0.25)

    def layer(self):
        import torch

        outer = self

        class Circular(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.taps = torch.nn.Parameter(torch.tensor(outer.taps, dtype=torch.float64))

            def forward(self, x):
                return sum(self.taps[i] * x.roll(i - 1, -1) for i in range(3))

        return Circular()

    def dense(self, shape):
        eye = np.eye(shape[-1])
        return sum(tap * np.roll(eye, i - 1, axis=0) for i, tap in enumerate(self.taps))


class Trainable(kr.BaseKernel):
    """An RBF kernel whose length scales are learnt."""

    capabilities = frozenset({"symmetric", "psd", "normalized", "differentiable", "trainable"})

    def _logs(self, d=3):
        import torch

        if not hasattr(self, "_log_scales"):
            self._log_scales = torch.zeros(d, dtype=torch.float64, requires_grad=True)
        return self._log_scales

    def evaluate(self, X, Y):
        logs = self._logs(X.shape[1])
        if isinstance(X, np.ndarray):
            scale = np.exp(logs.detach().numpy())
            return rbf(X / scale, Y / scale)
        X, Y = X / logs.exp().to(X.dtype), Y / logs.exp().to(Y.dtype)
        return (-0.5 * ((X[:, None] - Y[None]) ** 2).sum(-1)).exp()

    def parameters(self):
        return iter([self._logs()])

    def state_dict(self):
        return {"log_scales": self._logs().detach().clone()}

    def load_state_dict(self, state):
        self._log_scales = state["log_scales"].clone().requires_grad_()
        return self


def fitted():
    return Standardised(lengthscale=2.0).fit(points())


#: Kernel and items, with the targets where it is fitted on some.
SOUND = {
    "spectral": lambda: (Spectral(lengthscale=1.5), points()),
    "dot": lambda: (Dot(offset=1.0), points()),
    "foreign": lambda: (Foreign(), points()),
    "distance": lambda: (Distance(), points()),
    "wave": lambda: (Wave(), points()),
    "letters": lambda: (Letters(), ["abba", "baab", "abcabc", "ccc", "a", "bca", "abba"]),
    "sparse_letters": lambda: (SparseLetters(), ["abba", "xyz", "abcabc", "ccc", "a"]),
    "random_fourier": lambda: (RandomFourier(), points()),
    "random_sum": lambda: (2 * RandomFourier(n_features=16) + Dot(offset=1.0), points()),
    "random_product": lambda: (RandomFourier(n_features=8, rng=0) * normalize(RandomFourier(rng=1)), points()),
    "mixed_spectrum": lambda: (Spectral() ** 2 + 3 * Spectral(lengthscale=2.0) * Spectral(), points()),
    "fitted_sum": lambda: (2 * fitted() + Rbf(), points()),
    "estimated": lambda: (Estimated(rng=0), points()),
    "shots": lambda: (Shots(rng=0), points()),
    "autoregressive": lambda: (Autoregressive(), times()),
    "attention": lambda: (Attention(), points()),
    "bilinear": lambda: (Bilinear(), points()),
    "divergence_free": lambda: (DivergenceFree(), points()),
    "fitted": lambda: (fitted(), points()),
    "arc_cosine": lambda: (ArcCosine(), points()),
    "squared": lambda: (Squared(kernel=Dot(offset=1.0)), points()),
    "convolution": lambda: (Convolution(), points(5, 8)),
    "trainable": lambda: (Trainable(), points()),
}
