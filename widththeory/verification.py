"""Whether rows come out again when they are measured a second time, and whether one lies under a certified floor."""

import inspect
import itertools
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from widththeory.command import OutcomeError
from widththeory.study import Study, some

if TYPE_CHECKING:
    import pandas as pd

    from widththeory.ledger import Ledger

_PROVENANCE = ("widththeory", "jax", "numpy", "scipy", "device", "chunk_size")  # on which the last digits depend


def verify(study: Study, sample: int, seed: int, measure: Callable[..., Any] | None = None) -> Iterator[str]:
    """Measure a random sample of rows again, and list every row that lies under a certified floor.

    The rows of a chunk are measured again together, since float32 results depend on its size. Made by the same versions
    on a CPU they come out to the bit; of those made by others, or on an accelerator, it is listed what differs.

    Raises:
        OutcomeError: after the last line, if a row did not come out again, or one lies under its floor.
        ValueError: after the last line, if no experiment has rows.
    """
    wrong = 0

    def told(claim: str) -> Iterator[str | None]:
        nonlocal wrong
        settings = study.settings(claim)
        if settings is None:
            yield f"{claim}: nothing to fit"
            return
        with study.ledger(claim, settings) as ledger:
            rows, table = sum(ledger.counts(claim).values()), ledger.table(claim, settings)
            if not rows:
                yield f"{claim}: no rows at scale {study.scale}"
                return
            if not (table["status"] == "done").any():
                yield f"{claim}: of its {rows} rows none is done and of the {study.scale} grid"
                return
            yield None
            again = _again(claim, settings, table, sample, seed, measure)
            for bad, line in itertools.chain(again, _under_floor(study, claim, settings, ledger)):
                wrong += bad
                yield line

    try:
        yield from some(study, told)
    except ValueError as error:
        if not wrong:
            raise
        raise OutcomeError(f"{_wrong(wrong)}; {error}") from error  # rows weigh more than an experiment
    if wrong:
        raise OutcomeError(_wrong(wrong))


def _wrong(rows: int) -> str:
    return f"{f'{rows} rows are not what they' if rows > 1 else '1 row is not what it'} should be, see above"


def _again(
    claim: str,
    settings: list[Any],
    table: "pd.DataFrame",
    sample: int,
    seed: int,
    measure: Callable[..., Any] | None,
) -> Iterator[tuple[bool, str]]:
    from widththeory import identity, provenance
    from widththeory.executors import InProcess
    from widththeory.packing import pack
    from widththeory.processes import accelerator_memory

    rows = {record["key"]: record for record in table.to_dict("records")}
    done = {key for key, record in rows.items() if record["status"] == "done"}
    chunks = [chunk for chunk in pack(settings, {}, memory=accelerator_memory()).chunks if done & set(chunk.keys)]
    found = measure or _measure_of(settings[0])
    if found is None:
        yield False, f"{claim}: nothing measures a {type(settings[0]).__name__} again to the bit"
        return
    same = different = 0
    for chunk in random.Random(seed).sample(chunks, min(sample, len(chunks))):
        now = provenance.here() | {"chunk_size": chunk.chunk_size}
        # A cell that failed may fail again, and did not stand beside the others when they were measured.
        there = [(key, one) for key, one in zip(chunk.keys, chunk.cells, strict=True) if key in done]
        again = InProcess().submit(found, [one for _, one in there], chunk.chunk_size).result()
        for (key, one), result in zip(there, again, strict=True):
            row = rows[key]
            changed = [
                name for name in result.metrics if name != "seconds" and not _equal(result.metrics[name], row.get(name))
            ]
            if not changed:
                same += 1
                continue
            made = [
                f"{name} {row.get(f'made.{name}')} (now {now[name]})"
                for name in _PROVENANCE
                if name in now and row.get(f"made.{name}") != now[name]
            ]
            different += 1
            name = changed[0]
            # A GPU's kernels are chosen by their times each time a program is compiled.
            chosen_anew = not now["device"].endswith("cpu")
            why = (
                f"made by {', '.join(made)}" if made else "though made by the same versions on the same kind of device"
            )
            yield (
                not made and not chosen_anew,
                f"{claim}: {identity.encode(one)}: {name} is {result.metrics[name]!r}, was {row.get(name)!r}, {why}",
            )
    yield False, f"{claim}: {same} rows came out again to the bit, {different} did not"


def _equal(one: Any, other: Any) -> bool:
    return one == other or (one != one and other != other)


def _measure_of(one: Any) -> Callable[..., Any] | None:
    """The measuring function for settings of this kind: `measure` of the module that fits them; None for times."""
    from widththeory import classify, fit

    for module in (fit, classify):
        if type(one).__name__ in vars(module):
            return module.measure
    return None


def _under_floor(study: Study, claim: str, settings: list[Any], ledger: "Ledger") -> Iterator[tuple[bool, str]]:
    """Rows under their floor, as the claim's figure compares them."""
    import pandas as pd

    path = study.table(claim)
    if not path.with_suffix(".floor.csv").exists():
        return
    figure = study.module("paper_figures", claim)
    if not (hasattr(figure, "compared") and hasattr(figure, "under_floor")):
        yield False, f"{claim}: its figure compares no single rows with a floor"
        return
    with tempfile.TemporaryDirectory() as folder:
        ledger.export_csv(Path(folder) / path.name, claim, settings)
        tables = [pd.read_csv(Path(folder) / path.name)]  # as figures read it
    _, *parts = inspect.signature(figure.compared).parameters
    tables += [pd.read_csv(path.with_suffix(f".{part}.csv")) for part in parts]
    compared = figure.compared(*tables)
    under = figure.under_floor(compared)
    for _, row in under.iterrows():
        yield True, f"{claim}: under its floor: {row.dropna().to_dict()}"
    yield False, f"{claim}: {len(under)} of {len(compared)} rows under their floor"
