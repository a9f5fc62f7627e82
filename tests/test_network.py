"""Explicit networks: three arithmetics agree; the algebra of networks is exact in rationals, so tolerance is zero."""

import runpy
import types
from fractions import Fraction
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from widththeory import network as network_module
from widththeory.network import Network, compose, linear_combination, stack

# Without the run-time type checker, which in tests would speak before the messages that users read.
plain = types.SimpleNamespace(**runpy.run_path(str(Path(network_module.__file__))))

HALF, THIRD = Fraction(1, 2), Fraction(1, 3)
rationals = st.fractions(min_value=-3, max_value=3, max_denominator=5)


@st.composite
def networks(draw, input_dim=None, output_dim=None, max_depth=3):
    """A network with small rational entries; zeros, and so ties at the kinks, are common."""
    dims = [
        input_dim or draw(st.integers(1, 3)),
        *draw(st.lists(st.integers(1, 3), max_size=max_depth)),
        output_dim or draw(st.integers(1, 2)),
    ]
    layers = []
    for fan_in, fan_out in zip(dims[:-1], dims[1:], strict=True):
        weight = draw(st.lists(rationals, min_size=fan_in * fan_out, max_size=fan_in * fan_out))
        bias = draw(st.lists(rationals, min_size=fan_out, max_size=fan_out))
        layers.append((np.array(weight, dtype=object).reshape(fan_out, fan_in), np.array(bias, dtype=object)))
    return Network(layers)


def points_for(input_dim, *, seed=0, num_points=4):
    rng = np.random.default_rng(seed)
    entries = [Fraction(int(n), 6) for n in rng.integers(-12, 13, num_points * input_dim)]
    return np.array(entries, dtype=object).reshape(num_points, input_dim)


def by_hand(network, points):
    """The same values by plain loops over Fractions."""
    outputs = []
    for point in points:
        hidden = [Fraction(entry) for entry in point]
        for index, (weight, bias) in enumerate(network.layers):
            if index:
                hidden = [max(entry, Fraction(0)) for entry in hidden]
            hidden = [
                sum((Fraction(w) * h for w, h in zip(row, hidden, strict=True)), Fraction(b))
                for row, b in zip(weight, bias, strict=True)
            ]
        outputs.append(hidden)
    return np.array(outputs, dtype=object).reshape(len(points), network.output_dim)


def tent():
    """1 - |2x - 1| between 0 and 1."""
    return Network([([[1], [1]], [0, -HALF]), ([[2, -4]], [Fraction(0)])])


# --- the three arithmetics --------------------------------------------------------------------------------------------


@given(networks())
def test_exact_equals_plain_loops(network):
    points = points_for(network.input_dim)
    values = network.exact(points)
    assert np.array_equal(values, by_hand(network, points))
    assert all(type(value) is Fraction for value in values.ravel())


@given(networks())
def test_exact_is_the_same_without_flint(network):
    points = points_for(network.input_dim)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network_module, "flint", None)
        without = network.exact(points)
    assert np.array_equal(network.exact(points), without)


@given(networks())
def test_float64_is_within_roundoff_of_exact(network):
    points = points_for(network.input_dim)
    exact = network.exact(points).astype(np.float64)
    # The same network with all signs dropped bounds what is added up: at most depth + 1 products of at most 3 terms and
    # a bias, each entry rounded once, make fewer than 8 roundings a layer.
    absolute = Network([(abs(weight), abs(bias)) for weight, bias in network.layers])
    bound = 8 * len(network.layers) * np.finfo(np.float64).eps * absolute.exact(abs(points)).astype(np.float64)
    floats = points.astype(np.float64)
    assert np.all(abs(network(floats) - exact) <= bound)
    assert np.all(abs(np.asarray(network.jax(jnp.asarray(floats))) - exact) <= bound)


def test_all_arithmetics_are_equal_at_dyadic_points():
    grid = np.arange(-64, 129)[:, None] / 64
    network = compose(tent(), compose(tent(), tent()))
    exact = network.exact(grid)
    assert np.array_equal(network(grid), exact.astype(np.float64))
    assert np.array_equal(np.asarray(network.jax(jnp.asarray(grid, jnp.float32))), exact.astype(np.float32))
    assert sum(exact[:, 0] == 1) == 4  # the teeth of three folds


def test_exact_takes_floats_as_they_are_stored():
    identity = Network([([[1.0]], [0.0])])
    assert identity.exact([[0.1]])[0, 0] == Fraction(0.1) != Fraction(1, 10)
    assert identity.exact(np.array([[0.1]], dtype=np.float32))[0, 0] == Fraction(float(np.float32(0.1)))
    assert identity.exact([[1], [THIRD]])[1, 0] == THIRD


def test_exact_does_not_overflow_numpy_integers():
    big = np.int64(2) ** 62
    square = Network([(np.array([[big]], dtype=object), [0]), ([[Fraction(big)]], [0])])
    assert square.exact([[big]])[0, 0] == 2**186
    assert square.exact([[Fraction(np.int64(1), np.int64(3))]])[0, 0] == Fraction(2**124, 3)


