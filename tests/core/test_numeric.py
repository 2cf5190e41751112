"""Laws of kernreg_core.numeric: algebra, exact distributions, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernreg_core.errors import InputError
from kernreg_core.numeric import fwht, nearest_psd, orthogonal_gaussian, pcg, pivoted_cholesky, simplex_gaussian

SEEDS = st.integers(0, 2**32 - 1)
DTYPES = st.sampled_from([np.float32, np.float64, np.complex64, np.complex128])


def random_array(seed, shape, dtype=np.float64):
    rng = np.random.default_rng(seed)
    a = rng.standard_normal(shape)
    if np.issubdtype(dtype, np.complexfloating):
        a = a + 1j * rng.standard_normal(shape)
    return a.astype(dtype)


def random_psd(seed, n, rank, dtype=np.float64):
    a = random_array(seed, (n, rank), dtype)
    return a @ a.conj().T


def hadamard(n):
    """Sylvester's construction."""
    matrix = np.ones((1, 1))
    while len(matrix) < n:
        matrix = np.kron([[1, 1], [1, -1]], matrix)
    return matrix


def distributions():
    return pytest.importorskip("scipy.stats", reason="tests of distributions need scipy")


def tolerance(dtype):
    return 50 * np.finfo(dtype).eps


# --- fwht ------------------------------------------------------------------------------------


@settings(deadline=None)
@given(SEEDS, st.integers(0, 9), st.lists(st.integers(1, 4), max_size=2), st.data(), DTYPES)
def test_fwht_is_the_hadamard_matrix_along_any_axis(seed, levels, others, data, dtype):
    n = 2**levels
    position = data.draw(st.integers(0, len(others)))
    x = random_array(seed, (*others[:position], n, *others[position:]), dtype)
    expected = np.moveaxis(np.tensordot(hadamard(n), x, axes=(1, position)), 0, position)
    before = x.copy()
    for axis in (position, position - x.ndim):
        y = fwht(x, axis)
        assert y.dtype == x.dtype
        assert np.abs(y - expected).max() <= tolerance(dtype) * n
    assert np.array_equal(x, before)


@settings(deadline=None)
@given(SEEDS, st.integers(0, 12), DTYPES)
def test_fwht_normalized_is_an_orthogonal_involution(seed, levels, dtype):
    x = random_array(seed, (3, 2**levels), dtype)
    y = fwht(x, normalized=True)
    assert np.allclose(fwht(y, normalized=True), x, atol=tolerance(dtype) * 10)
    assert np.allclose(np.linalg.norm(y, axis=1), np.linalg.norm(x, axis=1), rtol=tolerance(dtype))


def test_fwht_in_place_writes_every_block():
    x = random_array(0, (200, 1024))  # more than one block of the cache
    expected = x @ hadamard(1024)
    assert fwht(x, out=x) is x
    assert np.allclose(x, expected, atol=1e-10)


def test_fwht_of_a_transposed_view_in_place_of_another():
    x = random_array(0, (8, 16)).T
    out = np.empty((16, 8))
    assert np.allclose(fwht(x, 0, out=out), hadamard(16) @ x)


def test_fwht_counts_exactly_on_integers():
    x = np.arange(64) ** 2
    assert np.array_equal(fwht(x), hadamard(64) @ x)


@pytest.mark.parametrize(
    ("x", "options", "words"),
    [
        (np.ones(6), {}, "pad it with zeros"),
        (np.ones(0), {}, "length 0"),
        (np.ones((2, 4)), {"axis": 2}, "axis=2"),
        (np.array([1.0, np.nan]), {}, "NaN"),
        (np.array(["a", "b"]), {}, "numbers"),
        (np.ones(4), {"out": np.ones(4, np.float32)}, "float64"),
        (np.ones((4, 4)), {"out": np.ones((4, 4)).T[::1].copy(order="F")}, "C-contiguous"),
    ],
)
def test_fwht_refuses(x, options, words):
    with pytest.raises(InputError, match=words):
        fwht(x, **options)


