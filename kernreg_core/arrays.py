"""Which library an array belongs to, and the checks that user data goes through.

Nothing here imports torch, scipy or pandas: an object of theirs can only exist when its library
is already in :data:`sys.modules`.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from .errors import InputError

#: Domains whose items are rows of one array, with the rank that array has.
ARRAY_RANK = {"vectors": 2, "images": 4, "paths": 3}
_LAYOUT = {"vectors": "(n, d)", "images": "(n, C, H, W)", "paths": "(n, T, d)"}


def is_numpy(x: object) -> bool:
    """Whether `x` is a NumPy array."""
    return isinstance(x, np.ndarray)


def is_torch(x: object) -> bool:
    """Whether `x` is a torch tensor; never imports torch."""
    torch = sys.modules.get("torch")
    tensor = getattr(torch, "Tensor", None)
    return tensor is not None and isinstance(x, tensor)


def is_sparse(x: object) -> bool:
    """Whether `x` is a scipy sparse matrix or array; never imports scipy."""
    sparse = sys.modules.get("scipy.sparse")
    return sparse is not None and bool(sparse.issparse(x))


def is_array(x: object) -> bool:
    """Whether `x` is an array kernreg computes with: NumPy or torch."""
    return is_numpy(x) or is_torch(x)


def is_prepared(x: object) -> bool:
    """Whether `x` came out of a kernel's ``prepare`` and needs no further check."""
    return bool(getattr(x, "__kernreg_prepared__", False))


def namespace(*arrays: Any) -> Any:
    """The Array API namespace of `arrays` (through array-api-compat)."""
    import array_api_compat

    return array_api_compat.array_namespace(*arrays)


def describe(x: object) -> str:
    """`x` in a few words for an error message: its type, and its shape and dtype where it has them."""
    if isinstance(x, type):
        return f"the class {x.__name__}"
    kind = type(x)
    name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__.split('.')[0]}.{kind.__name__}"
    shape, dtype = getattr(x, "shape", None), getattr(x, "dtype", None)
    if shape is not None and dtype is not None:
        return f"{name} of shape {tuple(shape)} and dtype {dtype}"
    if isinstance(x, (str, bytes, int, float, complex, bool)) or x is None:
        text = repr(x)
        return f"{name} {text if len(text) <= 40 else text[:37] + '...'}"
    if hasattr(x, "__len__"):
        return f"{name} of length {len(x)}"
    return name


def length(X: Any) -> int:
    """How many items `X` has; sparse matrices refuse ``len``."""
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


def _is_foreign(x: object) -> bool:
    """An array of a library kernreg does not compute with (JAX, CuPy, TensorFlow ...)."""
    if isinstance(x, (np.ndarray, np.generic)) or is_torch(x):
        return False
    return hasattr(x, "__array_namespace__") or (hasattr(x, "__dlpack__") and not hasattr(x, "iloc"))


def _to_numpy(X: object, name: str, layout: str) -> np.ndarray:
    """`X` as a float32 or float64 array, or an error that says why it is none."""
    if isinstance(X, np.ma.MaskedArray):
        raise InputError(
            f"{name}: expected a plain array {layout}, got a masked array, whose mask would be lost: "
            f"fill it with {name}.filled(...) or drop the masked rows"
        )
    if isinstance(X, (str, bytes)):
        raise InputError(f"{name}: expected an array {layout} of numbers, got {describe(X)}")
    if not hasattr(X, "__len__") and hasattr(X, "__iter__"):
        raise InputError(f"{name}: expected an array {layout}, got {describe(X)}, which has no length: pass list(...)")
    try:
        array = np.asarray(X)
    except (ValueError, TypeError) as error:
        raise InputError(f"{name}: expected an array {layout}, got {describe(X)}, which is no array: {error}") from None
    if array.dtype.kind in "OUSVmM":
        what = {"U": "strings", "S": "bytes", "O": "objects", "m": "time spans", "M": "dates"}.get(
            array.dtype.kind, "records"
        )
        ways = "encode or drop the columns that are not numeric"
        raise InputError(f"{name}: expected numbers {layout}, got {what} ({describe(X)}): {ways}")
    if array.dtype.kind == "c":
        raise InputError(f"{name}: expected real numbers, got {describe(array)}: split real and imaginary parts")
    # float32 stays; whatever else NumPy has (integers, booleans, half precision) is computed in float64
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


