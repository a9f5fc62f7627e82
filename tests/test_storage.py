"""A ledger's file: what is not ours, damaged, locked, full or older is said in one sentence, and nothing is lost."""

import concurrent.futures
import contextlib
import json
import re
import sqlite3
import threading
from pathlib import Path

import pytest
from fake_fits import FakeFit, grid
from fake_ledger import FIT, rows

from widththeory import identity, storage
from widththeory.ledger import Ledger, LedgerError


def test_files_that_are_not_ledgers_are_left_alone(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("these are my notes, and they are longer than an SQLite header " * 20)
    foreign = tmp_path / "foreign.sqlite"
    other = sqlite3.connect(foreign)
    other.execute("CREATE TABLE mine (x)")
    other.commit()
    other.close()
    newer = tmp_path / "newer.sqlite"
    Ledger.open(newer).close()
    other = sqlite3.connect(newer)
    other.execute("PRAGMA user_version = 99")
    other.close()
    empty = [tmp_path / "named.sqlite", tmp_path / "numbered.sqlite"]  # of a program that will make its tables
    for path, pragma in zip(empty, ("application_id = 7", "user_version = 1"), strict=True):
        other = sqlite3.connect(path)
        other.execute(f"PRAGMA {pragma}")
        other.close()
    foreigners = [(path, "of another program") for path in (foreign, *empty)]
    for path, said in ((text, "not an SQLite file"), (newer, "newer version.* 99"), *foreigners):
        before = path.read_bytes()
        with pytest.raises(LedgerError, match=said):
            Ledger.open(path)
        assert path.read_bytes() == before


def test_a_ledger_that_another_driver_is_just_making_is_ours(tmp_path):
    path = tmp_path / "ledger.sqlite"

    class Slow(sqlite3.Connection):
        """Between its first question and the second, another driver makes the ledger."""

        asked = False

        def execute(self, *arguments):
            answer = super().execute(*arguments)
            if not Slow.asked:
                Slow.asked = True
                answer = iter(answer.fetchall())
                Ledger.open(path).close()
                return type("Answer", (), {"fetchone": lambda self: next(answer)})()
            return answer

    connection = sqlite3.connect(path, factory=Slow)
    storage._check_ours(connection, path)
    connection.close()
    assert Slow.asked


def test_a_damaged_ledger_is_said_to_be(tmp_path):
    path = tmp_path / "ledger.sqlite"
    with Ledger.open(path) as ledger:
        ledger.record("claim", rows(grid(seeds=20)))
    content = bytearray(path.read_bytes())
    content[4096 : len(content)] = b"\x5a" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(LedgerError, match="is damaged"), Ledger.open(path) as ledger:
        ledger.table("claim")


def test_folders_that_cannot_be_written_are_said_to_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="cannot be made"):
        Ledger.open(tmp_path / "file" / "ledger.sqlite")
    with pytest.raises(LedgerError, match="is not a ledger: it is a folder"):
        Ledger.open(tmp_path)
    with Ledger.open(tmp_path / "ledger.sqlite") as ledger:
        ledger.record("claim", rows([FIT]))
        with pytest.raises(LedgerError, match="cannot be written"):
            ledger.export_csv(tmp_path / "file" / "claim.csv", "claim")
        (tmp_path / "taken.csv").mkdir()
        with pytest.raises(LedgerError, match="cannot be written"):
            ledger.export_csv(tmp_path / "taken.csv", "claim")


def test_a_full_disk_loses_nothing(ledger):
    ledger.record("claim", rows([FIT]))
    (pages,) = ledger.connection.execute("PRAGMA page_count").fetchone()
    ledger.connection.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(LedgerError, match=r"the disk is full: .* kept"):
        ledger.record("claim", rows(grid(seeds=30)))
    assert ledger.counts("claim") == {"done": 1, "failed": 0}
    ledger.connection.execute("PRAGMA max_page_count = 1000000")
    assert ledger.record("claim", rows(grid(seeds=30))) == len(grid(seeds=30))


def test_an_older_schema_is_brought_up_to_date(tmp_path):
    path = tmp_path / "old.sqlite"
    old = sqlite3.connect(path)
    old.executescript(storage.SCHEMA[0])
    old.execute("INSERT INTO provenance VALUES (1, '{}')")
    fields = identity.defaults(FakeFit)
    old.execute("INSERT INTO classes VALUES ('FakeFit', ?)", (fields,))
    old.execute(
        "INSERT INTO rows VALUES (1, 'claim', ?, 'done', 'FakeFit', ?, '{\"loss\": 0.5}', NULL, 1, 1.0, 1.0, NULL)",
        (identity.key(FIT), identity.encode(FIT)),
    )
    old.execute(f"PRAGMA application_id = {storage.APPLICATION_ID}")
    old.execute("PRAGMA user_version = 1")
    old.commit()
    old.close()
    with Ledger.open(path) as ledger:
        assert ledger.table("claim")["loss"].tolist() == [0.5]
        assert ledger.throughputs() == {}
        assert ledger.connection.execute("PRAGMA user_version").fetchone() == (len(storage.SCHEMA),)


