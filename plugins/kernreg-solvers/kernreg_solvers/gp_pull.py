"""Gradients of sums over Gram matrices by a kernel's parameters: torch's autograd, or central differences.

torch is imported here only where autograd is to be used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

import kernreg_core as kr
from kernreg_core._parts import diagonal
from kernreg_core.arrays import is_torch, length
from kernreg_core.errors import MissingDependencyError, ParameterError
from kernreg_core.threads import num_threads

from .gp_terms import Term, for_terms, terms_of

if TYPE_CHECKING:
    from .gp_parameters import Parameter
    from .hyperparameters import HyperParameters

#: "auto" takes differences where they cost at most so many Gram matrices: two for each number, of the terms that hold
#: it. Autograd on a CPU costs about ten (measured at n = 500 and 2,000), and four times their memory.
CHEAP = 6.0
#: Steps in log p: rounding of the kernel over the step, and the step's square, are then alike small.
STEP, STEP_SINGLE = 1e-4, 1e-2
#: Entries of a block that autograd works on at a time.
_BLOCK = 1 << 20
#: Rows of the squares whose diagonal is taken of a kernel that has no ``diag``.
_SQUARE = 64
#: Entries below which torch works on one thread: several wait for each other, the more so on a busy machine.
_SMALL = 1 << 18
#: Bytes of the Gram matrices of terms that nothing moves, which are kept between evaluations.
_KEPT = 1 << 28
#: Points at which autograd is compared with differences before it is trusted.
_PROBE = 6
_FAILURES = (TypeError, ValueError, RuntimeError, AttributeError, NotImplementedError)


class Pull:
    """What :meth:`HyperParameters.pull` does.

    Parameters
    ----------
    space : HyperParameters
    gradients : {"auto", "autograd", "differences"}
    """

    def __init__(self, space: HyperParameters, gradients: str) -> None:
        if gradients not in ("auto", "autograd", "differences"):
            raise ParameterError(f"gradients: expected 'auto', 'autograd' or 'differences', got {gradients!r}")
        self.space, self.wanted = space, gradients
        self.ways: dict[str, str] = {}
        self._decided = ""
        self._kept: dict[int, Any] = {}
        self._kept_of: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": {}, "_kept_of": None}

    def gram(self, X: Any) -> Any:
        """k(X, X) of the kernel as it is set; terms of sums that are not learnt are evaluated once and kept."""
        terms, items, _ = for_terms(self.space.kernel, X)
        still = {id(t.kernel) for t in terms if not any(t.holds(p) for p, _ in self.space.inside)}
        if not still or not self.space.inside:
            return kr.gram(self.space.kernel, X, progress=False)
        if self._kept_of is not X:
            self._kept, self._kept_of = {}, X
        total: Any = 0.0
        for term in terms:
            key = id(term.kernel)
            K = self._kept[key] if key in self._kept else _gram_values(term.kernel, items, None)
            if key in still and (len(self._kept) + 1) * K.nbytes <= _KEPT:
                self._kept[key] = K
            total = total + term.weight * K
        return total

    def __call__(self, theta: np.ndarray, G: np.ndarray, X: Any, Y: Any, inner: float | None) -> np.ndarray:
        self._decide(theta, X)
        out = np.zeros(len(theta))
        if any(way == "autograd" for way in self.ways.values()):
            self._by_autograd(theta, G, X, Y, out, False)
        self._by_differences(theta, out, G, X, Y, inner)
        return out

    def with_items(self, theta: np.ndarray, G: np.ndarray, X: Any, Y: Any) -> tuple[np.ndarray, np.ndarray]:
        """The gradient by theta, and by the items `Y` (or `X` where `Y` is None)."""
        self._decide(theta, X, force=True)
        out = np.zeros(len(theta))
        items = self._by_autograd(theta, G, X, Y, out, True)
        self._by_differences(theta, out, G, X, Y, None)
        return out, items

    def diagonal(self, theta: np.ndarray, g: np.ndarray, X: Any) -> np.ndarray:
        """The gradient of sum_i g_i k(x_i, x_i)."""
        out = np.zeros(len(theta))
        kernel = self.space.at(theta)
        if kernel is None:
            return out
        weights = np.asarray(g, dtype=np.float64)
        # that it is normalized says nothing: variance * kernel is at variance 1, and changes with it
        if "stationary" in kr.capabilities(kernel):  # one value for all items
            X, weights = X[:1], weights.sum(keepdims=True)
        terms, X, _ = for_terms(kernel, X)
        parameters = self.space.inside
        self._by_terms(theta, out, parameters, terms, lambda part: diagonal_values(part, X), _contraction(weights))
        return out

    # -- which way --------------------------------------------------------------------------

    def _decide(self, theta: np.ndarray, X: Any, force: bool = False) -> None:
        """Fill ``ways``: once, and once more where autograd is asked for after all."""
        if self._decided == "forced" or (self._decided and not force):
            return
        inside, wanted = self.space.inside, "autograd" if force else self.wanted
        few = not is_torch(X) and self._cost() <= CHEAP
        self.ways, self._decided = {p.name: "differences" for p, _ in inside}, "once"
        if wanted == "differences" or (wanted == "auto" and few):
            return
        reason = no_autograd(self.space.kernel, X)
        if reason:
            if wanted == "autograd":
                error = MissingDependencyError if "torch" in reason else ParameterError
                raise error(f"gradients: autograd cannot be had: {reason}")
            return
        trusted = self._trusted(theta, X)
        self.ways.update((name, "autograd") for name in trusted)
        self._decided = "forced" if force else "once"

    def _cost(self) -> float:
        """Differences in Gram matrices, the terms being taken for alike."""
        terms = terms_of(self.space.kernel)
        return sum(2.0 * p.value.size * sum(t.holds(p) for t in terms) / len(terms) for p, _ in self.space.inside)

    def _trusted(self, theta: np.ndarray, X: Any) -> list[str]:
        """Parameters whose gradient autograd gets right on a few items."""
        few = X[:: max(1, length(X) // _PROBE)][:_PROBE]
        n = length(few)
        G = np.cos(np.add.outer(np.arange(n), np.arange(n)) + 0.3)
        inside = self.space.inside
        found, expected = np.full(len(theta), np.nan), np.zeros(len(theta))
        self.ways = {p.name: "autograd" for p, _ in inside}
        try:
            self._by_autograd(theta, G, few, None, found, False)
        except _FAILURES:
            return []
        finally:
            self.ways = {p.name: "differences" for p, _ in inside}
            self.space.at(theta)
        K = _gram_values(self.space.kernel, few, None)
        self._by_differences(theta, expected, G, few, None, None)
        slack = 1e-3 * np.abs(expected) + _step(K) * float(np.abs(_host(K)).sum())
        near = np.abs(found - expected) <= slack
        return [p.name for p, where in inside if near[where].all()]

    # -- autograd ---------------------------------------------------------------------------

    def _by_autograd(
        self, theta: np.ndarray, G: np.ndarray, X: Any, Y: Any, out: np.ndarray, items: bool
    ) -> np.ndarray:
        """Write the gradient by the parameters whose way is autograd; return that by the items where asked for."""
        import torch

        space, side = self.space, X if Y is None else Y
        like = X if is_torch(X) else torch.empty(0, dtype=torch.float64)
        learnt = [(p, where) for p, where in space.inside if self.ways[p.name] == "autograd"]
        leaves = []
        values = np.exp(theta)
        for parameter, where in learnt:
            numbers = values[where].reshape(parameter.value.shape)
            leaves.append(torch.tensor(numbers, dtype=like.dtype, device=like.device, requires_grad=True))
        fixed = _tensor(side, torch).detach()
        moving = fixed.clone().requires_grad_(items)
        space.at(theta)
        sums: list[Any] = [None] * (len(leaves) + items)
        try:
            space.set_values({p.name: leaf for (p, _), leaf in zip(learnt, leaves, strict=True)})
            with torch_threads(torch, G.size):
                for K, part in _torch_blocks(space.kernel, X, Y, G, moving, torch):
                    wanted = [*leaves, *([moving] if items else [])]
                    found = torch.autograd.grad(K, wanted, part, allow_unused=True) if wanted else ()
                    for number, gradient in enumerate(found):
                        if gradient is not None:
                            sums[number] = gradient if sums[number] is None else sums[number] + gradient
        finally:
            space.at(theta)
        for (_, where), total in zip(learnt, sums, strict=False):
            if total is not None:  # where nothing depends on it `out` stays as it was
                out[where] = values[where] * total.double().cpu().numpy().ravel()
        if not items:
            return np.zeros(0)
        return np.zeros(tuple(side.shape)) if sums[-1] is None else np.asarray(sums[-1].double().cpu().numpy())

    # -- differences ------------------------------------------------------------------------

    def _by_differences(
        self, theta: np.ndarray, out: np.ndarray, G: np.ndarray, X: Any, Y: Any, inner: float | None
    ) -> None:
        """Write the gradient by the parameters whose way is differences; `inner` is the sum, where it is known."""
        left = [(p, where) for p, where in self.space.inside if self.ways[p.name] == "differences"]
        kept_of = X
        terms, X, Y = for_terms(self.space.kernel, X, Y)
        if inner is not None:
            whole = [where for p, where in left if _in_front_of_all(p, terms)]
            for where in whole:
                out[where] = inner  # K is linear in it
            left = [(p, where) for p, where in left if where not in whole]
        kept = self._kept if kept_of is self._kept_of and Y is None else {}

        def values(part: Any) -> Any:
            return kept[id(part)] if id(part) in kept else _gram_values(part, X, Y)

        self._by_terms(theta, out, left, terms, values, _contraction(G))

    def _by_terms(
        self,
        theta: np.ndarray,
        out: np.ndarray,
        parameters: Sequence[tuple[Parameter, slice]],
        terms: list[Term],
        values: Callable[[Any], Any],
        contract: Callable[[Any], float],
    ) -> None:
        """Write the gradient by `parameters`, term by term; ``values(kernel)`` are those of a term as it is set."""
        self.space.at(theta)
        for term in terms:
            of_term, weight, own = partial(values, term.kernel), term.weight, None
            for parameter, where in parameters:
                if term.degree(parameter):
                    own = contract(of_term()) if own is None else own
                    out[where] += term.degree(parameter) * weight * own
                if term.holds(parameter):
                    h = STEP_SINGLE if parameter.single else STEP
                    for j in range(where.start, where.stop):
                        out[j] += weight * self._difference(theta, j, h, of_term, contract)
                    self.space.at(theta)

    def _difference(
        self, theta: np.ndarray, j: int, h: float, values: Callable[[], Any], contract: Callable[[Any], float]
    ) -> float:
        def moved(by: float) -> Any:
            shifted = theta.copy()
            shifted[j] += by
            self.space.at(shifted)
            try:
                return values()
            except ParameterError:
                return None  # beyond what the kernel takes

        above, below = moved(h), moved(-h)
        if above is not None and _step(above) > h:
            h = _step(above)
            above, below = moved(h), moved(-h)
        if above is None or below is None:
            centre = moved(0.0)
            return (contract(above - centre) if above is not None else contract(centre - below)) / h
        return contract(above - below) / (2.0 * h)


def no_autograd(kernel: Any, X: Any) -> str:
    """Why autograd cannot be had, or ''."""
    if kernel is None or "differentiable" not in kr.capabilities(kernel):
        return f"the kernel {kernel!r} is not differentiable"
    if not is_torch(X) and not (isinstance(X, np.ndarray) and X.dtype.kind == "f"):
        return "the items are no array of numbers"
    if not _has_torch():
        return 'torch is not installed: pip install "kernreg-solvers[torch]"'
    return ""


def _has_torch() -> bool:
    return sys.modules.get("torch") is not None or find_spec("torch") is not None


def _in_front_of_all(parameter: Parameter, terms: list[Term]) -> bool:
    return all(term.degree(parameter) == 1 and not term.holds(parameter) for term in terms)


def _torch_blocks(kernel: Any, X: Any, Y: Any, G: np.ndarray, moving: Any, torch: Any) -> Iterator[tuple[Any, Any]]:
    """(k(X[rows], Y), G[rows]) with gradients; the whole of it where it is small. `moving` stands for `Y`."""
    n, m = G.shape
    if Y is None and n * m <= _BLOCK:
        yield kernel(moving), torch.as_tensor(G, dtype=moving.dtype, device=moving.device)
        return
    step = max(1, _BLOCK // m)
    for start in range(0, n, step):
        rows = slice(start, start + step)
        left = moving[rows] if Y is None else _tensor(X[rows], torch).detach()
        yield kernel(left, moving), torch.as_tensor(G[rows], dtype=moving.dtype, device=moving.device)


def _tensor(X: Any, torch: Any) -> Any:
    if is_torch(X):
        return X
    X = np.ascontiguousarray(X, dtype=np.float64)
    return torch.from_numpy(X if X.flags.writeable else X.copy())


@contextmanager
def torch_threads(torch: Any, entries: int) -> Iterator[None]:
    """No more of torch's threads than kernreg may use, and one where there is little to do."""
    before = torch.get_num_threads()
    allowed = 1 if entries < _SMALL else min(before, num_threads())
    if allowed != before:
        torch.set_num_threads(allowed)
    try:
        yield
    finally:
        if allowed != before:
            torch.set_num_threads(before)


