"""Where chunks run: fresh processes and their environment, and this process as an executor."""

import concurrent.futures
import time

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from widththeory.executors import InProcess, SpawnPool


def test_workers_that_are_killed_before_they_begin_are_not_taken_for_a_script_without_a_guard():
    with SpawnPool(1) as pool:
        for _ in range(4):
            future = pool.submit(time.sleep, 60)
            pool._started[0].kill()  # long before a fresh interpreter has imported anything
            with pytest.raises(concurrent.futures.BrokenExecutor):
                future.result()
            pool.restart()
        assert pool.submit(divmod, 7, 2).result() == (3, 1)


def test_the_environment_comes_back(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_mine")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    import os

    with SpawnPool(1) as pool:
        assert pool.submit(os.getenv, "XLA_FLAGS").result() == "--xla_mine"  # by which JAX keeps compiled programs
        assert pool.submit(os.getenv, "MKL_NUM_THREADS").result() == "1"
    assert "MKL_NUM_THREADS" not in os.environ


def test_blas_has_one_thread_in_process_as_in_workers():
    with threadpool_limits(2):
        found = InProcess().submit(threadpool_info).result()
        assert {library["num_threads"] for library in found} == {1}
        assert 2 in {library["num_threads"] for library in threadpool_info()}


def test_in_process_futures_are_futures():
    with InProcess() as executor:
        assert executor.submit(divmod, 7, 2).result() == (3, 1)
        with pytest.raises(ZeroDivisionError):
            executor.submit(divmod, 7, 0).result()
        assert list(executor.map(abs, [-1, 2])) == [1, 2]
