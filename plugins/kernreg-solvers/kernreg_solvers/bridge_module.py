"""The module of ``gpytorch.kernels`` that :func:`as_gpytorch` makes; importing this imports GPyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gpytorch.constraints import Interval, Positive
from gpytorch.kernels import Kernel

import kernreg_core as kr
from kernreg_core.errors import ParameterError

from .gp_parameters import Parameter
from .hyperparameters import HyperParameters


class GPyTorchKernel(Kernel):  # type: ignore[misc]
    """What :func:`as_gpytorch` makes: a ``gpytorch.kernels.Kernel`` around a kernreg kernel.

    Parameters
    ----------
    kernel : kernel
    parameters, bounds
        As in :func:`as_gpytorch`.

    Attributes
    ----------
    raw_NAME : torch.nn.Parameter
        One for each parameter that is trained, its value that of ``raw_NAME_constraint.transform``.
    """

    has_lengthscale = False

    def __init__(self, kernel: Any, *, parameters: Any = None, bounds: Any = None) -> None:
        super().__init__()
        self.space = HyperParameters(kernel, parameters=parameters, bounds=bounds)
        self.inside: list[tuple[Parameter, slice]] = self.space.inside
        given = bounds if isinstance(bounds, dict) else {}
        for parameter, where in self.inside:
            value = np.atleast_1d(parameter.value)
            limited = any(parameter.answers_to(name) for name in given)
            own = np.exp(_inside(self.space.theta[where], self.space.bounds[where])) if limited else value
            limits = torch.tensor(np.exp(self.space.bounds[where]).T)
            low, high = limits.squeeze(1) if limits.shape[1] == 1 else limits  # GPyTorch's repr formats a number
            constraint = Interval(low, high) if limited else Positive()
            start = torch.tensor(own.reshape(value.shape), dtype=torch.get_default_dtype())
            self.register_parameter(f"raw_{parameter.name}", torch.nn.Parameter(start.clone()))
            self.register_constraint(f"raw_{parameter.name}", constraint)
            inverse = constraint.to(start.dtype).inverse_transform(start.reshape(-1)).reshape(start.shape)
            self.initialize(**{f"raw_{parameter.name}": inverse})
        self._direct: bool | None = None

    @property
    def is_stationary(self) -> bool:
        """Whether the kernel depends on x - y only."""
        return "stationary" in kr.capabilities(self.space.kernel)

    def values(self) -> dict[str, Any]:
        """The trained parameters as tensors, by the kernel's own names."""
        found = {}
        for parameter, _ in self.inside:
            raw = getattr(self, f"raw_{parameter.name}")
            constraint = getattr(self, f"raw_{parameter.name}_constraint")
            found[parameter.name] = constraint.transform(raw.reshape(-1)).reshape(parameter.value.shape)
        return found

    def to_kernreg(self) -> Any:
        """A kernel of its own with the parameters as they are now, as plain numbers."""
        return kr.clone(self.space.at(self._theta()))

    def _theta(self) -> np.ndarray:
        theta = self.space.theta.copy()
        for (_, where), value in zip(self.inside, self.values().values(), strict=True):
            theta[where] = np.log(value.detach().double().cpu().numpy().ravel())
        return theta

    def forward(self, x1: Any, x2: Any, diag: bool = False, last_dim_is_batch: bool = False, **params: Any) -> Any:
        """k(x1, x2), shape (..., n, m); with `diag` the values of equal rows, shape (..., n)."""
        if last_dim_is_batch:
            x1, x2 = x1.transpose(-1, -2).unsqueeze(-1), x2.transpose(-1, -2).unsqueeze(-1)
        same = x1 is x2 or (x1.shape == x2.shape and torch.equal(x1, x2))
        batch = torch.broadcast_shapes(x1.shape[:-2], x2.shape[:-2])  # type: ignore[no-untyped-call]
        left = x1.expand(*batch, *x1.shape[-2:]).reshape(-1, *x1.shape[-2:])
        right = x2.expand(*batch, *x2.shape[-2:]).reshape(-1, *x2.shape[-2:])
        found = torch.stack([self._matrix(a, a if same else b, diag) for a, b in zip(left, right, strict=True)])
        return found.reshape(*batch, *found.shape[1:])

    def _matrix(self, X: Any, Y: Any, diag: bool) -> Any:
        if self._direct is None:
            self._direct = self._takes_tensors(X)
        if self._direct:
            kernel = self.space.kernel
            kernel.set_params(**self.values())
            try:
                K = kernel(X, Y)
            finally:
                self.space.at(self._theta())  # tensors with a graph are not left behind
        else:
            raw = list(self.values().values())
            K = _Differences.apply(self, X.detach(), Y.detach(), Y is X, *raw)  # type: ignore[no-untyped-call]
        return K.diagonal() if diag else K

    def _takes_tensors(self, X: Any) -> bool:
        """Whether gradients by all parameters come out of the kernel itself."""
        if not self.inside:
            return True
        few = X.detach()[:4]
        self.space.pull(self._theta(), np.ones((len(few), len(few))), few.double())
        return all(way == "autograd" for way in self.space.gradients.values())


def _inside(theta: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """`theta` well inside its bounds: on one of them a raw parameter would be infinite, and stay there."""
    low, high = bounds.T
    if not (low < high).all():
        raise ParameterError(
            "bounds: GPyTorch's Interval needs low < high; {name: 'fixed'} keeps a parameter as it is, got "
            f"{np.exp(bounds).tolist()}"
        )
    room = 1e-3 * (high - low)
    return np.clip(theta, low + room, high - room)


class _Differences(torch.autograd.Function):
    """k(X, Y) with derivatives by the parameters from central differences."""

    @staticmethod
    def forward(ctx: Any, module: GPyTorchKernel, X: Any, Y: Any, same: bool, *values: Any) -> Any:
        ctx.module, ctx.X, ctx.Y, ctx.same, ctx.theta = module, X, Y, same, module._theta()
        ctx.save_for_backward(*values)
        kernel = module.space.at(ctx.theta)
        K = kernel(X) if same else kernel(X, Y)
        return torch.as_tensor(K, dtype=X.dtype, device=X.device)

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> tuple[Any, ...]:
        G = upstream[0].double().cpu().numpy()
        by_log = ctx.module.space.pull(ctx.theta, G, ctx.X, None if ctx.same else ctx.Y)
        found = []
        for (_, where), value in zip(ctx.module.inside, ctx.saved_tensors, strict=True):
            gradient = torch.as_tensor(by_log[where], dtype=value.dtype, device=value.device).reshape(value.shape)
            found.append(gradient / value)  # dK/dp = dK/dlog p / p
        return (None, None, None, None, *found)
