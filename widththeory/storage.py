"""The SQLite file under a ledger: its schema, how it is opened, and its errors said in one sentence."""

import contextlib
import os
import re
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path

APPLICATION_ID = 0x57544C31  # "WTL1": tells a ledger from any other SQLite file
JOURNAL_VARIABLE = "WIDTHTHEORY_JOURNAL_MODE"
BUSY_SECONDS = 60.0

# One entry a version; opening a ledger runs those that it has not seen. Entries are never edited, only added.
SCHEMA = (
    """
    CREATE TABLE provenance (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
    CREATE TABLE classes (name TEXT PRIMARY KEY, fields TEXT NOT NULL);
    CREATE TABLE rows (
        id INTEGER PRIMARY KEY,
        experiment TEXT NOT NULL,
        key TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('done', 'failed')),
        class TEXT NOT NULL,
        settings TEXT NOT NULL,
        metrics TEXT NOT NULL,
        error TEXT,
        provenance INTEGER NOT NULL REFERENCES provenance (id),
        seconds REAL,
        created REAL NOT NULL,
        weights BLOB,
        UNIQUE (experiment, key)
    );
    """,
    """
    CREATE INDEX rows_by_status ON rows (experiment, status, key);
    CREATE TABLE drivers (
        id TEXT PRIMARY KEY, host TEXT NOT NULL, pid INTEGER NOT NULL, started TEXT NOT NULL, expires REAL NOT NULL
    );
    CREATE TABLE claims (
        experiment TEXT NOT NULL, key TEXT NOT NULL, driver TEXT NOT NULL, PRIMARY KEY (experiment, key)
    ) WITHOUT ROWID;
    CREATE TABLE throughput (
        program TEXT PRIMARY KEY, chunks INTEGER NOT NULL, cost REAL NOT NULL, seconds REAL NOT NULL
    );
    """,
    # Of a ledger whose rows come from processors alone the paces are known to be theirs; others are begun anew. The old
    # table stays for drivers that were started before the program was renewed: they write into it until they end.
    """
    CREATE TABLE paces (
        program TEXT NOT NULL, accelerated INTEGER NOT NULL,
        chunks INTEGER NOT NULL, cost REAL NOT NULL, seconds REAL NOT NULL, PRIMARY KEY (program, accelerated)
    ) WITHOUT ROWID;
    INSERT INTO paces SELECT program, 0, chunks, cost, seconds FROM throughput WHERE NOT EXISTS (
        SELECT 1 FROM provenance WHERE json_extract(text, '$.device') NOT LIKE '%cpu'
    );
    """,
)

_DAMAGE = ("malformed", "SQLITE_CORRUPT", "no such table", "no such column", "Could not decode")
_MOUNTS = Path("/proc/self/mounts")
_JOURNAL_MODES = ("wal", "delete", "truncate", "persist")
# Write-ahead logging needs memory shared by all readers and writers, which a network file system does not give.
_NETWORK_FILE_SYSTEMS = ("nfs", "cifs", "smb", "lustre", "gpfs", "beegfs", "ceph", "afs", "9p", "fuse.")


class LedgerError(ValueError):
    """A ledger or table that cannot be used as asked, said in one sentence."""


