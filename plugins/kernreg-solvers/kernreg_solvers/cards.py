"""Cards of the solvers: the standard library and the core only."""

from __future__ import annotations

from typing import Any

from kernreg_core import Card, Claim, Reference, hookimpl

from .cards_gaussian import CARDS as _GAUSSIAN
from .cards_ridge import CARDS as _RIDGE
from .cards_ridge import GOLUB as _GOLUB
from .cards_ridge import MISSPECIFIED as _MISSPECIFIED
from .cards_unsupervised import CARDS as _UNSUPERVISED
from .cards_unsupervised import CENTRES_CLAIM, EXPECTED_FAILURES, STERGE

_KERNEL = "None (linear), a kernel object, any callable (X, Y) -> matrix, an entry's name, or 'precomputed'"

_SAUNDERS = Reference(
    title="Ridge Regression Learning Algorithm in Dual Variables",
    authors=("Craig Saunders", "Alexander Gammerman", "Volodya Vovk"),
    year=1998,
    venue="International Conference on Machine Learning",
)
_ZHU = Reference(
    title="Kernel Logistic Regression and the Import Vector Machine",
    authors=("Ji Zhu", "Trevor Hastie"),
    year=2005,
    venue="Journal of Computational and Graphical Statistics 14",
    doi="10.1198/106186005X25619",
)
_SCHOELKOPF = Reference(
    title="Nonlinear Component Analysis as a Kernel Eigenvalue Problem",
    authors=("Bernhard Schölkopf", "Alexander Smola", "Klaus-Robert Müller"),
    year=1998,
    venue="Neural Computation 10",
    doi="10.1162/089976698300017467",
)
_ALLEN = Reference(
    title="The Relationship Between Variable Selection and Data Agumentation and a Method for Prediction",
    authors=("David M. Allen",),
    year=1974,
    venue="Technometrics 16",
    doi="10.1080/00401706.1974.10489157",
)


def _claim(paper: Reference, statement: str, measure: str, direction: str, threshold: float, cost: float) -> Claim:
    return Claim(
        paper=paper,
        statement=statement,
        measure=f"kernreg_solvers.claims:{measure}",
        direction=direction,
        threshold=threshold,
        cost=cost,
    )


#: What papers state about the entries; the measures' docstrings say how each is measured, and why this threshold.
_KRR_CLAIMS = (
    _claim(
        _MISSPECIFIED,
        "On a target outside the kernel's space, below the embedding index, the squared error still falls at the "
        "minimax rate: the exponent is within 0.08 of 0.444.",
        "misspecified_rate", "<=", 0.08, 2.0,
    ),
    _claim(
        _MISSPECIFIED,
        "The rate takes a penalty that falls with n as it should: with the fixed penalty 1e-9 the exponent is below "
        "0.2.",
        "fixed_penalty_rate", "<=", 0.2, 2.0,
    ),
    _claim(
        _SAUNDERS,
        "Regression in dual variables predicts what ridge regression on the kernel's features predicts.",
        "dual_form", "<=", 1e-8, 0.5,
    ),
    Claim(
        paper=_ALLEN,
        statement="The error of leaving out each item in turn follows from one fit: the closed form equals n refits.",
        measure="kernreg_solvers.claims_ridge:leave_one_out",
        direction="<=",
        threshold=1e-8,
        cost=1.0,
    ),
    Claim(
        paper=_GOLUB,
        statement="The penalty of least generalised cross-validation error is nearly as good as the best one: its true "
        "error is at most 1.3 times the least.",
        measure="kernreg_solvers.claims_ridge:cross_validated_penalty",
        direction="<=",
        threshold=1.3,
        cost=1.0,
    ),
)  # fmt: skip
_LOGISTIC_CLAIM = _claim(
    _ZHU,
    "It classifies as well as the support vector machine: its error is at most 0.01 larger.",
    "logistic_against_svm", "<=", 0.01, 1.0,
)  # fmt: skip
_PCA_CLAIM = _claim(
    _SCHOELKOPF,
    "On handwritten digits a linear classifier errs at most three quarters as often on nonlinear components.",
    "nonlinear_components", "<=", 0.75, 3.0,
)  # fmt: skip


