"""Gram matrices of kernreg-euclidean against scikit-learn, GPyTorch, SciPy and the machine's limit.

Run it as ``python tests/benchmarks/bench_gram.py``. Every figure is the median of alternating runs
in this process, on the same data, with the same number of threads for everyone: CPU time on one
thread, wall time on two. The limit is one GEMM with a contiguous second factor and one in-place exp
(for Matern one sqrt more) into a fresh matrix.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from typing import Any

import numpy as np
from harness import alternate, threads, verdict

N, D = 4000, 20
REPEATS = 9
LENGTHSCALE = 10.0**0.5  # gamma = 1 / d, scikit-learn's default

#: (kernel, peer, threads, dtype) -> the ratio to reach, and (kernel, dtype) -> the most times the limit.
TARGETS = {
    ("rbf", "sklearn", 1, "float64"): 1.7,
    ("rbf", "sklearn", 2, "float64"): 2.5,
    ("rbf", "sklearn", 1, "float32"): 2.0,
    ("rbf", "sklearn", 2, "float32"): 3.0,
    ("matern52", "sklearn", 1, "float64"): 1.8,
    ("matern52", "sklearn", 1, "float32"): 2.5,
    ("matern52", "sklearn", 2, "float64"): 3.5,
    ("matern52", "sklearn", 2, "float32"): 3.5,
}
LIMITS = {"float64": 1.4, "float32": 1.7}


def limit(X: np.ndarray, kernel: str) -> Callable[[], Any]:
    """One GEMM (norms folded in), one in-place exp, for Matern one sqrt more, into a fresh matrix."""
    Z = ((X - X.mean(0, dtype=np.float64)) / LENGTHSCALE).astype(X.dtype)
    one = np.ones(len(X))
    # half the squared distance for the square root (lifted: never below 0), minus that for exp alone
    sign, lift = (1.0, 1e-3) if kernel == "matern52" else (-1.0, 0.0)
    h = sign * 0.5 * np.einsum("ij,ij->i", Z, Z) + lift
    A = np.column_stack([-sign * Z, h, one]).astype(X.dtype)
    B = np.ascontiguousarray(np.column_stack([Z, one, h]).T, dtype=X.dtype)

    def run() -> np.ndarray:
        out = np.empty((len(X), len(X)), X.dtype)
        np.matmul(A, B, out=out)
        if kernel == "matern52":
            np.sqrt(out, out=out)
        return np.exp(out, out=out)

    return run


def peers(name: str, X: np.ndarray) -> dict[str, Callable[[], Any]]:
    """What computes the same matrix elsewhere, by library."""
    import gpytorch
    import torch
    from scipy.spatial.distance import cdist
    from sklearn.gaussian_process import kernels as gp
    from sklearn.metrics import pairwise

    tensor = torch.from_numpy(X)

    def of_gpytorch(kernel: Any) -> Callable[[], Any]:
        kernel = kernel.to(tensor.dtype)
        if kernel.has_lengthscale:
            kernel.lengthscale = LENGTHSCALE

        def run() -> Any:
            with torch.no_grad():
                return kernel(tensor).to_dense()

        return run

    def of_scipy(metric: str, then: Callable[[np.ndarray], np.ndarray]) -> Callable[[], Any]:
        return lambda: then(cdist(X, X, metric))

    def exp_in_place(K: np.ndarray, factor: float) -> np.ndarray:
        np.multiply(K, factor, out=K)
        return np.exp(K, out=K)

    def matern(r: np.ndarray) -> np.ndarray:
        r *= 5**0.5 / LENGTHSCALE
        K = np.exp(-r)
        r = 1.0 + r + r * r / 3.0
        return np.multiply(K, r, out=K)

    gamma = 0.5 / LENGTHSCALE**2
    found: dict[str, dict[str, Callable[[], Any]]] = {
        "rbf": {
            "sklearn": lambda: pairwise.rbf_kernel(X, gamma=gamma),
            "gpytorch": of_gpytorch(gpytorch.kernels.RBFKernel()),
            "scipy": of_scipy("sqeuclidean", lambda K: exp_in_place(K, -gamma)),
        },
        "matern52": {
            "sklearn": lambda: gp.Matern(LENGTHSCALE, nu=2.5)(X),
            "gpytorch": of_gpytorch(gpytorch.kernels.MaternKernel(nu=2.5)),
            "scipy": of_scipy("euclidean", matern),
        },
        "matern12": {
            "sklearn": lambda: gp.Matern(LENGTHSCALE, nu=0.5)(X),
            "gpytorch": of_gpytorch(gpytorch.kernels.MaternKernel(nu=0.5)),
            "scipy": of_scipy("euclidean", lambda K: exp_in_place(K, -1.0 / LENGTHSCALE)),
        },
        "laplace": {
            "sklearn": lambda: pairwise.laplacian_kernel(X, gamma=1.0 / LENGTHSCALE),
            "scipy": of_scipy("cityblock", lambda K: exp_in_place(K, -1.0 / LENGTHSCALE)),
        },
        "rational_quadratic": {
            "sklearn": lambda: gp.RationalQuadratic(LENGTHSCALE, 1.0)(X),
            "gpytorch": of_gpytorch(gpytorch.kernels.RQKernel()),
        },
        "linear": {
            "sklearn": lambda: pairwise.linear_kernel(X),
            "gpytorch": of_gpytorch(gpytorch.kernels.LinearKernel()),
        },
        "polynomial": {
            "sklearn": lambda: pairwise.polynomial_kernel(X),
            "gpytorch": of_gpytorch(gpytorch.kernels.PolynomialKernel(power=3)),
        },
        "cosine": {"sklearn": lambda: pairwise.cosine_similarity(X)},
        "chi_squared": {"sklearn": lambda: pairwise.chi2_kernel(np.abs(X))},
    }
    return found[name]


def kernels() -> dict[str, Any]:
    """The kernels compared, by the name used here."""
    import kernreg_euclidean as ke

    return {
        "rbf": ke.RBF(lengthscale=LENGTHSCALE),
        "matern52": ke.Matern(order=2.5, lengthscale=LENGTHSCALE),
        "matern12": ke.Matern(order=0.5, lengthscale=LENGTHSCALE),
        "laplace": ke.Laplace(lengthscale=LENGTHSCALE),
        "rational_quadratic": ke.RationalQuadratic(shape=1.0, lengthscale=LENGTHSCALE),
        "linear": ke.Linear(),
        "polynomial": ke.Polynomial(),
        "cosine": ke.Cosine(),
        "chi_squared": ke.ChiSquared(),
    }


def speed_table(names: list[str] | None = None) -> None:
    """Ratios of every peer's time to kernreg's, and of kernreg's to the limit."""
    print(f"\nGram matrices, n={N}, d={D}, fresh output; peer's time / kernreg's (more than 1: kernreg is faster)")
    print(f"{'kernel':<19}{'dtype':<9}{'threads':<8}{'ms':>7}  {'ratios'}")
    data = np.random.default_rng(0).standard_normal((N, D))
    for name, kernel in kernels().items():
        if names and name not in names:
            continue
        for dtype in ("float64", "float32"):
            X = data.astype(dtype)
            items = np.abs(X) if name == "chi_squared" else X
            K = kernel(items)
            exact = np.array_equal(K, K.T) and np.array_equal(K.diagonal(), kernel.diag(items))
            del K
            for count in (1, 2):
                print(
                    speed_row(name, kernel, X, items, count) + ("" if exact else "  NOT EXACTLY SYMMETRIC"), flush=True
                )


