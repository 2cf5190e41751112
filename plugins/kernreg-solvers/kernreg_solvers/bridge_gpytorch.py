"""To GPyTorch: a kernreg kernel as a module of ``gpytorch.kernels``, its parameters trained with the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import kernreg_core as kr
from kernreg_core.errors import MissingDependencyError, ParameterError

from .resolve import check_usable, domain_of

if TYPE_CHECKING:
    from .bridge_module import GPyTorchKernel


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
        out; ``Positive`` elsewhere. A value outside its bounds, or on one, is moved inside.

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
    try:
        from .bridge_module import GPyTorchKernel
    except ImportError as error:
        raise MissingDependencyError(
            "as_gpytorch needs GPyTorch, which is not installed: pip install gpytorch"
        ) from error
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
