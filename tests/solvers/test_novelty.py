"""Novelty scores against their formulas, kernel PCA and a Gaussian process."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.covariance import EmpiricalCovariance
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF
from solver_kernels import WORDS, Gauss, Indefinite, Letters, Spectrum

from kernreg_core.errors import InputError, NotFittedError, ParameterError
from kernreg_solvers import KernelNovelty, KernelPCA

CRITERIA = ("reconstruction", "power", "mahalanobis", "mean")
KERNEL = Gauss(lengthscale=1.5)


@pytest.fixture(scope="module")
def X() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((90, 3))


@pytest.fixture(scope="module")
def new() -> np.ndarray:
    return 2 * np.random.default_rng(1).standard_normal((20, 3))


def centred_norms(X: np.ndarray, new: np.ndarray) -> np.ndarray:
    return 1 - 2 * KERNEL(new, X).mean(axis=1) + KERNEL(X).mean()


def test_the_reconstruction_error_is_what_components_leave(X: np.ndarray, new: np.ndarray) -> None:
    components = KernelPCA(n_components=7, kernel=KERNEL).fit(X)
    expected = centred_norms(X, new) - (components.transform(new) ** 2).sum(axis=1)
    model = KernelNovelty(kernel=KERNEL, n_components=7).fit(X)
    assert_allclose(-model.score_samples(new), expected, rtol=1e-9)
    assert_allclose(model.eigenvalues_, components.eigenvalues_, rtol=1e-9)
    # with all components nothing is left of the training items
    whole = KernelNovelty(kernel=KERNEL, n_components=200).fit(X)
    assert_allclose(whole.score_samples(X), 0, atol=1e-7)


def test_the_power_function_is_the_variance_of_a_gaussian_process(X: np.ndarray, new: np.ndarray) -> None:
    process = GaussianProcessRegressor(RBF(1.5), alpha=0.1, optimizer=None).fit(X, np.zeros(90))
    expected = process.predict(new, return_std=True)[1] ** 2
    model = KernelNovelty(kernel=KERNEL, criterion="power", alpha=0.1).fit(X)
    assert_allclose(-model.score_samples(new), expected, rtol=1e-7)
    assert model.jitter_ == 0.0


def test_the_linear_kernel_gives_the_mahalanobis_distance(X: np.ndarray, new: np.ndarray) -> None:
    # alpha of (sum of squares + alpha)^-1 is nearly nothing: n times scikit-learn's covariance
    model = KernelNovelty(criterion="mahalanobis", alpha=1e-5).fit(X)
    expected = EmpiricalCovariance().fit(X).mahalanobis(new) / 90
    assert_allclose(-model.score_samples(new), expected, rtol=1e-4)


def test_the_distance_to_the_mean(X: np.ndarray, new: np.ndarray) -> None:
    model = KernelNovelty(criterion="mean").fit(X)
    assert_allclose(-model.score_samples(new), ((new - X.mean(axis=0)) ** 2).sum(axis=1), rtol=1e-9)
    kernel = KernelNovelty(kernel=KERNEL, criterion="mean").fit(X)
    assert_allclose(-kernel.score_samples(new), centred_norms(X, new), rtol=1e-9)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_all_items_as_centres_change_nothing(X: np.ndarray, new: np.ndarray, criterion: str) -> None:
    options: dict[str, Any] = {"kernel": KERNEL, "criterion": criterion, "alpha": 0.1}
    exact = KernelNovelty(**options).fit(X)
    centres = KernelNovelty(method="nystrom", centers=X, **options).fit(X)
    assert_allclose(centres.score_samples(new), exact.score_samples(new), atol=1e-8)
    assert_allclose(centres.offset_, exact.offset_, atol=1e-8)
    few = KernelNovelty(method="nystrom", n_centers=60, **options).fit(X)
    assert few.X_fit_ is None
    assert np.corrcoef(few.score_samples(new), exact.score_samples(new))[0, 1] > 0.95


@pytest.mark.parametrize("criterion", CRITERIA)
def test_far_items_are_novel_and_the_fraction_is_kept(X: np.ndarray, criterion: str) -> None:
    model = KernelNovelty(kernel=KERNEL, criterion=criterion, contamination=0.2, alpha=0.1).fit(X)
    assert (model.fit_predict(X) == -1).sum() == 18
    assert model.predict([[9.0, 9.0, 9.0]]) == -1
    assert_allclose(model.decision_function(X), model.score_samples(X) - model.offset_)


def test_many_items_take_the_iteration() -> None:
    X = np.random.default_rng(0).standard_normal((420, 2))
    options: dict[str, Any] = {"kernel": KERNEL, "n_components": 5}
    model = KernelNovelty(**options).fit(X)
    components = KernelPCA(eigen_solver="dense", **options).fit(X)
    assert_allclose(model.eigenvalues_, components.eigenvalues_, rtol=1e-9)
    expected = centred_norms(X, X[:9]) - (components.transform(X[:9]) ** 2).sum(axis=1)
    assert_allclose(-model.score_samples(X[:9]), expected, atol=1e-8)


def test_strings() -> None:
    for kernel in (Spectrum(), Letters()):
        for method in ("exact", "nystrom"):
            model = KernelNovelty(kernel=kernel, n_components=2, method=method).fit(WORDS[:4])
            scores = model.score_samples(["abab", "xyxy"])
            assert scores[0] >= scores[1]
            assert np.isfinite(scores).all()


def test_tensors_and_pickles(X: np.ndarray, new: np.ndarray) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    expected = KernelNovelty(kernel=KERNEL).fit(X)
    model = KernelNovelty(kernel=KERNEL).fit(torch.tensor(X))
    assert_allclose(model.score_samples(torch.tensor(new)), expected.score_samples(new), atol=1e-9)
    again = pickle.loads(pickle.dumps(expected))
    assert np.array_equal(again.score_samples(new), expected.score_samples(new))


@pytest.mark.parametrize("criterion", CRITERIA)
def test_float32_costs_no_digits(X: np.ndarray, criterion: str) -> None:
    options: dict[str, Any] = {"kernel": KERNEL, "criterion": criterion, "method": "nystrom", "n_centers": 60}
    narrow = X.astype(np.float32)
    expected = KernelNovelty(**options).fit(narrow.astype(float))
    model = KernelNovelty(**options).fit(narrow)
    assert model.centers_.dtype == np.float32
    assert_allclose(model.score_samples(narrow), expected.score_samples(narrow.astype(float)), rtol=1e-6, atol=1e-12)


def test_the_budget_decides(X: np.ndarray) -> None:
    assert KernelNovelty(kernel=KERNEL, memory_budget=10**6).fit(X).method_ == "exact"
    assert KernelNovelty(kernel=KERNEL, memory_budget=1000, n_centers=20).fit(X).method_ == "nystrom"


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"criterion": "density"}, "criterion: expected one of 'reconstruction', 'power'"),
        ({"kernel": "precomputed"}, "kernel: the novelty of a new item takes"),
        ({"method": "matvec"}, "method: expected one of 'auto', 'exact', 'nystrom', got 'matvec'"),
        ({"n_components": 0}, "n_components"),
        ({"alpha": 0.0}, "alpha: expected a finite number above 0, got 0.0"),
        ({"contamination": 0.6}, "contamination: expected a finite number above 0 and at most 0.5"),
    ],
)
def test_bad_parameters(X: np.ndarray, parameters: dict[str, Any], match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        KernelNovelty(**parameters).fit(X)


def test_bad_input(X: np.ndarray) -> None:
    with pytest.raises(InputError, match="not positive definite"):
        KernelNovelty(kernel=Indefinite(), criterion="power").fit(X)
    with pytest.raises(InputError, match="positive semi-definite kernel"):
        KernelNovelty(kernel=Indefinite(), method="nystrom").fit(X)
    with pytest.raises(InputError, match="squared distances .* not positive semi-definite"):
        KernelNovelty(kernel=lambda A, B: -(A @ B.T), criterion="mean").fit(X)
    with pytest.raises(NotFittedError):
        KernelNovelty().predict(X)

    def limited(A: np.ndarray, B: np.ndarray) -> np.ndarray:
        return np.where(A[:, :1] > 50, np.nan, KERNEL(A, B))

    model = KernelNovelty(kernel=limited).fit(X)
    with pytest.raises(InputError, match="NaN or infinite values"):
        model.score_samples([[99.0, 0.0, 0.0]])
