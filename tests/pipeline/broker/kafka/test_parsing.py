"""Batches are read to their end, whatever they contain."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.record import memory_records
from kafka.record.default_records import DefaultRecordBatch
from kafka.record.legacy_records import LegacyRecordBatch
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder

from pipeline.broker.kafka.vendor import parsing
from pipeline.broker.kafka.vendor.border import RefusedValue, as_record
from pipeline.broker.kafka.vendor.parsing import REFUSED_RECORDS
from pipeline.records import Record
from tests.packed import CODECS, batch, pack, record, records

GZIP = CODECS["gzip"]
VALUES = (b"one", b"two", b"three")


@pytest.fixture(autouse=True, scope="module")
def _installed() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(memory_records, "DefaultRecordBatch", DefaultRecordBatch)
        patched.setattr(memory_records, "LegacyRecordBatch", LegacyRecordBatch)
        parsing.install()
        yield


def read(*batches: bytes) -> list[Record]:
    """Read fetched bytes as a consumer does."""
    found: list[Record] = []
    for each in MemoryRecords(b"".join(batches)):
        assert each.validate_crc()
        found += [as_record(_consumed(raw)) for raw in each]
    return found


def _consumed(raw: Any) -> SimpleNamespace:
    names = ("offset", "timestamp", "key", "value", "headers")
    return SimpleNamespace(partition=0, **{name: getattr(raw, name) for name in names})


@pytest.mark.parametrize("codec", CODECS)
def test_a_packed_batch_gives_the_records_of_a_plain_one(codec: str) -> None:
    plain = batch(records(VALUES), count=3, base_offset=7)
    packed = batch(pack(codec, records(VALUES)), codec=CODECS[codec], count=3, base_offset=7)
    assert read(packed) == read(plain)
    assert [found.value for found in read(packed)] == list(VALUES)


def test_each_offset_of_a_batch_that_does_not_unpack_is_a_refused_record() -> None:
    damaged = batch(b"no gzip", codec=GZIP, count=3, base_offset=7)
    found = read(damaged, batch(records([b"behind"]), base_offset=10))
    assert [(one.offset, one.key, one.value) for one in found[:3]] == [
        (offset, None, b"") for offset in (7, 8, 9)
    ]
    assert all(
        "offsets 7 to 9 cannot be read: 7 bytes of gzip" in str(one.refused) for one in found[:3]
    )
    assert (found[3].offset, found[3].value, found[3].refused) == (10, b"behind", None)


def test_however_many_records_a_batch_claims_only_so_many_stand_for_it() -> None:
    damaged = batch(b"no gzip", codec=GZIP, count=2**31 - 1, base_offset=5)
    found = read(damaged)
    assert [one.offset for one in found] == [*range(5, 5 + REFUSED_RECORDS - 1), 5 + 2**31 - 2]
    skipped = 2**31 - 1 - REFUSED_RECORDS
    assert str(found[-1].refused).endswith(f"stands for the {skipped} offsets before it too")
    assert all("stands for" not in str(one.refused) for one in found[:-1])


def test_what_lies_before_the_damage_in_a_batch_is_read() -> None:
    content = record(0, b"cam-1", b"whole") + b"\x7f" * 5
    found = read(batch(pack("zstd", content), codec=CODECS["zstd"], count=3))
    assert [(one.offset, one.value, one.refused is None) for one in found] == [
        (0, b"whole", True),
        (1, b"", False),
        (2, b"", False),
    ]


@pytest.mark.parametrize("deltas", [(7, 1), (0, 0), (-1, 1), (0, 2)])
def test_a_record_that_claims_an_offset_outside_its_place_is_refused(
    deltas: tuple[int, int],
) -> None:
    """The broker checks offsets in compressed batches only."""
    content = b"".join(record(delta, b"cam-1", b"frame") for delta in deltas)
    found = read(batch(content, count=2, base_offset=10))
    assert [one.offset for one in found] == [10, 11]
    assert found[-1].refused is not None


def test_offsets_that_compaction_took_are_missing_and_not_refused() -> None:
    kept = record(0, b"cam-1", b"first") + record(4, b"cam-1", b"last")
    found = read(batch(kept, count=2, last=5))
    assert [(one.offset, one.refused) for one in found] == [(0, None), (4, None)]


def test_an_empty_value_of_a_producer_is_no_refusal() -> None:
    assert [one.refused for one in read(batch(records([b""])))] == [None]
    assert RefusedValue("why") == b""


@pytest.mark.parametrize("codec", [0, GZIP])
def test_of_the_formats_before_2_only_plain_batches_are_read(codec: int) -> None:
    builder = MemoryRecordsBuilder(magic=1, compression_type=codec, batch_size=9999)
    builder.append(timestamp=5, key=b"cam-1", value=b"old" * 100)
    builder.close()
    (found,) = read(bytes(builder.buffer()))
    assert found.value == (b"" if codec else b"old" * 100)
    assert (found.refused is None) == (codec == 0)


@given(st.sampled_from([0, *CODECS.values(), 7]), st.binary(max_size=60), st.integers(1, 2000))
def test_a_batch_of_any_bytes_ends_at_its_last_offset(codec: int, junk: bytes, count: int) -> None:
    names = {number: name for name, number in CODECS.items()}
    content = pack(names[codec], junk) if codec in names else junk
    found = [one.offset for one in read(batch(content, codec=codec, count=count))]
    assert found == sorted(set(found))
    assert found[-1] == count - 1
