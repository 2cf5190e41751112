"""Items of any domain, picked by index, and columns of their Gram matrix: what selectors work with."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

import kernreg_core as kr
from kernreg_core.arrays import describe, is_numpy, is_prepared, is_sparse, is_torch, length
from kernreg_core.base import check_values
from kernreg_core.errors import InputError, ParameterError
from kernreg_core.params import Parametrized, entropy

from . import _parameters

#: Numbers in a block of columns: 128 MB.
_BLOCK = 1 << 24


def on_host(values: Any) -> np.ndarray:
    """Kernel values as a NumPy array in double precision, complex where they are."""
    array = values.detach().cpu().numpy() if is_torch(values) else np.asarray(values)
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64, copy=False)


def in_double(X: Any) -> Any:
    """Rows in single or half precision as float64 ones, where there is float64; other items as they are."""
    if is_numpy(X) and X.dtype == np.float32:
        return X.astype(np.float64)
    if is_torch(X) and X.is_floating_point():
        return X.detach() if X.device.type == "mps" else X.detach().double()
    return X


def is_coarse(K: Any) -> bool:
    """Whether kernel values are accurate to single precision, at most."""
    return str(K.dtype).removeprefix("torch.") in ("float16", "bfloat16", "float32", "complex64")


def check_candidates(X: Any) -> Any:
    """`X` if it is a collection that items can be picked from; InputError otherwise."""
    if isinstance(X, (str, bytes)):
        raise InputError(f"X: expected a collection of items, got one {describe(X)}: pass [X]")
    if isinstance(X, (set, frozenset, dict)):
        raise InputError(f"X: expected items with places, got {describe(X)}: pass a list")
    sized = is_sparse(X) or (hasattr(X, "__len__") and hasattr(X, "__getitem__") and not isinstance(X, type))
    if not sized or getattr(X, "ndim", 1) == 0:
        raise InputError(f"X: expected a collection of items (an array, a tensor, a list), got {describe(X)}")
    if length(X) == 0:
        raise InputError(f"X: expected at least one item, got {describe(X)}, which is empty")
    return X


def check_count(n: Any, total: int) -> int:
    """`n` as the number of items to select out of `total`; InputError otherwise."""
    if isinstance(n, (bool, np.bool_)) or not isinstance(n, numbers.Integral):
        raise InputError(f"n: expected a number of items from 1 to {total}, got {describe(n)}")
    found = int(n)
    if not 1 <= found <= total:
        raise InputError(f"n: expected a number of items from 1 to {total}, which X has, got {found}")
    return found


def block_size(block: Any, n: int, total: int, *, most: int) -> int:
    """Columns of `total` numbers that are worked on together where `n` are wanted in all."""
    if block is not None:
        return _parameters.integer("block", block, minimum=1)
    return max(1, min(most, n // 10, _BLOCK // total))


def check_kernel(kernel: Any) -> Any:
    """`kernel` if it can be called and has one number for each pair; ParameterError otherwise."""
    if not callable(kernel) or isinstance(kernel, type):
        raise ParameterError(f"kernel: expected a kernel (a callable instance k(X, Y)), got {describe(kernel)}")
    for word in ("asymmetric", "matrix_valued", "operator"):
        if word in kr.capabilities(kernel):
            raise ParameterError(f"kernel: expected a symmetric kernel with one number for each pair, got {kernel!r}")
    return kernel


class Pieces:
    """Prepared items in any order, as single slices of what they come from: a prepared X is only known to be cut."""

    __kernreg_prepared__ = True

    def __init__(self, pieces: Sequence[Any]) -> None:
        self.pieces = list(pieces)

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, index: slice) -> Pieces:
        return Pieces(self.pieces[index])


def take(X: Any, index: np.ndarray) -> Any:
    """The items of `X` at `index`, in that order, as a collection of their own."""
    if is_prepared(X):
        return Pieces([X[i : i + 1] for i in index.tolist()])
    if hasattr(X, "iloc"):
        return X.iloc[index]
    if is_torch(X) or is_numpy(X) or is_sparse(X):
        return X[index]
    return [X[i] for i in index.tolist()]


def cross(kernel: Any, X: Any, Z: Any) -> Any:
    """k(X, Z), shape (n, m), in the library that the kernel answers in; either side may be :class:`Pieces`."""
    if isinstance(X, Pieces):
        return _joined([cross(kernel, piece, Z) for piece in X.pieces], 0)
    if isinstance(Z, Pieces):
        return _joined([kernel(X, piece) for piece in Z.pieces], 1)
    return check_values(kernel(X) if Z is X else kernel(X, Z), (length(X), length(Z)), kernel)


def _joined(parts: list[Any], axis: int) -> Any:
    if is_torch(parts[0]):
        import torch

        return torch.cat(parts, axis)
    return np.concatenate(parts, axis)


class KernelColumns:
    """Columns, entries and the diagonal of k(X), on the host and in double precision.

    Parameters
    ----------
    kernel : kernel
        One that prepares items prepares them once.
    X : items
        Rows in lower precision, arrays or tensors, are computed in float64.
    """

    def __init__(self, kernel: Any, X: Any) -> None:
        self.kernel = check_kernel(kernel)
        if not is_prepared(X):
            X = in_double(_checked(kernel, X))
        self.X = X
        self.n = length(X)
        prepares = "prepare" in kr.capabilities(kernel) and not is_prepared(X)
        self._rows = kernel.prepare(X) if prepares else X
        self._prepares = prepares

    def _side(self, index: np.ndarray) -> Any:
        items = take(self.X, index)
        return self.kernel.prepare(items) if self._prepares else items

    def columns(self, index: np.ndarray) -> np.ndarray:
        """k(X, X[index]), shape (n, b)."""
        return on_host(cross(self.kernel, self._rows, self._side(index)))

    def between(self, rows: np.ndarray, index: np.ndarray) -> np.ndarray:
        """k(X[rows], X[index]), shape (r, b)."""
        return on_host(cross(self.kernel, self._side(rows), self._side(index)))

    def entries(self, index: np.ndarray) -> np.ndarray:
        """k(X[index]), shape (b, b)."""
        side = self._side(index)
        return on_host(cross(self.kernel, side, side))

    def diagonal(self) -> np.ndarray:
        """k(x, x) for every item, shape (n,), real."""
        return diagonal(self.kernel, self._rows)

    def is_coarse(self) -> bool:
        """Whether the kernel gives values in single precision, whatever the items are in."""
        side = self._side(np.zeros(1, np.int64))
        return is_coarse(cross(self.kernel, side, side))


def _checked(kernel: Any, X: Any) -> Any:
    check = getattr(kernel, "check_items", None)
    return check(X)[0] if callable(check) else check_candidates(X)


def diagonal(kernel: Any, X: Any) -> np.ndarray:
    """k(x, x) for every item, shape (n,), float64: the kernel's own ``diag``, else item by item."""
    if "diag" in kr.capabilities(kernel) and not isinstance(X, Pieces):
        return on_host(kernel.diag(X)).real
    pieces = X.pieces if isinstance(X, Pieces) else [X[i : i + 1] for i in range(length(X))]
    return np.array([on_host(kernel(piece, piece))[0, 0].real for piece in pieces], np.float64)


class LandmarkSelector(Parametrized):
    """What the selectors of landmarks share: checked arguments, and a generator that starts anew at each call."""

    def _arguments(self, X: Any, n: Any) -> tuple[Any, int, np.random.Generator]:
        X = check_candidates(X)
        return X, check_count(n, length(X)), np.random.default_rng(entropy(self))


def with_the_rest(chosen: np.ndarray, n: int, total: int, rng: np.random.Generator) -> np.ndarray:
    """`chosen` indices, filled up to `n` with others that are drawn uniformly."""
    missing = n - chosen.size
    if missing <= 0:
        return chosen[:n]
    rest = np.setdiff1d(np.arange(total), chosen, assume_unique=True)
    return np.concatenate([chosen, rng.choice(rest, missing, replace=False)])
