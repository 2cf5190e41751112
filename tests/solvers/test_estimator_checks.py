"""scikit-learn's own checks. Every expected failure has its reason, and one that passes is a failure."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.estimator_checks import parametrize_with_checks
from solver_kernels import Gauss

from kernreg_core.errors import KernregWarning
from kernreg_solvers import KernelLogisticClassifier, KernelPCA, KernelRidge

ESTIMATORS = [
    solver(kernel=kernel)
    for solver in (KernelRidge, KernelLogisticClassifier, KernelPCA)
    for kernel in (None, "precomputed", Gauss(lengthscale=2.0))
]

_INDEFINITE = "the check {} a Gram matrix, which makes it indefinite: the objective has no minimum, and fit says so"
_LOGISTIC_PRECOMPUTED = {
    "check_positive_only_tag_during_fit": _INDEFINITE.format("subtracts a constant from"),
    "check_estimators_dtypes": _INDEFINITE.format("truncates to integers"),
    "check_decision_proba_consistency": "the check passes an (80, 2) array to an estimator tagged pairwise",
}


def expected_failures(estimator: Any) -> dict[str, str]:
    precomputed = isinstance(estimator.kernel, str)
    return _LOGISTIC_PRECOMPUTED if precomputed and isinstance(estimator, KernelLogisticClassifier) else {}


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures)
def test_scikit_learn(estimator: Any, check: Any) -> None:
    name = getattr(check, "func", check).__name__
    if name == "check_array_api_input":
        pytest.skip("needs SCIPY_ARRAY_API=1 when scipy is first imported; tensors are tested in test_domains.py")
    with warnings.catch_warnings():
        if name == "check_positive_only_tag_during_fit":
            warnings.simplefilter("ignore", KernregWarning)  # it makes a Gram matrix indefinite
        if name == "check_n_features_in":
            warnings.simplefilter("ignore", ConvergenceWarning)  # it sets max_iter too small to converge
        check(estimator)
