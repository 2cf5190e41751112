"""The linear kernel."""

from __future__ import annotations

from typing import Any

from kernreg_core.arrays import is_torch
from kernreg_core.base import provides

from ._dot import DotProductKernel
from ._factors import Factors
from ._products import product_tiles, squared_norms
from ._tiles import Tiles
from ._vectors import diagonal_of


class Linear(DotProductKernel):
    r"""Linear kernel, the inner product.

    .. math:: k(x, y) = \sum_k x_k y_k

    Notes
    -----
    scikit-learn's ``linear_kernel``; GPyTorch's ``LinearKernel`` is ``variance * Linear()``, and
    scikit-learn's ``gaussian_process.kernels.DotProduct(sigma_0)`` is
    ``Polynomial(degree=1, gamma=1.0, coef0=sigma_0**2)``. Rows may be scipy sparse.

    References
    ----------
    B. Scholkopf and A. J. Smola, Learning with Kernels, MIT Press 2002, section 2.1.

    Examples
    --------
    >>> import numpy as np
    >>> Linear()(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[ 5., 11.],
           [11., 25.]])
    """

    capabilities = frozenset({"symmetric", "psd", "diag", "features", "matvec", "gradients", "differentiable"})

    def __init__(self) -> None:
        """Nothing to choose: a variance is written ``variance * Linear()``."""

    def _tiles(self, X: Any, Y: Any, dtype: Any) -> Tiles:
        return product_tiles(X, Y, dtype, None, diagonal=squared_norms(X) if Y is X else None)

    def _factors(self, X: Any, Y: Any) -> Factors:
        return Factors(lambda rows: rows, X.shape[1])

    def _functional(self, X: Any, Y: Any) -> Any:
        return X @ Y.mT

    def _functional_product(self, X: Any, V: Any, Y: Any, learnt: list[Any]) -> Any:
        return X.to(V.dtype) @ (Y.mT.to(V.dtype) @ V)

    def _dot_derivative(self, G: Any, order: int, X: Any) -> Any:
        return G if order == 0 else G * 0.0 + (1.0 if order == 1 else 0.0)

    @provides("diag")
    def diag(self, X: Any) -> Any:
        """The diagonal of k(X), |x|^2, shape (n,)."""
        X, _ = self.check_items(X)
        return (X * X).sum(-1) if is_torch(X) else diagonal_of(squared_norms(X), X)

    @provides("features")
    def features(self, X: Any, basis: Any = None) -> Any:
        """Columns whose inner product is the kernel: `X` itself; `basis` is not used.

        Returns
        -------
        array or csr_array, shape (n, d)
        """
        return self.check_items(X)[0]
