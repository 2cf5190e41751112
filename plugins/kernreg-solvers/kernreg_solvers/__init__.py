"""Solvers that take any kernel, as scikit-learn estimators.

Importing this package imports neither scikit-learn nor scipy: each name is resolved when it is
first used.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .alignment import align
    from .auto_krr import AutoKernelRidge
    from .bridge_from import as_kernel
    from .bridge_gpytorch import as_gpytorch
    from .bridge_sklearn import as_sklearn_gp
    from .eigenpro2 import EigenPro2
    from .eigenpro3 import EigenPro3
    from .falkon import Falkon
    from .feature_ridge import FeatureRidge
    from .gp import GaussianProcessRegressor
    from .gp_classifier import GaussianProcessClassifier
    from .heuristics import median_heuristic, median_lengthscale
    from .hyperparameters import HyperParameters
    from .kernels import LinearKernel
    from .kmeans import KernelKMeans
    from .krr import KernelRidge
    from .krr_cg import KernelRidgeCG
    from .learning import AlignmentLearner, CrossValidationLearner, LikelihoodLearner
    from .learning_rate import LearningRate
    from .logistic import KernelLogisticClassifier
    from .logistic_falkon import LogisticFalkon
    from .mercer import MercerBasis, fourier_basis, mercer_coefficients, power_function, power_norm, sine_basis
    from .mixin import NotFittedError
    from .novelty import KernelNovelty
    from .one_class import OneClassClassifier
    from .pca import KernelPCA
    from .sparse_gp import SparseGaussianProcessRegressor
    from .spectral import SpectralClustering
    from .suggest import KernelSuggestion

__all__ = [
    "AlignmentLearner",
    "AutoKernelRidge",
    "CrossValidationLearner",
    "EigenPro2",
    "EigenPro3",
    "Falkon",
    "FeatureRidge",
    "GaussianProcessClassifier",
    "GaussianProcessRegressor",
    "HyperParameters",
    "KernelKMeans",
    "KernelLogisticClassifier",
    "KernelNovelty",
    "KernelPCA",
    "KernelRidge",
    "KernelRidgeCG",
    "KernelSuggestion",
    "LearningRate",
    "LikelihoodLearner",
    "LinearKernel",
    "LogisticFalkon",
    "MercerBasis",
    "NotFittedError",
    "OneClassClassifier",
    "SparseGaussianProcessRegressor",
    "SpectralClustering",
    "align",
    "as_gpytorch",
    "as_kernel",
    "as_sklearn_gp",
    "fourier_basis",
    "median_heuristic",
    "median_lengthscale",
    "mercer_coefficients",
    "power_function",
    "power_norm",
    "sine_basis",
]

_HOMES = {
    "AlignmentLearner": "learning",
    "AutoKernelRidge": "auto_krr",
    "CrossValidationLearner": "learning",
    "EigenPro2": "eigenpro2",
    "EigenPro3": "eigenpro3",
    "Falkon": "falkon",
    "FeatureRidge": "feature_ridge",
    "GaussianProcessClassifier": "gp_classifier",
    "GaussianProcessRegressor": "gp",
    "HyperParameters": "hyperparameters",
    "KernelKMeans": "kmeans",
    "KernelLogisticClassifier": "logistic",
    "KernelNovelty": "novelty",
    "KernelPCA": "pca",
    "KernelRidge": "krr",
    "KernelRidgeCG": "krr_cg",
    "KernelSuggestion": "suggest",
    "LearningRate": "learning_rate",
    "LikelihoodLearner": "learning",
    "LinearKernel": "kernels",
    "LogisticFalkon": "logistic_falkon",
    "MercerBasis": "mercer",
    "NotFittedError": "mixin",
    "OneClassClassifier": "one_class",
    "SparseGaussianProcessRegressor": "sparse_gp",
    "SpectralClustering": "spectral",
    "align": "alignment",
    "as_gpytorch": "bridge_gpytorch",
    "as_kernel": "bridge_from",
    "as_sklearn_gp": "bridge_sklearn",
    "fourier_basis": "mercer",
    "median_heuristic": "heuristics",
    "median_lengthscale": "heuristics",
    "mercer_coefficients": "mercer",
    "power_function": "mercer",
    "power_norm": "mercer",
    "sine_basis": "mercer",
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
