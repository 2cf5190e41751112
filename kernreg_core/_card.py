"""Cards: what an entry is, in words that ``find`` searches. Standard library only.

A card is written by a plugin's light module; reading it imports nothing heavy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .errors import ParameterError
from .vocabulary import CAPABILITIES, DOMAINS, KINDS, TAGS, parse_name


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A paper, book or program that an entry comes from.

    Parameters
    ----------
    title : str
    authors : tuple of str
        "Given Family" each.
    year : int, optional
    venue : str
        Journal, conference or publisher.
    arxiv, doi, url : str
        Identifiers, without a resolver's address in `arxiv` and `doi`.
    """

    title: str
    authors: tuple[str, ...] = ()
    year: int | None = None
    venue: str = ""
    arxiv: str = ""
    doi: str = ""
    url: str = ""

    def __post_init__(self) -> None:
        _as_tuples(self, "authors")

    def key(self) -> str:
        """The BibTeX key in ASCII: first author's family name, year, first word of the title."""
        from unicodedata import normalize

        author = self.authors[0].split()[-1] if self.authors and self.authors[0].strip() else ""
        words = [word for word in re.findall(r"\w+", self.title) if len(word) > 3 or word == self.title]
        text = normalize("NFKD", f"{author}{self.year or ''}{words[0] if words else ''}".lower())
        return re.sub(r"[^a-z0-9]", "", text) or "reference"

    def bibtex(self) -> str:
        """The BibTeX entry.

        Examples
        --------
        >>> print(Reference(title="A Title", authors=("Ann Author",), year=2020, doi="10.1/x").bibtex())
        @misc{author2020title,
          title = {{A Title}},
          author = {Ann Author},
          year = {2020},
          doi = {10.1/x},
        }
        """
        fields = {
            "title": f"{{{_tex(self.title)}}}",
            "author": _tex(" and ".join(self.authors)),
            "year": str(self.year or ""),
            "journal": _tex(self.venue),
            "eprint": self.arxiv,
            "archiveprefix": "arXiv" if self.arxiv else "",
            "doi": self.doi,
            "url": self.url,
        }
        kind = "article" if self.venue else "misc"
        lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
        return "\n".join([f"@{kind}{{{self.key()},", *lines, "}"])


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A statement of a paper about an entry, with the function that measures it.

    Parameters
    ----------
    paper : Reference
    statement : str
        What the paper says, in a sentence.
    measure : str
        ``"module:function"`` inside the card's own distribution, imported when used.
    threshold : float
        What the measured figure is compared with.
    direction : {'>=', '<='}
    cost : float
        Seconds the measurement takes on two cores.
    needs : tuple of str
        What must be there for it to run: the import name of a library (``"torch"``), ``"data:FOLDER"``
        (a folder inside the one that the environment variable KERNREG_DATA names), ``"device:cuda"``,
        or ``"hardware:WHAT"``, which is never there.

    Raises
    ------
    ParameterError
        If a field is not as above, the statement empty, the threshold not finite or the cost negative.
    """

    paper: Reference
    statement: str
    measure: str
    threshold: float
    direction: str
    cost: float
    needs: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _as_tuples(self, "needs")
        if self.direction not in (">=", "<="):
            raise ParameterError(f"direction: expected '>=' or '<=', got {self.direction!r}")
        if not self.statement.strip():
            raise ParameterError("statement: expected what the paper says in a sentence, got nothing")
        for name in ("threshold", "cost"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not abs(value) < float("inf"):
                raise ParameterError(f"{name}: expected a finite number, got {value!r}")
        if self.cost < 0:
            raise ParameterError(f"cost: expected seconds, at least 0, got {self.cost!r}")
        for need in self.needs:
            _check_need(need)
        check_target(self.measure, "measure")


def _check_need(need: str) -> None:
    """Raise ParameterError unless `need` is of the grammar that :class:`Claim` states."""
    kind, colon, what = need.partition(":")
    if not colon:
        known = need.isidentifier()
    elif kind == "data":  # a folder below the one of the data, never beside it
        known = all(part not in ("", ".", "..") for part in what.split("/")) and not set(what) & set("\\:")
    else:
        known = (kind == "hardware" and bool(what.strip())) or need == "device:cuda"
    if not known:
        raise ParameterError(
            f"needs: expected a library's import name, 'data:FOLDER', 'device:cuda' or 'hardware:WHAT', got {need!r}"
        )


#: Whether a text has the form ``module:qualified.name`` (a match, or None).
is_target = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*").fullmatch


def _as_tuples(obj: object, *names: str) -> None:
    """Make tuples of what was given as a list, or as one string: what is frozen is hashed."""
    for name in names:
        given = getattr(obj, name)
        if type(given) is not tuple:
            object.__setattr__(obj, name, (given,) if isinstance(given, str) else tuple(given))


def _tex(text: str) -> str:
    """`text` with the characters escaped that would end a BibTeX run."""
    return re.sub(r"(?<!\\)([&%#])", r"\\\1", text)


def check_target(target: str, argument: str) -> None:
    """Raise ParameterError unless `target` has the form ``module:qualified.name``."""
    if not is_target(target):
        raise ParameterError(f"{argument}: expected 'module:function', got {target!r}")


_CAPABILITIES, _TAGS = frozenset(CAPABILITIES), frozenset(TAGS)


def _words(argument: str, given: Iterable[str], vocabulary: frozenset[str]) -> frozenset[str]:
    """`given` (a word, or a collection of words) as a set; every word must be known."""
    if type(given) is not frozenset:
        given = frozenset([given] if isinstance(given, str) else given)
    if not given <= vocabulary:
        raise ParameterError(
            f"{argument}: expected words of the closed vocabulary, got "
            f"{', '.join(map(repr, sorted(given - vocabulary)))}; known: {', '.join(sorted(vocabulary))}"
        )
    return given


@dataclass(frozen=True, init=False)
class Card:
    """The light, immutable description of one entry: what ``find`` searches.

    Parameters
    ----------
    name : str
        ``family.name``; the entry point of the same name says where the object is.
    kind : {'kernel', 'sampler', 'solver'}
    summary : str
        One line.
    domain : str, optional
        What one item is; see :data:`kernreg_core.vocabulary.DOMAINS`. None for what works on any.
    capabilities : collection of str
        What holds at the default parameters; see :data:`kernreg_core.vocabulary.CAPABILITIES`.
    tags : collection of str
        See :data:`kernreg_core.vocabulary.TAGS`.
    references : tuple of Reference
        The papers the entry implements.
    claims : tuple of Claim
    aliases : tuple of str
        Other names people search for; ``find(text=...)`` sees them.
    parameters : dict of str to str
        One line about each constructor parameter.
    example : str
        ``"module:function"`` that returns a small working example.
    pair_cost : {'low', 'high'}
    plugin, version : str
        The distribution it comes from; filled by the registry.

    Raises
    ------
    ParameterError
        If a field is outside its vocabulary.

    Examples
    --------
    >>> Card(name="acme.cosine", kind="kernel", summary="Cosine similarity.", domain="vectors")
    <Card acme.cosine: kernel on vectors. Cosine similarity.>
    """

    name: str
    kind: str
    summary: str
    domain: str | None
    capabilities: frozenset[str]
    tags: frozenset[str]
    references: tuple[Reference, ...]
    claims: tuple[Claim, ...]
    aliases: tuple[str, ...]
    parameters: dict[str, str] = field(hash=False)
    example: str
    pair_cost: str
    plugin: str
    version: str

    def __init__(
        self,
        *,
        name: str,
        kind: str,
        summary: str = "",
        domain: str | None = None,
        capabilities: Iterable[str] = frozenset(),
        tags: Iterable[str] = frozenset(),
        references: Iterable[Reference] = (),
        claims: Iterable[Claim] = (),
        aliases: Iterable[str] = (),
        parameters: dict[str, str] | None = None,
        example: str = "",
        pair_cost: str = "low",
        plugin: str = "",
        version: str = "",
    ) -> None:
        parse_name(name)
        if kind not in KINDS:
            raise ParameterError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
        if domain is not None and domain not in DOMAINS:
            raise ParameterError(f"domain: expected one of {', '.join(DOMAINS)}, got {domain!r}")
        capabilities = _words("capabilities", capabilities, _CAPABILITIES)
        tags = _words("tags", tags, _TAGS)
        if pair_cost not in ("low", "high"):
            raise ParameterError(f"pair_cost: expected 'low' or 'high', got {pair_cost!r}")
        if example:
            check_target(example, "example")
        parameters = {} if parameters is None else parameters
        given = locals()
        del given["self"]
        # hundreds of cards are made in the first find: one update is faster than an assignment for each field
        self.__dict__.update(given)
        if {type(references), type(claims), type(aliases)} != {tuple}:
            _as_tuples(self, "references", "claims", "aliases")

    @property
    def family(self) -> str:
        """The part of the name before the dot."""
        return self.name.partition(".")[0]

    def placed(self, plugin: str, version: str) -> Card:
        """This card, with the distribution it was found in."""
        # 500 cards are placed in the first find: a copied dictionary is ten times faster than replace()
        card = object.__new__(Card)
        card.__dict__.update(self.__dict__, plugin=plugin, version=version)
        return card

    def to_dict(self) -> dict[str, Any]:
        """The card as JSON-ready data."""
        from dataclasses import asdict

        found = asdict(self)
        found["capabilities"] = sorted(self.capabilities)
        found["tags"] = sorted(self.tags)
        return found

    def __repr__(self) -> str:
        where = f"{self.kind} on {self.domain}" if self.domain else self.kind
        return f"<Card {self.name}: {where}. {self.summary}>".replace(". >", ">")
