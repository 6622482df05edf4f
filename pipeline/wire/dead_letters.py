"""Writes and reads dead letters. The only place for the format of the dead-letter topic."""

import re
from dataclasses import dataclass

from pipeline.records import BadRecord, Destination, Frame, Outgoing, Record
from pipeline.text.printable import printable

DEAD_LETTER_BYTES = 512 * 1024
DEAD_LETTER_KEY_BYTES = 1024
DEAD_LETTER_ERROR_BYTES = 2000

_PARTITION = re.compile(rb"[0-9]{1,9}")
_OFFSET = re.compile(rb"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class DeadLetterSource:
    """The input record that a dead letter is a copy of."""

    topic: bytes
    partition: int
    offset: int

    @classmethod
    def read(cls, record: Record) -> "DeadLetterSource | None":
        """Read it from the headers of a dead letter; None if they are missing or malformed."""
        headers = dict(record.headers)
        topic = headers.get("source-topic")
        partition = headers.get("source-partition", b"")
        offset = headers.get("source-offset", b"")
        if topic is None or not _PARTITION.fullmatch(partition) or not _OFFSET.fullmatch(offset):
            return None
        return cls(topic, int(partition), int(offset))


def dead_letter(record: Frame | BadRecord, *, topic: str, reason: str, error: str) -> Outgoing:
    """Return the dead letter of a record: its raw bytes, and why the record could not be used.

    Key and value are cut to a limit, so that the dead-letter topic accepts every dead letter.
    """
    if isinstance(record, Frame):
        key, value = record.stream.encode(), record.content
    else:
        key, value = record.record.key or b"", record.record.value or b""
    said = printable(error).encode()[:DEAD_LETTER_ERROR_BYTES]
    headers = (
        ("error", said.decode(errors="ignore").encode()),
        ("reason", reason.encode()),
        ("source-topic", topic.encode()),
        ("source-partition", str(record.partition).encode()),
        ("source-offset", str(record.offset).encode()),
        ("size", str(len(value)).encode()),
    )
    key, value = key[:DEAD_LETTER_KEY_BYTES], value[:DEAD_LETTER_BYTES]
    return Outgoing(Destination.DEAD_LETTERS, None, key, value, headers)
