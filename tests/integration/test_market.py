"""Third-party distributions beside the core: sound ones, broken ones, one for a later core, two in conflict."""

from __future__ import annotations

import json

import pytest
from repository import Environment, version

pytestmark = pytest.mark.wheels

SOUND = {"acme.cosine", "acme.triangle", "acme.sound"}


def _report(market: Environment, statements: str, **variables: str) -> dict:
    """Run statements that fill the dictionary ``report``, and return it; standard output holds nothing else."""
    before, after = (
        "import json\nimport kernreg_core as kr\nreport = {}\n",
        "\nprint(json.dumps(report, default=sorted))",
    )
    code = before + statements + after
    return json.loads(market.execute(code, **variables).stdout)


def _error(call: str) -> str:
    """Statements that put the type and text of what a call raises into the report."""
    return (
        f"try:\n    {call}\nexcept Exception as error:\n"
        "    report['error'], report['text'] = type(error).__name__, str(error)\n"
    )


def test_one_line_and_no_card_is_found_and_created(market: Environment) -> None:
    report = _report(
        market,
        "import numpy as np\n"
        "(found,) = kr.find('acme.cosine')\n"
        "report['found'] = [found.name, found.kind, found.plugin, found.version]\n"
        "K = kr.gram(kr.create('acme.cosine'), np.array([[3.0, 4.0], [4.0, 3.0]]))\n"
        "report['K'] = K.round(12).tolist()\n"
        "card = kr.card('acme.cosine')\n"  # filled from the class, now that it is loaded
        "report['card'] = [card.domain, sorted(card.capabilities), card.summary]\n",
    )
    assert report["found"] == ["acme.cosine", "kernel", "acme-cosine", "1.2.0"]
    assert report["K"] == [[1.0, 0.96], [0.96, 1.0]]  # (3*4 + 4*3) / 25
    assert report["card"][:2] == ["vectors", ["normalized", "psd", "symmetric"]]
    assert "angle" in report["card"][2]


def test_an_entry_without_a_card_is_left_out_of_other_filters_and_counted(market: Environment) -> None:
    report = _report(
        market,
        "found = kr.find(domain='vectors', plugin='acme-*')\n"
        "report['names'], report['left out'] = found.names, found.without_card\n",
    )
    assert "acme.cosine" not in report["names"]
    assert "acme.triangle" in report["names"]
    assert report["left out"] >= 1


def test_cards_are_found_and_their_entry_is_created(market: Environment) -> None:
    report = _report(
        market,
        "import numpy as np\n"
        "report['names'] = kr.find(domain='vectors', capabilities={'stationary'}, text='triangle').names\n"
        "triangle = kr.create('acme.triangle', lengthscale=2.0)\n"
        "report['K'] = triangle(np.array([[0.0], [1.0], [5.0]])).tolist()\n"
        "report['repr'] = repr(triangle)\n"
        "report['again'] = repr(kr.from_spec(json.loads(json.dumps(kr.spec(triangle)))))\n"
        "report['cite'] = kr.cite(triangle)\n",
    )
    assert report["names"] == ["acme.triangle"]
    assert report["K"] == [[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]]  # max(0, 1 - |x - y| / 2)
    assert report["repr"] == report["again"] == "Triangle(lengthscale=2.0)"
    assert "Remarks on characteristic functions" in report["cite"]


def test_a_plugin_that_raises_at_import_leaves_everything_else_working(market: Environment) -> None:
    report = _report(
        market,
        "import numpy as np\n"
        "report['records'] = {p.name: [p.version, p.status, p.error] for p in kr.plugins()}\n"
        "report['names'] = kr.names('acme.*')\n"
        "report['made'] = [kr.create(name)(np.eye(2)[:, :1]).shape for name in ('acme.triangle', 'acme.sound')]\n",
    )
    broken = report["records"]["acme-broken"]
    assert broken[:2] == ["0.0.1", "broken"]
    assert "RuntimeError: the cards of acme-broken are broken" in broken[2]
    for name in ("kernreg-core", "acme-cards", "acme-cosine", "acme-conflict"):
        assert report["records"][name][1:] == ["ok", ""], name
    assert set(report["names"]) >= SOUND | {"acme.exits", "acme.absent"}  # broken cards, but still its names
    assert report["made"] == [[2, 2], [2, 2]]


