"""Kernels of another form: matrix values, two roles, a fit before use, maps of Gram matrices, operators.

Conventions. A ``fitted`` example is fitted, on the example's items (and targets, where it has them).
``from_gram`` takes the matrices of inner products of the items, or of the object's own parameter
``kernel`` where it has one. An ``operator`` example's items are an input of ``layer()``, which then needs
no argument; ``dense(shape)`` takes the shape of one item and acts on it flattened, as ``dense(shape) @ x``.
"""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np

from ... import clone, gram
from ...arrays import ARRAY_RANK, is_torch, length
from .._checks import NotApplicable, law
from .._subject import Subject
from ..items import assert_close, assert_same, content, take, values
from ..tolerances import tolerance
from ._capability import (
    adjoint,
    all_of,
    declares,
    exact,
    few,
    offers,
    torch_or_skip,
    two_sides,
)
from .members import feature_product

# matrix_valued


@law("kernel", "matrix_valued", generated=True)
def matrix_values_have_four_axes(subject: Subject, X: Any) -> None:
    """k(X, Y) is (n, m, p, q), with the same p and q whatever the items."""
    left, right = two_sides(X)
    obj = subject.make()
    shape = tuple(values(obj(left, right)).shape)
    assert len(shape) == 4, f"k(X, Y) has shape {shape}, expected four axes"
    assert shape[:2] == (length(left), length(right)), (
        f"k(X, Y) of {length(left)} and {length(right)} items has shape {shape}"
    )
    for items in (X, take(X, [0])):
        found = tuple(values(obj(items)).shape)
        expected = (length(items), length(items), *shape[2:])
        assert found == expected, f"k(X) has shape {found}, expected {expected}"


@law("kernel", "matrix_valued", generated=True, applies=all_of(declares("symmetric"), exact))
def matrix_values_are_block_symmetric(subject: Subject, X: Any) -> None:
    """k(X, Y)[i, j] = k(Y, X)[j, i]^H, so that the matrix of all blocks is Hermitian."""
    left, right = two_sides(X)
    K = values(subject.make()(left, right))
    assert K.shape[2] == K.shape[3], f"blocks have shape {K.shape[2:]}: a symmetric kernel's are square"
    assert_close(subject.make()(right, left), adjoint(K), "k(Y, X)", kind="rounding")


@law("kernel", "matrix_valued", generated=True, applies=declares("psd"))
def matrix_values_are_block_psd(subject: Subject, X: Any) -> None:
    """The sum of c_i^H k(x_i, x_j) c_j is not below zero for vectors c_i, and no k(x, x) is negative."""
    K = values(subject.make()(X))
    n, _, p, _ = K.shape
    rng = np.random.default_rng(5)
    bound = tolerance(K).eigenvalue * float(np.abs(K).sum(axis=(1, 3)).max())
    for _ in range(16):
        c = rng.standard_normal((n, p))
        form = float(np.einsum("ip,ijpq,jq->", c, K, c).real)
        assert form >= -bound * float((c**2).sum()), f"c^T K c = {form:.3g} for random vectors c"
    for i in range(n):
        block = K[i, i]
        least = float(np.linalg.eigvalsh((block + block.conj().T) / 2)[0])
        assert least >= -bound, f"k(x, x) of item {i} has the eigenvalue {least:.3g}"


