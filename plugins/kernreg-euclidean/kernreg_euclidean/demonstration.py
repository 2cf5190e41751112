"""What ``kernreg demo`` shows of this plugin: two classification tasks that are bundled with scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernreg_core.demo import ClassificationDemo, Demo, median_distance
from kernreg_core.errors import MissingDependencyError

_LENGTHSCALE = "Length scales: the median distance of 500 sampled rows, for each kernel's own distance."
_PENALTY = "Penalty: alpha = 0.05 for every kernel, chosen on these data among 0.01 to 0.1 for speed."


def demo() -> list[Demo]:
    """Digits and breast cancer, six kernels each, logistic regression on the features beside them."""
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
    ]


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
