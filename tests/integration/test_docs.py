"""The code in README and the guides runs as it stands."""

from __future__ import annotations

import os
import re
import shlex
import sys
from pathlib import Path

import pytest
from repository import ROOT, clean_environ, plugins, run

PAGES = [ROOT / "README.md", *(folder / "README.md" for folder in plugins().values()), *sorted(ROOT.glob("docs/*.md"))]
INSTALLS_THE_OTHER = re.compile(r"(pip|uv|conda|pipx|poetry) (pip )?(install|add) (.* )?kernreg(?![-_\w/])")
FOLLOWED = ROOT / "docs" / "plugin.md"  # its commands build on each other; test_new.py runs them
#: Warnings are errors, but for what GPyTorch does when it is imported.
STRICT = ("-W", "error", "-W", "ignore:`torch.jit.script` is deprecated:DeprecationWarning")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _blocks(page: Path, language: str) -> list[str]:
    return [body for found, body in FENCE.findall(page.read_text(encoding="utf-8")) if found == language]


def _pages_with(language: str, word: str = "") -> list:
    pages = [page for page in PAGES if any(word in block for block in _blocks(page, language))]
    pages = [page for page in pages if language == "python" or page != FOLLOWED]
    return [pytest.param(page, id=page.relative_to(ROOT).as_posix()) for page in pages]


@pytest.mark.parametrize("page", _pages_with("python"))
def test_python_blocks_run_in_order(page: Path, tmp_path: Path) -> None:
    script = tmp_path / "page.py"
    script.write_text("\n".join(_blocks(page, "python")), encoding="utf-8")
    run([sys.executable, *STRICT, str(script)], cwd=tmp_path, env=clean_environ(), timeout=300)


@pytest.mark.parametrize("page", _pages_with("sh", "kernreg "))
def test_commands_end_well(page: Path, tmp_path: Path) -> None:
    lines = [line for block in _blocks(page, "sh") for line in block.splitlines() if line.startswith("kernreg ")]
    folder = Path(sys.executable).parent
    environment = clean_environ(PATH=f"{folder}{os.pathsep}{os.environ['PATH']}")
    for line in lines:
        command = shlex.split(line, comments=True)
        # a minute of work each: the demo has its own test, and what the others run is in each plugin's tests
        if command[1] != "demo" and "--fast" not in command and "--plugin" not in command:
            run([str(folder / command[0]), *command[1:]], cwd=tmp_path, env=environment, timeout=300)


def test_nobody_is_told_to_install_the_public_kernreg() -> None:
    pages = [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert not INSTALLS_THE_OTHER.search(text), page


def test_every_public_name_of_the_core_is_documented() -> None:
    import kernreg_core as kr

    text = "".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("api.md", "protocols.md"))
    documented = set(re.findall(r":: kernreg_core\.(\w+)$", text, re.MULTILINE))
    composites = {"Sum", "Product", "Scaled", "Power", "Normalized"}  # have a page each
    protocols = {"Kernel", "Sampler", "Selector", "Solver"}  # have a page of their own
    assert set(kr.__all__) - documented - protocols - composites - {"__version__", "errors"} == set()
