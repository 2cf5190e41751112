"""Gram matrices in tiles: prepared once, computed anywhere, put together exactly symmetric."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ._parts import capabilities_of, is_kernel_like, on_torch
from .arrays import check_sized, check_vectors, describe, float_dtype, is_prepared, is_sparse, is_torch, length
from .base import BaseKernel, check_values, symmetrised
from .errors import InputError, ParameterError
from .memory import available_memory, dtype_name, guard_memory, readable_size
from .progress import Progress
from .threads import single_threaded

#: Rows and columns of a tile, where the caller does not say. Cheap kernels cut their own cache
#: panels inside a tile; where a pair is expensive a small tile loses little when it fails.
_TILE = {"low": 4096, "high": 32}
_TILE_FOR_WORKERS = 1024
#: At most so many in a product with vectors, whose tiles are used at once and forgotten.
_PRODUCT_TILE = 1024


@dataclass(frozen=True)
class _Job:
    """Checked and prepared sides of one Gram matrix, and its grid of tiles."""

    kernel: Any
    checked: Any  #: X before it was prepared
    left: Any
    right: Any  #: `left` itself where Y is X
    tile: int
    symmetric: bool  #: only the upper triangle of tiles is computed

    @property
    def shape(self) -> tuple[int, int]:
        return length(self.left), length(self.right)

    def tiles(self) -> list[tuple[slice, slice]]:
        rows, columns = (_cuts(size, self.tile) for size in self.shape)
        return [(r, c) for r in rows for c in columns if not self.symmetric or c.start >= r.start]

    @property
    def mirrors_diagonal(self) -> bool:
        """Whether tiles on the diagonal are not known to be exactly symmetric."""
        return self.symmetric and not isinstance(self.kernel, BaseKernel)

    def sides(self, rows: slice, columns: slice) -> tuple[Any, Any]:
        """The items of one tile; the same object twice on the diagonal."""
        left = self.left[rows]
        on_diagonal = self.right is self.left and rows == columns
        return left, left if on_diagonal else self.right[columns]


def _shape(rows: slice, columns: slice) -> tuple[int, int]:
    return rows.stop - rows.start, columns.stop - columns.start


def _cuts(size: int, tile: int) -> list[slice]:
    return [slice(start, min(start + tile, size)) for start in range(0, size, tile)]


def gram(
    kernel: Any,
    X: Any,
    Y: Any = None,
    *,
    tile: int | None = None,
    dtype: Any = None,
    executor: Executor | None = None,
    progress: bool | Callable[[int, int], object] | None = None,
    out: Any = None,
) -> Any:
    """The Gram matrix k(X, Y), tile by tile.

    Parameters
    ----------
    kernel : kernel
        A kernel object, or any callable instance ``k(X, Y) -> (n, m)``.
    X : array or sequence, n items
    Y : array or sequence, m items, optional
        `X` by default.
    tile : int, optional
        Rows and columns of a tile. By default 4096 (1024 with an executor), or 32 where one pair
        is expensive (``pair_cost = "high"``).
    dtype : dtype, optional
        Of the result; by default what the kernel gives.
    executor : concurrent.futures.Executor, optional
        Where tiles are computed: threads, processes, a Dask or MPI executor. Each worker uses
        one thread. The caller shuts it down.
    progress : bool or callable, optional
        True shows a bar, False none; by default one is shown in a terminal where there are
        several tiles. A callable is called with (tiles done, tiles in all).
    out : ndarray, shape (n, m), optional
        Filled and returned; may be memory-mapped. NumPy only.

    Returns
    -------
    ndarray or Tensor, shape (n, m)
        NumPy for NumPy, lists and other items; torch for tensors, with gradients where the
        kernel has them. Exactly symmetric where the kernel is symmetric and `Y` is `X`. The
        values do not depend on the tile beyond a few ulp.

    Raises
    ------
    InputError
        If `X`, `Y` or `out` is not what the kernel takes, or the kernel gives another shape.
    ParameterError
        If another argument is not what is expected.
    GramMemoryError
        If the result would not fit in memory; raised before the work begins.

    Examples
    --------
    >>> import kernreg_core as kr
    >>> class Overlap(kr.BaseKernel):
    ...     '''The number of common letters.'''
    ...     domain = "sequences"
    ...     capabilities = frozenset({"symmetric", "psd"})
    ...     def evaluate(self, X, Y):
    ...         import numpy as np
    ...         return np.array([[float(len(set(x) & set(y))) for y in Y] for x in X])
    >>> kr.gram(Overlap(), ["abc", "bcd", "xyz"])
    array([[3., 2., 0.],
           [2., 3., 0.],
           [0., 0., 3.]])
    """
    job = _job(kernel, X, Y, tile, executor)
    if on_torch(job.checked):
        return _gram_torch(job, dtype, executor, progress, out)
    dtype = _result_dtype(job, dtype, out)
    out = _checked_out(out, job.shape, dtype, job)
    with Progress(len(job.tiles()), progress) as bar:
        return _fill(job, out, dtype, executor, bar)


def _job(kernel: Any, X: Any, Y: Any, tile: int | None, executor: Executor | None) -> _Job:
    _check_kernel(kernel)
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise ParameterError(f"executor: expected a concurrent.futures.Executor, got {describe(executor)}")
    same = Y is None or Y is X
    X, Y = _checked_items(kernel, X, None if same else Y)
    cut = _tile(tile, kernel, executor)
    capabilities = capabilities_of(kernel)
    left = _prepared(kernel, X, capabilities)
    right = left if same else _prepared(kernel, Y, capabilities)
    return _Job(kernel, X, left, right, cut, same and "symmetric" in capabilities)


def _check_kernel(kernel: Any) -> None:
    if not is_kernel_like(kernel):
        raise ParameterError(
            f"kernel: expected a kernel or another callable instance k(X, Y), got {describe(kernel)}"
            + (": make one with kr.create(name)" if isinstance(kernel, (str, type)) else "")
        )


def _prepared(kernel: Any, X: Any, capabilities: frozenset[str]) -> Any:
    return kernel.prepare(X) if "prepare" in capabilities and not is_prepared(X) else X


def _checked_items(kernel: Any, X: Any, Y: Any) -> tuple[Any, Any]:
    if callable(getattr(kernel, "check_items", None)):
        checked: tuple[Any, Any] = kernel.check_items(X, Y)
        return checked
    X = X if is_sparse(X) else check_sized(X, "X", "items")
    if Y is None:
        return X, X
    return X, Y if is_sparse(Y) else check_sized(Y, "Y", "items")


def _tile(tile: int | None, kernel: Any, executor: Executor | None) -> int:
    if tile is None:
        cost = "high" if getattr(kernel, "pair_cost", "low") == "high" else "low"
        return _TILE_FOR_WORKERS if executor is not None and cost == "low" else _TILE[cost]
    if isinstance(tile, bool) or not isinstance(tile, (int, np.integer)) or tile < 1:
        raise ParameterError(f"tile: expected a positive integer, got {describe(tile)}")
    return int(tile)


def _result_dtype(job: _Job, dtype: Any, out: Any) -> np.dtype[Any] | None:
    """The dtype asked for, or the kernel's; None for a foreign kernel, which is asked by its first tile."""
    if dtype is not None:
        try:
            found = np.dtype(dtype)
        except TypeError:
            raise ParameterError(f"dtype: expected a NumPy dtype, got {dtype!r}") from None
        if found.kind not in "fc":
            raise ParameterError(f"dtype: expected a floating dtype, got {found.name}")
        return found  # type: ignore[no-any-return]
    if isinstance(out, np.ndarray):
        kept: np.dtype[Any] = out.dtype
        return kept
    native = getattr(job.kernel, "result_dtype", None)
    if native is None:
        return None
    asked: np.dtype[Any] = np.dtype(native(job.checked))
    return asked


