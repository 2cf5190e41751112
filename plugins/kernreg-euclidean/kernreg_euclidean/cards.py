"""The cards of this plugin's entries. Imports the standard library and kernreg_core only."""

from __future__ import annotations

from kernreg_core import Card, Claim, Reference, hookimpl

from .cards_features import CARDS as _FEATURES
from .cards_landmarks import CARDS as _LANDMARKS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kernreg_core.demo import Demo

_GPML = Reference(
    title="Gaussian Processes for Machine Learning",
    authors=("Carl Edward Rasmussen", "Christopher K. I. Williams"),
    year=2006,
    venue="MIT Press",
    url="https://gaussianprocess.org/gpml/",
)
_LEARNING_WITH_KERNELS = Reference(
    title="Learning with Kernels",
    authors=("Bernhard Scholkopf", "Alexander J. Smola"),
    year=2002,
    venue="MIT Press",
)
_RANDOM_FEATURES = Reference(
    title="Random Features for Large-Scale Kernel Machines",
    authors=("Ali Rahimi", "Benjamin Recht"),
    year=2007,
    venue="Advances in Neural Information Processing Systems",
)
_STEIN = Reference(
    title="Interpolation of Spatial Data: Some Theory for Kriging",
    authors=("Michael L. Stein",),
    year=1999,
    venue="Springer",
    doi="10.1007/978-1-4612-1494-6",
)
_GORHAM_MACKEY = Reference(
    title="Measuring Sample Quality with Kernels",
    authors=("Jackson Gorham", "Lester Mackey"),
    year=2017,
    arxiv="1703.01717",
)
_MACKAY = Reference(
    title="Introduction to Gaussian Processes",
    authors=("David J. C. MacKay",),
    year=1998,
    venue="Neural Networks and Machine Learning",
)
_SPECTRAL_MIXTURE = Reference(
    title="Gaussian Process Kernels for Pattern Discovery and Extrapolation",
    authors=("Andrew Gordon Wilson", "Ryan Prescott Adams"),
    year=2013,
    arxiv="1302.4245",
)
_CHO_SAUL = Reference(
    title="Kernel Methods for Deep Learning",
    authors=("Youngmin Cho", "Lawrence K. Saul"),
    year=2009,
    venue="Advances in Neural Information Processing Systems",
)
_BLONDEL = Reference(
    title="Higher-Order Factorization Machines",
    authors=("Mathieu Blondel", "Akinori Fujino", "Naonori Ueda", "Masakazu Ishihata"),
    year=2016,
    arxiv="1607.07195",
)
_ZHANG = Reference(
    title="Local Features and Kernels for Classification of Texture and Object Categories: A Comprehensive Study",
    authors=("Jianguo Zhang", "Marcin Marszalek", "Svetlana Lazebnik", "Cordelia Schmid"),
    year=2007,
    venue="International Journal of Computer Vision",
    doi="10.1007/s11263-006-9794-4",
)
_LENGTHSCALE = "one positive number in the units of X, or one for each feature (ARD)"
_GAMMA = "positive factor of the inner product; None is 1 / number of features"


def _claim(
    paper: Reference, statement: str, measure: str, direction: str, threshold: float, cost: float, *needs: str
) -> Claim:
    return Claim(
        paper=paper,
        statement=statement,
        measure=f"kernreg_euclidean.claims:{measure}",
        direction=direction,
        threshold=threshold,
        cost=cost,
        needs=needs,
    )


