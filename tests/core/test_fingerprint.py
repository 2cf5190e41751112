"""Fingerprints: content, not identity, in any process."""

from __future__ import annotations

import copy
import subprocess
import sys

import numpy as np
import pytest
from sample_kernels import Dot, Draws, Rbf

import kernreg_core as kr
from kernreg_core import fingerprint

SAMPLES = [
    None, True, False, 0, 1, 1.0, -0.0, 0.0, 1j, "1", b"1", "", [], (), {}, [1], (1,), {"a": 1}, {"a": 1.0}, [[1], 2],
    [1, [2]],    {1, 2}, np.zeros(2), np.zeros(2, np.float32), np.zeros((2, 1)), np.zeros((1, 2)), np.array(["a", "b"]),
    np.array([1, "a"], object), ["ab", "c"], ["a", "bc"], Rbf(), Rbf(lengthscale=2.0), Dot(), Rbf() + Dot(),
    Dot() + Rbf(), 2 * Rbf(), Draws(rng=1), Draws(rng=2), np.sum, Rbf, float("nan"),
]  # fmt: skip


def test_different_content_differs():
    found = [fingerprint(sample) for sample in SAMPLES]
    assert len(set(found)) == len(SAMPLES)
    assert all(len(text) == 64 for text in found)


def test_equal_content_is_equal():
    for sample in SAMPLES:
        assert fingerprint(copy.deepcopy(sample)) == fingerprint(sample)
    assert fingerprint(np.asfortranarray(np.eye(3)[:, :2])) == fingerprint(np.eye(3)[:, :2].copy())
    assert fingerprint(np.arange(3).astype(">i8")) == fingerprint(np.arange(3).astype("<i8"))


def test_numpy_scalars_are_the_numbers_they_hold():
    assert fingerprint(np.float64(1.0)) == fingerprint(np.float32(1.0)) == fingerprint(1.0)
    assert fingerprint(np.int32(1)) == fingerprint(1)
    assert fingerprint(np.bool_(True)) == fingerprint(True)


def test_an_rng_enters_by_what_it_draws():
    assert fingerprint(Draws(rng=3)) == fingerprint(Draws(rng=3))
    assert fingerprint(Draws()) != fingerprint(Draws())
    obj = Draws()
    assert fingerprint(obj) == fingerprint(copy.deepcopy(obj))


def test_the_same_in_another_process():
    code = (
        "import numpy as np, kernreg_core as kr\n"
        "kernel = kr.normalize(kr.Scaled(kernel=np.dot, variance=2.0))\n"
        "print(kr.fingerprint([{'b', 'a', 'c'}, {'x': np.arange(3.)}, kernel]))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_objects_say_what_identifies_them():
    class Session:
        def __init__(self, key):
            self.key = key

        def __kernreg_fingerprint__(self):
            return [self.key]

    assert fingerprint(Session(1)) == fingerprint(Session(1))
    assert fingerprint(Session(1)) != fingerprint(Session(2))


@pytest.mark.parametrize(
    ("obj", "message"),
    [
        ([1, {"a": object()}], r"object\[1\]\['a'\]: object has no content"),
        (lambda x: x, "function has no content"),
        (Rbf(lengthscale=open), None),
        (Rbf(lengthscale=iter([1])), r"object.lengthscale: list_iterator"),
        (np.random.default_rng(), "Generator"),
    ],
)
def test_what_has_no_content_is_named(obj, message):
    if message is None:
        assert fingerprint(obj)  # a builtin's name says what it does
        return
    with pytest.raises(kr.FingerprintError, match=message) as raised:
        fingerprint(obj)
    assert isinstance(raised.value, TypeError)


def test_a_list_that_contains_itself():
    loop = [1]
    loop.append(loop)
    with pytest.raises(kr.FingerprintError, match="contains itself"):
        fingerprint(loop)


def test_graphs():
    networkx = pytest.importorskip("networkx", reason="networkx is not installed")
    graph = networkx.path_graph(4)
    assert fingerprint(graph) == fingerprint(networkx.path_graph(4))
    seen = {fingerprint(graph), fingerprint(networkx.DiGraph(graph)), fingerprint(networkx.cycle_graph(4))}
    graph.nodes[0]["label"] = 1
    seen.add(fingerprint(graph))
    graph.edges[0, 1]["weight"] = 2.0
    seen.add(fingerprint(graph))
    assert len(seen) == 5


def test_sparse_matrices_by_content():
    sparse = pytest.importorskip("scipy.sparse", reason="scipy is not installed")
    dense = np.array([[0.0, 1.0], [2.0, 0.0]])
    doubled = sparse.coo_array(([0.5, 0.5, 2.0], ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
    assert fingerprint(sparse.csr_array(dense)) == fingerprint(sparse.csc_array(dense)) == fingerprint(doubled)
    assert fingerprint(sparse.csr_array(dense)) != fingerprint(dense)


def test_tensors_and_frames():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    assert fingerprint(torch.ones(2)) == fingerprint(torch.ones(2))
    assert fingerprint(torch.ones(2)) != fingerprint(torch.ones(2).bfloat16())
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    assert fingerprint(pandas.DataFrame({"a": [1]})) != fingerprint(pandas.DataFrame({"b": [1]}))


def test_the_order_of_a_dictionary_is_no_content():
    assert fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    assert fingerprint({"a": 1, "b": 2}) != fingerprint({"a": 2, "b": 1})


def test_masks_and_bound_objects_are_content():
    values = np.array([1.0, 2.0])
    masked = [np.ma.masked_array(values, mask) for mask in ([0, 0], [0, 1], [1, 0])]
    assert len({fingerprint(values), *map(fingerprint, masked)}) == 4
    assert fingerprint(Rbf().diag) == fingerprint(Rbf().diag) != fingerprint(Rbf(lengthscale=2.0).diag)
    assert fingerprint(np.zeros(1, [("a", float)])) != fingerprint(np.zeros(1, [("b", float)]))


def test_what_was_learnt_is_content():
    kernel = Rbf()
    before = fingerprint(kernel)
    kernel.scale_ = np.ones(2)
    learnt = fingerprint(kernel)
    assert learnt != before
    assert fingerprint(copy.deepcopy(kernel)) == learnt
    assert fingerprint(kr.clone(kernel)) == before
    kernel._cache = {"anything": object()}
    assert fingerprint(kernel) == learnt


def test_trained_tensors_are_content():
    torch = pytest.importorskip("torch", reason="torch is not installed")

    class Trained(Rbf):
        capabilities = frozenset({"trainable"})

        def __init__(self, *, lengthscale=1.0):
            super().__init__(lengthscale=lengthscale)
            self._weight = torch.zeros(2)

        def state_dict(self):
            return {"weight": self._weight}

    kernel = Trained()
    before = fingerprint(kernel)
    kernel._weight += 1
    assert fingerprint(kernel) != before
    assert fingerprint(torch.tensor([1 + 2j]).conj()) == fingerprint(torch.tensor([1 - 2j]))
