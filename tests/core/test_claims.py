"""The engine of claims: verdicts and their reasons, the grammar of needs, selection, JSON, exit codes, seeds."""

from __future__ import annotations

import json
import math
import sys
import types

import numpy as np
import pytest

import kernreg_core as kr
from kernreg_core import Claim, Measurement, ParameterError, Reference, UnknownNameError, claims, cli
from kernreg_core.claims import FAIL, NOT_RUN, PASS
from kernreg_core.progress import Progress
from kernreg_core.registry import registry

PAPER = Reference(title="On Acme Kernels", year=1999, doi="10.1/acme", arxiv="9901.00001")

LIGHT = """
    from kernreg_core import Card, Claim, Reference, hookimpl

    PAPER = Reference(title="On Acme Kernels", year=1999, doi="10.1/acme", arxiv="9901.00001")
    OTHER = Reference(title="Beta Kernels Revisited", year=2001)

    def claim(measure, threshold=1.0, direction=">=", cost=1.0, needs=(), paper=PAPER, statement="Acme wins"):
        return Claim(paper=paper, statement=statement, measure=measure, threshold=threshold, direction=direction,
                     cost=cost, needs=needs)

    @hookimpl
    def kernreg_cards():
        return [
            Card(name="acme.one", kind="kernel", claims=({one},)),
            Card(name="acme.two", kind="kernel", claims=({two},)),
            Card(name="acme.none", kind="kernel"),
        ]
"""
MEASURES = """
    import sys
    import numpy as np
    from kernreg_core import Measurement

    class K:
        def __call__(self, X, Y=None, /): ...

    def plain(rng): return 1.0
    def measured(rng): return Measurement(np.float32(2.5), baseline=0.5, baseline_name="theirs", details={"n": 3})
    def drawn(rng): return float(np.random.default_rng(rng).standard_normal())
    def nan(rng): return float("nan")
    def infinite(rng): return Measurement(float("inf"))
    def text(rng): return "2"
    def truth(rng): return True
    def nothing(rng): return None
    def worded(rng): return Measurement(2.0, baseline="good")
    def raises(rng): raise ValueError("the data is wrong")
    def exits(rng): sys.exit(3)
    def interrupted(rng): raise KeyboardInterrupt
    def prints(rng):
        print("chatter")
        return Measurement(2.0, details={"odd": float("nan"), "array": np.arange(2), "where": object})
    number = 3.0
"""


@pytest.fixture
def acme(make_plugin, monkeypatch: pytest.MonkeyPatch):
    """Install a plugin whose two entries make these claims, and let the registry see no other."""

    def install(one: str, two: str = "claim('acme_measures:plain', paper=OTHER)") -> None:
        names = dict.fromkeys(("acme.one", "acme.two", "acme.none"), "acme_measures:K")
        light = LIGHT.replace("{one}", one).replace("{two}", two)
        make_plugin("acme", kernels=names, light=light, modules={"acme_measures": MEASURES})
        monkeypatch.setenv("KERNREG_PLUGINS", "acme")
        registry.refresh()

    yield install
    monkeypatch.undo()
    runtime = registry._runtime
    registry.__init__()  # type: ignore[misc]  # forget what the removed modules gave
    registry._runtime = runtime


def only(acme, claim: str) -> claims.Verdict:
    acme(claim)
    [verdict] = kr.verify("acme.one")
    return verdict


def test_a_figure_with_its_baseline_passes(acme) -> None:
    found = only(acme, "claim('acme_measures:measured', threshold=2.0)")
    assert (found.entry, found.plugin, found.version) == ("acme.one", "acme", "1.0")
    assert (found.verdict, found.measured, found.baseline, found.baseline_name) == (PASS, 2.5, 0.5, "theirs")
    assert (found.statement, found.paper, found.reason, found.details) == ("Acme wins", PAPER, "", {"n": 3})
    assert 0 <= found.seconds < 5


