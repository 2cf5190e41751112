"""Bad input: the design's errors, which name the argument, what came, what was expected and what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError as SklearnNotFittedError
from solver_kernels import KINDS, WORDS, Gauss, Spectrum, Unusable

import kernreg_core as kr
from kernreg_core.errors import InputError, ParameterError, UnknownNameError
from kernreg_solvers import (
    AutoKernelRidge,
    EigenPro3,
    Falkon,
    GaussianProcessRegressor,
    KernelKMeans,
    KernelLogisticClassifier,
    KernelNovelty,
    KernelPCA,
    KernelRidge,
    KernelRidgeCG,
    LogisticFalkon,
    NotFittedError,
    OneClassClassifier,
    SparseGaussianProcessRegressor,
)

SOLVERS = [KernelRidge, KernelLogisticClassifier, KernelPCA]
X = np.random.default_rng(0).standard_normal((12, 3))
Y = np.arange(12) % 2


def method(model: Any) -> Any:
    return model.transform if isinstance(model, KernelPCA) else model.predict


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    ("bad", "match"),
    [
        (np.where(np.arange(36).reshape(12, 3) == 5, np.nan, X), "contains NaN"),
        (np.where(np.arange(36).reshape(12, 3) == 5, np.inf, X), "contains infinity"),
        (np.empty((0, 3)), "0 sample"),
        (np.empty((12, 0)), "0 feature"),
        (X[:, 0], "[Rr]eshape your data"),
        (X[None], "dim 3|3 dim|Found array with dim"),
        (np.array([["a", "b", "c"]] * 12), "[Uu]nable to convert|could not convert|string"),
        (1j * X, "[Cc]omplex"),
    ],
    ids=["nan", "inf", "no-rows", "no-columns", "one-dim", "three-dims", "strings", "complex"],
)
def test_bad_vectors(solver: Any, bad: Any, match: str) -> None:
    for kernel in (None, Gauss()):
        with pytest.raises(InputError, match=match):
            solver(kernel=kernel).fit(bad, Y)
        fitted = solver(kernel=kernel).fit(X, Y)
        with pytest.raises(InputError, match=match):
            method(fitted)(bad)


@pytest.mark.parametrize("solver", SOLVERS)
def test_other_columns_than_in_fit(solver: Any) -> None:
    with pytest.raises(InputError, match="X has 2 features, but .* is expecting 3 features"):
        method(solver().fit(X, Y))(X[:, :2])


@pytest.mark.parametrize("solver", [KernelRidge, KernelLogisticClassifier])
def test_bad_targets(solver: Any) -> None:
    with pytest.raises(InputError, match="inconsistent numbers of samples"):
        solver().fit(X, Y[:-1])
    with pytest.raises(InputError, match=r"y: expected 12 targets, one for each item of X, got .*11"):
        solver(kernel=Spectrum()).fit(WORDS, KINDS[:-1])
    with pytest.raises(InputError, match="NaN"):
        solver().fit(X, np.where(Y == 1, np.nan, 0.0))
    with pytest.raises(InputError, match="requires y to be passed"):
        solver(kernel=Spectrum()).fit(WORDS, None)
    with pytest.raises(ValueError, match="requires y to be passed"):
        solver().fit(X, None)
    with pytest.raises(InputError, match="sample_weight"):
        solver().fit(X, Y, sample_weight=np.ones(3))
    with pytest.raises(InputError, match="sample_weight: expected numbers at least 0, got -1"):
        solver().fit(X, Y, sample_weight=-np.ones(12))
    with pytest.raises(InputError, match="zero"):
        solver().fit(X, Y, sample_weight=np.zeros(12))


def test_regression_targets_are_no_classes() -> None:
    with pytest.raises(ValueError, match="Unknown label type"):
        KernelLogisticClassifier().fit(X, X[:, 0])


@pytest.mark.parametrize("solver", SOLVERS)
def test_bad_lists(solver: Any) -> None:
    model = solver(kernel=Spectrum())
    with pytest.raises(InputError, match="X: expected at least one item"):
        model.fit([], [])
    with pytest.raises(InputError, match="X: expected a list of sequences, got one str"):
        model.fit("abab", [1])
    with pytest.raises(InputError, match="pass a list"):
        model.fit((word for word in WORDS), KINDS)
    fitted = model.fit(WORDS, KINDS if solver is KernelLogisticClassifier else np.arange(12.0))
    with pytest.raises(InputError, match="X: expected at least one item"):
        method(fitted)([])


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize(
    ("kernel", "error", "match"),
    [
        (3.0, ParameterError, "kernel: expected a kernel object.*got float 3.0"),
        (Gauss, ParameterError, r"got the class Gauss: make an object of it, Gauss\(\.\.\.\)"),
        ([Gauss()], ParameterError, "got list of length 1"),
        (len, ParameterError, "which fails on 3 and 2 items"),
        (lambda x, y: float(np.dot(x[0], y[0])), ParameterError, r"not a matrix of shape \(3, 2\).*two single items"),
        (lambda x, y: np.ones((3, 3)), ParameterError, r"not a matrix of shape \(3, 2\)"),
        (lambda x, y: x @ np.triu(np.ones((3, 3))) @ y.T, InputError, "expected a symmetric kernel.*symmetrise it"),
        (lambda x, y: np.full((len(x), len(y)), np.nan), InputError, "NaN or infinite values"),
        (Unusable(capability="asymmetric"), ParameterError, "is asymmetric: X and Y have different roles"),
        (Unusable(capability="complex"), ParameterError, "is complex"),
        (Unusable(capability="matrix_valued"), ParameterError, "is matrix_valued"),
        (Unusable(capability="operator"), ParameterError, "is operator"),
        ("rbf", (UnknownNameError, ParameterError), "rbf"),
        ("euclidean.no_such_kernel", UnknownNameError, "no_such_kernel"),
    ],
)
def test_a_kernel_that_is_none(solver: Any, kernel: Any, error: Any, match: str) -> None:
    model = solver(kernel=kernel)
    repr(model)
    model.get_params()
    with pytest.raises(error, match=match):
        model.fit(X, Y)


@pytest.mark.parametrize("alpha", [-1.0, np.nan, np.inf, "much", None, [1.0, 2.0], [[1.0]]])
@pytest.mark.parametrize("solver", [KernelRidge, KernelLogisticClassifier])
def test_bad_penalties(solver: Any, alpha: Any) -> None:
    with pytest.raises(ParameterError, match="alpha: expected"):
        solver(alpha=alpha).fit(X, Y)


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"alpha": 0.0}, "alpha: expected a finite number above 0, got 0.0"),
        ({"solver": "sag"}, "solver: expected one of 'auto', 'newton', 'lbfgs', got 'sag'"),
        ({"tol": 0}, "tol: expected"),
        ({"max_iter": 0.5}, "max_iter: expected a whole number at least 1"),
        ({"class_weight": {0: -1.0, 1: 1.0}}, "class_weight: expected finite numbers at least 0"),
        ({"class_weight": "fair"}, "class_weight"),
    ],
)
def test_bad_parameters_of_the_classifier(parameters: dict[str, Any], match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        KernelLogisticClassifier(**parameters).fit(X, Y)


@pytest.mark.parametrize("solver", SOLVERS)
def test_before_fit(solver: Any) -> None:
    for caught in (NotFittedError, SklearnNotFittedError, kr.NotFittedError, ValueError, AttributeError):
        with pytest.raises(caught, match="not fitted yet"):
            method(solver())(X)
    with pytest.raises(NotFittedError):
        raise NotFittedError("it can be raised")


@pytest.mark.parametrize("solver", SOLVERS)
def test_after_a_fit_that_failed(solver: Any) -> None:
    model = solver().fit(X, Y)
    method(model)(X)
    with pytest.raises(InputError):
        model.fit(X * np.nan, Y)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        method(model)(X)


@pytest.mark.parametrize("solver", SOLVERS)
def test_bad_precomputed_matrices(solver: Any) -> None:
    model = solver(kernel="precomputed")
    with pytest.raises(InputError, match=r"expected a square Gram matrix \(n, n\).*\(12, 3\)"):
        model.fit(X, Y)
    with pytest.raises(InputError, match="differs from its transpose"):
        model.fit(X @ np.triu(np.ones((3, 3))) @ X.T, Y)
    fitted = model.fit(X @ X.T, Y)
    with pytest.raises(InputError, match="is expecting 12 features"):
        method(fitted)(X)


@pytest.mark.parametrize("kernel", [None, "euclidean.rbf", "precomputed"])
def test_parameters_of_what_has_none(kernel: Any) -> None:
    with pytest.raises(ParameterError, match=r"kernel__lengthscale: kernel is .* pass .* first"):
        KernelRidge(kernel=kernel).set_params(kernel__lengthscale=2.0)
    model = KernelRidge(kernel=kernel).set_params(kernel=Gauss(), kernel__lengthscale=2.0)
    assert model.kernel.lengthscale == 2.0


def test_a_wrong_parameter_of_the_kernel_is_reported() -> None:
    with pytest.raises(ParameterError, match="no parameter 'width'"):
        KernelRidge(kernel=Gauss()).set_params(kernel__width=2.0)


DOMAINS = [
    KernelRidge, KernelLogisticClassifier, KernelPCA, Falkon, LogisticFalkon, KernelRidgeCG, EigenPro3, AutoKernelRidge,
    GaussianProcessRegressor, SparseGaussianProcessRegressor, KernelKMeans, OneClassClassifier, KernelNovelty,
]  # fmt: skip


@pytest.mark.parametrize("solver", DOMAINS)
def test_a_kernel_of_another_domain_than_the_data(solver: Any) -> None:
    with pytest.raises(ParameterError, match=r"kernel: .*rows of numbers.*got Spectrum\(\) of the domain 'sequences'"):
        solver(kernel=Spectrum()).fit(X, Y)
    with pytest.raises(InputError, match=r"items of type str, and Gauss\(\) takes rows of numbers"):
        solver(kernel=Gauss()).fit(WORDS, Y)


def test_a_kernel_on_sequences_may_take_rows() -> None:
    class Overlap(kr.BaseKernel):
        """Equal entries of two rows of codes."""

        domain = "sequences"
        capabilities = frozenset({"symmetric", "psd"})

        def evaluate(self, X: Any, Y: Any) -> Any:
            return (np.asarray(X)[:, None] == np.asarray(Y)[None]).sum(axis=-1).astype(float)

    codes = np.random.default_rng(0).integers(0, 3, (12, 5))
    model = KernelRidge(kernel=Overlap()).fit(codes, Y)
    assert model.predict(codes).shape == (12,)


def test_names_that_are_no_entries_are_told_by_argument() -> None:
    with pytest.raises(ParameterError, match=r"^kernel: expected 'family\.name'.*got 'rbf'"):
        KernelRidge(kernel="rbf").fit(X, Y)
    with pytest.raises(UnknownNameError, match=r"^kernel: no installed plugin offers 'nobody\.has_this'"):
        KernelRidge(kernel="nobody.has_this").fit(X, Y)
    with pytest.raises(ParameterError, match=r"^selector: expected 'family\.name'"):
        Falkon(kernel=Gauss(), selector="uniform").fit(X, Y)


def test_too_many_rows_for_a_matrix_are_told_which_solvers_take_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*args: Any, **kwargs: Any) -> Any:
        raise kr.GramMemoryError("80 GB")

    monkeypatch.setattr(kr, "gram", refuses)
    with pytest.raises(kr.GramMemoryError, match=r"80 GB\. Solvers that need no such matrix: solver\.falkon"):
        KernelRidge(kernel=Gauss()).fit(X, Y)
