"""The operations that formulas are written in: one formula, two drivers.

A formula such as ``f.exp(f.mul(g, -0.5))`` runs in place on NumPy tiles (:class:`InPlace`) and as
functional torch code with gradients (:class:`Functional`). Its rule: an operation consumes its
first argument, so a value that is needed twice is kept with ``f.copy`` first.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from ._bessel import bessel_value, tensor_bessel
from ._tiles import Scratch

#: Below this, exp of a float64 is subnormal or zero: 5 to 35 times slower than a normal result.
_LOWEST = -708.0
_SMALLEST = float(np.exp(_LOWEST))


class InPlace:
    """NumPy: every operation overwrites its first argument and returns it.

    Parameters
    ----------
    scratch : Scratch
    calm : bool
        No value of the exponential will be subnormal: it need not look.
    """

    def __init__(self, scratch: Scratch, calm: bool = False) -> None:
        self._scratch = scratch
        self._calm = calm

    def copy(self, x: np.ndarray, slot: str = "copy") -> np.ndarray:
        """A copy in this thread's buffer `slot`; a formula uses another slot for each live copy."""
        spare = self._scratch.get(slot, x.shape, x.dtype)
        np.copyto(spare, x)
        return spare

    def copy_sqrt(self, x: np.ndarray, slot: str = "copy") -> np.ndarray:
        """sqrt(x) in this thread's buffer `slot`: `x` stays."""
        spare = self._scratch.get(slot, x.shape, x.dtype)
        return np.sqrt(x, out=spare)

    def exp(self, x: np.ndarray) -> np.ndarray:
        """exp(x), where what would be subnormal becomes 0."""
        if not self._calm and x.dtype == np.float64 and x.size and x.min() < _LOWEST:
            np.maximum(x, _LOWEST, out=x)
            np.exp(x, out=x)
            return np.subtract(x, _SMALLEST, out=x)
        return np.exp(x, out=x)

    def neg(self, x: np.ndarray) -> np.ndarray:
        """-x."""
        return np.negative(x, out=x)

    def sqrt(self, x: np.ndarray) -> np.ndarray:
        """sqrt(x), gradient 0 where x = 0."""
        return np.sqrt(x, out=x)

    def log1p(self, x: np.ndarray) -> np.ndarray:
        """log(1 + x)."""
        return np.log1p(x, out=x)

    def tanh(self, x: np.ndarray) -> np.ndarray:
        """tanh(x)."""
        return np.tanh(x, out=x)

    def reciprocal(self, x: np.ndarray) -> np.ndarray:
        """1 / x."""
        return np.reciprocal(x, out=x)

    def add(self, x: np.ndarray, y: Any) -> np.ndarray:
        """x + y."""
        return np.add(x, y, out=x)

    def mul(self, x: np.ndarray, y: Any) -> np.ndarray:
        """x * y."""
        return np.multiply(x, y, out=x)

    def clip(self, x: np.ndarray, low: float, high: float) -> np.ndarray:
        """X limited to [low, high]."""
        return np.clip(x, low, high, out=x)

    def at_zero(self, formula: Any, g: np.ndarray, slope: float) -> np.ndarray:
        """``formula(self, g)``; `slope`, its derivative at g = 0, matters to gradients only."""
        return formula(self, g)

    def bessel(self, g: np.ndarray, order: float) -> np.ndarray:
        """The Matern function of `order` at g = 2 order s."""
        g[...] = bessel_value(g, order, 0)
        return g

    def power(self, x: np.ndarray, exponent: int) -> np.ndarray:
        """x ** exponent for an integer exponent >= 1, by squaring: far faster than pow."""
        return _power(self, x, exponent)


class Functional:
    """torch: every operation returns a new tensor, so gradients flow."""

    def copy(self, x: Any, slot: str = "copy") -> Any:
        """`x` itself: nothing here overwrites it."""
        return x

    def copy_sqrt(self, x: Any, slot: str = "copy") -> Any:
        """sqrt(x), gradient 0 where x = 0."""
        return self.sqrt(x)

    def exp(self, x: Any) -> Any:
        """exp(x)."""
        return x.exp()

    def neg(self, x: Any) -> Any:
        """-x."""
        return -x

    def sqrt(self, x: Any) -> Any:
        """sqrt(x), gradient 0 where x = 0."""
        torch = sys.modules["torch"]
        positive = x > 0
        return torch.where(positive, torch.where(positive, x, 1.0).sqrt(), 0.0)

    def log1p(self, x: Any) -> Any:
        """log(1 + x)."""
        return x.log1p()

    def tanh(self, x: Any) -> Any:
        """tanh(x)."""
        return x.tanh()

    def reciprocal(self, x: Any) -> Any:
        """1 / x."""
        return x.reciprocal()

    def add(self, x: Any, y: Any) -> Any:
        """x + y."""
        return x + y

    def mul(self, x: Any, y: Any) -> Any:
        """x * y."""
        return x * y

    def clip(self, x: Any, low: float, high: float) -> Any:
        """X limited to [low, high]; the gradient passes at the limits themselves."""
        return x.clamp(low, high)

    def at_zero(self, formula: Any, g: Any, slope: float) -> Any:
        """``formula(self, g)``, and ``1 + slope g`` at g = 0, where its own derivatives are masked."""
        return sys.modules["torch"].where(g > 0, formula(self, g), 1.0 + slope * g)

    def bessel(self, g: Any, order: float) -> Any:
        """The Matern function of `order` at g = 2 order s, with its derivatives."""
        return tensor_bessel(g, order)

    def power(self, x: Any, exponent: int) -> Any:
        """x ** exponent for an integer exponent >= 1."""
        return x**exponent


def _power(f: InPlace, x: np.ndarray, exponent: int) -> np.ndarray:
    """Left-to-right binary powering: squarings of `x`, multiplications by the base."""
    if exponent == 1:
        return x
    digits = bin(exponent)[3:]
    base = f.copy(x, "power") if "1" in digits else x
    for digit in digits:
        f.mul(x, x)
        if digit == "1":
            f.mul(x, base)
    return x
