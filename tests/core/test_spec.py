"""Specs: an object as JSON and back."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from sample_kernels import Dot, Rbf

import kernreg_core as kr


@pytest.fixture(autouse=True)
def registered():
    kr.register(Rbf, name="test.rbf")
    kr.register(Dot, name="test.dot")
    yield
    kr.unregister("test.rbf")
    kr.unregister("test.dot")


@pytest.mark.parametrize(
    "kernel",
    [
        Rbf(lengthscale=2.0),
        Rbf(lengthscale=np.array([1.0, 2.0], dtype=np.float32)),
        Rbf(lengthscale=(1.0, [2, None, "text", True])),
        Rbf(lengthscale={"a": [1.0]}),
        Rbf(lengthscale=math.inf),
        Rbf(lengthscale=-math.inf),
        Rbf(lengthscale=1 + 2j),
        2 * Rbf() + Dot(offset=3.0) * kr.normalize(Dot()) ** 2,
    ],
    ids=repr,
)
def test_round_trips_through_json_text(kernel):
    text = json.dumps(kr.spec(kernel), allow_nan=False)
    back = kr.from_spec(text)
    assert repr(back) == repr(kernel)
    assert type(back) is type(kernel)


def test_what_a_spec_says():
    found = kr.spec(2 * Rbf(lengthscale=np.float64(3.0)))
    assert (found["name"], found["distribution"]) == ("core.scaled", "kernreg-core")
    assert found["version"] == kr.__version__
    assert found["params"]["kernel"]["params"] == {"lengthscale": 3.0}


def test_tensors():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    back = kr.from_spec(json.dumps(kr.spec(Rbf(lengthscale=torch.tensor([1.0, 2.0], dtype=torch.float64)))))
    assert back.lengthscale.dtype == torch.float64
    assert back.lengthscale.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (Rbf(lengthscale=np.random.default_rng()), r"object.lengthscale: .*Generator.* has no JSON form"),
        (Rbf() + Dot(offset=lambda: 1), "object.k2.offset: function"),
        (Rbf(lengthscale=np.ones(5000)), "object.lengthscale: .*too large for a spec"),
        (Rbf(lengthscale=np.array([None])), "has no JSON form"),
        (Rbf() + (lambda X, Y: X @ Y.T), "object.k2"),
        (object(), "expected an object of a registered class"),
        (Rbf, "expected an object of a registered class"),
    ],
)
def test_what_has_no_json_form_is_named(kernel, message):
    with pytest.raises(kr.SpecError, match=message):
        kr.spec(kernel)


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ("{", kr.SpecError, "expected JSON"),
        ("[1]", kr.SpecError, "expected a spec with 'name' and 'params'"),
        ({"name": "test.rbf"}, kr.SpecError, "expected a spec"),
        ({"name": "test.rbff", "params": {}}, kr.UnknownNameError, "test.rbf"),
        ({"name": "test.rbf", "params": {"l": 1}}, kr.ParameterError, "unexpected keyword"),
        ({"name": "test.rbf", "params": {"lengthscale": {"x": 1}}}, kr.SpecError, "data.lengthscale: expected a spec"),
        ({"name": "test.rbf", "params": {"lengthscale": {"__array__": [1]}}}, kr.SpecError, "expected an array with"),
    ],
)
def test_what_is_no_spec(data, error, message):
    with pytest.raises(error, match=message):
        kr.from_spec(data)


@pytest.mark.parametrize(
    "value",
    [{"__float__": "text"}, {"__float__": []}, {"__complex__": [1]}, {"__complex__": 3}, {"__complex__": ["a", "b"]}],
)
def test_what_is_no_number(value):
    with pytest.raises(kr.SpecError, match="data.lengthscale: expected a number"):
        kr.from_spec({"name": "test.rbf", "params": {"lengthscale": value}})
