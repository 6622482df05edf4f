"""The data folder of a local Kafka: locked by one process, and bound to one cluster id."""

import base64
import fcntl
import json
import os
import re
import shutil
import tempfile
import uuid
from contextlib import ExitStack
from pathlib import Path

from engines.trusted_files import ROOT, UntrustedError, open_regular, require_own
from pipeline.errors import LocalKafkaError
from pipeline.local.temporary import (
    LOCK,
    make_temporary,
    mark,
    remove_orphans,
    unmark,
)
from pipeline.private_files import FOLDER_MODE, make_private_folder
from pipeline.wire.json_text import Fields, read_object

IDENTITY = "cluster.json"
IDENTITY_BYTES = 4096
CLUSTER_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class DataFolder:
    """A folder that this process holds locked until `close`.

    With `path` None it is a temporary folder, which `close` removes. A folder named by `path` is
    never removed; if it does not exist, it is created with access for its user only. Raises
    LocalKafkaError if another process holds the lock, the folder cannot be written, or other users
    can write it.
    """

    def __init__(self, path: Path | None) -> None:
        self._owned = ExitStack()
        self._temporary = path is None
        try:
            if path is None:
                remove_orphans(Path(tempfile.gettempdir()))
                path = make_temporary()
            self.path = path.expanduser().absolute()
            self.path.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
            _require_own(self.path)
            if self._is_data():
                make_private_folder(self.path)
            lock = open_regular(self.path / LOCK, os.O_RDWR | os.O_CREAT)
            self._owned.callback(os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if self._temporary:
                mark(self.path)
            else:
                unmark(self.path)
        except BlockingIOError as exc:
            self._owned.close()
            raise LocalKafkaError(
                f"the data folder {path} is in use by another local Kafka; stop that one or name "
                "another folder"
            ) from exc
        except OSError as exc:
            self._owned.close()
            raise LocalKafkaError(f"the data folder {path} cannot be used: {exc}") from exc

    def _is_data(self) -> bool:
        """Whether the folder is our own and holds nothing else: a home folder keeps its mode."""
        own = self.path.stat().st_uid == os.geteuid()
        return own and ((self.path / IDENTITY).is_file() or not any(self.path.iterdir()))

    def close(self) -> None:
        """Release the lock; remove a temporary folder."""
        if self._temporary:
            shutil.rmtree(self.path, ignore_errors=True)
        self._owned.close()

    def keep(self) -> None:
        """Do not remove the folder at `close`, because an error message names files in it."""
        self._temporary = False

    def cluster_id(self, nodes: int) -> str:
        """Return the id of the cluster of `nodes` nodes in this folder; create one if needed."""
        file = self.path / IDENTITY
        try:
            if not os.path.lexists(file):
                draft = file.with_suffix(".new")
                draft.unlink(missing_ok=True)  # left by a process that was killed here
                _write(draft, json.dumps({"cluster_id": _new_id(), "nodes": nodes}))
                draft.replace(file)
            known = Fields(read_object(_read(file), most_bytes=IDENTITY_BYTES))
            cluster_id = known.matching(
                "cluster_id", CLUSTER_ID, "up to 64 characters of A-Z a-z 0-9 _ -"
            )
            before = known.integer("nodes", 1)
        except (OSError, ValueError) as exc:
            raise LocalKafkaError(
                f"{file} cannot be read ({exc}); delete the data folder {self.path} "
                "and what it holds, or name another"
            ) from exc
        if before != nodes:
            raise LocalKafkaError(
                f"the data folder {self.path} holds a cluster of {before} node(s), and {nodes} "
                "were asked for; ask for as many or name another folder"
            )
        return cluster_id


def _require_own(folder: Path) -> None:
    """Raise `UntrustedError` if another user could have written in it, or has set the link to it.

    Brokers read settings from it and follow links in it.
    """
    if (found := folder.lstat()).st_uid not in (ROOT, os.geteuid()):
        raise UntrustedError(f"{folder} belongs to user {found.st_uid}, not to this one")
    require_own(folder.stat(), folder)


def _write(file: Path, text: str) -> None:
    opened = open_regular(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    with open(opened, "w", encoding="ascii") as out:  # noqa: PTH123 - a file descriptor
        out.write(text)


def _read(file: Path) -> bytes:
    opened = open_regular(file, os.O_RDONLY)
    with open(opened, "rb") as content:  # noqa: PTH123 - a file descriptor
        return content.read(IDENTITY_BYTES + 1)


def _new_id() -> str:
    """Make an id in Kafka's format without a leading dash, which its tool parses as an option."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[:22])[0] == "-":
        pass
    return text
