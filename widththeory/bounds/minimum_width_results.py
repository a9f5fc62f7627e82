"""The literature on minimum width as data: what each paper proves, for which space, activation and dimensions.

A bound is a formula in the dimensions n = input_dim and m = output_dim, or None where the paper says nothing about
them. The least width grows with both: a function of fewer variables is one of more, and one output of a network can be
left out. So a lower bound at one pair of dimensions is one at all larger pairs, an upper bound one at all smaller ones,
and formulas for single pairs say so. Spaces are those of `minimum_width`. The provenance says how the statement was
found: "read" in the paper itself, "abstract" in its abstract or in a later paper's account of it, "recalled" from
memory.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Formula = Callable[[int, int], int | None]
Space = Literal["continuous", "c1", "lp-compact", "lp-euclidean", "l1-compact", "l1-euclidean"]
Provenance = Literal["read", "abstract", "recalled"]


@dataclass(frozen=True)
class Result:
    """One theorem on minimum width.

    Args:
        source: citation key in brackets, and place in the paper where known.
        statement: the theorem in words.
        space: the space in which networks are, or are not, dense.
        activation: what the activation has to be; see `ACTIVATIONS`.
        lower, upper: (n, m) -> bound, or None for dimensions that the theorem does not cover; None without a bound.
        provenance: how the statement is known here.
    """

    source: str
    statement: str
    space: Space
    activation: str
    lower: Formula | None = None
    upper: Formula | None = None
    provenance: Provenance = "abstract"


@dataclass(frozen=True)
class Conflict:
    """Two statements in the literature that cannot both hold. What has been withdrawn is told, and never evaluated.

    Args:
        sources: where the two stand.
        statement: what they say.
        space, activation: what they speak about, as in `Result`.
        dims: pairs (n, m) at which they are known to disagree.
    """

    sources: tuple[str, ...]
    statement: str
    space: Space
    activation: str
    dims: tuple[tuple[int, int], ...]


# What each activation is. A set of activations has what any member has for upper bounds, which may use one of them, and
# what all members have for lower bounds, which must exclude every choice. "Squashable" is said to hold for all
# nonaffine analytic functions; polynomials are left out, since that would be more than their own theorems say. A result
# that needs several properties joins them by "and".
#
# On compact sets ReLU is a uniform limit of leaky ReLUs composed with themselves, max(t, slope^k t), and of s(k t) / k
# for s softplus, GELU and hard swish, which "tend to relu". Layer by layer, so are networks, of the same width: what
# suffices for ReLU there suffices for these, and what is necessary for leaky ReLU is necessary for ReLU.
_ANY = frozenset({"any"})
_GENERAL = _ANY | {"continuous nonpolynomial", "continuous nonaffine"}
_MONOTONE = _GENERAL | {"continuous monotone", "limit of injective"}
_RELU = frozenset({"relu", "relu-like"})
_LEAKY = frozenset({"leaky relu", "squashable", "tends to relu"})
_SMOOTH = frozenset({"relu-like", "squashable", "tends to relu"})

ACTIVATIONS: dict[str, tuple[frozenset[str], frozenset[str]]] = {
    name: (upper, lower)
    for name, upper, lower in (
        ("relu", _MONOTONE | _RELU | {"tends to relu"}, _MONOTONE | _RELU | {"leaky relu"}),
        ("leaky_relu", _MONOTONE | _LEAKY, _MONOTONE | _LEAKY),
        ("softplus", _MONOTONE | _SMOOTH, _MONOTONE | _SMOOTH),
        ("gelu", _GENERAL | _SMOOTH, _GENERAL | _SMOOTH),
        ("sigmoid", _MONOTONE | {"squashable"}, _MONOTONE | {"squashable"}),
        ("tanh", _MONOTONE | {"squashable"}, _MONOTONE | {"squashable"}),
        ("sin", _GENERAL | {"squashable"}, _GENERAL | {"squashable"}),
        ("hardswish", _GENERAL | {"squashable", "tends to relu"}, _GENERAL | {"squashable", "tends to relu"}),
        ("square", _ANY | {"continuous nonaffine", "polynomial", "polynomial with a strict extremum"}, _ANY),
        ("cube", _ANY | {"continuous nonaffine", "polynomial"}, _ANY | {"continuous monotone", "limit of injective"}),
        ("relu+step", _MONOTONE | _RELU | {"tends to relu", "relu+step"}, _ANY | {"relu+step"}),
        ("leaky_relu+floor", _MONOTONE | _LEAKY | {"squashable+floor"}, _ANY | {"squashable+floor"}),
        ("leaky_relu_pair", _MONOTONE | _LEAKY | {"leaky relu pair"}, _GENERAL | {"leaky relu pair"}),
        ("hwang_c1", _ANY | {"hwang c1"}, _ANY | {"hwang c1"}),
    )
}


def _scalar(formula: Callable[[int], int]) -> Formula:
    """For scalar output only."""
    return lambda n, m: formula(n) if m == 1 else None


def _from(values: dict[tuple[int, int], int]) -> Formula:
    """The best of lower bounds at some pairs of dimensions, for what is at least as large."""
    return lambda n, m: max((value for (i, j), value in values.items() if i <= n and j <= m), default=None)


def _up_to(values: dict[tuple[int, int], int]) -> Formula:
    """The best of upper bounds at some pairs of dimensions, for what is at most as large."""
    return lambda n, m: min((value for (i, j), value in values.items() if n <= i and m <= j), default=None)


def _fours_below(n: int, m: int) -> int | None:
    """4 k for the largest k >= 1 with 2 k <= n and 4 k - 1 <= m."""
    return 4 * min(n // 2, (m + 1) // 4) or None


def _fours_above(n: int, m: int) -> int:
    """4 k for the least k with n <= 2 k and m <= 4 k - 1."""
    return 4 * max(-(-n // 2), -(-(m + 1) // 4))


RESULTS = (
    Result(
        "[lu2017] Theorems 1 and 2",
        "n + 4 suffices for scalar integrable functions on R^n; n does not, for scalar functions and so for every m",
        "l1-euclidean",
        "relu",
        lambda n, m: n + 1,
        _scalar(lambda n: n + 4),
    ),
    Result(
        "[lu2017] Theorem 3",
        "n - 1 does not suffice for integrable functions on the cube, scalar ones and so for every m",
        "l1-compact",
        "relu",
        lambda n, m: n,
    ),
    Result("[haninsellke2017]", "n + 1 is necessary for every m", "continuous", "relu", lambda n, m: n + 1),
    Result(
        "[haninsellke2017]",
        "n + m suffices, stated for ReLU; [yang2025] has leaky ReLU and softplus, of which ReLU is a limit",
        "continuous",
        "tends to relu",
        upper=lambda n, m: n + m,
    ),
    Result(
        "[hanin2019]",
        "n + 2 suffices for scalar functions, stated for ReLU",
        "continuous",
        "tends to relu",
        upper=_scalar(lambda n: n + 2),
    ),
    Result(
        "[johnson2019]",
        "level sets of networks of width n are unbounded, so n + 1 is necessary for n >= 2; one coordinate of a vector "
        "function is a scalar function, so this holds for every m",
        "continuous",
        "limit of injective",
        lambda n, m: n + 1 if n >= 2 else None,
        provenance="recalled",
    ),
    Result(
        "[kidgerlyons2020] Proposition 4.9",
        "n + m + 1 suffices, if the activation is C^1 with nonzero derivative at a point",
        "continuous",
        "continuous nonpolynomial",
        upper=lambda n, m: n + m + 1,
        provenance="read",
    ),
    Result(
        "[kidgerlyons2020] Proposition 4.11",
        "n + m + 2 suffices for nonaffine polynomials",
        "continuous",
        "polynomial",
        upper=lambda n, m: n + m + 2,
        provenance="read",
    ),
    Result(
        "[kidgerlyons2020] Proposition 4.17",
        "n + m + 1 suffices for polynomials with rho'(a) = 0 and rho''(a) nonzero somewhere",
        "continuous",
        "polynomial with a strict extremum",
        upper=lambda n, m: n + m + 1,
        provenance="read",
    ),
    Result(
        "[kidgerlyons2020] Theorem 3.2",
        "n + m + 2 suffices, if the activation is C^1 with nonzero derivative at a point",
        "continuous",
        "continuous nonaffine",
        upper=lambda n, m: n + m + 2,
        provenance="read",
    ),
    Result(
        "[kidgerlyons2020] Theorem 4.16",
        "n + m + 1 suffices on R^n",
        "lp-euclidean",
        "relu",
        upper=lambda n, m: n + m + 1,
        provenance="read",
    ),
    Result(
        "[park2021] Theorem 1",
        "max(n + 1, m) is exact",
        "lp-euclidean",
        "relu",
        lambda n, m: max(n + 1, m),
        lambda n, m: max(n + 1, m),
    ),
    Result(
        "[park2021] Theorem 2",
        "3 is necessary for curves in the plane, above max(n + 1, m), and so for every n from m = 2 on",
        "continuous",
        "relu",
        _from({(1, 2): 3}),
        provenance="recalled",
    ),
    Result(
        "[park2021] Theorem 2",
        "3 suffices for curves in the plane, stated for ReLU",
        "continuous",
        "tends to relu",
        upper=_up_to({(1, 2): 3}),
        provenance="recalled",
    ),
    Result(
        "[park2021] Theorem 3",
        "max(n + 1, m) is exact with threshold units beside ReLUs",
        "continuous",
        "relu+step",
        lambda n, m: max(n + 1, m),
        lambda n, m: max(n + 1, m),
    ),
    Result(
        "[park2021] Theorem 4",
        "max(n + 2, m + 1) suffices, if the activation is C^1 with nonzero derivative at a point",
        "lp-compact",
        "continuous nonpolynomial",
        upper=lambda n, m: max(n + 2, m + 1),
        provenance="recalled",
    ),
    Result(
        "[cai2023]",
        "max(n, m) is necessary, whatever the activations",
        "lp-compact",
        "any",
        lambda n, m: max(n, m),
    ),
    Result(
        "[cai2023]",
        "max(n, m) is necessary, whatever the activations",
        "continuous",
        "any",
        lambda n, m: max(n, m),
    ),
    Result(
        "[cai2023]",
        "max(n, m, 2) suffices",
        "lp-compact",
        "leaky relu",
        upper=lambda n, m: max(n, m, 2),
    ),
    Result(
        "[kimminpark2024]",
        "max(n, m, 2) is exact on the cube for ReLU and activations like it; for GELU, SiLU and Mish, which are not "
        "monotone, if n + m >= 3, a condition as recalled that the abstract leaves out",
        "lp-compact",
        "relu-like",
        lambda n, m: max(n, m, 2) if (n, m) != (1, 1) else None,
        lambda n, m: max(n, m, 2),
        "recalled",
    ),
    Result(
        "[kimminpark2024]",
        "2 is necessary for n = m = 1 too, if the activation is monotone, as ReLU and softplus are",
        "lp-compact",
        "relu-like and continuous monotone",
        _from({(1, 1): 2}),
    ),
    Result(
        "[kimminpark2024]",
        "m + 1 is necessary if n < m <= 2 n; stated for general activations that include ReLU, used for ReLU",
        "continuous",
        "relu",
        lambda n, m: m + 1 if n < m <= 2 * n else None,
    ),
    Result(
        "[li2023]",
        "max(n, m) + Delta(n, m) is exact, with a topological Delta >= 0 that is not evaluated here",
        "continuous",
        "leaky relu",
        lambda n, m: max(n, m),
    ),
    Result(
        "[hwang2025]",
        "max(2 n + 1, m) suffices",
        "continuous",
        "leaky relu",
        upper=lambda n, m: max(2 * n + 1, m),
    ),
    Result(
        "[hwang2025]",
        "max(2 n + 1, m) + 1 suffices, stated for ReLU (+ 2 for general activations, whose conditions are not at hand "
        "and not used)",
        "continuous",
        "tends to relu",
        upper=lambda n, m: max(2 * n + 1, m) + 1,
    ),
    Result(
        "[hwang2025]",
        "4 is exact for (n, m) = (2, 2) and (2, 3), so necessary above and sufficient below",
        "continuous",
        "leaky relu",
        _from({(2, 2): 4, (2, 3): 4}),
        _up_to({(2, 2): 4, (2, 3): 4}),
    ),
    Result(
        "[hwang2025]",
        "4 k is exact for (n, m) = (2 k, 4 k - 1), as recalled, so necessary above and sufficient below",
        "continuous",
        "leaky relu",
        _fours_below,
        _fours_above,
        "recalled",
    ),
    Result(
        "[hwang2025c]",
        "min(n + m, max(2 n + 1, m)) suffices in W^{1, inf}, for a broad class of activations ('hwang_c1')",
        "c1",
        "hwang c1",
        upper=lambda n, m: min(n + m, max(2 * n + 1, m)),
    ),
    Result(
        "[hwang2025c]",
        "that width is exact for (n, m) = (8, 8) and (16, 8), among others",
        "c1",
        "hwang c1",
        _from({(8, 8): 16, (16, 8): 24}),
    ),
    Result(
        "[shin2025]",
        "max(n, m, 2) is exact on the cube for squashable activations, unless n = m = 1",
        "lp-compact",
        "squashable",
        lambda n, m: max(n, m, 2) if (n, m) != (1, 1) else None,
        lambda n, m: max(n, m, 2),
    ),
    Result(
        "[shin2025]",
        "2 is necessary for n = m = 1 too, if the squashable activation is monotone",
        "lp-compact",
        "squashable and continuous monotone",
        _from({(1, 1): 2}),
    ),
    Result(
        "[rochau2025]",
        "max(n, m) suffices with two leaky ReLUs of opposite slopes",
        "lp-compact",
        "leaky relu pair",
        upper=lambda n, m: max(n, m),
    ),
    Result(
        "[rochau2025]",
        "max(2, n, m) suffices with one leaky ReLU",
        "lp-compact",
        "leaky relu",
        upper=lambda n, m: max(2, n, m),
    ),
    Result(
        "[rochau2025]",
        "max(3, n, m) suffices with the floor function beside a squashable activation",
        "continuous",
        "squashable+floor",
        upper=lambda n, m: max(3, n, m),
    ),
    Result(
        "[rochau2025]",
        "max(n, m) + 1 is necessary if m <= 2 n and all activations are continuous and monotone",
        "continuous",
        "continuous monotone",
        lambda n, m: max(n, m) + 1 if m <= 2 * n else None,
    ),
)

CONFLICTS = (
    Conflict(
        ("[li2023]", "[hwang2025]"),
        "The proceedings abstract of [li2023] prints a closed formula that gives 3 for (n, m) = (2, 2), where "
        "[hwang2025] proves 4. Version 3 of the preprint replaces it by max(n, m) + Delta(n, m); the formula is not "
        "used here.",
        "continuous",
        "leaky relu",
        ((2, 2),),
    ),
)
