"""Mutants: kernels that take what they should refuse, or refuse it badly."""

from __future__ import annotations

import numpy as np
import pytest
from mutants_protocol_common import points, wrong_kernel
from mutation import mutant
from sample_kernels import Letters, Rbf

from kernreg_core.arrays import is_torch
from kernreg_core.errors import InputError
from kernreg_core.testing import Subject, subject_from

# Numbers.


@wrong_kernel("nan_is_refused")
def takes_nan_for_zero(k, X, Y):
    return k(np.where(np.isnan(X), 0, X), Y)


@wrong_kernel("nan_is_refused")
def looks_at_float64_only(k, X, Y):
    return k(np.nan_to_num(X) if X.dtype == np.float32 else X, Y)


@wrong_kernel("infinity_is_refused")
def takes_infinity_for_a_large_number(k, X, Y):
    return k(np.where(np.isinf(X), 1e3, X), Y)


@wrong_kernel("infinity_is_refused")
def takes_minus_infinity_for_a_small_number(k, X, Y):
    return k(np.where(np.isneginf(X), -1e3, X), Y)


@wrong_kernel("nan_in_y_is_refused")
def looks_at_x_only(k, X, Y):
    return k(X, None if Y is None else np.nan_to_num(Y))


@wrong_kernel("nan_in_y_is_refused")
def blames_x_for_y(k, X, Y):
    if Y is not None and not np.isfinite(Y).all():
        raise InputError("X: expected finite numbers, got NaN")
    return k(X, Y)


@wrong_kernel("the_place_of_nan_is_told")
def says_only_that_there_is_nan(k, X, Y):
    if np.isnan(X).any():
        raise InputError("X: expected finite numbers, got NaN")
    return k(X, Y)


@wrong_kernel("complex_items_are_refused")
def drops_imaginary_parts(k, X, Y):
    return k(X.real, Y)


@wrong_kernel("strings_are_refused")
def reads_numbers_in_words(k, X, Y):
    return k(X.astype(float) if X.dtype.kind == "U" else X, Y)


@wrong_kernel("objects_are_refused")
def takes_none_for_zero(k, X, Y):
    return k(np.where(X == None, 0.0, X).astype(float) if X.dtype == object else X, Y)  # noqa: E711


@wrong_kernel("dates_are_refused")
def counts_days(k, X, Y):
    return k(X.astype(float) if X.dtype.kind in "mM" else X, Y)


@wrong_kernel("masked_arrays_are_refused")
def loses_the_mask(k, X, Y):
    return k(np.array(X), Y)


@wrong_kernel("arrays_of_other_libraries_are_refused")
def converts_any_array(k, X, Y):
    return k(np.asarray(X), Y)


# Shapes.


@wrong_kernel("empty_is_refused")
def gives_nothing_for_nothing(k, X, Y):
    return np.zeros((0, 0)) if len(X) == 0 else k(X, Y)


@wrong_kernel("empty_is_refused", Letters, X=["ab", "b"], domain="sequences")
def an_empty_list_raises_an_index_error(k, X, Y):
    X[0]
    return k(X, Y)


@wrong_kernel("empty_y_is_refused")
def gives_no_columns_for_no_items(k, X, Y):
    return np.zeros((len(X), 0)) if Y is not None and len(Y) == 0 else k(X, Y)


@wrong_kernel("no_features_are_refused")
def no_features_are_all_alike(k, X, Y):
    return np.ones((len(X), len(X))) if X.shape[-1] == 0 else k(X, Y)


@wrong_kernel("wrong_rank_is_refused")
def flattens_more_axes(k, X, Y):
    return k(X.reshape(-1, X.shape[-1]) if X.ndim > 2 else X, Y)


@wrong_kernel("wrong_rank_is_refused")
def makes_a_row_of_one_axis(k, X, Y):
    return k(np.atleast_2d(X), Y)


@wrong_kernel("wrong_rank_of_y_is_refused")
def makes_a_row_of_y(k, X, Y):
    return k(X, None if Y is None else np.atleast_2d(Y))


@wrong_kernel("one_row_is_refused_with_a_hint")
def does_not_say_how_to_reshape(k, X, Y):
    if X.ndim == 1:
        raise InputError("X: expected rank 2, got rank 1")
    return k(X, Y)


