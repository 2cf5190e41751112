"""The kit is tested by mutants: each check must fail for an object that breaks its law, and pass for a sound one."""

from __future__ import annotations

import pytest
from mutation import Mutant, all_mutants

from kernreg_core.testing import NotApplicable
from kernreg_core.testing._checks import all_checks, checks_of

MUTANTS = all_mutants()


#: What came of each mutant in this process.
FATES: dict[Mutant, str] = {}


def fate(mutant: Mutant) -> str:
    """'caught' where the check of the broken law fails, else 'lives', or why it could not be tried."""
    if mutant not in FATES:
        FATES[mutant] = _tried(mutant)
    return FATES[mutant]


def _tried(mutant: Mutant) -> str:
    subject = mutant.make()
    found = [check for check in checks_of(subject) if check.name == mutant.check]
    assert found, f"{mutant.name}: {mutant.check} does not apply to its subject, so it was not tested"
    try:
        found[0](subject)
    except NotApplicable as reason:
        return f"not tried: {reason}"
    except AssertionError:
        return "caught"
    return "lives"


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.check}-{mutant.name}")
def test_the_mutant_is_caught_by_the_check_of_its_law(mutant: Mutant) -> None:
    assert fate(mutant) == "caught", f"{mutant.name}: {mutant.check} passes for it"


def test_every_check_has_a_mutant_and_the_score_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    checks = {check.name for check in all_checks()}
    covered = {mutant.check for mutant in MUTANTS}
    fates = [fate(mutant) for mutant in MUTANTS]
    with capsys.disabled():
        print(
            f"\nmutation score: {fates.count('caught')} of {len(fates)} mutants caught; "
            f"{len(checks & covered)} of {len(checks)} checks have one"
        )
    assert not checks - covered, f"checks without a mutant: {', '.join(sorted(checks - covered))}"
    assert not covered - checks, f"mutants of no check: {', '.join(sorted(covered - checks))}"
