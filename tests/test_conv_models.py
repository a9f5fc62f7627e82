"""Every convolutional network: shapes, two methods, two modes, cost, CReLU, loops and ensembles, bad arguments."""

import functools
import importlib
import pkgutil

import jax
import jax.numpy as jnp
import numpy as np
import plain_networks
import pytest
from abstract_networks import count_params, count_products, traced
from flax import nnx

from widththeory import models
from widththeory.models import functional
from widththeory.models.alexnet import AlexNet
from widththeory.models.allconv6 import VARIANTS, AllConv6
from widththeory.models.convolution import Conv, convolutions
from widththeory.models.densenet import DenseNet
from widththeory.models.layers import Architecture, Layers, scaled
from widththeory.models.mobilenet import MobileNet
from widththeory.models.resnet import Residual, ResNet
from widththeory.models.shufflenet import Shuffle, ShuffleNet
from widththeory.models.vgg import VGG
from widththeory.models.wide_resnet import WideResNet

MODULES = [
    importlib.import_module(f"widththeory.models.{found.name}") for found in pkgutil.iter_modules(models.__path__)
]
EXAMPLES = [example for module in MODULES for example in getattr(module, "EXAMPLES", ())]


def name(architecture):
    return f"{type(architecture).__name__}-{architecture.activation}"


each = pytest.mark.parametrize("architecture", EXAMPLES, ids=name)


def images_for(architecture, dtype=jnp.float64):
    side = architecture.image_size
    return jnp.asarray(np.random.default_rng(0).standard_normal((4, side, side, architecture.in_channels)), dtype)


def split(architecture, seed=0, **settings):
    """The module in three: its plan, what is trained (drawn here, as that compiles nothing), and running statistics."""
    model = nnx.eval_shape(lambda: architecture.build(nnx.Rngs(0), param_dtype=jnp.float64, **settings))
    plan, params, stats = nnx.split(model, nnx.Param, nnx.BatchStat)
    rng = np.random.default_rng(seed)

    def draw(leaf):
        return jnp.asarray(rng.standard_normal(leaf.shape) * np.sqrt(2 / max(1, np.prod(leaf.shape[:-1]))), leaf.dtype)

    return plan, jax.tree.map(draw, params), jax.tree.map(lambda leaf: jnp.ones(leaf.shape, leaf.dtype), stats)


# Compiling is what these tests cost.
quick_jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def merge(plan, params, stats):
    """The module; with copies, as one that is trained writes to its statistics."""
    return nnx.merge(plan, params, stats, copy=True)


def test_every_architecture_has_examples():
    kinds = {kind for module in MODULES for kind in vars(module).values() if isinstance(kind, type)}
    assert {kind for kind in kinds if issubclass(kind, Architecture)} - {Architecture} == set(map(type, EXAMPLES))
    assert {(type(example), example.activation) for example in EXAMPLES} >= {
        (AlexNet, "crelu"),
        (DenseNet, "crelu"),
        (MobileNet, "crelu"),
        (ResNet, "crelu"),
        (ShuffleNet, "crelu"),
        (VGG, "crelu"),
        (WideResNet, "crelu"),
    }


@each
def test_cost_by_formula_is_that_of_the_arrays(architecture):
    state, program = traced(architecture)
    assert count_params(state) == architecture.cost().num_params
    assert count_products(program.jaxpr) == architecture.cost().multiply_adds


@each
def test_both_methods_are_the_function_of_the_paper(architecture):
    """Logits, also by plain loops, and the statistics that training leaves; the state keeps its dtypes for loops."""
    images = images_for(architecture)
    plans, params, stats = {}, None, None
    for method in ("native", "patches"):
        plans[method], params, stats = split(architecture, method=method)

    @quick_jit
    def run(params, stats):
        out = {}
        for method, plan in plans.items():
            model = merge(plan, params, stats)
            out[method] = model(images), nnx.state(model, nnx.BatchStat)
        return out

    out = run(params, stats)
    logits, moved = out["native"]
    assert logits.shape == (len(images), architecture.num_classes)
    assert logits.dtype == jnp.float64
    assert np.all(np.std(logits, axis=0) > 0), "the logits do not depend on the image"
    assert [leaf.dtype for leaf in jax.tree.leaves(moved)] == [leaf.dtype for leaf in jax.tree.leaves(stats)]
    # Sums of at most some thousands of float64 products in two orders, through at most 13 layers whose normalisations
    # may divide by small deviations of a batch of 4: 1e-16 becomes 1e-12 at worst seen, with a factor 1,000 to spare.
    np.testing.assert_allclose(out["patches"][0], logits, rtol=0, atol=1e-9 * float(jnp.max(jnp.abs(logits))))
    plain = plain_networks.logits(architecture, [(path, leaf[...]) for path, leaf in nnx.to_flat_state(params)], images)
    np.testing.assert_allclose(plain, logits, rtol=0, atol=1e-9 * float(jnp.max(jnp.abs(logits))))  # as above
    for one, other in zip(jax.tree.leaves(out["patches"][1]), jax.tree.leaves(moved), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-9 * max(1.0, float(jnp.max(jnp.abs(other)))))


