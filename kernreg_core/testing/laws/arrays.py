"""What kernels on arrays keep: dtypes, memory layouts, magnitudes, and one formula for NumPy and torch."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...arrays import is_numpy, is_torch, length
from ...errors import InputError
from .._checks import NotApplicable, law
from .._subject import Subject, made
from ..items import assert_close, assert_same, take, values
from ._calls import (
    assert_no_nan,
    checks_arrays,
    checks_items,
    compares_arrays,
    compares_tensors,
    converts_arrays,
    few,
    has_values,
    is_exact,
    nearness,
    refusal,
    takes_arrays,
    takes_tensors,
    tensors,
    torch_or_skip,
    unless_refused,
)


def _float64(subject: Subject) -> np.ndarray:
    return np.asarray(subject.X, dtype=np.float64)


def _across(X: Any) -> Any:
    """Fewer items, in another order: a Y for `X`."""
    return take(X, range(length(X) - 1, -1, -2))


def _agree(subject: Subject, X: Any, expected_for: Any, what: str, *, kind: str = "") -> None:
    """Assert that k(X) and k(X, Y) are those of `expected_for`, an array of the same numbers."""
    kind = kind or nearness(subject)
    assert_close(subject.make()(X), subject.make()(expected_for), f"k(X) of {what}", kind=kind)
    got, expected = (subject.make()(Z, few(Z, 2)) for Z in (X, expected_for))
    assert_close(got, expected, f"k(X, Y) of {what}", kind=kind)


# dtypes.


@law(applies=takes_arrays)
def float64_is_kept(subject: Subject) -> None:
    """float64 items give values of double precision."""
    X = _float64(subject)
    for name, K in (("k(X)", subject.make()(X)), ("k(X, Y)", subject.make()(X, _across(X)))):
        assert K.dtype in (np.float64, np.complex128), f"{name} of float64 items has dtype {K.dtype}"


@law(applies=checks_arrays)
def float32_is_kept(subject: Subject) -> None:
    """float32 items give values of single precision."""
    X = _float64(subject).astype(np.float32)
    for name, K in (("k(X)", subject.make()(X)), ("k(X, Y)", subject.make()(X, _across(X)))):
        assert K.dtype in (np.float32, np.complex64), f"{name} of float32 items has dtype {K.dtype}"


@law(applies=compares_arrays)
def float32_agrees_with_float64(subject: Subject) -> None:
    """float32 items give the values of the same numbers in float64, to single precision."""
    X = _float64(subject).astype(np.float32)
    for name, Y in (("k(X)", None), ("k(X, Y)", _across(X))):
        expected = subject.make()(X.astype(np.float64), None if Y is None else Y.astype(np.float64))
        single = np.complex64 if expected.dtype.kind == "c" else np.float32
        # single precision is what the items have, also where the values came out in double
        assert_close(subject.make()(X, Y), expected.astype(single), f"{name} of float32 items")


@law(applies=converts_arrays)
def mixed_precision_agrees(subject: Subject) -> None:
    """float32 items against float64 ones are computed in float64."""
    X = _float64(subject).astype(np.float32)
    Y = _across(X.astype(np.float64))
    K = subject.make()(X, Y)
    assert K.dtype in (np.float64, np.complex128), f"k(float32 items, float64 items) has dtype {K.dtype}"
    assert_close(K, subject.make()(X.astype(np.float64), Y), "float32 items against float64 ones", kind="rounding")


def _converted(subject: Subject, X: np.ndarray, what: str) -> None:
    expected = unless_refused(lambda: subject.make()(X.astype(np.float64)), what)
    K = subject.make()(X)
    assert values(K).dtype == values(expected).dtype, f"k(X) of {what} has dtype {K.dtype}, expected {expected.dtype}"
    assert_close(K, expected, f"k(X) of {what}", kind="rounding")
    across = subject.make()(X, _across(X))
    assert_close(across, subject.make()(X.astype(np.float64), _across(X).astype(np.float64)), f"k(X, Y) of {what}")


@law(applies=converts_arrays)
def integers_are_converted(subject: Subject) -> None:
    """Integers give the floating values of the same numbers in float64."""
    _converted(subject, np.rint(4 * _float64(subject)).astype(np.int64), "integers")
    _converted(
        subject, np.minimum(np.abs(np.rint(4 * _float64(subject))), 255).astype(np.uint8), "small unsigned integers"
    )


@law(applies=converts_arrays)
def booleans_are_converted(subject: Subject) -> None:
    """Booleans are the numbers 0 and 1."""
    X = _float64(subject)
    _converted(subject, np.median(X) <= X, "booleans")


@law(applies=converts_arrays)
def half_precision_is_converted(subject: Subject) -> None:
    """Half precision is computed in float64."""
    _converted(subject, _float64(subject).astype(np.float16), "half precision")


@law(applies=converts_arrays)
def byte_order_does_not_matter(subject: Subject) -> None:
    """Numbers in the other byte order are the same numbers."""
    X = _float64(subject)
    _agree(subject, X.astype(X.dtype.newbyteorder()), X, "the other byte order")


# Memory layouts and containers.


@law(applies=compares_arrays)
def fortran_order_agrees(subject: Subject) -> None:
    """Items that lie in memory by columns have the values of those by rows."""
    _agree(subject, np.asfortranarray(subject.X), np.ascontiguousarray(subject.X), "Fortran order")


@law(applies=compares_arrays)
def strided_view_agrees(subject: Subject) -> None:
    """A view with gaps in memory has the values of a copy."""
    X = subject.X
    wide = np.full((2 * len(X), *X.shape[1:-1], 3 * X.shape[-1]), 1e3, dtype=X.dtype)
    view = wide[::2, ..., ::3]
    view[...] = X
    _agree(subject, view, view.copy(), "a strided view")


@law(applies=compares_arrays)
def negative_strides_agree(subject: Subject) -> None:
    """A view that runs backwards through memory has the values of a copy."""
    view = np.flip(np.flip(subject.X).copy())
    _agree(subject, view, view.copy(), "a view with negative strides")


@law(applies=compares_arrays)
def read_only_items_agree(subject: Subject) -> None:
    """Read-only items, such as a memory map's, have the values of writeable ones."""
    X = subject.X.copy()
    X.flags.writeable = False
    _agree(subject, X, subject.X, "read-only items")


