"""What every kernel keeps: k(X, Y) is an (n, m) matrix of values, each a function of its two items."""

from __future__ import annotations

import contextlib
import io
import os
import random
import sys
import tempfile
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any
from unittest.mock import patch

import numpy as np

from ...arrays import is_numpy, is_torch, length
from .._checks import NotApplicable, law
from .._subject import Subject, made
from ..items import assert_close, assert_same, join, take, values
from ._calls import (
    assert_block,
    backwards,
    duplicate,
    few,
    has_values,
    holds_tensors,
    is_exact,
    nearness,
    snapshot,
    takes_tensors,
    torch_or_skip,
)

# Shape and values.


@law(generated=True, applies=has_values)
def gram_shape(subject: Subject, X: Any) -> None:
    """k(X) has shape (n, n), with two more axes where the values are matrices."""
    K = subject.make()(X)
    n = length(X)
    rank = 4 if "matrix_valued" in subject.capabilities else 2
    assert values(K).shape[:2] == (n, n), f"k(X) of {n} items has shape {values(K).shape}"
    assert values(K).ndim == rank, f"k(X) has {values(K).ndim} axes, expected {rank}"


@law(applies=has_values)
def rectangular_shape(subject: Subject) -> None:
    """k(X, Y) has shape (n, m), also where one side is a single item."""
    X = subject.X
    n = length(X)
    for rows, columns in ((n, 1), (1, n), (1, 1), (n, max(1, n - 1))):
        K = values(subject.make()(X[:rows], X[:columns]))
        assert K.shape[:2] == (rows, columns), f"k(X, Y) of {rows} and {columns} items has shape {K.shape}"


@law(applies=has_values)
def values_are_an_array(subject: Subject) -> None:
    """k(X) is a plain NumPy array or a torch tensor: no list, sparse matrix, masked array or lazy object."""
    K = subject.make()(subject.X)
    plain = is_torch(K) or (is_numpy(K) and not isinstance(K, (np.matrix, np.ma.MaskedArray)))
    assert plain, f"k(X) is a {type(K).__module__}.{type(K).__name__}"


@law(applies=has_values)
def numpy_gives_numpy(subject: Subject) -> None:
    """Items that are no tensors give NumPy values, and tensors give tensors."""
    X = subject.X
    K = subject.make()(X)
    expected = holds_tensors(X)
    assert is_torch(K) == expected, f"k(X) is a {type(K).__name__} for {'tensors' if expected else type(X).__name__}"


@law(generated=True, applies=has_values)
def values_are_finite(subject: Subject, X: Any) -> None:
    """k(X) holds neither NaN nor infinity for items like those of the example."""
    K = values(subject.make()(X))
    bad = ~np.isfinite(K)
    assert not bad.any(), f"{np.count_nonzero(bad)} of {bad.size} values are not finite, the first at {_first(bad)}"


def _first(where: np.ndarray) -> tuple[int, ...]:
    return tuple(int(i) for i in np.argwhere(where)[0])


@law(applies=has_values)
def values_are_floating(subject: Subject) -> None:
    """Values of k(X) and k(X, Y) are floating or complex numbers: no integers, booleans or objects."""
    X = subject.X
    for name, K in (("k(X)", subject.make()(X)), ("k(X, Y)", subject.make()(X, X[:1]))):
        assert values(K).dtype.kind in "fc", f"{name} has dtype {values(K).dtype}"


@law(applies=lambda subject: "complex" not in subject.capabilities and has_values(subject))
def complex_values_are_declared(subject: Subject) -> None:
    """A kernel without the capability 'complex' gives real values."""
    K = values(subject.make()(subject.X))
    assert K.dtype.kind != "c", f"k(X) has dtype {K.dtype}, and 'complex' is not declared"


@law(applies=has_values)
def one_dtype_for_every_cut(subject: Subject) -> None:
    """k(X), k(X, Y) and k of one item have the same dtype."""
    X = subject.X
    k = subject.make()
    found = {"k(X)": k(X), "k(X, Y)": k(X, X[:1]), "k(Y, X)": k(X[:1], X), "k of one item": k(X[:1])}
    dtypes = {name: str(values(K).dtype) for name, K in found.items()}
    assert len(set(dtypes.values())) == 1, f"dtypes differ: {dtypes}"


