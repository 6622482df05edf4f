"""Files that are believed only if nobody else can have written them; and no waiting for a FIFO.

The only place that decides whom a cache, a mark or a lock is believed from: its owner is this user
or root, neither group nor others may write it, and no link leads to it.
"""

import errno
import os
import stat
import tempfile
from pathlib import Path

ROOT = 0  # its files are in images, and it could write everything in any case
OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


class UntrustedError(OSError):
    """A file or folder could have been written by another user. The message says what to do."""


class PrivateFolder:
    """A folder of a cache, and the folder that it is in: both must be this user's own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make(self) -> None:
        """Make it, for its owner alone, unless it is there. Raises `UntrustedError`, `OSError`."""
        self.make_parent()
        self.path.mkdir(mode=0o700, exist_ok=True)
        self.check()

    def make_parent(self) -> None:
        """Make the folder that it is in, in the same way."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        require_own(self.path.parent.stat(), self.path.parent)

    def check(self) -> None:
        """Raise `UntrustedError` if others may write it, and `OSError` if it is not there."""
        os.close(self._opened())

    def read(self, name: str, most_bytes: int) -> bytes:
        """Read one of its files, `most_bytes` of it at most. Raises `UntrustedError`, `OSError`."""
        inside = self._opened()
        try:
            file = open_regular(name, os.O_RDONLY, dir_fd=inside)
        finally:
            os.close(inside)
        with os.fdopen(file, "rb") as content:
            found = os.fstat(file)
            require_own(found, self.path / name)
            return content.read(min(found.st_size, most_bytes))

    def write(self, name: str, content: bytes) -> None:
        """Replace one of its files whole. Raises `UntrustedError`, `OSError`."""
        self.check()
        with tempfile.TemporaryDirectory(dir=self.path) as temporary:  # of mode 0700
            whole = Path(temporary) / "whole"
            with os.fdopen(open_regular(whole, os.O_WRONLY | os.O_CREAT), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            whole.replace(self.path / name)

    def _opened(self) -> int:
        """Return a file descriptor of the folder."""
        require_own(self.path.parent.stat(), self.path.parent)
        try:
            folder = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as exc:
            if exc.errno in (errno.ELOOP, errno.ENOTDIR) and self.path.is_symlink():
                raise UntrustedError(f"{self.path} is a link; it must be a folder") from exc
            raise
        try:
            require_own(os.fstat(folder), self.path)
        except UntrustedError:
            os.close(folder)
            raise
        return folder


def require_own(found: os.stat_result, path: Path) -> None:
    """Raise `UntrustedError` if another user than root owns what was found, or may write it."""
    if found.st_uid not in (ROOT, os.geteuid()):
        raise UntrustedError(
            f"{path} belongs to user {found.st_uid}, not to this one ({os.geteuid()})"
        )
    if found.st_mode & OTHERS_MAY_WRITE:
        raise UntrustedError(
            f"other users may write {path} (mode {stat.S_IMODE(found.st_mode):o}): empty it and"
            " `chmod go-w` it"
        )


def open_regular(path: str | Path, flags: int, *, dir_fd: int | None = None) -> int:
    """Open a regular file, or create it with mode 0600; `OSError` for links, FIFOs and devices."""
    file = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600, dir_fd=dir_fd)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file
