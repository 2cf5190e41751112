"""What a card says is so: in words, in papers, and against the object that its entry makes."""

from __future__ import annotations

import doctest
import inspect
import json
import os
import re
import subprocess
import sys
from functools import lru_cache
from typing import Any

import numpy as np

from ..._card import Card
from ..._parts import METHODS, capabilities_of
from ...api import cite
from ...registry import RUNTIME, registry
from ...vocabulary import FAMILIES, parse_name
from .._checks import NotApplicable, law
from .._subject import Subject, made
from ..items import length
from ._objects import alike, has_params, of_kinds, state_of

#: Libraries that no light module may import.
HEAVY = (
    "numpy", "scipy", "sklearn", "torch", "jax", "tensorflow", "pennylane", "qiskit", "networkx", "matplotlib",
    "pandas", "array_api_compat",
)  # fmt: skip
_MEMBERS = {
    **METHODS,
    "random_features": ("features",),
    "prepare": ("prepare",),
    "solve": ("solve", "logdet"),
    "trainable": ("parameters", "state_dict", "load_state_dict"),
    "fitted": ("fit",),
    "gram_map": ("from_gram",),
    "operator": ("layer", "dense"),
}
#: Members that are there only with one of these capabilities.
_UNDECLARED = {
    "diag": ("diag",),
    "features": ("features", "random_features"),
    "matvec": ("matvec",),
    "grad_x": ("gradients",),
    "grad_y": ("gradients",),
    "grad_xy": ("gradients",),
    "prepare": ("prepare",),
    "solve": ("solve",),
    "logdet": ("solve",),
    "from_gram": ("gram_map",),
    "layer": ("operator",),
}


def _card(subject: Subject) -> Card:
    assert subject.card is not None
    return subject.card


def _has_card(subject: Subject) -> bool:
    return subject.card is not None


def _is_written(subject: Subject) -> bool:
    """Whether an installed plugin wrote the card; others are filled from the class, and say less."""
    card = subject.card
    return card is not None and any(
        card.name == written.name
        for plugin in registry.plugins()
        if plugin.name == card.plugin
        for written in plugin.cards
    )


# -- words -------------------------------------------------------------------------------------------


@of_kinds(applies=_is_written)
def card_has_a_summary(subject: Subject) -> None:
    """The card's summary is one line of 10 to 120 characters that begins with no blank and ends as a sentence."""
    summary = _card(subject).summary
    assert 10 <= len(summary) <= 120, f"the summary has {len(summary)} characters: {summary!r}"
    assert summary == " ".join(summary.split()), f"the summary has line breaks or stray blanks: {summary!r}"
    assert summary[-1] in ".!?)", f"the summary does not end as a sentence: {summary!r}"


@of_kinds(applies=_is_written)
def card_has_references(subject: Subject) -> None:
    """The card names the papers behind the entry, each with a title, an author and a year."""
    references = _card(subject).references
    assert references, "the card names no paper"
    for reference in references:
        assert reference.title.strip(), f"a reference has no title: {reference}"
        assert any(author.strip() for author in reference.authors), f"{reference.title!r} has no author"
        assert 1600 <= (reference.year or 0) <= 2100, f"{reference.title!r} has the year {reference.year}"


@of_kinds(applies=_is_written)
def references_can_be_looked_up(subject: Subject) -> None:
    """Each reference has an arXiv id, a DOI, an address or a venue, written as what it is."""
    for r in _card(subject).references:
        assert r.arxiv or r.doi or r.url or r.venue, f"{r.title!r} has neither arxiv, doi, url nor venue"
        shown = f"{r.title!r}: "
        assert not r.doi or re.fullmatch(r"10\.\d{4,}/\S+", r.doi), f"{shown}{r.doi!r} is no DOI such as '10.1000/x'"
        arxiv = r"(\d{4}\.\d{4,5}|[a-z-]+(\.[A-Z]{2})?/\d{7})(v\d+)?"
        assert not r.arxiv or re.fullmatch(arxiv, r.arxiv), f"{shown}{r.arxiv!r} is no arXiv id such as '2101.00001'"
        assert not r.url or re.match(r"https?://\S+$", r.url), f"{shown}{r.url!r} is no address"


