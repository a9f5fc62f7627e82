"""Weights out of three kinds of checkpoint, as plain bytes: no pickle is loaded, no code of theirs runs."""

import pickletools
import struct
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
from jaxtyping import Float

from widththeory.images.files import DataError

Kernel = Float[np.ndarray, "_height _width _in_channels _out_channels"]

_ARRAYS = ("BINBYTES", "BINBYTES8")


def from_pickle(content: bytes, shapes: list[tuple[int, int, int, int]], what: str) -> list[Kernel]:
    """Kernels of a pickled Flax checkpoint whose layers come in order, each as its kernel and then its bias.

    The array of a pickle is one string of its bytes, here little-endian float32 in C order; `pickletools` lists the
    opcodes and builds nothing.

    Raises: DataError: the pickle is damaged, or its arrays are not of the sizes that `shapes` and biases ask for.
    """
    try:
        arrays: list[Any] = [a for opcode, a, _ in pickletools.genops(content) if opcode.name in _ARRAYS]
    except ValueError as error:
        raise DataError(f"{what} is damaged: {error}") from error
    expected = [4 * size for shape in shapes for size in (int(np.prod(shape)), shape[3])]
    if [len(array) for array in arrays[: len(expected)]] != expected:
        raise DataError(f"{what} is not as expected: its arrays are not those of {len(shapes)} convolutions")
    return [
        np.frombuffer(array, "<f4").reshape(shape).astype(np.float32)
        for array, shape in zip(arrays[::2], shapes, strict=False)
    ]


def from_torch(content: bytes, shape: tuple[int, int, int, int], what: str) -> Kernel:
    """The kernel of the given shape in a checkpoint of PyTorch's old format.

    Five pickles - magic number, version, sizes, the dictionary of tensors, the keys of their storages -, then the
    storages in the order of the keys: the number of entries in 8 bytes, and the entries, here float32. The kernel is
    the one storage of its size; PyTorch orders its axes (out, in, height, width).

    Raises: DataError: the file is damaged, or not exactly one storage has that size.
    """
    height, width, in_channels, out_channels = shape
    size = int(np.prod(shape))
    file = BytesIO(content)
    found = []
    try:
        for _ in range(5):
            for _ in pickletools.genops(file):
                pass
        while head := file.read(8):
            (number,) = struct.unpack("<q", head)
            entries = file.read(4 * number) if 0 <= number <= len(content) else b""
            if len(entries) != 4 * number:
                raise DataError(f"{what} is damaged: a storage of {number} entries is cut off")
            if number == size:
                found.append(entries)
    except (ValueError, struct.error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{what} is damaged: {error}") from error
    if len(found) != 1:
        raise DataError(f"{what} is not as expected: {len(found)} storages have {size} entries, not one")
    kernel = np.frombuffer(found[0], "<f4").reshape(out_channels, in_channels, height, width)
    return np.ascontiguousarray(kernel.transpose(2, 3, 1, 0), dtype=np.float32)


def from_onnx(content: bytes, what: str) -> list[Kernel]:
    """Kernels of all convolutions of an ONNX graph, in the order of its nodes, as the rectifier sees them.

    A batch normalisation multiplies each output channel by gamma / sigma, which may be negative; where the graph keeps
    that factor as a node of its own, it is multiplied into the kernel here.

    Raises: DataError: the package `onnx` is not installed, or the graph is damaged or has no convolution.
    """
    try:
        import onnx
        from onnx import numpy_helper
    except ImportError:
        raise DataError(f"{what} needs the package onnx: `pip install 'widththeory[filters]'`") from None
    try:
        kernels = list(_convolutions(onnx.load_from_string(content).graph, numpy_helper.to_array, what))
    except DataError:
        raise
    except Exception as error:  # of protobuf, which onnx does not re-export, and whatever a graph may be without
        raise DataError(f"{what} is damaged: {error}") from error
    if not kernels:
        raise DataError(f"{what} is not as expected: it has no convolution")
    return kernels


def _convolutions(graph: Any, to_array: Any, what: str) -> Iterator[Kernel]:
    """Kernels of an ONNX graph, each with the factors behind it."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    consumers: dict[str, list[Any]] = {}
    for node in graph.node:
        for name in node.input:
            consumers.setdefault(name, []).append(node)
    for node in graph.node:
        if node.op_type == "Conv":
            if len(node.input) < 2 or node.input[1] not in constants:
                raise DataError(f"{what} is not as expected: a convolution is without its weights")
            kernel = to_array(constants[node.input[1]])
            for name in _factors(node, consumers, set(constants)):
                kernel = kernel * to_array(constants[name]).reshape(-1, 1, 1, 1)
            yield np.ascontiguousarray(kernel.transpose(2, 3, 1, 0), dtype=np.float32)


def _factors(node: Any, consumers: dict[str, list[Any]], constants: set[str]) -> Iterator[str]:
    """Names of the constants that the output of a convolution is multiplied by before anything that is not affine."""
    for _ in range(len(consumers)):  # a graph has no loops, but a file may
        following = consumers.get(node.output[0], [])
        if len(following) != 1:
            return
        (node,) = following
        own = [name for name in node.input if name in constants]
        if node.op_type == "Mul" and own:
            yield own[0]
        elif not (node.op_type in ("Cast", "Transpose", "Identity") or (node.op_type in ("Add", "Sub") and own)):
            return
