"""What the benchmarks share: threads for everyone, alternating runs, peak memory of a fresh process, verdicts."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: Seconds for which each run is repeated before it is timed. OpenBLAS's idle threads spin for 0.1 s after a product
#: (measured), and a virtual CPU that has gone idle gets no thread for some milliseconds: without this, a run shares its
#: cores with the threads of the run before, or starts on one of them.
WARM = 0.2


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Everyone on `count` threads: BLAS, OpenMP, torch and kernreg."""
    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")
    before = os.environ.get("KERNREG_NUM_THREADS"), torch and torch.get_num_threads()
    os.environ["KERNREG_NUM_THREADS"] = str(count)
    if torch:
        torch.set_num_threads(count)
    try:
        with threadpool_limits(count):
            yield
    finally:
        os.environ.pop("KERNREG_NUM_THREADS")
        if before[0] is not None:
            os.environ["KERNREG_NUM_THREADS"] = before[0]
        if torch:
            torch.set_num_threads(before[1])


def alternate(
    runs: dict[str, Callable[[], Any]], count: int, repeats: int = 7, *, warm: float = WARM
) -> dict[str, float]:
    """Median seconds of each run, one of each in turn: CPU time on one thread, wall time on several.

    A run is repeated for `warm` seconds before it is timed, so that it is in its steady state; long runs take 0.
    """
    clock = time.process_time if count == 1 else time.perf_counter
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            until = time.perf_counter() + warm
            while time.perf_counter() < until:
                run()
            start = clock()
            result = run()
            elapsed = clock() - start
            del result
            seconds[name].append(elapsed)
    return {name: statistics.median(times) for name, times in seconds.items()}


def verdict(reached: bool) -> str:
    """A word for the table."""
    return "ok" if reached else "MISSED"


def peak_bytes() -> int:
    """This process's peak of resident memory so far."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would report the parent's peak where that is larger
        return int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def scratch_bytes(run: Callable[[], Any]) -> int:
    """By how much resident memory peaks above where it stood while `run` runs; call it in a fresh process."""
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")  # the peak is counted anew from here
        before = int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]) * 1024
    else:
        before = peak_bytes()
    result = run()
    peak = peak_bytes()
    del result
    return peak - before


def in_fresh_process(script: str, *arguments: str) -> str:
    """What ``python script *arguments`` prints last: for peaks of memory, which no process can take back."""
    command = [sys.executable, script, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=dict(os.environ))
    return done.stdout.split()[-1]
