"""What kernreg's kernels refuse: bad items raise an InputError that names the argument and says what is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..._gram import gram
from .._checks import law
from .._subject import Subject
from ..items import assert_same, values
from ._calls import (
    checks_arrays,
    checks_items,
    checks_lists,
    duplicate,
    has_values,
    is_exact,
    refusal,
    snapshot,
    takes_tensors,
    tensors,
)


def _is_checked(subject: Subject) -> bool:
    return has_values(subject) and checks_items(subject)


def _refused(subject: Subject, bad: Any, what: str) -> str:
    """The message with which k(bad) is refused; it must name X."""
    said = refusal(lambda: subject.make()(bad), f"k({what})")
    assert said.startswith("X"), f"k({what}): the message does not begin with the argument X: {said}"
    return said


def _refused_as_y(subject: Subject, bad: Any, what: str) -> str:
    """The message with which k(X, bad) is refused; it must name Y."""
    said = refusal(lambda: subject.make()(subject.X, bad), f"k(X, {what})")
    assert "Y" in said.partition(":")[0], f"k(X, {what}): the message does not begin with the argument Y: {said}"
    return said


def _with(subject: Subject, value: Any, dtype: Any = None) -> np.ndarray:
    """The example's items, one number among the last of them replaced."""
    X = np.array(subject.X, dtype=dtype)
    X[(-1,) * X.ndim] = value
    return X


# Numbers.


@law(applies=checks_arrays)
def nan_is_refused(subject: Subject) -> None:
    """One NaN among the items is refused."""
    _refused(subject, _with(subject, np.nan), "items with one NaN")
    _refused(subject, _with(subject, np.nan, np.float32), "float32 items with one NaN")


@law(applies=checks_arrays)
def infinity_is_refused(subject: Subject) -> None:
    """One infinity among the items is refused, of either sign."""
    _refused(subject, _with(subject, np.inf), "items with one infinity")
    _refused(subject, _with(subject, -np.inf), "items with minus infinity")


@law(applies=checks_arrays)
def nan_in_y_is_refused(subject: Subject) -> None:
    """NaN or infinity in Y is refused, and the message names Y."""
    _refused_as_y(subject, _with(subject, np.nan), "items with one NaN")
    _refused_as_y(subject, _with(subject, np.inf), "items with one infinity")


@law(applies=checks_arrays)
def the_place_of_nan_is_told(subject: Subject) -> None:
    """The refusal of NaN says how many there are and where the first stands."""
    X = _with(subject, np.nan)
    place = str([size - 1 for size in X.shape])
    said = _refused(subject, X, "items with one NaN")
    assert place in said, f"the message does not say that {place} is NaN: {said}"


@law(applies=checks_arrays)
def complex_items_are_refused(subject: Subject) -> None:
    """Complex items are refused: their imaginary parts would be lost."""
    _refused(subject, subject.X + 1j, "complex items")
    _refused_as_y(subject, subject.X + 1j, "complex items")


@law(applies=checks_arrays)
def strings_are_refused(subject: Subject) -> None:
    """Arrays of strings are refused, numbers in words too."""
    _refused(subject, subject.X.astype(str), "strings")
    _refused_as_y(subject, subject.X.astype(str), "strings")


@law(applies=checks_arrays)
def objects_are_refused(subject: Subject) -> None:
    """Arrays of objects are refused."""
    bad = _with(subject, None, object)
    _refused(subject, bad, "objects")
    _refused_as_y(subject, bad, "objects")


@law(applies=checks_arrays)
def dates_are_refused(subject: Subject) -> None:
    """Dates and time spans are refused: they have a unit."""
    days = np.zeros(subject.X.shape, dtype="timedelta64[D]")
    _refused(subject, days, "time spans")
    _refused(subject, np.datetime64("2024-02-29") + days, "dates")


@law(applies=checks_arrays)
def masked_arrays_are_refused(subject: Subject) -> None:
    """Masked arrays are refused: the mask would be lost."""
    mask = np.zeros(subject.X.shape, dtype=bool)
    mask[0] = True
    _refused(subject, np.ma.MaskedArray(subject.X, mask), "a masked array")


