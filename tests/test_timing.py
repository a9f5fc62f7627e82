"""Times: taken in turn by a clock of our own, steps equal to autodiff by hand, counts equal to formulas."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from widththeory import timing
from widththeory.models.functional import Functional
from widththeory.models.wide_resnet import WideResNet
from widththeory.timing import Timing, device_name, in_turn, measure, train_step

TINY = (("image_size", 4), ("lengths", (1,)), ("num_classes", 3), ("stem_width", 2), ("widths", (2,)))
NETWORK = {"model": "wide_resnet.WideResNet", "model_args": TINY, "batch_size": 2}


def one(work="train", run=0, **rest):
    return Timing(work, "cpu", run, num_rounds=3, burst_seconds=1e-4, **rest)


# --- the clock --------------------------------------------------------------------------------------------------------


class Machine:
    """Its time passes only by calls."""

    def __init__(self):
        self.now = 0.0
        self.log = []

    def burst(self, name, seconds):
        def run(calls):
            self.log.append((name, calls))
            self.now += calls * seconds

        return run


def test_seconds_a_call():
    machine = Machine()
    bursts = [machine.burst("a", 0.25), machine.burst("b", 2.0), machine.burst("c", 1e-6)]
    seconds, calls = in_turn(bursts, 4, 1.0, clock=lambda: machine.now)
    np.testing.assert_array_equal(calls, [4, 1, 10_000])  # at least one, at most so many
    # the clock adds up to some 20, in doubles
    np.testing.assert_allclose(seconds, np.repeat([[0.25], [2.0], [1e-6]], 4, axis=1), rtol=1e-9)


def test_rounds_go_there_and_back():
    machine = Machine()
    bursts = [machine.burst(name, 1.0) for name in "abc"]
    in_turn(bursts, 3, 1.0, clock=lambda: machine.now)
    assert [name for name, _ in machine.log] == [*"aabbcc", *"abc", *"cba", *"abc"]


def test_a_drift_of_the_machine_falls_on_all_alike():
    """Each call takes one percent more than the one before; over two rounds both see the same mean."""
    state = {"now": 0.0, "pace": 1.0}

    def burst(calls):
        for _ in range(calls):
            state["now"] += state["pace"]
            state["pace"] += 0.01

    seconds, _ = in_turn([burst, burst], 2, 0.5, clock=lambda: state["now"])
    assert seconds[0].mean() == pytest.approx(seconds[1].mean(), rel=1e-12)
    assert seconds[0, 0] < seconds[1, 0]


# --- what is timed ----------------------------------------------------------------------------------------------------


def test_a_step_is_that_of_optax():
    """Two steps at a positive rate, against optax's SGD on the gradient of its own cross-entropy; in float64."""
    architecture = WideResNet(**dict(TINY))
    network = Functional(architecture, "native", "float64", "float64")
    params, stats = network.init(0)
    rng = np.random.default_rng(0)
    images, labels = jnp.asarray(rng.standard_normal((2, 4, 4, 3))), jnp.array([0, 2], jnp.int32)
    optimizer = optax.sgd(0.1, 0.9, nesterov=True)
    state, theirs, moments = (params, jax.tree.map(np.zeros_like, params), stats), params, optimizer.init(params)
    running = stats
    for _ in range(2):

        def loss(p, running=running):
            logits, moved = network.apply(p, running, images, training=True)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), moved

        (value, running), gradients = jax.value_and_grad(loss, has_aux=True)(theirs)
        updates, moments = optimizer.update(gradients, moments)
        theirs = optax.apply_updates(theirs, updates)
        state, own = train_step(network, state, images, labels, jnp.asarray(0.1))
        assert float(own) == pytest.approx(float(value), rel=1e-12)
    for name, array in theirs.items():
        # roundings of a few hundred operations
        np.testing.assert_allclose(state[0][name], array, rtol=1e-10, atol=1e-12)


@pytest.fixture(scope="module")
def measured():
    settings = [one("train", **NETWORK), one("infer", **NETWORK), one("matmul", size=16), one("copy", size=64)]
    return measure(settings, 1)


