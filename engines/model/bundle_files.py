"""The bytes of a bundle's files, out of a folder or a .zip, and never more of them than allowed."""

import os
import zipfile
import zlib
from pathlib import Path

from engines.errors import BundleError


class BundleFolder:
    """Files of a bundle in a folder."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, name: str, limit: int) -> bytes:
        """Read one file whole, refusing more than `limit` bytes."""
        try:
            with (self._path / name).open("rb") as file:
                size = os.fstat(file.fileno()).st_size  # or the buffer would be as big as `limit`
                return _at_most(file.read(min(size, limit) + 1), limit, f"{self._path}: {name}")
        except OSError as exc:
            raise BundleError(f"{self._path}: {name} cannot be read: {exc.strerror}") from exc


class BundleArchive:
    """Files of a bundle in a .zip. Nothing is unpacked to disk; other members are not touched."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self, name: str, limit: int) -> bytes:
        """Read one member whole, refusing more than `limit` bytes, declared or real."""
        where = f"{self._path}: {name}"
        try:
            with zipfile.ZipFile(self._path) as archive:
                declared = archive.getinfo(name).file_size
                if declared > limit:
                    raise BundleError(f"{where} is {declared:,} bytes, at most {limit:,} are read")
                with archive.open(name) as file:
                    return _at_most(file.read(limit + 1), limit, where)
        except KeyError as exc:
            raise BundleError(f"{where} is missing; it must be at the top of the .zip") from exc
        except (zipfile.BadZipFile, OSError, EOFError, zlib.error) as exc:
            raise BundleError(f"{where} cannot be read: {exc}") from exc
        except (NotImplementedError, RuntimeError) as exc:  # encrypted, or an exotic compression
            raise BundleError(f"{where} cannot be unpacked: {exc}; use a plain .zip") from exc


def _at_most(content: bytes, limit: int, where: str) -> bytes:
    if len(content) > limit:
        raise BundleError(f"{where} is larger than the {limit:,} bytes that are read at most")
    return content
