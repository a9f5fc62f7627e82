"""The fit engine against plain loops: Flax modules, `jax.grad` and optax, one network and one step at a time."""

import dataclasses
import subprocess
import sys
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fake_targets import Hinge, Wave, wave
from flax import nnx

from widththeory import compiled, estimates, named, training
from widththeory.constructions.wide_random import RandomWideNetwork
from widththeory.constructions.yarotsky import Square
from widththeory.ensemble import gradient, predict, scratch_space
from widththeory.fit import Regression, load_weights, measure
from widththeory.metrics import error_metrics, evaluate, exact_metrics
from widththeory.models.mlp import from_network, initial_network, to_network
from widththeory.network import Network
from widththeory.training import batch_order, choose_program, sample_data, train
from widththeory.typing import Guarantee

MEMBERS = [wave(0), wave(1, 1e-2), wave(2, 3e-2, target_seed=1)]


def plain_fit(settings, num_steps):
    """The same fit as a loop over `jax.grad` of a Flax module and optax, in float64."""
    data = sample_data([settings])
    model = from_network(
        initial_network(2, settings.size.widths, init=settings.init, seed=settings.seed), param_dtype=jnp.float64
    )
    graph, params = nnx.split(model)
    rate = settings.learning_rate
    if settings.schedule == "cosine":
        rate = optax.cosine_decay_schedule(rate, settings.num_steps)
    optimizer = {"adam": optax.adam, "adadelta": partial(optax.adadelta, rho=0.95, eps=1e-8)}[settings.optimizer](rate)
    state = optimizer.init(params)

    @jax.jit
    def step(params, state, x, y):
        slope = jax.grad(lambda params: jnp.mean((nnx.merge(graph, params)(x)[:, 0] - y) ** 2))(params)
        change, state = optimizer.update(slope, state, params)
        return optax.apply_updates(params, change), state

    for rows in batch_order(settings)[:num_steps]:
        params, state = step(params, state, jnp.asarray(data.train[rows]), data.train_values[0][rows])
    return to_network(nnx.merge(graph, params))


def largest_difference(one, other):
    pairs = zip(one.layers, other.layers, strict=True)
    return max(float(np.max(np.abs(a - b))) for first, second in pairs for a, b in zip(first, second, strict=True))


def last_weights(chunk, monkeypatch):
    """The networks after the last step (`train` gives the best ones)."""
    kept = {}
    unpack = training.unpack

    def keep(program, weights, depth):
        return unpack(program, kept["state"].weights, depth)

    get = jax.device_get
    monkeypatch.setattr(training, "unpack", keep)
    monkeypatch.setattr(training.jax, "device_get", lambda state: kept.setdefault("state", get(state)))
    networks, _ = train(chunk, sample_data(chunk))
    monkeypatch.undo()
    return networks


@pytest.mark.parametrize(
    "changes",
    [{}, {"width": 6}, {"optimizer": "adadelta"}, {"schedule": "constant", "depth": 1}],
    ids=["stacked", "unrolled", "adadelta", "depth 1"],
)
def test_ensemble_equals_plain_loop(changes, monkeypatch):
    chunk = [replace(one, **changes) for one in MEMBERS]
    unrolled = chunk[0].width == 6
    if unrolled:
        monkeypatch.setattr(training, "_STACKED_WORK", 0)
    assert choose_program(chunk[0], 3).stacked != unrolled
    for settings, network in zip(chunk, last_weights(chunk, monkeypatch), strict=True):
        # 24 steps in float64; Adam divides by the root of the squared gradients, which magnifies rounding.
        assert largest_difference(network, plain_fit(settings, settings.num_steps)) < 1e-6


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_gradient_of_both_forms_is_that_of_jax(depth):
    chunk = [wave(seed, depth=depth) for seed in range(3)]
    data = sample_data(chunk)
    # Biases off zero: with zero ones a pre-activation can be exactly 0, where jax.grad takes the slope 1/2.
    rng = np.random.default_rng(0)
    networks = [initial_network(2, one.size.widths, init="he", seed=one.seed) for one in chunk]
    networks = [Network([(w, rng.uniform(0.1, 0.5, b.shape)) for w, b in network.layers]) for network in networks]
    stacked = replace(choose_program(chunk[0], 3), batch_size=100)
    unrolled = replace(stacked, stacked=False, depth=depth)
    inputs, values = data.train.T, data.train_values
    weights = compiled.pack(unrolled, networks)

    def loss(weights):
        return jnp.sum(jnp.mean((predict(unrolled, weights, inputs, depth) - values) ** 2, axis=1))

    expected = jax.grad(loss)(weights)
    for program in (unrolled, stacked):
        found, _ = jax.jit(gradient, static_argnums=0)(
            program, compiled.pack(program, networks), inputs, values, depth, scratch_space(program)
        )
        found = compiled.unpack(program, found, depth)
        for one, other in zip(found, compiled.unpack(unrolled, expected, depth), strict=True):
            assert largest_difference(one, other) < 1e-13  # sums of 100 terms of size 1, in two orders


