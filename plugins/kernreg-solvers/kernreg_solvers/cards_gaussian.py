"""Cards of Gaussian processes and of what learns a kernel: the standard library and the core only."""

from __future__ import annotations

from kernreg_core import Card, Claim, Reference

# -- Gaussian processes ---------------------------------------------------------------------

_GPML = Reference(
    title="Gaussian Processes for Machine Learning",
    authors=("Carl Edward Rasmussen", "Christopher K. I. Williams"),
    year=2006,
    venue="MIT Press",
    url="https://gaussianprocess.org/gpml/",
)
_TITSIAS = Reference(
    title="Variational Learning of Inducing Variables in Sparse Gaussian Processes",
    authors=("Michalis K. Titsias",),
    year=2009,
    venue="International Conference on Artificial Intelligence and Statistics",
    url="https://proceedings.mlr.press/v5/titsias09a.html",
)
_WILLIAMS = Reference(
    title="Bayesian Classification with Gaussian Processes",
    authors=("Christopher K. I. Williams", "David Barber"),
    year=1998,
    venue="IEEE Transactions on Pattern Analysis and Machine Intelligence 20",
    doi="10.1109/34.735807",
)
_SEARCH = {
    "optimizer": "'likelihood', or None to keep all parameters",
    "parameters": "names of the parameters to learn; every positive float by default",
    "bounds": "{name: (low, high)} or {name: 'fixed'}; from the scale of the data by default",
    "n_restarts": "further starts, log-uniform within the bounds",
    "max_iter": "iterations of the search from each start, at most",
}
_REGRESSION = {
    "noise": "variance of the targets' noise, where the search starts",
    "mean": "'zero', 'constant' (the most likely one) or a number",
    "normalize_y": "whether targets are centred and scaled to a variance of 1 for the fit",
    **_SEARCH,
}


def _process_claim(
    paper: Reference, statement: str, measure: str, direction: str, threshold: float, cost: float
) -> Claim:
    return Claim(
        paper=paper,
        statement=statement,
        measure=f"kernreg_solvers.claims_gaussian:{measure}",
        direction=direction,
        threshold=threshold,
        cost=cost,
    )


#: What papers state about the entries; the measures' docstrings say how each is measured, and why this threshold.
_GP_CLAIMS = (
    _process_claim(
        _GPML,
        "The prediction is the joint normal distribution of old and new values, conditioned on the targets.",
        "conditioning", "<=", 1e-10, 0.5,
    ),
    _process_claim(
        _GPML,
        "Parameters of the largest marginal likelihood give honest intervals: 95 % of them hold 95 % of new targets, "
        "within 2 %.",
        "learnt_intervals", "<=", 0.02, 1.0,
    ),
)  # fmt: skip
_SPARSE_CLAIMS = (
    _process_claim(
        _TITSIAS,
        "The bound is never above the log marginal likelihood, and rises with each inducing point.",
        "bound_from_below", "<=", 1e-6, 0.5,
    ),
    _process_claim(
        _TITSIAS,
        "The sparse posterior is nearer to the exact one than that of the inducing points' own data: a tenth of the "
        "distance at most.",
        "better_than_subset", "<=", 0.1, 1.0,
    ),
)  # fmt: skip
_CLASSIFIER_CLAIMS = (
    _process_claim(
        _WILLIAMS,
        "Parameters learnt without cross-validation give a log loss as low as logistic regression with it, within "
        "0.03.",
        "laplace_against_logistic", "<=", 0.03, 1.0,
    ),
    _process_claim(
        _GPML,
        "Learnt from classes alone, probabilities are near the true ones: 0.08 of log loss at most.",
        "near_the_truth", "<=", 0.08, 1.0,
    ),
)  # fmt: skip

_PROCESSES: list[Card] = [
    Card(
        name="solver.gp",
        kind="solver",
        summary="Exact Gaussian process regression: mean, variance, samples; any kernel's parameters by likelihood.",
        tags=frozenset({"regression", "gaussian_process"}),
        references=(_GPML,),
        claims=_GP_CLAIMS,
        aliases=("Gaussian process regression", "GaussianProcessRegressor", "kriging", "GPR"),
        parameters={
            "kernel": "None (linear), a kernel object, any callable (X, Y) -> matrix, a name, or 'precomputed'",
            **_REGRESSION,
            "random_state": "draws the restarts",
        },
        example="kernreg_solvers.examples_gaussian:gp",
    ),
    Card(
        name="solver.sparse_gp",
        kind="solver",
        summary="Sparse variational Gaussian process regression on inducing items, streamed over any number of rows.",
        tags=frozenset({"regression", "gaussian_process", "large_scale"}),
        references=(_TITSIAS,),
        claims=_SPARSE_CLAIMS,
        aliases=("SGPR", "SparseGaussianProcessRegressor", "inducing points", "collapsed bound"),
        parameters={
            "kernel": "None (linear), a kernel object, any callable (X, Y) -> matrix, or a name",
            "n_centers": "number of inducing items; 500 by default",
            "centers": "the inducing items themselves",
            "selector": "what picks them from the items; None picks uniformly",
            "optimise_inducing": "whether they are moved too, by PyTorch",
            **_REGRESSION,
            "random_state": "draws the inducing items and the restarts",
            "progress": "True, False, None (a bar where somebody looks) or a callable",
        },
        example="kernreg_solvers.examples_gaussian:sparse_gp",
    ),
    Card(
        name="solver.gp_classifier",
        kind="solver",
        summary="Gaussian process classification by Laplace's approximation, with averaged probabilities.",
        tags=frozenset({"classification", "gaussian_process"}),
        references=(_GPML, _WILLIAMS),
        claims=_CLASSIFIER_CLAIMS,
        aliases=("Gaussian process classification", "GaussianProcessClassifier", "GPC", "Laplace approximation"),
        parameters={
            "kernel": "None (linear), a kernel object, any callable (X, Y) -> matrix, or a name",
            "likelihood": "'logistic' or 'probit'",
            "multi_class": "'one_vs_rest' or 'multinomial' (one softmax)",
            **_SEARCH,
            "random_state": "draws the restarts",
        },
        example="kernreg_solvers.examples_gaussian:gp_classifier",
    ),
]

