"""Cards of the solvers: the standard library and the core only."""

from __future__ import annotations

from typing import Any

from kernreg_core import Card, Claim, Reference, hookimpl

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

_MISSPECIFIED = Reference(
    title="On the Optimality of Misspecified Kernel Ridge Regression",
    authors=("Haobo Zhang", "Yicheng Li", "Weihao Lu", "Qian Lin"),
    year=2023,
    venue="International Conference on Machine Learning",
    arxiv="2305.07241",
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
        "misspecified_rate", "<=", 0.08, 5.0,
    ),
    _claim(
        _MISSPECIFIED,
        "The rate takes a penalty that falls with n as it should: with the fixed penalty 1e-9 the exponent is below "
        "0.2.",
        "fixed_penalty_rate", "<=", 0.2, 5.0,
    ),
    _claim(
        _SAUNDERS,
        "Regression in dual variables predicts what ridge regression on the kernel's features predicts.",
        "dual_form", "<=", 1e-8, 0.5,
    ),
)  # fmt: skip
_LOGISTIC_CLAIM = _claim(
    _ZHU,
    "It classifies as well as the support vector machine: its error is at most 0.01 larger.",
    "logistic_against_svm", "<=", 0.01, 2.0,
)  # fmt: skip
_PCA_CLAIM = _claim(
    _SCHOELKOPF,
    "On handwritten digits a linear classifier errs at most three quarters as often on nonlinear components.",
    "nonlinear_components", "<=", 0.75, 6.0,
)  # fmt: skip


@hookimpl
def kernreg_cards() -> list[Card]:
    """One card for each entry of this distribution."""
    return [
        Card(
            name="solver.krr",
            kind="solver",
            summary="Kernel ridge regression: squared loss, one Cholesky factorisation in place.",
            tags=frozenset({"regression"}),
            references=(_SAUNDERS, _MISSPECIFIED),
            claims=_KRR_CLAIMS,
            aliases=("kernel ridge regression", "KernelRidge", "KRR"),
            parameters={
                "kernel": _KERNEL,
                "alpha": "ridge penalty, at least 0; one for all targets or one for each",
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
            summary="Kernel principal component analysis: centred, few components by a block Krylov subspace.",
            tags=frozenset({"decomposition"}),
            references=(_SCHOELKOPF,),
            claims=(_PCA_CLAIM,),
            aliases=("kernel principal component analysis", "KernelPCA", "KPCA"),
            parameters={
                "n_components": "components to keep; all with a positive eigenvalue by default",
                "kernel": _KERNEL,
                "eigen_solver": "'auto', 'dense' or 'subspace'",
                "tol": "relative residual at which 'subspace' stops",
                "max_iter": "block products that 'subspace' may take",
                "remove_zero_eig": "whether zero eigenvalues are dropped where n_components is given",
                "fit_inverse_transform": "whether pre-images are learnt, on vectors",
                "alpha": "ridge penalty of the pre-images",
                "random_state": "draws the block that 'subspace' starts from",
            },
            example="kernreg_solvers.examples:kernel_pca",
        ),
    ]


@hookimpl
def kernreg_demo() -> list[Any]:
    """Demonstrations for ``kernreg demo``."""
    from . import examples

    return examples.demo()
