"""Cards of random features: the standard library and the core only."""

from __future__ import annotations

from kernreg_core import Card, Claim, Reference

_RAHIMI_RECHT = Reference(
    title="Random Features for Large-Scale Kernel Machines",
    authors=("Ali Rahimi", "Benjamin Recht"),
    year=2007,
    venue="Advances in Neural Information Processing Systems",
)
_ORTHOGONAL = Reference(
    title="Orthogonal Random Features",
    authors=("Felix X. Yu", "Ananda Theertha Suresh", "Krzysztof Choromanski", "Daniel Holtmann-Rice", "Sanjiv Kumar"),
    year=2016,
    arxiv="1610.09072",
)
_QUASI = Reference(
    title="Quasi-Monte Carlo Feature Maps for Shift-Invariant Kernels",
    authors=("Haim Avron", "Vikas Sindhwani", "Jiyan Yang", "Michael W. Mahoney"),
    year=2016,
    arxiv="1412.8293",
)
_PERFORMERS = Reference(
    title="Rethinking Attention with Performers",
    authors=("Krzysztof Choromanski", "Valerii Likhosherstov", "David Dohan", "Xingyou Song", "Andreea Gane"),
    year=2021,
    arxiv="2009.14794",
)
_SIMPLEX = Reference(
    title="Simplex Random Features",
    authors=("Isaac Reid", "Krzysztof Choromanski", "Valerii Likhosherstov", "Adrian Weller"),
    year=2023,
    arxiv="2301.13856",
)
_PHAM_PAGH = Reference(
    title="Fast and scalable polynomial kernels via explicit feature maps",
    authors=("Ninh Pham", "Rasmus Pagh"),
    year=2013,
    venue="ACM SIGKDD International Conference on Knowledge Discovery and Data Mining",
    doi="10.1145/2487575.2487591",
)
_WIDTH = "number of features, D"
_RNG = "what is drawn; an integer draws the same each time"
_SAMPLER = "where frequencies come from by quasi-Monte Carlo: a sampler's name, class or object"


def _claim(paper: Reference, statement: str, measure: str, direction: str, threshold: float, cost: float) -> Claim:
    return Claim(
        paper=paper,
        statement=statement,
        measure=f"kernreg_euclidean.claims_features:{measure}",
        direction=direction,
        threshold=threshold,
        cost=cost,
    )


def _card(
    short: str,
    summary: str,
    capabilities: set[str],
    tags: set[str],
    references: tuple[Reference, ...],
    parameters: dict[str, str],
    aliases: tuple[str, ...],
    claims: tuple[Claim, ...],
) -> Card:
    return Card(
        name=f"euclidean.{short}",
        kind="kernel",
        domain="vectors",
        summary=summary,
        capabilities=frozenset(capabilities),
        tags=frozenset(tags),
        references=references,
        parameters=parameters,
        aliases=aliases,
        example=f"kernreg_euclidean.examples_features:{short}",
        claims=claims,
    )


_RBF = {"symmetric", "psd", "stationary", "normalized", "diag", "matvec", "gradients", "differentiable"}

CARDS: list[Card] = [
    _card(
        "random_fourier",
        "Any stationary kernel, with random Fourier features.",
        _RBF | {"random_features"},
        {"spectral", "large_scale"},
        (_RAHIMI_RECHT, _ORTHOGONAL, _QUASI, _SIMPLEX),
        {
            "kernel": "stationary, with spectral_sample; None is RBF()",
            "n_features": _WIDTH,
            "coupling": "'iid', 'orthogonal', 'structured' or 'simplex' frequencies",
            "sampler": _SAMPLER,
            "rng": _RNG,
        },
        ("random kitchen sinks", "RFF", "orthogonal random features", "RBF sampler"),
        (
            _claim(
                _ORTHOGONAL,
                "Orthogonal frequencies err less than independent ones: the ratio of root mean squared errors is at "
                "most 0.7 in 16 dimensions.",
                "orthogonal_features", "<=", 0.7, 1.0,
            ),
            _claim(
                _QUASI,
                "Quasi-Monte Carlo frequencies err less than independent ones: the ratio is at most 0.8 in 4 "
                "dimensions.",
                "quasi_monte_carlo_features", "<=", 0.8, 2.0,
            ),
        ),
    ),
    _card(
        "positive_features",
        "Gaussian kernel with positive random features; simplex coupling.",
        _RBF | {"random_features"},
        {"radial", "large_scale"},
        (_SIMPLEX, _PERFORMERS, _ORTHOGONAL),
        {
            "lengthscale": "one positive number in the units of X, or one for each feature (ARD)",
            "n_features": _WIDTH,
            "coupling": "'iid', 'orthogonal', 'structured', 'simplex', 'simplex_plus'; None: 'simplex' or the sampler",
            "sampler": _SAMPLER,
            "rng": _RNG,
        },
        ("simplex random features", "SimRF", "FAVOR+", "positive random features"),
        (
            _claim(
                _SIMPLEX,
                "Mean squared error of simplex features below that of orthogonal ones, and theirs below that of "
                "independent ones: the larger of the two ratios stays below 1 (measured).",
                "simplex_features", "<=", 1.0, 1.0,
            ),
            _claim(
                _SIMPLEX,
                "The same in closed form, wherever x and y lie: in 2 to 64 dimensions, for |x + y| up to 2.",
                "simplex_everywhere", "<=", 1.0, 1.0,
            ),
        ),
    ),
    _card(
        "tensor_sketch",
        "Polynomial kernel with random features by count sketch and FFT.",
        {"symmetric", "psd", "diag", "matvec", "gradients", "differentiable", "random_features"},
        {"dot_product", "large_scale"},
        (_PHAM_PAGH,),
        {
            "degree": "p >= 1",
            "gamma": "positive factor of the inner product; None is 1 / number of features",
            "coef0": "c; negative makes the kernel indefinite, without features",
            "n_features": _WIDTH,
            "rng": _RNG,
        },
        ("polynomial count sketch", "TensorSketch"),
        (
            _claim(
                _PHAM_PAGH,
                "The error of D features falls like D^-1/2: the exponent is within 0.1 of -1/2.",
                "tensor_sketch_rate", "<=", 0.1, 2.0,
            ),
        ),
    ),
]  # fmt: skip
