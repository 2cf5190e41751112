"""Tier 1: light modules load each in their own try, and one that fails leaves the others working."""

from __future__ import annotations

import sys
import threading
import time
from importlib import import_module
from textwrap import dedent

import pytest

import kernreg_core as kr
from kernreg_core.registry import Registry

GOOD = """
    from kernreg_core import Card, hookimpl

    @hookimpl
    def kernreg_cards():
        return [Card(name="good.one", kind="kernel", summary="Good.", domain="vectors", capabilities={"psd"})]
"""
CARDS = "from kernreg_core import hookimpl\n@hookimpl\ndef kernreg_cards():\n"


@pytest.fixture
def with_good(make_plugin):
    make_plugin("acme-good", kernels={"good.one": "acme_good:One"}, light=GOOD)
    return make_plugin


def record(registry: Registry, name: str):
    return next(plugin for plugin in registry.plugins() if plugin.name == name)


def test_a_plugin_with_cards(with_good):
    registry = Registry()
    plugin = record(registry, "acme-good")
    assert (plugin.status, plugin.version, len(plugin.cards)) == ("ok", "1.0", 1)
    card = registry.find("good.one")[0]
    assert (card.plugin, card.version, card.domain) == ("acme-good", "1.0", "vectors")
    assert "acme_good" not in sys.modules  # only create imports it


@pytest.mark.parametrize(
    ("light", "error"),
    [
        ("raise RuntimeError('at import')", "RuntimeError: at import"),
        ("import sys\nsys.exit(3)", "SystemExit: 3"),
        ("import a_library_that_is_not_there", "ModuleNotFoundError"),
        ("def (", "SyntaxError"),
        (CARDS + "    raise ValueError('in the hook')", "ValueError: in the hook"),
        (CARDS + "    return 'text'", "must return a list of Card"),
        (CARDS + "    return [1]", "must return a list of Card"),
        (
            "from kernreg_core import Card, hookimpl\n@hookimpl\ndef kernreg_cards():\n"
            "    return [Card(name='bad.other', kind='kernel')]",
            "has no entry point of that name",
        ),
        (
            "from kernreg_core import Card, hookimpl\n@hookimpl\ndef kernreg_cards():\n"
            "    return [Card(name='bad.one', kind='sampler')]",
            "is a sampler on its card and a kernel",
        ),
        (
            "from kernreg_core import Card, hookimpl\n@hookimpl\ndef kernreg_cards():\n"
            "    return [Card(name='bad.one', kind='kernel')] * 2",
            "two cards",
        ),
        ("from kernreg_core import hookimpl\n@hookimpl\ndef kernreg_cards(unknown): ...", "kernreg_cards"),
        ("from kernreg_core import hookimpl\n@hookimpl\ndef kernreg_no_such_hook(): ...", "kernreg_no_such_hook"),
    ],
)  # fmt: skip
def test_a_broken_plugin_keeps_its_names_and_leaves_the_others_working(with_good, light, error):
    make_plugin = with_good
    module = "class One:\n    domain = 'vectors'\n    def __call__(self, X, Y=None): return 'works'\n"
    make_plugin("acme-bad", kernels={"bad.one": "acme_bad:One"}, light=light, modules={"acme_bad": module})
    registry = Registry()
    broken = record(registry, "acme-bad")
    assert broken.status == "broken"
    assert error in broken.error
    assert registry.names("*.one") == ["bad.one", "good.one"]
    assert registry.create("bad.one")(None) == "works"
    assert registry.find(domain="vectors", name="good.*").names == ["good.one"]
    json_ready = broken.to_dict()
    assert json_ready["error"] == broken.error


def test_what_a_plugin_prints_goes_to_stderr(make_plugin, capsys):
    make_plugin("acme-loud", kernels={"loud.one": "acme_loud:One"}, light="print('hello from the plugin')")
    Registry().plugins()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "hello from the plugin" in printed.err
    assert sys.stdout is not sys.stderr


