"""The registry: names, find, card, create, register, plugins.

Readers get immutable snapshots. A snapshot is built outside the lock and published under it, so
plugin code never runs under the lock; every method may be called from any thread.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import pluggy

from . import discovery
from ._card import Card, Reference
from ._classes import card_from, check_arguments, guess_kind, missing_library, resolve, target_of
from ._metadata import EntryPoint, normalized
from .discovery import Plugin, guarded, own_packages, shown
from .errors import KernregError, MissingDependencyError, NameConflictError, ParameterError, PluginError
from .listing import Listing
from .vocabulary import CAPABILITIES, DOMAINS, KINDS, TAGS, parse_name

#: The "plugin" of what :meth:`Registry.register` added in this process.
RUNTIME = "(this process)"
_SLOW = 1.0  # seconds after which find says who is slow


class Entry(NamedTuple):
    """One name as one distribution offers it."""

    card: Card
    target: str
    has_card: bool
    obj: Any = None


@dataclass(frozen=True)
class Snapshot:
    """What the registry knew at one moment; never changes."""

    plugins: tuple[Plugin, ...]
    entries: Mapping[str, tuple[Entry, ...]]
    manager: pluggy.PluginManager | None


class Registry:
    """Finds, describes and creates entries. ``kernreg_core.registry.registry`` is the one everybody uses.

    Examples
    --------
    >>> import kernreg_core as kr
    >>> kr.names("core.*")
    ['core.normalized', 'core.power', 'core.product', 'core.scaled', 'core.sum']
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._building = threading.local()
        self._snapshot: Snapshot | None = None
        self._begun = self._published = 0  # refreshes are numbered in the order in which they look
        self._runtime: dict[str, Entry] = {}
        self._filled: dict[tuple[str, str], Card] = {}  # cards made from classes
        self._loaded: dict[tuple[str, str], Any] = {}
        self._warned = False

    # -- snapshots ---------------------------------------------------------------------------

    def snapshot(self) -> Snapshot:
        """The current snapshot, built at first use."""
        if self._snapshot is not None:
            return self._snapshot
        return self.refresh()

    def refresh(self) -> Snapshot:
        """Look at what is installed now, and publish the result.

        Called by a plugin while plugins are being loaded, it gives names without cards.
        """
        if getattr(self._building, "active", False):
            return self._assembled([plugin for _, plugin in discovery.unloaded()], None)
        from importlib import invalidate_caches

        self._building.active = True
        with self._lock:
            self._begun += 1
            turn = self._begun
        try:
            if self._snapshot is not None:
                invalidate_caches()  # what was installed meanwhile
            plugins, manager = discovery.discover()
        finally:
            self._building.active = False
        settled = not any(discovery.UNFINISHED in plugin.notes for plugin in plugins)
        with self._lock:
            snapshot = self._assembled(plugins, manager)
            if settled and turn > self._published:  # never older than what stands there
                self._snapshot, self._published = snapshot, turn
        self._warn_if_slow(plugins)
        return snapshot

    def _assembled(self, plugins: Iterable[Plugin], manager: pluggy.PluginManager | None) -> Snapshot:
        plugins = tuple(sorted(plugins, key=lambda plugin: plugin.name))  # a folder's order says nothing
        entries: dict[str, tuple[Entry, ...]] = {}
        for plugin in plugins:
            if plugin.status in ("disabled", "incompatible"):
                continue
            cards = {card.name: card for card in plugin.cards}
            for point in plugin.entries:
                card = cards.get(point.name) or self._filled.get((plugin.name, point.name))
                placed = card or Card(name=point.name, kind=point.kind, plugin=plugin.name, version=plugin.version)
                entry = Entry(placed, point.target, card is not None)
                entries[point.name] = (*entries.get(point.name, ()), entry)
        for name, entry in tuple(self._runtime.items()):
            entries[name] = (*entries.get(name, ()), entry)
        return Snapshot(plugins, MappingProxyType(dict(sorted(entries.items()))), manager)

    def _republish(self) -> None:
        """Assemble again from the same plugins, after a registration or a filled card (lock held)."""
        if self._snapshot is not None:
            self._snapshot = self._assembled(self._snapshot.plugins, self._snapshot.manager)

    def _warn_if_slow(self, plugins: Iterable[Plugin]) -> None:
        seconds = {plugin.name: plugin.seconds for plugin in plugins}
        if self._warned or sum(seconds.values()) < _SLOW:
            return
        import warnings

        from .errors import KernregWarning

        self._warned = True
        slowest = max(seconds, key=lambda name: seconds[name])
        warnings.warn(
            f"reading the cards of all plugins took {sum(seconds.values()):.1f} s, of which {slowest} "
            f"{seconds[slowest]:.1f} s: KERNREG_DISABLE={slowest} leaves it out, kernreg doctor measures each",
            KernregWarning,
            stacklevel=4,
        )

    # -- looking -----------------------------------------------------------------------------

    def plugins(self, *, load: bool = True) -> tuple[Plugin, ...]:
        """One record for each installed plugin: working, broken, incompatible or disabled.

        Parameters
        ----------
        load : bool
            Whether cards are read, for which plugins' light modules are imported. False reads the installed
            metadata and runs no code of any plugin: what may load is then ``'not loaded'``.

        Examples
        --------
        >>> import kernreg_core as kr
        >>> next(plugin.status for plugin in kr.plugins(load=False) if plugin.name == "kernreg-core")
        'not loaded'
        """
        if not load:
            return tuple(sorted((plugin for _, plugin in discovery.unloaded()), key=lambda plugin: plugin.name))
        return self.snapshot().plugins

    def find(
        self,
        name: str | None = None,
        *,
        kind: str | Iterable[str] | None = None,
        domain: str | Iterable[str] | None = None,
        capabilities: str | Iterable[str] = (),
        tags: str | Iterable[str] = (),
        text: str | None = None,
        plugin: str | None = None,
        paper: str | None = None,
    ) -> Listing:
        """Entries that fulfil every condition, sorted by name; loads none of them.

        Parameters
        ----------
        name : str, optional
            A name or a shell pattern such as ``"graph.*"``.
        kind, domain : str or collection of str, optional
            One of these.
        capabilities, tags : str or collection of str
            All of these.
        text : str, optional
            Words that all stand somewhere in name, summary, aliases, tags or papers.
        plugin : str, optional
            A distribution's name or a shell pattern.
        paper : str, optional
            arXiv id, DOI or words of a title.

        Returns
        -------
        Listing
            Of cards; prints as a table. Entries without a card answer only `name`, `kind` and
            `plugin`; other conditions leave them out and the listing says how many.

        Raises
        ------
        ParameterError
            If a kind, domain, capability or tag is none of the closed vocabulary.
        """
        wanted = {
            "kind": _words("kind", kind, KINDS),
            "domain": _words("domain", domain, DOMAINS),
            "capabilities": _words("capabilities", capabilities, CAPABILITIES),
            "tags": _words("tags", tags, TAGS),
        }
        for argument, value in (("name", name), ("text", text), ("plugin", plugin), ("paper", paper)):
            if value is not None and not isinstance(value, str):
                raise ParameterError(f"{argument}: expected a string, got {type(value).__name__}")
        needs_card = any((wanted["domain"], wanted["capabilities"], wanted["tags"], text, paper))
        found, without_card = [], 0
        for entry in self._matching(name, wanted["kind"], plugin):
            if needs_card and not entry.has_card:
                without_card += 1
            elif not needs_card or _fits(entry.card, wanted, text, paper):
                found.append(entry.card)
        return Listing(found, without_card)

    def _matching(self, name: str | None, kinds: frozenset[str], plugin: str | None) -> Iterable[Entry]:
        """Entries by what metadata answers."""
        name_fits, plugin_fits = _pattern(name), _pattern(None if plugin is None else plugin.replace("_", "-").lower())
        for entries in self.snapshot().entries.values():
            for entry in entries:
                card = entry.card
                if name_fits(card.name) and plugin_fits(card.plugin) and (not kinds or card.kind in kinds):
                    yield entry

    def names(self, name: str | None = None, **filters: Any) -> list[str]:
        """Names of the entries that :meth:`find` gives for the same conditions, each once."""
        return list(dict.fromkeys(self.find(name, **filters).names))

    def card(self, name: str, *, plugin: str | None = None) -> Card:
        """The card of one entry; one without is filled from its class, which loads it.

        Raises
        ------
        UnknownNameError, NameConflictError, PluginError
        """
        entry = self._entry(name, plugin)
        if not entry.has_card:
            self._load(entry)
            entry = self._entry(name, plugin)
        return entry.card

    def _entry(self, name: str, plugin: str | None) -> Entry:
        try:
            parse_name(name)
        except ParameterError as error:
            from .suggest import near_names

            guesses = near_names(name, self.snapshot().entries) if isinstance(name, str) else []
            hint = f". Near it: {', '.join(map(repr, guesses))}" if guesses else ""
            raise ParameterError(f"{error}{hint}") from None
        entries = self._offers(name, plugin)
        if not entries:
            self.refresh()  # it may have just been installed
            entries = self._offers(name, plugin)
        if not entries:
            from .suggest import unknown_name

            raise unknown_name(name, plugin, self.snapshot())
        if len(entries) > 1:
            offers = ", ".join(f"{entry.card.plugin} {entry.card.version}".strip() for entry in entries)
            raise NameConflictError(
                f"{name!r} is offered by {len(entries)} distributions: {offers}. "
                f"Choose one: kr.create({name!r}, plugin={entries[0].card.plugin!r})"
            )
        return entries[0]

    def _offers(self, name: str, plugin: str | None) -> tuple[Entry, ...]:
        offers = self.snapshot().entries.get(name, ())
        if plugin is None:
            return offers
        return tuple(entry for entry in offers if entry.card.plugin in (plugin, normalized(plugin)))

    # -- making ------------------------------------------------------------------------------

    def load(self, name: str, *, plugin: str | None = None) -> Any:
        """The class (or factory) behind a name; imports its plugin.

        Raises
        ------
        UnknownNameError, NameConflictError, PluginError, MissingDependencyError
        """
        return self._load(self._entry(name, plugin))

    def _load(self, entry: Entry) -> Any:
        if entry.obj is not None:
            return entry.obj
        key = (entry.card.plugin, entry.target)
        if key not in self._loaded:
            found, error = guarded(lambda: resolve(entry.target))
            if error is not None:
                raise _load_error(entry, error) from error
            self._loaded[key] = found
        obj = self._loaded[key]
        if not entry.has_card:
            filled, error = guarded(lambda: card_from(obj, entry.card))
            if error is not None or filled is None:
                raise PluginError(
                    f"{entry.card.name!r} from {entry.card.plugin}: no card can be made of its class: "
                    f"{shown(error) if error else filled}"
                ) from error
            with self._lock:
                self._filled[(filled.plugin, filled.name)] = filled
                self._republish()
        return obj

    def create(self, name: str, /, *args: Any, plugin: str | None = None, **params: Any) -> Any:
        """Make the entry's object with these parameters; imports its plugin now.

        Parameters
        ----------
        name : str
        plugin : str, optional
            The distribution to take it from, where several offer the name.
        *args, **params
            The entry's own.

        Raises
        ------
        UnknownNameError
            With near names of every kind and, where a known plugin is absent, how to install it.
        NameConflictError
            If several distributions offer the name and `plugin` does not choose.
        ParameterError
            If a parameter has a name the entry does not know.
        PluginError, MissingDependencyError
            If the plugin's code fails.
        """
        entry = self._entry(name, plugin)
        obj = self._load(entry)
        if not callable(obj):
            raise PluginError(f"{name!r} from {entry.card.plugin}: {entry.target} is no class or function, but {obj!r}")
        check_arguments(name, obj, args, params)
        try:
            return obj(*args, **params)
        except KernregError:
            raise
        except ImportError as error:
            raise _load_error(entry, error) from error
        except SystemExit as error:
            raise PluginError(
                f"{name!r} from {entry.card.plugin}: its constructor called sys.exit({error.code})"
            ) from error

    def register(self, obj: Any = None, *, name: str, replace: bool = False, **fields: Any) -> Any:
        """Register a class in this process; also as a decorator.

        Parameters
        ----------
        obj : class or factory
        name : str
            ``family.name``.
        replace : bool
            Whether to replace what this process registered under the name. A class of the same
            qualified name (a notebook cell run again) always is.
        **fields
            Fields of the :class:`Card`; what is not given is read from the class. `kind` is
            guessed from its methods.

        Returns
        -------
        obj
            Unchanged.

        Raises
        ------
        NameConflictError
            If an installed plugin, or another class of this process, has the name.

        Examples
        --------
        >>> import kernreg_core as kr
        >>> @kr.register(name="me.linear", domain="vectors")
        ... class Linear(kr.BaseKernel):
        ...     '''k(x, y) = x . y'''
        ...     def evaluate(self, X, Y):
        ...         return X @ Y.T
        >>> kr.create("me.linear")([[1.0, 2.0]])
        array([[5.]])
        >>> kr.unregister("me.linear")
        """
        if obj is None:
            return lambda decorated: self.register(decorated, name=name, replace=replace, **fields)
        if not callable(obj) or not hasattr(obj, "__qualname__"):
            raise ParameterError(f"obj: expected a class or a function that makes the object, got {type(obj).__name__}")
        if given := {"plugin", "version"} & fields.keys():
            raise ParameterError(f"register: {', '.join(sorted(given))} is the registry's to fill in")
        kind = fields.pop("kind", None) or guess_kind(obj)
        card = card_from(obj, Card(name=name, kind=kind, plugin=RUNTIME), **fields)
        seen = self.snapshot()
        with self._lock:
            _check_free(self._snapshot or seen, name, obj, replace)
            self._runtime[name] = Entry(card, target_of(obj), True, obj)
            self._republish()
        return obj

    def unregister(self, name: str) -> None:
        """Take back what :meth:`register` added.

        Raises
        ------
        UnknownNameError
            If this process registered nothing under the name.
        """
        from .errors import UnknownNameError

        with self._lock:
            if self._runtime.pop(name, None) is None:
                raise UnknownNameError(f"{name!r} was not registered in this process, so it cannot be taken back")
            self._republish()

    # -- from objects back to entries --------------------------------------------------------

    def entry_of(self, obj: Any) -> Entry | None:
        """The entry whose class made `obj`, by reverse lookup; None if there is none."""
        cls = obj if isinstance(obj, type) else type(obj)
        nearby = []
        for entries in self.snapshot().entries.values():
            for entry in entries:
                if entry.obj is cls or entry.target == target_of(cls):
                    return entry
                module, _, qualname = entry.target.partition(":")
                if qualname == cls.__qualname__ and module.partition(".")[0] == cls.__module__.partition(".")[0]:
                    nearby.append(entry)
        # the target may be a re-export of the module that defines the class
        return next((entry for entry in nearby if guarded(partial(self._load, entry))[0] is cls), None)

    def resource(self, card: Card, target: str) -> Any:
        """The function that a card names (``example``, a claim's ``measure``), from the card's own distribution.

        Raises
        ------
        PluginError
            If `target` stands outside the packages of the distribution's own entry points, or does not load.
        """
        own = {package for plugin in self.plugins() if plugin.name == card.plugin for package in own_packages(plugin)}
        if target.partition(":")[0].partition(".")[0] not in own:
            raise PluginError(
                f"{card.name!r} from {card.plugin}: its card names {target!r}, which is outside the distribution's own "
                f"packages ({', '.join(sorted(own)) or 'none'}), so it is not loaded"
            )
        found, problem = guarded(partial(resolve, target))
        if problem is not None:
            raise _load_error(Entry(card, target, True), problem) from problem
        return found

    def call_hook(self, hook: str) -> list[tuple[Plugin, Any, BaseException | None]]:
        """(plugin, result, None) or (plugin, None, error) of each working plugin's own hook."""
        snapshot = self.snapshot()
        found: list[tuple[Plugin, Any, BaseException | None]] = []
        for plugin in snapshot.plugins:
            for target in plugin.modules if plugin.status == "ok" and snapshot.manager else ():
                assert snapshot.manager is not None
                for function in discovery.own_implementations(snapshot.manager, hook, f"{plugin.name} {target}"):
                    found.append((plugin, *guarded(function)))
        return found