SMALL = AllConv6(image_size=8, num_classes=3, widths=(3, 3, 3, 3, 3))


def test_modes_use_the_batch_or_what_was_kept():
    plan, params, stats = split(SMALL)

    @functools.partial(quick_jit, static_argnames="training")
    def run(images, training):
        model = merge(plan, params, stats)
        model.train() if training else model.eval()
        return model(images), jax.tree.leaves(nnx.state(model, nnx.BatchStat))

    images, before = images_for(SMALL), jax.tree.leaves(stats)
    logits, kept = run(images, training=False)
    assert all(map(np.array_equal, before, kept))
    # An image's logits depend on the other images in training only; float64, in two orders of summation.
    np.testing.assert_allclose(run(images[:2], training=False)[0], logits[:2], rtol=0, atol=1e-12)
    logits, moved = run(images, training=True)
    assert not any(map(np.array_equal, before, moved))
    assert np.max(np.abs(run(images[:2], training=True)[0] - logits[:2])) > 1e-3


def test_steps_in_a_loop_over_an_ensemble_are_the_members_steps():
    """Two gradient steps of three members in one scan, against Python loops over members and steps."""
    images = images_for(SMALL)
    plan, *_ = split(SMALL, method="patches")
    members = [split(SMALL, seed, method="patches")[1:] for seed in range(3)]

    def step(state, _):
        params, stats = state

        def loss(params):
            model = merge(plan, params, stats)
            return jnp.mean(model(images) ** 2), nnx.state(model, nnx.BatchStat)

        (value, stats), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        return (jax.tree.map(lambda p, g: p - 0.01 * g, params, gradient), stats), value

    together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
    _, values = quick_jit(jax.vmap(lambda state: jax.lax.scan(step, state, None, length=2)))(together)
    once = quick_jit(step)
    for member, expected in zip(members, values, strict=True):
        state, first = once(member, None)
        _, second = once(state, None)
        # Float64, two steps of a net of five small layers: roundoff stays far under this.
        np.testing.assert_allclose([first, second], expected, rtol=1e-9)


def test_the_nine_variants():
    baseline = (64, 128, 256, 512, 512)
    widths = {index: AllConv6.variant(index, baseline=baseline).widths for index in VARIANTS}
    assert widths == {
        0: baseline,
        1: (16, 32, 64, 128, 128),
        2: (32, 64, 64, 128, 128),
        3: (16, 32, 128, 256, 128),
        4: (16, 32, 64, 128, 256),
        5: (32, 64, 128, 256, 256),
        6: (64, 128, 128, 256, 256),
        7: (32, 64, 256, 512, 256),
        8: (32, 64, 128, 256, 512),
    }


def test_half_the_channels_under_crelu_halve_the_convolutions():
    """What a convolution takes is the same, what it gives is half."""
    relu, half = AllConv6(batch_norm=False), AllConv6(widths=(32, 64, 128, 256, 256), activation="crelu")
    dense = 512 * 10
    assert 2 * (half.cost().multiply_adds - dense) == relu.cost().multiply_adds - dense


def test_depths_are_those_of_the_names():
    """Convolutions and dense layers; projections are beside the path, except that WRN counts them."""

    def layers(architecture):
        model = nnx.eval_shape(lambda: architecture.build(nnx.Rngs(0)))
        return sum(isinstance(node, (Conv, nnx.Linear)) for _, node in nnx.iter_graph(model))

    assert layers(VGG.of_depth(16)) == 16
    assert layers(ResNet()) == 50 + 4
    assert layers(ResNet.cifar(14)) == 14
    assert layers(WideResNet.wrn(16, 2)) == 16 + 1
    assert layers(DenseNet.cifar(16, 4)) == 16
    assert layers(MobileNet()) == 28
    assert layers(AlexNet()) == 8
    assert layers(AllConv6()) == 6


def test_convolutions_are_listed_in_order():
    model = nnx.eval_shape(lambda: AlexNet(activation="crelu").build(nnx.Rngs(0)))
    shapes = [conv.kernel.shape for conv in convolutions(model)]
    assert shapes == [(11, 11, 3, 96), (5, 5, 192, 256), (3, 3, 512, 384), (3, 3, 768, 384), (3, 3, 768, 256)]
    model = nnx.eval_shape(lambda: ResNet.cifar(14).build(nnx.Rngs(0)))
    assert [conv.kernel.shape[3] for conv in convolutions(model)] == [16] * 5 + [32] * 4 + [64] * 4


