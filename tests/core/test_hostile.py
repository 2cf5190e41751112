"""Plugins that harm: threads, text and output; the installed ones are in tests/integration/test_hostile.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time

import pytest

import kernreg_core as kr
from kernreg_core import _turns, cli
from kernreg_core.cli import objects, output
from kernreg_core.discovery import Plugin, shown
from kernreg_core.listing import printable
from kernreg_core.registry import Registry

ASK = """
    import threading
    from kernreg_core import Card, hookimpl
    import asking

    def ask():
        worker = threading.Thread(target=lambda: asking.seen.append(asking.registry.find().names))
        worker.start()
        worker.join()

    {at_import}

    @hookimpl
    def kernreg_cards():
        {in_hook}
        return [Card(name="asks.one", kind="kernel", summary="Asks.", domain="vectors")]
"""
ASKING = "from kernreg_core.registry import Registry\nregistry, seen = Registry(), []\n"


def record(registry: Registry, name: str) -> Plugin:
    return next(plugin for plugin in registry.plugins() if plugin.name == name)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(_turns, "STUCK", 0.1)
    monkeypatch.setattr("kernreg_core.registry._SLOW", 60.0)


@pytest.mark.parametrize(("at_import", "in_hook"), [("ask()", "pass"), ("pass", "ask()")])
@pytest.mark.parametrize("imported_before", [False, True])
def test_a_plugin_that_waits_for_a_thread_that_asks(make_plugin, impatient, at_import, in_hook, imported_before):
    light = ASK.format(at_import=at_import, in_hook=in_hook)
    make_plugin("acme-asks", kernels={"asks.one": "x:One"}, light=light, modules={"asking": ASKING})
    make_plugin("acme-other", kernels={"other.one": "x:One"})
    import asking

    def work():
        if imported_before:
            __import__("acme_asks_cards")
        asking.registry.find()

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(20)
    assert not worker.is_alive()
    assert {"asks.one", "other.one"} <= set(asking.seen[0])  # the thread got every name
    assert asking.registry.names("asks.*", domain="vectors") == ["asks.one"]  # half an answer was not kept


def test_a_thread_waits_for_one_that_is_busy(impatient):
    """The give-up rule is for threads that wait: a slow import takes longer than that, and is waited for."""
    assert _turns.take_turn("a plugin")
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(_turns.take_turn("a plugin")))
    waiting.start()
    end = time.monotonic() + 0.5
    while time.monotonic() < end:  # busy, in this module
        sum(range(1000))
    assert answers == []
    _turns.end_turn("a plugin")
    waiting.join(10)
    assert answers == [True]
    _turns.end_turn("a plugin")


def test_a_thread_gives_up_on_one_that_waits(impatient):
    assert _turns.take_turn("a plugin")
    assert not _turns.take_turn("a plugin")  # this thread itself: a plugin that asks while it is loaded
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(_turns.take_turn("a plugin")))
    waiting.start()
    waiting.join(10)
    _turns.end_turn("a plugin")
    assert answers == [False]


def test_patience_ends(impatient, monkeypatch):
    monkeypatch.setattr(_turns, "PATIENCE", 0.1)
    monkeypatch.setattr(_turns, "_waits_for_a_thread", lambda thread: False)
    assert _turns.take_turn("a plugin")
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(_turns.take_turn("a plugin")))
    waiting.start()
    waiting.join(10)
    _turns.end_turn("a plugin")
    assert answers == [False]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ("summary=None", "summary: expected a string, got None"),
        ("aliases=(1,)", "aliases: expected a tuple of str, got (1,)"),
        ("references=('text',)", "references: expected a tuple of Reference"),
        ("claims=('text',)", "claims: expected a tuple of Claim"),
        ("parameters={'a': 1}", "parameters: expected a dict of str to str"),
        ("parameters=['a']", "parameters: expected a dict of str to str"),
    ],
)
def test_fields_that_a_query_would_stumble_over_are_the_plugins_failure(make_plugin, fields, words):
    light = (
        "from kernreg_core import Card, hookimpl\n@hookimpl\ndef kernreg_cards():\n"
        f"    return [Card(name='bad.fields', kind='kernel', {fields})]"
    )
    make_plugin("acme-bad", kernels={"bad.fields": "x:One"}, light=light)
    registry = Registry()
    assert record(registry, "acme-bad").status == "broken"
    assert f"the card 'bad.fields': {words}" in record(registry, "acme-bad").error
    registry.find(text="anything", paper="anything")


def test_every_plugin_is_gated_before_code_of_one_runs(make_plugin, monkeypatch):
    monkeypatch.setenv("KERNREG_DISABLE", "nobody")  # so that it is restored
    make_plugin("acme-a", kernels={"a.one": "x:One"}, light="import os\nos.environ['KERNREG_DISABLE'] = 'acme-b'")
    make_plugin("acme-b", kernels={"b.one": "x:One"}, light="")
    assert record(Registry(), "acme-b").status == "ok"


def test_a_requirement_that_no_reader_expects(make_plugin):
    make_plugin("acme-odd", kernels={"odd.one": "x:One"}, requires=f"kernreg-core>={'9' * 5000}")
    plugin = record(Registry(), "acme-odd")
    assert plugin.status == "incompatible"
    assert "its requirement cannot be read: ValueError" in plugin.error


def test_errors_that_cannot_be_shown():
    class Silent(Exception):
        def __str__(self):
            raise SystemExit("gone")

    assert shown(Silent()) == "Silent: (its message cannot be shown: SystemExit)"
    assert len(shown(ValueError("x" * 10_000))) < 1100


def test_a_class_that_exits_when_it_is_described(make_plugin):
    meta = "import sys\nclass Meta(type):\n    domain = property(lambda cls: sys.exit(3))\n"
    module = meta + "class One(metaclass=Meta): ...\n"
    make_plugin("acme-x", kernels={"x.one": "acme_x:One"}, modules={"acme_x": module})
    with pytest.raises(kr.PluginError, match=r"'x.one' from acme-x: no card can be made of its class: SystemExit: 3"):
        Registry().card("x.one")


def test_plugins_without_loading_says_what_metadata_says(make_plugin, monkeypatch, tmp_path):
    mark = tmp_path / "ran"
    light = f"open({str(mark)!r}, 'w').close()"
    make_plugin("acme-x", kernels={"x.one": "acme_x:One"}, light=light)
    make_plugin("acme-off", kernels={"off.one": "acme_x:One"}, light=light)
    make_plugin("acme-later", kernels={"later.one": "acme_x:One"}, light=light, requires="kernreg-core>=99")
    monkeypatch.setenv("KERNREG_DISABLE", "acme-off")
    found = {plugin.name: plugin for plugin in Registry().plugins(load=False)}
    assert not mark.exists()
    assert [found[name].status for name in ("acme-x", "acme-off", "acme-later")] == [
        "not loaded", "disabled", "incompatible",
    ]  # fmt: skip
    assert found["acme-x"].modules == ("acme_x_cards",)
    assert found["acme-x"].entries[0].target == "acme_x:One"
    assert found["acme-off"].requirement == found["acme-x"].requirement == ">=0.1,<1"
    assert found["acme-x"].to_dict()["cards"] is None


def test_command_plugins_no_load_imports_no_light_module(tmp_path):
    code = (
        "import sys; from kernreg_core.cli import main\n"
        "code = main(['plugins', '--no-load'])\n"
        "print(code, 'kernreg_core.cards' in sys.modules, 'pluggy' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["0", "False", "True"]
    assert "kernreg_core.cards" in done.stdout
    assert "not loaded" in done.stdout


# --- output -----------------------------------------------------------------------------------


def test_only_json_stands_on_standard_output(capfd):
    with output.only_json(restore=True):
        print("by Python")
        os.write(1, b"by descriptor\n")
        subprocess.run([sys.executable, "-c", "print('by a child')"], check=True)
        output.print_json({"a": 1})
    print("afterwards")
    os.write(1, b"and below\n")
    out, err = capfd.readouterr()
    assert json.loads(out.partition("afterwards")[0]) == {"a": 1}
    assert "and below" in out
    assert all(f"by {what}\n" in err for what in ("Python", "descriptor", "a child"))


@pytest.mark.skipif(os.name == "nt", reason="descriptors of POSIX")
def test_only_json_where_stderr_is_closed():
    code = (
        "import os; from kernreg_core.cli.output import only_json, print_json\n"
        "with only_json(restore=False): print(1); os.write(1, b'by descriptor'); print_json([1])\n"
        "os.write(1, b'afterwards')"
    )
    command = ["sh", "-c", 'exec "$0" -c "$1" 2>&-', sys.executable, code]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    assert json.loads(done.stdout) == [1]


def test_json_of_what_the_terminal_cannot_encode(capsys, monkeypatch):
    output.print_json({"half a pair": "\ud800"})
    assert json.loads(capsys.readouterr().out) == {"half a pair": "\ud800"}


def test_printable_leaves_what_people_write():
    assert printable("Schölkopf, κ(x, y) = 25\u00a0%\n\tfirst") == "Schölkopf, κ(x, y) = 25\u00a0%\n\tfirst"
    assert printable("a\x1b[31m\x00\u202e\ud800") == r"a\x1b[31m\x00\u202e\ud800"


def test_an_error_cannot_steer_the_terminal(capsys):
    assert cli.main(["show", "no\x1b[2J.name"]) == cli.USAGE
    assert "\x1b" not in capsys.readouterr().err


# --- what objects lack ------------------------------------------------------------------------

OBJECTS = """
    class Plain:
        def __call__(self, X, Y=None, /): ...

    class Half:
        capabilities = frozenset({"gradients"})
        def grad_x(self, X, Y=None): ...
        grad_y = grad_xy = None

    class Whole:
        def __init__(self, *, full=True):
            self.full = full
        @property
        def capabilities(self):
            return frozenset({"psd", "diag"} if self.full else {"psd"})
        def diag(self, X): ...

    class Needs:
        def __init__(self, what): ...

    class Fails:
        def __init__(self): raise ValueError("never")

    def example(): return Whole(full=False), [1.0]
    def made(): return Needs(3), [1.0]
    def bare(): return Whole()
    def lost(): import a_library_that_nobody_has
