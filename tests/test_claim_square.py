"""The square: floors by other routes, every smoke fit above its floor, the explicit networks, numbers of the figure."""

import math

import numpy as np
import pandas as pd
import pytest
from claims import claim, figure_of
from scripts import ROOT, load

from widththeory.bounds.affine_pieces import max_affine_pieces
from widththeory.bounds.free_knot import free_knot_floor
from widththeory.bounds.tabulated import tabulate

FIGURE = figure_of("square")
FAKE = load(ROOT / "tests" / "fake_tables" / "square.py")


@pytest.fixture(scope="module")
def made():
    return claim("square")


def test_no_smoke_fit_lies_under_its_floor(made):
    """All fits; the floors once more by hand: with P pieces 1/(8 P^2), 1/(sqrt(180) P^2), 1/(16 P^2)."""
    fits = FIGURE.compared(made.table, made.floor)
    assert len(fits) == len(made.table)
    assert len(FIGURE.under_floor(fits)) == 0
    for row in made.table.to_dict("records"):
        pieces = (row["width"] + 1) ** row["depth"]
        for norm, constant in (("sup", 8), ("l2", math.sqrt(180)), ("l1", 16)):
            assert row[f"exact_{norm}_error"] >= 1 / (constant * pieces**2)


def test_floors_agree_with_the_best_free_knots(made):
    square = tabulate(lambda x: x**2, 0.0, 1.0, curvature=2.0)
    for row in made.floor[made.floor["depth"] == 1].itertuples():
        pieces = max_affine_pieces((row.width,))
        for norm in ("l2", "sup"):
            found = free_knot_floor(square, pieces, norm, num_cells=256)
            floor = getattr(row, f"{norm}_floor")
            assert found.lower <= floor * (1 + 1e-12)
            assert floor <= found.upper * (1 + 1e-12)
            assert found.lower > 0.5 * floor  # an enclosure narrow enough to tell


def test_explicit_networks_lie_above_their_floors_and_fall_by_four_a_layer(made):
    assert (made.floor["sup_explicit"] >= made.floor["sup_floor"]).all()
    assert (made.floor["l2_explicit"] >= made.floor["l2_floor"]).all()
    network = made.network.sort_values("depth")
    # Errors down to 4e-6 of values near 1, which are rounded to 1e-16.
    np.testing.assert_allclose(network["sup_error"], network["sup_promised"], rtol=1e-9)
    np.testing.assert_allclose(network["sup_error"].to_numpy()[:-1] / network["sup_error"].to_numpy()[1:], 4, rtol=1e-9)


# --- the figure ------------------------------------------------------------------------------------------------------


def test_under_floor_in_any_norm():
    base = {f"{norm}_floor": 1.0 for norm in FIGURE.NORMS} | dict.fromkeys(FIGURE.NORMS, 1.0)
    rows = [base, {**base, "sup": 0.9}, {**base, "l2": 0.9}, {**base, "l1": 0.9}, {**base, "l1": 1.1}]
    assert FIGURE.under_floor(pd.DataFrame(rows)).index.tolist() == [1, 2, 3]


def test_the_gap_is_that_of_trained_over_explicit():
    tables = FAKE.tables(1)
    fits = FIGURE.drawn(tables[""], tables["floor"])
    np.testing.assert_allclose(fits["gap"], fits["width"] * 1.01, rtol=1e-12)
    caption = FIGURE.caption(tables[""], tables["floor"], tables["network"])
    assert "in the median from 3 (width 3, 1 layer) to 16 (width 16, 1 layer), grows with width." in caption
    # Four layers: 4^-5; 1 / (8 (w + 1)^2) is that at w + 1 = sqrt(128) = 11.3.
    assert "With 46 parameters explicit networks of width 3 have 9.8e-04, not yet less than the floor of one" in caption
    assert "one layer needs at least 11 for as little" in caption
    assert "does not hold; training finds little of either. (a)" in caption
    errors = ["exact_l2_error", "exact_sup_error", "exact_l1_error"]
    tables[""][errors] /= 4  # the largest gap is then 4
    assert "training finds little" not in FIGURE.caption(tables[""], tables["floor"], tables["network"])


def test_solid_lines_are_floors():
    """One in each panel of sup errors, one a depth in that of L2 errors; constructions are dashed, fits are marks."""
    tables = FAKE.tables(2)
    panels = FIGURE.figure(tables[""], tables["floor"], tables["network"]).axes
    assert [sum(line.get_linestyle() == "-" for line in axes.get_lines()) for axes in panels] == [1, 1, 3, 0]
    caption = FIGURE.caption(tables[""], tables["floor"], tables["network"])
    assert all(f"({letter}) " in caption for letter in "abcd")
