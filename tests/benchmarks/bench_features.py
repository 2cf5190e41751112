"""Random features of kernreg-euclidean against scikit-learn's RBFSampler and PolynomialCountSketch.

Run it as ``python tests/benchmarks/bench_features.py``. Times are medians of alternating runs in this process, on the
same data with the same number of threads for everyone: CPU time on one thread, wall time on two. Errors are relative
Frobenius errors of the estimated Gram matrix of 1,000 points, means over seeds. The limit is what NumPy
alone takes: the product, its cosines and sines, into a fresh matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from harness import alternate, threads, verdict
from sklearn.kernel_approximation import PolynomialCountSketch, RBFSampler

import kernreg_euclidean as ke

N, D, WIDTH = 10_000, 16, 1024
LENGTHSCALE = D**0.5  # squared distances are then 2 on average: values of 0.37
GAMMA = 0.5 / LENGTHSCALE**2
REPEATS = 9
#: Ratio to RBFSampler on one thread, and the stretch, by dtype; share of its error; gain of a second core.
SPEED = {"float64": (1.7, 3.0), "float32": (1.9, 1.9)}
ERROR, CORES = 0.55, 1.7
COUPLINGS = ("iid", "orthogonal", "simplex")


def points(n: int, d: int, dtype: str) -> np.ndarray:
    """Standard normal points."""
    return np.random.default_rng(0).standard_normal((n, d)).astype(dtype)


def fourier(coupling: str, seed: int = 0, lengthscale: float = LENGTHSCALE) -> ke.RandomFourier:
    """Fourier features of the Gaussian kernel."""
    return ke.RandomFourier(kernel=ke.RBF(lengthscale=lengthscale), n_features=WIDTH, coupling=coupling, rng=seed)


def limit(X: np.ndarray) -> Callable[[], Any]:
    """A product, its cosines and its sines, in blocks that stay in cache, into a fresh matrix."""
    W = np.ascontiguousarray(np.random.default_rng(0).standard_normal((X.shape[1], WIDTH // 2)), dtype=X.dtype)
    phases = np.empty((64, WIDTH // 2), X.dtype)

    def run() -> np.ndarray:
        out = np.empty((len(X), WIDTH), X.dtype)
        for start in range(0, len(X), 64):
            rows = out[start : start + 64]
            part = phases[: len(rows)]
            np.matmul(X[start : start + 64], W, out=part)
            np.cos(part, out=rows[:, : WIDTH // 2])
            np.sin(part, out=rows[:, WIDTH // 2 :])
        return out

    return run


def fourier_times() -> bool:
    """Milliseconds of Fourier features by dtype, coupling and threads."""
    reached = True
    for dtype, (least, stretch) in SPEED.items():
        X = points(N, D, dtype)
        sampler = RBFSampler(gamma=GAMMA, n_components=WIDTH, random_state=0).fit(X)
        runs: dict[str, Callable[[], Any]] = {"RBFSampler": lambda X=X, s=sampler: s.transform(X), "limit": limit(X)}
        for coupling in COUPLINGS:
            kernel = fourier(coupling)
            kernel.features(X[:2])  # frequencies are drawn once
            runs[coupling] = lambda X=X, kernel=kernel: kernel.features(X)
        times = {}
        for count in (1, 2):
            with threads(count):
                times[count] = alternate(runs, count, REPEATS)
        print(f"\n{dtype}, n={N:,} d={D} {WIDTH:,} features: milliseconds on one core, on two, ratio to RBFSampler")
        for name in runs:
            one, two = times[1][name], times[2][name]
            ratio = times[1]["RBFSampler"] / one
            line = f"  {name:<12}{1e3 * one:>8.1f}{1e3 * two:>8.1f}{ratio:>7.2f}"
            if name == "orthogonal":
                fast, cores = ratio >= least, one / two >= CORES
                reached = reached and fast and cores
                line += f"  at least {least:g}: {verdict(fast)}; stretch {stretch:g}: {verdict(ratio >= stretch)}"
                line += f"; two cores {one / two:.2f} of {CORES:g}: {verdict(cores)}"
            print(line)
    return reached


def fourier_errors(seeds: int = 40) -> bool:
    """Relative Frobenius errors on 1,000 points: at the length scale of the timings, and at a shorter one."""
    X = points(1000, D, "float64")
    reached = True
    for lengthscale in (LENGTHSCALE, LENGTHSCALE / 2**0.5):
        K = ke.RBF(lengthscale=lengthscale)(X)

        def error(features: Callable[[int], np.ndarray], K: np.ndarray = K) -> float:
            found = []
            for seed in range(seeds):
                F = features(seed)
                found.append(np.linalg.norm(F @ F.T - K))
            return float(np.mean(found) / np.linalg.norm(K))

        gamma = 0.5 / lengthscale**2
        peer = error(lambda s, g=gamma: RBFSampler(gamma=g, n_components=WIDTH, random_state=s).fit(X).transform(X))
        print(f"\nrelative error, 1,000 points, {seeds} seeds, length scale {lengthscale:.3g}: RBFSampler {peer:.4f}")
        shares = {}
        for coupling in (*COUPLINGS, "structured"):
            own = error(lambda s, c=coupling, scale=lengthscale: fourier(c, s, scale).features(X))
            shares[coupling] = own / peer
            print(f"  {coupling:<12}{own:>8.4f}{shares[coupling]:>7.2f}")
        if lengthscale == LENGTHSCALE:
            best = min(shares["orthogonal"], shares["simplex"])
            reached = round(best, 2) <= ERROR
            print(f"  orthogonal or simplex: {best:.2f} of its error, at most {ERROR:g}: {verdict(reached)}")
    return reached


def structured_times() -> None:
    """Structured against dense orthogonal frequencies, where rows are long."""
    print("\nfloat32, n=2,000, as many features as columns, one core: milliseconds dense, structured, ratio")
    for d in (256, 1024, 4096):
        X = points(2000, d, "float32")
        runs = {}
        for coupling in ("iid", "structured"):
            kernel = ke.RandomFourier(n_features=2 * d, coupling=coupling, rng=0)
            kernel.features(X[:2])
            runs[coupling] = lambda X=X, kernel=kernel: kernel.features(X)
        with threads(1):
            found = alternate(runs, 1, 5)
        dense, fast = (1e3 * found[name] for name in ("iid", "structured"))
        print(f"  d={d:<6}{dense:>8.1f}{fast:>8.1f}{dense / fast:>7.2f}")


def sketch_times() -> None:
    """Tensor sketch against scikit-learn's, of degree 3."""
    from scipy import sparse

    print(f"\ntensor sketch of degree 3, {WIDTH:,} features, one core: milliseconds scikit-learn, kernreg, ratio")
    wide = sparse.random_array((2000, 20_000), density=2e-3, format="csr", rng=np.random.default_rng(0))
    cases = {f"n=4,000 d={d} {dtype}": points(4000, d, dtype) for d in (16, 256) for dtype in ("float64", "float32")}
    for title, X in {**cases, "n=2,000 d=20,000 CSR": wide}.items():
        gamma = 1.0 / X.shape[1]
        peer = PolynomialCountSketch(gamma=gamma, degree=3, coef0=1, n_components=WIDTH, random_state=0).fit(X)
        kernel = ke.TensorSketch(degree=3, n_features=WIDTH, rng=0)
        kernel.features(X[:2])
        runs = {
            "scikit-learn": lambda X=X, peer=peer: peer.transform(X),
            "kernreg": lambda X=X, kernel=kernel: kernel.features(X),
        }
        with threads(1):
            found = alternate(runs, 1, 5)
        theirs, ours = 1e3 * found["scikit-learn"], 1e3 * found["kernreg"]
        print(f"  {title:<26}{theirs:>8.1f}{ours:>8.1f}{theirs / ours:>7.2f}")


def main() -> int:
    """Print every table; 1 where a figure was missed."""
    results = [fourier_times(), fourier_errors()]
    structured_times()
    sketch_times()
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
