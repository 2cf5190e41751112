"""Hypothesis strategies of the core's own domains: items like those of an example.

Values span the range of the example, so that what an entry cannot take (negative histograms) is not
drawn; zeros, duplicates and single items are.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .items import in_kind, values


def vectors(X: Any) -> Any:
    """1 to 8 rows with the columns of `X`, within its range, in its library and dtype; a row may repeat."""
    from hypothesis import strategies as st

    plain = values(X)
    rows = st.lists(_numbers(plain, plain.shape[1:]), min_size=1, max_size=6)

    @st.composite
    def draw(draw: Any) -> Any:
        chosen = draw(rows)
        again = draw(st.lists(st.sampled_from(range(len(chosen))), max_size=2))
        return in_kind(np.stack([*chosen, *(chosen[i] for i in again)]), X)

    return draw()


def _numbers(X: np.ndarray, shape: tuple[int, ...]) -> Any:
    """Arrays of that shape, with values on a grid over the range of `X`, and 0 where it is in it."""
    from hypothesis import strategies as st

    # 1/64 of the range apart: what differs differs visibly, and Hypothesis shrinks to readable numbers
    grid = np.linspace(float(X.min()), float(X.max()), 65)
    if grid[0] <= 0.0 <= grid[-1]:
        grid = np.concatenate([[0.0], grid])
    size = int(np.prod(shape))
    steps = st.lists(st.integers(0, len(grid) - 1), min_size=size, max_size=size)
    return steps.map(lambda s: grid[s].reshape(shape))


def sequences(X: Any) -> Any:
    """Strings over the symbols of `X`, or lists of them."""
    from hypothesis import strategies as st

    symbols = sorted({symbol for item in X for symbol in item})
    item: Any = st.lists(st.sampled_from(symbols), min_size=1, max_size=8)
    if isinstance(X[0], str):
        item = item.map("".join)
    return st.lists(item, min_size=1, max_size=6)


def sets(X: Any) -> Any:
    """Sets of 1 to 5 points with the columns of `X`."""
    from hypothesis import strategies as st

    like = np.concatenate([np.asarray(item) for item in X])
    points = st.lists(_numbers(like, like.shape[1:]), min_size=1, max_size=5)
    return st.lists(points.map(np.stack), min_size=1, max_size=5)


#: Domain -> function from an example's items to a strategy.
BY_DOMAIN = {"vectors": vectors, "images": vectors, "paths": vectors, "sequences": sequences, "sets": sets}
