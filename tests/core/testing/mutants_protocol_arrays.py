"""Mutants: dtypes, memory layouts, magnitudes, tensors."""

from __future__ import annotations

import numpy as np
import pytest
from mutants_protocol_common import points, wrong, wrong_kernel
from mutation import mutant
from sample_kernels import Dot, Rbf

import kernreg_core as kr
from kernreg_core.arrays import is_torch
from kernreg_core.testing import Subject, subject_from
from kernreg_core.testing.items import values

# dtypes.


@wrong("float64_is_kept")
def computes_in_single_precision(k, X, Y):
    return k(X, Y).astype(np.float32)


@wrong_kernel("float32_is_kept")
def computes_in_double_precision(k, X, Y):
    return k(X, Y).astype(np.float64)


@wrong("float32_agrees_with_float64")
def single_precision_is_one_percent_off(k, X, Y):
    return k(X, Y) * (1.01 if X.dtype == np.float32 else 1)


@wrong_kernel("mixed_precision_agrees")
def mixed_precision_is_made_single(k, X, Y):
    return k(X, None if Y is None else np.asarray(Y, X.dtype))


@wrong_kernel("integers_are_converted")
def integers_become_single_precision(k, X, Y):
    return k(X.astype(np.float32) if X.dtype.kind == "i" else X, Y)


@wrong_kernel("integers_are_converted")
def small_integers_overflow(k, X, Y):
    return k(X * X.dtype.type(100) / 100 if X.dtype == np.uint8 else X, Y)


@wrong_kernel("booleans_are_converted")
def booleans_become_plus_and_minus_one(k, X, Y):
    return k(2.0 * X - 1 if X.dtype == bool else X, Y)


@wrong_kernel("half_precision_is_converted")
def half_precision_becomes_single(k, X, Y):
    return k(X.astype(np.float32) if X.dtype == np.float16 else X, Y)


@wrong_kernel("byte_order_does_not_matter")
def the_other_byte_order_loses_digits(k, X, Y):
    return k(X if X.dtype.isnative else X.astype(np.float32), Y)


# Layouts.


@wrong("fortran_order_agrees")
def reads_memory_in_its_order(k, X, Y):
    return k(X.ravel(order="K").reshape(X.shape), Y)


@wrong("strided_view_agrees")
def reads_memory_without_gaps(k, X, Y):
    if X.strides[0] > X.strides[1] * X.shape[1] and isinstance(X.base, np.ndarray):
        X = X.base.ravel()[: X.size].reshape(X.shape)
    return k(X, Y)


@wrong("negative_strides_agree")
def takes_strides_without_their_sign(k, X, Y):
    return k(X[::-1] if X.strides[0] < 0 else X, Y)


@wrong("read_only_items_agree")
def copies_read_only_items_in_single_precision(k, X, Y):
    return k(X if X.flags.writeable else X.astype(np.float32), Y)


@wrong_kernel("nested_lists_agree")
def lists_become_single_precision(k, X, Y):
    return k(np.asarray(X, np.float32) if isinstance(X, list) else X, Y)


@mutant("dataframe_agrees")
def gives_a_dataframe() -> Subject:
    pandas = pytest.importorskip("pandas")

    class Framed(Rbf):
        def __call__(self, X, Y=None, /):
            K = super().__call__(X, Y)
            return pandas.DataFrame(K, index=X.index) if isinstance(X, pandas.DataFrame) else K

    return subject_from(Framed(), points())


@mutant("dataframe_agrees")
def reads_the_first_columns_of_a_dataframe() -> Subject:
    pandas = pytest.importorskip("pandas")

    class Framed(Rbf):
        def __call__(self, X, Y=None, /):
            return super().__call__(X.iloc[:, :2] if Y is None and isinstance(X, pandas.DataFrame) else X, Y)

    return subject_from(Framed(), points())


@mutant("sparse_rows_agree")
def forgets_the_offset_for_sparse_rows() -> Subject:
    pytest.importorskip("scipy")

    class Forgetful(Dot):
        def evaluate(self, X, Y):
            return (X @ Y.T).toarray() if hasattr(X, "tocsr") else X @ Y.T + self.offset

    return subject_from(Forgetful(offset=1e-3), points())


@mutant("sparse_rows_agree")
def gives_sparse_values() -> Subject:
    pytest.importorskip("scipy")

    class Sparse(Dot):
        def __call__(self, X, Y=None, /):
            return X @ (X if Y is None else Y).T if hasattr(X, "tocsr") else super().__call__(X, Y)

    return subject_from(Sparse(), points())


@wrong_kernel("sparse_rows_are_refused")
def makes_sparse_rows_dense(k, X, Y):
    return k(X.toarray() if hasattr(X, "toarray") else X, Y)


# Magnitudes.


@wrong("large_offset_gives_no_nan")
def takes_the_root_of_a_difference_of_squares(k, X, Y):
    Y = X if Y is None else Y
    squared = (X * X).sum(1)[:, None] + (Y * Y).sum(1) - 2 * X @ Y.T
    return np.exp(-np.sqrt(squared))


