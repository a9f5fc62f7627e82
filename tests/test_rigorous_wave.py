"""Errors of the wave's quadratures: bounds on ellipses at complex points, and rules so coarse that errors show."""

import math
from functools import cache

import flint
import pytest
from balls import meets

from widththeory.bounds import rigorous_wave
from widththeory.bounds.rigorous_wave import Wave

arb, acb = flint.arb, flint.acb
RESOLVE = rigorous_wave._Panel.resolve
COUNT = 3
WAVE = Wave(3, 2.0, (3.0, 4.5), precision=44)


def complex_density(prepared, rho):
    total = acb(0)
    for t, amplitude in prepared._amplitudes:
        total += amplitude * (rho * t).bessel_j(acb(prepared.low_order))
    return rho * total * total / prepared.normaliser


@pytest.mark.parametrize(("dim", "order"), [(2, 0), (3, 1), (5, 0)])
def test_functions_are_below_their_bounds_on_ellipses(dim, order, monkeypatch):
    """All that is integrated: the transform at the largest rho, the moment, the density, and the floor's two parts."""
    seen = []

    def recorded(panel, size, *rest):
        seen.append((panel, size))
        return RESOLVE(panel, size, *rest)

    monkeypatch.setattr(rigorous_wave._Panel, "resolve", recorded)
    wave = Wave(dim, 2.0, (3.0, 4.5), order, precision=40)
    prepared = rigorous_wave._Prepared(wave)
    with flint.ctx.workprec(40):
        prepared.floor(COUNT)
    half_dim = arb(dim - 1) / 2

    def amplitude(t, falls):
        chi = (1 + (acb.pi() * (t - 3) / arb(1.5)).cos()) / 2 if falls else 1
        return (2 * t).cos() * chi * t.bessel_j(acb(prepared.order)) / t**order

    def transformed(falls):
        return lambda t: (
            amplitude(t, falls) * (prepared.end * t).bessel_j(acb(prepared.low_order)) / prepared.normaliser
        )

    def squared(falls):
        return lambda t: amplitude(t, falls) ** 2 / t / prepared.normaliser

    def near_one(angle):
        rho = 1 / angle.cos()
        share = (angle.sin() ** 2).beta_lower(arb(0.5), half_dim, regularized=True)
        return angle.sin() * rho**2 * (1 - COUNT + COUNT * share) * complex_density(prepared, rho)

    def away(rho):
        cap = (1 / rho**2).beta_lower(half_dim, arb(0.5), regularized=True)
        return (1 - COUNT * cap) * complex_density(prepared, rho)

    functions = [transformed(False), squared(False), transformed(True), squared(True)]
    functions += [lambda rho: complex_density(prepared, rho), near_one]
    functions += [away] * (len(seen) - len(functions))
    assert len(seen) > 6
    with flint.ctx.workprec(80):
        for number, ((panel, size), function) in enumerate(zip(seen, functions, strict=True)):
            for reach in (1.02, 1.15, 1.4, *([4.0] if number < 5 else [])):  # the floor's parts end at rho = 1
                depth = math.sqrt(reach**2 - 1)
                largest = size(panel.half * reach, panel.half * depth)
                for turn in (0.03, 0.2, 0.25, 0.4):  # of the ellipse, which is symmetric; Re z > 0 where it is not even
                    angle = 2 * math.pi * turn
                    point = complex(reach * math.cos(angle), depth * math.sin(angle))
                    place = panel.middle + panel.half * acb(point.real, point.imag)
                    if place.real > 0:
                        assert abs(function(place)) <= largest


@cache
def resolved():
    with flint.ctx.workprec(WAVE.precision):
        prepared = rigorous_wave._Prepared(WAVE)
        return prepared.floor(2), prepared.moment


@pytest.mark.parametrize("part", range(7))
def test_a_rule_of_few_nodes_says_how_far_it_is_off(part, monkeypatch):
    """One of them is resolved to a few bits, in arithmetic of many, so that nothing but its error widens the balls.

    In this order: transform and moment up to the window and in it, the mass, the floor near rho = 1 and away from it.
    """
    known, moment = resolved()
    calls = []

    def coarse(panel, size, precision, *rest):
        calls.append(panel)
        return RESOLVE(panel, size, 8 if min(len(calls) - 1, 6) == part else precision, *rest)

    monkeypatch.setattr(rigorous_wave._Panel, "resolve", coarse)
    with flint.ctx.workprec(WAVE.precision):
        found = rigorous_wave._Prepared(WAVE)
        floor = found.floor(2)
    assert meets(floor, known)
    assert meets(found.moment, moment)
    assert floor.rad() + found.moment.rad() > 100 * (known.rad() + moment.rad())
