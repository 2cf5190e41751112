"""Threads inside a kernel: one shared pool, BLAS pinned while it works.

Two workers with two BLAS threads each lose to one, so whoever splits work over threads runs BLAS
with one. Pinning needs threadpoolctl (``kernreg-core[parallel]``).
"""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from .errors import KernregWarning, ParameterError

_local = threading.local()
_lock = threading.Lock()
_pool: tuple[int, ThreadPoolExecutor] | None = None  # (size, pool)
_pins = 0
_limiter: Any = None
_controllers: dict[frozenset[str], Any] = {}
_warned = False


def num_threads() -> int:
    """Threads a kernel may use: ``KERNREG_NUM_THREADS``, else the CPUs of this process.

    Inside a worker of :func:`kernreg_core.gram`, or of :func:`run_parallel`, it is 1.

    Raises
    ------
    ParameterError
        If ``KERNREG_NUM_THREADS`` is no positive integer.
    """
    if getattr(_local, "single", False):
        return 1
    text = os.environ.get("KERNREG_NUM_THREADS", "").strip()
    if not text:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    if not text.isdecimal() or int(text) < 1:
        raise ParameterError(f"KERNREG_NUM_THREADS: expected a positive integer, got {text!r}")
    return int(text)


@contextmanager
def single_threaded() -> Iterator[None]:
    """Within it, this thread's :func:`num_threads` is 1 and BLAS uses one thread."""
    before = getattr(_local, "single", False)
    _local.single = True
    try:
        with pinned_blas():
            yield
    finally:
        _local.single = before


@contextmanager
def pinned_blas() -> Iterator[None]:
    """BLAS uses one thread, process-wide, until the last nested or concurrent user has left."""
    global _pins, _limiter
    with _lock:
        if _pins == 0:
            controller = _controller()
            _take_control()
            _limiter = None if controller is None else controller.limit(limits=1, user_api="blas")
        _pins += 1
        _local.pins = getattr(_local, "pins", 0) + 1
    try:
        yield
    finally:
        with _lock:
            _local.pins -= 1
            _pins -= 1
            if _pins == 0:
                _unpin()


def _unpin() -> None:
    global _limiter
    if _limiter is not None:
        _take_control()
        _limiter.restore_original_limits()
        _limiter = None
        _take_control()  # and leave it to the next


def _take_control() -> None:
    """Let this thread set limits: newer threadpoolctl listens only to the first that did."""
    openblas = getattr(sys.modules.get("threadpoolctl"), "OpenBLASController", None)
    clear = getattr(openblas, "clear_controlling_thread", None)
    if clear is not None:
        clear(force=True)


def _after_fork() -> None:
    """In a forked child only the forking thread lives on: the locks, pool and pins of the others do not."""
    global _lock, _pool, _pins
    _lock, _pool, _pins = threading.Lock(), None, getattr(_local, "pins", 0)
    if _pins == 0:
        _unpin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _controller() -> Any:
    """threadpoolctl's controller for the BLAS libraries loaded so far, or None without it."""
    global _warned
    # a library loaded later (scipy and torch bring their own BLAS) needs a new look
    loaded = frozenset(name for name in ("numpy", "scipy.linalg", "torch") if name in sys.modules)
    if loaded not in _controllers:
        try:
            import threadpoolctl
        except ImportError:
            _controllers[loaded] = None
            if not _warned and num_threads() > 1:
                _warned = True
                warnings.warn(
                    "threadpoolctl is not installed, so BLAS threads are not pinned and may compete with kernreg's: "
                    'pip install "kernreg-core[parallel]", or set OPENBLAS_NUM_THREADS=1',
                    KernregWarning,
                    stacklevel=4,
                )
        else:
            _controllers[loaded] = threadpoolctl.ThreadpoolController()
    return _controllers[loaded]


def _shared_pool(size: int) -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None or _pool[0] < size:
            _pool = (size, ThreadPoolExecutor(size, thread_name_prefix="kernreg"))
        return _pool[1]


def run_parallel(function: Callable[[Any], object], tasks: Iterable[Any]) -> None:
    """Call ``function(task)`` for every task, on up to :func:`num_threads` threads.

    The calling thread works too; tasks are handed out one by one, so uneven ones balance. Use it
    where `function` spends its time outside the interpreter lock (NumPy, BLAS).

    Parameters
    ----------
    function : callable
        Must not depend on the order of the calls.
    tasks : iterable

    Raises
    ------
    Exception
        The first exception that a task raised; tasks not yet started are dropped.
    """
    tasks = list(tasks)
    threads = min(num_threads(), len(tasks))
    queue = iter(tasks)  # next() on a list iterator is atomic

    failed = threading.Event()

    def work() -> None:
        before = getattr(_local, "single", False)
        _local.single = True
        try:
            for task in queue:
                if failed.is_set():
                    return
                function(task)
        except BaseException:
            failed.set()
            raise
        finally:
            _local.single = before

    with pinned_blas():
        if threads <= 1:
            work()
            return
        pool = _shared_pool(threads - 1)
        helpers: list[Future[None]] = [pool.submit(work) for _ in range(threads - 1)]
        try:
            work()
        finally:
            # the pool may be busy with another caller: what has not started is not waited for
            running = [helper for helper in helpers if not helper.cancel()]
            errors = [error for helper in running if (error := helper.exception()) is not None]
        if errors:
            raise errors[0]
