r"""Cosines and sines of products X W^T, written into a feature matrix block by block and on all threads.

NumPy's float64 cosine is a scalar loop. Here the product comes out of the GEMM in units of 1/8192 of a turn, so that
splitting it into a whole number k and a rest r in [-1/2, 1/2] is exact whatever its size, and

.. math:: e^{i \theta} = e^{2 \pi i k / 8192} \, e^{2 \pi i r / 8192}

takes one look-up in a table and one product with ``1 - b r^2 + i (a r - c r^3)``: a dozen vector operations for each
pair. Absolute errors are below 5e-16 of the amplitude, beside that of the product itself. float32 uses NumPy's own
cosine and sine, which are vectorised.
"""

from __future__ import annotations

import math
import sys
from functools import cache
from typing import Any

import numpy as np

from kernreg_core.arrays import is_sparse
from kernreg_core.errors import InputError
from kernreg_core.threads import num_threads, run_parallel

from ._frequencies import Rows
from ._products import squared_norms
from ._tiles import SERIAL_WORK, Scratch

#: Entries of the table: 128 kB, which stay in the second-level cache.
TABLE = 8192
#: Added to a float64 below 2^51 in magnitude it leaves the nearest whole number in the low bits.
_MAGIC = 1.5 * 2.0**52
#: Up to this size products are split by `_MAGIC`; above, whole turns are taken off first.
_LARGEST = 2.0**50
#: float32 products up to this size are phases right to 1e-4; larger ones, as of data far from the origin, are computed
#: in float64.
LARGEST_SINGLE = 1024.0
#: Pairs of a block by the bytes of a number, on one thread (buffers that stay in cache) and on several (which take
#: turns in Python after every operation, so that long ones lose less than what leaves the cache).
_BLOCK = {8: (1 << 16, 1 << 17), 4: (1 << 17, 1 << 18)}

_UNIT = 2.0 * math.pi / TABLE
_HALF = 0.5 * _UNIT
#: 1 - b r^2 is within 2e-16 of cos(unit r): the term in r^4 is spread evenly (its minimax factor is 2 (sqrt 2 - 1)).
_COS2 = -0.5 * _UNIT**2 * (1.0 - 2.0 * (math.sqrt(2.0) - 1.0) * _HALF**2 / 12.0)
_SIN3 = -(_UNIT**3) / 6.0


