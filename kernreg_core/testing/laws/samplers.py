"""What every sampler keeps: points of one shape, in one sequence, from one seed."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import numpy as np

from ...params import Parametrized
from .._checks import NotApplicable, law
from .._subject import Subject, made
from ..items import assert_same, values
from ._objects import is_ours, pickled, random_state


def _drawn(obj: Any, n: int) -> np.ndarray:
    return values(obj.sample(n))


def _seed(obj: Any) -> Any:
    return getattr(obj, "rng", getattr(obj, "random_state", None))


@law("sampler")
def points_have_shape(subject: Subject) -> None:
    """sample(n) gives n points as an (n, d) array of floats, with one d for any n."""
    sampler = subject.make()
    columns = set()
    for n in (1, 8, 5):
        points = _drawn(sampler, n)
        assert (points.ndim, points.shape[:1]) == (2, (n,)), f"sample({n}) has shape {points.shape}"
        assert points.dtype.kind == "f", f"sample({n}) has dtype {points.dtype}"
        columns.add(points.shape[1])
    assert len(columns) == 1, f"the points have {sorted(columns)} columns, according to n"
    d = getattr(sampler, "d", None)
    assert not isinstance(d, int) or columns == {d}, f"d is {d}, the points have {columns} columns"


@law("sampler")
def points_are_finite(subject: Subject) -> None:
    """All coordinates are finite numbers."""
    points = _drawn(subject.make(), 64)
    assert np.isfinite(points).all(), f"{np.count_nonzero(~np.isfinite(points))} of {points.size} are not finite"


@law("sampler")
def sample_continues(subject: Subject) -> None:
    """sample(a), then sample(b), gives the points of sample(a + b)."""
    sampler = subject.make()
    whole = copy.deepcopy(sampler)  # it may be seeded by the machine: the copy has its seed
    expected = _drawn(whole, 8)
    assert_same(np.concatenate([_drawn(sampler, 3), _drawn(sampler, 5)]), expected, "sample(3), sample(5)")


@law("sampler")
def sampler_repeats_with_its_seed(subject: Subject) -> None:
    """Two samplers of the same seed, or without randomness, give the same points."""
    a, b = subject.make(), subject.make()
    first, second = _drawn(a, 8), _drawn(b, 8)
    if not isinstance(_seed(a), (int, np.integer)) and hasattr(a, "rng") and not np.array_equal(first, second):
        raise NotApplicable("the example has no seed: give it rng=0")
    assert_same(second, first, "two samplers of one seed")


def _with_seed(subject: Subject, rng: Any) -> Any:
    obj = subject.make()
    if not hasattr(obj, "get_params"):
        raise NotApplicable("it has no get_params, so it cannot be made with another seed")
    if "rng" not in obj.get_params(deep=False):
        raise NotApplicable("it takes no rng")
    return type(obj)(**{**obj.get_params(deep=False), "rng": rng})


@law("sampler", applies=lambda subject: "rng" in _parameters(made(subject)))
def another_seed_draws_other_points(subject: Subject) -> None:
    """Another seed gives other points, where the sampler is random at all."""
    unseeded = [_drawn(_with_seed(subject, None), 8) for _ in range(2)]
    if np.array_equal(unseeded[0], unseeded[1]):
        raise NotApplicable("it is not random")
    drawn = [_drawn(_with_seed(subject, seed), 8) for seed in (1, 2, 3)]
    assert not np.array_equal(drawn[0], drawn[1]), "rng=1 and rng=2 give the same points"
    assert not np.array_equal(drawn[1], drawn[2]), "rng=2 and rng=3 give the same points"


def _parameters(obj: Any) -> dict[str, Any]:
    return dict(obj.get_params(deep=False)) if hasattr(obj, "get_params") else {}


@law("sampler", applies=lambda s: isinstance(made(s), Parametrized) and "rng" in _parameters(made(s)))
def generator_is_drawn_from_once(subject: Subject) -> None:
    """A generator given as rng is kept as it is, and moves on at the first draw only."""
    generator = np.random.default_rng(3)
    sampler = _with_seed(subject, generator)
    assert sampler.rng is generator, "rng is not stored untouched"
    sampler.sample(4)
    state = copy.deepcopy(generator.bit_generator.state)
    sampler.sample(4)
    assert generator.bit_generator.state == state, "the second call of sample draws from the user's generator again"


@law("sampler")
def global_random_state_is_left_alone(subject: Subject) -> None:
    """Sampling neither uses nor moves NumPy's global random state."""
    before = random_state()
    subject.make().sample(8)
    assert random_state() == before, "the global random state moved"


