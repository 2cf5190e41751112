"""The claims of row 17 are the catalogue's, repeat bit for bit, and can fail: what is wrong misses the threshold."""

from __future__ import annotations

from eigenpro_cases import Laplace, made
from numpy.testing import assert_allclose

from kernreg_core.claims import FAST, claims_of
from kernreg_solvers import claims_eigenpro

CLAIMS = {claim.measure.partition(":")[2]: claim for _, claim in claims_of(["solver.eigenpro2", "solver.eigenpro3"])}


def test_claims_are_what_the_catalogue_states() -> None:
    stated = {name: (claim.threshold, claim.direction) for name, claim in CLAIMS.items()}
    assert stated == {
        "large_batches": (5.0, ">="),
        "near_the_direct_solution": (0.05, "<="),
        "preconditioner_saves_epochs": (5.0, ">="),
        "more_data_at_fixed_size": (0.0, ">="),
        "digits_at_fixed_size": (0.97, ">="),
        "inexact_projection": (1e-2, "<="),
    }
    assert (claims_eigenpro.ITEMS, claims_eigenpro.CENTERS, claims_eigenpro.EPOCHS) == (4000, 400, 30)
    for name, claim in CLAIMS.items():
        assert claim.cost <= FAST
        doc = getattr(claims_eigenpro, name).__doc__
        assert "Baseline" in doc
        assert "ours" in doc or "catalogue" in doc
    X, _ = made(20)
    assert_allclose(claims_eigenpro.laplace(X, X, 2.0), Laplace()(X), rtol=1e-12)


def test_claims_fail_of_what_is_wrong_and_repeat() -> None:
    unpreconditioned = {"n_eigenpairs": 0, "batch_size": claims_eigenpro.BATCH}
    first, again = (claims_eigenpro.error_ratio(1, **unpreconditioned) for _ in range(2))
    assert first == again > 1.05
    assert claims_eigenpro.projection_difference(1, n_epochs=3) > 1e-2
    assert claims_eigenpro.epochs_to_interpolate(1, 4) == 4  # at most
    # one epoch without the preconditioner classifies worse
    assert claims_eigenpro.digit_accuracies(1, splits=1, n_epochs=1, n_eigenpairs=0, batch_size=100)[0] < 0.97
