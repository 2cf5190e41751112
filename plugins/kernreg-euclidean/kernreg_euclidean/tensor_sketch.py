"""Tensor sketch: random features of the polynomial kernel."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from kernreg_core.arrays import float_dtype, is_sparse, is_torch
from kernreg_core.base import provides
from kernreg_core.memory import guard_memory
from kernreg_core.params import entropy
from kernreg_core.threads import run_parallel

from . import _parameters
from ._tiles import SERIAL_WORK, Scratch
from ._torch import compute_dtype, host_view
from ._waves import block_height
from .polynomial import Polynomial

#: Dense data of up to so many columns is sketched by products with the transformed sketch; more columns by an FFT.
_FEW_COLUMNS = 64
#: Complex numbers of a block, on one thread and on several.
_BLOCK = (1 << 15, 1 << 17)


class TensorSketch(Polynomial):
    r"""The polynomial kernel, with random features by tensor sketch.

    .. math::
        k(x, y) = (\gamma\, x \cdot y + c_0)^p \approx \phi(x) \cdot \phi(y), \qquad
        \phi(x) = \mathcal F^{-1}\Big( \prod_{j=1}^p \mathcal F\, C_j \tilde x \Big), \qquad
        \tilde x = (\sqrt\gamma\, x, \sqrt{c_0})

    with p independent count sketches C_j, which add each coordinate, with a random sign, to a random one of D bins: the
    product of their Fourier transforms is the sketch of the p-fold tensor product, whose D^p coordinates are never
    formed. The estimate is unbiased, and its error falls as 1 / sqrt(D). ``k(X, Y)`` and all that ``Polynomial`` offers
    beside it is exact; only ``features`` are random, drawn once for each object and number of columns of X.

    Parameters
    ----------
    degree : int, default 3
        p >= 1.
    gamma : float or None, default None
        Factor of the inner product, positive; None is 1 / d for d columns, as in scikit-learn.
    coef0 : float, default 1.0
        c_0. Where it is negative the kernel is not positive semi-definite and has no features.
    n_features : int, default 1024
        D.
    rng : int, numpy Generator or None
        What is drawn. Two objects with one integer draw the same.

    Raises
    ------
    ParameterError
        At call, if a parameter is out of range.

    See Also
    --------
    Polynomial : whose ``features`` are exact, all C(d + p, p) monomials.

    Notes
    -----
    scikit-learn's ``PolynomialCountSketch(gamma, degree, coef0, n_components)`` is the same sketch. Features here are
    the real and imaginary parts of the product of the transforms, weighted as Parseval's theorem asks: the inverse
    transform is orthogonal, so that leaving it out changes no inner product.

    The variance is at most ``(2 + 3^p) / D (|x~| |y~|)^(2p)`` (Avron, Nguyen and Woodruff, NeurIPS 2014): it is
    relative to the norms, so that small values beside large norms are poorly estimated.

    Rows may be scipy sparse, and cost what they hold. Tensors give tensors on their device, with gradients to X and to
    ``gamma`` and ``coef0`` where these are tensors.

    References
    ----------
    N. Pham and R. Pagh, Fast and Scalable Polynomial Kernels via Explicit Feature Maps, KDD 2013
    (doi:10.1145/2487575.2487591).

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).standard_normal((5, 8)) / 8**0.5
    >>> k = TensorSketch(degree=2, gamma=1.0, n_features=4096, rng=0)
    >>> F = k.features(X)
    >>> F.shape, bool(np.abs(F @ F.T - k(X)).max() < 0.2)
    ((5, 4096), True)
    """

    def __init__(
        self, *, degree: Any = 3, gamma: Any = None, coef0: Any = 1.0, n_features: Any = 1024, rng: Any = None
    ) -> None:
        self.degree = degree
        self.gamma = gamma
        self.coef0 = coef0
        self.n_features = n_features
        self.rng = rng

    @property
    def capabilities(self) -> frozenset[str]:  # type: ignore[override]
        """Those of the polynomial kernel, with ``random_features`` in place of ``features``."""
        found = super().capabilities
        return found - {"features"} | {"random_features"} if "features" in found else found

    def check_parameters(self, X: Any) -> None:
        """Raise ParameterError unless the parameters are in range."""
        super().check_parameters(X)
        _parameters.integer("n_features", self.n_features, minimum=1)

    @provides("random_features")
    def features(self, X: Any, basis: Any = None) -> Any:
        """The tensor sketch of X, whose products estimate the kernel.

        `basis` is not used: the sketch does not depend on data.

        Parameters
        ----------
        X : array or sparse matrix, shape (n, d)

        Returns
        -------
        array, shape (n, n_features)
            ``features(X) @ features(Y).T`` estimates k(X, Y). Of X's library, dtype and device; the same for each row
            whatever stands beside it.

        Raises
        ------
        InputError, ParameterError, GramMemoryError
        """
        X, _ = self.check_items(X)
        sketch = self._draw(X.shape[1])
        if not is_torch(X):
            return self._fill(X, sketch)
        parameters = [value for value in (self.gamma, self.coef0) if is_torch(value) and value.requires_grad]
        views = host_view(X, *parameters)
        if views is not None:
            return sys.modules["torch"].from_numpy(self._fill(views[0], sketch))
        torch = sys.modules["torch"]
        x = X.to(compute_dtype(X))
        gamma = self._operand("gamma", x) if is_torch(self.gamma) else self._gamma(x.shape[1])
        constant = x.new_ones((x.shape[0], 1)) * self._operand("coef0", x) ** 0.5
        augmented = torch.cat([x * gamma**0.5, constant], 1)
        found: Any = None
        for j in range(int(self.degree)):
            waves = torch.as_tensor(sketch.transformed(j), device=x.device)
            part = torch.complex(augmented @ waves.real.to(x.dtype), augmented @ waves.imag.to(x.dtype))
            found = part if found is None else found * part
        return torch.cat([found.real, found.imag[:, sketch.imaginary]], 1).to(X.dtype)

    def _draw(self, d: int) -> _Sketch:
        """The bins and signs of every count sketch: drawn once."""
        key = (d, int(self.n_features), int(self.degree), entropy(self))
        cache = self.__dict__.setdefault("_cache", {})
        if key not in cache:
            while len(cache) > 3:  # a loop over numbers of columns keeps no more than a few
                cache.pop(next(iter(cache)), None)
            cache[key] = _Sketch(int(self.degree), d + 1, int(self.n_features), [entropy(self), d])
        found: _Sketch = cache[key]
        return found

    def _fill(self, X: Any, sketch: _Sketch) -> np.ndarray:
        (n, d), dtype = X.shape, float_dtype(X)
        guard_memory((n, sketch.bins), dtype, what="the feature matrix")
        root = math.sqrt(self._gamma(d))
        constant = math.sqrt(_parameters.number("coef0", self.coef0))
        parts = [sketch.factor(j, root, constant, dtype, by_product=self._by_product(X)) for j in range(sketch.degree)]
        out = np.empty((n, sketch.bins), dtype)
        scratch = Scratch()

        def block(start: int) -> None:
            rows = slice(start, min(start + step, n))
            found = parts[0](X[rows], scratch, "product")
            for part in parts[1:]:
                np.multiply(found, part(X[rows], scratch, "factor"), out=found)
            np.copyto(out[rows, : found.shape[1]], found.real)
            np.copyto(out[rows, found.shape[1] :], found.imag[:, sketch.imaginary])

        parallel = n * sketch.bins * (d + 16) > SERIAL_WORK
        step = block_height(n, sketch.bins // 2 + 1, 1, _BLOCK, parallel)
        if parallel:
            run_parallel(block, range(0, n, step))
        else:
            for start in range(0, n, step):
                block(start)
        return out

    def _by_product(self, X: Any) -> bool:
        return not is_sparse(X) and X.shape[1] <= _FEW_COLUMNS


class _Sketch:
    """Independent count sketches of `columns` coordinates (the last a constant) into `bins` bins, transformed.

    Attributes
    ----------
    imaginary : slice
        The frequencies whose imaginary part is a feature too: all but the first, and the last of an even number of
        bins, where it is 0.
    """

    def __init__(self, degree: int, columns: int, bins: int, seed: list[int]) -> None:
        rng = np.random.default_rng(seed)
        self.degree = degree
        self.bins = bins
        self.bin = rng.integers(0, bins, size=(degree, columns))
        self.sign = rng.integers(0, 2, size=(degree, columns)) * 2.0 - 1.0
        self.imaginary = slice(1, (bins + 1) // 2)

    def weights(self, j: int) -> Any:
        """What Parseval's theorem multiplies the frequencies by: once, in the first sketch."""
        if j:
            return 1.0
        weights = np.full(self.bins // 2 + 1, math.sqrt(2.0 / self.bins))
        weights[0] = math.sqrt(1.0 / self.bins)
        if self.bins % 2 == 0:
            weights[-1] = weights[0]
        return weights

    def transformed(self, j: int) -> np.ndarray:
        """The Fourier transform of the matrix of sketch `j`, (columns, bins // 2 + 1), complex."""
        frequencies = np.arange(self.bins // 2 + 1)
        turns = np.outer(self.bin[j], frequencies) % self.bins  # whole numbers: angles stay small
        roots = np.exp(-2j * math.pi / self.bins * np.arange(self.bins))
        return np.asarray(self.sign[j][:, None] * roots[turns] * self.weights(j))

    def factor(self, j: int, root: float, constant: float, dtype: Any, *, by_product: bool) -> Any:
        """A function (rows, scratch, slot) -> transform of sketch `j` of rows of X, complex (b, bins // 2 + 1)."""
        return self._by_product(j, root, constant, dtype) if by_product else self._by_fft(j, root, constant, dtype)

    def _by_product(self, j: int, root: float, constant: float, dtype: Any) -> Any:
        kind = np.result_type(dtype, np.complex64)
        waves = self.transformed(j)
        matrix = np.ascontiguousarray(waves[:-1] * root, kind).view(dtype)
        shift = (waves[-1] * constant).astype(kind).view(dtype)

        def product(rows: Any, scratch: Scratch, slot: str) -> np.ndarray:
            found = scratch.get(slot, (rows.shape[0], matrix.shape[1]), dtype)
            np.matmul(rows, matrix, out=found)
            if constant:
                np.add(found, shift, out=found)
            return found.view(kind)

        return product

    def _by_fft(self, j: int, root: float, constant: float, dtype: Any) -> Any:
        from scipy import fft, sparse

        columns = len(self.sign[j]) - 1
        entries = (self.sign[j][:-1] * root).astype(dtype)
        matrix = sparse.csr_array((entries, (np.arange(columns), self.bin[j][:-1])), (columns, self.bins))
        weights = np.asarray(self.weights(j), dtype)

        def transform(rows: Any, scratch: Scratch, slot: str) -> np.ndarray:
            sketched = rows @ matrix
            sketched = sketched.toarray() if is_sparse(sketched) else np.ascontiguousarray(sketched)
            sketched[:, self.bin[j][-1]] += self.sign[j][-1] * constant
            found = fft.rfft(sketched, axis=1)
            np.multiply(found, weights, out=found)
            return np.asarray(found)

        return transform
