"""The largest eigenpairs of a symmetric operator that is known by its products with blocks of vectors.

Nothing here knows about estimators or kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.linalg import blas, lapack, solve_triangular

from .linalg import Eigenpairs

#: ``product(Q)`` gives A Q^T as rows, in memory of its own: Q and the result have shape (b, n).
Product = Callable[[np.ndarray], np.ndarray]

#: What a block adds to the basis below this fraction of the operator's norm is rounding.
_NOTHING = {np.dtype(np.float64): 1e-11, np.dtype(np.float32): 1e-5}
#: Error of a product in float32, relative to the operator's norm, until it has been measured.
_ROUGH = 2e-6


def krylov_eigenpairs(
    product: Product,
    start: np.ndarray,
    q: int,
    *,
    tol: float,
    max_iter: int,
    limit: int | None = None,
    rough: Product | None = None,
) -> Eigenpairs:
    r"""The `q` largest (algebraic) eigenpairs of a symmetric A, by a block Krylov subspace with thick restarts.

    Blocks :math:`Q_1, Q_2, \ldots` of orthonormal rows with
    :math:`A Q_j^T = Q_{j-1}^T B_j^T + Q_j^T T_{jj} + Q_{j+1}^T B_{j+1}` make T block tridiagonal: the best pairs of
    the subspace (Rayleigh-Ritz) are :math:`u = Q^T y` with :math:`T y = \theta y`, and their residuals
    :math:`\|A u - \theta u\| = \|B y_{last}\|` cost nothing. A block costs one pass over A, hardly more than a
    single vector.

    With `rough`, the subspace is built from products in float32. Where their error would show, the leading pairs
    are multiplied by A once in float64, and the subspace is built anew from these pairs, their exact images and the
    exact residuals: what is then rough are corrections alone, so that the result is exact to `tol`. How rough the
    products are is measured at every such refresh.

    Parameters
    ----------
    product : callable
        ``product(Q)`` gives the images of the rows of `Q`, shape (b, n), as rows that may be overwritten; it is
        called with blocks of the size of `start` or smaller.
    start : ndarray, shape (b, n)
        Rows that span the first block, b >= q; the closer to the wanted space, the better.
    q : int
        Much smaller than n.
    tol : float
        A pair has converged when |A u - l u| <= tol * max |l|.
    max_iter : int
        Products at most.
    limit : int, optional
        Rows of the basis at most, at least 2 b; what is known of the leading pairs is kept when it is reached.
    rough : callable, optional
        As `product`, in float32.

    Returns
    -------
    Eigenpairs
        `n_iter` counts products, rough ones too.

    References
    ----------
    .. [1] G. Golub and R. Underwood, "The block Lanczos method for computing eigenvalues", Mathematical Software III,
       1977.
    .. [2] C. Musco and C. Musco, "Randomized block Krylov methods for stronger and faster approximate singular value
       decomposition", NeurIPS 2015.
    .. [3] K. Wu and H. Simon, "Thick-restart Lanczos method for large symmetric eigenvalue problems", SIAM Journal on
       Matrix Analysis and Applications 22, 2000.
    """
    width, n = start.shape
    limit = min(n, max(12 * width, 160) if limit is None else max(limit, 2 * width))
    unit = _Unit()
    product, rough = unit.of(product), None if rough is None else unit.of(rough)
    space = _Subspace(start / _power_of_two(start), q, limit, np.float32 if rough is not None else np.float64)
    taken, error = 0, np.inf
    noise, last = (_ROUGH if rough is not None else 0.0), np.inf
    while taken < max_iter and (space.can_grow or space.refill()):
        space.grow(product if rough is None else rough)
        taken, error = taken + 1, space.residual()
        doubt = noise * space.rough_share()  # what the products' roughness may do to the leading pairs
        if error > max(tol, doubt) and space.can_grow:
            continue
        if doubt <= tol:
            if error <= tol:
                break
            continue
        space, error, measured = space.refreshed(product)
        taken += 1
        if error <= tol:
            break
        noise = max(4.0 * measured, 4.0 * float(np.finfo(np.float32).eps))
        if error > 0.1 * last:  # products this rough lead nowhere
            rough, noise = None, 0.0
        last = error
    values, vectors = space.pairs()
    return Eigenpairs(values * unit.size, vectors, taken, error <= tol, error)


class _Unit:
    """Measures an operator by its first image, so that squares of images neither overflow nor vanish."""

    def __init__(self) -> None:
        self.size = 0.0

    def of(self, product: Product) -> Product:
        """`product` in this unit."""

        def measured(Q: np.ndarray) -> np.ndarray:
            image = product(Q)
            self.size = self.size or _power_of_two(image)
            image /= self.size
            return image

        return measured


def _power_of_two(rows: np.ndarray) -> float:
    """The size of the largest entry, 1 if all are zero: division by it does not round."""
    largest = float(np.abs(rows).max(initial=0.0))
    return 2.0 ** math.floor(math.log2(largest)) if largest > 0 else 1.0


class _Subspace:
    """An orthonormal basis (rows), what A is on it, and the block that comes next.

    Parameters
    ----------
    start : ndarray, shape (b, n)
    q : int
    limit : int
        Rows of the basis at most.
    dtype
        Of the basis; T is in float64.
    """

    def __init__(self, start: np.ndarray, q: int, limit: int, dtype: type[np.floating]) -> None:
        self.width, self.n = start.shape
        self.q, self.limit = q, limit
        self.basis = np.empty((limit + self.width, self.n), dtype)
        self.T = np.zeros((limit + self.width, limit + self.width))
        self.used = self.exact = 0
        self.scale = 0.0
        self.block = _orthonormal(np.ascontiguousarray(start, dtype), self.basis[:0], float(np.linalg.norm(start)))[0]
        self.coupling = np.zeros((len(self.block), 0))
        self.theta, self.Y = np.zeros(0), np.zeros((0, 0))
        self._lowest = -np.inf  # of the wanted values when a random block was last added to them

    @property
    def can_grow(self) -> bool:
        """Whether there is a next block: else the subspace is invariant."""
        return len(self.block) > 0

    def grow(self, product: Product) -> None:
        """Take the next block into the basis, restarting where that is full, and find the best pairs."""
        if self.used + len(self.block) > self.limit:
            self._restart()
        old, fresh = slice(0, self.used), slice(self.used, self.used + len(self.block))
        self.used = fresh.stop
        basis, T = self.basis[: self.used], self.T
        basis[fresh] = self.block
        image = product(basis[fresh])
        self.scale = max(self.scale, float(np.linalg.norm(image, axis=1).max()))
        own = _project_out(image, basis)[fresh]
        # T as the recurrence has it, and not as rough images show it
        T[fresh, old], T[old, fresh] = self.coupling, self.coupling.T
        T[fresh, fresh] = (own + own.T) / 2
        self.block, link = _orthonormal(image, basis, self.scale)
        self.theta, self.Y = _descending(T[: self.used, : self.used])
        self.coupling = np.zeros((len(self.block), self.used))
        self.coupling[:, fresh] = link

    def residual(self) -> float:
        """Of the worst of the `q` pairs, relative to the largest value; infinite while there are fewer pairs."""
        if self._lacks_pairs():
            return np.inf
        largest = max(abs(self.theta[0]), abs(self.theta[-1]))
        worst = float(np.linalg.norm(self.coupling @ self.Y[:, : self.q], axis=0).max()) if self.can_grow else 0.0
        return worst / largest if largest > 0 else 0.0

    def rough_share(self) -> float:
        """Norm of the part of the `q` vectors whose image is known roughly."""
        if self.used < self.q:
            return 1.0
        return float(np.linalg.norm(self.Y[self.exact :, : self.q], axis=0).max())

    def _lacks_pairs(self) -> bool:
        """Whether there are fewer than `q`, or an invariant subspace has negative ones, outside of which are zeros."""
        if self.used < self.q:
            return True
        lowest = self.theta[self.q - 1]
        improved = lowest > self._lowest + 1e-7 * self.scale
        return not self.can_grow and self.used < self.n and bool(improved and lowest < -1e-7 * self.scale)

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """The `q` best values, and the vectors as columns."""
        vectors = np.zeros((self.n, self.q))
        values = np.zeros(self.q)
        found = min(self.q, self.used)
        values[:found] = self.theta[:found]
        vectors[:, :found] = self.basis[: self.used].T @ self.Y[:, :found].astype(self.basis.dtype)
        return values, vectors

    def refill(self) -> bool:
        """A random next block for an invariant subspace that lacks pairs; False where there is no room."""
        missing = min(self.width, self.n - self.used)
        if missing < 1 or not self._lacks_pairs():
            return False
        if self.used >= self.q:
            self._lowest = float(self.theta[self.q - 1])
        block: np.ndarray = np.random.default_rng(self.used).standard_normal((missing, self.n)).astype(self.basis.dtype)
        _project_out(block, self.basis[: self.used])
        self.block = _orthonormal(block, self.basis[: self.used], float(np.sqrt(self.n)))[0]
        self.coupling = np.zeros((len(self.block), self.used))
        return self.can_grow

    def refreshed(self, product: Product) -> tuple[_Subspace, float, float]:
        """A subspace of the leading pairs with exact images, its residual, and how rough the images were before."""
        kept = min(self.width, self.used)
        ritz = self._leading(kept).astype(np.float64)
        expected = self.theta[:kept, None] * ritz + (self.coupling @ self.Y[:, :kept]).T @ self.block
        R = _cholesky_rows(ritz)
        image = product(ritz)
        expected = solve_triangular(R, expected, trans="T", check_finite=False)
        measured = float(np.linalg.norm(image - expected, axis=1)[: self.q].max()) / max(abs(self.theta[0]), 1e-300)
        new = _Subspace(np.empty((self.width, 0)), self.q, self.limit, np.float64)
        new.take(ritz, image, self.scale)
        new._lowest = self._lowest
        return new, new.residual(), measured

    def take(self, rows: np.ndarray, image: np.ndarray, scale: float) -> None:
        """Begin with orthonormal rows and their exact images."""
        count, self.n = rows.shape
        self.basis = np.empty((self.limit + self.width, self.n))
        self.scale, self.used, self.exact = scale, count, count
        inner = rows @ image.T
        self.theta, Y = _descending((inner + inner.T) / 2)
        np.matmul(Y.T, rows, out=self.basis[:count])
        residuals = Y.T @ image - self.theta[:, None] * self.basis[:count]
        self.T[:count, :count] = np.diag(self.theta)
        self.Y = np.eye(count)
        self.block, self.coupling = _orthonormal(residuals, self.basis[:count], scale)

    def _leading(self, count: int) -> np.ndarray:
        return np.asarray(self.Y[:, :count].T.astype(self.basis.dtype) @ self.basis[: self.used])

    def _restart(self) -> None:
        """Keep the leading pairs only; the next block is as it was."""
        kept = min(self.width, self.used)
        self.basis[:kept] = self._leading(kept)
        self.coupling = self.coupling @ self.Y[:, :kept]
        self.T[:kept, :kept] = np.diag(self.theta[:kept])
        self.Y = np.eye(kept)
        self.used, self.exact = kept, min(self.exact, 0)


def _descending(T: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    theta, Y = np.linalg.eigh(T)
    return theta[::-1].copy(), Y[:, ::-1].copy()


def _project_out(image: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Take from the rows of `image`, in place, their parts in the span of `basis`; returns the coefficients."""
    coefficients = basis @ image.T
    image -= coefficients.T @ basis
    again = basis @ image.T  # the second pass removes what rounding left
    image -= again.T @ basis
    return np.asarray(coefficients + again)


