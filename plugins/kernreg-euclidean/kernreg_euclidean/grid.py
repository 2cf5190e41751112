"""A kernel on the points of a regular grid: products, solutions and determinants by structure."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

import kernreg_core as kr
from kernreg_core import BaseKernel
from kernreg_core.arrays import check_vectors, describe, is_numpy, is_torch
from kernreg_core.base import provides, result_dtype_of
from kernreg_core.errors import InputError, KernregWarning

from . import _parameters
from ._grids import grid_points
from ._items import check_kernel
from ._multiply import on_columns
from ._projection import same, snapshot
from ._structures import product_on, system_on
from .rbf import RBF

#: What passes from the kernel to the kernel on a grid.
_KEPT = frozenset(
    {"symmetric", "psd", "cpd", "normalized", "stationary", "complex", "diag", "gradients", "differentiable"}
)


class Grid(BaseKernel):
    r"""A kernel whose ``matvec``, ``solve`` and ``logdet`` use that X is a regular grid.

    The values are those of the kernel itself. Where X is the points of a grid, recognised from the array alone, its
    Gram matrix has a structure:

    - of a kernel that is a product over coordinates, :math:`K = c\, K_1 \otimes \dots \otimes K_d`, whatever the axes;
    - of a stationary kernel on axes of equal steps, K is Toeplitz in every coordinate.

    ``matvec`` takes O(n (n_1 + ... + n_d)) time with the first and O(n log n) with the second. ``solve`` and ``logdet``
    take O(sum n_i^3 + n sum n_i) by eigenvectors of the factors; O(n log^2 n) on a line of equal steps, by the
    superfast form of Schur's algorithm; elsewhere, on equal steps, ``solve`` is by conjugate gradients, to a residual
    of rounding, and ``logdet`` by Schur's algorithm in blocks, O(n^2 p) for n / p points on the longest axis.

    Parameters
    ----------
    kernel : kernel, optional
        On vectors. None is ``RBF()``. Products over coordinates are: RBF, Laplace, periodic, a spectral mixture of one
        component, and multiples, products and whole powers of such.

    Raises
    ------
    InputError
        If K + noise I is not positive definite to working precision, or `X` or `b` is no NumPy array of finite numbers.
    ParameterError
        If `kernel` is no kernel on vectors.

    Warns
    -----
    KernregWarning
        Once for each object, where ``solve`` or ``logdet`` finds no structure and takes a Cholesky factorisation; and
        where conjugate gradients do not converge.

    See Also
    --------
    grid_points : the points of a grid from its axes, in the order that is recognised.

    Notes
    -----
    X is a grid if its rows are all combinations of some axes, the last coordinate running fastest. Steps are equal if
    points are off by at most 1e-9 of a step (float32: by their rounding). ``solve`` exists where the kernel declares
    ``psd`` and ``stationary``. Tensors pass through the call and through ``matvec``, which then is the kernel's own.

    References
    ----------
    Y. Saatci, Scalable Inference for Structured Gaussian Process Models, PhD thesis, Cambridge 2011.
    G. S. Ammar and W. B. Gragg, Superfast Solution of Real Positive Definite Toeplitz Systems, SIAM J. Matrix
    Anal. Appl. 9, 1988.

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_euclidean import RBF
    >>> X = grid_points(np.linspace(0.0, 1.0, 10), np.linspace(0.0, 1.0, 12))
    >>> k, b = Grid(kernel=RBF(lengthscale=0.2)), np.ones(120)
    >>> x = k.solve(X, b, 0.1)
    >>> bool(np.abs(k.matvec(X, x) + 0.1 * x - b).max() < 1e-10)
    True
    >>> bool(np.isclose(k.logdet(X, 0.1), np.linalg.slogdet(k(X) + 0.1 * np.eye(120))[1]))
    True
    """

    def __init__(self, *, kernel: Any = None) -> None:
        self.kernel = kernel

    def _inner(self) -> Any:
        return RBF() if self.kernel is None else self.kernel

    @property
    def capabilities(self) -> frozenset[str]:  # type: ignore[override]
        """The kernel's own laws and gradients, ``matvec``, and ``solve`` for a stationary positive definite kernel."""
        inner = kr.capabilities(self._inner())
        solves = {"solve"} if {"psd", "stationary"} <= inner and "complex" not in inner else set()
        return frozenset((inner & _KEPT) | {"matvec"} | solves)

    @property
    def accepts_sparse(self) -> bool:  # type: ignore[override]
        return bool(getattr(self._inner(), "accepts_sparse", False))

    @property
    def pair_cost(self) -> str:  # type: ignore[override]
        return str(getattr(self._inner(), "pair_cost", "low"))

    def check_parameters(self, X: Any) -> None:
        """Raise ParameterError unless the kernel is one, whose parameters fit `X`."""
        inner = check_kernel(self._inner())
        if isinstance(inner, BaseKernel):
            inner.check_parameters(X)

    def evaluate(self, X: Any, Y: Any) -> Any:
        """The kernel's own values between checked items, shape (n, m)."""
        inner = self._inner()
        return inner(X) if Y is X else inner(X, Y)

    def result_dtype(self, X: Any) -> Any:
        """The kernel's own."""
        return result_dtype_of(self._inner(), X)

    @provides("diag")
    def diag(self, X: Any) -> Any:
        """The kernel's own diagonal, shape (n,)."""
        return self._inner().diag(X)

    @provides("gradients")
    def grad_x(self, X: Any, Y: Any = None) -> Any:
        """The kernel's own dk/dx, shape (n, m, d)."""
        return self._inner().grad_x(X, Y)

    @provides("gradients")
    def grad_y(self, X: Any, Y: Any = None) -> Any:
        """The kernel's own dk/dy, shape (n, m, d)."""
        return self._inner().grad_y(X, Y)

    @provides("gradients")
    def grad_xy(self, X: Any, Y: Any = None) -> Any:
        """The kernel's own d2k/dx dy^T, shape (n, m, d, d)."""
        return self._inner().grad_xy(X, Y)

    # -- products -----------------------------------------------------------------------------

    def matvec(self, X: Any, V: Any, Y: Any = None) -> Any:
        """k(X, Y) V, by the structure of the grid where there is one, else the kernel's own way.

        Parameters
        ----------
        X : array, shape (n, d)
        V : array, shape (m,) or (m, p)
            Real or complex.
        Y : array, shape (m, d), optional
            `X` by default; another grid is made use of for kernels that are products over coordinates.

        Returns
        -------
        array, shape (n,) or (n, p)
        """
        X, Y = self.check_items(X, Y)
        inner = self._inner()
        product = product_on(inner, X, Y) if is_numpy(X) and is_numpy(Y) else None
        if product is None:
            return kr.matvec(inner, X, V, None if Y is X else Y)
        V = check_vectors(V, len(Y), X, tensors=False)

        def multiplied(columns: np.ndarray) -> np.ndarray:
            wide = columns.astype(np.float64, copy=False).reshape(len(Y), -1)
            return np.asarray(product.multiply(wide)).reshape(len(X), *columns.shape[1:])

        return on_columns(V, self.result_dtype(X), multiplied)

    # -- systems ------------------------------------------------------------------------------

    @provides("solve")
    def solve(self, X: Any, b: Any, noise: float) -> np.ndarray:
        """(k(X) + noise I)^-1 b.

        Parameters
        ----------
        X : ndarray, shape (n, d)
        b : ndarray, shape (n,) or (n, p)
        noise : float, at least 0

        Returns
        -------
        ndarray, shape of `b`
            float32 where both `X` and `b` are.
        """
        X = self._host_items(X)
        noise = _parameters.number("noise", noise, minimum=0.0)
        b = _right_hand_sides(b, X)
        dtype = np.result_type(X.dtype, b.dtype)
        B = b.astype(np.float64, copy=False).reshape(len(b), -1)
        return self._system(X).solve(B, noise).reshape(b.shape).astype(dtype, copy=False)

    @provides("solve")
    def logdet(self, X: Any, noise: float) -> float:
        """log det(k(X) + noise I).

        Parameters
        ----------
        X : ndarray, shape (n, d)
        noise : float, at least 0

        Returns
        -------
        float
        """
        X = self._host_items(X)
        noise = _parameters.number("noise", noise, minimum=0.0)
        return float(self._system(X).logdet(noise))

    def _host_items(self, X: Any) -> np.ndarray:
        if is_torch(X):
            raise InputError(
                "X: expected a NumPy array, got a tensor: solve and logdet on grids are NumPy's, pass X.numpy()"
            )
        X, _ = self.check_items(X)
        if not is_numpy(X):
            raise InputError(f"X: expected a dense array, got {describe(X)}: pass X.toarray()")
        return np.asarray(X)

    def _system(self, X: np.ndarray) -> Any:
        """What solves on `X`: the last one again where neither the points nor the kernel have changed."""
        inner, cache = self._inner(), self.__dict__.setdefault("_cache", {})
        kept = cache.get("system")
        if kept is not None and np.array_equal(kept[0], X) and kept[0].dtype == X.dtype and same(kept[1], inner):
            return kept[2]
        found = system_on(inner, X, self._warn)
        cache["system"] = (X.copy(), snapshot(inner), found)
        return found

    def _warn(self, missing: str) -> None:
        if not self.__dict__.get("_has_warned"):
            self._has_warned = True
            warnings.warn(
                f"{self!r}: {missing}, so that solve and logdet take a Cholesky factorisation in O(n^3); this is said "
                "once for each object: give it a grid (kernreg_euclidean.grid.grid_points), or solve with the kernel "
                "itself",
                KernregWarning,
                stacklevel=5,
            )


def _right_hand_sides(b: Any, X: np.ndarray) -> np.ndarray:
    """`b` as one or more columns of real numbers, float32 or float64."""
    b = check_vectors(b, len(X), X, tensors=False, name="b")
    if b.dtype.kind == "c":
        raise InputError(f"b: expected real numbers, got {describe(b)}: solve for real and imaginary parts as columns")
    return b if b.dtype in (np.float32, np.float64) else b.astype(np.float64)


__all__ = ["Grid", "grid_points"]
