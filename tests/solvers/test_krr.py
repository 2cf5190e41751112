"""Kernel ridge regression against scikit-learn's, against closed forms, and against its own definition."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.kernel_ridge import KernelRidge as Peer
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.svm import SVC, SVR
from solver_kernels import Gauss, Indefinite

from kernreg_core.errors import KernregWarning
from kernreg_solvers import KernelRidge, LinearKernel


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 4))
    y = np.sin(X[:, 0]) + X[:, 1] ** 2 + 0.1 * rng.standard_normal(60)
    return X, y, rng.standard_normal((25, 4))


@pytest.mark.parametrize("alpha", [1e-3, 1.0, 50.0])
def test_agrees_with_scikit_learn(data: tuple[np.ndarray, ...], alpha: float) -> None:
    X, y, new = data
    peer = Peer(kernel="rbf", gamma=0.5 / 1.5**2, alpha=alpha).fit(X, y)
    mine = KernelRidge(kernel=Gauss(lengthscale=1.5), alpha=alpha).fit(X, y)
    assert_allclose(mine.dual_coef_, peer.dual_coef_, rtol=1e-9, atol=1e-10)
    assert_allclose(mine.predict(new), peer.predict(new), rtol=1e-9, atol=1e-11)
    assert mine.score(X, y) == pytest.approx(peer.score(X, y), abs=1e-10)


def test_several_targets_with_a_penalty_each(data: tuple[np.ndarray, ...]) -> None:
    X, y, new = data
    Y, alphas = np.column_stack([y, -y, y**2]), np.array([0.1, 5.0, 0.1])
    mine = KernelRidge(kernel=Gauss(), alpha=alphas).fit(X, Y)
    assert mine.dual_coef_.shape == (60, 3)
    assert mine.predict(new).shape == (25, 3)
    for column, alpha in enumerate(alphas):
        alone = KernelRidge(kernel=Gauss(), alpha=alpha).fit(X, Y[:, column])
        assert_allclose(mine.dual_coef_[:, column], alone.dual_coef_, rtol=1e-10, atol=1e-12)
    peer = Peer(kernel="rbf", gamma=0.5, alpha=alphas).fit(X, Y)
    assert_allclose(mine.predict(new), peer.predict(new), rtol=1e-9, atol=1e-11)


def test_intercept_agrees_with_ridge_on_explicit_features(data: tuple[np.ndarray, ...]) -> None:
    X, y, new = data
    weights = np.random.default_rng(1).uniform(0, 2, 60)
    for sample_weight in (None, weights):
        peer = Ridge(alpha=0.7).fit(X, y + 10, sample_weight)
        mine = KernelRidge(alpha=0.7, fit_intercept=True).fit(X, y + 10, sample_weight)
        assert mine.intercept_ == pytest.approx(peer.intercept_, rel=1e-9)
        assert_allclose(mine.predict(new), peer.predict(new), rtol=1e-9)


def test_intercept_of_several_targets(data: tuple[np.ndarray, ...]) -> None:
    X, y, new = data
    Y = np.column_stack([y + 3, y - 4])
    mine = KernelRidge(kernel=Gauss(), alpha=[0.5, 2.0], fit_intercept=True).fit(X, Y)
    for column, alpha in enumerate((0.5, 2.0)):
        alone = KernelRidge(kernel=Gauss(), alpha=alpha, fit_intercept=True).fit(X, Y[:, column])
        assert mine.intercept_[column] == pytest.approx(alone.intercept_)
        assert_allclose(mine.predict(new)[:, column], alone.predict(new), rtol=1e-10)
    # the residuals of a fit with an intercept sum to zero
    assert_allclose((Y - mine.predict(X)).sum(axis=0), 0, atol=1e-9)


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_an_integer_weight_counts_as_repeated_rows(data: tuple[np.ndarray, ...], fit_intercept: bool) -> None:
    X, y, new = data
    weights = np.random.default_rng(2).integers(0, 4, 60)
    model = KernelRidge(kernel=Gauss(), alpha=0.3, fit_intercept=fit_intercept)
    weighted = model.fit(X, y, sample_weight=weights).predict(new)
    repeated = model.fit(X.repeat(weights, axis=0), y.repeat(weights)).predict(new)
    assert_allclose(weighted, repeated, rtol=1e-9, atol=1e-11)


def test_a_precomputed_matrix_gives_the_same(data: tuple[np.ndarray, ...]) -> None:
    X, y, new = data
    kernel = Gauss(lengthscale=0.8)
    K, before = kernel(X), kernel(X)
    given = KernelRidge(kernel="precomputed", fit_intercept=True).fit(K, y)
    computed = KernelRidge(kernel=kernel, fit_intercept=True).fit(X, y)
    assert_allclose(given.dual_coef_, computed.dual_coef_, rtol=1e-12)
    assert_allclose(given.predict(kernel(new, X)), computed.predict(new), rtol=1e-12)
    assert np.array_equal(K, before)
    assert given.kernel_ is None


def test_a_long_prediction_in_blocks_equals_a_short_one(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    new = np.random.default_rng(3).standard_normal((160_000, 4))
    model = KernelRidge(kernel=Gauss()).fit(X, y)
    assert_allclose(model.predict(new)[-5:], model.predict(new[-5:]), rtol=1e-12)


def test_without_penalty_it_interpolates(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    model = KernelRidge(kernel=Gauss(), alpha=0).fit(X, y)
    assert_allclose(model.predict(X), y, atol=1e-8)


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_without_penalty_and_weight_an_item_is_not_there(data: tuple[np.ndarray, ...], fit_intercept: bool) -> None:
    X, y, new = data
    weights = np.where(np.arange(60) % 7, 2.0, 0.0)  # no warning: what is left is not singular
    model = KernelRidge(kernel=Gauss(), alpha=0, fit_intercept=fit_intercept).fit(X, y, weights)
    rest = KernelRidge(kernel=Gauss(), alpha=0, fit_intercept=fit_intercept).fit(X[weights > 0], y[weights > 0])
    assert (model.dual_coef_[weights == 0] == 0).all()
    assert_allclose(model.predict(new), rest.predict(new), rtol=1e-6)


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_a_singular_matrix_gives_least_squares_and_a_warning(data: tuple[np.ndarray, ...], fit_intercept: bool) -> None:
    X, y, new = data
    with pytest.warns(KernregWarning, match=r"alpha=0.*singular to working precision \(rank 4 of 60\)"):
        mine = KernelRidge(alpha=0, fit_intercept=fit_intercept).fit(X, y + 2)
    peer = LinearRegression(fit_intercept=fit_intercept).fit(X, y + 2)
    assert_allclose(mine.predict(new), peer.predict(new), rtol=1e-8, atol=1e-9)


def test_a_repeated_row_without_penalty(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    with pytest.warns(KernregWarning, match="singular"):
        model = KernelRidge(kernel=Gauss(), alpha=0).fit(np.vstack([X, X[:1]]), np.append(y, y[0] + 1))
    assert model.predict(X[:1])[0] == pytest.approx(y[0] + 0.5, abs=1e-6)


def test_an_indefinite_kernel_is_solved_and_said(data: tuple[np.ndarray, ...]) -> None:
    X, y, _ = data
    K = Indefinite()(X)
    smallest = np.linalg.eigvalsh(K)[0]
    with pytest.warns(KernregWarning, match=r"not positive semi-definite.*take alpha above"):
        mine = KernelRidge(kernel=Indefinite(), alpha=0.5).fit(X, y)
    assert_allclose((K + 0.5 * np.eye(60)) @ mine.dual_coef_, y, atol=1e-8)
    # with the penalty that the warning names there is a minimum, and no warning
    KernelRidge(kernel=Indefinite(), alpha=1.01 * -smallest).fit(X, y)


def test_float32_is_solved_in_float64(data: tuple[np.ndarray, ...]) -> None:
    X, y, new = data
    single = KernelRidge(kernel=Gauss(), alpha=1e-6).fit(X.astype(np.float32), y)
    double = KernelRidge(kernel=Gauss(), alpha=1e-6).fit(X.astype(np.float32).astype(float), y)
    assert single.dual_coef_.dtype == np.float64
    assert_allclose(single.predict(new), double.predict(new), rtol=1e-10)


def test_sparse_rows_with_a_kernel_that_takes_them(data: tuple[np.ndarray, ...]) -> None:
    from scipy import sparse

    X, y, new = data
    X = np.where(np.abs(X) < 0.7, 0.0, X)
    dense = KernelRidge(alpha=0.1).fit(X, y)
    mine = KernelRidge(kernel=LinearKernel(), alpha=0.1).fit(sparse.csr_array(X), y)
    assert_allclose(mine.predict(sparse.csr_array(new)), dense.predict(new), rtol=1e-10)
    assert_allclose(mine.predict(new), dense.predict(new), rtol=1e-10)
    with pytest.raises(TypeError, match="[Ss]parse"):
        KernelRidge(kernel=Gauss()).fit(sparse.csr_array(X), y)


def test_support_vector_machines_take_a_kernel_as_it_is(data: tuple[np.ndarray, ...]) -> None:
    X, y, new = data
    kernel = Gauss(lengthscale=1.5)
    labels = y > np.median(y)
    assert (SVC(kernel=kernel).fit(X, labels).predict(new) == SVC(gamma=0.5 / 1.5**2).fit(X, labels).predict(new)).all()
    assert_allclose(
        SVR(kernel=kernel).fit(X, y).predict(new), SVR(gamma=0.5 / 1.5**2).fit(X, y).predict(new), atol=1e-6
    )
