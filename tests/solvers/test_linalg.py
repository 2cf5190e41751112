"""The linear algebra below the solvers, in place and at its limits."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from kernreg_solvers.linalg import (
    ShiftedSystem,
    centre_in_place,
    fix_signs,
    mirror_down,
)
from kernreg_solvers.losses import BinaryLoss, SoftmaxLoss
from kernreg_solvers.newton import BinaryNewton, SoftmaxNewton
from kernreg_solvers.penalised import Problem, State


def gram(n: int, d: int, seed: int = 0) -> np.ndarray:
    X = np.random.default_rng(seed).standard_normal((n, d))
    return X @ X.T


@pytest.mark.parametrize("n", [1, 2, 255, 256, 257, 600])
def test_cholesky_in_the_memory_of_the_matrix(n: int) -> None:
    K = gram(n, n + 5)
    B = np.random.default_rng(1).standard_normal((n, 2))
    expected = np.linalg.solve(K + 0.5 * np.eye(n), B)
    system = ShiftedSystem(K, 0.5)
    assert system.eigenvalues is None
    assert_allclose(system.solve(B), expected, rtol=1e-8, atol=1e-10)
    assert np.shares_memory(system._factor, K)


@pytest.mark.parametrize("n", [3, 300, 513])
def test_a_failed_factorisation_restores_the_matrix(n: int) -> None:
    K = gram(n, n) - 1.5 * n * np.eye(n)
    expected = np.linalg.eigvalsh(K)
    B = np.random.default_rng(1).standard_normal((n, 1))
    solution = np.linalg.solve(K + 0.1 * np.eye(n), B)
    system = ShiftedSystem(K, 0.1)
    assert system.eigenvalues is not None
    assert_allclose(system.eigenvalues, expected, rtol=1e-9, atol=1e-9)
    assert_allclose(system.solve(B), solution, rtol=1e-6, atol=1e-9)
    assert system.rank == n


def test_the_null_space_of_a_singular_system() -> None:
    system = ShiftedSystem(gram(20, 3), 0.0)
    assert system.rank == 3
    part = system.null_part(np.ones(20))
    assert part is not None
    assert_allclose(gram(20, 3) @ part, 0, atol=1e-10)
    assert ShiftedSystem(gram(20, 3), 1.0).null_part(np.ones(20)) is None


def test_mirroring_and_centring() -> None:
    K = gram(523, 4)
    broken = np.triu(K) + np.tril(np.full_like(K, 7.0), -1)
    mirror_down(broken)
    assert np.array_equal(broken, K)
    H = np.eye(523) - 1 / 523
    centred = K.copy()
    means, total = centre_in_place(centred)
    assert_allclose(centred, H @ K @ H, atol=1e-10)
    assert np.array_equal(centred, centred.T)
    assert_allclose([means.mean(), total], K.mean())


def test_signs() -> None:
    V = np.array([[1.0, 0.0, 0.1], [-2.0, 0.0, 0.2]])
    assert fix_signs(V).tolist() == [[-1.0, 0.0, 0.1], [2.0, 0.0, 0.2]]


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("whole", [False, True])
def test_newton_directions_solve_the_newton_system(k: int, fit_intercept: bool, whole: bool) -> None:
    rng = np.random.default_rng(0)
    n, alpha = 30, 0.3
    K, weights = gram(n, 40) / 40, rng.uniform(0.5, 2, n)
    codes = rng.integers(0, max(2, k), n)
    loss = BinaryLoss(codes[:, None].astype(float), weights) if k == 1 else SoftmaxLoss(np.eye(k)[codes], weights)
    problem = Problem(K, loss, alpha, fit_intercept)
    state = State(problem, k)
    state.C = 0.1 * rng.standard_normal((n, k))
    state.C -= state.C.mean(axis=1, keepdims=True) if k > 1 else 0.0
    state.KC, state.b = K @ state.C, fit_intercept * np.arange(k) * 0.1
    state.refresh()
    strategy = BinaryNewton(problem) if k == 1 else SoftmaxNewton(problem, k)
    strategy._first = whole
    d = strategy.direction(state)
    # the gradient of the objective in (C, b), differentiated along the step, must cancel the gradient
    step = 1e-6

    def gradient(t: float) -> tuple[np.ndarray, np.ndarray]:
        C, b = state.C + t * d.C, state.b + t * d.b
        pull = loss.residual(K @ C + b)
        return alpha * C - pull, -pull.sum(axis=0)

    here, ahead, behind = gradient(0), gradient(step), gradient(-step)
    assert_allclose((ahead[0] - behind[0]) / (2 * step), -here[0], atol=1e-7)
    if fit_intercept:
        assert_allclose((ahead[1] - behind[1]) / (2 * step), -here[1], atol=1e-7)
    assert_allclose(d.KC, K @ d.C, atol=1e-12)


@pytest.mark.parametrize("k", [1, 3])
def test_losses_agree_with_finite_differences(k: int) -> None:
    rng = np.random.default_rng(0)
    codes, weights = rng.integers(0, max(2, k), 20), rng.uniform(0.5, 2, 20)
    loss = BinaryLoss(codes[:, None].astype(float), weights) if k == 1 else SoftmaxLoss(np.eye(k)[codes], weights)
    F, D, t = rng.standard_normal((20, k)), rng.standard_normal((20, k)), 1e-5
    slope = (loss.value(F + t * D) - loss.value(F - t * D)) / (2 * t)
    assert slope == pytest.approx(-np.vdot(loss.residual(F), D), rel=1e-7)
    bend = -np.vdot(loss.residual(F + t * D) - loss.residual(F - t * D), D) / (2 * t)
    assert loss.curvature(F, D) == pytest.approx(bend, rel=1e-7)
