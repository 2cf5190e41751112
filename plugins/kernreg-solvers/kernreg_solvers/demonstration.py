"""What ``kernreg demo`` shows of this plugin, on data that are bundled with scikit-learn, baselines beside."""

from __future__ import annotations

import math
import textwrap
import time
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

import kernreg_core as kr
from kernreg_core.demo import Demo, Report, median_distance, stratified_folds
from kernreg_core.errors import KernregWarning, UnknownNameError

#: Half of the width of a 95 % interval, in standard deviations.
_HALF = 1.959964


def demo() -> list[Demo]:
    """Regression, Gaussian processes, many rows, no labels, and the choice of a kernel."""
    return [RegressionDemo(), ProcessDemo(), ManyRowsDemo(), UnlabelledDemo(), SuggestionDemo()]


class RegressionDemo(Demo):
    """Cross-validated R2 of kernel ridge regression on scikit-learn's diabetes data."""

    def __init__(self) -> None:
        super().__init__("Kernel ridge regression: diabetes progression from ten measurements (442 patients)")

    def run(self, report: Report) -> None:
        """Fit, cross-validate, print the table and record it."""
        from sklearn.compose import TransformedTargetRegressor
        from sklearn.datasets import load_diabetes
        from sklearn.dummy import DummyRegressor
        from sklearn.linear_model import RidgeCV
        from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
        from sklearn.pipeline import Pipeline, make_pipeline
        from sklearn.preprocessing import StandardScaler

        X, y = load_diabetes(return_X_y=True)
        # scaled without looking at y; folds are shuffled alike for every row of the table
        width = median_distance(StandardScaler().fit_transform(X), report.seed)
        candidates: list[tuple[str, Any, dict[str, list[Any]]]] = [("linear", None, {})]
        for name in ("euclidean.rbf", "euclidean.laplace"):
            try:
                kernel = kr.create(name, lengthscale=width)
            except UnknownNameError as error:
                report.line(f"  {name} is left out: {str(error).splitlines()[0]}")
                continue
            candidates.append((name, kernel, {"krr__kernel__lengthscale": [width, 2 * width]}))
        folds = KFold(5, shuffle=True, random_state=report.seed)
        rows = []
        for label, kernel, grid in candidates:
            model = kr.create("solver.krr", kernel=kernel, fit_intercept=True)
            steps = Pipeline([("scale", StandardScaler()), ("krr", model)])
            search = GridSearchCV(steps, {"krr__alpha": [1.0, 10.0, 100.0], **grid}, cv=3)
            rows.append(_row(label, cross_val_score(search, X, y, cv=folds), False))
        ridge = TransformedTargetRegressor(make_pipeline(StandardScaler(), RidgeCV(alphas=[1.0, 10.0, 100.0])))
        for label, baseline in (("ridge on the measurements", ridge), ("mean", DummyRegressor())):
            rows.append(_row(label, cross_val_score(baseline, X, y, cv=folds), True))
        report.line("  5 folds; penalty and length scale by a grid search inside each training part")
        _print(report, rows, ("r2", "std"), ("kernel or baseline", "R2", "std"))
        report.record(items=len(y), folds=5, seed=report.seed, results=rows)


def _row(label: str, scores: np.ndarray, baseline: bool) -> dict[str, Any]:
    return {"label": label, "baseline": baseline, "r2": float(scores.mean()), "std": float(scores.std())}


