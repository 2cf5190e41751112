"""From scikit-learn's Gaussian processes and from GPyTorch: their kernels as kernreg kernels."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

import kernreg_core as kr
from kernreg_core import BaseKernel
from kernreg_core.arrays import describe, is_torch
from kernreg_core.errors import InputError, ParameterError


def as_kernel(kernel: Any) -> Any:
    """A kernel of scikit-learn's Gaussian processes, or of GPyTorch, as a kernreg kernel.

    Parameters
    ----------
    kernel : sklearn.gaussian_process.kernels.Kernel or gpytorch.kernels.Kernel
        What :func:`as_sklearn_gp` or :func:`as_gpytorch` made gives the kernel inside it, with the parameters it
        has now. A kernreg kernel is returned as it is.

    Returns
    -------
    kernel
        :class:`FromSklearn` or :class:`FromGPyTorch`: it combines with other kernels, and every solver takes it.

    Raises
    ------
    ParameterError
        If it is of another library; if it adds noise to equal items (``WhiteKernel``), which is no function of two
        items: solvers have ``noise`` for that; if it has several outputs or a batch shape (``CompoundKernel``).

    Notes
    -----
    ``psd`` is declared where every part of the kernel is known to be positive semi-definite on vectors of any
    dimension. Elsewhere (``ExpSineSquared`` and ``CosineKernel``, which are on the line alone, fractional exponents,
    ``PairwiseKernel("sigmoid")``, kernels of one's own) Gaussian processes check each Gram matrix, and refuse one
    that is indefinite.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.gaussian_process.kernels import RBF, ConstantKernel
    >>> from kernreg_solvers import as_kernel
    >>> k = as_kernel(ConstantKernel(2.0) * RBF(length_scale=1.5))
    >>> k(np.array([[0.0], [1.5]])).round(4)
    array([[2.    , 1.2131],
           [1.2131, 2.    ]])
    >>> sorted(k.capabilities)
    ['diag', 'psd', 'stationary', 'symmetric']
    >>> k.get_params()["kernel__k2__length_scale"]
    1.5
    """
    if isinstance(kernel, BaseKernel):
        return kernel
    inside = getattr(kernel, "to_kernreg", None)
    if callable(inside):
        return inside()
    if isinstance(kernel, _class_of("sklearn.gaussian_process.kernels", "Kernel")):
        return _checked(FromSklearn(kernel=kernel))
    if isinstance(kernel, _class_of("gpytorch.kernels", "Kernel")):
        return _checked(FromGPyTorch(kernel=kernel))
    what = f"the class {kernel.__name__}: make an object of it" if isinstance(kernel, type) else describe(kernel)
    raise ParameterError(
        "kernel: expected an object of sklearn.gaussian_process.kernels or gpytorch.kernels, got "
        f"{what}; any callable (X, Y) -> matrix can be passed to solvers and to kernreg_core.Sum as it is"
    )


def _class_of(module: str, name: str) -> Any:
    """That class if its module is loaded: an object of it can only exist then; else no class at all."""
    return getattr(sys.modules.get(module), name, ())


def _checked(kernel: Any) -> Any:
    kernel.check_parameters(None)
    return kernel


#: Positive semi-definite on vectors of any dimension, or where their parts are.
_SKLEARN_PSD = frozenset({"ConstantKernel", "RBF", "Matern", "RationalQuadratic", "DotProduct", "Sum", "Product"})
_SKLEARN_PSD_METRICS = frozenset({"linear", "rbf", "laplacian", "cosine", "chi2"})
#: No covariances in general, of GPyTorch's own.
_GPYTORCH_OTHER = frozenset({"CosineKernel", "DistributionalInputKernel"})


class FromSklearn(BaseKernel):
    """A kernel of ``sklearn.gaussian_process.kernels``.

    Parameters
    ----------
    kernel : sklearn.gaussian_process.kernels.Kernel
        Its own parameters are reached as ``kernel__length_scale``, ``kernel__k1__...``.

    Raises
    ------
    ParameterError
        At call, if `kernel` is none, or contains a ``WhiteKernel`` or ``CompoundKernel``.

    References
    ----------
    .. [1] F. Pedregosa et al., "Scikit-learn: Machine Learning in Python", JMLR 12, 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.gaussian_process.kernels import DotProduct
    >>> FromSklearn(kernel=DotProduct(sigma_0=1.0))(np.array([[1.0], [2.0]]))
    array([[2., 3.],
           [3., 5.]])
    """

    def __init__(self, *, kernel: Any) -> None:
        self.kernel = kernel

    @property
    def domain(self) -> str:  # type: ignore[override]
        """``vectors``, or any for a kernel that scikit-learn calls on other items."""
        return "vectors" if getattr(self.kernel, "requires_vector_input", True) else ""

    @property
    def capabilities(self) -> frozenset[str]:  # type: ignore[override]
        """``stationary`` where scikit-learn says so, ``psd`` where every part is known to be."""
        found = {"symmetric", "diag"}
        if self.kernel.is_stationary():
            found.add("stationary")
        if all(map(_sklearn_psd, _sklearn_parts(self.kernel))):
            found.add("psd")
        return frozenset(found)

    def check_parameters(self, X: Any) -> None:
        """Raise ParameterError unless the kernel is a function of two items."""
        for part in _sklearn_parts(self.kernel):
            if type(part).__name__ == "WhiteKernel":
                raise ParameterError(
                    f"kernel: {self.kernel!r} contains a WhiteKernel, which adds noise to an item met with itself and "
                    "is no function of two items: leave it out, and pass its noise_level as noise= of the solver"
                )
            if type(part).__name__ == "CompoundKernel":
                raise ParameterError(
                    f"kernel: expected one matrix, got {self.kernel!r}, which gives one for each of its kernels: pass "
                    "these one by one, or their sum"
                )

    def evaluate(self, X: Any, Y: Any) -> Any:
        if is_torch(X):
            raise InputError("X: scikit-learn's kernels take no tensors: pass X.numpy()")
        K = np.asarray(self.kernel(X) if Y is X else self.kernel(X, Y))
        dtype = self.result_dtype(X)
        return K.astype(dtype, copy=False)

    def diag(self, X: Any) -> Any:
        """The diagonal of k(X), shape (n,)."""
        X, _ = self.check_items(X)
        return np.asarray(self.kernel.diag(X)).astype(self.result_dtype(X), copy=False)


def _sklearn_parts(kernel: Any) -> Iterator[Any]:
    """A kernel and the kernels that it is made of."""
    yield kernel
    for value in kernel.get_params(deep=False).values():
        for part in value if isinstance(value, (list, tuple)) else (value,):
            if hasattr(part, "get_params") and hasattr(part, "is_stationary"):
                yield from _sklearn_parts(part)


def _sklearn_psd(part: Any) -> bool:
    """Whether one part of a kernel of scikit-learn keeps it positive semi-definite on vectors of any dimension."""
    if hasattr(part, "to_kernreg"):
        return "psd" in kr.capabilities(part.kernel)
    if type(part).__module__ != "sklearn.gaussian_process.kernels":
        return False
    name = type(part).__name__
    if name == "Exponentiation":
        return part.exponent >= 0 and float(part.exponent).is_integer()
    if name == "PairwiseKernel":
        return part.metric in _SKLEARN_PSD_METRICS
    return name in _SKLEARN_PSD


class FromGPyTorch(BaseKernel):
    """A kernel of ``gpytorch.kernels``, with its trained parameters.

    Parameters
    ----------
    kernel : gpytorch.kernels.Kernel
        A module without a batch shape and with one output. It is shared, not copied, so that training it trains
        this kernel; a clone has a copy.

    Raises
    ------
    ParameterError
        At call, if `kernel` has a batch shape or several outputs.

    Notes
    -----
    NumPy arrays go through the module without gradients, tensors with them, in the wider precision of the items
    and the module's parameters; results have the items' dtype.

    References
    ----------
    .. [1] J. Gardner et al., "GPyTorch: Blackbox Matrix-Matrix Gaussian Process Inference with GPU Acceleration",
       NeurIPS 2018. arXiv:1809.11165
    """

    def __init__(self, *, kernel: Any) -> None:
        self.kernel = kernel

    @property
    def domain(self) -> str:  # type: ignore[override]
        return "vectors"

    @property
    def capabilities(self) -> frozenset[str]:  # type: ignore[override]
        """``psd`` where every part is known to be."""
        always = frozenset({"symmetric", "diag", "differentiable"})
        parts = [part for part in self.kernel.modules() if hasattr(part, "num_outputs_per_input")]
        return always | {"psd"} if all(map(_gpytorch_psd, parts)) else always

    def check_parameters(self, X: Any) -> None:
        """Raise ParameterError unless the module gives one matrix with one value for each pair."""
        shape = tuple(self.kernel.batch_shape)
        if shape:
            raise ParameterError(f"kernel: expected a GPyTorch kernel without a batch shape, got one of {shape}")
        if X is None:
            return
        outputs = self.kernel.num_outputs_per_input(*(self._tensor(X[:1]),) * 2)
        if outputs != 1:
            raise ParameterError(f"kernel: expected a GPyTorch kernel with one output, got one with {outputs}")

    def evaluate(self, X: Any, Y: Any) -> Any:
        torch = sys.modules["torch"]
        if is_torch(X):
            # the same object twice: GPyTorch makes the diagonal exact only then
            return self.kernel(X, X if Y is X else Y).to_dense().to(X.dtype)
        with torch.no_grad():
            left = self._tensor(X)
            kernel, dtype = self._as_wide_as(left)
            left = left.to(dtype)
            K = kernel(left, left if Y is X else self._tensor(Y).to(dtype)).to_dense()
        return K.cpu().numpy().astype(self.result_dtype(X), copy=False)

    def diag(self, X: Any) -> Any:
        """The diagonal of k(X), shape (n,)."""
        torch = sys.modules["torch"]
        X, _ = self.check_items(X)
        if is_torch(X):
            return self.kernel(X, X, diag=True).to(X.dtype)
        with torch.no_grad():
            x = self._tensor(X)
            kernel, dtype = self._as_wide_as(x)
            x = x.to(dtype)
            return kernel(x, x, diag=True).cpu().numpy().astype(self.result_dtype(X), copy=False)

    def _as_wide_as(self, x: Any) -> tuple[Any, Any]:
        """The module in the wider precision of `x` and its own numbers, and that dtype; a copy where it has to be."""
        torch = sys.modules["torch"]
        own = [t.dtype for t in (*self.kernel.parameters(), *self.kernel.buffers()) if t.is_floating_point()]
        dtype = x.dtype
        for other in own:
            dtype = torch.promote_types(dtype, other)
        return (self.kernel if all(other == dtype for other in own) else copy.deepcopy(self.kernel).to(dtype)), dtype

    def _tensor(self, X: Any) -> Any:
        """`X` where the module's parameters are."""
        torch = sys.modules["torch"]
        device = next((p.device for p in self.kernel.parameters()), None)
        return X if is_torch(X) else torch.tensor(np.ascontiguousarray(X), device=device)

    def __kernreg_fingerprint__(self) -> Any:
        return type(self.kernel).__qualname__, dict(self.kernel.state_dict())

    def __repr__(self) -> str:
        return f"as_kernel({' '.join(repr(self.kernel).split())})"


def _gpytorch_psd(part: Any) -> bool:
    """Whether one part of a GPyTorch kernel keeps it positive semi-definite on vectors of any dimension."""
    if hasattr(part, "to_kernreg"):
        return "psd" in kr.capabilities(part.space.kernel)
    return type(part).__module__.startswith("gpytorch.kernels.") and type(part).__name__ not in _GPYTORCH_OTHER
