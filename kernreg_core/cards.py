"""Cards of the core's own entries: the composites."""

from __future__ import annotations

from ._card import Card, Reference
from .hookspecs import hookimpl

_ARONSZAJN = Reference(
    title="Theory of Reproducing Kernels",
    authors=("Nachman Aronszajn",),
    year=1950,
    venue="Transactions of the American Mathematical Society 68",
    doi="10.1090/S0002-9947-1950-0051437-7",
)
_SHAWE_TAYLOR = Reference(
    title="Kernel Methods for Pattern Analysis",
    authors=("John Shawe-Taylor", "Nello Cristianini"),
    year=2004,
    venue="Cambridge University Press",
    doi="10.1017/CBO9780511809682",
)
_TERMS = {"k1, k2, ...": "the kernels, in order"}


def _card(name: str, summary: str, reference: Reference, parameters: dict[str, str], aliases: tuple[str, ...]) -> Card:
    return Card(
        name=f"core.{name}",
        kind="kernel",
        summary=summary,
        tags=frozenset({"composite"}),
        references=(reference,),
        parameters=parameters,
        aliases=aliases,
        example=f"kernreg_core.examples:{name}",
    )


@hookimpl
def kernreg_cards() -> list[Card]:
    """Capabilities follow from the parts, so the cards declare none."""
    return [
        _card("sum", "Sum of kernels; a + b makes one.", _ARONSZAJN, _TERMS, ("addition",)),
        _card("product", "Product of kernels; a * b makes one.", _ARONSZAJN, _TERMS, ("schur product",)),
        _card(
            "power",
            "Kernel raised to a power; k ** 2 makes one.",
            _ARONSZAJN,
            {"kernel": "what is raised", "exponent": "above 0"},
            ("exponentiation",),
        ),
        _card(
            "scaled",
            "Kernel times a number; 2 * k makes one.",
            _ARONSZAJN,
            {"kernel": "what is scaled", "variance": "the factor"},
            ("outputscale", "constant kernel"),
        ),
        _card(
            "normalized",
            "Kernel divided by its items' norms; normalize(k) makes one.",
            _SHAWE_TAYLOR,
            {"kernel": "what is normalised"},
            ("cosine normalisation",),
        ),
    ]
