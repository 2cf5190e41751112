"""kernreg's solvers against scikit-learn's: seconds, accuracy and peak memory, in one run.

Run it as ``python tests/benchmarks/bench_solvers.py``. Times are medians of alternating runs in this process: CPU
time with everyone on one thread, which a busy machine disturbs least and which the verdicts are about, and wall time
with the machine's threads. Memory is the peak of a fresh process for each contender, less what importing and making
the data took, in Gram matrices.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from harness import in_fresh_process, peak_bytes, threads, verdict

REPEATS = 3


class Outcome(NamedTuple):
    """What one fit gave: its figures of merit by name."""

    figures: dict[str, float]


class Task(NamedTuple):
    """A task, its size and its contenders; the first one is kernreg's."""

    title: str
    n: int
    contenders: dict[str, Callable[[], Outcome]]
    at_most: dict[str, float]  #: kernreg's time divided by a contender's, at most
    memory_at_most: dict[str, float] = {}  #: the same of their memory
    repeats: int = REPEATS
    unit: int = 0  #: bytes that memory is counted in; a Gram matrix of size n where it is 0


def _rbf(lengthscale: float) -> Any:
    import kernreg_core as kr

    return kr.create("euclidean.rbf", lengthscale=lengthscale)


def _regression() -> Task:
    """Kernel ridge regression of a smooth function of ten coordinates."""
    from sklearn.kernel_ridge import KernelRidge as Peer

    import kernreg_core as kr

    rng = np.random.default_rng(0)
    n, width = 5000, 3.0
    X, new = rng.standard_normal((n, 10)), rng.standard_normal((1000, 10))

    def target(Z: np.ndarray) -> np.ndarray:
        return np.sin(Z[:, 0]) + Z[:, 1] * Z[:, 2] + 0.5 * np.cos(Z[:, 3])

    y, truth = target(X) + 0.1 * rng.standard_normal(n), target(new)

    def run(make: Callable[[], Any]) -> Callable[[], Outcome]:
        def fit() -> Outcome:
            model = make().fit(X, y)
            return Outcome({"test rmse": float(np.sqrt(np.mean((model.predict(new) - truth) ** 2)))})

        return fit

    return Task(
        "kernel ridge regression, n=5000, d=10, fit and predict 1000",
        n,
        {
            "kernreg solver.krr": run(lambda: kr.create("solver.krr", kernel=_rbf(width), alpha=0.1)),
            "sklearn KernelRidge": run(lambda: Peer(kernel="rbf", gamma=0.5 / width**2, alpha=0.1)),
        },
        {"sklearn KernelRidge": 1 / 1.9},
        {"sklearn KernelRidge": 0.5},
        repeats=7,
    )


def _iterations() -> Task:
    """Exact ridge regression of twenty thousand rows: iterations against factorisations."""
    from sklearn.kernel_ridge import KernelRidge as Peer

    import kernreg_core as kr

    rng = np.random.default_rng(0)
    n, width, alpha = 20_000, 3.0, 1.0
    X, new = rng.standard_normal((n, 10)), rng.standard_normal((500, 10))

    def target(Z: np.ndarray) -> np.ndarray:
        return np.sin(Z[:, 0]) + Z[:, 1] * Z[:, 2] + 0.5 * np.cos(Z[:, 3])

    y, truth = target(X) + 0.1 * rng.standard_normal(n), target(new)

    def run(make: Callable[[], Any]) -> Callable[[], Outcome]:
        def fit() -> Outcome:
            model = make().fit(X, y)
            figures = {"test rmse": float(np.sqrt(np.mean((model.predict(new) - truth) ** 2)))}
            if hasattr(model, "n_iter_"):
                figures["iterations"] = float(model.n_iter_)
            return Outcome(figures)

        return fit

    def gradients(**options: Any) -> Any:
        return kr.create("solver.krr_cg", kernel=_rbf(width), alpha=alpha, random_state=0, **options)

    contenders = {
        "kernreg solver.krr_cg": run(gradients),
        "kernreg solver.krr_cg, K in memory": run(lambda: gradients(memory_budget=8 * n * n)),
        "kernreg solver.krr": run(lambda: kr.create("solver.krr", kernel=_rbf(width), alpha=alpha)),
        "sklearn KernelRidge": run(lambda: Peer(kernel="rbf", gamma=0.5 / width**2, alpha=alpha)),
    }
    try:
        import gpytorch  # noqa: F401
    except ImportError:
        print("gpytorch is not installed: left out")
    else:
        contenders["gpytorch, CG (informational)"] = _by_gpytorch(X, y, new, truth, width, alpha)
    return Task(
        f"exact ridge regression, n={n}, d=10, fit and predict 500",
        n,
        contenders,
        {"sklearn KernelRidge": 0.5},
        {"sklearn KernelRidge": 0.1},
        repeats=1,
    )


