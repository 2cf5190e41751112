"""VectorKernel: what every kernel of this plugin shares, and the way from torch to NumPy and back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from kernreg_core import BaseKernel
from kernreg_core.arrays import check_vectors, float_dtype, is_torch
from kernreg_core.base import provides

from . import _parameters
from ._factors import Factors, multiply_factors
from ._multiply import multiply, on_columns
from ._tiles import Tiles, fill, panels
from ._torch import compute_dtype, host_view, tiled_product


class VectorKernel(BaseKernel):
    """A kernel on rows of an (n, d) array, in NumPy and torch.

    A subclass writes ``_tiles(X, Y, dtype)`` for NumPy, from which Gram matrices and products are made, and
    ``_functional(X, Y)`` for torch. CPU tensors that need no gradient are computed as NumPy arrays, on the
    tensors' own memory.
    """

    domain = "vectors"

    def _tiles(self, X: Any, Y: Any, dtype: Any) -> Tiles:
        """How k(X, Y) of checked NumPy `X` and `Y` is computed in `dtype`, tile by tile."""
        raise NotImplementedError(f"{type(self).__name__} defines no _tiles(X, Y, dtype)")

    def into(self, X: Any, Y: Any, out: np.ndarray) -> None:
        """Fill `out`, shape (n, m), with k(X, Y) in place, for checked NumPy `X` and `Y`.

        Exactly symmetric where `Y` is `X`.
        """
        fill(out, self._tiles(X, Y, out.dtype))

    def panels(self, X: Any, Y: Any, out: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """k(X, Y) in panels of rows, each computed in `out`: both sides are prepared once for all of them.

        Parameters
        ----------
        X, Y : ndarray, shapes (n, d) and (m, d)
            Checked, and of one dtype.
        out : ndarray, shape (height, m)
            Overwritten by each panel.

        Yields
        ------
        rows : slice
        values : ndarray, shape (len(rows), m)
        """
        return panels(self._tiles(X, Y, out.dtype), out)

    def _functional(self, X: Any, Y: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} defines no _functional(X, Y)")

    def evaluate(self, X: Any, Y: Any) -> Any:
        """k(X, Y), shape (n, m), of checked `X` and `Y`."""
        if not is_torch(X):
            out = np.empty((X.shape[0], Y.shape[0]), float_dtype(X))
            self.into(X, Y, out)
            return out
        views = host_view(X, Y, *self._learnt())
        if views is not None:
            x = views[0]
            out = np.empty((X.shape[0], Y.shape[0]), x.dtype)
            self.into(x, x if Y is X else views[1], out)
            return sys.modules["torch"].from_numpy(out)
        return self._functional_in(compute_dtype(X), X, Y).to(X.dtype)

    def _functional_in(self, dtype: Any, X: Any, Y: Any) -> Any:
        x = X.to(dtype)
        return self._functional(x, x if Y is X else Y.to(dtype))

    def _learnt(self) -> list[Any]:
        """The parameters that are tensors with a gradient."""
        return [value for value in self.get_params(deep=False).values() if is_torch(value) and value.requires_grad]

    @provides("matvec")
    def matvec(self, X: Any, V: Any, Y: Any = None) -> Any:
        """k(X, Y) V without forming the matrix: tile by tile, or by features where the kernel has cheap ones.

        Parameters
        ----------
        X : array, shape (n, d)
        V : array, shape (m,) or (m, p)
            Real or complex, of `X`'s library and device.
        Y : array, shape (m, d), optional
            `X` by default; each value of the kernel then serves twice.

        Returns
        -------
        array, shape (n,) or (n, p)
            Of the dtype to which k's and `V`'s promote. Sums over tiles of NumPy arrays are in float64, and have
            the same bits for the same number of threads. Tensors have gradients to `X`, `Y`, `V` and the
            parameters; neither way keeps the matrix.

        Raises
        ------
        InputError
            If the items are not what the kernel takes, or `V` is not finite or of another length or library.
        """
        X, Y = self.check_items(X, Y)
        V = check_vectors(V, Y.shape[0], X, tensors=is_torch(X))
        if not is_torch(X):
            return self._product(X, V, Y)
        torch = sys.modules["torch"]
        if V.is_complex():
            pairs = torch.view_as_real(V.resolve_conj())
            found = self._tensor_product(X, pairs.reshape(V.shape[0], -1), Y)
            return torch.view_as_complex(found.reshape(X.shape[0], *pairs.shape[1:]).contiguous())
        return self._tensor_product(X, V if V.is_floating_point() else V.to(X.dtype), Y)

    def _product(self, X: Any, V: np.ndarray, Y: Any) -> np.ndarray:
        """k(X, Y) V of checked NumPy arrays."""
        dtype = float_dtype(X)
        factors = self._factors(X, Y)
        if factors is not None:
            return on_columns(V, dtype, lambda columns: multiply_factors(factors, X, Y, columns))
        return on_columns(V, dtype, lambda columns: multiply(self._tiles(X, Y, dtype), columns, dtype))

    def _factors(self, X: Any, Y: Any) -> Factors | None:
        """Features whose inner product is k(X, Y), where they cost less than its tiles."""
        return None

    def _tensor_product(self, X: Any, V: Any, Y: Any) -> Any:
        """k(X, Y) V of checked floating tensors."""
        torch = sys.modules["torch"]
        learnt = self._learnt()
        views = host_view(X, Y, V, *learnt)
        if views is not None:
            x, y, v = views[:3]
            return torch.from_numpy(self._product(x, v, x if Y is X else y))
        dtype = torch.promote_types(X.dtype, V.dtype)
        kind = compute_dtype(X)
        wide = V.to(torch.promote_types(kind, V.dtype))
        found = self._functional_product(X.to(kind), wide, Y.to(kind), learnt)
        return found.to(dtype)

    def _functional_product(self, X: Any, V: Any, Y: Any, learnt: list[Any]) -> Any:
        """k(X, Y) V in functional torch code; `learnt` are the parameters that a gradient may be wanted for."""
        return tiled_product(self._functional, X, V, Y, learnt)

    def _operand(self, name: str, X: Any) -> Any:
        """Parameter `name` for functional torch code: a float, or a tensor with its gradient."""
        return _parameters.operand(getattr(self, name), X)


def diagonal_of(values: np.ndarray, X: Any) -> np.ndarray:
    """Diagonal values in the dtype a NumPy Gram matrix of `X` has."""
    return values.astype(float_dtype(X), copy=False)


def ones_like_rows(X: Any, value: float = 1.0) -> Any:
    """A constant diagonal for `X`, in its library, dtype and device."""
    if is_torch(X):
        return X.new_full((X.shape[0],), value)
    return np.full(X.shape[0], value, float_dtype(X))


def generator(rng: Any) -> np.random.Generator:
    """`rng` (int, numpy Generator or None) as a Generator."""
    return np.random.default_rng(rng)
