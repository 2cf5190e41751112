"""Gradients of sums over Gram matrices by a kernel's parameters: torch's autograd, or central differences.

torch is imported here only where autograd is to be used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

import kernreg_core as kr
from kernreg_core._parts import diagonal
from kernreg_core.arrays import is_torch, length
from kernreg_core.composites import Scaled
from kernreg_core.errors import MissingDependencyError, ParameterError
from kernreg_core.threads import num_threads

if TYPE_CHECKING:
    from .hyperparameters import HyperParameters

#: "auto" takes differences for at most so many numbers: each costs two Gram matrices, while autograd on a CPU costs
#: about ten (measured at n = 500 and 2,000), and four times their memory.
FEW = 3
#: Steps in log p: rounding of the kernel over the step, and the step's square, are then alike small.
STEP, STEP_SINGLE = 1e-4, 1e-2
#: Entries of a block that autograd works on at a time.
_BLOCK = 1 << 20
#: Rows of the squares whose diagonal is taken of a kernel that has no ``diag``.
_SQUARE = 64
#: Entries below which torch works on one thread: several wait for each other, the more so on a busy machine.
_SMALL = 1 << 18
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

    def __call__(self, theta: np.ndarray, G: np.ndarray, X: Any, Y: Any, inner: float | None) -> np.ndarray:
        self._decide(theta, X)
        out = np.zeros(len(theta))
        if any(way == "autograd" for way in self.ways.values()):
            self._by_autograd(theta, G, X, Y, out, False)
        self._by_differences(theta, out, lambda: _gram_values(self.space.kernel, X, Y), _contraction(G), inner)
        return out

    def with_items(self, theta: np.ndarray, G: np.ndarray, X: Any, Y: Any) -> tuple[np.ndarray, np.ndarray]:
        """The gradient by theta, and by the items `Y` (or `X` where `Y` is None)."""
        self._decide(theta, X, force=True)
        out = np.zeros(len(theta))
        items = self._by_autograd(theta, G, X, Y, out, True)
        self._by_differences(theta, out, lambda: _gram_values(self.space.kernel, X, Y), _contraction(G), None)
        return out, items

    def diagonal(self, theta: np.ndarray, g: np.ndarray, X: Any) -> np.ndarray:
        """The gradient of sum_i g_i k(x_i, x_i)."""
        out = np.zeros(len(theta))
        kernel = self.space.at(theta)
        capabilities = kr.capabilities(kernel) if kernel is not None else frozenset({"normalized"})
        if "normalized" in capabilities:
            return out
        weights = np.asarray(g, dtype=np.float64)
        if "stationary" in capabilities:  # one value for all items
            X, weights = X[:1], weights.sum(keepdims=True)
        self._by_differences(theta, out, lambda: diagonal_values(kernel, X), _contraction(weights), None, every=True)
        return out

    # -- which way --------------------------------------------------------------------------

    def _decide(self, theta: np.ndarray, X: Any, force: bool = False) -> None:
        """Fill ``ways``: once, and once more where autograd is asked for after all."""
        if self._decided == "forced" or (self._decided and not force):
            return
        inside = self.space.inside
        scaled = set(_variances_in_front(self.space.kernel))
        count = sum(p.value.size for p, _ in inside if p.name not in scaled)
        wanted = "autograd" if force else self.wanted
        few = count <= FEW and not is_torch(X)
        self.ways, self._decided = {p.name: "differences" for p, _ in inside}, "once"
        if wanted == "differences" or (wanted == "auto" and few):
            return
        reason = _no_autograd(self.space.kernel, X)
        if reason:
            if wanted == "autograd":
                error = MissingDependencyError if "torch" in reason else ParameterError
                raise error(f"gradients: autograd cannot be had: {reason}")
            return
        trusted = self._trusted(theta, X)
        self.ways.update((name, "autograd") for name in trusted)
        self._decided = "forced" if force else "once"

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
        self._by_differences(theta, expected, lambda: _gram_values(self.space.kernel, few, None), _contraction(G), None)
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
            with _torch_threads(torch, G.size):
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
        self,
        theta: np.ndarray,
        out: np.ndarray,
        values: Callable[[], Any],
        contract: Callable[[Any], float],
        inner: float | None,
        every: bool = False,
    ) -> None:
        """Write the gradient by the other parameters; ``values()`` are the kernel's at what it is set to."""
        space = self.space
        scaled = _variances_in_front(space.kernel)
        for parameter, where in space.inside:
            if not every and self.ways[parameter.name] == "autograd":
                continue
            if parameter.name in scaled and not parameter.aliases:
                if inner is None:
                    space.at(theta)
                    inner = contract(values())
                out[where] = inner  # K is linear in it
                continue
            h = STEP_SINGLE if parameter.single else STEP
            for j in range(where.start, where.stop):
                out[j] = self._difference(theta, j, h, values, contract)
        space.at(theta)

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


def _no_autograd(kernel: Any, X: Any) -> str:
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


def _variances_in_front(kernel: Any) -> list[str]:
    """Names of the variances of a scaled kernel, in which it is linear."""
    names, prefix = [], ""
    while isinstance(kernel, Scaled):
        names.append(f"{prefix}variance")
        prefix += "kernel__"
        kernel = kernel.kernel
    return names


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
def _torch_threads(torch: Any, entries: int) -> Iterator[None]:
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
