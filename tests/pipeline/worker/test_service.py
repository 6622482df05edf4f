"""The process around a worker: what its probes hear, and how it ends."""

import logging
import re
import threading
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engines.base import Engine
from engines.errors import EngineUnavailableError
from engines.model.bundle import load_bundle
from pipeline.clock import SystemClock
from pipeline.config import Overload, Start, WorkerConfig
from pipeline.errors import BrokerUnavailableError, ConfigError, TopicError
from pipeline.local.ports import free_ports
from pipeline.records import Outgoing
from pipeline.worker import service
from pipeline.worker.service import Service
from tests.engines.bundles import SIDE, lettered, write_tiny
from tests.memory_faults import FaultyBroker, InjectedFault, MovableLog
from tests.pipeline.changelogs import manifest
from tests.pipeline.pictures import jpeg
from tests.world import TOPICS

PATIENCE_S = 30.0


class BrokerWithoutTopics(FaultyBroker):
    """Calls `look` whenever a worker asks for its topics."""

    def __init__(self, log: MovableLog, look: Callable[[], None], *, fault: InjectedFault) -> None:
        super().__init__(log, slot="w", fault=fault)
        self._look = look

    def partition_count(self) -> int:
        self._look()
        return super().partition_count()


class ServiceOverMemory:
    """A service over a log in memory. While `away` no transaction can be begun.

    While a topic is `missing` no worker can be made.
    """

    def __init__(self, folder: Path) -> None:
        self.log = MovableLog(TOPICS, partitions=1, clock=SystemClock())
        self.away = threading.Event()
        self.missing = False
        self._bundle = write_tiny(folder / "tiny")

    def make(self, **settings: Any) -> Service:
        wanted: dict[str, Any] = {"engine": "onnxruntime", "metrics_port": 0} | settings
        config = WorkerConfig(bundle=str(self._bundle), start=Start.EARLIEST, **wanted)
        broker = BrokerWithoutTopics(self.log, self.look_for_topics, fault=self._fault)
        return Service(config, broker=broker, name="w")

    def manifest(self, *, attempts: int) -> Outgoing:
        """The manifest of a group whose last workers have died."""
        return manifest(attempts=attempts, bundle=load_bundle(self._bundle).digest).write(0)

    def look_for_topics(self) -> None:
        if self.missing:
            raise TopicError("topic frames is missing")

    def _fault(self, step: str) -> None:
        if step == "begin" and self.away.is_set():
            raise BrokerUnavailableError("the broker is away")


@pytest.fixture
def serving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServiceOverMemory:
    monkeypatch.setenv("LONGTAKE_CACHE", str(tmp_path / "cache"))
    return ServiceOverMemory(tmp_path)


@pytest.fixture
def port(caplog: pytest.LogCaptureFixture) -> Callable[[], int]:
    """The port of the web server, as the log says it."""
    caplog.set_level(logging.INFO, logger="pipeline.worker.service")

    def find() -> int:
        found = re.search(r"http://127\.0\.0\.1:(\d+)/", caplog.text)
        assert found is not None
        return int(found[1])

    return find


def get(port: int, path: str) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def until(condition: Callable[[], bool], what: str) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"in vain waited for {what}"
        time.sleep(0.01)


class ServiceThread:
    """A service in a thread, ended in any case."""

    def __init__(self, made: Service) -> None:
        self.service = made
        self._thread = threading.Thread(target=made.run, daemon=True)

    def __enter__(self) -> "ServiceThread":
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def stop(self) -> None:
        self.service.stop()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


def test_a_service_that_is_told_to_stop_commits_what_is_finished_and_leaves(
    serving: ServiceOverMemory, port: Callable[[], int]
) -> None:
    with ServiceThread(serving.make()) as running:
        until(lambda: running.service.worker.ready, "a ready worker")
        serving.away.set()
        serving.log.publish(0, b"cam-1", jpeg(SIDE, SIDE, seed=1))
        predicted = 'longtake_batch_frames_sum{group="longtake"} 1.0'
        until(lambda: predicted in get(port(), "/metrics")[1], "a predicted frame")
        assert serving.log.read_committed(TOPICS.predictions) == []
        serving.away.clear()
        running.stop()
    assert len(serving.log.read_committed(TOPICS.predictions)) == 1
    assert serving.log.group.member_ids == ()


