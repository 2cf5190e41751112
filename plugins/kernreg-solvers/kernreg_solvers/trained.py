"""Training the tensors of a kernel with the capability ``trainable`` on an objective of its Gram matrix."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from kernreg_core.arrays import is_torch, length
from kernreg_core.errors import MissingDependencyError, ParameterError

from .gp_pull import torch_threads
from .linalg import blas_threads

#: Adam's rate.
_RATE = 0.01

#: K -> (loss, its derivative by K).
Derivative = Callable[[np.ndarray], tuple[float, np.ndarray]]


class Training(NamedTuple):
    """The least loss seen, and the steps taken."""

    value: float
    steps: int


def train(
    kernel: Any,
    X: Any,
    derivative: Derivative,
    *,
    steps: int,
) -> Training:
    """Lower a loss of k(X) by Adam on ``kernel.parameters()``; the kernel is left at the best step seen.

    Parameters
    ----------
    kernel : kernel
        With ``parameters()``, ``state_dict()`` and ``load_state_dict()``.
    X : items
        Arrays become tensors, on the device of the parameters.
    derivative : callable
        K -> (loss, its derivative by K).
    steps : int

    References
    ----------
    .. [1] D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", 2014. arXiv:1412.6980
    """
    try:
        import torch
    except ImportError as error:
        raise MissingDependencyError(
            'a trainable kernel needs torch, which is not installed: pip install "kernreg-solvers[torch]"'
        ) from error
    items = X
    if isinstance(X, np.ndarray):
        items = torch.as_tensor(X)
    kernel(items[:2])  # learnt state is made at first use
    tensors = [p for p in kernel.parameters() if p.requires_grad]
    if not tensors:
        raise ParameterError(f"kernel: {kernel!r} is trainable, but has no parameters that require gradients")
    if is_torch(items):
        items = items.to(tensors[0])
    with blas_threads(length(items)), torch_threads(torch, length(items) ** 2):
        return _descend(kernel, items, derivative, torch.optim.Adam(tensors, lr=_RATE), steps)


def _descend(kernel: Any, X: Any, derivative: Derivative, optimiser: Any, steps: int) -> Training:
    best, state = np.inf, None
    for _ in range(steps):
        K = kernel(X)
        value, G = derivative(_host(K))
        if value < best:
            best, state = value, {name: _copied(part) for name, part in kernel.state_dict().items()}
        optimiser.zero_grad()
        K.backward(K.new_tensor(G))
        optimiser.step()
    last = derivative(_host(kernel(X)))[0]
    if state is not None and best < last:
        kernel.load_state_dict(state)
    return Training(float(min(best, last)), steps)


def _host(K: Any) -> np.ndarray:
    return np.asarray(K.detach().double().cpu().numpy())


def _copied(part: Any) -> Any:
    return part.detach().clone() if is_torch(part) else part
