"""Learning gap: gradients by quadrature and by JAX, bounds, the way back, numbers of the figure."""

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from claims import claim, figure_of
from scripts import ROOT, load

from widththeory import plotting
from widththeory.bounds.sawtooth_gradient import correlation_bound, variation_bound
from widththeory.constructions.telgarsky import Sawtooth
from widththeory.exact.one_dim import piecewise
from widththeory.exact.parameter_gradient import parameter_gradient
from widththeory.models.mlp import initial_network
from widththeory.network import Network

FIGURE = figure_of("learning_gap")
FAKE = load(ROOT / "tests" / "fake_tables" / "learning_gap.py")
EXPERIMENT = load(ROOT / "experiments" / "learning_gap.py")
NODES, WEIGHTS = np.polynomial.legendre.leggauss(3)  # exact up to degree 5, more than any integrand has


@pytest.fixture(scope="module")
def made():
    return claim("learning_gap")


def drawn_network(widths, seed):
    points = np.random.default_rng(seed).random((64, 1))
    return initial_network(1, widths, init="hinged", seed=seed, points=points)


def by_jax(network, points):
    """d output / d parameter at each point, a row a point, by automatic differentiation of a plain network."""

    def value(layers, point):
        hidden = point[None]
        for weight, bias in layers[:-1]:
            hidden = jax.nn.relu(weight @ hidden + bias)
        weight, bias = layers[-1]
        return (weight @ hidden + bias)[0]

    layers = [tuple(map(jnp.asarray, layer)) for layer in network.float64().layers]
    slopes = jax.vmap(jax.grad(value), in_axes=(None, 0))(layers, jnp.asarray(points))
    return np.concatenate([np.asarray(part).reshape(len(points), -1) for layer in slopes for part in layer], axis=1)


def gauss(knots):
    steps = np.diff(knots)
    points = knots[:-1, None] + steps[:, None] * (NODES + 1) / 2
    return points.ravel(), (steps[:, None] * WEIGHTS / 2).ravel()


# --- the gradient -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("widths", "seed"), [((5,), 0), ((8, 8), 1), ((3, 3, 3, 3), 2)])
def test_gradient_is_that_of_automatic_differentiation(widths, seed):
    """Values inside cells, which are affine between the two ends; then both integrals, by Gauss between all kinks."""
    network = drawn_network(widths, seed)
    gradient = parameter_gradient(network, 0.0, 1.0)
    assert gradient.num_cells > 1
    share = 0.3
    points = gradient.knots[:-1] + share * np.diff(gradient.knots)
    inside = (1 - share) * gradient.left + share * gradient.right
    scale = np.abs(gradient.left).max()
    np.testing.assert_allclose(by_jax(network, points), inside, rtol=0, atol=1e-12 * scale)  # some hundred roundings
    for num_folds in (1, 3, 6):
        knots = np.union1d(gradient.knots, np.arange(2**num_folds + 1) / 2**num_folds)
        points, weights = gauss(knots)
        slopes, outputs = by_jax(network, points), network(points[:, None])[:, 0]
        target = Sawtooth(num_folds).target(points[:, None])
        whole, mean = (2 * (weights * (outputs - f)) @ slopes for f in (target, 0.5))
        part = EXPERIMENT.seen(gradient, num_folds)
        np.testing.assert_allclose(part, whole - mean, rtol=0, atol=1e-12 * scale)
        np.testing.assert_allclose(2 * gradient.times_output(0.5) + part, whole, rtol=0, atol=1e-12 * scale)
        # the bound by variation, and the one by pieces with the network's own cells
        norm = np.linalg.norm(part)
        tallest = max(np.linalg.norm(ends, axis=1).max() for ends in (gradient.left, gradient.right))
        assert norm <= 2 * variation_bound(num_folds, gradient.total_variation).upper
        assert norm <= 2 * correlation_bound(num_folds, gradient.num_cells, 2 * tallest).upper
        assert norm > 0


def test_total_variation_by_hand():
    """g(x) = relu(x - 1/2): by the weight x [x > 1/2], by the bias [x > 1/2], by the output's weight relu, 1."""
    gradient = parameter_gradient(Network([([[1.0]], [-0.5]), ([[1.0]], [0.0])]), 0.0, 1.0)
    np.testing.assert_array_equal(gradient.knots, [0, 0.5, 1])
    np.testing.assert_array_equal(gradient.left, [[0, 0, 0, 1], [0.5, 1, 0, 1]])
    np.testing.assert_array_equal(gradient.right, [[0, 0, 0, 1], [1, 1, 0.5, 1]])
    # the jump (1/2, 1) and then a change of (1/2, 0, 1/2)
    assert gradient.num_cells == 2
    assert gradient.total_variation == pytest.approx(np.sqrt(1.25) + np.sqrt(0.5), rel=1e-15)


