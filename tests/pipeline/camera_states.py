"""States of cameras for tests, and the records that hold them."""

from dataclasses import replace

from pipeline.records import Record
from pipeline.wire.camera_states import CameraState

GATE = CameraState(
    stream="gate",
    state="stalled",
    since_ms=1_700_000_000_000,
    reason="no good picture for 5 s",
    at_ms=1_700_000_030_000,
    every_ms=30_000,
    process="cameras-0",
    started_ms=1_699_999_000_000,
    newest_ms=1_699_999_995_000,
    fates={"published": 14_925, "damaged": 2},
)


def state_record(state: CameraState, *, logged_ms: int | None = None, offset: int = 0) -> Record:
    """Return the record of a state, as the log stores it; by default it arrives at once."""
    written = state.write()
    logged_ms = state.at_ms if logged_ms is None else logged_ms
    return Record(0, offset, logged_ms, written.key, written.value)


def stated(state: str, **more: object) -> CameraState:
    """Return another state of the gate."""
    return replace(GATE, state=state, **more)  # type: ignore[arg-type]  # the fields of a state