def _by_gpytorch(X: Any, y: Any, new: Any, truth: Any, width: float, alpha: float) -> Callable[[], Outcome]:
    """The same system by GPyTorch's conjugate gradients, to the same residual."""
    import torch
    from gpytorch import settings
    from gpytorch.kernels import RBFKernel

    items, targets, test = (torch.tensor(part) for part in (X, y, new))

    def fit() -> Outcome:
        kernel = RBFKernel().double()
        kernel.lengthscale = width
        size = settings.max_preconditioner_size(100), settings.min_preconditioning_size(1)
        with torch.no_grad(), size[0], size[1], settings.cg_tolerance(1e-6), settings.max_cholesky_size(0):
            with settings.max_cg_iterations(1000):
                system = kernel(items).add_diagonal(torch.tensor([alpha], dtype=torch.float64))
                c = system.solve(targets[:, None])
            found = (kernel(test, items) @ c)[:, 0].numpy()
        return Outcome({"test rmse": float(np.sqrt(np.mean((found - truth) ** 2)))})

    return fit


def _features() -> Task:
    """Ridge regression on 1024 random features of fifty thousand rows."""
    from sklearn.kernel_approximation import RBFSampler
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline

    import kernreg_core as kr

    rng = np.random.default_rng(0)
    n, width, columns, alpha = 50_000, 3.0, 1024, 0.1
    X, new = rng.standard_normal((n, 10)), rng.standard_normal((2000, 10))

    def target(Z: np.ndarray) -> np.ndarray:
        return np.sin(Z[:, 0]) + Z[:, 1] * Z[:, 2] + 0.5 * np.cos(Z[:, 3])

    y, truth = target(X) + 0.1 * rng.standard_normal(n), target(new)

    def run(make: Callable[[], Any], dtype: Any = np.float64) -> Callable[[], Outcome]:
        def fit() -> Outcome:
            model = make().fit(X.astype(dtype, copy=False), y)
            error = model.predict(new.astype(dtype, copy=False)) - truth
            return Outcome({"test rmse": float(np.sqrt(np.mean(error**2)))})

        return fit

    def ours() -> Any:
        features = kr.create(
            "euclidean.random_fourier", kernel=_rbf(width), n_features=columns, coupling="orthogonal", rng=0
        )
        return kr.create("solver.feature_ridge", kernel=features, alpha=alpha, fit_intercept=True)

    def peer(size: int) -> Any:
        return make_pipeline(
            RBFSampler(gamma=0.5 / width**2, n_components=size, random_state=0), Ridge(alpha=alpha, solver="cholesky")
        )

    return Task(
        f"ridge regression on random features, n={n}, d=10, {columns} features, fit and predict 2000",
        n,
        {
            "kernreg solver.feature_ridge": run(ours),
            "kernreg solver.feature_ridge, float32": run(ours, np.float32),
            f"sklearn RBFSampler({columns}) + Ridge": run(lambda: peer(columns)),
            f"sklearn RBFSampler({2 * columns}) + Ridge": run(lambda: peer(2 * columns)),
        },
        {f"sklearn RBFSampler({columns}) + Ridge": 0.67},
        {f"sklearn RBFSampler({columns}) + Ridge": 0.3},
        unit=8 * n * columns,
    )


def _components() -> Task:
    """Ten components of three thousand points."""
    from sklearn.decomposition import KernelPCA as Peer

    import kernreg_core as kr

    n, q, width = 3000, 10, 3.0
    X = np.random.default_rng(0).standard_normal((n, 10))
    K = _rbf(width)(X)
    K -= K.mean(axis=0)
    K -= K.mean(axis=1)[:, None]

    def run(make: Callable[[], Any]) -> Callable[[], Outcome]:
        def fit() -> Outcome:
            model = make().fit(X)
            U = model.eigenvectors_
            residual = np.linalg.norm(K @ U - U * model.eigenvalues_, axis=0).max() / model.eigenvalues_[0]
            return Outcome({"residual": float(residual)})

        return fit

    def peer(solver: str) -> Callable[[], Outcome]:
        gamma = 0.5 / width**2
        return run(lambda: Peer(q, kernel="rbf", gamma=gamma, eigen_solver=solver, tol=1e-8, random_state=0))

    return Task(
        "kernel PCA, n=3000, d=10, 10 components, fit, tol=1e-8 (bench_unsupervised.py has more)",
        n,
        {
            "kernreg solver.kernel_pca": run(
                lambda: kr.create("solver.kernel_pca", kernel=_rbf(width), n_components=q, tol=1e-8)
            ),
            "sklearn auto": peer("auto"),
            "sklearn arpack": peer("arpack"),
            "sklearn randomized": peer("randomized"),
        },
        {"sklearn auto": 1.0, "sklearn arpack": 1.0},
    )


