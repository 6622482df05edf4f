"""Changes how the client parses batches, so that it survives anything a producer can write.

K19: header names need not be UTF-8, the broker does not check them. kafka-python 3.0 treats a batch
with such a name as corrupt and fetches it again without end inside `poll`, so that nothing behind
it is ever read. K20: it parses all headers, and nine megabytes hold three million of them: five
seconds in which the worker's loop stands still. K21: it unpacks a compressed batch without any
limit, and a batch that it cannot unpack stops it like K19.
"""

from collections.abc import Iterator
from typing import Any

from kafka.errors import CorruptRecordError
from kafka.record import memory_records
from kafka.record.default_records import ControlRecord, DefaultRecord, DefaultRecordBatch
from kafka.record.legacy_records import LegacyRecordBatch
from kafka.record.util import decode_varint

from pipeline.broker.kafka.vendor.border import RefusedValue
from pipeline.broker.kafka.vendor.unpacking import UnpackError, unpack
from pipeline.records import MAX_HEADERS

REFUSED_RECORDS = 1000
"""At most this many records stand for a batch that cannot be read. Nine megabytes of zstd can hold
a hundred million records."""


def install() -> None:
    """Make every consumer of this process use these classes."""
    memory_records.DefaultRecordBatch = TolerantBatch  # type: ignore[attr-defined]
    memory_records.LegacyRecordBatch = TolerantLegacyBatch  # type: ignore[attr-defined]


class TolerantBatch(DefaultRecordBatch):
    """The client's batch, except that it unpacks within a limit and always reaches its end.

    It reads at most one header more than are accepted per record. In a name that is not UTF-8, a
    replacement character stands for each invalid byte. From the place where the batch cannot be
    read, each offset up to the last gives a record whose value is a `RefusedValue`. If these are
    more than `REFUSED_RECORDS`, those in the middle are left out: such offsets have no record, as
    after compaction.
    """

    __slots__ = ("_error", "_next_offset", "_refused")

    _buffer: Any
    _pos: int
    _decompressed: bool

    def __init__(self, buffer: Any) -> None:
        super().__init__(buffer)
        self._next_offset = int(self.base_offset)
        self._error: str | None = None
        self._refused = 0

    def _maybe_uncompress(self) -> None:
        if self._decompressed:
            return
        self._decompressed = True
        if self.compression_type == self.CODEC_NONE:
            return
        packed, self._buffer = memoryview(self._buffer)[self._pos :], b""
        self._pos = 0
        try:
            self._buffer = unpack(self.compression_type, packed)
        except UnpackError as exc:
            self._error = str(exc)

    def __next__(self) -> DefaultRecord | ControlRecord:
        if self.is_control_batch:  # the broker writes these
            marker: ControlRecord = self._read()
            return marker
        if self._error is None:
            try:
                return self._checked(self._read())
            except CorruptRecordError as exc:
                self._error, self._buffer = str(exc.args[0]), b""
        return self._refuse()

    def _read(self) -> Any:
        return super().__next__()  # type: ignore[no-untyped-call]

    def _checked(self, record: Any) -> DefaultRecord:
        """Return the record if its offset is above the previous ones and inside the batch."""
        if not self._next_offset <= record.offset <= self.last_offset:
            raise CorruptRecordError(
                f"a record claims offset {record.offset}, which is none of"
                f" {self._next_offset} to {self.last_offset}"
            )
        self._next_offset = record.offset + 1
        read: DefaultRecord = record
        return read

    def _refuse(self) -> DefaultRecord:
        first, last = self._next_offset, int(self.last_offset)
        if first > last:
            raise StopIteration
        self._refused += 1
        offset = first if self._refused < REFUSED_RECORDS else last
        self._next_offset = offset + 1
        error = f"the batch of offsets {self.base_offset} to {last} cannot be read: {self._error}"
        if offset > first:
            error += f"; this record stands for the {offset - first} offsets before it too"
        return _refused(offset, self.max_timestamp, self.timestamp_type, error)

    def _read_msg(self, decode_varint: Any = decode_varint) -> DefaultRecord | ControlRecord:
        """Parse length, attributes, time and offset relative to the batch, key, value, headers."""
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


class TolerantLegacyBatch(LegacyRecordBatch):
    """The client's old batch, without unpacking: only brokers before 4.0 accept this format.

    A compressed batch gives one record with a `RefusedValue`, at its last offset.
    """

    __slots__ = ()

    _timestamp: int | None

    def __iter__(self) -> Iterator[Any]:
        if not self.compression_type:
            yield from super().__iter__()  # type: ignore[no-untyped-call]
            return
        error = (
            f"the batch that ends at offset {self.base_offset} is compressed and of record format"
            f" {self.magic}: these are not unpacked"
        )
        yield _refused(self.base_offset, self._timestamp or 0, 0, error)


def _refused(offset: int, timestamp_ms: int, timestamp_type: int, error: str) -> DefaultRecord:
    value = RefusedValue(error)
    return DefaultRecord(len(value), offset, timestamp_ms, timestamp_type, None, value, [])


def _read_bytes(buffer: Any, at: int) -> tuple[bytes | None, int]:
    length, at = decode_varint(buffer, at)
    return (None, at) if length < 0 else (bytes(buffer[at : at + length]), at + length)
