"""Two workers of one group, each with older or today's code, while cameras publish."""

import itertools
import random
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from kafka import KafkaProducer

from pipeline.broker.kafka.readers.changelog_reader import KafkaChangelog
from pipeline.broker.kafka.readers.topic_tail import TopicTail
from pipeline.clock import SystemClock
from pipeline.records import Changelog, Record
from pipeline.wire.changelog import MANIFEST_KEY, Manifest
from tests.cli.commands import write_settings
from tests.clusters import KafkaCluster
from tests.engines.bundles import write_tiny
from tests.faults.earlier import CodeVersion
from tests.faults.test_failover import PARTITIONS, STREAMS
from tests.pipeline.pictures import jpeg

PATIENCE_S = 90.0
BEGINNING = 25  # rounds of plain frames
PAUSE_S = 0.2  # between two rounds of the cameras
BURST, EVERY = 4, 5  # rounds without a pause, once in so many
HASTY = {"session_timeout_s": 3, "heartbeat_s": 0.3, "transaction_timeout_s": 1.5}
CAPTURED_MS = 1_700_000_000_000


class SteadyCameras:
    """Streams of valid frames, and in each partition one stream with all other kinds of records.

    Publishes in a thread of its own during the `with` block.
    """

    def __init__(self, cluster: KafkaCluster) -> None:
        self._topic = cluster.topics.frames
        self._producer = KafkaProducer(bootstrap_servers=cluster.config.bootstrap, linger_ms=0)
        self._pictures = [jpeg(16, 16, seed=seed) for seed in range(64)]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._film, name="cameras")
        self.rounds = 0

    @property
    def filmed(self) -> int:
        """The number of valid frames."""
        return self.rounds * len(STREAMS)

    def __enter__(self) -> "SteadyCameras":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._producer.close(timeout=5)

    def _film(self) -> None:
        turns = itertools.count(1)
        while not self._over.wait(PAUSE_S):
            for _ in range(BURST if next(turns) % EVERY == 0 else 1):
                self._round(self.rounds)
                self.rounds += 1
            self._producer.flush(10)

    def _round(self, seq: int) -> None:
        for n, stream in enumerate(STREAMS):
            self._publish(n % PARTITIONS, stream, self._picture(seq + 7 * n), seq=seq)
        for partition in range(PARTITIONS):
            self._odd(partition, f"odd-{partition}", seq)

    def _odd(self, partition: int, stream: str, seq: int) -> None:
        """Publish by turns: a frame, a repeat, one of an earlier epoch, a broken one, an end.

        Only frames at first: where a stream begins with others, the releases differ (CHANGELOG).
        """
        what = 0 if seq < BEGINNING else seq % 5
        content = [self._picture(seq), self._picture(seq - 1), self._picture(seq), b"broken", None]
        epoch = 1 if what == 2 else seq // 50 + 2
        self._publish(partition, stream, content[what], seq=seq - (what == 1), epoch=epoch)

    def _picture(self, number: int) -> bytes:
        return self._pictures[number % len(self._pictures)]

    def _publish(
        self, partition: int, stream: str, value: bytes | None, *, seq: int, epoch: int = 1
    ) -> None:
        headers = [
            ("seq", b"%d" % seq),
            ("epoch", b"%d" % epoch),
            ("captured-at", b"%d" % (CAPTURED_MS + seq * 50)),
        ]
        self._producer.send(
            self._topic, key=stream.encode(), value=value, headers=headers, partition=partition
        )


