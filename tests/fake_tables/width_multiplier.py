"""Tables of width multipliers, by formula."""

import pandas as pd
from scripts import ROOT, load

CELL = ["images.difficulty", "model.widths"]
HARD = {1.0: 0.5, 0.75: 0.49, 0.5: 0.47, 0.25: 0.38}  # MobileNet; ResNet has 0.05 more, the shallow one 0.44
NETWORKS = {
    **{
        f"{family.lower()}-{multiplier:g}": (
            {"network": f"{family.lower()}-{multiplier:g}", "family": family, "multiplier": multiplier},
            int(16 * multiplier**2 * 10**5),
        )
        for family in ("MobileNet", "ResNet")
        for multiplier in HARD
    },
    "mobilenet-shallow": (
        {"network": "mobilenet-shallow", "family": "shallow MobileNet", "multiplier": 1.0},
        9 * 10**5,
    ),
}


def accuracy(task, name):
    """At seed 0."""
    if task == "easy":
        return 0.98
    family, _, multiplier = name.partition("-")
    return 0.44 if multiplier == "shallow" else HARD[float(multiplier)] + 0.05 * (family == "resnet")


def row(task, labels, model_args, cost, reached, seed, rate):
    """A fit and its cell; at the larger rate the training loss is twice as large and the test accuracy better."""
    key = f"{task}-{labels['network']}-{seed}-{rate}"
    shown = reached + 0.01 * (rate == 0.15)  # has no say
    fit = {"images.difficulty": task, "model.widths": model_args, "seed": seed, "learning_rate": rate}
    fit |= {"num_steps": 100, "train_loss": (1.5 - reached) * (1 + (rate == 0.15)), "test_loss": 1.0}
    fit |= {"train_accuracy": shown, "test_accuracy": shown, "test_accuracy_stderr": 0.01, "num_params": 1.0}
    fit |= {"step_seconds": 0.001, "multiply_adds": 1.0, "status": "done", "diverged": 0.0, "key": key}
    cell = {"key": key, **labels, "task": task, "source": "formula", "chance": 0.125, "num_train": 800}
    return fit, cell | {"num_test": 200, "image_size": 16, "num_params": cost // 10, "multiply_adds": cost}


def published():
    """The experiment's own table of what papers say."""
    experiment = load(ROOT / "experiments" / "width_multiplier.py")
    return experiment.published(experiment.Config(scale="smoke"))


def tables(num_seeds):
    """Seeds differ by 0.002."""
    made = [
        row(task, labels, name, cost, accuracy(task, name) + 0.002 * seed, seed, rate)
        for task in ("easy", "hard")
        for name, (labels, cost) in NETWORKS.items()
        for seed in range(num_seeds)
        for rate in (0.05, 0.15)
    ]
    fits, cells = (pd.DataFrame(list(part)) for part in zip(*made, strict=True))
    return {"": fits, "cells": cells, "published": published()}
