"""Mutants: calls, arrays, the engine, bad input."""

from __future__ import annotations

import os
import random
import time
import warnings
from collections import Counter
from pathlib import Path

import mutants_protocol_arrays  # noqa: F401
import mutants_protocol_bad_input  # noqa: F401
import mutants_protocol_engine  # noqa: F401
import numpy as np
import pytest
from mutants_protocol_common import points, sound, wrong
from mutation import mutant

from kernreg_core.testing import Subject, subject_from

# Shape and values.


@wrong("gram_shape")
def leaves_out_the_last_row(k, X, Y):
    return k(X, Y)[:-1]


@wrong("gram_shape")
def gives_the_diagonal_only(k, X, Y):
    return np.diag(k(X, X))


@wrong("rectangular_shape")
def takes_y_for_the_rows(k, X, Y):
    return k(X, Y).T


@wrong("values_are_an_array")
def gives_lists(k, X, Y):
    return k(X, Y).tolist()


@wrong("values_are_an_array")
def gives_a_matrix(k, X, Y):
    return np.asmatrix(k(X, Y))


@wrong("values_are_an_array")
def gives_a_masked_array(k, X, Y):
    return np.ma.masked_less(k(X, Y), 1e-3)


@mutant("numpy_gives_numpy")
def gives_tensors_for_numpy() -> Subject:
    torch = pytest.importorskip("torch")
    return subject_from(lambda X, Y=None: torch.tensor(sound(X, Y)), points())


@wrong("values_are_finite")
def one_value_is_nan(k, X, Y):
    K = k(X, Y)
    K[-1, 0] = np.nan
    return K


@wrong("values_are_finite", X=np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.25]]))
def divides_by_the_norm_which_may_be_zero(k, X, Y):
    Y = X if Y is None else Y
    return (X @ Y.T) / np.linalg.norm(X, axis=1)[:, None] / np.linalg.norm(Y, axis=1)


@wrong("values_are_floating")
def gives_integers(k, X, Y):
    return np.rint(k(X, Y)).astype(int)


@wrong("values_are_floating")
def gives_objects(k, X, Y):
    return k(X, Y).astype(object)


@wrong("complex_values_are_declared")
def gives_complex_values_with_no_imaginary_part(k, X, Y):
    return k(X, Y) + 0j


@wrong("one_dtype_for_every_cut")
def single_items_are_single_precision(k, X, Y):
    return k(X, Y).astype(np.float32 if len(X) == 1 else np.float64)


# One value for each pair.


@wrong("omitted_y_is_x")
def adds_jitter_where_y_is_omitted(k, X, Y):
    return k(X, Y) + (1e-15 * np.eye(len(X)) if Y is None else 0)


@wrong("copied_y_agrees")
def adds_jitter_where_y_is_the_same_object(k, X, Y):
    return k(X, Y) + (1e-6 * np.eye(len(X)) if Y is None or Y is X else 0)


@wrong("blocks_agree")
def centres_the_items_by_their_mean(k, X, Y):
    shift = 1e-3 * X.mean(axis=0)
    return k(X - shift, X - shift if Y is None else Y)


@wrong("blocks_agree")
def divides_by_the_largest_value(k, X, Y):
    Y = X if Y is None else Y
    K = X @ Y.T
    return K / np.abs(K).max()


@wrong("pairs_agree")
def single_pairs_go_another_way(k, X, Y):
    return k(X, Y) * (1 + 1e-6 * (Y is not None and len(X) == len(Y) == 1))


@wrong("one_item")
def a_single_item_is_taken_for_one(k, X, Y):
    return np.ones((1, 1)) * 1.000001 if len(X) == 1 and Y is None else k(X, Y)


@wrong("permutation_moves_rows_and_columns")
def the_place_of_an_item_counts(k, X, Y):
    return k(X, Y) + 1e-6 * np.arange(len(X))[:, None]


@wrong("permutation_moves_rows_and_columns")
def one_entry_is_off(k, X, Y):
    K = k(X, Y)
    K[0, -1] += 1e-6
    return K


@wrong("duplicates_give_equal_rows")
def repeated_items_count_less(k, X, Y):
    seen, weights = Counter(), []
    for row in X:
        weights.append(1 - 1e-6 * seen[row.tobytes()])
        seen[row.tobytes()] += 1
    return k(X, Y) * np.array(weights)[:, None]


@wrong("cut_in_slices")
def reads_the_whole_array_behind_a_view(k, X, Y):
    base = X.base if isinstance(X.base, np.ndarray) and X.base.ndim == 2 else X
    return k(base[: len(X)], Y)


def _lengths(X):
    return np.array([float(len(x)) for x in X])


@wrong("lists_and_tuples_agree", X=["a", "abc", "bb"], domain="sequences")
def a_tuple_is_read_backwards(k, X, Y):
    Y = X if Y is None else Y
    return np.outer(_lengths(X[::-1] if isinstance(X, tuple) else X), _lengths(Y))


@wrong("many_items_agree_with_few")
def the_last_panel_is_left_out(k, X, Y):
    K = k(X, Y)
    K[256:, 256:] = 0.0
    return K


@wrong("many_items_agree_with_few")
def the_edge_between_panels_is_off_by_one(k, X, Y):
    K = k(X, Y)
    K[:, 128:129] = K[:, 127:128][:, : K[:, 128:129].shape[1]]
    return K


# No trace in the object or the items.