def speed_row(name: str, kernel: Any, X: np.ndarray, items: np.ndarray, count: int) -> str:
    """One line: kernreg's time, its ratio to the limit where there is one, the peers' ratios to it."""
    limited = name in ("rbf", "matern52")
    runs = {"kernreg": lambda: kernel(items), **peers(name, X)}
    if limited:
        runs["limit"] = limit(X, name)
    with threads(count), redirect_stderr(StringIO()):
        times = alternate(runs, count, REPEATS if limited else 7)
    own, dtype = times.pop("kernreg"), str(X.dtype)
    parts = []
    if limited:
        ratio = own / times.pop("limit")
        most = LIMITS[dtype]
        goal = f" (at most {most}: {verdict(ratio <= most)})" if count == 1 else ""
        parts.append(f"{ratio:.2f} x limit{goal}")
    for peer, seconds in times.items():
        ratio = seconds / own
        least = TARGETS.get((name, peer, count, dtype), None if peer == "sklearn" else 1.0)
        goal = "" if least is None else f" (at least {least}: {verdict(ratio >= least)})"
        parts.append(f"{peer} {ratio:.2f}{goal}")
    return f"{name:<19}{dtype:<9}{count:<8}{own * 1e3:>7.1f}  {'; '.join(parts)}"


_PEAK = """
import sys
import numpy as np
import kernreg_euclidean as ke

def status(field):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(field)) * 1024

X = np.random.default_rng(0).standard_normal((int(sys.argv[3]), 20)).astype(sys.argv[2])
k = {"rbf": ke.RBF, "matern52": ke.Matern, "laplace": ke.Laplace}[sys.argv[1]](lengthscale=3.0)
k(X[:300])
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak is counted anew from here
before = status("VmRSS")
K = k(X)
print((status("VmHWM") - before) / K.nbytes)
"""


