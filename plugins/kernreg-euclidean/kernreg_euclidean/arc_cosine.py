"""Arc-cosine kernels: infinitely wide one-layer networks."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from kernreg_core.arrays import is_torch
from kernreg_core.base import provides

from . import _parameters
from ._tiles import Scratch, Tiles
from ._vectors import VectorKernel, diagonal_of

#: Values of J_order(0) / pi: the kernel of a row with itself, relative to |x|^(2 order).
_AT_ZERO = (1.0, 1.0, 3.0)
#: Closer to 1 than this, an angle is computed from differences, not from its cosine (order 0).
_NEAR_ONE = 5e-7


class ArcCosine(VectorKernel):
    r"""Arc-cosine kernel: an infinitely wide layer of units max(0, w . x)^order, w standard normal.

    .. math::
        k(x, y) = \frac1\pi (|u|\,|v|)^{n} J_n(\theta), \quad \cos\theta = \frac{u \cdot v}{|u|\,|v|},
        \quad u \cdot v = \sigma_w^2\, x \cdot y + \sigma_b^2

        J_0 = \pi - \theta, \quad J_1 = \sin\theta + (\pi - \theta)\cos\theta, \quad
        J_2 = 3 \sin\theta\cos\theta + (\pi - \theta)(1 + 2\cos^2\theta)

    Parameters
    ----------
    order : {0, 1, 2}, default 1
        n: steps, rectified linear units, their squares.
    weight_variance : float, default 1.0
        sigma_w^2 > 0.
    bias_variance : float, default 0.0
        sigma_b^2 >= 0.

    Raises
    ------
    ParameterError
        At call, if a parameter is out of range.

    Notes
    -----
    The kernel equals 2 E[f(w . x) f(w . y)], as in the paper. scikit-learn and GPyTorch do not have it.
    A row of zeros without bias has no angle; it is taken as orthogonal to everything.
    Order 0 has a kink where x and y are parallel; its gradient is 0 there.

    References
    ----------
    Y. Cho and L. K. Saul, Kernel Methods for Deep Learning, NeurIPS 2009.

    Examples
    --------
    >>> import numpy as np
    >>> ArcCosine()(np.array([[1.0, 0.0], [0.0, 2.0]])).round(6)
    array([[1.     , 0.63662],
           [0.63662, 4.     ]])
    """

    capabilities = frozenset({"symmetric", "psd", "diag", "matvec", "differentiable"})

    def __init__(self, *, order: Any = 1, weight_variance: Any = 1.0, bias_variance: Any = 0.0) -> None:
        self.order = order
        self.weight_variance = weight_variance
        self.bias_variance = bias_variance

    def check_parameters(self, X: Any) -> None:
        """Raise ParameterError unless the parameters are in range."""
        _parameters.integer("order", self.order, minimum=0, maximum=2)
        _parameters.number("weight_variance", self.weight_variance, above=0.0)
        _parameters.number("bias_variance", self.bias_variance, minimum=0.0)

    def _rows(self, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors of the rows u (the bias as one more column) and their lengths, in float64."""
        U = np.empty((X.shape[0], X.shape[1] + 1))
        np.multiply(X, math.sqrt(_parameters.number("weight_variance", self.weight_variance)), out=U[:, :-1])
        U[:, -1] = math.sqrt(_parameters.number("bias_variance", self.bias_variance))
        lengths = np.sqrt(np.einsum("ij,ij->i", U, U))
        U /= np.where(lengths > 0, lengths, 1.0)[:, None]
        return U, lengths

    def _tiles(self, X: Any, Y: Any, dtype: Any) -> Tiles:
        order = int(self.order)
        U, u = self._rows(X)
        V, v = (U, u) if Y is X else self._rows(Y)
        columns = np.ascontiguousarray(V.T)
        u, v = u**order / math.pi, v**order

        def tile(r: slice, c: slice, values: np.ndarray, scratch: Scratch) -> None:
            # in float64 throughout: near 1 an error of the cosine becomes its square root in the angle
            cosine = scratch.get("cosine", values.shape, np.float64)
            np.matmul(U[r], columns[:, c], out=cosine)
            np.clip(cosine, -1.0, 1.0, out=cosine)
            angle = np.arccos(cosine, out=scratch.get("angle", values.shape, np.float64))
            if order == 0:
                _refine(angle, cosine, U[r], V[c])
            J = _angular(order, cosine, angle, scratch)
            if order:
                J *= u[r, None]
                np.multiply(J, v[c], out=values, casting="same_kind")
            else:
                np.multiply(J, 1.0 / math.pi, out=values, casting="same_kind")

        shape, diagonal = (X.shape[0], Y.shape[0]), self._diagonal(X) if Y is X else None
        return Tiles(shape, tile, Y is X, X.shape[1] + 30, diagonal=diagonal, buffers=4)

    def _functional(self, X: Any, Y: Any) -> Any:
        torch = sys.modules["torch"]
        order = int(self.order)
        weight, bias = self._operand("weight_variance", X), self._operand("bias_variance", X)

        def length(A: Any) -> Any:
            squared = weight * A.square().sum(-1) + bias
            return torch.where(squared > 0, squared.where(squared > 0, 1.0).sqrt(), 0.0)

        u = length(X)
        v = u if Y is X else length(Y)
        scale = u[:, None] * v[None, :]
        product = weight * (X @ Y.mT) + bias
        cosine = product / scale.where(scale > 0, 1.0)
        if order:
            return scale**order * _tensor_angular(order, cosine) / math.pi

        # a bias of exactly 0 has no square root with a gradient
        root = bias**0.5 if _parameters.number("bias_variance", self.bias_variance) > 0 else 0.0 * bias

        def unit(A: Any, size: Any) -> Any:
            bent = torch.cat([A * weight**0.5, root * A.new_ones((A.shape[0], 1))], 1)
            return bent / size.where(size > 0, 1.0)[:, None]

        U = unit(X, u)
        return _tensor_steps(cosine, U, U if Y is X else unit(Y, v))

    def _diagonal(self, X: Any) -> Any:
        """J_n(0) / pi (|u|^2)^n; for order 0 one half for a row without an angle."""
        order = int(self.order)
        if is_torch(X):
            squared = self._operand("weight_variance", X) * X.square().sum(-1) + self._operand("bias_variance", X)
            return _AT_ZERO[order] * squared**order if order else 0.5 + 0.5 * (squared > 0).to(X.dtype)
        weight = _parameters.number("weight_variance", self.weight_variance)
        squared = weight * np.einsum("ij,ij->i", X, X, dtype=np.float64)
        squared += _parameters.number("bias_variance", self.bias_variance)
        return _AT_ZERO[order] * squared**order if order else np.where(squared > 0, 1.0, 0.5)

    @provides("diag")
    def diag(self, X: Any) -> Any:
        """The diagonal of k(X) from its closed form, shape (n,)."""
        X, _ = self.check_items(X)
        found = self._diagonal(X)
        return found if is_torch(X) else diagonal_of(found, X)


