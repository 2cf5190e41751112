"""Features of composites: side by side for a sum, tensor products for a product; whether they are exact or random."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np

from ._parts import capabilities_of, split_parts
from .arrays import is_sparse, is_torch
from .errors import InputError, ParameterError
from .params import Parametrized, entropy

#: A product's features are withheld above this many columns.
MAX_FEATURES = 65_536


def feature_capability(parts: list[Any]) -> set[str]:
    """The capability that features joined from those of `parts` have: exact, random or none."""
    declared = [capabilities_of(part) & {"features", "random_features"} for part in parts]
    if not all(declared):
        return set()
    return {"features"} if all("features" in found for found in declared) else {"random_features"}


def are_independent(parts: list[Any]) -> bool:
    """Whether no two of `parts` draw their random features from one source."""
    found = [source for part in parts for source in _sources(part)]
    return len(found) == len(set(found))


def _sources(part: Any) -> set[Any]:
    """What the random features of `part` are drawn from: the entropies of the objects that draw."""
    if "random_features" not in capabilities_of(part):
        return set()
    if callable(getattr(part, "parts", None)):
        return set().union(*map(_sources, part.parts()))
    if isinstance(part, Parametrized) and "rng" in part.get_params(deep=False):
        try:
            return {("entropy", entropy(part))}
        except ParameterError:  # an rng that is none: the features themselves will say so
            pass
    rng = getattr(part, "rng", None)
    return {("entropy", int(rng)) if isinstance(rng, (int, np.integer)) else ("object", id(part))}


def all_features(parts: list[Any], X: Any, basis: Any) -> list[Any]:
    left = split_parts(X, len(parts))
    right = (None,) * len(parts) if basis is None else split_parts(basis, len(parts))
    return [
        part.features(x) if b is None else part.features(x, basis=b)
        for part, x, b in zip(parts, left, right, strict=True)
    ]


def side_by_side(blocks: list[Any]) -> Any:
    if is_torch(blocks[0]):
        return sys.modules["torch"].cat(blocks, dim=1)
    if any(map(is_sparse, blocks)):
        from scipy import sparse

        return sparse.hstack([sparse.csr_array(block) for block in blocks], format="csr")
    return np.hstack(blocks)


def tensor_product(blocks: list[Any]) -> Any:
    """Row by row the Kronecker product of the blocks' rows, shape (n, D1 D2 ...)."""
    columns = math.prod(int(block.shape[1]) for block in blocks)
    if columns > MAX_FEATURES:
        raise InputError(
            f"features: the tensor product of {' x '.join(str(block.shape[1]) for block in blocks)} features has "
            f"{columns:,} columns, more than {MAX_FEATURES:,}: use the Gram matrix, or random features"
        )
    found = blocks[0]
    for block in blocks[1:]:
        if is_sparse(found) or is_sparse(block):
            found = _sparse_row_kronecker(found, block)
        else:
            found = (found[:, :, None] * block[:, None, :]).reshape(found.shape[0], -1)
    return found


def _sparse_row_kronecker(A: Any, B: Any) -> Any:
    """Each row of the result is the Kronecker product of that row of `A` and of `B`."""
    from scipy import sparse

    A, B = sparse.csr_array(A), sparse.csr_array(B)
    count_a, count_b = np.diff(A.indptr), np.diff(B.indptr)
    # every stored value of A's row meets every stored value of B's row
    row_of_a = np.repeat(np.arange(A.shape[0]), count_a)
    repeats = count_b[row_of_a]
    indptr = np.concatenate([[0], np.cumsum(count_a * count_b)])
    starts = np.repeat(B.indptr[row_of_a], repeats)
    offsets = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    of_b = starts + offsets
    indices = np.repeat(A.indices, repeats).astype(np.int64) * B.shape[1] + B.indices[of_b]
    return sparse.csr_array(
        (np.repeat(A.data, repeats) * B.data[of_b], indices, indptr), (A.shape[0], A.shape[1] * B.shape[1])
    )
