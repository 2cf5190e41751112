"""The command ``kernreg``. Each command stands in its own module, imported when it is asked for.

``kernreg list`` must start faster than NumPy alone, so this module imports ``sys`` and nothing else, and the plain
``kernreg list`` does not pass through argparse.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

OK, PROBLEM, USAGE, UNKNOWN_NAME, NAME_CONFLICT, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 3, 4, 130, 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; ``kernreg --help`` lists both.

    Examples
    --------
    >>> main(["--version"])  # doctest: +ELLIPSIS
    kernreg 0...
    0
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a plugin's text may hold what this terminal cannot show
    try:
        code = _run(arguments, own_process=argv is None)
        sys.stdout.flush()  # a pipe that is closed shows here, not after main has returned
    except BrokenPipeError:
        _forget_output()
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        return _failed(error)
    return code


def _run(arguments: list[str], own_process: bool) -> int:
    if arguments == ["list"]:
        from .entries import run_plain

        return run_plain()
    from .parser import parse

    try:
        options = parse(arguments)
    except SystemExit as stop:  # argparse has printed the help or what is wrong
        return stop.code if isinstance(stop.code, int) else USAGE
    code: int
    if options.json:
        from .output import only_json

        with only_json(restore=not own_process):
            code = options.run(options)
    else:
        code = options.run(options)
    return code


def _failed(error: Exception) -> int:
    """Say in one or two lines what went wrong; the traceback shows with KERNREG_STRICT=1."""
    from ..discovery import strict
    from ..errors import KernregError, NameConflictError, ParameterError, UnknownNameError
    from ..listing import printable

    if strict():
        raise error
    lines = [line.rstrip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, KernregError):
        text = "\n".join(lines)
    else:
        text = f"{type(error).__name__}: {' '.join(lines)}\nKERNREG_STRICT=1 shows the traceback."
    print(f"kernreg: {printable(text)}", file=sys.stderr)
    codes = {UnknownNameError: UNKNOWN_NAME, NameConflictError: NAME_CONFLICT, ParameterError: USAGE}
    return next((code for kind, code in codes.items() if isinstance(error, kind)), PROBLEM)


def _forget_output() -> None:
    """Point standard output at nothing, or the interpreter complains about the closed pipe when it ends."""
    import os

    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