#: What papers state about the entries; the measures' docstrings say how each is measured, and why this threshold.
_CLAIMS: dict[str, tuple[Claim, ...]] = {
    "rbf": (
        _claim(
            _RANDOM_FEATURES,
            "The error of D random Fourier features falls like D^-1/2: the exponent is within 0.1 of -1/2.",
            "rbf_random_features", "<=", 0.1, 1.0,
        ),
    ),
    "laplace": (
        _claim(
            _RANDOM_FEATURES,
            "Cauchy frequencies give the Laplace kernel: the exponent of the error in D is within 0.1 of -1/2.",
            "laplace_random_features", "<=", 0.1, 1.0,
        ),
    ),
    "matern": (
        _claim(
            _STEIN,
            "Interpolation on a grid of spacing h errs like h^nu: the exponents are within 0.1 of the orders.",
            "matern_interpolation", "<=", 0.1, 0.1,
        ),
        _claim(
            _GPML,
            "The kernel tends to the squared exponential as the order grows: they differ by at most 0.01 at order 160.",
            "matern_limit", "<=", 0.01, 0.1,
        ),
    ),
    "rational_quadratic": (
        _claim(
            _GPML,
            "It is the mixture of squared exponential kernels over a gamma law of inverse squared length scales.",
            "rational_quadratic_mixture", "<=", 1e-8, 1.0,
        ),
    ),
    "inverse_multiquadric": (
        _claim(
            _GORHAM_MACKEY,
            "On points that escape to infinity its Stein discrepancy stays, where the Gaussian kernel's vanishes: the "
            "exponent in n is at least -0.1.",
            "stein_detection", ">=", -0.1, 7.0,
        ),
    ),
    "periodic": (
        _claim(
            _MACKAY,
            "It is a prior of periodic functions: beyond the data it errs at most a fifth as much as RBF.",
            "periodic_continuation", "<=", 0.2, 0.1,
        ),
    ),
    "spectral_mixture": (
        _claim(
            _SPECTRAL_MIXTURE,
            "It extrapolates patterns where the RBF kernel reverts to the mean: it errs at most half as much.",
            "spectral_mixture_extrapolation", "<=", 0.5, 6.0,
        ),
    ),
    "polynomial": (
        _claim(
            _LEARNING_WITH_KERNELS,
            "On handwritten digits a machine of degree 3 errs at most three quarters as often as the linear one.",
            "polynomial_digits", "<=", 0.75, 2.0, "sklearn",
        ),
    ),
    "arc_cosine": (
        _claim(
            _CHO_SAUL,
            "Layers of random threshold units of orders 0, 1, 2 tend to it: the exponent of the error in the width is "
            "within 0.1 of -1/2.",
            "arc_cosine_layers", "<=", 0.1, 0.5,
        ),
    ),
    "anova": (
        _claim(
            _BLONDEL,
            "A recursion over the features gives the sum over all subsets of them exactly.",
            "anova_subsets", "<=", 1e-12, 0.1,
        ),
    ),
    "chi_squared": (
        _claim(
            _ZHANG,
            "On histograms of local features of images it is at least as accurate as the linear kernel.",
            "chi_squared_histograms", ">=", 0.0, 4.0, "sklearn",
        ),
    ),
}  # fmt: skip

_STATIONARY = {"symmetric", "psd", "stationary", "normalized", "diag", "matvec", "differentiable"}
_SMOOTH = _STATIONARY | {"gradients"}


def _card(
    short: str,
    summary: str,
    capabilities: set[str],
    tags: set[str],
    references: tuple[Reference, ...],
    parameters: dict[str, str],
    aliases: tuple[str, ...] = (),
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
        example=f"kernreg_euclidean.examples:{short}",
        claims=_CLAIMS.get(short, ()),
    )


def _radial_cards() -> list[Card]:
    return [
        _card(
            "rbf",
            "Gaussian kernel exp(-|x - y|^2 / (2 l^2)).",
            _SMOOTH,
            {"radial"},
            (_GPML, _RANDOM_FEATURES),
            {"lengthscale": _LENGTHSCALE},
            ("Gaussian kernel", "squared exponential", "radial basis function"),
        ),
        _card(
            "laplace",
            "Exponential of the L1 distance, exp(-|x - y|_1 / l).",
            _STATIONARY,
            set(),
            (_RANDOM_FEATURES,),
            {"lengthscale": _LENGTHSCALE},
            ("Laplacian kernel", "city block"),
        ),
        _card(
            "matern",
            "Matern kernel of any order: 1/2, 3/2 and 5/2 in closed form.",
            _SMOOTH,
            {"radial"},
            (
                _STEIN,
                _GPML,
            ),
            {"order": "smoothness nu in (0, 300], or infinity, which is the RBF kernel", "lengthscale": _LENGTHSCALE},
            ("exponential kernel", "Ornstein-Uhlenbeck"),
        ),
        _card(
            "rational_quadratic",
            "Gamma mixture of RBF kernels, (1 + |x - y|^2 / (2 a l^2))^-a.",
            _SMOOTH,
            {"radial"},
            (_GPML,),
            {"shape": "a > 0, shape of the gamma mixture (alpha elsewhere)", "lengthscale": _LENGTHSCALE},
        ),
        _card(
            "inverse_multiquadric",
            "(1 + |x - y|^2 / l^2)^-b, the kernel of Stein discrepancies.",
            _SMOOTH,
            {"radial"},
            (
                Reference(
                    title="Interpolation of scattered data: Distance matrices and "
                    "conditionally positive definite functions",
                    authors=("Charles A. Micchelli",),
                    year=1986,
                    venue="Constructive Approximation",
                    doi="10.1007/BF01893414",
                ),
                _GORHAM_MACKEY,
            ),
            {"exponent": "b > 0; Stein discrepancies want b in (0, 1)", "lengthscale": _LENGTHSCALE},
            ("IMQ",),
        ),
        _card(
            "periodic",
            "RBF kernel of points on a circle, exp(-2 sin^2(pi (x - y) / p) / l^2).",
            _STATIONARY,
            set(),
            (_MACKAY,),
            {
                "period": "p in the units of X, or one for each feature",
                "lengthscale": "l relative to the circle's diameter, or one for each feature",
            },
            ("exp-sine-squared",),
        ),
        _card(
            "spectral_mixture",
            "Stationary kernel whose spectral density is a mixture of Gaussians.",
            _STATIONARY,
            {"spectral", "gaussian_process"},
            (_SPECTRAL_MIXTURE,),
            {
                "weights": "positive, one for each component; their sum is k(x, x)",
                "means": "mean frequencies in cycles per unit of X, (Q,) or (Q, d)",
                "scales": "standard deviations of the frequencies, (Q,) or (Q, d)",
            },
        ),
    ]


