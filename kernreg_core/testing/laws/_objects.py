"""What the laws about whole objects share: what an object answers, and parameters to vary."""

from __future__ import annotations

import copy
import inspect
import math
import numbers
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..._fingerprint import fingerprint
from ...discovery import shown
from ...errors import FingerprintError, KernregError
from ...params import Parametrized, clone
from ...registry import RUNTIME, registry
from .._checks import Law, NotApplicable, law
from .._subject import KINDS, Subject, made
from ..items import assert_close, content, length, take, values

#: Methods of a fitted solver that answer for each item.
OUTPUTS = ("predict", "predict_proba", "decision_function", "transform", "score_samples")
#: Capabilities that make the values of an untouched clone, or of two calls, differ.
_VARYING = {"stochastic", "operator"}
_LEARNT = {"fitted", "trainable"}


def of_kinds(*kinds: str, applies: Callable[[Subject], bool] = lambda subject: True) -> Callable[[Law], Law]:
    """Register one function as the law of several kinds; of all of them by default."""

    def register(function: Law) -> Law:
        for kind in kinds or KINDS:
            law(kind, applies=applies)(function)
        return function

    return register


def is_ours(subject: Subject) -> bool:
    """Whether kernreg's conventions bind the object: a registered class, or one of the base classes."""
    if subject.card is not None:
        return True
    obj = made(subject)
    return isinstance(obj, Parametrized) or registry.entry_of(obj) is not None


def has_params(subject: Subject) -> bool:
    """Whether the object has parameters under kernreg's (scikit-learn's) rules."""
    obj = made(subject)
    return hasattr(obj, "get_params") and hasattr(obj, "set_params") and (is_ours(subject) or subject.kind == "solver")


def is_steady(subject: Subject) -> bool:
    """Whether one object answers the same question twice with the same values."""
    return not _VARYING & subject.capabilities


def is_rebuildable(subject: Subject) -> bool:
    """Whether an object made anew from its parameters has the same values."""
    return is_steady(subject) and not _LEARNT & subject.capabilities


def params_and_values(subject: Subject) -> bool:
    """Whether the object can be rebuilt from its parameters, and its values compared."""
    return has_params(subject) and is_rebuildable(subject)


def draws_its_seed(subject: Subject) -> bool:
    """Whether randomness comes from the machine, or from a generator that moves on: two objects differ."""
    obj = made(subject)
    params = obj.get_params() if hasattr(obj, "get_params") else {}
    seeds = [value for name, value in params.items() if name.rpartition("__")[2] in ("rng", "random_state")]
    return any(not isinstance(seed, (int, np.integer)) for seed in seeds)


def is_reproducible(subject: Subject) -> bool:
    """Whether two objects with the same parameters have the same values."""
    return params_and_values(subject) and not draws_its_seed(subject)


def candidates(subject: Subject) -> Any:
    """The items that a selector picks from; standard normal points where there is no example."""
    return np.random.default_rng(0).standard_normal((12, 3)) if subject.X is None else subject.X


def fit(subject: Subject, obj: Any, X: Any = None, y: Any = None) -> Any:
    """`obj` fitted, to the example's data where none are given; returns what ``fit`` returned."""
    if X is None:
        X, y = subject.X, subject.y
    return obj.fit(X) if y is None else obj.fit(X, y)


def outputs(obj: Any, X: Any) -> dict[str, np.ndarray]:
    """What a fitted solver says about items: each method's array, or else the results that are numbers."""
    found = {name: values(getattr(obj, name)(X)) for name in OUTPUTS if callable(getattr(obj, name, None))}
    return found or results(obj)


def results(obj: Any) -> dict[str, np.ndarray]:
    """Attributes that end in an underscore and hold numbers."""
    kept = {name: value for name, value in vars(obj).items() if name.endswith("_") and not name.startswith("_")}
    arrays = {
        name: np.asarray(value)
        for name, value in kept.items()
        if isinstance(value, (numbers.Number, np.ndarray, np.generic))
    }
    return {name: array for name, array in arrays.items() if array.dtype.kind in "biufc"}


def answer(subject: Subject, obj: Any) -> dict[str, np.ndarray]:
    """What the object computes for the example: values, points, indices, or a fitted solver's outputs."""
    if subject.kind == "kernel":
        return {"k(X)": values(obj(subject.X))}
    if subject.kind == "sampler":
        return {"sample(8)": values(obj.sample(8))}
    if subject.kind == "selector":
        X = candidates(subject)
        return {"select(X, n)": np.asarray(obj.select(X, min(3, length(X))))}
    fit(subject, obj)
    return outputs(obj, subject.X)


def assert_answers(got: dict[str, np.ndarray], expected: dict[str, np.ndarray], what: str, kind: str = "") -> None:
    """Assert that two answers agree: bit for bit, or to the tolerance of that kind."""
    assert got.keys() == expected.keys(), f"{what}: it answers {sorted(got)}, expected {sorted(expected)}"
    for name, a in got.items():
        b = expected[name]
        if kind and a.dtype.kind in "fc":
            assert_close(a, b, f"{what}: {name}", kind=kind)
            continue
        assert a.shape == b.shape, f"{what}: {name} has shape {a.shape}, expected {b.shape}"
        assert a.dtype == b.dtype, f"{what}: {name} has dtype {a.dtype}, expected {b.dtype}"
        numeric = a.dtype.kind in "fc"
        wrong = ~((a == b) | (np.isnan(a) & np.isnan(b))) if numeric else a != b
        assert not wrong.any(), f"{what}: {name} differs in {np.count_nonzero(wrong)} of {a.size} entries" + (
            f", by up to {float(np.nanmax(np.abs(a - b))):.3g}" if numeric else ""
        )


