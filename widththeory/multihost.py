"""One fit that is larger than a host: the points of each batch are spread over the devices of all hosts.

On every host run the same command, for instance, with two hosts,

    JAX_COORDINATOR_ADDRESS=10.0.0.1:1234 JAX_NUM_PROCESSES=2 JAX_PROCESS_ID=0 \\
        python experiments/eldan_shamir.py --scale paper --multihost

and the same with JAX_PROCESS_ID=1 on the second; under SLURM `srun python ... --multihost` finds these by itself.
Process 0 has the ledger and says which fit is next. Weights are on every device; each takes its part of a batch, and
gradients are summed over all. All hosts are one fault domain: when one is lost, all end. Run the same commands again:
the fit goes on from its last snapshot, at most about a minute old, in $WIDTHTHEORY_SNAPSHOTS, a folder all hosts see.
"""

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from widththeory import identity
from widththeory.compiled import prepare_jax, start_from
from widththeory.fit import Measurement, host_metrics, save_weights
from widththeory.metrics import exact_metrics
from widththeory.optimizers import step_scalars
from widththeory.regression import Regression
from widththeory.resident import Resident, initial_weights, member_network, run_resident, trained_layers
from widththeory.snapshots import Snapshots
from widththeory.training import batch_order, device_program, filled, sample_targets

_END = -1
_HEARTBEAT_SECONDS = 30  # how soon the loss of a host ends the others; JAX's 100 leave a whole cluster waiting


def join() -> int:
    """Meet the other processes; the number of this one. Nothing is said twice: a second call changes nothing.

    Raises:
        ValueError: no coordinator is given, and none can be found.
    """
    if not jax.distributed.is_initialized():
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        prepare_jax()
        names = {"num_processes": "JAX_NUM_PROCESSES", "process_id": "JAX_PROCESS_ID"}
        numbers: dict[str, Any] = {
            name: int(os.environ[variable]) for name, variable in names.items() if variable in os.environ
        }
        try:
            jax.distributed.initialize(
                os.environ.get("JAX_COORDINATOR_ADDRESS"), heartbeat_timeout_seconds=_HEARTBEAT_SECONDS, **numbers
            )
        except (ValueError, RuntimeError) as error:
            raise ValueError(f"--multihost found no other hosts: {' '.join(str(error).split())[:300]}") from error
    return jax.process_index()


class Leader:
    """Process 0's measuring function for `grid.run`: it tells the others which of `settings` is next.

    Raises:
        ValueError: settings that are not a Regression.
    """

    def __init__(self, settings: Sequence[Any]) -> None:
        self.settings = list(settings)
        for one in self.settings:
            if not isinstance(one, Regression):
                raise ValueError(f"multihost fits Regression settings, got {type(one).__name__}")
        self._index = {identity.key(one): index for index, one in enumerate(self.settings)}
        self._together = True

    def __call__(self, settings: Sequence[Any], chunk_size: int) -> list[Measurement]:
        """Fit them, one after the other."""
        return [self._one(one) for one in settings]

    def _one(self, one: Any) -> Measurement:
        self._together = False
        with _one_fault_domain():
            _agree(self._index[identity.key(one)])
            measurement = fit_across_hosts(one)
        self._together = True
        return measurement

    def end(self) -> None:
        """Let the other processes go, unless this one was stopped in the middle of a fit."""
        if self._together:
            _agree(_END)


def follow(settings: Sequence[Any]) -> None:
    """What the other processes do: take part in each fit until process 0 ends."""
    with _one_fault_domain():
        while (index := _agree(_END)) != _END:
            fit_across_hosts(settings[index])


@contextlib.contextmanager
def _one_fault_domain() -> Iterator[None]:
    """End the process when a collective operation fails: the fit is not at fault and must not be marked failed."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        text = (
            f"a host was lost, or ran out of memory ({' '.join(str(error).split())[:200]}): run the same commands again"
        )
        print(text, file=sys.stderr, flush=True)
        os._exit(1)  # an orderly end would wait for the lost host


def _agree(value: int) -> int:
    """The value that process 0 has."""
    from jax.experimental import multihost_utils

    return int(multihost_utils.broadcast_one_to_all(np.int32(value)))


def fit_across_hosts(one: Regression) -> Measurement:
    """One fit by all processes, each of which must call this; each gets the result.

    Raises:
        ValueError: a batch that the devices cannot share evenly.
    """
    devices = jax.devices()
    check_batch(one, len(devices))
    mesh = jax.sharding.Mesh(np.array(devices).reshape(1, -1), ("grid", "data"))
    whole, parts = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), (None, "data")))
    with jax.enable_x64(one.dtype == "float64"):
        state = _train(one, whole, parts)
    best = jax.tree.map(lambda leaf: np.asarray(leaf.addressable_data(0)), state.best)
    data = sample_targets([one])
    network, metrics = host_metrics(
        one, member_network(best, 0, one), (data.train, data.train_values[0]), (data.test, data.test_values[0])
    )
    metrics |= exact_metrics(network, one.construction, plane=one.exact_plane)
    last, best_step = (np.asarray(leaf.addressable_data(0))[0] for leaf in (state.loss, state.best_step))
    metrics |= {"best_step": float(best_step), "diverged": float(not np.isfinite(last))}
    return Measurement(one, metrics, save_weights(network) if one.keep_weights else None)


def check_batch(one: Regression, devices: int) -> None:
    """Raise ValueError where so many devices cannot share a batch evenly."""
    if one.batch_size % devices:
        raise ValueError(f"batch_size must be a multiple of the {devices} devices, got {one.batch_size}")


def _train(one: Regression, whole: Any, parts: Any) -> Any:
    """The state after the last step."""
    program, data, dtype = device_program(one, 1), sample_targets([one]), np.dtype(one.dtype)

    def spread(array: Any, sharding: Any) -> jax.Array:
        array = np.asarray(array)
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    def everywhere(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: spread(leaf, whole), tree)

    state = start_from(program, initial_weights(program, [one], data.train))
    leaves, tree = jax.tree.flatten(state)
    names = [f"state.{index:05}" for index in range(len(leaves))]
    snapshots = Snapshots(f"across hosts {identity.encode(one)}")
    begun = -program.segment
    if found := snapshots.load(dict(zip(names, map(np.asarray, leaves), strict=True))):
        begun, arrays = found
        state = jax.tree.unflatten(tree, [arrays[name] for name in names])
    state = everywhere(state)
    rates, layers = np.array([one.learning_rate], dtype), trained_layers(program, [one])
    resident = everywhere(
        Resident(data.train.T.astype(dtype), data.train_values.astype(dtype), data.member, layers, rates)
    )
    run = jax.jit(run_resident, static_argnums=0, donate_argnums=1, out_shardings=whole)
    order = batch_order(one).astype(np.int32)
    scalars = step_scalars(one.optimizer, one.schedule, one.num_steps).astype(dtype)
    for begin in range(begun, one.num_steps, program.segment):
        low, high = max(begin, 0), max(begin + program.segment, 0)
        rows, count = order[low:high], len(order[low:high])
        numbers = everywhere((filled(scalars[low:high], program.segment), np.int32(count), np.int32(low + count)))
        state = run(program, state, resident, spread(filled(rows, program.segment), parts), *numbers)
        jax.block_until_ready(state.loss)
        if high < one.num_steps and _agree(snapshots.due(0.0)):
            kept = [np.asarray(leaf.addressable_data(0)) for leaf in jax.tree.leaves(state)]
            snapshots.save(high, dict(zip(names, kept, strict=True)))
    if jax.process_index() == 0:
        snapshots.remove()
    return state
