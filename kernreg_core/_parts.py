"""Parts of a composite: what they can do, and their prepared sides."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from .arrays import is_prepared, is_torch, length

#: Members that show a capability.
METHODS = {
    "diag": ("diag",),
    "features": ("features",),
    "matvec": ("matvec",),
    "gradients": ("grad_x", "grad_y", "grad_xy"),
}


def is_kernel_like(obj: object) -> bool:
    """Whether `obj` can be a part of a composite: a callable instance, no class."""
    return callable(obj) and not isinstance(obj, type)


def capabilities_of(kernel: object) -> frozenset[str]:
    """What `kernel` declares, or, of a foreign object, what its members show.

    Laws without a member (symmetric, psd ...) cannot be seen from outside: a foreign object has
    them only if it declares ``capabilities``.
    """
    declared = getattr(kernel, "capabilities", None)
    if isinstance(declared, (frozenset, set, list, tuple)):
        return frozenset(declared)
    members = {
        **METHODS,
        "prepare": ("prepare",),
        "solve": ("solve", "logdet"),
        "gram_map": ("from_gram",),
        "operator": ("layer", "dense"),
    }
    return frozenset(
        name for name, needed in members.items() if all(callable(getattr(kernel, m, None)) for m in needed)
    )


class PreparedParts:
    """What ``prepare`` of a composite gives: one prepared side for each part, sliced together."""

    __kernreg_prepared__ = True

    def __init__(self, parts: tuple[Any, ...]) -> None:
        self.parts = parts

    def __len__(self) -> int:
        return length(self.parts[0])

    def __getitem__(self, index: Any) -> PreparedParts:
        if isinstance(index, (int, np.integer)):
            index = slice(index, index + 1 or None)
        return PreparedParts(tuple(part[index] for part in self.parts))


def on_torch(X: Any) -> bool:
    """Whether `X` is a tensor, or came out of ``prepare`` and holds one."""
    if isinstance(X, PreparedParts):
        return any(map(on_torch, X.parts))
    return is_torch(X) or (is_prepared(X) and any(map(is_torch, getattr(X, "__dict__", {}).values())))


def split_parts(X: Any, n_parts: int) -> tuple[Any, ...]:
    return X.parts if isinstance(X, PreparedParts) else (X,) * n_parts


def diagonal(kernel: Any, X: Any) -> Any:
    """k(x, x) of each item: the kernel's own ``diag``, else item by item."""
    if "diag" in capabilities_of(kernel):
        return kernel.diag(X)
    items = (X[i : i + 1] for i in range(length(X)))
    values = [kernel(item, item) for item in items]  # one object twice: the kernel's own diagonal
    if is_torch(values[0]):
        diagonals = sys.modules["torch"].cat([value.reshape(1) for value in values])
        return diagonals.real if diagonals.dtype.is_complex else diagonals
    return np.array([value[0, 0].real for value in values])
