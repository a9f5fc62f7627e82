"""The engine of image fits against plain loops: a Flax module, `jax.grad` and optax, one network and step at a time."""

import dataclasses
import functools
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from image_fits import TIMES, Speckles, fit, moved_by_hand

from widththeory import classify, image_programs, image_training
from widththeory.augmentation import draw_steps
from widththeory.classify import load_filters, measure
from widththeory.image_training import Bytes, Program, Segment, State, cross_entropy
from widththeory.models.functional import Functional, first_kernel
from widththeory.models.mobilenet import MobileNet
from widththeory.models.wide_resnet import WideResNet

pytestmark = pytest.mark.usefixtures("quick_to_compile")

MEMBERS = [fit(0), fit(1, 0.2), fit(1, 0.02, weight_decay=0.0)]
# Compiling is what these tests cost.
quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def values(measurements):
    return [one.metrics | TIMES for one in measurements]


def use(monkeypatch, **changes):
    """Have `measure` take another program for the same fits; for its network, changes start with network_."""
    choose = image_programs.choose_program

    def chosen(settings, chunk_size):
        program = choose(settings, chunk_size)
        own = {name: value for name, value in changes.items() if not name.startswith("network_")}
        inner = {name.removeprefix("network_"): value for name, value in changes.items() if name not in own}
        return replace(program, **own, network=replace(program.network, **inner))

    monkeypatch.setattr(image_programs, "choose_program", chosen)


def assert_close(found, expected, tolerance):
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert value == pytest.approx(other[name], abs=tolerance), name


# --- one step, several steps ------------------------------------------------------------------------------------------


def plain_fit(settings):
    """Weights and running statistics after all steps, each with its Flax path, from a loop over Flax and optax."""
    data = settings.data
    mean, std = data.mean_and_std()
    images = (data.train / 255 - mean) / std
    model = nnx.eval_shape(lambda: settings.architecture.build(nnx.Rngs(0), param_dtype=jnp.float64))
    for part in Functional(settings.architecture, param_dtype="float64").init(settings.seed):
        for path, array in part.items():
            *owners, last = path.split(".")
            owner = model
            for step in owners:
                owner = owner[int(step)] if step.isdigit() else getattr(owner, step)
            setattr(owner, last, type(getattr(owner, last))(jnp.asarray(array)))
    plan, params, stats = nnx.split(model, nnx.Param, nnx.BatchStat)
    kernels = jax.tree_util.tree_map_with_path(lambda path, _: "kernel" in jax.tree_util.keystr(path), params)
    # Two steps of warm-up, then from the full rate to zero; optax's own schedules are float32.
    after = 0.5 + 0.5 * np.cos(np.pi * np.arange(settings.num_steps - 2) / (settings.num_steps - 2))
    rates = settings.learning_rate * jnp.asarray(np.concatenate([[0.5, 1.0], after]))
    rule = (
        optax.sgd(rates.__getitem__, 0.9, nesterov=True)
        if settings.optimizer == "sgd"
        else optax.adam(rates.__getitem__)
    )
    optimizer = optax.chain(optax.add_decayed_weights(settings.weight_decay, kernels), rule)
    state = optimizer.init(params)

    @quick_jit
    def step(params, stats, state, pixels, labels):
        def loss(params):
            model = nnx.merge(plan, params, stats, copy=True)
            targets = optax.smooth_labels(jax.nn.one_hot(labels, data.num_classes), settings.label_smoothing)
            return optax.softmax_cross_entropy(model(pixels), targets).mean(), nnx.state(model, nnx.BatchStat)

        slope, stats = jax.grad(loss, has_aux=True)(params)
        change, state = optimizer.update(slope, state, params)
        return optax.apply_updates(params, change), stats, state

    rows, moves = draw_steps(settings.seed, 0, settings.num_steps, len(images), settings.batch_size)
    for own, move in zip(rows, moves, strict=True):
        pixels = [moved_by_hand(images[row], down, right) for row, (down, right, _) in zip(own, move, strict=True)]
        params, stats, state = step(params, stats, state, jnp.asarray(np.stack(pixels)), data.train_labels[own])
    return {
        ".".join(map(str, path)): np.asarray(leaf[...])
        for part in (params, stats)
        for path, leaf in nnx.to_flat_state(part)
    }


