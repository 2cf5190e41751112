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


@hookspec
def kernreg_strategies() -> dict[str, str]:  # type: ignore[empty-body]
    """Hypothesis strategies for the conformance kit: a domain or an entry's name -> ``"module:function"``.

    The function gets the example's items and returns a strategy of items like them; it stands in the
    plugin's own distribution and is imported when the kit runs.
    """


@hookspec
def kernreg_expected_failures() -> dict[str, dict[str, str]]:  # type: ignore[empty-body]
    """Checks of the conformance kit that an entry is known to fail: entry -> {check: reason}."""
