"""Parameters checked and converted at call: stored values stay as the user gave them.

Imports neither torch nor scipy.
"""

from __future__ import annotations

import numbers
import sys
from typing import Any

import numpy as np

from kernreg_core.arrays import describe, is_torch
from kernreg_core.errors import ParameterError


def _plain(value: Any) -> Any:
    """A tensor as a NumPy array, without its gradient; anything else as it is."""
    return value.detach().cpu().numpy() if is_torch(value) else value


def number(
    name: str, value: Any, *, above: float | None = None, minimum: float | None = None, infinite: bool = False
) -> float:
    """`value` as a float.

    Parameters
    ----------
    name : str
        The parameter, for messages.
    value : real number, 0-d array or tensor
    above, minimum : float, optional
        Strict and weak lower limits.
    infinite : bool
        Whether +infinity is a value.

    Raises
    ------
    ParameterError
        If it is no real number or out of range.
    """
    limit = f" > {above:g}" if above is not None else f" >= {minimum:g}" if minimum is not None else ""
    expected = f"{name}: expected a finite number{limit}{' or infinity' if infinite else ''}"
    plain = _plain(value)
    if isinstance(plain, np.ndarray) and plain.ndim == 0:
        plain = plain[()]
    if isinstance(plain, (bool, np.bool_)) or not isinstance(plain, numbers.Real):
        raise ParameterError(f"{expected}, got {describe(value)}")
    found = float(plain)
    in_range = (above is None or found > above) and (minimum is None or found >= minimum)
    if not in_range or (not np.isfinite(found) and not (infinite and found == np.inf)):
        raise ParameterError(f"{expected}, got {value!r}")
    return found


def integer(name: str, value: Any, *, minimum: int, maximum: int | None = None) -> int:
    """`value` as an int within the limits; ParameterError otherwise."""
    limit = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, numbers.Integral):
        raise ParameterError(f"{name}: expected an integer {limit}, got {describe(value)}")
    found = int(value)
    if found < minimum or (maximum is not None and found > maximum):
        raise ParameterError(f"{name}: expected an integer {limit}, got {found}")
    return found


def vector(name: str, value: Any, what: str) -> np.ndarray:
    """`value` as a float64 array of any rank; ParameterError where it is not numeric or not finite."""
    plain = _plain(value)
    try:
        array = np.asarray(plain)
    except (ValueError, TypeError):
        array = np.empty(0, object)
    if array.dtype.kind not in "fiu":
        raise ParameterError(f"{name}: expected {what}, got {describe(value)}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ParameterError(f"{name}: expected finite numbers, got {value!r}")
    return array


#: Squares of a length scale, and of its inverse, must be normal floats.
_SHORTEST, _LONGEST = 1e-150, 1e150


def lengthscale(name: str, value: Any, d: int) -> float | np.ndarray:
    """A length scale: one positive number, or one for each of the `d` features (ARD).

    Returns
    -------
    float or ndarray of shape (d,), float64

    Raises
    ------
    ParameterError
        If it is not positive and finite, or a vector of another length.
    """
    what = f"a positive number, or one for each of the {d} features of X (ARD)"
    if isinstance(value, (bool, str, bytes)) or value is None:
        raise ParameterError(f"{name}: expected {what}, got {describe(value)}")
    array = vector(name, value, what)
    if array.ndim > 1:
        raise ParameterError(f"{name}: expected {what}, got {describe(value)}: pass a number or a flat vector")
    if array.ndim == 1 and array.shape[0] != d:
        raise ParameterError(
            f"{name}: expected {what}, got {array.shape[0]} numbers for {d} features: "
            f"pass one number, or {d} of them in the order of the columns"
        )
    if not (array > 0).all():
        raise ParameterError(f"{name}: expected {what}, got {value!r}, which is not positive")
    if not ((array >= _SHORTEST) & (array <= _LONGEST)).all():
        raise ParameterError(f"{name}: expected numbers from {_SHORTEST:g} to {_LONGEST:g}, got {value!r}: rescale X")
    return float(array) if array.ndim == 0 else array


def operand(value: Any, X: Any) -> Any:
    """A checked parameter for functional torch code beside the tensor `X`.

    A tensor keeps its gradient and moves to `X`'s dtype and device; a number stays a Python float,
    which never changes a dtype.
    """
    if is_torch(value):
        return value.to(dtype=X.dtype, device=X.device)
    if isinstance(value, numbers.Real):
        return float(value)
    array = np.asarray(value, np.float64)
    return float(array) if array.ndim == 0 else sys.modules["torch"].as_tensor(array, dtype=X.dtype, device=X.device)
