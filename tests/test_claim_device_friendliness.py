"""Device friendliness: equal work by formula, ratios within a round, the roof, and what the caption concludes."""

import numpy as np
import pandas as pd
import pytest
from claims import claim, figure_of
from scripts import ROOT, load

FIGURE = figure_of("device_friendliness")
FAKE = load(ROOT / "tests" / "fake_tables" / "device_friendliness.py")
EXPERIMENT = load(ROOT / "experiments" / "device_friendliness.py")


@pytest.fixture(scope="module")
def made():
    return claim("device_friendliness")


def test_networks_of_a_scale_have_equal_work():
    """The blocks' by construction, n width^2; stem and classifier add little, and less to the deep ones."""
    for sizes_of in (EXPERIMENT.CPU, EXPERIMENT.GPU):
        for scale, sizes in sizes_of.items():
            cells = [one for one in EXPERIMENT._run(sizes, "cpu", 0) if one.model]
            work = {one.architecture.cost().multiply_adds for one in cells}
            in_blocks = 18 * sizes.widest**2 * sizes.image_size**2
            assert all(in_blocks < each < in_blocks * (1 + 2 / sizes.widest + 0.01) for each in work), scale
            assert len({one.architecture.widths for one in cells}) == len(sizes.blocks)
    with pytest.raises(ValueError, match="must be a square"):
        EXPERIMENT.network(64, 2, 8)


def test_platforms_of_each_scale(monkeypatch):
    def platforms(**flags):
        return {one.platform for one in EXPERIMENT.settings(EXPERIMENT.Config(**flags))}

    monkeypatch.setattr(EXPERIMENT, "has_gpu", lambda: False)
    assert platforms(scale="laptop") == {"cpu"}
    assert platforms(scale="paper") == {"cpu", "gpu"}
    assert platforms(scale="paper", platforms=("gpu",)) == {"gpu"}
    monkeypatch.setattr(EXPERIMENT, "has_gpu", lambda: True)
    assert platforms(scale="laptop") == {"cpu", "gpu"}
    assert platforms(scale="smoke") == {"cpu"}


def test_smoke_times_are_positive_and_ordered(made):
    table = made.table
    columns = [name for name in table if name.startswith("round_")]
    assert len(columns) == 3
    assert (table[columns] > 0).all(axis=None)
    np.testing.assert_allclose(table["seconds_median"], table[columns].median(axis=1), rtol=1e-12)
    # counted in the trace, against the formulas of the settings: backward is two forward, but for the first layer's
    trained = table[table["work"] == "train"]
    ratio = trained["flops"] / (6 * trained["batch_size"] * trained["multiply_adds"])
    assert ((ratio > 0.9) & (ratio < 1)).all()


def test_smoke_numbers_are_drawn_by_depth_and_width(made):
    cells = FIGURE.drawn(made.table)
    assert set(zip(cells["depth"], cells["width"], strict=True)) == {(3, 16), (9, 8)}
    assert (cells["n"] == 2 * 3).all()
    assert (cells.loc[cells["depth"] == 3, "ratio"] == 1).all()


# --- the figure ------------------------------------------------------------------------------------------------------


def test_ratios_are_taken_within_a_round():
    """Rounds differ by a factor of two, the ratios not at all."""
    cells = FIGURE.drawn(FAKE.tables(2)[""])
    cpu = cells[(cells["platform"] == "cpu") & (cells["depth"] == 33)]
    expected = (cpu["batch_size"] + 160) / (cpu["batch_size"] + 10)
    for name in ("ratio", "ratio_low", "ratio_high"):
        np.testing.assert_allclose(cpu[name], expected, rtol=1e-12)
    assert (cpu["seconds_high"] / cpu["seconds_low"] > 1.3).all()
    assert (cpu["n"] == 2 * FAKE.NUM_ROUNDS).all()
    assert (cells.loc[cells["depth"] == 3, "ratio"] == 1).all()


