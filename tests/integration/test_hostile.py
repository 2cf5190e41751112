"""Hostile plugins, really installed: every query is answered, no sound entry is lost, doctor names each with a cure.

``evil-os-exit`` ends any process that loads it, which nothing in that process can prevent: it is disabled here, except
for doctor, which loads plugins in processes of their own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from repository import CORE, Environment, build_wheels, hostile, package

pytestmark = pytest.mark.wheels

MANY = 10_000
DEADLY = "evil-os-exit"
#: What waits: each on its own has a test, the others need not wait for it.
SLOW = ("evil-sleeps", "evil-threads")
SOUND = {"core.sum", "core.product", "core.power", "core.scaled", "core.normalized", "acme.cosine", "acme.triangle"}
#: Distribution -> the status that the registry gives it, and words of the error.
FAILURES = {
    "evil-raises": ("broken", "Unspeakable"),
    "evil-exits": ("broken", "SystemExit: evil-exits is done"),
    "evil-future": ("incompatible", ">=99"),
    "evil-hook": ("broken", "PluginValidationError"),
    "evil-hook-raises": ("broken", "ZeroDivisionError"),
    "evil-strings": ("broken", "got a list with 'evil.strings'"),
    "evil-generator": ("broken", "got generator"),
    "evil-none": ("broken", "got NoneType"),
    "evil-fields": ("broken", "references: expected a tuple of Reference"),
    "evil-stray": ("broken", "'acme.triangle' has no entry point"),
    "evil-double": ("broken", "two cards for 'evil.double'"),
    "evil-absent": ("broken", "evil_absent.cards_that_are_not_there"),
}
#: Distribution -> words of what doctor says, and words of the cure.
DIAGNOSES = {
    **{name: (error, f"KERNREG_DISABLE={name}") for name, (_, error) in FAILURES.items()},
    "evil-exits": ("SystemExit", "must never end the interpreter"),
    "evil-future": ("incompatible: needs kernreg-core >=99", "pip install --upgrade kernreg-core"),
    "evil-hook": ("PluginValidationError", "def kernreg_cards()"),
    "evil-strings": ("must return a list of Card", "one Card at most for each entry point"),
    "evil-absent": ("ModuleNotFoundError", "must name a module that the distribution holds"),
    "evil-os-exit": ("ended its interpreter with exit code 7", "KERNREG_DISABLE=evil-os-exit"),
    "evil-prints": ("prints to standard output: 'EVIL", "must print nothing"),
    "evil-heavy": ("its light module imports", "inside the module that needs them"),
    "evil-sleeps": (" ms to import", "python -X importtime"),
    "evil-threads": (" ms to import", "do no work where cards are made"),
    "evil-lies": ("evil.boasts its card declares 'diag', but the object has no diag()", "take 'diag' off the card"),
    "evil-twin-one": ("evil.twin is offered by", 'plugin="evil-twin-one"'),
    "evil-names": ("entry point 'Evil.Upper' left out", "of the form family.name"),
    "evil-many": ("offers 10000 entries", "several distributions"),
    "evil-outside": ("example names os:getcwd, which is outside", "must name a function of evil_outside"),
    "evil-needs": ("needs a_library_that_nobody_has", "pip install a_library_that_nobody_has"),
    "evil-writes": ("hold characters that a terminal obeys", "control characters"),
}


def write_many(folder: Path) -> Path:
    """Source of a distribution with ten thousand entries, each with a card; too long to stand among the others."""
    names = [f"many.entry_{i}" for i in range(MANY)]
    (folder / "evil_many").mkdir(parents=True)
    (folder / "evil_many" / "__init__.py").write_text('"""Ten thousand entries."""\n')
    (folder / "evil_many" / "cards.py").write_text(
        "from kernreg_core import Card, hookimpl\n\n\n@hookimpl\ndef kernreg_cards():\n"
        "    return [Card(name=f'many.entry_{i}', kind='kernel', summary=f'Number {i}.', domain='vectors')\n"
        f"            for i in range({MANY})]\n"
    )
    (folder / "evil_many" / "kernels.py").write_text(
        "class Same:\n    def __call__(self, X, Y=None, /):\n        return X @ (X if Y is None else Y).T\n"
    )
    source = (hostile()["evil-strings"] / "pyproject.toml").read_text(encoding="utf-8")
    source = source.replace("evil-strings", "evil-many").replace("evil_strings", "evil_many")
    entries = "\n".join(f'"{name}" = "evil_many.kernels:Same"' for name in names)
    source = source.replace('"evil.strings" = "evil_many.kernels:Linear"', entries)
    (folder / "pyproject.toml").write_text(source, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def besieged(
    environment: Callable[[str], Environment], wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Environment:
    """Environment with the core, two sound third-party plugins and every hostile one."""
    sources = [*hostile().values(), write_many(tmp_path_factory.mktemp("many") / "evil-many")]
    built = build_wheels(sources, tmp_path_factory.mktemp("hostile"))
    assert set(built) == {package(name) for name in (*hostile(), "evil-many")}
    made = environment("besieged")
    made.install(wheels[CORE])
    # Without dependencies: pip itself would refuse evil-future.
    made.install(wheels["acme-cosine"], wheels["acme-cards"], *built.values(), dependencies=False)
    return made


def without(*names: str) -> dict[str, str]:
    """Environment variable that disables these and what must never be loaded."""
    return {"KERNREG_DISABLE": ",".join((DEADLY, *names))}


QUERIES = """
import json
import numpy as np
import kernreg_core as kr

