"""The atlas of minimum width: hand values of the sources, consistency of the whole table, and what must stay open."""

import functools
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.special

from widththeory.bounds.minimum_width import _IMPLIES, _SPACES, minimum_width
from widththeory.bounds.minimum_width_results import ACTIVATIONS, CONFLICTS, RESULTS
from widththeory.constructions.hanin import MaxAffine
from widththeory.constructions.minimum_width_network import memorising_size

CONTINUOUS = ("continuous", "sup", "cube")
LP = ("lp", "lp", "compact")
LP_SPACE = ("lp", "lp", "euclidean")
L1_SPACE = ("lp", "l1", "euclidean")


@pytest.mark.parametrize(
    ("setting", "activation", "dims", "lower", "upper"),
    [
        (L1_SPACE, "relu", (3, 1), 4, 4),  # Lu et al. alone would leave 4 to 7
        (L1_SPACE, "relu", (3, 2), 4, 4),  # the bounds for L^p are for each p
        (L1_SPACE, "relu", (2, 7), 7, 7),
        (("lp", "l1", "cube"), "relu", (2, 5), 5, 5),
        (("lp", "l1", "cube"), "sin", (3, 2), 3, 3),
        (LP_SPACE, "relu", (3, 2), 4, 4),
        (LP_SPACE, "relu", (2, 7), 7, 7),
        (LP, "relu", (3, 2), 3, 3),
        (LP, "relu", (1, 1), 2, 2),
        (LP, "gelu", (5, 4), 5, 5),
        (LP, "gelu", (1, 1), 1, 2),  # not monotone, so that no theorem excludes width 1
        (LP, "gelu", (1, 2), 2, 2),
        (LP, "softplus", (1, 1), 2, 2),
        (CONTINUOUS, "gelu", (1, 1), 1, 2),  # ReLU is a limit of it, but no theorem excludes width 1
        (LP, "leaky_relu", (4, 2), 4, 4),
        (LP, "leaky_relu", (1, 1), 2, 2),  # by [shin2025], since leaky ReLU is monotone
        (LP, "sin", (1, 1), 1, 2),
        (LP, "leaky_relu_pair", (1, 1), 1, 1),
        (CONTINUOUS, "relu", (3, 1), 4, 4),
        (CONTINUOUS, "relu", (1, 2), 3, 3),
        (CONTINUOUS, "relu", (2, 2), 4, 4),  # n + m, and the 4 that its approximants, leaky ReLUs, need
        (CONTINUOUS, "leaky_relu", (3, 1), 4, 4),  # n + 1 of ReLU, which leaky ReLUs approximate
        (CONTINUOUS, "softplus", (2, 2), 3, 4),
        (CONTINUOUS, "hardswish", (1, 2), 2, 3),
        (CONTINUOUS, "relu", (1, 5), 5, 6),
        (CONTINUOUS, "leaky_relu", (2, 2), 4, 4),
        (CONTINUOUS, "leaky_relu", (2, 3), 4, 4),
        (CONTINUOUS, "leaky_relu", (4, 7), 8, 8),
        (CONTINUOUS, "leaky_relu", (2, 5), 5, 5),
        (CONTINUOUS, "relu+step", (1, 2), 2, 2),  # discontinuous units beat the 3 of ReLU
        (CONTINUOUS, "leaky_relu+floor", (4, 2), 4, 4),
        (CONTINUOUS, "tanh", (3, 1), 4, 5),
        (CONTINUOUS, "sin", (3, 1), 3, 5),
        (CONTINUOUS, "square", (3, 1), 3, 5),
        (CONTINUOUS, "leaky_relu", (4, 4), 5, 8),
        (CONTINUOUS, "leaky_relu", (4, 6), 7, 8),  # that 8 suffices for (4, 7) beats 2 n + 1 and n + m
        (CONTINUOUS, "leaky_relu", (4, 8), 9, 9),
        (CONTINUOUS, "cube", (3, 1), 4, 6),  # x^3 is injective, so its level sets are unbounded
        (("c1", "w1inf", "cube"), "hwang_c1", (8, 9), 16, 17),
        (("c1", "w1inf", "cube"), "hwang_c1", (8, 8), 16, 16),
        (("c1", "w1inf", "cube"), "hwang_c1", (16, 8), 24, 24),
    ],
)
def test_hand_values(setting, activation, dims, lower, upper):
    answer = minimum_width(*setting, activation, *dims)
    assert (answer.lower, answer.upper) == (lower, upper)
    assert answer.status == ("tight" if lower == upper else "open")


