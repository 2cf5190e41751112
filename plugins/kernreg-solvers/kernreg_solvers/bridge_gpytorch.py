"""To GPyTorch: a kernreg kernel as a module of ``gpytorch.kernels``, its parameters trained with the rest."""

from __future__ import annotations

from typing import Any

import numpy as np

import kernreg_core as kr
from kernreg_core.errors import MissingDependencyError, ParameterError

from .gp_parameters import Parameter
from .hyperparameters import HyperParameters
from .resolve import check_usable, domain_of

try:
    import torch
    from gpytorch.constraints import Interval, Positive
    from gpytorch.kernels import Kernel
except ImportError as error:
    raise MissingDependencyError("as_gpytorch needs GPyTorch, which is not installed: pip install gpytorch") from error


def as_gpytorch(kernel: Any, *, parameters: Any = None, bounds: Any = None) -> GPyTorchKernel:
    """A module for GPyTorch's models, with the kernel's positive numbers as trainable parameters.

    Parameters
    ----------
    kernel : kernel or str
        On vectors; copied. A str is an entry's name, created with its defaults.
    parameters : list of str, optional
        Those to train, full names or last parts; by default the positive numbers that are no choice of a kernel.
    bounds : dict or "fixed", optional
        ``{name: (low, high)}`` become GPyTorch's ``Interval`` constraints, ``{name: "fixed"}`` leaves a parameter
        out; ``Positive`` elsewhere.

    Returns
    -------
    GPyTorchKernel
        Its ``to_kernreg()`` gives the kernel with what was trained.

    Raises
    ------
    ParameterError
        If `kernel` is no kernel on vectors, or has to be fitted; if names or bounds are not its own.
    MissingDependencyError
        If GPyTorch is not installed.

    Notes
    -----
    Gradients go through the kernel itself where it is ``differentiable`` and takes tensors as parameters; else they
    are central differences, by parameters only and not by the items.

    Examples
    --------
    >>> import torch
    >>> import kernreg_core as kr
    >>> from kernreg_solvers import as_gpytorch
    >>> class Exponential(kr.BaseKernel):
    ...     capabilities = frozenset({"symmetric", "psd", "differentiable"})
    ...     def __init__(self, *, lengthscale=1.0):
    ...         self.lengthscale = lengthscale
    ...     def evaluate(self, X, Y):
    ...         return (-(X - Y.T).abs() / self.lengthscale).exp()
    >>> module = as_gpytorch(Exponential(lengthscale=2.0))
    >>> module(torch.tensor([[0.0], [2.0]])).to_dense().detach().numpy().round(4)
    array([[1.    , 0.3679],
           [0.3679, 1.    ]], dtype=float32)
    >>> [name for name, _ in module.named_parameters()]
    ['raw_lengthscale']
    """
    if isinstance(kernel, str):
        kernel = kr.create(kernel)
    check_usable(kernel, "kernel")
    if domain_of(kernel) not in ("", "vectors"):
        raise ParameterError(
            f"kernel: expected one on vectors, which GPyTorch's tensors are, got {kernel!r} on {kernel.domain}"
        )
    if "fitted" in kr.capabilities(kernel):
        raise ParameterError(f"kernel: {kernel!r} has to be fitted, which GPyTorch does not do: use solver.gp")
    return GPyTorchKernel(kr.clone(kernel), parameters=parameters, bounds=bounds)


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
            limited = any(parameter.answers_to(name) for name in given)
            low, high = np.exp(self.space.bounds[where]).T
            constraint = Interval(torch.tensor(low), torch.tensor(high)) if limited else Positive()
            start = torch.tensor(np.atleast_1d(parameter.value), dtype=torch.get_default_dtype())
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
