"""Kernels made of one other kernel: Scaled, Power, Normalized."""

from __future__ import annotations

import math
import numbers
import sys
import warnings
from typing import Any

import numpy as np

from ._composite import Composite
from ._features import all_features, tensor_product
from ._parts import capabilities_of, diagonal, split_parts
from .arrays import describe, is_sparse, is_torch
from .base import BaseKernel, provides
from .errors import InputError, KernregWarning, ParameterError
from .params import typable


class _Unary(Composite):
    kernel: Any

    def parts(self) -> list[Any]:
        """The one kernel inside."""
        return [self.kernel]

    def _joined_width(self, widths: list[int]) -> int:
        return widths[0]

    def _inner(self) -> str:
        text = repr(self.kernel)
        return f"({text})" if isinstance(self.kernel, Composite) and not isinstance(self.kernel, Normalized) else text


class Scaled(_Unary):
    """k(x, y) = variance * k0(x, y): what ``2 * k`` gives.

    Parameters
    ----------
    kernel : kernel
    variance : float
        Any finite number; below 0 the result is not positive definite.

    Raises
    ------
    ParameterError
        If `variance` is no finite number.

    References
    ----------
    .. [1] N. Aronszajn, "Theory of reproducing kernels", Trans. AMS 68, 1950, section I.5.

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_core.composites import Scaled
    >>> Scaled(kernel=lambda X, Y: X @ Y.T, variance=3.0)(np.eye(2))
    array([[3., 0.],
           [0., 3.]])
    """

    def __init__(self, *, kernel: Any, variance: float = 1.0) -> None:
        self.kernel = kernel
        self.variance = variance

    @property
    def capabilities(self) -> frozenset[str]:  # type: ignore[override]
        found = self._shared_capabilities("symmetric", "stationary", "differentiable", "diag", "matvec", "gradients")
        if self._factor() >= 0:
            found |= self._shared_capabilities("psd", "cpd") | self._feature_capability()
        if self._factor() == 1:
            found |= self._shared_capabilities("normalized")
        return frozenset(found)

    def _factor(self) -> float:
        value: Any = self.variance
        if is_torch(value) and value.ndim == 0 and not value.dtype.is_complex:
            value = value.item()
        if not isinstance(value, numbers.Real) or isinstance(value, bool) or not math.isfinite(value):
            raise ParameterError(f"variance: expected a finite number, got {describe(value)}")
        return float(value)

    def _times(self, K: Any) -> Any:
        # a Python float keeps float32; a tensor keeps its gradient
        return K * (self.variance if is_torch(self.variance) and is_torch(K) else self._factor())

    def evaluate(self, X: Any, Y: Any) -> Any:
        (K,) = self._evaluated(X, Y)
        return self._times(K)

    @property
    def into(self) -> Any:
        """``into(X, Y, out)`` fills `out` with k(X, Y) in place, where the kernel inside can be filled in place."""
        inner = self.kernel
        if not isinstance(inner, BaseKernel) or not hasattr(inner, "into") or "prepare" in capabilities_of(inner):
            raise AttributeError(f"{self!r} cannot be filled in place: {inner!r} has no into(X, Y, out)")
        return self._fill

    def _fill(self, X: Any, Y: Any, out: np.ndarray) -> None:
        self.kernel.into(X, Y, out)
        out *= self._factor()

    def check_items(self, X: Any, Y: Any = None) -> tuple[Any, Any]:
        """`X` and `Y` checked and converted, the conditions of a kernel that is filled in place included."""
        X, Y = super().check_items(X, Y)
        if hasattr(self, "into"):
            self.kernel.check_items(X, Y)  # elsewhere its own call checks
        return X, Y

    @provides("diag")
    def diag(self, X: Any) -> Any:
        """The scaled diagonal, shape (n,)."""
        X, _ = self.check_items(X)
        return self._times(self.kernel.diag(*split_parts(X, 1)))

    @provides("features", "random_features")
    def features(self, X: Any, basis: Any = None) -> Any:
        """sqrt(variance) times the kernel's features."""
        (found,) = all_features([self.kernel], X, basis)
        variance: Any = self.variance
        keeps_gradient = is_torch(variance) and is_torch(found)
        return found * (variance.sqrt() if keeps_gradient else math.sqrt(self._factor()))

    @provides("matvec")
    def matvec(self, X: Any, V: Any, Y: Any = None) -> Any:
        """k(X, Y) V."""
        X, Y = self.check_items(X, Y)
        ((kernel, x, y),) = self._sides(X, Y)
        return self._times(kernel.matvec(x, V, None if y is x else y))

    def _all_gradients(self, X: Any, Y: Any) -> tuple[Any, Any, Any, Any]:
        k, gx, gy, gxy = (self._times(column) for column in self._gradients(X, Y)[0])
        return k, gx, gy, gxy

    def __repr__(self) -> str:
        if not isinstance(self.kernel, BaseKernel) or not _is_number(self.variance):
            return super().__repr__()
        return f"{typable(self.variance)} * {self._inner()}"