def engine_state(settings):
    """The same from the engine, in segments of two steps."""
    program = image_programs.choose_program(settings, 1)
    data, (mean, std) = settings.data, settings.data.mean_and_std()
    step = image_programs.compiled_run(program, len(data.train))
    rate, decay = (np.array([value]) for value in (settings.learning_rate, settings.weight_decay))
    state = image_programs.start(program, [settings])
    for segment, _ in image_programs.segments(program, [settings], 0):
        state = step(state, rate, decay, segment, Bytes(data.train, data.train_labels, mean, std))
    return {name: np.asarray(array[0]) for part in (state.params, state.stats) for name, array in part.items()}


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_steps_are_those_of_flax_and_optax(optimizer):
    """Momentum, decay of kernels alone, warm-up, cosine, smoothed labels, crops, running statistics."""
    settings = fit(3, 0.05 if optimizer == "sgd" else 1e-3, optimizer=optimizer)
    found, expected = engine_state(settings), plain_fit(settings)
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        # float64 in two orders of summation; Adam divides by roots of squares of gradients, which may be small.
        np.testing.assert_allclose(found[name], array, rtol=0, atol=1e-9, err_msg=name)
        if "kernel" in name:
            assert np.max(np.abs(array - Functional(settings.architecture).init(3)[0][name])) > 1e-4


def test_no_steps_measure_the_initial_network():
    settings = fit(2, num_steps=0, num_checks=1, warmup_steps=0, keep_weights=True)
    (found,) = measure([settings], 1)
    network = Functional(settings.architecture, "native", "float64", "float64")
    params, stats = network.init(2)
    assert np.array_equal(load_filters(found.weights), first_kernel(params))
    data, (mean, std) = settings.data, settings.data.mean_and_std()
    logits, after = quick_jit(functools.partial(network.apply, training=False))(
        params, stats, jnp.asarray((data.test / 255 - mean) / std)
    )
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, data.test_labels).mean()
    assert all(np.array_equal(stats[name], array) for name, array in after.items())
    assert found.metrics["test_loss"] == pytest.approx(float(loss), rel=1e-12)  # float64, two orders of summation
    right = np.mean(np.argmax(logits, axis=1) == data.test_labels)
    assert found.metrics["accuracy_at_0"] == found.metrics["test_accuracy"] == right
    assert found.metrics["test_accuracy_stderr"] == pytest.approx(np.sqrt(right * (1 - right) / 40), rel=1e-12)
    assert found.metrics["diverged"] == 0
    logits, _ = quick_jit(functools.partial(network.apply, training=False))(
        params, stats, jnp.asarray((data.train / 255 - mean) / std)
    )
    loss = optax.softmax_cross_entropy_with_integer_labels(logits, data.train_labels).mean()
    assert found.metrics["train_loss"] == pytest.approx(float(loss), rel=1e-12)
    assert found.metrics["train_accuracy"] == np.mean(np.argmax(logits, axis=1) == data.train_labels)