def test_no_steps_measures_the_initial_network():
    (result,) = measure([wave(4, num_steps=0, keep_weights=True)], 3)
    assert largest_difference(load_weights(result.weights), initial_network(2, (5,) * 3, init="he", seed=4)) == 0
    assert result.metrics["best_step"] == 0


def test_members_do_not_depend_on_each_other_or_on_padding():
    chunk = [replace(one, keep_weights=True) for one in MEMBERS]
    together = [load_weights(one.weights) for one in measure(chunk, 3)]
    for settings, network in zip(chunk, together, strict=True):
        (alone,) = measure([settings], 3)
        assert largest_difference(load_weights(alone.weights), network) < 1e-12  # float64: rounding of one program


def test_a_second_run_gives_the_same_bits():
    for dtype in ("float32", "float64"):
        chunk = [replace(one, dtype=dtype) for one in MEMBERS]
        runs = [[one.metrics | {"seconds": 0} for one in measure(chunk, 3)] for _ in range(2)]
        assert runs[0] == runs[1]


def test_a_member_that_diverges_is_reported_and_leaves_the_others_alone():
    chunk = [MEMBERS[0], replace(MEMBERS[1], learning_rate=1e200)]
    (calm, _), (same, wild) = measure([MEMBERS[0], MEMBERS[1]], 3), measure(chunk, 3)
    assert calm.metrics | {"seconds": 0} == same.metrics | {"seconds": 0}
    assert (same.metrics["diverged"], wild.metrics["diverged"]) == (0, 1)
    assert all(np.isfinite(value) for value in wild.metrics.values())


def test_one_compilation_serves_all_depths_of_narrow_networks_and_all_seeds_and_rates():
    measure(MEMBERS, 3)
    before = compiled.compiled.calls()
    measure([wave(seed, 0.02, target_seed=seed) for seed in range(4)], 3)
    measure([wave(depth=7)], 3)
    assert compiled.compiled.calls() == before
    measure([wave(depth=13)], 3)
    assert compiled.compiled.calls() == before + 1


def test_errors_are_those_of_the_network():
    (result,) = measure([wave(3, keep_weights=True)], 3)
    network, wanted = load_weights(result.weights), Wave()
    points = wanted.sample(200, np.random.default_rng([0, 1]))
    residual = network(points)[:, 0] - wanted.target(points)
    metrics = result.metrics
    assert metrics["test_mse"] == pytest.approx(np.mean(residual**2), rel=1e-12)
    assert metrics["test_mse_stderr"] == pytest.approx(np.std(residual**2, ddof=1) / np.sqrt(200), rel=1e-12)
    assert metrics["relative_error"] == pytest.approx(np.mean(residual**2) / np.var(wanted.target(points)), rel=1e-12)
    assert metrics["sample_sup_error"] == pytest.approx(np.max(np.abs(residual)), rel=1e-12)
    assert metrics["target_variance"] == pytest.approx(np.var(wanted.target(points)), rel=1e-12)
    assert metrics["target_second_moment"] == pytest.approx(np.mean(wanted.target(points) ** 2), rel=1e-12)


def test_best_weights_are_kept(monkeypatch):
    # So large a rate, without decay, that the loss goes up and down from check to check.
    settings = wave(1, 0.3, schedule="constant", num_steps=120, keep_weights=True)
    (result,) = measure([settings], 3)
    last, *_ = last_weights([settings] * 3, monkeypatch)
    data = sample_data([settings])
    error = np.mean((evaluate(last, data.train) - data.train_values[0]) ** 2)
    assert result.metrics["train_mse"] < error
    assert 0 < result.metrics["best_step"] < 120
    assert result.metrics["best_step"] % 6 == 0  # 20 checks in 120 steps
    best = plain_fit(settings, int(result.metrics["best_step"]))
    assert largest_difference(best, load_weights(result.weights)) < 1e-6  # as in the test against the plain loop


def test_training_that_only_harms_leaves_the_initial_network():
    settings = wave(1, 10.0, schedule="constant", keep_weights=True)
    (result,) = measure([settings], 3)
    assert result.metrics["best_step"] == 0
    assert largest_difference(load_weights(result.weights), initial_network(2, (5,) * 3, init="he", seed=1)) == 0


