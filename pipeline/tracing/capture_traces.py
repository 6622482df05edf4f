"""The span `capture` of a camera's frame: from its capture until it is in the log."""

from dataclasses import replace

from pipeline.broker.shots import SettledShot, Shot, ShotOutcome
from pipeline.tracing.spans import OpenSpan, Tracing


class CaptureTraces:
    """The traces of shots that are sent and not acknowledged, by number. One owner thread.

    The ids are made from stream, epoch and `seq`: a shot that is sent again, also by the next
    process from its spool, has the same ones.
    """

    def __init__(self, tracing: Tracing) -> None:
        self._tracing = tracing
        self._open: dict[int, OpenSpan] = {}

    def begin(self, number: int, shot: Shot) -> Shot:
        """Return the shot with the header of its trace; as it is if the trace is not sampled."""
        span = self._tracing.begin(
            "capture",
            seed=f"{shot.stream} {shot.epoch} {shot.seq}".encode(),
            began_s=shot.captured_us / 1e6,
            attributes={
                "longtake.stream": shot.stream,
                "longtake.epoch": shot.epoch,
                "longtake.seq": shot.seq,
                "messaging.message.body.size": len(shot.content),
            },
        )
        if span.traceparent is None:
            return shot
        self._open[number] = span
        return replace(shot, traceparent=span.traceparent)

    def settle(self, settled: SettledShot, now_s: float) -> None:
        """End the span of a shot that is in the log; forget that of one that is too large."""
        span = self._open.pop(settled.number, None)
        if span is not None and settled.outcome is ShotOutcome.TAKEN:
            span.end(now_s)

    def drop_all(self) -> None:
        """Forget all spans: what was not acknowledged will be sent again."""
        self._open.clear()
