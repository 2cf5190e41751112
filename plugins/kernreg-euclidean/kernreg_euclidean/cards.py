"""The cards of this plugin's entries. Imports the standard library and kernreg_core only."""

from __future__ import annotations

from kernreg_core import Card, Reference, hookimpl

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
_LENGTHSCALE = "one positive number in the units of X, or one for each feature (ARD)"
_GAMMA = "positive factor of the inner product; None is 1 / number of features"

_STATIONARY = {"symmetric", "psd", "stationary", "normalized", "diag", "differentiable"}
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
    )


def _radial_cards() -> list[Card]:
    return [
        _card(
            "rbf",
            "Gaussian kernel exp(-|x - y|^2 / (2 l^2)).",
            _SMOOTH,
            {"radial"},
            (_GPML,),
            {"lengthscale": _LENGTHSCALE},
            ("Gaussian kernel", "squared exponential", "radial basis function"),
        ),
        _card(
            "laplace",
            "Exponential of the L1 distance, exp(-|x - y|_1 / l).",
            _STATIONARY,
            set(),
            (
                Reference(
                    title="Random Features for Large-Scale Kernel Machines",
                    authors=("Ali Rahimi", "Benjamin Recht"),
                    year=2007,
                    venue="Advances in Neural Information Processing Systems",
                ),
            ),
            {"lengthscale": _LENGTHSCALE},
            ("Laplacian kernel", "city block"),
        ),
        _card(
            "matern",
            "Matern kernel of any order: 1/2, 3/2 and 5/2 in closed form.",
            _SMOOTH,
            {"radial"},
            (
                Reference(
                    title="Interpolation of Spatial Data: Some Theory for Kriging",
                    authors=("Michael L. Stein",),
                    year=1999,
                    venue="Springer",
                    doi="10.1007/978-1-4612-1494-6",
                ),
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
                Reference(
                    title="Measuring Sample Quality with Kernels",
                    authors=("Jackson Gorham", "Lester Mackey"),
                    year=2017,
                    arxiv="1703.01717",
                ),
            ),
            {"exponent": "b > 0; Stein discrepancies want b in (0, 1)", "lengthscale": _LENGTHSCALE},
            ("IMQ",),
        ),
        _card(
            "periodic",
            "RBF kernel of points on a circle, exp(-2 sin^2(pi (x - y) / p) / l^2).",
            _STATIONARY,
            set(),
            (
                Reference(
                    title="Introduction to Gaussian Processes",
                    authors=("David J. C. MacKay",),
                    year=1998,
                    venue="Neural Networks and Machine Learning",
                ),
            ),
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
            (
                Reference(
                    title="Gaussian Process Kernels for Pattern Discovery and Extrapolation",
                    authors=("Andrew Gordon Wilson", "Ryan Prescott Adams"),
                    year=2013,
                    arxiv="1302.4245",
                ),
            ),
            {
                "weights": "positive, one for each component; their sum is k(x, x)",
                "means": "mean frequencies in cycles per unit of X, (Q,) or (Q, d)",
                "scales": "standard deviations of the frequencies, (Q,) or (Q, d)",
            },
        ),
    ]


def _product_cards() -> list[Card]:
    always = {"symmetric", "diag", "differentiable"}
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
            (
                Reference(
                    title="Kernel Methods for Deep Learning",
                    authors=("Youngmin Cho", "Lawrence K. Saul"),
                    year=2009,
                    venue="Advances in Neural Information Processing Systems",
                ),
            ),
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
                Reference(
                    title="Higher-Order Factorization Machines",
                    authors=("Mathieu Blondel", "Akinori Fujino", "Naonori Ueda", "Masakazu Ishihata"),
                    year=2016,
                    arxiv="1607.07195",
                ),
            ),
            {"degree": "p, from 1 to the number of features"},
        ),
        _card(
            "chi_squared",
            "Exponential chi-squared kernel on non-negative features.",
            always | {"psd", "normalized"},
            {"histogram"},
            (
                Reference(
                    title="Local Features and Kernels for Classification of Texture and Object Categories: "
                    "A Comprehensive Study",
                    authors=("Jianguo Zhang", "Marcin Marszalek", "Svetlana Lazebnik", "Cordelia Schmid"),
                    year=2007,
                    venue="International Journal of Computer Vision",
                    doi="10.1007/s11263-006-9794-4",
                ),
            ),
            {"gamma": "positive factor of the chi-squared distance"},
        ),
    ]


@hookimpl
def kernreg_cards() -> list[Card]:
    """The cards of all entries of kernreg-euclidean."""
    return [*_radial_cards(), *_product_cards()]


@hookimpl
def kernreg_demo() -> list[Demo]:
    """What ``kernreg demo`` runs for this plugin."""
    from . import demonstration

    return demonstration.demo()
