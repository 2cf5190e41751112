"""The hooks a plugin's light module may implement, each an empty documented function."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from ._card import Card
    from .demo import Demo

hookspec = pluggy.HookspecMarker("kernreg")
#: Decorator for a plugin's implementation of a hook.
hookimpl = pluggy.HookimplMarker("kernreg")


@hookspec
def kernreg_cards() -> list[Card]:  # type: ignore[empty-body]
    """The cards of the distribution's entries; import nothing heavy for it."""


@hookspec
def kernreg_demo() -> list[Demo]:  # type: ignore[empty-body]
    """What ``kernreg demo`` runs for this plugin; may import whatever it needs."""
