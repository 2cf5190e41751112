"""names, find, card, create, register: what they give and what they say when they cannot."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

import kernreg_core as kr
from kernreg_core.registry import Registry

CARDS = """
    from kernreg_core import Card, Reference, hookimpl

    PAPER = Reference(title="Kernels of Acme", authors=("Ann Author",), year=2001, arxiv="0101.00001", doi="10.1/Acme")

    @hookimpl
    def kernreg_cards():
        return [
            Card(name="acme.cosine", kind="kernel", summary="Angles.", domain="vectors", capabilities={"psd", "diag"},
                 tags={"dot_product"}, references=(PAPER,), aliases=("angular",)),
            Card(name="acme.trees", kind="kernel", summary="Trees.", domain="graphs", capabilities={"psd"}),
            Card(name="acme.points", kind="sampler", summary="Points."),
        ]
"""
OBJECTS = """
    import sys

    class Cosine:
        def __init__(self, *, lengthscale=1.0, depth=2):
            self.lengthscale = lengthscale

    class Trees:
        def __init__(self):
            sys.exit(4)

    class Points:
        pass

    class Bare:
        '''Has no card.

        More of it.
        '''
        domain = "sets"
        capabilities = frozenset({"symmetric"})
        pair_cost = "high"

    NUMBER = 3

    class Outer:
        class Inner:
            pass
