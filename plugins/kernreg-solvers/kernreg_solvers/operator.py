"""k(X, Z) as a linear map: products by blocks of rows, the n x m matrix never in memory.

Coefficients and sums are NumPy arrays in float64, whatever the library of the items: only the blocks, and
the products with them, live where the items live (in NumPy, or in torch on its device).
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby, pairwise
from typing import Any

import numpy as np

import kernreg_core as kr
from kernreg_core.arrays import describe, is_prepared, is_torch, length
from kernreg_core.errors import InputError
from kernreg_core.threads import run_parallel

from .mixin import as_numpy

#: Bytes of a block of a kernel that fills blocks in place: large enough that preparing `Z` for it does not show.
_FILLED = 1 << 23
#: The same of a kernel that prepares both sides for many blocks at a time.
_PANEL = 1 << 22
#: Values of a block below which another thread costs more than it gives.
_WORTH = 1 << 18
#: Bytes of the rows that such a kernel prepares at a time, and their number at most.
_CHUNK, _MOST_ROWS = 1 << 23, 1 << 14
#: Bytes of the float64 copy of a part of a float32 block: it stays in a core's cache between its two products.
_STRIP = 1 << 20
#: Bytes of a block elsewhere: large enough that the call's own cost does not show.
_LARGE = 1 << 25
#: The same on an accelerator, whose kernels want to be large.
_DEVICE = 1 << 28
#: Partial sums of a reduction, and their bytes at most. Fixed, so that the bits do not depend on how many threads
#: there are.
_GROUPS, _SUMS = 16, 1 << 28

#: (rows, K[rows]) -> a contribution, or values of these rows.
Body = Callable[[slice, Any], Any]


class KernelOperator:
    """K = k(X, Z), applied block by block.

    Parameters
    ----------
    kernel : kernel
        Symmetric roles, real scalar values.
    X : array, tensor or sequence, n items
        Sliced, never copied: it may be memory-mapped.
    Z : array, tensor or sequence, m items
        Of X's library and device; few enough to keep.
    wide : bool
        Whether products with float32 blocks are formed in float64. Rounded in float32, the error of K V is of the
        size of V: where V is large and K V is not, it is all there is.
    in_float64 : bool
        Whether float32 items are taken as float64, block by block, so that the kernel's values are float64.
    keep : int
        Bytes that values of K may take: as many blocks as fit are kept from the first product on, the others are
        computed for each product. The bits are the same.

    Attributes
    ----------
    shape : (int, int)
        (n, m).

    Notes
    -----
    Values have the kernel's own dtype: float32 items give float32 blocks, whose products are summed in
    float64. The bits of a result depend on nothing but the operands and the machine's arithmetic.

    A kernel that fills blocks in place may also offer ``panels(X, Z, out)``: an iterator over ``(rows, K[rows])``,
    each computed in `out`, which prepares both sides once for all of them.
    """

    def __init__(
        self, kernel: Any, X: Any, Z: Any, *, wide: bool = False, in_float64: bool = False, keep: int = 0
    ) -> None:
        capabilities = kr.capabilities(kernel)
        self.kernel = kernel
        self._left, self._right = X, Z
        self._widens = in_float64 and is_float32(X)
        if self._widens:
            self._right = widened(Z)
        if "prepare" in capabilities:
            self._widens = False
            self._left = X if is_prepared(X) else kernel.prepare(X)
            self._right = Z if is_prepared(Z) else kernel.prepare(Z)
        self.shape = (length(self._left), length(self._right))
        self._tensor = _first_tensor(X)
        self._wide = wide
        # blocks in place, on threads of our own: for kernreg's kernels, which allow it
        self._fills = (
            self._tensor is None
            and isinstance(kernel, kr.BaseKernel)
            and callable(getattr(kernel, "into", None))
            and isinstance(X, np.ndarray)
            and isinstance(Z, np.ndarray)
        )
        self._panels: Any = getattr(kernel, "panels", None) if self._fills else None
        if self._fills:
            first = self._some(slice(0, 1))
            kernel.check_items(first, self._right)  # parameters and shapes, once
            self._dtype = np.dtype(kernel.result_dtype(first))
        self._keep = keep
        self._kept: dict[int, Any] = {}
        self._most: set[int] | None = None

    # -- the products -----------------------------------------------------------------------

    def times(self, V: np.ndarray) -> np.ndarray:
        """K V, shape (n,) or (n, t), of V of shape (m,) or (m, t)."""
        out = np.empty((self.shape[0], *V.shape[1:]))
        V_ = self.operand(V)

        def fill(rows: slice, K: Any) -> None:
            out[rows] = as_numpy(K @ V_)

        self.each(fill)
        return out

    def adjoint(self, U: np.ndarray) -> np.ndarray:
        """K^T U, shape (m,) or (m, t), of U of shape (n,) or (n, t)."""
        return self.reduce(lambda rows, K: K.T @ self.operand(U[rows]), (self.shape[1], *U.shape[1:]))

    def normal(self, V: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
        """K^T W K V in one pass, W the diagonal matrix of `weights` (n,) or (n, t); 1 by default."""
        V_ = self.operand(V)

        def body(rows: slice, K: Any) -> Any:
            F = K @ V_
            if weights is not None:
                w = self.operand(weights[rows])
                F = F * (w[:, None] if F.ndim == 2 and w.ndim == 1 else w)
            return K.T @ F

        return self.reduce(body, V.shape)

    def values(self, rows: slice) -> np.ndarray:
        """K[rows], on the host."""
        if not self._fills:
            return np.asarray(as_numpy(self._called(rows)))
        left = self._some(rows)
        K = np.empty((len(left), self.shape[1]), self._dtype)
        self.kernel.into(left, self._right, K)
        return K

    # -- blocks -----------------------------------------------------------------------------

    def operand(self, V: np.ndarray) -> Any:
        """`V` in the library and dtype of the blocks, where it can be multiplied with them."""
        if self._tensor is not None:
            torch = sys.modules["torch"]
            dtype = torch.float64 if self._wide or self._widens else self._tensor.dtype
            return torch.as_tensor(np.ascontiguousarray(V), dtype=dtype, device=self._tensor.device)
        return np.ascontiguousarray(V, dtype=self._dtype) if self._fills and not self._wide else V

    def reduce(self, body: Body, shape: tuple[int, ...]) -> np.ndarray:
        """The sum over blocks of ``body(rows, K[rows])``, in float64, in an order that is always the same."""
        groups = self._groups(max(2, min(_GROUPS, _SUMS // (8 * max(1, math.prod(shape))))))
        sums = np.zeros((len(groups), *shape))

        def one(number: int) -> None:
            for rows, K in self._blocks(groups[number]):
                sums[number] += as_numpy(body(rows, K))

        self._run(one, len(groups))
        return np.asarray(sums.sum(axis=0))

    def each(self, body: Body) -> None:
        """Call ``body(rows, K[rows])`` for every block, on several threads where the kernel allows it."""
        groups = self._groups(_GROUPS)

        def one(number: int) -> None:
            for rows, K in self._blocks(groups[number]):
                body(rows, K)

        self._run(one, len(groups))

    def _run(self, one: Callable[[int], None], count: int) -> None:
        if self._fills:
            run_parallel(one, range(count))
        else:
            for number in range(count):
                one(number)

    @property
    def kept(self) -> float:
        """The fraction of the values that is kept."""
        self._keeps(0)
        return len(self._most or ()) / max(1, sum(map(len, self._groups(_GROUPS))))

    @property
    def block(self) -> int:
        """Rows of a block."""
        n, m = self.shape
        if self._tensor is not None and self._tensor.device.type != "cpu":
            budget, least = _DEVICE, 1024
        elif self._fills:
            budget, least = (_FILLED if self._panels is None else _PANEL), 64
        else:
            budget, least = _LARGE, 32
        itemsize = self._dtype.itemsize if self._fills else 8
        most = min(8192, max(-(-n // _GROUPS), _WORTH // m)) if self._fills else 1 << 20
        return max(least, min(most, budget // (itemsize * m)))

    def _groups(self, count: int) -> list[range]:
        """The starts of all blocks, in `count` parts."""
        n, height = self.shape[0], self.block
        blocks = -(-n // height)
        count = min(count, blocks)
        cuts = [height * (blocks * i // count) for i in range(count)] + [n]
        return [range(first, last, height) for first, last in pairwise(cuts)]

    def _blocks(self, starts: range) -> Iterator[tuple[slice, Any]]:
        """Blocks one after the other; a block in place is overwritten by the next one."""
        found = self._kept_or_computed(starts) if self._keep else self._computed(starts)
        if not self._wide:
            return found
        return _in_strips(found) if self._tensor is None else ((rows, K.double()) for rows, K in found)

    def _kept_or_computed(self, starts: range) -> Iterator[tuple[slice, Any]]:
        for keeps, run in groupby(starts, self._keeps):
            part = list(run)
            if keeps and all(start in self._kept for start in part):
                yield from ((self._rows(start), self._kept[start]) for start in part)
                continue
            for rows, K in self._computed(range(part[0], part[-1] + 1, starts.step)):
                if keeps:
                    self._kept[rows.start] = K.copy() if self._fills else K
                yield rows, K

    def _keeps(self, start: int) -> bool:
        """Whether the block is one of those that fit: the first ones of each part, so that all threads gain alike."""
        if self._most is None:
            itemsize = self._dtype.itemsize if self._fills else 8
            fit = self._keep // (itemsize * self.block * self.shape[1])
            parts = self._groups(_GROUPS)
            blocks = sum(map(len, parts))
            self._most = {start for part in parts for start in part[: min(fit, blocks) * len(part) // blocks]}
        return start in self._most

    def _rows(self, start: int) -> slice:
        return slice(start, min(start + self.block, self.shape[0]))

    def _computed(self, starts: range) -> Iterator[tuple[slice, Any]]:
        if not self._fills:
            for start in starts:
                yield self._rows(start), self._called(self._rows(start))
        elif len(starts):
            buffer = np.empty((min(starts.step, self.shape[0]), self.shape[1]), self._dtype)
            yield from (self._into if self._panels is None else self._in_panels)(starts, buffer)

    def _into(self, starts: range, buffer: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        for start in starts:
            rows = self._rows(start)
            K = buffer[: rows.stop - start]
            self.kernel.into(self._some(rows), self._right, K)
            yield rows, K

    def _in_panels(self, starts: range, buffer: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        height, columns = starts.step, math.prod(self._left.shape[1:])
        chunk = height * max(1, min(_MOST_ROWS, _CHUNK // (8 * (columns + 2))) // height)
        stop = self._rows(starts[-1]).stop
        for first in range(starts.start, stop, chunk):
            left = self._some(slice(first, min(first + chunk, stop)))
            for rows, K in self._panels(left, self._right, buffer):
                yield slice(first + rows.start, first + rows.stop), K

    def _some(self, rows: slice) -> np.ndarray:
        return np.ascontiguousarray(self._left[rows], dtype=np.float64 if self._widens else None)

    def _called(self, rows: slice) -> Any:
        left = self._left[rows]
        K = self.kernel(widened(left) if self._widens else left, self._right)
        if not is_torch(K):
            K = np.asarray(K)
            if K.dtype.kind != "f":
                K = K.astype(np.float64)
        if tuple(K.shape) != (length(left), self.shape[1]):
            raise InputError(
                f"kernel: {self.kernel!r} gave {describe(K)} for {length(left)} and {self.shape[1]} items, "
                "expected one number for each pair"
            )
        return K.detach() if is_torch(K) else K


def widened(X: Any) -> Any:
    """Items in float32 as float64; all others as they are."""
    if not is_float32(X):
        return X
    return X.double() if is_torch(X) else X.astype(np.float64)


def is_float32(X: Any) -> bool:
    """Whether these are float32 rows of an array or a tensor."""
    return str(getattr(X, "dtype", "")) in ("float32", "torch.float32")


def _in_strips(blocks: Iterable[tuple[slice, np.ndarray]]) -> Iterator[tuple[slice, np.ndarray]]:
    """float32 blocks as strips of float64 in one buffer; float64 blocks as they are."""
    buffer = np.empty(0)
    for rows, K in blocks:
        if K.dtype == np.float64:
            yield rows, K
            continue
        height = min(len(K), max(16, _STRIP // (8 * K.shape[1])))
        if buffer.size < height * K.shape[1]:
            buffer = np.empty(height * K.shape[1])
        for first in range(0, len(K), height):
            part = K[first : first + height]
            strip = buffer[: part.size].reshape(part.shape)
            np.copyto(strip, part)
            yield slice(rows.start + first, rows.start + first + len(part)), strip


def _first_tensor(X: Any) -> Any:
    """`X` if it is a tensor, or a tensor that prepared items hold; else None."""
    if is_torch(X):
        return X
    if is_prepared(X):
        for value in getattr(X, "__dict__", {}).values():
            if is_torch(value) and value.is_floating_point():
                return value
    return None
