"""Mutants of the laws of prepare, diag, features, matvec and solve."""

from __future__ import annotations

import numpy as np
from mutation import mutant
from sound import Autoregressive, Bilinear, Counter, Counts, Dot, Foreign, Letters, Rbf, SparseLetters, rbf, times
from wrong import wrong

STRINGS = ["abba", "baab", "abcabc", "ccc", "a", "bca", "abba"]

# prepare


@mutant("prepare_keeps_the_values")
def prepared_counts_are_off():
    return wrong(
        Letters,
        STRINGS,
        prepare=lambda self, X: Counts([Counter(x) + Counter({"a": 1e-6}) for x in X]),
    )


class CutCounts(Counts):
    def __getitem__(self, index):
        rows = self.rows[index]
        return CutCounts(rows if len(rows) == len(self.rows) else rows[::-1])


@mutant("prepare_can_be_cut")
def slices_are_the_wrong_way_round():
    return wrong(Letters, STRINGS, prepare=lambda self, X: CutCounts([Counter(x) for x in X]))


class Centred(Letters):
    """Values depend on the cut: on the mean of the rows."""

    def evaluate(self, X, Y):
        K = super().evaluate(X, Y)
        return K + 1e-6 * K.mean()


@mutant("prepare_can_be_cut")
def values_depend_on_the_cut():
    return wrong(Centred, STRINGS)


class LongCounts(Counts):
    def __len__(self):
        return len(self.rows) + 1


@mutant("prepare_has_the_length_of_the_items")
def prepared_is_one_too_long():
    return wrong(Letters, STRINGS, prepare=lambda self, X: LongCounts([Counter(x) for x in X]))


class SameLength(Counts):
    def __init__(self, rows, n):
        self.rows, self.n = rows, n

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        return SameLength(self.rows[index], self.n)


@mutant("prepare_has_the_length_of_the_items")
def slices_have_the_length_of_the_whole():
    return wrong(Letters, STRINGS, prepare=lambda self, X: SameLength([Counter(x) for x in X], len(X)))


@mutant("prepare_pickles")
def prepared_holds_a_generator():
    class Held(Counts):
        def __init__(self, rows):
            self.rows, self.source = rows, (row for row in rows)

    return wrong(Letters, STRINGS, prepare=lambda self, X: Held([Counter(x) for x in X]))


class Forgetful(Counts):
    def __getstate__(self):
        return {"rows": [row - Counter("c") for row in self.rows]}


@mutant("prepare_pickles")
def pickle_loses_letters():
    return wrong(Letters, STRINGS, prepare=lambda self, X: Forgetful([Counter(x) for x in X]))


@mutant("prepare_of_two_sides")
def each_side_numbers_its_own_letters():
    def prepare(self, X):
        numbers = {letter: i for i, letter in enumerate(sorted(set("".join(X))))}
        return Counts([Counter(numbers[letter] for letter in x) for x in X])

    return wrong(Letters, STRINGS, prepare=prepare)


@mutant("prepare_leaves_the_items_alone")
def prepare_sorts_the_items():
    def prepare(self, X):
        found = Counts([Counter(x) for x in X])
        X.sort()
        return found

    return wrong(Letters, STRINGS, prepare=prepare)


@mutant("prepare_is_not_stale")
def prepared_once_and_for_all():
    class Stale(Letters):
        def prepare(self, X):
            if not hasattr(self, "_kept") or len(self._kept) != len(X):
                self._kept = super().prepare(X)
            return self._kept

    return wrong(Stale, STRINGS)


@mutant("prepare_is_not_stale")
def the_last_prepared_is_used():
    class Latest(Letters):
        def prepare(self, X):
            self._latest = super().prepare(X)
            return self._latest

        def evaluate(self, X, Y):
            if isinstance(X, Counts) and len(X) == len(self._latest):
                X = self._latest
            return super().evaluate(X, Y)

    return wrong(Latest, STRINGS)