@pytest.mark.parametrize("attempts", [0, 2])
def test_a_picture_above_the_limit_is_dead_lettered_in_a_child_process_too(
    serving: ServiceOverMemory, attempts: int
) -> None:
    serving.log.publish(0, b"cam-1", jpeg(SIDE, SIDE + 1, seed=1))
    serving.log.write_through(serving.manifest(attempts=attempts))
    with ServiceThread(serving.make(max_frame_pixels=SIDE * SIDE)):
        until(lambda: bool(serving.log.read_committed(TOPICS.dead_letters)), "a dead letter")
    (letter,) = serving.log.read_committed(TOPICS.dead_letters)
    headers = dict(letter.headers)
    assert headers["reason"] == b"undecodable"
    assert b"at most 256 are decoded (max_frame_pixels)" in headers["error"]


def test_probes_hear_whether_the_worker_is_ready(
    serving: ServiceOverMemory, port: Callable[[], int]
) -> None:
    made = serving.make()
    assert get(port(), "/healthz") == (200, "alive\n")
    assert get(port(), "/readyz") == (503, "restoring, or not in the group yet\n")
    with ServiceThread(made):
        until(lambda: made.worker.ready, "a ready worker")
        assert get(port(), "/readyz") == (200, "ready\n")


def test_probes_of_a_service_that_waits_for_topics_hear_which(
    serving: ServiceOverMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[tuple[int, str]] = []
    pauses = iter(range(2))
    (port,) = free_ports(1)

    def ask(_: float) -> None:
        heard.extend(get(port, path) for path in ("/healthz", "/readyz"))
        serving.missing = next(pauses) == 0

    monkeypatch.setattr(service, "time", SimpleNamespace(sleep=ask))
    serving.missing = True
    made = serving.make(wait_for_topics_s=60, metrics_port=port)
    why = "waiting for topics: topic frames is missing\n"
    assert heard == [(200, f"alive, starting: {why}"), (503, why)] * 2
    made.worker.close()


def test_after_the_end_no_probe_is_answered_any_more(
    serving: ServiceOverMemory, port: Callable[[], int]
) -> None:
    with ServiceThread(serving.make()):
        assert get(port(), "/healthz")[0] == 200
    with pytest.raises(ConnectionRefusedError):
        get(port(), "/healthz")


def test_probes_of_a_service_whose_engine_cannot_start_hear_why(
    serving: ServiceOverMemory, port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> Engine:
        raise EngineUnavailableError("there is no GPU")

    heard: list[tuple[int, str]] = []
    asked = SimpleNamespace(sleep=lambda _: heard.append(get(port(), "/healthz")))
    monkeypatch.setattr(service, "load_engine", refuse)
    monkeypatch.setattr(service, "time", asked)
    with pytest.raises(EngineUnavailableError, match="there is no GPU"):
        serving.make()
    assert heard == [(503, "the engine cannot start: there is no GPU\n")]


# ------------------------------------------------------------------------------------------ signals


def test_a_worker_that_would_skip_letters_does_not_start(tmp_path: Path) -> None:
    bundle = lettered(tmp_path / "text")
    config = WorkerConfig(
        bundle=str(tmp_path / "text"),
        overload=Overload.LATEST,
        engine="onnxruntime",
        metrics_port=0,
    )
    broker = FaultyBroker(
        MovableLog(TOPICS, partitions=1, clock=SystemClock()), slot="w", fault=lambda step: None
    )
    words = f"overload = latest would skip records, and {bundle.id} takes text"
    with pytest.raises(ConfigError, match=words):
        Service(config, broker=broker, name="w")
