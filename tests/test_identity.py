"""Equal settings have one key, whatever the machine and the version, and others have another."""

import json
import math
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from fake_fits import FakeFit, grid
from fake_ledger import FIT, later
from hypothesis import given
from hypothesis import strategies as st

from widththeory import identity


def test_identity_is_stable():
    # Literal: a change of this key would orphan every row that anybody has measured.
    assert identity.key(FIT) == "cc89742b7a2163e5abf7122a2f2c302b"


def test_a_new_field_without_effect_keeps_the_key():
    same = later(None)("lu.Wide", (("k", 3), ("seed", 1)), 8, 2, 1e-3)
    assert identity.key(same) == identity.key(FIT)
    assert identity.key(replace(same, momentum=0.5)) != identity.key(FIT)


VALUES = st.one_of(
    st.integers(-9, 9), st.floats(allow_nan=False), st.booleans(), st.text(), st.tuples(st.integers(0, 2))
)


@given(st.tuples(VALUES, VALUES, st.tuples(VALUES, VALUES)))
def test_the_quick_key_is_that_of_the_whole_text(values):
    one, other, pair = values
    fit = replace(FIT, seed=one, learning_rate=other, target_args=(("a", pair), ("b", one)))
    plain = json.loads(identity.defaults(FakeFit))
    for _ in range(2):  # the second time from what is remembered
        assert identity.key(fit) == identity.key_of("FakeFit", plain, json.loads(identity.encode(fit)))


def test_equal_settings_have_equal_keys():
    assert identity.key(replace(FIT, learning_rate=1)) == identity.key(replace(FIT, learning_rate=1.0))
    assert identity.key(replace(FIT, width=np.int64(8))) == identity.key(FIT)
    assert identity.key(replace(FIT, millis=0)) == identity.key(FIT)
    assert len({identity.key(one) for one in grid(seeds=20)}) == len(grid(seeds=20))


def test_whole_numbers_are_one_kind_as_far_as_floats_tell_them_apart():
    for sign in (1, -1):
        below, first = sign * (2.0**53 - 1), sign * 2.0**53
        assert identity.key(replace(FIT, millis=below)) == identity.key(replace(FIT, millis=int(below)))
        for number in (first, 4 * first):
            assert identity.key(replace(FIT, millis=number)) != identity.key(replace(FIT, millis=int(number)))


def test_data_without_a_younger_field_has_the_key_of_its_default():
    fields, settings = json.loads(identity.defaults(FakeFit)), json.loads(identity.encode(FIT))
    for name in ("millis", "trouble"):
        del settings[name]
    assert identity.key_of("FakeFit", fields, settings) == identity.key(FIT)


def test_settings_come_back_from_text():
    one = replace(FIT, target_args=(("k", (1, (2, "a"), ())), ("rate", 0.1)), millis=math.inf)
    assert FakeFit(**identity.decode(identity.encode(one))) == one


def test_a_default_that_is_made_counts_as_one():
    @dataclass(frozen=True)
    class Made:
        width: int
        rates: tuple = field(default_factory=tuple)

    assert identity.defaults(Made) == '[["width"], ["rates", []]]'
    assert identity.key(Made(3)) == identity.key_of("Made", [["width"]], {"width": 3})
    assert identity.key(Made(3, (1,))) != identity.key(Made(3))


def test_settings_that_are_not_plain_data_are_refused():
    for bad in (math.nan, {1: 2}, object(), np.arange(2), np.longdouble(1)):
        with pytest.raises(ValueError, match=r"FakeFit\.target_args must be"):
            identity.key(replace(FIT, target_args=(("k", bad),)))
