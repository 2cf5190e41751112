"""The ANOVA kernel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from kernreg_core.arrays import is_torch
from kernreg_core.base import provides

from . import _parameters
from ._factors import Factors, pays
from ._monomials import monomial_features, subsets
from ._ops import InPlace
from ._tiles import Scratch, Tiles
from ._vectors import VectorKernel, diagonal_of


class Anova(VectorKernel):
    r"""ANOVA kernel: interactions of exactly `degree` different features.

    .. math:: k(x, y) = \sum_{j_1 < \dots < j_p} \prod_{t=1}^{p} x_{j_t} y_{j_t}

    The elementary symmetric polynomial of the products :math:`x_j y_j`, by the dynamic programme over
    the features in O(d p) for each pair; degree 1 is the linear kernel.

    Parameters
    ----------
    degree : int, default 2
        p, from 1 to the number of features.

    Raises
    ------
    ParameterError
        At call, if `degree` is no integer from 1 to d.

    Notes
    -----
    Factorization machines are linear models in this kernel's features. scikit-learn and GPyTorch do
    not have it; ``Polynomial(degree, gamma=1.0, coef0=0.0)`` has the powers of single features as well.

    References
    ----------
    J. Shawe-Taylor and N. Cristianini, Kernel Methods for Pattern Analysis, Cambridge 2004, section
    9.2; M. Blondel, A. Fujino, N. Ueda and M. Ishihata, Higher-Order Factorization Machines, NeurIPS
    2016 (arXiv:1607.07195).

    Examples
    --------
    >>> import numpy as np
    >>> k = Anova(degree=2)
    >>> X = np.array([[1.0, 2.0, 3.0]])
    >>> k(X), k.features(X)
    (array([[49.]]), array([[2., 3., 6.]]))
    """

    capabilities = frozenset({"symmetric", "psd", "diag", "features", "matvec", "differentiable"})

    def __init__(self, *, degree: Any = 2) -> None:
        self.degree = degree

    def check_parameters(self, X: Any) -> None:
        """Raise ParameterError unless ``degree`` is an integer from 1 to the columns of `X`."""
        _parameters.integer("degree", self.degree, minimum=1, maximum=X.shape[1])

    def _tiles(self, X: Any, Y: Any, dtype: Any) -> Tiles:
        degree, d = int(self.degree), X.shape[1]
        same = Y is X
        X = X.astype(dtype, copy=False)
        columns = np.ascontiguousarray(Y.T, dtype=dtype)

        def tile(r: slice, c: slice, values: np.ndarray, scratch: Scratch) -> None:
            f = InPlace(scratch)
            levels = [f.copy(values, f"level{t}") for t in range(1, degree)] + [values]
            for level in levels:
                level[...] = 0.0
            product = scratch.get("product", values.shape, values.dtype)
            step = scratch.get("step", values.shape, values.dtype)
            for j in range(d):
                np.multiply(X[r, j, None], columns[j, c], out=product)
                for t in range(min(degree, j + 1) - 1, 0, -1):
                    levels[t] += np.multiply(levels[t - 1], product, out=step)
                levels[0] += product

        return Tiles(
            (X.shape[0], Y.shape[0]),
            tile,
            same,
            3 * d * degree,
            diagonal=self._diagonal(X) if same else None,
            buffered=True,
            buffers=degree + 1,
        )

    def _factors(self, X: Any, Y: Any) -> Factors | None:
        d, degree = X.shape[1], int(self.degree)
        if not pays(math.comb(d, degree), degree, X.shape[0], Y.shape[0]):
            return None
        columns = subsets(d, degree)
        return Factors(lambda rows: monomial_features(rows, 0.0, columns, None), len(columns))

    def _elementary(self, products: Any) -> Any:
        """The elementary symmetric polynomial of the last axis of `products`, functionally."""
        degree = int(self.degree)
        levels = [products[..., 0] * 0.0 for _ in range(degree)]
        for j in range(products.shape[-1]):
            for t in range(min(degree, j + 1) - 1, 0, -1):
                levels[t] = levels[t] + levels[t - 1] * products[..., j]
            levels[0] = levels[0] + products[..., j]
        return levels[-1]

    def _functional(self, X: Any, Y: Any) -> Any:
        return self._elementary(X[:, None, :] * Y[None, :, :])

    def _diagonal(self, X: Any) -> Any:
        return self._elementary(X * X)

    @provides("diag")
    def diag(self, X: Any) -> Any:
        """The diagonal of k(X), shape (n,)."""
        X, _ = self.check_items(X)
        found = self._diagonal(X)
        return found if is_torch(X) else diagonal_of(found, X)

    @provides("features")
    def features(self, X: Any, basis: Any = None) -> Any:
        """The products of every `degree` different features; `basis` is not used.

        Returns
        -------
        array, shape (n, D)
            D = C(d, degree).

        Raises
        ------
        InputError
            If D is above 65,536.
        """
        X, _ = self.check_items(X)
        return monomial_features(X, 0.0, subsets(X.shape[1], int(self.degree)), None)
