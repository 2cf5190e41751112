"""Kernel ridge regression by whichever solver suits the data, the kernel and what may be spent."""

from __future__ import annotations

import numbers
import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils import check_random_state

import kernreg_core as kr
from kernreg_core.arrays import is_prepared
from kernreg_core.errors import KernregError, KernregWarning, ParameterError
from kernreg_core.memory import available_memory

from . import costs
from .feature_ridge import FeatureRidge
from .krr import KernelRidge, checked_weights, of_targets
from .krr_cg import KernelRidgeCG
from .mixin import KernelMixin, count
from .options import TOL, Problem, choose, options
from .penalty import METHODS, checked_penalty
from .resolve import probe

#: Bytes where nothing says how much memory there is.
_UNKNOWN = 1 << 32


class AutoKernelRidge(KernelMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    r"""Kernel ridge regression by the solver that suits the data, and a sentence that says why.

    Among the solvers that give the ridge regression of the kernel itself the fastest one within the budgets is taken
    (``solver.krr``, where it takes less than a second or twice as long); where there is none, the fastest
    approximation:

    ========================= ======== ====================================================================
    entry                     exact    when
    ========================= ======== ====================================================================
    ``solver.krr``            yes      K fits into memory
    ``solver.krr_cg``         yes      alpha is a number above 0
    ``solver.feature_ridge``  yes, no  the kernel has exact or random features; or, where alpha is chosen and
                                       K is too large, on the features of ``euclidean.nystrom``
    ``solver.falkon``         no       alpha is a number above 0, or 'gcv'
    ``solver.eigenpro2``      no       alpha is 0: interpolation, without weights and intercept
    ========================= ======== ====================================================================

    Predictions count kernel values and operations, and divide by speeds that are measured on a sample of at most 1,024
    items in some tenths of a second: :mod:`kernreg_solvers.costs`. Expect a factor of two, sometimes more.

    Parameters
    ----------
    kernel : None, kernel, callable, str
        As for :class:`KernelRidge`: None is the linear kernel, ``'precomputed'`` takes Gram matrices.
    alpha : float, array_like of shape (n_targets,), 'loo' or 'gcv'
        Ridge penalty, at least 0; or chosen by leave-one-out or generalised cross-validation.
    fit_intercept : bool
    exact : bool
        Whether approximations are left out.
    memory_budget : int, optional
        Bytes that ``fit`` may take; half of what is available by default.
    time_budget : float, optional
        Seconds that ``fit`` should take; None: any number of them, so that exact solvers win wherever memory allows.
    random_state : int, RandomState or None
        Draws the sample, and goes to the solver.

    Attributes
    ----------
    estimator_ : estimator
        The solver, fitted.
    choice_ : str
        Its entry's name.
    reason_ : str
        Why, with the numbers.
    plan_ : tuple of Option
        Every solver with what it was predicted to take, or why it was not possible.
    alpha_ : float or ndarray
        The penalty, given or chosen.
    kernel_ : kernel or None
        The solver's clone of the kernel, fitted where it has to be.
    n_features_in_, feature_names_in_ : int, ndarray
        Where `X` has columns, and names for them.

    Raises
    ------
    ParameterError
        From ``fit``: a parameter is out of its range, or no solver can do what is asked.
    InputError
        From ``fit`` and ``predict``: NaN, infinity, an empty `X`, unequal lengths, other columns than in ``fit``.
    NotFittedError
        From ``predict`` before ``fit``.

    Warns
    -----
    KernregWarning
        If every possible solver exceeds a budget; the one that exceeds it least is taken.

    Notes
    -----
    The choice depends on measured times. For the same bits from one run to the next take ``choice_`` itself.

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_solvers import AutoKernelRidge
    >>> X = np.random.default_rng(0).standard_normal((200, 3))
    >>> model = AutoKernelRidge(kernel=lambda X, Y: (X @ Y.T + 1.0) ** 2, alpha=0.1).fit(X, X[:, 0] * X[:, 1])
    >>> model.choice_, round(model.score(X, X[:, 0] * X[:, 1]), 3)
    ('solver.krr', 1.0)
    """

    _result = "estimator_"
    _keeps = (np.float64, np.float32)

    def __init__(
        self,
        *,
        kernel: Any = None,
        alpha: Any = 1.0,
        fit_intercept: bool = False,
        exact: bool = False,
        memory_budget: int | None = None,
        time_budget: float | None = 60.0,
        random_state: Any = None,
    ) -> None:
        self.kernel = kernel
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.exact = exact
        self.memory_budget = memory_budget
        self.time_budget = time_budget
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Choose a solver and fit it.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or a list of items, or a Gram matrix
        y : array_like, shape (n_samples,) or (n_samples, n_targets)
        sample_weight : float or array_like, shape (n_samples,), optional

        Returns
        -------
        self
        """
        self._check_parameters()
        X, y = self._fit_data(X, y, multi_output=True, y_numeric=True)
        weights = checked_weights(sample_weight, count(X))
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        problem, speeds = self._problem(X, y, weights is not None, seed)
        self.plan_ = options(problem, speeds)
        chosen, self.reason_, within = choose(self.plan_, problem.n, problem.memory, self.time_budget, bool(self.exact))
        if not within:
            warnings.warn(
                f"AutoKernelRidge: {self.reason_}: raise memory_budget or time_budget to silence this",
                KernregWarning,
                stacklevel=2,
            )
        solver = self._made(chosen.solver, problem, seed)
        solver.fit(X, y, **({} if weights is None else {"sample_weight": weights}))
        self.choice_ = chosen.solver
        self.kernel_ = solver.kernel_
        # krr_cg and eigenpro2 have the penalty that was given, or none
        self.alpha_: Any = solver.alpha_ if hasattr(solver, "alpha_") else self._given_penalty(y)
        self.estimator_: Any = solver
        return self

    def predict(self, X: Any) -> np.ndarray:
        """What the solver predicts.

        Parameters
        ----------
        X : array_like, shape (n, n_features), or a list of items, or k(X, X_train)

        Returns
        -------
        ndarray, shape (n,) or (n, n_targets)
        """
        X = self._new_data(X)
        return np.asarray(self.estimator_.predict(X))

    # -- the choice ---------------------------------------------------------------------------

    def _check_parameters(self) -> None:
        size, seconds = self.memory_budget, self.time_budget
        if size is not None and (isinstance(size, bool) or not isinstance(size, numbers.Integral) or size < 1):
            raise ParameterError(f"memory_budget: expected a whole number of bytes, or None, got {size!r}")
        positive = isinstance(seconds, numbers.Real) and not isinstance(seconds, bool) and seconds > 0
        if seconds is not None and not positive:
            raise ParameterError(f"time_budget: expected a number of seconds above 0, or None, got {seconds!r}")

    def _problem(self, X: Any, y: Any, weighted: bool, seed: int) -> tuple[Problem, costs.Speeds]:
        """What the choice depends on, measured."""
        Y = np.asarray(y).reshape(len(y), -1)
        alpha, rng = checked_penalty(self.alpha, Y.shape[1], METHODS), np.random.RandomState(seed)
        method = alpha if isinstance(alpha, str) else ""
        stored, features = self._layout_fit == "precomputed", ""
        if stored:
            speeds = costs.measure_matrix(X, rng)
        else:
            probe(self.kernel_, X)
            features = "" if is_prepared(X) else _features_of(self.kernel_)
            speeds = costs.measure(costs.sampled_kernel(self.kernel_, X, Y), X, rng, features=bool(features))
        nystrom = bool(method) and not (stored or features) and self._nystrom(count(X), seed) is not None
        budget = self.memory_budget
        problem = Problem(
            n=count(X),
            targets=Y.shape[1],
            alpha=None if isinstance(alpha, str) else float(alpha.min()),
            method=method,
            weighted=weighted,
            intercept=bool(self.fit_intercept),
            stored=stored,
            features=features,
            nystrom=nystrom,
            memory=float(budget) if budget is not None else (available_memory() or _UNKNOWN) / 2,
            mixed=not isinstance(alpha, str) and bool(alpha.min() == 0.0 < alpha.max()),
        )
        return problem, speeds

    def _given_penalty(self, y: Any) -> Any:
        targets = 1 if np.ndim(y) == 1 else np.shape(y)[1]
        return of_targets(np.array(checked_penalty(self.alpha, targets)), y)

    def _made(self, solver: str, problem: Problem, seed: int) -> Any:
        """The solver, not yet fitted."""
        shared = {"kernel": self.kernel, "alpha": self.alpha, "fit_intercept": self.fit_intercept}
        if solver == "solver.krr":
            return KernelRidge(**shared)
        if solver == "solver.krr_cg":
            return KernelRidgeCG(**shared, tol=TOL, memory_budget=max(1, int(problem.memory) // 4), random_state=seed)
        if solver == "solver.feature_ridge":
            if not problem.features:
                shared["kernel"] = self._nystrom(problem.n, seed)
            return FeatureRidge(**shared)
        if solver == "solver.falkon":
            return kr.create(solver, **shared, random_state=seed)
        return kr.create(solver, kernel=self.kernel, random_state=seed)

    def _nystrom(self, n: int, seed: int) -> Any:
        """Nystrom features for the kernel, or None where they cannot be had."""
        if not isinstance(self.kernel_, kr.BaseKernel):
            return None  # others need not take one side alone
        try:
            kernel = kr.create(self.kernel) if isinstance(self.kernel, str) else self.kernel
            return kr.create("euclidean.nystrom", kernel=kernel, n_features=costs.centres(n), rng=seed)
        except KernregError:
            return None


def _features_of(kernel: Any) -> str:
    """'exact', 'random' or nothing."""
    capabilities = kr.capabilities(kernel)
    return "exact" if "features" in capabilities else "random" if "random_features" in capabilities else ""
