"""What the pictures show, read back from their axes."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from solver_kernels import Gauss

import kernreg_solvers as ks
from kernreg_core.errors import InputError, MissingDependencyError, ParameterError
from kernreg_solvers import KernelRidge, plot

matplotlib = pytest.importorskip("matplotlib", reason="the extra [plot] is not installed")
matplotlib.use("agg")
pyplot = pytest.importorskip("matplotlib.pyplot")


@pytest.fixture(autouse=True)
def _close() -> Any:
    yield
    pyplot.close("all")


def points(n: int = 12) -> np.ndarray:
    return np.random.default_rng(0).standard_normal((n, 2))


def test_gram_shows_the_matrix_and_returns_its_axes() -> None:
    X = points()
    _, ax = pyplot.subplots()
    assert plot.gram(Gauss(), X, ax=ax) is ax
    np.testing.assert_array_equal(ax.images[0].get_array(), Gauss()(X))


def test_gram_sorts_by_class_and_names_them() -> None:
    X, labels = points(6), np.array(["b", "a", "b", "a", "a", "b"])
    ax = plot.gram(Gauss()(X), labels=labels)
    order = [1, 3, 4, 0, 2, 5]
    np.testing.assert_array_equal(ax.images[0].get_array(), Gauss()(X)[np.ix_(order, order)])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["a", "b"]
    np.testing.assert_allclose(ax.get_yticks(), [1.0, 4.0])  # the middles of three rows and three rows


def test_spectrum_shows_shares_and_marks_what_is_negative() -> None:
    K = np.diag([3.0, -1.0, 1.0])
    ax = plot.spectrum(K, label="indefinite")
    positive, negative = ax.lines
    np.testing.assert_allclose(positive.get_ydata(), [0.6, 0.2])
    np.testing.assert_array_equal(positive.get_xdata(), [1, 2])
    np.testing.assert_allclose(negative.get_ydata(), [0.2])
    np.testing.assert_array_equal(negative.get_xdata(), [3])
    plot.spectrum(Gauss(), points(), label="Gauss", ax=ax)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["indefinite", "Gauss"]


def test_posterior_shows_mean_band_data_and_samples() -> None:
    X = np.linspace(0, 1, 8)[:, None]
    y = np.sin(3 * X[:, 0])
    model = GaussianProcessRegressor(alpha=1e-6).fit(X, y)
    at = np.array([-1.0, 0.5, 2.0])
    ax = plot.posterior(model, X, y, at=at, samples=3)
    mean, std = model.predict(at[:, None], return_std=True)
    *drawn, line, data = ax.lines
    assert len(drawn) == 3
    np.testing.assert_allclose(line.get_ydata(), mean)
    np.testing.assert_array_equal(data.get_ydata(), y)
    band = ax.collections[0].get_paths()[0].vertices
    np.testing.assert_allclose([band[:, 1].min(), band[:, 1].max()], [(mean - 2 * std).min(), (mean + 2 * std).max()])
    whole = plot.posterior(model, X).lines[0].get_xdata()
    np.testing.assert_allclose([whole[0], whole[-1]], [-0.1, 1.1])


def test_posterior_says_what_its_band_is_of() -> None:
    X = np.linspace(0, 1, 8)[:, None]
    y = np.sin(3 * X[:, 0])
    model = ks.GaussianProcessRegressor(kernel=1.0 * Gauss(), noise=0.04, optimizer=None).fit(X, y)
    at = np.array([0.2, 0.5])
    heights = []
    for noisy, words in ((False, "of the function, without noise"), (True, "of new observations")):
        ax = plot.posterior(model, X, y, at=at, include_noise=noisy)
        assert any(words in text.get_text() for text in ax.get_legend().get_texts())
        std = model.predict(at[:, None], return_std=True, include_noise=noisy)[1]
        band = ax.collections[0].get_paths()[0].vertices
        heights.append(np.ptp(band[band[:, 0] == 0.2, 1]))
        assert heights[-1] == pytest.approx(4 * std[0])
    assert heights[1] > heights[0]
    white = GaussianProcessRegressor(RBF() + WhiteKernel(), optimizer=None).fit(X, y)  # its deviations hold the noise
    assert "new observations" in plot.posterior(white, X).get_legend().get_texts()[0].get_text()
    with pytest.raises(ParameterError, match="include_noise=True"):
        plot.posterior(white, X, include_noise=True)


def test_learning_curve_is_scikit_learns() -> None:
    from sklearn.model_selection import learning_curve

    X = points(60)
    y = X[:, 0]
    model = KernelRidge(alpha=0.1)
    ax = plot.learning_curve({"ridge": model, "other": KernelRidge(alpha=10.0)}, X, y, sizes=[10, 20, 40], cv=3)
    size, _, scores = learning_curve(model, X, y, train_sizes=[10, 20, 40], cv=3, shuffle=True, random_state=0)[:3]
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), size)
    np.testing.assert_allclose(ax.lines[0].get_ydata(), scores.mean(axis=1))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["ridge", "other"]
    errors = plot.learning_curve(model, X, y, sizes=[10, 20, 40], cv=3, error=True)
    np.testing.assert_allclose(errors.lines[0].get_ydata(), 1 - scores.mean(axis=1))
    assert errors.get_yscale() == "log"


def test_learning_curve_of_words() -> None:
    from solver_kernels import WORDS, Spectrum

    y = [float(word.startswith("a")) for word in WORDS]
    ax = plot.learning_curve(KernelRidge(kernel=Spectrum(), alpha=0.1), WORDS, y, sizes=[4, 6], cv=2, scoring="r2")
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [4, 6])


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: plot.gram(Gauss()), ParameterError, "pass plot.gram"),
        (lambda: plot.gram(np.ones(3)), InputError, "expected a matrix"),
        (lambda: plot.gram(np.ones((3, 3)), labels=[1, 2]), InputError, "labels: expected one for each row"),
        (lambda: plot.spectrum(np.ones((3, 2))), InputError, "square"),
        (lambda: plot.spectrum(np.full((3, 3), np.nan)), InputError, "finite"),
        (lambda: plot.posterior(KernelRidge(), points()[:, :1], [1.0]), InputError, "y: expected 12 targets"),
        (lambda: plot.learning_curve({}, points(), points()[:, 0]), ParameterError, "at least one"),
        (lambda: plot.posterior(KernelRidge().fit(points(), points()[:, 0]), at=[[0.0, 0.0]]), ParameterError, "std"),
        (lambda: plot.posterior(Gauss()), ParameterError, "fitted"),
        (lambda: plot.posterior(GaussianProcessRegressor()), ParameterError, "at="),
        (lambda: plot.posterior(GaussianProcessRegressor(), points()), InputError, "one feature"),
    ],
)
def test_what_cannot_be_drawn_is_said_and_leaves_no_figure(call: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        call()
    assert pyplot.get_fignums() == []


def test_without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def absent(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingDependencyError, match=r"kernreg-solvers\[plot\]"):
        plot.gram(np.eye(2))
