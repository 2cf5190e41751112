"""k(X, Z) as a linear map against the matrix itself: in place on threads, by calls, kept, prepared, in torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from solver_kernels import WORDS, Gauss, Letters

from kernreg_core.errors import InputError
from kernreg_core.threads import num_threads
from kernreg_solvers import operator
from kernreg_solvers.operator import KernelOperator


class Filled(Gauss):
    """Fills blocks in place, and counts the values."""

    capabilities = Gauss.capabilities | {"into"}
    values = 0

    def result_dtype(self, X: Any, Y: Any = None) -> np.dtype[Any]:
        return np.dtype(X.dtype)

    def into(self, X: Any, Y: Any, out: Any) -> None:
        Filled.values += out.size
        out[...] = Gauss.evaluate(self, X, Y)


class InPanels(Filled):
    """Prepares both sides once for many blocks."""

    def panels(self, X: Any, Y: Any, out: Any) -> Iterator[tuple[slice, Any]]:
        for first in range(0, len(X), len(out)):
            rows = slice(first, min(first + len(out), len(X)))
            self.into(X[rows], Y, out[: rows.stop - first])
            yield rows, out[: rows.stop - first]


@pytest.fixture
def sides() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return (
        rng.standard_normal((3000, 3)), rng.standard_normal((40, 3)), rng.standard_normal((40, 2)),
        rng.standard_normal((3000, 2)),
    )  # fmt: skip


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many blocks of few rows, in strips and chunks."""
    for name, value in {
        "_FILLED": 1 << 15,
        "_PANEL": 1 << 15,
        "_WORTH": 1,
        "_CHUNK": 1 << 12,
        "_LARGE": 1 << 15,
    }.items():
        monkeypatch.setattr(operator, name, value)


@pytest.mark.parametrize("kernel", [Gauss(), Filled(), InPanels(), lambda X, Y: Gauss().evaluate(X, Y)])
@pytest.mark.parametrize("keep", [0, 500_000, 1 << 30])
def test_products_are_the_matrix_s(sides: tuple[np.ndarray, ...], kernel: Any, keep: int) -> None:
    X, Z, V, U = sides
    K, w = Gauss()(X, Z), np.abs(U)
    found = KernelOperator(kernel, X, Z, keep=keep)
    for _ in range(2):  # the second time with what was kept
        assert_allclose(found.times(V), K @ V, rtol=1e-11)
        assert_allclose(found.times(V[:, 0]), K @ V[:, 0], rtol=1e-11)
        assert_allclose(found.adjoint(U), K.T @ U, rtol=1e-11, atol=1e-12)
        assert_allclose(found.normal(V), K.T @ (K @ V), rtol=1e-11)
        assert_allclose(found.normal(V, w), K.T @ (w * (K @ V)), rtol=1e-11)
        assert_allclose(found.normal(V, w[:, 0]), K.T @ (w[:, :1] * (K @ V)), rtol=1e-11)
    assert_allclose(found.values(slice(5, 9)), K[5:9], rtol=1e-12)
    assert found.shape == (3000, 40)
    most = min(1.0, keep / K.nbytes)
    assert 0.5 * most <= found.kept <= most


def test_kept_values_are_not_computed_again_and_leave_the_bits(sides: tuple[np.ndarray, ...]) -> None:
    X, Z, V, _ = sides
    computed = {}
    results = []
    for keep in (0, 500_000, 1 << 30):
        Filled.values = 0
        found = KernelOperator(Filled(), X, Z, keep=keep)
        results.append([found.normal(V) for _ in range(4)])
        computed[keep] = Filled.values
    assert computed[0] == 4 * 3000 * 40
    assert computed[1 << 30] == 3000 * 40
    assert computed[1 << 30] < computed[500_000] < computed[0]
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_the_bits_do_not_depend_on_the_threads(sides: tuple[np.ndarray, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    X, Z, V, U = sides
    results = []
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("KERNREG_NUM_THREADS", threads)
        assert num_threads() == int(threads)
        found = KernelOperator(InPanels(), X, Z)
        results.append((found.normal(V), found.adjoint(U), found.times(V)))
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("kernel", [Gauss(), Filled(), InPanels()])
def test_float32_rows(sides: tuple[np.ndarray, ...], kernel: Any) -> None:
    X, Z, V, _ = (side.astype(np.float32) for side in sides)
    V = V.astype(np.float64) * 1e4
    K = Gauss()(X, Z)
    assert K.dtype == np.float32
    # exact products of float32 values: what is lost is the values' rounding alone
    wide = KernelOperator(kernel, X, Z, wide=True)
    assert_allclose(wide.times(V), K.astype(np.float64) @ V, rtol=1e-5, atol=1e-2)
    whole = KernelOperator(kernel, X, Z, wide=True, in_float64=True)
    exact = Gauss()(X.astype(np.float64), Z.astype(np.float64))
    assert_allclose(whole.times(V), exact @ V, rtol=1e-10, atol=1e-8)
    plain = KernelOperator(kernel, X, Z).normal(V)
    assert plain.dtype == np.float64
    assert_allclose(plain, exact.T @ (exact @ V), rtol=1e-3, atol=1e3)


def test_prepared_items_are_prepared_once() -> None:
    kernel, V = Letters(), np.arange(5.0)
    Letters.prepared.clear()
    found = KernelOperator(kernel, WORDS, WORDS[:5])
    K = kernel(WORDS, WORDS[:5])
    prepared = len(Letters.prepared)
    for _ in range(3):
        assert_allclose(found.times(V), K @ V)
    assert len(Letters.prepared) == prepared
    assert_allclose(KernelOperator(kernel, kernel.prepare(WORDS), WORDS[:5]).adjoint(np.ones(12)), K.sum(axis=0))


def test_tensors(sides: tuple[np.ndarray, ...]) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    X, Z, V, U = sides
    X, U = X[:400], U[:400]
    K = Gauss()(X, Z)
    for keep in (0, 1 << 30):
        found = KernelOperator(Gauss(), torch.tensor(X, requires_grad=True), torch.tensor(Z), keep=keep)
        for _ in range(2):
            assert isinstance(found.times(V), np.ndarray)
            assert_allclose(found.times(V), K @ V, rtol=1e-10)
            assert_allclose(found.normal(V, U), K.T @ (U * (K @ V)), rtol=1e-9, atol=1e-10)
    single = KernelOperator(Gauss(), torch.tensor(X).float(), torch.tensor(Z).float(), wide=True, in_float64=True)
    rounded = Gauss()(X.astype(np.float32).astype(float), Z.astype(np.float32).astype(float))
    assert_allclose(single.times(V), rounded @ V, rtol=1e-10)


def test_a_callable_that_gives_another_shape_is_refused(sides: tuple[np.ndarray, ...]) -> None:
    X, Z, V, _ = sides
    with pytest.raises(InputError, match="expected one number for each pair"):
        KernelOperator(lambda X, Y: np.ones(len(X)), X, Z).times(V)
    counts = KernelOperator(lambda X, Y: np.ones((len(X), len(Y)), dtype=int), X, Z)
    assert_allclose(counts.times(V), np.tile(V.sum(axis=0), (3000, 1)))
