"""What ``kernreg doctor`` finds wrong with a plugin, each with its cure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from ..discovery import CORE, Plugin
from ..vocabulary import FAMILIES

#: Seconds after which loading a light module is slow, and after which it is a problem.
SLOW, TOO_SLOW = 0.2, 1.0
#: Entries of one distribution after which it burdens every ``find``.
MANY = 2000


class Finding(NamedTuple):
    """A sentence about a plugin, and what to do: now, and by the plugin's author."""

    plugin: str  #: empty where it concerns several
    text: str
    cure: str
    is_problem: bool = True

    def sentence(self) -> str:
        """The finding without its cure."""
        return f"{self.plugin}: {self.text}" if self.plugin else self.text


def cure(plugin: str, author: str, now: str = "") -> str:
    """What a user can do now, then what the plugin's author must change."""
    if not now:
        now = f"KERNREG_DISABLE={plugin} leaves it out, pip uninstall {plugin} removes it"
        if plugin == CORE:
            now = f"pip install --force-reinstall {CORE} installs it anew"
    return f"{now}; its author: {author}"


def of_metadata(plugin: Plugin) -> Iterator[Finding]:
    """What the installed metadata says, before any code of the plugin runs."""
    name = plugin.name
    if plugin.status == "incompatible":
        now = f"pip install --upgrade {CORE} {name}, or KERNREG_DISABLE={name}"
        author = f"widen the requirement {CORE}{plugin.requirement or ''} once the plugin works with this core"
        yield Finding(name, f"incompatible: {plugin.error}", cure(name, author, now))
    for note in plugin.notes if name != CORE else ():
        left_out = note.startswith("entry point ")  # an entry is lost: the other notes lose nothing
        author = (
            "give each entry point a name of its own of the form family.name and a target module:object"
            if left_out
            else f'write dependencies = ["{CORE}>=0.1,<1"], with >= and < only, in pyproject.toml'
        )
        yield Finding(name, note, cure(name, author), is_problem=left_out)
    yield from _of_names(plugin)


def _of_names(plugin: Plugin) -> Iterator[Finding]:
    foreign: dict[str, list[str]] = {}
    for entry in plugin.entries:
        owner = FAMILIES.get(entry.name.partition(".")[0])
        if owner is not None and owner != plugin.name:
            foreign.setdefault(owner, []).append(entry.name)
    author = "rename them to a family of your own"
    for owner, names in foreign.items():
        text = f"offers {', '.join(names)}: names of that family come from {owner}; {author}"
        yield Finding(plugin.name, text, cure(plugin.name, author), is_problem=False)
    if len(plugin.entries) > MANY:
        text = f"offers {len(plugin.entries)} entries, more than {MANY}: every list and find pays for them"
        yield Finding(plugin.name, text, cure(plugin.name, "make parameters of what differs, or several distributions"))


def conflicts(plugins: Iterable[Plugin]) -> Iterator[Finding]:
    """Names that several distributions offer: one finding for each set of distributions."""
    offers: dict[str, list[Plugin]] = {}
    for plugin in plugins:
        if plugin.status not in ("disabled", "incompatible"):
            for entry in plugin.entries:
                offers.setdefault(entry.name, []).append(plugin)
    shared: dict[tuple[str, ...], list[str]] = {}
    for name, owners in sorted(offers.items()):
        if len(owners) > 1:
            shared.setdefault(tuple(f"{owner.name} {owner.version}" for owner in owners), []).append(name)
    for providers, names in shared.items():
        yield _conflict(providers, names)


def _conflict(providers: tuple[str, ...], names: list[str]) -> Finding:
    listed = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    text = (
        f"{listed} {'is' if len(names) == 1 else 'are'} offered by {' and '.join(providers)}: "
        "create needs plugin=, or disable one with KERNREG_DISABLE"
    )
    owners = [provider.partition(" ")[0] for provider in providers]
    disable = " or ".join(f"KERNREG_DISABLE={owner}" for owner in owners)
    now = f'kr.create("{names[0]}", plugin="{owners[0]}") chooses, {disable} leaves one out'
    return Finding("", text, cure("", "one of them must rename its entries", now))


def of_probe(plugin: Plugin, answer: dict[str, Any]) -> Iterator[Finding]:
    """What loading the plugin in an interpreter of its own has shown."""
    name = plugin.name
    if answer["status"] == "broken":
        yield _broken(plugin, answer)
    if answer["printed"]:
        text = f"its light module prints to standard output: {answer['printed']!r}"
        yield Finding(name, text, cure(name, "a light module must print nothing: use logging or warnings"))
    if answer["heavy"]:
        advice = "import heavy libraries inside the module that needs them"
        text = (
            f"its light module imports {', '.join(answer['heavy'])}, so that every list and find pays for it; {advice}"
        )
        yield Finding(name, text, cure(name, f"{advice}, and leave kernreg_core and the standard library to the cards"))
    if answer["seconds"] > SLOW:
        milliseconds = f"{1000 * answer['seconds']:.0f} ms"
        text = f"its light module takes {milliseconds} to import; {1000 * SLOW:.0f} ms is the limit"
        author = "do no work where cards are made: python -X importtime shows what takes long"
        yield Finding(name, text, cure(name, author), is_problem=answer["seconds"] > TOO_SLOW)
    if answer["unprintable"]:
        text = f"the cards of {', '.join(answer['unprintable'])} hold characters that a terminal obeys or cannot show"
        yield Finding(name, text, cure(name, "keep control characters and halves of surrogate pairs out of a summary"))
    for fault in answer["faults"]:
        yield _of_entry(name, fault)


def _broken(plugin: Plugin, answer: dict[str, Any]) -> Finding:
    kind = answer["error"].partition(":")[0]
    first = plugin.modules[0].partition(":")[0] if plugin.modules else plugin.name
    author = {
        "SystemExit": "a module must never end the interpreter: raise an error, or nothing",
        "PluginValidationError": "write hooks as in kernreg_core.hookspecs: def kernreg_cards():, no arguments",
        "PluginError": "kernreg_cards must return a list with one Card at most for each entry point",
        "ModuleNotFoundError": "the group kernreg.plugins must name a module that the distribution holds",
    }.get(kind, f'python -c "import {first}" or KERNREG_STRICT=1 kernreg list shows where; correct it')
    now = ""
    if library := answer["library"]:
        author = f"list {library} in the dependencies, and import it where it is used, not beside the cards"
        now = f"pip install {library}, or KERNREG_DISABLE={plugin.name}"
    return Finding(plugin.name, f"broken: {answer['error']}", cure(plugin.name, author, now))


def _of_entry(plugin: str, fault: dict[str, Any]) -> Finding:
    now = f"pip install {fault['library']}" if fault["library"] else ""
    return Finding(plugin, f"{fault['entry']} {fault['text']}", cure(plugin, fault["advice"], now), fault["severe"])


def of_failure(plugin: Plugin, failure: str) -> Finding:
    """An interpreter that gave no answer: it was ended, or took too long."""
    author = "neither its light module nor its objects may end the interpreter or wait for anything"
    return Finding(plugin.name, failure, cure(plugin.name, author))
