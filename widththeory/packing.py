"""What is to be measured, in which order, and packed how: cells of one program in chunks of one size.

The packing depends only on the declared grid and on which rows are there, never on timing. Chunks are written whole, so
a run that was killed packs what is left exactly as the first run would have, and float32 results stay the same to the
bit. When a grid grows, its new cells are packed among themselves: no old row is measured again.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from widththeory import identity
from widththeory.typing import check_positive_int

DEFAULT_CHUNK_SIZE = 16

ChunkSize = int | Callable[[Any], int] | None


@dataclass(frozen=True)
class Chunk:
    """Cells for one call of `measure`.

    Args:
        cells: their settings.
        keys: their identities, in the same order.
        program: hash of their program key.
        chunk_size: number of places in the compiled program; at least the number of cells.
        cost: of all places, filled or not.
    """

    cells: tuple[Any, ...]
    keys: tuple[str, ...]
    program: str
    chunk_size: int
    cost: float


@dataclass(frozen=True)
class Packing:
    """A grid against its ledger: what is left to do, in order, and how many cells are settled."""

    chunks: list[Chunk]
    total: int
    done: int
    failed: int


def pack(
    settings: Sequence[Any],
    statuses: Mapping[str, str],
    *,
    chunk_size: ChunkSize = None,
    retry_failed: bool = False,
    memory: float | None = None,
) -> Packing:
    """Chunks of the cells that have no row yet.

    Args:
        settings: the whole grid; equal cells count once. Each has a `program_key`, equal for fits that may share one
            compiled program, and a `cost`, its work in any unit that grows like time.
        statuses: status of each row in the ledger by its key.
        chunk_size: the most cells in a chunk, or a function that tells it from settings; default their own
            `chunk_size`, else 16. The cells of a program are spread evenly over as few chunks as that allows.
        retry_failed: whether a failed cell counts as missing.
        memory: bytes of an accelerator to pack for. Settings that have `device_program_key` are put together by it, in
            chunks of at most `device_chunk_size(memory)`. Programs of settings with equal `twin_key`, where they have
            one, compile to the same code, and so take turns as well.

    Raises:
        ValueError: an empty grid, or a chunk size less than 1.
    """
    cells = {identity.key(one): one for one in settings}
    if not cells:
        raise ValueError("the grid is empty: settings must hold at least one cell")
    settled = {"done"} if retry_failed else {"done", "failed"}
    programs: dict[Any, list[str]] = {}
    for key, one in sorted(cells.items()):
        programs.setdefault(_program_key(one, memory), []).append(key)
    chunks: list[tuple[int, Chunk]] = []
    twins: Counter[Any] = Counter()
    for program_key, keys in programs.items():
        whole, rest, size = _split(keys, cells, statuses, settled, _most(cells[keys[0]], chunk_size, memory))
        program = hashlib.sha256(repr(program_key).encode()).hexdigest()[:16]
        packed = whole + [rest[begin : begin + size] for begin in range(0, len(rest), size)]
        cost = float(cells[keys[0]].cost) * size
        twin_key = getattr(cells[keys[0]], "twin_key", program_key)
        first = twins[twin_key]
        twins[twin_key] += bool(packed)
        for turn, one in enumerate(packed, first):
            chunks.append((turn, Chunk(tuple(cells[key] for key in one), tuple(one), program, size, cost)))
    # One chunk of each program first, so that workers compile different programs, and find them compiled from then on.
    chunks.sort(key=lambda item: (item[0], -item[1].cost, item[1].program))
    states = [statuses.get(key) for key in cells]
    return Packing([chunk for _, chunk in chunks], len(cells), states.count("done"), states.count("failed"))


def _split(
    keys: list[str], cells: Mapping[str, Any], statuses: Mapping[str, str], settled: set[str], most: int
) -> tuple[list[list[str]], list[str], int]:
    """Of a program's chunks those that are wholly missing, the missing cells of the others, and the chunk size."""
    size = -(-len(keys) // -(-len(keys) // most))
    whole, rest = [], []
    for begin in range(0, len(keys), size):
        block = keys[begin : begin + size]
        missing = [key for key in block if statuses.get(key) not in settled]
        if len(missing) == len(block):
            whole.append(block)
        else:
            rest += missing
    return whole, rest, size


def _program_key(one: Any, memory: float | None) -> Any:
    return one.program_key if memory is None else getattr(one, "device_program_key", one.program_key)


def _most(one: Any, chunk_size: ChunkSize, memory: float | None) -> int:
    if chunk_size is None and memory is not None and hasattr(one, "device_chunk_size"):
        return check_positive_int("chunk_size", one.device_chunk_size(memory))
    if chunk_size is None:
        return check_positive_int("chunk_size", getattr(one, "chunk_size", DEFAULT_CHUNK_SIZE))
    return check_positive_int("chunk_size", chunk_size(one) if callable(chunk_size) else chunk_size)
