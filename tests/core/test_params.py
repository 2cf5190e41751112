"""Parameters: stored untouched, set, cloned, pickled, printed so that they can be typed back."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
from sample_kernels import Dot, Draws, Rbf

import kernreg_core as kr
from kernreg_core.params import entropy, typable


def test_parameters_are_stored_untouched():
    value = [1, 2]
    kernel = Rbf(lengthscale=value)
    assert kernel.get_params()["lengthscale"] is value
    assert Rbf(lengthscale="nonsense").lengthscale == "nonsense"  # checked when used


def test_nested_parameters_are_seen_and_set():
    kernel = 2 * Rbf() + Dot()
    assert kernel.get_params()["k1__kernel__lengthscale"] == 1.0
    assert kernel.set_params(k1__kernel__lengthscale=3.0, k2__offset=1.0) is kernel
    assert (kernel.k1.kernel.lengthscale, kernel.k2.offset) == (3.0, 1.0)


def test_a_wrong_name_sets_nothing():
    kernel = Rbf(lengthscale=2.0)
    with pytest.raises(kr.ParameterError, match="Rbf has no parameter 'length'; it has: lengthscale"):
        kernel.set_params(lengthscale=3.0, length=1.0)
    assert kernel.lengthscale == 2.0
    with pytest.raises(ValueError, match="k9"):
        (Rbf() + Dot()).set_params(k9=Rbf())


def test_clone_keeps_parameters_and_forgets_the_rest():
    kernel = Rbf(lengthscale=[1.0])
    kernel.learnt_ = 3
    fresh = kr.clone(kernel)
    assert type(fresh) is Rbf
    assert fresh.lengthscale == [1.0]
    assert fresh.lengthscale is not kernel.lengthscale
    assert not hasattr(fresh, "learnt_")
    assert copy.deepcopy(kernel).learnt_ == 3


def test_a_shared_part_is_cloned_once():
    shared = Rbf()
    fresh = kr.clone(shared + shared * Dot())
    assert fresh.k1 is fresh.k2.k1
    assert fresh.k1 is not shared


def test_scikit_learn_clones_kernels():
    base = pytest.importorskip("sklearn.base", reason="scikit-learn is not installed")
    kernel = 2 * Rbf(lengthscale=np.array([1.0, 2.0])) + Dot()
    fresh = base.clone(kernel)
    assert repr(fresh) == repr(kernel)
    assert fresh.k1.kernel is not kernel.k1.kernel


@pytest.mark.parametrize("rng", [5, None, "generator"])
def test_one_integer_is_drawn_once_and_carried(rng):
    rng = np.random.default_rng(1) if rng == "generator" else rng
    obj = Draws(rng=rng)
    unpickled = pickle.loads(pickle.dumps(obj))  # before anything was drawn
    assert entropy(obj) == entropy(unpickled) == entropy(copy.deepcopy(obj)) == entropy(obj)
    assert obj.rng is rng
    obj.set_params(scale=2.0)
    assert entropy(obj) == entropy(unpickled)
    obj.set_params(rng=6)
    assert entropy(obj) == 6


def test_a_generator_is_not_shared_by_two_objects():
    generator = np.random.default_rng(0)
    assert entropy(Draws(rng=generator)) != entropy(Draws(rng=generator))
    assert entropy(Draws()) != entropy(Draws())


@pytest.mark.parametrize("rng", [-1, 1.5, "seed", True])
def test_what_is_no_rng(rng):
    with pytest.raises(kr.ParameterError, match="rng: expected"):
        entropy(Draws(rng=rng))


@pytest.mark.parametrize(
    "value",
    [1, 2.5, True, None, "text", [1, 2.0], (1,), (), {"a": [1.0]}, np.float64(2.0), np.int32(3), np.array([1.0, 2.0]),
     np.array([[1, 2]]), np.array([1.0], dtype="float32"), math.inf, -math.inf, np.array(3.0)],
)  # fmt: skip
def test_values_can_be_typed_back(value):
    back = eval(typable(value), {"np": np})
    np.testing.assert_equal(back, value.item() if isinstance(value, np.generic) else value)
    if isinstance(value, np.ndarray):
        assert back.dtype == value.dtype


def test_a_repr_hides_defaults_by_value_and_type():
    assert repr(Rbf()) == "Rbf()"
    assert repr(Rbf(lengthscale=1.0)) == "Rbf()"
    assert repr(Rbf(lengthscale=1)) == "Rbf(lengthscale=1)"
    assert repr(Rbf(lengthscale=np.float64(2.0))) == "Rbf(lengthscale=2.0)"
    assert repr(Rbf(lengthscale=np.arange(100.0))) == "Rbf(lengthscale=<array of shape (100,)>)"


def test_pickle_keeps_parameters_and_drops_caches():
    kernel = (Rbf(lengthscale=2.0) + Dot()) ** 2
    kernel._cache = {"big": 1}
    back = pickle.loads(pickle.dumps(kernel))
    assert repr(back) == repr(kernel)
    assert not hasattr(back, "_cache")


def test_constructors_must_name_their_parameters():
    class Vague(kr.Parametrized):
        def __init__(self, **anything):
            self.anything = anything

    with pytest.raises(TypeError, match="must name its parameters"):
        Vague().get_params()


def test_a_wrong_nested_name_leaves_the_outer_object_as_it_was():
    kernel = kr.Scaled(kernel=Rbf(), variance=2.0)
    with pytest.raises(kr.ParameterError, match="Rbf has no parameter 'length'"):
        kernel.set_params(variance=3.0, kernel__length=1.0)
    assert kernel.variance == 2.0
    with pytest.raises(kr.ParameterError, match="kernel__lengthscale cannot be set, because kernel is None"):
        kr.Scaled(kernel=None).set_params(kernel__lengthscale=1.0)
    fresh = Dot()
    kernel.set_params(kernel=fresh, kernel__offset=4.0)  # the new one's parameter, as in scikit-learn
    assert (kernel.kernel, fresh.offset) == (fresh, 4.0)


def test_kernels_in_lists_are_cloned_and_not_copied_with_what_they_learnt():
    inner = Rbf()
    inner.learnt_ = 1
    fresh = kr.clone(Draws(scale=[inner, (inner,), {"k": inner}]))
    first, (second,), third = fresh.scale[0], fresh.scale[1], fresh.scale[2]["k"]
    assert first is second is third
    assert first is not inner
    assert not hasattr(first, "learnt_")


def test_a_long_double_has_a_repr():
    assert "longdouble" in typable(np.longdouble(2)) or typable(np.longdouble(2)) == "2.0"


def test_threads_draw_one_entropy():
    from concurrent.futures import ThreadPoolExecutor

    for _ in range(20):
        obj = Draws()
        with ThreadPoolExecutor(4) as pool:
            assert len(set(pool.map(lambda _, o=obj: entropy(o), range(8)))) == 1


def test_grid_search_reaches_parameters_and_whole_kernels():
    svm = pytest.importorskip("sklearn.svm", reason="scikit-learn is not installed")
    from sklearn.model_selection import GridSearchCV

    rows = np.random.default_rng(0).standard_normal((30, 2))
    labels = (rows[:, 0] > 0).astype(int)
    grid = {"kernel": [Rbf(), 2 * Rbf() + Dot()], "C": [1.0, 10.0]}
    search = GridSearchCV(svm.SVC(kernel=Rbf()), grid, cv=2).fit(rows, labels)
    assert search.best_score_ > 0.6
    nested = svm.SVC(kernel=2 * Rbf()).set_params(kernel__kernel__lengthscale=3.0)
    assert nested.kernel.kernel.lengthscale == 3.0