@wrong_kernel("scalar_is_refused")
def makes_an_item_of_a_number(k, X, Y):
    return k(np.atleast_2d(X) if np.ndim(X) == 0 else X, Y)


@wrong_kernel("unequal_features_are_refused")
def drops_features_that_y_lacks(k, X, Y):
    d = min(X.shape[1], X.shape[1] if Y is None else Y.shape[1])
    return k(X[:, :d], None if Y is None else Y[:, :d])


@wrong_kernel("unequal_features_are_refused")
def unequal_features_fail_in_numpy(k, X, Y):
    return k(X, Y) if Y is None or Y.shape[1] == X.shape[1] else X @ Y.T


@wrong_kernel("ragged_lists_are_refused")
def fills_short_rows_with_zeros(k, X, Y):
    if isinstance(X, list):
        width = max(map(len, X))
        X = np.array([row + [0.0] * (width - len(row)) for row in X])
    return k(X, Y)


# What is no collection.


@wrong_kernel("none_is_refused")
def none_fails_in_numpy(k, X, Y):
    return k(X, Y) if X is not None else len(X)


@wrong_kernel("one_string_is_refused", Letters, X=["ab", "b"], domain="sequences")
def a_string_is_a_list_of_letters(k, X, Y):
    return k(list(X) if isinstance(X, str) else X, Y)


@wrong_kernel("generator_is_refused")
def collects_an_iterator(k, X, Y):
    return k(X if hasattr(X, "shape") else np.array(list(X)), Y)


@wrong_kernel("numbers_are_no_collection")
def a_number_is_that_many_items(k, X, Y):
    return np.ones((X, X)) if isinstance(X, int) else k(X, Y)


@wrong_kernel("numbers_are_no_collection", Letters, X=["ab", "b"], domain="sequences")
def a_number_as_y_has_no_length(k, X, Y):
    return k(X, Y) if Y is None else k(X, Y[:])


@wrong_kernel("objects_without_length_are_refused")
def an_object_fails_where_its_length_is_asked(k, X, Y):
    len(X)
    return k(X, Y)


@wrong_kernel("unordered_collections_are_refused", Letters, X=["ab", "b"], domain="sequences")
def sorts_a_set(k, X, Y):
    return k([str(x) for x in sorted(X)] if isinstance(X, set) else X, Y)


# Tensors.


@mutant("torch_nan_is_refused")
def takes_nan_in_tensors_for_zero() -> Subject:
    torch = pytest.importorskip("torch")

    class Lenient(Rbf):
        def __call__(self, X, Y=None, /):
            return super().__call__(torch.nan_to_num(X) if is_torch(X) else X, Y)

    return subject_from(Lenient(), points())


@mutant("torch_wrong_rank_is_refused")
def flattens_tensors() -> Subject:
    pytest.importorskip("torch")

    class Lenient(Rbf):
        def __call__(self, X, Y=None, /):
            return super().__call__(X.reshape(-1, X.shape[-1]) if is_torch(X) and X.ndim > 2 else X, Y)

    return subject_from(Lenient(), points())


# After a refusal.


@wrong_kernel("errors_are_value_errors")
def raises_a_type_error(k, X, Y):
    if len(X) == 0:
        raise TypeError("X: expected items, got none")
    return k(X, Y)


@wrong_kernel("errors_are_value_errors")
def says_only_that_it_is_bad(k, X, Y):
    if len(X) == 0:
        raise InputError("X is bad")
    return k(X, Y)


@mutant("kernel_works_after_an_error")
def stays_broken() -> Subject:
    class Broken(Rbf):
        scale = 1.0

        def __call__(self, X, Y=None, /):
            try:
                return self.scale * super().__call__(X, Y)
            except InputError:
                self.scale = 1 + 1e-12
                raise

    return subject_from(Broken(), points())


@wrong_kernel("errors_leave_the_items_alone")
def scales_before_it_looks_at_y(k, X, Y):
    X *= 1 + 1e-12
    return k(X, Y)


@mutant("gram_refuses_bad_items")
def checks_in_the_call_only() -> Subject:
    class Late(Rbf):
        def check_items(self, X, Y=None):
            return X, X if Y is None else Y

        def __call__(self, X, Y=None, /):
            return Rbf()(X, Y)

    return subject_from(Late(), points())