def _classification() -> Task:
    """Even digits against odd ones, each seen twice with noise."""
    from scipy.linalg import solve_triangular
    from scipy.special import expit
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.datasets import load_digits
    from sklearn.kernel_approximation import Nystroem
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.metrics.pairwise import rbf_kernel
    from sklearn.pipeline import make_pipeline
    from sklearn.svm import SVC

    import kernreg_core as kr

    rng = np.random.default_rng(0)
    X, y = load_digits(return_X_y=True)
    order = rng.permutation(len(X))
    X, y = X[order] / 16, y[order] % 2
    new, truth, X, y = X[:400], y[:400], X[400:], y[400:]
    X = np.vstack([X, X + 0.1 * rng.standard_normal(X.shape)])
    y, n, width = np.tile(y, 2), 2 * len(y), 2.0
    gamma = 0.5 / width**2

    def run(make: Callable[[], Any]) -> Callable[[], Outcome]:
        def fit() -> Outcome:
            p = make().fit(X, y).predict_proba(new)
            return Outcome(
                {"accuracy": float((p.argmax(axis=1) == truth).mean()), "log-loss": float(log_loss(truth, p))}
            )

        return fit

    def logistic() -> Any:
        return kr.create("solver.kernel_logistic", kernel=_rbf(width), alpha=0.1)

    def nystroem() -> Any:
        features = Nystroem(gamma=gamma, n_components=500, random_state=0)
        return make_pipeline(features, LogisticRegression(C=10.0, max_iter=1000))

    class OnFactor:
        """The same optimum by a library: K = L L^T, and the rows of L as features."""

        def fit(self, X: np.ndarray, y: np.ndarray) -> OnFactor:
            K = rbf_kernel(X, gamma=gamma)
            K.flat[:: len(K) + 1] += 1e-10  # repeated rows
            L = np.linalg.cholesky(K)
            self.model = LogisticRegression(C=10.0, tol=1e-6, max_iter=1000).fit(L, y)
            self.X, self.dual = X, solve_triangular(L, self.model.coef_[0], lower=True, trans="T")
            return self

        def predict_proba(self, new: np.ndarray) -> np.ndarray:
            p = expit(rbf_kernel(new, self.X, gamma=gamma) @ self.dual + self.model.intercept_)
            return np.column_stack([1 - p, p])

    return Task(
        f"kernel logistic classification, n={n}, d=64, fit and probabilities of 400",
        n,
        {
            "kernreg solver.kernel_logistic": run(logistic),
            "sklearn LogisticRegression on Cholesky rows": run(OnFactor),
            "sklearn SVC, calibrated in 5 folds": run(lambda: CalibratedClassifierCV(SVC(gamma=gamma, C=10.0), cv=5)),
            "sklearn LogisticRegression on Nystroem(500)": run(nystroem),
        },
        {"sklearn LogisticRegression on Cholesky rows": 1.0},
    )


TASKS: dict[str, Callable[[], Task]] = {
    "krr": _regression,
    "krr_cg": _iterations,
    "feature_ridge": _features,
    "pca": _components,
    "logistic": _classification,
}


def measure_memory(task: str, contender: str) -> None:
    """Print the growth of this process's peak during one fit, in bytes."""
    run = TASKS[task]().contenders[contender]
    before = peak_bytes()
    with threads(1):
        run()
    print(peak_bytes() - before)


def memory(task: str, contender: str) -> int:
    """Bytes at the peak of one fit in a fresh process."""
    return int(in_fresh_process(__file__, "--memory", task, contender))


