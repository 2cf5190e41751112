"""BaseKernel: what a kernel gets for free. No kernel has to derive from it."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from types import MethodType
from typing import TYPE_CHECKING, Any

import numpy as np

from .arrays import (
    ARRAY_RANK,
    check_array,
    check_pair,
    check_sized,
    describe,
    float_dtype,
    is_numpy,
    is_prepared,
    is_torch,
    length,
)
from .errors import InputError
from .memory import guard_memory
from .params import Parametrized

if TYPE_CHECKING:
    from .composites import Power, Product, Scaled, Sum

    AddResult = Sum


class provides:
    """Decorator: the method exists only while the object's ``capabilities`` hold the name, or one of the names.

    Elsewhere the attribute is absent (AttributeError), so ``hasattr`` and whoever probes for the
    method get the truth.

    Parameters
    ----------
    *capabilities : str
    """

    def __init__(self, *capabilities: str) -> None:
        self.capabilities = capabilities
        self.function: Callable[..., Any] | None = None

    def __call__(self, function: Callable[..., Any]) -> Any:
        self.function = function
        self.__doc__ = function.__doc__
        self.__wrapped__ = function
        return self

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        if obj is None:
            return self.function
        has = obj.capabilities
        if not any(name in has for name in self.capabilities):
            raise AttributeError(
                f"{obj!r} has no {self.name!r}: it lacks the capability {' or '.join(map(repr, self.capabilities))}"
                f" (it has: {', '.join(sorted(has)) or 'none'}){self._reason(obj)}"
            )
        return MethodType(self.function, obj)  # type: ignore[arg-type]

    def _reason(self, obj: Any) -> str:
        """What the object itself says about the absence, where it has something to say."""
        explain = getattr(obj, "_why_absent", None)
        return f": {reason}" if explain is not None and (reason := explain(self.name)) else ""


def mirror_upper(K: np.ndarray, block: int = 256) -> np.ndarray:
    """Copy the upper triangle of the square matrix `K` into its lower one, in place, by blocks.

    With complex values the lower triangle is the conjugate.
    """
    conjugate = K.dtype.kind == "c"
    n = K.shape[0]
    for start in range(0, n, block):
        stop = min(start + block, n)
        corner = K[start:stop, start:stop]
        upper = np.triu(corner, 1)
        lower = upper.conj() if conjugate else upper
        diagonal = np.einsum("ii...->i...", corner).copy()
        corner[...] = upper + np.swapaxes(lower, 0, 1)
        np.einsum("ii...->i...", corner)[...] = diagonal
        for row in range(stop, n, block):
            part = K[start:stop, row : row + block]
            np.copyto(K[row : row + block, start:stop], np.swapaxes(part.conj() if conjugate else part, 0, 1))
    return K


def symmetrised(K: Any, *items: Any) -> Any:
    """`K` with its upper triangle mirrored: NumPy in place, torch functionally.

    Of matrix values (n, n, p, p) the matrix of n p rows is mirrored. Nothing is written to a `K`
    that is read-only or shares memory with `items`.
    """
    if K.ndim == 4:
        n, _, p, _ = K.shape
        rows = symmetrised(K.swapaxes(1, 2).reshape(n * p, n * p), K, *items)
        return rows.reshape(n, p, n, p).swapaxes(1, 2)
    if is_torch(K):
        upper = K.triu(1)
        return K.triu() + (upper.mH if K.dtype.is_complex else upper.mT)
    ours = K.flags.writeable and not any(is_numpy(x) and np.may_share_memory(K, x) for x in items)
    return mirror_upper(K if ours else K.copy())


def check_values(K: Any, shape: tuple[int, int], kernel: Any) -> Any:
    """`K` if it is an array of Gram values of that shape, else an InputError that names the kernel."""
    if not (is_numpy(K) or is_torch(K)) or tuple(K.shape[:2]) != shape or K.ndim not in (2, 4):
        raise InputError(
            f"{kernel!r}: expected a Gram matrix of shape {shape} for so many items, got {describe(K)}: "
            "a kernel is called on whole collections, k(X, Y), not on pairs"
        )
    return K


def _is_factor(value: Any) -> bool:
    """Whether ``value * kernel`` scales: a number, or a tensor that is one and may carry a gradient."""
    return (isinstance(value, numbers.Real) and not isinstance(value, bool)) or (is_torch(value) and value.ndim == 0)


def result_dtype_of(kernel: Any, X: Any) -> Any:
    """The dtype k(X) is known to have: a tensor's own, the kernel's ``result_dtype``, else a float's."""
    if is_torch(X):
        return X.dtype
    native = getattr(kernel, "result_dtype", None)
    return native(X) if callable(native) else float_dtype(X)


