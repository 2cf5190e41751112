"""An object survives pickle, copy and clone, and can be written down: parameters, repr, spec, fingerprint."""

from __future__ import annotations

import ast
import copy
import inspect
import json
from typing import Any

import numpy as np

from ..._composite import Composite
from ..._fingerprint import fingerprint
from ..._spec import from_spec, spec
from ...composites import normalize
from ...discovery import shown
from ...errors import FingerprintError, ParameterError, SpecError
from ...params import clone
from ...registry import registry
from .._checks import NotApplicable, law
from .._subject import Subject, made
from ._objects import (
    alike,
    answer,
    assert_agree,
    assert_params,
    draws_its_seed,
    has_params,
    is_reproducible,
    is_steady,
    of_kinds,
    params_and_values,
    pickled,
    snapshot,
    varied,
    varied_own,
)

# -- copies ------------------------------------------------------------------------------------------


@of_kinds(applies=is_steady)
def pickle_keeps_values(subject: Subject) -> None:
    """A pickled object answers as the original does, bit for bit, through every protocol from 2 to 5."""
    for protocol in (2, 3, 4, 5):
        obj = subject.make()
        restored = pickled(subject, obj, protocol)
        assert_agree(subject, answer(subject, restored), answer(subject, obj), f"after pickle protocol {protocol}")


@law(applies=is_steady)
def pickle_after_use_keeps_values(subject: Subject) -> None:
    """A kernel that has been used is pickled with the same values, and is not changed by it."""
    obj = subject.make()
    before = answer(subject, obj)
    assert_agree(subject, answer(subject, pickled(subject, obj)), before, "used, then pickled")
    assert_agree(subject, answer(subject, obj), before, "the original after it was pickled")


@of_kinds(applies=has_params)
def pickle_keeps_parameters(subject: Subject) -> None:
    """A pickled object has the parameters of the original."""
    obj = subject.make()
    assert_params(pickled(subject, obj), obj.get_params(deep=False), "after pickle")


@of_kinds("kernel", "selector", "solver", applies=is_steady)
def copy_keeps_values(subject: Subject) -> None:
    """copy.copy gives an object that answers bit for bit as the original."""
    obj = subject.make()
    try:
        copied = copy.copy(obj)
    except Exception as error:
        raise NotApplicable(f"it cannot be copied: {error}") from None
    assert_agree(subject, answer(subject, copied), answer(subject, obj), "after copy.copy")


@of_kinds("kernel", "selector", "solver", applies=params_and_values)
def deepcopy_is_independent(subject: Subject) -> None:
    """Setting a parameter of a deep copy leaves the original as it was."""
    name, value = varied(subject)
    obj = subject.make()
    before = answer(subject, obj)
    params = snapshot(obj.get_params())
    copied = copy.deepcopy(obj)
    for key, held in copied.get_params(deep=False).items():
        shared = isinstance(held, np.ndarray) and np.may_share_memory(held, getattr(obj, key))
        assert not shared, f"the deep copy and the original share the array {key}"
    copied.set_params(**{name: value})
    wrong = [key for key, held in obj.get_params().items() if not alike(held, params[key])]
    assert not wrong, f"{name}={value!r} on the deep copy changed {', '.join(wrong)} of the original"
    assert_agree(subject, answer(subject, obj), before, f"the original after {name}={value!r} on its deep copy")


@of_kinds(applies=has_params)
def clone_keeps_parameters(subject: Subject) -> None:
    """kr.clone gives an object of the same class with the same parameters, and their values."""
    obj = subject.make()
    expected = snapshot(obj.get_params(deep=False))
    fresh = clone(obj)
    assert type(fresh) is type(obj), f"the clone is a {type(fresh).__name__}, not a {type(obj).__name__}"
    assert_params(fresh, expected, "the clone")
    if is_reproducible(subject):
        assert_agree(subject, answer(subject, fresh), answer(subject, obj), "the clone")


