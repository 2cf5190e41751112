"""What several commands print with: the terminal's width, wrapped text, JSON."""

from __future__ import annotations

import os
import sys
from typing import Any


def terminal_width() -> int | None:
    """Columns of the terminal behind standard output, or None where it is a pipe or a file: nothing is cut there."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else None
    except (AttributeError, OSError, ValueError):
        return None


def print_json(data: Any) -> None:
    """Print ``data`` as JSON; sets become sorted lists, what has no JSON form its text."""
    import json

    def plain(value: Any) -> Any:
        return sorted(value) if isinstance(value, (set, frozenset)) else str(value)

    print(json.dumps(data, indent=2, default=plain, ensure_ascii=False))


def wrapped(text: str, indent: str = "", hanging: str | None = None) -> str:
    """``text`` folded to the terminal's width behind ``indent``; one line where there is no terminal."""
    width = terminal_width()
    if width is None:
        return indent + text
    import textwrap

    after = indent if hanging is None else hanging
    return textwrap.fill(text, max(width, 40), initial_indent=indent, subsequent_indent=after, break_on_hyphens=False)
