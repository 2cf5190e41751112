"""Listing loads no heavy library: neither from installed wheels nor in the environment of the developers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from repository import Environment, clean_environ, run

HEAVY = {"numpy", "scipy", "sklearn", "torch", "pennylane", "networkx", "matplotlib", "pandas", "array_api_compat"}

LISTING = """
import json, sys
import kernreg_core as kr
{statement}
print(json.dumps(sorted({{name.split(".")[0] for name in sys.modules}})))
"""

STATEMENTS = (
    "kr",
    "list(kr.find())",
    "list(kr.find(kind='kernel', domain='vectors', capabilities={'psd'}, text='length'))",
    "kr.names()",
    "repr(kr.find())",
    "kr.find()._repr_html_()",
    "kr.plugins()",
    "kr.card('euclidean.rbf')",
    "kr.cite('euclidean.rbf')",
)


def _heavy_among(stdout: str) -> set[str]:
    return HEAVY & set(json.loads(stdout.splitlines()[-1]))


@pytest.mark.parametrize("statement", STATEMENTS)
def test_statement_loads_nothing_heavy_here(statement: str, tmp_path: Path) -> None:
    done = run([sys.executable, "-c", LISTING.format(statement=statement)], cwd=tmp_path, env=clean_environ())
    assert _heavy_among(done.stdout) == set()


@pytest.mark.wheels
@pytest.mark.parametrize("statement", STATEMENTS)
def test_statement_loads_nothing_heavy_from_wheels(statement: str, everything: Environment) -> None:
    assert _heavy_among(everything.execute(LISTING.format(statement=statement)).stdout) == set()


def _imported(stderr: str) -> set[str]:
    """Top-level names in what ``python -X importtime`` printed."""
    return {line.split("|")[2].strip().split(".")[0] for line in stderr.splitlines() if line.count("|") == 2}


@pytest.mark.parametrize("arguments", [("list",), ("list", "--json"), ("plugins",), ("show", "euclidean.rbf")])
def test_command_loads_nothing_heavy_here(arguments: tuple[str, ...], tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("kernreg")), *arguments]
    done = run(command, cwd=tmp_path, env=clean_environ(PYTHONPROFILEIMPORTTIME="1"))
    imported = _imported(done.stderr)
    assert "kernreg_core" in imported  # else the figure says nothing
    assert imported & HEAVY == set()


@pytest.mark.wheels
@pytest.mark.parametrize("arguments", [("list",), ("list", "--json"), ("plugins",), ("show", "euclidean.rbf")])
def test_command_loads_nothing_heavy_from_wheels(arguments: tuple[str, ...], everything: Environment) -> None:
    done = everything.kernreg(*arguments, PYTHONPROFILEIMPORTTIME="1")
    imported = _imported(done.stderr)
    assert "kernreg_core" in imported
    assert imported & HEAVY == set()


def test_tensor_is_recognised_without_torch(tmp_path: Path) -> None:
    code = (
        "import sys, numpy as np, kernreg_core as kr\n"
        "kernel = kr.create('euclidean.rbf')\n"
        "kernel(np.ones((2, 2)))\n"
        "print('torch' in sys.modules)\n"
    )
    assert run([sys.executable, "-c", code], cwd=tmp_path, env=clean_environ()).stdout.strip() == "False"