class BaseKernel(Parametrized):
    """Base class of kernels: checked input, operators, parameters; one method to write.

    A subclass states its ``domain`` and ``capabilities`` and writes :meth:`evaluate`. It may add
    ``into(X, Y, out)``, which fills a NumPy tile in place (then NumPy input goes there), and
    ``check_parameters(X)``; the methods of further capabilities go under :class:`provides`.

    Attributes
    ----------
    domain : str
        What one item is; one of :data:`kernreg_core.vocabulary.DOMAINS`.
    capabilities : frozenset of str
        May be a property that depends on parameters.
    pair_cost : {'low', 'high'}
        'high' where one value costs far more than a few microseconds: small tiles in ``gram``.
    accepts_sparse : bool
        Whether ``evaluate`` takes scipy sparse rows.

    Examples
    --------
    >>> import numpy as np
    >>> class Cauchy(BaseKernel):
    ...     '''k(x, y) = 1 / (1 + |x - y|^2 / l^2).'''
    ...     domain = "vectors"
    ...     capabilities = frozenset({"symmetric", "psd", "normalized", "stationary"})
    ...     def __init__(self, *, lengthscale=1.0):
    ...         self.lengthscale = lengthscale
    ...     def evaluate(self, X, Y):
    ...         squared = ((X[:, None, :] - Y[None, :, :]) ** 2).sum(-1)
    ...         return 1.0 / (1.0 + squared / self.lengthscale**2)
    >>> k = Cauchy(lengthscale=2.0)
    >>> k(np.array([[0.0], [2.0]]))
    array([[1. , 0.5],
           [0.5, 1. ]])
    >>> 2 * k + k**2
    2 * Cauchy(lengthscale=2.0) + Cauchy(lengthscale=2.0) ** 2
    """

    domain: str = "vectors"
    capabilities: frozenset[str] = frozenset()
    pair_cost: str = "low"
    accepts_sparse: bool = False

    #: np.float64(2) * kernel reaches __rmul__ instead of making an object array
    __array_ufunc__ = None

    def check_parameters(self, X: Any) -> None:
        """Check the parameters against the checked items `X`; raise ParameterError."""

    def evaluate(self, X: Any, Y: Any) -> Any:
        """k(X, Y), shape (n, m), of checked `X` and `Y`; `Y` is `X` itself for a symmetric matrix."""
        raise NotImplementedError(f"{type(self).__name__} defines no evaluate(X, Y)")

    def check_items(self, X: Any, Y: Any = None) -> tuple[Any, Any]:
        """`X` and `Y` checked and converted for this kernel's domain, parameters checked too.

        Returns
        -------
        X, Y
            The same object twice where `Y` is None or `X`.

        Raises
        ------
        InputError, ParameterError
        """
        same = Y is None or Y is X
        X = self._check_side(X, "X")
        Y = X if same else self._check_side(Y, "Y")
        self._check_alike(X, Y)
        if not (same or is_prepared(X)) and self.domain in ARRAY_RANK and hasattr(X, "shape") and hasattr(Y, "shape"):
            X, Y = check_pair(X, Y)
        self.check_parameters(X)
        return X, Y

    def _check_side(self, X: Any, name: str) -> Any:
        if is_prepared(X):
            return X
        if self.domain in ARRAY_RANK and not (self.domain == "paths" and isinstance(X, (list, tuple))):
            return check_array(X, name, domain=self.domain, accepts_sparse=self.accepts_sparse)
        return check_sized(X, name, self.domain)

    def _check_alike(self, X: Any, Y: Any) -> None:
        if is_prepared(X) != is_prepared(Y):
            raise InputError("X and Y: one side came out of prepare and the other did not: prepare both, or neither")

    def __call__(self, X: Any, Y: Any = None, /) -> Any:
        """The Gram matrix k(X, Y).

        Parameters
        ----------
        X : array or sequence, n items
        Y : array or sequence, m items, optional
            `X` by default.

        Returns
        -------
        ndarray or Tensor, shape (n, m)
            Of `X`'s library, dtype and device; exactly symmetric where the kernel is symmetric
            and `Y` is None or `X`.

        Raises
        ------
        InputError
            If the items are not what the kernel takes.
        ParameterError
            If a parameter is invalid, alone or for these items.
        GramMemoryError
            If the matrix would not fit in memory.
        """
        X, Y = self.check_items(X, Y)
        into = getattr(self, "into", None)
        shape = (length(X), length(Y))
        if into is not None and not is_torch(X):
            dtype = self.result_dtype(X)
            guard_memory(shape, dtype)
            out = np.empty(shape, dtype)
            into(X, Y, out)
            return out
        if not is_torch(X) or X.device.type == "cpu":
            guard_memory(shape, result_dtype_of(self, X))
        K = check_values(self.evaluate(X, Y), shape, self)
        if is_torch(X) and not is_torch(K):
            raise InputError(f"X: {self!r} does not take tensors, it made {describe(K)} of them: pass X.numpy()")
        return symmetrised(K, X) if Y is X and "symmetric" in self.capabilities else K

    def result_dtype(self, X: Any) -> np.dtype[Any]:
        """dtype of the NumPy matrix k(X): that of a float array, else float64; complex where declared."""
        dtype = float_dtype(X)
        return np.result_type(dtype, np.complex64) if "complex" in self.capabilities else dtype

    def __add__(self, other: Any) -> Sum:
        from ._parts import is_kernel_like
        from .composites import added

        return added(self, other) if is_kernel_like(other) else NotImplemented

    def __radd__(self, other: Any) -> Any:
        from ._parts import is_kernel_like
        from .composites import added

        if isinstance(other, numbers.Real) and other == 0:
            return self  # sum([k1, k2]) starts at 0
        return added(other, self) if is_kernel_like(other) else NotImplemented

    def __mul__(self, other: Any) -> Product | Scaled:
        from ._parts import is_kernel_like
        from .composites import multiplied, scaled

        if _is_factor(other):
            return scaled(self, other)
        return multiplied(self, other) if is_kernel_like(other) else NotImplemented

    def __rmul__(self, other: Any) -> Product | Scaled:
        from ._parts import is_kernel_like
        from .composites import multiplied, scaled

        if _is_factor(other):
            return scaled(self, other)
        return multiplied(other, self) if is_kernel_like(other) else NotImplemented

    def __pow__(self, exponent: Any) -> Power:
        from .composites import Power

        if isinstance(exponent, numbers.Real) and not isinstance(exponent, bool):
            return Power(kernel=self, exponent=exponent)  # type: ignore[arg-type]
        return NotImplemented
