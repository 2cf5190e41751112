"""Nystrom features: the kernel projected on a few landmarks, exactly, for items of any domain."""

from __future__ import annotations

import math
import sys
from typing import Any, NamedTuple, Self

import numpy as np

import kernreg_core as kr
from kernreg_core import BaseKernel
from kernreg_core.arrays import check_sized, check_vectors, describe, is_prepared, is_sparse, is_torch, length
from kernreg_core.base import result_dtype_of
from kernreg_core.errors import InputError, NotFittedError, ParameterError
from kernreg_core.params import entropy

from . import _parameters
from ._items import check_kernel, diagonal, in_double, on_host, take
from ._projection import Projection, landmark_gram
from ._whitening import independent
from .rbf import RBF

_SELECTORS = {
    "uniform": "euclidean.uniform_landmarks",
    "kmeans": "euclidean.kmeans_landmarks",
    "leverage": "euclidean.leverage_landmarks",
    "pivoted_cholesky": "euclidean.pivoted_cholesky",
}


class ErrorEstimate(NamedTuple):
    """The relative error of an approximation in trace norm, and the standard error of that figure.

    Attributes
    ----------
    error : float
        Between 0 and 1.
    standard_error : float
        Of `error` as an estimate for the law that the items were drawn from; for the items themselves it is exact.
    """

    error: float
    standard_error: float


class _Features:
    """Features of items, kept: what ``prepare`` gives."""

    __kernreg_prepared__ = True

    def __init__(self, values: Any) -> None:
        self.values = values

    @property
    def dtype(self) -> Any:
        return self.values.dtype

    def __len__(self) -> int:
        return int(self.values.shape[0])

    def __getitem__(self, index: Any) -> _Features:
        if isinstance(index, (int, np.integer)):
            index = slice(index, index + 1 or None)
        return _Features(self.values[index])


