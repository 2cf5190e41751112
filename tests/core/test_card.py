"""Cards, references, claims and the grammar of a name."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernreg_core import Card, Claim, ParameterError, Reference
from kernreg_core.vocabulary import CAPABILITIES, DOMAINS, TAGS, format_name, parse_name

PART = st.from_regex(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*", fullmatch=True)


@given(PART, PART)
def test_parse_and_format_are_inverse(family, short):
    assert parse_name(format_name(family, short)) == (family, short)


@given(st.text())
def test_every_other_text_is_refused(text):
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*\.[a-z][a-z0-9]*(_[a-z0-9]+)*", text):
        with pytest.raises(ParameterError, match="expected 'family.name'"):
            parse_name(text)


@pytest.mark.parametrize("name", ["a", "a.b.c", "A.b", "a.", ".b", "a.b-c", "a.b ", "1a.b", "a._b", "a.b\n", "", None])
def test_bad_names(name):
    with pytest.raises(ParameterError):
        parse_name(name)


def test_a_card_takes_any_collection_and_is_immutable():
    card = Card(name="a.b", kind="kernel", capabilities=["psd"], tags="radial")
    assert card.capabilities == frozenset({"psd"})
    assert card.tags == frozenset({"radial"})
    with pytest.raises(AttributeError):
        card.name = "a.c"
    assert hash(card) == hash(Card(name="a.b", kind="kernel", capabilities={"psd"}, tags={"radial"}))


@pytest.mark.parametrize(
    ("field", "value"),
    [("kind", "function"), ("domain", "vector"), ("capabilities", {"psd", "fast"}), ("tags", {"nice"}),
     ("pair_cost", "medium"), ("example", "no target"), ("name", "nodot")],
)  # fmt: skip
def test_fields_outside_their_vocabulary(field, value):
    with pytest.raises(ParameterError, match=field):
        Card(**{"name": "a.b", "kind": "kernel", field: value})


def test_a_placed_card_differs_only_in_its_place():
    card = Card(name="a.b", kind="kernel", summary="S")
    placed = card.placed("acme", "1.0")
    assert (placed.plugin, placed.version, placed.summary) == ("acme", "1.0", "S")
    assert card.plugin == ""


def test_a_card_is_json_ready():
    paper = Reference(title="T")
    claim = Claim(paper=paper, statement="s", measure="a:b", threshold=1.0, direction=">=", cost=1.0)
    data = Card(name="a.b", kind="kernel", capabilities={"psd", "diag"}, references=(paper,), claims=(claim,)).to_dict()
    assert json.loads(json.dumps(data))["capabilities"] == ["diag", "psd"]
    assert data["claims"][0]["paper"]["title"] == "T"


@pytest.mark.parametrize(("field", "value"), [("direction", ">"), ("measure", "nothing")])
def test_bad_claims(field, value):
    fields = {"statement": "s", "measure": "a:b", "threshold": 1.0, "direction": ">=", "cost": 1.0, field: value}
    with pytest.raises(ParameterError, match=field):
        Claim(paper=Reference(title="T"), **fields)


def test_bibtex():
    text = Reference(
        title="On the Theory", authors=("A. B. Cee", "D. Eff"), year=1999, venue="J. Kernels", arxiv="9901.1", url="u"
    ).bibtex()
    assert text.splitlines()[0] == "@article{cee1999theory,"
    assert "  author = {A. B. Cee and D. Eff}," in text
    assert "  eprint = {9901.1}," in text
    assert "  archiveprefix = {arXiv}," in text
    assert "doi" not in text


def test_every_word_of_the_vocabularies_is_explained():
    for vocabulary in (DOMAINS, CAPABILITIES, TAGS):
        assert all(meaning.strip() for meaning in vocabulary.values())


def test_what_is_given_as_a_list_or_one_string_is_kept_as_a_tuple():
    paper = Reference(title="T", authors=["Ann Author", "B. Other"])
    card = Card(name="a.b", kind="kernel", references=[paper], aliases="also", claims=[])
    assert (paper.authors, card.references, card.aliases) == (("Ann Author", "B. Other"), (paper,), ("also",))
    assert Reference(title="T", authors="Ann Author").key() == "authort"
    assert len({card, card.placed("p", "1")}) == 2  # both can be hashed


def test_bibtex_keys_are_ascii_and_its_special_characters_escaped():
    text = Reference(
        title="Kernels & 100% \\& more", authors=("Bernhard Schölkopf",), year=2001, venue="A & B"
    ).bibtex()
    assert text.startswith("@article{scholkopf2001kernels,")
    assert "title = {{Kernels \\& 100\\% \\& more}}" in text
    assert "journal = {A \\& B}" in text
    assert Reference(title="?").key() == "reference"
