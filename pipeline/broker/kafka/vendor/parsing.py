"""How the client takes a record apart, made to survive whatever a producer may write.

K19: header names need not be UTF-8, the broker does not look. kafka-python 3.0 calls a batch that
has such a name corrupt, asks for it again and again without leaving `poll`, and nothing behind it
is ever read. K20: it reads every header there is, and nine megabytes hold three million: five
seconds in which the worker does not turn.
"""

from typing import Any

from kafka.errors import CorruptRecordError
from kafka.record import memory_records
from kafka.record.default_records import ControlRecord, DefaultRecord, DefaultRecordBatch
from kafka.record.util import decode_varint

from pipeline.records import MAX_HEADERS


class TolerantBatch(DefaultRecordBatch):
    """Like the client's, but of each record's headers it reads one more than are accepted.

    A name that is no UTF-8 shows a replacement character for each strange byte.
    """

    __slots__ = ()

    _buffer: Any
    _pos: int

    @classmethod
    def install(cls) -> None:
        """Let every consumer of this process parse like this."""
        memory_records.DefaultRecordBatch = cls  # type: ignore[attr-defined]

    def _read_msg(self, decode_varint: Any = decode_varint) -> DefaultRecord | ControlRecord:
        """Length, attributes, time and offset since the batch's, key, value, headers."""
        buffer = self._buffer
        length, start = decode_varint(buffer, self._pos)
        _, at = decode_varint(buffer, start)
        since, at = decode_varint(buffer, at)
        appended = self.timestamp_type == self.LOG_APPEND_TIME
        timestamp = self.max_timestamp if appended else self.first_timestamp + since
        offset_delta, at = decode_varint(buffer, at)
        key, at = _read_bytes(buffer, at)
        value, at = _read_bytes(buffer, at)
        count, at = decode_varint(buffer, at)
        headers = []
        for _ in range(min(count, MAX_HEADERS + 1)):
            name, at = _read_bytes(buffer, at)
            content, at = _read_bytes(buffer, at)
            headers.append(((name or b"").decode("utf-8", "replace"), content))
        if count < 0 or at > start + length or (count == len(headers) and at != start + length):
            raise CorruptRecordError(
                f"a record of {length} bytes, {count} headers, ends at byte {at - start}"
            )
        self._pos = start + length
        kind = ControlRecord if self.is_control_batch else DefaultRecord
        offset = self.base_offset + offset_delta
        return kind(length, offset, timestamp, self.timestamp_type, key, value, headers)


def _read_bytes(buffer: Any, at: int) -> tuple[bytes | None, int]:
    length, at = decode_varint(buffer, at)
    return (None, at) if length < 0 else (bytes(buffer[at : at + length]), at + length)
