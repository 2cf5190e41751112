"""The Matern function of any order, its derivatives, and the same with torch gradients.

With ``M_v(g) = sqrt(g)^v K_v(sqrt(g))`` the Matern kernel is ``M_v(g) / M_v(0)``, and
``dM_v / dg = -M_(v-1)(g) / 2``: every derivative is of the same family.
"""

from __future__ import annotations

import math
import sys
from functools import cache
from typing import Any

import numpy as np

#: Terms of the power series that replaces K where it overflows (orders up to 300).
_TERMS = 60


def bessel_value(g: np.ndarray, order: float, times: int) -> np.ndarray:
    """``M_(order-times)(g) / M_order(0)``: with times = 0 the Matern kernel.

    The kernel as a function phi of s = g / (2 order) has the derivatives
    ``d^t phi / ds^t = (-order)^t bessel_value(g, order, t)``.

    Parameters
    ----------
    g : ndarray
        Non-negative.
    order : float
    times : int
        0, 1 or 2.

    Returns
    -------
    ndarray
        Shape of `g`; 0 where the derivative is infinite (g = 0, times >= order).
    """
    from scipy.special import gammaln, kve

    v = order - times
    wide = np.asarray(g, np.float64)
    with np.errstate(all="ignore"):
        a = np.sqrt(wide)
        log = v * np.log(a) - a + np.log(kve(v, a)) + (1.0 - order) * math.log(2.0) - float(gammaln(order))
        value = np.exp(log)
    if v > 0:
        lost = ~np.isfinite(log) & np.isfinite(a) & (a < 40.0 + 2.0 * order)
        if lost.any():
            value = np.where(lost, _series(wide, order, v), value)
        value = np.where(np.isfinite(value), value, 0.0)
    else:
        value = np.where(np.isfinite(value) & (wide > 0), value, 0.0)
    return value.astype(g.dtype if g.dtype == np.float32 else np.float64, copy=False)


def _series(g: np.ndarray, order: float, v: float) -> np.ndarray:
    """The power series at 0, for v > 0, where K_v overflows: sum_j (-g/4)^j / (j! (v-1)...(v-j))."""
    from scipy.special import gammaln

    total = np.ones_like(g)
    term = np.ones_like(g)
    for j in range(1, _TERMS):
        if v - j <= 0.5:
            break
        term = term * (-0.25 * g) / (j * (v - j))
        total += term
    times = order - v
    return total * math.exp(float(gammaln(v) - gammaln(order)) - times * math.log(2.0))


@cache
def _function_class() -> Any:
    torch = sys.modules["torch"]

    class BesselMatern(torch.autograd.Function):  # type: ignore[misc, name-defined]
        """``bessel_value`` on a tensor; its derivative in g is another ``bessel_value``."""

        @staticmethod
        def forward(ctx: Any, g: Any, order: float, times: int) -> Any:
            ctx.save_for_backward(g)
            ctx.order, ctx.times = order, times
            host = bessel_value(g.detach().cpu().numpy(), order, times)
            return torch.as_tensor(host, dtype=g.dtype, device=g.device)

        @staticmethod
        def backward(ctx: Any, *gradients: Any) -> Any:
            (g,) = ctx.saved_tensors
            return gradients[0] * (-0.5) * BesselMatern.apply(g, ctx.order, ctx.times + 1), None, None

    return BesselMatern


def tensor_bessel(g: Any, order: float, times: int = 0) -> Any:
    """:func:`bessel_value` of a tensor, differentiable any number of times."""
    return _function_class().apply(g, order, times)