def _gram_values(kernel: Any, X: Any, Y: Any) -> Any:
    K = kr.gram(kernel, X, Y, dtype=None if is_torch(X) else np.float64, progress=False)
    return K.detach() if is_torch(K) else K


def diagonal_values(kernel: Any, X: Any) -> np.ndarray:
    """k(x, x) of each item in float64, shape (n,)."""
    n = length(X)
    capabilities = kr.capabilities(kernel)
    if "normalized" in capabilities and "complex" not in capabilities:
        return np.ones(n)
    if "stationary" in capabilities:
        return np.full(n, float(_host(diagonal(kernel, X[:1]))[0]))
    if "diag" not in capabilities and getattr(kernel, "pair_cost", "low") == "low":
        # small squares: a call costs far more than a few values that are not needed
        squares = (X[start : start + _SQUARE] for start in range(0, n, _SQUARE))
        return np.concatenate([np.diagonal(_host(kernel(items, items))).real for items in squares]).astype(np.float64)
    return np.asarray(_host(diagonal(kernel, X)), dtype=np.float64)


def _contraction(G: np.ndarray) -> Callable[[Any], float]:
    """The function K -> sum(G * K), where K lives."""
    placed: list[Any] = []

    def contract(K: Any) -> float:
        if not is_torch(K):
            return float(np.vdot(G, K))
        if not placed:
            placed.append(sys.modules["torch"].as_tensor(G, dtype=sys.modules["torch"].float64, device=K.device))
        return float((placed[0] * K.double()).sum())

    return contract


def _step(K: Any) -> float:
    """The step for values of this precision."""
    single = is_torch(K) and K.dtype is not sys.modules["torch"].float64
    return STEP_SINGLE if single else STEP


def _host(K: Any) -> np.ndarray:
    return K.detach().cpu().numpy() if is_torch(K) else np.asarray(K)
