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
#: Rows of a tile: runs of this many numbers are what a mirrored tile writes. Float32 tiles may be higher.
HEIGHT = 64
HEIGHT_FLOAT32 = 96
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


#: Fills the contiguous tile = k(X[rows], Y[cols]).
TileFunction = Callable[[slice, slice, np.ndarray, Scratch], None]


def panel_height(n: int, width: int, threads: int, height: int) -> int:
    """Rows of a panel: `height` where it is wide, and few enough for every thread to get several panels."""
    height = height if width > 512 else 2 * height
    return max(1, min(height, -(-n // (4 * threads)) if threads > 1 else height))


def fill(
    out: np.ndarray,
    tile_function: TileFunction,
    *,
    symmetric: bool,
    work: int,
    diagonal: Any = None,
    lean: bool = False,
) -> None:
    """Fill `out` tile by tile.

    Parameters
    ----------
    out : ndarray, shape (n, m)
        Overwritten; need not be contiguous.
    tile_function : callable
        ``tile_function(rows, cols, tile, scratch)`` fills the contiguous `tile`.
    symmetric : bool
        Compute the upper triangle only and mirror it: the result is exactly symmetric.
    work : int
        Multiply-adds for each element, roughly: decides whether threads are worth it.
    diagonal : float or ndarray of shape (n,), optional
        Written on the diagonal of a symmetric matrix.
    lean : bool
        For a function that needs more buffers of a tile's size: keeps float32 tiles small.
    """
    n, m = out.shape
    width = min(m, WIDTH)
    parallel = n * m * work > SERIAL_WORK
    height = HEIGHT if lean or out.itemsize > 4 else HEIGHT_FLOAT32
    height = panel_height(n, width, num_threads() if parallel else 1, height)
    scratch = Scratch()

    def panel(start: int) -> None:
        rows = slice(start, min(start + height, n))
        with np.errstate(all="ignore"):
            for first in range(start if symmetric else 0, m, width):
                cols = slice(first, min(first + width, m))
                if symmetric:
                    _symmetric_tile(out, tile_function, rows, cols, scratch, diagonal)
                else:
                    _plain_tile(out, tile_function, rows, cols, scratch)

    starts = list(range(0, n, height))
    if parallel:
        run_parallel(panel, _spread(starts, num_threads()))
    else:
        for start in starts:
            panel(start)


def _spread(starts: list[int], threads: int) -> list[int]:
    """The panels in an order whose first ones lie far apart.

    The first panel of a symmetric matrix touches every page of fresh memory. Threads that start side by
    side would race for the same pages, and the system clears a page once for each who asks.
    """
    first = starts[:: max(1, -(-len(starts) // threads))]
    return first + sorted(set(starts) - set(first))


def _plain_tile(out: np.ndarray, tile_function: TileFunction, rows: slice, cols: slice, scratch: Scratch) -> None:
    block = out[rows, cols]
    if block.flags.c_contiguous:
        tile_function(rows, cols, block, scratch)
    else:
        tile = scratch.get("tile", block.shape, out.dtype)
        tile_function(rows, cols, tile, scratch)
        block[...] = tile


def _symmetric_tile(
    out: np.ndarray, tile_function: TileFunction, rows: slice, cols: slice, scratch: Scratch, diagonal: Any
) -> None:
    height = rows.stop - rows.start
    tile = scratch.get("tile", (height, cols.stop - cols.start), out.dtype)
    tile_function(rows, cols, tile, scratch)
    if cols.start == rows.start:
        corner = tile[:, :height]
        np.copyto(corner, corner.T.copy(), where=_below(height))
        if diagonal is not None:
            np.einsum("ii->i", corner)[...] = diagonal if np.ndim(diagonal) == 0 else diagonal[rows]
    out[rows, cols] = tile
    out[cols, rows] = tile.T


_masks: dict[int, np.ndarray] = {}


def _below(size: int) -> np.ndarray:
    """The strictly lower triangle as a mask, kept for the few sizes that occur."""
    mask = _masks.get(size)
    if mask is None:
        if len(_masks) > 64:
            _masks.clear()
        mask = _masks[size] = np.tri(size, k=-1, dtype=bool)
    return mask
