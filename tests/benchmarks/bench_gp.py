"""Gaussian processes against scikit-learn and GPyTorch: seconds, errors and likelihoods, side by side in one run.

Run it as ``python tests/benchmarks/bench_gp.py [posterior | learn | sparse | threads]``. Times are medians of
alternating runs: CPU time with everyone on one thread, wall time on two. Errors are the largest ones against a dense
solution in float64 by NumPy.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from harness import alternate, in_fresh_process, peak_bytes, threads, verdict

NOISE, VARIANCE, WIDTH = 0.1, 2.0, 3.0


def data(n: int, d: int, new: int = 500) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, noisy values of a smooth function, and new points."""
    rng = np.random.default_rng(0)
    X, points = rng.standard_normal((n, d)), rng.standard_normal((new, d))
    y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2 % d] + 0.5 * np.cos(2 * X[:, -1]) + 0.3 * rng.standard_normal(n)
    return X, y, points


def rbf(lengthscale: Any = WIDTH) -> Any:
    """The kernel of all contenders."""
    import kernreg_core as kr

    return VARIANCE * kr.create("euclidean.rbf", lengthscale=lengthscale)


# -- the posterior at fixed parameters ------------------------------------------------------


def reference(X: np.ndarray, y: np.ndarray, new: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of f, by LU in float64 on squared distances by difference."""

    def gram(A: np.ndarray, B: np.ndarray) -> np.ndarray:
        squared = sum(np.subtract.outer(A[:, k], B[:, k]) ** 2 for k in range(A.shape[1]))
        return np.asarray(VARIANCE * np.exp(-0.5 * squared / WIDTH**2))

    cross = gram(new, X)
    solved = np.linalg.solve(gram(X, X) + NOISE * np.eye(len(X)), np.column_stack([y, cross.T]))
    return cross @ solved[:, 0], np.sqrt(VARIANCE - np.einsum("ij,ji->i", cross, solved[:, 1:]))


def gpytorch_posterior(X: np.ndarray, y: np.ndarray, new: np.ndarray, exact: bool) -> Any:
    """A function that conditions GPyTorch's model and asks it for mean and deviation."""
    import contextlib

    import gpytorch
    import torch

    class Model(gpytorch.models.ExactGP):  # type: ignore[misc]
        def __init__(self, x: Any, y: Any, likelihood: Any) -> None:
            super().__init__(x, y, likelihood)
            self.mean_module = gpytorch.means.ZeroMean()
            self.covar_module = gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel())

        def forward(self, x: Any) -> Any:
            return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))

    x, values, points = (torch.as_tensor(a) for a in (X, y, new))

    def run() -> tuple[np.ndarray, np.ndarray]:
        likelihood = gpytorch.likelihoods.GaussianLikelihood().double()
        model = Model(x, values, likelihood).double()
        likelihood.noise = NOISE
        model.covar_module.outputscale = VARIANCE
        model.covar_module.base_kernel.lengthscale = WIDTH
        model.eval()
        likelihood.eval()
        off = gpytorch.settings.fast_computations(False, False, False) if exact else contextlib.nullcontext()
        with torch.no_grad(), off:
            found = model(points)
            return found.mean.numpy(), found.stddev.numpy()

    return run


def posteriors(X: np.ndarray, y: np.ndarray, new: np.ndarray, std: bool) -> dict[str, Callable[[], Any]]:
    """Contenders by name; each conditions on X, y and predicts at the new points."""
    from sklearn.gaussian_process import GaussianProcessRegressor as Peer
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel

    import kernreg_core as kr

    def ours() -> Any:
        model = kr.create("solver.gp", kernel=rbf(), noise=NOISE, optimizer=None)
        return model.fit(X, y).predict(new, return_std=std)

    def peer() -> Any:
        model = Peer(ConstantKernel(VARIANCE) * RBF(WIDTH), alpha=NOISE, optimizer=None)
        return model.fit(X, y).predict(new, return_std=std)

    return {"kernreg solver.gp": ours, "scikit-learn": peer}


def posterior() -> bool:
    """The figure: n = 2,000, 500 new points, mean and standard deviation, one core."""
    X, y, new = data(2000, 10)
    mean, std = reference(X, y, new)
    limits = {"scikit-learn": 2.0, "GPyTorch, exact": 3.5}
    reached = True
    for title, both in (("mean and standard deviation", True), ("mean alone", False)):
        runs = posteriors(X, y, new, both)
        if both:
            runs["GPyTorch, exact"] = gpytorch_posterior(X, y, new, True)
        with threads(1):
            seconds = alternate(runs, 1)
        print(f"\nposterior, n=2000, d=10, 500 new points, {title}, one thread (CPU s)")
        first = next(iter(seconds))
        for name, run in runs.items():
            found = run()
            error = np.abs((found[0] if both else found) - mean).max()
            line = f"{name:<24}{seconds[name]:>8.3f} {seconds[name] / seconds[first]:>6.2f}x  mean {error:.1e}"
            line += f"  std {np.abs(found[1] - std).max():.1e}" if both else ""
            if both and name in limits:
                good = seconds[name] >= limits[name] * seconds[first]
                reached = reached and good
                line += f"  at least {limits[name]:g}x: {verdict(good)}"
            print(line)
    default = gpytorch_posterior(X, y, new, False)
    with threads(1):
        start = time.process_time()
        found = default()
        taken = time.process_time() - start
    errors = np.abs(found[0] - mean)
    print(f"{'GPyTorch, its default':<24}{taken:>8.3f}          mean {errors.max():.1e} (of {np.abs(mean).max():.1f})")
    return reached


