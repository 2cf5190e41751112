"""A selector of landmarks by pivoted Cholesky, randomly pivoted or greedy."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernreg_core.arrays import describe
from kernreg_core.errors import ParameterError
from kernreg_core.numeric import pivoted_cholesky

from . import _parameters
from ._items import KernelColumns, LandmarkSelector, block_size, with_the_rest
from .rbf import RBF


class PivotedCholesky(LandmarkSelector):
    r"""The pivots of a partial Cholesky factorisation of the Gram matrix.

    .. math:: K \approx L L^H, \qquad K_{:, p} = (L L^H)_{:, p} \text{ at the selected items } p.

    What the items that were chosen leave unexplained of item i is the residual :math:`(K - L L^H)_{ii}`; the next item
    is drawn with probability in proportion to it (``random``, RPCholesky), or is the one where it is largest
    (``greedy``). RPCholesky is within 1 + eps of the best approximation of rank r, in expected trace norm, once
    it has chosen about r / eps + r log(1 / (eps eta)) items, where eta is the relative error of the best approximation;
    the greedy rule has no such guarantee and runs after outliers.

    Parameters
    ----------
    kernel : kernel, optional
        Of any domain, positive semi-definite. None is ``RBF()``.
    method : "random" or "greedy", default "random"
    block : int, optional
        Items that are proposed together, so that kernel columns are evaluated and eliminated many at a time. A proposal
        that would not have been the next pivot is turned down: the law of the selection, of ``greedy`` the
        selection itself, is that of ``block=1``. By default a tenth of n, at most 128, and fewer for so many items that
        as many columns would take more than 128 MB.
    tol : float, default 1e-10
        Where the residual's trace is at most `tol` times the trace of K, nothing is left to explain: the remaining
        items are chosen uniformly.
    keep_factor : bool, default False
        Whether L is kept: n columns of one number for each item.
    rng : int, numpy.random.Generator or None
        One integer is drawn from it for each object: the same object selects the same items again.

    Attributes
    ----------
    trace_error_ : float
        ``trace(K - L L^H) / trace(K)``, the relative error in trace norm of the Nystrom approximation on the pivots.
    rank_ : int
        Pivots, at most n; the items after them in the selection were chosen uniformly.
    factor_ : ndarray, shape (number of items, rank_)
        L, where it is kept.

    Notes
    -----
    n columns of the Gram matrix are evaluated. Time O(N n^2) and memory O(N n) for N items.

    References
    ----------
    Y. Chen, E. N. Epperly, J. A. Tropp and R. J. Webber, Randomly pivoted Cholesky, arXiv:2207.06503.
    E. N. Epperly, J. A. Tropp and R. J. Webber, Embrace rejection: kernel matrix approximation by accelerated randomly
    pivoted Cholesky, arXiv:2410.03969.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.array([[0.0], [0.1], [0.2], [9.0]])
    >>> selector = PivotedCholesky(method="greedy")
    >>> selector.select(X, 2)
    array([0, 3])
    >>> round(selector.trace_error_, 3)
    0.012
    """

    def __init__(
        self,
        *,
        kernel: Any = None,
        method: str = "random",
        block: int | None = None,
        tol: float = 1e-10,
        keep_factor: bool = False,
        rng: Any = None,
    ) -> None:
        self.kernel = kernel
        self.method = method
        self.block = block
        self.tol = tol
        self.keep_factor = keep_factor
        self.rng = rng

    def select(self, X: Any, n: int, /) -> np.ndarray:
        """Indices of `n` items, in the order in which they were chosen.

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
        if self.method not in ("random", "greedy"):
            raise ParameterError(f"method: expected 'random' or 'greedy', got {describe(self.method)}")
        tol = _parameters.number("tol", self.tol, minimum=0.0)
        X, n, rng = self._arguments(X, n)
        gram = KernelColumns(RBF() if self.kernel is None else self.kernel, X)
        block = block_size(self.block, n, gram.n, most=128)
        diagonal = gram.diagonal()
        trace = float(diagonal.sum())
        factor, pivots = pivoted_cholesky(
            # the diagonal's dtype says what is rounding
            diagonal.astype(np.float32) if gram.is_coarse() else diagonal,
            gram.columns if block > 1 else lambda j: gram.columns(np.array([j]))[:, 0],
            n,
            tol=tol,
            method=self.method,
            rng=rng,
            block=block,
            entries=gram.entries,
        )
        left = np.maximum(diagonal - (factor * factor.conj()).real.sum(axis=1), 0.0)
        left[pivots] = 0.0
        self.trace_error_ = float(left.sum()) / trace if trace > 0 else 0.0
        self.rank_ = int(pivots.size)
        self.__dict__.pop("factor_", None)
        if self.keep_factor:
            self.factor_ = np.ascontiguousarray(factor)
        return with_the_rest(pivots, n, gram.n, rng)
