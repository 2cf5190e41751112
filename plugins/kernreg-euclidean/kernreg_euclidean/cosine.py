"""Cosine similarity."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernreg_core.arrays import float_dtype, is_sparse, is_torch
from kernreg_core.base import provides

from ._factors import Factors
from ._ops import Functional
from ._products import product_tiles, squared_norms
from ._tiles import Tiles
from ._vectors import VectorKernel


class Cosine(VectorKernel):
    r"""Cosine similarity: the linear kernel of rows scaled to unit length.

    .. math:: k(x, y) = \frac{x \cdot y}{|x|\,|y|}

    A row of zeros has no direction: its similarity to everything, itself included, is 0.

    Notes
    -----
    scikit-learn's ``cosine_similarity``. GPyTorch's ``CosineKernel`` is another kernel, the cosine of
    the distance. The capability ``normalized`` is not declared because of rows of zeros. Rows may be
    scipy sparse.

    References
    ----------
    G. Salton and M. J. McGill, Introduction to Modern Information Retrieval, McGraw-Hill 1983.

    Examples
    --------
    >>> import numpy as np
    >>> Cosine()(np.array([[1.0, 0.0], [3.0, 4.0]]))
    array([[1. , 0.6],
           [0.6, 1. ]])
    """

    accepts_sparse = True
    capabilities = frozenset({"symmetric", "psd", "diag", "features", "matvec", "differentiable"})

    def __init__(self) -> None:
        """Nothing to choose."""

    def _tiles(self, X: Any, Y: Any, dtype: Any) -> Tiles:
        A = unit_rows(X)
        B = A if Y is X else unit_rows(Y)
        diagonal = (squared_norms(A) > 0).astype(dtype) if Y is X else None
        return product_tiles(A, B, dtype, lambda f, g: f.clip(g, -1.0, 1.0), diagonal=diagonal)

    def _factors(self, X: Any, Y: Any) -> Factors:
        return Factors(unit_rows, X.shape[1])

    def _functional_product(self, X: Any, V: Any, Y: Any, learnt: list[Any]) -> Any:
        return unit_rows(X).to(V.dtype) @ (unit_rows(Y).mT.to(V.dtype) @ V)

    def _functional(self, X: Any, Y: Any) -> Any:
        A = unit_rows(X)
        B = A if Y is X else unit_rows(Y)
        return Functional().clip(A @ B.mT, -1.0, 1.0)

    @provides("diag")
    def diag(self, X: Any) -> Any:
        """The diagonal of k(X), shape (n,): 1, and 0 for rows of zeros."""
        X, _ = self.check_items(X)
        if is_torch(X):
            return (X != 0).any(-1).to(X.dtype)
        return (squared_norms(unit_rows(X)) > 0).astype(float_dtype(X))

    @provides("features")
    def features(self, X: Any, basis: Any = None) -> Any:
        """Columns whose inner product is the kernel: rows of unit length; `basis` is not used.

        Returns
        -------
        array or csr_array, shape (n, d)
        """
        return unit_rows(self.check_items(X)[0])


def unit_rows(X: Any) -> Any:
    """Rows scaled to unit length; rows of zeros stay. The largest entry is divided out first: no overflow."""
    if is_torch(X):
        largest = X.detach().abs().amax(-1, keepdim=True)
        X = X / largest.where(largest > 0, 1.0)
        squares = (X * X).sum(-1, keepdim=True)
        return X / squares.where(squares > 0, 1.0).sqrt()
    if is_sparse(X):
        dtype = X.dtype
        X = X.astype(np.float64)
        norms = np.sqrt(np.asarray(X.multiply(X).sum(axis=1)).ravel())
        inverse = 1.0 / np.where(norms > 0, norms, 1.0)
        X = X.copy()
        X.data *= np.repeat(inverse, np.diff(X.indptr))
        return X.astype(dtype)
    largest = np.abs(X).max(axis=1, keepdims=True)
    U = np.divide(X, np.where(largest > 0, largest, 1.0), dtype=np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", U, U))
    U /= np.where(norms > 0, norms, 1.0)[:, None]
    return U.astype(X.dtype, copy=False)
