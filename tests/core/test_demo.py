"""The demo mechanism: hooks, reports, cross-validation, the figure, and demos that fail or have nothing to run on."""

import io
import json
import re
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kernreg_core import cli
from kernreg_core.api import register, unregister
from kernreg_core.cli import demo as command
from kernreg_core.demo import ClassificationDemo, Demo, Report, median_distance, run_demo, stratified_folds
from kernreg_core.errors import InputError, UnknownNameError
from kernreg_core.registry import registry


class Toy:
    """exp(-|x - y|^2 / (2 lengthscale^2))."""

    domain = "vectors"
    capabilities = frozenset({"symmetric", "psd"})

    def __init__(self, *, lengthscale=1.0):
        self.lengthscale = lengthscale

    def __repr__(self):
        return f"Toy(lengthscale={self.lengthscale})"

    def __call__(self, X, Y=None, /):
        Y = X if Y is None else Y
        return np.exp(-((X[:, None] - Y) ** 2).sum(-1) / (2 * self.lengthscale**2))


class Centroids:
    """Stands in for kernreg-solvers: assigns the class whose members are most similar."""

    def __init__(self, *, kernel=None, alpha=1.0):
        assert kernel == "precomputed"

    def fit(self, K, y):
        assert K.shape == (len(y), len(y))
        self.classes_, self.members = np.unique(y), [y == label for label in np.unique(y)]
        return self

    def predict(self, K):
        return self.classes_[np.argmax([K[:, members].mean(axis=1) for members in self.members], axis=0)]


@pytest.fixture
def toy():
    register(Toy, name="toy.rbf")
    yield
    unregister("toy.rbf")


@pytest.fixture
def solver(monkeypatch):
    """A solver of the name that demos ask for, in a world without the plugin that offers it."""
    monkeypatch.setenv("KERNREG_PLUGINS", "nothing")
    registry.refresh()
    register(Centroids, name="solver.kernel_logistic", kind="solver")
    yield
    unregister("solver.kernel_logistic")
    monkeypatch.undo()
    registry.refresh()


@pytest.fixture
def no_solver(monkeypatch):
    monkeypatch.setenv("KERNREG_PLUGINS", "nothing")
    registry.refresh()
    yield
    monkeypatch.undo()
    registry.refresh()


def two_clouds():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [40, 20])
    return rng.standard_normal((60, 3)) + 6 * y[:, None], y, ("low", "high")


def classification(**changes):
    settings = {
        "load": two_clouds,
        "kernels": {
            "given": ("toy.rbf", {"lengthscale": 2.0}),
            "computed": ("toy.rbf", lambda X: {"lengthscale": X.std()}),
        },
        "baselines": {"sign": lambda X, y, Z, seed: (Z.sum(axis=1) > 9).astype(int)},
        "note": "Two clouds.",
    }
    return ClassificationDemo("clouds", **{**settings, **changes})


def test_classification_measures_every_kernel_and_baseline(toy, solver):
    stream = io.StringIO()
    report = Report(seed=3, stream=stream)
    section = run_demo(classification(), "acme", report)
    assert section["status"] == "ok", section
    assert (section["plugin"], section["items"], section["seed"]) == ("acme", 60, 3)
    rows = {row["label"]: row for row in section["results"]}
    assert list(rows) == ["given", "computed", "sign", "majority class"]
    for label in ("given", "computed"):
        assert rows[label]["accuracy"] == np.mean(rows[label]["scores"]) > 0.9
        assert rows[label]["std"] == np.std(rows[label]["scores"])
        assert rows[label]["gram_seconds"] > 0
    assert len(rows["given"]["scores"]) == 5
    assert rows["computed"]["kernel"].startswith("Toy(lengthscale=")
    assert rows["majority class"]["accuracy"] == pytest.approx(2 / 3)
    json.dumps(section)
    text = stream.getvalue()
    assert "Two clouds." in text
    assert re.search(r"majority class +- +- +0\.667", text)
    (panel,) = report.panels
    X, _, names = two_clouds()
    assert panel.class_names == names
    assert np.array_equal(panel.matrices["given"], Toy(lengthscale=2.0)(X))


