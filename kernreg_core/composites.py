"""Kernels made of kernels: Sum, Product, Power, Scaled, Normalized.

Their capabilities follow from their parts'; a method that does not hold is absent. A part may be
any callable instance ``k(X, Y) -> (n, m)``, also of another library.
"""

from __future__ import annotations

import math
import numbers
import sys
import warnings
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any, TypeVar

import numpy as np

from ._composite import Composite
from ._features import all_features, side_by_side, tensor_product
from ._parts import METHODS, capabilities_of, diagonal, is_kernel_like, split_parts
from .arrays import describe, is_sparse, is_torch
from .base import BaseKernel, provides
from .errors import InputError, KernregWarning, ParameterError
from .params import typable

_C = TypeVar("_C", bound="Composite")
_EVERY = ("symmetric", "psd", "cpd", "stationary", "differentiable")


class _Terms(Composite):
    """A composite of any number of parts, held as the parameters k1, k2, ..."""

    _operator = ""

    def __init__(self, *terms: Any, **named: Any) -> None:
        given = {f"k{i}": term for i, term in enumerate(terms, 1)}
        if overlap := sorted(set(given) & set(named)):
            raise ParameterError(f"{type(self).__name__}: {', '.join(overlap)} given twice")
        given.update(named)
        wanted = [f"k{i}" for i in range(1, len(given) + 1)]
        if not given or sorted(given) != sorted(wanted):
            raise ParameterError(
                f"{type(self).__name__}: expected kernels k1, k2, ... without a gap, "
                f"got {', '.join(sorted(given)) or 'none'}"
            )
        for name in wanted:
            setattr(self, name, given[name])
        self._count = len(wanted)

    def _parameter_names(self) -> list[str]:
        return [f"k{i}" for i in range(1, self._count + 1)]

    def _parameter_defaults(self) -> dict[str, Any]:
        return dict.fromkeys(self._parameter_names(), object())

    def parts(self) -> list[Any]:
        """The terms, in order."""
        return [getattr(self, name) for name in self._parameter_names()]

    def __repr__(self) -> str:
        parts = self.parts()
        plain = len(parts) < 2 or not isinstance(parts[0], BaseKernel)  # a foreign + makes something foreign
        if plain or any(type(part) is type(self) for part in parts):
            return f"{type(self).__name__}({', '.join(map(repr, parts))})"
        return self._operator.join(
            f"({part!r})" if self._needs_brackets(part, first=i == 0) else repr(part) for i, part in enumerate(parts)
        )

    def _needs_brackets(self, part: Any, *, first: bool) -> bool:
        raise NotImplementedError


class Sum(_Terms):
    """k(x, y) = k1(x, y) + k2(x, y) + ...

    Parameters
    ----------
    *terms, k1, k2, ... : kernel
        At least one; any callable instance.

    Notes
    -----
    Features are the terms' features side by side. ``a + b + c`` is flat: its third term is
    reached as ``k3``, its parameters as ``k3__lengthscale``. The sum of positive definite kernels
    is positive definite [1]_.

    References
    ----------
    .. [1] N. Aronszajn, "Theory of reproducing kernels", Trans. AMS 68, 1950, section I.6.

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_core.composites import Sum
    >>> dot = lambda X, Y: X @ Y.T
    >>> Sum(dot, dot)(np.eye(2), np.eye(2))
    array([[2., 0.],
           [0., 2.]])
    """

    _operator = " + "

    @property
    def capabilities(self) -> frozenset[str]:  # type: ignore[override]
        found = self._shared_capabilities(*_EVERY, *METHODS)
        if all({"psd", "cpd"} & capabilities_of(part) for part in self.parts()) and "psd" not in found:
            found.add("cpd")  # what is positive definite is so conditionally
        return frozenset(found)

    def evaluate(self, X: Any, Y: Any) -> Any:
        return _reduce(self._evaluated(X, Y), np.add, lambda a, b: a + b)

    @provides("diag")
    def diag(self, X: Any) -> Any:
        """The sum of the terms' diagonals, shape (n,)."""
        X, _ = self.check_items(X)
        parts = self.parts()
        return sum(part.diag(x) for part, x in zip(parts, split_parts(X, len(parts)), strict=True))

    @provides("features")
    def features(self, X: Any, basis: Any = None) -> Any:
        """The terms' features side by side, shape (n, D1 + D2 + ...)."""
        return side_by_side(all_features(self.parts(), X, basis))

    @provides("matvec")
    def matvec(self, X: Any, V: Any, Y: Any = None) -> Any:
        """k(X, Y) V, term by term."""
        X, Y = self.check_items(X, Y)
        return sum(part.matvec(x, V, None if y is x else y) for part, x, y in self._sides(X, Y))

    def _all_gradients(self, X: Any, Y: Any) -> tuple[Any, Any, Any, Any]:
        k, gx, gy, gxy = (sum(column) for column in zip(*self._gradients(X, Y), strict=True))
        return k, gx, gy, gxy

    def _needs_brackets(self, part: Any, *, first: bool) -> bool:
        return not isinstance(part, BaseKernel) and " " in repr(part)


