"""Two drivers on one ledger share the work: what one has claimed, the other leaves alone while the first one lives.

A claim holds as long as its driver renews its lease. It is void when the lease has run out, or at once when the driver
is on this machine and its process is gone.
"""

import contextlib
import json
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Sequence
from types import TracebackType
from typing import Literal

from widththeory import processes, storage
from widththeory.ledger import Ledger

LEASE_SECONDS = 90.0

Answer = Literal["claimed", "busy", "settled"]


class Lease:
    """The right of one driver to claim cells of an experiment; renewed by a thread until the `with` block ends."""

    def __init__(self, ledger: Ledger, experiment: str, *, seconds: float = LEASE_SECONDS) -> None:
        self.ledger = ledger
        self.experiment = experiment
        self.seconds = seconds
        self.driver = uuid.uuid4().hex
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="ledger lease", daemon=True)

    def __enter__(self) -> "Lease":
        with storage.plain_errors(self.ledger.path), storage.transaction(self.ledger.connection):
            self._sign(self.ledger.connection)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        # What ends the run is told by its own exception; claims that cannot be given up run out by themselves.
        connection = self.ledger.connection
        with contextlib.suppress(sqlite3.Error), storage.transaction(connection):
            self._forget(self.driver)

    def claim(self, keys: Sequence[str], *, retry_failed: bool = False) -> Answer:
        """Claim all of some cells, or none.

        Returns "settled" if each has its row by now, "busy" if a living driver holds one of them.
        """
        wanted = json.dumps(list(keys))
        connection = self.ledger.connection
        with storage.plain_errors(self.ledger.path), storage.transaction(connection):
            settled = ("done", "done" if retry_failed else "failed")
            (rows,) = connection.execute(
                "SELECT count(*) FROM rows WHERE experiment = ? AND status IN (?, ?)"
                " AND key IN (SELECT value FROM json_each(?))",
                (self.experiment, *settled, wanted),
            ).fetchone()
            if rows == len(keys):
                return "settled"
            holders = connection.execute(
                "SELECT DISTINCT c.driver, d.host, d.pid, d.started, d.expires FROM claims c"
                " LEFT JOIN drivers d ON d.id = c.driver"
                " WHERE c.experiment = ? AND c.driver != ? AND c.key IN (SELECT value FROM json_each(?))",
                (self.experiment, self.driver, wanted),
            ).fetchall()
            if any(self._lives(*holder[1:]) for holder in holders):
                return "busy"
            for driver, *_ in holders:
                self._forget(driver)
            claims = [(self.experiment, key, self.driver) for key in keys]
            connection.executemany("INSERT OR REPLACE INTO claims VALUES (?, ?, ?)", claims)
        return "claimed"

    def _sign(self, connection: sqlite3.Connection) -> None:
        """Enter this driver, or renew its entry; after a long sleep of the machine another one may have removed it."""
        pid = os.getpid()
        row = (self.driver, processes.host(), pid, processes.started(pid), time.time() + self.seconds)
        connection.execute("INSERT OR REPLACE INTO drivers VALUES (?, ?, ?, ?, ?)", row)

    def _forget(self, driver: str) -> None:
        self.ledger.connection.execute("DELETE FROM claims WHERE driver = ?", (driver,))
        self.ledger.connection.execute("DELETE FROM drivers WHERE id = ?", (driver,))

    def _lives(self, host: str | None, pid: int | None, started: str | None, expires: float | None) -> bool:
        if host is None or pid is None or started is None or expires is None or expires < time.time():
            return False
        return host != processes.host() or processes.is_alive(pid, started)

    def _renew(self) -> None:
        # A thread needs a connection of its own; while the disk is full a renewal may be missed, which is harmless.
        connection: sqlite3.Connection | None = None
        while not self._stop.wait(self.seconds / 3):
            with contextlib.suppress(sqlite3.Error):
                connection = connection or sqlite3.connect(
                    self.ledger.path, timeout=storage.BUSY_SECONDS, isolation_level=None, check_same_thread=False
                )
                self._sign(connection)
        if connection is not None:
            connection.close()
