"""A changelog that others have changed is restored, or refused with the record's place."""

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.base import Tensors
from engines.model.bundle import Bundle
from pipeline.config import Delivery, ForeignState, Start
from pipeline.delivery.restore import RestorePolicy, restore
from pipeline.errors import CorruptStateError, ForeignStateError, PartitionCountError
from pipeline.judging.books import Books
from pipeline.records import Admission, Changelog, Fate, Outgoing, Record, Reset
from pipeline.streams.partition import Partition
from pipeline.streams.row_pool import RowPool
from pipeline.wire.history import History
from pipeline.wire.lives import Life
from pipeline.wire.skips import Skips
from pipeline.wire.snapshots import Snapshot
from tests.pipeline.adder import Adder, sums
from tests.pipeline.changelogs import logged, manifest
from tests.pipeline.foreign import ANYTHING, changed, paths

DIGEST = "ad" * 32  # of the bundle for the `Adder`


def snapshot(stream: str, **changes: Any) -> Outgoing:
    """A stream's memory after the frame at offset 7."""
    known: dict[str, Any] = {
        "stream": stream,
        "bundle": DIGEST,
        "offset": 7,
        "admission": Admission(9, seen_us=8_000, planned_us=8_000, due_us=9_000, seq=5, epoch=4),
        "stepped_us": 8_000,
        "age_us": 3_000,
        "frames": 2,
        "chain": "9f3a1c02",
        "pending_reset": None,
        "tensors": {name: tensor[0] for name, tensor in sums(1.5).items()},
    }
    return Snapshot(**known | changes).write(0)


MANIFEST = manifest(next_offset=20, checkpoint=4, bundle=DIGEST, life=2, fates={Fate.PREDICTED: 20})
VALID = (
    MANIFEST.write(0),
    snapshot("a"),
    snapshot("b", pending_reset=Reset.GAP, tensors={}),
    Skips("a", ((3, 4), (9, 12))).write(0),
    Life(2, 0, 3, {0: 1}).write(0),
)


def found(*written: Outgoing) -> Changelog:
    """The changelog of partition 0 that holds these records at offsets 0, 1, ..."""
    records = (logged(out, offset) for offset, out in enumerate(written))
    return Changelog({record.key or b"": record for record in records}, 0, 30)


def restored(changelog: Changelog, bundle: Bundle) -> Partition:
    policy = RestorePolicy(bundle, 1, "g", Start.LATEST, ForeignState.REFUSE, Delivery.EXACTLY_ONCE)
    engine = Adder()
    rows = RowPool(engine)
    partition = restore(0, changelog, policy, era=1, wanted_s=0.0, engine=engine, rows=rows)
    assert partition is not None
    return partition


def damage_json(text: bytes, data: st.DataObject) -> bytes:
    """Another value in one place of a JSON text, or other bytes where it is damaged already."""
    try:
        content = json.loads(text)
    except ValueError:
        return damage_bytes(text, data)
    places = [*paths(content), ("added",)]
    path = places[data.draw(st.integers(0, len(places) - 1))]
    return json.dumps(changed(content, path, data.draw(ANYTHING))).encode()


def damage_bytes(text: bytes, data: st.DataObject) -> bytes:
    """Other bytes in one place, or a shorter text."""
    at = data.draw(st.integers(0, max(0, len(text) - 1)))
    kept = data.draw(st.integers(at, len(text)))
    return text[:at] + data.draw(st.binary(max_size=9)) + text[kept:]


def damage(record: Record, data: st.DataObject) -> Record:
    """Another key, value or header."""
    key, value, headers = record.key or b"", record.value or b"", record.headers
    part = data.draw(st.sampled_from(["key", "value", "header", "no header", "null"]))
    change: Callable[[bytes, st.DataObject], bytes] = damage_bytes
    if part == "key":
        key = change(key, data)
    elif part == "value":
        is_json = value[:1] == b"{"
        value = (damage_json if is_json and data.draw(st.booleans()) else change)(value, data)
    elif part == "header" and headers:
        change = damage_json if data.draw(st.booleans()) else change
        headers = tuple((name, change(text, data)) for name, text in headers)
    elif part == "no header":
        headers = ()
    given_value = None if part == "null" else value
    return Record(0, record.offset, 0, key, given_value, headers)


def refusal(read: Callable[[], object]) -> str:
    """Return why a changelog is refused; empty if it is read."""
    why = ""
    try:
        read()
    except (CorruptStateError, ForeignStateError, PartitionCountError) as exc:
        why = str(exc)
    return why


