"""The protocols: structural, no base class required. For type checkers; nothing is checked with isinstance."""

from __future__ import annotations

from typing import Any, Protocol


class Kernel(Protocol):
    """A function of two items, evaluated pairwise on whole collections."""

    def __call__(self, X: Any, Y: Any = None, /) -> Any:
        """k(X, Y), shape (n, m); exactly symmetric for Y=None where the kernel is symmetric."""


class Sampler(Protocol):
    """Makes points; each call continues where the last one stopped."""

    def sample(self, n: int, /) -> Any:
        """The next `n` points, shape (n, d)."""


class Selector(Protocol):
    """Picks items from candidates; registered among the samplers."""

    def select(self, X: Any, n: int, /) -> Any:
        """`n` integer indices into `X`; weights, where there are any, in ``weights_``."""


class Solver(Protocol):
    """Turns data and a kernel into an answer: a scikit-learn estimator; results end in ``_``."""

    def fit(self, X: Any, y: Any = None) -> Any:
        """Returns self."""


class HasPrepare(Protocol):
    """``prepare``: k(P[i], P[j]) = k(X)[i, j] for P = prepare(X)."""

    def prepare(self, X: Any) -> Any:
        """Work shared across pairs; the result has ``len``, can be sliced and pickled."""


class HasInto(Protocol):
    """Fills a tile in place, without a capability of its own: the engine uses it where it stands."""

    def into(self, X: Any, Y: Any, out: Any) -> None:
        """``out[...] = k(X, Y)`` for checked NumPy items; exactly symmetric where Y is X."""


class HasDiag(Protocol):
    """``diag``."""

    def diag(self, X: Any) -> Any:
        """The diagonal of k(X), shape (n,), without forming it."""


class HasFeatures(Protocol):
    """``features``: features(X, basis=X) features(Y, basis=X)^H = k(X, Y)."""

    def features(self, X: Any, basis: Any = None) -> Any:
        """Shape (n, D), dense or CSR; an open vocabulary takes its columns from `basis`."""


class HasRandomFeatures(Protocol):
    """``random_features``: features estimate k; the error falls as 1/sqrt(n_features)."""

    n_features: int
    rng: Any

    def features(self, X: Any, basis: Any = None) -> Any:
        """Shape (n, n_features); drawn once for each object and input dimension."""


class HasMatvec(Protocol):
    """``matvec``."""

    def matvec(self, X: Any, V: Any, Y: Any = None) -> Any:
        """k(X, Y) V, shape of V's columns, without forming the matrix."""


class HasSolve(Protocol):
    """``solve``: by structure, in less than Cholesky's time."""

    def solve(self, X: Any, b: Any, noise: float) -> Any:
        """(K + noise I)^-1 b."""

    def logdet(self, X: Any, noise: float) -> Any:
        """log det(K + noise I)."""


class HasGradients(Protocol):
    """``gradients``: finite where x = y."""

    def grad_x(self, X: Any, Y: Any = None) -> Any:
        """dk/dx, shape (n, m, d)."""

    def grad_y(self, X: Any, Y: Any = None) -> Any:
        """dk/dy, shape (n, m, d)."""

    def grad_xy(self, X: Any, Y: Any = None) -> Any:
        """d2k/dx dy^T, shape (n, m, d, d)."""


class HasSpectralSample(Protocol):
    """What a ``stationary`` kernel may give."""

    def spectral_sample(self, n: int, d: int, rng: Any = None) -> Any:
        """`n` frequencies in `d` dimensions, shape (n, d), from the normalised spectral density."""


class HasSpectralInverse(Protocol):
    """What a ``stationary`` kernel may give for quasi-Monte Carlo features: its spectral law as a map of the cube."""

    def spectral_inverse(self, d: int) -> Any:
        """``(m, inverse)``: points of the unit cube with m coordinates, (n, m), go to frequencies, (n, d)."""


class Trainable(Protocol):
    """``trainable``: learnt state, made at first use."""

    def parameters(self) -> Any:
        """An iterator of tensors with gradients."""

    def state_dict(self) -> dict[str, Any]:
        """The learnt state by name."""

    def load_state_dict(self, state: dict[str, Any]) -> Any:
        """Take over a learnt state."""


class Stochastic(Protocol):
    """``stochastic``: the mean over seeds approaches the exact value."""

    def standard_error(self, X: Any, Y: Any = None) -> Any:
        """The standard error of each value, shape (n, m), where it is known."""


class Asymmetric(Protocol):
    """``asymmetric``: X and Y have different roles, such as queries and keys."""

    def features_left(self, X: Any) -> Any:
        """Features of the left items; features_left(X) features_right(Y)^H = k(X, Y)."""

    def features_right(self, Y: Any) -> Any:
        """Features of the right items."""


class Fitted(Protocol):
    """``fitted``: NotFittedError before ``fit``."""

    def fit(self, X: Any, y: Any = None) -> Any:
        """Returns self."""


class GramMap(Protocol):
    """``gram_map``: equals the kernel on data whose Gram matrices these are."""

    def from_gram(self, Kxx: Any, Kxy: Any = None, Kyy: Any = None) -> Any:
        """The Gram matrix as a function of Gram matrices."""


class Operator(Protocol):
    """``operator``: takes the place of a Gram matrix where none makes sense."""

    def layer(self, *args: Any, **kwargs: Any) -> Any:
        """A torch.nn.Module."""

    def dense(self, shape: Any) -> Any:
        """The matrix that the module applies to its input."""