# --- random directions -----------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(0, 30), st.integers(1, 12))
def test_orthogonal_blocks(seed, n, d):
    w = orthogonal_gaussian(n, d, seed)
    assert w.shape == (n, d)
    for start in range(0, n, d):
        block = w[start : start + d]
        gram = block @ block.T
        assert np.allclose(gram, np.diag(gram.diagonal()), atol=1e-10)
    assert np.array_equal(w, orthogonal_gaussian(n, d, np.random.default_rng(seed)))


@settings(deadline=None, max_examples=40)
@given(SEEDS, st.integers(0, 30), st.integers(2, 12))
def test_simplex_blocks(seed, n, d):
    w = simplex_gaussian(n, d, seed)
    assert w.shape == (n, d)
    unit = w / np.linalg.norm(w, axis=1, keepdims=True)
    for start in range(0, n, d):
        block = unit[start : start + d]
        expected = np.full((len(block), len(block)), -1 / (d - 1))
        np.fill_diagonal(expected, 1)
        assert np.allclose(block @ block.T, expected, atol=1e-10)


@pytest.mark.parametrize("make", [orthogonal_gaussian, simplex_gaussian])
@pytest.mark.parametrize("d", [1, 2, 3, 8])
def test_rows_are_exactly_standard_normal(make, d):
    """One row of each block, so that the rows are independent: every coordinate, norm and projection."""
    stats = distributions()
    w = make(4000 * d, d, rng=7)
    for row in {0, d - 1}:
        rows = w[row::d]
        for j in range(d):
            assert stats.kstest(rows[:, j], "norm").pvalue > 1e-4
        assert stats.kstest((rows**2).sum(axis=1), "chi2", args=(d,)).pvalue > 1e-4
        assert stats.kstest(rows.sum(axis=1) / math.sqrt(d), "norm").pvalue > 1e-4


@pytest.mark.parametrize("make", [orthogonal_gaussian, simplex_gaussian])
def test_norms_within_a_block_are_independent(make):
    norms = np.linalg.norm(make(5000 * 3, 3, rng=1).reshape(-1, 3, 3), axis=2)
    assert np.abs(np.corrcoef(norms.T) - np.eye(3)).max() < 0.05


@pytest.mark.parametrize("make", [orthogonal_gaussian, simplex_gaussian])
@pytest.mark.parametrize("arguments", [(-1, 3), (3, 0), (2.0, 3), (True, 3), (3, 3, -1), (3, 3, "0"), (3, 3, 0.5)])
def test_random_directions_refuse(make, arguments):
    with pytest.raises(InputError):
        make(*arguments)


# --- pcg -------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.integers(1, 25), st.integers(1, 4), st.sampled_from([np.float64, np.complex128]))
def test_pcg_solves_every_column(seed, n, s, dtype):
    a = random_psd(seed, n, n, dtype) + np.eye(n)
    b = random_array(seed + 1, (n, s), dtype)
    x, result = pcg(a, b, tol=1e-10)
    assert result.converged.all()
    assert not result.breakdown.any()
    residual = np.linalg.norm(b - a @ x, axis=0) / np.linalg.norm(b, axis=0)
    assert np.allclose(result.residuals, residual, rtol=1e-6, atol=1e-14)
    assert (residual <= 1e-10).all()


def test_pcg_ends_after_as_many_steps_as_there_are_eigenvalues():
    q, _ = np.linalg.qr(random_array(0, (40, 40)))
    a = (q * np.repeat([1.0, 3.0, 10.0, 50.0], 10)) @ q.T
    _, result = pcg(a, random_array(1, 40), tol=1e-9)
    assert result.iterations.tolist() == [4]