@of_kinds(applies=has_params)
def clone_shares_nothing(subject: Subject) -> None:
    """A clone is a new object, and so are the objects with parameters and the arrays inside it."""
    obj = subject.make()
    fresh = clone(obj)
    assert fresh is not obj, "kr.clone gave the object itself"
    for name, value in obj.get_params(deep=False).items():
        mutable = isinstance(value, (list, dict, np.ndarray)) or (
            hasattr(value, "get_params") and not isinstance(value, type)
        )
        assert not mutable or getattr(fresh, name) is not value, f"the clone shares {name} with the original"


@of_kinds(applies=has_params)
def sklearn_clone_works(subject: Subject) -> None:
    """scikit-learn's clone gives an object of the same class with the same parameters."""
    try:
        from sklearn.base import clone as sklearn_clone
    except ImportError:
        raise NotApplicable("scikit-learn is not installed") from None
    obj = subject.make()
    expected = snapshot(obj.get_params(deep=False))
    fresh = sklearn_clone(obj)
    assert type(fresh) is type(obj), f"its clone is a {type(fresh).__name__}, not a {type(obj).__name__}"
    assert_params(fresh, expected, "scikit-learn's clone")


# -- parameters --------------------------------------------------------------------------------------


@of_kinds(applies=has_params)
def get_params_names_the_constructor(subject: Subject) -> None:
    """get_params gives exactly the constructor's parameters, and the constructor takes them."""
    obj = subject.make()
    params = obj.get_params(deep=False)
    signature = inspect.signature(type(obj))
    kinds = {parameter.kind for parameter in signature.parameters.values()}
    if not kinds & {inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL}:
        assert set(params) == set(signature.parameters), (
            f"get_params names {sorted(params)}, the constructor {sorted(signature.parameters)}"
        )
    assert_params(type(obj)(**params), params, "made from its parameters")


@of_kinds("kernel", "solver", applies=has_params)
def parameters_are_stored_untouched(subject: Subject) -> None:
    """The constructor stores what it is given under the parameter's name: neither converted nor checked."""
    obj = subject.make()
    given = {name: object() for name in obj.get_params(deep=False)}
    if not given:
        raise NotApplicable("it has no parameters")
    try:
        fresh = type(obj)(**given)
    except Exception as error:
        raise AssertionError(
            f"the constructor looks at its arguments, {shown(error)}: set_params and clone bypass "
            "or repeat that, so check them at call"
        ) from error
    wrong = [name for name, value in given.items() if getattr(fresh, name, None) is not value]
    assert not wrong, f"the constructor changes {', '.join(wrong)} before it stores them"


@of_kinds("kernel", "selector", "solver", applies=is_reproducible)
def set_params_is_like_construction(subject: Subject) -> None:
    """A parameter set on an object that was used has the effect it has in the constructor."""
    try:
        name, value = varied_own(subject)
    except NotApplicable:
        name, value = varied(subject)
    obj = subject.make()
    answer(subject, obj)  # what it keeps now must not outlive the parameter
    obj.set_params(**{name: value})
    if "__" in name:
        fresh = clone(subject.make())
        fresh.set_params(**{name: value})
    else:
        fresh = type(obj)(**{**subject.make().get_params(deep=False), name: value})
    assert_agree(subject, answer(subject, obj), answer(subject, fresh), f"used, then set_params({name}={value!r})")


@of_kinds(applies=has_params)
def set_params_returns_self(subject: Subject) -> None:
    """set_params returns the object, with and without arguments, and sets what it is given."""
    obj = subject.make()
    params = obj.get_params(deep=False)
    assert obj.set_params() is obj, "set_params() returned something other than the object"
    assert obj.set_params(**params) is obj, "set_params(...) returned something other than the object"
    assert_params(obj, params, "after set_params with its own parameters")


