"""Random features, and kernels whose values are themselves estimates.

Conventions. An ``rng`` is a parameter (of a part, ``part__rng``), set with ``set_params``; so is ``n_features``,
which a composite has of its parts alone. Values of a
stochastic kernel are a function of its parameters, its entropy and the items of the call, so that
neither the order of calls nor the process matters. What decides its accuracy is the parameter
``shots``, ``n_features``, ``n_samples`` or ``n_walks``, whichever it has first. The exact values are
those of ``exact(X, Y=None)`` where it has that, else of ``shots=None`` where it takes that.
"""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from ... import clone, gram
from ...arrays import length
from .._checks import NotApplicable, law
from .._subject import Subject, made
from ..items import assert_close, assert_same, take, values
from ._capability import (
    all_of,
    assert_falls_as_root,
    assert_mean,
    expensive,
    few,
    offers,
    others,
    parameters_of,
    rng_names,
    samples,
    seeded,
    two_sides,
)
from .members import _left, _right, feature_product

_SEEDS = 40


def _has_rng(subject: Subject) -> bool:
    obj = made(subject)
    return obj is not None and bool(rng_names(obj)) and hasattr(obj, "set_params")


# random_features


def _widths(obj: Any, width: int, of_parts: tuple[int, int]) -> dict[str, int]:
    """Parameters that make features `width` wide.

    A composite has those of its parts, and a product as many features as its factors' numbers multiply to: each part
    gets the first of `of_parts` where there are up to two, the second where there are more.
    """
    names = [name for name in parameters_of(obj) if name.rpartition("__")[2] == "n_features"]
    if "n_features" in names or not names:
        return {"n_features": width}
    return dict.fromkeys(names, of_parts[len(names) > 2])


def _estimate(X: Any, Y: Any) -> Any:
    return lambda obj: feature_product(_left(obj, X), _right(obj, Y))


@law("kernel", "random_features", generated=True, applies=offers("n_features"))
def random_features_have_their_width(subject: Subject, X: Any) -> None:
    """features(X) has shape (n, n_features) and is finite."""
    obj = subject.make()
    found = _left(obj, X)
    expected = (length(X), int(obj.n_features))
    assert tuple(found.shape) == expected, f"features have shape {tuple(found.shape)}, expected {expected}"
    assert np.isfinite(values(found)).all(), "features have values that are not finite"


def _has_width(subject: Subject) -> bool:
    return _has_rng(subject) and "n_features" in parameters_of(made(subject))


@law("kernel", "random_features", applies=_has_width)
def random_features_are_as_wide_as_asked(subject: Subject) -> None:
    """set_params(n_features=...) changes the width of what is drawn, before and after the first draw."""
    X = few(subject)
    obj = subject.make()
    width = int(obj.n_features)
    for asked in (2 * width, 4 * width):
        found = _left(obj.set_params(n_features=asked), X)
        assert found.shape[1] == asked, f"n_features={asked} gave {found.shape[1]} columns"


@law("kernel", "random_features")
def random_features_are_drawn_once(subject: Subject) -> None:
    """An object's features never change: the same bits again, after others and in a batch of their own."""
    X = few(subject)
    obj = subject.make()
    first = values(_left(obj, X)).copy()
    assert_same(_left(obj, X), first, "features(X) for the second time")
    _left(obj, others(X))
    _left(obj, take(X, [0]))
    assert_same(_left(obj, X), first, "features(X) after features of other items")


@law("kernel", "random_features", applies=_has_rng)
def random_features_follow_their_rng(subject: Subject) -> None:
    """Two objects with one integer rng draw the same bits, with another rng something else."""
    X = few(subject)
    first, again, other = (values(_left(seeded(subject, seed), X)) for seed in (11, 11, 12))
    assert_same(again, first, "features of two objects with one rng")
    assert not np.array_equal(first, other), "features are the same for two different rngs"


