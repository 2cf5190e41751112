"""The unit in which a Gaussian process regressor counts its targets."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernreg_core.errors import ParameterError

from .gp_exact import draw

#: Deviations below this, relative to the largest target, are rounding: such targets are constant.
_CONSTANT = 10.0 * float(np.finfo(np.float64).eps)


class ScaledTargets:
    """What regressors with ``normalize_y`` share: targets in deviations from their mean, and back again.

    ``dual_coef_`` and ``mean_`` are in units of y, so that means need nothing; ``kernel_`` and ``noise_`` count in
    deviations of y, so that what comes of them is multiplied by ``y_std_``.
    """

    normalize_y: bool
    dual_coef_: np.ndarray
    y_mean_: Any
    y_std_: Any

    def _scale(self, Y: np.ndarray, weights: np.ndarray | None, mean: Any, single: bool) -> tuple[np.ndarray, Any]:
        """Targets (n, t), and the mean, in the unit of the fit; sets ``y_mean_`` and ``y_std_``."""
        if not isinstance(self.normalize_y, (bool, np.bool_)):
            raise ParameterError(f"normalize_y: expected True or False, got {self.normalize_y!r}")
        centre, unit = np.zeros(Y.shape[1]), np.ones(Y.shape[1])
        if self.normalize_y:
            centre = np.average(Y, axis=0, weights=weights)
            unit = np.sqrt(np.average(np.square(Y - centre), axis=0, weights=weights))
            unit[unit <= _CONSTANT * np.abs(Y).max(axis=0)] = 1.0
        self.y_mean_ = float(centre[0]) if single else centre
        self.y_std_ = float(unit[0]) if single else unit
        return self._in_units(Y), self._mean_in_units(mean)

    def _in_units(self, Y: np.ndarray) -> np.ndarray:
        return (Y - self.y_mean_) / self.y_std_ if self.normalize_y else Y

    def _mean_in_units(self, mean: Any) -> Any:
        """`mean` in the unit of the fit: a number given counts in that of y, "zero" is the mean of y."""
        if not self.normalize_y or mean is None or isinstance(getattr(self, "mean", None), str):
            return mean
        return (mean - np.atleast_1d(self.y_mean_)) / self.y_std_

    def _keep_coefficients(self, coef: np.ndarray, mean: np.ndarray, single: bool) -> None:
        """``dual_coef_`` and ``mean_``, in units of y."""
        coef, mean = coef * self.y_std_, mean * self.y_std_ + self.y_mean_
        self.mean_: Any = float(mean[0]) if single else mean
        self.dual_coef_ = coef.ravel() if single else coef

    def _drawn(self, mean: np.ndarray, covariance: np.ndarray, n_samples: int, random_state: Any) -> np.ndarray:
        """Samples of the posterior from its means and the covariance in the unit of the fit."""
        columns = mean.reshape(len(mean), -1)
        unit = np.reshape(self.y_std_, (-1, 1))
        drawn = draw(np.zeros_like(columns), covariance, n_samples, random_state) * unit + columns[..., None]
        return np.asarray(drawn[:, 0] if mean.ndim == 1 else drawn)

    def _for_targets(self, found: np.ndarray, power: int = 1) -> np.ndarray:
        """`found`, ours to overwrite, in units of y to `power`; for each target where y has columns."""
        if self.dual_coef_.ndim > 1:
            return np.asarray(found[..., None] * self.y_std_**power)
        if self.normalize_y:
            found *= self.y_std_**power
        return found
