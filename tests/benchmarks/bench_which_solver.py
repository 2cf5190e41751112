"""Which solver when, measured: the tables of ``docs/which_solver.md``, printed as Markdown.

Run it as ``python tests/benchmarks/bench_which_solver.py``. One core. Each cell is one fresh process: CPU seconds of
fit and of predictions for 2,000 new rows (where they take less than two seconds, the median of three), the growth of
the process's peak memory beside libraries and data, and the error of these predictions. All ridge solvers take one
kernel and one penalty: those of the least leave-one-out error on 2,000 other rows, found here first.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from harness import in_fresh_process, scratch_bytes, threads

#: Rows to train on, columns, and rows that errors are measured on.
SIZES, COLUMNS, NEW = (2_000, 20_000, 100_000), 4, 2_000
#: Standard deviation of the noise; steepness of the classes' logit.
NOISE, STEEPNESS = 0.5, 4.0
#: Runs that take less are repeated.
SHORT = 2.0


class Data(NamedTuple):
    """Rows and targets to train on, new rows and what is asked of them."""

    X: np.ndarray
    y: np.ndarray
    new: np.ndarray
    truth: np.ndarray


class Setting(NamedTuple):
    """The kernel's length scale, the ridge penalty, and that of classification."""

    lengthscale: float
    alpha: float
    logistic_alpha: float


class Contender(NamedTuple):
    """A solver at one setting, and the largest size that it is run at."""

    make: Callable[[Setting], Any]
    most: int = SIZES[-1]


def target(X: np.ndarray) -> np.ndarray:
    """sin(6 x_1) + 2 |x_2 - x_3| + x_2 cos(5 x_4) - 4/3: of mean 0, with a kink."""
    first, second, third, fourth = X.T
    return np.asarray(np.sin(6 * first) + 2 * np.abs(second - third) + second * np.cos(5 * fourth) - 4 / 3)


def drawn(n: int, task: str, seed: int = 0) -> Data:
    """Rows uniform in [-1, 1]; the target with normal noise, or classes with the logit STEEPNESS * target."""
    rng = np.random.default_rng(seed)
    X, new = rng.uniform(-1, 1, (n, COLUMNS)), rng.uniform(-1, 1, (NEW, COLUMNS))
    if task == "regression":
        return Data(X, target(X) + NOISE * rng.standard_normal(n), new, target(new))
    labels = [(rng.random(len(Z)) < 1 / (1 + np.exp(-STEEPNESS * target(Z)))).astype(int) for Z in (X, new)]
    return Data(X, labels[0], new, labels[1])


def rbf(setting: Setting) -> Any:
    """The Gaussian kernel."""
    import kernreg_core as kr

    return kr.create("euclidean.rbf", lengthscale=setting.lengthscale)


def _solver(name: str, **options: Any) -> Callable[[Setting], Any]:
    """A ridge solver with the kernel and the penalty of the setting."""

    def make(setting: Setting) -> Any:
        import kernreg_core as kr

        return kr.create(name, kernel=rbf(setting), **{"alpha": setting.alpha, **options})

    return make


def _descent(name: str, **options: Any) -> Callable[[Setting], Any]:
    """One without a penalty."""

    def make(setting: Setting) -> Any:
        import kernreg_core as kr

        return kr.create(name, kernel=rbf(setting), random_state=0, **options)

    return make


def _features(setting: Setting) -> Any:
    import kernreg_core as kr

    waves = kr.create("euclidean.random_fourier", kernel=rbf(setting), n_features=1024, coupling="orthogonal", rng=0)
    return kr.create("solver.feature_ridge", kernel=waves, alpha=setting.alpha)


def _process(name: str, **options: Any) -> Callable[[Setting], Any]:
    def make(setting: Setting) -> Any:
        import kernreg_core as kr

        kernel = (NOISE**2 / setting.alpha) * rbf(setting)  # the ridge regression is then the posterior mean
        return kr.create(name, kernel=kernel, noise=NOISE**2, random_state=0, **options)

    return make


def _learnt(setting: Setting) -> Any:
    import kernreg_core as kr

    return kr.create("solver.gp", kernel=1.0 * kr.create("euclidean.rbf"), noise=1.0)


def _logistic(name: str, **options: Any) -> Callable[[Setting], Any]:
    def make(setting: Setting) -> Any:
        import kernreg_core as kr

        return kr.create(name, kernel=rbf(setting), alpha=setting.logistic_alpha, **options)

    return make


def _linear(setting: Setting) -> Any:
    from sklearn.linear_model import Ridge

    return Ridge()


def _linear_classes(setting: Setting) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression()