def _checked_out(out: Any, shape: tuple[int, int], dtype: np.dtype[Any] | None, job: _Job) -> Any:
    """`out`, or a fresh array; None where the first tile has to say what is needed."""
    if out is None:
        guard_memory(shape, dtype or float_dtype(job.checked))
        by_tile = dtype is None or _is_matrix_valued(job) or (len(job.tiles()) == 1 and not hasattr(job.kernel, "into"))
        return None if by_tile else np.empty(shape, dtype)
    fits = isinstance(out, np.ndarray) and out.shape[: out.ndim - 2 * _is_matrix_valued(job)] == shape
    if not fits or out.dtype.kind not in "fc":
        raise InputError(f"out: expected a floating NumPy array of shape {shape}, got {describe(out)}")
    if not out.flags.writeable:
        raise InputError("out: expected a writeable array, got a read-only one: open a memory map with mode 'r+'")
    if dtype is not None and out.dtype != dtype:
        raise InputError(f"out: expected dtype {dtype}, as dtype= asks, got {out.dtype}")
    return out


def _is_matrix_valued(job: _Job) -> bool:
    return "matrix_valued" in capabilities_of(job.kernel)


class _Sink:
    """Where finished tiles go: one array, made by the first tile where `out` is None."""

    def __init__(self, job: _Job, out: Any, dtype: np.dtype[Any] | None) -> None:
        self.job = job
        self.out = out
        self.dtype = dtype

    def view(self, rows: slice, columns: slice) -> Any:
        return None if self.out is None else self.out[rows, columns]

    def put(self, rows: slice, columns: slice, K: Any) -> None:
        """Check one tile's values and write them, and their mirror image where only half is computed."""
        check_values(K, _shape(rows, columns), self.job.kernel)
        if not isinstance(K, np.ndarray):
            raise InputError(f"kernel: expected NumPy values for items that are no tensors, got {describe(K)}")
        if self.out is None:
            dtype = self.dtype or (K.dtype if K.dtype.kind in "fc" else np.dtype(np.float64))
            shape = (*self.job.shape, *K.shape[2:])
            if K.shape == shape and K.dtype == dtype and isinstance(self.job.kernel, BaseKernel):
                self.out = K  # the one tile is the result: no second array, no copy
                return
            guard_memory(shape, dtype)
            self.out = np.empty(shape, dtype)
        view = self.out[rows, columns]
        if K.dtype.kind == "c" and view.dtype.kind != "c":
            raise InputError(
                f"kernel: gives complex values ({K.dtype}), but the result is {view.dtype}: pass dtype=complex"
            )
        if K is not view:
            view[...] = K

    def mirror(self, rows: slice, columns: slice) -> None:
        if self.job.symmetric and rows != columns:
            transposed_into(self.out[columns, rows], self.out[rows, columns])
        elif self.job.mirrors_diagonal:
            tile = self.out[rows, columns]
            np.copyto(tile, symmetrised(tile))


