"""Spans that stay in this process, for tests."""

from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from pipeline.tracing.otel import OtelTracing


class Recorded:
    """Tracing through the SDK, and the spans that it has exported."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.tracing = OtelTracing(
            SimpleSpanProcessor(self._exporter), service="test", instance=None
        )

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    @property
    def steps(self) -> list[tuple[object, str]]:
        """Each span's offset and name."""
        return [
            ((span.attributes or {}).get("messaging.kafka.offset"), span.name)
            for span in self.spans
        ]


def parent_of(span: ReadableSpan) -> str:
    """The header whose span is the parent."""
    assert span.parent is not None
    return f"00-{span.parent.trace_id:032x}-{span.parent.span_id:016x}-01"
