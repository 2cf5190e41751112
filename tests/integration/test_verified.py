"""The recorded run behind the page "What has been verified" fits the claims that the cards make now."""

from __future__ import annotations

import json
import re

from repository import ROOT, plugins

import kernreg_core as kr

RUN = json.loads((ROOT / "docs" / "verified.json").read_text(encoding="utf-8"))
AGAIN = "write it again: kernreg verify --json > docs/verified.json"


def _declared() -> list[tuple[object, ...]]:
    return sorted(
        (card.name, claim.statement, claim.threshold, claim.direction, claim.paper.title)
        for name in plugins()
        for card in kr.find(plugin=name)
        for claim in card.claims
    )


def test_it_covers_exactly_the_claims_on_the_cards() -> None:
    recorded = sorted(
        (claim["entry"], claim["statement"], claim["threshold"], claim["direction"], claim["paper"]["title"])
        for claim in RUN["claims"]
    )
    assert recorded == _declared(), AGAIN


def test_its_verdicts_follow_from_its_figures() -> None:
    for claim in RUN["claims"]:
        if claim["verdict"] == "NOT RUN":
            assert claim["reason"]
            continue
        holds = (
            claim["measured"] >= claim["threshold"]
            if claim["direction"] == ">="
            else claim["measured"] <= claim["threshold"]
        )
        assert claim["verdict"] == ("PASS" if holds else "FAIL")
        assert claim["version"] == kr.__version__, AGAIN
    assert RUN["counts"]["fail"] == 0
    assert sum(RUN["counts"].values()) == len(RUN["claims"])
    assert not RUN["fast"]


def test_it_names_no_machine() -> None:
    text = json.dumps(RUN)
    assert not re.search(r"/(home|tmp|root|Users|work)/|[A-Z]:\\\\", text)
    assert {"kernreg-core", "python", "numpy", "scipy", "scikit-learn"} <= set(RUN["versions"])
