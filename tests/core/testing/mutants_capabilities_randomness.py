"""Mutants of the laws of random features and of stochastic kernels."""

from __future__ import annotations

import numpy as np
from mutation import mutant
from sound import Estimated, RandomFourier, Shots, points, rbf
from wrong import wrong

from kernreg_core import Product
from kernreg_core.params import entropy
from kernreg_core.testing import subject_from


def changed(base, change):
    """A features method that changes what `base` draws."""
    return lambda self, X, basis=None: change(base.features(self, X, basis))


@mutant("random_features_have_their_width")
def twice_as_wide_as_said():
    return wrong(RandomFourier, features=changed(RandomFourier, lambda F: np.hstack([F, F]) / 2**0.5))


@mutant("random_features_are_as_wide_as_asked")
def the_first_width_is_kept():
    class Kept(RandomFourier):
        def features(self, X, basis=None):
            self._width = getattr(self, "_width", self.n_features)
            return super().features(X)[:, : self._width]

    return wrong(Kept)


@mutant("random_features_are_drawn_once")
def drawn_at_each_call():
    class Again(RandomFourier):
        calls = 0

        def features(self, X, basis=None):
            self.calls += 1
            return RandomFourier(n_features=self.n_features, rng=entropy(self) % 2**31 + self.calls).features(X)

    return wrong(Again)


@mutant("random_features_follow_their_rng")
def the_rng_is_not_looked_at():
    class Fixed(RandomFourier):
        def features(self, X, basis=None):
            return RandomFourier(n_features=self.n_features, rng=0).features(X)

    return wrong(Fixed)


@mutant("random_features_follow_their_rng")
def the_rng_is_not_used():
    class Free(RandomFourier):
        def features(self, X, basis=None):
            self._own = getattr(self, "_own", None) or RandomFourier(n_features=self.n_features)
            return self._own.features(X)

    return wrong(Free)


class LosesDraw(RandomFourier):
    """A pickled copy draws anew."""

    def __getstate__(self):
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_entropy"}


@mutant("random_features_survive_pickle_and_not_clone")
def pickle_loses_the_draw():
    return wrong(LosesDraw)


@mutant("random_features_survive_pickle_and_not_clone")
def none_is_one_seed_for_all():
    return wrong(SeedZero)


class SeedZero(RandomFourier):
    """rng=None is rng=0."""

    def features(self, X, basis=None):
        rng = 0 if self.rng is None else self.rng
        return RandomFourier(n_features=self.n_features, rng=rng).features(X)


@mutant("random_features_of_each_row_alone")
def features_are_relative_to_their_mean():
    return wrong(RandomFourier, features=changed(RandomFourier, lambda F: F - 1e-6 * F.mean(axis=0)))


@mutant("random_features_are_unbiased")
def biased_by_one_percent():
    return wrong(RandomFourier, features=changed(RandomFourier, lambda F: F * 1.01**0.5))


@mutant("random_features_are_unbiased")
def features_of_another_length_scale():
    return wrong(RandomFourier, features=lambda self, X, basis=None: RandomFourier.features(self, 1.02 * X))


@mutant("random_features_are_unbiased")
def a_product_of_one_draw_with_itself():
    class Careless(Product):
        capabilities = frozenset({"symmetric", "psd", "random_features"})

    kernel = RandomFourier(n_features=8)
    return subject_from(Careless(kernel, kernel), points())


@mutant("random_features_err_as_the_inverse_root")
def sixteen_distinct_features_whatever_the_width():
    class Few(RandomFourier):
        def features(self, X, basis=None):
            F = RandomFourier(n_features=16, rng=entropy(self) % 2**31).features(X)
            return np.resize(F.T, (self.n_features, len(X))).T * (16 / self.n_features) ** 0.5

    return wrong(Few)


@mutant("random_features_are_not_called_features")
def estimates_are_called_exact():
    return wrong(RandomFourier, capabilities={"symmetric", "psd", "random_features", "features"})


# stochastic


@mutant("stochastic_values_follow_their_rng")
def shots_of_no_seed():
    return wrong(Shots, stream=lambda self, X, Y: np.random.default_rng())


@mutant("stochastic_values_vary_with_the_rng")
def shots_of_one_seed():
    return wrong(Shots, stream=lambda self, X, Y: np.random.default_rng(0))


@mutant("stochastic_values_vary_with_the_rng")
def exact_values_are_called_stochastic():
    return wrong(Shots, evaluate=lambda self, X, Y: rbf(X, Y))


class OneStream(Shots):
    """One stream for all calls, as they come."""

    def stream(self, X, Y):
        if not hasattr(self, "_stream"):
            self._stream = np.random.default_rng(entropy(self))
        return self._stream


@mutant("stochastic_values_do_not_depend_on_earlier_calls")
def one_stream_for_all_calls():
    return wrong(OneStream)


@mutant("stochastic_values_survive_pickle")
def a_pickled_copy_has_other_shots():
    return wrong(LosesShots)


class LosesShots(Shots):
    """A pickled copy draws anew."""

    def __getstate__(self):
        state = super().__getstate__()
        return {name: value for name, value in state.items() if name != "_entropy"}


@mutant("stochastic_tiles_are_what_they_are_alone")
def tiles_in_the_order_they_come():
    return wrong(OneStream)


@mutant("stochastic_mean_is_the_exact_value")
def misreads_one_shot_in_a_hundred():
    class Misread(Shots):
        def evaluate(self, X, Y):
            p = rbf(X, Y)
            return p if self.shots is None else self.stream(X, Y).binomial(self.shots, 0.99 * p) / self.shots

    return wrong(Misread)


@mutant("stochastic_mean_is_the_exact_value")
def one_hit_more_than_there_was():
    class OneMore(Shots):
        def evaluate(self, X, Y):
            if self.shots is None:
                raise ValueError("shots")
            return (self.stream(X, Y).binomial(self.shots, rbf(X, Y)) + 1) / (self.shots + 1)

    return wrong(OneMore, made=lambda k: k.set_params(shots=20))


@mutant("stochastic_spread_falls_as_the_inverse_root")
def shots_are_not_counted():
    class Forty(Shots):
        def evaluate(self, X, Y):
            return self.stream(X, Y).binomial(40, rbf(X, Y)) / 40

    return wrong(Forty)


@mutant("stochastic_spread_falls_as_the_inverse_root")
def an_estimate_of_few_features():
    class Few(Estimated):
        def evaluate(self, X, Y):
            return self.features(X)[:, :16] @ self.features(Y)[:, :16].T * self.n_features / 16

    return wrong(Few)


@mutant("stochastic_standard_error_is_the_spread")
def a_variance_is_called_a_standard_error():
    return wrong(Shots, standard_error=lambda self, X, Y=None: Shots.standard_error(self, X, Y) ** 2)


@mutant("stochastic_standard_error_is_the_spread")
def a_standard_error_twice_too_large():
    return wrong(Shots, standard_error=lambda self, X, Y=None: 2 * Shots.standard_error(self, X, Y))


@mutant("stochastic_tiles_have_streams_of_their_own")
def each_tile_starts_the_same_stream():
    return wrong(Shots, stream=lambda self, X, Y: np.random.default_rng(entropy(self)))
