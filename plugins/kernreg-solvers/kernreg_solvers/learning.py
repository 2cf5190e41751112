r"""Learning a kernel: its parameters by alignment, marginal likelihood or leave-one-out error.

One search for all three: an objective of the Gram matrix gives its value and its derivative G by the matrix, and
``HyperParameters`` turns G into the gradient by the logarithms of the kernel's positive numbers; a kernel with the
capability ``trainable`` gets G as the gradient of its tensors.
"""

from __future__ import annotations

import copy
import numbers
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self

import numpy as np
from scipy.linalg import lapack
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

import kernreg_core as kr
from kernreg_core.arrays import describe
from kernreg_core.errors import InputError, ParameterError

from .alignment import Alignment, targets_of
from .centers import take
from .gp_common import FEW, checked_noise, learnt_space, warn_short
from .gp_likelihood import MarginalLikelihood
from .gp_parameters import find_parameters
from .gp_start import Start, best_start
from .gp_terms import overall_variances, unweighted
from .hyperparameters import HyperParameters, Minimum, minimise
from .linalg import blas_threads
from .mixin import KernelMixin, count
from .resolve import is_precomputed
from .trained import train

_EPS = float(np.finfo(np.float64).eps)
#: The least ridge penalty by default, relative to the mean of k(x, x).
_LEAST = 1e-8