@law(applies=lambda subject: converts_arrays(subject) and subject.domain != "paths")  # a list of paths may be ragged
def nested_lists_agree(subject: Subject) -> None:
    """Nested lists have the values of the array."""
    X = _float64(subject)
    _agree(subject, X.tolist(), X, "nested lists")


@law(applies=lambda subject: converts_arrays(subject) and subject.domain == "vectors")
def dataframe_agrees(subject: Subject) -> None:
    """A DataFrame gives the NumPy values of its numbers."""
    try:
        import pandas
    except ImportError:
        raise NotApplicable("pandas is not installed") from None
    X = _float64(subject)
    frame = pandas.DataFrame(X, index=[f"row {i}" for i in range(len(X))], columns=[f"x{j}" for j in range(X.shape[1])])
    K = subject.make()(frame)
    assert type(K) is np.ndarray, f"k(X) of a DataFrame is a {type(K).__name__}"
    assert_close(K, subject.make()(X), "k(X) of a DataFrame", kind="rounding")
    assert_close(subject.make()(frame, frame[:2]), subject.make()(X, X[:2]), "k(X, Y) of DataFrames", kind="rounding")


def _rows(subject: Subject) -> Any:
    try:
        from scipy import sparse
    except ImportError:
        raise NotApplicable("scipy is not installed") from None
    X = _float64(subject).copy()
    X[:, -1] = 0.0
    unless_refused(lambda: subject.make()(X), "items with zeros")
    return sparse.csr_array(X)


def _takes_sparse(subject: Subject) -> bool:
    return bool(getattr(made(subject), "accepts_sparse", False))


@law(applies=lambda subject: converts_arrays(subject) and subject.domain == "vectors" and _takes_sparse(subject))
def sparse_rows_agree(subject: Subject) -> None:
    """A kernel that accepts sparse rows gives the values of the dense ones, as a dense matrix."""
    X = _rows(subject)
    k = subject.make()
    for Y in (None, X[:2]):
        K = k(X, Y)
        assert is_numpy(K), f"k of sparse rows is a {type(K).__name__}"
        expected = subject.make()(X.toarray(), None if Y is None else Y.toarray())
        assert_close(K, expected, "k of sparse rows", kind="value")


@law(applies=lambda subject: checks_arrays(subject) and subject.domain == "vectors" and not _takes_sparse(subject))
def sparse_rows_are_refused(subject: Subject) -> None:
    """A kernel that does not accept sparse rows says so, and what to do."""
    said = refusal(lambda: subject.make()(_rows(subject)), "sparse rows")
    assert "toarray" in said, f"the refusal of sparse rows names no way out: {said}"


# Magnitudes.


@law(applies=takes_arrays)
def large_offset_gives_no_nan(subject: Subject) -> None:
    """Items far from the origin give no NaN."""
    X = _float64(subject) + 1e6
    K = unless_refused(lambda: subject.make()(X), "items far from the origin")
    assert_no_nan(K, "k(X + 1e6)")
    assert_no_nan(subject.make()(X, _across(X)), "k(X + 1e6, Y + 1e6)")


