"""The kit on kernels of other libraries, through adapters of a few lines or as they are."""

from __future__ import annotations

import numpy as np
import pytest

from kernreg_core.testing import check

PROPERTIES = {"symmetric", "psd", "normalized"}


def test_a_gpytorch_kernel_through_an_adapter() -> None:
    gpytorch = pytest.importorskip("gpytorch")
    torch = pytest.importorskip("torch")

    class Adapter:
        """k(X, Y) of a GPyTorch kernel, dense."""

        def __init__(self, kernel):
            self.kernel = kernel

        def __call__(self, X, Y=None):
            with torch.no_grad():
                return self.kernel(X, X if Y is None else Y).to_dense()

    X = torch.from_numpy(np.random.default_rng(0).standard_normal((12, 3)))
    known = {"torch_dtype_is_kept": "float64 parameters make float64 values of float32 items"}
    kernel = Adapter(gpytorch.kernels.RBFKernel().double())
    report = check(kernel, X, capabilities={"psd", "normalized"}, expected_failures=known)
    assert report.passed, report
    assert report.counts["passed"] >= 30
    assert {r.capability for r in report if r.status == "passed"} >= {"psd", "normalized"}


def test_rounding_that_is_not_symmetric_is_found() -> None:
    def uneven(X, Y=None):
        K = X @ (X if Y is None else Y).T
        return K + 1e-6 * np.triu(np.ones_like(K), 1) if Y is None else K

    report = check(uneven, capabilities={"symmetric"}, only="symmetric*")
    assert not report.passed


def test_a_scikit_learn_kernel_as_it_is() -> None:
    kernels = pytest.importorskip("sklearn.gaussian_process.kernels")
    report = check(kernels.RBF(2.0), capabilities=PROPERTIES - {"symmetric"})
    assert report.passed, report
    assert report.counts["passed"] >= 30


def test_a_kernel_that_lies_is_found_out() -> None:
    def distance(X, Y=None):
        Y = X if Y is None else Y
        return ((X[:, None] - Y[None]) ** 2).sum(-1)

    report = check(distance, capabilities=PROPERTIES)
    failed = {result.capability for result in report.failures}
    assert {"psd", "normalized"} <= failed
    assert "symmetric" not in failed
