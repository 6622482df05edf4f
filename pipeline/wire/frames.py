"""Writes and reads records of the frames topic. The only place for their format."""

import re
from decimal import Decimal

from pipeline.errors import MalformedRecordError, RefusedBatchError
from pipeline.records import (
    MAX_HEADERS,
    TRACEPARENT,
    BadRecord,
    EndOfStream,
    Frame,
    Headers,
    ParsedRecord,
    Record,
)
from pipeline.wire.units import KEYFRAME, is_keyframe, is_unit

CAPTURED = "captured-at"
TRACEPARENT_BYTES = 256  # W3C's first version has 55, later ones may have more

STREAM = re.compile(r"[A-Za-z0-9._:-]{1,200}", re.ASCII)
STREAM_WANTED = "a stream id of 1 to 200 characters of A-Z a-z 0-9 . _ : -"
MOST_COUNTER = 10**18 - 1  # of `seq` and `epoch`
_COUNTER = re.compile(r"[0-9]{1,18}", re.ASCII)
_VISIBLE = re.compile(rb"[!-~]{1,%d}" % TRACEPARENT_BYTES)
_MILLISECONDS = re.compile(r"[0-9]{1,15}(\.[0-9]{1,9})?", re.ASCII)
LAST_US = 253_402_300_799_999_999  # the end of the year 9999, the last that ISO 8601 can write


def frame_headers(
    *, captured_us: int | None, seq: int, epoch: int, content_type: str, keyframe: bool = False
) -> Headers:
    """Return the headers of a frame. The record's key is the stream id, its value the picture.

    `captured_us`: None where the source has no time, as text has none. `keyframe`: it is a unit of
    video that a decoder can begin with.
    """
    captured = () if captured_us is None else ((CAPTURED, f"{captured_us / 1000:.3f}".encode()),)
    headers = (
        *captured,
        ("seq", str(seq).encode()),
        ("epoch", str(epoch).encode()),
        ("content-type", content_type.encode()),
    )
    return (*headers, (KEYFRAME, b"1")) if keyframe else headers


def read_frame(record: Record, *, max_bytes: int) -> ParsedRecord:
    """Read a record of the frames topic. Returns `BadRecord` if it breaks the wire contract."""
    try:
        if record.refused is not None:
            raise RefusedBatchError(record.refused)
        stream = _stream(record.key)
        if len(record.headers) > MAX_HEADERS:
            raise MalformedRecordError(f"the record has more than {MAX_HEADERS} headers")
        headers = dict(record.headers)
        captured = _milliseconds(CAPTURED, headers.get(CAPTURED))
        seq, epoch = _counter("seq", headers.get("seq")), _counter("epoch", headers.get("epoch"))
        if not 0 <= record.timestamp_ms <= LAST_US // 1000:
            raise MalformedRecordError(f"the timestamp {record.timestamp_ms} ms is out of range")
        if record.value is None:
            return EndOfStream(stream, record.partition, record.offset, record.timestamp_ms)
        if len(record.value) > max_bytes:
            raise MalformedRecordError(
                f"the value has {len(record.value)} bytes, at most {max_bytes} are accepted"
            )
        unit = is_unit(record.value, headers.get("content-type"))
        return Frame(
            stream=stream,
            partition=record.partition,
            offset=record.offset,
            record_ms=record.timestamp_ms,
            captured_us=record.timestamp_ms * 1000 if captured is None else captured,
            captured_given=captured is not None,
            content=record.value,
            seq=seq,
            epoch=epoch,
            traceparent=_traceparent(headers.get(TRACEPARENT)),
            unit=unit,
            keyframe=unit and is_keyframe(record.value),
        )
    except (MalformedRecordError, RefusedBatchError) as exc:
        return BadRecord(record, exc.reason, str(exc))


def is_stream_id(text: str) -> bool:
    """Return whether a text is a valid stream id."""
    return STREAM.fullmatch(text) is not None


def _stream(key: bytes | None) -> str:
    text = None if key is None else key.decode("ascii", "replace")
    if text is None or not is_stream_id(text):
        shown = "none" if key is None else repr(key[:80])
        raise MalformedRecordError(f"the key is {shown}; wanted {STREAM_WANTED}")
    return text


def _counter(name: str, raw: bytes | None) -> int | None:
    if raw is None:
        return None
    text = raw.decode("ascii", "replace")
    if not _COUNTER.fullmatch(text):
        raise MalformedRecordError(f"header {name} is {text[:40]!r}; wanted a decimal number")
    return int(text)


def _milliseconds(name: str, raw: bytes | None) -> int | None:
    """Convert decimal milliseconds since 1970, with or without a fraction, to microseconds."""
    if raw is None:
        return None
    text = raw.decode("ascii", "replace")
    if not _MILLISECONDS.fullmatch(text) or (us := int(Decimal(text) * 1000)) > LAST_US:
        raise MalformedRecordError(
            f"header {name} is {text[:40]!r}; wanted decimal milliseconds since 1970"
        )
    return us


def _traceparent(raw: bytes | None) -> bytes | None:
    """Return the header unparsed; drop a long one, which could make a prediction too large.

    Also dropped is a header of other bytes than visible ASCII, of which W3C's versions consist.
    """
    return raw if raw is not None and _VISIBLE.fullmatch(raw) is not None else None