@mutant("prepare_serves_gram")
def prepared_is_not_marked():
    class Bare(Counts):
        __kernreg_prepared__ = False

    class Again(Letters):
        def __call__(self, X, Y=None):
            Y = X if Y is None else Y
            return self.evaluate(self.prepare(X), self.prepare(Y))

        def prepare(self, X):
            return Bare([Counter(row) for row in self._rows(X)])

    return wrong(Again, STRINGS)


# diag


@mutant("diag_is_the_diagonal")
def diagonal_off_by_one_place():
    return wrong(Dot, diag=lambda self, X: np.roll((X * X).sum(-1), 1))


@mutant("diag_is_the_diagonal")
def diagonal_off_by_a_billionth():
    return wrong(Dot, diag=lambda self, X: (X * X).sum(-1) * (1 + 1e-9))


@mutant("diag_has_one_value_for_each_item")
def diagonal_is_a_column():
    return wrong(Rbf, diag=lambda self, X: np.ones((len(X), 1)))


@mutant("diag_has_one_value_for_each_item")
def diagonal_of_one_item_is_a_number():
    return wrong(Rbf, diag=lambda self, X: np.ones(len(X)).squeeze())


@mutant("diag_of_each_item_alone")
def diagonal_relative_to_the_mean():
    return wrong(Dot, diag=lambda self, X: (X * X).sum(-1) + 1e-6 * X.mean())


@mutant("diag_without_the_matrix")
def diagonal_of_the_matrix():
    return wrong(Dot, diag=lambda self, X: np.diagonal(X @ X.T).copy())


# features


@mutant("features_multiply_to_the_kernel")
def features_of_another_kernel():
    return wrong(Dot, features=lambda self, X, basis=None: X**2)


@mutant("features_multiply_to_the_kernel")
def features_one_percent_too_large():
    return wrong(Dot, features=lambda self, X, basis=None: X * 1.01**0.5)


@mutant("features_multiply_to_the_kernel")
def left_features_are_those_of_the_right():
    return wrong(Bilinear, features_left=lambda self, X: X @ self.A.T)


@mutant("features_on_a_basis_multiply_to_the_kernel")
def features_ignore_the_basis():
    class Own(Letters):
        def features(self, X, basis=None):
            return super().features(X)

    return wrong(Own, STRINGS)


@mutant("features_on_a_basis_multiply_to_the_kernel")
def features_lose_a_column_of_the_basis():
    class Fewer(Letters):
        def features(self, X, basis=None):
            F = super().features(X, basis)
            return F if basis is None else F[:, 1:]

    return wrong(Fewer, STRINGS)


@mutant("features_are_a_matrix_of_numbers")
def features_are_whole_numbers():
    class Whole(Letters):
        def features(self, X, basis=None):
            return super().features(X, basis).astype(int)

    return wrong(Whole, STRINGS)


@mutant("features_are_a_matrix_of_numbers")
def features_are_sparse_by_columns():
    class Columns(SparseLetters):
        def features(self, X, basis=None):
            return super().features(X, basis).tocsc()

    return wrong(Columns, STRINGS)


@mutant("features_stay_the_same")
def features_remember_the_items_before():
    class Learning(Letters):
        seen = 0

        def features(self, X, basis=None):
            self.seen += len(X)
            return super().features(X, basis) * (1 + 1e-15 * self.seen)

    return wrong(Learning, STRINGS)


@mutant("features_of_each_row_alone")
def features_are_centred():
    return wrong(Dot, features=lambda self, X, basis=None: X - 1e-6 * X.mean(axis=0))


# matvec


def product(change):
    """A matvec in blocks of 8 rows and columns, of which `change(block, row, column)` spoils some."""

    def matvec(self, X, V, Y=None):
        Y = X if Y is None else Y
        if len(V) != len(Y):
            raise ValueError("V")
        out = np.zeros((len(X), *V.shape[1:]))
        for i in range(0, len(X), 8):
            for j in range(0, len(Y), 8):
                out[i : i + 8] += change(rbf(X[i : i + 8], Y[j : j + 8]), i, j) @ V[j : j + 8]
        return out

    return matvec


@mutant("matvec_is_the_product")
def a_block_off_by_a_millionth():
    return wrong(Foreign, matvec=product(lambda K, i, j: K * (1 + 1e-6 * (i == j == 0))))