@pytest.mark.parametrize("setting", sorted(set(_SPACES)))
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_no_two_results_contradict_each_other(setting, activation):
    for input_dim in range(1, 6):
        for output_dim in range(1, 13):
            answer = minimum_width(*setting, activation, input_dim, output_dim)
            if answer.lower is not None and answer.upper is not None:
                assert answer.lower <= answer.upper, [
                    (e.result.source, e.side, e.value, input_dim, output_dim) for e in answer.binding
                ]


@pytest.mark.parametrize("setting", sorted({space: setting for setting, space in _SPACES.items()}.values()))
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_bounds_are_monotone_in_both_dimensions(setting, activation):
    """A function of fewer variables is one of more, and one output can be left out: no entry may say otherwise."""
    known = {dims: minimum_width(*setting, activation, *dims) for dims in itertools.product(range(1, 10), repeat=2)}
    for (n, m), here in known.items():
        for larger in (known.get((n + 1, m), here), known.get((n, m + 1), here)):
            assert (here.lower or 0) <= (larger.lower or 0), (n, m)
            assert larger.upper is None or (here.upper is not None and here.upper <= larger.upper), (n, m)


def test_every_result_is_used_and_cited():
    used = {
        evidence.result
        for setting in _SPACES
        for activation in ACTIVATIONS
        for dims in ((1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 5), (8, 8))
        for evidence in minimum_width(*setting, activation, *dims).evidence
    }
    assert used == set(RESULTS)
    bibliography = (Path(__file__).parent.parent / "widththeory" / "references.bib").read_text()
    for result in RESULTS:
        key = re.match(r"\[(\w+)\]", result.source)
        assert key
        assert f"{{{key[1]}," in bibliography


# each result's lower and upper bound at seven pairs, from its statement: whether or not a better one hides it
DIMS = ((1, 1), (3, 1), (2, 3), (3, 6), (3, 7), (9, 8), (4, 8))
STATED = [
    ("lu2017", (2, 4, 3, 4, 4, 10, 5), (5, 7, None, None, None, None, None)),
    ("lu2017", (1, 3, 2, 3, 3, 9, 4), None),
    ("haninsellke2017", (2, 4, 3, 4, 4, 10, 5), None),
    ("haninsellke2017", None, (2, 4, 5, 9, 10, 17, 12)),
    ("hanin2019", None, (3, 5, None, None, None, None, None)),
    ("johnson2019", (None, 4, 3, 4, 4, 10, 5), None),
    ("kidgerlyons2020", None, (3, 5, 6, 10, 11, 18, 13)),
    ("kidgerlyons2020", None, (4, 6, 7, 11, 12, 19, 14)),
    ("kidgerlyons2020", None, (3, 5, 6, 10, 11, 18, 13)),
    ("kidgerlyons2020", None, (4, 6, 7, 11, 12, 19, 14)),
    ("kidgerlyons2020", None, (3, 5, 6, 10, 11, 18, 13)),
    ("park2021", (2, 4, 3, 6, 7, 10, 8), (2, 4, 3, 6, 7, 10, 8)),
    ("park2021", (None, None, 3, 3, 3, 3, 3), None),
    ("park2021", None, (3, None, None, None, None, None, None)),
    ("park2021", (2, 4, 3, 6, 7, 10, 8), (2, 4, 3, 6, 7, 10, 8)),
    ("park2021", None, (3, 5, 4, 7, 8, 11, 9)),
    ("cai2023", (1, 3, 3, 6, 7, 9, 8), None),
    ("cai2023", (1, 3, 3, 6, 7, 9, 8), None),
    ("cai2023", None, (2, 3, 3, 6, 7, 9, 8)),
    ("kimminpark2024", (None, 3, 3, 6, 7, 9, 8), (2, 3, 3, 6, 7, 9, 8)),
    ("kimminpark2024", (2, 2, 2, 2, 2, 2, 2), None),
    ("kimminpark2024", (None, None, 4, 7, None, None, 9), None),
    ("li2023", (1, 3, 3, 6, 7, 9, 8), None),
    ("hwang2025", None, (3, 7, 5, 7, 7, 19, 9)),
    ("hwang2025", None, (4, 8, 6, 8, 8, 20, 10)),
    ("hwang2025", (None, None, 4, 4, 4, 4, 4), (4, None, 4, None, None, None, None)),
    ("hwang2025", (None, None, 4, 4, 4, 8, 8), (4, 8, 4, 8, 8, 20, 12)),
    ("hwang2025c", None, (2, 4, 5, 7, 7, 17, 9)),
    ("hwang2025c", (None, None, None, None, None, 16, None), None),
    ("shin2025", (None, 3, 3, 6, 7, 9, 8), (2, 3, 3, 6, 7, 9, 8)),
    ("shin2025", (2, 2, 2, 2, 2, 2, 2), None),
    ("rochau2025", None, (1, 3, 3, 6, 7, 9, 8)),
    ("rochau2025", None, (2, 3, 3, 6, 7, 9, 8)),
    ("rochau2025", None, (3, 3, 3, 6, 7, 9, 8)),
    ("rochau2025", (2, 4, 4, 7, None, 10, 9), None),
]


