"""The states of cameras: the same bytes for ever, and bounded whatever the camera says."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cameras.values import PictureFate, State
from pipeline.records import Record
from pipeline.wire.camera_states import (
    GONE,
    PROCESS_CHARACTERS,
    REASON_CHARACTERS,
    STATE_BYTES,
    CameraState,
    removal,
)
from pipeline.wire.frames import LAST_US
from pipeline.wire.json_text import MOST_INTEGER, UnreadableError
from tests.pipeline.camera_states import GATE, state_record

GOLDEN = (
    b'{"schema":1,"stream":"gate","state":"stalled","since":"2023-11-14T22:13:20.000Z",'
    b'"reason":"no good picture for 5 s","published":14925,"lost":0,'
    b'"at":"2023-11-14T22:13:50.000Z","every_ms":30000,"process":"cameras-0",'
    b'"started":"2023-11-14T21:56:40.000Z","newest":"2023-11-14T22:13:15.000Z",'
    b'"fates":{"published":14925,"damaged":2}}'
)
numbers = st.integers(0, MOST_INTEGER // 3)  # three of them are summed up
times = st.integers(0, LAST_US // 1000)
states = st.builds(
    CameraState,
    stream=st.from_regex(r"[A-Za-z0-9._:-]{1,200}", fullmatch=True),
    state=st.sampled_from([*State, GONE]),
    since_ms=times,
    reason=st.text(max_size=REASON_CHARACTERS),
    at_ms=times,
    every_ms=st.integers(1, 86_400_000),
    process=st.text(max_size=PROCESS_CHARACTERS),
    started_ms=times,
    newest_ms=st.none() | times,
    fates=st.dictionaries(st.sampled_from(PictureFate), numbers),
)


def read(value: bytes | None, *, key: bytes | None = b"gate") -> CameraState | None:
    return CameraState.read(Record(0, 0, 0, key, value))


def test_the_bytes_on_the_wire_never_change() -> None:
    assert (GATE.write().key, GATE.write().value) == (b"gate", GOLDEN)
    assert read(GOLDEN) == GATE


@given(states)
def test_what_is_written_is_read_back_with_its_text_escaped_and_cut(state: CameraState) -> None:
    found = CameraState.read(state_record(state, logged_ms=0))
    assert found is not None
    assert replace(found, reason="", process="") == replace(state, reason="", process="")
    assert found.reason.isprintable() or not state.reason.isprintable()
    if state.reason.isprintable():
        assert found.reason == state.reason


@given(st.text(min_size=REASON_CHARACTERS), st.text(min_size=PROCESS_CHARACTERS))
def test_a_reason_of_any_length_fits_into_the_limit(reason: str, process: str) -> None:
    large = dict.fromkeys(map(str, PictureFate), MOST_INTEGER)
    state = replace(GATE, stream="x" * 200, reason=reason, process=process, fates=large)
    assert len(state.write().value or b"") <= STATE_BYTES


def test_the_longest_text_of_the_widest_characters_fits_into_the_limit() -> None:
    wide = "\U0001f600" * 1000  # 12 bytes of ASCII each
    state = replace(GATE, stream="x" * 200, reason=wide, process=wide)
    assert len(state.write().value or b"") <= STATE_BYTES


def test_a_null_is_a_camera_that_was_removed() -> None:
    written = removal("gate")
    assert read(written.value, key=written.key) is None


def test_fields_and_states_of_a_newer_release_are_accepted() -> None:
    newer = json.loads(GOLDEN) | {"state": "dreaming", "battery": {"percent": 7}}
    assert read(json.dumps(newer).encode()) == replace(GATE, state="dreaming")


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (GOLDEN, None),
        (GOLDEN, b"yard"),
        (GOLDEN, b"two words"),
        (GOLDEN.replace(b'"schema":1', b'"schema":2'), b"gate"),
        (GOLDEN + b" " * STATE_BYTES, b"gate"),
    ],
    ids=["no key", "another key", "a key that is no id", "a newer schema", "too large"],
)
def test_such_a_record_is_unreadable(value: bytes, key: bytes | None) -> None:
    with pytest.raises(UnreadableError):
        read(value, key=key)


@pytest.mark.parametrize(
    ("state", "holds_ms"), [("live", 90_000), ("stalled", 90_000), (GONE, 10**12)]
)
def test_a_state_that_was_not_repeated_for_three_intervals_is_out_of_date(
    state: str, holds_ms: int
) -> None:
    one = replace(GATE, state=state)
    assert one.is_current(logged_ms=1000, now_ms=1000 + holds_ms)
    assert one.is_current(logged_ms=1000, now_ms=1001 + holds_ms) is (state == GONE)
