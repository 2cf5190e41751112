"""The map x -> k(x, Z) L^-H for one kernel and its landmarks Z, in NumPy and torch: what Nystrom features are."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import kernreg_core as kr
from kernreg_core.arrays import is_numpy, is_prepared, is_torch, length
from kernreg_core.base import result_dtype_of
from kernreg_core.threads import run_parallel

from ._items import cross, in_double, is_coarse, on_host
from ._whitening import ROWS, Whitening, precision


def landmark_gram(kernel: Any, landmarks: Any) -> tuple[np.ndarray, bool]:
    """k(Z, Z) in double precision on the host, and whether its values are accurate to single precision only."""
    landmarks = in_double(landmarks)
    K = cross(kernel, landmarks, landmarks)
    host = on_host(K)
    if "symmetric" not in kr.capabilities(kernel):
        host = (host + host.conj().T) / 2
    return host, is_coarse(K)


def snapshot(kernel: Any) -> dict[str, Any]:
    """The parameters of `kernel` and of what is inside it, and what these have learnt, to be compared later."""
    found: dict[str, Any] = dict(kernel.get_params()) if hasattr(kernel, "get_params") else {}
    for path, obj in [("", kernel), *found.items()]:
        if path == "" or hasattr(obj, "get_params"):
            learnt = {name: value for name, value in getattr(obj, "__dict__", {}).items() if name.endswith("_")}
            found = {**found, **{f"{path}.{name}": value for name, value in learnt.items()}}
    return {name: _kept(value) for name, value in found.items()}


def _kept(value: Any) -> Any:
    """What may be changed in place as a copy."""
    if is_torch(value):
        return value.detach().clone()
    return value.copy() if isinstance(value, (np.ndarray, list)) else value


def same(before: dict[str, Any], kernel: Any) -> bool:
    """Whether `kernel` has the parameters of a :func:`snapshot`, by value."""
    now = snapshot(kernel)
    return before.keys() == now.keys() and all(_alike(value, now[name]) for name, value in before.items())


def _alike(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if is_torch(a):
        return a.shape == b.shape and a.dtype == b.dtype and a.device == b.device and bool((a == b).all())
    if isinstance(a, np.ndarray):
        return bool(np.array_equal(a, b))
    return isinstance(a, (bool, int, float, complex, str, bytes, list, tuple)) and bool(np.all(a == b))


def _asks_for_gradients(kernel: Any) -> bool:
    torch = sys.modules.get("torch")
    if torch is None or not torch.is_grad_enabled():
        return False
    if "trainable" in kr.capabilities(kernel):
        return True
    params = kernel.get_params() if hasattr(kernel, "get_params") else {}
    return any(is_torch(value) and value.requires_grad for value in params.values())


def in_panels(n: int, m: int, task: Callable[[slice], object]) -> None:
    """Call ``task(rows)`` for the panels of `n` rows of `m` numbers, on all threads."""
    height = 2 * ROWS if m >= ROWS else 4 * ROWS  # a call of a kernel on fewer costs more than it computes
    panels = [slice(start, min(start + height, n)) for start in range(0, n, height)]
    if len(panels) == 1:
        task(panels[0])
    else:
        run_parallel(task, panels)


class Projection:
    """``features(X)`` = k(X, Z) L^-H and products with what they approximate, for the kernel's present parameters.

    Parameters
    ----------
    kernel : kernel
    landmarks : items
    whitening : Whitening, optional
        That of k(Z, Z), where it is known.
    """

    def __init__(self, kernel: Any, landmarks: Any, whitening: Whitening | None = None) -> None:
        self.kernel, self.landmarks = kernel, landmarks
        self.parameters = snapshot(kernel)
        self.whitening = whitening or Whitening(landmark_gram(kernel, landmarks)[0])
        self.m = length(landmarks)
        self.prepares = "prepare" in kr.capabilities(kernel) and not is_prepared(landmarks)
        self._sides: dict[Any, Any] = {}

    def is_current(self) -> bool:
        """Whether the kernel is what it was."""
        return "trainable" not in kr.capabilities(self.kernel) and same(self.parameters, self.kernel)

    # -- landmarks beside items ---------------------------------------------------------------

    def _beside(self, X: Any) -> Any:
        """The landmarks in the library, dtype and device of `X`; prepared where the kernel prepares."""
        if is_torch(X):
            key: Any = ("torch", X.dtype, X.device)
        else:
            key = ("numpy", X.dtype) if is_numpy(X) else "as they are"
        if key not in self._sides:
            Z = _converted(self.landmarks, X)
            self._sides[key] = self.kernel.prepare(Z) if self.prepares else Z
        return self._sides[key]

    def values(self, X: Any) -> Any:
        """k(X, Z)."""
        side = self.kernel.prepare(X) if self.prepares and not is_prepared(X) else X
        return cross(self.kernel, side, self._beside(X))

    # -- features -----------------------------------------------------------------------------

    def features(self, X: Any) -> Any:
        """Features of checked items, shape (n, m)."""
        if is_torch(X):
            return self._tensor_features(X)
        if self._is_coarse(X):
            return self._in_double(X)
        if is_numpy(X) and hasattr(self.kernel, "into") and not self.prepares:
            return self._in_place(X)
        K = self.values(X)
        if is_torch(K):
            return self._solved(K)
        K = K.astype(self._scalar(K.dtype if K.dtype.kind in "fc" else np.float64), order="C")
        wide = K.astype(np.result_type(K, np.float64), copy=False) if self._is_coarse(K) else K
        in_panels(length(X), self.m, lambda rows: self.whitening.apply(wide[rows]))
        return wide.astype(K.dtype, copy=False)

    def _is_coarse(self, X: Any) -> bool:
        """Whether rows or values are in single precision, and the factor asks for double."""
        return is_numpy(X) and precision(X.dtype) == "float32" and not self.whitening.single

    def _scalar(self, dtype: Any) -> np.dtype[Any]:
        """`dtype`, complex where the factor is."""
        return np.result_type(dtype, np.complex64) if self.whitening.factor.dtype.kind == "c" else np.dtype(dtype)

    def _in_place(self, X: np.ndarray) -> np.ndarray:
        """Panel by panel, each filled with kernel values and whitened while it is in cache."""
        Z = self._beside(X)
        out = np.empty((len(X), self.m), self._scalar(result_dtype_of(self.kernel, X)))

        def panel(rows: slice) -> None:
            self.kernel.into(X[rows], Z, out[rows])
            self.whitening.apply(out[rows])

        in_panels(len(X), self.m, panel)
        return out

    def _in_double(self, X: np.ndarray) -> np.ndarray:
        """Features of float32 rows, computed in float64 a block at a time."""
        out = np.empty((len(X), self.m), self._scalar(np.float32))
        for rows in self.blocks(X):
            out[rows] = self.features(X[rows].astype(np.float64))
        return out

    def blocks(self, X: Any) -> list[slice]:
        """Cuts of items whose features take 16 MB."""
        step = max(ROWS, (1 << 21) // self.m // ROWS * ROWS)
        return [slice(start, start + step) for start in range(0, length(X), step)]

    # -- tensors ------------------------------------------------------------------------------

    def _in_dtype(self, X: Any) -> Any:
        """A tensor in the precision that the factor asks for."""
        torch = sys.modules["torch"]
        if X.dtype in (torch.float16, torch.bfloat16):
            X = X.float()
        coarse = X.dtype == torch.float32 and not self.whitening.single and X.device.type != "mps"
        return X.double() if coarse else X

    def _tensor_features(self, X: Any) -> Any:
        F = self._solved(self.values(self._in_dtype(X)))
        return F if F.is_complex() else F.to(X.dtype)

    def _solved(self, K: Any) -> Any:
        """K L^-H of a tensor K."""
        L = self._tensor_factor(K)
        return sys.modules["torch"].linalg.solve_triangular(L.mH, K.to(L.dtype), upper=True, left=False)

    def _tensor_factor(self, like: Any) -> Any:
        """L as a tensor beside the values `like`; with gradients where the kernel's parameters ask for them."""
        torch = sys.modules["torch"]
        if _asks_for_gradients(self.kernel):
            Z = self._beside(like.detach().real)
            K = cross(self.kernel, Z, Z)
            return torch.linalg.cholesky(K + torch.diag(self.whitening.jitter * K.detach().diagonal()))
        key = ("factor", like.dtype, like.device)
        if key not in self._sides:
            L = torch.as_tensor(self.whitening.factor)
            dtype = torch.promote_types(like.dtype, torch.complex64) if L.is_complex() else like.dtype
            self._sides[key] = L.to(device=like.device, dtype=dtype)
        return self._sides[key]

    # -- products -----------------------------------------------------------------------------

    def multiply(self, X: Any, V: Any, Y: Any) -> Any:
        """``k(X, Z) k(Z, Z)^-1 k(Z, Y) V``: the kernel values that features take, and no triangular solve for them."""
        if is_torch(X):
            dtype = sys.modules["torch"].promote_types(X.dtype, V.dtype)
            X, Y = self._in_dtype(X), self._in_dtype(Y)
            inner = self._from_right(Y, V.to(X.dtype))
            L = self._tensor_factor(inner)
            W = sys.modules["torch"].cholesky_solve(inner.reshape(self.m, -1).to(L.dtype), L).reshape(inner.shape)
            found = self._from_left(X, W)
            return found if found.is_complex() else found.to(dtype)
        single = is_numpy(X) and X.dtype == V.dtype == np.float32
        if self._is_coarse(X):
            X, Y = X.astype(np.float64), Y.astype(np.float64)
        found = self._from_left(X, self.whitening.solve(self._from_right(Y, V)))
        return found.astype(np.float32) if single and found.dtype.kind == "f" else found

    def _multiplies(self, *items: Any) -> bool:
        return "matvec" in kr.capabilities(self.kernel) and not any(map(is_prepared, (*items, self.landmarks)))

    def _from_right(self, Y: Any, V: Any) -> Any:
        """k(Z, Y) V, shape (m,) or (m, p)."""
        if self._multiplies(Y):
            return self.kernel.matvec(_converted(self.landmarks, Y), V, Y)
        return sum(_adjoint(self.values(Y[rows])) @ V[rows] for rows in self.blocks(Y))

    def _from_left(self, X: Any, W: Any) -> Any:
        """k(X, Z) W, shape (n,) or (n, p)."""
        if self._multiplies(X):
            return self.kernel.matvec(X, W, _converted(self.landmarks, X))
        parts = [self.values(X[rows]) @ W for rows in self.blocks(X)]
        return sys.modules["torch"].cat(parts) if is_torch(parts[0]) else np.concatenate(parts)


def _adjoint(K: Any) -> Any:
    return K.mH if is_torch(K) else K.conj().T


def _converted(Z: Any, X: Any) -> Any:
    """Landmarks in the library, dtype and device of `X`."""
    if is_torch(X):
        torch = sys.modules["torch"]
        if is_numpy(Z) or is_torch(Z):
            return torch.as_tensor(Z, dtype=X.dtype, device=X.device).detach()
    if is_numpy(X) and (is_torch(Z) or is_numpy(Z)):
        host = Z.detach().cpu().numpy() if is_torch(Z) else Z
        return host.astype(X.dtype, copy=False)
    return Z