def _to_torch(X: Any, name: str) -> Any:
    if X.dtype.is_complex:
        raise InputError(f"{name}: expected real numbers, got {describe(X)}: split real and imaginary parts")
    if not X.dtype.is_floating_point:
        X = X.double()
    return X


def _check_rank(X: Any, name: str, domain: str) -> None:
    rank, layout = ARRAY_RANK[domain], _LAYOUT[domain]
    if X.ndim == rank:
        return
    way = ""
    if domain == "vectors" and X.ndim == 1:
        way = (
            f": {name}.reshape(-1, 1) if it is n items of one feature, {name}.reshape(1, -1) if it is one item "
            "(scikit-learn's pairwise callables pass single rows; use kernel='precomputed' there, or kernreg's solvers)"
        )
    raise InputError(f"{name}: expected rank {rank}, {layout}, got {describe(X)}{way}")


def check_array(X: object, name: str = "X", *, domain: str = "vectors", accepts_sparse: bool = False) -> Any:
    """`X` as a checked array of its domain.

    Parameters
    ----------
    X : array_like
        NumPy array, torch tensor, DataFrame, nested list, or (where `accepts_sparse`) a scipy
        sparse matrix.
    name : str
        What the caller calls it, for messages.
    domain : {'vectors', 'images', 'paths'}
        Decides the rank.

    Returns
    -------
    ndarray, Tensor or csr_array
        float32 and float64 are kept (torch keeps every floating dtype), other numbers become
        float64. Never a modified `X`: either `X` itself or a copy.

    Raises
    ------
    InputError
        Names what came, what was expected and what to do: not numbers, wrong rank, empty, NaN or
        infinity, sparse where the kernel is not written for it, another library's array.
    """
    layout = _LAYOUT[domain]
    if is_sparse(X):
        if not accepts_sparse:
            raise InputError(
                f"{name}: expected a dense array {layout}, got {describe(X)}: this kernel takes no sparse matrix; "
                f"pass {name}.toarray() (linear, polynomial, cosine and RBF kernels take sparse rows)"
            )
        return _check_sparse(X, name)
    if is_torch(X):
        array = _to_torch(X, name)
    elif _is_foreign(X):
        raise InputError(
            f"{name}: expected a NumPy array or torch tensor {layout}, got {describe(X)}: "
            f"convert it first, for example with numpy.asarray({name})"
        )
    else:
        array = _to_numpy(X, name, layout)
    _check_rank(array, name, domain)
    if 0 in array.shape:
        raise InputError(f"{name}: expected at least one item and one feature, got {describe(array)}, which is empty")
    _check_finite(array, name)
    return array


def _check_sparse(X: Any, name: str) -> Any:
    X = X.tocsr()
    if 0 in X.shape:
        raise InputError(f"{name}: expected at least one item and one feature, got {describe(X)}, which is empty")
    if X.dtype.kind == "c" or X.dtype.kind not in "fiub":
        raise InputError(f"{name}: expected real numbers, got {describe(X)}")
    if X.dtype not in (np.float32, np.float64):
        X = X.astype(np.float64)
    if not np.isfinite(X.data).all():
        raise InputError(f"{name}: contains NaN or infinity in its stored values; drop or impute those rows")
    return X


def _check_finite(X: Any, name: str) -> None:
    if is_torch(X):
        finite = sys.modules["torch"].isfinite(X)
        if bool(finite.all()):
            return
        finite = finite.detach().cpu().numpy()
    else:
        # one pass and no mask in the usual case: a sum is finite unless an item is not, or it overflows
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(X.sum(dtype=np.float64)):
                return
        finite = np.isfinite(X)
        if finite.all():
            return
    bad = np.argwhere(~finite)
    first = tuple(int(i) for i in bad[0])
    value = X[first].item()
    raise InputError(
        f"{name}: expected finite numbers, got {len(bad)} that are NaN or infinite, "
        f"the first {name}{list(first)} = {value}: drop or impute those rows"
    )


def check_sized(X: object, name: str, domain: str) -> Any:
    """A collection of items that are no array rows: has ``len``, can be sliced, is not empty."""
    if isinstance(X, (str, bytes)):
        raise InputError(f"{name}: expected a list of {domain}, got one {describe(X)}: pass [{name}]")
    if isinstance(X, (set, frozenset)):
        raise InputError(f"{name}: expected an ordered list of {domain}, got {describe(X)}: pass sorted({name})")
    sized = hasattr(X, "__len__") and hasattr(X, "__getitem__") and not isinstance(X, (dict, type))
    if not sized or getattr(X, "ndim", 1) == 0 or is_sparse(X):
        raise InputError(f"{name}: expected a list of {domain}, got {describe(X)}: pass a list")
    if length(X) == 0:
        raise InputError(f"{name}: expected at least one item, got {describe(X)}, which is empty")
    return X


