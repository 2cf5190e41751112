"""Entry points read from installed metadata: names and targets, no code of any plugin.

Folders on ``sys.path`` are scanned directly, which takes a few milliseconds where
importlib.metadata takes tens; what such a scan cannot read (zip files, finders of other
importers) goes through importlib.metadata.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

#: Entry-point group of each kind, and of the light modules.
GROUPS = {"kernreg.kernels": "kernel", "kernreg.samplers": "sampler", "kernreg.solvers": "solver"}
PLUGIN_GROUP = "kernreg.plugins"
_REQUIRES_CORE = re.compile(
    r"^Requires-Dist:[ \t]*kernreg[-_.]core(?![-_.\w])[ \t]*(?:\[[^\]\n]*\])?[ \t]*\(?([^;)\r\n]*)\)?[ \t]*(;.*)?$",
    re.I | re.M,
)


class EntryPoint(NamedTuple):
    """One registered name: where its object is, not the object."""

    name: str
    kind: str
    target: str  #: ``module:qualname``


class Distribution(NamedTuple):
    """An installed distribution with entry points in kernreg's groups."""

    name: str  #: normalised
    version: str
    path: str  #: where its metadata stands
    entries: tuple[EntryPoint, ...]  #: as written; names and targets are not checked yet
    modules: tuple[str, ...]  #: light modules
    read_metadata: Callable[[], str]  #: the text of METADATA

    def requirement(self) -> str | None:
        """The version part of its unconditional ``Requires-Dist: kernreg-core`` line, None if there is none."""
        header = self.read_metadata().partition("\n\n")[0]
        for match in _REQUIRES_CORE.finditer(header):
            if not match[2]:
                return match[1].strip()
        return None


def normalized(name: str) -> str:
    """A distribution's name as the package index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def scan() -> list[Distribution]:
    """Every installed distribution with kernreg entry points; the first on the path wins.

    An ``.egg-info`` counts only where no ``.dist-info`` of that name stands anywhere: one left in
    a source tree must not shadow what is installed.
    """
    found: dict[str, Distribution] = {}
    left_over: list[Distribution] = []
    for path in sys.path:
        folder = path or os.getcwd()
        try:
            names = os.listdir(folder)
        except NotADirectoryError:
            candidates = _imported(path=[folder])
        except OSError:
            continue  # a path that is not there
        else:
            candidates = _scan_folder(folder, names, ".dist-info")
            left_over += _scan_folder(folder, names, ".egg-info")
        for distribution in candidates:
            found.setdefault(distribution.name, distribution)
    if _has_foreign_finders():
        left_over += _imported()
    for distribution in left_over:
        found.setdefault(distribution.name, distribution)
    return list(found.values())


def _scan_folder(folder: str, names: list[str], suffix: str) -> Iterator[Distribution]:
    for name in names:
        if not name.endswith(suffix) or name.startswith("~"):  # pip calls what it is removing ~name
            continue
        info = os.path.join(folder, name)
        try:
            with open(os.path.join(info, "entry_points.txt"), "rb") as file:
                data = file.read()
        except OSError:
            continue  # most distributions have none
        if b"kernreg." not in data:
            continue
        stem, _, version = name.rpartition(".")[0].partition("-")
        is_egg = suffix == ".egg-info"
        read = _reader(os.path.join(info, "PKG-INFO" if is_egg else "METADATA"))
        if is_egg:
            version = version.partition("-py")[0] or _field(read(), "Version")
        distribution = _parsed(normalized(stem), version, info, data.decode("utf-8", "replace"), read)
        if distribution is not None:
            yield distribution


def _field(metadata: str, name: str) -> str:
    match = re.search(rf"^{name}:\s*(\S+)", metadata, re.M)
    return match[1] if match else ""


def _reader(path: str) -> Callable[[], str]:
    def read() -> str:
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.read()
        except OSError:
            return ""

    return read


def _parsed(name: str, version: str, path: str, text: str, read: Callable[[], str]) -> Distribution | None:
    entries: list[EntryPoint] = []
    modules: list[str] = []
    group = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
        elif line and line[0] not in "#;" and (group in GROUPS or group == PLUGIN_GROUP):
            key, delimiter, value = line.partition("=")
            target = value.partition("[")[0].strip()  # extras after the target play no part
            if not delimiter:
                continue
            if group == PLUGIN_GROUP:
                modules.append(target)
            else:
                entries.append(EntryPoint(key.strip().strip("\"'"), GROUPS[group], target))
    if not entries and not modules:
        return None
    return Distribution(name, version, path, tuple(entries), tuple(modules), read)


def _has_foreign_finders() -> bool:
    """Whether an importer other than Python's own can offer distributions."""
    return any(
        hasattr(finder, "find_distributions") and getattr(finder, "__name__", "") != "PathFinder"
        for finder in sys.meta_path
    )


def _imported(**context: Any) -> Iterator[Distribution]:
    from importlib import metadata

    for distribution in metadata.distributions(**context):
        text = distribution.read_text("entry_points.txt") or ""
        if "kernreg." not in text:
            continue
        name = distribution.metadata["Name"] or ""
        path = str(getattr(distribution, "_path", ""))
        read = _text_reader(distribution)
        parsed = _parsed(normalized(name), distribution.version or "", path, text, read)
        if parsed is not None:
            yield parsed


def _text_reader(distribution: Any) -> Callable[[], str]:
    return lambda: distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
