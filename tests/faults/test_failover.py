"""Kill a worker on a real Kafka: its streams continue in another one, with their memory."""

import json
import os
import signal
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.admin import KafkaAdminClient

from pipeline.config import WorkerConfig
from pipeline.local.cluster import LocalKafka
from pipeline.records import Record
from pipeline.wire.changelog import MANIFEST_KEY, Manifest
from tests.clusters import KafkaCluster
from tests.engines.bundles import write_tiny
from tests.pipeline.pictures import jpeg

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

PARTITIONS = 4
STREAMS = [f"cam-{n}" for n in range(8)]


class Crew:
    """Worker processes of one group, and the cameras that feed them."""

    def __init__(self, cluster: KafkaCluster, folder: Path) -> None:
        self.cluster = cluster
        self._folder = folder
        self._bundle = write_tiny(folder / "tiny")
        self._seq = 0
        self.environment = dict(os.environ)
        self.program = "pipeline"  # a module
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._settings = folder / "longtake.toml"
        config: WorkerConfig = cluster.config
        self._settings.write_text(
            f'frames_topic = "{config.frames_topic}"\n'
            f'predictions_topic = "{config.predictions_topic}"\n'
            f'dead_letters_topic = "{config.dead_letters_topic}"\n'
            'start = "earliest"\nmetrics_port = 0\n'
            "session_timeout_s = 3\nheartbeat_s = 0.3\ntransaction_timeout_s = 1.5\n"
        )

    def launch(self, slot: str, *options: str) -> None:
        command = [
            *(sys.executable, "-m", self.program, "worker"),
            *("--bootstrap", self.cluster.config.bootstrap, "--group", self.cluster.config.group),
            *("--bundle", str(self._bundle), "--config", str(self._settings), *options),
        ]
        with (self._folder / f"{slot}.log").open("ab") as log:
            self.processes[slot] = subprocess.Popen(
                command, stdout=log, stderr=log, env=self.environment
            )

    def film(self, rounds: int, *, pause_s: float = 0.02) -> None:
        """Publish one frame of every stream per round."""
        for _ in range(rounds):
            for n, stream in enumerate(STREAMS):
                headers = (
                    ("seq", str(self._seq).encode()),
                    ("captured-at", b"%.3f" % (1_700_000_000_000 + self._seq * 100)),
                )
                picture = jpeg(16, 16, seed=self._seq * 31 + n)
                self.cluster.publish(n % PARTITIONS, stream.encode(), picture, headers)
            self._seq += 1
            time.sleep(pause_s)

    @property
    def filmed(self) -> int:
        return self._seq * len(STREAMS)

    def await_predictions(self, count: int, *, timeout_s: float = 60) -> list[Record]:
        deadline_s = time.monotonic() + timeout_s
        while True:
            found = list(self.cluster.committed(self.cluster.topics.predictions))
            if len(found) >= count:
                return found
            assert time.monotonic() < deadline_s, (
                f"{len(found)} of {count} predictions; {self.last_words()}"
            )

    def last_words(self) -> dict[str, str]:
        return {log.stem: log.read_text()[-1500:] for log in self._folder.glob("*.log")}

    def kill(self, slot: str) -> None:
        self.processes[slot].kill()
        self.processes[slot].wait()

    def close(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.kill()
                process.wait()

    def members(self) -> set[str | None]:
        """Return the static ids of the group's members; None stands for all without one."""
        group = self.cluster.config.group
        admin = KafkaAdminClient(bootstrap_servers=self.cluster.config.bootstrap)
        try:
            found = admin.describe_groups([group])[group]["members"]
            return {member["group_instance_id"] for member in found}
        finally:
            admin.close()


@pytest.fixture
def crew(kafka: LocalKafka, tmp_path: Path) -> Iterator[Crew]:
    cluster = KafkaCluster(kafka.connection, PARTITIONS)
    made = Crew(cluster, tmp_path)
    yield made
    made.close()
    cluster.close()


def assert_chains_hold(records: list[Record]) -> None:
    """Check every link from the text alone: none missing, repeated or altered."""
    newest = dict.fromkeys(STREAMS, "00000000")
    for record in records:
        body, _, tail = (record.value or b"").rpartition(b',"prev":')
        stated = json.loads(b'{"prev":' + tail)
        prediction = json.loads(record.value or b"")
        assert stated["prev"] == newest[prediction["stream"]]
        computed = f"{zlib.crc32(body, zlib.crc32(stated['prev'].encode())):08x}"
        assert stated["chain"] == computed
        newest[prediction["stream"]] = computed


def assert_each_frame_is_predicted_once(records: list[Record], filmed: int) -> None:
    """Check for one prediction per frame and uninterrupted memory."""
    for stream in STREAMS:
        mine = [json.loads(r.value or b"") for r in records if r.key == stream.encode()]
        assert [p["seq"] for p in mine] == list(range(len(mine)))
        assert [p["memory"]["frames"] for p in mine] == list(range(len(mine)))
        assert {p["memory"]["reset"] for p in mine[1:]} == {None}
    assert len(records) == filmed


def assert_nothing_is_missing(crew: Crew, records: list[Record]) -> None:
    """Check for one prediction per frame, uninterrupted memory, and ledgers that add up."""
    assert_each_frame_is_predicted_once(records, crew.filmed)
    reader = crew.cluster.broker("reader").changelog()
    for changelog in reader.read(range(PARTITIONS)).values():
        manifest = Manifest.read(changelog.records[MANIFEST_KEY])
        accounted = sum(manifest.fates.values()) + manifest.absent + manifest.expired
        assert manifest.next_offset - manifest.first_offset == accounted
        assert manifest.next_offset == changelog.log_end
    reader.close()


def test_the_streams_of_a_killed_worker_go_on_in_the_other_with_their_memory(crew: Crew) -> None:
    crew.launch("one")
    crew.launch("two")
    crew.film(40)
    crew.await_predictions(crew.filmed - len(STREAMS))
    crew.film(20)
    crew.kill("one")
    crew.film(60)
    records = crew.await_predictions(crew.filmed)
    assert_chains_hold(records)
    assert_nothing_is_missing(crew, records)
    assert len({dict(r.headers)["worker"] for r in records}) == 2


@pytest.mark.slow
def test_a_static_worker_killed_again_and_again_loses_nothing(crew: Crew) -> None:
    crew.launch("one", "--slot", "one")
    for _ in range(4):
        crew.film(15)
        crew.await_predictions(1)
        crew.kill("one")
        crew.launch("one", "--slot", "one")
    crew.film(15)
    records = crew.await_predictions(crew.filmed)
    assert_chains_hold(records)
    assert_nothing_is_missing(crew, records)


def test_a_worker_that_was_frozen_past_its_session_publishes_nothing_of_the_past(
    crew: Crew,
) -> None:
    crew.launch("one")
    crew.launch("two")
    crew.film(30)
    crew.await_predictions(crew.filmed)
    os.kill(crew.processes["one"].pid, signal.SIGSTOP)
    crew.film(50, pause_s=0.1)
    os.kill(crew.processes["one"].pid, signal.SIGCONT)
    crew.film(20)
    records = crew.await_predictions(crew.filmed)
    assert_chains_hold(records)
    assert_nothing_is_missing(crew, records)


def test_a_worker_that_is_told_to_stop_commits_and_leaves_at_once(crew: Crew) -> None:
    crew.launch("one")
    crew.film(20)
    crew.await_predictions(crew.filmed)
    crew.processes["one"].terminate()
    assert crew.processes["one"].wait(30) == 0
    assert crew.members() == set()
    crew.launch("two")
    crew.film(20)
    records = crew.await_predictions(crew.filmed)
    assert_chains_hold(records)
    assert_nothing_is_missing(crew, records)


def workers_now(records: list[Record]) -> set[bytes]:
    """Return the workers that made the newest prediction of each partition."""
    return set({r.partition: dict(r.headers)["worker"] for r in records}.values())


def two_with_slots(crew: Crew, *options: str) -> None:
    """Start two workers with slots that share the partitions; the session timeout is 60 s."""
    crew.environment["LONGTAKE_SESSION_TIMEOUT_S"] = "60"
    for slot in ("one", "two"):
        crew.launch(slot, "--slot", slot, *options)
    crew.film(5)
    while workers_now(crew.await_predictions(crew.filmed)) != {b"one", b"two"}:
        crew.film(5)


def test_a_stopped_worker_leaves_its_slot_and_the_others_go_on_before_its_session_ends(
    crew: Crew,
) -> None:
    two_with_slots(crew)
    crew.film(20)
    crew.processes["one"].terminate()
    assert crew.processes["one"].wait(30) == 0
    assert crew.members() == {"two"}
    crew.film(20)
    records = crew.await_predictions(crew.filmed, timeout_s=45)
    assert_chains_hold(records)
    assert_nothing_is_missing(crew, records)
    assert workers_now(records) == {b"two"}


@pytest.mark.slow
def test_a_worker_that_stays_at_a_stop_is_a_member_until_its_successor_comes(crew: Crew) -> None:
    two_with_slots(crew, "--on-stop", "stay")
    crew.processes["one"].terminate()
    assert crew.processes["one"].wait(30) == 0
    assert crew.members() == {"one", "two"}
    crew.launch("one", "--slot", "one")
    crew.film(20)
    records = crew.await_predictions(crew.filmed, timeout_s=45)
    assert_chains_hold(records)
    assert_nothing_is_missing(crew, records)


def test_a_killed_worker_keeps_its_slot(crew: Crew) -> None:
    two_with_slots(crew)
    crew.kill("one")
    assert crew.members() == {"one", "two"}
    crew.launch("one", "--slot", "one")
    crew.film(20)
    records = crew.await_predictions(crew.filmed, timeout_s=45)
    assert_chains_hold(records)
    assert_nothing_is_missing(crew, records)
