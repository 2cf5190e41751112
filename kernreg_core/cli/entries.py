"""``kernreg list`` and ``kernreg plugins``."""

from __future__ import annotations

import sys

from .._card import Card
from ..discovery import Plugin
from ..listing import Listing, text_table
from ..registry import registry
from . import OK, PROBLEM
from .output import print_json, terminal_width

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace


def run_plain() -> int:
    """``kernreg list`` without arguments, the one command that is timed against ``import numpy``."""
    _print_table(registry.find())
    return OK


def run(options: Namespace) -> int:
    """``kernreg list`` with its filters."""
    found = _find(options)
    if options.sort != "name":
        found = Listing(sorted(found, key=lambda card: (_cell(card, options.sort), card.name)), found.without_card)
    fields: tuple[str, ...] | None = options.fields
    if options.json:
        cards = [card.to_dict() for card in found]
        print_json([{field: card[field] for field in fields} for card in cards] if fields else cards)
    elif options.quiet:
        for name in dict.fromkeys(found.names):
            print(name)
    elif fields and found:
        print(text_table(fields, [[_cell(card, field) or "-" for field in fields] for card in found], terminal_width()))
    else:
        _print_table(found)
    return OK


def _find(options: Namespace) -> Listing:
    filters = {
        "kind": options.kind,
        "domain": options.domain,
        "capabilities": options.capability or (),
        "tags": options.tag or (),
        "text": options.text,
        "plugin": options.plugin,
        "paper": options.paper,
    }
    listings = [registry.find(name, **filters) for name in options.names or [None]]
    if len(listings) == 1:
        return listings[0]
    cards = {(card.name, card.plugin): card for listing in listings for card in listing}
    return Listing([cards[key] for key in sorted(cards)], sum(listing.without_card for listing in listings))


def _print_table(found: Listing) -> None:
    width = terminal_width()
    if found:
        print(found.table(width))
    if width is not None:
        print(found.footer())
    elif found.without_card or not found:  # in a pipe, rows alone go to standard output
        print(found.footer(), file=sys.stderr)
    ailing = [plugin.name for plugin in registry.plugins() if plugin.status in ("broken", "incompatible")]
    if ailing:
        print(f"not working: {', '.join(ailing)} (kernreg plugins says why)", file=sys.stderr)


def _cell(card: Card, field: str) -> str:
    value = getattr(card, field)
    return ", ".join(sorted(value)) if isinstance(value, frozenset) else str(value or "")


def run_plugins(options: Namespace) -> int:
    """``kernreg plugins``; with ``--no-load`` from metadata alone, so that no code of any plugin runs."""
    plugins = registry.plugins(load=not options.no_load)
    if options.json:
        print_json([plugin.to_dict() for plugin in plugins])
    elif options.no_load:
        columns = (
            "distribution",
            "version",
            "status",
            "entries",
            "light modules",
            "needs kernreg-core",
            "path",
            "about",
        )
        print(text_table(columns, list(map(_unloaded_row, plugins)), terminal_width()))
    else:
        print(
            text_table(
                ("distribution", "version", "status", "entries", "cards", "about"),
                list(map(_row, plugins)),
                terminal_width(),
            )
        )
    return PROBLEM if any(plugin.status in ("broken", "incompatible") for plugin in plugins) else OK


def _unloaded_row(plugin: Plugin) -> tuple[str, ...]:
    modules = ", ".join(plugin.modules) or "-"
    about = "; ".join(filter(None, (plugin.error, *plugin.notes))) or "-"
    entries = str(len(plugin.entries))
    return (plugin.name, plugin.version, plugin.status, entries, modules, plugin.requirement or "-", plugin.path, about)


def _row(plugin: Plugin) -> tuple[str, ...]:
    kinds: dict[str, int] = {}
    for entry in plugin.entries:
        kinds[entry.kind] = kinds.get(entry.kind, 0) + 1
    about = plugin.error or ", ".join(f"{count} {kind}{'s' * (count > 1)}" for kind, count in kinds.items())
    return (plugin.name, plugin.version, plugin.status, str(len(plugin.entries)), str(len(plugin.cards)), about or "-")
