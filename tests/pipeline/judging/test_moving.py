"""Moving a partition: what its next worker and an audit find."""

from dataclasses import replace

import pytest

from pipeline.errors import CannotMoveError, ConfigError
from pipeline.judging.moving import Move, find_target, move, next_offset_of
from pipeline.records import ADDED_FATES, Changelog, Destination, Fate, Outgoing, Record
from pipeline.wire.belongings.identity import KnownTopic, MemoryIdentity
from pipeline.wire.belongings.remains import Remains
from pipeline.wire.changelog import Manifest
from pipeline.wire.lives import Life
from pipeline.wire.skips import Skips
from tests.pipeline.predictions import remembered

MANIFEST = Manifest(
    first_offset=10,
    next_offset=90,
    checkpoint=7,
    worker="w",
    generation=3,
    bundle="b" * 64,
    partitions=4,
    stream_time_ms=1_000,
    fates={Fate.PREDICTED: 78},
    absent=1,
    expired=1,
    attempts=2,
)


def changelog(*written: Outgoing, manifest: Manifest = MANIFEST) -> Changelog:
    outgoing = (*written, remembered("a").write(0), manifest.write(0))
    records = {o.key or b"": Record(0, 0, 0, o.key, o.value, o.headers) for o in outgoing}
    return Changelog(records, log_start=5, log_end=100)


def moved(before: Changelog, target: int = 20) -> dict[bytes, Outgoing]:
    to = Move(0, target, predictions_end=70, dead_letters_end={0: 2})
    (part,) = move(before, to, now_s=1.0).parts
    assert {(out.destination, out.partition) for out in part.outgoing} == {(Destination.STATE, 0)}
    return {out.key or b"": out for out in part.outgoing}


def read(out: Outgoing) -> Record:
    return Record(0, 0, 0, out.key, out.value)


def test_the_new_manifest_begins_a_life_at_the_target_with_an_empty_ledger() -> None:
    begun = Manifest.read(read(moved(changelog())[b"m"]))
    wanted = replace(
        MANIFEST,
        first_offset=20,
        next_offset=20,
        checkpoint=8,
        worker="reset",
        generation=-1,
        stream_time_ms=0,
        fates={fate: 0 for fate in Fate if fate not in ADDED_FATES},
        absent=0,
        expired=0,
        attempts=0,
        life=2,
    )
    assert begun == wanted


def test_the_beginning_of_the_life_is_told() -> None:
    assert Life.read(read(moved(changelog())[b"l:2"])) == Life(2, 20, 70, {0: 2})


def test_a_second_move_begins_a_third_life() -> None:
    before = changelog(Life(2, 20, 70, {}).write(0), manifest=replace(MANIFEST, life=2))
    written = moved(before)
    assert b"l:2" not in written
    assert Life.read(read(written[b"l:3"])).number == 3


def test_every_stream_of_the_partition_is_forgotten() -> None:
    assert moved(changelog())[b"s:a"].value is None


def test_the_manifest_is_written_last() -> None:
    assert list(moved(changelog()))[-1] == b"m"


def test_skips_before_the_target_are_kept_and_those_beyond_forgotten() -> None:
    told = (Skips("a", ((12, 14),)), Skips("b", ((12, 25), (30, 31))), Skips("c", ((20, 22),)))
    written = moved(changelog(*(skips.write(0) for skips in told)))
    assert b"k:a:12" not in written
    assert Skips.read(read(written[b"k:b:12"])) == Skips("b", ((12, 19),))
    assert written[b"k:c:20"].value is None


def test_the_groups_offset_moves_too() -> None:
    to = Move(3, 20, predictions_end=0, dead_letters_end={})
    assert move(changelog(), to, now_s=1.0).offsets == {3: 20}


@pytest.mark.parametrize(
    ("text", "offset"), [("earliest", 5), ("latest", 100), ("5", 5), ("42", 42), ("100", 100)]
)
def test_a_target_is_an_offset_of_the_log_or_one_of_its_ends(text: str, offset: int) -> None:
    assert find_target(text, 3, changelog(), Remains()) == offset


@pytest.mark.parametrize("text", ["4", "101"])
def test_a_target_that_the_log_does_not_hold_is_refused(text: str) -> None:
    with pytest.raises(CannotMoveError, match="partition 3 holds frames from offset 5 to 100"):
        find_target(text, 3, changelog(), Remains())


@pytest.mark.parametrize("text", ["", "-1", "newest", "1.5"])
def test_a_target_that_is_none_is_a_wrong_option(text: str) -> None:
    with pytest.raises(
        ConfigError, match="wanted an offset, earliest, latest, committed or predicted"
    ):
        find_target(text, 3, changelog(), Remains())


@pytest.mark.parametrize("text", ["committed", "predicted"])
def test_a_target_may_be_what_is_left_of_the_group(text: str) -> None:
    assert find_target(text, 3, changelog(), Remains(**{text: 90})) == 90
    with pytest.raises(CannotMoveError, match=r"partition 3.*choose .*, earliest, latest or an"):
        find_target(text, 3, changelog(), Remains())
    with pytest.raises(CannotMoveError, match="from offset 5 to 100, 101 is not one of these"):
        find_target(text, 3, changelog(), Remains(**{text: 101}))


def test_a_partition_goes_on_at_its_manifest_or_where_that_is_lost_at_what_is_left() -> None:
    assert next_offset_of(changelog(), Remains(7, 6)) == 90
    assert next_offset_of(Changelog({}, 5, 100), Remains(7, 6)) == 7
    assert next_offset_of(Changelog({}, 5, 100), Remains(None, 6)) == 6
    assert next_offset_of(Changelog({}, 5, 100), Remains()) is None


def test_a_partition_without_a_manifest_begins_its_second_life() -> None:
    written = moved(Changelog({}, 5, 100))
    begun = Manifest.read(read(written[b"m"]))
    assert (begun.life, begun.checkpoint, begun.first_offset) == (2, 0, 20)
    assert Life.read(read(written[b"l:2"])).predictions_end == 70


def test_the_new_life_belongs_to_the_topics_of_today_and_to_no_rules_yet() -> None:
    before = MemoryIdentity({"frames": KnownTopic("frames", "f1")}, {"gap_reset_s": 2.0}, 10, 90)
    found = replace(
        changelog(manifest=replace(MANIFEST, identity=before)), topic_ids={"frames": "f2"}
    )
    to = Move(0, 20, 70, {}, topics={"frames": "frames"})
    manifest = move(found, to, now_s=1.0).parts[0].manifest
    assert manifest.identity == MemoryIdentity({"frames": KnownTopic("frames", "f2")}, {}, 20, 20)
