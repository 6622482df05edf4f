"""A partition moves from a newer release to this one and back, and keeps added fields."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from pipeline.judging.audit import Audit
from pipeline.judging.moving import Move, move
from pipeline.records import Changelog, Destination, Outgoing, Record
from pipeline.wire.changelog import MANIFEST_KEY, Manifest, snapshot_key
from tests.properties.worlds import film
from tests.world import TOPICS, World

ADDED = {"alarms": {"open": [1, 2.5, None]}, "zone": "ü"}


@pytest.fixture
def world(world: World) -> World:
    """Eight frames of one stream, two of them repeats; the worker that finished them has ended."""
    film(world, 2, first=4)
    world.settle()
    world.crash("one")
    world.bury()
    return world


def changelog(world: World) -> Changelog:
    found = world.log.changelog(0)
    assert found is not None
    return found


def text_of(record: Record) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(dict(record.headers).get("meta") or record.value or b"")
    return content


def write(world: World, record: Record, content: Mapping[str, Any]) -> None:
    """Rewrite a changelog record as a newer release writes it."""
    text = json.dumps(content).encode()
    value, headers = (record.value, (("meta", text),)) if record.headers else (text, ())
    world.log.write_through(Outgoing(Destination.STATE, 0, record.key, value, headers))


def go_on(world: World) -> Mapping[bytes, Record]:
    """Let a worker of this release finish one more frame. Returns the changelog after that."""
    film(world, 1, first=9)
    world.launch("two")
    world.settle()
    return changelog(world).records


def audit(world: World) -> int:
    judged = Audit(
        {0: changelog(world)},
        group=world.config.group,
        frames_topic=TOPICS.frames,
        predictions_start={0: 0},
        dead_letters_start={0: 0},
        repeats_allowed=False,
        names={},
    )
    for record in world.log.read_committed(TOPICS.predictions):
        judged.enter_prediction(record)
    return judged.report().breaks


@pytest.mark.parametrize("key", [MANIFEST_KEY, snapshot_key("a")])
def test_fields_that_a_newer_release_has_added_survive_a_worker_of_this_one(
    world: World, key: bytes
) -> None:
    before = changelog(world).records[key]
    write(world, before, text_of(before) | ADDED)
    after = text_of(go_on(world)[key])
    assert {name: after.get(name) for name in ADDED} == ADDED
    assert after != text_of(before) | ADDED  # it was rewritten
    assert audit(world) == 0


def test_a_fate_that_a_newer_release_has_added_stays_in_the_ledger(world: World) -> None:
    before = changelog(world).records[MANIFEST_KEY]
    content = text_of(before)
    content["fates"] |= {"duplicate": 0, "unkeyed": 2}
    write(world, before, content)
    after = Manifest.read(go_on(world)[MANIFEST_KEY])
    assert +Counter(after.fates) == Counter(predicted=7, unkeyed=2)
    assert after.next_offset - after.first_offset == 9
    assert audit(world) == 0


def test_a_keyframe_that_the_release_before_has_written_back_is_not_used(world: World) -> None:
    """It keeps the fields, moves the offset on, and decodes no units."""
    before = changelog(world).records[snapshot_key("a")]
    keyed = {"keyframe": 3, "keyframe_ms": 0, "keyframe_whole": 5}
    assert text_of(before)["offset"] == 7
    write(world, before, text_of(before) | keyed)
    after = text_of(go_on(world)[snapshot_key("a")])
    assert after["keyframe"] is None
    assert not after.keys() & {"keyframe_ms", "keyframe_whole"}


def test_a_reset_that_a_newer_release_owes_is_carried_out_and_told_by_its_name(
    world: World,
) -> None:
    before = changelog(world).records[snapshot_key("a")]
    write(world, before, text_of(before) | {"pending_reset": "resized"})
    go_on(world)
    last = json.loads(world.predictions()["a"][-1])
    assert (last["memory"]["reset"], last["memory"]["frames"]) == ("resized", 0)
    assert audit(world) == 0


def test_a_kind_of_record_that_a_newer_release_has_added_is_left_alone(world: World) -> None:
    out = Outgoing(Destination.STATE, 0, b"e:a:1", b"\xff")
    world.log.write_through(out)
    assert go_on(world)[b"e:a:1"].value == b"\xff"


def test_a_partition_that_is_moved_keeps_what_a_newer_release_has_added(world: World) -> None:
    before = changelog(world).records[MANIFEST_KEY]
    write(world, before, text_of(before) | ADDED)
    moved = move(changelog(world), Move(0, 4, 6, {0: 0}), now_s=0.0)
    assert dict(moved.parts[0].manifest.unknown) == ADDED
