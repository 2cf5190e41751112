"""The command ``kernreg new``: names, what is written, and that nothing is written over or left behind."""

import ast
import importlib
import json
import os
import re
import stat
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from kernreg_core import cli
from kernreg_core.cli import new
from kernreg_core.discovery import gate
from kernreg_core.errors import ParameterError
from kernreg_core.vocabulary import FAMILIES, parse_name

FILES = [
    ".gitignore",
    "README.md",
    "acme_kernels/__init__.py",
    "acme_kernels/cards.py",
    "acme_kernels/claims.py",
    "acme_kernels/examples.py",
    "acme_kernels/kernels.py",
    "pyproject.toml",
    "tests/test_conformance.py",
    "tests/test_values.py",
]


@pytest.fixture
def kernreg(capsys):
    """Run the command in this process: (exit code, stdout, stderr)."""

    def run(*arguments):
        code = cli.main(list(map(str, arguments)))
        return code, *capsys.readouterr()

    return run


def _files(folder: Path) -> dict[str, str]:
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in found}


# --- names


@pytest.mark.parametrize(
    ("given", "distribution", "package"),
    [
        ("acme-kernels", "acme-kernels", "acme_kernels"),
        ("acme", "acme", "acme"),
        ("Acme.Kernels", "acme-kernels", "acme_kernels"),
        ("acme__-.kernels", "acme-kernels", "acme_kernels"),  # PEP 503: any run of them is one hyphen
        ("a2-3d", "a2-3d", "a2_3d"),
        ("kernregister", "kernregister", "kernregister"),  # begins with the letters, not with the word
        ("my-graph", "my-graph", "my_graph"),
        ("match", "match", "match"),  # a keyword in a match statement only
    ],
)
def test_good_names(given, distribution, package):
    names = new.names_for(given)
    assert (names.distribution, names.package) == (distribution, package)
    assert parse_name(names.entry) == (package, "cauchy")


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ("", "letters"),
        ("acme kernels", "letters"),
        ("-acme", "letters"),
        ("acme-", "letters"),
        ("acme/kernels", "letters"),
        ("..", "letters"),
        ("../acme", "letters"),
        ("acmé", "letters"),
        ("acme\n", "letters"),
        ("acme;rm", "letters"),
        ("2acme", "begin with a letter"),
        ("class", "keyword"),
        ("json", "hide"),
        ("Email", "hide"),
        ("numpy", "hide"),
        ("tests", "hide"),
        ("kernreg", "kernreg's own"),
        ("kernreg-foo", "kernreg's own"),
        ("KernReg_Foo", "kernreg's own"),
        ("kernreg.core", "kernreg's own"),
        *((family, FAMILIES[family]) for family in FAMILIES),
        ("Graph", "kernreg-graph"),
    ],
)
def test_bad_names(given, word, tmp_path, kernreg):
    with pytest.raises(ParameterError, match=re.escape(word)) as caught:
        new.names_for(given)
    assert repr(given) in str(caught.value)
    if given.startswith("-"):
        return  # argparse takes it for an option
    code, out, err = kernreg("new", given, "--output", tmp_path)
    assert (code, out, list(tmp_path.iterdir())) == (2, "", [])
    assert err.startswith("kernreg: name: ")


# --- what is written


def test_files_and_the_next_commands_are_shown(tmp_path, kernreg):
    code, out, err = kernreg("new", "acme-kernels", "--output", tmp_path)
    folder = tmp_path / "acme-kernels"
    assert (code, err) == (0, "")
    assert list(_files(folder)) == FILES
    assert list(tmp_path.iterdir()) == [folder]
    lines = out.splitlines()
    assert lines[0] == f"{folder}{os.sep}"
    assert [line.strip() for line in lines[1 : 1 + len(FILES)]] == FILES
    after = [line.strip() for line in lines[lines.index("next:") + 1 :]]
    assert after[1:] == ['pip install -e ".[test]"', "kernreg check acme_kernels.cauchy", "pytest"]
    assert after[0].startswith("cd ")
    assert str(folder) in after[0]


def test_json(tmp_path, kernreg, monkeypatch):
    monkeypatch.chdir(tmp_path)  # --output is the current folder by default
    code, out, _ = kernreg("new", "Acme.Kernels", "--json")
    assert code == 0
    assert json.loads(out) == {
        "folder": str(tmp_path / "acme-kernels"),
        "files": FILES,
        "entry": "acme_kernels.cauchy",
    }


