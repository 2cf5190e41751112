"""Measures of the claims on the cards of EigenPro 2 and 3; ``kernreg verify`` runs them.

The inner functions take what is compared as an argument, so that tests can show that a wrong one misses the threshold.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist

from kernreg_core.claims import Measurement
from kernreg_core.threads import pinned_blas

from .eigenpro2 import EigenPro2
from .eigenpro3 import EigenPro3

#: Sizes of the catalogue's row 17: items and centres of the synthetic data, epochs, and sizes on digits.
ITEMS, CENTERS, EPOCHS = 4000, 400, 30
#: Items of a batch: what EigenPro 3 chooses for so many items.
BATCH = 500
DIGITS_CENTERS, DIGITS_SIZES = 300, (300, 600, 1297)
#: "Within 5 %" of the direct solution, and how many times as long the plain descent is watched.
NEAR, WATCHED = 1.05, 8


def laplace(X: Any, Y: Any, lengthscale: float = 3.0) -> np.ndarray:
    """exp(-|x - y|_2 / l)."""
    return np.exp(cdist(np.asarray(X), np.asarray(Y)) / -lengthscale)


def digits_laplace(X: Any, Y: Any) -> np.ndarray:
    """The same with a length scale for digits, whose distances are near 2."""
    return laplace(X, Y, 6.0)


def synthetic(rng: int, n: int = ITEMS) -> tuple[np.ndarray, np.ndarray]:
    """Standard normal points with five coordinates, and a smooth function of them without noise."""
    X = np.random.default_rng(rng).standard_normal((n, 5))
    return X, np.sin(X[:, 0]) + X[:, 1] * X[:, 2] + 0.5 * np.cos(X[:, 3])


@lru_cache(4)
@pinned_blas()
def direct_error(rng: int) -> float:
    """Mean squared error of the least-squares solution on the first points as centres."""
    X, y = synthetic(rng)
    K = laplace(X, X[:CENTERS])
    return float(np.mean((K @ np.linalg.lstsq(K, y, rcond=None)[0] - y) ** 2))


@pinned_blas()
def error_ratio(rng: int, **options: Any) -> float:
    """Training error of EigenPro 3 divided by the direct solution's on the same centres."""
    X, y = synthetic(rng)
    model = EigenPro3(kernel=laplace, centers=X[:CENTERS], n_epochs=EPOCHS, random_state=rng % 2**32, **options)
    return float(np.mean((model.fit(X, y).predict(X) - y) ** 2)) / direct_error(rng)


def near_the_direct_solution(rng: int) -> Measurement:
    """Abedsoltan et al. 2023, section 4: the descent trains the model on the centres towards the best one.

    Measured: training error of EigenPro 3 after 30 epochs divided by that of the direct least-squares solution on the
    same 400 centres, less 1; 4000 points without noise, exp(-|x - y| / 3). Baseline: the projected descent without the
    preconditioner, with batches of the same size and its own best step. Among the details: eigenfunctions on the items,
    as the paper has them. Threshold 5 % from the catalogue's row 17.
    """
    plain = error_ratio(rng, n_eigenpairs=0, batch_size=BATCH)
    paper = error_ratio(rng, eigenfunctions="items")
    return Measurement(
        error_ratio(rng) - 1.0, plain - 1.0, "without the preconditioner", {"eigenfunctions on items": paper - 1.0}
    )


@pinned_blas()
def epochs_until_near(rng: int, at_most: int, **options: Any) -> int:
    """Epochs until the training error is within 5 % of the direct solution's, `at_most` where it is not sooner."""
    X, y = synthetic(rng)
    goal = NEAR * direct_error(rng)
    model = EigenPro3(kernel=laplace, centers=X[:CENTERS], random_state=rng % 2**32, **options)
    for epoch in range(1, at_most):
        model.partial_fit(X, y)
        if np.mean((model.predict(X) - y) ** 2) <= goal:
            return epoch
    return at_most


def preconditioner_saves_epochs(rng: int) -> Measurement:
    """Abedsoltan et al. 2023, section 3: the preconditioner lets batches be large without taking more epochs.

    Measured: epochs of the projected descent without the preconditioner, divided by EigenPro 3's, until the training
    error is within 5 % of the direct solution's; the data of :func:`near_the_direct_solution`, batches of 500 for both,
    each with its own best step. The plain descent is watched for 8 times as many epochs, so that 8 says "at least".
    Baseline: EigenPro 3 itself, 1 by definition. Threshold 5 from the catalogue's row 17.
    """
    own = epochs_until_near(rng, EPOCHS)
    plain = epochs_until_near(rng, WATCHED * own, n_eigenpairs=0, batch_size=BATCH)
    return Measurement(plain / own, 1.0, "EigenPro 3", {"epochs": own, "epochs without it": plain})