class _Foreign:
    """An array of a library that kernreg does not know."""

    def __init__(self, X: np.ndarray) -> None:
        self._X, self.shape, self.dtype, self.ndim = X, X.shape, X.dtype, X.ndim

    def __len__(self) -> int:
        return len(self._X)

    def __getitem__(self, index: Any) -> Any:
        return self._X[index]

    def __array_namespace__(self) -> Any:
        return np

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self._X, dtype)


@law(applies=checks_arrays)
def arrays_of_other_libraries_are_refused(subject: Subject) -> None:
    """Another library's array is refused, and not converted on the quiet."""
    _refused(subject, _Foreign(subject.X), "another library's array")


# Shapes.


@law(applies=_is_checked)
def empty_is_refused(subject: Subject) -> None:
    """No items at all are refused."""
    _refused(subject, subject.X[:0], "no items")


@law(applies=_is_checked)
def empty_y_is_refused(subject: Subject) -> None:
    """No items as Y are refused, and the message names Y."""
    _refused_as_y(subject, subject.X[:0], "no items")


@law(applies=checks_arrays)
def no_features_are_refused(subject: Subject) -> None:
    """Items without features are refused."""
    _refused(subject, subject.X[..., :0], "items without features")


@law(applies=checks_arrays)
def wrong_rank_is_refused(subject: Subject) -> None:
    """An array with an axis more, or one less, is refused."""
    _refused(subject, subject.X[None], "an array with one axis more")
    _refused(subject, subject.X[0], "an array with one axis less")


@law(applies=checks_arrays)
def wrong_rank_of_y_is_refused(subject: Subject) -> None:
    """Y with another number of axes is refused, and the message names Y."""
    _refused_as_y(subject, subject.X[None], "an array with one axis more")
    _refused_as_y(subject, subject.X[0], "an array with one axis less")


@law(applies=lambda subject: subject.domain == "vectors" and checks_arrays(subject))
def one_row_is_refused_with_a_hint(subject: Subject) -> None:
    """A single row is refused, and the message says how to reshape it."""
    said = _refused(subject, subject.X[0], "one row")
    assert "reshape" in said, f"the message does not say to reshape: {said}"


@law(applies=checks_arrays)
def scalar_is_refused(subject: Subject) -> None:
    """A number in place of the items is refused."""
    _refused(subject, 3.5, "a number")
    _refused(subject, np.float64(3.5), "a NumPy scalar")
    _refused(subject, np.array(3.5), "an array without axes")


@law(applies=checks_arrays)
def unequal_features_are_refused(subject: Subject) -> None:
    """X and Y with other numbers of features are refused, and the message names both."""
    wider = np.concatenate([subject.X, subject.X[..., :1]], axis=-1)
    said = refusal(lambda: subject.make()(subject.X, wider), "k(X, items with one feature more)")
    named = said.partition(":")[0]
    assert "X" in named, f"the message does not name X and Y: {said}"
    assert "Y" in named, f"the message does not name X and Y: {said}"
    refusal(lambda: subject.make()(wider, subject.X), "k(items with one feature more, Y)")


@law(applies=lambda subject: checks_arrays(subject) and subject.domain != "paths")  # a list of paths may be ragged
def ragged_lists_are_refused(subject: Subject) -> None:
    """Nested lists of unequal lengths are refused."""
    rows = [*subject.X.tolist(), subject.X[0].tolist()[:-1]]
    _refused(subject, rows, "nested lists of unequal lengths")


# What is no collection.


@law(applies=_is_checked)
def none_is_refused(subject: Subject) -> None:
    """None in place of X is refused."""
    _refused(subject, None, "None")


@law(applies=_is_checked)
def one_string_is_refused(subject: Subject) -> None:
    """A single string is refused: it is one item, or a mistake."""
    _refused(subject, "abc", "one string")
    _refused(subject, b"abc", "one bytes object")
    _refused_as_y(subject, "abc", "one string")


@law(applies=_is_checked)
def generator_is_refused(subject: Subject) -> None:
    """An iterator is refused: it has no length, and a second pass would find it empty."""
    _refused(subject, (item for item in subject.X), "an iterator")
    _refused_as_y(subject, (item for item in subject.X), "an iterator")


