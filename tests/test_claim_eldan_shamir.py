"""Radial wave: its floors and its fits at smoke scale, and the numbers of its figure."""

import inspect

import numpy as np
import pandas as pd
import pytest
from claims import claim, figure_of
from scripts import ROOT, load

from widththeory.bounds import rigorous_wave
from widththeory.bounds.spectral import relative_floor
from widththeory.constructions.eldan_shamir import Cosine

FIGURE = figure_of("eldan_shamir")
FAKE = load(ROOT / "tests" / "fake_tables" / "eldan_shamir.py")


@pytest.fixture(scope="module")
def made():
    return claim("eldan_shamir")


def falls(values):
    return bool(np.all(np.diff(values) <= 0))


def test_no_smoke_fit_lies_under_its_floor_in_the_figure(made):
    _, *parts = inspect.signature(FIGURE.drawn).parameters
    drawn = FIGURE.drawn(made.table, *(made.parts[part] for part in parts))
    assert len(FIGURE.under_floor(drawn)) == 0


def test_wave_floors_fall_with_neurons(made):
    curves = made.floor[made.floor["relative_error"].isna()]
    assert curves["relative_floor"].between(0, 1).all()
    for _, curve in curves.groupby(["input_dim", "order"]):
        assert falls(curve.sort_values("num_neurons")["relative_floor"])
        assert curve["relative_floor"].max() > 0.5  # one neuron is far from enough: the test sees floors, not zeros


def test_wave_neurons_needed_agree_with_the_floors(made):
    """K(eps) comes from another search than the curve: with fewer neurons the floor is above eps, with more below."""
    for _, rows in made.floor.groupby(["input_dim", "order"]):
        curve, needed = rows[rows["relative_error"].isna()], rows[rows["relative_error"].notna()]
        assert falls(needed.sort_values("relative_error")["num_neurons"])
        for eps, most in zip(needed["relative_error"], needed["num_neurons"], strict=True):
            # Both are known to about 1e-9; what is between is told by neither.
            assert (curve.loc[curve["num_neurons"] < most * (1 - 1e-6), "relative_floor"] > eps * (1 - 1e-6)).all()
            assert (curve.loc[curve["num_neurons"] > most * (1 + 1e-6), "relative_floor"] < eps * (1 + 1e-6)).all()


def test_waves_explicit_networks_keep_their_guarantee(made):
    explicit = made.network
    # The guarantee is on the expectation, of which a sample was taken: 5 standard errors.
    assert (explicit["relative_error"] <= explicit["relative_bound"] + 5 * explicit["relative_error_stderr"]).all()
    assert (explicit.loc[explicit["target"] == made.experiment.WAVE, "relative_error_stderr"] > 0).all()


def test_every_fit_of_the_wave_lies_above_the_floor_of_its_size(made):
    """All fits, not only the chosen ones, and the floor by formula, not from the table."""
    single = made.table[(made.table["target"] == made.experiment.WAVE) & (made.table["depth"] == 1)]
    above_nothing = 0
    for row in single.to_dict("records"):
        radial = Cosine(row["target.input_dim"], row["target.frequency"], row["target.order"]).spectrum()
        floor = max(0.0, relative_floor(radial, float(row["width"])).lower)
        above_nothing += floor > 0
        # Both are sampled moments: 4 standard errors of the error, 5 % for the second moment from 4096 points.
        slack = 4 * row["test_mse_stderr"] / row["target_second_moment"] + 0.05 * floor
        assert row["test_mse"] / row["target_second_moment"] + slack > floor
        tabulated = made.floor[
            (made.floor["input_dim"] == row["target.input_dim"])
            & (made.floor["order"] == row["target.order"])
            & (made.floor["num_neurons"] == row["width"])
            & made.floor["relative_error"].isna()
        ]
        assert tabulated["relative_floor"].tolist() == [pytest.approx(floor, rel=1e-12)]
    assert above_nothing >= 4


# --- the figure ------------------------------------------------------------------------------------------------------


def chosen(**columns):
    base = {"target": FIGURE.WAVE, "target.input_dim": 6, "depth": 2, "width": 8, "relative_stderr": 0.0}
    return pd.DataFrame({**base, "status": "done", "diverged": 0.0, **columns})


def test_waves_under_their_floor():
    fits = pd.DataFrame(
        {
            "relative": [0.05, 0.07, 0.1, 0.2],
            "relative_stderr": [0.01, 0.01, 0.0, 0.0],
            "floor": [0.1, 0.1, 0.1, np.nan],
        }
    )
    assert FIGURE.under_floor(fits).index.tolist() == [0]  # four standard errors of 0.01 are allowed


def test_floor_is_that_of_the_same_number_of_neurons():
    tables = FAKE.tables(2)
    drawn = FIGURE.drawn(tables[""], tables["floor"])
    assert set(drawn["learning_rate"]) == {0.01}
    single = (drawn["target"] == FIGURE.WAVE) & (drawn["depth"] == 1)
    np.testing.assert_array_equal(
        drawn.loc[single, "floor"], FAKE.wave_floor(drawn.loc[single, "target.input_dim"], drawn.loc[single, "width"])
    )
    assert drawn.loc[~single, "floor"].isna().all()  # two layers and the control are under no such floor
    assert (drawn["num_neurons"] == drawn["width"] * drawn["depth"]).all()
    np.testing.assert_allclose(drawn["relative_stderr"], 0.01 * drawn["relative"], rtol=1e-12)


