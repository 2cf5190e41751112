"""What stands where in this repository, and how its distributions are built and installed for a test."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CORE = "kernreg-core"


def version() -> str:
    """Version of every first-party distribution, read as text from the one place where it stands."""
    text = (ROOT / "kernreg_core" / "_version.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise ValueError('kernreg_core/_version.py has no line __version__ = "..."')
    return found[1]


def plugins() -> dict[str, Path]:
    """First-party plugins: name of the distribution -> folder."""
    return {folder.name: folder for folder in sorted((ROOT / "plugins").glob("kernreg-*"))}


def distributions() -> dict[str, Path]:
    """Every first-party distribution: name -> folder."""
    return {CORE: ROOT, **plugins()}


def third_party() -> dict[str, Path]:
    """Third-party distributions that the tests install: name -> folder."""
    return {folder.name: folder for folder in sorted((ROOT / "tests" / "third_party").glob("acme-*"))}


def hostile() -> dict[str, Path]:
    """Distributions that harm on purpose or by mistake: name -> folder."""
    return {folder.name: folder for folder in sorted((ROOT / "tests" / "hostile").glob("evil-*"))}


def package(distribution: str) -> str:
    """Import package of a distribution."""
    return distribution.replace("-", "_")


def metadata(folder: Path) -> dict:
    """Content of a folder's pyproject.toml."""
    return tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))


def entry_points(folder: Path) -> dict[str, str]:
    """Entries that a distribution registers: name -> target."""
    groups = metadata(folder)["project"].get("entry-points", {})
    kinds = ("kernreg.kernels", "kernreg.samplers", "kernreg.solvers")
    return {name: target for kind in kinds for name, target in groups.get(kind, {}).items()}


def build_wheels(folders: list[Path], into: Path) -> dict[str, Path]:
    """Build a wheel of each folder with the hatchling that is installed here; name of the package -> wheel."""
    into.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    run([*command, "--wheel-dir", str(into), *map(str, folders)])
    return {wheel.name.split("-")[0]: wheel for wheel in into.glob("*.whl")}


def run(command: list[str], *, cwd: Path | None = None, env: dict[str, str] | None = None, timeout: float = 600,
        expect: int | None = 0) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Run a command and return what it printed; any other exit status than `expect` raises with the whole output."""
    done = subprocess.run(command, cwd=cwd, env=env, timeout=timeout, capture_output=True, text=True, check=False)
    if expect is not None and done.returncode != expect:
        raise AssertionError(
            f"{shlex.join(command)}\nended with {done.returncode}, expected {expect}\n"
            f"--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"
        )
    return done


def clean_environ(**extra: str) -> dict[str, str]:
    """Environment variables without what this test run or its caller set for Python, pytest or kernreg."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("KERNREG_", "PYTHON", "PYTEST", "COV_"))}
    data = os.environ.get("KERNREG_DATA")
    return {**kept, **({"KERNREG_DATA": data} if data else {}), **extra}


@dataclass(frozen=True)
class Environment:
    """A fresh virtual environment.

    Attributes
    ----------
    folder : Path
        Where it stands.
    """

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> Environment:
        """Make an empty environment, with pip, in `folder`."""
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True, symlinks=os.name != "nt")
        return cls(folder)

    @property
    def scripts(self) -> Path:
        """Folder of the commands."""
        return self.folder / ("Scripts" if os.name == "nt" else "bin")

    @property
    def python(self) -> str:
        """Path of the interpreter."""
        return str(self.scripts / "python")

    def install(self, *what: str | Path, dependencies: bool = True) -> None:
        """Install wheels or names, through constraints.txt and the caller's PIP_FLAGS."""
        command = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command += ["--constraint", str(ROOT / "constraints.txt"), *shlex.split(os.environ.get("PIP_FLAGS", ""))]
        run([*command, *([] if dependencies else ["--no-deps"]), *map(str, what)], env=clean_environ())

    def execute(self, code: str, *, expect: int | None = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run Python code, outside the repository."""
        command = [self.python, "-c", code]
        return run(command, cwd=self.folder, env=clean_environ(**variables), expect=expect, timeout=120)

    def kernreg(self, *arguments: str, expect: int | None = 0, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the command ``kernreg``, outside the repository."""
        command = [str(self.scripts / "kernreg"), *arguments]
        return run(command, cwd=self.folder, env=clean_environ(**variables), expect=expect, timeout=120)

    def installed(self) -> set[str]:
        """Names of the installed distributions, in lower case."""
        code = "import importlib.metadata as m; print(*{d.metadata['Name'].lower() for d in m.distributions()})"
        return set(self.execute(code).stdout.split())