@law(applies=_is_checked)
def numbers_are_no_collection(subject: Subject) -> None:
    """A number in place of the items is refused, on either side."""
    _refused(subject, 3, "an integer")
    _refused_as_y(subject, 3, "an integer")


@law(applies=_is_checked)
def objects_without_length_are_refused(subject: Subject) -> None:
    """An object that is no collection is refused."""
    _refused(subject, object(), "an object")
    _refused_as_y(subject, object(), "an object")


@law(applies=checks_lists)
def unordered_collections_are_refused(subject: Subject) -> None:
    """Sets and dictionaries are refused: their items have no places."""
    _refused(subject, {1, 2}, "a set")
    _refused(subject, {"a": 1}, "a dictionary")
    _refused_as_y(subject, frozenset({1}), "a frozenset")


# Tensors.


def _checks_tensors(subject: Subject) -> bool:
    return takes_tensors(subject) and checks_items(subject)


@law(applies=_checks_tensors)
def torch_nan_is_refused(subject: Subject) -> None:
    """NaN and infinity in tensors are refused, on either side."""
    for value in (float("nan"), float("inf")):
        X = tensors(subject)
        X[(-1,) * X.ndim] = value
        said = refusal(lambda X=X: subject.make()(X), f"tensors with one {value}")  # type: ignore[misc]
        assert said.startswith("X"), f"the message does not begin with the argument X: {said}"
        good = tensors(subject)
        said = refusal(lambda X=X, Z=good: subject.make()(Z, X), f"Y with one {value}")  # type: ignore[misc]
        assert "Y" in said.partition(":")[0], f"the message does not begin with the argument Y: {said}"


@law(applies=_checks_tensors)
def torch_wrong_rank_is_refused(subject: Subject) -> None:
    """Tensors with an axis more or less, empty or complex, are refused."""
    X = tensors(subject)
    for what, bad in (
        ("an axis more", X[None]),
        ("an axis less", X[0]),
        ("no items", X[:0]),
        ("complex numbers", X + 1j),
    ):
        said = refusal(lambda bad=bad: subject.make()(bad), f"a tensor with {what}")  # type: ignore[misc]
        assert said.startswith("X"), f"the message does not begin with the argument X: {said}"


# After a refusal.


def _bad(subject: Subject) -> Any:
    return subject.X[:0]


@law(applies=_is_checked)
def errors_are_value_errors(subject: Subject) -> None:
    """A refusal is a ValueError whose message is a sentence: what came, what was expected."""
    try:
        subject.make()(_bad(subject))
    except ValueError as error:
        said = str(error)
    except Exception as error:
        raise AssertionError(f"no items: expected a ValueError, got {type(error).__name__}: {error}") from error
    else:
        raise AssertionError("no items: expected a ValueError, got values")
    assert "expected" in said, f"the message does not say what was expected and what came: {said!r}"
    assert "got" in said, f"the message does not say what was expected and what came: {said!r}"


@law(applies=lambda subject: _is_checked(subject) and is_exact(subject))
def kernel_works_after_an_error(subject: Subject) -> None:
    """After a refusal the object gives the values of a fresh one."""
    k = subject.make()
    bad = _bad(subject)
    refusal(lambda: k(bad), "no items")
    refusal(lambda: k(subject.X, bad), "no items as Y")
    assert_same(k(subject.X), values(subject.make()(subject.X)), "k(X) after a refusal")


@law(applies=_is_checked)
def errors_leave_the_items_alone(subject: Subject) -> None:
    """A call that is refused leaves the items as they were."""
    X = duplicate(subject.X)
    before = snapshot(X)
    refusal(lambda: subject.make()(X, X[:0]), "no items as Y")
    refusal(lambda: subject.make()(X[:0], X), "no items as X")
    assert snapshot(X) == before, "a refused call changed the items"


@law(applies=_is_checked)
def gram_refuses_bad_items(subject: Subject) -> None:
    """gram refuses what k refuses: no items, on either side, and NaN."""
    X = subject.X
    refusal(lambda: gram(subject.make(), _bad(subject), progress=False), "gram of no items")
    refusal(lambda: gram(subject.make(), X, _bad(subject), progress=False), "gram with no items as Y")
    if checks_arrays(subject):
        refusal(lambda: gram(subject.make(), _with(subject, np.nan), tile=2, progress=False), "gram of NaN")
