"""Chunks of a grid: whole, in turns of one a program, and after a stop as the first run would have made them."""

import dataclasses
from dataclasses import dataclass

from fake_fits import FakeFit, grid

from widththeory import identity
from widththeory.packing import pack


def test_packing_is_complete_and_in_turns_of_one_chunk_a_program_longest_first():
    settings = grid(widths=(3, 8, 5), seeds=5)
    chunks = pack(settings, {}, chunk_size=4).chunks
    programs = {chunk.program for chunk in chunks}
    for begin in range(0, len(chunks), len(programs)):
        turn = chunks[begin : begin + len(programs)]
        assert {chunk.program for chunk in turn} == programs
        assert [chunk.cost for chunk in turn] == sorted((chunk.cost for chunk in turn), reverse=True)
    assert sorted(key for chunk in chunks for key in chunk.keys) == sorted(map(identity.key, settings))
    assert all(len({cell.program_key for cell in chunk.cells}) == 1 for chunk in chunks)
    assert {chunk.chunk_size for chunk in chunks} == {4}
    assert pack(settings[::-1], {}, chunk_size=4).chunks == chunks


@dataclass(frozen=True)
class Twin(FakeFit):
    """Programs of one width are of the same code, whatever the target."""

    @property
    def twin_key(self):
        return self.width


def test_programs_of_the_same_code_take_turns_too():
    """Two workers that compile it at the same time do so twice."""
    cells = [Twin(**dataclasses.asdict(one)) for one in grid(widths=(3, 8, 5), seeds=5)]
    chunks = pack(cells, {}, chunk_size=10).chunks
    assert [chunk.cells[0].width for chunk in chunks] == [8, 5, 3] * 2
    assert len({chunk.program for chunk in chunks}) == 6
    # Half of a program is measured, and the code compiled, when its twin's turn comes.
    halves = [chunk.cells[0].width for chunk in pack(cells, {}, chunk_size=5).chunks]
    assert halves == [8, 5, 3, 8, 8, 5, 5, 3, 3, 8, 5, 3]
    whole = {chunk.keys for chunk in pack(grid(widths=(3, 8, 5), seeds=5), {}, chunk_size=10).chunks}
    assert {len(keys) for keys in whole} == {len(chunk.keys) for chunk in chunks}


@dataclass(frozen=True)
class OnDevice(FakeFit):
    """An accelerator runs all of them by one program, of as many as it has bytes."""

    chunk_size = 2
    device_program_key = "all"

    def device_chunk_size(self, memory):
        return int(memory)


def test_chunks_suit_the_machine():
    cells = [OnDevice(**dataclasses.asdict(one)) for one in grid(widths=(3, 5), seeds=5)]
    chunks = pack(cells, {}).chunks
    assert (len(chunks), {chunk.chunk_size for chunk in chunks}) == (20, {2})
    assert len({chunk.program for chunk in chunks}) == 4
    chunks = pack(cells, {}, memory=7.0).chunks
    assert (len(chunks), {chunk.chunk_size for chunk in chunks}) == (6, {7})
    assert len({chunk.program for chunk in chunks}) == 1
    assert {chunk.chunk_size for chunk in pack(cells, {}, memory=7.0, chunk_size=4).chunks} == {4}


def test_what_is_left_is_packed_as_in_the_first_run():
    settings = grid(seeds=9)
    first = pack(settings, {}, chunk_size=lambda one: 2 * one.width).chunks
    assert {(chunk.cells[0].width, chunk.chunk_size) for chunk in first} == {(3, 6), (5, 9), (8, 9)}  # of 18 each
    done = {key: "done" for chunk in first[::2] for key in chunk.keys}
    assert pack(settings, done, chunk_size=lambda one: 2 * one.width).chunks == first[1::2]


def test_growth_that_is_interrupted_is_packed_as_if_it_were_not():
    old = {identity.key(one): "done" for one in grid(seeds=4)}
    grown = pack(grid(seeds=9), old, chunk_size=4)
    assert grown.done == len(old)
    assert sum(len(chunk.keys) for chunk in grown.chunks) == 5 * 2 * 6
    some = old | {key: "done" for chunk in grown.chunks[::3] for key in chunk.keys}
    left = [chunk for index, chunk in enumerate(grown.chunks) if index % 3]
    assert pack(grid(seeds=9), some, chunk_size=4).chunks == left


def test_failed_cells_are_missing_where_they_are_tried_again():
    settings = grid(widths=(3,), seeds=8)
    first = pack(settings, {}, chunk_size=4)
    statuses = {key: "failed" for key in first.chunks[2].keys} | {first.chunks[0].keys[1]: "failed"}
    statuses |= {key: "done" for chunk in first.chunks for key in chunk.keys if key not in statuses} | {
        "another": "done"
    }
    settled = pack(settings, statuses, chunk_size=4)
    assert (settled.chunks, settled.total, settled.done, settled.failed) == ([], 32, 27, 5)
    again = pack(settings, statuses, chunk_size=4, retry_failed=True)
    assert first.chunks[2] in again.chunks  # as in the first run
    assert sorted(key for chunk in again.chunks for key in chunk.keys) == sorted(
        key for key, status in statuses.items() if status == "failed"
    )
    assert (again.done, again.failed) == (27, 5)


def test_cells_are_spread_evenly_and_all_places_cost():
    for chunk in pack(grid(widths=(3,), seeds=5), {}, chunk_size=8).chunks:  # 10 cells a program
        assert (len(chunk.cells), chunk.chunk_size, chunk.cost) == (5, 5, 5 * 3)
    sizes = [(len(one.cells), one.cost) for one in pack(grid(widths=(3,), seeds=5), {}, chunk_size=4).chunks]
    assert sizes == [(4, 12), (4, 12)] * 2 + [(2, 12)] * 2


def test_a_program_without_missing_cells_takes_no_turn():
    cells = [Twin(**dataclasses.asdict(one)) for one in grid(widths=(3, 8), seeds=5)]
    for target in ("lu.Wide", "lu.Other"):
        done = {identity.key(one): "done" for one in cells if one.width == 8 and one.target == target}
        chunks = pack(cells, done, chunk_size=10).chunks
        assert [chunk.cells[0].width for chunk in chunks] == [8, 3, 3]
