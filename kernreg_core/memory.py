"""What a Gram matrix takes, what there is, and the refusal before the work begins."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import GramMemoryError


def available_memory() -> int | None:
    """Bytes this process can still take: the machine's and its control group's, None if unknown."""
    limits = [limit for limit in (_machine(), _control_group()) if limit is not None]
    return min(limits) if limits else None


def _machine() -> int | None:
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _control_group() -> int | None:
    """What is left under a container's limit (control groups version 2)."""
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
            limit = file.read().strip()
        if limit == "max":
            return None
        with open("/sys/fs/cgroup/memory.current", encoding="ascii") as file:
            used = int(file.read())
        with open("/sys/fs/cgroup/memory.stat", encoding="ascii") as lines:
            # pages of files count as used and are given back at once when memory is asked for
            cached = sum(int(line.split()[1]) for line in lines if line.startswith(("inactive_file ", "active_file ")))
        return max(0, int(limit) - used + cached)
    except (OSError, ValueError):
        return None


def readable_size(size: float) -> str:
    """`size` bytes with a unit, as a person would write it.

    Examples
    --------
    >>> readable_size(128e6), readable_size(3.2e12)
    ('128 MB', '3.2 TB')
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 999.5 or unit == "TB":
            break
        size /= 1000
    return f"{size:.3g} {unit}" if size < 999.5 else f"{size:,.0f} {unit}"


def dtype_name(dtype: Any) -> str:
    """The name of a NumPy or torch dtype, such as float32."""
    return str(dtype).removeprefix("torch.")


def guard_memory(shape: Sequence[int], dtype: Any, *, what: str = "the Gram matrix") -> int:
    """Bytes of an array, or :class:`GramMemoryError` if it would not fit in what is available.

    Parameters
    ----------
    shape : sequence of int
    dtype : dtype_like or torch.dtype
    what : str
        Names the array in the message.
    """
    if not hasattr(dtype, "itemsize") or isinstance(dtype, type):
        dtype = np.dtype(dtype)
    size: int = math.prod(shape) * int(dtype.itemsize)
    if size < 1 << 26:  # 64 MB: reading what is available costs more than it could save
        return size
    available = available_memory()
    if available is not None and size > 0.95 * available:
        rows = shape[0]
        fits = int(rows * math.sqrt(0.95 * available / size)) if len(shape) > 1 and shape[0] == shape[1] else None
        smaller = f", or at most {fits:,} items" if fits else ""
        raise GramMemoryError(
            f"{what} of shape {tuple(shape)} in {dtype_name(dtype)} takes {readable_size(size)}, "
            f"but only {readable_size(available)} of memory is available. Ways out: kr.matvec(kernel, X, V), "
            "which never forms it; the kernel's features(X), where it has them; float32 input; "
            f"kr.gram with a memory-mapped out=; fewer rows{smaller}"
        )
    return size