class RollingPair:
    """Two places of one group, each with a worker of one of the versions.

    `a` is a slot that outlives its workers: the next one continues at once. At `b` every worker has
    a slot of its own, so that its partitions move to `a` when it dies, and back later.
    """

    def __init__(
        self, cluster: KafkaCluster, folder: Path, rng: random.Random, **settings: object
    ) -> None:
        self.cluster = cluster
        self._folder, self._rng = folder, rng
        self._bundle = write_tiny(folder / "tiny")
        known = {"bundle": str(self._bundle), **HASTY, **settings}
        self.settings = write_settings(  # cameras_topic: the earlier release does not know it
            folder / "group.toml", cluster, cameras_topic=None, **known
        )
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._codes: dict[str, CodeVersion] = {}
        self._slots: dict[str, str] = {}
        connection = cluster.config.connection
        self._changelog = KafkaChangelog(
            connection,
            topics=cluster.topics,
            group=cluster.config.group,
            stall_s=PATIENCE_S,
            clock=SystemClock(),
        )
        self._reader = TopicTail(connection, topic=cluster.topics.predictions, from_start=True)
        self.predictions: list[Record] = []

    def put(self, place: str, code: CodeVersion) -> None:
        """Kill the worker at a place at a random moment, and start one of `code` there."""
        if place in self._processes:
            self._read(self._rng.uniform(0.0, 0.5))
            self._processes[place].kill()
            self._processes[place].wait()
        self._slots[place] = "a" if place == "a" else f"b-{len(list(self._folder.glob('b-*')))}"
        words = ("worker", "--config", self.settings, "--slot", self._slots[place])
        with (self._folder / f"{self._slots[place]}.log").open("ab") as log:
            log.write(f"---- the {code.name} code\n".encode())
            log.flush()
            self._processes[place] = subprocess.Popen(
                [*code.command, *words],
                stdout=log,
                stderr=log,
                cwd=code.folder,
                env=code.environment,
            )
        self._codes[place] = code

    def kill_any(self) -> None:
        """Kill one of the two, and start another process of the same version in its place."""
        place = self._rng.choice(sorted(self._processes))
        self.put(place, self._codes[place])

    def await_both(self) -> None:
        """Wait until both publish predictions made from now on."""
        since_ms, first = time.time() * 1000, len(self.predictions)

        def both() -> bool:
            self._read(0.1)
            said = [dict(record.headers) for record in self.predictions[first:]]
            at_work = {h["worker"].decode() for h in said if float(h["processed-at"]) > since_ms}
            return at_work >= set(self._slots.values())

        self._until(both, "predictions of both workers")

    def await_end(self) -> None:
        """Wait until all published frames have a fate, then stop the workers."""

        def settled() -> bool:
            found = self._changelog.read(range(PARTITIONS)).values()
            ends = [_next_offset(changelog) == changelog.log_end for changelog in found]
            return all(ends)

        self._until(settled, "manifests at the ends of the frames")
        for process in self._processes.values():
            process.terminate()
        codes = [process.wait(PATIENCE_S) for process in self._processes.values()]
        assert codes == [0, 0], self.last_words()
        while read := self._reader.read(0.5):
            self.predictions += read

    def manifests(self) -> list[Manifest]:
        """Return the manifests of all partitions."""
        found = self._changelog.read(range(PARTITIONS)).values()
        return [Manifest.read(changelog.records[MANIFEST_KEY]) for changelog in found]

    def require_clean(self, codes: Sequence[CodeVersion]) -> None:
        """Check the group with `audit` and `replay --diff` of each version; no fault is allowed."""
        commands = [("audit", "--json"), ("replay", "--diff", "--json")]
        running = [
            subprocess.Popen(
                [*code.command, *words, "--config", self.settings],
                stdout=subprocess.PIPE,
                cwd=code.folder,
                env=code.environment,
            )
            for code in codes
            for words in commands
        ]
        said = [process.communicate(timeout=PATIENCE_S)[0] for process in running]
        assert [process.returncode for process in running] == [0] * len(running), said

    def _until(self, look: Callable[[], bool], what: str) -> None:
        deadline_s = time.monotonic() + PATIENCE_S
        while not look():
            ended = [place for place, one in self._processes.items() if one.poll() is not None]
            assert not ended, f"the worker at {ended} has ended; {self.last_words()}"
            assert time.monotonic() < deadline_s, f"no {what}; {self.last_words()}"

    def _read(self, seconds: float) -> None:
        """Read predictions for this long."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            self.predictions += self._reader.read(left_s)

    def last_words(self) -> dict[str, str]:
        """Return the last lines of all logs."""
        return {log.stem: log.read_text()[-1500:] for log in sorted(self._folder.glob("*.log"))}

    def close(self) -> None:
        """Kill what still runs."""
        for process in self._processes.values():
            process.kill()
            process.wait()
        self._reader.close()
        self._changelog.close()


def _next_offset(changelog: Changelog) -> int | None:
    found = changelog.records.get(MANIFEST_KEY)
    return None if found is None else Manifest.read(found).next_offset