def test_all_is_measured(measured):
    for measurement in measured:
        rounds = [measurement.metrics[f"round_{turn}"] for turn in (1, 2, 3)]
        assert min(rounds) > 0
        assert measurement.metrics["seconds_median"] == sorted(rounds)[1]
        assert min(rounds) <= measurement.metrics["seconds_low"] <= measurement.metrics["seconds_high"] <= max(rounds)
        assert measurement.metrics["diverged"] == 0
        assert measurement.metrics["device_name"].endswith("one thread")
        assert measurement.provenance == {"device": "cpu"}


def test_work_counted_in_the_trace_is_the_formula(measured):
    train, infer, matmul, copy = measured
    assert infer.metrics["flops"] == infer.settings.flops
    # backward takes twice forward, but nobody asks for the gradient of the images
    first = 2 * 2 * 4 * 4 * 9 * 3 * 2
    assert train.metrics["flops"] == train.settings.flops - first
    assert matmul.metrics["flops"] == matmul.settings.flops == 2 * 16**3
    assert matmul.metrics["bytes"] == 3 * 4 * 16**2
    assert copy.metrics["bytes"] == 2 * 4 * 64
    assert train.metrics["num_convs"] == infer.metrics["num_convs"] == 3
    assert train.metrics["multiply_adds"] == WideResNet(**dict(TINY)).cost().multiply_adds


def test_a_result_that_is_not_finite_is_said(monkeypatch):
    monkeypatch.setattr(timing, "train_step", lambda network, state, images, labels, rate: (state, jnp.log(-rate - 1)))
    (measurement,) = measure([one(**(NETWORK | {"batch_size": 3}))], 1)  # not one that has been compiled before
    assert measurement.metrics["diverged"] == 1


def test_another_run_compiles_nothing(measured, monkeypatch):
    monkeypatch.setattr(timing, "products", None)  # what a compilation would call
    (again,) = measure([one("infer", run=5, **NETWORK)], 1)
    assert again.settings.run == 5
    rounds = [[one.metrics[f"round_{turn}"] for turn in (1, 2, 3)] for one in (again, measured[1])]
    assert rounds[0] != rounds[1]  # of single ones, in billionths of a second, two may be equal


def test_what_is_timed_in_turn():
    """All of a run; another run, platform or length of the rounds is another chunk."""
    same = [one("train", **NETWORK), one("matmul", size=16)]
    assert len({each.program_key for each in same}) == 1
    assert same[0].chunk_size > 1000
    other = [one("train", run=1, **NETWORK), Timing("copy", "gpu", 0, 3, 1e-4, size=8)]
    assert len({each.program_key for each in [same[0], *other]}) == 3
    with pytest.raises(ValueError, match="must share one program_key"):
        measure([same[0], other[0]], 1)
    with pytest.raises(ValueError, match="at least one"):
        measure([], 1)


def test_a_platform_that_is_not_there_fails():
    assert all(device.platform == "cpu" for device in jax.devices())
    with pytest.raises(RuntimeError, match=re.compile("gpu|cuda", re.IGNORECASE)):
        measure([Timing("copy", "gpu", 0, 3, 1e-4, size=8)], 1)


def test_devices_by_name(monkeypatch, tmp_path):
    assert device_name("gpu", "NVIDIA H100") == "NVIDIA H100"
    monkeypatch.setattr(timing, "Path", lambda _: tmp_path / "not there")
    assert device_name("cpu", "cpu").endswith(", one thread")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: one("dance", size=3), "work must be one of"),
        (lambda: Timing("copy", "tpu", 0, 3, 1.0, size=3), "platform must be one of"),
        (lambda: Timing("copy", "cpu", 0, 3, 0.0, size=3), "burst_seconds must be positive"),
        (lambda: one("copy"), "all else a size"),
        (lambda: one("train", size=3), "a network has a model"),
        (lambda: one("train", model="wide_resnet.Nothing"), "model must be"),
        (lambda: one("train", model="nothing.WideResNet"), "model must be"),
        (lambda: one("train", model="wide_resnet.WideResNet", model_args=(("depth", 3),)), "model_args do not suit"),
    ],
)
def test_bad_arguments_raise(make, said):
    with pytest.raises(ValueError, match=said):
        make()
