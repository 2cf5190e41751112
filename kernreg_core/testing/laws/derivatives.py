"""Derivatives: by formula, by torch's autograd, and what training does with them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from ... import clone
from ...arrays import is_torch, length
from ...errors import ParameterError
from ...params import Parametrized
from .._checks import NotApplicable, law
from .._subject import Subject, made
from ..items import assert_close, assert_same, join, take, values
from ._capability import (
    all_of,
    as_tensors,
    declares,
    exact,
    few,
    on_arrays,
    parameters_of,
    rng_names,
    torch_or_skip,
    two_sides,
    with_duplicates,
)

#: Items on each side, and coordinates, at which finite differences are taken.
_ITEMS, _COORDINATES = 5, 6


# gradients


def _points(subject: Subject) -> tuple[np.ndarray, np.ndarray]:
    """Two sides without a common item, in double precision."""
    X = np.asarray(subject.X, dtype=np.float64)
    n = length(X)
    left = X[: min(_ITEMS, n)]
    right = X[n // 2 : n // 2 + _ITEMS - 1]
    # between two items, so that no pair coincides: there a kernel may have no second derivative
    return left, 0.625 * right + 0.375 * right[::-1] if len(right) > 1 else right * 0.875


def _coordinates(shape: tuple[int, ...]) -> list[Any]:
    """Places within an item: all of them, or some spread over it."""
    places = list(np.ndindex(*shape))
    step = max(1, len(places) // _COORDINATES)
    return places[::step][:_COORDINATES]


def _step(X: np.ndarray, size: float) -> float:
    return size * max(float(np.abs(X).max(initial=0.0)), 1e-3)


def _shifted(X: np.ndarray, place: Any, h: float) -> np.ndarray:
    moved = X.copy()
    moved[:, *place] += h
    return moved


def _first_difference(k: Callable[[Any, Any], Any], X: np.ndarray, Y: np.ndarray, place: Any, side: int) -> Any:
    """The central difference of k(X, Y) in one coordinate of X (side 0) or of Y, to the fourth order."""

    def moved(h: float) -> Any:
        return k(_shifted(X, place, h), Y) if side == 0 else k(X, _shifted(Y, place, h))

    h = _step(X, 2e-4)
    return (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)


def _gradient_matches(subject: Subject, name: str, side: int) -> None:
    X, Y = _points(subject)
    obj = subject.make()
    found = values(getattr(obj, name)(X, Y))
    places = _coordinates(X.shape[1:])
    expected = [_first_difference(lambda A, B: values(obj(A, B)), X, Y, place, side) for place in places]
    picked = [found[:, :, *place] for place in places]
    assert_close(np.stack(picked), np.stack(expected), f"{name}(X, Y) and finite differences", kind="gradient")


@law("kernel", "gradients", applies=all_of(on_arrays, exact))
def gradient_in_x_matches_finite_differences(subject: Subject) -> None:
    """grad_x(X, Y) is the derivative of k(x, y) in x."""
    _gradient_matches(subject, "grad_x", 0)


@law("kernel", "gradients", applies=all_of(on_arrays, exact))
def gradient_in_y_matches_finite_differences(subject: Subject) -> None:
    """grad_y(X, Y) is the derivative of k(x, y) in y."""
    _gradient_matches(subject, "grad_y", 1)


@law("kernel", "gradients", applies=all_of(on_arrays, exact))
def gradient_in_both_matches_finite_differences(subject: Subject) -> None:
    """grad_xy(X, Y)[i, j, a, b] is the derivative of k(x, y) in x_a and y_b."""
    X, Y = _points(subject)
    obj = subject.make()
    found = values(obj.grad_xy(X, Y))
    places = _coordinates(X.shape[1:])
    h = _step(X, 3e-4)
    got, expected = [], []
    for a in places:
        for b in places:
            mixed: np.ndarray | float = 0.0
            for size, weight in ((1, 4 / 3), (2, -1 / 3)):  # Richardson's: of the fourth order
                step = size * h
                for s, t in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                    K = values(obj(_shifted(X, a, s * step), _shifted(Y, b, t * step)))
                    mixed = mixed + weight * s * t * K / (4 * step**2)
            expected.append(mixed)
            got.append(found[:, :, *a, *b])
    assert_close(np.stack(got), np.stack(expected), "grad_xy(X, Y) and finite differences", kind="gradient")


@law("kernel", "gradients", generated=True)
def gradients_have_their_shapes_and_are_finite(subject: Subject, X: Any) -> None:
    """grad_x and grad_y are (n, m, d), grad_xy is (n, m, d, d), and all are finite where x = y."""
    X = join(X, take(X, [0]))  # x = y off the diagonal too
    Y = take(X, range((length(X) + 1) // 2))
    obj = subject.make()
    n, m, item = length(X), length(Y), tuple(X.shape[1:])
    for name, tail in (("grad_x", item), ("grad_y", item), ("grad_xy", item + item)):
        method = getattr(obj, name)
        for what, found, shape in (("X", method(X), (n, n)), ("X, Y", method(X, Y), (n, m))):
            assert tuple(found.shape) == shape + tail, (
                f"{name}({what}) has shape {tuple(found.shape)}, expected {shape + tail}"
            )
            bad = int(np.count_nonzero(~np.isfinite(values(found))))
            assert not bad, f"{name}({what}) has {bad} values that are not finite; some x are equal to some y"


@law("kernel", "gradients", generated=True, applies=exact)
def gradients_of_one_argument(subject: Subject, X: Any) -> None:
    """Y is X where it is left out: grad_x(X) = grad_x(X, X), and so for the others."""
    obj = subject.make()
    for name in ("grad_x", "grad_y", "grad_xy"):
        method = getattr(obj, name)
        assert_close(method(X), method(X, take(X, range(length(X)))), f"{name}(X) and {name}(X, X)")


@law("kernel", "gradients", generated=True, applies=all_of(declares("symmetric"), exact))
def gradients_mirror_each_other(subject: Subject, X: Any) -> None:
    """Of a symmetric kernel, grad_y(X, Y)[i, j] = grad_x(Y, X)[j, i] (its conjugate, of a complex one)."""
    left, right = two_sides(X)
    obj = subject.make()
    mirrored = np.conj(np.swapaxes(values(obj.grad_x(right, left)), 0, 1))
    assert_close(obj.grad_y(left, right), mirrored, "grad_y(X, Y) and grad_x(Y, X) transposed")


@law("kernel", "gradients", generated=True, applies=all_of(declares("symmetric"), exact))
def gradient_in_both_is_symmetric(subject: Subject, X: Any) -> None:
    """Of a symmetric kernel, grad_xy(X)[i, j, a, b] = grad_xy(X)[j, i, b, a]; so where i = j it is symmetric."""
    found = values(subject.make().grad_xy(X))
    rank = (found.ndim - 2) // 2
    axes = (1, 0, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank))
    assert_close(found, np.conj(found.transpose(axes)), "grad_xy(X) and its transpose")


# differentiable


def _weighted(K: Any, seed: int = 0) -> Any:
    """A real number that depends on every value of `K`, each with a weight of its own."""
    W = K.new_tensor(np.random.default_rng(seed).uniform(0.5, 1.5, tuple(K.shape)))
    total = (W * K).sum()
    return total.real + 0.5 * total.imag if total.is_complex() else total


def _tensor_sides(subject: Subject) -> tuple[Any, Any]:
    as_tensors(take(subject.X, [0]))  # says why where items are no arrays
    if is_torch(subject.X):
        X = as_tensors(few(subject, 2 * _ITEMS))
        return X[: (len(X) + 1) // 2], X[len(X) // 2 :] * 0.875
    left, right = _points(subject)
    return as_tensors(left), as_tensors(right)


def _tensor_value(K: Any) -> Any:
    assert is_torch(K), f"k of tensors is of type {type(K).__name__}, expected a tensor"
    return K


def _difference_along(measure: Callable[[Any], Any], X: Any, direction: Any) -> float:
    """The derivative of `measure` along a direction, by central differences to the fourth order."""
    torch = torch_or_skip()
    h = 2e-4 * max(float(X.abs().max()), 1e-3)
    with torch.no_grad():
        f = {s: float(measure(X + s * h * direction)) for s in (-2, -1, 1, 2)}
    return (8 * (f[1] - f[-1]) - (f[2] - f[-2])) / (12 * h)


def _assert_gradient(measure: Callable[[Any], Any], X: Any, what: str) -> None:
    """Assert that autograd agrees with finite differences along the axes of some items and at random."""
    torch = torch_or_skip()
    leaf = X.clone().requires_grad_()
    out = measure(leaf)
    assert out.requires_grad, f"{what}: the result carries no gradient"
    (gradient,) = torch.autograd.grad(out, leaf, allow_unused=True)
    assert gradient is not None, f"{what}: the gradient does not reach the items"
    rng = np.random.default_rng(1)
    directions = [X.new_tensor(rng.standard_normal(tuple(X.shape))) for _ in range(4)]
    for place in rng.integers(X.numel(), size=4):
        axis = torch.zeros(X.numel(), dtype=X.dtype)
        axis[int(place)] = 1.0
        directions.append(axis.reshape(X.shape).to(X.device))
    got = np.array([float((gradient * d).sum()) for d in directions])
    expected = np.array([_difference_along(measure, X, d) for d in directions])
    assert_close(got, expected, what, kind="gradient")


@law("kernel", "differentiable", applies=exact)
def autograd_matches_finite_differences(subject: Subject) -> None:
    """torch's gradient of k(X, Y) in X and in Y equals finite differences of the values."""
    X, Y = _tensor_sides(subject)
    _assert_gradient(lambda A: _weighted(_tensor_value(subject.make()(A, Y))), X, "the gradient of k(X, Y) in X")
    _assert_gradient(lambda B: _weighted(_tensor_value(subject.make()(X, B))), Y, "the gradient of k(X, Y) in Y")