@hookimpl
def kernreg_cards() -> list[Card]:
    """One card for each entry of this distribution."""
    return [
        Card(
            name="solver.krr",
            kind="solver",
            summary="Kernel ridge regression: one Cholesky factorisation in place, or the penalty in closed form.",
            tags=frozenset({"regression"}),
            references=(_SAUNDERS, _MISSPECIFIED, _ALLEN, _GOLUB),
            claims=_KRR_CLAIMS,
            aliases=("kernel ridge regression", "KernelRidge", "KRR"),
            parameters={
                "kernel": _KERNEL,
                "alpha": "ridge penalty, at least 0, one or one for each target; or 'loo' or 'gcv', which choose it",
                "fit_intercept": "whether an intercept without penalty is fitted",
            },
            example="kernreg_solvers.examples:krr",
        ),
        Card(
            name="solver.kernel_logistic",
            kind="solver",
            summary="Kernel logistic classification: probabilities of two classes or more, to a proven accuracy.",
            tags=frozenset({"classification"}),
            references=(_ZHU,),
            claims=(_LOGISTIC_CLAIM,),
            aliases=("kernel logistic regression", "KernelLogisticClassifier", "KLR"),
            parameters={
                "kernel": _KERNEL,
                "alpha": "penalty, above 0; 1/C of scikit-learn's LogisticRegression",
                "fit_intercept": "whether an intercept without penalty is fitted",
                "class_weight": "weight of each class, or 'balanced'",
                "solver": "'auto', 'newton' or 'lbfgs'",
                "tol": "proven error of every logit at which it stops",
                "max_iter": "iterations at most",
            },
            example="kernreg_solvers.examples:kernel_logistic",
        ),
        Card(
            name="solver.kernel_pca",
            kind="solver",
            summary="Kernel principal component analysis: by a block Krylov subspace, out of core, or on centres.",
            tags=frozenset({"decomposition", "large_scale"}),
            references=(_SCHOELKOPF, STERGE),
            claims=(_PCA_CLAIM, CENTRES_CLAIM),
            aliases=("kernel principal component analysis", "KernelPCA", "KPCA"),
            parameters={
                "n_components": "components to keep; all with a positive eigenvalue by default",
                "kernel": _KERNEL,
                "eigen_solver": "'auto', 'dense', 'subspace', 'matvec' (no matrix in memory) or 'nystrom' (centres)",
                "n_centers": "centres of 'nystrom' and of pre-images; 10 sqrt(n_samples) by default",
                "centers": "the centres themselves",
                "selector": "how they are picked: a selector, an entry's name, or None (uniformly)",
                "tol": "relative residual at which 'subspace' and 'matvec' stop",
                "max_iter": "block products that they may take",
                "memory_budget": "bytes that a Gram matrix may take; four fifths of what is available by default",
                "remove_zero_eig": "whether zero eigenvalues are dropped where n_components is given",
                "fit_inverse_transform": "whether pre-images are learnt, on vectors",
                "alpha": "ridge penalty of the pre-images",
                "random_state": "draws what the iteration starts from, and centres",
            },
            example="kernreg_solvers.examples:kernel_pca",
        ),
        *_RIDGE,
        *_GAUSSIAN,
        *_UNSUPERVISED,
    ]


@hookimpl
def kernreg_demo() -> list[Any]:
    """What ``kernreg demo`` runs for this plugin."""
    from . import demonstration

    return demonstration.demo()


@hookimpl
def kernreg_expected_failures() -> dict[str, dict[str, str]]:
    """Checks that entries are known to fail, each with its reason."""
    return EXPECTED_FAILURES
