"""The conformance kit: what a card declares is tested, by anybody, with one command.

A law is a small function, named after what it tests, with the law in its docstring. Which laws apply
to an object follows from its kind and its capabilities. ``kernreg check``, :func:`check` (results as
data) and :func:`parametrize_with_checks` (pytest) run the same laws.

Examples
--------
>>> from kernreg_core.testing import check
>>> report = check("core.sum", only="gram_*")
>>> report.passed, report.counts["failed"]
(True, 0)
"""

TYPE_CHECKING = False  # type checkers take it for true
if TYPE_CHECKING:
    from ._checks import Check, NotApplicable, law
    from ._inputs import strategy_for
    from ._pytest import parametrize_with_checks
    from ._results import Report, Result
    from ._run import check, checks_for
    from ._subject import Subject, subject_from, subjects
    from .tolerances import TOLERANCES, Tolerance, tolerance

_HOME = {
    "_checks": "Check NotApplicable law",
    "_inputs": "strategy_for",
    "_pytest": "parametrize_with_checks",
    "_results": "Report Result",
    "_run": "check checks_for",
    "_subject": "Subject subject_from subjects",
    "tolerances": "TOLERANCES Tolerance tolerance",
}
_WHERE = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = [
    "TOLERANCES",
    "Check",
    "NotApplicable",
    "Report",
    "Result",
    "Subject",
    "Tolerance",
    "check",
    "checks_for",
    "law",
    "parametrize_with_checks",
    "strategy_for",
    "subject_from",
    "subjects",
    "tolerance",
]

if not TYPE_CHECKING:

    def __getattr__(name):
        if name not in _WHERE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        found = getattr(import_module(f".{_WHERE[name]}", __name__), name)
        globals()[name] = found
        return found

    def __dir__():
        return sorted([*globals(), *_WHERE])
