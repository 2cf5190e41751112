"""Random Fourier features of any stationary kernel."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from kernreg_core import BaseKernel, Normalized, Scaled, capabilities, fingerprint
from kernreg_core.arrays import describe, is_torch
from kernreg_core.base import provides, result_dtype_of
from kernreg_core.errors import FingerprintError, ParameterError
from kernreg_core.memory import guard_memory
from kernreg_core.params import entropy

from . import _parameters
from ._frequencies import COUPLINGS, DenseRows, Rows, check_coupling
from ._quasi import cube_points
from ._spectra import LEAST
from ._torch import compute_dtype, host_view
from ._waves import LARGEST_SINGLE, fill_waves, waves_of_tensor
from .rbf import RBF

#: Couplings of frequencies that are known to keep the law of each.
_KNOWN = ("iid", "orthogonal", "structured", "simplex")
#: What is taken over from the kernel, whose values these are.
_TAKEN_OVER = {
    "symmetric",
    "psd",
    "cpd",
    "stationary",
    "normalized",
    "complex",
    "diag",
    "matvec",
    "gradients",
    "differentiable",
}


class RandomFourier(BaseKernel):
    r"""Any stationary kernel, with random Fourier features that estimate it.

    .. math::
        k(x, y) \approx \phi(x) \cdot \phi(y), \qquad
        \phi(x) = \sqrt{\tfrac{2 k(0)}{D}}\,
            [\cos(w_1 \cdot x), \ldots, \cos(w_{D/2} \cdot x), \sin(w_1 \cdot x), \ldots, \sin(w_{D/2} \cdot x)]

    with D/2 frequencies from the kernel's spectral law, ``k(x, y) = k(0) E[cos(w . (x - y))]``. The estimate is
    unbiased, with an error that falls as 1 / sqrt(D). ``k(X, Y)``, and all that the kernel offers beside it, is exact:
    only ``features`` are random. They are drawn once for each object and number of columns of X.

    Parameters
    ----------
    kernel : kernel, optional
        Any that is ``stationary`` and has ``spectral_sample(n, d, rng)``, a third party's too; sums, products,
        multiples and powers of such kernels have it. None is ``RBF()``.
    n_features : int, default 1024
        D, the columns of the features. Where it is odd the last column is a single ``cos(w . x + b)`` with a random
        phase b, which keeps the estimate unbiased.
    coupling : {'iid', 'orthogonal', 'structured', 'simplex'}, default 'iid'
        How frequencies depend on each other. 'orthogonal' ones are orthogonal in blocks of d; 'structured' ones too,
        made by Hadamard transforms in O(D log d) for each row of X instead of O(D d), which pays from some hundred
        columns on (see Notes); 'simplex' ones point to the corners of a simplex. The law of each frequency stays as it
        is and errors are smaller. All but 'iid' need a kernel whose law is a scale mixture of Gaussians: RBF, Matern,
        rational quadratic, inverse multiquadric, and multiples of these.
    sampler : str, class, callable or object, optional
        Where frequencies come from by quasi-Monte Carlo: the name of a registered sampler, a class or function called
        as ``f(d=..., rng=...)`` (or ``seed=...``, as scipy's older ``qmc`` engines are), or an object with ``d`` and
        ``sample(n)`` or ``random(n)``, which is copied. Points that the rng does not change are shifted at random. d is
        the number of columns of X, and more for kernels whose law needs it (one for Matern, rational quadratic, inverse
        multiquadric and spectral mixture; the numbers of sums and products are in ``kernel.spectral_inverse(d)[0]``).
    rng : int, numpy Generator or None
        What is drawn. Two objects with one integer draw the same.

    Raises
    ------
    ParameterError
        At call, if the kernel is not stationary or has no ``spectral_sample``, if the coupling or the sampler does not
        suit the kernel, if both are given, or `n_features` is no positive integer.

    See Also
    --------
    PositiveFeatures : features of the Gaussian kernel that are all positive.

    Notes
    -----
    scikit-learn's ``RBFSampler(gamma, n_components)`` estimates ``RBF(lengthscale=(2 * gamma) ** -0.5)`` by
    ``cos(w . x + b)``; pairs of cosine and sine have a smaller error for the same D, and need half the products.

    Structured frequencies replace the signs of Yu et al. (2016), which are biased in low dimension, by random
    orthogonal blocks of side 16: exact up to 16 columns, and beyond with a relative error of the fourth moment below
    ``8 / (18 p^2)`` in p columns (d rounded up to a power of two), which no practical D can show.

    Tensors give tensors on their device, with gradients to X, to the length scale (of a periodic kernel: the period)
    where that is a tensor, and to the factor of a multiple. float32 data are computed in float32, and in float64 where
    products with the frequencies may exceed 1,024, as far from the origin. Rows may be scipy sparse where the kernel
    takes them.

    A kernel with complex values has complex features, D frequencies and ``phi(x) = sqrt(k(0) / D) exp(i w . x)``.

    References
    ----------
    A. Rahimi and B. Recht, Random Features for Large-Scale Kernel Machines, NeurIPS 2007; F. X. Yu et al., Orthogonal
    Random Features, NeurIPS 2016 (arXiv:1610.09072); H. Avron et al., Quasi-Monte Carlo Feature Maps for
    Shift-Invariant Kernels, JMLR 2016 (arXiv:1412.8293); I. Reid et al., Simplex Random Features, ICML 2023
    (arXiv:2301.13856).

    Examples
    --------
    >>> import numpy as np
    >>> from kernreg_euclidean import Matern
    >>> X = np.random.default_rng(0).standard_normal((5, 3))
    >>> k = RandomFourier(kernel=Matern(lengthscale=2.0), n_features=4096, coupling="orthogonal", rng=0)
    >>> F = k.features(X)
    >>> F.shape, bool(np.abs(F @ F.T - k(X)).max() < 0.05)
    ((5, 4096), True)
    """

    domain = "vectors"

    def __init__(
        self, *, kernel: Any = None, n_features: Any = 1024, coupling: Any = "iid", sampler: Any = None, rng: Any = None
    ) -> None:
        self.kernel = kernel
        self.n_features = n_features
        self.coupling = coupling
        self.sampler = sampler
        self.rng = rng

    def _exact(self) -> Any:
        """The kernel whose values these are."""
        if self.kernel is not None:
            return self.kernel
        return self.__dict__.setdefault("_cache", {}).setdefault("rbf", RBF())

    @property
    def capabilities(self) -> frozenset[str]:  # type: ignore[override]
        """Those of the kernel that do not concern features, and ``random_features``."""
        return (capabilities(self._exact()) & _TAKEN_OVER) | {"random_features"}

    @property
    def pair_cost(self) -> str:  # type: ignore[override]
        return getattr(self._exact(), "pair_cost", "low")

    @property
    def accepts_sparse(self) -> bool:  # type: ignore[override]
        return bool(getattr(self._exact(), "accepts_sparse", False))

    def check_parameters(self, X: Any) -> None:
        """Raise ParameterError unless the parameters are valid, and the kernel's for `X` too."""
        kernel = self._exact()
        _parameters.integer("n_features", self.n_features, minimum=1)
        check_coupling(self.coupling, _KNOWN)
        if self.sampler is not None and self.coupling != "iid":
            raise ParameterError(
                f"sampler: expected None beside coupling={self.coupling!r}, got {describe(self.sampler)}: a sampler's "
                "points are coupled in its own way; leave coupling='iid'"
            )
        usable = callable(kernel) and not isinstance(kernel, type) and "stationary" in capabilities(kernel)
        if not usable or not callable(getattr(kernel, "spectral_sample", None)):
            raise ParameterError(
                f"kernel: expected a stationary kernel with spectral_sample(n, d, rng), got {kernel!r}: take RBF, "
                "Laplace, Matern or another stationary kernel, or sums and products of them alone"
            )
        own = getattr(kernel, "check_parameters", None)
        if callable(own):
            own(X)

    # what the kernel says

    @property
    def into(self) -> Any:
        """The kernel's own ``into``, where it has one."""
        return self._exact().into

    def result_dtype(self, X: Any) -> Any:
        """Dtype of k(X)."""
        return result_dtype_of(self._exact(), X)

    def __call__(self, X: Any, Y: Any = None, /) -> Any:
        """The kernel's own k(X, Y), exact."""
        X, Y = self.check_items(X, Y)
        return self._exact()(X, Y)

    def evaluate(self, X: Any, Y: Any) -> Any:
        """k(X, Y), shape (n, m), of checked `X` and `Y`."""
        return self._exact()(X, Y)

    @provides("diag")
    def diag(self, X: Any) -> Any:
        """The diagonal of k(X), shape (n,)."""
        return self._exact().diag(X)

    @provides("matvec")
    def matvec(self, X: Any, V: Any, Y: Any = None) -> Any:
        """k(X, Y) V, exact, without forming the matrix."""
        return self._exact().matvec(X, V, Y)

    @provides("gradients")
    def grad_x(self, X: Any, Y: Any = None) -> Any:
        """d k(x, y) / dx for all pairs, shape (n, m, d)."""
        return self._exact().grad_x(X, Y)

    @provides("gradients")
    def grad_y(self, X: Any, Y: Any = None) -> Any:
        """d k(x, y) / dy for all pairs, shape (n, m, d)."""
        return self._exact().grad_y(X, Y)

    @provides("gradients")
    def grad_xy(self, X: Any, Y: Any = None) -> Any:
        """d^2 k(x, y) / dx_a dy_b for all pairs, shape (n, m, d, d)."""
        return self._exact().grad_xy(X, Y)

    @property
    def grad_xy_trace(self) -> Any:
        """The kernel's own ``grad_xy_trace``, where it has one."""
        return self._exact().grad_xy_trace

    @property
    def spectral_sample(self) -> Any:
        """The kernel's own ``spectral_sample``."""
        return self._exact().spectral_sample

    @property
    def spectral_inverse(self) -> Any:
        """The kernel's own ``spectral_inverse``, where it has one."""
        return self._exact().spectral_inverse

    # features

    @provides("random_features")
    def features(self, X: Any, basis: Any = None) -> Any:
        """Random features of X, cosines and then sines of ``w . x``, which estimate the kernel.

        `basis` is not used: the frequencies do not depend on data.

        Parameters
        ----------
        X : array, shape (n, d)

        Returns
        -------
        array, shape (n, n_features)
            ``features(X) @ features(Y).T`` estimates k(X, Y), of complex ones with ``features(Y).conj()``. Of X's
            library, dtype and device; the same for each row whatever stands beside it.

        Raises
        ------
        InputError, ParameterError, GramMemoryError
        """
        X, _ = self.check_items(X)
        d = X.shape[1]
        unit = _Unit(self._exact())
        rows, shift = self._draw(unit, d)
        real = "complex" not in self.capabilities
        height = self._value_at_zero(X)
        share = (2.0 if real else 1.0) / int(self.n_features)
        if not is_torch(X):
            return self._fill(X, unit, rows, shift, math.sqrt(share * _number(height)))
        views = host_view(X, *_learnt(self._exact()))
        if views is not None:
            scale = math.sqrt(share * _number(height))
            return sys.modules["torch"].from_numpy(self._fill(views[0], unit, rows, shift, scale))
        dtype = compute_dtype(X)
        phases = _phases(X.to(dtype), unit, rows)
        found = waves_of_tensor(phases, (share * height.real.to(dtype)).sqrt(), shift, real)
        return found.to(X.dtype) if real else found

    def _fill(self, X: Any, unit: _Unit, rows: Rows, shift: float | None, scale: float) -> np.ndarray:
        dtype = np.dtype(self.result_dtype(X))
        shape = (X.shape[0], int(self.n_features))
        guard_memory(shape, dtype, what="the feature matrix")
        out = np.empty(shape, dtype)
        fill_waves(X, rows, unit.factor(X.shape[1]), scale, shift, out)
        return out

    def _value_at_zero(self, X: Any) -> Any:
        """k(0), in the library of `X`: with a gradient where a parameter has one."""
        kernel, d = self._exact(), X.shape[1]
        zero = X.new_zeros((1, d)) if is_torch(X) else np.zeros((1, d))
        height = kernel.diag(zero)[0] if "diag" in capabilities(kernel) else kernel(zero, zero)[0, 0]
        value = _number(height)
        if not value >= 0.0:
            raise ParameterError(
                f"kernel: expected k(x, x) >= 0, got {value:g} of {kernel!r}: no features have such values"
            )
        return height

    def _draw(self, unit: _Unit, d: int) -> tuple[Rows, float | None]:
        """The frequencies in units of the length scale, and the phase of an odd last column: drawn once."""
        width = int(self.n_features)
        key = (d, width, self.coupling, id(self.sampler), entropy(self), unit.state())
        cache = self.__dict__.setdefault("_cache", {}).setdefault("draws", {})
        if key not in cache:
            rng = np.random.default_rng([entropy(self), d])
            real = "complex" not in self.capabilities
            rows = self._frequencies(unit, -(-width // 2) if real else width, d, rng)
            while len(cache) > 3:  # a loop over numbers of columns keeps no more than a few
                cache.pop(next(iter(cache)), None)
            shift = float(rng.uniform(0.0, 2.0 * math.pi)) if real and width % 2 else None
            # what the key names by its id is kept alive, so that no other object gets that id
            cache[key] = rows, shift, self.sampler, unit.inner
        found: tuple[Rows, float | None] = cache[key][:2]
        return found

    def _frequencies(self, unit: _Unit, m: int, d: int, rng: np.random.Generator) -> Rows:
        kernel = unit.kernel
        if self.sampler is not None:
            if not callable(getattr(kernel, "spectral_inverse", None)):
                raise ParameterError(
                    f"sampler: expected None, got {describe(self.sampler)}: {kernel!r} has only spectral_sample, and "
                    "no spectral_inverse that takes points of the unit cube to frequencies"
                )
            coordinates, inverse = kernel.spectral_inverse(d)
            return _checked(inverse(cube_points(self.sampler, m, coordinates, rng)), (m, d), kernel)
        if self.coupling == "iid":
            return _checked(kernel.spectral_sample(m, d, rng), (m, d), kernel)
        if not callable(getattr(kernel, "spectral_scale", None)):
            raise ParameterError(
                f"coupling: expected 'iid', got {self.coupling!r}: the frequencies of {kernel!r} are no scale mixture "
                "of Gaussians (those of RBF, Matern, rational quadratic and inverse multiquadric kernels are); of a "
                "sum, couple the features of its terms"
            )
        rows = COUPLINGS[self.coupling](m, d, rng)
        return rows.times(kernel.spectral_scale(np.maximum(rng.random(m), LEAST)))


class _Unit:
    """A stationary kernel split into one of length scale 1 and the scale itself, which divides the frequencies.

    Frequencies drawn for the first serve every length scale, and a tensor's gets its gradient. Kernels without a scale
    of that sort are taken as they are.
    """

    def __init__(self, kernel: Any) -> None:
        inner = kernel
        while isinstance(inner, (Scaled, Normalized)):  # a factor in front changes no frequency
            inner = inner.kernel
        self.inner = inner
        self.name: str = getattr(inner, "spectral_unit", "") if hasattr(inner, "get_params") else ""
        self.value: Any = getattr(inner, self.name) if self.name else 1.0
        self.kernel = type(inner)(**{**inner.get_params(deep=False), self.name: 1.0}) if self.name else inner

    def factor(self, d: int) -> Any:
        """What multiplies the frequencies of NumPy data: a number, or one for each column."""
        return 1.0 / _parameters.lengthscale(self.name, self.value, d) if self.name else 1.0

    def state(self) -> Any:
        """What the frequencies depend on, to notice a parameter that was set on the kernel itself."""
        try:
            return fingerprint(self.kernel)
        except FingerprintError:
            return id(self.inner)


def _phases(X: Any, unit: _Unit, rows: Rows) -> Any:
    """The products of a float tensor with the frequencies, in its dtype."""
    scaled = X / _parameters.operand(unit.value, X) if unit.name else X
    if X.element_size() == 4 and X.device.type != "mps":  # mps has no float64
        longest = float(scaled.detach().norm(dim=1).max()) * rows.longest()
        if longest > LARGEST_SINGLE:
            turn = 2.0 * math.pi
            return _phases(X.double(), unit, rows).remainder(turn).to(X.dtype)
    return rows.of_tensor(scaled)


def _checked(frequencies: Any, shape: tuple[int, int], kernel: Any) -> Rows:
    """What `kernel` says its frequencies are, if they are so many finite numbers."""
    found = np.asarray(frequencies, np.float64)
    if found.shape != shape or not np.isfinite(found).all():
        raise ParameterError(
            f"kernel: expected one whose frequencies are an array of shape {shape} of finite numbers, got "
            f"{describe(frequencies)} of {kernel!r}"
        )
    return DenseRows(found)


def _number(value: Any) -> float:
    """The real part of a NumPy or torch scalar."""
    return float(value.detach().real if is_torch(value) else np.real(value))


def _learnt(kernel: Any) -> list[Any]:
    """The tensors among the parameters that ask for gradients."""
    values = kernel.get_params().values() if hasattr(kernel, "get_params") else ()
    return [value for value in values if is_torch(value) and value.requires_grad]
