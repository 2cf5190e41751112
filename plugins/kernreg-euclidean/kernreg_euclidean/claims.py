"""Measures of the claims on this plugin's cards; ``kernreg verify`` runs them.

Each takes a seed and returns a figure with its baseline beside it. The inner functions take the kernel as an argument,
so that tests can show that a wrong one misses the threshold. What needs scikit-learn says so on the card.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from kernreg_core.claims import Measurement

from .anova import Anova
from .arc_cosine import ArcCosine
from .chi_squared import ChiSquared
from .laplace import Laplace
from .linear import Linear
from .matern import Matern
from .periodic import Periodic
from .polynomial import Polynomial
from .rational import InverseMultiquadric, RationalQuadratic
from .rbf import RBF
from .spectral_mixture import SpectralMixture

WIDTHS = (64, 256, 1024, 4096)


def _slope(x: Sequence[float], y: Sequence[float]) -> float:
    """The exponent of the power law through (x, y), by least squares of the logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def _points(rng: np.random.Generator) -> np.ndarray:
    """Sixty standard normal points with five coordinates."""
    return rng.standard_normal((60, 5))


def _root_n(errors: Sequence[float], baseline: Sequence[float], name: str) -> Measurement:
    """How far the exponent of `errors` is from -1/2, and that of the baseline."""
    slope = _slope(WIDTHS, errors)
    details = {"widths": list(WIDTHS), "errors": list(errors), "slope": slope}
    return Measurement(abs(slope + 0.5), abs(_slope(WIDTHS, baseline) + 0.5), name, details)


def fourier_errors(sampled: Any, exact: Any, rng: int, repeats: int = 10) -> list[float]:
    """Root mean squared error against `exact` of random Fourier features drawn from `sampled`, for each width."""
    generator = np.random.default_rng(rng)
    X = _points(generator)
    K, pairs = exact(X), np.triu_indices(len(X), 1)
    errors = []
    for width in WIDTHS:
        squares = []
        for _ in range(repeats):
            phase = X @ sampled.spectral_sample(width, X.shape[1], generator).T
            features = np.hstack([np.cos(phase), np.sin(phase)]) / math.sqrt(width)
            squares.append(np.mean((features @ features.T - K)[pairs] ** 2))
        errors.append(math.sqrt(np.mean(squares)))
    return errors


def rbf_random_features(rng: int) -> Measurement:
    """Rahimi and Recht 2007, section 3: random Fourier features of D frequencies err like D^-1/2.

    Measured: distance of the fitted exponent from -1/2, over D = 64 to 4096, on 60 normal points in five dimensions,
    ten draws for each D. Baseline: the same features judged against the Laplace kernel. The exponent is the paper's,
    the tolerance of 0.1 ours, about five standard errors of the fit.
    """
    kernel, other = RBF(lengthscale=2.0), Laplace(lengthscale=4.0)
    return _root_n(
        fourier_errors(kernel, kernel, rng), fourier_errors(kernel, other, rng), "against the Laplace kernel"
    )


def laplace_random_features(rng: int) -> Measurement:
    """Rahimi and Recht 2007, figure 1: frequencies of the Laplace kernel are independent Cauchy variables.

    As :func:`rbf_random_features`, with Cauchy frequencies. Baseline: against the RBF kernel. Tolerance 0.1, ours.
    """
    kernel, other = Laplace(lengthscale=4.0), RBF(lengthscale=2.0)
    return _root_n(fourier_errors(kernel, kernel, rng), fourier_errors(kernel, other, rng), "against the RBF kernel")


def layer_errors(kernel: Any, order: int, rng: int, repeats: int = 10) -> list[float]:
    """Root mean squared error of random layers of units max(0, w.x)^order as estimates of `kernel`, for each width."""
    generator = np.random.default_rng(rng)
    X = _points(generator)
    K, errors = kernel(X), []
    for width in WIDTHS:
        squares = []
        for _ in range(repeats):
            drive = X @ generator.standard_normal((X.shape[1], width))
            units = np.maximum(drive, 0.0) ** order if order else (drive > 0).astype(float)
            squares.append(np.mean((2.0 / width * units @ units.T - K) ** 2))
        errors.append(math.sqrt(np.mean(squares)))
    return errors