@of_kinds(applies=_is_written)
def cite_gives_bibtex(subject: Subject) -> None:
    """kr.cite gives one BibTeX record for each reference, under keys of their own, with balanced braces."""
    card = _card(subject)
    text = cite(card)
    keys = re.findall(r"^@\w+\{([^,\s]+),$", text, flags=re.MULTILINE)
    assert len(keys) == len(set(card.references)), f"{len(card.references)} references gave the records {keys}"
    assert len(set(keys)) == len(keys), f"two references have one key: {', '.join(keys)}"
    for record in text.split("\n\n"):
        depths = np.cumsum([(c == "{") - (c == "}") for c in record])
        assert (depths[-1], depths.min() < 0) == (0, False), f"unbalanced braces in {record}"


@of_kinds(applies=_is_written)
def card_describes_parameters(subject: Subject) -> None:
    """The card has a line about each parameter of the constructor, and about nothing else."""
    described = _card(subject).parameters
    if any(", " in name for name in described):  # "k1, k2, ...": as many as are given
        raise NotApplicable("it takes any number of parts")
    taken = set(_signature(subject).parameters)
    assert set(described) == taken, (
        f"described but not taken: {sorted(set(described) - taken)}; taken but not described: "
        f"{sorted(taken - set(described))}"
    )
    empty = [name for name, line in described.items() if not line.strip() or "\n" in line]
    assert not empty, f"no line about {', '.join(empty)}"


def _made_by(subject: Subject) -> Any:
    """The registered class or factory, where the card's entry is installed; else the object's class."""
    cls = type(subject.make())
    entry = registry.entry_of(cls)
    if entry is not None:
        return cls
    card = _card(subject)
    loaded = registry.load(card.name, plugin=card.plugin or None)
    return cls if inspect.isclass(loaded) else loaded


def _signature(subject: Subject) -> inspect.Signature:
    return inspect.signature(_made_by(subject))


def _docstring(subject: Subject) -> str:
    """The class's own docstring, not what it inherits."""
    return inspect.cleandoc(vars(_made_by(subject)).get("__doc__") or getattr(_made_by(subject), "__doc__", "") or "")


@of_kinds(applies=_is_written)
def docstring_is_there(subject: Subject) -> None:
    """The class has a docstring of its own, which begins with a line that says what it is."""
    text = _docstring(subject)
    name = _made_by(subject).__name__
    assert text, f"{name} has no docstring"
    first = text.splitlines()[0].strip()
    assert len(first.split()) >= 2, f"the docstring of {name} begins with {first!r}"


@of_kinds(applies=_is_written)
def docstring_states_parameters(subject: Subject) -> None:
    """The class's docstring names every parameter of the constructor."""
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    names = [name for name, parameter in _signature(subject).parameters.items() if parameter.kind not in kinds]
    text = _docstring(subject)
    missing = [name for name in names if not re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text)]
    assert not missing, f"the docstring says nothing of {', '.join(missing)}"


@of_kinds(applies=_is_written)
def docstring_example_runs(subject: Subject) -> None:
    """The class's docstring has an example, and the example gives what it shows."""
    target = _made_by(subject)
    text = _docstring(subject)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    test = doctest.DocTestParser().get_doctest(text, _namespace(target), target.__name__, None, 0)
    assert test.examples, f"the docstring of {target.__name__} has no example (>>>)"
    told: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=flags)
    failed = runner.run(test, out=told.append).failed
    assert not failed, "".join(told)


def _namespace(target: Any) -> dict[str, Any]:
    """The names that the docstring's example sees: those of its module, as pytest gives them."""
    return dict(vars(sys.modules[target.__module__]))


# -- the object --------------------------------------------------------------------------------------


def _states_its_own(subject: Subject) -> bool:
    """Whether the card says what the kernel is: of a composite that follows from its parts."""
    return subject.card is not None and "composite" not in subject.card.tags


