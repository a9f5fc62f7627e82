"""How wide must the first layer be: accuracy saturates, early on an easy task, later on a hard one.

Chapter:  how narrow is too narrow, 4
Source:   First layers of the classics: 96 filters in AlexNet (Krizhevsky, Sutskever, Hinton 2012), 64 in VGG and in
          ResNet, 32 in MobileNet, 24 in ShuffleNet, as recalled. Patch ranks: a 3x3 patch of three colours has 27
          numbers; injectivity of a ReLU layer takes twice as many units (Puthawala et al. 2022, as recalled), that of
          CReLU as many (Shang et al. 2016, Proposition 2.1).
Tested:   the least width whose accuracy is within 1 point of the widest's is below 24 filters on the easy task, and
          larger but below 96 on the hard one, by Student's 95 % intervals over seeds.
Decided:  measured
Certain:  measured: trained networks on two tasks with few seeds; ranks of patches are computed.
Command:  python experiments/first_layer_width.py           (smoke: --scale smoke, seconds)
Time:     about a minute on 2 cores at laptop scale (textures of 16 pixels, each seen once); --scale paper is made for
          one GPU (CIFAR-10): python -m widththeory.images fetch cifar10 first.
Result:   results/<scale>/first_layer_width.csv, a row a fit; .cells.csv, which task and first layer each row is, and
          what it costs.
Figure:   paper_figures/first_layer_width.py
Expected: the easy task is solved with two filters; the hard one gains up to a width near the rank of a patch, and
          little beyond, while the cost goes on growing with the width.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from widththeory import classify, command
from widththeory.classification import Classification
from widththeory.command import Scale
from widththeory.experiment import Flags, fit_table, write_table
from widththeory.identity import key
from widththeory.images.tasks import ImageFlags, Task, chosen, facts, pair

if TYPE_CHECKING:
    import pandas as pd

KERNEL = 3  # pixels along a side of the first layer's filters


@dataclass(frozen=True)
class Sizes:
    """How much of the claim a scale covers; `rest` are the widths of the other four convolutions."""

    widths: tuple[int, ...]
    rest: tuple[int, ...]
    activations: tuple[str, ...]
    image_size: int
    num_train: int
    num_test: int
    learning_rates: tuple[float, ...]
    num_seeds: int
    epochs: float
    batch_size: int


SCALES: dict[Scale, Sizes] = {
    "smoke": Sizes((2, 8), (4, 8, 8, 8), ("relu",), 16, 256, 128, (5e-2,), 2, 1.0, 32),
    "laptop": Sizes((2, 8, 24, 32, 96), (16, 32, 32, 32), ("relu",), 16, 25_600, 5000, (5e-2,), 5, 1.0, 32),
    "paper": Sizes(
        (2, 4, 8, 12, 16, 24, 27, 32, 48, 54, 64, 96),
        (128, 256, 512, 512),
        ("relu", "crelu"),
        32,
        20_000,
        4000,
        (3e-2, 1e-1),
        5,
        40.0,
        128,
    ),
}


@dataclass(frozen=True)
class Config(ImageFlags, Flags):
    """Flags of this experiment; `seeds` counts initialisations, `only` names widths of the first layer."""


def settings(config: Config) -> list[Classification]:
    """Each first layer on each task, over seeds and learning rates."""
    return [one for _, one in _grid(config)]


def _tasks(config: Config) -> list[Task]:
    sizes = SCALES[config.scale]
    kind = config.images or ("cifar10" if config.scale == "paper" else "textures")
    both = pair(
        kind,
        num_train=sizes.num_train,
        num_test=sizes.num_test,
        image_size=32 if kind == "cifar10" else sizes.image_size,
        folders=config.folders,
    )
    names = chosen(config.tasks, tuple(task.name for task in both), "tasks")
    return [task for task in both if task.name in names]


def _grid(config: Config) -> Iterator[tuple[dict[str, Any], Classification]]:
    """What each fit is for, and its settings."""
    sizes = SCALES[config.scale]
    widths = [int(name) for name in chosen(config.only, tuple(map(str, sizes.widths)), "only")]
    for task in _tasks(config):
        num_steps = round(sizes.epochs * task.num_train() / sizes.batch_size)
        for activation in sizes.activations:
            for width in widths:
                for seed in range(config.seeds or sizes.num_seeds):
                    for learning_rate in config.learning_rates or sizes.learning_rates:
                        labels = {"width": width, "activation": activation, "source_task": task}
                        yield (
                            labels,
                            Classification(
                                task.module,
                                task.arguments,
                                "allconv6.AllConv6",
                                (("activation", activation), ("widths", (width, *sizes.rest))),
                                seed=seed,
                                learning_rate=learning_rate,
                                num_steps=num_steps,
                                batch_size=sizes.batch_size,
                                weight_decay=5e-4,
                                augment=task.augment,
                                compute_dtype="bfloat16" if config.scale == "paper" else "float32",
                            ),
                        )


def cells(config: Config) -> "pd.DataFrame":
    """Which task and first layer each row is; `patch` is how many numbers a filter sees; cost by formula."""
    import pandas as pd

    rows = []
    for labels, one in _grid(config):
        task = labels.pop("source_task")
        cost = one.architecture.cost()
        patch = KERNEL**2 * one.architecture.in_channels
        rows.append({"key": key(one), **labels, "patch": patch, **facts(task, one.outline, cost)})
    return pd.DataFrame(rows)


def main(config: Config) -> None:
    """Write what each cell is, then measure what is missing of the fits."""
    command.results_file(__file__, config.scale, config.out)  # a folder that refuses is said before images are read
    write_table(__file__, config, "cells", cells(config))
    fit_table(__file__, config, settings(config), classify.measure)


if __name__ == "__main__":
    command.run(main)
