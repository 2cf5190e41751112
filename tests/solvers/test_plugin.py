"""The plugin's side of the registry: names, cards, creation, laziness, the demonstration."""

from __future__ import annotations

import importlib
import io
import json
import subprocess
import sys
from importlib.metadata import entry_points

import numpy as np
import pytest
from solver_kernels import Gauss

import kernreg_core as kr
import kernreg_solvers
from kernreg_core.demo import Report, run_demo

#: name -> (module, class), as the distribution's metadata has them.
ENTRIES = {
    point.name: (point.module, point.attr)
    for point in entry_points(group="kernreg.solvers")
    if point.dist is not None and point.dist.name == "kernreg-solvers"
}
#: What an example reaches on its own data, of those whose score is R2 or accuracy.
GOOD = dict.fromkeys(ENTRIES, 0.9) | {"solver.alignment": 0.4, "solver.suggest": 0.95}
#: Losses, which have no such scale: above the value at the start.
LOSSES = {"solver.likelihood", "solver.cross_validation"}


def test_the_entries_are_those_that_the_documentation_names() -> None:
    assert {name.removeprefix("solver.") for name in ENTRIES} == {
        *("krr", "krr_cg", "falkon", "eigenpro2", "eigenpro3", "feature_ridge", "auto_krr", "learning_rate"),
        *("kernel_logistic", "logistic_falkon", "kernel_pca", "kernel_kmeans", "spectral_clustering"),
        *("one_class", "novelty", "gp", "sparse_gp", "gp_classifier"),
        *("alignment", "likelihood", "cross_validation", "suggest"),
    }


def test_every_entry_is_found_with_its_card() -> None:
    cards = {card.name: card for card in kr.find(kind="solver", plugin="kernreg-solvers")}
    assert set(cards) == set(ENTRIES)
    lacking = {
        name: [part for part in ("tags", "references", "aliases", "parameters", "example") if not getattr(card, part)]
        for name, card in cards.items()
    }
    assert {name: parts for name, parts in lacking.items() if parts} == {}
    assert len({card.summary for card in cards.values()}) == len(cards)
    assert all(card.domain is None for card in cards.values())  # they take items of any
    aliases = [alias for card in cards.values() for alias in card.aliases]
    assert len(aliases) == len(set(aliases))


def test_entries_are_found_by_what_they_do() -> None:
    def found(*tags: str) -> set[str]:
        return {card.name for card in kr.find(kind="solver", tags=set(tags), plugin="kernreg-solvers")}

    assert found("clustering") == {"solver.kernel_kmeans", "solver.spectral_clustering"}
    assert found("novelty") == {"solver.one_class", "solver.novelty"}
    assert found("gaussian_process", "classification") == {"solver.gp_classifier"}
    assert {"solver.falkon", "solver.eigenpro3", "solver.sparse_gp"} <= found("large_scale", "regression")
    assert not found("regression") & found("clustering")


@pytest.mark.parametrize("name", ENTRIES)
def test_cards_name_the_parameters_and_the_paper(name: str) -> None:
    module, cls = ENTRIES[name]
    made = kr.create(name)
    assert type(made).__name__ == cls
    assert type(made) is getattr(importlib.import_module(module), cls)
    assert set(kr.card(name).parameters) == set(made.get_params(deep=False))
    assert kr.card(name).references[0].title in kr.cite(name)
    assert cls in kernreg_solvers.__all__
    assert getattr(kernreg_solvers, cls) is type(made)


