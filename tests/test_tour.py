"""The notebook tour: fifteen cells that run in order, say what they promise, and end in a picture."""

import json
import re

import numpy as np
from matplotlib import pyplot as plt
from scripts import ROOT

TOUR = json.loads((ROOT / "docs" / "tour.ipynb").read_text())
CODE = ["".join(cell["source"]) for cell in TOUR["cells"] if cell["cell_type"] == "code"]


def test_fifteen_cells_without_leftovers():
    assert len(TOUR["cells"]) == 15
    assert (TOUR["nbformat"], TOUR["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in TOUR["cells"]}) == 15
    for cell in TOUR["cells"]:
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


def test_the_tour_runs_and_its_numbers_are_in_order(capsys):
    names = {"__name__": "tour"}
    for number, code in enumerate(CODE):
        exec(compile(code, f"tour.ipynb, code cell {number + 1}", "exec"), names)
    printed = capsys.readouterr().out
    assert "nan" not in printed
    # The floor of one layer falls with its neurons; the explicit network with two is under what 16 of one can do.
    assert np.all(np.diff(names["floors"]) <= 0)
    assert names["explicit"] < names["least"][1] < names["errors"][1].min()
    assert int(re.search(r"at least (\d+) neurons for 1 %", printed)[1]) > 64
    (axes,) = names["figure"].axes
    assert len(axes.lines) == 3
    plt.close("all")
