"""The installed command ``kernreg``: what scripts read, and the status it ends with."""

from __future__ import annotations

import json
import subprocess

import pytest
from repository import Environment, clean_environ, distributions, entry_points, version

pytestmark = pytest.mark.wheels


def test_list_shows_first_party_entries(everything: Environment) -> None:
    listed = {card["name"]: card for card in json.loads(everything.kernreg("list", "--json").stdout)}
    declared = {name: dist for dist, folder in distributions().items() for name in entry_points(folder)}
    assert {name: card["plugin"] for name, card in listed.items()} == declared
    assert {card["version"] for card in listed.values()} == {version()}
    plain = everything.kernreg("list").stdout
    assert all(name in plain for name in declared)


def test_plugins_and_doctor_are_content_with_the_wheels(everything: Environment) -> None:
    records = json.loads(everything.kernreg("plugins", "--json").stdout)
    assert {record["name"]: record["status"] for record in records} == dict.fromkeys(distributions(), "ok")
    report = json.loads(everything.kernreg("doctor", "--json").stdout)
    assert report["problems"] == []
    assert report["warnings"] == []


def test_version_is_that_of_the_distribution(everything: Environment) -> None:
    assert everything.kernreg("--version").stdout.split() == ["kernreg", version()]


def test_closed_pipe_is_no_traceback(everything: Environment) -> None:
    command = [str(everything.scripts / "kernreg"), "list"]
    reader = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environ(PYTHONUNBUFFERED="1")
    )
    assert reader.stdout is not None
    assert reader.stderr is not None
    reader.stdout.close()
    assert reader.stderr.read() == b""
    reader.stderr.close()
    assert reader.wait(timeout=60) in (0, 141)


def test_list_among_broken_plugins(market: Environment) -> None:
    done = market.kernreg("list", "acme.*", "--json")
    listed = [(card["name"], card["plugin"]) for card in json.loads(done.stdout)]
    assert ("acme.cosine", "acme-cosine") in listed
    assert ("acme.triangle", "acme-cards") in listed
    assert sorted(plugin for name, plugin in listed if name == "acme.clash") == ["acme-cards", "acme-conflict"]
    assert market.kernreg("list", "--quiet", "--text", "triangle").stdout == "acme.triangle\n"


def test_plugins_says_what_is_wrong_and_ends_with_1(market: Environment) -> None:
    done = market.kernreg("plugins", "--json", expect=1)
    records = {record["name"]: record for record in json.loads(done.stdout)}
    assert records["acme-broken"]["status"] == "broken"
    assert "RuntimeError" in records["acme-broken"]["error"]
    assert records["acme-future"]["status"] == "incompatible"
    assert {records[name]["status"] for name in ("kernreg-core", "acme-cosine", "acme-cards")} == {"ok"}


def test_doctor_names_broken_incompatible_and_conflicting_plugins(market: Environment) -> None:
    report = json.loads(market.kernreg("doctor", "--json", expect=1).stdout)
    problems = "\n".join(report["problems"])
    for word in ("acme-broken", "acme-future", "acme.clash"):
        assert word in problems
    assert "acme-cosine" not in problems


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("show", "acme.triangle"), 0),
        (("show", "acme.cosine"), 0),
        (("cite", "acme.triangle"), 0),
        (("cite", "acme.cosine"), 1),
        (("show", "no name"), 2),
        (("bogus",), 2),
        (("show", "acme.nowhere"), 3),
        (("show", "acme.clash"), 4),
        (("show", "acme.clash", "--plugin", "acme-conflict"), 0),
    ],
)
def test_status(market: Environment, arguments: tuple[str, ...], status: int) -> None:
    done = market.kernreg(*arguments, expect=status)
    assert bool(done.stdout) == (status == 0)
    assert "Traceback" not in done.stderr


def test_show_as_json(market: Environment) -> None:
    card = json.loads(market.kernreg("show", "acme.triangle", "--json").stdout)
    assert card["kind"] == "kernel"
    assert card["references"][0]["year"] == 1949
    assert set(card["parameters"]) == {"lengthscale"}
