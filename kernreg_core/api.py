"""The functions users call, spoken to the one registry."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from .registry import registry

if TYPE_CHECKING:
    from ._card import Reference

find = registry.find
names = registry.names
card = registry.card
create = registry.create
load = registry.load
register = registry.register
unregister = registry.unregister
plugins = registry.plugins


def refresh() -> None:
    """Look again at what is installed; an unknown name does it by itself."""
    registry.refresh()


def capabilities(obj: Any) -> frozenset[str]:
    """What an object, or an entry at its defaults, can do.

    Parameters
    ----------
    obj : kernel, sampler, solver or str
        An object's declared ``capabilities``, or what the members of a foreign object show; of a
        name, what its card states.

    Examples
    --------
    >>> import kernreg_core as kr
    >>> sorted(kr.capabilities(kr.normalize(lambda X, Y: X @ Y.T)))
    ['diag', 'normalized']
    """
    if isinstance(obj, str):
        return registry.card(obj).capabilities
    from ._parts import capabilities_of

    return capabilities_of(obj)


def cite(obj: Any) -> str:
    """BibTeX of the papers behind an entry: its name, its card, or an object it made.

    A composite cites its parts as well. Nothing is run or measured for it.

    Examples
    --------
    >>> import kernreg_core as kr
    >>> print(kr.cite("core.sum"))
    @article{aronszajn1950theory,
      title = {{Theory of Reproducing Kernels}},
      author = {Nachman Aronszajn},
      year = {1950},
      journal = {Transactions of the American Mathematical Society 68},
      doi = {10.1090/S0002-9947-1950-0051437-7},
    }
    """
    from ._card import Card

    if isinstance(obj, str):
        cards = [registry.card(obj)]
    elif isinstance(obj, Card):
        cards = [obj]
    else:
        cards = list(_cards_within(obj))
    references = dict.fromkeys(reference for found in cards for reference in found.references)
    if not references:
        named = ", ".join(found.name for found in cards) or repr(obj)
        return f"% {named}: no paper is named on the card"
    return "\n\n".join(_bibtex(references))


def _bibtex(references: Iterable[Reference]) -> Iterator[str]:
    """BibTeX of each reference, under a key of its own: the second of a key gets the letter b, the third c."""
    seen: dict[str, int] = {}
    for reference in references:
        key = reference.key()
        seen[key] = seen.get(key, 0) + 1
        letter = "" if seen[key] == 1 else chr(ord("a") + seen[key] - 1)
        yield reference.bibtex().replace(f"{{{key},", f"{{{key}{letter},", 1)


def _cards_within(obj: Any) -> Any:
    """Cards of an object and of the objects among its parameters."""
    entry = registry.entry_of(obj)
    if entry is not None:
        yield registry.card(entry.card.name, plugin=entry.card.plugin)
    if hasattr(obj, "get_params") and not isinstance(obj, type):
        for value in obj.get_params(deep=False).values():
            if hasattr(value, "get_params"):
                yield from _cards_within(value)
