"""The positive parameters of any kernel as one vector on a log scale, with bounds and gradients.

What learns a kernel (by marginal likelihood, alignment, cross-validation) shares this: which parameters there are, how
they become a vector and a kernel again, the gradient of a function of Gram matrices, and the search.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

import kernreg_core as kr
from kernreg_core.errors import ParameterError

from .gp_bounds import DataScale, chosen_bounds
from .gp_parameters import Parameter, find_parameters
from .gp_pull import Pull
from .gp_search import Minimum, minimise

__all__ = ["HyperParameters", "Minimum", "minimise"]


class HyperParameters:
    r"""The positive numeric parameters of a kernel as a vector of logarithms.

    .. math:: \theta_j = \log p_j

    The kernel given is cloned once and never changed; the clone is set to each theta in turn, so that what it draws
    (random features) is drawn once.

    Parameters
    ----------
    kernel : kernel or None
        None has no parameters: the Gram matrix is given.
    X : array (n, d) or items, optional
        The training items. Their scale gives bounds where none are given, and a kernel with the capability ``fitted``
        is fitted to them at each theta.
    y : ndarray, optional
        Targets: scale of the bounds of variances, and passed to a kernel's ``fit``.
    parameters : sequence of str, optional
        Names of those to learn: full (``k1__lengthscale``), or the last part alone (``lengthscale``), which means all
        of that name. None: all floats and arrays of floats above 0, but those that choose a kernel (``order``,
        ``nu``, ``exponent``, ``degree``, ``halt_probability``), and whole numbers of the usual names
        (``lengthscale=1``, ``2 * kernel``). Other whole numbers, flags, seeds, and what a kernel of scikit-learn's
        declares ``"fixed"``, are always left alone.
    bounds : mapping or "fixed", optional
        ``{name: (low, high)}`` or ``{name: "fixed"}``, names as above, numbers or arrays of the parameter's shape; of
        values, not logarithms. The string ``"fixed"`` fixes all. Elsewhere: a length scale from 0.1 times the typical
        distance of nearest points to 100 times the largest distance (one for each feature: 1/1000 to 1000 times its
        range); a period from two steps to twice the range; a variance 1e-4 to 1e4 times the mean square of y (without
        y: of its value); others 1e-3 to 1e3 times their value. These defaults are widened to hold the value with a
        factor of 10.
    extra : mapping from name to float, optional
        Further positive numbers at the end of theta, such as ``noise``.
    extra_bounds : mapping from name to (low, high), optional
        Their bounds where `bounds` gives none.
    gradients : {"auto", "autograd", "differences"}
        How derivatives of the kernel are had, see :meth:`pull`. "auto": by autograd where the kernel is
        ``differentiable``, the items are numbers and torch is installed, unless differences cost less (NumPy items
        and at most 3 numbers to learn in the whole kernel, or in each term of a sum); by differences elsewhere.

    Attributes
    ----------
    kernel : kernel or None
        The clone, at the last theta set.
    theta : ndarray, shape (p,)
        Where the search starts: logarithms of the kernel's own values, moved into the bounds.
    given : ndarray, shape (p,)
        Logarithms of the kernel's own values, wherever the bounds are.
    bounds : ndarray, shape (p, 2)
        Of theta.
    names : list of str
        Parameters that are learnt, in the order of theta.
    constants : dict
        The further numbers that are fixed, by name.
    labels : list of str
        One for each number of theta, such as ``lengthscale[2]``.

    Raises
    ------
    ParameterError
        If a name is no parameter, a value that is asked for is not positive, or bounds are not 0 < low <= high.

    Examples
    --------
    >>> import numpy as np
    >>> import kernreg_core as kr
    >>> class Gauss(kr.BaseKernel):
    ...     capabilities = frozenset({"symmetric", "psd"})
    ...     def __init__(self, *, lengthscale=1.0):
    ...         self.lengthscale = lengthscale
    ...     def evaluate(self, X, Y):
    ...         return np.exp(-0.5 * (X - Y.T) ** 2 / self.lengthscale**2)
    >>> X = np.array([[0.0], [1.0]])
    >>> space = HyperParameters(2 * Gauss(), X, bounds={"variance": "fixed"}, extra={"noise": 0.1})
    >>> space.labels
    ['kernel__lengthscale', 'noise']
    >>> space.at(np.log([2.0, 0.5])), space.extra(np.log([2.0, 0.5]))
    (2 * Gauss(lengthscale=2.0), {'noise': 0.5})

    The sum of this Gram matrix is 4 + 4 exp(-1/8); its derivative by log lengthscale is exp(-1/8):

    >>> space.pull(np.log([2.0, 0.5]), np.ones((2, 2)), X).round(6)
    array([0.882497, 0.      ])
    """

    def __init__(
        self,
        kernel: Any,
        X: Any = None,
        *,
        y: Any = None,
        parameters: Sequence[str] | None = None,
        bounds: Mapping[str, Any] | str | None = None,
        extra: Mapping[str, float] | None = None,
        extra_bounds: Mapping[str, tuple[float, float]] | None = None,
        gradients: str = "auto",
    ) -> None:
        self.kernel = kr.clone(kernel) if hasattr(kernel, "get_params") else kernel
        self._fit_on = (X, y) if kernel is not None and "fitted" in kr.capabilities(kernel) else None
        asked = _checked_names(parameters)
        extras = [
            Parameter(name, (), np.array(float(value)), float(value), None) for name, value in (extra or {}).items()
        ]
        inside = find_parameters(self.kernel, asked)
        everything = [*inside, *(p for p in extras if asked is None or p.name in asked)]
        given = self._given_bounds(bounds, everything, [*find_parameters(self.kernel), *inside, *extras])
        _check_known(asked, everything, "parameters", self.kernel)
        data = DataScale(X, y)
        self.constants: dict[str, Any] = {p.name: p.value for p in extras}
        self._free: list[Parameter] = []
        low: list[np.ndarray] = []
        high: list[np.ndarray] = []
        for parameter in everything:
            found = chosen_bounds(parameter, given.get(parameter.name), data, extra_bounds or {})
            if found is not None:
                self._free.append(parameter)
                low.append(found[0].ravel())
                high.append(found[1].ravel())
        none = np.zeros(0)
        self.bounds = np.log(np.column_stack([np.concatenate([none, *low]), np.concatenate([none, *high])]))
        start = np.log(np.concatenate([none, *(p.value.ravel() for p in self._free)]))
        self.given = start
        self.theta = np.clip(start, self.bounds[:, 0], self.bounds[:, 1])
        self.names = [p.name for p in self._free]
        self.labels = [label for p in self._free for label in p.labels()]
        stops = np.cumsum([0, *(p.value.size for p in self._free)])
        self.slices = [slice(a, b) for a, b in pairwise(stops.tolist())]
        self._pull = Pull(self, gradients)

    # -- a kernel, and numbers, of a theta --------------------------------------------------

    @property
    def inside(self) -> list[tuple[Parameter, slice]]:
        """The kernel's own parameters and where each stands in theta."""
        return [(p, where) for p, where in zip(self._free, self.slices, strict=True) if p.owner is not None]

    def at(self, theta: np.ndarray) -> Any:
        """The kernel with the parameters of `theta`: one object, set anew by each call."""
        if self.kernel is not None:
            values = np.exp(self._checked_theta(theta))
            self.set_values({p.name: p.written(values[where]) for p, where in self.inside})
        return self.kernel

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Set parameters of the kernel, by full names, to what is given; fit it again where it has to be."""
        if values:
            self.kernel.set_params(**values)
        if self._fit_on is not None:
            self.kernel.fit(*self._fit_on)

    def extra(self, theta: np.ndarray) -> dict[str, float]:
        """The further numbers by name, also those that are fixed."""
        theta, found = self._checked_theta(theta), {name: float(value) for name, value in self.constants.items()}
        for parameter, where in zip(self._free, self.slices, strict=True):
            if parameter.owner is None:
                found[parameter.name] = float(np.exp(theta[where])[0])
        return found

    def where(self, name: str) -> slice | None:
        """Where the parameter stands in theta; None where it is not learnt."""
        return next((w for p, w in zip(self._free, self.slices, strict=True) if p.name == name), None)

    def at_bounds(self, theta: np.ndarray, tol: float = 1e-6) -> list[str]:
        """Labels of the numbers that lie on a bound."""
        on = (theta <= self.bounds[:, 0] + tol) | (theta >= self.bounds[:, 1] - tol)
        return [label for label, hit in zip(self.labels, on, strict=True) if hit]

    def gram(self, X: Any) -> Any:
        """k(X, X) of the kernel as :meth:`at` last set it, shape (n, n).

        Terms of a sum that hold nothing to learn are evaluated once for `X` and kept, up to 256 MB: of weights alone
        every kernel of a combination is evaluated once.
        """
        return self._pull.gram(X)

    # -- gradients --------------------------------------------------------------------------

    def pull(
        self, theta: np.ndarray, G: np.ndarray, X: Any, Y: Any = None, *, inner: float | None = None
    ) -> np.ndarray:
        r"""The gradient by theta of :math:`\sum_{ij} G_{ij} k_\theta(x_i, y_j)`, `G` held fixed.

        With G the derivative of a function f of the Gram matrix this is the gradient of f: no derivative of a
        factorisation is ever taken, and no (n, n, p) array is formed. Differences are those of the terms of a sum that
        hold the parameter; variances in front, of terms too, are exact.

        Parameters
        ----------
        theta : ndarray, shape (p,)
        G : ndarray, shape (n, m), float64
            Symmetric where `Y` is None.
        X, Y : items
            `Y` None is `X`.
        inner : float, optional
            The sum itself, where it is known: the derivative by the variance of a scaled kernel, for nothing.

        Returns
        -------
        ndarray, shape (p,)
            0 for the further numbers. The kernel is left at `theta`.
        """
        return self._pull(self._checked_theta(theta), G, X, Y, inner)

    def pull_diagonal(self, theta: np.ndarray, g: np.ndarray, X: Any) -> np.ndarray:
        r"""The gradient by theta of :math:`\sum_i g_i k_\theta(x_i, x_i)`, shape (p,)."""
        return self._pull.diagonal(self._checked_theta(theta), g, X)

    def pull_items(self, theta: np.ndarray, G: np.ndarray, X: Any, Y: Any = None) -> tuple[np.ndarray, np.ndarray]:
        """:meth:`pull`, and the gradient by the items `Y` (by `X` where `Y` is None), shape (m, d); needs torch."""
        return self._pull.with_items(self._checked_theta(theta), G, X, Y)

    @property
    def gradients(self) -> dict[str, str]:
        """How the derivative by each parameter was had, after the first :meth:`pull`: "autograd" or "differences"."""
        return dict(self._pull.ways)

    # -- checks -----------------------------------------------------------------------------

    def _checked_theta(self, theta: Any) -> np.ndarray:
        array = np.asarray(theta, dtype=np.float64)
        if array.shape != self.theta.shape or not np.isfinite(array).all():
            raise ParameterError(
                f"theta: expected {len(self.theta)} finite logarithms, of {', '.join(self.labels) or 'nothing'}, "
                f"got {theta!r}"
            )
        return array

    def _given_bounds(self, bounds: Any, learnt: list[Parameter], known: list[Parameter]) -> dict[str, Any]:
        """What the user says about each parameter, by its first name."""
        if bounds is None:
            return {}
        if isinstance(bounds, str) and bounds == "fixed":
            return {p.name: "fixed" for p in learnt}
        if not isinstance(bounds, Mapping):
            raise ParameterError(f"bounds: expected {{name: (low, high)}}, 'fixed' or None, got {bounds!r}")
        _check_known(list(bounds), known, "bounds", self.kernel)
        found: dict[str, Any] = {}
        # a full name says more than a last part
        for name in sorted(bounds, key=lambda name: "__" in name):
            exact = [p for p in learnt if name in (p.name, *p.aliases)]
            found.update((p.name, bounds[name]) for p in exact or [p for p in learnt if p.answers_to(name)])
        return found


def _checked_names(parameters: Any) -> list[str] | None:
    if parameters is None:
        return None
    if isinstance(parameters, str) or not all(isinstance(name, str) for name in parameters):
        raise ParameterError(f"parameters: expected a list of names or None, got {parameters!r}")
    return list(parameters)


def _check_known(names: Sequence[str] | None, known: list[Parameter], argument: str, kernel: Any) -> None:
    for name in names or ():
        if not any(p.answers_to(name) for p in known):
            have = ", ".join(dict.fromkeys(p.name for p in known)) or "none"
            raise ParameterError(
                f"{argument}: {name!r} is no positive parameter of {kernel!r}; it has: {have}. "
                "Full names or their last parts are taken"
            )
