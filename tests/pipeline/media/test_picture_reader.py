"""Records of the frames topic become the pictures that were encoded, or the reason why none."""

import subprocess
import sys
from itertools import groupby
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.media.picture_reader import FoundPicture, NoPicture, PictureReader
from pipeline.media.pictures import Fit, decode_picture
from pipeline.records import Record
from tests.pipeline.media.logged import bare_record, interleaved, logged, unit_record
from tests.pipeline.media.video.damage import MISPLACED, Change, changed, cut, drop
from tests.pipeline.media.video.encoding import (
    FRAMES,
    GROUP,
    digest,
    encoded,
    numbered,
    right,
)
from tests.pipeline.pictures import jpeg

STREAMS = ["cabac", "cavlc", "slices", "mbaff"]
H265 = (("content-type", b"video/h265"),)


def read(records: list[Record], **limits: int) -> list[FoundPicture]:
    reader = PictureReader(**limits)
    return [reader.follow(record) for record in records]


def ends(found: list[FoundPicture]) -> str:
    """Return runs of outcomes: `5 picture, 1 undecodable, 4 unkeyed`."""
    words = ("picture" if one.reason is None else str(one.reason) for one in found)
    return ", ".join(f"{len(list(run))} {word}" for word, run in groupby(words))


def seen(found: list[FoundPicture]) -> list[str | None]:
    return [None if one.picture is None else digest(one.picture) for one in found]


@pytest.mark.parametrize("name", STREAMS)
def test_each_unit_gives_the_picture_that_was_encoded(name: str) -> None:
    found = read(logged(numbered(name)))
    assert seen(found) == [right(name)[n] for n in range(FRAMES)]


def test_a_picture_has_the_colours_that_a_worker_sees() -> None:
    content = jpeg(48, 64, seed=3)
    (found,) = read([bare_record(0, content)])
    assert np.array_equal(found.rgb(), decode_picture(content, Fit(48, 64, "stretch")))


def test_a_record_without_a_picture_has_no_pixels() -> None:
    (found,) = read([bare_record(7, b"no picture")])
    with pytest.raises(ValueError, match="record 7 has no picture: undecodable"):
        found.rgb()


def test_streams_that_are_interleaved_do_not_disturb_each_other() -> None:
    logs = [logged(numbered(name), stream=name) for name in STREAMS]
    found = read(interleaved(logs))
    for n, name in enumerate(STREAMS):
        assert seen(found[n :: len(STREAMS)]) == [right(name)[i] for i in range(FRAMES)]


def test_a_stream_in_two_partitions_is_two_streams() -> None:
    units = numbered("cabac")
    records = [
        unit_record(n, unit, seq=n, partition=partition)
        for n, unit in units
        for partition in (0, 1)
    ]
    assert ends(read(records)) == f"{2 * FRAMES} picture"


def test_pictures_among_the_units_of_a_stream_stand_alone() -> None:
    units = logged(numbered("cabac"))
    pictures = [bare_record(n, jpeg(16, 16, seed=n)) for n in range(FRAMES)]
    found = read(interleaved([units, pictures]))
    assert seen(found[::2]) == [right("cabac")[n] for n in range(FRAMES)]
    assert ends(found[1::2]) == f"{FRAMES} picture"


def test_the_first_bytes_of_a_picture_win_over_the_content_type() -> None:
    record = bare_record(0, jpeg(16, 16, seed=1), headers=(("content-type", b"video/h264"),))
    assert ends(read([record])) == "1 picture"


def test_a_reader_that_begins_in_a_group_waits_for_the_next_keyframe() -> None:
    found = read(logged(numbered("cabac")[4:]))
    assert ends(found) == "6 unkeyed, 30 picture"


def test_after_a_lost_unit_there_is_no_picture_until_the_next_keyframe() -> None:
    found = read(logged(drop(numbered("cabac"), 5)))
    assert ends(found) == "5 picture, 1 undecodable, 3 unkeyed, 30 picture"
    assert "units are missing before it" in found[5].words


def test_so_does_a_unit_that_was_cut() -> None:
    found = read(logged(cut(numbered("cabac"), 5, Random(1))))  # noqa: S311 - reproducible
    assert ends(found) == "5 picture, 1 undecodable, 4 unkeyed, 30 picture"


def test_the_size_may_change_at_a_keyframe() -> None:
    wide = [(GROUP + n, unit) for n, unit in enumerate(encoded("cabac", width=160)[:GROUP])]
    found = read(logged([*numbered("cabac")[:GROUP], *wide]))
    assert ends(found) == f"{2 * GROUP} picture"
    assert [one.rgb().shape for one in found[GROUP - 1 : GROUP + 1]] == [(64, 96, 3), (64, 160, 3)]


def test_and_not_within_a_group() -> None:
    wide = [(4 + n, unit) for n, unit in enumerate(encoded("cabac", width=160)[4:GROUP])]
    found = read(logged([*numbered("cabac")[:4], *wide]))
    assert ends(found) == "4 picture, 1 undecodable, 5 unkeyed"


def test_a_repeated_unit_is_a_duplicate_and_the_group_goes_on() -> None:
    units = numbered("cabac")[:GROUP]
    found = read(logged([*units[:6], units[5], units[0], *units[6:]]))
    assert ends(found) == "6 picture, 2 duplicate, 4 picture"


def test_a_unit_of_an_earlier_life_of_the_camera_is_late() -> None:
    units = [unit_record(n, unit, seq=n, epoch=2) for n, unit in numbered("cabac")[:GROUP]]
    units.insert(4, unit_record(99, encoded("cabac")[0], seq=0, epoch=1))
    assert ends(read(units)) == "4 picture, 1 late, 6 picture"