@pytest.mark.parametrize(
    "architecture",
    [
        AlexNet(image_size=32, num_classes=10, stem="cifar"),
        VGG(image_size=32, num_classes=10, dense_widths=(512,)),
        ResNet(image_size=32, num_classes=10, lengths=(1, 1, 1, 1), stem="cifar"),
        MobileNet(image_size=32, num_classes=10, stem="cifar"),
        ShuffleNet(image_size=32, num_classes=10, lengths=(1, 1, 1), stem="cifar"),
        WideResNet(image_size=224, stem="imagenet"),
        AllConv6(image_size=224),
        AlexNet(image_size=63, num_classes=10),
    ],
    ids=lambda architecture: f"{type(architecture).__name__}-{architecture.image_size}",
)
def test_other_sizes_of_images(architecture):
    state, program = traced(architecture)
    assert [out.shape for out in program.out_avals] == [(1, 10)]
    assert count_params(state) == architecture.cost().num_params
    assert count_products(program.jaxpr) == architecture.cost().multiply_adds


def test_bfloat16_computes_in_it_and_keeps_float32():
    def run(images):
        model = SMALL.build(nnx.Rngs(0), dtype=jnp.bfloat16)
        return model(images), nnx.state(model, (nnx.Param, nnx.BatchStat))

    logits, state = jax.eval_shape(run, images_for(SMALL, jnp.float32))
    assert logits.dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(state)} == {jnp.dtype(jnp.float32)}


def test_shuffle_gives_each_group_of_each():
    maps = jnp.arange(6.0).reshape(1, 1, 1, 6)
    assert Shuffle(3)(maps).ravel().tolist() == [0, 2, 4, 1, 3, 5]


@pytest.mark.parametrize("activation", ["relu", "crelu"])
def test_padded_shortcuts_carry_the_input(activation):
    """With branches that give zero, blocks give every fourth pixel of what they take, and channels of zeros."""
    net = ResNet.cifar(8, 0.25, activation=activation, image_size=8)
    plan, params, stats = split(net)

    @quick_jit
    def run(maps):
        blocks = [layer for layer in merge(plan, params, stats).layers if isinstance(layer, Residual)]
        linear_part = blocks[0].act.linear_part
        entered = maps = blocks[0].act(maps)
        for block in blocks:
            last = block.branch.layers[-1]
            last.scale[...], last.bias[...] = jnp.zeros_like(last.scale[...]), jnp.zeros_like(last.bias[...])
            maps = block(maps)
        return linear_part(entered), linear_part(maps)

    entered, left = run(jnp.asarray(np.random.default_rng(0).standard_normal((1, 8, 8, 4))))
    assert left.shape == (1, 2, 2, 16)
    assert jnp.array_equal(left[..., :4], entered[:, ::4, ::4])
    assert not np.any(left[..., 4:])


