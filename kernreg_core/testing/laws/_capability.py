"""What the laws of capabilities share: when they apply, items to try, matrices to compare."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...arrays import ARRAY_RANK, is_numpy, is_torch, length
from .._checks import NotApplicable
from .._subject import Subject, made
from ..items import take, values
from ..tolerances import tolerance


def offers(*names: str) -> Callable[[Subject], bool]:
    """Whether the object has all these members."""

    def applies(subject: Subject) -> bool:
        obj = made(subject)
        return obj is not None and all(hasattr(obj, name) for name in names)

    return applies


def declares(*capabilities: str) -> Callable[[Subject], bool]:
    """Whether all these capabilities are declared."""
    return lambda subject: subject.capabilities >= set(capabilities)


def exact(subject: Subject) -> bool:
    """Whether values are no random estimates, so that they can be compared with one another."""
    return "stochastic" not in subject.capabilities


def on_arrays(subject: Subject) -> bool:
    """Whether items are rows of one floating NumPy array."""
    return subject.domain in ARRAY_RANK and is_numpy(subject.X) and subject.X.dtype.kind == "f"


def all_of(*conditions: Callable[[Subject], bool]) -> Callable[[Subject], bool]:
    """Whether every condition holds."""
    return lambda subject: all(condition(subject) for condition in conditions)


def scalar(subject: Subject) -> bool:
    """Whether values are numbers."""
    return "matrix_valued" not in subject.capabilities


def adjoint(K: Any) -> Any:
    """The conjugate transpose of a Gram matrix; matrix values are transposed too."""
    K = values(K)
    return np.conj(K.transpose(1, 0, 3, 2) if K.ndim == 4 else K.T)


def flat(K: Any) -> Any:
    """The values as one matrix: (n, m, p, q) as (n p, m q)."""
    K = values(K)
    if K.ndim != 4:
        return K
    n, m, p, q = K.shape
    return K.transpose(0, 2, 1, 3).reshape(n * p, m * q)


def rows_of(X: Any, start: int, stop: int) -> Any:
    """The items from `start` to `stop`, as a container of their own."""
    return take(X, range(start, stop))


def two_sides(X: Any) -> tuple[Any, Any]:
    """The first and the last items of `X`, of different numbers, with items in common."""
    n = length(X)
    return rows_of(X, 0, (n + 1) // 2), rows_of(X, n - (n + 2) // 2 if n > 1 else 0, n)


def others(X: Any) -> Any:
    """As many items as `X` has, and of the same shapes, in another order."""
    n = length(X)
    return take(X, [(3 * i + 1) % n if n % 3 else n - 1 - i for i in range(n)])


def few(subject: Subject, most: int = 12) -> Any:
    """The example's first items; a handful where a pair is expensive."""
    limit = min(most, 4) if expensive(subject) else most
    return rows_of(subject.X, 0, min(length(subject.X), limit))


def expensive(subject: Subject) -> bool:
    """Whether the object says that a pair costs much."""
    return getattr(made(subject), "pair_cost", "low") == "high"


def many(subject: Subject, n: int) -> Any:
    """`n` items: points between those of the example where items are rows, else its items again and again."""
    X = subject.X
    again = take(X, [i % length(X) for i in range(n)])
    if not on_arrays(subject):
        return again
    rng = np.random.default_rng(1)
    # convex combinations stay within what the entry takes: histograms, boxes
    t = rng.uniform(size=(n, *[1] * (X.ndim - 1)))
    mixed: np.ndarray = t * again + (1 - t) * X[rng.integers(len(X), size=n)]
    return mixed.astype(X.dtype)


