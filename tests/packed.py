"""Batches as a producer of one's own could send them: any codec, any bytes, any numbers."""

import gzip
import struct
import zlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import cramjam
import pytest
from kafka import KafkaProducer
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.util import calc_crc32c, encode_varint

CODECS: Mapping[str, int] = MappingProxyType({"gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4})
MAGIC = 2


def pack(codec: str, content: bytes) -> bytes:
    """Compress as real producers do; snappy as librdkafka does, in one block."""
    if codec == "gzip":
        return gzip.compress(content)
    if codec == "snappy":
        return bytes(cramjam.snappy.compress_raw(content))
    if codec == "zstd":
        return bytes(cramjam.zstd.compress(content))
    packer = cramjam.lz4.Compressor(block_linked=False)  # all that Kafka takes
    packer.compress(content)
    return bytes(packer.finish())


def xerial(content: bytes, block_bytes: int = 1000) -> bytes:
    """Snappy as Java's producers frame it."""
    cut = (content[at : at + block_bytes] for at in range(0, len(content), block_bytes))
    blocks = [bytes(cramjam.snappy.compress_raw(piece)) for piece in cut]
    framed = (struct.pack(">i", len(block)) + block for block in blocks)
    return b"\x82SNAPPY\x00" + struct.pack(">ii", 1, 1) + b"".join(framed)


def record(offset_delta: int, key: bytes, value: bytes) -> bytes:
    """One record without headers, as it lies in a batch."""
    body = bytearray(1)  # attributes
    for number in (0, offset_delta, len(key)):
        encode_varint(number, body.append)
    body += key
    encode_varint(len(value), body.append)
    body += value
    encode_varint(0, body.append)
    length = bytearray()
    encode_varint(len(body), length.append)
    return bytes(length + body)


def records(values: Sequence[bytes], key: bytes = b"cam-1") -> bytes:
    """Records one behind the other."""
    return b"".join(record(delta, key, value) for delta, value in enumerate(values))


def batch(
    content: bytes, *, codec: int = 0, count: int = 1, base_offset: int = 0, last: int | None = None
) -> bytes:
    """A batch with a right checksum around any content; `last` is its last offset's delta."""
    last = count - 1 if last is None else last
    checked = struct.pack(">hiqqqhii", codec, last, 0, 0, -1, -1, -1, count) + content
    crc = struct.pack(">I", calc_crc32c(checked))
    return struct.pack(">qiib", base_offset, 9 + len(checked), -1, MAGIC) + crc + checked


def bomb(value_bytes: int) -> bytes:
    """A batch of one record with a value of zeros, in a thousandth of its bytes of gzip."""
    body = bytearray(1)
    for number in (0, 0, -1, value_bytes):  # no key
        encode_varint(number, body.append)
    start = bytearray()
    encode_varint(len(body) + value_bytes + 1, start.append)
    packer, piece = zlib.compressobj(9, zlib.DEFLATED, 31), bytes(1 << 20)
    packed = packer.compress(bytes(start + body))
    for _ in range(value_bytes // len(piece)):
        packed += packer.compress(piece)
    packed += packer.compress(bytes(value_bytes % len(piece) + 1)) + packer.flush()
    return batch(packed, codec=CODECS["gzip"])


def send(
    monkeypatch: pytest.MonkeyPatch,
    bootstrap: str,
    topic: str,
    forged: bytes,
    *,
    partition: int = 0,
) -> int:
    """Send a batch as it is. Returns its first offset, or raises what the broker answers."""

    class Forger(DefaultRecordBatchBuilder):
        def build(self) -> bytearray:
            return bytearray(forged)

    producer = KafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=False, acks=1, max_request_size=64 << 20
    )
    with monkeypatch.context() as patched:
        patched.setattr(memory_records, "DefaultRecordBatchBuilder", Forger)
        try:
            return int(producer.send(topic, value=b"", partition=partition).get(60).offset)
        finally:
            producer.close(timeout=2)
