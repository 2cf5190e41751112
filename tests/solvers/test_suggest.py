"""KernelSuggestion: the winner, the baselines, the budget, what fails on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from solver_kernels import KINDS, WORDS, Gauss, Spectrum

import kernreg_core as kr
from kernreg_core.errors import InputError, NotFittedError, ParameterError
from kernreg_solvers import KernelSuggestion


def task(n: int = 80) -> tuple[np.ndarray, np.ndarray]:
    X = np.random.default_rng(0).standard_normal((n, 2))
    return X, X[:, 0] * X[:, 1]


class Broken(Gauss):
    """Fails whenever it is asked."""

    def evaluate(self, X: Any, Y: Any) -> Any:
        raise RuntimeError("no values today")


def test_the_kernel_that_fits_the_task_wins_and_the_baselines_are_there() -> None:
    X, y = task()
    product = kr.Sum(lambda X, Y: (X[:, :1] * X[:, 1:]) @ (Y[:, :1] * Y[:, 1:]).T)
    found = KernelSuggestion(kernels={"product": product, "narrow": Gauss(lengthscale=0.01)}, refine=False).fit(X, y)
    assert found.best_ == "product"
    labels = [row["label"] for row in found.results_]
    assert set(labels) == {"product", "narrow", "baseline: linear", "baseline: RBF", "baseline: mean"}
    scores = [row["score"] for row in found.results_]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.99
    assert found.score(X, y) > 0.99
    np.testing.assert_allclose(found.predict(X), y, atol=0.1)
    assert "product" in found.table_
    assert "R2" in found.table_


def test_every_entry_of_the_domain_is_tried_once_by_default() -> None:
    X, y = task(30)
    found = KernelSuggestion(refine=False).fit(X, np.sign(y).astype(int))
    tried = {row["label"] for row in found.results_ if not row["baseline"]}
    cards = kr.find(kind="kernel", domain="vectors", capabilities={"symmetric"})
    left_out = {"fitted", "random_features", "stochastic", "trainable"}
    plain = {card.name for card in cards if not left_out & card.capabilities and "kernel" not in card.parameters}
    assert tried == plain - {"euclidean.rbf", "euclidean.linear"}  # which the baselines are
    assert found.classes_.tolist() == [-1, 1]
    assert set(found.predict(X)) <= {-1, 1}
    assert all(0 <= row["score"] <= 1 for row in found.results_ if not row["error"])


def test_other_length_scales_are_tried_in_the_time_that_is_left() -> None:
    X, _ = task(150)
    y = np.sin(4.0 * X[:, 0])
    found = KernelSuggestion(kernels={"wide": Gauss(lengthscale=4.0)}).fit(X, y)
    lengths = {row["kernel"].lengthscale for row in found.results_ if row["label"].startswith("wide")}
    assert lengths == {1.0, 2.0, 4.0, 8.0, 16.0}
    assert next(row["kernel"].lengthscale for row in found.results_ if row["label"].startswith("wide")) == 1.0
    assert found.best_.endswith("0.25 times the length scale")  # or the RBF baseline's, which is refined too
    none = KernelSuggestion(kernels={"wide": Gauss(lengthscale=4.0)}, time_budget=0.0).fit(X, y)
    (row,) = [row for row in none.results_ if row["label"] == "wide"]
    assert "time budget" in row["error"]
    assert none.best_.startswith("baseline")


def test_what_fails_is_reported_and_the_search_goes_on() -> None:
    X, y = task()
    found = KernelSuggestion(kernels={"broken": Broken(), "fine": Gauss()}, refine=False).fit(X, y)
    last = found.results_[-1]
    assert (last["label"], last["error"]) == ("broken", "no values today")
    assert found.best_ == "fine" or found.best_.startswith("baseline")
    assert "no values today" in found.table_


def test_where_no_kernel_can_be_tried_it_is_said() -> None:
    with pytest.raises(ParameterError, match="no installed entry on sequences can be tried"):
        KernelSuggestion(kernels=[], cv=2).fit(WORDS, KINDS)
    with pytest.raises(InputError, match="none could be tried on these items; broken: X: expected numbers"):
        KernelSuggestion(kernels={"broken": Broken()}, cv=2).fit(WORDS, KINDS)


def test_where_the_constant_wins_the_model_is_that_of_the_best_kernel() -> None:
    X, _ = task(40)
    noise = np.random.default_rng(5).standard_normal(40)
    found = KernelSuggestion(kernels={"narrow": Gauss(lengthscale=1e-3)}, refine=False).fit(X, noise)
    assert found.best_ == "baseline: mean"
    assert repr(found.kernel_) == repr(next(row["kernel"] for row in found.results_ if row["kernel"] is not None))
    assert found.predict(X).shape == (40,)


def test_words_are_told_from_their_items_and_other_items_by_name() -> None:
    found = KernelSuggestion(kernels={"spectrum": Spectrum()}, cv=2).fit(WORDS, KINDS)
    assert found.best_ == "spectrum"
    assert found.predict(["abab", "xyx"]).tolist() == ["ab", "xy"]
    items = [{"a": 1}] * 3 + [{"b": 2}] * 3
    with pytest.raises(ParameterError, match="domain="):
        KernelSuggestion(kernels=[]).fit(items, [0, 0, 0, 1, 1, 1])


def test_samples_of_many_items_and_the_same_answer_twice() -> None:
    X, y = task(300)
    options: dict[str, Any] = {"kernels": {"gauss": Gauss()}, "max_items": 60, "refine": False}
    one, two = (KernelSuggestion(**options, random_state=1).fit(X, y) for _ in range(2))
    assert [row["score"] for row in one.results_] == [row["score"] for row in two.results_]
    assert one.estimator_.n_samples_fit_ == 300
    shown: list[tuple[int, int]] = []
    KernelSuggestion(**options, progress=lambda done, total: shown.append((done, total))).fit(X, y)
    assert shown[-1] == (3, 3)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"max_items": 3}, ParameterError, "max_items"),
        ({"cv": 1}, ParameterError, "cv"),
        ({"time_budget": -1.0}, ParameterError, "time_budget"),
        ({"domain": "stones"}, ParameterError, "domain"),
        ({"target": "x"}, ParameterError, "target"),
        ({"cv": 30}, InputError, "at least 60 items"),
    ],
)
def test_bad_parameters_are_said(options: Any, error: type[Exception], words: str) -> None:
    X, y = task(20)
    with pytest.raises(error, match=words):
        KernelSuggestion(kernels=[], **options).fit(X, y)


def test_a_column_of_classes_is_classes() -> None:
    X, y = task(40)
    classes = (y > 0).astype(int)
    found = KernelSuggestion(kernels=[], refine=False).fit(X, classes[:, None])
    assert found.classes_.tolist() == [0, 1]
    assert found.score(X, classes[:, None]) == np.mean(found.predict(X) == classes)


def test_one_class_and_no_fit() -> None:
    X, _ = task(20)
    with pytest.raises(InputError, match="2 classes"):
        KernelSuggestion(kernels=[]).fit(X, ["a"] * 20)
    with pytest.raises(NotFittedError):
        _ = KernelSuggestion().table_
