"""Regions over sizes: counts against their formulas and bounds, and the laws that the figure reads off."""

import math

import numpy as np
import pandas as pd
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
    networks = FAKE.tables(3)["networks"]
    for input_dim in (1, 2):
        for depth in (1, 2, 3):
            # Counts are rounded to integers, of at least six, and grow by up to two with seeds.
            law = FIGURE.growth(networks, "initialised", input_dim, depth)
            assert law.value == pytest.approx(input_dim, abs=0.15)
            assert law.low < law.value < law.high
            law = FIGURE.growth(networks, "explicit", input_dim, depth)
            assert law.value == pytest.approx(input_dim * depth, rel=1e-9)
    assert FIGURE.growth(networks[networks["width"] == 8], "explicit", 1, 2) is None


def test_the_interval_of_a_power_is_the_jackknife():
    """Two sizes, N and 2 N: the power is log2 of the quotient of means, and without a seed that of the others."""
    counts = {4: [3, 5, 10], 8: [9, 8, 19]}
    rows = [
        ("trained", seed, 1, 1, size, number) for size, found in counts.items() for seed, number in enumerate(found)
    ]
    networks = pd.DataFrame(rows, columns=["state", "seed", "input_dim", "depth", "num_neurons", "regions"])
    law = FIGURE.growth(networks, "trained", 1, 1)
    assert law.value == pytest.approx(1.0)  # 36 over 18
    pseudo = [3 - 2 * math.log2(quotient) for quotient in (27 / 15, 28 / 13, 17 / 8)]
    half = 4.302652730 * np.std(pseudo, ddof=1) / math.sqrt(3)  # Student's quantile of two degrees of freedom
    assert (law.low, law.high) == pytest.approx((1 - half, 1 + half))
    alone = FIGURE.growth(networks[networks["seed"] == 0], "trained", 1, 1)
    assert alone.value == pytest.approx(math.log2(3))
    assert np.isnan(alone.low)


def test_the_width_that_tells_most():
    networks = FAKE.tables(1)["networks"]
    networks = networks[networks["input_dim"] == 1]
    assert FIGURE.telling_width(networks) == 32
    lost = (networks["state"] == "explicit") & (networks["width"] == 32) & (networks["depth"] == 3)
    assert FIGURE.telling_width(networks[~lost]) == 16


def test_powers_are_told_depth_by_depth():
    """Regions of trained networks of depth 3 times N to the 3/4, in one dimension: a power of 1.75 and not 1."""
    tables = FAKE.tables(3)
    networks = tables["networks"]
    assert set(FIGURE.powers(networks)["where"]) <= {"with", "below"}
    assert "none of 12 powers lies above" in FIGURE.caption(tables[""], networks)
    steep = networks.copy()
    these = (steep["state"] == "trained") & (steep["depth"] == 3) & (steep["input_dim"] == 1)
    steep.loc[these, "regions"] = (steep["regions"] * steep["num_neurons"] ** 0.75).round().astype(int)
    steep["most"] *= 100
    found = FIGURE.powers(steep)
    (above,) = found[found["where"] == "above"].itertuples(index=False)
    assert (above.input_dim, above.depth, above.state) == (1, 3, "trained")
    told = FIGURE.caption(tables[""], steep)
    assert f"1 of 12 powers lie above the number of inputs, at most {above.power:.2f} [" in told
    assert ", 1 without the smallest width" in told


def test_deep_networks_are_held_against_one_hidden_layer():
    tables = FAKE.tables(3)
    networks = tables["networks"]
    assert (FIGURE.shallow_shares(networks)["high"] < 1).all()
    assert FIGURE.verdict(tables[""], networks).state == "held"
    these = (networks["state"] == "trained") & (networks["depth"] == 3) & (networks["width"] == 32)
    more = networks.copy()
    more.loc[these, "regions"] *= 3
    more["most"] *= 100
    verdict = FIGURE.verdict(tables[""], more)
    assert verdict.state == "not held"
    assert "and 2 more, by 95 % intervals over seeds" in verdict.sentence  # one and two inputs
    wild = more.copy()
    wild.loc[these, "regions"] = networks.loc[these, "regions"] * np.where(networks.loc[these, "seed"] == 0, 3, 1)
    assert FIGURE.verdict(tables[""], wild).state == "open"
    defect = networks.assign(most=1)
    assert FIGURE.verdict(tables[""], defect).state == "not held"
    alone = FAKE.tables(1)
    assert FIGURE.verdict(alone[""], alone["networks"]).state == "open"  # one seed gives no interval


