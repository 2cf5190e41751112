"""Sound objects pass the laws of copies, composites and cards, and none of these laws goes untried."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from mutants_round_trips import X, subject
from sound_solvers import Linear

import kernreg_core as kr
from kernreg_core.testing import Report, Subject, check
from kernreg_core.testing._checks import all_checks
from kernreg_core.testing.laws import card, composition, round_trips


def laws_of(*modules) -> set[str]:
    """The names of the laws in these modules."""
    files = {module.__name__ for module in modules}
    return {check.name for check in all_checks() if check.law.__module__ in files}


LAWS = laws_of(round_trips, composition, card)


class Wide(kr.BaseKernel):
    """exp(-|x - y| / l), summed over features.

    Parameters
    ----------
    lengthscale : float or array
    """

    capabilities = frozenset({"symmetric", "psd", "stationary"})

    def __init__(self, *, lengthscale=1.0, label="wide"):
        self.lengthscale = lengthscale
        self.label = label

    def check_parameters(self, X):
        try:
            valid = bool(np.all(np.asarray(self.lengthscale, dtype=float) > 0))
        except ValueError:
            valid = False
        if not valid:
            raise kr.ParameterError(f"lengthscale: expected a positive number, got {self.lengthscale!r}")

    def evaluate(self, X, Y):
        return np.exp(-np.abs(X[:, None] - Y[None]) / np.asarray(self.lengthscale)).sum(-1)


class Seeded(kr.BaseKernel):
    """An inner product of features that are drawn at random, once."""

    capabilities = frozenset({"symmetric", "psd"})

    def __init__(self, *, n_features=4, rng=None):
        self.n_features = n_features
        self.rng = rng

    def evaluate(self, X, Y):
        from kernreg_core.params import entropy

        W = np.random.default_rng(entropy(self)).standard_normal((X.shape[1], self.n_features))
        return (X @ W) @ (Y @ W).T


def plain(X, Y=None):
    """A function, without a class."""
    return X @ (X if Y is None else Y).T


def complex_phase(X, Y=None):
    """exp(i (x - y))."""
    return np.exp(1j * (X[:, None, 0] - (X if Y is None else Y)[None, :, 0]))


class Foreign:
    """A kernel of another library: its own parameters, its own rules."""

    capabilities = ("symmetric", "psd", "diag")

    def __init__(self, *args, scale=2.0):
        self.scale = scale

    def __call__(self, X, Y=None):
        return self.scale * np.array([[float(len(set(x) & set(y))) for y in (X if Y is None else Y)] for x in X])

    def diag(self, X):
        return np.array([self.scale * len(set(x)) for x in X])


def run(what, items=None, **fields) -> Report:
    return check(what, items, only=LAWS, **fields)


@pytest.fixture
def sound() -> list[Report]:
    kr.register(Linear, name="sound.linear")
    try:
        names = ["sound.linear", "core.scaled", "core.power", "core.normalized", "core.sum", "core.product"]
        objects: list[Subject] = [
            subject(Wide),
            subject(lambda: Wide(lengthscale=np.array([1.0, 2.0]))),
            subject(lambda: Wide(lengthscale=[1.0, 2.0])),
            subject(Seeded),
            subject(lambda: Seeded(rng=3)),
            subject(lambda: Seeded(rng=np.random.default_rng(0))),
            subject(lambda: 2.0 * Wide() + Seeded(rng=0) * Linear() ** 2 + kr.normalize(Linear(scale=3.0))),
            subject(lambda: kr.Sum(plain, Wide())),
        ]
        return [
            *(run(what) for what in [*names, *objects]),
            run(plain, X, capabilities={"symmetric", "psd"}),
            run(lambda X, Y=None: plain(X, Y), X),
            run(complex_phase, X, capabilities={"symmetric", "psd", "complex"}),
            run(Foreign(), ["abba", "cab", "dada"], domain="sequences"),
        ]
    finally:
        kr.unregister("sound.linear")


def test_sound_objects_pass(sound):
    failures = [result for report in sound for result in report.failures]
    assert not failures, "\n".join(f"{r.entry} {r.check}: {r.message}" for r in failures)


def test_every_law_was_tried_on_a_sound_object(sound):
    passed = {result.check for report in sound for result in report if result.status == "passed"}
    assert not LAWS - passed, f"not tried: {', '.join(sorted(LAWS - passed))}"


def test_a_function_is_held_to_no_convention_of_kernreg():
    names = {result.check for result in run(plain, X)}
    assert "sum_adds" in names
    assert not names & {"repr_names_the_class", "get_params_names_the_constructor", "card_has_a_summary"}


@pytest.mark.parametrize("text", ["Wide(lengthscale=[1.0, 2.0])", "2 * Wide() + Wide() ** 3", "normalize(Wide())"])
def test_a_repr_is_read_without_running_it(text):
    kernel = {
        "Wide(lengthscale=[1.0, 2.0])": Wide(lengthscale=[1.0, 2.0]),
        "2 * Wide() + Wide() ** 3": 2 * Wide() + Wide() ** 3,
        "normalize(Wide())": kr.normalize(Wide()),
    }[text]
    assert repr(kernel) == text
    assert check(kernel, X, only="repr_can_be_typed_back").passed


def test_what_a_repr_cannot_hold_is_said():
    report = check(Wide(lengthscale=np.ones(50)), np.ones((3, 50)), only="repr_can_be_typed_back")
    assert report.counts["not run"] == 1
    assert "array of shape" in report[0].message


def test_laws_say_what_they_state():
    for law in all_checks():
        if law.name in LAWS:
            assert inspect.getdoc(law.law).splitlines()[0].endswith("."), law.name
