"""Spans of real processes, and that their collector never matters to the frames."""

import signal
import socket
from pathlib import Path

import pytest

from pipeline.records import TRACEPARENT
from tests.cli.commands import Group, Longtake, Start, until
from tests.pipeline.tracing.collector import Collector

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
STEPS = ("capture", "poll", "decode", "engine", "commit")


@pytest.mark.parametrize("command", [("worker",), ("camera", "clip.mp4", "--stream", "gate")])
def test_without_a_collector_in_the_environment_the_setting_is_an_error(
    longtake: Longtake, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    monkeypatch.delenv(ENDPOINT, raising=False)
    ended = longtake(*command, "--otel")
    assert ended.code == 2
    assert "set OTEL_EXPORTER_OTLP_ENDPOINT to its address" in ended.complaint


@pytest.mark.kafka
def test_a_frame_has_one_trace_from_its_capture_to_its_commit(
    group: Group, start: Start, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Collector() as collector:
        monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{collector.server_port}")
        worker = start("worker", "--config", group.file, "--otel").ready()
        there = ("--bootstrap", group.cluster.config.bootstrap, "--topic", group.topics.frames)
        camera = start("camera", clip, "--stream", "gate", "--otel", *there)
        assert camera.ended().code == 0
        predictions = group.predictions(20)
        assert worker.end(signal.SIGTERM)[0] == 0
        until(lambda: len(collector.spans) == 20 * len(STEPS), "all spans")
        collector.shutdown()
    roots = {span.trace_id: span.span_id for span in collector.spans if span.name == "capture"}
    assert all(
        span.parent_span_id == roots[span.trace_id]
        for span in collector.spans
        if span.name != "capture"
    )
    carried = {dict(record.headers)[TRACEPARENT].split(b"-")[1] for record in predictions}
    assert carried == {trace.hex().encode() for trace in roots}


@pytest.mark.kafka
def test_a_worker_whose_collector_refuses_predicts_and_ends_as_ever(
    group: Group, start: Start, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{nobody.getsockname()[1]}")
    worker = start("worker", "--config", group.file, "--otel").ready()
    there = ("--bootstrap", group.cluster.config.bootstrap, "--topic", group.topics.frames)
    assert start("camera", clip, "--stream", "gate", "--otel", *there).ended().code == 0
    group.predictions(20)
    assert worker.end(signal.SIGTERM)[0] == 0
    assert worker.log.count("spans cannot be exported") <= 1