def arc_cosine_layers(rng: int) -> Measurement:
    """Cho and Saul 2009, equation (1): the kernel is twice the mean product of what a random unit makes of x and of y.

    Measured: the largest distance from -1/2, over the orders 0, 1 and 2, of the exponent with which the error of a
    layer of 64 to 4096 random units falls. Baseline: the layer of order 1 judged against the RBF kernel. The exponent
    is that of every mean of independent draws; the tolerance of 0.1 is ours.
    """
    slopes = [_slope(WIDTHS, layer_errors(ArcCosine(order=order), order, rng)) for order in (0, 1, 2)]
    other = _slope(WIDTHS, layer_errors(RBF(lengthscale=2.0), 1, rng))
    worst = max(abs(slope + 0.5) for slope in slopes)
    return Measurement(worst, abs(other + 0.5), "against the RBF kernel", {"slopes of orders 0, 1, 2": slopes})


def interpolation_exponents(make: Callable[[float], Any]) -> list[float]:
    """Exponents in n of the predictive deviation midway between n equally spaced points, orders 1/2, 3/2 and 5/2."""
    counts, between = (8, 16, 32, 64), np.array([[0.5]])
    found = []
    for order in (0.5, 1.5, 2.5):
        kernel, deviations = make(order), []
        for n in counts:
            X = (np.arange(n)[:, None] + 0.5) / n
            k = kernel(X, between)[:, 0]
            deviations.append(math.sqrt(float(kernel(between)[0, 0] - k @ np.linalg.solve(kernel(X), k))))
        found.append(-_slope(counts, deviations))
    return found


def matern_interpolation(rng: int) -> Measurement:
    """Stein 1999, chapter 3: the error of interpolating a Matern process on a grid of spacing h falls like h^nu.

    Measured: the largest distance of the fitted exponent from nu, over nu = 1/2, 3/2 and 5/2 in one dimension, 8 to 64
    points; exact, so the seed plays no part. Baseline: the kernel of order 1/2 in place of each. Tolerance 0.1, ours.
    """
    orders = np.array([0.5, 1.5, 2.5])
    found = interpolation_exponents(lambda order: Matern(order=order, lengthscale=0.3))
    rough = interpolation_exponents(lambda order: Matern(order=0.5, lengthscale=0.3))
    return Measurement(
        float(np.abs(np.array(found) - orders).max()),
        float(np.abs(np.array(rough) - orders).max()),
        "order 1/2 throughout",
        {"exponents": found},
    )


def matern_limit(rng: int) -> Measurement:
    """Rasmussen and Williams 2006, section 4.2.1: the Matern kernel tends to the squared exponential as nu grows.

    Measured: the largest difference between the Matern kernel of order 160 and the RBF kernel on distances from 0 to 6;
    exact. Baseline: order 5/2. The book states the limit; the threshold of 0.01 is ours.
    """
    X, zero = np.linspace(0.0, 6.0, 601)[:, None], np.zeros((1, 1))
    far = {order: float(np.abs(Matern(order=order)(X, zero) - RBF()(X, zero)).max()) for order in (2.5, 20.0, 160.0)}
    return Measurement(far[160.0], far[2.5], "order 5/2", {"differences": {f"order {v:g}": e for v, e in far.items()}})


def mixture_error(kernel: Callable[[float], Any]) -> float:
    """Largest difference between a kernel of shape a and the mixture of RBF kernels over a gamma distribution."""
    from scipy.stats import gamma

    X, zero = np.linspace(0.0, 6.0, 61)[:, None], np.zeros((1, 1))
    logs = np.linspace(-45.0, 6.0, 1500)  # the trapezoidal rule in log(precision) is exact to rounding
    worst = 0.0
    for shape in (0.5, 1.0, 2.0, 5.0):
        precision = np.exp(logs)
        weights = gamma.pdf(precision, shape, scale=1.0 / shape) * precision * (logs[1] - logs[0])
        mixed = sum(w * RBF(lengthscale=float(t) ** -0.5)(X, zero) for w, t in zip(weights, precision, strict=True))
        worst = max(worst, float(np.abs(mixed - kernel(shape)(X, zero)).max()))
    return worst


def rational_quadratic_mixture(rng: int) -> Measurement:
    """Rasmussen and Williams 2006, section 4.2.1: the rational quadratic is a scale mixture of squared exponentials.

    Measured: the largest difference from the mixture over a gamma distribution of inverse squared length scales, by
    quadrature, for shapes 1/2 to 5 and distances to 6; exact. Baseline: the RBF kernel in its place. Threshold 1e-8,
    ours: an identity up to the error of the quadrature.
    """
    other = mixture_error(lambda shape: RBF())
    return Measurement(mixture_error(lambda shape: RationalQuadratic(shape=shape)), other, "RBF kernel")


