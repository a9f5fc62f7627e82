"""Exact one-dimensional analysis: combinatorics against rationals and hand counts, distances against dense sampling."""

from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from widththeory.exact import rationals
from widththeory.exact.one_dim import (
    CosineSum,
    Piecewise,
    PiecewiseLinear,
    Polynomial,
    breakpoints,
    crossing_number,
    piecewise,
)
from widththeory.network import Network, linear_combination


def sawtooth(num_folds):
    fold = ([[2.0, -4.0], [2.0, -4.0]], [0.0, -0.5])
    return Network([([[1.0], [1.0]], [0.0, -0.5]), *[fold] * (num_folds - 1), ([[2.0, -4.0]], [0.0])])


def random_network(widths, seed):
    rng = np.random.default_rng(seed)
    sizes = [1, *widths, 1]
    return Network(
        [
            (1.4 / np.sqrt(i) * rng.standard_normal((o, i)), 0.3 * rng.standard_normal(o))
            for i, o in zip(sizes, sizes[1:], strict=False)
        ]
    )


def rational_layers():
    """Weights of small networks, entries in {-2, ..., 2} / 2: dead units, ties and repeated rows are common."""
    entry = st.integers(-4, 4).map(lambda k: Fraction(k, 2))

    def layers(widths):
        sizes = [1, *widths, 1]
        return st.tuples(
            *(
                st.tuples(
                    st.lists(st.lists(entry, min_size=i, max_size=i), min_size=o, max_size=o),
                    st.lists(entry, min_size=o, max_size=o),
                )
                for i, o in zip(sizes, sizes[1:], strict=False)
            )
        )

    return st.lists(st.integers(1, 4), min_size=1, max_size=3).flatmap(layers)


@pytest.mark.parametrize("num_folds", range(1, 8))
def test_sawtooth_is_counted_exactly(num_folds):
    tooth = piecewise(sawtooth(num_folds), 0.0, 1.0)
    assert tooth.certified
    assert tooth.num_pieces == 2**num_folds
    assert np.array_equal(tooth.breakpoints, np.arange(1, 2**num_folds) / 2**num_folds)
    assert np.array_equal(np.abs(tooth.slopes), np.full(2**num_folds, 2.0**num_folds))
    # each of the 2**(num_folds - 1) teeth goes up through 1/2 and down again
    assert crossing_number(tooth) == 2**num_folds + 1


def test_crossing_number_counts_touching_points():
    touching = PiecewiseLinear(np.array([0.0, 1.0, 2.0]), np.array([0.0, 0.5, 0.0]))
    assert crossing_number(touching) == 3
    assert crossing_number(touching, 0.75) == 1
    resting = PiecewiseLinear(np.array([0.0, 1.0, 2.0, 3.0]), np.array([0.5, 0.5, 0.0, 0.5]))
    assert crossing_number(resting) == 3


def test_ties_are_decided():
    one, minus, zero = np.ones((1, 1)), -np.ones((1, 1)), np.zeros(1)
    repeated = Network([(np.ones((3, 1)), np.zeros(3)), (np.array([[1.0, -3.0, 2.0]]), zero)])
    assert piecewise(repeated, -1.0, 1.0).num_pieces == 1  # three equal units that cancel
    dead = Network([(one, zero), (minus, zero), (one, zero), (one, zero)])
    assert piecewise(dead, -1.0, 1.0).num_pieces == 1  # -relu is never active
    zero_row = Network([(np.zeros((2, 1)), np.array([0.0, 1.0])), (np.ones((1, 2)), zero), (one, zero)])
    assert piecewise(zero_row, -1.0, 1.0).num_pieces == 1
    flat = Network([(one, zero), (minus, np.zeros(1)), (minus, zero), (one, zero)])
    assert piecewise(flat, -1.0, 1.0).num_pieces == 1  # pre-activation identically zero on [-1, 0]
    identity = Network([(np.array([[1.0], [-1.0]]), np.zeros(2)), (np.array([[1.0, -1.0]]), zero)])
    line = piecewise(identity, -1.0, 1.0)
    assert line.num_pieces == 1
    assert line.slopes.tolist() == [1.0]


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("widths", [(3, 3), (8, 8, 8), (20,), (5, 5, 5, 5, 5), (24, 24, 24)])
def test_filtered_agrees_with_rational(widths, seed):
    network = random_network(widths, seed)
    filtered, rational = piecewise(network, -1.0, 1.0), piecewise(network, -1.0, 1.0, "rational")
    assert filtered.certified
    assert filtered.num_pieces == rational.num_pieces
    # 1e-12: a few hundred roundings times the condition of these networks, far below any gap between knots
    assert np.allclose(filtered.knots, rational.knots, rtol=0, atol=1e-12)
    assert max(filtered.distance(rational)) < 1e-12


