"""What the tests of Falkon and logistic Falkon share."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernreg_solvers.falkon_span import ItemRows, Moments, Span
from kernreg_solvers.operator import KernelOperator

NOT_KEPT = 0  #: a budget in which no kernel value is kept


def span_of(kernel: Any, X: np.ndarray, Z: np.ndarray) -> tuple[Span, KernelOperator, np.ndarray]:
    """The span, k(X, Z), and the rows phi as a matrix (n, m)."""
    span = Span(kernel, Z)
    return span, KernelOperator(kernel, X, Z), np.linalg.solve(span.L, kernel(Z, X)).T


def moments_of(span: Span, operator: KernelOperator, n: int, weights: np.ndarray | None = None) -> Moments:
    """Those of all rows."""
    return Moments(span.size).add(ItemRows(span, operator, range(n)), weights)