@law("sampler")
def no_points_is_a_sample(subject: Subject) -> None:
    """sample(0) gives an array of shape (0, d), and takes nothing from the sequence."""
    sampler = subject.make()
    whole = copy.deepcopy(sampler)
    points = _drawn(sampler, 0)
    expected = _drawn(whole, 4)
    assert points.shape == (0, expected.shape[1]), f"sample(0) has shape {points.shape}"
    assert_same(_drawn(sampler, 4), expected, "sample(4) after sample(0)")


@law("sampler", applies=is_ours)
def bad_number_of_points_is_refused(subject: Subject) -> None:
    """A number of points that is negative, broken or text is a ValueError or TypeError."""
    for bad in (-1, 1.5, "3", None):
        try:
            points = subject.make().sample(bad)
        except (ValueError, TypeError):
            continue
        raise AssertionError(f"sample({bad!r}) gave {values(points).shape}")


@law("sampler")
def pickle_resumes(subject: Subject) -> None:
    """A sampler pickled in the middle of its sequence continues there."""
    sampler = subject.make()
    sampler.sample(3)
    restored = pickled(subject, sampler)
    assert_same(_drawn(restored, 5), _drawn(sampler, 5), "after pickle, sample(5)")


@law("sampler")
def copied_sampler_is_independent(subject: Subject) -> None:
    """Drawing from a deep copy does not move the original on."""
    sampler = subject.make()
    expected = _drawn(copy.deepcopy(sampler), 8)[3:]
    sampler.sample(3)
    copy.deepcopy(sampler).sample(4)
    assert_same(_drawn(sampler, 5), expected, "sample(5) after its copy was drawn from")


@law("sampler", applies=lambda subject: callable(getattr(made(subject), "reset", None)))
def reset_starts_again(subject: Subject) -> None:
    """reset() goes back to the first point, and returns the sampler."""
    sampler = subject.make()
    first = _drawn(sampler, 8)
    assert sampler.reset() is sampler, "reset() does not return the sampler"
    assert_same(_drawn(sampler, 8), first, "sample(8) after reset()")


@law("sampler", applies=lambda subject: callable(getattr(made(subject), "fast_forward", None)))
def fast_forward_skips(subject: Subject) -> None:
    """fast_forward(n) passes over n points, and returns the sampler."""
    sampler = subject.make()
    expected = _drawn(copy.deepcopy(sampler), 8)[5:]
    assert sampler.fast_forward(5) is sampler, "fast_forward(5) does not return the sampler"
    assert_same(_drawn(sampler, 3), expected, "sample(3) after fast_forward(5)")


@law("sampler", applies=lambda subject: subject.card is not None and "quasi_monte_carlo" in subject.card.tags)
def points_are_in_the_unit_cube(subject: Subject) -> None:
    """Low-discrepancy points are in [0, 1), and no two are equal."""
    points = _drawn(subject.make(), 64)
    assert points.min() >= 0.0, f"the least coordinate is {points.min():.17g}"
    assert points.max() < 1.0, f"the greatest coordinate is {points.max():.17g}"
    distinct = len(np.unique(points, axis=0))
    assert distinct == 64, f"only {distinct} of 64 points are distinct"


@law("sampler", applies=is_ours)
def dimension_comes_first(subject: Subject) -> None:
    """A sampler with a dimension d takes it as the first argument, also by position."""
    parameters = list(inspect.signature(type(subject.make())).parameters.values())
    if "d" not in [parameter.name for parameter in parameters]:
        raise NotApplicable("it takes no d")
    first = parameters[0]
    assert first.name == "d", f"the first argument is {first.name}, not d"
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    assert first.kind in positional, "d can be given by name only"