def test_no_points_give_no_values():
    network = tent()
    assert network.exact(np.zeros((0, 1))).shape == network(np.zeros((0, 1))).shape == (0, 1)


def test_jax_keeps_the_dtype_of_the_points():
    points = np.linspace(0, 1, 7)[:, None]
    for dtype in (jnp.float32, jnp.float64):
        assert tent().jax(jnp.asarray(points, dtype)).dtype == dtype


def test_jax_under_jit_vmap_and_grad():
    network = tent()
    points = jnp.linspace(0.05, 0.95, 8)[:, None]
    assert np.array_equal(jax.jit(network.jax)(points), network.jax(points))
    one = jax.vmap(lambda point: network.jax(point[None])[0])
    assert np.array_equal(one(points), network.jax(points))
    slopes = jax.vmap(jax.grad(lambda x: network.jax(x[None, None])[0, 0]))(points[:, 0])
    assert np.array_equal(slopes, np.where(points[:, 0] < 0.5, 2, -2))
    at_the_kink = jax.grad(lambda x: network.jax(x[None, None])[0, 0])(jnp.asarray(0.0))
    assert at_the_kink == 0  # relu'(0) = 0 as in Flax, not the 1/2 of jnp.maximum


# --- algebra: exact, so compared with tolerance zero ------------------------------------------------------------------


@given(st.data())
def test_compose(data):
    inner = data.draw(networks())
    outer = data.draw(networks(input_dim=inner.output_dim))
    points = points_for(inner.input_dim)
    composed = compose(outer, inner)
    assert np.array_equal(composed.exact(points), outer.exact(inner.exact(points)))
    assert composed.size.widths == inner.size.widths + outer.size.widths
    assert composed.is_rational


@given(st.data())
def test_stack_and_linear_combination(data):
    parts = data.draw(st.lists(networks(input_dim=2, output_dim=2), min_size=1, max_size=3))
    coefficients = data.draw(st.lists(rationals, min_size=len(parts), max_size=len(parts)))
    points = points_for(2)
    values = [part.exact(points) for part in parts]
    stacked = stack(parts)
    assert np.array_equal(stacked.exact(points), np.hstack(values))
    depth = max(part.size.depth for part in parts)
    deep = [part.deepen(depth).size.widths for part in parts]
    assert stacked.size.widths == tuple(map(sum, zip(*deep, strict=True)))
    combined = linear_combination(coefficients, parts)
    assert np.array_equal(combined.exact(points), sum(c * v for c, v in zip(coefficients, values, strict=True)))
    assert combined.size.widths == stacked.size.widths


@given(networks(max_depth=2), st.integers(0, 3))
def test_deepen(network, more):
    depth = network.size.depth + more
    deeper = network.deepen(depth)
    points = points_for(network.input_dim)
    assert np.array_equal(deeper.exact(points), network.exact(points))
    assert deeper.size.widths == network.size.widths + (2 * network.output_dim,) * more


@given(networks())
def test_rational_and_float64_are_the_network_as_stored(network):
    rounded = network.float64()
    assert not rounded.is_rational
    assert rounded.rational().is_rational
    points = points_for(network.input_dim)
    assert np.array_equal(rounded.exact(points), rounded.rational().exact(points))
    again = rounded.rational().float64()
    for (weight, bias), (weight_again, bias_again) in zip(rounded.layers, again.layers, strict=True):
        assert np.array_equal(weight, weight_again)
        assert np.array_equal(bias, bias_again)


def test_a_fraction_that_meets_a_float_stays_exact():
    third = Network([(np.array([[THIRD]], dtype=object), [0.0])])
    float_bias = Network([([[2.0]], [0.5])])
    rational_bias = Network([([[2.0]], np.array([THIRD], dtype=object))])
    assert compose(float_bias, third).exact([[1]])[0, 0] == 2 * THIRD + HALF
    assert compose(float_bias, rational_bias).exact([[0]])[0, 0] == 2 * THIRD + HALF
    assert linear_combination([THIRD, 1], [float_bias, float_bias]).exact([[0]])[0, 0] == THIRD / 2 + HALF
    assert stack([third, float_bias]).exact([[1]]).tolist() == [[THIRD, Fraction(5, 2)]]


def test_float_networks_stay_float():
    network = Network([([[1.0], [2.0]], [0.0, 0.5]), ([[1.0, -1.0]], [0.25])])
    for made in (compose(network, network), network.deepen(3), stack([network, network]), network.then([[2.0]], [1.0])):
        assert all(part.dtype == np.float64 for layer in made.layers for part in layer)


# --- size and data ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("widths", "width", "depth", "num_params"), [((), 0, 0, 4), ((5,), 5, 1, 26), ((5, 7, 2), 7, 3, 81)]
)
def test_size_counts_weights_and_biases(widths, width, depth, num_params):
    dims = (3, *widths, 1)
    network = Network([(np.ones((o, i)), np.ones(o)) for i, o in zip(dims[:-1], dims[1:], strict=True)])
    size = network.size
    assert (size.width, size.depth, size.num_params) == (width, depth, num_params)
    assert num_params == sum(part.size for layer in network.layers for part in layer)
    assert repr(network) == f"Network(input_dim=3, widths={widths}, output_dim=1, float64)"