@pytest.mark.parametrize(("result", "stated"), list(zip(RESULTS, STATED, strict=True)))
def test_formulas_are_those_of_the_statements(result, stated):
    source, lower, upper = stated
    assert result.source.startswith(f"[{source}]")
    for formula, values in ((result.lower, lower), (result.upper, upper)):
        assert (formula is None) == (values is None)
        if formula is not None:
            assert tuple(formula(*dims) for dims in DIMS) == values


def _chain(activation, steps):
    """What `steps` layers of leaky ReLUs, or one layer of another activation at that scale, make of their input."""
    if activation == "leaky_relu":
        return lambda t: functools.reduce(lambda value, _: np.maximum(value, value / 2), range(steps), t)
    smooth = {
        "softplus": lambda t: np.logaddexp(0, t),
        "gelu": lambda t: t * scipy.special.ndtr(t),
        "hardswish": lambda t: t * np.clip(t + 3, 0, 6) / 6,
    }[activation]
    return lambda t: smooth(2.0**steps * t) / 2.0**steps


def test_networks_tend_to_relu_networks_of_the_same_width():
    """So bounds pass from one to the other, on compact sets only: the largest gap to ReLU halves with each step."""
    rng = np.random.default_rng(0)
    layers = [(rng.normal(size=(3, 3)), rng.normal(size=(3, 1))) for _ in range(4)]
    points = rng.uniform(-1, 1, (3, 1000))

    def network(unit):
        return functools.reduce(lambda values, layer: unit(layer[0] @ values + layer[1]), layers, points)

    named = {name for name, (upper, _) in ACTIVATIONS.items() if "tends to relu" in upper and "+" not in name}
    for activation in named - {"relu", "leaky_relu_pair"}:  # a pair holds a leaky ReLU
        gaps = [np.abs(network(_chain(activation, k)) - network(lambda t: np.maximum(t, 0))).max() for k in (2, 6)]
        assert 0 < gaps[1] < gaps[0] / 8  # 1/16 in the limit, or less where no point is near a kink
    for result in RESULTS:
        assert result.activation not in ("tends to relu", "leaky relu") or "euclidean" not in result.space


def test_density_with_derivatives_implies_density_without():
    assert minimum_width("lp", "lp", "cube", "hwang_c1", 3, 2).upper == 5  # n + m, proven in W^{1, inf}
    assert minimum_width("c1", "w1inf", "cube", "hwang_c1", 3, 7).lower == 7  # max(n, m), proven in L^p


