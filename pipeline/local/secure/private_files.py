"""A folder and files that only their owner can read, replaced whole or not at all."""

import fcntl
import os
import secrets
import stat
from pathlib import Path

from pipeline.errors import LocalKafkaError
from pipeline.local.temporary import open_regular

MARK = "longtake-secure"
"""The name of the file that marks the folder as ours, which is locked while it is in use."""
MARK_TEXT = b"This folder was made by `longtake broker --secure`, which replaces files in it.\n"
MAX_FILE_BYTES = 1 << 20
OTHERS = 0o077


def claim_folder(path: Path) -> int:
    """Make the folder, or find it as we made it before. Returns its lock, an open file.

    Raises LocalKafkaError for a folder with files of others, one that others can use, and one that
    another process has claimed.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
        if found.st_uid != os.geteuid():
            raise LocalKafkaError(f"the folder {path} belongs to another user; name another")
        marked = os.path.lexists(path / MARK)
        if not marked and any(path.iterdir()):
            raise LocalKafkaError(
                f"the folder {path} holds files that `longtake broker --secure` did not make; name"
                " a new folder"
            )
        if marked and stat.S_IMODE(found.st_mode) & OTHERS:
            raise LocalKafkaError(
                f"others can use the folder {path}, which holds keys: `chmod 700 {path}`, and make"
                " a new folder if they may have read it"
            )
        path.chmod(0o700)
        return _locked(path)
    except OSError as exc:
        raise LocalKafkaError(f"the folder {path} cannot be used: {exc}") from exc


def _locked(path: Path) -> int:
    lock = open_regular(path / MARK, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        os.close(lock)
        raise LocalKafkaError(
            f"the folder {path} is in use by another local Kafka; stop that one or name another"
        ) from exc
    if os.fstat(lock).st_size == 0:
        os.write(lock, MARK_TEXT)
    return lock


def write_private(path: Path, content: bytes) -> None:
    """Replace a file at once: a reader sees the old content or the new. Its mode is 0600."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        opened = open_regular(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        with open(opened, "wb") as out:  # noqa: PTH123 - a file descriptor
            out.write(content)
        draft.replace(path)
    except OSError as exc:
        draft.unlink(missing_ok=True)
        raise LocalKafkaError(f"{path} cannot be written: {exc}") from exc


def read_private(path: Path) -> bytes | None:
    """Return a file's content, None without a file. LocalKafkaError if others could replace it."""
    if not os.path.lexists(path):
        return None
    try:
        opened = open_regular(path, os.O_RDONLY)
        with open(opened, "rb") as file:  # noqa: PTH123 - a file descriptor
            found = os.fstat(opened)
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise LocalKafkaError(f"{path} cannot be read: {exc}") from exc
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & OTHERS:
        raise LocalKafkaError(
            f"others can use {path}: `chmod 600 {path}`, or delete it and it is made anew"
        )
    if len(content) > MAX_FILE_BYTES:
        raise LocalKafkaError(f"{path} has more than {MAX_FILE_BYTES} bytes; delete it")
    return content
