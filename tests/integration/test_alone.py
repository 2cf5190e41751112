"""Each distribution alone: its wheel and the core's in a fresh environment, with the dependencies that it declares."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from repository import CORE, ROOT, Environment, clean_environ, distributions, package, run

pytestmark = pytest.mark.wheels

# What the tests themselves need. Neither torch nor any peer: the cases that use them skip, and say so.
TOOLS = ("hypothesis", "pytest", "pytest-timeout")
FOREIGN = {"torch", "gpytorch", "networkx", "pandas", "matplotlib", "pennylane"}


def _copy_tests(folder: str, into: Path) -> None:
    """Copy one folder of tests and the settings it runs with, out of reach of the source tree."""
    (into / "tests").mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", into)
    shutil.copy(ROOT / "tests" / "conftest.py", into / "tests")
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "tests" / "tools", into / "tests" / "tools", ignore=unwanted)
    shutil.copytree(ROOT / "tests" / folder, into / "tests" / folder, ignore=unwanted)


@pytest.mark.slow
@pytest.mark.parametrize("name", distributions())
def test_each_distribution_passes_its_own_tests_alone(
    name: str, environment: Callable[[str], Environment], wheels: dict[str, Path], tmp_path: Path
) -> None:
    made = environment(f"alone-{name}")
    made.install(*{wheels[CORE], wheels[name]}, *TOOLS)
    first_party = {found for found in made.installed() if found.startswith("kernreg")}
    assert first_party == {CORE, name}
    assert not FOREIGN & made.installed()

    where = made.execute(f"import {package(name)} as it; print(it.__file__)").stdout.strip()
    assert Path(where).is_relative_to(made.folder.resolve()) or Path(where).is_relative_to(made.folder)

    folder = name.removeprefix("kernreg-")
    _copy_tests(folder, tmp_path)
    command = [str(made.scripts / "pytest"), f"tests/{folder}", "-q", "--timeout=300", "-p", "no:cacheprovider"]
    done = run(command, cwd=tmp_path, env=clean_environ(), timeout=1200)
    closing = done.stdout.strip().splitlines()[-1]
    print(f"{name} alone: {closing}")
    passed = re.search(r"(\d+) passed", closing)
    assert passed is not None
    assert int(passed[1]) >= 10, closing


def test_declared_packages_suffice_to_list_and_create(everything: Environment) -> None:
    code = (
        "import kernreg_core as kr\n"
        "names = [card.name for card in kr.find(kind='kernel') if not card.name.startswith('core.')]\n"
        "broken = {plugin.name: plugin.error for plugin in kr.plugins() if plugin.error}\n"
        "assert not broken, broken\n"
        "for name in names: kr.create(name)\n"
        "print(len(names))\n"
    )
    assert int(everything.execute(code).stdout) >= 10
