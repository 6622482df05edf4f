"""What moves at a growth, and what must not."""

from dataclasses import replace

import pytest

from pipeline.broker.partitioner import partition_of
from pipeline.errors import CannotMoveError
from pipeline.judging.growing import (
    move_streams,
    moving,
    require_placed,
    stale,
    unfinished,
)
from pipeline.records import Admission, Changelog, Fate, Keyframe, Record, Reset
from pipeline.wire.changelog import Manifest
from pipeline.wire.growths.growth import Growth, GrowthArrival
from pipeline.wire.skips import Skips
from pipeline.wire.snapshots import Snapshot
from tests.pipeline.changelogs import changelog, logged, manifest
from tests.pipeline.predictions import remembered

GROWTH = Growth(4, 12, 5_000)
NAMES = [f"cam-{n}" for n in range(60)]


def of(partition: int, count: int = 4) -> list[str]:
    return [name for name in NAMES if partition_of(name.encode(), count) == partition]


def source(*names: str, **changes: int) -> Changelog:
    shots = (remembered(name, "12345678", 7).write(1) for name in names)
    return changelog(manifest(next_offset=9, stream_time_ms=800, **changes).write(1), *shots)


def test_every_stream_stays_or_moves_to_one_new_partition_of_its_old_one() -> None:
    found = moving(source(*of(1)), 1, GROWTH)
    assert set(found) <= {5, 9}
    moved = {one.stream: to for to, streams in found.items() for one in streams}
    for name in of(1):
        assert moved.get(name, 1) == partition_of(name.encode(), 12)


def test_the_new_partition_begins_at_its_first_frame_with_the_time_of_the_old_one() -> None:
    found = source(*of(1))
    streams = moving(found, 1, GROWTH)[5]
    (part,) = move_streams(found, 5, GROWTH, streams, now_s=1.0).parts
    begun = Manifest.read(logged(part.outgoing[-1]))
    assert (begun.first_offset, begun.next_offset, begun.checkpoint, begun.life) == (0, 0, 0, 1)
    assert (begun.partitions, begun.stream_time_ms, sum(begun.fates.values())) == (12, 800, 0)


def test_a_new_partition_begins_like_any_other_whatever_its_source_has_counted() -> None:
    counted = {"fates": {Fate.PREDICTED: 5}, "absent": 2, "expired": 2, "attempts": 2, "life": 3}
    worked = manifest(next_offset=9, checkpoint=8, letters_omitted=1, **counted)
    (part,) = move_streams(changelog(worked.write(1)), 5, GROWTH, [], now_s=1.0).parts
    begun = replace(part.manifest, checkpoint=-1, worker="")
    assert begun == Manifest.beginning(0, bundle=worked.bundle, partitions=12)


def test_fields_of_a_newer_release_go_with_stream_and_manifest() -> None:
    name = of(5, 12)[0]
    shot = replace(remembered(name, "12345678", 7), unknown={"mood": "good"})
    before = manifest(next_offset=9, unknown={"rules": {"gap": 2}})
    found = changelog(before.write(1), shot.write(1))
    (part,) = move_streams(found, 5, GROWTH, [shot], now_s=1.0).parts
    assert Manifest.read(logged(part.outgoing[-1])).unknown == {"rules": {"gap": 2}}
    assert Snapshot.read(logged(part.outgoing[0])).unknown == {"mood": "good"}


def test_skips_and_keyframes_stay_because_they_are_offsets_of_the_old_partition() -> None:
    name = of(5, 12)[0]
    shot = replace(remembered(name, "12345678", 7), keyframe=Keyframe(6, 100))
    found = changelog(
        manifest(next_offset=9).write(1), shot.write(1), Skips(name, ((1, 2),)).write(1)
    )
    (part,) = move_streams(found, 5, GROWTH, [shot], now_s=1.0).parts
    assert not [out for out in part.outgoing if (out.key or b"").startswith(b"k:")]
    assert Snapshot.read(logged(part.outgoing[0])).keyframe is None


def test_records_in_old_partitions_whose_keys_belong_to_new_ones_are_stale() -> None:
    records = [Record(1, n, 0, name.encode(), b"1") for n, name in enumerate([*of(1), *of(2)])]
    records.append(Record(1, 99, 0, None, b"1"))
    found = {one.stream for one in stale(records, GROWTH)}
    assert found == {name for name in of(1) if partition_of(name.encode(), 12) != 1}


def test_streams_that_have_ended_or_were_silent_for_long_may_lie_anywhere() -> None:
    odd = remembered(of(2)[0], "12345678", 7)
    ended = replace(odd, pending_reset=Reset.ENDED)
    before = manifest(next_offset=9, stream_time_ms=10_000).write(1)
    for shot, ttl_ms in ((ended, 99_999), (replace(odd, admission=Admission(4_000)), 5_999)):
        found = {1: changelog(before, shot.write(1))}
        require_placed(found, 4, group="g", ttl_ms=ttl_ms)
    live = {1: changelog(before, replace(odd, admission=Admission(4_000)).write(1))}
    with pytest.raises(CannotMoveError, match=rf"{odd.stream} \(in 1, not 2\)"):
        require_placed(live, 4, group="g", ttl_ms=6_000)


def test_a_growth_is_unfinished_until_every_new_partition_has_begun() -> None:
    begun = replace(GROWTH, arrival=GrowthArrival(0, 0, 9, 7))
    old = {n: changelog(GROWTH.write(n)) for n in range(4)}
    assert unfinished(old) == [GROWTH]
    new = {n: changelog(begun.write(n)) for n in range(4, 12)}
    assert unfinished(old | new) == []
    assert unfinished(old | new | {7: changelog(GROWTH.write(7))})