def test_share_of_what_one_layer_can_have():
    """Two sizes of two and three networks, by hand: of N + 1 on a line, each with the variance of its own."""
    counts = {(6, 2): [3, 4], (9, 3): [2, 5, 5]}
    rows = [("trained", 1, neurons, depth, number) for (neurons, depth), found in counts.items() for number in found]
    networks = pd.DataFrame(rows, columns=["state", "input_dim", "num_neurons", "depth", "regions"])
    shares = FIGURE.shallow_shares(networks)
    assert shares["share"].tolist() == pytest.approx([3.5 / 7, 0.4])
    # Student's quantiles of one and of two degrees of freedom
    half = [12.706204736 * np.sqrt(2 * (0.5 / 7) ** 2 / 2), 4.302652730 * np.sqrt((0.2**2 + 2 * 0.1**2) / 2 / 3)]
    assert (shares["high"] - shares["share"]).to_numpy() == pytest.approx(half)
    assert (shares["share"] - shares["low"]).to_numpy() == pytest.approx(half)
    # 3/4 N of N + 1 in one dimension, 3/8 N^2 of 1 + N + N (N - 1) / 2 in two: most for N = 96 on a line
    assert FIGURE.shallow_shares(FAKE.tables(1)["networks"])["share"].max() == pytest.approx(72 / 97)


def test_a_size_that_varies_more_than_others_has_a_wider_interval():
    """Of nine sizes, eight do not vary, and one is 0.9 of what one layer can have, give or take 0.4."""
    networks = FAKE.tables(5)["networks"]
    networks = networks[networks["state"].eq("trained") & networks["depth"].eq(3)]
    networks = networks.assign(regions=networks["num_neurons"] // 2)
    wild = networks["input_dim"].eq(1) & networks["width"].eq(8)
    networks.loc[wild, "regions"] = [12, 32, 22, 12, 34]  # of 25
    shares = FIGURE.shallow_shares(networks).set_index(["input_dim", "num_neurons"])
    assert shares.loc[(1, 24), "share"] == pytest.approx(0.896)
    assert shares.loc[(1, 24), "high"] > 1.3
    assert (shares["high"] > 1).sum() == 1


def test_without_trained_networks_the_claim_is_open():
    tables = FAKE.tables(5)
    assert FIGURE.verdict(tables[""], tables["networks"]).state == "held"
    left = FAKE.of_fits({**tables, "": tables[""].assign(status="failed")})
    assert set(left["networks"]["state"]) == {"explicit", "initialised"}
    assert FIGURE.verdict(left[""], left["networks"]).state == "open"


def test_the_caption_judges():
    tables = FAKE.tables(2)
    whole = FIGURE.caption(tables[""], tables["networks"])
    assert f"none of {len(tables['networks'])} networks has more regions than its ceiling" in whole
    assert "which is not that of Montufar" not in whole
    assert "multiplies the explicit number by 32 and 1.02e+03." in whole

    over = tables["networks"].copy()
    over.loc[1, "regions"] = over.loc[1, "most"] + 1
    assert len(FIGURE.above_ceiling(over)) == 1
    assert "1 of" in FIGURE.caption(tables[""], over)
    assert "which is a defect" in FIGURE.caption(tables[""], over)
    assert FIGURE.verdict(tables[""], over).state == "not held"

    short = tables["networks"].copy()
    short.loc[short["state"] == "explicit", "regions"] -= 1
    assert "the explicit number, which is not that of Montufar et al., by" in FIGURE.caption(tables[""], short)
