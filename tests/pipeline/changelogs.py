"""Manifests and changelogs for tests: how one is made is known here only."""

from typing import Any

from pipeline.records import Changelog, Outgoing, Record
from pipeline.wire.changelog import Manifest

DIGEST = "b" * 64


def manifest(**changes: Any) -> Manifest:
    """The manifest of checkpoint 0 of worker `w`, of a topic with one partition."""
    known: dict[str, Any] = {
        "first_offset": 0,
        "next_offset": 0,
        "checkpoint": 0,
        "worker": "w",
        "generation": 1,
        "bundle": DIGEST,
        "partitions": 1,
        "stream_time_ms": 0,
    }
    return Manifest(**known | changes)


def logged(outgoing: Outgoing, offset: int = 0) -> Record:
    """An outgoing record as the log gives it back."""
    return Record(
        outgoing.partition or 0, offset, 0, outgoing.key, outgoing.value, outgoing.headers
    )


def changelog(*written: Outgoing, log_start: int = 0, log_end: int = 0) -> Changelog:
    """A changelog that holds these records; `log_start` and `log_end` are those of the frames."""
    return Changelog({out.key or b"": logged(out) for out in written}, log_start, log_end)