def alternate(
    runs: dict[str, Callable[[], Outcome]], clock: Callable[[], float], repeats: int
) -> dict[str, tuple[float, Outcome]]:
    """Median seconds and the last outcome of each, one of each in turn, the first of several rounds thrown away."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    last: dict[str, Outcome] = {}
    for number in range(repeats + (repeats > 1)):
        for name, run in runs.items():
            start = clock()
            last[name] = run()
            if number or repeats == 1:
                seconds[name].append(clock() - start)
    return {name: (statistics.median(times), last[name]) for name, times in seconds.items()}


def report(key: str) -> bool:
    """Measure one task and print its table; whether its ratios were reached."""
    task = TASKS[key]()
    with threads(1):
        single = alternate(task.contenders, time.process_time, task.repeats)
    # with OpenBLAS 0.3.30 a peer's factorisation of so many rows on two threads ends the process
    safe = {name: run for name, run in task.contenders.items() if task.n < 16_000 or "kernreg" in name}
    several = alternate(safe, time.perf_counter, min(task.repeats, 3))
    used = {name: memory(key, name) for name in task.contenders}
    first, unit = next(iter(single)), task.unit or 8 * task.n**2
    print(f"\n{task.title}; memory in units of {unit / 1e6:.0f} MB")
    print(f"{'':<45}{'cpu s':>8}{'ratio':>7}{'wall s':>8}{'ratio':>7}{'memory':>8}{'ratio':>7}  figures of merit")
    reached = True
    for name, (seconds, outcome) in single.items():
        figures = ", ".join(f"{label} {value:.3g}" for label, value in outcome.figures.items())
        ratios = {"time": single[first][0] / seconds, "memory": used[first] / max(used[name], 1)}
        verdicts = []
        for what, limits in (("time", task.at_most), ("memory", task.memory_at_most)):
            if name in limits:
                met = ratios[what] <= limits[name]
                reached = reached and met
                verdicts.append(f"{what} at most {limits[name]:.3g}: {verdict(met)}")
        wall = several[name][0] if name in several else float("nan")
        print(
            f"{name:<45}{seconds:>8.3f}{ratios['time']:>7.2f}{wall:>8.3f}{several[first][0] / wall:>7.2f}"
            f"{used[name] / unit:>8.2f}{ratios['memory']:>7.2f}  {figures}"
            + (f"  ({'; '.join(verdicts)})" if verdicts else "")
        )
    print(f"{first}: all threads are {single[first][0] / several[first][0]:.2f} times as fast as one")
    return reached


def report_rows(sizes: tuple[int, ...] = (500_000, 5_000_000), columns: int = 200) -> bool:
    """``solver.feature_ridge`` on memory-mapped rows: how its time grows with them."""
    import tempfile

    import kernreg_core as kr

    rng, seconds = np.random.default_rng(0), []
    print(f"\nsolver.feature_ridge on {columns} random features of memory-mapped float32 rows, d=10")
    with tempfile.TemporaryDirectory() as folder, threads(1):
        for n in sizes:
            X = np.lib.format.open_memmap(f"{folder}/{n}.npy", "w+", np.float32, (n, 10))
            for start in range(0, n, 100_000):
                X[start : start + 100_000] = rng.standard_normal((100_000, 10), dtype=np.float32)
            y = np.sin(X[:, 0].astype(np.float64)) + X[:, 1] * X[:, 2]
            features = kr.create("euclidean.random_fourier", kernel=_rbf(3.0), n_features=columns, rng=0)
            model = kr.create("solver.feature_ridge", kernel=features, alpha=0.1, fit_intercept=True)
            start_time = time.process_time()
            model.fit(np.load(f"{folder}/{n}.npy", mmap_mode="r"), y)
            seconds.append(time.process_time() - start_time)
            score = model.score(X[-10000:], y[-10000:])
            print(f"n={n:>9,}: {seconds[-1]:.2f} cpu s, R2 of the last 10,000 rows {score:.4f}")
            del X
    exponent = float(np.log(seconds[1] / seconds[0]) / np.log(sizes[1] / sizes[0]))
    print(f"time grows as n^{exponent:.2f} (at most 1.1: {verdict(exponent <= 1.1)})")
    return exponent <= 1.1


def main() -> int:
    """Print every table; 1 where a ratio was missed."""
    if sys.argv[1:2] == ["--memory"]:
        measure_memory(*sys.argv[2:4])
        return 0
    warnings.simplefilter("ignore")
    print("ratio: kernreg's time divided by the contender's, less than 1: kernreg is faster")
    results = [report_rows() if key == "rows" else report(key) for key in sys.argv[1:] or [*TASKS, "rows"]]
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
