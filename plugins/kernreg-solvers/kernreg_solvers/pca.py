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
from kernreg_core.memory import readable_size

from .centers import CentersMixin
from .components import Components, from_centers, from_gram, from_products
from .feature_space import is_whole
from .gram_product import available
from .linalg import Eigenpairs, blas_threads, fix_signs
from .mixin import NotFittedError, as_numpy, count
from .nystrom_features import NystromFeatures, not_finite
from .pre_images import PreImages
from .resolve import is_precomputed, probe

_SOLVERS = ("auto", "dense", "subspace", "matvec", "nystrom")
#: Centres of pre-images by default.
_PRE_IMAGE_CENTERS = 1000


class KernelPCA(CentersMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    r"""Principal components in the space of a kernel, of items of any domain and in any number.

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
    eigen_solver : {'auto', 'dense', 'subspace', 'matvec', 'nystrom'}
        'dense' reduces the whole matrix; 'subspace' multiplies it with blocks of vectors until the
        wanted pairs have converged; 'matvec' does so without forming the matrix, in O(n) memory: the
        kernel's own ``matvec`` where it has one. 'nystrom' projects on the span of centres in the
        kernel's space, in O(n_centers^2) memory; the model that is left needs the centres alone.
        'auto' takes 'subspace' for few components of many items, and 'matvec' where the matrix would
        not fit in `memory_budget`; 'dense' elsewhere and where 'subspace' has not converged.
    n_centers, centers, selector
        Of 'nystrom' and of pre-images: how many centres (10 sqrt(n_samples) by default), the centres
        themselves, or how they are picked; as in :class:`Falkon`.
    tol : float
        Above 0. Residual, relative to the largest eigenvalue, at which 'subspace' and 'matvec' stop; the
        eigenvalues are then exact to about its square. float32 items reach 5e-6.
    max_iter : int
        Block products that they may take.
    memory_budget : int, optional
        Bytes that a Gram matrix may take; four fifths of what is available by default.
    remove_zero_eig : bool
        Whether components with a zero eigenvalue are dropped where `n_components` is given, so
        that fewer come out. Without `n_components` they always are.
    fit_inverse_transform : bool
        Whether pre-images are learnt, of rows or tensors of vectors only: a ridge regression from the components to
        `X`, with the same kernel between components; with 'matvec' and 'nystrom' on centres, 1000 of
        the training items unless `n_centers` says otherwise.
    alpha : float
        Ridge penalty of that regression, above 0.
    random_state : int, RandomState or None
        Draws what the iteration starts from, on which the result depends by about `tol`, and centres.

    Attributes
    ----------
    eigenvalues_ : ndarray, shape (n_components,)
        Of the centred Gram matrix, descending; what is zero to working precision is 0.
    eigenvectors_ : ndarray, shape (n_samples, n_components)
        The entry of largest magnitude in each is positive. Not with 'nystrom'.
    dual_coef_ : ndarray, shape (n_samples, n_components), or (n_centers_, n_components) with 'nystrom'
        c, with which the components of x are k(x, X_fit_) c - offset_, or k(x, centers_) c - offset_.
    offset_ : ndarray, shape (n_components,)
    explained_variance_ratio_ : ndarray, shape (n_components,)
        Eigenvalues divided by the trace, that is, by the sum of all of them.
    eigen_solver_ : str
        The one that was used.
    n_iter_ : int
        Block products taken; 1 for 'dense' and for 'nystrom' with its features multiplied out.
    X_transformed_fit_ : ndarray
        Components of the training items, where pre-images are learnt.
    centers_, center_indices_, n_centers_
        With 'nystrom': items, their rows in `X` (None where they were given), and their number.
    kernel_, X_fit_, n_samples_fit_, n_features_in_, feature_names_in_
        As in :class:`KernelRidge`; X_fit_ is None with 'nystrom'.

    Raises
    ------
    ParameterError
        From ``fit``: a parameter is out of its range, pre-images are asked for where `X` is no
        array of vectors, or 'matvec' or 'nystrom' of a precomputed matrix.
    InputError
        From ``fit`` and ``transform``: as in :class:`KernelRidge`; and from ``fit`` where the Gram matrix would
        not fit and so many components are wanted that 'matvec' cannot give them.
    NotFittedError
        From ``transform`` before ``fit``.

    Warns
    -----
    KernregWarning
        If the decomposition shows negative eigenvalues: the kernel is not positive semi-definite,
        and these directions are left out.
    ConvergenceWarning
        If 'subspace' or 'matvec' was asked for, or was the only way, and did not converge; it tells the residual.

    Notes
    -----
    With 'matvec' a block costs one evaluation of all n^2 values, in float32 until that would show in the result: the
    leading pairs then get exact images in float64, and only corrections stay rough. More components than the kernel
    has dimensions on these items come out as zeros, or not at all, as `remove_zero_eig` says.

    References
    ----------
    .. [1] B. Schölkopf, A. Smola and K.-R. Müller, "Nonlinear component analysis as a kernel
       eigenvalue problem", Neural Computation 10, 1998. doi:10.1162/089976698300017467
    .. [2] G. Bakir, J. Weston and B. Schölkopf, "Learning to find pre-images", NeurIPS 2003.
    .. [3] C. Williams and M. Seeger, "Using the Nyström method to speed up kernel machines", NeurIPS 2000.
    .. [4] N. Sterge, B. Sriperumbudur, L. Rosasco and A. Rudi, "Gain with no pain: efficiency of kernel-PCA by
       Nyström sampling", AISTATS 2020. arXiv:1907.05226

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

    From two of the four points as centres, whose span is the whole plane:

    >>> small = KernelPCA(n_components=2, eigen_solver="nystrom", centers=X[[0, 2]]).fit(X)
    >>> small.eigenvalues_.round(6), small.dual_coef_.shape
    (array([2. , 0.5]), (2, 2))
    """

    _result = "dual_coef_"

    def __init__(
        self,
        *,
        n_components: int | None = None,
        kernel: Any = None,
        eigen_solver: str = "auto",
        n_centers: int | None = None,
        centers: Any = None,
        selector: Any = None,
        tol: float = 1e-10,
        max_iter: int = 200,
        memory_budget: int | None = None,
        remove_zero_eig: bool = False,
        fit_inverse_transform: bool = False,
        alpha: float = 1.0,
        random_state: Any = 0,
    ) -> None:
        self.n_components = n_components
        self.kernel = kernel
        self.eigen_solver = eigen_solver
        self.n_centers = n_centers
        self.centers = centers
        self.selector = selector
        self.tol = tol
        self.max_iter = max_iter
        self.memory_budget = memory_budget
        self.remove_zero_eig = remove_zero_eig
        self.fit_inverse_transform = fit_inverse_transform
        self.alpha = alpha
        self.random_state = random_state

    @property
    def _keeps(self) -> Any:  # type: ignore[override]
        """A whole matrix is decomposed in float64; rows that are only multiplied stay float32."""
        return (np.float64, np.float32) if self.eigen_solver in ("matvec", "nystrom") else np.float64

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
        if self.eigen_solver in ("matvec", "nystrom") and is_precomputed(self.kernel):
            raise ParameterError(
                f"eigen_solver: {self.eigen_solver!r} evaluates the kernel and takes no 'precomputed' matrix: "
                "pass the kernel itself, or eigen_solver='subspace'"
            )
        X, _ = self._fit_data(X)
        self._forget()
        if self.fit_inverse_transform and self._layout_fit not in ("vectors", "tensor"):
            raise ParameterError(
                "fit_inverse_transform: expected vectors as X, since a pre-image is a weighted mean of them, got "
                + ("kernel='precomputed'" if self._layout_fit == "precomputed" else describe(X))
                + ": set fit_inverse_transform=False"
            )
        n = count(X)
        wanted = n if self.n_components is None else int(self.n_components)
        if wanted > n:
            raise ParameterError(f"n_components: expected at most the number of items, {n}, got {wanted}")
        self.eigen_solver_ = self._chosen(n, wanted)
        if self.eigen_solver_ == "nystrom":
            self._fit_centers(X, y, wanted)
        else:
            self._fit_all(X, y, wanted)
        if self.fit_inverse_transform:
            self._fit_pre_images(X)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> np.ndarray:
        """Fit, and give the components of the training items, shape (n_samples, n_components).

        The Gram matrix is computed once.
        """
        self.fit(X, y)
        return self._scores(X)

    def transform(self, X: Any) -> np.ndarray:
        """Components of each item.

        Parameters
        ----------
        X : array_like, shape (n, n_features), or a list of items, or k(X, X_train)

        Returns
        -------
        ndarray, shape (n, n_components)
        """
        if self.__sklearn_is_fitted__() and self.eigen_solver_ == "nystrom":
            found = np.asarray(self._on_centers(X, self.dual_coef_) - self.offset_)
            if not np.isfinite(found).all():
                raise not_finite(self.kernel_)
            return found
        X = self._new_data(X)
        return np.asarray(self._cross_matvec(X, self.dual_coef_) - self.offset_)

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
        components = np.ascontiguousarray(as_numpy(X), dtype=np.float64)
        if components.ndim != 2 or components.shape[1] != self._n_features_out:
            raise InputError(f"X: expected components of shape (n, {self._n_features_out}), got {describe(X)}")
        if not np.isfinite(components).all():
            raise InputError("X: expected finite components, got NaN or infinite ones")
        return self._pre_images(components)

    @property
    def _n_features_out(self) -> int:
        return int(self.eigenvalues_.shape[0])

    def _forget(self) -> None:
        """Drop what an earlier fit with other parameters may have left and this one does not set."""
        centers = ("centers_", "center_indices_", "n_centers_")
        for stale in ("_pre_images", "X_transformed_fit_", "eigenvectors_", *centers):
            self.__dict__.pop(stale, None)

    def _check_parameters(self) -> None:
        if self.n_components is not None and not is_whole(self.n_components, 1):
            raise ParameterError(
                f"n_components: expected a whole number at least 1, or None, got {self.n_components!r}"
            )
        if self.eigen_solver not in _SOLVERS:
            raise ParameterError(
                f"eigen_solver: expected one of {', '.join(map(repr, _SOLVERS))}, got {self.eigen_solver!r}"
            )
        if not is_whole(self.max_iter, 1):
            raise ParameterError(f"max_iter: expected a whole number at least 1, got {self.max_iter!r}")
        if self.memory_budget is not None and not is_whole(self.memory_budget, 1):
            raise ParameterError(
                f"memory_budget: expected a whole number of bytes at least 1, or None, got {self.memory_budget!r}"
            )
        for name in ("tol", "alpha"):
            value = getattr(self, name)
            if not isinstance(value, numbers.Real) or not math.isfinite(value) or value <= 0:
                raise ParameterError(f"{name}: expected a finite number above 0, got {value!r}")

    def _chosen(self, n: int, q: int) -> str:
        """The eigen solver for `n` items and `q` components."""
        if self.eigen_solver != "auto":
            return "dense" if self.eigen_solver == "subspace" and 2 * q > n else self.eigen_solver
        few = n >= 400 and 20 * q <= n
        size = 8.0 * n * n
        # below a gigabyte what there is is not asked for
        if self._layout_fit == "precomputed" or (self.memory_budget is None and size < 2**30):
            return "subspace" if few else "dense"
        budget = available(self.memory_budget)
        if size <= budget:
            return "subspace" if few else "dense"
        if not few:
            raise InputError(
                f"X: the Gram matrix of {n:,} items takes {readable_size(size)}, more than the "
                f"{readable_size(budget)} that it may take: set n_components to at most {max(1, n // 20):,}, so that "
                "it need not be formed, eigen_solver='nystrom', or a larger memory_budget"
            )
        return "matvec"

    def _fit_all(self, X: Any, y: Any, q: int) -> None:
        """Components from all items."""
        rng = check_random_state(self.random_state)
        options = {"tol": float(self.tol), "max_iter": int(self.max_iter), "rng": rng}
        if self.eigen_solver_ == "matvec":
            self._keep_items(X, y)
            parts = from_products(self.kernel_, self._items, q, **options)
        else:
            K = self._training_gram(X, y, finite=self.eigen_solver_ == "dense")
            with blas_threads(len(K)):
                try:
                    parts = from_gram(K, q, self.eigen_solver_, **options)
                except InputError:
                    if self.eigen_solver_ != "dense":
                        self._float_gram(K)  # which says so if single values are the reason
                    raise
                if not parts.found.converged and self.eigen_solver == "auto":
                    self.eigen_solver_ = "dense"
                    parts = from_gram(self._training_gram(X, y), q, "dense", **options)
            del K
        self._check_converged(parts)
        values, vectors = self._kept(parts)
        self.eigenvectors_ = fix_signs(np.array(vectors, order="C"))
        directions = self.eigenvectors_ * _inverse_roots(values)
        # k centred on both sides, times the directions: centring moves to the directions, whose
        # columns then sum to zero, and to one constant row
        directions -= directions.mean(axis=0)
        self._finish(values, parts.trace, directions, parts.means @ directions)

    def _fit_centers(self, X: Any, y: Any, q: int) -> None:
        """Components in the span of the centres."""
        self._use_kernel(X, y)
        features = NystromFeatures(self.kernel_, self._choose_centers(X))
        rng = check_random_state(self.random_state)
        with blas_threads(features.rank):
            parts = from_centers(features, X, q, tol=float(self.tol), max_iter=int(self.max_iter), rng=rng)
        self._check_converged(parts)
        self.X_fit_, self.n_samples_fit_ = None, count(X)
        values, vectors = self._kept(parts)
        missing = q - len(values) if self.n_components is not None and not self.remove_zero_eig else 0
        if missing > 0:  # beyond the rank of the centres
            values = np.concatenate([values, np.zeros(missing)])
            vectors = np.hstack([vectors, np.zeros((len(vectors), missing))])
        vectors = vectors * (values > 0)
        directions = features.M @ vectors
        signs = np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(len(values))])
        self._finish(values, parts.trace, directions * signs, (parts.means @ vectors) * signs)

    def _use_kernel(self, X: Any, y: Any) -> None:
        """Fit the kernel to the rows, where it has to be, and check that it gives matrices."""
        if "fitted" in kr.capabilities(self.kernel_):
            self.kernel_.fit(X, y)
        probe(self.kernel_, X)

    def _check_converged(self, parts: Components) -> None:
        self.n_iter_ = parts.found.n_iter
        if not parts.found.converged:
            warnings.warn(
                f"KernelPCA: {_unfinished(parts.found)}, above tol={self.tol:g}: raise max_iter or tol"
                + (", or set eigen_solver='dense'" if self._fits() else ""),
                ConvergenceWarning,
                stacklevel=4,
            )

    def _fits(self) -> bool:
        return self.eigen_solver_ == "subspace"

    def _kept(self, parts: Components) -> tuple[np.ndarray, np.ndarray]:
        """Eigenpairs with zeros made zero, and dropped where that was asked for."""
        values, vectors = parts.found.values.copy(), parts.found.vectors
        largest = float(np.abs(values).max())
        noise = max(self.n_samples_fit_ * np.finfo(np.float64).eps, 1e-12) * largest
        if values[-1] < -1e-6 * largest:  # more than a matrix rounded to float32 shows
            warnings.warn(
                f"kernel: {int((values < -noise).sum())} eigenvalue(s) of the centred Gram matrix are negative, the "
                f"smallest {values[-1]:.3g} against {largest:.3g}: the kernel is not positive semi-definite here, "
                "and these directions are left out; a positive definite kernel, or fewer n_components, silences this",
                KernregWarning,
                stacklevel=4,
            )
        values[values <= noise] = 0.0
        if self.remove_zero_eig or self.n_components is None:
            kept = values > 0
            values, vectors = values[kept], vectors[:, kept]
        return values, vectors

    def _finish(self, values: np.ndarray, trace: float, directions: np.ndarray, offset: np.ndarray) -> None:
        self.eigenvalues_ = values
        self.explained_variance_ratio_ = values / trace if trace > 0 else np.zeros_like(values)
        self.offset_ = offset
        self.dual_coef_ = directions

    def _scores(self, X: Any) -> np.ndarray:
        """Components of the training items."""
        if self.eigen_solver_ == "nystrom":
            return self.transform(X)
        return np.asarray(self.eigenvectors_ * np.sqrt(self.eigenvalues_))

    def _fit_pre_images(self, X: Any) -> None:
        self.X_transformed_fit_ = T = self._scores(X)
        chosen = None
        if self.eigen_solver_ in ("matvec", "nystrom"):
            m = _PRE_IMAGE_CENTERS if self.n_centers is None else int(self.n_centers)
            random_state = check_random_state(self.random_state)
            chosen = np.sort(random_state.choice(len(T), min(m, len(T)), replace=False))
        self._pre_images = PreImages(self.kernel_, T, X, float(self.alpha), chosen)


def _unfinished(found: Eigenpairs) -> str:
    reached = (
        f"the largest residual, relative to the largest eigenvalue, is {found.residual:.2g}"
        if math.isfinite(found.residual)
        else "there are fewer pairs than were asked for"
    )
    return f"after {found.n_iter} products {reached}"


def _inverse_roots(values: np.ndarray) -> np.ndarray:
    positive = values > 0
    return np.where(positive, 1.0 / np.sqrt(np.where(positive, values, 1.0)), 0.0)
