"""Mutants of the laws of matrix values, roles, fits, maps of Gram matrices and operators."""

from __future__ import annotations

import numpy as np
from mutation import mutant
from sound import (
    ArcCosine,
    Attention,
    Bilinear,
    Convolution,
    DivergenceFree,
    Dot,
    Rbf,
    Squared,
    Standardised,
    points,
    rbf,
)
from wrong import wrong

# matrix_valued


@mutant("matrix_values_have_four_axes")
def scalar_values_are_called_matrices():
    return wrong(Rbf, capabilities={"symmetric", "matrix_valued"})


@mutant("matrix_values_have_four_axes")
def blocks_grow_with_the_items():
    class Growing(DivergenceFree):
        def evaluate(self, X, Y):
            K = super().evaluate(X, Y)
            return K if len(X) > 1 else K[..., :2, :2]

    return wrong(Growing)


@mutant("matrix_values_are_block_symmetric")
def blocks_are_not_transposed():
    class Skew(DivergenceFree):
        def evaluate(self, X, Y):
            K = super().evaluate(X, Y)
            turn = np.array([[0, 1e-6, 0], [-1e-6, 0, 0], [0, 0, 0]])
            return K + turn * rbf(X, Y)[..., None, None]

    return wrong(Skew)


@mutant("matrix_values_are_block_psd")
def a_block_of_the_diagonal_is_negative():
    class Negative(DivergenceFree):
        def evaluate(self, X, Y):
            return super().evaluate(X, Y) - 2.01 * np.diag([1.0, 0, 0]) * rbf(X, Y)[..., None, None]

    return wrong(Negative)


@mutant("matrix_values_fit_in_tiles")
def values_depend_on_the_tile():
    class Tiled(DivergenceFree):
        def evaluate(self, X, Y):
            return super().evaluate(X, Y) * (1 + 1e-6 * len(X))

    return wrong(Tiled)


# asymmetric


@mutant("asymmetric_sides_have_different_roles")
def both_sides_play_the_same_role():
    return wrong(Attention, evaluate=lambda self, X, Y: np.exp(X @ Y.T))


@mutant("asymmetric_is_not_called_symmetric")
def asymmetric_and_positive_at_once():
    return wrong(Attention, capabilities={"asymmetric", "psd"})


@mutant("asymmetric_names_its_roles")
def the_roles_have_no_names():
    return wrong(Attention, __doc__="exp(x . y - |y|^2).")


@mutant("asymmetric_names_its_roles")
def both_roles_have_one_name():
    return wrong(Attention, roles=("tokens", "tokens"))


@mutant("asymmetric_features_multiply_to_the_kernel")
def the_left_features_are_on_the_right():
    return wrong(
        Bilinear,
        features_left=lambda self, X: X,
        features_right=lambda self, Y: Y @ self.A,
    )


# fitted


def fit_of(kernel, **members):
    """A subject of a fitted kernel with these members replaced."""
    return wrong(kernel, made=lambda k: k.fit(points()), **members)


@mutant("fitted_is_refused_before_fit")
def values_without_a_fit():
    return fit_of(
        Standardised,
        evaluate=lambda self, X, Y: rbf(X / getattr(self, "scale_", 1.0), Y / getattr(self, "scale_", 1.0)),
    )


@mutant("fitted_is_refused_before_fit")
def an_attribute_error_without_a_fit():
    return fit_of(Standardised, evaluate=lambda self, X, Y: rbf(X / self.scale_, Y / self.scale_))


class Silent(Standardised):
    def fit(self, X, y=None):
        super().fit(X, y)


@mutant("fitted_fit_returns_the_object")
def fit_returns_nothing():
    def made(kernel):
        kernel.fit(points())
        return kernel

    return wrong(Silent, made=made)


@mutant("fitted_fit_returns_the_object")
def fit_returns_another_object():
    class Another(Standardised):
        def fit(self, X, y=None):
            found = type(self)()
            found.scale_ = X.std(axis=0)
            return found

    return fit_of(Another)


@mutant("fitted_gives_values_after_fit")
def only_the_items_of_the_fit_have_values():
    class Only(Standardised):
        def fit(self, X, y=None):
            self.n_ = len(X)
            return super().fit(X, y)

        def evaluate(self, X, Y):
            K = super().evaluate(X, Y)
            return K if len(X) == self.n_ else K * np.nan

    return fit_of(Only)


@mutant("fitted_again_forgets_the_first_fit")
def the_first_fit_is_kept():
    class First(Standardised):
        def fit(self, X, y=None):
            if not hasattr(self, "scale_"):
                super().fit(X, y)
            return self

    return fit_of(First)


@mutant("fitted_leaves_data_and_parameters_alone")
def the_data_are_standardised_in_place():
    class InPlace(Standardised):
        def fit(self, X, y=None):
            super().fit(X, y)
            X /= self.scale_
            return self

    return fit_of(InPlace)