def test_a_new_life_of_the_camera_begins_with_a_keyframe() -> None:
    old = [unit_record(n, unit, seq=n) for n, unit in numbered("cabac")[:4]]
    new = [unit_record(n, unit, seq=n, epoch=2) for n, unit in numbered("cabac")[4:20]]
    assert ends(read([*old, *new])) == "4 picture, 6 unkeyed, 10 picture"


def test_without_epochs_a_counter_that_starts_again_is_a_new_life() -> None:
    def record(offset: int, seq: int, unit: bytes) -> Record:
        headers = (("content-type", b"video/h264"), ("seq", b"%d" % seq))
        return bare_record(offset, unit, headers=headers)

    units = numbered("cabac")[:GROUP]
    first = [record(n, 1000 + n, unit) for n, unit in units]
    again = [record(GROUP + n, n, unit) for n, unit in units]
    assert ends(read([*first, *again])) == f"{2 * GROUP} picture"


def test_a_null_value_ends_the_group() -> None:
    records = logged(numbered("cabac"))
    found = read([*records[:5], bare_record(99, None), *records[5:]])
    assert ends(found) == "5 picture, 1 ended, 5 unkeyed, 30 picture"


@pytest.mark.parametrize(
    ("record", "reason", "words"),
    [
        (bare_record(0, b"junk"), NoPicture.UNDECODABLE, "4 bytes are no JPEG, PNG or WebP"),
        (bare_record(0, b"junk", stream="no id"), NoPicture.MALFORMED, "wanted a stream id"),
        (bare_record(0, b"\x00\x00\x01", headers=H265), NoPicture.MALFORMED, "H.265 is not taken"),
        (bare_record(0, bytes(2000)), NoPicture.MALFORMED, "at most 1000 are accepted"),
    ],
)
def test_what_is_no_picture_says_why(record: Record, reason: NoPicture, words: str) -> None:
    (found,) = read([record], max_bytes=1000)
    assert (found.picture, found.reason) == (None, reason)
    assert words in found.words


def test_a_record_that_is_passed_over_keeps_its_group_whole() -> None:
    reader = PictureReader()
    *before, last = logged(numbered("cabac")[:GROUP])
    for record in before:
        reader.pass_over(record)
    assert seen([reader.follow(last)]) == [right("cabac")[GROUP - 1]]


def test_ten_times_as_many_streams_as_decoders_leave_no_more_decoders_open() -> None:
    reader = PictureReader(most_decoders=2)
    logs = [logged(numbered("cavlc")[:GROUP], stream=f"cam-{n}") for n in range(20)]
    for turn, record in enumerate(interleaved(logs)):
        found = reader.follow(record)
        assert found.reason in (None, NoPicture.UNKEYED)
        if found.picture is not None:
            assert digest(found.picture) == right("cavlc")[turn // 20]
    assert (reader.decoders, reader.closed) == (2, 18)


def test_the_decoder_that_was_used_least_recently_is_closed() -> None:
    one, two, three = (logged(numbered("cabac"), stream=f"cam-{n}")[:GROUP] for n in range(3))
    found = read([one[0], two[0], one[1], three[0], one[2], two[1], three[1]], most_decoders=2)
    assert ends(found) == "5 picture, 1 unkeyed, 1 picture"


def test_a_stream_whose_decoder_was_closed_continues_with_its_next_keyframe() -> None:
    busy, other = logged(numbered("cabac")), logged(numbered("cavlc"), stream="cam-2")
    found = read([*busy[:3], other[0], *busy[3:]], most_decoders=1)
    assert ends(found) == "4 picture, 7 unkeyed, 30 picture"


def test_units_without_a_keyframe_close_no_decoder() -> None:
    busy, strays = logged(numbered("cabac")), logged(numbered("cavlc")[1:GROUP], stream="cam-2")
    found = read([*busy[:3], *strays, *busy[3:]], most_decoders=1)
    assert ends(found) == "3 picture, 9 unkeyed, 37 picture"


def test_what_is_forgotten_of_a_partition_leaves_the_others_whole() -> None:
    reader = PictureReader()
    records = [unit_record(0, encoded("cabac")[0], seq=0, partition=n) for n in (0, 1)]
    for record in records:
        reader.follow(record)
    reader.forget(1)
    after = [unit_record(1, encoded("cabac")[1], seq=1, partition=n) for n in (0, 1)]
    assert ends([reader.follow(record) for record in after]) == "1 picture, 1 unkeyed"


@given(
    changes=st.lists(MISPLACED, min_size=3, max_size=3),
    most=st.integers(1, 3),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_no_picture_is_wrong_whatever_happens_to_units_streams_and_decoders(
    changes: list[list[Change]], most: int, data: st.DataObject
) -> None:
    names = STREAMS[:3]
    logs = {n: changed(numbered(n), some) for n, some in zip(names, changes, strict=True)}
    reader = PictureReader(most_decoders=most)
    order = data.draw(st.permutations([name for name in names for _ in logs[name]]))
    units = {name: iter(logs[name]) for name in names}
    for offset, name in enumerate(order):
        number, unit = next(units[name])
        found = reader.follow(unit_record(offset, unit, seq=number, stream=name))
        assert found.picture is None or digest(found.picture) == right(name)[number]
    assert reader.decoders <= most


def test_reading_pictures_loads_nothing_of_workers_kafka_or_models() -> None:
    code = "import sys, pipeline.media.picture_reader; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = ("pipeline.streams", "pipeline.worker", "pipeline.broker", "engines", "kafka")
    assert [name for name in ended.stdout.split() if name.startswith(heavy)] == []