# One value for each pair of items, however the calls are cut.


@law(generated=True, applies=is_exact)
def omitted_y_is_x(subject: Subject, X: Any) -> None:
    """k(X) equals k(X, X), bit for bit, where Y is the same object."""
    assert_same(subject.make()(X, X), subject.make()(X), "k(X, X) and k(X)")


@law(generated=True, applies=is_exact)
def copied_y_agrees(subject: Subject, X: Any) -> None:
    """k(X, Y) equals k(X) where Y holds equal items and is another object."""
    K = subject.make()(X)
    assert_close(subject.make()(X, duplicate(X)), K, "k(X, copy of X) and k(X)", kind=nearness(subject))


@law(generated=True, applies=is_exact)
def blocks_agree(subject: Subject, X: Any) -> None:
    """k(X[I], X[J]) equals k(X)[I, J]."""
    n = length(X)
    rng = np.random.default_rng(n)
    K = values(subject.make()(X))
    for _ in range(2):
        rows = rng.permutation(n)[: max(1, 2 * n // 3)].tolist()
        columns = rng.permutation(n)[: max(1, n // 2)].tolist()
        block = subject.make()(take(X, rows), take(X, columns))
        assert_block(subject, block, K, rows, columns, f"k(X[{rows}], X[{columns}]) and its part of k(X)")


@law(applies=is_exact)
def pairs_agree(subject: Subject) -> None:
    """Each value equals that of the call on its two items alone."""
    X = few(subject.X, 4)
    n = length(X)
    k = subject.make()
    K = values(subject.make()(X))
    for i in range(n):
        for j in range(n):
            assert_block(subject, k(take(X, [i]), take(X, [j])), K, [i], [j], f"k(X[{i}], X[{j}]) and k(X)[{i}, {j}]")


@law(applies=is_exact)
def one_item(subject: Subject) -> None:
    """k of a single item is the 1 x 1 matrix with its diagonal value."""
    X = few(subject.X)
    K = values(subject.make()(X))
    for i in range(length(X)):
        assert_block(subject, subject.make()(take(X, [i])), K, [i], [i], f"k(X[{i}]) and k(X)[{i}, {i}]")


@law(generated=True, applies=is_exact)
def permutation_moves_rows_and_columns(subject: Subject, X: Any) -> None:
    """Items in another order give the same values in that order."""
    order = np.random.default_rng(1).permutation(length(X)).tolist()
    K = values(subject.make()(X))
    assert_block(subject, subject.make()(take(X, order)), values(K), order, order, f"k(X) in the order {order}")


@law(applies=is_exact)
def duplicates_give_equal_rows(subject: Subject) -> None:
    """An item that occurs twice gives equal rows and columns."""
    X = few(subject.X)
    n = length(X)
    doubled = join(X, duplicate(take(X, [0, n - 1])))
    rows = [*range(n), 0, n - 1]
    K = values(subject.make()(doubled))
    assert_block(subject, K[np.ix_(rows, rows)], K, range(n + 2), range(n + 2), "rows and columns of equal items")


@law(applies=is_exact)
def cut_in_slices(subject: Subject) -> None:
    """Slices of the items, which may be views, give the values of copies."""
    X = subject.X
    n = length(X)
    if n < 3:
        raise NotApplicable("the example has fewer than 3 items")
    K = values(subject.make()(X))
    for rows, columns in ((slice(1, None), slice(None, -1)), (slice(0, None, 2), slice(1, None, 2))):
        block = subject.make()(X[rows], X[columns])
        at = [list(range(n))[cut] for cut in (rows, columns)]
        assert_block(subject, block, K, at[0], at[1], f"k of the slices {rows} and {columns}")


@law(applies=lambda subject: isinstance(subject.X, (list, tuple)) and is_exact(subject))
def lists_and_tuples_agree(subject: Subject) -> None:
    """A tuple of the items gives the values of the list."""
    X = few(subject.X)
    assert_same(subject.make()(tuple(X)), subject.make()(list(X)), "k of a tuple and of a list")


def _is_cheap(subject: Subject) -> bool:
    cost = subject.card.pair_cost if subject.card else getattr(made(subject), "pair_cost", "low")
    return cost == "low" and "matrix_valued" not in subject.capabilities and is_exact(subject)


@law(applies=_is_cheap)
def many_items_agree_with_few(subject: Subject) -> None:
    """Among 300 items, which tiles and panels cut, a pair has the value it has among few."""
    X = subject.X
    rng = np.random.default_rng(3)
    rows, columns = (rng.integers(0, length(X), size).tolist() for size in (300, 290))
    K = values(subject.make()(X))
    expected = K[np.ix_(rows, rows)]
    near = nearness(subject)
    assert_close(subject.make()(take(X, rows)), expected, "k of 300 items", kind=near)
    got = subject.make()(take(X, rows), take(X, columns))
    assert_close(got, K[np.ix_(rows, columns)], "k of 300 and 290 items", kind=near)


# Calls leave no trace in the object or in what they were given.


@law(generated=True, applies=has_values)
def input_is_not_mutated(subject: Subject, X: Any) -> None:
    """A call leaves its items as they were."""
    X, Y = duplicate(X), duplicate(backwards(X))
    before = snapshot(X), snapshot(Y)
    k = subject.make()
    k(X)
    assert snapshot(X) == before[0], "k(X) changed X"
    k(X, Y)
    assert snapshot(X) == before[0], "k(X, Y) changed X"
    assert snapshot(Y) == before[1], "k(X, Y) changed Y"


@law(applies=is_exact)
def repeated_calls_agree(subject: Subject) -> None:
    """The same call on one object gives the same bits again."""
    k = subject.make()
    X, Y = subject.X, take(subject.X, [0])
    first, across = duplicate(values(k(X))), duplicate(values(k(X, Y)))
    for _ in range(2):
        assert_same(k(X), first, "k(X) called again")
        assert_same(k(X, Y), across, "k(X, Y) called again")


@law(applies=is_exact)
def fresh_objects_agree(subject: Subject) -> None:
    """Two objects made alike give the same bits."""
    first, second = subject.make(), subject.make()
    assert_same(first(subject.X), second(subject.X), "k(X) of two objects made alike")


@law(applies=is_exact)
def earlier_calls_do_not_matter(subject: Subject) -> None:
    """k(X) is the same after calls on other items, of other sizes and of the same size."""
    X = subject.X
    k = subject.make()
    expected = values(subject.make()(X))
    k(take(X, [0]))
    k(join(X, take(X, [0])))
    k(backwards(X), take(X, [0]))
    k(backwards(X))
    assert_same(k(X), expected, "k(X) after calls on other items")


@law(applies=is_exact)
def order_of_calls_does_not_matter(subject: Subject) -> None:
    """Blocks computed in the opposite order have the same bits."""
    X = few(subject.X, 5)
    blocks = [(take(X, [i]), X) for i in range(length(X))]
    k, other = subject.make(), subject.make()
    forth = [values(k(*block)) for block in blocks]
    back = [values(other(*block)) for block in reversed(blocks)][::-1]
    for i, (one, two) in enumerate(zip(forth, back, strict=True)):
        assert_same(two, one, f"k(X[{i}], X) in another order of calls")


@law(applies=is_exact)
def edits_of_the_items_are_seen(subject: Subject) -> None:
    """Items changed in place after a call give the values of what they are now."""
    X, edited = duplicate(subject.X), duplicate(subject.X)
    expected = values(subject.make()(backwards(X)))
    k = subject.make()
    if np.array_equal(values(k(edited)), expected):
        raise NotApplicable("the items give the same values in the opposite order")
    try:
        _reverse(edited)
    except (TypeError, AttributeError, ValueError) as error:
        raise NotApplicable(f"the items cannot be changed in place: {error}") from None
    assert_close(k(edited), expected, "k(X) after X was reversed in place", kind=nearness(subject))


def _reverse(X: Any) -> None:
    if isinstance(X, list):
        X.reverse()
    else:
        X[:] = backwards(X)


@law(applies=is_exact)
def results_are_not_shared(subject: Subject) -> None:
    """Writing into a result changes no later one."""
    k = subject.make()
    X = subject.X
    expected = values(subject.make()(X)).copy()
    for K in (k(X), k(X, X[:1])):
        _overwrite(K)
    assert_same(k(X), expected, "k(X) after an earlier result was written to")


def _overwrite(K: Any) -> None:
    try:
        (K.detach() if is_torch(K) else K)[...] = -1234.5
    except (ValueError, RuntimeError) as error:
        raise NotApplicable(f"the result cannot be written to: {error}") from None


@law(applies=is_exact)
def later_calls_leave_results_alone(subject: Subject) -> None:
    """A result keeps its values while the object is called again."""
    k = subject.make()
    X = subject.X
    K = k(X)
    kept = values(K).copy()
    k(backwards(X))
    k(backwards(X), X)
    assert_same(K, kept, "k(X) after later calls of the same size")


@law(applies=lambda subject: has_values(subject) and (is_numpy(subject.X) or is_torch(subject.X)))
def results_are_not_views_of_items(subject: Subject) -> None:
    """Writing into a result leaves the items alone."""
    X = duplicate(subject.X)
    before = snapshot(X)
    k = subject.make()
    for K in (k(X), k(X, X[:1]), k(X[:1], X)):
        _overwrite(K)
        assert snapshot(X) == before, "writing into the result changed X: they share memory"


@law(applies=is_exact)
def threads_agree(subject: Subject) -> None:
    """Eight concurrent calls on one object, the first among them, give the values of calls one by one."""
    X = few(subject.X, 8)
    n = length(X)
    chosen = [take(X, [(i + j) % n for j in range(1 + i % n)]) for i in range(8)]
    alone = subject.make()
    expected = [values(alone(Y, X)) for Y in chosen]
    k, barrier = subject.make(), Barrier(8)

    def call(Y: Any) -> list[Any]:
        barrier.wait(timeout=60)
        return [values(k(Y, X)) for _ in range(3)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(call, chosen))
    near = nearness(subject)
    for i, (several, one) in enumerate(zip(found, expected, strict=True)):
        for got in several:
            assert_close(got, one, f"k(X[...], X) in thread {i} of 8", kind=near)


# Calls leave no trace in the process.


@law(applies=has_values)
def no_warnings(subject: Subject) -> None:
    """Calls on the example's items give no warning."""
    k = subject.make()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        k(subject.X)
        k(subject.X, subject.X[:1])
    # an extra of the core that is not installed is no matter of the kernel
    told = [f"{w.category.__name__}: {w.message}" for w in caught if "threadpoolctl" not in str(w.message)]
    assert not told, f"{len(told)} warnings, the first {told[0]}"


@law(applies=has_values)
def nothing_is_printed(subject: Subject) -> None:
    """A call writes nothing to the standard streams."""
    k = subject.make()
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        k(subject.X)
    for name, stream in (("stdout", out), ("stderr", err)):
        assert not stream.getvalue(), f"k(X) wrote {stream.getvalue()[:80]!r} to {name}"


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """The global generators set to a seed, and set back afterwards."""
    torch = sys.modules.get("torch")
    # the law is about the very state that NPY002 warns of
    kept = random.getstate(), np.random.get_state(), torch.get_rng_state() if torch else None  # noqa: NPY002
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    if torch:
        torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])  # noqa: NPY002
        if torch:
            torch.set_rng_state(kept[2])


def _generator_states() -> dict[str, bytes]:
    torch = sys.modules.get("torch")
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    return {
        "random": repr(random.getstate()).encode(),
        "numpy.random": repr((name, rest)).encode() + np.asarray(keys).tobytes(),
        "torch": torch.get_rng_state().numpy().tobytes() if torch else b"",
    }


@law(applies=has_values)
def global_generators_are_untouched(subject: Subject) -> None:
    """A call neither draws from nor seeds the global random generators of Python, NumPy and torch."""
    k = subject.make()
    with _seeded(1):
        k(take(subject.X, [0]))  # a library loaded at the first call may draw
    with _seeded(20240229):
        before = _generator_states()
        k(subject.X)
        after = _generator_states()
    changed = [name for name in before if before[name] != after[name]]
    assert not changed, f"k(X) changed the global generator of {', '.join(changed)}"


@law(applies=is_exact)
def global_seed_does_not_matter(subject: Subject) -> None:
    """Values do not depend on the state of the global random generators."""
    found = []
    for seed in (1, 2):
        with _seeded(seed):
            found.append(values(subject.make()(subject.X)))
    assert_same(found[1], found[0], "k(X) under two states of the global generators")


#: Settings that a kernel might make for itself; values no kernel would choose, so that each shows.
_SENTINELS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "3")


@law(applies=has_values)
def environment_is_untouched(subject: Subject) -> None:
    """A call changes no environment variable."""
    k = subject.make()
    with patch.dict(os.environ):
        k(take(subject.X, [0]))  # a library loaded at the first call may set its own
        os.environ.update(_SENTINELS)
        before = dict(os.environ)
        k(subject.X)
        after = dict(os.environ)
    changed = sorted(name for name in {*before, *after} if before.get(name) != after.get(name))
    assert not changed, f"k(X) changed {', '.join(changed)}"


@law(applies=has_values)
def no_files_are_written(subject: Subject) -> None:
    """A call writes no file into the current folder, and does not leave it."""
    k = subject.make()
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        os.chdir(folder)
        try:
            k(subject.X)
            found, moved = sorted(path.name for path in folder.iterdir()), Path.cwd() != folder
        finally:
            os.chdir(before)
    assert not found, f"k(X) wrote {', '.join(found)}"
    assert not moved, "k(X) changed the current folder"


@law(applies=has_values)
def numpy_settings_are_untouched(subject: Subject) -> None:
    """A call leaves NumPy's error handling and print options as they were."""
    k = subject.make()
    # not NumPy's defaults, so that setting those shows too
    with np.errstate(divide="warn", over="ignore", under="warn", invalid="warn"), np.printoptions(precision=7):
        before = np.geterr(), np.get_printoptions()
        k(subject.X)
        after = np.geterr(), np.get_printoptions()
    assert after[0] == before[0], f"k(X) changed NumPy's error handling from {before[0]} to {after[0]}"
    assert after[1] == before[1], "k(X) changed NumPy's print options"


@law(applies=has_values)
def warning_filters_are_untouched(subject: Subject) -> None:
    """A call leaves the filters of warnings as they were."""
    k = subject.make()
    with warnings.catch_warnings():
        k(take(subject.X, [0]))  # a library loaded at the first call may add its own
        warnings.resetwarnings()
        warnings.simplefilter("ignore", BytesWarning)
        before = list(warnings.filters)
        k(subject.X)
        after = list(warnings.filters)
    assert after == before, f"k(X) left {len(after)} filters of warnings where {len(before)} were"


@law(applies=has_values)
def torch_settings_are_untouched(subject: Subject) -> None:
    """A call leaves torch's default dtype, gradient mode, threads and determinism as they were."""
    k = subject.make()
    if "torch" not in sys.modules:
        k(take(subject.X, [0]))  # may load it
    torch = torch_or_skip() if takes_tensors(subject) else sys.modules.get("torch")
    if torch is None:
        raise NotApplicable("torch is not loaded, so nothing of it was set")
    kept = torch.get_default_dtype()
    for dtype in (torch.float32, torch.float64):
        torch.set_default_dtype(dtype)
        try:
            before = _torch_settings(torch)
            k(subject.X)
            after = _torch_settings(torch)
        finally:
            torch.set_default_dtype(kept)
        changed = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
        assert not changed, f"k(X) changed torch's settings: {changed}"


def _torch_settings(torch: Any) -> dict[str, Any]:
    return {
        "default dtype": torch.get_default_dtype(),
        "gradient mode": torch.is_grad_enabled(),
        "threads": torch.get_num_threads(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
    }


@law(applies=has_values)
def blas_threads_are_untouched(subject: Subject) -> None:
    """A call leaves the number of BLAS threads as it was."""
    try:
        import threadpoolctl
    except ImportError:
        raise NotApplicable("threadpoolctl is not installed") from None
    k = subject.make()
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        k(take(subject.X, [0]))  # loads its libraries
        with threadpoolctl.threadpool_limits(2, user_api="blas"):
            before = _blas_threads(threadpoolctl)
            k(subject.X)
            after = _blas_threads(threadpoolctl)
    if not before:
        raise NotApplicable("threadpoolctl knows none of the BLAS libraries here")
    assert after == before, f"k(X) left BLAS with {after} threads, before it had {before}"


def _blas_threads(threadpoolctl: Any) -> list[int]:
    return [each["num_threads"] for each in threadpoolctl.threadpool_info() if each["user_api"] == "blas"]