#: Distributions whose name is not that of their package.
_INSTALLED_AS = {"sklearn": "scikit-learn", "skimage": "scikit-image", "cv2": "opencv-python", "PIL": "pillow"}


def _load_error(entry: Entry, error: BaseException) -> PluginError:
    card = entry.card
    where = f"{card.name!r} from {card.plugin} {card.version} ({entry.target})"
    library = missing_library(error, {entry.target.partition(":")[0].partition(".")[0]})
    if library:
        missing = getattr(error, "name", library)
        return MissingDependencyError(
            f"{where} needs {missing!r}, which is not installed: pip install {_INSTALLED_AS.get(library, library)}"
        )
    return PluginError(f"{where} could not be loaded: {shown(error)}")


def _check_free(snapshot: Snapshot, name: str, obj: Any, may_replace: bool) -> None:
    for entry in snapshot.entries.get(name, ()):
        if entry.card.plugin != RUNTIME:
            raise NameConflictError(f"{name!r} is offered by the installed {entry.card.plugin}: take another name")
        if not may_replace and entry.target != target_of(obj):
            raise NameConflictError(
                f"{name!r} is already registered in this process as {entry.target}: "
                f"pass replace=True, or kr.unregister({name!r}) first"
            )


def _words(argument: str, given: str | Iterable[str] | None, vocabulary: Mapping[str, str]) -> frozenset[str]:
    try:
        words = frozenset([given] if isinstance(given, str) else given or ())
    except TypeError:
        raise ParameterError(f"{argument}: expected a word or a collection of words, got {given!r}") from None
    for word in words:
        if word not in vocabulary:
            from .suggest import near

            guess = near(str(word), list(vocabulary))
            hint = f"did you mean {guess[0]!r}? " if guess else ""
            raise ParameterError(f"{argument}: got {word!r}. {hint}Expected: {', '.join(vocabulary)}")
    return words


