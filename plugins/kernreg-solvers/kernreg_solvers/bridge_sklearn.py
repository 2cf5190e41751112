"""To scikit-learn's Gaussian processes: a kernreg kernel as a kernel of ``sklearn.gaussian_process``."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel

import kernreg_core as kr
from kernreg_core._parts import diagonal
from kernreg_core.arrays import describe
from kernreg_core.errors import ParameterError

from .hyperparameters import HyperParameters
from .mixin import as_numpy
from .resolve import check_usable, domain_of

#: scikit-learn's own default bounds.
_BOUNDS = (1e-5, 1e5)
#: Step of a logarithm in central differences.
_STEP = 1e-4


def as_sklearn_gp(kernel: Any, *, parameters: Any = None, bounds: Any = None) -> SklearnGPKernel:
    """A kernel for scikit-learn's ``GaussianProcessRegressor`` and ``GaussianProcessClassifier``.

    Parameters
    ----------
    kernel : kernel or str
        Copied; a str is an entry's name, created with its defaults.
    parameters : list of str, optional
        Those that scikit-learn may optimise, full names or last parts; by default the positive numbers that are no
        choice of a kernel, as for ``solver.gp``.
    bounds : dict or "fixed", optional
        ``{name: (low, high)}`` or ``{name: "fixed"}``; (1e-5, 1e5) elsewhere, as in scikit-learn.

    Returns
    -------
    SklearnGPKernel
        It adds to and multiplies with scikit-learn's own kernels, such as ``WhiteKernel``.

    Raises
    ------
    ParameterError
        If `kernel` is none, or has to be fitted; if names or bounds are not its own.

    Examples
    --------
    >>> import numpy as np
    >>> import kernreg_core as kr
    >>> from sklearn.gaussian_process import GaussianProcessRegressor
    >>> from kernreg_solvers import as_sklearn_gp
    >>> class Exponential(kr.BaseKernel):
    ...     capabilities = frozenset({"symmetric", "psd", "stationary"})
    ...     def __init__(self, *, lengthscale=1.0):
    ...         self.lengthscale = lengthscale
    ...     def evaluate(self, X, Y):
    ...         return np.exp(-abs(X - Y.T) / self.lengthscale)
    >>> X = np.linspace(0, 1, 8)[:, None]
    >>> model = GaussianProcessRegressor(as_sklearn_gp(Exponential()), alpha=1e-6).fit(X, np.sin(3 * X[:, 0]))
    >>> bool(model.kernel_.to_kernreg().lengthscale > 1.0)
    True
    """
    if isinstance(kernel, str):
        kernel = kr.create(kernel)
    found = SklearnGPKernel(kr.clone(check_usable(kernel, "kernel")), parameters=parameters, bounds=bounds)
    if "fitted" in kr.capabilities(kernel):
        raise ParameterError(
            f"kernel: {kernel!r} has to be fitted, which scikit-learn's Gaussian processes do not do: use solver.gp"
        )
    found._space()
    return found


class SklearnGPKernel(Kernel):  # type: ignore[misc]
    """What :func:`as_sklearn_gp` makes: scikit-learn's protocol of a kernel around a kernreg kernel.

    Parameters
    ----------
    kernel : kernel
        Changed when ``theta`` is set: scikit-learn sets that of a clone.
    parameters, bounds
        As in :func:`as_sklearn_gp`.
    """

    def __init__(self, kernel: Any, parameters: Any = None, bounds: Any = None) -> None:
        self.kernel = kernel
        self.parameters = parameters
        self._given = bounds

    def to_kernreg(self) -> Any:
        """A copy of the kernel inside, with its parameters as they are now."""
        return kr.clone(self.kernel)

    # -- scikit-learn's protocol ------------------------------------------------------------

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Constructor arguments, and with `deep` the kernel's own parameters as ``kernel__NAME``."""
        found = {"kernel": self.kernel, "parameters": self.parameters, "bounds": self._given}
        if deep:
            found.update((f"kernel__{name}", value) for name, value in self.kernel.get_params().items())
        return found

    def set_params(self, **params: Any) -> Any:
        """Set constructor arguments, or the kernel's as ``kernel__NAME``; returns self."""
        for name, value in params.items():
            if name.startswith("kernel__"):
                self.kernel.set_params(**{name.removeprefix("kernel__"): value})
            elif name == "bounds":
                self._given = value
            elif name in ("kernel", "parameters"):
                setattr(self, name, value)
            else:
                raise ParameterError(f"SklearnGPKernel has no parameter {name!r}; it has: kernel, parameters, bounds")
        return self

    def _space(self) -> HyperParameters:
        return HyperParameters(self.kernel, parameters=self.parameters, bounds=self._full_bounds())

    def _full_bounds(self) -> Any:
        if isinstance(self._given, str):
            return self._given
        # scikit-learn's wherever nothing was said
        everything = HyperParameters(self.kernel, parameters=self.parameters)
        given: dict[str, Any] = dict(self._given or {})
        for parameter, _ in everything.inside:
            if not any(parameter.answers_to(name) for name in given):
                given[parameter.name] = _BOUNDS
        return given

    @property
    def hyperparameters(self) -> list[Any]:
        """One for each parameter that is optimised."""
        space = self._space()
        return [
            Hyperparameter(f"kernel__{p.name}", "numeric", np.exp(space.bounds[where]), p.value.size)
            for p, where in space.inside
        ]

    @property
    def n_dims(self) -> int:
        """Numbers in theta."""
        return len(self._space().theta)

    @property
    def theta(self) -> np.ndarray:
        """Logarithms of the parameters, shape (p,)."""
        space = self._space()
        values = [p.value.ravel() for p, _ in space.inside]
        return np.log(np.concatenate(values)) if values else np.zeros(0)

    @theta.setter
    def theta(self, theta: Any) -> None:
        self.kernel = self._space().at(np.asarray(theta, dtype=np.float64))

    @property
    def bounds(self) -> np.ndarray:
        """Logarithms of the bounds, shape (p, 2)."""
        return self._space().bounds

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, SklearnGPKernel)
            and repr(self.kernel) == repr(other.kernel)
            and np.array_equal(self.theta, other.theta)
            and np.array_equal(self.bounds, other.bounds)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"as_sklearn_gp({self.kernel!r})"

    def __call__(self, X: Any, Y: Any = None, eval_gradient: bool = False) -> Any:
        """k(X, Y), shape (n, m); with `eval_gradient` also its derivative by theta, shape (n, n, p)."""
        if eval_gradient and Y is not None:
            raise ValueError("Gradient can only be evaluated when Y is None.")
        K = _values(self.kernel, X, Y)
        return (K, self._gradient(X, K)) if eval_gradient else K

    def _gradient(self, X: Any, K: np.ndarray) -> np.ndarray:
        space = self._space()
        theta = self.theta
        out = np.empty((*K.shape, len(theta)))
        for j in range(len(theta)):
            step = np.zeros(len(theta))
            step[j] = _STEP
            above = _values(space.at(theta + step), X, None)
            out[:, :, j] = (above - _values(space.at(theta - step), X, None)) / (2 * _STEP)
        return out

    def diag(self, X: Any) -> np.ndarray:
        """The diagonal of k(X), shape (n,)."""
        return np.asarray(as_numpy(diagonal(self.kernel, X)), dtype=np.float64)

    def is_stationary(self) -> bool:
        """Whether the kernel depends on x - y only."""
        return "stationary" in kr.capabilities(self.kernel)

    @property
    def requires_vector_input(self) -> bool:
        """Whether items are rows of numbers; other items scikit-learn passes on as they are."""
        return domain_of(self.kernel) in ("", "vectors")


def _values(kernel: Any, X: Any, Y: Any) -> np.ndarray:
    K = as_numpy(kernel(X) if Y is None else kernel(X, Y))
    if getattr(K, "ndim", 0) != 2:
        raise ParameterError(f"kernel: {kernel!r} gave {describe(K)}, expected a matrix")
    return np.asarray(K, dtype=np.float64)
