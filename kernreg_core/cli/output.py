"""What several commands print with: the terminal's width, wrapped text, JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_answer: Any = None  # where print_json writes while standard output is kept for it


@contextmanager
def only_json(*, restore: bool) -> Iterator[None]:
    """Keep standard output for :func:`print_json`: whatever else is written to it goes to stderr.

    That holds for file descriptor 1 too, which a library in C, a child process or ``os.write`` writes to. Without
    `restore` it holds until the process ends: what a plugin prints at exit is no JSON either.
    """
    global _answer
    stdout = sys.stdout
    stdout.flush()
    kept, ours = _dup(1), _dup(1) if _descriptor(stdout) == 1 else None
    _answer = stdout if ours is None else os.fdopen(ours, "w", encoding=stdout.encoding)
    sys.stdout = sys.stderr
    if kept is not None:
        _point_to_stderr(1)
    try:
        yield
        _answer.flush()
    finally:
        if ours is not None:
            with suppress(OSError):  # a reader that has gone away is reported by the flush above
                _answer.close()
        _answer = None
        if restore:
            sys.stdout = stdout
            if kept is not None:
                os.dup2(kept, 1)
        if kept is not None:
            os.close(kept)


def _dup(descriptor: int) -> int | None:
    try:
        found = os.dup(descriptor)
    except OSError:  # closed by whoever started this process
        return None
    if found > 2:
        return found
    try:  # the place of a standard stream that is closed is not ours
        return _dup(descriptor)
    finally:
        os.close(found)


def _descriptor(stream: Any) -> int | None:
    try:
        found: int = stream.fileno()
    except (AttributeError, OSError, ValueError):  # no file stands behind it
        return None
    return found


def _point_to_stderr(descriptor: int) -> None:
    try:
        os.dup2(2, descriptor)
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


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

    text = json.dumps(data, indent=2, default=plain, ensure_ascii=False)
    target = sys.stdout if _answer is None else _answer
    try:
        text.encode(getattr(target, "encoding", None) or "utf-8")
    except UnicodeEncodeError:  # half a surrogate pair in a card, or a terminal of few characters
        text = json.dumps(data, indent=2, default=plain)
    print(text, file=target)


def wrapped(text: str, indent: str = "", hanging: str | None = None) -> str:
    """``text`` folded to the terminal's width behind ``indent``; one line where there is no terminal."""
    width = terminal_width()
    if width is None:
        return indent + text
    import textwrap

    after = indent if hanging is None else hanging
    return textwrap.fill(text, max(width, 40), initial_indent=indent, subsequent_indent=after, break_on_hyphens=False)