report = {
    "names": kr.names("[!m]*"),
    "many": len(kr.find("many.*")),
    "records": {p.name: [p.status, p.error] for p in kr.plugins()},
    "json": len(json.dumps([p.to_dict() for p in kr.plugins()])),
    "filters": {
        "kind": len(kr.find(kind="kernel")), "domain": "acme.triangle" in kr.names(domain="vectors"),
        "capabilities": kr.names("acme.*", capabilities={"psd", "stationary"}),
        "text": kr.names(text="triangle"), "paper": kr.names(paper="Remarks on characteristic functions"),
        "plugin": kr.names(plugin="acme-*"), "tags": kr.names(tags="composite"),
    },
    "card": kr.card("acme.cosine").summary,
    "capabilities": sorted(kr.capabilities("acme.triangle")),
    "cite": kr.cite("acme.triangle"),
    "repr": len(repr(kr.find("evil.*"))), "html": len(kr.find("evil.*")._repr_html_()),
    "made": {}, "errors": {},
}
X = np.eye(2)[:, :1]
for name in ("acme.cosine", "acme.triangle", "evil.raises", "evil.exits", "evil.hook", "evil.sound_after_all"):
    report["made"][name] = kr.create(name)(X + 1.0).shape
report["made"]["core.sum"] = kr.create("core.sum", kr.create("acme.cosine"), kr.create("acme.triangle"))(X + 1.0).shape
for name in ("evil.twin", "evil.needs", "evil.twice", "evil.future", "evil.nothing"):
    try:
        kr.create(name)
    except kr.KernregError as error:
        report["errors"][name] = [type(error).__name__, str(error)]
from kernreg_core.registry import registry
card = kr.card("evil.outside")
for target in (card.example, card.claims[0].measure):
    try:
        registry.resource(card, target)
    except kr.PluginError as error:
        report["errors"][target] = [type(error).__name__, str(error)]
