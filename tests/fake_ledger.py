"""Rows of pretended fits, with every number that a table may hold."""

import math
from dataclasses import make_dataclass

from fake_fits import FakeFit

from widththeory.ledger import Row

FIT = FakeFit("lu.Wide", (("k", 3), ("seed", 1)), 8, 2, 1e-3)
METRICS = {"loss": 0.1 + 0.2, "tiny": 5e-324, "worst": math.inf, "lost": math.nan, "pieces": 2**60, "kind": 'x, "y"\n'}


def later(momentum):
    """The settings of a later version, with a field more."""
    return make_dataclass("FakeFit", [("momentum", float | None, momentum)], bases=(FakeFit,), frozen=True)


def rows(settings):
    made_by = {"jax": "0.10.2", "host": "here", "commit": "abc", "chunk_size": 16}
    return [Row(one, "done", METRICS, made_by, None, 0.25) for one in settings]


def same(one, other):
    """Equal, or neither of them a number."""
    return one == other or (one != one and other != other)