def check_pair(X: Any, Y: Any) -> tuple[Any, Any]:
    """Two checked arrays made comparable: same library, device, feature count and dtype."""
    if is_torch(X) != is_torch(Y):
        raise InputError(f"X and Y: expected arrays of one library, got {describe(X)} and {describe(Y)}: convert one")
    if X.shape[1:] != Y.shape[1:] and not (X.ndim == 3 and X.shape[2] == Y.shape[2]):
        raise InputError(
            f"X and Y: expected equal feature counts, got X with {tuple(X.shape[1:])} and Y with {tuple(Y.shape[1:])} "
            f"(shapes {tuple(X.shape)} and {tuple(Y.shape)})"
        )
    if is_torch(X):
        if X.device != Y.device:
            raise InputError(f"X and Y: expected one device, got {X.device} and {Y.device}: move one with .to(...)")
        if X.dtype != Y.dtype:
            dtype = sys.modules["torch"].promote_types(X.dtype, Y.dtype)
            X, Y = X.to(dtype), Y.to(dtype)
    elif X.dtype != Y.dtype:
        X, Y = X.astype(np.float64, copy=False), Y.astype(np.float64, copy=False)
    return X, Y


def check_vectors(V: Any, rows: int, X: Any, *, tensors: bool, name: str = "V") -> Any:
    """`V` as what a kernel matrix is multiplied with: one vector, or several as columns.

    Parameters
    ----------
    V : array_like, shape (rows,) or (rows, p)
        Real or complex; integers and booleans are numbers too.
    rows : int
        Columns of the matrix: how many items `Y` has.
    X : items
        For messages.
    tensors : bool
        Whether the items are torch tensors, on whose device `V` must then be.
    name : str
        What the caller calls it, for messages.

    Returns
    -------
    ndarray or Tensor
        `V` itself wherever it is one already.

    Raises
    ------
    InputError
    """
    if is_torch(V) != tensors or _is_foreign(V):
        way = "a torch tensor" if tensors else "a NumPy array"
        raise InputError(f"{name}: expected {way}, as X is ({describe(X)}), got {describe(V)}: convert one")
    if not tensors:
        V = _numbers(V, name)
    if V.ndim not in (1, 2) or V.shape[0] != rows:
        side = " of Y" if name == "V" else ""
        raise InputError(
            f"{name}: expected shape ({rows},) or ({rows}, p), one row for each item{side}, got {describe(V)}"
        )
    if tensors and is_torch(X) and V.device != X.device:
        raise InputError(f"{name}: expected X's device {X.device}, got {V.device}: move it with {name}.to(X.device)")
    if tensors and V.dtype.is_complex:
        _check_finite(sys.modules["torch"].view_as_real(V.resolve_conj()), name)
    elif not tensors and V.dtype.kind == "c":
        _check_finite(V.real, name)
        _check_finite(V.imag, name)
    elif tensors or V.dtype.kind == "f":
        _check_finite(V, name)
    return V


def _numbers(V: Any, name: str) -> np.ndarray:
    """`V` as a NumPy array of numbers of any kind."""
    if isinstance(V, np.ma.MaskedArray):
        raise InputError(f"{name}: expected a plain array, got a masked one, whose mask would be lost: fill it")
    if is_sparse(V):
        raise InputError(f"{name}: expected a dense array, got {describe(V)}: pass {name}.toarray()")
    try:
        array = np.asarray(V)
    except (ValueError, TypeError) as error:
        raise InputError(f"{name}: expected numbers, got {describe(V)}, which is no array: {error}") from None
    if array.dtype.kind not in "biufc":
        raise InputError(f"{name}: expected numbers, got {describe(array)}")
    return array


def float_dtype(X: object) -> np.dtype[Any]:
    """The NumPy dtype a Gram matrix of `X` has: that of a float array, else float64."""
    dtype = getattr(X, "dtype", None)
    return np.dtype(np.float32) if isinstance(dtype, np.dtype) and dtype == np.float32 else np.dtype(np.float64)
