"""Cards of selectors of landmarks, Nystrom features and kernels on grids: the standard library and the core only."""

from __future__ import annotations

import math

from kernreg_core import Card, Claim, Reference

_WILLIAMS_SEEGER = Reference(
    title="Using the Nystrom Method to Speed Up Kernel Machines",
    authors=("Christopher K. I. Williams", "Matthias Seeger"),
    year=2000,
    venue="Advances in Neural Information Processing Systems",
)
_KMEANS_PLUS_PLUS = Reference(
    title="k-means++: The Advantages of Careful Seeding",
    authors=("David Arthur", "Sergei Vassilvitskii"),
    year=2007,
    venue="ACM-SIAM Symposium on Discrete Algorithms",
)
_MUSCO = Reference(
    title="Recursive Sampling for the Nystrom Method",
    authors=("Cameron Musco", "Christopher Musco"),
    year=2017,
    arxiv="1605.07583",
)
_ALAOUI = Reference(
    title="Fast Randomized Kernel Ridge Regression with Statistical Guarantees",
    authors=("Ahmed El Alaoui", "Michael W. Mahoney"),
    year=2015,
    venue="Advances in Neural Information Processing Systems",
)
_RPCHOLESKY = Reference(
    title="Randomly pivoted Cholesky: Practical approximation of a kernel matrix with few entry evaluations",
    authors=("Yifan Chen", "Ethan N. Epperly", "Joel A. Tropp", "Robert J. Webber"),
    year=2022,
    arxiv="2207.06503",
)
_REJECTION = Reference(
    title="Embrace rejection: Kernel matrix approximation by accelerated randomly pivoted Cholesky",
    authors=("Ethan N. Epperly", "Joel A. Tropp", "Robert J. Webber"),
    year=2024,
    arxiv="2410.03969",
)
_SAATCI = Reference(
    title="Scalable Inference for Structured Gaussian Process Models",
    authors=("Yunus Saatci",),
    year=2011,
    venue="PhD thesis, University of Cambridge",
)
_KISS_GP = Reference(
    title="Kernel Interpolation for Scalable Structured Gaussian Processes (KISS-GP)",
    authors=("Andrew Gordon Wilson", "Hannes Nickisch"),
    year=2015,
    arxiv="1503.01057",
)
_AMMAR_GRAGG = Reference(
    title="Superfast Solution of Real Positive Definite Toeplitz Systems",
    authors=("Gregory S. Ammar", "William B. Gragg"),
    year=1988,
    venue="SIAM Journal on Matrix Analysis and Applications",
    doi="10.1137/0609005",
)
_RNG = "seed: the same object selects the same items again"


def _claim(
    paper: Reference, statement: str, measure: str, direction: str, threshold: float, cost: float, *needs: str
) -> Claim:
    return Claim(
        paper=paper,
        statement=statement,
        measure=f"kernreg_euclidean.claims_landmarks:{measure}",
        direction=direction,
        threshold=threshold,
        cost=cost,
        needs=needs,
    )


def _selector(
    short: str,
    summary: str,
    references: tuple[Reference, ...],
    parameters: dict[str, str],
    aliases: tuple[str, ...] = (),
    claims: tuple[Claim, ...] = (),
) -> Card:
    return Card(
        name=f"euclidean.{short}",
        kind="sampler",
        domain="vectors",
        summary=summary,
        tags=frozenset({"selector"}),
        references=references,
        parameters={**parameters, "rng": _RNG},
        aliases=aliases,
        example=f"kernreg_euclidean.examples_landmarks:{short}",
        claims=claims,
    )


