"""Models on centres, f(x) = sum_j a_j k(x, z_j): how centres are chosen, items checked, predictions made in blocks.

For solvers of many rows: no copy of the items is made or kept, and float32 stays float32.
"""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

import kernreg_core as kr
from kernreg_core.arrays import describe, is_prepared, is_sparse, is_torch
from kernreg_core.errors import InputError, ParameterError

from .mixin import KernelMixin, _own_copy, as_numpy, count
from .nystrom_features import all_finite
from .operator import KernelOperator, is_float32
from .resolve import create, is_precomputed, probe

#: Centres by default: this many times the root of the number of items, and no more than MOST.
PER_ROOT, MOST = 10, 4000


class CentersMixin(KernelMixin):
    """What estimators with the parameters kernel, n_centers, centers, selector and random_state share.

    ``fit`` leaves ``centers_`` (items), ``center_indices_`` (their rows in X, None where they were given) and
    ``n_centers_``.
    """

    n_centers: int | None
    centers: Any
    selector: Any
    random_state: Any
    centers_: Any
    _keeps = (np.float64, np.float32)

    def _fit_rows(self, X: Any, y: Any, **y_options: Any) -> tuple[Any, Any]:
        """`X` and `y` checked, the kernel resolved and, where it has to be, fitted; sets ``kernel_``."""
        if is_precomputed(self.kernel):
            raise ParameterError(
                f"kernel: {type(self).__name__} evaluates the kernel between items and centres, so it takes no "
                "'precomputed' matrix: pass the kernel itself, or use KernelRidge"
            )
        X, y = self._fit_data(X, y, **y_options)
        if "fitted" in kr.capabilities(self.kernel_):
            self.kernel_.fit(X, y)
        probe(self.kernel_, X)
        return X, y

    def _choose_centers(self, X: Any) -> Any:
        """The centres Z, in X's library; sets ``centers_``, ``center_indices_`` and ``n_centers_``."""
        if self.centers is not None:
            self.center_indices_ = None
            self.centers_ = self._given_centers(X)
        else:
            self.center_indices_ = np.asarray(self._selected(X, self._count_centers(count(X))))
            self.centers_ = take(X, self.center_indices_)
        self.n_centers_ = count(self.centers_)
        return self.centers_

    def _count_centers(self, n: int) -> int:
        wanted = self.n_centers
        if wanted is None:
            return min(n, MOST, math.ceil(PER_ROOT * math.sqrt(n)))
        if isinstance(wanted, bool) or not isinstance(wanted, numbers.Integral) or wanted < 1:
            raise ParameterError(f"n_centers: expected a whole number at least 1, or None, got {wanted!r}")
        return min(int(wanted), n)

    def _given_centers(self, X: Any) -> Any:
        """A copy of `centers`, checked, as X is."""
        given = self.centers
        if self._layout_fit == "items":
            if not hasattr(given, "__len__") or isinstance(given, str) or not count(given):
                raise ParameterError(f"centers: expected items as in X, at least one, got {describe(given)}")
            return _own_copy(given)
        try:
            if is_torch(X):
                Z = given.detach().to(X).clone() if is_torch(given) else X.new_tensor(np.asarray(given))
            elif is_sparse(given) and is_sparse(X):
                Z = given.tocsr().astype(X.dtype)
            else:
                given = given.toarray() if is_sparse(given) else as_numpy(given)
                Z = np.array(given, dtype=X.dtype, order="C")
        except (TypeError, ValueError):
            Z = None
        if Z is None or Z.ndim != 2 or Z.shape[1] != X.shape[1] or not Z.shape[0]:
            raise ParameterError(f"centers: expected items of {X.shape[1]} features as in X, got {describe(given)}")
        if not np.isfinite(as_numpy(Z.data if is_sparse(Z) else Z)).all():
            raise ParameterError(f"centers: expected finite numbers, got NaN or infinity in {describe(given)}")
        return Z

    def _selected(self, X: Any, m: int) -> Any:
        random_state = check_random_state(self.random_state)
        if self.selector is None:
            return np.sort(random_state.choice(count(X), m, replace=False))
        selector = self._resolved_selector(random_state)
        found = np.asarray(selector.select(X, m))
        if found.ndim != 1 or found.dtype.kind not in "iu" or len(found) < 1:
            raise InputError(f"selector: expected integer indices from {selector!r}, got {describe(found)}")
        if found.min() < 0 or found.max() >= count(X):
            raise InputError(
                f"selector: expected indices of the {count(X)} items from {selector!r}, got {found.min()} to "
                f"{found.max()}"
            )
        return found

    def _resolved_selector(self, random_state: np.random.RandomState) -> Any:
        """A fresh selector, seeded by ``random_state`` and with this model's kernel where it has none of its own."""
        selector = create(self.selector, "selector") if isinstance(self.selector, str) else kr.clone(self.selector)
        if isinstance(selector, type) or not callable(getattr(selector, "select", None)):
            raise ParameterError(
                "selector: expected a selector with select(X, n), an entry's name or None (uniform choice), got "
                f"{describe(self.selector)}"
            )
        params = selector.get_params(deep=False) if hasattr(selector, "get_params") else {}
        ours: dict[str, Any] = {"rng": int(random_state.randint(2**31 - 1)), "kernel": self.kernel_}
        missing = {name: value for name, value in ours.items() if name in params and params[name] is None}
        return selector.set_params(**missing) if missing else selector

    def _operator(self, X: Any) -> KernelOperator:
        """k(X, centers_); in float64 where the centres are, be the items in float32."""
        return KernelOperator(self.kernel_, X, self.centers_, in_float64=not is_float32(self.centers_))

    def _on_centers(self, X: Any, V: np.ndarray) -> np.ndarray:
        """k(X, centers_) V of new items, checked, in blocks."""
        return all_finite(self._operator(self._new_data(X)).times(V), self.kernel_)


def take(X: Any, index: np.ndarray) -> Any:
    """The items of those indices, copied, in X's library."""
    if is_torch(X):
        return X[X.new_tensor(index, dtype=_long(X))]
    if isinstance(X, np.ndarray):
        return np.ascontiguousarray(X[index])
    if is_sparse(X):
        return X.tocsr()[index]
    if hasattr(X, "iloc"):
        return X.iloc[index]
    if is_prepared(X):
        raise InputError(
            "X: expected items, got what prepare gave, from which no centres can be picked: pass the items"
        )
    return [X[int(i)] for i in index]


def _long(X: Any) -> Any:
    import sys

    return sys.modules["torch"].long