def test_the_same_seed_gives_the_same_folds(toy, solver):
    scores = []
    for seed in (1, 1, 2):
        section = run_demo(
            classification(baselines={"first": lambda X, y, Z, seed: (Z[:, 0] > 0.5).astype(int)}),
            "a",
            Report(seed=seed),
        )
        scores.append([row["scores"] for row in section["results"]])
    assert scores[0] == scores[1] != scores[2]


def test_the_baseline_never_sees_what_it_is_tested_on(toy, solver):
    X, _, _ = two_clouds()
    seen = []

    def spy(X_train, y_train, X_test, seed):
        seen.append((X_train, y_train, X_test))
        return np.zeros(len(X_test), dtype=int)

    run_demo(classification(baselines={"spy": spy}), "acme", Report())
    assert len(seen) == 5
    for X_train, y_train, X_test in seen:
        both = np.concatenate([X_train, X_test])
        assert sorted(map(tuple, both)) == sorted(map(tuple, X))
        assert len(y_train) == len(X_train)


def test_without_the_solver_the_gram_matrices_remain(toy, no_solver):
    stream = io.StringIO()
    report = Report(stream=stream)
    section = run_demo(classification(), "acme", report)
    assert section["status"] == "ok"
    assert stream.getvalue().count("  no accuracies of kernels: ") == 1
    assert "accuracy" not in section["results"][0]
    assert section["results"][-1]["accuracy"] == pytest.approx(2 / 3)
    assert list(report.panels[0].matrices) == ["given", "computed"]


def test_progress_is_a_status_line_on_stderr(toy, solver, capfd):
    stream = io.StringIO()
    run_demo(classification(), "acme", Report(stream=stream, progress=True))
    out, err = capfd.readouterr()
    for text in ("given: Gram matrix, tile 1 of 1", "computed: fold 5 of 5"):
        assert text in err
        assert text not in out + stream.getvalue()
    assert err.endswith("\r")  # the last status is wiped before the table is written
    run_demo(classification(), "acme", Report(stream=stream, progress=False))
    assert capfd.readouterr().err == ""


def test_one_penalty_suits_kernels_of_any_size(toy, solver, monkeypatch):
    sizes = []
    fit = Centroids.fit
    monkeypatch.setattr(Centroids, "fit", lambda self, K, y: sizes.append(K.diagonal().mean()) or fit(self, K, y))
    monkeypatch.setattr(Toy, "__call__", lambda self, X, Y=None, /: 1000.0 + X @ (X if Y is None else Y).T)
    run_demo(classification(), "acme", Report())
    assert np.allclose(sizes, 1, atol=0.01)


def test_lists_of_items_are_selected_item_by_item(toy, solver):
    items = [f"item {i}" for i in range(20)]

    class Same(Toy):
        def __call__(self, X, Y=None, /):
            return np.array([[1.0 if x == y else 0.1 for y in (X if Y is None else Y)] for x in X])

    register(Same, name="toy.same", domain="sequences")
    try:
        demo = classification(
            load=lambda: (items, np.arange(20) % 2),
            kernels={"same": ("toy.same", {})},
            baselines={"first": lambda X, y, Z, seed: [int(z.split()[1]) % 2 for z in Z]},
        )
        section = run_demo(demo, "acme", Report())
    finally:
        unregister("toy.same")
    assert section["status"] == "ok", section
    assert section["results"][1]["accuracy"] == 1


class Failing(Demo):
    def __init__(self, error):
        super().__init__("failing")
        self.error = error

    def run(self, report):
        report.record(before=1)
        raise self.error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ModuleNotFoundError("No module named 'acme'"), "skipped"),
        (UnknownNameError("no acme"), "skipped"),
        (InputError("X: bad"), "failed"),
        (ZeroDivisionError("acme"), "failed"),
    ],
)
def test_a_demo_that_fails_is_a_result(error, status):
    stream = io.StringIO()
    section = run_demo(Failing(error), "acme", Report(stream=stream))
    assert section["status"] == status
    assert str(error) in section["error"]
    assert section["before"] == 1
    assert f"{status}: " in stream.getvalue()


