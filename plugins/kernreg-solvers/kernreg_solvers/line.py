"""How far to go along a direction in which a convex objective falls."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_EPS = float(np.finfo(np.float64).eps)


def step_length(rise: Callable[[float], float], slope: Callable[[float], float], size: float, trusted: bool) -> float:
    """A step with a smaller objective and a much smaller slope; 0 where there is none.

    Parameters
    ----------
    rise : callable
        t -> the objective at step t, less that at 0.
    slope : callable
        t -> its derivative.
    size : float
        The size of the terms that the objective sums: their rounding is what its value cannot resolve, and there the
        slope decides alone.
    trusted : bool
        Whether the full step, 1, is right near the optimum: it is gone where little is left to gain, and so converges
        where values and slopes are lost in rounding.
    """
    first, slack = slope(0.0), 8 * _EPS * size
    if trusted and abs(first) <= 1e-9 * size and rise(1.0) <= 1e-9 * size:
        return 1.0
    if not first < 0.0:
        return 0.0
    low, high, low_slope, high_slope, t = 0.0, np.inf, first, np.inf, 1.0
    for _ in range(40):
        here = slope(t)
        # a slope that vanishes in rounding counts as flat
        if abs(here) <= 0.5 * abs(first) and rise(t) <= slack:
            return t
        if here < 0.0 and np.isfinite(here):
            low, low_slope = t, here
        else:
            high, high_slope = t, here
        if np.isinf(high):
            t *= 2.0 if low_slope < 0.5 * first else 4.0
            continue
        width = high - low
        guess = low + width * low_slope / (low_slope - high_slope) if np.isfinite(high_slope) else low + 0.5 * width
        t = min(max(guess, low + 0.1 * width), high - 0.1 * width)
    return low if low > 0.0 and rise(low) <= slack else 0.0