@pytest.mark.parametrize(
    ("devices", "kept"), [(["cpu"], 1), (["2 x cpu", None], 1), ([None], 1), (["cpu", "NVIDIA H200"], 0)]
)
def test_paces_of_an_older_schema_stay_where_they_are_a_processors(tmp_path, devices, kept):
    path = tmp_path / "old.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as old:
        for script in storage.SCHEMA[:2]:
            old.executescript(script)
        texts = [json.dumps({"commit": "a"} | ({} if device is None else {"device": device})) for device in devices]
        old.executemany("INSERT INTO provenance (text) VALUES (?)", [(text,) for text in texts])
        old.execute("INSERT INTO throughput VALUES ('one', 2, 4.0, 7.0)")
        old.execute(f"PRAGMA application_id = {storage.APPLICATION_ID}")
        old.execute("PRAGMA user_version = 2")
        old.commit()
    with Ledger.open(path) as ledger:
        assert ledger.throughputs() == ({"one": (2, 4.0, 7.0)} if kept else {})
        assert ledger.throughputs(accelerated=True) == {}


def test_a_driver_of_the_older_schema_goes_on(tmp_path):
    """To ask for the status by a renewed program renews the ledger too: the next chunk could not be written."""
    path = tmp_path / "old.sqlite"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as old:
        for script in storage.SCHEMA[:2]:
            old.executescript(script)
        old.execute(f"PRAGMA application_id = {storage.APPLICATION_ID}")
        old.execute("PRAGMA user_version = 2")
        with Ledger.open(path) as ledger:
            old.execute(
                "INSERT INTO throughput VALUES ('one', 1, 4.0, 7.0) ON CONFLICT (program) DO UPDATE SET"
                " chunks = chunks + 1, cost = cost + excluded.cost, seconds = seconds + excluded.seconds"
            )
            assert ledger.throughputs() == {}


