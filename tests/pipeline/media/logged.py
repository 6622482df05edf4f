"""Records of the frames topic for tests of their readers: pictures and units, as cameras write."""

from collections.abc import Iterable, Sequence

from pipeline.records import Headers, Record
from pipeline.wire.frames import frame_headers

FRAME_US = 40_000


def unit_record(
    offset: int,
    unit: bytes,
    *,
    seq: int,
    stream: str = "cam-1",
    epoch: int = 1,
    partition: int = 0,
    captured_us: int | None = None,
) -> Record:
    """A unit, captured at its number."""
    us = FRAME_US * seq if captured_us is None else captured_us
    headers = frame_headers(captured_us=us, seq=seq, epoch=epoch, content_type="video/h264")
    return Record(partition, offset, us // 1000, stream.encode(), unit, headers)


def bare_record(
    offset: int, value: bytes | None, *, stream: str = "cam-1", headers: Headers = ()
) -> Record:
    """What any producer can write: a picture, or a null value."""
    return Record(0, offset, offset, stream.encode(), value, headers)


def logged(units: Iterable[tuple[int, bytes]], *, stream: str = "cam-1") -> list[Record]:
    """The records of numbered units; offsets count from 0 without holes."""
    return [
        unit_record(offset, unit, seq=number, stream=stream)
        for offset, (number, unit) in enumerate(units)
    ]


def interleaved(logs: Sequence[Sequence[Record]]) -> list[Record]:
    """One record of each log in turn, with the offsets of one partition."""
    mixed = [record for turn in zip(*logs, strict=True) for record in turn]
    return [
        Record(0, offset, one.timestamp_ms, one.key, one.value, one.headers)
        for offset, one in enumerate(mixed)
    ]