@pytest.mark.parametrize(
    ("direction", "threshold", "verdict"),
    [(">=", 1.0, PASS), ("<=", 1.0, PASS), (">=", math.nextafter(1.0, 2), FAIL), ("<=", math.nextafter(1.0, 0), FAIL)],
)
def test_both_directions_and_the_threshold_itself(acme, direction: str, threshold: float, verdict: str) -> None:
    found = only(acme, f"claim('acme_measures:plain', threshold={threshold!r}, direction={direction!r})")
    assert found.verdict == verdict
    assert (found.reason == "") == (verdict == PASS)
    assert found.measured == 1.0


@pytest.mark.parametrize(
    ("measure", "reason"),
    [
        ("nan", "measured nan, which is no finite number"),
        ("infinite", "measured inf, which is no finite number"),
        ("text", "returned str, expected a number"),
        ("truth", "returned bool, expected a number"),
        ("nothing", "returned NoneType, expected a number"),
        ("worded", "the baseline is str"),
        ("raises", "ValueError: the data is wrong"),
        ("exits", "SystemExit: 3"),
        ("number", "TypeError"),
        ("absent", "no attribute 'absent'"),
    ],
)
def test_what_is_no_finite_number_fails_with_the_reason(acme, measure: str, reason: str) -> None:
    acme(f"claim('acme_measures:{measure}', threshold=-1e9)")
    found = kr.verify("acme.*")
    assert [verdict.verdict for verdict in found] == [FAIL, PASS]  # the other claim is measured all the same
    assert reason in found[0].reason
    json.loads(json.dumps(found.to_dict(), allow_nan=False))


def test_an_interrupt_ends_the_run(acme) -> None:
    acme("claim('acme_measures:interrupted')")
    with pytest.raises(KeyboardInterrupt):
        kr.verify()


