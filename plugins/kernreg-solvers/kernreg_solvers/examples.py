"""A small working example of each solver, see ``Card.example``, and what ``kernreg demo`` runs for this plugin."""

from __future__ import annotations

from typing import Any

import numpy as np

import kernreg_core as kr
from kernreg_core.demo import Demo, Report, median_distance
from kernreg_core.errors import UnknownNameError

from .krr import KernelRidge
from .logistic import KernelLogisticClassifier
from .pca import KernelPCA


def krr() -> tuple[KernelRidge, np.ndarray, np.ndarray]:
    """A kernel ridge regression, with points and targets to fit it to.

    Examples
    --------
    >>> model, X, y = krr()
    >>> round(model.fit(X, y).score(X, y), 2)
    0.97
    """
    X, y = _line()
    return KernelRidge(alpha=0.1, fit_intercept=True), X, y


def kernel_logistic() -> tuple[KernelLogisticClassifier, np.ndarray, np.ndarray]:
    """A kernel logistic classifier, with points and classes to fit it to.

    Examples
    --------
    >>> model, X, y = kernel_logistic()
    >>> model.fit(X, y).score(X, y)
    1.0
    """
    X, y = _line()
    return KernelLogisticClassifier(alpha=0.1), X, np.where(y > 0, "above", "below")


def kernel_pca() -> tuple[KernelPCA, np.ndarray]:
    """A kernel PCA, with points to find the components of.

    Examples
    --------
    >>> model, X = kernel_pca()
    >>> model.fit_transform(X).shape
    (30, 2)
    """
    return KernelPCA(n_components=2), _line()[0]


def _line() -> tuple[np.ndarray, np.ndarray]:
    """Thirty points with three coordinates, and a line through them with some noise."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 3))
    return X, X @ np.array([2.0, -1.0, 0.5]) + 0.5 * rng.standard_normal(30)


class RegressionDemo(Demo):
    """Cross-validated R2 of kernel ridge regression on scikit-learn's diabetes data, plain baselines beside it."""

    def __init__(self) -> None:
        super().__init__("Kernel ridge regression: diabetes progression from ten measurements (442 patients)")

    def run(self, report: Report) -> None:
        """Fit, cross-validate, print the table and record it."""
        from sklearn.compose import TransformedTargetRegressor
        from sklearn.datasets import load_diabetes
        from sklearn.dummy import DummyRegressor
        from sklearn.linear_model import RidgeCV
        from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
        from sklearn.pipeline import make_pipeline
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
            steps = make_pipeline(StandardScaler(), KernelRidge(kernel=kernel, fit_intercept=True))
            steps.steps[-1] = ("krr", steps.steps[-1][1])
            search = GridSearchCV(steps, {"krr__alpha": [1.0, 10.0, 100.0], **grid}, cv=3)
            rows.append(_row(label, cross_val_score(search, X, y, cv=folds), False))
        ridge = TransformedTargetRegressor(make_pipeline(StandardScaler(), RidgeCV(alphas=[1.0, 10.0, 100.0])))
        for label, baseline in (("ridge on the measurements", ridge), ("mean", DummyRegressor())):
            rows.append(_row(label, cross_val_score(baseline, X, y, cv=folds), True))
        report.line("  5 folds; penalty and length scale by a grid search inside each training part")
        report.table(
            ["kernel or baseline", "R2", "std"],
            [[row["label"], f"{row['r2']:.3f}", f"{row['std']:.3f}"] for row in rows],
        )
        report.record(items=len(y), folds=5, seed=report.seed, results=rows)


def _row(label: str, scores: np.ndarray, baseline: bool) -> dict[str, Any]:
    return {"label": label, "baseline": baseline, "r2": float(scores.mean()), "std": float(scores.std())}


def demo() -> list[Demo]:
    """Demonstrations for ``kernreg demo``."""
    return [RegressionDemo()]
