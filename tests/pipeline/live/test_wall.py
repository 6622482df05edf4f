"""What the page knows after which records: tiles, states, marks, and what it forgets."""

from dataclasses import replace

import pytest

from pipeline.clock import ManualClock
from pipeline.live.held_pictures import HeldPictures
from pipeline.live.moments import MOST_MARKS, MOST_MOMENTS, STRIP_S
from pipeline.live.wall import Wall
from pipeline.records import Record, Reset
from tests.pipeline.camera_states import GATE, state_record, stated
from tests.pipeline.pictures import jpeg
from tests.pipeline.predictions import Tape, tape

START_S = 1_700_000_000.0
PICTURE = jpeg(48, 64, seed=1)


class Seen:
    """A wall, its clock, and short words for what happens to it."""

    def __init__(self, *, most_streams: int = 100, held_bytes: int = 1 << 20) -> None:
        self.clock = ManualClock(START_S)
        self.pictures = HeldPictures(max_frame_bytes=1 << 20, held_bytes=held_bytes)
        self.wall = Wall(
            self.pictures, self.clock, most_streams=most_streams, max_frame_bytes=1 << 20
        )
        self.offset = 0

    def frame(self, stream: str = "cam-1", value: bytes | None = PICTURE) -> None:
        self.offset += 1
        at_ms = int(self.clock.time() * 1000)
        self.wall.take_frames([Record(0, self.offset, at_ms, stream.encode(), value)])

    def state(self, stream: str = "cam-1") -> str:
        return self.wall.rows()[stream][0]


@pytest.fixture
def seen() -> Seen:
    return Seen()


def test_a_tile_shows_what_the_newest_prediction_says(seen: Seen) -> None:
    seen.frame()
    seen.wall.take_predictions(tape(range(5)).records)
    tile = seen.wall.tile("cam-1")
    assert tile is not None
    assert (tile["label"], tile["frames"], tile["offset"]) == ("walk", 4, 4)
    assert tile["picture"] == "0-1"
    assert seen.wall.rows()["cam-1"][1] == "walk"


def test_a_stream_that_nobody_heard_of_has_no_tile(seen: Seen) -> None:
    assert seen.wall.tile("cam-1") is None
    assert seen.wall.detail("cam-1") is None


def test_a_stream_without_frames_is_stalled_and_heals(seen: Seen) -> None:
    late = tape(range(1)).records
    seen.frame()
    seen.wall.take_predictions(late)
    seen.clock.advance(3.5)
    assert seen.state() == "stalled"
    seen.frame()
    assert seen.state() != "stalled"


def test_frames_without_predictions_are_a_worker_that_is_away(seen: Seen) -> None:
    seen.frame()
    assert seen.state() == "no predictions"


def test_a_slow_camera_is_not_stalled_between_its_frames(seen: Seen) -> None:
    for _ in range(3):
        seen.frame()
        seen.clock.advance(4)
    assert seen.state() != "stalled"
    seen.clock.advance(10)
    assert seen.state() == "stalled"


def test_the_end_of_a_stream_is_shown(seen: Seen) -> None:
    seen.frame()
    seen.frame(value=None)
    assert seen.state() == "ended"


def test_the_state_of_its_camera_is_shown_with_its_reason(seen: Seen) -> None:
    seen.wall.take_cameras([state_record(stated("frozen"), logged_ms=int(START_S * 1000))])
    assert seen.state("gate") == "frozen"
    tile = seen.wall.tile("gate")
    assert tile is not None
    assert tile["reason"] == GATE.reason


def test_a_camera_whose_process_is_gone_is_unknown_unless_frames_come(seen: Seen) -> None:
    seen.wall.take_cameras([state_record(stated("live"), logged_ms=int(START_S * 1000))])
    seen.clock.advance(91)
    assert seen.state("gate") == "unknown"
    seen.frame("gate")
    assert seen.state("gate") == "no predictions"