@contextlib.contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite says about the file into a LedgerError that says what it means."""
    try:
        yield
    except sqlite3.Error as error:
        text = str(error).partition(" with text ")[0]  # which may be anything
        if "disk is full" in text or "disk I/O error" in text:  # a file-size limit is reported as the latter
            state = "is full" if "full" in text else "is full or failing"
            said = f"the disk {state}: {path} took no further rows; those already in it are kept"
        elif "not a database" in text:
            said = f"{path} is not a ledger: it is not an SQLite file"
        elif any(sign in text for sign in _DAMAGE):
            said = f"{path} is damaged ({text}); recover it with `sqlite3 {path} .recover` or remove it"
        elif "unable to open" in text:
            said = f"{path} cannot be opened or created: no such folder, or no right to write there"
        elif "readonly" in text:
            said = f"{path} cannot be written to: it is read-only"
        elif "locked" in text:
            said = f"{path} has been locked by another process for {BUSY_SECONDS:.0f} s"
        else:
            raise
        raise LedgerError(said) from error


def connect(path: Path, journal_mode: str | None) -> sqlite3.Connection:
    """Open a ledger's file, make it if it is not there, and bring an older schema up to date.

    Raises:
        LedgerError: not a ledger, made by a newer version, or not to be written to.
        ValueError: an unknown journal mode.
    """
    mode = (journal_mode or os.environ.get(JOURNAL_VARIABLE) or _suitable_journal(path)).lower()
    if mode not in _JOURNAL_MODES:
        raise ValueError(f"journal_mode must be one of {', '.join(_JOURNAL_MODES)}, got {mode!r}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(f"the folder {path.parent} cannot be made: {error.strerror}") from error
    with plain_errors(path):
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            _check_ours(connection, path)  # before anything is written: another program's file stays as it is
            _set_journal(connection, mode, path)
            # FULL: what `record` has returned from survives a power cut too, not only a killed process.
            connection.execute("PRAGMA synchronous = FULL")
            if _version(connection) < len(SCHEMA):
                _migrate(connection, path)
            else:
                # Some folders let one read but not write: say so now, not after an hour of fitting. To begin is not
                # enough: of a file that cannot be written SQLite takes BEGIN IMMEDIATE for BEGIN.
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(f"PRAGMA user_version = {len(SCHEMA)}")
                connection.execute("ROLLBACK")
        except BaseException:
            connection.close()
            raise
    return connection


def _set_journal(connection: sqlite3.Connection, mode: str, path: Path) -> None:
    """Change the journal. Where another process is writing, SQLite refuses that at once, whatever its time-out.

    To WAL it goes a moment later. From it there is no way while any other process has the ledger open.
    """
    end = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute(f"PRAGMA journal_mode = {mode}")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            if mode != "wal":
                said = f"journal_mode of {path} cannot become {mode!r} while another process has it open"
                raise LedgerError(said) from error
            if time.monotonic() > end:
                raise
        time.sleep(0.01)


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing, and no other writer in between."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # SQLite rolls back by itself where the disk is full
            connection.execute("ROLLBACK")
        raise


def copy_file(path: Path, to: Path) -> None:
    """Copy the file of a ledger that may be in use, as it is at one moment.

    On a disk that cannot be written SQLite may refuse to read. Nobody writes there, and its files are copied.
    """
    try:
        with (
            contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as there,
            contextlib.closing(sqlite3.connect(to)) as here,
        ):
            there.backup(here)
    except sqlite3.Error:
        to.unlink(missing_ok=True)
        for suffix in ("", "-wal"):
            if Path(f"{path}{suffix}").exists():
                shutil.copyfile(f"{path}{suffix}", f"{to}{suffix}")


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _check_ours(connection: sqlite3.Connection, path: Path) -> None:
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    version = _version(connection)
    # Asked last: it is written together with the tables, perhaps by another driver just now.
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID and (application or tables or version):
        raise LedgerError(f"{path} is not a ledger: it is an SQLite file of another program")
    if version > len(SCHEMA):
        raise LedgerError(
            f"{path} was made by a newer version: its schema is {version}, this one knows {len(SCHEMA)} at most"
        )


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    with transaction(connection):
        _check_ours(connection, path)  # again: another driver may have been faster
        for version in range(_version(connection), len(SCHEMA)):
            for statement in SCHEMA[version].split(";"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _suitable_journal(path: Path) -> str:
    if not sys.platform.startswith("linux"):
        return "wal"
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "wal"
    return journal_for(Path(os.path.realpath(path)), mounts)  # a folder of results may be a link to another disk


def journal_for(path: Path, mounts: list[str]) -> str:
    """The journal mode that suits the file system holding `path`, from lines as in /proc/self/mounts."""
    found = ("", "")
    for line in mounts:
        _, point, kind = [*line.split(), "", "", ""][:3]
        point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), point)  # blanks in it
        if point and path.is_relative_to(point) and len(point) >= len(found[0]):
            found = (point, kind)
    return "delete" if found[1].startswith(_NETWORK_FILE_SYSTEMS) else "wal"
