"""Rows of frequencies, as a matrix or as fast transforms, and the couplings between Gaussian ones.

Coupled rows are each exactly (structured ones: very nearly) standard normal; what differs is how the rows of one block
depend on each other, and so the variance of an average over them.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from kernreg_core.arrays import is_sparse
from kernreg_core.errors import ParameterError
from kernreg_core.numeric import fwht, orthogonal_gaussian, simplex_gaussian

#: Side of the random orthogonal blocks of structured rows: up to this dimension the rows are exactly Haar.
BLOCK = 16
#: Rounds of blocks and Hadamard transforms of structured rows.
ROUNDS = 3

#: Writes the products of dense rows with all frequencies, (b, m), into an array.
Project = Callable[[Any, np.ndarray], None]


class DenseRows:
    """Frequencies that are the rows of a matrix.

    Parameters
    ----------
    rows : ndarray, shape (m, d)
    """

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def times(self, scales: np.ndarray) -> DenseRows:
        """Each row times its own number."""
        return DenseRows(self.rows * scales[:, None])

    def reach(self, factor: Any) -> float:
        """No entry of the frequencies times `factor` is larger."""
        return float(np.abs(self.rows * factor).max())

    def longest(self) -> float:
        """The length of the longest frequency."""
        return float(np.linalg.norm(self.rows, axis=1).max())

    def projection(self, factor: Any, dtype: Any) -> Project:
        """The products of rows with the frequencies times `factor`, a number or one for each column."""
        weights = np.ascontiguousarray((self.rows * factor).T, dtype)

        def project(X: Any, out: np.ndarray) -> None:
            if is_sparse(X):
                out[...] = X @ weights
            else:
                np.matmul(X, weights, out=out)

        return project

    def of_tensor(self, X: Any) -> Any:
        """The products of a tensor's rows with the frequencies, with gradients."""
        return X @ X.new_tensor(self.rows).T


class StructuredRows:
    r"""Frequencies that are the rows of products of Hadamard transforms and random orthogonal blocks.

    .. math:: W = D\, H B_3\, H B_2\, H B_1, \qquad H = H_g \otimes I_{16}, \quad B_r = \mathrm{diag}(Q_{r1}, \ldots)

    of padded dimension p = 16 g, a power of two, with independent Haar matrices Q and norms D of a chi law with p
    degrees of freedom: p rows in O(p log p) operations and 48 p numbers, and as many of these as are asked for.

    Up to p = 16 the rows are exactly Haar. Beyond, a round takes the distance of the expected sum of fourth powers of
    the blocks' norms from that of a Haar matrix times -2 / p; so with blocks of side b the fourth moment of a row's
    product with any unit vector is off by a relative ``8 (p - b) / ((b + 2) p^2 (p + 2))`` at most: 2e-4 at p = 32,
    4e-7 at p = 1024. Plain signs, b = 1, as in Yu et al. 2016, would be off by 1 % at p = 16 and 8 % at p = 4.

    Parameters
    ----------
    blocks : ndarray, shape (t, rounds, g, b, b)
        Of t independent matrices.
    scales : ndarray, shape (m,)
        Norms of the rows, m <= t g b.
    d : int
        Features of the data.
    """

    def __init__(self, blocks: np.ndarray, scales: np.ndarray, d: int) -> None:
        self.blocks = blocks
        self.scales = scales
        self.d = d

    def __len__(self) -> int:
        return len(self.scales)

    def times(self, scales: np.ndarray) -> StructuredRows:
        """Each row times its own number."""
        return StructuredRows(self.blocks, self.scales * scales, self.d)

    def reach(self, factor: Any) -> float:
        """No entry of the frequencies times `factor` is larger."""
        return float(np.abs(self.scales).max() * np.abs(factor).max())

    def longest(self) -> float:
        """No frequency is longer."""
        return float(np.abs(self.scales).max())

    def projection(self, factor: Any, dtype: Any) -> Project:
        """The products of rows with the frequencies times `factor`, a number or one for each column."""
        # rows are multiplied from the right: x Q^T
        blocks = np.ascontiguousarray(np.swapaxes(self.blocks, -1, -2), dtype)
        scales = self.scales.astype(dtype)
        columns = np.asarray(factor, dtype)
        _, rounds, g, b, _ = blocks.shape

        def project(X: Any, out: np.ndarray) -> None:
            rows = X.toarray() if is_sparse(X) else X
            n, p = rows.shape[0], g * b
            padded = np.zeros((n, p), dtype)
            np.multiply(rows, columns, out=padded[:, : self.d])
            start = np.ascontiguousarray(padded.reshape(n, g, b).swapaxes(0, 1))
            for t in range(len(blocks)):
                Z = start
                for r in range(rounds):
                    Z = np.matmul(Z, blocks[t, r])
                    if g > 1:
                        fwht(Z, axis=0, normalized=True, out=Z)
                columns_of_t = slice(t * p, min((t + 1) * p, out.shape[1]))
                width = columns_of_t.stop - columns_of_t.start
                found = Z.swapaxes(0, 1).reshape(n, p)
                np.multiply(found[:, :width], scales[columns_of_t], out=out[:, columns_of_t])

        return project

    def of_tensor(self, X: Any) -> Any:
        """The products of a tensor's rows with the frequencies, with gradients."""
        torch = sys.modules["torch"]
        t, rounds, g, b, _ = self.blocks.shape
        blocks = X.new_tensor(self.blocks)
        n = X.shape[0]
        padded = torch.nn.functional.pad(X, (0, g * b - self.d))
        Z = padded.reshape(1, n, g, b).expand(t, n, g, b)
        for r in range(rounds):
            Z = torch.einsum("tngi,tgji->tngj", Z, blocks[:, r])
            Z = _hadamard(Z) if g > 1 else Z
        found = Z.transpose(0, 1).reshape(n, t * g * b)
        return found[:, : len(self)] * X.new_tensor(self.scales)


