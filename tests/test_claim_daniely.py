"""Sine of an inner product: narrow floors and neuron norms by other routes, Theorem 3 for every fit, the figure."""

import math

import numpy as np
import pandas as pd
import pytest
import scipy.special as sp
from claims import claim, figure_of
from scripts import ROOT, load

from widththeory.bounds.daniely_norm import error_floor, neuron_norm_needed, polynomial_distance_squared
from widththeory.bounds.sphere_projection import sphere_projection_floor
from widththeory.constructions.daniely import InnerProductSine
from widththeory.network import Network

FIGURE = figure_of("daniely")
FAKE = load(ROOT / "tests" / "fake_tables" / "daniely.py")
EXPERIMENT = load(ROOT / "experiments" / "daniely.py")


@pytest.fixture(scope="module")
def made():
    return claim("daniely")


# --- first layers narrower than the sphere ---------------------------------------------------------------------------


@pytest.mark.parametrize(("dim", "order", "width"), [(3, 1.0, 1), (4, 1.0, 2), (5, 0.5, 4), (8, 1.0, 5)])
def test_projection_floor_by_drawing_what_is_not_seen_anew(dim, order, width):
    """E Var(F | P x, x') = E (F(x, x') - F(y, x'))^2 / 2, y equal to x but for a new direction of x - P x."""
    sine, rng = InnerProductSine(dim, order), np.random.default_rng(0)
    points = sine.sample(200_000, rng)
    fresh = points.copy()
    rest = rng.standard_normal((len(points), dim - width))
    length = np.linalg.norm(points[:, width:dim], axis=1) / np.linalg.norm(rest, axis=1)
    fresh[:, width:dim] = rest * length[:, None]
    halves = (sine.target(points) - sine.target(fresh)) ** 2 / 2
    moment = polynomial_distance_squared(dim, sine.frequency, 0).value
    found = sphere_projection_floor(dim, sine.frequency, width)
    assert abs(found.value - halves.mean() / moment) < 5 * halves.std() / math.sqrt(len(points)) / moment
    assert found.error < 1e-10


def test_projection_floor_falls_with_width_and_the_moment_agrees_with_harmonics():
    for dim, frequency in ((4, 6.0), (9, 20.0)):
        floors = [sphere_projection_floor(dim, frequency, width).value for width in range(1, dim)]
        assert (np.diff(floors) < 0).all()
        assert 0 < floors[-1] < floors[0] < 1
        order = dim / 2 - 1  # E cos(2 w u), u a coordinate of a point on the sphere, is Gamma(d/2) w^-v J_v(2 w)
        moment = (1 - math.gamma(order + 1) * frequency**-order * sp.jv(order, 2 * frequency)) / 2
        # a sum over harmonics of even and odd degree against one Bessel function, each to 1e-12
        assert moment == pytest.approx(polynomial_distance_squared(dim, frequency, 0).value, abs=1e-10)


@pytest.mark.parametrize("bad", [(2, 1.0, 1), (4, 1.0, 4), (4, 0.0, 2), (4, math.inf, 2), (4, 1.0, 0)])
def test_projection_floor_refuses(bad):
    with pytest.raises(ValueError, match="must be"):
        sphere_projection_floor(*bad)


# --- norms of neurons ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dim", [3, 4, 7])
def test_neuron_norms_by_sampling(dim):
    rng = np.random.default_rng(1)
    layers = [(rng.standard_normal((5, 2 * dim)), rng.standard_normal(5)), (rng.standard_normal((1, 5)), np.zeros(1))]
    network = Network(layers)
    points = InnerProductSine(dim).sample(100_000, rng)
    values = np.maximum(points @ layers[0][0].T + layers[0][1], 0) * layers[1][0][0]
    found = EXPERIMENT.neuron_norms(network, dim)
    np.testing.assert_allclose(found, values.std(axis=0), rtol=0.02)  # 100,000 draws
    finer = EXPERIMENT.neuron_norms(network, dim, 400)
    np.testing.assert_allclose(found, finer, rtol=EXPERIMENT.QUADRATURE / 5)


