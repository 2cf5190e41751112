"""The rounding error of product-formula distances, and which of them are not good enough for a kernel."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

#: Largest rounding error of a kernel's value that the product formula may cause.
TOLERANCE = {np.dtype(np.float32): 8e-7, np.dtype(np.float64): 2e-13}
#: A squared distance is resolved when it is this many times its error bound.
RESOLVED = 32.0
#: How often a row's threshold is narrowed: each time by what the time before says of its neighbours' length.
NARROWINGS = 4

Slope = Callable[[Any], Any]


def error_bound(s: Any, scale: Any, d: int) -> Any:
    """Error of a product-formula distance `s` in units of the unit roundoff; `scale` is ``|x|^2 + |y|^2``.

    Sums of d products that all have one sign, as those of close pairs have, lose more digits than
    others. Measured on Gaussian data, close pairs and clusters: below ``6.7 scale``, and for pairs with
    s < scale / 20 below 5.5, 12 and 19 ``scale`` at d = 20, 100 and 300.
    """
    root = math.sqrt(d)
    return (4.0 + 0.2 * root) * scale + 0.7 * root * np.maximum(scale - 5.0 * s, 0.0)


def differences_do(slope: Slope, hx: np.ndarray, hy: np.ndarray, dtype: Any) -> bool:
    """Whether distances |x - y| of rows rounded to `dtype` are good enough, wherever x and y lie.

    Rounding moves x by at most ``unit |x|``, and the kernel changes by at most its steepness times that. A quarter of
    the tolerance is left to the arithmetic.

    Parameters
    ----------
    slope : callable
        ``|dk/ds|`` as a function of the squared distance.
    hx, hy : ndarray
        |x|^2 and |y|^2.
    """
    r = 2.0 ** np.arange(-40.0, 12.0, 0.25)
    with np.errstate(all="ignore"):
        steepest = float(np.max(2.0 * r * slope(np.square(r))))
    farthest = math.sqrt(float(hx.max())) + math.sqrt(float(hy.max()))
    return steepest * 0.5 * float(np.finfo(dtype).eps) * farthest <= 0.75 * TOLERANCE[np.dtype(dtype)]


class Thresholds:
    """Below which squared distance s a product-formula value is not good enough.

    It is good enough where its error times the kernel's slope at s is within the tolerance, and s
    itself well above its error. Searched once for a grid of scales, then looked up.

    Parameters
    ----------
    slope : callable
        ``|dk/ds|`` as a function of the scaled squared distance s; decreasing.
    dtype : dtype
        Of the product.
    tolerance : float
        Largest admissible error of a value.
    d : int
        Features.
    lowest, highest : float
        The scales ``|x|^2 + |y|^2`` that will be asked for.
    """

    def __init__(self, slope: Slope, dtype: Any, tolerance: float, d: int, lowest: float, highest: float) -> None:
        self._unit = 0.5 * float(np.finfo(dtype).eps)
        high = math.log2(min(max(highest, 1e-280), 1e280))
        low = min(max(math.log2(max(lowest, 1e-290)), high - 200.0), high)
        self._low, self._per_step = low, 1.0 / max((high - low) / 120.0, 0.125)
        scales = 2.0 ** (low + np.arange(math.ceil((high - low) * self._per_step) + 1) / self._per_step)
        resolved = RESOLVED * self._unit * error_bound(0.0, scales, d)
        self._table = np.maximum(self._largest_visible(slope, tolerance, d, scales), resolved)
        if not highest <= 1e280:  # infinite distances: nothing is good enough
            self._table[-1] = np.inf

    def _largest_visible(self, slope: Slope, tolerance: float, d: int, scales: np.ndarray) -> np.ndarray:
        """For each scale the s at which the visible error is `tolerance` (from above, to 4 %); 0 where it never is."""
        low, span, parts = np.full(len(scales), -200.0), 212.0, 16
        with np.errstate(all="ignore"):
            for _ in range(3):
                s = 2.0 ** (low[:, None] + span * np.arange(parts) / parts)
                error = self._unit * error_bound(s, scales[:, None], d)
                visible = ~(slope(s) * error <= tolerance)
                low += span * np.maximum(visible.sum(axis=1) - 1, 0) / parts
                span /= parts
        return np.where(low > -200.0, 2.0 ** (low + span), 0.0)

    def at(self, scale: np.ndarray) -> np.ndarray:
        """Thresholds for distances with these scales (rounded up to the grid)."""
        with np.errstate(all="ignore"):
            steps = np.ceil((np.log2(scale) - self._low) * self._per_step)
            steps = np.fmin(np.fmax(steps, 0.0), len(self._table) - 1.0)
        return self._table.take(steps.astype(np.intp))


class Level:
    """The thresholds of one precision: `by_row` bounds those of a row's pairs, :meth:`unresolved` has each pair's."""

    def __init__(self, slope: Slope, product: Any, output: Any, d: int, hx: np.ndarray, hy: np.ndarray) -> None:
        self._hx, self._hy = hx, hy
        lowest, largest = float(hx.min() + hy.min()), float(hy.max())
        self._thresholds = Thresholds(slope, product, TOLERANCE[output], d, lowest, float(hx.max()) + largest)
        self.by_row = self._thresholds.at(hx + largest)
        for _ in range(NARROWINGS):
            with np.errstate(all="ignore"):
                # a y within the threshold of x is not much longer than x (s itself is a little wrong)
                longest = np.square(np.sqrt(hx) + np.sqrt(1.1 * self.by_row))
            self.by_row = self._thresholds.at(hx + np.fmin(largest, longest))

    def unresolved(
        self, tile: np.ndarray, factor: float, doubtful: np.ndarray, start: int, cols: slice
    ) -> tuple[np.ndarray, np.ndarray]:
        """Rows and columns in `tile` of the values in `doubtful` rows that are not good enough."""
        if 2 * len(doubtful) > len(tile):  # a copy of most rows costs more than a look at all
            doubtful, values = np.arange(len(tile)), tile
        else:
            values = tile[doubtful]
        # compared in the tile's own precision, so a little beyond the bound
        bound = (factor * (1.0 + 1e-6) * self.by_row[doubtful + start]).astype(tile.dtype)[:, None]
        resolved = values <= bound if factor < 0 else values >= bound  # NaN is not
        i, j = np.divmod(np.flatnonzero(~resolved), tile.shape[1])
        s, i = values[i, j] / factor, doubtful[i]
        bad = ~(s >= self._thresholds.at(self._hx[i + start] + self._hy[j + cols.start]))
        return i[bad], j[bad]