def test_a_demo_must_override_run():
    assert run_demo(Demo("empty"), "acme", Report())["error"].startswith("NotImplementedError: Demo must override")


def test_report_refuses():
    with pytest.raises(InputError, match="no demo is running"):
        Report().record(x=1)
    with pytest.raises(InputError, match=r"'k' has shape \(2, 2\) for 3 labels"):
        Report().matrices("t", [0, 1, 1], {"k": np.eye(2)})


@given(st.lists(st.integers(0, 3), min_size=8, max_size=60), st.integers(2, 5), st.integers(0, 99))
def test_folds_partition_and_spread_every_class(labels, n_folds, seed):
    y = np.array(labels)
    counts = np.unique(y, return_counts=True)[1]
    if counts.min() < n_folds:
        with pytest.raises(InputError, match="smallest has"):
            list(stratified_folds(y, n_folds, seed))
        return
    folds = list(stratified_folds(y, n_folds, seed))
    tests = np.concatenate([test for _, test in folds])
    assert sorted(tests.tolist()) == list(range(len(y)))
    for train, test in folds:
        assert sorted([*train, *test]) == list(range(len(y)))
    sizes = [len(test) for _, test in folds]
    assert max(sizes) - min(sizes) <= 1
    for label in np.unique(y):
        members = [(y[test] == label).sum() for _, test in folds]
        assert max(members) - min(members) <= 1


@pytest.mark.parametrize("p", [1, 2])
def test_median_distance(p):
    X = np.random.default_rng(0).standard_normal((60, 3)) + 1e3
    pairs = [(np.abs(X[i] - X[j]) ** p).sum() ** (1 / p) for i in range(60) for j in range(i)]
    assert median_distance(X, p=p) == pytest.approx(np.median(pairs), rel=1e-12)
    big = np.random.default_rng(1).standard_normal((3000, 2))
    assert median_distance(big, seed=5, p=p) == median_distance(big, 5, p=p) != median_distance(big, 6, p=p)
    with pytest.raises(InputError, match=r"\(3,\)"):
        median_distance([1.0, 2.0, 3.0])


# --- the command ------------------------------------------------------------------------------


@pytest.fixture
def demos(monkeypatch):
    """What the plugins' hooks give."""
    found = []

    def call_hook(hook):
        assert hook == "kernreg_demo"
        return found

    monkeypatch.setattr(registry, "call_hook", call_hook)
    core = next(plugin for plugin in registry.plugins() if plugin.name == "kernreg-core")
    return lambda demos, error=None: found.append((core, demos, error))


def run(capfd, *arguments):
    code = cli.main(["demo", *arguments])
    out, err = capfd.readouterr()
    return code, out, err