@law("kernel", "differentiable", applies=exact)
def autograd_of_one_argument(subject: Subject) -> None:
    """The gradient of k(X), Y left out, passes through both of its arguments."""
    X, _ = _tensor_sides(subject)
    _assert_gradient(lambda A: _weighted(_tensor_value(subject.make()(A))), X, "the gradient of k(X) in X")


@law("kernel", "differentiable")
def autograd_is_finite_where_items_coincide(subject: Subject) -> None:
    """Gradients are finite where items occur more than once, in k(X) and in k(X, Y)."""
    torch = torch_or_skip()
    base = as_tensors(with_duplicates(few(subject)))
    for what, right in (("k(X)", ()), ("k(X, Y)", (base,))):
        X = base.clone().requires_grad_()
        K = _tensor_value(subject.make()(X, *right))
        assert K.requires_grad, f"{what} carries no gradient"
        (gradient,) = torch.autograd.grad(_weighted(K), X)
        bad = int((~torch.isfinite(gradient)).sum())
        assert not bad, f"the gradient of {what} has {bad} values that are not finite; some items are equal"


@law("kernel", "differentiable", applies=exact)
def autograd_leaves_the_values_alone(subject: Subject) -> None:
    """k(X) is the same with gradients, without them, and under no_grad, where it carries none."""
    torch = torch_or_skip()
    X, _ = _tensor_sides(subject)
    trained = "trainable" in subject.capabilities
    plain = _tensor_value(subject.make()(X))
    assert trained or not plain.requires_grad, "k(X) carries a gradient, and neither X nor a parameter does"
    with torch.no_grad():
        silent = _tensor_value(subject.make()(X.clone().requires_grad_()))
    assert not silent.requires_grad, "k(X) carries a gradient under no_grad"
    tracked = _tensor_value(subject.make()(X.clone().requires_grad_()))
    assert tracked.dtype == plain.dtype, f"k(X) has dtype {tracked.dtype} with gradients, {plain.dtype} without"
    assert_close(silent, plain, "k(X) under no_grad", kind="rounding")
    assert_close(tracked, plain, "k(X) with gradients", kind="rounding")


