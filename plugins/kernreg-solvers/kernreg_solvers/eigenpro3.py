"""EigenPro 3: models on centres of their own, trained by projected, preconditioned stochastic gradient descent."""

from __future__ import annotations

import math
import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

from kernreg_core.arrays import describe, is_sparse
from kernreg_core.errors import InputError, ParameterError
from kernreg_core.progress import Progress

from .centers import CentersMixin
from .eigenpro_core import EigenProMixin, Options
from .eigenpro_descent import Descent, warn_of_halvings
from .mixin import _check_targets, count

_PROJECTIONS = ("auto", "exact", "inexact")
_EIGENFUNCTIONS = ("centers", "items")


class EigenPro3(EigenProMixin, CentersMixin, MultiOutputMixin, RegressorMixin, BaseEstimator):  # type: ignore[misc]
    r"""Kernel regression on centres of their own by EigenPro 3: the size of the model does not depend on the data's.

    Fits :math:`f(x) = \sum_{j \le p} a_j k(x, z_j)` to n items by least squares. Each batch B of m items costs one
    evaluation of :math:`k(X_B, Z)`, and nothing of n times p numbers is ever in memory:

    .. math:: g = K(X_B, Z)\, a - y_B, \qquad h = K(Z, X_B)\, g - K(Z, S)\, E D E^T K(S, X_B)\, g, \qquad
       a \mathrel{-}= \tfrac{\eta}{m}\, K(Z, Z)^{-1} h.

    This is a step of stochastic gradient descent, preconditioned so that the q largest eigenvalues of the data's
    covariance operator become :math:`\lambda_{q+1}`, and projected to the span of the centres. The columns of E hold
    eigenfunctions :math:`\psi_i = \sum_j E_{ji} k(\cdot, s_j)` of norm 1 and
    :math:`D = \mathrm{diag}(1 - \lambda_{q+1} / \lambda_i)`.

    With ``eigenfunctions='centers'`` they are those of the covariance within the span of the centres, estimated on a
    subsample of the items: then the preconditioner and the projection commute, so that the descent ends at the direct
    solution :math:`\min_a |K(X, Z) a - y|^2`, and :math:`K(S, X_B)` is a part of :math:`K(Z, X_B)`. With 'items', as
    in the paper, S is a subsample of the items and the :math:`\psi_i` its own: the descent then ends near that
    solution, with a training error larger by some per cent, the more the less the centres span the eigenfunctions.

    Parameters
    ----------
    kernel : None, kernel, callable, str
        None: the linear kernel. A positive semi-definite kernel object, or any callable ``(X, Y) -> (n, m)`` matrix, or
        the name of an entry.
    n_centers : int, optional
        p, taken from the items (of ``partial_fit``: from the first ones). By default 10 times the root of n, and 4000
        at most.
    centers : array_like or list, optional
        The centres themselves.
    selector : None, str, selector
        What picks the centres among the items; None picks uniformly.
    n_epochs : int
        Passes through the items of ``fit``, at least 1; each takes n p evaluations of the kernel.
    n_subsamples : int, optional
        Items, and centres at most, that eigenfunctions are estimated on. By default a fifth of the items, but at least
        1000 and at most 2000 (200 for a kernel whose ``pair_cost`` is 'high'), and for eigenfunctions on centres up to
        five items for each.
    n_eigenpairs : int, optional
        q, at least 0; no more is taken than the rank less one. By default the largest for which batches of twice the
        size below would still pay.
    batch_size : int, optional
        m. By default :math:`\beta / \lambda_{q+1}`, the largest that pays, but no more than 1024 or p (on an
        accelerator: what `memory_budget` allows) or an eighth of the items.
    step_size : float, optional
        :math:`\eta`, above 0. By default :math:`m / (\beta + (m - 1) \lambda_{q+1})`, with :math:`\beta` the largest
        value of the preconditioned kernel on its diagonal (of what an exact projection leaves of it), halved where the
        descent diverges.
    projection : {'auto', 'exact', 'inexact'}
        'exact': by a Cholesky factor of :math:`K(Z, Z)`, which takes 16 p^2 bytes while it is made. 'inexact': by two
        epochs of EigenPro 2 on the centres, for each batch, which take 2 p^2 evaluations of the kernel and no memory;
        best for kernels whose eigenvalues decay slowly. 'auto': exact where `memory_budget` allows it.
    eigenfunctions : {'centers', 'items'}
        Where the preconditioner's eigenfunctions live, see above.
    tol : float, optional
        Above 0. Stop once an epoch lowers the mean squared residual by less than this fraction; not having come so far
        is then a warning. None: ``n_epochs`` passes.
    memory_budget : int, optional
        Bytes for the factor, and for a block on a device; 1 GiB by default: exact up to 8192 centres.
    random_state : int, RandomState or None
        Draws centres, subsamples and the order of the items.
    progress : bool, callable or None
        None shows a bar if stderr is a terminal; a callable gets (done, total) after each batch.

    Attributes
    ----------
    dual_coef_ : ndarray, shape (n_centers_,) or (n_centers_, n_targets)
        a.
    centers_ : array, tensor or list
    center_indices_ : ndarray or None
        Their rows in `X`; None where they were given.
    n_centers_ : int
    n_iter_ : int
        Epochs of ``fit``, or calls of ``partial_fit``.
    batch_size_, n_eigenpairs_ : int
        m and q.
    step_size_ : float
        :math:`\eta`, after it was halved where it was.
    eigenvalues_ : ndarray, shape (q + 1,)
        :math:`\lambda_1, \ldots, \lambda_{q+1}`.
    projection_ : {'exact', 'inexact'}
    jitter_ : float
        What was added to the diagonal of :math:`K(Z, Z)` to factor it; 0.0 for an inexact projection.
    loss_curve_ : ndarray, shape (n_iter_,)
        Mean squared residual of each epoch, each batch's taken before its step.
    kernel_ : kernel
        The clone that was used.
    n_features_in_, feature_names_in_ : int, ndarray
        Where `X` has columns, and names for them.

    Raises
    ------
    ParameterError
        From ``fit``: a parameter is out of its range, `kernel` is no kernel or 'precomputed', `step_size` makes the
        descent diverge.
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
    `X` may be memory-mapped: it is read batch by batch, in a random order, and never copied. float32 and float64
    vectors are kept as they are; factors, eigenfunctions and sums are in float64. On a torch tensor the batches, the
    coefficients, the factor and the preconditioner are tensors on its device; what is left in attributes is NumPy.

    The batches' noise in the coefficients, where f cannot interpolate, is averaged out: step t of all so far has a
    weight that grows as the eighth power of t.

    For classification pass one-hot targets, ``numpy.eye(n_classes)[codes]``, and take the largest prediction.

    References
    ----------
    .. [1] A. Abedsoltan, M. Belkin and P. Pandit, "Toward large kernel models", ICML 2023, arXiv:2302.02605.
    .. [2] O. Shamir and T. Zhang, "Stochastic gradient descent for non-smooth optimization: convergence results and
       optimal averaging schemes", ICML 2013: the mean over steps with polynomial weights.

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_solvers import EigenPro3
    >>> def laplace(X, Y):
    ...     return np.exp(-np.abs(X[:, None, :] - Y[None, :, :]).sum(-1))
    >>> X = np.random.default_rng(0).uniform(0.0, 6.0, (500, 1))
    >>> model = EigenPro3(kernel=laplace, centers=np.linspace(0.0, 6.0, 25)[:, None], random_state=0)
    >>> model.fit(X, np.sin(X[:, 0])).dual_coef_.shape
    (25,)
    >>> bool(abs(model.predict([[1.0]])[0] - np.sin(1.0)) < 0.02)
    True

    Chunks of a stream, and classes as one-hot targets:

    >>> codes = (X[:, 0] > 3.0).astype(int)
    >>> model = EigenPro3(kernel=laplace, centers=np.linspace(0.0, 6.0, 25)[:, None], random_state=0)
    >>> for start in range(0, 500, 100):
    ...     rows = slice(start, start + 100)
    ...     model = model.partial_fit(X[rows], np.eye(2)[codes[rows]])
    >>> model.predict([[1.0], [5.0]]).argmax(axis=1)
    array([0, 1])
    """

    _result = "dual_coef_"

    def __init__(
        self,
        *,
        kernel: Any = None,
        n_centers: int | None = None,
        centers: Any = None,
        selector: Any = None,
        n_epochs: int = 20,
        n_subsamples: int | None = None,
        n_eigenpairs: int | None = None,
        batch_size: int | None = None,
        step_size: float | None = None,
        projection: str = "auto",
        eigenfunctions: str = "centers",
        tol: float | None = None,
        memory_budget: int | None = None,
        random_state: Any = None,
        progress: Any = None,
    ) -> None:
        self.kernel = kernel
        self.n_centers = n_centers
        self.centers = centers
        self.selector = selector
        self.n_epochs = n_epochs
        self.n_subsamples = n_subsamples
        self.n_eigenpairs = n_eigenpairs
        self.batch_size = batch_size
        self.step_size = step_size
        self.projection = projection
        self.eigenfunctions = eigenfunctions
        self.tol = tol
        self.memory_budget = memory_budget
        self.random_state = random_state
        self.progress = progress

    def fit(self, X: Any, y: Any) -> Self:
        """Fit to items and targets.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or a list of items
            It may be memory-mapped.
        y : array_like, shape (n_samples,) or (n_samples, n_targets)

        Returns
        -------
        self
        """
        options = self._checked()
        X, y = self._begin(X, y)
        descent = self._descent_on(X, y.reshape(len(y), -1), options)
        reached = self.tol is None
        losses: list[float] = []
        total = self.n_epochs * math.ceil(count(X) / descent.plan.batch)
        with Progress(total, self.progress, what="EigenPro 3", unit="batch") as bar:
            while len(losses) < self.n_epochs:
                losses.append(descent.epoch(X, y.reshape(len(y), -1), bar.advance))
                if self.tol is not None and (len(losses) > 1 or losses[-1] == 0.0):
                    reached = losses[-1] == 0.0 or losses[-2] - losses[-1] < self.tol * losses[-2]
                    if reached:
                        break
        self._leave(descent, losses, y.ndim)
        self._descent: Descent | None = None
        if not reached:
            fall = f"{1.0 - losses[-1] / losses[-2]:.3g}" if len(losses) > 1 else "not known yet"
            warnings.warn(
                f"EigenPro3: after {len(losses)} epochs the residual's fall in the last one was {fall}, above tol="
                f"{self.tol:g}: raise n_epochs or tol; tol=None trains for n_epochs whatever the fall",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def partial_fit(self, X: Any, y: Any) -> Self:
        """Go once through a chunk of items and targets, from where the last chunk or ``fit`` ended.

        The first chunk gives the centres, unless ``centers`` were given, the preconditioner and the step: it should be
        like the rest.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or a list of items
        y : array_like, shape (n_samples,) or (n_samples, n_targets)

        Returns
        -------
        self
        """
        options = self._checked()
        if self.__sklearn_is_fitted__():
            X, y = self._next(X, y)
            losses, descent = self.loss_curve_.tolist(), self._descent
        else:
            X, y = self._begin(X, y)
            losses, descent = [], None
        table = y.reshape(len(y), -1)
        if descent is None:
            descent = self._descent_on(X, table, options)
        with Progress(math.ceil(count(X) / descent.plan.batch), self.progress, what="EigenPro 3", unit="batch") as bar:
            losses.append(descent.epoch(X, table, bar.advance))
        self._leave(descent, losses, y.ndim)
        self._descent = descent
        return self

    def predict(self, X: Any) -> np.ndarray:
        """f(x) of each item.

        Parameters
        ----------
        X : array_like, shape (n, n_features), or a list of items

        Returns
        -------
        ndarray, shape (n,) or (n, n_targets)
        """
        self._check_fitted()
        return self._on_centers(X, self.dual_coef_)

    def _checked(self) -> Options:
        for name, known in (("projection", _PROJECTIONS), ("eigenfunctions", _EIGENFUNCTIONS)):
            if getattr(self, name) not in known:
                raise ParameterError(
                    f"{name}: expected one of {', '.join(map(repr, known))}, got {getattr(self, name)!r}"
                )
        return self._options()

    def _begin(self, X: Any, y: Any) -> tuple[Any, np.ndarray]:
        """Items and targets of a first chunk; chooses the centres."""
        X, y = self._fit_rows(X, y, multi_output=True, y_numeric=True)
        X = X.tocsr() if is_sparse(X) else X
        self._choose_centers(X)
        return X, np.asarray(y)

    def _next(self, X: Any, y: Any) -> tuple[Any, np.ndarray]:
        """Items and targets of a further chunk."""
        X = self._new_data(X)
        y = np.asarray(_check_targets(self, X, y, {"multi_output": True, "y_numeric": True}))
        if y.shape[1:] != self.dual_coef_.shape[1:]:
            raise InputError(
                f"y: expected {self.dual_coef_[:1].size} target(s) for each item, in {self.dual_coef_.ndim} "
                f"dimension(s), as before, got {describe(y)}"
            )
        if isinstance(X, np.ndarray) and isinstance(self.centers_, np.ndarray):
            X = X.astype(self.centers_.dtype, copy=False)
        return (X.tocsr() if is_sparse(X) else X), y

    def _descent_on(self, X: Any, y: np.ndarray, options: Options) -> Descent:
        """A descent from the coefficients so far, or from zero."""
        exact = self.projection == "exact"
        if self.projection == "auto":
            exact = 16 * self.n_centers_**2 <= options.budget
        self.projection_ = "exact" if exact else "inexact"
        # a stream of its own: the one that picked the centres would pick them again as the subsample
        rng = np.random.RandomState(check_random_state(self.random_state).randint(2**31 - 1))
        on_centers = self.eigenfunctions == "centers"
        descent = Descent(
            self.kernel_, X, self.centers_, options, self._matrix, rng, exact=exact, on_centers=on_centers
        )
        start = np.zeros((self.n_centers_, y.shape[1]))
        descent.start(self.dual_coef_.reshape(start.shape) if self.__sklearn_is_fitted__() else start)
        return descent

    def _leave(self, descent: Descent, losses: list[float], ndim: int) -> None:
        self.n_iter_, self.loss_curve_ = len(losses), np.array(losses)
        self.batch_size_, self.n_eigenpairs_ = descent.plan.batch, descent.plan.W.shape[1]
        self.step_size_, self.eigenvalues_ = descent.guard.step, descent.plan.eigenvalues
        self.jitter_ = descent.jitter
        A = descent.coefficients
        self.dual_coef_: np.ndarray = A.ravel() if ndim == 1 else A
        warn_of_halvings("EigenPro3", descent.guard)