@law("kernel", "random_features", applies=_has_rng)
def random_features_survive_pickle_and_not_clone(subject: Subject) -> None:
    """A pickled copy keeps the draw, before and after its first use; a clone with rng=None draws anew."""
    X = few(subject)
    unseeded = subject.make()
    unseeded.set_params(**dict.fromkeys(rng_names(unseeded)))
    early = pickle.loads(pickle.dumps(unseeded))
    F = values(_left(unseeded, X))
    assert_same(_left(early, X), F, "features of a copy pickled before the first draw")
    assert_same(_left(pickle.loads(pickle.dumps(unseeded)), X), F, "features of a pickled copy")
    assert not np.array_equal(values(_left(clone(unseeded), X)), F), "a clone with rng=None has the same draw"


@law("kernel", "random_features")
def random_features_of_each_row_alone(subject: Subject) -> None:
    """The features of an item do not depend on the items beside it."""
    X = few(subject)
    obj = subject.make()
    for side in (_left, _right):
        each = np.concatenate([values(side(obj, take(X, [i]))) for i in range(length(X))])
        assert_close(each, values(side(obj, X)), "features of the items one by one", kind="rounding")


@law("kernel", "random_features", applies=_has_rng)
def random_features_are_unbiased(subject: Subject) -> None:
    """The mean of features(X) features(Y)^H over seeds is k(X, Y), within 5 standard errors.

    Where a bias is stated, by a method ``features_bias(X, Y)``, the mean is k(X, Y) plus that.
    """
    X = few(subject)
    Y = others(X)
    expected = values(subject.make()(X, Y))
    stated = getattr(made(subject), "features_bias", None)
    if stated is not None:
        expected = expected + values(stated(X, Y))
    # the bias of a nonlinear estimate falls with the width, so the entry's own width is looked at too
    assert_mean(samples(subject, _estimate(X, Y), _SEEDS), expected, "features at their own width")
    if stated is None:
        width = 1024 if expensive(subject) else 4096  # so many show a bias of 1 % at 9 standard errors
        wide = _widths(made(subject), width, (64, 16))
        assert_mean(samples(subject, _estimate(X, Y), 64, **wide), expected, f"{max(wide.values()):,} features")


@law("kernel", "random_features", applies=_has_rng)
def random_features_err_as_the_inverse_root(subject: Subject) -> None:
    """Over seeds, the error of features(X) features(Y)^H falls as 1 / sqrt(n_features), or faster."""
    X = few(subject)
    Y = others(X)
    K = values(subject.make()(X, Y))
    errors, widths = [], []
    for width, of_parts in ((64, (4, 2)), (1024, (64, 32))):
        asked = _widths(made(subject), width, of_parts)
        drawn = samples(subject, _estimate(X, Y), _SEEDS, **asked)
        errors.append(float(np.sqrt((np.abs(drawn - K) ** 2).mean())))
        widths.append(f"{max(asked.values()):,}")
    assert_falls_as_root(errors[0], errors[1], f"{' and '.join(widths)} features")


@law("kernel", "random_features")
def random_features_are_not_called_features(subject: Subject) -> None:
    """What estimates k is declared random_features and not features, which are exact."""
    assert "features" not in subject.capabilities, "both features (exact) and random_features (estimates) are declared"


# stochastic

_ACCURACY = ("shots", "n_features", "n_samples", "n_walks")


def _accuracy(obj: Any) -> str | None:
    """The parameter that decides the accuracy: the name of the first there is."""
    names = parameters_of(obj)
    for short in _ACCURACY:
        found = [n for n in names if n.rpartition("__")[2] == short and isinstance(names[n], (int, np.integer))]
        if found:
            return str(found[0])
    return None


def _has_accuracy(subject: Subject) -> bool:
    return _has_rng(subject) and _accuracy(made(subject)) is not None


def _has_shots(subject: Subject) -> bool:
    return _has_rng(subject) and (_accuracy(made(subject)) or "").endswith("shots")


@law("kernel", "stochastic", applies=_has_rng)
def stochastic_values_follow_their_rng(subject: Subject) -> None:
    """Two objects with one integer rng give the same bits."""
    X = few(subject)
    assert_same(seeded(subject, 3)(X), seeded(subject, 3)(X), "k(X) of two objects with one rng")
    left, right = two_sides(X)
    assert_same(seeded(subject, 3)(left, right), seeded(subject, 3)(left, right), "k(X, Y) of two objects with one rng")


