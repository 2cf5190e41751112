"""What every selector keeps: n different indices into the candidates."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._checks import NotApplicable, law
from .._subject import Subject, made
from ..items import content, length
from ._objects import candidates, is_ours


def _count(subject: Subject) -> int:
    return max(1, min(5, length(candidates(subject)) // 2))


def _repeats(obj: Any) -> bool:
    """Whether the selector says that it draws with replacement."""
    return bool(getattr(obj, "replace", False) or getattr(obj, "with_replacement", False))


@law("selector")
def selects_n_indices(subject: Subject) -> None:
    """select(X, n) gives n integers, for any n up to the number of items."""
    for n in (1, _count(subject), length(candidates(subject))):
        index = np.asarray(subject.make().select(candidates(subject), n))
        assert index.shape == (n,), f"select(X, {n}) has shape {index.shape}"
        assert index.dtype.kind in "iu", f"select(X, {n}) has dtype {index.dtype}"


@law("selector")
def indices_are_in_range(subject: Subject) -> None:
    """Indices are at least 0 and below the number of items."""
    total = length(candidates(subject))
    for n in (_count(subject), total):
        index = np.asarray(subject.make().select(candidates(subject), n))
        assert 0 <= index.min() <= index.max() < total, f"from {index.min()} to {index.max()}, of {total} items"


@law("selector", applies=lambda subject: not _repeats(made(subject)))
def indices_are_distinct(subject: Subject) -> None:
    """No item is selected twice, unless the selector says it draws with replacement."""
    for n in (_count(subject), length(candidates(subject))):
        index = np.asarray(subject.make().select(candidates(subject), n))
        assert len(np.unique(index)) == n, f"select(X, {n}) gave only {len(np.unique(index))} different indices"


@law("selector", applies=lambda subject: is_ours(subject) and not _repeats(made(subject)))
def too_many_is_refused(subject: Subject) -> None:
    """More items than there are is a ValueError."""
    n = length(candidates(subject)) + 1
    try:
        index = subject.make().select(candidates(subject), n)
    except ValueError:
        return
    raise AssertionError(f"select(X, {n}) of {n - 1} items gave {np.asarray(index).shape}")


@law("selector", applies=is_ours)
def bad_number_of_items_is_refused(subject: Subject) -> None:
    """A number of items that is negative, broken or text is a ValueError or TypeError."""
    for bad in (-1, 1.5, "2", None):
        try:
            index = subject.make().select(candidates(subject), bad)
        except (ValueError, TypeError):
            continue
        raise AssertionError(f"select(X, {bad!r}) gave {np.asarray(index).shape}")


@law("selector")
def selection_repeats_with_its_seed(subject: Subject) -> None:
    """Two selectors of the same seed, or without randomness, select the same items."""
    n = _count(subject)
    a, b = subject.make(), subject.make()
    first, second = np.asarray(a.select(candidates(subject), n)), np.asarray(b.select(candidates(subject), n))
    seed = getattr(a, "rng", getattr(a, "random_state", 0))
    if seed is None and not np.array_equal(first, second):
        raise NotApplicable("the example has no seed: give it rng=0")
    assert np.array_equal(first, second), f"{first} and then {second}"


@law("selector")
def selection_leaves_the_items(subject: Subject) -> None:
    """select does not change the items."""
    before = content(candidates(subject))
    subject.make().select(candidates(subject), _count(subject))
    assert content(candidates(subject)) == before, "select changed X"


@law("selector")
def weights_match_the_selection(subject: Subject) -> None:
    """weights_, where there are any, are one finite number for each selected item."""
    selector, n = subject.make(), _count(subject)
    selector.select(candidates(subject), n)
    if getattr(selector, "weights_", None) is None:
        raise NotApplicable("it gives no weights")
    weights = np.asarray(selector.weights_)
    assert weights.shape == (n,), f"{n} items, weights of shape {weights.shape}"
    assert weights.dtype.kind == "f", f"weights_ have dtype {weights.dtype}"
    assert np.isfinite(weights).all(), f"weights_ are {weights}"
