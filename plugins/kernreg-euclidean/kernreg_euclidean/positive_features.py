"""Positive random features of the Gaussian kernel."""

from __future__ import annotations

import math
import sys
import warnings
from typing import Any

import numpy as np

from kernreg_core.arrays import describe, float_dtype, is_sparse, is_torch
from kernreg_core.base import provides
from kernreg_core.errors import InputError, KernregWarning, ParameterError
from kernreg_core.memory import guard_memory
from kernreg_core.params import entropy
from kernreg_core.threads import run_parallel

from . import _parameters
from ._frequencies import COUPLINGS, DenseRows, Rows, check_coupling
from ._products import squared_norms
from ._quasi import cube_points
from ._spectra import normal_quantile
from ._tiles import SERIAL_WORK
from ._torch import compute_dtype, host_view
from ._waves import block_height
from .rbf import RBF

#: Elements of a block, on one thread and on several.
_BLOCK = (1 << 15, 1 << 17)


class PositiveFeatures(RBF):
    r"""The Gaussian kernel, with positive random features that estimate it.

    .. math::
        k(x, y) = \exp\Big(-\tfrac12 \sum_k \frac{(x_k - y_k)^2}{l_k^2}\Big) \approx \phi(x) \cdot \phi(y), \qquad
        \phi(x)_i = D^{-1/2} \exp\Big(w_i \cdot \frac{x}{l} - \Big|\frac{x}{l}\Big|^2\Big)

    with standard normal w_i. The estimate is unbiased, and no estimate of a value is ever negative, as those of Fourier
    features can be: for what divides by sums of the kernel, or takes its logarithm. ``k(X, Y)`` and all that ``RBF``
    offers beside it is exact; only ``features`` are random, drawn once for each object and number of columns of X.

    Parameters
    ----------
    lengthscale : float or array of shape (d,), default 1.0
        l, in the units of X: one for all columns, or one for each (ARD). Positive.
    n_features : int, default 1024
        D.
    coupling : {'iid', 'orthogonal', 'structured', 'simplex', 'simplex_plus'}, optional
        How the w_i of each block of d depend on each other. 'simplex' ones point to the corners of a simplex and have
        the smallest mean squared error of all couplings that do not look at their lengths (Reid et al. 2023);
        'orthogonal' comes next, then 'iid'. 'simplex_plus' chooses, given the lengths, directions that cancel in the
        sum. 'structured' ones are orthogonal, by Hadamard transforms in O(D log d) for each row. None is 'simplex', and
        nothing where a sampler is given.
    sampler : str, class, callable or object, optional
        Where the w_i come from by quasi-Monte Carlo, as in :class:`RandomFourier`; of d dimensions.
    rng : int, numpy Generator or None
        What is drawn. Two objects with one integer draw the same.

    Raises
    ------
    ParameterError
        At call, if a parameter is invalid, or both `coupling` and `sampler` are given.
    InputError
        If a feature overflows (float32 holds ``exp(88)``, float64 ``exp(709)``).

    See Also
    --------
    RandomFourier : of any stationary kernel, with an error that does not grow away from the origin.
    kernreg_euclidean.positive_mse : the mean squared error in closed form.

    Notes
    -----
    The variance grows like ``exp(2 |x + y|^2 - 2 |x|^2 - 2 |y|^2)`` in length scales: centre X, and expect good
    estimates within a length scale or two of the origin. A feature is at most ``exp(|w_i|^2 / 4)``, so that overflow
    needs hundreds of columns (float32) or thousands (float64); from about 10 (float32) or 27 (float64) length scales on
    all features of an item underflow to 0, and with them its estimates, of which a KernregWarning tells. No item
    is rescaled by its largest exponent, as attention does: that would change the estimate.

    Features of the softmax kernel ``exp(x . y)`` belong to attention and are not here.

    Tensors give tensors on their device, with gradients to X and to the length scale where that is a tensor. Rows may
    be scipy sparse.

    References
    ----------
    K. Choromanski et al., Rethinking Attention with Performers, ICLR 2021 (arXiv:2009.14794); I. Reid et al., Simplex
    Random Features, ICML 2023 (arXiv:2301.13856).

    Examples
    --------
    >>> import numpy as np
    >>> X = 0.3 * np.random.default_rng(0).standard_normal((5, 3))
    >>> k = PositiveFeatures(n_features=2048, rng=0)
    >>> F = k.features(X)
    >>> bool((F > 0).all()), bool(np.abs(F @ F.T - k(X)).max() < 0.05)
    (True, True)
    """

    def __init__(
        self,
        *,
        lengthscale: Any = 1.0,
        n_features: Any = 1024,
        coupling: Any = None,
        sampler: Any = None,
        rng: Any = None,
    ) -> None:
        self.lengthscale = lengthscale
        self.n_features = n_features
        self.coupling = coupling
        self.sampler = sampler
        self.rng = rng

    @property
    def capabilities(self) -> frozenset[str]:  # type: ignore[override]
        """Those of the RBF kernel, and ``random_features``."""
        return RBF.capabilities | {"random_features"}

    def check_parameters(self, X: Any) -> None:
        """Raise ParameterError unless the parameters are valid and ``lengthscale`` fits the columns of `X`."""
        super().check_parameters(X)
        _parameters.integer("n_features", self.n_features, minimum=1)
        if self.coupling is not None:
            check_coupling(self.coupling, tuple(COUPLINGS))
            if self.sampler is not None:
                raise ParameterError(
                    f"sampler: expected None beside coupling={self.coupling!r}, got {describe(self.sampler)}: a "
                    "sampler's points are coupled in its own way; leave coupling=None"
                )

    @provides("random_features")
    def features(self, X: Any, basis: Any = None) -> Any:
        """Positive random features of X, which estimate the kernel.

        `basis` is not used: the w_i do not depend on data.

        Parameters
        ----------
        X : array, shape (n, d)

        Returns
        -------
        array, shape (n, n_features)
            ``features(X) @ features(Y).T`` estimates k(X, Y). Of X's library, dtype and device; the same for each row
            whatever stands beside it.

        Raises
        ------
        InputError, ParameterError, GramMemoryError

        Warns
        -----
        KernregWarning
            If all features of an item underflow to 0.
        """
        X, _ = self.check_items(X)
        rows = self._draw(X.shape[1])
        if not is_torch(X):
            return self._fill(X, rows)
        learnt = [self.lengthscale] if is_torch(self.lengthscale) and self.lengthscale.requires_grad else []
        views = host_view(X, *learnt)
        if views is not None:
            return sys.modules["torch"].from_numpy(self._fill(views[0], rows))
        x = X.to(compute_dtype(X))
        x = x / self._operand("lengthscale", x)
        squared = x.square().sum(1)
        kind = np.dtype(str(x.dtype).removeprefix("torch."))
        self._check_reach(squared.detach().double().cpu().numpy(), rows, kind)
        found = (rows.of_tensor(x) - (squared + 0.5 * math.log(len(rows)))[:, None]).exp().to(X.dtype)
        if not bool(sys.modules["torch"].isfinite(found.detach()).all()):
            raise _overflow(found.dtype)
        return found

    def _draw(self, d: int) -> Rows:
        """The standard normal w_i: drawn once."""
        key = (d, int(self.n_features), self.coupling, id(self.sampler), entropy(self))
        cache = self.__dict__.setdefault("_cache", {})
        if key not in cache:
            rng = np.random.default_rng([entropy(self), d])
            if self.sampler is not None:
                rows: Rows = DenseRows(normal_quantile(cube_points(self.sampler, int(self.n_features), d, rng)))
            else:
                rows = COUPLINGS[self.coupling or "simplex"](int(self.n_features), d, rng)
            while len(cache) > 3:  # a loop over numbers of columns keeps no more than a few
                cache.pop(next(iter(cache)), None)
            cache[key] = rows, self.sampler  # kept alive, so that no other object gets its id
        found: Rows = cache[key][0]
        return found

    def _fill(self, X: Any, rows: Rows) -> np.ndarray:
        (n, d), m, dtype = X.shape, len(rows), float_dtype(X)
        guard_memory((n, m), dtype, what="the feature matrix")
        factor = 1.0 / np.asarray(_parameters.lengthscale("lengthscale", self.lengthscale, d))
        scaled = X.multiply(factor).tocsr() if is_sparse(X) else np.multiply(X, factor, dtype=np.float64)
        with np.errstate(over="ignore"):  # infinitely far is far, which is warned of below
            squared = squared_norms(scaled)
            decay = (squared + 0.5 * math.log(m)).astype(dtype)[:, None]
        self._check_reach(squared, rows, dtype)
        project = rows.projection(factor, dtype)
        out = np.empty((n, m), dtype)
        limit = math.log(float(np.finfo(dtype).max))

        def block(start: int) -> None:
            part = slice(start, min(start + step, n))
            values = out[part]
            with np.errstate(all="ignore"):  # what overflows is refused
                project(X[part].astype(dtype, copy=False), values)
                np.subtract(values, decay[part], out=values)
                if not values.max() < limit:
                    raise _overflow(dtype)
                np.exp(values, out=values)

        parallel = n * m * (d + 16) > SERIAL_WORK
        step = block_height(n, m, d, _BLOCK, parallel)
        if parallel:
            run_parallel(block, range(0, n, step))
        else:
            for start in range(0, n, step):
                block(start)
        return out

    def _check_reach(self, squared: np.ndarray, rows: Rows, dtype: Any) -> None:
        """Warn where all features of an item are 0."""
        # |x| |w| - |x|^2 bounds the exponents
        least = math.log(float(np.finfo(dtype).smallest_subnormal))
        length = np.sqrt(squared)
        lost = np.count_nonzero(length * (rows.longest() - length) < least)
        if lost:
            warnings.warn(
                f"X: {lost} item(s) lie so far from the origin that all their features are 0 in {dtype}, and with them "
                "what they estimate. Subtract the mean from X or take a longer length scale to silence this; "
                "RandomFourier's features have no such limit",
                KernregWarning,
                stacklevel=4,
            )


def _overflow(dtype: Any) -> InputError:
    return InputError(
        f"X: expected items whose features are finite in {dtype}, got one with a larger exponent: "
        "take a longer length scale, or float64 items, or RandomFourier, whose features are bounded"
    )
