"""Mutants: objects made slightly wrong, each of which the check of the law it breaks must catch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from kernreg_core.testing import Subject

#: Modules of mutants; importing one registers its mutants.
MODULES = (
    "mutants_protocol",
    "mutants_round_trips",
    "mutants_capabilities",
    "mutants_cards",
    "mutants_samplers",
    "mutants_solvers",
)


@dataclass(frozen=True)
class Mutant:
    """A wrong object, and the check that must fail for it."""

    check: str
    name: str
    make: Callable[[], Subject]


_mutants: dict[tuple[str, str], Mutant] = {}  # by name: pytest may import a module of mutants a second time


def mutant(check: str) -> Callable[[Callable[[], Subject]], Callable[[], Subject]]:
    """Register a function that returns a subject which `check` must fail."""

    def register(function: Callable[[], Subject]) -> Callable[[], Subject]:
        _mutants[check, function.__name__] = Mutant(check, function.__name__, function)
        return function

    return register


def all_mutants() -> list[Mutant]:
    """Every mutant of every module."""
    for module in MODULES:
        import_module(module)
    return list(_mutants.values())