def stein_exponent(kernel: Any, rng: int) -> float:
    """Exponent in n of the kernel Stein discrepancy between n far points and a standard normal law in 8 dimensions.

    The points stand on a sphere of radius 2 n^(1/8) log(n), so they drift away from the normal law and each other.
    """
    generator, d, counts = np.random.default_rng(rng), 8, (200, 400, 800, 1600)
    found = []
    for n in counts:
        X = generator.standard_normal((n, d))
        X *= 2.0 * n ** (1.0 / d) * math.log(n) / np.linalg.norm(X, axis=1, keepdims=True)
        found.append(math.sqrt(_stein_mean(kernel, X)))
    return _slope(counts, found)


def _stein_mean(kernel: Any, X: np.ndarray) -> float:
    """Mean over all pairs of the Langevin Stein kernel of a standard normal law, whose score is -x."""
    total = 0.0
    for first in range(0, len(X), 25):  # grad_xy holds d^2 numbers for each pair
        rows = X[first : first + 25]
        total += float(np.einsum("ijkk->", kernel.grad_xy(rows, X)))
        total -= float(np.einsum("ik,ijk->", rows, kernel.grad_y(rows, X)))
        total -= float(np.einsum("jk,ijk->", X, kernel.grad_x(rows, X)))
        total += float(((rows @ X.T) * kernel(rows, X)).sum())
    return total / len(X) ** 2


def stein_detection(rng: int) -> Measurement:
    """Gorham and Mackey 2017, section 3: with the Gaussian kernel escaping points are missed, with this one detected.

    Measured: exponent in n, from 200 to 1600, of the discrepancy of points that escape to infinity, in 8 dimensions,
    with the inverse multiquadric of exponent 1/2. Zero would be a discrepancy that stays; threshold -0.1, ours.
    Baseline: the Gaussian kernel, whose discrepancy goes to zero although the points do not converge.
    """
    return Measurement(stein_exponent(InverseMultiquadric(), rng), stein_exponent(RBF(), rng), "Gaussian kernel")


def continuation_error(kernel: Any, rng: int) -> float:
    """Root mean squared error of `kernel`, period 1, on the four periods after the four that it was fitted to."""
    generator = np.random.default_rng(rng)
    weights, harmonic = generator.standard_normal(8) / np.arange(1, 9), np.arange(8) // 2 + 1
    phase = (np.arange(8) % 2) * math.pi / 2

    def wave(x: np.ndarray) -> np.ndarray:
        return np.sin(2.0 * math.pi * np.outer(x, harmonic) + phase) @ weights

    x, new = np.sort(generator.uniform(0.0, 4.0, 80)), np.linspace(4.0, 8.0, 200)
    y = wave(x) + 0.1 * generator.standard_normal(80)
    dual = np.linalg.solve(kernel(x[:, None]) + 0.01 * np.eye(80), y)
    return float(np.sqrt(np.mean((kernel(new[:, None], x[:, None]) @ dual - wave(new)) ** 2)))


def periodic_continuation(rng: int) -> Measurement:
    """MacKay 1998: a kernel of the point on a circle is a prior of periodic functions.

    Measured: error of Gaussian process regression on the four periods after the training data (80 noisy values of a sum
    of four harmonics), divided by the error of the RBF kernel, mean over five functions. Baseline: the RBF kernel, 1 by
    definition. Threshold 0.2, ours: the noise is a tenth of the signal.
    """
    seeds = [5 * rng + i for i in range(5)]
    ours = np.mean([continuation_error(Periodic(lengthscale=0.7), seed) for seed in seeds])
    other = np.mean([continuation_error(RBF(lengthscale=0.15), seed) for seed in seeds])
    return Measurement(float(ours / other), 1.0, "RBF kernel", {"error": float(ours), "error of RBF": float(other)})


def anova_error(kernel: Callable[[int], Any], rng: int) -> float:
    """Largest relative difference between a kernel of degree 1 to 5 and the sum over all subsets of 10 features."""
    X = np.abs(np.random.default_rng(rng).standard_normal((20, 10)))
    products = X[:, None, :] * X[None, :, :]
    worst = 0.0
    for degree in range(1, 6):
        exact = sum(products[..., list(chosen)].prod(-1) for chosen in combinations(range(10), degree))
        worst = max(worst, float(np.abs(kernel(degree)(X) / exact - 1.0).max()))
    return worst


