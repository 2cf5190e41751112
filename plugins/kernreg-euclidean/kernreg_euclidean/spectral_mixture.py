"""The spectral mixture kernel."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from kernreg_core.arrays import is_torch
from kernreg_core.base import provides
from kernreg_core.errors import ParameterError

from . import _parameters
from ._distances import DenseRows, DistanceTiles
from ._ops import InPlace
from ._spectra import LEAST, Inverse, normal_quantile
from ._tiles import Scratch, Tiles
from ._torch import row_chunks
from ._vectors import VectorKernel, generator, ones_like_rows


class SpectralMixture(VectorKernel):
    r"""Spectral mixture kernel: a spectral density that is a mixture of Gaussians.

    .. math::
        k(x, y) = \sum_q w_q \prod_k \exp\big(-2\pi^2 \tau_k^2 s_{qk}^2\big) \cos(2\pi \tau_k m_{qk}),
        \qquad \tau = x - y

    Parameters
    ----------
    weights : array of shape (Q,), default (1.0,)
        w_q > 0; their sum is k(x, x).
    means : array of shape (Q,) or (Q, d), default (0.1,)
        m, frequencies in cycles for each unit of X; (Q,) is the same for all features.
    scales : array of shape (Q,) or (Q, d), default (0.15,)
        s > 0, standard deviations of the frequencies.

    Raises
    ------
    ParameterError
        At call, if the shapes do not agree with each other or with X, or a number is out of range.

    Notes
    -----
    For one feature this is GPyTorch's ``SpectralMixtureKernel``: ``mixture_weights`` (Q,),
    ``mixture_means`` and ``mixture_scales`` (Q, 1, 1). For more, GPyTorch multiplies one mixture for
    each feature, where the paper (and this class) mixes products: its kernel is this one with the
    Q^d components that expanding the product gives. scikit-learn has neither. One component with mean 0 is
    ``RBF(lengthscale=1 / (2 * pi * scale))``, in scikit-learn's terms ``gamma = 2 (pi scale)^2``.

    References
    ----------
    A. G. Wilson and R. P. Adams, Gaussian Process Kernels for Pattern Discovery and Extrapolation, ICML
    2013 (arXiv:1302.4245).

    Examples
    --------
    >>> import numpy as np
    >>> k = SpectralMixture(weights=[0.5, 0.5], means=[0.0, 0.5], scales=[0.1, 0.1])
    >>> k(np.array([[0.0], [1.0]])).round(6)
    array([[1., 0.],
           [0., 1.]])
    """

    def __init__(self, *, weights: Any = (1.0,), means: Any = (0.1,), scales: Any = (0.15,)) -> None:
        self.weights = weights
        self.means = means
        self.scales = scales

    @property
    def capabilities(self) -> frozenset[str]:  # type: ignore[override]
        """With ``normalized`` where the weights sum to 1."""
        always = frozenset({"symmetric", "psd", "stationary", "diag", "matvec", "differentiable"})
        try:
            one = abs(float(self._weights().sum()) - 1.0) <= 1e-15
        except ParameterError:
            one = False
        return always | {"normalized"} if one else always

    def _weights(self) -> np.ndarray:
        what = "positive numbers, one for each component"
        weights = _parameters.vector("weights", self.weights, what)
        if weights.ndim != 1 or not weights.size or not (weights > 0).all():
            raise ParameterError(f"weights: expected {what}, got {self.weights!r}")
        return weights

    def _components(self, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Weights (Q,), means (Q, d) and scales (Q, d)."""
        weights = self._weights()
        arrays = []
        for name in ("means", "scales"):
            what = f"an array of shape ({weights.size},) or ({weights.size}, {d})"
            array = _parameters.vector(name, getattr(self, name), what)
            if array.ndim == 1:
                array = array[:, None]
            if array.ndim != 2 or array.shape[0] != weights.size or array.shape[1] not in (1, d):
                raise ParameterError(
                    f"{name}: expected {what} (weights has {weights.size} components and X {d} features), got shape "
                    f"{array.shape}"
                )
            arrays.append(np.broadcast_to(array, (weights.size, d)))
        if not (arrays[1] > 0).all():
            raise ParameterError(f"scales: expected positive numbers, got {self.scales!r}")
        return weights, arrays[0], arrays[1]

    def check_parameters(self, X: Any) -> None:
        """Raise ParameterError unless the parameters fit each other and the columns of `X`."""
        self._components(X.shape[1])

    def _tiles(self, X: Any, Y: Any, dtype: Any) -> Tiles:
        weights, means, scales = self._components(X.shape[1])
        same = Y is X
        X = X.astype(np.float64, copy=False)
        Y = X if same else Y.astype(np.float64, copy=False)
        components = [
            (float(w), _Component(X, Y, mean, scale)) for w, mean, scale in zip(weights, means, scales, strict=True)
        ]

        largest = float(weights.sum())

        def tile(r: slice, c: slice, values: np.ndarray, scratch: Scratch) -> None:
            total = scratch.get("total", values.shape, np.float64)
            total[...] = 0.0
            for weight, component in components:
                part = component.tile(r, c, scratch)
                part *= weight
                total += part
            # cos^2 + sin^2 rounds to a little more than 1 where x = y
            np.minimum(total, largest, out=total)
            np.copyto(values, total, casting="same_kind")

        work = (6 * X.shape[1] + 10) * len(components)
        return Tiles((X.shape[0], Y.shape[0]), tile, same, work, diagonal=largest, buffers=4)

    def _functional(self, X: Any, Y: Any) -> Any:
        torch = sys.modules["torch"]
        Q, d = self._weights().size, X.shape[1]

        def shaped(name: str) -> Any:
            value = getattr(self, name)
            tensor = self._operand(name, X) if is_torch(value) else X.new_tensor(np.asarray(value, np.float64))
            return (tensor[:, None] if tensor.ndim == 1 else tensor).expand(Q, d)

        value = self.weights
        weights = self._operand("weights", X) if is_torch(value) else X.new_tensor(np.asarray(value, np.float64))
        means, scales = shaped("means"), shaped("scales")

        def values(part: Any) -> Any:
            tau = 2.0 * math.pi * (part[:, None, :] - Y[None, :, :])
            found = 0.0
            for q in range(Q):
                decay = (-0.5 * (tau * scales[q]).square().sum(-1)).exp()
                found = found + weights[q] * decay * (tau * means[q]).cos().prod(-1)
            return found

        return torch.cat([values(part) for part in row_chunks(X, Y)])

    @provides("diag")
    def diag(self, X: Any) -> Any:
        """The diagonal of k(X), the sum of the weights, shape (n,)."""
        X, _ = self.check_items(X)
        if is_torch(X) and is_torch(self.weights):
            return self._operand("weights", X).sum().expand(X.shape[0])
        return ones_like_rows(X, float(self._weights().sum()))

    def spectral_sample(self, n: int, d: int, rng: Any = None) -> np.ndarray:
        """`n` angular frequencies w with ``k(x, y) / k(x, x) = E[cos(w . (x - y))]``.

        Normal around plus or minus the means (signs independent for each feature), times 2 pi.

        Parameters
        ----------
        n, d : int
            Frequencies, and features of the data.
        rng : int, numpy Generator or None

        Returns
        -------
        ndarray, shape (n, d)
        """
        rng = generator(rng)
        weights, means, scales = self._components(d)
        q = rng.choice(len(weights), size=n, p=weights / weights.sum())
        signs = rng.integers(0, 2, size=(n, d)) * 2.0 - 1.0
        return 2.0 * math.pi * (signs * means[q] + scales[q] * rng.standard_normal((n, d)))

    def spectral_inverse(self, d: int) -> Inverse:
        """The map that turns uniform points into frequencies: one coordinate chooses the component.

        The others choose the sign of the mean by the half they lie in, and the normal quantile by where in that half.

        Parameters
        ----------
        d : int
            Features of the data.

        Returns
        -------
        m : int
            d + 1.
        inverse : callable
            Takes points of the open unit cube, (n, d + 1), to frequencies, (n, d).
        """
        weights, means, scales = self._components(d)
        edges = np.cumsum(weights / weights.sum())[:-1]

        def inverse(U: np.ndarray) -> np.ndarray:
            q, rest = np.searchsorted(edges, U[:, 0], side="right"), U[:, 1:]
            upper = rest >= 0.5
            within = np.clip(2.0 * rest - upper, LEAST, 1.0 - 2.0**-53)
            return 2.0 * math.pi * (np.where(upper, means[q], -means[q]) + scales[q] * normal_quantile(within))

        return d + 1, inverse


