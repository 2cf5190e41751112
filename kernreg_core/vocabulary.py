"""The closed vocabularies, each word with its meaning, and the grammar of a name. Standard library only."""

from __future__ import annotations

import re
from functools import lru_cache

from .errors import ParameterError

KINDS = {
    "kernel": "a function k(x, y) of two items, evaluated pairwise",
    "sampler": "makes points, or (a selector) picks items from candidates",
    "solver": "turns data and a kernel into an answer: a scikit-learn estimator",
}

DOMAINS = {
    "vectors": "rows of an (n, d) array",
    "images": "an (n, C, H, W) array",
    "paths": "an (n, T, d) array, or a list of (T_i, d) arrays",
    "sequences": "strings or lists of symbols",
    "tokens": "vectors with a position, as attention sees them",
    "sets": "sets of vectors",
    "graphs": "NetworkX graphs",
    "nodes": "nodes of one graph, bound when the kernel is made",
    "complexes": "cell complexes",
    "meshes": "surface meshes",
    "distributions": "probability distributions",
    "fields": "functions on a spatial domain",
    "group_elements": "elements of a group",
    "functions": "functions, given by their values",
}

CAPABILITIES = {
    "symmetric": "k(X) equals its transpose",
    "psd": "positive semi-definite",
    "cpd": "conditionally positive definite",
    "normalized": "k(x, x) = 1",
    "complex": "Hermitian values",
    "stationary": "depends on x - y only",
    "prepare": "prepare(X): work shared across pairs, done once",
    "diag": "diag(X): the diagonal without the matrix",
    "features": "features(X): k(X, Y) = features(X) features(Y)^H",
    "random_features": "features(X) estimate k",
    "matvec": "matvec(X, V, Y): k(X, Y) V without the matrix",
    "solve": "solve(X, b, noise) and logdet by structure",
    "gradients": "grad_x, grad_y, grad_xy",
    "differentiable": "torch autograd through k(X, Y)",
    "trainable": "parameters() with gradients",
    "matrix_valued": "values are (p, q) matrices",
    "asymmetric": "X and Y have different roles",
    "stochastic": "values vary with shots or rng",
    "fitted": "fit(X, y) before use",
    "gram_map": "from_gram: acts on Gram matrices",
    "operator": "layer(...): acts as a torch module",
}

TAGS = {
    "radial": "depends on the distance |x - y|",
    "dot_product": "depends on the inner product",
    "spectral": "defined through a spectral density",
    "histogram": "for non-negative, histogram-like vectors",
    "neural": "from the theory of neural networks",
    "quantum": "computed by a quantum circuit",
    "attention": "used as attention",
    "quasi_monte_carlo": "low-discrepancy points",
    "composite": "made of other kernels",
    "regression": "predicts numbers",
    "classification": "predicts classes",
    "decomposition": "finds components",
    "clustering": "groups items",
    "novelty": "says how unlike the others an item is",
    "large_scale": "made for more rows than a Gram matrix allows",
    "gaussian_process": "a Gaussian process model",
    "quadrature": "integrates functions",
    "selector": "picks items from candidates",
    "test": "a statistical test: fit(X, Y) leaves statistic_ and pvalue_",
    "diagnostic": "measures a property of data or a kernel",
}

_PART = r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*"
_NAME = re.compile(rf"({_PART})\.({_PART})")

#: The distribution that each first-party family of names comes from, whatever the kind.
FAMILIES = {
    "core": "kernreg-core",
    "euclidean": "kernreg-euclidean",
    "solver": "kernreg-solvers",
    "quantum": "kernreg-quantum",
    "graph": "kernreg-graph",
    "neural": "kernreg-neural",
    "attention": "kernreg-attention",
    "qmc": "kernreg-qmc",
    "stats": "kernreg-stats",
    "conv": "kernreg-conv",
    "fields": "kernreg-fields",
    "representation": "kernreg-representation",
}


@lru_cache(4096)  # each name is read twice: in its entry point and on its card
def is_name(name: str) -> re.Match[str] | None:
    """Whether `name` has the form ``family.name``: a match with the two parts, or None."""
    return _NAME.fullmatch(name)


def parse_name(name: object) -> tuple[str, str]:
    """(family, short name) of an entry's name; the inverse of :func:`format_name`.

    Raises
    ------
    ParameterError
        If `name` is not of the form ``family.name``.

    Examples
    --------
    >>> parse_name("graph.weisfeiler_lehman")
    ('graph', 'weisfeiler_lehman')
    """
    match = is_name(name) if isinstance(name, str) else None
    if match is None:
        raise ParameterError(
            f"name: expected 'family.name' in lower case, digits and underscores, such as 'euclidean.rbf', got {name!r}"
        )
    return match[1], match[2]


def format_name(family: str, short: str) -> str:
    """The name ``family.short``; the inverse of :func:`parse_name`.

    Examples
    --------
    >>> format_name("graph", "weisfeiler_lehman")
    'graph.weisfeiler_lehman'
    """
    name = f"{family}.{short}"
    parse_name(name)
    return name
