"""Kernel PCA against scikit-learn's, against PCA, and against the definition of its components."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.decomposition import KernelPCA as Peer
from sklearn.exceptions import ConvergenceWarning
from solver_kernels import Gauss, Indefinite

from kernreg_core.errors import KernregWarning, ParameterError
from kernreg_solvers import KernelPCA, NotFittedError


@pytest.fixture
def X() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((80, 5)) * [3, 2, 1, 0.5, 0.2]


@pytest.fixture
def new() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((20, 5))


@pytest.mark.parametrize("q", [3, 80, None])
def test_agrees_with_scikit_learn_up_to_signs(X: np.ndarray, new: np.ndarray, q: int | None) -> None:
    peer = Peer(q, kernel="rbf", gamma=0.5 / 4, eigen_solver="dense").fit(X)
    mine = KernelPCA(n_components=q, kernel=Gauss(lengthscale=2.0)).fit(X)
    shown = min(20, mine.eigenvalues_.size)
    assert_allclose(mine.eigenvalues_[:shown], peer.eigenvalues_[:shown], rtol=1e-9)
    assert_allclose(np.abs(mine.transform(new))[:, :shown], np.abs(peer.transform(new))[:, :shown], atol=1e-7)
    assert_allclose(mine.fit_transform(X), mine.transform(X), atol=1e-7)


def test_the_linear_kernel_is_pca(X: np.ndarray, new: np.ndarray) -> None:
    peer = PCA().fit(X)
    mine = KernelPCA().fit(X)
    assert mine.eigenvalues_.shape == (5,)
    assert_allclose(mine.eigenvalues_ / 79, peer.explained_variance_, rtol=1e-10)
    assert_allclose(mine.explained_variance_ratio_, peer.explained_variance_ratio_, rtol=1e-10)
    assert_allclose(np.abs(mine.transform(new)), np.abs(peer.transform(new)), atol=1e-9)


@pytest.mark.parametrize("width", [0.7, 3.0, 20.0])
def test_subspace_equals_dense(width: float) -> None:
    X = load_digits().data[:600] / 16
    kernel = Gauss(lengthscale=width)
    dense = KernelPCA(n_components=8, kernel=kernel, eigen_solver="dense").fit(X)
    subspace = KernelPCA(n_components=8, kernel=kernel, eigen_solver="subspace").fit(X)
    automatic = KernelPCA(n_components=8, kernel=kernel).fit(X)
    assert_allclose(subspace.eigenvalues_, dense.eigenvalues_, rtol=1e-10)
    assert_allclose(subspace.eigenvectors_, dense.eigenvectors_, atol=1e-6)
    assert_allclose(subspace.explained_variance_ratio_, dense.explained_variance_ratio_, rtol=1e-10)
    assert np.array_equal(automatic.eigenvectors_, subspace.eigenvectors_)
    assert dense.n_iter_ == 1 < subspace.n_iter_


def test_signs_and_values_are_repeatable(X: np.ndarray) -> None:
    first, second = (KernelPCA(n_components=3, kernel=Gauss(), eigen_solver="subspace").fit(X) for _ in range(2))
    assert np.array_equal(first.eigenvectors_, second.eigenvectors_)
    largest = np.abs(first.eigenvectors_).argmax(axis=0)
    assert (first.eigenvectors_[largest, np.arange(3)] > 0).all()
    other = KernelPCA(n_components=3, kernel=Gauss(), eigen_solver="subspace", random_state=7).fit(X)
    assert_allclose(other.eigenvectors_, first.eigenvectors_, atol=1e-7)


def test_a_precomputed_matrix_gives_the_same(X: np.ndarray, new: np.ndarray) -> None:
    kernel = Gauss(lengthscale=2.0)
    K, before = kernel(X), kernel(X)
    given = KernelPCA(n_components=4, kernel="precomputed").fit(K)
    computed = KernelPCA(n_components=4, kernel=kernel).fit(X)
    assert_allclose(given.transform(kernel(new, X)), computed.transform(new), atol=1e-12)
    assert np.array_equal(K, before)


def test_components_are_centred_and_uncorrelated(X: np.ndarray) -> None:
    scores = KernelPCA(n_components=6, kernel=Gauss()).fit_transform(X)
    assert_allclose(scores.mean(axis=0), 0, atol=1e-12)
    gram = scores.T @ scores
    assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-10)


def test_zero_eigenvalues(X: np.ndarray, new: np.ndarray) -> None:
    flat = np.hstack([X[:, :2], X[:, :2]])
    assert KernelPCA().fit(flat).eigenvalues_.shape == (2,)
    kept = KernelPCA(n_components=4).fit(flat)
    assert kept.transform(flat).shape == (80, 4)
    assert_allclose(kept.transform(flat)[:, 2:], 0)
    assert KernelPCA(n_components=4, remove_zero_eig=True).fit_transform(flat).shape == (80, 2)
    assert KernelPCA(n_components=1).fit(np.ones((5, 3))).eigenvalues_.tolist() == [0.0]


def test_pre_images(X: np.ndarray) -> None:
    mine = KernelPCA(n_components=5, kernel=Gauss(lengthscale=4.0), fit_inverse_transform=True, alpha=1e-4).fit(X)
    peer = Peer(5, kernel="rbf", gamma=0.5 / 16, fit_inverse_transform=True, alpha=1e-4, eigen_solver="dense").fit(X)
    back = mine.inverse_transform(mine.transform(X))
    assert_allclose(back, peer.inverse_transform(peer.transform(X)), atol=1e-6)
    assert np.abs(back - X).mean() < np.abs(X - X.mean(axis=0)).mean() / 4
    with pytest.raises(NotFittedError, match="fit_inverse_transform=True"):
        KernelPCA().fit(X).inverse_transform(X)
    with pytest.raises(ParameterError, match="fit_inverse_transform.*precomputed"):
        KernelPCA(kernel="precomputed", fit_inverse_transform=True).fit(X @ X.T)


def test_feature_names_out_and_set_output(X: np.ndarray) -> None:
    model = KernelPCA(n_components=2).fit(X)
    assert model.get_feature_names_out().tolist() == ["kernelpca0", "kernelpca1"]


def test_an_indefinite_kernel_is_said(X: np.ndarray) -> None:
    with pytest.warns(KernregWarning, match="not positive semi-definite"):
        model = KernelPCA(kernel=Indefinite()).fit(X)
    assert (model.eigenvalues_ > 0).all()
    with pytest.warns(KernregWarning):
        KernelPCA(n_components=80, kernel=Indefinite()).fit(X)


def test_an_unfinished_subspace_is_said() -> None:
    X = np.random.default_rng(0).standard_normal((300, 30))
    with pytest.warns(ConvergenceWarning, match="eigen_solver='dense'"):
        KernelPCA(n_components=4, kernel=Gauss(lengthscale=3.0), eigen_solver="subspace", max_iter=2).fit(X)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"n_components": 0}, "n_components: expected a whole number at least 1"),
        ({"n_components": 2.5}, "n_components"),
        ({"n_components": 81}, "n_components: expected at most the number of items, 80"),
        ({"eigen_solver": "arpack"}, "eigen_solver: expected one of 'auto', 'dense', 'subspace', got 'arpack'"),
        ({"tol": 0.0}, "tol: expected a finite number above 0"),
        ({"alpha": -1.0}, "alpha: expected a finite number above 0"),
        ({"max_iter": 0}, "max_iter"),
    ],
)
def test_bad_parameters(X: np.ndarray, parameters: dict[str, object], match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        KernelPCA(**parameters).fit(X)