@of_kinds(applies=has_params)
def unknown_parameter_is_refused(subject: Subject) -> None:
    """A parameter that the object does not have is an error, in set_params and in create."""
    obj = subject.make()
    before = snapshot(obj.get_params(deep=False))
    try:
        obj.set_params(no_such_parameter=1)
    except (ValueError, TypeError):
        assert_params(obj, before, "after an unknown parameter was refused")
    else:
        raise AssertionError("set_params(no_such_parameter=1) was accepted")
    if subject.card is None:
        return
    try:
        registry.create(subject.card.name, plugin=subject.card.plugin or None, no_such_parameter=1)
    except ParameterError:
        return
    raise AssertionError(f"create({subject.card.name!r}, no_such_parameter=1) was accepted")


def _has_lengthscale(subject: Subject) -> bool:
    return params_and_values(subject) and "lengthscale" in made(subject).get_params(deep=False)


@law(applies=_has_lengthscale)
def bad_lengthscale_is_refused(subject: Subject) -> None:
    """A length scale that is no positive number is a ParameterError when the kernel is called, not before."""
    params = subject.make().get_params(deep=False)
    for bad in (float("nan"), -1.0, 0.0, "wide"):
        try:
            obj = type(subject.make())(**{**params, "lengthscale": bad})
        except Exception as error:
            raise AssertionError(f"the constructor refuses lengthscale={bad!r}: {error}") from error
        try:
            obj(subject.X)
        except ParameterError:
            continue
        except Exception as error:
            raise AssertionError(f"lengthscale={bad!r}: {shown(error)}, not a ParameterError") from error
        raise AssertionError(f"lengthscale={bad!r} was accepted")


@of_kinds("kernel", "sampler", "selector", "solver", applies=has_params)
def use_leaves_parameters(subject: Subject) -> None:
    """Using an object, or fitting it, changes no parameter and adds no public attribute but results_."""
    obj = subject.make()
    params = obj.get_params(deep=False)
    expected, had = snapshot(params), set(vars(obj))
    if "operator" in subject.capabilities:
        raise NotApplicable("an operator is used through its layer")
    answer(subject, obj)
    after = obj.get_params(deep=False)
    replaced = [name for name in params if after[name] is not params[name] and not alike(after[name], expected[name])]
    changed = [name for name in params if not _is_generator(params[name]) and not alike(after[name], expected[name])]
    assert not replaced + changed, f"use changed {', '.join(sorted({*replaced, *changed}))}"
    added = [name for name in set(vars(obj)) - had if not name.startswith("_") and not name.endswith("_")]
    assert not added, f"use added the attribute {', '.join(added)}: a name of its own begins or ends with an underscore"


def _is_generator(value: Any) -> bool:
    """Whether it is a generator, which may move on by a draw."""
    return isinstance(value, (np.random.Generator, np.random.RandomState))


# -- written down ------------------------------------------------------------------------------------


@of_kinds(applies=has_params)
def repr_names_the_class(subject: Subject) -> None:
    """The repr names the object's class; that of a composite, written with operators, holds its parts'."""
    obj = subject.make()
    wanted = [repr(part) for part in obj.parts()] if isinstance(obj, Composite) else [type(obj).__name__]
    missing = [text for text in wanted if text not in repr(obj)]
    assert not missing, f"its repr is {obj!r}, without {', '.join(missing)}"


@of_kinds(applies=has_params)
def repr_can_be_typed_back(subject: Subject) -> None:
    """The repr is source text that gives the object back."""
    obj = subject.make()
    text = repr(obj)
    try:
        tree = ast.parse(text, mode="eval").body
    except SyntaxError:
        if any(mark in text for mark in ("<", "...", " at 0x")):
            raise NotApplicable(f"it holds what cannot be typed: {text}") from None
        raise AssertionError(f"its repr is no source text: {text}") from None
    names: dict[str, Any] = {"float": float, "np.array": np.array, "normalize": normalize, "inf": float("inf")}
    _collect(obj, names)
    again = _typed(tree, names)
    assert type(again) is type(obj), f"{text} gives a {type(again).__name__}, not a {type(obj).__name__}"
    assert_params(again, obj.get_params(deep=False), f"{text}, typed back")


