"""Mutants of the laws of gradients, autograd and training."""

from __future__ import annotations

import copy

import numpy as np
from mutation import mutant
from sound import Rbf, Trainable, rbf
from wrong import wrong


def torch():
    import torch

    return torch


def scaled(name, factor):
    """The gradient of that name, wrong by a factor."""
    return lambda self, X, Y=None: factor * getattr(Rbf, name)(Rbf(), X, Y)


@mutant("gradient_in_x_matches_finite_differences")
def gradient_in_x_one_percent_too_large():
    return wrong(Rbf, grad_x=scaled("grad_x", 1.01))


@mutant("gradient_in_x_matches_finite_differences")
def gradient_in_x_of_two_coordinates_swapped():
    return wrong(Rbf, grad_x=lambda self, X, Y=None: Rbf().grad_x(X, Y)[..., [1, 0, 2]])


@mutant("gradient_in_y_matches_finite_differences")
def gradient_in_y_has_the_sign_of_that_in_x():
    return wrong(Rbf, grad_y=lambda self, X, Y=None: Rbf().grad_x(X, Y))


@mutant("gradient_in_y_matches_finite_differences")
def gradient_in_y_one_percent_too_small():
    return wrong(Rbf, grad_y=scaled("grad_y", 0.99))


@mutant("gradient_in_both_matches_finite_differences")
def second_derivative_one_percent_too_large():
    return wrong(Rbf, grad_xy=scaled("grad_xy", 1.01))


@mutant("gradient_in_both_matches_finite_differences")
def second_derivative_in_x_twice():
    return wrong(Rbf, grad_xy=scaled("grad_xy", -1.0))


@mutant("gradients_have_their_shapes_and_are_finite")
def gradient_through_a_root():
    def grad_x(self, X, Y=None):
        Y = X if Y is None else Y
        D = X[:, None] - Y[None]
        r = np.sqrt((D**2).sum(-1, keepdims=True))
        with np.errstate(invalid="ignore"):
            return -D / r * r * rbf(X, Y)[..., None]

    return wrong(Rbf, grad_x=grad_x)


@mutant("gradients_have_their_shapes_and_are_finite")
def second_derivative_without_its_last_axis():
    return wrong(Rbf, grad_xy=lambda self, X, Y=None: Rbf().grad_xy(X, Y).sum(-1))


@mutant("gradients_of_one_argument")
def gradient_of_both_roles_where_y_is_left_out():
    return wrong(Rbf, grad_x=lambda self, X, Y=None: Rbf().grad_x(X, Y) * (2 if Y is None else 1))


@mutant("gradients_mirror_each_other")
def gradient_in_y_ignores_a_coordinate():
    return wrong(Rbf, grad_y=lambda self, X, Y=None: Rbf().grad_y(X, Y) * np.array([1, 1, 1 + 1e-6]))


@mutant("gradient_in_both_is_symmetric")
def second_derivative_of_one_side_only():
    return wrong(Rbf, grad_xy=lambda self, X, Y=None: Rbf().grad_xy(X, Y) * (1 + 1e-6 * np.arange(3)[:, None]))


# differentiable


def on_torch(formula):
    """An evaluate method with that formula of tensors."""
    return lambda self, X, Y: rbf(X, Y) if isinstance(X, np.ndarray) else formula(self, X, Y)


def squares(X, Y):
    return ((X[:, None] - Y[None]) ** 2).sum(-1)


@mutant("autograd_matches_finite_differences")
def a_detached_factor():
    return wrong(
        Rbf,
        evaluate=on_torch(lambda self, X, Y: (-0.49 * squares(X, Y)).exp() * (-0.01 * squares(X, Y)).exp().detach()),
    )


@mutant("autograd_matches_finite_differences")
def y_is_detached():
    return wrong(Rbf, evaluate=on_torch(lambda self, X, Y: (-0.5 * squares(X, Y if Y is X else Y.detach())).exp()))


@mutant("autograd_matches_finite_differences")
def through_numpy():
    return wrong(Rbf, evaluate=on_torch(lambda self, X, Y: X.new_tensor(rbf(X.detach().numpy(), Y.detach().numpy()))))


@mutant("autograd_of_one_argument")
def the_second_role_is_detached():
    return wrong(Rbf, evaluate=on_torch(lambda self, X, Y: (-0.5 * squares(X, Y.detach() if Y is X else Y)).exp()))


@mutant("autograd_is_finite_where_items_coincide")
def a_root_of_zero():
    return wrong(Rbf, evaluate=on_torch(lambda self, X, Y: (-squares(X, Y).sqrt()).exp()))


