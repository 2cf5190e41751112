"""What ``find`` returns: cards in a row that print as a table, in a terminal and in a notebook."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any, overload

from ._card import Card

_COLUMNS = ("name", "kind", "domain", "plugin", "summary")


class Listing(Sequence[Card]):
    """An immutable sequence of cards.

    Attributes
    ----------
    without_card : int
        Entries left out because a filter asked for what only a card says and they have none.
    """

    def __init__(self, cards: Sequence[Card], without_card: int = 0) -> None:
        self._cards = tuple(cards)
        self.without_card = without_card

    def __len__(self) -> int:
        return len(self._cards)

    @overload
    def __getitem__(self, index: int) -> Card: ...
    @overload
    def __getitem__(self, index: slice) -> Listing: ...
    def __getitem__(self, index: int | slice) -> Card | Listing:
        return Listing(self._cards[index], self.without_card) if isinstance(index, slice) else self._cards[index]

    def __iter__(self) -> Iterator[Card]:
        return iter(self._cards)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Listing) and self._cards == other._cards

    __hash__ = None  # type: ignore[assignment]

    @property
    def names(self) -> list[str]:
        """The names, in order."""
        return [card.name for card in self._cards]

    def footer(self) -> str:
        """How many there are, and how many were left out for want of a card."""
        count = f"{len(self)} {'entry' if len(self) == 1 else 'entries'}"
        if not self.without_card:
            return count
        return f"{count}; {self.without_card} without a card left out (kr.card(name) fills one)"

    def table(self, width: int | None = None) -> str:
        """The listing as plain text, `width` columns wide (None: as wide as it is)."""
        return text_table(_COLUMNS, [_cells(card) for card in self._cards], width)

    def __repr__(self) -> str:
        return f"{self.table(_terminal_width())}\n{self.footer()}" if self else self.footer()

    def _repr_html_(self) -> str:
        from html import escape

        head = "".join(f"<th style='text-align:left'>{column}</th>" for column in _COLUMNS)
        rows = "".join(
            "<tr>" + "".join(f"<td style='text-align:left'>{escape(cell)}</td>" for cell in _cells(card)) + "</tr>"
            for card in self._cards
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table><p>{escape(self.footer())}</p>"


def _cells(card: Card) -> tuple[str, ...]:
    plugin = f"{card.plugin} {card.version}".strip()
    return (card.name, card.kind, card.domain or "-", plugin, " ".join(card.summary.split()) or "-")


def _terminal_width() -> int:
    try:
        return max(60, os.get_terminal_size().columns)
    except OSError:
        return 120


def printable(text: str) -> str:
    r"""`text` with what a terminal would obey, or cannot encode, as escape sequences; line ends and tabs stay.

    Examples
    --------
    >>> print(printable("Schölkopf\x1b[2J"))
    Schölkopf\x1b[2J
    """
    if text.isprintable():
        return text
    import re

    unsafe = "[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]"
    return re.sub(unsafe, lambda found: ascii(found[0])[1:-1], text)


def text_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], width: int | None = None) -> str:
    """Left-aligned columns under a rule; the last one is cut where it passes `width`.

    Examples
    --------
    >>> print(text_table(("a", "b"), [("1", "two"), ("three", "4")]))
    a      b
    -----  ---
    1      two
    three  4
    """
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max([len(head), *(len(row[i]) for row in cells)]) for i, head in enumerate(columns)]
    lines = [columns, ["-" * size for size in widths], *cells]
    found = []
    for line in lines:
        text = "  ".join(cell.ljust(size) for cell, size in zip(line, widths, strict=True)).rstrip()
        if width is not None and len(text) > width:
            text = text[: max(0, width - 3)].rstrip() + "..." if width > 3 else text[:width]
        found.append(text)
    return "\n".join(found)
