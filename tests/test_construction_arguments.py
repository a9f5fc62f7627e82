"""Arguments of constructions: numbers of NumPy give what equal Python numbers give, grids beyond memory are refused."""

import dataclasses
import importlib
import pkgutil
import subprocess
import sys
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import widththeory.constructions
from widththeory.constructions import (
    convex_lipschitz,
    hanin,
    interpolation,
    lipschitz_bits,
    lipschitz_narrow,
    minimum_width_network,
    packed_layers,
    pyramid,
    serialise,
    trapezoid_approximation,
    yarotsky,
)
from widththeory.network import Network

SMALL = Network([([[1.0], [2.0]], [0.5, -1.0]), ([[1.0, -1.0]], [0.0])])
# Products and powers in each of them leave the range of the small integers that its arguments are given as.
CALLS = [
    (interpolation.shallow_interpolation, [0, 60, 120], [0, 100, -100]),
    (interpolation.narrow_interpolation, [0, 60, 120], [0, 100, -100], 4),
    (hanin.max_min_string, [[100], [-100], [3]], [1, -120, 100], [True, False]),
    (lipschitz_narrow.interpolating_network, [100, -100, 100]),
    (lipschitz_bits.digits_network, [0] * 7, 2, 3),
    (minimum_width_network.memorising_network, [[0.5], [1.0]], 3, 0.125),
    (minimum_width_network.memorising_size, 3, 1, 20, 2),
    (packed_layers.packed_size, SMALL, 3),
    (packed_layers.pack_layers, SMALL, 3, 12),
    (serialise.exchange_size, 2, (120,), 120),
    (serialise.serialise, SMALL, 4, -1, 2.5),
    (serialise.serialise, SMALL.rational(), 4, -1, 2.5),
    (trapezoid_approximation.half_overlap_mass, 3, 60, 0.125),
    (trapezoid_approximation.grid_error, 1.0, 1.0, 3, 60, 0.125, "inner"),
    (trapezoid_approximation.depth_for_error, 1.0, 5, 0.3),
    (yarotsky.order_for, 0.3, 2.0),
]


def numpy_numbers(value):
    """The same in the smallest integers of NumPy, and in float32."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(numpy_numbers, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return np.int64(value) if abs(value) > 127 else np.int8(value)
    return np.float32(value) if isinstance(value, float) else value


def single(value):
    """Python's numbers, of the digits of float32."""
    if isinstance(value, (tuple, list)):
        return type(value)(map(single, value))
    return float(np.float32(value)) if isinstance(value, float) else value


def shown(result):
    if isinstance(result, Network):
        return str([list(map(str, part.ravel())) for layer in result.layers for part in layer])
    return str(result)


def answers(example):
    """What a construction promises, and what it is."""
    points = example.sample(5, np.random.default_rng(0))
    numbers = {name: shown(getattr(example, name)()) for name in ("size", "error", "network") if hasattr(example, name)}
    for name, kind in vars(type(example)).items():
        if isinstance(kind, property) and not name.startswith("_"):
            numbers[name] = str(getattr(example, name))
    return numbers | {"points": points.tolist(), "values": example.target(points).tolist()}


def differences():
    """Constructions and functions whose results differ, or warn."""
    warnings.simplefilter("error")
    found = [
        function.__name__
        for function, *arguments in CALLS
        if shown(function(*map(numpy_numbers, arguments))) != shown(function(*map(single, arguments)))
    ]
    for info in pkgutil.iter_modules(widththeory.constructions.__path__):
        module = importlib.import_module(f"widththeory.constructions.{info.name}")
        for example in getattr(module, "EXAMPLES", ()):
            fields = {field.name: getattr(example, field.name) for field in dataclasses.fields(example)}
            one, other = (
                answers(type(example)(**{name: change(value) for name, value in fields.items()}))
                for change in (single, numpy_numbers)
            )
            found += [f"{type(example).__name__}.{name}" for name in one if one[name] != other[name]]
    return found


def test_numpy_numbers_give_what_python_numbers_give():
    """In a process of its own, as under test annotations are checked, and they say int."""
    code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import {Path(__file__).stem} as me; "
    command = [sys.executable, "-c", code + "print(me.differences())"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_integers_among_floats_keep_all_digits():
    knots = [0.5, 2**60 + 1]  # as an array of floats the last would be 2^60
    network = interpolation.shallow_interpolation(knots, [0, 1])
    assert network.exact([[Fraction(knot)] for knot in knots]).tolist() == [[0], [1]]


LARGE = [
    lambda dim: convex_lipschitz.ConvexNorm(dim, 3),
    lambda dim: convex_lipschitz.ConvexParabola(dim, 3),
    lambda dim: lipschitz_narrow.DistanceToPoints(dim, 2),
    lambda dim: minimum_width_network.DistanceMap(dim, 3),
    lambda dim: pyramid.Pyramid(8 * dim // 5),
    lambda dim: trapezoid_approximation.TrapezoidApproximation("norm", dim, 3),
]


@pytest.mark.parametrize("make", LARGE)
def test_grids_beyond_memory_are_refused(make):
    assert make(12).size().depth > 2**17  # counted, where 3^12 or 2^19 are too many to build
    with pytest.raises(ValueError, match=r"axes has more than 2\^18 places"):
        make(12).network()
    with pytest.raises(ValueError, match=r"axes has more than 2\^24 places"):
        make(16).size()
