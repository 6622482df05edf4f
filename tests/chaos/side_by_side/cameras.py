"""The cameras that both groups read."""

import threading
import time
from typing import Any

from kafka import KafkaProducer

from pipeline.broker.partitioner import partition_of
from pipeline.connection import Connection
from tests.pipeline.pictures import jpeg

PARTITIONS = 4
PERIOD_S = 0.25
BAD_EVERY = 37  # of a camera's records, one that is no picture
STREAMS = tuple(f"cam-{n}" for n in range(6))


class Cameras:
    """Publishes pictures of all streams, and a bad record now and then, in a thread."""

    def __init__(self, connection: Connection, topic: str) -> None:
        self.published = 0
        self._producer = KafkaProducer(bootstrap_servers=connection.bootstrap, linger_ms=0)
        self._topic = topic
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, when all is acknowledged."""
        self._over.set()
        self._thread.join()
        self._producer.close(timeout=5)

    def _run(self) -> None:
        turn = 0
        while not self._over.wait(PERIOD_S):
            turn += 1
            sent = [self._send(turn, n, stream) for n, stream in enumerate(STREAMS)]
            for one in sent:
                one.get(30)
            self.published += len(sent)

    def _send(self, turn: int, n: int, stream: str) -> Any:
        bad = (turn + 7 * n) % BAD_EVERY == 0
        headers = [("seq", b"%d" % turn), ("captured-at", b"%.3f" % (time.time() * 1000))]
        return self._producer.send(
            self._topic,
            key=stream.encode(),
            value=b"no picture" if bad else jpeg(64, 64, seed=turn * 31 + n),
            partition=partition_of(stream.encode(), PARTITIONS),
            headers=headers,
        )
