"""Fit ReLU networks to the targets of constructions: `measure` runs fits that share a program, side by side."""

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from widththeory.compiled import compiled, members_a_device, prepare_jax
from widththeory.metrics import error_metrics, evaluate, exact_metrics
from widththeory.network import Network
from widththeory.polish import polish
from widththeory.regression import Regression
from widththeory.training import choose_program, sample_data, train
from widththeory.typing import check_positive_int

__all__ = ["Measurement", "Regression", "load_weights", "measure", "save_weights"]


@dataclass(frozen=True)
class Measurement:
    """What one fit gave.

    Args:
        settings: of the fit.
        metrics: finite numbers by name. Errors are of the best weights of all checks: `train_mse`, those of
            `metrics.error_metrics` and where the target allows `metrics.exact_metrics`. `best_step` says when,
            `diverged` is 1 if the last loss was not finite, `seconds` is CPU time a member without compiling.
        weights: the network, with `keep_weights`; `load_weights` reads it.
    """

    settings: Regression
    metrics: dict[str, float]
    weights: bytes | None = field(default=None, repr=False)


def save_weights(network: Network) -> bytes:
    """A network's arrays as the bytes of an .npz file."""
    blob = io.BytesIO()
    np.savez(blob, *(part for layer in network.float64().layers for part in layer))
    return blob.getvalue()


def load_weights(blob: bytes) -> Network:
    """The network that `save_weights` wrote."""
    with np.load(io.BytesIO(blob), allow_pickle=False) as arrays:
        parts = [arrays[f"arr_{index}"] for index in range(len(arrays.files))]
    return Network(list(zip(parts[::2], parts[1::2], strict=True)))


def _measure_chunk(chunk: Sequence[Regression], num_members: int) -> list[Measurement]:
    started = time.process_time()
    data = sample_data(chunk)
    networks, notes = train(chunk, data)
    results = []
    for index, settings in enumerate(chunk[:num_members]):
        network, values = networks[index], data.train_values[index]
        if settings.polish_steps:
            network = polish(network, data.train, values, settings.polish_steps)
        metrics = {"train_mse": float(np.mean((evaluate(network, data.train) - values) ** 2))}
        metrics |= error_metrics(evaluate(network, data.test), data.test_values[index]) | notes[index]
        metrics |= exact_metrics(network, settings.construction, plane=settings.exact_plane)
        results.append((settings, metrics, save_weights(network) if settings.keep_weights else None))
    seconds = (time.process_time() - started) / num_members
    return [Measurement(settings, metrics | {"seconds": seconds}, blob) for settings, metrics, blob in results]


def measure(settings: Sequence[Regression], chunk_size: int) -> list[Measurement]:
    """Run fits that share one `program_key`, `chunk_size` at a time; the last chunk is filled up with copies.

    A float32 result depends in its last digits on `chunk_size`, not on what else is in the chunk.

    Raises:
        ValueError: no fits, fits of different `program_key`, or `chunk_size` less than 1.
    """
    check_positive_int("chunk_size", chunk_size)
    if not settings:
        raise ValueError("settings must hold at least one fit, got none")
    keys = {one.program_key for one in settings}
    if len(keys) != 1:
        raise ValueError(f"settings must share one program_key, got {len(keys)} different ones")
    prepare_jax()
    places = members_a_device(chunk_size)
    compiled(choose_program(settings[0], places))  # before the clock of the first chunk starts
    results: list[Measurement] = []
    for begin in range(0, len(settings), chunk_size):
        chunk = list(settings[begin : begin + chunk_size])
        results += _measure_chunk(chunk + [chunk[-1]] * (places - len(chunk)), len(chunk))
    return results
