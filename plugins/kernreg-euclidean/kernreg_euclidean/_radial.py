"""Radial kernels: functions of the scaled distance, with values, derivatives and gradients.

With ``s = sum_k (x_k - y_k)^2 / l_k^2`` a radial kernel is ``k(x, y) = phi(s)``. A kernel supplies
a :class:`Profile` (phi and its first two derivatives); tiles, accuracy, torch and the derivatives
in x and y are the same for all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernreg_core.arrays import is_sparse, is_torch
from kernreg_core.base import provides
from kernreg_core.errors import InputError
from kernreg_core.memory import guard_memory

from . import _parameters
from ._distances import DistanceTiles, make_rows
from ._ops import Functional, InPlace
from ._spectra import GaussianMixture
from ._tiles import Scratch, Tiles, fill
from ._torch import differences, squared
from ._vectors import VectorKernel, ones_like_rows

#: Where no value of phi is smaller, no factor of it is subnormal.
CALM = 1e-290


@dataclass(frozen=True)
class Profile:
    """A radial kernel as a function phi of the squared distance s, decreasing from phi(0) = 1.

    Attributes
    ----------
    factor : float or Tensor
        `formula` gets ``g = factor * s``.
    formula : callable
        ``formula(f, g)`` = phi, written in the operations `f`; consumes `g`.
    first, second : callable
        ``first(xp, s)`` = phi', ``second(xp, s)`` = phi'' with 0 where it is infinite (only at s = 0);
        `xp` is numpy or torch.
    passes : bool
        Whether the formula takes many passes over its tile.
    """

    factor: Any
    formula: Callable[[Any, Any], Any]
    first: Callable[[Any, Any], Any]
    second: Callable[[Any, Any], Any]
    passes: bool = False

    def slope(self, s: Any) -> Any:
        """``|phi'(s)|`` of NumPy values: how far an error of s shows in the kernel."""
        return -self.first(np, np.maximum(s, 1e-300))


def radial_tiles(rows: Any, profile: Profile, dtype: Any) -> Tiles:
    """The tiles of phi(s) for prepared rows."""
    distances = DistanceTiles(rows, profile.slope, dtype)
    # where two points are this near, rounding may lift phi above 1
    near = 1e3 * float(np.finfo(dtype).eps)
    calm = _is_calm(profile, distances.farthest)

    def tile(r: slice, c: slice, values: np.ndarray, scratch: Scratch) -> None:
        nearest = distances.fill(r, c, values, scratch)
        profile.formula(InPlace(scratch, calm), values)
        if nearest < near:
            np.minimum(values, 1.0, out=values)

    return Tiles(
        rows.shape,
        tile,
        rows.same,
        rows.d + 8,
        diagonal=1.0,
        buffered=profile.passes,
        buffers=int(profile.passes),
        prepare=rows.prepare,
    )


def _is_calm(profile: Profile, farthest: float) -> bool:
    """Whether no value of phi up to that distance is near the subnormal numbers."""
    if not farthest < 1e100:
        return False
    with np.errstate(all="ignore"):
        smallest = profile.formula(InPlace(Scratch()), np.full((1, 1), profile.factor * farthest))
    return bool(smallest[0, 0] > CALM)


def squared_distances(X: np.ndarray, Y: np.ndarray, lengthscale: Any, slope: Callable[[Any], Any]) -> np.ndarray:
    """Scaled squared distances, shape (n, m), good enough for a function of them with that slope."""
    rows = make_rows(X, Y, lengthscale, 1.0)
    out = np.empty(rows.shape, X.dtype)
    distances = DistanceTiles(rows, slope, out.dtype)

    def tile(r: slice, c: slice, values: np.ndarray, scratch: Scratch) -> None:
        distances.fill(r, c, values, scratch)

    fill(out, Tiles(rows.shape, tile, rows.same, rows.d + 8, diagonal=0.0))
    return out