class Product(_Terms):
    """k(x, y) = k1(x, y) k2(x, y) ...

    Parameters
    ----------
    *terms, k1, k2, ... : kernel
        At least one; any callable instance.

    Notes
    -----
    Features are the tensor product of the factors' features; ``features`` raises InputError above
    65,536 columns. The product of positive definite kernels is positive definite (Schur) [1]_.

    References
    ----------
    .. [1] N. Aronszajn, "Theory of reproducing kernels", Trans. AMS 68, 1950, section I.8.

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_core.composites import Product
    >>> dot = lambda X, Y: X @ Y.T
    >>> Product(dot, dot)(2 * np.eye(2), np.eye(2))
    array([[4., 0.],
           [0., 4.]])
    """

    _operator = " * "

    @property
    def capabilities(self) -> frozenset[str]:  # type: ignore[override]
        # conditional positive definiteness is not kept by products
        found = self._shared_capabilities("symmetric", "psd", "stationary", "differentiable", "normalized")
        return frozenset(found | self._shared_capabilities("diag", "features", "gradients"))

    def evaluate(self, X: Any, Y: Any) -> Any:
        return _reduce(self._evaluated(X, Y), np.multiply, lambda a, b: a * b)

    @provides("diag")
    def diag(self, X: Any) -> Any:
        """The product of the factors' diagonals, shape (n,)."""
        X, _ = self.check_items(X)
        parts = self.parts()
        return math.prod(part.diag(x) for part, x in zip(parts, split_parts(X, len(parts)), strict=True))

    @provides("features")
    def features(self, X: Any, basis: Any = None) -> Any:
        """The tensor product of the factors' features, shape (n, D1 D2 ...)."""
        return tensor_product(all_features(self.parts(), X, basis))

    def _all_gradients(self, X: Any, Y: Any) -> tuple[Any, Any, Any, Any]:
        return reduce(_product_rule, self._gradients(X, Y))

    def _needs_brackets(self, part: Any, *, first: bool) -> bool:
        if isinstance(part, (Sum, Product)):
            return True
        if isinstance(part, Scaled):
            return not first
        return not isinstance(part, BaseKernel) and " " in repr(part)


