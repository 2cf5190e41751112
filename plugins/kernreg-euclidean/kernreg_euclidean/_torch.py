"""Functional torch code behind the kernels: distances with gradients, on any device.

torch is never imported here: a tensor can only exist when it is already in ``sys.modules``.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from ._distances import FEW
from ._rounding import TOLERANCE, Slope, Thresholds

#: Kernel values in a tile of a product: on a host, where tiles stay in cache, and at most on a GPU.
TILE, GPU_TILE = 1 << 20, 1 << 26
#: Up to this many elements (n m d) differences are formed directly: exact, and differentiable twice.
DIRECT = 1 << 22


def _torch() -> Any:
    return sys.modules["torch"]


def host_view(*tensors: Any) -> tuple[np.ndarray, ...] | None:
    """The tensors' memory as NumPy arrays, or None where that would lose a gradient or a device.

    NumPy's GEMM and exp are faster on a CPU than functional torch code, and give the same values.
    """
    torch = _torch()
    if getattr(torch.autograd.forward_ad, "_current_level", -1) >= 0 or torch.compiler.is_compiling():
        return None
    grad = torch.is_grad_enabled()
    views = []
    for tensor in tensors:
        usable = tensor.device.type == "cpu" and tensor.layout is torch.strided
        if not usable or tensor.dtype not in (torch.float32, torch.float64) or (grad and tensor.requires_grad):
            return None
        try:
            views.append(tensor.detach().numpy())
        except RuntimeError:  # a tensor inside torch.func has no memory of its own
            return None
    return tuple(views)


def compute_dtype(X: Any) -> Any:
    """float32 for half-precision tensors, whose products are too coarse; else the tensor's own."""
    torch = _torch()
    return torch.float32 if X.dtype in (torch.float16, torch.bfloat16) else X.dtype


def differences(X: Any, Y: Any) -> Any:
    """X - Y for all pairs, shape (n, m, d)."""
    return X[:, None, :] - Y[None, :, :]


def row_chunks(X: Any, Y: Any) -> list[Any]:
    """`X` cut so that each part's differences to `Y` stay within :data:`DIRECT` elements."""
    step = max(1, DIRECT // max(1, Y.shape[0] * Y.shape[1]))
    return list(X.split(step))


def squared(X: Any, Y: Any, lengthscale: Any, slope: Slope) -> Any:
    """Scaled squared distances, shape (n, m), with gradients to all three arguments.

    By difference for small arrays; else by the product formula, checked and repaired as in
    :mod:`kernreg_euclidean._distances`.
    """
    torch = _torch()
    n, m, d = X.shape[0], Y.shape[0], X.shape[1]
    if n * m * d <= DIRECT or d <= 2 or X.device.type == "mps":  # mps has no float64 to fall back on
        return torch.cat([(differences(part, Y) / lengthscale).square().sum(-1) for part in row_chunks(X, Y)])
    mean = X.detach().mean(0, dtype=torch.float64).to(X.dtype)
    A = (X - mean) / lengthscale
    B = A if Y is X else (Y - mean) / lengthscale
    hx, hy = A.square().sum(-1), B.square().sum(-1)
    s = hx[:, None] + hy[None, :] - 2.0 * (A @ B.mT)
    kind = np.dtype(str(X.dtype).removeprefix("torch."))
    with torch.no_grad():
        largest = float(hx.max() + hy.max())
        thresholds = Thresholds(slope, kind, TOLERANCE[kind], d, float(hx.min() + hy.min()), largest)
        i, j = torch.nonzero(~(s >= float(thresholds.at(np.asarray(largest)))), as_tuple=True)
        levels = thresholds.at((hx[i] + hy[j]).double().cpu().numpy())
        bad = torch.as_tensor(~(s[i, j].double().cpu().numpy() >= levels), device=s.device)
        i, j = i[bad], j[bad]
    if len(i) * FEW <= s.numel() or len(i) * d <= DIRECT:
        exact = ((X[i] - Y[j]) / lengthscale).square().sum(-1)
        return s.index_put((i, j), exact)
    if kind == np.float32:
        wide = lengthscale.double() if torch.is_tensor(lengthscale) else lengthscale
        XX = X.double()
        return squared(XX, XX if Y is X else Y.double(), wide, slope).to(X.dtype)
    return torch.cat([(differences(part, Y) / lengthscale).square().sum(-1) for part in row_chunks(X, Y)])


def cityblock(X: Any, Y: Any, lengthscale: Any) -> Any:
    """Scaled L1 distances, shape (n, m), with gradients (0 where coordinates are equal)."""
    torch = _torch()
    return torch.cat([(differences(part, Y) / lengthscale).abs().sum(-1) for part in row_chunks(X, Y)])


def tiled_product(kernel: Callable[[Any, Any], Any], X: Any, V: Any, Y: Any, learnt: list[Any]) -> Any:
    """``kernel(X, Y) @ V`` by tiles that are forgotten: where gradients are wanted, the backward pass makes each anew.

    Parameters
    ----------
    kernel : callable
        Functional torch code, in `X`'s precision.
    X, Y : Tensor, shapes (n, d) and (m, d)
    V : Tensor, shape (m,) or (m, p)
        Of `X`'s precision or a higher one.
    learnt : list of Tensor
        What `kernel` depends on besides its arguments.
    """
    torch = _torch()
    rows, columns = _tile_shape(X, Y)
    tiles = -(-X.shape[0] // rows) * -(-Y.shape[0] // columns)
    forget = tiles > 1 and torch.is_grad_enabled() and any(a.requires_grad for a in (X, V, Y, *learnt))

    def product(x: Any, y: Any, v: Any) -> Any:
        return kernel(x, y).to(v.dtype) @ v

    def tile(x: Any, y: Any, v: Any) -> Any:
        if not forget:
            return product(x, y, v)
        from torch.utils.checkpoint import checkpoint

        return checkpoint(product, x, y, v, use_reentrant=False, preserve_rng_state=False)

    sides = list(zip(Y.split(columns), V.split(columns), strict=True))
    return torch.cat([sum(tile(x, y, v) for y, v in sides) for x in X.split(rows)])


def _tile_shape(X: Any, Y: Any) -> tuple[int, int]:
    """Rows and columns of a tile: larger on a GPU, as its free memory allows."""
    size = TILE
    if X.device.type == "cuda":
        free = _torch().cuda.mem_get_info(X.device)[0]
        # formulas hold some ten arrays of a tile's size
        size = min(GPU_TILE, max(TILE, free // (32 * X.element_size())))
    columns = min(Y.shape[0], 4 * math.isqrt(size))
    return max(1, size // columns), columns
