"""Kernel principal component analysis."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state

import kernreg_core as kr
from kernreg_core.arrays import describe
from kernreg_core.errors import InputError, KernregWarning, ParameterError

from .linalg import (
    Eigenpairs,
    ShiftedSystem,
    blas_threads,
    centre_in_place,
    dense_eigenpairs,
    fix_signs,
    subspace_eigenpairs,
)
from .mixin import KernelMixin, NotFittedError, as_numpy, count

_SOLVERS = ("auto", "dense", "subspace")


class KernelPCA(KernelMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    r"""Principal components in the space of a kernel, of items of any domain.

    The Gram matrix is centred, :math:`\bar K = H K H` with :math:`H = I - 1 1^T / n`, and
    decomposed, :math:`\bar K u_j = \lambda_j u_j`. Component j of item x is

    .. math:: \lambda_j^{-1/2} \sum_i u_{ij}\, \bar k(x, x_i),

    which for a training item is :math:`\lambda_j^{1/2} u_{ij}`.

    Parameters
    ----------
    n_components : int, optional
        Components to keep, at most n_samples; all with a positive eigenvalue by default.
    kernel : None, kernel, callable, str
        As in :class:`KernelRidge`; None is the linear kernel, which makes this ordinary PCA.
    eigen_solver : {'auto', 'dense', 'subspace'}
        'dense' reduces the whole matrix, 'subspace' multiplies blocks of vectors by it until the
        wanted pairs have converged. 'auto' takes 'subspace' for few components of many items, and
        'dense' elsewhere and where 'subspace' has not converged.
    tol : float
        Above 0. Residual, relative to the largest eigenvalue, at which 'subspace' stops.
    max_iter : int
        Block products that 'subspace' may take.
    remove_zero_eig : bool
        Whether components with a zero eigenvalue are dropped where `n_components` is given, so
        that fewer come out. Without `n_components` they always are.
    fit_inverse_transform : bool
        Whether pre-images are learnt, on vectors only: a ridge regression from the components to
        `X`, with the same kernel between components.
    alpha : float
        Ridge penalty of that regression, above 0.
    random_state : int, RandomState or None
        Draws the block that 'subspace' starts from. The result depends on it by about `tol`.

    Attributes
    ----------
    eigenvalues_ : ndarray, shape (n_components,)
        Of the centred Gram matrix, descending; what is zero to working precision is 0.
    eigenvectors_ : ndarray, shape (n_samples, n_components)
        The entry of largest magnitude in each is positive.
    explained_variance_ratio_ : ndarray, shape (n_components,)
        Eigenvalues divided by the trace, that is, by the sum of all of them.
    n_iter_ : int
        Block products taken; 1 for 'dense'.
    X_transformed_fit_ : ndarray
        Components of the training items, where pre-images are learnt.
    kernel_, X_fit_, n_samples_fit_, n_features_in_, feature_names_in_
        As in :class:`KernelRidge`.

    Raises
    ------
    ParameterError
        From ``fit``: a parameter is out of its range, or pre-images are asked for where `X` is no
        array of vectors.
    InputError
        From ``fit`` and ``transform``: as in :class:`KernelRidge`.
    NotFittedError
        From ``transform`` before ``fit``.

    Warns
    -----
    KernregWarning
        If the decomposition shows negative eigenvalues: the kernel is not positive semi-definite,
        and these directions are left out.
    ConvergenceWarning
        If 'subspace' was asked for and did not converge.

    References
    ----------
    .. [1] B. Schölkopf, A. Smola and K.-R. Müller, "Nonlinear component analysis as a kernel
       eigenvalue problem", Neural Computation 10, 1998. doi:10.1162/089976698300017467
    .. [2] G. Bakir, J. Weston and B. Schölkopf, "Learning to find pre-images", NeurIPS 2003.

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_solvers import KernelPCA
    >>> X = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 0.5], [0.0, -0.5]])
    >>> pca = KernelPCA(n_components=2).fit(X)
    >>> pca.eigenvalues_
    array([2. , 0.5])
    >>> pca.explained_variance_ratio_
    array([0.8, 0.2])
    >>> np.abs(pca.transform([[2.0, 0.0]])).round(6)
    array([[2., 0.]])
    """

    _result = "eigenvectors_"

    def __init__(
        self,
        *,
        n_components: int | None = None,
        kernel: Any = None,
        eigen_solver: str = "auto",
        tol: float = 1e-10,
        max_iter: int = 200,
        remove_zero_eig: bool = False,
        fit_inverse_transform: bool = False,
        alpha: float = 1.0,
        random_state: Any = 0,
    ) -> None:
        self.n_components = n_components
        self.kernel = kernel
        self.eigen_solver = eigen_solver
        self.tol = tol
        self.max_iter = max_iter
        self.remove_zero_eig = remove_zero_eig
        self.fit_inverse_transform = fit_inverse_transform
        self.alpha = alpha
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:
        """Find the components of `X`.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features), or a list of items, or a Gram matrix
        y : ignored
            It is passed on to a kernel that has to be fitted.

        Returns
        -------
        self
        """
        self._check_parameters()
        X, _ = self._fit_data(X)
        if self.fit_inverse_transform and self._layout_fit != "vectors":
            raise ParameterError(
                "fit_inverse_transform: expected vectors as X, since a pre-image is a weighted mean of them, got "
                + ("kernel='precomputed'" if self._layout_fit == "precomputed" else describe(X))
                + ": set fit_inverse_transform=False"
            )
        n = count(X)
        wanted = n if self.n_components is None else int(self.n_components)
        if wanted > n:
            raise ParameterError(f"n_components: expected at most the number of items, {n}, got {wanted}")
        K = self._training_gram(X, y)
        self._means, self._mean = centre_in_place(K)
        trace = float(np.trace(K))
        with blas_threads(n):
            found = self._decompose(K, wanted)
        self.n_iter_ = found.n_iter
        self._keep(found, trace, drop=self.remove_zero_eig or self.n_components is None)
        self.__dict__.pop("_pre_images", None)  # of an earlier fit
        if self.fit_inverse_transform:
            self._fit_pre_images(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Fit, and give the components of the training items, shape (n_samples, n_components).

        The Gram matrix is computed once.
        """
        self.fit(X, y)
        return np.asarray(self.eigenvectors_ * np.sqrt(self.eigenvalues_))

    def transform(self, X: Any) -> np.ndarray:
        """Components of each item.

        Parameters
        ----------
        X : array_like, shape (n, n_features), or a list of items, or k(X, X_train)

        Returns
        -------
        ndarray, shape (n, n_components)
        """
        X = self._new_data(X)
        positive = self.eigenvalues_ > 0
        scale = np.where(positive, 1.0 / np.sqrt(np.where(positive, self.eigenvalues_, 1.0)), 0.0)
        directions = self.eigenvectors_ * scale
        # k centred on both sides, times the directions: centring moves to the directions, whose
        # columns then sum to zero, and to one constant row
        directions -= directions.mean(axis=0)
        return np.asarray(self._cross_matvec(X, directions) - self._means @ directions)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """Pre-images of components, shape (n, n_features).

        Parameters
        ----------
        X : array_like, shape (n, n_components)

        Raises
        ------
        NotFittedError
            If ``fit_inverse_transform`` was False.
        """
        self._check_fitted()
        if not hasattr(self, "_pre_images"):
            raise NotFittedError("inverse_transform: pre-images were not learnt: fit with fit_inverse_transform=True")
        components = np.asarray(as_numpy(X), dtype=np.float64)
        if components.ndim != 2 or components.shape[1] != self._n_features_out:
            raise InputError(f"X: expected components of shape (n, {self._n_features_out}), got {describe(X)}")
        K = self._float_gram(kr.gram(self.kernel_, components, self.X_transformed_fit_, progress=False))
        return np.asarray(K @ self._pre_images)

    @property
    def _n_features_out(self) -> int:
        return int(self.eigenvalues_.shape[0])

    def _check_parameters(self) -> None:
        if self.n_components is not None and not _is_whole(self.n_components, 1):
            raise ParameterError(
                f"n_components: expected a whole number at least 1, or None, got {self.n_components!r}"
            )
        if self.eigen_solver not in _SOLVERS:
            raise ParameterError(
                f"eigen_solver: expected one of {', '.join(map(repr, _SOLVERS))}, got {self.eigen_solver!r}"
            )
        if not _is_whole(self.max_iter, 1):
            raise ParameterError(f"max_iter: expected a whole number at least 1, got {self.max_iter!r}")
        for name in ("tol", "alpha"):
            value = getattr(self, name)
            if not isinstance(value, numbers.Real) or not math.isfinite(value) or value <= 0:
                raise ParameterError(f"{name}: expected a finite number above 0, got {value!r}")

    def _decompose(self, K: np.ndarray, q: int) -> Eigenpairs:
        n = K.shape[0]
        solver = self.eigen_solver
        if solver == "auto":
            solver = "subspace" if n >= 400 and 20 * q <= n else "dense"
        if solver == "subspace" and 2 * q <= n:
            rng = check_random_state(self.random_state)
            found = subspace_eigenpairs(K, q, tol=self.tol, max_iter=self.max_iter, rng=rng)
            if found.converged:
                return found
            if self.eigen_solver == "subspace":
                warnings.warn(
                    f"KernelPCA: the subspace had not converged to tol={self.tol:g} after {found.n_iter} products: "
                    "raise max_iter or tol, or set eigen_solver='dense'",
                    ConvergenceWarning,
                    stacklevel=3,
                )
                return found
        return dense_eigenpairs(K, q)

    def _keep(self, found: Eigenpairs, trace: float, drop: bool) -> None:
        values, vectors = found.values.copy(), found.vectors
        largest = float(np.abs(values).max())
        noise = max(self.n_samples_fit_ * np.finfo(np.float64).eps, 1e-12) * largest
        if values[-1] < -1e-6 * largest:  # more than a matrix rounded to float32 shows
            warnings.warn(
                f"kernel: {int((values < -noise).sum())} eigenvalue(s) of the centred Gram matrix are negative, the "
                f"smallest {values[-1]:.3g} against {largest:.3g}: the kernel is not positive semi-definite here, "
                "and these directions are left out; a positive definite kernel, or fewer n_components, silences this",
                KernregWarning,
                stacklevel=3,
            )
        values[values <= noise] = 0.0
        if drop:
            kept = values > 0
            values, vectors = values[kept], vectors[:, kept]
        self.eigenvalues_ = values
        self.eigenvectors_ = fix_signs(np.array(vectors, order="C"))
        self.explained_variance_ratio_ = values / trace if trace > 0 else np.zeros_like(values)

    def _fit_pre_images(self, X: Any) -> None:
        self.X_transformed_fit_ = self.eigenvectors_ * np.sqrt(self.eigenvalues_)
        K = self._float_gram(kr.gram(self.kernel_, self.X_transformed_fit_, progress=False), own=True)
        dense = X.toarray() if hasattr(X, "toarray") else X
        self._pre_images = ShiftedSystem(K, float(self.alpha)).solve(np.asarray(dense, dtype=np.float64))


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= least
