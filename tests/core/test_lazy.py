"""What importing and finding load: nothing heavy; every public name is there when it is asked for."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys

import pytest

import kernreg_core as kr

HEAVY = ("numpy", "scipy", "sklearn", "torch", "pennylane", "networkx", "pandas", "tqdm", "array_api_compat")


def loaded_after(code: str) -> list[str]:
    """Which heavy libraries a fresh interpreter has loaded after `code`."""
    # what a coverage tool or a startup file loads is not ours
    report = "print(json.dumps(sorted(set(sys.modules) - before)))"
    program = f"import sys, json; before = set(sys.modules)\n{code}\n{report}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    return [name for name in json.loads(done.stdout.splitlines()[-1]) if name in HEAVY]


@pytest.mark.parametrize(
    "code",
    [
        "import kernreg_core",
        "import kernreg_core as kr; list(kr.find())",
        "import kernreg_core as kr; repr(kr.find('core.*', kind='kernel', text='sum')); kr.names(); kr.plugins()",
        "import kernreg_core as kr; kr.card('core.sum').to_dict(); kr.cite('core.sum'); kr.capabilities('core.sum')",
        "import kernreg_core as kr; kr.find()._repr_html_(); kr.Card, kr.hookimpl, kr.Registry, kr.InputError",
        "import kernreg_core as kr\ntry: kr.create('euclidian.rfb')\nexcept LookupError as error: str(error)",
    ],
)
def test_looking_loads_nothing_heavy(code):
    assert loaded_after(code) == []


def test_creating_loads_what_the_entry_needs():
    assert "numpy" in loaded_after("import kernreg_core as kr; kr.load('core.sum')")


def test_every_public_name_resolves():
    for name in kr.__all__:
        assert getattr(kr, name) is not None
    assert set(kr.__all__) <= set(dir(kr))
    assert kr.numeric.__name__ == "kernreg_core.numeric"
    with pytest.raises(AttributeError, match="has no attribute 'no_such_name'"):
        kr.no_such_name  # noqa: B018


def test_functions_are_not_hidden_by_modules_of_the_same_name():
    from importlib import import_module
    from pkgutil import iter_modules

    for module in iter_modules(kr.__path__):
        if module.name not in ("__main__", "cli"):
            import_module(f"kernreg_core.{module.name}")
    for name in [
        "find",
        "gram",
        "matvec",
        "plan",
        "card",
        "spec",
        "fingerprint",
        "names",
        "register",
        "plugins",
        "cite",
    ]:
        found = getattr(kr, name)
        assert inspect.isroutine(found), name


def test_the_type_checkers_list_is_the_lazy_one():
    from pathlib import Path

    source = Path(kr.__file__).read_text(encoding="utf-8")
    stated = source.partition("if TYPE_CHECKING:")[2].partition("_HOME")[0]
    for name, module in kr._WHERE.items():
        assert f"from .{module} import" in stated
        assert name in stated
        assert name in kr.__all__