def test_a_target_within_reach_is_learnt():
    settings = Regression("fake.Hinge", (), 6, 1, 0, 1e-2, 1500, 64, 1000, 1000, init="he")
    results = measure([replace(settings, seed=seed) for seed in range(4)], 4)
    best = min(results, key=lambda one: one.metrics["train_mse"])
    assert best.metrics["relative_error"] < 1e-4  # the infimum is 0; float32 and 1,500 steps stop short of it
    # The sampled error is within 5 standard errors of the exact one, and no sample exceeds the exact supremum.
    exact, metrics = best.metrics["exact_l2_error"] ** 2, best.metrics
    assert abs(exact - metrics["test_mse"]) < 5 * metrics["test_mse_stderr"]
    assert metrics["sample_sup_error"] <= metrics["exact_sup_error"] * (1 + 1e-12)
    assert metrics["exact_l1_error"] <= metrics["exact_l2_error"] <= metrics["exact_sup_error"]


def test_exact_metrics_in_the_plane_are_what_sampling_sees():
    target = RandomWideNetwork(2, 2, 0)
    network = initial_network(2, (6, 6), init="he", seed=1)
    found = exact_metrics(network, target, plane=True)
    points = target.sample(200_000, np.random.default_rng(0))
    gaps = np.abs(network(points)[:, 0] - target.target(points))
    # 5 standard errors of a mean over 200,000 points
    assert abs(found["exact_l1_error"] - gaps.mean()) < 5 * gaps.std() / len(gaps) ** 0.5
    assert abs(found["exact_l2_error"] ** 2 - np.mean(gaps**2)) < 5 * np.std(gaps**2) / len(gaps) ** 0.5
    assert gaps.max() <= found["exact_sup_error"] * (1 + 1e-12)  # rounding of the network's values
    assert exact_metrics(network, target) == {}


def test_exact_metrics_of_a_known_difference():
    # 2 max(x, 0) - max(x, 0) is x on [0, 1]: mean 1/4, mean square 1/6 under the uniform law on [-1, 1], supremum 1.
    double = Hinge().network().then([[2.0]], [0.0])
    metrics = exact_metrics(double, Hinge())
    assert metrics["exact_l1_error"] == pytest.approx(1 / 4, rel=1e-14)
    assert metrics["exact_l2_error"] == pytest.approx(np.sqrt(1 / 6), rel=1e-14)
    assert metrics["exact_sup_error"] == 1
    assert exact_metrics(initial_network(2, (3,), init="he", seed=0), Wave()) == {}


def test_exact_metrics_are_to_the_target_and_not_to_a_network_near_it():
    """Zero misses x^2 by 1/3, sqrt(1/5) and 1; its interpolant at 0, 1/2, 1 by more in the mean."""
    zero = Network([(np.zeros((1, 1)), np.zeros(1)), (np.zeros((1, 1)), np.zeros(1))])
    assert exact_metrics(zero, Square(1)) == pytest.approx(
        {"exact_l1_error": 1 / 3, "exact_l2_error": np.sqrt(1 / 5), "exact_sup_error": 1.0}, rel=1e-14
    )

    class Nearly(Hinge):
        def error(self):
            return Guarantee("sup", 0.1)

    assert exact_metrics(zero, Nearly()) == {}


def test_error_metrics_of_a_constant_target_have_no_scale():
    metrics = error_metrics(np.array([1.0, 3.0]), np.array([2.0, 2.0]))
    assert metrics["test_mse"] == 1
    assert np.isnan(metrics["relative_error"])
    assert error_metrics(np.ones(1), np.zeros(1))["test_mse_stderr"] == np.inf  # one point tells no spread


def test_program_key_is_blind_to_seeds_and_rate_alone():
    key = wave().program_key
    assert key == wave(5, 1e-4, target_seed=7).program_key
    changes = {"width": 6, "depth": 2, "num_steps": 25, "data_seed": 1, "polish_steps": 1, "keep_weights": True}
    changes |= {"batch_size": 31, "num_train": 99, "num_test": 9, "optimizer": "adadelta", "schedule": "constant"}
    changes |= {"init": "glorot", "dtype": "float32", "exact_plane": True}
    assert len({wave(**{name: value}).program_key for name, value in changes.items()} | {key}) == 1 + len(changes)


def test_twins_differ_in_their_targets_alone():
    one = wave()
    assert replace(one, target_args=(("scale", 2.0),)).program_key != one.program_key
    assert replace(one, target_args=(("scale", 2.0),)).twin_key == one.twin_key == wave(5, 0.1, target_seed=3).twin_key
    assert replace(one, target_args=(("input_dim", 3),)).twin_key != one.twin_key
    assert replace(one, num_steps=25).twin_key != one.twin_key


def test_batches_use_up_the_training_points():
    order = batch_order(wave(num_steps=6))
    for epoch in (order[:3], order[3:]):
        assert len(np.unique(epoch)) == 96
    assert not np.array_equal(order[:3], order[3:])