def anova_subsets(rng: int) -> Measurement:
    """Blondel et al. 2016, section 3: a recursion over features gives the sum over all subsets in O(d p).

    Measured: largest relative difference from the sum over all subsets of 10 features, degrees 1 to 5. Baseline: the
    homogeneous polynomial kernel divided by p!, which has the powers of single features too. Threshold 1e-12, ours:
    an identity up to rounding.
    """

    def polynomial(degree: int) -> Any:
        return (1.0 / math.factorial(degree)) * Polynomial(degree=degree, gamma=1.0, coef0=0.0)

    other = anova_error(polynomial, rng)
    return Measurement(anova_error(lambda degree: Anova(degree=degree), rng), other, "polynomial kernel / p!")


def digits_error(kernel: Any, rng: int, penalty: float = 10.0) -> float:
    """Mean test error of a support vector machine on scikit-learn's digits, over twenty random halves."""
    from sklearn.datasets import load_digits
    from sklearn.svm import SVC

    X, y = load_digits(return_X_y=True)
    X, generator, errors = X / 16.0, np.random.default_rng(rng), []
    for _ in range(20):
        order = generator.permutation(len(y))
        train, test = order[: len(y) // 2], order[len(y) // 2 :]
        machine = SVC(kernel="precomputed", C=penalty).fit(kernel(X[train]), y[train])
        errors.append(1.0 - machine.score(kernel(X[test], X[train]), y[test]))
    return float(np.mean(errors))


def polynomial_digits(rng: int) -> Measurement:
    """Scholkopf and Smola 2002, chapter 7: on handwritten digits polynomial machines of degree above 1 err much less.

    Measured: test error of the support vector machine of degree 3 divided by that of the linear one, on scikit-learn's
    digits (the book's USPS is not bundled), mean over twenty halves, C = 10. Baseline: the linear machine's error.
    Threshold 0.75, ours: on USPS the book's errors fall by more than that.
    """
    linear = digits_error(Linear(), rng)
    cubic = digits_error(Polynomial(degree=3, gamma=1.0, coef0=0.0), rng)
    return Measurement(cubic / linear, 1.0, "linear kernel", {"error": cubic, "error of linear": linear})


def patch_histograms(rng: int) -> tuple[np.ndarray, np.ndarray]:
    """Histograms over 100 visual words of the 3 x 3 patches of scikit-learn's digits, and the labels."""
    from sklearn.cluster import KMeans
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    windows = np.lib.stride_tricks.sliding_window_view(X.reshape(-1, 8, 8) / 16.0, (3, 3), axis=(1, 2))
    patches = windows.reshape(-1, 9)
    sample = np.random.default_rng(rng).choice(len(patches), 3000, replace=False)
    words = KMeans(100, n_init=1, random_state=rng % 2**32).fit(patches[sample]).predict(patches).reshape(len(X), 36)
    return np.stack([np.bincount(row, minlength=100) for row in words]) / 36.0, y


def histogram_accuracies(rng: int) -> dict[str, float]:
    """Test accuracy of support vector machines on :func:`patch_histograms`: chi-squared, RBF, linear; five halves."""
    from sklearn.svm import SVC

    H, y = patch_histograms(rng)
    generator = np.random.default_rng(rng)
    found: dict[str, list[float]] = {"chi-squared": [], "RBF": [], "linear": []}
    for _ in range(5):
        order = generator.permutation(len(y))
        train, test = order[: len(y) // 2], order[len(y) // 2 :]
        A = H[train]
        chi = -np.log(ChiSquared(gamma=1e-2)(A)).mean() / 1e-2
        squared = 2.0 * A.var(0).sum()  # the mean squared distance
        kernels = {
            "chi-squared": ChiSquared(gamma=float(1.0 / chi)),  # scaled by its mean distance, as in the paper
            "RBF": RBF(lengthscale=float(math.sqrt(squared / 2.0))),
            "linear": float(1.0 / squared) * Linear(),
        }
        for name, kernel in kernels.items():
            machine = SVC(kernel="precomputed", C=10.0).fit(kernel(A), y[train])
            found[name].append(machine.score(kernel(H[test], A), y[test]))
    return {name: float(np.mean(scores)) for name, scores in found.items()}


def chi_squared_histograms(rng: int) -> Measurement:
    """Zhang et al. 2007, comparison of kernels: on histograms of local features chi-squared beats linear.

    Measured: difference in test accuracy of support vector machines on histograms over 100 visual words of the 3 x 3
    patches of scikit-learn's digits, chi-squared minus linear, mean over five halves, C = 10, each kernel scaled by its
    mean distance. Threshold 0, ours: better. Baseline: the RBF kernel minus linear, which on these small images does as
    well as chi-squared: that chi-squared beats the RBF kernel too is not claimed here, since it was not measured so.
    """
    scores = histogram_accuracies(rng)
    return Measurement(
        scores["chi-squared"] - scores["linear"], scores["RBF"] - scores["linear"], "RBF kernel", {"accuracy": scores}
    )


class _Pattern:
    """Three sinusoids of random frequency, seen with noise on [0, 10) and to be continued to 15."""

    def __init__(self, rng: int) -> None:
        generator = np.random.default_rng(rng)
        frequencies = generator.uniform([0.2, 0.6, 1.1], [0.4, 0.9, 1.6])
        x = np.arange(0.0, 15.0, 0.15)
        signal = np.sin(2 * math.pi * np.outer(x, frequencies) + generator.uniform(0, 2 * math.pi, 3)) @ [1.0, 0.7, 0.5]
        seen = x < 10.0
        y = signal[seen] + 0.1 * generator.standard_normal(seen.sum())
        self.X, self.new = x[seen, None], x[~seen, None]
        self.y, self.truth = y - y.mean(), signal[~seen] - y.mean()

    def peaks(self) -> np.ndarray:
        """The three strongest frequencies of the periodogram, at least 0.15 apart."""
        power = np.abs(np.fft.rfft(self.y, 8 * len(self.y))) ** 2
        frequencies, found = np.fft.rfftfreq(8 * len(self.y), 0.15), []
        for _ in range(3):
            found.append(frequencies[power.argmax()])
            power[np.abs(frequencies - found[-1]) < 0.15] = 0.0
        return np.array(found)

    def continuation(self, make: Callable[[np.ndarray], Any], starts: Sequence[np.ndarray]) -> float:
        """Error on the rest of the pattern, once the marginal likelihood is as large as it gets from `starts`."""
        from scipy.optimize import minimize

        def loss(theta: np.ndarray) -> float:
            K = make(theta[:-1])(self.X) + math.exp(theta[-1]) * np.eye(len(self.y))
            try:
                root = np.linalg.cholesky(K)
            except np.linalg.LinAlgError:
                return 1e10
            return float(0.5 * np.square(np.linalg.solve(root, self.y)).sum() + np.log(np.diag(root)).sum())

        noise = math.log(0.1 * self.y.var())
        runs = [
            minimize(loss, np.append(start, noise), method="L-BFGS-B", options={"maxiter": 100}) for start in starts
        ]
        best = min(runs, key=lambda run: float(run.fun)).x
        kernel = make(best[:-1])
        K = kernel(self.X) + math.exp(best[-1]) * np.eye(len(self.y))
        mean = kernel(self.new, self.X) @ np.linalg.solve(K, self.y)
        return float(np.sqrt(np.mean((mean - self.truth) ** 2)))


def spectral_mixture_extrapolation(rng: int) -> Measurement:
    """Wilson and Adams 2013, section 4: it extrapolates patterns where other kernels revert to the mean.

    Measured: error on the continuation of a noisy sum of three sinusoids, three components and the noise by maximum
    marginal likelihood from the peaks of the periodogram, divided by the error of the RBF kernel fitted likewise:
    median over three patterns. Baseline: predicting the mean, divided likewise. Threshold 0.5, ours.
    """

    def mixture(theta: np.ndarray) -> Any:
        return SpectralMixture(weights=np.exp(theta[:3]), means=np.abs(theta[3:6]), scales=np.exp(theta[6:]))

    def gaussian(theta: np.ndarray) -> Any:
        return float(np.exp(theta[0])) * RBF(lengthscale=float(np.exp(theta[1])))

    ratios, means = [], []
    for seed in range(3 * rng, 3 * rng + 3):
        pattern = _Pattern(seed)
        level = math.log(pattern.y.var())
        start = np.concatenate([np.full(3, level - math.log(3.0)), pattern.peaks(), np.full(3, math.log(0.03))])
        other = pattern.continuation(gaussian, [np.array([level, math.log(scale)]) for scale in (0.3, 3.0)])
        ratios.append(pattern.continuation(mixture, [start]) / other)
        means.append(float(np.sqrt(np.mean(pattern.truth**2))) / other)
    return Measurement(float(np.median(ratios)), float(np.median(means)), "the mean", {"ratios": ratios})
