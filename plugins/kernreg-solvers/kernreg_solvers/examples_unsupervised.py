"""A small working example of each way to cluster or to score novelty, see ``Card.example``."""

from __future__ import annotations

import numpy as np

from .kmeans import KernelKMeans
from .novelty import KernelNovelty
from .one_class import OneClassClassifier
from .spectral import SpectralClustering


def kernel_kmeans() -> tuple[KernelKMeans, np.ndarray]:
    """Kernel k-means, with points in three groups.

    Examples
    --------
    >>> model, X = kernel_kmeans()
    >>> np.bincount(model.fit(X).labels_).tolist()
    [10, 10, 10]
    """
    return KernelKMeans(n_clusters=3), _groups()


def spectral_clustering() -> tuple[SpectralClustering, np.ndarray]:
    """Spectral clustering, with points in three groups.

    Examples
    --------
    >>> model, X = spectral_clustering()
    >>> np.bincount(model.fit(X).labels_).tolist()
    [10, 10, 10]
    """
    return SpectralClustering(n_clusters=3), _groups()


def one_class() -> tuple[OneClassClassifier, np.ndarray]:
    """A one-class support vector machine, with points to fit it to.

    Examples
    --------
    >>> model, X = one_class()
    >>> bool((model.fit(X).predict(X) == -1).mean() <= 0.2)
    True
    """
    return OneClassClassifier(nu=0.2), _groups()


def novelty() -> tuple[KernelNovelty, np.ndarray]:
    """A novelty score, with points to fit it to.

    Examples
    --------
    >>> model, X = novelty()
    >>> float((model.fit(X).predict(X) == -1).mean())
    0.1
    """
    return KernelNovelty(criterion="power", alpha=1.0), _groups()


def _groups() -> np.ndarray:
    """Ten points around each of three orthogonal directions."""
    rng = np.random.default_rng(0)
    return np.repeat(4.0 * np.eye(3), 10, axis=0) + 0.5 * rng.standard_normal((30, 3))