@cache
def _table() -> np.ndarray:
    """exp(2 pi i k / TABLE), each part correctly rounded as far as NumPy's cosine is: angles stay below pi / 4."""
    eighth = np.arange(TABLE // 8 + 1) * _UNIT
    c, s = np.cos(eighth), np.sin(eighth)
    quarter = np.concatenate([c + 1j * s, (s + 1j * c)[-2::-1]])[:-1]
    half = np.concatenate([quarter, 1j * quarter])
    return np.concatenate([half, -half])


def fill_waves(X: Any, rows: Rows, factor: Any, scale: float, shift: float | None, out: np.ndarray) -> None:
    r"""Fill `out` with ``[s cos(w_1 . x), ..., s cos(w_m . x), s sin(w_1 . x), ..., s sin(w_m . x)]``.

    Parameters
    ----------
    X : ndarray or CSR matrix, shape (n, d)
        Of `out`'s precision.
    rows : Rows
        The frequencies w, before they are multiplied by `factor`.
    factor : float or ndarray of shape (d,)
    scale : float
        s.
    shift : float, optional
        Of the last column where `out` has an odd number of real ones: s cos(w . x + shift).
    out : ndarray, shape (n, D)
        Real, with D / 2 frequencies rounded up; or complex, with D frequencies: s exp(i w . x).
    """
    real_values = out.dtype.kind != "c"
    largest = _largest(X) * X.shape[1] * rows.reach(factor)
    if not math.isfinite(largest):
        raise InputError(
            "X: its products with the frequencies overflow float64: rescale X, or use a longer length scale"
        )
    wide = out.dtype in (np.float64, np.complex128) or (
        largest > LARGEST_SINGLE and _longest(X) * rows.longest() * float(np.abs(factor).max()) > LARGEST_SINGLE
    )
    dtype: Any = np.float64 if wide else np.float32
    unit = TABLE / (2.0 * math.pi) if wide else 1.0
    project = rows.projection(np.multiply(factor, unit), dtype)
    table = _table() * scale if wide else None
    m, n = len(rows), out.shape[0]
    pairs = m if shift is None else m - 1
    scratch = Scratch()

    def block(start: int) -> None:
        part = slice(start, min(start + step, n))
        phases = scratch.get("phases", (part.stop - start, m), dtype)
        project(X[part].astype(dtype, copy=False), phases)
        if shift is not None:
            out[part, -1] = scale * np.cos(phases[:, -1] * (1.0 / unit) + shift)
        if table is None:
            _single(phases[:, :pairs], scale, out[part, : 2 * pairs] if real_values else out[part])
            return
        if largest * unit > _LARGEST:
            np.fmod(phases, TABLE, out=phases)
        _double(phases[:, :pairs], table, out[part], scratch)

    parallel = n * m * (X.shape[1] + 16) > SERIAL_WORK
    step = block_height(n, m, X.shape[1], _BLOCK[np.dtype(dtype).itemsize], parallel)
    if parallel:
        run_parallel(block, range(0, n, step))
    else:
        for start in range(0, n, step):
            block(start)


#: Rows for which a product with many columns is worth its factor's way through the cache, and elements they may have.
_ROWS, _ELEMENTS = 256, 1 << 20


def block_height(n: int, m: int, d: int, sizes: tuple[int, int], parallel: bool) -> int:
    """Rows of a block of products with m frequencies of d numbers.

    Of the first of `sizes` elements on one thread, of the second on several; more where the product takes longest; and
    few enough for every thread to get several blocks.
    """
    threads = num_threads() if parallel else 1
    height = max(1, sizes[threads > 1] // m, min(_ROWS, 2 * d, _ELEMENTS // m))
    return height if threads == 1 else min(height, -(-n // (4 * threads)))


def _longest(X: Any) -> float:
    return math.sqrt(float(squared_norms(X).max()))


def _largest(X: Any) -> float:
    values = X.data if is_sparse(X) else X
    return float(max(values.max(initial=0.0), -values.min(initial=0.0)))


def _double(U: np.ndarray, table: np.ndarray, out: np.ndarray, scratch: Scratch) -> None:
    """Pairs of float64 products `U` in units of the table, which is overwritten."""
    if not U.size:
        return
    whole = scratch.get("whole", U.shape, np.float64)
    index = scratch.get("index", U.shape, np.int64)
    rest = scratch.get("rest", U.shape, np.complex128)
    np.add(U, _MAGIC, out=whole)
    np.bitwise_and(whole.view(np.int64), TABLE - 1, out=index)
    np.subtract(whole, _MAGIC, out=whole)
    np.subtract(U, whole, out=U)
    squared = np.multiply(U, U, out=whole)
    np.multiply(squared, _COS2, out=rest.real)
    rest.real += 1.0
    np.multiply(squared, _SIN3, out=squared)
    np.add(squared, _UNIT, out=squared)
    np.multiply(squared, U, out=rest.imag)
    waves = out if out.dtype == np.complex128 else scratch.get("waves", U.shape, np.complex128)
    if not waves.flags.c_contiguous:
        waves = scratch.get("waves", U.shape, np.complex128)
    table.take(index, out=waves, mode="clip")  # indices are in range: clip is the mode without a buffer
    if out.dtype.kind == "c":
        np.multiply(waves, rest, out=out, casting="same_kind")
        return
    np.multiply(waves, rest, out=waves)
    np.copyto(out[:, : U.shape[1]], waves.real, casting="same_kind")
    np.copyto(out[:, U.shape[1] : 2 * U.shape[1]], waves.imag, casting="same_kind")


def _single(U: np.ndarray, scale: float, out: np.ndarray) -> None:
    """Cosines and sines of float32 phases `U`."""
    complex_values = out.dtype.kind == "c"
    np.cos(U, out=out.real if complex_values else out[:, : U.shape[1]])
    np.sin(U, out=out.imag if complex_values else out[:, U.shape[1] : 2 * U.shape[1]])
    np.multiply(out, np.float32(scale), out=out)


def waves_of_tensor(phases: Any, scale: Any, shift: float | None, real: bool) -> Any:
    """The same of a tensor of phases (n, m), functionally; complex where not `real`."""
    torch = sys.modules["torch"]
    if not real:
        return torch.polar(phases.new_ones(()).expand_as(phases), phases) * scale
    pairs = phases if shift is None else phases[:, :-1]
    last = [] if shift is None else [(phases[:, -1:] + shift).cos()]
    return torch.cat([pairs.cos(), pairs.sin(), *last], 1) * scale
