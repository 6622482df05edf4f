"""Temporary data folders: created, marked, and removed later if their owner died.

A folder is removed because of its mark, never because of its name. Only folders that this code
created have a mark, and the mark of a copied or renamed folder is not valid. All users of the
machine can write to the system's temporary folder, so files in it are opened without following
links and without blocking.
"""

import fcntl
import os
import shutil
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path

from engines.trusted_files import open_regular

LOCK = "lock"
MARK = "temporary"
PREFIX = "longtake-kafka-"
_MARK_BYTES = 1024


def make_temporary() -> Path:
    """Make an empty folder that only its owner can access. The caller locks it, then marks it."""
    return Path(tempfile.mkdtemp(prefix=PREFIX))


def mark(folder: Path) -> None:
    """Mark a folder: `remove_orphans` may remove it when no process holds its lock."""
    file = open_regular(folder / MARK, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with open(file, "wb") as out:  # noqa: PTH123 - a file descriptor
        out.write(_content(folder, folder.stat()))


def unmark(folder: Path) -> None:
    """Remove the mark: the user has named this folder as data folder, so it is kept."""
    folder = folder.resolve()
    with ExitStack() as opened:
        if _is_marked(_opened(opened, folder), folder):
            (folder / MARK).unlink()


def remove_orphans(parent: Path) -> None:
    """Remove the marked folders of this user in `parent` whose lock no process holds."""
    for folder in parent.glob(f"{PREFIX}*"):
        with suppress(OSError), ExitStack() as opened:
            inside = _opened(opened, folder)
            if not _is_marked(inside, folder):
                continue
            lock = open_regular(LOCK, os.O_RDWR, dir_fd=inside)
            opened.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)


def _opened(opened: ExitStack, folder: Path) -> int:
    inside = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    opened.callback(os.close, inside)
    return inside


def _is_marked(inside: int, folder: Path) -> bool:
    """Whether the open folder `inside`, at the path `folder`, has a mark made for this folder."""
    found = os.fstat(inside)
    if found.st_uid != os.geteuid():
        return False
    try:
        file = open_regular(MARK, os.O_RDONLY, dir_fd=inside)
    except OSError:
        return False
    with open(file, "rb") as content:  # noqa: PTH123 - a file descriptor
        ours = os.fstat(file).st_uid == os.geteuid()
        return ours and content.read(_MARK_BYTES) == _content(folder, found)


def _content(folder: Path, found: os.stat_result) -> bytes:
    return f"temporary folder of longtake: {folder.name}, inode {found.st_ino}\n".encode()
