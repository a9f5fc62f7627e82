"""Members of archives as bytes: found by their exact name, never written under the name that the archive gives."""

import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterable

from widththeory.images.files import DataError

# zipfile raises a RuntimeError for members that are encrypted or compressed in a way it does not know.
_DAMAGED = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, OSError, RuntimeError)
_LIMIT = 2**28  # no member of any data set here is larger; an archive that says otherwise is not one of them


def from_tar(archive: bytes, names: Iterable[str], what: str) -> dict[str, bytes]:
    """Regular files of a tar archive, compressed or not, by their names there.

    Raises: DataError: the archive is damaged, lacks one of them, or has something else under its name.
    """
    wanted = set(names)
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in tar:
                name = member.name.removeprefix("./")
                if name in wanted and member.isreg():
                    _check_size(member.size, name, what)
                    file = tar.extractfile(member)
                    found[name] = file.read() if file else b""
                if len(found) == len(wanted):
                    return found
    except _DAMAGED as error:
        raise DataError(f"{what} is damaged: {error}") from error
    raise DataError(f"{what} does not contain {min(wanted - set(found))}")


def from_zip(archive: bytes, name: str, what: str) -> bytes:
    """A member of a zip archive, such as a wheel. Raises DataError as `from_tar` does."""
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as file:
            _check_size(file.getinfo(name).file_size, name, what)
            return file.read(name)
    except DataError:
        raise
    except KeyError:
        raise DataError(f"{what} does not contain {name}") from None
    except (*_DAMAGED, ValueError) as error:  # of a place before the beginning, or a name that is not UTF-8
        raise DataError(f"{what} is damaged: {error}") from error


def from_ar(archive: bytes, prefix: str, what: str) -> bytes:
    """The first member of an `ar` archive, such as a Debian package, whose name starts with `prefix`.

    A member has a header of 60 bytes - name 16, date 12, owner 6, group 6, mode 8, size 10, end mark 2 - and content
    that is padded to an even length.

    Raises: DataError: the archive is damaged or lacks the member.
    """
    if not archive.startswith(b"!<arch>\n"):
        raise DataError(f"{what} is damaged: it is no ar archive")
    start = 8
    while start < len(archive):
        header = archive[start : start + 60]
        size = header[48:58].strip()
        if len(header) < 60 or header[58:] != b"`\n" or not size.isdigit():
            raise DataError(f"{what} is damaged: at byte {start} there is no header of a member")
        content = archive[start + 60 : start + 60 + int(size)]
        if len(content) < int(size):
            raise DataError(f"{what} is damaged: it ends within a member")
        if header[:16].startswith(prefix.encode()):
            return content
        start += 60 + int(size) + int(size) % 2
    raise DataError(f"{what} does not contain {prefix}")


def gunzip(content: bytes, what: str) -> bytes:
    """What a gzip file holds. Raises DataError if it is damaged or grows beyond 256 MiB."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            plain = file.read(_LIMIT + 1)
    except _DAMAGED as error:
        raise DataError(f"{what} is damaged: {error}") from error
    _check_size(len(plain), "its content", what)
    return plain


def _check_size(size: int, name: str, what: str) -> None:
    if size > _LIMIT:
        raise DataError(f"{what} is not the archive it should be: {name} is larger than {_LIMIT >> 20} MiB")
