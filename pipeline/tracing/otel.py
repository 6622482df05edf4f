"""Tracing through the SDK of OpenTelemetry: the only module that imports it."""

import hashlib
import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Span, SpanKind, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from pipeline.tracing.spans import Attributes, FinishedSpan, OpenSpan

log = logging.getLogger(__name__)

CLOSE_S = 2.0
KINDS = {"capture": SpanKind.PRODUCER, "poll": SpanKind.CONSUMER}
_W3C = TraceContextTextMapPropagator()
_NS = 1_000_000_000
_TRACE_BYTES, _SPAN_BYTES = 16, 8


class OtelTracing:
    """See `Tracing`. The processor must not block in `on_end`, as the batch processor does not."""

    def __init__(self, processor: SpanProcessor, *, service: str, instance: str | None) -> None:
        self._ids = _SeededIds()
        self._provider = TracerProvider(
            resource=_resource(service, instance), id_generator=self._ids, shutdown_on_exit=False
        )
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("longtake", version("longtake"))

    def begin(self, name: str, *, seed: bytes, began_s: float, attributes: Attributes) -> OpenSpan:
        """See `Tracing`."""
        began_ns = round(began_s * _NS)
        with self._ids.seeded(seed):
            span = self._tracer.start_span(
                name, Context(), _kind(name), attributes=attributes, start_time=began_ns
            )
        return _RootSpan(span, began_ns)

    def write(self, traceparent: bytes, spans: Iterable[FinishedSpan]) -> None:
        """See `Tracing`."""
        parent = _W3C.extract({"traceparent": traceparent.decode("ascii")}, Context())
        if not get_current_span(parent).get_span_context().is_valid:
            return
        for one in spans:
            ended_ns = round(one.ended_s * _NS)
            span = self._tracer.start_span(
                one.name,
                parent,
                _kind(one.name),
                attributes=one.attributes,
                start_time=min(round(one.began_s * _NS), ended_ns),
            )
            span.end(ended_ns)

    def close(self) -> None:
        """See `Tracing`."""
        ending = threading.Thread(target=self._provider.shutdown, name="spans", daemon=True)
        ending.start()  # it may wait for half a minute
        ending.join(CLOSE_S)


@dataclass(frozen=True, slots=True)
class _RootSpan:
    _span: Span
    _began_ns: int

    @property
    def traceparent(self) -> bytes | None:
        """See `OpenSpan`."""
        ours = self._span.get_span_context()
        if not ours.trace_flags.sampled:
            return None
        return f"00-{ours.trace_id:032x}-{ours.span_id:016x}-01".encode()

    def end(self, ended_s: float) -> None:
        """See `OpenSpan`."""
        self._span.end(max(round(ended_s * _NS), self._began_ns))


def otlp_tracing(*, endpoint: str, service: str, instance: str | None) -> OtelTracing:
    """Export by OTLP over HTTP, as the OTEL_* variables say. Messages show `endpoint`."""
    exporter = _LoggedExporter(OTLPSpanExporter(), endpoint)
    return OtelTracing(BatchSpanProcessor(exporter), service=service, instance=instance)


class _LoggedExporter(SpanExporter):
    """Logs when exporting begins to fail, and when it succeeds again; the SDK logs each attempt."""

    def __init__(self, exporter: SpanExporter, shown: str) -> None:
        self._exporter, self._shown = exporter, shown
        self._lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export."""
        result = self._exporter.export(spans)
        if result is SpanExportResult.SUCCESS:
            if self._lost:
                log.info("spans are exported again; %d were lost", self._lost)
            self._lost = 0
            return result
        if not self._lost:
            log.warning("spans cannot be exported to %s; nothing else waits for it", self._shown)
        self._lost += len(spans)
        return result

    def shutdown(self) -> None:
        """Stop."""
        self._exporter.shutdown()


class _SeededIds(RandomIdGenerator):
    """Random ids, except within `seeded`: there they are a hash of the seed."""

    def __init__(self) -> None:
        self._digest: bytes | None = None

    @contextmanager
    def seeded(self, seed: bytes) -> Iterator[None]:
        """Make the ids of one root span from a seed."""
        size = _TRACE_BYTES + _SPAN_BYTES
        self._digest = hashlib.blake2b(seed, digest_size=size, person=b"longtake").digest()
        yield
        self._digest = None

    def generate_trace_id(self) -> int:
        """Return the id of the trace."""
        if self._digest is None:
            return super().generate_trace_id()
        return int.from_bytes(self._digest[:_TRACE_BYTES], "big")

    def generate_span_id(self) -> int:
        """Return the id of the span."""
        if self._digest is None:
            return super().generate_span_id()
        return int.from_bytes(self._digest[_TRACE_BYTES:], "big")

    def is_trace_id_random(self) -> bool:
        """Return False: the flag is for ids that nobody can guess."""
        return False


def _kind(name: str) -> SpanKind:
    return KINDS.get(name, SpanKind.INTERNAL)


def _resource(service: str, instance: str | None) -> Resource:
    """Return what OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say, and our own names else."""
    said = Resource.create()
    ours: dict[str, str] = {}
    if str(said.attributes.get(SERVICE_NAME, "")).startswith("unknown_service"):
        ours[SERVICE_NAME] = service
    if instance is not None:
        ours[SERVICE_INSTANCE_ID] = instance
    return said.merge(Resource(ours))
