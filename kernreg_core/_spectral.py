"""The spectral law of a composite, from those of its stationary parts.

A sum of kernels has the mixture of its parts' laws, weighted by k_i(0); a product has their convolution: a
frequency of k1 k2 is one of k1 plus an independent one of k2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ._parts import diagonal

#: ``spectral_inverse(d)``: coordinates m, and the map from points (n, m) of the unit cube to frequencies (n, d).
Inverse = tuple[int, Callable[[np.ndarray], np.ndarray]]


class offered_by_parts:
    """Decorator: the method exists while the composite is stationary and psd and every part has the method too."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.name = function.__name__
        self.__doc__ = function.__doc__
        self.__wrapped__ = function

    def __get__(self, obj: Any, owner: type | None = None) -> Any:
        if obj is None:
            return self.function
        lacking = [part for part in obj.parts() if not callable(getattr(part, self.name, None))]
        missing = {"stationary", "psd"} - obj.capabilities
        if lacking or missing:
            why = f"{lacking[0]!r} has none" if lacking else f"it is not {' and '.join(sorted(missing))}"
            raise AttributeError(f"{obj!r} has no {self.name!r}: {why}")
        return self.function.__get__(obj, owner)


def mixture_weights(parts: list[Any], d: int) -> np.ndarray:
    """k_i(0) of each part over their sum."""
    zero = np.zeros((1, d))
    weights = np.array([max(float(np.real(diagonal(part, zero)[0])), 0.0) for part in parts])
    total = weights.sum()
    return weights / total if total > 0 else np.full(len(parts), 1.0 / len(parts))


def mixture_sample(parts: list[Any], n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """`n` frequencies, each drawn from a part that is chosen by its weight."""
    chosen = rng.choice(len(parts), size=n, p=mixture_weights(parts, d))
    found = np.empty((n, d))
    for i, part in enumerate(parts):
        found[chosen == i] = part.spectral_sample(int((chosen == i).sum()), d, rng)
    return found


def convolution_sample(parts: list[Any], n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """`n` frequencies, each the sum of independent ones of all parts."""
    found = np.zeros((n, d))
    for part in parts:
        found += part.spectral_sample(n, d, rng)
    return found


def mixture_inverse(parts: list[Any], d: int) -> Inverse:
    """The first coordinate chooses the part, the others are the chosen part's."""
    inverses = [part.spectral_inverse(d) for part in parts]
    edges = np.cumsum(mixture_weights(parts, d))[:-1]

    def inverse(U: np.ndarray) -> np.ndarray:
        chosen = np.searchsorted(edges, U[:, 0], side="right")
        found = np.empty((len(U), d))
        for i, (m, of_part) in enumerate(inverses):
            found[chosen == i] = of_part(U[chosen == i, 1 : 1 + m])
        return found

    return 1 + max(m for m, _ in inverses), inverse


def convolution_inverse(parts: list[Any], d: int) -> Inverse:
    """Coordinates of their own for every part; the frequencies are added."""
    inverses = [part.spectral_inverse(d) for part in parts]

    def inverse(U: np.ndarray) -> np.ndarray:
        found, start = np.zeros((len(U), d)), 0
        for m, of_part in inverses:
            found += of_part(U[:, start : start + m])
            start += m
        return found

    return sum(m for m, _ in inverses), inverse
