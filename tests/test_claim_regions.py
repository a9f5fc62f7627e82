"""Regions over sizes: counts against their formulas and bounds, and the laws that the figure reads off."""

import math

import numpy as np
import pytest
from claims import claim, figure_of
from scripts import ROOT, load

from widththeory.exact.one_dim import piecewise
from widththeory.network import Network

FIGURE = figure_of("regions")
FAKE = load(ROOT / "tests" / "fake_tables" / "regions.py")


@pytest.fixture(scope="module")
def made():
    return claim("regions")


# --- counts ----------------------------------------------------------------------------------------------------------


def test_every_network_is_counted_under_its_ceiling(made):
    networks = made.networks
    sizes = len(networks[["input_dim", "width", "depth"]].drop_duplicates())
    assert set(networks["state"]) == {"explicit", "initialised", "trained"}
    assert (networks["state"] == "explicit").sum() == sizes
    assert (networks["state"] == "trained").sum() == len(made.table)
    assert len(FIGURE.above_ceiling(networks)) == 0
    assert (networks["regions"] >= 1).all()
    planar = networks[networks["input_dim"] == 2]
    # Regions of equal active units refine the linear ones.
    assert (planar["activation_regions"] >= planar["regions"]).all()
    assert networks.loc[networks["input_dim"] == 1, "activation_regions"].isna().all()


def test_explicit_counts_are_the_formula_written_out(made):
    """prod floor(w / d)^d times the cells of w lines in general position, and the ceiling prod (w + 1) of one input."""
    explicit = made.networks[made.networks["state"] == "explicit"]
    for row in explicit.itertuples():
        d, w = row.input_dim, row.width
        last = 1 + w if d == 1 else 1 + w + math.comb(w, 2)
        assert row.regions == (w // d) ** (d * (row.depth - 1)) * last == row.least_maximum
        if d == 1:
            assert row.most == (w + 1) ** row.depth
    one_layer = explicit[explicit["depth"] == 1]
    assert len(one_layer) >= 3
    assert (one_layer["regions"] == one_layer["most"]).all()  # one hidden layer attains its ceiling


def test_initialised_networks_of_one_layer_and_input_have_all_their_pieces(made):
    """Each hinge goes through a point of the domain, so that each unit makes one breakpoint."""
    networks = made.networks
    one = networks[(networks["state"] == "initialised") & (networks["input_dim"] == 1) & (networks["depth"] == 1)]
    assert (one["regions"] == one["width"] + 1).all()


def test_counts_of_known_networks(made):
    """|x| on [-1, 1] has two pieces; |x_1| + |x_2| four quadrants, by linear maps and by active units."""
    count = made.experiment.count
    ridge = Network([(np.array([[1.0], [-1.0]]), np.zeros(2)), (np.ones((1, 2)), np.zeros(1))])
    assert count(ridge, -1)[0] == piecewise(ridge, -1, 1).num_pieces == 2
    rows = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    cross = Network([(rows, np.zeros(4)), (np.ones((1, 4)), np.zeros(1))])
    assert count(cross, -1) == (4, 4.0)
    assert count(cross, 0) == (1, 1.0)


# --- laws ------------------------------------------------------------------------------------------------------------


def test_growth_finds_the_power():
    networks = FAKE.tables(1)["networks"]
    for input_dim in (1, 2):
        for depth in (1, 2, 3):
            # Counts are rounded to integers, of at least six: by a twelfth at most, over a fourfold range.
            law = FIGURE.growth(networks, "initialised", input_dim, depth)
            assert law.exponent == pytest.approx(input_dim, abs=0.05)
            law = FIGURE.growth(networks, "explicit", input_dim, depth)
            assert law.exponent == pytest.approx(input_dim * depth, rel=1e-9)
    assert FIGURE.growth(networks[networks["width"] == 8], "explicit", 1, 2) is None


def test_the_width_that_tells_most():
    networks = FAKE.tables(1)["networks"]
    networks = networks[networks["input_dim"] == 1]
    assert FIGURE.telling_width(networks) == 32
    lost = (networks["state"] == "explicit") & (networks["width"] == 32) & (networks["depth"] == 3)
    assert FIGURE.telling_width(networks[~lost]) == 16


def test_the_power_at_one_depth_that_is_furthest_off_is_told():
    """Regions of trained networks of depth 3 times N to the 3/4, in one dimension: a power of 1.75 and not 1."""
    tables = FAKE.tables(2)
    networks = tables["networks"].copy()
    steep = (networks["state"] == "trained") & (networks["depth"] == 3) & (networks["input_dim"] == 1)
    networks.loc[steep, "regions"] = (networks["regions"] * networks["num_neurons"] ** 0.75).round().astype(int)
    state, input_dim, depth, law = FIGURE.furthest(networks)
    assert (state, input_dim, depth) == ("trained", 1, 3)
    assert law.exponent == pytest.approx(1.75, abs=0.05)  # as without the factor
    told = f"furthest from the number of inputs for trained networks of depth 3 with 1 input, {law.exponent:.2f} ["
    assert told in FIGURE.caption(tables[""], networks)
    assert told in FIGURE.verdict(tables[""], networks).sentence
    assert FIGURE.furthest(networks[networks["state"] == "explicit"]) is None


def test_the_caption_judges():
    tables = FAKE.tables(2)
    whole = FIGURE.caption(tables[""], tables["networks"])
    assert f"none of {len(tables['networks'])} networks has more regions than its ceiling" in whole
    assert "holds within 1/2" in whole
    assert "have the number of Montufar" in whole
    assert "multiplies it by 32 (1 in, width 32) and by 1.02e+03 (2 in, width 32)" in whole  # 32 and 32^2

    over = tables["networks"].copy()
    over.loc[1, "regions"] = over.loc[1, "most"] + 1
    assert len(FIGURE.above_ceiling(over)) == 1
    assert "1 of" in FIGURE.caption(tables[""], over)
    assert "which is a defect" in FIGURE.caption(tables[""], over)

    folding = tables["networks"].copy()
    found = folding["state"] == "trained"
    folding.loc[found, "regions"] = folding.loc[found, "least_maximum"]
    assert "does not hold within 1/2" in FIGURE.caption(tables[""], folding)
    short = tables["networks"].copy()
    short.loc[short["state"] == "explicit", "regions"] -= 1
    assert "do not have the number of Montufar" in FIGURE.caption(tables[""], short)
