"""Sound objects pass the laws of calls, arrays, the engine and bad input; and each law is really tested by one."""

from __future__ import annotations

import random
from functools import cache

import numpy as np
import pytest
from mutants_protocol_common import points, sound
from mutants_protocol_engine import Tiled
from sample_kernels import Blocks, Dot, Filled, Letters, Phase, Prepared, Queries, Rbf

import kernreg_core as kr
from kernreg_core.arrays import is_torch
from kernreg_core.testing import Report, Subject, check, checks_for, strategy_for, subject_from
from kernreg_core.testing._checks import all_checks
from kernreg_core.testing._run import run_one

MODULES = {f"kernreg_core.testing.laws.{name}" for name in ("protocol", "arrays", "engine", "bad_input")}
LAWS = sorted(c.name for c in all_checks() if c.law.__module__ in MODULES)


class Flat(Rbf):
    """The same of all numbers of an item, whatever its axes."""

    def evaluate(self, X, Y):
        squared = ((X.reshape(len(X), 1, -1) - Y.reshape(1, len(Y), -1)) ** 2).sum(-1)
        return np.exp(-squared) if isinstance(X, np.ndarray) else (-squared).exp()


class Paths(Flat):
    domain = "paths"


class Images(Flat):
    domain = "images"


class NumpyOnly(kr.BaseKernel):
    """Takes no tensors, and says so."""

    capabilities = frozenset({"symmetric"})

    def check_parameters(self, X):
        if is_torch(X):
            raise kr.InputError("X: expected NumPy items, got a tensor: pass X.numpy()")

    def evaluate(self, X, Y):
        return np.tanh(X @ Y.T)


class Noisy:
    """Values vary with each call."""

    capabilities = frozenset({"stochastic"})

    def __init__(self):
        self.rng = np.random.default_rng(0)

    def __call__(self, X, Y=None, /):
        K = sound(X, Y)
        return K + 0.01 * self.rng.standard_normal(K.shape)


class Layer:
    """An operator that has no Gram matrix."""

    capabilities = frozenset({"operator"})

    def __call__(self, X, Y=None, /):
        raise NotImplementedError("convolutions have no Gram matrix")


def common_letters(X, Y=None):
    """A plain function on lists."""
    Y = X if Y is None else Y
    return np.array([[float(len(set(x) & set(y))) for y in Y] for x in X])


def on_tensors(X, Y=None):
    """A plain function on tensors."""
    Y = X if Y is None else Y
    return (-0.5 * ((X[:, None] - Y[None]) ** 2).sum(-1)).exp()


def a_function() -> Subject:
    return subject_from(sound, points(), capabilities={"symmetric", "psd", "normalized", "stationary"})


def a_function_on_lists() -> Subject:
    return subject_from(common_letters, ["abba", "baab", "abc", "c", "abba"], domain="sequences")


def a_function_on_tensors() -> Subject:
    torch = pytest.importorskip("torch")
    subject = subject_from(on_tensors, torch.tensor(points()))
    subject.strategy = lambda X: strategy_for("vectors", X.numpy()).map(torch.tensor)
    return subject


def fills_tiles_without_a_base_class() -> Subject:
    return subject_from(Tiled(), points())


def one_item_only() -> Subject:
    return subject_from(Rbf(), points(1))


def noisy() -> Subject:
    return subject_from(Noisy(), points())


SOUND = {
    made.__name__: made
    for made in (
        a_function,
        a_function_on_lists,
        a_function_on_tensors,
        fills_tiles_without_a_base_class,
        one_item_only,
        noisy,
    )
} | {
    name: lambda k=k, fields=fields: subject_from(k, **fields)
    for name, k, fields in (
        ("rbf", Rbf(), {"X": points()}),
        ("single precision", Rbf(), {"X": points().astype(np.float32)}),
        ("dot", Dot(offset=1.0), {"X": points()}),
        ("filled", Filled(), {"X": points()}),
        ("letters", Letters(), {}),
        ("prepared", Prepared(), {}),
        ("queries", Queries(), {"X": points()}),
        ("phase", Phase(), {"X": points()}),
        ("numpy only", NumpyOnly(), {"X": points()}),
        ("paths", Paths(), {}),
        ("images", Images(), {}),
        ("a sum", Rbf() + Dot(offset=1.0), {"X": points()}),
        ("foreign parts", kr.normalize(sound), {"X": points()}),
    )
}


@cache
def report_of(name: str) -> Report:
    return check(SOUND[name](), only=LAWS)


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_object_passes(name: str) -> None:
    report = report_of(name)
    assert report.passed, report


def test_every_law_passes_for_some_sound_object() -> None:
    for module in ("torch", "pandas", "scipy", "threadpoolctl"):
        pytest.importorskip(module)
    passed = {result.check for name in SOUND for result in report_of(name) if result.status == "passed"}
    assert passed == set(LAWS), f"never passed: {sorted(set(LAWS) - passed)}"


def test_matrix_values_pass() -> None:
    report = check(subject_from(Blocks(), points()), only=LAWS)  # np.stack makes NumPy of tensors: they are refused
    assert report.passed, report


def test_what_is_absent_is_reported_with_its_reason() -> None:
    report = report_of("one_item_only")
    told = {result.check: result.message for result in report if result.status == "not run"}
    assert "fewer than 3" in told["cut_in_slices"]


def test_an_operator_without_a_gram_matrix_has_no_laws_of_values() -> None:
    subject = subject_from(Layer(), points())
    assert not {c.name for _, c in checks_for(subject)} & set(LAWS)


def test_a_function_has_the_laws_of_calls_and_none_of_kernregs_conventions() -> None:
    found = {result.check for result in report_of("a_function")}
    assert {"gram_shape", "threads_agree", "gram_agrees", "fortran_order_agrees"} <= found
    assert not {"nan_is_refused", "float32_is_kept", "nested_lists_agree", "torch_gives_a_tensor"} & found


def test_noise_is_no_failure_but_its_shape_is_tested() -> None:
    found = {result.check for result in report_of("noisy")}
    assert "gram_shape" in found
    assert not {"repeated_calls_agree", "blocks_agree", "gram_agrees"} & found


def test_a_broken_object_is_told_with_numbers() -> None:
    report = check(lambda X, Y=None: sound(X, Y) * (1 + 1e-6 * len(X)), points(), only="one_item")
    (result,) = report
    assert result.status == "failed"
    assert "differ by" in result.message


def test_an_object_that_cannot_be_made_fails_and_stops_nothing() -> None:
    def make():
        raise AssertionError("the example cannot be made")

    subject = Subject("broken", "kernel", make, domain="vectors")
    chosen = [c for c in all_checks() if c.name in LAWS and c.applies(subject)]
    assert len(chosen) > 30
    for law in chosen:
        assert run_one(subject, law).status == "failed", law.name


def test_the_laws_leave_the_process_as_it_was() -> None:
    before = np.geterr(), np.random.get_state()[1].tolist(), random.getstate()  # noqa: NPY002
    check(subject_from(sound, points()), only=LAWS)
    assert before == (np.geterr(), np.random.get_state()[1].tolist(), random.getstate())  # noqa: NPY002
