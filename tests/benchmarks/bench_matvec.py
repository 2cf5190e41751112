"""k(X) v without the matrix: kernreg-euclidean against scikit-learn, KeOps, torch and the machine's limit.

Run it as ``python tests/benchmarks/bench_matvec.py``. Every figure is the median of alternating runs in this process,
on the same data: CPU time with everyone on one thread; wall time where one and two threads are compared. Peers that
have no product of their own multiply chunks of rows, of the size that is best for them. The limit is one GEMM with a
contiguous second factor (norms folded in) and one in-place exp for every pair, in tiles of the size that is best for
it: kernreg may stay below it, because it uses each value of the symmetric matrix twice. Errors are the largest one over
the largest entry, against the formula by difference in float64 on the same data.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

import numpy as np
from harness import alternate, in_fresh_process, scratch_bytes, threads, verdict

N = 20_000
#: Runs of what takes less than three seconds, and of the others.
REPEATS, FEW = 7, 3
CHUNKS = (256, 512, 1000, 2000)
#: kernreg's time is at most so many times the limit's.
LIMITS = {"float64": 1.15, "float32": 1.5}
#: A peer's time is at least so many times kernreg's.
TARGETS = {("sklearn", 3): 2.5, ("sklearn", 20): 2.5, ("keops", 3): 3.0, ("keops", 20): 7.0}
SCRATCH = 20e6
SPEEDUP = 1.7


def problem(d: int, dtype: str, n: int = N) -> tuple[np.ndarray, np.ndarray, float]:
    """Normal points, weights, and the length scale of scikit-learn's default gamma, 1 / d."""
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, d)).astype(dtype), rng.standard_normal(n).astype(dtype), (0.5 * d) ** 0.5


def limit(X: np.ndarray, lengthscale: float) -> Callable[[], Any]:
    """A GEMM and an in-place exp for all pairs, nothing else, in the best tile."""
    n = len(X)
    Z = ((X - X.mean(0, dtype=np.float64)) / lengthscale).astype(X.dtype)
    h, one = -0.5 * np.einsum("ij,ij->i", Z, Z), np.ones(n)
    A = np.column_stack([Z, h, one]).astype(X.dtype)
    B = np.ascontiguousarray(np.column_stack([Z, one, h]).T, dtype=X.dtype)

    def in_tiles(height: int, width: int, rows: int = n) -> None:
        buffer = np.empty(height * width, X.dtype)
        for i in range(0, rows, height):
            for j in range(0, n, width):
                shape = min(height, n - i), min(width, n - j)
                tile = buffer[: shape[0] * shape[1]].reshape(shape)
                np.matmul(A[i : i + height], B[:, j : j + width], out=tile)
                np.exp(tile, out=tile)

    shapes = [(height, width) for height in (64, 128, 256) for width in (512, 1024, 2048)]
    best = fastest({shape: lambda shape=shape: in_tiles(*shape, rows=2048) for shape in shapes})
    return lambda: in_tiles(*best)


def fastest(runs: dict[Any, Callable[[], Any]]) -> Any:
    """The key of the run that takes the least CPU time: each is tried three times."""
    seconds = {}
    for key, run in runs.items():
        times = []
        for _ in range(3):
            start = time.process_time()
            run()
            times.append(time.process_time() - start)
        seconds[key] = min(times)
    return min(seconds, key=lambda key: seconds[key])


def in_chunks(rows: Callable[[int, int], Any], n: int) -> Callable[[], Any]:
    """``rows(start, stop)`` = k(X[start:stop], X) v for all rows, in the chunk that is best for it."""
    best = fastest({size: lambda size=size: [rows(i, i + size) for i in range(0, 4000, size)] for size in CHUNKS})
    return lambda: [rows(i, i + best) for i in range(0, n, best)]