def test_a_run_without_its_shallowest_network_has_no_ratios():
    table = FAKE.tables(2)[""]
    gone = (table["run"] == 0) & (table["model.widths"] == "[64]") & (table["batch_size"] == 16)
    table.loc[gone, "status"] = "failed"
    cells = FIGURE.drawn(table).set_index(["platform", "batch_size", "depth"])
    assert cells.loc[("cpu", 16, 33), "n"] == FAKE.NUM_ROUNDS
    assert cells.loc[("cpu", 1, 33), "n"] == 2 * FAKE.NUM_ROUNDS


def test_the_roof_is_the_lower_of_two():
    cells = FIGURE.drawn(FAKE.tables(1)[""])
    # 2e9 operations in 0.01 s; 8e6 bytes in 0.01 s
    for row in cells.itertuples():
        assert row.roof == pytest.approx(min(2e11, 8e8 * row.flops / row.bytes), rel=1e-12)
        assert row.rate == pytest.approx(row.flops / row.seconds, rel=1e-12)


def test_the_verdict():
    table = FAKE.tables(2)[""]
    found = FIGURE.verdict(table)
    assert found.state == "held"
    assert "33 layers of 16 channels take 14.64 [14.64, 14.64], " in found.sentence
    assert "times as long as the shallowest network at batch size 1, 16, 256" in found.sentence
    assert found.n == 2 * 3 * 2 * FAKE.NUM_ROUNDS
    columns = [f"round_{turn + 1}" for turn in range(FAKE.NUM_ROUNDS)]
    deep = (table["model.widths"] == "[16]") & (table["batch_size"] == 256)
    faster = table.copy()
    faster.loc[deep, columns] /= 10
    assert FIGURE.verdict(faster).state == "not held"
    noisy = table.copy()
    noisy.loc[deep, columns] *= np.array([0.2, 1.0, 3.0])
    assert FIGURE.verdict(noisy).state == "open"
    growing, level = table.copy(), table.copy()
    growing.loc[deep, columns] *= 40  # slower everywhere, and most at the largest batch
    assert FIGURE.verdict(growing).state == "not held"
    level.loc[deep, columns] *= np.array([1.0, 8.0, 64.0])  # slower everywhere; at which batch most cannot be told
    assert FIGURE.verdict(level).state == "open"
    alone = table[table["model.widths"].isin([np.nan, "[64]"])]
    assert FIGURE.verdict(alone).state == "open"
    # slower at the one batch size there is, of which it cannot be told whether it is more so than at another
    assert FIGURE.verdict(table[table["batch_size"] == 1]).state == "open"


def test_the_caption_says_devices_and_shares():
    caption = FIGURE.caption(FAKE.tables(2)[""])
    assert "float32, CPU a machine; GPU a machine; other devices" in caption
    assert "n = 6 rounds in 2 runs" in caption
    assert "the claim holds" in caption
    # (b + 160) / (b + 10), at 1 and 256 images a batch
    assert "the deepest network takes 14.64 [14.64, 14.64] and 1.56 [1.56, 1.56] (CPU, training); " in caption
    without = FAKE.tables(2)[""]
    without = without[without["work"] == "train"]
    assert "roof not measured" in FIGURE.caption(pd.DataFrame(without))


def test_a_look_is_a_depth_in_every_panel_and_the_roof_bends():
    times, ratios, roof, *_ = FIGURE.figure(FAKE.tables(2)[""]).axes
    looks = [line.lines[0].get_color() for line in times.containers]
    assert len(set(looks)) == len(looks) == len(FAKE.NETWORKS)
    assert [line.lines[0].get_color() for line in ratios.containers] == looks[1:]  # the shallowest is the unit
    *networks, bent = roof.lines
    assert [line.get_color() for line in networks] == looks
    assert [text.get_text() for text in roof.texts] == ["1", "16", "256"]  # batch sizes, said once
    # 2e11 operations a second over 8e8 bytes bend at 250 operations a byte, right of all networks of these tables
    assert roof.get_xlim()[0] == 1
    assert bent.get_ydata()[0] == pytest.approx(0.8)
    assert bent.get_ydata()[-1] > bent.get_ydata()[0]


def test_the_caption_goes_through_the_panels():
    caption = FIGURE.caption(FAKE.tables(2)[""])
    assert "(a, d) Time of a step of SGD; (b, e) over" in caption
    assert "(c, f) Roofline" in caption
