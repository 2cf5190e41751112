"""Selectors of landmarks: their laws by enumeration, their guarantees, any domain, duplicates and bad input."""

from __future__ import annotations

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from landmark_cases import WORDS, Letters, PreparedLetters, Wave, rare

import kernreg_core as kr
from kernreg_core.errors import InputError, ParameterError
from kernreg_core.numeric import pivoted_cholesky
from kernreg_core.threads import single_threaded
from kernreg_euclidean import RBF, KMeansLandmarks, LeverageLandmarks, Linear, PivotedCholesky, UniformLandmarks
from kernreg_euclidean import claims_landmarks as claims
from kernreg_euclidean.cards_landmarks import CARDS
from kernreg_euclidean.grid import grid_points
from kernreg_euclidean.leverage import inclusion, leverage_scores, systematic

SELECTORS = [
    UniformLandmarks(rng=0),
    KMeansLandmarks(kernel=Letters(), rng=0),
    KMeansLandmarks(kernel=Letters(), n_trials=3, rng=0),
    LeverageLandmarks(kernel=Letters(), rng=0),
    LeverageLandmarks(kernel=Letters(), method="recursive", rng=0),
    PivotedCholesky(kernel=Letters(), rng=0),
    PivotedCholesky(kernel=Letters(), method="greedy", block=4),
]


def assert_frequencies(found: list, expected: dict) -> None:
    """The frequencies of outcomes are their probabilities, within five standard deviations."""
    counts, total = Counter(found), len(found)
    assert sum(expected.values()) == pytest.approx(1.0)
    assert set(counts) <= {outcome for outcome, p in expected.items() if p > 0}
    for outcome, p in expected.items():
        assert abs(counts[outcome] - total * p) <= 5.0 * np.sqrt(total * p * (1 - p)) + 1e-9, outcome


# -- any domain --------------------------------------------------------------------------------


@pytest.mark.parametrize("selector", SELECTORS, ids=repr)
def test_items_of_any_domain_and_the_same_again(selector) -> None:
    chosen = selector.select(WORDS, 6)
    assert sorted(set(chosen)) == sorted(chosen)
    assert 0 <= chosen.min() <= chosen.max() < len(WORDS)
    assert np.array_equal(selector.select(WORDS, 6), chosen)
    assert sorted(selector.select(WORDS, len(WORDS))) == list(range(len(WORDS)))
    assert selector.select(["abc"], 1).tolist() == [0]


@pytest.mark.parametrize("selector", SELECTORS[1:], ids=repr)
def test_prepared_items_which_can_only_be_sliced(selector) -> None:
    expected = selector.select(WORDS, 6)
    other = kr.clone(selector).set_params(kernel=PreparedLetters())
    assert np.array_equal(other.select(WORDS, 6), expected)
    assert np.array_equal(other.select(PreparedLetters().prepare(WORDS), 6), expected)


def test_other_seeds_select_other_items() -> None:
    X = np.random.default_rng(0).standard_normal((200, 2))
    for make in (UniformLandmarks, KMeansLandmarks, LeverageLandmarks, PivotedCholesky):
        assert not np.array_equal(make(rng=0).select(X, 5), make(rng=1).select(X, 5))
        assert np.array_equal(make(rng=0).select(X, 5), make(rng=0).select(X, 5))


def test_tensors_float32_and_sparse_rows_select_what_arrays_do() -> None:
    X = rare().astype(np.float32).astype(float)
    sparse = pytest.importorskip("scipy.sparse")
    for selector in (
        UniformLandmarks(rng=3),
        KMeansLandmarks(rng=3),
        KMeansLandmarks(kernel=RBF(), rng=3),
        LeverageLandmarks(alpha=0.3, rng=3),
        PivotedCholesky(rng=3),
    ):
        expected = selector.select(X, 7)
        assert np.array_equal(selector.select(X.astype(np.float32), 7), expected), selector
        assert np.array_equal(selector.select(sparse.csr_array(X), 7), expected), selector
        torch = pytest.importorskip("torch", reason="torch is not installed")
        assert np.array_equal(selector.select(torch.tensor(X), 7), expected), selector
        single = torch.tensor(X, dtype=torch.float32, requires_grad=True)
        assert np.array_equal(selector.select(single, 7), expected), selector


