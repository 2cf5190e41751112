"""Cards of the solvers: the standard library and the core only."""

from __future__ import annotations

from typing import Any

from kernreg_core import Card, Reference, hookimpl

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


@hookimpl
def kernreg_cards() -> list[Card]:
    """One card for each entry of this distribution."""
    return [
        Card(
            name="solver.krr",
            kind="solver",
            summary="Kernel ridge regression: squared loss, one Cholesky factorisation in place.",
            tags=frozenset({"regression"}),
            references=(_SAUNDERS,),
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
