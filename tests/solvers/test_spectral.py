"""Spectral clustering against scikit-learn's, graphs with known spectra, and the definition of its coordinates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.cluster import SpectralClustering as Peer
from sklearn.datasets import make_blobs, make_circles, make_moons
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import adjusted_rand_score
from solver_kernels import WORDS, Gauss, Letters, Spectrum

from kernreg_core.errors import InputError, KernregWarning, NotFittedError, ParameterError
from kernreg_solvers import SpectralClustering

DATA = {
    "moons": (*make_moons(200, noise=0.05, random_state=0), 0.15, 2),
    "rings": (*make_circles(200, noise=0.03, factor=0.4, random_state=0), 0.15, 2),
    "blobs": (*make_blobs(200, centers=4, random_state=3), 1.5, 4),
}


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"normalisation": "random_walk"},
        {"assign_labels": "cluster_qr"},
        {"method": "matvec"},
        {"method": "nystrom", "n_centers": 120},
        {"method": "nystrom", "n_centers": 120, "normalisation": "random_walk"},
    ],
)
def test_agrees_with_scikit_learn_and_the_truth(name: str, parameters: dict[str, Any]) -> None:
    X, y, width, k = DATA[name]
    peer = Peer(k, gamma=0.5 / width**2, random_state=0).fit(X)
    mine = SpectralClustering(n_clusters=k, kernel=Gauss(lengthscale=width), **parameters).fit(X)
    assert adjusted_rand_score(mine.labels_, peer.labels_) == 1.0
    assert adjusted_rand_score(mine.labels_, y) == 1.0
    assert np.array_equal(mine.predict(X), mine.labels_)
    assert np.array_equal(mine.predict(X[7:9]), mine.labels_[7:9])


@pytest.mark.parametrize("normalisation", ["symmetric", "random_walk"])
def test_coordinates_are_eigenvectors(normalisation: str) -> None:
    X, _, width, _ = DATA["blobs"]
    W = Gauss(lengthscale=width)(X)
    D = W.sum(axis=1)
    model = SpectralClustering(
        n_clusters=3, n_components=5, kernel=Gauss(lengthscale=width), normalisation=normalisation
    ).fit(X)
    assert_allclose(model.degrees_, D)
    expected = np.sort(np.linalg.eigvals(W / D[:, None]).real)[::-1]
    assert_allclose(model.eigenvalues_, expected[:5], rtol=1e-9)
    E = model.embedding_
    if normalisation == "random_walk":
        assert_allclose(W @ E, D[:, None] * E * model.eigenvalues_, atol=1e-9)
        assert_allclose(E[:, 0], E[0, 0])  # the constant solves it
    else:
        assert_allclose(np.linalg.norm(E, axis=1), 1)


def test_many_items_take_the_iteration() -> None:
    X = make_blobs(420, centers=3, cluster_std=0.5, random_state=0)[0]
    model = SpectralClustering(n_clusters=3, kernel=Gauss(lengthscale=1.0)).fit(X)
    assert model.n_iter_ > 1
    W = Gauss(lengthscale=1.0)(X)
    root = 1 / np.sqrt(W.sum(axis=1))
    assert_allclose(model.eigenvalues_, np.linalg.eigvalsh(W * root * root[:, None])[::-1][:3], rtol=1e-9)
    assert adjusted_rand_score(model.labels_, Peer(3, gamma=0.5, random_state=0).fit(X).labels_) == 1.0


@pytest.mark.parametrize("assign_labels", ["kmeans", "cluster_qr"])
def test_components_of_a_graph_are_its_clusters(assign_labels: str) -> None:
    A = np.zeros((9, 9))
    A[:4, :4], A[4:7, 4:7], A[7:, 7:] = 1.0, 0.5, 2.0
    order = np.random.default_rng(0).permutation(9)
    model = SpectralClustering(n_clusters=3, kernel="precomputed", assign_labels=assign_labels)
    model.fit(A[np.ix_(order, order)])
    assert_allclose(model.eigenvalues_, 1, atol=1e-12)  # as often as there are components
    assert adjusted_rand_score(model.labels_, np.repeat([0, 1, 2], [4, 3, 2])[order]) == 1.0


@pytest.mark.parametrize("normalisation", ["symmetric", "random_walk"])
def test_an_item_without_similarities_is_a_component(normalisation: str) -> None:
    A = np.ones((6, 6))
    A[5] = A[:, 5] = 0.0
    model = SpectralClustering(n_clusters=2, kernel="precomputed", normalisation=normalisation).fit(A)
    assert_allclose(model.eigenvalues_, 1)
    assert model.degrees_.tolist() == [5, 5, 5, 5, 5, 1]
    assert adjusted_rand_score(model.labels_, [0, 0, 0, 0, 0, 1]) == 1.0
    # a new one is placed without a warning, somewhere
    assert model.predict(np.zeros((1, 6))).shape == (1,)


def test_an_item_far_from_all_centres_is_said() -> None:
    X = np.concatenate([np.random.default_rng(0).random((20, 1)), [[1e4]]])
    with pytest.warns(KernregWarning, match="1 of 21 items have no similarity to any centre"):
        SpectralClustering(n_clusters=2, kernel=Gauss(), method="nystrom", centers=X[:10]).fit(X)


def test_negative_similarities() -> None:
    X = make_blobs(40, centers=2, random_state=0)[0]
    model = SpectralClustering(n_clusters=2).fit(X - X.mean(axis=0))  # the inner product
    K = (X - X.mean(axis=0)) @ (X - X.mean(axis=0)).T
    assert_allclose(model.clipped_, (K < 0).mean())
    assert np.array_equal(model.labels_, SpectralClustering(n_clusters=2, kernel="precomputed").fit(K).labels_)
    assert_allclose(model.degrees_, np.maximum(K, 0).sum(axis=1))
    with pytest.raises(InputError, match="negative='clip'"):
        SpectralClustering(n_clusters=2, negative="refuse").fit(X - X.mean(axis=0))
    with pytest.raises(InputError, match="method='matvec', which cannot clip"):
        SpectralClustering(n_clusters=2, method="matvec").fit(X - X.mean(axis=0))
    assert SpectralClustering(n_clusters=2, kernel=Gauss()).fit(X).clipped_ == 0.0


def test_strings() -> None:
    for kernel in (Spectrum(), Letters()):
        for method in ("exact", "matvec"):
            model = SpectralClustering(n_clusters=2, kernel=kernel, method=method).fit(WORDS)
            assert adjusted_rand_score(model.labels_, [word[0] in "ab" for word in WORDS]) == 1.0
            assert model.predict(["abab", "xyxy"]).tolist() == [model.labels_[0], model.labels_[4]]


def test_limits() -> None:
    X = np.array([[0.0], [0.1], [5.0]])
    model = SpectralClustering(n_clusters=2, kernel=Gauss()).fit(X)
    assert model.labels_[0] == model.labels_[1] != model.labels_[2]
    assert SpectralClustering(n_clusters=1, kernel=Gauss()).fit(X[:1]).labels_.tolist() == [0]
    assert sorted(SpectralClustering(n_clusters=3, kernel=Gauss(lengthscale=0.01)).fit(X).labels_) == [0, 1, 2]


@pytest.mark.parametrize("method", ["exact", "matvec"])
def test_equal_items_have_no_second_coordinate(method: str) -> None:
    with pytest.warns(KernregWarning, match="1 of the 2 leading eigenvalues .* are zero, so only 1 coordinates"):
        same = SpectralClustering(n_clusters=2, kernel=Gauss(), method=method).fit(np.ones((5, 2)))
    assert (same.embedding_ == [1, 0]).all()
    assert same.labels_.tolist() == same.predict(np.ones((5, 2))).tolist() == [0] * 5


def test_values_that_are_not_finite_are_refused() -> None:
    def faulty(A: np.ndarray, B: np.ndarray) -> np.ndarray:
        return np.where((A[:, :1] > 2) & (B[:, 0] > 2), np.nan, Gauss()(A, B))

    X = np.vstack([np.linspace(0, 1, 40), np.zeros(40)]).T.copy()
    X[-1] = 3.0
    for method in ("exact", "matvec", "nystrom"):
        with pytest.raises(InputError, match="NaN or infinite values"):
            SpectralClustering(n_clusters=2, kernel=faulty, method=method, n_centers=40).fit(X)


def test_an_unfinished_iteration_is_said() -> None:
    X = np.random.default_rng(0).random((60, 2))
    with pytest.warns(ConvergenceWarning, match="raise max_iter or tol"):
        SpectralClustering(n_clusters=2, kernel=Gauss(lengthscale=0.05), method="matvec", max_iter=2).fit(X)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"n_clusters": 2.5}, "n_clusters: expected a whole number"),
        ({"n_components": 41}, "n_components: expected a whole number from 1 to the number of items, 40, got 41"),
        ({"n_components": 3, "assign_labels": "cluster_qr"}, "n_components: expected 2, the number of clusters"),
        ({"normalisation": "none"}, "normalisation: expected one of 'symmetric', 'random_walk', got 'none'"),
        ({"assign_labels": "discretize"}, "assign_labels"),
        ({"negative": "abs"}, "negative"),
        ({"tol": 0.0}, "tol: expected a finite number above 0"),
        ({"method": "nystrom", "kernel": "precomputed"}, "method: 'nystrom' evaluates the kernel"),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], match: str) -> None:
    X = make_blobs(40, centers=2, random_state=0)[0]
    with pytest.raises(ParameterError, match=match):
        SpectralClustering(**{"n_clusters": 2, "kernel": Gauss(), **parameters}).fit(X)


def test_bad_input() -> None:
    X = make_blobs(10, centers=2, random_state=0)[0]
    with pytest.raises(InputError, match="n_samples=10 should be >= n_clusters=11"):
        SpectralClustering(n_clusters=11, kernel=Gauss()).fit(X)
    with pytest.raises(InputError, match="take more centres"):
        SpectralClustering(n_clusters=4, kernel=Gauss(), method="nystrom", n_centers=3).fit(X)
    with pytest.raises(NotFittedError):
        SpectralClustering().predict(X)
