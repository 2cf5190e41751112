"""What every solver keeps: scikit-learn's estimator rules, and kernreg's own."""

from __future__ import annotations

import copy
import functools
import inspect
import unittest
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ...discovery import shown
from ...errors import ParameterError
from ...params import Parametrized, clone
from .._checks import Check, NotApplicable, law
from .._subject import Subject, made
from ..items import length, take, values
from ._objects import (
    OUTPUTS,
    assert_agree,
    assert_answers,
    fit,
    is_ours,
    outputs,
    part,
    pickled,
    random_state,
    results,
    snapshot,
    state_of,
)

#: Words for a kernel on strings.
_WORDS = ("abba", "bab", "ca", "dad", "cab", "add", "bead", "face", "deaf", "cede", "bed", "ace")


# -- kernels of the kit's own, to pass to solvers ------------------------------------------------------


def dot(X: Any, Y: Any = None) -> Any:
    """The linear kernel, as a function."""
    return np.asarray(X) @ np.asarray(X if Y is None else Y).T


def gauss(X: Any, Y: Any = None, width: float = 2.0) -> Any:
    """A Gaussian kernel, as a function."""
    X, Y = np.asarray(X), np.asarray(X if Y is None else Y)
    return np.exp(-((X[:, None] - Y[None]) ** 2).sum(-1) / (2 * width**2))


def letters(X: Any, Y: Any = None) -> Any:
    """How many letters two strings share, and whether they are equal."""
    Y = X if Y is None else Y
    return np.array([[float(len(set(x) & set(y))) + (x == y) for y in Y] for x in X]).reshape(len(X), len(Y))


class Gauss(Parametrized):
    """A Gaussian kernel with a parameter, without kernreg's base class of kernels."""

    def __init__(self, *, width: float = 2.0) -> None:
        self.width = width

    def __call__(self, X: Any, Y: Any = None) -> Any:
        """k(X, Y)."""
        return gauss(X, Y, self.width)


class Fixed(Parametrized):
    """The same kernel as an object with no number to learn: a solver may learn those of :class:`Gauss`."""

    def __init__(self, *, label: str = "gauss") -> None:
        self.label = label

    def __call__(self, X: Any, Y: Any = None) -> Any:
        """k(X, Y)."""
        return gauss(X, Y)


def _is_on_vectors(subject: Subject) -> bool:
    X = subject.X
    return isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind in "fiu"


def _takes_kernels(subject: Subject) -> bool:
    """Whether it has the parameter ``kernel``, under kernreg's rules: other libraries mean other things by it."""
    obj = made(subject)
    return is_ours(subject) and hasattr(obj, "set_params") and "kernel" in obj.get_params(deep=False)


def _kernels_on_vectors(subject: Subject) -> bool:
    return (
        _is_on_vectors(subject)
        and _takes_kernels(subject)
        and not isinstance(getattr(made(subject), "kernel", None), str)
    )


def _has_items(subject: Subject) -> bool:
    return hasattr(subject.X, "__len__")


def _has_outputs(subject: Subject) -> bool:
    return _has_items(subject) and any(callable(getattr(made(subject), name, None)) for name in OUTPUTS)


def _is_supervised(subject: Subject) -> bool:
    return subject.y is not None and callable(getattr(made(subject), "predict", None))


def _fitted(subject: Subject, obj: Any = None) -> Any:
    obj = subject.make() if obj is None else obj
    fit(subject, obj)
    return obj


def _with_kernel(subject: Subject, kernel: Any, X: Any = None) -> Any:
    """A fitted solver of that kernel; one that says it cannot take it is not tested."""
    obj = subject.make()
    try:
        obj.set_params(kernel=kernel)
        return fit(subject, obj, X, subject.y)
    except (ParameterError, NotImplementedError) as error:
        raise NotApplicable(f"it refuses kernel={kernel!r}: {error}") from None


# -- fitting ------------------------------------------------------------------------------------------


@law("solver")
def fit_returns_self(subject: Subject) -> None:
    """fit returns the solver."""
    solver = subject.make()
    found = fit(subject, solver)
    assert found is solver, f"fit returned {found!r}"


@law("solver")
def fit_leaves_results(subject: Subject) -> None:
    """fit leaves its results in attributes that end in an underscore, none of which is there before."""
    solver = subject.make()
    early = [name for name in vars(solver) if name.endswith("_") and not name.startswith("_")]
    assert not early, f"before fit it has {', '.join(early)}"
    fit(subject, solver)
    late = [name for name in vars(solver) if name.endswith("_") and not name.startswith("_")]
    assert late, "fit leaves no attribute that ends in an underscore"


