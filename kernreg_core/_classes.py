"""From a target to an object, and what a class says of itself."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from importlib import import_module
from typing import Any

from ._card import Card
from .discovery import guarded
from .errors import ParameterError
from .vocabulary import CAPABILITIES, DOMAINS


def resolve(target: str) -> Any:
    """The object at ``module:qualified.name``; imports the module."""
    module, _, qualname = target.partition(":")
    found: Any = import_module(module)
    for part in qualname.split("."):
        found = getattr(found, part)
    return found


def missing_library(error: BaseException | None, own: Collection[str]) -> str:
    """The library that an import did not find, where it is none of the plugin's `own` packages; else empty."""
    missing = getattr(error, "name", None) if isinstance(error, ModuleNotFoundError) else None
    library = missing.partition(".")[0] if isinstance(missing, str) else ""
    return "" if library in own else library


def check_arguments(name: str, obj: Any, args: tuple[Any, ...], params: dict[str, Any]) -> None:
    """Raise ParameterError, which says what `obj` takes, unless it can be called so."""
    import inspect

    try:
        signature = inspect.signature(obj)
    except (ValueError, TypeError):
        return  # a builtin says nothing about its arguments
    try:
        signature.bind(*args, **params)
    except TypeError as error:
        from .suggest import near

        known = [p.name for p in signature.parameters.values() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
        unknown = [key for key in params if key not in known]
        hints = [f"did you mean {guess!r}?" for key in unknown for guess in near(key, known)[:1]]
        takes = ", ".join(_shown_parameter(p) for p in signature.parameters.values()) or "nothing"
        raise ParameterError(f"{name!r}: {error}. {' '.join([*hints, ''])}It takes: {takes}") from None


def _shown_parameter(parameter: Any) -> str:
    return str(parameter.replace(annotation=parameter.empty))


def target_of(obj: Any) -> str:
    """``module:qualname`` of a class or function."""
    return f"{obj.__module__}:{obj.__qualname__}"


def guess_kind(obj: Any) -> str:
    """kernel, sampler or solver, from the methods a class has."""
    if (
        hasattr(obj, "fit")
        and not hasattr(obj, "evaluate")
        and any(hasattr(obj, method) for method in ("predict", "transform", "score_samples", "fit_predict"))
    ):
        return "solver"
    if hasattr(obj, "sample") or hasattr(obj, "select"):
        return "sampler"
    return "kernel"


def has_defaults(obj: Any) -> bool:
    """Whether a class can be made without arguments."""
    from inspect import Parameter, signature

    return isinstance(obj, type) and all(
        p.default is not Parameter.empty or p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)
        for p in signature(obj).parameters.values()
    )


def card_from(obj: Any, card: Card, **fields: Any) -> Card:
    """`card`, with what a class itself says where `fields` do not."""
    read: dict[str, Any] = {}
    doc = (getattr(obj, "__doc__", None) or "").strip()
    read["summary"] = doc.splitlines()[0] if doc else ""
    domain = getattr(obj, "domain", None)
    if isinstance(domain, str) and domain in DOMAINS:
        read["domain"] = domain
    capabilities = getattr(obj, "capabilities", None)
    if not isinstance(capabilities, (frozenset, set)):
        # a property depends on parameters: the card states what holds at the defaults
        made = guarded(lambda: obj().capabilities)[0] if capabilities is not None and has_defaults(obj) else None
        capabilities = made if isinstance(made, (frozenset, set)) else ()
    read["capabilities"] = frozenset(capabilities) & CAPABILITIES.keys()
    if getattr(obj, "pair_cost", None) == "high":
        read["pair_cost"] = "high"
    try:
        return replace(card, **{**read, **fields})
    except TypeError:
        unknown, known = sorted(set(fields) - set(Card.__dataclass_fields__)), ", ".join(Card.__dataclass_fields__)
        raise ParameterError(f"register: {', '.join(unknown)} is no field of a card; fields: {known}") from None