@law("kernel", "stochastic", applies=_has_rng)
def stochastic_values_vary_with_the_rng(subject: Subject) -> None:
    """Objects with different rngs give different values."""
    X = few(subject)
    drawn = [values(seeded(subject, seed)(X)) for seed in range(4)]
    assert not all(np.array_equal(drawn[0], other) for other in drawn[1:]), (
        "k(X) is the same for four rngs: the kernel is not stochastic, or does not use its rng"
    )


@law("kernel", "stochastic", applies=_has_rng)
def stochastic_values_do_not_depend_on_earlier_calls(subject: Subject) -> None:
    """k(X) has the same bits whatever was computed before, so that the order of tiles does not matter."""
    X = few(subject)
    first = values(seeded(subject, 3)(X)).copy()
    obj = seeded(subject, 3)
    obj(others(X))
    obj(take(X, [0]))
    assert_same(obj(X), first, "k(X) after k of other items")
    assert_same(obj(X), first, "k(X) for the second time")


@law("kernel", "stochastic", applies=_has_rng)
def stochastic_values_survive_pickle(subject: Subject) -> None:
    """A pickled copy gives the same bits, also where rng is None."""
    X = few(subject)
    obj = subject.make()
    obj.set_params(**dict.fromkeys(rng_names(obj)))
    early = pickle.loads(pickle.dumps(obj))
    K = values(obj(X))
    assert_same(early(X), K, "k(X) of a copy pickled before the first call")
    assert_same(pickle.loads(pickle.dumps(obj))(X), K, "k(X) of a pickled copy")


