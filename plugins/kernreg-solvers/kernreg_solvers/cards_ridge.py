"""Cards of the ridge and logistic solvers for many rows: the standard library and the core only."""

from __future__ import annotations

from kernreg_core import Card, Claim, Reference

# -- papers that several cards cite ------------------------------------------------------------

MISSPECIFIED = Reference(
    title="On the Optimality of Misspecified Kernel Ridge Regression",
    authors=("Haobo Zhang", "Yicheng Li", "Weihao Lu", "Qian Lin"),
    year=2023,
    venue="International Conference on Machine Learning",
    arxiv="2305.07241",
)
GOLUB = Reference(
    title="Generalized Cross-Validation as a Method for Choosing a Good Ridge Parameter",
    authors=("Gene H. Golub", "Michael Heath", "Grace Wahba"),
    year=1979,
    venue="Technometrics 21",
    doi="10.1080/00401706.1979.10489751",
)

# -- Falkon ---------------------------------------------------------------------------------

_RUDI = Reference(
    title="FALKON: An Optimal Large Scale Kernel Method",
    authors=("Alessandro Rudi", "Luigi Carratino", "Lorenzo Rosasco"),
    year=2017,
    venue="Advances in Neural Information Processing Systems 30",
    arxiv="1705.10958",
)
_MARTEAU = Reference(
    title="Globally Convergent Newton Methods for Ill-conditioned Generalized Self-concordant Losses",
    authors=("Ulysse Marteau-Ferey", "Francis Bach", "Alessandro Rudi"),
    year=2019,
    venue="Advances in Neural Information Processing Systems 32",
    arxiv="1907.01771",
)
_GROSSO = Reference(
    title="Fast kernel methods for Data Quality Monitoring as a goodness-of-fit test",
    authors=(
        "Gaia Grosso",
        "Nicolò Lai",
        "Marco Letizia",
        "Jacopo Pazzini",
        "Marco Rando",
        "Lorenzo Rosasco",
        "Andrea Wulzer",
        "Marco Zanetti",
    ),
    year=2023,
    venue="Machine Learning: Science and Technology 4",
    arxiv="2303.05413",
    doi="10.1088/2632-2153/acebb7",
)
_FALKON_PARAMETERS = {
    "n_centers": "m, taken from the items; 10 times the root of their number by default",
    "centers": "the centres themselves",
    "selector": "what picks the centres; None picks uniformly",
    "max_iter": "steps at most",
    "memory_budget": "bytes of kernel values that are kept between passes; 1 GiB by default",
    "random_state": "draws the centres and the preconditioner's rows",
    "progress": "True, False, None (a bar where somebody looks) or a callable",
}


def _falkon_claim(
    paper: Reference, statement: str, measure: str, direction: str, threshold: float, cost: float
) -> Claim:
    return Claim(
        paper=paper,
        statement=statement,
        measure=f"kernreg_solvers.claims_falkon:{measure}",
        direction=direction,
        threshold=threshold,
        cost=cost,
    )


_FALKON_CLAIMS = (
    _falkon_claim(
        _RUDI,
        "Centres in the order of the root of n learn as well as all items: with 4 sqrt(n) the error is at most 1.05 "
        "times exact ridge regression's.",
        "accuracy_of_root_n_centers", "<=", 1.05, 1.5,
    ),
    _falkon_claim(
        _RUDI,
        "The preconditioner makes the system well conditioned: 20 steps or fewer reach a residual of 1e-6.",
        "steps_to_the_solution", "<=", 20.0, 1.5,
    ),
    _falkon_claim(
        _GROSSO,
        "Its predictions are those of the dense solution on the same centres, to 1e-5.",
        "dense_solution", "<=", 1e-5, 0.5,
    ),
    _falkon_claim(
        MISSPECIFIED,
        "On a target outside the kernel's space, below the embedding index, the squared error still falls at the "
        "minimax rate with centres in the order of the root of n: the exponent is within 0.08 of 0.444.",
        "rate_on_centers", "<=", 0.08, 2.0,
    ),
)  # fmt: skip
_LOGISTIC_FALKON_CLAIMS = (
    _falkon_claim(
        _GROSSO,
        "The learnt likelihood ratio is a powerful test of goodness of fit: at 5 % it finds a bump of 40 beside 400 "
        "with a power of at least 0.9.",
        "likelihood_ratio_power", ">=", 0.9, 4.0,
    ),
    _falkon_claim(
        _GROSSO,
        "Toys from the reference calibrate the statistic: its level over 200 others is between 0.02 and 0.09.",
        "likelihood_ratio_level", "<=", 0.035, 6.0,
    ),
    _falkon_claim(
        _MARTEAU,
        "Newton steps with a falling penalty reach the optimum of an ill-conditioned problem: the gradient's norm is "
        "at most 1e-6.",
        "logistic_gradient", "<=", 1e-6, 1.0,
    ),
    _falkon_claim(
        _MARTEAU,
        "With all items as centres its probabilities are kernel logistic classification's, to 1e-5.",
        "full_logistic", "<=", 1e-5, 1.0,
    ),
)  # fmt: skip