# -- learning a kernel ----------------------------------------------------------------------

_CORTES = Reference(
    title="Algorithms for Learning Kernels Based on Centered Alignment",
    authors=("Corinna Cortes", "Mehryar Mohri", "Afshin Rostamizadeh"),
    year=2012,
    venue="Journal of Machine Learning Research 13",
    arxiv="1203.0550",
)
_ALLEN = Reference(
    title="The Relationship Between Variable Selection and Data Augmentation and a Method for Prediction",
    authors=("David M. Allen",),
    year=1974,
    venue="Technometrics 16",
    doi="10.1080/00401706.1974.10489157",
)
_HEURISTIC = Reference(
    title="Large Sample Analysis of the Median Heuristic",
    authors=("Damien Garreau", "Wittawat Jitkrittum", "Motonobu Kanagawa"),
    year=2017,
    arxiv="1707.07269",
)
_SHARED = {
    "kernel": "a kernel object or an entry's name: its numbers are where the search starts",
    "parameters": "names of the parameters to learn; every positive float by default",
    "bounds": "{name: (low, high)} or {name: 'fixed'}; from the scale of the data by default",
    "target": "'auto', 'classes' or 'numbers': what y holds",
    "max_items": "items that are looked at, at most",
    "n_restarts": "further starts within the bounds",
    "max_iter": "iterations of each start",
    "random_state": "draws items and starts",
}


def _learning_claim(paper: Reference, statement: str, measure: str, direction: str, threshold: float) -> Claim:
    return Claim(
        paper=paper,
        statement=statement,
        measure=f"kernreg_solvers.claims_learning:{measure}",
        direction=direction,
        threshold=threshold,
        cost=1.0,
    )


_LEARNING: list[Card] = [
    Card(
        name="solver.alignment",
        kind="solver",
        summary="Learns a kernel's parameters by centred alignment with the targets; weights of sums, too.",
        tags=frozenset({"classification", "regression"}),
        references=(_CORTES,),
        claims=(
            _learning_claim(
                _CORTES,
                "A combination of kernels whose weights maximise the alignment errs less than the uniform one.",
                "aligned_against_uniform", "<=", 0.9,
            ),
        ),
        aliases=("kernel-target alignment", "AlignmentLearner", "multiple kernel learning"),
        parameters={**_SHARED, "centered": "False is the alignment without centring"},
        example="kernreg_solvers.examples_learning:alignment",
    ),
    Card(
        name="solver.likelihood",
        kind="solver",
        summary="Learns a kernel's parameters, and the noise, by the marginal likelihood of a Gaussian process.",
        tags=frozenset({"gaussian_process", "regression"}),
        references=(_GPML,),
        aliases=("empirical Bayes", "type II maximum likelihood", "LikelihoodLearner"),
        parameters={**_SHARED, "noise": "noise variance, where the search starts"},
        example="kernreg_solvers.examples_learning:likelihood",
    ),
    Card(
        name="solver.cross_validation",
        kind="solver",
        summary="Learns a kernel's parameters, and the ridge penalty, by the leave-one-out error in closed form.",
        tags=frozenset({"regression"}),
        references=(_ALLEN,),
        claims=(
            _learning_claim(
                _ALLEN,
                "The leave-one-out error in closed form is that of as many fits as there are items.",
                "leave_one_out_by_fits", "<=", 1e-8,
            ),
        ),
        aliases=("leave-one-out", "PRESS", "CrossValidationLearner"),
        parameters={**_SHARED, "alpha": "ridge penalty, where the search starts"},
        example="kernreg_solvers.examples_learning:cross_validation",
    ),
    Card(
        name="solver.suggest",
        kind="solver",
        summary="Tries the registered kernels of the data's domain within a budget, beside linear and RBF baselines.",
        tags=frozenset({"classification", "regression", "diagnostic"}),
        references=(_HEURISTIC, _ALLEN),
        aliases=("kernel selection", "KernelSuggestion", "model selection"),
        parameters={
            "kernels": "names or kernels to try; every installed entry of the domain by default",
            "domain": "where it cannot be told from X",
            "target": "'auto', 'classes' or 'numbers': what y holds",
            "time_budget": "seconds after which no new kernel is started",
            "max_items": "items that the comparison looks at, at most",
            "cv": "folds",
            "refine": "whether other length scales of the best kernels are tried",
            "random_state": "draws items and folds",
            "progress": "whether a bar is shown",
        },
        example="kernreg_solvers.examples_learning:suggest",
    ),
]  # fmt: skip

CARDS: list[Card] = [*_PROCESSES, *_LEARNING]
