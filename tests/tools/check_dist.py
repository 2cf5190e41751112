"""Check built distributions: ``python tests/tools/check_dist.py FOLDER``.

For every first-party distribution the folder must hold one wheel and one sdist of the one version, with the licence,
the marker ``py.typed``, the entry points of its pyproject.toml, and the dependencies that the design allows.
"""

from __future__ import annotations

import configparser
import email
import re
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from repository import CORE, ROOT, distributions, entry_points, package, version

CORE_NEEDS = {"array-api-compat", "numpy", "pluggy", "tqdm"}
CORE_EXTRAS = {"parallel": {"threadpoolctl"}, "store": {"zarr"}, "testing": {"hypothesis", "pytest"}}


def check(folder: Path) -> list[str]:
    """Return what is wrong with the distributions in `folder`, one line each; an empty list is good."""
    problems = [f"{name}: {problem}" for name in distributions() for problem in _check_one(name, folder)]
    if f"## [{version()}]" not in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"):
        problems.append(f"CHANGELOG.md has no heading [{version()}]")
    return problems


def _check_one(name: str, folder: Path) -> Iterator[str]:
    stem = f"{package(name)}-{version()}"
    wheel, sdist = folder / f"{stem}-py3-none-any.whl", folder / f"{stem}.tar.gz"
    for path in (wheel, sdist):
        if not path.is_file():
            yield f"{path.name} is not there"
            return
    others = {path.name for path in folder.glob(f"{package(name)}-*")} - {wheel.name, sdist.name}
    if others:
        yield f"other builds lie beside it: {sorted(others)}"
    with zipfile.ZipFile(wheel) as archive:
        files = {member: archive.read(member) for member in archive.namelist()}
    yield from _check_wheel(name, stem, files)
    with tarfile.open(sdist) as archive:
        members = set(archive.getnames())
    wanted = ("PKG-INFO", "LICENSE", "README.md", "pyproject.toml", f"{package(name)}/py.typed")
    yield from (f"the sdist lacks {file}" for file in wanted if f"{stem}/{file}" not in members)


def _check_wheel(name: str, stem: str, files: dict[str, bytes]) -> Iterator[str]:
    info = f"{stem}.dist-info"
    stray = {file.split("/")[0] for file in files} - {package(name), info}
    if stray:
        yield f"the wheel holds {sorted(stray)} beside its package"
    if f"{package(name)}/py.typed" not in files:
        yield "the wheel lacks py.typed"
    if any("__pycache__" in file for file in files):
        yield "the wheel holds __pycache__"
    if files.get(f"{info}/licenses/LICENSE") != (ROOT / "LICENSE").read_bytes():
        yield "the wheel's LICENSE is not the repository's"
    yield from _check_metadata(name, email.message_from_bytes(files[f"{info}/METADATA"]))
    declared = configparser.RawConfigParser(delimiters=("=",))
    declared.optionxform = str  # type: ignore[assignment,method-assign]  # names are case-sensitive
    declared.read_string(files[f"{info}/entry_points.txt"].decode())
    groups = [group for group in declared.sections() if group != "kernreg.plugins" and group.startswith("kernreg.")]
    built = {entry: target for group in groups for entry, target in declared.items(group)}
    if built != entry_points(distributions()[name]):
        yield "the wheel's entries are not those of pyproject.toml"


def _check_metadata(name: str, metadata: email.message.Message) -> Iterator[str]:
    expected = {"Name": name, "Version": version(), "License-Expression": "Apache-2.0", "License-File": "LICENSE",
                "Requires-Python": ">=3.11", "Description-Content-Type": "text/markdown"}  # fmt: skip
    for field, value in expected.items():
        if metadata[field] != value:
            yield f"{field} is {metadata[field]!r}, expected {value!r}"
    needs: dict[str, set[str]] = {}
    ranges: dict[str, str] = {}
    for line in metadata.get_all("Requires-Dist", []):
        requirement, _, marker = line.partition(";")
        found = re.match(r"\s*([A-Za-z0-9._-]+)(?:\[[^]]*\])?\s*(.*)", requirement)
        extra = re.search(r"extra == ['\"]([^'\"]+)['\"]", marker)
        if found is not None:
            needs.setdefault(extra[1] if extra else "", set()).add(found[1].lower())
            ranges[found[1].lower()] = found[2].strip()
    if name == CORE:
        if needs.pop("", set()) != CORE_NEEDS:
            yield f"the core needs other than {sorted(CORE_NEEDS)}"
        yield from (
            f"extra [{extra}] is {sorted(got)}" for extra, got in needs.items() if got != CORE_EXTRAS.get(extra)
        )
    else:
        major, minor = (int(part) for part in version().split(".")[:2])
        bounds = {f">={major}.{minor}", f"<{major}.{minor + 1}"}
        if set(ranges.get(CORE, "").split(",")) != bounds:
            yield f"requires {CORE} {ranges.get(CORE)!r}, expected {','.join(sorted(bounds, reverse=True))}"


def main(arguments: list[str]) -> int:
    """Print what is wrong, or what was checked; return the exit status."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print("usage: python tests/tools/check_dist.py FOLDER", file=sys.stderr)
        return 2
    problems = check(Path(arguments[0]))
    print("\n".join(problems) or f"{len(distributions())} distributions {version()}: wheel and sdist are in order")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
