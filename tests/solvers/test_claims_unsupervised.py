"""The claims about clustering, novelty and centres repeat bit for bit, and can fail: what is wrong misses them."""

from __future__ import annotations

import numpy as np
import pytest

from kernreg_core.claims import claims_of
from kernreg_solvers import claims_unsupervised as claims

DECLARED = {
    claim.measure.partition(":")[2]: claim
    for _, claim in claims_of([None], plugin="kernreg-solvers")
    if claim.measure.startswith("kernreg_solvers.claims_unsupervised:")
}


def test_every_claim_says_what_it_measures() -> None:
    assert set(DECLARED) == {
        "reconstruction_error",
        "nu_property",
        "spectral_rings",
        "objective_is_normalised_cut",
        "refinement",
        "centres_suffice",
    }
    for name in DECLARED:
        doc = getattr(claims, name).__doc__
        assert "Baseline" in doc
        assert "ours" in doc


@pytest.mark.parametrize("name", ["objective_is_normalised_cut", "refinement"])
def test_the_same_seed_gives_the_same_bits_and_another_passes(name: str) -> None:
    measure, claim = getattr(claims, name), DECLARED[name]
    first, again, other = (measure(seed) for seed in (1, 1, 2))
    assert first == again
    assert first.value != other.value
    assert max(first.value, other.value) <= claim.threshold < min(first.baseline, other.baseline)


def test_the_cut_of_two_pairs_by_hand() -> None:
    # similarities 1 within the pairs, 1/2 between them: each cluster cuts 2 of 1 + 1 + 1 + 1 + 2
    A = np.kron(np.full((2, 2), 0.5), np.ones((2, 2))) + np.kron(np.eye(2), np.full((2, 2), 0.5))
    assert claims.normalised_cut(A, np.array([0, 0, 1, 1])) == pytest.approx(2 * 2 / 6)
    assert claims.normalised_cut(A, np.zeros(4, int)) == 0.0


def test_plain_k_means_misses_the_rings() -> None:
    def halves(X: np.ndarray) -> np.ndarray:
        return X[:, 0] > 0.2

    assert claims.ring_agreement(0, halves, draws=1) < DECLARED["spectral_rings"].threshold


def test_another_nu_breaks_its_bounds() -> None:
    limit = DECLARED["nu_property"].threshold
    assert claims.nu_violation(0, lambda nu: nu) <= limit < claims.nu_violation(0, lambda nu: 1.5 * nu)


def test_few_centres_do_not_suffice() -> None:
    assert claims.centre_ratio(0, 40) > DECLARED["centres_suffice"].threshold


def test_a_wrong_width_is_worse_than_the_baselines() -> None:
    errors = claims.novelty_errors(0, lengthscale=0.05, splits=1)
    best = min(value for name, value in errors.items() if name != "kernel PCA")
    assert errors["kernel PCA"] > best
