"""What ``kernreg demo`` shows of this plugin: two classification tasks and an approximation, on bundled data."""

from __future__ import annotations

import time
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np

from kernreg_core.demo import ClassificationDemo, Demo, Report, median_distance
from kernreg_core.errors import MissingDependencyError

_LENGTHSCALE = "Length scales: the median distance of 500 sampled rows, for each kernel's own distance."
_PENALTY = "Penalty: alpha = 0.05 for every kernel, chosen on these data among 0.01 to 0.1 for speed."


def demo() -> list[Demo]:
    """Digits and breast cancer, six kernels each, logistic regression beside them; and features of digits."""
    kernels: dict[str, Any] = {
        "RBF": ("euclidean.rbf", _scaled()),
        "Matern 3/2": ("euclidean.matern", _scaled(order=1.5)),
        "Laplace": ("euclidean.laplace", _scaled(p=1)),
        "polynomial, degree 3": ("euclidean.polynomial", {"degree": 3}),
        "arc-cosine, order 1": ("euclidean.arc_cosine", {"order": 1}),
    }
    settings: dict[str, Any] = {
        "baselines": {"logistic regression": logistic_regression},
        "solver": {"alpha": 0.05, "tol": 0.05},
    }
    return [
        ClassificationDemo(
            "Kernel logistic classification: handwritten digits, 8 x 8 pixels",
            load=digits,
            kernels={**kernels, "chi-squared": ("euclidean.chi_squared", _chi_squared_parameters)},
            note=f"Pixels divided by 16. {_LENGTHSCALE} {_PENALTY}",
            **settings,
        ),
        ClassificationDemo(
            "Kernel logistic classification: breast cancer, 30 measurements of cells",
            load=breast_cancer,
            kernels={**kernels, "rational quadratic": ("euclidean.rational_quadratic", _scaled())},
            note=f"Features standardised on all rows, without the labels. {_LENGTHSCALE} {_PENALTY}",
            **settings,
        ),
        FeaturesDemo(),
    ]


class FeaturesDemo(Demo):
    """How far features are from the Gram matrix that they stand for, scikit-learn's beside them.

    Parameters
    ----------
    items, columns, draws : int
    """

    def __init__(self, items: int = 1797, columns: int = 512, draws: int = 5) -> None:
        super().__init__("Features in place of a Gram matrix: handwritten digits, RBF kernel")
        self.items = items
        self.columns = columns
        self.draws = draws

    def run(self, report: Report) -> None:
        """Draw each kind of features, print the table and record it."""
        from sklearn.kernel_approximation import Nystroem, RBFSampler

        from .nystrom import Nystrom
        from .random_fourier import RandomFourier
        from .rbf import RBF

        X = digits()[0][: self.items]
        kernel = RBF(lengthscale=2.0)
        K = kernel(X)
        gamma, size = 0.5 / kernel.lengthscale**2, self.columns
        couplings, selectors = ("iid", "orthogonal", "simplex"), ("uniform", "kmeans", "pivoted_cholesky")
        made: dict[str, Any] = {
            f"random Fourier, {name}": partial(RandomFourier, kernel=kernel, n_features=size, coupling=name)
            for name in couplings
        }
        made |= {
            f"Nystrom, {name}": partial(Nystrom, kernel=kernel, n_features=size // 4, selector=name)
            for name in selectors
        }
        made["scikit-learn's RBFSampler"] = partial(RBFSampler, gamma=gamma, n_components=size)
        made["scikit-learn's Nystroem"] = partial(Nystroem, gamma=gamma, n_components=size // 4)
        seeds = range(report.seed, report.seed + self.draws)
        rows = [_features_row(label, make, seeds, X, K) for label, make in made.items()]
        report.line(f"  Error: |Z Z^T - K| / |K| in the Frobenius norm, Z the features; means of {self.draws} draws")
        report.table(
            ["features", "columns", "error", "s"],
            [[row["label"], row["columns"], f"{row['error']:.4f}", f"{row['seconds']:.3f}"] for row in rows],
        )
        report.record(items=len(X), seed=report.seed, results=rows)


def _features_row(label: str, make: Any, seeds: Iterable[int], X: Any, K: Any) -> dict[str, Any]:
    """What `make` draws with each seed, `rng` or `random_state`, on average."""
    errors, seconds, columns = [], [], 0
    for seed in seeds:
        ours = hasattr(make.func, "features")
        maker = make(**{"rng" if ours else "random_state": seed})
        start = time.perf_counter()
        if hasattr(maker, "fit"):
            maker.fit(X)
        Z = maker.features(X) if ours else maker.transform(X)
        seconds.append(time.perf_counter() - start)
        errors.append(np.linalg.norm(Z @ Z.T - K) / np.linalg.norm(K))
        columns = int(Z.shape[1])
    return {
        "label": label,
        "columns": columns,
        "error": float(np.mean(errors)),
        "seconds": float(np.mean(seconds)),
    }


def digits() -> tuple[Any, ...]:
    """(X (1797, 64) in [0, 1], y, names of the classes)."""
    found = _datasets().load_digits()
    return found.data / 16, found.target, tuple(map(str, found.target_names))


def breast_cancer() -> tuple[Any, ...]:
    """(X (569, 30) standardised, y, names of the classes)."""
    found = _datasets().load_breast_cancer()
    X = found.data
    return (X - X.mean(axis=0)) / X.std(axis=0), found.target, tuple(map(str, found.target_names))


def logistic_regression(X_train: Any, y_train: Any, X_test: Any, seed: int) -> Any:
    """Labels of X_test by scikit-learn's logistic regression with its default penalty."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=5000).fit(X_train, y_train).predict(X_test)


def _datasets() -> Any:
    try:
        from sklearn import datasets
    except ImportError as error:
        raise MissingDependencyError(
            "the data of this demo is bundled with scikit-learn, which is not installed: pip install scikit-learn"
        ) from error
    return datasets


def _scaled(p: float = 2, **others: Any) -> Any:
    """Parameters as a function of X: a length scale from the data, and others that are given."""
    return lambda X: {"lengthscale": median_distance(X, p=p), **others}


def _chi_squared_parameters(X: Any) -> dict[str, Any]:
    """1 / gamma is the median chi-squared distance, read off the kernel itself with gamma = 1."""
    from .chi_squared import ChiSquared

    sample = X[np.random.default_rng(0).choice(len(X), min(500, len(X)), replace=False)]
    values = ChiSquared()(sample)[np.triu_indices(len(sample), 1)]
    return {"gamma": float(1 / np.median(-np.log(values)))}