_FALKON: list[Card] = [
    Card(
        name="solver.falkon",
        kind="solver",
        summary="Falkon: kernel ridge regression on Nystrom centres by preconditioned conjugate gradients, in blocks.",
        tags=frozenset({"regression", "large_scale"}),
        references=(_RUDI, GOLUB, _GROSSO, MISSPECIFIED),
        claims=_FALKON_CLAIMS,
        aliases=("Falkon", "FALKON", "Nystrom kernel ridge regression", "subset of regressors"),
        parameters={
            "kernel": "None (linear), a kernel object, any callable (X, Y) -> matrix, or a name",
            "alpha": "ridge penalty, above 0, one or one for each target; or 'gcv', which chooses it",
            "fit_intercept": "whether an intercept without penalty is fitted",
            "tol": "relative residual at which it stops",
            **_FALKON_PARAMETERS,
        },
        example="kernreg_solvers.examples_falkon:falkon",
    ),
    Card(
        name="solver.logistic_falkon",
        kind="solver",
        summary="Logistic Falkon: kernel logistic classification on Nystrom centres, by preconditioned Newton steps.",
        tags=frozenset({"classification", "large_scale"}),
        references=(_MARTEAU, _GROSSO, _RUDI),
        claims=_LOGISTIC_FALKON_CLAIMS,
        aliases=("LogisticFalkon", "large-scale kernel logistic regression", "NPLM"),
        parameters={
            "kernel": "None (linear), a kernel object, any callable (X, Y) -> matrix, or a name",
            "alpha": "penalty, above 0; 1/C of scikit-learn's LogisticRegression",
            "fit_intercept": "whether an intercept without penalty is fitted",
            "class_weight": "weight of each class, or 'balanced'",
            "tol": "error of the logits at which it stops",
            **_FALKON_PARAMETERS,
        },
        example="kernreg_solvers.examples_falkon:logistic_falkon",
    ),
]

# -- EigenPro -------------------------------------------------------------------------------

_MA = Reference(
    title="Kernel machines that adapt to GPUs for effective large batch training",
    authors=("Siyuan Ma", "Mikhail Belkin"),
    year=2019,
    venue="Proceedings of Machine Learning and Systems 1",
    arxiv="1806.06144",
)
_ABEDSOLTAN = Reference(
    title="Toward Large Kernel Models",
    authors=("Amirhesam Abedsoltan", "Mikhail Belkin", "Parthe Pandit"),
    year=2023,
    venue="International Conference on Machine Learning",
    arxiv="2302.02605",
)
_DESCENT_PARAMETERS = {
    "n_epochs": "passes through the items, at most",
    "n_subsamples": "items that the spectrum is estimated on",
    "n_eigenpairs": "q, how many eigenvalues are lowered; chosen by the spectrum where it is None",
    "batch_size": "m, chosen by the spectrum where it is None",
    "step_size": "eta, chosen by the spectrum where it is None",
    "memory_budget": "bytes, 1 GiB by default",
    "random_state": "draws the subsample and the order of the items",
    "progress": "True, False, None (a bar where somebody looks) or a callable",
}


def _eigenpro_claim(
    paper: Reference, statement: str, measure: str, direction: str, threshold: float, cost: float
) -> Claim:
    return Claim(
        paper=paper,
        statement=statement,
        measure=f"kernreg_solvers.claims_eigenpro:{measure}",
        direction=direction,
        threshold=threshold,
        cost=cost,
    )


_EIGENPRO3_CLAIMS = (
    _eigenpro_claim(
        _ABEDSOLTAN,
        "After at most 30 epochs the training error is within 5 % of the direct solution's on the same centres.",
        "near_the_direct_solution", "<=", 0.05, 2.0,
    ),
    _eigenpro_claim(
        _ABEDSOLTAN,
        "Without the preconditioner the projected descent takes at least 5 times as many epochs, with equal batches.",
        "preconditioner_saves_epochs", ">=", 5.0, 1.0,
    ),
    _eigenpro_claim(
        _ABEDSOLTAN,
        "Model and data have sizes of their own: with 300 centres, accuracy on digits does not fall as data grow.",
        "more_data_at_fixed_size", ">=", 0.0, 2.0,
    ),
    _eigenpro_claim(
        _ABEDSOLTAN,
        "With 300 centres and 1297 items, accuracy on digits is at least 0.97.",
        "digits_at_fixed_size", ">=", 0.97, 2.0,
    ),
    _eigenpro_claim(
        _ABEDSOLTAN,
        "An inexact projection predicts what the exact one does, to one per cent.",
        "inexact_projection", "<=", 1e-2, 3.0,
    ),
)  # fmt: skip
_EIGENPRO2_CLAIM = _eigenpro_claim(
    _MA,
    "The preconditioner lets batches be large: with equal ones, plain descent takes at least 5 times as many epochs.",
    "large_batches", ">=", 5.0, 2.0,
)  # fmt: skip

