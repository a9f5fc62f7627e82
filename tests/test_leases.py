"""What one driver has claimed another leaves alone while the first one lives, and takes over once it does not."""

import contextlib
import sqlite3
import time
import types

import pytest
from fake_fits import grid

from widththeory import identity
from widththeory.leases import Lease
from widththeory.ledger import Ledger, Row

CELLS = grid()


@pytest.fixture
def drivers(tmp_path):
    """Leases of several drivers on one ledger."""
    with contextlib.ExitStack() as opened:

        def started(experiment="claim"):
            ledger = opened.enter_context(Ledger.open(tmp_path / "l.sqlite"))
            return opened.enter_context(Lease(ledger, experiment))

        yield started


def test_claims_of_the_living_hold_and_those_of_the_dead_do_not(tmp_path):
    keys = ["a", "b", "c"]
    with Ledger.open(tmp_path / "l.sqlite") as one, Ledger.open(tmp_path / "l.sqlite") as two:
        with Lease(one, "claim") as first, Lease(two, "claim") as second:
            assert first.claim(keys[:2]) == "claimed"
            assert second.claim(keys[1:]) == "busy"
            assert second.claim(keys[2:]) == "claimed"
            two.connection.execute("UPDATE drivers SET started = '1' WHERE id = ?", (first.driver,))
            assert second.claim(keys) == "claimed"  # another process has its number now
            assert first.claim(keys) == "busy"
        with Lease(one, "other") as first, Lease(two, "other") as second:
            assert second.claim(keys) == "claimed"
            one.connection.execute("UPDATE drivers SET expires = 0 WHERE id = ?", (second.driver,))
            assert first.claim(keys) == "claimed"  # its lease has run out


def test_a_driver_of_another_machine_is_believed_until_its_lease_ends(tmp_path):
    path = tmp_path / "l.sqlite"
    change = "UPDATE drivers SET host = 'far away', pid = 999999999, expires = ? WHERE id = ?"
    with (
        Ledger.open(path) as one,
        Ledger.open(path) as two,
        Lease(one, "claim") as first,
        Lease(two, "claim") as second,
    ):
        assert first.claim(["a"]) == "claimed"
        two.connection.execute(change, (time.time() + 60, first.driver))
        assert second.claim(["a"]) == "busy"
        two.connection.execute(change, (time.time() - 1, first.driver))
        assert second.claim(["a"]) == "claimed"


def test_a_lease_is_renewed(tmp_path):
    with Ledger.open(tmp_path / "l.sqlite") as ledger, Lease(ledger, "claim", seconds=0.06) as lease:
        query = "SELECT expires FROM drivers WHERE id = ?"
        (before,) = ledger.connection.execute(query, (lease.driver,)).fetchone()
        end = time.monotonic() + 60
        while ledger.connection.execute(query, (lease.driver,)).fetchone() == (before,):
            assert time.monotonic() < end
            time.sleep(0.01)


def test_a_lease_that_was_taken_for_dead_is_signed_again(tmp_path):
    path = tmp_path / "l.sqlite"
    with (
        Ledger.open(path) as one,
        Ledger.open(path) as two,
        Lease(one, "claim") as first,
        Lease(two, "claim") as second,
    ):
        first.claim(["a"])
        two.connection.execute("UPDATE drivers SET expires = 0 WHERE id = ?", (first.driver,))
        assert second.claim(["a"]) == "claimed"
        first._sign(one.connection)  # as its thread does, which on a busy machine could be early
        assert first.claim(["b"]) == "claimed"
        assert second.claim(["b"]) == "busy"


def test_settled_cells_are_not_claimed(tmp_path):
    with Ledger.open(tmp_path / "l.sqlite") as ledger, Lease(ledger, "claim") as lease:
        keys = [identity.key(one) for one in CELLS[:2]]
        ledger.record("claim", [Row(CELLS[0]), Row(CELLS[1], "failed", error="E")])
        assert lease.claim(keys) == "settled"
        assert lease.claim(keys, retry_failed=True) == "claimed"
        ledger.record("claim", [Row(CELLS[1])])
        assert ledger.connection.execute("SELECT key FROM claims").fetchall() == [(keys[0],)]


def test_cells_of_another_experiment_are_others(drivers):
    """A ledger may hold one cell under two names."""
    other, own = drivers("other"), drivers("claim")
    claimed, settled = (identity.key(one) for one in CELLS[:2])
    other.ledger.record("other", [Row(CELLS[1])])
    assert other.claim([claimed]) == "claimed"
    assert own.claim([claimed, settled]) == "claimed"
    own.ledger.record("claim", [Row(CELLS[0])])
    assert drivers("other").claim([claimed]) == "busy"


def test_one_living_holder_of_several_is_enough(drivers):
    dead, living, third = drivers(), drivers(), drivers()
    assert (dead.claim(["a"]), living.claim(["b"])) == ("claimed", "claimed")
    third.ledger.connection.execute("UPDATE drivers SET expires = 0 WHERE id = ?", (dead.driver,))
    assert third.claim(["a", "b"]) == "busy"
    assert third.claim(["a"]) == "claimed"
    there = {one for (one,) in third.ledger.connection.execute("SELECT id FROM drivers")}
    assert there == {living.driver, third.driver}


def test_nobody_writes_between_the_look_and_the_claim(drivers, monkeypatch):
    first, second = drivers(), drivers()
    first.claim(["a"])
    looked = []

    def lives(*holder):
        third = sqlite3.connect(second.ledger.path, timeout=0, isolation_level=None)
        with contextlib.closing(third), pytest.raises(sqlite3.OperationalError, match="locked"):
            third.execute("BEGIN IMMEDIATE")
        looked.append(holder)

    monkeypatch.setattr(second, "_lives", lives)
    assert second.claim(["a"]) == "claimed"
    assert len(looked) == 1


def test_a_lease_outlives_one_renewal_that_fails(ledger, monkeypatch):
    lease, waited = Lease(ledger, "claim"), []
    lease._stop = types.SimpleNamespace(wait=lambda seconds: waited.append(seconds) or len(waited) > 2)
    connect = sqlite3.connect

    def locked_at_first(*place, **how):
        if len(waited) == 1:
            raise sqlite3.OperationalError("database is locked")
        return connect(*place, **how)

    monkeypatch.setattr(sqlite3, "connect", locked_at_first)
    before = time.time()
    lease._renew()
    assert sum(waited[:2]) < lease.seconds
    ((expires,),) = ledger.connection.execute("SELECT expires FROM drivers WHERE id = ?", (lease.driver,))
    assert expires >= before + lease.seconds


def test_a_ledger_that_takes_no_more_hides_not_what_stopped_a_run(ledger):
    def run():
        with Lease(ledger, "claim"):
            ledger.connection.execute("PRAGMA query_only = ON")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