def test_what_a_plugin_prints_goes_to_stderr(market: Environment) -> None:
    done = market.execute("import kernreg_core as kr; list(kr.find())")
    assert "noise from acme-broken" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("name", "error", "text"),
    [
        ("acme.exits", "PluginError", "SystemExit"),
        ("acme.absent", "PluginError", "acme_broken.nowhere"),
    ],
)
def test_a_broken_module_is_an_error_that_names_the_plugin(
    market: Environment, name: str, error: str, text: str
) -> None:
    report = _report(market, _error(f"kr.create({name!r})"))
    assert report["error"] == error
    assert text in report["text"]
    assert name in report["text"]
    assert "acme-broken" in report["text"]


def test_a_plugin_for_a_later_core_is_left_out_unread(market: Environment) -> None:
    report = _report(
        market,
        "import sys\n"
        "report['record'] = {p.name: [p.status, p.error] for p in kr.plugins()}['acme-future']\n"
        "report['loaded'] = [name for name in sys.modules if name.startswith('acme_future')]\n"
        + _error("kr.create('acme.future')"),
    )
    assert report["record"][0] == "incompatible"
    assert ">=99" in report["record"][1]
    assert version() in report["record"][1]
    assert report["loaded"] == []
    assert report["error"] == "UnknownNameError"
    assert "acme-future 9.9.9" in report["text"]
    assert ">=99" in report["text"]


def test_two_offers_of_one_name_are_both_shown_and_one_is_chosen(market: Environment) -> None:
    report = _report(
        market,
        "import numpy as np\n"
        "report['offers'] = sorted([card.plugin, card.version] for card in kr.find('acme.clash'))\n"
        "chosen = [kr.create('acme.clash', plugin=plugin) for plugin in ('acme-cards', 'acme-conflict')]\n"
        "report['chosen'] = [type(kernel).__module__ for kernel in chosen]\n" + _error("kr.create('acme.clash')"),
    )
    assert report["offers"] == [["acme-cards", "0.3.0"], ["acme-conflict", "2.0.0"]]
    assert report["chosen"] == ["acme_cards.kernels", "acme_conflict"]
    assert report["error"] == "NameConflictError"
    for word in ("acme-cards 0.3.0", "acme-conflict 2.0.0", "plugin="):
        assert word in report["text"]


def test_deny_list_acts_before_any_code_of_the_plugin(market: Environment) -> None:
    done = market.execute(
        "import sys, kernreg_core as kr\n"
        "print(kr.names('acme.*'), [name for name in sys.modules if name.startswith('acme_broken')])",
        KERNREG_DISABLE="acme-broken,acme-conflict",
    )
    assert done.stdout.strip() == "['acme.clash', 'acme.cosine', 'acme.triangle'] []"
    assert "noise" not in done.stderr


def test_allow_list_acts_before_any_code_of_the_plugin(market: Environment) -> None:
    done = market.execute(
        "import sys, kernreg_core as kr\n"
        "print(kr.names('acme.*'), sorted(n.split('.')[0] for n in sys.modules if n.startswith('acme')))",
        KERNREG_PLUGINS="acme_cosine",
    )
    assert done.stdout.strip() == "['acme.cosine'] []"
    assert done.stderr == ""


def test_strict_lets_the_error_through(market: Environment) -> None:
    done = market.execute("import kernreg_core as kr; kr.find()", KERNREG_STRICT="1", expect=1)
    assert "RuntimeError: the cards of acme-broken are broken" in done.stderr


def test_what_is_installed_while_running_is_found(market: Environment) -> None:
    """An unknown name refreshes discovery once: here a distribution appears after the first find."""
    report = _report(
        market,
        "import importlib, pathlib, sys, sysconfig\n"
        "kr.names()\n"
        "site = pathlib.Path(sysconfig.get_paths()['purelib'])\n"
        "info = site / 'acme_late-1.0.dist-info'\n"
        "info.mkdir()\n"
        "try:\n"
        "    (info / 'METADATA').write_text('Metadata-Version: 2.1\\nName: acme-late\\nVersion: 1.0\\n')\n"
        "    points = '[kernreg.kernels]\\nacme.late = acme_cosine:Cosine\\n'\n"
        "    (info / 'entry_points.txt').write_text(points)\n"
        "    report['made'] = type(kr.create('acme.late')).__name__\n"
        "finally:\n"
        "    for path in info.iterdir(): path.unlink()\n"
        "    info.rmdir()\n",
    )
    assert report["made"] == "Cosine"