def test_settings_are_flat_and_default_arguments_do_nothing():
    names = [field.name for field in dataclasses.fields(Regression)]
    assert names[:4] == ["target", "target_args", "width", "depth"]
    assert all(isinstance(getattr(wave(), name), (str, int, float, tuple)) for name in names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 0}, "width must be an integer of at least 1, got 0"),
        ({"num_steps": -1}, "num_steps must be an integer of at least 0, got -1"),
        ({"learning_rate": 0.0}, "learning_rate must be positive and finite, got 0.0"),
        ({"learning_rate": np.inf}, "learning_rate must be positive and finite, got inf"),
        ({"seed": -1}, "seed must be an integer of at least 0, got -1"),
        ({"batch_size": 101}, "batch_size must be at most num_train = 100, got 101"),
        ({"optimizer": "sgd"}, "optimizer must be one of"),
        ({"init": "orthogonal"}, "init must be one of"),
    ],
)
def test_bad_settings_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        replace(wave(), **change)


def test_a_target_of_ones_own_is_fitted_as_one_of_the_package():
    own = replace(wave(), target="fake_targets:Wave")
    (found,), (same,) = measure([own]), measure([wave()])
    assert found.metrics | {"seconds": 0} == same.metrics | {"seconds": 0}
    for name in (
        "this:Zen",
        "io:BytesIO",
        "fake_targets:sys",
        "fake_targets:wave",
        "fake_targets:Nothing",
        "widththeory.estimates:NOTHING",  # of a class, and none
        ":Wave",
        "fake_targets:",
    ):
        with pytest.raises(ValueError, match=r"or 'package\.module:Class' of a module that is imported, got "):
            replace(wave(), target=name)
    assert "this" not in sys.modules  # a name makes no code run
    assert estimates.__name__ in sys.modules


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Column", r"^target of fake_targets:Column must give an array of shape \(100,\), got \(100, 1\)$"),
        ("Narrow", r"^sample of fake_targets:Narrow must give an array of shape \(100, 2\), got \(100, 1\)$"),
    ],
)
def test_targets_and_laws_of_ones_own_give_what_constructions_give(name, message):
    with pytest.raises(ValueError, match=message):
        measure([replace(wave(), target=f"fake_targets:{name}")])


@pytest.mark.parametrize("target", ["fake.Nothing", "nothing.Wave", "os.path", "fake", "../fake.Wave"])
def test_unknown_targets_are_named(target):
    with pytest.raises(ValueError, match=r"target must be 'module\.Class'"):
        replace(wave(), target=target)


def test_a_class_without_what_is_needed_is_unknown():
    asked = ("target", "telgarsky.Sawtooth", "constructions")
    assert named.named_dataclass(*asked, ("sample",)).__name__ == "Sawtooth"
    with pytest.raises(ValueError, match=r"target must be 'module\.Class'"):
        named.named_dataclass(*asked, ("sample", "load"))


def test_a_library_that_is_missing_is_no_unknown_name(monkeypatch):
    def missing(name):
        raise ModuleNotFoundError("No module named 'onnx'", name="onnx")

    monkeypatch.setattr(named.importlib, "import_module", missing)
    with pytest.raises(ModuleNotFoundError, match="onnx"):
        named.named_dataclass("images", "textures.Textures", "images")


def test_bad_calls_are_named():
    with pytest.raises(ValueError, match="settings must hold at least one fit"):
        measure([], 2)
    with pytest.raises(ValueError, match="settings must share one program_key, got 2"):
        measure([wave(), wave(width=4)], 2)
    with pytest.raises(ValueError, match="chunk_size must be an integer of at least 1, got 0"):
        measure([wave()], 0)
    with pytest.raises(ValueError, match=r"target_args do not suit fake\.Wave"):
        replace(wave(), target_args=(("sede", 1),))


def test_importing_starts_no_device():
    script = "import widththeory.fit, jax; assert not jax._src.xla_bridge.backends_are_initialized()"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


def test_no_target_is_drawn_from_the_numbers_of_its_own_points():
    """SeedSequence fills up with zeros: default_rng([seed, 0]) is default_rng(seed), from which targets are drawn."""
    args = (("input_dim", 2), ("k", 3), ("seed", 5))
    one = Regression("wide_random.RandomWideNetwork", args, 3, 1, 0, 1e-2, 0, 8, 16, 16, data_seed=5)
    drawn = np.random.default_rng(5)
    used = {float(number) for number in one.construction.sample(16, drawn).ravel()}
    data = sample_data([one])
    assert not used & {float(number) for number in data.train.ravel()}
    assert not used & {float(number) for number in data.test.ravel()}
    assert not np.array_equal(batch_order(replace(one, num_steps=2))[0], drawn.permutation(16)[:8])
