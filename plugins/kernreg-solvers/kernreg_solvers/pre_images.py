"""Pre-images: from components back to vectors, by ridge regression with a kernel between components."""

from __future__ import annotations

from typing import Any

import numpy as np

import kernreg_core as kr
from kernreg_core.arrays import is_torch

from .centers import take
from .linalg import ShiftedSystem
from .mixin import as_numpy
from .nystrom_features import NystromFeatures
from .operator import KernelOperator


class PreImages:
    r"""x = sum_j b_j k(t, t_j) for components t, fitted to pairs (t_i, x_i) by ridge regression.

    On all pairs, :math:`(K + \alpha I) B = X`; on some of them as centres the minimum of
    :math:`\sum_i |x_i - f(t_i)|^2 + \alpha \|f\|^2` among their combinations, in blocks of rows.

    Parameters
    ----------
    kernel : kernel
        On vectors.
    T : ndarray, shape (n, q)
    X : array, tensor or sparse matrix, shape (n, d)
    alpha : float
    chosen : ndarray of int, optional
        Rows that serve as centres; all by default.
    """

    def __init__(self, kernel: Any, T: np.ndarray, X: Any, alpha: float, chosen: np.ndarray | None = None) -> None:
        self.kernel = kernel
        self._like = X[:0] if is_torch(X) else None
        targets = np.asarray(X.toarray() if hasattr(X, "toarray") else as_numpy(X), dtype=np.float64)
        T = self._items(T)
        if chosen is None:
            self.centers = T
            K = np.array(as_numpy(kr.gram(kernel, T, progress=False)), dtype=np.float64)
            self.weights = ShiftedSystem(K, alpha).solve(targets)
            return
        self.centers = take(T, chosen)
        features = NystromFeatures(kernel, self.centers)
        second, first = features.moments(T, targets)
        self.weights = features.M @ ShiftedSystem(second, alpha).solve(first)

    def __call__(self, components: np.ndarray) -> np.ndarray:
        """The pre-image of each row, in blocks."""
        return KernelOperator(self.kernel, self._items(components), self.centers).times(self.weights)

    def _items(self, components: np.ndarray) -> Any:
        """Components in the library, on the device and in the dtype of X, if that is a tensor."""
        return components if self._like is None else self._like.new_tensor(components)