@law("solver")
def fit_leaves_the_data(subject: Subject) -> None:
    """Neither fit nor an output changes the data, nor NumPy's global random state."""
    if not _has_items(subject):
        raise NotApplicable("the data are no collection of items")
    before = state_of(subject.X), None if subject.y is None else state_of(subject.y)
    state = random_state()
    outputs(_fitted(subject), subject.X)
    assert state_of(subject.X) == before[0], "X was changed"
    assert subject.y is None or state_of(subject.y) == before[1], "y was changed"
    seeded = getattr(subject.make(), "random_state", 0) is not None  # None is the global state, says scikit-learn
    assert not seeded or random_state() == state, "NumPy's global random state moved"


@law("solver")
def fits_agree(subject: Subject) -> None:
    """Two solvers with the same parameters, fitted to the same data, agree; so does one fitted twice."""
    first, second = _fitted(subject), _fitted(subject)
    expected = {**results(first), **outputs(first, subject.X)}
    assert_agree(subject, {**results(second), **outputs(second, subject.X)}, expected, "a second solver")
    fit(subject, first)
    assert_agree(subject, {**results(first), **outputs(first, subject.X)}, expected, "fitted again")


@law("solver", applies=_has_outputs)
def fit_forgets_the_last(subject: Subject) -> None:
    """A solver that was fitted to other data before is as one that was not."""
    kept = [i for i in range(length(subject.X)) if i % 4]
    solver = subject.make()
    try:
        fit(subject, solver, part(subject.X, kept), part(subject.y, kept))
    except ValueError as error:
        raise NotApplicable(f"it cannot be fitted to a part of the example: {error}") from None
    outputs(solver, subject.X)
    fit(subject, solver)
    fresh = _fitted(subject)
    assert_agree(subject, results(solver), results(fresh), "fitted to a part first")
    assert_agree(subject, outputs(solver, subject.X), outputs(fresh, subject.X), "fitted to a part first")


