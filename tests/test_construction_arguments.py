"""Arguments of constructions: numbers of NumPy give what equal Python numbers give; others are refused."""

import dataclasses
import enum
import functools
import importlib
import math
import pkgutil
import warnings
from fractions import Fraction

import numpy as np
import own_process
import pytest

import widththeory.constructions
from widththeory.constructions import (
    all_space_exchange,
    ball_under_law,
    convex_lipschitz,
    crelu,
    daniely,
    eldan_shamir,
    folded_square,
    gabor,
    hanin,
    interpolation,
    lipschitz_bits,
    lipschitz_narrow,
    minimum_width_network,
    montufar,
    packed_layers,
    pyramid,
    radial_control,
    relu_product,
    safran_shamir,
    serialise,
    serialised_path,
    telgarsky,
    trapezoid_approximation,
    wide_random,
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
    assert own_process.found(differences) == []


def kept_or_other_than_of_floats():
    """Fractions that stay where the annotation has only floats, and constructions that they make different."""
    found = []
    for example in examples():
        for field in dataclasses.fields(example):
            if "float" in str(field.type) and "Fraction" not in str(field.type):
                third = Fraction(getattr(example, field.name)).limit_denominator(10**9) + Fraction(1, 3 * 10**9)
                one, other = (dataclasses.replace(example, **{field.name: value}) for value in (third, float(third)))
                if type(getattr(one, field.name)) is not float or answers(one) != answers(other):
                    found.append(f"{type(example).__name__}.{field.name}")
    return found


def refused_for_its_size():
    with pytest.raises(ValueError, match=r"frequency must be a real number of at most .*, got some 2\^500"):
        eldan_shamir.Cosine(2, Fraction(2**501, 1) / 2)
    return ()


def test_a_fraction_is_a_number_and_exact_where_the_annotation_has_fractions():
    assert own_process.found(kept_or_other_than_of_floats) == []
    knots = (Fraction(-1, 3), Fraction(1, 3))
    assert serialised_path.SerialisedPath(knots, (0, 1), 0, 0, 4).knots == knots
    assert own_process.found(refused_for_its_size) == []


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


def examples():
    """One of each class, with its fields."""
    found = {}
    for info in pkgutil.iter_modules(widththeory.constructions.__path__):
        module = importlib.import_module(f"widththeory.constructions.{info.name}")
        found |= {type(example): example for example in getattr(module, "EXAMPLES", ())}
    return list(found.values())


# A size, a number, a tuple of either; then what no field may be. Seeds may be any integer.
HOSTILE = [10**18, 10**5000, -(10**400), Fraction(10**400, 3), 1e200, 1e308, math.nan, math.inf, -1, 0, 5e-324, 1e-200]
HOSTILE += [None, True, "3", b"3", 1j, object(), (), [], {}, {3}, (None,), ("a",), (math.nan,), (10**400,), ((),)]
HOSTILE += [np.array(3.0), np.zeros(2), np.zeros(0), np.longdouble(3), np.float32(np.inf), np.complex128(1)]


def unclear(call, names):
    """What a call raises if it is no ValueError that names an argument and what is allowed; None if all is well."""
    try:
        call()
    except ValueError as error:
        return None if any(name in str(error) for name in names) and len(str(error)) < 500 else repr(error)
    except Exception as error:
        return repr(error)
    return None


def refused_without_a_sentence():
    warnings.simplefilter("error")
    found = []
    if montufar.FoldingNetwork(1, [3, 4]) != montufar.FoldingNetwork(1, (3, 4)):
        found.append("lists are no tuples")
    for example in examples():
        fields = {field.name: getattr(example, field.name) for field in dataclasses.fields(example)}
        for name, old in fields.items():
            for value in HOSTILE:
                changed = fields | {name: value}
                said = unclear(functools.partial(type(example), **changed), [name, *fields])
                found += [f"{type(example).__name__}({name}={value!r:.30}): {said:.100}"] if said else []
                # a truth value, text or array in the place of a number is refused, whatever it would compute
                wrong = isinstance(value, (bool, str, bytes, np.ndarray)) and not isinstance(old, type(value))
                if wrong and not said:
                    try:
                        type(example)(**changed)
                    except ValueError:
                        continue
                    found.append(f"{type(example).__name__}({name}={value!r:.30}) is taken")
    return found


def test_what_is_no_argument_is_refused_in_one_sentence():
    assert own_process.found(refused_without_a_sentence) == []


@pytest.mark.parametrize("value", [2**24 + 1, 10**18, 10**400])
def test_sizes_beyond_counting_are_refused(value):
    for example in examples():
        for field in dataclasses.fields(example):
            if field.type in (int, int | None) and not field.name.endswith("seed"):
                with pytest.raises(ValueError, match=rf"{field.name} must be at most 2\^24, got "):
                    dataclasses.replace(example, **{field.name: value})


LARGER = [
    (lambda: telgarsky.Sawtooth(2**20), "1048576 hidden layers"),
    (lambda: daniely.InnerProductSine(10**5), "640211200131 numbers"),
    (lambda: folded_square.FoldedSquare(2**20, 2), "2 hidden layers"),
    (lambda: interpolation.SineInterpolation(2**20, width=3), "hidden layers"),
    (lambda: montufar.FoldingNetwork(1, (2**20, 2**20)), "numbers"),
    (lambda: relu_product.ProductByDirections(100), r"some 2\^1"),
    (lambda: safran_shamir.BallIndicator(2**14, 2**14), "numbers"),
    (lambda: ball_under_law.BallUnderLaw(64, 2, 2**20), "numbers"),
    (lambda: serialise.SerialisedWideNetwork(1, 9, 0, 2**20), "numbers"),
    (lambda: serialised_path.SerialisedPath((0,), (0,), 0, 1, 2**24), "numbers"),
    (lambda: wide_random.RandomWideNetwork(1, 10**5, 0), "numbers"),
    (lambda: crelu.ReconstructedCoordinate(2**14, 2**14), "numbers"),
    (lambda: packed_layers.PackedNetwork(1, (3,), 2**17, 12), "hidden layers"),
    (lambda: lipschitz_bits.PackedDistance(2**19, 1), "hidden layers"),
    (lambda: lipschitz_bits.PackedDistance(2**12, 2**12), "product of at most"),
    (lambda: yarotsky.Square(10**5), "order must be at most"),
    (lambda: relu_product.ProductByGates(2**12, 1), "errors overflow"),
]


@pytest.mark.parametrize(("make", "message"), LARGER)
def test_networks_beyond_memory_are_counted_and_not_built(make, message):
    example = make()
    assert example.size().num_params > 0
    assert example.error().bound >= 0
    with pytest.raises(ValueError, match=message):
        example.network()


def test_errors_beyond_floats_are_infinite():
    """(n - 1) n^(n + 1) / (2 n! p^2), some n^1.5 e^n / (5 p^2), leaves the floats later for more pieces."""
    for pieces in (1, 2**24):
        errors = [relu_product.ProductByDirections(n, pieces).error().bound for n in (700, 720, 760, 1000, 1001)]
        assert errors == sorted(errors)
        assert math.isfinite(errors[0])
        assert math.isinf(errors[1]) == (pieces == 1)
        assert errors[2:] == [math.inf] * 3


def test_subclasses_of_numbers_and_names_are_taken():
    class Norm(enum.StrEnum):
        L2 = "l2"

    class Factor(enum.IntEnum):
        TWO, HUGE = 2, 2**24 + 1

    assert folded_square.FoldedSquare(3, 1, Norm.L2) == folded_square.FoldedSquare(3, 1, "l2")
    assert pyramid.Pyramid(2, Factor.TWO).error() == pyramid.Pyramid(2, 2).error()
    with pytest.raises(ValueError, match=r"order must be at most 2\^24"):
        yarotsky.Square(Factor.HUGE)


def test_seeds_may_be_any_integer():
    for example in examples():
        for field in dataclasses.fields(example):
            if field.name.endswith("seed"):
                dataclasses.replace(example, **{field.name: 2**100})


def test_filters_beyond_memory_are_refused():
    with pytest.raises(ValueError, match=r"at most 2\^24 pixels in all filters, got 4097, 1 and 1"):
        gabor.GaborBank(4097, 1, 1)


def test_exchanges_beyond_memory_are_refused():
    with pytest.raises(ValueError, match="input_dim must be at most 256"):
        all_space_exchange.exchange_everywhere(Network([(np.ones((1, 257)), [0.0]), ([[1.0]], [0.0])]))
    deep = Network([(np.ones((600, 1)), np.zeros(600)), (np.eye(600), np.zeros(600)), (np.ones((1, 600)), [0.0])])
    with pytest.raises(ValueError, match="a network of 360001 hidden layers"):
        all_space_exchange.exchange_everywhere(deep)
    with pytest.raises(ValueError, match=r"a network of 1 hidden layers and .* numbers is not built"):
        all_space_exchange.ExchangedEverywhere(256, (2**20,)).wide  # noqa: B018


def test_directions_beyond_memory_are_refused():
    for call in (
        radial_control.Norm(2, num_directions=10**5).error,
        radial_control.Norm(2, num_directions=10**5).network,
    ):
        with pytest.raises(ValueError, match=r"num_directions must be at most 2\^13"):
            call()


def test_narrow_networks_that_are_too_deep_are_not_counted():
    for call in (
        lambda: serialise.exchange_size(2, (10**9, 10**9), 5),
        lambda: all_space_exchange.all_space_size(2, (10**9, 10**9)),
        lambda: all_space_exchange.theorem_size(2, 3, 10**18),
        lambda: minimum_width_network.memorising_size(1, 2**20, 2, 2**20),
    ):
        with pytest.raises(ValueError, match=r"more than 2\^24 hidden layers"):
            call()
    for dim in (257, 100_000):
        with pytest.raises(ValueError, match="input_dim must be at most 256"):
            all_space_exchange.ExchangedEverywhere(dim, (3,))
