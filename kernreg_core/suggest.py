"""What to say of a name that nobody offers. Building the message loads nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from .errors import UnknownNameError
from .vocabulary import FAMILIES

if TYPE_CHECKING:
    from .registry import Snapshot


def near(word: str, known: Iterable[str], n: int = 3) -> list[str]:
    """Up to `n` of `known` that look like `word`, best first."""
    from difflib import get_close_matches

    return get_close_matches(word, list(known), n, 0.6)


def near_names(name: str, known: Iterable[str]) -> list[str]:
    """Names like `name`: the whole of it, or its part after the dot in another family."""
    names = list(known)
    name = name.lower()
    short = name.rpartition(".")[2]
    same_short = [other for other in names if other.rpartition(".")[2] == short]
    shorts: dict[str, list[str]] = {}
    for other in names:
        shorts.setdefault(other.rpartition(".")[2], []).append(other)
    by_short = [other for guess in near(short, shorts) for other in shorts[guess]]
    return list(dict.fromkeys([*same_short, *near(name, names), *by_short]))[:4]


def unknown_name(name: str, plugin: str | None, snapshot: Snapshot) -> UnknownNameError:
    """The error for a name without an offer: why, near names across kinds, what to install."""
    offers = snapshot.entries.get(name, ())
    if offers and plugin is not None:
        providers = ", ".join(entry.card.plugin for entry in offers)
        return UnknownNameError(f"{plugin!r} offers no {name!r}; it comes from: {providers}")
    parts = [f"no installed plugin offers {name!r}."]
    distribution = FAMILIES.get(name.partition(".")[0])
    offering = [plugin for plugin in snapshot.plugins if any(entry.name == name for entry in plugin.entries)]
    offering += [plugin for plugin in snapshot.plugins if plugin.name == distribution]
    record = offering[0] if offering else None
    if record is not None and record.status in ("disabled", "incompatible"):
        parts.append(f"{record.name} {record.version} is installed but {record.status}: {record.error}.")
    elif distribution is not None and record is None:
        parts.append(f"Its family comes from {distribution}, which is not installed: pip install {distribution}.")
    guesses = near_names(name, snapshot.entries)
    if guesses:
        named = [f"{guess!r} (a {snapshot.entries[guess][0].card.kind})" for guess in guesses]
        parts.append(f"Near it: {', '.join(named)}.")
    parts.append("kr.find() lists what there is.")
    return UnknownNameError(" ".join(parts))
