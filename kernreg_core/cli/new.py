"""The command ``kernreg new``: a plugin to start from.

The skeleton is a whole plugin called acme-kernels, in files that end in ``.txt``; only its name is replaced. The guide
"Write a plugin" shows the same files.
"""

from __future__ import annotations

import keyword
import os
import re
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import NoReturn

from .._metadata import normalized
from ..errors import ParameterError
from ..vocabulary import FAMILIES, format_name
from . import OK
from .output import print_json

_DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
#: What the plugin itself imports, and its own folder of tests.
_IMPORTED = frozenset({"numpy", "torch", "pluggy", "hypothesis", "pytest", "test", "tests"})


@dataclass(frozen=True)
class Names:
    """The three names of a new plugin.

    Attributes
    ----------
    distribution : str
        What pip knows it by, and its folder: lower case, with hyphens.
    package : str
        What Python imports, and the family of its entries.
    entry : str
        Its first entry.
    """

    distribution: str
    package: str
    entry: str


def run(options: Namespace) -> int:
    """``kernreg new``."""
    names = names_for(options.name)
    folder = _target(Path(options.output), names)
    contents = render(names)
    _write(folder, contents)
    if options.json:
        print_json({"folder": str(folder), "files": list(contents), "entry": names.entry})
        return OK
    print(f"{folder}{os.sep}")
    for file in contents:
        print(f"    {file}")
    print("next:")
    for line in (f"cd {_quoted(folder)}", 'pip install -e ".[test]"', f"kernreg check {names.entry}", "pytest"):
        print(f"    {line}")
    return OK


def names_for(name: str) -> Names:
    """The names of a plugin whose distribution is called `name`.

    Raises
    ------
    ParameterError
        If no distribution, no package or no family of entries may be called so.

    Examples
    --------
    >>> names_for("Acme.Kernels")
    Names(distribution='acme-kernels', package='acme_kernels', entry='acme_kernels.cauchy')
    """
    if not _DISTRIBUTION.fullmatch(name):
        _refuse(name, "expected letters, digits and '-', '_' or '.' between them, such as acme-kernels")
    distribution = normalized(name)
    package = distribution.replace("-", "_")
    if distribution.partition("-")[0] == "kernreg":
        _refuse(
            name, "names that begin with 'kernreg' belong to kernreg's own distributions: begin with your project's"
        )
    if package in FAMILIES:
        whose = FAMILIES[package]
        _refuse(
            name, f"entries called '{package}.*' come from {whose}: choose another name, such as acme-{distribution}"
        )
    if not package.isidentifier() or keyword.iskeyword(package):
        _refuse(name, f"its package {package!r} could not be imported: begin with a letter, and take no Python keyword")
    if package in sys.stdlib_module_names or package in _IMPORTED:
        _refuse(name, f"its package {package!r} would hide the module of that name: choose a longer one")
    return Names(distribution, package, format_name(package, "cauchy"))


def render(names: Names) -> dict[str, str]:
    """The files of the new plugin: path inside its folder -> text."""
    sound = {"-": names.distribution, "_": names.package}

    def renamed(text: str) -> str:
        return re.sub("acme([-_])kernels", lambda found: sound[found[1]], text)

    skeleton = files(__package__).joinpath("skeleton")
    return dict(sorted((renamed(path), renamed(text)) for path, text in _read(skeleton)))


def _read(folder: Traversable, path: str = "") -> Iterator[tuple[str, str]]:
    """(path without ``.txt``, text) of each file of the skeleton."""
    for item in folder.iterdir():
        if item.is_dir():
            yield from _read(item, f"{path}{item.name}/")
        elif item.name.endswith(".txt"):
            yield path + item.name.removesuffix(".txt"), item.read_text(encoding="utf-8")


def _refuse(name: str, why: str) -> NoReturn:
    raise ParameterError(f"name: {why}; got {name!r}")


def _target(output: Path, names: Names) -> Path:
    """The folder to write, which must not be there, or be empty."""
    if not output.is_dir():
        raise ParameterError(f"--output: expected a folder that exists, got {str(output)!r}")
    folder = output.absolute() / names.distribution
    if os.path.lexists(folder) and (folder.is_symlink() or not folder.is_dir() or any(folder.iterdir())):
        raise ParameterError(
            f"name: {str(folder)!r} exists and nothing was written: choose another name, or another --output"
        )
    return folder


def _write(folder: Path, contents: dict[str, str]) -> None:
    """Write the files beside `folder` and move them there: it is complete, or as it was."""
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as beside:
        made = Path(beside) / folder.name  # made by mkdir: a temporary folder itself is closed to everybody else
        for path, text in contents.items():
            file = made / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8", newline="\n")
        if os.name == "nt" and folder.is_dir():
            folder.rmdir()  # Windows moves nothing onto a folder, be it empty
        made.rename(folder)


def _quoted(folder: Path) -> str:
    """`folder` as a shell takes it."""
    if os.name == "nt":
        return f'"{folder}"'
    import shlex

    return shlex.quote(str(folder))