def test_bounds_pass_between_relu_and_what_tends_to_it():
    for setting in (CONTINUOUS, LP):
        for dims in itertools.product(range(1, 9), repeat=2):
            relu = minimum_width(*setting, "relu", *dims)
            assert relu.lower >= minimum_width(*setting, "leaky_relu", *dims).lower
            for activation in ("leaky_relu", "softplus", "gelu", "hardswish"):
                assert minimum_width(*setting, activation, *dims).upper <= relu.upper


def test_larger_spaces_need_more_width():
    for space, implied in _IMPLIES.items():
        settings = {name: setting for setting, name in _SPACES.items()}
        for activation in ("relu", "leaky_relu", "tanh"):
            for dims in ((1, 1), (2, 2), (3, 1), (2, 6)):
                strong = minimum_width(*settings[space], activation, *dims)
                for weaker in implied:
                    weak = minimum_width(*settings[weaker], activation, *dims)
                    assert strong.upper is None or weak.upper <= strong.upper
                    assert weak.lower is None or strong.lower >= weak.lower


@pytest.mark.parametrize(
    ("function_class", "norm"), [("continuous", "sup"), ("c1", "w1inf"), ("lp", "lp"), ("lp", "l1")]
)
def test_a_compact_set_is_a_cube(function_class, norm):
    for activation in ("relu", "leaky_relu", "hwang_c1"):
        answers = [minimum_width(function_class, norm, domain, activation, 3, 1) for domain in ("compact", "cube")]
        assert answers[0] == answers[1]


def test_a_conflict_is_told_and_the_withdrawn_formula_not_used():
    answer = minimum_width(*CONTINUOUS, "leaky_relu", 2, 2)
    assert answer.conflicts == CONFLICTS
    assert answer.lower == 4
    # the withdrawn formula is exact nowhere: dimensions it would have settled stay open unless another result does
    assert minimum_width(*CONTINUOUS, "leaky_relu", 3, 3).status == "open"
    assert minimum_width(*CONTINUOUS, "relu", 2, 2).conflicts == ()
    assert minimum_width(*LP, "leaky_relu", 2, 2).conflicts == ()


def test_sources_of_an_answer():
    answer = minimum_width(*CONTINUOUS, "relu", 1, 2)
    assert {e.result.source for e in answer.binding if e.side == "upper"} >= {
        "[park2021] Theorem 2",
        "[haninsellke2017]",
    }
    assert "[cai2023]" in answer.sources
    assert all(e.value == 3 for e in answer.binding)


def test_what_is_not_in_the_table_is_open():
    for question in (
        ("continuous", "sup", "euclidean", "relu"),
        ("lp", "sup", "cube", "relu"),
        ("continuous", "sup", "cube", "swish"),
        ("c1", "w1inf", "cube", "square"),
    ):
        answer = minimum_width(*question, 2, 2)
        assert answer.status == "open"
        assert answer.upper is None
    assert minimum_width("continuous", "sup", "cube", "swish", 2, 2).lower is None


def test_explicit_networks_respect_the_table():
    # maxima of affine functions are dense among convex functions, at the width that is exact for all scalar functions
    example = MaxAffine(((1, 0), (0, 1), (2, 1)), (0, 0, -1))
    assert example.size().width == minimum_width(*CONTINUOUS, "relu", 2, 1).upper == 3


@pytest.mark.parametrize("narrowest", [False, True])
def test_explicit_networks_have_no_more_layers_than_the_page_says(narrowest):
    for n, m, cells, levels in itertools.product((1, 2, 3, 4), (1, 2, 3), (2, 3, 5, 9), (2, 8)):
        depth = memorising_size(n, m, cells, levels, narrowest=narrowest).depth
        assert depth <= 4 * cells**n + (2 * m * levels if m > 1 else 0)
        assert depth >= cells**n - 1


def test_bad_dimensions_raise():
    with pytest.raises(ValueError, match="input_dim must be an integer of at least 1, got 0"):
        minimum_width(*CONTINUOUS, "relu", 0, 1)
    with pytest.raises(ValueError, match="output_dim"):
        minimum_width(*CONTINUOUS, "relu", 1, 0)