def test_pcg_with_the_exact_inverse_needs_one_step_and_a_good_one_fewer():
    a = random_psd(3, 60, 60) + np.diag(np.logspace(0, 5, 60))
    b = random_array(4, (60, 2))
    inverse = np.linalg.inv(a)
    _, exact = pcg(a, b, preconditioner=lambda v: inverse @ v, tol=1e-8)
    _, jacobi = pcg(a, b, preconditioner=lambda v: v / a.diagonal()[:, None], tol=1e-8)
    _, plain = pcg(a, b, tol=1e-8)
    assert exact.iterations.tolist() == [1, 1]
    assert (jacobi.iterations < plain.iterations).all()


def test_pcg_finished_columns_leave_the_block():
    a = np.diag(np.arange(1.0, 31.0))
    b = np.stack([np.eye(30)[3], np.ones(30), np.zeros(30)], axis=1)
    widths, seen = [], []

    def apply(v):
        widths.append(v.shape[1])
        return a @ v

    x, result = pcg(apply, b, tol=1e-8, callback=lambda i, r: seen.append((i, r.shape)))
    assert result.iterations[0] == 1
    assert result.iterations[2] == 0
    assert not x[:, 2].any()
    assert widths[0] == 2
    assert set(widths[2:]) == {1}
    assert seen == [(i, (3,)) for i in range(1, result.iterations[1] + 1)]
    assert np.allclose(a @ x, b, atol=1e-6)


def test_pcg_starts_from_x0_and_takes_vectors():
    a, b = np.diag([1.0, 2.0]), np.array([1.0, 4.0])
    x, result = pcg(a, b, x0=[1.0, 2.0])
    assert x.tolist() == [1, 2]
    assert result.iterations[0] == 0
    assert result.converged.all()


@pytest.mark.parametrize("bad", [np.diag([1.0, -2.0]), np.zeros((2, 2))])
def test_pcg_reports_a_matrix_that_is_not_positive(bad):
    x, result = pcg(bad, np.array([0.0, 1.0]))
    assert result.breakdown.tolist() == [True]
    assert not result.converged.any()
    assert x.tolist() == [0, 0]
    assert result.residuals.tolist() == [1]


def test_pcg_one_bad_column_leaves_the_others():
    a = np.diag([1.0, 2.0, -1.0])
    x, result = pcg(a, np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), tol=1e-12)
    assert result.breakdown.tolist() == [False, True]
    assert result.converged.tolist() == [True, False]
    assert np.allclose(x[:, 0], [1, 0.5, 0])


@pytest.mark.parametrize("where", ["matrix", "preconditioner"])
def test_pcg_reports_values_that_are_not_finite(where):
    a = np.eye(3)
    broken = {where: lambda v: np.full_like(v, np.inf)}
    x, result = pcg(**{"matrix": a, **broken}, b=np.ones(3))
    assert result.breakdown.all()
    assert np.isfinite(x).all()


def test_pcg_consistent_singular_system():
    a = random_psd(0, 20, 5)
    x, result = pcg(a, a @ np.ones(20), tol=1e-9)
    assert result.converged.all()
    assert np.allclose(a @ x, a @ np.ones(20))


def test_pcg_says_so_when_the_recurrence_drifts():
    """A Hilbert matrix: whatever is reported is the true residual, and converged only if it is small."""
    a = 1 / (np.arange(12)[:, None] + np.arange(12) + 1)
    b = np.ones(12)
    for tol in (1e-6, 1e-12, 1e-16):
        x, result = pcg(a, b, tol=tol, max_iterations=200)
        true = np.linalg.norm(b - a @ x) / np.linalg.norm(b)
        assert result.residuals[0] == pytest.approx(true, rel=1e-3, abs=1e-15)
        assert result.converged[0] == (true <= tol)


def test_pcg_stops_at_the_limit():
    a = np.diag(np.logspace(0, 6, 50))
    x, result = pcg(a, np.ones(50), max_iterations=3)
    assert result.iterations.tolist() == [3]
    assert not result.converged.any()
    assert not result.breakdown.any()
    x, result = pcg(a, np.ones(50), max_iterations=0)
    assert not x.any()


