r"""A kernel as a weighted sum of others, and which of its parameters touch which of these.

Variances in front of kernels, and of terms of sums, enter a Gram matrix linearly: with :math:`K = \sum_t w_t K_t`, w_t
the product of the variances in front of term t, the derivative of K by the logarithm of such a variance is the part of
the sum that it stands in front of. Every other parameter moves the terms that hold it, and no others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import kernreg_core as kr
from kernreg_core.arrays import is_prepared
from kernreg_core.composites import Scaled, Sum

from .gp_parameters import Parameter


class Term(NamedTuple):
    """One term of a kernel.

    ``kernel`` is the term without what stands in front, ``prefix`` of its parameters' names such as ``k1__kernel__``,
    ``fronts`` the names of the variances in front, each with the kernel that holds it.
    """

    kernel: Any
    prefix: str
    fronts: tuple[tuple[str, Scaled], ...]

    @property
    def weight(self) -> float:
        """The product of the variances in front, as they are now."""
        return math.prod(float(front.variance) for _, front in self.fronts)

    def degree(self, parameter: Parameter) -> int:
        """How often a parameter stands in front."""
        names = (parameter.name, *parameter.aliases)
        return sum(name in names for name, _ in self.fronts)

    def holds(self, parameter: Parameter) -> bool:
        """Whether the term itself changes with a parameter."""
        return any(name.startswith(self.prefix) for name in (parameter.name, *parameter.aliases))


def terms_of(kernel: Any) -> list[Term]:
    """The terms of sums and scaled kernels, at any depth; one term of any other kernel.

    Examples
    --------
    >>> import kernreg_core as kr
    >>> from kernreg_solvers import LinearKernel
    >>> terms = terms_of(3.0 * (2.0 * LinearKernel() + LinearKernel()))
    >>> [(term.prefix, term.weight) for term in terms]
    [('kernel__k1__kernel__', 6.0), ('kernel__k2__', 3.0)]
    """
    return list(_walk(kernel, "", ()))


def _walk(kernel: Any, prefix: str, fronts: tuple[tuple[str, Scaled], ...]) -> Iterator[Term]:
    # their own types only: a subclass may do anything
    if type(kernel) is Scaled:
        yield from _walk(kernel.kernel, f"{prefix}kernel__", (*fronts, (f"{prefix}variance", kernel)))
    elif type(kernel) is Sum:
        for i, part in enumerate(kernel.parts(), 1):
            yield from _walk(part, f"{prefix}k{i}__", fronts)
    else:
        yield Term(kernel, prefix, fronts)


def overall_variances(kernel: Any) -> list[str]:
    """Names of the variances that stand in front of the whole kernel.

    Examples
    --------
    >>> from kernreg_solvers import LinearKernel
    >>> overall_variances(3.0 * (2.0 * LinearKernel() + LinearKernel()))
    ['variance']
    """
    found, prefix = [], ""
    while type(kernel) is Scaled:
        found.append(f"{prefix}variance")
        kernel, prefix = kernel.kernel, f"{prefix}kernel__"
    return found


def unweighted(kernel: Any, learnt: list[str]) -> list[str]:
    """The terms of a sum, as texts, in front of which stands no variance of their own that is `learnt`."""
    terms, overall = terms_of(kernel), overall_variances(kernel)
    if len(terms) < 2:
        return []
    own = set(learnt) - set(overall)
    return [repr(term.kernel) for term in terms if not any(name in own for name, _ in term.fronts)]


def for_terms(kernel: Any, X: Any, Y: Any = None) -> tuple[list[Term], Any, Any]:
    """The terms, and both sides as a term sees them; the kernel as its one term between prepared items."""
    if is_prepared(X):
        return [Term(kernel, "", ())], X, Y
    terms = terms_of(kernel)
    if isinstance(kernel, (Scaled, Sum)) and not all(isinstance(term.kernel, kr.BaseKernel) for term in terms):
        left, right = kernel.check_items(X, Y)  # another library's kernel gets what the whole would hand to it
        return terms, left, None if Y is None else right
    return terms, X, Y
