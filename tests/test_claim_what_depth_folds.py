"""What depth folds: what the figure judges, and that each of its letters is told."""

from claims import figure_of
from scripts import ROOT, load

from widththeory import plotting

FIGURE = figure_of("what_depth_folds")
FAKE = load(ROOT / "tests" / "fake_tables" / "what_depth_folds.py")


def parts(tables):
    return tables[""], tables["regions"], tables["faces"]


def test_the_caption_judges_as_the_verdict_does():
    """36 regions of the explicit deep network, at most 30 of a shallow one; fitted deep ones have 36 and more."""
    tables = FAKE.tables(2)
    regions = tables["regions"]
    assert FIGURE.verdict(*parts(tables)).state == "not held"
    assert FIGURE.caption(*parts(tables)).count("in the median do not: the claim does not hold.") == 1
    fitted = (regions["architecture"] == "deep") & (regions["state"] != "explicit")
    regions.loc[fitted, "linear_regions"] = 7
    assert FIGURE.verdict(*parts(tables)).state == "held"
    assert FIGURE.caption(*parts(tables)).count("in the median do not: the claim holds.") == 1


def test_without_a_deep_trained_network_the_claim_is_open():
    tables = FAKE.tables(2)
    regions, fits = tables["regions"], tables[""]
    regions.loc[regions["state"] != "explicit", "linear_regions"] = 7
    fits.loc[(fits["depth"] > 1) & (fits["num_steps"] > 0), "status"] = "failed"
    found = FIGURE.verdict(*parts(FAKE.of_fits(tables)))
    assert (found.state, found.best_fit) == ("open", None)
    assert "initialised deep ones have 7 in the median, trained ones an unknown number" in found.sentence


def test_the_count_over_a_picture_is_that_of_the_network_pictured():
    """Where the first seed failed, the count of the second stood over no picture."""
    tables = FAKE.tables(2)
    fits = tables[""]
    fits.loc[(fits["depth"] > 1) & (fits["num_steps"] > 0) & (fits["seed"] == 0), "status"] = "failed"
    with plotting.style():
        titles = [axes.get_title() for axes in FIGURE.figure(*parts(FAKE.of_fits(tables))).axes]
    assert [title for title in titles if title.startswith("(f)")] == ["(f) that fit failed"]
    assert [title for title in titles if title.startswith("(e)")] == ["(e) 36 regions"]


def test_lines_that_coincide_are_all_seen():
    """Of the shallow network the bound, the explicit number and the order lie on each other: widest first."""
    tables = FAKE.tables(2)
    with plotting.style():
        counts = FIGURE.figure(*parts(tables)).axes[-1]
    across = [line for line in counts.lines if len(set(line.get_ydata())) == 1 and len(line.get_xdata()) == 3]
    assert len(across) == 6
    for lines in (across[:3], across[3:]):
        assert [line.get_zorder() for line in lines] == sorted({line.get_zorder() for line in lines})
        assert [line.get_linewidth() for line in lines] == sorted(
            {line.get_linewidth() for line in lines}, reverse=True
        )
    told = FIGURE.caption(*parts(tables))
    assert all(f"{letter}" in told for letter in ("(a-c)", "(d-f)", "(g)"))
