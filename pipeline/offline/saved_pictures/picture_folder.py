"""A folder of pictures that longtake writes: private, bounded, and no file is ever replaced."""

import os
import re
from pathlib import Path

from pipeline.errors import OutputError
from pipeline.private_files import open_private_folder, write_new_private

MOST_FILES = 1_000
MOST_BYTES = 500 << 20
_AWKWARD = re.compile(r"^[-.]|:")  # an option of commands, a hidden file, a drive of Windows


def picture_name(stream: str, partition: int, offset: int) -> str:
    """Return the name of the picture of a record: at most 235 characters of `A-Za-z0-9._-`.

    A stream's `:`, and its first character if that is `.` or `-`, become `_`. Partition and offset
    make the name unique all the same.
    """
    return f"{_AWKWARD.sub('_', stream)}-{partition}-{offset}.jpg"


class PictureFolder:
    """Writes pictures to a folder until it has `most_files`, or `most_bytes` in all.

    What the folder holds already counts. It is made if it is missing; one that others can look
    into is refused. Raises `OutputError`.
    """

    def __init__(self, path: Path, *, most_files: int, most_bytes: int) -> None:
        self._path = path
        self._most_files, self._most_bytes = most_files, most_bytes
        try:
            self._opened = open_private_folder(path)
            self._files, self._bytes = _filled(self._opened)
        except OSError as exc:
            raise self._error(exc) from exc
        self._full = self._files >= most_files or self._bytes >= most_bytes

    @property
    def full(self) -> bool:
        """Whether a picture had no room, or none is left. Then no more are written."""
        return self._full

    @property
    def filled(self) -> str:
        """What the folder holds, in words."""
        return f"{self._path} has {self._files} files of {self._bytes / (1 << 20):.1f} MiB"

    def write(self, name: str, content: bytes) -> bool:
        """Write a picture. Returns False, and writes nothing, if it has no room.

        Raises `FileExistsError` if there is a file of that name, and `OutputError`.
        """
        if self._full or self._bytes + len(content) > self._most_bytes:
            self._full = True
            return False
        try:
            write_new_private(name, content, folder=self._opened)
        except FileExistsError:
            raise
        except OSError as exc:
            raise self._error(exc) from exc
        self._files += 1
        self._bytes += len(content)
        self._full = self._files >= self._most_files
        return True

    def close(self) -> None:
        """Close the folder."""
        os.close(self._opened)

    def _error(self, exc: OSError) -> OutputError:
        return OutputError(f"cannot write pictures to {self._path}: {exc.strerror or exc}")


def _filled(opened: int) -> tuple[int, int]:
    """Return how many files a folder has, and their bytes."""
    with os.scandir(opened) as entries:
        sizes = [
            one.stat(follow_symlinks=False).st_size
            for one in entries
            if one.is_file(follow_symlinks=False)
        ]
    return len(sizes), sum(sizes)
