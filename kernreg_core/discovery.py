"""From installed metadata to plugin records: gate, load, isolate.

Two tiers without an entry's code: names from metadata, cards from each plugin's light module.
pluggy's own loader isolates nothing and drops duplicates silently, so plugins are loaded here,
each in its own try; a failure becomes a value and every other plugin goes on.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any, TypeVar

import pluggy

from . import hookspecs
from ._card import Card, Claim, Reference, check_target, is_target
from ._metadata import Distribution, EntryPoint, normalized, scan
from ._turns import end_turn, may_import, take_turn
from ._version import __version__
from .errors import ParameterError, PluginError
from .vocabulary import is_name, parse_name

CORE = "kernreg-core"
#: Status of a plugin of which nothing but the metadata has been read.
NOT_LOADED = "not loaded"
#: Note of a plugin whose cards could not be read yet; a snapshot with it is not kept.
UNFINISHED = "its light module is still being imported: its cards are not known yet"
_LONGEST = 1000  # characters of a plugin's message that are kept
_T = TypeVar("_T")


@dataclass(frozen=True)
class Plugin:
    """What was found about one distribution, working or not.

    Attributes
    ----------
    name, version, path : str
        Of the distribution; `path` is where its metadata stands.
    status : {'ok', 'broken', 'incompatible', 'disabled', 'not loaded'}
    error : str
        What went wrong, with the exception's type; empty where nothing did.
    entries : tuple of EntryPoint
    modules : tuple of str
        Its light modules.
    cards : tuple of Card
    requirement : str or None
        The version part of its ``Requires-Dist: kernreg-core`` line.
    notes : tuple of str
        What is odd and harmless; ``kernreg doctor`` shows it.
    seconds : float
        What loading its light modules took.
    exception : BaseException, optional
        The failure itself.
    """

    name: str
    version: str
    path: str = ""
    status: str = "ok"
    error: str = ""
    entries: tuple[EntryPoint, ...] = ()
    modules: tuple[str, ...] = ()
    cards: tuple[Card, ...] = ()
    requirement: str | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    exception: BaseException | None = field(default=None, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """The record as JSON-ready data."""
        return {
            "name": self.name,
            "version": self.version,
            "path": self.path,
            "status": self.status,
            "error": self.error,
            "entries": [{"name": e.name, "kind": e.kind, "target": e.target} for e in self.entries],
            "modules": list(self.modules),
            "cards": None if self.status == NOT_LOADED else len(self.cards),
            "requirement": self.requirement,
            "notes": list(self.notes),
            "seconds": self.seconds,
        }

    def __repr__(self) -> str:
        state = f"{self.status}: {self.error}" if self.error else self.status
        return f"<Plugin {self.name} {self.version}, {len(self.entries)} entries, {state}>"


class _Redirect:
    """What plugin code prints goes to stderr; nested and concurrent uses share one switch.

    Attributes
    ----------
    sink : file, optional
        Where it goes instead; the probe of ``kernreg doctor`` listens there.
    """

    def __init__(self) -> None:
        self.sink: Any = None
        self._lock = threading.Lock()
        self._depth = 0
        self._stdout: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if self._depth == 0:
                self._stdout, sys.stdout = sys.stdout, self.sink or sys.stderr
            self._depth += 1

    def __exit__(self, *exc: object) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                sys.stdout, self._stdout = self._stdout, None


redirect = _Redirect()


def strict() -> bool:
    """Whether ``KERNREG_STRICT`` asks for failures to be raised."""
    return os.environ.get("KERNREG_STRICT", "") not in ("", "0")


def guarded(function: Callable[[], _T]) -> tuple[_T | None, BaseException | None]:
    """(result, None) of plugin code, or (None, what it raised): SystemExit too, Ctrl-C not."""
    try:
        with redirect:
            return function(), None
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if strict():
            raise
        return None, error


def shown(error: BaseException) -> str:
    """Type and message of an exception on one line, shortened; what cannot be shown is no further error."""
    try:
        text = " ".join(str(error).split())
    except BaseException as second:
        if isinstance(second, KeyboardInterrupt):
            raise
        text = f"(its message cannot be shown: {type(second).__name__})"
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def allowed(name: str) -> str:
    """Empty if the distribution may load, else the environment variable that forbids it."""
    if name == CORE:
        return ""
    if name in _listed("KERNREG_DISABLE"):
        return "KERNREG_DISABLE"
    only = _listed("KERNREG_PLUGINS")
    return "KERNREG_PLUGINS" if only and name not in only else ""


def _listed(variable: str) -> set[str]:
    return {normalized(part.strip()) for part in os.environ.get(variable, "").split(",") if part.strip()}


def version_numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version, without trailing zeros; a pre-release counts as its release."""
    numbers = [int(part) for part in re.match(r"\d*(?:\.\d+)*", version)[0].split(".") if part]  # type: ignore[index]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


