"""Compiled programs are kept for the next process; what a killed process left half-written is made anew."""

import os
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest

from widththeory.compilation_cache import remove_torn

COMPILE = """
import logging, warnings
warnings.simplefilter("error")
from widththeory.compiled import prepare_jax
prepare_jax()
import jax, jax.numpy as jnp
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event.rsplit("/", 1)[-1]))
jax.jit(lambda x: jnp.sin(x) @ x)(jnp.ones((8, 8), jnp.float32)).block_until_ready()
print(hits.count("cache_hits"), hits.count("cache_misses"))
"""


def compile_in_a_new_process(cache: Path) -> tuple[int, int]:
    """Programs found in the cache and programs compiled; a warning is an error."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    told = subprocess.run(
        [sys.executable, "-c", COMPILE],
        env=environment | {"XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert told.returncode == 0, told.stderr
    hits, misses = map(int, told.stdout.split())
    return hits, misses


def test_programs_are_kept_and_a_torn_one_is_compiled_once_more(tmp_path):
    hits, misses = compile_in_a_new_process(tmp_path)
    assert hits == 0
    assert misses > 0
    assert compile_in_a_new_process(tmp_path) == (misses, 0)
    for entry in (tmp_path / "widththeory" / "jax").glob("*-cache"):
        entry.write_bytes(entry.read_bytes()[:-20])
    assert compile_in_a_new_process(tmp_path) == (0, misses)
    assert compile_in_a_new_process(tmp_path) == (misses, 0)


def test_only_torn_entries_are_removed_and_only_new_ones_looked_at(tmp_path):
    whole = zlib.compress(os.urandom(5000))
    contents = {"whole": whole, "half": whole[:2000], "empty": b"", "odd": b"not compressed", "longer": whole + b"x"}
    for name, content in contents.items():
        (tmp_path / f"{name}-cache").write_bytes(content)
    (tmp_path / "half-atime").write_bytes(b"1")
    assert remove_torn(tmp_path) == 3
    assert {path.name for path in tmp_path.iterdir() if path.name[0] != "."} == {
        "whole-cache",
        "longer-cache",
        "half-atime",
    }
    old = tmp_path / "old-cache"
    old.write_bytes(b"")
    hour_ago = time.time() - 3600
    os.utime(old, (hour_ago, hour_ago))
    assert remove_torn(tmp_path) == 0
    assert old.exists()
    (tmp_path / "new-cache").write_bytes(whole[:10])
    assert remove_torn(tmp_path) == 1


def test_entries_of_zstandard_are_told_where_they_can_be(tmp_path):
    frame = b"\x28\xb5\x2f\xfd" + bytes(40)  # no frame: its header breaks off in reserved bits
    (tmp_path / "one-cache").write_bytes(frame)
    expected = 1 if sys.version_info >= (3, 14) else 0  # without a codec nothing is removed
    assert remove_torn(tmp_path) == expected


def test_no_folder_is_said(tmp_path):
    with pytest.raises(FileNotFoundError):
        remove_torn(tmp_path / "none")
