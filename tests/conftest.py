"""Settings that every test folder shares; each plugin's folder runs with this file and its own wheel alone."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import settings

# Time limits per example fail on a busy machine. Examples are drawn alike in every run: a failure can be repeated.
settings.register_profile("kernreg", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("kernreg")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the variables that would change what the registry shows; KERNREG_DATA says where data is and stays."""
    for name in [name for name in os.environ if name.startswith("KERNREG_") and name != "KERNREG_DATA"]:
        monkeypatch.delenv(name)


def pytest_report_header(config: pytest.Config) -> str:
    """Say which interpreter runs, since the same folders run in several environments."""
    return f"interpreter: {sys.executable}"
