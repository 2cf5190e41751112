"""A hash of what an object is: content, not identity. Same content, same fingerprint, in any process."""

from __future__ import annotations

import hashlib
import struct
import sys
from types import MethodType
from typing import Any

import numpy as np

from ._parts import capabilities_of
from .arrays import describe, is_sparse, is_torch
from .errors import FingerprintError
from .params import Parametrized, entropy


def fingerprint(obj: Any) -> str:
    """SHA-256 of the content of `obj`, in hexadecimal.

    Parameters
    ----------
    obj : object
        Scalars, strings, containers, NumPy arrays, torch tensors, scipy sparse matrices,
        DataFrames, NetworkX graphs, kernels and other objects with ``get_params``, classes and
        functions of an importable module, and anything with ``__kernreg_fingerprint__()``, which
        returns something of this list.

    Returns
    -------
    str
        64 characters. A kernel with ``rng`` enters with the integer it draws from, a fitted or
        trained object with what it has learnt.

    Raises
    ------
    FingerprintError
        If a part has no content that could be hashed; the message says which part.

    Examples
    --------
    >>> import numpy as np
    >>> import kernreg_core as kr
    >>> kr.fingerprint([1, 2.0]) == kr.fingerprint([1, 2.0])
    True
    >>> kr.fingerprint(np.zeros(2)) == kr.fingerprint(np.zeros(2, dtype="float32"))
    False
    """
    return _hash(obj, "object")


def _hash(obj: Any, path: str) -> str:
    digest = hashlib.sha256()
    _Hasher(digest).add(obj, path)
    return digest.hexdigest()


def _learnt(obj: Any) -> dict[str, Any]:
    """What ``fit`` or training left on an object: attributes that end in an underscore, and tensors."""
    found = {
        name: value
        for name, value in getattr(obj, "__dict__", {}).items()
        if name.endswith("_") and not name.startswith("_")
    }
    if "trainable" in capabilities_of(obj) and hasattr(obj, "state_dict"):
        found["state_dict()"] = dict(obj.state_dict())
    return found


