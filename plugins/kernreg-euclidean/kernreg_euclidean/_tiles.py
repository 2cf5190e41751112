"""Matrices in tiles that stay in cache: how a kernel describes them, and the driver that fills a Gram matrix.

A kernel says once, as :class:`Tiles`, how one contiguous tile is filled. :func:`fill` cuts the matrix, spreads
panels of rows over threads, mirrors the upper triangle of a symmetric matrix and sets its diagonal;
:func:`kernreg_euclidean._multiply.multiply` forms k(X, Y) V from the same tiles.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernreg_core.threads import num_threads, run_parallel

#: Columns of a tile: beyond this a row of the tile no longer shares the cache with its neighbours.
WIDTH = 4096
#: Bytes of a column of a tile: 64 rows in float64.
COLUMN = 512
#: Columns of a block that is mirrored at a time.
MIRROR = 256
#: Columns of the float64 strips in which float32 tiles are computed where float32 is too coarse.
STRIP = 1024
#: Below this many multiply-adds threads cost more than they save.
SERIAL_WORK = 1 << 21


class Scratch(threading.local):
    """Buffers of the calling thread, by slot and dtype: allocated once, used for every tile."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, Any], np.ndarray] = {}

    def get(self, slot: str, shape: tuple[int, int], dtype: Any) -> np.ndarray:
        """An uninitialised contiguous array; the next call with the same slot gives the same memory."""
        size = shape[0] * shape[1]
        key = (slot, np.dtype(dtype))
        buffer = self._buffers.get(key)
        if buffer is None or buffer.size < size:
            buffer = self._buffers[key] = np.empty(size, dtype)
        return buffer[:size].reshape(shape)


#: Fills the tile = k(X[rows], Y[cols]), whose rows are contiguous.
TileFunction = Callable[[slice, slice, np.ndarray, Scratch], None]


def panel_height(n: int, width: int, threads: int, itemsize: int, buffered: bool) -> int:
    """Rows of a panel: what fits the cache, and few enough for every thread to get several panels."""
    height = COLUMN // itemsize * (1 if width > 512 else 2)
    if threads == 1:
        return height
    if itemsize < 8 and not buffered:
        height *= 2  # threads take turns in Python: short tasks get fewer and longer turns
    return max(1, min(height, -(-n // (4 * threads))))


@dataclass(frozen=True)
class Tiles:
    """How the matrix k(X, Y) is computed, tile by tile: said once by a kernel, used by every driver.

    Attributes
    ----------
    shape : (int, int)
    function : callable
        ``function(rows, cols, tile, scratch)`` fills `tile`.
    symmetric : bool
        Whether k(X, Y) is its own transpose, as where `Y` is `X`: half of it is computed.
    work : int
        Multiply-adds for each element, roughly: decides whether threads are worth it.
    diagonal : float or ndarray of shape (n,), optional
        The exact diagonal of a symmetric matrix, whatever the function puts there.
    buffered : bool
        Fill a Gram matrix through a contiguous buffer: faster for a function of many passes.
    buffers : int
        float64 arrays of a tile's size that the function works in beside the tile.
    prepare : callable, optional
        ``prepare(cols)``: many tiles of the calling thread will lie within these columns.
    """

    shape: tuple[int, int]
    function: TileFunction
    symmetric: bool
    work: int
    diagonal: Any = None
    buffered: bool = False
    buffers: int = 0
    prepare: Callable[[slice], None] | None = None

    def finish_corner(self, corner: np.ndarray, rows: slice) -> None:
        """Make a block on the diagonal symmetric and write its diagonal."""
        np.copyto(corner, corner.T.copy(), where=_below(corner.shape[0]))
        if self.diagonal is not None:
            np.einsum("ii->i", corner)[...] = self.diagonal if np.ndim(self.diagonal) == 0 else self.diagonal[rows]


def fill(out: np.ndarray, tiles: Tiles) -> None:
    """Fill `out`, shape (n, m), whose rows must be contiguous, with the matrix that `tiles` describe."""
    n, m = out.shape
    # buffers count towards the peak memory: no larger in float32, where their rows are taller
    width = min(m, WIDTH * out.itemsize // 8 if tiles.buffered else WIDTH)
    parallel = n * m * tiles.work > SERIAL_WORK
    threads = num_threads() if parallel else 1
    height = panel_height(n, width, threads, out.itemsize, tiles.buffered)
    scratch = Scratch()

    def panel(start: int) -> None:
        rows = slice(start, min(start + height, n))
        with np.errstate(all="ignore"):
            for first in range(start if tiles.symmetric else 0, m, width):
                cols = slice(first, min(first + width, m))
                _fill_tile(out[rows, cols], tiles, rows, cols, scratch)
        if tiles.symmetric:
            tiles.finish_corner(out[rows, rows], rows)

    def mirror(start: int) -> None:
        _mirror_rows(out, start, min(start + height, n))

    def both(start: int) -> None:
        panel(start)
        mirror(start)

    starts = range(0, n, height)
    if not parallel:
        for start in starts:
            both(start) if tiles.symmetric else panel(start)
    elif not tiles.symmetric:
        run_parallel(panel, starts)
    elif threads == 1:
        run_parallel(both, starts)  # in order: a panel's mirrored part needs the panels before it
    else:
        run_parallel(panel, starts)
        run_parallel(mirror, reversed(starts))


def panels(tiles: Tiles, out: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """The matrix in panels of as many rows as `out` has, one after the other: ``(rows, values in out)``.

    For callers that use each panel and forget it, in threads of their own.
    """
    n, m = tiles.shape
    width = min(m, WIDTH)
    # a function of many passes works in cache
    height = panel_height(n, width, 1, out.itemsize, tiles.buffered) if tiles.buffered else len(out)
    scratch = Scratch()
    if tiles.prepare is not None and width == m:
        tiles.prepare(slice(0, m))
    for start in range(0, n, len(out)):
        panel = out[: min(len(out), n - start)]
        with np.errstate(all="ignore"):
            for first in range(0, m, width):
                cols = slice(first, min(first + width, m))
                for top in range(0, len(panel), height):
                    block = panel[top : top + height, cols]
                    rows = slice(start + top, start + top + len(block))
                    _fill_tile(block, tiles, rows, cols, scratch)
        rows = slice(start, start + len(panel))
        if tiles.symmetric:
            tiles.finish_corner(panel[:, rows], rows)
        yield rows, panel


def _fill_tile(block: np.ndarray, tiles: Tiles, rows: slice, cols: slice, scratch: Scratch) -> None:
    if not tiles.buffered or block.flags.c_contiguous:
        tiles.function(rows, cols, block, scratch)
        return
    tile = scratch.get("tile", block.shape, block.dtype)
    tiles.function(rows, cols, tile, scratch)
    block[...] = tile


def _mirror_rows(out: np.ndarray, start: int, stop: int) -> None:
    """Copy what stands above rows [start, stop) into their part left of the diagonal.

    Rows are written one after the other and columns read: fresh pages are then touched by whoever fills
    them, while they are in cache. Writing columns is slower by a quarter.
    """
    for first in range(0, start, MIRROR):
        last = min(first + MIRROR, start)
        out[start:stop, first:last] = out[first:last, start:stop].T


_masks: dict[int, np.ndarray] = {}


def _below(size: int) -> np.ndarray:
    """The strictly lower triangle as a mask, kept for the few sizes that occur."""
    mask = _masks.get(size)
    if mask is None:
        if len(_masks) > 64:
            _masks.clear()
        mask = _masks[size] = np.tri(size, k=-1, dtype=bool)
    return mask
