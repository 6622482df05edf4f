"""The turn that an SEI message asks for: all eight, wherever it stands, until another comes."""

from itertools import product

import av
import pytest

from pipeline.media.showing.display import own_orientation
from pipeline.media.video.outcomes import Decoded
from tests.pipeline.media.video.encoding import encoded, followed

QUARTER = 1 << 14
TURNS = [*product(range(4), (0, 1), (0, 1))]  # quarters, flip of columns, flip of rows
HEADS = {"cabac": b"\0\0\0\1\x06", "hevc": b"\0\0\0\1\x4e\x01"}  # of an SEI NAL unit


def message(codec: str, quarters: int, columns: int, rows: int, *, cancel: int = 0) -> bytes:
    """Return a display orientation in a NAL unit, behind a message of another kind."""
    turn = "" if cancel else f"{columns}{rows}{quarters * QUARTER:016b}1"
    bits = f"{cancel}{turn}".ljust(24, "0")
    body = bytes(int(bits[at : at + 8], 2) for at in range(0, 24, 8))
    return HEADS[codec] + b"\x05\x10" + b"sixteen letters." + bytes([47, 3]) + body + b"\x80"


def turns(codec: str, messages: dict[int, bytes], *, behind: bool = False) -> list[int]:
    """Return the orientations of twelve pictures; some units have a message."""
    units = [(n, unit) for n, unit in enumerate(encoded(codec)[:12])]
    joined = [
        (n, unit + messages.get(n, b"") if behind else messages.get(n, b"") + unit)
        for n, unit in units
    ]
    return [one.orientation for one in followed(codec, joined) if isinstance(one, Decoded)]


def by_libav(codec: str, unit: bytes) -> int | None:
    decoder = av.VideoCodecContext.create("hevc" if codec == "hevc" else "h264", "r")
    (frame,) = [*decoder.decode(av.Packet(unit)), *decoder.decode(None)]
    return own_orientation(frame)


@pytest.mark.parametrize("codec", HEADS)
@pytest.mark.parametrize(("quarters", "columns", "rows"), TURNS)
def test_each_of_the_eight_turns_is_read_as_libav_reads_it(
    codec: str, quarters: int, columns: int, rows: int
) -> None:
    sent = message(codec, quarters, columns, rows)
    expected = by_libav(codec, sent + encoded(codec)[0]) or 1  # libav says nothing of 0 degrees
    assert turns(codec, {0: sent}) == [expected] * 12


@pytest.mark.parametrize("codec", HEADS)
def test_a_message_behind_the_slices_of_its_picture_counts(codec: str) -> None:
    quarter = message(codec, 1, 0, 0)
    assert turns(codec, {0: quarter, 10: quarter}, behind=True) == [8] * 12


@pytest.mark.parametrize("codec", HEADS)
@pytest.mark.parametrize("cancel", [0, 1], ids=["0 degrees", "its end"])
def test_a_turn_holds_until_another_message_ends_it(codec: str, cancel: int) -> None:
    sent = {2: message(codec, 1, 0, 0), 7: message(codec, 0, 0, 0, cancel=cancel)}
    assert turns(codec, sent) == [1] * 2 + [8] * 5 + [1] * 5
