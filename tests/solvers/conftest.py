"""Lets the tests of this folder import the kernels in ``solver_kernels``, also from pickles."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