class Power(_Unary):
    """k(x, y) = k0(x, y)^exponent.

    Parameters
    ----------
    kernel : kernel
    exponent : float
        Above 0. Positive definiteness is kept, and features exist, for a whole number; random features
        for 1 alone.

    Raises
    ------
    ParameterError
        If `exponent` is no finite number above 0.

    References
    ----------
    .. [1] N. Aronszajn, "Theory of reproducing kernels", Trans. AMS 68, 1950, section I.8.

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_core.composites import Power
    >>> Power(kernel=lambda X, Y: X @ Y.T, exponent=3)(2 * np.eye(2), np.eye(2))
    array([[8., 0.],
           [0., 8.]])
    """

    def __init__(self, *, kernel: Any, exponent: float = 2) -> None:
        self.kernel = kernel
        self.exponent = exponent

    def _whole(self) -> int | None:
        value = self.exponent
        if not isinstance(value, numbers.Real) or isinstance(value, bool) or not math.isfinite(value) or value <= 0:
            raise ParameterError(f"exponent: expected a finite number above 0, got {describe(value)}")
        return int(value) if value == int(value) else None

    @property
    def capabilities(self) -> frozenset[str]:  # type: ignore[override]
        found = self._shared_capabilities("symmetric", "stationary", "diag", "normalized")
        if self._whole() is not None:
            found |= self._shared_capabilities("psd", "differentiable", "gradients") | self._feature_capability()
        return frozenset(found)

    def _feature_capability(self) -> set[str]:
        # the square of one estimate is no estimate of the square
        return super()._feature_capability() - (set() if self._whole() == 1 else {"random_features"})

    def _why_absent(self, name: str) -> str:
        if name != "features" or "random_features" not in super()._feature_capability():
            return ""
        return (
            "a power of one random estimate is biased: multiply kernels that draw independently, or draw features "
            "of the power itself (of a stationary kernel with euclidean.random_fourier)"
        )

    def _spectral_parts(self) -> list[Any]:
        return [self.kernel] * (self._whole() or 1)

    def _raised(self, K: Any) -> Any:
        whole = self._whole()
        if whole is None and not _is_complex(K) and bool((K < 0).any()):
            raise InputError(
                f"exponent: {self.exponent} of a negative kernel value is no real number: "
                "take a whole exponent, or a kernel that is never negative"
            )
        return K ** (whole if whole is not None else float(self.exponent))

    def evaluate(self, X: Any, Y: Any) -> Any:
        (K,) = self._evaluated(X, Y)
        return self._raised(K)

    @provides("diag")
    def diag(self, X: Any) -> Any:
        """The diagonal raised to the exponent, shape (n,)."""
        X, _ = self.check_items(X)
        return self._raised(self.kernel.diag(*split_parts(X, 1)))

    @provides("features", "random_features")
    def features(self, X: Any, basis: Any = None) -> Any:
        """The exponent-fold tensor product of the kernel's features."""
        (found,) = all_features([self.kernel], X, basis)
        return tensor_product([found] * (self._whole() or 1))

    def _all_gradients(self, X: Any, Y: Any) -> tuple[Any, Any, Any, Any]:
        ((k, gx, gy, gxy),) = self._gradients(X, Y)
        p = self._whole() or 1
        if p == 1:
            return k, gx, gy, gxy
        slope, bend = (p * k ** (p - 1))[..., None], (p * (p - 1) * k ** (p - 2))[..., None, None]
        outer = gx[..., :, None] * gy[..., None, :]
        return k**p, slope * gx, slope * gy, slope[..., None] * gxy + bend * outer

    def __repr__(self) -> str:
        if not isinstance(self.kernel, BaseKernel) or not _is_number(self.exponent):
            return super().__repr__()
        return f"{self._inner()} ** {typable(self.exponent)}"


