"""Mutants: objects whose values change when the engine cuts, threads or fills."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from mutants_protocol_common import points, sound, wrong
from mutation import mutant
from sample_kernels import Dot, Letters, Rbf

from kernreg_core.arrays import is_torch
from kernreg_core.testing import Subject, subject_from
from kernreg_core.testing.items import values
from kernreg_core.threads import num_threads


class Tiled:
    """A sound kernel without a base class that fills tiles in place."""

    def __call__(self, X, Y=None, /):
        return sound(X, Y)

    def result_dtype(self, X):
        return X.dtype

    def into(self, X, Y, out):
        out[...] = sound(X, Y)


def wrong_tile(check: str):
    """Register the kernel whose ``into(X, Y, out)`` is the decorated function, as a mutant."""

    def register(into):
        class Mutant(Tiled):
            pass

        Mutant.into = lambda self, X, Y, out: into(X, Y, out)

        def make() -> Subject:
            return subject_from(Mutant(), points())

        make.__name__ = into.__name__
        mutant(check)(make)
        return into

    return register


@mutant("gram_agrees")
def checks_change_the_items() -> Subject:
    class Scaling(Tiled):
        def check_items(self, X, Y=None):
            return (1 + 1e-6) * X, (1 + 1e-6) * (X if Y is None else Y)

    return subject_from(Scaling(), points())


@wrong_tile("gram_agrees")
def tiles_are_a_little_off(X, Y, out):
    out[...] = sound(X, Y) + 1e-6


@wrong("gram_tiles_agree")
def the_number_of_items_counts(k, X, Y):
    return k(X, Y) + 1e-7 * len(X)


@wrong_tile("gram_rectangle_agrees")
def tiles_off_the_diagonal_are_off(X, Y, out):
    out[...] = sound(X, Y) + 1e-6 * (Y is not X)


@wrong_tile("gram_with_threads_agrees")
def workers_compute_something_else(X, Y, out):
    out[...] = sound(X, Y) + 1e-6 * (threading.current_thread() is not threading.main_thread())


@wrong("gram_is_reproducible")
def each_tile_adds_a_little(k, X, Y):
    k.calls = getattr(k, "calls", 0) + 1
    return k(X, Y) + 1e-13 * k.calls


@wrong_tile("gram_fills_out")
def fills_a_copy_of_the_tile(X, Y, out):
    out.reshape(-1)[...] = sound(X, Y).ravel()


@wrong_tile("gram_fills_a_memory_map")
def fills_a_copy_of_what_is_in_a_file(X, Y, out):
    out = np.array(out) if isinstance(out, np.memmap) else out
    out[...] = sound(X, Y)


@mutant("gram_gives_the_asked_dtype")
def another_dtype_goes_a_wrong_way() -> Subject:
    class Wrong(Tiled):
        def __call__(self, X, Y=None, /):
            return sound(X, Y) * (1.01 if len(X) == 2 else 1)

    return subject_from(Wrong(), points())


@wrong("gram_does_not_depend_on_threads")
def the_number_of_threads_counts(k, X, Y):
    return k(X, Y) + 1e-6 * num_threads()


@wrong_tile("gram_leaves_the_items_alone")
def tiles_scale_the_items(X, Y, out):
    out[...] = sound(X, Y)
    Y *= 1 + 1e-12


@mutant("gram_reports_each_planned_tile")
def loses_its_symmetry_once_planned() -> Subject:
    class Fickle(Rbf):
        seen = 0

        def check_parameters(self, X):
            self.seen += 1

        @property
        def capabilities(self):
            return frozenset({"symmetric"} if self.seen < 2 else ())

    return subject_from(Fickle(), points())


@mutant("plan_says_the_size")
def says_single_precision_and_gives_double() -> Subject:
    class Liar(Rbf):
        def result_dtype(self, X):
            return np.dtype(np.float32)

    return subject_from(Liar(), points())


@mutant("plan_says_the_size")
def prepares_one_item_too_many() -> Subject:
    class Padded(Letters):
        capabilities = frozenset({"symmetric", "psd", "prepare"})

        def prepare(self, X):
            return [*X, X[0]]

    return subject_from(Padded(), ["abba", "ab", "c"], domain="sequences")


@mutant("result_dtype_is_told")
def tells_another_dtype() -> Subject:
    class Liar(Tiled):
        def result_dtype(self, X):
            return np.dtype(np.float32)

    return subject_from(Liar(), points())


@mutant("matvec_agrees")
def the_product_with_one_vector_forgets_the_offset() -> Subject:
    class Forgetful(Dot):
        def matvec(self, X, V, Y=None):
            return super().matvec(X, V, Y) if V.ndim > 1 else X @ ((X if Y is None else Y).T @ V)

    return subject_from(Forgetful(offset=0.01), points())


@mutant("matvec_takes_several_vectors")
def the_product_repeats_the_first_column() -> Subject:
    class Repeating(Dot):
        def matvec(self, X, V, Y=None):
            return super().matvec(X, V[:, :1].repeat(V.shape[1], 1) if V.ndim > 1 else V, Y)

    return subject_from(Repeating(), points())


@mutant("matvec_takes_several_vectors")
def the_product_with_one_column_is_flat() -> Subject:
    class Flat(Dot):
        def matvec(self, X, V, Y=None):
            return super().matvec(X, V, Y).squeeze()

    return subject_from(Flat(), points())


@mutant("matvec_of_a_rectangle_agrees")
def the_product_reads_y_backwards() -> Subject:
    class Backwards(Dot):
        def matvec(self, X, V, Y=None):
            return super().matvec(X, V, None if Y is None else Y[::-1])

    return subject_from(Backwards(), points())


@wrong_tile("into_fills_the_tile")
def leaves_out_the_last_column(X, Y, out):
    out[:, :-1] = sound(X, Y)[:, :-1]


@wrong_tile("into_fills_the_tile")
def adds_to_the_tile(X, Y, out):
    out += sound(X, Y)


@wrong_tile("into_keeps_within_the_tile")
def fills_the_gaps_between_columns(X, Y, out):
    out[...] = sound(X, Y)
    if isinstance(out.base, np.ndarray):
        out.base[1, 2] = 0.0


@wrong_tile("into_keeps_within_the_tile")
def fills_only_what_is_contiguous(X, Y, out):
    out = out if out.flags.c_contiguous else np.ascontiguousarray(out)
    out[...] = sound(X, Y)


@wrong_tile("into_leaves_the_items_alone")
def centres_the_items_of_a_tile(X, Y, out):
    out[...] = sound(X, Y)
    X -= 1e-9


@mutant("gram_keeps_torch")
def checks_make_numpy_of_tensors() -> Subject:
    pytest.importorskip("torch")

    class Converting(Rbf):
        def check_items(self, X, Y=None):
            return super().check_items(*(values(Z) if is_torch(Z) else Z for Z in (X, Y)))

        def __call__(self, X, Y=None, /):
            return Rbf()(X, Y)

    return subject_from(Converting(), points())


@mutant("gram_keeps_gradients")
def checks_cut_the_graph() -> Subject:
    pytest.importorskip("torch")

    class Detaching(Rbf):
        def check_items(self, X, Y=None):
            X, Y = super().check_items(X, Y)
            if is_torch(X):
                X, Y = X.detach(), X.detach() if Y is X else Y.detach()
            return X, Y

        def __call__(self, X, Y=None, /):
            return Rbf()(X, Y)

    return subject_from(Detaching(), points())