class _KernelLearner(KernelMixin, BaseEstimator):  # type: ignore[misc]
    """What the learners share; a subclass says what is minimised."""

    _result = "objective_"

    kernel: Any
    parameters: Any
    bounds: Any
    target: str
    max_items: int | None
    n_restarts: int
    max_iter: int
    random_state: Any

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        return tags

    def fit(self, X: Any, y: Any) -> Self:
        """Learn the kernel's parameters from items and their targets.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or a list of items
        y : array_like, shape (n_samples,) or (n_samples, n_targets)
            Classes or numbers, see ``target``.

        Returns
        -------
        self
        """
        if is_precomputed(self.kernel):
            raise ParameterError("kernel: a 'precomputed' matrix has no parameters to learn: pass the kernel itself")
        self._check()
        X, y = self._fit_data(X, y, multi_output=True)
        if count(X) < 2:
            raise InputError("X: expected at least 2 items to compare, got 1 sample")
        X, Y = self._sampled(X, targets_of(y, self.target))
        if not np.ptp(Y, axis=0).any():
            raise InputError("y: expected targets that differ, got the same one for every item: nothing to learn from")
        space = self._space(X, Y)
        trainable = "trainable" in kr.capabilities(self.kernel_)
        self.unweighted_ = unweighted(self.kernel_, _names(space))
        if not len(space.theta) and not trainable:
            raise ParameterError(
                f"kernel: {self.kernel_!r} has no parameter that could be learnt, or bounds and parameters leave none: "
                "positive numbers are, such as lengthscale or the variance of 2 * kernel"
                + (", and the weights of a sum that is written 1.0 * a + 1.0 * b" if self.unweighted_ else "")
            )
        loss = self._loss(space, X, Y)
        with _value_or_told():
            self.initial_objective_ = self._reported(loss(space.theta)[0])
            if trainable:
                self._train(space, X, Y)
            else:
                self._search(space, self._start(space, loss, X, Y), count(X))
                self._finish(space)
        self.n_samples_fit_ = count(X)
        return self

    def score(self, X: Any, y: Any) -> float:
        """The objective of the learnt kernel on these items and targets; larger is better."""
        X = self._new_data(X)
        Y = targets_of(y, self.target)
        if len(Y) != count(X):
            raise InputError(f"y: expected {count(X)} targets, one for each item of X, got {describe(y)}")
        with _value_or_told():
            value = self._value(self._gram(self.kernel_, X), Y)
        return value if self._larger_is_better else -value

    # -- what a subclass says ---------------------------------------------------------------

    _larger_is_better = True
    #: The largest entry of a gradient that is near enough to zero.
    _tol = 1e-5

    def _derivative(self, K: np.ndarray, Y: np.ndarray, extra: dict[str, float]) -> tuple[float, np.ndarray]:
        """The loss, and its derivative by K."""
        raise NotImplementedError(f"{type(self).__name__} defines no _derivative")

    def _value(self, K: np.ndarray, Y: np.ndarray) -> float:
        """The objective at the numbers that were learnt."""
        return self._reported(self._derivative(K, Y, self._learnt_extra())[0])

    def _reported(self, loss: float) -> float:
        return -loss if self._larger_is_better else loss

    def _learnt_extra(self) -> dict[str, float]:
        return {}

    # -- the search -------------------------------------------------------------------------

    def _check(self) -> None:
        most = self.max_items
        if most is not None and (isinstance(most, bool) or not isinstance(most, numbers.Integral) or most < 2):
            raise ParameterError(f"max_items: expected a whole number at least 2, or None, got {most!r}")

    def _sampled(self, X: Any, Y: np.ndarray) -> tuple[Any, np.ndarray]:
        n = count(X)
        if self.max_items is None or n <= self.max_items:
            return X, Y
        chosen = np.sort(check_random_state(self.random_state).choice(n, int(self.max_items), replace=False))
        return take(X, chosen), Y[chosen]

    def _space(self, X: Any, Y: np.ndarray) -> HyperParameters:
        return HyperParameters(self.kernel_, X, parameters=self.parameters, bounds=self.bounds)

    def _gram(self, kernel: Any, X: Any) -> np.ndarray:
        return self._float_gram(kr.gram(kernel, X, progress=False))

    def _loss(self, space: HyperParameters, X: Any, Y: np.ndarray) -> Any:
        def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
            with blas_threads(len(Y)):
                space.at(theta)
                K = self._float_gram(space.gram(X))
                value, G = self._derivative(K, Y, space.extra(theta))
                gradient = space.pull(theta, G, X)
                where = space.where("alpha")
                if where is not None:
                    gradient[where] = space.extra(theta)["alpha"] * float(np.trace(G))
            return value, gradient

        return loss

    def _start(self, space: HyperParameters, loss: Any, X: Any, Y: np.ndarray) -> Start:
        return Start(space.theta, loss, 0)

    def _finish(self, space: HyperParameters) -> None:
        """What is left to do after a search."""

    def _search(self, space: HyperParameters, start: Start, n: int) -> None:
        with blas_threads(n if n >= FEW else 0):  # the search's own small products too
            found = minimise(
                start.loss, start.theta, space.bounds, n_restarts=self.n_restarts, max_iter=self.max_iter,
                random_state=self.random_state, tol=self._tol,
            )  # fmt: skip
        self._say_unless_converged(found)
        self._keep_theta(space, found.theta, found.n_evaluations + start.extra)
        self.objective_ = self._reported(found.value)

    def _say_unless_converged(self, found: Minimum) -> None:
        if not found.converged:
            warnings.warn(
                f"{type(self).__name__}: after {found.n_evaluations} evaluations the gradient is still "
                f"{found.residual:.2g}: raise max_iter={self.max_iter}, or narrow bounds ({found.message})",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _keep_theta(self, space: HyperParameters, theta: np.ndarray, n_iter: int) -> None:
        self.kernel_ = copy.deepcopy(space.at(theta))
        self.theta_, self.theta_names_, self.n_iter_ = theta, list(space.labels), n_iter
        self.at_bounds_ = space.at_bounds(theta)
        for name, value in space.extra(theta).items():
            setattr(self, f"{name}_", value)

    def _train(self, space: HyperParameters, X: Any, Y: np.ndarray) -> None:
        """A kernel with tensors of its own: Adam on these, its other parameters as they are."""
        extra = space.extra(space.theta)
        found = train(self.kernel_, X, lambda K: self._derivative(K, Y, extra), steps=self.max_iter)
        self.theta_, self.theta_names_, self.n_iter_, self.at_bounds_ = np.zeros(0), [], found.steps, []
        for name, value in extra.items():
            setattr(self, f"{name}_", value)
        self.objective_ = self._reported(found.value)


def _names(space: HyperParameters) -> list[str]:
    """All names of the kernel's parameters that are learnt."""
    return [name for parameter, _ in space.inside for name in (parameter.name, *parameter.aliases)]


@contextmanager
def _value_or_told() -> Iterator[None]:
    """A matrix of which the objective has no value is the kernel's on these items."""
    try:
        yield
    except np.linalg.LinAlgError as error:
        raise InputError(
            f"kernel: the objective has no value on these items: {error}. Constant features, or a kernel that is not "
            "positive semi-definite, make it so"
        ) from error


class AlignmentLearner(_KernelLearner):
    r"""Learns a kernel's parameters by maximising its centred alignment with the targets.

    .. math:: A(K) = \frac{\langle H K H, Y Y^T \rangle}{\|H K H\|_F \, \|H Y Y^T H\|_F}, \qquad H = I - 1 1^T / n,

    over the logarithms of the kernel's positive numbers, by L-BFGS with gradients. A sum of scaled kernels,
    ``1.0 * a + 1.0 * b``, learns the weights of its terms: multiple kernel learning. ``a + b`` has no weights: both
    terms count as they are, and only what is inside them is learnt; ``unweighted_`` names such terms.

    Parameters
    ----------
    kernel : kernel, callable, str
        On any domain; its parameters are where the search starts. A kernel with the capability ``trainable`` has its
        tensors trained by Adam instead, its numbers being left as they are.
    parameters : list of str, optional
        Which to learn, full names or last parts; by default every positive float that is no choice of a kernel.
    bounds : dict or "fixed", optional
        ``{name: (low, high)}`` or ``{name: "fixed"}``; from the scale of the data elsewhere.
    target : {'auto', 'classes', 'numbers'}
        What y holds. 'auto' takes texts, truth values and whole numbers in one column as classes.
    centered : bool
        False is the alignment without H.
    max_items : int, optional
        At most so many items, drawn at random, are looked at; None is all, at n^2 memory.
    n_restarts : int
        Further starts within the bounds.
    max_iter : int
        Iterations of each start; steps of a trainable kernel.
    random_state : int, RandomState or None
        Draws items and starts.

    Attributes
    ----------
    kernel_ : kernel
        With what was learnt: pass it to any solver.
    objective_, initial_objective_ : float
        The alignment reached, and where it started.
    theta_, theta_names_ : ndarray, list of str
        Logarithms of the numbers learnt, and their names.
    at_bounds_ : list of str
        Those that lie on a bound.
    unweighted_ : list of str
        Terms of a sum that have no variance of their own in front that is learnt; empty where all weights are learnt,
        or there is one term.
    n_iter_ : int
        Evaluations of the objective.
    n_samples_fit_, n_features_in_, feature_names_in_

    Raises
    ------
    ParameterError
        From ``fit``: a kernel without parameters to learn, or 'precomputed'; names or bounds that are not its own.
    InputError
        From ``fit``: as in :class:`KernelRidge`; targets that are all the same.

    Warns
    -----
    ConvergenceWarning
        If `max_iter` iterations were not enough.

    References
    ----------
    .. [1] C. Cortes, M. Mohri and A. Rostamizadeh, "Algorithms for learning kernels based on centered alignment",
       Journal of Machine Learning Research 13, 2012. arXiv:1203.0550

    Examples
    --------
    >>> import numpy as np
    >>> import kernreg_core as kr
    >>> from kernreg_solvers import AlignmentLearner
    >>> class Weighted(kr.BaseKernel):
    ...     capabilities = frozenset({"symmetric", "psd"})
    ...     def __init__(self, *, weights=(1.0, 1.0)):
    ...         self.weights = weights
    ...     def evaluate(self, X, Y):
    ...         return (X * np.array(self.weights)) @ Y.T
    >>> X = np.random.default_rng(0).standard_normal((50, 2))
    >>> learner = AlignmentLearner(kernel=Weighted()).fit(X, X[:, 0] > 0)
    >>> first, second = learner.kernel_.weights
    >>> bool(first > 100 * second), learner.objective_ > learner.initial_objective_
    (True, True)
    """

    def __init__(
        self,
        *,
        kernel: Any = None,
        parameters: Any = None,
        bounds: Any = None,
        target: str = "auto",
        centered: bool = True,
        max_items: int | None = 2000,
        n_restarts: int = 0,
        max_iter: int = 200,
        random_state: Any = None,
    ) -> None:
        self.kernel = kernel
        self.parameters = parameters
        self.bounds = bounds
        self.target = target
        self.centered = centered
        self.max_items = max_items
        self.n_restarts = n_restarts
        self.max_iter = max_iter
        self.random_state = random_state

    def _derivative(self, K: np.ndarray, Y: np.ndarray, extra: dict[str, float]) -> tuple[float, np.ndarray]:
        value, G = Alignment(Y, centered=bool(self.centered)).value_and_derivative(K)
        return -value, -G


class LikelihoodLearner(_KernelLearner):
    r"""Learns a kernel's parameters by the marginal likelihood of a Gaussian process, and the noise with them.

    .. math::
        \log p(y) = -\tfrac12 y^T A^{-1} y - \tfrac12 \log\det A - \tfrac n2 \log 2\pi, \qquad A = K + \sigma^2 I,

    on targets less their mean. For a posterior too, use :class:`GaussianProcessRegressor`; this one takes classes as
    well (as numbers), and items by the thousand through `max_items`.

    Parameters
    ----------
    kernel, parameters, bounds, target, max_items, n_restarts, max_iter, random_state
        As in :class:`AlignmentLearner`. The likelihood knows the scale of y, so put a variance in front:
        ``1.0 * kernel``. The search begins where :class:`GaussianProcessRegressor`'s does: from the data, if the
        kernel's own values explain y worse than noise alone.
    noise : float
        sigma^2, where the search starts; above 0. ``bounds={"noise": "fixed"}`` keeps it.

    Attributes
    ----------
    kernel_, theta_, theta_names_, at_bounds_, n_iter_, n_samples_fit_
        As in :class:`AlignmentLearner`.
    noise_ : float
    objective_, initial_objective_ : float
        The log likelihood, summed over targets.

    References
    ----------
    .. [1] C. E. Rasmussen and C. K. I. Williams, "Gaussian Processes for Machine Learning", MIT Press 2006, section
       5.4.1.

    Examples
    --------
    >>> import numpy as np
    >>> import kernreg_core as kr
    >>> from kernreg_solvers import LikelihoodLearner
    >>> class Exponential(kr.BaseKernel):
    ...     capabilities = frozenset({"symmetric", "psd"})
    ...     def __init__(self, *, lengthscale=1.0):
    ...         self.lengthscale = lengthscale
    ...     def evaluate(self, X, Y):
    ...         return np.exp(-abs(X - Y.T) / self.lengthscale)
    >>> X = np.linspace(0, 10, 60)[:, None]
    >>> learner = LikelihoodLearner(kernel=1.0 * Exponential()).fit(X, np.sin(X[:, 0]))
    >>> bool(learner.kernel_.kernel.lengthscale > 5), learner.objective_ > learner.initial_objective_
    (True, True)
    """

    def __init__(
        self,
        *,
        kernel: Any = None,
        noise: float = 0.1,
        parameters: Any = None,
        bounds: Any = None,
        target: str = "auto",
        max_items: int | None = 2000,
        n_restarts: int = 0,
        max_iter: int = 200,
        random_state: Any = None,
    ) -> None:
        self.kernel = kernel
        self.noise = noise
        self.parameters = parameters
        self.bounds = bounds
        self.target = target
        self.max_items = max_items
        self.n_restarts = n_restarts
        self.max_iter = max_iter
        self.random_state = random_state

    def _check(self) -> None:
        super()._check()
        if not checked_noise(self.noise):
            raise ParameterError(f"noise: expected a finite number above 0, got {self.noise!r}")

    def _space(self, X: Any, Y: np.ndarray) -> HyperParameters:
        return learnt_space(self, X, Y - Y.mean(axis=0), float(self.noise), 0.0)

    def _loss(self, space: HyperParameters, X: Any, Y: np.ndarray) -> Any:
        centred = Y - Y.mean(axis=0)
        return MarginalLikelihood(
            space, lambda _: self._float_gram(space.gram(X), own=True), X, centred, 0.0, None
        ).loss

    def _learnt_extra(self) -> dict[str, float]:
        return {"noise": self.noise_}

    def _start(self, space: HyperParameters, loss: Any, X: Any, Y: np.ndarray) -> Start:
        return best_start(space, loss, X, Y - Y.mean(axis=0), 0.0, None)

    def _finish(self, space: HyperParameters) -> None:
        warn_short(self, space, self.theta_)

    def _derivative(self, K: np.ndarray, Y: np.ndarray, extra: dict[str, float]) -> tuple[float, np.ndarray]:
        n, t = Y.shape
        centred = Y - Y.mean(axis=0)
        inverse, logdet = _inverse(K, extra["noise"])
        coefficients = inverse @ centred
        value = 0.5 * float(np.vdot(centred, coefficients)) + 0.5 * t * logdet + 0.5 * n * t * float(np.log(2 * np.pi))
        return value, 0.5 * (t * inverse - coefficients @ coefficients.T)


class CrossValidationLearner(_KernelLearner):
    r"""Learns a kernel's parameters by the leave-one-out error of ridge regression, and the penalty with them.

    With :math:`P = (K + \alpha I)^{-1}` and c = P y, item i left out would be predicted with the error
    :math:`c_i / P_{ii}`: the mean of its square is minimised, in closed form and with its gradient.

    Parameters
    ----------
    kernel, parameters, bounds, target, max_items, n_restarts, max_iter, random_state
        As in :class:`AlignmentLearner`. Targets are centred; classes are taken as numbers.
    alpha : float
        Ridge penalty, where the search starts; above 0. ``bounds={"alpha": "fixed"}`` keeps it. By default it is
        sought from 1e-8 times the mean of k(x, x), where float64 still solves the system, to 1e4 times that, and the
        search starts at least ten times above the lower end.

    Attributes
    ----------
    kernel_, theta_, theta_names_, at_bounds_, n_iter_, n_samples_fit_
        As in :class:`AlignmentLearner`.
    alpha_ : float
    objective_, initial_objective_ : float
        The mean squared leave-one-out error.

    Notes
    -----
    Only the ratio of a variance in front of the whole kernel to `alpha` matters: while `alpha` is learnt such a
    variance stays as it is, unless `parameters` or `bounds` name it. In a sum every term may keep its own; fix one of
    them, ``bounds={"k1__variance": "fixed"}``, so that what the others find can be read. Parameters at which
    K + alpha I is singular in float64 have no error, and the search turns back from them.

    References
    ----------
    .. [1] D. M. Allen, "The relationship between variable selection and data augmentation and a method for
       prediction", Technometrics 16, 1974.

    Examples
    --------
    >>> import numpy as np
    >>> import kernreg_core as kr
    >>> from kernreg_solvers import CrossValidationLearner
    >>> class Exponential(kr.BaseKernel):
    ...     capabilities = frozenset({"symmetric", "psd"})
    ...     def __init__(self, *, lengthscale=0.1):
    ...         self.lengthscale = lengthscale
    ...     def evaluate(self, X, Y):
    ...         return np.exp(-abs(X - Y.T) / self.lengthscale)
    >>> X = np.linspace(0, 10, 60)[:, None]
    >>> learner = CrossValidationLearner(kernel=Exponential(), alpha=0.1).fit(X, np.sin(X[:, 0]))
    >>> bool(learner.kernel_.lengthscale > 1), learner.objective_ < learner.initial_objective_
    (True, True)
    """

    _larger_is_better = False
    _tol = 1e-7  # of errors in units of the variance of y

    def __init__(
        self,
        *,
        kernel: Any = None,
        alpha: float = 1.0,
        parameters: Any = None,
        bounds: Any = None,
        target: str = "auto",
        max_items: int | None = 2000,
        n_restarts: int = 0,
        max_iter: int = 200,
        random_state: Any = None,
    ) -> None:
        self.kernel = kernel
        self.alpha = alpha
        self.parameters = parameters
        self.bounds = bounds
        self.target = target
        self.max_items = max_items
        self.n_restarts = n_restarts
        self.max_iter = max_iter
        self.random_state = random_state

    def _check(self) -> None:
        super()._check()
        value = self.alpha
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not np.isfinite(value) or value <= 0:
            raise ParameterError(f"alpha: expected a finite number above 0, got {value!r}")

    def _space(self, X: Any, Y: np.ndarray) -> HyperParameters:
        scale = float(np.mean(self._gram(self.kernel_, X[:200]).diagonal())) or 1.0
        least = max(_LEAST, 10.0 * count(X) ** 2 * _EPS) * scale  # krr solves above n^2 eps of the mean diagonal
        alpha, given = float(self.alpha), self.bounds
        if self._alpha_is_learnt():
            named = given if isinstance(given, Mapping) else {}
            asked = [*(self.parameters or ()), *named]
            held = [p for p in find_parameters(self.kernel_) if p.name in overall_variances(self.kernel_)]
            held = [p for p in held if not any(p.answers_to(name) for name in asked)]
            given = {**named, **{p.name: "fixed" for p in held}} if held else given
            alpha = alpha if "alpha" in named else max(alpha, 10.0 * least)
        return HyperParameters(
            self.kernel_, X, y=Y, parameters=self.parameters, bounds=given, extra={"alpha": alpha},
            extra_bounds={"alpha": (least, 1e4 * scale)},
        )  # fmt: skip

    def _start(self, space: HyperParameters, loss: Any, X: Any, Y: np.ndarray) -> Start:
        unit = float(np.mean(np.square(Y - Y.mean(axis=0))))  # the search does not depend on the scale of y

        def scaled(theta: np.ndarray) -> tuple[float, np.ndarray]:
            value, gradient = loss(theta)
            return value / unit, gradient / unit

        self._unit = unit
        return Start(space.theta, scaled, 0)

    def _finish(self, space: HyperParameters) -> None:
        self.objective_ *= self._unit

    def _alpha_is_learnt(self) -> bool:
        if "trainable" in kr.capabilities(self.kernel_):
            return False
        free = not isinstance(self.bounds.get("alpha"), str) if isinstance(self.bounds, Mapping) else not self.bounds
        return free and (self.parameters is None or "alpha" in self.parameters)

    def _learnt_extra(self) -> dict[str, float]:
        return {"alpha": self.alpha_}

    def _derivative(self, K: np.ndarray, Y: np.ndarray, extra: dict[str, float]) -> tuple[float, np.ndarray]:
        centred = Y - Y.mean(axis=0)
        P, _ = _inverse(K, extra["alpha"], least=10.0 * _EPS)
        c, diagonal = P @ centred, P.diagonal()[:, None]
        errors = c / diagonal
        value = float(np.mean(np.square(errors)))
        # dP = -P dK P in both c and the diagonal
        first = (P @ (errors / diagonal)) @ c.T
        second = (P * (errors * c / diagonal**2).sum(axis=1)) @ P
        return value, (2.0 / errors.size) * (second - 0.5 * (first + first.T))


def _inverse(K: np.ndarray, shift: float, *, least: float = 0.0) -> tuple[np.ndarray, float]:
    """(K + shift I)^-1 and the logarithm of the determinant of what is inverted.

    LinAlgError where the reciprocal condition number is below `least`.
    """
    A = np.array(K, order="F")
    A.flat[:: len(A) + 1] += shift
    norm = float(np.abs(A).sum(axis=0).max()) if least else 0.0
    factor, info = lapack.dpotrf(A, lower=1, clean=1, overwrite_a=1)
    if info != 0:
        raise np.linalg.LinAlgError("the Gram matrix is not positive definite")
    if least and lapack.dpocon(factor, norm, uplo="L")[0] < least:
        raise np.linalg.LinAlgError("the Gram matrix and alpha I are singular in float64 together")
    logdet = 2.0 * float(np.log(factor.diagonal()).sum())
    inverse, info = lapack.dpotri(factor, lower=1, overwrite_c=1)
    if info != 0:
        raise np.linalg.LinAlgError("the Gram matrix is singular")
    lower = np.tril(inverse, -1)
    return np.asarray(lower + lower.T + np.diag(inverse.diagonal())), logdet