@mutant("matvec_is_the_product")
def a_vector_comes_back_as_a_column():
    class Column(Foreign):
        def matvec(self, X, V, Y=None):
            return super().matvec(X, V, Y).reshape(len(X), -1)

    return wrong(Column)


@mutant("matvec_of_several_vectors")
def only_the_first_vector():
    class First(Foreign):
        def matvec(self, X, V, Y=None):
            out = super().matvec(X, V, Y)
            if V.ndim == 2:
                out[:, 1:] = out[:, :1]
            return out

    return wrong(First)


@mutant("matvec_between_two_sides")
def the_transpose_between_two_sides():
    class Transposed(Bilinear):
        def matvec(self, X, V, Y=None):
            return X @ (self.A.T @ ((X if Y is None else Y).T @ V)) if Y is not None else super().matvec(X, V)

    return wrong(Transposed)


@mutant("matvec_of_many_items")
def a_transposed_block():
    return wrong(Foreign, matvec=product(lambda K, i, j: K.T if (i, j) == (16, 8) else K))


@mutant("matvec_of_many_items")
def the_last_block_is_lost():
    return wrong(Foreign, matvec=product(lambda K, i, j: K * (j < 592)))


@mutant("matvec_is_linear")
def vectors_are_rounded():
    class Rounded(Foreign):
        def matvec(self, X, V, Y=None):
            return super().matvec(X, np.round(V, 6), Y)

    return wrong(Rounded)


@mutant("matvec_leaves_its_arguments_alone")
def vectors_are_scaled_in_place():
    class InPlace(Foreign):
        def matvec(self, X, V, Y=None):
            out = super().matvec(X, V, Y)
            V *= 2
            return out

    return wrong(InPlace)


@mutant("matvec_refuses_another_length")
def vectors_are_cut_to_length():
    class Cut(Foreign):
        def matvec(self, X, V, Y=None):
            m = len(X if Y is None else Y)
            return super().matvec(X, np.resize(V, (m, *V.shape[1:])), Y)

    return wrong(Cut)


@mutant("matvec_without_the_matrix")
def the_whole_matrix_is_formed():
    class Whole(Foreign):
        def matvec(self, X, V, Y=None):
            return (X @ (X if Y is None else Y).T) @ V

    return wrong(Whole)


# solve


@mutant("solve_inverts")
def noise_is_counted_twice():
    return wrong(Autoregressive, times(), solve=lambda self, X, b, noise: Autoregressive().solve(X, b, 2 * noise))


@mutant("solve_inverts")
def solution_off_by_a_millionth():
    return wrong(
        Autoregressive, times(), solve=lambda self, X, b, noise: Autoregressive().solve(X, b, noise) * (1 + 1e-6)
    )


@mutant("solve_of_several_right_hand_sides")
def only_the_first_right_hand_side():
    def solve(self, X, b, noise):
        x = Autoregressive().solve(X, b, noise)
        return x if x.ndim == 1 else np.repeat(x[:, :1], x.shape[1], axis=1)

    return wrong(Autoregressive, times(), solve=solve)


@mutant("solve_gives_the_log_determinant")
def log_determinant_without_the_noise():
    return wrong(Autoregressive, times(), logdet=lambda self, X, noise: Autoregressive().logdet(X, 0.0))


@mutant("solve_gives_the_log_determinant")
def half_the_log_determinant():
    return wrong(Autoregressive, times(), logdet=lambda self, X, noise: 0.5 * Autoregressive().logdet(X, noise))


@mutant("solve_does_not_remember")
def the_first_noise_is_kept():
    class Kept(Autoregressive):
        def solve(self, X, b, noise):
            self._noise = getattr(self, "_noise", noise)
            return super().solve(X, b, self._noise)

    return wrong(Kept, times())


@mutant("solve_leaves_its_arguments_alone")
def solved_in_place():
    def solve(self, X, b, noise):
        b[...] = Autoregressive().solve(X, b, noise)
        return b

    return wrong(Autoregressive, times(), solve=solve)
