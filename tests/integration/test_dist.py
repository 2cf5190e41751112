"""What `make dist` builds: the wheel from the sdist, metadata, licence files, one version."""

from __future__ import annotations

import shutil
import sys
import tarfile
from pathlib import Path

import pytest
from check_dist import check
from repository import distributions, package, run, version

pytestmark = pytest.mark.wheels


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with the sdist of every distribution and the wheel built from it."""
    folder = tmp_path_factory.mktemp("dist")
    for source in distributions().values():
        run([sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(source)])
    return folder


def test_built_distributions_are_in_order(dist: Path) -> None:
    assert check(dist) == []
    run([sys.executable, "-m", "twine", "check", "--strict", *map(str, dist.iterdir())])


def test_check_notices_what_is_wrong(dist: Path, tmp_path: Path) -> None:
    broken = tmp_path / "dist"
    shutil.copytree(dist, broken)
    (broken / f"kernreg_core-{version()}.tar.gz").unlink()
    (broken / "kernreg_euclidean-9.9.9-py3-none-any.whl").touch()
    problems = check(broken)
    assert [problem.split(":")[0] for problem in problems] == ["kernreg-core", "kernreg-euclidean"]


@pytest.mark.parametrize("name", distributions())
def test_sdist_builds_alone(name: str, dist: Path, tmp_path: Path) -> None:
    with tarfile.open(dist / f"{package(name)}-{version()}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    source = tmp_path / f"{package(name)}-{version()}"
    run([sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(tmp_path), str(source)])
    assert (tmp_path / f"{package(name)}-{version()}-py3-none-any.whl").is_file()