class _Hasher:
    """Writes a prefix-free encoding of an object into a digest."""

    def __init__(self, digest: Any) -> None:
        self.digest = digest
        self.open: list[int] = []  # containers being written, against cycles

    def write(self, tag: str, data: bytes = b"") -> None:
        self.digest.update(tag.encode() + struct.pack("<xQ", len(data)) + data)

    def add(self, obj: Any, path: str) -> None:
        if self._scalar(obj) or self._array(obj, path):
            return
        if id(obj) in self.open:
            raise FingerprintError(f"{path}: contains itself")
        self.open.append(id(obj))
        try:
            if not (self._container(obj, path) or self._graph(obj, path) or self._own(obj, path)):
                raise FingerprintError(
                    f"{path}: {describe(obj)} has no content that could be hashed: give its class "
                    "__kernreg_fingerprint__(), which returns what identifies it"
                )
        finally:
            self.open.pop()

    def _scalar(self, obj: Any) -> bool:
        if isinstance(obj, np.generic) and obj.dtype.kind in "biufc":
            obj = obj.item()  # np.int64(2) and 2 are one value
        if obj is None or isinstance(obj, bool):
            self.write("constant", str(obj).encode())
        elif isinstance(obj, int):
            self.write("int", str(obj).encode())
        elif isinstance(obj, float):
            self.write("float", struct.pack("<d", obj))
        elif isinstance(obj, complex):
            self.write("complex", struct.pack("<dd", obj.real, obj.imag))
        elif isinstance(obj, str):
            self.write("str", obj.encode("utf-8", "surrogatepass"))
        elif isinstance(obj, (bytes, bytearray)):
            self.write("bytes", bytes(obj))
        else:
            return False
        return True

    def _numbers(self, array: np.ndarray, tag: str) -> None:
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        self.write(tag, f"{little.dtype.str}{array.shape}".encode())
        self.write("data", np.ascontiguousarray(little).tobytes())

    def _array(self, obj: Any, path: str) -> bool:
        if is_torch(obj):
            tensor = obj.detach().cpu()
            if tensor.layout is not sys.modules["torch"].strided:
                raise FingerprintError(f"{path}: a sparse tensor; convert it with .to_dense()")
            self.write("tensor", str(tensor.dtype).encode())
            if "bfloat16" in str(tensor.dtype):
                tensor = tensor.float()  # exact, and NumPy has no such dtype
            self._numbers(tensor.resolve_conj().resolve_neg().numpy(), "ndarray")
        elif is_sparse(obj):
            csr = obj.tocsr(copy=True)
            csr.sum_duplicates()
            self.write("sparse", str(csr.shape).encode())
            for part in (csr.data, csr.indices.astype(np.int64), csr.indptr.astype(np.int64)):
                self._numbers(part, "ndarray")
        elif isinstance(obj, np.ma.MaskedArray):
            self.write("masked")
            self._numbers(np.ma.getmaskarray(obj), "ndarray")
            self.add(obj.filled(), path)
        elif isinstance(obj, np.ndarray):
            if obj.dtype.kind in "OV":
                self.write("objects", f"{obj.dtype}{obj.shape}".encode())
                for i, item in enumerate(obj.ravel().tolist()):
                    self.add(item, f"{path}[{i}]")
            else:
                self._numbers(obj, "ndarray")
        else:
            return False
        return True

    def _container(self, obj: Any, path: str) -> bool:
        if isinstance(obj, (list, tuple)):
            self.write(type(obj).__name__, str(len(obj)).encode())
            for i, item in enumerate(obj):
                self.add(item, f"{path}[{i}]")
        elif isinstance(obj, dict):
            self.write("dict", str(len(obj)).encode())
            # equal dictionaries may differ in order, so the order is that of the keys' own hashes
            for _, key in sorted(((_hash(key, f"{path}, key {key!r}"), key) for key in obj), key=lambda pair: pair[0]):
                self.add(key, f"{path}, key {key!r}")
                self.add(obj[key], f"{path}[{key!r}]")
        elif isinstance(obj, (set, frozenset)):
            # an order of their own would depend on the process
            self.write("set", "".join(sorted(_hash(item, f"{path}, item {item!r}") for item in obj)).encode())
        elif hasattr(obj, "iloc") and hasattr(obj, "columns"):
            self.write("frame")
            self.add([str(column) for column in obj.columns], f"{path}.columns")
            self.add(obj.to_numpy(), f"{path}.values")
        else:
            return False
        return True

    def _graph(self, obj: Any, path: str) -> bool:
        networkx = sys.modules.get("networkx")
        if networkx is None or not isinstance(obj, networkx.Graph):
            return False
        self.write("graph", f"{obj.is_directed()} {obj.is_multigraph()}".encode())
        self.add(dict(obj.graph), f"{path}.graph")
        self.add([(node, dict(data)) for node, data in obj.nodes(data=True)], f"{path}.nodes")
        self.add([(u, v, dict(data)) for u, v, data in obj.edges(data=True)], f"{path}.edges")
        return True

    def _own(self, obj: Any, path: str) -> bool:
        if isinstance(obj, MethodType):
            self.write("method", obj.__name__.encode())
            self.add(obj.__self__, f"{path}.__self__")
            return True
        if isinstance(obj, type) or (hasattr(obj, "__qualname__") and hasattr(obj, "__module__") and callable(obj)):
            if "<" in obj.__qualname__ or obj.__module__ == "__main__":
                return False  # a lambda, a local function, a notebook's: the name does not say what it does
            self.write("name", f"{obj.__module__}:{obj.__qualname__}".encode())
            return True
        if hasattr(obj, "__kernreg_fingerprint__"):
            self.write("own", f"{type(obj).__module__}:{type(obj).__qualname__}".encode())
            self.add(obj.__kernreg_fingerprint__(), f"{path}.__kernreg_fingerprint__()")
            return True
        if hasattr(obj, "get_params"):
            self.write("params", f"{type(obj).__module__}:{type(obj).__qualname__}".encode())
            params = dict(obj.get_params(deep=False))
            if "rng" in params and isinstance(obj, Parametrized):
                params["rng"] = entropy(obj)
            params.update(_learnt(obj))
            for name in sorted(params):
                self.write("name", name.encode())
                self.add(params[name], f"{path}.{name}")
            return True
        return False
