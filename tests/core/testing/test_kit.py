"""The frame of the kit: results as data, expected failures, what was not tested, pytest, the command."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sample_kernels import Rbf

import kernreg_core as kr
from kernreg_core.cli import main
from kernreg_core.errors import InputError, ParameterError, UnknownNameError
from kernreg_core.testing import (
    NotApplicable,
    Report,
    Result,
    Subject,
    check,
    checks_for,
    law,
    parametrize_with_checks,
    subject_from,
    tolerance,
)
from kernreg_core.testing import _checks as frame

#: Source of a light module with one card.
LIGHT = """
    from kernreg_core import Card, hookimpl

    @hookimpl
    def kernreg_cards():
        return [{card}]
"""


def linear(X, Y=None):
    return X @ (X if Y is None else Y).T


@pytest.fixture
def own_laws(monkeypatch: pytest.MonkeyPatch):
    """A registry of laws of the test's own."""
    frame.all_checks()
    monkeypatch.setattr(frame, "_registered", {})


def test_a_plain_function_is_checked() -> None:
    report = check(linear, capabilities={"symmetric", "psd"})
    assert report.passed, report
    assert report.counts["passed"] > 25
    assert {result.entry for result in report} == {"linear"}


def test_at_least_sixty_checks_run_for_four_capabilities() -> None:
    kernel = Rbf(lengthscale=2.0)
    four = {"symmetric", "psd", "normalized", "diag"}

    class Four(Rbf):
        """exp(-|x - y|^2 / (2 l^2))."""

        capabilities = frozenset(four)
        grad_x = grad_y = grad_xy = None

    report = check(Four(lengthscale=kernel.lengthscale))
    assert report.counts["passed"] >= 60, report.summary()


def test_results_are_data() -> None:
    report = check(linear, only=["gram_shape", "rectangular_*"])
    data = json.loads(json.dumps(report.to_dict()))
    assert data["passed"] is True
    assert {row["check"] for row in data["results"]} >= {"gram_shape"}
    assert set(data["results"][0]) == {"entry", "check", "capability", "status", "message", "seconds"}
    assert isinstance(report[0], Result)
    assert isinstance(report[:1], Report)


def test_a_broken_law_is_told_with_the_generated_input(own_laws) -> None:
    @law(generated=True)
    def at_most_three_items(subject, X):
        """No more than three items are ever seen."""
        assert len(X) <= 3, f"{len(X)} items"

    (result,) = check(linear, np.zeros((2, 1)))
    assert result.status == "failed"
    assert "4 items" in result.message
    assert "with the generated X" in result.message


def test_an_error_is_a_failed_result(own_laws) -> None:
    @law()
    def raises(subject):
        """It exits."""
        raise SystemExit("gone")

    (result,) = check(linear)
    assert (result.status, result.message) == ("failed", "SystemExit: gone")


def test_an_interrupt_stops_the_run(own_laws) -> None:
    @law()
    def interrupted(subject):
        """Somebody types Ctrl-C."""
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(linear)


def test_an_expected_failure_has_a_reason_and_is_strict(own_laws) -> None:
    @law()
    def breaks(subject):
        """Never."""
        raise AssertionError("no")

    @law()
    def holds(subject):
        """Always."""

    report = check(linear, expected_failures={"breaks": "known", "holds": "not true"})
    assert [(r.check, r.status, r.message) for r in report] == [
        ("breaks", "expected failure", "known"),
        ("holds", "unexpected pass", "said to fail: not true"),
    ]
    assert not report.passed


def test_a_declared_capability_that_was_not_tested_fails(own_laws) -> None:
    @law("kernel", "diag")
    def needs_what_is_absent(subject):
        """Cannot run here."""
        raise NotApplicable("a library is absent")

    report = check(linear, capabilities={"diag", "psd"})
    assert [(r.check, r.status) for r in report] == [
        ("needs_what_is_absent", "not run"),
        ("capability_diag_was_tested", "failed"),
        ("capability_psd_was_tested", "failed"),
    ]
    assert "none of its 1 checks could run: a library is absent" in report[1].message


def test_a_capability_whose_check_failed_was_tested(own_laws) -> None:
    @law("kernel", "diag")
    def breaks(subject):
        """Never."""
        raise AssertionError("no")

    report = check(linear, capabilities={"diag"})
    assert [r.status for r in report] == ["failed", "passed"]
    alone = check(linear, capabilities={"diag"}, only="capability_*")
    assert alone.passed  # the law ran; its failure is its own result


def test_every_check_gets_an_object_of_its_own(own_laws) -> None:
    seen = []

    @law()
    def first(subject):
        """Objects are made anew."""
        seen.append(subject.make())

    @law()
    def second(subject):
        """Objects are made anew."""
        seen.append(subject.make())

    assert check(Rbf(lengthscale=3.0), only=["first", "second"]).passed
    assert seen[0] is not seen[1]
    assert seen[0].lengthscale == seen[1].lengthscale == 3.0


def test_laws_need_a_statement_and_a_name_of_their_own(own_laws) -> None:
    with pytest.raises(ValueError, match="states it"):

        @law()
        def silent(subject):
            pass

    with pytest.raises(ValueError, match="unknown kind 'colour'"):
        law("colour")
    with pytest.raises(ValueError, match="capability 'blue'"):
        law("kernel", "blue")


def test_names_patterns_and_plugins() -> None:
    subjects = {subject.name for subject, _ in checks_for("core.s*")}
    assert subjects == {"core.sum", "core.scaled"}
    assert {subject.name for subject, _ in checks_for(plugin="kernreg-core")} >= {"core.sum", "core.power"}
    with pytest.raises(UnknownNameError, match=r"core\.sum"):
        list(checks_for("core.sun"))


