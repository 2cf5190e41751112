"""Which parameters are learnt, how they become a vector, their bounds, gradients, and the search."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern
from solver_kernels import WORDS, Gauss, Letters, Whitened

import kernreg_core as kr
from kernreg_core.composites import Scaled
from kernreg_core.errors import InputError, MissingDependencyError, ParameterError
from kernreg_solvers import as_kernel
from kernreg_solvers.gp_bounds import DataScale
from kernreg_solvers.gp_parameters import Parameter, find_parameters
from kernreg_solvers.hyperparameters import HyperParameters, minimise

RNG = np.random.default_rng(0)
X = RNG.standard_normal((25, 2))
SYMMETRIC = RNG.standard_normal((25, 25))
SYMMETRIC = SYMMETRIC + SYMMETRIC.T


class Many(kr.BaseKernel):
    """Parameters of every kind; the kernel is weights[0] exp(-|x - y|^2 / (2 width^2))."""

    capabilities = frozenset({"symmetric", "psd"})

    def __init__(self, *, width: Any = 2.0, weights: Any = (0.5, 2.0), order: float = 1.5, shift: float = 0.0,
                 rng: Any = 0, n_features: int = 8, flag: bool = True, name: str = "a", none: Any = None,
                 width_bounds: Any = (0.1, 2.0), table: Any = None) -> None:  # fmt: skip
        self.width, self.weights, self.order, self.shift = width, weights, order, shift
        self.rng, self.n_features, self.flag, self.name, self.none = rng, n_features, flag, name, none
        self.width_bounds, self.table = width_bounds, table

    def evaluate(self, X: Any, Y: Any) -> Any:
        squared = ((X[:, None] - Y[None]) ** 2).sum(-1)
        return self.weights[0] * np.exp(-0.5 * squared / self.width**2)


class Ragged(kr.BaseKernel):
    """lengthscale is one number for each feature; torch takes it only as numbers, so autograd misses it."""

    capabilities = frozenset({"symmetric", "psd", "differentiable"})

    def __init__(self, *, lengthscale: Any = (1.0, 1.0), scale: Any = 1.0, as_numbers: bool = True) -> None:
        self.lengthscale, self.scale, self.as_numbers = lengthscale, scale, as_numbers

    def evaluate(self, X: Any, Y: Any) -> Any:
        lengths = self.lengthscale
        if hasattr(lengths, "detach"):
            lengths = X.new_tensor(lengths.detach().tolist()) if self.as_numbers else lengths
        elif not isinstance(X, np.ndarray):
            lengths = X.new_tensor(lengths)
        squared = (((X[:, None] - Y[None]) / np.asarray(lengths) if isinstance(X, np.ndarray)
                    else (X[:, None] - Y[None]) / lengths) ** 2).sum(-1)  # fmt: skip
        return self.scale * (np.exp(-0.5 * squared) if isinstance(X, np.ndarray) else (-0.5 * squared).exp())


def numeric(space: HyperParameters, theta: np.ndarray, G: np.ndarray, X: Any, Y: Any = None, h: float = 1e-5) -> Any:
    """Central differences of sum(G * K), an independent formula: K is formed twice for each number."""

    def value(theta: np.ndarray) -> float:
        return float((G * np.asarray(space.at(theta)(X, X if Y is None else Y))).sum())

    return np.array([(value(theta + h * e) - value(theta - h * e)) / (2 * h) for e in np.eye(len(theta))])


# -- which parameters -----------------------------------------------------------------------


def test_positive_floats_are_found_and_the_rest_left_alone() -> None:
    names = [p.name for p in find_parameters(2 * Many() + Gauss(lengthscale=1))]
    # 2 and lengthscale=1 are whole, and mean real numbers; order chooses a kernel
    assert names == ["k1__kernel__width", "k1__kernel__weights", "k1__variance", "k2__lengthscale"]
    assert find_parameters(lambda X, Y: X @ Y.T) == []
    assert find_parameters(None) == []
    assert find_parameters(Many) == []


def test_what_is_not_positive_is_left_alone() -> None:
    kernel = Many(width=-1.0, weights=[1.0, 0.0], table=np.array([1.0, np.inf]))
    assert find_parameters(kernel) == []
    assert find_parameters(Many(width=float("nan"), weights="text", table=[[1.0], [1.0, 2.0]])) == []


def test_what_scikit_learn_fixes_or_chooses_by_is_left_alone() -> None:
    kernel = as_kernel(ConstantKernel(2.0, "fixed") * RBF([1.0, 2.0], "fixed") + Matern(3.0, nu=1.5))
    assert [p.leaf for p in find_parameters(kernel)] == ["length_scale"]
    assert [p.leaf for p in find_parameters(kernel, ["nu", "constant_value"])] == ["constant_value", "nu"]


def test_asked_for_by_name() -> None:
    kernel = Many(n_features=8, order=1.5)
    assert [p.name for p in find_parameters(kernel, ["order", "n_features"])] == ["order", "n_features"]
    assert [p.name for p in find_parameters(Gauss() + 2.0 * Gauss(), ["lengthscale"])] == [
        "k1__lengthscale",
        "k2__kernel__lengthscale",
    ]
    with pytest.raises(ParameterError, match=r"shift: expected a positive number.*float 0\.0"):
        find_parameters(kernel, ["shift"])
    for bad in ("flag", "name", "none"):
        with pytest.raises(ParameterError, match="expected a positive number"):
            HyperParameters(kernel, parameters=[bad])
    with pytest.raises(ParameterError, match=r"parameters: 'breadth' is no positive parameter of .*it has: none"):
        HyperParameters(kernel, parameters=["breadth"])
    with pytest.raises(ParameterError, match="parameters: expected a list of names or None, got 'width'"):
        HyperParameters(kernel, parameters="width")


def test_one_object_in_two_places_is_one_parameter() -> None:
    shared = Gauss(lengthscale=2.0)
    kernel = 2.0 * shared + shared * Gauss(lengthscale=3.0)
    space = HyperParameters(kernel, X)
    assert space.names == ["k1__kernel__lengthscale", "k1__variance", "k2__k2__lengthscale"]
    found = space.at(np.log([0.5, 7.0, 1.5]))
    assert found.k1.kernel is found.k2.k1
    assert found.k2.k1.lengthscale == pytest.approx(0.5)
    # under its other name too
    assert HyperParameters(kernel, X, bounds={"k2__k1__lengthscale": "fixed"}).names == space.names[1:]
    theta = space.theta + 0.1
    assert_allclose(space.pull(theta, SYMMETRIC, X), numeric(space, theta, SYMMETRIC, X), rtol=1e-6)


def test_numbers_go_back_in_the_form_they_had() -> None:
    for value, kind in (((0.5, 2.0), tuple), ([0.5, 2.0], list), (np.array([0.5, 2.0]), np.ndarray)):
        found = HyperParameters(Many(weights=value), X).at(np.log([1.0, 3.0, 4.0]))
        assert type(found.weights) is kind
        assert_allclose(found.weights, [3.0, 4.0])
    single = HyperParameters(Many(weights=np.ones((2, 1), np.float32)), X)
    assert single.labels == ["width", "weights[0,0]", "weights[1,0]"]
    found = single.at(single.theta + 1.0)
    assert found.weights.dtype == np.float32
    assert found.weights.shape == (2, 1)
    assert type(found.width) is float


def test_the_users_kernel_is_never_touched() -> None:
    kernel = 2.0 * Gauss(lengthscale=3.0)
    before = copy.deepcopy(kernel.get_params())
    space = HyperParameters(kernel, X)
    space.pull(space.theta + 1.0, SYMMETRIC, X)
    assert repr(kernel.get_params()) == repr(before)
    assert space.kernel is not kernel
    again = pickle.loads(pickle.dumps(space))
    assert_allclose(again.pull(space.theta, SYMMETRIC, X), space.pull(space.theta, SYMMETRIC, X))


# -- theta and its bounds -------------------------------------------------------------------


def test_theta_is_the_logarithm_inside_the_bounds() -> None:
    space = HyperParameters(3.0 * Gauss(lengthscale=0.5), X, bounds={"lengthscale": (1.0, 8.0)}, extra={"noise": 0.1})
    assert space.labels == ["kernel__lengthscale", "variance", "noise"]
    assert_allclose(np.exp(space.theta), [1.0, 3.0, 0.1])
    assert_allclose(np.exp(space.bounds[0]), [1.0, 8.0])
    assert space.extra(space.theta) == {"noise": pytest.approx(0.1)}
    assert space.at_bounds(space.theta) == ["kernel__lengthscale"]


def test_fixed_parameters_and_extras() -> None:
    space = HyperParameters(3.0 * Gauss(), X, bounds={"variance": "fixed", "noise": "fixed"}, extra={"noise": 0.1})
    assert space.names == ["kernel__lengthscale"]
    assert space.extra(space.theta) == {"noise": 0.1}
    assert space.where("noise") is None
    assert HyperParameters(3.0 * Gauss(), X, bounds="fixed", extra={"noise": 0.1}).names == []
    only = HyperParameters(3.0 * Gauss(), X, parameters=["noise"], extra={"noise": 0.1})
    assert only.names == ["noise"]
    assert only.extra(np.log([4.0])) == {"noise": pytest.approx(4.0)}
    # nothing to learn: arrays of no length, and a kernel all the same
    nothing = HyperParameters(lambda X, Y: X @ Y.T, X)
    assert nothing.bounds.shape == (0, 2)
    assert nothing.pull(np.zeros(0), SYMMETRIC, X).shape == (0,)
    assert HyperParameters(None, None, extra={"noise": 1.0}).pull(np.zeros(1), SYMMETRIC, X).tolist() == [0.0]


def test_bounds_of_arrays_and_a_full_name_before_a_last_part() -> None:
    space = HyperParameters(Many(), X, bounds={"weights": ([0.1, 0.2], 5.0)})
    assert_allclose(np.exp(space.bounds[1:]), [[0.1, 5.0], [0.2, 5.0]])
    space = HyperParameters(Gauss() + Gauss(), X, bounds={"k2__lengthscale": "fixed", "lengthscale": (0.5, 2.0)})
    assert space.names == ["k1__lengthscale"]
    assert_allclose(np.exp(space.bounds), [[0.5, 2.0]])


@pytest.mark.parametrize(
    "bounds",
    [(1.0, 2.0), {"width": (2.0, 1.0)}, {"width": (0.0, 1.0)}, {"width": 3.0}, {"width": ("a", 1.0)},
     {"width": (1.0, np.inf)}, {"weights": ([1.0, 2.0, 3.0], 5.0)}, {"width": "free"}, {"breadth": (1.0, 2.0)}],
)  # fmt: skip
def test_bad_bounds(bounds: Any) -> None:
    with pytest.raises(ParameterError, match="bounds: "):
        HyperParameters(Many(), X, bounds=bounds)


def test_length_scales_are_bounded_by_the_data() -> None:
    points = np.arange(11.0)[:, None]  # nearest points 1 apart, the farthest 10
    space = HyperParameters(Gauss(lengthscale=2.0), points)
    assert_allclose(np.exp(space.bounds), [[0.1, 1000.0]])
    # the value always has room
    assert_allclose(np.exp(HyperParameters(Gauss(lengthscale=0.01), points).bounds), [[0.001, 1000.0]])
    # one for each feature: by its range; a constant feature has the range 1
    wide = np.column_stack([10 * np.arange(11.0), np.zeros(11)])
    assert_allclose(np.exp(HyperParameters(Ragged(), wide, parameters=["lengthscale"]).bounds),
                    [[0.1, 1e5], [1e-3, 1e3]])  # fmt: skip
    for same in (np.ones((5, 1)), np.ones((1, 1))):
        assert_allclose(np.exp(HyperParameters(Gauss(lengthscale=2.0), same).bounds), [[2e-3, 2e3]])


def test_variances_are_bounded_by_the_targets_and_the_rest_by_their_values() -> None:
    y = np.array([3.0, 5.0])  # mean square 17
    assert_allclose(np.exp(HyperParameters(2.0 * Gauss(), X[:2], y=y).bounds[1]), [17e-4, 17e4])
    assert_allclose(np.exp(HyperParameters(2.0 * Gauss(), X[:2]).bounds[1]), [2e-4, 2e4])
    assert_allclose(np.exp(HyperParameters(Letters(weight=2.0), WORDS).bounds), [[2e-3, 2e3]])
    space = HyperParameters(Gauss(), X, extra={"noise": 1.0}, extra_bounds={"noise": (1e-3, 50.0)})
    assert_allclose(np.exp(space.bounds[-1]), [1e-3, 50.0])


def test_periods_and_lengths_on_the_circle() -> None:
    class Circle(Gauss):
        period = 1.0

    points = np.linspace(0.0, 9.0, 10)[:, None]
    scale = DataScale(points)
    value = np.array(2.0)
    assert scale.bounds(Parameter("period", (), value, 2.0, Circle())) == (pytest.approx(1.8), pytest.approx(18.0))
    # without unit there: 1/100 to 100 times the value
    assert scale.bounds(Parameter("lengthscale", (), value, 2.0, Circle())) == (pytest.approx(0.02), pytest.approx(200))
    assert DataScale(WORDS).bounds(Parameter("gamma", (), value, 2.0, Circle())) == (2e-4, 2e4)


def test_bad_theta() -> None:
    space = HyperParameters(2.0 * Gauss(), X)
    for theta in (np.zeros(1), np.array([0.0, np.nan])):
        with pytest.raises(ParameterError, match=r"theta: expected 2 finite logarithms, of kernel__lengthscale, vari"):
            space.at(theta)


# -- gradients ------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", [2.0 * Gauss(), Gauss() + 3.0 * Gauss(lengthscale=2.0), Scaled(kernel=2.0 * Many())])
def test_gradients_by_differences(kernel: Any) -> None:
    space = HyperParameters(kernel, X, extra={"noise": 1.0}, gradients="differences")
    theta = space.theta + 0.2
    assert_allclose(space.pull(theta, SYMMETRIC, X), numeric(space, theta, SYMMETRIC, X), rtol=1e-6, atol=1e-6)
    G = SYMMETRIC[:, :5]
    assert_allclose(space.pull(theta, G, X, X[:5]), numeric(space, theta, G, X, X[:5]), rtol=1e-6, atol=1e-6)
    assert set(space.gradients.values()) == {"differences"}


def test_the_variance_in_front_costs_nothing() -> None:
    class Counted(Gauss):
        calls = 0

        def evaluate(self, X: Any, Y: Any) -> Any:
            Counted.calls += 1
            return super().evaluate(X, Y)

    kernel = 2.0 * Counted()
    space = HyperParameters(kernel, X, bounds={"lengthscale": "fixed"})
    inner = float((SYMMETRIC * kernel(X)).sum())
    Counted.calls = 0
    # K is linear in it: its derivative by the logarithm is K
    assert_allclose(space.pull(space.theta, SYMMETRIC, X, inner=inner), [inner])
    assert Counted.calls == 0
    assert_allclose(space.pull(space.theta, SYMMETRIC, X), [inner])
    assert Counted.calls == 1


def test_a_sum_costs_what_its_terms_cost() -> None:
    calls: dict[str, int] = {}

    class Counted(Gauss):
        def __init__(self, *, name: str = "", lengthscale: Any = 1.0) -> None:
            super().__init__(lengthscale=lengthscale)
            self.name = name

        def evaluate(self, X: Any, Y: Any) -> Any:
            calls[self.name] = calls.get(self.name, 0) + 1
            return super().evaluate(X, Y)

    kernel = 3.0 * (2.0 * Counted(name="a") + Counted(name="b", lengthscale=2.0) * Counted(name="c") + Gauss())
    space = HyperParameters(kernel, X, gradients="differences")
    theta = space.theta + 0.3
    expected = numeric(space, theta, SYMMETRIC, X)
    calls.clear()
    assert_allclose(space.pull(theta, SYMMETRIC, X), expected, rtol=1e-6)
    # two for each length scale of the term, one for the variances
    assert calls == {"a": 3, "b": 5, "c": 5}
    calls.clear()
    fixed = HyperParameters(kernel, X, bounds={"lengthscale": "fixed", "kernel__k1__variance": "fixed"})
    inner = float((SYMMETRIC * kernel(X)).sum())
    calls.clear()
    assert_allclose(fixed.pull(fixed.theta, SYMMETRIC, X, inner=inner), [inner])
    assert calls == {}


def test_terms_that_are_not_learnt_are_evaluated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    class Counted(Gauss):
        def evaluate(self, X: Any, Y: Any) -> Any:
            calls.append(self.lengthscale)
            return super().evaluate(X, Y)

    def combined(kind: Any) -> Any:
        return 2.0 * kind(lengthscale=0.5) + 3.0 * kind(lengthscale=1.5) + Gauss()

    bounds = {"k1__kernel__lengthscale": "fixed", "k2__kernel__lengthscale": "fixed"}
    space, plain = (HyperParameters(combined(kind), X, bounds=bounds) for kind in (Counted, Gauss))
    for theta in (space.theta, space.theta + 0.2):
        space.at(theta)
        assert_allclose(space.gram(X), plain.at(theta)(X), rtol=1e-12)
        assert_allclose(space.pull(theta, SYMMETRIC, X), numeric(plain, theta, SYMMETRIC, X), rtol=1e-6)
    assert sorted(calls) == [0.5, 1.5]
    # other items, and no memory for any
    assert_allclose(space.gram(X[:5]), space.kernel(X[:5]), rtol=1e-12)
    monkeypatch.setattr("kernreg_solvers.gp_pull._KEPT", 0)
    assert_allclose(space.gram(X), space.kernel(X), rtol=1e-12)
    assert copy.deepcopy(space)._pull._kept == {}


def test_a_variance_in_several_places() -> None:
    shared = 2.0 * Gauss(lengthscale=1.5)
    kernel = shared + 3.0 * shared + shared * Gauss()  # in front of two terms, and inside the third
    space = HyperParameters(kernel, X, gradients="differences")
    assert len(space.names) == 4
    theta = space.theta + 0.1
    assert_allclose(space.pull(theta, SYMMETRIC, X), numeric(space, theta, SYMMETRIC, X), rtol=1e-6)


def test_another_librarys_term_gets_what_the_whole_hands_to_it() -> None:
    class Foreign:
        capabilities = frozenset({"symmetric", "psd"})

        def __call__(self, X: Any, Y: Any) -> Any:
            return X @ Y.T  # a list has no @

    kernel = Scaled(kernel=Foreign(), variance=2.0) + Gauss()
    space = HyperParameters(kernel, X)
    rows = X.tolist()
    assert_allclose(space.pull(space.theta, SYMMETRIC, rows), numeric(space, space.theta, SYMMETRIC, X), rtol=1e-6)
    G = SYMMETRIC[:, :4]
    found = space.pull(space.theta, G, rows, rows[:4])
    assert_allclose(found, numeric(space, space.theta, G, X, X[:4]), rtol=1e-6)
    weights = SYMMETRIC[0]
    by_variance = space.pull_diagonal(space.theta, weights, rows)[space.where("k1__variance")]
    assert_allclose(by_variance, [2.0 * weights @ np.square(X).sum(1)])


def test_gradients_of_the_diagonal() -> None:
    weights = RNG.standard_normal(25)
    dot = HyperParameters(2.0 * Whitened(power=1.0), X, parameters=["variance"])
    expected = 2.0 * weights @ np.square(X / X.std(0)).sum(1)
    assert_allclose(dot.pull_diagonal(dot.theta, weights, X), [expected])
    still = HyperParameters(2.0 * Gauss(), X)  # stationary: the length scale does not move it
    assert_allclose(still.pull_diagonal(still.theta, weights, X), [0.0, 2.0 * weights.sum()], atol=1e-12)
    # at variance 1 the whole is normalized, and its variance moves it all the same
    unit = HyperParameters(1.0 * Gauss(), X)
    assert_allclose(unit.pull_diagonal(unit.theta, weights, X), [0.0, weights.sum()], atol=1e-12)
    assert HyperParameters(Gauss(), X).pull_diagonal(np.zeros(1), weights, X).tolist() == [0.0]
    assert HyperParameters(None, extra={"noise": 1.0}).pull_diagonal(np.zeros(1), weights, X).tolist() == [0.0]


def test_a_kernel_that_is_fitted_is_fitted_at_each_theta() -> None:
    space = HyperParameters(Whitened(power=1.0), X, y=X[:, 0], parameters=["power"])
    assert space.at(space.theta).saw_y_
    assert_allclose(space.pull(space.theta, SYMMETRIC, X), numeric(space, space.theta, SYMMETRIC, X), rtol=1e-5)


def test_beyond_what_the_kernel_takes_the_difference_is_one_sided() -> None:
    class Short(Gauss):
        def check_parameters(self, X: Any) -> None:
            if self.lengthscale > 1.0:
                raise ParameterError("lengthscale: at most 1")

    space = HyperParameters(Short(lengthscale=1.0), X)
    free = HyperParameters(Gauss(lengthscale=1.0), X)
    expected = free.pull(np.zeros(1), SYMMETRIC, X)
    assert_allclose(space.pull(np.zeros(1), SYMMETRIC, X), expected, rtol=1e-3)


def test_items_of_other_domains() -> None:
    G = np.ones((len(WORDS), 3))
    space = HyperParameters(2.0 * Letters(weight=1.5), WORDS)
    # linear in both: each derivative is the sum itself
    expected = float((2.0 * Letters(weight=1.5)(WORDS, WORDS[:3])).sum())
    assert_allclose(space.pull(space.theta, G, WORDS, WORDS[:3]), [expected, expected], rtol=1e-7)


def test_gradients_by_autograd() -> None:
    pytest.importorskip("torch", reason="autograd is torch's")
    kernel = 2.0 * Gauss(lengthscale=1.5) + Gauss(lengthscale=0.7)
    space = HyperParameters(kernel, X, gradients="autograd")
    theta = space.theta - 0.1
    assert_allclose(space.pull(theta, SYMMETRIC, X), numeric(space, theta, SYMMETRIC, X), rtol=1e-8)
    assert set(space.gradients.values()) == {"autograd"}
    assert type(space.kernel.k2.lengthscale) is float  # the tensors are gone
    G = SYMMETRIC[:, :4]
    assert_allclose(space.pull(theta, G, X, X[:4]), numeric(space, theta, G, X, X[:4]), rtol=1e-8)
    frozen = X.copy()
    frozen.flags.writeable = False
    assert_allclose(space.pull(theta, SYMMETRIC, frozen), space.pull(theta, SYMMETRIC, X))


def test_autograd_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="autograd is torch's")
    space = HyperParameters(2.0 * Gauss(), X, gradients="autograd")
    whole = space.pull(space.theta, SYMMETRIC, X)
    monkeypatch.setattr("kernreg_solvers.gp_pull._BLOCK", 100)
    assert_allclose(space.pull(space.theta, SYMMETRIC, X), whole, rtol=1e-12)


def test_auto_takes_differences_for_few_numbers_and_autograd_for_more() -> None:
    pytest.importorskip("torch", reason="autograd is torch's")
    # of a product each number moves the whole; of a sum its own term, so that ten differences are those of two kernels
    product, terms = np.prod([Gauss() for _ in range(4)]), sum([Gauss() for _ in range(9)], Gauss())
    for kernel, way in ((2.0 * Gauss(), "differences"), (product, "autograd"), (terms, "differences")):
        space = HyperParameters(kernel, X)
        space.pull(space.theta, SYMMETRIC, X)
        assert set(space.gradients.values()) == {way}
    plain = HyperParameters(Many(), X, gradients="auto")  # not differentiable
    plain.pull(plain.theta, SYMMETRIC, X)
    assert set(plain.gradients.values()) == {"differences"}


def test_autograd_is_not_trusted_where_a_gradient_gets_lost() -> None:
    pytest.importorskip("torch", reason="autograd is torch's")
    space = HyperParameters(Ragged(lengthscale=[1.0, 2.0]), X, gradients="autograd")
    found = space.pull(space.theta, SYMMETRIC, X)
    assert space.gradients == {"lengthscale": "differences", "scale": "autograd"}
    assert_allclose(found, numeric(space, space.theta, SYMMETRIC, X), rtol=1e-6)
    sound = HyperParameters(Ragged(lengthscale=[1.0, 2.0], as_numbers=False), X, gradients="autograd")
    sound.pull(sound.theta, SYMMETRIC, X)
    assert set(sound.gradients.values()) == {"autograd"}


def test_tensors_as_items_and_as_parameters() -> None:
    torch = pytest.importorskip("torch", reason="tensors are torch's")
    kernel = 2.0 * Gauss(lengthscale=torch.tensor(1.5, requires_grad=True))
    for dtype, tol in ((torch.float64, 1e-8), (torch.float32, 1e-4)):
        items = torch.as_tensor(X, dtype=dtype)
        space = HyperParameters(kernel, items)
        plain = HyperParameters(2.0 * Gauss(lengthscale=1.5), X)
        assert_allclose(np.exp(space.theta), [1.5, 2.0])
        assert_allclose(space.pull(space.theta, SYMMETRIC, items), numeric(plain, space.theta, SYMMETRIC, X), rtol=tol)
        assert set(space.gradients.values()) == {"autograd"}
        assert isinstance(space.kernel.kernel.lengthscale, torch.Tensor)
        assert not space.kernel.kernel.lengthscale.requires_grad
        differences = HyperParameters(kernel, items, gradients="differences")
        found = differences.pull(space.theta, SYMMETRIC, items)
        # the length scale itself is a float32: coarser steps
        assert_allclose(found, numeric(plain, space.theta, SYMMETRIC, X), rtol=2e-4)


def test_gradients_by_the_items() -> None:
    pytest.importorskip("torch", reason="autograd is torch's")
    space = HyperParameters(2.0 * Gauss(), X)
    G, h = SYMMETRIC[:, :3], 1e-6
    gradient, moved = space.pull_items(space.theta, G, X, X[:3])
    assert_allclose(gradient, numeric(space, space.theta, G, X, X[:3]), rtol=1e-6)
    kernel = space.at(space.theta)
    for i, j in np.ndindex(3, 2):
        step = np.zeros((3, 2))
        step[i, j] = h
        expected = (G * (kernel(X, X[:3] + step) - kernel(X, X[:3] - step))).sum() / (2 * h)
        assert moved[i, j] == pytest.approx(expected, rel=1e-5)
    # by X itself where there is no Y: both sides move
    _, both = space.pull_items(space.theta, SYMMETRIC[:4, :4], X[:4])
    step = np.zeros((4, 2))
    step[1, 0] = h
    expected = (SYMMETRIC[:4, :4] * (kernel(X[:4] + step) - kernel(X[:4] - step))).sum() / (2 * h)
    assert both[1, 0] == pytest.approx(expected, rel=1e-5)


def test_gradients_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ParameterError, match="gradients: expected 'auto', 'autograd' or 'differences', got 'adjoint'"):
        HyperParameters(Gauss(), X, gradients="adjoint")
    with pytest.raises(ParameterError, match="is not differentiable"):
        HyperParameters(Many(), X, gradients="autograd").pull(np.zeros(3), SYMMETRIC, X)
    with pytest.raises(ParameterError, match="items are no array"):
        HyperParameters(Gauss(), X, gradients="autograd").pull(np.zeros(1), np.ones((2, 2)), X[:2].tolist())
    monkeypatch.setattr("kernreg_solvers.gp_pull._has_torch", lambda: False)
    with pytest.raises(MissingDependencyError, match=r'pip install "kernreg-solvers\[torch\]"'):
        HyperParameters(Gauss(), X, gradients="autograd").pull(np.zeros(1), SYMMETRIC, X)
    many = HyperParameters(np.prod([Gauss() for _ in range(4)]), X)
    many.pull(many.theta, SYMMETRIC, X)
    assert set(many.gradients.values()) == {"differences"}


# -- the search -----------------------------------------------------------------------------

BOX = np.array([[-3.0, 3.0], [-3.0, 3.0]])


def test_a_minimum_inside_and_on_a_bound() -> None:
    def bowl(theta: np.ndarray) -> tuple[float, np.ndarray]:
        away = theta - [1.0, 5.0]
        return float(away @ away), 2.0 * away

    found = minimise(bowl, np.zeros(2), BOX)
    assert_allclose(found.theta, [1.0, 3.0], atol=1e-5)
    assert found.converged
    assert found.residual < 1e-4
    assert found.values == [found.value]
    outside = minimise(bowl, np.array([9.0, 0.0]), BOX)
    assert_allclose(outside.theta, [1.0, 3.0], atol=1e-5)


def test_restarts_find_the_better_minimum_and_repeat() -> None:
    def double_well(theta: np.ndarray) -> tuple[float, np.ndarray]:
        x, y = theta
        return float((x**2 - 1) ** 2 + 0.3 * x + y**2), np.array([4 * x * (x**2 - 1) + 0.3, 2 * y])

    start = np.array([1.0, 0.5])
    local = minimise(double_well, start, BOX)
    assert local.theta[0] > 0
    first, again = (minimise(double_well, start, BOX, n_restarts=6, random_state=0) for _ in range(2))
    assert first.theta[0] < -0.9
    assert first.values == again.values
    assert len(first.values) == 7
    assert first.value == min(first.values)


def test_where_there_is_no_value_the_search_turns_back() -> None:
    def half(theta: np.ndarray) -> tuple[float, np.ndarray]:
        if theta[0] > 1.0:
            raise np.linalg.LinAlgError
        return float((theta[0] - 0.9) ** 4 - theta[0]), np.array([4 * (theta[0] - 0.9) ** 3 - 1.0])

    found = minimise(half, np.array([-2.0]), BOX[:1])
    assert found.theta[0] <= 1.0
    assert found.value == pytest.approx(-1.0, abs=0.2)
    with pytest.raises(np.linalg.LinAlgError, match="no value at any start"):
        minimise(half, np.array([2.0]), BOX[:1])
    with pytest.raises(np.linalg.LinAlgError):
        minimise(lambda t: (float("nan"), t), np.array([2.0]), BOX[:1])


def test_what_refuses_a_theta_is_turned_back_from_and_told_at_the_start() -> None:
    def half(theta: np.ndarray) -> tuple[float, np.ndarray]:
        if theta[0] > 1.0:
            raise InputError("no further than 1")
        return -float(theta[0]), np.array([-1.0])

    found = minimise(half, np.array([-2.0]), BOX[:1], n_restarts=3, random_state=0)  # some begin where it is refused
    assert 0.0 < found.theta[0] <= 1.0
    assert np.inf in found.values
    with pytest.raises(InputError, match="no further than 1"):
        minimise(half, np.array([2.0]), BOX[:1], n_restarts=3, random_state=0)


def test_an_end_before_convergence_is_told() -> None:
    def rosenbrock(theta: np.ndarray) -> tuple[float, np.ndarray]:
        x, y = theta
        return (float(100 * (y - x * x) ** 2 + (1 - x) ** 2),
                np.array([-400 * x * (y - x * x) - 2 * (1 - x), 200 * (y - x * x)]))  # fmt: skip

    found = minimise(rosenbrock, np.array([-1.2, 1.0]), BOX, max_iter=3)
    assert not found.converged
    assert found.residual > 0.1
    assert minimise(rosenbrock, np.array([-1.2, 1.0]), BOX).converged


@pytest.mark.parametrize("options", [{"n_restarts": -1}, {"n_restarts": 1.5}, {"max_iter": 0}, {"max_iter": True}])
def test_bad_counts(options: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="expected a whole number at least"):
        minimise(lambda t: (0.0, t), np.zeros(2), BOX, **options)