def test_command_runs_every_hook_and_reports(capfd, demos, toy, solver, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    demos([classification(), classification(load=lambda: two_clouds()[:2])])
    code, out, err = run(capfd, "--seed", "4")
    assert code == 0, out + err
    assert re.search(r"kernreg-core \S+ +kernel +any +5\b", out)
    assert out.count("clouds (kernreg-core)") == 2
    assert "seed 4" in out
    assert "2 demos" in out
    pytest.importorskip("matplotlib")
    assert f"figure: {tmp_path / 'kernreg-demo.png'}\n" in out
    assert (tmp_path / "kernreg-demo.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["kernreg-demo.png"]
    assert "(replaced)" in run(capfd)[1]


def test_command_json(capfd, demos, toy, solver, tmp_path):
    demos([classification()])
    code, out, _ = run(capfd, "--json", "--output", str(tmp_path / "f.png"))
    data = json.loads(out)
    assert code == 0
    assert {"plugin", "kind", "domain", "entries"} == set(data["installed"][0])
    assert [row["label"] for row in data["demos"][0]["results"]] == ["given", "computed", "sign", "majority class"]
    assert data["seed"] == 0


def test_command_goes_on_after_failures_and_says_so(capfd, demos):
    demos(None, error=RuntimeError("acme is broken"))
    demos("no list")
    demos([Failing(ValueError("bad"))])

    class Fine(Demo):
        def run(self, report):
            report.line("  fine")

    demos([Fine("last")])
    code, out, _ = run(capfd)
    assert code == 1
    assert "RuntimeError: acme is broken" in out
    assert "must return a list" in out
    assert "failed: ValueError: bad" in out
    assert "  fine" in out


def test_skipped_demos_are_no_failure(capfd, demos):
    demos([Failing(ImportError("no scikit-learn"))])
    code, out, _ = run(capfd)
    assert code == 0
    assert "skipped: no scikit-learn" in out


def test_command_without_matplotlib_says_how_to_get_it(capfd, demos, toy, solver, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "kernreg_core.cli.figure", raising=False)
    monkeypatch.delattr(cli, "figure", raising=False)
    demos([classification()])
    code, out, err = run(capfd, "--output", str(tmp_path / "f.png"))
    assert code == 0
    assert "pip install matplotlib" in err
    assert "figure:" not in out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("path", ["picture.jpg", "nowhere/f.png"])
def test_command_checks_the_path_before_the_work(capfd, demos, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    demos([Failing(AssertionError("the work began"))])
    code, out, err = run(capfd, "--output", path)
    assert (code, out) == (1, "")
    assert path in err


def test_command_for_one_plugin(capfd, demos):
    demos([Failing(ValueError("the core's"))])
    assert run(capfd, "--plugin", "kernreg-core")[0] == 1
    code, _, err = run(capfd, "--plugin", "kernreg-nothing")
    assert code == 3
    assert "kernreg-nothing is not installed" in err


def test_figure_of_many_panels_and_odd_matrices(tmp_path):
    pytest.importorskip("matplotlib")
    from kernreg_core.cli.figure import draw

    report = Report()
    labels = np.repeat(["a", "longer"], [3, 4])
    rank_one = np.ones((7, 7))
    report.matrices("one", labels, {"constant": rank_one})
    report.matrices("ten", labels, {f"k{i}": np.eye(7) - 0.01 * i for i in range(10)}, ["A", "B"])
    report.matrices("complex", labels, {"hermitian": np.eye(7) + 0.1j * (np.triu(rank_one, 1) - np.tril(rank_one, -1))})
    draw(report.panels, tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 10_000


def test_the_hook_of_an_installed_plugin_is_found():
    """The real hooks: each first-party plugin that is here and has a demo returns demos."""
    registry.refresh()
    found = list(command._demos(None))
    assert [error for _, _, error in found if error] == []
    assert all(isinstance(demo, Demo) for _, demo, _ in found)


def test_the_demo_of_breast_cancer():
    """On real data: every kernel beats the majority class by far, and the baseline is there to compare with."""
    pytest.importorskip("sklearn")
    demonstration = pytest.importorskip("kernreg_euclidean.demonstration")
    pytest.importorskip("kernreg_solvers")
    registry.refresh()
    report = Report()
    section = run_demo(demonstration.demo()[1], "kernreg-euclidean", report)
    assert section["status"] == "ok", section
    accuracy = {row["label"]: row["accuracy"] for row in section["results"]}
    assert len(accuracy) == 8
    assert accuracy.pop("majority class") == pytest.approx(357 / 569, abs=0.001)
    assert min(accuracy.values()) > 0.95
    assert {matrix.shape for matrix in report.panels[0].matrices.values()} == {(569, 569)}


def test_the_demo_of_features():
    """On real data: coupled frequencies err less than independent ones, and landmarks of the data less than those."""
    pytest.importorskip("sklearn")
    demonstration = pytest.importorskip("kernreg_euclidean.demonstration")
    section = run_demo(demonstration.FeaturesDemo(items=300, columns=128, draws=3), "kernreg-euclidean", Report())
    assert section["status"] == "ok", section
    error = {row["label"]: row["error"] for row in section["results"]}
    assert len(error) == 8
    assert error["Nystrom, kmeans"] < error["random Fourier, orthogonal"] < error["random Fourier, iid"] < 0.5
