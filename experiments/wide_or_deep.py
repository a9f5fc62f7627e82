"""At equal cost wide and shallow is as accurate as thin and deep, and faster.

Chapter:  how to use width well, 3
Source:   Zagoruyko, Komodakis 2016 (WRN: few blocks, wide ones; errors from their README, sizes and further errors as
          recalled); He, Zhang, Ren, Sun 2016 (thin and deep); Howard et al. 2017 (narrow against shallow MobileNet).
Tested:   on the hard task the shallowest residual network loses under 2 points to the deepest of as many multiply-adds,
          by the 95 % interval over seeds, and takes less time a step, by quartiles.
Decided:  measured
Certain:  measured: trained networks on two tasks with few seeds, at the learning rate of least training loss, at which
          not every seed of a deep network may train; times on the one device named in the table.
Command:  python experiments/wide_or_deep.py                (smoke: --scale smoke, seconds)
Time:     some 2 minutes on 2 cores at laptop scale (textures of 16 pixels, two stages); --scale paper is made for one
          GPU (CIFAR-10: python -m widththeory.images fetch cifar10 first). Some of it:
          --only wrn-16-8 --tasks all --seeds 1 --learning-rates 0.1.
Result:   results/<scale>/wide_or_deep.csv, a row a fit, with the time of a step on its device; .cells.csv, which task
          and network each row is, and its cost; .published.csv, errors on CIFAR.
Figure:   paper_figures/wide_or_deep.py
Expected: at equal multiply-adds the wide and shallow network is as accurate as the thin and deep one, takes less time a
          step, and trains at least as reliably.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from widththeory import classify, command
from widththeory.classification import Classification
from widththeory.command import Scale
from widththeory.experiment import Flags, fit_table, write_table
from widththeory.identity import key
from widththeory.images.tasks import ImageFlags, Task, chosen, declared, facts
from widththeory.models.cost import Cost
from widththeory.models.layers import scaled
from widththeory.models.mobilenet import REPEATED, STRIDES, WIDTHS, MobileNet
from widththeory.models.wide_resnet import WideResNet

if TYPE_CHECKING:
    import pandas as pd

ALONE = True  # what `make figures` runs beside nothing else, as the verdict rests on times too
Arguments = dict[str, Any]
UNIT = 16  # channels of the first stage of WRN-d-1


@dataclass(frozen=True)
class Sizes:
    """How much of the claim a scale covers; `epochs` counts passes over the training images of the pair of tasks.

    Args:
        stages: of the residual networks; each has twice the channels of the one before.
        stem_width, stem: of the residual networks.
        lengths: blocks a stage, the shallowest network first, which sets the budget of the others.
        references: channels of the shallowest network's first stage, one for each budget.
        mobilenet: widths from the stem on, strides, and what the shallow one lacks; None for no MobileNets.
        narrow: multiplier of the narrow and deep MobileNet, which sets the budget of the shallow ones.
    """

    stages: int
    stem_width: int
    stem: str
    lengths: tuple[int, ...]
    references: tuple[int, ...]
    mobilenet: tuple[tuple[int, ...], tuple[int, ...], slice] | None
    narrow: float
    image_size: int
    num_train: int
    num_test: int
    learning_rates: tuple[float, ...]
    num_seeds: int
    epochs: float
    epochs_all: float
    batch_size: int


SCALES: dict[Scale, Sizes] = {
    "smoke": Sizes(1, 4, "imagenet", (1, 2), (6,), None, 0.75, 16, 256, 128, (5e-2,), 2, 1.0, 0, 64),
    "laptop": Sizes(
        2,
        16,
        "imagenet",
        (1, 2, 4),
        (24,),
        ((16, 32, 64, 64, 64, 128), (1, 2, 1, 1, 2), slice(2, 4)),
        0.75,
        16,
        8000,
        2000,
        (5e-2, 2e-1),
        3,
        0.8,
        0,
        64,
    ),
    "paper": Sizes(
        3,
        16,
        "cifar",
        (2, 4, 6, 10),  # WRN-16, 28, 40, 64
        (128, 64, 32),  # k = 8, 4, 2 at 16 layers
        ((32, *WIDTHS), STRIDES, REPEATED),
        0.75,
        32,
        20_000,
        4000,
        (3e-2, 1e-1, 3e-1),
        3,
        40.0,
        40.0,
        128,
    ),
}


@dataclass(frozen=True)
class Config(ImageFlags, Flags):
    """Flags of this experiment; `seeds` counts the initialisations of each network."""


def settings(config: Config) -> list[Classification]:
    """Each network on each task, over seeds and learning rates."""
    return [one for _, _, one in _grid(config)]


def matched(cost: Callable[[int], Cost], budget: int, what: str) -> int:
    """The width at which the cost, which grows with it, is nearest to a budget; `what` is a field of `Cost`."""
    low, high = 1, 2
    while getattr(cost(high), what) < budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if getattr(cost(middle), what) < budget else (low, middle)
    return min((low, high), key=lambda width: abs(getattr(cost(width), what) - budget))


def _residual(sizes: Sizes, width: int, length: int) -> Arguments:
    return {
        "stem": sizes.stem,
        "stem_width": sizes.stem_width,
        "widths": tuple(width * 2**stage for stage in range(sizes.stages)),
        "lengths": (length,) * sizes.stages,
    }


def _mobile(sizes: Sizes, stem_width: int, shallow: bool) -> Arguments:
    assert sizes.mobilenet is not None
    (first, *widths), strides, repeated = sizes.mobilenet
    kept_widths, kept_strides = list(scaled(widths, stem_width / first)), list(strides)
    if shallow:
        del kept_widths[repeated], kept_strides[repeated]
    return {
        "stem": sizes.stem,
        "stem_width": stem_width,
        "widths": tuple(kept_widths),
        "strides": tuple(kept_strides),
    }


def _networks(sizes: Sizes) -> dict[str, tuple[dict[str, Any], str, Arguments]]:
    """By name: labels, model and its arguments.

    `budget` is the network that sets it, `equal` what is equal to its: "multiply_adds" or "num_params" ("both" for the
    network itself). The budget of residual networks is in multiply-adds; parameters then differ little.
    """
    found: dict[str, tuple[dict[str, Any], str, Arguments]] = {}
    any_images: dict[str, Any] = {"image_size": sizes.image_size, "num_classes": 10}

    def residual_cost(width: int, length: int) -> Cost:
        return WideResNet(**any_images, **_residual(sizes, width, length)).cost()

    for reference in sizes.references:
        budget = residual_cost(reference, sizes.lengths[0]).multiply_adds
        for length in sizes.lengths:
            width = matched(lambda width, length=length: residual_cost(width, length), budget, "multiply_adds")  # type: ignore[misc]
            depth = 1 + sizes.stages + 2 * sizes.stages * length
            name = f"wrn-{depth}-{width / UNIT:.3g}"
            top = f"wrn-{1 + sizes.stages + 2 * sizes.stages * sizes.lengths[0]}-{reference / UNIT:.3g}"
            labels = {"network": name, "family": "WRN", "layers": depth, "budget": top}
            labels["equal"] = "both" if name == top else "multiply_adds"
            found[name] = labels, "wide_resnet.WideResNet", _residual(sizes, width, length)
    if sizes.mobilenet is None:
        return found

    def shallow_cost(width: int) -> Cost:
        return MobileNet(**any_images, **_mobile(sizes, width, shallow=True)).cost()

    (first, *blocks), _, repeated = sizes.mobilenet
    layers = 2 + 2 * len(blocks)
    narrow = _mobile(sizes, round(sizes.narrow * first), shallow=False)
    cost = MobileNet(**any_images, **narrow).cost()
    name = f"mobilenet-{sizes.narrow:g}"
    shared = {"family": "MobileNet", "budget": name}
    found[name] = {"network": name, **shared, "layers": layers, "equal": "both"}, "mobilenet.MobileNet", narrow
    for equal, word in (("num_params", "params"), ("multiply_adds", "work")):
        arguments = _mobile(sizes, matched(shallow_cost, getattr(cost, equal), equal), shallow=True)
        name = f"mobilenet-shallow-{word}"
        labels = {"network": name, **shared, "layers": layers - 2 * len(blocks[repeated]), "equal": equal}
        found[name] = labels, "mobilenet.MobileNet", arguments
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
        for name in chosen(config.only, tuple(networks), "only"):
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
                            tuple(sorted(arguments.items())),
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
    """Errors on CIFAR-10 and CIFAR-100 in %, by layers and million parameters; WRN from their README or as recalled."""
    import pandas as pd

    readme, recalled = "README of WRN", "as recalled"
    rows = [
        ("ResNet", "ResNet-110", 110, 1.7, 6.43, 25.16, recalled),
        ("ResNet", "ResNet-1202", 1202, 10.2, 7.93, 27.82, recalled),
        ("ResNet", "pre-act ResNet-1001", 1001, 10.2, 4.92, 22.71, readme),
        ("WRN", "WRN-40-4", 40, 8.9, 4.53, 21.18, recalled),
        ("WRN", "WRN-16-8", 16, 11.0, 4.27, 20.43, recalled),
        ("WRN", "WRN-28-10", 28, 36.5, 4.00, 19.25, readme),
    ]
    return pd.DataFrame(rows, columns=["family", "network", "layers", "num_params", "error", "error_100", "origin"])


def main(config: Config) -> None:
    """Write what is known and what each cell is, then measure what is missing of the fits."""
    command.results_file(__file__, config.scale, config.out)  # a folder that refuses is said before images are read
    write_table(__file__, config, "published", published(config))
    write_table(__file__, config, "cells", cells(config))
    fit_table(__file__, config, settings(config), classify.measure)


if __name__ == "__main__":
    command.run(main)
