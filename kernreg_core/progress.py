"""A progress bar where somebody looks, nothing where nobody does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from .arrays import describe
from .errors import ParameterError


class Progress:
    """Counts finished tiles, or other pieces of work: on a tqdm bar, through a callable, or silently.

    Parameters
    ----------
    total : int
    show : bool, callable or None
        None shows a bar if stderr is a terminal and there is more than one tile.
    what, unit : str
        What stands on the bar.
    """

    def __init__(
        self,
        total: int,
        show: bool | Callable[[int, int], object] | None,
        *,
        what: str = "Gram matrix",
        unit: str = "tile",
    ) -> None:
        if not (show is None or isinstance(show, bool) or callable(show)):
            raise ParameterError(f"progress: expected True, False, None or a callable, got {describe(show)}")
        self.total = total
        self.done = 0
        self._call = show if callable(show) and not isinstance(show, bool) else None
        self._bar: Any = None
        if show is True or (show is None and total > 1 and _has_terminal()):
            from tqdm.auto import tqdm

            # a run that is over at once shows nothing, unless a bar was asked for
            self._bar = tqdm(total=total, desc=what, unit=unit, leave=False, delay=0.0 if show else 0.5)

    def advance(self) -> None:
        """One more tile is done."""
        self.done += 1
        if self._bar is not None:
            self._bar.update()
        if self._call is not None:
            self._call(self.done, self.total)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._bar is not None:
            self._bar.close()


def _has_terminal() -> bool:
    isatty = getattr(sys.stderr, "isatty", None)
    try:
        return bool(isatty and isatty())
    except ValueError:  # a closed stream
        return False
