"""Which ridge solvers can do what is asked, what each is predicted to take, and which one is taken."""

from __future__ import annotations

import math
from typing import NamedTuple

from kernreg_core.errors import ParameterError
from kernreg_core.memory import readable_size

from . import costs

#: Relative residual that solver.krr_cg is asked for.
TOL = 1e-6


class Option(NamedTuple):
    """One way to solve it.

    Attributes
    ----------
    solver : str
        Name of the entry.
    exact : bool
        Whether its answer is the ridge regression of this kernel, to solver.krr_cg's tolerance.
    seconds, bytes : float
        Predicted for ``fit``; NaN where it is not possible.
    obstacle : str
        Why it is not possible; else empty.
    """

    solver: str
    exact: bool
    seconds: float
    bytes: float
    obstacle: str = ""

    def __str__(self) -> str:
        what = self.obstacle or f"{readable_seconds(self.seconds)}, {readable_size(self.bytes)}"
        return f"{self.solver}{'' if self.exact else ' (approximate)'}: {what}"


class Problem(NamedTuple):
    """What a choice depends on.

    Attributes
    ----------
    n, targets : int
    alpha : float or None
        The smallest penalty; None where it is to be chosen.
    method : str
        'loo', 'gcv', or empty.
    weighted, intercept, stored : bool
        `stored`: K was given.
    features : str
        'exact', 'random', or empty.
    nystrom : bool
        Whether euclidean.nystrom can be had for this kernel.
    memory : float
        Bytes that may be taken.
    mixed : bool
        Whether some targets have a penalty, and others have none.
    """

    n: int
    targets: int
    alpha: float | None
    method: str
    weighted: bool
    intercept: bool
    stored: bool
    features: str
    nystrom: bool
    memory: float
    mixed: bool = False


def options(problem: Problem, speeds: costs.Speeds) -> tuple[Option, ...]:
    """Every solver, with its cost or its obstacle."""
    p, n, targets = problem, problem.n, problem.targets
    found = [Option("solver.krr", True, *costs.dual(n, targets, p.alpha, speeds))]
    chosen = "has no closed form that chooses alpha" if p.alpha is None else ""
    positive = chosen or ("" if p.alpha else "needs alpha above 0")
    items = "evaluates the kernel itself, not a matrix" if p.stored else ""
    obstacles = {
        "solver.krr_cg": positive,
        "solver.feature_ridge": items
        or ("" if p.features or (p.method and p.nystrom) else "the kernel has no features"),
        "solver.falkon": items or ("" if p.method == "gcv" else positive),
        "solver.eigenpro2": "has no penalty" if p.alpha != 0.0 or p.mixed else _without_penalty(p),
    }
    for solver, obstacle in obstacles.items():
        exact = solver == "solver.krr_cg" or (solver == "solver.feature_ridge" and p.features == "exact")
        cost = costs.Cost(math.nan, math.nan) if obstacle else _cost(solver, p, speeds)
        found.append(Option(solver, exact, *cost, obstacle))
    return tuple(found)


def _without_penalty(p: Problem) -> str:
    missing = [name for name, asked in (("weights", p.weighted), ("intercept", p.intercept)) if asked]
    return f"has no {' and no '.join(missing)}" if missing else ""


def _cost(solver: str, p: Problem, speeds: costs.Speeds) -> costs.Cost:
    if solver == "solver.krr_cg":
        return costs.conjugate_gradients(p.n, p.targets, p.alpha or 1.0, TOL, p.memory, speeds, stored=p.stored)
    if solver == "solver.falkon":
        return costs.falkon(p.n, p.targets, p.method, speeds)
    if solver == "solver.eigenpro2":
        return costs.descent(p.n, p.targets, speeds)
    if p.features:
        return costs.features(p.n, p.targets, p.method, speeds.row, speeds.columns, speeds.machine)
    columns = costs.centres(p.n)
    return costs.features(p.n, p.targets, p.method, costs.nystrom_row(columns, speeds), columns, speeds.machine)


def choose(
    found: tuple[Option, ...], n: int, memory: float, seconds: float | None, exact: bool
) -> tuple[Option, str, bool]:
    """The option to take, the reason, and whether it is within the budgets.

    Raises
    ------
    ParameterError
        If nothing is possible.
    """
    possible = [option for option in found if not option.obstacle and (option.exact or not exact)]
    if not possible:
        raise ParameterError(f"alpha: no solver can do this: {'; '.join(map(str, found))}")
    limit = math.inf if seconds is None else seconds
    within = [option for option in possible if option.bytes <= memory and option.seconds <= limit]
    budgets = f"{readable_size(memory)}" + ("" if seconds is None else f" and {readable_seconds(seconds)}")
    best = [option for option in within if option.exact] or within
    if best:
        taken = min(best, key=lambda option: option.seconds)
        # a factorisation has no tolerance and no random part: seconds that nobody notices are no reason against it
        direct = next((o for o in best if o.solver == "solver.krr" and o.seconds <= max(1.0, 2 * taken.seconds)), taken)
        taken = direct if taken.exact else taken
        text = f"{taken} for {n:,} items; "
        rest = [option for option in possible if option is not taken]
        if taken.exact:
            text += f"exact, and within {budgets}"
        else:
            text += f"the fastest within {budgets}, which no exact solver is"
        return taken, text + _compared(rest), True
    fits = [option for option in possible if option.bytes <= memory]
    taken = min(fits, key=lambda option: option.seconds) if fits else min(possible, key=lambda option: option.bytes)
    rest = [option for option in possible if option is not taken]
    return (
        taken,
        f"{taken} for {n:,} items; nothing is within {budgets}, and this exceeds it least" + _compared(rest),
        False,
    )


def _compared(rest: list[Option]) -> str:
    return f" ({'; '.join(map(str, rest))})" if rest else ""


def readable_seconds(seconds: float) -> str:
    """As a person would say it.

    Examples
    --------
    >>> readable_seconds(0.0312), readable_seconds(47), readable_seconds(104), readable_seconds(7500)
    ('0.031 s', '47 s', '104 s', '2.1 h')
    """
    for limit, size, unit in ((120.0, 1.0, "s"), (7200.0, 60.0, "min"), (172800.0, 3600.0, "h")):
        if seconds < limit:
            return f"{_two_digits(seconds / size)} {unit}"
    return f"{_two_digits(seconds / 86400.0)} days"


def _two_digits(value: float) -> str:
    """At least two significant digits, never an exponent of ten where it is large."""
    return f"{value:,.0f}" if value >= 10.0 else f"{value:.2g}"
