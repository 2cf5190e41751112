"""EigenPro 2 and 3: the preconditioner, one step, the limits, streams, when they stop, and divergence."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from eigenpro_cases import SOLVERS, Laplace, direct, made, relative
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from solver_kernels import Gauss

from kernreg_core.errors import InputError, KernregWarning, ParameterError
from kernreg_solvers import EigenPro2, EigenPro3
from kernreg_solvers.eigenpro_core import (
    Functions,
    Guard,
    Options,
    Plan,
    functions_of_centers,
    functions_of_items,
    plan,
)
from kernreg_solvers.eigenpro_descent import Descent, Interpolation

# -- the preconditioner -------------------------------------------------------------------------------


def test_the_leading_eigenvalues_are_flattened() -> None:
    X, _ = made()
    K, n, q = Laplace()(X), len(X), 12
    exact = np.linalg.eigvalsh(K)[::-1] / n
    found = plan(functions_of_items(K, 30), K, K, Options(n_eigenpairs=q), 64)
    assert_allclose(found.eigenvalues, exact[: q + 1], rtol=1e-10)
    # the operator P Gamma on the span of the items has the matrix (I - W W^T K) K / n, similar to a symmetric one
    flat = np.sort(np.linalg.eigvals((np.eye(n) - found.W @ found.W.T @ K) @ K / n).real)[::-1]
    assert_allclose(flat[: q + 1], exact[q], rtol=1e-8)
    assert_allclose(flat[q + 1 :], exact[q + 1 :], rtol=1e-6, atol=1e-12)


def test_eigenfunctions_on_centres_are_those_of_the_covariance_within_their_span() -> None:
    X, _ = made()
    Z = X[:40]
    K, C = Laplace()(Z), Laplace()(Z, X)
    values, V = functions_of_centers(np.linalg.cholesky(K), C, 10)
    # orthonormal in the kernel's space, and the covariance is diagonal on them
    assert_allclose(V.T @ K @ V, np.eye(10), atol=1e-10)
    F = C.T @ V
    assert_allclose(F.T @ F / len(X), np.diag(values[:-1]), atol=1e-10)
    # the eigenvalues of K^-1/2 C C^T K^-1/2 / n
    root = np.linalg.inv(np.linalg.cholesky(K)) @ C
    assert_allclose(values, np.linalg.eigvalsh(root @ root.T / len(X))[::-1][:11], rtol=1e-9)


def test_q_the_batch_and_the_step_follow_from_the_spectrum() -> None:
    X, _ = made(300)
    K, fresh = Laplace()(X[:150]), X[150:]
    C, F = Laplace()(X[:150], fresh), Laplace()(fresh)
    functions = functions_of_items(K, 60)
    found = plan(functions, C, F, Options(), 40)
    values, V = functions
    betas = []
    for q in range(len(values)):
        flat = F - (C.T @ V[:, :q] * (1 - values[q] / values[:q])) @ (V[:, :q].T @ C)
        betas.append(flat.diagonal().max())
    q = max(i for i, beta in enumerate(betas) if beta / values[i] <= 40)
    flat = F - C.T @ found.W @ found.W.T @ C
    top = max(values[q], np.linalg.eigvalsh(flat)[-1] / 150)
    assert 2 < q < 60
    assert found.W.shape == (150, q)
    assert found.batch == 40
    assert found.beta == pytest.approx(betas[q], rel=1e-9)
    assert found.top == pytest.approx(top, rel=0.02)  # the eigenvalue is found to 1e-2
    assert found.step == pytest.approx(40 / (found.beta + 39 * found.top), rel=1e-12)
    # by default more is not taken than pays; a step, a batch and q that are given are taken
    given = plan(functions, C, F, Options(n_eigenpairs=3, batch_size=7, step_size=0.5), 7)
    assert (given.W.shape[1], given.batch, given.step) == (3, 7, 0.5)
    few = plan(Functions(values[:1], V[:, :0]), C, F, Options(), 1000)
    assert few.W.shape == (150, 0)
    assert few.batch == 128  # far beyond beta / l_1, but smaller ones would only cost calls
    assert plan(functions, C, F, Options(), 40, 2).W.shape[1] > q


# -- one step -----------------------------------------------------------------------------------------


def test_a_step_of_eigenpro2_is_the_formula() -> None:
    X, y = made(90)
    options = Options(n_subsamples=30, n_eigenpairs=6, batch_size=90)
    K, Y = Laplace()(X), np.stack([y, y**2], axis=1)
    descent = Interpolation(Laplace(), X, options, Laplace(), np.random.RandomState(3))
    S = np.sort(np.random.RandomState(3).choice(90, 30, replace=False))
    sigma, E = np.linalg.eigh(K[np.ix_(S, S)])
    sigma, E = sigma[::-1], E[:, ::-1]
    D = (1 - sigma[6] / sigma[:6]) / sigma[:6]
    A = np.random.default_rng(0).standard_normal((90, 2))
    eta, G = descent.plan.step, K @ A - Y
    expected = A - eta / 90 * G
    expected[S] += eta / 90 * (E[:, :6] * D) @ E[:, :6].T @ K[S] @ G
    found, loss = descent.epoch(A.copy(), Y)
    assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    assert loss == pytest.approx((G**2).mean(), rel=1e-12)


@pytest.mark.parametrize("on_centers", [True, False])
def test_a_step_of_eigenpro3_is_the_formula(on_centers: bool) -> None:
    X, y = made(120)
    Z = X[:20] + 0.1
    K, C = Laplace()(Z), Laplace()(Z, X)
    options = Options(n_eigenpairs=5, batch_size=120)
    descent = Descent(Laplace(), X, Z, options, Laplace(), np.random.RandomState(0), exact=True, on_centers=on_centers)
    A = np.random.default_rng(0).standard_normal((20, 1))
    descent.start(A)
    loss = descent.epoch(X, y[:, None], lambda: None)
    G = C.T @ A - y[:, None]
    if on_centers:
        values, V = functions_of_centers(np.linalg.cholesky(K), C, 5)
        # the projection of P g, written with the covariance's eigenfunctions in the span: no image under K is needed
        moved = np.linalg.solve(K, C @ G) - (V * (1 - values[5] / values[:5])) @ (V.T @ (C @ G))
    else:
        values, V = functions_of_items(Laplace()(X), 5)
        S = Laplace()(X)
        moved = np.linalg.solve(K, C @ G - C @ (V * (1 - values[5] / values[:5])) @ (V.T @ (S @ G)))
    assert_allclose(descent.coefficients, A - descent.plan.step / 120 * moved, rtol=1e-8, atol=1e-11)
    assert loss == pytest.approx((G**2).mean(), rel=1e-12)


def test_the_direct_solution_stays_where_it_is_with_eigenfunctions_on_centres_only() -> None:
    X, y = made(150)
    Z = X[:15]
    a = direct(Laplace()(X, Z), y)[:, None]

    def moved(on_centers: bool, exact: bool = True, subsamples: int = 150) -> float:
        options = Options(n_eigenpairs=8, batch_size=150, n_subsamples=subsamples)
        rng = np.random.RandomState(0)
        descent = Descent(Laplace(), X, Z, options, Laplace(), rng, exact=exact, on_centers=on_centers)
        descent.start(a)
        descent.epoch(X, y[:, None], lambda: None)
        return relative(descent.coefficients, a)

    assert moved(True) < 1e-10
    assert moved(True, subsamples=12) < 1e-10  # some centres alone
    assert moved(True, exact=False) < 1e-10  # however rough the projection
    assert moved(False) > 1e-4  # the paper's, which ends near it


# -- limits -------------------------------------------------------------------------------------------


def test_eigenpro2_ends_at_the_interpolant() -> None:
    X, y = made(200)
    new = made(50, seed=1)[0]
    Y = np.stack([y, np.cos(y)], axis=1)
    model = EigenPro2(kernel=Laplace(), n_epochs=1000, tol=1e-7, random_state=0).fit(X, Y)
    a = np.linalg.solve(Laplace()(X), Y)
    assert relative(model.dual_coef_, a) < 1e-5
    assert relative(model.predict(new), Laplace()(new, X) @ a) < 1e-6
    assert 10 < model.n_iter_ < 1000
    assert model.loss_curve_.shape == (model.n_iter_,)
    assert model.loss_curve_[-1] <= 1e-14 * (Y**2).mean() < model.loss_curve_[-2]
    assert model.eigenvalues_.shape == (model.n_eigenpairs_ + 1,)
    # the preconditioner pays: plain descent with its own best step is far behind after as many epochs
    plain = EigenPro2(kernel=Laplace(), n_epochs=20, n_eigenpairs=0, batch_size=25, random_state=0).fit(X, Y)
    assert model.loss_curve_[19] < 0.02 * plain.loss_curve_[19]


def test_eigenpro3_ends_at_the_direct_solution() -> None:
    X, y = made(1200)
    noisy = y + 0.3 * np.random.default_rng(5).standard_normal(1200)
    model = EigenPro3(kernel=Laplace(), n_centers=60, random_state=0).fit(X, noisy)
    K = Laplace()(X, model.centers_)
    best = np.mean((K @ direct(K, noisy) - noisy) ** 2)
    assert np.array_equal(model.centers_, X[model.center_indices_])
    assert np.mean((model.predict(X) - noisy) ** 2) < 1.01 * best
    assert (model.projection_, model.jitter_, model.n_iter_) == ("exact", 0.0, 20)
    paper = clone(model).set_params(eigenfunctions="items").fit(X, noisy)
    # the paper's ends beside it, the farther the less the centres span the items' eigenfunctions
    assert 1.02 * best < np.mean((paper.predict(X) - noisy) ** 2) < 1.2 * best
    inexact = clone(model).set_params(projection="inexact").fit(X, noisy)
    assert inexact.projection_ == "inexact"
    assert np.mean((inexact.predict(X) - noisy) ** 2) < 1.02 * best
    assert relative(inexact.predict(X), model.predict(X)) < 0.1
    plain = clone(model).set_params(n_eigenpairs=0, batch_size=model.batch_size_).fit(X, noisy)
    assert np.mean((plain.predict(X) - noisy) ** 2) > 1.05 * best


def test_centres_of_a_distribution_of_their_own() -> None:
    # eigenfunctions of the centres' own matrix would be far from the data's: Rayleigh-Ritz takes the data's
    X, y = made(800)
    Z = np.random.default_rng(1).uniform(-3.0, 3.0, (50, 3))
    model = EigenPro3(kernel=Laplace(), centers=Z, random_state=0).fit(X, y)
    K = Laplace()(X, Z)
    assert np.mean((model.predict(X) - y) ** 2) < 1.02 * np.mean((K @ direct(K, y) - y) ** 2)
    assert model.center_indices_ is None
    assert np.array_equal(model.centers_, Z)


# -- streams ------------------------------------------------------------------------------------------


def test_a_stream_ends_near_the_direct_solution() -> None:
    X, y = made(3000)
    Z = X[:40]
    model = EigenPro3(kernel=Laplace(), centers=Z, random_state=0)
    for _ in range(3):
        for start in range(0, 3000, 500):
            model.partial_fit(X[start : start + 500], y[start : start + 500])
    assert model.n_iter_ == len(model.loss_curve_) == 18
    K = Laplace()(X, Z)
    assert np.mean((model.predict(X) - y) ** 2) < 1.05 * np.mean((K @ direct(K, y) - y) ** 2)


def test_a_stream_goes_on_after_pickling_and_after_fit() -> None:
    X, y = made(300)
    first = EigenPro3(kernel=Gauss(), n_centers=20, random_state=0).partial_fit(X[:200], y[:200])
    assert first.centers_.shape == (20, 3)
    again = pickle.loads(pickle.dumps(first))
    first.partial_fit(X[200:], y[200:])
    again.partial_fit(X[200:], y[200:])
    assert np.array_equal(first.dual_coef_, again.dual_coef_)
    model = EigenPro3(kernel=Gauss(), n_centers=20, n_epochs=5, random_state=0).fit(X, y)
    before, centers = model.loss_curve_, model.centers_
    model.partial_fit(X, y)
    assert model.n_iter_ == 6
    assert model.centers_ is centers
    assert model.loss_curve_[-1] < 1.1 * before[-1] < 0.8 * before[0]  # it went on from where fit ended
    assert np.array_equal(model.fit(X, y).loss_curve_, before)  # and fit begins anew
    assert EigenPro3(n_centers=20).partial_fit(X[:5], y[:5]).n_centers_ == 5


def test_a_stream_goes_on_from_the_solution_of_far_larger_targets() -> None:
    X, y = made(300)
    model = EigenPro3(kernel=Laplace(), n_centers=20, random_state=0).fit(X, 1e2 * y)
    for _ in range(20):
        model.partial_fit(X, y)
    K = Laplace()(X, model.centers_)
    assert np.mean((model.predict(X) - y) ** 2) < 2 * np.mean((K @ direct(K, y) - y) ** 2)


def test_chunks_are_checked_against_the_first() -> None:
    X, y = made(60)
    model = EigenPro3(kernel=Laplace(), n_centers=10, random_state=0).partial_fit(X, y)
    with pytest.raises(InputError, match="X has 2 features"):
        model.partial_fit(X[:, :2], y)
    with pytest.raises(InputError, match=r"y: expected 1 target\(s\).*as before"):
        model.partial_fit(X, np.stack([y, y], axis=1))
    with pytest.raises(InputError, match="NaN"):
        model.partial_fit(np.where(X > 2, np.nan, X), y)
    with pytest.raises(InputError, match="60"):
        model.partial_fit(X, y[:-1])
    assert model.n_iter_ == 1
    model.partial_fit(X.astype(np.float32), y)  # converted to the centres' dtype
    assert model.n_iter_ == 2


# -- stopping -----------------------------------------------------------------------------------------


def test_tol_stops_and_says_where_it_was_not_reached() -> None:
    X, y = made(150)
    early = EigenPro2(kernel=Laplace(), n_epochs=200, tol=0.05, random_state=0).fit(X, y)
    assert early.n_iter_ < 200
    assert early.loss_curve_[-1] <= 0.05**2 * np.mean(y**2)
    assert relative(early.predict(X), y) < 0.05
    with pytest.warns(
        ConvergenceWarning, match=r"after 2 epochs the residual was 0\.\d+ of the targets, above tol=1e-09"
    ):
        EigenPro2(kernel=Laplace(), n_epochs=2, tol=1e-9, random_state=0).fit(X, y)
    flat = EigenPro3(kernel=Laplace(), n_centers=10, n_epochs=200, tol=0.01, random_state=0).fit(X, y)
    assert 2 <= flat.n_iter_ < 200
    assert flat.loss_curve_[-2] - flat.loss_curve_[-1] < 0.01 * flat.loss_curve_[-2]
    with pytest.warns(
        ConvergenceWarning, match=r"after 2 epochs the residual's fall in the last one was 0\.\d+, above"
    ):
        EigenPro3(kernel=Laplace(), n_centers=10, n_epochs=2, tol=1e-6, random_state=0).fit(X, y)
    with pytest.warns(ConvergenceWarning, match="not known yet"):
        EigenPro3(kernel=Laplace(), n_centers=10, n_epochs=1, tol=0.5, random_state=0).fit(X, y)


def test_early_stopping_keeps_the_best_epoch() -> None:
    X, truth = made(300)
    y = truth + np.random.default_rng(1).standard_normal(300)  # noise that interpolation would follow
    model = EigenPro2(
        kernel=Laplace(), n_epochs=100, early_stopping=True, validation_fraction=0.2, n_iter_no_change=2, random_state=0
    )
    model.fit(X, y)
    best = int(model.validation_curve_.argmin())
    assert model.n_iter_ == len(model.validation_curve_) == best + 3 < 100
    held = model.dual_coef_ == 0
    assert held.sum() == 60
    assert np.mean((model.predict(X[held]) - y[held]) ** 2) == pytest.approx(model.validation_curve_[best], rel=1e-9)
    new, expected = made(200, seed=9)
    whole = EigenPro2(kernel=Laplace(), n_epochs=100, random_state=0).fit(X, y)
    assert np.mean((model.predict(new) - expected) ** 2) < np.mean((whole.predict(new) - expected) ** 2)
    assert not hasattr(model.set_params(early_stopping=False, n_epochs=1).fit(X, y), "validation_curve_")
    for options, match in (
        ({"validation_fraction": 1.5}, "validation_fraction: expected a number between 0 and 1, got 1.5"),
        ({"validation_fraction": 0.999}, "leaves none to train on"),
        ({"n_iter_no_change": 0}, "n_iter_no_change: expected a whole number at least 1"),
    ):
        with pytest.raises(ParameterError, match=match):
            EigenPro2(early_stopping=True, **options).fit(X, y)


def test_progress_is_told_of_each_batch() -> None:
    X, y = made(100)
    for model in (EigenPro2(n_epochs=3, batch_size=30), EigenPro3(n_centers=9, n_epochs=3, batch_size=30)):
        seen: list[tuple[int, int]] = []
        model.set_params(progress=lambda done, total, seen=seen: seen.append((done, total))).fit(X, y)
        assert seen == [(i + 1, 12) for i in range(12)]
    with pytest.raises(ParameterError, match="progress: expected True, False, None or a callable"):
        EigenPro2(progress="yes").fit(X, y)


# -- divergence ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_step_that_is_too_long_is_an_error_that_says_so(solver: Any) -> None:
    X, y = made(200)
    for step in (1e4, 1e300):
        with pytest.raises(ParameterError, match=r"step_size: EigenPro [23] diverges with step_size=.*step_size=None"):
            solver(kernel=Laplace(), step_size=step, random_state=0).fit(X, y)
    automatic = solver(kernel=Laplace(), random_state=0).fit(X, y)
    same = solver(kernel=Laplace(), step_size=automatic.step_size_, random_state=0).fit(X, y)
    assert np.array_equal(same.dual_coef_, automatic.dual_coef_)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_step_that_the_subsample_made_too_long_is_halved(solver: Any) -> None:
    X = made(3000)[0]
    X[7] *= 100.0  # with the linear kernel k(x, x) is 10^4 times larger there, and these seeds miss it
    y = X @ np.array([1.0, -2.0, 0.5])
    options: dict[str, Any] = {"centers": np.eye(3)} if solver is EigenPro3 else {}
    model = solver(n_subsamples=20, n_epochs=30, random_state=3 if solver is EigenPro2 else 0, **options)
    with pytest.warns(
        KernregWarning, match=r"was halved \d+ time\(s\).*n_subsamples, or pass a smaller step_size to silence this"
    ):
        model.fit(X, y)
    assert relative(model.predict(X), y) < 0.05
    assert np.isfinite(model.loss_curve_).all()
    quiet = clone(model).set_params(step_size=model.step_size_ / 64).fit(X, y)
    assert relative(quiet.predict(X), y) < 0.05


def test_the_guard_goes_back_to_sound_coefficients() -> None:
    guard = Guard(Plan(np.zeros((1, 0)), np.ones(1), 4, 8.0, 1.0, 1.0), fixed=False)
    assert guard.rate == 2.0
    with pytest.raises(InputError, match="at its first step"):
        guard.back("EigenPro 2")
    A = np.ones((2, 1))
    assert not guard.accepts(np.inf, 1.0, 4)
    assert guard.accepts(1.0, 1.0, 4)
    guard.keep(A)
    A += 5.0
    assert not guard.accepts(100.0, 1.0, 4)
    assert not guard.accepts(np.nan, 1.0, 4)
    assert np.array_equal(guard.back("EigenPro 2"), np.ones((2, 1)))
    assert (guard.rate, guard.halvings) == (1.0, 1)
    for _ in range(29):
        guard.back("EigenPro 2")
    with pytest.raises(InputError, match="diverges however small the step"):
        guard.back("EigenPro 2")
    guard.restart()
    assert guard.accepts(1e6, 1.0, 4)  # what it begins with, from the solution of other targets, is no divergence
    guard.keep(A)
    assert guard.accepts(9e6, 1.0, 4)
    assert not guard.accepts(11e6, 1.0, 4)
