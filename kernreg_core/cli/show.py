"""``kernreg show NAME`` and ``kernreg cite NAME``."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterable

from .._card import Card, Claim, Reference
from ..listing import printable
from ..registry import registry
from ..vocabulary import CAPABILITIES, DOMAINS, TAGS
from . import OK, PROBLEM
from .output import print_json, wrapped

#: Form of an entry -> (variable, arguments beyond the name, what one does with it).
_FORMS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "kernel": ("kernel", (), "K = kr.gram(kernel, X)"),
    "composite": ("kernel", ("...",), "K = kr.gram(kernel, X)"),
    "sampler": ("sampler", ("d=2",), "points = sampler.sample(1024)"),
    "selector": ("selector", (), "indices = selector.select(X, 10)"),
    "solver": ("model", (), "model.fit(X, y)"),
}


def run(options: Namespace) -> int:
    """Print the card; one that the plugin does not give is filled from the class, which loads it."""
    card = registry.card(options.name, plugin=options.plugin)
    if options.json:
        print_json({**card.to_dict(), "usage": usage(card)})
    else:
        for line in render(card):
            print(printable(line))
    return OK


def run_cite(options: Namespace) -> int:
    """Print the references of the card as BibTeX; exit code 1 where it names none."""
    card = registry.card(options.name, plugin=options.plugin)
    if options.json:
        references = [{**_reference_data(reference), "bibtex": reference.bibtex()} for reference in card.references]
        print_json({"name": card.name, "plugin": card.plugin, "references": references})
    elif card.references:
        print("\n\n".join(reference.bibtex() for reference in card.references))
    if not card.references:
        print(f"kernreg: the card of {card.name!r} names no reference", file=sys.stderr)
        return PROBLEM
    return OK


def render(card: Card) -> list[str]:
    """Lines of the card as text."""
    where = f"{card.plugin} {card.version}".strip()
    lines = [f"{card.name}: a {card.kind} from {where}"]
    if card.summary:
        lines.append(wrapped(card.summary))
    if card.aliases:
        lines += ["", wrapped(", ".join(card.aliases), "also known as ", "  ")]
    lines += ["", f"domain: {card.domain}: {DOMAINS[card.domain]}" if card.domain else "domain: any, or not stated"]
    if card.pair_cost == "high":
        lines.append("pair cost: high: gram cuts small tiles and computes one triangle")
    for heading, words, meanings in (("capabilities", card.capabilities, CAPABILITIES), ("tags", card.tags, TAGS)):
        if words:
            lines += ["", heading, *_definitions({word: meanings[word] for word in sorted(words)})]
    if card.parameters:
        lines += ["", "parameters", *_definitions(card.parameters)]
    if card.references:
        lines += [
            "",
            "references",
            *(wrapped(_reference_text(reference), "  ", "    ") for reference in card.references),
        ]
    if card.claims:
        lines += ["", "claims", *(wrapped(_claim_text(claim), "  ", "    ") for claim in card.claims)]
    return [*lines, "", "usage", *(f"  {line}".rstrip() for line in usage(card).splitlines())]


def usage(card: Card) -> str:
    """Code that makes and uses the entry, by its kind."""
    form = "composite" if "composite" in card.tags else "selector" if "selector" in card.tags else card.kind
    variable, given, use = _FORMS[form]
    arguments = [f'"{card.name}"', *given]
    if len(registry.find(card.name)) > 1:
        arguments.append(f'plugin="{card.plugin}"')
    return f"import kernreg_core as kr\n\n{variable} = kr.create({', '.join(arguments)})\n{use}"


def _items(texts: Iterable[str]) -> list[str]:
    return [wrapped(text, "  ", "    ") for text in texts]


def _definitions(words: dict[str, str]) -> list[str]:
    width = max(map(len, words)) + 2
    return [wrapped(meaning, f"  {word.ljust(width)}", " " * (width + 2)) for word, meaning in words.items()]


def _reference_text(reference: Reference) -> str:
    parts = [
        ", ".join(reference.authors),
        reference.title,
        reference.venue,
        str(reference.year or ""),
        f"arXiv:{reference.arxiv}" if reference.arxiv else "",
        f"doi:{reference.doi}" if reference.doi else "",
        reference.url,
    ]
    return ". ".join(part for part in parts if part) + ("" if reference.url else ".")


def _claim_text(claim: Claim) -> str:
    needs = f"; needs {', '.join(claim.needs)}" if claim.needs else ""
    return f"{claim.statement} (measured {claim.direction} {claim.threshold:g}, about {claim.cost:g} s{needs})"


def _reference_data(reference: Reference) -> dict[str, object]:
    from dataclasses import asdict

    return asdict(reference)