@pytest.mark.parametrize("augment", ["none", "crop", "crop_flip"])
def test_a_step_sees_images_as_they_are_cropped_or_cropped_and_mirrored(augment, monkeypatch):
    monkeypatch.setattr(
        image_training, "_step", lambda _, state, rate, decay, seen, labels, scalars: State({"": seen}, (), {}, labels)
    )
    data = Speckles().load()
    (rows,), (moves,) = draw_steps(4, 0, 1, 20, 8)
    program = Program(Functional(fit().architecture), 1, 1, False, 8, "sgd", 0.0, augment)
    state = State({"": jnp.zeros((1, 8, 8, 8, 3))}, (), {}, jnp.zeros((1, 8), jnp.int32))
    mean, std = jnp.full(3, 0.5), jnp.full(3, 0.25)
    after = image_training.run(
        program,
        state,
        np.ones(1),
        np.ones(1),
        Segment(rows[None, None], moves[None, None], np.ones((1, 2)), np.int32(1)),
        Bytes(jnp.asarray(data.train), jnp.asarray(data.train_labels), mean, std),
    )
    assert np.array_equal(after.loss[0], data.train_labels[rows])
    assert set(moves[:, 2]) == {0, 1}
    for found, row, (down, right, mirrored) in zip(after.params[""][0], rows, moves, strict=True):
        expected = (data.train[row] / 255 - 0.5) / 0.25
        if augment != "none":
            expected = moved_by_hand(expected, down, right)
        if augment == "crop_flip" and mirrored:
            expected = expected[:, ::-1]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)  # float64


def test_the_training_images_that_are_measured_are_a_random_part_of_all(monkeypatch):
    monkeypatch.setattr(classify, "MAX_TRAIN_EVAL", 30)
    one, data = fit(), fit().data
    ready = classify._ready.__wrapped__(one.images, one.images_args, "float64")
    (where,) = np.array([np.flatnonzero((data.train == image).all((1, 2, 3))) for image in ready.some.images]).T
    assert len(set(where)) == 30
    assert not np.array_equal(ready.some.images, data.train[:30])
    assert np.array_equal(ready.some.labels, data.train_labels[where])
    assert np.array_equal(ready.test.images, data.test)
    assert np.array_equal(ready.train.images, data.train)


def test_a_colour_that_is_the_same_everywhere_is_zero():
    ready = classify._ready.__wrapped__("image_fits:Speckles", (), "float64")
    pixels = (Speckles().load().train / 255 - ready.train.mean) / ready.train.std
    assert np.all(np.abs(pixels[..., 1]) < 1e-12)  # roundings of 1e-16, divided by 1/255
    np.testing.assert_allclose(np.std(pixels, axis=(0, 1, 2)), [1, 0, 1], rtol=0, atol=1e-12)


# --- side by side, in turn, by another method -------------------------------------------------------------------------


def test_networks_side_by_side_are_those_in_turn_and_both_methods_are_one(monkeypatch):
    """The other method also in segments that are not full, whose last steps must change nothing."""
    in_turn = values(measure(MEMBERS, 3))
    assert in_turn[1] != in_turn[2]
    for changes in ({"ensemble": 3}, {"network_method": "native", "segment": 5, "ragged": True}):
        with monkeypatch.context() as patch:
            use(patch, **changes)
            # float64: 6 steps in another order of summation; normalisations may divide by small deviations.
            assert_close(values(measure(MEMBERS, 3)), in_turn, 1e-9)


TWO_DEVICES = """
import sys, jax
jax.config.update("jax_num_cpu_devices", 2)
from widththeory import classify, image_programs

image_programs._OPTIONS["cpu"]["xla_backend_optimization_level"] = "0"
exec(sys.argv[1])
assert image_programs.choose_program(settings[0], 3).ensemble == 2
for one in classify.measure(settings, 3):
    print(one.metrics["train_loss"])
"""


def test_two_devices_give_what_one_gives():
    members = [replace(one, compute_dtype="float32") for one in MEMBERS]
    made = f"settings = [classify.Classification(**kinds) for kinds in {list(map(dataclasses.asdict, members))!r}]"
    done = subprocess.run([sys.executable, "-c", TWO_DEVICES, made], capture_output=True, text=True, check=True)
    one = [found.metrics["train_loss"] for found in measure(members, 3)]
    # float32, two programs, 6 steps of networks whose normalisations amplify roundings.
    assert list(map(float, done.stdout.split())) == pytest.approx(one, rel=1e-3)