def test_what_cannot_be_checked_is_said() -> None:
    with pytest.raises(ParameterError, match="no_such_check"):
        check(linear, only="no_such_check")
    with pytest.raises(InputError, match="the class Rbf"):
        check(Rbf)
    with pytest.raises(InputError, match="meshes"):
        check(linear, domain="meshes")
    with pytest.raises(ParameterError, match="go with an object"):
        check("core.sum", np.zeros((2, 1)))
    with pytest.raises(ParameterError, match="kind"):
        check(linear, kind="colour")


def test_an_example_that_cannot_be_made_fails_its_checks(make_plugin) -> None:
    card = "Card(name='acme.bad', kind='kernel', domain='vectors', example='acme_kernels:example')"
    source = "def k(X, Y=None): ...\ndef example(): raise RuntimeError('no data')\n"
    make_plugin(
        "acme", kernels={"acme.bad": "acme_kernels:k"}, light=LIGHT.format(card=card), modules={"acme_kernels": source}
    )
    kr.refresh()
    report = check("acme.bad", only="gram_shape")
    assert not report.passed
    assert "no data" in report[0].message


def test_an_example_that_exits_is_a_failure(make_plugin, capsys: pytest.CaptureFixture[str]) -> None:
    card = "Card(name='acme.gone', kind='kernel', domain='vectors', example='acme_kernels:example')"
    source = "def k(X, Y=None): ...\ndef example():\n    print('loud')\n    raise SystemExit('gone')\n"
    make_plugin(
        "acme", kernels={"acme.gone": "acme_kernels:k"}, light=LIGHT.format(card=card), modules={"acme_kernels": source}
    )
    kr.refresh()
    report = check("acme.gone", only="gram_shape")
    assert "SystemExit: gone" in report[0].message
    assert capsys.readouterr().out == ""


def test_generated_items_that_are_no_case_of_a_law_leave_it_tested(own_laws) -> None:
    @law(generated=True)
    def only_of_four(subject, X):
        """About four items."""
        if len(X) != 4:
            raise NotApplicable("not four")

    @law(generated=True)
    def only_of_two(subject, X):
        """Broken for two items, and about no more than four."""
        if len(X) > 4:
            raise NotApplicable("too many")
        assert len(X) != 2, "two"

    assert [r.status for r in check(linear, np.zeros((4, 1)))] == ["passed", "failed"]


def test_an_example_from_elsewhere_is_not_run(make_plugin) -> None:
    card = "Card(name='acme.sly', kind='kernel', domain='vectors', example='os:getcwd')"
    source = "def k(X, Y=None): ...\n"
    make_plugin(
        "acme", kernels={"acme.sly": "acme_kernels:k"}, light=LIGHT.format(card=card), modules={"acme_kernels": source}
    )
    kr.refresh()
    report = check("acme.sly", only="gram_shape")
    assert "outside the distribution's own packages" in report[0].message


def test_a_plugin_offers_strategies_and_expected_failures(make_plugin) -> None:
    pytest.importorskip("hypothesis")
    light = """
        from kernreg_core import Card, hookimpl

        @hookimpl
        def kernreg_cards():
            return [Card(name="acme.count", kind="kernel", domain="sets", example="acme_kernels:example")]

        @hookimpl
        def kernreg_strategies():
            return {"sets": "acme_kernels:strategy"}

        @hookimpl
        def kernreg_expected_failures():
            return {"acme.count": {"gram_shape": "it is a joke"}}
    """
    source = """
        import numpy as np
        from hypothesis import strategies as st

        SEEN = []

        def count(X, Y=None):
            SEEN.append(X)
            return np.ones((len(X), len(X) + 1))

        def example():
            return count, [["a"], ["b"]]

        def strategy(X):
            return st.just([["c"]])
    """
    make_plugin("acme", kernels={"acme.count": "acme_kernels:count"}, light=light, modules={"acme_kernels": source})
    kr.refresh()
    (subject,) = {id(s): s for s, _ in checks_for("acme.count")}.values()
    assert subject.expected_failures == {"gram_shape": "it is a joke"}
    assert repr(subject.strategy(subject.X)) == "just([['c']])"
    assert check("acme.count", only="gram_shape")[0].status == "expected failure"


def test_pytest_runs_the_same_checks() -> None:
    @parametrize_with_checks(linear, capabilities={"psd"}, expected_failures={"gram_shape": "known"})
    def conforms(subject, check):
        check(subject)

    (mark,) = conforms.pytestmark
    names = [case.id for case in mark.args[1]]
    assert "linear-gram_shape" in names
    assert "linear-capability_psd_was_tested" in names
    (xfail,) = next(case for case in mark.args[1] if case.id == "linear-gram_shape").marks
    assert (xfail.name, xfail.kwargs) == ("xfail", {"reason": "known", "strict": True})


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "core.sum", "--only", "gram_shape"]) == 0
    out = capsys.readouterr().out
    assert "core.sum" in out
    assert "1 checks of 1 entries: 1 passed" in out
    assert main(["check", "core.s*", "--only", "gram_shape", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["passed"]
    assert data["counts"]["passed"] == len(data["results"]) == 2
    assert main(["check", "core.sun"]) == 3
    assert "core.sum" in capsys.readouterr().err
    assert main(["check", "nothing.*"]) == 2


def test_tolerances_are_those_of_the_coarser_dtype() -> None:
    assert tolerance(np.zeros(1, np.float32), np.zeros(1)).value == tolerance(np.float32(0)).value
    assert tolerance(np.complex128(0)) == tolerance(np.float64(0))
    assert tolerance("anything else") == tolerance(np.float64(0))


def test_a_subject_shows_its_name() -> None:
    assert repr(subject_from(linear)) == "<Subject linear>"
    assert isinstance(subject_from(Rbf()), Subject)
