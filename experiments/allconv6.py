"""Half of every width is enough on an easy task, not on a hard one.

Chapter:  how to use width well, 1
Source:   A family of this project, after Springenberg, Dosovitskiy, Brox, Riedmiller 2015, Section 2 (strides in place
          of poolings). Net 0 is the baseline; 1 has a quarter of every width; 2, 3, 4 are 1 with layers 1-2, 3-4, 5
          doubled; 5 has half of every width. That 6, 7, 8 are 5 with the same layers doubled is our reading.
Tested:   from half of every width to all of it accuracy gains under 2 points on the easy task and over 2 on the hard
          one, by 95 % intervals over seeds.
Decided:  measured
Certain:  measured: trained networks on two tasks with few seeds; the costs are computed. Which layer pays may differ on
          other data.
Command:  python experiments/allconv6.py                    (smoke: --scale smoke, seconds)
Time:     some 2 minutes on 2 cores at laptop scale (textures of 16 pixels, a baseline of 16-32-64-128-128); --scale
          paper is made for one GPU (CIFAR-10, 64-128-256-512-512): python -m widththeory.images fetch cifar10 first.
          Some of it: --only 0 5 --tasks all --seeds 1.
Result:   results/<scale>/allconv6.csv, a row a fit, with the test accuracy on the way; .cells.csv, which task and which
          net each row is, and what it costs.
Figure:   paper_figures/allconv6.py
Expected: on the easy task half of every width costs nothing; on the hard one it does, and doubling the widths of a
          narrow net pays in some layers and hardly in others.
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
from widththeory.models.allconv6 import BASELINE, VARIANTS, AllConv6

if TYPE_CHECKING:
    import pandas as pd

TASKS = ("easy", "hard", "all")


@dataclass(frozen=True)
class Sizes:
    """How much of the claim a scale covers; `epochs` counts passes over the training images."""

    nets: tuple[int, ...]
    baseline: tuple[int, ...]
    image_size: int
    num_train: int
    num_test: int
    learning_rates: tuple[float, ...]
    num_seeds: int
    epochs: float
    batch_size: int
    num_checks: int


SCALES: dict[Scale, Sizes] = {
    "smoke": Sizes((0, 5), (8, 8, 16, 16, 16), 16, 256, 128, (5e-2,), 2, 2.0, 64, 2),
    "laptop": Sizes(tuple(VARIANTS), (16, 32, 64, 128, 128), 16, 8000, 2000, (1e-1,), 5, 2.0, 64, 5),
    "paper": Sizes(tuple(VARIANTS), BASELINE, 32, 20_000, 4000, (3e-2, 1e-1), 5, 40.0, 128, 8),
}


@dataclass(frozen=True)
class Config(ImageFlags, Flags):
    """Flags of this experiment; `seeds` counts the initialisations of each net."""


def settings(config: Config) -> list[Classification]:
    """Each net on each task, over seeds and learning rates."""
    return [one for _, one in _grid(config)]


def _tasks(config: Config) -> list[Task]:
    """The easy and the hard one, and at paper scale CIFAR-10 whole."""
    sizes = SCALES[config.scale]
    return declared(config, sizes.num_train, sizes.num_test, sizes.image_size, at_paper=config.scale == "paper")


def _grid(config: Config) -> Iterator[tuple[dict[str, Any], Classification]]:
    """What each fit is for, and its settings."""
    sizes, at_paper = SCALES[config.scale], config.scale == "paper"
    nets = chosen(config.only, tuple(map(str, sizes.nets)), "only")
    for task in _tasks(config):
        num_steps = round(sizes.epochs * task.num_train() / sizes.batch_size)
        for net in map(int, nets):
            widths = AllConv6.variant(net, baseline=sizes.baseline).widths
            for seed in range(config.seeds or sizes.num_seeds):
                for learning_rate in config.learning_rates or sizes.learning_rates:
                    one = Classification(
                        task.module,
                        task.arguments,
                        "allconv6.AllConv6",
                        (("widths", widths),),
                        seed=seed,
                        learning_rate=learning_rate,
                        num_steps=num_steps,
                        batch_size=sizes.batch_size,
                        weight_decay=5e-4,
                        augment=task.augment,
                        compute_dtype="bfloat16" if at_paper else "float32",
                        num_checks=sizes.num_checks,
                    )
                    divisor, doubled = VARIANTS[net]
                    yield {"net": net, "divisor": divisor, "doubled": _layers(doubled), "source_task": task}, one


def _layers(doubled: tuple[int, ...]) -> str:
    return "-".join(map(str, doubled)) or "none"


def cells(config: Config) -> "pd.DataFrame":
    """Which task and which net each row is: `divisor` of all widths, layers `doubled` then, cost by formula."""
    import pandas as pd

    rows = []
    for labels, one in _grid(config):
        task = labels.pop("source_task")
        cost = one.architecture.cost()
        widths = "-".join(map(str, dict(one.model_args)["widths"]))  # type: ignore[arg-type]
        rows.append({"key": key(one), **labels, "widths": widths, **facts(task, one.outline, cost)})
    return pd.DataFrame(rows)


def main(config: Config) -> None:
    """Write what each cell is, then measure what is missing of the fits."""
    command.results_file(__file__, config.scale, config.out)  # a folder that refuses is said before images are read
    write_table(__file__, config, "cells", cells(config))
    fit_table(__file__, config, settings(config), classify.measure)


if __name__ == "__main__":
    command.run(main)
