"""The positive numbers among a kernel's parameters: which they are, and how they are read and written."""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernreg_core.arrays import describe, is_torch
from kernreg_core.errors import ParameterError

#: Floats that choose a kernel rather than scale it: left alone unless they are asked for by name.
STRUCTURAL = frozenset(
    {"order", "nu", "exponent", "degree", "power", "halt_probability", "tol", "eps", "epsilon", "jitter"}
)

#: Names whose whole numbers are meant as real ones: ``2 * kernel``, ``lengthscale=1``.
CONTINUOUS = frozenset(
    {"lengthscale", "variance", "weight_variance", "bias_variance", "period", "shape", "gamma", "coef0", "scale",
     "scales", "weight", "weights", "width", "bandwidth", "length_scale", "sigma", "noise", "decay"}
)  # fmt: skip


@dataclass(frozen=True)
class Parameter:
    """One positive parameter: a number, or an array of them.

    Attributes
    ----------
    name : str
        As ``get_params`` calls it, such as ``k1__lengthscale``; where one object stands in two places, the first.
    aliases : tuple of str
        Its other names.
    value : ndarray of float64
        Of any shape; () for a number.
    original : object
        The value as it was found: what is written back is of its kind.
    owner : object
        What has the parameter; None for a parameter that is no kernel's.
    """

    name: str
    aliases: tuple[str, ...]
    value: np.ndarray
    original: Any
    owner: Any

    @property
    def leaf(self) -> str:
        """The last part of the name, such as ``lengthscale``."""
        return self.name.rpartition("__")[2]

    @property
    def single(self) -> bool:
        """Whether it is written in less than double precision."""
        dtype = getattr(self.original, "dtype", None)
        return dtype is not None and getattr(dtype, "itemsize", 8) < 8 and "int" not in str(dtype)

    def answers_to(self, name: str) -> bool:
        """Whether `name` means this parameter: a full name, or the last part alone."""
        return name in (self.name, *self.aliases, self.leaf)

    def labels(self) -> list[str]:
        """A name for each of its numbers."""
        if self.value.ndim == 0:
            return [self.name]
        return [f"{self.name}[{','.join(map(str, index))}]" for index in np.ndindex(*self.value.shape)]

    def written(self, flat: np.ndarray) -> Any:
        """Numbers (size,) in the form that the parameter had: float, list, tuple, array or tensor."""
        values = flat.reshape(self.value.shape)
        found = self.original
        if is_torch(found):
            return sys.modules["torch"].as_tensor(values.copy(), dtype=found.dtype, device=found.device)
        if values.ndim == 0:
            return float(values)
        if isinstance(found, np.ndarray):
            return values.astype(found.dtype if found.dtype.kind == "f" else np.float64)
        return tuple(values.tolist()) if isinstance(found, tuple) else values.tolist()


def find_parameters(kernel: Any, asked: Sequence[str] | None = None) -> list[Parameter]:
    """The positive numeric parameters of `kernel`, in the order of ``get_params``.

    Parameters
    ----------
    kernel : kernel or None
        One without ``get_params`` has none.
    asked : sequence of str, optional
        Full names, or last parts of names: these alone, and then also those that are otherwise left alone because
        they choose a kernel (``order``) or are whole numbers.

    Returns
    -------
    list of Parameter
        A parameter of an object that stands in several places is there once. Left alone: what is zero, negative or
        not finite, whole numbers (but for the usual names such as ``variance``), flags, texts and None; and what a
        kernel of scikit-learn's Gaussian processes declares fixed, as ``length_scale_bounds="fixed"``.

    Raises
    ------
    ParameterError
        If a name that is asked for is no parameter, or its value is not positive.
    """
    found: dict[tuple[int, str], list[Any]] = {}
    for name, leaf, owner, value in _walk(kernel):
        wanted = asked is not None and any(name == entry or leaf == entry for entry in asked)
        array = None if not wanted and _declared_fixed(owner, leaf) else _positive(value, leaf, wanted)
        if array is None:
            if wanted and name in (asked or ()):
                raise ParameterError(f"{name}: expected a positive number, or an array of them, got {describe(value)}")
            continue
        found.setdefault((id(owner), leaf), [[], array, value, owner])[0].append(name)
    parameters = [Parameter(names[0], tuple(names[1:]), *rest) for names, *rest in found.values()]
    if asked is None:
        return parameters
    return [parameter for parameter in parameters if any(map(parameter.answers_to, asked))]


def _walk(kernel: Any) -> Iterator[tuple[str, str, Any, Any]]:
    """(name, last part, owner, value) of each parameter at any depth."""
    if kernel is None or isinstance(kernel, type) or not hasattr(kernel, "get_params"):
        return
    params = kernel.get_params(deep=True)
    for name, value in params.items():
        prefix, _, leaf = name.rpartition("__")
        yield name, leaf, (params.get(prefix) if prefix else kernel), value


def _declared_fixed(owner: Any, leaf: str) -> bool:
    bounds = getattr(owner, f"{leaf}_bounds", None)
    return isinstance(bounds, str) and bounds == "fixed"


def _positive(value: Any, leaf: str, wanted: bool) -> np.ndarray | None:
    """`value` as float64 where it is a parameter to learn, else None."""
    if not wanted and (leaf in STRUCTURAL or leaf.endswith("_bounds")):
        return None
    whole = wanted or leaf in CONTINUOUS
    array = as_numbers(value, whole)
    if array is None or not array.size or not np.isfinite(array).all() or not (array > 0).all():
        return None
    return array


def as_numbers(value: Any, whole: bool = True) -> np.ndarray | None:
    """Real numbers as a float64 array of their shape; None where `value` holds anything else.

    Whole numbers (of Python's type int, or an array's) count where `whole`.
    """
    if isinstance(value, (bool, np.bool_, str, bytes)) or value is None:
        return None
    if is_torch(value):
        value = value.detach().cpu()
        return value.double().numpy() if value.is_floating_point() else None
    if isinstance(value, numbers.Real):
        kept = whole or not isinstance(value, numbers.Integral)
        return np.array(float(value)) if kept and math.isfinite(float(value)) else None
    if not isinstance(value, (np.ndarray, list, tuple)):
        return None
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):
        return None
    return array.astype(np.float64) if array.dtype.kind in ("fiu" if whole else "f") else None
