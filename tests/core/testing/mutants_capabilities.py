"""Mutants of the laws of capabilities; each differs from a sound kernel in one respect."""

from __future__ import annotations

import mutants_capabilities_derivatives  # noqa: F401  (registers its mutants)
import mutants_capabilities_members  # noqa: F401
import mutants_capabilities_randomness  # noqa: F401
import mutants_capabilities_structure  # noqa: F401
import numpy as np
from mutation import mutant
from sound import Distance, Rbf, Spectral, Wave, rbf
from wrong import wrong

# symmetric


@mutant("symmetric_bit_for_bit")
def asymmetric_by_one_millionth():
    class Tilted(Rbf):
        def __call__(self, X, Y=None):
            K = rbf(X, X if Y is None else Y)
            return K * (1 + 1e-6 * np.arange(len(X))[:, None])

    return wrong(Tilted)


@mutant("symmetric_bit_for_bit")
def asymmetric_in_the_last_bit():
    class LastBit(Rbf):
        def __call__(self, X, Y=None):
            K = rbf(X, X if Y is None else Y)
            K[0, -1] = np.nextafter(K[0, -1], 2)
            return K

    return wrong(LastBit)


@mutant("symmetric_bit_for_bit")
def symmetric_only_where_y_is_left_out():
    class OnlyAlone(Rbf):
        def __call__(self, X, Y=None):
            K = rbf(X, X if Y is None else Y)
            return K if Y is None else K * (1 + 1e-6 * np.arange(len(X))[:, None])

    return wrong(OnlyAlone)


@mutant("symmetric_when_large_and_cut")
def asymmetric_from_a_hundred_items_on():
    class Blocked(Rbf):
        def __call__(self, X, Y=None):
            K = rbf(X, X if Y is None else Y)
            if len(X) > 100:
                K[:50, 50:] *= 1 + 1e-15
            return K

    return wrong(Blocked)


@mutant("symmetric_when_large_and_cut")
def in_place_tiles_are_not_mirrored():
    class Into(Rbf):
        def into(self, X, Y, out):
            out[...] = rbf(X, Y)
            if len(X) >= 50:
                out[3, 40] = np.nextafter(out[3, 40], 2)

    return wrong(Into)


@mutant("symmetric_in_its_arguments")
def rows_count_for_more_than_columns():
    return wrong(Rbf, evaluate=lambda self, X, Y: rbf(X, Y) * (1 + 1e-6 * X[:, :1]))


# psd


def lowered(K, share):
    """`K` with its least eigenvalue made minus that share of its largest."""
    eigenvalues, vectors = np.linalg.eigh(K)
    v = vectors[:, :1]
    return K - (eigenvalues[0] + share * eigenvalues[-1]) * (v @ v.T)


class Lowered(Rbf):
    """k of the example's own items has an eigenvalue of -1e-4."""

    least = 12

    def evaluate(self, X, Y):
        K = rbf(X, Y)
        return lowered(K, 1e-4) if Y is X and len(X) == self.least else K


@mutant("psd_on_the_items")
def least_eigenvalue_is_a_ten_thousandth_below_zero():
    return wrong(Lowered)


@mutant("psd_on_the_items")
def an_offset_too_low():
    return wrong(Rbf, evaluate=lambda self, X, Y: rbf(X, Y) - 0.4)


@mutant("psd_with_duplicates")
def equal_items_elsewhere_are_more_than_equal():
    class More(Rbf):
        def evaluate(self, X, Y):
            K = rbf(X, Y)
            off = ~np.eye(*K.shape, dtype=bool)
            K[(K == 1) & off] = 1 + 1e-3
            return K

    return wrong(More)


@mutant("psd_with_near_duplicates")
def near_items_are_more_than_equal():
    class Bump(Rbf):
        def evaluate(self, X, Y):
            K = rbf(X, Y)
            r = np.sqrt(((X[:, None] - Y[None]) ** 2).sum(-1))
            return K + 1e-4 * ((r > 0) & (r < 1e-5))

    return wrong(Bump)


@mutant("psd_quadratic_forms_of_many")
def indefinite_among_many_items():
    return wrong(Rbf, evaluate=lambda self, X, Y: rbf(X, Y) - (0.5 if len(X) > 20 else 0.0))


@mutant("psd_quadratic_forms_of_many")
def a_small_diagonal_among_many_items():
    class Small(Rbf):
        def evaluate(self, X, Y):
            K = rbf(X, Y)
            if len(X) > 20:
                np.fill_diagonal(K, 0.5)
            return K

    return wrong(Small)


# cpd


@mutant("cpd_on_the_items")
def the_sign_is_wrong():
    return wrong(Distance, evaluate=lambda self, X, Y: -Distance.evaluate(self, X, Y))


@mutant("cpd_on_the_items")
def a_power_of_the_distance_above_two():
    return wrong(Distance, evaluate=lambda self, X, Y: -(np.abs(Distance.evaluate(self, X, Y)) ** 3))


@mutant("cpd_with_duplicates")
def equal_items_have_a_distance():
    class Split(Distance):
        def evaluate(self, X, Y):
            K = super().evaluate(X, Y)
            off = ~np.eye(*K.shape, dtype=bool)
            K[(K == 0) & off] = 0.05
            return K

    return wrong(Split)


@mutant("cpd_quadratic_forms_of_many")
def not_conditionally_positive_among_many():
    return wrong(Distance, evaluate=lambda self, X, Y: Distance.evaluate(self, X, Y) * (1 if len(X) < 20 else -1))


# normalized


