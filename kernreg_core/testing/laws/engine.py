"""What the engine keeps for every kernel: kr.gram and kr.matvec give the values of k, however they are cut."""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from ..._gram import gram, matvec, plan
from ..._parts import capabilities_of
from ...arrays import is_numpy, is_torch, length
from .._checks import NotApplicable, law
from .._subject import Subject, made
from ..items import assert_close, assert_same, take, values
from ._calls import (
    backwards,
    duplicate,
    few,
    has_values,
    holds_tensors,
    is_exact,
    is_kernreg,
    nearness,
    snapshot,
    takes_tensors,
    tensors,
)


def _other(X: Any) -> Any:
    """Fewer items, in another order: a Y for `X`."""
    return take(X, range(length(X) - 1, -1, -2))


def _expected(subject: Subject, X: Any, Y: Any = None) -> np.ndarray:
    return values(subject.make()(X) if Y is None else subject.make()(X, Y))


@law(applies=is_exact)
def gram_agrees(subject: Subject) -> None:
    """gram(k, X) equals k(X)."""
    X = subject.X
    assert_close(gram(subject.make(), X), _expected(subject, X), "gram(k, X) and k(X)", kind=nearness(subject))


@law(generated=True, applies=is_exact)
def gram_tiles_agree(subject: Subject, X: Any) -> None:
    """The tile changes no value of gram(k, X) beyond a few ulp."""
    X = few(X)
    expected = _expected(subject, X)
    for tile in sorted({1, min(3, length(X)), length(X)}):
        got = gram(subject.make(), X, tile=tile, progress=False)
        assert_close(got, expected, f"gram(k, X, tile={tile}) and k(X)", kind=nearness(subject))


@law(applies=is_exact)
def gram_rectangle_agrees(subject: Subject) -> None:
    """gram(k, X, Y) equals k(X, Y), in one tile and in several."""
    X = few(subject.X)
    Y = _other(X)
    expected = _expected(subject, X, Y)
    for tile in (None, 2):
        got = gram(subject.make(), X, Y, tile=tile, progress=False)
        assert_close(got, expected, f"gram(k, X, Y, tile={tile}) and k(X, Y)", kind=nearness(subject))


@law(applies=is_exact)
def gram_with_threads_agrees(subject: Subject) -> None:
    """gram on the threads of an executor gives the values of k(X)."""
    X = few(subject.X)
    Y = _other(X)
    with ThreadPoolExecutor(2) as pool:
        square = gram(subject.make(), X, tile=2, executor=pool, progress=False)
        across = gram(subject.make(), X, Y, tile=2, executor=pool, progress=False)
    assert_close(square, _expected(subject, X), "gram(k, X) on two threads", kind=nearness(subject))
    assert_close(across, _expected(subject, X, Y), "gram(k, X, Y) on two threads", kind=nearness(subject))


@law(applies=is_exact)
def gram_is_reproducible(subject: Subject) -> None:
    """The same grid gives the same bits, on one object and on two."""
    X = few(subject.X)
    k = subject.make()
    first, again, other = (gram(each, X, tile=2, progress=False) for each in (k, k, subject.make()))
    assert_same(again, first, "gram of one object, called again")
    assert_same(other, first, "gram of two objects made alike")


def _on_numpy(subject: Subject) -> bool:
    """Whether the engine writes into NumPy arrays: the values are no tensors."""
    return is_exact(subject) and not holds_tensors(subject.X)


@law(applies=_on_numpy)
def gram_fills_out(subject: Subject) -> None:
    """gram fills the array it is given, and returns it, with a contiguous array and with a view."""
    X = few(subject.X)
    expected = _expected(subject, X)
    wide = np.full((2 * len(expected), *expected.shape[1:]), -7.0, dtype=expected.dtype)
    for name, out in (("an array", np.full_like(expected, np.nan)), ("a view", wide[::2])):
        got = gram(subject.make(), X, tile=2, out=out, progress=False)
        assert got is out, f"gram returned another array than the out it was given, {name}"
        assert_close(out, expected, f"gram into {name}", kind=nearness(subject))
    assert bool((wide[1::2] == -7.0).all()), "gram wrote outside the view it was given"


@law(applies=_on_numpy)
def gram_fills_a_memory_map(subject: Subject) -> None:
    """gram fills an array that lies in a file."""
    X = few(subject.X)
    expected = _expected(subject, X)
    with tempfile.TemporaryDirectory() as folder:
        name = Path(folder) / "gram.bin"
        out = np.memmap(name, dtype=expected.dtype, mode="w+", shape=expected.shape)
        gram(subject.make(), X, tile=2, out=out, progress=False)
        out.flush()
        del out
        found = np.fromfile(name, dtype=expected.dtype).reshape(expected.shape)
    assert_close(found, expected, "gram in a file", kind=nearness(subject))


