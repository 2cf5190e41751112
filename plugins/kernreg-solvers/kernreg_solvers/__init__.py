"""Solvers that take any kernel, as scikit-learn estimators.

Importing this package imports neither scikit-learn nor scipy: each name is resolved when it is
first used.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .kernels import LinearKernel
    from .krr import KernelRidge
    from .logistic import KernelLogisticClassifier
    from .mixin import NotFittedError
    from .pca import KernelPCA

__all__ = ["KernelLogisticClassifier", "KernelPCA", "KernelRidge", "LinearKernel", "NotFittedError"]

_HOMES = {
    "KernelLogisticClassifier": "logistic",
    "KernelPCA": "pca",
    "KernelRidge": "krr",
    "LinearKernel": "kernels",
    "NotFittedError": "mixin",
}

if not TYPE_CHECKING:

    def __getattr__(name):
        if name == "__version__":
            from kernreg_core._version import __version__

            return __version__
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(f".{_HOMES[name]}", __name__), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
