"""Every entry keeps what its card declares."""

from __future__ import annotations

from importlib.util import find_spec

from kernreg_core.testing import parametrize_with_checks

# a capability that could not be tested is a failure, also here
WITHOUT_TORCH = {} if find_spec("torch") else {"capability_differentiable_was_tested": "torch is not installed"}


@parametrize_with_checks(plugin="kernreg-core", expected_failures=WITHOUT_TORCH)
def test_conformance(subject, check) -> None:
    check(subject)
