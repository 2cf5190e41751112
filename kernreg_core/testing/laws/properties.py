"""What a matrix of values is declared to be: symmetric, positive semi-definite, normalised, stationary."""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import gram
from ..._parts import capabilities_of
from ...arrays import is_numpy, is_torch, length
from .._checks import NotApplicable, law
from .._subject import Subject, made
from ..items import assert_close, assert_same, join, take, values
from ..tolerances import tolerance
from ._capability import (
    adjoint,
    all_of,
    assert_nonnegative_forms,
    assert_psd,
    declares,
    exact,
    expensive,
    many,
    offers,
    on_arrays,
    two_sides,
    with_duplicates,
)

#: Items of the laws about larger matrices, and the tile that cuts them.
_MANY, _TILE = 150, 64


def _many(subject: Subject) -> Any:
    return many(subject, 12 if expensive(subject) else _MANY)


# symmetric


@law("kernel", "symmetric", generated=True)
def symmetric_bit_for_bit(subject: Subject, X: Any) -> None:
    """k(X) and k(X, X) equal their (conjugate) transposes bit for bit."""
    K = subject.make()(X)
    assert_same(adjoint(K), values(K), "k(X)^T and k(X)")
    K = subject.make()(X, X)
    assert_same(adjoint(K), values(K), "k(X, X)^T and k(X, X)")


