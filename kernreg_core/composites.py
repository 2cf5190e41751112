"""Kernels made of kernels: Sum, Product, Power, Scaled, Normalized.

Their capabilities follow from their parts'; a method that does not hold is absent. A part may be
any callable instance ``k(X, Y) -> (n, m)``, also of another library.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any, TypeVar

import numpy as np

from ._composite import Composite
from ._features import all_features, are_independent, side_by_side, tensor_product
from ._parts import METHODS, capabilities_of, is_kernel_like, split_parts
from .arrays import describe
from .base import BaseKernel, provides
from .errors import ParameterError
from .unary import Normalized, Power, Scaled

__all__ = ["Normalized", "Power", "Product", "Scaled", "Sum", "added", "multiplied", "normalize", "scaled"]

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
    Features are the terms' features side by side; where some of them are random they estimate the
    sum. Frequencies of a sum of stationary kernels are the mixture of the terms' frequencies.
    ``a + b + c`` is flat: its third term is
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
    _mixes = True

    @property
    def capabilities(self) -> frozenset[str]:  # type: ignore[override]
        found = self._shared_capabilities(*_EVERY, *METHODS.keys() - {"features"}) | self._feature_capability()
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

    @provides("features", "random_features")
    def features(self, X: Any, basis: Any = None) -> Any:
        """The terms' features side by side, shape (n, D1 + D2 + ...)."""
        return side_by_side(all_features(self.parts(), X, basis))

    def _joined_width(self, widths: list[int]) -> int:
        return sum(widths)

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
    65,536 columns. Random features need factors that draw independently: different objects, each with
    an ``rng`` of its own (with one seed for both the product of the estimates would be biased, so that
    the product then has none). Frequencies of a product of stationary kernels are sums of the factors'.

    The product of positive definite kernels is positive definite (Schur) [1]_.

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
        return frozenset(found | self._shared_capabilities("diag", "gradients") | self._feature_capability())

    def _feature_capability(self) -> set[str]:
        found = super()._feature_capability()
        return set() if "random_features" in found and not are_independent(self.parts()) else found

    def _why_absent(self, name: str) -> str:
        if name != "features" or not super()._feature_capability():
            return ""
        return (
            "its factors draw random features from one rng, and the product of their estimates would be biased: "
            "give each factor an rng of its own"
        )

    def evaluate(self, X: Any, Y: Any) -> Any:
        return _reduce(self._evaluated(X, Y), np.multiply, lambda a, b: a * b)

    @provides("diag")
    def diag(self, X: Any) -> Any:
        """The product of the factors' diagonals, shape (n,)."""
        X, _ = self.check_items(X)
        parts = self.parts()
        return math.prod(part.diag(x) for part, x in zip(parts, split_parts(X, len(parts)), strict=True))

    @provides("features", "random_features")
    def features(self, X: Any, basis: Any = None) -> Any:
        """The tensor product of the factors' features, shape (n, D1 D2 ...)."""
        return tensor_product(all_features(self.parts(), X, basis))

    def _joined_width(self, widths: list[int]) -> int:
        return math.prod(widths)

    def _all_gradients(self, X: Any, Y: Any) -> tuple[Any, Any, Any, Any]:
        return reduce(_product_rule, self._gradients(X, Y))

    def _needs_brackets(self, part: Any, *, first: bool) -> bool:
        if isinstance(part, (Sum, Product)):
            return True
        if isinstance(part, Scaled):
            return not first
        return not isinstance(part, BaseKernel) and " " in repr(part)


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
