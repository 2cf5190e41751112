"""Every entry keeps what its card declares, scikit-learn's checks of an estimator included."""

from __future__ import annotations

from kernreg_core.testing import parametrize_with_checks


@parametrize_with_checks(plugin="kernreg-solvers")
def test_conformance(subject, check) -> None:
    check(subject)
