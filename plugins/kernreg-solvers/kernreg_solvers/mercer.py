r"""Mercer bases: functions of a given smoothness relative to a kernel, and the norms between L2 and its space.

With eigenvalues :math:`\lambda_k` and orthonormal eigenfunctions :math:`e_k` of a kernel's integral operator, the power
space :math:`[H]^\gamma` holds the :math:`f = \sum_k a_k e_k` with
:math:`\|f\|^2_{[H]^\gamma} = \sum_k \lambda_k^{-\gamma} a_k^2 < \infty`: gamma = 0 is L2, gamma = 1 the kernel's own
space.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernreg_core.arrays import describe
from kernreg_core.errors import ParameterError

#: Terms of a basis that are evaluated together: 64 MB with 8192 points.
_TERMS, _POINTS = 1024, 8192


@dataclass(frozen=True)
class MercerBasis:
    r"""Eigenvalues and eigenfunctions of a kernel under a law of the items.

    Parameters
    ----------
    values : callable, ndarray of int (m,) -> (m,)
        :math:`\lambda_k` of k = 1, 2, ...: positive, falling.
    functions : callable, (items, ndarray of int (m,)) -> (n, m)
        :math:`e_k(x)`: orthonormal under the law.
    quadrature : callable, int -> (items, weights (n,))
        Nodes and weights of a rule with that many nodes for integrals under the law.
    decay : float
        beta, with :math:`\lambda_k` of the order of :math:`k^{-\beta}`; above 1.

    Examples
    --------
    >>> basis = sine_basis()
    >>> basis.values(np.array([1, 2])).round(4)
    array([0.4053, 0.045 ])
    """

    values: Callable[[np.ndarray], np.ndarray]
    functions: Callable[[Any, np.ndarray], np.ndarray]
    quadrature: Callable[[int], tuple[Any, np.ndarray]]
    decay: float


def sine_basis() -> MercerBasis:
    r"""The basis of :math:`k(x, y) = \min(x, y)` under the uniform law on [0, 1].

    .. math:: e_k(x) = \sqrt 2 \sin\bigl((k - \tfrac12) \pi x\bigr), \qquad
        \lambda_k = \bigl((k - \tfrac12) \pi\bigr)^{-2}, \qquad \beta = 2

    Items are rows (n, 1). The space of the kernel holds functions that vanish at 0 and whose derivative is square
    integrable.

    Examples
    --------
    >>> basis, x, k = sine_basis(), np.array([[0.3], [0.8]]), np.arange(1, 5001)
    >>> e = basis.functions(x, k)
    >>> (e * basis.values(k) @ e.T).round(3)
    array([[0.3, 0.3],
           [0.3, 0.8]])
    """
    return MercerBasis(_sine_values, _sines, _midpoints, 2.0)


def fourier_basis(decay: float = 2.0) -> MercerBasis:
    r"""The basis of periodic kernels on [0, 1] with eigenvalues :math:`\lceil k / 2 \rceil^{-\beta}`, the first one 1.

    .. math:: e_1 = 1, \qquad e_{2 j}(x) = \sqrt 2 \cos(2 \pi j x), \qquad e_{2 j + 1}(x) = \sqrt 2 \sin(2 \pi j x)

    with :math:`\lambda_{2 j} = \lambda_{2 j + 1} = j^{-\beta}`. For beta an even number the space is a periodic Sobolev
    space of order beta / 2.

    Parameters
    ----------
    decay : float
        beta, above 1.
    """
    if not isinstance(decay, (int, float)) or not 1 < decay < math.inf:
        raise ParameterError(f"decay: expected a number above 1, got {decay!r}")
    return MercerBasis(_Powers(float(decay)), _waves, _midpoints, float(decay))


@dataclass(frozen=True)
class PowerFunction:
    """A function with given coefficients in a Mercer basis; call it on items.

    Parameters
    ----------
    coefficients : ndarray, shape (n_terms,)
    basis : MercerBasis
    """

    coefficients: np.ndarray
    basis: MercerBasis

    def __call__(self, X: Any) -> np.ndarray:
        """The values at the items, shape (n,)."""
        found = np.zeros(len(X))
        for rows in _cuts(len(X), _POINTS):
            for terms in _cuts(len(self.coefficients), _TERMS):
                e = self.basis.functions(X[rows], np.arange(terms.start, terms.stop) + 1)
                found[rows] += e @ self.coefficients[terms]
        return found


def power_function(source: float, basis: MercerBasis, *, n_terms: int = 3000) -> PowerFunction:
    r"""A function at the edge of a power space: :math:`f^* = \sum_k k^{-(s \beta + 1) / 2} e_k`.

    It lies in :math:`[H]^t` for every t < s and for no larger one. With beta = 2 the coefficients are
    :math:`k^{-(s + 1/2)}`.

    Parameters
    ----------
    source : float
        s, above 0; up to 1 a function outside the kernel's space.
    basis : MercerBasis
    n_terms : int
        Where the sum ends.

    Returns
    -------
    PowerFunction
        Callable; ``coefficients`` are its coefficients.

    References
    ----------
    .. [1] H. Zhang, Y. Li, W. Lu and Q. Lin, "On the optimality of misspecified kernel ridge regression", ICML 2023,
       arXiv:2305.07241.

    Examples
    --------
    >>> f = power_function(0.4, sine_basis(), n_terms=100)
    >>> f.coefficients[:3].round(3), f([[0.0], [1.0]]).shape
    (array([1.   , 0.536, 0.372]), (2,))
    """
    _check_basis(basis)
    if not isinstance(source, (int, float, np.number)) or not 0 < source < math.inf:
        raise ParameterError(f"source: expected a number above 0, got {source!r}")
    k = np.arange(1, _checked_terms(n_terms) + 1, dtype=np.float64)
    return PowerFunction(k ** (-(float(source) * basis.decay + 1.0) / 2.0), basis)


def mercer_coefficients(
    f: Callable[[Any], Any], basis: MercerBasis, *, n_terms: int = 1000, n_points: int | None = None
) -> np.ndarray:
    r"""Coefficients :math:`\int f e_k` of a function by the basis's quadrature, shape (n_terms,).

    Parameters
    ----------
    f : callable, items -> (n,)
    basis : MercerBasis
    n_terms : int
    n_points : int, optional
        Nodes; four times `n_terms` by default. What f has beyond `n_points` terms is mistaken for lower ones.

    Examples
    --------
    >>> f = power_function(0.4, sine_basis(), n_terms=50)
    >>> bool(np.abs(mercer_coefficients(f, sine_basis(), n_terms=50) - f.coefficients).max() < 1e-12)
    True
    """
    _check_basis(basis)
    if isinstance(f, PowerFunction) and f.basis == basis:
        found = np.zeros(_checked_terms(n_terms))
        kept = f.coefficients[: len(found)]
        found[: len(kept)] = kept
        return found
    n_terms = _checked_terms(n_terms)
    nodes, weights = basis.quadrature(4 * n_terms if n_points is None else _checked_terms(n_points))
    values = np.asarray(f(nodes), dtype=np.float64)
    if values.shape != weights.shape:
        raise ParameterError(f"f: expected one number for each of {len(weights)} items, got {describe(values)}")
    weighted, found = values * weights, np.empty(n_terms)
    for terms in _cuts(n_terms, _TERMS):
        found[terms] = 0.0
        for rows in _cuts(len(weights), _POINTS):
            found[terms] += weighted[rows] @ basis.functions(nodes[rows], np.arange(terms.start, terms.stop) + 1)
    return found


def power_norm(
    f: Callable[[Any], Any] | np.ndarray,
    basis: MercerBasis,
    gamma: float = 0.0,
    *,
    n_terms: int = 1000,
    n_points: int | None = None,
) -> float:
    r"""The norm of a function in :math:`[H]^\gamma`, from its first terms.

    Parameters
    ----------
    f : callable, items -> (n,), or ndarray (n_terms,)
        A function, such as ``lambda X: model.predict(X) - truth(X)``, or its coefficients.
    basis : MercerBasis
    gamma : float
        At least 0.
    n_terms, n_points : int
        See :func:`mercer_coefficients`.

    Examples
    --------
    The function e_1 has norm 1 in L2, and the root of 1 / lambda_1 in the kernel's space:

    >>> basis = sine_basis()
    >>> e1 = lambda X: basis.functions(X, np.array([1]))[:, 0]
    >>> round(power_norm(e1, basis), 6), round(power_norm(e1, basis, 1.0), 6)
    (1.0, 1.570796)
    """
    _check_basis(basis)
    if not isinstance(gamma, (int, float, np.number)) or not 0 <= gamma < math.inf:
        raise ParameterError(f"gamma: expected a number at least 0, got {gamma!r}")
    a = np.asarray(f, dtype=np.float64) if not callable(f) else None
    if a is None:
        a = mercer_coefficients(f, basis, n_terms=n_terms, n_points=n_points)  # type: ignore[arg-type]
    k = np.arange(1, len(a) + 1)
    return float(np.sqrt(np.sum(basis.values(k) ** -float(gamma) * np.square(a))))


def _checked_terms(count: Any) -> int:
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or count < 1:
        raise ParameterError(f"n_terms and n_points: expected whole numbers at least 1, got {count!r}")
    return int(count)


def _check_basis(basis: Any) -> None:
    if not isinstance(basis, MercerBasis):
        raise ParameterError(f"basis: expected a MercerBasis, such as sine_basis(), got {describe(basis)}")


def _cuts(size: int, step: int) -> list[slice]:
    return [slice(start, min(start + step, size)) for start in range(0, size, step)]


def _midpoints(count: int) -> tuple[np.ndarray, np.ndarray]:
    """The middles of equal parts of [0, 1]: on so many nodes as many of the functions stay orthonormal."""
    return ((np.arange(count) + 0.5) / count)[:, None], np.full(count, 1.0 / count)


def _sine_values(k: np.ndarray) -> np.ndarray:
    return ((k - 0.5) * np.pi) ** -2.0


def _sines(X: Any, k: np.ndarray) -> np.ndarray:
    return np.sqrt(2.0) * np.sin(np.outer(np.asarray(X, dtype=np.float64).ravel(), (k - 0.5) * np.pi))


@dataclass(frozen=True)
class _Powers:
    decay: float

    def __call__(self, k: np.ndarray) -> np.ndarray:
        return np.maximum(k // 2, 1.0) ** -self.decay


def _waves(X: Any, k: np.ndarray) -> np.ndarray:
    phase = np.outer(np.asarray(X, dtype=np.float64).ravel(), 2.0 * np.pi * (k // 2))
    found = np.sqrt(2.0) * np.where(k % 2 == 0, np.cos(phase), np.sin(phase))
    found[:, k == 1] = 1.0
    return found
