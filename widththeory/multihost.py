"""One fit that is larger than a host: the points of each batch are spread over the devices of all hosts.

On every host run the same command, for instance, with two hosts,

    JAX_COORDINATOR_ADDRESS=10.0.0.1:1234 JAX_NUM_PROCESSES=2 JAX_PROCESS_ID=0 \\
        python experiments/eldan_shamir.py --scale paper --multihost

and the same with JAX_PROCESS_ID=1 on the second; under SLURM `srun python ... --multihost` finds these by itself. Hosts
wait for each other for two minutes, or $WIDTHTHEORY_JOIN_SECONDS; the first must be reachable at its port.
Process 0 has the ledger and says which fit is next; in the end all have its table, also where its folder is not shared.
Weights are on every device; each takes its part of a batch, and gradients are summed over all. All hosts are one fault
domain: when one is lost or fails, all end by a sentence, though process 0 may take them along in an abort. Run the same
commands again: the fit goes on from its last snapshot, at most about a minute old, in $WIDTHTHEORY_SNAPSHOTS, a folder
all hosts see. A fit that fails on every host alike is at fault itself: it is marked failed, and the next one begins.
"""

import contextlib
import hashlib
import json
import re
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from widththeory import identity, provenance
from widththeory.compiled import start_from, xla_options
from widththeory.ensemble import Program, State
from widththeory.fit import Measurement, host_metrics, save_weights
from widththeory.hosts import interrupted, leave, say
from widththeory.metrics import exact_metrics
from widththeory.optimizers import step_scalars
from widththeory.regression import Regression
from widththeory.resident import Resident, initial_weights, member_network, run_resident, trained_layers
from widththeory.snapshots import Arrays, Snapshots
from widththeory.training import Targets, batch_order, device_program, filled, pieces, sample_targets

if TYPE_CHECKING:
    import pandas as pd

_END, _STOPPED = -1, -2  # said in place of the next fit
_OF_XLA = re.compile(r"\b(UNKNOWN|UNAVAILABLE|INTERNAL|ABORTED|CANCELLED|DEADLINE_EXCEEDED|RESOURCE_EXHAUSTED): ")
_NONE = -1  # in place of a step
_MEND = "set WIDTHTHEORY_SNAPSHOTS to one folder that all hosts see"

Result = TypeVar("Result")