@lru_cache
def gate(requirement: str | None, core: str = __version__) -> tuple[bool, str]:
    """(whether `core` satisfies `requirement`, a note where that could not be fully read)."""
    if requirement is None:
        return True, "no Requires-Dist line for kernreg-core: its version was not checked"
    unread = []
    for part in filter(None, (piece.strip() for piece in requirement.split(","))):
        match = re.fullmatch(r"(>=|<)\s*(\d[\w.]*)", part)
        if match is None:
            unread.append(part)
            continue
        reached = version_numbers(core) >= version_numbers(match[2])
        if reached != (match[1] == ">="):
            return False, ""
    return True, f"kernreg-core requirement not checked: {', '.join(unread)}" if unread else ""


def discover() -> tuple[list[Plugin], pluggy.PluginManager]:
    """Find, gate and load every installed plugin; all are gated before code of the first one runs."""
    manager = pluggy.PluginManager("kernreg")
    manager.add_hookspecs(hookspecs)
    return [load(found, plugin, manager) for found, plugin in unloaded()], manager


def unloaded() -> list[tuple[Distribution, Plugin]]:
    """Records from metadata alone, with what they were read from; no code of any plugin runs."""
    return [(found, _gated(found)) for found in scan()]


def _entry_points(found: Distribution) -> tuple[tuple[EntryPoint, ...], tuple[str, ...]]:
    entries: dict[str, EntryPoint] = {}
    notes = []
    for entry in found.entries:
        name = entry.name
        if name not in entries and is_name(name) and is_target(entry.target):
            entries[name] = entry
        else:
            notes.append(_why_not(entry, entries))
    return tuple(entries.values()), tuple(notes)


def _why_not(entry: EntryPoint, entries: dict[str, EntryPoint]) -> str:
    if entry.name in entries:
        return f"entry point {entry.name!r} stands twice; the first is used"
    try:
        parse_name(entry.name)
        check_target(entry.target, "target")
    except ParameterError as error:
        return f"entry point {entry.name!r} left out: {error}"
    raise AssertionError(f"{entry} is well-formed")


def _gated(found: Distribution) -> Plugin:
    entries, notes = _entry_points(found)
    plugin = Plugin(found.name, found.version, found.path, NOT_LOADED, "", entries, found.modules, notes=notes)
    variable = allowed(found.name)
    try:
        requirement = found.requirement() if found.name != CORE else f">={__version__}"
        fits, note = gate(requirement)
    except ValueError as error:  # a number of five thousand digits
        return replace(plugin, status="incompatible", error=f"its requirement cannot be read: {shown(error)}")
    if variable:
        return replace(plugin, requirement=requirement, status="disabled", error=f"disabled by {variable}")
    if not fits:
        reason = f"needs kernreg-core {requirement}, this is {__version__}"
        return replace(plugin, requirement=requirement, status="incompatible", error=reason)
    return replace(plugin, requirement=requirement, notes=(*notes, note) if note else notes)


def load(found: Distribution, plugin: Plugin, manager: pluggy.PluginManager) -> Plugin:
    """The record of a plugin with its light modules loaded, where it may load; never raises what its code raises."""
    if plugin.status != NOT_LOADED:
        return plugin
    unfinished = replace(plugin, status="ok", notes=(*plugin.notes, UNFINISHED))
    start = time.perf_counter()
    if not all(may_import(target.partition(":")[0]) for target in found.modules) or not take_turn(found.path):
        return unfinished
    try:
        cards, problem = guarded(lambda: _load_cards(found, plugin.entries, manager))
    finally:
        end_turn(found.path)
    if any(map(_being_imported, found.modules)):
        return unfinished
    seconds = time.perf_counter() - start
    if problem is not None:
        return replace(plugin, status="broken", error=shown(problem), exception=problem, seconds=seconds)
    return replace(plugin, status="ok", cards=tuple(cards or ()), seconds=seconds)


