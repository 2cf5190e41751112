"""What the laws about calls share: to whom they apply, items to call with, what a refusal is."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...arrays import ARRAY_RANK, is_numpy, is_torch, length
from ...base import BaseKernel
from ...errors import InputError, KernregError
from .._checks import NotApplicable
from .._subject import Subject, made
from ..items import assert_close, content, take, values

# To whom a law applies.


def has_values(subject: Subject) -> bool:
    """Whether k(X) exists: an operator may say that it has no Gram matrix."""
    if "operator" not in subject.capabilities:
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            subject.make()(subject.X)
    except Exception as error:
        return not isinstance(error, (KernregError, NotImplementedError))
    return True


def is_exact(subject: Subject) -> bool:
    """Whether two calls have to agree: values of a stochastic kernel vary."""
    return "stochastic" not in subject.capabilities and has_values(subject)


def is_kernreg(subject: Subject) -> bool:
    """Whether kernreg's own conventions hold: an entry, or an object with its base class."""
    return subject.card is not None or isinstance(made(subject), BaseKernel)


def checks_items(subject: Subject) -> bool:
    """Whether bad items have to be refused; a composite of foreign parts leaves that to them."""
    return is_kernreg(subject) and bool(subject.card is not None or made(subject).domain)


def takes_arrays(subject: Subject) -> bool:
    """Whether items are the rows of one NumPy array of floats."""
    X = subject.X
    return subject.domain in ARRAY_RANK and is_numpy(X) and X.dtype.kind == "f" and has_values(subject)


def compares_arrays(subject: Subject) -> bool:
    """:func:`takes_arrays`, and values can be compared."""
    return takes_arrays(subject) and is_exact(subject)


def checks_arrays(subject: Subject) -> bool:
    """:func:`takes_arrays`, and kernreg's conventions hold."""
    return takes_arrays(subject) and checks_items(subject)


def converts_arrays(subject: Subject) -> bool:
    """:func:`checks_arrays`, and values can be compared."""
    return compares_arrays(subject) and checks_items(subject)


def checks_lists(subject: Subject) -> bool:
    """Whether items stand in a list, and kernreg's conventions hold."""
    return subject.domain not in ARRAY_RANK and has_values(subject) and checks_items(subject)


def holds_tensors(X: Any) -> bool:
    """Whether the items are tensors: rows of one, or a list of them."""
    return any(map(is_torch, [X, *X] if isinstance(X, (list, tuple)) else [X]))


def takes_tensors(subject: Subject) -> bool:
    """Whether tensors are items: those of the example are, or autograd is declared."""
    if not has_values(subject):
        return False
    return is_torch(subject.X) or (checks_arrays(subject) and "differentiable" in subject.capabilities)


def compares_tensors(subject: Subject) -> bool:
    """:func:`takes_tensors`, and values can be compared."""
    return takes_tensors(subject) and is_exact(subject)


def nearness(subject: Subject) -> str:
    """What a call cut differently may change: a few ulp where kernreg promises it, else two ways to one value."""
    return "rounding" if is_kernreg(subject) else "value"


# Items.


def few(X: Any, count: int = 6) -> Any:
    """The first items: laws with many calls are to stay cheap."""
    return X[:count]


def duplicate(X: Any) -> Any:
    """Equal items that are other objects."""
    try:
        return copy.deepcopy(X)
    except Exception as error:
        raise NotApplicable(f"the items cannot be copied: {error}") from None


def backwards(X: Any) -> Any:
    """The items in the opposite order."""
    return take(X, range(length(X) - 1, -1, -1))


def snapshot(X: Any) -> object:
    """What the items hold, to be compared later; what libraries cache inside their objects is left out."""
    if isinstance(X, (list, tuple)):
        return [snapshot(item) for item in X]
    if type(X).__module__.startswith("networkx"):
        return pickle.dumps((X.graph, list(X.nodes(data=True)), list(X.edges(data=True))))
    try:
        return content(X)
    except Exception as error:
        raise NotApplicable(f"what the items hold cannot be compared: {error}") from None


def torch_or_skip() -> Any:
    """Torch, imported only where a law about tensors runs."""
    try:
        import torch
    except ImportError:
        raise NotApplicable("torch is not installed") from None
    return torch


def tensors(subject: Subject) -> Any:
    """The example's items as a tensor of their own."""
    torch = torch_or_skip()
    return subject.X.detach().clone() if is_torch(subject.X) else torch.tensor(subject.X)


# Assertions.


def assert_block(
    subject: Subject, block: Any, K: np.ndarray, rows: Sequence[int], columns: Sequence[int], what: str
) -> None:
    """Assert that `block` is the part of `K` at these places, near for the size of all of `K`."""
    block = values(block)
    expected = K[np.ix_(rows, columns)]
    assert block.shape == expected.shape, f"{what}: shape {block.shape}, expected {expected.shape}"
    whole = K.astype(np.result_type(K, block))
    whole[np.ix_(rows, columns)] = block
    assert_close(whole, K, what, kind=nearness(subject))


def assert_no_nan(K: Any, what: str) -> None:
    """Assert that no value is NaN; infinity, the right answer to an overflow, may stand."""
    bad = np.isnan(values(K))
    assert not bad.any(), f"{what}: {np.count_nonzero(bad)} of {bad.size} values are NaN"


def unless_refused(call: Callable[[], Any], what: str) -> Any:
    """What `call` gives; items outside the example's range may be refused, which is no answer to compare."""
    try:
        return call()
    except InputError as error:
        raise NotApplicable(f"{what} are refused: {error}") from None


def refusal(call: Callable[[], Any], what: str) -> str:
    """The message of the InputError with which `call` must refuse `what`."""
    try:
        K = call()
    except InputError as error:
        return str(error)
    except NotApplicable:
        raise
    except Exception as error:
        raise AssertionError(
            f"{what}: expected an InputError that says what is wrong, got {type(error).__name__}: {error}"
        ) from error
    shape = getattr(K, "shape", None)
    got = f"values of shape {tuple(shape)}" if shape is not None else f"a {type(K).__name__}"
    raise AssertionError(f"{what}: expected an InputError, got {got}")
