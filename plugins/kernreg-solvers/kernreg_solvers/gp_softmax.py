"""Laplace's approximation for several classes with one softmax: mode, marginal likelihood and its derivative.

Algorithm 3.3 of Rasmussen and Williams, "Gaussian Processes for Machine Learning", MIT Press 2006, with weights. The
book gives no derivative for several classes; the one here follows from the same two parts as for two classes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp, softmax

from .gp_exact import factorise, inverse_in_place, solve, whiten
from .gp_laplace import STEPS, TOL, uphill


class SoftmaxMode(NamedTuple):
    """Where p(f | y) is largest.

    ``a`` = K^-1 f, (n, C); ``f``; ``p``, the softmax; ``E``, (C, n, n), E_c = (K + D_c^-1)^-1 with D_c = w p_c;
    ``M``, the factor of sum_c E_c in its lower triangle; ``value``, the approximate log marginal likelihood;
    ``steps`` and ``converged``.
    """

    a: np.ndarray
    f: np.ndarray
    p: np.ndarray
    E: np.ndarray
    M: np.ndarray
    value: float
    steps: int
    converged: bool


def find_softmax_mode(
    K: np.ndarray, Y: np.ndarray, weights: np.ndarray | None = None, start: np.ndarray | None = None
) -> SoftmaxMode:
    """The mode by Newton steps, halved where they overshoot.

    Parameters
    ----------
    K : ndarray, shape (n, n)
        The same for every class.
    Y : ndarray, shape (n, C)
        Indicators of the classes.
    weights : ndarray, shape (n,), optional
        Of the log likelihoods.
    start : ndarray, shape (n, C), optional
        ``a`` to start from.
    """
    w = np.ones(len(Y)) if weights is None else weights

    def likelihood(f: np.ndarray) -> float:
        return float(w @ ((Y * f).sum(axis=1) - logsumexp(f, axis=1)))

    a = np.zeros(Y.shape) if start is None else start
    f = K @ a
    objective = likelihood(f) - 0.5 * float(np.vdot(a, f))
    if start is not None and objective < likelihood(np.zeros(Y.shape)):
        return find_softmax_mode(K, Y, weights)
    converged, steps = False, 0
    while steps < STEPS and not converged:
        steps += 1
        p = softmax(f, axis=1)
        E, M, _ = _factors(K, p, w)
        b = w[:, None] * (p * (f - (p * f).sum(axis=1, keepdims=True)) + Y - p)
        c = _each(E, K @ b)
        goal = b - c + _each(E, np.repeat(solve(M, c.sum(axis=1, keepdims=True)), Y.shape[1], axis=1))
        a, f, value = uphill(K, a, f, goal - a, objective, likelihood)
        converged, objective = value - objective <= TOL * (1.0 + abs(value)), value
    p = softmax(f, axis=1)
    E, M, logs = _factors(K, p, w)
    evidence = objective - logs - float(np.log(M.diagonal()).sum()) + 0.5 * float(np.log(w).sum())
    return SoftmaxMode(a, f, p, E, M, evidence, steps, converged)


def _factors(K: np.ndarray, p: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """E (C, n, n), the factor of their sum, and half the sum of log |I + D_c^1/2 K D_c^1/2|."""
    n, C = p.shape
    E, logs = np.empty((C, n, n)), 0.0
    for c in range(C):
        root = np.sqrt(w * p[:, c])
        B = E[c]
        np.multiply(K, root, out=B)
        B *= root[:, None]
        factorise(B, 1.0, most=0.0)
        logs += float(np.log(B.diagonal()).sum())
        inverse_in_place(B)
        B *= root
        B *= root[:, None]
    M = E.sum(axis=0)
    factorise(M, 0.0)
    return E, M, logs


def _each(E: np.ndarray, V: np.ndarray) -> np.ndarray:
    """E_c times the column c of V (n, C)."""
    return np.column_stack([E[c] @ V[:, c] for c in range(len(E))])


def softmax_derivative(K: np.ndarray, mode: SoftmaxMode, weights: np.ndarray | None = None) -> np.ndarray:
    r"""The derivative of the approximate marginal likelihood by K, shape (n, n).

    With S = (K + W^-1)^-1, whose diagonal blocks are E_c - E_c (sum E)^-1 E_c, it is

    .. math:: \sum_c \tfrac12 a_c a_c^T - \tfrac12 S_{cc} + \tfrac12 (u_c a_c^T + a_c u_c^T), \qquad u = s - S K s,

    where s_ic = -1/2 tr(V_i dW_i / df_ic), V_i being the posterior covariance of the classes at item i.
    """
    w = np.ones(len(K)) if weights is None else weights
    C, p = len(mode.E), mode.p
    G = np.zeros_like(K)
    projected, spread = [], np.empty((len(K), C))
    for c, E in enumerate(mode.E):
        X = whiten(mode.M, E.copy())  # rows of E_c M^-T
        G += X @ X.T - E
        H = E @ K
        spread[:, c] = K.diagonal() - np.einsum("ij,ij->j", K, H)
        projected.append(K @ X)  # K E_c M^-T: products of two are blocks of K E (sum E)^-1 E K
    V = np.einsum("cij,dij->icd", projected, projected)
    V[:, np.arange(C), np.arange(C)] += spread
    h = V[:, np.arange(C), np.arange(C)] - 2.0 * np.einsum("icd,id->ic", V, p)
    s = -0.5 * w[:, None] * p * (h - (h * p).sum(axis=1, keepdims=True))
    Ks = _each(mode.E, K @ s)
    u = s - Ks + _each(mode.E, np.repeat(solve(mode.M, Ks.sum(axis=1, keepdims=True)), C, axis=1))
    G *= 0.5
    left = u + 0.5 * mode.a
    G += 0.5 * (left @ mode.a.T + mode.a @ left.T)
    return G


def softmax_latent(mode: SoftmaxMode, rows: np.ndarray, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Latent means (b, C) and covariances (b, C, C) at new items (algorithm 3.4), `rows` being k(X_new, X)."""
    C = len(mode.E)
    projected, spread = [], np.empty((len(rows), C))
    for c, E in enumerate(mode.E):
        B = rows @ E
        spread[:, c] = prior - np.einsum("ij,ij->i", rows, B)
        projected.append(whiten(mode.M, B))
    covariance = np.einsum("cij,dij->icd", projected, projected)
    covariance[:, np.arange(C), np.arange(C)] += np.maximum(spread, 0.0)
    return rows @ mode.a, covariance