class FitFailedError(Exception):
    """A fit failed on every host alike; `error` is how it failed on this one."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class _AllStop(SystemExit):
    """All hosts stop at the same point, so that each may end in order."""


def check(settings: Sequence[Any]) -> None:
    """Raise ValueError, on every process alike, where all hosts together cannot fit all of `settings`.

    They cannot where settings are no Regression, where the devices cannot share a batch evenly, and where hosts were
    given different settings or have other versions of the packages. Every process must call this.
    """
    with _one_fault_domain():
        many = len(jax.devices())  # the first that needs all hosts
        try:
            for one in settings:
                check_batch(one, many)
            problem, text = "", repr([_made_by(), *map(identity.key, settings)])
        except ValueError as error:
            problem = text = str(error)
        digests = _gather(np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8))
    if others := np.flatnonzero((digests != digests[0]).any(axis=1)).tolist():
        raise ValueError(
            "all hosts must run the same command with the same versions of the packages, but process "
            f"{', '.join(map(str, others))} differs from process 0{problem and f': here {problem}'}"
        )
    if problem:
        raise ValueError(problem)


def check_batch(one: Any, devices: int) -> None:
    """Raise ValueError where `one` is no Regression, or so many devices cannot share its batch evenly."""
    if not isinstance(one, Regression):
        raise ValueError(f"multihost fits Regression settings, got {type(one).__name__}")
    if one.batch_size % devices:
        raise ValueError(f"batch_size must be a multiple of the {devices} devices of all hosts, got {one.batch_size}")


def _made_by() -> dict[str, Any]:
    """What must be equal on all hosts, and for a fit to go on as it began: versions, the kind of device, how many."""
    fixed = {name: value for name, value in provenance.here().items() if name not in provenance.VOLATILE}
    return fixed | {"num_devices": len(jax.devices()), "num_processes": jax.process_count()}


class Leader:
    """Process 0's measuring function for `grid.run`: it tells the others which of `settings`, once checked, is next.

    The end of its `with` block lets the other processes go, unless this one was stopped in the middle of a fit.
    """

    def __init__(self, settings: Sequence[Any]) -> None:
        self._index = {identity.key(one): index for index, one in enumerate(settings)}
        self._together = True

    def __call__(self, settings: Sequence[Any], chunk_size: int) -> list[Measurement]:
        """Fit them, one after the other."""
        return [self._one(one) for one in settings]

    def _one(self, one: Any) -> Measurement:
        self._together = False
        try:
            with _one_fault_domain():
                _agree(self._index[identity.key(one)])
                measurement = fit_across_hosts(one)
        except FitFailedError as failed:
            self._together = True
            raise failed.error from None
        self._together = True
        return measurement

    def __enter__(self) -> "Leader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._together:
            with _one_fault_domain():
                _agree(_END if error is None else _STOPPED)
        elif not isinstance(error, _AllStop):
            interrupted(error)


def follow(settings: Sequence[Any]) -> None:
    """What the other processes do: take part in each fit until process 0 ends.

    Raises:
        RuntimeError: process 0 was stopped by an error.
    """
    try:
        with _one_fault_domain():
            while (index := _agree(_END)) >= 0:
                with contextlib.suppress(FitFailedError):  # process 0 marks it failed
                    fit_across_hosts(settings[index])
    except KeyboardInterrupt as stop:
        interrupted(stop)
    if index == _STOPPED:
        raise RuntimeError("process 0 has stopped, and says why")


def share(table: "pd.DataFrame | None" = None) -> "pd.DataFrame":
    """The table of process 0, which gives it, on every process: others may not see its folder, or see it late."""
    import pandas as pd

    text = b""
    if table is not None:
        columns = [(name, str(column.dtype), column.tolist()) for name, column in table.items()]
        text = json.dumps(columns).encode()
    try:
        with _one_fault_domain():
            size = _agree(len(text))
            told = _from_first(np.frombuffer(text.ljust(size), np.uint8) if text else np.zeros(size, np.uint8))
    except KeyboardInterrupt as stop:
        interrupted(stop)
    if table is not None:
        return table
    return pd.DataFrame(
        {name: pd.Series(values, dtype=kind) for name, kind, values in json.loads(told.astype(np.uint8).tobytes())}
    )


@contextlib.contextmanager
def _one_fault_domain() -> Iterator[None]:
    """End the process when it cannot go on with the others: the fit is not at fault and must not be marked failed."""
    try:
        yield
    except FitFailedError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        # XLA tells what became of a collective by a plain ValueError too.
        if isinstance(error, jax.errors.JaxRuntimeError) or _OF_XLA.search(said):
            leave(f"a host was lost, or ran out of memory ({said}): run the same commands again", 1)
        traceback.print_exc()
        leave(f"this host failed ({type(error).__name__}), and all hosts end: run the same commands again", 1)


def _stop_all(sentence: str, status: int) -> NoReturn:
    """End this process in order, which every process must do at the same point."""
    say(sentence)
    raise _AllStop(status)


def _agree(value: int) -> int:
    """The value that process 0 has."""
    return int(_from_first(np.int32(value)))


def _from_first(value: Any) -> np.ndarray:
    """What process 0 has; the others give something of the same shape and dtype."""
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.broadcast_one_to_all(value))


def _gather(value: Any) -> np.ndarray:
    """The values of all processes, [process, ...]."""
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(np.asarray(value)))


def _on_every_host(work: Callable[[], Result]) -> Result:
    """What `work` gives here, where no host waits for another in it; all go on only if it succeeded everywhere.

    Raises:
        FitFailedError: it failed on every host.
    """
    error: Exception | None = None
    try:
        result = work()
    except Exception as caught:
        error = caught
    failed = _gather(error is not None)
    if error is not None and failed.all():
        raise FitFailedError(error)
    if failed.any():
        if error is not None:
            traceback.print_exception(error)
        numbers = ", ".join(map(str, np.flatnonzero(failed)))
        _stop_all(f"process {numbers} failed where others did not, and says why: run the same commands again", 1)
    return result


class _Start(NamedTuple):
    """A fit before its first step, in NumPy."""

    program: Program
    data: Targets
    state: State
    order: np.ndarray
    scalars: np.ndarray


def fit_across_hosts(one: Regression) -> Measurement:
    """One fit by all processes, each of which must call this; each gets the result.

    Raises:
        FitFailedError: it fails on every host.
    """
    with jax.enable_x64(one.dtype == "float64"):
        start = _on_every_host(lambda: _start(one))
        state = _train(one, start)
    best, last, best_step = jax.tree.map(_here, (state.best, state.loss, state.best_step))

    def measured() -> Measurement:
        data = start.data
        network, metrics = host_metrics(
            one, member_network(best, 0, one), (data.train, data.train_values[0]), (data.test, data.test_values[0])
        )
        metrics |= exact_metrics(network, one.construction, plane=one.exact_plane)
        metrics |= {"best_step": float(best_step[0]), "diverged": float(not np.isfinite(last[0]))}
        return Measurement(one, metrics, save_weights(network) if one.keep_weights else None)

    return _on_every_host(measured)


def _start(one: Regression) -> _Start:
    program, data = device_program(one, 1), sample_targets([one])
    scalars = step_scalars(one.optimizer, one.schedule, one.num_steps).astype(one.dtype)
    state = start_from(program, initial_weights(program, [one], data.train))
    return _Start(program, data, state, batch_order(one).astype(np.int32), scalars)


def _here(leaf: jax.Array) -> np.ndarray:
    """An array that is whole on every device."""
    return np.asarray(leaf.addressable_data(0))


def _train(one: Regression, start: _Start) -> State:
    """The state after the last step."""
    program, data, state, order, scalars = start
    mesh = jax.sharding.Mesh(np.array(jax.devices()).reshape(1, -1), ("grid", "data"))
    whole, parts = (NamedSharding(mesh, PartitionSpec(*axes)) for axes in ((), (None, "data")))
    dtype = np.dtype(one.dtype)

    def spread(array: Any, sharding: Any) -> jax.Array:
        array = np.asarray(array)
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    def everywhere(tree: Any) -> Any:
        return jax.tree.map(lambda leaf: spread(leaf, whole), tree)

    leaves, tree = jax.tree.flatten(state)
    names = [f"state.{index:05}" for index in range(len(leaves))]
    made_by = json.dumps(_made_by(), sort_keys=True)
    snapshots = _SharedSnapshots(f"across hosts {made_by} {identity.encode(one)}", alone=jax.process_index())
    begun = None
    if found := snapshots.load(dict(zip(names, map(np.asarray, leaves), strict=True))):
        begun, arrays = found
        state = jax.tree.unflatten(tree, [arrays[name] for name in names])
    rates, layers = np.array([one.learning_rate], dtype), trained_layers(program, [one])
    resident = Resident(data.train.T.astype(dtype), data.train_values.astype(dtype), data.member, layers, rates)

    def batches(low: int, high: int) -> tuple[Any, ...]:
        """Of the steps from `low` to `high`."""
        rows, steps = (filled(part[low:high], program.segment) for part in (order, scalars))
        return spread(rows, parts), *everywhere((steps, np.int32(high - low), np.int32(high)))

    def compiled() -> tuple[Any, Any, Any]:
        placed = everywhere(state), everywhere(resident)
        run = jax.jit(run_resident, static_argnums=0, donate_argnums=1, out_shardings=whole)
        return run.lower(program, *placed, *batches(0, 0)).compile(compiler_options=xla_options()), *placed

    run, state, resident = _on_every_host(compiled)
    for low, high in pieces(one.num_steps, program.segment, begun):
        state = run(state, resident, *batches(low, high))
        jax.block_until_ready(state.loss)
        if high < one.num_steps and _agree(snapshots.due(0.0)):
            snapshots.save(high, dict(zip(names, map(_here, jax.tree.leaves(state)), strict=True)))
    if jax.process_index() == 0:
        snapshots.remove()
    return state


class _SharedSnapshots(Snapshots):
    """Snapshots that process 0 writes and from which all processes go on; each must call `save` and `load`."""

    def save(self, step: int, arrays: Mapping[str, np.ndarray]) -> None:
        """Write a snapshot. Hosts that do not see the one before, about a minute old, are warned of."""
        newest = _gather(self._newest())
        if jax.process_index() == 0:
            if blind := np.flatnonzero(newest != newest[0]).tolist():
                text = f"process {', '.join(map(str, blind))} does not see the snapshots in {self.folder}: {_MEND}"
                warnings.warn(text, RuntimeWarning, stacklevel=2)
            super().save(step, arrays)

    def load(self, like: Mapping[str, np.ndarray]) -> tuple[int, Arrays] | None:
        """The newest snapshot of process 0, if it suits; all processes stop if some do not have it."""
        step = _agree(self._newest())
        self._demand(self._newest() == step)
        found = super().load(like)
        readable = _agree(found is not None)
        self._demand((found is not None) == readable)
        return found

    def _newest(self) -> int:
        return max(self._steps(), default=_NONE)

    def _demand(self, same: bool) -> None:
        if others := np.flatnonzero(~_gather(same)).tolist():
            text = f"process {', '.join(map(str, others))} does not have the same snapshot of this fit as process 0"
            _stop_all(f"{text}, here in {self.folder}: {_MEND}", 2)