# -- learning -------------------------------------------------------------------------------


def learning(ard: bool) -> dict[str, Callable[[], float]]:
    """Contenders by name; each learns from the same start within the same bounds and returns the likelihood."""
    from sklearn.gaussian_process import GaussianProcessRegressor as Peer
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    import kernreg_core as kr

    X, y, _ = data(500, 5)
    width: Any = [WIDTH] * 5 if ard else WIDTH
    limits = {"lengthscale": (1e-2, 1e3), "variance": (1e-3, 1e4), "noise": (1e-5, 1e2)}

    def ours() -> float:
        model = kr.create("solver.gp", kernel=rbf(width), noise=NOISE, bounds=limits).fit(X, y)
        return float(model.log_marginal_likelihood_value_)

    def peer() -> float:
        kernel = ConstantKernel(VARIANCE, limits["variance"]) * RBF(width, limits["lengthscale"])
        model = Peer(kernel + WhiteKernel(NOISE, limits["noise"]), alpha=0.0).fit(X, y)
        return float(model.log_marginal_likelihood_value_)

    return {"kernreg solver.gp": ours, "scikit-learn": peer}


def learn() -> bool:
    """Hyper-parameters end to end, n = 500."""
    reached = True
    for title, ard in (("one length scale", False), ("one for each feature", True)):
        runs = learning(ard)
        with threads(1):
            seconds = alternate(runs, 1, repeats=3, warm=0.0)
        print(f"\nlearning by likelihood, n=500, d=5, {title}, noise and variance, one thread (CPU s)")
        first = next(iter(seconds))
        values = {name: run() for name, run in runs.items()}
        for name in runs:
            ratio = seconds[name] / seconds[first]
            print(f"{name:<24}{seconds[name]:>8.3f} {ratio:>6.2f}x  log marginal likelihood {values[name]:.4f}")
        good = values[first] >= max(values.values()) - 1e-3
        reached = reached and good
        print(f"the likelihood of the best, within 1e-3: {verdict(good)}")
    return reached


# -- many rows ------------------------------------------------------------------------------


def many_rows(rows: int, optimizer: str | None) -> Any:
    """A sparse model of so many rows."""
    import kernreg_core as kr

    X, y, _ = data(rows, 4)
    before = peak_bytes()
    model = kr.create("solver.sparse_gp", kernel=rbf(1.0), noise=NOISE, n_centers=500, optimizer=optimizer,
                      random_state=0, progress=False)  # fmt: skip
    start = time.perf_counter()
    model.fit(X, y)
    taken = time.perf_counter() - start
    mean, std = model.predict(X[:10_000], return_std=True)
    return taken, peak_bytes() - before, model, float(np.sqrt(np.mean((mean - y[:10_000]) ** 2))), float(std.mean())


def sparse() -> bool:
    """n = 100,000 and 25,000, 500 inducing points: seconds and megabytes."""
    print("\nsparse, d=4, 500 inducing points (wall s with this machine's threads, peak memory beyond the data)")
    seconds = {}
    for rows in (25_000, 100_000):
        seconds[rows], megabytes = in_fresh_process(__file__, "--sparse", str(rows), "").split(",")
        print(f"one pass, fixed parameters, n={rows:<8}{float(seconds[rows]):>8.1f} s {float(megabytes):>6.0f} MB")
    growth = np.log(float(seconds[100_000]) / float(seconds[25_000])) / np.log(4.0)
    print(f"time grows as n^{growth:.2f}")
    taken, megabytes, rmse, evaluations = in_fresh_process(__file__, "--sparse", "100000", "likelihood").split(",")
    print(
        f"learnt, n=100000 {float(taken):>8.1f} s {float(megabytes):>6.0f} MB, {evaluations} evaluations, rmse {rmse}"
    )
    return bool(growth < 1.15)


# -- threads --------------------------------------------------------------------------------


def two_threads() -> bool:
    """Wall time of one thread over that of two."""
    X, y, new = data(2000, 10)
    cases: dict[str, Callable[[], Any]] = {
        "posterior n=2000": posteriors(X, y, new, True)["kernreg solver.gp"],
        "learning n=500": learning(False)["kernreg solver.gp"],
        "sparse n=25000": lambda: many_rows(25_000, None),
    }
    reached = True
    print()
    for name, run in cases.items():
        wall = []
        for count in (1, 2):
            with threads(count):
                run()
                times = []
                for _ in range(5):
                    start = time.perf_counter()
                    run()
                    times.append(time.perf_counter() - start)
                wall.append(min(times))
        good = wall[0] >= 1.7 * wall[1]
        reached = reached and (good or name.startswith("learning"))
        print(f"{name:<20} one thread {wall[0]:.3f} s, two {wall[1]:.3f} s: {wall[0] / wall[1]:.2f}x  {verdict(good)}")
    return reached


TASKS: dict[str, Callable[[], bool]] = {
    "posterior": posterior,
    "learn": learn,
    "sparse": sparse,
    "threads": two_threads,
}


def main() -> int:
    """Print every table; 1 where a ratio was missed."""
    warnings.simplefilter("ignore")
    if sys.argv[1:2] == ["--sparse"]:
        taken, memory, model, rmse, _ = many_rows(int(sys.argv[2]), sys.argv[3] or None)
        tail = f",{rmse:.4f},{model.n_iter_}" if sys.argv[3] else ""
        print(f"{taken},{memory / 2**20}{tail}")
        return 0
    results = [TASKS[key]() for key in sys.argv[1:] or TASKS]
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
