"""Reading any foreign record returns a value or raises the one error, never another."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import CorruptStateError
from pipeline.records import Admission, Fate, Headers, Outgoing, Record, Reset
from pipeline.wire.camera_states import CameraState
from pipeline.wire.changelog import Manifest
from pipeline.wire.dead_letters import DeadLetterSource
from pipeline.wire.frames import LAST_US
from pipeline.wire.growths.growth import Growth, GrowthArrival
from pipeline.wire.growths.moved_stream import MovedStream
from pipeline.wire.json_text import UnreadableError
from pipeline.wire.lives import Life
from pipeline.wire.predictions import Prediction
from pipeline.wire.skips import Skips
from pipeline.wire.snapshots import Snapshot
from tests.pipeline.camera_states import GATE
from tests.pipeline.foreign import ANYTHING, WRONG, changed, paths
from tests.pipeline.predictions import Tape

HOSTILE = [
    *(b"", b"[" * 200_000, b'{"a":' * 100_000, b"[]", b"null", b'"', b"\xff\xfe", b"{", b"NaN"),
    *(b'{"schema":' + b"9" * 5_000 + b"}", b"{}", b'{"schema":1}', b'{"schema":2}', b"\x00" * 99),
]


@dataclass(frozen=True)
class Format:
    """One format: an example, its reader, and the error that the reader may raise."""

    example: dict[str, Any]
    read: Callable[[bytes], Any]
    error: type[Exception]


def example_snapshot() -> Outgoing:
    admission = Admission(record_ms=9, seen_us=8, planned_us=7, due_us=66, seq=5, epoch=4)
    return Snapshot("a", "b" * 64, 41, admission, 7, 6, 5, "9f3a1c02", Reset.GAP, {}).write(3)


def state(written: Outgoing, read: Callable[[Record], Any], *, header: bool = False) -> Format:
    """Return a format of the changelog; a snapshot's JSON is in the header `meta`."""

    def reading(text: bytes) -> Any:
        headers: Headers = (("meta", text),) if header else ()
        value = written.value if header else text
        return read(Record(3, 17, 0, written.key, value, headers))

    text = dict(written.headers)["meta"] if header else written.value
    return Format(json.loads(text or b""), reading, CorruptStateError)


MANIFEST = Manifest(10, 17, 7, "w", 3, "b" * 64, 8, 1_000, {Fate.PREDICTED: 5}, absent=2)
FORMATS = {
    "prediction": Format(
        json.loads(Tape().predict(5).value or b""), Prediction.read, UnreadableError
    ),
    "camera state": Format(
        json.loads(GATE.write().value or b""),
        lambda text: CameraState.read(Record(0, 17, 0, b"gate", text)),
        UnreadableError,
    ),
    "manifest": state(MANIFEST.write(3), Manifest.read),
    "snapshot": state(example_snapshot(), Snapshot.read, header=True),
    "skips": state(Skips("hall:1", ((41, 43), (50, 50))).write(3), Skips.read),
    "growth": state(Growth(4, 12, 5_000, GrowthArrival(3, 1, 17, 6_000)).write(3), Growth.read),
    "moved stream": state(MovedStream("hall", 7, 41, 9, "9f3a1c02").write(3), MovedStream.read),
    "life": state(Life(2, 500, 431, {0: 3, 1: 0}).write(3), Life.read),
}

formats = pytest.mark.parametrize("name", FORMATS)


def read_or_refused(name: str, text: bytes) -> Any:
    """Read, or return None. The error must be a sentence that names the changelog record."""
    one, why = FORMATS[name], ""
    try:
        return one.read(text)
    except one.error as exc:
        why = str(exc)
    assert why.isprintable()
    assert len(why) < 600
    if one.error is CorruptStateError:
        assert re.search(r"partition 3 cannot be read: b'.*' at offset 17: ", why)
    return None


@formats
def test_the_example_itself_is_read(name: str) -> None:
    assert read_or_refused(name, json.dumps(FORMATS[name].example).encode()) is not None


@formats
@pytest.mark.parametrize("text", HOSTILE)
def test_what_has_nothing_of_the_format_is_refused(name: str, text: bytes) -> None:
    assert read_or_refused(name, text) is None


@formats
@pytest.mark.parametrize("wrong", [..., *WRONG], ids=lambda wrong: repr(wrong)[:20])
def test_one_wrong_field_is_refused_or_read_and_never_anything_else(name: str, wrong: Any) -> None:
    example = FORMATS[name].example
    for path in paths(example):
        read_or_refused(name, json.dumps(changed(example, path, wrong)).encode())


