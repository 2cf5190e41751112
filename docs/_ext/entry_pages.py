"""Sphinx extension: a page for each installed entry, made from its card and its docstring, and an index of them all.

The pages are written to ``docs/entries`` before Sphinx looks for sources, and beside them a table of each closed
vocabulary and of the recorded claims, which the guides include. They are reStructuredText, since the docstrings they
show are.
"""

from __future__ import annotations

import re
import shutil
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from verified import verified_table

import kernreg_core as kr
from kernreg_core import vocabulary
from kernreg_core.cli.show import usage

FIRST_PARTY = "kernreg-"
SHARED = ("kernreg_core.base", "kernreg_core.params")  # what every kernel has; see docs/api.md
INTERNAL = {"check_parameters", "evaluate", "into", "parts", "prepare", "result_dtype"}
CODE = re.compile(r"(``.*?``|`[^`]+`)")
CITED = re.compile(r"\[(\d+)\]_")
DIRECTIVE = re.compile(r"\s*\.\. [\w-]+::")
FITTED = re.compile(r"(?<=\w)_(?!\w)")
PAPER = re.compile(r"^(\s*\.\. )\[(\d+)\] ")
INITIAL = re.compile(r"^(\s*\.\. \[[\w#-]+\] \w)\.(?= )")
GROUPS = {"kernel": "kernreg.kernels", "sampler": "kernreg.samplers", "solver": "kernreg.solvers"}


def setup(app: Any) -> dict[str, Any]:
    """Register the extension with Sphinx."""
    app.connect("config-inited", lambda app, config: write_pages(Path(app.srcdir) / "entries"))
    app.connect("autodoc-process-docstring", escape_markup)
    return {"parallel_read_safe": True}


