"""A kernel that works."""

import numpy as np


class Linear:
    """The linear kernel."""

    domain = "vectors"
    capabilities = frozenset({"symmetric", "psd"})

    def __call__(self, X, Y=None, /):
        """Gram matrix of inner products."""
        return np.asarray(X) @ np.asarray(X if Y is None else Y).T
