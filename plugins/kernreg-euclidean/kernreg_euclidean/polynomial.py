"""Kernels of an affine function of the inner product: polynomial and tanh."""

from __future__ import annotations

from typing import Any

import numpy as np

from kernreg_core.arrays import is_sparse, is_torch
from kernreg_core.base import provides
from kernreg_core.errors import InputError, ParameterError

from . import _parameters
from ._dot import DotProductKernel
from ._factors import Factors, pays
from ._monomials import monomial_count, monomial_features, monomials
from ._ops import Functional
from ._products import product_tiles, squared_norms
from ._tiles import Tiles
from ._vectors import diagonal_of


class _Affine(DotProductKernel):
    """What polynomial and tanh share: ``gamma x.y + coef0``."""

    gamma: Any
    coef0: Any

    def check_parameters(self, X: Any) -> None:
        """Raise ParameterError unless ``gamma`` is positive or None and ``coef0`` is a number."""
        if self.gamma is not None:
            _parameters.number("gamma", self.gamma, above=0.0)
        _parameters.number("coef0", self.coef0)

    def _gamma(self, d: int) -> float:
        return 1.0 / d if self.gamma is None else _parameters.number("gamma", self.gamma, above=0.0)

    def _affine(self, G: Any, X: Any) -> Any:
        """``gamma G + coef0`` with torch gradients to both parameters."""
        d = X.shape[1]
        if not is_torch(X):
            return self._gamma(d) * G + _parameters.number("coef0", self.coef0)
        gamma = 1.0 / d if self.gamma is None else self._operand("gamma", X)
        return gamma * G + self._operand("coef0", X)


class Polynomial(_Affine):
    r"""Polynomial kernel.

    .. math:: k(x, y) = (\gamma\, x \cdot y + c_0)^p

    Parameters
    ----------
    degree : int, default 3
        p >= 1.
    gamma : float or None, default None
        Factor of the inner product, positive; None is 1 / d for d features, as in scikit-learn.
    coef0 : float, default 1.0
        c_0. Where it is negative the kernel is not positive semi-definite and has no features.

    Raises
    ------
    ParameterError
        At call, if `degree` is no positive integer, `gamma` is not positive or `coef0` is no number.

    Notes
    -----
    The parameters are those of scikit-learn's ``polynomial_kernel``; GPyTorch's
    ``PolynomialKernel(power)`` with its ``offset`` is ``Polynomial(degree=power, gamma=1.0,
    coef0=offset)``. Rows may be scipy sparse.

    References
    ----------
    B. Scholkopf and A. J. Smola, Learning with Kernels, MIT Press 2002, section 2.1.

    Examples
    --------
    >>> import numpy as np
    >>> k = Polynomial(degree=2, gamma=1.0)
    >>> X = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> k(X)
    array([[ 36., 144.],
           [144., 676.]])
    >>> F = k.features(X)
    >>> F.shape, (F @ F.T).round(6).tolist()
    ((2, 6), [[36.0, 144.0], [144.0, 676.0]])
    """

    def __init__(self, *, degree: Any = 3, gamma: Any = None, coef0: Any = 1.0) -> None:
        self.degree = degree
        self.gamma = gamma
        self.coef0 = coef0

    @property
    def capabilities(self) -> frozenset[str]:  # type: ignore[override]
        """Without ``psd`` and ``features`` where ``coef0`` is negative."""
        always = frozenset({"symmetric", "diag", "matvec", "gradients", "differentiable"})
        try:
            definite = _parameters.number("coef0", self.coef0) >= 0
        except ParameterError:
            definite = False
        return always | {"psd", "features"} if definite else always

    def check_parameters(self, X: Any) -> None:
        """Raise ParameterError unless the parameters are in range."""
        super().check_parameters(X)
        _parameters.integer("degree", self.degree, minimum=1)

    def _tiles(self, X: Any, Y: Any, dtype: Any) -> Tiles:
        degree = int(self.degree)
        return product_tiles(
            X,
            Y,
            dtype,
            lambda f, g: f.power(g, degree),
            scale=self._gamma(X.shape[1]),
            offset=_parameters.number("coef0", self.coef0),
            diagonal=self._diagonal(X) if Y is X else None,
        )

    def _factors(self, X: Any, Y: Any) -> Factors | None:
        d, degree = X.shape[1], int(self.degree)
        coef0 = _parameters.number("coef0", self.coef0)
        if coef0 < 0 or is_sparse(X) or is_sparse(Y):
            return None
        width = monomial_count(d, degree, homogeneous=coef0 == 0)
        if not pays(width, degree, X.shape[0], Y.shape[0]):
            return None
        columns, weights = monomials(d, degree, homogeneous=coef0 == 0)
        root = self._gamma(d) ** 0.5
        return Factors(lambda rows: monomial_features(rows * root, coef0, columns, weights), width)

    def _functional(self, X: Any, Y: Any) -> Any:
        return Functional().power(self._affine(X @ Y.mT, X), int(self.degree))

    def _diagonal(self, X: Any) -> Any:
        if is_torch(X):
            return self._affine((X * X).sum(-1), X) ** int(self.degree)
        return self._affine(squared_norms(X), X) ** int(self.degree)

    def _dot_derivative(self, G: Any, order: int, X: Any) -> Any:
        degree, factor = int(self.degree), 1.0
        gamma = self._operand("gamma", X) if is_torch(X) and self.gamma is not None else self._gamma(X.shape[1])
        for step in range(order):
            factor = factor * (degree - step) * gamma
        if degree < order:
            return G * 0.0
        return factor * self._affine(G, X) ** (degree - order)

    @provides("diag")
    def diag(self, X: Any) -> Any:
        """The diagonal of k(X), shape (n,)."""
        X, _ = self.check_items(X)
        found = self._diagonal(X)
        return found if is_torch(X) else diagonal_of(found, X)

    @provides("features")
    def features(self, X: Any, basis: Any = None) -> Any:
        """All monomials up to the degree, weighted so that their inner product is the kernel.

        `basis` is not used: the map is fixed.

        Returns
        -------
        array, shape (n, D)
            D = C(d + degree, degree); C(d + degree - 1, degree) where ``coef0`` is 0.

        Raises
        ------
        InputError
            If D is above 65,536, or X is sparse.
        """
        X, _ = self.check_items(X)
        if is_sparse(X):
            raise InputError("X: polynomial features expect dense rows, got a scipy sparse matrix: pass X.toarray()")
        d, degree = X.shape[1], int(self.degree)
        offset = self._operand("coef0", X) if is_torch(X) else _parameters.number("coef0", self.coef0)
        gamma = self._operand("gamma", X) if is_torch(X) and self.gamma is not None else self._gamma(d)
        columns, weights = monomials(d, degree, homogeneous=_parameters.number("coef0", self.coef0) == 0)
        return monomial_features(X * gamma**0.5, offset, columns, weights)