@law("solver")
def fit_and_outputs_are_silent(subject: Subject) -> None:
    """Nothing warns on the example."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        outputs(_fitted(subject), subject.X)
    told = [f"{w.category.__name__}: {w.message}" for w in caught]
    assert not told, f"{len(told)} warnings, the first is {told[0]}"


@law("solver")
def fitted_clone_is_unfitted(subject: Subject) -> None:
    """A clone of a fitted solver has its parameters and none of its results."""
    solver = _fitted(subject)
    if not hasattr(solver, "get_params"):
        raise NotApplicable("it has no get_params")
    fresh = clone(solver)
    kept = [name for name in vars(fresh) if name.endswith("_") and not name.startswith("_")]
    assert not kept, f"the clone keeps {', '.join(kept)}"


@law("solver")
def pickle_keeps_what_was_fitted(subject: Subject) -> None:
    """A fitted solver gives the same outputs after pickle and after deepcopy."""
    solver = _fitted(subject)
    expected = {**results(solver), **outputs(solver, subject.X)}
    for what, again in (("pickle", pickled(subject, solver)), ("deepcopy", copy.deepcopy(solver))):
        assert_answers({**results(again), **outputs(again, subject.X)}, expected, f"after {what}", kind="value")


# -- outputs ------------------------------------------------------------------------------------------


@law("solver", applies=_has_outputs)
def outputs_have_a_row_for_each_item(subject: Subject) -> None:
    """predict, transform and the others give one row for each item, also for fewer items than were fitted."""
    solver = _fitted(subject)
    for n in (length(subject.X), 3, 1):
        for name, found in outputs(solver, take(subject.X, list(range(n)))).items():
            assert found.shape[:1] == (n,), f"{name} of {n} items has shape {found.shape}"


@law("solver", applies=_has_outputs)
def outputs_are_finite(subject: Subject) -> None:
    """predict, transform and the others give no NaN, and only score_samples may give -inf."""
    for name, found in outputs(_fitted(subject), subject.X).items():
        if found.dtype.kind in "fc":
            allowed = np.isfinite(found) | ((found == -np.inf) if name == "score_samples" else False)
            assert allowed.all(), f"{name}: {np.count_nonzero(~allowed)} of {found.size} are not finite"


@law("solver", applies=_has_outputs)
def outputs_repeat(subject: Subject) -> None:
    """The same question twice gives the same values, up to rounding."""
    solver = _fitted(subject)
    first = copy.deepcopy(outputs(solver, subject.X))
    assert_answers(outputs(solver, subject.X), first, "asked again", kind="rounding")


@law("solver", applies=_has_outputs)
def outputs_do_not_depend_on_the_batch(subject: Subject) -> None:
    """What is said of an item does not depend on the items it is asked with, nor on their order."""
    solver = _fitted(subject)
    whole = outputs(solver, subject.X)
    n = length(subject.X)
    for index in ([n - 1], [0], list(range(n - 1, -1, -2))):
        got = outputs(solver, take(subject.X, index))
        expected = {name: found[index] for name, found in whole.items()}
        _assert_near(got, expected, f"asked of items {index[:3]} alone")


def _assert_near(got: dict[str, np.ndarray], expected: dict[str, np.ndarray], what: str) -> None:
    """To the tolerance of values; text and whole numbers exactly."""
    assert got.keys() == expected.keys(), f"{what}: it answers {sorted(got)}, expected {sorted(expected)}"
    for name, found in got.items():
        wanted = expected[name]
        if wanted.dtype.kind not in "USO" and found.dtype.kind not in "USO":
            found, wanted = found.astype(float), wanted.astype(float)
        else:
            found, wanted = found.astype(str), wanted.astype(str)
        assert_answers({name: found}, {name: wanted}, what, kind="value")


@law("solver", applies=_has_outputs)
def not_fitted_is_said(subject: Subject) -> None:
    """Before fit every output raises NotFittedError, kernreg's or scikit-learn's."""
    for name in OUTPUTS:
        solver = subject.make()
        try:
            method = getattr(solver, name, None)
            if method is None:
                continue
            found = method(subject.X)
        except Exception as error:
            if not any(kind.__name__ == "NotFittedError" for kind in type(error).__mro__):
                raise AssertionError(f"{name} before fit raises {shown(error)}") from error
        else:
            raise AssertionError(f"{name} before fit gives {values(found).shape}")


# -- bad input ----------------------------------------------------------------------------------------


def _refuses(subject: Subject, X: Any, y: Any, what: str) -> None:
    try:
        fit(subject, subject.make(), X, y)
    except (ValueError, TypeError):
        return
    raise AssertionError(f"fit accepted {what}")


@law("solver", applies=_is_supervised)
def unequal_lengths_are_refused(subject: Subject) -> None:
    """Fewer targets than items, or more, is a ValueError."""
    n = length(subject.X)
    _refuses(subject, subject.X, part(subject.y, list(range(n - 1))), f"{n} items and {n - 1} targets")
    _refuses(subject, take(subject.X, list(range(n - 1))), subject.y, f"{n - 1} items and {n} targets")


@law("solver", applies=lambda subject: _is_on_vectors(subject) and _has_outputs(subject))
def nan_is_refused(subject: Subject) -> None:
    """NaN and infinity in X are a ValueError, in fit and in every output."""
    solver = _fitted(subject)
    for bad in (np.nan, np.inf):
        X = subject.X.astype(float)
        X[1, -1] = bad
        _refuses(subject, X, subject.y, f"an X with {bad}")
        for name in OUTPUTS:
            if callable(getattr(solver, name, None)):
                try:
                    getattr(solver, name)(X)
                except ValueError:
                    continue
                raise AssertionError(f"{name} accepted an X with {bad}")


@law("solver", applies=_takes_kernels)
def bad_kernel_is_refused(subject: Subject) -> None:
    """What is no kernel is an error of fit, not of the constructor."""
    for bad in (3, "no.such_kernel", "nonsense", Gauss, object()):
        try:
            solver = subject.make().set_params(kernel=bad)
        except Exception as error:
            raise AssertionError(f"set_params(kernel={bad!r}) raises {shown(error)}") from error
        try:
            fit(subject, solver)
        except (ValueError, TypeError, LookupError):
            continue
        raise AssertionError(f"fit accepted kernel={bad!r}")


# -- kernels ------------------------------------------------------------------------------------------


def _answers_by_its_kernel(subject: Subject) -> bool:
    """Whether it says something of items: what learns a kernel only leaves the kernel, and a function cannot learn."""
    return _kernels_on_vectors(subject) and _has_outputs(subject)


@law("solver", applies=_answers_by_its_kernel)
def takes_a_kernel_function(subject: Subject) -> None:
    """A plain function k(X, Y), and an object with the same values, give the same outputs."""
    got, expected = _with_kernel(subject, gauss), _with_kernel(subject, Fixed())
    _assert_near(outputs(got, subject.X), outputs(expected, subject.X), "a function against an object")


@law("solver", applies=_answers_by_its_kernel)
def no_kernel_is_the_linear_one(subject: Subject) -> None:
    """kernel=None gives the outputs of the inner product."""
    got, expected = _with_kernel(subject, None), _with_kernel(subject, dot)
    _assert_near(outputs(got, subject.X), outputs(expected, subject.X), "kernel=None against the inner product")


@law("solver", applies=_answers_by_its_kernel)
def precomputed_agrees(subject: Subject) -> None:
    """kernel='precomputed' with k(X, X) in fit, and k(X_new, X) later, gives the outputs of the kernel.

    A method may be absent that needs more of a new item, such as k(x, x); one at least is there.
    """
    expected = _with_kernel(subject, gauss)
    got = _with_kernel(subject, "precomputed", gauss(subject.X))
    for index in (list(range(length(subject.X))), [4, 0]):
        items = take(subject.X, index)
        found, wanted = outputs(got, gauss(items, subject.X)), outputs(expected, items)
        shared = {name: wanted[name] for name in found if name in wanted} or wanted
        _assert_near(found, shared, "precomputed against the kernel")


def _is_for_any_domain(subject: Subject) -> bool:
    return _answers_by_its_kernel(subject) and (subject.card is None or subject.card.domain is None)


@law("solver", applies=_is_for_any_domain)
def works_on_lists_of_objects(subject: Subject) -> None:
    """With a kernel on strings the solver takes a list of strings, and answers for each of them."""
    n = length(subject.X)
    words = [_WORDS[i % len(_WORDS)] + "ghijklm"[i // len(_WORDS) % 7] for i in range(n)]
    solver = _with_kernel(subject, letters, words)
    expected = {name: found.shape for name, found in outputs(_with_kernel(subject, gauss), subject.X).items()}
    for name, found in outputs(solver, words).items():
        assert found.shape == expected[name], f"{name} of {n} strings has shape {found.shape}"
    one = outputs(solver, words[:1])
    _assert_near(one, {name: found[:1] for name, found in outputs(solver, words).items()}, "asked of one string")


@law("solver", applies=_kernels_on_vectors)
def search_reaches_the_kernel(subject: Subject) -> None:
    """kernel__NAME is a parameter of the solver, and has the effect of a kernel made with it."""
    solver = _with_kernel(subject, Gauss())
    assert "kernel__width" in solver.get_params(), "get_params does not show the kernel's parameters"
    solver.set_params(kernel__width=0.7)
    fit(subject, solver)
    expected = _with_kernel(subject, Gauss(width=0.7))
    assert_answers(outputs(solver, subject.X), outputs(expected, subject.X), "after kernel__width=0.7", kind="value")


@law("solver", applies=_kernels_on_vectors)
def fit_leaves_the_kernel(subject: Subject) -> None:
    """The user's kernel stays what it was; the solver works on a copy."""
    kernel = Gauss()
    before = snapshot(vars(kernel))
    solver = _with_kernel(subject, kernel)
    outputs(solver, subject.X)
    assert solver.get_params(deep=False)["kernel"] is kernel, "fit replaced the parameter kernel"
    assert vars(kernel) == before, f"fit changed the kernel: {vars(kernel)}, it was {before}"
    expected = outputs(solver, subject.X)
    kernel.width = 9.0
    assert_answers(
        outputs(solver, subject.X), expected, "after the user changed the kernel that was passed", kind="value"
    )