@law(applies=_on_numpy)
def gram_gives_the_asked_dtype(subject: Subject) -> None:
    """gram(k, X, dtype=...) has that dtype, and the values to its precision."""
    X = few(subject.X)
    expected = _expected(subject, X)
    narrow, wide = (np.complex64, np.complex128) if expected.dtype.kind == "c" else (np.float32, np.float64)
    for dtype in (narrow, wide):
        K = gram(subject.make(), X, tile=2, dtype=dtype, progress=False)
        assert K.dtype == dtype, f"gram(k, X, dtype={np.dtype(dtype)}) has dtype {K.dtype}"
        assert_close(K, expected, f"gram(k, X, dtype={np.dtype(dtype)}) and k(X)")


@law(applies=is_exact)
def gram_does_not_depend_on_threads(subject: Subject) -> None:
    """One thread and two give the same values, beyond a few ulp."""
    X = few(subject.X)
    found = {}
    for threads in ("1", "2"):
        with patch.dict(os.environ, {"KERNREG_NUM_THREADS": threads}):
            found[threads] = values(gram(subject.make(), X, progress=False))
    assert_close(found["2"], found["1"], "gram with KERNREG_NUM_THREADS=1 and 2", kind=nearness(subject))


@law(applies=has_values)
def gram_leaves_the_items_alone(subject: Subject) -> None:
    """gram leaves its items as they were, on both sides."""
    X = duplicate(few(subject.X))
    Y = duplicate(backwards(X))
    before = snapshot(X), snapshot(Y)
    gram(subject.make(), X, tile=2, progress=False)
    gram(subject.make(), X, Y, tile=2, progress=False)
    assert (snapshot(X), snapshot(Y)) == before, "gram changed the items it was given"


@law(applies=has_values)
def gram_reports_each_planned_tile(subject: Subject) -> None:
    """Progress counts the tiles from 1 to the number that plan said."""
    X = few(subject.X)
    k = subject.make()
    planned = plan(k, X, tile=2).tiles
    told: list[tuple[int, int]] = []
    gram(k, X, tile=2, progress=lambda done, total: told.append((done, total)))
    assert told == [(i, planned) for i in range(1, planned + 1)], f"{planned} tiles were planned, progress told {told}"


def _is_planned(subject: Subject) -> bool:
    # how large a matrix value is, plan cannot know without computing one
    return "matrix_valued" not in subject.capabilities and has_values(subject) and is_kernreg(subject)


@law(applies=_is_planned)
def plan_says_the_size(subject: Subject) -> None:
    """plan says the shape, dtype and bytes of k(X) and k(X, Y)."""
    X = few(subject.X)
    for Y in (None, _other(X)):
        told = plan(subject.make(), X, Y)
        K = _expected(subject, X, Y)
        assert told.shape == K.shape[:2], f"plan says the shape {told.shape}, k gives {K.shape}"
        assert told.dtype == str(K.dtype), f"plan says {told.dtype}, k gives {K.dtype}"
        assert told.bytes == K.nbytes, f"plan says {told.bytes} bytes, k gives {K.nbytes}"


def _tells_dtype(subject: Subject) -> bool:
    told = callable(getattr(made(subject), "result_dtype", None))
    return told and has_values(subject) and not holds_tensors(subject.X)


@law(applies=_tells_dtype)
def result_dtype_is_told(subject: Subject) -> None:
    """k.result_dtype(X) is the dtype of k(X), in single precision too."""
    k = subject.make()
    kinds = [subject.X]
    if is_numpy(subject.X) and subject.X.dtype.kind == "f" and is_kernreg(subject):
        kinds += [subject.X.astype(np.float32), subject.X.astype(np.float64)]
    for X in kinds:
        told, K = np.dtype(k.result_dtype(X)), values(k(X))
        assert told == K.dtype, f"result_dtype says {told}, k(X) has {K.dtype}"


# Products with vectors.


def _has_products(subject: Subject) -> bool:
    return "matrix_valued" not in subject.capabilities and is_exact(subject)


def _weights(K: np.ndarray, *more: int, like: Any) -> Any:
    """Random weights of alternating signs, one row for each column of `K`, of the items' library."""
    V = np.random.default_rng(5).standard_normal((K.shape[1], *more)).astype(np.abs(K[:1, :1]).dtype)
    if is_torch(like):
        import torch

        return torch.tensor(V, device=like.device)
    return V


def _product_agrees(subject: Subject, X: Any, Y: Any, *columns: int) -> None:
    K = subject.make()(X) if Y is None else subject.make()(X, Y)
    V = _weights(values(K), *columns, like=K)
    got = values(matvec(subject.make(), X, V, Y))
    expected = values(K) @ values(V)
    assert got.shape == expected.shape, f"matvec has shape {got.shape}, expected {expected.shape}"
    # the terms may cancel: near is measured against what was summed
    whole = np.abs(values(K)) @ np.abs(values(V))
    assert_close(got + whole, expected + whole, "matvec(k, X, V, Y) and k(X, Y) V")


