"""What classifiers by logits share: classes and their weights, probabilities, predictions."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, softmax
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets

from kernreg_core.errors import InputError, ParameterError

from .krr import checked_weights


class LogitMixin:
    """For estimators with the parameter class_weight and a ``decision_function`` that gives logits."""

    class_weight: Any
    classes_: np.ndarray

    def decision_function(self, X: Any) -> np.ndarray:
        """Logits: of the second class, shape (n,), or of each class, shape (n, n_classes)."""
        raise NotImplementedError

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each class, in the order of ``classes_``, shape (n, n_classes)."""
        logits = self.decision_function(X)
        if logits.ndim == 2:
            return np.asarray(softmax(logits, axis=1))
        return np.column_stack([expit(-logits), expit(logits)])

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithm of ``predict_proba``, exact where a probability underflows."""
        logits = self.decision_function(X)
        if logits.ndim == 2:
            return np.asarray(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
        return np.column_stack([-np.logaddexp(0.0, logits), -np.logaddexp(0.0, -logits)])

    def predict(self, X: Any) -> np.ndarray:
        """The most probable class of each item, shape (n,)."""
        logits = self.decision_function(X)
        codes = (logits > 0).astype(int) if logits.ndim == 1 else logits.argmax(axis=1)
        return np.asarray(self.classes_[codes])

    def _fit_classes(self, y: Any, sample_weight: Any) -> tuple[np.ndarray, np.ndarray]:
        """Codes of the classes, and weights of the samples, their classes' included; sets ``classes_``."""
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise InputError(
                f"y: expected at least 2 classes, got 1 class, {self.classes_.tolist()[0]!r}: there is nothing to tell "
                "apart"
            )
        given = checked_weights(sample_weight, len(codes))
        weights = np.ones(len(codes)) if given is None else given.copy()
        totals = np.bincount(codes, weights, minlength=len(self.classes_))
        if isinstance(self.class_weight, str) and self.class_weight == "balanced":
            with np.errstate(divide="ignore"):
                factors = totals.sum() / (len(self.classes_) * totals)
        else:
            try:
                factors = compute_class_weight(self.class_weight, classes=self.classes_, y=self.classes_[codes])
            except (ValueError, TypeError) as error:
                raise ParameterError(f"class_weight: {error}") from error
            if not np.isfinite(factors).all() or (factors < 0).any():
                raise ParameterError(f"class_weight: expected finite numbers at least 0, got {self.class_weight!r}")
        empty = self.classes_[(totals <= 0) | (factors <= 0)]
        if len(empty):
            raise InputError(
                f"sample_weight: the class {empty.tolist()[0]!r} has zero total weight, so that its probability has no "
                "optimum: leave its samples out, or give one of them a weight"
            )
        return codes, np.asarray(weights * factors[codes])
