"""The data folder of a local Kafka: one owner at a time, one cluster for its whole life."""

import base64
import fcntl
import json
import os
import shutil
import tempfile
import uuid
from contextlib import ExitStack, suppress
from pathlib import Path

from pipeline.errors import LocalKafkaError

IDENTITY = "cluster.json"
LOCK = "lock"
PREFIX = "longtake-kafka-"


class DataFolder:
    """A folder that is ours until `close`. A temporary one, `path` None, is removed then.

    Raises LocalKafkaError if another process owns it or it cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self._owned = ExitStack()
        self._temporary = path is None
        try:
            if path is None:
                _remove_orphans(Path(tempfile.gettempdir()))
                path = Path(tempfile.mkdtemp(prefix=PREFIX))
            self.path = path.expanduser().absolute()
            self.path.mkdir(parents=True, exist_ok=True)
            lock = self._owned.enter_context((self.path / LOCK).open("a"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            self._owned.close()
            raise LocalKafkaError(
                f"the data folder {path} is in use by another local Kafka; stop that one or name "
                "another folder"
            ) from exc
        except OSError as exc:
            self._owned.close()
            raise LocalKafkaError(f"the data folder {path} cannot be used: {exc}") from exc

    def close(self) -> None:
        """Give the folder up."""
        if self._temporary:
            shutil.rmtree(self.path, ignore_errors=True)
        self._owned.close()

    def keep(self) -> None:
        """Do not remove it, temporary or not: an error names files in it."""
        self._temporary = False

    def cluster_id(self, nodes: int) -> str:
        """The id of the cluster of `nodes` nodes in this folder, a new one if it holds none."""
        file = self.path / IDENTITY
        if not file.exists():
            draft = file.with_suffix(".new")
            draft.write_text(json.dumps({"cluster_id": _new_id(), "nodes": nodes}), "ascii")
            os.replace(draft, file)  # noqa: PTH105
        try:
            known = json.loads(file.read_text("ascii"))
            cluster_id, before = str(known["cluster_id"]), int(known["nodes"])
        except (ValueError, KeyError, TypeError) as exc:
            raise LocalKafkaError(
                f"{file} cannot be read ({exc!r}); delete the data folder {self.path} "
                "and what it holds, or name another"
            ) from exc
        if before != nodes:
            raise LocalKafkaError(
                f"the data folder {self.path} holds a cluster of {before} node(s), and {nodes} "
                "were asked for; ask for as many or name another folder"
            )
        return cluster_id


def _remove_orphans(parent: Path) -> None:
    """Temporary folders whose owner died without a chance to remove them: nobody locks those."""
    for lock in parent.glob(f"{PREFIX}*/{LOCK}"):
        if not lock.with_name(IDENTITY).exists():
            continue  # being made just now, or none of ours
        with suppress(OSError), lock.open("a") as held:  # locked, or another user's
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(lock.parent, ignore_errors=True)


def _new_id() -> str:
    """As Kafka makes them, but never with a leading dash: its own tool would take an option."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[:22])[0] == "-":
        pass
    return text
