"""The guide "Write a plugin", followed literally: its commands, one after the other, in a fresh environment."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from repository import CORE, ROOT, Environment, clean_environ, run

pytestmark = pytest.mark.wheels

GUIDE = ROOT / "docs" / "plugin.md"
ENTRY = "acme_kernels.cauchy"


def _commands(language: str = "sh") -> list[str]:
    """Each line of the guide's shell blocks."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


@dataclass
class Guide:
    """Where the guide is followed: an environment, and the folder that its reader stands in."""

    environment: Environment
    folder: Path

    def follow(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run one command of the guide; it must end well."""
        command = shlex.split(line)
        if command[:2] == ["pip", "install"]:
            # What the guide says, through the tests' index and constraints, and with the hatchling that is there.
            what = [argument.replace("./", f"{self.folder}/") for argument in command[2:]]
            self.environment.install("--no-build-isolation", *what)
            return subprocess.CompletedProcess(command, 0, "", "")
        assert command[0] in ("kernreg", "pytest"), f"the guide has a command that this test does not know: {line}"
        command[0] = str(self.environment.scripts / command[0])
        return run(command, cwd=self.folder, env=clean_environ(), timeout=600)


@pytest.fixture(scope="module")
def guide(
    environment: Callable[[str], Environment], wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Guide:
    made = environment("guide")
    made.install(wheels[CORE], "hatchling", "editables")
    return Guide(made, tmp_path_factory.mktemp("guide"))


@pytest.fixture(scope="module")
def written(guide: Guide) -> Path:
    """The plugin that the guide's first two commands write and install."""
    first, second = _commands()[:2]
    assert first == "kernreg new acme-kernels"
    assert second.startswith("pip install ")
    guide.follow(first)
    guide.follow(second)
    return guide.folder / "acme-kernels"


def test_the_guide_has_the_commands_that_are_followed_here() -> None:
    starts = [" ".join(line.split()[:2]) for line in _commands()]
    first = ["kernreg new", "pip install", "kernreg list", "kernreg check", "pytest acme-kernels"]
    assert starts == [*first, "kernreg verify"]


def test_new_writes_and_pip_installs(guide: Guide, written: Path) -> None:
    assert {path.name for path in written.iterdir()} >= {
        ".gitignore",
        "pyproject.toml",
        "README.md",
        "acme_kernels",
        "tests",
    }
    assert guide.environment.installed() >= {"acme-kernels", CORE, "hypothesis", "pytest"}  # by the extra [test]


def test_the_entry_is_found_and_created(guide: Guide, written: Path) -> None:
    (line,) = [line for line in _commands() if line.startswith("kernreg list")]
    (row,) = [row for row in guide.follow(line).stdout.splitlines() if ENTRY in row]
    assert "acme-kernels" in row
    code = (
        "import json, kernreg_core as kr\n"
        f"kernel = kr.create({ENTRY!r}, lengthscale=2.0)\n"
        "found = kr.find(capabilities={'stationary', 'diag'}, plugin='acme-kernels').names\n"
        "print(json.dumps([found, kernel([[0.0], [2.0]]).tolist(), repr(kr.from_spec(kr.spec(kernel)))]))\n"
    )
    found, K, again = json.loads(guide.environment.execute(code).stdout)
    assert found == [ENTRY]
    assert K == [[1.0, 0.5], [0.5, 1.0]]  # 1 / (1 + 2^2 / 2^2)
    assert again == "Cauchy(lengthscale=2.0)"


def test_check_ends_well(guide: Guide, written: Path) -> None:
    (line,) = [line for line in _commands() if line.startswith("kernreg check")]
    said = guide.follow(line).stdout
    assert ENTRY in said
    report = json.loads(guide.follow(f"{line} --json").stdout)
    assert report["passed"]
    assert report["counts"]["failed"] == report["counts"]["unexpected pass"] == 0
    assert report["counts"]["passed"] >= 40


def test_pytest_passes(guide: Guide, written: Path) -> None:
    (line,) = [line for line in _commands() if line.startswith("pytest")]
    closing = guide.follow(line).stdout.strip().splitlines()[-1]
    passed = re.search(r"(\d+) passed", closing)
    assert passed is not None
    assert int(passed[1]) >= 40, closing
    assert not re.search(r"failed|error|warning", closing), closing


def test_a_wrong_kernel_is_caught_by_its_three_lines(guide: Guide, written: Path) -> None:
    """The reader changes the kernel, here into one that is not normalized: what came with it says so."""
    kernels = written / "acme_kernels" / "kernels.py"
    right = kernels.read_text(encoding="utf-8")
    wrong = right.replace("1.0 / (1.0 +", "1.0 / (1.001 +")
    assert wrong != right
    kernels.write_text(wrong, encoding="utf-8")
    try:
        report = json.loads(guide.environment.kernreg("check", ENTRY, "--json", expect=1).stdout)
        assert "normalized" in {found["capability"] for found in report["results"] if found["status"] == "failed"}
        command = [str(guide.environment.scripts / "pytest"), str(written / "tests" / "test_conformance.py"), "-q"]
        run(command, cwd=guide.folder, env=clean_environ(), expect=1)
    finally:
        kernels.write_text(right, encoding="utf-8")


def test_verify_ends_well(guide: Guide, written: Path) -> None:
    (line,) = [line for line in _commands() if line.startswith("kernreg verify")]
    assert "PASS" in guide.follow(line).stdout


def test_doctor_has_nothing_to_say(guide: Guide, written: Path) -> None:
    report = json.loads(guide.environment.kernreg("doctor", "--json").stdout)
    assert report["problems"] == report["warnings"] == []
    records = json.loads(guide.environment.kernreg("plugins", "--json").stdout)
    assert {record["name"]: record["status"] for record in records} == {CORE: "ok", "acme-kernels": "ok"}


def test_its_readme_and_docstrings_run(guide: Guide, written: Path) -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", (written / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    guide.environment.execute(f"{code}\nassert K.shape == (2, 2)")
    guide.environment.execute(
        "import doctest, acme_kernels.kernels as it\n"
        "found = doctest.testmod(it)\n"
        "assert found.attempted >= 1 and not found.failed, found"
    )


@pytest.mark.parametrize("rules", [["--isolated"], ["--config", str(ROOT / "pyproject.toml")]], ids=["default", "ours"])
def test_ruff_is_content(rules: list[str], written: Path) -> None:
    ruff = [sys.executable, "-m", "ruff"]
    run([*ruff, "check", *rules, "."], cwd=written)
    run([*ruff, "format", "--check", *rules, "."], cwd=written)


def test_a_long_name_is_formatted_too(tmp_path: Path, guide: Guide) -> None:
    name = "a-rather-long-name-for-a-distribution-of-kernels"
    guide.environment.kernreg("new", name, "--output", str(tmp_path))
    for action in (["check"], ["format", "--check"]):
        run([sys.executable, "-m", "ruff", *action, "--isolated", "."], cwd=tmp_path / name)