CARDS: list[Card] = [
    _selector(
        "uniform_landmarks",
        "Items chosen uniformly at random, without replacement.",
        (_WILLIAMS_SEEGER,),
        {},
    ),
    _selector(
        "kmeans_landmarks",
        "The seeds of k-means++ in the feature space of any kernel.",
        (_KMEANS_PLUS_PLUS,),
        {
            "kernel": "of any domain; None is the Euclidean distance",
            "n_trials": "candidates for each seed, of which the best is taken",
            "block": "proposals made together",
        },
        ("k-means++", "D2 sampling"),
        (
            _claim(
                _KMEANS_PLUS_PLUS,
                "The expected cost of k seeds is at most 8 (ln k + 2) times the least there is.",
                "kmeans_seeding",
                "<=",
                8.0 * (math.log(25) + 2.0),
                1.0,
            ),
        ),
    ),
    _selector(
        "leverage_landmarks",
        "Items sampled by ridge leverage scores: exact, or recursive for many items.",
        (_MUSCO, _ALAOUI),
        {
            "kernel": "positive semi-definite, of any domain; None is RBF",
            "alpha": "ridge penalty of the scores; None: what so many landmarks resolve",
            "method": "auto, exact or recursive",
        },
        ("RLS sampling", "recursive Nystrom"),
        (
            _claim(
                _MUSCO,
                "About d log d landmarks by recursive leverage scores approximate K to within alpha in spectral norm.",
                "leverage_guarantee",
                "<=",
                1.0,
                2.0,
            ),
        ),
    ),
    _selector(
        "pivoted_cholesky",
        "Pivots of a partial Cholesky factorisation: randomly pivoted (RPCholesky) or greedy.",
        (_RPCHOLESKY, _REJECTION),
        {
            "kernel": "positive semi-definite, of any domain; None is RBF",
            "method": "random or greedy",
            "block": "proposals made together",
            "tol": "relative residual trace below which nothing is left to explain",
            "keep_factor": "whether the factor is kept",
        },
        ("RPCholesky", "randomly pivoted Cholesky"),
        (
            _claim(
                _RPCHOLESKY,
                "With rare clusters and outliers it errs at most a tenth as much as uniform landmarks.",
                "rpcholesky_rare_clusters",
                "<=",
                0.1,
                1.0,
            ),
            _claim(
                _RPCHOLESKY,
                "r + r log(1 / eta) pivots have at most twice the expected error eta of the best rank r.",
                "rpcholesky_guarantee",
                "<=",
                2.0,
                1.0,
            ),
            _claim(
                _REJECTION,
                "Blocks of pivots with rejection have the law of one pivot at a time: mean errors agree to 12 percent.",
                "rpcholesky_blocks",
                "<=",
                0.12,
                2.0,
            ),
        ),
    ),
    Card(
        name="euclidean.nystrom",
        kind="kernel",
        domain="vectors",
        summary="Nystrom approximation of a kernel of any domain, with its exact features.",
        capabilities=frozenset(
            {"symmetric", "psd", "features", "diag", "matvec", "fitted", "prepare", "differentiable"}
        ),
        tags=frozenset({"large_scale"}),
        references=(_WILLIAMS_SEEGER, _RPCHOLESKY),
        parameters={
            "kernel": "positive semi-definite, of any domain; None is RBF",
            "n_features": "number of landmarks",
            "selector": "uniform, kmeans, leverage, pivoted_cholesky, an entry's name or a selector",
            "landmarks": "given landmarks in place of selected ones",
            "rng": "seed of the selection",
        },
        aliases=("Nystroem", "subset of regressors", "DTC"),
        example="kernreg_euclidean.examples_landmarks:nystrom",
        claims=(
            _claim(
                _WILLIAMS_SEEGER,
                "One in seven items as landmarks costs ridge regression at most a tenth of its accuracy.",
                "nystrom_accuracy",
                "<=",
                1.1,
                1.0,
            ),
        ),
    ),
    Card(
        name="euclidean.grid",
        kind="kernel",
        domain="vectors",
        summary="A kernel on a regular grid: products, solutions and determinants by Kronecker or Toeplitz structure.",
        capabilities=frozenset(
            {
                "symmetric",
                "psd",
                "stationary",
                "normalized",
                "diag",
                "gradients",
                "differentiable",
                "matvec",
                "solve",
            }
        ),
        tags=frozenset({"large_scale", "gaussian_process"}),
        references=(_SAATCI, _KISS_GP, _AMMAR_GRAGG),
        parameters={"kernel": "on vectors; None is RBF"},
        aliases=("Kronecker", "Toeplitz", "lattice"),
        example="kernreg_euclidean.examples_landmarks:grid",
        claims=(
            _claim(
                _SAATCI,
                "Eigenvectors of the small factors give solutions and determinants on a grid exactly: to 1e-8.",
                "kronecker_systems",
                "<=",
                1e-8,
                1.0,
            ),
            _claim(
                _AMMAR_GRAGG,
                "One column of a Toeplitz matrix gives its solutions and its determinant: to 1e-8 of the dense ones.",
                "toeplitz_systems",
                "<=",
                1e-8,
                1.0,
            ),
        ),
    ),
]
