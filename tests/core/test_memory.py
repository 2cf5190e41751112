"""What there is, what is taken, and the refusal before the work begins."""

from __future__ import annotations

import builtins
import io

import numpy as np
import pytest

import kernreg_core as kr
from kernreg_core import memory
from kernreg_core.memory import available_memory, guard_memory, readable_size

GIGA = 10**9


@pytest.fixture
def system(monkeypatch):
    """Give file contents by path; other system files are absent."""

    def install(**files):
        paths = {
            "meminfo": "/proc/meminfo",
            "limit": "/sys/fs/cgroup/memory.max",
            "current": "/sys/fs/cgroup/memory.current",
            "stat": "/sys/fs/cgroup/memory.stat",
        }
        texts = {paths[name]: text for name, text in files.items()}

        def fake_open(path, *args, **kwargs):
            if path not in texts:
                raise FileNotFoundError(path)
            return io.StringIO(texts[path])

        monkeypatch.setattr(memory, "open", fake_open, raising=False)

    assert builtins.open is open
    return install


MEMINFO = "MemTotal:       16000000 kB\nMemFree:          100 kB\nMemAvailable:    8000000 kB\n"


def test_the_machine_alone(system):
    system(meminfo=MEMINFO)
    assert available_memory() == 8_000_000 * 1024


def test_a_container_has_less(system):
    system(meminfo=MEMINFO, limit="2000000000\n", current="500000000\n", stat="anon 1\n")
    assert available_memory() == 1_500_000_000


def test_pages_of_files_are_given_back(system):
    stat = "anon 300000000\nfile 900000000\nactive_file 100000000\ninactive_file 700000000\n"
    system(meminfo=MEMINFO, limit="2000000000\n", current="1200000000\n", stat=stat)
    assert available_memory() == 1_600_000_000


def test_a_container_without_a_limit(system):
    system(meminfo=MEMINFO, limit="max\n", current="1\n", stat="")
    assert available_memory() == 8_000_000 * 1024


def test_a_container_over_its_limit_has_nothing(system):
    system(meminfo=MEMINFO, limit="1000\n", current="2000\n", stat="inactive_file 0\n")
    assert available_memory() == 0


def test_another_system_says_what_it_has(system, monkeypatch):
    system()
    monkeypatch.setattr(memory.os, "sysconf", lambda name: {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}[name])
    assert available_memory() == 4_096_000


def test_a_system_that_says_nothing_refuses_nothing(system, monkeypatch):
    system()

    def unknown(name):
        raise ValueError(name)

    monkeypatch.setattr(memory.os, "sysconf", unknown)
    assert available_memory() is None
    assert guard_memory((10**7, 10**7), np.float64) == 8 * 10**14


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 B"), (999, "999 B"), (999.6, "1 kB"), (1000, "1 kB"), (1234, "1.23 kB"),
     (999_700, "1 MB"), (3.2e12, "3.2 TB"),
     (5e15, "5,000 TB")],
)  # fmt: skip
def test_sizes_are_readable(size, text):
    assert readable_size(size) == text


def test_the_guard_says_what_fits(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: GIGA)
    assert guard_memory((10_000, 10_000), np.float64) == 8 * 10**8
    with pytest.raises(kr.GramMemoryError) as raised:
        guard_memory((20_000, 20_000), np.float64)
    text = str(raised.value)
    parts = ["(20000, 20000)", "float64", "3.2 GB", "1 GB of memory", "kr.matvec", "features", "out=", "at most 10,897"]
    for part in parts:
        assert part in text
    guard_memory((10_897, 10_897), np.float64)
    with pytest.raises(kr.GramMemoryError):
        guard_memory((10_898, 10_898), np.float64)
    with pytest.raises(kr.GramMemoryError, match="fewer rows$"):
        guard_memory((20_000, 30_000), np.float32)
    with pytest.raises(MemoryError):
        guard_memory((20_000, 20_000), "float64", what="a table")


def test_small_arrays_do_not_ask(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: pytest.fail("asked"))
    assert guard_memory((2000, 2000), np.float64) == 32 * 10**6


@pytest.mark.parametrize("call", [kr.gram, lambda kernel, X: kernel(X)])
def test_kernels_and_gram_refuse_before_they_compute(monkeypatch, call):
    class Never(kr.BaseKernel):
        def evaluate(self, X, Y):
            raise AssertionError("computed")

    monkeypatch.setattr(memory, "available_memory", lambda: GIGA)
    with pytest.raises(kr.GramMemoryError, match="3.2 GB"):
        call(Never(), np.ones((20_000, 1)))
    torch = pytest.importorskip("torch", reason="torch is not installed")
    with pytest.raises(kr.GramMemoryError, match="float32 takes 1.6 GB"):
        call(Never(), torch.ones(20_000, 1))