@pytest.mark.parametrize(
    ("build", "sentence"),
    [
        (lambda: AllConv6(widths=(1, 2, 3)), r"widths must hold 5 numbers, got 3: \(1, 2, 3\)"),
        (lambda: AllConv6(widths=(1, 2, 0, 1, 1)), r"widths\[2\] must be an integer of at least 1, got 0"),
        (lambda: AllConv6(activation="gelu"), r"activation must be one of \['crelu', 'relu'\], got 'gelu'"),
        (lambda: AllConv6(num_classes=1), "num_classes must be an integer of at least 2, got 1"),
        (lambda: AllConv6(image_size=0), "image_size must be an integer of at least 1, got 0"),
        (lambda: AllConv6.variant(9), "index must be one of 0 ... 8, got 9"),
        (lambda: AllConv6.variant(1, baseline=(6, 8, 8, 8, 8)), "baseline must be 5 multiples of 4, got"),
        (lambda: AlexNet(image_size=32), "image_size is too small"),
        (lambda: AlexNet(stem="mnist"), r"stem must be one of \['imagenet', 'cifar'\], got 'mnist'"),
        (lambda: VGG(image_size=28), "image_size must be at least 32 for 5 poolings, got 28"),
        (lambda: VGG(lengths=(1, 1)), "widths must hold 2 numbers, got 13"),
        (lambda: VGG.of_depth(12), r"depth must be one of \[11, 13, 16, 19\], got 12"),
        (lambda: ResNet(block="dense"), "block must be 'bottleneck' or 'basic', got 'dense'"),
        (lambda: ResNet(shortcut="none"), "shortcut must be 'projection' or 'pad', got 'none'"),
        (lambda: ResNet.cifar(21), "depth must be 6n\\+2 with n at least 1, got 21"),
        (
            lambda: ResNet(shortcut="pad", stem_width=300),
            "stem_width and widths must not fall under shortcut 'pad', got",
        ),
        (lambda: ResNet.cifar(2), "depth must be 6n\\+2 with n at least 1, got 2"),
        (lambda: WideResNet.wrn(13, 8), "depth must be 6n\\+4 with n at least 1, got 13"),
        (lambda: WideResNet.wrn(4, 8), "depth must be 6n\\+4 with n at least 1, got 4"),
        (lambda: MobileNet(widths=(), strides=()), "widths must hold at least one number, got none"),
        (lambda: MobileNet(widths=(8, 8)), "strides must hold 2 numbers, got 13"),
        (lambda: MobileNet(widths=(8,), strides=(3,)), "strides must be 1 or 2, got"),
        (lambda: ShuffleNet(widths=(240, 240, 480)), "stem_width and widths must rise"),
        (lambda: ShuffleNet(widths=(240, 480, 480)), "stem_width and widths must rise"),
        (lambda: ShuffleNet(stem_width=25), "widths must be multiples of 4 groups, stem_width of groups = 3"),
        (lambda: ShuffleNet(groups=7), "widths must be multiples of 4 groups"),
        (lambda: ShuffleNet.of_groups(5), r"groups must be one of \[1, 2, 3, 4, 8\], got 5"),
        (lambda: DenseNet(compression=0.0), r"compression must be in \(0, 1\], got 0.0"),
        (lambda: DenseNet(compression=1.1), r"compression must be in \(0, 1\], got 1.1"),
        (lambda: DenseNet(compression=1e-3), "compression 0.001 leaves a transition without channels"),
        (lambda: DenseNet.cifar(41, 12), "depth must be 6n\\+4 with n at least 1, got 41"),
        (lambda: scaled((8,), 0.0), "multiplier must be positive, got 0.0"),
    ],
)
def test_bad_arguments_are_named(build, sentence):
    with pytest.raises(ValueError, match=sentence):
        build()


def test_a_normalisation_replaces_a_tenth_of_its_statistics():
    norm = Layers(nnx.Rngs(0), param_dtype=jnp.float64).norm(2)
    norm.train()
    maps = 3e-3 * np.random.default_rng(0).standard_normal((8, 4, 4, 2)) + np.array([1.0, -2.0])
    mean, variance = maps.mean(axis=(0, 1, 2)), maps.var(axis=(0, 1, 2))
    out = norm(jnp.asarray(maps))
    # 1e-9: the variance is the mean of squares less the squared mean, 1e-5 of either
    np.testing.assert_allclose(out, (maps - mean) / np.sqrt(variance + 1e-5), rtol=0, atol=1e-9)
    np.testing.assert_allclose(norm.mean[...], 0.1 * mean, rtol=1e-12)
    np.testing.assert_allclose(norm.var[...], 0.9 + 0.1 * variance, rtol=1e-12)


def test_what_is_drawn_and_kept_has_the_law_and_the_dtype_asked_for():
    make = Layers(nnx.Rngs(0), param_dtype=jnp.bfloat16)
    assert make.norm(2).scale[...].dtype == jnp.bfloat16
    assert make.norm(2).mean[...].dtype == make.norm(2).var[...].dtype == jnp.float32  # sums of many steps
    layer = Layers(nnx.Rngs(0)).dense(500, 200)
    # The relative standard error of a variance from 100,000 normal draws is sqrt(2/100000) = 0.45 %; five of them.
    assert abs(np.var(layer.kernel[...]) / (2 / 500) - 1) < 0.023
    assert not np.any(layer.bias[...])


def test_arrays_of_another_kind_have_no_law():
    """As in a network of the user's own with a slope for negative numbers."""
    with pytest.raises(ValueError, match=r"^the initial law of layers\.1\.slope is not known$"):
        functional._initial("layers.1.slope", jax.ShapeDtypeStruct((3,), np.float32), np.random.default_rng(0))


def test_scaled_widths_are_rounded_and_never_zero():
    assert scaled((32, 27, 3), 0.1) == (3, 3, 1)
    assert scaled((32,), 2) == (64,)
    whole = DenseNet(stem_width=4, growth_rate=3, lengths=(1, 1), bottleneck_width=0).build(nnx.Rngs(0))
    assert [conv.kernel.shape[3] for conv in convolutions(whole)] == [4, 3, 3, 3]  # half of 7 channels is 3
    assert VGG.of_depth(11, 0.5).widths == (32, 64, 128, 128, 256, 256, 256, 256)
    wide = ResNet.resnet50(0.25, 2)
    assert (wide.stem_width, wide.widths, wide.inner_widths) == (16, (64, 128, 256, 512), (32, 64, 128, 256))
