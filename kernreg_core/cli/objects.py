"""Whether the objects of a plugin are what its cards say; runs in the interpreter of :mod:`.probe`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from .._card import Card
from .._classes import has_defaults, missing_library, resolve
from .._metadata import EntryPoint
from .._parts import METHODS, capabilities_of
from ..discovery import Plugin, guarded, own_packages, shown

#: Methods without which a capability cannot hold. The others are laws: `kernreg check` tests them.
MEMBERS = {
    **METHODS,
    "prepare": ("prepare",),
    "random_features": ("features",),
    "solve": ("solve", "logdet"),
    "trainable": ("parameters", "state_dict", "load_state_dict"),
    "fitted": ("fit",),
    "gram_map": ("from_gram",),
    "operator": ("layer",),
}


class Fault(NamedTuple):
    """What is wrong with one entry, and what its author must change; `library` is what a user can install."""

    entry: str
    text: str
    advice: str
    library: str = ""
    severe: bool = True


def examine(plugin: Plugin) -> Iterator[Fault]:
    """Load the object of each entry, make one, and compare it with its card."""
    cards = {card.name: card for card in plugin.cards}
    own = own_packages(plugin)
    for entry in plugin.entries:
        card = cards.get(entry.name)
        if card is not None:
            yield from _outside(card, own)
        yield from _examined(entry, card, own)


def _outside(card: Card, own: frozenset[str]) -> Iterator[Fault]:
    """Targets of a card that are refused, since they name a module of another distribution."""
    named = {"example": card.example} if card.example else {}
    named.update({f"claim {claim.statement!r:.60}": claim.measure for claim in card.claims})
    for what, target in named.items():
        if _package(target) not in own:
            yield Fault(
                card.name,
                f"the card's {what} names {target}, which is outside the distribution: it is never loaded",
                f"it must name a function of {', '.join(sorted(own))}",
            )


def _package(target: str) -> str:
    return target.partition(":")[0].partition(".")[0]


def _examined(entry: EntryPoint, card: Card | None, own: frozenset[str]) -> Iterator[Fault]:
    obj, error = guarded(partial(resolve, entry.target))
    if error is not None:
        yield _failed(entry.name, f"cannot be loaded: {shown(error)}", error, own, f"{entry.target} must import")
        return
    if not callable(obj):
        text = f"cannot be created: {entry.target} is no class or function, but {type(obj).__name__}"
        yield Fault(entry.name, text, "its entry point must name a class, or a function that makes the object")
        return
    made: list[Any] = []
    if card is not None and card.example and _package(card.example) in own:
        yield from _from_example(card, own, made)
    yield from _compared(entry, card, obj, made)


def _failed(name: str, text: str, error: BaseException, own: frozenset[str], advice: str) -> Fault:
    library = missing_library(error, own)
    if library:
        return Fault(name, f"needs {library}, which is not installed", f"list {library} in the dependencies", library)
    return Fault(name, text, advice)


def _from_example(card: Card, own: frozenset[str], made: list[Any]) -> Iterator[Fault]:
    example, error = guarded(lambda: resolve(card.example)())
    if error is not None:
        text = f"its example {card.example} fails: {shown(error)}"
        yield _failed(card.name, text, error, own, "the example must run with the listed dependencies alone")
    elif not isinstance(example, tuple) or not example:
        text = f"its example {card.example} gives {type(example).__name__}, and no tuple that begins with the object"
        yield Fault(card.name, text, "the example must return (object, items)")
    else:
        made.append(example[0])


def _compared(entry: EntryPoint, card: Card | None, obj: Any, made: list[Any]) -> Iterator[Fault]:
    default, error = guarded(obj) if guarded(partial(has_defaults, obj))[0] else (None, None)
    if error is not None and not made:
        text = f"cannot be made with its defaults: {shown(error)}"
        yield Fault(entry.name, text, "correct the defaults, or give the card an example")
        return
    if default is not None:
        made = [*made, default]
    if made:
        yield from _lies(entry.name, card, made)
    elif card is not None and card.capabilities:
        text = "what its card declares was not compared: it has no example, and no default for each parameter"
        yield Fault(entry.name, text, "give the card an example", severe=False)


def _lies(name: str, card: Card | None, made: list[Any]) -> Iterator[Fault]:
    """Capabilities that none of the objects has: declared by the card, or without one by the object itself."""
    for capability in sorted(card.capabilities if card is not None else _declared(made[0])):
        reasons = [_why_not(obj, capability) for obj in made]
        if all(reasons):
            text = f"its card declares {capability!r}, but the object {reasons[0]}"
            if card is None:
                text = f"declares {capability!r}, but {reasons[0]}"
            advice = f"take {capability!r} off the card, or let the class declare it and have what it needs"
            yield Fault(name, text, advice)


def _declared(obj: Any) -> frozenset[str]:
    found, error = guarded(lambda: frozenset(map(str, capabilities_of(obj))))
    return found if error is None and found is not None else frozenset()


def _why_not(obj: Any, capability: str) -> str:
    """Empty if the object has the capability, else what it lacks."""
    absent = [
        name for name in MEMBERS.get(capability, ()) if not callable(guarded(partial(getattr, obj, name, None))[0])
    ]
    if absent:
        return f"has no {', '.join(f'{name}()' for name in absent)}"
    return "" if capability in _declared(obj) else "does not declare it in its capabilities"
