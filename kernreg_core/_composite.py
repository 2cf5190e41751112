"""What the composites share: their parts, and what follows from them."""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from typing import Any, Self

import numpy as np

from ._features import feature_capability
from ._parts import PreparedParts, capabilities_of, is_kernel_like, split_parts
from ._spectral import (
    Inverse,
    convolution_inverse,
    convolution_sample,
    mixture_inverse,
    mixture_sample,
    offered_by_parts,
)
from .arrays import check_sized, describe, is_prepared, is_sparse, length
from .base import BaseKernel, provides, result_dtype_of
from .errors import InputError, ParameterError

_BROUGHT_ALONG = ("complex", "stochastic", "asymmetric", "prepare", "matrix_valued", "fitted")


class Composite(BaseKernel):
    """What the composites share: their parts, and what follows from them."""

    #: Whether the spectral law is the mixture of the parts' laws, else it is their convolution.
    _mixes = False

    def parts(self) -> list[Any]:
        """The parts, in order."""
        raise NotImplementedError

    @property
    def domain(self) -> str:  # type: ignore[override]
        """The parts' domain; a foreign part follows the others."""
        domains = {getattr(part, "domain", None) for part in self.parts()}
        found = {domain for domain in domains if isinstance(domain, str) and domain}  # "" of foreign parts, scaled
        if len(found) > 1:
            raise ParameterError(
                f"{type(self).__name__}: expected parts of one domain, got "
                + ", ".join(f"{part!r} on {part.domain}" for part in self.parts() if hasattr(part, "domain"))
            )
        return found.pop() if found else ""

    @property
    def pair_cost(self) -> str:  # type: ignore[override]
        return "high" if any(getattr(part, "pair_cost", "low") == "high" for part in self.parts()) else "low"

    @property
    def accepts_sparse(self) -> bool:  # type: ignore[override]
        return all(getattr(part, "accepts_sparse", False) for part in self.parts())

    def _shared_capabilities(self, *names: str) -> set[str]:
        """Those of `names` that every part has, and what any part brings along."""
        sets = [capabilities_of(part) for part in self.parts()]
        found = {name for name in names if all(name in part for part in sets)}
        found |= {name for name in _BROUGHT_ALONG if any(name in part for part in sets)}
        return found

    def _feature_capability(self) -> set[str]:
        """``features`` where every part has exact ones, ``random_features`` where some only estimate."""
        return feature_capability(self.parts())

    @property
    def n_features(self) -> int:
        """Columns of ``features(X)``, where these are random and every part knows how many it has."""
        widths: list[Any] = [getattr(part, "n_features", None) for part in self.parts()]
        if "random_features" not in self.capabilities or None in widths:
            raise AttributeError(f"{self!r} has no 'n_features': only random features have a number of their own")
        return self._joined_width([int(width) for width in widths])

    def _joined_width(self, widths: list[int]) -> int:
        raise NotImplementedError

    @provides("fitted")
    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit every part that needs it, one that stands twice only once.

        Parameters
        ----------
        X : items
        y : array, optional
            Passed on where it is given.

        Returns
        -------
        self
        """
        parts, done = self.parts(), set[int]()
        for part, x in zip(parts, split_parts(X, len(parts)), strict=True):
            if "fitted" in capabilities_of(part) and id(part) not in done:
                part.fit(x) if y is None else part.fit(x, y)
                done.add(id(part))
        return self

    def _spectral_parts(self) -> list[Any]:
        return self.parts()

    @offered_by_parts
    def spectral_sample(self, n: int, d: int, rng: Any = None) -> np.ndarray:
        """`n` angular frequencies w with ``k(x, y) / k(x, x) = E[cos(w . (x - y))]``, from those of the parts.

        Of a sum each frequency is one of a part chosen by its share of k(x, x); of a product it is the sum of
        independent ones of all factors.

        Parameters
        ----------
        n, d : int
            Frequencies, and features of the data.
        rng : int, numpy Generator or None

        Returns
        -------
        ndarray, shape (n, d)
        """
        draw = mixture_sample if self._mixes else convolution_sample
        return draw(self._spectral_parts(), n, d, np.random.default_rng(rng))

    @offered_by_parts
    def spectral_inverse(self, d: int) -> Inverse:
        """The map that turns uniform points into frequencies, from those of the parts.

        Parameters
        ----------
        d : int
            Features of the data.

        Returns
        -------
        m : int
            Coordinates that a point needs.
        inverse : callable
            Takes points of the unit cube, (n, m), to frequencies, (n, d).
        """
        return (mixture_inverse if self._mixes else convolution_inverse)(self._spectral_parts(), d)

    def check_parameters(self, X: Any) -> None:
        self.domain  # noqa: B018  (raises where the parts' domains differ)
        for name, part in zip(self._parameter_names(), self.parts(), strict=False):
            if not is_kernel_like(part):
                raise ParameterError(f"{name}: expected a kernel (a callable instance), got {describe(part)}")

    def _check_side(self, X: Any, name: str) -> Any:
        if self.domain or is_prepared(X):
            return super()._check_side(X, name)
        # parts of other libraries only: the items are theirs to check
        return X if is_sparse(X) else check_sized(X, name, "items")

    def result_dtype(self, X: Any) -> Any:
        parts = self.parts()
        found = [result_dtype_of(part, x) for part, x in zip(parts, split_parts(X, len(parts)), strict=True)]
        if not all(isinstance(dtype, np.dtype) for dtype in found):
            return found[0]  # prepared tensors: torch promotes them itself
        return np.result_type(*found, *([np.complex64] if "complex" in self.capabilities else []))

    def plan(self, X: Any, Y: Any = None) -> dict[str, Any]:
        """What the parts' own plans say; numbers of the same name are added."""
        found: dict[str, Any] = {}
        for part in self.parts():
            own = getattr(part, "plan", None)
            for name, value in dict(own(X, Y)).items() if callable(own) else ():
                both = isinstance(value, numbers.Real) and isinstance(found.get(name), numbers.Real)
                found[name] = found[name] + value if both else value
        return found

    @provides("prepare")
    def prepare(self, X: Any) -> PreparedParts:
        """Each part's own ``prepare(X)``, or `X` where it has none."""
        X, _ = self.check_items(X)
        if isinstance(X, PreparedParts):
            return X
        return PreparedParts(
            tuple(part.prepare(X) if "prepare" in capabilities_of(part) else X for part in self.parts())
        )

    def _sides(self, X: Any, Y: Any) -> Iterable[tuple[Any, Any, Any]]:
        """Each part with its own two sides; the same object twice where `Y` is `X`."""
        parts = self.parts()
        left = split_parts(X, len(parts))
        right = left if Y is X else split_parts(Y, len(parts))
        return zip(parts, left, right, strict=True)

    def _evaluated(self, X: Any, Y: Any) -> Iterable[Any]:
        for part, x, y in self._sides(X, Y):
            K = part(x, y)
            shape = getattr(K, "shape", None)
            if shape is None or tuple(shape[:2]) != (length(x), length(y)):
                raise InputError(
                    f"{part!r}: expected a Gram matrix of shape {(length(x), length(y))}, got {describe(K)}: "
                    "a part of a composite is called as k(X, Y) on whole collections"
                )
            yield K

    def _gradients(self, X: Any, Y: Any) -> list[tuple[Any, Any, Any, Any]]:
        """(k, dk/dx, dk/dy, d2k/dx dy) of each part."""
        return [(p(x, y), p.grad_x(x, y), p.grad_y(x, y), p.grad_xy(x, y)) for p, x, y in self._sides(X, Y)]

    def _all_gradients(self, X: Any, Y: Any) -> tuple[Any, Any, Any, Any]:
        """(k, dk/dx, dk/dy, d2k/dx dy) of the composite."""
        raise NotImplementedError

    @provides("gradients")
    def grad_x(self, X: Any, Y: Any = None) -> Any:
        """dk/dx, shape (n, m, d)."""
        return self._all_gradients(*self.check_items(X, Y))[1]

    @provides("gradients")
    def grad_y(self, X: Any, Y: Any = None) -> Any:
        """dk/dy, shape (n, m, d)."""
        return self._all_gradients(*self.check_items(X, Y))[2]

    @provides("gradients")
    def grad_xy(self, X: Any, Y: Any = None) -> Any:
        """d2k/dx dy^T, shape (n, m, d, d)."""
        return self._all_gradients(*self.check_items(X, Y))[3]
