"""Convolution and pooling: two methods, one function; in loops and ensembles too."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from widththeory.models.activation import Activation
from widththeory.models.convolution import (
    METHODS,
    Conv,
    average_pool,
    convolve,
    global_average,
    max_pool,
    output_size,
)

# size, channels in, channels out, kernel, strides, padding, groups: plain, strided, even window, 1x1, grouped,
# depthwise, depthwise with two channels out for each in, grouped 1x1, stem of AlexNet in small.
CASES = [
    (7, 3, 4, 3, 1, 1, 1),
    (7, 3, 4, 3, 2, 1, 1),
    (8, 2, 3, 2, 2, 0, 1),
    (9, 6, 4, 1, 2, 0, 1),
    (8, 4, 6, 3, 2, 1, 2),
    (8, 4, 4, 3, 2, 1, 4),
    (8, 4, 8, 3, 1, 1, 4),
    (8, 6, 9, 1, 1, 0, 3),
    (15, 3, 2, 5, 4, 2, 1),
]


def drawn(case):
    size, fan_in, features, kernel_size, _, _, groups = case
    rng = np.random.default_rng(0)
    return rng.standard_normal((2, size, size, fan_in)), rng.standard_normal(
        (kernel_size, kernel_size, fan_in // groups, features)
    )


def by_definition(images, kernel, strides, padding, groups):
    """The sum in the docstring of `convolve`, window by window."""
    window, _, fan_in, features = kernel.shape
    padded = np.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    side = (padded.shape[1] - window) // strides + 1
    out = np.zeros((len(images), side, side, features))
    for y in range(side):
        for x in range(side):
            seen = padded[:, strides * y : strides * y + window, strides * x : strides * x + window]
            for o in range(features):
                first = o // (features // groups) * fan_in
                out[:, y, x, o] = np.sum(seen[..., first : first + fan_in] * kernel[..., o], axis=(1, 2, 3))
    return out


@pytest.mark.parametrize("case", CASES, ids=str)
def test_all_methods_are_the_definition(case):
    images, kernel = drawn(case)
    size, _, _, kernel_size, strides, padding, groups = case
    expected = by_definition(images, kernel, strides, padding, groups)
    assert expected.shape[1] == output_size(size, kernel_size, strides, padding)
    for method in METHODS:
        out = convolve(
            jnp.asarray(images), jnp.asarray(kernel), strides=strides, padding=padding, groups=groups, method=method
        )
        # At most 75 products of normal numbers summed in float64, in any order: far under 75 * 75 * 2.2e-16 * 16.
        np.testing.assert_allclose(out, expected, rtol=0, atol=1e-11)


@pytest.mark.parametrize("case", [CASES[1], CASES[4], CASES[5]], ids=str)
def test_all_methods_have_one_gradient(case):
    images, kernel = map(jnp.asarray, drawn(case))
    strides, padding, groups = case[4:]

    @jax.jit
    def gradients(images, kernel):
        def loss(images, kernel, method):
            return jnp.sum(
                convolve(images, kernel, strides=strides, padding=padding, groups=groups, method=method) ** 2
            )

        return [jax.grad(loss, (0, 1))(images, kernel, method) for method in METHODS]

    native, *others = gradients(images, kernel)
    for other in others:
        for one, same in zip(native, other, strict=True):
            # Sums of at most some hundred products of numbers up to some tens, in two orders, in float64.
            np.testing.assert_allclose(one, same, rtol=0, atol=1e-10)


@pytest.mark.parametrize("method", METHODS)
def test_an_ensemble_is_its_members(method):
    images = jnp.asarray(drawn(CASES[1])[0])
    kernels = jnp.asarray(np.random.default_rng(1).standard_normal((3, 3, 3, 3, 4)))

    def apply(kernel):
        return convolve(images, kernel, strides=2, padding=1, method=method)

    # 27 products of normal numbers in float64, in two orders.
    np.testing.assert_allclose(jax.vmap(apply)(kernels), jnp.stack([apply(each) for each in kernels]), atol=1e-12)


@pytest.mark.parametrize(("window", "strides", "padding"), [(2, 2, 0), (3, 2, 0), (3, 2, 1)])
def test_poolings_are_those_of_xla(window, strides, padding):
    images = jnp.asarray(np.random.default_rng(0).standard_normal((2, 8, 8, 3)))
    settings = (
        (1, window, window, 1),
        (1, strides, strides, 1),
        ((0, 0), (padding, padding), (padding, padding), (0, 0)),
    )
    largest = jax.lax.reduce_window(images, -jnp.inf, jax.lax.max, *settings)
    assert jnp.array_equal(max_pool(images, window, strides, padding), largest)
    total = jax.lax.reduce_window(images, 0.0, jax.lax.add, *settings)
    # Nine normal numbers summed in two orders.
    np.testing.assert_allclose(average_pool(images, window, strides, padding), total / window**2, rtol=0, atol=1e-14)
    np.testing.assert_allclose(global_average(images), np.mean(images, axis=(1, 2)), rtol=0, atol=1e-14)


def test_pooling_passes_the_gradient_to_the_largest():
    images = jnp.arange(16.0).reshape(1, 4, 4, 1)
    gradient = jax.grad(lambda images: jnp.sum(max_pool(images, 2, 2)))(images)
    assert jnp.array_equal(gradient[0, :, :, 0], jnp.zeros((4, 4)).at[1::2, 1::2].set(1))


def test_crelu_keeps_both_signs_and_the_shortcut_undoes_it():
    maps = jnp.asarray(np.random.default_rng(0).standard_normal((2, 3, 3, 6)))
    for groups in (1, 2, 3):
        act = Activation("crelu", groups)
        both = act(maps)
        assert both.shape[-1] == 12
        assert both.min() == 0
        assert jnp.array_equal(act.linear_part(both), maps)
        # Channels of the first group stay in the first group.
        assert jnp.array_equal(both[..., : 12 // groups], Activation("crelu")(maps[..., : 6 // groups]))
    assert jnp.array_equal(
        Activation("crelu")(maps), jnp.concatenate([jnp.maximum(maps, 0), jnp.maximum(-maps, 0)], -1)
    )
    assert jnp.array_equal(Activation("relu")(maps), jnp.maximum(maps, 0))


def test_kernels_are_drawn_by_he_and_have_the_dtype_asked_for():
    conv = Conv(16, 250, 5, use_bias=True, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    assert conv.kernel[...].dtype == conv.bias[...].dtype == jnp.float64
    # The relative standard error of a variance from 100,000 normal draws is sqrt(2/100000) = 0.45 %; five of them.
    assert abs(np.var(conv.kernel[...]) / (2 / (16 * 25)) - 1) < 0.023
    assert not np.any(conv.bias[...])
    half = Conv(2, 3, 3, dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    assert half.kernel[...].dtype == jnp.float32
    assert half(jnp.ones((1, 4, 4, 2), jnp.float32)).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"method": "fft"}, r"method must be one of \['native', 'patches', 'mixed'\], got 'fft'"),
        ({"groups": 3}, "groups must divide the 4 channels in and 6 out, got 3"),
        ({"groups": 4}, "groups must divide the 4 channels in and 6 out, got 4"),
        ({"strides": 0}, "strides must be an integer of at least 1, got 0"),
        ({"padding": -1}, "padding must be an integer of at least 0, got -1"),
    ],
)
def test_bad_arguments_are_named(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        Conv(4, 6, 3, **arguments, rngs=nnx.Rngs(0))


def test_images_under_the_window_are_refused():
    with pytest.raises(ValueError, match="5 pixels padded by 2 are under a window 11"):
        output_size(5, 11, 4, 2)
    with pytest.raises(ValueError, match="activation must be one of"):
        Activation("gelu")
