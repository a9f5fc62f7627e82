"""Convolution and pooling, each also as plain slices and matrix products, which loops on a CPU do not slow down.

XLA runs a native convolution on a CPU by a fast library, but inside `lax.scan` by a plain loop, 14 to 20 times slower;
slices and matrix products are as fast in a loop as outside. Images are [batch, height, width, channels], kernels
[height, width, in / groups, out], as Flax has them. All of it can be mapped (`jax.vmap`) over an ensemble of weights.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Float

from widththeory.typing import check_positive_int

Maps = Float[jax.Array, "_batch _height _width _channels"]  # each with its own sizes
Kernel = Float[jax.Array, "_height _width _channels_in _channels_out"]
METHODS = ("native", "patches", "mixed")
HE_NORMAL = jax.nn.initializers.variance_scaling(2.0, "fan_in", "normal")  # keeps variance through ReLUs


def check_method(method: str) -> str:
    """Return `method`, or raise ValueError."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {list(METHODS)}, got {method!r}")
    return method


def output_size(size: int, kernel_size: int, strides: int = 1, padding: int | None = None) -> int:
    """Pixels along a side after a convolution or a pooling: floor((size + 2 padding - kernel_size) / strides) + 1.

    Args:
        size: pixels along a side before.
        kernel_size: pixels along a side of the window.
        strides: pixels from window to window.
        padding: pixels added at each border; None is kernel_size // 2, which with stride 1 and odd windows keeps size.

    Raises:
        ValueError: the padded image is smaller than the window.
    """
    padding = kernel_size // 2 if padding is None else padding
    if size + 2 * padding < kernel_size:
        raise ValueError(f"image_size is too small: {size} pixels padded by {padding} are under a window {kernel_size}")
    return (size + 2 * padding - kernel_size) // strides + 1


