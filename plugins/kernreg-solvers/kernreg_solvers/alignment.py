r"""Kernel-target alignment: how much a Gram matrix looks like the targets' own.

With the targets as columns of Y, the centring H = I - 1 1^T / n and T = H Y Y^T H,

.. math:: A(K) = \frac{\langle H K H, T \rangle}{\|H K H\|_F \, \|T\|_F} \in [-1, 1].
"""

from __future__ import annotations

from typing import Any

import numpy as np

from kernreg_core.arrays import describe
from kernreg_core.errors import InputError, ParameterError

from .mixin import as_numpy, count


def align(K: Any, y: Any, *, centered: bool = True) -> float:
    """Alignment of a Gram matrix with targets.

    Parameters
    ----------
    K : array, shape (n, n)
        Symmetric.
    y : array_like, shape (n,) or (n, t)
        Classes (texts, truth values or whole numbers), or numbers.
    centered : bool
        Centre both matrices in feature space, which makes the alignment invariant to a constant added to the kernel
        and sound for classes of unequal sizes [1]_; False is the older definition [2]_.

    Returns
    -------
    float
        In [-1, 1], not negative for positive semi-definite K; 0 where K or the targets are constant.

    Raises
    ------
    InputError
        If `K` is not square and finite, or `y` has another length.

    References
    ----------
    .. [1] C. Cortes, M. Mohri and A. Rostamizadeh, "Algorithms for learning kernels based on centered alignment",
       Journal of Machine Learning Research 13, 2012. arXiv:1203.0550
    .. [2] N. Cristianini, J. Shawe-Taylor, A. Elisseeff and J. Kandola, "On kernel-target alignment", NeurIPS 2001.

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_solvers import align
    >>> y = np.array(["a", "a", "b", "b"])
    >>> align(np.equal.outer(y, y).astype(float), y)
    1.0
    >>> align(np.eye(4), y).__round__(4)
    0.5774
    """
    matrix = np.asarray(as_numpy(K), dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise InputError(f"K: expected a square Gram matrix, got {describe(K)}")
    if not np.isfinite(matrix).all():
        raise InputError("K: expected finite values, got NaN or infinity among them")
    if count(y) != len(matrix):
        raise InputError(f"y: expected {len(matrix)} targets, one for each row of K, got {describe(y)}")
    return float(min(1.0, max(-1.0, Alignment(targets_of(y), centered=centered).value(matrix))))


def targets_of(y: Any, kind: str = "auto") -> np.ndarray:
    """Targets as columns of numbers, shape (n, t).

    Parameters
    ----------
    y : array_like, shape (n,) or (n, t)
    kind : {'auto', 'classes', 'numbers'}
        'auto' takes texts, truth values and whole numbers in one column as classes.

    Returns
    -------
    ndarray
        Two classes: one column of -1 and 1; several: one of 0 and 1 for each; numbers as they are.
    """
    if kind not in ("auto", "classes", "numbers"):
        raise ParameterError(f"target: expected 'auto', 'classes' or 'numbers', got {kind!r}")
    array = np.asarray(as_numpy(y))
    if array.ndim not in (1, 2):
        raise InputError(f"y: expected shape (n,) or (n, t), got {describe(y)}")
    if holds_numbers(array, kind):
        try:
            found = array.astype(np.float64).reshape(len(array), -1)
        except (TypeError, ValueError):
            raise InputError(f"y: expected numbers, got {describe(y)}") from None
        if not np.isfinite(found).all():
            raise InputError("y: expected finite numbers, got NaN or infinity among them")
        return found
    if array.ndim == 2 and array.shape[1] != 1:
        raise InputError(f"y: expected one column of classes, got {describe(y)}: pass target='numbers' for several")
    classes, codes = np.unique(array.ravel(), return_inverse=True)
    if len(classes) == 2:
        return np.where(codes == 1, 1.0, -1.0)[:, None]
    return np.eye(len(classes))[codes]


def holds_numbers(y: np.ndarray, kind: str = "auto") -> bool:
    """Whether targets are numbers rather than classes, see :func:`targets_of`."""
    several = y.ndim == 2 and y.shape[1] != 1
    return kind == "numbers" or (kind == "auto" and (several or y.dtype.kind == "f"))


class Alignment:
    """The alignment with given targets as a function of K, with its derivative.

    Parameters
    ----------
    Y : ndarray, shape (n, t)
    centered : bool
    """

    def __init__(self, Y: np.ndarray, *, centered: bool = True) -> None:
        self.centered = centered
        self.Y = Y - Y.mean(axis=0) if centered else Y
        self.norm = float(np.linalg.norm(self.Y.T @ self.Y))  # |Y Y^T| = |Y^T Y|

    def _parts(self, K: np.ndarray) -> tuple[np.ndarray, float, float]:
        """The centred matrix, its norm (0 for a constant K), and its inner product with the targets' matrix."""
        C = _centred(K) if self.centered else K
        norm = float(np.linalg.norm(C))
        if self.centered and norm <= 1e-12 * float(np.linalg.norm(K)):
            norm = 0.0  # what centring leaves of a constant matrix is rounding
        return C, norm, float(np.vdot(self.Y, C @ self.Y))

    def value(self, K: np.ndarray) -> float:
        """A(K); 0 where either matrix is zero."""
        _, norm, inner = self._parts(K)
        return 0.0 if norm == 0.0 or self.norm == 0.0 else inner / (norm * self.norm)

    def value_and_derivative(self, K: np.ndarray) -> tuple[float, np.ndarray]:
        """A(K), and its derivative by the entries of K, shape (n, n), symmetric."""
        C, norm, inner = self._parts(K)
        if norm == 0.0 or self.norm == 0.0:
            raise np.linalg.LinAlgError("the centred Gram matrix is zero")
        value = inner / (norm * self.norm)
        # both terms are centred already, so that H G H = G
        G = (self.Y @ self.Y.T) / (norm * self.norm) - (value / norm**2) * C
        return value, G


def _centred(K: np.ndarray) -> np.ndarray:
    means = K.mean(axis=1)
    return np.asarray(K - means[:, None] - means[None, :] + means.mean())
