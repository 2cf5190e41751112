"""Sphinx extension: tables of the laws that the conformance kit tests, from the laws themselves."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from entry_pages import _plain, _table

from kernreg_core.testing._checks import Check, all_checks


def setup(app: Any) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("config-inited", lambda app, config: write_tables(Path(app.srcdir) / "laws"))
    return {"parallel_read_safe": True}


def write_tables(folder: Path) -> None:
    """Write a table of the laws of each kind, those of every object first, then capability by capability."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    checks = all_checks()
    for kind in ("kernel", "sampler", "selector", "solver"):
        own = [check for check in checks if check.kind == kind]
        own.sort(key=lambda check: check.capability)  # stable: a topic's laws stay together
        rows = [
            (f"``{check.name}``", f"``{check.capability}``" if check.capability else "every", _law(check))
            for check in own
        ]
        text = f"{len(own)} laws.\n\n" + "\n".join(_table(("check", "for", "law"), rows, "30 15 55"))
        (folder / f"{kind}.inc").write_text(text, encoding="utf-8")


def _law(check: Check) -> str:
    return _plain(re.sub(r"``?", "", check.statement))
