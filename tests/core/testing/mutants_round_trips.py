"""Mutants: copies, parameters, specs, composites and cards that are slightly wrong."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
from mutation import mutant

import kernreg_core as kr
from kernreg_core import Reference
from kernreg_core._parts import capabilities_of
from kernreg_core.discovery import Plugin
from kernreg_core.registry import registry
from kernreg_core.testing import Subject, subject_from, subjects

X = np.random.default_rng(0).standard_normal((6, 2))
_numbers = itertools.count()


def subject(make: Callable[[], Any], **fields: Any) -> Subject:
    """A subject whose objects `make` makes anew, rather than by deepcopy."""
    obj = make()
    fields = {"X": X, "domain": "vectors", "capabilities": capabilities_of(obj), **fields}
    return Subject(type(obj).__name__, "kernel", make, **fields)


def registered(cls: type, make: Callable[[], Any] | None = None, **fields: Any) -> Subject:
    """A subject of a class that is registered for as long as the subject lives."""
    name = f"mutants.{cls.__name__.lower()}{next(_numbers)}"
    kr.register(cls, name=name, replace=True, **fields)
    found = subject(make or cls, card=registry.card(name))
    weakref.finalize(found, kr.unregister, name)
    return found


def carded(make: Callable[[], Any] | None = None, **changes: Any) -> Subject:
    """The entry core.scaled, with changes to its card, or with other objects."""
    found = next(subjects("core.scaled"))
    found.card = dataclasses.replace(found.card, **changes)
    found.make = make or found.make
    return found


class Gauss(kr.BaseKernel):
    """exp(-|x - y|^2 / (2 l^2))."""

    capabilities = frozenset({"symmetric", "psd", "normalized", "stationary"})

    def __init__(self, *, lengthscale=1.5, variance=1.0):
        self.lengthscale = lengthscale
        self.variance = variance

    def evaluate(self, X, Y):
        squared = ((X[:, None] - Y[None]) ** 2).sum(-1)
        return self.variance * np.exp(-0.5 * squared / self.lengthscale**2)


# -- copies ------------------------------------------------------------------------------------------


class PickleRounds(Gauss):
    def __setstate__(self, state):
        self.__dict__.update(state, lengthscale=float(np.float32(state["lengthscale"] + 1e-5)))


@mutant("pickle_keeps_values")
def pickle_rounds_to_float32():
    return subject(PickleRounds)


@mutant("pickle_keeps_parameters")
def pickle_rounds_a_parameter():
    return subject(PickleRounds)


class OldProtocol(Gauss):
    def __reduce_ex__(self, protocol):
        return (type(self), ()) if protocol == 2 else super().__reduce_ex__(protocol)


@mutant("pickle_keeps_values")
def protocol_2_forgets_parameters():
    return subject(lambda: OldProtocol(lengthscale=0.7))


class ForgetsItsDraw(Gauss):
    def evaluate(self, X, Y):
        cache = self.__dict__.setdefault("_cache", {})
        jitter = cache.setdefault("jitter", np.random.default_rng().random())  # pickle drops the cache
        return super().evaluate(X, Y) * (1 + 1e-6 * jitter)


@mutant("pickle_after_use_keeps_values")
def what_is_drawn_at_first_use_is_not_pickled():
    return subject(ForgetsItsDraw)


class CopiesDefaults(Gauss):
    def __copy__(self):
        return type(self)()


@mutant("copy_keeps_values")
def copy_has_the_defaults():
    return subject(lambda: CopiesDefaults(lengthscale=2.0))


class ShallowDeepcopy(kr.Scaled):
    def __deepcopy__(self, memo):
        return type(self)(kernel=self.kernel, variance=self.variance)


@mutant("deepcopy_is_independent")
def deepcopy_shares_the_part():
    return subject(lambda: ShallowDeepcopy(kernel=Gauss(), variance=2.0))


class SharesItsArray(Gauss):
    def __deepcopy__(self, memo):
        return copy.copy(self)


@mutant("deepcopy_is_independent")
def deepcopy_shares_an_array():
    return subject(lambda: SharesItsArray(lengthscale=np.array(1.5)))


class Widens(Gauss):
    def __init__(self, *, lengthscale=1.5, variance=1.0):
        self.lengthscale = lengthscale * (1 + 1e-12)
        self.variance = variance


@mutant("clone_keeps_parameters")
def each_clone_is_a_little_wider():
    return subject(Widens)


class Flyweight(kr.Scaled):
    made: dict = {}

    def __new__(cls, **params):
        return cls.made.setdefault(params.get("variance"), super().__new__(cls))


@mutant("clone_shares_nothing")
def equal_parameters_give_one_object():
    return subject(lambda: Flyweight(kernel=Gauss(), variance=2.0))


class ForScikitLearn(Gauss):
    def __sklearn_clone__(self):
        return type(self)(lengthscale=self.lengthscale)


@mutant("sklearn_clone_works")
def sklearn_clone_forgets_a_parameter():
    return subject(lambda: ForScikitLearn(variance=2.0))


# -- parameters --------------------------------------------------------------------------------------


class HidesOne(Gauss):
    def _parameter_names(self):
        return ["lengthscale"]


@mutant("get_params_names_the_constructor")
def get_params_hides_a_parameter():
    return subject(HidesOne)


class Converts(Gauss):
    def __init__(self, *, lengthscale=1.5, variance=1.0):
        self.lengthscale = float(lengthscale)
        self.variance = variance


@mutant("parameters_are_stored_untouched")
def constructor_converts():
    return subject(Converts)


class Copies(Gauss):
    def __init__(self, *, lengthscale=1.5, variance=1.0):
        self.lengthscale = lengthscale
        self.variance = copy.deepcopy(variance)


@mutant("parameters_are_stored_untouched")
def constructor_copies():
    return subject(Copies)


class KeepsPrecision(Gauss):
    def evaluate(self, X, Y):
        precision = self.__dict__.setdefault("_precision", self.lengthscale**-2)
        return self.variance * np.exp(-0.5 * precision * ((X[:, None] - Y[None]) ** 2).sum(-1))


@mutant("set_params_is_like_construction")
def a_derived_value_outlives_its_parameter():
    return subject(KeepsPrecision)


class SetsNothingBack(Gauss):
    def set_params(self, **params):
        super().set_params(**params)


@mutant("set_params_returns_self")
def set_params_returns_none():
    return subject(SetsNothingBack)


class IgnoresUnknown(Gauss):
    def set_params(self, **params):
        return super().set_params(**{key: params[key] for key in params if key.partition("__")[0] in self.get_params()})


@mutant("unknown_parameter_is_refused")
def unknown_parameter_is_ignored():
    return subject(IgnoresUnknown)


@mutant("bad_lengthscale_is_refused")
def lengthscale_is_not_checked():
    return subject(Gauss)


class ChecksEarly(Gauss):
    def __init__(self, *, lengthscale=1.5, variance=1.0):
        if not lengthscale > 0:
            raise kr.ParameterError("lengthscale")
        self.lengthscale = lengthscale
        self.variance = variance


@mutant("bad_lengthscale_is_refused")
def lengthscale_is_checked_by_the_constructor():
    return subject(ChecksEarly)


class ConvertsInPlace(Gauss):
    def evaluate(self, X, Y):
        self.lengthscale = np.asarray(self.lengthscale)
        return super().evaluate(X, Y)


@mutant("use_leaves_parameters")
def a_call_converts_a_parameter_in_place():
    return subject(ConvertsInPlace)


class WritesIntoItsArray(Gauss):
    def evaluate(self, X, Y):
        K = super().evaluate(X, Y)
        self.lengthscale *= 1.0 + 1e-9
        return K


@mutant("use_leaves_parameters")
def a_call_writes_into_an_array():
    return subject(lambda: WritesIntoItsArray(lengthscale=np.array(1.5)))


class RemembersItems(Gauss):
    def evaluate(self, X, Y):
        self.n_items = len(X)
        return super().evaluate(X, Y)


@mutant("use_leaves_parameters")
def a_call_adds_a_public_attribute():
    return subject(RemembersItems)


# -- written down ------------------------------------------------------------------------------------


class Unnamed(Gauss):
    def __repr__(self):
        return f"RBF({self._repr_arguments()})"


@mutant("repr_names_the_class")
def repr_names_another_class():
    return subject(Unnamed)


class ThreeDigits(Gauss):
    def __repr__(self):
        return f"ThreeDigits(lengthscale={self.lengthscale:.3g})"


@mutant("repr_can_be_typed_back")
def repr_has_three_digits():
    return subject(lambda: ThreeDigits(lengthscale=1.2345))


class Positional(Gauss):
    def __repr__(self):
        return f"Positional({self.lengthscale})"


@mutant("repr_can_be_typed_back")
def repr_gives_keyword_parameters_by_position():
    return subject(Positional)


class RoundsForSpec(Gauss):
    def get_params(self, deep=True):
        return {key: round(value, 3) for key, value in super().get_params(deep).items()}


@mutant("spec_round_trip")
def spec_rounds():
    return registered(RoundsForSpec, lambda: RoundsForSpec(lengthscale=1.23456))


class CountsCalls(Gauss):
    calls_ = 0

    def evaluate(self, X, Y):
        self.calls_ += 1
        return super().evaluate(X, Y)


@mutant("fingerprint_is_stable")
def fingerprint_counts_calls():
    return subject(CountsCalls)


class OnlyItsName(Gauss):
    def __kernreg_fingerprint__(self):
        return "gauss"


@mutant("fingerprint_sees_parameters")
def fingerprint_is_of_the_class():
    return subject(OnlyItsName)


# -- composition -------------------------------------------------------------------------------------


def jittered(X, Y=None):
    """An inner product with 1e-6 on the diagonal, only where Y is None."""
    K = X @ (X if Y is None else Y).T
    return K + 1e-6 * np.eye(len(X)) if Y is None else K


@mutant("sum_adds")
def jitter_without_y_is_lost_in_a_sum():
    return subject_from(jittered, X)


@mutant("product_multiplies")
def jitter_without_y_is_lost_in_a_product():
    return subject_from(jittered, X)


class AddsItself(Gauss):
    def __add__(self, other):
        return kr.Sum(self, self)


@mutant("sum_in_any_order")
def plus_ignores_the_other():
    return subject(AddsItself)


class StartsTwice(Gauss):
    def __radd__(self, other):
        return kr.Sum(self, self)


@mutant("sum_of_a_list")
def zero_is_taken_for_the_kernel():
    return subject(StartsTwice)


class RoundsTheFactor(Gauss):
    def __rmul__(self, other):
        return kr.Scaled(kernel=self, variance=other * (1 + 1e-9))

    __mul__ = __rmul__


@mutant("multiple_scales")
def the_factor_is_off_by_1e_9():
    return subject(RoundsTheFactor)


class RoundsTheExponent(Gauss):
    def __pow__(self, exponent):
        return kr.Power(kernel=self, exponent=exponent + 1e-9)


@mutant("power_raises")
def the_exponent_is_off_by_1e_9():
    return subject(RoundsTheExponent)


def centred(X, Y=None):
    """An inner product of items from which the mean of X is taken: a value depends on its batch."""
    Y = X if Y is None else Y
    return (X - 0.1 * X.mean(axis=0)) @ (Y - 0.1 * X.mean(axis=0)).T


@mutant("normalized_divides_by_the_norms")
def diagonal_depends_on_the_batch():
    return subject_from(centred, X, capabilities={"symmetric", "psd"})


class Indefinite(Gauss):
    capabilities = frozenset({"symmetric", "psd"})

    def evaluate(self, X, Y):
        return X @ Y.T - 1e-4


@mutant("composites_keep_psd")
def psd_but_for_1e_4():
    return subject(Indefinite)


class OfTheClass(Gauss):
    state: dict = {"lengthscale": 1.5}

    @property
    def lengthscale(self):
        return self.state["lengthscale"]

    @lengthscale.setter
    def lengthscale(self, value):
        self.state["lengthscale"] = value


@mutant("composite_reaches_its_parts")
def all_objects_share_one_parameter():
    return subject(lambda: OfTheClass(lengthscale=1.5))


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


@mutant("cite_gives_bibtex")
def a_title_with_half_a_brace():
    return carded(references=(Reference(title="Kernels {in part", authors=("A. B",), year=2020),))


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
