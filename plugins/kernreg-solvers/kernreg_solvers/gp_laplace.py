"""Laplace's approximation for two classes: the mode, the approximate marginal likelihood and its derivative.

Nothing here knows about estimators or kernels. Numbers of algorithms are those of Rasmussen and Williams, "Gaussian
Processes for Machine Learning", MIT Press 2006, chapters 3 and 5.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from scipy.special import expit, log_ndtr

from .gp_exact import factorise, inverse_in_place, solve, whiten

#: Newton steps at most, halvings of a step at most, and the relative rise of the objective at which it has converged:
#: the next step, whose rise is the square of this one's, would be lost in rounding.
STEPS, HALVINGS, TOL = 100, 30, 1e-10


class Derivatives(NamedTuple):
    """log p(y | f) of each item and its first derivative, minus its second, and its third."""

    value: np.ndarray
    first: np.ndarray
    curvature: np.ndarray
    third: np.ndarray


class Link(Protocol):
    """log p(y | f) for signs y = -1 or 1."""

    def __call__(self, y: np.ndarray, f: np.ndarray) -> Derivatives: ...


def logistic(y: np.ndarray, f: np.ndarray) -> Derivatives:
    """p(y | f) = 1 / (1 + exp(-y f))."""
    p = expit(f)
    curvature = p * expit(-f)
    return Derivatives(-np.logaddexp(0.0, -y * f), y * expit(-y * f), curvature, -curvature * (expit(-f) - p))


def probit(y: np.ndarray, f: np.ndarray) -> Derivatives:
    """p(y | f) = Phi(y f)."""
    z = y * f
    value = log_ndtr(z)
    ratio = np.exp(-0.5 * z * z - 0.5 * np.log(2.0 * np.pi) - value)
    slope = -ratio * (z + ratio)  # of the ratio: the second derivative
    return Derivatives(value, y * ratio, np.maximum(-slope, 0.0), y * (-ratio - z * slope - 2.0 * ratio * slope))


LINKS: dict[str, Link] = {"logistic": logistic, "probit": probit}


class Mode(NamedTuple):
    """Where p(f | y) is largest.

    ``a`` = K^-1 f = the derivative of log p(y | f); ``f``; ``root`` = sqrt of the curvature W; ``L``, the factor of
    B = I + W^1/2 K W^1/2 in its lower triangle; ``value``, the approximate log marginal likelihood; ``third``, the
    third derivatives; ``steps`` and ``converged``.
    """

    a: np.ndarray
    f: np.ndarray
    root: np.ndarray
    L: np.ndarray
    value: float
    third: np.ndarray
    steps: int
    converged: bool


def find_mode(
    K: np.ndarray, y: np.ndarray, link: Link, weights: np.ndarray | None = None, start: np.ndarray | None = None
) -> Mode:
    """The mode by Newton steps, halved where they overshoot (algorithm 3.1).

    Parameters
    ----------
    K : ndarray, shape (n, n)
    y : ndarray, shape (n,)
        Signs.
    link : callable
    weights : ndarray, shape (n,), optional
        Of the log likelihoods.
    start : ndarray, shape (n,), optional
        ``a`` to start from.

    Raises
    ------
    numpy.linalg.LinAlgError
        If B is not positive definite: K is not positive semi-definite.
    """
    w = np.ones(len(y)) if weights is None else weights
    a = np.zeros(len(y)) if start is None else start
    f = K @ a
    at = link(y, f)
    objective = float(w @ at.value) - 0.5 * float(a @ f)
    if start is not None and objective < float(w @ link(y, np.zeros(len(y))).value):
        return find_mode(K, y, link, weights)  # a start from other parameters may be worse than none
    converged, steps = False, 0
    while steps < STEPS and not converged:
        steps += 1
        root = np.sqrt(w * at.curvature)
        L = _factor(K, root)
        b = root * root * f + w * at.first
        goal = b - root * solve(L, (root * (K @ b))[:, None])[:, 0]
        a, f, value = uphill(K, a, f, goal - a, objective, lambda f: float(w @ link(y, f).value))
        converged, objective = value - objective <= TOL * (1.0 + abs(value)), value
        at = link(y, f)
    root = np.sqrt(w * at.curvature)
    L = _factor(K, root)
    evidence = objective - float(np.log(L.diagonal()).sum())
    return Mode(a, f, root, L, evidence, w * at.third, steps, converged)


def uphill(
    K: np.ndarray,
    a: np.ndarray,
    f: np.ndarray,
    step: np.ndarray,
    objective: float,
    likelihood: Callable[[np.ndarray], float],
) -> tuple[np.ndarray, np.ndarray, float]:
    """(a, f, objective) after the step in `a`, halved until log p(y | f) - a^T f / 2 does not fall."""
    image, size = K @ step, 1.0
    for _ in range(HALVINGS):
        moved_a, moved_f = a + size * step, f + size * image
        value = likelihood(moved_f) - 0.5 * float(np.vdot(moved_a, moved_f))
        if value >= objective - 1e-13 * abs(objective):
            return moved_a, moved_f, value
        size *= 0.5
    return a, f, objective


def _factor(K: np.ndarray, root: np.ndarray) -> np.ndarray:
    """The factor of I + W^1/2 K W^1/2."""
    B = K * root
    B *= root[:, None]
    factorise(B, 1.0, most=0.0)
    return B


def mode_derivative(K: np.ndarray, mode: Mode) -> np.ndarray:
    r"""The derivative of the approximate marginal likelihood by K (algorithm 5.1 for all parameters at once).

    .. math:: \tfrac12 a a^T - \tfrac12 R + \tfrac12 (u a^T + a u^T), \qquad R = W^{1/2} B^{-1} W^{1/2},
        \quad u = (I - R K) s, \quad s_i = \tfrac12 (K - K R K)_{ii}\, \partial^3 \log p(y_i | f_i)

    the last term being that of the mode, which moves with K.
    """
    white = whiten(mode.L, K * mode.root)  # rows of K W^1/2 L^-T
    s = 0.5 * (K.diagonal() - np.einsum("ij,ij->i", white, white)) * mode.third
    R = inverse_in_place(mode.L.copy())
    R *= mode.root
    R *= mode.root[:, None]
    u = s - R @ (K @ s)
    R *= -0.5
    left = u + 0.5 * mode.a
    R += 0.5 * (np.outer(left, mode.a) + np.outer(mode.a, left))
    return R
