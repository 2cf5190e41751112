"""The search for the best parameters: L-BFGS-B within bounds, from one start or several."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize
from sklearn.utils import check_random_state

from kernreg_core.errors import InputError, ParameterError

#: (theta) -> (value, gradient); LinAlgError where there is no value.
Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]


class Minimum(NamedTuple):
    """How a search ended.

    ``theta`` (p,), ``value``, ``residual`` (largest entry of the projected gradient), ``converged``, ``n_evaluations``
    (of all starts), ``values`` (of the best theta of each start, inf where there was none) and ``message``.
    """

    theta: np.ndarray
    value: float
    residual: float
    converged: bool
    n_evaluations: int
    values: list[float]
    message: str


def minimise(
    objective: Objective,
    theta: np.ndarray,
    bounds: np.ndarray,
    *,
    n_restarts: int = 0,
    random_state: Any = None,
    max_iter: int = 200,
    tol: float = 1e-5,
) -> Minimum:
    r"""The least value of a smooth function of logarithms of parameters, within bounds.

    Parameters
    ----------
    objective : callable
        theta -> (value, gradient). A LinAlgError, a value that is not finite, or an InputError or ParameterError of a
        kernel that refuses this theta, says that there is none: the search turns back.
    theta : ndarray, shape (p,)
        The first start.
    bounds : ndarray, shape (p, 2)
    n_restarts : int
        Further starts, uniform within the bounds (of logarithms: log-uniform in the parameters).
    random_state : int, RandomState or None
    max_iter : int
        Iterations of each start, at most.
    tol : float
        A start has converged where no entry of the projected gradient is larger.

    Returns
    -------
    Minimum
        The best of all starts.

    Raises
    ------
    ParameterError
        If `n_restarts` or `max_iter` is no whole number in range.
    InputError, ParameterError
        What the objective raises at `theta`: there it is the user's own.
    numpy.linalg.LinAlgError
        If no start has a value.

    References
    ----------
    .. [1] R. H. Byrd, P. Lu, J. Nocedal and C. Zhu, "A limited memory algorithm for bound constrained optimization",
       SIAM Journal on Scientific Computing 16, 1995.

    Examples
    --------
    >>> found = minimise(lambda t: (float(t @ t), 2 * t), np.array([2.0]), np.array([[1.0, 3.0]]))
    >>> found.theta, found.value, found.converged
    (array([1.]), 1.0, True)
    """
    _check_count("n_restarts", n_restarts, 0)
    _check_count("max_iter", max_iter, 1)
    starts = [np.clip(theta, bounds[:, 0], bounds[:, 1])]
    if n_restarts:
        uniform = check_random_state(random_state).uniform(size=(n_restarts, len(theta)))
        starts.extend(bounds[:, 0] + uniform * (bounds[:, 1] - bounds[:, 0]))
    runs = [_Run(objective, bounds, tol, given=not i).from_start(start, max_iter) for i, start in enumerate(starts)]
    best = min(runs, key=lambda run: run.value)  # the first of equal ones
    if not math.isfinite(best.value):
        raise np.linalg.LinAlgError("the objective has no value at any start")
    return best._replace(n_evaluations=sum(run.n_evaluations for run in runs), values=[run.value for run in runs])


class _Run:
    """One start, `given` by the user or drawn: the best theta seen, and a wall where there is no value."""

    def __init__(self, objective: Objective, bounds: np.ndarray, tol: float, *, given: bool) -> None:
        self.objective, self.bounds, self.tol, self.given = objective, bounds, tol, given
        self.best, self.theta, self.gradient = math.inf, np.zeros(len(bounds)), np.zeros(len(bounds))
        self.worst = -math.inf
        self.count = 0
        self._last: tuple[np.ndarray, tuple[float, np.ndarray]] | None = None

    def __call__(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        if self._last is None or not np.array_equal(theta, self._last[0]):
            self._last = theta.copy(), self._evaluated(theta)  # L-BFGS-B asks again for the value at its start
        return self._last[1]

    def _evaluated(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        self.count += 1
        try:
            value, gradient = self.objective(theta)
        except (np.linalg.LinAlgError, InputError, ParameterError) as error:
            if self.given and self.count == 1 and not isinstance(error, np.linalg.LinAlgError):
                raise  # at the start it is the user's own
            value, gradient = math.inf, np.zeros(len(theta))
        if not math.isfinite(value) or not np.isfinite(gradient).all():
            # higher than all so far: the line search comes back
            return (self.worst if self.best < math.inf else 0.0) + 1e3 * (1.0 + abs(self.best)), np.zeros(len(theta))
        self.worst = max(self.worst, value)
        if value < self.best:
            self.best, self.theta, self.gradient = value, theta.copy(), gradient
        return value, gradient

    def from_start(self, start: np.ndarray, max_iter: int) -> Minimum:
        if not len(start):
            value, _ = self.objective(start)
            return Minimum(start, value, 0.0, True, 1, [value], "nothing to learn")
        self(start)
        if self.best == math.inf:
            return Minimum(start, math.inf, math.inf, False, self.count, [math.inf], "no value at the start")
        found: Any = minimize(  # type: ignore[call-overload]
            self, start, jac=True, method="L-BFGS-B", bounds=self.bounds,
            options={"maxiter": max_iter, "maxfun": 4 * max_iter, "gtol": self.tol, "ftol": 1e-10},
        )  # fmt: skip
        residual = self.residual()
        # a line search that finds no lower value is at the end of the gradient's precision
        scale = 1.0 + abs(self.best)
        converged = found.status == 0 or residual <= 1e-5 * scale or (found.status == 2 and residual <= 1e-3 * scale)
        return Minimum(self.theta, self.best, residual, bool(converged), self.count, [self.best], str(found.message))

    def residual(self) -> float:
        """The largest entry of the gradient that no bound holds back."""
        low, high = self.bounds[:, 0], self.bounds[:, 1]
        step = np.clip(self.theta - self.gradient, low, high) - self.theta
        return float(np.abs(step).max(initial=0.0))


def _check_count(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ParameterError(f"{name}: expected a whole number at least {least}, got {value!r}")