@wrong("input_is_not_mutated")
def centres_in_place_and_back(k, X, Y):
    mean = X.mean(axis=0)
    X -= mean
    K = k(X, X if Y is None else Y - mean)
    X += mean
    return K


@wrong("input_is_not_mutated")
def scales_y_in_place(k, X, Y):
    K = k(X, Y)
    if Y is not None and Y is not X:
        Y *= 1 + 1e-12
    return K


@mutant("input_is_not_mutated")
def takes_an_item_off_the_list() -> Subject:
    def lengths(X, Y=None):
        Y = X if Y is None else Y
        K = np.outer(_lengths(X), _lengths(Y))
        for item in Y:
            item.append("z")
        return K

    return subject_from(lengths, [["a"], ["b", "c"], ["a", "b"]], domain="sequences")


@wrong("repeated_calls_agree")
def each_call_adds_a_little(k, X, Y):
    k.calls = getattr(k, "calls", 0) + 1
    return k(X, Y) + 1e-13 * k.calls


_made = Counter()


@mutant("fresh_objects_agree")
def each_object_draws_its_own() -> Subject:
    def make():
        _made["objects"] += 1
        factor = 1 + 1e-12 * _made["objects"]
        return lambda X, Y=None: factor * sound(X, Y)

    return Subject("drawn", "kernel", make, X=points(), domain="vectors")


@wrong("earlier_calls_do_not_matter")
def keeps_what_it_had_for_that_many_items(k, X, Y):
    kept = k.__dict__.setdefault("kept", {})
    if Y is None:
        return kept.setdefault(len(X), k(X)).copy()
    return k(X, Y)


@wrong("order_of_calls_does_not_matter")
def learns_its_scale_at_the_first_call(k, X, Y):
    k.scale = getattr(k, "scale", 1 + 1e-12 * abs(X).sum())
    return k(X * k.scale, Y)


@wrong("edits_of_the_items_are_seen")
def keeps_what_it_had_for_that_object(k, X, Y):
    kept = k.__dict__.setdefault("kept", {})
    if Y is None:
        return kept.setdefault(id(X), k(X)).copy()
    return k(X, Y)


@wrong("results_are_not_shared")
def hands_out_what_it_keeps(k, X, Y):
    kept = k.__dict__.setdefault("kept", {})
    return kept.setdefault((X.tobytes(), None if Y is None else Y.tobytes()), k(X, Y))


@wrong("later_calls_leave_results_alone")
def hands_out_its_buffer(k, X, Y):
    K = k(X, Y)
    buffer = k.__dict__.setdefault("buffers", {}).setdefault(K.shape, np.empty_like(K))
    buffer[...] = K
    return buffer


@wrong("results_are_not_views_of_items", capabilities={"asymmetric"})
def hands_out_a_column_of_the_items(k, X, Y):
    m = len(X if Y is None else Y)
    return X[:, :1] if m == 1 else np.repeat(X[:, :1], m, axis=1)


@wrong("threads_agree")
def works_in_one_buffer_for_all_threads(k, X, Y):
    k.buffer = k(X, Y)
    time.sleep(1e-3)
    return k.buffer.copy()


# No trace in the process.


@wrong("no_warnings")
def takes_the_logarithm_of_zero(k, X, Y):
    np.log(np.zeros(1))
    return k(X, Y)


@wrong("no_warnings")
def is_deprecated(k, X, Y):
    if Y is not None:
        warnings.warn("k(X, Y) is deprecated", DeprecationWarning, stacklevel=2)
    return k(X, Y)


@wrong("nothing_is_printed")
def prints_its_progress(k, X, Y):
    print("done")
    return k(X, Y)


@wrong("global_generators_are_untouched")
def seeds_numpy(k, X, Y):
    np.random.seed(0)  # noqa: NPY002
    return k(X, Y)


@wrong("global_generators_are_untouched")
def draws_from_python(k, X, Y):
    random.random()
    return k(X, Y)


@wrong("global_seed_does_not_matter")
def adds_global_noise(k, X, Y):
    return k(X, Y) + 1e-12 * np.random.random()  # noqa: NPY002


@wrong("environment_is_untouched")
def sets_the_number_of_threads(k, X, Y):
    os.environ["OMP_NUM_THREADS"] = "1"
    return k(X, Y)


@wrong("no_files_are_written")
def writes_a_cache(k, X, Y):
    np.save("cache.npy", X)
    return k(X, Y)


@wrong("no_files_are_written")
def goes_to_another_folder(k, X, Y):
    os.chdir(Path.cwd().anchor)
    return k(X, Y)


@wrong("numpy_settings_are_untouched")
def silences_divisions(k, X, Y):
    np.seterr(divide="ignore", invalid="ignore")
    return k(X, Y)


@wrong("numpy_settings_are_untouched")
def sets_how_numbers_are_printed(k, X, Y):
    np.set_printoptions(precision=3)
    return k(X, Y)


@wrong("warning_filters_are_untouched")
def silences_warnings(k, X, Y):
    warnings.filterwarnings("ignore")
    return k(X, Y)


@mutant("torch_settings_are_untouched")
def sets_the_default_dtype() -> Subject:
    torch = pytest.importorskip("torch")

    def k(X, Y=None):
        torch.set_default_dtype(torch.float64)
        return sound(X, Y)

    return subject_from(k, points())


@wrong("blas_threads_are_untouched")
def leaves_blas_with_one_thread(k, X, Y):
    import threadpoolctl

    threadpoolctl.threadpool_limits(1, user_api="blas")
    return k(X, Y)
