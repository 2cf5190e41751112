"""``kernreg verify``: the claims of papers, measured again."""

from __future__ import annotations

from argparse import Namespace

from ..claims import NOT_RUN, Verification, claims_of, measure
from . import OK, PROBLEM
from .output import print_json, terminal_width, wrapped


def run(options: Namespace) -> int:
    """Measure and print; exit code 1 where a claim failed. What was not run is said, and is no failure."""
    claims = claims_of(options.names, plugin=options.plugin, paper=options.paper)
    found = measure(claims, fast=options.fast, rng=options.seed)
    if options.json:
        print_json(found.to_dict())
    else:
        _print(found)
    return OK if found.passed else PROBLEM


def _print(found: Verification) -> None:
    if found:
        print(found.table(terminal_width()))
        print()
    for note in found.notes():
        print(wrapped(note, "", "  "))
    untested = "; what was not run is neither confirmed nor refuted" if found.counts[NOT_RUN] else ""
    print(found.summary() + untested)
