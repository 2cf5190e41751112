"""What the Gaussian process models share: their parameters, the search, and what is said of bad matrices."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning

import kernreg_core as kr
from kernreg_core.errors import InputError, KernregWarning, ParameterError

from .gp_bounds import LENGTHS
from .gp_exact import factorise
from .gp_parameters import Parameter
from .gp_terms import terms_of
from .hyperparameters import HyperParameters, Minimum, minimise
from .linalg import blas_threads

#: Of a kernel that does not say that it is positive semi-definite: eigenvalues below this, relative to the mean of the
#: diagonal, are no rounding.
_INDEFINITE = 1e-5
#: Targets below which a search keeps BLAS on one thread: an evaluation takes milliseconds, in a dozen calls.
FEW = 1000


def learnt_space(
    model: Any,
    X: Any,
    Y: np.ndarray,
    noise: float,
    mean: Any,
    *,
    weights: np.ndarray | None = None,
    least: float = 1e-8,
) -> HyperParameters:
    """The parameters that a regressor learns: its kernel's, and ``noise`` where that is not 0.

    The noise is at least `least` times the mean square of the targets where the user gives no bounds.
    """
    centred = Y - (np.average(Y, axis=0, weights=weights) if mean is None else mean)
    scale = float(np.average(np.square(centred).mean(axis=1), weights=weights)) or float(np.square(Y).mean()) or 1.0
    # without a search the bounds that X would give are not used
    searches = getattr(model, "optimizer", "likelihood") is not None
    seen = X if searches or "fitted" in kr.capabilities(model.kernel_) else None
    given = model.bounds
    if not noise and isinstance(given, Mapping) and given.get("noise") == "fixed":
        given = {name: bound for name, bound in given.items() if name != "noise"}  # a noise of 0 is never learnt
    space = HyperParameters(
        model.kernel_, seen, y=Y if Y.shape[1] > 1 else Y[:, 0], parameters=model.parameters, bounds=given,
        extra={"noise": noise} if noise else {}, extra_bounds={"noise": (least * scale, 1e2 * scale)},
    )  # fmt: skip
    if not noise:
        space.constants["noise"] = 0.0
    return space


def search(
    model: Any, loss: Any, theta: np.ndarray, bounds: np.ndarray, n: int, *, quiet: bool = False, **options: Any
) -> Minimum:
    """The theta of the largest likelihood of `n` targets; warns where it was not reached, unless `quiet`.

    The likelihood's curvature in log p grows with n, and so does the gradient that is near enough to zero.
    """
    options = {"n_restarts": model.n_restarts, "random_state": model.random_state, **options}
    try:
        with blas_threads(n if n >= FEW else 0):  # the search's own small products too
            found = minimise(loss, theta, bounds, max_iter=model.max_iter, tol=max(1e-5, 1e-7 * n), **options)
    except np.linalg.LinAlgError:
        noisy = hasattr(model, "noise")
        what, way = ("K + noise I", "raise noise, or ") if noisy else ("the Gram matrix", "")
        raise InputError(indefinite(f"{what} at the start of the search", way)) from None
    if not (found.converged or quiet):
        # without noise the jitter of a covariance that is singular in float64 makes steps in the likelihood
        first = "raise noise, which is 0, or " if getattr(model, "noise", None) == 0 else ""
        warnings.warn(
            f"{type(model).__name__}: after {found.n_evaluations} evaluations the gradient of the likelihood is still "
            f"{found.residual:.2g}: {first}raise max_iter={model.max_iter}, scale the data, or narrow bounds "
            f"({found.message})",
            ConvergenceWarning,
            stacklevel=4,
        )
    return found


def warn_short(model: Any, space: HyperParameters, theta: np.ndarray) -> None:
    """Say that a length scale ended on its lower bound: as far as the model can see, every item is then its own."""
    for parameter, where in space.inside:
        low, high = space.bounds[where].T
        short = (theta[where] <= low + 1e-6) & (low < high)
        if parameter.leaf in LENGTHS and short.any() and _plays_a_part(space, parameter, theta):
            first = int(np.flatnonzero(short)[0])
            ways = "scale y to a variance of 1" + (" or set normalize_y=True" if hasattr(model, "normalize_y") else "")
            warnings.warn(
                f"{type(model).__name__}: {parameter.labels()[first]} ended on its lower bound, "
                f"{math.exp(low[first]):.3g}, where items say little about each other: {ways}, start at other values "
                f"(the kernel's, or n_restarts={model.n_restarts} raised), or widen bounds={{{parameter.name!r}: ...}}",
                ConvergenceWarning,
                stacklevel=4,
            )


def _plays_a_part(space: HyperParameters, parameter: Parameter, theta: np.ndarray) -> bool:
    """Whether a term that holds the parameter is left with a weight that is not negligible beside the noise."""
    noise = space.extra(theta).get("noise", 0.0)
    return any(term.weight > 1e-2 * noise for term in terms_of(space.at(theta)) if term.holds(parameter))


def checked_noise(noise: Any) -> float:
    """A finite number at least 0."""
    if not isinstance(noise, numbers.Real) or isinstance(noise, bool) or not math.isfinite(noise) or noise < 0:
        raise ParameterError(f"noise: expected a finite number at least 0, a variance, got {noise!r}")
    return float(noise)


def checked_mean(mean: Any) -> float | None:
    """A number, or None for the most likely constant."""
    if isinstance(mean, str) and mean in ("zero", "constant"):
        return 0.0 if mean == "zero" else None
    if not isinstance(mean, numbers.Real) or isinstance(mean, bool) or not math.isfinite(mean):
        raise ParameterError(f"mean: expected 'zero', 'constant' or a finite number, got {mean!r}")
    return float(mean)


def check_definite(K: np.ndarray) -> None:
    """InputError where `K` has negative eigenvalues beyond rounding."""
    try:
        factorise(K.copy(), _INDEFINITE * float(K.diagonal().mean()), most=0.0)
    except np.linalg.LinAlgError:
        raise InputError(indefinite("the Gram matrix", "")) from None


def indefinite(what: str, way: str) -> str:
    """What to say of a matrix that is no covariance."""
    return (
        f"kernel: {what} is not positive semi-definite on these items, so that it is the covariance of nothing: {way}"
        "take a positive definite kernel, or fit kernel='precomputed' to kernreg_core.numeric.nearest_psd(K)"
    )


def warn_jitter(jitter: float, noise: float) -> None:
    """Say that a jitter was added."""
    warnings.warn(
        f"noise={noise:.3g} is too small for the precision of the Gram matrix on these items (repeated ones, very "
        f"smooth functions, or float32 tensors): a jitter of {jitter:.3g} was added to the diagonal, see jitter_. "
        "A larger noise silences this",
        KernregWarning,
        stacklevel=4,
    )


def checked_variances(found: np.ndarray, prior: np.ndarray, kernel: Any) -> np.ndarray:
    """`found`, with 0 for what rounding made negative; InputError where that is no rounding."""
    lowest = float((found + 1e-4 * np.abs(prior)).min(initial=0.0))
    if lowest < 0 and (kernel is None or "psd" not in kr.capabilities(kernel)):
        raise InputError(indefinite("the kernel between training and new items", ""))
    return np.maximum(found, 0.0)
