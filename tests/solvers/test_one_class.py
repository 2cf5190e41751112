"""The one-class support vector machine against scikit-learn's, on any domain."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import OneClassSVM
from solver_kernels import WORDS, Gauss, Letters, Spectrum

from kernreg_core.errors import InputError, NotFittedError, ParameterError
from kernreg_solvers import OneClassClassifier


@pytest.fixture
def X() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((80, 2))


@pytest.fixture
def new() -> np.ndarray:
    return 2 * np.random.default_rng(1).standard_normal((20, 2))


@pytest.mark.parametrize("nu", [0.1, 0.5, 0.9])
def test_equals_scikit_learn(X: np.ndarray, new: np.ndarray, nu: float) -> None:
    peer = OneClassSVM(gamma=0.5, nu=nu).fit(X)
    mine = OneClassClassifier(kernel=Gauss(), nu=nu).fit(X)
    assert np.array_equal(mine.support_, peer.support_)
    assert_allclose(mine.dual_coef_, peer.dual_coef_, rtol=1e-9)
    assert_allclose(mine.offset_, peer.offset_[0], rtol=1e-9)
    for method in ("decision_function", "score_samples", "predict"):
        assert_allclose(getattr(mine, method)(new), getattr(peer, method)(new), rtol=1e-9)
    assert np.array_equal(mine.fit_predict(X), peer.fit_predict(X))


def test_nothing_but_the_support_is_kept(X: np.ndarray, new: np.ndarray) -> None:
    model = OneClassClassifier(kernel=Gauss(), nu=0.1).fit(X)
    assert len(model.support_) < 20
    assert np.array_equal(model.support_items_, X[model.support_])
    assert model.X_fit_ is None
    assert all(np.size(value) < 80 for value in vars(model).values() if isinstance(value, np.ndarray))
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.decision_function(new), model.decision_function(new))


def test_nu_bounds_outliers_and_support(X: np.ndarray) -> None:
    for nu in (0.05, 0.2, 0.6):
        model = OneClassClassifier(kernel=Gauss(), nu=nu, tol=1e-9).fit(X)
        assert (model.decision_function(X) < -1e-6).mean() <= nu <= len(model.support_) / 80


def test_an_integer_weight_is_repetition(X: np.ndarray, new: np.ndarray) -> None:
    weights = np.random.default_rng(2).integers(0, 4, 80)
    options: dict[str, Any] = {"kernel": Gauss(), "nu": 0.3, "tol": 1e-10}
    weighted = OneClassClassifier(**options).fit(X, sample_weight=weights)
    repeated = OneClassClassifier(**options).fit(np.repeat(X, weights, axis=0))
    assert_allclose(weighted.decision_function(new), repeated.decision_function(new), atol=1e-7)
    assert (weights[weighted.support_] > 0).all()


def test_strings_and_matrices(X: np.ndarray, new: np.ndarray) -> None:
    model = OneClassClassifier(kernel=Spectrum(), nu=0.2).fit(WORDS[:4])
    assert model.predict(["abab", "zzz"]).tolist() == [1, -1]
    assert isinstance(model.support_items_, list)
    letters = OneClassClassifier(kernel=Letters(), nu=0.3).fit(WORDS)
    block = OneClassClassifier(kernel=Letters(), nu=0.3).fit(Letters().prepare(WORDS))
    assert_allclose(block.score_samples(WORDS), letters.score_samples(WORDS))
    kernel = Gauss()
    given = OneClassClassifier(kernel="precomputed", nu=0.2).fit(kernel(X))
    computed = OneClassClassifier(kernel=kernel, nu=0.2).fit(X)
    assert given.support_items_ is None
    assert_allclose(given.decision_function(kernel(new, X)), computed.decision_function(new), atol=1e-12)


def test_tensors(X: np.ndarray, new: np.ndarray) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    model = OneClassClassifier(kernel=Gauss(), nu=0.2).fit(torch.tensor(X))
    assert isinstance(model.support_items_, torch.Tensor)
    expected = OneClassClassifier(kernel=Gauss(), nu=0.2).fit(X).decision_function(new)
    assert_allclose(model.decision_function(torch.tensor(new)), expected, atol=1e-9)


def test_an_unfinished_run_is_said_with_its_residual(X: np.ndarray) -> None:
    with pytest.warns(ConvergenceWarning, match="max_iter=2") as told:
        model = OneClassClassifier(kernel=Gauss(), max_iter=2).fit(X)
    # every a_i is at a bound after two steps but those that were moved: f has to part the zeros from the ones
    a = np.zeros(80)
    a[model.support_] = model.dual_coef_[0]
    f = model.score_samples(X)
    assert f"violated by {f[a > 0].max() - f[a < 1].min():.2g}, above tol=0.001" in str(told[0].message)
    weights = np.full(80, 3.0)
    with pytest.warns(ConvergenceWarning, match="violated by"):
        OneClassClassifier(kernel=Gauss(), max_iter=2).fit(X, sample_weight=weights)


def test_new_items_beyond_the_kernel_are_refused(X: np.ndarray) -> None:
    def limited(A: np.ndarray, B: np.ndarray) -> np.ndarray:
        return np.where(A[:, :1] > 50, np.nan, Gauss()(A, B))

    with pytest.raises(InputError, match="NaN or infinite values"):
        OneClassClassifier(kernel=limited).fit(X).predict([[99.0, 0.0]])


def test_numpys_random_state_is_left_alone(X: np.ndarray) -> None:
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    OneClassClassifier(kernel=Gauss()).fit(X)
    assert np.array_equal(np.random.get_state()[1], before)  # noqa: NPY002


@pytest.mark.parametrize("parameters", [{"nu": 0.0}, {"nu": 1.0}, {"nu": "half"}, {"tol": 0.0}, {"max_iter": 0}])
def test_bad_parameters(X: np.ndarray, parameters: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=f"{next(iter(parameters))}: expected"):
        OneClassClassifier(kernel=Gauss(), **parameters).fit(X)


def test_bad_input(X: np.ndarray) -> None:
    with pytest.raises(NotFittedError):
        OneClassClassifier().predict(X)
    with pytest.raises(InputError, match="sample_weight"):
        OneClassClassifier().fit(X, sample_weight=np.zeros(80))
    with pytest.raises(InputError, match="square"):
        OneClassClassifier(kernel="precomputed").fit(X)