"""


def faults(make_plugin, target: str, fields: str) -> list[objects.Fault]:
    light = (
        "from kernreg_core import Card, hookimpl\n@hookimpl\ndef kernreg_cards():\n"
        f"    return [Card(name='x.one', kind='kernel', {fields})]"
    )
    make_plugin("acme-x", kernels={"x.one": f"acme_x:{target}"}, light=light, modules={"acme_x": OBJECTS})
    return list(objects.examine(record(Registry(), "acme-x")))


@pytest.mark.parametrize(
    ("target", "fields", "words"),
    [
        ("Plain", "capabilities={'diag'}", ["declares 'diag', but the object has no diag()"]),
        ("Plain", "capabilities={'psd'}", ["declares 'psd', but the object does not declare it"]),
        ("Half", "capabilities={'gradients'}", ["has no grad_y(), grad_xy()"]),
        ("Whole", "capabilities={'psd', 'diag'}", []),
        ("Whole", "capabilities={'diag'}, example='acme_x:example'", []),  # a card states what holds at the defaults
        ("Whole", "capabilities={'solve'}, example='acme_x:example'", ["has no solve(), logdet()"]),
        ("Needs", "capabilities={'psd'}", ["was not compared"]),
        ("Needs", "capabilities={'psd'}, example='acme_x:made'", ["does not declare it"]),
        ("Fails", "capabilities={'psd'}", ["cannot be made with its defaults: ValueError: never"]),
        ("Whole", "example='acme_x:bare'", ["example acme_x:bare gives Whole, and no tuple"]),
        ("Whole", "example='acme_x:gone'", ["example acme_x:gone fails: AttributeError"]),
        ("Whole", "example='os:abort'", ["example names os:abort, which is outside the distribution"]),
        ("Whole", "example='acme_x:lost'", ["needs a_library_that_nobody_has"]),
        ("Gone", "capabilities={'psd'}", ["cannot be loaded: AttributeError"]),
    ],
)
def test_what_a_card_says_beyond_its_object(make_plugin, target, fields, words):
    found = faults(make_plugin, target, fields)
    assert len(found) == len(words)
    assert all(word in fault.text for fault, word in zip(found, words, strict=True))
    assert all(fault.entry == "x.one" and fault.advice for fault in found)


def test_without_a_card_the_object_is_held_to_its_own_word(make_plugin):
    make_plugin("acme-x", kernels={"x.one": "acme_x:Half"}, modules={"acme_x": OBJECTS})
    (fault,) = objects.examine(record(Registry(), "acme-x"))
    assert fault.text == "declares 'gradients', but has no grad_y(), grad_xy()"
