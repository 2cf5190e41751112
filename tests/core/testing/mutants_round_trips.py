"""Mutants: copies, parameters, specs and composites that are slightly wrong."""

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
from kernreg_core._parts import capabilities_of
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
