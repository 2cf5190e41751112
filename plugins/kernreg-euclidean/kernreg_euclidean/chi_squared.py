"""The exponential chi-squared kernel on histograms."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from kernreg_core.arrays import is_torch
from kernreg_core.base import provides
from kernreg_core.errors import InputError

from . import _parameters
from ._ops import Functional, InPlace
from ._tiles import Scratch, Tiles
from ._torch import row_chunks
from ._vectors import VectorKernel, ones_like_rows


class ChiSquared(VectorKernel):
    r"""Exponential chi-squared kernel, for histograms and other non-negative features.

    .. math:: k(x, y) = \exp\Big(-\gamma \sum_k \frac{(x_k - y_k)^2}{x_k + y_k}\Big)

    with 0/0 = 0.

    Parameters
    ----------
    gamma : float, default 1.0
        Positive. (Not a length scale: the sum grows like x, not like its square.)

    Raises
    ------
    InputError
        If X or Y holds a negative number.
    ParameterError
        At call, if `gamma` is not positive.

    Notes
    -----
    scikit-learn's ``chi2_kernel(X, Y, gamma)``. GPyTorch has no such kernel.

    References
    ----------
    J. Zhang, M. Marszalek, S. Lazebnik and C. Schmid, Local Features and Kernels for Classification
    of Texture and Object Categories, International Journal of Computer Vision 2007.

    Examples
    --------
    >>> import numpy as np
    >>> ChiSquared()(np.array([[1.0, 0.0], [0.0, 1.0]])).round(6)
    array([[1.      , 0.135335],
           [0.135335, 1.      ]])
    """

    capabilities = frozenset({"symmetric", "psd", "normalized", "diag", "matvec", "differentiable"})

    def __init__(self, *, gamma: Any = 1.0) -> None:
        self.gamma = gamma

    def check_parameters(self, X: Any) -> None:
        """Raise ParameterError unless ``gamma`` is positive."""
        _parameters.number("gamma", self.gamma, above=0.0)

    def check_items(self, X: Any, Y: Any = None) -> tuple[Any, Any]:
        """As every kernel's, and no number may be negative."""
        X, Y = super().check_items(X, Y)
        for name, A in (("X", X),) if Y is X else (("X", X), ("Y", Y)):
            lowest = float((A.detach() if is_torch(A) else A).min())
            if lowest < 0:
                raise InputError(
                    f"{name}: expected non-negative features such as histogram counts, got a smallest value of "
                    f"{lowest:g}: shift or scale the columns, or use another kernel"
                )
        return X, Y

    def _tiles(self, X: Any, Y: Any, dtype: Any) -> Tiles:
        factor = -_parameters.number("gamma", self.gamma, above=0.0)
        same = Y is X
        X = X.astype(dtype, copy=False)
        columns = np.ascontiguousarray(Y.T, dtype=dtype)
        # makes 0/0 a 0 without a mask, and is lost in every sum that is not about as small
        shifted = columns + float(np.finfo(dtype).tiny) * 4.0

        def tile(r: slice, c: slice, values: np.ndarray, scratch: Scratch) -> None:
            values[...] = 0.0
            difference = scratch.get("difference", values.shape, values.dtype)
            total = scratch.get("total", values.shape, values.dtype)
            for k in range(X.shape[1]):
                x = X[r, k, None]
                np.subtract(x, columns[k, c], out=difference)
                np.add(x, shifted[k, c], out=total)
                # divided before it is multiplied: |x - y| <= x + y, so nothing overflows
                np.divide(difference, total, out=total)
                np.multiply(total, difference, out=total)
                values += total
            values *= factor
            InPlace(scratch).exp(values)

        shape, work = (X.shape[0], Y.shape[0]), 8 * X.shape[1]
        return Tiles(shape, tile, same, work, diagonal=1.0, buffered=True, buffers=2)

    def _functional(self, X: Any, Y: Any) -> Any:
        torch = sys.modules["torch"]

        def distances(part: Any) -> Any:
            total = part[:, None, :] + Y[None, :, :]
            difference = part[:, None, :] - Y[None, :, :]
            return (difference.square() / total.where(total > 0, 1.0)).sum(-1)

        f = Functional()
        chi = torch.cat([distances(part) for part in row_chunks(X, Y)])
        return f.exp(f.mul(chi, -self._operand("gamma", X)))

    @provides("diag")
    def diag(self, X: Any) -> Any:
        """The diagonal of k(X), which is 1, shape (n,)."""
        X, _ = self.check_items(X)
        return ones_like_rows(X)
