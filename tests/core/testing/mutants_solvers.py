"""Mutants: solvers that are slightly wrong."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from mutation import mutant
from sound_solvers import Ridge

from kernreg_core import Card
from kernreg_core.errors import KernregWarning
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


class SilentOnMatrices(Ridge):
    @property
    def predict(self):
        if isinstance(self.kernel, str):
            raise AttributeError("predict")
        return super().predict


@mutant("precomputed_agrees")
def no_answer_from_a_matrix():
    return solver(SilentOnMatrices)


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