def test_every_file_bears_the_new_name():
    files = new.render(new.names_for("Some.Thing"))
    assert list(files) == sorted(file.replace("acme_kernels", "some_thing") for file in FILES)
    assert not [path for path, text in files.items() if re.search("acme", text, re.IGNORECASE)]
    assert 'parametrize_with_checks(plugin="some-thing")' in files["tests/test_conformance.py"]
    assert "# some-thing" in files["README.md"]


@pytest.mark.parametrize("name", ["acme-kernels", "x", "a-rather-long-name-for-a-distribution-of-kernels"])
def test_what_is_written_parses_and_fits_together(name):
    names = new.names_for(name)
    files = new.render(names)
    modules = {path: ast.parse(text) for path, text in files.items() if path.endswith(".py")}
    project = tomllib.loads(files["pyproject.toml"])
    assert project["project"]["name"] == names.distribution
    assert project["project"]["version"] == "0.1.0"
    assert project["project"]["requires-python"] == ">=3.11"
    assert project["project"]["optional-dependencies"] == {"test": ["kernreg-core[testing]"]}
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == [names.package]
    points = project["project"]["entry-points"]
    assert points["kernreg.plugins"] == {names.distribution: f"{names.package}.cards"}
    assert points["kernreg.kernels"] == {names.entry: f"{names.package}.kernels:Cauchy"}
    for module, name in (("kernels", "Cauchy"), ("examples", "cauchy"), ("claims", "mixture_of_gaussians")):
        body = modules[f"{names.package}/{module}.py"].body
        assert name in {node.name for node in body if isinstance(node, (ast.ClassDef, ast.FunctionDef))}


def test_the_cards_module_imports_the_core_alone():
    for path in ("acme_kernels/cards.py", "acme_kernels/__init__.py"):
        tree = ast.parse(new.render(new.names_for("acme-kernels"))[path])
        imported = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
        assert {getattr(node, "module", None) for node in imported} <= {"kernreg_core"}


def test_the_new_plugin_may_use_this_core():
    project = tomllib.loads(new.render(new.names_for("acme-kernels"))["pyproject.toml"])["project"]
    core, numpy = project["dependencies"]
    assert core == "kernreg-core>=0.1,<1"
    assert gate(core.removeprefix("kernreg-core")) == (True, "")
    assert numpy.startswith("numpy")


@pytest.fixture
def written(tmp_path, kernreg, monkeypatch):
    """Import a module of a plugin that was written just now."""
    assert kernreg("new", "acme-kernels", "--output", tmp_path)[0] == 0
    monkeypatch.syspath_prepend(tmp_path / "acme-kernels")
    yield lambda module: importlib.import_module(f"acme_kernels.{module}")
    for module in [module for module in sys.modules if module.partition(".")[0] == "acme_kernels"]:
        del sys.modules[module]


def test_the_kernel_is_the_cauchy_kernel(written):
    kernel, X = written("examples").cauchy()
    r = np.linalg.norm(X[:, None, :] - X[None, :, :], axis=-1)
    np.testing.assert_allclose(kernel(X), 4 / (4 + r**2), rtol=1e-14)  # the example's length scale is 2
    np.testing.assert_array_equal(kernel.diag(X), np.ones(len(X)))
    assert kernel(X.astype(np.float32)).dtype == kernel.diag(X.astype(np.float32)).dtype == np.float32
    assert kernel.set_params(lengthscale=1e200)(X).min() == 1.0


@pytest.mark.parametrize("bad", [0.0, -1, float("nan"), float("inf"), "1", None, [1.0]])
def test_the_kernel_names_a_bad_parameter(written, bad):
    with pytest.raises(ParameterError, match="lengthscale: expected a number > 0, got"):
        written("kernels").Cauchy(lengthscale=bad)(np.eye(2))


def test_the_kernel_takes_tensors(written):
    torch = pytest.importorskip("torch", reason="the kernel's tensors are torch's")
    kernel, X = written("examples").cauchy()
    tensor = torch.tensor(X, requires_grad=True)
    np.testing.assert_allclose(kernel(tensor).detach().numpy(), kernel(X), rtol=1e-14)
    assert torch.autograd.gradcheck(kernel, (tensor,))


