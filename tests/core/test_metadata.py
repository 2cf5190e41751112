"""Tier 0: entry points from metadata, without running any code of a plugin."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import pytest

from kernreg_core import discovery
from kernreg_core._metadata import Distribution, normalized, scan
from kernreg_core._version import __version__


def found(name: str) -> Distribution | None:
    return next((item for item in scan() if item.name == name), None)


def test_a_dist_info_folder_is_read(make_plugin):
    make_plugin(
        "Acme.Kernels", kernels={'"acme.cosine"': "acme:Cosine [extra]", "acme.other": "acme:Other"}, version="2.3"
    )
    distribution = found("acme-kernels")
    assert distribution is not None
    assert distribution.version == "2.3"
    assert distribution.entries == (("acme.cosine", "kernel", "acme:Cosine"), ("acme.other", "kernel", "acme:Other"))


def test_other_groups_and_comments_are_left_alone(make_plugin, tmp_path):
    make_plugin("acme", kernels={"acme.cosine": "acme:Cosine"})
    info = tmp_path / "site" / "acme-1.0.dist-info" / "entry_points.txt"
    info.write_text(
        "[console_scripts]\nacme = acme:main\n# kernreg. comment\n[kernreg.samplers]\nacme.points = acme:Points\n"
    )
    distribution = found("acme")
    assert distribution is not None
    assert distribution.entries == (("acme.points", "sampler", "acme:Points"),)


def test_dist_info_wins_over_a_stale_egg_info_in_the_same_folder(make_plugin):
    make_plugin("acme", kernels={"acme.old": "acme:Old"}, version="0.1", egg=True)
    make_plugin("acme", kernels={"acme.new": "acme:New"}, version="0.2")
    distribution = found("acme")
    assert distribution is not None
    assert (distribution.version, distribution.entries[0].name) == ("0.2", "acme.new")


def test_an_egg_info_alone_is_read(make_plugin):
    make_plugin("acme", kernels={"acme.old": "acme:Old"}, version="0.1", egg=True)
    distribution = found("acme")
    assert distribution is not None
    assert distribution.version == "0.1"
    assert distribution.requirement() == ">=0.1,<1"


def test_the_first_folder_on_the_path_wins(make_plugin, tmp_path, monkeypatch):
    make_plugin("acme", kernels={"acme.far": "acme:Far"})
    nearer = tmp_path / "nearer"
    make_plugin("acme", kernels={"acme.near": "acme:Near"}, folder=nearer)
    monkeypatch.syspath_prepend(str(nearer))
    distribution = found("acme")
    assert distribution is not None
    assert distribution.entries[0].name == "acme.near"


def test_a_zip_on_the_path_goes_through_importlib_metadata(tmp_path, monkeypatch):
    archive = tmp_path / "acme.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("acme-1.5.dist-info/METADATA", "Name: acme\nVersion: 1.5\nRequires-Dist: kernreg-core>=0.1\n\n")
        file.writestr("acme-1.5.dist-info/entry_points.txt", "[kernreg.kernels]\nacme.zipped = acme:Zipped\n")
    monkeypatch.syspath_prepend(str(archive))
    distribution = found("acme")
    assert distribution is not None
    assert (distribution.version, distribution.entries) == ("1.5", (("acme.zipped", "kernel", "acme:Zipped"),))
    assert distribution.requirement() == ">=0.1"


def test_a_foreign_finder_is_asked(make_plugin, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    make_plugin("acme", kernels={"acme.hidden": "acme:Hidden"}, folder=elsewhere)
    assert found("acme") is None

    class Finder:
        @staticmethod
        def find_spec(*_args):
            return None

        @staticmethod
        def find_distributions(*_args):
            from importlib.metadata import PathDistribution

            yield PathDistribution(elsewhere / "acme-1.0.dist-info")

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    distribution = found("acme")
    assert distribution is not None
    assert distribution.entries[0].name == "acme.hidden"


def test_unreadable_places_on_the_path_are_passed_over(make_plugin, monkeypatch, tmp_path):
    make_plugin("acme", kernels={"acme.cosine": "acme:Cosine"})
    monkeypatch.syspath_prepend(str(tmp_path / "does not exist"))
    assert found("acme") is not None


@pytest.mark.parametrize(
    ("line", "requirement"),
    [
        ("kernreg-core>=0.1,<0.2", ">=0.1,<0.2"),
        ("kernreg_core (>=0.1)", ">=0.1"),
        ("kernreg-core[parallel]<0.2,>=0.1", "<0.2,>=0.1"),
        ("kernreg-core", ""),
        ('kernreg-core>=9; extra == "later"', None),
        ("kernreg-core-extras>=9", None),
    ],
)
def test_the_requirement_line_is_read_as_text(make_plugin, line, requirement):
    make_plugin("acme", kernels={"acme.cosine": "acme:Cosine"}, requires=line)
    distribution = found("acme")
    assert distribution is not None
    assert distribution.requirement() == requirement


def test_a_requirement_in_the_description_does_not_count(make_plugin, tmp_path):
    make_plugin("acme", kernels={"acme.cosine": "acme:Cosine"}, requires=None)
    metadata = Path(tmp_path / "site" / "acme-1.0.dist-info" / "METADATA")
    metadata.write_text(metadata.read_text() + "\nRequires-Dist: kernreg-core>=99\n")
    distribution = found("acme")
    assert distribution is not None
    assert distribution.requirement() is None


@pytest.mark.parametrize(
    ("requirement", "core", "fits", "noted"),
    [
        (">=0.1,<0.2", "0.1.0", True, False),
        (">=0.1,<0.2", "0.1.9", True, False),
        (">=0.1,<0.2", "0.2.0", False, False),
        (">=0.1,<0.2", "0.2", False, False),
        (">=0.10", "0.9", False, False),
        (">=0.1.0", "0.1", True, False),
        ("<0.1", "0.1.0", False, False),
        ("~=0.1", "0.9", True, True),
        ("==5", "0.1", True, True),
        (">=99,!=0.3", "0.1", False, False),
        ("", "0.1", True, False),
        (None, "0.1", True, True),
    ],
)
def test_the_version_gate(requirement, core, fits, noted):
    passed, note = discovery.gate(requirement, core)
    assert passed is fits
    assert bool(note) is noted


def test_this_core_passes_its_own_first_party_requirement():
    assert discovery.gate(">=0.1,<0.2", __version__)[0]


def test_names_are_compared_as_the_index_does():
    assert normalized("Acme_Kernels..More") == "acme-kernels-more"


def test_an_egg_info_nearer_on_the_path_does_not_shadow_what_is_installed(make_plugin, tmp_path, monkeypatch):
    make_plugin("acme", kernels={"acme.new": "acme:New"}, version="0.2")
    source_tree = tmp_path / "source"
    make_plugin("acme", kernels={"acme.old": "acme:Old"}, version="0.1", egg=True, folder=source_tree)
    monkeypatch.syspath_prepend(str(source_tree))
    distribution = found("acme")
    assert distribution is not None
    assert (distribution.version, distribution.entries[0].name) == ("0.2", "acme.new")


def test_an_egg_info_without_a_version_in_its_name_says_it_inside(make_plugin, tmp_path):
    make_plugin("acme", kernels={"acme.old": "acme:Old"}, version="0.7", egg=True)
    site = tmp_path / "site"
    (site / "acme-0.7-py3.11.egg-info").rename(site / "acme.egg-info")
    distribution = found("acme")
    assert distribution is not None
    assert distribution.version == "0.7"


def test_what_pip_is_removing_is_passed_over(make_plugin, tmp_path):
    make_plugin("acme", kernels={"acme.cosine": "acme:Cosine"})
    site = tmp_path / "site"
    (site / "acme-1.0.dist-info").rename(site / "~cme-1.0.dist-info")
    assert [item for item in scan() if "cme" in item.name] == []