def test_total_variation_is_that_of_differences():
    """Of the gradient by JAX just inside both ends of each cell: all cells change and jump here."""
    network = drawn_network((4, 4), 3)
    gradient = parameter_gradient(network, 0.0, 1.0)
    steps = np.diff(gradient.knots)
    points = np.stack([gradient.knots[:-1] + 1e-9 * steps, gradient.knots[1:] - 1e-9 * steps], axis=1).ravel()
    variation = np.linalg.norm(np.diff(by_jax(network, points), axis=0), axis=1).sum()
    assert gradient.num_cells > 2
    assert gradient.total_variation == pytest.approx(variation, rel=1e-7)


@pytest.mark.parametrize("num_folds", [1, 2, 5])
def test_wave_integrals_by_quadrature(num_folds):
    points = np.array([0.0, 0.03, 0.125, 0.3, 0.5, 0.77, 1.0])
    once, twice = EXPERIMENT.wave_integrals(points, num_folds)
    for place, point in enumerate(points):
        knots = np.union1d(np.arange(2**num_folds + 1) / 2**num_folds, point)
        inner, weights = gauss(knots[knots <= point])
        wave = Sawtooth(num_folds).target(inner[:, None]) - 0.5
        assert once[place] == pytest.approx(weights @ wave, abs=1e-15)
        # int_0^x W = int_0^x (x - t) w(t) dt
        assert twice[place] == pytest.approx(weights @ ((point - inner) * wave), abs=1e-15)
    # W is largest, 2^(-k-3), in the middle of an edge: the constant of `variation_bound`
    assert abs(EXPERIMENT.wave_integrals(np.array([2.0**-num_folds / 2]), num_folds)[0][0]) == 2.0 ** (-num_folds - 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: parameter_gradient(Network([(np.ones((1, 2)), [0.0])]), 0.0, 1.0), "one input and one output"),
        (lambda: parameter_gradient(Network([(np.ones((2, 1)), [0.0] * 2)]), 0.0, 1.0), "one input and one output"),
        (lambda: parameter_gradient(Sawtooth(1).network(), 1.0, 1.0), "low < high"),
        (lambda: parameter_gradient(Sawtooth(1).network(), -np.inf, 1.0), "finite"),
        (lambda: parameter_gradient(Sawtooth(1).network(), 0.0, np.inf), "finite"),
    ],
)
def test_bad_input_gets_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_explicit_weights_have_no_gradient_left():
    """g = h^k: the whole gradient of the loss is zero, so the part seen undoes that against the constant."""
    gradient = parameter_gradient(Sawtooth(3).network(), 0.0, 1.0)
    whole = 2 * gradient.times_output(0.5) + EXPERIMENT.seen(gradient, 3)
    np.testing.assert_allclose(whole, 0, rtol=0, atol=1e-13)  # of terms up to 1


# --- the tables -------------------------------------------------------------------------------------------------------


def test_no_initial_network_sees_more_than_the_bound(made):
    gradient = made.gradient
    assert FIGURE.over_bound(gradient).empty
    assert (gradient["bound"] > 0).sum() >= 8
    assert (gradient["seen"] > gradient["bound"] / 1e4).any()  # and the bound is not idle
    assert FIGURE.fall(gradient) > 1.3


def test_no_smoke_fit_lies_under_the_floor_of_its_pieces(made):
    fits = FIGURE.compared(made.table, made.pieces)
    assert len(fits) == len(made.table) == len(made.pieces)
    assert FIGURE.under_floor(fits).empty
    assert (fits["num_pieces"] >= 1).all()
    assert (fits["pieces_floor"] > 0).any()


def test_perturbed_networks_are_as_far_as_said():
    explicit = Sawtooth(4).network()
    moved = EXPERIMENT.perturbed(explicit, 0.25, np.random.default_rng(0))
    flat, other = (
        np.concatenate([part.ravel() for layer in n.float64().layers for part in layer]) for n in (explicit, moved)
    )
    assert np.linalg.norm(other - flat) == pytest.approx(0.25 * np.linalg.norm(flat), rel=1e-12)
    assert moved.size == explicit.size