def test_a_measure_outside_the_distribution_is_refused(acme, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    found = only(acme, "claim('colorsys:rgb_to_hsv')")
    assert found.verdict == FAIL
    assert "outside the distribution's own packages" in found.reason
    assert "colorsys" not in sys.modules


@pytest.mark.parametrize(
    ("need", "reason"),
    [
        ("no_such_library", "needs no_such_library, which is not installed: pip install no_such_library"),
        ("data:tu/NONE", "needs the data 'tu/NONE': set KERNREG_DATA"),
        ("hardware:27 qubits", "needs 27 qubits"),
    ],
)
def test_what_is_absent_is_not_run(acme, monkeypatch: pytest.MonkeyPatch, need: str, reason: str) -> None:
    monkeypatch.delenv("KERNREG_DATA", raising=False)
    found = only(acme, f"claim('acme_measures:plain', needs=({need!r},))")
    assert (found.verdict, found.measured, found.seconds) == (NOT_RUN, None, 0.0)
    assert reason in found.reason
    assert "-" in found._cells()


def test_data_that_is_there_is_used(acme, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("KERNREG_DATA", str(tmp_path))
    acme("claim('acme_measures:plain', needs='data:tu/MUTAG')")
    [found] = kr.verify("acme.one")
    assert found.verdict == NOT_RUN
    assert "KERNREG_DATA has no such folder" in found.reason
    assert str(tmp_path) not in found.reason
    (tmp_path / "tu" / "MUTAG").mkdir(parents=True)
    assert kr.verify("acme.one")[0].verdict == PASS


@pytest.mark.parametrize("there", [True, False])
def test_a_device_is_asked_of_torch(acme, monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    torch = types.ModuleType("torch")
    torch.cuda = types.SimpleNamespace(is_available=lambda: there)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    found = only(acme, "claim('acme_measures:plain', needs='device:cuda')")
    assert found.verdict == (PASS if there else NOT_RUN)
    assert ("torch does not see" in found.reason) == (not there)


def test_libraries_that_are_there_are_no_obstacle(acme) -> None:
    assert only(acme, "claim('acme_measures:plain', needs=('numpy', 'wave'))").verdict == PASS


@pytest.mark.parametrize(
    "needs",
    ["data:", "data:/etc", "data:../x", "data:a//b", "data:a/./b", "data:C:/x", "device:tpu", "hardware:", "luck:3",
     "a.b", "pip install x", ""],
)  # fmt: skip
def test_needs_follow_a_grammar(needs: str) -> None:
    with pytest.raises(ParameterError, match="needs: expected"):
        Claim(paper=PAPER, statement="s", measure="m:f", threshold=1.0, direction=">=", cost=1.0, needs=(needs,))


@pytest.mark.parametrize(
    ("field", "value"),
    [("statement", "  "), ("threshold", math.nan), ("threshold", math.inf), ("threshold", "1"), ("cost", -1.0),
     ("cost", math.inf), ("direction", ">"), ("measure", "no function")],
)  # fmt: skip
def test_a_claim_is_checked_when_it_is_made(field: str, value: object) -> None:
    sound = {"paper": PAPER, "statement": "s", "measure": "m:f", "threshold": 1.0, "direction": ">=", "cost": 1.0}
    Claim(**sound)
    with pytest.raises(ParameterError, match=field):
        Claim(**{**sound, field: value})


def test_fast_leaves_out_what_says_it_takes_longer(acme) -> None:
    acme("claim('acme_measures:plain', cost=10.0)", "claim('acme_measures:raises', cost=10.5)")
    found = kr.verify(fast=True)
    assert [verdict.verdict for verdict in found] == [PASS, NOT_RUN]
    assert "about 10.5 s" in found[1].reason
    assert found.passed
    assert not kr.verify().passed


def test_a_slow_measurement_is_judged_and_noted(acme, monkeypatch: pytest.MonkeyPatch) -> None:
    acme("claim('acme_measures:plain', cost=0.0)", "claim('acme_measures:plain', cost=0.0, threshold=2.0)")
    assert kr.verify()[0].reason == ""
    monkeypatch.setattr(claims, "_GRACE", 0.0)
    found = kr.verify()
    assert [verdict.verdict for verdict in found] == [PASS, FAIL]
    assert found[0].reason.startswith("slow: ")
    assert "claimed >= 2; slow: " in found[1].reason


def test_the_same_seed_gives_the_same_bits(acme) -> None:
    acme("claim('acme_measures:drawn', threshold=-1e9)")
    figures = [kr.verify("acme.one", rng=seed)[0].measured for seed in (0, 0, 1, np.int64(1))]
    assert figures[0] == figures[1] == np.random.default_rng(0).standard_normal()
    assert figures[0] != figures[2] == figures[3]
    for wrong in (-1, 1.0, True, None):
        with pytest.raises(ParameterError, match="rng: expected an integer"):
            kr.verify("acme.one", rng=wrong)  # type: ignore[arg-type]


def test_selection_by_name_plugin_and_paper(acme) -> None:
    acme("claim('acme_measures:plain'), claim('acme_measures:measured', paper=OTHER)")
    chosen = {
        "all": kr.verify(),
        "pattern": kr.verify("*.two"),
        "paper": kr.verify(paper="beta revisited"),
        "arxiv": kr.verify(paper="arXiv:9901.00001"),
        "doi": kr.verify("acme.one", paper="10.1/acme"),
        "plugin": kr.verify(plugin="acme"),
        "no plugin": kr.verify(plugin="kernreg-nothing"),
        "no pattern": kr.verify("zzz.*"),
        "no claims": kr.verify("acme.none"),
    }
    assert {key: len(found) for key, found in chosen.items()} == {
        "all": 3, "pattern": 1, "paper": 2, "arxiv": 1, "doi": 1, "plugin": 3, "no plugin": 0, "no pattern": 0,
        "no claims": 0,
    }  # fmt: skip
    assert chosen["no claims"].passed
    assert repr(chosen["no claims"]) == "no claims found"
    with pytest.raises(UnknownNameError, match=r"acme\.one"):
        kr.verify("acme.onne")


def test_it_is_a_sequence_that_prints(acme) -> None:
    acme("claim('acme_measures:measured', threshold=3.0)", "claim('acme_measures:plain', needs='no_such_library')")
    found = kr.verify()
    assert len(found) == 2
    assert [verdict.verdict for verdict in found[:1]] == [FAIL]
    assert (found.passed, found.counts) == (False, {PASS: 0, FAIL: 1, NOT_RUN: 1})
    text = repr(found)
    assert text.splitlines()[0].split()[:4] == ["entry", "claim", "measured", "threshold"]
    for shown in (
        "Acme wins",
        "2.5",
        ">= 3",
        "0.5 (theirs)",
        FAIL,
        NOT_RUN,
        "measured 2.5, claimed >= 3",
        "pip install",
    ):
        assert shown in text
        assert shown.replace(">", "&gt;") in found._repr_html_()
    assert text.splitlines()[-1] == "2 claims: 0 PASS, 1 FAIL, 1 NOT RUN"


def test_a_long_statement_is_folded_to_the_width(acme) -> None:
    acme("claim('acme_measures:plain', statement='word ' * 40)", "claim('acme_measures:plain')")
    lines = kr.verify().table(110).splitlines()
    assert max(map(len, lines)) <= 110
    assert sum(line.count("word") for line in lines) == 40
    assert len(kr.verify().table(None).splitlines()) == 4
    assert kr.verify().table(0).count("PASS") == 2  # a terminal that is too narrow cuts no verdict off


def test_to_dict_is_valid_json_with_versions(acme) -> None:
    acme("claim('acme_measures:prints')")
    text = json.dumps(kr.verify(rng=7, fast=True).to_dict(), allow_nan=False)
    data = json.loads(text)
    assert (data["passed"], data["rng"], data["fast"]) == (True, 7, True)
    assert data["counts"] == {"pass": 2, "fail": 0, "not_run": 0}
    assert data["versions"]["kernreg-core"] == kr.__version__
    assert data["versions"]["numpy"] == np.__version__
    first = data["claims"][0]
    assert first["paper"] == {"title": PAPER.title, "year": 1999, "arxiv": PAPER.arxiv, "doi": PAPER.doi}
    assert first["details"] == {"odd": "nan", "array": [0, 1], "where": "<class 'object'>"}
    assert {"entry", "plugin", "version", "statement", "measured", "threshold", "direction", "baseline", "verdict",
            "reason", "seconds", "cost"} <= set(first)  # fmt: skip


def test_progress_is_told_to_a_callable(acme, capsys: pytest.CaptureFixture[str]) -> None:
    acme("claim('acme_measures:plain')")
    seen: list[tuple[int, int]] = []
    kr.verify(progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]
    kr.verify()
    assert capsys.readouterr().err == ""  # no terminal, no bar
    with Progress(2, True, what="Claims", unit="claim") as bar:
        bar.advance()
    assert "Claims" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("one", "code"),
    [
        ("claim('acme_measures:plain')", 0),
        ("claim('acme_measures:plain', needs='no_such_library')", 0),
        ("claim('acme_measures:plain', threshold=2.0)", 1),
        ("claim('acme_measures:raises')", 1),
    ],
)
def test_exit_codes_of_the_command(acme, capsys: pytest.CaptureFixture[str], one: str, code: int) -> None:
    acme(one)
    assert cli.main(["verify"]) == code
    out = capsys.readouterr().out
    assert "2 claims" in out
    assert ("neither confirmed nor refuted" in out) == ("needs" in one)
    assert ("FAIL  acme.one: Acme wins: " in out) == (code == 1)


def test_the_command_with_names(acme, capsys: pytest.CaptureFixture[str]) -> None:
    acme("claim('acme_measures:prints')")
    assert cli.main(["verify", "acme.two", "acme.*", "--json", "--seed", "5"]) == 0
    done = capsys.readouterr()
    data = json.loads(done.out)  # what a measure prints is not among it
    assert "chatter" in done.err
    assert [claim["entry"] for claim in data["claims"]] == ["acme.one", "acme.two"]
    assert data["rng"] == 5
    assert cli.main(["verify", "acme.none"]) == 0
    assert capsys.readouterr().out == "no claims found\n"
    assert cli.main(["verify", "acme.one", "acme.tow"]) == 3
    done = capsys.readouterr()
    assert "acme.two" in done.err
    assert done.out == ""


def test_a_plain_number_is_a_measurement_without_a_baseline() -> None:
    assert Measurement(1.0) == Measurement(1.0, None, "", {})
    with pytest.raises(AttributeError):
        Measurement(1.0).value = 2.0  # type: ignore[misc]