class ProcessDemo(Demo):
    """Gaussian processes whose parameters are learnt: R2, and how many new targets their intervals hold."""

    def __init__(self, folds: int = 5) -> None:
        super().__init__("Gaussian process regression, parameters learnt: the same patients, with intervals")
        self.folds = folds

    def run(self, report: Report) -> None:
        """Fit in each fold, print the table and record it."""
        from sklearn.datasets import load_diabetes
        from sklearn.linear_model import BayesianRidge
        from sklearn.model_selection import KFold
        from sklearn.preprocessing import StandardScaler

        X, y = load_diabetes(return_X_y=True)
        kernels = {
            "euclidean.rbf": 1.0 * kr.create("euclidean.rbf", lengthscale=3.0),
            "euclidean.matern": 1.0 * kr.create("euclidean.matern", lengthscale=3.0, order=1.5),
        }
        models: dict[str, Any] = {
            name: kr.create("solver.gp", kernel=kernel, noise=0.5) for name, kernel in kernels.items()
        }
        models["Bayesian ridge regression"] = BayesianRidge()
        found: dict[str, list[tuple[float, ...]]] = {label: [] for label in models}
        for train, test in KFold(self.folds, shuffle=True, random_state=report.seed).split(X):
            items, target = StandardScaler().fit(X[train]), StandardScaler().fit(y[train, None])
            new, truth = items.transform(X[test]), target.transform(y[test, None])[:, 0]
            for label, model in models.items():
                start = time.perf_counter()
                model.fit(items.transform(X[train]), target.transform(y[train, None])[:, 0])
                mean, std = model.predict(new, return_std=True)
                if label in kernels:  # its interval is that of the function: the noise comes on top
                    std = np.sqrt(std**2 + model.noise_)
                inside = np.abs(truth - mean) <= _HALF * std
                r2 = 1.0 - np.mean((truth - mean) ** 2) / truth.var()
                found[label].append((r2, inside.mean(), 2 * _HALF * std.mean(), time.perf_counter() - start))
        rows = [
            {"label": label, "baseline": label not in kernels, **dict(zip(_FIGURES, np.mean(v, axis=0), strict=True))}
            for label, v in found.items()
        ]
        report.line(f"  {self.folds} folds; length scale, variance and noise by marginal likelihood in each")
        _print(report, rows, _FIGURES, ("kernel or baseline", "R2", "in 95 % interval", "its width", "s for each fold"))
        report.record(items=len(y), folds=self.folds, seed=report.seed, results=_plain(rows))


_FIGURES = ("r2", "coverage", "width", "seconds")


class ManyRowsDemo(Demo):
    """Solvers for many rows on digits moved by up to one pixel, with their accuracies and seconds."""

    def __init__(self, centers: int = 500, moves: int = 1) -> None:
        super().__init__("Many rows: handwritten digits, each moved by up to one pixel")
        self.centers = centers
        self.moves = moves

    def run(self, report: Report) -> None:
        """Fit each, print the table and why auto_krr chose as it did."""
        from sklearn.datasets import load_digits
        from sklearn.linear_model import RidgeClassifier

        X, y = load_digits(return_X_y=True)
        train, test = next(stratified_folds(y, 4, report.seed))
        (items, labels), (new, truth) = (_moved(X[part] / 16, y[part], self.moves) for part in (train, test))
        rbf = kr.create("euclidean.rbf", lengthscale=1.5)
        waves = kr.create("euclidean.random_fourier", kernel=rbf, coupling="orthogonal", rng=report.seed)
        few: dict[str, Any] = {"n_centers": self.centers, "random_state": report.seed}
        made: dict[str, Any] = {
            "solver.falkon": kr.create("solver.falkon", kernel=rbf, alpha=0.1, tol=1e-3, **few),
            "solver.logistic_falkon": kr.create("solver.logistic_falkon", kernel=rbf, alpha=0.1, tol=1e-2, **few),
            "solver.eigenpro3": kr.create("solver.eigenpro3", kernel=rbf, n_epochs=5, **few),
            "solver.feature_ridge": kr.create("solver.feature_ridge", kernel=waves, alpha=0.1),
            "solver.auto_krr": kr.create(
                "solver.auto_krr", kernel=rbf, alpha=0.1, time_budget=3.0, random_state=report.seed
            ),
            "linear": RidgeClassifier(),
        }
        plain = kr.create("solver.krr", kernel=rbf, alpha=0.1)
        rows = [self._tried(report, "solver.krr, unmoved digits alone", plain, X[train] / 16, y[train], new, truth)]
        rows += [self._tried(report, name, model, items, labels, new, truth) for name, model in made.items()]
        report.line(f"  {len(items):,} items to fit, {len(new):,} to test; {self.centers:,} centres")
        _print(report, rows, ("accuracy", "seconds"), ("solver or baseline", "accuracy", "fit s"))
        reason = f"solver.auto_krr: {made['solver.auto_krr'].reason_}"
        for line in textwrap.wrap(reason, 98):
            report.line(f"  {line}")
        report.record(items=len(items), seed=report.seed, results=rows, reason=reason)

    def _tried(
        self, report: Report, label: str, model: Any, X: np.ndarray, y: np.ndarray, new: np.ndarray, truth: np.ndarray
    ) -> dict[str, Any]:
        """Regression on a column for each class, where the model is no classifier."""
        report.status(f"{label}: {len(X):,} items")
        classifies = hasattr(model, "decision_function")
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", KernregWarning)  # of auto_krr, on a busy machine: its reason says it too
            model.fit(X, y if classifies else np.eye(10)[y])
        seconds = time.perf_counter() - start
        found = model.predict(new) if classifies else model.predict(new).argmax(axis=1)
        return {
            "label": label,
            "baseline": label == "linear",
            "accuracy": float(np.mean(found == truth)),
            "seconds": seconds,
        }


