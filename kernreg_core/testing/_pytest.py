"""The kit in three lines of pytest."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ._run import checks_for
from ._subject import subject_from

_F = TypeVar("_F", bound=Callable[..., Any])


def parametrize_with_checks(
    what: Any = None,
    X: Any = None,
    y: Any = None,
    *,
    plugin: str | None = None,
    expected_failures: Mapping[str, str] | None = None,
    **fields: Any,
) -> Callable[[_F], _F]:
    """Parametrize a test over the (subject, check) pairs of entries or of an object.

    A check that cannot run here is skipped with its reason; an expected failure is a strict xfail.

    Parameters
    ----------
    what, X, y, plugin, **fields
        As in :func:`kernreg_core.testing.check`.
    expected_failures : mapping of str to str, optional
        Check -> reason, beside those that the entry's own plugin names.

    Examples
    --------
    >>> from kernreg_core.testing import parametrize_with_checks
    >>> @parametrize_with_checks("core.sum")
    ... def test_conformance(subject, check):
    ...     check(subject)
    """
    import pytest

    named = what is None or isinstance(what, str)
    chosen = what if named else subject_from(what, X, y, **fields)
    cases = []
    for subject, check in checks_for(chosen, plugin=plugin):
        reason = {**subject.expected_failures, **(expected_failures or {})}.get(check.name)
        marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
        cases.append(pytest.param(subject, check, id=f"{subject.name}-{check.name}", marks=marks))
    mark: Any = pytest.mark.parametrize(("subject", "check"), cases)
    return lambda test: mark(test)
