"""A worker that dies at a given step: `python -m tests.chaos.worker FOLDER NAME ADDRESS ...`.

The worker's code is unchanged: the client's methods are wrapped from outside. A file
FOLDER/NAME.arm, or FOLDER/any.arm, with `kill STEP`, `stop STEP` or `lose STEP` in it is claimed,
by renaming, by the first process that reaches that step. The process records it in
FOLDER/hits.jsonl and sends itself SIGKILL or SIGSTOP, or lets the call time out: `lose after
commit` is a transaction that was committed, but whose outcome is unknown to the worker.
ADDRESS is the source address of its connections, by which the proxy knows them. On SIGUSR1 it
prints what it is doing, to explain a stall. `--engine tensorrt` runs on doubles.
"""

import faulthandler
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import kafka
from kafka.errors import KafkaTimeoutError
from kafka.net.inet import KafkaNetSocket

from doubles.tensorrt import install
from pipeline.broker.kafka.broker import KafkaBroker
from pipeline.broker.kafka.consumer import KafkaFrames
from pipeline.broker.kafka.readers import changelog_reader
from pipeline.cli.main import main as longtake
from pipeline.delivery.committer import Committer
from pipeline.delivery.restorer import Restorer
from pipeline.streams.partition import Partition
from pipeline.worker.metrics.worker_metrics import WorkerMetrics
from tests.chaos.steps import TRANSACTION

TELLING = {"_stage", "_member", "_refused", "_task", "_manifests", "_wanted", "_reading"}
SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}


class Trap:
    """Checks at every step for an arm file that names it."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._arms = [folder / f"{name}.arm", folder / "any.arm"]

    def note(self, **words: Any) -> None:
        """Append a line to the log of hits with one write, so that it is whole or missing."""
        line = json.dumps({"t": time.time(), "name": self._name, "pid": os.getpid()} | words)
        hits = os.open(self._folder / "hits.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(hits, line.encode() + b"\n")
        os.close(hits)

    def step(self, step: str) -> None:
        """Pass a step, or die or freeze there."""
        for arm in self._arms:
            try:
                action, _, wanted = arm.read_text().partition(" ")
                if wanted == step:
                    arm.rename(arm.with_suffix(f".{os.getpid()}"))  # only one process can
                    self.note(action=action, step=step)
                    self._act(action)
            except FileNotFoundError:
                continue

    def _act(self, action: str) -> None:
        if action == "lose":
            raise KafkaTimeoutError("chaos: the answer is lost on its way")
        os.kill(os.getpid(), SIGNALS[action])

    def around(self, owner: Any, method: str, step: str) -> None:
        """Make a method pass `before STEP` and `after STEP`."""
        original: Callable[..., Any] = getattr(owner, method)

        def passing(*args: Any, **kwargs: Any) -> Any:
            self.step(f"before {step}")
            result = original(*args, **kwargs)
            self.step(f"after {step}")
            return result

        setattr(owner, method, passing)

    def before(self, owner: Any, method: str, step: str) -> None:
        """Make a method pass STEP first."""
        original: Callable[..., Any] = getattr(owner, method)

        def passing(*args: Any, **kwargs: Any) -> Any:
            self.step(step)
            return original(*args, **kwargs)

        setattr(owner, method, passing)

    def tell(self, owner: Any, method: str, words: Callable[[Any], dict[str, Any]]) -> None:
        """Make a method record its object after a call."""
        original: Callable[..., Any] = getattr(owner, method)

        def telling(this: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(this, *args, **kwargs)
            self.note(**words(this))
            return result

        setattr(owner, method, telling)


def lay(trap: Trap) -> None:
    """Wrap the methods that the steps consist of."""
    for method, step in TRANSACTION.items():
        trap.around(kafka.KafkaProducer, method, step)
    trap.around(changelog_reader.KafkaChangelog, "read", "restore")
    trap.around(KafkaFrames, "on_partitions_revoked", "revoke")
    trap.before(changelog_reader, "_apply", "during restore")
    trap.tell(KafkaBroker, "__init__", lambda broker: {"worker": broker.slot})
    trap.tell(Partition, "prime", lambda part: {"rewound": part.next_offset - part.read_from})
    aborted = WorkerMetrics.aborted

    def counting(metrics: Any, errors: Any) -> None:
        if errors:
            trap.note(aborts=dict(errors))
        aborted(metrics, errors)

    setattr(WorkerMetrics, "aborted", counting)  # noqa: B010 - mypy lets no method be replaced


def call_from(address: str) -> None:
    """Set the source address of every connection of kafka-python."""
    connect: Callable[..., Any] = KafkaNetSocket.connect_ex

    def connecting(self: Any, sock: Any, where: Any) -> Any:
        if sock.getsockname()[1] == 0:  # not bound yet: its first attempt
            sock.bind((address, 0))
        return connect(self, sock, where)

    setattr(KafkaNetSocket, "connect_ex", connecting)  # noqa: B010 - as above


def explain(number: int, frame: FrameType | None) -> None:
    """Print what the worker waits for, and where each of its threads is.

    `type` and not `isinstance`, which asks an object for its `__class__`: a weak proxy whose object
    is gone raises ReferenceError then. And `os.write`, not `print`: the signal may have interrupted
    a write to sys.stderr, which cannot be entered twice.
    """
    del number, frame
    for thing in gc.get_objects():
        if issubclass(type(thing), Committer | Restorer):
            words = {name: value for name, value in vars(thing).items() if name in TELLING}
            line = f"{time.strftime('%H:%M:%S')} {type(thing).__name__} {words}\n"
            os.write(sys.stderr.fileno(), line.encode())
    faulthandler.dump_traceback(all_threads=True)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, explain)
    folder, name, address = sys.argv[1:4]
    lay(Trap(Path(folder), name))
    call_from(address)
    sys.argv = ["longtake", *sys.argv[4:]]
    if "tensorrt" in sys.argv:
        install()
    longtake()
