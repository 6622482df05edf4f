"""Writes dead letters. The only place for the format of the dead-letter topic."""

from pipeline.records import BadRecord, Destination, Frame, Outgoing

DEAD_LETTER_BYTES = 512 * 1024
DEAD_LETTER_KEY_BYTES = 1024


def dead_letter(record: Frame | BadRecord, *, topic: str, reason: str, error: str) -> Outgoing:
    """Write a record's raw bytes, cut to a limit, with the reason it could not be used.

    The key is cut too: what is put aside must always fit where it is put.
    """
    if isinstance(record, Frame):
        key, value = record.stream.encode(), record.content
    else:
        key, value = record.record.key or b"", record.record.value or b""
    headers = (
        ("error", error.encode()[:2000].decode(errors="ignore").encode()),
        ("reason", reason.encode()),
        ("source-topic", topic.encode()),
        ("source-partition", str(record.partition).encode()),
        ("source-offset", str(record.offset).encode()),
        ("size", str(len(value)).encode()),
    )
    key, value = key[:DEAD_LETTER_KEY_BYTES], value[:DEAD_LETTER_BYTES]
    return Outgoing(Destination.DEAD_LETTERS, None, key, value, headers)
