"""Keeps files that hold pictures for their owner alone: the only place that does so."""

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

FILE_MODE = 0o600
FOLDER_MODE = 0o700
_OTHERS = 0o077


def make_private(file: Path) -> None:
    """Create a file for its owner alone, or take an existing one away from all others.

    Raises `OSError` if it cannot, and for a file of another user, a link, and what is no file.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    opened = os.open(file, flags, FILE_MODE)
    try:
        if not stat.S_ISREG(os.fstat(opened).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(file))
        _tighten(opened, file, FILE_MODE)
    finally:
        os.close(opened)


def make_private_folder(folder: Path) -> None:
    """Take an existing folder away from all others. Raises `OSError` as `make_private` does."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _tighten(opened, folder, FOLDER_MODE)
    finally:
        os.close(opened)


def open_private_folder(folder: Path) -> int:
    """Open a folder that is for its owner alone, or make it. Returns its descriptor.

    Unlike `make_private_folder` it changes no folder that exists. Raises `OSError`.
    """
    with suppress(FileExistsError):
        folder.mkdir(FOLDER_MODE)
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = os.fstat(opened)
        if found.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, "it belongs to another user", str(folder))
        if found.st_mode & _OTHERS:
            words = f"others can look into it; `chmod 700 {folder}`, or name a new folder"
            raise PermissionError(errno.EPERM, words, str(folder))
    except OSError:
        os.close(opened)
        raise
    return opened


def write_new_private(name: str, content: bytes, *, folder: int) -> None:
    """Write a new file, for its owner alone, into an open folder. It is complete, or is not there.

    Raises `FileExistsError` if there is anything of that name, which stays as it is, and `OSError`.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    opened = os.open(name, flags, FILE_MODE, dir_fd=folder)
    try:
        with open(opened, "wb") as file:  # noqa: PTH123 - a descriptor, no path
            file.write(content)
    except BaseException:
        os.unlink(name, dir_fd=folder)
        raise


def _tighten(opened: int, path: Path, mode: int) -> None:
    found = os.fstat(opened)
    if found.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, "it belongs to another user", str(path))
    if found.st_mode & _OTHERS:
        os.fchmod(opened, mode)