def test_a_neuron_that_never_bends_has_the_norm_of_a_linear_function():
    """Var <w, x> + <w', x'> = (|w|^2 + |w'|^2) / d; one that is always off has none."""
    row = np.array([[0.3, -0.4, 0.0, 0.0, 1.2, 0.0]])
    network = Network([(np.vstack([row, row]), np.array([5.0, -5.0])), (np.array([[2.0, 7.0]]), np.zeros(1))])
    norms = EXPERIMENT.neuron_norms(network, 3)
    np.testing.assert_allclose(norms, [2 * 1.3 / math.sqrt(3), 0.0], atol=1e-12)


# --- path norms ------------------------------------------------------------------------------------------------------


def path_norm(network):
    """The value at (1, ..., 1) with every weight and bias replaced by its absolute value."""
    values = np.ones(network.input_dim)
    for weight, bias in network.float64().layers:
        values = np.abs(weight) @ values + np.abs(bias)
    return values[0]


@pytest.mark.parametrize("sine", [InnerProductSine(3, 1.0, 5, 9), InnerProductSine(4, 0.5, 6, 7)])
def test_path_norm_of_the_explicit_network_by_its_weights(sine):
    assert sine.path_norm() == pytest.approx(path_norm(sine.network()), rel=1e-12)


@pytest.mark.parametrize("dim", [3, 8])
def test_a_path_norm_is_at_least_the_root_of_d_times_the_neurons_norms(dim):
    """For each neuron, with the norm of Theorem 3 by quadrature; nearly equal where it never bends along one axis."""
    rng = np.random.default_rng(0)
    rows, shifts, heads = rng.standard_normal((20, 2 * dim)), rng.standard_normal(20), rng.standard_normal((1, 20))
    rows[0], shifts[0] = np.eye(2 * dim)[0] * 1e-2, 1.0
    norms = EXPERIMENT.neuron_norms(Network([(rows, shifts), (heads, np.zeros(1))]), dim)
    paths = np.abs(heads[0]) * np.abs(rows).sum(axis=1)  # biases would only add
    assert (math.sqrt(dim) * norms <= paths * (1 + 1e-9)).all()
    assert math.sqrt(dim) * norms[0] == pytest.approx(paths[0], rel=1e-6)


# --- fits ------------------------------------------------------------------------------------------------------------


def test_every_smoke_fit_satisfies_theorem_3_and_the_narrow_floor(made):
    fits = FIGURE.compared(made.table, made.floor, made.network)
    assert len(fits) == len(made.table)
    assert len(FIGURE.under_floor(fits)) == 0
    assert (fits["floor"] > 0).sum() >= 6
    for row in made.table[made.table["depth"] == 1].to_dict("records"):
        dim, frequency = row["target.sphere_dim"], InnerProductSine(row["target.sphere_dim"]).frequency
        moment = polynomial_distance_squared(dim, frequency, 0).value
        least = error_floor(dim, frequency, row["norm_sum"] * 1.01).lower
        assert row["norm_floor"] >= max(0.0, least)  # the experiment allows for less quadrature error
        assert row["test_mse"] / moment + 4 * row["test_mse_stderr"] / moment > max(0.0, least)
    assert made.table.loc[made.table["depth"] > 1, "norm_sum"].isna().all()


def test_theorem_3_holds_for_a_network_that_fits_well():
    """Least squares on random ReLU features: a small error at a large sum of norms, and the theorem still holds."""
    sine, rng = InnerProductSine(3, 0.5), np.random.default_rng(2)
    inner, bias = rng.standard_normal((300, 6)), rng.standard_normal(300)
    points, fresh = sine.sample(6000, rng), sine.sample(6000, rng)
    design = np.column_stack([np.maximum(points @ inner.T + bias, 0), np.ones(len(points))])
    gram = design.T @ design + 1e-4 * len(points) * np.eye(301)
    outer = np.linalg.solve(gram, design.T @ sine.target(points))
    network = Network([(inner, bias), (outer[None, :-1], outer[-1:])])
    moment = polynomial_distance_squared(3, sine.frequency, 0).value
    relative = np.mean((network(fresh)[:, 0] - sine.target(fresh)) ** 2) / moment
    norm_sum = EXPERIMENT.neuron_norms(network, 3).sum()
    assert relative < 0.2
    assert norm_sum > neuron_norm_needed(3, sine.frequency, float(relative)).upper