@law("kernel", "stochastic", applies=_has_rng)
def stochastic_tiles_are_what_they_are_alone(subject: Subject) -> None:
    """A tile of kr.gram has the bits of k on its items, in any executor."""
    X = few(subject)
    n = length(X)
    tile = max(1, n // 3)
    whole = values(gram(seeded(subject, 3), X, X if n < 2 else others(X), tile=tile, progress=False))
    Y = X if n < 2 else others(X)
    for start in range(0, n, tile):
        alone = seeded(subject, 3)(X[start : start + tile], Y[:tile])
        assert_same(whole[start : start + tile, :tile], alone, f"the tile of rows {start} to {start + tile}")
    with ThreadPoolExecutor(2) as executor:
        spread = gram(seeded(subject, 3), X, Y, tile=tile, executor=executor, progress=False)
    assert_same(spread, whole, "gram on two threads")


def _called(X: Any, Y: Any, obj: Any) -> Any:
    return obj(X, Y)


def _exact_values(subject: Subject, X: Any, Y: Any) -> np.ndarray | None:
    """The exact values, where the object can tell them."""
    obj = subject.make()
    if callable(getattr(obj, "exact", None)):
        return values(obj.exact(X, Y))
    name = _accuracy(obj)
    if name is not None and name.endswith("shots"):
        try:
            return values(obj.set_params(**{name: None})(X, Y))
        except Exception:
            return None
    return None


@law("kernel", "stochastic", applies=_has_rng)
def stochastic_mean_is_the_exact_value(subject: Subject) -> None:
    """The mean of k(X, Y) over seeds is the exact value, within 5 standard errors.

    Where no exact values are to be had, the mean is compared with that at 16 times the accuracy.
    """
    X = few(subject)
    Y = others(X)

    measure = partial(_called, X, Y)
    drawn = samples(subject, measure, _SEEDS)
    expected = _exact_values(subject, X, Y)
    if expected is not None:
        assert_mean(drawn, expected, "k(X, Y)")
        return
    name = _accuracy(made(subject))
    if name is None:
        raise NotApplicable("no exact(X, Y), and no parameter of " + ", ".join(_ACCURACY))
    finer = samples(subject, measure, _SEEDS, **{name: 16 * int(parameters_of(made(subject))[name])})
    spread = float(np.sqrt(finer.var(axis=0, ddof=1).mean() / _SEEDS))
    assert_mean(drawn, finer.mean(axis=0), f"k(X, Y), compared with 16 times the {name},", spread=spread)


@law("kernel", "stochastic", applies=_has_accuracy)
def stochastic_spread_falls_as_the_inverse_root(subject: Subject) -> None:
    """Over seeds, the standard deviation of k(X, Y) falls as one over the root of the shots."""
    X = few(subject)
    Y = others(X)
    name = _accuracy(made(subject)) or ""
    low = int(parameters_of(made(subject))[name])
    spreads = []
    for effort in (low, 16 * low):
        drawn = samples(subject, partial(_called, X, Y), _SEEDS, **{name: effort})
        spreads.append(float(np.sqrt((np.abs(drawn - drawn.mean(axis=0)) ** 2).mean())))
    assert spreads[0] > 0, "k(X, Y) does not vary over seeds"
    assert_falls_as_root(spreads[0], spreads[1], f"{name} = {low} and {16 * low}")


@law("kernel", "stochastic", applies=all_of(_has_rng, offers("standard_error")))
def stochastic_standard_error_is_the_spread(subject: Subject) -> None:
    """standard_error(X, Y) is the standard deviation of k(X, Y) over seeds."""
    X = few(subject)
    Y = others(X)
    drawn = samples(subject, partial(_called, X, Y), 2 * _SEEDS)
    stated = samples(subject, lambda obj: obj.standard_error(X, Y), 2 * _SEEDS)
    assert stated.shape == drawn.shape, f"standard_error has shape {stated.shape[1:]}, expected {drawn.shape[1:]}"
    measured = float(np.sqrt((np.abs(drawn - drawn.mean(axis=0)) ** 2).sum() / (len(drawn) - 1)))
    said = float(np.sqrt((stated**2).mean(axis=0).sum()))
    # 80 seeds show a spread to about a tenth
    assert said / 1.4 <= measured <= said * 1.4, (
        f"k(X, Y) spreads by {measured:.3g} over seeds, the standard error says {said:.3g}"
    )


@law("kernel", "stochastic", applies=_has_shots)
def stochastic_tiles_have_streams_of_their_own(subject: Subject) -> None:
    """The shot noise of one tile says nothing about that of another."""
    X = few(subject)
    if length(X) < 4:
        raise NotApplicable("fewer than four items make no two tiles without a common item")
    noises = []
    for i, j in _alike_pairs(samples(subject, partial(_called, X, X), 8)):
        drawn = samples(subject, partial(_called, take(X, [i]), take(X, [j])), 2 * _SEEDS)[:, 0, 0]
        noises.append(drawn - drawn.mean())
    a, b = noises
    size = float(np.sqrt((np.abs(a) ** 2).sum() * (np.abs(b) ** 2).sum()))
    assert size > 0, "a tile does not vary over seeds"
    correlation = float(np.abs((a * b.conj()).sum())) / size
    assert correlation <= 5 / np.sqrt(2 * _SEEDS), (
        f"the noise of two tiles has a correlation of {correlation:.3g} over {2 * _SEEDS} seeds"
    )


def _alike_pairs(drawn: np.ndarray) -> tuple[tuple[int, int], tuple[int, int]]:
    """Two pairs of different items whose values and spreads are most alike: one stream shows best in these."""
    means, spreads = np.abs(drawn.mean(axis=0)), drawn.std(axis=0)
    pairs = [(int(i), int(j)) for i, j in zip(*np.triu_indices(len(means), 1), strict=True)]
    least = float(np.median([spreads[pair] for pair in pairs]))
    noisy = [pair for pair in pairs if spreads[pair] >= least]
    apart = [(p, q) for p in noisy for q in noisy if p < q and not {*p} & {*q}]
    if not apart:
        apart = [(p, q) for p in pairs for q in pairs if p < q and not {*p} & {*q}]
    return min(apart, key=lambda two: abs(means[two[0]] - means[two[1]]))