def escape_markup(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Keep what docstrings mean as text: |x - y| is no substitution, coef_ no link, "N. Aronszajn" no list item.

    Papers get numbers of their own, so that docstrings on one page may each begin with [1].
    """
    label = "#" + re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") + "-"
    block: int | None = None  # indentation of the line that opened a literal or mathematical block
    example = False
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if block is not None and line.strip() and indent <= block:
            block = None
        example = bool(line.strip()) and (example or line.lstrip().startswith(">>>"))
        opens = line.rstrip().endswith("::") or line.lstrip().startswith(".. math::")
        if block is None and opens:
            block = indent
        elif block is None and not example:
            lines[number] = _escaped(line, label)


def _escaped(line: str, label: str) -> str:
    parts = CODE.split(line)
    parts[::2] = [CITED.sub(rf"[{label}\1]_", part.replace("|", "\\|")) for part in parts[::2]]
    if not DIRECTIVE.match(line):
        parts[::2] = [FITTED.sub(r"\_", part) for part in parts[::2]]
    text = PAPER.sub(rf"\1[{label}\2] ", "".join(parts))
    return INITIAL.sub(r"\1\\.", text)


def write_pages(folder: Path) -> None:
    """Write the index and a page for each entry of a first-party distribution."""
    broken = [
        f"{plugin.name}: {plugin.error}" for plugin in kr.plugins() if plugin.status != "disabled" and plugin.error
    ]
    if broken:
        raise RuntimeError("the pages of entries need every plugin to work: " + "; ".join(broken))
    cards = sorted((card for card in kr.find() if card.plugin.startswith(FIRST_PARTY)), key=lambda card: card.name)
    targets = {
        (kind, point.name): point.value
        for kind, group in GROUPS.items()
        for point in metadata.entry_points(group=group)
    }
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "index.rst").write_text(index_page(cards), encoding="utf-8")
    for card in cards:
        text = entry_page(card, targets[card.kind, card.name])
        (folder / f"{card.name}.rst").write_text(text, encoding="utf-8")
    for name in ("DOMAINS", "CAPABILITIES", "TAGS"):
        rows = [(f"``{word}``", _plain(meaning)) for word, meaning in getattr(vocabulary, name).items()]
        text = "\n".join(_table(("word", "meaning"), rows, "25 75"))
        (folder / f"{name.lower()}.inc").write_text(text, encoding="utf-8")
    (folder / "verified.inc").write_text(verified_table(folder.parent / "verified.json"), encoding="utf-8")


def index_page(cards: list[Any]) -> str:
    """Return the index: a table for each kind and domain, and the hidden table of contents."""
    lines = [*_title("Entries", "="), "Every kernel, sampler and solver of the first-party plugins.", ""]
    for kind in GROUPS:
        of_kind = [card for card in cards if card.kind == kind]
        for domain in sorted({card.domain or "" for card in of_kind}):
            rows = [card for card in of_kind if (card.domain or "") == domain]
            lines += _title(
                f"{kind.capitalize()}s on {domain}" if domain else f"{kind.capitalize()}s on any domain", "-"
            )
            table = [(f":doc:`{card.name}`", _plain(card.summary), _words(card.capabilities)) for card in rows]
            lines += _table(("entry", "what it is", "capabilities"), table, "25 45 30")
    lines += [".. toctree::", "   :hidden:", "   :maxdepth: 1", ""]
    return "\n".join([*lines, *(f"   {card.name}" for card in cards), ""])


def entry_page(card: Any, target: str) -> str:
    """Return the page of one entry: its card, its docstring, its references and claims."""
    module, _, name = target.partition(":")
    lines = [*_title(card.name, "="), _plain(card.summary), ""]
    facts = {
        "kind": card.kind,
        "domain": card.domain or "any",
        "capabilities": _words(card.capabilities),
        "tags": _words(card.tags),
        "also called": _plain(", ".join(card.aliases)),
        "cost of a pair": card.pair_cost if card.kind == "kernel" else "",
        "distribution": f"{card.plugin} {card.version}",
    }
    lines += [".. list-table::", "   :widths: 20 80", ""]
    lines += [f"   * - {word}\n     - {text}" for word, text in facts.items() if text]
    lines += ["", ".. code-block:: python", "", *(f"   {line}".rstrip() for line in usage(card).splitlines()), ""]
    if card.parameters:
        lines += _table(
            ("parameter", "what it is"), [(f"``{p}``", _plain(text)) for p, text in card.parameters.items()], "25 75"
        )
    lines += [
        f".. autoclass:: {module}.{name}",
        f"   :members: {', '.join(_members(import_module(module), name))}",
        "",
    ]
    if card.references:
        lines += [*_title("Papers", "-"), *(f"- {_reference(found)}" for found in card.references), ""]
    if card.claims:
        rows = [
            (_plain(claim.statement), f"{claim.direction} {claim.threshold}", f"{claim.cost} s")
            for claim in card.claims
        ]
        lines += [*_title("Claims", "-"), *_table(("claim", "holds where measured", "cost"), rows, "60 25 15")]
    return "\n".join(lines)


def _members(module: Any, name: str) -> list[str]:
    """Public methods that the class has beyond every kernel's, its own or inherited within its plugin."""
    found: list[str] = []
    for cls in getattr(module, name).__mro__:
        if cls.__module__.startswith("kernreg_") and cls.__module__ not in SHARED:
            found += [key for key in vars(cls) if _is_shown(cls, key) and key not in found]
    return found


def _is_shown(cls: type, key: str) -> bool:
    """Whether an attribute is a public method that was written here, and not by a base class's machinery."""
    value = getattr(cls, key)
    ours = getattr(value, "__module__", "").startswith("kernreg_")
    return ours and callable(value) and not isinstance(value, type) and not key.startswith("_") and key not in INTERNAL


def _title(text: str, line: str) -> list[str]:
    return [text, line * len(text), ""]


def _plain(text: str) -> str:
    """Escape what reStructuredText would read as markup."""
    return re.sub(r"([\\*_|`])", r"\\\1", text)


def _words(words: Any) -> str:
    return ", ".join(f"``{word}``" for word in sorted(words))


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]], widths: str) -> list[str]:
    lines = [".. list-table::", "   :header-rows: 1", f"   :widths: {widths}", ""]
    for row in (head, *rows):
        lines += [f"   {'* -' if column == 0 else '  -'} {cell}" for column, cell in enumerate(row)]
    return [*lines, ""]


def _reference(found: Any) -> str:
    parts = [_plain(", ".join(found.authors)), f"*{_plain(found.title)}*", _plain(found.venue), str(found.year or "")]
    links = [
        f"`arXiv:{found.arxiv} <https://arxiv.org/abs/{found.arxiv}>`__" if found.arxiv else "",
        f"`doi:{found.doi} <https://doi.org/{found.doi}>`__" if found.doi else "",
        f"`link <{found.url}>`__" if found.url else "",
    ]
    return ", ".join(part for part in (*parts, *links) if part) + "."