# -- scikit-learn -------------------------------------------------------------------------------------


def scikit_learn_checks(subject: Subject) -> Iterator[Check]:
    """scikit-learn's own checks of the estimator, each under the name ``sklearn_NAME``.

    Nothing where scikit-learn (1.6 or later) is absent, or the solver is none of its estimators.
    """
    try:
        from sklearn.base import BaseEstimator
        from sklearn.utils.estimator_checks import estimator_checks_generator
    except ImportError:
        return
    estimator = made(subject)
    if not isinstance(estimator, BaseEstimator) or not _is_on_vectors(subject):
        return
    seen: dict[str, int] = {}
    for instance, check in estimator_checks_generator(estimator, legacy=True, mark=None):
        function, options = _unwrapped(check)
        name = f"sklearn_{function.__name__}"
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            name += f"_{seen[name]}"
        yield Check(name, _as_law(function.__name__, instance, check, options), "solver")


def _unwrapped(check: Any) -> tuple[Any, dict[str, Any]]:
    """The function inside nested partials, and the keywords given to it."""
    options: dict[str, Any] = {}
    while isinstance(check, functools.partial):
        options = {**check.keywords, **options}
        check = check.func
    return inspect.unwrap(check), options


def _as_law(name: str, estimator: Any, check: Callable[[Any], None], options: dict[str, Any]) -> Callable[..., None]:
    def sklearn_check(subject: Subject) -> None:
        try:
            check(copy.deepcopy(estimator))
        except unittest.SkipTest as reason:
            raise NotApplicable(str(reason)) from None

    extra = f" ({', '.join(f'{key}={value!r}' for key, value in options.items())})" if options else ""
    sklearn_check.__doc__ = f"scikit-learn's {name}{extra} holds."
    return sklearn_check
