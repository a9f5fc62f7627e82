"""Every convolutional network once more, in NumPy and loops, from what its docstring and its paper say; training mode.

Arrays are taken in the order in which a network has its layers; `taken` is what they are taken from.
"""

import numpy as np


def conv(maps, taken, strides=1, padding=None, groups=1):
    """A convolution, group by group, with its bias where there is one."""
    arrays = next(taken)
    kernel = arrays["kernel"]
    window, _, fan_in, features = kernel.shape
    padding = window // 2 if padding is None else padding
    maps = np.pad(maps, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    assert maps.shape[-1] == fan_in * groups
    outs = []
    for group in range(groups):
        own = maps[..., group * fan_in : (group + 1) * fan_in]
        weight = kernel[..., group * (features // groups) : (group + 1) * (features // groups)]
        seen = windows(own, window, strides)
        outs.append(sum(one @ part for one, part in zip(seen, weight.reshape(-1, *weight.shape[2:]), strict=True)))
    return np.concatenate(outs, axis=-1) + arrays.get("bias", 0.0)


def windows(maps, window, strides):
    """For each place in a window, row by row, what is there in window after window."""
    reach = (maps.shape[1] - window) // strides * strides + 1
    return [maps[:, i : i + reach : strides, j : j + reach : strides] for i in range(window) for j in range(window)]


def largest(maps, window, strides, padding=0):
    """Max pooling."""
    maps = np.pad(maps, ((0, 0), (padding, padding), (padding, padding), (0, 0)), constant_values=-np.inf)
    return np.max(windows(maps, window, strides), axis=0)


def average(maps, window, strides, padding=0):
    """Average pooling, zeros counted in."""
    maps = np.pad(maps, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    return np.mean(windows(maps, window, strides), axis=0)


def norm(maps, taken):
    """Batch normalisation by the batch."""
    arrays = next(taken)
    scaled = (maps - maps.mean(axis=(0, 1, 2))) / np.sqrt(maps.var(axis=(0, 1, 2)) + 1e-5)
    return arrays["scale"] * scaled + arrays["bias"]


def dense(rows, taken):
    arrays = next(taken)
    return rows @ arrays["kernel"] + arrays["bias"]


def relu(maps):
    return np.maximum(maps, 0)


def act(net, maps, groups=1):
    """ReLU, or both signs of a channel in the group of the channel."""
    if net.activation == "relu":
        return relu(maps)
    return np.concatenate([relu(s * part) for part in np.split(maps, groups, axis=-1) for s in (1, -1)], axis=-1)


def kept(net, maps, groups=1):
    """What a shortcut takes: activated maps, or where both signs are there the channels they came from."""
    if net.activation == "relu":
        return maps
    halves = np.split(maps, 2 * groups, axis=-1)
    return np.concatenate([up - down for up, down in zip(halves[::2], halves[1::2], strict=True)], axis=-1)


def ends(net, maps, taken):
    """The mean over pixels, and the logits."""
    return dense(maps.mean(axis=(1, 2)), taken)


def alexnet(net, maps, taken, block):
    kernels = {"imagenet": (4, 2), "cifar": (1, 2)}[net.stem], *[(1, None)] * 4
    for index, (strides, padding) in enumerate(kernels):
        maps = conv(maps, taken, strides, padding, net.groups[index])
        maps = act(net, maps, net.groups[index + 1] if index < 4 else 1)
        maps = largest(maps, 3, 2) if index in (0, 1, 4) else maps
    rows = maps.reshape(len(maps), -1)
    for _ in net.dense_widths:
        rows = act(net, dense(rows, taken))
    return dense(rows, taken)


def vgg(net, maps, taken, block):
    for length in net.lengths:
        for _ in range(length):
            maps = conv(maps, taken)
            maps = act(net, norm(maps, taken) if net.batch_norm else maps)
        maps = largest(maps, 2, 2)
    rows = maps.reshape(len(maps), -1)
    for _ in net.dense_widths:
        rows = act(net, dense(rows, taken))
    return dense(rows, taken)


def allconv6(net, maps, taken, block):
    for _ in net.widths:
        maps = conv(maps, taken, 2)
        maps = act(net, norm(maps, taken) if net.batch_norm else maps)
    return dense(maps.reshape(len(maps), -1), taken)


def mobilenet(net, maps, taken, block):
    maps = act(net, norm(conv(maps, taken, 2 if net.stem == "imagenet" else 1), taken))
    for strides in net.strides:
        maps = relu(norm(conv(maps, taken, strides, groups=maps.shape[-1]), taken))
        maps = act(net, norm(conv(maps, taken), taken))
    return ends(net, maps, taken)


def resnet(net, maps, taken, block):
    maps = act(net, norm(conv(maps, taken, 2 if net.stem == "imagenet" else 1), taken))
    maps = largest(maps, 3, 2, 1) if net.stem == "imagenet" else maps
    for stage, length in enumerate(net.lengths):
        for index in range(length):
            strides = 2 if stage and not index else 1
            parts = block()
            branch, entered = parts["branch"], maps
            if net.block == "bottleneck":
                maps = act(net, norm(conv(maps, branch), branch))
                maps = act(net, norm(conv(maps, branch, strides), branch))
            else:
                maps = act(net, norm(conv(maps, branch, strides), branch))
            maps = norm(conv(maps, branch), branch)
            if "projection" in parts:
                shortcut = norm(conv(entered, parts["projection"], strides), parts["projection"])
            else:
                shortcut = kept(net, entered)[:, ::strides, ::strides]
                shortcut = np.pad(shortcut, ((0, 0),) * 3 + ((0, maps.shape[-1] - shortcut.shape[-1]),))
            maps = act(net, maps + shortcut)
    return ends(net, maps, taken)


def wide_resnet(net, maps, taken, block):
    maps = conv(maps, taken, 2 if net.stem == "imagenet" else 1)
    maps = largest(maps, 3, 2, 1) if net.stem == "imagenet" else maps
    for stage, length in enumerate(net.lengths):
        for index in range(length):
            strides = 2 if stage and not index else 1
            parts = block()
            entered = act(net, norm(maps, parts["enter"]))
            branch = conv(entered, parts["branch"], strides)
            branch = conv(act(net, norm(branch, parts["branch"])), parts["branch"])
            maps = (conv(entered, parts["projection"], strides) if "projection" in parts else maps) + branch
    return ends(net, act(net, norm(maps, taken)), taken)


def shufflenet(net, maps, taken, block):
    groups = net.groups
    maps = act(net, norm(conv(maps, taken, 2 if net.stem == "imagenet" else 1), taken), groups)
    maps = largest(maps, 3, 2, 1) if net.stem == "imagenet" else maps
    for stage, length in enumerate(net.lengths):
        for index in range(length):
            branch = block()["branch"]
            inner = act(net, norm(conv(maps, branch, groups=1 if not stage and not index else groups), branch), groups)
            shares = np.split(inner, groups, axis=-1)  # the first channel of each group, the second of each, ...
            inner = np.stack([share[..., channel] for channel in range(shares[0].shape[-1]) for share in shares], -1)
            inner = norm(conv(inner, branch, 1 if index else 2, groups=inner.shape[-1]), branch)
            inner = norm(conv(inner, branch, groups=groups), branch)
            shortcut = kept(net, maps, groups)
            if index:
                maps = act(net, shortcut + inner, groups)
            else:
                maps = act(net, np.concatenate([average(shortcut, 3, 2, 1), inner], axis=-1), groups)
    return ends(net, maps, taken)


def densenet(net, maps, taken, block):
    large = net.stem == "imagenet"
    maps = largest(relu(norm(conv(maps, taken, 2), taken)), 3, 2, 1) if large else conv(maps, taken)
    for index, length in enumerate(net.lengths):
        for _ in range(length):
            branch, more = block()["branch"], maps
            for _ in range(2 if net.bottleneck_width else 1):
                more = conv(act(net, norm(more, branch)), branch)
            maps = np.concatenate([maps, more], axis=-1)
        if index < len(net.lengths) - 1:
            maps = average(conv(act(net, norm(maps, taken)), taken), 2, 2)
    return ends(net, act(net, norm(maps, taken)), taken)


def logits(architecture, params, images):
    """Of images, with arrays by their paths in the module, ("layers", 0, "kernel") and so on."""
    root = {}
    for path, array in params:
        node = root
        for step in path[:-1]:
            node = node.setdefault(step, {})
        node[path[-1]] = np.asarray(array)
    there = in_order(root)

    def block():
        return {name: in_order(part) if "layers" in part else iter([part]) for name, part in next(there).items()}

    found = globals()[type(architecture).__module__.rpartition(".")[2]](architecture, np.asarray(images), there, block)
    assert not list(there), "some layer is left over"
    return found


def in_order(node):
    """What has arrays among the layers of a sequence."""
    return iter([node["layers"][index] for index in sorted(node["layers"])])
