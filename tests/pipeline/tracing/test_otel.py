"""Tracing through the SDK of OpenTelemetry: ids, sampling, export, and collectors that are gone."""

import logging
import socket
import sys
from collections.abc import Iterator

import pytest

from pipeline.errors import ConfigError, DependencyError
from pipeline.tracing.opening import ENDPOINTS, ONLY, open_tracing
from pipeline.tracing.spans import FinishedSpan, Tracing
from tests.pipeline.tracing.collector import Collector
from tests.pipeline.tracing.recorded import Recorded

PARENT = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SPAN = FinishedSpan("decode", 10.0, 11.0)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*ENDPOINTS, *ONLY, "OTEL_SERVICE_NAME", "OTEL_TRACES_SAMPLER"):
        monkeypatch.delenv(name, raising=False)


def opened(monkeypatch: pytest.MonkeyPatch, port: int) -> Tracing:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    tracing = open_tracing(environment, service="longtake-worker", instance="slot-1")
    assert tracing is not None
    return tracing


def test_the_collector_of_the_environment_gets_spans_and_who_sent_them(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracing = opened(monkeypatch, collector.server_port)
    tracing.write(PARENT, [SPAN])
    tracing.close()
    ((path, request),) = collector.taken
    (resource,) = request.resource_spans
    names = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert path == "/v1/traces"
    assert (names["service.name"], names["service.instance.id"]) == ("longtake-worker", "slot-1")
    assert resource.scope_spans[0].spans[0].name == "decode"


def test_the_service_of_the_environment_wins(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "gate-workers")
    tracing = opened(monkeypatch, collector.server_port)
    tracing.write(PARENT, [SPAN])
    tracing.close()
    assert b"gate-workers" in collector.taken[0][1].SerializeToString()


def test_a_collector_that_refuses_is_logged_once_and_waited_for_never(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.1")
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    tracing = opened(monkeypatch, port)
    for _ in range(10_000):  # more than the queue holds
        tracing.write(PARENT, [SPAN])
    tracing.close()
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("pipeline")]
    assert ours == [
        f"spans cannot be exported to http://127.0.0.1:{port}; nothing else waits for it"
    ]


def test_a_root_span_has_the_same_ids_for_the_same_seed() -> None:
    def header(recorded: Recorded, seed: bytes) -> bytes | None:
        return recorded.tracing.begin("capture", seed=seed, began_s=1.0, attributes={}).traceparent

    recorded = Recorded()
    first = header(recorded, b"gate 1 7")
    assert header(Recorded(), b"gate 1 7") == first
    assert header(recorded, b"gate 1 8") != first
    assert list(recorded.spans) == []  # none has ended


def test_a_trace_that_is_not_sampled_has_no_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    span = Recorded().tracing.begin("capture", seed=b"gate 1 7", began_s=1.0, attributes={})
    assert span.traceparent is None


def test_a_clock_that_was_set_back_gives_a_span_without_length() -> None:
    recorded = Recorded()
    recorded.tracing.begin("capture", seed=b"a", began_s=9.0, attributes={}).end(8.0)
    recorded.tracing.write(PARENT, [FinishedSpan("poll", 12.0, 11.0)])
    assert [(span.start_time, span.end_time) for span in recorded.spans] == [
        (9_000_000_000, 9_000_000_000),
        (11_000_000_000, 11_000_000_000),
    ]


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "set OTEL_EXPORTER_OTLP_ENDPOINT to its address"),
        ({ENDPOINTS[1]: "  "}, "set OTEL_EXPORTER_OTLP_ENDPOINT to its address"),
        ({ENDPOINTS[1]: "collector:4318"}, "wanted an address such as http://127.0.0.1:4318"),
        ({ENDPOINTS[0]: "http://key@:x"}, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: wanted an address"),
        (
            {ENDPOINTS[1]: "http://c:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "longtake has http/protobuf alone",
        ),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "longtake has otlp alone"),
    ],
)
def test_an_environment_that_names_no_collector_is_refused(
    environment: dict[str, str], words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        open_tracing(environment, service="longtake-worker", instance=None)
    assert "key" not in str(caught.value)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pipeline.tracing.otel", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    with pytest.raises(DependencyError, match=r"pip install '\.\[otel\]'"):
        open_tracing({}, service="longtake-worker", instance=None)


def test_the_standard_switch_turns_it_off() -> None:
    environment = {"OTEL_SDK_DISABLED": "true"}
    assert open_tracing(environment, service="longtake-worker", instance=None) is None
