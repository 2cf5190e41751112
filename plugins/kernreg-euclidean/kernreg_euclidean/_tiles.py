"""Gram matrices in tiles that stay in cache: the NumPy driver of every kernel of this plugin.

A kernel supplies a function that fills one contiguous tile; this module cuts the matrix, spreads
panels of rows over threads, mirrors the upper triangle of a symmetric matrix and sets its diagonal.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
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


def fill(
    out: np.ndarray,
    tile_function: TileFunction,
    *,
    symmetric: bool,
    work: int,
    diagonal: Any = None,
    buffered: bool = False,
) -> None:
    """Fill `out` tile by tile.

    Parameters
    ----------
    out : ndarray, shape (n, m)
        Overwritten; its rows must be contiguous.
    tile_function : callable
        ``tile_function(rows, cols, tile, scratch)`` fills `tile`.
    symmetric : bool
        Compute the upper triangle only and mirror it: the result is exactly symmetric.
    work : int
        Multiply-adds for each element, roughly: decides whether threads are worth it.
    diagonal : float or ndarray of shape (n,), optional
        Written on the diagonal of a symmetric matrix.
    buffered : bool
        Compute in a contiguous buffer and copy: faster for a function of many passes.
    """
    n, m = out.shape
    # buffers count towards the peak memory: no larger in float32, where their rows are taller
    width = min(m, WIDTH * out.itemsize // 8 if buffered else WIDTH)
    parallel = n * m * work > SERIAL_WORK
    threads = num_threads() if parallel else 1
    height = panel_height(n, width, threads, out.itemsize, buffered)
    scratch = Scratch()

    def panel(start: int) -> None:
        rows = slice(start, min(start + height, n))
        with np.errstate(all="ignore"):
            for first in range(start if symmetric else 0, m, width):
                cols = slice(first, min(first + width, m))
                _fill_tile(out[rows, cols], tile_function, rows, cols, scratch, buffered)
        if symmetric:
            _finish_corner(out[rows, rows], diagonal if np.ndim(diagonal) == 0 else diagonal[rows])

    def mirror(start: int) -> None:
        _mirror_rows(out, start, min(start + height, n))

    def both(start: int) -> None:
        panel(start)
        mirror(start)

    starts = range(0, n, height)
    if not parallel:
        for start in starts:
            both(start) if symmetric else panel(start)
    elif not symmetric:
        run_parallel(panel, starts)
    elif threads == 1:
        run_parallel(both, starts)  # in order: a panel's mirrored part needs the panels before it
    else:
        run_parallel(panel, starts)
        run_parallel(mirror, reversed(starts))


def _fill_tile(
    block: np.ndarray, tile_function: TileFunction, rows: slice, cols: slice, scratch: Scratch, buffered: bool
) -> None:
    if not buffered or block.flags.c_contiguous:
        tile_function(rows, cols, block, scratch)
        return
    tile = scratch.get("tile", block.shape, block.dtype)
    tile_function(rows, cols, tile, scratch)
    block[...] = tile


def _finish_corner(corner: np.ndarray, diagonal: Any) -> None:
    """Make a block on the diagonal symmetric and write its diagonal."""
    np.copyto(corner, corner.T.copy(), where=_below(corner.shape[0]))
    if diagonal is not None:
        np.einsum("ii->i", corner)[...] = diagonal


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