def peers(X: np.ndarray, v: np.ndarray, lengthscale: float) -> dict[str, Callable[[], Any]]:
    """The same product by other libraries, as lists of parts; KeOps only where it is installed."""
    import torch
    from sklearn.metrics.pairwise import rbf_kernel

    gamma = 0.5 / lengthscale**2
    T, w = torch.from_numpy(X), torch.from_numpy(v)

    def with_torch(start: int, stop: int) -> Any:
        K = torch.cdist(T[start:stop], T)
        return K.square_().mul_(-gamma).exp_() @ w

    found: dict[str, Callable[[], Any]] = {
        "sklearn": in_chunks(lambda i, j: rbf_kernel(X[i:j], X, gamma=gamma) @ v, len(X)),
        "torch": in_chunks(with_torch, len(X)),
    }
    keops = with_keops(X, v, gamma)
    if keops is not None:
        found["keops"] = keops
    return found


def with_keops(X: np.ndarray, v: np.ndarray, gamma: float) -> Callable[[], Any] | None:
    """KeOps's LazyTensor on the CPU, sums in float64; compiled and cached here, outside the timing."""
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            import pykeops
            from pykeops.numpy import LazyTensor
    except ImportError:
        return None
    pykeops.set_verbose(False)
    x, y = LazyTensor(X[:, None, :]), LazyTensor(X[None, :, :])
    K, column = (-((x - y) ** 2).sum(-1) * gamma).exp(), v[:, None]

    def run() -> Any:
        return [K.__matmul__(column, backend="CPU", dtype_acc="float64")[:, 0]]

    run()
    return run


def error(found: Any, X: np.ndarray, v: np.ndarray, lengthscale: float) -> float:
    """Of the first 1000 entries."""
    from scipy.spatial.distance import cdist

    parts = found if isinstance(found, list) else [found]
    got = np.concatenate([np.asarray(part) for part in parts])[:1000].astype(np.float64)
    wide = X.astype(np.float64)
    expected = np.exp(-0.5 / lengthscale**2 * cdist(wide[:1000], wide, "sqeuclidean")) @ v.astype(np.float64)
    return float(np.abs(got - expected).max() / np.abs(expected).max())


def speed_table() -> None:
    """One thread: seconds, errors, and ratios to kernreg's time."""
    print(f"\nk(X) v, RBF, n={N:,}, one thread, CPU seconds; ratio: time / kernreg's, or kernreg's / limit")
    print(f"{'d':<4}{'dtype':<9}{'contender':<22}{'s':>7}{'ratio':>8}{'error':>10}")
    for d in (3, 20):
        for dtype in ("float64", "float32"):
            speed_rows(d, dtype)


def speed_rows(d: int, dtype: str) -> None:
    """The rows of one problem."""
    import kernreg_euclidean as ke

    X, v, lengthscale = problem(d, dtype)
    kernel, Y = ke.RBF(lengthscale=lengthscale), X.copy()
    with threads(1), redirect_stderr(StringIO()):
        runs = {"kernreg": lambda: kernel.matvec(X, v), **peers(X, v, lengthscale)}
        slow = {name: runs.pop(name) for name in ("keops", "torch") if name in runs}
        runs["kernreg, Y another X"] = lambda: kernel.matvec(X, v, Y)
        runs["limit: GEMM + exp"] = limit(X, lengthscale)
        times = alternate(runs, 1, REPEATS, warm=0)
        later = alternate({"kernreg": runs["kernreg"], **slow}, 1, FEW, warm=0)
        errors = {
            name: error(run(), X, v, lengthscale) for name, run in {**runs, **slow}.items() if "limit" not in name
        }
    # each is compared with kernreg's time in its own round
    ratios = {name: seconds / times["kernreg"] for name, seconds in times.items()}
    ratios.update({name: seconds / later["kernreg"] for name, seconds in later.items() if name != "kernreg"})
    for name, seconds in {**later, **times}.items():
        note, ratio = "", f"{ratios[name]:.2f}"
        if name.startswith("limit"):
            most, reached = LIMITS[dtype], 1.0 / ratios[name]
            ratio, note = f"{reached:.2f}", f"  (at most {most}: {verdict(reached <= most)})"
        elif (name, d) in TARGETS:
            least = TARGETS[name, d]
            note = f"  (at least {least}: {verdict(ratios[name] >= least)})"
        shown = f"{errors[name]:.1e}" if name in errors else ""
        print(f"{d:<4}{dtype:<9}{name:<22}{seconds:>7.3f}{ratio:>8}{shown:>10}{note}", flush=True)
    if "keops" not in slow:
        print(f"{d:<4}{dtype:<9}{'keops':<22} not installed: pip install -r tests/benchmarks/requirements.txt")