class _Component:
    """One Gaussian of the mixture, tile by tile in float64: an RBF kernel times cosines."""

    def __init__(self, X: np.ndarray, Y: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> None:
        rows = DenseRows(X, Y, 1.0 / (2.0 * math.pi * scale), -0.5)
        self._distances = DistanceTiles(rows, lambda s: 0.5 * np.exp(-0.5 * s), np.float64)
        self._waves = []
        for k in np.flatnonzero(mean):
            # cos(a - b) = cos a cos b + sin a sin b: no cosine for each pair; centred: an offset costs no digits
            centre = X[:, k].mean()
            a = 2.0 * math.pi * mean[k] * (X[:, k] - centre)
            b = a if Y is X else 2.0 * math.pi * mean[k] * (Y[:, k] - centre)
            self._waves.append((np.cos(a), np.sin(a), np.cos(b), np.sin(b)))

    def tile(self, r: slice, c: slice, scratch: Scratch) -> np.ndarray:
        """The component's values in a buffer of `scratch`."""
        shape = (r.stop - r.start, c.stop - c.start)
        values = scratch.get("component", shape, np.float64)
        self._distances.fill(r, c, values, scratch)
        InPlace(scratch).exp(values)
        wave = scratch.get("wave", shape, np.float64)
        other = scratch.get("other", shape, np.float64)
        for cos_a, sin_a, cos_b, sin_b in self._waves:
            np.multiply(cos_a[r, None], cos_b[c], out=wave)
            np.multiply(sin_a[r, None], sin_b[c], out=other)
            wave += other
            values *= wave
        return values
