"""From what a user passes as ``kernel=`` to a fresh kernel object, or an error that says why not."""

from __future__ import annotations

import inspect
from typing import Any

import kernreg_core as kr
from kernreg_core.arrays import describe
from kernreg_core.errors import KernregError, ParameterError, UnknownNameError

from .kernels import LinearKernel

PRECOMPUTED = "precomputed"
_EXPECTED = (
    "expected a kernel object, a callable (X, Y) -> matrix of shape (n, m), an entry's name, 'precomputed' or None"
)


def is_precomputed(kernel: object) -> bool:
    """Whether `kernel` is the string that says: X is a Gram matrix."""
    return isinstance(kernel, str) and kernel == PRECOMPUTED


def resolve(kernel: Any) -> Any:
    """The kernel to fit with: a new object that the estimator may change, never the user's own.

    Parameters
    ----------
    kernel : None, str, kernel or callable
        None is the linear kernel; a str is the name of an entry, created with its defaults.

    Returns
    -------
    kernel
        A function is returned as it is: it has nothing to change.

    Raises
    ------
    ParameterError
        If `kernel` is no kernel, or one that these solvers cannot use.
    UnknownNameError
        If it is a name that no installed plugin offers.
    """
    if kernel is None:
        return LinearKernel()
    if isinstance(kernel, str):
        return check_usable(create(kernel, "kernel"), f"kernel={kernel!r}")
    if isinstance(kernel, type):
        raise ParameterError(
            f"kernel: {_EXPECTED}, got the class {kernel.__name__}: make an object of it, {kernel.__name__}(...)"
        )
    if not callable(kernel):
        raise ParameterError(f"kernel: {_EXPECTED}, got {describe(kernel)}")
    found = kernel if inspect.isroutine(kernel) else kr.clone(kernel)
    return check_usable(found, "kernel")


def create(name: str, argument: str) -> Any:
    """The entry `name` with its defaults; the error about a wrong one names the argument."""
    try:
        return kr.create(name)
    except (ParameterError, UnknownNameError) as error:
        raise type(error)(f"{argument}: {str(error).removeprefix('name: ')}") from error


def peek(kernel: Any) -> Any:
    """`kernel` as an object to ask for its properties, or None where it cannot be had; never raises."""
    if kernel is None:
        return LinearKernel()
    if not isinstance(kernel, str):
        return kernel
    if is_precomputed(kernel):
        return None
    try:
        return kr.create(kernel)
    except KernregError:
        return None  # a wrong name is reported by fit, not when tags are asked for


def domain_of(kernel: Any) -> str:
    """The declared domain, or '' where there is none."""
    domain = getattr(kernel, "domain", "")
    return domain if isinstance(domain, str) else ""


def check_usable(kernel: Any, what: str) -> Any:
    """`kernel`, unless its capabilities say that no symmetric real Gram matrix comes out of it."""
    if not callable(kernel):
        raise ParameterError(f"{what}: {_EXPECTED}, got {describe(kernel)}, which cannot be called")
    if _library(kernel) == "gpytorch":  # a module gives lazy matrices, of tensors alone
        raise ParameterError(f"{what}: {_EXPECTED}, got {type(kernel).__name__} of GPyTorch{_bridge(kernel)}")
    capabilities = kr.capabilities(kernel)
    for capability, reason in _UNUSABLE.items():
        if capability in capabilities:
            raise ParameterError(f"{what}: {kernel!r} is {capability}: {reason}")
    return kernel


_UNUSABLE = {
    "asymmetric": "X and Y have different roles in it, and this solver needs k(x, y) = k(y, x); "
    "symmetrise it, for example lambda X, Y: (k(X, Y) + k(Y, X).T) / 2",
    "complex": "this solver needs real values; take the real part, for example lambda X, Y: k(X, Y).real",
    "matrix_valued": "this solver needs one number for each pair; fix an output component of the kernel",
    "operator": "it maps sequences to sequences and has no Gram matrix; take it as a layer",
}


class Prepared:
    """A kernel between items that are prepared already, so that ``gram`` does not prepare them again.

    Parameters
    ----------
    kernel : kernel
        With the capability ``prepare``.
    """

    def __init__(self, kernel: Any) -> None:
        self.kernel = kernel
        self.capabilities = kr.capabilities(kernel) - {"prepare"}
        self.pair_cost = getattr(kernel, "pair_cost", "low")
        for member in ("into", "result_dtype"):
            if hasattr(kernel, member):
                setattr(self, member, getattr(kernel, member))

    def __call__(self, X: Any, Y: Any = None, /) -> Any:
        return self.kernel(X) if Y is None else self.kernel(X, Y)


def probe(kernel: Any, X: Any) -> None:
    """Call a kernel on five items before all, where it is no kernreg kernel, or one of another domain than rows'.

    Raises
    ------
    ParameterError
        If the call fails, or gives anything but an (n, m) matrix.
    """
    if isinstance(kernel, kr.BaseKernel):
        if domain_of(kernel) not in ("", "vectors") and _are_rows(X):
            _try_on_rows(kernel, X)
        return
    left, right = X[:3], X[:2]
    shape = tuple(int(side.shape[0]) if hasattr(side, "shape") else len(side) for side in (left, right))
    try:
        K = kernel(left, right)
    except (TypeError, ValueError, AttributeError, IndexError) as error:
        raise ParameterError(
            f"kernel: {_EXPECTED}, got {kernel!r}, which fails on {shape[0]} and {shape[1]} items: {error}"
            + _bridge(kernel)
        ) from error
    got = getattr(K, "shape", None)
    if got is None or tuple(got) != shape:
        raise ParameterError(
            f"kernel: {_EXPECTED}, got {kernel!r}, which gives {describe(K)} for {shape[0]} and {shape[1]} items "
            f"and not a matrix of shape {shape}; a function of two single items has to be called on each pair"
            + _bridge(kernel)
        )


def _bridge(kernel: Any) -> str:
    """What to do with a kernel of another library, as a part of an error."""
    return "; pass kernreg_solvers.as_kernel(kernel)" if _library(kernel) else ""


def _library(kernel: Any) -> str:
    """The library whose kernel it is: gpytorch, sklearn, or none."""
    for base in type(kernel).__mro__:
        if base.__module__.startswith(("gpytorch.", "sklearn.gaussian_process.")):
            return base.__module__.partition(".")[0]
    return ""


def _are_rows(X: Any) -> bool:
    """Whether `X` is a table of numbers, which a kernel on sequences may take, too, and one on graphs may not."""
    return len(getattr(X, "shape", ())) == 2 and getattr(getattr(X, "dtype", None), "kind", "f") in "fiub"


def _try_on_rows(kernel: Any, X: Any) -> None:
    try:
        kernel(X[:3], X[:2])
    except KernregError:
        raise
    except (TypeError, ValueError, AttributeError, LookupError) as error:
        raise ParameterError(
            f"kernel: expected one for the domain of X, which holds rows of numbers ({describe(X)}), got {kernel!r} of "
            f"the domain {domain_of(kernel)!r}, which fails on them: {error}; take a kernel of the domain 'vectors', "
            f"or pass items that are {domain_of(kernel)}"
        ) from error
