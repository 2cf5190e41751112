"""kernreg: find, create, trust and run kernels, samplers and solvers.

A kernel here is a similarity function k(x, y), not an operating system's kernel and not a GPU
kernel. Every public name is resolved when it is first used, so that importing this module, and
``find``, cost less than importing NumPy.
"""

from ._version import __version__

TYPE_CHECKING = False  # type checkers take it for true; typing need not be imported for it
if TYPE_CHECKING:
    from . import errors
    from ._card import Card, Claim, Reference
    from ._fingerprint import fingerprint
    from ._gram import gram, matvec, plan
    from ._spec import from_spec, spec
    from .api import (
        capabilities,
        card,
        cite,
        create,
        find,
        load,
        names,
        plugins,
        refresh,
        register,
        unregister,
    )
    from .base import BaseKernel, provides
    from .claims import Measurement, Verdict, Verification, verify
    from .composites import Normalized, Power, Product, Scaled, Sum, normalize
    from .errors import (
        FingerprintError,
        GramMemoryError,
        InputError,
        KernregError,
        KernregWarning,
        MissingDependencyError,
        NameConflictError,
        NotFittedError,
        ParameterError,
        PluginError,
        SpecError,
        UnknownNameError,
    )
    from .hookspecs import hookimpl
    from .listing import Listing
    from .params import Parametrized, clone
    from .protocols import Kernel, Sampler, Selector, Solver
    from .registry import Registry

_HOME = {
    "api": "capabilities card cite create find load names plugins refresh register unregister",
    "base": "BaseKernel provides",
    "_card": "Card Claim Reference",
    "claims": "Measurement Verdict Verification verify",
    "composites": "Normalized Power Product Scaled Sum normalize",
    "errors": "FingerprintError GramMemoryError InputError KernregError KernregWarning MissingDependencyError "
    "NameConflictError NotFittedError ParameterError PluginError SpecError UnknownNameError",
    "_fingerprint": "fingerprint",
    "_gram": "gram matvec plan",
    "hookspecs": "hookimpl",
    "listing": "Listing",
    "params": "Parametrized clone",
    "protocols": "Kernel Sampler Selector Solver",
    "registry": "Registry",
    "_spec": "from_spec spec",
}
_MODULES = ("errors", "numeric")
_WHERE = {name: module for module, names in _HOME.items() for name in names.split()}

__all__ = [
    "BaseKernel",
    "Card",
    "Claim",
    "FingerprintError",
    "GramMemoryError",
    "InputError",
    "Kernel",
    "KernregError",
    "KernregWarning",
    "Listing",
    "Measurement",
    "MissingDependencyError",
    "NameConflictError",
    "Normalized",
    "NotFittedError",
    "ParameterError",
    "Parametrized",
    "PluginError",
    "Power",
    "Product",
    "Reference",
    "Registry",
    "Sampler",
    "Scaled",
    "Selector",
    "Solver",
    "SpecError",
    "Sum",
    "UnknownNameError",
    "Verdict",
    "Verification",
    "__version__",
    "capabilities",
    "card",
    "cite",
    "clone",
    "create",
    "errors",
    "find",
    "fingerprint",
    "from_spec",
    "gram",
    "hookimpl",
    "load",
    "matvec",
    "names",
    "normalize",
    "plan",
    "plugins",
    "provides",
    "refresh",
    "register",
    "spec",
    "unregister",
    "verify",
]

if not TYPE_CHECKING:

    def __getattr__(name):
        from importlib import import_module

        if name in _WHERE:
            module = import_module(f".{_WHERE[name]}", __name__)
            for public in _HOME[_WHERE[name]].split():
                globals()[public] = getattr(module, public)
            return globals()[name]
        if name in _MODULES:
            return import_module(f".{name}", __name__)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def __dir__():
        return sorted([*globals(), *_WHERE, *_MODULES])
