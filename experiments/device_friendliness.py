"""At equal multiply-adds, a wide shallow network takes less time a step than a narrow deep one.

Chapter:  how to use width well, 5
Source:   Zagoruyko, Komodakis 2016, Section 3 (as recalled, a step of the wide WRN-40-4 is 8 times as fast as one of a
          thin ResNet of 1001 layers of about its accuracy); Williams, Waterman, Patterson 2009 for the roofline.
Tested:   the deepest network takes longer than the shallowest at every batch size, and the more so at the smallest, by
          quartiles over rounds. A step is forward, backward and update by SGD with momentum, compiled; in a round all
          networks are timed in turn.
Decided:  measured
Certain:  measured: times on the one device named in the caption, with their spread over rounds. Another device has
          other times.
Command:  python experiments/device_friendliness.py              (smoke: --scale smoke, seconds)
Time:     under a minute on one core at laptop scale; a run times all in turn, in one process. --scale paper takes some
          ten minutes on a GPU, compiling; --platforms cpu or gpu for one of them.
Result:   results/<scale>/device_friendliness.csv, a row a network and batch size (and two for the device: a matrix
          product and a copy), with the seconds a call in each round. Times are of the device that the row names.
Figure:   paper_figures/device_friendliness.py
Expected: at batch size 1 a narrow deep network takes several times as long as a wide shallow one, as each layer costs a
          call whatever its width; at large batches the ratio falls, on a CPU to nearly 1.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from widththeory import command, timing
from widththeory.command import Scale
from widththeory.experiment import Flags, fit_table
from widththeory.processes import has_gpu
from widththeory.timing import Timing

ALONE = True  # what `make figures` runs beside nothing else, as the verdict rests on times
MODEL = "wide_resnet.WideResNet"

Platform = Literal["cpu", "gpu"]


@dataclass(frozen=True)
class Sizes:
    """How much of the claim a scale covers.

    A network of n blocks, 2 n + 1 convolutions, has `widest` / sqrt(n) channels: equal multiply-adds in its blocks.
    """

    widest: int
    blocks: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    work: tuple[str, ...]
    image_size: int
    num_runs: int
    num_rounds: int
    burst_seconds: float
    matrix: int
    copied: int


CPU: dict[Scale, Sizes] = {
    "smoke": Sizes(16, (1, 4), (1, 4), ("train",), 4, 2, 3, 0.002, 128, 2**16),
    "laptop": Sizes(64, (1, 4, 16), (1, 8, 64, 256), ("train",), 8, 2, 5, 0.04, 1024, 2**24),
    "paper": Sizes(64, (1, 4, 16), (1, 8, 64, 256), ("train", "infer"), 16, 5, 15, 0.2, 2048, 2**26),
}
GPU: dict[Scale, Sizes] = {
    "laptop": Sizes(256, (1, 4, 16), (1, 16, 256), ("train",), 16, 2, 7, 0.04, 8192, 2**28),
    "paper": Sizes(256, (1, 4, 16, 64), (1, 16, 256), ("train", "infer"), 16, 5, 15, 0.1, 8192, 2**28),
}


@dataclass(frozen=True)
class Config(Flags):
    """Flags of this experiment; `seeds` counts independent runs, and all of a run is measured in one process."""

    platforms: tuple[Platform, ...] = ()
    """Where; default the CPU, and the GPU if there is one. At paper scale both: without a GPU its rows fail."""


def settings(config: Config) -> list[Timing]:
    """Each network at each batch size, and the two measures of the device, in every run."""
    here = ("cpu", "gpu") if has_gpu() or config.scale == "paper" else ("cpu",)
    of_platform = {"cpu": CPU, "gpu": GPU}
    return [
        cell
        for platform in config.platforms or here
        if config.scale in of_platform[platform]
        for run in range(config.seeds or of_platform[platform][config.scale].num_runs)
        for cell in _run(of_platform[platform][config.scale], platform, run)
    ]


def _run(sizes: Sizes, platform: str, run: int) -> Iterator[Timing]:
    turn = (platform, run, sizes.num_rounds, sizes.burst_seconds)
    yield Timing("matmul", *turn, size=sizes.matrix)
    yield Timing("copy", *turn, size=sizes.copied)
    for num_blocks in sizes.blocks:
        arguments = network(sizes.widest, num_blocks, sizes.image_size)
        for work in sizes.work:
            for batch_size in sizes.batch_sizes:
                yield Timing(work, *turn, model=MODEL, model_args=arguments, batch_size=batch_size)


def network(widest: int, num_blocks: int, image_size: int) -> tuple[tuple[str, int | tuple[int, ...]], ...]:
    """Arguments of a network of one stage, all at one resolution, whose depth and width trade at equal work.

    Raises:
        ValueError: widest / sqrt(num_blocks) is no integer.
    """
    width = round(widest / num_blocks**0.5)
    if width**2 * num_blocks != widest**2:
        raise ValueError(f"widest^2 / num_blocks must be a square, got {widest}^2 / {num_blocks}")
    return (
        ("image_size", image_size),
        ("lengths", (num_blocks,)),
        ("stem_width", width),
        ("widths", (width,)),
    )


def main(config: Config) -> None:
    """Measure what is missing, in this process alone: times taken beside each other would say little."""
    fit_table(__file__, replace(config, jobs=1), settings(config), timing.measure)


if __name__ == "__main__":
    command.run(main)
