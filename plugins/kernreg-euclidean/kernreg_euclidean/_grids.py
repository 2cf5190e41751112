"""Regular grids: made from their axes, and recognised from their points."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernreg_core.arrays import describe
from kernreg_core.errors import InputError

#: How far points may be off equal steps, in steps: such a shift is not seen in the tenth digit of a kernel's value.
_UNEVEN = 1e-9
#: The same for float32, whose numbers have seven digits.
_UNEVEN_SINGLE = 1e-3


def grid_points(*axes: Any) -> np.ndarray:
    """The points of a grid, one coordinate for each axis; the last axis runs fastest.

    Parameters
    ----------
    *axes : array_like of shape (n_k,)
        The coordinates along each axis.

    Returns
    -------
    ndarray, shape (n_1 n_2 ... n_d, d)
        float32 where all axes are, else float64.

    Raises
    ------
    InputError
        If there is no axis, or one is empty, not flat or not finite.

    Examples
    --------
    >>> grid_points([0.0, 1.0], [5.0, 6.0, 7.0]).tolist()
    [[0.0, 5.0], [0.0, 6.0], [0.0, 7.0], [1.0, 5.0], [1.0, 6.0], [1.0, 7.0]]
    """
    if not axes:
        raise InputError("axes: expected at least one axis, got none")
    found = [np.asarray(axis) for axis in axes]
    for axis in found:
        if axis.ndim != 1 or not axis.size or axis.dtype.kind not in "fiu" or not np.isfinite(axis).all():
            raise InputError(f"axes: expected flat arrays of finite numbers, got {describe(axis)}")
    dtype = np.float32 if all(axis.dtype == np.float32 for axis in found) else np.float64
    mesh = np.meshgrid(*found, indexing="ij")
    return np.stack([part.ravel() for part in mesh], axis=1).astype(dtype)


def axes_of(X: np.ndarray) -> list[np.ndarray] | None:
    """The axes of the grid whose points, the last axis running fastest, are the rows of `X`; None where it is none.

    Parameters
    ----------
    X : ndarray, shape (n, d)

    Returns
    -------
    list of ndarray, or None
        In `X`'s dtype.
    """
    n, d = X.shape
    axes, stride = [], 1
    for k in range(d - 1, -1, -1):
        column = X[::stride, k]
        again = np.flatnonzero(column[1:] == column[0])
        size = int(again[0]) + 1 if again.size else len(column)
        axes.append(column[:size].copy())
        stride *= size
        if n % stride:
            return None
    if stride != n:
        return None
    axes.reverse()
    inner = n
    for k, axis in enumerate(axes):
        inner //= len(axis)
        if not (X[:, k].reshape(-1, len(axis), inner) == axis[:, None]).all():
            return None
    return axes


def step_of(axis: np.ndarray) -> float | None:
    """The step of an axis of equal steps (0 for a single point), None where they are not equal."""
    if len(axis) == 1:
        return 0.0
    wide = axis.astype(np.float64)
    step = (wide[-1] - wide[0]) / (len(axis) - 1)
    allowed = _UNEVEN * abs(step)
    if axis.dtype == np.float32:
        rounding = 4.0 * float(np.finfo(np.float32).eps) * float(np.abs(wide).max())
        allowed = max(allowed, min(rounding, _UNEVEN_SINGLE * abs(step)))
    off = np.abs(wide - (wide[0] + step * np.arange(len(axis)))).max()
    return float(step) if step != 0 and off <= allowed else None
