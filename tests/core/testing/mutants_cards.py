"""Mutants: cards that do not say what is so."""

from __future__ import annotations

import dataclasses
import weakref

import numpy as np
from mutants_round_trips import Gauss, Positional, carded, registered, subject
from mutation import mutant

import kernreg_core as kr
from kernreg_core import Reference
from kernreg_core.discovery import Plugin
from kernreg_core.registry import registry

# -- cards -------------------------------------------------------------------------------------------


@mutant("card_has_a_summary")
def summary_has_two_lines():
    return carded(summary="Kernel times a number.\nA multiple.")


@mutant("card_has_a_summary")
def summary_is_empty():
    return carded(summary="")


@mutant("card_has_references")
def no_paper():
    return carded(references=())


@mutant("card_has_references")
def no_author():
    return carded(references=(Reference(title="Theory of Reproducing Kernels", year=1950),))


@mutant("references_can_be_looked_up")
def doi_with_a_resolver():
    return carded(references=(Reference(title="Title", authors=("A. B",), year=2020, doi="https://doi.org/10.1000/x"),))


@mutant("references_can_be_looked_up")
def a_title_alone():
    return carded(references=(Reference(title="Title", authors=("A. B",), year=2020),))


@mutant("cite_gives_bibtex")
def title_with_an_open_brace():
    return carded(references=(Reference(title="Kernels {on Graphs", authors=("A. B",), year=2020),))


@mutant("card_describes_parameters")
def a_parameter_is_not_described():
    return carded(parameters={"kernel": "what is scaled"})


@mutant("card_describes_parameters")
def a_parameter_that_is_not_there_is_described():
    return carded(parameters={"kernel": "what is scaled", "variance": "the factor", "scale": "the factor"})


class Undocumented(kr.Scaled):
    def __init__(self, *, kernel, variance=1.0):
        self.kernel = kernel
        self.variance = variance


class SaysNothing(Undocumented):
    """A kernel times a number.

    >>> 1 + 1
    2
    """


class NoExample(Undocumented):
    """A `kernel` times `variance`."""


@mutant("docstring_is_there")
def no_docstring():
    return carded(lambda: Undocumented(kernel=Gauss()))


@mutant("docstring_states_parameters")
def docstring_without_parameters():
    return carded(lambda: SaysNothing(kernel=Gauss()))


@mutant("docstring_example_runs")
def docstring_shows_another_result():
    class WrongExample(Undocumented):  # in here, so that pytest does not collect it
        """A `kernel` times `variance`.

        >>> np.ones(2)
        array([1., 2.])
        """

    return carded(lambda: WrongExample(kernel=Gauss()))


@mutant("docstring_example_runs")
def docstring_without_example():
    return carded(lambda: NoExample(kernel=Gauss()))


@mutant("card_matches_domain")
def card_of_another_domain():
    return carded(tags=(), domain="graphs")


@mutant("card_declares_what_the_object_has")
def card_promises_more():
    return registered(Gauss, capabilities=[*Gauss.capabilities, "complex"])


@mutant("card_declares_what_the_object_has")
def card_promises_less():
    return registered(Gauss, capabilities={"symmetric"})


class DeclaresOnly(Gauss):
    capabilities = frozenset({"symmetric", "diag"})


@mutant("capability_members_exist")
def diag_is_declared_and_absent():
    return subject(DeclaresOnly)


class HidesDiag(Gauss):
    def diag(self, X):
        return np.ones(len(X))


@mutant("undeclared_members_are_absent")
def diag_is_there_and_not_declared():
    return subject(HidesDiag)


@mutant("pair_cost_agrees")
def card_says_costly():
    return registered(Gauss, pair_cost="high")


@mutant("name_is_in_its_family")
def family_of_another_distribution():
    return carded(plugin="acme")


@mutant("name_is_in_its_family")
def first_party_outside_its_family():
    return carded(name="acme.scaled")


@mutant("example_is_fresh")
def example_gives_one_object():
    kernel = kr.Scaled(kernel=Gauss())
    return carded(lambda: kernel)


@mutant("example_is_fresh")
def examples_share_a_part():
    part = Gauss()
    return carded(lambda: kr.Scaled(kernel=part))


@mutant("example_is_small")
def example_has_a_thousand_items():
    found = carded()
    found.X = np.ones((1000, 2))
    return found


@mutant("creates_by_name")
def name_makes_another_class():
    return registered(Gauss, Positional)


@mutant("class_leads_to_its_entry")
def example_is_of_another_entry():
    return carded(lambda: kr.Power(kernel=Gauss()))


@mutant("class_leads_to_its_entry")
def example_is_of_no_entry():
    return carded(lambda: Positional())


@mutant("found_by_find")
def alias_is_not_found():
    return carded(aliases=("multiplication by a scalar",))


@mutant("listing_is_light")
def cards_import_numpy():
    before = registry.snapshot()
    heavy = Plugin("acme-heavy", "1.0", modules=("numpy.random",))
    registry._snapshot = dataclasses.replace(before, plugins=(*before.plugins, heavy))
    found = carded(plugin="acme-heavy")
    weakref.finalize(found, setattr, registry, "_snapshot", before)
    return found
