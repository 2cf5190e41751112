"""What every solver keeps: scikit-learn's estimator rules, and kernreg's own."""

from __future__ import annotations

from collections.abc import Iterator

from .._checks import Check
from .._subject import Subject


def scikit_learn_checks(subject: Subject) -> Iterator[Check]:
    """scikit-learn's own checks of the estimator, each under the name ``sklearn_NAME``."""
    yield from ()