def _pattern(pattern: str | None) -> Callable[[str], bool]:
    if pattern is None:
        return lambda name: True
    if not any(character in pattern for character in "*?["):
        return lambda name: name == pattern
    from fnmatch import translate

    match = re.compile(translate(pattern)).match
    return lambda name: match(name) is not None


def _fits(card: Card, wanted: dict[str, frozenset[str]], text: str | None, paper: str | None) -> bool:
    return (
        (not wanted["domain"] or card.domain in wanted["domain"])
        and wanted["capabilities"] <= card.capabilities
        and wanted["tags"] <= card.tags
        and (not text or _has_words(text, _searchable(card)))
        and (not paper or any(_is_paper(paper, reference) for reference in card.references))
    )


def _searchable(card: Card) -> str:
    papers = [f"{reference.title} {' '.join(reference.authors)}" for reference in card.references]
    return " ".join([card.name, card.summary, *card.aliases, *card.tags, *card.capabilities, *papers])


def _has_words(words: str, text: str) -> bool:
    text = text.lower()
    return all(word in text for word in words.lower().split())


def _is_paper(wanted: str, reference: Reference) -> bool:
    exact = re.sub(r"^(arxiv:|doi:|https?://[^/]+/(abs/)?)\s*", "", wanted.strip().lower())
    return exact in (reference.arxiv.lower(), reference.doi.lower()) or _has_words(wanted, reference.title)


#: The registry that the functions of :mod:`kernreg_core` speak to.
registry = Registry()

__all__ = ["RUNTIME", "Entry", "EntryPoint", "Registry", "Snapshot", "card_from", "guess_kind", "registry", "target_of"]