def _moved(X: np.ndarray, y: np.ndarray, by: int) -> tuple[np.ndarray, np.ndarray]:
    """Every image at every place up to `by` pixels away in each direction; what comes in is empty."""
    images, steps = X.reshape(-1, 8, 8), range(2 * by + 1)
    wide = np.pad(images, ((0, 0), (by, by), (by, by)))
    moved = [wide[:, row : row + 8, column : column + 8].reshape(-1, 64) for row in steps for column in steps]
    return np.vstack(moved), np.tile(y, len(moved))


class UnlabelledDemo(Demo):
    """Components, clusters and novelty of digits, scikit-learn's beside them."""

    def __init__(self, items: int = 1797) -> None:
        super().__init__("Without labels: handwritten digits")
        self.items = items

    def run(self, report: Report) -> None:
        """Fit each, print two tables and record them."""
        from sklearn.datasets import load_digits

        X, y = load_digits(return_X_y=True)
        X, y = X[: self.items] / 16, y[: self.items]
        rbf = kr.create("euclidean.rbf", lengthscale=2.0)
        self._components(report, X, rbf)
        rows = [*_clusters(X, y, rbf, report.seed), *_novelty(X, y, rbf, report.seed)]
        _print(report, rows, ("score", "seconds"), ("solver or baseline", "score", "s"))
        report.record(items=len(y), seed=report.seed, results=rows)

    def _components(self, report: Report, X: np.ndarray, rbf: Any) -> None:
        from sklearn.decomposition import KernelPCA

        ours = kr.create("solver.kernel_pca", kernel=rbf, n_components=10, tol=1e-8)
        options = {"kernel": "rbf", "gamma": 0.5 / rbf.lengthscale**2, "random_state": report.seed}
        whole, few = (KernelPCA(10, eigen_solver=solver, **options) for solver in ("auto", "arpack"))
        seconds = [_seconds(model, X) for model in (ours, whole, few)]
        apart = float(np.abs(few.eigenvalues_ / ours.eigenvalues_ - 1.0).max())
        report.line(
            f"  ten kernel principal components: solver.kernel_pca {seconds[0]:.2f} s; scikit-learn's KernelPCA "
            f"{seconds[1]:.2f} s,"
        )
        report.line(f"  with its arpack {seconds[2]:.2f} s; eigenvalues are equal to {apart:.0e}")
        report.record(components=dict(zip(("seconds", "scikit_learn", "arpack"), seconds, strict=True), apart=apart))


def _seconds(model: Any, *data: Any) -> float:
    """What a fit takes."""
    start = time.perf_counter()
    model.fit(*data)
    return time.perf_counter() - start


