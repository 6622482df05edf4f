"""Injects faults into a worker: each fault is active while its file exists."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Python runs this at its start if PYTHONPATH contains its folder
SITE = """
import time
from pathlib import Path
import pipeline.delivery.stall
from engines.host import HostEngine
from pipeline.broker.contract import Poll
from pipeline.broker.kafka.readers.changelog_reader import KafkaChangelog
from pipeline.broker.kafka.consumer import KafkaFrames
from pipeline.broker.kafka.writer import KafkaWriter
from pipeline.errors import BrokerUnavailableError

HERE = Path(__file__).parent
pipeline.delivery.stall.LOOK_S = 0.5

def around(owner, name, trouble):
    whole = getattr(owner, name)
    def troubled(self, *args):
        return trouble(lambda: whole(self, *args))
    setattr(owner, name, troubled)

def slow_engine(go_on):
    if (HERE / "slow engine").exists():
        time.sleep(1.5)
    return go_on()

def slow_restore(go_on):
    while (HERE / "slow restore").exists():
        time.sleep(0.05)
    return go_on()

def failing_commits(go_on):
    if (HERE / "failing commits").exists():
        raise BrokerUnavailableError("no commits today")
    return go_on()

def no_broker(go_on):
    if (HERE / "no broker").exists():
        time.sleep(0.05)
        raise BrokerUnavailableError("no broker today")
    return go_on()

def silent_ends(go_on):
    while (HERE / "silent ends").exists():
        time.sleep(0.05)
    return go_on()

def standing_still(go_on):
    if (HERE / "standing still").exists():
        time.sleep(0.05)
        return Poll((), ())
    return go_on()

around(HostEngine, "encode", slow_engine)
around(KafkaChangelog, "read", slow_restore)
around(KafkaWriter, "commit", failing_commits)
around(KafkaFrames, "poll", standing_still)
around(KafkaFrames, "poll", no_broker)
around(KafkaChangelog, "ends", no_broker)
around(KafkaChangelog, "ends", silent_ends)
"""


class Troubles:
    """The files that switch faults on. `folder` must be in PYTHONPATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(SITE)

    def begin(self, name: str) -> None:
        assert f'"{name}"' in SITE
        (self.folder / name).touch()

    def end(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        self.begin(name)
        try:
            yield
        finally:
            self.end(name)
