"""Cards of clustering and novelty: the standard library and the core only."""

from __future__ import annotations

from kernreg_core import Card, Claim, Reference

_KERNEL = "None (linear), a kernel object, any callable (X, Y) -> matrix, an entry's name, or 'precomputed'"
_CENTERS = {
    "n_centers": "centres of 'nystrom'; 10 sqrt(n_samples) by default",
    "centers": "the centres themselves",
    "selector": "how they are picked: a selector, an entry's name, or None (uniformly)",
    "memory_budget": "bytes that a Gram matrix may take; four fifths of what is available by default",
}

#: Kernel PCA on centres; its card stands in cards.py.
STERGE = Reference(
    title="Gain with no Pain: Efficiency of Kernel-PCA by Nyström Sampling",
    authors=("Nicholas Sterge", "Bharath Sriperumbudur", "Lorenzo Rosasco", "Alessandro Rudi"),
    year=2020,
    venue="International Conference on Artificial Intelligence and Statistics",
    arxiv="1907.05226",
)
_DHILLON = Reference(
    title="Kernel k-means, Spectral Clustering and Normalized Cuts",
    authors=("Inderjit Dhillon", "Yuqiang Guan", "Brian Kulis"),
    year=2004,
    venue="ACM SIGKDD International Conference on Knowledge Discovery and Data Mining",
    doi="10.1145/1014052.1014118",
)
_GIROLAMI = Reference(
    title="Mercer kernel-based clustering in feature space",
    authors=("Mark Girolami",),
    year=2002,
    venue="IEEE Transactions on Neural Networks 13",
    doi="10.1109/TNN.2002.1000150",
)
_NG = Reference(
    title="On Spectral Clustering: Analysis and an algorithm",
    authors=("Andrew Ng", "Michael Jordan", "Yair Weiss"),
    year=2001,
    venue="Advances in Neural Information Processing Systems 14",
)
_SHI = Reference(
    title="Normalized cuts and image segmentation",
    authors=("Jianbo Shi", "Jitendra Malik"),
    year=2000,
    venue="IEEE Transactions on Pattern Analysis and Machine Intelligence 22",
    doi="10.1109/34.868688",
)
_SUPPORT = Reference(
    title="Estimating the Support of a High-Dimensional Distribution",
    authors=("Bernhard Schölkopf", "John Platt", "John Shawe-Taylor", "Alexander Smola", "Robert Williamson"),
    year=2001,
    venue="Neural Computation 13",
    doi="10.1162/089976601750264965",
)
_HOFFMANN = Reference(
    title="Kernel PCA for novelty detection",
    authors=("Heiko Hoffmann",),
    year=2007,
    venue="Pattern Recognition 40",
    doi="10.1016/j.patcog.2006.07.009",
)


def _claim(paper: Reference, statement: str, measure: str, direction: str, threshold: float, cost: float) -> Claim:
    return Claim(
        paper=paper,
        statement=statement,
        measure=f"kernreg_solvers.claims_unsupervised:{measure}",
        direction=direction,
        threshold=threshold,
        cost=cost,
    )


CENTRES_CLAIM = _claim(
    STERGE,
    "With 300 of 1400 items as centres the reconstruction error is at most 1.5 % above that of exact kernel PCA.",
    "centres_suffice", "<=", 1.015, 2.0,
)  # fmt: skip

