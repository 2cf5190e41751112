"""The claims on this plugin's cards hold, repeat bit for bit, and can fail: what is wrong misses the threshold."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import numpy as np
import pytest

import kernreg_core as kr
from kernreg_core.claims import FAST, claims_of
from kernreg_solvers import KernelRidge, claims, claims_ridge, power_function, sine_basis

PLUGIN = "kernreg-solvers"
DECLARED = {claim.measure.partition(":")[2]: claim for _, claim in claims_of([None], plugin=PLUGIN)}


def test_fast_claims_pass() -> None:
    found = kr.verify(plugin=PLUGIN, fast=True)
    assert found.counts == {"PASS": len(DECLARED), "FAIL": 0, "NOT RUN": 0}, repr(found)
    assert {verdict.entry for verdict in found} >= {
        "solver.krr",
        "solver.kernel_logistic",
        "solver.kernel_pca",
        "solver.krr_cg",
        "solver.feature_ridge",
        "solver.auto_krr",
        "solver.learning_rate",
    }
    assert all(verdict.baseline is not None and verdict.baseline_name for verdict in found)


def test_every_claim_is_of_a_paper_on_the_card_and_says_what_it_does() -> None:
    for card, claim in claims_of([None], plugin=PLUGIN):
        assert claim.paper in card.references
        assert claim.cost <= FAST
        module, _, name = claim.measure.partition(":")
        doc = getattr(import_module(module), name).__doc__
        assert "Baseline" in doc
        assert "ours" in doc or "catalogue" in doc


def test_row_64_is_measured_as_the_catalogue_states_it() -> None:
    claim = DECLARED["misspecified_rate"]
    assert (claim.threshold, claim.direction) == (0.08, "<=")
    assert pytest.approx(0.8 / 1.8) == claims.RATE
    assert claims.optimal_penalty(1000) == pytest.approx(1000 ** (-2 / 1.8))
    assert claims.SIZES == (250, 500, 1000, 2000)
    chosen = [claim.measure for _, claim in claims_of(["solver.krr"], paper="2305.07241")]
    assert chosen == ["kernreg_solvers.claims:misspecified_rate", "kernreg_solvers.claims:fixed_penalty_rate"]


def test_the_target_of_row_64_is_the_sum_that_it_says() -> None:
    x = np.random.default_rng(0).random(50)
    expected = power_function(0.4, sine_basis(), n_terms=3008)(x[:, None])
    np.testing.assert_allclose(claims.source_function(x), expected, rtol=1e-10, atol=1e-10)


def test_each_new_ridge_solver_declares_row_64() -> None:
    for entry in ("krr_cg", "feature_ridge", "auto_krr", "learning_rate"):
        found = [claim for _, claim in claims_of([f"solver.{entry}"], paper="2305.07241")]
        assert [(claim.threshold, claim.direction) for claim in found] == [(0.08, "<=")]
    for make, name in (
        (claims_ridge.by_gradients, "KernelRidgeCG"),
        (claims_ridge.by_choice, "AutoKernelRidge"),
        (claims_ridge.on_features, "FeatureRidge"),
    ):
        assert type(make(None, 1.0)).__name__ == name
    assert {claims_ridge.by_choice(claims.brownian, 1.0).fit(*_points(n)).choice_ for n in (250, 2000)} == {
        "solver.krr",
        "solver.krr_cg",
    }
    # the truncated sum is the kernel, to what the penalty leaves
    x, _ = _points(40)
    assert np.abs(claims_ridge.SineFeatures()(x) - claims.brownian(x, x)).max() < 2e-3


def _points(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((n, 1)), rng.standard_normal(n)


def test_a_solver_with_the_wrong_penalty_misses_the_rate() -> None:
    def halved(kernel, alpha):
        return KernelRidge(kernel=kernel, alpha=alpha**2 / 100)

    slope = claims.learning_rate(claims.optimal_penalty, 0, repeats=2, make=halved)
    assert abs(slope - claims.RATE) > DECLARED["rate_of_features"].threshold


def test_a_leave_one_out_error_that_is_off_by_a_millionth_is_seen() -> None:
    def off(*arguments):
        return claims_ridge.closed_leave_one_out(*arguments) * (1 + 1e-6)

    wrong = claims_ridge.leave_one_out_difference(off, 0)
    assert wrong > DECLARED["leave_one_out"].threshold
    assert claims_ridge.leave_one_out(1) == claims_ridge.leave_one_out(1)


def test_a_penalty_far_from_the_best_is_inefficient() -> None:
    limit = DECLARED["cross_validated_penalty"].threshold
    assert min(claims_ridge.inefficiency(alpha, 0, repeats=10) for alpha in (1e-3, 30.0)) > limit
    assert claims_ridge.inefficiency("loo", 0, repeats=30) < limit


def test_a_preconditioner_of_few_columns_saves_too_little() -> None:
    plain, few = claims_ridge.iterations(None, 0), claims_ridge.iterations("random", 0, rank=3)
    assert few / plain > DECLARED["preconditioned_iterations"].threshold


@pytest.mark.parametrize("name", ["dual_form", "logistic_against_svm"])
def test_the_same_seed_gives_the_same_bits_and_another_passes(name: str) -> None:
    measure, claim = getattr(claims, name), DECLARED[name]
    first, again, other = (measure(seed) for seed in (1, 1, 2))
    assert first == again
    assert first.value != other.value
    assert max(first.value, other.value) <= claim.threshold


def test_the_rate_repeats_bit_for_bit_and_holds_for_another_seed() -> None:
    slopes = [claims.learning_rate(claims.optimal_penalty, seed, repeats=2) for seed in (3, 3)]
    assert slopes[0] == slopes[1]
    assert abs(claims.learning_rate(claims.optimal_penalty, 1) - claims.RATE) <= DECLARED["misspecified_rate"].threshold


def test_components_repeat_bit_for_bit() -> None:
    assert claims.component_error(claims.cubic, 32, 1) == claims.component_error(claims.cubic, 32, 1)


def test_a_wrong_kernel_or_penalty_misses_the_rate() -> None:
    tolerance = DECLARED["misspecified_rate"].threshold

    def linear(X, Y):
        return np.asarray(X) @ np.asarray(Y).T

    wrong_kernel = claims.learning_rate(claims.optimal_penalty, 0, repeats=2, kernel=linear)
    wrong_penalty = claims.learning_rate(lambda n: n**-0.2, 0, repeats=2)
    assert min(abs(wrong_kernel - claims.RATE), abs(wrong_penalty - claims.RATE)) > tolerance


def test_a_kernel_that_is_off_by_a_millionth_is_no_dual_form() -> None:
    wrong = claims.dual_difference(lambda X, Y: claims.quadratic(X, Y) * (1 + 1e-6), 0)
    assert wrong > DECLARED["dual_form"].threshold >= claims.dual_difference(claims.quadratic, 0)


def test_linear_components_are_no_better_than_linear_components() -> None:
    linear = claims.component_error(None, 64, 0)
    scaled = claims.component_error(lambda X, Y: 0.5 * np.asarray(X) @ np.asarray(Y).T, 64, 0)
    assert scaled / linear > DECLARED["nonlinear_components"].threshold


def test_a_linear_kernel_classifies_the_simulated_data_worse() -> None:
    errors = claims.classification_errors(0, replicates=10, kernel=lambda X, Y: np.asarray(X) @ np.asarray(Y).T)
    assert errors["kernel logistic"] - errors["support vectors"] > DECLARED["logistic_against_svm"].threshold
    assert errors["Bayes"] < errors["support vectors"]


def test_cards_stay_light() -> None:
    code = "import sys, kernreg_solvers.cards as c; c.kernreg_cards(); print([m for m in sys.modules if 'claims' in m])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