def test_strict_raises(make_plugin, monkeypatch):
    make_plugin("acme-bad", kernels={"bad.one": "acme_bad:One"}, light="raise RuntimeError('at import')")
    monkeypatch.setenv("KERNREG_STRICT", "1")
    with pytest.raises(RuntimeError, match="at import"):
        Registry().plugins()


@pytest.mark.parametrize(
    ("variable", "value"), [("KERNREG_DISABLE", "Acme_Marks,other"), ("KERNREG_PLUGINS", "acme-good")]
)
def test_allow_and_deny_lists_act_before_any_plugin_code(with_good, monkeypatch, tmp_path, variable, value):
    mark = tmp_path / "was imported"
    light = f"open({str(mark)!r}, 'w').close()"
    with_good("acme-marks", kernels={"marks.one": "acme_marks:One"}, light=light)
    monkeypatch.setenv(variable, value)
    registry = Registry()
    assert record(registry, "acme-marks").status == "disabled"
    assert registry.names("*.one") == ["good.one"]
    assert not mark.exists()
    assert "core.sum" in registry.names()  # the core cannot be disabled
    with pytest.raises(kr.UnknownNameError, match=rf"acme-marks 1.0 is installed but disabled: disabled by {variable}"):
        registry.create("marks.one")


def test_a_plugin_for_another_core_is_not_loaded(with_good, tmp_path):
    mark = tmp_path / "was imported"
    light = f"open({str(mark)!r}, 'w').close()"
    with_good("acme-future", kernels={"future.one": "x:One"}, light=light, requires="kernreg-core>=99")
    registry = Registry()
    assert record(registry, "acme-future").status == "incompatible"
    assert not mark.exists()
    with pytest.raises(kr.UnknownNameError, match="needs kernreg-core >=99"):
        registry.create("future.one")


def test_a_requirement_that_cannot_be_read_is_noted(make_plugin):
    make_plugin("acme-odd", kernels={"odd.one": "x:One"}, requires="kernreg-core~=0.1")
    plugin = record(Registry(), "acme-odd")
    assert plugin.status == "ok"
    assert any("~=0.1" in note for note in plugin.notes)


def test_bad_names_and_targets_in_entry_points_are_left_out_and_noted(make_plugin):
    make_plugin("acme-odd", kernels={"NoName": "x:One", "odd.one": "no target", "odd.two": "x:Two"})
    registry = Registry()
    assert registry.names("odd.*") == ["odd.two"]
    assert len(record(registry, "acme-odd").notes) == 2


def test_a_plugin_that_asks_while_it_is_loaded_gets_names_and_no_deadlock(make_plugin):
    light = (
        GOOD
        + """
    from kernreg_core.registry import Registry
    import asking
    seen = asking.registry.names()
"""
    )
    make_plugin(
        "acme-asks", kernels={"good.one": "x:One"}, light=light,
        modules={"asking": "from kernreg_core.registry import Registry\nregistry = Registry()\n"},
    )  # fmt: skip
    import asking

    finished = threading.Event()

    def ask():
        asking.registry.find()
        finished.set()

    threading.Thread(target=ask, daemon=True).start()
    assert finished.wait(20)
    assert record(asking.registry, "acme-asks").status == "ok"
    assert "good.one" in sys.modules["acme_asks_cards"].seen
    assert asking.registry.find("good.one")[0].domain == "vectors"