@law(applies=_has_products)
def matvec_agrees(subject: Subject) -> None:
    """matvec(k, X, v) equals k(X) v."""
    _product_agrees(subject, subject.X, None)


@law(applies=_has_products)
def matvec_takes_several_vectors(subject: Subject) -> None:
    """matvec(k, X, V) equals k(X) V for a matrix V, one column at a time or all at once."""
    for columns in (1, 3):
        _product_agrees(subject, subject.X, None, columns)


@law(applies=_has_products)
def matvec_of_a_rectangle_agrees(subject: Subject) -> None:
    """matvec(k, X, V, Y) equals k(X, Y) V."""
    X = subject.X
    _product_agrees(subject, X, _other(X), 2)
    _product_agrees(subject, _other(X), X)


# Tiles in place.


def _fills(subject: Subject) -> bool:
    return callable(getattr(made(subject), "into", None)) and _on_numpy(subject)


def _checked(k: Any, X: Any) -> Any:
    """`X` as the engine passes it to ``into``."""
    return k.check_items(X)[0] if callable(getattr(k, "check_items", None)) else X


@law(applies=_fills)
def into_fills_the_tile(subject: Subject) -> None:
    """into(X, Y, out) writes k(X, Y) into every place of out."""
    k = subject.make()
    X = _checked(k, subject.X)
    Y = _other(X)
    for right, expected in ((X, _expected(subject, X)), (Y, _expected(subject, X, Y))):
        out = np.full_like(expected, np.nan)
        k.into(X, right, out)
        left = int(np.count_nonzero(np.isnan(out)))
        assert left == 0 or np.isnan(expected).any(), f"into left {left} of {out.size} places unwritten"
        assert_close(out, expected, "into(X, Y, out) and k(X, Y)", kind=nearness(subject))


@law(applies=_fills)
def into_keeps_within_the_tile(subject: Subject) -> None:
    """into fills a view of a larger array, by rows or by columns, and writes nothing outside it."""
    k = subject.make()
    X = _checked(k, subject.X)
    Y = _other(X)
    expected = _expected(subject, X, Y)
    n, m = expected.shape
    for order in ("C", "F"):
        large = np.full((n + 2, 2 * m + 3), -7.0, dtype=expected.dtype, order=order)
        view = large[1:-1, 1 : 2 * m : 2]
        k.into(X, Y, view)
        assert_close(view, expected, f"into a view ({order} order)", kind=nearness(subject))
        view[...] = -7.0
        outside = int(np.count_nonzero(large != -7.0))
        assert outside == 0, f"into wrote {outside} values outside its tile"


@law(applies=_fills)
def into_leaves_the_items_alone(subject: Subject) -> None:
    """into changes neither X nor Y."""
    k = subject.make()
    X = duplicate(_checked(k, subject.X))
    Y = duplicate(backwards(X))
    before = snapshot(X), snapshot(Y)
    expected = _expected(subject, X, Y)
    k.into(X, Y, np.empty_like(expected))
    k.into(X, X, np.empty_like(_expected(subject, X)))
    assert (snapshot(X), snapshot(Y)) == before, "into changed the items it was given"


# Tensors through the engine.


@law(applies=lambda subject: takes_tensors(subject) and is_exact(subject))
def gram_keeps_torch(subject: Subject) -> None:
    """gram of tensors gives the tensor k(X), in any tile."""
    X = tensors(subject)
    expected = subject.make()(X)
    for tile in (None, 3):
        K = gram(subject.make(), X, tile=tile, progress=False)
        assert is_torch(K), f"gram of tensors is a {type(K).__name__}"
        assert K.dtype == expected.dtype, f"gram of {X.dtype} has dtype {K.dtype}, k(X) has {expected.dtype}"
        assert_close(K, expected, f"gram(k, X, tile={tile}) of tensors", kind=nearness(subject))


@law(applies=lambda subject: takes_tensors(subject) and "differentiable" in subject.capabilities and is_exact(subject))
def gram_keeps_gradients(subject: Subject) -> None:
    """gram passes the gradients that k(X) passes."""
    if "differentiable" not in capabilities_of(subject.make()) and not is_kernreg(subject):
        raise NotApplicable("the object itself does not declare autograd")
    found = []
    for tile in (None, 3):
        X = tensors(subject).double().requires_grad_()
        k = subject.make()
        K = k(X) if tile is None else gram(k, X, tile=tile, progress=False)
        K = K.real + 2 * K.imag if K.is_complex() else K
        assert K.requires_grad, "values of items that require gradients require none"
        (K * K).sum().backward()
        found.append(X.grad)
    assert_close(found[1], found[0], "the gradient through gram and through k(X)")
