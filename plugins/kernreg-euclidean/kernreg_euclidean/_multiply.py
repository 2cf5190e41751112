"""k(X, Y) V from tiles that are used and forgotten: the driver of ``matvec`` (NumPy)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kernreg_core.threads import num_threads, pinned_blas, run_parallel

from ._tiles import SERIAL_WORK, Scratch, Tiles

#: Bytes of a tile, and of a tile with the buffers that its function works in: about a core's own cache.
TILE, WORKSPACE = 1 << 20, 1 << 21
#: The same where several threads work. They take turns in Python: fewer turns, each with more work outside the
#: interpreter lock, gain more than a cache that several cores share loses.
SHARED_TILE, SHARED_WORKSPACE = 1 << 22, 1 << 22
#: Columns of a tile, on one thread and on several; more where rows are few.
WIDTH, SHARED_WIDTH = 1024, 2048
#: Most rows of a tile of a symmetric matrix: half of each square on the diagonal is computed in vain.
CORNER = 256
#: A thread gets at least so many tiles.
TURNS = 64
#: Blocks of a symmetric matrix for each thread, in rounds of pairs: at most, and with at least so many rows.
BLOCKS, BLOCK_ROWS = 8, 1024


def multiply(tiles: Tiles, V: np.ndarray, dtype: Any) -> np.ndarray:
    """The matrix that `tiles` describe, times `V`.

    Parameters
    ----------
    tiles : Tiles
        Of shape (n, m). Of a symmetric matrix each tile serves twice.
    V : ndarray, shape (m,) or (m, p)
        float32 or float64, contiguous; float32 only where tiles are.
    dtype : dtype
        Of the tiles.

    Returns
    -------
    ndarray, shape (n,) or (n, p), float64
        Products of one tile are in `V`'s precision, their sums in float64. The same bits for the same
        number of threads.
    """
    n, m = tiles.shape
    everything = slice(0, n), slice(0, m)
    if n * m * tiles.work <= SERIAL_WORK:
        product = _Product(tiles, V, dtype, n, 1)
        product.block(everything)
        return product.sums
    threads = num_threads()
    if threads == 1:
        product = _Product(tiles, V, dtype, n, 1)
        with pinned_blas():
            product.block(everything)
    elif tiles.symmetric:
        count = max(2 * threads, min(BLOCKS * threads, n // BLOCK_ROWS))
        height = -(-n // count)
        product = _Product(tiles, V, dtype, height, threads)
        for pairs in _rounds(_cuts(0, n, height)):
            run_parallel(product.block, pairs)
    else:
        height = -(-n // (threads * max(1, min(8, n // (64 * threads)))))
        product = _Product(tiles, V, dtype, height, threads)
        run_parallel(product.block, [(rows, slice(0, m)) for rows in _cuts(0, n, height)])
    return product.sums


def on_columns(V: np.ndarray, dtype: Any, product: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """A product with real columns, applied to a `V` of any numbers.

    Parameters
    ----------
    V : ndarray, shape (m,) or (m, p)
    dtype : dtype
        Of the matrix.
    product : callable
        ``product(columns)`` of contiguous float32 or float64 columns, in float64.

    Returns
    -------
    ndarray, shape (n,) or (n, p)
        Of the dtype to which `dtype` and `V`'s promote; what is longer than float64 is computed in float64.
    """
    result = np.result_type(dtype, V.dtype)
    if result.kind == "c":
        V = np.ascontiguousarray(V, np.complex64 if result == np.complex64 else np.complex128)
        pairs = V.view(V.real.dtype).reshape(len(V), -1)
        found = np.ascontiguousarray(product(pairs), V.real.dtype)
        return found.view(V.dtype).reshape(-1, *V.shape[1:]).astype(result, copy=False)
    columns = np.ascontiguousarray(V, np.float32 if result == np.float32 else np.float64)
    single = columns.ndim == 2 and columns.shape[1] == 1
    found = product(columns[:, 0] if single else columns)
    return (found[:, None] if single else found).astype(result, copy=False)


def _cuts(start: int, stop: int, step: int) -> list[slice]:
    return [slice(first, min(first + step, stop)) for first in range(start, stop, step)]


def _rounds(blocks: list[slice]) -> Iterator[list[tuple[slice, slice]]]:
    """Every pair of blocks once, in rounds whose pairs have no block in common, and then each block alone.

    The rounds of a tournament: all play at once, one stays and the others move on by one place. So threads
    never add to the same rows, and the order of sums is fixed.
    """
    count = len(blocks) + len(blocks) % 2  # who meets the one that is missing rests
    for r in range(count - 1):
        pairs = [(r, count - 1)] + [((r + k) % (count - 1), (r - k) % (count - 1)) for k in range(1, count // 2)]
        yield [(blocks[min(pair)], blocks[max(pair)]) for pair in pairs if max(pair) < len(blocks)]
    yield [(block, block) for block in blocks]


class _Product:
    """One product in progress.

    Parameters
    ----------
    tiles, V, dtype
        As in :func:`multiply`.
    height : int
        Rows of the blocks it will be asked for.
    threads : int
    """

    def __init__(self, tiles: Tiles, V: np.ndarray, dtype: Any, height: int, threads: int) -> None:
        self._tiles, self._V, self._dtype = tiles, V, np.dtype(dtype)
        n, m = tiles.shape
        self.sums = np.zeros((n, *V.shape[1:]))
        self._scratch = Scratch()
        one, size = threads == 1, self._dtype.itemsize
        tile, workspace, width = (TILE, WORKSPACE, WIDTH) if one else (SHARED_TILE, SHARED_WORKSPACE, SHARED_WIDTH)
        numbers = min(tile // size, workspace // (size + 8 * tiles.buffers))
        if threads > 1:
            numbers = max(1, min(numbers, n * m // (TURNS * threads)))
        if not tiles.symmetric:
            width = max(width, numbers // height)
        self._width = min(m, width)
        # a power of two, as the width is: tiles on the diagonal begin on it
        self._height = 1 << max(0, (numbers // self._width).bit_length() - 1)
        if tiles.symmetric:
            self._height = min(self._height, self._width, CORNER)

    def block(self, sides: tuple[slice, slice]) -> None:
        """Add what a block gives; of a symmetric matrix, also what its mirror image gives."""
        rows, cols = sides
        on_diagonal = self._tiles.symmetric and rows == cols
        with np.errstate(all="ignore"):
            for c in _cuts(cols.start, cols.stop, self._width):
                if self._tiles.prepare is not None:
                    self._tiles.prepare(c)
                for r in _cuts(rows.start, c.stop if on_diagonal else rows.stop, self._height):
                    if on_diagonal and r.start >= c.start:
                        self._add_corner(r, slice(r.start, c.stop))
                    else:
                        self._add(r, c)

    def _add(self, rows: slice, cols: slice) -> None:
        tile = self._tile(rows, cols)
        self.sums[rows] += tile @ self._V[cols]
        if self._tiles.symmetric:
            self.sums[cols] += tile.T @ self._V[rows]

    def _add_corner(self, rows: slice, cols: slice) -> None:
        """A tile that begins with a square on the diagonal, which counts once."""
        tile = self._tile(rows, cols)
        size = rows.stop - rows.start
        self._tiles.finish_corner(tile[:, :size], rows)
        self.sums[rows] += tile @ self._V[cols]
        rest = slice(rows.stop, cols.stop)
        self.sums[rest] += tile[:, size:].T @ self._V[rows]

    def _tile(self, rows: slice, cols: slice) -> np.ndarray:
        """A tile in `V`'s precision."""
        shape = rows.stop - rows.start, cols.stop - cols.start
        tile = self._scratch.get("tile", shape, self._dtype)
        self._tiles.function(rows, cols, tile, self._scratch)
        if tile.dtype == self._V.dtype:
            return tile
        wide = self._scratch.get("wide tile", shape, self._V.dtype)
        np.copyto(wide, tile)
        return wide
