"""Kernels on grids: which arrays are grids, which kernels factorise, and products, solutions and determinants."""

from __future__ import annotations

import math
import pickle
import tracemalloc
import warnings

import numpy as np
import pytest
from landmark_cases import Counting

import kernreg_core as kr
from kernreg_core.errors import GramMemoryError, InputError, KernregWarning, ParameterError
from kernreg_euclidean import (
    RBF,
    Grid,
    Laplace,
    Linear,
    Matern,
    Periodic,
    Polynomial,
    RationalQuadratic,
    SpectralMixture,
    _structures,
)
from kernreg_euclidean._coordinates import coordinate_kernels
from kernreg_euclidean._grids import axes_of, grid_points, step_of
from kernreg_euclidean._toeplitz import ToeplitzSystem, block_logdet, difference_table

EVEN = [np.linspace(0.0, 1.5, 7), np.linspace(-1.0, 1.0, 9)]
UNEVEN = [np.array([0.0, 0.1, 0.5, 0.7, 1.6]), np.array([-1.0, -0.2, 0.0, 0.9, 1.0, 2.5])]
SPACE = [np.linspace(0.0, 1.0, 4), np.array([0.5]), np.linspace(0.0, 2.0, 5), np.linspace(1.0, 0.0, 3)]
LINE = [np.linspace(2.0, 5.0, 40)]

PRODUCTS = {
    "rbf": lambda d: RBF(lengthscale=0.4 + 0.2 * np.arange(d)),
    "matern_inf": lambda d: Matern(order=math.inf, lengthscale=0.6),
    "laplace": lambda d: Laplace(lengthscale=0.5 + 0.1 * np.arange(d)),
    "periodic": lambda d: Periodic(period=1.3 + np.arange(d), lengthscale=0.8),
    "mixture": lambda d: SpectralMixture(weights=[2.5], means=[0.3 + np.arange(d)], scales=[0.4 + 0.1 * np.arange(d)]),
    "composite": lambda d: 3.0 * (RBF() * (2.0 * Laplace())) ** 2 * Periodic(),
}
OTHERS = {
    "matern": lambda d: Matern(lengthscale=0.7),
    "rough": lambda d: Matern(order=0.5, lengthscale=0.3),
    "mixture_of_two": lambda d: SpectralMixture(weights=[0.5, 0.7], means=[0.3, 1.1], scales=[0.4, 0.2]),
    "sum": lambda d: RBF(lengthscale=0.4) + 0.5 * Laplace(),
}
STATIONARY = {**PRODUCTS, **OTHERS}


def vectors(n: int, p: int = 2, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, p))


def assert_solves(kernel, X, noises=(1e-3, 0.3, 10.0), structured=None) -> None:
    """Solutions have a residual of rounding; log determinants are those of the whole matrix."""
    structured, B = structured or Grid(kernel=kernel), vectors(len(X))
    for noise in noises:
        A = kernel(X) + noise * np.eye(len(X))
        found = structured.solve(X, B, noise)
        scale = np.abs(A).sum(axis=1).max() * np.abs(found).max() + np.abs(B).max()
        assert np.abs(A @ found - B).max() <= 1e-12 * scale
        assert np.allclose(found, np.linalg.solve(A, B), rtol=1e-6, atol=1e-7 * np.abs(found).max())
        assert structured.logdet(X, noise) == pytest.approx(np.linalg.slogdet(A)[1], rel=1e-9, abs=1e-9)


# -- grids -------------------------------------------------------------------------------------


@pytest.mark.parametrize("axes", [EVEN, UNEVEN, SPACE, LINE, [[3.0]], [[1.0], [2.0]], [[1.0, 2.0], [5.0]]])
def test_axes_are_found_again(axes) -> None:
    X = grid_points(*axes)
    assert X.shape == (math.prod(map(len, axes)), len(axes))
    found = axes_of(X)
    assert found is not None
    assert all(np.array_equal(a, b) for a, b in zip(found, axes, strict=True))
    assert np.array_equal(X[-1], [axis[-1] for axis in axes])
    if len(axes) > 1:
        assert np.array_equal(X[:, -1][: len(axes[-1])], axes[-1])  # the last axis runs fastest


def test_what_is_no_grid_has_no_axes() -> None:
    X = grid_points(*EVEN)
    swapped = X.copy()
    swapped[[3, 17]] = swapped[[17, 3]]
    moved = X.copy()
    moved[40, 0] += 1e-9
    for other in (X[:-1], X[1:], swapped, moved, X[::-1][:, ::-1], np.ones((4, 1)), vectors(6), X[:, ::-1]):
        assert axes_of(other) is None


