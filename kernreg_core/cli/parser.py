"""Arguments of every command."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from importlib import import_module

from ..vocabulary import CAPABILITIES, DOMAINS, KINDS, TAGS

_EPILOG = """\
exit codes:
  0    done
  1    something is wrong: a broken or incompatible plugin, a problem that doctor found, a demo that failed
  2    the command line is wrong
  3    no installed plugin offers the name
  4    several plugins offer the name; --plugin chooses
  130  interrupted
  141  the reader of the output has gone away (kernreg list | head -1)

environment:
  KERNREG_PLUGINS=a,b   load only these distributions
  KERNREG_DISABLE=a,b   never load these
  KERNREG_STRICT=1      raise what a plugin raises, and show tracebacks
"""
_LIST_EPILOG = """\
Filters are combined. A repeated --capability or --tag asks for all of them, a repeated NAME, --kind or --domain for
any of them.
An entry without a card is shown only where its name, kind and plugin answer the question.
"""


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; ``run`` of the result takes the result and returns an exit code."""
    parser = argparse.ArgumentParser(
        prog="kernreg",
        description="Find, describe and check the kernels, samplers and solvers of the installed plugins.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, help="show the version of kernreg-core and exit")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    _add_list(commands)
    _add_show_and_cite(commands)
    plugins = _add(commands, "plugins", "entries:run_plugins", "the installed plugins, working or not")
    plugins.add_argument("--no-load", action="store_true", help="read metadata alone: no code of any plugin runs")
    doctor = _add(commands, "doctor", "doctor:run", "check the installation; exit code 1 where there is a problem")
    doctor.add_argument(
        "--quick", action="store_true", help="leave out the objects: do not compare them with what their cards say"
    )
    doctor.add_argument(
        "--timeout", type=_positive, default=60.0, metavar="S", help="seconds for each plugin (default: %(default)g)"
    )
    _add_check_verify_new(commands)
    demo = _add(commands, "demo", "demo:run", "what is installed, then each plugin's demonstration on real data")
    demo.add_argument("--plugin", action="append", metavar="DIST", help="only this plugin's; may be repeated")
    demo.add_argument("--seed", type=_seed, default=0, metavar="N", help="seed of folds and samples (default: 0)")
    demo.add_argument(
        "--output",
        default="kernreg-demo.png",
        metavar="PATH",
        help="where the figure goes; a PNG of an earlier run is overwritten (default: %(default)s)",
    )
    return parser.parse_args(arguments)


class _Version(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest=argparse.SUPPRESS, default=argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from .._version import __version__

        print(f"kernreg {__version__}")
        parser.exit()


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, target: str, text: str, epilog: str = ""
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_deferred(target))
    return parser


def _deferred(target: str) -> Callable[[argparse.Namespace], int]:
    """Import the command's module only when it is run."""
    module, _, function = target.partition(":")

    def run(options: argparse.Namespace) -> int:
        code: int = getattr(import_module(f"{__package__}.{module}"), function)(options)
        return code

    return run


def _add_list(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _add(commands, "list", "entries:run", "the entries of the installed plugins", _LIST_EPILOG)
    parser.add_argument("names", nargs="*", metavar="NAME", help="a name or a pattern: 'euclidean.*', '*matern*'")
    parser.add_argument("--kind", action="append", choices=tuple(KINDS))
    parser.add_argument(
        "--domain", action="append", choices=tuple(DOMAINS), metavar="WORD", help="vectors, graphs, ..."
    )
    parser.add_argument(
        "--capability", action="append", choices=tuple(CAPABILITIES), metavar="WORD", help="psd, diag, features, ..."
    )
    parser.add_argument("--tag", action="append", choices=tuple(TAGS), metavar="WORD", help="radial, large_scale, ...")
    parser.add_argument("--plugin", metavar="DIST", help="a distribution, such as kernreg-euclidean")
    parser.add_argument("--paper", metavar="TEXT", help="arXiv id, DOI, or words of the title of a reference")
    parser.add_argument("--text", metavar="TEXT", help="words of the name, the summary or an alias")
    parser.add_argument(
        "--fields",
        type=_fields,
        metavar="A,B",
        help="columns: " + ", ".join(FIELDS),
    )
    parser.add_argument("--sort", choices=("name", "kind", "domain", "plugin"), default="name", help="default: name")
    parser.add_argument("--quiet", "-q", action="store_true", help="names alone, one a line")


def _add_show_and_cite(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    for name, target, text in (
        ("show", "show:run", "the whole card of one entry, and how to use it"),
        ("cite", "show:run_cite", "the papers of one entry, as BibTeX"),
    ):
        parser = _add(commands, name, target, text)
        parser.add_argument("name", metavar="NAME", help="such as euclidean.rbf; 'kernreg list' shows them")
        parser.add_argument("--plugin", metavar="DIST", help="chooses where several distributions offer the name")


def _add_check_verify_new(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    check = _add(commands, "check", "check:run", "test that entries keep what their cards declare")
    verify = _add(commands, "verify", "verify:run", "measure the claims of the papers behind entries again")
    for parser in (check, verify):
        parser.add_argument("names", nargs="*", metavar="NAME", help="a name or a pattern; every entry by default")
        parser.add_argument("--plugin", metavar="DIST", help="only the entries of a distribution")
    check.add_argument("--only", action="append", metavar="CHECK", help="a check or a pattern; may be repeated")
    check.add_argument("--all", action="store_true", help="show each check, not only those that did not pass")
    verify.add_argument("--paper", metavar="TEXT", help="arXiv id, DOI, or words of the title")
    verify.add_argument("--fast", action="store_true", help="only claims of at most 10 s; the others are not run")
    verify.add_argument("--seed", type=_seed, default=0, metavar="N", help="seed of every measurement (default: 0)")
    new = _add(commands, "new", "new:run", "write a plugin that installs and passes its checks")
    new.add_argument("name", metavar="NAME", help="of the distribution, such as acme-kernels")
    new.add_argument("--output", default=".", metavar="FOLDER", help="where its folder goes (default: here)")


FIELDS = ("name", "kind", "domain", "plugin", "version", "summary", "capabilities", "tags")


def _fields(text: str) -> tuple[str, ...]:
    chosen = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [part for part in chosen if part not in FIELDS]
    if unknown or not chosen:
        raise argparse.ArgumentTypeError(f"{text!r}: choose from {', '.join(FIELDS)}")
    return chosen


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} must be a positive number")
    return value


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} must be an integer of at least 0")
    return int(text)