@law("kernel", "matrix_valued", applies=exact)
def matrix_values_fit_in_tiles(subject: Subject) -> None:
    """kr.gram puts k(X) and k(X, Y) together from tiles, block by block."""
    X = few(subject)
    left, right = two_sides(X)
    tile = max(1, length(X) // 3)
    found = gram(subject.make(), X, tile=tile, progress=False)
    assert_close(found, subject.make()(X), "gram(k, X) in tiles", kind="rounding")
    found = gram(subject.make(), left, right, tile=tile, progress=False)
    assert_close(found, subject.make()(left, right), "gram(k, X, Y) in tiles", kind="rounding")


# asymmetric

#: Words that say which side is which, in a docstring.
_ROLES = (
    ("quer", "key"),
    ("left", "right"),
    ("source", "target"),
    ("input", "weight"),
    ("row", "column"),
    ("sender", "receiver"),
    ("context", "target"),
    ("past", "future"),
)


@law("kernel", "asymmetric", applies=exact)
def asymmetric_sides_have_different_roles(subject: Subject) -> None:
    """k(Y, X) is not the transpose of k(X, Y) on the example: the sides really differ."""
    X = subject.X
    left, right = two_sides(X)
    K, back = values(subject.make()(left, right)), adjoint(subject.make()(right, left))
    if K.shape != back.shape:
        return  # blocks that are not square: the sides differ
    difference, size = float(np.abs(K - back).max()), float(np.abs(K).max())
    assert difference > tolerance(K).value * size, (
        f"k(Y, X) is the transpose of k(X, Y) to {difference:.3g}: nothing about the kernel is asymmetric"
    )


@law("kernel", "asymmetric")
def asymmetric_is_not_called_symmetric(subject: Subject) -> None:
    """What is declared asymmetric is declared neither symmetric nor psd."""
    both = subject.capabilities & {"symmetric", "psd", "cpd"}
    assert not both, f"asymmetric and {', '.join(sorted(both))} are declared at once"


@law("kernel", "asymmetric")
def asymmetric_names_its_roles(subject: Subject) -> None:
    """The object says which side is which: by ``roles``, two words for X and Y, or in its docstring."""
    obj = subject.make()
    roles = getattr(obj, "roles", None)
    if roles is not None:
        words = [word for word in roles if isinstance(word, str) and word.strip()]
        assert len(words) == 2, f"roles is {roles!r}, expected two words, for X and for Y"
        assert words[0] != words[1], f"roles are {roles!r}: both sides have the same one"
        return
    text = " ".join(filter(None, (obj.__doc__, type(obj).__call__.__doc__))).lower()
    assert any(a in text and b in text for a, b in _ROLES), (
        "neither an attribute roles nor the docstring says which side is which, such as queries and keys"
    )


@law("kernel", "asymmetric", generated=True, applies=offers("features_left", "features_right"))
def asymmetric_features_multiply_to_the_kernel(subject: Subject, X: Any) -> None:
    """features_left(X) features_right(Y)^H = k(X, Y); of random features, on average."""
    if "random_features" in subject.capabilities:
        raise NotApplicable("the features estimate k: the laws of random_features test them")
    left, right = two_sides(X)
    obj = subject.make()
    for a, b in ((left, right), (right, left)):
        found = feature_product(obj.features_left(a), obj.features_right(b))
        assert_close(found, obj(a, b), "features_left(X) features_right(Y)^H")


# fitted


def _fit(obj: Any, X: Any, y: Any) -> Any:
    return obj.fit(X) if y is None else obj.fit(X, y)


def _unfitted(subject: Subject) -> Any:
    obj = subject.make()
    if not hasattr(obj, "get_params"):
        raise NotApplicable("an object without get_params cannot be cloned without its fit")
    return clone(obj)


@law("kernel", "fitted")
def fitted_is_refused_before_fit(subject: Subject) -> None:
    """A clone, which is not fitted, raises NotFittedError when it is called."""
    obj = _unfitted(subject)
    raised: Exception | None = None
    try:
        obj(subject.X)
    except Exception as error:
        raised = error
    # scikit-learn's own is as good as kernreg's
    names = [cls.__name__ for cls in type(raised).__mro__]
    assert "NotFittedError" in names, f"before fit, k(X) raised {raised!r}; NotFittedError is expected"


@law("kernel", "fitted")
def fitted_fit_returns_the_object(subject: Subject) -> None:
    """fit(X, y) returns the object itself."""
    obj = _unfitted(subject)
    found = _fit(obj, subject.X, subject.y)
    assert found is obj, f"fit returned {type(found).__name__} {found!r:.60}, expected the object itself"


@law("kernel", "fitted")
def fitted_gives_values_after_fit(subject: Subject) -> None:
    """After fit, k(X) and k(X, Y) have finite values, also for items that were not fitted on."""
    obj = _fit(_unfitted(subject), subject.X, subject.y)
    left, right = two_sides(subject.X)
    for K, shape in ((obj(subject.X), (length(subject.X),) * 2), (obj(left, right), (length(left), length(right)))):
        assert values(K).shape[:2] == shape, f"after fit, k has shape {values(K).shape}, expected {shape}"
        assert np.isfinite(values(K)).all(), "after fit, k has values that are not finite"


@law("kernel", "fitted", applies=exact)
def fitted_again_forgets_the_first_fit(subject: Subject) -> None:
    """fit on other data, then on X, gives the values of one fit on X."""
    X, y = subject.X, subject.y
    once = values(_fit(_unfitted(subject), X, y)(X))
    half = range((length(X) + 1) // 2)
    obj = _fit(_unfitted(subject), take(X, half), None if y is None else take(y, half))
    obj(X)
    assert_close(_fit(obj, X, y)(X), once, "k(X) after a second fit", kind="rounding")


@law("kernel", "fitted")
def fitted_leaves_data_and_parameters_alone(subject: Subject) -> None:
    """fit changes neither X nor y nor the parameters."""
    X = take(subject.X, range(length(subject.X)))
    y = None if subject.y is None else take(subject.y, range(length(subject.y)))
    obj = _unfitted(subject)
    before, params = (content(X), content(y)), obj.get_params(deep=False)
    _fit(obj, X, y)
    assert content(X) == before[0], "fit changed X"
    assert content(y) == before[1], "fit changed y"
    changed = [name for name, value in obj.get_params(deep=False).items() if value is not params[name]]
    assert not changed, f"fit changed the parameters {', '.join(changed)}: what is learnt ends in an underscore"


@law("kernel", "fitted", applies=exact)
def fitted_survives_pickle(subject: Subject) -> None:
    """A pickled copy of a fitted kernel is fitted, and gives the same bits."""
    obj = _fit(_unfitted(subject), subject.X, subject.y)
    K = values(obj(subject.X))
    try:
        again = values(pickle.loads(pickle.dumps(obj))(subject.X))
    except Exception as error:
        raise AssertionError(f"a pickled fitted kernel raised {type(error).__name__}: {error}") from error
    assert_same(again, K, "k(X) of a pickled copy")


# gram_map


def _inner(obj: Any) -> Any:
    """The Gram matrices that `obj` maps: of its parameter ``kernel``, else of inner products."""
    base = getattr(obj, "kernel", None)
    if callable(base):
        return base

    def products(X: Any, Y: Any) -> Any:
        return X.reshape(len(X), -1) @ Y.reshape(len(Y), -1).T

    return products


def _on_rows(subject: Subject) -> bool:
    return subject.domain in ARRAY_RANK


@law("kernel", "gram_map", generated=True, applies=all_of(_on_rows, exact))
def gram_map_of_one_matrix(subject: Subject, X: Any) -> None:
    """from_gram(Kxx) is k(X) on the data whose Gram matrix Kxx is."""
    obj = subject.make()
    assert_close(obj.from_gram(_inner(obj)(X, X)), subject.make()(X), "from_gram(Kxx)")


@law("kernel", "gram_map", generated=True, applies=all_of(_on_rows, exact))
def gram_map_of_two_sides(subject: Subject, X: Any) -> None:
    """from_gram(Kxx, Kxy, Kyy) is k(X, Y) on the data whose Gram matrices these are."""
    obj = subject.make()
    inner = _inner(obj)
    for left, right in (two_sides(X), two_sides(X)[::-1]):
        found = obj.from_gram(inner(left, left), inner(left, right), inner(right, right))
        assert_close(found, subject.make()(left, right), "from_gram(Kxx, Kxy, Kyy)")


@law("kernel", "gram_map", applies=all_of(_on_rows, declares("symmetric")))
def gram_map_is_symmetric(subject: Subject) -> None:
    """from_gram(Kxx) of a symmetric kernel is symmetric bit for bit."""
    obj = subject.make()
    G = values(_inner(obj)(subject.X, subject.X))
    G = np.triu(G) + np.conj(np.triu(G, 1)).T
    K = obj.from_gram(subject.X.new_tensor(G) if is_torch(subject.X) else G)
    assert_same(adjoint(K), values(K), "from_gram(Kxx) and its transpose")


@law("kernel", "gram_map", applies=_on_rows)
def gram_map_leaves_its_matrices_alone(subject: Subject) -> None:
    """from_gram changes none of its matrices."""
    obj = subject.make()
    inner = _inner(obj)
    left, right = two_sides(subject.X)
    matrices = [inner(left, left), inner(left, right), inner(right, right)]
    before = [content(G) for G in matrices]
    obj.from_gram(*matrices)
    obj.from_gram(matrices[0])
    for name, G, was in zip(("Kxx", "Kxy", "Kyy"), matrices, before, strict=True):
        assert content(G) == was, f"from_gram changed {name}"


# operator


def _inputs(subject: Subject) -> Any:
    torch = torch_or_skip()
    X = subject.X
    if not is_torch(X):
        X = torch.tensor(np.asarray(X, dtype=np.float64))
    return X.detach().double()


def _layer(subject: Subject) -> tuple[Any, Any, Any]:
    """The object, its module in double precision, and an input."""
    X = _inputs(subject)
    obj = subject.make()
    return obj, obj.layer().double().eval(), X


@law("kernel", "operator")
def operator_layer_is_a_module(subject: Subject) -> None:
    """layer() is a torch.nn.Module that takes the example's items."""
    torch = torch_or_skip()
    obj = subject.make()
    module = obj.layer()
    assert isinstance(module, torch.nn.Module), f"layer() is a {type(module).__name__}, expected a torch.nn.Module"
    assert not isinstance(obj, torch.nn.Module), "the kernel itself is a torch.nn.Module: layer() gives that"
    with torch.no_grad():
        out = module.double()(_inputs(subject))
    assert is_torch(out), f"the module gives a {type(out).__name__}, expected a tensor"
    assert len(out) == length(subject.X), f"the module gives {len(out)} outputs for {length(subject.X)} items"
    assert bool(torch.isfinite(out).all()), "the module gives values that are not finite"


@law("kernel", "operator")
def operator_applies_its_dense_matrix(subject: Subject) -> None:
    """The module's output, flattened, is dense(shape) times its input, flattened, for each item."""
    obj, module, X = _layer(subject)
    dense = values(obj.dense(tuple(X.shape[1:])))
    flat = values(X).reshape(len(X), -1)
    assert dense.ndim == 2, f"dense has shape {dense.shape}, expected a matrix"
    assert dense.shape[1] == flat.shape[1], f"dense has shape {dense.shape}, the items have {flat.shape[1]} numbers"
    out, expected = values(module(X)).reshape(len(X), -1), flat @ dense.T
    if dense.dtype == np.float32 or any(str(p.dtype) == "torch.float32" for p in obj.layer().parameters()):
        out, expected = (
            out.astype(np.float32),
            expected.astype(np.float32),
        )  # made in single precision, so compared in it
    assert_close(out, expected, "the module's output")


@law("kernel", "operator")
def operator_is_linear(subject: Subject) -> None:
    """The module's output for 2.5 x - z is 2.5 times that for x, minus that for z."""
    _, module, X = _layer(subject)
    Z = X.flip(0) * 0.5
    expected = 2.5 * values(module(X)) - values(module(Z))
    assert_close(module(2.5 * X - Z), expected, "the module's output for 2.5 x - z")


@law("kernel", "operator")
def operator_acts_on_each_item_alone(subject: Subject) -> None:
    """The output for an item does not depend on the items beside it."""
    _, module, X = _layer(subject)
    each = np.concatenate([values(module(X[i : i + 1])) for i in range(len(X))])
    assert_close(each, values(module(X)), "the outputs for the items one by one", kind="rounding")


@law("kernel", "operator")
def operator_passes_gradients(subject: Subject) -> None:
    """Gradients pass through the module to its input, and to its parameters where it has any."""
    torch = torch_or_skip()
    _, module, X = _layer(subject)
    X = X.clone().requires_grad_()
    out = module(X)
    assert out.requires_grad, "the output carries no gradient"
    out.pow(2).sum().backward()
    assert X.grad is not None, "no gradient reached the input"
    assert bool(torch.isfinite(X.grad).all()), "the gradient in the input is not finite"
    missing = [name for name, p in module.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing, f"no gradient reached the parameters {', '.join(missing)}"
