"""What every construction promises, checked on the `EXAMPLES` of every module of `widththeory.constructions`."""

import dataclasses
import importlib
import inspect
import json
import pkgutil
import re
from pathlib import Path

import numpy as np
import pytest

import widththeory.constructions
from widththeory.network import Network
from widththeory.typing import Construction, Guarantee, Size

MODULES = [
    importlib.import_module(f"widththeory.constructions.{info.name}")
    for info in pkgutil.iter_modules(widththeory.constructions.__path__)
]
EXAMPLES = [
    pytest.param(example, id=f"{module.__name__.rpartition('.')[2]}-{type(example).__name__}-{index}")
    for module in MODULES
    for index, example in enumerate(getattr(module, "EXAMPLES", ()))
]
EXPLICIT = [param for param in EXAMPLES if hasattr(param.values[0], "network")]
BIBLIOGRAPHY = Path(widththeory.constructions.__path__[0]).parent / "references.bib"
NUM_POINTS = 2000


def own_classes(module):
    """Public dataclasses of a module that are constructions."""
    return [
        thing
        for name, thing in vars(module).items()
        if inspect.isclass(thing) and thing.__module__ == module.__name__ and not name.startswith("_")
        if hasattr(thing, "target") and hasattr(thing, "sample")
    ]


def roundoff(network, points):
    """Bound on the rounding of `network(points)` in float64: the usual gamma, times the network of absolute values."""
    hidden, num_roundings = np.abs(points).T, 0
    for weight, bias in network.float64().layers:
        hidden = np.abs(weight) @ hidden + np.abs(bias)[:, None]
        num_roundings += weight.shape[1] + 2  # products and sums of a row, the bias, and the rounding of the entries
    return num_roundings * np.finfo(np.float64).eps * hidden[0]


def as_tuples(value):
    """JSON has lists only."""
    return tuple(map(as_tuples, value)) if isinstance(value, list) else value


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_construction_has_an_example(module):
    shown = {type(example) for example in getattr(module, "EXAMPLES", ())}
    assert set(own_classes(module)) <= shown


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_construction_names_its_source(module):
    known = set(re.findall(r"^@\w+\{(\w+),", BIBLIOGRAPHY.read_text(), flags=re.MULTILINE))
    for construction in own_classes(module):
        _, found, source = inspect.getdoc(construction).rpartition("Source:")
        keys = re.findall(r"\[([a-z]\w*\d{4}\w*)\]", source)
        assert found, f"{construction.__name__} has no Source section"
        assert keys, f"{construction.__name__} cites nothing"
        assert set(keys) <= known, f"{construction.__name__} cites {set(keys) - known}, not in references.bib"


@pytest.mark.parametrize("example", EXAMPLES)
def test_arguments_survive_json(example):
    assert type(example).__dataclass_params__.frozen
    stored = json.dumps({field.name: getattr(example, field.name) for field in dataclasses.fields(example)})
    again = type(example)(**{name: as_tuples(value) for name, value in json.loads(stored).items()})
    assert again == example
    assert hash(again) == hash(example)


@pytest.mark.parametrize("example", EXAMPLES)
def test_target_and_law(example):
    assert isinstance(example, Construction)
    points = example.sample(NUM_POINTS, np.random.default_rng(1))
    again = example.sample(NUM_POINTS, np.random.default_rng(1))
    assert points.shape == (NUM_POINTS, example.input_dim)
    assert points.dtype == np.float64
    assert np.all(np.isfinite(points))
    np.testing.assert_array_equal(points, again)
    values = example.target(points)
    assert values.shape == (NUM_POINTS,)
    assert values.dtype == np.float64
    assert np.all(np.isfinite(values))
    # The target is a function: it does not depend on the company of a point, up to the order of sums in a product.
    alone = np.concatenate([example.target(points[:7]), example.target(points[7:20])])
    np.testing.assert_allclose(alone, values[:20], rtol=1e-10, atol=1e-10 * np.abs(values).max())


def interval_of(example):
    """Ends of the interval that coordinates are uniform on by the docstring or `interval`; None for another law."""
    found = re.search(r"(?:law is uniform on|Domain:) \[(-?\d+), (\d+)[\])]", inspect.getdoc(type(example)))
    return (int(found[1]), int(found[2])) if found else getattr(example, "interval", None)


UNIFORM = [param for param in EXAMPLES if interval_of(param.values[0])]


@pytest.mark.parametrize("example", UNIFORM)
def test_points_have_the_law_of_the_docstring(example):
    low, high = interval_of(example)
    points = example.sample(NUM_POINTS, np.random.default_rng(4))
    assert low <= points.min()
    assert points.max() <= high
    # Of a uniform law on an interval of length 1 the mean of n points has a standard error of 0.29 / n^(1/2), the mean
    # square about the middle one of 0.075 / n^(1/2); six of them, for a hundred columns.
    share, spread = (points - low) / (high - low) - 0.5, 6 / np.sqrt(NUM_POINTS)
    assert np.all(np.abs(share.mean(axis=0)) <= 0.29 * spread)
    assert np.all(np.abs(np.mean(share**2, axis=0) - 1 / 12) <= 0.075 * spread)


@pytest.mark.parametrize("example", [p for p in EXAMPLES if hasattr(p.values[0], "seed")])
def test_seed_draws_the_target_and_not_the_law(example):
    other = dataclasses.replace(example, seed=example.seed + 1)
    points = example.sample(NUM_POINTS, np.random.default_rng(2))
    np.testing.assert_array_equal(points, other.sample(NUM_POINTS, np.random.default_rng(2)))
    assert not np.array_equal(example.target(points), other.target(points))


@pytest.mark.parametrize("example", EXPLICIT)
def test_network_has_the_size_of_the_formula(example):
    network, size = example.network(), example.size()
    assert isinstance(network, Network)
    assert isinstance(size, Size)
    assert network.size == size
    assert size.num_params == sum(weight.size + bias.size for weight, bias in network.layers)


@pytest.mark.parametrize("example", EXPLICIT)
def test_network_keeps_its_guarantee(example):
    guarantee = example.error()
    assert isinstance(guarantee, Guarantee)
    assert guarantee.bound >= 0
    points = example.sample(NUM_POINTS, np.random.default_rng(3))
    network, target = example.network(), example.target(points)
    # The target is computed in floating point too: some hundred roundings of numbers of its own size.
    slack = roundoff(network, points) + 100 * np.finfo(np.float64).eps * (1 + np.abs(target))
    gap = np.abs(network(points)[:, 0] - target)
    if guarantee.norm == "sup":
        assert np.all(gap <= guarantee.bound + slack)
    else:
        power = {"l1": 1, "l2": 2}[guarantee.norm]
        sample = np.maximum(gap - slack, 0) ** power
        # A mean of NUM_POINTS draws is within five of its standard errors of the expectation.
        lowest = sample.mean() - 5 * sample.std() / np.sqrt(NUM_POINTS)
        assert lowest <= guarantee.bound**power