def test_descent_never_ends_worse_and_finds_back_from_near(made):
    """Best weights are kept by training loss, the start among them: exact errors may differ by what the sample does."""
    returns = made.returns
    assert (returns["train_mse"] >= 0).all()
    near = returns[returns["distance"] == returns["distance"].min()]
    assert (near["after"] < near["before"]).all()
    # the training loss is the sampled square error: 512 points, of errors of any shape
    tall = returns["after"] > 1e-6
    ratio = 12 * returns.loc[tall, "train_mse"] / returns.loc[tall, "after"]
    assert ratio.between(0.5, 2).all()
    target = piecewise(Sawtooth(2).network(), 0.0, 1.0)
    config = EXPERIMENT.Config(scale="smoke")
    explicit = Sawtooth(2).network()
    ((same, loss),) = EXPERIMENT.descend([explicit], 2, np.array([1e-3]), config)
    assert loss == 0  # exact weights are exact in float64, and descent does not leave them
    assert EXPERIMENT._relative(same, target) == 0


# --- the figure -------------------------------------------------------------------------------------------------------


def test_basin_is_the_distance_up_to_which_all_medians_are_small():
    rows = [(1, d, s, 0.1, 1.0, e, e) for d, e in ((0.1, 1e-3), (0.2, 0.5), (0.4, 1e-3)) for s in range(3)]
    rows += [(2, d, 0, 0.1, 1.0, e, e) for d, e in ((0.1, 0.02), (0.2, 1e-3))]
    rows += [(3, d, 0, 0.1, 1.0, 1e-3, 1e-3) for d in (0.1, 0.2)]
    columns = ["num_folds", "distance", "seed", "learning_rate", "before", "after", "train_mse"]
    assert FIGURE.basin(pd.DataFrame(rows, columns=columns)).to_dict() == {1: 0.1, 3: 0.2}


def test_widths_of_which_half_see_nothing_are_not_drawn_and_counted():
    """Of three networks of width 2 one sees nothing at two folds, two at three; at four all see something again."""
    tables = FAKE.tables(3)
    gradient = tables["gradient"]
    assert not FIGURE.dead(gradient)["dead"].any()
    for folds, seeds in ((2, (0,)), (3, (0, 1))):
        gone = (gradient["width"] == 2) & (gradient["num_folds"] == folds) & gradient["seed"].isin(seeds)
        gradient.loc[gone, ["seen", "bound"]] = 0.0
    counts = FIGURE.dead(gradient)
    two = counts[counts["width"] == 2]
    assert two["dead"].tolist() == [0, 1, 2, 0, 0]
    assert two["drawn"].tolist() == [True, True, False, False, False]
    assert counts.loc[counts["width"] == 8, "drawn"].all()
    given = [tables[part] for part in ("", "gradient", "pieces", "returns")]
    with plotting.style():
        above = FIGURE.figure(*given).axes[0]
    drawn = {line.get_label(): np.round(line.get_xdata()).tolist() for line in above.lines}  # widths stand apart
    assert drawn["width 2, till half see nothing"] == [1, 2]
    assert drawn["width 8"] == [1, 2, 3, 4, 5]


def test_the_caption_counts_what_the_tables_hold():
    tables = FAKE.tables(3)
    given = [tables[part] for part in ("", "gradient", "pieces", "returns")]
    caption = FIGURE.caption(*given)
    assert "The widest networks see 2.00 times less of it with each fold" in caption
    assert "At k = 5 6 of 6 leave over half" in caption
    assert "from distances of 0.25 (k = 2) to 0.062 (k = 4). " in caption
    assert "the claim holds" in caption
    assert "initial networks" not in caption
    assert FIGURE.verdict(*given).check.endswith("and 0 of 30 initial gradients see more than their bound")
    tables["gradient"].loc[0, "seen"] = 2 * tables["gradient"].loc[0, "bound"]
    tables["returns"]["after"] = 1.0
    caption = FIGURE.caption(*given)
    assert "; 1 of 30 initial networks see more than their bound, which is a defect; " in caption
    assert "from distances of none tried. " in caption
    assert "the claim does not hold" in caption


def test_without_a_fit_of_the_most_folds_the_claim_is_open():
    """Fits of fewer folds were judged instead."""
    tables = FAKE.tables(3)
    tables[""].loc[tables[""]["target.num_folds"] == 5, "status"] = "failed"
    left = FAKE.of_fits(tables)
    given = [left[part] for part in ("", "gradient", "pieces", "returns")]
    found = FIGURE.verdict(*given)
    assert (found.state, found.best_fit, found.n) == ("open", None, 0)
    assert found.sentence.endswith("; no network of 5 layers was trained to its end")
    assert "At k = 5 no network was trained to its end. " in FIGURE.caption(*given)
