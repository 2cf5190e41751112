"""Length scales from the data, without looking at targets."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

import kernreg_core as kr
from kernreg_core.arrays import check_array, describe
from kernreg_core.errors import InputError, ParameterError

from .mixin import as_numpy

#: Names of parameters that are lengths in the units of X.
_LENGTHS = ("lengthscale", "length_scale")


def median_lengthscale(
    X: Any, *, p: float = 2, ard: bool = False, max_items: int = 1000, random_state: Any = 0
) -> float | np.ndarray:
    r"""The median distance of different items: a length scale at which a kernel tells them apart.

    Parameters
    ----------
    X : array_like or Tensor, shape (n, d)
    p : float
        Of the distance :math:`(\sum_k |x_k - y_k|^p)^{1/p}`, at least 1: 2 for radial kernels, 1 for Laplace's.
    ard : bool
        One for each feature: its median distance times d^(1/p), so that the whole distance is of the order of 1.
    max_items : int
        Rows that are looked at, drawn at random where there are more.
    random_state : int, RandomState or None

    Returns
    -------
    float, or ndarray of shape (d,) with `ard`
        1 where all items (of a feature) are the same.

    Raises
    ------
    InputError
        If `X` is no array of vectors.

    References
    ----------
    .. [1] D. Garreau, W. Jitkrittum and M. Kanagawa, "Large sample analysis of the median heuristic", 2017.
       arXiv:1707.07269

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_solvers import median_lengthscale
    >>> median_lengthscale(np.array([[0.0], [1.0], [3.0]]))
    2.0
    """
    from scipy.spatial.distance import pdist

    if isinstance(p, bool) or not isinstance(p, numbers.Real) or not p >= 1:
        raise ParameterError(f"p: expected a number at least 1, got {p!r}")
    if isinstance(max_items, bool) or not isinstance(max_items, numbers.Integral) or max_items < 2:
        raise ParameterError(f"max_items: expected a whole number at least 2, got {max_items!r}")
    rows = np.asarray(as_numpy(check_array(X, "X")), dtype=np.float64)
    if len(rows) > max_items:
        rows = rows[check_random_state(random_state).choice(len(rows), int(max_items), replace=False)]
    d = rows.shape[1]
    if ard:
        return np.array([_median(pdist(rows[:, [k]], "cityblock")) for k in range(d)]) * d ** (1.0 / p)
    return _median(pdist(rows, "minkowski", p=float(p)))


def _median(distances: np.ndarray) -> float:
    """Of the distances that are not zero: repeated items say nothing about scale."""
    apart = distances[distances > 0]
    return float(np.median(apart)) if len(apart) else 1.0


def median_heuristic(kernel: Any, X: Any, *, max_items: int = 1000, random_state: Any = 0) -> Any:
    """A copy of a kernel with its length scales set by :func:`median_lengthscale`.

    Parameters
    ----------
    kernel : kernel or str
        Parameters called ``lengthscale`` are set, at any depth, arrays feature by feature; of a kernel that is a
        function of the L1 distance (Laplace) by that distance. A str is an entry's name.
    X : array_like or Tensor, shape (n, d)
    max_items, random_state
        As in :func:`median_lengthscale`.

    Returns
    -------
    kernel

    Raises
    ------
    ParameterError
        If the kernel has no length scale.

    Examples
    --------
    >>> import numpy as np
    >>> import kernreg_core as kr
    >>> from kernreg_solvers import median_heuristic
    >>> class Exponential(kr.BaseKernel):
    ...     def __init__(self, *, lengthscale=1.0):
    ...         self.lengthscale = lengthscale
    ...     def evaluate(self, X, Y):
    ...         return np.exp(-abs(X - Y.T) / self.lengthscale)
    >>> median_heuristic(2 * Exponential(), np.array([[0.0], [1.0], [3.0]]))
    2 * Exponential(lengthscale=2.0)
    """
    found = kr.create(kernel) if isinstance(kernel, str) else kr.clone(kernel)
    if not hasattr(found, "get_params"):
        raise ParameterError(f"kernel: expected a kernel with parameters, got {describe(kernel)}")
    params = found.get_params()
    names = [name for name in params if name.rpartition("__")[2] in _LENGTHS and _is_unit(params, name, found)]
    if not names:
        raise ParameterError(
            f"kernel: expected one with a length scale in the units of X, got {kernel!r}, whose parameters are: "
            + (", ".join(params) or "none")
        )
    for name in names:
        owner = params.get(name.rpartition("__")[0], found)
        p = 1 if type(owner).__name__ in ("Laplace", "LaplacianKernel") else 2
        ard = np.ndim(as_numpy(params[name])) == 1
        value = median_lengthscale(X, p=p, ard=ard, max_items=max_items, random_state=random_state)
        if ard and len(np.ravel(value)) != len(np.ravel(as_numpy(params[name]))):
            raise InputError(
                f"X: expected {len(np.ravel(as_numpy(params[name])))} features, as {name} has, got {describe(X)}"
            )
        found.set_params(**{name: value})
    return found


def _is_unit(params: dict[str, Any], name: str, kernel: Any) -> bool:
    """Whether the length is one of X: beside a period it is one on the circle."""
    owner = params.get(name.rpartition("__")[0], kernel)
    return not hasattr(owner, "period")