class Normalized(_Unary):
    """k(x, y) = k0(x, y) / sqrt(k0(x, x) k0(y, y)): the cosine in feature space.

    Parameters
    ----------
    kernel : kernel
        With k0(x, x) >= 0.

    Raises
    ------
    InputError
        If some k0(x, x) is negative.

    Notes
    -----
    An item with k0(x, x) = 0 (a zero vector under a linear kernel, a graph with nothing to
    count) has no direction: its row and its diagonal are 0, and a KernregWarning says so.

    References
    ----------
    .. [1] J. Shawe-Taylor and N. Cristianini, "Kernel Methods for Pattern Analysis", 2004, section 5.1.

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_core.composites import Normalized
    >>> Normalized(kernel=lambda X, Y: X @ Y.T)(np.array([[3.0], [-2.0]]))
    array([[ 1., -1.],
           [-1.,  1.]])
    """

    def __init__(self, *, kernel: Any) -> None:
        self.kernel = kernel

    @property
    def capabilities(self) -> frozenset[str]:  # type: ignore[override]
        found = self._shared_capabilities("symmetric", "psd", "stationary", "differentiable")
        return frozenset(found | self._feature_capability() | {"normalized", "diag"})

    def check_parameters(self, X: Any) -> None:
        super().check_parameters(X)
        if "matrix_valued" in capabilities_of(self.kernel):
            raise ParameterError(f"kernel: expected one with scalar values, got the matrix-valued {self.kernel!r}")

    def evaluate(self, X: Any, Y: Any) -> Any:
        (K,) = self._evaluated(X, Y)
        left = self._norms(split_parts(X, 1)[0], K)
        right = left if Y is X else self._norms(split_parts(Y, 1)[0], K)
        K = K / left[:, None] / right[None, :]
        if Y is X:
            return _with_unit_diagonal(K, left)
        return K

    def _norms(self, X: Any, like: Any) -> Any:
        """sqrt(k0(x, x)) of each item, infinity where it is 0, so that the quotient is 0 there."""
        squared = diagonal(self.kernel, X)
        if bool((squared < 0).any()):
            where = int((squared < 0).nonzero()[0].reshape(-1)[0])
            raise InputError(
                f"{self.kernel!r}: expected k(x, x) >= 0 for a normalised kernel, got {float(squared[where]):g} "
                f"at item {where}: the kernel is not positive semi-definite there"
            )
        if not bool((squared > 0).all()):
            warnings.warn(
                f"{self.kernel!r}: {int((squared == 0).sum())} item(s) have k(x, x) = 0 and no direction; "
                "their rows are 0. Drop these items to silence this",
                KernregWarning,
                stacklevel=2,
            )
        if is_torch(squared):
            return squared.where(squared > 0, float("inf")).sqrt()
        return np.sqrt(np.where(squared > 0, squared, np.inf)).astype(like.dtype, copy=False)

    @provides("diag")
    def diag(self, X: Any) -> Any:
        """1 for each item, 0 where k0(x, x) is 0; shape (n,)."""
        X, _ = self.check_items(X)
        squared = diagonal(self.kernel, *split_parts(X, 1))
        return (squared > 0).to(squared.dtype) if is_torch(squared) else (squared > 0).astype(squared.dtype)

    @provides("features", "random_features")
    def features(self, X: Any, basis: Any = None) -> Any:
        """The kernel's features, each row divided by its norm; random ones by sqrt(k0(x, x)), which keeps the mean."""
        (found,) = all_features([self.kernel], X, basis)
        if "random_features" in self.capabilities:
            return _rows_divided(found, self._norms(split_parts(X, 1)[0], found))
        if is_torch(found):
            norm = found.norm(dim=1)
            return _rows_divided(found, norm.where(norm > 0, float("inf")))
        if is_sparse(found):
            norm = np.sqrt(np.asarray(found.multiply(found.conj()).sum(axis=1)).real.ravel())
        else:
            norm = np.linalg.norm(found, axis=1)
        return _rows_divided(found, np.where(norm > 0, norm, np.inf))

    def __repr__(self) -> str:
        return f"normalize({self.kernel!r})"


def _rows_divided(found: Any, norms: Any) -> Any:
    """Each row of features over its norm."""
    if is_sparse(found):
        return found.multiply((1.0 / norms)[:, None]).tocsr()
    return found / norms[:, None]


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_complex(K: Any) -> bool:
    return bool(K.dtype.is_complex) if is_torch(K) else K.dtype.kind == "c"


def _with_unit_diagonal(K: Any, norms: Any) -> Any:
    if is_torch(K):
        torch = sys.modules["torch"]
        eye = torch.eye(K.shape[0], dtype=torch.bool, device=K.device)
        return torch.where(eye, torch.isfinite(norms).to(K.dtype)[:, None], K)
    np.fill_diagonal(K, np.isfinite(norms))
    return K