@pinned_blas()
def digit_accuracies(rng: int, splits: int = 3, **options: Any) -> list[float]:
    """Test accuracies on digits of models with the same 300 centres, trained on more and more items."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    X, targets = X / 16.0, np.eye(10)[y]
    found = np.zeros((splits, len(DIGITS_SIZES)))
    generator = np.random.default_rng(rng)
    for split in range(splits):
        order = generator.permutation(len(y))
        train, test = order[: DIGITS_SIZES[-1]], order[DIGITS_SIZES[-1] :]
        for i, n in enumerate(DIGITS_SIZES):
            model = EigenPro3(
                kernel=digits_laplace, centers=X[train[:DIGITS_CENTERS]], random_state=rng % 2**32, **options
            )
            model.fit(X[train[:n]], targets[train[:n]])
            found[split, i] = np.mean(model.predict(X[test]).argmax(axis=1) == y[test])
    return [float(value) for value in found.mean(axis=0)]


@lru_cache(4)
def _accuracies(rng: int) -> list[float]:
    """Those of both claims about digits."""
    return digit_accuracies(rng)


def more_data_at_fixed_size(rng: int) -> Measurement:
    """Abedsoltan et al. 2023, section 5: at a fixed size of the model more data give a better one.

    Measured: the smallest gain of test accuracy from 300 to 600 to 1297 training digits, 300 centres throughout, 500
    test digits, mean over three splits. Baseline: the gain of centres without more data, 0 by definition. Threshold 0
    from the catalogue's row 17: accuracy does not fall.
    """
    accuracies = _accuracies(rng)
    return Measurement(float(np.diff(accuracies).min()), 0.0, "no more data", {"accuracies": accuracies})


def digits_at_fixed_size(rng: int) -> Measurement:
    """Abedsoltan et al. 2023, section 5: models whose size does not depend on the data's classify as well as others.

    Measured: test accuracy on scikit-learn's digits of 300 centres trained on 1297 items, mean over three splits.
    Baseline: the same centres trained on 300 items. Threshold 0.97 from the catalogue's row 17.
    """
    accuracies = _accuracies(rng)
    return Measurement(accuracies[-1], accuracies[0], "300 items")


@pinned_blas()
def _projected(kind: str, rng: int, n_epochs: int) -> np.ndarray:
    """Predictions for 1000 new points."""
    X, y = synthetic(rng)
    model = EigenPro3(kernel=laplace, centers=X[:CENTERS], projection=kind, n_epochs=n_epochs, random_state=rng % 2**32)
    return model.fit(X, y).predict(synthetic(rng + 1, 1000)[0])


@lru_cache(4)
def _by_exact_projections(rng: int) -> np.ndarray:
    return _projected("exact", rng, 2 * EPOCHS)


def projection_difference(rng: int, n_epochs: int = 2 * EPOCHS) -> float:
    """Relative difference of predictions on new points: `n_epochs` of inexact projections and 60 of exact ones."""
    exact, inexact = _by_exact_projections(rng), _projected("inexact", rng, n_epochs)
    return float(np.linalg.norm(inexact - exact) / np.linalg.norm(exact))


def inexact_projection(rng: int) -> Measurement:
    """Abedsoltan et al. 2023, section 4: an epoch or two of EigenPro 2 on the centres will do for the projection.

    Measured: relative difference between the predictions for 1000 new points of models trained with an inexact and
    with an exact projection; the data of :func:`near_the_direct_solution`. Baseline: the difference where the inexact
    one is stopped after 3 of the 60 epochs. Threshold 1e-2 from the catalogue's row 17.
    """
    return Measurement(projection_difference(rng), projection_difference(rng, n_epochs=3), "3 epochs")


@pinned_blas()
def epochs_to_interpolate(rng: int, at_most: int, **options: Any) -> int:
    """Epochs of EigenPro 2 until the residual is 5 % of the targets, `at_most` where it is not sooner."""
    X, y = synthetic(rng, 1000)
    model = EigenPro2(kernel=laplace, n_epochs=at_most, batch_size=125, random_state=rng % 2**32, **options).fit(X, y)
    reached = np.flatnonzero(model.loss_curve_ <= 0.05**2 * np.mean(y**2))
    return int(reached[0]) + 1 if len(reached) else at_most


def large_batches(rng: int) -> Measurement:
    """Ma and Belkin 2019, section 4: the same kernel machine, with batches as large as the hardware likes.

    Measured: epochs of plain stochastic gradient descent divided by EigenPro 2's until the residual is 5 % of the
    targets; 1000 points without noise, exp(-|x - y| / 3), batches of 125 for both, each with its own best step. Plain
    descent is watched for 8 times as many epochs. Baseline: EigenPro 2 itself, 1 by definition. Threshold 5, ours, as
    the catalogue's for EigenPro 3.
    """
    own = epochs_to_interpolate(rng, 100)
    plain = epochs_to_interpolate(rng, WATCHED * own, n_eigenpairs=0)
    return Measurement(plain / own, 1.0, "EigenPro 2", {"epochs": own, "epochs without it": plain})