@law(applies=checks_arrays)
def tiny_items_give_no_nan(subject: Subject) -> None:
    """Items whose squares underflow give no NaN."""
    X = _float64(subject) * 1e-170
    K = unless_refused(lambda: subject.make()(X), "tiny items")
    assert_no_nan(K, "k(1e-170 X)")
    assert_no_nan(subject.make()(X, _across(X)), "k(1e-170 X, 1e-170 Y)")


@law(applies=checks_arrays)
def zero_items_give_no_nan(subject: Subject) -> None:
    """An item of zeros, among others and alone, gives no NaN."""
    X = _float64(subject).copy()
    X[0] = 0.0
    K = unless_refused(lambda: subject.make()(X), "items of zeros")
    assert_no_nan(K, "k(X) with an item of zeros")
    assert_no_nan(subject.make()(X, X[:1]), "k(X, 0)")
    assert_no_nan(subject.make()(X[:1]), "k(0)")


# Where values are bounded there is no excuse for NaN; a polynomial's terms may overflow with both signs.
@law(applies=lambda subject: checks_arrays(subject) and "normalized" in subject.capabilities)
def huge_items_give_no_nan(subject: Subject) -> None:
    """Items of magnitude 1e100 give no NaN where k(x, x) = 1."""
    X = _float64(subject) * 1e100
    K = unless_refused(lambda: subject.make()(X), "huge items")
    assert_no_nan(K, "k(1e100 X)")
    assert_no_nan(subject.make()(X, _across(X)), "k(1e100 X, 1e100 Y)")


# Tensors.


@law(applies=takes_tensors)
def torch_gives_a_tensor(subject: Subject) -> None:
    """Tensors give tensors, for k(X) and k(X, Y)."""
    X = tensors(subject)
    for name, K in (("k(X)", subject.make()(X)), ("k(X, Y)", subject.make()(X, X[:1]))):
        assert is_torch(K), f"{name} of tensors is a {type(K).__module__}.{type(K).__name__}"


@law(applies=lambda subject: compares_tensors(subject) and compares_arrays(subject))
def torch_agrees_with_numpy(subject: Subject) -> None:
    """Tensors give the values of NumPy arrays."""
    X = tensors(subject)
    assert_close(subject.make()(X), subject.make()(subject.X), "k(X) of tensors")


@law(applies=lambda subject: compares_tensors(subject) and compares_arrays(subject))
def torch_rectangle_agrees_with_numpy(subject: Subject) -> None:
    """Tensors X and Y give the values of NumPy arrays."""
    X = tensors(subject)
    flipped = torch_or_skip().flip(X, [0])
    expected = subject.make()(subject.X[:3], subject.X[::-1].copy())
    assert_close(subject.make()(X[:3], flipped), expected, "k(X, Y) of tensors")


@law(applies=takes_tensors)
def torch_dtype_is_kept(subject: Subject) -> None:
    """A tensor's precision is that of the values."""
    torch = torch_or_skip()
    X = tensors(subject)
    for dtype, allowed in (
        (torch.float32, (torch.float32, torch.complex64)),
        (torch.float64, (torch.float64, torch.complex128)),
    ):
        K = subject.make()(X.to(dtype))
        assert K.dtype in allowed, f"k(X) of {dtype} has dtype {K.dtype}"


@law(applies=takes_tensors)
def torch_device_is_kept(subject: Subject) -> None:
    """Values lie on the device of the items."""
    torch = torch_or_skip()
    X = tensors(subject)
    for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        placed = X.to(device)
        for K in (subject.make()(placed), subject.make()(placed, placed[:1])):
            assert K.device == placed.device, f"values lie on {K.device}, the items on {placed.device}"


@law(applies=takes_tensors)
def torch_items_are_not_mutated(subject: Subject) -> None:
    """A call leaves its tensors as they were, their gradient flag too."""
    X, Y = tensors(subject), tensors(subject).flip(0)
    before, across = X.clone(), Y.clone()
    subject.make()(X)
    subject.make()(X, Y)
    assert bool((before == X).all()), "a call changed X"
    assert bool((across == Y).all()), "a call changed Y"
    assert not X.requires_grad, "a call made X require gradients"


@law(applies=compares_tensors)
def torch_float32_agrees_with_float64(subject: Subject) -> None:
    """float32 tensors give the values of float64 ones, to single precision."""
    X = tensors(subject).float()
    assert_close(subject.make()(X), subject.make()(X.double()), "k(X) of float32 tensors")