class Nystrom(BaseKernel):
    r"""Nystrom approximation of a kernel, of any domain, by its projection on landmarks.

    .. math::
        \tilde k(x, y) = k(x, Z)\, k(Z, Z)^{-1} k(Z, y) = \varphi(x) \cdot \overline{\varphi(y)}, \qquad
        \varphi(x) = k(x, Z) L^{-H}, \quad k(Z, Z) = L L^H

    The call is the approximation, of which ``features`` are exact features. It equals k where one of x and y
    is a landmark, and what it leaves, :math:`k - \tilde k`, is positive semi-definite.

    Parameters
    ----------
    kernel : kernel, optional
        Positive semi-definite, of any domain. None is ``RBF()``. One that has to be fitted is fitted by ``fit``.
    n_features : int, default 100
        m, the number of landmarks; all items where there are fewer.
    selector : str or selector, default "uniform"
        What picks the landmarks: "uniform", "kmeans", "leverage", "pivoted_cholesky", another entry's name, or a
        selector. The parameters ``kernel`` and ``rng`` that it leaves at None are this kernel's.
    landmarks : items, optional
        Given landmarks, in place of selected ones.
    rng : int, numpy.random.Generator or None
        Seed of the selection. One integer is drawn from it for each object: ``fit`` on the same items gives the same
        landmarks again.

    Attributes
    ----------
    landmarks_ : items
        Those of them that are independent: one that the others explain (all but 1e-10 of its k(z, z)) is dropped.
    indices_ : ndarray of int, or None
        Where they stand in the items of ``fit``; None where they were given.
    selector_ : selector or None
        What picked them, with the results that it leaves.
    jitter_ : float
        What was added to the diagonal of k(Z, Z), relative to its entries. 0 after ``fit``; where parameters of
        the kernel were changed since, so that the landmarks became dependent, the least power of ten that lets the
        factorisation succeed.

    Raises
    ------
    NotFittedError
        If it is called before ``fit``.
    InputError
        By ``fit``, if k(Z, Z) is not positive semi-definite.
    ParameterError
        If a parameter is no kernel, no selector or out of range.

    Notes
    -----
    float32 rows and tensors give float32 features; the factorisation is always in float64, and so is the rest where
    landmarks are so close to one another that single precision would not do. For tensors the call is functional, with
    gradients to X, and to parameters of the kernel that are tensors; landmarks are constants.

    Parameters of the kernel may be changed after ``fit``: the landmarks stay, the factor is computed anew.

    scikit-learn's ``Nystroem`` takes the inverse square root of k(Z, Z): an orthogonal transformation of these.

    References
    ----------
    C. K. I. Williams and M. Seeger, Using the Nystrom Method to Speed Up Kernel Machines, NeurIPS 2001.

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_euclidean import RBF
    >>> X = np.linspace(0.0, 3.0, 31)[:, None]
    >>> k = Nystrom(kernel=RBF(), n_features=8, selector="pivoted_cholesky", rng=0).fit(X)
    >>> k.features(X).shape
    (31, 8)
    >>> bool(np.abs(k(X) - RBF()(X)).max() < 1e-4)
    True
    """

    def __init__(
        self,
        *,
        kernel: Any = None,
        n_features: int = 100,
        selector: Any = "uniform",
        landmarks: Any = None,
        rng: Any = None,
    ) -> None:
        self.kernel = kernel
        self.n_features = n_features
        self.selector = selector
        self.landmarks = landmarks
        self.rng = rng

    # -- what it is ---------------------------------------------------------------------------

    def _inner(self) -> Any:
        return RBF() if self.kernel is None else self.kernel

    @property
    def capabilities(self) -> frozenset[str]:  # type: ignore[override]
        """What features give, and ``differentiable``, ``complex``, ``stochastic`` where the kernel is so."""
        own = {"symmetric", "psd", "features", "diag", "matvec", "fitted", "prepare"}
        return frozenset(own | (kr.capabilities(self._inner()) & {"differentiable", "complex", "stochastic"}))

    @property
    def domain(self) -> str:  # type: ignore[override]
        """The kernel's; empty where it does not say."""
        found = getattr(self._inner(), "domain", "")
        return found if isinstance(found, str) else ""

    @property
    def accepts_sparse(self) -> bool:  # type: ignore[override]
        return bool(getattr(self._inner(), "accepts_sparse", False))

    def check_parameters(self, X: Any) -> None:
        """Raise ParameterError unless the kernel is one, whose parameters fit `X`."""
        inner = check_kernel(self._inner())
        if isinstance(inner, BaseKernel) and not is_prepared(X):
            inner.check_parameters(X)

    def _check_side(self, X: Any, name: str) -> Any:
        if self.domain or is_prepared(X):
            return super()._check_side(X, name)
        return X if is_sparse(X) else check_sized(X, name, "items")  # the rest is the foreign kernel's to check

    # -- fit ----------------------------------------------------------------------------------

    def fit(self, X: Any, y: Any = None) -> Self:
        """Choose the landmarks and factorise k(Z, Z).

        Parameters
        ----------
        X : items of the kernel's domain
        y : array, optional
            Passed on to a kernel that has to be fitted; not used otherwise.

        Returns
        -------
        self

        Raises
        ------
        InputError
            If `X` is not what the kernel takes, or k(Z, Z) is not positive semi-definite.
        ParameterError
            If a parameter is no kernel, no selector or out of range.
        """
        inner = check_kernel(self._inner())
        m = _parameters.integer("n_features", self.n_features, minimum=1)
        if isinstance(X, _Features):
            raise InputError("X: expected items to fit on, got features of them, which prepare gave: pass the items")
        if "fitted" in kr.capabilities(inner):
            inner.fit(X) if y is None else inner.fit(X, y)
        X, _ = self.check_items(X)
        selector, indices, candidates = None, None, X
        if self.landmarks is None:
            selector = self._selector(inner)
            indices = np.asarray(selector.select(X, min(m, length(X))))
        else:
            candidates = self._given(X)
        chosen = np.arange(length(candidates)) if indices is None else indices
        landmarks = take(candidates, chosen)
        kept, whitening = independent(*landmark_gram(inner, landmarks))
        if kept.size < chosen.size:
            landmarks = take(candidates, chosen[kept])
        self._cache = {"projection": Projection(inner, landmarks, whitening)}
        self.landmarks_ = landmarks
        self.indices_ = None if indices is None else indices[kept]
        self.selector_ = selector
        return self

    def _selector(self, inner: Any) -> Any:
        """A fresh selector; what it leaves open is set to the kernel and the seed of this object."""
        found = self.selector
        if isinstance(found, str):
            found = kr.create(_SELECTORS.get(found, found))
        if not callable(getattr(found, "select", None)) or isinstance(found, type):
            raise ParameterError(
                f"selector: expected one of {', '.join(map(repr, _SELECTORS))}, an entry's name or an object with "
                f"select(X, n), got {describe(self.selector)}"
            )
        found = kr.clone(found)
        params = found.get_params(deep=False) if hasattr(found, "get_params") else {}
        left_open = {"kernel": inner, "rng": entropy(self)}
        filled = {name: value for name, value in left_open.items() if name in params and params[name] is None}
        return found.set_params(**filled) if filled else found

    def _given(self, X: Any) -> Any:
        """The given landmarks, checked, which must be as wide as the items of ``fit``."""
        landmarks = self._check_side(self.landmarks, "landmarks")
        self.check_parameters(landmarks)
        if self.domain == "vectors" and not (is_prepared(X) or is_prepared(landmarks)):
            got, expected = int(landmarks.shape[1]), int(X.shape[1])
            if got != expected:
                raise InputError(f"landmarks: expected {expected} features, as X has, got {describe(landmarks)}")
        return landmarks

    def _projection(self) -> Projection:
        """The map to features, made anew where the kernel is no longer what it was."""
        if "landmarks_" not in self.__dict__:
            raise NotFittedError(f"{self!r} is not fitted: it has no landmarks yet; call fit(X) first")
        cache = self.__dict__.setdefault("_cache", {})
        found: Projection | None = cache.get("projection")
        inner = found.kernel if found is not None and self.kernel is None else self._inner()
        if found is None or found.kernel is not inner or not found.is_current():
            found = cache["projection"] = Projection(inner, self.landmarks_)
        return found

    @property
    def jitter_(self) -> float:
        """What was added to the diagonal of k(Z, Z), relative to its entries."""
        return self._projection().whitening.jitter

    # -- features -----------------------------------------------------------------------------

    def features(self, X: Any, basis: Any = None) -> Any:
        """The features ``k(X, Z) L^-H``, whose inner products are the approximation.

        Parameters
        ----------
        X : items, n of them
        basis : ignored
            The map is fixed by ``fit``.

        Returns
        -------
        ndarray or Tensor, shape (n, m)
            m is the number of landmarks in ``landmarks_``.
        """
        projection = self._projection()
        X, _ = self.check_items(X)
        return self._features(X, projection)

    def _features(self, X: Any, projection: Projection) -> Any:
        if isinstance(X, _Features):
            return X.values
        self._check_width(X)
        return projection.features(X)

    def _check_width(self, X: Any) -> None:
        if self.domain != "vectors" or is_prepared(X) or is_prepared(self.landmarks_):
            return
        got, expected = int(X.shape[1]), int(self.landmarks_.shape[1])
        if got != expected:
            raise InputError(
                f"X: expected {expected} features, as the landmarks have, got {describe(X)}: pass the same columns "
                "as to fit"
            )

    def prepare(self, X: Any) -> _Features:
        """The features of `X`, in a form that the call takes: computed once for all tiles of a matrix."""
        return X if isinstance(X, _Features) else _Features(self.features(X))

    def evaluate(self, X: Any, Y: Any) -> Any:
        """The approximation between checked items, shape (n, m)."""
        projection = self._projection()
        F = self._features(X, projection)
        G = F if Y is X else self._features(Y, projection)
        if is_torch(F):
            return F @ G.mH
        return F @ np.ascontiguousarray(G.conj().T)  # not the slower product of a matrix with its own transpose

    def result_dtype(self, X: Any) -> Any:
        """The dtype of k(X): that of features where `X` is prepared, else the kernel's own."""
        return X.dtype if isinstance(X, _Features) else result_dtype_of(self._inner(), X)

    def diag(self, X: Any) -> Any:
        """The diagonal of the approximation, the squared norms of features, shape (n,)."""
        projection = self._projection()
        X, _ = self.check_items(X)
        if is_torch(X) or isinstance(X, _Features):
            return _squared_norms(self._features(X, projection))
        parts = [_squared_norms(self._features(X[rows], projection)) for rows in projection.blocks(X)]
        return sys.modules["torch"].cat(parts) if is_torch(parts[0]) else np.concatenate(parts)

    def matvec(self, X: Any, V: Any, Y: Any = None) -> Any:
        """The approximation between `X` and `Y`, times `V`, in time and memory for n + m items rather than pairs.

        Parameters
        ----------
        X : items, n of them
        V : ndarray or Tensor, shape (m,) or (m, p)
        Y : items, m of them, optional
            `X` by default.

        Returns
        -------
        ndarray or Tensor, shape (n,) or (n, p)
        """
        projection = self._projection()
        X, Y = self.check_items(X, Y)
        side = X.values if isinstance(X, _Features) else X
        # of items that are neither arrays nor tensors the kernel decides which library its values are of
        decides = is_torch(side) or isinstance(X, _Features) or self.domain == "vectors"
        V = check_vectors(V, length(Y), side, tensors=is_torch(side if decides else V))
        if isinstance(X, _Features) or isinstance(Y, _Features):
            return _times(self._features(X, projection), self._features(Y, projection), V)
        self._check_width(X)
        return projection.multiply(X, V if is_torch(V) or V.dtype.kind in "fc" else V.astype(np.float64), Y)

    # -- errors -------------------------------------------------------------------------------

    def residual(self, X: Any) -> np.ndarray:
        r"""What the landmarks leave of every item, :math:`e(x) = k(x, x) - |\varphi(x)|^2`.

        It bounds the error of any value: :math:`|k(x, y) - \tilde k(x, y)| \le \sqrt{e(x)\, e(y)}`.

        Parameters
        ----------
        X : items, n of them

        Returns
        -------
        ndarray, shape (n,), float64
            At least 0.
        """
        projection = self._projection()
        X, _ = self.check_items(X)
        if isinstance(X, _Features):
            raise InputError("X: expected items, got features of them, which prepare gave: pass the items")
        X = in_double(X)  # a small difference of large numbers
        return np.maximum(diagonal(projection.kernel, X) - on_host(self.diag(X)).real, 0.0)

    def error_estimate(self, X: Any) -> ErrorEstimate:
        r"""The relative error in trace norm, :math:`\sum_i e(x_i) / \sum_i k(x_i, x_i)`.

        The residual :math:`k - \tilde k` is positive semi-definite, so its trace is its trace norm: for the items given
        the figure is exact, and it bounds the error of their Gram matrix in spectral and Frobenius norm, relative to
        the trace. Of a random sample of items it estimates that of all, with the standard error given.

        Parameters
        ----------
        X : items, n of them
            All of them, or a sample that the landmarks were not chosen from.

        Returns
        -------
        ErrorEstimate
            ``(error, standard_error)``. The standard error of the ratio of two means, to first order in 1 / n; NaN for
            a single item.
        """
        left, whole = self.residual(X), diagonal(self._inner(), self.check_items(X)[0])
        total = float(whole.sum())
        if not total > 0:
            return ErrorEstimate(0.0, 0.0)
        ratio, n = float(left.sum()) / total, whole.size
        if n == 1:
            return ErrorEstimate(ratio, math.nan)
        spread = float(np.square(left - ratio * whole).sum()) / (n - 1)
        return ErrorEstimate(ratio, math.sqrt(spread / n) / (total / n))


def _times(F: Any, G: Any, V: Any) -> Any:
    """F G^H V; tensors of different dtypes, which torch refuses, are promoted first."""
    if not is_torch(F):
        return F @ (G.conj().T @ V)
    dtype = sys.modules["torch"].promote_types(F.dtype, V.dtype)
    return F.to(dtype) @ (G.to(dtype).mH @ V.to(dtype))


def _squared_norms(F: Any) -> Any:
    if is_torch(F):
        return (F * F.conj()).real.sum(1)
    return np.einsum("ij,ij->i", F, F.conj()).real