def with_duplicates(X: Any) -> Any:
    """`X` with some of its items again."""
    n = length(X)
    return take(X, [*range(n), 0, n - 1, n // 2, 0])


def hermitian_part(K: Any) -> Any:
    """(K + K^H) / 2 as one matrix in double precision."""
    K = flat(K)
    K = K.astype(np.complex128 if K.dtype.kind == "c" else np.float64)
    return (K + K.conj().T) / 2


def assert_psd(K: Any, what: str, *, on_zero_sums: bool = False) -> None:
    """Assert that the smallest eigenvalue is not below minus the tolerance times the largest.

    With `on_zero_sums` the matrix is looked at on weights that sum to zero.
    """
    M = flat(K)
    assert np.isfinite(M).all(), f"{what}: {np.count_nonzero(~np.isfinite(M))} values are not finite"
    allowed = tolerance(M)
    skew = float(np.abs(M - M.conj().T).max())
    size = float(np.abs(M).max())
    assert skew <= allowed.value * size, f"{what}: the matrix differs from its adjoint by {skew:.3g}"
    H = hermitian_part(K)
    if on_zero_sums:
        H = H - H.mean(axis=0)
        H = H - H.mean(axis=1)[:, None]
    eigenvalues = np.linalg.eigvalsh(H)
    least, largest = float(eigenvalues[0]), float(max(eigenvalues[-1], 0.0))
    floor = size * len(M) * float(np.finfo(M.dtype).eps)  # of a matrix that is zero but for rounding
    assert least >= -allowed.eigenvalue * largest - floor, (
        f"{what}: the smallest eigenvalue is {least:.3g}, {least / largest if largest else float('-inf'):.3g} "
        f"of the largest, {largest:.3g}; {-allowed.eigenvalue:.0e} of it is allowed"
    )


def assert_nonnegative_forms(K: Any, what: str, *, zero_sum: bool = False) -> None:
    """Assert c^H K c >= 0 for random weights, sparse ones, differences; of few items, for the worst there are."""
    H = hermitian_part(K)
    n = len(H)
    rng = np.random.default_rng(2)
    C = rng.standard_normal((n, 48))
    C[:, 16:32] *= rng.uniform(size=(n, 16)) < 3 / n
    C[:, 32:] = 0.0
    for column in range(32, 48):
        C[rng.integers(n), column] += 1.0
        C[rng.integers(n), column] -= 1.0
    if H.dtype.kind == "c":
        C = C * np.exp(2j * np.pi * rng.uniform(size=C.shape))
    if n <= 40:
        C = np.hstack([C, np.linalg.eigh(H)[1][:, :2]])
    if zero_sum:
        C = C - C.mean(axis=0)
    forms = np.einsum("ij,ij->j", C.conj(), H @ C).real
    norms = (np.abs(C) ** 2).sum(axis=0)
    bound = tolerance(values(K)).eigenvalue * float(np.abs(H).sum(axis=1).max())  # a row sum bounds the eigenvalues
    worst = int(np.argmin(forms + bound * norms))
    assert forms[worst] >= -bound * norms[worst], (
        f"{what}: c^H K c = {forms[worst]:.3g} for weights c of squared norm {norms[worst]:.3g}"
    )


@contextmanager
def memory_below(limit: float, what: str) -> Iterator[None]:
    """Assert that at no time more than `limit` bytes of Python's and NumPy's memory are taken inside."""
    started = not tracemalloc.is_tracing()
    if started:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        yield
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        if started:
            tracemalloc.stop()
    assert peak <= limit, f"{what}: took {peak / 1e6:.3g} MB, {limit / 1e6:.3g} MB is allowed"


def memory_limit(X: np.ndarray) -> float:
    """A tenth of k(X) in double precision, beside some copies of `X`."""
    return 0.1 * len(X) ** 2 * 8 + 10 * X.nbytes


def torch_or_skip() -> Any:
    """The module torch, or NotApplicable."""
    try:
        import torch
    except ImportError:
        raise NotApplicable("torch is not installed") from None
    return torch


def as_tensors(X: Any) -> Any:
    """Rows as a double-precision tensor without a gradient, or NotApplicable where items are no arrays."""
    torch = torch_or_skip()
    if is_torch(X):
        return X.detach().clone().double()
    if is_numpy(X) and X.dtype.kind in "fiu":
        return torch.tensor(np.asarray(X, dtype=np.float64))
    raise NotApplicable(f"items are of type {type(X).__name__}: autograd needs tensors")


def parameters_of(obj: Any) -> dict[str, Any]:
    """The parameters by name, nested ones too; none where the object does not tell."""
    return dict(obj.get_params()) if hasattr(obj, "get_params") else {}


def rng_names(obj: Any) -> list[str]:
    """The parameters that are an ``rng``, of parts too."""
    return sorted(name for name in parameters_of(obj) if name.rpartition("__")[2] == "rng")


def seeded(subject: Subject, seed: int, **params: Any) -> Any:
    """A fresh object with this seed (parts get seeds of their own) and these parameters."""
    obj = subject.make()
    names = rng_names(obj)
    if not names:
        raise NotApplicable("the object has no parameter rng to seed it by")
    obj.set_params(**{name: seed * len(names) + i for i, name in enumerate(names)}, **params)
    return obj


def samples(subject: Subject, measure: Callable[[Any], Any], seeds: int, **params: Any) -> np.ndarray:
    """What `measure` gives of objects with so many seeds, stacked."""
    return np.stack([values(measure(seeded(subject, seed, **params))) for seed in range(seeds)])


def assert_mean(drawn: np.ndarray, expected: np.ndarray, what: str, *, spread: float = 0.0) -> None:
    """Assert that the mean of `drawn` over its first axis is `expected`, value by value and as a whole.

    Parameters
    ----------
    drawn : ndarray, shape (seeds, n, m)
    expected : ndarray, shape (n, m)
    spread : float
        Standard error that `expected` has itself.
    """
    allowed = tolerance(drawn)
    seeds = len(drawn)
    errors = drawn.mean(axis=0) - expected
    each = np.sqrt((np.abs(drawn - drawn.mean(axis=0)) ** 2).sum(axis=0) / (seeds - 1) / seeds)
    typical = float(np.sqrt((each**2).mean()))
    # a value that hardly ever differs from 0 shows no spread in so few draws: a share of the typical one
    sigma = np.sqrt(np.maximum(each, 0.2 * typical) ** 2 + spread**2)
    slack = allowed.value * float(np.abs(expected).max(initial=0.0))
    worst = np.unravel_index(np.argmax(np.abs(errors) - allowed.sigmas * sigma), errors.shape)
    assert np.abs(errors[worst]) <= allowed.sigmas * sigma[worst] + slack, (
        f"{what}: the mean over {seeds} seeds at {tuple(map(int, worst))} is off by {np.abs(errors[worst]):.3g}, "
        f"{np.abs(errors[worst]) / sigma[worst]:.3g} standard errors"
    )
    # the projection on the values themselves shows a common factor that no single value shows
    weight = expected.conj() / max(float((np.abs(expected) ** 2).sum()), np.finfo(np.float64).tiny)
    factors = (drawn * weight).sum(axis=tuple(range(1, drawn.ndim))).real
    error = float(np.sqrt(factors.var(ddof=1) / seeds + spread**2 * (np.abs(weight) ** 2).sum()))
    assert abs(factors.mean() - 1) <= allowed.sigmas * error + allowed.value or not np.abs(expected).any(), (
        f"{what}: the mean over {seeds} seeds is {factors.mean():.5g} times what it should be, "
        f"{abs(factors.mean() - 1) / max(error, 1e-300):.3g} standard errors away"
    )


def assert_falls_as_root(narrow: float, wide: float, what: str) -> None:
    """Assert that sixteen times the effort makes a root-mean-square error about four times smaller.

    Some 40 seeds show the ratio to about a tenth, so 2.5 is far below 4 and far above no gain.
    """
    assert wide <= narrow / 2.5, (
        f"{what}: the error falls from {narrow:.3g} to {wide:.3g} at 16 times as many, "
        f"by a factor of {narrow / max(wide, 1e-300):.3g}; about 4 is expected"
    )
