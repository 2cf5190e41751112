"""Mutants: samplers, selectors and solvers that are slightly wrong."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from mutation import mutant
from sound_solvers import Farthest, RandomSubset, Ridge, Weyl, farthest

from kernreg_core import Card
from kernreg_core.errors import KernregWarning
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


# -- solvers -----------------------------------------------------------------------------------------


class ReturnsCoefficients(Ridge):
    def fit(self, X, y):
        return super().fit(X, y).dual_coef_


@mutant("fit_returns_self")
def fit_returns_coefficients():
    return solver(ReturnsCoefficients)


class HasThemBefore(Ridge):
    def __init__(self, *, kernel=None, alpha=0.5):
        super().__init__(kernel=kernel, alpha=alpha)
        self.n_iter_ = 0


@mutant("fit_leaves_results")
def a_result_before_fit():
    return solver(HasThemBefore)


class CentresTargets(Ridge):
    def fit(self, X, y):
        y -= y.mean()
        return super().fit(X, y)


@mutant("fit_leaves_the_data")
def targets_are_centred_in_place():
    return solver(CentresTargets)


class ShufflesGlobally(Ridge):
    def fit(self, X, y):
        np.random.permutation(len(X))  # noqa: NPY002
        return super().fit(X, y)


@mutant("fit_leaves_the_data")
def the_global_random_state_is_moved():
    return solver(ShufflesGlobally)


class StartsAnywhere(Ridge):
    def fit(self, X, y):
        super().fit(X, y)
        self.dual_coef_ = self.dual_coef_ + 1e-6 * np.random.default_rng().random(len(X))
        return self


@mutant("fits_agree")
def fit_starts_from_the_machines_seed():
    return solver(StartsAnywhere)


class KeepsMean(Ridge):
    def fit(self, X, y):
        super().fit(X, y)
        self.mean_ = getattr(self, "mean_", float(np.mean(y)))
        return self


@mutant("fit_forgets_the_last")
def the_first_mean_is_kept():
    return solver(KeepsMean)


class Warns(Ridge):
    def predict(self, X):
        warnings.warn("ill-conditioned", KernregWarning, stacklevel=2)
        return super().predict(X)


@mutant("fit_and_outputs_are_silent")
def predict_warns():
    return solver(Warns)


class ClonesResults(Ridge):
    def __init__(self, *, kernel=None, alpha=0.5):
        super().__init__(kernel=kernel, alpha=alpha)
        self.__dict__.update(self.learnt)

    learnt: dict = {}

    def fit(self, X, y):
        super().fit(X, y)
        type(self).learnt = {"dual_coef_": self.dual_coef_}
        return self


@mutant("fitted_clone_is_unfitted")
def new_solvers_begin_with_the_last_result():
    ClonesResults.learnt = {}
    return solver(ClonesResults)


class PicklesHalf(Ridge):
    def __setstate__(self, state):
        if "dual_coef_" in state:
            state["dual_coef_"] = state["dual_coef_"].astype("f4").astype("f8")
        self.__dict__.update(state)


@mutant("pickle_keeps_what_was_fitted")
def pickle_rounds_coefficients():
    return solver(PicklesHalf)


class Column(Ridge):
    def predict(self, X):
        return super().predict(X)[None, :]


@mutant("outputs_have_a_row_for_each_item")
def predictions_are_a_row():
    return solver(Column)


class OneNan(Ridge):
    def predict(self, X):
        found = super().predict(X)
        return np.where(found == found.max(), np.nan, found)


@mutant("outputs_are_finite")
def the_largest_prediction_is_nan():
    return solver(OneNan)


class Drifts(Ridge):
    def predict(self, X):
        found = super().predict(X)
        self.dual_coef_ = self.dual_coef_ * (1 + 1e-10)
        return found


@mutant("outputs_repeat")
def predict_moves_the_coefficients():
    return solver(Drifts)


class CentresBatches(Ridge):
    def predict(self, X):
        found = super().predict(X)
        return found + 1e-6 * found.mean()


@mutant("outputs_do_not_depend_on_the_batch")
def a_part_of_the_batch_mean_is_added():
    return solver(CentresBatches)


class RaisesAttribute(Ridge):
    def predict(self, X):
        if not hasattr(self, "dual_coef_"):
            raise AttributeError("dual_coef_")
        return super().predict(X)


@mutant("not_fitted_is_said")
def predict_before_fit_is_an_attribute_error():
    return solver(RaisesAttribute)


class CutsTargets(Ridge):
    def fit(self, X, y):
        n = min(len(X), len(y))
        return super().fit(X[:n], y[:n])


@mutant("unequal_lengths_are_refused")
def the_longer_one_is_cut():
    return solver(CutsTargets)


class FillsNan(Ridge):
    def checked(self, X):
        return super().checked(np.nan_to_num(X) if isinstance(X, np.ndarray) else X)


@mutant("nan_is_refused")
def nan_is_taken_for_zero():
    return solver(FillsNan)


class FallsBack(Ridge):
    def resolved(self):
        if isinstance(self.kernel, str) and self.kernel != "precomputed":
            return lambda X, Y: X @ Y.T
        return super().resolved()


@mutant("bad_kernel_is_refused")
def unknown_names_are_the_linear_kernel():
    return solver(FallsBack)


class KernelInConstructor(Ridge):
    def set_params(self, **params):
        super().set_params(**params)
        self.resolved()
        return self


@mutant("bad_kernel_is_refused")
def set_params_resolves_the_kernel():
    return solver(KernelInConstructor)


class HalvesFunctions(Ridge):
    def resolved(self):
        found = super().resolved()
        return found if hasattr(self.kernel, "get_params") else lambda X, Y: found(X, Y) * (1 + 1e-6)


@mutant("takes_a_kernel_function")
def functions_are_scaled():
    return solver(HalvesFunctions)


class AddsOne(Ridge):
    def resolved(self):
        return (lambda X, Y: X @ Y.T + 1e-5) if self.kernel is None else super().resolved()


@mutant("no_kernel_is_the_linear_one")
def the_default_kernel_has_a_constant():
    return solver(AddsOne)


class SymmetrisesGram(Ridge):
    def fit(self, X, y):
        X = X + 1e-6 * np.eye(len(X)) if isinstance(self.kernel, str) else X
        return super().fit(X, y)


@mutant("precomputed_agrees")
def precomputed_matrices_get_a_jitter():
    return solver(SymmetrisesGram)


class LengthOfTheFirst(Ridge):
    def predict(self, X):
        found = super().predict(X)
        return np.concatenate([found] * len(X[0]))[: len(found) + 1] if isinstance(X, list) else found


@mutant("works_on_lists_of_objects")
def one_prediction_too_many_for_a_list():
    return solver(LengthOfTheFirst)


class KeepsItsKernel(Ridge):
    def fit(self, X, y):
        self._first = getattr(self, "_first", None) or self.resolved()
        return super().fit(X, y)

    def predict(self, X):
        return np.asarray(self._first(X, self.X_fit_)) @ self.dual_coef_


@mutant("search_reaches_the_kernel")
def predict_uses_the_first_kernel():
    return solver(KeepsItsKernel)


class UsesTheUsersKernel(Ridge):
    def resolved(self):
        return self.kernel if hasattr(self.kernel, "get_params") else super().resolved()


@mutant("fit_leaves_the_kernel")
def the_users_kernel_is_used_itself():
    return solver(UsesTheUsersKernel)


class FitsTheUsersKernel(Ridge):
    def fit(self, X, y):
        super().fit(X, y)
        if hasattr(self.kernel, "get_params"):
            self.kernel.n_items_ = len(X)
        return self


@mutant("fit_leaves_the_kernel")
def the_users_kernel_is_written_to():
    return solver(FitsTheUsersKernel)
