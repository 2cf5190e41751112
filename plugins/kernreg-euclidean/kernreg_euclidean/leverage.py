"""Ridge leverage scores, exact and approximate, and the selector of landmarks that samples by them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kernreg_core.arrays import describe
from kernreg_core.errors import InputError, ParameterError

from . import _parameters
from ._items import KernelColumns, LandmarkSelector, check_candidates
from .rbf import RBF

#: Rows of the Gram matrix between items and sample that are worked on together.
_ROWS = 4096
#: Up to so many items ``auto`` takes the whole Gram matrix.
EXACT = 2000


def leverage_scores(
    kernel: Any,
    X: Any,
    alpha: float,
    *,
    method: str = "auto",
    n_samples: int | None = None,
    rng: Any = None,
) -> np.ndarray:
    r"""Ridge leverage scores of items, exact or approximate.

    .. math:: l_i = \big[K (K + \alpha I)^{-1}\big]_{ii}

    between 0 and 1: how much item i matters to kernel ridge regression with the penalty alpha. Their sum is the
    effective dimension.

    Parameters
    ----------
    kernel : kernel
        Of any domain, positive semi-definite.
    X : items, n of them
    alpha : float, positive
        The ridge penalty, as in kernel ridge regression: of K + alpha I.
    method : "auto", "exact" or "recursive"
        ``exact`` takes the whole Gram matrix, O(n^2) memory and O(n^3) time. ``recursive`` halves the items until few
        are left, and scores twice as many at each level through a weighted sample of the level below:
        O(n s) kernel values and O(n s^2) time for a sample of s. ``auto`` is exact up to 2,000 items.
    n_samples : int, optional
        s, the most items that a sample may have; by default what the effective dimension asks for, at most 2,000. With
        fewer than it asks for, scores are too large, not too small.
    rng : int, numpy.random.Generator or None
        Used by ``recursive`` alone.

    Returns
    -------
    ndarray, shape (n,), float64

    Raises
    ------
    InputError
        If `X` is not what the kernel takes, or the kernel turns out not to be positive semi-definite on it.
    ParameterError
        If another argument is out of range.

    References
    ----------
    C. Musco and C. Musco, Recursive Sampling for the Nystrom Method, arXiv:1605.07583.

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_euclidean import RBF
    >>> X = np.array([[0.0], [0.0], [9.0]])
    >>> leverage_scores(RBF(), X, alpha=1.0).round(6)
    array([0.333333, 0.333333, 0.5     ])
    """
    alpha = _parameters.number("alpha", alpha, above=0.0)
    if method not in ("auto", "exact", "recursive"):
        raise ParameterError(f"method: expected 'auto', 'exact' or 'recursive', got {describe(method)}")
    most = 2000 if n_samples is None else _parameters.integer("n_samples", n_samples, minimum=1)
    gram = KernelColumns(kernel, check_candidates(X))
    if method == "exact" or (method == "auto" and gram.n <= EXACT):
        return _scores_of(gram.entries(np.arange(gram.n)), alpha)
    return _Recursion(gram, np.random.default_rng(rng), most, alpha).scores(np.arange(gram.n))


def _scores_of(K: np.ndarray, alpha: float) -> np.ndarray:
    """``diag(K (K + alpha I)^-1)`` of a whole matrix."""
    M = _inverse(K + alpha * np.eye(len(K)))
    scores = 1.0 - alpha * M.diagonal().real
    small = scores < 0.5  # where the difference would lose digits the product does not
    scores[small] = np.einsum("ij,ji->i", K[small], M[:, small]).real
    return np.clip(scores, 0.0, 1.0)


def _inverse(A: np.ndarray) -> np.ndarray:
    """The inverse of a positive definite matrix."""
    from scipy.linalg import get_lapack_funcs

    functions: Any = get_lapack_funcs(("potrf", "potri"), (A,))
    potrf, potri = functions
    factor, info = potrf(A, lower=1, overwrite_a=1)
    if info:
        raise InputError(
            "kernel: expected a positive semi-definite one, got a matrix K with K + alpha I not positive definite: "
            "take a larger alpha, or another kernel"
        )
    inverse, _ = potri(factor, lower=1)
    lower = np.tril(inverse, -1)
    return np.asarray(lower + lower.conj().T + np.diag(inverse.diagonal()))


class _Recursion:
    """Scores through a weighted sample, which is drawn by the scores of half of the items, and so on.

    With S the sample and its weights w the score of item i is at most, and for a large enough sample about,
    ``(k_ii - k_iS (K_SS + alpha W^-2)^-1 k_Si) / alpha``, W the diagonal matrix of w.

    Parameters
    ----------
    most : int
        Items that a sample may have.
    alpha : float, optional
        None: at each level what leaves the effective dimension at the number of samples, see :meth:`_penalty`.
    """

    def __init__(self, gram: KernelColumns, rng: np.random.Generator, most: int, alpha: float | None) -> None:
        self.gram, self.rng, self.most, self.alpha = gram, rng, most, alpha
        self.diagonal = gram.diagonal()
        self.used = alpha

    def scores(self, items: np.ndarray) -> np.ndarray:
        """Scores of `items`, approximately relative to `items` themselves."""
        n = items.size
        if n <= max(self.most, 32):
            sample, weights = items, np.ones(n)
        else:
            half = np.sort(self.rng.choice(items, n // 2, replace=False))
            sample, weights = self._sample(half, self.scores(half))
        return self._through(items, sample, weights)

    def _sample(self, items: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Items drawn by their scores, and their weights."""
        dimension = max(float(scores.sum()), 1.0)
        size = min(self.most, items.size, math.ceil(4.0 * dimension * math.log(8.0 * dimension)))
        probabilities = inclusion(scores, size)
        index = systematic(probabilities, self.rng)
        return items[index], 1.0 / np.sqrt(probabilities[index])

    def _penalty(self, K: np.ndarray) -> float:
        """The mean of the eigenvalues, beyond the k-th, of a weighted Gram matrix: what k directions leave.

        k is s / (4 log s) for a sample of s: so many directions are captured by that many samples.
        """
        if self.alpha is not None:
            return self.alpha
        s = self.most
        k = min(max(1, math.ceil(s / (4.0 * math.log(max(s, 3))))), len(K))
        values = np.linalg.eigvalsh(K)[::-1]
        tail = float(np.maximum(values[k:], 0.0).sum()) / k
        return max(tail, 1e-12 * float(values[0]), np.finfo(np.float64).tiny)

    def _through(self, items: np.ndarray, sample: np.ndarray, weights: np.ndarray) -> np.ndarray:
        K = self.gram.entries(sample)
        self.used = alpha = self._penalty(K * weights * weights[:, None])
        K[np.diag_indices_from(K)] += alpha / weights**2
        root = _root(K)
        found = np.empty(items.size)
        for start in range(0, items.size, _ROWS):
            rows = items[start : start + _ROWS]
            projected = root @ self.gram.between(sample, rows)
            explained = (projected * projected.conj()).real.sum(axis=0)
            found[start : start + _ROWS] = self.diagonal[rows] - explained
        return np.clip(found / alpha, 0.0, 1.0)


