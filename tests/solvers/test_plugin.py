"""The plugin's side of the registry: names, cards, creation, laziness, the demonstration."""

from __future__ import annotations

import importlib
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from solver_kernels import Gauss

import kernreg_core as kr
import kernreg_solvers
from kernreg_core.demo import Report, run_demo

ENTRIES = {
    "solver.krr": "KernelRidge",
    "solver.kernel_logistic": "KernelLogisticClassifier",
    "solver.kernel_pca": "KernelPCA",
}


def test_every_entry_is_found_with_its_card() -> None:
    cards = {card.name: card for card in kr.find(kind="solver", plugin="kernreg-solvers")}
    assert set(cards) == set(ENTRIES)
    for card in cards.values():
        assert card.summary
        assert card.references
        assert card.domain is None
    assert [card.name for card in kr.find(kind="solver", tags={"classification"}, plugin="kernreg-solvers")] == [
        "solver.kernel_logistic"
    ]


@pytest.mark.parametrize("name", ENTRIES)
def test_cards_name_the_parameters_and_the_paper(name: str) -> None:
    made = kr.create(name)
    assert type(made).__name__ == ENTRIES[name]
    assert type(made) is getattr(kernreg_solvers, ENTRIES[name])
    assert set(kr.card(name).parameters) == set(made.get_params(deep=False))
    assert kr.card(name).references[0].title in kr.cite(name)


@pytest.mark.parametrize("name", ENTRIES)
def test_the_example_of_each_card_works(name: str) -> None:
    module, _, function = kr.card(name).example.partition(":")
    model, X, *y = getattr(importlib.import_module(module), function)()
    assert type(model).__name__ == ENTRIES[name]
    model.fit(X, *y)
    if y:
        assert model.score(X, *y) > 0.9


def test_created_by_name_with_a_kernel() -> None:
    X = np.random.default_rng(0).standard_normal((30, 2))
    model = kr.create("solver.krr", kernel=Gauss(lengthscale=2.0), alpha=0.1).fit(X, X[:, 0])
    assert model.score(X, X[:, 0]) > 0.9


def test_importing_the_plugin_and_its_cards_loads_nothing_heavy() -> None:
    code = (
        "import sys, json, kernreg_solvers, kernreg_solvers.cards as cards\n"
        "made = len(cards.kernreg_cards())\n"
        "heavy = [name for name in ('numpy', 'scipy', 'sklearn', 'torch', 'pandas') if name in sys.modules]\n"
        "names = [name for name in kernreg_solvers.__all__ if getattr(kernreg_solvers, name).__name__ == name]\n"
        "print(json.dumps([made, heavy, names, kernreg_solvers.__version__]))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    made, heavy, names, version = json.loads(done.stdout)
    assert made == len(ENTRIES)
    assert heavy == []
    assert names == kernreg_solvers.__all__
    assert version == kr.__version__


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'KernelSVM'"):
        _ = kernreg_solvers.KernelSVM
    assert set(kernreg_solvers.__all__) <= set(dir(kernreg_solvers))


def test_the_demonstration_runs() -> None:
    from kernreg_solvers.examples import demo

    report = Report(stream=io.StringIO(), progress=False)
    sections = [run_demo(part, "kernreg-solvers", report) for part in demo()]
    assert [section["status"] for section in sections] == ["ok"]
    scores = {row["label"]: row["r2"] for row in sections[0]["results"]}
    assert scores["linear"] > 0.4 > 0.1 > scores["mean"]