class _Unary(Composite):
    kernel: Any

    def parts(self) -> list[Any]:
        """The one kernel inside."""
        return [self.kernel]

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
            found |= self._shared_capabilities("psd", "cpd", "features")
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

    @provides("diag")
    def diag(self, X: Any) -> Any:
        """The scaled diagonal, shape (n,)."""
        X, _ = self.check_items(X)
        return self._times(self.kernel.diag(*split_parts(X, 1)))

    @provides("features")
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
        Above 0. Positive definiteness is kept, and features exist, for a whole number.

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
            found |= self._shared_capabilities("psd", "differentiable", "features", "gradients")
        return frozenset(found)

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

    @provides("features")
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
        found = self._shared_capabilities("symmetric", "psd", "stationary", "differentiable", "features")
        return frozenset(found | {"normalized", "diag"})

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

    @provides("features")
    def features(self, X: Any, basis: Any = None) -> Any:
        """The kernel's features, each row divided by its norm."""
        (found,) = all_features([self.kernel], X, basis)
        if is_torch(found):
            norm = found.norm(dim=1, keepdim=True)
            return found / norm.where(norm > 0, float("inf"))
        if is_sparse(found):
            norm = np.sqrt(np.asarray(found.multiply(found.conj()).sum(axis=1)).real.ravel())
            return found.multiply(1.0 / np.where(norm > 0, norm, np.inf)[:, None]).tocsr()
        norm = np.linalg.norm(found, axis=1, keepdims=True)
        return found / np.where(norm > 0, norm, np.inf)

    def __repr__(self) -> str:
        return f"normalize({self.kernel!r})"


def normalize(kernel: Any) -> Normalized:
    """The kernel divided by the norms of its items; see :class:`Normalized`."""
    if not is_kernel_like(kernel):
        raise ParameterError(f"kernel: expected a kernel (a callable instance), got {describe(kernel)}")
    return Normalized(kernel=kernel)


def added(a: Any, b: Any) -> Sum:
    """a + b, flat."""
    return _checked(Sum(*_flat(a, Sum), *_flat(b, Sum)))


def multiplied(a: Any, b: Any) -> Product:
    """a * b, flat."""
    return _checked(Product(*_flat(a, Product), *_flat(b, Product)))


def scaled(kernel: Any, variance: Any) -> Scaled:
    """variance * kernel."""
    found = Scaled(kernel=kernel, variance=variance.item() if isinstance(variance, np.generic) else variance)
    found._factor()
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _is_complex(K: Any) -> bool:
    return bool(K.dtype.is_complex) if is_torch(K) else K.dtype.kind == "c"


def _flat(kernel: Any, kind: type[_Terms]) -> list[Any]:
    return kernel.parts() if type(kernel) is kind else [kernel]


def _checked(composite: _C) -> _C:
    composite.domain  # noqa: B018  (raises now, where the operator stands, and not at the first call)
    return composite


def _reduce(matrices: Iterable[Any], in_place: Callable[..., Any], functional: Callable[[Any, Any], Any]) -> Any:
    """Combine matrices one by one, in place where the running one is ours and NumPy."""
    total: Any = None
    owned = False
    for K in matrices:
        if total is None:
            total = K
        elif owned and isinstance(K, np.ndarray) and np.result_type(total, K) == total.dtype:
            in_place(total, K, out=total)
        else:
            total = functional(total, K)
            owned = isinstance(total, np.ndarray)
    return total if owned or not isinstance(total, np.ndarray) else total.copy()


def _product_rule(a: tuple[Any, ...], b: tuple[Any, ...]) -> tuple[Any, Any, Any, Any]:
    """(k, dk/dx, dk/dy, d2k/dx dy^T) of a product, from those of its two factors."""
    (ka, ax, ay, axy), (kb, bx, by, bxy) = a, b
    outer = ax[..., :, None] * by[..., None, :] + bx[..., :, None] * ay[..., None, :]
    return (
        ka * kb,
        ax * kb[..., None] + ka[..., None] * bx,
        ay * kb[..., None] + ka[..., None] * by,
        axy * kb[..., None, None] + outer + ka[..., None, None] * bxy,
    )


def _with_unit_diagonal(K: Any, norms: Any) -> Any:
    if is_torch(K):
        torch = sys.modules["torch"]
        eye = torch.eye(K.shape[0], dtype=torch.bool, device=K.device)
        return torch.where(eye, torch.isfinite(norms).to(K.dtype)[:, None], K)
    np.fill_diagonal(K, np.isfinite(norms))
    return K