CARDS: list[Card] = [
    Card(
        name="solver.kernel_kmeans",
        kind="solver",
        summary="Kernel k-means: Lloyd's iteration in the space of a kernel, by its matrix, by products or on centres.",
        tags=frozenset({"clustering"}),
        references=(_DHILLON, _GIROLAMI),
        claims=(
            _claim(
                _DHILLON,
                "With the degrees as weights the objective is the normalised cut of the graph, up to a constant.",
                "objective_is_normalised_cut", "<=", 1e-9, 0.5,
            ),
            _claim(
                _DHILLON,
                "It refines a partition: from spectral clusters of which a fifth was moved it ends within 2 % of the "
                "spectral cut.",
                "refinement", "<=", 1.02, 0.5,
            ),
        ),
        aliases=("kernel k-means", "KernelKMeans", "weighted kernel k-means"),
        parameters={
            "n_clusters": "clusters",
            "kernel": _KERNEL,
            "init": "'k-means++', 'random' or first labels",
            "n_init": "runs of which the best is kept",
            "max_iter": "steps of one run",
            "tol": "relative fall of the objective at which a run stops",
            "method": "'auto', 'exact', 'matvec' or 'nystrom'",
            **_CENTERS,
            "random_state": "draws seeds and centres",
        },
        example="kernreg_solvers.examples_unsupervised:kernel_kmeans",
    ),
    Card(
        name="solver.spectral_clustering",
        kind="solver",
        summary="Spectral clustering with any similarity: normalised cuts by eigenvectors, new items by extension.",
        tags=frozenset({"clustering"}),
        references=(_NG, _SHI),
        claims=(
            _claim(
                _NG,
                "It finds two rings and two moons, which k-means does not: adjusted Rand index at least 0.98 in every "
                "draw.",
                "spectral_rings", ">=", 0.98, 3.0,
            ),
        ),
        aliases=("spectral clustering", "SpectralClustering", "normalized cuts", "NJW"),
        parameters={
            "n_clusters": "clusters",
            "kernel": _KERNEL,
            "n_components": "eigenvectors; n_clusters by default",
            "normalisation": "'symmetric' (rows of length 1) or 'random_walk'",
            "assign_labels": "'kmeans' or 'cluster_qr'",
            "negative": "'clip' or 'refuse' negative similarities",
            "method": "'auto', 'exact', 'matvec' or 'nystrom'",
            **_CENTERS,
            "tol": "residual of the eigenvectors",
            "max_iter": "products with the matrix at most",
            "random_state": "draws the start, centres, and the starts of k-means",
        },
        example="kernreg_solvers.examples_unsupervised:spectral_clustering",
    ),
    Card(
        name="solver.one_class",
        kind="solver",
        summary="The one-class support vector machine on items of any domain, through libsvm.",
        tags=frozenset({"novelty"}),
        references=(_SUPPORT,),
        claims=(
            _claim(
                _SUPPORT,
                "nu bounds the fraction of outliers from above and that of support vectors from below.",
                "nu_property", "<=", 1e-3, 1.0,
            ),
        ),
        aliases=("one-class SVM", "OneClassSVM", "OneClassClassifier", "support estimation"),
        parameters={
            "kernel": _KERNEL,
            "nu": "bound on the fraction of outliers, above 0 and below 1",
            "tol": "violation of the optimality conditions at which libsvm stops",
            "shrinking": "whether libsvm leaves variables out that seem to stay",
            "cache_size": "MB of libsvm's cache",
            "max_iter": "iterations at most, or -1",
        },
        example="kernreg_solvers.examples_unsupervised:one_class",
    ),
    Card(
        name="solver.novelty",
        kind="solver",
        summary="Novelty scores: kernel PCA's reconstruction error, power function, Mahalanobis, distance to the mean.",
        tags=frozenset({"novelty"}),
        references=(_HOFFMANN,),
        claims=(
            _claim(
                _HOFFMANN,
                "The reconstruction error tells novel digits apart better than PCA's and than a Parzen window.",
                "reconstruction_error", "<=", 0.97, 4.0,
            ),
        ),
        aliases=("kernel PCA novelty", "novelty detection", "KernelNovelty", "outlier detection"),
        parameters={
            "kernel": "None (linear), a kernel object, any callable (X, Y) -> matrix, or an entry's name",
            "criterion": "'reconstruction', 'power', 'mahalanobis' or 'mean'",
            "n_components": "principal components of 'reconstruction'",
            "alpha": "ridge of 'power' and 'mahalanobis'",
            "contamination": "fraction of the training items that predict calls outliers",
            "method": "'auto', 'exact' or 'nystrom'",
            **_CENTERS,
            "random_state": "draws centres and starts",
        },
        example="kernreg_solvers.examples_unsupervised:novelty",
    ),
]  # fmt: skip

#: Checks of the conformance kit that are known to fail, each with its reason.
EXPECTED_FAILURES = {
    name: dict.fromkeys(
        (
            "sklearn_check_sample_weight_equivalence_on_dense_data",
            "sklearn_check_sample_weight_equivalence_on_sparse_data",
        ),
        reason,
    )
    for name, reason in {
        "solver.kernel_kmeans": "seeds are drawn, and other rows draw others; from the same first labels weights equal "
        "repetition, as test_kmeans.py shows",
        "solver.one_class": "libsvm stops at tol, 1e-3 by default, and the check compares to 1e-7; at a small tol "
        "weights equal repetition, as test_one_class.py shows",
    }.items()
}