@pytest.mark.parametrize("name", ENTRIES)
def test_the_example_of_each_card_works(name: str) -> None:
    module, _, function = kr.card(name).example.partition(":")
    model, X, *y = getattr(importlib.import_module(module), function)()
    assert type(model).__name__ == ENTRIES[name][1]
    model.fit(X, *y)
    if name in LOSSES:
        learnt, start = model.objective_, model.initial_objective_
        assert learnt > start if model._larger_is_better else learnt < start
    elif y and hasattr(model, "score"):
        assert model.score(X, *y) > GOOD[name]
    else:
        results = {key: value for key, value in vars(model).items() if key.endswith("_") and not key.startswith("_")}
        arrays = [value for value in results.values() if isinstance(value, np.ndarray) and value.dtype.kind == "f"]
        assert arrays
        assert all(np.isfinite(value).all() for value in arrays)


def test_created_by_name_with_a_kernel() -> None:
    X = np.random.default_rng(0).standard_normal((30, 2))
    model = kr.create("solver.krr", kernel=Gauss(lengthscale=2.0), alpha=0.1).fit(X, X[:, 0])
    assert model.score(X, X[:, 0]) > 0.9


def test_importing_the_plugin_and_its_cards_loads_nothing_heavy() -> None:
    code = (
        "import sys, json, kernreg_solvers, kernreg_solvers.cards as cards\n"
        "made = [card.name for card in cards.kernreg_cards()]\n"
        "def loaded(*names): return [name for name in names if name in sys.modules]\n"
        "heavy = loaded('numpy', 'scipy', 'sklearn', 'torch', 'pandas', 'matplotlib', 'gpytorch')\n"
        "own = [name for name in sys.modules if name.startswith('kernreg_solvers.') and '.cards' not in name]\n"
        "names = [name for name in kernreg_solvers.__all__ if getattr(kernreg_solvers, name).__name__ == name]\n"
        "from kernreg_solvers import plot\n"
        "later = loaded('torch', 'matplotlib', 'gpytorch', 'networkx')\n"
        "print(json.dumps([made, heavy, own, names, later, kernreg_solvers.__version__]))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    made, heavy, own, names, later, version = json.loads(done.stdout)
    assert set(made) == set(ENTRIES)
    assert heavy == own == []
    # each name comes from where it is said to be, and what is optional waits until it is called
    assert names == kernreg_solvers.__all__ == sorted(vars(kernreg_solvers)["_HOMES"])
    assert later == []
    assert version == kr.__version__


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'KernelSVM'"):
        _ = kernreg_solvers.KernelSVM
    assert set(kernreg_solvers.__all__) <= set(dir(kernreg_solvers))


def test_the_demonstration_runs() -> None:
    """In small: each kernel beats the baselines that know nothing, and intervals hold about what they say."""
    from kernreg_solvers import demonstration as shown

    parts = [
        shown.RegressionDemo(),
        shown.ProcessDemo(folds=2),
        shown.ManyRowsDemo(centers=200, moves=0),
        shown.UnlabelledDemo(items=400),
        shown.SuggestionDemo(items=150),
    ]
    assert [type(part) for part in shown.demo()] == [type(part) for part in parts]
    report = Report(stream=io.StringIO(), progress=False)
    sections = [run_demo(part, "kernreg-solvers", report) for part in parts]
    vectors = "ok" if "euclidean.rbf" in kr.names() else "skipped"
    assert [section["status"] for section in sections] == ["ok", vectors, vectors, vectors, "ok"], sections
    scores = {row["label"]: row["r2"] for row in sections[0]["results"]}
    assert scores["linear"] > 0.4 > 0.1 > scores["mean"]
    scores = {row["label"]: row["score"] for row in sections[4]["results"]}
    assert scores["baseline: RBF"] > 0.9 > 0.75 > scores["baseline: most frequent"]
    if vectors == "ok":
        for row in sections[1]["results"]:
            assert row["r2"] > 0.4
            assert 0.9 < row["coverage"] < 1.0
        assert min(row["accuracy"] for row in sections[2]["results"]) > 0.9
        assert sections[2]["reason"].startswith("solver.auto_krr: solver.")
        assert sections[3]["components"]["apart"] < 1e-8
        assert min(row["score"] for row in sections[3]["results"]) > 0.5
