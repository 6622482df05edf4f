"""Writes and reads the records of frames that were skipped for newer ones. Only here."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from pipeline.records import Destination, Outgoing, Record
from pipeline.wire.changelog import SCHEMA, SKIPS_PREFIX, corrupt
from pipeline.wire.frames import STREAM, STREAM_WANTED
from pipeline.wire.json_text import (
    MOST_INTEGER,
    Fields,
    UnreadableError,
    read_object,
    shown,
    write_object,
)


@dataclass(frozen=True, slots=True)
class Skips:
    """Frames of one stream that were skipped for newer ones: overload `latest`.

    Each range (first, last) of offsets, both included, covers all frames that admission let
    through between them; ranges are in order. Which frames were skipped depended on what was
    waiting at that moment, so a replay can only read it from here. A record is written again when
    a range is added; its key, with the first offset of the first range, stays the same. `unknown`
    holds fields of a newer release.
    """

    stream: str
    ranges: tuple[tuple[int, int], ...]
    unknown: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def key(self) -> bytes:
        """The changelog key of the record."""
        return SKIPS_PREFIX + f"{self.stream}:{self.ranges[0][0]}".encode()

    def write(self, partition: int) -> Outgoing:
        """Return the ranges as a changelog record."""
        value = write_object({"schema": SCHEMA, "ranges": self.ranges, **self.unknown})
        return Outgoing(Destination.STATE, partition, self.key, value)

    @classmethod
    def read(cls, record: Record) -> "Skips":
        """Read the ranges. Raises `CorruptStateError` if the record is not one of skips."""
        try:
            name = (record.key or b"").removeprefix(SKIPS_PREFIX).decode("ascii", "replace")
            stream, _, _ = name.rpartition(":")
            if STREAM.fullmatch(stream) is None:
                raise UnreadableError(f"the key names no stream; wanted {STREAM_WANTED}")
            fields = Fields(read_object(record.value))
            fields.schema(SCHEMA)
            found = cls(stream, _ranges(fields.items("ranges")), fields.rest)
            if found.key != record.key:
                raise UnreadableError(f"the key is not that of its first range, {found.key!r}")
        except UnreadableError as exc:
            raise corrupt(record, exc) from exc
        return found


def _ranges(found: list[JsonValue]) -> tuple[tuple[int, int], ...]:
    ranges: list[tuple[int, int]] = []
    for pair in found:
        if not isinstance(pair, list) or len(pair) != 2:
            raise UnreadableError(f"a range is {shown(pair)}; wanted two offsets")
        least = ranges[-1][1] + 1 if ranges else 0
        first, last = pair
        if type(first) is not int or type(last) is not int or not least <= first <= last:
            raise UnreadableError(
                f"a range is {shown(first)} to {shown(last)}; wanted offsets in order, up to"
                f" {MOST_INTEGER}"
            )
        ranges.append((first, last))
    if not ranges:
        raise UnreadableError("it has no ranges")
    return tuple(ranges)
