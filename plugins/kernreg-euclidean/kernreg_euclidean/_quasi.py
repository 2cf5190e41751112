"""Points of the unit cube from any sampler, randomised, for features by quasi-Monte Carlo."""

from __future__ import annotations

import copy
import inspect
import warnings
from typing import Any

import numpy as np

from kernreg_core.api import load
from kernreg_core.arrays import describe
from kernreg_core.errors import ParameterError

_EXPECTED = (
    "sampler: expected a sampler's name, a class or function called as f(d=..., rng=...), or an object with d and "
    "sample(n) (or random(n)) that gives points of the unit cube"
)


def cube_points(sampler: Any, n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """`n` points of the open unit cube in `d` dimensions.

    A sampler that is made here gets an rng of its own. One that is given as an object is copied, never advanced; its
    points, and those of a sampler that does not depend on its rng (an engine made with ``scramble=False``), are shifted
    by one random vector modulo 1: each point is then uniform, and what is averaged over the points unbiased.

    Parameters
    ----------
    sampler : str, class, callable or object
    n, d : int
    rng : numpy Generator

    Returns
    -------
    ndarray of float64, shape (n, d)
        In (0, 1).

    Raises
    ------
    ParameterError
        If it is no sampler, of another dimension, or its points are not in the unit cube.
    """
    engine, takes_rng = _engine(sampler, d, rng)
    if (dimension := getattr(engine, "d", None)) is not None and dimension != d:
        raise ParameterError(f"sampler: expected one of {d} dimensions, got {sampler!r} of {dimension}: pass its class")
    found = _drawn(engine, n)
    points = np.array(found, dtype=np.float64)
    if points.shape != (n, d) or not ((points >= 0.0) & (points <= 1.0)).all():
        raise ParameterError(
            f"sampler: expected {n} points of the unit cube in {d} dimensions, got {describe(found)}"
            + (f" with values from {points.min():g} to {points.max():g}" if points.size else "")
        )
    if not takes_rng or _repeats(sampler, points, rng):
        points = (points + rng.random(d)) % 1.0
    return np.clip(points, 2.0**-53, 1.0 - 2.0**-53)


def _drawn(engine: Any, n: int) -> Any:
    with warnings.catch_warnings():
        # the error of Sobol' points is smallest for powers of two, and never worse than that of random ones
        warnings.filterwarnings("ignore", "The balance properties of Sobol", UserWarning)
        return engine.sample(n) if callable(getattr(engine, "sample", None)) else engine.random(n)


def _repeats(sampler: Any, points: np.ndarray, rng: np.random.Generator) -> bool:
    """Whether `sampler` gives the same points whatever its rng."""
    twin, _ = _engine(sampler, points.shape[1], rng.spawn(1)[0])
    return np.array_equal(np.asarray(_drawn(twin, len(points))), points)


def _engine(sampler: Any, d: int, rng: np.random.Generator) -> tuple[Any, bool]:
    """An object to draw from, and whether it was made with an rng that `rng` decides."""
    if isinstance(sampler, str):
        sampler = load(sampler)
    if isinstance(sampler, type) or not _draws(sampler):
        if not callable(sampler):
            raise ParameterError(f"{_EXPECTED}, got {describe(sampler)}")
        seed = _seed_argument(sampler)
        arguments = {"d": d} if seed is None else {"d": d, seed: np.random.default_rng(rng.integers(2**63))}
        try:
            engine = sampler(**arguments)
        except TypeError as error:
            raise ParameterError(f"{_EXPECTED}, got {sampler!r}, which cannot be called so: {error}") from error
        if not _draws(engine):
            raise ParameterError(f"{_EXPECTED}, got {sampler!r}, which makes {describe(engine)}")
        return engine, seed is not None
    if not hasattr(sampler, "d"):
        raise ParameterError(f"{_EXPECTED}, got {describe(sampler)}, which has no d")
    return copy.deepcopy(sampler), False


def _draws(sampler: Any) -> bool:
    return callable(getattr(sampler, "sample", None)) or callable(getattr(sampler, "random", None))


def _seed_argument(factory: Any) -> str | None:
    """What `factory` calls its source of randomness: rng, or seed in older scipy."""
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):
        return "rng"
    for name in ("rng", "seed"):
        if name in parameters:
            return name
    return "rng" if any(p.kind is p.VAR_KEYWORD for p in parameters.values()) else None