def test_ties_that_rounding_breaks_are_not_certain():
    """Tenths are no floats: many sums of them that are zero, or almost, are something else in float64."""
    rng = np.random.default_rng(0)
    num_certain = 0
    for _ in range(400):
        sizes = [1, *rng.integers(2, 5, rng.integers(1, 4)), 1]
        pairs = zip(sizes, sizes[1:], strict=False)
        network = Network([(rng.integers(-3, 4, (o, i)) / 10, rng.integers(-3, 4, o) / 10) for i, o in pairs])
        floating = piecewise(network, -1.0, 1.0, "float")
        num_certain += floating.certified
        if floating.certified:
            assert floating.num_pieces == piecewise(network, -1.0, 1.0, "rational").num_pieces
    assert num_certain > 100  # of 400: most have ties


@pytest.mark.parametrize(
    ("layers", "num_pieces"),
    [
        # two units with one knot, which cancel
        ([([[1.0], [2.0]], [-0.1, -0.2]), ([[2.0, -1.0]], [0.0])], 1),
        # a kink that two units see whose knot is there too: relu(u), relu(2 u) for u = relu(x)
        ([([[1.0]], [0.0]), ([[1.0], [2.0]], [0.0, 0.0]), ([[2.0, -1.0]], [0.0])], 1),
        # a kink that reaches the output as 3 * 0.1 - 0.3, which is 0 in float64 and not so for these floats
        ([([[1.0]], [0.0]), ([[0.1], [0.3]], [5.0, 5.0]), ([[3.0, -1.0]], [0.0])], 2),
    ],
)
def test_ties_of_each_kind(layers, num_pieces):
    network = Network(layers)
    assert not piecewise(network, -1.0, 1.0, "float").certified
    assert piecewise(network, -1.0, 1.0).num_pieces == num_pieces


def test_float_mode_keeps_the_bends_that_it_cannot_certify():
    one, zero = [[1.0]], [0.0]
    twice = Network([(one, zero), (one, zero), (one, zero)])  # the second unit is zero where the first bends
    found = piecewise(twice, -1.0, 1.0, "float")
    assert found.knots.tolist() == [-1.0, 0.0, 1.0]
    assert not found.certified
    assert PiecewiseLinear(found.knots, found.values).distance(twice) == (0.0, 0.0, 0.0)
    once = Network([(one, zero), (one, zero)])
    assert piecewise(once, -1.0, 1.0, "float").certified
    assert not piecewise(once.rational(), -1.0, 1.0, "float").certified  # its Fractions might be no floats


def test_generic_networks_need_no_rationals():
    assert all(piecewise(random_network((8, 8), seed), -1.0, 1.0).exact is None for seed in range(10))


def test_float_mode_says_when_it_may_be_wrong_and_is_right_on_deep_networks():
    assert not piecewise(sawtooth(3), 0.0, 1.0, "float").certified
    deep = random_network((32,) * 8, 1)
    float_deep, rational = piecewise(deep, -1.0, 1.0, "float"), piecewise(deep, -1.0, 1.0, "rational")
    assert float_deep.certified
    assert float_deep.num_pieces == rational.num_pieces
    # values are as good as evaluation: some hundred roundings of size 1e-16, amplified by eight layers
    assert max(float_deep.distance(rational)) < 1e-12