def test_steps() -> None:
    assert step_of(np.array([4.0])) == 0.0
    assert step_of(np.linspace(0.0, 1.0, 5001)) == pytest.approx(2e-4)
    assert step_of(np.linspace(1.0, 0.0, 11)) == pytest.approx(-0.1)
    assert step_of(np.array([0.0, 1.0, 2.0 + 1e-7])) is None
    assert step_of(np.array([1.0, 1.0])) is None
    assert step_of(np.linspace(0.0, 1.0, 200, dtype=np.float32)) == pytest.approx(1 / 199)
    assert step_of(np.array([0.0, 1.0, 2.01], np.float32)) is None
    assert step_of(np.arange(1e9, 1e9 + 50)) == 1.0


def test_points_of_single_precision_and_bad_axes() -> None:
    assert grid_points(np.ones(2, np.float32), np.ones(3, np.float32)).dtype == np.float32
    assert grid_points([1, 2], np.ones(3, np.float32)).dtype == np.float64
    for bad in ((), ([],), ([[1.0]],), ([np.nan],), (["a"],)):
        with pytest.raises(InputError, match="axes"):
            grid_points(*bad)


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_over_coordinates(name) -> None:
    for d in (1, 2, 3):
        kernel, X, Y = PRODUCTS[name](d), vectors(8, d), vectors(5, d, seed=1)
        c, factors = coordinate_kernels(kernel, d)
        assert len(factors) == d
        product = c * math.prod(k(X[:, [i]], Y[:, [i]]) for i, k in enumerate(factors))
        assert np.allclose(product, kernel(X, Y), atol=1e-13)


def test_what_is_no_product_over_coordinates() -> None:
    class Mine(RBF):
        """Might be anything."""

    others = [make(2) for make in OTHERS.values()]
    for kernel in (*others, Polynomial(), Linear(), RBF() ** 1.5, RBF() * Matern(), Mine(), lambda X, Y=None: X @ X.T):
        assert coordinate_kernels(kernel, 2) is None
        assert coordinate_kernels(kernel, 1) == (1.0, [kernel])


# -- products ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STATIONARY)
@pytest.mark.parametrize(
    "axes", [EVEN, UNEVEN, SPACE, LINE, [[3.0], [1.0]]], ids=["even", "uneven", "4d", "line", "point"]
)
def test_products_with_vectors(name, axes) -> None:
    X = grid_points(*axes)
    kernel = STATIONARY[name](len(axes))
    K, V = kernel(X), vectors(len(X), 3)
    for columns in (V, V[:, 0], V[:, :1]):
        found = Grid(kernel=kernel).matvec(X, columns)
        assert found.shape == columns.shape
        assert np.abs(found - K @ columns).max() <= 1e-12 * np.abs(K).sum(axis=1).max() * np.abs(V).max()


@pytest.mark.parametrize("name", [*PRODUCTS, "sum"])
def test_products_between_two_grids(name) -> None:
    kernel, X, Y, V = STATIONARY[name](2), grid_points(*EVEN), grid_points(*UNEVEN), vectors(30)
    assert np.allclose(Grid(kernel=kernel).matvec(X, V, Y), kernel(X, Y) @ V, atol=1e-11)
    assert np.allclose(Grid(kernel=kernel).matvec(Y, vectors(63), X), kernel(Y, X) @ vectors(63), atol=1e-11)


