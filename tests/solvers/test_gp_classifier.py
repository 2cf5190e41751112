"""Gaussian process classification against a general optimiser, dense determinants, quadrature and scikit-learn."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.optimize import minimize
from scipy.special import expit, log_ndtr, logsumexp, softmax
from scipy.stats import multivariate_normal, norm
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessClassifier as Peer
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks
from solver_kernels import KINDS, WORDS, Gauss, Indefinite, Letters, Spectrum, Unusable, Whitened

import kernreg_core as kr
from kernreg_core.errors import InputError, ParameterError
from kernreg_core.threads import pinned_blas
from kernreg_solvers import GaussianProcessClassifier, NotFittedError, claims_gaussian
from kernreg_solvers.gp_average import average_logistic, average_probit, average_softmax
from kernreg_solvers.gp_laplace import find_mode, logistic, mode_derivative, probit
from kernreg_solvers.gp_softmax import find_softmax_mode, softmax_derivative, softmax_latent

RNG = np.random.default_rng(0)
X = RNG.uniform(-2, 2, (40, 2))
SIGNS = np.where(np.sin(2 * X[:, 0]) + X[:, 1] + 0.5 * RNG.standard_normal(40) > 0, 1.0, -1.0)
THREE = np.digitize(X[:, 0] + 0.4 * RNG.standard_normal(40), [-0.7, 0.7])
NEW = RNG.uniform(-2, 2, (9, 2))
KERNEL = 3.0 * Gauss(lengthscale=0.9)
K = KERNEL(X)
WEIGHTS = RNG.integers(1, 4, 40).astype(float)
LINKS = {"logistic": (logistic, lambda z: -np.logaddexp(0, -z)), "probit": (probit, log_ndtr)}


def fixed(**options: Any) -> GaussianProcessClassifier:
    return GaussianProcessClassifier(**{"kernel": KERNEL, "optimizer": None, **options})


def integral(squash: Any, mean: float, std: float) -> float:
    """E squash(z), z ~ N(mean, std^2), by adaptive quadrature."""
    return float(quad(lambda z: squash(mean + std * z) * norm.pdf(z), -12, 12, epsabs=1e-13, limit=200)[0])


# -- two classes ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", LINKS)
def test_derivatives_of_the_links(name: str) -> None:
    link, value = LINKS[name]
    f, h = np.linspace(-6, 6, 25), 1e-4
    for y in (-1.0, 1.0):
        found = link(np.full(25, y), f)
        assert_allclose(found.value, value(y * f))
        assert_allclose(found.first, (value(y * (f + h)) - value(y * (f - h))) / (2 * h), rtol=1e-6, atol=1e-9)
        above, below = link(np.full(25, y), f + h), link(np.full(25, y), f - h)
        assert_allclose(-found.curvature, (above.first - below.first) / (2 * h), rtol=1e-6, atol=1e-9)
        assert_allclose(-found.third, (above.curvature - below.curvature) / (2 * h), rtol=1e-5, atol=1e-8)
    far = link(np.array([1.0, 1.0]), np.array([-40.0, 40.0]))
    assert all(np.isfinite(part).all() for part in far)


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_the_mode_and_the_likelihood_are_laplaces(name: str, weights: Any) -> None:
    link, value = LINKS[name]
    w = np.ones(40) if weights is None else weights
    root = np.linalg.cholesky(K + 1e-10 * np.eye(40))

    def loss(z: np.ndarray) -> float:
        return 0.5 * z @ z - w @ value(SIGNS * (root @ z))

    best = minimize(loss, np.zeros(40), method="BFGS", options={"gtol": 1e-6})
    mode = find_mode(K, SIGNS, link, weights)
    assert_allclose(mode.f, root @ best.x, atol=1e-4)
    assert_allclose(mode.f, K @ mode.a, atol=1e-9)
    at = link(SIGNS, mode.f)
    assert_allclose(mode.a, w * at.first, atol=1e-6)  # the mode's own equation
    curvature = np.diag(w * at.curvature)
    expected = -loss(best.x) - 0.5 * np.linalg.slogdet(np.eye(40) + K @ curvature)[1]
    assert mode.value == pytest.approx(expected, abs=1e-6)
    assert mode.converged
    again = find_mode(K, SIGNS, link, weights, start=mode.a)
    assert again.steps == 1
    assert_allclose(again.f, mode.f, atol=1e-8)
    poor = find_mode(K, SIGNS, link, weights, start=100.0 * RNG.standard_normal(40))
    assert_allclose(poor.f, mode.f, atol=1e-6)


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_the_derivative_of_the_likelihood(name: str, weights: Any) -> None:
    link = LINKS[name][0]
    G = mode_derivative(K, find_mode(K, SIGNS, link, weights))
    assert_allclose(G, G.T, atol=1e-12)
    for _ in range(3):
        B = RNG.standard_normal((40, 40))
        E, h = B @ B.T / 40, 1e-5  # a direction of symmetric matrices
        above, below = (find_mode(K + s * h * E, SIGNS, link, weights).value for s in (1, -1))
        assert (G * E).sum() == pytest.approx((above - below) / (2 * h), rel=1e-4, abs=1e-5)


def test_latent_posterior_and_probabilities() -> None:
    y = np.where(SIGNS > 0, "up", "down")
    for name, (link, _) in LINKS.items():
        model = fixed(likelihood=name).fit(X, y)
        mode = find_mode(K, SIGNS, link)
        assert_allclose(model.dual_coef_, mode.a, atol=1e-9)
        W = np.diag(mode.root**2)
        cross = KERNEL(NEW, X)
        mean, variance = model.latent_mean_and_variance(NEW)
        assert_allclose(mean, cross @ mode.a, rtol=1e-9)
        expected = 3.0 - np.diag(cross @ np.linalg.solve(K + np.linalg.inv(W), cross.T))
        assert_allclose(variance, expected, rtol=1e-7)
        squash = expit if name == "logistic" else norm.cdf
        averaged = [integral(squash, *pair) for pair in zip(mean, np.sqrt(variance), strict=True)]
        found = model.predict_proba(NEW)
        assert_allclose(found[:, 1], averaged, atol=1e-10)
        assert_allclose(found.sum(axis=1), 1.0, atol=1e-12)
        assert model.predict(NEW).tolist() == np.where(mean > 0, "up", "down").tolist()
        assert model.classes_.tolist() == ["down", "up"]


def test_agrees_with_scikit_learn_on_two_classes() -> None:
    bounds = {"variance": (1e-2, 1e3), "lengthscale": (1e-1, 1e2)}
    peer_kernel = ConstantKernel(3.0, bounds["variance"]) * RBF(0.9, bounds["lengthscale"])
    for optimizer, theirs in ((None, None), ("likelihood", "fmin_l_bfgs_b")):
        peer = Peer(peer_kernel, optimizer=theirs).fit(X, SIGNS)
        model = fixed(optimizer=optimizer, bounds=bounds).fit(X, SIGNS)
        assert model.log_marginal_likelihood_value_ == pytest.approx(peer.log_marginal_likelihood_value_, abs=1e-5)
        # its integral of the logistic function is a sum of five terms, good to some 1e-3
        assert_allclose(model.predict_proba(NEW), peer.predict_proba(NEW), atol=2e-3)
    assert model.theta_names_ == ["kernel__lengthscale", "variance"]


def test_a_whole_weight_is_a_repetition() -> None:
    rows = np.repeat(np.arange(40), WEIGHTS.astype(int))
    for options, y in (({}, SIGNS), ({"likelihood": "probit"}, SIGNS), ({"multi_class": "multinomial"}, THREE)):
        given = fixed(**options).fit(X, y, sample_weight=WEIGHTS)
        repeated = fixed(**options).fit(X[rows], y[rows])
        assert given.log_marginal_likelihood_value_ == pytest.approx(repeated.log_marginal_likelihood_value_, rel=1e-6)
        assert_allclose(given.predict_proba(NEW), repeated.predict_proba(NEW), atol=1e-6)
    part = WEIGHTS * (np.arange(40) > 9)
    left = fixed().fit(X, SIGNS, sample_weight=part)
    assert_allclose(left.predict_proba(NEW), fixed().fit(X[10:], SIGNS[10:], WEIGHTS[10:]).predict_proba(NEW))


# -- averages -------------------------------------------------------------------------------


def test_averages_against_quadrature_and_simulation() -> None:
    mean, variance = np.array([0.0, 0.3, -4.0, 8.0, 2.0]), np.array([4.0, 0.01, 50.0, 1.0, 0.0])
    for average, squash in ((average_logistic, expit), (average_probit, norm.cdf)):
        expected = [integral(squash, *pair) for pair in zip(mean, np.sqrt(variance), strict=True)]
        assert_allclose(average(mean, variance), expected, atol=1e-11)
    # a small probability keeps its digits
    assert average_logistic(np.array([-30.0]), np.array([0.0]))[0] == pytest.approx(np.exp(-30.0), rel=1e-3)
    means, roots = RNG.standard_normal((3, 4)), RNG.standard_normal((3, 4, 4))
    covariances = roots @ np.swapaxes(roots, 1, 2)
    found = average_softmax(means, covariances, block=2)
    for i in range(3):
        draws = np.random.default_rng(1).multivariate_normal(means[i], covariances[i], 200_000)
        assert_allclose(found[i], softmax(draws, axis=1).mean(axis=0), atol=5e-3)
    assert_allclose(found.sum(axis=1), 1.0)
    assert_allclose(average_softmax(means, np.zeros((3, 4, 4))), softmax(means, axis=1), atol=1e-12)
    # with two classes it is the logistic average of their difference
    pair = average_softmax(np.array([[0.0, 1.0]]), np.array([[[1.0, 0.2], [0.2, 2.0]]]))
    assert pair[0, 1] == pytest.approx(average_logistic(np.array([1.0]), np.array([2.6]))[0], abs=2e-3)


# -- several classes ------------------------------------------------------------------------

INDICATORS = np.eye(3)[THREE]


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_the_softmax_mode_and_likelihood_are_laplaces(weights: Any) -> None:
    w = np.ones(40) if weights is None else weights
    mode = find_softmax_mode(K, INDICATORS, weights)
    assert_allclose(mode.a, w[:, None] * (INDICATORS - softmax(mode.f, axis=1)), atol=1e-6)  # the mode's own equation
    assert_allclose(mode.f, K @ mode.a, atol=1e-9)
    W, p = np.zeros((120, 120)), mode.p
    for c in range(3):
        for d in range(3):
            W[40 * c : 40 * c + 40, 40 * d : 40 * d + 40] = np.diag(w * (p[:, c] * (c == d) - p[:, c] * p[:, d]))
    big = np.kron(np.eye(3), K)
    expected = w @ ((INDICATORS * mode.f).sum(1) - logsumexp(mode.f, axis=1)) - 0.5 * (mode.a * mode.f).sum()
    expected -= 0.5 * np.linalg.slogdet(np.eye(120) + big @ W)[1]
    assert mode.value == pytest.approx(expected, abs=1e-6)
    # the latent posterior, by the (3 n, 3 n) matrices
    mean, covariance = softmax_latent(mode, KERNEL(NEW, X), np.full(9, 3.0))
    cross = np.kron(np.eye(3), KERNEL(NEW, X))
    posterior = 3.0 * np.eye(27) - cross @ W @ np.linalg.solve(np.eye(120) + big @ W, cross.T)
    for i in range(9):
        assert_allclose(mean[i], [cross[9 * c + i] @ mode.a.T.ravel() for c in range(3)], atol=1e-8)
        index = [9 * c + i for c in range(3)]
        assert_allclose(covariance[i], posterior[np.ix_(index, index)], atol=1e-6)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pinned_blas()  # threads of small products wait for each other
def test_the_derivative_of_the_softmax_likelihood(weights: Any) -> None:
    G = softmax_derivative(K, find_softmax_mode(K, INDICATORS, weights), weights)
    for _ in range(3):
        B = RNG.standard_normal((40, 40))
        E, h = B @ B.T / 40, 1e-5
        above, below = (find_softmax_mode(K + s * h * E, INDICATORS, weights).value for s in (1, -1))
        assert (G * E).sum() == pytest.approx((above - below) / (2 * h), rel=1e-4, abs=1e-5)


def test_two_classes_of_a_softmax_are_a_logistic_of_twice_the_variance() -> None:
    both = np.column_stack([SIGNS < 0, SIGNS > 0]).astype(float)
    joint, binary = find_softmax_mode(K, both), find_mode(2.0 * K, SIGNS, logistic)
    assert joint.value == pytest.approx(binary.value, rel=1e-8)
    assert_allclose(joint.f[:, 1] - joint.f[:, 0], binary.f, atol=1e-6)


@pytest.mark.parametrize("multi_class", ["one_vs_rest", "multinomial"])
def test_several_classes(multi_class: str) -> None:
    names = np.array(["low", "middle", "top"])[THREE]
    model = GaussianProcessClassifier(kernel=1.0 * Gauss(lengthscale=2.0), multi_class=multi_class).fit(X, names)
    assert model.classes_.tolist() == ["low", "middle", "top"]
    assert model.score(X, names) > 0.75
    p = model.predict_proba(NEW)
    assert p.shape == (9, 3)
    assert_allclose(p.sum(axis=1), 1.0)
    mean, variance = model.latent_mean_and_variance(NEW)
    assert mean.shape == variance.shape == (9, 3)
    assert (variance > 0).all()
    assert (variance < model.kernel_.variance).all()
    start = GaussianProcessClassifier(kernel=1.0 * Gauss(lengthscale=2.0), multi_class=multi_class, optimizer=None)
    assert model.log_marginal_likelihood_value_ > start.fit(X, names).log_marginal_likelihood_value_
    assert model.dual_coef_.shape == (40, 3)


def test_one_against_the_rest_multiplies_likelihoods_and_normalises_probabilities() -> None:
    model = fixed().fit(X, THREE)
    binary = [fixed().fit(X, c == THREE) for c in range(3)]
    total = sum(one.log_marginal_likelihood_value_ for one in binary)
    assert model.log_marginal_likelihood_value_ == pytest.approx(total)
    p = np.column_stack([one.predict_proba(NEW)[:, 1] for one in binary])
    assert_allclose(model.predict_proba(NEW), p / p.sum(axis=1, keepdims=True), rtol=1e-8)


# -- learning -------------------------------------------------------------------------------


def test_learning_ends_where_the_gradient_vanishes() -> None:
    model = GaussianProcessClassifier(kernel=KERNEL).fit(X, SIGNS)

    def value(theta: np.ndarray) -> float:
        kernel = np.exp(theta[1]) * Gauss(lengthscale=float(np.exp(theta[0])))
        return float(fixed(kernel=kernel).fit(X, SIGNS).log_marginal_likelihood_value_)

    assert value(model.theta_) == pytest.approx(model.log_marginal_likelihood_value_, abs=1e-8)
    assert model.at_bounds_ == []
    for step in 0.05 * np.eye(2):
        assert value(model.theta_ + step) < model.log_marginal_likelihood_value_
        assert value(model.theta_ - step) < model.log_marginal_likelihood_value_
    chosen = GaussianProcessClassifier(kernel=KERNEL, parameters=["variance"]).fit(X, SIGNS)
    assert chosen.kernel_.kernel.lengthscale == 0.9
    assert KERNEL.variance == 3.0
    first, again = (GaussianProcessClassifier(kernel=KERNEL, n_restarts=2, random_state=1).fit(X, SIGNS) for _ in "ab")
    assert_allclose(first.theta_, again.theta_, rtol=0)
    assert first.log_marginal_likelihood_value_ >= model.log_marginal_likelihood_value_ - 1e-6


def test_a_search_cut_short_says_so() -> None:
    with pytest.warns(ConvergenceWarning, match="raise max_iter=1"):
        GaussianProcessClassifier(kernel=1.0 * Gauss(lengthscale=9.0), max_iter=1).fit(X, SIGNS)


def test_newton_steps_that_do_not_end_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kernreg_solvers.gp_laplace.STEPS", 1)
    with pytest.warns(ConvergenceWarning, match="Newton steps did not converge"):
        fixed().fit(X, SIGNS)


def test_probabilities_of_separated_and_repeated_items() -> None:
    apart, y = np.array([[-5.0], [-4.0], [4.0], [5.0], [5.0]]), [0, 0, 1, 1, 1]
    model = GaussianProcessClassifier(kernel=1.0 * Gauss()).fit(apart, y)
    p = model.predict_proba(np.array([[-4.5], [4.5], [0.0]]))
    assert p[0, 0] > 0.75
    assert p[1, 1] > 0.75
    assert p[2, 1] == pytest.approx(0.5, abs=0.1)  # far from all: the prior
    mixed = fixed(kernel=3.0 * Gauss()).fit(np.zeros((4, 1)), [0, 1, 0, 1])
    assert mixed.predict_proba(np.zeros((1, 1)))[0, 0] == pytest.approx(0.5)


def test_inside_scikit_learns_tools() -> None:
    assert cross_val_score(GaussianProcessClassifier(kernel=1.0 * Gauss()), X, SIGNS, cv=3).mean() > 0.6
    search = GridSearchCV(fixed(), {"kernel__kernel__lengthscale": [0.01, 0.9]}, cv=3).fit(X, SIGNS)
    assert search.best_params_ == {"kernel__kernel__lengthscale": 0.9}
    model = fixed().fit(X, SIGNS)
    assert_allclose(pickle.loads(pickle.dumps(model)).predict_proba(NEW), model.predict_proba(NEW), rtol=0)
    assert not hasattr(clone(model), "classes_")
    made = kr.create("solver.gp_classifier", kernel=KERNEL, optimizer=None).fit(X, SIGNS)
    assert_allclose(made.predict_proba(NEW), model.predict_proba(NEW))


def test_predictions_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    many = RNG.uniform(-2, 2, (200, 2))
    for options, y in (({}, SIGNS), ({"multi_class": "multinomial"}, THREE)):
        model = fixed(**options).fit(X, y)
        whole = model.predict_proba(many)
        with monkeypatch.context() as patch:
            patch.setattr("kernreg_solvers.gp_classifier._BLOCK", 100)
            assert_allclose(model.predict_proba(many), whole, rtol=1e-10)


# -- items of any kind ----------------------------------------------------------------------


def test_lists_of_strings_tensors_and_fitted_kernels() -> None:
    for kernel in (4.0 * Spectrum(), Letters(weight=2.0)):
        model = GaussianProcessClassifier(kernel=kernel).fit(WORDS, KINDS)
        assert model.predict(["ababab", "xyxyxy"]).tolist() == ["ab", "xy"]
    assert GaussianProcessClassifier(kernel=Whitened(power=1.0)).fit(X, SIGNS).score(X, SIGNS) > 0.6
    torch = pytest.importorskip("torch", reason="tensors are torch's")
    expected = GaussianProcessClassifier(kernel=KERNEL).fit(X, SIGNS)
    found = GaussianProcessClassifier(kernel=KERNEL).fit(torch.as_tensor(X), SIGNS).predict_proba(torch.as_tensor(NEW))
    assert isinstance(found, np.ndarray)
    assert_allclose(found, expected.predict_proba(NEW), atol=1e-5)


# -- bad input ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "match"),
    [
        ({"likelihood": "cauchy"}, "likelihood: expected 'logistic' or 'probit', got 'cauchy'"),
        ({"multi_class": "ovo"}, "multi_class: expected 'one_vs_rest' or 'multinomial', got 'ovo'"),
        ({"optimizer": "adam"}, "optimizer: expected 'likelihood' or None, got 'adam'"),
        ({"multi_class": "multinomial", "likelihood": "probit"}, "'multinomial' is a softmax"),
        ({"kernel": "precomputed"}, "'precomputed' k\\(X_new, X_train\\) lacks"),
        ({"kernel": Unusable(capability="asymmetric")}, "asymmetric"),
        ({"bounds": {"breadth": (1, 2)}, "optimizer": "likelihood"}, "bounds: 'breadth'"),
        ({"n_restarts": -1, "optimizer": "likelihood"}, "n_restarts: expected"),
    ],
)
def test_bad_parameters(parameters: dict[str, Any], match: str) -> None:
    with pytest.raises(ParameterError, match=match):
        fixed(**parameters).fit(X, SIGNS)


def test_bad_input_and_use_before_fit() -> None:
    for method in ("predict", "predict_proba", "latent_mean_and_variance"):
        with pytest.raises(NotFittedError):
            getattr(fixed(), method)(NEW)
    with pytest.raises(InputError, match="expected at least 2 classes, got 1 class, "):
        fixed().fit(X, np.ones(40))
    for bad_x, bad_y in ((X * np.nan, SIGNS), (X, SIGNS[:-1]), (X[:0], SIGNS[:0])):
        with pytest.raises(InputError):
            fixed().fit(bad_x, bad_y)
    with pytest.raises(ValueError, match="Unknown label type"):
        fixed().fit(X, X[:, 0])
    for options in ({}, {"optimizer": "likelihood"}, {"multi_class": "multinomial"}):
        with pytest.raises(InputError, match="not positive semi-definite") as caught:
            fixed(kernel=Indefinite(), **options).fit(X, THREE)
        assert "noise" not in str(caught.value)  # it has none
    # row numbers as items: what to do with a matrix
    rows = np.arange(40.0)[:, None]

    def of_rows(left: Any, right: Any) -> Any:
        return K[np.ix_(left.astype(int).ravel(), right.astype(int).ravel())]

    given = fixed(kernel=of_rows).fit(rows, SIGNS)
    assert_allclose(given.predict_proba(rows[:5]), fixed().fit(X, SIGNS).predict_proba(X[:5]), atol=1e-9)


# -- scikit-learn's checks and the claims ---------------------------------------------------


@parametrize_with_checks(
    [
        GaussianProcessClassifier(kernel=1.0 * Gauss(lengthscale=2.0), optimizer=None, likelihood="probit"),
        GaussianProcessClassifier(kernel=1.0 * Gauss(lengthscale=2.0), optimizer=None, multi_class="multinomial"),
    ]
)
def test_scikit_learn(estimator: Any, check: Any) -> None:
    if getattr(check, "func", check).__name__ == "check_array_api_input":
        pytest.skip("needs SCIPY_ARRAY_API=1 when scipy is first imported")
    check(estimator)


def test_claims_hold_and_can_fail() -> None:
    mine, plain, true = claims_gaussian.drawn_losses(4, draws=4)
    assert true < mine < true + 0.08
    assert mine < plain
    again, *_ = claims_gaussian.drawn_losses(4, draws=4)
    assert again == mine
    narrow = claims_gaussian.cancer_losses(0, kernel=1.0 * Gauss(lengthscale=0.01), halves=1)
    assert narrow[0] > narrow[1] + 0.03  # no length scale to speak of


def test_the_normal_density_is_what_the_prior_says() -> None:
    # log p(f) at the mode, from SciPy's density: -f' K^-1 f / 2 up to the constant
    mode = find_mode(K, SIGNS, logistic)
    shifted = K + 1e-9 * np.eye(40)
    density = multivariate_normal(np.zeros(40), shifted).logpdf(mode.f)
    constant = -0.5 * np.linalg.slogdet(shifted)[1] - 20 * np.log(2 * np.pi)
    assert density - constant == pytest.approx(-0.5 * mode.a @ mode.f, rel=1e-5)