@given(data=st.data())
def test_any_damage_is_restored_or_refused_in_a_line(bundle: Bundle, data: st.DataObject) -> None:
    records = list(found(*VALID).records.values())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(records) - 1))
        records[at] = damage(records[at], data)
    changelog = Changelog({record.key or b"": record for record in records}, 0, 30)
    assert refusal(lambda: restored(changelog, bundle)).isprintable()
    assert refusal(lambda: Books.read(changelog)).isprintable()


@given(data=st.data())
def test_a_damaged_manifest_is_read_or_named_with_its_place(data: st.DataObject) -> None:
    records = {**found(*VALID).records}
    records[b"m"] = damage(records[b"m"], data)
    why = refusal(lambda: History.read(0, Changelog(records, 0, 30)))
    assert not why or re.search(r"partition 0 cannot be read: b'.*' at offset 0: ", why)


def test_another_bundle_is_named_without_its_controls(bundle: Bundle) -> None:
    foreign = snapshot("a", bundle="\x1b[31mxxxxxxxxx")
    assert refusal(lambda: restored(found(VALID[0], foreign), bundle)).isprintable()


def test_the_changelog_itself_is_restored(bundle: Bundle) -> None:
    partition = restored(found(*VALID), bundle)
    assert (partition.next_offset, sorted(partition.streams)) == (20, ["a", "b"])


def test_what_is_restored_is_written_as_it_was_read(bundle: Bundle) -> None:
    read = Snapshot.read(found(*VALID).records[b"s:a"])
    assert logged(read.write(0), 1) == found(*VALID).records[b"s:a"]


TENSORS: dict[str, Tensors] = {
    "another name": {"h": np.zeros(1, np.float32)},
    "one more": {"sum": np.zeros(1, np.float32), "h": np.zeros(1, np.float32)},
    "none": {},
    "another shape": {"sum": np.zeros(2, np.float32)},
    "more dimensions": {"sum": np.zeros((1, 1), np.float32)},
    "another type": {"sum": np.zeros(1, np.float64)},
    "not a number": {"sum": np.full(1, np.nan, np.float32)},
    "infinite": {"sum": np.full(1, np.inf, np.float32)},
}


@pytest.mark.parametrize("name", TENSORS)
def test_memory_that_no_worker_of_the_bundle_writes_is_refused(bundle: Bundle, name: str) -> None:
    wrong = snapshot("a", tensors=TENSORS[name])
    with pytest.raises(CorruptStateError, match=r"partition 0 .* b's:a' at offset 1: its tensors"):
        restored(found(VALID[0], wrong), bundle)


@pytest.mark.parametrize(
    "header",
    [
        {"h": {"dtype": "F32", "shape": [128], "data_offsets": [0, 10**12]}},
        {"h": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 8]}},
        {"h": {"dtype": "F32", "shape": [0, 2**62], "data_offsets": [0, 0]}},
        {"h": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}},
        {"h": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}},
        {"h": {"dtype": "x", "shape": [-1], "data_offsets": [2, 1]}},
        {"__metadata__": {"a": "b" * 100_000}},
    ],
    ids=lambda header: str(header)[:40],
)
def test_tensors_that_lie_about_their_size_are_refused(
    bundle: Bundle, header: dict[str, Any]
) -> None:
    text = json.dumps(header).encode()
    value = len(text).to_bytes(8, "little") + text + b"\0\0"
    record = Record(0, 1, 0, b"s:a", value, VALID[1].headers)
    with pytest.raises(CorruptStateError):
        restored(Changelog({b"m": logged(VALID[0]), b"s:a": record}, 0, 30), bundle)


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (snapshot("a", offset=20), "of the frame at offset 20, and the manifest ends before 20"),
        (Skips("a", ((3, 4), (19, 20))).write(0), "of the frame at offset 20, and the manifest"),
    ],
)
def test_a_record_of_frames_that_the_manifest_does_not_count_is_refused(
    bundle: Bundle, written: Outgoing, why: str
) -> None:
    with pytest.raises(CorruptStateError, match=why):
        restored(found(VALID[0], written), bundle)


def test_memory_without_a_manifest_is_refused(bundle: Bundle) -> None:
    with pytest.raises(CorruptStateError, match="memory of a stream, but no manifest"):
        restored(found(snapshot("a")), bundle)


def test_a_key_of_an_unknown_kind_is_left_alone(bundle: Bundle) -> None:
    added = Outgoing(VALID[0].destination, 0, b"z:\xff\x1b", b"[[[")
    assert restored(found(*VALID, added), bundle).next_offset == 20