def test_pcg_complex_operator_of_a_real_right_hand_side():
    a = np.array([[2.0, 1j], [-1j, 2.0]])
    x, _ = pcg(lambda v: a @ v, [1.0, 0.0], tol=1e-12)
    assert np.allclose(a @ x, [1, 0])


def test_pcg_keeps_single_precision():
    a = (random_psd(0, 10, 10) + np.eye(10)).astype(np.float32)
    assert pcg(a, np.ones(10, np.float32), tol=1e-4)[0].dtype == np.float32


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"b": np.ones(3)}, "matrix"),
        ({"b": np.ones((2, 2, 2))}, "b has shape"),
        ({"b": []}, "b has shape"),
        ({"b": [np.nan, 1]}, "b holds NaN"),
        ({"tol": 0}, "tol"),
        ({"tol": math.nan}, "tol"),
        ({"x0": [1.0]}, "x0 has shape"),
        ({"max_iterations": -1}, "max_iterations"),
        ({"matrix": np.ones((2, 3))}, "square"),
        ({"matrix": lambda v: v[:1]}, "matrix returned shape"),
        ({"preconditioner": lambda v: v.T[:1]}, "preconditioner returned"),
    ],
)
def test_pcg_refuses(options, words):
    with pytest.raises(InputError, match=words):
        pcg(**{"matrix": np.eye(2), "b": np.ones(2), **options})


# --- pivoted Cholesky ------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.integers(1, 20), st.data(), st.sampled_from([np.float64, np.complex128]))
def test_pivoted_cholesky_reproduces_its_columns(seed, n, data, dtype):
    rank = data.draw(st.integers(1, n))
    k = random_psd(seed, n, n, dtype) + 0.1 * np.eye(n)
    for method in ("greedy", "random"):
        factor, pivots = pivoted_cholesky(None, k, rank, method=method, rng=seed, tol=0)
        assert factor.shape == (n, rank)
        assert factor.dtype == dtype
        assert len(set(pivots.tolist())) == rank
        approximation = factor @ factor.conj().T
        scale = np.abs(k).max()
        assert np.abs((approximation - k)[:, pivots]).max() <= 1e-9 * scale
        assert np.linalg.eigvalsh(k - approximation).min() >= -1e-9 * scale
        assert not np.triu(factor[pivots], 1).any()  # triangular in the order of the pivots, exactly


def test_pivoted_cholesky_stops_at_the_rank_of_the_matrix():
    k = random_psd(0, 50, 7)
    factor, pivots = pivoted_cholesky(None, k, 50, tol=1e-10)
    assert factor.shape == (50, 7)
    assert np.allclose(factor @ factor.T, k)
    assert pivots[0] == k.diagonal().argmax()


def test_pivoted_cholesky_asks_only_for_its_columns():
    k = random_psd(1, 30, 30)
    asked = []

    def column(j):
        asked.append(j)
        return k[:, j]

    factor, pivots = pivoted_cholesky(k.diagonal(), column, 5)
    assert asked == pivots.tolist()
    assert np.allclose(factor, pivoted_cholesky(None, k, 5)[0])


def test_random_pivots_are_drawn_in_proportion_to_the_diagonal():
    stats = distributions()
    k = np.diag([1.0, 2.0, 3.0, 4.0])
    first = [int(pivoted_cholesky(None, k, 1, method="random", rng=seed)[1][0]) for seed in range(2000)]
    observed = np.bincount(first, minlength=4)
    assert stats.chisquare(observed, 2000 * k.diagonal() / 10).pvalue > 1e-4


def test_random_pivots_meet_the_bound_of_the_paper():
    """Chen et al., theorem 5.1: E tr(K - L L^T) <= (1 + eps) tr(K - K_10) for a rank that is a multiple of 10."""
    x = np.linspace(0, 1, 200)
    k = np.exp(-np.abs(x[:, None] - x))
    best = np.linalg.eigvalsh(k)[:-10].sum()
    traces = []
    for seed in range(20):
        factor, _ = pivoted_cholesky(None, k, 30, method="random", rng=seed)
        traces.append(np.trace(k) - (factor**2).sum())
    assert np.mean(traces) < 1.5 * best


