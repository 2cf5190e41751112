"""The command ``kernreg``: what it prints, its exit codes, what it loads, and broken plugins, pipes and arguments."""

import json
import os
import re
import signal
import subprocess
import sys
import textwrap

import pytest

from kernreg_core import cli
from kernreg_core.cli import doctor
from kernreg_core.registry import registry

CARDS = """
from kernreg_core import Card, Claim, Reference, hookimpl

PAPER = Reference(title="On Acme Kernels", authors=("Ann Acme",), year=1999, doi="10.1/acme", arxiv="9901.00001")

@hookimpl
def kernreg_cards():
    return [
        Card(name="acme.one", kind="kernel", summary="First of all.", domain="vectors", capabilities={"psd", "diag"},
             tags={"radial"}, references=(PAPER,), parameters={"lengthscale": "of every feature"}, aliases=("uno",),
             claims=(Claim(paper=PAPER, statement="Acme wins", measure="acme_good.claims:wins", threshold=2.5,
                           direction=">=", cost=3.0, needs=("luck",)),)),
        Card(name="acme.points", kind="sampler", summary="Some points."),
        Card(name="acme.fit", kind="solver", summary="Fits.", tags={"regression"}),
    ]
"""
OBJECTS = '''
class One:
    """First of all."""
    domain = "vectors"
    capabilities = frozenset({"psd", "diag"})
    def __call__(self, X, Y=None, /): ...
    def diag(self, X): ...

class Bare:
    """Has no card."""
    domain = "graphs"
    capabilities = frozenset({"symmetric"})
    def __call__(self, X, Y=None, /): ...
'''


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Write distributions into a folder of the path, and let the registry see them and no other but the core."""
    names = []
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "400")

    def write(name, modules, entry_points, version="1.2", requires="kernreg-core>=0.1,<1"):
        package = name.replace("-", "_")
        for module, source in modules.items():
            path = tmp_path / package / f"{module}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(textwrap.dedent(source))
        info = tmp_path / f"{package}-{version}.dist-info"
        info.mkdir()
        lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
        (info / "METADATA").write_text(
            "\n".join([*lines, *([f"Requires-Dist: {requires}"] if requires else [])]) + "\n"
        )
        (info / "entry_points.txt").write_text(textwrap.dedent(entry_points))
        names.append(name)
        monkeypatch.setenv("KERNREG_PLUGINS", ",".join(names))
        registry.refresh()

    yield write
    monkeypatch.undo()
    for module in [module for module in sys.modules if module.partition(".")[0].startswith("acme")]:
        del sys.modules[module]
    runtime = registry._runtime
    registry.__init__()  # forget what the removed modules gave
    registry._runtime = runtime


@pytest.fixture
def good(install):
    install(
        "acme-good",
        {"__init__": "", "cards": CARDS, "objects": OBJECTS},
        """
        [kernreg.plugins]
        acme = acme_good.cards
        [kernreg.kernels]
        acme.one = acme_good.objects:One
        acme.bare = acme_good.objects:Bare
        [kernreg.samplers]
        acme.points = acme_good.objects:One
        [kernreg.solvers]
        acme.fit = acme_good.objects:One
        """,
    )


@pytest.fixture
def kernreg(capfd):
    """Run the command in this process: (exit code, stdout, stderr)."""

    def run(*arguments):
        code = cli.main(list(arguments))
        out, err = capfd.readouterr()
        return code, out, err

    return run


def names_in(out):
    return [line.split()[0] for line in out.splitlines()[2:]]


# --- list ------------------------------------------------------------------------------------

CORE = ["core.normalized", "core.power", "core.product", "core.scaled", "core.sum"]


def test_list_shows_every_entry(kernreg, good):
    code, out, err = kernreg("list")
    assert code == 0
    assert names_in(out) == ["acme.bare", "acme.fit", "acme.one", "acme.points", *CORE]
    assert "First of all." in out
    assert "acme-good 1.2" in out
    assert not err
    assert kernreg("list", "--sort", "name")[1] == out  # the plain and the parsed form are one


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["acme.*"], ["acme.bare", "acme.fit", "acme.one", "acme.points"]),
        (["acme.one", "*.sum"], ["acme.one", "core.sum"]),
        (["--kind", "solver"], ["acme.fit"]),
        (["--kind", "solver", "--kind", "sampler"], ["acme.fit", "acme.points"]),
        (["--plugin", "acme-good", "--kind", "kernel"], ["acme.bare", "acme.one"]),
        (["--domain", "vectors"], ["acme.one"]),
        (["--capability", "psd", "--capability", "diag"], ["acme.one"]),
        (["--capability", "psd", "--capability", "features"], []),
        (["--tag", "regression"], ["acme.fit"]),
        (["--paper", "10.1/acme"], ["acme.one"]),
        (["--paper", "9901.00001"], ["acme.one"]),
        (["--text", "uno"], ["acme.one"]),
        (["nothing.*"], []),
    ],
)
def test_list_filters(kernreg, good, arguments, expected):
    code, out, _ = kernreg("list", "--quiet", *arguments)
    assert (code, out.split()) == (0, expected)
    code, out, _ = kernreg("list", "--json", *arguments)
    assert [card["name"] for card in json.loads(out)] == expected


def test_list_says_how_many_have_no_card(kernreg, good):
    code, out, err = kernreg("list", "--domain", "vectors")
    assert names_in(out) == ["acme.one"]
    assert re.search(r"1 without a card", err)
    code, out, err = kernreg("list", "nothing.*")
    assert (code, out) == (0, "")
    assert "0 entries" in err


def test_list_fields_and_sort(kernreg, good):
    _, out, _ = kernreg("list", "acme.*", "--fields", "name,capabilities,version", "--sort", "kind")
    lines = [line.split("  ") for line in out.splitlines()]
    assert [cell.strip() for cell in lines[0] if cell] == ["name", "capabilities", "version"]
    assert names_in(out) == ["acme.bare", "acme.one", "acme.points", "acme.fit"]
    assert "diag, psd" in out
    _, out, _ = kernreg("list", "acme.one", "--json", "--fields", "name,tags")
    assert json.loads(out) == [{"name": "acme.one", "tags": ["radial"]}]


def test_list_is_cut_to_a_terminal_and_not_in_a_pipe(kernreg, good, monkeypatch):
    from kernreg_core.cli import entries

    _, piped, _ = kernreg("list")
    monkeypatch.setattr(entries, "terminal_width", lambda: 50)
    _, out, _ = kernreg("list")
    assert max(map(len, out.splitlines())) <= 50 < max(map(len, piped.splitlines()))
    assert "9 entries" in out


# --- show and cite ---------------------------------------------------------------------------


def test_show_renders_the_whole_card(kernreg, good):
    code, out, _ = kernreg("show", "acme.one")
    assert code == 0
    for part in (
        "acme.one: a kernel from acme-good 1.2",
        "First of all.",
        "also known as uno",
        "domain: vectors",
        "  psd   positive semi-definite",
        "  radial  ",
        "  lengthscale  of every feature",
        "Ann Acme. On Acme Kernels. 1999. arXiv:9901.00001. doi:10.1/acme.",
        "Acme wins (measured >= 2.5, about 3 s; needs luck)",
        'kernel = kr.create("acme.one")',
    ):
        assert part in out
    data = json.loads(kernreg("show", "acme.one", "--json")[1])
    assert data["capabilities"] == ["diag", "psd"]
    assert data["claims"][0]["threshold"] == 2.5
    assert "kr.gram(kernel, X)" in data["usage"]


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("acme.points", "points = sampler.sample(1024)"),
        ("acme.fit", "model.fit(X, y)"),
        ("core.sum", 'kernel = kr.create("core.sum", ...)'),
    ],
)
def test_show_says_how_to_use_each_kind(kernreg, good, name, code):
    assert code in kernreg("show", name)[1]


def test_show_fills_a_missing_card_from_the_class(kernreg, good):
    assert "acme_good.objects" not in sys.modules
    code, out, _ = kernreg("show", "acme.bare")
    assert code == 0
    assert "acme_good.objects" in sys.modules
    assert "Has no card." in out
    assert "domain: graphs" in out


def test_cite(kernreg, good):
    code, out, _ = kernreg("cite", "acme.one")
    assert code == 0
    assert out.startswith("@misc{acme1999acme,\n")
    assert "10.1/acme" in out
    assert json.loads(kernreg("cite", "acme.one", "--json")[1])["references"][0]["bibtex"] == out.strip()


def test_cite_without_reference(kernreg, good):
    code, out, err = kernreg("cite", "acme.fit")
    assert (code, out) == (1, "")
    assert "names no reference" in err


# --- errors ----------------------------------------------------------------------------------


def test_unknown_name(kernreg, good):
    code, out, err = kernreg("show", "acme.onne")
    assert (code, out) == (3, "")
    assert "'acme.one'" in err
    assert len(err.splitlines()) <= 2
    code, _, err = kernreg("cite", "qmc.sobol")
    assert code == 3
    assert "pip install kernreg-qmc" in err


def test_name_conflict_and_its_way_out(kernreg, good, install):
    install("acme-twin", {"__init__": "", "objects": OBJECTS}, "[kernreg.kernels]\nacme.one = acme_twin.objects:One\n")
    code, out, err = kernreg("show", "acme.one")
    assert (code, out) == (4, "")
    assert "acme-good 1.2" in err
    assert "acme-twin 1.2" in err
    code, out, _ = kernreg("show", "acme.one", "--plugin", "acme-good")
    assert code == 0
    assert 'kr.create("acme.one", plugin="acme-good")' in out
    assert kernreg("list", "acme.one", "--json")[1].count('"acme.one"') == 2


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["list", "--kind", "animal"],
        ["list", "--fields", "name,colour"],
        ["show"],
        ["show", "NoName"],
        ["doctor", "--timeout", "-1"],
        ["demo", "--seed", "x"],
    ],
)
def test_usage_errors(kernreg, arguments):
    code, out, err = kernreg(*arguments)
    assert (code, out) == (2, "")
    assert err
    assert "Traceback" not in err


def test_help_and_version(kernreg):
    from kernreg_core import __version__

    assert kernreg("--version") == (0, f"kernreg {__version__}\n", "")
    code, out, _ = kernreg("--help")
    assert code == 0
    assert "exit codes" in out
    for command in ("list", "show", "plugins", "doctor", "cite", "demo"):
        assert re.search(rf"^    {command} ", out, re.M)
        assert "--json" in kernreg(command, "--help")[1]


def test_unexpected_errors_are_two_lines_and_strict_shows_them(kernreg, monkeypatch):
    from kernreg_core.cli import entries

    def fail():
        raise RuntimeError("out of\n\nacme")

    monkeypatch.setattr(entries, "run_plain", fail)
    code, _, err = kernreg("list")
    assert code == 1
    assert err.splitlines() == ["kernreg: RuntimeError: out of acme", "KERNREG_STRICT=1 shows the traceback."]
    monkeypatch.setenv("KERNREG_STRICT", "1")
    with pytest.raises(RuntimeError, match="acme"):
        cli.main(["list"])


def test_interrupt(kernreg, monkeypatch):
    from kernreg_core.cli import entries

    def fail():
        raise KeyboardInterrupt

    monkeypatch.setattr(entries, "run_plain", fail)
    assert kernreg("list") == (130, "", "")


# --- in a process of its own ------------------------------------------------------------------


def command(*arguments, **options):
    return subprocess.Popen([sys.executable, "-m", "kernreg_core.cli", *arguments], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **options)  # fmt: skip


def test_broken_pipe_is_quiet(install):
    """More than a pipe holds, and a reader that takes one line."""
    entries = "".join(f"acme.entry{i} = acme_many.objects:One{i}\n" for i in range(3000))
    install("acme-many", {"__init__": ""}, "[kernreg.kernels]\n" + entries)
    for arguments in (["list"], ["list", "--json"]):
        process = command(*arguments)
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(timeout=60) == 141
        assert process.stderr.read() == ""
        process.stderr.close()


def test_output_that_fits_the_pipe_but_nobody_reads(good):
    read, write = os.pipe()
    os.close(read)
    process = subprocess.run([sys.executable, "-m", "kernreg_core.cli", "list"], stdout=write, stderr=subprocess.PIPE)
    os.close(write)
    assert process.returncode == 141
    assert process.stderr == b""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c(install, tmp_path):
    started = tmp_path / "started"
    module = f"import pathlib, time\npathlib.Path({str(started)!r}).touch()\ntime.sleep(60)"
    install("acme-slow", {"__init__": ""}, "")
    (tmp_path / "acme_slow" / "cards.py").write_text(module)
    (tmp_path / "acme_slow-1.2.dist-info" / "entry_points.txt").write_text("[kernreg.plugins]\na = acme_slow.cards\n")
    # a shell starts background jobs with Ctrl-C ignored, which a child inherits: the test may run in one
    process = command("list", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    with process:
        while not started.exists():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")


@pytest.mark.parametrize("arguments", [["list"], ["list", "--kind", "kernel"], ["plugins"], ["show", "core.sum"]])
def test_no_heavy_library_is_loaded(arguments):
    code = (
        "import sys; from kernreg_core.cli import main; main(sys.argv[1:]);"
        "print(*{'argparse', 'json', 'difflib'} & set(sys.modules), file=sys.stderr);"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    *_, light, loaded = done.stderr.splitlines()
    assert not {"numpy", "scipy", "sklearn", "torch", "pennylane", "networkx", "matplotlib", "tqdm"} & set(
        loaded.split()
    )
    if arguments == ["list"]:
        assert light == ""
    else:
        assert "argparse" in light.split()  # else the line above says nothing


# --- plugins and doctor -----------------------------------------------------------------------


def test_plugins(kernreg, good, install):
    code, out, _ = kernreg("plugins")
    assert code == 0
    assert re.search(r"acme-good +1.2 +ok +4 +3 +2 kernels, 1 sampler, 1 solver", out)
    install("acme-bad", {"__init__": "", "cards": "raise SystemExit('no')"}, "[kernreg.plugins]\na = acme_bad.cards\n")
    code, out, _ = kernreg("plugins")
    assert code == 1
    assert re.search(r"acme-bad +1.2 +broken .*SystemExit: no", out)
    code, out, _ = kernreg("plugins", "--json")
    assert code == 1
    assert {plugin["name"]: plugin["status"] for plugin in json.loads(out)}["acme-bad"] == "broken"
    code, out, err = kernreg("list")
    assert code == 0
    assert "not working: acme-bad" in err


def test_doctor_of_a_healthy_installation(kernreg, good):
    code, out, err = kernreg("doctor")
    assert code == 0, out + err
    assert f"Python {sys.version.split()[0]}" in out
    assert re.search(r"numpy \d", out)
    assert re.search(r"acme-good +1.2 +ok +4 +\d+\.\d +none", out)
    assert "no problem found" in out
    report = json.loads(kernreg("doctor", "--json")[1])
    assert report["problems"] == []
    assert {plugin["name"]: plugin["measured"]["heavy"] for plugin in report["plugins"] if "measured" in plugin} == {
        "kernreg-core": [],
        "acme-good": [],
    }


def problems_of(kernreg, *arguments):
    code, out, _ = kernreg("doctor", "--json", *arguments)
    report = json.loads(out)
    assert code == (1 if report["problems"] else 0)
    return report["problems"], report["warnings"]


def one_module(install, source, name="acme-x", **options):
    install(
        name, {"__init__": "", "cards": source}, f"[kernreg.plugins]\na = {name.replace('-', '_')}.cards\n", **options
    )


def test_doctor_names_a_plugin_that_is_not_lazy(kernreg, install):
    one_module(install, "import numpy")
    (problem,), _ = problems_of(kernreg)
    assert problem.startswith("acme-x: its light module imports numpy")


def test_doctor_names_a_slow_plugin(kernreg, install):
    one_module(install, "import time; time.sleep(0.3)")
    problems, (warning,) = problems_of(kernreg)
    assert problems == []
    assert re.match(r"acme-x: its light module takes \d{3,} ms", warning)


def test_doctor_gives_up_on_a_plugin_that_hangs(kernreg, install, monkeypatch):
    one_module(install, "import os, time\nif 'ACME_HANG' in os.environ: time.sleep(60)")
    monkeypatch.setenv("ACME_HANG", "1")
    (problem,), _ = problems_of(kernreg, "--timeout", "1")
    assert problem == "acme-x: did not load within 1 s (--timeout)"


def test_doctor_survives_a_plugin_that_ends_its_interpreter(kernreg, install, monkeypatch):
    one_module(install, "import os\nif 'ACME_EXIT' in os.environ: print('bye', flush=True); os._exit(7)")
    monkeypatch.setenv("ACME_EXIT", "1")
    (problem,), _ = problems_of(kernreg)
    assert "exit code 7" in problem


def test_doctor_hears_a_plugin_that_prints(kernreg, install):
    one_module(install, "print('{}'); import sys; print('kernreg-probe:{}', file=sys.stderr)")
    (problem,), warnings = problems_of(kernreg)
    assert (problem, warnings) == ("acme-x: its light module prints to standard output: '{}'", [])


def test_doctor_hears_what_is_written_below_python(kernreg, install, monkeypatch):
    one_module(install, "import os\nif 'ACME_WRITE' in os.environ: os.write(1, b'kernreg-probe:{}')")
    monkeypatch.setenv("ACME_WRITE", "1")
    assert problems_of(kernreg)[0] == ["acme-x: its light module prints to standard output: 'kernreg-probe:{}'"]


def test_doctor_measures_the_hook_too(kernreg, install, monkeypatch):
    one_module(
        install,
        "import os, time\nfrom kernreg_core import hookimpl\n@hookimpl\ndef kernreg_cards():\n"
        "    import numpy\n    time.sleep(1.1 * ('ACME_SLOW' in os.environ))\n    return []",
    )
    monkeypatch.setenv("ACME_SLOW", "1")
    heavy, slow = problems_of(kernreg)[0]
    assert "imports numpy" in heavy
    assert re.match(r"acme-x: its light module takes 1\d{3} ms to import; 200 ms is the limit", slow)


def test_doctor_reports_broken_and_incompatible_plugins(kernreg, install):
    one_module(install, "raise ValueError('acme')", "acme-bad")
    one_module(install, "", "acme-future", requires="kernreg-core>=99")
    problems, _ = problems_of(kernreg)
    assert problems == [
        "acme-bad: broken: ValueError: acme",
        "acme-future: incompatible: needs kernreg-core >=99, this is 0.1.0",
    ]


def test_doctor_does_not_run_a_disabled_plugin(kernreg, install, monkeypatch, tmp_path):
    one_module(install, f"open({str(tmp_path / 'ran')!r}, 'w').close()")
    (tmp_path / "ran").unlink()
    monkeypatch.setenv("KERNREG_DISABLE", "acme-x")
    registry.refresh()
    assert problems_of(kernreg) == ([], [])
    assert not (tmp_path / "ran").exists()


def test_doctor_warns_of_families_and_unread_requirements(kernreg, install):
    one = {"__init__": OBJECTS}
    install("acme-x", one, "[kernreg.kernels]\ngraph.mine = acme_x:One\n", requires="kernreg-core~=0.1")
    problems, warnings = problems_of(kernreg)
    assert problems == []
    assert any("graph.mine" in warning and "kernreg-graph" in warning for warning in warnings)
    assert any("~=0.1" in warning for warning in warnings)


def test_doctor_warns_of_a_missing_requirement(kernreg, install):
    install("acme-x", {"__init__": OBJECTS}, "[kernreg.kernels]\nacme.mine = acme_x:One\n", requires=None)
    _, (warning,) = problems_of(kernreg)
    assert "Requires-Dist" in warning


def test_doctor_reports_conflicts(kernreg, good, install):
    install("acme-twin", {"__init__": "", "objects": OBJECTS}, "[kernreg.kernels]\nacme.one = acme_twin.objects:One\n")
    (problem,), _ = problems_of(kernreg)
    assert "acme.one is offered by" in problem
    assert "acme-twin 1.2" in problem


def test_doctor_imports_every_object_unless_it_is_to_be_quick(kernreg, install):
    install(
        "acme-x",
        {"__init__": "", "objects": OBJECTS + "number = 3\n"},
        """
        [kernreg.kernels]
        acme.good = acme_x.objects:One
        acme.gone = acme_x.objects:Gone
        acme.nowhere = acme_x.nowhere:One
        acme.number = acme_x.objects:number
        """,
    )
    assert problems_of(kernreg, "--quick") == ([], [])
    problems, _ = problems_of(kernreg)
    assert len(problems) == 3
    for problem, words in zip(
        problems, ("acme.gone .*AttributeError", "acme.nowhere .*ModuleNotFound", "acme.number .*int"), strict=True
    ):
        assert re.search(words, problem)


def test_probe_sees_the_path_of_this_process(install):
    one_module(install, "")
    answer, failure = doctor.probe("acme-x", objects=True, timeout=60)
    assert (failure, answer["status"], answer["error"]) == ("", "ok", "")