def _root(K: np.ndarray) -> np.ndarray:
    """R with R^H R the inverse of a positive definite matrix: the inverse of its Cholesky factor."""
    from scipy.linalg import LinAlgError, cholesky, solve_triangular

    try:
        factor = cholesky(K, lower=True)
    except LinAlgError:
        raise InputError(
            "kernel: expected a positive semi-definite one, got a matrix that is not positive definite with alpha on "
            "its diagonal: take a larger alpha, or another kernel"
        ) from None
    return np.asarray(solve_triangular(factor, np.eye(len(K)), lower=True))


def inclusion(scores: np.ndarray, n: int) -> np.ndarray:
    """Probabilities ``min(1, c score)`` with c such that `n` items are expected; equal ones for what has no score.

    Parameters
    ----------
    scores : ndarray, shape (N,), not negative
    n : int, at most N

    Returns
    -------
    ndarray, shape (N,), in [0, 1]
        Their sum is `n`. An item without a score has a probability only where there are fewer than `n` with one.
    """
    positive = scores > 0
    count = int(positive.sum())
    if count <= n:
        rest = scores.size - count
        return np.where(positive, 1.0, (n - count) / rest if rest else 0.0)
    descending = np.sort(scores[positive])[::-1]
    tails = descending[::-1].cumsum()[::-1]
    # with the j largest certain, the others share n - j: valid once the next one's share is at most 1
    j = np.arange(n)
    certain = int(np.argmax((n - j) * descending[:n] <= tails[:n]))
    return np.minimum(scores * ((n - certain) / tails[certain]), 1.0)


