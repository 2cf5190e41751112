"""Entry points, cards and code say the same."""

from __future__ import annotations

import importlib
import importlib.metadata
from pathlib import Path

import pytest
from repository import ROOT, distributions, entry_points, metadata, package, plugins, version

DISTRIBUTIONS = [pytest.param(name, folder, id=name) for name, folder in distributions().items()]


def _cards(name: str, folder: Path) -> list:
    module = metadata(folder)["project"]["entry-points"]["kernreg.plugins"][name]
    return list(importlib.import_module(module).kernreg_cards())


@pytest.mark.parametrize(("name", "folder"), DISTRIBUTIONS)
def test_every_entry_point_resolves_to_a_documented_class_of_its_own(name: str, folder: Path) -> None:
    targets = entry_points(folder)
    assert targets
    for entry, target in targets.items():
        module, _, attribute = target.partition(":")
        found = getattr(importlib.import_module(module), attribute)
        assert isinstance(found, type), entry
        assert module.split(".")[0] == package(name), entry
        assert found.__module__ == module, f"{entry}: name the module that defines {attribute}: {found.__module__}"
        assert ">>>" in (found.__doc__ or ""), f"{entry}: the docstring of {attribute} has no example"
    assert len(set(targets.values())) == len(targets)  # one entry point, one class, one name


@pytest.mark.parametrize(("name", "folder"), DISTRIBUTIONS)
def test_every_entry_has_a_card_and_every_card_an_entry(name: str, folder: Path) -> None:
    cards = _cards(name, folder)
    assert sorted(card.name for card in cards) == sorted(entry_points(folder))
    groups = metadata(folder)["project"]["entry-points"]
    for card in cards:
        assert card.name in groups[f"kernreg.{card.kind}s"], f"{card.name}: its card says it is a {card.kind}"
        assert card.summary, card.name


@pytest.mark.parametrize(("name", "folder"), DISTRIBUTIONS)
def test_registry_shows_what_the_distribution_registers(name: str, folder: Path) -> None:
    import kernreg_core as kr

    found = {card.name: card for card in kr.find(plugin=name)}
    assert set(found) == set(entry_points(folder))
    assert {card.version for card in found.values()} == {version()}
    record = {plugin.name: plugin for plugin in kr.plugins()}[name]
    assert not record.error


@pytest.mark.parametrize(("name", "folder"), DISTRIBUTIONS)
def test_installed_metadata_is_that_of_the_tree(name: str, folder: Path) -> None:
    installed = importlib.metadata.distribution(name)
    groups = metadata(folder)["project"]["entry-points"]
    declared = {(group, entry): target for group, entries in groups.items() for entry, target in entries.items()}
    found = {(e.group, e.name): e.value for e in installed.entry_points if e.group.startswith("kernreg.")}
    assert found == declared, "installed entry points are stale: run make again"
    assert installed.version == version()


def test_version_stands_in_one_place() -> None:
    for name, folder in distributions().items():
        content = metadata(folder)
        assert content["project"]["dynamic"] == ["version"], name
        assert (folder / content["tool"]["hatch"]["version"]["path"]).resolve() == ROOT / "kernreg_core" / "_version.py"


def test_licences_are_one_text() -> None:
    text = (ROOT / "LICENSE").read_bytes()
    assert all((folder / "LICENSE").read_bytes() == text for folder in plugins().values())


def test_no_plugin_imports_another() -> None:
    for name, folder in plugins().items():
        others = [package(other) for other in plugins() if other != name]
        for path in (folder / package(name)).rglob("*.py"):
            lines = path.read_text(encoding="utf-8").splitlines()
            words = [line.split() for line in lines if line.strip().startswith(("import ", "from "))]
            imported = {line[1].split(".")[0] for line in words if len(line) > 1}
            assert not imported & set(others), path