def _hadamard(Z: Any) -> Any:
    """The normalised Hadamard transform of a tensor along its last axis but one."""
    torch = sys.modules["torch"]
    shape, g = Z.shape, Z.shape[-2]
    half = 1
    while half < g:
        pairs = Z.reshape(*shape[:-2], g // (2 * half), 2, half * shape[-1])
        a, b = pairs[..., 0, :], pairs[..., 1, :]
        Z = torch.stack([a + b, a - b], -2)
        half *= 2
    return Z.reshape(shape) / math.sqrt(g)


Rows = DenseRows | StructuredRows


def _haar(count: int, b: int, rng: np.random.Generator) -> np.ndarray:
    """Haar-distributed orthogonal matrices, shape (count, b, b)."""
    rows = orthogonal_gaussian(count * b, b, rng).reshape(count, b, b)
    found: np.ndarray = rows / np.linalg.norm(rows, axis=-1, keepdims=True)
    return found


def _iid(n: int, d: int, rng: np.random.Generator) -> Rows:
    return DenseRows(rng.standard_normal((n, d)))


def _orthogonal(n: int, d: int, rng: np.random.Generator) -> Rows:
    return DenseRows(orthogonal_gaussian(n, d, rng))


def _simplex(n: int, d: int, rng: np.random.Generator) -> Rows:
    return DenseRows(simplex_gaussian(n, d, rng))


def _structured(n: int, d: int, rng: np.random.Generator) -> Rows:
    p = 1 << (d - 1).bit_length()
    b = min(p, BLOCK)
    t, g = -(-n // p), p // b
    scales = np.sqrt(rng.chisquare(p, size=n))
    if g == 1:  # one Haar block: a matrix of the size that it is stored in anyway
        return DenseRows(_haar(t, p, rng).reshape(-1, p)[:n, :d] * scales[:, None])
    return StructuredRows(_haar(t * ROUNDS * g, b, rng).reshape(t, ROUNDS, g, b, b), scales, d)


def _simplex_plus(n: int, d: int, rng: np.random.Generator) -> Rows:
    r"""Rows of each block that add up to zero, as nearly as their norms allow, then turned by a Haar rotation.

    Of given norms the sum over pairs of |w_i + w_j|^2 is (b - 2) sum |w_i|^2 + |sum w_i|^2: least where rows cancel.
    Starting from a simplex, each row in turn is laid antiparallel to the sum of the others, which never raises it.
    """
    W = simplex_gaussian(n, d, rng)
    if d == 1:
        return DenseRows(W)
    full, rest = divmod(n, d)
    parts = [W[: full * d].reshape(full, d, d), W[full * d :].reshape(1, rest, d)]
    turned = [_cancelled(part) @ _haar(len(part), d, rng) for part in parts if part.size]
    return DenseRows(np.concatenate([part.reshape(-1, d) for part in turned]))


#: Rounds of the iteration for rows that cancel, and the length of the sum, relative to the norms', that ends it.
_SWEEPS, _CANCELLED = 100, 1e-10


def _cancelled(W: np.ndarray) -> np.ndarray:
    """Directions of blocks of rows, (t, b, d), iterated until the rows of each block cancel; norms are kept."""
    W = W.copy()
    norms = np.linalg.norm(W, axis=-1, keepdims=True)
    total = W.sum(axis=1)
    for _ in range(_SWEEPS):
        before = np.linalg.norm(total, axis=-1)
        for i in range(W.shape[1]):
            others = total - W[:, i]
            length = np.linalg.norm(others, axis=-1, keepdims=True)
            turned = np.where(length > 0, -norms[:, i] * others / np.where(length > 0, length, 1.0), W[:, i])
            total = others + turned
            W[:, i] = turned
        total = W.sum(axis=1)  # anew: the running sum collects rounding errors
        after = np.linalg.norm(total, axis=-1)
        done = (after <= _CANCELLED * norms.sum(axis=(1, 2))) | (after >= (1.0 - 1e-6) * before)
        if done.all():
            break
    return W


#: Couplings of Gaussian rows: ``make(n, d, rng)`` gives n rows in d dimensions.
COUPLINGS: dict[str, Callable[[int, int, np.random.Generator], Rows]] = {
    "iid": _iid,
    "orthogonal": _orthogonal,
    "structured": _structured,
    "simplex": _simplex,
    "simplex_plus": _simplex_plus,
}


def check_coupling(coupling: Any, known: tuple[str, ...]) -> str:
    """`coupling` if it is one of `known`; ParameterError otherwise."""
    if not isinstance(coupling, str) or coupling not in known:
        raise ParameterError(f"coupling: expected one of {', '.join(map(repr, known))}, got {coupling!r}")
    return coupling