print("ANSWER" + json.dumps(report))
"""


@pytest.fixture(scope="module")
def answers(besieged: Environment) -> dict:
    """What one process answers while every hostile plugin that can be survived is loaded."""
    done = besieged.execute(QUERIES, **without())
    return json.loads(done.stdout.partition("ANSWER")[2].partition("\n")[0])


def test_every_query_is_answered_and_no_sound_entry_lost(answers: dict) -> None:
    assert set(answers["names"]) >= SOUND
    assert answers["many"] == MANY
    assert answers["filters"]["kind"] > MANY
    assert answers["filters"] == {
        **answers["filters"],
        "domain": True,
        "capabilities": ["acme.triangle"],
        "text": ["acme.triangle"],
        "paper": ["acme.triangle"],
        "plugin": ["acme.clash", "acme.cosine", "acme.triangle"],
        "tags": sorted(name for name in SOUND if name.startswith("core.")),
    }
    assert "angle" in answers["card"]
    assert answers["capabilities"] == ["normalized", "psd", "stationary", "symmetric"]
    assert "Remarks on characteristic functions" in answers["cite"]


def test_entries_of_broken_plugins_are_still_created(answers: dict) -> None:
    made = answers["made"]
    assert made == {name: [2, 2] for name in made}
    assert {"acme.cosine", "core.sum", "evil.raises"} < set(made)


@pytest.mark.parametrize("name", FAILURES)
def test_each_failure_is_kept_as_a_record(answers: dict, name: str) -> None:
    status, words = FAILURES[name]
    assert answers["records"][name][0] == status
    assert words in answers["records"][name][1]


def test_who_is_sound_has_no_failure_on_record(answers: dict) -> None:
    """A registration that fails leaves no hook behind, for which the next plugin would be blamed."""
    sound = {name for name in answers["records"] if name not in FAILURES and name != DEADLY}
    assert {name: answers["records"][name] for name in sound} == {name: ["ok", ""] for name in sound}
    assert {"kernreg-core", "acme-cards", "acme-cosine"} < sound


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("evil.twin", "NameConflictError", "evil-twin-two 6.6.6"),
        ("evil.needs", "MissingDependencyError", "pip install a_library_that_nobody_has"),
        ("evil.future", "UnknownNameError", "needs kernreg-core >=99"),
        ("evil.nothing", "UnknownNameError", "no installed plugin offers"),
        ("os:getcwd", "PluginError", "outside the distribution's own packages (evil_outside)"),
        ("os:getpid", "PluginError", "outside the distribution's own packages (evil_outside)"),
    ],
)
def test_errors_say_what_is_wrong(answers: dict, name: str, error: str, words: str) -> None:
    assert answers["errors"][name][0] == error
    assert words in answers["errors"][name][1]


def test_an_import_that_waits_for_a_thread_that_asks_does_not_deadlock(besieged: Environment) -> None:
    code = (
        "import json, sys\n{first}\nimport kernreg_core as kr\n"
        "names = kr.find('evil.threads', domain='vectors').names\n"
        "print(json.dumps([names, ['acme.triangle' in seen for seen in sys.modules['evil_threads.cards'].SEEN]]))"
    )
    for first in ("pass", "import evil_threads.cards"):  # by the registry, and before it
        start = time.monotonic()
        done = besieged.execute(code.format(first=first), KERNREG_PLUGINS="evil-threads,acme-cards")
        assert json.loads(done.stdout) == [["evil.threads"], [True, True]]  # the thread got the others' entries
        assert time.monotonic() - start < 30


def test_threads_that_ask_at_once_all_get_the_cards_of_a_slow_plugin(besieged: Environment) -> None:
    code = (
        "from concurrent.futures import ThreadPoolExecutor\nimport kernreg_core as kr\n"
        "with ThreadPoolExecutor(4) as pool:\n"
        "    found = list(pool.map(lambda _: kr.names('evil.sleeps', domain='vectors'), range(4)))\n"
        "print(found)\n"
    )
    done = besieged.execute(code, KERNREG_PLUGINS="evil-sleeps")
    assert done.stdout.strip() == str([["evil.sleeps"]] * 4)
    assert "KERNREG_DISABLE=evil-sleeps" in done.stderr  # the warning says who is slow


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("list", "[!m]*"), 0),
        (("list", "--domain", "vectors", "--text", "triangle"), 0),
        (("show", "acme.triangle"), 0),
        (("show", "evil.prints"), 0),
        (("show", "evil.writes"), 0),
        (("cite", "acme.triangle"), 0),
        (("plugins",), 1),
        (("plugins", "--no-load"), 1),
    ],
)
def test_json_is_all_that_stands_on_standard_output(
    besieged: Environment, arguments: tuple[str, ...], status: int
) -> None:
    done = besieged.kernreg(*arguments, "--json", expect=status, **without(*SLOW))
    assert json.loads(done.stdout)
    assert "EVIL" not in done.stdout
    if "--no-load" not in arguments:  # it ran: at import, by descriptor, in the hook, at exit, from a thread
        assert done.stderr.count("EVIL") >= 6


def test_what_is_printed_for_people_cannot_steer_their_terminal(besieged: Environment) -> None:
    done = besieged.kernreg("list", "evil.writes", KERNREG_PLUGINS="evil-writes", PYTHONIOENCODING="utf-8")
    assert "\x1b" not in done.stdout
    assert r"\ud800, \x1b[2J wiped, and a second line." in done.stdout
    assert "\x1b" not in besieged.kernreg("show", "evil.writes", KERNREG_PLUGINS="evil-writes").stdout


def test_what_plugins_shows_can_be_read_before_any_plugin_code_runs(besieged: Environment) -> None:
    code = (
        "import json, sys\nimport kernreg_core as kr\n"
        "records = [p.to_dict() for p in kr.plugins(load=False)]\n"
        "loaded = [name for name in sys.modules if name.startswith(('evil', 'acme'))]\n"
        "print(json.dumps([records, loaded, 'kernreg_core.cards' in sys.modules]))"
    )
    records, loaded, core = json.loads(besieged.execute(code).stdout)  # evil-os-exit is among them
    assert (loaded, core) == ([], False)
    by_name = {record["name"]: record for record in records}
    assert set(hostile()) | {"evil-many", "acme-cards", "acme-cosine", CORE} == set(by_name)
    assert by_name[DEADLY]["modules"] == ["evil_os_exit.cards"]
    assert by_name[DEADLY]["entries"] == [
        {"name": "evil.os_exit", "kind": "kernel", "target": "evil_os_exit.kernels:Linear"}
    ]
    assert by_name["evil-future"]["status"] == "incompatible"
    assert {by_name[name]["status"] for name in by_name if name != "evil-future"} == {"not loaded"}
    assert set(by_name[DEADLY]["requirement"].split(",")) == {">=0.1", "<1"}


@pytest.fixture(scope="module")
def diagnosis(besieged: Environment) -> dict:
    """Doctor's report with everything installed and nothing disabled."""
    return json.loads(besieged.kernreg("doctor", "--json", expect=1).stdout)


