"""Inner products of many items as one symmetric operator: a stored Gram matrix, products with it, or features."""

from __future__ import annotations

import numbers
from typing import Any, Protocol

import numpy as np

import kernreg_core as kr
from kernreg_core.errors import InputError, ParameterError

from .centers import CentersMixin, take
from .gram_product import GramProduct, available, diagonal
from .linalg import rows_times
from .mixin import count
from .nystrom_features import NystromFeatures, all_finite
from .operator import KernelOperator
from .resolve import is_precomputed, probe


class Similarities(Protocol):
    """K = k(X, X) for items 0 to n - 1."""

    diag: np.ndarray  #: (n,)

    def times(self, V: np.ndarray) -> np.ndarray:
        """K V, shape (n, t)."""

    def columns(self, index: np.ndarray, V: np.ndarray | None = None) -> np.ndarray:
        """K[:, index] V, shape (n, t); without V the columns themselves."""


class StoredMatrix:
    """A Gram matrix in memory."""

    def __init__(self, K: np.ndarray) -> None:
        self.K = K
        self.diag = K.diagonal().copy()

    def times(self, V: np.ndarray) -> np.ndarray:
        """K V."""
        # K is symmetric, and rows times K is the faster product
        return rows_times(np.ascontiguousarray(V.T), self.K).T

    def columns(self, index: np.ndarray, V: np.ndarray | None = None) -> np.ndarray:
        """K[:, index] V."""
        rows = self.K[index]
        return np.asarray(rows.T if V is None else (np.ascontiguousarray(V.T) @ rows).T)


class Products:
    """A Gram matrix that is never formed."""

    def __init__(self, kernel: Any, X: Any) -> None:
        self._kernel, self._X = kernel, X
        self._gram = GramProduct(kernel, X)
        self.diag = all_finite(diagonal(kernel, X), kernel)

    def times(self, V: np.ndarray) -> np.ndarray:
        """K V."""
        return all_finite(self._gram(V), self._kernel)

    def columns(self, index: np.ndarray, V: np.ndarray | None = None) -> np.ndarray:
        """K[:, index] V."""
        part = KernelOperator(self._kernel, self._X, take(self._X, index))
        return all_finite(part.times(np.eye(len(index)) if V is None else V), self._kernel)


class FeatureMatrix:
    """Nystrom features in memory, (n, r), whose inner products are the similarities."""

    def __init__(self, features: NystromFeatures, X: Any) -> None:
        self.features = features
        self.F = all_finite(features.of(X), features.kernel)
        self.diag = np.einsum("ij,ij->i", self.F, self.F)

    def times(self, V: np.ndarray) -> np.ndarray:
        """F F^T V."""
        return np.asarray(self.F @ (self.F.T @ V))

    def columns(self, index: np.ndarray, V: np.ndarray | None = None) -> np.ndarray:
        """F F[index]^T V."""
        part = self.F[index].T
        return np.asarray(self.F @ (part if V is None else part @ V))


METHODS = ("auto", "exact", "matvec", "nystrom")


class FeatureSpaceMixin(CentersMixin):
    """What clustering shares: the parameters method, memory_budget and those of :class:`CentersMixin`.

    ``fit`` leaves ``method_``, and ``X_fit_`` (None with 'precomputed' and 'nystrom').
    """

    method: str
    memory_budget: int | None

    @property
    def _keeps(self) -> Any:  # type: ignore[override]
        """A whole matrix is kept in float64; rows that are only multiplied stay float32."""
        return (np.float64, np.float32) if self.method in ("matvec", "nystrom") else np.float64

    def _check_method(self) -> None:
        if self.method not in METHODS:
            raise ParameterError(f"method: expected one of {', '.join(map(repr, METHODS))}, got {self.method!r}")
        if self.method in ("matvec", "nystrom") and is_precomputed(self.kernel):
            raise ParameterError(
                f"method: {self.method!r} evaluates the kernel and takes no 'precomputed' matrix: pass the kernel "
                "itself, or method='exact'"
            )
        if self.memory_budget is not None and not is_whole(self.memory_budget, 1):
            raise ParameterError(
                f"memory_budget: expected a whole number of bytes at least 1, or None, got {self.memory_budget!r}"
            )

    def _chosen_method(self, n: int) -> str:
        """'auto' decided by size: the matrix while it fits, else centres."""
        if self.method != "auto":
            return self.method
        size = 8.0 * n * n
        if self._layout_fit == "precomputed" or (self.memory_budget is None and size < 2**30):
            return "exact"
        return "exact" if size <= available(self.memory_budget) else "nystrom"

    def _similarities(self, X: Any, y: Any) -> Similarities:
        """The inner products of the checked items `X`; the kernel is fitted where it has to be."""
        for stale in ("centers_", "center_indices_", "n_centers_", "features_"):
            self.__dict__.pop(stale, None)
        self.method_ = self._chosen_method(count(X))
        if self.method_ == "exact":
            return StoredMatrix(self._training_gram(X, y))
        if self.method_ == "matvec":
            self._keep_items(X, y)
            return Products(self.kernel_, self.X_fit_)
        if "fitted" in kr.capabilities(self.kernel_):
            self.kernel_.fit(X, y)
        probe(self.kernel_, X)
        self.X_fit_, self.n_samples_fit_ = None, count(X)
        return FeatureMatrix(NystromFeatures(self.kernel_, self._choose_centers(X)), X)

    def _new_products(self, X: Any, V: np.ndarray) -> np.ndarray:
        """k(x, .) V with the training items or, with 'nystrom', the centres, of checked new items."""
        if self.method_ != "nystrom":
            return self._cross_matvec(X, V)
        return all_finite(self._operator(X).times(V), self.kernel_)


def is_whole(value: Any, least: int) -> bool:
    """Whether `value` is a whole number at least `least`."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= least


def check_clusters(n_clusters: Any, n: int) -> int:
    """`n_clusters` of `n` items, checked."""
    if not is_whole(n_clusters, 1):
        raise ParameterError(f"n_clusters: expected a whole number at least 1, got {n_clusters!r}")
    if n < n_clusters:
        raise InputError(f"X: n_samples={n} should be >= n_clusters={n_clusters}: pass more items, or ask for fewer")
    return int(n_clusters)