def convolve(
    images: Maps, kernel: Kernel, *, strides: int = 1, padding: int = 0, groups: int = 1, method: str = "native"
) -> Maps:
    """Cross-correlation of images with a square kernel, zeros beyond the border.

    out[y, x, o] = sum over i, j, c of images[strides y + i - padding, strides x + j - padding, c] kernel[i, j, c, o],
    where c runs over the channels of o's group.

    Args:
        images, kernel: of one dtype; the kernel's third axis is channels / groups.
        strides, padding, groups: one number for both axes.
        method: "native" is XLA's own convolution; "patches" is a matrix product of shifted slices laid side by side,
            where kernel_size is 1 the product alone, and for one channel a group a sum of slices times weights; "mixed"
            is that sum for one channel a group, for which XLA's own takes ten times as long on a GPU, else "native".
    """
    depthwise = kernel.shape[2] == 1 and groups > 1
    if method == "native" or (method == "mixed" and not depthwise):
        return jax.lax.conv_general_dilated(
            images,
            kernel,
            (strides, strides),
            [(padding, padding)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )
    window, _, fan_in, features = kernel.shape
    images = _padded(images, padding, 0.0)
    if fan_in == 1 and groups > 1:
        # Output channel o belongs to input channel o // (features / groups).
        wide = images if features == groups else jnp.repeat(images, features // groups, axis=-1)
        taps = zip(_taps(wide, window, strides), kernel.reshape(-1, features), strict=True)
        return functools.reduce(jnp.add, [each * weight[None, None, None] for each, weight in taps])
    if window <= 3:
        patches = _side_by_side(_taps(images, window, strides), groups)
    else:
        # First the pixels of a row, then the rows: many fewer slices to compile, and for small windows slower.
        across = _side_by_side(_shifted(images, window, strides, axis=2), groups)
        patches = _side_by_side(_shifted(across, window, strides, axis=1), groups)
    if groups == 1:
        return patches @ kernel.reshape(-1, features)
    split = patches.reshape(*patches.shape[:-1], groups, -1)
    products = jnp.einsum("...gc,cgo->...go", split, kernel.reshape(-1, groups, features // groups))
    return products.reshape(*products.shape[:-2], features)


def max_pool(images: Maps, window: int, strides: int, padding: int = 0) -> Maps:
    """The largest value of each window; beyond the border nothing counts.

    By slices: the gradient of XLA's own pooling is slow on a CPU. Of equal largest values each gets a share of the
    gradient; after a ReLU those are zeros, where it goes no further.
    """
    images = _padded(images, padding, -jnp.inf)
    for axis in (1, 2):
        images = functools.reduce(jnp.maximum, _shifted(images, window, strides, axis))
    return images


def average_pool(images: Maps, window: int, strides: int, padding: int = 0) -> Maps:
    """The mean of each window, zeros beyond the border counted in."""
    images = _padded(images, padding, 0.0)
    for axis in (1, 2):
        images = functools.reduce(jnp.add, _shifted(images, window, strides, axis))
    return images / window**2


def global_average(images: Maps) -> Float[jax.Array, "_batch _channels"]:
    """The mean over all pixels."""
    return images.mean(axis=(1, 2))


def _padded(images: Maps, padding: int, value: float) -> Maps:
    """Images with a border of `value`."""
    if padding == 0:
        return images
    return jnp.pad(images, ((0, 0), (padding, padding), (padding, padding), (0, 0)), constant_values=value)


def _shifted(images: Maps, window: int, strides: int, axis: int) -> list[Maps]:
    """For each place along one axis of a window, the rows or columns that are there in window after window."""
    last = (images.shape[axis] - window) // strides * strides
    return [jax.lax.slice_in_dim(images, i, i + last + 1, strides, axis) for i in range(window)]


def _taps(images: Maps, window: int, strides: int) -> list[Maps]:
    """For each place in a window, row by row, the pixels that are there in window after window."""
    rows = _shifted(images, window, strides, axis=1)
    return [each for row in rows for each in _shifted(row, window, strides, axis=2)]


def _side_by_side(maps: list[Maps], groups: int) -> Maps:
    """Channels beside channels, within each of the groups."""
    if len(maps) == 1:
        return maps[0]
    if groups == 1:
        return jnp.concatenate(maps, axis=-1)
    split = [each.reshape(*each.shape[:-1], groups, -1) for each in maps]
    return jnp.concatenate(split, axis=-1).reshape(*maps[0].shape[:-1], -1)


class Conv(nnx.Module):
    """A convolution with a square kernel.

    Args:
        in_features, out_features: channels before and after.
        kernel_size: pixels along a side.
        strides: pixels from window to window.
        padding: pixels of zeros at each border; None is kernel_size // 2.
        groups: the channels fall into so many groups, each convolved by itself; divides both in_ and out_features.
        use_bias: whether a constant is added to each channel; it starts at zero.
        method: "native", "patches" or "mixed", see `convolve`.
        kernel_init: law of the kernel; He's normal law by default, variance 2 / fan-in.
        dtype: of the computation; None takes it from images and kernel.
        param_dtype: of kernel and bias.
        rngs: the module's random streams.

    Raises:
        ValueError: a size under 1, an unknown method, groups that do not divide the channels.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        kernel_size: int,
        strides: int = 1,
        padding: int | None = None,
        groups: int = 1,
        use_bias: bool = False,
        *,
        method: str = "native",
        kernel_init: Callable[..., jax.Array] = HE_NORMAL,
        dtype: Any = None,
        param_dtype: Any = jnp.float32,
        rngs: nnx.Rngs,
    ):
        check_positive_int("in_features", in_features)
        check_positive_int("out_features", out_features)
        check_positive_int("kernel_size", kernel_size)
        self.strides = check_positive_int("strides", strides)
        self.padding = kernel_size // 2 if padding is None else check_positive_int("padding", padding, at_least=0)
        self.groups = check_positive_int("groups", groups)
        if in_features % groups or out_features % groups:
            raise ValueError(f"groups must divide the {in_features} channels in and {out_features} out, got {groups}")
        self.method = check_method(method)
        self.dtype = dtype
        shape = (kernel_size, kernel_size, in_features // groups, out_features)
        self.kernel = nnx.Param(kernel_init(rngs.params(), shape, param_dtype))
        self.bias = nnx.Param(jnp.zeros((out_features,), param_dtype)) if use_bias else nnx.data(None)

    def __call__(self, images: Maps) -> Maps:
        kernel = self.kernel[...]
        dtype = self.dtype or jnp.result_type(images, kernel)
        out = convolve(
            images.astype(dtype),
            kernel.astype(dtype),
            strides=self.strides,
            padding=self.padding,
            groups=self.groups,
            method=self.method,
        )
        return out if self.bias is None else out + self.bias[...].astype(dtype)[None, None, None]


def convolutions(model: nnx.Module) -> list[Conv]:
    """All convolutions of a network in the order of its layers; `[0].kernel[...]` is the first layer's filters."""
    found = [(path, node) for path, node in nnx.iter_graph(model) if isinstance(node, Conv)]
    return [node for _, node in sorted(found, key=lambda pair: pair[0])]