def test_a_journal_is_changed_when_the_other_process_is_done(tmp_path):
    """As where two drivers open a ledger that is not there yet: SQLite by itself refuses the second at once."""
    path = tmp_path / "a.sqlite"
    Ledger.open(path, journal_mode="delete").close()
    writer = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    writer.execute("BEGIN IMMEDIATE")
    with (
        contextlib.closing(sqlite3.connect(path, timeout=60)) as plain,
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        plain.execute("PRAGMA journal_mode = wal")
    later = threading.Timer(0.3, writer.close)
    later.start()
    with Ledger.open(path, journal_mode="wal") as ledger:
        assert ledger.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    later.join()


def test_a_journal_that_another_process_needs_is_said(tmp_path):
    path = tmp_path / "a.sqlite"
    said = f"journal_mode of {path} cannot become 'delete' while another process has it open"
    with Ledger.open(path, journal_mode="wal"), pytest.raises(LedgerError, match=re.escape(said)):
        Ledger.open(path, journal_mode="delete")
    Ledger.open(path, journal_mode="delete").close()


def test_the_journal_suits_the_file_system(tmp_path, monkeypatch):
    mounts = ["/dev/a / ext4 rw", "server:/x /home nfs4 rw", "tmpfs /home/me/scratch tmpfs rw", "odd"]
    mounts.append(r"//nas/disk /media/My\040Book cifs rw")
    assert storage.journal_for(Path("/data/a.sqlite"), mounts) == "wal"
    assert storage.journal_for(Path("/home/me/a.sqlite"), mounts) == "delete"
    assert storage.journal_for(Path("/home/me/scratch/a.sqlite"), mounts) == "wal"
    assert storage.journal_for(Path("/media/My Book/a.sqlite"), mounts) == "delete"
    mounts.append("/dev/b /home ext4 rw")  # over the other, which is not seen any more
    assert storage.journal_for(Path("/home/me/a.sqlite"), mounts) == "wal"
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    (tmp_path / "mounts").write_text(f"server:/x {tmp_path / 'there'} nfs4 rw")
    with monkeypatch.context() as patch:
        patch.setattr(storage, "_MOUNTS", tmp_path / "mounts")
        assert storage._suitable_journal(tmp_path / "link" / "a.sqlite") == "delete"
    with Ledger.open(tmp_path / "a.sqlite", journal_mode="delete") as ledger:
        ledger.record("claim", rows([FIT]))
        assert ledger.connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    monkeypatch.setenv(storage.JOURNAL_VARIABLE, "truncate")
    with Ledger.open(tmp_path / "b.sqlite") as ledger:
        assert ledger.connection.execute("PRAGMA journal_mode").fetchone() == ("truncate",)
    with pytest.raises(ValueError, match="journal_mode must be"):
        Ledger.open(tmp_path / "c.sqlite", journal_mode="none")


def test_a_copy_of_a_ledger_in_use_is_whole_chunks(tmp_path, ledger, monkeypatch):
    monkeypatch.setattr(storage.shutil, "copyfile", lambda *paths: pytest.fail("files that may be of two moments"))
    counted = []

    def write():
        with Ledger.open(ledger.path) as other:
            for chunk in range(10_000):
                if chunk > 150 and len(set(counted)) > 1:
                    break
                other.record("claim", rows([FakeFit("lu.Wide", (), 8, 16 * chunk + seed, 1e-3) for seed in range(16)]))

    with concurrent.futures.ThreadPoolExecutor(1) as threads:
        written = threads.submit(write)
        while not written.done():
            copy = tmp_path / f"{len(counted)}.sqlite"
            storage.copy_file(ledger.path, copy)
            with contextlib.closing(sqlite3.connect(copy)) as there:
                assert there.execute("PRAGMA integrity_check").fetchone() == ("ok",)
                counted.append(there.execute("SELECT count(*) FROM rows").fetchone()[0])
            copy.unlink()
    written.result()
    assert len(set(counted)) > 1  # some while it was written
    assert all(count % 16 == 0 for count in counted)
    assert counted == sorted(counted)


def test_what_cannot_be_read_as_a_ledger_is_copied_as_it_is(tmp_path):
    (tmp_path / "notes.txt").write_text("these are my notes")
    storage.copy_file(tmp_path / "notes.txt", tmp_path / "copy.txt")
    assert (tmp_path / "copy.txt").read_text() == "these are my notes"


def test_rows_that_are_still_in_the_journal_are_copied_from_a_disk_that_cannot_be_written(
    tmp_path, ledger, monkeypatch
):
    ledger.record("claim", rows([FIT]))
    assert Path(f"{ledger.path}-wal").stat().st_size > 0
    connect = sqlite3.connect

    def refusing(place, **how):
        if "mode=ro" in str(place):
            raise sqlite3.OperationalError("unable to open database file")
        return connect(place, **how)

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", refusing)
        storage.copy_file(ledger.path, tmp_path / "copy.sqlite")
    with Ledger.open(tmp_path / "copy.sqlite") as copy:
        assert copy.statuses("claim") == ledger.statuses("claim")


def test_what_is_acknowledged_is_on_the_disk(ledger):
    assert ledger.connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_a_folder_that_can_only_be_read_is_said_when_a_ledger_is_opened(tmp_path, monkeypatch):
    """Not after an hour of fitting. As root may write anywhere, SQLite is told to refuse."""
    path = tmp_path / "a.sqlite"
    Ledger.open(path, journal_mode="delete").close()
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda place, **how: connect(f"file:{place}?mode=ro", uri=True, **how))
    with pytest.raises(LedgerError, match=r"a\.sqlite cannot be written to: it is read-only"):
        Ledger.open(path, journal_mode="delete")


def test_another_writer_is_waited_for_and_said(ledger, monkeypatch):
    monkeypatch.setattr(storage, "BUSY_SECONDS", 5.0)
    other = sqlite3.connect(ledger.path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    later = threading.Timer(0.3, other.close)
    later.start()
    with Ledger.open(ledger.path) as waiting:
        assert waiting.record("claim", rows([FIT])) == 1
        later.join()
        ledger.connection.execute("BEGIN IMMEDIATE")
        waiting.connection.execute("PRAGMA busy_timeout = 1")
        with pytest.raises(LedgerError, match="has been locked by another process for 5 s"):
            waiting.record("claim", rows(grid()))


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE rows SET error = CAST(x'ff' AS TEXT)",
        "DROP TABLE rows",
        "DROP TABLE provenance",
        "UPDATE classes SET fields = '{'",
        "UPDATE classes SET fields = x'ff'",
        "UPDATE classes SET fields = replace(hex(zeroblob(60000)), '00', '[')",
    ],
)
def test_a_ledger_with_parts_that_are_none_is_said_to_be_damaged(ledger, change):
    ledger.record("claim", rows([FIT]))
    ledger.connection.execute("PRAGMA foreign_keys = OFF")
    ledger.connection.execute(change)
    with pytest.raises(LedgerError, match="is damaged"):
        ledger.table("claim")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("unable to open database file", "a.sqlite cannot be opened or created"),
        ("disk I/O error", "the disk is full or failing: a.sqlite took no further rows"),
        ("database or disk is full", "the disk is full: a.sqlite took no further rows"),
    ],
)
def test_what_sqlite_says_of_a_file_is_said_in_a_sentence(text, said):
    with pytest.raises(LedgerError, match=said), storage.plain_errors(Path("a.sqlite")):
        raise sqlite3.OperationalError(text)
    with pytest.raises(sqlite3.OperationalError, match="syntax"), storage.plain_errors(Path("a.sqlite")):
        raise sqlite3.OperationalError("syntax error")  # a defect