TABLES: dict[str, dict[str, Contender]] = {
    "regression": {
        "`solver.krr`": Contender(_solver("solver.krr"), 20_000),
        "`solver.krr_cg`": Contender(_solver("solver.krr_cg", random_state=0), 20_000),
        "`solver.falkon`": Contender(_solver("solver.falkon", random_state=0)),
        "`solver.eigenpro2`, early stopping": Contender(_descent("solver.eigenpro2", early_stopping=True), 20_000),
        "`solver.eigenpro3`": Contender(_descent("solver.eigenpro3")),
        "`solver.feature_ridge`, 1,024 features": Contender(_features),
        "`solver.gp`, parameters learnt": Contender(_learnt, 2_000),
        "`solver.gp`, parameters given": Contender(_process("solver.gp", optimizer=None), 2_000),
        "`solver.sparse_gp`, parameters given": Contender(_process("solver.sparse_gp", optimizer=None)),
        "`solver.auto_krr`": Contender(_solver("solver.auto_krr", random_state=0)),
        "scikit-learn's `Ridge`, linear": Contender(_linear),
    },
    "classification": {
        "`solver.kernel_logistic`": Contender(_logistic("solver.kernel_logistic", tol=1e-2), 2_000),
        "`solver.logistic_falkon`": Contender(_logistic("solver.logistic_falkon", random_state=0)),
        "scikit-learn's `LogisticRegression`, linear": Contender(_linear_classes),
    },
}


# -- one cell -------------------------------------------------------------------------------


def measure(task: str, name: str, n: int, setting: Setting) -> None:
    """Print seconds, bytes and error of one solver as JSON, and which one was chosen where one was."""
    make, data = TABLES[task][name].make, drawn(n, task)
    found: dict[str, Any] = {}
    seconds: list[float] = []

    def run() -> None:
        start = time.process_time()
        model = make(setting).fit(data.X, data.y)
        answer = model.predict_proba(data.new) if task == "classification" else model.predict(data.new)
        seconds.append(time.process_time() - start)
        found["error"] = error(task, answer, data)
        found["note"] = str(getattr(model, "choice_", "")).removeprefix("solver.")

    with threads(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        few = drawn(300, task)
        make(setting).fit(few.X, few.y).predict(few.new)  # imports, and what is measured once
        found["bytes"] = scratch_bytes(run)
        while len(seconds) < 3 and seconds[0] < SHORT:
            run()
    print(json.dumps({**found, "seconds": statistics.median(seconds)}, separators=(",", ":")))


def error(task: str, answer: np.ndarray, data: Data) -> list[float]:
    """Root mean squared error against the target without noise; or log loss and the share of errors."""
    if task == "regression":
        return [float(np.sqrt(np.mean((answer - data.truth) ** 2)))]
    likelihood = answer[np.arange(len(answer)), data.truth]
    return [float(-np.mean(np.log(likelihood))), float(np.mean(answer.argmax(axis=1) != data.truth))]


# -- the setting ----------------------------------------------------------------------------


def tuned() -> Setting:
    """Kernel and penalty by the leave-one-out error of 2,000 rows; that of classification by the loss of 2,000 new."""
    import kernreg_core as kr

    data, classes = (drawn(2_000, task, seed=1) for task in TABLES)
    models = [
        kr.create("solver.krr", kernel=kr.create("euclidean.rbf", lengthscale=width), alpha="loo").fit(data.X, data.y)
        for width in (0.35, 0.5, 0.7, 1.0, 1.4)
    ]
    best = min(models, key=lambda model: float(model.loo_error_))
    setting = Setting(best.kernel_.lengthscale, float(best.alpha_), 1.0)

    def loss(alpha: float) -> float:
        model = TABLES["classification"]["`solver.kernel_logistic`"].make(setting._replace(logistic_alpha=alpha))
        return error("classification", model.fit(classes.X, classes.y).predict_proba(classes.new), classes)[0]

    return setting._replace(logistic_alpha=min((0.003, 0.01, 0.03, 0.1, 0.3), key=loss))


# -- the tables -----------------------------------------------------------------------------


def cell(task: str, name: str, n: int, setting: Setting) -> str:
    """Seconds, memory and error, or a dash where the solver is not run."""
    if n > TABLES[task][name].most:
        return "-"
    found = json.loads(in_fresh_process(__file__, "--cell", task, name, str(n), json.dumps(setting)))
    size = found["bytes"] / 1e6
    parts = [_short(found["seconds"]) + " s", f"{size:,.0f} MB" if size < 1000 else f"{size / 1000:.1f} GB"]
    parts.append(" / ".join(f"{value:.3f}" for value in found["error"]))
    return ", ".join(parts) + (f" ({found['note']})" if found["note"] else "")


def _short(seconds: float) -> str:
    return f"{seconds:.2f}" if seconds < 10 else f"{seconds:.0f}"


def main() -> None:
    """Tune, then print both tables."""
    begun = time.perf_counter()
    with threads(1):
        setting = tuned()
    print(
        f"length scale {setting.lengthscale:g}, alpha {setting.alpha:.2g}; of classification {setting.logistic_alpha:g}"
    )
    chosen = sys.argv[1:] or TABLES
    for task in chosen:
        print("\n| " + " | ".join([task, *(f"n = {n:,}" for n in SIZES)]) + " |", flush=True)
        print("| " + " | ".join(["---"] * (1 + len(SIZES))) + " |")
        for name in TABLES[task]:
            cells = [cell(task, name, n, setting) for n in SIZES]
            print("| " + " | ".join([name, *cells]) + " |", flush=True)
    print(f"\n{time.perf_counter() - begun:.0f} s in all")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--cell"]:
        measure(sys.argv[2], sys.argv[3], int(sys.argv[4]), Setting(*json.loads(sys.argv[5])))
    else:
        main()
