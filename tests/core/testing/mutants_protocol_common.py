"""What the mutants of calls share: a sound kernel, and a wrong call put in its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from mutation import mutant
from sample_kernels import Rbf

from kernreg_core.testing import Subject, subject_from

Call = Callable[[Any, Any, Any], Any]


def points(n=6, d=3):
    return np.random.default_rng(7).standard_normal((n, d))


def sound(X, Y=None):
    """A sound kernel without a base class: exp(-|x - y|^2 / 2), by differences."""
    Y = X if Y is None else Y
    return np.exp(-0.5 * ((X[:, None] - Y[None]) ** 2).sum(-1))


class Plain:
    """A kernel without a base class, whose call is `call(k, X, Y)` with a sound kernel k of its own."""

    def __init__(self, call: Call, k: Any) -> None:
        self.call, self.k = call, k

    def __call__(self, X, Y=None, /):
        return self.call(self.k, X, Y)


class State:
    """A sound function that can carry attributes."""

    def __call__(self, X, Y=None):
        return sound(X, Y)


def wrong(check: str, *, X: Any = None, **fields: Any) -> Callable[[Call], Call]:
    """Register the kernel without a base class whose call is the decorated function, as a mutant."""

    def register(call: Call) -> Call:
        def make() -> Subject:
            return subject_from(Plain(call, State()), points() if X is None else X, **fields)

        make.__name__ = call.__name__
        mutant(check)(make)
        return call

    return register


def wrong_kernel(check: str, base: Any = Rbf, *, X: Any = None, **fields: Any) -> Callable[[Call], Call]:
    """Register the kernel with kernreg's base class whose call is the decorated function, as a mutant."""

    def register(call: Call) -> Call:
        def make() -> Subject:
            k = base()

            class Mutant(base):
                def __call__(self, X, Y=None, /):
                    return call(k, X, Y)

            return subject_from(Mutant(), points() if X is None else X, **fields)

        make.__name__ = call.__name__
        mutant(check)(make)
        return call

    return register
