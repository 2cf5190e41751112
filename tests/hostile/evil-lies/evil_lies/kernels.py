"""Kernels that are less than their cards say."""


class Boasts:
    """Has neither diag nor features, and declares nothing."""

    domain = "vectors"

    def __call__(self, X, Y=None, /):
        """Gram matrix."""
        return X @ (X if Y is None else Y).T


class Differs(Boasts):
    """Declares less than its card."""

    capabilities = frozenset({"symmetric"})


class Hollow(Boasts):
    """Declares what it has no method for."""

    capabilities = frozenset({"matvec"})
