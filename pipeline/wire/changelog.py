"""The keys of a partition's changelog, and the format of its manifest.

The other modules that read changelog records raise the `CorruptStateError` that `corrupt` makes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from pipeline.errors import CorruptStateError
from pipeline.records import (
    ADDED_FATES,
    NAME,
    NAME_WANTED,
    Destination,
    Fate,
    Outgoing,
    Record,
)
from pipeline.wire.belongings.identity import MemoryIdentity
from pipeline.wire.frames import LAST_US
from pipeline.wire.json_text import SHOWN, Fields, UnreadableError, read_object, write_object

SCHEMA = 1  # of manifests, snapshots, skips and lives
MANIFEST_KEY = b"m"
SNAPSHOT_PREFIX = b"s:"
SKIPS_PREFIX = b"k:"
LIFE_PREFIX = b"l:"
GROWTH_PREFIX = b"g:"
MOVED_PREFIX = b"v:"
MOST_NAME = 1024  # characters of a worker's name, or of a bundle's digest
MOST_PARTITIONS = 2**31 - 1


def snapshot_key(stream: str) -> bytes:
    """Return the changelog key of a stream's snapshot."""
    return SNAPSHOT_PREFIX + stream.encode()


def tombstone(partition: int, key: bytes) -> Outgoing:
    """Return the record that deletes a key from the changelog."""
    return Outgoing(Destination.STATE, partition, key, None)


def corrupt(record: Record, why: object) -> CorruptStateError:
    """Return the error for a changelog record that cannot be used."""
    key = (record.key or b"")[:SHOWN]
    return CorruptStateError(
        f"the changelog of partition {record.partition} cannot be read: {key!r} at offset"
        f" {record.offset}: {why}. Was it written by another version, or by another program?"
        " Another --group starts afresh"
    )


@dataclass(frozen=True, slots=True)
class Manifest:
    """A partition's resume record: the authority on where to resume, and the ledger of fates.

    next_offset - first_offset = sum(fates) + absent + expired. `checkpoint` counts from 0. Of the
    dead-lettered records, `letters_omitted` have no letter. `identity` is empty if an older release
    wrote it. `unknown` holds fields of a newer release.
    """

    first_offset: int
    next_offset: int
    checkpoint: int
    worker: str
    generation: int
    bundle: str
    partitions: int
    stream_time_ms: int
    fates: Mapping[Fate, int] = field(default_factory=dict)
    absent: int = 0
    expired: int = 0
    attempts: int = 0
    life: int = 1
    letters_omitted: int = 0
    identity: MemoryIdentity = field(default_factory=MemoryIdentity)
    unknown: Mapping[str, JsonValue] = field(default_factory=dict)

    @classmethod
    def beginning(cls, offset: int, *, bundle: str, partitions: int) -> "Manifest":
        """Return the manifest of a partition that begins at `offset`. Its first commit is 0."""
        return cls(
            first_offset=offset,
            next_offset=offset,
            checkpoint=-1,
            worker="",
            generation=-1,
            bundle=bundle,
            partitions=partitions,
            stream_time_ms=0,
        )

    @property
    def checkpoint_id(self) -> tuple[int, str, int]:
        """The checkpoint that wrote this manifest: number, worker and generation."""
        return self.checkpoint, self.worker, self.generation

    def write(self, partition: int) -> Outgoing:
        """Return the manifest as a changelog record."""
        fates = {fate: self.fates.get(fate, 0) for fate in Fate if fate not in ADDED_FATES}
        added = {fate: n for fate, n in self.fates.items() if n and fate not in fates}
        omitted = {"letters_omitted": self.letters_omitted} if self.letters_omitted else {}
        identity = {"identity": self.identity.content()} if self.identity else {}
        content = {
            "first_offset": self.first_offset,
            "next_offset": self.next_offset,
            "checkpoint": self.checkpoint,
            "worker": self.worker,
            "generation": self.generation,
            "bundle": self.bundle,
            "partitions": self.partitions,
            "stream_time_ms": self.stream_time_ms,
            "fates": fates | added,
            "absent": self.absent,
            "expired": self.expired,
            "attempts": self.attempts,
            "life": self.life,
            "schema": SCHEMA,
            **omitted,
            **identity,
            **self.unknown,
        }
        return Outgoing(Destination.STATE, partition, MANIFEST_KEY, write_object(content))

    @classmethod
    def read(cls, record: Record) -> "Manifest":
        """Read a manifest. Raises `CorruptStateError` if the record is not a manifest."""
        try:
            return cls._read(Fields(read_object(record.value)))
        except UnreadableError as exc:
            raise corrupt(record, exc) from exc

    @classmethod
    def _read(cls, fields: Fields) -> "Manifest":
        fields.schema(SCHEMA)
        first_offset = fields.integer("first_offset")
        return cls(
            first_offset=first_offset,
            next_offset=fields.integer("next_offset", first_offset),
            checkpoint=fields.integer("checkpoint"),
            worker=fields.text("worker", MOST_NAME),
            generation=fields.integer("generation", -1),
            bundle=fields.text("bundle", MOST_NAME),
            partitions=fields.integer("partitions", 1, MOST_PARTITIONS),
            stream_time_ms=fields.integer("stream_time_ms", 0, LAST_US // 1000),
            fates=_fates(fields) if fields.has("fates") else {},
            absent=fields.integer("absent") if fields.has("absent") else 0,
            expired=fields.integer("expired") if fields.has("expired") else 0,
            attempts=fields.integer("attempts") if fields.has("attempts") else 0,
            life=fields.integer("life", 1) if fields.has("life") else 1,
            letters_omitted=_omitted(fields),
            identity=_identity(fields),
            unknown=fields.rest,
        )


def _omitted(fields: Fields) -> int:
    return fields.integer("letters_omitted") if fields.has("letters_omitted") else 0


def _identity(fields: Fields) -> MemoryIdentity:
    return (
        MemoryIdentity.read(fields.inner("identity"))
        if fields.has("identity")
        else MemoryIdentity()
    )


def _fates(fields: Fields) -> dict[Fate, int]:
    counts = fields.integers("fates")
    for name in counts:
        if NAME.fullmatch(name) is None:
            raise UnreadableError(f"fates counts {name[:SHOWN]!r}; wanted {NAME_WANTED}")
    return {Fate(name): count for name, count in counts.items()}
