"""How near is near enough: one table, by dtype."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Tolerance(NamedTuple):
    """What a check of that dtype allows; each is a fraction of the largest magnitude compared."""

    value: float  #: two ways to compute one value
    rounding: float  #: one formula, cut or ordered differently: a few ulp
    eigenvalue: float  #: the smallest eigenvalue of a positive semi-definite matrix may be minus this
    gradient: float  #: a derivative against finite differences of float64 values
    sigmas: float  #: a mean over seeds against its expectation, in standard errors


#: Tolerances by the name of the dtype; complex dtypes have those of their real parts.
TOLERANCES = {
    "float16": Tolerance(5e-2, 2e-2, 5e-2, 1e-1, 5.0),
    "bfloat16": Tolerance(1e-1, 5e-2, 1e-1, 2e-1, 5.0),
    "float32": Tolerance(1e-4, 2e-5, 1e-4, 1e-2, 5.0),
    "float64": Tolerance(1e-8, 1e-12, 1e-8, 1e-5, 5.0),
    "complex64": Tolerance(1e-4, 2e-5, 1e-4, 1e-2, 5.0),
    "complex128": Tolerance(1e-8, 1e-12, 1e-8, 1e-5, 5.0),
}


def tolerance(*values: Any) -> Tolerance:
    """The widest tolerance of the dtypes of `values` (arrays, tensors or dtypes); float64's for anything else.

    Examples
    --------
    >>> tolerance(np.float32(1.0), np.float64(1.0)).value
    0.0001
    """
    names = [str(getattr(value, "dtype", value)).rpartition(".")[2] for value in values]
    found = [TOLERANCES[name] for name in names if name in TOLERANCES]
    return max(found, key=lambda row: row.value, default=TOLERANCES["float64"])


def scale_of(*arrays: Any) -> float:
    """The largest finite magnitude in `arrays`, at least the smallest normal number."""
    sizes = [float(np.abs(a[np.isfinite(a)]).max(initial=0.0)) for a in map(np.asarray, arrays)]
    return max([np.finfo(np.float64).tiny, *sizes])