def _product_cards() -> list[Card]:
    always = {"symmetric", "diag", "matvec", "differentiable"}
    return [
        _card(
            "linear",
            "Inner product x.y.",
            always | {"psd", "features", "gradients"},
            {"dot_product"},
            (_LEARNING_WITH_KERNELS,),
            {},
        ),
        _card(
            "polynomial",
            "(gamma x.y + c)^p.",
            always | {"psd", "features", "gradients"},
            {"dot_product"},
            (_LEARNING_WITH_KERNELS,),
            {"degree": "p >= 1", "gamma": _GAMMA, "coef0": "c; negative makes the kernel indefinite"},
        ),
        _card(
            "tanh",
            "tanh(gamma x.y + c), not positive semi-definite.",
            always,
            {"dot_product"},
            (
                Reference(
                    title="A Study on Sigmoid Kernels for SVM and the Training of non-PSD Kernels by SMO-type Methods",
                    authors=("Hsuan-Tien Lin", "Chih-Jen Lin"),
                    year=2003,
                    venue="Technical report, National Taiwan University",
                ),
            ),
            {"gamma": _GAMMA, "coef0": "c"},
            ("sigmoid kernel",),
        ),
        _card(
            "cosine",
            "Cosine of the angle between x and y.",
            always | {"psd", "features"},
            {"dot_product"},
            (
                Reference(
                    title="Introduction to Modern Information Retrieval",
                    authors=("Gerard Salton", "Michael J. McGill"),
                    year=1983,
                    venue="McGraw-Hill",
                ),
            ),
            {},
            ("cosine similarity",),
        ),
        _card(
            "arc_cosine",
            "Infinitely wide layer of step, ReLU or squared ReLU units (orders 0, 1, 2).",
            always | {"psd"},
            {"dot_product", "neural"},
            (_CHO_SAUL,),
            {
                "order": "0 (steps), 1 (ReLU) or 2",
                "weight_variance": "variance of the weights, positive",
                "bias_variance": "variance of the bias, 0 or more",
            },
            ("ReLU kernel",),
        ),
        _card(
            "anova",
            "Interactions of exactly p different features: sum over subsets of products x_j y_j.",
            always | {"psd", "features"},
            {"dot_product"},
            (
                Reference(
                    title="Kernel Methods for Pattern Analysis",
                    authors=("John Shawe-Taylor", "Nello Cristianini"),
                    year=2004,
                    venue="Cambridge University Press",
                ),
                _BLONDEL,
            ),
            {"degree": "p, from 1 to the number of features"},
        ),
        _card(
            "chi_squared",
            "Exponential chi-squared kernel on non-negative features.",
            always | {"psd", "normalized"},
            {"histogram"},
            (_ZHANG,),
            {"gamma": "positive factor of the chi-squared distance"},
        ),
    ]


@hookimpl
def kernreg_cards() -> list[Card]:
    """The cards of all entries of kernreg-euclidean."""
    return [*_radial_cards(), *_product_cards(), *_FEATURES, *_LANDMARKS]


@hookimpl
def kernreg_demo() -> list[Demo]:
    """What ``kernreg demo`` runs for this plugin."""
    from . import demonstration

    return demonstration.demo()
