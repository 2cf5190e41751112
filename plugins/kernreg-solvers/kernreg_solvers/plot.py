"""Pictures of Gram matrices, spectra, posteriors and learning curves. Needs matplotlib: the extra ``[plot]``.

Each function draws on axes that are given, or on new ones, and returns them; none shows or saves a figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import kernreg_core as kr
from kernreg_core.arrays import describe
from kernreg_core.errors import InputError, MissingDependencyError, ParameterError

from .mixin import as_numpy, count

__all__ = ["gram", "learning_curve", "posterior", "spectrum"]

_BLUE, _RED, _GREY = "#0072b2", "#d55e00", "#555555"


def gram(K: Any, X: Any = None, *, labels: Any = None, ax: Any = None) -> Any:
    """A Gram matrix as an image.

    Parameters
    ----------
    K : array of shape (n, m), or kernel
        A matrix, or a kernel together with `X`.
    X : array or sequence, n items, optional
        The items of a kernel.
    labels : array_like, shape (n,), optional
        Classes: rows and columns are sorted by them, and named.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InputError
        If `K` is no matrix, or `labels` has another length.
    ParameterError
        If `K` is a kernel and `X` is missing.

    Notes
    -----
    Colours span the 1st to the 99th percentile, so that a bright diagonal does not darken the rest.

    Examples
    --------
    >>> import numpy as np
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from kernreg_solvers import LinearKernel, plot
    >>> ax = plot.gram(LinearKernel(), np.eye(3), labels=[1, 0, 1])
    >>> ax.images[0].get_array().shape
    (3, 3)
    """
    values = _matrix(K, X)
    if labels is not None:
        labels = np.asarray(as_numpy(labels))
        if labels.shape != values.shape[:1] or values.shape[0] != values.shape[1]:
            raise InputError(
                f"labels: expected one for each row of a square matrix, {values.shape[0]}, got {describe(labels)}"
            )
        order = np.argsort(labels, kind="stable")
        values = values[np.ix_(order, order)]
    axis = _axes(ax)
    low, high = np.percentile(values, [1, 99])
    image = axis.imshow(values, vmin=low, vmax=high if high > low else low + 1, interpolation="antialiased")
    axis.figure.colorbar(image, ax=axis, fraction=0.046, pad=0.03)
    if labels is None:
        axis.set(xlabel="item", ylabel="item")
        return axis
    names, counts = np.unique(labels, return_counts=True)
    middle = np.cumsum(counts) - counts / 2 - 0.5
    axis.set_yticks(middle, [str(name) for name in names])
    axis.set_xticks(middle, [str(name) for name in names])
    axis.tick_params(length=0)
    return axis


def spectrum(K: Any, X: Any = None, *, label: str | None = None, ax: Any = None) -> Any:
    """Eigenvalues of a Gram matrix, largest first, as shares of the trace on logarithmic axes.

    Parameters
    ----------
    K : array of shape (n, n), or kernel
        Symmetric; a matrix, or a kernel together with `X`.
    X : array or sequence, n items, optional
    label : str, optional
        For a legend; several calls on one `ax` compare kernels.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
        Negative eigenvalues, where there are any beyond rounding, are drawn as crosses at their magnitude: the
        matrix is not positive semi-definite.

    Raises
    ------
    InputError, ParameterError
        As in :func:`gram`; the matrix must be square.

    Examples
    --------
    >>> import numpy as np
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from kernreg_solvers import plot
    >>> ax = plot.spectrum(np.diag([4.0, 2.0, 1.0, 1.0]), label="example")
    >>> ax.lines[0].get_ydata().round(3)
    array([0.5  , 0.25 , 0.125, 0.125])
    """
    values = _matrix(K, X)
    if values.shape[0] != values.shape[1]:
        raise InputError(f"K: expected a square matrix, got {describe(values)}")
    eigenvalues = np.linalg.eigvalsh((values + values.T) / 2)[::-1]
    axis = _axes(ax)
    total = max(float(np.abs(eigenvalues).sum()), np.finfo(np.float64).tiny)
    share = eigenvalues / total
    rank = np.arange(1, len(share) + 1)
    rounding = len(share) * np.finfo(np.float64).eps * float(np.abs(share).max())
    (line,) = axis.plot(rank[share > rounding], share[share > rounding], label=label)
    negative = share < -rounding
    if negative.any():
        axis.plot(rank[negative], -share[negative], "x", color=line.get_color(), ms=4)
    axis.set(xscale="log", yscale="log", xlabel="rank of the eigenvalue", ylabel="share of the trace")
    if label is not None:
        axis.legend(frameon=False)
    return axis


def posterior(
    model: Any,
    X: Any = None,
    y: Any = None,
    *,
    at: Any = None,
    samples: int = 0,
    include_noise: bool = False,
    random_state: Any = 0,
    ax: Any = None,
) -> Any:
    """A fitted Gaussian process over one feature: mean, a band of two standard deviations, the data.

    The band is that of the function; with `include_noise` that of new observations, which should hold about 95 % of the
    points. The legend says which.

    Parameters
    ----------
    model : fitted estimator
        With ``predict(X, return_std=True)``: ``solver.gp``, ``solver.sparse_gp``, scikit-learn's.
    X : array_like, shape (n, 1), optional
        The data, drawn as points.
    y : array_like, shape (n,), optional
    at : array_like, shape (m, 1) or (m,), optional
        Where to evaluate; by default 200 points over the range of `X` and a tenth beyond.
    samples : int
        How many functions drawn from the posterior to show; needs ``sample_y``.
    include_noise : bool
        Whether the band is that of new observations rather than of the function; needs
        ``predict(X, return_std=True, include_noise=True)``, as kernreg's models have it.
    random_state : int or RandomState
        Of the samples.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ParameterError
        If neither `X` nor `at` is given, or the model has no standard deviations.
    InputError
        If `X` has more than one feature, or `y` another length.
    """
    if not callable(getattr(model, "predict", None)):
        raise ParameterError(f"model: expected a fitted Gaussian process, got {describe(model)}")
    points = None if X is None else np.asarray(as_numpy(X), dtype=np.float64)
    if points is not None and (points.ndim != 2 or points.shape[1] != 1):
        raise InputError(f"X: expected one feature, shape (n, 1), got {describe(X)}: fix the others, and pass at=")
    if points is not None and y is not None and np.shape(as_numpy(y)) not in ((len(points),), (len(points), 1)):
        raise InputError(f"y: expected {len(points)} targets, one for each row of X, got {describe(y)}")
    where = _where(points, at)
    options = {"include_noise": True} if include_noise else {}
    try:
        mean, std = model.predict(where, return_std=True, **options)
    except TypeError as error:
        wanted = "".join(f", {name}=True" for name in ("return_std", *options))
        raise ParameterError(
            f"model: expected predict(X{wanted}), as Gaussian processes have it, got {model!r}: {error}"
        ) from error
    mean, std = np.asarray(mean), np.asarray(std)
    if mean.ndim != 1:
        raise InputError(f"model: expected one target, got predictions of shape {mean.shape}")
    axis = _axes(ax)
    line = where[:, 0]
    band = f"2 standard deviations of {_band(model, include_noise)}"
    axis.fill_between(line, mean - 2 * std, mean + 2 * std, color=_BLUE, alpha=0.2, lw=0, label=band)
    if samples:
        drawn = np.asarray(model.sample_y(where, samples, random_state=random_state)).reshape(len(line), -1)
        axis.plot(line, drawn, color=_GREY, lw=0.7, alpha=0.7)
    axis.plot(line, mean, color=_BLUE, label="mean")
    if points is not None and y is not None:
        axis.plot(points[:, 0], np.asarray(as_numpy(y)), ".", color=_RED, label="data")
    axis.set(xlabel="x", ylabel="y")
    axis.legend(frameon=False)
    return axis


def _band(model: Any, include_noise: bool) -> str:
    """What the standard deviations of `model` are of, as a legend says it."""
    kernel = getattr(model, "kernel_", None)
    # scikit-learn adds the noise of a WhiteKernel to its own
    inside = "WhiteKernel" in repr(kernel) and type(kernel).__module__.startswith("sklearn.")
    return "new observations" if include_noise or inside else "the function, without noise"


def _where(points: np.ndarray | None, at: Any) -> np.ndarray:
    if at is not None:
        found = np.asarray(as_numpy(at), dtype=np.float64)
        return found[:, None] if found.ndim == 1 else found
    if points is None:
        raise ParameterError("X: expected the data, or at=, the points to evaluate the model at")
    low, high = float(points.min()), float(points.max())
    margin = 0.1 * (high - low) or 1.0
    return np.linspace(low - margin, high + margin, 200)[:, None]


def learning_curve(
    estimators: Any,
    X: Any,
    y: Any,
    *,
    sizes: Sequence[float] | None = None,
    cv: Any = 5,
    scoring: Any = None,
    error: bool = False,
    ax: Any = None,
) -> Any:
    """Cross-validated score of estimators as the training set grows, with a band of one standard error.

    Parameters
    ----------
    estimators : estimator, or dict of name to estimator
    X : array or list, n items
    y : array_like, shape (n,)
    sizes : sequence of float or int, optional
        As ``train_sizes`` of scikit-learn's ``learning_curve``; by default six from a tenth to all.
    cv, scoring
        As there.
    error : bool
        Draw 1 - score on logarithmic axes, where a power law is a line.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import numpy as np
    >>> import matplotlib
    >>> matplotlib.use("agg")
    >>> from kernreg_solvers import KernelRidge, plot
    >>> X = np.random.default_rng(0).standard_normal((60, 2))
    >>> ax = plot.learning_curve(KernelRidge(alpha=0.1), X, X[:, 0], sizes=[10, 20, 40], cv=3)
    >>> len(ax.lines[0].get_xdata())
    3
    """
    from sklearn.model_selection import learning_curve as curve

    named = estimators if isinstance(estimators, dict) else {type(estimators).__name__: estimators}
    if not named:
        raise ParameterError("estimators: expected at least one, got an empty dict")
    axis = _axes(ax)
    wanted = np.linspace(0.1, 1.0, 6) if sizes is None else np.asarray(sizes)
    for name, estimator in named.items():
        # mixed at random, since rows may be sorted by class
        found = curve(
            estimator,
            X,
            np.asarray(as_numpy(y)),
            train_sizes=wanted,
            cv=cv,
            scoring=scoring,
            shuffle=True,
            random_state=0,
        )
        size, scores = found[0], 1.0 - found[2] if error else found[2]
        mean, spread = scores.mean(axis=1), scores.std(axis=1, ddof=1) / np.sqrt(scores.shape[1])
        (line,) = axis.plot(size, mean, ".-", label=name)
        axis.fill_between(size, mean - spread, mean + spread, color=line.get_color(), alpha=0.2, lw=0)
    axis.set(xlabel="training items", ylabel="1 - score" if error else "score")
    if error:
        axis.set(xscale="log", yscale="log")
    axis.legend(frameon=False)
    return axis


def _matrix(K: Any, X: Any) -> np.ndarray:
    if callable(K) and not hasattr(K, "shape"):
        if X is None:
            raise ParameterError(f"X: expected the items of {K!r}: pass plot.gram(kernel, X), or a matrix")
        K = kr.gram(K, X, progress=False)
    values = np.asarray(as_numpy(K))
    if values.ndim != 2 or not count(values) or values.dtype.kind not in "fiubc":
        raise InputError(f"K: expected a matrix of numbers, or a kernel with its items, got {describe(K)}")
    if not np.isfinite(values).all():
        raise InputError("K: expected finite values, got NaN or infinity among them")
    return np.real(values).astype(np.float64, copy=False)


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise MissingDependencyError(
            'plots need matplotlib, which is not installed: pip install "kernreg-solvers[plot]"'
        ) from error
    return pyplot.subplots(layout="constrained")[1]