def test_bfloat16_is_close_to_float32():
    """The layers compute in bfloat16, with 3 digits; weights, running statistics and the loss are float32."""
    exact, rough = (
        measure([replace(MEMBERS[0], compute_dtype=dtype, keep_weights=True)], 1)[0]
        for dtype in ("float32", "bfloat16")
    )
    assert load_filters(rough.weights).dtype == np.float32
    assert rough.metrics["train_loss"] != exact.metrics["train_loss"]
    assert rough.metrics["train_loss"] == pytest.approx(exact.metrics["train_loss"], rel=0.05)
    gap = np.max(np.abs(load_filters(rough.weights) - load_filters(exact.weights)))
    assert 0 < gap < 0.02 * np.max(np.abs(load_filters(exact.weights)))


def test_a_chunk_that_is_not_full_gives_the_same(monkeypatch):
    use(monkeypatch, ensemble=3)
    full = values(measure(MEMBERS, 3))
    assert values(measure(MEMBERS[:2], 3)) == full[:2]


def test_a_second_call_compiles_nothing_and_gives_the_same_bits():
    first = values(measure(MEMBERS[:2], 1))
    programs = image_programs.compiled_run, image_programs.compiled_evaluate
    before = [one.calls() for one in programs]
    assert values(measure(MEMBERS[:2], 2)) == first
    # Other rates, seeds, decays, data of the same size and numbers of steps are the same program.
    measure([fit(9, 0.3, weight_decay=0.5, num_steps=4, num_checks=2)], 1)
    assert [one.calls() for one in programs] == before


@pytest.mark.parametrize(("dtype", "precise"), [("float32", True), ("bfloat16", False)])
def test_products_of_float32_are_not_rounded_further(dtype, precise):
    """As a GPU would round them, to ten bits, unless the program says otherwise."""
    program = image_programs.choose_program(fit(compute_dtype=dtype), 1)
    asked = []

    class LoweredError(Exception):
        pass

    def lower(*_):
        asked.append(jax.config.jax_default_matmul_precision)
        raise LoweredError

    with pytest.raises(LoweredError):
        image_programs._compiled(lower, program)
    assert asked == ["highest" if precise else None]


def test_threads_train_one_ensemble_at_a_time(monkeypatch):
    there, most, train = [], [], classify._Fit.train

    def counted(self, snapshots):
        there.append(0)
        most.append(len(there))
        train(self, snapshots)
        there.pop()

    monkeypatch.setattr(classify._Fit, "train", counted)
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda one: values(measure([one], 1)), MEMBERS[:2] * 2))
    assert found[:2] == found[2:]
    assert most == [1] * 4