def _refine(angle: np.ndarray, cosine: np.ndarray, U: np.ndarray, V: np.ndarray) -> None:
    """Angles near 0 and pi again, as 2 atan2(|u - v|, |u + v|): arccos loses half their digits."""
    i, j = np.nonzero(np.abs(cosine) > 1.0 - _NEAR_ONE)
    step = max(1, (1 << 18) // U.shape[1])
    for first in range(0, len(i), step):
        a, b = i[first : first + step], j[first : first + step]
        minus, plus = U[a] - V[b], U[a] + V[b]
        angle[a, b] = 2.0 * np.arctan2(
            np.sqrt(np.einsum("ij,ij->i", minus, minus)), np.sqrt(np.einsum("ij,ij->i", plus, plus))
        )


def _angular(order: int, cosine: np.ndarray, angle: np.ndarray, scratch: Scratch) -> np.ndarray:
    """J_order in place of `angle`; overwrites `cosine`."""
    np.subtract(math.pi, angle, out=angle)
    if order == 0:
        return angle
    sine = scratch.get("sine", cosine.shape, np.float64)
    np.multiply(cosine, cosine, out=sine)
    if order == 1:
        np.subtract(1.0, sine, out=sine)
        np.sqrt(sine, out=sine)
        angle *= cosine
        angle += sine
        return angle
    # J_2 = 3 sin cos + (pi - angle) (1 + 2 cos^2)
    weight = scratch.get("weight", cosine.shape, np.float64)
    np.multiply(sine, 2.0, out=weight)
    weight += 1.0
    angle *= weight
    np.subtract(1.0, sine, out=sine)
    np.sqrt(sine, out=sine)
    sine *= cosine
    sine *= 3.0
    angle += sine
    return angle


def _tensor_steps(cosine: Any, U: Any, V: Any) -> Any:
    """Order 0 as a tensor, ``1 - angle / pi``; angles near 0 and pi as in :func:`_refine`."""
    torch = sys.modules["torch"]
    near = cosine.detach().abs() > 1.0 - _NEAR_ONE
    rest = math.pi - cosine.where(~near, 0.0).acos()
    i, j = torch.nonzero(near, as_tuple=True)
    if len(i):

        def length(D: Any) -> Any:
            squared = D.square().sum(-1)
            return torch.where(squared > 0, squared.where(squared > 0, 1.0).sqrt(), 0.0)

        rest = rest.index_put((i, j), math.pi - 2.0 * torch.atan2(length(U[i] - V[j]), length(U[i] + V[j])))
    return rest / math.pi


def _tensor_angular(order: int, cosine: Any) -> Any:
    """J_order, order 1 or 2, of a tensor of cosines, with its true derivative at 1 and -1."""
    torch = sys.modules["torch"]
    inside = cosine.abs() < 1.0
    safe = cosine.where(inside, 0.0)
    rest = math.pi - safe.acos()
    edge = math.pi * (cosine > 0).to(cosine.dtype)  # pi at cosine 1, 0 at -1
    sine = (1.0 - safe.square()).sqrt()
    if order == 1:
        return torch.where(inside, sine + rest * safe, edge * cosine.clamp(-1.0, 1.0))
    value = 3.0 * sine * safe + rest * (1.0 + 2.0 * safe.square())
    return torch.where(inside, value, edge * (4.0 * cosine.clamp(-1.0, 1.0) - 1.0))