@mutant("normalized_diagonal")
def diagonal_short_by_a_billionth():
    return wrong(Rbf, evaluate=lambda self, X, Y: rbf(X, Y) * (1 - 1e-9))


@mutant("normalized_diagonal")
def one_item_of_the_diagonal_is_zero():
    class Hole(Rbf):
        def evaluate(self, X, Y):
            K = rbf(X, Y)
            if Y is X:
                K[-1, -1] = 0
            return K

    return wrong(Hole)


@mutant("normalized_diagonal")
def all_values_are_zero():
    return wrong(Rbf, evaluate=lambda self, X, Y: 0 * rbf(X, Y))


@mutant("normalized_between_equal_items")
def diagonal_is_set_for_the_same_object_only():
    return wrong(Rbf, evaluate=lambda self, X, Y: rbf(X, Y) if Y is X else rbf(X, Y) * (1 - 1e-6))


@mutant("normalized_values_are_at_most_one")
def values_a_millionth_above_one():
    return wrong(Rbf, evaluate=lambda self, X, Y: rbf(X, Y) if Y is X else rbf(X, Y) * (1 + 1e-6))


# complex


@mutant("complex_values")
def real_values_are_called_complex():
    return wrong(Wave, evaluate=lambda self, X, Y: rbf(X, Y))


@mutant("complex_hermitian")
def symmetric_without_the_conjugate():
    class Plain(Wave):
        def __call__(self, X, Y=None):
            K = self.evaluate(X, X if Y is None else Y)
            return np.triu(K) + np.triu(K, 1).T

    return wrong(Plain)


@mutant("complex_hermitian")
def between_two_sides_the_phase_is_turned():
    return wrong(Wave, evaluate=lambda self, X, Y: Wave.evaluate(self, X, Y) * (1 if Y is X else np.exp(1e-6j)))


@mutant("complex_diagonal_is_real")
def diagonal_has_an_imaginary_part():
    return wrong(Wave, evaluate=lambda self, X, Y: Wave.evaluate(self, X, Y) + 1e-12j)


@mutant("complex_quadratic_forms")
def negative_for_complex_weights():
    # its real part is positive definite, the whole is not
    return wrong(Wave, evaluate=lambda self, X, Y: rbf(X, Y) + 0.5j * np.sign(X[:, :1] - Y[:, 0]))


@mutant("complex_quadratic_forms")
def forms_are_not_real():
    class Turned(Wave):
        def __call__(self, X, Y=None):
            return Wave.evaluate(self, X, X if Y is None else Y) * np.exp(1e-5j)

    return wrong(Turned)


# stationary


@mutant("stationary_under_translation")
def centred_on_the_origin():
    return wrong(Rbf, evaluate=lambda self, X, Y: rbf(X, Y) * (1 + 1e-6 * np.cos(X[:, :1]) * np.cos(Y[:, 0])))


@mutant("stationary_under_translation")
def cancellation_far_from_the_origin():
    class Expanded(Rbf):
        def evaluate(self, X, Y):
            X, Y = X.astype(np.float32), Y.astype(np.float32)
            squared = (X**2).sum(1)[:, None] + (Y**2).sum(1) - 2 * X @ Y.T
            return np.exp(-0.5 * squared.astype(float))

    return wrong(Expanded)


@mutant("stationary_in_the_difference")
def depends_on_where_the_pair_is():
    # unchanged where all items move: it looks at the mean
    class Relative(Rbf):
        def evaluate(self, X, Y):
            U, V = X - X.mean(0), Y - Y.mean(0)
            return rbf(X, Y) * (1 + 1e-6 * np.cos(U[:, :1]) * np.cos(V[:, 0]))

    return wrong(Relative)


@mutant("stationary_diagonal_is_constant")
def diagonal_varies():
    return wrong(Rbf, evaluate=lambda self, X, Y: rbf(X, Y) * (1 + 1e-9 * np.arange(len(X))[:, None]))


@mutant("spectral_inverse_reproduces_the_kernel")
def quantiles_of_another_length_scale():
    return wrong(Spectral, spectral_inverse=lambda self, d: Spectral(lengthscale=1.1).spectral_inverse(d))


@mutant("spectral_inverse_reproduces_the_kernel")
def infinite_at_the_edge_of_the_cube():
    def spectral_inverse(self, d):
        m, inverse = Spectral().spectral_inverse(d)
        return m, lambda U: np.where(U < 2.0**-52, -np.inf, inverse(U))

    return wrong(Spectral, spectral_inverse=spectral_inverse)


@mutant("spectral_sample_has_its_shape")
def frequencies_are_transposed():
    return wrong(Spectral, spectral_sample=lambda self, n, d, rng=None: Spectral().spectral_sample(d, n, rng))


@mutant("spectral_sample_follows_its_rng")
def frequencies_ignore_their_rng():
    return wrong(Spectral, spectral_sample=lambda self, n, d, rng=None: Spectral().spectral_sample(n, d, 0))


@mutant("spectral_sample_follows_its_rng")
def frequencies_of_no_seed():
    return wrong(Spectral, spectral_sample=lambda self, n, d, rng=None: Spectral().spectral_sample(n, d, None))


@mutant("spectral_sample_reproduces_the_kernel")
def frequencies_of_another_length_scale():
    return wrong(
        Spectral, spectral_sample=lambda self, n, d, rng=None: Spectral(lengthscale=1.05).spectral_sample(n, d, rng)
    )


@mutant("spectral_sample_reproduces_the_kernel")
def frequencies_without_two_pi():
    return wrong(
        Spectral, spectral_sample=lambda self, n, d, rng=None: Spectral().spectral_sample(n, d, rng) / (2 * np.pi)
    )