class Tanh(_Affine):
    r"""Hyperbolic tangent ("sigmoid") kernel. It is not positive semi-definite.

    .. math:: k(x, y) = \tanh(\gamma\, x \cdot y + c_0)

    Parameters
    ----------
    gamma : float or None, default None
        Factor of the inner product, positive; None is 1 / d for d features, as in scikit-learn.
    coef0 : float, default 1.0
        c_0.

    Raises
    ------
    ParameterError
        At call, if `gamma` is not positive or `coef0` is no number.

    Notes
    -----
    The parameters are those of scikit-learn's ``sigmoid_kernel``. GPyTorch has no such kernel.

    References
    ----------
    H.-T. Lin and C.-J. Lin, A Study on Sigmoid Kernels for SVM and the Training of non-PSD Kernels
    by SMO-type Methods, 2003.

    Examples
    --------
    >>> import numpy as np
    >>> Tanh(gamma=1.0, coef0=0.0)(np.array([[1.0], [2.0]])).round(6)
    array([[0.761594, 0.964028],
           [0.964028, 0.999329]])
    """

    accepts_sparse = False
    capabilities = frozenset({"symmetric", "diag", "matvec", "differentiable"})

    def __init__(self, *, gamma: Any = None, coef0: Any = 1.0) -> None:
        self.gamma = gamma
        self.coef0 = coef0

    def _tiles(self, X: Any, Y: Any, dtype: Any) -> Tiles:
        return product_tiles(
            X,
            Y,
            dtype,
            lambda f, g: f.tanh(g),
            scale=self._gamma(X.shape[1]),
            offset=_parameters.number("coef0", self.coef0),
            diagonal=np.tanh(self._affine(squared_norms(X), X)) if Y is X else None,
        )

    def _functional(self, X: Any, Y: Any) -> Any:
        return Functional().tanh(self._affine(X @ Y.mT, X))

    @provides("diag")
    def diag(self, X: Any) -> Any:
        """The diagonal of k(X), shape (n,)."""
        X, _ = self.check_items(X)
        if is_torch(X):
            return self._affine((X * X).sum(-1), X).tanh()
        return diagonal_of(np.tanh(self._affine(squared_norms(X), X)), X)
