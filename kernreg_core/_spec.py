"""Specs: an object as JSON, by its name in the registry and its parameters."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from .arrays import describe, is_torch
from .errors import SpecError
from .registry import RUNTIME, registry

#: Arrays above this many numbers do not belong in a spec.
MAX_ARRAY = 4096


def spec(obj: Any) -> dict[str, Any]:
    """`obj` as JSON-ready data: name, parameters, distribution, version.

    Parameters
    ----------
    obj : kernel, sampler or solver
        Made by a registered class. Learnt state is not part of it.

    Returns
    -------
    dict
        For ``json.dumps``; :func:`from_spec` rebuilds the object.

    Raises
    ------
    SpecError
        If the class is not registered, or a parameter (it is named) has no JSON form: a graph, a
        module, a function, a random generator, an array of more than 4,096 numbers.

    Examples
    --------
    >>> import kernreg_core as kr
    >>> @kr.register(name="me.offset", domain="vectors")
    ... class Offset(kr.BaseKernel):
    ...     def __init__(self, *, offset=1.0):
    ...         self.offset = offset
    ...     def evaluate(self, X, Y):
    ...         return X @ Y.T + self.offset
    >>> kr.spec(Offset(offset=2.0))["params"]
    {'offset': 2.0}
    >>> kr.from_spec(kr.spec(2 * Offset(offset=3.0)))
    2 * Offset(offset=3.0)
    >>> kr.unregister("me.offset")
    """
    return _spec(obj, "object")


def _spec(obj: Any, path: str) -> dict[str, Any]:
    entry = registry.entry_of(obj) if not isinstance(obj, type) else None
    if entry is None:
        raise SpecError(
            f"{path}: expected an object of a registered class, got {describe(obj)}: "
            "register the class with kr.register(..., name='family.name') or by an entry point"
        )
    if not hasattr(obj, "get_params"):
        raise SpecError(f"{path}: {describe(obj)} has no get_params(), so its parameters cannot be read")
    card = entry.card
    params = obj.get_params(deep=False)
    return {
        "name": card.name,
        "params": {name: _encoded(value, f"{path}.{name}") for name, value in params.items()},
        "distribution": card.plugin,
        "version": card.version,
    }


def _encoded(value: Any, path: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"__float__": str(value)}
    if isinstance(value, complex):
        return {"__complex__": [_encoded(value.real, path), _encoded(value.imag, path)]}
    if isinstance(value, (list, tuple)):
        items = [_encoded(item, f"{path}[{i}]") for i, item in enumerate(value)]
        return items if isinstance(value, list) else {"__tuple__": items}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"__dict__": {key: _encoded(item, f"{path}[{key!r}]") for key, item in value.items()}}
    if isinstance(value, np.ndarray) or is_torch(value):
        return _encoded_array(value, path)
    if hasattr(value, "get_params") and not isinstance(value, type):
        return _spec(value, path)
    raise SpecError(
        f"{path}: {describe(value)} has no JSON form; a spec holds numbers, strings, lists, small arrays and specs"
    )


def _encoded_array(value: Any, path: str) -> dict[str, Any]:
    library = "torch" if is_torch(value) else "numpy"
    array = value.detach().cpu() if library == "torch" else value
    dtype = str(array.dtype).removeprefix("torch.")
    if library == "numpy" and array.dtype.kind not in "biuf":
        raise SpecError(f"{path}: an array of {dtype} has no JSON form; numbers have")
    if math.prod(array.shape) > MAX_ARRAY:
        raise SpecError(
            f"{path}: {describe(value)} is too large for a spec, which holds arrays of up to {MAX_ARRAY:,} numbers"
        )
    numbers = [_encoded(number, path) for number in array.reshape(-1).tolist()]
    return {"__array__": numbers, "shape": list(array.shape), "dtype": dtype, "library": library}


def from_spec(data: dict[str, Any] | str) -> Any:
    """The object that a spec describes.

    Parameters
    ----------
    data : dict or str
        What :func:`spec` gave, or its JSON text.

    Raises
    ------
    SpecError
        If it is no spec.
    UnknownNameError, ParameterError, PluginError
        As :func:`kernreg_core.create` raises them.
    """
    if isinstance(data, str):
        try:
            data = json.loads(data)
        except json.JSONDecodeError as error:
            raise SpecError(f"data: expected JSON, got text that is none: {error}") from None
    return _object(data, "data")


def _object(data: Any, path: str) -> Any:
    if not isinstance(data, dict) or not isinstance(data.get("name"), str) or not isinstance(data.get("params"), dict):
        raise SpecError(f"{path}: expected a spec with 'name' and 'params', got {describe(data)}")
    params = {name: _decoded(value, f"{path}.{name}") for name, value in data["params"].items()}
    plugin = data.get("distribution") or None
    if plugin == RUNTIME:
        plugin = None
    return registry.create(data["name"], plugin=plugin, **params)


def _decoded(value: Any, path: str) -> Any:
    if isinstance(value, list):
        return [_decoded(item, f"{path}[{i}]") for i, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    try:
        if "__float__" in value:
            return float(value["__float__"])
        if "__complex__" in value:
            real, imaginary = (_decoded(part, path) for part in value["__complex__"])
            return complex(real, imaginary)
    except (TypeError, ValueError) as error:
        raise SpecError(f"{path}: expected a number, got {value}: {error}") from None
    if "__tuple__" in value:
        return tuple(_decoded(item, f"{path}[{i}]") for i, item in enumerate(value["__tuple__"]))
    if "__dict__" in value:
        return {key: _decoded(item, f"{path}[{key!r}]") for key, item in value["__dict__"].items()}
    if "__array__" in value:
        return _decoded_array(value, path)
    return _object(value, path)


def _decoded_array(value: dict[str, Any], path: str) -> Any:
    try:
        numbers = [_decoded(number, path) for number in value["__array__"]]
        if value["library"] == "torch":
            import torch

            return torch.tensor(numbers, dtype=getattr(torch, value["dtype"])).reshape(value["shape"])
        return np.array(numbers, dtype=value["dtype"]).reshape(value["shape"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise SpecError(
            f"{path}: expected an array with 'shape', 'dtype' and 'library', got one that is not: {error}"
        ) from None


__all__ = ["MAX_ARRAY", "from_spec", "spec"]