def _orthonormal(image: np.ndarray, basis: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal rows Q and B with image^T = Q^T B, for rows that are orthogonal to `basis`; `image` is overwritten.

    Directions below rounding, as seen from `scale`, are dropped.
    """
    nothing = _NOTHING[image.dtype]
    strengths = np.linalg.eigvalsh(image @ image.T) if image.size else np.zeros(1)
    if strengths[0] > max(10 * nothing * strengths[-1], (nothing * scale) ** 2):
        first = _cholesky_rows(image)
        return image, _cholesky_rows(image) @ first
    left, sizes, right = np.linalg.svd(image.T, full_matrices=False)
    kept = sizes > nothing * scale
    block, link = np.ascontiguousarray(left[:, kept].T), sizes[kept, None] * right[kept]
    if len(block):
        _project_out(block, basis)
        link = _cholesky_rows(block) @ link
    return block, link


def _cholesky_rows(image: np.ndarray) -> np.ndarray:
    """Make the rows of `image` orthonormal in place; returns the upper triangular R with before = R^T after."""
    gram = image @ image.T
    R = lapack.dpotrf(gram.astype(np.float64), lower=0, clean=1)[0]
    # X R = image^T, column by column in memory, hence in place
    solve = blas.dtrsm if image.dtype == np.float64 else blas.strsm
    image[...] = solve(1.0, R.astype(image.dtype), image.T, side=1, overwrite_b=1).T
    return np.asarray(R)
