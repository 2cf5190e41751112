"""Run checks: each in its own try, results as data."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any

from ..discovery import shown
from ..errors import ParameterError
from ._checks import Check, NotApplicable, all_checks, checks_of
from ._results import Report, Result
from ._subject import Subject, subject_from, subjects


def checks_for(what: Any = None, *, plugin: str | None = None) -> Iterator[tuple[Subject, Check]]:
    """Each (subject, check) pair of an entry, a pattern of names, an object, or of everything installed.

    Examples
    --------
    >>> names = [check.name for subject, check in checks_for("core.scaled")]
    >>> "gram_shape" in names, len(names) > 60
    (True, True)
    """
    for subject in [what] if isinstance(what, Subject) else subjects(what, plugin=plugin):
        for check_ in checks_of(subject):
            yield subject, check_


def check(
    what: Any = None,
    X: Any = None,
    y: Any = None,
    *,
    plugin: str | None = None,
    only: str | Iterable[str] | None = None,
    on_result: Callable[[Result], object] | None = None,
    **fields: Any,
) -> Report:
    """Test that what is declared holds.

    Parameters
    ----------
    what : str, object or None
        An entry's name or a pattern of names; None for every entry; or any object: a kernel, a plain
        function k(X, Y), an adapter of another library's kernel, a solver.
    X, y : items and targets, optional
        For an object.
    plugin : str, optional
        Only the entries of one distribution.
    only : str or collection of str, optional
        Names of checks, or patterns of them.
    on_result : callable, optional
        Called with each :class:`Result` as it comes.
    **fields
        For an object: `kind`, `domain`, `capabilities`, `expected_failures`; see :func:`subject_from`.

    Returns
    -------
    Report

    Raises
    ------
    UnknownNameError
        If no entry has the name.
    ParameterError
        If `only` matches no check.

    Examples
    --------
    >>> import numpy as np
    >>> report = check(lambda X, Y=None: X @ (X if Y is None else Y).T, capabilities={"symmetric", "psd"}, only="psd*")
    >>> report.passed
    True
    """
    patterns = [only] if isinstance(only, str) else None if only is None else list(only)
    named = what is None or isinstance(what, (str, Subject))
    if named and (X is not None or fields):
        raise ParameterError("check: X, y and the fields of a subject go with an object, not with a name")
    chosen = what if named else subject_from(what, X, y, **fields)
    results = []
    for subject, check_ in checks_for(chosen, plugin=plugin):
        if patterns and not any(fnmatchcase(check_.name, pattern) for pattern in patterns):
            continue
        result = run_one(subject, check_)
        results.append(result)
        if on_result is not None:
            on_result(result)
    if patterns and not results:
        raise ParameterError(
            f"only: {', '.join(map(repr, patterns))} matches none of the kit's {len(all_checks())} checks that apply"
        )
    return Report(results)


def run_one(subject: Subject, check_: Check) -> Result:
    """One check of one subject; whatever it raises but Ctrl-C is its result."""
    reason = subject.expected_failures.get(check_.name)
    start = time.perf_counter()
    try:
        check_(subject)
        status, message = ("passed", "") if reason is None else ("unexpected pass", f"said to fail: {reason}")
    except NotApplicable as error:
        status, message = "not run", str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        status, message = ("failed", _told(error)) if reason is None else ("expected failure", reason)
        subject.failed[check_.capability] = subject.failed.get(check_.capability, 0) + 1
    return Result(subject.name, check_.name, check_.capability, status, message, time.perf_counter() - start)


def _told(error: BaseException) -> str:
    return str(error) or type(error).__name__ if isinstance(error, AssertionError) else shown(error)