def test_random_pivots_in_single_precision():
    k = random_psd(2, 300, 40).astype(np.float32)
    factor, _ = pivoted_cholesky(None, k, 20, method="random", rng=0)
    assert factor.dtype == np.float32


def test_blocks_of_pivots_are_the_greedy_ones():
    """With the largest residual outside as a bound, a block takes what one at a time would have taken."""
    for dtype in (np.float64, np.complex128):
        k = random_psd(3, 60, 40, dtype)
        factor, pivots = pivoted_cholesky(None, k, 25)
        for block in (2, 7, 60):
            for entries in (None, lambda index, k=k: k[np.ix_(index, index)]):
                found, order = pivoted_cholesky(k.diagonal(), lambda j, k=k: k[:, j], 25, block=block, entries=entries)
                assert np.array_equal(order, pivots)
                assert np.abs(found - factor).max() < 1e-9
        assert pivoted_cholesky(None, k, 60, block=9)[0].shape == (60, 40)  # stops at the rank, as one by one


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
@pytest.mark.parametrize("block", [2, 8, 25])
def test_random_blocks_reproduce_their_columns(block, dtype):
    k = random_psd(4, 50, 30, dtype)
    for entries in (None, lambda index: k[np.ix_(index, index)]):
        asked = []

        def columns(index, asked=asked):
            asked.extend(index.tolist() if np.ndim(index) else [int(index)])
            return k[:, index]

        factor, pivots = pivoted_cholesky(
            k.diagonal(), columns, 25, method="random", rng=1, tol=0, block=block, entries=entries
        )
        assert len(set(pivots.tolist())) == 25
        assert np.abs((factor @ factor.conj().T - k)[:, pivots]).max() <= 1e-9 * np.abs(k).max()
        assert not np.triu(factor[pivots], 1).any()
        assert np.linalg.eigvalsh(k - factor @ factor.conj().T).min() > -1e-9 * np.abs(k).max()
        if entries is not None:
            assert asked == pivots.tolist()  # no column of a proposal that was turned down


def test_random_blocks_have_the_law_of_single_pivots():
    """By enumeration of the first two pivots."""
    k = np.array([[1.0, 0.9, 0.1], [0.9, 1.2, 0.3], [0.1, 0.3, 2.0]])
    counts = np.zeros((3, 3))
    for seed in range(3000):
        i, j = pivoted_cholesky(None, k, 2, method="random", rng=seed, tol=0, block=2)[1]
        counts[i, j] += 1
    for i in range(3):
        left = k.diagonal() - k[i] ** 2 / k[i, i]
        left[i] = 0
        p = k[i, i] / np.trace(k) * left / left.sum()
        assert (np.abs(counts[i] - 3000 * p) <= 5 * np.sqrt(3000 * p * (1 - p)) + 1e-9).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", ["greedy", "random"])
def test_blocks_end_where_residuals_are_rounding(method, dtype):
    """A smooth kernel on repeated points: of the proposals the first may have a fresh residual of zero or less."""
    x = np.tile(np.linspace(0.0, 3.0, 60), 2)
    K = np.exp(-0.1 * (x[:, None] - x) ** 2).astype(dtype)
    L, pivots = pivoted_cholesky(None, K, 100, tol=0.0, method=method, rng=0, block=8)
    assert len(set(pivots)) == len(pivots)
    assert np.abs(L @ L.T - K).max() < (1e-4 if dtype == np.float32 else 1e-12)


def test_a_block_takes_no_more_columns_than_the_tolerance_asks_for():
    k = np.diag([8.0, 4.0, 2.0, 1.0, 0.5])
    for tol, expected in ((0.5, 1), (0.3, 2), (0.2, 3), (0.0, 5)):
        for block in (1, 3, 5):
            assert pivoted_cholesky(None, k, 5, tol=tol, block=block)[1].tolist() == list(range(expected))


