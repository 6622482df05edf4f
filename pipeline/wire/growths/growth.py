"""Writes and reads the records that say that a group grows to more partitions. Only here."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from pipeline.records import Changelog, Destination, Outgoing, Record
from pipeline.wire.changelog import GROWTH_PREFIX, MOST_PARTITIONS, SCHEMA, corrupt
from pipeline.wire.frames import LAST_US
from pipeline.wire.json_text import Fields, UnreadableError, read_object, write_object


@dataclass(frozen=True, slots=True)
class GrowthArrival:
    """What a new partition began with: streams of its source, up to the source's `source_end`.

    Of `streams`, `ended` had ended: their memory was only that.
    """

    streams: int
    ended: int
    source_end: int
    at_ms: int  # by the clock of the command


@dataclass(frozen=True, slots=True)
class Growth:
    """A growth of a group from `before` partitions to `after`, a multiple of that.

    It is in the changelog of every partition before the frames topic has more of them. So a new
    partition is not begun until the streams whose keys belong to it are moved there: `arrival`,
    which only new partitions get. `unknown` holds fields of a newer release.
    """

    before: int
    after: int
    begun_ms: int
    arrival: GrowthArrival | None = None
    unknown: Mapping[str, JsonValue] = field(default_factory=dict)

    def source_of(self, partition: int) -> int | None:
        """Return from where streams move to a partition; None if it is not new.

        With the default partitioner a key's partition is its hash modulo the count, so of a
        multiple every new partition has one source, and no stream moves to an old one.
        """
        new = self.before <= partition < self.after
        return partition % self.before if new else None

    def write(self, partition: int) -> Outgoing:
        """Return the growth as a changelog record."""
        arrived = self.arrival
        content = {
            "from": self.before,
            "to": self.after,
            "begun_ms": self.begun_ms,
            "arrival": None
            if arrived is None
            else {
                "streams": arrived.streams,
                "ended": arrived.ended,
                "source_end": arrived.source_end,
                "at_ms": arrived.at_ms,
            },
            "schema": SCHEMA,
            **self.unknown,
        }
        return Outgoing(Destination.STATE, partition, growth_key(self.after), write_object(content))

    @classmethod
    def read(cls, record: Record) -> "Growth":
        """Read a growth. Raises `CorruptStateError` if the record is not one."""
        try:
            found = cls._read(Fields(read_object(record.value)))
            if growth_key(found.after) != record.key:
                raise UnreadableError(f"the key is not that of a growth to {found.after}")
        except UnreadableError as exc:
            raise corrupt(record, exc) from exc
        return found

    @classmethod
    def _read(cls, fields: Fields) -> "Growth":
        fields.schema(SCHEMA)
        before = fields.integer("from", 1, MOST_PARTITIONS)
        after = fields.integer("to", before + 1, MOST_PARTITIONS)
        if after % before:
            raise UnreadableError(f"it grows from {before} to {after}, which is no multiple")
        null = not fields.has("arrival") or fields.rest["arrival"] is None
        arrival = None if null else _arrival(fields.inner("arrival"))
        fields.rest.pop("arrival", None)
        return cls(
            before=before,
            after=after,
            begun_ms=fields.integer("begun_ms", 0, LAST_US // 1000),
            arrival=arrival,
            unknown=fields.rest,
        )


def _arrival(fields: Fields) -> GrowthArrival:
    streams = fields.integer("streams")
    return GrowthArrival(
        streams=streams,
        ended=fields.integer("ended", 0, streams),
        source_end=fields.integer("source_end"),
        at_ms=fields.integer("at_ms", 0, LAST_US // 1000),
    )


def growth_key(after: int) -> bytes:
    """Return the changelog key of a growth to this many partitions."""
    return GROWTH_PREFIX + str(after).encode()


def growths(changelog: Changelog) -> list[Growth]:
    """Return the growths that a changelog holds, the first one first."""
    found = (
        Growth.read(record)
        for key, record in changelog.records.items()
        if key.startswith(GROWTH_PREFIX)
    )
    return sorted(found, key=lambda one: one.after)


def awaited(found: Iterable[Growth], partition: int) -> Growth | None:
    """Return the growth that must move streams to this partition before it may begin."""
    return next(
        (one for one in found if one.source_of(partition) is not None and one.arrival is None), None
    )


def origin(found: Iterable[Growth], partition: int) -> Growth | None:
    """Return the growth with which this partition began; None if it began otherwise."""
    return next(
        (one for one in found if one.source_of(partition) is not None and one.arrival), None
    )
