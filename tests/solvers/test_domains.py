"""Solvers on lists of objects, on tensors, on foreign callables, and inside scikit-learn's tools."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.base import clone
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import get_tags
from solver_kernels import KINDS, WORDS, Gauss, Letters, Spectrum, Whitened

import kernreg_core as kr
from kernreg_core.errors import UnknownNameError
from kernreg_solvers import KernelLogisticClassifier, KernelPCA, KernelRidge

LENGTHS = np.array([float(len(word)) for word in WORDS])


@pytest.fixture
def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 3))
    return X, np.sin(X[:, 0]) + 0.1 * rng.standard_normal(60)


def test_lists_of_strings() -> None:
    classifier = KernelLogisticClassifier(kernel=Spectrum(), alpha=0.1).fit(WORDS, KINDS)
    assert classifier.predict(["ababab", "xyxyxy"]).tolist() == ["ab", "xy"]
    assert classifier.X_fit_ == WORDS
    assert classifier.X_fit_ is not WORDS
    assert not hasattr(classifier, "n_features_in_")
    ridge = KernelRidge(kernel=Spectrum(), alpha=0.1).fit(WORDS, LENGTHS)
    assert_allclose(ridge.predict(WORDS), ridge.predict(tuple(WORDS)))
    assert KernelPCA(n_components=2, kernel=Spectrum()).fit_transform(WORDS).shape == (12, 2)
    assert not get_tags(classifier).input_tags.two_d_array


def test_cross_validation_on_lists_leaks_nothing() -> None:
    folds = StratifiedKFold(3)
    model = KernelLogisticClassifier(kernel=Spectrum(), alpha=0.1)
    scores = cross_val_score(model, WORDS, KINDS, cv=folds)
    assert scores.tolist() == [1, 1, 1]
    # fold by fold by hand, from training items alone
    y = np.array(KINDS)
    found = cross_val_predict(model, WORDS, KINDS, cv=folds, method="predict_proba")
    for train, test in folds.split(WORDS, y):
        part = clone(model).fit([WORDS[i] for i in train], y[train])
        assert part.n_samples_fit_ == len(train)
        assert_allclose(part.predict_proba([WORDS[i] for i in test]), found[test], rtol=1e-12)


def test_cross_validation_of_a_precomputed_matrix_cuts_rows_and_columns() -> None:
    K = Spectrum()(WORDS)
    folds = StratifiedKFold(3)
    given = cross_val_predict(
        KernelLogisticClassifier(kernel="precomputed"), K, KINDS, cv=folds, method="predict_proba"
    )
    items = cross_val_predict(
        KernelLogisticClassifier(kernel=Spectrum()), WORDS, KINDS, cv=folds, method="predict_proba"
    )
    assert_allclose(given, items, rtol=1e-12)


def test_grid_search_over_a_parameter_and_over_whole_kernels(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    kernel = Gauss()
    search = GridSearchCV(
        KernelRidge(kernel=kernel), {"kernel__lengthscale": [0.01, 1.0, 2.0], "alpha": [0.01, 0.1]}, cv=3
    )
    search.fit(X, y)
    assert search.best_params_["kernel__lengthscale"] > 0.5
    assert search.best_estimator_.kernel_.lengthscale == search.best_params_["kernel__lengthscale"]
    assert kernel.lengthscale == 1.0
    kernels = [Gauss(lengthscale=0.01), Gauss(lengthscale=1.5), rbf_kernel, None]
    whole = GridSearchCV(KernelRidge(alpha=0.1), {"kernel": kernels}, cv=3).fit(X, y)
    assert whole.best_index_ in (1, 2)
    strings = GridSearchCV(KernelLogisticClassifier(kernel=Spectrum()), {"kernel__order": [1, 2, 3]}, cv=3)
    assert strings.fit(WORDS, KINDS).best_score_ == 1.0
    lists = GridSearchCV(KernelLogisticClassifier(), {"kernel": [Spectrum(order=3), Letters()]}, cv=3)
    assert lists.fit(WORDS, KINDS).best_score_ == 1.0


def test_parameters_of_a_composite_are_reached(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    model = KernelRidge(kernel=Gauss(lengthscale=5.0) + 2 * Gauss() + Gauss(lengthscale=3.0))
    assert "kernel__k3__lengthscale" in model.get_params()
    search = GridSearchCV(model, {"kernel__k3__lengthscale": [0.1, 1.0]}, cv=3).fit(X, y)
    assert search.best_estimator_.kernel_.k3.lengthscale in (0.1, 1.0)
    assert model.kernel.k3.lengthscale == 3.0
    assert_allclose(
        KernelRidge(kernel=Gauss() + Gauss(lengthscale=2.0)).fit(X, y).predict(X),
        KernelRidge(kernel="precomputed")
        .fit(Gauss()(X) + Gauss(lengthscale=2.0)(X), y)
        .predict(Gauss()(X) + Gauss(lengthscale=2.0)(X)),
        rtol=1e-9,
    )


def test_pipelines(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    pipeline = make_pipeline(StandardScaler(), KernelRidge(kernel=Gauss(), alpha=0.1))
    assert cross_val_score(pipeline, 100 * X, y, cv=KFold(3)).mean() > 0.5
    steps = Pipeline([("pca", KernelPCA(n_components=4, kernel=Gauss())), ("ridge", KernelRidge(alpha=1e-3))])
    search = GridSearchCV(steps, {"pca__kernel__lengthscale": [0.5, 2.0]}, cv=3).fit(X, y)
    assert search.best_score_ > 0.3
    words = make_pipeline(KernelPCA(n_components=3, kernel=Spectrum()), KernelLogisticClassifier(alpha=0.1))
    assert cross_val_score(words, WORDS, KINDS, cv=3).mean() == 1.0


def test_the_kernel_of_the_user_is_never_changed(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    kernel = Whitened()
    for model in (KernelRidge(kernel=kernel), KernelPCA(kernel=kernel), KernelLogisticClassifier(kernel=kernel)):
        model.fit(X, y > 0) if isinstance(model, KernelLogisticClassifier) else model.fit(X, y)
        assert model.kernel is kernel
        assert model.kernel_ is not kernel
        assert_allclose(model.kernel_.scale_, X.std(axis=0))
        assert model.kernel_.saw_y_
    assert not hasattr(kernel, "scale_")
    fitted = KernelRidge(kernel=kernel).fit(X, y)
    assert_allclose(fitted.predict(X), KernelRidge().fit(X / X.std(axis=0), y).predict(X / X.std(axis=0)), rtol=1e-8)


def test_training_items_are_prepared_once() -> None:
    Letters.prepared.clear()
    model = KernelRidge(kernel=Letters(), alpha=0.1).fit(WORDS, LENGTHS)
    assert Letters.prepared == [12]
    model.predict(WORDS[:3])
    model.predict(WORDS[:5])
    assert Letters.prepared == [12, 3, 5]
    K = Letters()(WORDS)
    expected = KernelRidge(kernel="precomputed", alpha=0.1).fit(K, LENGTHS).predict(K)
    assert_allclose(model.predict(WORDS), expected)
    # items that are prepared already are taken as they are
    block = Letters().prepare(WORDS)
    assert_allclose(KernelRidge(kernel=Letters(), alpha=0.1).fit(block, LENGTHS).predict(block), expected)


def test_any_callable_is_a_kernel(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    expected = KernelRidge(kernel=Gauss(lengthscale=1.0)).fit(X, y).predict(X)
    assert_allclose(KernelRidge(kernel=lambda A, B: rbf_kernel(A, B, gamma=0.5)).fit(X, y).predict(X), expected)
    assert_allclose(
        KernelRidge(kernel=lambda A, B: rbf_kernel(A, B, gamma=0.5)).fit(X.tolist(), y).predict(X), expected
    )

    def common(A: list[str], B: list[str]) -> np.ndarray:
        return np.array([[float(len(set(a) & set(b))) for b in B] for a in A])

    # it declares no domain: a list of strings is taken as a list of items, an array of objects too
    for words in (WORDS, np.array(WORDS, dtype=object), np.array(WORDS)):
        model = KernelLogisticClassifier(kernel=common).fit(words, KINDS)
        assert model.score(words, KINDS) == 1.0


def test_gaussian_process_kernels_of_scikit_learn(data: tuple[np.ndarray, np.ndarray]) -> None:
    from sklearn.gaussian_process.kernels import RBF

    X, y = data
    mine = KernelRidge(kernel=RBF(1.0)).fit(X, y)
    assert_allclose(mine.predict(X), KernelRidge(kernel=Gauss()).fit(X, y).predict(X), rtol=1e-8)
    assert "kernel__length_scale" in mine.get_params()


def test_names_of_entries(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    kr.register(Gauss, name="tests.gauss", domain="vectors")
    try:
        model = KernelRidge(kernel="tests.gauss").fit(X, y)
        assert model.kernel == "tests.gauss"
        assert isinstance(model.kernel_, Gauss)
        search = GridSearchCV(KernelRidge(), {"kernel": ["tests.gauss", None]}, cv=3).fit(X, y)
        assert search.best_params_["kernel"] == "tests.gauss"
    finally:
        kr.unregister("tests.gauss")


@pytest.mark.parametrize("name", ["euclidean.rbf", "euclidean.laplace"])
def test_kernels_of_the_euclidean_plugin(data: tuple[np.ndarray, np.ndarray], name: str) -> None:
    try:
        kernel = kr.create(name, lengthscale=1.3)
    except UnknownNameError:
        pytest.skip(f"{name}: kernreg-euclidean is not installed")
    X, y = data
    search = GridSearchCV(KernelRidge(kernel=kernel, alpha=0.1), {"kernel__lengthscale": [1e-3, 1.0]}, cv=3).fit(X, y)
    assert search.best_params_ == {"kernel__lengthscale": 1.0}
    for model in (KernelRidge(kernel=name), KernelPCA(kernel=name), KernelLogisticClassifier(kernel=name)):
        model.fit(X, y > 0)
    if name == "euclidean.rbf":
        expected = KernelRidge(kernel=Gauss(lengthscale=1.3)).fit(X, y).predict(X)
        assert_allclose(KernelRidge(kernel=kernel).fit(X, y).predict(X), expected, rtol=1e-8)


def test_data_frames(data: tuple[np.ndarray, np.ndarray]) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    X, y = data
    frame = pandas.DataFrame(X, columns=["a", "b", "c"])
    for model in (KernelRidge(kernel=Gauss()), KernelLogisticClassifier(), KernelPCA(n_components=2)):
        model.fit(frame, pandas.Series(y > 0))
        assert model.feature_names_in_.tolist() == ["a", "b", "c"]
        assert model.n_features_in_ == 3
        method = model.transform if isinstance(model, KernelPCA) else model.predict
        found = method(frame)
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            assert_allclose(method(X), found)
        with pytest.raises(ValueError, match="feature names"):
            method(frame[["b", "a", "c"]])
    out = KernelPCA(n_components=2).set_output(transform="pandas").fit_transform(frame)
    assert out.columns.tolist() == ["kernelpca0", "kernelpca1"]
    # a series of strings is a list of items
    words = pandas.Series(WORDS, index=range(5, 17))
    assert KernelLogisticClassifier(kernel=Spectrum()).fit(words.tolist(), KINDS).score(WORDS, KINDS) == 1.0


def test_tensors(data: tuple[np.ndarray, np.ndarray]) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    X, y = data
    tensor, target = torch.tensor(X, requires_grad=True), torch.tensor(y)
    model = KernelRidge(kernel=Gauss(), alpha=0.1).fit(tensor, target)
    expected = KernelRidge(kernel=Gauss(), alpha=0.1).fit(X, y)
    assert isinstance(model.X_fit_, torch.Tensor)
    assert model.n_features_in_ == 3
    assert isinstance(model.predict(tensor), np.ndarray)
    assert_allclose(model.predict(tensor), expected.predict(X), rtol=1e-9)
    assert_allclose(model.predict(X), expected.predict(X), rtol=1e-9)
    assert_allclose(expected.predict(tensor.detach()), expected.predict(X), rtol=1e-9)
    with pytest.raises(ValueError, match="expected 3 features as in fit"):
        model.predict(tensor[:, :2])
    labels = (target > 0).long()
    classifier = KernelLogisticClassifier(kernel=Gauss()).fit(tensor, labels)
    assert_allclose(
        classifier.predict_proba(tensor),
        KernelLogisticClassifier(kernel=Gauss()).fit(X, y > 0).predict_proba(X),
        atol=1e-6,
    )
    assert_allclose(
        KernelPCA(n_components=2, kernel=Gauss()).fit_transform(tensor),
        KernelPCA(n_components=2, kernel=Gauss()).fit_transform(X),
        atol=1e-9,
    )


@pytest.mark.parametrize(
    ("model", "X", "y"),
    [
        (KernelRidge(kernel=Gauss(lengthscale=2.0), alpha=0.1), np.arange(12.0)[:, None], LENGTHS),
        (KernelLogisticClassifier(kernel=Spectrum(order=1)), WORDS, KINDS),
        (KernelPCA(n_components=2, kernel=Letters() + Spectrum()), WORDS, None),
        (KernelRidge(kernel=Letters()), WORDS, LENGTHS),
    ],
)
def test_fitted_estimators_pickle_and_print(model: Any, X: Any, y: Any) -> None:
    fitted = clone(model).fit(X, y)
    again = pickle.loads(pickle.dumps(fitted))
    method = "transform" if y is None else "predict"
    assert np.array_equal(getattr(again, method)(X), getattr(fitted, method)(X))
    assert repr(again) == repr(fitted) == repr(model)
    kernel = repr(model.kernel)
    assert kernel in repr(model)


def test_what_the_user_passes_is_neither_mutated_nor_shared(data: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = data
    before, target = X.copy(), y.copy()
    weights = np.ones(60)
    model = KernelRidge(kernel=Gauss(), fit_intercept=True).fit(X, y, sample_weight=weights)
    predicted = model.predict(X)
    assert np.array_equal(X, before)
    assert np.array_equal(y, target)
    assert (weights == 1).all()
    X += 1.0
    assert_allclose(model.predict(before), predicted)