@law(applies=_states_its_own)
def card_matches_domain(subject: Subject) -> None:
    """The kernel's domain is the card's."""
    card, domain = _card(subject), getattr(subject.make(), "domain", None)
    assert (domain or None) == card.domain, f"the card says {card.domain!r}, the kernel is on {domain!r}"


@law(applies=_states_its_own)
def card_declares_what_the_object_has(subject: Subject) -> None:
    """The card's capabilities are those of the kernel at its default parameters."""
    card = _card(subject)
    found = capabilities_of(_at_defaults(subject))
    extra, missing = sorted(card.capabilities - found), sorted(found - card.capabilities)
    assert not extra + missing, f"only on the card: {extra}; only on the kernel: {missing}"


def _at_defaults(subject: Subject) -> Any:
    """The kernel made without arguments, else the example's."""
    target = _made_by(subject)
    try:
        inspect.signature(target).bind()
    except TypeError:
        return subject.make()
    return target()


@law(applies=lambda subject: bool(subject.capabilities & _MEMBERS.keys()))
def capability_members_exist(subject: Subject) -> None:
    """Each capability that the kernel has brings its members, which can be called."""
    obj = subject.make()
    declared = getattr(obj, "capabilities", None)
    names = subject.capabilities if declared is None or subject.card is None else frozenset(declared)
    missing = [
        f"{member} ({capability})"
        for capability in sorted(names & _MEMBERS.keys())
        for member in _MEMBERS[capability]
        if not callable(getattr(obj, member, None))
    ]
    assert not missing, f"declared, and not there: {', '.join(missing)}"
    if "random_features" in names:
        # a composite has them of its parts
        known = {name.rpartition("__")[2] for name in (obj.get_params() if hasattr(obj, "get_params") else ())}
        missing = [name for name in ("n_features", "rng") if name not in known and not hasattr(obj, name)]
        assert not missing, f"random features without {' and '.join(missing)}"


@law(applies=lambda subject: isinstance(getattr(made(subject), "capabilities", None), (frozenset, set)))
def undeclared_members_are_absent(subject: Subject) -> None:
    """A method that belongs to a capability the kernel does not declare is absent."""
    obj = subject.make()
    declared = (
        frozenset(obj.capabilities) | subject.capabilities if subject.card is None else frozenset(obj.capabilities)
    )
    found = [name for name, of in _UNDECLARED.items() if not declared & set(of) and hasattr(obj, name)]
    assert not found, (
        f"there, and not declared: {', '.join(f'{name} ({_UNDECLARED[name][0]})' for name in found)}: declare the "
        "capability, or put the method under @provides"
    )


@law(applies=_states_its_own)
def pair_cost_agrees(subject: Subject) -> None:
    """The card's pair_cost is the kernel's."""
    card, cost = _card(subject), getattr(subject.make(), "pair_cost", "low")
    assert card.pair_cost == cost, f"the card says {card.pair_cost!r}, the kernel {cost!r}"


# -- the entry ---------------------------------------------------------------------------------------


@of_kinds(applies=_has_card)
def name_is_in_its_family(subject: Subject) -> None:
    """A first-party family belongs to its distribution: others take a family of their own."""
    card = _card(subject)
    family, _ = parse_name(card.name)
    owner = FAMILIES.get(family)
    assert owner in (None, card.plugin), f"the family {family!r} belongs to {owner}, not to {card.plugin}"
    own = sorted(name for name, plugin in FAMILIES.items() if plugin == card.plugin)
    assert not own or family in own, f"{card.plugin} has the family {', '.join(own)}, not {family!r}"


@of_kinds(applies=_has_card)
def example_is_fresh(subject: Subject) -> None:
    """Each call of the example gives a new object with the same parameters, and the same items."""
    first, second = subject.make(), subject.make()
    assert first is not second, "two calls of the example give one object"
    if has_params(subject):
        a, b = first.get_params(), second.get_params()
        shared = [
            key for key in a if hasattr(a[key], "set_params") and not isinstance(a[key], type) and a[key] is b[key]
        ]
        assert not shared, f"two calls of the example share {', '.join(shared)}"
        changed = [key for key in {*a, *b} if not alike(a.get(key), b.get(key))]
        assert not changed, f"two calls of the example differ in {', '.join(changed)}"
    card = _card(subject)
    if card.example and subject.X is not None:
        make = registry.resource(card, card.example)
        items, again = make()[1], make()[1]
        assert items is not again, "two calls of the example share their items"
        assert state_of(items) == state_of(again), "two calls of the example give different items"


