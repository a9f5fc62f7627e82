"""Does half of the width cost little accuracy, a quarter much more, and does narrow beat shallow?

Chapter:  how to use width well, 2
Source:   Howard et al. 2017 (MobileNet v1: width multiplier, narrow against shallow; tables as recalled, checkpoints
          from their README); He, Zhang, Ren, Sun 2016.
Tested:   on the hard task MobileNet loses more from half of its width to a quarter than from all to half, and at 3/4 of
          its width beats the shallow one of about as many multiply-adds, by 95 % intervals over seeds.
Decided:  measured
Certain:  measured: trained networks on two tasks with few seeds and steps, the same for all sizes; the costs are
          computed, numbers on ImageNet quoted. The shallow MobileNet has all of the width and not the repeated blocks.
Command:  python experiments/width_multiplier.py            (smoke: --scale smoke, seconds)
Time:     some 2 minutes on 2 cores at laptop scale (textures of 16 pixels, small base widths); --scale paper is made
          for one GPU (CIFAR-10: python -m widththeory.images fetch cifar10 first). Some of it:
          --only mobilenet-1 mobilenet-0.25 --tasks all --seeds 1.
Result:   results/<scale>/width_multiplier.csv, a row a fit; .cells.csv, which task and network each row is, and its
          cost; .published.csv, accuracies on ImageNet by multiplier.
Figure:   paper_figures/width_multiplier.py
Expected: half of the width costs a few points on the hard task, a quarter many more; at about the same multiply-adds a
          narrow MobileNet is better than a shallow one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from widththeory import classify, command
from widththeory.classification import Classification
from widththeory.command import Scale
from widththeory.experiment import Flags, fit_table, write_table
from widththeory.identity import key
from widththeory.images.tasks import ImageFlags, Task, chosen, declared, facts
from widththeory.models.layers import scaled
from widththeory.models.mobilenet import REPEATED, STRIDES, WIDTHS

if TYPE_CHECKING:
    import pandas as pd

MULTIPLIERS = (1.0, 0.75, 0.5, 0.25)
Arguments = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Sizes:
    """How much of the claim a scale covers; `epochs` counts passes over the training images of the pair of tasks."""

    multipliers: tuple[float, ...]
    mobilenet: tuple[tuple[int, ...], tuple[int, ...], slice]  # widths from the stem on, strides, what shallow lacks
    resnet: tuple[tuple[int, ...], int]  # widths of the stages, blocks of each
    stem: str
    image_size: int
    num_train: int
    num_test: int
    learning_rates: tuple[float, ...]
    num_seeds: int
    epochs: float
    epochs_all: float
    batch_size: int
    networks: tuple[str, ...] = ()


SCALES: dict[Scale, Sizes] = {
    "smoke": Sizes(
        (1.0, 0.5),
        ((4, 8, 8), (2, 1), slice(1, 2)),
        ((8,), 1),
        "imagenet",
        16,
        256,
        128,
        (5e-2,),
        2,
        1.0,
        0,
        64,
        networks=("mobilenet-1", "mobilenet-0.5"),  # others compile for as long again
    ),
    "laptop": Sizes(
        MULTIPLIERS,
        ((16, 32, 64, 64, 64, 128), (1, 2, 1, 1, 2), slice(2, 4)),
        ((16, 32, 64), 1),
        "imagenet",
        16,
        8000,
        2000,
        (1e-1, 3e-1),
        3,
        0.8,
        0,
        64,
    ),
    "paper": Sizes(
        MULTIPLIERS,
        ((32, *WIDTHS), STRIDES, REPEATED),
        ((64, 128, 256), 3),
        "cifar",
        32,
        20_000,
        4000,
        (5e-2, 1.5e-1),
        3,
        40.0,
        60.0,
        128,
    ),
}


@dataclass(frozen=True)
class Config(ImageFlags, Flags):
    """Flags of this experiment; `seeds` counts the initialisations of each network."""


def settings(config: Config) -> list[Classification]:
    """Each network on each task, over seeds and learning rates."""
    return [one for _, _, one in _grid(config)]


def _networks(sizes: Sizes) -> dict[str, tuple[dict[str, Any], str, Arguments]]:
    """By name: labels, model and its arguments."""
    found: dict[str, tuple[dict[str, Any], str, Arguments]] = {}
    (stem_width, *widths), strides, repeated = sizes.mobilenet
    for shallow in (False, True):
        for multiplier in sizes.multipliers:
            kept_widths, kept_strides = list(scaled(widths, multiplier)), list(strides)
            if shallow:
                del kept_widths[repeated], kept_strides[repeated]
            if shallow and multiplier != 1:
                continue
            arguments = {
                "stem": sizes.stem,
                "stem_width": scaled((stem_width,), multiplier)[0],
                "widths": tuple(kept_widths),
                "strides": tuple(kept_strides),
            }
            family = "shallow MobileNet" if shallow else "MobileNet"
            name = "mobilenet-shallow" if shallow else f"mobilenet-{multiplier:g}"
            labels = {"network": name, "family": family, "multiplier": multiplier}
            found[name] = labels, "mobilenet.MobileNet", tuple(sorted(arguments.items()))
    stages, blocks = sizes.resnet
    for multiplier in sizes.multipliers:
        own = scaled(stages, multiplier)
        arguments = {
            "block": "basic",
            "stem": sizes.stem,
            "stem_width": own[0],
            "widths": own,
            "inner_widths": own,
            "lengths": (blocks,) * len(stages),
        }
        name = f"resnet-{multiplier:g}"
        labels = {"network": name, "family": "ResNet", "multiplier": multiplier}
        found[name] = labels, "resnet.ResNet", tuple(sorted(arguments.items()))
    return found


def _tasks(config: Config) -> list[Task]:
    """The easy and the hard one, and at paper scale CIFAR-10 whole."""
    sizes = SCALES[config.scale]
    return declared(config, sizes.num_train, sizes.num_test, sizes.image_size, at_paper=config.scale == "paper")


def _grid(config: Config) -> Iterator[tuple[dict[str, Any], Task, Classification]]:
    """What each fit is for, and its settings."""
    sizes, at_paper = SCALES[config.scale], config.scale == "paper"
    networks = _networks(sizes)
    for task in _tasks(config):
        epochs = sizes.epochs_all if task.name == "all" else sizes.epochs
        num_steps = round(epochs * task.num_train() / sizes.batch_size)
        for name in chosen(config.only, sizes.networks or tuple(networks), "only"):
            labels, model, arguments = networks[name]
            for seed in range(config.seeds or sizes.num_seeds):
                for learning_rate in config.learning_rates or sizes.learning_rates:
                    yield (
                        labels,
                        task,
                        Classification(
                            task.module,
                            task.arguments,
                            model,
                            arguments,
                            seed=seed,
                            learning_rate=learning_rate,
                            num_steps=num_steps,
                            batch_size=sizes.batch_size,
                            warmup_steps=num_steps // 20,
                            weight_decay=5e-4,
                            label_smoothing=0.1 if task.name == "all" else 0.0,
                            augment=task.augment,
                            compute_dtype="bfloat16" if at_paper else "float32",
                        ),
                    )


def cells(config: Config) -> "pd.DataFrame":
    """Which task and network each row is, and its cost by formula."""
    import pandas as pd

    rows = []
    for labels, task, one in _grid(config):
        cost = one.architecture.cost()
        rows.append({"key": key(one), **labels, **facts(task, one.outline, cost)})
    return pd.DataFrame(rows)


def published(config: Config) -> "pd.DataFrame":
    """MobileNet on ImageNet at 224 pixels: top-1 accuracy in %, million multiply-adds, million parameters.

    The paper's tables are as recalled; the released checkpoints' are from their README.
    """
    import pandas as pd

    rows = [
        ("paper, as recalled", "MobileNet", 1.0, 70.6, 569, 4.2),
        ("paper, as recalled", "MobileNet", 0.75, 68.4, 325, 2.6),
        ("paper, as recalled", "MobileNet", 0.5, 63.7, 149, 1.3),
        ("paper, as recalled", "MobileNet", 0.25, 50.6, 41, 0.5),
        ("paper, as recalled", "shallow MobileNet", 1.0, 65.3, 307, 2.9),
        ("checkpoints", "MobileNet", 1.0, 70.9, 569, 4.24),
        ("checkpoints", "MobileNet", 0.75, 68.4, 317, 2.59),
        ("checkpoints", "MobileNet", 0.5, 63.3, 150, 1.34),
        ("checkpoints", "MobileNet", 0.25, 49.8, 41, 0.47),
    ]
    columns = ["origin", "family", "multiplier", "accuracy", "multiply_adds", "num_params"]
    return pd.DataFrame(rows, columns=columns)


def main(config: Config) -> None:
    """Write what is known and what each cell is, then measure what is missing of the fits."""
    command.results_file(__file__, config.scale, config.out)  # a folder that refuses is said before images are read
    write_table(__file__, config, "published", published(config))
    write_table(__file__, config, "cells", cells(config))
    fit_table(__file__, config, settings(config), classify.measure)


if __name__ == "__main__":
    command.run(main)
