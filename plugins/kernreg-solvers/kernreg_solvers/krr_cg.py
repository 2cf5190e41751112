"""Kernel ridge regression by preconditioned conjugate gradients: exact, without the Gram matrix."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from kernreg_core.errors import InputError, ParameterError
from kernreg_core.numeric import pcg
from kernreg_core.progress import Progress

from .krr import checked_weights, of_targets
from .mixin import KernelMixin
from .nystrom_features import all_finite
from .operator import KernelOperator
from .penalty import checked_penalty
from .preconditioner import LowRankPlusDiagonal, partial_factor
from .symmetric import GramInMemory, GramOfItems, stored_bytes

#: Bytes where `memory_budget` is None: the same on every machine, so that the bits are too.
BUDGET = 1 << 30
#: Columns of the preconditioner by default: this many times the root of the number of items.
PER_ROOT = 4


class KernelRidgeCG(KernelMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    r"""Exact kernel ridge regression for more items than a factorisation allows, by conjugate gradients.

    The minimiser of :class:`KernelRidge`,

    .. math:: \sum_i w_i (y_i - f(x_i) - b)^2 + \alpha \|f\|^2, \qquad f(x) = \sum_i c_i\, k(x, x_i),

    from products of :math:`K + \alpha W^{-1}` with vectors alone. Each iteration evaluates the kernel on all pairs, in
    blocks that are used and forgotten; where K fits into `memory_budget` it is kept. The preconditioner is
    :math:`F F^T + \alpha I` with F a partial Cholesky factor of K: with enough columns for what of K's spectrum is
    above alpha the number of iterations no longer depends on n or alpha. The intercept, which is not penalised, is
    exact: iterations stay among the coefficients whose sum is zero.

    Parameters
    ----------
    kernel : None, kernel, callable, str
        As for :class:`KernelRidge`: None is the linear kernel; ``'precomputed'`` takes Gram matrices. A kernel with
        the capability ``matvec`` multiplies in its own way.
    alpha : float or array_like, shape (n_targets,)
        Ridge penalty, above 0. Targets of one penalty are solved together.
    fit_intercept : bool
    preconditioner : {'random', 'greedy'} or None
        How the columns of F are chosen: at random in proportion to what is left of their diagonal entry [2]_ [3]_,
        or the largest of these [1]_. None: plain conjugate gradients.
    rank : int, optional
        Columns of F, at least 1. By default four times the root of n, and no more than half of `memory_budget` holds.
    tol : float
        Stops where the residual is this fraction of the targets (less their mean, with an intercept), in the norm of
        the sum of squares; it bounds the error of the fitted values on the training items in the same norm.
    max_iter : int
        Iterations at most, in each of the systems that different penalties make.
    memory_budget : int, optional
        Bytes; 1 GiB by default. K is kept in memory where it takes no more than this.
    random_state : int, RandomState or None
        Draws the columns.
    progress : bool, callable or None
        Shows the iterations; see :func:`kernreg_core.gram`.

    Attributes
    ----------
    dual_coef_ : ndarray, shape (n_samples,) or (n_samples, n_targets)
        c.
    intercept_ : float or ndarray, shape (n_targets,)
        b; 0.0 without an intercept.
    n_iter_ : int
        Iterations, of the target that took most.
    residual_ : float
        Relative residual, of the target where it is largest.
    rank_ : int
        Columns of the preconditioner.
    kernel_, X_fit_, n_samples_fit_, n_features_in_, feature_names_in_
        As for :class:`KernelRidge`; of a memory-mapped `X`, ``X_fit_`` is no copy.

    Raises
    ------
    ParameterError
        From ``fit``: a parameter is out of its range; `kernel` is no kernel, or one without a Gram matrix.
    InputError
        From ``fit`` and ``predict``: NaN, infinity, an empty `X`, unequal lengths, other columns than in ``fit``;
        K + alpha W^-1 is not positive definite.
    NotFittedError
        From ``predict`` before ``fit``.

    Warns
    -----
    ConvergenceWarning
        If `max_iter` iterations do not reach `tol`; it says what does.

    Notes
    -----
    Vectors become float64, and so do coefficients: with products in float32 the residual would stay above
    :math:`10^{-7} \lambda_{max}(K) / \alpha`. A torch tensor stays on its device, where the products run; its dtype
    becomes float64 unless the device has none. Predictions are NumPy arrays, computed in blocks.

    References
    ----------
    .. [1] K. Cutajar, M. Osborne, J. Cunningham and M. Filippone, "Preconditioning kernel matrices", ICML 2016,
       arXiv:1602.06693; J. Gardner et al., "GPyTorch: blackbox matrix-matrix Gaussian process inference with GPU
       acceleration", NeurIPS 2018, arXiv:1809.11165, which takes the pivoted Cholesky factor.
    .. [2] M. Díaz, E. N. Epperly, Z. Frangella, J. A. Tropp and R. J. Webber, "Robust, randomized preconditioning for
       kernel ridge regression", 2023, arXiv:2304.12465.
    .. [3] Y. Chen, E. N. Epperly, J. A. Tropp and R. J. Webber, "Randomly pivoted Cholesky", 2022, arXiv:2207.06503.

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_solvers import KernelRidge, KernelRidgeCG
    >>> X = np.random.default_rng(0).standard_normal((200, 3))
    >>> y = X @ [1.0, -2.0, 0.5] + 3.0
    >>> model = KernelRidgeCG(alpha=0.1, fit_intercept=True, random_state=0).fit(X, y)
    >>> exact = KernelRidge(alpha=0.1, fit_intercept=True).fit(X, y)
    >>> bool(np.abs(model.predict(X) - exact.predict(X)).max() < 1e-5)
    True
    >>> model.n_iter_ < 10, model.residual_ <= 1e-6
    (True, True)
    """

    _result = "dual_coef_"

    def __init__(
        self,
        *,
        kernel: Any = None,
        alpha: Any = 1.0,
        fit_intercept: bool = False,
        preconditioner: str | None = "random",
        rank: int | None = None,
        tol: float = 1e-6,
        max_iter: int = 1000,
        memory_budget: int | None = None,
        random_state: Any = None,
        progress: bool | Callable[[int, int], object] | None = None,
    ) -> None:
        self.kernel = kernel
        self.alpha = alpha
        self.fit_intercept = fit_intercept
        self.preconditioner = preconditioner
        self.rank = rank
        self.tol = tol
        self.max_iter = max_iter
        self.memory_budget = memory_budget
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Fit to items and targets.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or a list of items, or a Gram matrix
            May be memory-mapped.
        y : array_like, shape (n_samples,) or (n_samples, n_targets)
        sample_weight : float or array_like, shape (n_samples,), optional
            At least 0; an integer counts as that many equal rows.

        Returns
        -------
        self
        """
        budget = self._checked()
        X, y = self._fit_data(X, y, multi_output=True, y_numeric=True)
        targets = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        alphas = np.asarray(checked_penalty(self.alpha, targets.shape[1]), dtype=np.float64)
        if not (alphas > 0).all():
            raise ParameterError(
                "alpha: expected numbers above 0, got 0: conjugate gradients need a regular matrix; "
                "solver.krr and solver.eigenpro2 interpolate"
            )
        weights = checked_weights(sample_weight, len(targets))
        roots = None if weights is None else np.sqrt(weights)
        gram = self._gram_map(X, y, roots, budget)
        border = (np.ones(len(targets)) if roots is None else roots) if self.fit_intercept else None
        scaled = targets if roots is None else targets * roots[:, None]
        coefficients, intercepts = self._solve(gram, scaled, alphas, border, self._factor(gram, len(targets), budget))
        if roots is not None:
            coefficients *= roots[:, None]
        self.intercept_: Any = of_targets(intercepts, y) if self.fit_intercept or np.ndim(y) == 1 else 0.0
        self.dual_coef_: np.ndarray = coefficients.ravel() if np.ndim(y) == 1 else coefficients
        return self

    def predict(self, X: Any) -> np.ndarray:
        """f(x) + b of each item, in blocks.

        Parameters
        ----------
        X : array_like, shape (n, n_features), or a list of items, or k(X, X_train)

        Returns
        -------
        ndarray, shape (n,) or (n, n_targets)
        """
        X = self._new_data(X)
        if self._layout_fit == "precomputed":
            return np.asarray(self._cross_matvec(X, self.dual_coef_) + self.intercept_)
        if self._layout_fit == "tensor":
            X = X.to(self.X_fit_)
        found = KernelOperator(self.kernel_, X, self._items).times(self.dual_coef_)
        return np.asarray(all_finite(found, self.kernel_) + self.intercept_)

    # -- the parts of fit ---------------------------------------------------------------------

    def _checked(self) -> int:
        """The parameters checked; the budget in bytes."""
        if self.preconditioner not in ("random", "greedy", None):
            raise ParameterError(f"preconditioner: expected 'random', 'greedy' or None, got {self.preconditioner!r}")
        for name, value in (("rank", self.rank), ("max_iter", self.max_iter), ("memory_budget", self.memory_budget)):
            if value is None and name != "max_iter":
                continue
            if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
                raise ParameterError(f"{name}: expected a whole number at least 1, got {value!r}")
        if isinstance(self.tol, bool) or not isinstance(self.tol, numbers.Real) or not 0 < self.tol < 1:
            raise ParameterError(f"tol: expected a number between 0 and 1, got {self.tol!r}")
        return BUDGET if self.memory_budget is None else int(self.memory_budget)

    def _gram_map(self, X: Any, y: Any, roots: np.ndarray | None, budget: int) -> GramInMemory | GramOfItems:
        if self._layout_fit == "tensor":
            X = _doubled(X)
            self._tensor_like = X[:0].clone()
        if self._layout_fit == "precomputed" or stored_bytes(X) <= budget:
            return GramInMemory(self._training_gram(X, y), roots)
        self._keep_items(X, y)
        return GramOfItems(self.kernel_, self.X_fit_, self._items, roots)

    def _factor(self, gram: GramInMemory | GramOfItems, n: int, budget: int) -> np.ndarray | None:
        if self.preconditioner is None:
            self.rank_ = 0
            return None
        rank = math.ceil(PER_ROOT * math.sqrt(n)) if self.rank is None else int(self.rank)
        if self.rank is None:
            rank = max(1, min(rank, budget // (16 * n)))
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        F = partial_factor(gram, min(rank, n), self.preconditioner, seed)
        self.rank_ = int(F.shape[1])
        return F if self.rank_ else None

    def _solve(
        self,
        gram: GramInMemory | GramOfItems,
        Y: np.ndarray,
        alphas: np.ndarray,
        border: np.ndarray | None,
        F: np.ndarray | None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients (n, t) and intercepts (t,), for each penalty the targets that share it."""
        coefficients = np.empty_like(Y)
        self.n_iter_, self.residual_ = 0, 0.0
        right = Y if border is None else _without(border, Y)
        distinct = np.unique(alphas)
        total = len(distinct) * int(self.max_iter)
        with Progress(total, self.progress, what="conjugate gradients", unit="iteration") as bar:
            for alpha in distinct:
                columns = alphas == alpha
                coefficients[:, columns] = self._one_penalty(gram, right[:, columns], float(alpha), border, F, bar)
        intercepts = np.zeros(Y.shape[1])
        if border is not None:
            intercepts = border @ (Y - gram.times(coefficients)) / (border @ border)
        return coefficients, intercepts

    def _one_penalty(
        self,
        gram: GramInMemory | GramOfItems,
        right: np.ndarray,
        alpha: float,
        border: np.ndarray | None,
        F: np.ndarray | None,
        bar: Progress,
    ) -> np.ndarray:
        def product(V: np.ndarray) -> np.ndarray:
            found = gram.times(V) + alpha * V
            return found if border is None else _without(border, found)

        found, result = pcg(
            product,
            right,
            preconditioner=None if F is None else LowRankPlusDiagonal(F, alpha, border),
            tol=self.tol,
            max_iterations=int(self.max_iter),
            callback=lambda step, residuals: bar.advance(),
        )
        self.n_iter_ = max(self.n_iter_, int(result.iterations.max()))
        self.residual_ = max(self.residual_, float(result.residuals.max()))
        if not result.converged.all():
            self._unfinished(alpha, float(result.residuals.max()), bool(result.breakdown.any()))
        return np.asarray(found)

    def _unfinished(self, alpha: float, residual: float, breakdown: bool) -> None:
        if breakdown and residual > 1e-7:
            raise InputError(
                f"kernel: K + alpha W^-1 is not positive definite on these items with alpha={alpha:g} (a direction of "
                "negative curvature was met): take a positive semi-definite kernel, or solver.krr, which says how "
                "large alpha has to be"
            )
        rank = "take a preconditioner" if self.preconditioner is None else f"raise rank (now {self.rank_})"
        warnings.warn(
            f"KernelRidgeCG: the residual is {residual:.2g} of the targets after {self.n_iter_} iterations, "
            f"not yet tol={self.tol:g}: raise max_iter, {rank}, or raise alpha or tol",
            ConvergenceWarning,
            stacklevel=5,
        )


def _without(border: np.ndarray, V: np.ndarray) -> np.ndarray:
    """The columns of `V` less their part along `border`."""
    return np.asarray(V - border[:, None] * (border @ V / (border @ border)))


def _doubled(X: Any) -> Any:
    """A tensor in float64, where its device has it."""
    return X if X.device.type == "mps" else X.double()
