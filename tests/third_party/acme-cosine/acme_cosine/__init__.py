"""The least that a third party writes: a class with ``__call__``, and one line in pyproject.toml."""

import numpy as np


class Cosine:
    """Cosine of the angle between two vectors, ``x.y / (|x| |y|)``."""

    domain = "vectors"
    capabilities = frozenset({"symmetric", "psd", "normalized"})

    def __call__(self, X, Y=None, /):
        """Gram matrix of the rows of `X` and `Y`."""
        rows = X / np.linalg.norm(X, axis=1, keepdims=True)
        columns = rows if Y is None else Y / np.linalg.norm(Y, axis=1, keepdims=True)
        return rows @ columns.T