def test_entries_are_copied_and_read_only():
    weight = np.ones((1, 1))
    network = Network([(weight, [0.0])])
    weight[0, 0] = 5
    assert network(np.ones((1, 1)))[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        network.layers[0].weight[0, 0] = 5
    assert weight.flags.writeable


# --- what is refused, in the words that users read --------------------------------------------------------------------

ONE = [([[1.0]], [0.0])]
TWO_IN = [([[1.0, 1.0]], [0.0])]
TWO_OUT = [([[1.0], [1.0]], [0.0, 0.0])]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "layers must hold at least one affine map, got none"),
        (
            [([1.0], [0.0])],
            r"layers\[0\] must be a \(fan_out, fan_in\) weight and a \(fan_out,\) bias, got shapes \(1,\)",
        ),
        ([([[1.0]], [0.0, 1.0])], r"got shapes \(1, 1\) and \(2,\)"),
        ([(np.zeros((1, 0)), [0.0])], r"got shapes \(1, 0\) and \(1,\)"),
        ([*ONE, *TWO_IN], r"layers\[1\] has fan-in 2, but the layer before it has 1 units"),
        ([([[np.nan]], [0.0])], r"layers\[0\].weight must hold finite numbers, got NaN or infinity"),
        ([([[1.0]], [np.inf])], r"layers\[0\].bias must hold finite numbers, got NaN or infinity"),
        ([([[1j]], [0.0])], r"layers\[0\].weight must hold real numbers or Fractions, got dtype complex128"),
        ([([["1"]], [0.0])], r"layers\[0\].weight must hold real numbers or Fractions, got dtype <U1"),
        ([([[HALF, np.nan]], [0.0])], r"layers\[0\].weight must hold finite real numbers or Fractions: "),
        ([([[HALF, None]], [0.0])], r"layers\[0\].weight must hold finite real numbers or Fractions: "),
        ([([[1.0], [1.0, 2.0]], [0.0, 0.0])], r"layers\[0\].weight must be an array of numbers: "),
    ],
)
def test_bad_layers(layers, message):
    with pytest.raises(ValueError, match=message):
        plain.Network(layers)


@pytest.mark.parametrize("way", ["__call__", "jax", "exact"])
def test_points_of_the_wrong_shape(way):
    network = plain.Network(TWO_IN)
    for points in (np.zeros(2), np.zeros((3, 1)), np.zeros((1, 2, 2))):
        with pytest.raises(ValueError, match=r"points must have shape \(num_points, 2\), got \("):
            getattr(network, way)(points)


def test_points_that_are_not_numbers():
    network = plain.Network(ONE)
    with pytest.raises(ValueError, match="points must have a floating dtype, got int"):
        network.jax(jnp.ones((1, 1), int))
    for entry in (np.nan, np.inf, "x", None):
        with pytest.raises(ValueError, match="points must hold finite real numbers or Fractions: "):
            network.exact([[entry]])


def test_fractions_too_large_for_float64():
    network = plain.Network([([[Fraction(10) ** 400]], [0])])
    assert network.exact([[1]])[0, 0] == 10**400
    for use in (network.float64, lambda: network(np.ones((1, 1))), lambda: network.jax(jnp.ones((1, 1)))):
        with pytest.raises(ValueError, match=r"layers\[0\].weight has entries too large for float64"):
            use()


def test_networks_that_do_not_fit_together():
    one, two_in, two_out = (plain.Network(layers) for layers in (ONE, TWO_IN, TWO_OUT))
    with pytest.raises(ValueError, match="outer takes 2 inputs, but inner has 1 outputs"):
        plain.compose(two_in, one)
    with pytest.raises(ValueError, match="networks must hold at least one network, got none"):
        plain.stack([])
    with pytest.raises(ValueError, match=r"networks must share one input dimension, got \[1, 2\]"):
        plain.stack([one, two_in])
    with pytest.raises(ValueError, match=r"networks must share one output dimension, got \[1, 2\]"):
        plain.linear_combination([1, 1], [one, two_out])
    with pytest.raises(
        ValueError, match=r"coefficients must hold one number for each of the 1 networks, got shape \(2,\)"
    ):
        plain.linear_combination([1, 1], [one])
    with pytest.raises(ValueError, match="coefficients must hold finite numbers, got NaN or infinity"):
        plain.linear_combination([np.nan], [one])


@pytest.mark.parametrize("depth", [0, -1, 1.5, True, "2"])
def test_deepen_refuses(depth):
    network = plain.compose(plain.Network([*TWO_OUT, *TWO_IN]), plain.Network([*TWO_OUT, *TWO_IN]))
    with pytest.raises(ValueError, match="depth must be an integer of at least 2, got"):
        network.deepen(depth)