def transposed_into(target: np.ndarray, source: np.ndarray, block: int = 256) -> None:
    """``target[...] = source^H``, in blocks that stay in cache; matrix values are transposed too."""
    conjugate = source.dtype.kind == "c"
    for r in range(0, source.shape[0], block):
        for c in range(0, source.shape[1], block):
            part = np.swapaxes(source[r : r + block, c : c + block], 0, 1)
            if part.ndim == 4:
                part = np.swapaxes(part, 2, 3)
            np.copyto(target[c : c + block, r : r + block], part.conj() if conjugate else part)


def _fill(job: _Job, out: Any, dtype: np.dtype[Any] | None, executor: Executor | None, bar: Progress) -> Any:
    sink = _Sink(job, out, dtype)
    native = getattr(job.kernel, "result_dtype", None)
    in_place = (
        out is not None
        and callable(getattr(job.kernel, "into", None))
        and native is not None
        and out.dtype == native(job.checked)
    )
    run = _serial(job, sink, in_place) if executor is None else _spread(job, sink, in_place, executor)
    for rows, columns in run:
        sink.mirror(rows, columns)
        bar.advance()
    return sink.out


def _serial(job: _Job, sink: _Sink, in_place: bool) -> Iterator[tuple[slice, slice]]:
    for rows, columns in job.tiles():
        left, right = job.sides(rows, columns)
        if in_place:
            job.kernel.into(left, right, sink.view(rows, columns))
        else:
            sink.put(rows, columns, _values(job.kernel, left, right))
        yield rows, columns


def _values(kernel: Any, left: Any, right: Any) -> Any:
    K = kernel(left, right)
    return K if isinstance(K, np.ndarray) or is_torch(K) else np.asarray(K)


def _in_worker(kernel: Any, left: Any, right: Any, view: Any) -> Any:
    """Compute one tile in a worker; `right` None is `left` again, `view` is shared memory or None."""
    right = left if right is None else right
    with single_threaded():
        if view is None:
            return _values(kernel, left, right)
        kernel.into(left, right, view)
        return None