@mutant("fitted_leaves_data_and_parameters_alone")
def a_parameter_is_learnt():
    class Median(Standardised):
        def fit(self, X, y=None):
            self.lengthscale = float(np.median(np.abs(X)))
            return super().fit(X, y)

    return fit_of(Median)


class LosesFit(Standardised):
    """A pickled copy is not fitted."""

    def __getstate__(self):
        return {name: value for name, value in super().__getstate__().items() if name != "scale_"}

    def __deepcopy__(self, memo):
        found = type(self)()
        found.__dict__.update(self.__dict__)
        return found


@mutant("fitted_survives_pickle")
def pickle_loses_the_fit():
    return fit_of(LosesFit)


# gram_map


def mapped(change):
    """A from_gram that changes the values of the sound one."""
    return lambda self, *grams: change(ArcCosine.from_gram(ArcCosine(), *grams), *grams)


def apart(self, X, Y):
    """k(X, Y) by the sound map, whatever the object's own is."""
    return ArcCosine.evaluate(ArcCosine(), X, Y)


@mutant("gram_map_of_one_matrix")
def one_matrix_is_off_by_a_millionth():
    return wrong(ArcCosine, evaluate=apart, from_gram=mapped(lambda K, *g: K * (1 + 1e-6 * (len(g) == 1))))


@mutant("gram_map_of_one_matrix")
def the_map_forgets_its_kernel():
    return wrong(
        Squared,
        made=lambda k: k.set_params(kernel=Dot(offset=1.0)),
        from_gram=lambda self, Kxx, Kxy=None, Kyy=None: ((Kxx if Kxy is None else Kxy) - 1.0) ** 2,
    )


@mutant("gram_map_of_two_sides")
def the_norms_of_y_are_those_of_x():
    def from_gram(self, Kxx, Kxy=None, Kyy=None):
        if Kxy is None:
            return ArcCosine().from_gram(Kxx)
        m = Kxy.shape[1]
        return ArcCosine().from_gram(Kxx, Kxy, np.diag(np.resize(np.diagonal(Kxx), m)))

    return wrong(ArcCosine, evaluate=apart, from_gram=from_gram)


@mutant("gram_map_is_symmetric")
def the_map_rounds_one_half_differently():
    def last_bit(K, *grams):
        K = K.copy()
        K[0, 1] = np.nextafter(K[0, 1], 2)
        return K

    return wrong(ArcCosine, evaluate=apart, from_gram=mapped(last_bit))


@mutant("gram_map_leaves_its_matrices_alone")
def the_map_works_in_place():
    def from_gram(self, Kxx, Kxy=None, Kyy=None):
        K = ArcCosine().from_gram(Kxx, Kxy, Kyy)
        (Kxx if Kxy is None else Kxy)[...] = K
        return K

    return wrong(ArcCosine, evaluate=apart, from_gram=from_gram)


# operator

SIGNALS = points(5, 8)


@mutant("operator_layer_is_a_module")
def the_layer_is_a_function():
    return wrong(Convolution, SIGNALS, layer=lambda self: lambda x: x)


@mutant("operator_applies_its_dense_matrix")
def the_matrix_turns_the_other_way():
    return wrong(Convolution, SIGNALS, dense=lambda self, shape: Convolution().dense(shape).T)


@mutant("operator_applies_its_dense_matrix")
def the_matrix_is_off_by_a_millionth():
    return wrong(Convolution, SIGNALS, dense=lambda self, shape: Convolution().dense(shape) * (1 + 1e-6))


def layered(change):
    """A layer whose output is changed."""

    def layer(self):
        import torch

        inner = Convolution().layer()

        class Changed(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.inner = inner

            def forward(self, x):
                return change(x, self.inner(x))

        return Changed()

    return layer


@mutant("operator_is_linear")
def the_layer_adds_a_constant():
    return wrong(Convolution, SIGNALS, layer=layered(lambda x, out: out + 1e-6))


@mutant("operator_acts_on_each_item_alone")
def the_layer_mixes_its_batch():
    return wrong(Convolution, SIGNALS, layer=layered(lambda x, out: out + 1e-6 * x.mean(dim=0)))


@mutant("operator_passes_gradients")
def the_layer_is_detached():
    return wrong(Convolution, SIGNALS, layer=layered(lambda x, out: out.detach()))


@mutant("operator_passes_gradients")
def the_parameters_of_the_layer_are_not_used():
    import torch

    taps = torch.tensor(Convolution.taps, dtype=torch.float64)
    return wrong(
        Convolution,
        SIGNALS,
        layer=layered(lambda x, out: sum(taps[i] * x.roll(i - 1, -1) for i in range(3))),
    )
