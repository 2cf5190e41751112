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
from harness import in_fresh_process, peak_bytes, threads

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
        {"sklearn KernelRidge": 1.0},
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
        return run(lambda: Peer(q, kernel="rbf", gamma=0.5 / width**2, eigen_solver=solver, random_state=0))

    return Task(
        "kernel PCA, n=3000, d=10, 10 components, fit",
        n,
        {
            "kernreg solver.kernel_pca": run(
                lambda: kr.create("solver.kernel_pca", kernel=_rbf(width), n_components=q)
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


TASKS: dict[str, Callable[[], Task]] = {"krr": _regression, "pca": _components, "logistic": _classification}


def measure_memory(task: str, contender: str) -> None:
    """Print the growth of this process's peak during one fit, in bytes."""
    run = TASKS[task]().contenders[contender]
    before = peak_bytes()
    run()
    print(peak_bytes() - before)


def memory(task: str, contender: str, n: int) -> float:
    """Peak of one fit in a fresh process, in Gram matrices of size n."""
    return int(in_fresh_process(__file__, "--memory", task, contender)) / (8 * n * n)


def alternate(runs: dict[str, Callable[[], Outcome]], clock: Callable[[], float]) -> dict[str, tuple[float, Outcome]]:
    """Median seconds and the last outcome of each, one of each in turn, the first round thrown away."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    last: dict[str, Outcome] = {}
    for number in range(REPEATS + 1):
        for name, run in runs.items():
            start = clock()
            last[name] = run()
            if number:
                seconds[name].append(clock() - start)
    return {name: (statistics.median(times), last[name]) for name, times in seconds.items()}


def report(key: str) -> bool:
    """Measure one task and print its table; whether its ratios were reached."""
    task = TASKS[key]()
    with threads(1):
        single = alternate(task.contenders, time.process_time)
    several = alternate(task.contenders, time.perf_counter)
    first = next(iter(single))
    print(f"\n{task.title}")
    print(f"{'':<45}{'cpu s':>8}{'ratio':>7}{'wall s':>8}{'ratio':>7}{'memory':>8}  figures of merit")
    reached = True
    for name, (seconds, outcome) in single.items():
        figures = ", ".join(f"{label} {value:.3g}" for label, value in outcome.figures.items())
        ratio, limit = single[first][0] / seconds, task.at_most.get(name)
        wall = several[name][0]
        verdict = "" if limit is None else f"  (at most {limit:g}: {'ok' if ratio <= limit else 'MISSED'})"
        reached = reached and (limit is None or ratio <= limit)
        print(
            f"{name:<45}{seconds:>8.3f}{ratio:>7.2f}{wall:>8.3f}{several[first][0] / wall:>7.2f}"
            f"{memory(key, name, task.n):>8.2f}  {figures}{verdict}"
        )
    return reached


def main() -> int:
    """Print every table; 1 where a ratio was missed."""
    if sys.argv[1:2] == ["--memory"]:
        measure_memory(*sys.argv[2:4])
        return 0
    warnings.simplefilter("ignore")
    print("ratio: kernreg's time divided by the contender's, less than 1: kernreg is faster")
    results = [report(key) for key in sys.argv[1:] or TASKS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
