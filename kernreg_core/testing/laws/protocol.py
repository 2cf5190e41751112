"""What every kernel keeps: k(X, Y) is an (n, m) matrix of values, each a function of its two items."""

from __future__ import annotations

from typing import Any

from .._checks import law
from .._subject import Subject
from ..items import length, values


@law(generated=True)
def gram_shape(subject: Subject, X: Any) -> None:
    """k(X) has shape (n, n), with two more axes where the values are matrices."""
    K = subject.make()(X)
    n = length(X)
    rank = 4 if "matrix_valued" in subject.capabilities else 2
    assert values(K).shape[:2] == (n, n), f"k(X) of {n} items has shape {values(K).shape}"
    assert values(K).ndim == rank, f"k(X) has {values(K).ndim} axes, expected {rank}"
