"""Mutants: samplers and selectors that are slightly wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from mutation import mutant
from sound_solvers import Farthest, RandomSubset, Weyl, farthest

from kernreg_core import Card
from kernreg_core.params import entropy
from kernreg_core.testing import Subject

_RNG = np.random.default_rng(0)
X = _RNG.standard_normal((12, 3))
Y = X @ np.array([2.0, -1.0, 0.5]) + 0.1 * _RNG.standard_normal(12)


def sampler(make: Callable[[], Any], card: Card | None = None) -> Subject:
    return Subject(type(make()).__name__, "sampler", make, card=card)


def selector(make: Callable[[], Any]) -> Subject:
    return Subject(type(make()).__name__, "selector", make, X=X.copy())


def solver(make: Callable[[], Any]) -> Subject:
    return Subject(type(make()).__name__, "solver", make, X=X.copy(), y=Y.copy())


# -- samplers ----------------------------------------------------------------------------------------


class OneMore(Weyl):
    def sample(self, n):
        return super().sample(max(2, n))


@mutant("points_have_shape")
def one_point_is_two():
    return sampler(OneMore)


class AsIntegers(Weyl):
    def sample(self, n):
        return (super().sample(n) * 1000).astype(int)


@mutant("points_have_shape")
def points_are_integers():
    return sampler(AsIntegers)


class Logarithms(Weyl):
    def points(self, index):
        return np.log(np.where(index[:, None] == 17, 0.0, super().points(index)))


@mutant("points_are_finite")
def one_logarithm_of_zero():
    return sampler(Logarithms)


class SkipsOne(Weyl):
    def sample(self, n):
        found = super().sample(n)
        self._next += 1
        return found


@mutant("sample_continues")
def each_call_skips_a_point():
    return sampler(SkipsOne)


class Restarts(Weyl):
    def sample(self, n):
        self.reset()
        return super().sample(n)


@mutant("sample_continues")
def each_call_starts_again():
    return sampler(Restarts)


class Noisy(Weyl):
    def __init__(self, d=2, *, rng=0):
        super().__init__(d, rng=rng)
        self._noise = np.random.default_rng().random() * 1e-12

    def shift(self):
        return super().shift() + self._noise


@mutant("sampler_repeats_with_its_seed")
def noise_from_the_machine():
    return sampler(Noisy)


class OneSeed(Weyl):
    def shift(self):
        return np.random.default_rng(entropy(self) if self.rng is None else 1).random(self.d)


@mutant("another_seed_draws_other_points")
def every_seed_is_one():
    return sampler(OneSeed)


class DrawsAgain(Weyl):
    def sample(self, n):
        if isinstance(self.rng, np.random.Generator):
            self.rng.random()
        return super().sample(n)


@mutant("generator_is_drawn_from_once")
def generator_moves_on_at_each_call():
    return sampler(DrawsAgain)


class Global(Weyl):
    def shift(self):
        return super().shift() + 0 * np.random.random(self.d)  # noqa: NPY002


@mutant("global_random_state_is_left_alone")
def global_state_is_drawn_from():
    return sampler(Global)


class NeverEmpty(Weyl):
    def sample(self, n):
        return super().sample(n) if n else np.empty((0,))


@mutant("no_points_is_a_sample")
def no_points_have_no_columns():
    return sampler(NeverEmpty)


class Truncates(Weyl):
    def sample(self, n):
        return super().sample(int(n))


@mutant("bad_number_of_points_is_refused")
def one_and_a_half_points_are_one():
    return sampler(Truncates)


class PickledAtTheStart(Weyl):
    def __getstate__(self):
        return {key: value for key, value in super().__getstate__().items() if key != "_next"}


@mutant("pickle_resumes")
def pickle_forgets_the_place():
    return sampler(PickledAtTheStart)


class SharedPlace(Weyl):
    places: dict = {}

    def __init__(self, d=2, *, rng=0):
        super().__init__(d, rng=rng)
        self._place = len(self.places)

    def sample(self, n):
        start = self.places.get(self._place, 0)
        self.places[self._place] = start + n
        return self.points(np.arange(start, start + n))


@mutant("copied_sampler_is_independent")
def copies_share_their_place():
    return sampler(SharedPlace)


class ResetsToOne(Weyl):
    def reset(self):
        self._next = 1
        return self


@mutant("reset_starts_again")
def reset_goes_to_the_second_point():
    return sampler(ResetsToOne)


class ForwardsLess(Weyl):
    def fast_forward(self, n):
        return super().fast_forward(n - 1)


@mutant("fast_forward_skips")
def fast_forward_skips_one_less():
    return sampler(ForwardsLess)


class ReachesOne(Weyl):
    def points(self, index):
        return np.where(index[:, None] == 40, 1.0, super().points(index))


class RepeatsAPoint(Weyl):
    def points(self, index):
        return super().points(np.where(index == 40, 39, index))


_QMC = Card(name="acme.weyl", kind="sampler", tags=["quasi_monte_carlo"])


@mutant("points_are_in_the_unit_cube")
def one_coordinate_is_one():
    return sampler(ReachesOne, _QMC)


@mutant("points_are_in_the_unit_cube")
def a_point_is_given_twice():
    return sampler(RepeatsAPoint, _QMC)


class ByName(Weyl):
    def __init__(self, *, d=2, rng=0):
        super().__init__(d, rng=rng)


@mutant("dimension_comes_first")
def dimension_by_name_only():
    return sampler(ByName)


# -- selectors ---------------------------------------------------------------------------------------


class AsFloats(RandomSubset):
    def select(self, X, n):
        return super().select(X, n).astype(float)


@mutant("selects_n_indices")
def indices_are_floats():
    return selector(AsFloats)


class FromOne(RandomSubset):
    def select(self, X, n):
        return super().select(X, n) + 1


@mutant("indices_are_in_range")
def indices_begin_at_one():
    return selector(FromOne)


class FromTheEnd(RandomSubset):
    def select(self, X, n):
        return super().select(X, n) - len(X)


@mutant("indices_are_in_range")
def indices_count_from_the_end():
    return selector(FromTheEnd)


class Repeats(RandomSubset):
    def select(self, X, n):
        index = super().select(X, n)
        index[-1] = index[0]
        return index


@mutant("indices_are_distinct")
def the_last_is_the_first():
    return selector(Repeats)


class AllThereAre(RandomSubset):
    def select(self, X, n):
        return super().select(X, min(n, len(X)))


@mutant("too_many_is_refused")
def too_many_are_all():
    return selector(AllThereAre)


class TruncatesCount(RandomSubset):
    def select(self, X, n):
        return super().select(X, int(n))


@mutant("bad_number_of_items_is_refused")
def a_text_is_a_number():
    return selector(TruncatesCount)


class FromTheMachine(RandomSubset):
    def select(self, X, n):
        super().select(X, n)
        return np.random.default_rng().permutation(len(X))[:n]


@mutant("selection_repeats_with_its_seed")
def the_seed_is_not_used():
    return selector(FromTheMachine)


class Centres(Farthest):
    def select(self, X, n):
        X -= X.mean(axis=0)
        return farthest(X)[:n]


@mutant("selection_leaves_the_items")
def items_are_centred_in_place():
    return selector(Centres)


class WeighsAll(RandomSubset):
    def select(self, X, n):
        index = super().select(X, n)
        self.weights_ = np.ones(len(X))
        return index


@mutant("weights_match_the_selection")
def weights_of_all_items():
    return selector(WeighsAll)