class RadialKernel(GaussianMixture, VectorKernel):
    """A kernel phi(s) of the squared distance ``s = sum_k (x_k - y_k)^2 / lengthscale_k^2``."""

    lengthscale: Any
    capabilities = frozenset(
        {"symmetric", "psd", "stationary", "normalized", "diag", "matvec", "gradients", "differentiable"}
    )

    def _profile(self, parameter: Callable[[str], Any]) -> Profile:
        """The profile; ``parameter(name)`` is a float in NumPy and may be a tensor in torch."""
        raise NotImplementedError(f"{type(self).__name__} defines no _profile(parameter)")

    def _plain_profile(self) -> Profile:
        return self._profile(lambda name: _parameters.number(name, getattr(self, name), infinite=True))

    def check_parameters(self, X: Any) -> None:
        """Raise ParameterError unless ``lengthscale`` fits the columns of `X`."""
        _parameters.lengthscale("lengthscale", self.lengthscale, X.shape[1])

    def _tiles(self, X: Any, Y: Any, dtype: Any) -> Tiles:
        profile = self._plain_profile()
        scale = _parameters.lengthscale("lengthscale", self.lengthscale, X.shape[1])
        return radial_tiles(make_rows(X, Y, scale, profile.factor), profile, dtype)

    def _functional(self, X: Any, Y: Any) -> Any:
        profile = self._profile(lambda name: self._operand(name, X))
        s = squared(X, Y, self._operand("lengthscale", X), self._plain_profile().slope)
        return profile.formula(Functional(), s * profile.factor)

    @provides("diag")
    def diag(self, X: Any) -> Any:
        """The diagonal of k(X), which is 1, shape (n,)."""
        X, _ = self.check_items(X)
        return ones_like_rows(X)

    @provides("gradients")
    def grad_x(self, X: Any, Y: Any = None) -> Any:
        """d k(x, y) / dx for all pairs.

        Parameters
        ----------
        X : array, shape (n, d)
        Y : array, shape (m, d), optional
            `X` by default.

        Returns
        -------
        array, shape (n, m, d)
            0 where x = y.
        """
        X, Y, xp, weights, profile = self._gradient_setup(X, Y, 1)
        D = differences(X, Y)
        s = (D * D * weights).sum(-1)
        return (2.0 * profile.first(xp, s))[..., None] * (D * weights)

    @provides("gradients")
    def grad_y(self, X: Any, Y: Any = None) -> Any:
        """d k(x, y) / dy for all pairs, shape (n, m, d): minus :meth:`grad_x`."""
        return -self.grad_x(X, Y)

    @provides("gradients")
    def grad_xy(self, X: Any, Y: Any = None) -> Any:
        """d^2 k(x, y) / dx_a dy_b for all pairs.

        Returns
        -------
        array, shape (n, m, d, d)
            Finite where x = y.
        """
        X, Y, xp, weights, profile = self._gradient_setup(X, Y, 2)
        D = differences(X, Y)
        s = (D * D * weights).sum(-1)
        W = D * weights
        hessian = (-4.0 * profile.second(xp, s))[..., None, None] * (W[..., :, None] * W[..., None, :])
        diagonal = (-2.0 * profile.first(xp, s))[..., None] * weights
        d = X.shape[1]
        if is_torch(X):
            return hessian + xp.diag_embed(xp.broadcast_to(diagonal, (*s.shape, d)))
        np.einsum("nmii->nmi", hessian)[...] += diagonal
        return hessian

    @provides("gradients")
    def grad_xy_trace(self, X: Any, Y: Any = None) -> Any:
        """The trace sum_a d^2 k(x, y) / dx_a dy_a for all pairs, without forming :meth:`grad_xy`.

        Returns
        -------
        array, shape (n, m)
        """
        X, Y, xp, weights, profile = self._gradient_setup(X, Y, 0)
        d = X.shape[1]
        isotropic = getattr(weights, "ndim", 0) == 0
        s = self._distances(X, Y, 1.0)
        total = weights * d if isotropic else weights.sum()
        spread = s * weights if isotropic else self._distances(X, Y, 2.0)
        return (-2.0 * total) * profile.first(xp, s) - 4.0 * profile.second(xp, s) * spread

    def _distances(self, X: Any, Y: Any, power: float) -> Any:
        """``sum_k (x_k - y_k)^2 / lengthscale_k^(2 power)``, accurate enough for phi''."""
        plain = self._plain_profile()

        def slope(s: Any) -> Any:
            return 3.0 * np.abs(plain.second(np, np.maximum(s, 1e-300)))

        if is_torch(X):
            return squared(X, Y, self._operand("lengthscale", X) ** power, slope)
        scale = _parameters.lengthscale("lengthscale", self.lengthscale, X.shape[1])
        return squared_distances(X, Y, scale**power, slope)

    def _gradient_setup(self, X: Any, Y: Any, rank: int) -> tuple[Any, Any, Any, Any, Profile]:
        """Checked items, their library, the weights 1 / lengthscale^2 and the profile."""
        X, Y = self.check_items(X, Y)
        if is_sparse(X) or is_sparse(Y):
            raise InputError("X: gradients expect dense rows, got a scipy sparse matrix: pass X.toarray()")
        d = X.shape[1]
        if not is_torch(X):
            guard_memory((X.shape[0], Y.shape[0]) + (d,) * rank, X.dtype)
            scale = _parameters.lengthscale("lengthscale", self.lengthscale, d)
            weights = scale**-2.0
            if isinstance(weights, np.ndarray):
                weights = weights.astype(X.dtype)
            return X, Y, np, weights, self._plain_profile()
        scale = self._operand("lengthscale", X)
        return X, Y, sys.modules["torch"], scale**-2.0, self._profile(lambda name: self._operand(name, X))
