"""Verdicts: what they refuse, and that a file takes them back exactly; every figure's, from tables by formula."""

import json

import pytest
from scripts import FIGURES, load
from test_figures import FAKES, FITTED, FLOORED, fake, given

from widththeory import verdicts
from widththeory.verdicts import Verdict

CONCLUDING = [path for path in FIGURES if hasattr(load(path), "verdict")]
GOOD = {
    "state": "held",
    "sentence": "none of 3 lies under it",
    "quantity": "error at width 3",
    "floor": 0.1,
    "best_fit": 0.2,
    "construction": None,
    "n": 3,
}


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("state", "true", "state must be one of"),
        ("sentence", " ", "sentence must say something"),
        ("quantity", "", "quantity must say something"),
        ("floor", float("nan"), "floor must be finite or None, got nan"),
        ("best_fit", float("inf"), "best_fit must be finite or None, got inf"),
        ("construction", float("inf"), "construction must be finite or None, got inf"),
        ("n", -1, "n must be at least 0, got -1"),
    ],
)
def test_nonsense_is_refused(field, value, sentence):
    with pytest.raises(ValueError, match=sentence):
        Verdict(**{**GOOD, field: value})


@pytest.mark.parametrize(
    ("quantity", "name"),
    [
        ("sup error on [0, 1] for x^2 / 2, width 2", "sup error"),
        ("relative squared error, d = 8", "relative squared error"),
        ("path norm (sum over all paths) for d = 64", "path norm"),
        ("linear regions", "linear regions"),
        ("accuracy with half of the width", "accuracy"),
    ],
)
def test_the_first_words_of_a_quantity_are_its_name(quantity, name):
    assert Verdict(**{**GOOD, "quantity": quantity}).name == name


def test_floors_that_nothing_was_held_against_are_not_said_to_be_kept():
    """ "None of 0 trained networks" was said."""
    assert verdicts.floor_check(0, 3) == "0 of 3 trained networks with a positive floor lie under it"
    assert (
        verdicts.floors_kept(0, 3, " in L2") == "none of 3 trained networks with a positive floor lies under it in L2"
    )
    assert verdicts.floors_kept(1, 3, " in L2") == "1 of 3 trained networks lie under their floor, which is a defect"
    assert verdicts.floor_check(0, 0) == verdicts.floors_kept(0, 0)
    assert verdicts.floors_kept(0, 0) == "no trained network with a positive floor was measured"
    assert verdicts.counted(0, 3, "are above") == "; 0 of 3 are above"
    assert verdicts.counted(0, 0, "are above") == ""


def test_a_file_takes_it_back():
    made = Verdict(**{**GOOD, "floor": 0.1 + 0.2})
    words, again = verdicts.read(verdicts.write("claim", "smoke", "smoke, 1 of 2", "It says \u03c3.", made))
    assert again == made
    assert words == {"claim": "claim", "scale": "smoke", "extent": "smoke, 1 of 2", "caption": "It says \u03c3."}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"verdict": 3}', json.dumps({"verdict": GOOD})])
def test_another_file_is_refused(text):
    with pytest.raises(ValueError, match="not the conclusion of a figure"):
        verdicts.read(text)


@pytest.mark.parametrize(
    ("path", "variant"),
    [
        (path, variant)
        for path in CONCLUDING
        for variant in (("whole", "lost", "one seed") if path in FITTED else ("whole",))
    ],
    ids=lambda part: getattr(part, "stem", part),
)
def test_verdicts_stand_on_the_tables(path, variant):
    found = given(load(path).verdict, fake(path.stem, variant))
    assert isinstance(found, Verdict)
    if path in FITTED:
        assert found.n > 0
    assert 1 < len(found.name) <= 22, found.quantity  # what the table of all verdicts has room for
    if found.floor is not None:
        assert found.best_fit is None or found.best_fit >= found.floor * (1 - 1e-9)  # rounding


@pytest.mark.parametrize("path", [path for path in CONCLUDING if path in FLOORED], ids=lambda path: path.stem)
def test_a_fit_under_its_floor_is_no_success(path):
    """Whatever the claim is: numbers that contradict a theorem do not support it."""
    assert given(load(path).verdict, fake(path.stem, "planted")).state == "not held"


def test_there_are_floors_to_plant():
    assert len(FAKES) >= len(FLOORED) > 2
