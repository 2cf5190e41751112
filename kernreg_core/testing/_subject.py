"""What is under test: an entry with its example, or any object with items to call it on."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .._card import Card
from .._parts import capabilities_of
from ..discovery import guarded, shown
from ..errors import InputError, KernregError, ParameterError
from ..registry import registry

KINDS = ("kernel", "sampler", "selector", "solver")


@dataclass
class Subject:
    """One object under test.

    Attributes
    ----------
    name : str
        The entry's name, or the object's repr.
    kind : {'kernel', 'sampler', 'selector', 'solver'}
    make : callable
        Makes the object anew, so that no check sees the state that another left.
    X, y : items and targets of the example
        None for samplers.
    domain : str or None
    capabilities : frozenset of str
        Those of the card where there is one, and those of the object.
    card : Card, optional
    strategy : callable, optional
        Hypothesis strategy of items like ``X``, given ``X``.
    expected_failures : mapping of str to str
        Check -> reason. Strict: one that passes is a failure.
    """

    name: str
    kind: str
    make: Callable[[], Any]
    X: Any = None
    y: Any = None
    domain: str | None = None
    capabilities: frozenset[str] = frozenset()
    card: Card | None = None
    strategy: Callable[[Any], Any] | None = None
    expected_failures: Mapping[str, str] = field(default_factory=dict)
    ran: dict[str, int] = field(default_factory=dict)  #: checks that passed, by capability
    failed: dict[str, int] = field(default_factory=dict)  #: checks that failed, by capability

    def __repr__(self) -> str:
        return f"<Subject {self.name}>"


def subjects(what: Any = None, *, plugin: str | None = None) -> Iterator[Subject]:
    """Subjects of every entry that matches: a name, a pattern, or None for all; of an object, that one."""
    if what is not None and not isinstance(what, str):
        yield subject_from(what)
        return
    found = registry.find(what, plugin=plugin)
    if not len(found) and what is not None and not any(c in what for c in "*?["):
        registry.card(what, plugin=plugin)  # raises, with near names
    for card in found:
        yield _subject_of(card)


def _subject_of(card: Card) -> Subject:
    """The subject of an entry; one whose example does not load is a subject that fails every check."""
    from ._inputs import strategy_of

    made: Callable[[], tuple[Any, ...]]
    if card.example:
        made = partial(_example, card)
    else:
        made = partial(_default, card)
    try:
        parts = made()
    except KernregError as error:
        return Subject(card.name, card.kind, partial(_raise, error), domain=card.domain, card=card)
    obj, X, y = (*parts, None, None)[:3]
    card = registry.card(card.name, plugin=card.plugin)  # filled, now that the class is loaded
    kind = _kind(obj, card.kind)
    own = capabilities_of(obj) if kind == "kernel" else frozenset()
    return Subject(
        card.name,
        kind,
        lambda: made()[0],
        X=X,
        y=y,
        domain=card.domain or getattr(obj, "domain", None),
        capabilities=card.capabilities | own,
        card=card,
        strategy=strategy_of(card, getattr(obj, "domain", card.domain)),
        expected_failures=_expected_failures(card),
    )


def _raise(error: Exception) -> Any:
    raise AssertionError(f"the example cannot be made: {error}") from error


def _example(card: Card) -> tuple[Any, ...]:
    # guarded: an example that exits the interpreter, or prints, is no more than a failure
    example, error = guarded(registry.resource(card, card.example))
    if isinstance(error, KernregError):
        raise error
    if error is not None:
        raise ParameterError(f"{card.name}: its example {card.example} raised {shown(error)}") from error
    parts = example if isinstance(example, tuple) else (example,)
    if not parts or (card.kind == "kernel" and len(parts) < 2):
        raise ParameterError(f"{card.name}: its example returned {example!r}, expected (kernel, X) or (solver, X, y)")
    return parts


def _default(card: Card) -> tuple[Any, ...]:
    from ._inputs import default_items

    obj = registry.create(card.name, plugin=card.plugin)
    return (obj, *default_items(getattr(obj, "domain", None) or card.domain, _kind(obj, card.kind)))


def _kind(obj: Any, kind: str) -> str:
    return "selector" if kind == "sampler" and hasattr(obj, "select") else kind


def _expected_failures(card: Card) -> dict[str, str]:
    """What the entry's own plugin says it fails."""
    for plugin, found, error in registry.call_hook("kernreg_expected_failures"):
        if plugin.name == card.plugin and error is None and isinstance(found, dict) and card.name in found:
            return dict(found[card.name])
    return {}


def subject_from(
    obj: Any,
    X: Any = None,
    y: Any = None,
    *,
    kind: str | None = None,
    domain: str | None = None,
    capabilities: Any = None,
    expected_failures: Mapping[str, str] | None = None,
) -> Subject:
    """A subject of any object: a kernel without a base class, a plain function k(X, Y), a solver.

    Parameters
    ----------
    obj : object
        Copied for each check where it can be copied.
    X, y : items and targets, optional
        Standard normal points for vectors, and what the core has for other domains.
    kind, domain, capabilities : optional
        Read from the object where they are not given; of a plain function nothing can be read.
    expected_failures : mapping of str to str, optional
        Check -> reason.

    Raises
    ------
    InputError
        If `obj` is a class, or there are no items for its domain.
    """
    from ._inputs import default_items, default_strategy

    if isinstance(obj, type):
        raise InputError(f"obj: expected an object, got the class {obj.__name__}: make one")
    kind = kind or _kind(obj, _guessed_kind(obj))
    if kind not in KINDS:
        raise ParameterError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    domain = domain or getattr(obj, "domain", None) or "vectors"
    if X is None and kind != "sampler":
        X, *rest = default_items(domain, kind)
        y = rest[0] if rest and y is None else y
    given = frozenset(capabilities) if capabilities is not None else frozenset()
    found = given | (capabilities_of(obj) if kind == "kernel" else frozenset())
    return Subject(
        getattr(obj, "__name__", None) or repr(obj),
        kind,
        partial(_copied, obj),
        X=X,
        y=y,
        domain=domain,
        capabilities=found,
        strategy=default_strategy(domain),
        expected_failures=dict(expected_failures or {}),
    )


def _guessed_kind(obj: Any) -> str:
    from ..registry import guess_kind

    return guess_kind(obj)


def _copied(obj: Any) -> Any:
    try:
        return copy.deepcopy(obj)
    except Exception:
        return obj


def made(subject: Subject) -> Any:
    """An object to ask which laws apply to it; None where it cannot be made, which the laws themselves report."""
    try:
        return subject.make()
    except Exception:
        return None
