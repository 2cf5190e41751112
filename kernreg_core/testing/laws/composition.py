"""Kernels combine: sums, products, powers, multiples and normalised kernels have the values they say."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._parts import capabilities_of
from ...arrays import is_torch
from ...base import BaseKernel
from ...composites import Normalized, Power, Product, Scaled, Sum
from ...params import clone
from .._checks import law
from .._subject import Subject, made
from ..items import assert_close, length, values
from ..tolerances import tolerance
from ._objects import is_reproducible, is_steady, varied


def _has_values(subject: Subject) -> bool:
    return is_steady(subject)


def _is_scalar(subject: Subject) -> bool:
    return is_steady(subject) and "matrix_valued" not in subject.capabilities


def _has_operators(subject: Subject) -> bool:
    return _has_values(subject) and isinstance(made(subject), BaseKernel)


class _Ones(BaseKernel):
    """k(x, y) = 1 on any domain."""

    capabilities = frozenset({"symmetric", "psd", "diag"})

    def __init__(self, *, like: Any) -> None:
        self.like = like

    def __call__(self, X: Any, Y: Any = None, /) -> Any:
        ones = np.ones(
            (length(X), length(X if Y is None else Y), *values(self.like).shape[2:]), values(self.like).dtype
        )
        if is_torch(self.like):
            import torch

            return torch.as_tensor(ones)
        return ones

    def diag(self, X: Any) -> Any:
        """1 for each item."""
        return self(X).diagonal()


def _ones(subject: Subject, like: Any) -> Any:
    kernel = _Ones(like=like)
    kernel.domain = getattr(subject.make(), "domain", None)  # type: ignore[assignment]
    return kernel


def _plus(a: Any, b: Any) -> Any:
    return a + b if isinstance(a, BaseKernel) and isinstance(b, BaseKernel) else Sum(a, b)


def _times(a: Any, b: Any) -> Any:
    return a * b if isinstance(a, BaseKernel) and isinstance(b, BaseKernel) else Product(a, b)


@law(applies=_has_values)
def sum_adds(subject: Subject) -> None:
    """The values of a sum of kernels are the sums of their values."""
    k = subject.make()
    K = k(subject.X)
    got = _plus(k, k)(subject.X)
    assert_close(got, values(K) + values(K), "k + k against 2 k(X)", kind="rounding")
    got = _plus(k, _ones(subject, K))(subject.X)
    assert_close(got, values(K) + 1, "k + 1 against k(X) + 1", kind="rounding")


@law(applies=_has_values)
def sum_in_any_order(subject: Subject) -> None:
    """k1 + k2 is k2 + k1."""
    k = subject.make()
    one = _ones(subject, k(subject.X))
    got, other = _plus(one, k), _plus(k, one)
    assert_close(got(subject.X), other(subject.X), "1 + k against k + 1", kind="rounding")


@law(applies=_has_operators)
def sum_of_a_list(subject: Subject) -> None:
    """sum([k, k]) is k + k."""
    k = subject.make()
    assert_close(sum([k, k])(subject.X), (k + k)(subject.X), "sum([k, k]) against k + k", kind="rounding")


@law(applies=_has_values)
def multiple_scales(subject: Subject) -> None:
    """The values of 3 * k are three times those of k, in their dtype."""
    k = subject.make()
    K = values(k(subject.X))
    made: list[Any] = [Scaled(kernel=k, variance=3.0)]
    if isinstance(k, BaseKernel):
        made += [3 * k, k * 3.0, np.float64(3.0) * k]
    for multiple in made:
        got = values(multiple(subject.X))
        assert_close(got, 3 * K, f"{multiple!r} against three times k(X)", kind="rounding")
        assert got.dtype == K.dtype, f"{multiple!r} has dtype {got.dtype}, k(X) has {K.dtype}"


@law(applies=_is_scalar)
def product_multiplies(subject: Subject) -> None:
    """The values of a product of kernels are the products of their values."""
    k = subject.make()
    K = k(subject.X)
    got = _times(k, k)(subject.X)
    assert_close(got, values(K) * values(K), "k * k against the squares of k(X)", kind="rounding")
    got = _times(k, _ones(subject, K))(subject.X)
    assert_close(got, values(K), "k * 1 against k(X)", kind="rounding")


@law(applies=_is_scalar)
def power_raises(subject: Subject) -> None:
    """The values of k ** 2 are the squares of those of k."""
    k = subject.make()
    squared = k**2 if isinstance(k, BaseKernel) else Power(kernel=k, exponent=2)
    assert_close(squared(subject.X), values(k(subject.X)) ** 2, "k ** 2 against k(X)^2", kind="rounding")


def _has_norms(subject: Subject) -> bool:
    return _is_scalar(subject) and {"symmetric", "psd"} <= subject.capabilities


@law(applies=_has_norms)
def normalized_divides_by_the_norms(subject: Subject) -> None:
    """normalize(k) is k(x, y) / sqrt(k(x, x) k(y, y)), with a unit diagonal; 0 where k(x, x) is 0."""
    k = subject.make()
    K = values(k(subject.X))
    norms = np.sqrt(np.diagonal(K).real)
    N = values(Normalized(kernel=k)(subject.X))
    unit = np.where(norms > 0, 1.0, 0.0)
    assert_close(np.diagonal(N).real, unit, "the diagonal of normalize(k)", kind="rounding")
    safe = np.where(norms > 0, norms, np.inf)
    assert_close(N, K / safe[:, None] / safe[None, :], "normalize(k) against k divided by the norms")


@law("kernel", "psd", applies=_has_norms)
def composites_keep_psd(subject: Subject) -> None:
    """Sums, products, powers and positive multiples of a PSD kernel are PSD, and say so; a negative one does not."""
    k = subject.make()
    composites = {"k + k": Sum(k, k), "k * k": Product(k, k), "k ** 3": Power(kernel=k, exponent=3)}
    composites["2 k"] = Scaled(kernel=k, variance=2.0)
    declared = {"symmetric", "psd"} <= capabilities_of(k)
    for name, composite in composites.items():
        assert not declared or {"symmetric", "psd"} <= composite.capabilities, f"{name} does not declare psd"
        K = values(composite(subject.X))
        spectrum = np.linalg.eigvalsh(K)
        allowed = tolerance(K).eigenvalue * max(float(np.abs(spectrum).max()), np.finfo(np.float64).tiny)
        assert spectrum[0] >= -allowed, f"{name}: smallest eigenvalue {spectrum[0]:.3g}, -{allowed:.3g} is allowed"
    assert "psd" not in Scaled(kernel=k, variance=-1.0).capabilities, "-k declares psd"


@law(applies=is_reproducible)
def composite_reaches_its_parts(subject: Subject) -> None:
    """Parameters of a part are set through a composite, whose clone has parts of its own."""
    name, value = varied(subject)
    expected = clone(subject.make()).set_params(**{name: value})(subject.X)
    total = Sum(clone(subject.make()), clone(subject.make()))
    copied = clone(total)
    before = values(total(subject.X))
    copied.set_params(**{f"k2__{name}": value})
    assert_close(total(subject.X), before, f"a sum after k2__{name}={value!r} on its clone", kind="rounding")
    own = values(subject.make()(subject.X))
    assert_close(copied(subject.X), own + values(expected), f"a sum with k2__{name}={value!r}", kind="rounding")