"""


@pytest.fixture
def registry(make_plugin):
    make_plugin(
        "acme",
        kernels={"acme.cosine": "acme_objects:Cosine", "acme.trees": "acme_objects:Trees",
                 "acme.bare": "acme_objects:Bare", "acme.gone": "acme_objects:Gone",
                 "acme.number": "acme_objects:NUMBER",
                 "acme.broken": "acme_broken:X",
                 "acme.needs": "acme_needs:X", "acme.inner": "acme_objects:Outer.Inner", "acme.exits": "acme_exits:X"},
        samplers={"acme.points": "acme_objects:Points"},
        light=CARDS,
        modules={"acme_objects": OBJECTS, "acme_broken": "1 / 0", "acme_needs": "import lib_that_is_absent.part",
                 "acme_exits": "raise SystemExit(7)"},
    )  # fmt: skip
    return Registry()


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"domain": "graphs"}, ["acme.trees"]),
        ({"domain": {"graphs", "vectors"}}, ["acme.cosine", "acme.trees"]),
        ({"kind": "sampler"}, ["acme.points"]),
        ({"capabilities": {"psd", "diag"}}, ["acme.cosine"]),
        ({"capabilities": "psd"}, ["acme.cosine", "acme.trees"]),
        ({"tags": "dot_product"}, ["acme.cosine"]),
        ({"text": "ANGULAR author"}, ["acme.cosine"]),
        ({"text": "nothing like it"}, []),
        ({"paper": "0101.00001"}, ["acme.cosine"]),
        ({"paper": "arXiv:0101.00001"}, ["acme.cosine"]),
        ({"paper": "10.1/acme"}, ["acme.cosine"]),
        ({"paper": "acme kernels"}, ["acme.cosine"]),
        ({"kind": "kernel", "text": "trees"}, ["acme.trees"]),
    ],
)
def test_find_filters_compose(registry, filters, names):
    assert registry.find("acme.*", **filters).names == names


def test_find_by_what_metadata_answers_shows_entries_without_a_card(registry):
    assert "acme.bare" in registry.names("acme.*", kind="kernel")
    assert len(registry.find(plugin="acme")) == 10
    assert registry.names(plugin="ac*", name="*.c?sine") == ["acme.cosine"]
    assert registry.find("acme.cosine").names == ["acme.cosine"]


def test_other_filters_leave_them_out_and_say_how_many(registry):
    found = registry.find("acme.*", capabilities="psd")
    assert found.without_card == 7
    assert "7 without a card left out" in repr(found)
    assert registry.find("acme.*").without_card == 0


@pytest.mark.parametrize(
    ("filters", "message"),
    [
        ({"kind": "kernels"}, "did you mean 'kernel'"),
        ({"domain": "vector"}, "did you mean 'vectors'"),
        ({"capabilities": {"features", "differentable"}}, "did you mean 'differentiable'"),
        ({"tags": "nonsense"}, "tags: got 'nonsense'. Expected: radial"),
        ({"text": 3}, "text: expected a string, got int"),
    ],
)
def test_words_outside_the_vocabulary(registry, filters, message):
    with pytest.raises(kr.ParameterError, match=message):
        registry.find(**filters)


def test_a_card_is_filled_from_the_class_when_it_is_asked_for(registry):
    card = registry.card("acme.bare")
    assert (card.summary, card.domain, card.capabilities, card.pair_cost) == (
        "Has no card.",
        "sets",
        {"symmetric"},
        "high",
    )
    assert registry.find(domain="sets", plugin="acme").names == ["acme.bare"]
    assert registry.refresh()
    assert registry.find(domain="sets", plugin="acme").names == ["acme.bare"]


def test_create_passes_parameters(registry):
    assert registry.create("acme.cosine", lengthscale=3.0).lengthscale == 3.0
    assert type(registry.create("acme.inner")).__name__ == "Inner"


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("acme.cosin", kr.UnknownNameError, "Near it: 'acme.cosine' \\(a kernel\\)"),
        ("other.points", kr.UnknownNameError, "'acme.points' \\(a sampler\\)"),
        (
            "quantum.none_such",
            kr.UnknownNameError,
            "kernreg-quantum, which is not installed: pip install kernreg-quantum",
        ),
        ("cosine", kr.ParameterError, "expected 'family.name'.*Near it: 'acme.cosine'"),
        ("Acme.Cosine", kr.ParameterError, "Near it: 'acme.cosine'"),
        (3, kr.ParameterError, "got 3"),
        ("acme.gone", kr.PluginError, "acme 1.0 .*could not be loaded: AttributeError"),
        ("acme.broken", kr.PluginError, "ZeroDivisionError"),
        ("acme.exits", kr.PluginError, "SystemExit: 7"),
        (
            "acme.needs",
            kr.MissingDependencyError,
            "needs 'lib_that_is_absent', which is not installed: pip install lib_that",
        ),
        ("acme.number", kr.PluginError, "is no class or function, but 3"),
        ("acme.trees", kr.PluginError, "called sys.exit\\(4\\)"),
    ],
)
def test_create_says_why_it_cannot(registry, name, error, message):
    with pytest.raises(error, match=message):
        registry.create(name)


def test_building_a_message_loads_nothing(registry):
    import sys

    with pytest.raises(kr.UnknownNameError):
        registry.create("acme.cosinus")
    assert "acme_objects" not in sys.modules


def test_wrong_arguments_name_the_entry_and_what_it_takes(registry):
    with pytest.raises(kr.ParameterError, match=r"'acme.cosine'.*did you mean 'lengthscale'.*lengthscale=1.0, depth=2"):
        registry.create("acme.cosine", lenghtscale=2.0)


def test_one_name_from_two_distributions(registry, make_plugin):
    make_plugin("rival", kernels={"acme.cosine": "rival_objects:Rival"}, version="3.0",
                modules={"rival_objects": "class Rival:\n    pass\n"})  # fmt: skip
    registry.refresh()
    assert [card.plugin for card in registry.find("acme.cosine")] == ["acme", "rival"]
    assert registry.names("acme.cosine") == ["acme.cosine"]
    with pytest.raises(kr.NameConflictError, match=r"acme 1.0, rival 3.0.*plugin='acme'"):
        registry.create("acme.cosine")
    assert type(registry.create("acme.cosine", plugin="rival")).__name__ == "Rival"
    assert type(registry.create("acme.cosine", plugin="acme")).__name__ == "Cosine"
    with pytest.raises(kr.UnknownNameError, match="'third' offers no 'acme.cosine'; it comes from: acme, rival"):
        registry.create("acme.cosine", plugin="third")


class Mine:
    """My kernel."""

    domain = "vectors"
    capabilities = frozenset({"symmetric"})

    def __call__(self, X, Y=None, /):
        return np.zeros((len(X), len(X)))


class Estimator:
    """Predicts."""

    def fit(self, X, y=None):
        return self

    def predict(self, X):
        return X


def test_registration_in_this_process():
    registry = Registry()
    assert registry.register(Mine, name="me.mine", tags={"radial"}) is Mine
    card = registry.card("me.mine")
    assert (card.summary, card.domain, card.tags, card.kind) == ("My kernel.", "vectors", {"radial"}, "kernel")
    assert isinstance(registry.create("me.mine"), Mine)
    registry.register(Mine, name="me.mine")  # a cell that is run again
    registry.register(Estimator, name="me.estimator")
    assert registry.card("me.estimator").kind == "solver"
    with pytest.raises(kr.NameConflictError, match="already registered in this process"):
        registry.register(Estimator, name="me.mine")
    registry.register(Estimator, name="me.mine", replace=True)
    registry.refresh()
    assert registry.names("me.*") == ["me.estimator", "me.mine"]
    registry.unregister("me.mine")
    assert registry.names("me.*") == ["me.estimator"]
    with pytest.raises(kr.UnknownNameError):
        registry.unregister("me.mine")


def test_registration_as_a_decorator_and_its_errors():
    registry = Registry()

    @registry.register(name="me.decorated", domain="graphs")
    class Decorated(Mine):
        pass

    assert registry.card("me.decorated").domain == "graphs"
    assert Decorated.__name__ == "Decorated"
    for arguments, message in [
        ({"name": "bad"}, "expected 'family.name'"),
        ({"name": "me.x", "domain": "nowhere"}, "domain: expected one of"),
        ({"name": "me.x", "colour": "red"}, "colour is no field of a card"),
    ]:
        with pytest.raises(kr.ParameterError, match=message):
            registry.register(Mine, **arguments)
    with pytest.raises(kr.ParameterError, match="expected a class"):
        registry.register(3, name="me.x")
    with pytest.raises(kr.NameConflictError, match="installed kernreg-core"):
        registry.register(Mine, name="core.sum")


def test_a_snapshot_never_changes():
    registry = Registry()
    before = registry.snapshot()
    registry.register(Mine, name="me.mine")
    assert isinstance(before.entries, MappingProxyType)
    assert "me.mine" not in before.entries
    assert "me.mine" in registry.snapshot().entries


def test_reading_and_registering_from_many_threads(registry):
    errors = []

    def work(number):
        try:
            for step in range(20):
                registry.register(Mine, name=f"me.thread_{number}_{step}")
                assert f"me.thread_{number}_{step}" in registry.names("me.*")
                registry.create("acme.cosine")
                if step % 10 == 0:
                    registry.refresh()
        except BaseException as error:
            errors.append(error)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert not worker.is_alive()
    assert not errors
    assert len(registry.names("me.*")) == 120


def test_entry_of_finds_the_name_of_an_object():
    entry = Registry().entry_of(kr.normalize(Mine()))
    assert entry is not None
    assert entry.card.name == "core.normalized"
    assert Registry().entry_of(object()) is None


def test_cite_gives_the_papers_of_a_name_a_card_and_an_object_with_its_parts():
    assert "aronszajn1950" in kr.cite("core.sum")
    assert kr.cite(kr.card("core.sum")) == kr.cite("core.sum")
    both = kr.cite(kr.normalize(2 * kr.normalize(Mine())))
    assert both.count("@") == 2
    assert kr.cite(Mine()).startswith("% ")
    assert "no paper" in kr.cite(Mine())


def test_capabilities_of_names_and_foreign_objects():
    class Foreign:
        def __call__(self, X, Y=None):
            return None

        def diag(self, X):
            return None

        def grad_x(self, X):
            return None

    assert kr.capabilities(Foreign()) == {"diag"}
    assert kr.capabilities(Mine()) == {"symmetric"}
    assert kr.capabilities("core.sum") == frozenset()


def test_listing_behaves_as_a_sequence_and_prints():
    found = kr.find("core.*")
    assert len(found) == 5
    assert found[0].name == "core.normalized"
    assert found[1:3].names == ["core.power", "core.product"]
    assert found == kr.find("core.*")
    lines = repr(found).splitlines()
    assert lines[0].split() == ["name", "kind", "domain", "plugin", "summary"]
    assert lines[-1] == "5 entries"
    assert all(len(line) <= 120 for line in lines)
    html = found._repr_html_()
    assert html.count("<tr>") == 6
    assert "a + b" in html
    assert repr(kr.find("none.such")) == "0 entries"


def test_html_is_escaped():
    registry = Registry()
    registry.register(Mine, name="me.html", summary="a < b & <script>")
    assert "a &lt; b &amp; &lt;script&gt;" in registry.find("me.html")._repr_html_()


@pytest.mark.parametrize("obj", [Mine(), partial(Mine), np.sum(1)])
def test_only_classes_and_functions_are_registered(obj):
    with pytest.raises(kr.ParameterError, match="expected a class or a function that makes the object, got"):
        Registry().register(obj, name="me.x")


def test_the_place_of_a_registration_is_not_the_callers():
    with pytest.raises(kr.ParameterError, match="plugin is the registry's to fill in"):
        Registry().register(Mine, name="me.x", plugin="acme")


def test_builtins_factories_and_classes_that_cannot_be_made_are_registered():
    class Bound(Mine):
        def __init__(self, *, graph):
            self.graph = graph

        @property
        def capabilities(self):
            return frozenset({"psd"})

    def factory(*, scale=1.0):
        return Mine()

    registry = Registry()
    for name, obj in (("me.dict", dict), ("me.bound", Bound), ("me.factory", factory)):
        registry.register(obj, name=name, kind="kernel")
        assert registry.card(name).capabilities == frozenset()
    assert isinstance(registry.create("me.factory", scale=2.0), Mine)


def test_a_library_missing_in_a_constructor_is_named(make_plugin):
    source = "class One:\n    def __init__(self):\n        import sklearn_absent.svm\n"
    absent = "raise ModuleNotFoundError('no', name='sklearn.svm')"
    make_plugin("acme", kernels={"acme.one": "acme_one:One", "acme.two": "acme_two:Two"},
                modules={"acme_one": source, "acme_two": absent})  # fmt: skip
    with pytest.raises(
        kr.MissingDependencyError, match="needs 'sklearn_absent', .*pip install sklearn_absent"
    ) as raised:
        Registry().create("acme.one")
    assert isinstance(raised.value, ImportError)
    assert isinstance(raised.value.__cause__, ModuleNotFoundError)
    with pytest.raises(kr.MissingDependencyError, match="pip install scikit-learn"):
        Registry().create("acme.two")


@pytest.mark.parametrize(
    "paper", ["https://doi.org/10.1/Acme", "http://arxiv.org/abs/0101.00001", "doi:10.1/acme", "ARXIV: 0101.00001"]
)
def test_papers_are_found_by_address(registry, paper):
    assert registry.find(paper=paper).names == ["acme.cosine"]


@pytest.mark.parametrize("bad", [3, [["psd"]], object()])
def test_what_is_no_collection_of_words(registry, bad):
    with pytest.raises(kr.ParameterError, match="capabilities: expected a word or a collection of words"):
        registry.find(capabilities=bad)


def test_a_broken_neighbour_does_not_hide_an_object(make_plugin):
    make_plugin("acme", kernels={"acme.bad": "acme_pack.bad:Same", "acme.good": "acme_pack:Same"})
    import sys

    folder = Path(next(path for path in sys.path if path.endswith("site"))) / "acme_pack"
    folder.mkdir()
    (folder / "__init__.py").write_text("from .home import Same\n")
    (folder / "home.py").write_text("class Same:\n    pass\n")
    (folder / "bad.py").write_text("1 / 0\n")
    registry = Registry()
    entry = registry.entry_of(registry.create("acme.good"))
    assert entry is not None
    assert entry.card.name == "acme.good"


def test_a_summary_of_several_lines_stays_on_its_row():
    registry = Registry()
    registry.register(Mine, name="me.lines", summary="one\n  two")
    assert "one two" in repr(registry.find("me.lines")).splitlines()[2]


def test_cite_gives_papers_of_one_key_keys_of_their_own():
    def card(title):
        paper = kr.Reference(title=title, authors=("Ann Author",), year=2020)
        return kr.Card(name="me.one", kind="kernel", references=(paper,))

    both = kr.Card(
        name="me.two",
        kind="kernel",
        references=card("Same words").references + card("Same letters").references,
    )
    keys = [line for line in kr.cite(both).splitlines() if line.startswith("@")]
    assert keys == ["@misc{author2020same,", "@misc{author2020sameb,"]
