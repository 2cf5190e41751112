"""The kit is tested by mutants: each check must fail for an object that breaks its law, and pass for a sound one."""

from __future__ import annotations

import pytest
from mutation import Mutant, all_mutants

from kernreg_core.testing import NotApplicable
from kernreg_core.testing._checks import all_checks, checks_of

MUTANTS = all_mutants()


def caught(mutant: Mutant) -> bool:
    """Whether the check of the broken law fails."""
    subject = mutant.make()
    found = [check for check in checks_of(subject) if check.name == mutant.check]
    assert found, f"{mutant.name}: {mutant.check} does not apply to its subject, so it was not tested"
    try:
        found[0](subject)
    except NotApplicable as reason:
        pytest.skip(str(reason))
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: f"{mutant.check}-{mutant.name}")
def test_the_mutant_is_caught_by_the_check_of_its_law(mutant: Mutant) -> None:
    assert caught(mutant), f"{mutant.name} lives: {mutant.check} passes for it"


def test_every_check_has_a_mutant(record_property: pytest.RecordProperty, capsys: pytest.CaptureFixture[str]) -> None:
    checks = {check.name for check in all_checks()}
    covered = {mutant.check for mutant in MUTANTS}
    score = f"{len(checks & covered)} of {len(checks)} checks have a mutant; {len(MUTANTS)} mutants"
    record_property("mutation", score)
    with capsys.disabled():
        print(f"\n{score}")
    assert not checks - covered, f"checks without a mutant: {', '.join(sorted(checks - covered))}"