def _collect(value: Any, names: dict[str, Any]) -> None:
    """The classes and functions that the repr of `value` may name."""
    if isinstance(value, (list, tuple, dict)):
        for item in value.values() if isinstance(value, dict) else value:
            _collect(item, names)
    elif isinstance(value, type) or inspect.isroutine(value):
        names[value.__qualname__] = value
    elif hasattr(value, "get_params"):
        names[type(value).__name__] = type(value)
        for inner in value.get_params(deep=False).values():
            _collect(inner, names)
    elif type(value).__module__ == "torch":
        import torch

        names["torch.tensor"] = torch.tensor
        names.update({f"torch.{dtype}": getattr(torch, dtype) for dtype in ("float32", "float64", "int64")})


def _typed(node: ast.AST, names: dict[str, Any]) -> Any:
    """What typed source text gives: literals, the names known, calls of them, and kernels' operators."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.List):
        return [_typed(item, names) for item in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_typed(item, names) for item in node.elts)
    if isinstance(node, ast.Dict):
        return {
            _typed(k, names): _typed(v, names) for k, v in zip(node.keys, node.values, strict=True) if k is not None
        }
    if isinstance(node, (ast.Name, ast.Attribute)):
        name = ast.unparse(node)
        assert name in names, f"the repr names {name}, which is neither a class nor a function of its parameters"
        return names[name]
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_typed(node.operand, names)
    if isinstance(node, ast.BinOp):
        left, right = _typed(node.left, names), _typed(node.right, names)
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, ast.Pow):
            return left**right
    if isinstance(node, ast.Call):
        function = _typed(node.func, names)
        keywords = {keyword.arg: _typed(keyword.value, names) for keyword in node.keywords if keyword.arg}
        try:
            return function(*[_typed(item, names) for item in node.args], **keywords)
        except TypeError as error:
            raise AssertionError(f"{ast.unparse(node)} cannot be typed: {error}") from error
    raise NotApplicable(f"the repr holds {ast.unparse(node)}")


def _is_registered(subject: Subject) -> bool:
    return has_params(subject) and subject.card is not None


@of_kinds(applies=_is_registered)
def spec_round_trip(subject: Subject) -> None:
    """The spec is JSON, and gives back an object with the same class, parameters, spec and values."""
    obj = subject.make()
    try:
        written = spec(obj)
    except SpecError as error:
        raise NotApplicable(str(error)) from None
    again = from_spec(json.loads(json.dumps(written, allow_nan=False)))
    assert type(again) is type(obj), f"the spec gives a {type(again).__name__}, not a {type(obj).__name__}"
    assert spec(again) == written, f"the spec of what a spec gives is {spec(again)}, not {written}"
    if is_reproducible(subject):
        assert_agree(subject, answer(subject, again), answer(subject, obj), "made from its spec")


@of_kinds("kernel", "selector", "solver", applies=has_params)
def fingerprint_is_stable(subject: Subject) -> None:
    """Equal objects have one fingerprint: made twice, pickled, or used in between."""
    obj = subject.make()
    first = _fingerprint(obj)
    if not draws_its_seed(subject):
        assert _fingerprint(subject.make()) == first, "two fresh objects have different fingerprints"
    try:
        restored = pickled(subject, obj)
    except NotApplicable:
        restored = copy.deepcopy(obj)
    assert _fingerprint(restored) == first, "the fingerprint is another after pickle"
    if subject.kind == "kernel" and is_steady(subject):  # a fitted solver is another object
        answer(subject, obj)
        assert _fingerprint(obj) == first, "the fingerprint is another after the kernel was used"


@of_kinds("kernel", "selector", "solver", applies=has_params)
def fingerprint_sees_parameters(subject: Subject) -> None:
    """Another value of a parameter gives another fingerprint."""
    name, value = varied(subject)
    obj = subject.make()
    before = _fingerprint(obj)
    obj.set_params(**{name: value})
    assert _fingerprint(obj) != before, f"{name}={value!r} does not change the fingerprint"


def _fingerprint(obj: Any) -> str:
    try:
        return fingerprint(obj)
    except FingerprintError as error:
        raise NotApplicable(str(error)) from None