def test_a_learning_curve_is_that_of_shorter_fits():
    long = fit(5, schedule="constant", warmup_steps=0)
    (curve,) = measure([long], 1)
    for steps in (2, 4, 6):
        (short,) = measure([replace(long, num_steps=steps, num_checks=steps // 2)], 1)
        assert curve.metrics[f"accuracy_at_{steps}"] == short.metrics["test_accuracy"]


def test_segments_end_at_the_checks_and_draw_what_one_would():
    settings = fit(num_steps=23, num_checks=4)
    program = replace(image_programs.choose_program(settings, 1), segment=3, ragged=True)
    parts = list(image_programs.segments(program, [settings], 0))
    after = [step for _, step in parts]
    assert set(settings.check_steps) == {5, 11, 17, 23} <= set(after)
    assert [step for _, step in image_programs.segments(program, [settings], 11)] == [s for s in after if s > 11]
    rows, _ = draw_steps(0, 0, 23, 70, 16)
    taken = np.concatenate([part.rows[0][: part.count] for part, _ in parts])
    assert np.array_equal(taken, rows)
    rates = np.concatenate([part.scalars[: part.count, 0] for part, _ in parts])
    assert rates[:3].tolist() == [0.5, 1, 1]
    assert rates[-1] == pytest.approx(0.5 * (1 + np.cos(np.pi * 20 / 21)))


def test_smoothed_cross_entropy_is_that_of_optax():
    logits = jnp.asarray(np.random.default_rng(0).standard_normal((5, 7)))
    labels = jnp.array([0, 6, 3, 3, 1])
    targets = optax.smooth_labels(jax.nn.one_hot(labels, 7), 0.2)
    expected = optax.softmax_cross_entropy(logits, targets)
    np.testing.assert_allclose(cross_entropy(logits, labels, 0.2), expected, rtol=1e-12)  # float64, sums of 7


# --- the network without its module -----------------------------------------------------------------------------------


@pytest.mark.parametrize("architecture", [MobileNet(32, stem_width=64, widths=(128,), strides=(1,)), WideResNet()])
def test_initial_arrays_follow_the_law_of_the_module(architecture):
    network = Functional(architecture)
    mine = network.init(1)
    model = nnx.eval_shape(lambda: architecture.build(nnx.Rngs(0)))
    for kind, found in zip((nnx.Param, nnx.BatchStat), mine, strict=True):
        wanted = {".".join(map(str, path)): leaf for path, leaf in nnx.to_flat_state(nnx.state(model, kind))}
        assert {name: (a.shape, a.dtype) for name, a in found.items()} == {
            name: (leaf.shape, leaf.dtype) for name, leaf in wanted.items()
        }
    for name, array in mine[0].items():
        if name.endswith("kernel"):
            fan_in = np.prod(array.shape[:-1])
            # 5 standard errors of a sample variance of normal numbers, sqrt(2 / n) of it each.
            assert abs(np.var(array) * fan_in / 2 - 1) < 5 * np.sqrt(2 / array.size), name
    for name, array in (mine[0] | mine[1]).items():
        kind = name.rpartition(".")[2]
        assert kind == "kernel" or np.all(array == {"scale": 1, "bias": 0, "mean": 0, "var": 1}[kind]), name
    other = network.init(2)[0]
    assert not np.array_equal(first_kernel(other), first_kernel(mine[0]))
    assert first_kernel(mine[0]).shape[:3] == (3, 3, 3)


# --- what can go wrong ------------------------------------------------------------------------------------------------


def test_a_fit_that_diverges_is_reported_in_finite_numbers():
    calm, wild = measure([fit(0), fit(0, 1e200)], 2)
    assert (calm.metrics["diverged"], wild.metrics["diverged"]) == (0, 1)
    assert wild.metrics["train_loss"] == classify.LARGEST_LOSS
    assert all(np.isfinite(value) for value in wild.metrics.values())


def test_one_loss_that_is_no_number_is_enough_to_diverge():
    """And costs, times and accuracies stand under their names."""
    losses = {"some": [0.5, np.nan, 0.5, 0.5], "test": [0.6, 0.6, np.inf, 0.6]}
    settings = fit()
    made = classify._Fit.__new__(classify._Fit)
    made.program, made.chunk = replace(image_programs.choose_program(settings, 1), ensemble=4), [settings] * 4
    made.ready = classify._ready(settings.images, settings.images_args, "float64")
    made.state = State({}, (), {}, np.array([0.7, 0.7, 0.7, np.nan]))
    made.spent, made.curves = 12.0, np.zeros((4, 3))
    pools = {id(made.ready.some): "some", id(made.ready.test): "test"}
    made.accuracy = lambda pool: (np.array(losses[pools[id(pool)]]), np.array([0.5] * 4))
    found = list(made.results())
    assert [one["diverged"] for one in found] == [0, 1, 1, 1]
    assert [one["train_loss"] for one in found] == [0.5, classify.LARGEST_LOSS, 0.5, 0.5]
    cost = settings.architecture.cost()
    assert (found[0]["num_params"], found[0]["multiply_adds"]) == (cost.num_params, cost.multiply_adds)
    assert found[0]["step_seconds"] == 12 / 6 / 4


def test_bad_calls_are_named():
    with pytest.raises(ValueError, match="settings must hold at least one fit"):
        measure([], 2)
    with pytest.raises(ValueError, match="settings must share one program_key, got 2"):
        measure([fit(), fit(batch_size=8)], 2)
    with pytest.raises(ValueError, match="chunk_size must be an integer of at least 1, got 0"):
        measure([fit()], 0)