@law("kernel", "symmetric")
def symmetric_when_large_and_cut(subject: Subject) -> None:
    """k(X) of many items, of slices of them, and put together from tiles, is symmetric bit for bit."""
    X = _many(subject)
    n = length(X)
    for part in (X, take(X, range(n // 3, n)), take(X, range(0, n, 2))):
        K = subject.make()(part)
        assert_same(adjoint(K), values(K), f"k(X)^T and k(X) of {length(part)} items")
    obj = subject.make()
    if "symmetric" in capabilities_of(obj):  # gram mirrors the tiles of what says so itself
        K = gram(obj, X, tile=max(2, n * _TILE // _MANY), progress=False)
        assert_same(adjoint(K), values(K), f"the transpose and the matrix of {n} items in tiles")


@law("kernel", "symmetric", generated=True, applies=exact)
def symmetric_in_its_arguments(subject: Subject, X: Any) -> None:
    """k(Y, X) is the (conjugate) transpose of k(X, Y), within rounding."""
    left, right = two_sides(X)
    assert_close(subject.make()(right, left), adjoint(subject.make()(left, right)), "k(Y, X)", kind="rounding")


# psd


@law("kernel", "psd", generated=True)
def psd_on_the_items(subject: Subject, X: Any) -> None:
    """The smallest eigenvalue of k(X) is not below zero, but for rounding."""
    assert_psd(subject.make()(X), f"k(X) of {length(X)} items")


@law("kernel", "psd")
def psd_with_duplicates(subject: Subject) -> None:
    """The smallest eigenvalue of k(X) is not below zero where items occur more than once."""
    assert_psd(subject.make()(with_duplicates(subject.X)), "k(X) of items that occur several times")


@law("kernel", "psd", applies=on_arrays)
def psd_with_near_duplicates(subject: Subject) -> None:
    """The smallest eigenvalue of k(X) is not below zero where items are 1e-7 apart."""
    X = subject.X
    step = X.dtype.type(1e-7 if X.dtype == np.float64 else 1e-4)
    near = (1 - step) * X + step * X[::-1]  # between two items: never outside of what the entry takes
    assert_psd(subject.make()(join(X, near)), f"k(X) of items {step:.0e} apart")


@law("kernel", "psd")
def psd_quadratic_forms_of_many(subject: Subject) -> None:
    """c^H k(X) c is not below zero for any weights c of many items: random, sparse, differences of two."""
    assert_nonnegative_forms(subject.make()(_many(subject)), "k(X) of many items")


# cpd


@law("kernel", "cpd", generated=True)
def cpd_on_the_items(subject: Subject, X: Any) -> None:
    """On weights that sum to zero, the smallest eigenvalue of k(X) is not below zero."""
    assert_psd(subject.make()(X), f"k(X) of {length(X)} items, on zero-sum weights", on_zero_sums=True)


@law("kernel", "cpd")
def cpd_with_duplicates(subject: Subject) -> None:
    """On weights that sum to zero k(X) is not negative where items occur more than once."""
    K = subject.make()(with_duplicates(subject.X))
    assert_psd(K, "k(X) of items that occur several times, on zero-sum weights", on_zero_sums=True)


@law("kernel", "cpd")
def cpd_quadratic_forms_of_many(subject: Subject) -> None:
    """c^H k(X) c is not below zero for weights c of many items that sum to zero."""
    assert_nonnegative_forms(subject.make()(_many(subject)), "k(X), on zero-sum weights", zero_sum=True)


# normalized


@law("kernel", "normalized", generated=True)
def normalized_diagonal(subject: Subject, X: Any) -> None:
    """k(x, x) = 1; a generated item without a direction (its row is 0) may have 0."""
    K = values(subject.make()(X))
    diagonal = np.diagonal(K)
    expected = np.ones_like(diagonal)
    if X is not subject.X:
        expected[~K.any(axis=1)] = 0.0  # a zero vector has no cosine
    assert_close(diagonal, expected, "the diagonal of k(X)", kind="rounding")


@law("kernel", "normalized", applies=exact)
def normalized_between_equal_items(subject: Subject) -> None:
    """k(x, y) = 1 where y is another object equal to x."""
    X = subject.X
    K = values(subject.make()(X, take(X, range(length(X)))))
    assert_close(np.diagonal(K), np.ones_like(np.diagonal(K)), "the diagonal of k(X, a copy of X)")


@law("kernel", "normalized", generated=True, applies=all_of(declares("psd"), exact))
def normalized_values_are_at_most_one(subject: Subject, X: Any) -> None:
    """|k(x, y)| <= 1, within rounding, as Cauchy and Schwarz ask of a positive semi-definite kernel."""
    left, right = two_sides(X)
    for what, K in (("k(X)", subject.make()(X)), ("k(X, Y)", subject.make()(left, right))):
        largest = float(np.abs(values(K)).max())
        assert largest <= 1 + tolerance(values(K)).rounding, f"{what} has a value of magnitude 1 + {largest - 1:.3g}"


# complex


@law("kernel", "complex", generated=True)
def complex_values(subject: Subject, X: Any) -> None:
    """Values have a complex dtype, whatever the items."""
    K = values(subject.make()(X))
    assert K.dtype.kind == "c", f"k(X) has dtype {K.dtype}, a complex one is declared"


@law("kernel", "complex", generated=True)
def complex_hermitian(subject: Subject, X: Any) -> None:
    """k(X) = k(X)^H bit for bit, and k(Y, X) = k(X, Y)^H within rounding."""
    K = values(subject.make()(X))
    assert_same(adjoint(K), K, "k(X)^H and k(X)")
    if exact(subject):
        left, right = two_sides(X)
        assert_close(subject.make()(right, left), adjoint(subject.make()(left, right)), "k(Y, X)", kind="rounding")


@law("kernel", "complex", generated=True)
def complex_diagonal_is_real(subject: Subject, X: Any) -> None:
    """k(x, x) has no imaginary part."""
    K = values(subject.make()(X))
    diagonal = np.diagonal(K) if K.ndim == 2 else np.einsum("iikk->ik", K)
    assert not diagonal.imag.any(), f"k(x, x) has an imaginary part of {np.abs(diagonal.imag).max():.3g}"


@law("kernel", "complex", applies=declares("psd"))
def complex_quadratic_forms(subject: Subject) -> None:
    """c^H k(X) c is real and not negative for complex weights c."""
    K = values(subject.make()(subject.X)).astype(np.complex128)
    assert_nonnegative_forms(K, "k(X)")
    rng = np.random.default_rng(3)
    M = K if K.ndim == 2 else K.transpose(0, 2, 1, 3).reshape(K.shape[0] * K.shape[2], -1)
    c = rng.standard_normal(len(M)) + 1j * rng.standard_normal(len(M))
    form = complex(c.conj() @ M @ c)
    assert abs(form.imag) <= tolerance(K).value * abs(form), f"c^H K c = {form:.6g} is not real"


# stationary


def _moved(subject: Subject, X: Any, size: float, seed: int) -> Any:
    """`X` moved by one vector of about that size; by ``translated(X, rng)`` where the object has it."""
    obj = made(subject)
    rng = np.random.default_rng(seed)
    if hasattr(obj, "translated"):
        return obj.translated(X, rng)
    if is_numpy(X) and X.dtype.kind == "f":
        return X + (size * rng.standard_normal(X.shape[1:])).astype(X.dtype)
    if is_torch(X) and X.dtype.is_floating_point:
        return X + X.new_tensor(size * rng.standard_normal(tuple(X.shape[1:])))
    raise NotApplicable(f"items of type {type(X).__name__} cannot be moved, and there is no translated(X, rng)")


@law("kernel", "stationary", generated=True, applies=exact)
def stationary_under_translation(subject: Subject, X: Any) -> None:
    """k(X + t, Y + t) = k(X, Y) for short and long t.

    What is no array of numbers (elements of a group) is moved by the object's own
    ``translated(X, rng)``, if it has one: the items, all moved by one random element.
    """
    K = subject.make()(X)
    for seed, size in enumerate((0.5, 3.0, 100.0)):
        moved = _moved(subject, X, size, seed)
        # an item of size 100 is rounded 100 times as coarsely
        factor = 1.0 if tolerance(values(K)).value < 1e-6 else max(1.0, size)
        assert_close(subject.make()(moved), K, f"k of items moved by about {size:g}", factor=factor)


@law("kernel", "stationary", applies=all_of(exact, on_arrays))
def stationary_in_the_difference(subject: Subject) -> None:
    """Pairs of equal difference have equal values."""
    X = subject.X
    reach = float(np.abs(X - X[0]).max()) or 1.0
    for seed in range(4):
        step = (0.3 * reach * np.random.default_rng(seed).standard_normal(X.shape[1:])).astype(X.dtype)
        K = values(subject.make()(X, X + step))
        along = np.einsum("ii...->i...", K)
        assert_close(along, np.broadcast_to(along[:1], along.shape), "k(x, x + t) for the x of the example")


@law("kernel", "stationary", generated=True, applies=exact)
def stationary_diagonal_is_constant(subject: Subject, X: Any) -> None:
    """k(x, x) is the same for every x."""
    diagonal = np.einsum("ii...->i...", values(subject.make()(X)))
    assert_close(diagonal, np.broadcast_to(diagonal[:1], diagonal.shape), "the diagonal of k(X)", kind="rounding")


_DRAWS = 4000
_HAS_SPECTRUM = all_of(offers("spectral_sample"), on_arrays, lambda subject: subject.domain == "vectors")


@law("kernel", "stationary", applies=_HAS_SPECTRUM)
def spectral_sample_has_its_shape(subject: Subject) -> None:
    """spectral_sample(n, d, rng) has shape (n, d) and is finite."""
    d = subject.X.shape[1]
    for n in (1, 7):
        w = np.asarray(subject.make().spectral_sample(n, d, 0))
        assert w.shape == (n, d), f"spectral_sample({n}, {d}) has shape {w.shape}"
        assert np.isfinite(w).all(), f"spectral_sample({n}, {d}) has values that are not finite"


@law("kernel", "stationary", applies=_HAS_SPECTRUM)
def spectral_sample_follows_its_rng(subject: Subject) -> None:
    """spectral_sample draws the same for one integer rng, and something else for another."""
    d = subject.X.shape[1]
    first, again, other = (np.asarray(subject.make().spectral_sample(32, d, seed)) for seed in (5, 5, 6))
    assert_same(again, first, "spectral_sample twice with one rng")
    assert not np.array_equal(first, other), "spectral_sample draws the same frequencies for rng 5 and 6"


@law("kernel", "stationary", applies=all_of(_HAS_SPECTRUM, exact))
def spectral_sample_reproduces_the_kernel(subject: Subject) -> None:
    """The mean of exp(i w . (x - y)) over sampled frequencies w is k(x, y) / k(0), within 5 standard errors."""
    d = subject.X.shape[1]
    _assert_frequencies(subject, np.asarray(subject.make().spectral_sample(_DRAWS, d, np.random.default_rng(0))))


@law("kernel", "stationary", applies=all_of(_HAS_SPECTRUM, exact, offers("spectral_inverse")))
def spectral_inverse_reproduces_the_kernel(subject: Subject) -> None:
    """spectral_inverse(d) takes uniform points to frequencies of the kernel, finite up to the faces of the cube."""
    d = subject.X.shape[1]
    m, inverse = subject.make().spectral_inverse(d)
    assert m >= 1, f"spectral_inverse({d}) asks for points of {m} coordinates"
    for edge in (2.0**-53, 1.0 - 2.0**-53):
        found = np.asarray(inverse(np.full((2, m), edge)))
        assert found.shape == (2, d), f"frequencies of two points have shape {found.shape}, expected {(2, d)}"
        assert np.isfinite(found).all(), f"the frequency of the point whose coordinates are {edge:.17g} is not finite"
    _assert_frequencies(subject, np.asarray(inverse(np.random.default_rng(0).uniform(2.0**-53, 1.0, (_DRAWS, m)))))


def _assert_frequencies(subject: Subject, w: np.ndarray) -> None:
    """Assert that the mean of exp(i w . (x - y)) is k(x, y) / k(0), within 5 standard errors."""
    X = subject.X
    K = values(subject.make()(X))
    K = K / K[0, 0].real
    rows, columns = np.triu_indices(len(X), 1)
    phases = np.exp(1j * ((X[rows] - X[columns]) @ w.T))
    waves = phases if K.dtype.kind == "c" else phases.real
    errors = np.abs(waves.mean(axis=1) - K[rows, columns])
    sigma = waves.std(axis=1, ddof=1) / np.sqrt(len(w))
    sigmas = tolerance(K).sigmas
    worst = int(np.argmax(errors - sigmas * sigma))
    assert errors[worst] <= sigmas * sigma[worst] + tolerance(K).value, (
        f"items {rows[worst]} and {columns[worst]}: the mean is off k / k(0) by {errors[worst]:.3g}, "
        f"{errors[worst] / sigma[worst]:.3g} standard errors"
    )