@law(applies=lambda subject: compares_tensors(subject) and checks_items(subject))
def torch_integers_are_converted(subject: Subject) -> None:
    """Tensors of integers give the values of the same numbers in float64."""
    X = (4 * tensors(subject)).round().long()
    expected = unless_refused(lambda: subject.make()(X.double()), "integers")
    K = subject.make()(X)
    assert K.dtype == expected.dtype, f"k(X) of integers has dtype {K.dtype}, expected {expected.dtype}"
    assert_close(K, expected, "k(X) of tensors of integers", kind="rounding")


@law(applies=compares_tensors)
def torch_strides_agree(subject: Subject) -> None:
    """A tensor that is a transposed view has the values of a contiguous one."""
    X = tensors(subject)
    view = X.transpose(0, -1).contiguous().transpose(0, -1)
    assert_close(subject.make()(view), subject.make()(X), "k(X) of a transposed view", kind=nearness(subject))


@law(applies=compares_tensors)
def torch_omitted_y_is_x(subject: Subject) -> None:
    """k(X) of a tensor equals k(X, X), bit for bit."""
    X = tensors(subject)
    assert_same(subject.make()(X, X), subject.make()(X), "k(X, X) and k(X) of tensors")


@law(applies=compares_tensors)
def torch_blocks_agree(subject: Subject) -> None:
    """Parts of a tensor have the values they have in the whole."""
    X = tensors(subject)
    got = subject.make()(X[1:] if len(X) > 1 else X, X[:2])
    K = values(subject.make()(X))
    assert_close(got, K[1:, :2] if len(X) > 1 else K, "k of parts of a tensor", kind=nearness(subject))


@law(applies=compares_tensors)
def torch_gradient_flag_changes_no_value(subject: Subject) -> None:
    """Items that require gradients give the values of those that do not."""
    X = tensors(subject)
    K = subject.make()(X.clone().requires_grad_())
    assert_close(K, subject.make()(X), "k(X) of items that require gradients", kind=nearness(subject))


@law(applies=lambda subject: takes_tensors(subject) and "trainable" not in subject.capabilities)
def torch_without_gradients_has_no_graph(subject: Subject) -> None:
    """Items that require no gradients give values that require none."""
    K = subject.make()(tensors(subject))
    assert not K.requires_grad, "k(X) requires gradients, though X does not and the kernel learns nothing"


@law(applies=compares_tensors)
def torch_inference_mode_agrees(subject: Subject) -> None:
    """Values are the same where torch records no gradients."""
    torch = torch_or_skip()
    X = tensors(subject)
    expected = subject.make()(X)
    for name, mode in (("no_grad", torch.no_grad), ("inference_mode", torch.inference_mode)):
        with mode():
            K = values(subject.make()(X))
        assert_close(K, expected, f"k(X) under torch.{name}", kind=nearness(subject))


@law(applies=compares_tensors)
def torch_default_dtype_does_not_matter(subject: Subject) -> None:
    """Values and their dtype do not depend on torch's default dtype."""
    torch = torch_or_skip()
    kept = torch.get_default_dtype()
    X = tensors(subject)
    found = []
    for dtype in (torch.float32, torch.float64):
        torch.set_default_dtype(dtype)
        try:
            found.append(subject.make()(X))
        finally:
            torch.set_default_dtype(kept)
    assert found[0].dtype == found[1].dtype, f"k(X) has dtype {found[0].dtype}, then {found[1].dtype}"
    assert_close(found[0], found[1], "k(X) under the default float32 and float64", kind="rounding")


@law(applies=lambda s: checks_arrays(s) and "differentiable" not in s.capabilities and is_exact(s))
def tensors_work_or_are_refused(subject: Subject) -> None:
    """A kernel that does not declare autograd gives tensors for tensors, with the right values, or refuses them."""
    X = tensors(subject)
    try:
        K = subject.make()(X)
    except InputError:
        return
    assert is_torch(K), f"k(X) of tensors is a {type(K).__name__}"
    assert_close(K, subject.make()(subject.X), "k(X) of tensors")


@law(applies=lambda subject: takes_tensors(subject) and checks_items(subject) and has_values(subject))
def mixed_libraries_are_refused(subject: Subject) -> None:
    """NumPy items against tensors are refused, and the message names both."""
    X = tensors(subject)
    array = values(X).copy()
    for first, second, what in ((X, array, "tensors against NumPy"), (array, X, "NumPy against tensors")):
        said = refusal(lambda first=first, second=second: subject.make()(first, second), what)  # type: ignore[misc]
        assert "X" in said, f"the refusal of {what} does not name X and Y: {said}"
        assert "Y" in said, f"the refusal of {what} does not name X and Y: {said}"
