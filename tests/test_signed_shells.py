"""Signed shells none of which is good: what the second moment needs of their number."""

import numpy as np
import scipy.special

from widththeory.constructions.signed_shells import AlternatingShells


def test_shells_not_much_thinner_than_the_zeros_are_apart_leave_nothing():
    """Lemma 11 needs thin shells: these are all near a zero of J_2 somewhere, and half as wide they are not."""
    wide, thin = AlternatingShells(4, alpha=4.0), AlternatingShells(4, alpha=4.0, gamma=2.0)
    for left, right in zip(wide.edges()[:-1], wide.edges()[1:], strict=True):
        radii = np.linspace(left, right, 1000)
        assert np.min(radii * scipy.special.jv(2, radii) ** 2) < 1 / 40
    assert wide.second_moment().value == 0
    assert np.diff(wide.edges()).min() > np.pi / 2 > np.diff(thin.edges()).max()
    assert thin.second_moment().lower >= 0.003 / 4
