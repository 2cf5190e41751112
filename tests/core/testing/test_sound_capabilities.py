"""Kernels that keep the laws of their capabilities pass every one of them; together they exercise all."""

from __future__ import annotations

import pytest
from sound import SOUND

from kernreg_core.testing import Subject, check, subject_from
from kernreg_core.testing._checks import all_checks

_TOPICS = ("properties", "members", "randomness", "derivatives", "structure")
LAWS = sorted(c.name for c in all_checks() if c.law.__module__.rpartition(".")[2] in _TOPICS)
_passed: set[str] = set()


def sound(name: str) -> Subject:
    kernel, X = SOUND[name]()
    return subject_from(kernel, X)


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_kernel_passes_and_each_capability_is_tested(name: str) -> None:
    report = check(sound(name), only=[*LAWS, "capability_*_was_tested"])
    assert report.passed, f"\n{report}"
    _passed.update(result.check for result in report if result.status == "passed")


def test_each_law_passed_for_some_sound_kernel() -> None:
    if not _passed:  # run alone
        for name in SOUND:
            _passed.update(r.check for r in check(sound(name), only=LAWS) if r.status == "passed")
    missing = set(LAWS) - _passed
    try:
        import torch  # noqa: F401
    except ImportError:
        missing = {name for name in missing if not name.startswith(("autograd", "train", "operator"))}
    assert not missing, f"laws that no sound kernel exercises: {', '.join(sorted(missing))}"


def test_plain_functions_are_tested_as_what_they_are_said_to_be() -> None:
    report = check(
        lambda X, Y=None: X @ (X if Y is None else Y).T,
        capabilities={"symmetric", "psd"},
        only=[*LAWS, "capability_*_was_tested"],
    )
    assert report.passed, f"\n{report}"
    assert report.counts["passed"] >= 9
