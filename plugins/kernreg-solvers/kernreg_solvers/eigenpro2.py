"""EigenPro 2: kernel interpolation by preconditioned stochastic gradient descent, every training item a centre."""

from __future__ import annotations

import math
import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

import kernreg_core as kr
from kernreg_core.errors import ParameterError
from kernreg_core.progress import Progress

from .centers import take
from .eigenpro_blocks import copied, mean_square, on_host, picked
from .eigenpro_core import EigenProMixin, whole
from .eigenpro_descent import Interpolation, Matrix, warn_of_halvings
from .mixin import KernelMixin, _check_symmetric, _own_copy, count
from .nystrom_features import all_finite
from .operator import KernelOperator, is_float32
from .resolve import probe


class _GramRows:
    """A given Gram matrix as a kernel between the indices of its items."""

    def __init__(self, K: np.ndarray) -> None:
        self._K = K

    def __call__(self, X: np.ndarray, Y: np.ndarray | None = None) -> np.ndarray:
        left, right = (np.ravel(X), np.ravel(X if Y is None else Y))
        return self._K[left] if len(right) == len(self._K) else self._K[np.ix_(left, right)]


class EigenPro2(EigenProMixin, KernelMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    r"""Kernel regression without a penalty by EigenPro 2: every training item is a centre, and no matrix is solved.

    Moves :math:`f(x) = \sum_i a_i k(x, x_i)` towards the function of least norm with :math:`f(x_i) = y_i`. Each batch
    B of m items costs one evaluation of :math:`k(X_B, X)`, of which no more than a block is in memory:

    .. math:: g = K(X_B, X)\, a - y_B, \qquad a_B \mathrel{-}= \tfrac{\eta}{m}\, g, \qquad
       a_S \mathrel{+}= \tfrac{\eta}{m}\, E D E^T K(X_S, X_B)\, g,

    with the q leading eigenpairs :math:`(s \lambda_i, e_i)` of :math:`K(X_S, X_S)` on a subsample S of s items and
    :math:`D = \mathrm{diag}\bigl((1 - \lambda_{q+1} / \lambda_i) / (s \lambda_i)\bigr)`: stochastic gradient descent
    for a kernel whose q largest eigenvalues are lowered to :math:`\lambda_{q+1}`, so that batches may be large. q, m
    and :math:`\eta` come from the spectrum.

    There is no penalty: fewer epochs regularise, and ``early_stopping`` finds how many.

    Parameters
    ----------
    kernel : None, kernel, callable, str
        None: the linear kernel. A positive semi-definite kernel object, or any callable ``(X, Y) -> (n, m)`` matrix;
        the name of an entry; or ``'precomputed'``: `X` is the matrix k(X, X) in ``fit`` and k(X_new, X_train) in
        ``predict``.
    n_epochs : int
        Passes through the items, at least 1; each takes n^2 evaluations of the kernel.
    n_subsamples : int, optional
        s. By default a fifth of the items, but at least 1000 and at most 2000 (200 for a kernel whose ``pair_cost`` is
        'high'); never more than n.
    n_eigenpairs : int, optional
        q, at least 0 (plain stochastic gradient descent) and below s; no more is taken than the rank of
        :math:`K(X_S, X_S)` less one. By default the largest for which batches of the size below still pay.
    batch_size : int, optional
        m. By default :math:`\beta / \lambda_{q+1}`, the largest that pays, but no more than 1024 (on an accelerator:
        what `memory_budget` allows) or an eighth of the items.
    step_size : float, optional
        :math:`\eta`, above 0. By default :math:`m / (\beta + (m - 1) \lambda_{q+1})`, with :math:`\beta` the largest
        value of the preconditioned kernel on its diagonal, halved where the descent diverges.
    tol : float, optional
        Above 0. Stop once the root mean squared residual of an epoch, met before each step, is at most this fraction of
        the targets' root mean square; not having reached it is then a warning. None: ``n_epochs`` passes.
    early_stopping : bool
        Whether a part of the items is held out, the epochs end once their error has not fallen for `n_iter_no_change`
        epochs, and the coefficients with the least error are kept.
    validation_fraction : float
        The part held out, in (0, 1).
    n_iter_no_change : int
        At least 1.
    memory_budget : int, optional
        Bytes that a block may take on a device; 1 GiB by default. On NumPy arrays blocks stay in cache.
    random_state : int, RandomState or None
        Draws the subsample, the order of the items and those held out.
    progress : bool, callable or None
        None shows a bar if stderr is a terminal; a callable gets (done, total) after each batch.

    Attributes
    ----------
    dual_coef_ : ndarray, shape (n_samples,) or (n_samples, n_targets)
        a; zero for items that were held out.
    n_iter_ : int
        Epochs.
    batch_size_, n_eigenpairs_ : int
        m and q.
    step_size_ : float
        :math:`\eta`, after it was halved where it was.
    eigenvalues_ : ndarray, shape (q + 1,)
        :math:`\lambda_1, \ldots, \lambda_{q+1}`.
    loss_curve_ : ndarray, shape (n_iter_,)
        Mean squared residual of each epoch, each batch's taken before its step.
    validation_curve_ : ndarray, shape (n_iter_,)
        Mean squared error on the items held out, with `early_stopping`.
    kernel_ : kernel or None
        The clone that was used; None with 'precomputed'.
    X_fit_ : array or list or None
        A copy of the training items; None with 'precomputed'.
    n_samples_fit_ : int
    n_features_in_, feature_names_in_ : int, ndarray
        Where `X` has columns, and names for them.

    Raises
    ------
    ParameterError
        From ``fit``: a parameter is out of its range, `kernel` is no kernel, `step_size` makes the descent diverge.
    InputError
        From ``fit`` and ``predict``: NaN, infinity, an empty `X`, unequal lengths, other columns than in ``fit``; a
        kernel that is not positive semi-definite on the items, or whose values are not finite.
    NotFittedError
        From ``predict`` before ``fit``.

    Warns
    -----
    ConvergenceWarning
        If `tol` was given and not reached.
    KernregWarning
        If the step had to be halved: some items have a far larger k(x, x) than the subsample's. Raising `n_subsamples`
        or passing a smaller `step_size` silences it.

    Notes
    -----
    float32 and float64 vectors are kept as they are; the eigendecomposition and the sums are in float64. On a torch
    tensor the batches, the coefficients and the preconditioner are tensors on its device; what is left in attributes is
    NumPy. The step takes :math:`\beta` and the largest eigenvalue as they are on a second subsample, since
    eigenfunctions fit the items that they come from too well.

    For classification pass one-hot targets, as below.

    References
    ----------
    .. [1] S. Ma and M. Belkin, "Kernel machines that adapt to GPUs for effective large batch training", MLSys 2019,
       arXiv:1806.06144.
    .. [2] S. Ma, R. Bassily and M. Belkin, "The power of interpolation: understanding the effectiveness of SGD in
       modern over-parametrized learning", ICML 2018: the best step for a batch.

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_solvers import EigenPro2
    >>> def laplace(X, Y):
    ...     return np.exp(-np.abs(X[:, None, :] - Y[None, :, :]).sum(-1))
    >>> X = np.linspace(0.0, 6.0, 40)[:, None]
    >>> model = EigenPro2(kernel=laplace, n_epochs=100, tol=1e-3, random_state=0).fit(X, np.sin(X[:, 0]))
    >>> bool(abs(model.predict([[1.0]])[0] - np.sin(1.0)) < 0.01)
    True

    Classes as one-hot targets:

    >>> labels = np.where(X[:, 0] < 3.0, "low", "high")
    >>> classes, codes = np.unique(labels, return_inverse=True)
    >>> model = EigenPro2(kernel=laplace, random_state=0).fit(X, np.eye(len(classes))[codes])
    >>> classes[model.predict([[1.0], [5.0]]).argmax(axis=1)].tolist()
    ['low', 'high']
    """

    _result = "dual_coef_"
    _keeps = (np.float64, np.float32)

    def __init__(
        self,
        *,
        kernel: Any = None,
        n_epochs: int = 20,
        n_subsamples: int | None = None,
        n_eigenpairs: int | None = None,
        batch_size: int | None = None,
        step_size: float | None = None,
        tol: float | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 3,
        memory_budget: int | None = None,
        random_state: Any = None,
        progress: Any = None,
    ) -> None:
        self.kernel = kernel
        self.n_epochs = n_epochs
        self.n_subsamples = n_subsamples
        self.n_eigenpairs = n_eigenpairs
        self.batch_size = batch_size
        self.step_size = step_size
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.memory_budget = memory_budget
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to items and targets.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or a list of items, or a Gram matrix
        y : array_like, shape (n_samples,) or (n_samples, n_targets)

        Returns
        -------
        self
        """
        options = self._options()
        X, y = self._fit_data(X, y, multi_output=True, y_numeric=True)
        rng = check_random_state(self.random_state)
        kernel, items, matrix = self._training_items(X, y)
        n = count(items)
        held = self._held_out(n, rng)
        trained = np.setdiff1d(np.arange(n), held)
        part = take(items, trained) if len(held) else items
        descent = Interpolation(kernel, part, options, matrix, rng)
        Y = descent.arrays.array(np.asarray(y).reshape(n, -1))
        if len(held):
            rows = descent.arrays.index(trained)
            check = (take(items, held), Y[descent.arrays.index(held)])
            A = self._descend(descent, Y[rows], check)
            found = np.zeros((n, Y.shape[1]))
            found[trained] = on_host(A)
        else:
            found = on_host(self._descend(descent, Y, None))
        self._report(descent)
        self.dual_coef_: np.ndarray = found.ravel() if np.ndim(y) == 1 else found
        return self

    def predict(self, X: Any) -> np.ndarray:
        """f(x) of each item.

        Parameters
        ----------
        X : array_like, shape (n, n_features), or a list of items, or k(X, X_train)

        Returns
        -------
        ndarray, shape (n,) or (n, n_targets)
        """
        X = self._new_data(X)
        if self._layout_fit == "precomputed":
            return np.asarray(X @ self.dual_coef_)
        operator = KernelOperator(self.kernel_, X, self._items, in_float64=not is_float32(self._items))
        return all_finite(operator.times(self.dual_coef_), self.kernel_)

    def _training_items(self, X: Any, y: Any) -> tuple[Any, Any, Matrix]:
        """The kernel, the items it is evaluated on, and what gives matrices of a few of them."""
        if self._layout_fit == "precomputed":
            self.X_fit_: Any = None
            self._items: Any = None
            self.n_samples_fit_ = len(X)
            _check_symmetric(X, "X")
            rows = _GramRows(X)
            return rows, np.arange(len(X)), lambda left, right=None: self._float_gram(rows(left, right))
        kernel = self.kernel_
        self.X_fit_ = items = _own_copy(X)
        self.n_samples_fit_ = count(items)
        capabilities = kr.capabilities(kernel)
        if "fitted" in capabilities:
            kernel.fit(items, y)
        probe(kernel, items)
        self._items = kernel.prepare(items) if "prepare" in capabilities else items
        return kernel, items, self._matrix

    def _held_out(self, n: int, rng: np.random.RandomState) -> np.ndarray:
        """Indices of the items that tell when to stop."""
        if not self.early_stopping:
            return np.zeros(0, dtype=np.int64)
        whole(self.n_iter_no_change, "n_iter_no_change")
        fraction = self.validation_fraction
        if not isinstance(fraction, float) or not 0.0 < fraction < 1.0:
            raise ParameterError(f"validation_fraction: expected a number between 0 and 1, got {fraction!r}")
        size = math.ceil(fraction * n)
        if size >= n:
            raise ParameterError(
                f"validation_fraction: {fraction:g} of {n} items leaves none to train on: set early_stopping=False"
            )
        return picked(n, size, rng)

    def _descend(self, descent: Interpolation, Y: Any, check: tuple[Any, Any] | None) -> Any:
        """The coefficients of the last epoch, or of the best one where items were held out."""
        losses: list[float] = []
        errors: list[float] = []
        A = best = descent.arrays.zeros(tuple(Y.shape))
        goal = 0.0 if self.tol is None else self.tol**2 * mean_square(Y)
        reached = self.tol is None
        with Progress(self.n_epochs * descent.steps, self.progress, what="EigenPro 2", unit="batch") as bar:
            for _ in range(self.n_epochs):
                A, loss = descent.epoch(A, Y, bar.advance)
                losses.append(loss)
                if check is not None:
                    errors.append(mean_square(descent.values(check[0], A) - check[1]))
                    if errors[-1] == min(errors):
                        best = copied(A)
                    if len(errors) - 1 - int(np.argmin(errors)) >= self.n_iter_no_change:
                        reached = True
                        break
                if self.tol is not None and loss <= goal:
                    reached = True
                    break
        self.n_iter_, self.loss_curve_ = len(losses), np.array(losses)
        self.__dict__.pop("validation_curve_", None)
        if check is not None:
            self.validation_curve_ = np.array(errors)
        if not reached:
            size = math.sqrt(losses[-1] / mean_square(Y))
            warnings.warn(
                f"EigenPro2: after {self.n_iter_} epochs the residual was {size:.3g} of the targets, above tol="
                f"{self.tol:g}: raise n_epochs or tol; tol=None trains for n_epochs whatever the residual",
                ConvergenceWarning,
                stacklevel=3,
            )
        return A if check is None else best

    def _report(self, descent: Interpolation) -> None:
        self.batch_size_, self.n_eigenpairs_ = descent.plan.batch, descent.plan.W.shape[1]
        self.step_size_, self.eigenvalues_ = descent.guard.step, descent.plan.eigenvalues
        warn_of_halvings("EigenPro2", descent.guard)
