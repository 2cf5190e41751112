"""Start-up against ``import numpy``: wall time of fresh processes, in alternation, from installed and compiled wheels.

Targets: ``list(kr.find())`` at most 0.6 and ``kernreg list`` at most 1.0 of ``import numpy``; 500 further entries in 10
distributions, each with cards, add less than 10 ms to the first ``find``; a second ``find`` takes less than 1 ms.

The wheels of the core and of every first-party plugin are installed by pip into a fresh environment. What they depend
on is read from the environment that runs this file, through a line in a .pth file, so no index is needed.
"""

from __future__ import annotations

import argparse
import compileall
import os
import re
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))
from repository import Environment, build_wheels, clean_environ, distributions, run

FIND = "import kernreg_core as kr; list(kr.find())"
#: Figure -> the largest value that passes.
TARGETS = {"find / numpy": 0.6, "kernreg list / numpy": 1.0, "500 more entries, ms": 10.0, "second find, ms": 1.0}
IN_PROCESS = """
import time
import kernreg_core as kr
kr.find  # resolves the name and imports the registry
start = time.perf_counter()
entries = len(list(kr.find()))
first = time.perf_counter() - start
times = []
for _ in range(50):
    start = time.perf_counter()
    list(kr.find())
    times.append(time.perf_counter() - start)
print(entries, first, sorted(times)[25])
"""


def prepare(folder: Path) -> Environment:
    """Environment with the wheel of every first-party distribution, compiled by pip."""
    wheels = build_wheels(list(distributions().values()), folder / "wheels")
    made = Environment.create(folder / "environment")
    made.install(*wheels.values(), dependencies=False)
    paths = made.execute("import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip()
    outside = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (Path(paths) / "dependencies.pth").write_text("\n".join(sorted(outside)) + "\n", encoding="utf-8")
    where = made.execute("import kernreg_core; print(kernreg_core.__file__)").stdout.strip()
    if not Path(where).is_relative_to(made.folder):
        raise SystemExit(f"the wheel is not what is imported, but {where}")
    return made


def write_distributions(folder: Path, count: int = 10, entries: int = 500) -> None:
    """Write ``count`` installed distributions with ``entries`` entries in all, each with a card, and compile them."""
    each = entries // count
    for d in range(count):
        package = folder / f"bulk_{d}"
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("", encoding="utf-8")
        cards = "\n".join(
            f'        Card(name="bulk{d}.entry_{i}", kind="kernel", summary="Entry number {i} of many.",'
            f'\n             domain="vectors", capabilities=frozenset({{"symmetric", "psd", "diag"}}),'
            f'\n             tags=frozenset({{"radial"}}), parameters={{"lengthscale": "positive, or one a feature"}}),'
            for i in range(each)
        )
        head = "from kernreg_core import Card, hookimpl\n\n@hookimpl\ndef kernreg_cards():\n    return [\n"
        (package / "cards.py").write_text(f"{head}{cards}\n    ]\n", encoding="utf-8")
        info = folder / f"bulk_{d}-1.0.dist-info"
        info.mkdir()
        metadata = f"Metadata-Version: 2.1\nName: bulk-{d}\nVersion: 1.0\nRequires-Dist: kernreg-core>=0.1,<1\n"
        (info / "METADATA").write_text(metadata, encoding="utf-8")
        lines = [f"bulk{d}.entry_{i} = bulk_{d}.kernels:Entry{i}" for i in range(each)]
        groups = ["[kernreg.plugins]", f"bulk = bulk_{d}.cards", "[kernreg.kernels]", *lines]
        (info / "entry_points.txt").write_text("\n".join(groups) + "\n", encoding="utf-8")
    compileall.compile_dir(str(folder), quiet=1)


def wall(command: Sequence[str], environ: dict[str, str], folder: Path) -> float:
    """Milliseconds of one process, from its start to its end."""
    start = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, env=environ, cwd=folder, check=True)
    return 1000 * (time.perf_counter() - start)