def test_nothing_is_said_of_a_camera_while_the_log_cannot_be_read(seen: Seen) -> None:
    seen.frame()
    seen.wall.in_trouble("frames", "no Kafka answers", vital=True)
    seen.clock.advance(60)
    assert seen.state() == "not known"
    assert seen.wall.summary()["troubles"] == [{"topic": "frames", "why": "no Kafka answers"}]
    seen.wall.in_trouble("frames", "", vital=True)
    assert seen.state() == "stalled"


def test_without_the_topic_of_cameras_streams_have_states(seen: Seen) -> None:
    seen.frame()
    seen.wall.in_trouble("cameras", "it is missing", vital=False)
    assert seen.state() == "no predictions"


def test_a_reset_and_a_broken_chain_are_marked(seen: Seen) -> None:
    made = tape(range(3))
    made.predict(3, reset=Reset.GAP)
    made.predict(4)
    made.predict(5)
    seen.wall.take_predictions([*made.records[:4], *made.records[5:]])
    detail = seen.wall.detail("cam-1")
    assert detail is not None
    assert (detail["resets"], detail["breaks"]) == (1, 1)
    newest = detail["marks"][0]
    assert newest["broken"]
    assert newest["place"] == "partition 0 offset 5"
    assert [one["what"] for one in detail["marks"][1:]] == ["reset: gap", "reset: new"]


def test_what_was_not_read_breaks_no_chain(seen: Seen) -> None:
    made = tape(range(6))
    seen.wall.take_predictions(made.records[:2])
    seen.wall.skipped_predictions()
    seen.wall.take_predictions(made.records[4:])
    detail = seen.wall.detail("cam-1")
    assert detail is not None
    assert detail["breaks"] == 0


def test_the_past_of_a_stream_is_limited(seen: Seen) -> None:
    made = Tape()
    for offset in range(4 * MOST_MARKS):
        made.predict(offset, reset=Reset.GAP)
    seen.wall.take_predictions(made.records)
    detail = seen.wall.detail("cam-1")
    assert detail is not None
    assert len(detail["marks"]) == MOST_MARKS
    assert len(detail["moments"]) <= MOST_MOMENTS
    assert len(detail["strip"]) == STRIP_S


def test_the_stream_that_was_quiet_for_longest_is_forgotten() -> None:
    seen = Seen(most_streams=2)
    for stream in ("a", "b", "a", "c"):
        seen.frame(stream)
    assert sorted(seen.wall.rows()) == ["a", "c"]
    assert seen.wall.summary()["forgotten"] == 1
    assert seen.pictures.newest("b") is None


def test_pictures_are_held_up_to_a_number_of_bytes() -> None:
    seen = Seen(held_bytes=2 * len(PICTURE) + 100)
    for stream in ("a", "b", "c"):
        seen.frame(stream)
    assert seen.pictures.newest("a") is None
    assert seen.pictures.newest("c") is not None
    assert seen.pictures.bytes <= 2 * len(PICTURE) + 100


def test_a_picture_is_made_anew_and_small(seen: Seen) -> None:
    seen.frame(value=jpeg(600, 800, seed=2))
    made = seen.pictures.jpeg("cam-1", "tile")
    assert made is not None
    assert made.startswith(b"\xff\xd8\xff")
    assert len(made) < len(jpeg(600, 800, seed=2))


def test_what_is_no_picture_is_never_handed_out(seen: Seen) -> None:
    seen.frame(value=b"<script>alert(1)</script>")
    assert seen.pictures.jpeg("cam-1", "tile") is None


def test_records_that_cannot_be_read_are_counted(seen: Seen) -> None:
    nonsense = Record(0, 0, 1, b"cam-1", b"{}")
    seen.wall.take_predictions([nonsense])
    seen.wall.take_cameras([nonsense])
    seen.wall.take_frames([replace(nonsense, key=b"no stream")])
    assert seen.wall.summary()["unreadable"] == 3
    assert seen.wall.rows() == {}