@of_kinds("kernel", "selector", "solver", applies=lambda subject: _has_card(subject) and subject.X is not None)
def example_is_small(subject: Subject) -> None:
    """The example has from 2 to 200 items."""
    if not hasattr(subject.X, "__len__"):
        raise NotApplicable("the example's data have no length")
    n = length(subject.X)
    assert 2 <= n <= 200, f"the example has {n} items"


@of_kinds(applies=_has_card)
def creates_by_name(subject: Subject) -> None:
    """kr.create(name) without parameters gives an object of the example's class."""
    card = _card(subject)
    target = registry.load(card.name, plugin=card.plugin or None)
    try:
        inspect.signature(target).bind()
    except TypeError as error:
        raise NotApplicable(f"it needs arguments: {error}") from None
    if "composite" in card.tags:
        raise NotApplicable("it needs parts")
    found, expected = type(registry.create(card.name, plugin=card.plugin or None)), type(subject.make())
    assert found is expected, f"create({card.name!r}) makes a {found.__name__}, the example is a {expected.__name__}"


@of_kinds(applies=_has_card)
def class_leads_to_its_entry(subject: Subject) -> None:
    """The class is found back under the card's name, which is the only one it has."""
    card, obj = _card(subject), subject.make()
    if not inspect.isclass(registry.load(card.name, plugin=card.plugin or None)):
        raise NotApplicable("its entry is a function that makes objects")
    entry = registry.entry_of(obj)
    assert entry is not None, f"{type(obj).__name__}, the example's class, is not registered"
    assert entry.card.name == card.name, f"{type(obj).__name__} leads to {entry.card.name!r}, not to {card.name!r}"


@of_kinds(applies=_is_written)
def found_by_find(subject: Subject) -> None:
    """find gives the entry by its name, its aliases, the words of its summary and its papers."""
    card = _card(subject)
    words = sorted(re.findall(r"[^\W\d_]{4,}", card.summary), key=len, reverse=True)[:2]
    for text in (*words, *card.aliases):
        assert card.name in registry.names(text=text), f"find(text={text!r}) does not give {card.name}"
    for reference in card.references:
        for paper in filter(None, (reference.arxiv, reference.doi, reference.title)):
            assert card.name in registry.names(paper=paper), f"find(paper={paper!r}) does not give {card.name}"
    wanted = {"kind": card.kind, "capabilities": card.capabilities, "tags": card.tags, "plugin": card.plugin}
    assert card.name in registry.names(card.name, **wanted), f"find({card.name!r}, **{wanted}) does not give it"


@of_kinds(applies=lambda subject: subject.card is not None and subject.card.plugin != RUNTIME)
def listing_is_light(subject: Subject) -> None:
    """The module that holds the plugin's cards imports none of the heavy libraries."""
    card = _card(subject)
    modules = {where.partition(":")[0] for p in registry.plugins() if p.name == card.plugin for where in p.modules}
    if not modules:
        raise NotApplicable("its plugin has no module of cards")
    heavy = _heavy_imports(tuple(sorted(modules)))
    assert not heavy, f"{', '.join(sorted(modules))} of {card.plugin} imports {', '.join(heavy)}"


@lru_cache(64)
def _heavy_imports(modules: tuple[str, ...]) -> tuple[str, ...]:
    """What a fresh interpreter loads for these modules; asked once for each plugin."""
    code = (
        "import sys, json\nbefore = set(sys.modules)\nimport kernreg_core\n"
        + "".join(f"import {module}\n" for module in modules)
        + "print(json.dumps(sorted({name.partition('.')[0] for name in set(sys.modules) - before})))"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=environ)
    assert done.returncode == 0, f"importing {', '.join(modules)} failed: {done.stderr.strip()[-300:]}"
    return tuple(name for name in json.loads(done.stdout.splitlines()[-1]) if name in HEAVY)