def assert_agree(subject: Subject, got: dict[str, np.ndarray], expected: dict[str, np.ndarray], what: str) -> None:
    """Bit for bit; of solvers, whose linear algebra may round as its memory lies, to the tolerance of values."""
    if subject.kind != "solver":
        assert_answers(got, expected, what)
        return
    try:
        assert_answers(got, expected, what, kind="value")
    except AssertionError:
        if hasattr(subject.make(), "random_state") and draws_its_seed(subject):
            raise NotApplicable("the example has no seed, and its fits differ: give it random_state=0") from None
        raise


def state_of(X: Any) -> Any:
    """What `X` holds, to see later whether it was changed; what a library caches on it is no change."""
    try:
        return fingerprint(X)
    except FingerprintError:
        return content(X)


def alike(a: Any, b: Any) -> bool:
    """Whether two parameter values are equal, looked into deeply; NaN equals NaN."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(alike(value, b[key]) for key, value in a.items())
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, np.random.Generator):
        return alike(a.bit_generator.state, b.bit_generator.state)
    if hasattr(a, "get_params"):
        return alike(a.get_params(deep=False), b.get_params(deep=False))
    if hasattr(a, "__array__") or hasattr(a, "toarray"):
        x, y = values(a), values(b)
        return x.shape == y.shape and x.dtype == y.dtype and bool(np.all((x == y) | ((x != x) & (y != y))))
    if isinstance(a, float) and math.isnan(a):
        return math.isnan(b)
    if "__eq__" not in vars(type(a)) and hasattr(a, "__dict__") and not inspect.isroutine(a):
        return alike(vars(a), vars(b))
    try:
        return bool(a == b)
    except (TypeError, ValueError):
        return False


def assert_params(got: Any, expected: dict[str, Any], what: str) -> None:
    """Assert that an object's own parameters are these."""
    found = got.get_params(deep=False)
    assert found.keys() == expected.keys(), f"{what}: it has the parameters {sorted(found)}, not {sorted(expected)}"
    changed = [
        f"{name} = {found[name]!r}, not {expected[name]!r}" for name in found if not alike(found[name], expected[name])
    ]
    assert not changed, f"{what}: {'; '.join(changed)}"


def pickled(subject: Subject, obj: Any, protocol: int = 5) -> Any:
    """`obj` after a round trip through pickle; an installed entry must go through it."""
    try:
        return pickle.loads(pickle.dumps(obj, protocol=protocol))
    except Exception as error:
        if subject.card is not None and subject.card.plugin != RUNTIME:
            raise AssertionError(f"protocol {protocol}: it cannot be pickled: {shown(error)}") from error
        raise NotApplicable(f"it cannot be pickled: {error}") from None


def _others(value: Any) -> list[Any]:
    """Values of the same sort that are probably valid too."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, numbers.Integral):
        return [int(value) + 1, int(value) - 1]
    if isinstance(value, numbers.Real):
        return [float(value) * 1.5 + 0.25 * (value == 0), float(value) * 0.5]
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return [value * 1.5]
    if isinstance(value, (list, tuple)) and value and all(isinstance(item, float) for item in value):
        return [type(value)(item * 1.5 for item in value)]
    return []


def varied(subject: Subject) -> tuple[str, Any]:
    """The name of a parameter (``outer__inner`` for a nested one), and another value that the object takes.

    Raises
    ------
    NotApplicable
        Where none is found.
    """
    return next(_varied(subject, nested=True))


def varied_own(subject: Subject) -> tuple[str, Any]:
    """The same, of the object's own parameters only."""
    return next(_varied(subject, nested=False))


def _varied(subject: Subject, nested: bool) -> Iterator[tuple[str, Any]]:
    params = subject.make().get_params(deep=nested)
    for name in sorted(params, key=lambda name: ("__" not in name, name in ("rng", "random_state"))):
        for value in _others(params[name]):
            obj = clone(subject.make())
            try:
                obj.set_params(**{name: value})
                if not _LEARNT & subject.capabilities and "operator" not in subject.capabilities:
                    answer(subject, obj)
            except (KernregError, ValueError, TypeError, ArithmeticError):
                continue
            yield name, value
    raise NotApplicable("it has no parameter for which another valid value is known")


def snapshot(params: dict[str, Any]) -> dict[str, Any]:
    """Parameters copied, so that a change in place is seen; what cannot be copied stays itself."""
    found = {}
    for name, value in params.items():
        try:
            found[name] = copy.deepcopy(value)
        except Exception:
            found[name] = value
    return found


def random_state() -> bytes:
    """NumPy's global random state, which nothing may move."""
    return pickle.dumps(np.random.get_state())  # noqa: NPY002


def part(X: Any, index: list[int]) -> Any:
    """Items or targets at these places; None stays None."""
    return None if X is None else take(X, index)