@pytest.mark.parametrize("name", DIAGNOSES)
def test_doctor_names_each_with_the_cure(diagnosis: dict, name: str) -> None:
    _assert_named(diagnosis, name)


def _assert_named(report: dict, name: str) -> None:
    words, cure = DIAGNOSES[name]
    own = [f for f in report["findings"] if f["is_problem"] and (f["plugin"] == name or name in f["text"])]
    assert any(words in f["text"] and cure in f["cure"] for f in own), own


def test_every_hostile_plugin_has_a_diagnosis_and_no_sound_one_a_problem(diagnosis: dict) -> None:
    assert set(hostile()) | {"evil-many"} == set(DIAGNOSES) | {"evil-twin-two"}
    assert {f["plugin"] for f in diagnosis["findings"]} <= {*DIAGNOSES, ""}
    assert all(f["cure"] for f in diagnosis["findings"])
    lies = [problem for problem in diagnosis["problems"] if problem.startswith("evil-lies")]
    assert [lie.split("'")[0].split()[1] + " " + lie.split("'")[1] for lie in lies] == [
        "evil.boasts diag", "evil.boasts features", "evil.differs psd", "evil.hollow matvec",
    ]  # fmt: skip
    for word in ("Evil.Upper", "evil names", "../../etc/passwd", "evil.naïve", "evil.twice", "__import__"):
        assert any(word in problem for problem in diagnosis["problems"]), word


@pytest.mark.parametrize("name", DIAGNOSES)
def test_doctor_alone_with_one_ends_with_1(besieged: Environment, name: str) -> None:
    allowed = "evil-twin-one,evil-twin-two" if name == "evil-twin-one" else name
    done = besieged.kernreg("doctor", "--json", expect=1, KERNREG_PLUGINS=allowed)
    _assert_named(json.loads(done.stdout), name)


def test_doctor_prints_problem_and_cure_for_people(besieged: Environment) -> None:
    done = besieged.kernreg("doctor", expect=1, KERNREG_PLUGINS="evil-exits")
    assert (
        "\n  - evil-exits: broken: SystemExit: evil-exits is done\n    cure: KERNREG_DISABLE=evil-exits" in done.stdout
    )


def test_doctor_is_content_once_they_are_disabled(besieged: Environment) -> None:
    report = json.loads(besieged.kernreg("doctor", "--json", **without(*DIAGNOSES, "evil-twin-two")).stdout)
    assert (report["problems"], report["warnings"]) == ([], [])
