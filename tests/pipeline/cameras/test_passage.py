"""When a camera's own units are published, and when JPEGs of its pictures."""

import pytest

from pipeline.cameras.passing.obstacles import obstacle
from pipeline.cameras.passing.passage import AGAIN_S, MAX_GROUP_BYTES, NoUnit, Passage
from pipeline.media.address import Address
from pipeline.media.opening.media import Transport
from pipeline.media.video.outcomes import StorableUnit, Unstorable

REORDERED = Unstorable("its pictures may be reordered")
BROKEN = Unstorable("no whole keyframe is before it", lasts=False)
ENCODE, LEAVE_OUT = NoUnit.ENCODE, NoUnit.LEAVE_OUT


def unit(number: int) -> StorableUnit:
    return StorableUnit(b"unit", number)


class Camera:
    """A camera of one picture a second, and the decisions about them."""

    def __init__(self, obstacle: str | None = None) -> None:
        self.passage = Passage(obstacle=obstacle, keyframe_s=60)
        self.seconds = 0.0

    def send(self, one: StorableUnit | Unstorable, **how: bool) -> StorableUnit | NoUnit:
        self.seconds += 1
        at_us = round(self.seconds * 1e6)
        return self.passage.decide(one, at_us, **{"too_large": False} | how)

    def group(self, units: int) -> list[StorableUnit | NoUnit]:
        return [self.send(unit(n)) for n in range(units)]

    @property
    def why_not(self) -> str:
        return self.passage.published.why_not


def test_publishing_units_begins_with_a_keyframe() -> None:
    camera = Camera()
    assert [camera.send(BROKEN), camera.send(unit(1))] == [ENCODE, ENCODE]
    assert camera.group(3) == [unit(0), unit(1), unit(2)]
    assert (camera.passage.published.units, camera.why_not) == (True, "")


def test_a_camera_that_does_not_fit_is_encoded_and_says_why() -> None:
    camera = Camera()
    assert {camera.send(REORDERED) for _ in range(20)} == {ENCODE}
    assert camera.why_not == REORDERED.words


@pytest.mark.parametrize("lost", [BROKEN, unit(2)])
def test_after_a_loss_pictures_are_left_out_until_the_next_keyframe(
    lost: StorableUnit | Unstorable,
) -> None:
    camera = Camera()
    camera.send(unit(0))
    assert [camera.send(lost), camera.send(unit(3)), camera.send(unit(1))] == [LEAVE_OUT] * 3
    assert camera.group(2) == [unit(0), unit(1)]
    assert camera.passage.published.units


def test_a_picture_out_of_order_ends_it_at_once_and_it_is_not_tried_again_for_long() -> None:
    camera = Camera()
    camera.group(3)
    assert [camera.send(REORDERED), camera.send(unit(3))] == [ENCODE, ENCODE]
    assert set(camera.group(1)) == {ENCODE}
    assert camera.why_not == REORDERED.words
    camera.passage.interrupt()
    camera.seconds += AGAIN_S
    assert camera.group(1) == [unit(0)]


def test_a_group_that_is_too_long_is_encoded_from_there_on() -> None:
    camera = Camera()
    found = camera.group(100)
    assert found[:61] == [unit(n) for n in range(61)]
    assert set(found[61:]) == {ENCODE}
    assert camera.why_not == "no keyframe came for 60 s (`keyframe_s`)"


def test_a_group_of_too_many_bytes_is_encoded_from_there_on() -> None:
    camera, half = Camera(), bytes(MAX_GROUP_BYTES // 2)
    sent = [StorableUnit(half, 0), StorableUnit(half, 1), StorableUnit(b"more", 2)]
    assert [camera.send(one) for one in sent] == [*sent[:2], ENCODE]
    assert camera.why_not == "its groups have more than 32 MiB"


def test_a_camera_without_a_keyframe_after_a_loss_is_encoded_in_the_end() -> None:
    camera = Camera()
    camera.send(unit(0))
    camera.passage.interrupt()
    found = [camera.send(BROKEN) for _ in range(70)]
    assert found == [LEAVE_OUT] * 61 + [ENCODE] * 9


def test_keyframes_that_are_too_far_apart_are_no_beginning() -> None:
    camera = Camera()
    camera.send(unit(0), too_large=True)
    camera.seconds += 61
    assert camera.group(2) == [ENCODE, ENCODE]
    assert camera.why_not == "its keyframes are 62 s apart (`keyframe_s`)"


def test_a_pause_between_two_connections_is_no_distance_of_keyframes() -> None:
    camera = Camera()
    camera.group(2)
    camera.seconds += 500
    camera.passage.interrupt()
    assert camera.group(2) == [unit(0), unit(1)]


def test_keyframes_that_are_far_apart_are_noticed() -> None:
    camera = Camera()
    camera.group(9)
    camera.send(unit(0))
    assert not camera.passage.published.long_groups
    camera.group(12)
    camera.send(unit(0))
    assert camera.passage.published.long_groups


def test_pictures_that_have_to_be_scaled_are_encoded_until_a_keyframe_fits() -> None:
    camera = Camera()
    assert camera.send(unit(0), too_large=True) is ENCODE
    assert camera.why_not == "its pictures are larger than `size`"
    assert camera.group(2) == [unit(0), unit(1)]


def test_what_keeps_units_from_being_published_holds_whatever_comes() -> None:
    camera = Camera(obstacle="`fps` is set")
    assert set(camera.group(5)) == {ENCODE}
    assert camera.why_not == "`fps` is set"


@pytest.mark.parametrize(
    ("url", "transport", "fps", "words"),
    [
        ("rtsp://gate/1", "tcp", None, None),
        ("rtsps://gate/1", "udp", None, None),  # it is TCP all the same
        ("gate.mp4", "tcp", None, None),
        ("rtsp://gate/1", "udp", None, "it comes by UDP, which loses packets"),
        ("udp://0.0.0.0:5000", "tcp", None, "it comes by udp://, which loses packets"),
        ("rtsp://gate/1", "tcp", 15.0, "`fps` is set"),
    ],
)
def test_a_way_that_loses_packets_and_a_limit_of_the_rate_are_obstacles(
    url: str, transport: Transport, fps: float | None, words: str | None
) -> None:
    found = obstacle(Address.of(url, {}), transport=transport, fps=fps)
    assert (found or "").startswith(words or "")
    assert (found is None) == (words is None)


def test_units_hold_the_whole_picture_so_a_view_or_a_mask_is_an_obstacle() -> None:
    found = obstacle(Address.of("rtsp://gate/1", {}), cut=True)
    assert found == "`crop`, `mask` or `views` is set, and units hold the whole picture"
