"""Imports what nobody has."""

import a_library_that_nobody_has  # noqa: F401


class Linear:
    """Never made."""