def test_the_card_says_what_the_class_says(written):
    (card,) = written("cards").kernreg_cards()
    kernel, _ = written("examples").cauchy()
    assert card.name == "acme_kernels.cauchy"
    assert (card.domain, card.capabilities) == (kernel.domain, kernel.capabilities)
    assert set(card.parameters) == set(kernel.get_params())
    assert card.example == "acme_kernels.examples:cauchy"
    assert card.summary
    assert card.references


def test_the_claim_holds_with_room_and_can_fail(written):
    (claim,) = written("cards").kernreg_cards()[0].claims
    module, _, function = claim.measure.partition(":")
    measured = getattr(importlib.import_module(module), function)
    assert measured(0) == measured(0) != measured(1)
    assert max(measured(seed) for seed in range(3)) < claim.threshold / 2
    module = importlib.import_module(module)
    right = module.Cauchy
    module.Cauchy = lambda: right(lengthscale=1.05)  # the wrong kernel by 5 % of the length scale
    assert measured(0) > claim.threshold


# --- nothing is written over, nothing is left behind


@pytest.mark.parametrize("there", ["file inside", "a file", "link to a folder", "broken link", "earlier run"])
def test_what_is_there_is_not_touched(there, tmp_path, kernreg):
    output, folder = tmp_path / "output", tmp_path / "output" / "acme-kernels"
    (tmp_path / "elsewhere").mkdir()
    output.mkdir()
    if there == "file inside":
        folder.mkdir()
        (folder / "mine.txt").write_text("mine")
    elif there == "a file":
        folder.write_text("mine")
    elif there == "earlier run":
        assert kernreg("new", "acme-kernels", "--output", output)[0] == 0
        (folder / "pyproject.toml").write_text("mine")
    else:
        folder.symlink_to(tmp_path / ("elsewhere" if there == "link to a folder" else "nowhere"))
    before = _files(tmp_path)
    code, out, err = kernreg("new", "acme-kernels", "--output", output)
    assert (code, out) == (2, "")
    assert "nothing was written" in err
    assert str(folder) in err
    assert _files(tmp_path) == before
    assert list(output.iterdir()) == [folder]
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_an_empty_folder_is_filled(tmp_path, kernreg):
    (tmp_path / "acme-kernels").mkdir()
    assert kernreg("new", "acme-kernels", "--output", tmp_path)[0] == 0
    assert list(_files(tmp_path / "acme-kernels")) == FILES


@pytest.mark.parametrize("output", ["absent", "a file"])
def test_output_must_be_a_folder(output, tmp_path, kernreg):
    (tmp_path / "a file").write_text("")
    code, _, err = kernreg("new", "acme-kernels", "--output", tmp_path / output)
    assert code == 2
    assert "--output" in err
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]


@pytest.mark.parametrize("failing", [3, 9, "rename"])
@pytest.mark.parametrize("problem", [OSError("disk full"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing(failing, problem, tmp_path, kernreg, monkeypatch):
    calls = []

    def fails(self, *arguments, **options):
        calls.append(self)
        if failing == "rename" or len(calls) == failing:
            raise problem
        return write(self, *arguments, **options)

    method = "rename" if failing == "rename" else "write_text"
    write = getattr(Path, method)
    monkeypatch.setattr(Path, method, fails)
    code, out, _ = kernreg("new", "acme-kernels", "--output", tmp_path)
    assert code == (130 if isinstance(problem, KeyboardInterrupt) else 1)
    assert calls
    assert out == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_others_may_read_what_is_written(tmp_path, kernreg):
    before = os.umask(0o022)
    try:
        assert kernreg("new", "acme-kernels", "--output", tmp_path)[0] == 0
    finally:
        os.umask(before)
    folder = tmp_path / "acme-kernels"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / "pyproject.toml").stat().st_mode) == 0o644


def test_new_loads_neither_numpy_nor_any_plugin(tmp_path):
    import subprocess

    code = (
        "import sys; from kernreg_core.cli import main; main(['new', 'acme-kernels'])\n"
        "print([name for name in sys.modules if name in ('numpy', 'pluggy', 'kernreg_core.discovery')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