def test_pivoted_cholesky_of_zero_has_no_column():
    factor, pivots = pivoted_cholesky(None, np.zeros((4, 4)), 2)
    assert factor.shape == (4, 0)
    assert pivots.shape == (0,)


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((None, [[1.0, 2.0], [2.0, 1.0]], 2), {}, "not positive semi-definite"),
        ((None, [[-1.0]], 1), {}, "not positive semi-definite"),
        ((None, lambda j: np.ones(2), 1), {}, "diagonal=None"),
        ((np.ones(2), lambda j: np.ones(3), 1), {}, "columns\\(0\\)"),
        ((np.ones((2, 2)), np.ones((2, 2)), 1), {}, "diagonal has shape"),
        ((None, np.eye(2), 0), {}, "rank"),
        ((None, np.eye(2), 1), {"method": "best"}, "method"),
        ((None, np.eye(2), 1), {"tol": -1}, "tol"),
        ((None, np.eye(2), 1), {"block": 0}, "block"),
        ((np.ones(2), lambda j: np.ones((3, 2)), 2), {"block": 2}, "columns\\(2 items\\)"),
        ((np.ones(2), lambda j: np.eye(2), 2), {"block": 2, "entries": lambda j: np.eye(3)}, "entries"),
        ((None, np.ones((2, 3)), 1), {}, "square"),
    ],
)
def test_pivoted_cholesky_refuses(arguments, options, words):
    with pytest.raises(InputError, match=words):
        pivoted_cholesky(*arguments, **options)


# --- nearest_psd -----------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.integers(1, 15), DTYPES, st.sampled_from(["clip", "flip", "shift"]))
def test_nearest_psd_has_the_stated_eigenvalues(seed, n, dtype, method):
    m = random_array(seed, (n, n), dtype)
    before = m.copy()
    b = nearest_psd(m, method=method)
    assert np.array_equal(m, before)
    assert b.dtype == dtype
    assert np.array_equal(b, b.conj().T)
    values = np.linalg.eigvalsh((m / 2 + m.conj().T / 2).astype(np.complex128))
    expected = {"clip": np.maximum(values, 0), "flip": np.abs(values), "shift": values - min(values[0], 0)}[method]
    found = np.linalg.eigvalsh(b.astype(np.complex128))
    assert np.allclose(found, np.sort(expected), atol=tolerance(dtype) * max(1, np.abs(values).max()))


def test_clip_is_nearest_in_the_frobenius_norm():
    m = random_array(0, (6, 6))
    b = nearest_psd(m)
    best = np.linalg.norm(m - b)
    for seed in range(200):
        step = random_psd(seed, 6, 6)
        for other in (b + 0.01 * step, 0.9 * b + 0.1 * step, step):
            assert np.linalg.norm(m - other) > best


def test_shift_changes_the_diagonal_alone():
    m = random_array(1, (5, 5))
    m = m + m.T
    difference = nearest_psd(m, method="shift") - m
    assert np.allclose(difference, difference[0, 0] * np.eye(5))
    assert difference[0, 0] > 0


@pytest.mark.parametrize("method", ["clip", "flip", "shift"])
def test_a_psd_matrix_is_returned_as_it_is_in_a_copy(method):
    m = random_psd(0, 5, 5) + np.eye(5)
    m = (m + m.T) / 2
    b = nearest_psd(m, method=method)
    assert np.array_equal(b, m)
    assert not np.shares_memory(b, m)


@pytest.mark.parametrize("m", [np.ones((2, 3)), np.ones(3), np.ones((0, 0)), [[np.nan]], [["a"]]])
def test_nearest_psd_refuses_matrices(m):
    with pytest.raises(InputError, match="matrix"):
        nearest_psd(m)


def test_nearest_psd_refuses_methods():
    with pytest.raises(InputError, match="'higham'"):
        nearest_psd(np.eye(2), method="higham")
