"""Methods beside k(X, Y): each gives what k(X, Y) gives, at less cost."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np

from ... import gram
from ...arrays import is_prepared, is_sparse, is_torch, length
from .._checks import NotApplicable, law
from .._subject import Subject, made
from ..items import assert_close, assert_same, content, take, values
from ..tolerances import tolerance
from ._capability import (
    all_of,
    exact,
    few,
    many,
    memory_below,
    memory_limit,
    on_arrays,
    others,
    scalar,
    two_sides,
)

#: Items of the laws about memory: k(X) would take 72 MB.
_LARGE = 3000


# prepare


@law("kernel", "prepare", generated=True, applies=exact)
def prepare_keeps_the_values(subject: Subject, X: Any) -> None:
    """k(P) and k(P, P) of P = prepare(X) are k(X)."""
    K = subject.make()(X)
    obj = subject.make()
    P = obj.prepare(X)
    assert_close(obj(P), K, "k(prepare(X))", kind="rounding")
    assert_close(obj(P, P), K, "k(P, P) of P = prepare(X)", kind="rounding")


@law("kernel", "prepare", applies=exact)
def prepare_can_be_cut(subject: Subject) -> None:
    """k(P[i], P[j]) = k(X)[i, j] for slices i and j of P = prepare(X)."""
    X = subject.X
    n = length(X)
    K = values(subject.make()(X))
    obj = subject.make()
    P = obj.prepare(X)
    cuts = [slice(0, (n + 1) // 2), slice(n // 3, n), slice(n - 1, n), slice(0, 1)]
    for rows in cuts:
        for columns in cuts:
            what = f"k(P[{rows.start}:{rows.stop}], P[{columns.start}:{columns.stop}])"
            assert_close(obj(P[rows], P[columns]), K[rows, columns], what, kind="rounding")


@law("kernel", "prepare", generated=True)
def prepare_has_the_length_of_the_items(subject: Subject, X: Any) -> None:
    """prepare(X), and each slice of it, has as many items as X, and as the slice of X."""
    n = length(X)
    P = subject.make().prepare(X)
    assert length(P) == n, f"prepare of {n} items has length {length(P)}"
    for cut in (slice(0, 1), slice(n // 2, n)):
        expected = len(range(*cut.indices(n)))
        assert length(P[cut]) == expected, f"P[{cut.start}:{cut.stop}] has length {length(P[cut])}, expected {expected}"


@law("kernel", "prepare", applies=exact)
def prepare_pickles(subject: Subject) -> None:
    """P = prepare(X) and its slices can be pickled, and are worth the same afterwards."""
    X = subject.X
    obj = subject.make()
    P = obj.prepare(X)
    half = slice(0, (length(X) + 1) // 2)
    copies = []
    for what, part in (("prepare(X)", P), ("a slice of prepare(X)", P[half])):
        try:
            copies.append(pickle.loads(pickle.dumps(part)))
        except Exception as error:
            raise AssertionError(f"{what} does not pickle: {type(error).__name__}: {error}") from error
    again, cut = copies
    assert_close(obj(again), obj(P), "k of an unpickled prepare(X)", kind="rounding")
    assert_close(obj(cut, again), obj(P[half], P), "k of an unpickled slice", kind="rounding")


@law("kernel", "prepare", generated=True, applies=exact)
def prepare_of_two_sides(subject: Subject, X: Any) -> None:
    """k(prepare(X), prepare(Y)) = k(X, Y) where X and Y are prepared one after the other."""
    left, right = two_sides(X)
    obj = subject.make()
    P, Q = obj.prepare(left), obj.prepare(right)
    assert_close(obj(P, Q), subject.make()(left, right), "k(prepare(X), prepare(Y))", kind="rounding")


@law("kernel", "prepare")
def prepare_leaves_the_items_alone(subject: Subject) -> None:
    """Neither prepare(X) nor k of what it gives changes X."""
    X = take(subject.X, range(length(subject.X)))
    before = content(X)
    obj = subject.make()
    P = obj.prepare(X)
    assert content(X) == before, "prepare(X) changed X"
    obj(P)
    assert content(X) == before, "k(prepare(X)) changed X"


@law("kernel", "prepare", applies=exact)
def prepare_is_not_stale(subject: Subject) -> None:
    """What was prepared before, and what is prepared in between, does not show in k(prepare(X))."""
    X = subject.X
    Y = others(X)  # of the same number and shape: what a careless cache takes for the same
    expected_x, expected_y = values(subject.make()(X)), values(subject.make()(Y))
    obj = subject.make()
    P = obj.prepare(X)
    Q = obj.prepare(Y)
    assert_close(obj(Q), expected_y, "k(prepare(Y)), X having been prepared before", kind="rounding")
    assert_close(obj(P), expected_x, "k(prepare(X)), Y having been prepared since", kind="rounding")
    obj.prepare(take(X, [0]))
    assert_close(obj(P, P), expected_x, "k(P, P) after a shorter prepare", kind="rounding")
    assert_close(obj(Y), expected_y, "k(Y) after k(prepare(X))", kind="rounding")


@law("kernel", "prepare", applies=exact)
def prepare_serves_gram(subject: Subject) -> None:
    """kr.gram, which prepares each side once and cuts it into tiles, gives k(X, Y)."""
    X = subject.X
    left, right = two_sides(X)
    tile = max(1, length(X) // 3)
    calls: list[int] = []
    obj = subject.make()
    prepare = obj.prepare

    def counted(items: Any) -> Any:
        if not is_prepared(items):
            calls.append(length(items))
        return prepare(items)

    obj.prepare = counted
    assert_close(gram(obj, X, tile=tile, progress=False), subject.make()(X), "gram(k, X) in tiles", kind="rounding")
    assert len(calls) == 1, f"gram(k, X) prepared {len(calls)} times: what prepare gives is not marked as prepared"
    K = gram(obj, left, right, tile=tile, progress=False)
    assert_close(K, subject.make()(left, right), "gram(k, X, Y) in tiles", kind="rounding")
    assert len(calls) == 3, f"gram(k, X, Y) prepared {len(calls) - 1} times, expected once for each side"


# diag


@law("kernel", "diag", generated=True, applies=exact)
def diag_is_the_diagonal(subject: Subject, X: Any) -> None:
    """diag(X) is the diagonal of k(X), within rounding."""
    expected = np.einsum("ii...->i...", values(subject.make()(X)))
    assert_close(subject.make().diag(X), expected, "diag(X)", kind="rounding")


@law("kernel", "diag", generated=True)
def diag_has_one_value_for_each_item(subject: Subject, X: Any) -> None:
    """diag(X) has shape (n,), also for one item, and two more axes where values are matrices."""
    rank = 1 if scalar(subject) else 3
    for items in (X, take(X, [0])):
        found = subject.make().diag(items)
        shape = tuple(found.shape)
        assert shape[:1] == (length(items),), f"diag of {length(items)} items has shape {shape}"
        assert len(shape) == rank, f"diag has {len(shape)} axes, expected {rank}"
        assert np.isfinite(values(found)).all(), "diag has values that are not finite"


@law("kernel", "diag", applies=exact)
def diag_of_each_item_alone(subject: Subject) -> None:
    """diag(X)[i] depends on item i alone."""
    X = subject.X
    whole = values(subject.make().diag(X))
    each = np.concatenate([values(subject.make().diag(take(X, [i]))) for i in range(length(X))])
    assert_close(each, whole, "diag of the items one by one", kind="rounding")


@law("kernel", "diag", applies=on_arrays)
def diag_without_the_matrix(subject: Subject) -> None:
    """diag(X) takes far less memory than k(X)."""
    X = many(subject, _LARGE)
    obj = subject.make()
    obj.diag(X[:2])  # imports and caches are not counted
    with memory_below(memory_limit(X), f"diag of {len(X)} items"):
        obj.diag(X)


# features


def _left(obj: Any, X: Any, basis: Any = None) -> Any:
    if hasattr(obj, "features_left") and hasattr(obj, "features_right"):
        return obj.features_left(X)
    return obj.features(X) if basis is None else obj.features(X, basis=basis)


def _right(obj: Any, Y: Any, basis: Any = None) -> Any:
    if hasattr(obj, "features_left") and hasattr(obj, "features_right"):
        return obj.features_right(Y)
    return obj.features(Y) if basis is None else obj.features(Y, basis=basis)


def feature_product(F: Any, G: Any) -> Any:
    """F G^H, dense."""
    F, G = values(F), values(G)
    assert F.ndim == G.ndim == 2, f"features have shapes {F.shape} and {G.shape}, expected two axes"
    assert F.shape[1] == G.shape[1], f"features of the two sides have {F.shape[1]} and {G.shape[1]} columns"
    return F @ G.conj().T


@law("kernel", "features", generated=True)
def features_multiply_to_the_kernel(subject: Subject, X: Any) -> None:
    """features(X) features(X)^H = k(X); the left and the right ones where the sides differ."""
    obj = subject.make()
    assert_close(feature_product(_left(obj, X), _right(obj, X)), obj(X), "features(X) features(X)^H")


@law("kernel", "features", generated=True)
def features_on_a_basis_multiply_to_the_kernel(subject: Subject, X: Any) -> None:
    """features(X, basis=X) features(Y, basis=X)^H = k(X, Y), also where Y has what X lacks."""
    left, right = two_sides(X)
    for a, b in ((left, right), (right, left)):
        obj = subject.make()
        found = feature_product(_left(obj, a, a), _right(obj, b, a))
        assert_close(found, obj(a, b), "features(X, basis=X) features(Y, basis=X)^H")


@law("kernel", "features", generated=True)
def features_are_a_matrix_of_numbers(subject: Subject, X: Any) -> None:
    """features(X) is (n, D), a dense or CSR matrix of finite floating numbers."""
    obj = subject.make()
    for found in (_left(obj, X), _right(obj, X, X)):
        assert len(found.shape) == 2, f"features have shape {tuple(found.shape)}, expected two axes"
        assert found.shape[0] == length(X), f"features of {length(X)} items have {found.shape[0]} rows"
        if is_sparse(found):
            assert found.format == "csr", f"sparse features have the format {found.format!r}, expected 'csr'"
        dense = values(found)
        assert dense.dtype.kind in "fc", f"features have dtype {dense.dtype}, expected a floating one"
        assert np.isfinite(dense).all(), "features have values that are not finite"


@law("kernel", "features")
def features_stay_the_same(subject: Subject) -> None:
    """features(X, basis=X) gives the same bits again, also after features of other items."""
    X = subject.X
    obj = subject.make()
    first = values(_left(obj, X, X)).copy()
    _left(obj, others(X))
    _left(obj, take(X, [0]))
    assert_same(_left(obj, X, X), first, "features(X, basis=X) for the second time")


@law("kernel", "features")
def features_of_each_row_alone(subject: Subject) -> None:
    """With a basis, the features of an item do not depend on the items beside it."""
    X = subject.X
    obj = subject.make()
    for side in (_left, _right):
        whole = values(side(obj, X, X))
        each = np.concatenate([values(side(obj, take(X, [i]), X)) for i in range(length(X))])
        assert_close(each, whole, "features of the items one by one", kind="rounding")


# matvec


def _vectors(obj: Any, Y: Any, columns: int | None) -> np.ndarray:
    """Random numbers, a row for each item of `Y`, complex where values are."""
    rng = np.random.default_rng(4)
    shape = (length(Y),) if columns is None else (length(Y), columns)
    V = rng.standard_normal(shape)
    complex_values = "complex" in getattr(obj, "capabilities", ())
    return V + 1j * rng.standard_normal(shape) if complex_values else V


def _like(V: np.ndarray, X: Any) -> Any:
    """`V` in the library of `X`."""
    return X.new_tensor(V) if is_torch(X) else V


_MATVEC = all_of(scalar, exact)


@law("kernel", "matvec", generated=True, applies=_MATVEC)
def matvec_is_the_product(subject: Subject, X: Any) -> None:
    """matvec(X, v) = k(X) v for a vector v, of shape (n,)."""
    v = _vectors(made(subject), X, None)
    expected = values(subject.make()(X)) @ v
    assert_close(subject.make().matvec(X, _like(v, X)), expected, "matvec(X, v)")


@law("kernel", "matvec", applies=_MATVEC)
def matvec_of_several_vectors(subject: Subject) -> None:
    """matvec(X, V) = k(X) V for a V of several columns, or of one."""
    X = subject.X
    for columns in (3, 1):
        V = _vectors(made(subject), X, columns)
        expected = values(subject.make()(X)) @ V
        assert_close(subject.make().matvec(X, _like(V, X)), expected, f"matvec(X, V) with {columns} columns")


@law("kernel", "matvec", generated=True, applies=_MATVEC)
def matvec_between_two_sides(subject: Subject, X: Any) -> None:
    """matvec(X, V, Y) = k(X, Y) V where X and Y have different lengths, either way round."""
    for left, right in (two_sides(X), two_sides(X)[::-1]):
        V = _vectors(made(subject), right, 2)
        expected = values(subject.make()(left, right)) @ V
        assert_close(subject.make().matvec(left, _like(V, X), right), expected, "matvec(X, V, Y)")


@law("kernel", "matvec", applies=_MATVEC)
def matvec_of_many_items(subject: Subject) -> None:
    """matvec(X, V) = k(X) V also where X is long enough to be cut into blocks."""
    X = few(subject) if not on_arrays(subject) else many(subject, 600)
    V = _vectors(made(subject), X, 2)
    expected = values(subject.make()(X)) @ V
    assert_close(subject.make().matvec(X, _like(V, X)), expected, f"matvec of {length(X)} items")


@law("kernel", "matvec", applies=_MATVEC)
def matvec_is_linear(subject: Subject) -> None:
    """matvec(X, a V + W) = a matvec(X, V) + matvec(X, W)."""
    X = subject.X
    V = _vectors(made(subject), X, 2)
    W = V[::-1].copy()
    obj = subject.make()
    sides = (2.5 * values(obj.matvec(X, _like(V, X))), values(obj.matvec(X, _like(W, X))))
    assert_close(obj.matvec(X, _like(2.5 * V + W, X)), sides[0] + sides[1], "matvec(X, 2.5 V + W)")


@law("kernel", "matvec")
def matvec_leaves_its_arguments_alone(subject: Subject) -> None:
    """matvec(X, V, Y) changes neither X nor V nor Y."""
    X = take(subject.X, range(length(subject.X)))
    Y = others(subject.X)
    V = _like(_vectors(made(subject), Y, 2), X)
    before = [content(a) for a in (X, V, Y)]
    obj = subject.make()
    obj.matvec(X, V)
    obj.matvec(X, V, Y)
    for name, a, was in zip("XVY", (X, V, Y), before, strict=True):
        assert content(a) == was, f"matvec changed {name}"


@law("kernel", "matvec")
def matvec_refuses_another_length(subject: Subject) -> None:
    """A V that has not one row for each item of Y is refused."""
    X = subject.X
    left, right = two_sides(X)
    n, m = length(X), length(right)
    obj = subject.make()
    calls = [(X, None, n - 1), (X, None, n + 1), (left, right, m + 1), (left, right, length(left))]
    for items, Y, rows in calls:
        expected = n if Y is None else m
        if rows in (0, expected):
            continue
        try:
            found = obj.matvec(items, _like(np.ones(rows), X), Y)
        except Exception:
            continue
        raise AssertionError(
            f"matvec took a V of {rows} rows for {expected} items, and gave shape {tuple(found.shape)}"
        )


@law("kernel", "matvec", applies=on_arrays)
def matvec_without_the_matrix(subject: Subject) -> None:
    """matvec(X, v) takes far less memory than k(X)."""
    X = many(subject, _LARGE)
    v = _vectors(made(subject), X, None)
    obj = subject.make()
    obj.matvec(X[:2], v[:2])
    with memory_below(memory_limit(X), f"matvec of {len(X)} items"):
        obj.matvec(X, v)


# solve


_NOISES = (1e-3, 0.3, 10.0)


def _noisy(subject: Subject, noise: float) -> np.ndarray:
    """K + noise I of the example."""
    if not scalar(subject):
        raise NotApplicable("a system of matrix values has no one layout")
    K = values(subject.make()(subject.X))
    return K + noise * np.eye(len(K))


@law("kernel", "solve", applies=exact)
def solve_inverts(subject: Subject) -> None:
    """x = solve(X, b, noise) satisfies (K + noise I) x = b, for small and large noise."""
    X = subject.X
    b = _vectors(made(subject), X, None)
    for noise in _NOISES:
        A = _noisy(subject, noise)
        x = values(subject.make().solve(X, b, noise))
        assert x.shape == b.shape, f"solve of b with shape {b.shape} has shape {x.shape}"
        scale = float(np.abs(A).sum(axis=1).max() * np.abs(x).max() + np.abs(b).max())
        residual = float(np.abs(A @ x - b).max())
        assert residual <= tolerance(x).value * scale, (
            f"(K + {noise:g} I) x - b is {residual:.3g}, {tolerance(x).value * scale:.3g} is allowed"
        )


@law("kernel", "solve", applies=exact)
def solve_of_several_right_hand_sides(subject: Subject) -> None:
    """solve(X, B, noise) solves for each column of B."""
    X = subject.X
    B = _vectors(made(subject), X, 3)
    for columns in (3, 1):
        found = values(subject.make().solve(X, B[:, :columns].copy(), 0.3))
        expected = np.linalg.solve(_noisy(subject, 0.3), B[:, :columns])
        assert_close(found, expected, f"solve with {columns} columns")


@law("kernel", "solve", applies=exact)
def solve_gives_the_log_determinant(subject: Subject) -> None:
    """logdet(X, noise) = log det(K + noise I), a real number."""
    for noise in _NOISES:
        expected = np.linalg.slogdet(_noisy(subject, noise))[1]
        found = np.asarray(values(subject.make().logdet(subject.X, noise)))
        assert found.shape == (), f"logdet has shape {found.shape}, expected a number"
        assert_close(found, expected, f"logdet with noise {noise:g}")


@law("kernel", "solve", applies=exact)
def solve_does_not_remember(subject: Subject) -> None:
    """What was solved for another noise, or fewer items, does not show."""
    X = subject.X
    b = _vectors(made(subject), X, None)
    fresh = values(subject.make().solve(X, b, 0.3))
    obj = subject.make()
    obj.solve(X, b, 7.0)
    head = length(X) - 1
    if head:
        obj.solve(X[:head], b[:head], 0.3)
    obj.logdet(X, 2.0)
    assert_close(obj.solve(X, b, 0.3), fresh, "solve after others", kind="rounding")


@law("kernel", "solve")
def solve_leaves_its_arguments_alone(subject: Subject) -> None:
    """solve(X, b, noise) changes neither X nor b."""
    X = take(subject.X, range(length(subject.X)))
    b = _vectors(made(subject), X, 2)
    before = content(X), content(b)
    subject.make().solve(X, b, 0.3)
    subject.make().logdet(X, 0.3)
    assert content(X) == before[0], "solve or logdet changed X"
    assert content(b) == before[1], "solve changed b"
