"""Makes the modules of this folder importable by name, mutants and sound objects among them."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))  # sample_kernels

#: Tests that every law is kept by something and broken by something; some laws are about what these libraries do.
_WHOLE = ("test_mutation.py", "test_sound_")
_ABSENT = [name for name in ("torch", "scipy", "sklearn", "pandas") if find_spec(name) is None]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests of the whole kit where a library that some laws are about is absent."""
    skip = pytest.mark.skip(reason=f"the mutants and sound objects need {', '.join(_ABSENT)}")
    for item in items if _ABSENT else ():
        if item.path.parent == Path(__file__).parent and item.path.name.startswith(_WHOLE):
            item.add_marker(skip)