def threads_table() -> None:
    """Wall time on one thread over that on two."""
    import kernreg_euclidean as ke

    print(f"\nTwo threads, RBF, n={N:,}: wall time of one thread / of two (at least {SPEEDUP})")
    for d in (3, 20):
        for dtype in ("float64", "float32"):
            X, v, lengthscale = problem(d, dtype)
            kernel = ke.RBF(lengthscale=lengthscale)

            def on(count: int, X: np.ndarray = X, v: np.ndarray = v, kernel: Any = kernel) -> Any:
                with threads(count):
                    return kernel.matvec(X, v)

            times = alternate({"one": lambda: on(1), "two": lambda: on(2)}, 2, REPEATS)
            ratio = times["one"] / times["two"]
            print(
                f"{d:<4}{dtype:<9}{times['one']:7.3f} s {times['two']:7.3f} s{ratio:8.2f}  {verdict(ratio >= SPEEDUP)}",
                flush=True,
            )


def memory_table() -> None:
    """Peak of resident memory over where it stood, in a fresh process each."""
    print(f"\nScratch, RBF, n={N:,}, two threads, MB (at most {SCRATCH / 1e6:.0f})")
    for d in (3, 20):
        for dtype in ("float64", "float32"):
            taken = float(in_fresh_process(__file__, "scratch", str(d), dtype))
            print(f"{d:<4}{dtype:<9}{taken / 1e6:6.1f}  {verdict(taken <= SCRATCH)}", flush=True)


def scratch(d: int, dtype: str) -> int:
    """What a product takes; libraries have been loaded and threads started by a small one."""
    import kernreg_euclidean as ke

    X, v, lengthscale = problem(d, dtype)
    kernel = ke.RBF(lengthscale=lengthscale)
    with threads(2):
        kernel.matvec(X[:1000], v[:1000])
        return scratch_bytes(lambda: kernel.matvec(X, v))


def kernels_table() -> None:
    """Every kernel of the plugin: the product against forming the matrix, which takes 200 MB."""
    import kernreg_core as kr
    from kernreg_euclidean import cards
    from kernreg_euclidean._vectors import VectorKernel

    n, d = 5000, 10
    print(f"\nEvery kernel at its defaults, n={n:,}, d={d}, one thread: CPU seconds of k(X) @ v / of k.matvec(X, v)")
    X, v, _ = problem(d, "float64", n)
    X = np.abs(X) / 3.0
    for card in cards.kernreg_cards():
        if card.kind != "kernel" or "random_features" in card.capabilities:
            continue
        name, kernel = card.name, kr.create(card.name)
        if not isinstance(kernel, VectorKernel):
            continue
        with threads(1):
            times = alternate({"matvec": lambda: kernel.matvec(X, v), "matrix": lambda: kernel(X) @ v}, 1, FEW, warm=0)  # noqa: B023
        ratio = times["matrix"] / times["matvec"]
        print(f"{name:<32}{times['matrix']:7.3f} s {times['matvec']:7.3f} s{ratio:8.2f}", flush=True)


def main() -> None:
    """Print every table; ``scratch D DTYPE`` prints one figure for :func:`memory_table`."""
    if sys.argv[1:2] == ["scratch"]:
        print(scratch(int(sys.argv[2]), sys.argv[3]))
        return
    speed_table()
    threads_table()
    memory_table()
    kernels_table()


if __name__ == "__main__":
    main()