def test_explicit_networks_keep_their_guarantee(made):
    rows = made.network
    assert (rows["relative_error"] <= rows["relative_bound"] + 5 * rows["relative_error_stderr"]).all()
    for row in made.needed.itertuples():
        sine = InnerProductSine(row.sphere_dim, row.order)
        allowed = math.sqrt(row.relative_error * polynomial_distance_squared(row.sphere_dim, sine.frequency, 0).value)
        # the count splits into pieces of squares and of the sine: some split guarantees the error
        guaranteed = [
            InnerProductSine(row.sphere_dim, row.order, square, pieces).error().bound
            for square in range(1, row.two_layers // row.sphere_dim + 1)
            if (pieces := row.two_layers - row.sphere_dim * square - 1) > 0
        ]
        assert min(guaranteed) <= allowed


# --- the figure ------------------------------------------------------------------------------------------------------


def test_under_floor_allows_for_the_measurement():
    fits = pd.DataFrame({"relative": [0.05, 0.07, 0.1], "relative_stderr": [0.01, 0.01, 0.0], "floor": [0.1] * 3})
    assert FIGURE.under_floor(fits).index.tolist() == [0]


def test_the_target_that_is_shown_is_the_fastest_found():
    tables = FAKE.tables(1)
    fits = FIGURE.drawn(tables[""], tables["floor"], tables["network"])
    assert FIGURE.telling_target(fits) == (5, 1.0)
    slow = fits.assign(relative=np.where(fits["target.sphere_dim"] == 3, fits["relative"], 0.9))
    assert FIGURE.telling_target(slow) == (3, 1.0)
    assert FIGURE.telling_target(fits.assign(relative=0.9)) == (5, 0.5)  # sqrt(5) / 2 is the slowest


def test_prices_are_over_what_the_error_needs():
    tables = FAKE.tables(1)
    fits = FIGURE.drawn(tables[""], tables["floor"], tables["network"])
    one = FIGURE.prices(fits)
    assert set(one["depth"]) == {1}
    for row in one.to_dict("records"):
        frequency = math.pi * math.sqrt(row["target.sphere_dim"]) * row["target.order"]
        least = neuron_norm_needed(row["target.sphere_dim"], frequency, row["relative"]).lower
        assert row["price"] == pytest.approx(row["width"] / 10 / least, rel=1e-12)


def test_a_power_of_the_dimension_is_not_taken_for_an_exponential():
    tables = FAKE.tables(1)
    found = FIGURE.growth(tables["needed"])
    assert (found.exponential, found.dims) == (True, (4, 8, 16))
    assert found.power == pytest.approx(1.5**0.5, rel=1e-12)  # the power that makes 1.5^4 of 2 makes 1.5^4 of 16 / 8
    assert not FIGURE.growth(tables["needed"], "2").exponential  # d^4, by a factor of 2.00 at first
    parts = [tables[part] for part in ("", "floor", "network")]
    held = FIGURE.verdict(*parts, tables["needed"])
    assert (held.state, held.best_fit) == ("held", None)
    certified = (tables[""]["norm_floor"] > 0).sum()
    assert held.check.endswith(f", {certified} of them with one hidden layer and a floor by its norms")
    assert (held.floor, held.construction) == (1.5**16 / 0.1, 9 * 16**3)  # one quantity, one layer and two
    power = tables["needed"].assign(path_norm=tables["needed"]["sphere_dim"] ** 30.0)
    assert FIGURE.verdict(*parts, power).state == "not held"
    steep = tables["needed"].assign(two_layers_path_norm=tables["needed"]["sphere_dim"] ** 5.0)
    assert FIGURE.verdict(*parts, steep).state == "not held"


def test_the_caption_counts():
    tables = FAKE.tables(2)
    caption = FIGURE.caption(*(tables[part] for part in ("", "floor", "network", "needed")))
    assert "one layer's norm grows by 1.50 times a dimension up to d = 8, 1.50 beyond" in caption  # 1.5^d
    assert "two layers' like d^3.0" in caption
    # d^4: 2^4 over 4 dimensions, then over 8
    assert "(falling from 1.41 to 1.19 for m = 1, from 2.00 to 1.41 for m = 2)" in caption
    assert "(Daniely 2017): the claim holds." in caption
    fits = FIGURE.compared(tables[""], tables["floor"], tables["network"])
    narrow = fits[(fits["width"] == 2) & (fits["target.sphere_dim"] == 5)]
    assert (narrow["floor"] >= 0.6 - 1e-12).all()  # 1 - 2 / 5, at every depth