#: Parameters that are numbers everywhere, and may be given as tensors.
_TENSOR_PARAMETERS = ("lengthscale", "variance", "weight_variance", "bias_variance")


def _number_parameters(subject: Subject) -> dict[str, float]:
    obj = made(subject)
    if not isinstance(obj, Parametrized):
        return {}
    return {
        name: float(value)
        for name, value in parameters_of(obj).items()
        if name.rpartition("__")[2] in _TENSOR_PARAMETERS and isinstance(value, (int, float)) and value
    }


@law("kernel", "differentiable", applies=all_of(exact, lambda subject: bool(_number_parameters(subject))))
def autograd_reaches_tensor_parameters(subject: Subject) -> None:
    """A length scale or variance given as a tensor gets its gradient, where the kernel takes tensors."""
    torch = torch_or_skip()
    X, Y = _tensor_sides(subject)
    taken = 0
    for name, number in _number_parameters(subject).items():
        leaf = torch.tensor(number, dtype=torch.float64, requires_grad=True)

        def measure(value: Any, name: str = name) -> Any:
            return _weighted(_tensor_value(subject.make().set_params(**{name: value})(X, Y)))

        try:
            out = measure(leaf)
        except (ParameterError, TypeError):
            continue  # it takes numbers only, and says so
        taken += 1
        assert out.requires_grad, f"k(X, Y) carries no gradient of {name}, a tensor that asks for one"
        (gradient,) = torch.autograd.grad(out, leaf)
        expected = _difference_along(measure, leaf.detach(), torch.ones_like(leaf))
        assert_close(np.array([float(gradient)]), np.array([expected]), f"the gradient of {name}", kind="gradient")
    if not taken:
        raise NotApplicable("no parameter may be a tensor")


