"""Parameters: stored untouched, seen by ``get_params``, cloned, pickled, printed so they can be typed back."""

from __future__ import annotations

import copy
import inspect
import math
import sys
from typing import Any, Self
from weakref import WeakKeyDictionary

from .errors import ParameterError


def _signature(cls: type) -> dict[str, Any]:
    """The constructor's parameters with their defaults (``inspect.Parameter.empty`` where none)."""
    found = _signatures.get(cls)
    if found is None:
        found = _signatures[cls] = _read_signature(cls)
    return found


def _read_signature(cls: Any) -> dict[str, Any]:
    found = {}
    for parameter in list(inspect.signature(cls.__init__).parameters.values())[1:]:
        if parameter.kind is parameter.VAR_KEYWORD or parameter.kind is parameter.VAR_POSITIONAL:
            if cls.__init__ is object.__init__:
                continue
            raise TypeError(f"{cls.__name__}.__init__ must name its parameters, it takes {parameter}")
        found[parameter.name] = parameter.default
    return found


#: Signatures read so far; a class defined again in a notebook is another key, and goes with its class.
_signatures: WeakKeyDictionary[type, dict[str, Any]] = WeakKeyDictionary()


class Parametrized:
    """Base of everything that has parameters: scikit-learn's rules, without scikit-learn.

    A subclass's ``__init__`` stores each argument under its own name and does nothing else;
    values are converted and checked when they are used, because ``set_params`` bypasses
    ``__init__``. Derived state lives in attributes with an underscore; what stands in the
    dictionary ``self._cache`` is dropped by pickle and by ``set_params``.

    Examples
    --------
    >>> class Constant(Parametrized):
    ...     def __init__(self, *, value=1.0):
    ...         self.value = value
    >>> Constant(value=2.0)
    Constant(value=2.0)
    >>> Constant().set_params(value=3.0).get_params()
    {'value': 3.0}
    """

    def _parameter_names(self) -> list[str]:
        return list(self._parameter_defaults())

    def _parameter_defaults(self) -> dict[str, Any]:
        return _signature(type(self))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Parameters by name; with `deep`, those of nested objects too, as ``outer__inner``."""
        found: dict[str, Any] = {}
        for name in self._parameter_names():
            value = getattr(self, name)
            found[name] = value
            if deep and hasattr(value, "get_params") and not isinstance(value, type):
                found.update((f"{name}__{key}", nested) for key, nested in value.get_params().items())
        return found

    def set_params(self, **params: Any) -> Self:
        """Set parameters by name (``outer__inner`` reaches a nested object's); returns self.

        Raises
        ------
        ParameterError
            If a name is no parameter; nothing of this object is set then.
        """
        names = self._parameter_names()
        for key in params:
            if key.partition("__")[0] not in names:
                known = ", ".join(names) or "none"
                raise ParameterError(
                    f"{type(self).__name__} has no parameter {key.partition('__')[0]!r}; it has: {known}"
                )
        nested: dict[str, dict[str, Any]] = {}
        for key, value in params.items():
            name, delimiter, inner = key.partition("__")
            if delimiter:
                nested.setdefault(name, {})[inner] = value
        for name, inner_params in nested.items():
            child = params.get(name, getattr(self, name))
            if isinstance(child, type) or not hasattr(child, "set_params"):
                raise ParameterError(
                    f"{type(self).__name__}: {name}__{next(iter(inner_params))} cannot be set, "
                    f"because {name} is {typable(child)}, which has no parameters"
                )
            child.set_params(**inner_params)
        for key in params.keys() & set(names):
            setattr(self, key, params[key])
        self.__dict__.pop("_cache", None)
        if "rng" in params:
            self.__dict__.pop("_entropy", None)
        return self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._repr_arguments()})"

    def _repr_arguments(self) -> str:
        defaults = self._parameter_defaults()
        return ", ".join(
            f"{name}={typable(value)}"
            for name, value in self.get_params(deep=False).items()
            if not _same(value, defaults[name])
        )

    def __sklearn_clone__(self) -> Any:
        return clone(self)

    def __getstate__(self) -> dict[str, Any]:
        if "rng" in self._parameter_names():
            entropy(self)  # copies in other processes must draw what this one draws
        state = dict(self.__dict__)
        state.pop("_cache", None)
        return state


def entropy(obj: Parametrized) -> int:
    """The integer that seeds everything `obj` draws: taken once from its ``rng``, kept, pickled.

    ``rng`` is an int, a numpy Generator or None, and is itself left as it was given (a Generator
    advances by one draw, the first time).
    """
    found = obj.__dict__.get("_entropy")
    if found is None:
        found = obj.__dict__.setdefault("_entropy", _draw(getattr(obj, "rng", None)))
    return int(found)


def _draw(rng: Any) -> int:
    import numpy as np

    if rng is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0]) >> 1
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**63 - 1))
    if isinstance(rng, (int, np.integer)) and not isinstance(rng, bool):
        if rng < 0:
            raise ParameterError(f"rng: expected a non-negative integer, a numpy Generator or None, got {rng}")
        return int(rng)
    raise ParameterError(f"rng: expected an int, a numpy Generator or None, got {type(rng).__name__}")


def clone(obj: Any, _memo: dict[int, Any] | None = None) -> Any:
    """A new object with the same parameters and nothing learnt.

    An object that appears twice among the parameters is cloned once. Lists, tuples and
    dictionaries are cloned item by item; what else has no ``get_params`` is deep-copied.

    Examples
    --------
    >>> import kernreg_core as kr
    >>> class Dot(kr.BaseKernel):
    ...     def __init__(self, *, variance=1.0):
    ...         self.variance = variance
    ...     def evaluate(self, X, Y):
    ...         return self.variance * X @ Y.T
    >>> kr.clone(Dot(variance=2.0))
    Dot(variance=2.0)
    """
    memo: dict[int, Any] = {} if _memo is None else _memo
    if id(obj) in memo:
        return memo[id(obj)]
    fresh: Any
    if type(obj) in (list, tuple):
        fresh = type(obj)(clone(item, memo) for item in obj)
    elif type(obj) is dict:
        fresh = {key: clone(item, memo) for key, item in obj.items()}
    elif isinstance(obj, type) or not hasattr(obj, "get_params"):
        return copy.deepcopy(obj, memo)
    elif not isinstance(obj, Parametrized) and hasattr(obj, "__sklearn_clone__"):
        fresh = obj.__sklearn_clone__()
    else:
        fresh = type(obj)(**{name: clone(value, memo) for name, value in obj.get_params(deep=False).items()})
    memo[id(obj)] = fresh
    memo.setdefault(id(memo), []).append(obj)  # alive, so that its id is not given to another (as deepcopy does)
    return fresh


def _same(value: Any, default: Any) -> bool:
    """Equal by value and type, where that can be said: arrays are never equal to a default."""
    if value is default:
        return True
    if type(value) is not type(default) or hasattr(value, "__array__"):
        return False
    try:
        return bool(value == default)
    except (ValueError, TypeError):
        return False


def typable(value: Any) -> str:
    """`value` as source text that gives it back (``np``, ``torch`` being those modules).

    Large arrays, and objects whose own repr is not source text, cannot be: they are shortened.
    """
    kind = type(value)
    if kind is float and not math.isfinite(value):
        return f"float('{value}')"
    if kind in (list, tuple) and len(value) <= 32:
        inner = ", ".join(typable(item) for item in value)
        return f"[{inner}]" if kind is list else f"({inner}{',' if len(value) == 1 else ''})"
    if kind is dict and len(value) <= 32:
        return "{" + ", ".join(f"{typable(key)}: {typable(item)}" for key, item in value.items()) + "}"
    if kind.__module__ == "numpy" and hasattr(value, "item") and not hasattr(value, "__len__"):
        plain = value.item()
        return repr(value) if type(plain) is kind else typable(plain)  # a long double has no other form
    if kind.__module__ == "numpy" and kind.__name__ == "ndarray":
        return _typable_array("np.array", value, value.dtype.name not in ("float64", "int64", "bool"))
    if kind.__module__ == "torch" and kind.__name__ in ("Tensor", "Parameter"):
        torch = sys.modules["torch"]
        return _typable_array("torch.tensor", value.detach().cpu(), value.dtype is not torch.get_default_dtype())
    if isinstance(value, type) or inspect.isfunction(value):
        return value.__qualname__
    return repr(value)


def _typable_array(constructor: str, array: Any, with_dtype: bool) -> str:
    if array.ndim and math.prod(array.shape) > 32:
        return f"<array of shape {tuple(array.shape)}>"
    dtype = str(array.dtype)
    shown = (f", dtype={dtype}" if dtype.startswith("torch.") else f", dtype='{dtype}'") if with_dtype else ""
    return f"{constructor}({typable(array.tolist())}{shown})"
