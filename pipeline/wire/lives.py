"""Writes and reads the records that say where a partition's lives began. Only here."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from pipeline.records import Destination, Outgoing, Record
from pipeline.wire.changelog import LIFE_PREFIX, MOST_PARTITIONS, SCHEMA, corrupt
from pipeline.wire.json_text import SHOWN, Fields, UnreadableError, read_object, write_object


@dataclass(frozen=True, slots=True)
class Life:
    """Where a life of a partition began: `longtake reset` moves a partition and empties its ledger.

    Lives count from 1; the first has no record. `predictions_end` and `dead_letters_end` (by
    partition of the dead-letter topic) are the ends of those logs when the life began. `unknown`
    holds fields of a newer release.
    """

    number: int
    first_offset: int
    predictions_end: int
    dead_letters_end: Mapping[int, int]
    unknown: Mapping[str, JsonValue] = field(default_factory=dict)

    def write(self, partition: int) -> Outgoing:
        """Return the life as a changelog record."""
        content = {
            "number": self.number,
            "first_offset": self.first_offset,
            "predictions_end": self.predictions_end,
            "dead_letters_end": dict(self.dead_letters_end),
            "schema": SCHEMA,
            **self.unknown,
        }
        key = life_key(self.number)
        return Outgoing(Destination.STATE, partition, key, write_object(content))

    @classmethod
    def read(cls, record: Record) -> "Life":
        """Read a life. Raises `CorruptStateError` if the record is not a life."""
        try:
            fields = Fields(read_object(record.value))
            fields.schema(SCHEMA)
            found = cls(
                number=fields.integer("number", 2),
                first_offset=fields.integer("first_offset"),
                predictions_end=fields.integer("predictions_end"),
                dead_letters_end=_ends(fields),
                unknown=fields.rest,
            )
            if life_key(found.number) != record.key:
                raise UnreadableError(f"the key is not that of life {found.number}")
        except UnreadableError as exc:
            raise corrupt(record, exc) from exc
        return found


def life_key(number: int) -> bytes:
    """Return the changelog key of a life."""
    return LIFE_PREFIX + str(number).encode()


def _ends(fields: Fields) -> dict[int, int]:
    ends = fields.integers("dead_letters_end")
    for name in ends:
        plain = name.isascii() and name.isdigit() and len(name) <= len(str(MOST_PARTITIONS))
        if not plain:
            raise UnreadableError(f"dead_letters_end names {name[:SHOWN]!r}; wanted a partition")
    return {int(name): end for name, end in ends.items()}