def alternate(commands: dict[str, Sequence[str]], rounds: int, folder: Path) -> dict[str, list[float]]:
    """Times of each command; the order turns with the round, and a first round warms the file cache."""
    names, times = list(commands), {name: [] for name in commands}
    environ = clean_environ()
    for turn in range(rounds + 1):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            taken = wall(commands[name], environ, folder)
            if turn:
                times[name].append(taken)
    return times


def in_process(made: Environment, bulk: Path, rounds: int) -> dict[str, float]:
    """Medians, in ms, of the first find with and without the bulk, and of a second find with it."""
    first: dict[str, list[float]] = {"without": [], "with": []}
    second, sizes = [], {}
    for _ in range(rounds):
        for name, variables in (("without", {}), ("with", {"PYTHONPATH": str(bulk)})):
            entries, once, again = made.execute(IN_PROCESS, **variables).stdout.split()
            sizes[name] = int(entries)
            first[name].append(1000 * float(once))
            if name == "with":
                second.append(1000 * float(again))
    if sizes["with"] - sizes["without"] != 500:
        raise SystemExit(f"the 500 further entries were not found: {sizes}")
    return {
        "entries": sizes["without"],
        "first find": statistics.median(first["without"]),
        "first find with 500 more": statistics.median(first["with"]),
        "second find": statistics.median(second),
    }


def import_profile(made: Environment, lines: int = 14) -> list[str]:
    """Modules that take most of the time of FIND, by their own time."""
    done = run([made.python, "-X", "importtime", "-c", FIND], cwd=made.folder, env=clean_environ())
    found = re.findall(r"import time:\s+(\d+) \|\s+(\d+) \|\s*(\S+)", done.stderr)
    rows = sorted(((int(own), int(all_), name) for own, all_, name in found), reverse=True)[:lines]
    return [
        f"  {own / 1000:6.1f} ms own  {all_ / 1000:6.1f} ms with what it imports  {name}" for own, all_, name in rows
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="runs of each command, at least 11 (default: 15)")
    rounds = max(11, parser.parse_args(argv).rounds)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        made = prepare(folder)
        write_distributions(folder / "bulk")
        commands = {
            "python -c pass": [made.python, "-c", "pass"],
            "import numpy": [made.python, "-c", "import numpy"],
            "find": [made.python, "-c", FIND],
            "kernreg list": [str(made.scripts / "kernreg"), "list"],
        }
        times = alternate(commands, rounds, made.folder)
        inside = in_process(made, folder / "bulk", rounds)
        profile = import_profile(made)
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(
        f"medians of {rounds} alternating runs, {os.cpu_count()} CPUs, {inside['entries']} entries installed as wheels"
    )
    for name, values in times.items():
        ratio = medians[name] / medians["import numpy"]
        span = f"({min(values):.1f} to {max(values):.1f})"
        print(f"  {name:16} {medians[name]:7.1f} ms  {span:18} {ratio:5.2f} of import numpy")
    for name in ("first find", "first find with 500 more", "second find"):
        print(f"  {name:25} {inside[name]:7.3f} ms, inside a process")
    figures = {
        "find / numpy": medians["find"] / medians["import numpy"],
        "kernreg list / numpy": medians["kernreg list"] / medians["import numpy"],
        "500 more entries, ms": inside["first find with 500 more"] - inside["first find"],
        "second find, ms": inside["second find"],
    }
    print("\nwhere the time of find goes (python -X importtime; the profile itself costs time)")
    print("\n".join(profile))
    print()
    for name, limit in TARGETS.items():
        print(f"{name:22} {figures[name]:7.3f}  target {limit:g}  {'met' if figures[name] <= limit else 'MISSED'}")
    return 0 if all(figures[name] <= limit for name, limit in TARGETS.items()) else 1


if __name__ == "__main__":
    raise SystemExit(main())