def memory_table() -> None:
    """Peak memory of a call over the size of its output, in a fresh process each."""
    print(f"\nPeak memory over the size of the output, n={N}, two threads (at most 1.1)")
    if not os.path.exists("/proc/self/clear_refs"):
        print("not measured: this system has no /proc/self/clear_refs")
        return
    for name in ("rbf", "matern52", "laplace"):
        for dtype in ("float64", "float32"):
            command = [sys.executable, "-c", _PEAK, name, dtype, str(N)]
            environment = {**os.environ, "KERNREG_NUM_THREADS": "2"}
            done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
            ratio = float(done.stdout)
            print(f"{name:<12}{dtype:<9}{ratio:6.2f}  {verdict(ratio <= 1.1)}")


def accuracy_table() -> None:
    """Largest error of float32 values against the formula in float64, by difference, on the same float32 data."""
    from scipy.spatial.distance import cdist

    rng = np.random.default_rng(1)
    base = rng.standard_normal((1500, D))
    clusters = rng.standard_normal((8, D))
    data = {f"offset {offset:g}": (base + offset, 1e-6) for offset in (0.0, 10.0, 100.0, 1e4, 1e6)}
    for far in (100.0, 1e4):
        centres = far * LENGTHSCALE * clusters / np.linalg.norm(clusters, axis=1, keepdims=True)
        data[f"2 clusters {far:g} apart"] = (base + centres[rng.integers(0, 2, len(base))], 1e-5)
        data[f"8 clusters {far:g} apart"] = (base + centres[rng.integers(0, 8, len(base))], 1e-5)
    formulas: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "rbf": lambda X: np.exp(-0.5 * cdist(X, X, "sqeuclidean") / LENGTHSCALE**2),
        "matern52": lambda X: (lambda a: (1 + a + a * a / 3) * np.exp(-a))(5**0.5 * cdist(X, X) / LENGTHSCALE),
        "matern12": lambda X: np.exp(-cdist(X, X) / LENGTHSCALE),
        "laplace": lambda X: np.exp(-cdist(X, X, "cityblock") / LENGTHSCALE),
    }
    print("\nfloat32: largest error")
    for where, (X, most) in data.items():
        X32 = X.astype(np.float32)
        parts = []
        for name, formula in formulas.items():
            K = kernels()[name](X32)
            error = float(np.abs(K - formula(X32.astype(np.float64))).max())
            parts.append(f"{name} {error:.1e} {verdict(error < most and K.max() <= 1)}")
        print(f"{where:<24}(below {most:g})  {'; '.join(parts)}")


def overhead_table() -> None:
    """What kr.gram adds to a direct call."""
    import kernreg_core as kr

    X = np.random.default_rng(0).standard_normal((N, D))
    kernel = kernels()["rbf"]
    print(f"\nkr.gram over a direct call, rbf, n={N} (at most 1.05)")
    for count in (1, 2):
        with threads(count):
            times = alternate({"direct": lambda: kernel(X), "gram": lambda: kr.gram(kernel, X)}, count, 15)
        ratio = times["gram"] / times["direct"]
        print(f"threads {count}: {ratio:.3f}  {verdict(ratio <= 1.05)}")


def main() -> None:
    """Print every table."""
    speed_table()
    memory_table()
    accuracy_table()
    overhead_table()


if __name__ == "__main__":
    main()
