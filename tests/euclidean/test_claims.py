"""The claims on this plugin's cards hold, repeat bit for bit, and can fail: a wrong kernel misses the threshold."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys

import pytest

import kernreg_core as kr
from kernreg_core.claims import FAST, claims_of
from kernreg_euclidean import RBF, Anova, Laplace, Matern, Periodic, Polynomial, RationalQuadratic, claims

PLUGIN = "kernreg-euclidean"
DECLARED = [claim for _, claim in claims_of([None], plugin=PLUGIN)]
HAS_SKLEARN = importlib.util.find_spec("sklearn") is not None
needs_sklearn = pytest.mark.skipif(not HAS_SKLEARN, reason="scikit-learn has the digits")
#: Cheap enough to be measured three times.
CHEAP = [claim for claim in DECLARED if claim.cost <= 2 and (HAS_SKLEARN or "sklearn" not in claim.needs)]


def _measure(claim):
    module, _, name = claim.measure.partition(":")
    return getattr(importlib.import_module(module), name)


def _short(claim) -> str:
    return claim.measure.partition(":")[2]


def test_fast_claims_pass() -> None:
    found = kr.verify(plugin=PLUGIN, fast=True)
    assert len(found) == len(DECLARED) >= 12
    assert found.counts["FAIL"] == 0, repr(found)
    assert {verdict.entry for verdict in found if verdict.verdict == "NOT RUN"} <= (
        set() if HAS_SKLEARN else {"euclidean.polynomial", "euclidean.chi_squared"}
    )
    assert all(verdict.baseline is not None and verdict.baseline_name for verdict in found if verdict.verdict == "PASS")


def test_every_claim_is_of_a_paper_on_the_card_and_says_what_it_does() -> None:
    for card, claim in claims_of([None], plugin=PLUGIN):
        assert claim.paper in card.references
        assert claim.cost <= FAST
        doc = _measure(claim).__doc__
        assert "Baseline" in doc
        assert "ours" in doc or "paper" in doc


@pytest.mark.parametrize("claim", CHEAP, ids=_short)
def test_the_same_seed_gives_the_same_bits_and_another_passes(claim) -> None:
    first, again, other = (_measure(claim)(seed) for seed in (1, 1, 2))
    assert first == again
    for found in (first, other):
        holds = found.value <= claim.threshold if claim.direction == "<=" else found.value >= claim.threshold
        assert holds, found


def _threshold(measure: str) -> float:
    return next(claim.threshold for claim in DECLARED if _short(claim) == measure)


def _exponent_error(errors: list[float]) -> float:
    return abs(claims._slope(claims.WIDTHS, errors) + 0.5)


def test_frequencies_of_another_kernel_miss_the_rate() -> None:
    threshold = _threshold("rbf_random_features")
    sound, other = RBF(lengthscale=2.0), RBF(lengthscale=2.2)
    assert _exponent_error(claims.fourier_errors(sound, sound, 0)) <= threshold
    assert _exponent_error(claims.fourier_errors(other, sound, 0)) > threshold
    assert _exponent_error(claims.fourier_errors(Matern(order=0.5), Laplace(), 0)) > _threshold(
        "laplace_random_features"
    )


def test_a_layer_that_is_off_by_a_tenth_misses_the_rate() -> None:
    from kernreg_euclidean import ArcCosine

    wrong = 1.1 * ArcCosine(order=1)
    assert _exponent_error(claims.layer_errors(wrong, 1, 0)) > _threshold("arc_cosine_layers")
    assert _exponent_error(claims.layer_errors(ArcCosine(order=1), 1, 0)) <= _threshold("arc_cosine_layers")


def test_a_matern_kernel_of_the_wrong_order_misses_its_exponent() -> None:
    found = claims.interpolation_exponents(lambda order: Matern(order=order + 0.3, lengthscale=0.3))
    assert max(abs(e - nu) for e, nu in zip(found, (0.5, 1.5, 2.5), strict=True)) > _threshold("matern_interpolation")


def test_identities_refuse_what_is_nearly_the_kernel() -> None:
    almost = claims.mixture_error(lambda shape: RationalQuadratic(shape=shape * (1 + 1e-6)))
    assert almost > _threshold("rational_quadratic_mixture")
    wrong = claims.anova_error(lambda degree: (1 + 1e-10) * Anova(degree=degree), 0)
    assert wrong > _threshold("anova_subsets")


def test_another_period_does_not_continue() -> None:
    def ratio(kernel):
        return claims.continuation_error(kernel, 0) / claims.continuation_error(RBF(lengthscale=0.15), 0)

    threshold = _threshold("periodic_continuation")
    assert ratio(Periodic(lengthscale=0.7)) <= threshold < ratio(Periodic(period=1.05, lengthscale=0.7))


def test_the_gaussian_kernel_misses_escaping_points() -> None:
    assert claims.stein_exponent(RBF(), 0) < _threshold("stein_detection")


@needs_sklearn
def test_a_polynomial_of_degree_one_does_no_better_than_the_linear_kernel() -> None:
    linear = claims.digits_error(Polynomial(degree=1, gamma=1.0, coef0=0.0), 0)
    assert linear / claims.digits_error(claims.Linear(), 0) > _threshold("polynomial_digits")


def test_cards_stay_light() -> None:
    """The measures, and what they import, are loaded when a claim is run and not before."""
    code = (
        "import sys, kernreg_euclidean.cards as cards; cards.kernreg_cards()\n"
        "print([name for name in sys.modules if 'claims' in name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