_EIGENPRO: list[Card] = [
    Card(
        name="solver.eigenpro2",
        kind="solver",
        summary="EigenPro 2: kernel interpolation by preconditioned stochastic gradient descent, all items as centres.",
        tags=frozenset({"regression", "large_scale"}),
        references=(_MA,),
        claims=(_EIGENPRO2_CLAIM,),
        aliases=("EigenPro 2.0", "EigenPro2", "preconditioned SGD"),
        parameters={
            "kernel": "None (linear), a kernel object, any callable (X, Y) -> matrix, a name, or 'precomputed'",
            **_DESCENT_PARAMETERS,
            "tol": "residual, as a fraction of the targets, at which it stops; None: n_epochs passes",
            "early_stopping": "whether items are held out to tell when to stop",
            "validation_fraction": "how many are held out",
            "n_iter_no_change": "epochs without a smaller error after which it stops",
        },
        example="kernreg_solvers.examples_eigenpro:eigenpro2",
    ),
    Card(
        name="solver.eigenpro3",
        kind="solver",
        summary="EigenPro 3: least squares on centres of their own, of any size, by projected preconditioned descent.",
        tags=frozenset({"regression", "large_scale"}),
        references=(_ABEDSOLTAN,),
        claims=_EIGENPRO3_CLAIMS,
        aliases=("EigenPro 3.0", "EigenPro3", "large kernel models"),
        parameters={
            "kernel": "None (linear), a kernel object, any callable (X, Y) -> matrix, or a name",
            "n_centers": "p, taken from the items; 10 times the root of their number by default",
            "centers": "the centres themselves",
            "selector": "what picks the centres; None picks uniformly",
            **_DESCENT_PARAMETERS,
            "projection": "'auto', 'exact' (Cholesky) or 'inexact' (EigenPro 2 on the centres)",
            "eigenfunctions": "'centers' (ends at the direct solution) or 'items' (as in the paper)",
            "tol": "relative fall of the residual in an epoch below which it stops; None: n_epochs passes",
        },
        example="kernreg_solvers.examples_eigenpro:eigenpro3",
    ),
]

# -- conjugate gradients, features, the choice among them, rates -----------------------------

_DIAZ = Reference(
    title="Robust, randomized preconditioning for kernel ridge regression",
    authors=("Mateo Díaz", "Ethan N. Epperly", "Zachary Frangella", "Joel A. Tropp", "Robert J. Webber"),
    year=2023,
    arxiv="2304.12465",
)
_CUTAJAR = Reference(
    title="Preconditioning Kernel Matrices",
    authors=("Kurt Cutajar", "Michael A. Osborne", "John P. Cunningham", "Maurizio Filippone"),
    year=2016,
    venue="International Conference on Machine Learning",
    arxiv="1602.06693",
)
_RAHIMI = Reference(
    title="Random Features for Large-Scale Kernel Machines",
    authors=("Ali Rahimi", "Benjamin Recht"),
    year=2007,
    venue="Advances in Neural Information Processing Systems 20",
)
_RIDGE_KERNEL = "None (linear), a kernel object, any callable (X, Y) -> matrix, an entry's name, or 'precomputed'"


def _rate_claim(measure: str, cost: float, how: str = "") -> Claim:
    return Claim(
        paper=MISSPECIFIED,
        statement="On a target outside the kernel's space, below the embedding index, the squared error still falls at "
        f"the minimax rate{how}: the exponent is within 0.08 of 0.444.",
        measure=f"kernreg_solvers.claims_ridge:{measure}",
        direction="<=",
        threshold=0.08,
        cost=cost,
    )