def test_long_axes() -> None:
    """By FFT from 512 points of equal steps, in tiles beyond 4,096 of unequal ones: some rows of the whole."""
    even = grid_points(np.linspace(0.0, 9.0, 600), [0.0, 0.4, 1.0])
    uneven = grid_points(np.linspace(0.0, 3.0, 4200) ** 2, [0.0, 0.4])
    for X in (even, uneven):
        kernel, V, rows = RBF(lengthscale=0.8), vectors(len(X)), [0, 7, len(X) // 2, len(X) - 1]
        assert np.allclose(Grid(kernel=kernel).matvec(X, V)[rows], kernel(X[rows], X) @ V, atol=1e-10)


def test_structure_is_used() -> None:
    """Toeplitz: values at the differences only, 2 n_i - 1 along each axis, whatever is asked."""
    X, kernel = grid_points(*EVEN), Counting()
    Grid(kernel=kernel).matvec(X, np.ones(63))
    assert kernel._count == 13 * 17
    kernel._count = 0
    structured = Grid(kernel=kernel)
    structured.solve(X, np.ones(63), 0.5)
    structured.logdet(X, 0.5)
    structured.solve(X, np.ones(63), 0.1)
    assert kernel._count == 13 * 17
    kernel._count = 0
    Grid(kernel=kernel).logdet(grid_points(*LINE), 0.5)
    assert kernel._count == 79


def test_single_precision_and_whole_numbers() -> None:
    X = grid_points(*(axis.astype(np.float32) for axis in EVEN))
    kernel = RBF(lengthscale=0.5)
    K, V = kernel(X.astype(float)), vectors(63).astype(np.float32)
    k = Grid(kernel=kernel)
    assert k(X).dtype == k.matvec(X, V).dtype == k.solve(X, V, 0.1).dtype == np.float32
    assert np.allclose(k.matvec(X, V), K @ V, atol=1e-5)
    assert np.allclose(k.solve(X, V, 0.1), np.linalg.solve(K + 0.1 * np.eye(63), V), atol=1e-4)
    assert k.solve(X, V.astype(float), 0.1).dtype == np.float64
    integers = grid_points(np.arange(4), np.arange(5)).astype(int)
    b = np.arange(20)
    assert np.allclose(k.matvec(integers, b), kernel(integers.astype(float)) @ b)
    assert np.allclose(k.solve(integers, b, 1), np.linalg.solve(kernel(integers.astype(float)) + np.eye(20), b))


def test_complex_vectors_and_complex_kernels() -> None:
    X, kernel = grid_points(*EVEN), RBF(lengthscale=0.5)
    V = vectors(63, 2) + 1j * vectors(63, 2)[::-1]
    for columns in (V, V[:, 0]):
        found = Grid(kernel=kernel).matvec(X, columns)
        assert found.dtype == np.complex128
        assert np.allclose(found, kernel(X) @ columns, rtol=0, atol=1e-12)

    class Turning(kr.BaseKernel):
        """exp(i w . (x - y)): stationary, but no real table of differences holds its values."""

        domain = "vectors"
        capabilities = frozenset({"symmetric", "psd", "stationary", "complex"})

        def evaluate(self, X, Y):
            return np.exp(1j * (X.sum(axis=1)[:, None] - Y.sum(axis=1)))

    for items in (X, grid_points(EVEN[0])):
        real = vectors(len(items))
        assert np.allclose(Grid(kernel=Turning()).matvec(items, real), Turning()(items) @ real, rtol=0, atol=1e-12)


def test_a_kernel_that_is_zero() -> None:
    """K = 0: the solution is b / noise, whatever the structure."""
    b = vectors(63)
    for kernel in (0.0 * Matern(), 0.0 * RBF()):
        assert np.allclose(Grid(kernel=kernel).solve(grid_points(*EVEN), b, 0.5), 2.0 * b, rtol=1e-12)
        assert Grid(kernel=kernel).logdet(grid_points(*EVEN), 0.5) == pytest.approx(63 * math.log(0.5))


# -- systems -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STATIONARY)
@pytest.mark.parametrize("axes", [EVEN, SPACE, LINE, [[3.0], [1.0]]], ids=["even", "4d", "line", "point"])
def test_solutions_and_determinants(name, axes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_solves(STATIONARY[name](len(axes)), grid_points(*axes))


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_need_no_equal_steps(name) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_solves(PRODUCTS[name](2), grid_points(*UNEVEN))


@pytest.mark.parametrize("kernel", [RBF(lengthscale=0.2), Matern(order=1.5), Periodic(period=0.7)], ids=repr)
def test_a_line_by_divide_and_conquer(kernel) -> None:
    """500 points: halves, and halves of halves, of Schur's algorithm."""
    assert_solves(kernel, np.linspace(0.0, 3.0, 500)[:, None], (1e-6, 1e-2, 1.0))


def test_the_exponential_kernel_on_a_line_in_closed_form() -> None:
    """An autoregression of order one: det = (1 - r^2)^(n - 1), and an inverse with three diagonals."""
    n, r = 1000, math.exp(-0.05)
    X, k = 0.05 * np.arange(n)[:, None], Grid(kernel=Laplace())
    assert k.logdet(X, 0.0) == pytest.approx((n - 1) * math.log(1 - r * r), rel=1e-11)
    b = vectors(n, 1)
    expected = (1 + r * r) * b
    expected[[0, -1]] = b[[0, -1]]
    expected[1:] -= r * b[:-1]
    expected[:-1] -= r * b[1:]
    assert np.allclose(k.solve(X, b, 0.0), expected / (1 - r * r), rtol=1e-9)


def test_many_points_on_a_line_in_little_memory() -> None:
    n = 20_000
    X, b, k = np.linspace(0.0, 50.0, n)[:, None], vectors(n, 1)[:, 0], Grid(kernel=Matern(lengthscale=0.3))
    k.solve(X[:3], b[:3], 0.1)
    tracemalloc.start()
    try:
        x = k.solve(X, b, 1e-2)
        k.logdet(X, 1e-2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100 * 8 * n  # a row of the matrix takes 8 n bytes
    assert np.abs(k.matvec(X, x) + 1e-2 * x - b).max() < 1e-9


@pytest.mark.parametrize("axes", [EVEN, SPACE, LINE, [EVEN[0]]])
def test_schur_in_blocks(axes) -> None:
    for kernel in (Matern(lengthscale=0.5), OTHERS["mixture_of_two"](1), RBF(lengthscale=0.3)):
        K, table = kernel(grid_points(*axes)), difference_table(kernel, [np.asarray(axis) for axis in axes])
        table[tuple(size // 2 for size in table.shape)] += 0.2
        assert block_logdet(table) == pytest.approx(np.linalg.slogdet(K + 0.2 * np.eye(len(K)))[1], rel=1e-11)


def test_conjugate_gradients_with_either_preconditioner() -> None:
    """Few columns suffice for the smooth kernel; the rough one of 1,200 points takes the circulant array."""
    X = grid_points(np.linspace(0.0, 1.0, 30), np.linspace(0.0, 1.0, 40))
    b = vectors(1200, 2)
    for kernel, noise in ((RationalQuadratic(lengthscale=0.3), 1e-3), (Matern(order=0.5, lengthscale=0.1), 1e-3)):
        x, K = Grid(kernel=kernel).solve(X, b, noise), kernel(X)
        assert np.abs(K @ x + noise * x - b).max() < 1e-14 * K.sum(axis=1).max() * np.abs(x).max()


def test_no_convergence_is_said(monkeypatch) -> None:
    monkeypatch.setattr(_structures, "_ITERATIONS", 1)
    monkeypatch.setattr(_structures, "_ROUNDS", 1)
    X = grid_points(np.linspace(0.0, 1.0, 30), np.linspace(0.0, 1.0, 40))
    with pytest.warns(KernregWarning, match="larger noise"):
        Grid(kernel=Matern(order=0.5, lengthscale=0.1)).solve(X, vectors(1200), 1e-4)


def test_singular_matrices_are_refused() -> None:
    cases = [
        (Periodic(period=1.0), np.linspace(0.0, 3.0, 31)[:, None]),  # points that are one and the same
        (Periodic(period=1.0), grid_points(np.linspace(0.0, 3.0, 31), np.array([0.0, 0.1, 0.5]))),
        (RBF(lengthscale=5.0), np.linspace(0.0, 1.0, 200)[:, None]),
        (RBF(lengthscale=5.0), grid_points(*EVEN)),
        (RationalQuadratic(lengthscale=9.0), grid_points(*EVEN)),
    ]
    for kernel, X in cases:
        with pytest.raises(InputError, match="larger noise"):
            Grid(kernel=kernel).logdet(X, 0.0)
    for kernel, X in cases[:4]:
        with pytest.raises(InputError, match="larger noise"):
            Grid(kernel=kernel).solve(X, vectors(len(X)), 0.0)
    for column in ([0.0, 0.0], [-1.0], [1.0, 2.0], [1.0, 0.9, -0.9]):
        with pytest.raises(InputError, match="positive definite"):
            ToeplitzSystem(np.array(column))


@pytest.mark.parametrize(
    ("kernel", "X", "words"),
    [
        (RBF(), vectors(30), "no grid"),
        (Matern(), np.array([0.0, 0.1, 0.4, 2.0])[:, None], "only one axis"),
        (Matern(), grid_points(*UNEVEN), "unequal steps"),
    ],
)
def test_without_structure_cholesky_and_one_warning(kernel, X, words) -> None:
    k = Grid(kernel=kernel)
    with pytest.warns(KernregWarning, match=words):
        k.solve(X, vectors(len(X)), 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_solves(kernel, X, structured=k)
    assert np.allclose(k.matvec(X, vectors(len(X))), kernel(X) @ vectors(len(X)))
    with pytest.warns(KernregWarning), pytest.raises(InputError, match="larger noise"):
        Grid(kernel=kernel).logdet(np.zeros((5, X.shape[1])), 0.0)


def test_what_would_not_fit_is_refused() -> None:
    X = np.random.default_rng(0).random((3_000_000, 1))
    with pytest.warns(KernregWarning, match="only one axis"), pytest.raises(GramMemoryError):
        Grid().logdet(X, 1.0)


def test_what_was_kept_is_not_stale() -> None:
    X, b, k = grid_points(*EVEN).copy(), vectors(63), Grid(kernel=RBF(lengthscale=0.5))
    for change in (
        lambda: None,
        lambda: k.set_params(kernel__lengthscale=0.8),
        lambda: setattr(k.kernel, "lengthscale", 0.3),
        lambda: np.multiply(X, 2.0, out=X),
        lambda: setattr(k, "kernel", Matern()),
    ):
        change()
        for noise in (0.1, 0.4):
            assert np.allclose(k.solve(X, b, noise), np.linalg.solve(k(X) + noise * np.eye(63), b))
    again = pickle.loads(pickle.dumps(k))
    assert np.array_equal(again.solve(X, b, 0.1), k.solve(X, b, 0.1))


# -- what it is --------------------------------------------------------------------------------


def test_capabilities_follow_the_kernel() -> None:
    assert {"solve", "matvec", "stationary", "gradients"} <= Grid().capabilities
    for kernel in (Linear(), Polynomial(), -1.0 * RBF(), RBF() + Linear(), lambda X, Y=None: X @ X.T):
        k = Grid(kernel=kernel)
        assert "matvec" in k.capabilities
        assert not hasattr(k, "solve")
        assert not hasattr(k, "logdet")
    assert not hasattr(Grid(kernel=Laplace()), "grad_x")
    X = grid_points(*EVEN)
    assert np.allclose(Grid(kernel=Polynomial()).matvec(X, vectors(63)), Polynomial()(X) @ vectors(63))
    assert np.array_equal(Grid(kernel=Matern()).grad_x(X[:4]), Matern().grad_x(X[:4]))
    assert np.array_equal(Grid(kernel=Matern())(X), Matern()(X))
    total = Grid() + 2 * Grid(kernel=Matern())
    assert np.allclose(total.matvec(X, vectors(63)), total(X) @ vectors(63))
    assert np.allclose(kr.matvec(Grid(), X, vectors(63)), RBF()(X) @ vectors(63))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((EVEN, np.ones(62), 0.1), InputError, "b: expected shape"),
        ((EVEN, np.ones((63, 1, 1)), 0.1), InputError, "b: expected shape"),
        ((EVEN, np.full(63, np.nan), 0.1), InputError, "b: .*NaN"),
        ((EVEN, np.ones(63) * 1j, 0.1), InputError, "b: expected real"),
        ((EVEN, ["a"] * 63, 0.1), InputError, "b: expected numbers"),
        ((EVEN, np.ones(63), -0.1), ParameterError, "noise"),
        ((EVEN, np.ones(63), math.inf), ParameterError, "noise"),
        ((EVEN, np.ones(63), None), ParameterError, "noise"),
    ],
)
def test_bad_arguments_are_refused(arguments, error, words) -> None:
    axes, b, noise = arguments
    with pytest.raises(error, match=words):
        Grid().solve(grid_points(*axes), b, noise)


def test_bad_kernels_are_refused() -> None:
    for kernel in (3, RBF):
        with pytest.raises(ParameterError, match="kernel"):
            Grid(kernel=kernel).matvec(grid_points(*EVEN), np.ones(63))
    with pytest.raises(ParameterError, match="lengthscale"):
        Grid(kernel=RBF(lengthscale=[1.0, 2.0, 3.0])).solve(grid_points(*EVEN), np.ones(63), 0.1)


def test_tensors_pass_through_the_call_and_matvec_only() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    X = grid_points(*EVEN)
    T, V = torch.tensor(X), torch.tensor(vectors(63))
    k = Grid(kernel=RBF(lengthscale=0.5))
    assert np.allclose(k(T).numpy(), k(X))
    assert np.allclose(k.matvec(T, V).numpy(), k.matvec(X, vectors(63)))
    for call in (lambda: k.solve(T, V, 0.1), lambda: k.logdet(T, 0.1), lambda: k.solve(X, V, 0.1)):
        with pytest.raises(InputError, match="NumPy"):
            call()
