"""Temporary plugins for the tests of discovery: a dist-info folder and modules on sys.path."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # sample_kernels, also from pickles in other processes

#: Source of a light module with one card for each given name.
CARDS = """
    from kernreg_core import Card, hookimpl

    @hookimpl
    def kernreg_cards():
        return [{cards}]
"""


def light_module(*cards: str) -> str:
    """Source of a light module that returns these Card expressions."""
    return dedent(CARDS).format(cards=", ".join(cards))


class PluginMaker:
    """Writes distributions into a folder on sys.path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(
        self,
        name: str,
        *,
        kernels: Mapping[str, str] | None = None,
        samplers: Mapping[str, str] | None = None,
        light: str | None = None,
        modules: Mapping[str, str] | None = None,
        version: str = "1.0",
        requires: str | None = "kernreg-core>=0.1,<1",
        folder: Path | None = None,
        egg: bool = False,
    ) -> None:
        """One distribution; `light` is the source of its light module NAME_cards."""
        stem = name.replace("-", "_")
        root = folder or self.folder
        info = root / (f"{stem}-{version}-py3.11.egg-info" if egg else f"{stem}-{version}.dist-info")
        info.mkdir(parents=True)
        lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
        lines += [f"Requires-Dist: {requires}"] if requires else []
        (info / ("PKG-INFO" if egg else "METADATA")).write_text("\n".join(lines) + "\n\nA description.\n")
        groups = []
        if light is not None:
            groups.append(f"[kernreg.plugins]\n{name} = {stem}_cards")
            (root / f"{stem}_cards.py").write_text(dedent(light))
        for group, entries in (("kernels", kernels), ("samplers", samplers)):
            if entries:
                groups.append(f"[kernreg.{group}]\n" + "\n".join(f"{key} = {value}" for key, value in entries.items()))
        (info / "entry_points.txt").write_text("\n\n".join(groups) + "\n")
        for module, source in (modules or {}).items():
            (root / f"{module}.py").write_text(dedent(source))


@pytest.fixture
def make_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A :class:`PluginMaker` whose folder is on sys.path; what its modules import is forgotten afterwards."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield PluginMaker(folder)
    for name in set(sys.modules) - before:
        path = getattr(sys.modules[name], "__file__", None)
        if path and path.startswith(str(folder)):
            del sys.modules[name]
