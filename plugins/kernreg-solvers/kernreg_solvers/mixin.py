"""What the solvers share: input of any domain, the fitted kernel, Gram matrices in float64."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.exceptions import NotFittedError as SklearnNotFittedError
from sklearn.utils.validation import check_is_fitted, check_X_y, validate_data

import kernreg_core as kr
from kernreg_core import errors
from kernreg_core._parts import on_torch
from kernreg_core.arrays import check_array, check_sized, describe, is_prepared, is_sparse, is_torch

from .resolve import Prepared, domain_of, is_precomputed, peek, probe, resolve

_FLOATS = (np.float64, np.float32)
_MISSING: Any = object()


class NotFittedError(errors.NotFittedError, SklearnNotFittedError):  # type: ignore[misc]
    """A solver was used before ``fit``; caught as scikit-learn's error and as kernreg's."""


class KernelMixin:
    """Validation and Gram matrices for an estimator with the parameter ``kernel``.

    ``X`` is one of four things, decided by the kernel and, where that declares no domain, by
    `X` itself: a Gram matrix (``kernel='precomputed'``), vectors (validated as scikit-learn does),
    a torch tensor of vectors (handed to the kernel as it is), or a list of items of any other
    domain (of which only the length is checked; the kernel checks the rest).

    After ``fit``: ``kernel_`` (the fitted clone) and ``X_fit_`` (a copy of the training items),
    both None with ``kernel='precomputed'``; ``n_samples_fit_``; ``n_features_in_`` and
    ``feature_names_in_`` where `X` has columns.
    """

    kernel: Any
    kernel_: Any
    #: dtypes that vectors keep; anything else becomes the first. float64 alone where a whole Gram matrix is solved:
    #: rounded to float32 it is indefinite by 1e-7 of its size, which a small alpha does not cover
    _keeps: Any = np.float64
    #: an attribute that ``fit`` sets once all is solved: without it the estimator is not fitted
    _result: str

    # -- what scikit-learn asks -------------------------------------------------------------

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.input_tags.pairwise = is_precomputed(self.kernel)
        kernel = peek(self.kernel)
        tags.input_tags.sparse = bool(getattr(kernel, "accepts_sparse", False))
        tags.input_tags.two_d_array = domain_of(kernel) in ("", "vectors")
        return tags

    def set_params(self, **params: Any) -> Self:
        """Set parameters; ``kernel__NAME`` reaches those of the kernel.

        Raises
        ------
        ParameterError
            If a parameter of the kernel is set where the kernel is None or a name.
        """
        nested = [key for key in params if key.startswith("kernel__")]
        kernel = params.get("kernel", self.kernel)
        if nested and (kernel is None or isinstance(kernel, str)):
            what, way = (
                ("None, the linear kernel", "a kernel object")
                if kernel is None
                else (f"the name {kernel!r}", f"kernel=kr.create({kernel!r})")
            )
            raise errors.ParameterError(
                f"{nested[0]}: kernel is {what}, which has no parameters to set: pass {way} first"
            )
        super().set_params(**params)  # type: ignore[misc]
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return self._result in self.__dict__

    def _check_fitted(self) -> None:
        try:
            check_is_fitted(self)
        except SklearnNotFittedError as error:
            raise NotFittedError(str(error)) from None

    # -- input ------------------------------------------------------------------------------

    def _layout(self, kernel: Any, X: Any) -> str:
        """'precomputed', 'vectors', 'tensor' or 'items'."""
        if kernel is None:
            return "precomputed"
        domain = domain_of(kernel)
        if is_prepared(X) or domain not in ("", "vectors"):
            return "items"
        if domain == "" and not _looks_like_vectors(X):
            return "items"
        return "tensor" if is_torch(X) else "vectors"

    def _fit_data(self, X: Any, y: Any = _MISSING, **y_options: Any) -> tuple[Any, Any]:
        """Resolve the kernel, validate `X` and `y`; sets ``kernel_`` (not yet fitted) and ``_layout_fit``.

        Returns
        -------
        X, y
            `y` is None where none was given.
        """
        self.__dict__.pop(self._result, None)  # a fit that fails leaves no half of an earlier one
        self.kernel_ = None if is_precomputed(self.kernel) else resolve(self.kernel)
        self._layout_fit = layout = self._layout(self.kernel_, X)
        if layout in ("precomputed", "vectors"):
            return self._fit_vectors(X, y, y_options)
        for stale in ("n_features_in_", "feature_names_in_"):
            self.__dict__.pop(stale, None)
        if layout == "tensor":
            X = check_array(X, "X").detach()
            self.n_features_in_ = int(X.shape[1])
            self._tensor_like = X[:0].clone()
        else:
            X = check_sized(X, "X", domain_of(self.kernel_) or "items")
        return X, (None if y is _MISSING else _check_targets(self, X, y, y_options))

    def _fit_vectors(self, X: Any, y: Any, y_options: dict[str, Any]) -> tuple[Any, Any]:
        # 'precomputed' matrices are converted when they are copied
        dtype = _FLOATS if self._layout_fit == "precomputed" else self._keeps
        options: dict[str, Any] = {"dtype": dtype, "accept_sparse": self._sparse_formats()}
        if y is _MISSING:
            found, y = self._validated(X, **options), None
        else:
            found, y = self._validated(X, y=as_numpy(y), **options, **y_options)
        if self._layout_fit == "precomputed" and found.shape[0] != found.shape[1]:
            raise errors.InputError(
                f"X: expected a square Gram matrix (n, n) with kernel='precomputed', got {describe(found)}: "
                "pass the training items' k(X, X) to fit, and k(X_new, X_train) to predict and transform"
            )
        return found, y

    def _sparse_formats(self) -> Any:
        return ("csr", "csc") if getattr(self.kernel_, "accepts_sparse", False) else False

    def _validated(self, X: Any, **options: Any) -> Any:
        """scikit-learn's ``validate_data``, its ValueErrors as InputErrors."""
        try:
            return validate_data(self, as_numpy(X), **options)
        except errors.KernregError:
            raise
        except (ValueError, TypeError) as error:
            other = self._other_domain(X)
            if isinstance(error, TypeError) and not other:
                raise
            raise errors.InputError(f"{error}{other}") from error

    def _other_domain(self, X: Any) -> str:
        """What is wrong where items are no numbers: the kernel is for another domain."""
        if self.kernel_ is None or not isinstance(X, (list, tuple)) or not len(X) or _looks_like_vectors(X):
            return ""
        return (
            f". X holds items of type {type(X[0]).__name__}, and {self.kernel_!r} takes rows of numbers: take a kernel "
            "of the items' own domain, which kernreg list --domain shows"
        )

    def _new_data(self, X: Any) -> Any:
        """New items, validated against those of ``fit``; the estimator must be fitted."""
        self._check_fitted()
        layout = self._layout_fit
        if layout == "items":
            return check_sized(X, "X", domain_of(self.kernel_) or "items")
        if layout == "tensor" and is_torch(X):
            X = check_array(X, "X").detach()
            if X.shape[1] != self.n_features_in_:
                raise errors.InputError(
                    f"X: expected {self.n_features_in_} features as in fit, got {describe(X)}: pass the same columns"
                )
            return X
        if layout == "tensor":
            return self._tensor_like.new_tensor(self._validated(X, reset=False, dtype=np.float64))
        return self._validated(X, reset=False, dtype=self._keeps, accept_sparse=self._sparse_formats())

    # -- Gram matrices ----------------------------------------------------------------------

    def _training_gram(self, X: Any, y: Any = None, *, finite: bool = True) -> np.ndarray:
        """k(X, X) in float64, C order, ours to overwrite; fits the kernel and keeps the training items.

        With `finite` False values that are not finite are left to the caller, to see in sums that it forms anyway.
        """
        if self._layout_fit == "precomputed":
            self.X_fit_: Any = None
            self._items = None
            self.n_samples_fit_ = int(X.shape[0])
            K = np.array(X, dtype=np.float64, order="C")
            _check_symmetric(K, "X")
            return K
        self._keep_items(X, y)
        symmetric = "symmetric" in kr.capabilities(self.kernel_)
        K = self._float_gram(_gram(self._engine_kernel, self._items), own=True, finite=finite or not symmetric)
        if not symmetric:
            _check_symmetric(K, "kernel")
        return K

    def _keep_items(self, X: Any, y: Any = None) -> None:
        """Fit the kernel, and keep a copy of the training items, prepared once; a file stays a file."""
        kernel = self.kernel_
        self.X_fit_ = X if is_mapped(X) else _own_copy(X)
        self.n_samples_fit_ = count(X)
        capabilities = kr.capabilities(kernel)
        if "fitted" in capabilities:
            kernel.fit(self.X_fit_, y)
        probe(kernel, self.X_fit_)
        self._items, self._engine_kernel = self.X_fit_, kernel
        if "prepare" in capabilities:
            # once, and kept for every predict
            self._items = self.X_fit_ if is_prepared(X) else kernel.prepare(self.X_fit_)
            self._engine_kernel = Prepared(kernel)

    def _cross_gram(self, X: Any) -> np.ndarray:
        """k(X, X_fit) in float64, shape (n, n_samples_fit_)."""
        if self._layout_fit == "precomputed":
            return self._float_gram(X)
        if isinstance(self._engine_kernel, Prepared) and not is_prepared(X):
            X = self.kernel_.prepare(X)
        return self._float_gram(_gram(self._engine_kernel, X, self._items))

    def _cross_matvec(self, X: Any, V: np.ndarray) -> np.ndarray:
        """k(X, X_fit) V, in blocks of rows, so that memory stays small for any number of new items."""
        if self._layout_fit == "precomputed":
            return np.asarray(np.asarray(X, dtype=np.float64) @ V)
        n = count(X)
        step = max(256, 2**23 // self.n_samples_fit_)
        if n <= step:
            return np.asarray(self._cross_gram(X) @ V)
        return np.concatenate([self._cross_gram(X[i : i + step]) @ V for i in range(0, n, step)])

    def _float_gram(self, K: Any, own: bool = False, finite: bool = True) -> np.ndarray:
        K = as_numpy(K)
        if K.dtype.kind == "c" or K.dtype.kind not in "fiub":
            raise errors.ParameterError(f"kernel: {self.kernel!r} gave {describe(K)}, expected real numbers")
        made = np.ascontiguousarray(K, dtype=np.float64)
        if own and not (made.flags.writeable and made.flags.owndata):
            made = made.copy()
        if not finite:
            return made
        with np.errstate(over="ignore", invalid="ignore"):
            clean = bool(np.isfinite(made.sum()))
        if not clean and not np.isfinite(made).all():
            raise errors.InputError(
                f"kernel: {self.kernel!r} gave NaN or infinite values for these items: "
                "scale the data, or change the kernel's parameters"
            )
        return made


def _gram(kernel: Any, X: Any, Y: Any = None) -> Any:
    """The Gram matrix without a progress bar; of anything but tensors converted to float64 tile by tile."""
    try:
        if Y is None and isinstance(X, np.ndarray) and isinstance(kernel, kr.BaseKernel) and hasattr(kernel, "into"):
            items, _ = kernel.check_items(X)
            if kernel.result_dtype(items) == np.float64:
                return kernel(items)  # it cuts, threads and mirrors in cache, which tiles of a large matrix do not
        return kr.gram(kernel, X, Y, dtype=None if on_torch(X) else np.float64, progress=False)
    except errors.GramMemoryError as error:
        raise _too_large(error) from error


def _too_large(error: errors.GramMemoryError) -> errors.GramMemoryError:
    return errors.GramMemoryError(
        f"{error}. Solvers that need no such matrix: solver.falkon and solver.krr_cg (regression), "
        "solver.logistic_falkon (classes), solver.sparse_gp; kr.find(kind='solver', tags={'large_scale'}) lists all"
    )


def count(X: Any) -> int:
    """Number of items."""
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


def as_numpy(x: Any) -> Any:
    """A torch tensor as a NumPy array, wherever it lives; anything else as it is."""
    return x.detach().cpu().numpy() if is_torch(x) else x


def _looks_like_vectors(X: Any) -> bool:
    """For a kernel without a domain: does `X` hold numbers in two dimensions?"""
    if is_torch(X) or is_sparse(X):
        return True
    if hasattr(X, "__array__") or isinstance(X, np.ndarray):  # frames too
        array = X if isinstance(X, np.ndarray) else np.asarray(X)
        return array.ndim != 1 or array.dtype.kind in "fiub"
    if not isinstance(X, (list, tuple)) or not X:
        return True
    first = X[0]
    return isinstance(first, (int, float, np.number)) or (
        isinstance(first, (list, tuple, np.ndarray))
        and len(first) > 0
        and np.ndim(first) == 1
        and np.asarray(first).dtype.kind in "fiub"
    )


def _check_targets(estimator: Any, X: Any, y: Any, options: dict[str, Any]) -> Any:
    """`y` checked by scikit-learn against as many rows as `X` has items."""
    n, y = count(X), as_numpy(y)
    if y is None:
        raise errors.InputError(f"y: {type(estimator).__name__} requires y to be passed, but the target y is None")
    if hasattr(y, "__len__") and len(y) != n:
        raise errors.InputError(f"y: expected {n} targets, one for each item of X, got {describe(y)}")
    try:
        return check_X_y(np.zeros((n, 1)), y, estimator=estimator, **options)[1]
    except ValueError as error:
        raise errors.InputError(str(error)) from error


def _check_symmetric(K: np.ndarray, argument: str, block: int = 1024) -> None:
    scale = max(float(K.max()), -float(K.min()))
    for start in range(0, K.shape[0], block):
        rows = slice(start, start + block)
        gap = float(np.abs(K[rows] - K[:, rows].T).max())
        if gap > 1e-5 * scale:
            expected, way = {
                "X": ("a symmetric Gram matrix with kernel='precomputed'", "pass k(X, X) of the training items"),
                "kernel": ("a symmetric kernel", "symmetrise it, for example lambda X, Y: (k(X, Y) + k(Y, X).T) / 2"),
            }[argument]
            raise errors.InputError(
                f"{argument}: expected {expected}, got a matrix that differs from its transpose by {gap:.3g}, "
                f"its largest entry being {scale:.3g}: {way}"
            )


def is_mapped(X: Any) -> bool:
    """Whether `X` is an array whose memory is a file's."""
    while isinstance(X, np.ndarray):
        if isinstance(X, np.memmap):
            return True
        X = X.base
    return False


def _own_copy(X: Any) -> Any:
    """A copy that the user's later changes do not reach; of a list, the list and not its items."""
    if is_prepared(X):
        return X
    if is_torch(X):
        return X.clone()
    if hasattr(X, "iloc"):
        return X.copy()
    if isinstance(X, np.ndarray) or is_sparse(X):
        return X.copy()
    return list(X) if isinstance(X, (list, tuple)) else X