@settings(max_examples=60)
@given(rational_layers())
def test_exact_and_float_agree_on_degenerate_networks(layers):
    network = Network(layers)
    exact = piecewise(network, Fraction(-3, 2), 1)
    assert exact.certified
    floating = piecewise(network.float64(), -1.5, 1.0)
    assert floating.num_pieces == exact.num_pieces
    points = np.linspace(-1.5, 1.0, 41)  # dyadic up to rounding: values below 1e5, so 1e-9 is 1e4 ulps
    assert np.allclose(exact(points), network(points[:, None])[:, 0], rtol=0, atol=1e-9)
    middles = [(a + b) / 2 for a, b in zip(exact.exact.knots, exact.exact.knots[1:], strict=False)]
    ends = [(a + b) / 2 for a, b in zip(exact.exact.values, exact.exact.values[1:], strict=False)]
    assert network.exact([[x] for x in middles])[:, 0].tolist() == ends  # affine between knots, exactly
    bends = np.diff(exact.slopes)
    assert len(bends) == exact.num_pieces - 1
    assert np.all(bends != 0)


@settings(max_examples=40)
@given(rational_layers(), st.randoms(use_true_random=False))
def test_equivalent_networks_have_the_same_pieces(layers, random):
    network = Network(layers)
    (weight, bias), (outer, outer_bias), *rest = network.layers
    order = random.sample(range(len(bias)), len(bias))
    permuted = Network([(weight[order], bias[order]), (outer[:, order], outer_bias), *rest])
    scale = Fraction(random.randint(1, 5), 3)
    scaled = Network([(weight * scale, bias * scale), (outer / scale, outer_bias), *rest])
    first = outer[:, :1] / 3
    split = Network(
        [
            (np.vstack([weight, weight[:1]]), np.append(bias, bias[:1])),
            (np.hstack([first * 2, outer[:, 1:], first]), outer_bias),
            *rest,
        ]
    )
    expected = piecewise(network, -1, 1).exact
    for other in (permuted, scaled, split):
        assert piecewise(other, -1, 1).exact == expected


@pytest.mark.parametrize("seed", range(20))
def test_distance_agrees_with_dense_sampling(seed):
    first, second = random_network((6, 6), seed), random_network((12,), 100 + seed)
    distance = piecewise(first, -1.0, 2.0).distance(second)
    points = np.linspace(-1.0, 2.0, 200_001)[:, None]
    middle = 0.5 * (points[1:] + points[:-1])
    gaps = np.abs(first(middle) - second(middle))[:, 0]
    # midpoint rule with step 1.5e-5 on Lipschitz integrands
    assert distance.l1 == pytest.approx(3 * gaps.mean(), rel=1e-5, abs=1e-5)
    assert distance.l2 == pytest.approx(np.sqrt(3 * np.mean(gaps**2)), rel=1e-5, abs=1e-5)
    assert distance.sup == pytest.approx(gaps.max(), rel=1e-3)
    difference = piecewise(linear_combination([1.0, -1.0], [first, second]), -1.0, 2.0)
    zero = PiecewiseLinear(np.array([-1.0, 2.0]), np.zeros(2))
    assert np.allclose(difference.distance(zero), distance, rtol=1e-12)


@settings(max_examples=25)
@given(rational_layers(), rational_layers())
def test_float_distance_equals_the_rational_one(first, second):
    first, second = piecewise(Network(first), -1, 1), piecewise(Network(second), -1, 1)
    l1, l2_squared, sup = first.exact_distance(second)
    distance = first.distance(second)
    scale = 1 + float(sup)  # rounding is relative to the values that are subtracted
    assert distance.l1 == pytest.approx(float(l1), abs=1e-12 * scale)
    assert distance.l2**2 == pytest.approx(float(l2_squared), abs=1e-12 * scale**2)
    assert distance.sup == pytest.approx(float(sup), abs=1e-12 * scale)


def test_square_minus_its_interpolant():
    """x^2 minus its interpolant at 2^m + 1 points: (x - a)(x - b) on each piece."""
    knots = np.linspace(0.0, 1.0, 9)
    distance = PiecewiseLinear(knots, knots**2).distance(Polynomial((0.0, 0.0, 1.0)))
    step = 1 / 8
    assert distance.sup == pytest.approx(step**2 / 4, rel=1e-14)
    assert distance.l1 == pytest.approx(step**2 / 6, rel=1e-12)
    assert distance.l2 == pytest.approx(step**2 / np.sqrt(30), rel=1e-12)


def test_distance_to_a_polynomial_with_five_zeros_in_one_piece():
    """The Chebyshev polynomial U_5 of the second kind: all of these have L1 norm 2 on [-1, 1]."""
    zero = PiecewiseLinear(np.array([-1.0, 1.0]), np.zeros(2))
    distance = zero.distance(Polynomial((0.0, 6.0, 0.0, -32.0, 0.0, 32.0)))
    assert distance.l1 == pytest.approx(2, rel=1e-13)
    assert distance.sup == pytest.approx(6, rel=1e-13)