@mutant("autograd_leaves_the_values_alone")
def another_formula_with_gradients():
    return wrong(
        Rbf,
        evaluate=on_torch(lambda self, X, Y: (-0.5 * squares(X, Y)).exp() * (1 + 1e-6 * float(X.requires_grad))),
    )


@mutant("autograd_leaves_the_values_alone")
def single_precision_with_gradients():
    return wrong(
        Rbf,
        evaluate=on_torch(
            lambda self, X, Y: (-0.5 * squares(*((X.float(), Y.float()) if X.requires_grad else (X, Y)))).exp()
        ),
    )


@mutant("autograd_reaches_tensor_parameters")
def a_tensor_is_taken_for_a_number():
    return wrong(Rbf, evaluate=on_torch(lambda self, X, Y: (-0.5 * squares(X, Y) / float(self.lengthscale) ** 2).exp()))


@mutant("autograd_reaches_tensor_parameters")
def half_of_a_tensor_is_taken_for_a_number():
    return wrong(
        Rbf,
        evaluate=on_torch(lambda self, X, Y: (-0.5 * squares(X, Y) / self.lengthscale / float(self.lengthscale)).exp()),
    )


# trainable


@mutant("trainable_parameters_are_tensors")
def no_parameters():
    return wrong(Trainable, parameters=lambda self: iter([]))


@mutant("trainable_parameters_are_tensors")
def parameters_ask_for_no_gradient():
    return wrong(Trainable, parameters=lambda self: iter([self._logs().detach()]))


class Detached(Trainable):
    """Values do not depend on the parameters as tensors."""

    def evaluate(self, X, Y):
        if isinstance(X, np.ndarray):
            return super().evaluate(X, Y)
        scale = self._logs(X.shape[1]).exp().detach()
        return (-0.5 * squares(X / scale, Y / scale)).exp()


@mutant("trainable_parameters_get_gradients")
def the_parameters_are_detached():
    return wrong(Detached)


@mutant("trainable_parameters_get_gradients")
def a_parameter_that_is_not_used():
    class Idle(Trainable):
        def parameters(self):
            self.idle = getattr(self, "idle", None)
            if self.idle is None:
                self.idle = torch().zeros(2, requires_grad=True)
            return iter([self.idle])

    return wrong(Idle)


@mutant("trainable_parameters_are_the_same_ones")
def parameters_are_made_anew():
    class Anew(Trainable):
        def parameters(self):
            self._log_scales = self._logs().detach().clone().requires_grad_()
            return iter([self._log_scales])

    return wrong(Anew)


class Uphill(Trainable):
    """The gradient has the wrong sign."""

    def evaluate(self, X, Y):
        if isinstance(X, np.ndarray):
            return super().evaluate(X, Y)
        logs = self._logs(X.shape[1])
        scale = (2 * logs.detach() - logs).exp()
        return (-0.5 * squares(X / scale, Y / scale)).exp()


@mutant("training_lowers_the_loss")
def gradients_of_the_wrong_sign():
    return wrong(Uphill)


@mutant("training_is_kept_by_a_state_dict")
def the_state_is_that_of_the_start():
    return wrong(Trainable, state_dict=lambda self: {"log_scales": self._logs().detach() * 0})


@mutant("training_is_kept_by_a_state_dict")
def the_state_is_not_loaded():
    return wrong(Trainable, load_state_dict=lambda self, state: self)


@mutant("training_is_kept_by_a_state_dict")
def the_state_is_loaded_only_where_it_was_made():
    class NotYet(Trainable):
        def load_state_dict(self, state):
            return super().load_state_dict(state) if hasattr(self, "_log_scales") else self

    return wrong(NotYet)


@mutant("training_is_kept_by_deepcopy_and_not_by_clone")
def a_deep_copy_is_untrained():
    return wrong(Trainable, __deepcopy__=lambda self, memo: type(self)())


@mutant("training_is_kept_by_deepcopy_and_not_by_clone")
def a_deep_copy_shares_the_parameters():
    def deepcopy(self, memo):
        return copy.copy(self)

    return wrong(Trainable, __deepcopy__=deepcopy)


@mutant("training_is_kept_by_deepcopy_and_not_by_clone")
def a_clone_is_trained():
    class Shared(Trainable):
        shared = []

        def _logs(self, d=3):
            if not self.shared:
                self.shared.append(torch().zeros(d, dtype=torch().float64, requires_grad=True))
            return self.shared[0]

        def __deepcopy__(self, memo):
            found = Apart()
            found._log_scales = self._logs().detach().clone().requires_grad_()
            return found

    class Apart(Shared):
        def _logs(self, d=3):
            return self._log_scales

    obj = Shared()
    subject = wrong(Trainable)
    subject.make = lambda: obj
    return subject
