"""How fast a regressor's error falls with the number of items: the exponent, its interval, and what theory says."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from scipy.stats import t as student
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_random_state, get_tags
from sklearn.utils.validation import check_array, column_or_1d, validate_data

from kernreg_core.arrays import check_sized, describe, is_torch
from kernreg_core.errors import InputError, KernregError, KernregWarning, ParameterError

from .centers import take
from .krr import KernelRidge
from .mercer import MercerBasis, PowerFunction, mercer_coefficients, power_norm
from .mixin import _looks_like_vectors, as_numpy, count

#: Sizes by default: so many, from this part of what there is to train on.
_SIZES, _SMALLEST = 5, 8


class LearningRate(BaseEstimator):  # type: ignore[misc]
    r"""Exponent r with which a regressor's squared error falls, :math:`E\, \|\hat f_n - f^*\|^2 \approx c\, n^{-r}`.

    The regressor is fitted to random parts of the items of growing size, several times. The exponent is the slope of
    the logarithm of the mean error over that of the size.

    For kernel ridge regression whose kernel has eigenvalues :math:`\lambda_k \sim k^{-\beta}` and a target of source
    condition s, that is, in :math:`[H]^s`, the best exponent in :math:`[H]^\gamma` is
    :math:`(s - \gamma) \beta / (s \beta + 1)`; the penalty that reaches it is
    :math:`\alpha = n \lambda, \lambda = n^{-\beta / (s \beta + 1)}` [1]_.

    Parameters
    ----------
    estimator : estimator, optional
        A regressor; cloned for every fit. :class:`KernelRidge` by default.
    sizes : array_like of int, optional
        Numbers of items, at least two different ones. By default five, from an eighth of what there is to train on.
    repeats : int
        Fits of each size, at least 1.
    penalty : callable, 'optimal' or None
        alpha for n items; ``'optimal'``: the formula above, which takes `source` and `decay`; None: the estimator's.
    parameter : str
        The estimator's parameter that `penalty` sets; ``'krr__alpha'`` reaches into a pipeline.
    truth : callable, optional
        Items -> (n,): the target without noise. Without it errors are those of the targets that are held out.
    basis : MercerBasis, optional
        Of the kernel under the law of the items: errors against `truth` are then integrals, in the norm of
        :math:`[H]^\gamma`, and nothing is held out.
    gamma : float
        The norm's; 0 is L2. Above 0 it takes `basis`.
    n_terms : int
        Terms of the basis that predictions are integrated against. Of a truth made by :func:`power_function` on the
        same basis all terms count.
    noise : float
        Variance of the targets about the truth, where errors are those of held-out targets: it is subtracted. Left in,
        it is what errors end at, and the exponent is too small.
    source, decay : float, optional
        s and beta, from which ``theory_`` is computed.
    test_size : float
        Part of the items that is held out.
    confidence : float
        Of ``slope_interval_``.
    random_state : int, RandomState or None
        Draws the parts.

    Attributes
    ----------
    slope_ : float
        r.
    slope_interval_ : ndarray, shape (2,)
        By the jackknife over the repeats, or, for one repeat, by the regression on the sizes.
    theory_ : float or None
        :math:`(s - \gamma) \beta / (s \beta + 1)`.
    sizes_ : ndarray of int, shape (m,)
    errors_ : ndarray, shape (repeats, m)
        Squared errors.
    alphas_ : ndarray, shape (m,), or None
        What `penalty` gave.
    constant_ : float
        c.
    n_features_in_, feature_names_in_ : int, ndarray
        Where `X` has columns, and names for them.

    Raises
    ------
    ParameterError
        From ``fit``: a parameter is out of its range, or lacks another one that it takes.
    InputError
        From ``fit``: too few items for the sizes; NaN or infinity; an error that `noise` exceeds.

    Warns
    -----
    KernregWarning
        If an error is exactly zero: there is no exponent then, and ``slope_`` is NaN.

    Notes
    -----
    Repeats have no item in common where there are enough for that. Where there are not they are drawn anew from the
    same items, and the interval, which takes them as independent, is too narrow. Nor does it hold what the held-out
    items add: where errors are largest at a few points give `basis`, whose integrals have no such noise.

    References
    ----------
    .. [1] H. Zhang, Y. Li, W. Lu and Q. Lin, "On the optimality of misspecified kernel ridge regression", ICML 2023,
       arXiv:2305.07241.

    Examples
    --------
    Ridge regression with min(x, y) on a target outside the kernel's space:

    >>> import numpy as np
    >>> from kernreg_solvers import KernelRidge, LearningRate, power_function, sine_basis
    >>> rng = np.random.default_rng(0)
    >>> truth = power_function(0.4, sine_basis(), n_terms=500)
    >>> X = rng.random((3000, 1))
    >>> y = truth(X) + 0.3 * rng.standard_normal(3000)
    >>> ridge = KernelRidge(kernel=lambda X, Y: np.minimum(X, Y.T))
    >>> rate = LearningRate(estimator=ridge, sizes=[60, 120, 240, 480], repeats=5, penalty="optimal", truth=truth,
    ...                     source=0.4, decay=2.0, random_state=0).fit(X, y)
    >>> round(rate.theory_, 3), bool(rate.slope_interval_[0] < rate.theory_ < rate.slope_interval_[1])
    (0.444, True)
    """

    def __init__(
        self,
        *,
        estimator: Any = None,
        sizes: Any = None,
        repeats: int = 5,
        penalty: Callable[[int], float] | str | None = None,
        parameter: str = "alpha",
        truth: Callable[[Any], Any] | None = None,
        basis: MercerBasis | None = None,
        gamma: float = 0.0,
        n_terms: int = 1000,
        noise: float = 0.0,
        source: float | None = None,
        decay: float | None = None,
        test_size: float = 0.25,
        confidence: float = 0.95,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.sizes = sizes
        self.repeats = repeats
        self.penalty = penalty
        self.parameter = parameter
        self.truth = truth
        self.basis = basis
        self.gamma = gamma
        self.n_terms = n_terms
        self.noise = noise
        self.source = source
        self.decay = decay
        self.test_size = test_size
        self.confidence = confidence
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.sparse = self._takes_sparse()
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Measure.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or a list of items
        y : array_like, shape (n_samples,)

        Returns
        -------
        self
        """
        self.__dict__.pop("slope_", None)
        self._check_parameters()
        X, y = self._data(X, y)
        n = len(y)
        held_out = 0 if self.basis is not None else max(1, round(float(self.test_size) * n))
        sizes = self._sizes(n - held_out)
        rng = check_random_state(self.random_state)
        self.errors_ = np.empty((int(self.repeats), len(sizes)))
        self.alphas_ = None if self.penalty is None else np.array([self._alpha(int(size)) for size in sizes])
        apart = int(self.repeats) * sizes[-1] <= n - held_out
        order = rng.permutation(n)
        for repeat in range(int(self.repeats)):
            if repeat and not apart:
                order = rng.permutation(n)
            first = held_out + (repeat * int(sizes[-1]) if apart else 0)
            test = (take(X, order[:held_out]), y[order[:held_out]]) if held_out else (None, None)
            for i, size in enumerate(sizes):
                part = order[first : first + size]
                model = self._fitted(take(X, part), y[part], i)
                self.errors_[repeat, i] = self._error(model, *test)
        self.sizes_ = sizes
        self.theory_ = None
        if self.source is not None and self.decay is not None:
            s, beta = float(self.source), float(self.decay)
            self.theory_ = (s - float(self.gamma)) * beta / (s * beta + 1.0)
        self._regress()
        return self

    def _takes_sparse(self) -> bool:
        return bool(get_tags(KernelRidge() if self.estimator is None else self.estimator).input_tags.sparse)

    # -- input --------------------------------------------------------------------------------

    def _data(self, X: Any, y: Any) -> tuple[Any, np.ndarray]:
        try:
            if is_torch(X):
                for name in ("n_features_in_", "feature_names_in_"):
                    self.__dict__.pop(name, None)
                X = X.detach()
            elif _looks_like_vectors(X):
                sparse = "csr" if self._takes_sparse() else False
                X = validate_data(self, X, accept_sparse=sparse, dtype=[np.float64, np.float32], ensure_min_samples=2)
            else:
                X = check_sized(X, "X", "items")
            if y is None:
                raise InputError("y: LearningRate requires y to be passed, but the target y is None")
            y = column_or_1d(check_array(as_numpy(y), ensure_2d=False, dtype=np.float64, input_name="y"), warn=True)
        except KernregError:
            raise
        except ValueError as error:
            raise InputError(str(error)) from error
        if len(y) != count(X):
            raise InputError(f"y: expected {count(X)} targets, one for each item of X, got {describe(y)}")
        return X, y

    def _check_parameters(self) -> None:
        _check_whole("repeats", self.repeats, 1)
        _check_whole("n_terms", self.n_terms, 1)
        for name, low, high in (("test_size", 0.0, 1.0), ("confidence", 0.0, 1.0)):
            value = getattr(self, name)
            if not _is_number(value) or not low < value < high:
                raise ParameterError(f"{name}: expected a number between 0 and 1, got {value!r}")
        for name, least in (("gamma", 0.0), ("noise", 0.0)):
            value = getattr(self, name)
            if not _is_number(value) or not least <= value < math.inf:
                raise ParameterError(f"{name}: expected a number at least 0, got {value!r}")
        for name in ("source", "decay"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and 0 < value < math.inf):
                raise ParameterError(f"{name}: expected a number above 0, or None, got {value!r}")
        for name in ("truth", "penalty"):
            value = getattr(self, name)
            if value is not None and not callable(value) and not (name == "penalty" and value == "optimal"):
                also = ", 'optimal'" if name == "penalty" else ""
                raise ParameterError(f"{name}: expected a callable{also} or None, got {describe(value)}")
        if isinstance(self.penalty, str) and (self.source is None or self.decay is None):
            raise ParameterError("penalty: 'optimal' takes source and decay: give both, or a callable n -> alpha")
        if self.basis is not None and not isinstance(self.basis, MercerBasis):
            raise ParameterError(f"basis: expected a MercerBasis, such as sine_basis(), got {describe(self.basis)}")
        if self.basis is not None and self.truth is None:
            raise ParameterError("basis: errors are integrals against the truth: give truth=, or no basis")
        if self.basis is None and self.gamma > 0:
            raise ParameterError(f"gamma: {self.gamma!r} takes the kernel's basis: give basis=, or 0 for L2")

    def _sizes(self, most: int) -> np.ndarray:
        if self.sizes is None:
            found = np.unique(np.geomspace(max(1.0, most / _SMALLEST), max(most, 1), _SIZES).round().astype(int))
            if len(found) < 2:
                raise InputError(f"X: expected at least 3 items, got so few that {most} sample(s) are left to train on")
            return found
        try:
            found = np.unique(np.asarray(self.sizes, dtype=np.int64))
        except (TypeError, ValueError):
            raise ParameterError(f"sizes: expected whole numbers, got {self.sizes!r}") from None
        if found.ndim != 1 or len(found) < 2 or found[0] < 1 or not np.array_equal(np.unique(self.sizes), found):
            raise ParameterError(f"sizes: expected two or more different whole numbers above 0, got {self.sizes!r}")
        if found[-1] > most:
            raise InputError(f"X: expected {found[-1]} items to train on, the largest of sizes, got {most}")
        return found

    # -- the parts of fit ---------------------------------------------------------------------

    def _alpha(self, n: int) -> float:
        if callable(self.penalty):
            return float(self.penalty(n))
        s, beta = float(self.source or 0.0), float(self.decay or 0.0)  # both are there: _check_parameters
        return float(n ** (1.0 - beta / (s * beta + 1.0)))

    def _fitted(self, X: Any, y: np.ndarray, i: int) -> Any:
        model = KernelRidge() if self.estimator is None else clone(self.estimator)
        if self.alphas_ is not None:
            try:
                model.set_params(**{self.parameter: float(self.alphas_[i])})
            except (TypeError, ValueError) as error:
                raise ParameterError(
                    f"parameter: {self.parameter!r} cannot be set, as penalty has to ({error})"
                ) from error
        return model.fit(X, y)

    def _error(self, model: Any, X: Any, y: Any) -> float:
        """The squared error of one fit."""
        truth = self.truth
        if self.basis is not None and truth is not None:
            terms = int(self.n_terms)

            def predicted(Z: Any) -> np.ndarray:
                return np.asarray(as_numpy(model.predict(Z)))

            if isinstance(truth, PowerFunction) and truth.basis == self.basis:
                # its coefficients are known, also those beyond what is integrated
                rest = np.zeros(max(terms, len(truth.coefficients)))
                rest[:terms] = mercer_coefficients(predicted, self.basis, n_terms=terms)
                rest[: len(truth.coefficients)] -= truth.coefficients
                return power_norm(rest, self.basis, self.gamma) ** 2
            return power_norm(lambda Z: predicted(Z) - truth(Z), self.basis, self.gamma, n_terms=terms) ** 2
        expected = y if truth is None else _numbers(truth(X), "truth", self.truth, count(X))
        found = _numbers(model.predict(X), "estimator", self.estimator, count(X))
        error = float(np.mean(np.square(found - expected)))
        return error if truth is not None else error - float(self.noise)

    def _regress(self) -> None:
        mean = self.errors_.mean(axis=0)
        if (mean < 0).any():
            raise InputError(
                f"noise: the error of held-out targets falls below {self.noise!r} at n={self.sizes_[mean.argmin()]}: "
                "expected the variance of the targets about the truth"
            )
        self.slope_interval_ = np.array([np.nan, np.nan])
        if (mean == 0).any():
            warnings.warn(
                f"the error is exactly zero at n={self.sizes_[mean.argmin()]}, so it has no exponent and slope_ is "
                "NaN: take smaller sizes, or data with noise",
                KernregWarning,
                stacklevel=3,
            )
            self.constant_, self.slope_ = np.nan, np.nan
            return
        slope, constant = _line(self.sizes_, mean)
        self.slope_interval_ = np.array(self._interval(slope, mean))
        self.constant_, self.slope_ = constant, slope

    def _interval(self, slope: float, mean: np.ndarray) -> tuple[float, float]:
        repeats = len(self.errors_)
        if repeats > 1:
            others = (mean * repeats - self.errors_) / (repeats - 1)
            if (others <= 0).any():
                return -math.inf, math.inf
            slopes = np.array([_line(self.sizes_, row)[0] for row in others])
            error = math.sqrt((repeats - 1) / repeats * float(np.square(slopes - slopes.mean()).sum()))
            freedom = repeats - 1
        else:
            freedom = len(mean) - 2
            if freedom < 1:
                return -math.inf, math.inf
            x = np.log(self.sizes_)
            rest = np.log(mean) - np.polyval(np.polyfit(x, np.log(mean), 1), x)
            error = math.sqrt(float(rest @ rest) / freedom / float(np.square(x - x.mean()).sum()))
        reach = float(student.ppf(0.5 + 0.5 * float(self.confidence), freedom)) * error
        return slope - reach, slope + reach


def _line(sizes: np.ndarray, errors: np.ndarray) -> tuple[float, float]:
    """Exponent and constant of the power law through the errors."""
    slope, level = np.polyfit(np.log(sizes), np.log(errors), 1)
    return -float(slope), float(np.exp(level))


def _numbers(values: Any, name: str, source: Any, n: int) -> np.ndarray:
    """One number for each item, from `source`, the argument `name`."""
    found = np.asarray(as_numpy(values), dtype=np.float64)
    if found.shape == (n, 1):
        return found[:, 0]
    if found.shape != (n,):
        raise ParameterError(
            f"{name}: expected one number for each of {n} items, shape ({n},), got {describe(values)} from {source!r}"
        )
    return found


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _check_whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
        raise ParameterError(f"{name}: expected a whole number at least {least}, got {value!r}")
