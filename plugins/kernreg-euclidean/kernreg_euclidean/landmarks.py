"""Selectors of landmarks: uniform choice, and k-means++ in the kernel's feature space."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from kernreg_core.arrays import check_array, is_sparse, is_torch, length
from kernreg_core.errors import InputError

from . import _parameters
from ._items import KernelColumns, LandmarkSelector, block_size, with_the_rest

#: Squared distances below zero by more than this, relative to their terms, are no rounding, of float32 either.
_INDEFINITE = 1e-5


class UniformLandmarks(LandmarkSelector):
    """Items chosen uniformly at random, without replacement.

    Every set of n items has the same probability.

    Parameters
    ----------
    rng : int, numpy.random.Generator or None
        One integer is drawn from it for each object: the same object selects the same items again.

    References
    ----------
    C. K. I. Williams and M. Seeger, Using the Nystrom Method to Speed Up Kernel Machines, NeurIPS 2001.

    Examples
    --------
    >>> UniformLandmarks(rng=0).select(["ab", "ba", "abc", "cab"], 2)
    array([2, 3])
    """

    def __init__(self, *, rng: Any = None) -> None:
        self.rng = rng

    def select(self, X: Any, n: int, /) -> np.ndarray:
        """Indices of `n` items.

        Parameters
        ----------
        X : items of any domain
            An array, a tensor, a list, or what a kernel has prepared.
        n : int, from 1 to the number of items

        Returns
        -------
        ndarray of int, shape (n,)
            All different.

        Raises
        ------
        InputError
            If `n` is no such number, or `X` holds no items.
        """
        X, n, rng = self._arguments(X, n)
        return rng.choice(length(X), n, replace=False)


class KMeansLandmarks(LandmarkSelector):
    r"""The seeds of k-means++, in the kernel's feature space.

    The first item is chosen uniformly, each next one with probability in proportion to its squared distance to the
    nearest of those chosen before,

    .. math:: \|\varphi(x) - \varphi(z)\|^2 = k(x, x) + k(z, z) - 2 k(x, z).

    The expected sum of these distances is within a factor 8 (ln n + 2) of what the best n centres reach.

    Parameters
    ----------
    kernel : kernel, optional
        Of any domain. None is the Euclidean distance between rows.
    n_trials : int, default 1
        Candidates for each next item, of which the one that leaves the smallest sum is taken. 1 is the algorithm with
        the guarantee; a few more are often better and cost as many kernel columns (scikit-learn takes
        2 + ln n of them).
    block : int, optional
        Candidates that are proposed together where ``n_trials`` is 1, so that kernel columns are evaluated many at a
        time; those that would have been drawn less often by now are turned down with that probability, so the law
        of the selection does not depend on it, what a seed draws does. By default a tenth of n, at most 64, and fewer
        for so many items that as many columns would take more than 128 MB.
    rng : int, numpy.random.Generator or None
        One integer is drawn from it for each object: the same object selects the same items again.

    Attributes
    ----------
    potential_ : float
        The sum of the squared distances of all items to the nearest selected one.

    Notes
    -----
    n columns of the Gram matrix are evaluated (``n_trials`` times as many). Where all distances are zero, because the
    items that are left repeat those chosen, the rest is chosen uniformly.

    References
    ----------
    D. Arthur and S. Vassilvitskii, k-means++: The Advantages of Careful Seeding, SODA 2007.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0], [0.1], [10.0], [10.1]])
    >>> selector = KMeansLandmarks(rng=0)
    >>> sorted(selector.select(X, 2) // 2)
    [np.int64(0), np.int64(1)]
    >>> round(selector.potential_, 6)
    0.02
    """

    def __init__(self, *, kernel: Any = None, n_trials: int = 1, block: int | None = None, rng: Any = None) -> None:
        self.kernel = kernel
        self.n_trials = n_trials
        self.block = block
        self.rng = rng

    def select(self, X: Any, n: int, /) -> np.ndarray:
        """Indices of `n` items, in the order in which they were chosen.

        Parameters
        ----------
        X : items of the kernel's domain
            Rows of an array or tensor where there is no kernel.
        n : int, from 1 to the number of items

        Returns
        -------
        ndarray of int, shape (n,)
            All different.

        Raises
        ------
        InputError
            If `n` is no such number, `X` is not what the kernel takes, or squared distances overflow or are negative.
        ParameterError
            If a parameter is out of range.
        """
        trials = _parameters.integer("n_trials", self.n_trials, minimum=1)
        X, n, rng = self._arguments(X, n)
        space = _Rows(X) if self.kernel is None else _FeatureSpace(self.kernel, X)
        block = block_size(self.block, n, space.n, most=64)
        seeds = _Seeds(space.distances, space.n, rng)
        while len(seeds.chosen) < n and seeds.potential > 0:
            if trials == 1:
                seeds.extend(min(block, n - len(seeds.chosen)), space.between)
            else:
                seeds.extend_greedily(trials)
        self.potential_ = seeds.potential
        return with_the_rest(np.array(seeds.chosen, np.int64), n, space.n, rng)


class _Rows:
    """Squared Euclidean distances between rows, by differences: no digits are lost far from the origin."""

    def __init__(self, X: Any) -> None:
        X = check_array(X, "X", accepts_sparse=True)
        if is_sparse(X):
            X = X.toarray()
        self.X = (X.detach().cpu().numpy() if is_torch(X) else X).astype(np.float64, copy=False)
        self.n = len(self.X)

    def distances(self, index: np.ndarray) -> np.ndarray:
        from scipy.spatial.distance import cdist

        return np.asarray(cdist(self.X, self.X[index], "sqeuclidean"))

    def between(self, index: np.ndarray) -> np.ndarray:
        from scipy.spatial.distance import cdist

        return np.asarray(cdist(self.X[index], self.X[index], "sqeuclidean"))


class _FeatureSpace:
    """Squared distances between the images of items under a kernel's feature map."""

    def __init__(self, kernel: Any, X: Any) -> None:
        self._gram = KernelColumns(kernel, X)
        self._norms = self._gram.diagonal()
        self.n = self._gram.n

    def _squared(self, left: np.ndarray, right: np.ndarray, K: np.ndarray) -> np.ndarray:
        sums = left[:, None] + right
        # a difference of equal numbers is rounding, not distance
        squared = sums - 2.0 * K.real
        if bool((squared < -_INDEFINITE * (np.abs(sums) + 2.0 * np.abs(K.real))).any()):
            raise InputError(
                f"kernel: expected one whose squared distances k(x, x) + k(z, z) - 2 k(x, z) are not negative, got "
                f"{squared.min():.3g} of {self._gram.kernel!r}: take a positive semi-definite one"
            )
        return np.where(squared > 16.0 * np.finfo(np.float64).eps * np.abs(sums), squared, 0.0)

    def distances(self, index: np.ndarray) -> np.ndarray:
        return self._squared(self._norms, self._norms[index], self._gram.columns(index))

    def between(self, index: np.ndarray) -> np.ndarray:
        return self._squared(self._norms[index], self._norms[index], self._gram.entries(index))


class _Seeds:
    """The seeds so far, and every item's squared distance to the nearest of them."""

    def __init__(self, distances: Callable[[np.ndarray], np.ndarray], n: int, rng: np.random.Generator) -> None:
        self._distances, self._rng = distances, rng
        self.chosen = [int(rng.integers(n))]
        self.nearest = distances(np.array(self.chosen))[:, 0]
        self.nearest[self.chosen] = 0.0
        if not np.isfinite(self.nearest.sum()):
            raise InputError("X: expected items whose squared distances are finite, got some that overflow: rescale X")

    @property
    def potential(self) -> float:
        return float(self.nearest.sum())

    def _draw(self, size: int) -> np.ndarray:
        return self._rng.choice(self.nearest.size, size, p=self.nearest / self.nearest.sum())

    def extend(self, size: int, between: Callable[[np.ndarray], np.ndarray]) -> None:
        """Up to `size` more seeds: a proposal is accepted by how much of its distance is left when its turn comes."""
        proposals = self._draw(size)
        before = self.nearest[proposals]
        left, kept = before.copy(), [0]
        if size > 1:
            thresholds = self._rng.random(size) * before
            D = between(proposals)
            np.minimum(left, D[0], out=left)
            left[proposals == proposals[0]] = 0.0
            for i in range(1, size):
                if left[i] > thresholds[i]:
                    kept.append(i)
                    np.minimum(left, D[i], out=left)
                    left[proposals == proposals[i]] = 0.0
        self._add(proposals[kept])

    def _add(self, index: np.ndarray) -> None:
        self.chosen.extend(index.tolist())
        np.minimum(self.nearest, self._distances(index).min(axis=1), out=self.nearest)
        self.nearest[index] = 0.0

    def extend_greedily(self, trials: int) -> None:
        """One more seed: of `trials` proposals that which leaves the smallest sum of distances."""
        proposals = self._draw(trials)
        left = np.minimum(self.nearest[:, None], self._distances(proposals))
        best = int(left.sum(axis=0).argmin())
        self.chosen.append(int(proposals[best]))
        self.nearest = left[:, best].copy()
        self.nearest[self.chosen[-1]] = 0.0