@formats
@given(data=st.data())
def test_several_wrong_fields_are_refused_or_read_and_never_anything_else(
    name: str, data: st.DataObject
) -> None:
    content = FORMATS[name].example
    for _ in range(data.draw(st.integers(1, 3))):
        places = [*paths(content), ("added",)]
        path = places[data.draw(st.integers(0, len(places) - 1))]
        content = changed(content, path, data.draw(ANYTHING))
    read_or_refused(name, json.dumps(content).encode())


@formats
@given(text=st.binary(max_size=200))
def test_any_bytes_are_refused(name: str, text: bytes) -> None:
    assert read_or_refused(name, text) is None


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        *((("confidence",), wrong) for wrong in (1e9, -0.1, "0.5", None, True)),
        *((("scores", "walk"), wrong) for wrong in (1.1, "x")),
        *((("stream",), wrong) for wrong in ("", "a b", 5, "x" * 201)),
        *((("chain",), wrong) for wrong in ("ABCDEF01", "123", 5)),
        *((("source", "offset"), wrong) for wrong in (-1, 2**63, "7", 1.0)),
        (("source", "partition"), -2),
        *((("memory", "frames"), wrong) for wrong in (-1, 1.5)),
        *((("memory", "age_s"), wrong) for wrong in (-1, "x")),
        *((("memory", "reset"), wrong) for wrong in ("A b", "x" * 33, 5)),
        *((("captured_at",), wrong) for wrong in ("soon", "2026-13-01T00:00:00.000Z")),
        (("label",), "x" * (1 << 17)),
        *((("schema",), wrong) for wrong in (2, -1, "1", None)),
    ],
)
def test_no_prediction_has_such_a_field(path: tuple[str, ...], wrong: Any) -> None:
    content = changed(FORMATS["prediction"].example, path, wrong)
    assert read_or_refused("prediction", json.dumps(content).encode()) is None


@pytest.mark.parametrize(
    ("name", "field", "wrong"),
    [
        *(("manifest", "next_offset", wrong) for wrong in ("5", -5, 9, 5.0)),
        ("manifest", "fates", {"predicted": -1}),
        ("manifest", "fates", {"Strange fate": 1}),
        ("manifest", "partitions", 0),
        *(("snapshot", "offset", wrong) for wrong in ("x", -2)),
        ("snapshot", "frames", "1"),
        ("snapshot", "age_us", []),
        ("snapshot", "chain", "x"),
        *(("snapshot", name, 10**18) for name in ("seq", "epoch")),
        *(("snapshot", name, LAST_US + 1) for name in ("seen_us", "planned_us", "stepped_us")),
        ("snapshot", "record_ms", LAST_US // 1000 + 1),
        ("manifest", "stream_time_ms", LAST_US // 1000 + 1),
        *(("skips", "ranges", wrong) for wrong in ([], [[5, 4]], [[41, 43], [43, 44]], [[41]])),
        ("skips", "ranges", [[42, 43]]),  # under the key of offset 41
        *(("life", "number", wrong) for wrong in (1, 3, "2")),
        ("life", "dead_letters_end", {"²": 1}),
    ],
)
def test_no_changelog_has_such_a_field(name: str, field: str, wrong: Any) -> None:
    content = FORMATS[name].example | {field: wrong}
    assert read_or_refused(name, json.dumps(content).encode()) is None


TENSORS = safetensors.numpy.save({"h": np.zeros(4, np.float32)})


@pytest.mark.parametrize(
    "changes",
    [
        {"key": b"s:\xff"},
        {"key": b"s:"},
        {"key": None},
        {"value": b"xx"},
        {"value": None},
        {"value": b"\xff" * 8 + b"{}"},
        {"value": TENSORS[:-1]},
        {"headers": ()},
        {"headers": (("meta", b"["),)},
    ],
)
def test_a_snapshot_of_other_bytes_is_corrupt_state(changes: dict[str, Any]) -> None:
    written = example_snapshot()
    facts = {"key": written.key, "value": TENSORS, "headers": written.headers} | changes
    with pytest.raises(CorruptStateError, match="partition 3 cannot be read"):
        Snapshot.read(Record(3, 17, 0, **facts))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["source-topic", "source-partition", "source-offset"]),
            st.binary(max_size=30) | st.just(b"9" * 5_000),
        ),
        max_size=4,
    )
)
def test_a_dead_letter_says_what_it_is_of_or_nothing(headers: list[tuple[str, bytes]]) -> None:
    found = DeadLetterSource.read(Record(0, 0, 0, b"k", b"v", tuple(headers)))
    assert found is None or (found.partition < 10**9 and found.offset < 2**63)