def test_past_one_layer():
    """Floor at 8 neurons 1 - 8 / 640; between 32 and 128 that of 128 counts, beyond 512 none is known."""
    floor = FAKE.tables(1)["floor"]
    at = {neurons: FAKE.wave_floor(6, neurons) for neurons in (32, 128)}
    fits = chosen(
        num_neurons=[32, 32, 48, 48, 1024, 32, 32, 32, 32],
        relative=[at[32] - 0.01, at[32] + 0.01, at[128] - 0.01, at[128] + 0.01, 0.0, 0.0, 0.0, 0.0, at[32] - 0.01],
        relative_stderr=[0.0] * 8 + [0.003],
        diverged=[0.0] * 5 + [1.0] + [0.0] * 3,
        depth=[2] * 6 + [1] + [2] * 2,
        target=[FIGURE.WAVE] * 7 + [FIGURE.CONTROL, FIGURE.WAVE],
    )
    assert FIGURE.past_one_layer(fits, floor).index.tolist() == [0, 2]


def test_the_dimension_that_tells_most():
    floor = FAKE.tables(1)["floor"]
    shown = chosen(num_neurons=32, **{"target.input_dim": [2, 4, 6], "relative": [0.0, 0.0, 1.0]})
    # d = 2 has no floor left at 32 of its 40 neurons' worth above the error 0; d = 4 has, d = 6 is not reached.
    assert FIGURE.telling_dim(shown, floor) == 4
    assert FIGURE.telling_dim(shown.assign(relative=1.0), floor) == 6


def test_the_caption_counts_the_separation():
    tables = FAKE.tables(2)
    caption = FIGURE.caption(*(tables[part] for part in ("", "floor", "network")))
    # 0.99 * 10 * 2^d neurons against 30 d: 158 against 120 at d = 4, 39.6 against 60 at d = 2.
    assert "; from d = 4 on explicit networks with two layers have fewer neurons and guarantee 0.01; " in caption
    fits = FIGURE.drawn(tables[""], tables["floor"])
    past = len(FIGURE.past_one_layer(fits, tables["floor"]))
    assert 0 < past < 12
    assert f"{past} of 12 with two layers fell below the floor of one with as many neurons (d = " in caption


def test_growth_of_what_one_layer_needs_and_of_the_explicit_network():
    floor = pd.DataFrame({"input_dim": [2, 4, 8, 2, 8], "order": [2, 2, 2, 0, 2], "num_neurons": [3, 27, 3**7, 1, 1]})
    floor["relative_error"] = [0.01, 0.01, 0.01, 0.01, 0.5]
    network = pd.DataFrame({"target": FIGURE.WAVE, "input_dim": [2, 8], "num_neurons": [8, 128]})
    network["relative_bound"] = [0.01, 0.008]
    assert FIGURE.growth(floor, network) == pytest.approx((3, 2))
    one = floor[floor["input_dim"] == 2]
    assert np.isnan(FIGURE.growth(one, network)[0])


def test_separated_at_one_error_that_all_explicit_networks_guarantee():
    """Guarantees of 0.03 and 0.2: needs are read at 0.25 in both dimensions; of 0.6: nowhere, whatever 1 % takes."""
    rows = [(4, 0.01, 90), (4, 0.25, 40), (6, 0.01, 900), (6, 0.25, 60), (6, 0.5, 55)]
    floor = pd.DataFrame(rows, columns=["input_dim", "relative_error", "num_neurons"]).assign(order=2)
    network = pd.DataFrame({"input_dim": [4, 6], "num_neurons": [50, 50], "relative_bound": [0.03, 0.2]})
    network["target"] = FIGURE.WAVE
    assert FIGURE.common_error(floor, network) == 0.25
    assert FIGURE._separated(floor, network) == [6]
    assert FIGURE._separated(floor, network.assign(relative_bound=0.01)) == [4, 6]
    assert FIGURE._separated(floor, network.assign(relative_bound=0.6)) == []


def test_explicit_networks_guarantee_one_per_cent(made):
    waves = made.network[made.network["target"] == FIGURE.WAVE]
    assert waves["relative_bound"].between(0.005, 0.01).all()
    assert FIGURE.common_error(made.floor, made.network) == 0.01


def test_one_layer_with_the_explicit_neurons_of_dimension_six_provably_misses_one_per_cent():
    """The separation that the verdict states, in interval arithmetic: 327 neurons against a floor of 0.44."""
    wave = Cosine.for_error(6, 3.0, 2, relative_error=0.01)
    proven = rigorous_wave.Wave(6, 3.0, wave.window, 2, precision=64)
    assert rigorous_wave.relative_floor(proven, sum(wave.size().widths)) > 0.4
    assert wave.error().bound ** 2 <= 0.01 * wave.second_moment().lower
