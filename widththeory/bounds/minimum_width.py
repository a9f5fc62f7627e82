"""Least width at which networks of arbitrary depth are universal: bounds, and every source behind them."""

from dataclasses import dataclass
from typing import Literal

from widththeory.bounds.minimum_width_results import ACTIVATIONS, CONFLICTS, RESULTS, Conflict, Result, Space
from widththeory.typing import check_positive_int

# (function class, norm, domain) -> space. A cube stands for any compact set: functions extend from a compact set to a
# cube that holds it, continuous ones by Tietze's theorem and integrable ones by zero, and cubes are affine images.
_SPACES: dict[tuple[str, str, str], Space] = {
    ("continuous", "sup", "compact"): "continuous",
    ("continuous", "sup", "cube"): "continuous",
    ("c1", "w1inf", "compact"): "c1",
    ("c1", "w1inf", "cube"): "c1",
    ("lp", "lp", "compact"): "lp-compact",
    ("lp", "lp", "cube"): "lp-compact",
    ("lp", "lp", "euclidean"): "lp-euclidean",
    ("lp", "l1", "compact"): "l1-compact",
    ("lp", "l1", "cube"): "l1-compact",
    ("lp", "l1", "euclidean"): "l1-euclidean",
}
# Density in the first space implies density in the others: continuous functions are dense in L^p of a compact set, C^1
# functions are dense among the continuous ones, and L^p is asked for all p from 1 on.
_IMPLIES: dict[Space, frozenset[Space]] = {
    "c1": frozenset({"c1", "continuous", "lp-compact", "l1-compact"}),
    "continuous": frozenset({"continuous", "lp-compact", "l1-compact"}),
    "lp-euclidean": frozenset({"lp-euclidean", "l1-euclidean", "lp-compact", "l1-compact"}),
    "lp-compact": frozenset({"lp-compact", "l1-compact"}),
    "l1-euclidean": frozenset({"l1-euclidean", "l1-compact"}),
    "l1-compact": frozenset({"l1-compact"}),
}
# The papers show that networks are not dense in L^p for each single p from 1 on, and so for p = 1.
_SINGLE: dict[Space, Space] = {"lp-compact": "l1-compact", "lp-euclidean": "l1-euclidean"}


@dataclass(frozen=True)
class Evidence:
    """One bound of one result at the dimensions asked for."""

    result: Result
    side: Literal["lower", "upper"]
    value: int


@dataclass(frozen=True)
class MinimumWidth:
    """What is known: lower <= minimum width <= upper, None where nothing is, with all evidence and known conflicts."""

    lower: int | None
    upper: int | None
    evidence: tuple[Evidence, ...]
    conflicts: tuple[Conflict, ...]

    @property
    def status(self) -> Literal["tight", "open"]:
        """Whether the two bounds are equal."""
        return "tight" if self.lower is not None and self.lower == self.upper else "open"

    @property
    def binding(self) -> tuple[Evidence, ...]:
        """The evidence that attains the bounds."""
        return tuple(
            item for item in self.evidence if item.value == (self.lower if item.side == "lower" else self.upper)
        )

    @property
    def sources(self) -> tuple[str, ...]:
        """All sources of the evidence, each once, in the order of the table."""
        return tuple(dict.fromkeys(item.result.source for item in self.evidence))


def _fits(activation: str, needed: str, side: Literal["lower", "upper"]) -> bool:
    """Whether a result for activations with the properties `needed`, joined by "and", speaks about this one."""
    properties = ACTIVATIONS[activation][0 if side == "upper" else 1]
    return set(needed.split(" and ")) <= properties


def minimum_width(
    function_class: str, norm: str, domain: str, activation: str, input_dim: int, output_dim: int
) -> MinimumWidth:
    """Known bounds on the least width w for which networks R^n -> R^m of width w, of any depth, are dense.

    Each result of `minimum_width_results` gives its bounds for its own space and, by inclusion, for others: an upper
    bound holds in every space where density follows from density in its own, a lower bound in every space from which
    density in its own follows. The best are returned; both grow with n and m, as the least width does. Where no result
    speaks, the bound is None and the status "open".

    Args:
        function_class: "continuous", "lp" (for all 1 <= p < infinity; norm "l1" for p = 1) or "c1" (differentiable).
        norm: "sup" for continuous, "lp" or "l1" for lp, "w1inf" for c1.
        domain: "cube", or "compact" for every compact set, which is the same; or "euclidean" for lp.
        activation: a key of `minimum_width_results.ACTIVATIONS`; "a+b" and pairs are sets to choose from unit by unit.
        input_dim: n, at least 1.
        output_dim: m, at least 1.

    Raises:
        ValueError: a dimension is not an integer of at least 1. Unknown names raise nothing: what is not in the table
            is open.

    Source:
        Table of [lu2017], [haninsellke2017], [hanin2019], [johnson2019], [kidgerlyons2020], [park2021], [cai2023],
        [kimminpark2024], [li2023], [hwang2025], [hwang2025c], [shin2025], [rochau2025] and [yang2025]; statements and
        provenance in `minimum_width_results`, some as recalled, which it marks. The inclusions between spaces and the
        passage from activations to their limits are elementary (derived for this project).
    """
    input_dim = check_positive_int("input_dim", input_dim)
    output_dim = check_positive_int("output_dim", output_dim)
    space = _SPACES.get((function_class, norm, domain))
    if space is None or activation not in ACTIVATIONS:
        return MinimumWidth(None, None, (), ())
    evidence: list[Evidence] = []
    for result in RESULTS:
        if (
            result.lower is not None
            and _SINGLE.get(result.space, result.space) in _IMPLIES[space]
            and _fits(activation, result.activation, "lower")
        ):
            value = result.lower(input_dim, output_dim)
            if value is not None:
                evidence.append(Evidence(result, "lower", value))
        if (
            result.upper is not None
            and space in _IMPLIES[result.space]
            and _fits(activation, result.activation, "upper")
        ):
            value = result.upper(input_dim, output_dim)
            if value is not None:
                evidence.append(Evidence(result, "upper", value))
    conflicts = tuple(c for c in CONFLICTS if c.space == space and _fits(activation, c.activation, "upper"))
    return MinimumWidth(
        max((item.value for item in evidence if item.side == "lower"), default=None),
        min((item.value for item in evidence if item.side == "upper"), default=None),
        tuple(evidence),
        conflicts,
    )
