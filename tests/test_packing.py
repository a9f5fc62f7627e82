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
    whole = {chunk.keys for chunk in pack(grid(widths=(3, 8, 5), seeds=5), {}, chunk_size=10).chunks}
    assert {len(keys) for keys in whole} == {len(chunk.keys) for chunk in chunks}


def test_what_is_left_is_packed_as_in_the_first_run():
    settings = grid(seeds=9)
    first = pack(settings, {}, chunk_size=lambda one: 2 * one.width).chunks
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