# trainable


def _training_items(subject: Subject) -> Any:
    """The items as tensors where they are rows, as they are elsewhere."""
    torch_or_skip()
    X = few(subject)
    return as_tensors(X) if on_arrays(subject) or is_torch(X) else X


def _used(subject: Subject, X: Any) -> Any:
    """A fresh object after its first use, when its learnt state is made."""
    obj = subject.make()
    torch_or_skip().manual_seed(0)
    obj(X)
    return obj


def _parameters(obj: Any) -> list[Any]:
    found = list(obj.parameters())
    assert found, "parameters() is empty after the first use"
    return found


def _loss(obj: Any, X: Any, target: Any) -> Any:
    K = _tensor_value(obj(X))
    return ((K - target).abs() ** 2).sum()


def _train(obj: Any, X: Any, steps: int) -> tuple[float, float]:
    """Losses before and after some steps of Adam towards half of the first k(X)."""
    torch = torch_or_skip()
    with torch.no_grad():
        start = _tensor_value(obj(X))
        target = 0.5 * start
    optimizer = torch.optim.Adam(_parameters(obj), lr=1e-2)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = _loss(obj, X, target)
        losses.append(float(loss.detach()))
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return losses[0], float(_loss(obj, X, target))


@law("kernel", "trainable")
def trainable_parameters_are_tensors(subject: Subject) -> None:
    """After the first use, parameters() gives floating tensors that ask for gradients; at least one."""
    for p in _parameters(_used(subject, _training_items(subject))):
        assert is_torch(p), f"parameters() gives a {type(p).__name__}, expected tensors"
        assert p.requires_grad, f"a parameter of shape {tuple(p.shape)} asks for no gradient"
        assert p.is_floating_point() or p.is_complex(), f"a parameter has dtype {p.dtype}"