TARGETS = [
    Polynomial((0.1, -2.0, 3.0, 0.5, -7.0, 4.0)),
    Polynomial((0.2,)),
    CosineSum((1.0, 0.5), (3.0, 17.0), (0.0, 1.0), 0.25),
    CosineSum((), (), (), 0.25),
    Polynomial((0.0,) * 6 + (1.0,)),  # its inflection at 0 is a zero of order four, the next two are harder
    Polynomial(tuple(np.polynomial.polynomial.polypow((-0.5, 1.0), 8).tolist())),
    Polynomial((0.0,) * 30 + (1.0,)),
    CosineSum((1.0, -1.0), (3.0, -3.0), (0.0, 0.0)),  # zero, for reasons that its inflections do not see
    Piecewise((0.3, 0.77), (Polynomial((0.0, 1.0)), CosineSum((1.0,), (30.0,), (0.0,)), Polynomial((0.2,)))),
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("function", [piecewise(random_network((4, 4), 3), 0.0, 1.0), piecewise(sawtooth(3), 0.0, 1.0)])
def test_distance_to_smooth_targets_agrees_with_dense_sampling(function, target):
    points = (np.arange(400_000) + 0.5) / 400_000
    gaps = np.abs(function(points) - target(points))
    distance = function.distance(target)
    # a jump inside one of the cells of width 2.5e-6 costs less than 1e-5
    assert distance.l1 == pytest.approx(gaps.mean(), abs=1e-5)
    assert distance.l2**2 == pytest.approx(np.mean(gaps**2), abs=2e-5)
    assert distance.sup == pytest.approx(gaps.max(), rel=1e-4)


def test_distance_to_cosine_agrees_with_mpmath():
    function = piecewise(random_network((3, 3), 5), -1.0, 1.0)
    target = CosineSum((1.0,), (7.0,), (0.4,))

    def square(x):
        return mpmath.mpf(float(function(np.array([float(x)]))[0])) - mpmath.cos(7 * x + mpmath.mpf(0.4))

    reference = mpmath.sqrt(mpmath.quad(lambda x: square(x) ** 2, function.knots.tolist()))
    assert function.distance(target).l2 == pytest.approx(float(reference), rel=1e-12)


def test_l2_distance_keeps_its_digits_when_it_is_small():
    """A chord of step h leaves h^2 |f''| / sqrt(120): no cancellation of the two large integrals of squares."""
    knots = np.linspace(0.0, 1.0, 5001)
    tangent = CosineSum((1000.0,), (0.001,), (0.0,))
    distance = PiecewiseLinear(knots, tangent(knots)).distance(tangent)
    # f'' = -0.001; values of size 1000 carry 1e-13 each, which is the whole of the tolerance at 3.7e-12
    assert distance.l2 == pytest.approx(1e-3 * (1 / 5000) ** 2 / np.sqrt(120), abs=2e-13)


def test_inflections_are_isolated():
    roots = Polynomial((0.0, 0.0, 0.0, -1.0 / 6, 0.0, 1.0 / 20)).inflections(-2.0, 2.0)  # f'' = x^3 - x
    assert np.allclose(roots, [-1, 0, 1], atol=1e-14)
    cosine = CosineSum((1.0,), (np.pi,), (0.0,)).inflections(0.1, 3.4)
    assert np.allclose(cosine, [0.5, 1.5, 2.5], atol=1e-14)
    chebyshev = Polynomial(tuple(np.polynomial.chebyshev.cheb2poly([0] * 12 + [1]).tolist()))
    assert len(chebyshev.inflections(-1.0, 1.0)) == 10


def test_products_that_underflow_are_not_zeros():
    """The slope changes at 0, which products of float64 do not show."""
    one, zero = [[1.0]], [0.0]
    shrink = ([[1e-58, 0.0], [0.0, 1e-58]], zero * 2)
    for network, end in [
        (Network([([[1e-59]], zero), (one, zero)]), 1e-300),  # ends of the interval
        (Network([(one, zero), *[([[1e-58]], [1.0])] * 6, (one, zero)]), 1.0),  # the change of slope
        (Network([([[1e-100], [0.0]], [2e-100, 2e-100]), ([[1e-250, -1e-250]], zero), (one, zero)]), 1.0),  # weights
        (Network([([[1.0], [0.0]], [2.0, 2.0]), *[shrink] * 6, ([[1.0, -1.0]], zero), (one, zero)]), 1.0),  # values
    ]:
        assert not piecewise(network, -end, end, "float").certified
        exact = piecewise(network, -end, end)
        assert exact.certified
        assert exact.num_pieces == 2


@pytest.mark.parametrize("arithmetic", ["filtered", "rational", "float"])
def test_ends_may_be_numpy_numbers_and_need_not_be_floats(arithmetic):
    network = Network([([[1.0]], [-0.25]), ([[1.0]], [0.0])])
    for number in (np.float16, np.float32, np.int8, np.int64):
        assert piecewise(network, number(-1), number(3), arithmetic).knots.tolist() == [-1, 0.25, 3]
    # to floats these ends are one
    assert piecewise(network, 2**60, 2**60 + 1, "filtered").exact.knots == (2**60, 2**60 + 1)
    for low, high in [(0, 10**400), (Fraction(-(10**400)), 0)]:
        with pytest.raises(ValueError, match="too large for float64"):
            piecewise(network, low, high, arithmetic)


def test_pieces_do_not_need_flint(monkeypatch):
    networks = [sawtooth(3), random_network((4, 4), 0), Network([([[0.0]], [0.0]), ([[1.0]], [0.0])])]
    reference = [piecewise(network, -1, Fraction(5, 3)) for network in networks]
    monkeypatch.setattr(rationals, "flint", None)
    for network, expected in zip(networks, reference, strict=True):
        assert piecewise(network, np.int64(-1), Fraction(5, 3)).exact == expected.exact


def test_piecewise_target_of_a_hundred_parts():
    breaks = tuple((np.arange(1, 100) / 100).tolist())
    staircase = Piecewise(breaks, tuple(Polynomial((float(k), 1.0)) for k in range(100)))
    points = np.array([[0.0, 0.005], [0.5, 0.995]])
    assert np.array_equal(staircase(points), points + np.array([[0, 0], [50, 99]]))  # at a break the part on the right


def test_bad_input_gets_one_sentence():
    network = random_network((3,), 0)
    wide = Network([(np.ones((3, 2)), np.zeros(3)), (np.ones((1, 3)), np.zeros(1))])
    for call, message in [
        (lambda: piecewise(wide, 0.0, 1.0), "one input"),
        (lambda: piecewise(network, 1.0, 1.0), "low < high"),
        (lambda: piecewise(network, float("nan"), 1.0), "finite"),
        (lambda: piecewise(network, 0.0, float("inf")), "finite"),
        (lambda: piecewise(network, 0.0, 1.0, "fast"), "arithmetic must be"),
        (lambda: Polynomial((float("nan"),)), "finite"),
        (lambda: Polynomial(()), "at least one"),
        (lambda: Piecewise((0.0,), (1, 2)), "parts must be"),
        (lambda: CosineSum((1.0,), (), ()), "frequencies must hold 1"),
        (lambda: Piecewise((0.0,), (Polynomial((1.0,)),)), "one fewer"),
        (lambda: piecewise(network, 0.0, 1.0).distance(np.sin), "target must be"),
        (lambda: piecewise(network, 0.0, 1.0).distance(piecewise(network, 0.0, 2.0)), "must be given on"),
        (lambda: piecewise(network, 0.0, 1.0).exact_distance(piecewise(network, 0.0, 1.0)), "rational"),
        (lambda: PiecewiseLinear(np.array([0.0, 1.0]), np.array([0.0, np.nan])), "finite"),
        (lambda: PiecewiseLinear(np.array([1.0, 0.0]), np.zeros(2)), "sorted"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_breakpoints_of_one_layer_are_where_units_turn_on():
    network = random_network((7,), 11)
    (weight, bias), _ = network.layers
    zeros = -bias / weight[:, 0]
    expected = np.sort(zeros[(zeros > -1) & (zeros < 1)])
    assert np.allclose(breakpoints(network, -1.0, 1.0), expected, rtol=0, atol=1e-14)