def _clusters(X: np.ndarray, y: np.ndarray, rbf: Any, seed: int) -> Iterable[dict[str, Any]]:
    """Agreement of ten clusters with the classes."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score

    models = {
        "solver.kernel_kmeans": kr.create(
            "solver.kernel_kmeans", n_clusters=10, kernel=rbf, n_init=5, random_state=seed
        ),
        "solver.spectral_clustering": kr.create(
            "solver.spectral_clustering", n_clusters=10, kernel=rbf, random_state=seed
        ),
        "scikit-learn's KMeans": KMeans(10, n_init=5, random_state=seed),
    }
    for label, model in models.items():
        seconds = _seconds(model, X)
        score = float(adjusted_rand_score(y, model.labels_))
        yield {"label": f"clusters, adjusted Rand index: {label}", "score": score, "seconds": seconds}


def _novelty(X: np.ndarray, y: np.ndarray, rbf: Any, seed: int) -> Iterable[dict[str, Any]]:
    """Area under the curve of telling the other digits from one, of which half are learnt; the mean of all ten."""
    from sklearn.ensemble import IsolationForest
    from sklearn.metrics import roc_auc_score

    models = {
        "solver.novelty": kr.create("solver.novelty", kernel=rbf, n_components=20, random_state=seed),
        "solver.one_class": kr.create("solver.one_class", kernel=rbf, nu=0.1),
        "scikit-learn's IsolationForest": IsolationForest(random_state=seed),
    }
    for label, model in models.items():
        scores, start = [], time.perf_counter()
        for digit in range(10):
            learnt = np.flatnonzero(y == digit)
            learnt = learnt[: len(learnt) // 2]
            new = np.setdiff1d(np.arange(len(y)), learnt)
            model.fit(X[learnt])
            scores.append(roc_auc_score(y[new] == digit, model.score_samples(X[new])))
        seconds = time.perf_counter() - start
        yield {"label": f"novelty, area under the curve: {label}", "score": float(np.mean(scores)), "seconds": seconds}


class SuggestionDemo(Demo):
    """``solver.suggest`` on a classification task: the best kernels and the baselines."""

    def __init__(self, items: int = 569, best: int = 4) -> None:
        super().__init__("Which kernel? solver.suggest on breast cancer, 30 measurements of cells")
        self.items = items
        self.best = best

    def run(self, report: Report) -> None:
        """Let it try, print the best and the baselines."""
        from sklearn.datasets import load_breast_cancer
        from sklearn.preprocessing import StandardScaler

        X, y = load_breast_cancer(return_X_y=True)
        X, y = StandardScaler().fit_transform(X[: self.items]), y[: self.items]
        model = kr.create("solver.suggest", time_budget=10.0, refine=False, random_state=report.seed, progress=False)
        seconds = _seconds(model, X, y)
        tried = [row for row in model.results_ if not row["error"]]
        best = [row for row in tried if not row["baseline"]][: self.best]
        rows = [row for row in tried if row["baseline"] or row in best]
        report.line(
            f"  {len(tried)} kernels and baselines, tried in {seconds:.1f} s in {model.cv} folds; "
            f"the best {len(best)}, and the baselines"
        )
        _print(report, rows, ("score", "std"), ("kernel or baseline", "accuracy", "std"))
        results = [{"label": row["label"], "baseline": row["baseline"], "score": row["score"]} for row in rows]
        report.record(items=len(y), seed=report.seed, best=model.best_, tried=len(tried), results=_plain(results))


def _print(report: Report, rows: Sequence[dict[str, Any]], keys: Sequence[str], heads: Sequence[str]) -> None:
    cells = [[row["label"], *(_cell(row[key]) for key in keys)] for row in rows]
    report.table(heads, cells)


def _cell(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "-"


def _plain(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """NumPy's numbers as Python's, for JSON."""
    return [{key: float(v) if isinstance(v, np.floating) else v for key, v in row.items()} for row in rows]