_RIDGE: list[Card] = [
    Card(
        name="solver.krr_cg",
        kind="solver",
        summary="Exact kernel ridge regression without the Gram matrix: preconditioned conjugate gradients.",
        tags=frozenset({"regression", "large_scale"}),
        references=(_DIAZ, _CUTAJAR, MISSPECIFIED),
        claims=(
            Claim(
                paper=_DIAZ,
                statement="With a randomly pivoted Cholesky factor as preconditioner a fifth of plain conjugate "
                "gradients' iterations, or fewer, reach the same residual.",
                measure="kernreg_solvers.claims_ridge:preconditioned_iterations",
                direction="<=",
                threshold=0.2,
                cost=2.0,
            ),
            _rate_claim("rate_of_conjugate_gradients", 1.0),
        ),
        aliases=("KernelRidgeCG", "conjugate gradients", "CG", "BBMM", "preconditioned kernel ridge regression"),
        parameters={
            "kernel": _RIDGE_KERNEL,
            "alpha": "ridge penalty, above 0; one for all targets or one for each",
            "fit_intercept": "whether an intercept without penalty is fitted",
            "preconditioner": "'random' or 'greedy' pivoted Cholesky, or None",
            "rank": "columns of the preconditioner; four times the root of n by default",
            "tol": "residual, as a fraction of the targets, at which it stops",
            "max_iter": "iterations at most",
            "memory_budget": "bytes; the Gram matrix is kept where it takes no more; 1 GiB by default",
            "random_state": "draws the preconditioner's columns",
            "progress": "True, False, None (a bar where somebody looks) or a callable",
        },
        example="kernreg_solvers.examples_ridge:krr_cg",
    ),
    Card(
        name="solver.feature_ridge",
        kind="solver",
        summary="Ridge regression on a kernel's exact or random features, in one pass, from memory-mapped rows too.",
        tags=frozenset({"regression", "large_scale"}),
        references=(_RAHIMI, GOLUB, MISSPECIFIED),
        claims=(_rate_claim("rate_of_features", 1.0),),
        aliases=("FeatureRidge", "random feature ridge regression", "streaming ridge regression"),
        parameters={
            "kernel": "None (linear), a kernel object or name with the capability features or random_features",
            "alpha": "ridge penalty, at least 0, one or one for each target; or 'gcv' or 'loo', which choose it",
            "fit_intercept": "whether an intercept without penalty is fitted",
            "batch_size": "rows of a block; such that its features take 32 MB by default",
            "keep_normal": "whether fit keeps its sums, for refit and partial_fit; None: where they take 8 MB at most",
            "progress": "True, False, None (a bar where somebody looks) or a callable",
        },
        example="kernreg_solvers.examples_ridge:feature_ridge",
    ),
    Card(
        name="solver.auto_krr",
        kind="solver",
        summary="Kernel ridge regression by the solver that suits the data, the kernel and the budgets; says why.",
        tags=frozenset({"regression", "large_scale"}),
        references=(MISSPECIFIED,),
        claims=(_rate_claim("rate_of_the_choice", 2.0, ", whichever solver it takes"),),
        aliases=("AutoKernelRidge", "automatic kernel ridge regression", "which solver"),
        parameters={
            "kernel": _RIDGE_KERNEL,
            "alpha": "ridge penalty, at least 0, one or one for each target; or 'gcv' or 'loo', which choose it",
            "fit_intercept": "whether an intercept without penalty is fitted",
            "exact": "whether approximations are left out",
            "memory_budget": "bytes that fit may take; half of what is available by default",
            "time_budget": "seconds that fit should take; 60 by default, None for any number",
            "random_state": "draws the sample that is timed, and goes to the solver",
        },
        example="kernreg_solvers.examples_ridge:auto_krr",
    ),
    Card(
        name="solver.learning_rate",
        kind="solver",
        summary="The exponent with which a regressor's error falls in n, its interval, and what theory says.",
        tags=frozenset({"diagnostic", "regression"}),
        references=(MISSPECIFIED,),
        claims=(_rate_claim("diagnosed_rate", 2.0, ", as the diagnostic measures it"),),
        aliases=("LearningRate", "learning curve", "convergence rate", "diag.learning_rate"),
        parameters={
            "estimator": "a regressor; kernel ridge regression by default",
            "sizes": "numbers of items; five, from an eighth of what there is, by default",
            "repeats": "fits of each size",
            "penalty": "n -> alpha, 'optimal' (takes source and decay), or None: the estimator's own",
            "parameter": "the estimator's parameter that penalty sets",
            "truth": "items -> targets without noise; without it errors are those of held-out targets",
            "basis": "Mercer basis of the kernel: errors are then integrals",
            "gamma": "errors are in the norm of [H]^gamma; above 0 it takes basis",
            "n_terms": "terms of the basis that predictions are integrated against",
            "noise": "variance of held-out targets about the truth, which is subtracted",
            "source": "s, the smoothness of the target relative to the kernel",
            "decay": "beta, the decay of the kernel's eigenvalues",
            "test_size": "part of the items that is held out",
            "confidence": "of the interval",
            "random_state": "draws the parts",
        },
        example="kernreg_solvers.examples_ridge:learning_rate",
    ),
]

CARDS: list[Card] = [*_FALKON, *_EIGENPRO, *_RIDGE]