def test_importing_a_plugin_that_asks_while_another_thread_refreshes_does_not_deadlock(make_plugin):
    light = GOOD + "    import kernreg_core\n    names = kernreg_core.names()\n"
    make_plugin("acme-asks", kernels={"good.one": "x:One"}, light=light)
    from importlib import import_module

    workers = [
        threading.Thread(target=work, daemon=True)
        for work in (kr.refresh, lambda: import_module("acme_asks_cards")) * 4
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
        assert not worker.is_alive()
    kr.refresh()


def test_a_plugin_installed_while_running_is_found_when_its_name_is_asked_for(make_plugin):
    registry = Registry()
    assert "late.one" not in registry.names()
    make_plugin("acme-late", kernels={"late.one": "acme_late:One"}, modules={"acme_late": "class One:\n    pass\n"})
    assert "late.one" not in registry.names()  # snapshots do not change by themselves
    assert type(registry.create("late.one")).__name__ == "One"
    assert "late.one" in registry.names()


def test_slow_cards_warn_once_and_say_how_to_leave_them_out(make_plugin, monkeypatch):
    monkeypatch.setattr("kernreg_core.registry._SLOW", 0.05)
    make_plugin("acme-slow", kernels={"good.one": "x:One"}, light=GOOD + "\n    import time\n    time.sleep(0.1)\n")
    registry = Registry()
    with pytest.warns(kr.KernregWarning, match="KERNREG_DISABLE=acme-slow"):
        registry.find()
    del sys.modules["acme_slow_cards"]
    registry.refresh()  # -W error: a second warning would fail


def test_hooks_are_called_each_in_its_own_try(make_plugin):
    demo = "\n    @hookimpl\n    def kernreg_demo():\n        {body}\n"
    make_plugin("acme-one", kernels={"good.one": "x:One"}, light=GOOD + demo.format(body="return ['demo']"))
    make_plugin("acme-two", kernels={"good.one": "x:One"}, light=GOOD + demo.format(body="raise SystemExit(1)"))
    results = {plugin.name: (value, error) for plugin, value, error in Registry().call_hook("kernreg_demo")}
    assert results["acme-one"] == (["demo"], None)
    assert isinstance(results["acme-two"][1], SystemExit)


def test_a_light_module_imported_first_that_asks_and_registers_at_its_top(make_plugin):
    ask = "import asking\nasking.seen = asking.registry.names()\nasking.registry.register(dict, name='me.x')\n"
    make_plugin(
        "acme-asks", kernels={"good.one": "x:One"}, light=ask + dedent(GOOD),
        modules={"asking": "from kernreg_core.registry import Registry\nregistry = Registry()\n"},
    )  # fmt: skip
    import asking

    finished = threading.Event()

    def work():
        import_module("acme_asks_cards")  # its names are known then, its cards not yet
        finished.set()

    threading.Thread(target=work, daemon=True).start()
    assert finished.wait(20)
    assert "good.one" in asking.seen
    assert asking.registry.find("good.one")[0].domain == "vectors"  # what was half known was not kept
    assert record(asking.registry, "acme-asks").status == "ok"
    assert "me.x" in asking.registry.names()


def test_a_look_that_began_earlier_never_replaces_a_later_one(make_plugin):
    make_plugin("acme-waits", kernels={"waits.one": "x:One"}, light="import gate\ngate.pause()\n", modules={"gate": """
        import threading
        inside, go_on, first = threading.Event(), threading.Event(), [True]
        def pause():
            if first.pop() if first else False:
                inside.set()
                go_on.wait(20)
    """})  # fmt: skip
    import gate

    registry = Registry()
    early = threading.Thread(target=registry.refresh)
    early.start()
    assert gate.inside.wait(20)
    make_plugin("acme-later", kernels={"later.one": "x:One"})
    late = threading.Thread(target=registry.refresh)  # waits for the same module's import
    late.start()
    time.sleep(0.05)
    gate.go_on.set()
    early.join(20)
    late.join(20)
    assert "later.one" in registry.names()


def test_one_light_module_named_twice_is_read_once(make_plugin, tmp_path):
    make_plugin("acme-good", kernels={"good.one": "x:One"}, light=GOOD)
    file = tmp_path / "site" / "acme_good-1.0.dist-info" / "entry_points.txt"
    file.write_text(file.read_text() + "\n[kernreg.plugins]\nagain = acme_good_cards\n")
    assert (record(Registry(), "acme-good").status, len(record(Registry(), "acme-good").cards)) == ("ok", 1)