@law("kernel", "trainable")
def trainable_parameters_get_gradients(subject: Subject) -> None:
    """The gradient of a loss of k(X) reaches the parameters, and is finite."""
    torch = torch_or_skip()
    X = _training_items(subject)
    obj = _used(subject, X)
    K = _tensor_value(obj(X))
    assert K.requires_grad, "k(X) carries no gradient of the parameters"
    _weighted(K).backward()
    gradients = [p.grad for p in _parameters(obj) if p.grad is not None]
    assert gradients, "no gradient reached any parameter"
    bad = sum(int((~torch.isfinite(g)).sum()) for g in gradients)
    assert not bad, f"{bad} values of the parameters' gradients are not finite"
    assert any(bool(g.abs().max() > 0) for g in gradients if g.numel()), "the gradients of all parameters are zero"


@law("kernel", "trainable")
def trainable_parameters_are_the_same_ones(subject: Subject) -> None:
    """parameters() gives the same tensors again, also after another use: an optimizer holds on to them."""
    X = _training_items(subject)
    obj = _used(subject, X)
    first = _parameters(obj)
    obj(X)
    again = _parameters(obj)
    assert len(first) == len(again), f"parameters() gives {len(again)} tensors, {len(first)} before"
    assert all(a is b for a, b in zip(first, again, strict=True)), "parameters() gives other tensors after a use"


@law("kernel", "trainable", applies=exact)
def training_lowers_the_loss(subject: Subject) -> None:
    """Twenty steps of Adam lower the squared difference to a target, half of the first k(X)."""
    X = _training_items(subject)
    before, after = _train(_used(subject, X), X, 20)
    assert after < before, f"the loss was {before:.6g} before training and is {after:.6g} after it"


@law("kernel", "trainable", applies=exact)
def training_is_kept_by_a_state_dict(subject: Subject) -> None:
    """load_state_dict(state_dict()) of a trained kernel gives a fresh one the same values."""
    X = _training_items(subject)
    obj = _used(subject, X)
    _train(obj, X, 5)
    state = copy.deepcopy(dict(obj.state_dict()))
    assert state, "state_dict() of a trained kernel is empty"
    expected = values(obj(X)).copy()
    fresh = _used(subject, X)
    fresh.load_state_dict(state)
    assert_close(fresh(X), expected, "k(X) after load_state_dict", kind="rounding")
    unused = subject.make()  # its state is not made yet
    unused.load_state_dict(state)
    assert_close(unused(X), expected, "k(X) after load_state_dict into an unused object", kind="rounding")


@law("kernel", "trainable", applies=exact)
def training_is_kept_by_deepcopy_and_not_by_clone(subject: Subject) -> None:
    """A deep copy of a trained kernel is trained and stands alone; a clone is untrained."""
    torch = torch_or_skip()
    X = _training_items(subject)
    obj = _used(subject, X)
    untrained = values(obj(X)).copy()
    _train(obj, X, 5)
    trained = values(obj(X)).copy()
    assert not np.array_equal(untrained, trained), "five steps of training change nothing"
    duplicate = copy.deepcopy(obj)
    assert_close(duplicate(X), trained, "k(X) of a deep copy", kind="rounding")
    with torch.no_grad():
        for p in _parameters(duplicate):
            p.add_(0.1)
    assert_same(obj(X), trained, "k(X) after its deep copy was changed")
    if hasattr(obj, "get_params"):
        torch.manual_seed(0)
        cloned = values(clone(obj)(X))
        assert not np.array_equal(cloned, trained), "a clone of a trained kernel is trained"
        seeds = [parameters_of(obj)[name] for name in rng_names(obj)]
        if all(isinstance(seed, int) for seed in seeds):
            assert_close(cloned, untrained, "k(X) of a clone, and before training", kind="rounding")
