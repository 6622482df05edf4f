"""The span `capture` of a shot: one header, however often it is sent, and an end in the log."""

from pathlib import Path

import pytest

from pipeline.broker.shots import Shot
from pipeline.cameras.relay import Relay
from pipeline.cameras.spool import Spool
from pipeline.cameras.values import PictureFate
from pipeline.clock import ManualClock
from pipeline.records import TRACEPARENT
from pipeline.tracing.capture_traces import CaptureTraces
from tests.pipeline.tracing.recorded import Recorded
from tests.uplinks import Log, LogUplink
from tests.world import Steps


class Scene:
    """A relay with traces, whose cycles the test runs one by one."""

    def __init__(self, folder: Path) -> None:
        self.recorded, self.log, self.clock = Recorded(), Log(), ManualClock()
        self.opening = Steps()
        self.uplink = LogUplink(self.log)
        self.relay = Relay(
            self.log.connect,
            Spool(folder / "spool.db", most_bytes=1 << 30, most_us=60_000_000),
            self,
            uplink=self.uplink,
            opening=self.opening,
            clock=self.clock,
            traces=CaptureTraces(self.recorded.tracing),
        )

    def count(self, stream: str, fate: PictureFate, shots: int) -> None:
        pass

    def published(self, shot: Shot, age_s: float) -> None:
        pass

    def post(self, seq: int, *, size: int = 100) -> None:
        captured_us = round(self.clock.time() * 1e6)
        self.relay.post(Shot("gate", seq, 7, captured_us, b"x" * size))

    def turn(self, turns: int = 1) -> None:
        for _ in range(turns):
            self.clock.advance(0.2)
            self.relay.turn(0.0)
            self.opening.run_all()

    @property
    def headers(self) -> list[bytes]:
        return [dict(shot.headers)[TRACEPARENT] for shot in self.log.shots]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_the_span_ends_when_the_frame_is_in_the_log_and_its_header_names_it(scene: Scene) -> None:
    began_ns = round(scene.clock.time() * 1e9)
    scene.post(0)
    scene.turn(3)
    (span,) = scene.recorded.spans
    assert span.context is not None
    assert scene.headers == [
        f"00-{span.context.trace_id:032x}-{span.context.span_id:016x}-01".encode()
    ]
    assert span.name == "capture"
    assert began_ns <= (span.start_time or 0) < (span.end_time or 0)
    assert (span.attributes or {})["longtake.seq"] == 0


def test_a_shot_that_waited_in_the_spool_has_the_header_of_its_first_sending(scene: Scene) -> None:
    scene.log.up = False
    scene.post(0)
    scene.turn(10)
    scene.uplink.fail()
    scene.turn()
    scene.log.up = True
    scene.turn(20)
    (span,) = scene.recorded.spans
    again = Recorded().tracing.begin("capture", seed=b"gate 7 0", began_s=0.0, attributes={})
    assert span.context is not None
    assert scene.headers == [again.traceparent]


def test_a_shot_that_is_too_large_has_no_span(scene: Scene) -> None:
    scene.post(0, size=scene.log.most_bytes + 1)
    scene.post(1)
    scene.turn(3)
    assert [(span.attributes or {})["longtake.seq"] for span in scene.recorded.spans] == [1]