class Cosine(kr.BaseKernel):
    """The cosine, without a thought for zero."""

    capabilities = frozenset({"symmetric", "psd"})

    def evaluate(self, X, Y):
        return X @ Y.T / np.sqrt((X * X).sum(1)[:, None] * (Y * Y).sum(1))


@mutant("tiny_items_give_no_nan")
def divides_by_squares_that_underflow() -> Subject:
    return subject_from(Cosine(), points())


@mutant("zero_items_give_no_nan")
def divides_by_the_norm_of_zero() -> Subject:
    return subject_from(Cosine(), points())


@mutant("huge_items_give_no_nan")
def divides_infinity_by_infinity() -> Subject:
    class Rational(kr.BaseKernel):
        capabilities = frozenset({"symmetric", "normalized"})

        def evaluate(self, X, Y):
            fourth = ((X[:, None] - Y[None]) ** 2).sum(-1) ** 2
            return 1 - fourth / (1 + fourth)

    return subject_from(Rational(), points())


# Tensors.


def with_torch(check: str):
    """As :func:`wrong_kernel`, skipped without torch; the call is handed torch, and sees tensors only."""

    def register(call):
        def make() -> Subject:
            torch = pytest.importorskip("torch")
            k = Rbf()

            class Mutant(Rbf):
                def __call__(self, X, Y=None, /):
                    return call(torch, k, X, Y) if is_torch(X) or is_torch(Y) else k(X, Y)

            return subject_from(Mutant(), points())

        make.__name__ = call.__name__
        mutant(check)(make)
        return call

    return register


@with_torch("torch_gives_a_tensor")
def gives_numpy_for_tensors(torch, k, X, Y):
    return values(k(X, Y))


@with_torch("torch_agrees_with_numpy")
def tensors_are_a_little_off(torch, k, X, Y):
    return k(X, Y) * (1 + 1e-6)


@with_torch("torch_rectangle_agrees_with_numpy")
def y_of_tensors_is_read_backwards(torch, k, X, Y):
    return k(X, Y if Y is None or Y is X else Y.flip(0))


@with_torch("torch_dtype_is_kept")
def tensors_are_computed_in_double_precision(torch, k, X, Y):
    return k(X, Y).double()


@with_torch("torch_device_is_kept")
def moves_to_another_device(torch, k, X, Y):
    return k(X, Y).to("meta")


@with_torch("torch_items_are_not_mutated")
def scales_tensors_in_place(torch, k, X, Y):
    K = k(X, Y)
    X *= 1 + 1e-12
    return K


@with_torch("torch_items_are_not_mutated")
def makes_the_items_require_gradients(torch, k, X, Y):
    return k(X.requires_grad_(), Y)


@with_torch("torch_float32_agrees_with_float64")
def single_tensors_are_one_percent_off(torch, k, X, Y):
    return k(X, Y) * (1.01 if X.dtype == torch.float32 else 1)


@with_torch("torch_integers_are_converted")
def tensors_of_integers_become_single_precision(torch, k, X, Y):
    return k(X if X.is_floating_point() else X.float(), Y)


@with_torch("torch_strides_agree")
def reads_memory_without_strides(torch, k, X, Y):
    rows = X.shape[1]
    return k(torch.as_strided(X, X.shape, (rows, 1)), Y)


@with_torch("torch_omitted_y_is_x")
def adds_jitter_to_tensors_where_y_is_omitted(torch, k, X, Y):
    return k(X, Y) + (1e-15 * torch.eye(len(X), dtype=X.dtype) if Y is None else 0)


@with_torch("torch_blocks_agree")
def the_number_of_tensors_counts(torch, k, X, Y):
    return k(X, Y) + 1e-9 * len(X)


@with_torch("torch_gradient_flag_changes_no_value")
def another_formula_for_gradients(torch, k, X, Y):
    return k(X, Y) + 1e-9 * X.requires_grad


@with_torch("torch_without_gradients_has_no_graph")
def makes_a_graph_for_nothing(torch, k, X, Y):
    return k(X.clone().requires_grad_(), Y)


@with_torch("torch_inference_mode_agrees")
def another_formula_without_gradients(torch, k, X, Y):
    return k(X, Y) + 1e-9 * torch.is_inference_mode_enabled()


@with_torch("torch_default_dtype_does_not_matter")
def has_the_default_dtype(torch, k, X, Y):
    return k(X, Y).to(torch.get_default_dtype())


@with_torch("mixed_libraries_are_refused")
def converts_the_other_library(torch, k, X, Y):
    X, Y = (Z if Z is None or is_torch(Z) else torch.tensor(Z) for Z in (X, Y))
    return k(X, Y)


@mutant("tensors_work_or_are_refused")
def makes_numpy_of_tensors() -> Subject:
    pytest.importorskip("torch")

    class Silent(kr.BaseKernel):
        capabilities = frozenset({"symmetric"})

        def __call__(self, X, Y=None):  # BaseKernel's own would refuse what evaluate makes of tensors
            X, Y = self.check_items(X, Y)
            return self.evaluate(values(X), values(Y))

        def evaluate(self, X, Y):
            return np.exp(-((X[:, None] - Y[None]) ** 2).sum(-1))

    return subject_from(Silent(), points())
