"""A check is a law with a name; this module keeps them, and says which apply to a subject."""

from __future__ import annotations

import unittest
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module

from ..vocabulary import CAPABILITIES
from ._subject import KINDS, Subject

#: Modules of :mod:`kernreg_core.testing.laws`; importing one registers its laws.
LAWS = (
    "protocol",
    "arrays",
    "engine",
    "bad_input",
    "round_trips",
    "composition",
    "card",
    "properties",
    "members",
    "randomness",
    "derivatives",
    "structure",
    "samplers",
    "selectors",
    "solvers",
)

Law = Callable[..., None]


class NotApplicable(unittest.SkipTest):
    """A law cannot be tested here: what it needs is absent. Pytest takes it for a skip."""


def _always(subject: Subject) -> bool:
    return True


@dataclass(frozen=True)
class Check:
    """One named law. Calling it with a subject passes, or raises AssertionError or :class:`NotApplicable`.

    Attributes
    ----------
    name : str
        That of the law's function.
    kind : str
        'kernel', 'sampler', 'selector' or 'solver'.
    capability : str
        The capability whose law it is; empty for what every entry of the kind must keep.
    generated : bool
        Whether the law is also tried on generated items (Hypothesis), beside the example's.
    """

    name: str
    law: Law
    kind: str
    capability: str = ""
    generated: bool = False
    applies: Callable[[Subject], bool] = _always

    @property
    def statement(self) -> str:
        """The law, as its docstring states it in the first line."""
        return (self.law.__doc__ or self.name).strip().splitlines()[0]

    def __call__(self, subject: Subject) -> None:
        """Test the law; raise AssertionError where it is broken."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one law asks for silence; the others are not about warnings
            if not self.generated:
                self.law(subject)
            else:
                self.law(subject, subject.X)
                self._on_generated(subject)
        subject.ran[self.capability] = subject.ran.get(self.capability, 0) + 1

    def _on_generated(self, subject: Subject) -> None:
        from ._inputs import try_generated

        try_generated(self.law, subject)

    def __repr__(self) -> str:
        return f"<Check {self.name}: {self.statement}>"


_registered: dict[tuple[str, str], Check] = {}


def law(
    kind: str = "kernel",
    capability: str = "",
    *,
    generated: bool = False,
    applies: Callable[[Subject], bool] = _always,
) -> Callable[[Law], Law]:
    """Register a function as the law that a kind, or a capability of it, must keep.

    The function takes the subject, and with `generated` the items to use as a second argument; it
    raises AssertionError with what was found where the law is broken.
    """
    if kind not in KINDS or (capability and capability not in CAPABILITIES):
        raise ValueError(f"law: unknown kind {kind!r} or capability {capability!r}")

    def register(function: Law) -> Law:
        name = function.__name__
        if not function.__doc__:
            raise ValueError(f"{name}: the docstring of a law states it")
        known = _registered.get((kind, name))
        if known is not None and known.law.__module__ != function.__module__:
            raise ValueError(f"{name}: {known.law.__module__} has a law of that name")
        _registered[kind, name] = Check(name, function, kind, capability, generated, applies)
        return function

    return register


def all_checks() -> list[Check]:
    """Every law of the kit."""
    for module in LAWS:
        import_module(f"kernreg_core.testing.laws.{module}")
    return list(_registered.values())


def checks_of(subject: Subject) -> Iterator[Check]:
    """The checks that apply to `subject`, at last one for each declared capability: that it was tested."""
    own = [
        c for c in all_checks() if c.kind == subject.kind and (not c.capability or c.capability in subject.capabilities)
    ]
    own = [c for c in own if _applies(c, subject)]
    yield from own
    if subject.kind == "solver":
        from .laws.solvers import scikit_learn_checks

        yield from scikit_learn_checks(subject)
    for capability in sorted(subject.capabilities):
        yield _coverage(capability, [c for c in own if c.capability == capability], subject.kind)


def _applies(check: Check, subject: Subject) -> bool:
    try:
        return check.applies(subject)
    except AssertionError:
        return True  # the object cannot be made: the check fails, and says why


def _coverage(capability: str, checks: list[Check], kind: str) -> Check:
    def was_tested(subject: Subject) -> None:
        if subject.ran.get(capability) or subject.failed.get(capability):
            return
        reasons = []
        for check in checks:  # none ran: they could not, or this check runs alone, as with pytest -k
            try:
                check(subject)
            except NotApplicable as reason:
                reasons.append(str(reason))
            except Exception:
                return  # it ran, and reports for itself
            else:
                return
        why = "; ".join(dict.fromkeys(reasons)) or f"the kit has none for a {kind}"
        raise AssertionError(
            f"{subject.name} declares {capability!r}, and none of its {len(checks)} checks could run: {why}"
        )

    was_tested.__doc__ = f"The declared capability {capability!r} was really tested."
    return Check(f"capability_{capability}_was_tested", was_tested, kind)
