"""Threads inside a kernel: how many, what they run, and BLAS pinned while they do."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import kernreg_core as kr
from kernreg_core import threads
from kernreg_core.threads import num_threads, pinned_blas, run_parallel, single_threaded


@pytest.fixture
def four(monkeypatch):
    monkeypatch.setenv("KERNREG_NUM_THREADS", "4")


def test_the_default_is_the_cpus_of_the_process():
    if hasattr(os, "sched_getaffinity"):
        assert num_threads() == len(os.sched_getaffinity(0))
    assert num_threads() >= 1


@pytest.mark.parametrize(("text", "number"), [("1", 1), ("7", 7), (" 3 ", 3)])
def test_the_environment_decides(monkeypatch, text, number):
    monkeypatch.setenv("KERNREG_NUM_THREADS", text)
    assert num_threads() == number


def test_an_empty_variable_is_none(monkeypatch):
    default = num_threads()
    monkeypatch.setenv("KERNREG_NUM_THREADS", " ")
    assert num_threads() == default


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "²"])
def test_what_is_no_number_of_threads(monkeypatch, text):
    monkeypatch.setenv("KERNREG_NUM_THREADS", text)
    with pytest.raises(kr.ParameterError, match="KERNREG_NUM_THREADS: expected a positive integer"):
        num_threads()


def test_one_inside_a_single_threaded_block_of_this_thread_only(four):
    with single_threaded():
        with single_threaded():
            assert num_threads() == 1
        assert num_threads() == 1
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(num_threads).result() == 4
    assert num_threads() == 4


@pytest.mark.parametrize("n_threads", ["1", "2", "5"])
@pytest.mark.parametrize("n_tasks", [0, 1, 3, 40])
def test_every_task_runs_once(monkeypatch, n_threads, n_tasks):
    monkeypatch.setenv("KERNREG_NUM_THREADS", n_threads)
    done = []
    run_parallel(done.append, range(n_tasks))
    assert sorted(done) == list(range(n_tasks))


def test_several_threads_take_part_and_the_caller_is_one(four):
    barrier = threading.Barrier(4, timeout=20)
    seen = set()

    def task(_):
        seen.add(threading.get_ident())
        barrier.wait()

    run_parallel(task, range(4))
    assert len(seen) == 4
    assert threading.get_ident() in seen


def test_inside_a_task_there_is_one_thread_and_nesting_works(four):
    inner = []

    def task(i):
        assert num_threads() == 1
        run_parallel(lambda j: inner.append((i, j)), range(3))

    run_parallel(task, range(6))
    assert len(inner) == 18
    assert num_threads() == 4


@pytest.mark.parametrize("n_threads", ["1", "4"])
def test_the_first_exception_is_raised_and_the_rest_dropped(monkeypatch, n_threads):
    monkeypatch.setenv("KERNREG_NUM_THREADS", n_threads)
    done = []

    def task(i):
        if i == 2:
            raise ZeroDivisionError(i)
        time.sleep(0.002)
        done.append(i)

    with pytest.raises(ZeroDivisionError):
        run_parallel(task, range(1000))
    count = len(done)
    assert count < 900
    time.sleep(0.02)
    assert len(done) == count  # nobody goes on behind the caller's back
    assert num_threads() == int(n_threads)
    run_parallel(done.append, range(5))  # and the pool still works


def test_many_callers_at_once(four):
    def caller(i):
        found = np.zeros(50, dtype=int)

        def task(j):
            found[j] = i + j

        for _ in range(20):
            run_parallel(task, range(50))
        return found

    with ThreadPoolExecutor(6) as pool:
        for i, found in enumerate(pool.map(caller, range(6))):
            np.testing.assert_array_equal(found, i + np.arange(50))


def test_one_thread_inside_workers_of_gram(four):
    seen = []

    class Asks(kr.BaseKernel):
        def evaluate(self, X, Y):
            seen.append(num_threads())
            return X @ Y.T

    with ThreadPoolExecutor(2) as pool:
        kr.gram(Asks(), np.ones((6, 1)), tile=3, executor=pool)
    assert set(seen) == {1}
    kr.gram(Asks(), np.ones((6, 1)))
    assert seen[-1] == 4


def blas_threads():
    threadpoolctl = pytest.importorskip("threadpoolctl", reason="threadpoolctl is not installed")
    found = [pool["num_threads"] for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
    if not found:
        pytest.skip("this NumPy has no BLAS that threadpoolctl knows")
    return found


def test_blas_is_pinned_until_the_last_user_has_left(four):
    before = blas_threads()
    first, second = threading.Event(), threading.Event()

    def other():
        with pinned_blas():
            first.set()
            second.wait(20)

    thread = threading.Thread(target=other)
    with pinned_blas():
        with pinned_blas():
            assert set(blas_threads()) == {1}
        thread.start()
        first.wait(20)
    assert set(blas_threads()) == {1}  # the other thread is still at it
    second.set()
    thread.join(20)
    assert blas_threads() == before
    run_parallel(lambda _: pytest.fail("pinned") if set(blas_threads()) != {1} else None, range(8))
    with pytest.raises(ZeroDivisionError):
        run_parallel(lambda _: 1 / 0, range(8))
    assert blas_threads() == before
    assert threads._pins == 0


def test_without_threadpoolctl_one_warning_says_so(monkeypatch):
    code = """
import sys, warnings
sys.modules["threadpoolctl"] = None
import numpy
from kernreg_core.threads import run_parallel
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    for _ in range(3):
        run_parallel(lambda _: None, range(4))
print(len(caught), caught[0].message)
"""
    monkeypatch.setenv("KERNREG_NUM_THREADS", "2")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("1 threadpoolctl is not installed")
    assert "kernreg-core[parallel]" in done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_a_pool_of_its_own():
    # in a process of its own: the tests' process has threads of other libraries
    code = """
import os, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of newer Pythons, on fork beside threads
os.environ["KERNREG_NUM_THREADS"] = "3"
from kernreg_core import threads
done = []
threads.run_parallel(done.append, range(20))
held = threading.Event()
def hold():  # a lock that nobody in the child can give back, and a pin that nobody there will leave
    with threads.pinned_blas(), threads._lock:
        held.set()
        threading.Event().wait()
threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    threads.run_parallel(done.append, range(20))
    os._exit(0 if len(done) == 40 and threads._pins == 0 else 1)
import signal
signal.alarm(30)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.strip() == "0", done.stderr