def test_tensors_in_single_precision_are_no_indefinite_matrix() -> None:
    """All items of a smooth kernel: in float32 the residuals fall below zero by more than float64 rounding explains."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    X = torch.tensor(np.random.default_rng(0).standard_normal((60, 3)), dtype=torch.float32)
    assert sorted(PivotedCholesky(kernel=RBF(lengthscale=3.0), rng=0).select(X, 60)) == list(range(60))


def test_kernels_whose_values_are_in_single_precision() -> None:
    """Rounding to float32 leaves residuals of -1e-7: far below zero for float64, and yet no indefinite kernel."""
    X = np.random.default_rng(0).standard_normal((100, 2))

    def single(A, B=None):
        return RBF(lengthscale=2.0)(A, A if B is None else B).astype(np.float32)

    for method in ("random", "greedy"):
        selector = PivotedCholesky(kernel=single, method=method, rng=0)
        assert sorted(selector.select(X, 100)) == list(range(100))
        assert selector.trace_error_ < 1e-6


@pytest.mark.parametrize("method", ["random", "greedy"])
def test_no_tolerance_and_items_that_repeat(method) -> None:
    """Blocks of proposals go on to where residuals are rounding alone, which is not singular."""
    X = np.repeat(np.random.default_rng(0).standard_normal((60, 2)), 2, axis=0)
    selector = PivotedCholesky(kernel=RBF(lengthscale=2.0), method=method, tol=0.0, block=8, rng=0)
    assert len(set(selector.select(X, 110))) == 110
    assert selector.trace_error_ < 1e-14


def test_distances_that_overflow_are_refused() -> None:
    for trials in (1, 3):
        with pytest.raises(InputError, match="X: expected items whose squared distances are finite"):
            KMeansLandmarks(n_trials=trials, rng=0).select(1e200 * rare(), 5)


def test_complex_kernels() -> None:
    X = np.linspace(0.0, 4.0, 30)[:, None]
    K = Wave()(X)
    scores = leverage_scores(Wave(), X, 0.5)
    assert np.allclose(scores, np.diag(K @ np.linalg.inv(K + 0.5 * np.eye(30))).real)
    selector = PivotedCholesky(kernel=Wave(), method="greedy")
    chosen = selector.select(X, 6)
    left = K - K[:, chosen] @ np.linalg.solve(K[np.ix_(chosen, chosen)], K[chosen])
    assert selector.trace_error_ == pytest.approx(np.trace(left).real / 30, rel=1e-6)


@pytest.mark.parametrize(
    ("X", "words"),
    [
        ([], "at least one item"),
        ("abc", "one str"),
        ({"a", "b"}, "pass a list"),
        (3, "collection"),
        (None, "collection"),
    ],
)
def test_what_is_no_collection_is_refused(X, words) -> None:
    for selector in SELECTORS:
        with pytest.raises(InputError, match=words):
            selector.select(X, 1)


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        (KMeansLandmarks(n_trials=0), "n_trials"),
        (KMeansLandmarks(block=0), "block"),
        (KMeansLandmarks(kernel=3), "kernel"),
        (KMeansLandmarks(kernel=RBF), "kernel"),
        (LeverageLandmarks(alpha=0.0), "alpha"),
        (LeverageLandmarks(alpha="1"), "alpha"),
        (LeverageLandmarks(method="fast"), "method"),
        (PivotedCholesky(method="best"), "method"),
        (PivotedCholesky(tol=-1.0), "tol"),
        (PivotedCholesky(block=1.5), "block"),
        (UniformLandmarks(rng=-1), "rng"),
    ],
)
def test_bad_parameters_are_refused_at_the_call(selector, words) -> None:
    with pytest.raises(ParameterError, match=words):
        selector.select(np.eye(4), 2)


def test_an_indefinite_kernel_is_refused() -> None:
    def indefinite(X, Y=None):
        Y = X if Y is None else Y
        return (X[:, None, 0] != Y[None, :, 0]) * 1.0 + 0.1

    X = np.arange(4.0)[:, None]
    for selector in (
        PivotedCholesky(kernel=indefinite, rng=0),
        LeverageLandmarks(kernel=indefinite, alpha=0.1, rng=0),
        KMeansLandmarks(kernel=indefinite, rng=0),
    ):
        with pytest.raises(InputError, match="positive"):
            selector.select(X, 3)


# -- uniform -----------------------------------------------------------------------------------


def test_every_set_of_items_is_as_likely() -> None:
    found = [tuple(sorted(UniformLandmarks(rng=seed).select(range(4), 2))) for seed in range(1500)]
    assert_frequencies(found, {(i, j): 1 / 6 for i in range(4) for j in range(i + 1, 4)})


# -- k-means++ ---------------------------------------------------------------------------------


@pytest.mark.parametrize("block", [1, 3])
def test_the_law_of_the_seeds(block) -> None:
    """By enumeration: the first is uniform, the next by its squared distance to the nearest before."""
    x = np.array([0.0, 1.0, 3.0, 3.5])
    D = (x[:, None] - x) ** 2
    expected = {}
    for order in permutations(range(4), 3):
        p = 1 / 4
        for step in (1, 2):
            nearest = D[:, order[:step]].min(axis=1)
            p *= nearest[order[step]] / nearest.sum()
        expected[order] = p
    found = [tuple(KMeansLandmarks(block=block, rng=seed).select(x[:, None], 3).tolist()) for seed in range(3000)]
    assert_frequencies(found, expected)


def test_feature_space_distances() -> None:
    """With the linear kernel they are Euclidean; with a feature map of the Gaussian kernel they are those of k."""
    X = rare()
    plain, linear = KMeansLandmarks(rng=5), KMeansLandmarks(kernel=Linear(), rng=5)
    chosen = plain.select(X, 12)
    assert np.array_equal(linear.select(X, 12), chosen)
    nearest = ((X[:, None, :] - X[chosen]) ** 2).sum(-1).min(axis=1)
    assert plain.potential_ == pytest.approx(nearest.sum()) == pytest.approx(linear.potential_)
    gaussian = KMeansLandmarks(kernel=RBF(lengthscale=2.0), rng=5)
    chosen = gaussian.select(X, 12)
    assert gaussian.potential_ == pytest.approx((2 - 2 * RBF(lengthscale=2.0)(X, X[chosen])).min(axis=1).sum())


def test_far_from_the_origin_no_digit_is_lost() -> None:
    X = rare()
    assert np.array_equal(KMeansLandmarks(rng=1).select(X + 1e7, 8), KMeansLandmarks(rng=1).select(X, 8))


def test_seeds_find_every_rare_point() -> None:
    for seed in range(5):
        chosen = KMeansLandmarks(rng=seed).select(rare(), 12)
        assert set(range(74, 80)) <= set(chosen.tolist())


def test_more_trials_leave_a_smaller_potential() -> None:
    X = np.random.default_rng(0).standard_normal((300, 2))

    def mean(trials: int) -> float:
        selectors = [KMeansLandmarks(n_trials=trials, rng=seed) for seed in range(10)]
        for selector in selectors:
            selector.select(X, 20)
        return float(np.mean([selector.potential_ for selector in selectors]))

    assert mean(6) < 0.9 * mean(1)


def test_items_that_repeat_are_chosen_last_and_uniformly() -> None:
    X = np.repeat(np.array([[0.0, 1.0], [5.0, 2.0], [0.1, 9.0]]), 4, axis=0)
    counts = np.zeros(12)
    for kernel in (None, RBF(), Linear()):
        for seed in range(30):
            selector = KMeansLandmarks(kernel=kernel, rng=seed)
            chosen = selector.select(X, 5)
            assert sorted(chosen[:3] // 4) == [0, 1, 2]
            assert len(set(chosen.tolist())) == 5
            assert selector.potential_ == 0.0
            counts[chosen[3:]] += 1
    assert counts.min() > 0
    assert sorted(KMeansLandmarks(rng=0).select(np.ones((5, 2)), 5)) == list(range(5))


# -- leverage scores ---------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [1e-6, 1e-2, 1.0, 1e6])
def test_exact_scores(alpha) -> None:
    """By eigenvalues: sum_j v_ij^2 s_j / (s_j + alpha), to relative accuracy where they are tiny too."""
    X, kernel = rare(), RBF()
    s, V = np.linalg.eigh(kernel(X))
    s = np.maximum(s, 0.0)
    expected = (V**2 * (s / (s + alpha))).sum(axis=1)
    found = leverage_scores(kernel, X, alpha)
    assert np.allclose(found, expected, rtol=1e-6, atol=0)
    assert np.allclose(leverage_scores(kernel, X, alpha, method="recursive", n_samples=80), expected, rtol=1e-3)


def test_recursive_scores_are_upper_bounds_that_are_not_far_off() -> None:
    X, kernel = np.random.default_rng(0).standard_normal((600, 3)), RBF(lengthscale=1.5)
    exact = leverage_scores(kernel, X, 1.0, method="exact")
    found = leverage_scores(kernel, X, 1.0, method="recursive", n_samples=200, rng=1)
    assert (found > 0.7 * exact).all()
    assert np.median(found / exact) < 2.0
    few = leverage_scores(kernel, X, 1.0, method="recursive", n_samples=20, rng=1)
    assert few.sum() > 1.5 * found.sum()  # too small a sample errs upwards
    assert np.array_equal(leverage_scores(kernel, X, 1.0, method="recursive", n_samples=200, rng=1), found)


def test_inclusion_probabilities() -> None:
    scores = np.array([5.0, 1.0, 1.0, 1.0, 0.0, 0.1])
    p = inclusion(scores, 3)
    assert p.sum() == pytest.approx(3.0)
    assert p[0] == 1.0
    assert np.allclose(p[1:] / scores[1:].max(), p[1] * scores[1:])  # the rest in proportion
    assert np.allclose(inclusion(np.array([1.0, 2.0, 0.0, 0.0]), 3), [1, 1, 0.5, 0.5])
    assert np.allclose(inclusion(np.zeros(4), 1), 0.25)
    assert np.array_equal(inclusion(np.ones(3), 3), np.ones(3))


def test_systematic_samples_have_their_probabilities() -> None:
    p = inclusion(np.array([5.0, 1.0, 1.0, 1.0, 0.0, 0.1]), 3)
    counts = np.zeros(6)
    for seed in range(4000):
        chosen = systematic(p, np.random.default_rng(seed))
        assert len(set(chosen.tolist())) == 3
        counts[chosen] += 1
    assert (np.abs(counts - 4000 * p) <= 5 * np.sqrt(4000 * p * (1 - p)) + 1e-9).all()


def test_weights_make_sums_unbiased() -> None:
    X, f = rare(), np.linspace(1.0, 3.0, 80)
    totals = []
    with single_threaded():  # many small matrices: threads would wait for each other
        for seed in range(300):
            selector = LeverageLandmarks(alpha=0.3, rng=seed)
            chosen = selector.select(X, 20)
            totals.append(float(selector.weights_ @ f[chosen]))
    error = np.std(totals, ddof=1) / np.sqrt(len(totals))
    assert abs(np.mean(totals) - f.sum()) <= 4 * error
    assert np.std(totals) > 0


def test_the_default_penalty_is_the_tail_of_the_spectrum() -> None:
    """(sum of the eigenvalues beyond the k-th) / k for k = n / (4 log n), rounded up; scores are those at it."""
    X, n = rare(), 20
    selector = LeverageLandmarks(rng=0)
    selector.select(X, n)
    k = int(np.ceil(n / (4 * np.log(n))))
    s = np.linalg.eigvalsh(RBF()(X))[::-1]
    assert selector.alpha_ == pytest.approx(s[k:].sum() / k)
    assert np.allclose(selector.scores_, leverage_scores(RBF(), X, selector.alpha_))


def test_far_points_have_scores_near_their_own_and_are_found() -> None:
    """A point alone has the score 1 / (1 + alpha)."""
    for method in ("exact", "recursive"):
        selector = LeverageLandmarks(alpha=0.1, method=method, rng=0)
        chosen = selector.select(rare(), 24)
        scores = selector.scores_[-6:]
        assert np.allclose(scores, 1 / 1.1, atol=1e-6) if method == "exact" else scores.min() > 0.8
        assert len(set(range(74, 80)) & set(chosen.tolist())) >= (6 if method == "exact" else 4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alpha": 0.0}, "alpha"),
        ({"alpha": 1.0, "method": "no"}, "method"),
        ({"alpha": 1.0, "n_samples": 0}, "n_samples"),
    ],
)
def test_scores_refuse(options, words) -> None:
    with pytest.raises(ParameterError, match=words):
        leverage_scores(RBF(), np.eye(3), **options)


# -- pivoted Cholesky --------------------------------------------------------------------------

_K = np.array([[1.0, 0.9, 0.1], [0.9, 1.2, 0.3], [0.1, 0.3, 2.0]])


def _table(X, Y=None):
    """The kernel whose Gram matrix on 0, 1, 2 is _K."""
    Y = X if Y is None else Y
    return _K[np.ix_(X[:, 0].astype(int), Y[:, 0].astype(int))]


@pytest.mark.parametrize("block", [1, 2])
def test_the_law_of_the_pivots(block) -> None:
    """By enumeration: each in proportion to what the ones before leave of the diagonal."""
    expected = {}
    for first in range(3):
        left = np.diag(_K) - _K[first] ** 2 / _K[first, first]
        left[first] = 0.0
        for second in set(range(3)) - {first}:
            expected[first, second] = _K[first, first] / np.trace(_K) * left[second] / left.sum()
    X = np.arange(3.0)[:, None]
    found = [tuple(PivotedCholesky(kernel=_table, block=block, rng=s).select(X, 2).tolist()) for s in range(3000)]
    assert_frequencies(found, expected)


@pytest.mark.parametrize("method", ["random", "greedy"])
def test_the_error_and_the_factor_that_are_left(method) -> None:
    X, kernel = rare(), RBF(lengthscale=2.0)
    selector = PivotedCholesky(kernel=kernel, method=method, keep_factor=True, rng=0)
    chosen = selector.select(X, 15)
    K, Z = kernel(X), kernel(X[chosen])
    left = K - kernel(X, X[chosen]) @ np.linalg.solve(Z, kernel(X[chosen], X))
    assert selector.trace_error_ == pytest.approx(np.trace(left) / 80, rel=1e-5)
    assert np.abs(selector.factor_ @ selector.factor_.T - (K - left)).max() < 1e-8
    assert selector.rank_ == 15
    selector.set_params(keep_factor=False).select(X, 15)
    assert not hasattr(selector, "factor_")


def test_greedy_blocks_are_the_greedy_pivots() -> None:
    X = np.random.default_rng(3).standard_normal((150, 2))
    _, expected = pivoted_cholesky(None, RBF()(X), 40)
    for block in (1, 2, 7, 40, 1000):
        found = PivotedCholesky(method="greedy", block=block).select(X, 40)
        assert np.array_equal(found, expected), block


def test_past_the_rank_the_rest_is_uniform() -> None:
    X = np.random.default_rng(0).standard_normal((40, 2))
    counts = np.zeros(40)
    for seed in range(60):
        selector = PivotedCholesky(kernel=Linear(), rng=seed)
        chosen = selector.select(X, 10)
        assert selector.rank_ == 2
        assert selector.trace_error_ < 1e-12
        assert len(set(chosen.tolist())) == 10
        counts[chosen[2:]] += 1
    assert counts.min() > 0
    zero = PivotedCholesky(kernel=Linear(), rng=0)
    assert sorted(zero.select(np.zeros((4, 2)), 4)) == [0, 1, 2, 3]
    assert (zero.rank_, zero.trace_error_) == (0, 0.0)


# -- claims ------------------------------------------------------------------------------------


@single_threaded()
def test_uniform_landmarks_miss_the_claims() -> None:
    def uniform(seed: int) -> UniformLandmarks:
        return UniformLandmarks(rng=seed)

    thresholds = {claim.measure.partition(":")[2]: claim.threshold for card in CARDS for claim in card.claims}
    assert claims.seeding_cost(uniform, 0, 2) > thresholds["kmeans_seeding"]
    assert claims.spectral_error(lambda alpha, seed: uniform(seed), 0, 1) > thresholds["leverage_guarantee"]
    assert claims.relative_to_best(uniform, 0) > thresholds["rpcholesky_guarantee"]
    full, approximate, landmarks = claims.regression_errors(0)
    assert approximate / full < thresholds["nystrom_accuracy"] < landmarks / full


def test_a_solution_that_is_slightly_off_misses_the_claims() -> None:
    X, threshold = grid_points(np.linspace(0.0, 1.0, 6), np.array([0.0, 0.1, 0.7])), 1e-8
    assert claims.system_error(RBF(), X, 0) < threshold
    wrong = np.linalg.inv(RBF()(X) + (1.0 + 1e-6) * np.eye(18))
    assert claims.system_error(RBF(), X, 0, lambda b: wrong @ b) > threshold