def _spread(job: _Job, sink: _Sink, in_place: bool, executor: Executor) -> Iterator[tuple[slice, slice]]:
    """Tiles on an executor, a bounded number at a time; yields each as it is done."""
    shared = in_place and isinstance(executor, ThreadPoolExecutor)
    waiting = iter(job.tiles())
    pending: dict[Future[Any], tuple[slice, slice]] = {}
    limit = 2 * max(os.cpu_count() or 1, getattr(executor, "_max_workers", 1))
    try:
        while True:
            while len(pending) < limit and (tile := next(waiting, None)) is not None:
                left, right = job.sides(*tile)
                view = sink.view(*tile) if shared else None
                future = executor.submit(_in_worker, job.kernel, left, None if right is left else right, view)
                pending[future] = tile
            if not pending:
                return
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                tile = pending.pop(future)
                K = _result(future, tile)
                if not shared:
                    sink.put(*tile, K)
                yield tile
    finally:
        running = [future for future in pending if not future.cancel()]
        if shared:
            wait(running)  # after an error nobody may still write into what the caller gave


def _result(future: Future[Any], tile: tuple[slice, slice]) -> Any:
    try:
        return future.result()
    except Exception as error:
        rows, columns = tile
        error.add_note(f"in the tile of rows {rows.start}:{rows.stop} and columns {columns.start}:{columns.stop}")
        if "pickle" in str(error).lower():
            error.add_note(
                "a process pool needs a kernel and items that pickle: no lambdas or local classes; or use threads"
            )
        raise


def _gram_torch(job: _Job, dtype: Any, executor: Executor | None, progress: Any, out: Any) -> Any:
    """Functional, so that gradients pass: one call, or tiles put together by concatenation."""
    torch = sys.modules["torch"]
    if out is not None:
        raise InputError("out: is for NumPy arrays; a torch result is built functionally, so that gradients pass")
    if dtype is not None and not isinstance(dtype, torch.dtype):
        raise ParameterError(f"dtype: expected a torch dtype for tensors, such as torch.float32, got {dtype!r}")
    if is_torch(job.checked) and job.checked.device.type == "cpu":
        guard_memory(job.shape, dtype or job.checked.dtype)
    done: dict[tuple[int, int], Any] = {}
    tiles = job.tiles()
    with Progress(len(tiles), progress) as bar:
        for (rows, columns), K in _torch_tiles(job, tiles, executor):
            check_values(K, _shape(rows, columns), job.kernel)
            if not is_torch(K):
                raise InputError(f"kernel: expected a tensor for tensors, got {describe(K)}")
            done[rows.start, columns.start] = symmetrised(K) if rows == columns and job.mirrors_diagonal else K
            if job.symmetric and rows != columns:
                mirrored = K.transpose(0, 1) if K.ndim == 2 else K.permute(1, 0, 3, 2)
                done[columns.start, rows.start] = mirrored.conj() if K.dtype.is_complex else mirrored
            bar.advance()
    if len(done) == 1:
        (K,) = done.values()
        return K if dtype is None else K.to(dtype)
    row_starts, column_starts = (range(0, size, job.tile) for size in job.shape)
    K = torch.cat([torch.cat([done[r, c] for c in column_starts], dim=1) for r in row_starts])
    return K if dtype is None else K.to(dtype)


def _torch_tiles(job: _Job, tiles: list[tuple[slice, slice]], executor: Executor | None) -> Iterator[tuple[Any, Any]]:
    if executor is None:
        for tile in tiles:
            yield tile, job.kernel(*job.sides(*tile))
        return
    futures = []
    for tile in tiles:
        left, right = job.sides(*tile)
        futures.append((executor.submit(_in_worker, job.kernel, left, None if right is left else right, None), tile))
    for future, tile in futures:
        yield tile, _result(future, tile)


def matvec(kernel: Any, X: Any, V: Any, Y: Any = None) -> Any:
    """k(X, Y) V without forming the matrix: the kernel's own way, or tile by tile.

    Of a symmetric matrix each tile serves twice.

    Parameters
    ----------
    kernel : kernel
    X : array or sequence, n items
    V : ndarray or Tensor, shape (m,) or (m, p)
        Real or complex.
    Y : array or sequence, m items, optional
        `X` by default.

    Returns
    -------
    ndarray or Tensor, shape (n,) or (n, p)
        Of the dtype to which the kernel's and `V`'s promote.

    Raises
    ------
    InputError
        If `V` is not finite or has another length than `Y`, or the items are not what the kernel takes.

    Examples
    --------
    >>> import numpy as np
    >>> import kernreg_core as kr
    >>> kr.matvec(lambda X, Y: X @ Y.T, np.array([[1.0], [2.0]]), np.array([1.0, 1.0]))
    array([3., 6.])
    """
    _check_kernel(kernel)
    if "matvec" in capabilities_of(kernel):
        return kernel.matvec(X, V, Y)
    job = _job(kernel, X, Y, min(_PRODUCT_TILE, _tile(None, kernel, None)), None)
    tensors = on_torch(job.checked)
    V = check_vectors(V, job.shape[1], job.checked, tensors=tensors)
    sums: dict[int, Any] = {}
    dtype: Any = None
    for rows, columns in job.tiles():
        K = _panel(job, rows, columns)
        dtype = dtype or (None if tensors else np.result_type(K, V))
        _add(sums, rows.start, _times(K, V[columns]))
        if job.symmetric and rows != columns:
            mirrored = K.mH if tensors else K.conj().T
            _add(sums, columns.start, _times(mirrored, V[rows]))
    parts = [sums[start] for start in sorted(sums)]
    return sys.modules["torch"].cat(parts) if tensors else np.concatenate(parts).astype(dtype, copy=False)