def systematic(probabilities: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A sample without replacement, of fixed size, that contains item i with probability ``probabilities[i]``.

    Systematic sampling of a random order: one uniform number, and steps of 1 along the running sum.
    """
    certain = np.flatnonzero(probabilities > 1.0 - 1e-9)  # so that rounding lets no step find an item twice
    order = rng.permutation(np.flatnonzero(probabilities <= 1.0 - 1e-9))
    n = round(float(probabilities.sum())) - certain.size
    if n <= 0:
        return certain
    running = probabilities[order].cumsum()
    running *= n / running[-1]
    index = np.searchsorted(running, rng.random() + np.arange(n), side="right")
    return np.concatenate([certain, order[np.minimum(index, order.size - 1)]])


class LeverageLandmarks(LandmarkSelector):
    r"""Items sampled by their ridge leverage scores, without replacement.

    .. math:: l_i = \big[K (K + \alpha I)^{-1}\big]_{ii}

    An item is selected with probability :math:`\min(1, c\, l_i)`, c such that n are selected. About
    d log d items sampled so, d the sum of the scores, approximate K to within alpha in spectral norm, whatever
    the distribution of the items.

    Parameters
    ----------
    kernel : kernel, optional
        Of any domain, positive semi-definite. None is ``RBF()``.
    alpha : float, optional
        The ridge penalty of the scores, as in kernel ridge regression: that of the model which the landmarks are for.
        By default what n landmarks can resolve: the sum of the eigenvalues of K beyond the k-th, divided by k, for
        k = n / (4 log n).
    method : "auto", "exact" or "recursive"
        See :func:`leverage_scores`; ``auto`` is exact up to 2,000 items.
    rng : int, numpy.random.Generator or None
        One integer is drawn from it for each object: the same object selects the same items again.

    Attributes
    ----------
    scores_ : ndarray, shape (N,)
        The scores of all items, exact or approximate.
    weights_ : ndarray, shape (n,)
        One over the probability with which each selected item was selected: sums over the selection with these weights
        are unbiased for sums over all items.
    alpha_ : float
        The penalty that was used.

    Notes
    -----
    O(N n) kernel values and O(N n^2) time where N is above 2,000, the whole Gram matrix below.

    References
    ----------
    C. Musco and C. Musco, Recursive Sampling for the Nystrom Method, arXiv:1605.07583.
    A. Alaoui and M. W. Mahoney, Fast Randomized Kernel Ridge Regression with Statistical Guarantees, NeurIPS 2015.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0]] * 20 + [[9.0]])
    >>> selector = LeverageLandmarks(alpha=0.1, rng=0)
    >>> 20 in selector.select(X, 3)
    True
    >>> float(selector.scores_[20].round(3)), float(selector.scores_[0].round(3))
    (0.909, 0.05)
    """

    def __init__(
        self, *, kernel: Any = None, alpha: float | None = None, method: str = "auto", rng: Any = None
    ) -> None:
        self.kernel = kernel
        self.alpha = alpha
        self.method = method
        self.rng = rng

    def select(self, X: Any, n: int, /) -> np.ndarray:
        """Indices of `n` items.

        Parameters
        ----------
        X : items of the kernel's domain
        n : int, from 1 to the number of items

        Returns
        -------
        ndarray of int, shape (n,)
            All different.

        Raises
        ------
        InputError
            If `n` is no such number, `X` is not what the kernel takes, or the kernel turns out not to be positive
            semi-definite on it.
        ParameterError
            If a parameter is out of range.
        """
        if self.method not in ("auto", "exact", "recursive"):
            raise ParameterError(f"method: expected 'auto', 'exact' or 'recursive', got {describe(self.method)}")
        alpha = None if self.alpha is None else _parameters.number("alpha", self.alpha, above=0.0)
        X, n, rng = self._arguments(X, n)
        gram = KernelColumns(RBF() if self.kernel is None else self.kernel, X)
        recursion = _Recursion(gram, rng, n, alpha)
        if self.method == "exact" or (self.method == "auto" and gram.n <= EXACT):
            K = gram.entries(np.arange(gram.n))
            recursion.used = recursion._penalty(K)
            self.scores_ = _scores_of(K, recursion.used)
        else:
            self.scores_ = recursion.scores(np.arange(gram.n))
        self.alpha_ = recursion.used
        probabilities = inclusion(self.scores_, n)
        chosen = systematic(probabilities, rng)
        self.weights_ = 1.0 / probabilities[chosen]
        return chosen
