"""Who shares a device waits for it and for no run that is over; lent processes that are lost are started anew once."""

import concurrent.futures
import threading
import time

import pytest

from widththeory import overlap

ITEMS = list(range(20))


class Lost(concurrent.futures.Executor):
    """Its processes are gone, or are when they are asked, or have been called off."""

    def __init__(self, error, restarts=99, in_submit=False):
        self.error, self.left, self.in_submit, self.restarts = error, restarts, in_submit, 0

    def submit(self, fn, /, *args, **kwargs):
        future = concurrent.futures.Future()
        if self.restarts >= self.left:
            future.set_result(fn(*args, **kwargs))
        elif self.in_submit:
            raise self.error
        else:
            future.set_exception(self.error)
        return future

    def restart(self):
        self.restarts += 1
        assert self.restarts < 9, "for ever"


def thread(_):
    return threading.current_thread()


def test_what_is_lent_is_started_when_there_is_enough_to_do_and_given_back():
    started = []

    def start():
        started.append(concurrent.futures.ThreadPoolExecutor(1))
        return started[-1]

    for turn in (1, 2):
        with overlap.lend(start):
            assert set(overlap.spread(thread, ITEMS[:8])) == {threading.current_thread()}
            assert len(started) == turn - 1
            assert threading.current_thread() not in overlap.spread(thread, ITEMS)
            assert overlap.spread(str, ITEMS) == list(map(str, ITEMS))
        assert len(started) == turn
        with pytest.raises(RuntimeError, match="after shutdown"):
            started[-1].submit(int)
        assert set(overlap.spread(thread, ITEMS)) == {threading.current_thread()}


@pytest.mark.parametrize("in_submit", [False, True])
@pytest.mark.parametrize(("restarts", "said"), [(1, 1), (99, 2)])
def test_processes_are_started_anew_once_and_then_the_work_is_done_here(restarts, said, in_submit):
    pool = Lost(concurrent.futures.BrokenExecutor("killed"), restarts, in_submit)
    with overlap.lend(lambda: pool), pytest.warns(RuntimeWarning, match="is started anew"):
        assert overlap.spread(str, ITEMS) == list(map(str, ITEMS))
    assert pool.restarts == said


def test_of_several_threads_that_lost_their_processes_one_starts_them_anew():
    pool = Lost(concurrent.futures.BrokenExecutor("killed"), 0)
    with overlap.lend(lambda: pool):
        overlap.spread(str, ITEMS)
        before = overlap._restarts
        with pytest.warns(RuntimeWarning, match="is started anew"):
            assert overlap._restart(before)
        assert overlap._restart(before)  # without a word: they are new
    assert pool.restarts == 1


def test_work_that_was_called_off_is_not_done_here():
    class Closed(Lost):
        restart = None

    with overlap.lend(lambda: Closed(concurrent.futures.CancelledError())):
        assert overlap.spread(str, ITEMS) == list(map(str, ITEMS))
        overlap.call_off()
        try:
            with pytest.raises(concurrent.futures.CancelledError):
                overlap.spread(str, ITEMS)
        finally:
            overlap.call_on()


def test_who_waits_for_the_device_when_the_run_is_called_off_does_not_get_it():
    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        with overlap.device():
            waiting = threads.submit(overlap.device().__enter__)
            time.sleep(0.1)  # by now it waits
            overlap.call_off()
        try:
            with pytest.raises(concurrent.futures.CancelledError):
                waiting.result(300)
        finally:
            overlap.call_on()