def _being_imported(target: str) -> bool:
    """Whether a light module asked for this while it is itself being imported, further up the stack."""
    spec = getattr(sys.modules.get(target.partition(":")[0]), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def _load_cards(found: Distribution, entries: tuple[EntryPoint, ...], manager: pluggy.PluginManager) -> list[Card]:
    """Import and register the light modules, call this plugin's own ``kernreg_cards``, check what it gives."""
    cards: list[Card] = []
    registered: list[str] = []
    try:
        for target in dict.fromkeys(found.modules):
            module = import_module(target.partition(":")[0])
            name = f"{found.name} {target}"
            registered.append(name)  # first: a registration that fails may have got half-way
            manager.register(_hooks_of(module), name=name)
            manager.check_pending()
            for implementation in own_implementations(manager, "kernreg_cards", name):
                cards.extend(_checked(implementation(), found, target))
        _match(cards, entries, found)
    except BaseException:
        for name in registered:
            manager.unregister(name=name)
        raise
    return [card.placed(found.name, found.version) for card in cards]


def _hooks_of(module: ModuleType) -> ModuleType:
    """A module of nothing but the hook implementations of `module`: pluggy inspects every name of what it registers."""
    hooks = ModuleType(module.__name__)
    for name, value in vars(module).items():
        if isinstance(value, FunctionType) and hasattr(value, "kernreg_impl"):
            setattr(hooks, name, value)
    return hooks


def own_implementations(manager: pluggy.PluginManager, hook: str, plugin: str) -> Iterator[Callable[[], Any]]:
    """The functions that one registered plugin offers for a hook."""
    for implementation in getattr(manager.hook, hook).get_hookimpls():
        if implementation.plugin_name == plugin:
            yield implementation.function


def _checked(cards: Any, found: Distribution, target: str) -> list[Card]:
    where = f"{found.name}: kernreg_cards() in {target}"
    if not isinstance(cards, (list, tuple)):
        raise PluginError(f"{where} must return a list of Card, got {type(cards).__name__}")
    for card in cards:
        if not isinstance(card, Card):
            raise PluginError(f"{where} must return a list of Card, got a list with {card!r:.80}")
    try:  # one join looks at every text of every card in C
        "".join([text for card in cards for text in (card.summary, *card.aliases, *card.parameters.values())])
        cited = [card for card in cards if card.references or card.claims]
        sound = all(_are(Reference, card.references) and _are(Claim, card.claims) for card in cited)
    except (AttributeError, TypeError):
        sound = False
    if not sound:
        raise PluginError(f"{where}: {next(filter(None, map(_fault, cards)))}")
    return list(cards)


def _are(kind: type, items: tuple[Any, ...]) -> bool:
    return not items or all(isinstance(item, kind) for item in items)


def _fault(card: Card) -> str:
    """Which field of a card holds what a query would stumble over."""
    for field_name, kind in (("aliases", str), ("references", Reference), ("claims", Claim)):
        items = getattr(card, field_name)
        if not isinstance(items, tuple) or not _are(kind, items):
            return f"the card {card.name!r}: {field_name}: expected a tuple of {kind.__name__}, got {items!r:.80}"
    if not isinstance(card.summary, str):
        return f"the card {card.name!r}: summary: expected a string, got {card.summary!r:.80}"
    if not isinstance(card.parameters, dict) or not _are(str, (*card.parameters, *card.parameters.values())):
        return f"the card {card.name!r}: parameters: expected a dict of str to str, got {card.parameters!r:.80}"
    return ""


def _match(cards: list[Card], entries: tuple[EntryPoint, ...], found: Distribution) -> None:
    kinds = {entry.name: entry.kind for entry in entries}
    seen = set()
    for card in cards:
        if card.name in seen:
            raise PluginError(f"{found.name}: two cards for {card.name!r}")
        seen.add(card.name)
        if card.name not in kinds:
            raise PluginError(
                f"{found.name}: the card {card.name!r} has no entry point of that name in the distribution"
            )
        if card.kind != kinds[card.name]:
            raise PluginError(
                f"{found.name}: {card.name!r} is a {card.kind} on its card and a {kinds[card.name]} by its entry point"
            )


def own_packages(plugin: Plugin) -> frozenset[str]:
    """Top-level packages that the distribution's own entry points name."""
    targets = (*plugin.modules, *(entry.target for entry in plugin.entries))
    return frozenset(target.partition(":")[0].partition(".")[0] for target in targets)
