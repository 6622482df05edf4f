"""Old and new releases together: each keeps and writes back what the other has added."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pipeline.errors import CorruptStateError
from pipeline.records import ADDED_FATES, Fate, Keyframe, Outgoing, Record, Reset
from pipeline.wire.belongings.identity import KnownTopic, MemoryIdentity
from pipeline.wire.changelog import Manifest
from pipeline.wire.lives import Life
from pipeline.wire.predictions import Prediction
from pipeline.wire.skips import Skips
from pipeline.wire.snapshots import Snapshot
from tests.pipeline.predictions import remembered, resealed, tape

ADDED = {"alarms": {"open": [1, 2.5, None]}, "zone": "ü", "keyframes": True}
MANIFEST = Manifest(10, 17, 7, "w", 3, "b" * 64, 8, 1_000, {Fate.PREDICTED: 5}, absent=2)
IDENTITY = MemoryIdentity(
    {"frames": KnownTopic("frames", "aQ", 0, {"kind": 3}), "state": KnownTopic("g.state", "", 7)},
    {"gap_reset_s": 0.05, "max_streams": 10_000, "rate_hz": 15.0},
    10,
    17,
    {"zone": "ü"},
)
OLD_FATES = [fate for fate in Fate if fate not in ADDED_FATES]
Read = Callable[[Record], Any]
WRITTEN: dict[str, tuple[Outgoing, Read]] = {
    "manifest": (MANIFEST.write(3), Manifest.read),
    "manifest with topics and rules": (
        replace(MANIFEST, identity=IDENTITY).write(3),
        Manifest.read,
    ),
    "snapshot": (remembered("a").write(3), Snapshot.read),
    "skips": (Skips("a", ((41, 43),)).write(3), Skips.read),
    "life": (Life(2, 500, 431, {0: 3}).write(3), Life.read),
}

formats = pytest.mark.parametrize("name", WRITTEN)


def logged(out: Outgoing) -> Record:
    return Record(3, 0, 0, out.key, out.value, out.headers)


def changed(name: str, **changes: Any) -> tuple[Record, Read]:
    """Return the example of a format with other fields; `...` removes one."""
    out, read = WRITTEN[name]
    text = dict(out.headers)["meta"] if out.headers else out.value
    content = json.loads(text or b"") | changes
    kept = {field: value for field, value in content.items() if value is not ...}
    value = json.dumps(kept, separators=(",", ":")).encode()
    if out.headers:
        return Record(3, 0, 0, out.key, out.value, (("meta", value),)), read
    return Record(3, 0, 0, out.key, value), read


@formats
def test_what_is_read_is_written_back_to_the_same_bytes(name: str) -> None:
    out, read = WRITTEN[name]
    assert logged(read(logged(out)).write(3)) == logged(out)


@formats
def test_fields_of_a_newer_release_are_written_back_to_the_same_bytes(name: str) -> None:
    record, read = changed(name, **ADDED)
    again = logged(read(record).write(3))
    assert dict(read(record).unknown) == ADDED
    assert again == record


@formats
def test_a_newer_schema_is_refused_with_the_release_to_use(name: str) -> None:
    record, read = changed(name, schema=2)
    with pytest.raises(CorruptStateError, match="schema 2, this release reads up to 1: a newer"):
        read(record)


KEYED = {"offset": 4730, "keyframe": 4711, "keyframe_ms": 9, "keyframe_whole": 4730}


def test_a_keyframe_comes_back_with_the_time_of_its_record() -> None:
    record, read = changed("snapshot", **KEYED)
    assert read(record).keyframe == Keyframe(4711, 9)
    assert dict(read(record).unknown) == {}
    meta = json.loads(dict(read(record).write(3).headers)["meta"])
    assert meta | KEYED == meta


def test_a_keyframe_that_an_older_release_has_written_back_is_not_believed() -> None:
    """That release has handled the records up to 4731 and decodes no units."""
    record, read = changed("snapshot", **KEYED | {"offset": 4731})
    assert read(record).keyframe is None
    written = dict(read(record).write(3).headers)["meta"]
    assert b'"keyframe":null' in written
    assert b"keyframe_" not in written


def test_a_snapshot_without_a_keyframe_has_the_bytes_of_the_release_before() -> None:
    record, read = changed("snapshot", keyframe=None)
    meta = json.loads(dict(read(record).write(3).headers)["meta"])
    assert [name for name in meta if name.startswith("keyframe")] == ["keyframe"]


def test_fates_of_a_newer_release_are_in_the_sum_and_written_back() -> None:
    fates = {"predicted": 5, "melted": 3, "torn": 0}
    record, read = changed("manifest", next_offset=20, fates=fates)
    manifest = read(record)
    assert sum(manifest.fates.values()) == 8
    again = json.loads(manifest.write(3).value)["fates"]
    assert again == {**dict.fromkeys(map(str, OLD_FATES), 0), "predicted": 5, "melted": 3}
    assert list(again)[-1] == "melted"


def test_a_fate_that_the_first_release_does_not_know_is_written_only_if_it_happened() -> None:
    record, read = changed("manifest", next_offset=20, fates={"predicted": 5, "unkeyed": 3})
    again = json.loads(read(record).write(3).value)["fates"]
    assert list(again) == [*map(str, OLD_FATES), "unkeyed"]
    assert b"unkeyed" not in (MANIFEST.write(3).value or b"")


@pytest.mark.parametrize("missing", ["absent", "expired", "attempts", "life", "fates"])
def test_a_field_that_was_added_later_has_the_value_of_before(missing: str) -> None:
    record, read = changed("manifest", **{missing: ...})
    before = {"absent": 0, "expired": 0, "attempts": 0, "life": 1, "fates": {}}
    assert getattr(read(record), missing) == before[missing]


def test_a_reset_of_a_newer_release_is_owed_and_told_under_its_name() -> None:
    record, read = changed("snapshot", pending_reset="resized")
    snapshot = read(record)
    assert snapshot.pending_reset == "resized"
    assert not snapshot.pending_reset.forgets_stream
    assert json.loads(dict(snapshot.write(3).headers)["meta"])["pending_reset"] == "resized"


def test_a_prediction_of_a_newer_release_is_read_as_far_as_it_is_known() -> None:
    value = tape(range(2)).records[1].value or b""
    added = value.replace(b'"reset":null', b'"reset":"resized"')
    added = resealed(added.replace(b'"note":null', b'"note":"dim","weather":{"rain":1}'))
    read = Prediction.read(added)
    assert (read.reset, read.note, read.intact) == (Reset("resized"), "dim", True)
    assert read.value == added


def test_names_that_are_listed_are_the_members_themselves() -> None:
    assert Fate("predicted") is Fate.PREDICTED
    assert Fate("melted") == "melted" == str(Fate("melted"))
    assert {Fate("melted"): 1}["melted"] == 1  # type: ignore[index]
    assert "melted" not in list(Fate)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("topics", {"frames": {"name": "frames", "since": 0}}),
        ("topics", []),
        ("rules", {"gap_reset_s": "2"}),
        ("rules", {"gap_reset_s": -1}),
        ("rules_since", -1),
        ("offset", ...),
    ],
)
def test_topics_and_rules_that_break_the_format_are_refused(field: str, value: Any) -> None:
    content = {k: v for k, v in (IDENTITY.content() | {field: value}).items() if v is not ...}
    record, read = changed("manifest", identity=content)
    with pytest.raises(CorruptStateError, match=f"identity.{field}|identity.topics.frames"):
        read(record)
