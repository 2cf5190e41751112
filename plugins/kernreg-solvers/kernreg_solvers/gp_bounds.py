"""Bounds for a kernel's parameters where none are given: from the scale of the data.

A length scale below the distance of neighbouring points makes every point its own, and one far above the diameter of
the data makes them all alike: beyond either nothing changes. So the scale of the data bounds the search.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from kernreg_core.arrays import is_torch
from kernreg_core.errors import ParameterError

from .gp_parameters import Parameter, as_numbers

#: Points among which distances are taken, spread evenly over the rows.
SAMPLE = 300
LENGTHS = frozenset({"lengthscale", "length_scale", "width", "bandwidth"})
_ROOM = 10.0  # bounds from the data are widened to hold the starting value with this much room on both sides


def chosen_bounds(
    parameter: Parameter, given: Any, data: DataScale, usual: Mapping[str, tuple[float, float]]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Lowest and highest values, each of the parameter's shape; None where it is fixed.

    Parameters
    ----------
    parameter : Parameter
    given : tuple (low, high), "fixed" or None
        What the user says about it.
    data : DataScale
    usual : mapping from name to (low, high)
        Bounds, where none are given, of parameters that are no kernel's.
    """
    if isinstance(given, str) and given == "fixed":
        return None
    if given is not None:
        return _checked(parameter, given)
    low, high = usual[parameter.name] if parameter.name in usual else data.bounds(parameter)
    value = parameter.value
    return np.minimum(low, value / _ROOM), np.maximum(high, value * _ROOM)


def _checked(parameter: Parameter, given: Any) -> tuple[np.ndarray, np.ndarray]:
    expected = f"bounds: expected (low, high) with 0 < low <= high, or 'fixed', for {parameter.name!r}"
    try:
        low, high = given
    except (TypeError, ValueError):
        raise ParameterError(f"{expected}, got {given!r}") from None
    sides = []
    for side in (low, high):
        array = as_numbers(side)
        if array is None or array.shape not in ((), parameter.value.shape) or not np.isfinite(array).all():
            raise ParameterError(
                f"{expected}, each a number or an array of shape {parameter.value.shape}, got {given!r}"
            )
        sides.append(np.broadcast_to(array, parameter.value.shape))
    if not (sides[0] > 0).all() or not (sides[0] <= sides[1]).all():
        raise ParameterError(f"{expected}, got {given!r}")
    return sides[0], sides[1]


class DataScale:
    """The scales that a set of items has, computed when first asked for.

    Parameters
    ----------
    X : array (n, d), or anything else
        Only rows of numbers have a scale.
    y : ndarray, optional
        Targets, whose mean square is the scale of a variance.
    """

    def __init__(self, X: Any = None, y: Any = None) -> None:
        self._rows = sampled_rows(X)
        self._n = 0 if self._rows is None else int(X.shape[0])
        squared = 1.0 if y is None else float(np.square(np.asarray(y, dtype=np.float64)).mean())
        self.variance = squared if np.isfinite(squared) and squared > 0 else 1.0
        self._has_targets = y is not None

    def bounds(self, parameter: Parameter) -> tuple[Any, Any]:
        """(low, high) for a parameter of a kernel, by its name."""
        leaf, value = parameter.leaf, parameter.value
        relative = leaf in LENGTHS and hasattr(parameter.owner, "period")  # a length on the circle, without unit
        if self._rows is not None and not relative:
            if leaf in LENGTHS:
                return self._lengths(value)
            if leaf == "period":
                return self._periods(value)
        if leaf.endswith("variance") and self._has_targets:
            return 1e-4 * self.variance, 1e4 * self.variance
        spread = 1e2 if relative else 1e4 if leaf.endswith("variance") or leaf == "gamma" else 1e3
        return value / spread, value * spread

    def _lengths(self, value: np.ndarray) -> tuple[Any, Any]:
        """From a tenth of the typical distance to the nearest other point, to 100 times the largest distance.

        For one length scale for each feature: from 1/1000 of its range to 1000 times that.
        """
        assert self._rows is not None
        if value.shape == (self._rows.shape[1],):
            ranges = self._ranges()
            return ranges / 1e3, ranges * 1e3
        from scipy.spatial.distance import pdist, squareform

        if len(self._rows) < 2:
            return value / 1e3, value * 1e3
        distances = pdist(self._rows)
        largest = float(distances.max())
        if largest == 0.0:
            return value / 1e3, value * 1e3
        square = squareform(distances)
        square[square == 0.0] = np.inf  # the point itself, and its repetitions
        return 0.1 * float(np.median(square.min(axis=1))), 100.0 * largest

    def _periods(self, value: np.ndarray) -> tuple[Any, Any]:
        """From two mean steps between points to twice the range."""
        assert self._rows is not None
        ranges = self._ranges()
        if value.shape != ranges.shape:
            ranges = ranges.max()
        return 2.0 * ranges / max(self._n, 2), 2.0 * ranges

    def _ranges(self) -> np.ndarray:
        assert self._rows is not None
        ranges = self._rows.max(axis=0) - self._rows.min(axis=0)
        return np.where(ranges > 0, ranges, 1.0)


def sampled_rows(X: Any) -> np.ndarray | None:
    """At most SAMPLE rows of `X` in float64, spread evenly; None where `X` holds no rows of numbers."""
    if not (isinstance(X, np.ndarray) or is_torch(X)) or X.ndim != 2:
        return None
    step = max(1, -(-int(X.shape[0]) // SAMPLE))
    rows = X[::step]
    rows = rows.detach().cpu().numpy() if is_torch(rows) else rows
    return rows.astype(np.float64) if rows.dtype.kind in "fiu" else None
