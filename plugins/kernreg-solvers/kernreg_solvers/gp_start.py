"""Where the search for hyper-parameters begins: at the kernel's own, or, where these explain nothing, at the data's."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

import kernreg_core as kr
from kernreg_core.arrays import length
from kernreg_core.errors import InputError, ParameterError

from .gp_bounds import LENGTHS, sampled_rows
from .gp_parameters import Parameter
from .gp_pull import diagonal_values
from .gp_search import Objective
from .gp_terms import terms_of
from .heuristics import median_lengthscale
from .hyperparameters import HyperParameters

#: Items whose prior variance is looked at.
_SAMPLE = 200


class Start(NamedTuple):
    """Where a search begins, the loss (which knows its value there), and evaluations beyond that one."""

    theta: np.ndarray
    loss: Objective
    extra: int


def best_start(
    space: HyperParameters, loss: Objective, X: Any, Y: np.ndarray, mean: Any, weights: np.ndarray | None
) -> Start:
    """The kernel's own parameters, unless noise alone explains the targets better and parameters from the data do, too.

    A start at which the likelihood is above that of independent normal targets is kept as it is: nothing is evaluated
    that the search would not evaluate itself. Else one more likelihood is evaluated, and the better of both counts.
    """
    known: dict[bytes, tuple[float, np.ndarray]] = {}

    def remembered(theta: np.ndarray) -> tuple[float, np.ndarray]:
        found = known.pop(theta.tobytes(), None)
        return loss(theta) if found is None else found

    own = space.theta
    if not len(own):
        return Start(own, loss, 0)
    try:
        known[own.tobytes()] = at_own = loss(own)
    except (np.linalg.LinAlgError, InputError, ParameterError):
        return Start(own, loss, 0)  # the search says what is wrong
    variance, without = _noise_alone(Y, mean, weights)
    if at_own[0] <= without or not variance > 0:
        return Start(own, remembered, 0)
    data = from_data(space, X, variance)
    try:
        at_data = loss(data)
    except (np.linalg.LinAlgError, InputError, ParameterError):
        return Start(own, remembered, 1)
    if not (np.isfinite(at_data[1]).all() and at_data[0] < at_own[0]):
        return Start(own, remembered, 1)
    known[data.tobytes()] = at_data
    return Start(data, remembered, 1)


def from_data(space: HyperParameters, X: Any, variance: float) -> np.ndarray:
    """Theta from the data, shape (p,), within the bounds.

    The median distance of items for length scales, a tenth of `variance` for the noise; and the variances in front of
    the kernel, or of the terms of a sum, by one factor, such that the mean of k(x, x) is `variance`.
    """
    theta = space.theta.copy()
    for parameter, where in space.inside:
        value = _length(parameter, X)
        if value is not None:
            theta[where] = np.log(value).ravel()
    noise = space.where("noise")
    if noise is not None:
        theta[noise] = math.log(0.1 * variance)
    try:
        kernel = space.at(np.clip(theta, space.bounds[:, 0], space.bounds[:, 1]))
        prior = 0.0 if kernel is None else float(np.mean(diagonal_values(kernel, X[: min(length(X), _SAMPLE)])))
    except (InputError, ParameterError):
        prior = 0.0
    if prior > 0:
        for where in _fronts(space):
            theta[where] += math.log(variance / prior)
    return np.clip(theta, space.bounds[:, 0], space.bounds[:, 1])


def _noise_alone(Y: np.ndarray, mean: Any, weights: np.ndarray | None) -> tuple[float, float]:
    """The mean square of y - m, and minus the likelihood of independent targets with that variance."""
    centred = Y - (np.average(Y, axis=0, weights=weights) if mean is None else mean)
    variance = float(np.average(np.square(centred).mean(axis=1), weights=weights))
    total = Y.shape[1] * float(len(Y) if weights is None else weights.sum())
    return variance, 0.5 * total * (math.log(2.0 * math.pi * variance) + 1.0) if variance > 0 else -math.inf


def _length(parameter: Parameter, X: Any) -> Any:
    """The median heuristic for a length scale in the units of X; None for another parameter."""
    if parameter.leaf not in LENGTHS or hasattr(parameter.owner, "period"):
        return None
    rows = sampled_rows(X)
    if rows is None or len(rows) < 2 or parameter.value.shape not in ((), (rows.shape[1],)):
        return None
    p = 1 if type(parameter.owner).__name__ in ("Laplace", "LaplacianKernel") else 2
    return median_lengthscale(rows, p=p, ard=parameter.value.ndim == 1)


def _fronts(space: HyperParameters) -> list[slice]:
    """Where the outermost learnt variance in front of each term stands, each once."""
    found: list[slice] = []
    if space.kernel is None or not isinstance(space.kernel, kr.BaseKernel):
        return found
    for term in terms_of(space.kernel):
        learnt = {name: w for p, w in space.inside for name in (p.name, *p.aliases)}
        where = next((learnt[name] for name, _ in term.fronts if name in learnt), None)
        if where is not None and where not in found:
            found.append(where)
    return found
