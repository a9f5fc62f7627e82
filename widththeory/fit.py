"""Fit ReLU networks to the targets of constructions: `measure` runs fits that share a program, side by side."""

import io
import math
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field

import jax
import numpy as np

from widththeory import overlap
from widththeory.compiled import compiled, members_a_device, prepare_jax
from widththeory.metrics import error_metrics, evaluate, exact_metrics, summarise, target_moments
from widththeory.network import Network
from widththeory.polish import polish
from widththeory.regression import Regression
from widththeory.resident import member_network
from widththeory.training import DeviceFit, choose_program, sample_data, sample_targets, train
from widththeory.typing import check_positive_int

__all__ = ["Measurement", "Regression", "load_weights", "measure", "save_weights"]

_MAX_UNFOLDED = 2  # `np.savez` does not compress
Sample = tuple[np.ndarray, np.ndarray]  # points, and a target's values there


@dataclass(frozen=True)
class Measurement:
    """What one fit gave.

    Args:
        settings: of the fit.
        metrics: numbers by name, finite but for the relative error of a constant target, NaN, and the standard error
            of a single point, infinite. Errors are of the best weights of all checks: `train_mse`, those of
            `metrics.error_metrics` and where the target allows `metrics.exact_metrics`. `best_step` says when,
            `diverged` is 1 if the last loss was not finite, `seconds` is time a member without compiling: of the
            processor, or on a GPU by the clock.
        weights: the network, with `keep_weights`; `load_weights` reads it.
    """

    settings: Regression
    metrics: dict[str, float]
    weights: bytes | None = field(default=None, repr=False)


def save_weights(network: Network) -> bytes:
    """A network's arrays, in float64 (rationals are rounded), as the bytes of an .npz file."""
    blob = io.BytesIO()
    np.savez(blob, *(part for layer in network.float64().layers for part in layer))
    return blob.getvalue()


def load_weights(blob: bytes) -> Network:
    """The network that `save_weights` wrote. The bytes are data: nothing is unpickled, and they must not unfold.

    Raises:
        ValueError: bytes that are not such a file.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(blob)) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
        if size > _MAX_UNFOLDED * max(len(blob), 1):
            raise ValueError(f"weights must not unfold to {size} bytes from {len(blob)}")
        with np.load(io.BytesIO(blob), allow_pickle=False) as arrays:
            parts = [arrays[f"arr_{index}"] for index in range(len(arrays.files))]
    except ValueError:
        raise
    except Exception as error:  # of damaged or lying files zipfile, zlib and the parser of headers raise almost any
        raise ValueError(f"weights must be the bytes of an .npz file of arr_0, arr_1, ...: {error}") from error
    return Network(list(zip(parts[::2], parts[1::2], strict=True)))


def host_metrics(
    settings: Regression, network: Network, points: Sample, test: Sample
) -> tuple[Network, dict[str, float]]:
    """The network, polished if that is asked for, and its errors, in NumPy."""
    if settings.polish_steps:
        network = polish(network, *points, settings.polish_steps)
    metrics = {"train_mse": float(np.mean((evaluate(network, points[0]) - points[1]) ** 2))}
    return network, metrics | error_metrics(evaluate(network, test[0]), test[1])


def _measure_chunk(chunk: Sequence[Regression], num_members: int) -> list[Measurement]:
    started = time.process_time()
    data = sample_data(chunk)
    networks, notes = train(chunk, data)
    results = []
    for index, settings in enumerate(chunk[:num_members]):
        network, metrics = host_metrics(
            settings,
            networks[index],
            (data.train, data.train_values[index]),
            (data.test, data.test_values[index]),
        )
        metrics |= notes[index] | exact_metrics(network, settings.construction, plane=settings.exact_plane)
        results.append((settings, metrics, save_weights(network) if settings.keep_weights else None))
    seconds = (time.process_time() - started) / num_members
    return [Measurement(settings, metrics | {"seconds": seconds}, blob) for settings, metrics, blob in results]


def _measure_on_device(chunk: Sequence[Regression], num_members: int) -> list[Measurement]:
    """The same for members of one class of shapes, trained and measured where their points are."""
    data = sample_targets(chunk)
    polished = chunk[0].polish_steps > 0
    fit = DeviceFit(chunk, data, errors=not polished)
    with overlap.device():
        started = time.perf_counter()
        trained = fit.train()
        seconds = (time.perf_counter() - started) / num_members
    moments = [target_moments(values) for values in data.test_values]
    whole = polished or chunk[0].keep_weights or hasattr(chunk[0].construction, "interval")

    def known(index: int) -> dict[str, float]:
        if trained.train_errors is None or trained.test_errors is None:
            return {}
        count, mean, spread, largest = (part[index] for part in trained.test_errors)
        stderr = math.sqrt(spread / (count - 1) / count) if count > 1 else math.inf
        errors = summarise(float(mean), stderr, math.sqrt(largest), moments[data.member[index]])
        return {"train_mse": float(trained.train_errors.mean[index])} | errors

    results = []
    for index, settings in enumerate(chunk[:num_members]):
        metrics = known(index) | trained.notes[index] | {"seconds": seconds}
        network = member_network(trained.weights, index, settings) if whole else None
        results.append((settings, network, metrics))
    if not whole:
        return [Measurement(settings, metrics) for settings, _, metrics in results]
    parts = [
        (*result, (data.train, data.train_values[target]), (data.test, data.test_values[target]))
        for result, target in zip(results, data.member, strict=False)
    ]
    return overlap.spread(_finish, parts)


def _finish(part: tuple[Regression, Network, dict[str, float], Sample, Sample]) -> Measurement:
    """What is left to do for a network that a device has trained: polish, errors if that changes them, exact errors."""
    settings, network, metrics, points, test = part
    if settings.polish_steps:
        network, errors = host_metrics(settings, network, points, test)
        metrics = errors | metrics
    metrics = metrics | exact_metrics(network, settings.construction, plane=settings.exact_plane)
    return Measurement(settings, metrics, save_weights(network) if settings.keep_weights else None)


def measure(settings: Sequence[Regression], chunk_size: int | None = None) -> list[Measurement]:
    """Run fits that share one `program_key`, `chunk_size` at a time; the last chunk is filled up with copies.

    Without a chunk size, that of the settings.

    On a GPU, and wherever shapes differ, fits that share one `device_program_key` run side by side. A float32 result
    depends in its last digits on the device and on `chunk_size`, not on what else is in the chunk.

    Raises:
        ValueError: no fits, fits of different keys, or `chunk_size` less than 1.
    """
    if not settings:
        raise ValueError("settings must hold at least one fit, got none")
    chunk_size = check_positive_int("chunk_size", settings[0].chunk_size if chunk_size is None else chunk_size)
    keys = {one.program_key for one in settings}
    if len(keys) != 1 and len({one.device_program_key for one in settings}) != 1:
        raise ValueError(f"settings must share one program_key, got {len(keys)} different ones")
    prepare_jax()
    places = members_a_device(chunk_size)
    if len(keys) == 1 and jax.default_backend() == "cpu":
        one_chunk = _measure_chunk
        compiled(choose_program(settings[0], places))  # before the clock of the first chunk starts
    else:
        one_chunk = _measure_on_device
    results: list[Measurement] = []
    for begin in range(0, len(settings), chunk_size):
        chunk = list(settings[begin : begin + chunk_size])
        results += one_chunk(chunk + [chunk[-1]] * (places - len(chunk)), len(chunk))
    return results
