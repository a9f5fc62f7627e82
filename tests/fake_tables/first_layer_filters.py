"""Tables of first-layer filters, by formula: two networks of packages, one that is a control, ours, and noise."""

import numpy as np
import pandas as pd

CELL = ["images.difficulty", "model.activation"]
COUNT = 6  # filters a network
SIZES = {"alexnet": 5, "shift_tolerant_vgg16": 3, "ours": 3}
# Of the median filter: energy in its atom, cosine to the most opposite.
MEASURES = {"alexnet": (0.9, -0.6), "shift_tolerant_vgg16": (0.55, -0.4), "relu": (0.8, -0.7), "crelu": (0.8, -0.4)}
NOISE = {3: (0.5, -0.4), 5: (0.2, -0.2)}


def filters_of(net, kind, size, goodness, opposite, key="", seed=0):
    """COUNT filters whose medians are those given; the atoms are spread over orientations at one wavelength."""
    spread = np.linspace(-0.04, 0.04, COUNT)
    degrees = 30.0 * np.arange(COUNT)
    waves = 2 * np.pi / 6 * np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    table = {"filter": range(COUNT), "size": size, "goodness": goodness + spread, "one_phase": goodness + spread}
    table |= {"bank_goodness": goodness / 2 + spread, "opposite": opposite + spread, "nearest": 0.3 + spread}
    table |= {"wavelength": 6.0, "degrees": degrees, "wave_x": waves[0], "wave_y": waves[1]}
    return pd.DataFrame(table).assign(net=net, kind=kind, key=key, seed=seed)


def layers_of(net, kind, size, opposite, num_layers, key="", seed=0):
    """Pairs fade with depth to those of noise, which spread by 0.02."""
    noise = NOISE[size][1]
    rows = []
    for layer in range(num_layers):
        fade = 1 - layer / max(num_layers - 1, 1) if num_layers > 1 else 1.0
        row = {"net": net, "kind": kind, "key": key, "seed": seed, "layer": layer, "num_layers": num_layers}
        row |= {
            "num_filters": COUNT,
            "alive": COUNT,
            "inputs": 3 * size**2,
            "opposite": noise + fade * (opposite - noise),
        }
        row |= {"noise_opposite": noise, "noise_low": noise - 0.02, "noise_high": noise + 0.02, "draws": 5}
        row |= {"opposites": 0.1, "copies": 0.0, "nearest": 0.3, "directions": 5.0, "noise_directions": 6.0}
        if layer == 0:
            for place, shift in (("q1", -0.01), ("median", 0.0), ("q3", 0.01)):
                row |= {f"noise_opposite_{place}": noise + shift, f"noise_nearest_{place}": 0.2 + shift}
        rows.append(row)
    return pd.DataFrame(rows)


def pixels_of(net, size, key=""):
    """Each filter a grating of its own."""
    index = np.indices((COUNT, size, size)).reshape(3, -1)
    wave = np.cos(index[0] * index[1] + index[2]).round(3)
    table = dict(zip(("filter", "row", "column"), index, strict=True)) | {f"channel_{c}": wave for c in range(3)}
    return pd.DataFrame(table).assign(net=net, key=key)


def of_fits(tables):
    done = set(tables[""].loc[tables[""]["status"] == "done", "key"])
    parts = {name: tables[name] for name in ("filters", "layers", "pixels")}
    return {**tables, **{name: part[part["key"].isin({"", *done})] for name, part in parts.items()}}


def tables(num_seeds):
    """At the larger rate the training loss is twice as large, and all filters are noise, which has no say."""
    fits, cells, filters, layers, pixels = [], [], [], [], []
    for net in ("alexnet", "shift_tolerant_vgg16"):
        size, (goodness, opposite) = SIZES[net], MEASURES[net]
        filters.append(filters_of(net, "package", size, goodness, opposite))
        layers.append(layers_of(net, "package", size, opposite, 3 if net == "alexnet" else 1))
        pixels.append(pixels_of(net, size))
    for task in ("easy", "hard"):
        for activation in ("relu", "crelu"):
            for seed in range(num_seeds):
                for rate in (0.02, 0.08):
                    key, net = f"{task}-{activation}-{seed}-{rate}", f"ours, {task}, {activation}"
                    fit = {"images.difficulty": task, "model.activation": activation, "seed": seed}
                    fit |= {"learning_rate": rate, "num_steps": 100, "train_loss": 10 * rate, "test_loss": 1.0}
                    fit |= {"train_accuracy": 0.8, "test_accuracy": 0.75, "num_params": 1.0, "multiply_adds": 1.0}
                    fits.append({**fit, "status": "done", "diverged": 0.0, "key": key})
                    cells.append({"key": key, "task": task, "activation": activation, "num_params": 9.0})
                    goodness, opposite = MEASURES[activation] if rate == 0.02 else NOISE[3]
                    filters.append(filters_of(net, "ours", 3, goodness, opposite, key, seed))
                    layers.append(layers_of(net, "ours", 3, opposite, 1, key, seed))
                    if seed == 0:
                        pixels.append(pixels_of(net, 3, key))
    for size, (goodness, opposite) in NOISE.items():
        filters.append(filters_of(f"noise, {size}x{size}x3", "noise", size, goodness, opposite))
    nets = [("alexnet", True, ""), ("shift_tolerant_vgg16", True, ""), ("vgg16", False, "fetch it")]
    nets = pd.DataFrame(nets, columns=["net", "there", "reason"]).assign(
        kind="package", trained_on="images", source="a package 1.0", licence="BSD"
    )
    parts = {"cells": pd.DataFrame(cells), "nets": nets, "filters": pd.concat(filters, ignore_index=True)}
    parts |= {"layers": pd.concat(layers, ignore_index=True), "pixels": pd.concat(pixels, ignore_index=True)}
    return {"": pd.DataFrame(fits), **parts}
