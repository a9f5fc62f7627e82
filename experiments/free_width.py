"""Width that comes cheap: does CReLU with half of the channels lose nothing, do DenseNets beat plain networks?

Chapter:  how to use width well, 4
Source:   Shang, Sohn, Almeida, Lee 2016 (CReLU with half of the channels in each layer, which halves multiply-adds and
          parameters of all but the last); Huang, Liu, van der Maaten, Weinberger 2017 (DenseNet, growth rate; numbers
          from their README, with augmentation).
Tested:   on the hard task CReLU with half of the channels loses under 2 points at every width, and every DenseNet that
          has a plain network of as many multiply-adds beats it, by 95 % intervals over seeds; open while an interval
          allows both.
Decided:  measured
Certain:  measured: trained networks on two tasks with few seeds; the costs are computed.
Command:  python experiments/free_width.py                  (smoke: --scale smoke, seconds)
Time:     some 2 minutes on 2 cores at laptop scale (textures of 16 pixels); --scale paper is made for one GPU
          (CIFAR-10: python -m widththeory.images fetch cifar10 first). Some of it:
          --only plain-1 crelu-1 densenet-12 --tasks all --seeds 1.
Result:   results/<scale>/free_width.csv, a row a fit; .cells.csv, which task and network each row is, and its cost;
          .published.csv, errors on CIFAR-10 from the two papers.
Figure:   paper_figures/free_width.py
Expected: CReLU with half of the channels is about as accurate as ReLU with all of them, for half of the multiply-adds
          and parameters; a DenseNet is better than a plain network of as many multiply-adds.
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

if TYPE_CHECKING:
    import pandas as pd

Arguments = tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Sizes:
    """How much of the claim a scale covers; `epochs` counts passes over the training images of the pair of tasks.

    Args:
        plain: widths of the plain network (`models.allconv6`).
        multipliers: of those widths; CReLU then has half of the channels again.
        growth_rates: of the DenseNets.
        dense: further arguments of the DenseNets.
    """

    plain: tuple[int, ...]
    multipliers: tuple[float, ...]
    growth_rates: tuple[int, ...]
    dense: dict[str, Any]
    image_size: int
    num_train: int
    num_test: int
    learning_rates: tuple[float, ...]
    num_seeds: int
    epochs: float
    epochs_all: float
    batch_size: int
    num_checks: int = 1
    networks: tuple[str, ...] = ()


SMALL: dict[str, Any] = {"stem": "imagenet", "stem_width": 16, "lengths": (2, 2), "bottleneck_width": 0}
SCALES: dict[Scale, Sizes] = {
    "smoke": Sizes(
        (8, 8, 8, 8, 8),
        (1.0,),
        (4,),
        SMALL | {"lengths": (1,)},
        16,
        256,
        128,
        (5e-2,),
        2,
        1.0,
        0,
        64,
        networks=("plain-1", "crelu-1"),  # others compile for as long again
    ),
    "laptop": Sizes(
        (16, 32, 64, 128, 128),
        (1.0, 0.5, 0.25),
        (4, 12, 24),
        SMALL,
        16,
        8000,
        2000,
        (1.5e-1,),
        3,
        1.2,
        0,
        64,
        num_checks=3,  # then the plain ones are the programs of allconv6, compiled already
    ),
    "paper": Sizes(
        (64, 128, 256, 512, 512),
        (1.0, 0.5, 0.25),
        (4, 8, 12, 16, 24),
        {"stem": "cifar", "stem_width": 16, "lengths": (12, 12, 12), "bottleneck_width": 0, "compression": 1.0},
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
    """By name: labels, model and its arguments. `size` is the multiplier, or the growth rate."""
    found: dict[str, tuple[dict[str, Any], str, Arguments]] = {}
    for multiplier in sizes.multipliers:
        name = f"plain-{multiplier:g}"
        labels = {"network": name, "family": "ReLU", "size": multiplier}
        found[name] = labels, "allconv6.AllConv6", (("widths", scaled(sizes.plain, multiplier)),)
    for multiplier in sizes.multipliers:
        name = f"crelu-{multiplier:g}"
        labels = {"network": name, "family": "CReLU", "size": multiplier}
        halves = (("activation", "crelu"), ("widths", scaled(sizes.plain, multiplier / 2)))
        found[name] = labels, "allconv6.AllConv6", halves
    for growth_rate in sizes.growth_rates:
        name = f"densenet-{growth_rate}"
        labels = {"network": name, "family": "DenseNet", "size": growth_rate}
        found[name] = labels, "densenet.DenseNet", tuple(sorted((sizes.dense | {"growth_rate": growth_rate}).items()))
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
                            weight_decay=5e-4,
                            augment=task.augment,
                            compute_dtype="bfloat16" if at_paper else "float32",
                            num_checks=sizes.num_checks,
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
    """Errors on CIFAR-10 in %, with standard deviations where known, and million parameters.

    [shang2016], average of ten; DenseNet with augmentation, from its README.
    """
    import pandas as pd

    rows = [
        ("Shang et al.", "ReLU", "baseline", 10.20, 0.09, 1.4),
        ("Shang et al.", "ReLU", "twice the channels", 9.87, 0.09, 5.6),
        ("Shang et al.", "CReLU", "all channels", 9.39, 0.11, 2.8),
        ("Shang et al.", "CReLU", "half the channels", 9.44, 0.09, 0.7),
        ("Huang et al.", "DenseNet", "40 layers, k = 12", 5.24, float("nan"), 1.0),
        ("Huang et al.", "DenseNet", "100 layers, k = 12", 4.10, float("nan"), 7.0),
        ("Huang et al.", "DenseNet", "100 layers, k = 24", 3.74, float("nan"), 27.2),
        ("Huang et al.", "DenseNet-BC", "100 layers, k = 12", 4.51, float("nan"), 0.8),
        ("Huang et al.", "DenseNet-BC", "250 layers, k = 24", 3.62, float("nan"), 15.3),
        ("Huang et al.", "DenseNet-BC", "190 layers, k = 40", 3.46, float("nan"), 25.6),
    ]
    return pd.DataFrame(rows, columns=["origin", "family", "variant", "error", "error_sd", "num_params"])


def main(config: Config) -> None:
    """Write what is known and what each cell is, then measure what is missing of the fits."""
    command.results_file(__file__, config.scale, config.out)  # a folder that refuses is said before images are read
    write_table(__file__, config, "published", published(config))
    write_table(__file__, config, "cells", cells(config))
    fit_table(__file__, config, settings(config), classify.measure)


if __name__ == "__main__":
    command.run(main)