def _times(K: Any, V: Any) -> Any:
    """K V; tensors of different dtypes, which torch refuses, are promoted first."""
    if not is_torch(K):
        return K @ V
    dtype = sys.modules["torch"].promote_types(K.dtype, V.dtype)
    return K.to(dtype) @ V.to(dtype)


def _add(sums: dict[int, Any], start: int, part: Any) -> None:
    """Add `part` to the sum of its rows; sums of NumPy arrays are in double precision."""
    if not is_torch(part):
        part = part.astype(np.result_type(part, np.float64), copy=False)
    sums[start] = part if start not in sums else sums[start] + part


def _panel(job: _Job, rows: slice, columns: slice) -> Any:
    left, right = job.sides(rows, columns)
    K = check_values(_values(job.kernel, left, right), _shape(rows, columns), job.kernel)
    if K.ndim != 2:
        raise InputError(f"kernel: expected scalar values for a product with V, got {describe(K)}")
    return K


@dataclass(frozen=True)
class Plan:
    """What a Gram matrix will take, before it starts.

    Attributes
    ----------
    shape : (int, int)
    pairs : int
        Kernel values that are computed; half of them where the kernel is symmetric.
    tile, tiles : int
        Rows and columns of a tile, and how many tiles are computed.
    dtype : str
    bytes : int
        Of the result.
    available : int or None
        Bytes of memory there are now.
    extra : dict
        What the kernel's own ``plan(X, Y)`` adds: circuits, jobs, shots, money.
    """

    shape: tuple[int, int]
    pairs: int
    tile: int
    tiles: int
    dtype: str
    bytes: int
    available: int | None
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def fits(self) -> bool:
        """Whether the result fits in memory now."""
        return self.available is None or self.bytes <= 0.95 * self.available

    def __repr__(self) -> str:
        room = "" if self.available is None else f" of {readable_size(self.available)} available"
        lines = [
            f"Gram matrix {self.shape[0]:,} x {self.shape[1]:,}, {self.dtype}: {readable_size(self.bytes)}{room}"
            + ("" if self.fits else ", does not fit"),
            f"{self.pairs:,} pairs in {self.tiles:,} tiles of {self.tile:,}",
            *(f"{name}: {value}" for name, value in self.extra.items()),
        ]
        return "\n".join(lines)


def plan(kernel: Any, X: Any, Y: Any = None, *, tile: int | None = None, dtype: Any = None) -> Plan:
    """What ``gram(kernel, X, Y)`` will take; computes no kernel value.

    Parameters
    ----------
    kernel, X, Y, tile, dtype
        As for :func:`gram`. X is checked, and prepared where the kernel prepares.

    Returns
    -------
    Plan

    Examples
    --------
    >>> import numpy as np
    >>> import kernreg_core as kr
    >>> kr.plan(lambda X, Y: X @ Y.T, np.ones((1000, 2))).bytes
    8000000
    """
    job = _job(kernel, X, Y, tile, None)
    if is_torch(job.checked):
        found: Any = dtype or job.checked.dtype
    else:
        found = _result_dtype(job, dtype, None) or float_dtype(job.checked)
    tiles = job.tiles()
    pairs = sum((r.stop - r.start) * (c.stop - c.start) for r, c in tiles)
    own = getattr(kernel, "plan", None)
    extra = dict(own(X, Y)) if callable(own) else {}
    return Plan(
        shape=job.shape,
        pairs=pairs,
        tile=job.tile,
        tiles=len(tiles),
        dtype=dtype_name(found),
        bytes=math.prod(job.shape) * int(found.itemsize),
        available=available_memory(),
        extra=extra,
    )
