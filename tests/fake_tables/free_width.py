"""Tables of ReLU, CReLU and DenseNets, by formula."""

import pandas as pd
from scripts import ROOT, load

CELL = ["images.difficulty", "model.widths"]
PLAIN = {1.0: 0.5, 0.5: 0.44, 0.25: 0.38}  # ReLU; CReLU has 0.01 more at half of the work
DENSE = {4: 0.45, 12: 0.52, 24: 0.6}
NETWORKS = {
    **{f"plain-{m:g}": ({"network": f"plain-{m:g}", "family": "ReLU", "size": m}, int(1600000 * m**2)) for m in PLAIN},
    **{f"crelu-{m:g}": ({"network": f"crelu-{m:g}", "family": "CReLU", "size": m}, int(800000 * m**2)) for m in PLAIN},
    **{
        f"densenet-{k}": ({"network": f"densenet-{k}", "family": "DenseNet", "size": float(k)}, 200000 * k // 4)
        for k in (4, 12, 24)
    },
    "densenet-48": ({"network": "densenet-48", "family": "DenseNet", "size": 48.0}, 2400000),
}


def accuracy(task, name):
    """At seed 0."""
    kind, _, size = name.partition("-")
    if task == "easy":
        return 0.98
    if kind == "densenet":
        return DENSE.get(int(size), 0.61)
    return PLAIN[float(size)] + 0.01 * (kind == "crelu")


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
    experiment = load(ROOT / "experiments" / "free_width.py")
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
