"""The block Krylov subspace against whole decompositions, at its limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.testing import assert_allclose

from kernreg_core.threads import pinned_blas
from kernreg_solvers.krylov import krylov_eigenpairs
from kernreg_solvers.linalg import dense_eigenpairs


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small products, for which the threads of BLAS only wait for each other on a busy machine."""
    with pinned_blas():
        yield


def gram(n: int, d: int, seed: int = 0) -> np.ndarray:
    X = np.random.default_rng(seed).standard_normal((n, d))
    return X @ X.T


def start(width: int, n: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((width, n))


def rotated(values: np.ndarray) -> np.ndarray:
    n = len(values)
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((n, n)))[0]
    A = (Q * values) @ Q.T
    return (A + A.T) / 2


def narrow(A: np.ndarray, error: float = 0.0) -> Callable[[np.ndarray], np.ndarray]:
    """Products in float32, wrong by `error` if that is more."""
    wrong = (A + error * rotated(np.cos(np.arange(len(A))))).astype(np.float32)
    return lambda Q: (Q.astype(np.float32) @ wrong).astype(Q.dtype)


@pytest.mark.parametrize("rough", [False, True])
@pytest.mark.parametrize("rank", [0, 1, 3, 40, 200])
def test_eigenpairs_of_any_rank(rank: int, rough: bool) -> None:
    A = gram(200, rank)
    dense = dense_eigenpairs(A.copy(), 5)
    options = {"rough": narrow(A)} if rough else {}
    found = krylov_eigenpairs(lambda Q: Q @ A, start(9, 200), 5, tol=1e-11, max_iter=500, **options)
    assert found.converged
    scale = max(float(dense.values[0]), 1.0)
    assert_allclose(found.values, dense.values, rtol=1e-9, atol=1e-10 * scale)
    assert_allclose(found.vectors.T @ found.vectors, np.eye(5), atol=1e-9)
    assert_allclose(A @ found.vectors, found.vectors * found.values, atol=1e-10 * scale)


@pytest.mark.parametrize("seed", range(12))
def test_small_and_odd_shapes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 20))
    q = int(rng.integers(1, n + 1))
    values = np.round(3 * rng.standard_normal(n))  # repeated, zero and negative ones
    A = rotated(values)
    found = krylov_eigenpairs(lambda Q: Q @ A, start(min(n, q + 2), n), q, tol=1e-10, max_iter=200)
    assert found.converged
    assert_allclose(found.values, np.sort(values)[::-1][:q], atol=1e-9)


def test_repeated_and_negative_values() -> None:
    values = np.concatenate([[5.0, 5.0, 5.0, 2.0], np.linspace(1, 0, 200), -3 * np.ones(96)])
    A = rotated(values)
    found = krylov_eigenpairs(lambda Q: Q @ A, start(8, 300), 4, tol=1e-10, max_iter=500)
    assert found.converged
    assert_allclose(found.values, [5, 5, 5, 2], rtol=1e-10)


def test_restarts_keep_what_is_known() -> None:
    values = np.linspace(1, 2, 800)[::-1]
    A = rotated(values)
    found = krylov_eigenpairs(lambda Q: Q @ A, start(7, 800), 3, tol=1e-8, max_iter=2000, limit=70)
    assert found.converged
    assert found.n_iter * 7 > 140  # the basis was full more than once
    assert_allclose(found.values, values[:3], rtol=1e-10)


@pytest.mark.parametrize(("error", "tol"), [(0.0, 1e-12), (1e-3, 1e-9), (0.5, 1e-8)])
def test_rough_products_give_exact_pairs(error: float, tol: float) -> None:
    values = np.concatenate([[9.0, 8.0, 7.0], 5 * 0.9 ** np.arange(297)])
    A, exact = rotated(values), []

    def product(Q: np.ndarray) -> np.ndarray:
        exact.append(len(Q))
        return Q @ A

    found = krylov_eigenpairs(product, start(7, 300), 3, tol=tol, max_iter=500, rough=narrow(A, error))
    assert found.converged
    residual = np.linalg.norm(A @ found.vectors - found.vectors * found.values, axis=0)
    assert residual.max() <= 3 * tol * 9.0
    assert_allclose(found.values, values[:3], rtol=1e-12)
    if error == 0.0:
        assert len(exact) <= 2 < found.n_iter  # hardly any product is exact


@pytest.mark.parametrize("size", [1e-250, 1e-25, 1e25, 1e250])
def test_squares_beyond_the_range_of_floats(size: float) -> None:
    A = rotated(0.8 ** np.arange(100.0))
    found = krylov_eigenpairs(lambda Q: Q @ (size * A), start(8, 100), 4, tol=1e-11, max_iter=100)
    assert found.converged
    assert_allclose(found.values / size, 0.8 ** np.arange(4), rtol=1e-12)


def test_the_residual_that_stops_it_is_the_true_one() -> None:
    A = rotated(0.97 ** np.arange(400.0))
    for tol in (1e-2, 1e-4, 1e-6):
        found = krylov_eigenpairs(lambda Q: Q @ A, start(8, 400), 4, tol=tol, max_iter=500)
        residual = np.linalg.norm(A @ found.vectors - found.vectors * found.values, axis=0).max()
        assert tol / 200 < residual <= tol * found.values[0] * 1.0001


def test_no_convergence_is_said() -> None:
    A = rotated(np.linspace(1, 2, 300))
    assert not krylov_eigenpairs(lambda Q: Q @ A, start(5, 300), 3, tol=1e-10, max_iter=2).converged
