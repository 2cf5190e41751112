"""Every exception the core raises, each catchable by the builtin a user would expect.

All derive from :class:`KernregError`. A message names the argument, what came, what was
expected and what to do.
"""

from __future__ import annotations


class KernregError(Exception):
    """Root of every exception raised by kernreg."""


class InputError(KernregError, ValueError):
    """Data passed to a kernel, sampler or solver is not what it takes."""


class ParameterError(KernregError, ValueError):
    """A parameter of an entry has a wrong name, type or value."""


class UnknownNameError(KernregError, LookupError):
    """No installed plugin offers the name."""


class NameConflictError(KernregError, LookupError):
    """Several distributions offer one name and none was chosen."""


class PluginError(KernregError, RuntimeError):
    """A plugin failed to load, or is not compatible with this core."""


class MissingDependencyError(PluginError, ImportError):
    """A library that the entry needs is not installed."""


class SpecError(KernregError, ValueError):
    """An object cannot be written as a spec, or a spec cannot be read."""


class FingerprintError(KernregError, TypeError):
    """A part of an object has no content that could be hashed."""


class GramMemoryError(KernregError, MemoryError):
    """A Gram matrix would not fit in memory."""


class NotFittedError(KernregError, ValueError, AttributeError):
    """A kernel with the capability ``fitted`` was used before ``fit``."""


class KernregWarning(UserWarning):
    """Root of every warning kernreg gives; its message says what silences it."""
