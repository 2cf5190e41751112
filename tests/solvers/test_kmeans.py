"""Kernel k-means against scikit-learn's k-means, the trace formula, and by hand."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from solver_kernels import WORDS, Gauss, Letters, Spectrum

from kernreg_core.errors import InputError, KernregWarning, NotFittedError, ParameterError
from kernreg_solvers import KernelKMeans
from kernreg_solvers.feature_space import StoredMatrix
from kernreg_solvers.kmeans import _Lloyd

METHODS = ("exact", "matvec", "nystrom")


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    return make_blobs(150, centers=5, n_features=3, random_state=1)[0]


@pytest.fixture(scope="module")
def labels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 5, 150)


def objective(K: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """The sum of squares, cluster by cluster, as the mean over pairs of |phi_i - phi_j|^2 / 2."""
    total = 0.0
    for cluster in np.unique(labels):
        inside = labels == cluster
        w, part = weights[inside], K[np.ix_(inside, inside)]
        distances = np.diag(part)[:, None] + np.diag(part) - 2 * part
        total += float(w @ distances @ w) / (2 * w.sum())
    return total


@pytest.mark.parametrize("method", METHODS)
def test_the_linear_kernel_is_k_means(X: np.ndarray, labels: np.ndarray, method: str) -> None:
    centres = np.array([X[labels == c].mean(axis=0) for c in range(5)])
    peer = KMeans(5, init=centres, n_init=1, tol=0, algorithm="lloyd").fit(X)
    mine = KernelKMeans(n_clusters=5, init=labels, tol=0, method=method).fit(X)
    assert np.array_equal(mine.labels_, peer.labels_)
    assert_allclose(mine.inertia_, peer.inertia_, rtol=1e-9)
    new = X[:20] + 0.5
    assert np.array_equal(mine.predict(new), peer.predict(new))
    assert_allclose(mine.transform(new), peer.transform(new), rtol=1e-6)
    assert_allclose(mine.score(new), peer.score(new), rtol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_seeds_find_the_best_partition(X: np.ndarray, method: str) -> None:
    peer = KMeans(5, n_init=20, random_state=0).fit(X)
    mine = KernelKMeans(n_clusters=5, n_init=5, method=method).fit(X)
    assert_allclose(mine.inertia_, peer.inertia_, rtol=1e-6)
    assert adjusted_rand_score(mine.labels_, peer.labels_) == 1.0
    assert np.array_equal(mine.predict(X), mine.labels_)


def test_the_objective_is_the_trace_formula_and_never_rises(X: np.ndarray, labels: np.ndarray) -> None:
    kernel, weights = Gauss(lengthscale=2.0), np.random.default_rng(1).random(150) + 0.1
    K = kernel(X)
    seen = [objective(K, labels, weights)]
    for steps in range(1, 40):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = KernelKMeans(n_clusters=5, kernel=kernel, init=labels, tol=0, max_iter=steps)
            model.fit(X, sample_weight=weights)
        seen.append(objective(K, model.labels_, weights))
        if model.n_iter_ < steps:
            break
    assert len(seen) > 4
    assert (np.diff(seen) <= 1e-12).all()
    assert seen[0] > 1.05 * seen[-1]
    assert_allclose(model.inertia_, seen[-1], rtol=1e-10)
    # squared distances to the weighted means, by the definition
    inside = model.labels_ == 2
    w = weights * inside / weights[inside].sum()
    expected = 1.0 - 2 * K @ w + w @ K @ w
    assert_allclose(model.transform(X)[:, 2] ** 2, expected, rtol=1e-9)


def test_an_integer_weight_is_repetition(X: np.ndarray, labels: np.ndarray) -> None:
    weights = np.random.default_rng(2).integers(0, 4, 150)
    options: dict[str, Any] = {"n_clusters": 5, "kernel": Gauss(lengthscale=3.0), "tol": 0}
    weighted = KernelKMeans(init=labels, **options).fit(X, sample_weight=weights)
    repeated = KernelKMeans(init=np.repeat(labels, weights), **options).fit(np.repeat(X, weights, axis=0))
    assert_allclose(weighted.inertia_, repeated.inertia_, rtol=1e-10)
    assert np.array_equal(weighted.predict(X), repeated.predict(X))


def test_products_and_moved_items_give_what_the_matrix_gives(X: np.ndarray, labels: np.ndarray) -> None:
    options: dict[str, Any] = {"n_clusters": 5, "kernel": Gauss(lengthscale=2.0), "tol": 0, "init": labels}
    exact, products = (KernelKMeans(method=method, **options).fit(X) for method in ("exact", "matvec"))
    assert np.array_equal(exact.labels_, products.labels_)
    assert exact.n_iter_ == products.n_iter_ > 3
    assert_allclose(exact.inertia_, products.inertia_, rtol=1e-10)
    centres = KernelKMeans(method="nystrom", centers=X, **options).fit(X)  # all items: no approximation
    assert np.array_equal(centres.labels_, exact.labels_)
    assert_allclose(centres.transform(X[:5]), exact.transform(X[:5]), atol=1e-6)
    assert centres.X_fit_ is None
    small = KernelKMeans(method="nystrom", n_centers=60, **options).fit(X)
    assert small.dual_coef_.shape == (60, 5)
    assert adjusted_rand_score(small.labels_, exact.labels_) > 0.9


def test_an_empty_cluster_gets_the_farthest_item() -> None:
    X = np.array([[0.0], [0.1], [0.2], [9.0]])
    model = KernelKMeans(n_clusters=2, init=np.zeros(4, int), tol=0).fit(X)
    assert model.labels_.tolist() == [0, 0, 0, 1]
    assert_allclose(model.inertia_, 0.02)


def test_fewer_distinct_items_than_clusters() -> None:
    X = np.repeat([[0.0, 1.0], [5.0, 0.0]], 4, axis=0)
    with pytest.warns(ConvergenceWarning, match="2 clusters were found where n_clusters=3"):
        model = KernelKMeans(n_clusters=3).fit(X)
    assert len(np.unique(model.labels_)) == 2
    assert np.isfinite(model.transform(X)).all()
    assert np.array_equal(model.predict(X), model.labels_)
    assert_allclose(model.inertia_, 0, atol=1e-12)


def test_as_many_clusters_as_items_and_one() -> None:
    X = np.array([[0.0], [4.0], [9.0]])
    assert sorted(KernelKMeans(n_clusters=3).fit(X).labels_) == [0, 1, 2]
    one = KernelKMeans(n_clusters=1).fit(X)
    assert_allclose(one.inertia_, 3 * np.var(X))
    assert KernelKMeans(n_clusters=1).fit(X[:1]).inertia_ == 0.0


def test_strings_and_prepared_kernels() -> None:
    model = KernelKMeans(n_clusters=2, kernel=Spectrum(), n_init=3).fit(WORDS)
    assert adjusted_rand_score(model.labels_, [word[0] in "ab" for word in WORDS]) == 1.0
    assert model.predict(["abab", "xyxy"]).tolist() == [model.labels_[0], model.labels_[4]]
    for method in METHODS:
        other = KernelKMeans(n_clusters=2, kernel=Letters(), method=method).fit(WORDS)
        assert adjusted_rand_score(other.labels_, model.labels_) == 1.0
        assert other.transform(WORDS[:3]).shape == (3, 2)


def test_a_precomputed_matrix_has_no_distances(X: np.ndarray, labels: np.ndarray) -> None:
    kernel = Gauss(lengthscale=2.0)
    given = KernelKMeans(n_clusters=5, kernel="precomputed", init=labels).fit(kernel(X))
    computed = KernelKMeans(n_clusters=5, kernel=kernel, init=labels).fit(X)
    assert np.array_equal(given.labels_, computed.labels_)
    assert np.array_equal(given.predict(kernel(X[:9], X)), computed.predict(X[:9]))
    assert not hasattr(given, "transform")
    assert not hasattr(given, "score")


def test_an_indefinite_kernel_is_said() -> None:
    A = np.random.default_rng(0).standard_normal((8, 8))
    model = KernelKMeans(n_clusters=2, kernel="precomputed", init=np.arange(8) % 2, tol=0)
    with pytest.warns(KernregWarning, match="not positive semi-definite"):
        model.fit(A + A.T)
    shift = -np.linalg.eigvalsh(A + A.T)[0]
    model.fit(A + A.T + shift * np.eye(8))  # as the message advises


def test_an_unfinished_run_is_said(X: np.ndarray, labels: np.ndarray) -> None:
    with pytest.warns(ConvergenceWarning, match="raise max_iter or tol"):
        KernelKMeans(n_clusters=5, init=labels, max_iter=1, tol=0).fit(X)


def test_the_same_seed_the_same_bits(X: np.ndarray) -> None:
    model = KernelKMeans(n_clusters=5, kernel=Gauss(), random_state=3)
    first, second = clone(model).fit(X), clone(model).fit(X)
    assert np.array_equal(first.labels_, second.labels_)
    assert first.inertia_ == second.inertia_
    again = pickle.loads(pickle.dumps(first))
    assert np.array_equal(again.transform(X[:3]), first.transform(X[:3]))


def test_seeds_are_drawn_by_distance() -> None:
    # two far groups: the second seed lies in the other one, whatever is drawn
    X = np.concatenate([np.zeros((40, 1)), 100 + np.zeros((2, 1))])
    for seed in range(20):
        lloyd = _Lloyd(StoredMatrix(X @ X.T), np.ones(42), 2, 0.0, 10)
        found = lloyd.nearest_seed(np.random.RandomState(seed), careful=True)
        assert len(set(found[:40])) == len(set(found[40:])) == 1
        assert found[0] != found[-1]


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"n_clusters": 0}, "n_clusters: expected a whole number at least 1"),
        ({"init": "far"}, "init: expected 'k-means"),
        ({"init": np.full(150, 7)}, "init: expected 150 labels from 0 to 4"),
        ({"n_init": 0}, "n_init"),
        ({"tol": -1.0}, "tol: expected a finite number at least 0"),
        ({"max_iter": 0}, "max_iter"),
        ({"method": "fast"}, "method: expected one of 'auto', 'exact', 'matvec', 'nystrom', got 'fast'"),
        ({"memory_budget": 0}, "memory_budget"),
        ({"kernel": "precomputed", "method": "nystrom"}, "method: 'nystrom' evaluates the kernel"),
    ],
)
def test_bad_parameters(X: np.ndarray, parameters: dict[str, Any], match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        KernelKMeans(**{"n_clusters": 5, **parameters}).fit(X)


def test_bad_input(X: np.ndarray) -> None:
    with pytest.raises(InputError, match="n_samples=150 should be >= n_clusters=151"):
        KernelKMeans(n_clusters=151).fit(X)
    with pytest.raises(NotFittedError):
        KernelKMeans().predict(X)
    with pytest.raises(InputError, match="sample_weight"):
        KernelKMeans(n_clusters=5).fit(X, sample_weight=-np.ones(150))


@pytest.mark.parametrize("method", METHODS)
def test_values_that_are_not_finite_are_refused(X: np.ndarray, method: str) -> None:
    def faulty(A: np.ndarray, B: np.ndarray) -> np.ndarray:
        return np.where((A[:, :1] == X[0, 0]) | (B[:, 0] == X[0, 0]), np.nan, A @ B.T)

    with pytest.raises(InputError, match="NaN or infinite values"):
        KernelKMeans(n_clusters=5, kernel=faulty, method=method, n_centers=150).fit(X)


def test_a_series_of_strings() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")

    def common(A: Any, B: Any) -> np.ndarray:
        return np.array([[float(len(set(a) & set(b))) for b in B] for a in A])

    words = pandas.Series(WORDS, index=range(5, 5 + len(WORDS)))
    for method in METHODS:
        options: dict[str, Any] = {"n_clusters": 2, "method": method, "n_centers": 8}
        found = KernelKMeans(kernel=common, **options).fit(words)
        assert found.labels_.tolist() == KernelKMeans(kernel=common, **options).fit(WORDS).labels_.tolist()


def test_the_budget_decides(X: np.ndarray) -> None:
    assert KernelKMeans(n_clusters=5, memory_budget=10**6).fit(X).method_ == "exact"
    assert KernelKMeans(n_clusters=5, memory_budget=10**5).fit(X).method_ == "nystrom"
