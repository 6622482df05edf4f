"""Writes and reads the records of streams that have moved to another partition. Only here."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from pipeline.records import Changelog, Destination, Outgoing, Record
from pipeline.wire.changelog import MOST_PARTITIONS, MOVED_PREFIX, SCHEMA, corrupt
from pipeline.wire.frames import LAST_US, STREAM, STREAM_WANTED
from pipeline.wire.json_text import Fields, UnreadableError, read_object, write_object
from pipeline.wire.predictions import CHAIN, CHAIN_WANTED


@dataclass(frozen=True, slots=True)
class MovedStream:
    """A stream that has left the partition of this record, at a growth: its memory is in `to`.

    `offset`, `record_ms` and `chain` are those of its last snapshot here. A record of the stream
    beyond `offset` was published by a producer that still uses the old count of partitions.
    `unknown` holds fields of a newer release.
    """

    stream: str
    to: int
    offset: int
    record_ms: int
    chain: str
    unknown: Mapping[str, JsonValue] = field(default_factory=dict)

    @property
    def key(self) -> bytes:
        """The changelog key of the record."""
        return MOVED_PREFIX + self.stream.encode()

    def write(self, partition: int) -> Outgoing:
        """Return it as a record of the changelog of `partition`, which the stream has left."""
        content = {
            "to": self.to,
            "offset": self.offset,
            "record_ms": self.record_ms,
            "chain": self.chain,
            "schema": SCHEMA,
            **self.unknown,
        }
        return Outgoing(Destination.STATE, partition, self.key, write_object(content))

    @classmethod
    def read(cls, record: Record) -> "MovedStream":
        """Read it. Raises `CorruptStateError` if the record is not that of a moved stream."""
        try:
            stream = (record.key or b"").removeprefix(MOVED_PREFIX).decode("ascii", "replace")
            if STREAM.fullmatch(stream) is None:
                raise UnreadableError(f"the key names no stream; wanted {STREAM_WANTED}")
            fields = Fields(read_object(record.value))
            fields.schema(SCHEMA)
            return cls(
                stream=stream,
                to=fields.integer("to", 0, MOST_PARTITIONS),
                offset=fields.integer("offset", -1),
                record_ms=fields.integer("record_ms", 0, LAST_US // 1000),
                chain=fields.matching("chain", CHAIN, CHAIN_WANTED),
                unknown=fields.rest,
            )
        except UnreadableError as exc:
            raise corrupt(record, exc) from exc


def moved_streams(changelog: Changelog) -> dict[str, MovedStream]:
    """Return the streams that have left a partition, by name."""
    found = (
        MovedStream.read(record)
        for key, record in changelog.records.items()
        if key.startswith(MOVED_PREFIX)
    )
    return {one.stream: one for one in found}
