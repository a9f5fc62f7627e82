"""Tables of wide and of deep networks of equal cost, by formula."""

import pandas as pd
from scripts import ROOT, load

CELL = ["images.difficulty", "model.widths"]
WRN = {"wrn-7-2": (7, 0.50), "wrn-11-1.4": (11, 0.49), "wrn-19-1": (19, 0.48)}
MOBILE = {
    "mobilenet-0.75": (12, "both", 0.4, 640000),
    "mobilenet-shallow-params": (8, "num_params", 0.35, 600000),
    "mobilenet-shallow-work": (8, "multiply_adds", 0.36, 650000),
}
NETWORKS = {
    name: (
        {
            "network": name,
            "family": "WRN",
            "layers": layers,
            "budget": "wrn-7-2",
            "equal": "both" if layers == 7 else "multiply_adds",
        },
        10**6 + 1000 * layers,
    )
    for name, (layers, _) in WRN.items()
} | {
    name: (
        {"network": name, "family": "MobileNet", "layers": layers, "budget": "mobilenet-0.75", "equal": equal},
        cost,
    )
    for name, (layers, equal, _, cost) in MOBILE.items()
}


def accuracy(task, name):
    """At seed 0."""
    return 0.98 if task == "easy" else WRN[name][1] if name in WRN else MOBILE[name][2]


def row(task, labels, model_args, cost, reached, seed, rate):
    """A fit and its cell; at the larger rate the training loss is twice as large and the test accuracy better."""
    key = f"{task}-{labels['network']}-{seed}-{rate}"
    shown = reached + 0.01 * (rate == 0.15)  # has no say
    fit = {"images.difficulty": task, "model.widths": model_args, "seed": seed, "learning_rate": rate}
    fit |= {"num_steps": 100, "train_loss": (1.5 - reached) * (1 + (rate == 0.15)), "test_loss": 1.0}
    fit |= {"train_accuracy": shown, "test_accuracy": shown, "test_accuracy_stderr": 0.01, "num_params": 1.0}
    fit |= {
        "step_seconds": 0.001 * labels["layers"],
        "multiply_adds": 1.0,
        "status": "done",
        "diverged": 0.0,
        "key": key,
    }
    cell = {"key": key, **labels, "task": task, "source": "formula", "chance": 0.125, "num_train": 800}
    return fit, cell | {"num_test": 200, "image_size": 16, "num_params": cost // 10, "multiply_adds": cost}


def published():
    """The experiment's own table of what papers say."""
    experiment = load(ROOT / "experiments" / "wide_or_deep.py")
    return experiment.published(experiment.Config(scale="smoke"))


def tables(num_seeds):
    """Seeds differ by 0.002; a step takes a millisecond a layer."""
    made = [
        row(task, labels, name, cost, accuracy(task, name) + 0.002 * seed, seed, rate)
        for task in ("easy", "hard")
        for name, (labels, cost) in NETWORKS.items()
        for seed in range(num_seeds)
        for rate in (0.05, 0.15)
    ]
    fits, cells = (pd.DataFrame(list(part)) for part in zip(*made, strict=True))
    return {"": fits, "cells": cells, "published": published()}
